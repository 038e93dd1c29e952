use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::*;

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (n, (name, data)) in files.iter().enumerate() {
        let method = if n % 2 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        writer.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A stream of attributes: level, id, value.
fn tnef(attributes: &[(u8, u32, &[u8])]) -> Vec<u8> {
    let mut out = b"\x78\x9F\x3E\x22\x01\x00".to_vec();
    for (level, id, value) in attributes {
        out.push(*level);
        out.extend(id.to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
        out.extend(*value);
        out.extend([0, 0]);
    }
    out
}

/// Properties: type, id, value.
fn mapi(properties: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let mut out = (properties.len() as u32).to_le_bytes().to_vec();
    for (kind, id, value) in properties {
        out.extend(kind.to_le_bytes());
        out.extend(id.to_le_bytes());
        if !matches!(kind, 0x03 | 0x0B) {
            out.extend(1u32.to_le_bytes());
            out.extend((value.len() as u32).to_le_bytes());
        }
        out.extend(*value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

fn opened(kind: FileKind, data: &[u8]) -> Opened {
    open(kind, data, &mut MAX_UNPACKED.clone())
}

fn names(opened: &Opened) -> Vec<(&str, usize)> {
    opened.files.iter().map(|f| (f.name.as_str(), f.data.len())).collect()
}

#[test]
fn a_zip_gives_its_files_and_not_what_systems_add() {
    let zip = zipped(&[
        ("photos/IMG 1.jpg", b"\xFF\xD8\xFF1"),
        ("__MACOSX/photos/._IMG 1.jpg", b"x"),
        ("photos/.DS_Store", b"x"),
        ("größe.png", b"\x89PNG"),
    ]);
    let opened = opened(FileKind::Archive, &zip);
    assert_eq!(names(&opened), [("photos/IMG 1.jpg", 4), ("größe.png", 4)]);
    assert!(!opened.left_out);
}

#[test]
fn a_document_that_is_a_zip_is_not_opened() {
    let docx = zipped(&[("[Content_Types].xml", b"x"), ("word/media/image1.jpg", b"\xFF\xD8\xFF")]);
    assert_eq!(names(&opened(FileKind::Archive, &docx)), []);
}

#[test]
fn a_bomb_costs_its_bound_and_gives_nothing() {
    let zip = zipped(&[("a.jpg", &vec![0; 80 << 20]), ("b.jpg", b"\xFF\xD8\xFF"), ("c.exe", b"MZ")]);
    let begun = Instant::now();
    let opened = opened(FileKind::Archive, &zip);
    assert_eq!(names(&opened), [("a.jpg", 0), ("b.jpg", 3), ("c.exe", 2)]);
    assert!(opened.left_out && begun.elapsed() < Duration::from_secs(20));
}

#[test]
fn the_room_is_shared_and_names_are_known_beyond_it() {
    let files: Vec<Vec<u8>> = (0..4).map(|_| vec![7; 600]).collect();
    let zip = zipped(&[("a", &files[0]), ("b", &files[1]), ("c.exe", &files[2])]);
    let mut room = 1_000;
    let opened = open(FileKind::Archive, &zip, &mut room);
    assert_eq!(names(&opened), [("a", 600), ("b", 0), ("c.exe", 0)]);
    assert!(opened.left_out && room == 0);
}

#[test]
fn an_encrypted_file_keeps_its_name_only() {
    let mut zip = zipped(&[("IMG 1.jpg", b"\xFF\xD8\xFF1")]);
    for (signature, flags) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = zip.windows(4).position(|w| w == signature).unwrap();
        zip[at + flags] |= 1;
    }
    assert_eq!(names(&opened(FileKind::Archive, &zip)), [("IMG 1.jpg", 0)]);
}

#[test]
fn a_directory_without_end_is_not_read() {
    let names: Vec<String> = (0..2_001).map(|n| n.to_string()).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), &b""[..])).collect();
    let opened = opened(FileKind::Archive, &zipped(&files));
    assert!(opened.left_out && opened.files.is_empty());
}

#[test]
fn winmail_dat_gives_its_attachments_by_their_long_names() {
    let properties = mapi(&[
        (0x1F, 0x3707, &wide("IMG 20261103.jpg")),
        (0x1E, 0x3712, b"<a@b>\0"),
        (0x03, 0x3714, &4u32.to_le_bytes()),
    ]);
    let nested = [&super::tnef::IS_MAIL[..], &tnef(&[(2, 0x0006_9002, b""), (2, 0x0006_800F, b"in it")])].concat();
    let mail = mapi(&[(0x0D, 0x3701, &nested)]);
    let data = tnef(&[
        (1, 0x0006_9007, &1252u32.to_le_bytes()),
        (2, 0x0006_9002, b""),
        (2, 0x0001_8010, b"IMG_20~1.JPG\0"),
        (2, 0x0006_800F, b"\xFF\xD8\xFF"),
        (2, 0x0006_9005, &properties),
        (2, 0x0006_9002, b""),
        (2, 0x0006_9005, &mail),
    ]);
    let opened = opened(FileKind::Tnef, &data);
    assert_eq!(names(&opened), [("IMG 20261103.jpg", 3), ("", 5)]);
    assert_eq!(opened.files[0].content_id.as_deref(), Some("a@b"));
    assert!(opened.files[0].inline && !opened.files[1].inline);
}

#[test]
fn winmail_dat_gives_its_text_the_html_first() {
    let of = |properties: &[(u16, u16, &[u8])]| {
        let all = mapi(properties);
        opened(FileKind::Tnef, &tnef(&[(1, 0x0006_9007, &1250u32.to_le_bytes()), (1, 0x0006_9003, &all)])).text
    };
    let rtf = br"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\*\generator x;}Gr\'fc\'dfe\par aus K\u246?ln}";
    let rtf = [&[0; 8][..], b"MELA", &[0; 4], rtf].concat();
    let plain = |text: &str| Some(Body::Plain(text.to_owned()));
    assert_eq!(of(&[(0x1E, 0x1000, b"za\xBF\xF3\xB3\xE6\0")]), plain("zażółć"));
    assert_eq!(of(&[(0x102, 0x1009, &rtf)]), plain("Grüße\naus Köln"));
    assert_eq!(of(&[(0x1F, 0x1000, &wide("a")), (0x102, 0x1009, &rtf)]), plain("a"));
    let html = of(&[(0x1F, 0x1000, &wide("a")), (0x102, 0x1013, b"<p>b</p>"), (0x03, 0x3FDE, &65001u32.to_le_bytes())]);
    assert_eq!(html, Some(Body::Html("<p>b</p>".to_owned())));
    assert_eq!(of(&[(0x1E, 0x1000, b" \r\n\0")]), None);
}

/// The example of MS-OXRTFCP section 3.1.
#[test]
fn compressed_rtf_is_unpacked() {
    let packed = b"\x2d\x00\x00\x00\x2b\x00\x00\x00LZFu\xf1\xc5\xc7\xa7\x03\x00\x0a\x00rcpg125\x42\x32\x0a\xf3 hel\x09\x00\x20bw\x05\xb0ld}\x0a\x80\x0f\xa0";
    assert_eq!(rtf::text(packed).as_deref(), Some("hello world"));
}

/// Real files, where they lie beside the project.
fn samples() -> Vec<(String, Vec<u8>)> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let folders = ["tnefparse/tests/examples", "tnef-verdammelt/tests/files/datafiles"];
    let files = folders.iter().flat_map(|f| fs::read_dir(corpora.join(f)).into_iter().flatten());
    let paths = files.map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "tnef"));
    paths.map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&p).unwrap())).collect()
}

