//! Letters of a case become a case of their own, with what they say, decided anew. The rest is what the other letters and
//! staff say, decided anew too. Nothing goes to the customer: what follows, a person does.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Impossible, Known, Opened, Turn};
use crate::domain::case::Case;
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::facts::{Facts, Request};
use crate::domain::ids::{CaseId, LetterId, MessageId};
use crate::pipeline::course::{Course, first_request};

/// What staff split off, and what it leaves.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The letters as they joined the case.
    taken: Vec<CaseEvent>,
    letters: Vec<LetterId>,
    messages: Vec<MessageId>,
    /// What answered them.
    replies: Vec<MessageId>,
    pub own: Facts,
    pub rest: Facts,
    rest_request: Option<Request>,
    /// Answering one of the letters the daemon issued the RMA that the case has.
    brought_rma: bool,
}

/// What the shell looked up for a split.
#[derive(Debug, Clone)]
pub struct Split {
    pub parts: Parts,
    pub fresh_case: CaseId,
    /// The day of the first of these letters at its writer's offset.
    pub opened_on: Date,
}

impl Parts {
    /// Divides a case by its events; `named` are letters by the beginnings of their ids.
    pub fn of(events: &[CaseEvent], named: &[String]) -> Result<Self, Impossible> {
        let moved = Event::moved(events);
        let own: Vec<&LetterId> = events.iter().filter_map(taken).filter(|id| !moved.contains(id)).collect();
        let mut letters = BTreeSet::new();
        for name in named {
            let mut fitting = own.iter().filter(|id| id.as_str().starts_with(name.as_str()));
            match (fitting.next(), fitting.next()) {
                (Some(id), None) => letters.insert((*id).clone()),
                (Some(_), Some(_)) => {
                    return Err(Impossible(format!("several letters begin with {name}: write more of it")));
                }
                (None, _) => {
                    return Err(Impossible(format!("{name} is no letter of this case; there are: {}", ids(&own))));
                }
            };
        }
        match own.first() {
            Some(first) if !letters.contains(*first) => {}
            _ => {
                let why = "the first letter is what the case was opened by and stays: split the others off";
                return Err(Impossible(why.to_owned()));
            }
        }
        let receipt =
            |event: &CaseEvent| matches!(&event.event, Event::ReceiptTaken { letter, .. } if letters.contains(letter));
        if events.iter().any(receipt) {
            let why = "one of them brought the receipt of return shipping, which stays with the RMA of this case";
            return Err(Impossible(why.to_owned()));
        }
        let parts = Self::divided(events, &letters, &moved);
        if parts.brought_rma {
            let why =
                "one of them brought about the RMA of this case, which stays here with its letter: withdraw it first";
            return Err(Impossible(why.to_owned()));
        }
        Ok(parts)
    }

    fn divided(events: &[CaseEvent], letters: &BTreeSet<LetterId>, moved: &BTreeSet<LetterId>) -> Self {
        let mut parts = Self {
            taken: Vec::new(),
            letters: Vec::new(),
            messages: Vec::new(),
            replies: Vec::new(),
            own: Facts::default(),
            rest: Facts::default(),
            rest_request: None,
            brought_rma: false,
        };
        let mut answers = false;
        for event in events {
            match &event.event {
                Event::LetterTaken { letter, message_id, facts, .. } if letters.contains(letter) => {
                    answers = true;
                    parts.taken.push(event.clone());
                    parts.letters.push(letter.clone());
                    parts.messages.extend(message_id.clone());
                    parts.own.merge(facts);
                }
                Event::LetterTaken { letter, facts, .. } => {
                    answers = false;
                    if !moved.contains(letter) {
                        parts.rest.merge(facts);
                        let said = facts.request.as_ref().map(|fact| fact.value);
                        parts.rest_request = said.filter(|said| *said != Request::Closing).or(parts.rest_request);
                    }
                }
                Event::Corrected { correction } => {
                    let by = if let Actor::Staff(name) = &event.by { name.as_str() } else { "" };
                    correction.apply(&mut parts.rest, by);
                    parts.rest_request = parts.rest.request.as_ref().map(|fact| fact.value).or(parts.rest_request);
                }
                Event::ReplyQueued { message_id, .. } | Event::DraftWritten { message_id, .. } if answers => {
                    parts.replies.push(message_id.clone());
                }
                // What staff issued, they issued for the case.
                Event::RmaIssued { .. } if event.by == Actor::Daemon => parts.brought_rma = answers,
                Event::Withdrawn | Event::Expired => {
                    parts.brought_rma = false;
                    answers = false;
                }
                _ => answers &= event.by == Actor::Customer || event.by == Actor::Daemon,
            }
        }
        parts
    }

