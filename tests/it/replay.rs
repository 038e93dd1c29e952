//! The backtest: kept mail through other terms, beside the daemon and without it, changing nothing.

use std::fs;

use serde_json::{Value, json};

use crate::support::letter;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, Told, sample};

const PRIYA: &str = "Priya Raman <priya@example.net>";
/// Complete, 100 days after it was received.
const CLAIM: &str = "Good morning,\n\nmy Tank T3 Ultra, order no. KS50001, runs flat since Sunday: the battery goes from \
    full to empty within three hours while the watch lies on my desk with the display off. I reset it once, no change. \
    The code printed on the box is 2000400001032. A photo is attached.\n\nPriya Raman\n";
const PHOTO: &[(&str, &str)] = &[("watch-black-display.jpg", "flat-again.jpg")];

fn draft<'a>(id: &'a str, body: &'a str, answers: Option<&'a Reply>, photos: &'a [(&'a str, &'a str)]) -> String {
    Draft { from: PRIYA, id, subject: "T3 Ultra runs flat", body, answers, photos }.raw()
}

/// Writes `new.toml`: the configuration with these further tables.
fn terms(here: &Installation, tables: &str) {
    let text = fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("new.toml", format!("{text}\n{tables}"));
}

fn replay(here: &Installation, words: &[&str]) -> Told {
    let new = here.path("new.toml");
    let words: Vec<&str> = ["replay", "--new", new.to_str().unwrap()].iter().chain(words).copied().collect();
    here.run(&words)
}

/// The changes, and the totals.
fn told(told: &Told) -> (Vec<Value>, Value) {
    let mut lines = told.json();
    let total = lines.pop().unwrap_or_else(|| panic!("{told:?}"))["total"].clone();
    (lines, total)
}

/// Mail of all kinds, each by its own run of `once`.
fn busy() -> Installation {
    let here = Installation::of_maildirs();
    here.say(&draft("claim@example.net", CLAIM, None, PHOTO));
    for mail in ["11-swollen-battery.eml", "04-newsletter.eml", "03-just-broken-from-a-phone.eml"] {
        here.say(&fs::read_to_string(sample("mail").join(mail)).unwrap());
    }
    here.say(&draft("when@example.net", "When will order KS50001 be repaired?", None, &[]));
    here
}

