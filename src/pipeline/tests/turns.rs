//! What the clock and staff do beside letters.

use super::*;
use crate::domain::event::Timer;
use crate::domain::reply::{Kind, Reply};
use crate::pipeline::propose::proposal;
use crate::pipeline::resume::{Cause, Known, Resumed, resume};

impl Desktop {
    /// What the clock does at `now`.
    fn strike(&mut self, now: &str) -> Option<Reply> {
        let number = (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 25), [n, 5, 6, 7, 8])).unwrap();
        let case = self.case.as_ref().unwrap();
        let resumed =
            resume(case, Cause::Timer, &Known::nothing_but(number), &self.terms, now.parse().unwrap()).unwrap();
        self.case = resumed.events.iter().fold(self.case.take(), |case, e| Some(Case::apply(case, e).unwrap()));
        resumed.reply
    }

    /// The feed now tells this of KS20001.
    fn hear(&mut self, order: OrderAnswer) -> Resumed {
        let number = (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 25), [n, 5, 6, 7, 9])).unwrap();
        let mut known = Known::nothing_but(number);
        known.orders.insert(OrderNumber::new("KS20001").unwrap(), order);
        known.replies_today = self.replies_today;
        let now = "2026-11-25T10:00:00Z".parse().unwrap();
        let resumed = resume(self.case.as_ref().unwrap(), Cause::Feed, &known, &self.terms, now).unwrap();
        self.case = resumed.events.iter().fold(self.case.take(), |case, e| Some(Case::apply(case, e).unwrap()));
        resumed
    }
}

/// Lacks nothing but an order that the feed knows.
const WHOLE: &str = "My ROAM 5 black from order KS20001 has gone dark since Monday while I was running. I reset it twice, that \
    changes nothing. The code on the box is 4006381333931, a video is attached.";

fn unknown_then_known() -> (Desktop, OrderAnswer) {
    let known = Desktop::with_order(&[("jo@example.net", "RX-ROAM5-BK", Some(date(2026, 6, 1)))]).order;
    (Desktop { order: OrderAnswer::Unknown, ..Desktop::new() }, known)
}

#[test]
fn what_the_feed_tells_later_is_decided_on_once_by_the_cases_own_day() {
    let (mut desk, known) = unknown_then_known();
    assert_eq!(desk.take(WHOLE).decision.ask, [Item::OrderNumber, Item::ReceivedOn]);
    assert_eq!(desk.hear(OrderAnswer::Unknown), Resumed::default());
    let reply = desk.hear(known.clone()).reply.unwrap();
    let case = desk.case.clone().unwrap();
    assert_eq!((case.state, reply.kind), (State::RmaIssued, Kind::Rma));
    assert_eq!(case.rma.unwrap().track, Track::Repair);
    assert_eq!(desk.hear(known), Resumed::default());
    // By the day it was opened on, a warranty that has ended since holds.
    let (mut desk, _) = unknown_then_known();
    desk.take(WHOLE);
    let long_ago = Desktop::with_order(&[("jo@example.net", "RX-ROAM5-BK", Some(date(2025, 11, 22)))]).order;
    desk.hear(long_ago);
    assert_eq!(desk.case.unwrap().state, State::RmaIssued);
}

#[test]
fn what_is_still_open_is_not_asked_for_again_however_often_it_was() {
    let (mut desk, known) = unknown_then_known();
    desk.terms.policy.asks = 1;
    desk.take("My ROAM 5 black from order KS20001 has gone dark since Monday while I was running.");
    let before = desk.case.clone().unwrap();
    let resumed = desk.hear(known.clone());
    let case = desk.case.clone().unwrap();
    assert_eq!((resumed.reply, case.state, case.asks), (None, State::AwaitingInfo, before.asks));
    assert_eq!(case.due, before.due);
    assert_eq!(case.decision.unwrap().ask, [Item::ItemCode, Item::StepsTaken, Item::Photo]);
    assert_eq!(desk.hear(known), Resumed::default());
}

