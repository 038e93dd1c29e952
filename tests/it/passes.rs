//! `once`, again and again: nothing is done twice, nothing is lost, whichever server is away.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Stdio;

use aftersalesd::ports::{Security, Server};
use serde_json::{Value, json};

use crate::support::dovecot::Dovecot;
use crate::support::post::Reply;
use crate::support::program::{FROM, Installation, keys, sample};
use crate::support::smtpd::Smtpd;
use crate::support::{free_port, letter};

/// Room for all the mail of a test.
pub const NO_CAP: &str = "[limits]\nreplies_per_hour = 100000\n";

/// A mailbox, a mail server and the program between them.
pub struct Post {
    pub dovecot: Dovecot,
    pub smtpd: Smtpd,
    pub here: Installation,
}

impl Post {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With further keys in `[mailbox]`.
    pub fn start_with(further: &str) -> Self {
        let (dovecot, smtpd) = (Dovecot::start(), Smtpd::start(Security::None, &[]));
        let imap = keys("imap", &dovecot.server(Security::None)) + further;
        let here = Installation::new(&imap, &keys("smtp", &smtpd.server(None)), NO_CAP);
        Self { dovecot, smtpd, here }
    }

    pub fn replies(&self) -> Vec<Reply> {
        self.smtpd.kept().iter().map(|kept| Reply::read(&kept.raw)).collect()
    }

    /// How many replies came to each address.
    pub fn replies_by_address(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut by_address: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for reply in self.replies() {
            by_address.entry(reply.to).or_default().insert(reply.message_id);
        }
        by_address
    }

    pub fn cases(&self) -> Vec<Value> {
        self.here.json(&["cases", "list", "--json"])
    }

    fn without_smtp(&self) {
        let away = Server { port: free_port(), ..self.smtpd.server(None) };
        self.here.configure(&keys("imap", &self.dovecot.server(Security::None)), &keys("smtp", &away), NO_CAP);
    }

    fn with_smtp(&self) {
        let imap = keys("imap", &self.dovecot.server(Security::None));
        self.here.configure(&imap, &keys("smtp", &self.smtpd.server(None)), NO_CAP);
    }
}

// --- nothing twice ------------------------------------------------------------------------------------------------

#[test]
fn a_second_pass_changes_nothing() {
    let post = Post::start();
    let mails: Vec<String> = (0..5).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 5);
    let export = post.here.ok(&["export"]).out;
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 5);
    assert_eq!(post.here.ok(&["export"]).out, export);
}

#[test]
fn the_same_mail_under_two_uids_gets_one_reply() {
    let post = Post::start();
    let once = letter(1, 900);
    // The second copy came another way.
    let again = format!("Received: from elsewhere by mx; Sun, 22 Nov 2026 10:00:09 +0000\r\n{once}");
    post.dovecot.deliver_all([once.as_str(), once.as_str(), again.as_str()]);
    post.here.ok(&["once"]);
    post.dovecot.deliver(&once);
    post.here.ok(&["once"]);
    assert_eq!(post.replies().len(), 1);
    let cases = post.cases();
    assert_eq!((cases.len(), &cases[0]["letters"], &cases[0]["replies"]), (1, &json!(1), &json!(1)));
    assert!(post.dovecot.flags("INBOX").iter().all(|(_, flags)| flags.contains("Seen")));
}

#[test]
fn another_mail_under_the_same_message_id_is_a_letter_of_its_own() {
    let post = Post::start();
    let other = letter(1, 900).replace("strap", "button").replace("jo1@", "kim@");
    post.dovecot.deliver_all([letter(1, 900).as_str(), other.as_str()]);
    post.here.ok(&["once"]);
    assert_eq!(post.replies_by_address().into_keys().collect::<Vec<_>>(), ["jo1@example.net", "kim@example.net"]);
}

#[test]
fn a_mailbox_that_numbers_anew_gets_no_second_replies() {
    let post = Post::start_with("folder = \"Claims\"\n");
    post.dovecot.make_folder("Claims");
    let mails: Vec<String> = (0..20).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    post.dovecot.copy_to("Claims");
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 20);
    let cases = post.cases();
    // One more, before all the others: another UID for each.
    post.dovecot.remake_folder("Claims");
    post.dovecot.deliver(&letter(20, 900));
    post.dovecot.copy_to("Claims");
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 21);
    assert_eq!(post.replies_by_address().len(), 21);
    let after = post.cases();
    assert_eq!(after.len(), 21);
    assert!(cases.iter().all(|case| after.contains(case)), "the known cases are as they were");
    assert!(post.dovecot.flags("Claims").iter().all(|(_, flags)| flags.contains("Seen")));
}

