//! The order feed or the catalogue tells more than before: a case that waits for its customer is decided anew, by its own
//! first day, as if its last letter came now. What is still open is not asked for a second time; the next letter does.

use super::{Impossible, Known, Turn};
use crate::domain::case::{Case, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::decision::{Action, Decision, Reason};
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::reply::Kind;
use crate::domain::warranty::Item;
use crate::pipeline::complete::{Completed, complete};
use crate::pipeline::compose::Step;
use crate::pipeline::decide::{Situation, decide};
use crate::pipeline::{hand_over, trace};

impl Turn<'_> {
    /// Gives whether there was anything to do; the second time there is not.
    pub(super) fn follow_feed(&mut self, known: &Known) -> Result<bool, Impossible> {
        let case = &self.course.case;
        let order = known.order_of(case);
        let completed = complete(&case.facts, &self.terms.catalogue, &order);
        if case.state != State::AwaitingInfo || case.attention.is_some() || !tells_more(case, &completed, &order) {
            return Ok(false);
        }
        self.course.complete(&completed, &order, None, self.now).map_err(|e| Impossible(e.to_string()))?;
        let mut decision = self.decided_by_feed(&completed, &order, known);
        let kind = self.feed_gate(&mut decision, known);
        self.add(Event::Decided { letter: None, decision: decision.clone() })?;
        match decision.action {
            Action::IssueRma => {
                let facts = &self.course.case.facts;
                let line = facts.order_number.clone().zip(facts.sku.clone()).zip(decision.track);
                let Some(((order_number, sku), track)) = line else {
                    return Err(Impossible("the decision names no order line".to_owned()));
                };
                self.issue(track, order_number.value, sku.value, &known.fresh_rma)?;
            }
            Action::Ask => {}
            Action::Staff | Action::Close | Action::Ignore => self.add(Event::HandedToStaff)?,
        }
        if let Some(kind) = kind {
            self.write_decided(kind, &decision, &Step::default())?;
        }
        Ok(true)
    }

    fn decided_by_feed(&self, completed: &Completed, order: &OrderAnswer, known: &Known) -> Decision {
        let case = &self.course.case;
        let held = self.terms.held(case);
        decide(&Situation {
            before: None,
            // Nothing is asked now, however often it was.
            case: &Case { asks: 0, ..case.clone() },
            letter: &Facts::default(),
            completed,
            order,
            language_supported: case.language.as_deref().is_none_or(|language| self.terms.supports(language)),
            rma_elsewhere: known.has_rma_elsewhere(case),
            policy: &self.terms.policy,
            held: &held,
            terms: &self.terms.version,
        })
    }

    /// Which letter goes out, if any. Turns the decision to staff where none may.
    fn feed_gate(&self, decision: &mut Decision, known: &Known) -> Option<Kind> {
        let case = &self.course.case;
        let kind = match decision.action {
            Action::Ask => return None,
            Action::IssueRma => Kind::Rma,
            Action::Staff | Action::Close | Action::Ignore => Kind::Acknowledgement,
        };
        let hindrance = if trace::is_apart(case) {
            Reason::UnknownThread
        } else if self.terms.is_of_the_desk(&case.customer.address) {
            Reason::NoReplyAddress
        } else if case.with_staff {
            // Whoever had it in hand goes on.
            Reason::FollowUp
        } else if known.replies_today >= self.terms.caps.per_sender {
            Reason::ReplyLimit
        } else if case.replies_out() as usize >= self.terms.caps.per_case {
            Reason::CaseLimit
        } else {
            return Some(kind).filter(|kind| *kind == Kind::Rma || !case.acknowledged);
        };
        hand_over(decision, hindrance);
        None
    }
}

/// Whether what was asked for is known now, or known otherwise. That a feed no longer knows an order tells nothing.
fn tells_more(case: &Case, completed: &Completed, order: &OrderAnswer) -> bool {
    let Completed { facts, bought_on, country, .. } = completed;
    let known = &case.facts;
    let differs = (&facts.sku, &facts.received_on) != (&known.sku, &known.received_on);
    match order {
        OrderAnswer::Unknown | OrderAnswer::Unavailable => false,
        OrderAnswer::NotAsked => {
            differs && facts.sku.is_some() >= known.sku.is_some() && facts.received_on == known.received_on
        }
        OrderAnswer::Lines(_) => {
            let open = case.decision.as_ref().map(|decision| decision.checklist.missing()).unwrap_or_default();
            differs || (bought_on, country) != (&case.bought_on, &case.country) || open.contains(&Item::OrderNumber)
        }
    }
}
