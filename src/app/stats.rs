//! `stats`: what the books tell (`worker/stats.rs`), as a table, for a spreadsheet, as JSON.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use super::query::{Query, Question, consult};
use super::{Failure, load_offline};
use crate::worker::stats::{Return, Returned, Stats, Wanted};

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Table,
    Csv,
    Json,
}

/// The command: asks, prints.
pub fn run(config: &Path, wanted: Wanted, form: Form, out: &mut dyn Write) -> Result<(), Failure> {
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && since > until
    {
        return Err(Failure::Usage(format!("--since {since} is after --until {until}")));
    }
    consult(&load_offline(config)?, &Query::Ask(Question::Stats(wanted)), &mut |line| {
        let stats: Stats = serde_json::from_slice(line)?;
        match form {
            Form::Json => writeln!(out, "{}", serde_json::to_value(&stats)?),
            Form::Csv => csv(&stats, out),
            Form::Table => table(&stats, out),
        }
    })
}

/// Each number with what it is of.
fn numbers(stats: &Stats) -> Vec<(&'static str, String, String)> {
    let mut rows = Vec::new();
    let mut one = |measure, value: String| rows.push((measure, String::new(), value));
    one("cases", stats.cases.to_string());
    one("customers", stats.customers.to_string());
    one("letters", stats.letters.to_string());
    one("replies", stats.replies.to_string());
    if let Some(hours) = stats.hours_to_rma {
        one("hours to RMA (median)", hours.median.to_string());
        one("hours to RMA (nine of ten)", hours.ninety.to_string());
    }
    one("asks per case", stats.asks_per_case.to_string());
    one("decided by the program alone", stats.handled.alone.to_string());
    one("decided with a person", stats.handled.by_a_person.to_string());
    one("undecided", stats.handled.undecided.to_string());
    if let Some(share) = stats.handled.share_alone {
        one("share without a person", share.to_string());
    }
    let mut all = |measure, of: Vec<(String, u64)>| {
        rows.extend(of.into_iter().map(|(key, count)| (measure, key, count.to_string())));
    };
    let named = |map: &BTreeMap<String, u64>| map.iter().map(|(key, count)| (key.clone(), *count)).collect();
    all("cases by state", named(&stats.states));
    all("cases by asks", stats.asks.iter().map(|(asks, cases)| (asks.to_string(), *cases)).collect());
    all("decisions", named(&stats.decisions));
    all("decisions by reason", named(&stats.reasons));
    for (measure, whom) in
        [("waits for staff", "staff"), ("waits for the customer", "customer"), ("waits for the parcel", "parcel")]
    {
        all(measure, stats.waiting.get(whom).map(named).unwrap_or_default());
    }
    rows
}

/// Returns by one of the things they are told apart by, the most frequent first.
fn by(stats: &Stats, key: impl Fn(&Return) -> &str) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for Returned { of, count } in &stats.returns {
        *sums.entry(key(of)).or_default() += count;
    }
    let mut rows: Vec<(String, u64)> = sums.into_iter().map(|(key, count)| (key.to_owned(), count)).collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows
}

fn csv(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "measure,key,sku,symptom,batch,week,value")?;
    for Returned { of, count } in &stats.returns {
        let Return { sku, symptom, batch, week } = of;
        writeln!(out, "returns,,{},{},{},{week},{count}", cell(sku), cell(symptom), cell(batch))?;
    }
    for (measure, key, value) in numbers(stats) {
        writeln!(out, "{},{},,,,,{value}", cell(measure), cell(&key))?;
    }
    Ok(())
}

/// A cell (RFC 4180). A spreadsheet must not take a code for a formula.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@']);
    let text = if formula { format!("'{text}") } else { text.to_owned() };
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// Rows of one kind that are shown to people; `--csv` and `--json` tell all.
const SHOWN: usize = 20;

fn table(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    let mut last = "";
    for (measure, key, value) in numbers(stats) {
        let head = if measure == last { "" } else { measure };
        writeln!(out, "{head:<30} {:<24} {value:>10}", key.trim_start_matches("0 ").trim_start_matches("9 "))?;
        last = measure;
    }
    let by_product = by(stats, |row| &row.sku);
    let by_symptom = by(stats, |row| &row.symptom);
    let by_batch = by(stats, |row| &row.batch);
    let margins =
        [("returns by product", by_product), ("returns by symptom", by_symptom), ("returns by batch", by_batch)];
    for (title, rows) in margins {
        let beyond = rows.len().saturating_sub(SHOWN);
        for (n, (key, count)) in rows.into_iter().take(SHOWN).enumerate() {
            let (head, key) = (if n == 0 { title } else { "" }, if key.is_empty() { "–" } else { &key });
            writeln!(out, "{head:<30} {key:<24} {count:>10}")?;
        }
        if beyond > 0 {
            writeln!(out, "{:<30} and {beyond} more", "")?;
        }
    }
    let mut weeks = by(stats, |r| &r.week);
    weeks.sort();
    for (n, (week, count)) in weeks.iter().rev().take(SHOWN).rev().enumerate() {
        writeln!(out, "{:<30} {week:<24} {count:>10}", if n == 0 { "returns by week" } else { "" })?;
    }
    Ok(())
}
