use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::pipeline::parse;

fn screen() -> Screen {
    let desk = Desk {
        addresses: vec![Address::new("after-sales@example.com").unwrap()],
        trusted_authserv: vec!["mx.example.com".to_owned()],
        form_senders: vec![Address::new("webform@example.com").unwrap()],
        staff: vec![Address::new("anna@example.com").unwrap()],
    };
    Screen::new(desk, &Lexicons::embedded().unwrap())
}

fn class(headers: &str) -> Class {
    let mail = format!("From: Jo <jo@example.net>\nSubject: My watch\n{headers}\n\nIt is broken.\n");
    screen().classify(&parse::letter(mail.as_bytes(), false)).class
}

#[test]
fn headers_decide() {
    for (headers, expected) in [
        ("X-Mailer: a", Class::Customer),
        ("Auto-Submitted: no", Class::Customer),
        ("X-Auto-Response-Suppress: All", Class::Customer),
        ("Feedback-ID: 1.eu-west-1.abc=:AmazonSES", Class::Customer),
        ("List-Id: <after-sales.example.com>\nPrecedence: list\nX-BeenThere: after-sales@example.com", Class::Customer),
        ("X-Spam-Status: No, score=1", Class::Customer),
        ("Authentication-Results: other.example.org; dmarc=fail", Class::Customer),
        (
            "Authentication-Results: other.example.org; dmarc=pass\nAuthentication-Results: mx.example.com; dmarc=fail",
            Class::Spam,
        ),
        (
            "Authentication-Results: mx.example.com; dmarc=pass\nAuthentication-Results: mx.example.com; dmarc=fail",
            Class::Customer,
        ),
        ("Authentication-Results: mx.example.com 1; spf=pass; dmarc=fail (p=reject) header.from=x", Class::Spam),
        ("X-Spam-Flag: YES", Class::Spam),
        ("Auto-Submitted: auto-generated", Class::Bulk),
        ("Auto-Submitted: auto-replied (vacation)", Class::AutoReply),
        ("Auto-Submitted: auto-notified; owner-email=\"me@example.com\"", Class::Bulk),
        ("Precedence: auto_reply", Class::AutoReply),
        ("Precedence: bulk", Class::Bulk),
        ("List-Unsubscribe: <mailto:x@example.org>", Class::Bulk),
        ("Feedback-ID: 1:2:campaign:sender", Class::Bulk),
        ("Return-Path: <>", Class::Bounce),
        ("X-Failed-Recipients: a@example.org", Class::Bounce),
        ("Content-Type: multipart/report; report-type=delivery-status; boundary=x", Class::Bounce),
        ("Content-Type: multipart/report; report-type=disposition-notification; boundary=x", Class::AutoReply),
        ("X-Aftersalesd-Loop: 1", Class::Own),
    ] {
        assert_eq!(class(headers), expected, "{headers}");
    }
}

fn from(mail: &str) -> Screening {
    screen().classify(&parse::letter(mail.as_bytes(), false))
}

#[test]
fn senders_and_subjects_decide() {
    for (sender, subject, expected) in [
        ("after-sales@example.com", "x", Class::Own),
        ("MAILER-DAEMON@mx.example.org", "x", Class::Bounce),
        ("Mail Delivery System <x@example.org>", "x", Class::Bounce),
        ("no-reply@shop.example", "x", Class::Bulk),
        ("do_not.reply@shop.example", "x", Class::Bulk),
        ("jo@example.net", "Automatic reply: Your request", Class::AutoReply),
        ("jo@example.net", "Automatische Antwort: Ihre Anfrage", Class::AutoReply),
        ("jo@example.net", "Undeliverable: Your request", Class::Bounce),
        ("jo@example.net", "Fwd: Undelivered Mail Returned to Sender", Class::Customer),
        ("jo@example.net", "Out of officers", Class::Customer),
        ("jo@example.net", "Undeliverable parcel", Class::Customer),
    ] {
        assert_eq!(from(&format!("From: {sender}\nSubject: {subject}\n\nx\n")).class, expected, "{sender} {subject}");
    }
}

#[test]
fn a_web_form_speaks_for_the_customer_in_reply_to() {
    let mail =
        "From: webform@example.com\nReply-To: Jo <jo@example.net>\nAuto-Submitted: auto-generated\nSubject: x\n\nx\n";
    let screening = from(mail);
    assert_eq!(screening.class, Class::Customer);
    assert_eq!(screening.customer.unwrap().address.as_str(), "jo@example.net");
    let nameless = from("From: webform@example.com\nSubject: x\n\nx\n");
    assert_eq!((nameless.class, nameless.customer), (Class::Customer, None), "for a person, and no answer");
    assert_eq!(from("From: webform@example.com\nReply-To: after-sales@example.com\n\nx\n").class, Class::Own);
}