#[test]
fn what_the_feed_tells_passes_no_person_and_no_cap() {
    // Staff had it in hand before they asked.
    let (mut desk, known) = unknown_then_known();
    desk.take(WHOLE);
    desk.case.as_mut().unwrap().with_staff = true;
    assert_eq!(desk.hear(known.clone()).reply, None);
    let case = desk.case.unwrap();
    assert_eq!(
        (case.state, case.rma, case.decision.unwrap().reasons),
        (State::WithStaff, None, vec![Reason::FollowUp])
    );
    let (mut desk, known) = unknown_then_known();
    desk.take(WHOLE);
    desk.replies_today = desk.terms.caps.per_sender;
    assert_eq!(desk.hear(known).reply, None);
    assert_eq!(desk.case.unwrap().decision.unwrap().reasons, [Reason::ReplyLimit]);
    // Somebody else's order, and one that is under way.
    for (email, delivered_on) in [("kim@example.net", Some(date(2026, 6, 1))), ("jo@example.net", None)] {
        let (mut desk, _) = unknown_then_known();
        desk.take(WHOLE);
        let reply = desk.hear(Desktop::with_order(&[(email, "RX-ROAM5-BK", delivered_on)]).order).reply.unwrap();
        assert_eq!(reply.kind, Kind::Acknowledgement);
        assert_eq!(desk.case.unwrap().state, State::WithStaff);
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

const FELL: &str = "Hello, my ROAM 5 black from order KS20001, SKU RX-ROAM5-BK, arrived on 2 January 2026. Since last Monday \
                    the screen flickers and goes dark while charging. It fell on the floor once. I restarted and reset it, \
                    no change. The item code is 4006381333931. The video shows it.";

#[test]
fn a_corrected_fact_decides_the_case_anew_and_sends_nothing() {
    let mut desk = Desktop::new();
    desk.take(FELL);
    let decided = |desk: &Desktop| desk.case.as_ref().unwrap().decision.clone().unwrap();
    assert_eq!((decided(&desk).action, decided(&desk).reasons), (Action::Staff, vec![Reason::Void]));
    assert_eq!(desk.act("correct void none").reply, None);
    let case = desk.case.clone().unwrap();
    assert_eq!((decided(&desk).action, case.state), (Action::IssueRma, State::WithStaff));
    assert_eq!(proposal(&case).unwrap(), "approve repair");
    desk.act("correct order_number none");
    assert_eq!(proposal(desk.case.as_ref().unwrap()).unwrap(), "ask order_number");
    desk.act("correct order_number KS20001");
    assert!(desk.act("approve").reply.is_some());
    assert_eq!(desk.case.as_ref().unwrap().state, State::RmaIssued);
    // What is authorised stays, whatever is known better later.
    desk.act("correct received_on 2024-01-02");
    assert_eq!(desk.case.as_ref().unwrap().state, State::RmaIssued);
}

#[test]
fn what_waits_for_the_customer_comes_to_staff_when_a_correction_completes_it() {
    let mut desk = Desktop::new();
    desk.take(&FELL.replace("It fell on the floor once. ", "").replace("The item code is 4006381333931. ", ""));
    assert_eq!(desk.case.as_ref().unwrap().state, State::AwaitingInfo);
    desk.act("correct problem_how yes");
    assert_eq!(desk.case.as_ref().unwrap().state, State::AwaitingInfo);
    desk.act("correct item_code 4006381333931");
    let case = desk.case.unwrap();
    assert_eq!((case.state, proposal(&case).as_deref()), (State::WithStaff, Some("approve repair")));
}

#[test]
fn a_danger_that_a_person_sees_is_told_at_once() {
    let mut desk = Desktop::new();
    desk.take("My Roam 5 does not charge.");
    let reply = desk.act("correct safety yes").reply.unwrap();
    assert_eq!((reply.kind, desk.case.as_ref().unwrap().state), (Kind::Safety, State::SafetyHold));
}

#[test]
fn a_snoozed_case_comes_back_on_its_day_or_with_the_next_letter() {
    let mut desk = Desktop::new();
    desk.take(FELL);
    desk.act("assign Kim");
    desk.act("snooze 2026-12-24");
    let case = desk.case.clone().unwrap();
    assert_eq!((case.assigned_to.as_deref(), case.due.unwrap().timer), (Some("Kim"), Timer::Wake));
    let mut woken = Desktop { case: Some(case), ..Desktop::new() };
    woken.take("Is there any news?");
    assert_eq!(woken.case.unwrap().snoozed_until, None);
    assert_eq!(desk.strike("2026-12-24T12:00:00Z"), None);
    let case = desk.case.unwrap();
    assert_eq!((case.snoozed_until, case.due.unwrap().timer), (None, Timer::RemindStaff));
}

#[test]
fn a_letter_about_a_parcel_that_came_without_an_rma_goes_to_a_person() {
    let complete = FELL.replace("It fell on the floor once. ", "");
    for (acts, closed) in [
        (&["arrived unauthorised"][..], false),
        (&["arrived unauthorised", "inspected not_covered", "shipped"], false),
        (&["arrived unauthorised", "inspected not_covered", "shipped"], true),
    ] {
        let mut desk = Desktop::new();
        desk.take("My Roam 5 does not charge.");
        for act in acts {
            desk.act(act);
        }
        if closed {
            desk.act("close");
        }
        let decision = desk.take(&complete).decision;
        assert_eq!(decision.action, Action::Staff, "{acts:?}");
        assert!(decision.reasons.contains(&Reason::FollowUp));
    }
}
