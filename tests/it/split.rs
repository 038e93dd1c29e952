//! Letters of a case become a case of their own: what they say goes with them, and whoever answers them.

use serde_json::{Value, json};

use crate::support::post::{Draft, Reply};
use crate::support::program::Installation;

const CUSTOMER: &str = "Priya Raman <priya@example.net>";

fn draft<'a>(id: &'a str, subject: &'a str, body: &'a str, answers: Option<&'a Reply>) -> Draft<'a> {
    Draft { from: CUSTOMER, id, subject, body, answers, photos: &[] }
}

fn shown(here: &Installation, case: &str) -> Value {
    here.json(&["cases", "show", case, "--json"]).remove(0)
}

fn letters(here: &Installation, case: &str) -> Vec<String> {
    let events = shown(here, case)["events"].as_array().unwrap().clone();
    let taken = events.into_iter().filter(|event| event["event"] == "letter_taken");
    taken.map(|event| event["letter"].as_str().unwrap().to_owned()).collect()
}

/// A case with a second letter, which brought the code and was answered; the case and that letter.
pub fn with_a_second_letter() -> (Installation, String, String) {
    let here = Installation::of_maildirs();
    let asked = here.say(&draft("1@example.net", "T3 Ultra runs flat, order KS50001", FIRST, None).raw());
    let asked = Reply::read(&asked[0]);
    here.say(&draft("2@example.net", "Re: T3 Ultra runs flat", SECOND, Some(&asked)).raw());
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    let second = letters(&here, &case).remove(1);
    (here, case, second)
}

const FIRST: &str = "Good morning,\n\nmy Tank T3 Ultra, order no. KS50001, runs flat since Sunday: the battery goes from full to \
    empty within three hours while the watch lies on my desk with the display off.\n\nPriya Raman\n";
const SECOND: &str = "The code printed on the box is 2000400001032.\n\nPriya\n";

#[test]
fn a_letter_becomes_a_case_of_its_own_and_so_do_the_answers_to_it() {
    let (here, case, second) = with_a_second_letter();
    let missing = |case: &str| shown(&here, case)["missing"].clone();
    assert_eq!(missing(&case), json!(["steps_taken", "photo"]));
    let answered =
        here.replies().iter().map(|raw| Reply::read(raw)).find(|r| r.in_reply_to.as_deref() == Some("2@example.net"));
    let answered = answered.expect("the second letter was answered");
    let sent = here.replies().len();
    let first = letters(&here, &case).remove(0);
    for (words, told) in [
        (format!("split {}", &first[..12]), "the first letter"),
        ("split 000000".to_owned(), "is no letter of this case"),
        ("split".to_owned(), "something is missing"),
    ] {
        let refused = here.run(&["cases", "act", &case, &words]);
        assert!(refused.code != Some(0) && refused.err.contains(told), "{words}: {refused:?}");
    }
    here.ok(&["cases", "act", &case, &format!("split {}", &second[..12]), "--by", "kim"]);
    // Both were decided anew; nobody was written to.
    assert_eq!(missing(&case), json!(["item_code", "steps_taken", "photo"]));
    let listed = here.json(&["cases", "list", "--json"]);
    assert_eq!(listed.len(), 2, "{listed:?}");
    let other = listed.iter().map(|listed| listed["case"].as_str().unwrap()).find(|id| *id != case).unwrap().to_owned();
    let new = shown(&here, &other);
    assert_eq!((&new["state"], &new["facts"]["item_code"]), (&json!("with_staff"), &json!("2000400001032")), "{new}");
    assert_eq!(new["facts"]["order_number"], Value::Null, "that was said in the first letter: {new}");
    assert_eq!(letters(&here, &other), std::slice::from_ref(&second));
    here.ok(&["once"]);
    assert_eq!(here.replies().len(), sent);
    here.ok(&["verify"]);
    here.ok(&["audit"]);
    let found = here.json(&["cases", "search", "printed on the box", "--json"]);
    assert_eq!(found.iter().map(|case| case["case"].as_str().unwrap()).collect::<Vec<_>>(), [other.as_str()]);
    // Whoever answers what answered it writes to the new case; whoever answers the first question, to the old one.
    here.say(&draft("3@example.net", "Re: T3 Ultra runs flat", "It was reset once.\n", Some(&answered)).raw());
    assert_eq!((letters(&here, &other).len(), letters(&here, &case).len()), (2, 2));
    let first_question =
        here.replies().iter().map(|raw| Reply::read(raw)).find(|r| r.in_reply_to.as_deref() == Some("1@example.net"));
    here.say(
        &draft("4@example.net", "Re: T3 Ultra runs flat", "Thanks, it is still flat.\n", first_question.as_ref()).raw(),
    );
    assert_eq!((letters(&here, &other).len(), letters(&here, &case).len()), (2, 3));
    // A store made of the export is the same.
    let export = here.ok(&["export"]).out;
    let elsewhere = Installation::of_maildirs();
    elsewhere.write("export.jsonl", &export);
    elsewhere.ok(&["import", elsewhere.path("export.jsonl").to_str().unwrap()]);
    assert_eq!(elsewhere.ok(&["export"]).out, export);
    // Forgotten, nothing of either is left.
    here.ok(&["cases", "erase", "--customer", "priya@example.net", "--force", "--by", "kim"]);
    here.ok(&["verify"]);
    assert!(!here.ok(&["export"]).out.contains("2@example.net"));
}

#[test]
fn what_is_split_off_is_not_split_off_again() {
    let (here, case, second) = with_a_second_letter();
    here.ok(&["cases", "act", &case, &format!("split {second}")]);
    let other = here.json(&["cases", "list", "--json"]);
    let other = other.iter().map(|listed| listed["case"].as_str().unwrap()).find(|id| *id != case).unwrap();
    for (case, letter) in [(other, &second), (case.as_str(), &second)] {
        let refused = here.run(&["cases", "act", case, &format!("split {letter}")]);
        assert_ne!(refused.code, Some(0), "{case}");
    }
    here.ok(&["verify"]);
}
