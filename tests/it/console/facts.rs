//! A fact that was read wrongly is put right on the page where it stands, a letter that is about something else split off,
//! and the case is decided anew at once.

use std::time::Duration;

use super::axe::faults;
use super::browser::{Shop, claim};
use crate::support::post::{Draft, Reply};
use crate::support::program::await_that;

/// Has all but the code on the packaging.
fn without_code<'a>(id: &'a str) -> Draft<'a> {
    Draft {
        body: "Hello,\n\nsince Sunday the display of my Tank T3 Ultra (order KS50001) shows coloured stripes as soon as I open \
               the app. I restarted the watch and reset it, it did not help. A photo is attached.\n\nPriya\n",
        ..claim(id, "Priya Raman <priya@example.net>")
    }
}

#[test]
fn a_fact_is_put_right_by_keyboard_and_by_mouse_and_the_decision_changes() {
    let shop = Shop::open();
    shop.post(&without_code("claim@example.net"));
    let mut kim = shop.person("kim");
    kim.await_that("document.querySelector('[data-count=awaiting_customer]').textContent === '1'");
    kim.follow(|kim| kim.press("2"));
    kim.press("j");
    kim.follow(|kim| kim.press("Enter"));
    let case = kim.path();
    assert!(kim.text().contains("The customer is asked for “Code on the packaging”"), "{}", kim.text());
    // By keyboard: the list of facts, the one, its value, what would become of it, done.
    kim.follow(|kim| kim.press("C"));
    for _ in 0..4 {
        kim.press("j");
    }
    kim.follow(|kim| kim.press("Enter"));
    kim.await_that("document.activeElement.name === 'word'");
    kim.type_in("2000400001032");
    kim.follow(|kim| kim.press("Enter"));
    let page = kim.text();
    assert!(page.contains("Code on the packaging: missing → given"), "{page}");
    assert!(page.contains("a person to approve it") && page.contains("No letter goes out"), "{page}");
    assert_eq!(shop.here.json(&["cases", "list", "--json"])[0]["state"], "awaiting_info", "nothing is done yet");
    kim.await_that("document.activeElement.value === 'do'");
    kim.follow(|kim| kim.press("Enter"));
    let page = kim.text();
    assert!(page.contains("Done: Correct a fact") && page.contains("put right by staff"), "{page}");
    assert!(page.contains("Proposed: Issue RMA"), "{page}");
    assert_eq!(shop.here.json(&["cases", "list", "--json"])[0]["state"], "with_staff");
    // By mouse: the mark in the letter, then the button.
    kim.follow(|kim| kim.click("mark.problem_when a, mark a[href$='fact=problem_when']"));
    assert_eq!(kim.path(), format!("{case}/act/correct"));
    let page = kim.text();
    assert!(page.contains("When: given → missing"), "{page}");
    kim.follow(|kim| kim.click("button[value=do]"));
    assert!(kim.text().contains("Proposed: Ask for …"), "{}", kim.text());
    // And by the entry of the list, back.
    kim.follow(|kim| kim.click("#i-problem_when .mend"));
    kim.follow(|kim| kim.click("button[value=do]"));
    assert!(kim.text().contains("Proposed: Issue RMA"), "{}", kim.text());
    let learned = shop.here.ok(&["corrections", shop.here.path("learned").to_str().unwrap()]).out;
    assert!(learned.contains("1 cases that staff corrected"), "{learned}");
}

#[test]
fn a_letter_is_split_off_and_both_cases_are_led_to() {
    let shop = Shop::open();
    shop.post(&without_code("claim@example.net"));
    let mut kim = shop.person("kim");
    kim.await_that("document.querySelector('[data-count=awaiting_customer]').textContent === '1'");
    let sent = || shop.smtp.kept().len();
    await_that(Duration::from_secs(30), "the question is at the mail server", || sent() == 1);
    let asked = shop.smtp.kept();
    let asked = Reply::read(&asked[0].raw);
    let second = Draft {
        id: "second@example.net",
        body: "The code on the box is 2000400001032.\n\nPriya\n",
        answers: Some(&asked),
        photos: &[],
        ..without_code("second@example.net")
    };
    shop.post(&second);
    kim.await_that("document.querySelector('[data-count=needs_you]').textContent === '1'");
    kim.follow(|kim| kim.press("1"));
    kim.press("j");
    kim.follow(|kim| kim.press("Enter"));
    let case = kim.path();
    await_that(Duration::from_secs(30), "the acknowledgement is at the mail server", || sent() == 2);
    kim.follow(|kim| kim.press("M"));
    assert!(kim.text().contains("The code on the box is 2000400001032"), "{}", kim.text());
    kim.click("input[type=checkbox]");
    kim.follow(|kim| kim.click("button[value=preview]"));
    let page = kim.text();
    assert!(
        page.contains("What is decided on the new case") && page.contains("Code on the packaging: given → missing"),
        "{page}"
    );
    assert_eq!(faults(&mut kim), Vec::<String>::new());
    kim.look_as(1280, 900, "light");
    kim.follow(|kim| kim.click("button[value=do]"));
    assert!(kim.text().contains("a letter is in a case of its own now"), "{}", kim.text());
    assert!(!kim.text().contains("The code on the box is 2000400001032"), "{}", kim.text());
    kim.follow(|kim| kim.click(".event a"));
    assert_ne!(kim.path(), case);
    let page = kim.text();
    assert!(page.contains("split off from") && page.contains("The code on the box is 2000400001032"), "{page}");
    assert_eq!(sent(), 2, "nobody is written to");
}
