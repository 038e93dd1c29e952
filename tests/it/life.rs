//! The life of a return after its RMA, as staff lead it from the shell: what they do, what the customer gets, what is
//! remembered of it.

use std::fs;

use serde_json::Value;

use crate::support::letter;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, Told, sample};

/// An installation in which a complete claim has its RMA, and its case.
fn authorised() -> (Installation, String) {
    let here = Installation::of_maildirs();
    let claim = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "claim@example.net",
        subject: "T3 Ultra runs flat",
        body: "Good morning,\n\nmy Tank T3 Ultra, order no. KS50001, runs flat since Sunday: the battery goes from full to \
               empty within three hours while the watch lies on my desk with the display off. I reset it once, no \
               change. The code printed on the box is 2000400001032. A photo is attached.\n\nPriya Raman\n",
        answers: None,
        photos: &[("watch-black-display.jpg", "flat-again.jpg")],
    };
    here.deliver("1.host", claim.raw().as_bytes());
    here.ok(&["once"]);
    let cases = here.json(&["cases", "list", "--json"]);
    assert_eq!(cases[0]["state"], "rma_issued", "{cases:?}");
    (here, cases[0]["case"].as_str().unwrap().to_owned())
}

fn act(here: &Installation, case: &str, words: &str) -> Value {
    let mut told = here.json(&["cases", "act", case, words, "--by", "kim", "--json"]);
    told.remove(0)
}

/// The latest reply, after the outbox was served.
fn latest(here: &Installation) -> Reply {
    let before = here.replies().len();
    here.ok(&["once"]);
    let replies = here.replies();
    assert_eq!(replies.len(), before + 1, "one letter goes out");
    let mut replies: Vec<Reply> = replies.iter().map(|raw| Reply::read(raw)).collect();
    // The number of the reply in its case.
    replies.sort_by(|one, other| one.message_id.cmp(&other.message_id));
    replies.pop().unwrap()
}

