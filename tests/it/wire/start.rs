//! The first start with a folder that has old mail in it, and a folder that can't be marked.
//!
//! `WIRE_OLD_MAIL=50000` says how many old mails are taken in; the figures are printed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use aftersalesd::ports::Security;

use crate::passes::Post;
use crate::support::dovecot::{Dovecot, USER};
use crate::support::letter;
use crate::support::program::{Installation, await_that, keys};

/// Mails that have lain in INBOX for `days`.
fn fill(dovecot: &Dovecot, number: usize, days: u64) {
    let mails: Vec<String> = (0..number).map(|number| letter(number, 300)).collect();
    dovecot.deliver_all(mails.iter().map(String::as_str));
    age(&dovecot.maildir().join("new"), days);
}

/// A Maildir's dates of arrival are its files' (INTERNALDATE in Dovecot).
fn age(folder: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    for entry in fs::read_dir(folder).unwrap() {
        File::options().write(true).open(entry.unwrap().path()).unwrap().set_modified(then).unwrap();
    }
}

/// The most memory that this process has had so far, in MiB.
fn peak(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() / 1024
}

#[test]
fn from_now_on_leaves_fifty_thousand_old_mails_alone_and_answers_the_next() {
    const OLD: usize = 50_000;
    let post = Post::start_with("start = \"now\"\n");
    // Dovecot reads every file once before it answers the first SELECT.
    post.here.replace("timeout = \"5s\"", "timeout = \"60s\"");
    fill(&post.dovecot, 1, 100);
    // The same file under many names: as many mails to Dovecot.
    let new = post.dovecot.maildir().join("new");
    let first = fs::read_dir(&new).unwrap().next().unwrap().unwrap().path();
    (1..OLD).for_each(|number| fs::hard_link(&first, new.join(format!("{number}.old"))).unwrap());
    assert!(post.here.ok(&["check"]).out.contains("start = \"now\""));
    let begun = Instant::now();
    let told = post.here.ok(&["once"]);
    let took = begun.elapsed();
    let line = told.err.lines().find(|line| line.contains("are left alone")).unwrap();
    assert!(line.contains(&OLD.to_string()), "{line}");
    println!("{OLD} old mails left alone in {took:?}");
    post.dovecot.deliver(&letter(OLD, 300));
    // Noted for good: what the configuration says later changes nothing.
    post.here.replace("start = \"now\"", "start = \"all\"");
    post.here.ok(&["once"]);
    assert_eq!(post.replies_by_address().into_keys().collect::<Vec<_>>(), [format!("jo{OLD}@example.net")]);
    assert_eq!(post.cases().len(), 1);
    let unseen = post.dovecot.doveadm(&["search", "-u", USER, "mailbox", "INBOX", "unseen"]);
    assert_eq!(unseen.lines().count(), OLD, "none of the old ones is touched");
    let audit = post.here.ok(&["audit", "--json"]).json();
    assert_eq!(audit.last().unwrap()["mailbox"]["before"], OLD, "{audit:#?}");
}

#[test]
fn what_was_left_alone_stays_so_when_the_folder_is_numbered_anew_and_what_has_come_since_is_taken_in() {
    const OLD: usize = 30;
    let mut post = Post::start_with("start = \"now\"\n");
    fill(&post.dovecot, OLD, 1);
    post.here.ok(&["once"]);
    for anew in 0..3 {
        let (before, after) = (OLD + 2 * anew, OLD + 2 * anew + 1);
        post.dovecot.deliver(&letter(before, 300));
        post.here.ok(&["once"]);
        // This one nobody has seen before all the others get other numbers.
        post.dovecot.deliver(&letter(after, 300));
        post.dovecot.renumber();
        let told = post.here.ok(&["once"]);
        assert!(told.err.contains("numbered anew"), "{told:?}");
        let told = post.here.ok(&["once"]);
        assert!(!told.err.contains("numbered anew"), "{told:?}");
        let expected: BTreeSet<String> = (OLD..=after).map(|number| format!("jo{number}@example.net")).collect();
        assert_eq!(post.replies_by_address().into_keys().collect::<BTreeSet<_>>(), expected);
        assert_eq!((post.replies().len(), post.cases().len()), (expected.len(), expected.len()));
        let unseen = post.dovecot.doveadm(&["search", "-u", USER, "mailbox", "INBOX", "unseen"]);
        assert_eq!(unseen.lines().count(), OLD, "none of the old ones is touched");
        let audit = post.here.ok(&["audit", "--json"]).json();
        assert_eq!(audit.last().unwrap()["mailbox"]["before"], OLD, "{audit:#?}");
        post.here.ok(&["verify"]);
    }
    // As a backup restores it.
    let export = post.here.ok(&["export"]).out;
    let there = Installation::of_maildirs();
    there.write("export", &export);
    there.ok(&["import", there.path("export").to_str().unwrap()]);
    assert_eq!(there.ok(&["export"]).out, export);
}

#[test]
fn from_the_beginning_takes_old_mail_in_and_answers_none_of_it() {
    let old: usize = std::env::var("WIRE_OLD_MAIL").map_or(3000, |number| number.parse().unwrap());
    let post = Post::start_with("");
    fill(&post.dovecot, old, 15);
    post.dovecot.deliver(&letter(old, 300));
    let begun = Instant::now();
    let daemon = post.here.start();
    await_that(Duration::from_secs(3600), "all mail", || daemon.log().contains("mailbox drained"));
    let (took, memory) = (begun.elapsed(), peak(daemon.id()));
    println!("{old} old mails taken in in {took:?}, {memory} MiB of memory at most");
    assert!(daemon.log().contains("all letters that are there will be taken in"));
    assert!(memory < 400, "{memory} MiB");
    await_that(Duration::from_secs(20), "the reply", || !post.smtpd.kept().is_empty());
    drop(daemon);
    post.here.ok(&["once"]);
    assert_eq!(post.replies_by_address().into_keys().collect::<Vec<_>>(), [format!("jo{old}@example.net")]);
    let cases = post.cases();
    assert_eq!(cases.len(), old + 1);
    assert_eq!(cases.iter().filter(|case| case["state"] == "with_staff").count(), old);
}

#[test]
fn a_folder_that_takes_no_flags_is_read_once() {
    let dovecot = Dovecot::start_with(
        "mail_plugins = acl\nprotocol imap {\n  mail_plugins = acl\n}\nplugin {\n  acl = vfile\n}\n",
    );
    dovecot.deliver_all([letter(1, 900).as_str(), letter(2, 900).as_str()]);
    // Read it, list it, nothing else.
    fs::write(dovecot.maildir().join("dovecot-acl"), "owner lr\n").unwrap();
    let here =
        Installation::new(&keys("imap", &dovecot.server(Security::None)), "kind = \"maildir\"\npath = \"replies\"", "");
    let checked = here.ok(&["check"]);
    assert!(checked.out.contains("read-only"), "{checked:?}");
    for _ in 0..2 {
        here.ok(&["once"]);
        assert_eq!(here.replies().len(), 2);
    }
    assert_eq!(here.json(&["cases", "list", "--json"]).len(), 2);
    let export = here.ok(&["export"]).out;
    assert!(!export.contains("unmarked"), "no mark is waited for");
}
