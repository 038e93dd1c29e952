//! What the clock and staff do beside letters.

use super::*;
use crate::domain::event::Timer;
use crate::domain::reply::Reply;
use crate::pipeline::resume::{Cause, resume};

impl Desktop {
    /// What the clock does at `now`.
    fn strike(&mut self, now: &str) -> Option<Reply> {
        let number = (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 25), [n, 5, 6, 7, 8])).unwrap();
        let case = self.case.as_ref().unwrap();
        let resumed = resume(case, Cause::Timer, &number, &self.terms, now.parse().unwrap()).unwrap();
        self.case = resumed.events.iter().fold(self.case.take(), |case, e| Some(Case::apply(case, e).unwrap()));
        resumed.reply
    }
}

#[test]
fn at_the_cap_of_a_case_the_clock_writes_nothing_and_a_person_goes_on() {
    let mut desk = Desktop::new();
    desk.terms.caps.per_case = 1;
    desk.take("My Roam 5 does not charge.");
    assert_eq!(desk.strike("2026-11-30T10:00:00Z"), None);
    let case = desk.case.unwrap();
    assert_eq!((case.state, case.reminders, case.attention.is_some()), (State::WithStaff, 0, true));
    assert_eq!(case.due.unwrap().timer, Timer::RemindStaff);
}

#[test]
fn only_the_last_reminder_says_until_when_the_case_stays_open() {
    let mut desk = Desktop::new();
    desk.terms.deadlines.reminders = vec![7, 9, 14];
    desk.take("My Roam 5 does not charge.");
    let mut told = Vec::new();
    for day in ["2026-11-27", "2026-11-30", "2026-12-07"] {
        let before = desk.case.clone().unwrap();
        let reply = desk.strike(&format!("{day}T12:00:00Z")).unwrap_or_else(|| panic!("{day}: {:?}", before.due));
        assert_eq!(desk.case.as_ref().unwrap().reminders, before.reminders + 1);
        told.push(reply.text);
    }
    let says = told.iter().map(|text| text.contains("we will close your case")).collect::<Vec<_>>();
    assert_eq!(says, [false, false, true]);
}

#[test]
fn a_danger_that_was_let_go_is_held_again_only_if_it_is_reported_again() {
    let mut desk = Desktop::new();
    desk.take("The battery of my Roam 5 is swollen and it burned my wrist.");
    assert_eq!(desk.case.as_ref().unwrap().state, State::SafetyHold);
    desk.act("release");
    desk.take("When will I hear from you about it?");
    assert_eq!(desk.case.as_ref().unwrap().state, State::WithStaff);
    desk.take("Now it smokes and the charger has burned as well!");
    assert_eq!(desk.case.as_ref().unwrap().state, State::SafetyHold);
}
