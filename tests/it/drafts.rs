//! Letters that wait before they are sent: shadow mode, kinds that a person approves, the delay to take one back.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, await_that};

/// Lacks code, steps and photo.
const BEGINNING: &str = "Good morning,\n\nmy Tank T3 Ultra, order no. KS50001, runs flat since Sunday: the battery goes \
    from full to empty within three hours while the watch lies on my desk with the display off.\n\nPriya Raman\n";
const REST: &str = "I reset it once, no change. The code printed on the box is 2000400001032. A photo is attached.\n";
const PHOTO: &[(&str, &str)] = &[("watch-black-display.jpg", "flat-again.jpg")];

fn letter(id: &str, body: &str, photos: &[(&str, &str)]) -> String {
    let subject = "T3 Ultra runs flat, order KS50001";
    Draft { from: "Priya Raman <priya@example.net>", id, subject, body, answers: None, photos }.raw()
}

/// An installation with these keys in `[delivery]`.
fn with(keys: &str) -> Installation {
    let here = Installation::of_maildirs();
    here.replace("[delivery]\n", &format!("[delivery]\n{keys}\n"));
    here
}

fn case(here: &Installation) -> Value {
    let id = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    here.json(&["cases", "show", &id, "--json"]).remove(0)
}

fn id(here: &Installation) -> String {
    case(here)["case"].as_str().unwrap().to_owned()
}

/// The kinds of the drafts there are.
fn drafts(here: &Installation) -> Vec<String> {
    let told = here.json(&["cases", "drafts", "--json"]);
    told.iter().map(|draft| draft["kind"].as_str().unwrap().to_owned()).collect()
}

fn next(here: &Installation) -> Value {
    here.json(&["cases", "explain", &id(here), "--json"])[0]["next"]["timer"].clone()
}

/// Each drop of a draft: by whom and why.
fn drops(here: &Installation) -> Vec<(Value, Value)> {
    let events = case(here)["events"].as_array().unwrap().clone();
    let dropped = events.into_iter().filter(|event| event["event"] == "draft_dropped");
    dropped.map(|event| (event["by"].clone(), event["why"].clone())).collect()
}

#[test]
fn in_shadow_mode_nothing_leaves_before_a_person_sends_it() {
    let here = with("mode = \"hold\"");
    assert!(here.ok(&["check", "--offline"]).out.contains("letters        are all held until a person sends them"));
    assert!(here.say(&letter("1@example.net", &format!("{BEGINNING}{REST}"), PHOTO)).is_empty());
    here.ok(&["once"]);
    let drafted = here.json(&["cases", "drafts", "--json"]).remove(0);
    assert_eq!(
        (&drafted["kind"], &drafted["to"], &drafted["until"]),
        (&json!("rma"), &json!("priya@example.net"), &Value::Null)
    );
    assert_eq!(drafted["files"].as_array().unwrap().len(), 1, "{drafted}");
    let shown = case(&here);
    assert_eq!((&shown["state"], &shown["replies"]), (&json!("rma_issued"), &json!(0)));
    assert_eq!(shown["drafts"][0]["text"], drafted["text"]);
    let page = here.ok(&["cases", "show", &id(&here)]).out;
    assert!(page.contains("draft      rma") && page.contains("    | "), "{page}");
    assert_eq!(next(&here), "remind_staff");
    assert!(here.ok(&["audit"]).out.contains("0 sent, 0 waiting, 0 refused; 1 drafts"));
    here.ok(&["verify"]);
    let status = here.run(&["status", "--json"]).json().remove(0);
    assert_eq!((&status["drafts"], &status["replies_waiting"]), (&json!(1), &json!(0)));
    let export = here.ok(&["export"]).out;
    let there = Installation::of_maildirs();
    there.write("export", &export);
    there.ok(&["import", there.path("export").to_str().unwrap()]);
    assert_eq!(there.ok(&["export"]).out, export);

    here.replace("mode = \"hold\"", "mode = \"send\"");
    let mut daemon = here.start();
    assert_eq!(drafts(&here), ["rma"]);
    assert!(here.replies().is_empty(), "what is held stays so");
    here.ok(&["cases", "send", &id(&here), "--by", "kim", "--why", "looks right"]);
    await_that(Duration::from_secs(30), "the letter goes out", || here.replies().len() == 1);
    assert_eq!(daemon.terminate(), Some(0));
    let reply = Reply::read(&here.replies()[0]);
    assert_eq!(
        (json!(reply.subject), json!(reply.text.trim())),
        (drafted["subject"].clone(), json!(drafted["text"].as_str().unwrap().trim()))
    );
    let events = case(&here)["events"].clone();
    let released = events.as_array().unwrap().iter().find(|event| event["event"] == "draft_released").unwrap().clone();
    assert_eq!((&released["by"]["staff"], &released["why"]), (&json!("kim"), &json!("looks right")));
    here.ok(&["once"]);
    assert_eq!((here.replies().len(), drafts(&here).len(), next(&here)), (1, 0, json!("remind_rma")));
    here.ok(&["verify"]);
    let nothing = here.run(&["cases", "send", &id(&here)]);
    assert!(nothing.code == Some(1) && nothing.complaints()[0].contains("has no draft to send"), "{nothing:?}");
}

