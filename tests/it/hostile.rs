//! Letters made to cost much, to break out of their place, or to say something else than they hold.

#[path = "../fuzz/paths.rs"]
mod paths;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use aftersalesd::ports::Security;
use serde_json::Value;

use crate::attachments::{HEAD, parts, sample, told, triaged, zipped};
use crate::support::dovecot::Dovecot;
use crate::support::post::Reply;
use crate::support::program::{Installation, keys, program, run_within};
use crate::support::smtpd::Smtpd;

/// Unoptimised, on a busy machine. Without bounds each of these takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Mails that one process is to read, each made of a head and a body.
struct Pile {
    dir: tempfile::TempDir,
    files: Vec<PathBuf>,
}

impl Pile {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), files: Vec::new() }
    }

    fn add(&mut self, name: &str, head: &str, body: &str) {
        let mail = format!(
            "From: Jo <jo@example.net>\r\nTo: us@example.com\r\nSubject: {name}\r\nMessage-ID: <{name}@example.net>\r\n\
             Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n{head}\r\n{body}\r\n"
        );
        self.files.push(self.dir.path().join(format!("{name}.eml")));
        fs::write(self.files.last().unwrap(), mail).unwrap();
    }

    fn takes_little(&self) {
        let mut command = program();
        command.args(["triage", "--json"]).args(&self.files);
        let told = run_within(command, PATIENCE);
        assert_eq!(told.code, Some(0), "{}", told.err);
        let read: Vec<String> = told.json().iter().map(|line| line["file"].as_str().unwrap().to_owned()).collect();
        let expected: Vec<String> = self.files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(read, expected);
    }
}

#[test]
fn words_without_end() {
    let mut pile = Pile::new();
    for (name, text) in [
        ("codes", "order number 12345678 "),
        ("clauses", "the battery is dead since Monday while charging , "),
        ("products", "Tank T4 black , item code 2000400001018 "),
        ("dates", "I bought it on 3 November . "),
        ("days", "received on 3 November and bought on 4 November "),
        ("links", "https://drive.example/x.jpg "),
        ("marks", "! ? "),
        ("letters", "a"),
        ("numbers", "12 "),
        ("commas", ","),
    ] {
        pile.add(name, "", &text.repeat(150_000 / text.len()));
    }
    pile.takes_little();
}

#[test]
fn lines_without_end() {
    let mut pile = Pile::new();
    for (name, line) in [
        ("dashes", "-- \r\n"),
        ("quotes", "> > > > > > > >\r\n"),
        ("heads", "On Mon, 9 Nov 2026 Jo <jo@example.net> wrote:\r\n"),
        ("blocks", "From: Jo\r\nSent: Monday\r\nTo: Kim\r\nSubject: x\r\n"),
        ("greetings", "Kind regards\r\n"),
        ("blanks", "\r\n"),
    ] {
        pile.add(name, "", &line.repeat(150_000 / line.len()));
    }
    pile.takes_little();
}

#[test]
fn markup_without_end() {
    let html = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n";
    let mut pile = Pile::new();
    for (name, text) in [
        ("nesting", "<div>"),
        ("quoting", "<blockquote>x"),
        ("angles", "<"),
        ("comments", "<!--"),
        ("attributes", "<a href='"),
        ("entities", "&amp"),
        ("tables", "<table><tr><td>x"),
    ] {
        pile.add(name, html, &text.repeat(150_000 / text.len()));
    }
    pile.takes_little();
}

