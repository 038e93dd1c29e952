//! The policy's tables: what they mean, and every mistake in them.

use jiff::civil::date;

use super::*;
use crate::domain::policy::{Numbers, Payer, Period, Route};
use crate::domain::warranty::{Item, Track};

fn with(tables: &str) -> Result<Config, Vec<String>> {
    load_text(&format!("{SMALL}{tables}"))
}

/// The one line that `tables` gets, without the file and the line's number.
fn problem(tables: &str) -> String {
    let lines = with(tables).unwrap_err();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    let (place, what) = lines[0].split_once(": [").unwrap();
    assert!(place.starts_with("config.toml"), "{place}");
    format!("[{what}")
}

#[test]
fn the_tables_of_the_policy_are_read() {
    let policy = with(
        r#"
[policy]
approve = ["repair"]
[policy.required]
defect = ["photo", "received_on", "sku", "order_number"]
[policy.return_shipping]
repair = "brand"
[[channels]]
name = "Amazon"
order_pattern = '\d{3}-\d{7}-\d{7}'
route = "seller"
[[exceptions]]
name = "Christmas"
channel = ["own", "Amazon"]
received_until = "2027-01-10"
doa_days = 30
[[exceptions]]
name = "long"
sku = ["rx-1"]
warranty_months = 24
"#,
    )
    .unwrap()
    .policy;
    assert_eq!((policy.doa_days, policy.approve), (7, vec![Track::Repair]));
    assert_eq!(policy.required.defect, [Item::OrderNumber, Item::Sku, Item::ReceivedOn, Item::Photo]);
    assert_eq!(policy.required.doa, Policy::default().required.doa);
    assert_eq!((policy.return_shipping.repair, policy.return_shipping.doa), (Payer::Brand, Payer::CustomerReimbursed));
    let [amazon] = policy.channels.as_slice() else { panic!() };
    assert_eq!((amazon.name.as_str(), amazon.route), ("Amazon", Route::Seller));
    let [christmas, long] = policy.exceptions.as_slice() else { panic!() };
    assert_eq!(christmas.channels, ["own", "Amazon"]);
    assert_eq!(christmas.received, Period { from: None, until: Some(date(2027, 1, 10)) });
    assert_eq!(christmas.sets, Numbers { doa_days: Some(30), ..Numbers::default() });
    assert_eq!((long.skus[0].as_str(), long.sets.warranty_months), ("RX-1", Some(24)));
}

#[test]
fn an_exception_matches_something_and_changes_something() {
    assert_eq!(
        problem("[[exceptions]]\nname = \"x\"\ndoa_days = 9\n"),
        "[exceptions] name: matches every purchase: give sku, channel, or a day bought or received, from or until"
    );
    assert_eq!(
        problem("[[exceptions]]\nname = \"x\"\nsku = [\"RX-1\"]\n"),
        "[exceptions] name: changes nothing: give doa_days, unopened_days, warranty_months, rma_valid_days or approve"
    );
    for (key, told) in [
        ("sku = []", "[exceptions] sku: is empty: nothing would match; leave it out for all"),
        ("sku = [\"?\"]", "[exceptions] sku: entry 1: \"?\" is not a valid SKU"),
        ("channel = [\"Ebay\"]", "[exceptions] channel: entry 1: there is no channel \"Ebay\"; known are: own"),
        (
            "received_from = \"2026-12-24\"\nreceived_until = \"2026-12-23\"",
            "[exceptions] received_until: is before received_from",
        ),
        (
            "bought_from = \"tomorrow\"",
            "[exceptions] bought_from: expected a day as \"2026-12-25\", found \"tomorrow\"",
        ),
    ] {
        assert_eq!(problem(&format!("[[exceptions]]\nname = \"x\"\n{key}\ndoa_days = 9\n")), told);
    }
    let twice = "[[exceptions]]\nname = \"x\"\nsku = [\"RX-1\"]\ndoa_days = 9\n".repeat(2);
    assert_eq!(problem(&twice), "[exceptions] name: \"x\" stands there twice");
}

#[test]
fn a_problem_names_the_line_of_its_own_table() {
    let first = "[[exceptions]]\nname = \"x\"\nsku = [\"RX-1\"]\ndoa_days = 9\n";
    let lines = with(&format!("{first}[[exceptions]]\nnames = \"y\"\nsku = [\"RX-1\"]\ndoa_days = 9\n")).unwrap_err();
    let line = SMALL.lines().count() + 5;
    assert_eq!(
        lines,
        [
            format!("config.toml: line {line}: [exceptions] name: is missing"),
            format!("config.toml: line {}: [exceptions] names: unknown key, did you mean `name`?", line + 1),
        ]
    );
    assert_eq!(problem("[exceptions]\nname = \"x\"\n"), "[[exceptions]]: expected a list of tables, found a table");
    assert_eq!(problem("[policy.requierd]\n"), "[policy] requierd: unknown key, did you mean `required`?");
}

#[test]
fn a_channel_has_a_name_that_staff_can_write() {
    let channel = |name: &str, pattern: &str, route: &str| {
        format!("[[channels]]\nname = \"{name}\"\norder_pattern = '{pattern}'\nroute = \"{route}\"\n")
    };
    for (table, told) in [
        (channel("own", r"\d+", "here"), "[channels] name: \"own\" is our own shop, which needs no entry"),
        (channel("A:B", r"\d+", "here"), "[channels] name: must not hold a colon or an equals sign"),
        (channel("A", r"\d(", "here"), "[channels] order_pattern: pattern \"\\d(\": unclosed group"),
        (channel("A", r"\d+", "there"), "[channels] route: unknown value \"there\", did you mean `here`?"),
        (channel("A", r"\d+", "here").repeat(2), "[channels] name: \"A\" stands there twice"),
    ] {
        assert_eq!(problem(&table), told);
    }
}

#[test]
fn what_no_return_can_do_without_is_always_required() {
    assert_eq!(
        problem("[policy.required]\ndoa = [\"sku\", \"received_on\"]\n"),
        "[policy.required] doa: has to hold order_number: no return can be authorised without"
    );
    assert_eq!(
        problem("[policy.return_shipping]\nunopened_refund = \"customer_reimbursed\"\n"),
        "[policy.return_shipping] unopened_refund: unknown value \"customer_reimbursed\", known are: customer, brand"
    );
}

#[test]
fn every_country_has_one_address() {
    let address = "[[rma.addresses]]\ncountries = [\"de\", \"AT\"]\nlines = [\"1 Example Street\"]\n";
    let rma = with(address).unwrap().rma;
    assert_eq!(rma.destinations[0].countries.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["DE", "AT"]);
    assert_eq!(
        problem(&[address, &address.replace("\"de\", ", "")].concat()),
        "[rma] addresses: AT stands there twice"
    );
    assert_eq!(
        problem(&address.replace("\"de\"", "\"Germany\"")),
        "[rma.addresses] countries: entry 1: \"Germany\" is not a valid country (two letters, as DE)"
    );
}
