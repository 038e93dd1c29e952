//! `run`: answers as mail comes, tells systemd, is asked by other commands, ends when told, and outlives being killed.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::passes::Post;
use crate::support::letter;
use crate::support::program::{Installation, await_that};

/// With no news but IDLE's.
const PATIENT: &str = "poll_interval = \"10m\"\n";

#[test]
fn new_mail_is_answered_at_once_and_a_wish_to_stop_loses_nothing() {
    let post = Post::start_with(PATIENT);
    let mut daemon = post.here.start();
    post.dovecot.deliver(&letter(0, 900));
    await_that(Duration::from_secs(10), "the first reply", || post.smtpd.kept().len() == 1);
    // The mailbox is known to be empty: what comes now comes through IDLE.
    std::thread::sleep(Duration::from_millis(500));
    for number in 1..=2 {
        let delivered = Instant::now();
        post.dovecot.deliver(&letter(number, 900));
        await_that(Duration::from_secs(5), "a reply through IDLE", || post.smtpd.kept().len() == number + 1);
        assert!(delivered.elapsed() < Duration::from_secs(5));
    }
    let mails: Vec<String> = (3..150).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    await_that(Duration::from_secs(10), "the daemon at work", || post.smtpd.kept().len() > 5);
    let asked = Instant::now();
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(daemon.log().contains("aftersalesd ends"));
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 150, "every letter has its one reply");
    assert_eq!(post.replies_by_address().len(), 150);
    assert_eq!(post.cases().len(), 150);
}

/// Whether it is time to kill: by the log and the number of mails that were sent.
type Moment = &'static dyn Fn(&str, usize) -> bool;