#[test]
fn parts_without_end() {
    let mixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n";
    let mut pile = Pile::new();
    pile.add("parts", mixed, &"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(10_000));
    pile.add("mails", mixed, &"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n".repeat(3_000));
    let nested: String = (0..2_000)
        .map(|n| format!("--b{n}\r\nContent-Type: multipart/mixed; boundary=\"b{}\"\r\n\r\n", n + 1))
        .collect();
    pile.add("nested", &mixed.replace("\"b\"", "\"b0\""), &nested);
    let mails = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n".repeat(1_000);
    pile.add("forwards", "MIME-Version: 1.0", &mails);
    pile.add("forwards as declared", mixed, &format!("--b\r\n{mails}\r\nx\r\n--b--\r\n"));
    pile.add("headers", &"X-Header: x\r\n".repeat(20_000), "x");
    let references: String = (0..20_000).map(|n| format!(" <{n}@example.net>\r\n")).collect();
    pile.add("references", &format!("References:\r\n{references}"), "x");
    pile.add("words", &format!("X-Long: {}\r\n", "=?utf-8?q?x?= ".repeat(10_000)), "x");
    pile.takes_little();
}

/// What fuzzing found once, and the samples it began with. Whatever they cost, it is no more than this.
#[test]
fn every_input_that_broke_something_once_is_taken() {
    const CAP: Duration = Duration::from_secs(20);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let mut inputs = Vec::new();
    for (name, path) in paths::ALL {
        for folder in ["found", "seeds"] {
            let Ok(files) = fs::read_dir(fuzz.join(folder).join(name)) else { continue };
            inputs.extend(files.map(|file| (file.unwrap().path(), path)));
        }
    }
    assert!(inputs.len() > 10, "{} inputs only", inputs.len());
    // The first use of each path makes what it works with.
    for (_, path) in paths::ALL {
        path(b"");
    }
    for (file, path) in inputs {
        let data = fs::read(&file).unwrap();
        let (done, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            path(&data);
            done.send(()).unwrap();
        });
        match ended.recv_timeout(CAP) {
            Ok(()) => {}
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{} takes longer than {CAP:?}", file.display()),
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("{}: {:?}", file.display(), thread.join()),
        }
    }
}

fn photos(told: &Value) -> (u64, u64) {
    (told["facts"]["photos"].as_u64().unwrap(), told["facts"]["photos_unusable"].as_u64().unwrap())
}

const CLAIM: &str = "My watch does not charge since Monday.";

#[test]
fn pictures_that_claim_too_much_are_not_decoded() {
    let be = |n: u32| n.to_be_bytes();
    let header = [&be(30_000)[..], &be(30_000), &[1, 0, 0, 0, 0]].concat();
    let chunk = |kind: &[u8; 4], data: &[u8]| [&be(data.len() as u32)[..], kind, data, &[0; 4]].concat();
    let png = [b"\x89PNG\r\n\x1A\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", b"\x78\x9C\xED\xC1")].concat();
    let frame = b"\x21\xF9\x04\x00\x01\x00\x00\x00\x2C\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00";
    let screen = |side: u16| {
        [b"GIF89a", &side.to_le_bytes()[..], &side.to_le_bytes(), &[0x80, 0, 0, 0, 0, 0, 255, 255, 255]].concat()
    };
    let frames = [screen(640), frame.repeat(20_000), b";".to_vec()].concat();
    let canvas = [screen(u16::MAX), frame.to_vec(), b";".to_vec()].concat();
    let mut jpeg = sample("app/demo/photos/watch-striped-display.jpg");
    let size = jpeg.windows(2).position(|w| w == [0xFF, 0xC0] || w == [0xFF, 0xC2]).unwrap() + 5;
    jpeg[size..size + 4].copy_from_slice(&[0xFF; 4]);
    let mut heic = sample("pipeline/extract/photos/samples/still.heic");
    let size = heic.windows(4).position(|w| w == b"ispe").unwrap() + 8;
    heic[size..size + 8].copy_from_slice(&[be(60_000), be(60_000)].concat());
    for (name, data, expected) in [
        ("a.png", png, (0, 0)),
        ("frames.gif", frames, (0, 0)),
        ("canvas.gif", canvas, (0, 0)),
        ("a.jpg", jpeg, (0, 0)),
        // Nobody makes logos of it: a photo that could not be looked into.
        ("a.heic", heic, (1, 0)),
    ] {
        let told = told(CLAIM, &[(name, &data)]);
        assert_eq!((photos(&told), &told["decision"]), (expected, &"ask".into()), "{name}");
    }
}

