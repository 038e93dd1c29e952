//! The policy as an operator writes it: exceptions, channels and return addresses from the file to the letter, what
//! `explain` tells of them, and what `check` says of mistakes that only catalogue or order feed can show.

use crate::support::post::{Draft, Reply};
use crate::support::program::Installation;

const CHANNELS: &str = r#"
[[channels]]
name = "Market"
order_pattern = 'MK-\d{4}-\d{4}'
route = "seller"
"#;

fn claim(order: &str) -> String {
    Draft {
        from: "Priya Raman <priya@example.net>",
        id: "claim@example.net",
        subject: "T3 Ultra runs flat",
        body: &format!(
            "Good morning,\n\nmy Tank T3 Ultra, order no. {order}, runs flat since Sunday: the battery goes from full to \
             empty within three hours while the watch lies on my desk with the display off. I reset it once, no \
             change. The code printed on the box is 2000400001032. A photo is attached.\n\nPriya Raman\n"
        ),
        answers: None,
        photos: &[("watch-black-display.jpg", "flat-again.jpg")],
    }
    .raw()
}

/// An installation with further tables and these columns in the order feed; its parcel came 100 days ago.
fn with(tables: &str, further: &str, values: &str) -> Installation {
    let here = Installation::of_maildirs();
    let maildir = |path: &str| format!("kind = \"maildir\"\npath = \"{path}\"");
    here.configure(&maildir("inbox"), &maildir("replies"), tables);
    let feed = std::fs::read_to_string(here.path("orders.csv")).unwrap();
    let more = |line: &str| if line.starts_with("order_number") { further.to_owned() } else { values.to_owned() };
    here.write("orders.csv", feed.lines().map(|line| format!("{line}{}\n", more(line))).collect::<String>());
    here
}

#[test]
fn an_order_of_a_channel_goes_to_staff_who_name_the_seller() {
    let here = with(CHANNELS, "", "");
    let [acknowledged] = here.say(&claim("MK-2026-0815")).try_into().unwrap();
    assert!(!Reply::read(&acknowledged).text.contains("RMA"));
    let case = &here.json(&["cases", "list", "--json"])[0];
    let id = case["case"].as_str().unwrap();
    assert_eq!((case["state"].as_str(), case["order_number"].as_str()), (Some("with_staff"), Some("MK-2026-0815")));
    let explained = here.ok(&["cases", "explain", id]).out;
    for told in ["Market, by the order number: a person decides; the seller is to help", "proposed: route Market"] {
        assert!(explained.contains(told), "{told}: {explained}");
    }
    let before = here.replies();
    here.ok(&["cases", "act", id, "route", "--by", "kim"]);
    here.ok(&["once"]);
    let fresh = here.replies().into_iter().find(|reply| !before.contains(reply)).unwrap();
    assert!(Reply::read(&fresh).text.contains("You bought this product from Market."));
}

#[test]
fn exceptions_and_addresses_take_what_the_order_feed_tells() {
    let tables = r#"
[rma]
return_address = ["Example Service", "12345 Example Town"]
[[rma.addresses]]
countries = ["GB"]
lines = ["Example Service UK", "2 Other Road"]
[[exceptions]]
name = "spring sale"
bought_until = "2026-06-30"
doa_days = 3000
rma_valid_days = 40
"#;
    for (bought_on, country, track, street) in
        [("2026-06-30", "GB", "doa", "2 Other Road"), ("2026-07-01", "DE", "repair", "12345 Example Town")]
    {
        let here = with(tables, ",bought_on,country", &format!(",{bought_on},{country}"));
        here.say(&claim("KS50001"));
        let case = &here.json(&["cases", "list", "--json"])[0];
        let id = case["case"].as_str().unwrap();
        let explained = &here.json(&["cases", "explain", id, "--json"])[0];
        assert_eq!(explained["track"], track, "{explained}");
        let lines = explained["reckoning"].as_array().unwrap();
        let applied = lines.iter().any(|line| line["clause"] == "exception" && line["text"] == "“spring sale” applies");
        assert_eq!(applied, track == "doa", "{explained}");
        here.say(&follow_up());
        let told: String = here.replies().iter().map(|reply| Reply::read(reply).text).collect();
        assert!(told.contains(street), "{told}");
    }
}

/// What a fault on arrival still lacks, and what staff have to read otherwise.
fn follow_up() -> String {
    Draft {
        from: "Priya Raman <priya@example.net>",
        id: "more@example.net",
        subject: "T3 Ultra runs flat, order KS50001",
        body: "Order KS50001: the attached photo shows the box in which it came.\n",
        answers: None,
        photos: &[("watch-black-display.jpg", "box.jpg")],
    }
    .raw()
}

#[test]
fn what_only_catalogue_or_feed_can_show_is_told_at_start() {
    let exception = "[[exceptions]]\nname = \"spring\"\ndoa_days = 30\n";
    for (tables, told) in [
        (format!("{exception}sku = [\"KP-NONE\"]\n"), "[[exceptions]] \"spring\" sku: KP-NONE is not in the catalogue"),
        (format!("{exception}bought_from = \"2026-01-01\"\n"), "the order feed has no column bought_on"),
        (
            format!("{exception}channel = [\"Market\"]\n"),
            "[exceptions] channel: entry 1: there is no channel \"Market\"",
        ),
        (exception.to_owned(), "[exceptions] name: matches every purchase"),
    ] {
        let here = with(&tables, "", "");
        let check = here.run(&["check", "--offline"]);
        assert_eq!(check.code, Some(78), "{check:?}");
        assert!(check.err.contains(told), "{told}: {}", check.err);
    }
    let addresses = "[[rma.addresses]]\ncountries = [\"GB\"]\nlines = [\"x\"]\n";
    let note = with(addresses, "", "").ok(&["check", "--offline"]).out;
    assert!(note.contains("without a column country in the order feed nobody gets them"), "{note}");
    let quiet = with(addresses, ",country", ",GB").ok(&["check", "--offline"]).out;
    assert!(!quiet.contains("column country"), "{quiet}");
}
