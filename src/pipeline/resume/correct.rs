//! A fact is put right, and the case decided anew at once. No letter goes to the customer but the one that warns: what
//! follows from the decision, a person does, for the facts are theirs now.

use super::{Impossible, Known, Turn};
use crate::domain::case::State;
use crate::domain::correction::Correction;
use crate::domain::decision::Action;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::reply::Kind;
use crate::pipeline::complete::complete;
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
        let held = self.terms.held(case);
        let decision = decide(&Situation {
            // That the case went to staff is no reason to go there: they are here.
            before: None,
            case,
            letter: &Facts::default(),
            completed: &completed,
            order: &order,
            language_supported: case.language.as_deref().is_none_or(|language| self.terms.supports(language)),
            rma_elsewhere: known.has_rma_elsewhere(case),
            policy: &self.terms.policy,
            held: &held,
            terms: &self.terms.version,
        });
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
}
