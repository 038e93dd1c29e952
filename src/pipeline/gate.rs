//! The one gate for automatic mail: which letter goes out, if any. A decision that may not be told is turned to staff.

use jiff::{SignedDuration, Timestamp};

use super::{Lookup, Reading, Terms, trace};
use crate::domain::case::Case;
use crate::domain::decision::{Action, Decision, Reason};
use crate::domain::policy::Payer;
use crate::domain::reply::Kind;
use crate::pipeline::trace::Link;

/// What answers a letter.
pub(super) fn of_letter(
    decision: &mut Decision,
    case: &Case,
    reading: &Reading,
    lookup: &Lookup,
    terms: &Terms,
    now: Timestamp,
) -> Option<Kind> {
    if let Some(reason) = set_aside(reading, lookup).or_else(|| nobody(case, terms)) {
        hand_over(decision, reason);
        return None;
    }
    let kind = match decision.action {
        Action::Ask => Kind::Ask,
        Action::IssueRma => Kind::Rma,
        Action::Staff if decision.reasons.contains(&Reason::Safety) && !case.warned => Kind::Safety,
        Action::Staff if !case.acknowledged && brings_receipt(case, reading) => Kind::Receipt,
        Action::Staff if !case.acknowledged => Kind::Acknowledgement,
        Action::Staff | Action::Close | Action::Ignore => return None,
    };
    let patience = SignedDuration::from_hours(24 * i64::from(terms.policy.answer_days));
    let is_old = reading.stored.is_some_and(|stored| now.duration_since(stored) > patience);
    let hindrance = is_old.then_some(Reason::Old).or_else(|| cap(case, lookup.replies_today, terms));
    let Some(reason) = hindrance else { return Some(kind) };
    hand_over(decision, reason);
    None
}

/// What tells of a case that the order feed or the catalogue decided; nothing is asked then.
pub(super) fn of_feed(decision: &mut Decision, case: &Case, replies_today: usize, terms: &Terms) -> Option<Kind> {
    let kind = match decision.action {
        Action::Ask => return None,
        Action::IssueRma => Kind::Rma,
        Action::Staff | Action::Close | Action::Ignore => Kind::Acknowledgement,
    };
    let hindrance = trace::is_apart(case)
        .then_some(Reason::UnknownThread)
        .or_else(|| nobody(case, terms))
        // Whoever had it in hand goes on.
        .or_else(|| case.with_staff.then_some(Reason::FollowUp))
        .or_else(|| cap(case, replies_today, terms));
    let Some(reason) = hindrance else {
        return Some(kind).filter(|kind| *kind == Kind::Rma || !case.acknowledged);
    };
    hand_over(decision, reason);
    None
}

/// Why a letter is for staff alone, whatever it says.
fn set_aside(reading: &Reading, lookup: &Lookup) -> Option<Reason> {
    let apart = matches!(&lookup.link, Link::Known(case) if trace::is_apart(case));
    match &reading.customer {
        None => Some(Reason::NoReplyAddress),
        Some(_) if lookup.unknown_thread || apart => Some(Reason::UnknownThread),
        Some(_) => None,
    }
}

/// Whether the customer's address is our own.
fn nobody(case: &Case, terms: &Terms) -> Option<Reason> {
    terms.is_of_the_desk(&case.customer.address).then_some(Reason::NoReplyAddress)
}

/// Whether as many letters as may be have gone out.
fn cap(case: &Case, replies_today: usize, terms: &Terms) -> Option<Reason> {
    if replies_today >= terms.caps.per_sender {
        Some(Reason::ReplyLimit)
    } else if case.replies_out() as usize >= terms.caps.per_case {
        Some(Reason::CaseLimit)
    } else {
        None
    }
}

/// Clause `doa.return_cost`: whether a letter brings the receipt of return shipping that is paid back.
fn brings_receipt(case: &Case, reading: &Reading) -> bool {
    reading.facts.outlay.is_some() && case.rma.as_ref().is_some_and(|rma| rma.payer() == Payer::CustomerReimbursed)
}

fn hand_over(decision: &mut Decision, why: Reason) {
    decision.action = Action::Staff;
    decision.track = None;
    decision.ask.clear();
    decision.reasons.push(why);
}
