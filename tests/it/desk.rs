//! Staff at their mail program: a case that needs a person comes as one mail, and its answer is followed; nobody else's is.

use aftersalesd::app::Setup;
use aftersalesd::ports::Security;
use aftersalesd::store::Store;
use aftersalesd::worker::turn;
use jiff::{SignedDuration, Timestamp};
use mail_parser::{MessageParser, MimeHeaders};
use serde_json::Value;

use crate::support::dovecot::Dovecot;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, keys, run};
use crate::support::smtpd::{Kept, Smtpd};

const KIM: &str = "kim@staff.example";
const DESK: &str = "support@staff.example";
const PASS: &str = "Authentication-Results: mx.example.com; dmarc=pass header.from=staff.example\r\n";
const STAFF: &str = "[staff]\nhandover = \"support@staff.example\"\naddresses = [\"kim@staff.example\"]\n";
const TRUSTED: &str = "trusted_authserv = [\"mx.example.com\"]\n";

/// A danger, with a photo.
fn danger() -> String {
    let draft = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "danger@example.net",
        subject: "Hot watch",
        body: "Hello,\n\nmy Tank T3 Ultra (order KS50001) got hot while charging and the battery is swollen. It smells of smoke.\n\n\
               What shall I do?\n\nPriya Raman\n",
        answers: None,
        photos: &[("watch-black-display.jpg", "swollen.jpg")],
    };
    draft.raw()
}

/// What Kim answers to a mail.
fn answer(to: &Reply, id: &str, words: &str) -> String {
    let subject = format!("Re: {}", to.subject);
    Draft { from: "Kim <kim@staff.example>", id, subject: &subject, body: words, answers: Some(to), photos: &[] }.raw()
}

fn to(kept: &[Kept], address: &str) -> Vec<Reply> {
    kept.iter().filter(|mail| mail.envelope["to"][0] == address).map(|mail| Reply::read(&mail.raw)).collect()
}

fn case(here: &Installation) -> Value {
    let listed = here.json(&["cases", "list", "--json"]);
    assert_eq!(listed.len(), 1, "{listed:#?}");
    here.json(&["cases", "show", listed[0]["case"].as_str().unwrap(), "--json"]).remove(0)
}

fn notices(here: &Installation) -> Vec<(String, String)> {
    let told = here.json(&["cases", "notices", "--json"]);
    told.iter().map(|n| (n["notice"].as_str().unwrap().to_owned(), n["what"].as_str().unwrap().to_owned())).collect()
}