#[test]
fn real_winmail_dats_give_what_is_in_them() {
    for (name, data) in samples() {
        let opened = opened(FileKind::Tnef, &data);
        let (files, text): (&[(&str, usize)], Option<&str>) = match name.as_str() {
            "one-file.tnef" => (&[("AUTHORS", 244)], None),
            "multi-value-attribute.tnef" => (
                &[("208225__5_seconds__Voice_Mail.mp3", 10656)],
                Some("You received a voice mail from Curie Conf Room"),
            ),
            "umlaut.tnef" => (
                &[("TBZ PARIV GmbH.jpg", 44764), ("image003.jpg", 1001), ("UmlautAnhang-äüö.txt", 14)],
                Some("TEST äöü +-*/~"),
            ),
            "triples.tnef" => (&[], Some("Sample description")),
            "body.tnef" => (&[], Some("THE BILL OF RIGHTS<BR>")),
            "IPM-DistList.tnef" => (&[("Untitled Attachment", 89)], Some("the first half of the list")),
            "missing-filenames.tnef" => (
                &[
                    ("generpts.src", 61210),
                    ("TechlibDEC99.doc", 33792),
                    ("TechlibDEC99-JAN00.doc", 34304),
                    ("TechlibNOV99.doc", 33792),
                ],
                Some("Sue has encountered a Date problem"),
            ),
            "unicode-mapi-attr-name.tnef" => (
                &[("spaconsole2.cfg", 8387), ("image001.png", 3815), ("image002.png", 3573), ("image003.png", 3792)],
                Some("Przesyłam poprawiony plik"),
            ),
            other => panic!("say what {other} holds"),
        };
        assert_eq!(names(&opened), files, "{name}");
        assert!(!opened.left_out, "{name}");
        match (opened.text, text) {
            (Some(Body::Plain(found) | Body::Html(found)), Some(text)) => {
                assert!(found.contains(text), "{name}: {found}")
            }
            (found, text) => assert_eq!(found, text.map(|t| Body::Plain(t.to_owned())), "{name}"),
        }
    }
}

