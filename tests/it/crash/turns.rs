//! Killed where a case goes on without a letter: by the clock, by staff, by a newer version of the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use aftersalesd::domain::event::{CaseEvent, Event};
use aftersalesd::domain::hours::Deadlines;
use aftersalesd::domain::reply::Kind;
use aftersalesd::pipeline::due::due;
use aftersalesd::store::{CaseStep, Commit, Store};
use jiff::{SignedDuration, Timestamp};

use crate::support::letter;
use crate::support::post::Reply;
use crate::support::program::{Installation, run};

/// Runs the program, which dies at the point.
fn dies_at(here: &Installation, point: &str, words: &[&str]) {
    let mut command = here.command(words);
    command.env("AFTERSALESD_DIE_AT", point);
    let told = run(command);
    assert!(told.code.is_none() && told.err.contains("died at"), "{point}: {told:?}");
}

/// An installation with one case that was asked, and its id.
fn asked() -> (Installation, String) {
    let here = Installation::of_maildirs();
    here.deliver("1.host", letter(1, 900).as_bytes());
    here.ok(&["once"]);
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    assert_eq!(here.replies().len(), 1);
    (here, case)
}

/// The letters of a kind that the case has, by its own history.
fn letters(here: &Installation, kind: Kind) -> usize {
    let store = Store::open(&here.path("store")).unwrap();
    let case = store.cases().next().unwrap().unwrap();
    let events = store.events(&case.id).unwrap();
    events.iter().filter(|e| matches!(&e.event, Event::ReplyQueued { kind: k, .. } | Event::DraftWritten { kind: k, .. } if *k == kind)).count()
}

#[test]
fn killed_while_the_clock_strikes_it_reminds_once() {
    let (here, _) = asked();
    {
        // As if it had been asked a month ago.
        let store = Store::open(&here.path("store")).unwrap();
        let case = store.cases().next().unwrap().unwrap();
        let long_ago = Timestamp::now().checked_sub(SignedDuration::from_hours(24 * 10)).unwrap();
        let asked = CaseEvent::daemon(Event::Asked { items: case.decision.clone().unwrap().ask }, long_ago);
        let known = aftersalesd::domain::case::Case::apply(Some(case.clone()), &asked).unwrap();
        let scheduled = CaseEvent::daemon(Event::Scheduled { due: due(&known, &Deadlines::default()) }, long_ago);
        let step = CaseStep { id: case.id.clone(), from: Some(case.version), events: vec![asked, scheduled] };
        store.commit(&Commit { case: Some(step), ..Commit::default() }).unwrap();
        store.flush().unwrap();
    }
    dies_at(&here, "case-gone-on", &["once"]);
    here.ok(&["once"]);
    here.ok(&["once"]);
    assert_eq!((letters(&here, Kind::Reminder), here.replies().len()), (1, 2));
    here.ok(&["verify"]);
}

#[test]
fn killed_while_a_new_feed_is_followed_each_case_gets_its_rma_once() {
    let here = crate::reload::waiting_for_unknown_orders();
    let before = here.replies().len();
    crate::reload::tell_orders(&here);
    dies_at(&here, "case-gone-on", &["once"]);
    here.ok(&["once"]);
    here.ok(&["once"]);
    let cases = here.json(&["cases", "list", "--json"]);
    let states: Vec<_> = cases.iter().map(|case| case["state"].as_str().unwrap()).collect();
    assert_eq!((states, here.replies().len()), (vec!["rma_issued"; 2], before + 2));
    here.ok(&["verify"]);
    here.ok(&["audit"]);
}

#[test]
fn killed_behind_an_act_its_letter_goes_out_once() {
    let (here, case) = asked();
    dies_at(&here, "act-durable", &["cases", "act", &case, "withdraw"]);
    here.ok(&["once"]);
    assert_eq!(here.json(&["cases", "list", "--json"])[0]["state"], "withdrawn");
    here.ok(&["cases", "act", &case, "reopen"]);
    dies_at(&here, "act-durable", &["cases", "act", &case, "answer: We look at it."]);
    here.ok(&["once"]);
    here.ok(&["once"]);
    assert_eq!((letters(&here, Kind::Answer), here.replies().len()), (1, 2));
    here.ok(&["verify"]);
}

#[test]
fn killed_around_a_draft_it_is_there_once_and_leaves_once() {
    for (written_at, sent_at) in
        [("letter-committed", "flush-begun"), ("batch-committed", "flush-done"), ("batch-durable", "act-durable")]
    {
        let here = Installation::of_maildirs();
        here.replace("[delivery]\n", "[delivery]\nmode = \"hold\"\n");
        here.deliver("1.host", letter(1, 900).as_bytes());
        dies_at(&here, written_at, &["once"]);
        here.ok(&["once"]);
        assert_eq!(here.json(&["cases", "drafts", "--json"]).len(), 1, "{written_at}");
        here.ok(&["verify"]);
        dies_at(&here, sent_at, &["cases", "send", "all"]);
        here.ok(&["cases", "send", "all"]);
        dies_at(&here, "replies-noted", &["once"]);
        here.ok(&["once"]);
        here.ok(&["once"]);
        let ids: BTreeSet<String> = here.replies().iter().map(|raw| Reply::read(raw).message_id).collect();
        assert_eq!((letters(&here, Kind::Ask), ids.len()), (1, 1), "{sent_at}");
        assert!(here.json(&["cases", "drafts", "--json"]).is_empty());
        here.ok(&["verify"]);
    }
}

#[test]
fn killed_around_a_split_both_cases_are_there_or_neither() {
    for point in ["flush-begun", "flush-archive-synced", "flush-done", "act-durable"] {
        let (here, case, letter) = crate::split::with_a_second_letter();
        dies_at(&here, point, &["cases", "act", &case, &format!("split {letter}")]);
        here.ok(&["verify"]);
        let cases = here.json(&["cases", "list", "--json"]).len();
        assert!(matches!(cases, 1 | 2) && (point != "act-durable" || cases == 2), "{point}: {cases}");
        let again = here.run(&["cases", "act", &case, &format!("split {letter}")]);
        // What was done is not done twice.
        assert_eq!(again.code == Some(0), cases == 1, "{point}: {again:?}");
        assert_eq!(here.json(&["cases", "list", "--json"]).len(), 2, "{point}");
        here.ok(&["verify"]);
        here.ok(&["audit"]);
    }
}

#[test]
fn killed_while_it_takes_over_a_store_of_an_earlier_version() {
    let old = |here: &Installation| {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store/v1.tar.gz");
        let done = Command::new("tar").arg("-xzf").arg(kept).current_dir(here.path("")).status().unwrap();
        assert!(done.success());
    };
    let whole = Installation::of_maildirs();
    old(&whole);
    let expected = whole.ok(&["export"]).out;
    let tables = [1, 2, 5, 12].map(|times| format!("migrate-table:{times}"));
    for point in ["migrate-copied", "migrate-kept", "migrate-begun"].map(str::to_owned).iter().chain(&tables) {
        let here = Installation::of_maildirs();
        old(&here);
        dies_at(&here, point, &["export"]);
        assert_eq!(here.ok(&["export"]).out, expected, "killed at {point}");
        assert!(here.path("store/cases.format-1/db").exists() && !here.path("store/cases.copy").exists());
        here.ok(&["verify"]);
        fs::remove_dir_all(here.path("store")).unwrap();
    }
}
