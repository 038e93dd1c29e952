//! Between `SmtpMailer` and aiosmtpd.

use std::collections::BTreeMap;
use std::time::Duration;

use aftersalesd::domain::case::State;
use aftersalesd::domain::ids::Address;
use aftersalesd::domain::letter::Person;
use aftersalesd::ports::{Security, Server};
use aftersalesd::smtp::{Settings, SmtpMailer};
use aftersalesd::worker::{Stop, outbound};
use jiff::Timestamp;

use super::{Desk, SIZE, block_on, places};
use crate::support::letter;
use crate::support::post::Reply;
use crate::support::proxy::Line as Said;
use crate::support::proxy::{Deed, Fault, Passed, Proxy, Way};
use crate::support::smtpd::Smtpd;

const REPLIES: usize = 2;

struct Line {
    smtpd: Smtpd,
    proxy: Proxy,
    login: Option<(&'static str, &'static str)>,
}

impl Line {
    fn start() -> Self {
        let smtpd = Smtpd::start(Security::None, &["--login", "claims:secret"]);
        let proxy = Proxy::start(smtpd.server(None).port);
        Self { smtpd, proxy, login: Some(("claims", "secret")) }
    }

    fn mailer(&self) -> SmtpMailer {
        let server =
            Server { port: self.proxy.port, timeout: Duration::from_millis(500), ..self.smtpd.server(self.login) };
        let from = Person { name: None, address: Address::new("claims@example.com").unwrap() };
        SmtpMailer::new(Settings { server, from, connections: 1 }).unwrap()
    }

    /// Answers letters of these numbers until all replies are accepted; gives the tries that failed.
    async fn session(&self, desk: &mut Desk, numbers: std::ops::Range<usize>) -> usize {
        desk.renew();
        for number in numbers.clone() {
            desk.take(&letter(number, SIZE));
        }
        let mut later = 0;
        for _ in 0..5 {
            // A new one each time: one that was refused the login waits for a minute.
            let sent = desk.send(&self.mailer()).await;
            assert_eq!(sent.refused, 0);
            later += sent.later;
            if sent.later == 0 {
                break;
            }
        }
        let counts = desk.office().store.counts().unwrap();
        assert_eq!((counts.waiting, counts.replies), (0, numbers.len() as u64));
        later
    }

    /// The replies to letters of these numbers: all accepted; how many of them again.
    fn repeated(&self, numbers: std::ops::Range<usize>, seen: usize, what: &str) -> usize {
        let mut accepted: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for kept in self.smtpd.kept_after(seen) {
            accepted.entry(Reply::read(&kept.raw).to).or_default().push(kept.raw);
        }
        let expected: Vec<String> = numbers.map(|number| format!("jo{number}@example.net")).collect();
        let mut reached: Vec<String> = accepted.keys().cloned().collect();
        reached.sort_by_key(|address| expected.iter().position(|e| e == address));
        assert_eq!(reached, expected, "{what}");
        for mails in accepted.values() {
            assert!(mails.iter().all(|mail| *mail == mails[0]), "{what}: a repetition is the same mail");
        }
        accepted.values().map(|mails| mails.len() - 1).sum()
    }
}

/// Mails whose end went to the server without its 250 coming back.
fn in_doubt(passed: &Passed) -> usize {
    let count = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).filter(|w| *w == what).count();
    count(&passed.to_server, b"\r\n.\r\n") - count(&passed.to_client, b"250 2.0.0 kept\r\n")
}

fn sweep(most: usize, deed: &Deed) {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        let mut next = 1000;
        let mut numbers = || {
            next += REPLIES;
            next - REPLIES..next
        };
        let own = numbers();
        line.proxy.break_next(Fault { way: Way::ToServer, byte: usize::MAX, deed: Deed::Cut });
        assert_eq!(line.session(&mut desk, own.clone()).await, 0);
        assert_eq!(line.repeated(own, 0, "undisturbed"), 0);
        let whole = line.proxy.passed().remove(0);
        let (mut seen, mut tried, mut noticed, mut repetitions) = (REPLIES, 0, 0, 0);
        for (way, session) in [(Way::ToServer, &whole.to_server), (Way::ToClient, &whole.to_client)] {
            for byte in places(session, most) {
                let what = format!("{deed:?} {way:?} at byte {byte}");
                let own = numbers();
                line.proxy.break_next(Fault { way, byte, deed: deed.clone() });
                noticed += usize::from(line.session(&mut desk, own.clone()).await > 0);
                let broken = line.proxy.passed().remove(0);
                tried += usize::from(broken.broken);
                let repeated = line.repeated(own, seen, &what);
                assert!(repeated <= in_doubt(&broken), "{what}: {repeated} replies came twice");
                seen += REPLIES + repeated;
                repetitions += repeated;
            }
        }
        println!("{deed:?}: {tried} places tried, {noticed} noticed, {repetitions} replies repeated");
        assert!(tried >= most && noticed > 0, "{tried} tried, {noticed} noticed");
    });
}

