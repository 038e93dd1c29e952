//! `audit` agrees with what is counted by other means; quarantine by command.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use aftersalesd::ports::Security;
use serde_json::Value;

use crate::bad_input::templates;
use crate::passes::Post;
use crate::support::letter;
use crate::support::program::{FROM, Installation, Told, await_that, keys, sample};

/// The last line of `audit --json`.
fn summary(told: &Told) -> Value {
    told.json().pop().unwrap_or_else(|| panic!("{told:?}"))
}

fn kinds(told: &Told) -> Vec<String> {
    let lines = told.json();
    let kinds = lines.iter().filter_map(|line| line["finding"]["kind"].as_str());
    kinds.map(str::to_owned).collect()
}

/// The mails of a Maildir, counted as files.
fn files(maildir: &Path) -> u64 {
    let count = |part: &str| fs::read_dir(maildir.join(part)).unwrap().count() as u64;
    count("new") + count("cur")
}

/// Letters by class and mails, counted in an export.
fn counted(here: &Installation) -> (BTreeMap<String, u64>, u64) {
    let export = here.ok(&["export"]).out;
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut letters = BTreeMap::new();
    for line in lines.iter().filter(|line| line["table"] == "seen") {
        *letters.entry(line["record"]["class"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    (letters, lines.iter().filter(|line| line["table"] == "raw").count() as u64)
}

/// Mail of several kinds: customers, copies, machines, mail without any Message-ID.
fn mixed(post: &Post) -> u64 {
    let mut mails: Vec<String> = (0..12).map(|number| letter(number, 900)).collect();
    mails.push(mails[3].clone());
    mails.push(format!("Received: from elsewhere by mx; Sun, 22 Nov 2026 10:00:09 +0000\r\n{}", mails[4]));
    mails.push(letter(5, 900).replace("strap", "button").replace("jo5@", "kim@"));
    mails.push(letter(50, 900).replace("Message-ID: <50@example.net>\r\n", ""));
    mails.push(letter(51, 400_000));
    for name in ["04-newsletter", "05-out-of-office", "18-bounce", "26-own-mail-came-back", "28-french-base64"] {
        let mail = fs::read_to_string(sample(&format!("mail/{name}.eml"))).unwrap();
        mails.push(mail.replace("after-sales@demo.example", FROM).replace('\n', "\r\n"));
    }
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    mails.len() as u64
}

#[test]
fn an_audit_agrees_with_a_count_by_other_means_with_and_without_the_daemon() {
    let post = Post::start();
    post.here.replace("replies_per_hour = 100000", "mail_size = \"300KiB\"");
    let delivered = mixed(&post);
    let before = summary(&post.here.ok(&["audit", "--json"]));
    assert_eq!(
        (before["mailbox"]["mails"].as_u64(), before["mailbox"]["waiting"].as_u64()),
        (Some(delivered), Some(delivered))
    );
    post.here.ok(&["once"]);
    let told = post.here.ok(&["audit", "--json"]);
    let found = summary(&told);
    assert_eq!(kinds(&told), Vec::<String>::new());
    assert_eq!(found["mailbox"]["mails"], files(&post.dovecot.maildir()));
    assert_eq!(found["mailbox"]["taken_in"], delivered);
    let (letters, mails) = counted(&post.here);
    assert_eq!(found["store"]["letters"], serde_json::to_value(&letters).unwrap());
    assert_eq!(letters.values().sum::<u64>(), delivered - 2, "two are copies");
    assert_eq!(found["store"]["mails"], mails);
    assert_eq!(found["store"]["cases"], post.cases().len());
    assert_eq!(found["store"]["replies"], post.smtpd.kept().len());
    assert_eq!(found["store"]["sent"], post.smtpd.kept().len());
    // People delete and read mail: no difference. New mail waits. Nothing is marked by looking.
    post.dovecot.expunge(1);
    post.dovecot.expunge(2);
    post.dovecot.deliver(&letter(60, 900));
    let flags = post.dovecot.flags("INBOX");
    let found = summary(&post.here.ok(&["audit", "--json"]));
    let mailbox = &found["mailbox"];
    assert_eq!(
        (&mailbox["gone"], &mailbox["waiting"], &mailbox["taken_in"]),
        (&2.into(), &1.into(), &(delivered - 2).into())
    );
    assert_eq!(post.dovecot.flags("INBOX"), flags);
    // The daemon answers alike.
    let mut daemon = post.here.start();
    await_that(Duration::from_secs(20), "the last letter marked", || {
        let found = summary(&post.here.ok(&["audit", "--json"]));
        found["mailbox"]["taken_in"] == delivered - 1
            && found["mailbox"]["unmarked"] == 0
            && found["store"]["waiting"] == 0
    });
    let with = post.here.ok(&["audit"]).out;
    assert_eq!(daemon.terminate(), Some(0));
    assert_eq!(post.here.ok(&["audit"]).out, with);
}

#[test]
fn an_audit_in_the_midst_of_work_finds_nothing_wrong() {
    for move_away in [false, true] {
        let post = Post::start_with(if move_away { "handled = \"move:Done\"\n" } else { "" });
        post.dovecot.make_folder("Done");
        let mails: Vec<String> = (0..200).map(|number| letter(number, 900)).collect();
        let mut daemon = post.here.start();
        for some in mails.chunks(20) {
            post.dovecot.deliver_all(some.iter().map(String::as_str));
            let told = post.here.run(&["audit", "--json"]);
            assert_eq!((told.code, kinds(&told)), (Some(0), Vec::new()), "{told:?}");
        }
        await_that(Duration::from_secs(60), "all letters", || {
            let told = post.here.run(&["audit", "--json"]);
            assert_eq!((told.code, kinds(&told)), (Some(0), Vec::new()), "{told:?}");
            let found = summary(&told);
            found["mailbox"]["taken_in"] == 200 && found["mailbox"]["mails"] == 200 && found["mailbox"]["unmarked"] == 0
        });
        let folder = if move_away { "Done" } else { "INBOX" };
        assert_eq!(post.dovecot.flags(folder).len(), 200, "an independent count");
        assert_eq!(daemon.terminate(), Some(0));
    }
}

#[test]
fn what_is_missing_or_double_is_told_with_what_to_do() {
    let post = Post::start();
    mixed(&post);
    post.here.ok(&["once"]);
    let export = post.here.ok(&["export"]).out;
    let lines: Vec<&str> = export.lines().collect();
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = |test: &dyn Fn(&Value) -> bool| parsed.iter().position(test).unwrap();
    let customer = first(&|line| line["table"] == "seen" && line["record"]["class"] == "customer");
    let bulk = first(&|line| line["table"] == "seen" && line["record"]["class"] == "bulk");
    let raw_of = |seen: usize| {
        let letter = &parsed[seen]["record"]["letter"];
        first(&|line| line["table"] == "raw" && line["key"] == *letter)
    };
    let case = parsed[customer]["record"]["case"].as_str().unwrap();
    let event = first(&|line| line["table"] == "events" && line["key"].as_str().unwrap().starts_with(case));
    let (reply, sent) = (event, event + 1);
    assert!(lines[sent].contains("reply_sent") && lines[reply].contains("reply_queued"));
    let without: [(&str, Vec<usize>, &[&str]); 5] = [
        ("a letter that nobody heard of", vec![bulk, raw_of(bulk)], &["counts", "mail_missed"]),
        ("a mail of a letter", vec![raw_of(customer)], &["mail_lost"]),
        ("an entry", vec![bulk], &["counts", "mail_unentered"]),
        ("an entry with a case", vec![customer], &["counts", "letter_case", "mail_unentered"]),
        ("what became of a reply", vec![sent], &["case", "reply"]),
    ];
    for (what, gone, expected) in without {
        let there = Installation::new(
            &keys("imap", &post.dovecot.server(Security::None)),
            "kind = \"maildir\"\npath = \"replies\"",
            "",
        );
        let mut text = String::new();
        for (number, line) in lines[..lines.len() - 1].iter().enumerate() {
            if !gone.contains(&number) {
                text += &format!("{line}\n");
            }
        }
        text += &format!("{{\"records\":{}}}\n", lines.len() - 2 - gone.len());
        there.write("export", &text);
        there.ok(&["import", there.path("export").to_str().unwrap()]);
        let told = there.run(&["audit", "--json"]);
        assert_eq!(told.code, Some(1), "{what}: {told:?}");
        assert!(
            told.json()
                .iter()
                .all(|line| line["finding"].is_null() || line["remedy"].as_str().is_some_and(|r| r.len() > 20))
        );
        let found: BTreeSet<String> = kinds(&told).into_iter().collect();
        assert_eq!(found, expected.iter().map(|kind| (*kind).to_owned()).collect(), "{what}: {told:?}");
        // For people: as many lines, and the last line on standard error says how many.
        let told = there.run(&["audit"]);
        assert!(told.complaints()[0].contains("difference"), "{told:?}");
        assert_eq!(told.out.lines().count(), 7 + kinds(&there.run(&["audit", "--json"])).len(), "{}", told.out);
        // What the remedies say helps.
        if expected.contains(&"counts") {
            there.run(&["verify", "--repair"]);
            assert!(!kinds(&there.run(&["audit", "--json"])).contains(&"counts".to_owned()));
        }
        if expected.contains(&"mail_unentered") && !expected.contains(&"letter_case") {
            let letter = parsed[bulk]["record"]["letter"].as_str().unwrap();
            there.ok(&["cases", "retry", letter]);
            there.ok(&["audit"]);
        }
    }
}

#[test]
fn maildirs_are_audited_as_well_and_a_server_that_is_away_is_told() {
    let here = Installation::of_maildirs();
    here.write("inbox/cur/old.host:2,S", letter(90, 900));
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(86_400);
    fs::File::open(here.path("inbox/cur/old.host:2,S")).unwrap().set_modified(long_ago).unwrap();
    for number in 0..5 {
        here.deliver(&format!("{number}.host"), letter(number, 900).as_bytes());
    }
    here.ok(&["once"]);
    here.deliver("6.host", letter(6, 900).as_bytes());
    let found = summary(&here.ok(&["audit", "--json"]));
    let of = |found: &Value, key: &str| found["mailbox"][key].as_u64().unwrap();
    assert_eq!(of(&found, "mails"), files(&here.path("inbox")));
    assert_eq!(["taken_in", "waiting", "before", "missed"].map(|key| of(&found, key)), [5, 1, 1, 0]);
    // Another program opens the folder before we do.
    fs::rename(here.path("inbox/new/6.host"), here.path("inbox/cur/6.host:2,S")).unwrap();
    let told = here.run(&["audit", "--json"]);
    assert_eq!((told.code, kinds(&told)), (Some(1), vec!["mail_missed".to_owned()]), "{told:?}");
    let mut post = Post::start();
    post.dovecot.stop();
    assert_eq!(post.here.run(&["audit"]).code, Some(75));
}

// --- quarantine ---------------------------------------------------------------------------------------------------

/// Templates that fail for whoever is called Zed.
pub fn with_a_trap(here: &Installation) {
    for (name, text) in templates() {
        let trap = if name.starts_with("ask/") { "{% if name == \"Zed\" %}{{ 1 // 0 }}{% endif %}" } else { "" };
        let text = if name.ends_with(".txt") { format!("{text}{trap}") } else { text };
        here.write(&format!("templates/{name}"), text);
    }
    here.replace("[store]", "[templates]\npath = \"templates\"\n[store]");
}

#[test]
fn a_letter_in_quarantine_is_told_once_and_taken_in_by_command_when_its_cause_is_gone() {
    let here = Installation::of_maildirs();
    with_a_trap(&here);
    let bad = letter(1, 900).replace("From: Jo ", "From: Zed ");
    here.deliver("1.host", bad.as_bytes());
    here.deliver("2.host", letter(2, 900).as_bytes());
    let told = here.ok(&["once"]);
    assert_eq!(told.err.matches("ERROR").count(), 1, "{}", told.err);
    assert_eq!(here.replies().len(), 1, "the next letter goes on");
    let waiting = here.json(&["cases", "quarantine", "--json"]);
    assert_eq!(waiting.len(), 1);
    let id = waiting[0]["letter"].as_str().unwrap().get(..12).unwrap().to_owned();
    // A copy of it, and a retry while the cause is there, tell nobody again.
    here.deliver("3.host", bad.as_bytes());
    assert_eq!(here.ok(&["once"]).err.matches("ERROR").count(), 0);
    let waiting = here.json(&["cases", "quarantine", "--json"]);
    assert_eq!((waiting.len(), &waiting[0]["file"]), (1, &"3.host".into()));
    let told = here.run(&["cases", "retry", &id]);
    assert_eq!(told.code, Some(1));
    assert!(told.out.contains("stays") && !told.err.contains("ERROR"), "{told:?}");
    assert_eq!(here.json(&["cases", "quarantine", "--json"]), waiting);
    let mut daemon = here.start();
    assert_eq!(here.run(&["cases", "retry", "all"]).code, Some(1));
    assert_eq!(daemon.terminate(), Some(0));
    let found = summary(&here.ok(&["audit", "--json"]));
    assert_eq!((&found["mailbox"]["quarantined"], &found["store"]["quarantined"]), (&2.into(), &1.into()));
    // The cause is gone: by the daemon, which sends the reply as well.
    here.replace("[templates]\npath = \"templates\"\n", "");
    let mut daemon = here.start();
    let told = here.ok(&["cases", "retry", &id, "--json"]).json();
    assert_eq!((&told[0]["outcome"], told[0]["case"].is_string()), (&"taken_in".into(), true), "{told:?}");
    await_that(Duration::from_secs(20), "the reply", || here.replies().len() == 2);
    assert_eq!(daemon.terminate(), Some(0));
    assert_eq!(here.json(&["cases", "quarantine", "--json"]), Vec::<Value>::new());
    here.ok(&["audit"]);
    here.ok(&["verify"]);
    assert_eq!(here.run(&["cases", "retry", &id]).code, Some(1), "it is there no more");
    here.ok(&["once"]);
    assert_eq!((here.replies().len(), here.json(&["cases", "list", "--json"]).len()), (2, 2));
}

#[test]
fn what_a_person_has_dealt_with_does_not_come_back() {
    let here = Installation::of_maildirs();
    with_a_trap(&here);
    let bad = letter(1, 900).replace("From: Jo ", "From: Zed ");
    here.deliver("1.host", bad.as_bytes());
    here.ok(&["once"]);
    let told = here.run(&["cases", "dismiss", "1@example.net", "answered by phone"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    here.deliver("2.host", bad.as_bytes());
    assert_eq!(here.ok(&["once"]).err.matches("ERROR").count(), 0);
    assert_eq!(here.ok(&["cases", "quarantine"]).out, "nothing found\n");
    let found = summary(&here.ok(&["audit", "--json"]));
    assert_eq!((&found["store"]["quarantined"], &found["store"]["dismissed"]), (&0.into(), &1.into()));
    let told = here.run(&["cases", "dismiss", "1@example.net", "again"]);
    assert_eq!((told.code, told.complaints().len()), (Some(1), 1), "{told:?}");
}
