//! What a letter does to its case, event by event: each is tried on the case at once, so that a proposal that breaks
//! the table of [`Case::apply`] is found before anything is committed.

use jiff::{Timestamp, ToSpan};

use super::complete::Completed;
use super::compose::{Occasion, Step};
use super::trace::Link;
use super::{Lookup, Reading, Terms, due};
use crate::domain::case::{Case, Draft, IllegalEvent, Rma, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::decision::{Action, Decision};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::{Evidence, Fact, Facts, Request};
use crate::domain::ids::OrderNumber;
use crate::domain::letter::{Letter, Person};
use crate::domain::policy::Payer;
use crate::domain::reply::{Kind, Reply};

/// The events proposed so far and the case as it stands after them.
pub struct Course {
    pub case: Case,
    pub events: Vec<CaseEvent>,
}

impl Course {
    /// Goes on with a case.
    pub fn of(case: &Case) -> Self {
        Self { case: case.clone(), events: Vec::new() }
    }

    /// Opens or reopens the case and lets the letter join it.
    pub fn begin(reading: &Reading, lookup: &Lookup, customer: &Person, now: Timestamp) -> Result<Self, IllegalEvent> {
        let mut course = match &lookup.link {
            Link::Known(case) => Self { case: case.as_ref().clone(), events: Vec::new() },
            _ => {
                let opened = Event::Opened {
                    case: lookup.fresh_case.clone(),
                    customer: customer.clone(),
                    opened_on: reading.arrived.date(),
                };
                let opened = CaseEvent::customer(opened, now);
                Self { case: Case::apply(None, &opened)?, events: vec![opened] }
            }
        };
        course.drop_drafts("the customer has written since", now, |draft| draft.kind.is_passing())?;
        let closing = reading.facts.request.as_ref().is_some_and(|r| r.value == Request::Closing);
        if matches!(course.case.state, State::Closed | State::Withdrawn | State::Expired) && !closing {
            course.add(CaseEvent::customer(Event::Reopened, now))?;
        }
        let mut facts = reading.facts.clone();
        facts.request = request(&course, reading);
        let taken = Event::LetterTaken {
            letter: reading.letter.id.clone(),
            message_id: reading.letter.message_id.clone(),
            from: reading.letter.from.clone(),
            subject: reading.letter.subject.clone(),
            language: reading.language.clone(),
            words: reading.words.text.clone(),
            facts: Box::new(facts),
            defects: reading.letter.defects.clone(),
        };
        course.add(CaseEvent::customer(taken, now))?;
        Ok(course)
    }

    /// Takes in what catalogue and feed make of it.
    ///
    /// `meant` is the order that an unknown number may be a slip of.
    pub fn complete(
        &mut self,
        completed: &Completed,
        order: &OrderAnswer,
        meant: Option<&OrderNumber>,
        now: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let Completed { facts, bought_on, country, .. } = completed;
        let known = &self.case;
        let (bought_on, country) = match order {
            OrderAnswer::Unavailable => (&known.bought_on, &known.country),
            _ => (bought_on, country),
        };
        if (&facts.sku, &facts.received_on) != (&known.facts.sku, &known.facts.received_on)
            || (bought_on, country) != (&known.bought_on, &known.country)
        {
            let completed = Event::Completed {
                sku: facts.sku.clone(),
                received_on: facts.received_on.clone(),
                bought_on: *bought_on,
                country: country.clone(),
            };
            self.add(CaseEvent::daemon(completed, now))?;
        }
        if let (OrderAnswer::Unknown, Some(number)) = (order, &self.case.facts.order_number)
            && self.case.order_not_found.as_ref() != Some(&number.value)
        {
            let (order_number, meant) = (number.value.clone(), meant.cloned());
            self.add(CaseEvent::daemon(Event::OrderNotFound { order_number, meant }, now))?;
        }
        Ok(())
    }

    /// The events of the decision, up to the letter that tells the customer.
    pub fn follow(
        &mut self,
        decision: &Decision,
        reading: &Reading,
        lookup: &Lookup,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<(), IllegalEvent> {
        let decided = Event::Decided { letter: Some(reading.letter.id.clone()), decision: decision.clone() };
        self.add(CaseEvent::daemon(decided, now))?;
        let paid_back = self.case.rma.as_ref().is_some_and(|rma| rma.payer() == Payer::CustomerReimbursed);
        if let Some(outlay) = reading.facts.outlay.clone().filter(|_| paid_back) {
            let taken = Event::ReceiptTaken { letter: reading.letter.id.clone(), outlay };
            self.add(CaseEvent::customer(taken, now))?;
        }
        match decision.action {
            Action::IssueRma => {
                let facts = &self.case.facts;
                let known = facts.order_number.clone().zip(facts.sku.clone()).zip(decision.track);
                if let Some(((order_number, sku), track)) = known {
                    let issued_on = reading.arrived.date();
                    let days = i64::from(terms.held(&self.case).rma_valid_days).days();
                    let rma = Rma {
                        number: lookup.fresh_rma.clone(),
                        track,
                        order_number: order_number.value,
                        sku: sku.value,
                        issued_on,
                        valid_until: issued_on.saturating_add(days),
                        return_shipping: Some(terms.policy.return_shipping.of(track)),
                    };
                    self.add(CaseEvent::daemon(Event::RmaIssued { rma }, now))?;
                }
            }
            // A danger that a person has let go holds the case again only if it is reported again.
            Action::Staff if reading.facts.safety.is_some() && self.case.state != State::SafetyHold => {
                self.add(CaseEvent::daemon(Event::SafetyHeld, now))?;
            }
            Action::Staff if self.case.attention.is_none() => {
                self.add(CaseEvent::daemon(Event::HandedToStaff, now))?;
            }
            Action::Close if !self.case.state.is_final() && !self.case.state.is_in_house() => {
                self.add(CaseEvent::customer(Event::Closed, now))?;
            }
            Action::Staff | Action::Close | Action::Ask | Action::Ignore => {}
        }
        Ok(())
    }

    /// Writes the reply and enters it.
    pub fn reply(
        &mut self,
        kind: Kind,
        decision: &Decision,
        reading: &Reading,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Reply, String> {
        let letter = Some((&reading.letter, &reading.facts));
        let reply = self.write(kind, decision, letter, &Step::default(), terms, now)?;
        if kind == Kind::Ask {
            let asked = Event::Asked { items: decision.ask.clone() };
            self.add(CaseEvent::daemon(asked, now)).map_err(|e| e.to_string())?;
        }
        Ok(reply)
    }

    /// Writes a letter, in answer to `letter` or to none, and enters it.
    pub fn write(
        &mut self,
        kind: Kind,
        decision: &Decision,
        letter: Option<(&Letter, &Facts)>,
        step: &Step,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Reply, String> {
        let occasion = Occasion { kind, case: &self.case, decision, letter, step, at: now };
        let reply = terms
            .letters
            .reply(&occasion, &terms.frame, &terms.catalogue, &terms.lexicons)
            .map_err(|e| e.to_string())?;
        let Reply { number, message_id, subject, text, .. } = reply.clone();
        let queued = match terms.sending.draft(kind, now) {
            Some(until) => Event::DraftWritten { number, kind, message_id, subject, text, until },
            None => Event::ReplyQueued { number, kind, message_id, subject, text },
        };
        self.drop_drafts("a newer letter takes its place", now, |draft| kind.supersedes(draft.kind))
            .and_then(|()| self.add(CaseEvent::daemon(queued, now)))
            .map_err(|e| e.to_string())?;
        Ok(reply)
    }

    /// Drops the drafts that are overtaken.
    pub fn drop_drafts(
        &mut self,
        why: &str,
        now: Timestamp,
        is_overtaken: impl Fn(&Draft) -> bool,
    ) -> Result<(), IllegalEvent> {
        let overtaken: Vec<Draft> = self.case.drafts.iter().filter(|draft| is_overtaken(draft)).cloned().collect();
        for Draft { message_id, .. } in overtaken {
            self.add(CaseEvent::daemon(Event::DraftDropped { message_id }, now).because(Some(why.to_owned())))?;
        }
        Ok(())
    }

    /// Notes what the clock does next, if that has changed.
    pub fn schedule(&mut self, terms: &Terms, now: Timestamp) -> Result<(), IllegalEvent> {
        let due = due::due(&self.case, &terms.deadlines);
        if due == self.case.due {
            return Ok(());
        }
        self.add(CaseEvent::daemon(Event::Scheduled { due }, now))
    }

    pub fn add(&mut self, event: CaseEvent) -> Result<(), IllegalEvent> {
        self.case = Case::apply(Some(self.case.clone()), &event)?;
        self.events.push(event);
        Ok(())
    }
}

/// What the letter wants of the case: for a follow-up that brings items, or asks where to find them, what the case is
/// about already; for a first letter that only brings facts, a defect.
fn request(course: &Course, reading: &Reading) -> Option<Fact<Request>> {
    let facts = &reading.facts;
    let said = facts.request.clone();
    let Some(known) = course.case.request else {
        return said.or_else(|| first_request(facts));
    };
    let keeps = match said.as_ref().map(|f| f.value)? {
        Request::Closing | Request::Defect => false,
        Request::ReturnUnused | Request::ReturnOpened => known == Request::Defect && facts.unopened.is_none(),
        _ => brings_items(facts) || !facts.where_to_find.is_empty() || !facts.not_available.is_empty(),
    };
    said.filter(|_| !keeps)
}

/// What a first letter wants that does not say it.
pub fn first_request(facts: &Facts) -> Option<Fact<Request>> {
    let evidence = brings_items(facts).then(|| evidence_of_any(facts)).flatten();
    evidence.map(|evidence| Fact { value: Request::Defect, evidence })
}

fn brings_items(facts: &Facts) -> bool {
    let fresh = |evidence: Option<&Evidence>| evidence.is_some_and(|e| e.source.is_fresh());
    fresh(facts.order_number.as_ref().map(|f| &f.evidence))
        || fresh(facts.sku.as_ref().map(|f| &f.evidence))
        || fresh(facts.item_code.as_ref().map(|f| &f.evidence))
        || fresh(facts.received_on.as_ref().map(|f| &f.evidence))
        || fresh(facts.problem_how.as_ref())
        || fresh(facts.steps_taken.as_ref())
        || !facts.photos.is_empty()
        || !facts.videos.is_empty()
        || !facts.links.is_empty()
}

fn evidence_of_any(facts: &Facts) -> Option<Evidence> {
    let order = facts.order_number.as_ref().map(|f| f.evidence.clone());
    let code = facts.item_code.as_ref().map(|f| f.evidence.clone());
    let sku = facts.sku.as_ref().map(|f| f.evidence.clone());
    order.or(code).or(sku).or_else(|| facts.packaging_shown.clone())
}
