//! A warranty claim: the items it can need, the tracks a return can take, and the days in between.
//!
//! Clause names (`doa.window`, `process.3` …) are those of the policy page; decisions and `explain` use them. The
//! numbers are in [`policy`](super::policy).

use jiff::civil::Date;
use jiff::{Span, ToSpan};
use serde::{Deserialize, Serialize};

/// Something a claim needs from the customer, in the order in which it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    OrderNumber,
    Sku,
    ItemCode,
    ReceivedOn,
    ProblemWhat,
    ProblemWhen,
    ProblemHow,
    StepsTaken,
    Photo,
    PackagingPhoto,
    Unopened,
}

/// The way a return takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Track {
    /// Clause `doa.window`: dead on arrival, new item or refund.
    Doa,
    /// Clause `unopened.window`: refund of an unopened and unused item.
    UnopenedRefund,
    /// Clause `repair.window`: free repair within the warranty.
    Repair,
}

/// Whether a required item is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Given,
    /// Something was said, but not enough to rely on (a name that fits several variants, a number nobody knows).
    Unclear,
    Missing,
}

/// The required items of a case and where each stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checklist {
    /// The track the dates lead to, if they are known.
    pub track: Option<Track>,
    pub items: Vec<(Item, Status)>,
}

impl Checklist {
    /// The items still open, in asking order.
    pub fn missing(&self) -> Vec<Item> {
        self.items.iter().filter(|(_, status)| *status != Status::Given).map(|(item, _)| *item).collect()
    }
}

/// The questions that a letter asking for `items` puts, numbered from 1 in this order: what, when and how of the problem
/// are one question, at the place of the first.
pub fn questions(items: &[Item]) -> Vec<Vec<Item>> {
    let of_problem = |item: &Item| matches!(item, Item::ProblemWhat | Item::ProblemWhen | Item::ProblemHow);
    let mut questions: Vec<Vec<Item>> = Vec::new();
    for item in items {
        match questions.iter_mut().find(|q| of_problem(item) && q.iter().any(of_problem)) {
            Some(problem) => problem.push(*item),
            None => questions.push(vec![*item]),
        }
    }
    questions
}

/// The last day of a warranty of `months` that starts on `received`; a shorter month ends on its last day.
pub fn warranty_ends(received: Date, months: u32) -> Date {
    let span: Span = i32::try_from(months).unwrap_or(i32::MAX).min(1200).months();
    received.saturating_add(span)
}

/// Whole calendar days from `start` to `end`; negative if `end` is earlier.
pub fn days_between(start: Date, end: Date) -> i64 {
    start.until(end).map_or(0, |span| i64::from(span.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn repair_window_ends_on_the_last_day_of_a_shorter_month() {
        assert_eq!(warranty_ends(date(2025, 10, 7), 12), date(2026, 10, 7));
        assert_eq!(warranty_ends(date(2024, 2, 29), 12), date(2025, 2, 28));
        assert_eq!(warranty_ends(date(2026, 8, 31), 6), date(2027, 2, 28));
    }

    #[test]
    fn days_are_calendar_days() {
        assert_eq!(days_between(date(2026, 10, 1), date(2026, 10, 20)), 19);
        assert_eq!(days_between(date(2026, 10, 20), date(2026, 10, 1)), -19);
        assert_eq!(days_between(date(2025, 1, 1), date(2026, 1, 1)), 365);
    }
}
