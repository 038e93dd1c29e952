//! Steps with a mistake in them, in the running daemon: one that panics and one that never ends cost their letter its
//! answer until somebody has mended them, and nobody else anything.

use std::time::Duration;

use aftersalesd::ports::Security;
use serde_json::Value;

use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::letter;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Daemon, Installation, await_that, keys};
use crate::support::smtpd::Smtpd;

const SMTP: (&str, &str) = ("claims", "hunter2-of-smtp");
const STAFF: &str = "desk@example.org";
/// What the letters say on which the steps break, with an address as customers give it.
const PANICS: &str = "Write to lena.private@example.net, she knows more.";
const HANGS: &str = "Write to omar.private@example.net, he knows more.";
const PATIENCE: Duration = Duration::from_secs(60);

struct Shop {
    dovecot: Dovecot,
    smtpd: Smtpd,
    here: Installation,
}

impl Shop {
    fn start() -> Self {
        let dovecot = Dovecot::start();
        let smtpd = Smtpd::start(Security::Tls, &["--login", &format!("{}:{}", SMTP.0, SMTP.1)]);
        let here = Installation::new(
            &keys("imap", &dovecot.server(Security::Tls)),
            &keys("smtp", &smtpd.server(Some(SMTP))),
            &format!("[staff]\nnotify = {STAFF:?}\n"),
        );
        Self { dovecot, smtpd, here }
    }

    fn daemon(&self, step: &str) -> Daemon {
        let mut command = self.here.command(&["run"]);
        command
            .env("AFTERSALESD_LOG", "trace")
            .env("AFTERSALESD_PANIC_ON", format!("{step}:{PANICS}"))
            .env("AFTERSALESD_HANG_ON", format!("{step}:{HANGS}"))
            .env("AFTERSALESD_PATIENCE_MS", "4000");
        let daemon = self.here.start_with(&mut command);
        daemon.await_log("aftersalesd runs");
        daemon
    }

    /// The replies that an address got.
    fn replies_to(&self, address: &str) -> Vec<Reply> {
        let replies = self.smtpd.kept().into_iter().map(|kept| Reply::read(&kept.raw));
        replies.filter(|reply| reply.to == address).collect()
    }

    fn await_reply(&self, address: &str) -> Reply {
        await_that(PATIENCE, address, || !self.replies_to(address).is_empty());
        self.replies_to(address).pop().unwrap()
    }

    /// The letters in quarantine once there are so many: their ids and why, in the order of their writers.
    fn await_quarantine(&self, many: usize) -> Vec<Value> {
        let listed = || self.here.json(&["cases", "quarantine", "--json"]);
        await_that(PATIENCE, "the letters in quarantine", || listed().len() == many);
        listed()
    }
}

fn assert_quarantined_told_and_taken_in_later(step: &str, doing: &str) {
    let shop = Shop::start();
    let mut daemon = shop.daemon(step);
    // Each has a case already: the letters that break the step answer a reply.
    for customer in 1..=2 {
        shop.dovecot.deliver(&letter(customer, 900));
    }
    let before: Vec<Reply> = (1..=2).map(|n| shop.await_reply(&format!("jo{n}@example.net"))).collect();
    for (n, words) in [(1, PANICS), (2, HANGS)] {
        let raw = Draft {
            from: &format!("Jo <jo{n}@example.net>"),
            id: &format!("again{n}@example.net"),
            subject: "Re: my watch",
            body: &format!("My order is KS50001.\n{words}\n"),
            answers: Some(&before[n - 1]),
            photos: &[],
        };
        shop.dovecot.deliver(&raw.raw());
    }
    shop.dovecot.deliver(&letter(3, 900));
    shop.await_reply("jo3@example.net");
    let waiting = shop.await_quarantine(2);
    let told: Vec<&str> = waiting.iter().map(|entry| entry["why"].as_str().unwrap()).collect();
    let told = told.join("\n");
    assert!(told.contains(&format!("{doing} failed: this mail is to break a step")), "{step}: {told}");
    assert!(told.contains(&format!("{doing} took more than 4s")), "{step}: {told}");
    assert_eq!(shop.here.json(&["cases", "letters", "--json", "--class", "quarantine"]).len(), 2);
    await_that(PATIENCE, "staff are told", || shop.replies_to(STAFF).len() == 2);
    // Once: neither copies nor another start nor a retry in vain tell anybody again.
    assert_eq!(daemon.terminate(), Some(0));
    let mut logs = daemon.log();
    assert_eq!(logs.matches("notice=\"quarantine\"").count(), 2, "{step}: {logs}");
    let mut daemon = shop.daemon(step);
    assert_eq!(shop.here.run(&["cases", "retry", "all"]).code, Some(1), "{step}: the mistake is still there");
    shop.dovecot.deliver(&letter(4, 900));
    shop.await_reply("jo4@example.net");
    assert_eq!(shop.await_quarantine(2).len(), 2);
    assert_eq!(daemon.terminate(), Some(0));
    let log = daemon.log();
    assert_eq!(log.matches("notice=").count(), 0, "{step}: {log}");
    logs += &log;
    assert!(logs.contains("a step panicked") && logs.contains("fail_point.rs"), "{step}: {logs}");
    assert!(logs.contains("l…@example.net"), "what the panic says is there, masked: {logs}");
    // Mended.
    let mut daemon = shop.here.start();
    shop.here.ok(&["cases", "retry", "all"]);
    for (n, reply) in before.iter().enumerate() {
        let address = format!("jo{}@example.net", n + 1);
        await_that(PATIENCE, "the answers", || shop.replies_to(&address).len() == 2);
        let found = shop.here.json(&["cases", "search", &address, "--json"]);
        assert_eq!((found.len(), &found[0]["letters"]), (1, &2.into()), "{step}: {found:?}");
        assert_ne!(shop.replies_to(&address)[1].message_id, reply.message_id);
    }
    assert_eq!(shop.await_quarantine(0), Vec::<Value>::new());
    assert_eq!(daemon.terminate(), Some(0));
    shop.here.ok(&["audit"]);
    logs += &daemon.log();
    assert_eq!(shop.replies_to(STAFF).len(), 2, "{step}");
    for line in logs.lines() {
        for secret in [PASSWORD, "with\\\\ quotes", SMTP.1] {
            assert!(!line.contains(secret), "{step}: {line}");
        }
        for local in ["lena.private@", "omar.private@", "jo1@", "jo2@", "jo3@"] {
            assert!(!line.contains(&format!("{local}example.net")), "{step}: {line}");
        }
    }
}

#[test]
fn a_reading_that_panics_or_never_ends_costs_its_letter_the_answer() {
    assert_quarantined_told_and_taken_in_later("read", "reading it");
}

#[test]
fn a_reading_as_part_of_a_case_that_panics_or_never_ends_costs_its_letter_the_answer() {
    assert_quarantined_told_and_taken_in_later("recall", "reading it as part of its case");
}

#[test]
fn an_answering_that_panics_or_never_ends_costs_its_letter_the_answer() {
    assert_quarantined_told_and_taken_in_later("answer", "answering it");
}