#[test]
fn a_danger_comes_to_staff_by_mail_and_their_answer_is_followed_once() {
    let dovecot = Dovecot::start();
    let smtpd = Smtpd::start(Security::Tls, &["--login", "claims:secret"]);
    let imap = format!("{}{TRUSTED}", keys("imap", &dovecot.server(Security::Tls)));
    let here = Installation::new(&imap, &keys("smtp", &smtpd.server(Some(("claims", "secret")))), STAFF);
    assert!(here.ok(&["check"]).out.contains("support@staff.example; answers of [staff] addresses are followed"));
    let raw = danger();
    dovecot.deliver(&raw);
    here.ok(&["once"]);
    let kept = smtpd.kept();
    assert_eq!((kept.len(), to(&kept, "priya@example.net").len()), (2, 1), "the customer is warned, staff are told");
    let handed = to(&kept, DESK).remove(0);
    let held = case(&here);
    let number = held["case"].as_str().unwrap();
    assert_eq!(held["state"], "safety_hold");
    assert!(handed.subject.starts_with(&format!("[{number}] needs you: safety")), "{}", handed.subject);
    assert_eq!((handed.auto_submitted.as_str(), handed.content_type.as_str()), ("auto-generated", "multipart/mixed"));
    for words in ["Priya Raman <priya@example.net>", "KS50001", "KP-TKT3U-BK", "photo", "release", "| What shall I do?"]
    {
        assert!(handed.text.contains(words), "{words}:\n{}", handed.text);
    }
    let whole = kept.iter().find(|mail| mail.envelope["to"][0] == DESK).unwrap();
    let parsed = MessageParser::default().parse(&whole.raw).unwrap();
    let original = parsed.attachments().find_map(|part| part.message()).expect("the original is enclosed");
    assert_eq!(original.message_id(), Some("danger@example.net"));
    let holds = whole.raw.windows(raw.len()).any(|bytes| bytes == raw.as_bytes());
    assert!(holds, "the original is as it came");
    let small = parsed.attachments().find(|part| part.attachment_name() == Some("small-1.jpg")).unwrap();
    assert!(small.contents().starts_with(&[0xff, 0xd8]) && small.contents().len() < 100_000);
    assert!(!small.contents().windows(4).any(|bytes| bytes == b"Exif"), "nothing of the camera's");

    // Nothing that may not be Kim's is followed, answered or told of.
    let words = "release\nask photo\n";
    let genuine = answer(&handed, "kim-1@staff.example", words);
    let other = |id: &str| answer(&handed, id, words);
    let token = handed.message_id.split('@').next().unwrap().rsplit('.').next().unwrap().to_owned();
    let wrong = |id: &str| format!("{PASS}{}", other(id).replace(&token, "00000000000000000000000000000000"));
    let below = "Authentication-Results: evil.example; dmarc=pass\r\n";
    dovecot.deliver_all([
        other("forged-1@staff.example"),
        format!("Authentication-Results: mx.example.com; dmarc=none\r\n{}", other("forged-2@staff.example")),
        format!("{below}{PASS}{}", other("forged-3@staff.example")),
        format!("{PASS}{}", other("forged-4@staff.example")).replace("header.from=staff", "header.from=evil"),
        format!("Authentication-Results: mx.example.com; dmarc=fail\r\n{}", other("forged-5@staff.example")),
        wrong("forged-6@staff.example"),
        format!("{PASS}Auto-Submitted: auto-replied\r\n{}", other("absent@staff.example")),
    ]);
    here.ok(&["once"]);
    let now = case(&here);
    assert_eq!((&now["state"], &now["replies"]), (&held["state"], &held["replies"]));
    assert_eq!(smtpd.kept().len(), 2, "nobody is answered");
    let told = notices(&here);
    assert!(told.iter().any(|(kind, what)| kind == "command" && what.contains("token is wrong")), "{told:?}");
    assert!(told.iter().all(|(_, what)| !what.contains(&token)), "{told:?}");

    let genuine = format!("{PASS}{genuine}");
    dovecot.deliver(&genuine);
    here.ok(&["once"]);
    let kept = smtpd.kept_after(2);
    assert_eq!(kept.len(), 2, "the customer is asked, Kim is answered");
    let asked = to(&kept, "priya@example.net").remove(0);
    assert!(asked.text.contains("1. Photo or video of the defect"), "{}", asked.text);
    assert!(!asked.text.contains("Kim") && !asked.text.contains("Reference:"), "{}", asked.text);
    let answered = to(&kept, KIM).remove(0);
    assert!(answered.text.starts_with("release: done\nask photo: done\n"), "{}", answered.text);
    assert_eq!(answered.auto_submitted, "auto-replied");
    assert_eq!(answered.in_reply_to.as_deref(), Some("kim-1@staff.example"));
    let after = case(&here);
    assert_eq!(after["state"], "awaiting_info");
    let by_kim: Vec<&Value> =
        after["events"].as_array().unwrap().iter().filter(|event| event["by"]["staff"] == KIM).collect();
    let names: Vec<&str> = by_kim.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["letter_noted", "handed_to_staff", "asked"]);

    // The same mail again, and what is no command.
    dovecot.deliver(&genuine);
    here.ok(&["once"]);
    assert_eq!((smtpd.kept().len(), &case(&here)["version"]), (4, &after["version"]));
    dovecot.deliver(&format!("{PASS}{}", answer(&answered, "kim-2@staff.example", "Thanks, I will call her.\n")));
    here.ok(&["once"]);
    let told = to(&smtpd.kept_after(4), KIM).remove(0);
    assert!(told.text.contains("not understood") && told.text.contains("there are: approve"), "{}", told.text);
    assert_eq!(case(&here)["state"], "awaiting_info");
    here.ok(&["verify"]);
    here.ok(&["audit"]);
}

#[test]
fn without_a_server_that_vouches_nothing_is_followed() {
    let here = Installation::of_maildirs();
    let text = std::fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", format!("{text}{STAFF}"));
    assert!(here.ok(&["check", "--offline"]).out.contains("answers are not followed"));
    let told = here.say(&danger());
    let handed = told.iter().map(|raw| Reply::read(raw)).find(|reply| reply.to == DESK).unwrap();
    assert!(handed.text.contains("Answers to this mail are not followed") && handed.text.contains("cases act AS-"));
    assert_eq!(here.say(&format!("{PASS}{}", answer(&handed, "kim@staff.example", "release\n"))).len(), 0);
    assert_eq!(case(&here)["state"], "safety_hold");
    assert!(notices(&here).iter().any(|(kind, what)| kind == "command" && what.contains("trusted_authserv")));
}

