//! `stats`: what the books tell, in one pass over all events and in bounded memory: returns by product, symptom, batch
//! and week; how long they took, how often customers were asked, what a person had to do.
//!
//! Whatever is counted is counted of the cases that were opened in the time asked for, so that all sums are those of
//! `cases list`. Erased cases count as before.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::query::{Query, Question, consult};
use super::{Failure, load};
use crate::domain::case::{Case, State};
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::queue::waits;
use crate::domain::spread::Spread;
use crate::pipeline::symptoms;
use crate::store::{Store, StoreError};

/// The form of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Table,
    Csv,
    Json,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The first and the last day on which a case was opened to count; `None`: whenever.
    pub since: Option<Date>,
    pub until: Option<Date>,
    /// Leading characters of an item code that are its batch.
    pub batch: usize,
}

/// Rows of one table at most: what customers write must not make it grow without end. What lies beyond is `other`.
const ROWS: usize = 50_000;

/// What a return is told apart by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Return {
    pub sku: String,
    pub symptom: String,
    pub batch: String,
    /// ISO 8601 week of the day it was authorised.
    pub week: String,
}

/// What the books tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub cases: u64,
    /// Those who opened them, each once.
    pub customers: u64,
    pub letters: u64,
    pub replies: u64,
    pub states: BTreeMap<String, u64>,
    pub returns: Vec<(Return, u64)>,
    /// Hours from the first letter to the authorisation; within one per cent.
    pub hours_to_rma: Option<Hours>,
    /// Cases by the number of letters that asked.
    pub asks: BTreeMap<u64, u64>,
    pub asks_per_case: f64,
    pub handled: Handled,
    /// Decisions by what they led to, and by reason.
    pub decisions: BTreeMap<String, u64>,
    pub reasons: BTreeMap<String, u64>,
    /// Cases that wait, by whom they wait for and for how long.
    pub waiting: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Hours {
    pub median: f64,
    /// Nine of ten took no longer.
    pub ninety: f64,
}

/// How cases came to an RMA, or to their end without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Handled {
    /// By the program alone.
    pub alone: u64,
    /// A person had to look or did something.
    pub by_a_person: u64,
    /// Neither yet.
    pub undecided: u64,
    /// Of the decided, those without a person; 0 to 1.
    pub share_alone: Option<f64>,
}

/// Reads all events once.
pub fn gather(store: &Store, wanted: &Wanted, now: Timestamp) -> Result<Stats, StoreError> {
    let mut tally = Tally { stats: Stats::default(), returns: BTreeMap::new(), spread: Spread::default() };
    for history in store.histories() {
        let history = history?;
        let folded = Case::replay(&history)
            .map_err(|e| StoreError::Corrupt { place: "events".to_owned(), what: e.to_string() })?;
        if let Some(case) = folded.filter(|case| wanted.counts(case.opened_on)) {
            tally.add(&case, &history, wanted.batch, now);
        }
    }
    let counts = |case: &Case| wanted.counts(case.opened_on);
    tally.stats.customers = store.customers(&counts)?;
    Ok(tally.end())
}

impl Wanted {
    fn counts(&self, day: Date) -> bool {
        self.since.is_none_or(|since| since <= day) && self.until.is_none_or(|until| day <= until)
    }
}

struct Tally {
    stats: Stats,
    returns: BTreeMap<Return, u64>,
    spread: Spread,
}