#[test]
fn damage_costs_little_and_never_panics() {
    let nested = zipped(&[("a.zip", &zipped(&[("b.jpg", b"\xFF\xD8\xFF")]))]);
    let zip = zipped(&[("a.jpg", &[0xFF; 900]), ("b.txt", b"stored"), ("c.png", &[1; 5_000])]);
    let rtf = [&[0; 8][..], b"MELA", &[0; 4], br"{\rtf1 a\'e4\u-10179?{\*\x y}\par}"].concat();
    let mail =
        tnef(&[(1, 0x0006_9003, &mapi(&[(0x102, 0x1009, &rtf)])), (2, 0x0006_9002, b""), (2, 0x0006_800F, b"x")]);
    let mut whole: Vec<(FileKind, Vec<u8>)> =
        vec![(FileKind::Archive, zip), (FileKind::Archive, nested), (FileKind::Tnef, mail)];
    whole.extend(samples().into_iter().map(|(_, data)| (FileKind::Tnef, data)));
    let mut noise = fastrand::Rng::with_seed(7);
    let mut worst = Duration::ZERO;
    for (kind, data) in whole {
        for _ in 0..500 {
            let mut changed = data.clone();
            for _ in 0..noise.usize(0..6) {
                let place = noise.usize(0..changed.len());
                changed[place] = noise.u8(..);
            }
            if noise.bool() {
                changed.truncate(noise.usize(0..changed.len()));
            }
            let begun = Instant::now();
            // Not `open`, which would hide a panic.
            let room = &mut MAX_UNPACKED.clone();
            let opened =
                if kind == FileKind::Tnef { super::tnef::open(&changed, room) } else { unzip::open(&changed, room) };
            worst = worst.max(begun.elapsed());
            let bytes: usize = opened.files.iter().map(|f| f.data.len()).sum();
            assert!(bytes <= MAX_UNPACKED);
        }
    }
    println!("worst: {worst:?}");
    assert!(worst < Duration::from_secs(10), "{worst:?}");
}
