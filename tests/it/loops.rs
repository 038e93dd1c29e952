//! Loops and storms: whatever answers us, each of them ends within the caps, others are served meanwhile, and staff
//! are told once. Servers, mailboxes and program are real; the machines on the other side are played here.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use aftersalesd::ports::Security;
use jiff::Timestamp;
use serde_json::Value;

use crate::support::dovecot::Dovecot;
use crate::support::letter;
use crate::support::post::{Draft, Reply};
use crate::support::program::{FROM, Installation, await_that, keys};
use crate::support::smtpd::Smtpd;

/// Automatic letters to one address in a day, by default.
const SENDER_CAP: usize = 6;
/// Far more rounds than any loop may take.
const ROUNDS: usize = 40;
const BOSS: &str = "boss@staff.example";

/// A mailbox, a mail server and the program between them, under an address of its own.
struct Shop {
    dovecot: Dovecot,
    smtpd: Smtpd,
    here: Installation,
    read: std::cell::Cell<usize>,
}

impl Shop {
    fn start(address: &str) -> Self {
        let (dovecot, smtpd) = (Dovecot::start(), Smtpd::start(Security::None, &[]));
        let imap = keys("imap", &dovecot.server(Security::None));
        let further = format!("[staff]\nnotify = {BOSS:?}\n");
        let here = Installation::new(&imap, &keys("smtp", &smtpd.server(None)), &further);
        here.replace(&format!("<{FROM}>"), &format!("<{address}>"));
        Self { dovecot, smtpd, here, read: 0.into() }
    }

    /// Takes in what waits, and gives what was sent since the last time.
    fn pass(&self) -> Vec<String> {
        self.here.ok(&["once"]);
        let sent = self.smtpd.kept();
        let fresh = sent.iter().skip(self.read.replace(sent.len())).map(|kept| kept.raw.clone());
        fresh.map(|raw| String::from_utf8(raw).unwrap()).filter(|raw| !raw.contains(&format!("To: {BOSS}"))).collect()
    }

    fn replies(&self) -> usize {
        self.smtpd.kept().len() - self.told_by_mail().len()
    }

    fn told_by_mail(&self) -> Vec<String> {
        let all = self.smtpd.kept();
        let to_staff = all.iter().filter(|kept| kept.envelope["to"][0] == BOSS);
        to_staff.map(|kept| String::from_utf8(kept.raw.clone()).unwrap()).collect()
    }

    fn notices(&self) -> Vec<Value> {
        self.here.json(&["cases", "notices", "--json"])
    }

    /// The cap on one sender was told once, by mail and in the list, and its mail can't begin a loop.
    fn has_told_of_the_cap_once(&self) {
        let caps: Vec<Value> = self.notices().into_iter().filter(|n| n["notice"] == "sender_cap").collect();
        assert_eq!(caps.len(), 1, "{caps:#?}");
        let mails: Vec<String> = self.told_by_mail().into_iter().filter(|raw| raw.contains("sender_cap")).collect();
        assert_eq!(mails.len(), 1, "{mails:#?}");
        self.here.ok(&["audit"]);
        self.here.ok(&["verify"]);
        assert!(
            mails[0].contains("Auto-Submitted: auto-generated\r\n") && mails[0].contains("X-Aftersalesd-Loop: notice")
        );
    }
}

fn without(raw: &str, dropped: &[&str]) -> String {
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let mut kept = String::new();
    let mut keeps = true;
    for line in head.split("\r\n") {
        if !line.starts_with([' ', '\t']) {
            let name = line.split(':').next().unwrap().to_lowercase();
            keeps = !dropped.contains(&name.as_str());
        }
        if keeps {
            kept += &format!("{line}\r\n");
        }
    }
    format!("{kept}\r\n{body}")
}

const MARKS: [&str; 3] = ["auto-submitted", "x-auto-response-suppress", "x-aftersalesd-loop"];
const THREAD: [&str; 4] = ["message-id", "in-reply-to", "references", "subject"];

