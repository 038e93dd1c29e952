//! Attachments as customers send them: packed, forwarded, from a phone, cut on the way, and some that nobody should open.

use std::fmt::Write as _;
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::support::program::{program, run_within};

const PATIENCE: Duration = Duration::from_secs(60);

/// What triage makes of a letter with these files; `text` is all it says.
pub fn told(text: &str, files: &[(&str, &[u8])]) -> Value {
    triaged(&format!("{HEAD}{}", parts(text, files)))
}

pub const HEAD: &str = "From: Jo <jo@example.net>\r\nTo: us@example.com\r\nSubject: Watch\r\nMessage-ID: <a1@example.net>\r\n\
                    Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n";

pub fn parts(text: &str, files: &[(&str, &[u8])]) -> String {
    let mut mail = format!("Content-Type: multipart/mixed; boundary=\"b{}\"\r\n\r\n", files.len());
    write!(mail, "--b{}\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n", files.len()).unwrap();
    for (name, data) in files {
        let kind = if name.ends_with(".eml") { "message/rfc822" } else { "application/octet-stream" };
        write!(mail, "--b{}\r\nContent-Type: {kind}\r\n", files.len()).unwrap();
        write!(mail, "Content-Disposition: attachment; filename=\"{name}\"\r\n").unwrap();
        if kind == "message/rfc822" {
            write!(mail, "\r\n{}\r\n", str::from_utf8(data).unwrap()).unwrap();
            continue;
        }
        mail.push_str("Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        for line in data.chunks(24) {
            line.iter().for_each(|byte| write!(mail, "={byte:02X}").unwrap());
            mail.push_str("=\r\n");
        }
    }
    write!(mail, "\r\n--b{}--\r\n", files.len()).unwrap();
    mail
}

pub fn triaged(mail: &str) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("mail.eml");
    fs::write(&file, mail).unwrap();
    let mut command = program();
    command.args(["triage", "--json"]).arg(&file);
    let told = run_within(command, PATIENCE);
    assert_eq!(told.code, Some(0), "{}", told.err);
    told.json().remove(0)
}

pub fn sample(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(path)).unwrap()
}

pub fn watch() -> Vec<u8> {
    sample("app/demo/photos/watch-striped-display.jpg")
}

pub fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A `winmail.dat` with these files; without text, or with one.
pub fn winmail(text: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"\x78\x9F\x3E\x22\x01\x00".to_vec();
    let mut add = |level: u8, id: u32, value: &[u8]| {
        out.push(level);
        out.extend([&id.to_le_bytes()[..], &(value.len() as u32).to_le_bytes(), value, &[0, 0]].concat());
    };
    add(1, 0x0002_800C, format!("{text}\0").as_bytes());
    for (name, data) in files {
        add(2, 0x0006_9002, &[0; 14]);
        add(2, 0x0001_8010, format!("{name}\0").as_bytes());
        add(2, 0x0006_800F, data);
    }
    out
}

fn photos(told: &Value) -> (u64, u64) {
    (told["facts"]["photos"].as_u64().unwrap(), told["facts"]["photos_unusable"].as_u64().unwrap())
}

#[test]
fn pictures_in_files_in_mails_count_like_attached_ones() {
    let (good, dark) = (watch(), sample("app/demo/photos/watch-too-dark.jpg"));
    let zip = zipped(&[("watch/1.jpg", &good), ("watch/2.jpg", &dark), ("readme.txt", b"x")]);
    let inner = format!("{HEAD}{}", parts("Look.", &[("1.jpg", &good), ("2.zip", &zip)]));
    let outer = format!("{HEAD}{}", parts("See below.", &[("inner.eml", inner.as_bytes())]));
    for (what, files, expected) in [
        ("zip", vec![("photos.zip", zip.clone())], (1, 1)),
        ("winmail.dat", vec![("winmail.dat", winmail("", &[("1.jpg", &good), ("2.jpg", &good)]))], (2, 0)),
        ("a zip in winmail.dat", vec![("winmail.dat", winmail("", &[("1.zip", &zip)]))], (1, 1)),
        ("a zip in a zip", vec![("a.zip", zipped(&[("b.zip", &zip)]))], (0, 0)),
        ("a mail in a mail", vec![("outer.eml", outer.into_bytes())], (2, 1)),
        ("HEIC", vec![("IMG_1.HEIC", sample("pipeline/extract/photos/samples/still.heic"))], (1, 0)),
        ("a dark HEIC", vec![("IMG_1.HEIC", sample("pipeline/extract/photos/samples/dark.heic"))], (0, 1)),
    ] {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, data)| (*name, &data[..])).collect();
        assert_eq!(photos(&told("The display of my watch is black since Monday.", &files)), expected, "{what}");
    }
}

