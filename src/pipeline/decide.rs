//! Step 7: what is to be done, and why. Never refuses and never authorises where a person should look.

use crate::domain::case::{Case, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::decision::{Action, Decision, Reason};
use crate::domain::facts::{Facts, Request};
use crate::domain::policy::{Held, Policy, Route};
use crate::domain::warranty::{self, Checklist, Item};
use crate::pipeline::check;
use crate::pipeline::complete::Completed;
use crate::pipeline::extract::signals;

/// All that a decision rests on.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The case before this letter; `None` if the letter opens it.
    pub before: Option<&'a Case>,
    /// The case with this letter, its facts completed.
    pub case: &'a Case,
    /// What this letter alone says.
    pub letter: &'a Facts,
    pub completed: &'a Completed,
    pub order: &'a OrderAnswer,
    /// Whether there are a lexicon and letters in the customer's language.
    pub language_supported: bool,
    /// The order line has an RMA in another case.
    pub rma_elsewhere: bool,
    pub policy: &'a Policy,
    /// What of the policy holds for this purchase.
    pub held: &'a Held,
    pub terms: &'a str,
}

/// Decides on a letter (contract section 4, rules 2 to 8).
pub fn decide(situation: &Situation<'_>) -> Decision {
    let request = situation.case.request.unwrap_or(Request::Other);
    let order_unknown = *situation.order == OrderAnswer::Unknown;
    let rules = (&situation.policy.required, situation.held);
    let checklist =
        check::checklist(&situation.completed.facts, request, situation.case.opened_on, rules, order_unknown);
    let closing = situation.letter.request.as_ref().is_some_and(|r| r.value == Request::Closing);
    let danger =
        situation.letter.safety.is_some() || situation.letter.doubt.as_ref().is_some_and(signals::is_of_danger);
    if closing && !danger {
        return situation.decision(Action::Close, Vec::new(), checklist);
    }
    // Only what nobody has had in hand yet goes on by itself.
    let follows = |before: &Case| {
        before.with_staff
            || before.rma.is_some()
            || before.arrival.is_some()
            || !matches!(
                before.state,
                State::New | State::AwaitingInfo | State::Closed | State::Withdrawn | State::Expired
            )
    };
    let mut reasons = Vec::new();
    if situation.before.is_some_and(follows) {
        reasons.push(Reason::FollowUp);
    }
    if closing && situation.letter.safety.is_none() {
        reasons.push(Reason::Doubt);
    }
    situation.at_once(request, &mut reasons);
    situation.order(&mut reasons);
    situation.windows(request, &mut reasons);
    if !reasons.is_empty() {
        return situation.decision(Action::Staff, reasons, checklist);
    }
    situation.complete_or_ask(checklist)
}