/// Lets two shops answer each other's replies, as a gateway between them passes them on; gives the replies of each.
fn duel(gateway: impl Fn(&str, usize) -> String) -> (Shop, Shop) {
    let (one, other) = (Shop::start("desk@one.example"), Shop::start("desk@other.example"));
    let first = Draft {
        from: "Other Desk <desk@other.example>",
        id: "first@other.example",
        subject: "Watch",
        body: "My watch does not charge any more.\n",
        answers: None,
        photos: &[],
    };
    one.dovecot.deliver(&first.raw());
    for round in 0..ROUNDS {
        let (from, to) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let sent = from.pass();
        if sent.is_empty() {
            return (one, other);
        }
        let passed_on: Vec<String> = sent.iter().map(|raw| gateway(raw, round)).collect();
        to.dovecot.deliver_all(passed_on.iter().map(String::as_str));
    }
    panic!("they are still writing to each other after {ROUNDS} rounds");
}

#[test]
fn two_daemons_that_write_to_each_other_stop_at_once() {
    let (one, other) = duel(|raw, _| raw.to_owned());
    assert_eq!((one.replies(), other.replies()), (1, 0));
    assert!(other.here.json(&["cases", "list", "--json"]).is_empty());
}

#[test]
fn two_daemons_stop_within_the_caps_when_a_gateway_takes_all_marks_away() {
    let (one, other) = duel(|raw, _| without(raw, &MARKS));
    assert!(one.replies() <= SENDER_CAP && other.replies() <= SENDER_CAP, "{} {}", one.replies(), other.replies());
    for shop in [&one, &other] {
        let cases = shop.here.json(&["cases", "list", "--json"]);
        assert_eq!(cases.len(), 1, "{cases:#?}");
    }
    println!("marks taken away: {} and {} replies", one.replies(), other.replies());
}

#[test]
fn two_daemons_stop_within_the_caps_when_a_gateway_hides_the_thread_too() {
    let hide = |raw: &str, round: usize| {
        let bare = without(&without(raw, &MARKS), &THREAD);
        format!("Message-ID: <{round}@gateway.example>\r\nSubject: A message\r\n{}", hide_case(&bare))
    };
    let (one, other) = duel(hide);
    let (most, least) = (one.replies().max(other.replies()), one.replies().min(other.replies()));
    assert!(most <= SENDER_CAP && least > 1, "{most} {least}");
    let capped = if one.replies() == SENDER_CAP { &one } else { &other };
    capped.has_told_of_the_cap_once();
    println!("thread hidden too: {} and {} replies", one.replies(), other.replies());
}

/// Takes the numbers of cases out of a text.
fn hide_case(text: &str) -> String {
    regex::Regex::new("AS-[0-9A-Z]{8}").unwrap().replace_all(text, "…").into_owned()
}

/// A machine that answers each of our replies and never says that it is one.
fn answered_by_a_machine(answer: impl Fn(&Reply, usize) -> String) -> Shop {
    let shop = Shop::start(FROM);
    shop.dovecot.deliver(&letter(1, 900).replace("jo1@example.net", "help@machine.example"));
    for round in 0..ROUNDS {
        let sent = shop.pass();
        if sent.is_empty() {
            return shop;
        }
        let answers: Vec<String> = sent.iter().map(|raw| answer(&Reply::read(raw.as_bytes()), round)).collect();
        shop.dovecot.deliver_all(answers.iter().map(String::as_str));
    }
    panic!("it is still answered after {ROUNDS} rounds");
}

fn thanks(from: &str, round: usize, further: &str, subject: &str, quoted: &str) -> String {
    let quoted: String = quoted.lines().map(|line| format!("> {line}\r\n")).collect();
    format!(
        "From: Helpdesk <{from}>\r\nTo: {FROM}\r\nSubject: {subject}\r\nMessage-ID: <t{round}@machine.example>\r\n\
         Date: {}\r\n{further}\r\nThank you for your message. We will get back to you within two working days.\r\n\r\n{quoted}",
        Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S +0000")
    )
}