    /// When the first of the letters came.
    pub fn first(&self) -> Option<(&LetterId, Timestamp)> {
        self.letters.first().zip(self.taken.first().map(|event| event.at))
    }
}

impl Turn<'_> {
    pub(super) fn split(&mut self, known: &Known) -> Result<(), Impossible> {
        let Some(Split { parts, fresh_case, opened_on }) = &known.split else {
            return Err(Impossible("letters are split off at the desk or from the shell, not by mail".to_owned()));
        };
        let before = self.course.case.clone();
        // What answers them is overtaken; a warning is not.
        let answers =
            |draft: &crate::domain::case::Draft| draft.kind.is_passing() && parts.replies.contains(&draft.message_id);
        let dropped = self.course.drop_drafts("its letter became a case of its own", self.now, answers);
        dropped.map_err(|e| Impossible(e.to_string()))?;
        self.add(Event::Split {
            into: fresh_case.clone(),
            letters: parts.letters.clone(),
            messages: parts.messages.clone(),
            replies: parts.replies.clone(),
            facts: Box::new(parts.rest.clone()),
            request: parts.rest_request,
        })?;
        self.decide_anew(known, false)?;
        let (course, tell_staff) = self.opened(&before, parts, fresh_case, *opened_on, known)?;
        self.tell_staff = self.tell_staff.take().or(tell_staff);
        self.opened = Some(Opened { case: course.case.id.clone(), events: course.events });
        Ok(())
    }

    /// The new case.
    fn opened(
        &self,
        before: &Case,
        parts: &Parts,
        id: &CaseId,
        opened_on: Date,
        known: &Known,
    ) -> Result<(Course, Option<String>), Impossible> {
        let illegal = |e: crate::domain::case::IllegalEvent| Impossible(e.to_string());
        let at = parts.first().map_or(self.now, |(_, at)| at);
        let opened = Event::Opened { case: id.clone(), customer: before.customer.clone(), opened_on };
        let opened = CaseEvent::customer(opened, at);
        let mut turn = Turn {
            course: Course { case: Case::apply(None, &opened).map_err(illegal)?, events: vec![opened] },
            by: self.by.clone(),
            why: self.why.clone(),
            terms: self.terms,
            now: self.now,
            reply: None,
            tell_staff: None,
            opened: None,
        };
        for event in &parts.taken {
            let mut event = event.clone();
            if let Event::LetterTaken { facts, .. } = &mut event.event
                && turn.course.case.request.is_none()
                && facts.request.is_none()
            {
                facts.request = first_request(facts);
            }
            turn.course.add(event).map_err(illegal)?;
        }
        turn.add(Event::SplitOff { case: before.id.clone() })?;
        turn.decide_anew(known, false)?;
        turn.course.schedule(self.terms, self.now).map_err(illegal)?;
        Ok((turn.course, turn.tell_staff))
    }
}

fn taken(event: &CaseEvent) -> Option<&LetterId> {
    match &event.event {
        Event::LetterTaken { letter, .. } => Some(letter),
        _ => None,
    }
}

