//! Every mail is seen by somebody: what no program should send, and some do, becomes a case, a quarantine entry or a
//! counted letter of its class; staff can list it and read its words.

use std::collections::BTreeMap;

use aftersalesd::domain::ids::LetterId;
use aftersalesd::ports::Security;
use regex::Regex;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::dovecot::Dovecot;
use crate::support::program::{Installation, keys, program, run};

/// A mail, the class it is listed under, and words in it that people must be able to read.
struct Odd {
    name: &'static str,
    raw: Vec<u8>,
    class: &'static str,
    words: &'static str,
}

fn odd(name: &'static str, class: &'static str, words: &'static str, raw: impl Into<Vec<u8>>) -> Odd {
    Odd { name, raw: raw.into(), class, words }
}

const HEAD: &str = "From: Jo <jo@example.net>\r\nSubject: Watch\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n";

/// The head with an id of its own, further fields, and a body.
fn mail(name: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    [HEAD.as_bytes(), format!("Message-ID: <{name}@example.net>\r\n{fields}\r\n").as_bytes(), body].concat()
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// "Gerät lädt nicht" in ISO-8859-1.
const WEST: &[u8] = b"Mein Ger\xE4t l\xE4dt nicht.";
/// "Zegarek nie ładuje się" in ISO-8859-2.
const EAST: &[u8] = b"Zegarek nie \xB3aduje si\xEA od wczoraj.";

fn mails() -> Vec<Odd> {
    let long: String = (0..9000).map(|n| format!(" =?utf-8?q?Watch_{n}_?=\r\n")).collect();
    let mixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n";
    let plain = |charset: &str| format!("Content-Type: text/plain; charset={charset}\r\n");
    let body = "My watch is dead since Monday.\r\n";
    let crlf = String::from_utf8(mail("", "", body.as_bytes())).unwrap();
    let named = |name: &str| crlf.replace("<@", &format!("<{name}@"));
    vec![
        odd("no-from", "quarantine", "dead since", named("no-from").replace("From: Jo <jo@example.net>\r\n", "")),
        odd("no-domain", "quarantine", "dead since", named("no-domain").replace("jo@example.net", "jo")),
        odd("from-with-nul", "quarantine", "dead since", named("from-nul").replace("Jo <jo@exam", "Jo <jo\0@exam\0")),
        odd("empty-from", "quarantine", "dead since", named("empty-from").replace("Jo <jo@example.net>", "")),
        odd("nothing-after-header", "customer", "Watch", mail("nothing", "", b"")),
        odd("only-header", "customer", "Watch", &HEAD.as_bytes()[..HEAD.len() - 2]),
        odd("bare-cr", "customer", "dead since", named("bare-cr").replace("\r\n", "\r")),
        odd("bare-lf", "customer", "dead since", named("bare-lf").replace("\r\n", "\n")),
        odd("nul-in-body", "customer", "is dead since", mail("nul", "", b"My wa\0tch is dead since Monday.\0\r\n")),
        odd("latin-1-undeclared", "customer", "Gerät lädt", mail("l1", "", WEST)),
        odd("latin-1-as-ascii", "customer", "Gerät lädt", mail("l1a", &plain("us-ascii"), WEST)),
        odd("latin-1-as-utf-8", "customer", "Gerät lädt", mail("l1u", &plain("utf-8"), WEST)),
        odd("latin-1-as-unknown", "customer", "Gerät lädt", mail("l1x", &plain("x-user-defined"), WEST)),
        odd("latin-2-undeclared", "customer", "nie ładuje się", mail("l2", "", EAST)),
        odd("latin-2-as-ascii", "customer", "nie ładuje się", mail("l2a", &plain("us-ascii"), EAST)),
        odd("latin-2-as-utf-8", "customer", "nie ładuje się", mail("l2u", &plain("utf-8"), EAST)),
        odd(
            "windows-1250",
            "customer",
            "są źle",
            mail("w0", &plain("windows-1250"), b"Piksele s\xB9 \x9Fle od wczoraj."),
        ),
        odd("windows-1250-undeclared", "customer", "są źle", mail("w1", "", b"Piksele s\xB9 \x9Fle, nie \xB3aduje.")),
        odd(
            "windows-1252-undeclared",
            "customer",
            "10 € für",
            mail("w2", "", b"Ich zahlte 10 \x80 f\xFCr das Ger\xE4t."),
        ),
        odd("8-bit-subject", "customer", "Gerät lädt nicht", {
            let (before, after) = HEAD.split_once("Watch").unwrap();
            [before.as_bytes(), &WEST[5..], after.as_bytes(), b"\r\nx\r\n"].concat()
        }),
        odd("long-header", "customer", "dead since", mail("long", &format!("X-Words:\r\n{long}"), body.as_bytes())),
        odd(
            "long-subject",
            "customer",
            "dead since",
            named("long-subject").replace("Subject: Watch\r\n", &format!("Subject:\r\n{long}")),
        ),
        odd(
            "unterminated",
            "customer",
            "dead since",
            mail("unterminated", mixed, format!("--b\r\nContent-Type: text/plain\r\n\r\n{body}").as_bytes()),
        ),
        odd(
            "no-boundary",
            "customer",
            "dead since",
            mail("nobound", &mixed.replace("; boundary=\"b\"", ""), body.as_bytes()),
        ),
        odd("boundary-never-seen", "customer", "dead since", mail("unseen", mixed, body.as_bytes())),
        odd(
            "base64-with-garbage",
            "customer",
            "My watch is dead",
            mail(
                "b64",
                "Content-Transfer-Encoding: base64\r\n",
                b"TXkgd2F0\r\n!!Y2ggaXMgZGVhZCBzaW5jZSBNb25kYXks\xFF\r\nIHdoYXQgY2FuIEkgZG8gYWJvdXQgaXQ/\r\n",
            ),
        ),
        odd(
            "no-base64-at-all",
            "customer",
            "Mein Gerät",
            mail("nob64", "Content-Transfer-Encoding: base64\r\n", "Mein Gerät lädt nicht, was tun?\r\n".as_bytes()),
        ),
        odd(
            "broken-quoted-printable",
            "customer",
            "Watch = dead, 100=% sure",
            mail("qp", "Content-Transfer-Encoding: quoted-printable\r\n", b"Watch = dead, 100=% sure =\r\n=ZZ ="),
        ),
        odd(
            "unknown-encoding",
            "customer",
            "dead since",
            mail("uu", "Content-Transfer-Encoding: x-foo\r\n", body.as_bytes()),
        ),
        odd("utf-16-body", "customer", "Gerät", mail("u16", &plain("utf-16le"), &utf16("Mein Gerät lädt nicht."))),
        odd("utf-16-undeclared", "customer", "Gerät", mail("u16u", "", &utf16("Mein Gerät lädt nicht."))),
        odd("empty", "quarantine", "none", ""),
        odd("one-byte", "quarantine", "x", "x"),
        odd("one-line-end", "quarantine", "none", "\r\n"),
        odd("headerless", "quarantine", "dead since", body),
        odd("utf-16-whole", "quarantine", "Gerät", utf16("From: Jo\r\n\r\nMein Gerät lädt nicht.")),
        odd(
            "mbox-line",
            "customer",
            "dead since",
            format!("From jo@example.net Sun Nov 22 10:00:00 2026\r\n{}", named("mbox")),
        ),
        odd("leading-blank-line", "customer", "dead since", format!("\r\n{}", named("blank"))),
        odd(
            "newsletter",
            "bulk",
            "Buy now",
            mail(
                "news",
                "List-Id: <x.example>\r\nList-Unsubscribe: <https://x.example>\r\nPrecedence: bulk\r\n",
                b"Buy now.",
            ),
        ),
        odd(
            "out-of-office",
            "auto_reply",
            "back soon",
            mail("ooo", "Auto-Submitted: auto-replied\r\n", b"I am back soon."),
        ),
    ]
}

#[test]
fn people_can_read_every_odd_mail() {
    let dir = tempfile::tempdir().unwrap();
    let mails = mails();
    let mut command = program();
    command.arg("triage").current_dir(dir.path());
    for odd in &mails {
        let file = format!("{}.eml", odd.name);
        std::fs::write(dir.path().join(&file), &odd.raw).unwrap();
        command.arg(file);
    }
    let told = run(command);
    assert_eq!(told.code, Some(0), "{}", told.err);
    let marks = Regex::new(r"│|\[[a-z_/+. ]+: |\]").unwrap();
    let mut rest = told.out.as_str();
    for (n, odd) in mails.iter().enumerate() {
        let start = rest.find(&format!("{}.eml", odd.name)).unwrap_or_else(|| panic!("{}: {rest}", odd.name));
        rest = &rest[start..];
        let end = mails.get(n + 1).and_then(|next| rest.find(&format!("{}.eml", next.name))).unwrap_or(rest.len());
        let page = &rest[..end];
        // Without the frame and the marks of what was read.
        let words = marks.replace_all(page, "").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(odd.words), "{}: {:?} is not in\n{page}", odd.name, odd.words);
        assert!(!page.contains('\u{FFFD}'), "{}: {page}", odd.name);
    }
}