#[test]
fn a_machine_that_hides_it_and_begins_anew_each_time_meets_the_cap_of_a_sender() {
    let shop = answered_by_a_machine(|reply, round| {
        thanks("help@machine.example", round, "", "We got your message", &hide_case(&reply.text))
    });
    assert_eq!(shop.replies(), SENDER_CAP);
    shop.has_told_of_the_cap_once();
    // It goes on talking: nobody is told again.
    for round in 100..110 {
        shop.dovecot.deliver(&thanks("help@machine.example", round, "", "We got your message", ""));
    }
    assert!(shop.pass().is_empty());
    shop.has_told_of_the_cap_once();
    let notice = shop.notices().into_iter().find(|n| n["notice"] == "sender_cap").unwrap();
    assert!(notice["times"].as_u64() > Some(10), "{notice}");
}

#[test]
fn a_machine_with_another_tag_each_time_is_one_sender() {
    let shop = answered_by_a_machine(|_, round| {
        let from = format!("help+ticket{round}@machine.example");
        thanks(&from, round, "", &format!("Ticket {round} was opened"), "")
    });
    assert_eq!(shop.replies(), SENDER_CAP);
    shop.has_told_of_the_cap_once();
}

#[test]
fn a_machine_that_stays_in_the_thread_ends_with_a_person() {
    let shop = answered_by_a_machine(|reply, round| {
        let thread = format!("In-Reply-To: <{0}>\r\nReferences: <{0}>\r\n", reply.message_id);
        thanks("help@machine.example", round, &thread, &format!("Re: {}", reply.subject), &reply.text)
    });
    assert!(shop.replies() <= SENDER_CAP, "{}", shop.replies());
    let cases = shop.here.json(&["cases", "list", "--json"]);
    assert_eq!((cases.len(), &cases[0]["state"]), (1, &Value::from("with_staff")), "{cases:#?}");
}

#[test]
fn a_case_has_a_cap_of_its_own() {
    let shop = Shop::start(FROM);
    shop.here.replace("[staff]", "[limits]\nreplies_per_case = 2\n[staff]");
    shop.dovecot.deliver(&letter(1, 900));
    for round in 0..4 {
        for raw in shop.pass() {
            let reply = Reply::read(raw.as_bytes());
            let body = format!("Well, my watch is still broken, it is number {round}.\n");
            let draft = Draft {
                from: "Jo <jo1@example.net>",
                id: &format!("again{round}@example.net"),
                subject: "Re: x",
                body: &body,
                answers: Some(&reply),
                photos: &[],
            };
            shop.dovecot.deliver(&draft.raw());
        }
    }
    assert_eq!(shop.replies(), 2);
    let notices = shop.notices();
    assert_eq!((notices.len(), &notices[0]["notice"]), (1, &Value::from("case_cap")), "{notices:#?}");
    let cases = shop.here.json(&["cases", "list", "--json"]);
    assert_eq!((&cases[0]["state"], &notices[0]["about"]), (&Value::from("with_staff"), &cases[0]["case"]));
    assert_eq!(shop.told_by_mail().len(), 1);
}

