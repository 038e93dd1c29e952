use jiff::tz::Offset;
use proptest::prelude::*;

use super::*;
use crate::domain::letter::FileKind;

fn read(mail: &str) -> Letter {
    letter(mail.as_bytes(), false)
}

fn plain(text: &str) -> Body {
    Body::Plain(text.to_owned())
}

#[test]
fn headers_are_decoded_and_unfolded() {
    let letter = read(
        "Received: from a by mx; Tue, 3 Nov 2026 18:22:09 +0000\nReceived: by old; Mon, 2 Nov 2026 00:00:00 +0000\n\
         From: =?utf-8?Q?J=C3=B6rg?= <Joerg@Example.NET>\nReply-To: \"Form, the\" <a@b.example>\n\
         Subject: =?iso-8859-1?Q?Gr=FC=DFe?=\n =?utf-8?B?IMOg?= x\n\tand more\0\n\
         Date: Tue, 3 Nov 2026 19:22:00 +0100\nMessage-ID: <a1@example.net>\n\
         In-Reply-To: Your mail of Monday <q@example.com>\nReferences: <p@example.com>\n <q@exa\n mple.com>\n\nHi\n",
    );
    let from = letter.from.as_ref().unwrap();
    assert_eq!((from.name.as_deref(), from.address.as_str()), (Some("Jörg"), "joerg@example.net"));
    assert_eq!(letter.reply_to.as_ref().unwrap().address.as_str(), "a@b.example");
    assert_eq!(letter.subject, "Grüße à x and more");
    assert_eq!(letter.written.unwrap().offset, Offset::from_hours(1).unwrap());
    assert_eq!(letter.received.unwrap().to_string(), "2026-11-03T18:22:09Z");
    assert_eq!(letter.message_id.as_ref().unwrap().as_str(), "a1@example.net");
    let ids = |ids: &[crate::domain::ids::MessageId]| ids.iter().map(|i| i.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(&letter.in_reply_to), ["q@example.com"]);
    assert_eq!(ids(&letter.references), ["p@example.com", "q@example.com"]);
    assert_eq!(letter.bodies, [plain("Hi\n")]);
    assert!(letter.defects.is_empty());
}

#[test]
fn text_is_read_in_the_charset_it_is_in() {
    let umlauts = |headers: &str, bytes: &[u8]| {
        letter(&[b"From: a@b.example\n", headers.as_bytes(), b"\n\n", bytes].concat(), false).bodies
    };
    for (headers, bytes) in [
        ("X: y", &b"gr\xFC\xDFe"[..]),
        ("X: y", "grüße".as_bytes()),
        ("Content-Type: text/plain; charset=us-ascii", "grüße".as_bytes()),
        ("Content-Type: text/plain; charset=iso-8859-1", "grüße".as_bytes()),
        ("Content-Type: text/plain; charset=iso-8859-1", b"gr\xFC\xDFe"),
        ("Content-Type: text/plain; charset=utf-8", b"gr\xFC\xDFe"),
        ("Content-Type: text/plain; charset=x-unheard-of", b"gr\xFC\xDFe"),
        ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable", b"gr=C3=BC=\n=C3=9Fe"),
        ("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64", b"Z3LDvMOfZQ"),
    ] {
        let [Body::Plain(text)] = &umlauts(headers, bytes)[..] else { panic!("{headers}") };
        assert_eq!(text.trim_end(), "grüße", "{headers}");
    }
    let polish = umlauts("Content-Type: text/plain; charset=iso-8859-2", b"za\xBF\xF3\xB3\xE6");
    assert_eq!(polish, [plain("zażółć")]);
}

#[test]
fn flowed_lines_are_joined() {
    let head = "From: a@b.example\nContent-Type: text/plain; charset=utf-8; format=flowed";
    let letter = read(&format!("{head}\n\nThe watch \ndoes not \nstart.\n> quoted \n> line\n From here\n-- \nJo\n"));
    assert_eq!(letter.bodies, [plain("The watch does not start.\n> quoted line\nFrom here\n-- \nJo\n")]);
    let letter = read(&format!("{head}; delsp=yes\n\nTh \ne end\n"));
    assert_eq!(letter.bodies, [plain("The end\n")]);
}

#[test]
fn of_an_alternative_one_version_counts() {
    let alternative = |html: &str| {
        read(&format!(
            "From: a@b.example\nContent-Type: multipart/alternative; boundary=b\n\n--b\nContent-Type: text/plain\n\nplain\n\
             --b\nContent-Type: text/html\n\n{html}\n--b--\n"
        ))
        .bodies
    };
    assert_eq!(alternative("<p>html</p>"), [Body::Html("<p>html</p>".to_owned())]);
    assert_eq!(alternative("<style>p{x}</style><!-- no --><img src=x>&nbsp;"), [plain("plain")]);
}

