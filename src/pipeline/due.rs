//! What the clock does to a case next, and when.
//!
//! Worked out from the case alone, so that it can be worked out again after a change of the deadlines. Nothing is due
//! in the past of what went before it: after a jump of the clock reminders keep their distance.

use jiff::{Timestamp, ToSpan};

use crate::domain::case::{Case, Due, State};
use crate::domain::event::Timer;
use crate::domain::hours::Deadlines;

/// The next thing that the clock does if nothing else happens; `None`: the case is over.
pub fn due(case: &Case, deadlines: &Deadlines) -> Option<Due> {
    // Nothing that counts from the sending of a letter has begun.
    if let Some(at) = case.drafts.iter().filter_map(|draft| draft.until).min() {
        return Some(Due { at, timer: Timer::ReleaseDraft });
    }
    if let Some(draft) = case.held() {
        let since = case.staff_reminded_at.map_or(draft.since, |reminded| reminded.max(draft.since));
        return Some(Due { at: deadlines.hours.after_working_days(since, deadlines.staff), timer: Timer::RemindStaff });
    }
    if case.state.is_final() {
        return None;
    }
    let (timer, at) = match case.state {
        _ if case.attention.is_some() && case.snoozed_until.is_some() => (Timer::Wake, case.snoozed_until?),
        _ if case.attention.is_some() => staffs_turn(case, deadlines),
        State::AwaitingInfo => customers_turn(case, deadlines),
        State::RmaIssued => rma(case, deadlines),
        State::InTransit => (Timer::ParcelOverdue, deadlines.hours.after_days(case.since, deadlines.transit)),
        State::Refunded | State::Rejected | State::ShippedBack => {
            (Timer::CloseDone, deadlines.hours.after_days(case.since, deadlines.done))
        }
        // Somebody has answered, and the customer says no more.
        State::WithStaff => {
            let handled = case.staff_reminded_at.unwrap_or(case.since);
            (Timer::CloseDone, deadlines.hours.after_days(handled, deadlines.done))
        }
        _ => staffs_turn(case, deadlines),
    };
    Some(Due { at, timer })
}

fn staffs_turn(case: &Case, deadlines: &Deadlines) -> (Timer, Timestamp) {
    let since = case.attention.unwrap_or(case.since);
    let since = case.staff_reminded_at.map_or(since, |reminded| reminded.max(since));
    (Timer::RemindStaff, deadlines.hours.after_working_days(since, deadlines.staff))
}

fn customers_turn(case: &Case, deadlines: &Deadlines) -> (Timer, Timestamp) {
    let asked = case.asked_at.unwrap_or(case.since);
    let sent = case.reminders as usize;
    let days = |n: usize| deadlines.reminders.get(n).copied();
    let (timer, day) = match days(sent) {
        Some(day) => (Timer::RemindItems, day),
        None => (Timer::CloseUnanswered, deadlines.unanswered),
    };
    let planned = deadlines.hours.after_days(asked, day);
    let before = sent.checked_sub(1).and_then(days).unwrap_or_default();
    let apart = case.reminded_at.map(|last| deadlines.hours.after_days(last, day.saturating_sub(before)));
    (timer, apart.map_or(planned, |apart| apart.max(planned)))
}

/// Clause `rma.first`: the number runs out.
fn rma(case: &Case, deadlines: &Deadlines) -> (Timer, Timestamp) {
    let hours = &deadlines.hours;
    let Some(rma) = &case.rma else { return staffs_turn(case, deadlines) };
    let before = i64::from(deadlines.rma_reminder).days();
    let reminder = hours.opening(rma.valid_until.saturating_sub(before));
    if !case.rma_reminded && reminder > case.since {
        return (Timer::RemindRma, reminder);
    }
    let grace = i64::from(deadlines.rma_grace).saturating_add(1).days();
    (Timer::ExpireRma, hours.opening(rma.valid_until.saturating_add(grace)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{CaseEvent, Event};
    use crate::domain::ids::{Address, CaseId, LetterId};
    use crate::domain::letter::Person;
    use crate::domain::warranty::Item;
    use jiff::civil::date;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn asked() -> Case {
        let id = CaseId::derive(&LetterId::from_digest(&[7; 32]), 0);
        let customer = Person { name: None, address: Address::new("jo@example.net").unwrap() };
        let opened = Event::Opened { case: id, customer, opened_on: date(2026, 11, 2) };
        let monday = at("2026-11-02T10:00:00Z");
        let events = [opened, Event::Asked { items: vec![Item::Photo] }].map(|e| CaseEvent::daemon(e, monday));
        Case::replay(&events).unwrap().unwrap()
    }

    fn remind(case: Case, now: Timestamp) -> Case {
        Case::apply(Some(case), &CaseEvent::daemon(Event::Reminded { of: Timer::RemindItems }, now)).unwrap()
    }

    #[test]
    fn the_customer_is_reminded_after_a_week_and_two_then_the_case_is_closed() {
        let deadlines = Deadlines::default();
        let case = asked();
        let first = due(&case, &deadlines).unwrap();
        assert_eq!(first, Due { at: at("2026-11-09T10:00:00Z"), timer: Timer::RemindItems });
        let case = remind(case, first.at);
        let second = due(&case, &deadlines).unwrap();
        assert_eq!(second, Due { at: at("2026-11-16T10:00:00Z"), timer: Timer::RemindItems });
        let case = remind(case, second.at);
        let last = due(&case, &deadlines).unwrap();
        assert_eq!(last, Due { at: at("2026-11-23T10:00:00Z"), timer: Timer::CloseUnanswered });
    }

    #[test]
    fn reminders_keep_their_distance_when_the_clock_jumps() {
        let deadlines = Deadlines::default();
        let case = remind(asked(), at("2027-03-01T10:00:00Z"));
        assert_eq!(due(&case, &deadlines).unwrap().at, at("2027-03-08T10:00:00Z"));
    }
}