impl Situation<'_> {
    /// Rule 3: what goes to a person whatever is complete.
    fn at_once(&self, request: Request, reasons: &mut Vec<Reason>) {
        let facts = &self.completed.facts;
        let mut when = |holds: bool, reason| {
            if holds {
                reasons.push(reason);
            }
        };
        when(facts.safety.is_some(), Reason::Safety);
        when(!facts.void_signals.is_empty(), Reason::Void);
        when(facts.unsafe_attachment.is_some(), Reason::UnsafeAttachment);
        when(!self.language_supported, Reason::Language);
        when(!matches!(request, Request::Defect | Request::ReturnUnused), Reason::Request);
        when(request == Request::ReturnOpened, Reason::NotEligible);
        when(self.completed.code_contradicts_product, Reason::Conflict);
        when(self.held.route != Route::Here, Reason::Channel);
    }

    /// What the order feed says against it.
    fn order(&self, reasons: &mut Vec<Reason>) {
        let lines = self.order.lines();
        let sender = &self.case.customer.address;
        if !lines.is_empty() && lines.iter().all(|l| l.email != *sender) {
            reasons.push(Reason::SenderMismatch);
        }
        if self.completed.not_in_order {
            reasons.push(Reason::SkuNotInOrder);
        }
        if self.completed.not_delivered {
            reasons.push(Reason::NotDelivered);
        }
        // Rule 4: the same unknown number, given a second time.
        let said = self.letter.order_number.as_ref().filter(|f| f.evidence.source.is_fresh());
        let again =
            self.before.and_then(|b| b.order_not_found.as_ref()).zip(said).is_some_and(|(old, new)| *old == new.value);
        if *self.order == OrderAnswer::Unknown && again {
            reasons.push(Reason::OrderUnknown);
        }
        if *self.order == OrderAnswer::Unavailable {
            reasons.push(Reason::OrderUnverified);
        }
        if self.rma_elsewhere {
            reasons.push(Reason::DuplicateRma);
        }
    }

    /// Clauses `repair.window`, `unopened.window`: whether the case lies in its window.
    fn windows(&self, request: Request, reasons: &mut Vec<Reason>) {
        let facts = &self.completed.facts;
        let Some(received) = &facts.received_on else { return };
        let from_feed = received.evidence.source == crate::domain::facts::Source::OrderFeed;
        let days = warranty::days_between(received.value, self.case.opened_on);
        if days < 0 {
            reasons.push(if from_feed { Reason::NotDelivered } else { Reason::Conflict });
            return;
        }
        match request {
            Request::Defect
                if self.case.opened_on > warranty::warranty_ends(received.value, self.held.warranty_months) =>
            {
                reasons.push(Reason::OutOfWarranty);
            }
            Request::ReturnUnused if days > i64::from(self.held.unopened_days) => {
                reasons.push(Reason::ReturnWindowPassed);
            }
            _ => {}
        }
    }

    /// Rules 5 to 8.
    fn complete_or_ask(&self, checklist: Checklist) -> Decision {
        let facts = &self.completed.facts;
        let missing = checklist.missing();
        if missing.is_empty() {
            let wants_pictures = checklist.items.iter().any(|(i, _)| matches!(i, Item::Photo | Item::PackagingPhoto));
            let looked_at = facts.usable_photos() > 0 || !facts.videos.is_empty() || facts.evidence_seen.is_some();
            return match checklist.track {
                Some(_) if wants_pictures && !looked_at => {
                    self.decision(Action::Staff, vec![Reason::EvidenceByLink], checklist)
                }
                Some(_) if facts.doubt.is_some() => self.decision(Action::Staff, vec![Reason::Doubt], checklist),
                Some(track) if self.held.approve.contains(&track) => {
                    self.decision(Action::Staff, vec![Reason::Approval], checklist)
                }
                Some(_) => self.decision(Action::IssueRma, Vec::new(), checklist),
                None => self.decision(Action::Staff, vec![Reason::Request], checklist),
            };
        }
        let ask = self.askable(&missing);
        if ask.is_empty() {
            return self.decision(Action::Staff, vec![Reason::NotAvailable], checklist);
        }
        if self.case.asks >= self.policy.asks {
            return self.decision(Action::Staff, vec![Reason::AskLimit], checklist);
        }
        self.decision(Action::Ask, Vec::new(), checklist)
    }

    /// The open items without those that the customer says can't be given.
    fn askable(&self, missing: &[Item]) -> Vec<Item> {
        let gone = |item: &Item| self.completed.facts.not_available.iter().any(|f| f.value == *item);
        missing.iter().copied().filter(|item| !gone(item)).collect()
    }

    fn decision(&self, action: Action, reasons: Vec<Reason>, checklist: Checklist) -> Decision {
        let ask = if action == Action::Ask { self.askable(&checklist.missing()) } else { Vec::new() };
        let track = if action == Action::IssueRma { checklist.track } else { None };
        let held = Some(self.held.clone());
        Decision { action, track, reasons, checklist, ask, terms: self.terms.to_owned(), held }
    }
}
