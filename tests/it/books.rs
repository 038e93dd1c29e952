//! What `stats` tells, held against what `cases list` does.

use std::collections::BTreeMap;
use std::fs;

use serde_json::{Value, json};

use crate::support::post::Draft;
use crate::support::program::{Installation, PRODUCTS, sample};

/// An installation in which claims are complete or not, of several products, symptoms and batches.
fn busy() -> Installation {
    const SYMPTOMS: [&str; 3] = [
        "runs flat since Sunday: the battery goes from full to empty within three hours while it lies on my desk",
        "has a black screen since Sunday: the display flickers and goes dark when I tap it on my desk",
        "loses its Bluetooth connection since Sunday when I am in the same room as my phone",
    ];
    let here = Installation::of_maildirs();
    let ago = jiff::Zoned::now().date() - jiff::Span::new().days(100);
    let products = products();
    let mut orders = "order_number,email,sku,delivered_on\n".to_owned();
    for number in 0..12 {
        let (sku, name, code) = &products[number % 3];
        orders += &format!("KS6000{number:02},jo{number}@example.net,{sku},{ago}\n");
        let complete = number % 4 > 0;
        let symptom = SYMPTOMS[number / 3 % 3];
        let photos: &[(&str, &str)] = if complete { &[("watch-black-display.jpg", "photo.jpg")] } else { &[] };
        let draft = Draft {
            from: &format!("Jo <jo{number}@example.net>"),
            id: &format!("{number}@example.net"),
            subject: "My watch",
            body: &format!(
                "Good morning,\n\nmy {name}, order no. KS6000{number:02}, {symptom}. I reset it once, no change. The code \
                 printed on the box is {code}. A photo is attached.\n\nJo\n"
            ),
            answers: None,
            photos,
        };
        here.deliver(&format!("{number:02}.host"), draft.raw().as_bytes());
    }
    here.write("orders.csv", orders);
    for (number, mail) in
        ["11-swollen-battery.eml", "04-newsletter.eml", "14-question-before-buying.eml"].iter().enumerate()
    {
        here.deliver(&format!("9{number}.host"), &fs::read(sample("mail").join(mail)).unwrap());
    }
    here.ok(&["once"]);
    here
}

/// SKU, name and code of some products of the catalogue.
fn products() -> Vec<(String, String, String)> {
    let rows = PRODUCTS.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>());
    rows.map(|row| (row[0].to_owned(), row[1].to_owned(), row[3].to_owned())).take(3).collect()
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