#[test]
fn only_one_clear_author_is_answered() {
    let answered = |head: &str| from(&format!("{head}\nSubject: x\n\nx\n")).customer.map(|p| p.address.to_string());
    for (head, address) in [
        ("From: \"owner@example.net\" <evil@example.org>", Some("evil@example.org")),
        ("From: owner@example.net <evil@example.org>", Some("evil@example.org")),
        ("From: \"owner@example.net <owner@example.net>\" <evil@example.org>", Some("evil@example.org")),
        ("From: =?utf-8?q?owner=40example=2Enet?= <evil@example.org>", Some("evil@example.org")),
        ("From: evil@example.org (owner@example.net)", Some("evil@example.org")),
        ("From: evil@example.org\nReply-To: owner@example.net\nSender: owner@example.net", Some("evil@example.org")),
        ("From: Jo <JO@Example.NET>", Some("jo@example.net")),
        ("From: Team: jo@example.net;", Some("jo@example.net")),
        ("From: jo@example.net, Jo <jo@example.net>", Some("jo@example.net")),
        ("From: jo@example.net, evil@example.org", None),
        ("From: Team: jo@example.net, evil@example.org;", None),
        ("From: jo@example.net\nFrom: evil@example.org", None),
        ("From: undisclosed:;", None),
        ("From: anna@example.com", None),
    ] {
        assert_eq!(answered(head).as_deref(), address, "{head}");
    }
}

#[test]
fn spam_headers_count_for_nothing_without_a_trusted_server() {
    let open = Screen::new(Desk::default(), &Lexicons::embedded().unwrap());
    let letter = parse::letter(b"From: jo@example.net\nX-Spam-Flag: YES\n\nx\n", false);
    assert_eq!(open.classify(&letter).class, Class::Customer);
}

/// The n-th mail of an mbox, or the whole file.
fn mail(root: &Path, path: &str) -> Vec<u8> {
    let Some((path, number)) = path.split_once('#') else { return fs::read(root.join(path)).unwrap() };
    let all = fs::read(root.join(path)).unwrap();
    let mut mails: Vec<Vec<u8>> = Vec::new();
    for line in all.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b"From ") {
            mails.push(Vec::new());
        } else if let Some(mail) = mails.last_mut() {
            mail.extend(line);
        }
    }
    mails.swap_remove(number.parse::<usize>().unwrap() - 1)
}

#[test]
fn real_mail_is_told_apart() {
    let root = Path::new("../shared/corpora"); // cargo runs tests in the project root
    let Ok(labels) = fs::read_to_string(root.join("labels.tsv")) else { return };
    let screen = Screen::new(Desk::default(), &Lexicons::embedded().unwrap());
    let mut classes: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut corpora: BTreeMap<String, Tally> = BTreeMap::new();
    let (mut answered, mut held) = (Vec::new(), Vec::new());
    for line in labels.lines().skip(1) {
        let [path, class, gate, evidence] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let letter = parse::letter(&mail(root, path), false);
        let got = screen.classify(&letter);
        *classes.entry((format!("{class}/{gate}"), got.class.code())).or_default() += 1;
        let tally = corpora.entry(path.split('/').next().unwrap().to_owned()).or_default();
        let is_customer = got.class == Class::Customer;
        match gate {
            "suppress" => {
                tally.suppress += 1;
                if is_customer {
                    tally.answered += 1;
                    answered.push(format!("{path}: {evidence}"));
                }
            }
            "may_reply" => {
                tally.may_reply += 1;
                if !is_customer {
                    tally.held += 1;
                    held.push(format!("{path}: {evidence}: {}", got.why));
                }
            }
            _ => {}
        }
    }
    for ((label, class), count) in &classes {
        println!("{label:24} {class:12} {count:5}");
    }
    for (corpus, tally) in &corpora {
        let Tally { suppress, answered, may_reply, held } = tally;
        println!("{corpus:24} answered {answered:3} of {suppress:3}   held back {held:3} of {may_reply:3}");
    }
    let may_reply: usize = corpora.values().map(|tally| tally.may_reply).sum();
    println!("answered:\n{}\nheld back, {} of {may_reply}:\n{}", answered.join("\n"), held.len(), held.join("\n"));
    assert!(answered.is_empty(), "{answered:#?}");
    assert!(held.len() * 50 <= may_reply, "{held:#?}");
}

/// Of one corpus: mail that must not be answered and would be, mail that may be and would not.
#[derive(Default)]
struct Tally {
    suppress: usize,
    answered: usize,
    may_reply: usize,
    held: usize,
}