/// What is shown of a letter holds its words.
fn expect_readable(here: &Installation, mails: &[Odd], letters: &[Value]) {
    for odd in mails {
        let id = LetterId::from_digest(&Sha256::digest(&odd.raw).into());
        let Some(listed) = letters.iter().find(|letter| letter["letter"] == id.as_str()) else { continue };
        let shown = here.json(&["cases", "show", &id.as_str()[..12], "--json"]).remove(0);
        assert_eq!((&shown["class"], &shown["letter"]), (&listed["class"], &listed["letter"]), "{}", odd.name);
        assert_eq!(shown["why"].is_string(), odd.class == "quarantine", "{}", odd.name);
        let of_mail = format!("{} {}", shown["text"].as_str().unwrap(), shown["subject"].as_str().unwrap());
        let words = of_mail.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(odd.words == "none" || words.contains(odd.words), "{}: {:?} is not in {of_mail}", odd.name, odd.words);
    }
}

/// Which classes are listed how often.
fn tally<'a>(classes: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    classes.fold(BTreeMap::new(), |mut tally, class| {
        *tally.entry(class).or_default() += 1;
        tally
    })
}

fn expect_all_listed(here: &Installation, mails: &[Odd]) -> Vec<Value> {
    let letters = here.json(&["cases", "letters", "--json"]);
    let found = tally(letters.iter().map(|letter| letter["class"].as_str().unwrap()));
    assert_eq!(found, tally(mails.iter().map(|odd| odd.class)), "{letters:#?}");
    let quarantined = mails.iter().filter(|odd| odd.class == "quarantine").count();
    assert_eq!(here.json(&["cases", "quarantine", "--json"]).len(), quarantined);
    assert_eq!(here.json(&["cases", "letters", "--json", "--class", "quarantine"]).len(), quarantined);
    let of_case = |letter: &&Value| letter["class"] == "customer" && letter["case"].is_null();
    assert_eq!(letters.iter().find(of_case), None, "a customer's letter without a case");
    letters
}