#[test]
fn only_the_kinds_that_are_named_are_held() {
    let here = with("hold = [\"rma\", \"safety\"]");
    let told = here.ok(&["check", "--offline"]).out;
    assert!(told.contains("are sent at once, but held until a person sends them: rma safety"), "{told}");
    assert_eq!(here.say(&letter("1@example.net", BEGINNING, &[])).len(), 1);
    assert!(here.say(&letter("2@example.net", REST, PHOTO)).is_empty());
    assert_eq!(drafts(&here), ["rma"]);
    here.ok(&["cases", "send", "all", "--by", "kim"]);
    here.ok(&["once"]);
    assert_eq!(here.replies().len(), 2);
    here.replace("\"safety\"", "\"sefety\"");
    let wrong = here.run(&["check", "--offline"]);
    assert_eq!(wrong.code, Some(78));
    for word in ["[delivery] hold: entry 2", "sefety", "safety"] {
        assert!(wrong.complaints()[0].contains(word), "{wrong:?}");
    }
    here.replace("\"sefety\"", "\"anything\"");
    let wrong = here.run(&["check", "--offline"]);
    for kind in ["ask", "rma", "acknowledgement", "shipped-back"] {
        assert!(wrong.complaints()[0].replace('_', "-").contains(kind), "{wrong:?}");
    }
}

#[test]
fn a_draft_that_is_overtaken_never_leaves() {
    let here = with("mode = \"hold\"");
    here.say(&letter("1@example.net", BEGINNING, &[]));
    assert_eq!((drafts(&here), next(&here)), (vec!["ask".to_owned()], json!("remind_staff")));
    // The customer writes again: what is asked for is decided anew.
    here.say(&letter("2@example.net", "I reset it once, no change.\n", &[]));
    assert_eq!(drafts(&here), ["ask"]);
    here.say(&letter("3@example.net", REST, PHOTO));
    assert_eq!(drafts(&here), ["rma"]);
    let by_customer = (json!("daemon"), json!("the customer has written since"));
    assert_eq!(drops(&here), [by_customer.clone(), by_customer]);
    // What was authorised still holds when the customer asks for it.
    here.say(&letter("4@example.net", "When will order KS50001 be repaired?\n", &[]));
    assert_eq!(drafts(&here), ["rma", "acknowledgement"]);
    here.ok(&["cases", "send", "all", "--by", "kim"]);
    here.ok(&["once"]);
    let told: Vec<String> = here.replies().iter().map(|raw| Reply::read(raw).text).collect();
    assert_eq!(told.len(), 2);
    assert!(!told.iter().any(|text| text.contains("1. Item code")), "nobody is asked: {told:?}");
    here.ok(&["verify"]);

    let here = with("mode = \"hold\"");
    here.say(&letter("1@example.net", BEGINNING, &[]));
    here.ok(&["cases", "act", &id(&here), "reject: It fell into the sea.", "--by", "kim"]);
    assert_eq!(drafts(&here), ["rejection"]);
    assert_eq!(drops(&here)[0].1, "a newer letter takes its place");
    here.ok(&["cases", "act", &id(&here), "close", "--by", "kim"]);
    assert_eq!(drafts(&here), ["rejection"], "the refusal still has to be told");

    let here = with("mode = \"hold\"");
    here.say(&letter("1@example.net", BEGINNING, &[]));
    here.ok(&["cases", "act", &id(&here), "withdraw", "--by", "kim"]);
    assert!(drafts(&here).is_empty());
    assert_eq!(drops(&here)[0].1, "staff have gone on with the case");
    here.ok(&["once"]);
    assert!(here.replies().is_empty());
    here.ok(&["verify"]);
}