#[test]
fn bounces_lists_and_vacations_end_where_they_come_in() {
    let shop = Shop::start(FROM);
    let draft = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "first@example.net",
        subject: "Battery",
        body: "My Tank T3 Ultra from order KS50001 is empty within three hours since Sunday.\n",
        answers: None,
        photos: &[],
    };
    shop.dovecot.deliver(&draft.raw());
    let ours = shop.pass().remove(0);
    let reply = Reply::read(ours.as_bytes());
    let thread = format!("In-Reply-To: <{0}>\r\nReferences: <{0}>\r\n", reply.message_id);
    let bare = without(&ours, &MARKS);
    let report = |part: &str| {
        format!(
            "Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\r\n\r\n--b\r\n\r\nIt failed.\r\n\
             --b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; priya@example.net\r\n\
             Action: failed\r\nStatus: 5.1.1\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n{part}\r\n--b--\r\n"
        )
    };
    let head = |from: &str, subject: &str, further: &str| {
        format!(
            "From: {from}\r\nTo: {FROM}\r\nSubject: {subject}\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\n{further}"
        )
    };
    let bounce = head("MAILER-DAEMON@mx.example.net", "Undelivered", "") + &report(&ours);
    let vacation =
        |how: &str| head("priya@example.net", "Re: Battery", &format!("{thread}{how}")) + "\r\nI am away.\r\n";
    let mut mails = vec![
        // Of a reply of ours, stripped and not; of a bounce of ours; without any report.
        bounce.clone(),
        head("postmaster@mx.example.net", "Mail failure", "") + &report(&bare),
        head("Mail Delivery Subsystem <daemon@mx.example.net>", "Returned mail", "Return-Path: <>\r\n")
            + &report(&bounce),
        head("bounces@mx.example.net", "Re: Battery", "Return-Path: <>\r\n")
            + "\r\nThe user is unknown:\r\n\r\n"
            + &reply.text,
        head("qmail@mx.example.net", "failure notice", "") + "\r\nHi. This is qmail.\r\n\r\n" + &reply.text,
        // A list that sends our mail round, with the From of a member or of its own.
        format!("List-Id: <claims.lists.example>\r\nList-Post: <mailto:claims@lists.example>\r\n{ours}"),
        format!("List-Id: <claims.lists.example>\r\n{}", bare.replace(FROM, "claims@lists.example")),
        format!("Precedence: list\r\n{}", bare.replace(FROM, "claims@lists.example")),
        format!("Sender: claims-bounces@lists.example\r\n{}", bare.replace(FROM, "priya@example.net")),
        // Our own mail come back, by marks or by name.
        ours.clone(),
        bare.clone(),
    ];
    mails.extend(
        [
            "Auto-Submitted: auto-replied\r\n",
            "Auto-Submitted: auto-replied (vacation); owner-email=\"priya@example.net\"\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "X-Autoreply: yes\r\n",
            "X-Autorespond: Battery\r\n",
            "X-Auto-Reply: 1\r\n",
            "Precedence: auto_reply\r\n",
            "Precedence: bulk\r\n",
            "Return-Path: <>\r\n",
        ]
        .map(vacation),
    );
    mails.extend(
        [
            "Automatic reply: Battery",
            "Automatische Antwort: Battery",
            "Out of Office: Battery",
            "Réponse automatique : Battery",
        ]
        .map(|subject| head("priya@example.net", subject, &thread) + "\r\nI am away until Monday.\r\n"),
    );
    let count = mails.len();
    shop.dovecot.deliver_all(mails.iter().map(String::as_str));
    let answers = shop.pass();
    assert!(answers.is_empty(), "{answers:#?}");
    assert_eq!(shop.dovecot.flags("INBOX").iter().filter(|(_, flags)| flags.contains("Seen")).count(), count + 1);
    assert_eq!(shop.here.json(&["cases", "list", "--json"]).len(), 1);
    assert!(shop.here.json(&["cases", "quarantine", "--json"]).is_empty());
    println!("{count} mails of machines, none answered");
}