// --- servers that are away ----------------------------------------------------------------------------------------

#[test]
fn a_reply_waits_for_the_mail_server_and_stays_the_same() {
    let post = Post::start();
    post.without_smtp();
    post.dovecot.deliver(&letter(1, 900));
    for _ in 0..2 {
        let told = post.here.run(&["once"]);
        assert_eq!(told.code, Some(75), "{told:?}");
        assert!(told.complaints()[0].contains("1 reply waits in the outbox"), "{told:?}");
    }
    let case = post.cases()[0]["case"].as_str().unwrap().to_owned();
    let queued = queued(&post, &case);
    assert_eq!(queued.len(), 1);
    post.with_smtp();
    post.here.ok(&["once"]);
    let replies = post.replies();
    assert_eq!(replies.iter().map(|reply| &reply.message_id).collect::<Vec<_>>(), queued.iter().collect::<Vec<_>>());
    post.here.ok(&["once"]);
    assert_eq!(post.replies().len(), 1);
}

/// The Message-IDs of the replies that a case has written.
fn queued(post: &Post, case: &str) -> Vec<String> {
    let shown = post.here.json(&["cases", "show", case, "--json"]);
    let events = shown[0]["events"].as_array().unwrap();
    let queued = events.iter().filter(|event| event["event"] == "reply_queued");
    queued.map(|event| event["message_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn letters_wait_for_the_mailbox_and_replies_do_not() {
    let mut post = Post::start();
    post.dovecot.deliver(&letter(1, 900));
    post.without_smtp();
    assert_eq!(post.here.run(&["once"]).code, Some(75));
    post.with_smtp();
    post.dovecot.deliver(&letter(2, 900));
    post.dovecot.stop();
    assert_eq!(post.here.run(&["once"]).code, Some(75));
    assert_eq!(post.replies().len(), 1, "what waited has left");
    post.dovecot.restart();
    post.here.ok(&["once"]);
    assert_eq!(post.replies_by_address().len(), 2);
    assert_eq!(post.replies().len(), 2);
}

#[test]
fn a_refused_reply_takes_its_case_to_staff() {
    let post = Post::start();
    post.dovecot.deliver(&letter(1, 900).replace("jo1@", "never@"));
    post.dovecot.deliver(&letter(2, 900).replace("jo2@", "later@"));
    let told = post.here.run(&["once"]);
    assert_eq!(told.code, Some(75), "{told:?}");
    let state = |customer: &str| {
        let found = post.here.json(&["cases", "search", customer, "--json"]);
        assert_eq!(found.len(), 1);
        found[0]["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state("never@example.net"), "with_staff");
    assert_eq!(state("later@example.net"), "awaiting_info");
    assert!(post.smtpd.kept().is_empty());
}

#[test]
fn the_cap_of_an_hour_holds_replies_back() {
    let post = Post::start();
    post.here.replace("replies_per_hour = 100000", "replies_per_hour = 3");
    let mails: Vec<String> = (0..5).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    for _ in 0..2 {
        let told = post.here.run(&["once"]);
        assert_eq!(told.code, Some(75), "{told:?}");
        assert!(told.err.contains("cap on replies"), "{}", told.err);
        assert!(told.complaints()[0].contains("2 replies wait"), "{told:?}");
        assert_eq!(post.smtpd.kept().len(), 3);
    }
    post.here.replace("replies_per_hour = 3", "replies_per_hour = 5");
    post.here.ok(&["once"]);
    assert_eq!(post.replies_by_address().len(), 5);
}

// --- what gets no reply -------------------------------------------------------------------------------------------

#[test]
fn machines_lists_and_forgers_get_no_reply() {
    let post = Post::start_with("trusted_authserv = [\"mx.demo.example\"]\n");
    let names = ["04-newsletter", "05-out-of-office", "18-bounce", "25-forged-sender", "26-own-mail-came-back"];
    for name in names {
        let mail = fs::read_to_string(sample(&format!("mail/{name}.eml"))).unwrap();
        post.dovecot.deliver(&mail.replace("after-sales@demo.example", FROM).replace('\n', "\r\n"));
    }
    post.here.ok(&["once"]);
    assert_eq!(post.replies().len(), 0, "{:#?}", post.replies());
    assert_eq!(post.dovecot.flags("INBOX").iter().filter(|(_, flags)| flags.contains("Seen")).count(), names.len());
    assert_eq!(post.here.json(&["cases", "quarantine", "--json"]).len(), 0);
}

#[test]
fn a_handled_letter_gets_a_keyword_or_moves() {
    let post = Post::start_with("handled = \"keyword:Handled\"\n");
    post.dovecot.deliver_all([letter(1, 900).as_str(), letter(2, 900).as_str()]);
    post.here.ok(&["once"]);
    let flags = post.dovecot.flags("INBOX");
    assert!(flags.len() == 2 && flags.iter().all(|(_, flags)| flags == "Handled"), "{flags:?}");
    post.dovecot.make_folder("Done");
    post.here.replace("keyword:Handled", "move:Done");
    post.dovecot.deliver(&letter(3, 900));
    post.here.ok(&["once"]);
    assert_eq!((post.dovecot.flags("INBOX").len(), post.dovecot.flags("Done").len()), (2, 1));
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 3);
}

#[test]
fn a_maildir_is_answered_into_a_maildir() {
    let here = Installation::of_maildirs();
    for number in 0..3 {
        here.deliver(&format!("{number}.host"), letter(number, 900).as_bytes());
    }
    here.ok(&["check"]);
    here.ok(&["once"]);
    let count = |folder: &str| fs::read_dir(here.path(folder)).unwrap().count();
    assert_eq!((count("inbox/new"), count("inbox/cur")), (0, 3));
    let to: BTreeSet<String> = here.replies().iter().map(|raw| Reply::read(raw).to).collect();
    assert_eq!(to.into_iter().collect::<Vec<_>>(), ["jo0@example.net", "jo1@example.net", "jo2@example.net"]);
    here.ok(&["once"]);
    assert_eq!(here.replies().len(), 3);
}

#[test]
fn a_thousand_letters_are_answered_in_one_pass() {
    let post = Post::start();
    let mails: Vec<String> = (0..1000).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    post.here.ok(&["once"]);
    let by_address = post.replies_by_address();
    assert_eq!(post.smtpd.kept().len(), 1000);
    assert_eq!(by_address.len(), 1000);
    assert_eq!(post.cases().len(), 1000);
    assert!(post.dovecot.flags("INBOX").iter().all(|(_, flags)| flags.contains("Seen")));
}

// --- export and import --------------------------------------------------------------------------------------------

#[test]
fn an_export_makes_the_same_store_elsewhere() {
    let here = Installation::of_maildirs();
    for (number, name) in
        ["11-swollen-battery", "24-outlook-quote-blurred-photo", "28-french-base64"].iter().enumerate()
    {
        here.deliver(&format!("{number}.host"), &fs::read(sample(&format!("mail/{name}.eml"))).unwrap());
    }
    here.deliver("9.host", b"Subject: caf\xe9 \xff\n\nlatin-1 bytes \xe9\xe8\n");
    here.ok(&["once"]);
    let export = here.ok(&["export"]).out;
    let there = Installation::of_maildirs();
    there.write("export", &export);
    there.ok(&["import", there.path("export").to_str().unwrap()]);
    assert_eq!(there.ok(&["export"]).out, export);
    let cases = |of: &Installation| of.ok(&["cases", "list", "--json"]).out;
    assert_eq!(cases(&there), cases(&here));
    // The same mail in the other mailbox is known there.
    for (number, file) in fs::read_dir(here.path("inbox/cur")).unwrap().enumerate() {
        there.deliver(&format!("{number}.there"), &fs::read(file.unwrap().path()).unwrap());
    }
    there.ok(&["once"]);
    assert!(there.replies().is_empty(), "nothing is answered twice");
    assert_eq!(cases(&there), cases(&here));
    // Through a pipe as well.
    let piped = Installation::of_maildirs();
    let mut import = piped.command(&["import", "-"]);
    let ended = import.stdin(Stdio::from(fs::File::open(there.path("export")).unwrap())).status().unwrap();
    assert!(ended.success());
    assert_eq!(piped.ok(&["export"]).out, export);
}