#[test]
fn a_maildir_of_odd_mail_is_listed_whole() {
    let here = Installation::of_maildirs();
    let mails = mails();
    for odd in &mails {
        here.deliver(odd.name, &odd.raw);
    }
    here.ok(&["once"]);
    let letters = expect_all_listed(&here, &mails);
    for odd in &mails {
        let id = LetterId::from_digest(&Sha256::digest(&odd.raw).into());
        let letter = letters.iter().find(|letter| letter["letter"] == id.as_str());
        assert_eq!(letter.map(|letter| &letter["class"]), Some(&Value::from(odd.class)), "{}", odd.name);
    }
    let daemon = here.start();
    expect_readable(&here, &mails, &letters);
    drop(daemon);
    let bulk = here.json(&["cases", "letters", "--json", "--class", "bulk"]);
    assert_eq!((bulk.len(), &bulk[0]["subject"], &bulk[0]["from"]), (1, &"Watch".into(), &"jo@example.net".into()));
    let last = here.json(&["cases", "letters", "--json", "--last", "3"]);
    assert_eq!(last, letters[letters.len() - 3..]);
    assert_eq!(here.ok(&["cases", "letters"]).out.lines().count(), letters.len());
    let told = here.run(&["cases", "letters", "--class", "spm"]);
    assert_eq!(told.code, Some(1));
    assert!(told.err.contains("\"spm\"") && told.err.contains("auto_reply"), "{}", told.err);
}

#[test]
fn a_letter_without_an_author_who_says_where_to_answer_is_a_case_for_staff_and_not_answered() {
    let here = Installation::of_maildirs();
    let raw = mail("no-author", "Reply-To: Kim <kim@example.net>\r\n", b"My watch is dead since Monday.\r\n");
    let raw = String::from_utf8(raw).unwrap().replace("From: Jo <jo@example.net>\r\n", "");
    assert!(here.say(&raw).is_empty());
    let cases = here.json(&["cases", "list", "--json"]);
    assert_eq!(
        (cases.len(), &cases[0]["state"], &cases[0]["customer"]),
        (1, &"with_staff".into(), &"kim@example.net".into())
    );
    assert!(here.json(&["cases", "quarantine", "--json"]).is_empty());
}

#[test]
fn an_imap_mailbox_of_odd_mail_is_listed_whole() {
    let dovecot = Dovecot::start();
    let mut mails = mails();
    // Dovecot gives another byte in place of a NUL, which makes an address of it; one that can't be answered.
    mails.iter_mut().filter(|odd| odd.name == "from-with-nul").for_each(|odd| odd.class = "customer");
    dovecot.deliver_all(mails.iter().map(|odd| &odd.raw));
    let mailbox = keys("imap", &dovecot.server(Security::Tls));
    let here = Installation::new(&mailbox, "kind = \"maildir\"\npath = \"replies\"", "");
    here.ok(&["once"]);
    expect_all_listed(&here, &mails);
    assert!(dovecot.flags("INBOX").iter().all(|(_, flags)| flags.contains("\\Seen")), "{:?}", dovecot.flags("INBOX"));
}