/// `AFTERSALESD_STORM` says how many mails; an ordinary run has a thousand.
#[test]
fn a_storm_of_one_sender_keeps_nobody_waiting() {
    let storm: usize = std::env::var("AFTERSALESD_STORM").map_or(1000, |n| n.parse().unwrap());
    const OTHERS: usize = 20;
    let here = Installation::of_maildirs();
    let config = fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", format!("{config}[staff]\nnotify = {BOSS:?}\n"));
    for number in 0..storm {
        // Another order each time, so that none joins the case of another.
        let mail = letter(number, 600)
            .replace(&format!("jo{number}@"), "storm@")
            .replace("The strap", &format!("My order is KS{}. The strap", 100_000 + number));
        here.deliver(&format!("{}.host", 1_000_000 + number), mail.as_bytes());
    }
    let begun = Instant::now();
    let mut daemon = here.start();
    for number in 0..OTHERS {
        here.deliver(&format!("{}.other", 9_000_000 + number), letter(storm + number, 600).as_bytes());
    }
    let to = |reply: &Vec<u8>| Reply::read(reply).to;
    let minute = Duration::from_secs(60) * u32::try_from(1 + storm / 1000).unwrap();
    await_that(minute, "an answer for each of the others", || {
        here.replies().iter().map(to).collect::<BTreeSet<_>>().len() >= OTHERS + 2
    });
    let answered = begun.elapsed();
    await_that(minute, "the end of the storm", || fs::read_dir(here.path("inbox/new")).unwrap().next().is_none());
    let (taken, memory) = (begun.elapsed(), daemon.peak_memory());
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    let replies: Vec<String> = here.replies().iter().map(to).collect();
    let count = |address: &str| replies.iter().filter(|to| *to == address).count();
    assert_eq!((count("storm@example.net"), count(BOSS)), (SENDER_CAP, 1));
    assert_eq!(replies.len(), SENDER_CAP + 1 + OTHERS);
    let notices = here.json(&["cases", "notices", "--json"]);
    assert_eq!((notices.len(), notices[0]["times"].as_u64()), (1, Some((storm - SENDER_CAP) as u64)), "{notices:#?}");
    assert_eq!(daemon.log().matches("notice=").count(), 1);
    assert_eq!(here.json(&["cases", "list", "--json"]).len(), storm + OTHERS, "every letter is seen by somebody");
    assert!(memory < 400, "{memory} MiB");
    println!("{storm} mails: others answered after {answered:.1?}, all taken in after {taken:.1?}, {memory} MiB");
}

#[test]
fn the_cap_of_an_hour_does_not_hold_back_what_staff_are_told() {
    let shop = Shop::start(FROM);
    shop.here.replace("[staff]", "[limits]\nreplies_per_hour = 3\n[staff]");
    let mails: Vec<String> = (0..8).map(|number| letter(number, 900)).collect();
    shop.dovecot.deliver_all(mails.iter().map(String::as_str));
    for _ in 0..3 {
        assert_eq!(shop.here.run(&["once"]).code, Some(75));
        assert_eq!(shop.replies(), 3);
        let told = shop.told_by_mail();
        assert!(told.len() == 1 && told[0].contains("hour_cap"), "{told:#?}");
    }
    let notices = shop.notices();
    assert_eq!((notices.len(), &notices[0]["times"]), (1, &Value::from(3)), "{notices:#?}");
    // The daemon says it once as well, however often it looks.
    let mut daemon = shop.here.start();
    shop.dovecot.deliver(&letter(9, 900));
    daemon.await_log("letter taken in");
    assert_eq!(daemon.terminate(), Some(0));
    assert!(!daemon.log().contains("notice="), "{}", daemon.log());
}

#[test]
fn a_mail_to_staff_that_is_refused_or_answered_ends_there() {
    let shop = Shop::start(FROM);
    shop.here.replace(BOSS, "never@staff.example");
    shop.dovecot.deliver(&letter(1, 900).replace("while I was charging", "and began to smoke while I was charging"));
    let told = shop.here.ok(&["once"]);
    assert!(told.err.contains("notice=\"safety\"") && told.err.contains("staff can't be told by mail"), "{}", told.err);
    assert_eq!(shop.notices().len(), 1, "{:#?}", shop.notices());
    // An answer of the address that notices go to, with no mark of a machine.
    shop.dovecot.deliver(&thanks("never@staff.example", 1, "", "Re: [aftersalesd] safety", "danger is reported"));
    let before = shop.replies();
    shop.here.ok(&["once"]);
    assert_eq!(shop.replies(), before);
}