/// A zip whose thousand names all mean the same packed bytes, which unpack to 10 MB each.
#[test]
fn a_zip_of_overlapping_files_costs_a_bounded_time() {
    let one = zipped(&[("0000.jpg", &vec![0; 10 << 20])]);
    let directory = one.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    let end = one.windows(4).rposition(|w| w == b"PK\x05\x06").unwrap();
    let (files, entry, tail) = (&one[..directory], &one[directory..end], &one[end..]);
    let mut bomb = files.to_vec();
    for n in 0..1_000u16 {
        let mut entry = entry.to_vec();
        entry[46..50].copy_from_slice(format!("{n:04}").as_bytes());
        bomb.extend(entry);
    }
    let length = (bomb.len() - directory) as u32;
    let mut tail = tail.to_vec();
    tail[8..12].copy_from_slice(&[1_000u16.to_le_bytes(), 1_000u16.to_le_bytes()].concat());
    tail[12..16].copy_from_slice(&length.to_le_bytes());
    bomb.extend(tail);
    assert_eq!(photos(&told(CLAIM, &[("bomb.zip", &bomb)])), (0, 0));
}

/// Claims in every language there are letters in, with a word that only its language has.
const CLAIMS: [(&str, &str); 8] = [
    ("en", "Hello, the display of my watch has been black since Monday and it does not switch on. What should I do?"),
    ("de", "Guten Tag, das Display meiner Uhr ist seit Montag schwarz und sie geht nicht mehr an. Was soll ich tun?"),
    ("fr", "Bonjour, l’écran de ma montre est noir depuis lundi et elle ne s’allume plus. Que dois-je faire ?"),
    ("es", "Hola, la pantalla de mi reloj está negra desde el lunes y ya no se enciende. ¿Qué puedo hacer?"),
    ("it", "Buongiorno, lo schermo del mio orologio è nero da lunedì e non si accende più. Che cosa devo fare?"),
    ("nl", "Hallo, het scherm van mijn horloge is sinds maandag zwart en het gaat niet meer aan. Wat moet ik doen?"),
    ("pl", "Dzień dobry, ekran mojego zegarka jest czarny od poniedziałku i zegarek się nie włącza. Co mam zrobić?"),
    ("pt", "Bom dia, o ecrã do meu relógio está preto desde segunda-feira e já não liga. O que devo fazer?"),
];

fn claim_of_size(language: &str, text: &str, size: usize) -> Vec<u8> {
    let head = format!(
        "{}{}",
        HEAD.replace("a1@", &format!("{language}@")),
        parts(text, &[("film.mp4", b"\0\0\0\x18ftypmp42")])
    );
    let (before, end) = head.rsplit_once("\r\n--b1--").unwrap();
    let filling = "=00".repeat(24) + "=\r\n";
    [before.as_bytes(), filling.repeat(size / filling.len()).as_bytes(), b"\r\n--b1--", end.as_bytes()].concat()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The sentence of a language that says how else to send files, from its template.
fn how_else(language: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("templates/mail/ask/{language}.txt"));
    let text = fs::read_to_string(file).unwrap();
    let (_, after) = text.split_once("{% if oversize %}").unwrap();
    let (said, _) = after.split_once("{% endif %}").unwrap();
    one_line(said.rsplit_once("}}").unwrap().1.trim_start_matches(['.', ',', ':']))
}

#[test]
fn whose_mail_is_too_large_is_told_in_every_language_how_else_to_send_it() {
    let here = Installation::of_maildirs();
    here.replace("[store]", "[limits]\nmail_size = \"1MiB\"\nreplies_per_sender = 20\n[store]");
    for (language, text) in CLAIMS {
        here.deliver(language, &claim_of_size(language, text, 2 << 20));
    }
    here.ok(&["once"]);
    let replies: Vec<Reply> = here.replies().iter().map(|raw| Reply::read(raw)).collect();
    for (language, _) in CLAIMS {
        let of = |reply: &&Reply| reply.in_reply_to.as_deref() == Some(&format!("{language}@example.net"));
        let reply = replies.iter().find(of).unwrap_or_else(|| panic!("no reply in {language}"));
        let (text, html) = (one_line(&reply.text), one_line(&reply.html));
        assert!(text.contains(&how_else(language)), "{language}: {:?} is not in {text}", how_else(language));
        assert!(
            text.contains('1') && html.contains(how_else(language).split('.').next().unwrap()),
            "{language}: {html}"
        );
    }
}