#[test]
fn parts_find_their_place() {
    let letter = read(
        "From: a@b.example\nContent-Type: multipart/mixed; boundary=o\n\n--o\nContent-Type: multipart/related; boundary=i\n\n\
         --i\nContent-Type: text/html\n\n<img src='cid:p1'>x\n--i\nContent-Type: image/gif; name=\"../logo.gif\"\nContent-ID: <p1>\n\
         Content-Disposition: inline\nContent-Transfer-Encoding: base64\n\nR0lGODlh\n--i--\n\
         --o\nContent-Type: text/plain; name=\"log.txt\"\nContent-Disposition: attachment\n\nlog\n\
         --o\nContent-Type: message/rfc822\n\nFrom: c@d.example\nSubject: inner\nContent-Type: multipart/mixed; boundary=n\n\n\
         --n\n\ninner text\n--n\nContent-Type: application/x; name=a.exe\n\nMZ\n--n--\n\
         --o\nContent-Type: text/plain\n\nlast\n--o--\n",
    );
    assert_eq!(letter.bodies, [Body::Html("<img src='cid:p1'>x".to_owned()), plain("last")]);
    let [logo, log] = &letter.attachments[..] else { panic!("{:?}", letter.attachments) };
    assert_eq!((logo.name.as_str(), logo.kind, logo.inline), ("logo.gif", FileKind::Picture, true));
    assert_eq!((logo.content_id.as_deref(), logo.data.as_slice()), (Some("p1"), &b"GIF89a"[..]));
    assert_eq!((log.name.as_str(), log.kind, log.index), ("log.txt", FileKind::Text, 1));
    let [inner] = &letter.forwarded[..] else { panic!() };
    assert_eq!((inner.subject.as_str(), &inner.bodies[..]), ("inner", &[plain("inner text")][..]));
    assert_eq!(inner.attachments[0].kind, FileKind::Program);
}

#[test]
fn a_multipart_without_its_end_keeps_its_text() {
    let letter = read(
        "From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nmy text\n",
    );
    assert_eq!(letter.bodies, [plain("my text\n")]);
    assert!(letter.defects.contains(&Defect::BrokenMultipart));
    let letter = read("From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\nno boundary at all\n");
    assert!(format!("{:?}", letter.bodies).contains("no boundary at all"));
}

#[test]
fn garbage_is_text() {
    let empty = letter(b"", false);
    assert_eq!(empty.bodies, [plain("")]);
    let garbage = letter(b"caf\xE9\0 \x1Band: so on", true);
    assert_eq!(garbage.bodies, [plain("café and: so on")]);
    assert!(garbage.defects.contains(&Defect::Unreadable) && garbage.defects.contains(&Defect::Oversize));
    let old = letter(b"From: a@b.example\rSubject: Mac\r\rone\rtwo\r", false);
    assert_eq!((old.subject.as_str(), &old.bodies[..]), ("Mac", &[plain("one\ntwo\n")][..]));
}

#[test]
fn deliveries_of_one_mail_have_one_content() {
    let mail = "From: a@b.example\nSubject: x\nDate: Tue, 3 Nov 2026 19:22:00 +0100\n\nHi\nyou\n";
    let other = format!("Received: by mx; Tue, 3 Nov 2026 18:22:09 +0000\n{mail}\n").replace('\n', "\r\n");
    let (one, two, three) = (read(mail), read(&other), read(&mail.replace("you", "me")));
    assert_ne!(one.id, two.id);
    assert_eq!(one.content, two.content);
    assert_ne!(one.content, three.content);
}

#[test]
fn hostile_nesting_ends_quickly() {
    let start = std::time::Instant::now();
    let mut multiparts = String::from("From: a@b.example\n");
    for n in 0..5_000 {
        multiparts.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n"));
    }
    assert!(read(&multiparts).defects.contains(&Defect::TooDeep));
    let mails = format!("From: a@b.example\n{}", "Content-Type: message/rfc822\n\n".repeat(50_000));
    let deep = read(&mails);
    assert!(std::iter::successors(Some(&deep), |l| l.forwarded.first()).count() <= MAX_FORWARD_DEPTH + 1);
    let encoded = format!(
        "From: a@b.example\nContent-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n{mails}"
    );
    read(&encoded);
    let digest =
        format!("From: a@b.example\n{}", "Content-Type: multipart/digest; boundary=a\n\n--a\n\n".repeat(20_000));
    read(&digest);
    let parts =
        format!("From: a@b.example\nContent-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(20_000));
    let many = read(&parts);
    assert!(many.defects.contains(&Defect::TooManyParts) && many.bodies.len() <= MAX_PARTS);
    let long = read(&format!("From: a@b.example\n\n{}", "ä".repeat(MAX_TEXT)));
    assert!(long.defects.contains(&Defect::TextCut));
    assert!(start.elapsed().as_secs() < 20);
}

#[test]
fn every_file_of_the_corpora_is_read() {
    let mut folders = vec![std::path::PathBuf::from("../shared/corpora")]; // cargo runs tests in the project root
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.map(|e| e.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let raw = std::fs::read(&path).unwrap();
            let letter = letter(&raw, false);
            let text: usize = letter
                .bodies
                .iter()
                .map(|b| match b {
                    Body::Plain(t) | Body::Html(t) => t.len(),
                })
                .sum();
            assert!(text <= MAX_TEXT, "{}", path.display());
            read += 1;
        }
    }
    println!("{read} files read");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(raw in proptest::collection::vec(any::<u8>(), 0..600)) {
        letter(&raw, false);
    }

    #[test]
    fn nothing_like_a_mail_makes_it_panic(lines in proptest::collection::vec(
        "(From: [a-z@<>\", ]{0,12}|Date: [0-9A-Za-z:+ ]{0,30}|Content-Type: (text/plain|text/html|multipart/(mixed|alternative|digest)|message/rfc822)(; boundary=b)?(; charset=[a-z0-9-]{0,9})?|Content-Transfer-Encoding: (base64|quoted-printable)|Subject: (=\\?utf-8\\?[qQbB]\\?)?\\PC{0,9}(\\?=)?|--b(--)?||[ -~]{0,20}|=[0-9A-F]{0,2})", 0..30,
    )) {
        let raw = lines.join("\n");
        let letter = letter(raw.as_bytes(), false);
        let size: usize = letter.bodies.iter().map(|b| match b { Body::Plain(t) | Body::Html(t) => t.len() }).sum();
        prop_assert!(size <= raw.len() * 3 + 3);
    }
}