#[test]
fn other_terms_are_tried_on_kept_mail_and_nothing_changes() {
    let here = busy();
    let before = (here.ok(&["export"]).out, here.replies());
    terms(&here, "");
    let same = replay(&here, &[]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(same.out.contains("5 letters: 5 decided as before, 0 differently"), "{same:?}");

    terms(&here, "[policy]\ndoa_days = 200\n");
    let changed = replay(&here, &["--json"]);
    assert_eq!((changed.code, changed.complaints().len()), (Some(1), 1), "{changed:?}");
    let (changes, total) = told(&changed);
    assert_eq!((&total["letters"], &total["same"], &total["changed"]), (&json!(5), &json!(3), &json!(2)), "{total}");
    let claim = changes.iter().find(|change| change["change"] == "issue_rma (repair) → ask").unwrap();
    assert_eq!((&claim["old"]["missing"], &claim["new"]["missing"]), (&json!([]), &json!(["packaging_photo"])));
    assert_eq!(claim["from"], "priya@example.net");
    let window = claim["reckoning"].as_array().unwrap().iter().find(|line| line["clause"] == "doa.window").unwrap();
    assert_eq!(window["old"], "C − D = 100 days, 7 allowed");
    assert_eq!(window["new"], "C − D = 100 days, 200 allowed");
    let page = replay(&here, &[]);
    for line in ["issue_rma (repair) → ask", "missing: none → packaging_photo", "+ doa.window", "3 decided as before"]
    {
        assert!(page.out.contains(line), "{line}: {}", page.out);
    }

    assert_eq!((here.ok(&["export"]).out, here.replies()), before);
    let mut daemon = here.start();
    let beside = replay(&here, &["--json"]);
    assert_eq!(beside.out, changed.out, "{beside:?}");
    daemon.terminate();
    assert_eq!((here.ok(&["export"]).out, here.replies()), before);
}

#[test]
fn catalogue_and_orders_of_the_other_terms_count() {
    let here = busy();
    let products = fs::read_to_string(here.path("products.csv")).unwrap();
    let row = products.lines().find(|row| row.starts_with("KP-TKT3U-BK,")).unwrap();
    let shorter = format!("{},1", row.rsplit_once(',').unwrap().0);
    here.write("other.csv", products.replace(row, &shorter));
    let text = fs::read_to_string(here.path("config.toml")).unwrap();
    here.write("new.toml", text.replace("products.csv", "other.csv"));
    let (changes, total) = told(&replay(&here, &["--json"]));
    assert_eq!(total["changes"]["issue_rma (repair) → staff"], 1, "{total}");
    let claim = changes.iter().find(|change| change["new"]["reasons"] == json!(["out_of_warranty"]));
    assert!(claim.is_some(), "{changes:?}");

    here.write("new.toml", text.replace("orders.csv", "none.csv"));
    let missing = replay(&here, &[]);
    assert!(missing.code == Some(78) && missing.complaints()[0].contains("none.csv"), "{missing:?}");
    here.write("new.toml", text.replace("[delivery]", "[deliverry]"));
    let wrong = replay(&here, &[]);
    assert!(wrong.code == Some(78) && wrong.err.contains("deliverry"), "{wrong:?}");
}

#[test]
fn what_staff_did_is_not_replayed_and_told_where_it_may_be_why() {
    let here = Installation::of_maildirs();
    here.say(&draft("claim@example.net", "My Tank T3 Ultra runs flat since Sunday, order KS50001.", None, &[]));
    let asked = Reply::read(&here.replies()[0]);
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    here.ok(&["cases", "act", &case, "reject: It fell into the sea.", "--by", "kim"]);
    here.say(&draft("more@example.net", "The code on the box is 2000400001032.\n", Some(&asked), &[]));
    terms(&here, "");
    let (changes, total) = told(&replay(&here, &["--json"]));
    assert_eq!((&total["changed"], &total["after_staff"]), (&json!(1), &json!(1)), "{total}");
    assert_eq!((&changes[0]["change"], &changes[0]["after_staff"]), (&json!("staff → ask"), &json!(true)));
    assert!(replay(&here, &[]).out.contains("of these after acts of staff"));
}

#[test]
fn an_answer_to_a_letter_that_is_not_written_again_stays_with_its_case() {
    let here = Installation::of_maildirs();
    here.say(&draft("claim@example.net", "My Tank T3 Ultra runs flat since Sunday, order KS50001.", None, &[]));
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    here.ok(&["cases", "act", &case, "answer: Thank you for your patience.", "--by", "kim"]);
    here.ok(&["once"]);
    let replies = here.replies();
    let said = replies.iter().map(|raw| Reply::read(raw)).find(|reply| reply.message_id.contains(".r2@")).unwrap();
    // Some mail programs name the last letter alone, and quote nothing.
    let more = draft("more@example.net", "The code on the box is 2000400001032.\n", None, &[]);
    here.say(&more.replacen("\r\n\r\n", &format!("\r\nIn-Reply-To: <{}>\r\n\r\n", said.message_id), 1));
    assert_eq!(here.json(&["cases", "show", &case, "--json"])[0]["letters"], 2);
    terms(&here, "");
    let same = replay(&here, &["--json"]);
    assert_eq!(same.code, Some(0), "{same:?}");
}

#[test]
fn what_can_not_be_compared_is_counted() {
    let here = Installation::of_maildirs();
    here.say(&letter(1, 700));
    here.say(&letter(2, 700));
    here.ok(&["cases", "erase", "--customer", "jo1@example.net", "--force", "--by", "kim"]);
    here.replace("[store]", "[staff]\naddresses = [\"kim@example.com\"]\n[store]");
    here.say(&letter(3, 700).replace("Jo <jo3@example.net>", "Kim <kim@example.com>"));
    terms(&here, "");
    let (_, total) = told(&replay(&here, &["--json"]));
    assert_eq!((&total["letters"], &total["same"], &total["changed"]), (&json!(3), &json!(1), &json!(0)), "{total}");
    assert_eq!(total["skipped"], json!({"erased": 1, "of_staff": 1}));
}