#[test]
fn a_killed_daemon_goes_on_where_it_was() {
    const LETTERS: usize = 300;
    let post = Post::start_with(PATIENT);
    let mails: Vec<String> = (0..LETTERS).map(|number| letter(number, 1500)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    let mut halfway = 0;
    // Before anything is durable, in the midst of the intake, and in the midst of the replies.
    let moments: [Moment; 6] = [
        &|log, _| log.contains("letter taken in"),
        &|log, _| log.matches("letter taken in").count() > 60,
        &|_, sent| sent > 0,
        &|log, sent| log.matches("letter taken in").count() > 40 || sent > 60,
        &|_, sent| sent > 120,
        &|_, sent| sent > 200,
    ];
    for is_now in moments {
        let mut daemon = post.here.start();
        let until = Instant::now() + Duration::from_secs(5);
        while !is_now(&daemon.log(), post.smtpd.kept().len()) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        daemon.kill();
        halfway += usize::from((1..LETTERS).contains(&post.smtpd.kept().len()));
    }
    assert!(halfway >= 2, "it was killed too early or too late to show anything");
    post.here.ok(&["once"]);
    let replies = post.replies_by_address();
    let expected: BTreeSet<String> = (0..LETTERS).map(|number| format!("jo{number}@example.net")).collect();
    assert_eq!(replies.keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (address, ids) in &replies {
        assert_eq!(ids.len(), 1, "{address} got different replies");
    }
    let ids: BTreeSet<&String> = replies.values().flatten().collect();
    assert_eq!(ids.len(), LETTERS);
    let cases = post.cases();
    assert_eq!(cases.len(), LETTERS);
    assert!(cases.iter().all(|case| case["letters"] == 1 && case["replies"] == 1));
    assert_eq!(post.here.json(&["cases", "quarantine", "--json"]).len(), 0);
    let export = post.here.ok(&["export"]).out;
    let kept = export.lines().filter(|line| line.contains("\"mail\":\"")).count();
    assert_eq!(kept, LETTERS, "every mail is kept");
    assert!(!export.contains("\"lost\":\""));
    assert!(post.dovecot.flags("INBOX").iter().all(|(_, flags)| flags.contains("Seen")));
    post.here.ok(&["once"]);
    assert_eq!(post.here.ok(&["export"]).out, export);
}

#[test]
fn servers_that_come_late_or_go_are_waited_for() {
    let mut post = Post::start_with(PATIENT);
    post.dovecot.stop();
    let mut daemon = post.here.start();
    daemon.await_log("taking in letters failed");
    post.dovecot.deliver(&letter(1, 900));
    post.dovecot.restart();
    await_that(Duration::from_secs(20), "a reply after the mailbox came back", || post.smtpd.kept().len() == 1);
    post.dovecot.restart();
    post.dovecot.deliver(&letter(2, 900));
    await_that(Duration::from_secs(20), "a reply after the mailbox went away", || post.smtpd.kept().len() == 2);
    assert!(daemon.is_running());
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn the_watchdog_hears_nothing_of_a_daemon_whose_loop_is_stuck() {
    let here = Installation::of_maildirs();
    let socket = UnixDatagram::bind(here.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = here.command(&["run"]);
    command.env("NOTIFY_SOCKET", here.path("notify")).env("WATCHDOG_USEC", "300000");
    command.env("AFTERSALESD_PATIENCE_MS", "500").env("AFTERSALESD_DIE_AT", "letter-committed:1:hang");
    let daemon = here.start_with(&mut command);
    let heard = || {
        let (mut heard, mut notice) = (Vec::new(), [0; 500]);
        while let Ok(length) = socket.recv(&mut notice) {
            heard.push(String::from_utf8_lossy(&notice[..length]).trim().to_owned());
        }
        heard
    };
    await_that(Duration::from_secs(20), "a sign of life", || heard().contains(&"WATCHDOG=1".to_owned()));
    here.deliver("1.host", letter(1, 900).as_bytes());
    let complaints = || daemon.log().matches("the loop of Letters is stuck").count();
    await_that(Duration::from_secs(30), "a complaint", || complaints() > 0);
    heard();
    let before = complaints();
    await_that(Duration::from_secs(20), "more complaints", || complaints() > before + 2);
    assert_eq!(heard(), [""; 0]);
}

#[test]
fn systemd_is_told_of_start_life_and_end() {
    let here = Installation::of_maildirs();
    let socket = UnixDatagram::bind(here.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = here.command(&["run"]);
    command.env("NOTIFY_SOCKET", here.path("notify")).env("WATCHDOG_USEC", "600000");
    let mut daemon = here.start_with(&mut command);
    let hear = || {
        let mut heard = [0; 500];
        let length = socket.recv(&mut heard).unwrap();
        String::from_utf8(heard[..length].to_vec()).unwrap().trim().to_owned()
    };
    assert_eq!(hear(), "READY=1");
    let started = Instant::now();
    for _ in 0..4 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    assert!(started.elapsed() < Duration::from_millis(1800), "three times faster than the watchdog bites");
    assert_eq!(daemon.terminate(), Some(0));
    socket.set_nonblocking(true).unwrap();
    let mut rest = Vec::new();
    let mut heard = [0; 500];
    loop {
        match socket.recv(&mut heard) {
            Ok(length) => rest.push(String::from_utf8_lossy(&heard[..length]).trim().to_owned()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => break,
            Err(e) => panic!("{e}"),
        }
    }
    assert!(rest.contains(&"STOPPING=1".to_owned()), "{rest:?}");
}

#[test]
fn commands_get_the_same_answers_with_and_without_the_daemon() {
    let here = Installation::of_maildirs();
    for number in 0..4 {
        here.deliver(&format!("{number}.host"), letter(number, 900).as_bytes());
    }
    let mut daemon = here.start();
    await_that(Duration::from_secs(20), "four replies", || here.replies().len() == 4);
    let mode = |name: &str| here.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("store"), mode("store/control.sock")), (0o700, 0o600));
    let id = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    let questions = [
        vec!["cases", "list"],
        vec!["cases", "list", "--json"],
        vec!["cases", "show", &id],
        vec!["cases", "show", &id, "--json"],
        vec!["cases", "search", "jo2@example.net", "--json"],
        vec!["cases", "search", "nobody"],
        vec!["cases", "quarantine"],
        vec!["cases", "show", "AS-NOTTHERE"],
    ];
    let ask = || -> Vec<_> {
        let told = questions.iter().map(|words| here.run(words));
        told.map(|told| (told.code, told.out, told.err)).collect()
    };
    let status = || here.json(&["status", "--json"]).remove(0);
    await_that(Duration::from_secs(5), "all is counted", || status()["replies_waiting"] == 0);
    let told = status();
    for (name, count) in [("letters", 4), ("cases", 4), ("replies", 4), ("replies_sent", 4), ("quarantined", 0)] {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert_eq!(told["intake"]["runs"], true);
    for (of, when) in [("mailbox", "last_success_at"), ("delivery", "last_success_at"), ("intake", "since")] {
        assert!(told[of][when].is_string() && told[of]["last_fault"].is_null(), "{told}");
    }
    // The mark that a reply was sent comes a moment after the reply.
    await_that(Duration::from_secs(5), "all marks", || {
        ask() == {
            std::thread::sleep(Duration::from_millis(200));
            ask()
        }
    });
    let with = ask();
    assert!(with.iter().take(7).all(|(code, _, err)| *code == Some(0) && err.is_empty()), "{with:#?}");
    assert_eq!(with[4].1.lines().count(), 1);
    assert_eq!((with[7].0, with[7].2.lines().count()), (Some(1), 1));
    assert_eq!(daemon.terminate(), Some(0));
    assert!(!here.path("store/control.sock").exists());
    assert_eq!(ask(), with);
    let told = here.run(&["status", "--json"]);
    assert_eq!((told.code, told.complaints().len()), (Some(1), 1), "{told:?}");
    assert!(told.complaints()[0].contains("no daemon runs"), "{told:?}");
    let told = told.json().remove(0);
    assert_eq!((&told["letters"], &told["replies_waiting"]), (&4.into(), &0.into()));
    assert!(told["started_at"].is_null() && told["intake"]["runs"] == false, "{told}");
    let told = here.run(&["status"]).out;
    assert!(told.contains("does not run") && told.contains("4 taken in"), "{told}");
}