#[test]
fn a_draft_that_staff_drop_is_never_sent_and_the_case_is_theirs() {
    let here = with("mode = \"hold\"");
    here.say(&letter("1@example.net", BEGINNING, &[]));
    here.ok(&["cases", "drop", &id(&here), "--by", "kim", "--why", "she has phoned"]);
    let shown = case(&here);
    assert_eq!((&shown["state"], &shown["waits_for_staff"]), (&json!("with_staff"), &json!(true)));
    assert_eq!(drops(&here), [(json!({"staff": "kim"}), json!("she has phoned"))]);
    let again = here.run(&["cases", "drop", &id(&here)]);
    assert!(again.code == Some(1) && again.complaints()[0].contains("has no draft to drop"), "{again:?}");
    here.ok(&["cases", "send", "all"]);
    here.ok(&["once"]);
    assert!(here.replies().is_empty());
    here.ok(&["verify"]);
    here.say(&letter("2@example.net", REST, PHOTO));
    here.ok(&["cases", "erase", "--customer", "priya@example.net", "--force", "--by", "kim"]);
    assert!(drafts(&here).is_empty());
    here.ok(&["verify"]);
}

#[test]
fn what_is_held_counts_for_no_cap_and_no_deadline() {
    let here = with("mode = \"hold\"");
    let text = fs::read_to_string(here.path("config.toml")).unwrap();
    here.write(
        "config.toml",
        format!("{text}\n[limits]\nreplies_per_sender = 1\nreplies_per_case = 1\n[policy]\nasks = 1\n"),
    );
    for number in 0..3 {
        here.say(&letter(&format!("{number}@example.net"), &format!("{BEGINNING}{number}\n"), &[]));
        assert_eq!(drafts(&here), ["ask"], "letter {number}");
    }
    here.ok(&["cases", "send", &id(&here), "--by", "kim"]);
    assert_eq!(next(&here), "remind_items");
    here.say(&letter("4@example.net", "Nothing new.\n", &[]));
    assert!(drafts(&here).is_empty(), "now the caps are reached");
    here.ok(&["verify"]);
}

#[test]
fn with_a_delay_a_letter_can_be_taken_back_and_goes_by_itself() {
    let here = with("delay = \"1h\"");
    assert!(here.ok(&["check", "--offline"]).out.contains("are sent after 1h, until then they can be dropped"));
    assert!(here.say(&letter("1@example.net", BEGINNING, &[])).is_empty());
    let waiting = here.json(&["cases", "drafts", "--json"]).remove(0);
    assert!(waiting["until"].as_str() > waiting["since"].as_str(), "{waiting}");
    assert_eq!(next(&here), "release_draft");
    here.ok(&["cases", "send", "all"]);
    assert_eq!(drafts(&here), ["ask"], "it is not held");
    here.ok(&["cases", "drop", &id(&here), "--by", "kim"]);
    here.ok(&["once"]);
    assert!(drafts(&here).is_empty() && here.replies().is_empty());

    let here = with("delay = \"1s\"");
    let mut daemon = here.start();
    here.deliver("1.host", letter("1@example.net", BEGINNING, &[]).as_bytes());
    await_that(Duration::from_secs(40), "the letter goes out", || here.replies().len() == 1);
    assert_eq!(daemon.terminate(), Some(0));
    let events = case(&here)["events"].as_array().unwrap().clone();
    let times = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((times("draft_written"), times("draft_released"), times("reply_sent")), (1, 1, 1));
    assert_eq!(next(&here), "remind_items");
    here.ok(&["verify"]);
}

#[test]
fn a_storm_meets_the_cap_of_its_sender_while_letters_wait() {
    let here = with("delay = \"1h\"");
    let text = fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("config.toml", format!("{text}\n[limits]\nreplies_per_sender = 2\n"));
    for number in 0..4 {
        let subject = format!("Subject {number}");
        let body = format!("My watch number {number} does not charge any more.\n");
        let draft = Draft {
            from: "Jo <jo@example.net>",
            id: &format!("{number}@example.net"),
            subject: &subject,
            body: &body,
            answers: None,
            photos: &[],
        };
        here.say(&draft.raw());
    }
    assert_eq!(drafts(&here), ["ask", "ask"]);
    here.ok(&["verify"]);
}
