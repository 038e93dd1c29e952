//! The order feed or the catalogue tells more than before: a case that waits for its customer is decided anew, by its own
//! first day, as if its last letter came now. What is still open is not asked for a second time; the next letter does.

use super::{Impossible, Known, Turn};
use crate::domain::case::{Case, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::decision::Action;
use crate::domain::event::Event;
use crate::domain::warranty::Item;
use crate::pipeline::complete::{Completed, complete};
use crate::pipeline::compose::Step;
use crate::pipeline::gate;

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
        // Nothing is asked now, however often it was.
        let unasked = Case { asks: 0, ..self.course.case.clone() };
        let mut decision = self.decided_on(&unasked, &completed, &order, known);
        let kind = gate::of_feed(&mut decision, &self.course.case, known.replies_today, self.terms);
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
