//! What the books tell, in one pass over all events and in bounded memory: returns by product, symptom, batch and week;
//! how long they took, how often customers were asked, what a person had to do.
//!
//! Whatever is counted is counted of the cases that were opened in the time asked for, so that all sums are those of
//! `cases list`. Erased cases count as before.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::case::{Case, State};
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::queue::waits;
use crate::domain::spread::Spread;
use crate::pipeline::symptoms;
use crate::store::{Store, StoreError};

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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Return {
    pub sku: String,
    pub symptom: String,
    pub batch: String,
    /// ISO 8601 week of the day it was authorised.
    pub week: String,
}

/// How many of them there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Returned {
    #[serde(flatten)]
    pub of: Return,
    pub count: u64,
}

/// What the books tell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    pub cases: u64,
    /// Those who opened them, each once.
    pub customers: u64,
    pub letters: u64,
    pub replies: u64,
    pub states: BTreeMap<String, u64>,
    pub returns: Vec<Returned>,
    /// Hours from the first letter to the authorisation; within one per cent.
    pub hours_to_rma: Option<Hours>,
    /// Cases by the number of letters that asked.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub asks: BTreeMap<u64, u64>,
    pub asks_per_case: f64,
    pub handled: Handled,
    /// Decisions by what they led to, and by reason.
    pub decisions: BTreeMap<String, u64>,
    pub reasons: BTreeMap<String, u64>,
    /// Cases that wait, by whom they wait for and for how long.
    pub waiting: BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = HoursToRma)]
pub struct Hours {
    pub median: f64,
    /// Nine of ten took no longer.
    pub ninety: f64,
}

/// How cases came to an RMA, or to their end without one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, ToSchema)]
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
        stats.returns = self.returns.into_iter().map(|(of, count)| Returned { of, count }).collect();
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