#[test]
fn a_connection_cut_at_any_byte_loses_no_reply_and_repeats_only_what_may_not_have_arrived() {
    sweep(75, &Deed::Cut);
}

#[test]
fn a_connection_that_falls_silent_at_any_byte_loses_no_reply() {
    sweep(12, &Deed::Stall);
}

/// Answers commands that begin like this, `times` times, instead of the server; `.` is the mail's end.
fn answer(line: &Line, command: &'static str, said: &'static str, mut times: usize) {
    line.proxy.watch(move |way, line, _| {
        let meant = if command == "." { line == "." } else { line.starts_with(command) };
        if way == Way::ToClient || times == 0 || !meant {
            return Said::Pass;
        }
        times -= 1;
        Said::Answer(format!("{said}\r\n"))
    });
}

#[test]
fn a_passing_refusal_at_any_step_delays_a_reply_and_changes_nothing_in_it() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        let (mut next, mut seen) = (2000, 0);
        for command in ["EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."] {
            for said in [
                "421 4.3.2 closing",
                "451 4.7.1 greylisted, come back",
                "450 busy",
                "250 out of step",
                "354 out of step",
            ] {
                // What is said to be accepted or logged in is believed; nobody is heard of again who says so falsely.
                let right = if command == "DATA" { "354" } else { "250" };
                if said.starts_with(right) || command == "AUTH" && said.contains("out of step") {
                    continue;
                }
                let (own, what) = (next..next + REPLIES, format!("{command}: {said}"));
                next += REPLIES;
                answer(&line, command, said, 1);
                assert!(line.session(&mut desk, own.clone()).await > 0, "{what}");
                assert_eq!(line.repeated(own, seen, &what), 0, "{what}");
                seen += REPLIES;
            }
        }
    });
}

#[test]
fn a_refusal_of_us_or_of_the_null_sender_is_no_refusal_of_the_letter() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        let (mut next, mut seen) = (3000, 0);
        for (command, said) in [
            ("EHLO", "554 5.7.1 go away"),
            ("AUTH", "535 5.7.8 wrong"),
            ("MAIL", "550 5.7.1 not from you"),
            ("RCPT", "550 5.7.1 not to them"),
            ("RCPT", "503 bad sequence of commands"),
            ("DATA", "502 not here"),
        ] {
            let (own, what) = (next..next + REPLIES, format!("{command}: {said}"));
            next += REPLIES;
            answer(&line, command, said, 1);
            line.session(&mut desk, own.clone()).await;
            assert_eq!(line.repeated(own, seen, &what), 0, "{what}");
            seen += REPLIES;
        }
    });
}

#[test]
fn a_lasting_refusal_takes_the_case_to_staff() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        for (command, said) in
            [("RCPT", "550 5.1.1 no such user"), ("DATA", "554 5.6.0 no"), (".", "554 5.7.1 content")]
        {
            desk.renew();
            desk.take(&letter(1, SIZE));
            answer(&line, command, said, usize::MAX);
            let sent = desk.send(&line.mailer()).await;
            assert_eq!((sent.sent, sent.later, sent.refused), (0, 0, 1), "{command}: {said}");
            let store = &desk.office().store;
            assert_eq!(store.counts().unwrap().waiting, 0);
            assert!(store.cases().all(|case| case.unwrap().state == State::WithStaff), "{command}: {said}");
        }
        assert!(line.smtpd.kept().is_empty());
    });
}

#[test]
fn a_reply_put_off_by_a_clock_that_was_years_ahead_goes_out_all_the_same() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        desk.renew();
        desk.take(&letter(1, SIZE));
        let (store, now) = (&desk.office().store, Timestamp::now());
        let waiting = store.outbox_due(Timestamp::MAX, 1).unwrap().remove(0);
        let ahead = "2099-01-01T00:00:00Z".parse().unwrap();
        store.outbox_later(&waiting.key, now, ahead, "busy").unwrap();
        assert!(store.outbox_due(now, 1).unwrap().is_empty());
        let (mailer, (switch, stop)) = (line.mailer(), Stop::new());
        let sent = async {
            while store.counts().unwrap().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            switch.send(true).unwrap();
        };
        let both = async { tokio::join!(outbound::run(&mailer, desk.office(), stop), sent) };
        tokio::time::timeout(Duration::from_secs(20), both).await.expect("sent in time").0.unwrap();
    });
    assert_eq!(line.smtpd.kept().len(), 1);
}
