//! The whole program between broken lines.

use std::time::Duration;

use aftersalesd::ports::{Security, Server};

use crate::passes::NO_CAP;
use crate::support::dovecot::Dovecot;
use crate::support::letter;
use crate::support::post::Reply;
use crate::support::program::{Installation, await_that, keys};
use crate::support::proxy::{Line, Proxy, Way};
use crate::support::smtpd::Smtpd;

struct Post {
    dovecot: Dovecot,
    smtpd: Smtpd,
    imap: Proxy,
    smtp: Proxy,
    here: Installation,
}

impl Post {
    fn start() -> Self {
        let (dovecot, smtpd) = (Dovecot::start(), Smtpd::start(Security::None, &[]));
        let (imap, smtp) = (Proxy::start(dovecot.imap), Proxy::start(smtpd.server(None).port));
        let mailbox =
            keys("imap", &Server { port: imap.port, ..dovecot.server(Security::None) }) + "poll_interval = \"1s\"\n";
        let delivery = keys("smtp", &Server { port: smtp.port, ..smtpd.server(None) });
        let here = Installation::new(&mailbox, &delivery, NO_CAP);
        here.replace("timeout = \"5s\"", "timeout = \"1s\"");
        Self { dovecot, smtpd, imap, smtp, here }
    }

    /// The addresses that replies came to, each once, and with the same mail if twice.
    fn reached(&self) -> Vec<String> {
        let kept = self.smtpd.kept();
        let mut mails: Vec<(String, &[u8])> =
            kept.iter().map(|kept| (Reply::read(&kept.raw).to, kept.raw.as_slice())).collect();
        mails.sort();
        mails.dedup();
        mails.into_iter().map(|(to, _)| to).collect()
    }
}

#[test]
fn a_greylisted_reply_goes_out_later_as_it_was() {
    let post = Post::start();
    post.dovecot.deliver(&letter(1, 900));
    let mut met = 0;
    post.smtp.watch(move |way, line, _| {
        let first = way == Way::ToServer && line.starts_with("RCPT") && met == 0;
        met += usize::from(first);
        if first { Line::Answer("451 4.7.1 greylisted\r\n".into()) } else { Line::Pass }
    });
    let told = post.here.run(&["once"]);
    assert_eq!(told.code, Some(75), "{told:?}");
    assert!(told.err.contains("greylisted"), "{told:?}");
    let waiting = post.here.ok(&["export"]).out;
    post.here.ok(&["once"]);
    let replies = post.smtpd.kept();
    assert_eq!(replies.len(), 1);
    assert!(
        waiting.contains(&Reply::read(&replies[0].raw).message_id),
        "the mail that was refused is the one accepted"
    );
}

#[test]
fn a_daemon_answers_on_after_lines_that_break_while_it_waits_and_works() {
    let post = Post::start();
    // Every third line of the server is the last one of its connection; after a while the line is sound.
    let mut lines = 0;
    post.imap.watch(move |way, line, connection| {
        if way == Way::ToServer || connection > 4 {
            return Line::Pass;
        }
        lines += 1;
        match (lines % 17, connection % 2) {
            (0, 0) => Line::Cut,
            (0, _) => Line::Stall,
            _ if line.contains("idling") && connection == 4 => Line::PassThenCut,
            _ => Line::Pass,
        }
    });
    post.smtp.watch(|way, line, connection| match (way, connection) {
        (Way::ToClient, 1) if line.starts_with("354") => Line::Cut,
        _ => Line::Pass,
    });
    let mails: Vec<String> = (0..5).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    let daemon = post.here.start();
    await_that(Duration::from_secs(60), "all letters in", || {
        post.imap.passed().len() > 4 || daemon.log().contains("mailbox drained")
    });
    await_that(Duration::from_secs(60), "the letters' marks", || {
        post.dovecot.flags("INBOX").iter().all(|(_, flags)| flags == "\\Seen")
    });
    post.dovecot.deliver(&letter(5, 900));
    await_that(Duration::from_secs(60), "the last letter's mark", || {
        post.dovecot.flags("INBOX").iter().all(|(_, flags)| flags == "\\Seen")
    });
    drop(daemon);
    // The daemon would offer again in a minute what the first connection lost.
    post.here.ok(&["once"]);
    let expected: Vec<String> = (0..6).map(|number| format!("jo{number}@example.net")).collect();
    assert_eq!(post.reached(), expected);
    assert_eq!(post.here.json(&["cases", "list", "--json"]).len(), 6);
}
