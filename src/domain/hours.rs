//! When people work, and how long a case may wait for them and for its customer.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp, ToSpan};

/// The hours in which letters to people are sent that nobody waits for: a reminder comes by day.
#[derive(Debug, Clone, PartialEq)]
pub struct Hours {
    pub zone: TimeZone,
    /// The working days; never empty.
    pub days: Vec<Weekday>,
    pub from: Time,
    /// After `from`, on the same day.
    pub until: Time,
    pub holidays: Vec<Date>,
}

impl Default for Hours {
    /// Nine to five from Monday to Friday, UTC.
    fn default() -> Self {
        use Weekday::*;
        Self {
            zone: TimeZone::UTC,
            days: vec![Monday, Tuesday, Wednesday, Thursday, Friday],
            from: Time::constant(9, 0, 0, 0),
            until: Time::constant(17, 0, 0, 0),
            holidays: Vec::new(),
        }
    }
}

/// A year without a working day is a mistake in the configuration; the search for one ends there.
const SOUGHT: usize = 400;

impl Hours {
    /// The day that it is at `at`.
    pub fn day(&self, at: Timestamp) -> Date {
        at.to_zoned(self.zone.clone()).date()
    }

    /// `at`, or when the next working hours begin.
    pub fn open(&self, at: Timestamp) -> Timestamp {
        let local = at.to_zoned(self.zone.clone());
        let (day, time) = (local.date(), local.time());
        match self.is_working_day(day) {
            true if time < self.from => self.opening(day),
            true if time < self.until => at,
            _ => self.opening(day.saturating_add(1.day())),
        }
    }

    /// When the first working hours on `day` or later begin.
    pub fn opening(&self, day: Date) -> Timestamp {
        self.at(self.working_day(day), self.from)
    }

    /// So many calendar days after `at`, at the same time of the day, and in working hours.
    pub fn after_days(&self, at: Timestamp, days: u32) -> Timestamp {
        self.open(self.later(at, span(days)))
    }

    /// So many working days after `at`.
    pub fn after_working_days(&self, at: Timestamp, days: u32) -> Timestamp {
        let start = self.open(at).to_zoned(self.zone.clone());
        let mut day = start.date();
        for _ in 0..days.min(366) {
            day = self.working_day(day.saturating_add(1.day()));
        }
        self.at(day, start.time())
    }

    fn later(&self, at: Timestamp, span: Span) -> Timestamp {
        let local = at.to_zoned(self.zone.clone()).datetime();
        self.at(local.date().saturating_add(span), local.time())
    }

    /// A time of the day; one that the clocks jump over is the next there is.
    fn at(&self, day: Date, time: Time) -> Timestamp {
        let ambiguous = self.zone.to_ambiguous_timestamp(day.to_datetime(time));
        let skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
        let resolved = if skipped { ambiguous.later() } else { ambiguous.earlier() };
        resolved.unwrap_or(Timestamp::MAX)
    }

    fn working_day(&self, from: Date) -> Date {
        let days = (0..SOUGHT).map(|n| from.saturating_add(span(u32::try_from(n).unwrap_or_default())));
        days.into_iter().find(|day| self.is_working_day(*day)).unwrap_or(from)
    }

    fn is_working_day(&self, day: Date) -> bool {
        self.days.contains(&day.weekday()) && !self.holidays.contains(&day)
    }
}

fn span(days: u32) -> Span {
    i64::from(days.min(36_500)).days()
}

/// How long a case waits before the clock does something; each number is configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Deadlines {
    pub hours: Hours,
    /// Days after which the customer is reminded of what was asked, each later than the one before.
    pub reminders: Vec<u32>,
    /// Days after which a case whose customer does not answer is closed; more than the last reminder.
    pub unanswered: u32,
    /// Days before the end of an RMA on which the customer is reminded.
    pub rma_reminder: u32,
    /// Days after the end of an RMA that a parcel posted in time may take.
    pub rma_grace: u32,
    /// Days that a parcel may be under way before staff are told.
    pub transit: u32,
    /// Working days after which staff are reminded of a case that waits for them.
    pub staff: u32,
    /// Days after which a case in which all is done is closed.
    pub done: u32,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            hours: Hours::default(),
            reminders: vec![7, 14],
            unanswered: 21,
            rma_reminder: 5,
            rma_grace: 10,
            transit: 21,
            staff: 2,
            done: 14,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn berlin() -> Hours {
        Hours { zone: TimeZone::get("Europe/Berlin").unwrap(), holidays: vec![date(2026, 12, 25)], ..Hours::default() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_falls_outside_working_hours_waits_for_them() {
        let hours = berlin();
        assert_eq!(hours.open(at("2026-11-23T08:30:00Z")), at("2026-11-23T08:30:00Z"));
        assert_eq!(hours.open(at("2026-11-23T03:00:00Z")), at("2026-11-23T08:00:00Z"), "before nine in Berlin");
        assert_eq!(hours.open(at("2026-11-27T16:00:00Z")), at("2026-11-30T08:00:00Z"), "Friday at five: Monday");
        assert_eq!(hours.open(at("2026-12-25T10:00:00Z")), at("2026-12-28T08:00:00Z"), "a holiday, then a weekend");
    }

    #[test]
    fn days_are_counted_on_the_wall_across_the_change_of_clocks() {
        let hours = berlin();
        // Clocks go back on 25 October 2026: ten in summer time, ten in winter time.
        assert_eq!(hours.after_days(at("2026-10-20T08:00:00Z"), 7), at("2026-10-27T09:00:00Z"));
        assert_eq!(hours.after_working_days(at("2026-10-23T08:00:00Z"), 2), at("2026-10-27T09:00:00Z"));
        // They go forward on 28 March 2027: half past two in the night is jumped over.
        let night = Hours { from: Time::constant(2, 30, 0, 0), days: vec![Weekday::Sunday], ..berlin() };
        assert_eq!(night.opening(date(2027, 3, 28)), at("2027-03-28T01:30:00Z"));
    }

    proptest! {
        #[test]
        fn nothing_is_put_earlier_and_all_falls_into_working_hours(second in 1_500_000_000i64..2_500_000_000, days in 0u32..60) {
            let hours = berlin();
            let start = Timestamp::from_second(second).unwrap();
            for end in [hours.open(start), hours.after_days(start, days), hours.after_working_days(start, days)] {
                prop_assert!(end >= start);
                prop_assert_eq!(hours.open(end), end);
            }
        }
    }
}
