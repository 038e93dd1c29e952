//! What the charts show, counted in one pass over the cases; the events of those only that changed of late are read.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use crate::domain::case::Case;
use crate::domain::decision::Action;
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::hours::Hours;
use crate::domain::ids::Sku;
use crate::domain::queue::{Place, Queue, WAITS, waits};
use crate::domain::spread::Spread;
use crate::domain::warranty::Track;
use crate::store::{Store, StoreError};

/// Days and weeks that are shown, the present ones with them.
pub const DAYS: i64 = 30;
pub const WEEKS: i64 = 12;

/// What there is to draw.
#[derive(Debug, Clone)]
pub struct Numbers {
    pub counted_at: Timestamp,
    /// Each of the days, the oldest first, whether or not anything happened.
    pub days: Vec<(Date, Day)>,
    /// Each of the weeks by its Monday, the oldest first.
    pub weeks: Vec<(Date, Week)>,
    /// How often an item was asked for, by its code; the most frequent first.
    pub missing: Vec<(String, u64)>,
    /// Returns for a defect by product, and of each as many as there are weeks; the product with the most first.
    pub defects: Vec<(Sku, Vec<u64>)>,
    /// Open cases by how long they wait, as [`WAITS`] has it.
    pub queues: Vec<(Queue, Vec<u64>)>,
}

/// The letters of a day, and what was done about them; about the others nothing had to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Day {
    pub letters: u64,
    pub authorised: u64,
    pub asked: u64,
    pub staff: u64,
}

/// The RMAs of a week, and the hours from the first letter to them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Week {
    pub issued: u64,
    /// Median, and what nine of ten did not exceed.
    pub hours: Option<(f64, f64)>,
}

impl Day {
    pub fn unanswered(&self) -> u64 {
        self.letters.saturating_sub(self.authorised + self.asked + self.staff)
    }
}

/// Reads all cases; `None`: nobody wants to know any more.
pub fn count(
    store: &Store,
    hours: &Hours,
    now: Timestamp,
    is_wanted: &dyn Fn() -> bool,
) -> Result<Option<Numbers>, StoreError> {
    let mut tally = Tally::new(hours, now);
    for letter in store.letters() {
        if !is_wanted() {
            return Ok(None);
        }
        tally.letter(letter?.at);
    }
    for case in store.cases() {
        if !is_wanted() {
            return Ok(None);
        }
        let case = case?;
        tally.case(&case);
        if case.changed_at >= tally.since {
            for event in store.events(&case.id)? {
                tally.event(&case, &event);
            }
        }
    }
    Ok(Some(tally.end()))
}

struct Tally<'a> {
    hours: &'a Hours,
    now: Timestamp,
    /// What was before is not shown.
    since: Timestamp,
    days: BTreeMap<Date, Day>,
    weeks: BTreeMap<Date, (u64, Spread)>,
    missing: BTreeMap<String, u64>,
    defects: BTreeMap<Sku, BTreeMap<Date, u64>>,
    queues: BTreeMap<Queue, BTreeMap<&'static str, u64>>,
}

impl<'a> Tally<'a> {
    fn new(hours: &'a Hours, now: Timestamp) -> Self {
        let today = hours.day(now);
        let back = |days: i64| today.saturating_sub(days.days());
        let week = |weeks: i64| monday(today).saturating_sub((7 * weeks).days());
        let first = back(DAYS).min(week(WEEKS));
        Self {
            hours,
            now,
            since: first.to_zoned(hours.zone.clone()).map_or(Timestamp::MIN, |start| start.timestamp()),
            days: (0..DAYS).map(|days| (back(days), Day::default())).collect(),
            weeks: (0..WEEKS).map(|weeks| (week(weeks), Default::default())).collect(),
            missing: BTreeMap::new(),
            defects: BTreeMap::new(),
            queues: BTreeMap::new(),
        }
    }

    fn letter(&mut self, at: Timestamp) {
        if let Some(day) = self.day(at) {
            day.letters += 1;
        }
    }

    fn case(&mut self, case: &Case) {
        let queue = Place::of(case).queue;
        if queue != Queue::Closed {
            let since = case.attention.unwrap_or(case.since);
            *self.queues.entry(queue).or_default().entry(waits(since, self.now)).or_default() += 1;
        }
        let issued = case.rma.as_ref().map(|rma| (rma, monday(rma.issued_on)));
        if let Some((rma, week)) = issued.filter(|(rma, _)| rma.track != Track::UnopenedRefund)
            && self.weeks.contains_key(&week)
        {
            *self.defects.entry(rma.sku.clone()).or_default().entry(week).or_default() += 1;
        }
    }

    fn event(&mut self, case: &Case, CaseEvent { event, at, by, .. }: &CaseEvent) {
        match event {
            // What a person decides anew is no answer to a letter.
            Event::Decided { decision, .. } if !matches!(by, Actor::Staff(_)) => {
                let Some(day) = self.day(*at) else { return };
                match decision.action {
                    Action::IssueRma => day.authorised += 1,
                    Action::Ask => day.asked += 1,
                    Action::Staff => day.staff += 1,
                    Action::Close | Action::Ignore => {}
                }
            }
            Event::Asked { items } if self.weeks.contains_key(&monday(self.hours.day(*at))) => {
                for item in items {
                    *self.missing.entry(item.code()).or_default() += 1;
                }
            }
            Event::RmaIssued { rma } => {
                if let Some((issued, spread)) = self.weeks.get_mut(&monday(rma.issued_on)) {
                    *issued += 1;
                    spread.add(at.duration_since(case.opened_at).as_secs());
                }
            }
            _ => {}
        }
    }

    fn day(&mut self, at: Timestamp) -> Option<&mut Day> {
        if at < self.since {
            return None;
        }
        self.days.get_mut(&self.hours.day(at))
    }

    fn end(self) -> Numbers {
        let most_first = |a: u64, b: u64| b.cmp(&a);
        let mut missing: Vec<(String, u64)> = self.missing.into_iter().collect();
        missing.sort_by(|(_, a), (_, b)| most_first(*a, *b));
        let weekly = |counts: BTreeMap<Date, u64>| {
            self.weeks.keys().map(|week| counts.get(week).copied().unwrap_or_default()).collect::<Vec<u64>>()
        };
        let mut defects: Vec<(Sku, Vec<u64>)> =
            self.defects.into_iter().map(|(sku, counts)| (sku, weekly(counts))).collect();
        defects.sort_by(|(_, a), (_, b)| most_first(a.iter().sum(), b.iter().sum()));
        let open = Queue::ALL.into_iter().filter(|queue| *queue != Queue::Closed);
        let aged = |queue| {
            let counts = self.queues.get(&queue);
            let of = |age: &&str| counts.and_then(|counts| counts.get(*age)).copied().unwrap_or_default();
            (queue, WAITS.iter().map(of).collect())
        };
        let queues = open.map(aged).collect();
        let week = |(monday, (issued, spread)): (Date, (u64, Spread))| {
            let hours = |share| spread.quantile(share).map(|seconds| seconds as f64 / 3600.0);
            (monday, Week { issued, hours: hours(0.5).zip(hours(0.9)) })
        };
        Numbers {
            counted_at: self.now,
            days: self.days.into_iter().collect(),
            missing,
            defects,
            queues,
            weeks: self.weeks.into_iter().map(week).collect(),
        }
    }
}

fn monday(day: Date) -> Date {
    day.saturating_sub(i64::from(day.weekday().to_monday_zero_offset()).days())
}
