//! A fact is put right, and the case decided anew at once. No letter goes to the customer but the one that warns: what
//! follows from the decision, a person does, for the facts are theirs now.

use super::{Impossible, Known, Turn};
use crate::domain::case::{Case, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::correction::Correction;
use crate::domain::decision::{Action, Decision};
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::reply::Kind;
use crate::pipeline::complete::{Completed, complete};
use crate::pipeline::compose::Step;
use crate::pipeline::decide::{Situation, decide};

impl Turn<'_> {
    pub(super) fn correct(&mut self, correction: &Correction, known: &Known) -> Result<(), Impossible> {
        self.add(Event::Corrected { correction: correction.clone() })?;
        self.decide_anew(known, true)
    }

    /// Decides on what is known now. `warns`: whoever was not told how to deal with a danger is.
    pub(super) fn decide_anew(&mut self, known: &Known, warns: bool) -> Result<(), Impossible> {
        let case = &self.course.case;
        if case.state.is_final() {
            return Ok(());
        }
        let order = known.order_of(case);
        let completed = complete(&case.facts, &self.terms.catalogue, &order);
        self.course.complete(&completed, &order, None, self.now).map_err(|e| Impossible(e.to_string()))?;
        let case = &self.course.case;
        // What is authorised stays authorised; a person sees what is known now.
        if case.state.is_in_house() || case.rma.is_some() {
            return Ok(());
        }
        let decision = self.decided_on(case, &completed, &order, known);
        let (danger, waits_for_customer) = (case.facts.safety.is_some(), decision.action == Action::Ask);
        self.add(Event::Decided { letter: None, decision })?;
        let case = &self.course.case;
        if danger && case.state != State::SafetyHold {
            let warned = case.warned;
            self.add(Event::SafetyHeld)?;
            return if warned || !warns { Ok(()) } else { self.write(Kind::Safety, &Step::default()) };
        }
        if case.attention.is_none() && !(waits_for_customer && case.state == State::AwaitingInfo) {
            self.add(Event::HandedToStaff)?;
        }
        Ok(())
    }
    /// What is to be done about a case by what is known of it, no letter being new.
    pub(super) fn decided_on(
        &self,
        case: &Case,
        completed: &Completed,
        order: &OrderAnswer,
        known: &Known,
    ) -> Decision {
        let held = self.terms.held(case);
        decide(&Situation {
            // That the case went to staff is no reason to go there: they are here, or it waits for its customer.
            before: None,
            case,
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
}