#[test]
fn of_a_hundred_megabytes_only_the_beginning_is_taken_in() {
    let raw = claim_of_size("en", CLAIMS[0].1, 100 << 20);
    let dovecot = Dovecot::start();
    dovecot.deliver(&raw);
    let replies = "kind = \"maildir\"\npath = \"replies\"";
    let of_imap = Installation::new(&keys("imap", &dovecot.server(Security::Tls)), replies, "");
    let of_maildir = Installation::of_maildirs();
    of_maildir.deliver("1", &raw);
    drop(raw);
    for here in [of_imap, of_maildir] {
        here.ok(&["once"]);
        let kept: u64 =
            fs::read_dir(here.path("store/raw")).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(kept < 1 << 20, "{kept} bytes were kept");
        let replies = here.replies();
        assert_eq!(replies.len(), 1);
        let reply = Reply::read(&replies[0]);
        assert!(one_line(&reply.text).contains(&how_else("en")), "{}", reply.text);
    }
}

#[test]
fn no_header_of_theirs_becomes_one_of_ours() {
    let smtpd = Smtpd::start(Security::None, &[]);
    let here = Installation::new("kind = \"maildir\"\npath = \"inbox\"", &keys("smtp", &smtpd.server(None)), "");
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(here.path("inbox").join(folder)).unwrap();
    }
    let bcc = "=?utf-8?q?x=0D=0ABcc=3A_eve=40evil.example=0D=0A=0D=0Ay=00?=";
    let base = "=?utf-8?b?eA0KQmNjOiBldmVAZXZpbC5leGFtcGxlDQoNCnk=?=";
    let heads = [
        format!("From: {bcc} <jo0@example.net>\r\nSubject: {bcc}"),
        format!("From: {base} <jo1@example.net>\r\nSubject: {base}\r\nMessage-ID: <a{base}@example.net>"),
        "From: \"Jo\\\r\n Bcc: eve@evil.example\" <jo2@example.net>\r\nSubject: x\r\n Bcc: eve@evil.example".to_owned(),
        "From: Jo <jo3@example.net>\r\nSubject: x\rBcc: eve@evil.example\r\nMessage-ID: <a\rBcc: eve@evil.example>".to_owned(),
        "From: Jo <jo4@example.net>\r\nSubject: x\0y\r\nReferences: <a\0@b> <c d@e>\r\n <f@g\rBcc:h>\r\nIn-Reply-To: <\u{2028}@x>".to_owned(),
        format!("From: Jo <jo5@example.net>, Eve <eve@evil.example>\r\nReply-To: jo5@example.net, eve@evil.example\r\nSubject: {}", "x".repeat(5000)),
        "From: =?utf-8?q?Jo?= <jo6@example.net> (\r\nBcc: eve@evil.example)\r\nSubject: =?utf-8?q?=E2=80=A8Bcc:eve=40evil.example?=".to_owned(),
        format!("From: \"jo7@example.net, eve@evil.example\" <jo7@example.net>\r\nSubject: [AS-\r\n]\r\nMessage-ID: <{}@x>", "m".repeat(890)),
    ];
    for (n, head) in heads.iter().enumerate() {
        here.deliver(&n.to_string(), format!("{head}\r\n\r\n{CLAIM}\r\n").as_bytes());
    }
    here.ok(&["once"]);
    let kept = smtpd.kept();
    let mut answered = Vec::new();
    for mail in &kept {
        let to = mail.envelope["to"].as_array().unwrap();
        assert_eq!(to.len(), 1, "{}", mail.envelope);
        let to = to[0].as_str().unwrap();
        assert!(to.starts_with("jo") && to.ends_with("@example.net"), "{to}");
        paths::check_mail(&mail.raw, to);
        answered.push(to.to_owned());
    }
    answered.sort();
    // Of two authors (jo5) nobody can tell who the customer is: a person answers.
    let expected: Vec<String> = (0..heads.len()).filter(|n| *n != 5).map(|n| format!("jo{n}@example.net")).collect();
    assert_eq!(answered, expected);
}

