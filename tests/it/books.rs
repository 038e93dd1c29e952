//! What `stats` tells, held against what `cases list` does.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::program::{Installation, sample};

/// An installation that has taken in the demo's mail.
fn busy() -> Installation {
    let here = Installation::of_maildirs();
    here.write("orders.csv", include_str!("../../src/app/demo/orders.csv"));
    let mut mails: Vec<_> = fs::read_dir(sample("mail")).unwrap().map(|entry| entry.unwrap().path()).collect();
    mails.sort();
    for (number, mail) in mails.iter().enumerate() {
        here.deliver(&format!("{number:02}.host"), &fs::read(mail).unwrap());
    }
    here.ok(&["once"]);
    here
}

fn count(cases: &[Value], key: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for value in cases.iter().filter_map(|case| case[key].as_str()) {
        *counts.entry(value.to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn the_sums_of_the_books_are_those_of_the_cases() {
    let here = busy();
    let cases = here.json(&["cases", "list", "--json"]);
    let stats = &here.json(&["stats", "--json"])[0];
    let sum = |key: &str| cases.iter().map(|case| case[key].as_u64().unwrap()).sum::<u64>();
    assert_eq!(stats["cases"], cases.len());
    assert_eq!((&stats["letters"], &stats["replies"]), (&json!(sum("letters")), &json!(sum("replies"))));
    assert_eq!(stats["customers"], count(&cases, "customer").len());
    assert_eq!(stats["states"], json!(count(&cases, "state")));
    let with_rma: Vec<Value> = cases.iter().filter(|case| case["rma"].is_string()).cloned().collect();
    let returns = stats["returns"].as_array().unwrap();
    let mut by_sku: BTreeMap<String, u64> = BTreeMap::new();
    for row in returns {
        *by_sku.entry(row["sku"].as_str().unwrap().to_owned()).or_default() += row["count"].as_u64().unwrap();
        assert!(row["batch"].as_str().unwrap().len() <= 6 && row["week"].as_str().unwrap().contains("-W"), "{row}");
    }
    assert!(with_rma.len() >= 5 && by_sku == count(&with_rma, "sku"), "{by_sku:?}");
    assert!(returns.iter().any(|row| !["none", "other"].contains(&row["symptom"].as_str().unwrap())), "{returns:?}");
    let of = |key: &str| stats["handled"][key].as_u64().unwrap();
    assert_eq!(of("alone") + of("by_a_person") + of("undecided"), cases.len() as u64);
    assert!(of("alone") >= with_rma.len() as u64 && of("by_a_person") > 0);
    let asks: u64 = stats["asks"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    assert_eq!(asks, cases.len() as u64);
    assert!(stats["hours_to_rma"]["median"].as_f64() <= stats["hours_to_rma"]["ninety"].as_f64());
    let waiting = stats["waiting"]["staff"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum::<u64>();
    let explained =
        |case: &Value| here.json(&["cases", "explain", case["case"].as_str().unwrap(), "--json"])[0].clone();
    assert_eq!(
        waiting,
        cases.iter().filter(|case| explained(case)["waits_for_staff_since"].is_string()).count() as u64
    );
}

#[test]
fn days_batches_and_forms_are_as_asked_with_and_without_the_daemon() {
    let here = busy();
    let all = here.json(&["stats", "--json"]).remove(0);
    let number = |stats: &Value, key: &str| stats[key].as_u64().unwrap();
    // However the time is cut in two, nothing is lost or counted twice.
    let days: Vec<String> = here
        .json(&["cases", "list", "--json"])
        .iter()
        .map(|case| case["opened_at"].as_str().unwrap()[..10].to_owned())
        .collect();
    for day in days.iter().chain([&"2020-01-01".to_owned(), &"2099-01-01".to_owned()]) {
        let day: jiff::civil::Date = day.parse().unwrap();
        let until = here.json(&["stats", "--until", &day.to_string(), "--json"]).remove(0);
        let since = here.json(&["stats", "--since", &day.tomorrow().unwrap().to_string(), "--json"]).remove(0);
        for key in ["cases", "letters", "replies"] {
            assert_eq!(number(&until, key) + number(&since, key), number(&all, key), "{key} around {day}");
        }
    }
    let short = here.json(&["stats", "--batch", "3", "--json"]).remove(0);
    assert!(short["returns"].as_array().unwrap().iter().all(|row| row["batch"].as_str().unwrap().len() <= 3));
    let csv = here.ok(&["stats", "--csv"]).out;
    assert!(csv.lines().all(|line| line.split(',').count() == 7), "{csv}");
    let returns: u64 = csv
        .lines()
        .filter(|l| l.starts_with("returns,"))
        .map(|l| l.rsplit(',').next().unwrap().parse::<u64>().unwrap())
        .sum();
    let told: u64 = all["returns"].as_array().unwrap().iter().map(|row| number(row, "count")).sum();
    assert_eq!(returns, told);
    let page = here.ok(&["stats"]).out;
    for words in ["returns by product", "returns by symptom", "returns by batch", "returns by week", "asks per case"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let mut daemon = here.start();
    assert_eq!(here.json(&["stats", "--json"]).remove(0)["returns"], all["returns"]);
    assert_eq!(daemon.terminate(), Some(0));
    for wrong in [&["stats", "--since", "yesterday"][..], &["stats", "--since", "2026-02-01", "--until", "2026-01-01"]]
    {
        assert_eq!(here.run(wrong).code, Some(2));
    }
    let empty = Installation::of_maildirs();
    assert_eq!(empty.json(&["stats", "--json"])[0]["cases"], 0);
    empty.ok(&["stats"]);
}