impl Tally {
    fn add(&mut self, case: &Case, history: &[CaseEvent], batch: usize, now: Timestamp) {
        let stats = &mut self.stats;
        stats.cases += 1;
        stats.letters += u64::from(case.letters);
        stats.replies += u64::from(case.replies);
        *stats.states.entry(case.state.code()).or_default() += 1;
        *stats.asks.entry(u64::from(case.asks)).or_default() += 1;
        for event in history {
            if let Event::Decided { decision, .. } = &event.event {
                *stats.decisions.entry(decision.action.code()).or_default() += 1;
                for reason in &decision.reasons {
                    *stats.reasons.entry(reason.code()).or_default() += 1;
                }
            }
        }
        match handled(case, history) {
            Some(true) => stats.handled.alone += 1,
            Some(false) => stats.handled.by_a_person += 1,
            None => stats.handled.undecided += 1,
        }
        let waiting = match case.state {
            _ if case.attention.is_some() => case.attention.map(|since| ("staff", since)),
            State::AwaitingInfo => Some(("customer", case.since)),
            State::RmaIssued | State::InTransit => Some(("parcel", case.since)),
            _ => None,
        };
        if let Some((whom, since)) = waiting {
            *stats.waiting.entry(whom.to_owned()).or_default().entry(waits(since, now).to_owned()).or_default() += 1;
        }
        let issued = history.iter().find(|event| matches!(event.event, Event::RmaIssued { .. }));
        if let (Some(rma), Some(issued)) = (&case.rma, issued) {
            self.spread.add(issued.at.duration_since(case.opened_at).as_secs());
            let week = rma.issued_on.iso_week_date();
            let what = case.facts.problem_what.as_ref().map_or("", |what| what.quote.as_str());
            let code = case.facts.item_code.as_ref().map_or("", |code| code.value.as_str());
            let row = Return {
                sku: rma.sku.to_string(),
                symptom: symptoms::class(case.language.as_deref(), what),
                batch: code.chars().take(batch).collect(),
                week: format!("{:04}-W{:02}", week.year(), week.week()),
            };
            let row = match self.returns.len() < ROWS || self.returns.contains_key(&row) {
                true => row,
                false => Return { sku: OTHER.into(), symptom: OTHER.into(), batch: OTHER.into(), week: OTHER.into() },
            };
            *self.returns.entry(row).or_default() += 1;
        }
    }

    fn end(self) -> Stats {
        let mut stats = self.stats;
        stats.returns = self.returns.into_iter().collect();
        let hours = |share| self.spread.quantile(share).map(|seconds| round(seconds as f64 / 3600.0));
        stats.hours_to_rma = hours(0.5).zip(hours(0.9)).map(|(median, ninety)| Hours { median, ninety });
        let asked: u64 = stats.asks.iter().map(|(asks, cases)| asks * cases).sum();
        stats.asks_per_case = round(share(asked, stats.cases).unwrap_or_default());
        stats.handled.share_alone =
            share(stats.handled.alone, stats.handled.alone + stats.handled.by_a_person).map(round);
        stats
    }
}

const OTHER: &str = "other";

/// Whether the case got its RMA, or its end without one, by the program alone; `None`: it has neither, and nobody has to
/// look.
fn handled(case: &Case, history: &[CaseEvent]) -> Option<bool> {
    let decided = history.iter().position(|event| matches!(event.event, Event::RmaIssued { .. }));
    // Erasing is no work on the case.
    let is_end = |event: &CaseEvent| matches!(event.event, Event::Erased);
    let before = history.iter().take(decided.unwrap_or(history.len())).take_while(|event| !is_end(event));
    let by_a_person = |event: &CaseEvent| {
        matches!(event.by, Actor::Staff(_)) || matches!(event.event, Event::HandedToStaff | Event::SafetyHeld)
    };
    let issuer = decided.and_then(|at| history.get(at));
    if before.chain(issuer).any(by_a_person) {
        return Some(false);
    }
    (decided.is_some() || case.state.is_final()).then_some(true)
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// The command: asks, prints.
pub fn run(config: &Path, wanted: Wanted, form: Form, out: &mut dyn Write) -> Result<(), Failure> {
    if let (Some(since), Some(until)) = (wanted.since, wanted.until)
        && since > until
    {
        return Err(Failure::Usage(format!("--since {since} is after --until {until}")));
    }
    consult(&load(config)?, &Query::Ask(Question::Stats(wanted)), &mut |line| {
        let stats: Stats = serde_json::from_slice(line)?;
        match form {
            Form::Json => writeln!(out, "{}", json(&stats)?),
            Form::Csv => csv(&stats, out),
            Form::Table => table(&stats, out),
        }
    })
}

/// As `--json` tells it: the returns as flat objects.
fn json(stats: &Stats) -> io::Result<Value> {
    #[derive(Serialize)]
    struct Row<'a> {
        #[serde(flatten)]
        of: &'a Return,
        count: u64,
    }
    let returns: Vec<Row<'_>> = stats.returns.iter().map(|(of, count)| Row { of, count: *count }).collect();
    let (mut object, returns) = (serde_json::to_value(stats)?, serde_json::to_value(returns)?);
    if let Value::Object(object) = &mut object {
        object.insert("returns".to_owned(), returns);
    }
    Ok(object)
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
    for (row, count) in &stats.returns {
        *sums.entry(key(row)).or_default() += count;
    }
    let mut rows: Vec<(String, u64)> = sums.into_iter().map(|(key, count)| (key.to_owned(), count)).collect();
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    rows
}

fn csv(stats: &Stats, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "measure,key,sku,symptom,batch,week,value")?;
    for (row, count) in &stats.returns {
        let Return { sku, symptom, batch, week } = row;
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