#[test]
fn names_of_files_lead_nowhere() {
    let dark = sample("app/demo/photos/watch-too-dark.jpg");
    let long = format!("{}.jpg", "n".repeat(4_000));
    for (name, shown) in [
        ("../../etc/passwd.jpg", "passwd.jpg"),
        ("C:\\\\Windows\\\\a.jpg", "a.jpg"),
        ("a\0b.jpg", "b.jpg"),
        ("CON", "CON"),
        (".bashrc", "bashrc"),
        ("\u{202E}gpj.exe.jpg", "gpj.exe.jpg"),
        (long.as_str(), "nnnnnn"),
        ("{{ 7177*7 }}.jpg", "{{ 7177*7 }}.jpg"),
        ("%s%n$(reboot).jpg", "%s%n$(reboot).jpg"),
        ("<b>x</b>.jpg", "b>.jpg"),
    ] {
        let told = told(CLAIM, &[(name, &dark)]);
        let text = told["reply"]["text"].as_str().unwrap();
        assert_eq!(photos(&told), (0, 1), "{name}");
        assert!(one_line(text).contains(shown), "{shown} is not in {text}");
        assert!(
            !text.contains("etc") && !text.contains("Windows") && !text.contains("50239") && !text.contains('\u{202E}')
        );
        assert!(text.lines().all(|line| line.chars().count() < 1_000), "{text}");
    }
}

fn triaged_text(from: &str, subject: &str, kind: &str, body: &str) -> Value {
    triaged(&format!(
        "From: {from}\r\nTo: us@example.com\r\nSubject: {subject}\r\nMessage-ID: <a1@example.net>\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/{kind}; charset=utf-8\r\n\r\n{body}\r\n"
    ))
}

#[test]
fn numbers_are_read_as_they_look() {
    let order = |kind: &str, number: &str| {
        let body = format!("Hello, my watch from order {number} does not charge since Monday.");
        triaged_text("Jo <jo@example.net>", "Watch", kind, &body)["facts"]["order_number"].clone()
    };
    for number in [
        "KS4\u{200B}1207",
        "K\u{200D}S41\u{2060}207",
        "\u{202D}KS41207\u{202C}",
        "KS41\u{AD}207",
        "ＫＳ４１２０７",
        "KS４１２07",
        "\u{FEFF}KS41207",
        "𝐊𝐒𝟒𝟏𝟐𝟎𝟕",
    ] {
        assert_eq!(order("plain", number), "KS41207", "{number:?}");
    }
    for number in [
        "KS4&#8203;1207",
        "KS41&shy;207",
        "KS41&zwnj;207",
        "&rlm;KS41207",
        "KS4<wbr>1207",
        "KS4<b>12</b>07",
        "&#xFF2B;S41207",
    ] {
        assert_eq!(order("html", number), "KS41207", "{number:?}");
    }
    // Letters of another alphabet look the same and are not.
    for number in ["\u{41A}S41207", "K\u{405}41207"] {
        assert_ne!(order("plain", number), "KS41207", "{number:?}");
    }
    let sku = |text: &str| {
        let body = format!("My {text} does not charge since Monday.");
        triaged_text("Jo <jo@example.net>", "Watch", "plain", &body)["facts"]["sku"].clone()
    };
    assert_eq!(sku("KP-TK\u{200B}T4-BK"), "KP-TKT4-BK");
    assert_eq!(sku("ＫＰ-ＴＫＴ４-ＢＫ"), "KP-TKT4-BK");
}

#[test]
fn nothing_turns_round_what_people_read() {
    let (evil, hidden) = ("\u{202E}\u{2066}\u{200F}", ['\u{202E}', '\u{2066}', '\u{200F}', '\u{200B}']);
    let from = format!("\"Mar{evil}ia Schm\u{200B}idt\" <jo@example.net>");
    let told = triaged_text(&from, &format!("Wat{evil}ch {{{{ 7177*7 }}}}"), "plain", &format!("Hello{evil}, {CLAIM}"));
    let (subject, text) = (told["reply"]["subject"].as_str().unwrap(), told["reply"]["text"].as_str().unwrap());
    assert!(!subject.contains(hidden) && !text.contains(hidden), "{subject} {text}");
    assert!(text.contains("Maria Schmidt") && subject.contains("{{ 7177*7 }}"), "{subject} {text}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.eml");
    fs::write(&file, format!("From: {from}\r\nSubject: {evil}x\r\n\r\nMy {evil}watch \x1B[2Jis dead.\r\n")).unwrap();
    let mut command = program();
    command.arg("triage").arg(&file);
    let page = run_within(command, PATIENCE).out;
    assert!(!page.contains(hidden) && !page.contains('\x1B'), "{page}");
    // An address that hides something is nobody's.
    let told = triaged_text("Jo <j\u{200B}o@example.net>", "Watch", "plain", CLAIM);
    assert_eq!((&told["reply"], &told["decision"]), (&Value::Null, &"staff".into()));
}