fn ids(letters: &[&LetterId]) -> String {
    let short = |id: &&LetterId| id.as_str().chars().take(12).collect::<String>();
    letters.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::{Evidence, Fact, Source};
    use crate::domain::ids::{Address, OrderNumber};
    use crate::domain::letter::Person;
    use proptest::prelude::*;

    fn at(second: usize) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + second as i64).unwrap()
    }

    fn id(number: usize) -> LetterId {
        LetterId::from_digest(&[number as u8 + 1; 32])
    }

    /// The beginning of its id.
    fn short(number: usize) -> String {
        id(number).as_str().chars().take(12).collect()
    }

    /// A letter that gives an order number, tells of a problem, or says nothing.
    fn letter(number: usize, says: u8) -> CaseEvent {
        let evidence = || Evidence::new(Some(id(number)), Source::Text { start: 0, end: 3 }, "its", "test");
        let order_number = OrderNumber::new(&format!("KS{}", 10_000 + number)).unwrap();
        let facts = Facts {
            order_number: (says & 1 > 0).then(|| Fact { value: order_number, evidence: evidence() }),
            problem_what: (says & 2 > 0).then(evidence),
            request: (says & 4 > 0).then(|| Fact { value: Request::Defect, evidence: evidence() }),
            ..Facts::default()
        };
        let taken = Event::LetterTaken {
            letter: id(number),
            message_id: MessageId::new(&format!("{number}@example.net")).ok(),
            from: None,
            subject: String::new(),
            language: None,
            words: "its".into(),
            facts: Box::new(facts),
            defects: Vec::new(),
        };
        CaseEvent::customer(taken, at(number))
    }

    fn opened() -> CaseEvent {
        let customer = Person { name: None, address: Address::new("jo@example.net").unwrap() };
        let opened_on = jiff::civil::date(2026, 11, 23);
        CaseEvent::customer(Event::Opened { case: CaseId::derive(&id(0), 0), customer, opened_on }, at(0))
    }

    proptest! {
        #[test]
        fn what_is_split_off_and_what_is_left_are_as_if_they_had_always_been_apart(
            says in proptest::collection::vec(0u8..8, 2..8),
            picked in proptest::collection::vec(any::<bool>(), 8),
        ) {
            let letters: Vec<CaseEvent> = says.iter().enumerate().map(|(number, says)| letter(number, *says)).collect();
            let is_split = |number: usize| number > 0 && picked[number];
            let named: Vec<String> =
                (0..letters.len()).filter(|n| is_split(*n)).map(short).collect();
            let history = |of: &dyn Fn(usize) -> bool| -> Vec<CaseEvent> {
                let own = letters.iter().enumerate().filter(|(number, _)| of(*number)).map(|(_, event)| event.clone());
                std::iter::once(opened()).chain(own).collect()
            };
            let all = history(&|_| true);
            let parts = Parts::of(&all, &named).unwrap();
            let never = Case::replay(&history(&|number| !is_split(number))).unwrap().unwrap();
            let apart = Case::replay(&history(&is_split)).unwrap().unwrap();
            prop_assert_eq!(&parts.rest, &never.facts);
            prop_assert_eq!(parts.rest_request, never.request);
            prop_assert_eq!(&parts.own, &apart.facts);
            let split = Event::Split {
                into: CaseId::derive(&id(0), 1),
                letters: parts.letters.clone(),
                messages: parts.messages.clone(),
                replies: parts.replies.clone(),
                facts: Box::new(parts.rest.clone()),
                request: parts.rest_request,
            };
            let split = CaseEvent::new(split, Actor::Staff("kim".into()), at(99));
            let left = Case::apply(Case::replay(&all).unwrap(), &split).unwrap();
            prop_assert_eq!((left.letters, &left.facts, &left.thread), (never.letters, &never.facts, &never.thread));
            let by_daemon = CaseEvent::daemon(split.event.clone(), at(99));
            prop_assert!(Case::apply(Case::replay(&all).unwrap(), &by_daemon).is_err(), "only staff split a case");
            // Split once more, what went before is gone.
            let twice: Vec<CaseEvent> = all.iter().chain([&split]).cloned().collect();
            for name in &named {
                prop_assert!(Parts::of(&twice, std::slice::from_ref(name)).is_err());
            }
        }
    }

    #[test]
    fn a_letter_that_brought_about_the_rma_stays_with_it_until_it_is_withdrawn() {
        let day = jiff::civil::date(2026, 11, 23);
        let rma = crate::domain::case::Rma {
            number: (0..=u8::MAX)
                .find_map(|n| crate::domain::ids::RmaNumber::make("KR", day, [n, 1, 2, 3, 4]))
                .unwrap(),
            track: crate::domain::warranty::Track::Repair,
            order_number: OrderNumber::new("KS10001").unwrap(),
            sku: crate::domain::ids::Sku::new("KP-TKT4-BK").unwrap(),
            issued_on: day,
            valid_until: day,
            return_shipping: None,
        };
        let by_staff = CaseEvent::new(Event::RmaIssued { rma: rma.clone() }, Actor::Staff("kim".into()), at(3));
        let issued = CaseEvent::daemon(Event::RmaIssued { rma }, at(3));
        let withdrawn = CaseEvent::new(Event::Withdrawn, Actor::Staff("kim".into()), at(4));
        let told = |events: &[CaseEvent], number: usize| Parts::of(events, &[short(number)]).map_err(|e| e.0);
        let events = [opened(), letter(0, 1), letter(1, 1), letter(2, 2), issued, withdrawn];
        assert!(told(&events[..5], 2).unwrap_err().contains("withdraw it first"));
        assert!(told(&events[..5], 1).is_ok(), "it was asked about, no more");
        assert!(told(&events, 2).is_ok());
        assert!(told(&[&events[..4], &[by_staff]].concat(), 2).is_ok(), "what staff issued is of the case");
    }

    #[test]
    fn what_can_t_be_split_is_told() {
        let events = [opened(), letter(0, 1), letter(1, 1), letter(2, 2)];
        let refused = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            Parts::of(&events, &named).unwrap_err().0
        };
        assert!(refused(&[&short(0)]).contains("split the others off"));
        assert!(refused(&["ffffff"]).contains("there are: "));
        assert!(refused(&[""]).contains("several letters"));
    }
}