#[test]
fn a_repair_from_the_parcel_to_the_way_back() {
    let (here, case) = authorised();
    assert_eq!(act(&here, &case, "posted 1Z999AA10123456784")["state"], "in_transit");
    assert_eq!(act(&here, &case, "arrived")["state"], "received");
    let told = latest(&here);
    assert!(told.text.contains("has reached us") && told.subject.contains(&case), "{}", told.text);
    assert_eq!(act(&here, &case, "inspected confirmed")["state"], "inspected");
    assert!(latest(&here).text.contains("repair the item free of charge"));
    assert_eq!(act(&here, &case, "repaired")["state"], "repaired");
    assert_eq!(act(&here, &case, "shipped faster 1Z42: With a new strap.")["state"], "shipped_back");
    let told = latest(&here);
    for words in ["has been repaired", "1Z42", "With a new strap."] {
        assert!(told.text.contains(words) && told.html.contains(words), "{words}: {}", told.text);
    }
    let explained = &here.json(&["cases", "explain", &case, "--json"])[0];
    let clauses: Vec<&str> =
        explained["reckoning"].as_array().unwrap().iter().map(|line| line["clause"].as_str().unwrap()).collect();
    for clause in [
        "warranty.start",
        "repair.window",
        "process.1",
        "rma.first",
        "inspection",
        "repair.confirm",
        "repair.flat_rate",
    ] {
        assert!(clauses.contains(&clause), "{clause} of {clauses:?}");
    }
    assert_eq!(explained["next"]["timer"], "close_done");
    let page = here.ok(&["cases", "explain", &case]).out;
    assert!(page.contains("✓ repair.window") && page.contains("decided under terms"), "{page}");
    let shown = &here.json(&["cases", "show", &case, "--json"])[0];
    let by_kim: Vec<&str> = shown["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["by"]["staff"] == "kim")
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(by_kim, ["posted", "arrived", "inspected", "repaired", "shipped_back"]);
    here.ok(&["verify"]);
}

#[test]
fn what_can_not_be_done_is_told_and_changes_nothing() {
    let (here, case) = authorised();
    let before = here.ok(&["export"]).out;
    let refused: &[(&[&str], i32, &str)] = &[
        (&["act", &case, "repaired"], 1, "can't be done with a case that is rma_issued"),
        (&["act", &case, "approve"], 1, "can't be done"),
        (&["act", &case, "extend 2020-01-01"], 1, "is over"),
        (&["act", &case, "release"], 1, "no danger"),
        (&["act", &case, "merge AS-22222222"], 2, "AS-22222222"),
        (&["act", &case, "merge AS-XXKFFKYN"], 1, "there is no case AS-XXKFFKYN"),
        (&["act", &case, "offer we repair it"], 2, "does not take"),
        (&["act", &case, "dance"], 2, "there are: approve"),
        (&["act", &case, "ask foto"], 2, "an item to ask for"),
        (&["act", "AS-2222222Y", "close"], 1, "there is no case"),
        (&["explain", "KS99999999"], 1, "there is no case"),
    ];
    for (words, code, told) in refused {
        let arguments: Vec<&str> = ["cases"].iter().chain(words.iter()).copied().collect();
        let answer: Told = here.run(&arguments);
        assert_eq!((answer.code, answer.complaints().len()), (Some(*code), 1), "{words:?}: {answer:?}");
        assert!(answer.complaints()[0].contains(told), "{words:?}: {answer:?}");
    }
    assert_eq!(here.ok(&["export"]).out, before);
}

#[test]
fn a_person_answers_asks_refuses_and_reopens() {
    let here = Installation::of_maildirs();
    here.deliver("1.host", &fs::read(sample("mail/11-swollen-battery.eml")).unwrap());
    here.ok(&["once"]);
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    let held = &here.json(&["cases", "list", "--json"])[0];
    assert_eq!(held["state"], "safety_hold");
    let warning = Reply::read(&here.replies()[0]);
    for words in ["stop using the item", "Do not charge it", "not even to us"] {
        assert!(warning.text.contains(words), "{words}: {}", warning.text);
    }
    assert_eq!(act(&here, &case, "release")["state"], "with_staff");
    act(&here, &case, "answer: We will send a courier with a safe box.\n\nPlease keep it outside until then.");
    let answer = latest(&here);
    assert!(answer.text.contains("courier with a safe box.\n\nPlease keep"), "{}", answer.text);
    assert_eq!(answer.auto_submitted, "no");
    assert_eq!(act(&here, &case, "ask photo order_number")["state"], "awaiting_info");
    let asked = latest(&here);
    assert!(asked.text.contains("1. Order number") && asked.text.contains("2. Photo"), "{}", asked.text);
    assert_eq!(act(&here, &case, "reject: The battery was pierced.")["state"], "rejected");
    let refusal = latest(&here);
    assert!(refusal.text.contains("The battery was pierced.") && refusal.text.contains("statutory rights"));
    assert_eq!(act(&here, &case, "close")["state"], "closed");
    assert_eq!(act(&here, &case, "reopen")["state"], "with_staff");
    here.ok(&["verify"]);
}

#[test]
fn letters_to_a_merged_case_join_the_one_that_goes_on() {
    let here = Installation::of_maildirs();
    here.deliver("1.host", letter(1, 700).as_bytes());
    here.ok(&["once"]);
    let again = letter(1, 700).replace("<1@", "<second@").replace("Letter 1", "Another one").replace("strap", "glass");
    here.deliver("2.host", again.as_bytes());
    here.deliver("3.host", letter(2, 700).as_bytes());
    here.ok(&["once"]);
    let cases = here.json(&["cases", "list", "--json"]);
    let of = |subject: &str| {
        let case = cases.iter().find(|case| case["subject"] == subject).unwrap_or_else(|| panic!("{cases:?}"));
        case["case"].as_str().unwrap().to_owned()
    };
    let (first, second, other) = (of("Letter 1"), of("Another one"), of("Letter 2"));
    let refused = here.run(&["cases", "act", &second, "merge", &other]);
    assert!(refused.code == Some(1) && refused.err.contains("is of another customer"), "{refused:?}");
    assert_eq!(act(&here, &second, &format!("merge {first}"))["state"], "merged");
    let refused = here.run(&["cases", "act", &first, "merge", &second]);
    assert!(refused.code == Some(1) && refused.err.contains("merged into another one itself"), "{refused:?}");
    let answer =
        letter(1, 700).replace("<1@", "<third@").replace("\r\n\r\n", "\r\nIn-Reply-To: <second@example.net>\r\n\r\n");
    here.deliver("4.host", answer.as_bytes());
    here.ok(&["once"]);
    let letters = |id: &str| here.json(&["cases", "show", id, "--json"])[0]["letters"].clone();
    assert_eq!((letters(&first), letters(&second)), (2.into(), 1.into()));
    here.ok(&["verify"]);
}

#[test]
fn what_staff_correct_decides_anew_and_is_given_out_as_evaluation_cases() {
    let here = Installation::of_maildirs();
    let claim = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "fell@example.net",
        subject: "T3 Ultra runs flat",
        body: "Good morning,\n\nmy Tank T3 Ultra, order no. KS50001, runs flat since Sunday: the battery goes from full to \
               empty within three hours while the watch lies on my desk with the display off. It fell on the floor in \
               June. I reset it once, no change. The code printed on the box is 2000400001032. A photo is \
               attached.\n\nPriya Raman\n",
        answers: None,
        photos: &[("watch-black-display.jpg", "flat-again.jpg")],
    };
    let raw = claim.raw();
    here.deliver("1.host", raw.as_bytes());
    here.ok(&["once"]);
    let found = here.json(&["cases", "list", "--json"]);
    assert_eq!((&found[0]["state"], &found[0]["decision"]), (&"with_staff".into(), &"staff".into()), "{found:?}");
    let case = found[0]["case"].as_str().unwrap();
    let sent = here.replies().len();
    assert_eq!(act(&here, case, "correct void none")["decision"], "issue_rma");
    here.ok(&["once"]);
    assert_eq!(here.replies().len(), sent, "a correction writes to nobody");
    let folder = here.path("learned");
    let told = here.ok(&["corrections", folder.to_str().unwrap()]).out;
    assert!(told.contains("1 cases that staff corrected"), "{told}");
    let learned = fs::read_to_string(folder.join(format!("cases/{case}.json"))).unwrap();
    let learned: Value = serde_json::from_str(&learned).unwrap();
    assert_eq!(learned["mails"][0]["expect"]["facts.void_signals"], Value::Array(Vec::new()));
    assert_eq!(learned["corrections"][0]["fact"], "void");
    assert_eq!(fs::read(folder.join(format!("mail/{case}/01.eml"))).unwrap(), raw.as_bytes());
    assert_eq!(act(&here, case, "approve")["state"], "rma_issued");
    assert!(latest(&here).text.contains("RMA"));
}