#[test]
fn the_text_in_winmail_dat_is_read_where_there_is_no_other() {
    let data = winmail("My watch from order KS41207 does not charge since Monday.", &[]);
    let order = |text: &str| told(text, &[("winmail.dat", &data)])["facts"]["order_number"].clone();
    assert_eq!(order(""), "KS41207");
    assert_eq!(order("The order is KS40612."), "KS40612");
    assert_eq!(order("Please see the attached file."), Value::Null);
}

#[test]
fn programs_and_macros_go_to_staff_wherever_they_are() {
    let document = zipped(&[("[Content_Types].xml", b"x"), ("word/vbaProject.bin", b"x")]);
    let inner = zipped(&[("photo.jpg", &watch()), ("photo.jpg.exe", b"MZ")]);
    for (name, data) in [
        ("photo.jpg.exe", b"MZ\x90".to_vec()),
        ("photo.jpg", b"MZ\x90".to_vec()),
        ("order.docx", document),
        ("photos.zip", inner.clone()),
        ("winmail.dat", winmail("", &[("invoice.js", b"alert(1)")])),
        ("winmail.dat", winmail("", &[("photos.zip", &inner)])),
    ] {
        let told = told("My watch does not charge since Monday.", &[(name, &data)]);
        let reasons = told["reasons"].as_array().unwrap();
        assert!(told["decision"] == "staff" && reasons.contains(&"unsafe_attachment".into()), "{name}: {told}");
    }
    for (name, data) in [
        ("invoice.pdf", &b"%PDF-1.4"[..]),
        ("jo.vcf", b"BEGIN:VCARD"),
        ("signature.asc", b"-----BEGIN PGP SIGNATURE-----"),
        ("smime.p7s", b"\x30\x82"),
        ("delivery.ics", b"BEGIN:VCALENDAR"),
        ("order.html", b"<html>"),
    ] {
        assert_eq!(told("My watch does not charge since Monday.", &[(name, data)])["decision"], "ask", "{name}");
    }
}

#[test]
fn a_file_name_gives_what_nothing_else_gives() {
    let order = |text: &str, name: &str| told(text, &[(name, &watch())])["facts"]["order_number"].clone();
    let text = "My watch does not charge since Monday.";
    for name in ["order_KS-41207.jpg", "KS41207-IMG_20260314_192211.jpg", "Invoice KS41207.pdf", "20260314_KS41207.jpg"]
    {
        assert_eq!(order(text, name), "KS41207", "{name}");
    }
    assert_eq!(order("Order KS40612 does not charge.", "KS41207.jpg"), "KS40612");
    assert_eq!(order(text, "41207.jpg"), Value::Null);
    for name in ["IMG_20260314_192211.jpg", "WhatsApp Image 2026-03-14 at 19.22.11.jpeg", "order 20260314_192211.jpg"] {
        assert_eq!(order(text, name), Value::Null, "{name}");
    }
    let facts = |name: &str| told(text, &[(name, &watch())])["facts"].clone();
    assert_eq!(facts("2000400001018.jpg")["item_code"], "2000400001018");
    assert_eq!(facts("4006381333931.jpg")["item_code"], Value::Null, "an article of somebody else's");
    assert_eq!(facts("KP-TKT4-BK box.jpg")["sku"], "KP-TKT4-BK");
}

#[test]
fn the_letter_says_what_is_wrong_with_the_photos_and_how_to_do_better() {
    let dark = sample("app/demo/photos/watch-too-dark.jpg");
    let blurred = sample("app/demo/photos/watch-blurred.jpg");
    let zip = zipped(&[("IMG_1.jpg", &dark), ("IMG_2.jpg", &blurred)]);
    let told = told("My watch does not charge since Monday.", &[("photos.zip", &zip)]);
    let text = told["reply"]["text"].as_str().unwrap().replace("\r\n", " ").replace('\n', " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(photos(&told), (0, 2));
    assert!(told["missing"].as_array().unwrap().contains(&"photo".into()), "{told}");
    for words in ["IMG_1.jpg", "too dark. Daylight or a lamp", "IMG_2.jpg", "out of focus. Please tap the defect"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn packed_bombs_cost_a_bounded_time() {
    let zeros = vec![0; 70 << 20];
    let bomb = zipped(&[("a.jpg", &zeros), ("b.jpg", &zeros[..20 << 20])]);
    let many: Vec<String> = (0..5_000).map(|n| format!("{n}.jpg")).collect();
    let many = zipped(&many.iter().map(|n| (n.as_str(), &b"\xFF\xD8\xFF"[..])).collect::<Vec<_>>());
    let nested = (0..200).fold(b"x".to_vec(), |data, _| winmail("", &[("winmail.dat", &data)]));
    for (name, data) in [("bomb.zip", bomb), ("many.zip", many), ("winmail.dat", nested)] {
        assert_eq!(photos(&told("My watch does not charge.", &[(name, &data)])), (0, 0), "{name}");
    }
}
