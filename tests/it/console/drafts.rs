//! Shadow mode at the desk: what is held is read, sent or dropped there.

use std::time::Duration;

use super::axe::faults;
use super::browser::{Shop, claim};
use crate::support::post::Reply;
use crate::support::program::await_that;

#[test]
fn a_draft_is_read_and_sent_or_dropped() {
    let shop = Shop::with("mode = \"hold\"\n");
    let mut kim = shop.person("kim");
    shop.post(&claim("claim@example.net", "Priya Raman <priya@example.net>"));
    kim.await_that("document.querySelector('[data-count=needs_you]').textContent === '1'");
    kim.follow(|kim| kim.press("1"));
    kim.press("j");
    kim.follow(|kim| kim.press("Enter"));
    let page = kim.text();
    assert!(page.contains("A letter waits for you: acknowledgement") && page.contains("a draft"), "{page}");
    assert_eq!(faults(&mut kim), Vec::<String>::new());
    kim.look_as(1280, 900, "light");
    // What would be sent is shown once more; then it leaves.
    kim.follow(|kim| kim.click("a[href$='/act/send']"));
    let page = kim.text();
    assert!(page.contains("To priya@example.net") && !page.contains("No letter goes out"), "{page}");
    assert_eq!(faults(&mut kim), Vec::<String>::new());
    kim.look_as(1280, 900, "light");
    assert!(shop.smtp.kept().is_empty());
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("Done: Send the draft"), "{}", kim.text());
    await_that(Duration::from_secs(30), "the letter is at the mail server", || shop.smtp.kept().len() == 1);
    // The RMA is held as well, and dropped.
    kim.follow(|kim| kim.press("a"));
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("A letter waits for you: RMA"), "{}", kim.text());
    kim.follow(|kim| kim.press("D"));
    assert!(kim.text().contains("The letter that is not sent") && kim.text().contains("authorised"), "{}", kim.text());
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("Done: Drop the draft") && kim.text().contains("dropped"), "{}", kim.text());
    assert!(shop.here.json(&["cases", "drafts", "--json"]).is_empty());
    let texts: Vec<String> = shop.smtp.kept().iter().map(|kept| Reply::read(&kept.raw).text).collect();
    assert!(texts.len() == 1 && !texts[0].contains("your return is authorised"), "{texts:?}");
}

#[test]
fn a_letter_that_waits_is_taken_back() {
    let shop = Shop::with("delay = \"1h\"\n");
    let mut kim = shop.person("kim");
    shop.post(&claim("claim@example.net", "Priya Raman <priya@example.net>"));
    kim.await_that("document.querySelector('[data-count=needs_you]').textContent === '1'");
    kim.follow(|kim| kim.press("1"));
    kim.press("j");
    kim.follow(|kim| kim.press("Enter"));
    kim.follow(|kim| kim.press("a"));
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("until then it can be taken back"), "{}", kim.text());
    assert!(kim.text().contains("Take the letter back"), "{}", kim.text());
    kim.follow(|kim| kim.press("D"));
    kim.follow(|kim| kim.press("Enter"));
    assert!(kim.text().contains("dropped") && !kim.text().contains("Take the letter back"), "{}", kim.text());
    assert!(shop.here.json(&["cases", "drafts", "--json"]).is_empty() && shop.smtp.kept().is_empty());
}