#[test]
fn a_customer_who_was_shown_a_hand_over_is_a_customer() {
    let here = trusting();
    let told = here.say(&danger());
    let handed = told.iter().map(|raw| Reply::read(raw)).find(|reply| reply.to == DESK).unwrap();
    let pass = PASS.replace("staff.example", "example.net");
    let mine = answer(&handed, "mine@example.net", "release\n").replace("Kim <kim@staff.example>", "priya@example.net");
    here.say(&format!("{pass}{mine}"));
    let case = case(&here);
    assert_eq!((&case["state"], &case["letters"]), (&Value::from("safety_hold"), &Value::from(2)));
    assert!(notices(&here).iter().any(|(kind, what)| kind == "command" && what.contains("none of the staff")));
}

#[test]
fn a_flood_is_told_together_and_who_waits_too_long_is_told_again() {
    let here = Installation::of_maildirs();
    let text = std::fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", format!("{text}{STAFF}"));
    for number in 0..25 {
        let (from, id) = (format!("jo{number}@example.net"), format!("{number}@example.net"));
        let body = "My watch is on fire, smoke comes out of it!\n";
        let draft = Draft { from: &from, id: &id, subject: "Fire", body, answers: None, photos: &[] };
        here.deliver(&format!("{number}.host"), draft.raw().as_bytes());
    }
    here.ok(&["once"]);
    let replies: Vec<Reply> = here.replies().iter().map(|raw| Reply::read(raw)).collect();
    let handed = replies.iter().filter(|reply| reply.to == DESK).count();
    assert_eq!((handed, replies.len()), (20, 45), "every customer is warned");

    let config = aftersalesd::config::load(&here.path("config.toml")).unwrap();
    let office = Setup::new(&config).unwrap().office(&config, Store::open(&config.store).unwrap());
    let later = |hours| Timestamp::now().checked_add(SignedDuration::from_hours(hours)).unwrap();
    let waiting = || office.store.outbox_due(Timestamp::MAX, 100).unwrap();
    turn::strike(&office, Timestamp::now()).unwrap();
    assert_eq!(waiting().len(), 0, "there is no room yet");
    turn::strike(&office, later(2)).unwrap();
    let told = waiting();
    assert_eq!((told.len(), told[0].reply.subject.as_str()), (1, "[aftersalesd] 5 cases need you"));
    assert_eq!(told[0].reply.text.matches("safety_hold").count(), 5, "{}", told[0].reply.text);
    turn::strike(&office, later(3)).unwrap();
    assert_eq!(waiting().len(), 1, "once");
    // Two working days are over after a week at the latest.
    turn::strike(&office, later(7 * 24)).unwrap();
    let told = waiting();
    assert_eq!(told.len(), 21);
    assert!(told.iter().any(|w| w.reply.subject.contains("still needs you")), "{}", told[0].reply.subject);
    turn::strike(&office, later(7 * 24 + 2)).unwrap();
    assert_eq!(waiting().len(), 22);
}

/// Killed between any two side effects, the program has done what an answer says once when it comes up again, or never
/// began.
#[test]
fn a_kill_repeats_no_act() {
    for point in [
        "letters-kept",
        "letter-committed",
        "flush-archive-synced",
        "batch-durable",
        "mailbox-told",
        "reply-to-be-sent",
        "replies-noted",
    ] {
        let here = trusting();
        let told = here.say(&danger());
        let handed = told.iter().map(|raw| Reply::read(raw)).find(|reply| reply.to == DESK).unwrap();
        let words = "release\nask photo\nnote: rang her\n";
        here.deliver("kim.host", format!("{PASS}{}", answer(&handed, "kim@staff.example", words)).as_bytes());
        let mut dying = here.command(&["once"]);
        dying.env("AFTERSALESD_DIE_AT", point);
        let died = run(dying);
        assert_ne!(died.code, Some(0), "{point}: {died:?}");
        here.ok(&["once"]);
        here.ok(&["once"]);
        let case = case(&here);
        let names: Vec<&str> =
            case["events"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
        for once in ["handed_to_staff", "asked", "noted", "letter_noted"] {
            assert_eq!(names.iter().filter(|name| **name == once).count(), 1, "{point}: {once} of {names:?}");
        }
        let replies: Vec<Reply> = here.replies().iter().map(|raw| Reply::read(raw)).collect();
        let to = |address: &str| replies.iter().filter(|reply| reply.to == address).count();
        assert_eq!((to("priya@example.net"), to(DESK), to(KIM)), (2, 1, 1), "{point}");
        here.ok(&["verify"]);
    }
}

/// Two Maildirs, and a server that vouches.
fn trusting() -> Installation {
    let here = Installation::of_maildirs();
    let text = std::fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", format!("{text}{STAFF}").replace("[delivery]", &format!("{TRUSTED}[delivery]")));
    here
}
