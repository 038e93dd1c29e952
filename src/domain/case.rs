//! A case: the fold of its events. [`Case::apply`] is the one table by which a case changes.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::decision::{Class, Decision};
use super::facts::{Fact, Facts, Request};
use super::ids::{CaseId, LetterId, MessageId, OrderNumber, RmaNumber, Sku};
use super::letter::{Defect, Person};
use super::reply::Kind;
use super::warranty::{Item, Track};

/// Where a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Opened; nothing decided yet.
    New,
    /// The customer was asked for something.
    AwaitingInfo,
    /// A person has to look at it; letters of the case are no longer answered by the program.
    WithStaff,
    /// A return is authorised.
    RmaIssued,
    Closed,
}

/// A return authorisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rma {
    pub number: RmaNumber,
    pub track: Track,
    pub order_number: OrderNumber,
    pub sku: Sku,
    pub issued_on: Date,
    /// The last day on which the parcel may be posted.
    pub valid_until: Date,
}

/// Something that happened to a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CaseEvent {
    /// The first event of every case. `opened_on` is C of the policy: the day of the first letter at its writer's offset.
    Opened {
        case: CaseId,
        customer: Person,
        at: Timestamp,
        opened_on: Date,
    },
    /// A customer's letter joined the case, with what it alone says.
    LetterTaken {
        letter: LetterId,
        message_id: Option<MessageId>,
        from: Option<Person>,
        subject: String,
        at: Timestamp,
        language: Option<String>,
        /// The words written now, without quotes and signature.
        words: String,
        facts: Box<Facts>,
        defects: Vec<Defect>,
    },
    /// A letter that belongs to the case but changes nothing: a bounce, an auto-reply, a stranger's letter.
    LetterNoted {
        letter: LetterId,
        message_id: Option<MessageId>,
        from: Option<Person>,
        subject: String,
        at: Timestamp,
        class: Class,
    },
    /// What the catalogue and the order feed make of product and day of receipt.
    Completed {
        sku: Option<Fact<Sku>>,
        received_on: Option<Fact<Date>>,
    },
    Decided {
        letter: LetterId,
        decision: Decision,
        at: Timestamp,
    },
    /// An order number that the feed does not know was given.
    OrderNotFound {
        order_number: OrderNumber,
        at: Timestamp,
    },
    /// The customer was asked for these items.
    Asked {
        items: Vec<Item>,
        at: Timestamp,
    },
    HandedToStaff {
        at: Timestamp,
    },
    RmaIssued {
        rma: Rma,
        at: Timestamp,
    },
    Closed {
        at: Timestamp,
    },
    Reopened {
        at: Timestamp,
    },
    /// A reply was written and waits in the outbox.
    ReplyQueued {
        number: u32,
        kind: Kind,
        message_id: MessageId,
        subject: String,
        text: String,
        at: Timestamp,
    },
    /// The next mail server has taken the reply over.
    ReplySent {
        message_id: MessageId,
        at: Timestamp,
    },
    /// The reply can't be delivered; a person has to look.
    ReplyRefused {
        message_id: MessageId,
        why: String,
        at: Timestamp,
    },
}

/// An event that the state of the case does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllegalEvent {
    pub state: Option<State>,
    pub event: &'static str,
}

impl fmt::Display for IllegalEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.state {
            Some(state) => write!(f, "event {} is not legal in state {}", self.event, state.code()),
            None => write!(f, "event {} cannot open a case", self.event),
        }
    }
}

impl std::error::Error for IllegalEvent {}

/// A case as it stands after its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub id: CaseId,
    pub state: State,
    /// Who opened the case. Letters of the case go to this address only.
    pub customer: Person,
    pub opened_at: Timestamp,
    pub opened_on: Date,
    pub changed_at: Timestamp,
    /// The language of the customer's latest letter that has one.
    pub language: Option<String>,
    pub facts: Facts,
    /// What the case is about.
    pub request: Option<Request>,
    pub letters: u32,
    /// Replies written so far.
    pub replies: u32,
    /// Letters that asked.
    pub asks: u32,
    /// Whether the customer was told that a person looks at it.
    pub acknowledged: bool,
    /// Set once the case went to staff, and kept when it is closed: reopening brings it back there.
    pub with_staff: bool,
    pub rma: Option<Rma>,
    /// The latest order number that the feed did not know.
    pub order_not_found: Option<OrderNumber>,
    pub decision: Option<Decision>,
    /// Subject of the first letter.
    pub subject: String,
    /// Message-IDs of the letters and replies of the case, oldest first; the tail of a reply's References.
    pub thread: Vec<MessageId>,
    /// The number of events applied.
    pub version: u64,
}

impl Case {
    /// Folds `events` into a case; the first must be [`CaseEvent::Opened`].
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a CaseEvent>) -> Result<Option<Self>, IllegalEvent> {
        let mut case = None;
        for event in events {
            case = Some(Self::apply(case, event)?);
        }
        Ok(case)
    }

    /// The one table of state changes: which event is legal in which state, and what it does.
    pub fn apply(case: Option<Self>, event: &CaseEvent) -> Result<Self, IllegalEvent> {
        let illegal = |state| IllegalEvent { state, event: event.name() };
        let Some(mut case) = case else {
            return match event {
                CaseEvent::Opened { case, customer, at, opened_on } => Ok(Self::open(case, customer, *at, *opened_on)),
                _ => Err(illegal(None)),
            };
        };
        match (case.state, event) {
            (state, CaseEvent::Opened { .. }) => return Err(illegal(Some(state))),
            (_, CaseEvent::LetterTaken { message_id, subject, language, facts, at, .. }) => {
                case.letters += 1;
                if case.letters == 1 {
                    case.subject.clone_from(subject);
                }
                case.language = language.clone().or(case.language);
                case.facts.merge(facts);
                if let Some(request) = &facts.request
                    && request.value != Request::Closing
                {
                    case.request = Some(request.value);
                }
                case.remember(message_id.as_ref());
                case.changed_at = *at;
            }
            (_, CaseEvent::LetterNoted { at, .. }) => {
                case.letters += 1;
                case.changed_at = *at;
            }
            (_, CaseEvent::Completed { sku, received_on }) => {
                case.facts.sku.clone_from(sku);
                case.facts.received_on.clone_from(received_on);
            }
            (_, CaseEvent::Decided { decision, .. }) => case.decision = Some(decision.clone()),
            (_, CaseEvent::OrderNotFound { order_number, .. }) => case.order_not_found = Some(order_number.clone()),
            (State::New | State::AwaitingInfo, CaseEvent::Asked { .. }) => {
                case.state = State::AwaitingInfo;
                case.asks += 1;
            }
            (
                State::New | State::AwaitingInfo | State::WithStaff | State::RmaIssued,
                CaseEvent::HandedToStaff { .. },
            ) => {
                case.state = State::WithStaff;
                case.with_staff = true;
            }
            (State::New | State::AwaitingInfo, CaseEvent::RmaIssued { rma, .. }) if case.rma.is_none() => {
                case.state = State::RmaIssued;
                case.rma = Some(rma.clone());
            }
            (State::Closed, CaseEvent::Closed { .. }) => return Err(illegal(Some(State::Closed))),
            (_, CaseEvent::Closed { .. }) => case.state = State::Closed,
            (State::Closed, CaseEvent::Reopened { .. }) => {
                case.state = match (&case.rma, case.with_staff) {
                    (_, true) => State::WithStaff,
                    (Some(_), false) => State::RmaIssued,
                    (None, false) if case.asks > 0 => State::AwaitingInfo,
                    (None, false) => State::New,
                };
            }
            (_, CaseEvent::ReplyQueued { number, kind, message_id, at, .. }) if *number == case.replies + 1 => {
                case.replies = *number;
                case.acknowledged |= *kind == Kind::Acknowledgement;
                case.remember(Some(message_id));
                case.changed_at = *at;
            }
            (_, CaseEvent::ReplySent { .. }) => {}
            (_, CaseEvent::ReplyRefused { at, .. }) => {
                case.with_staff = true;
                if case.state != State::Closed {
                    case.state = State::WithStaff;
                }
                case.changed_at = *at;
            }
            (state, _) => return Err(illegal(Some(state))),
        }
        case.version += 1;
        Ok(case)
    }

    fn open(id: &CaseId, customer: &Person, at: Timestamp, opened_on: Date) -> Self {
        Self {
            id: id.clone(),
            state: State::New,
            customer: customer.clone(),
            opened_at: at,
            opened_on,
            changed_at: at,
            language: None,
            facts: Facts::default(),
            request: None,
            letters: 0,
            replies: 0,
            asks: 0,
            acknowledged: false,
            with_staff: false,
            rma: None,
            order_not_found: None,
            decision: None,
            subject: String::new(),
            thread: Vec::new(),
            version: 1,
        }
    }

    fn remember(&mut self, id: Option<&MessageId>) {
        // Enough for any mail program to thread by; RFC 5322 sets no bound, header size does.
        const KEPT: usize = 20;
        if let Some(id) = id {
            self.thread.push(id.clone());
            if self.thread.len() > KEPT {
                self.thread.remove(1);
            }
        }
    }
}

impl CaseEvent {
    /// The event's name, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::LetterTaken { .. } => "letter_taken",
            Self::LetterNoted { .. } => "letter_noted",
            Self::Completed { .. } => "completed",
            Self::Decided { .. } => "decided",
            Self::OrderNotFound { .. } => "order_not_found",
            Self::Asked { .. } => "asked",
            Self::HandedToStaff { .. } => "handed_to_staff",
            Self::RmaIssued { .. } => "rma_issued",
            Self::Closed { .. } => "closed",
            Self::Reopened { .. } => "reopened",
            Self::ReplyQueued { .. } => "reply_queued",
            Self::ReplySent { .. } => "reply_sent",
            Self::ReplyRefused { .. } => "reply_refused",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::decision::Action;
    use crate::domain::ids::Address;
    use crate::domain::warranty::Checklist;
    use jiff::civil::date;
    use proptest::prelude::*;

    fn letter() -> LetterId {
        LetterId::from_digest(&[1; 32])
    }

    fn opened() -> CaseEvent {
        CaseEvent::Opened {
            case: CaseId::derive(&letter(), 0),
            customer: Person { name: None, address: Address::new("jo@example.net").unwrap() },
            at: Timestamp::UNIX_EPOCH,
            opened_on: date(2026, 11, 20),
        }
    }

    fn rma() -> CaseEvent {
        let number = (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 20), [n, 1, 2, 3, 4])).unwrap();
        let rma = Rma {
            number,
            track: Track::Repair,
            order_number: OrderNumber::new("KS20001").unwrap(),
            sku: Sku::new("RX-1").unwrap(),
            issued_on: date(2026, 11, 20),
            valid_until: date(2026, 12, 5),
        };
        CaseEvent::RmaIssued { rma, at: Timestamp::UNIX_EPOCH }
    }

    fn events() -> impl Strategy<Value = CaseEvent> {
        let at = Timestamp::UNIX_EPOCH;
        let decision = Decision {
            action: Action::Ask,
            track: None,
            reasons: Vec::new(),
            checklist: Checklist::default(),
            ask: Vec::new(),
            terms: String::new(),
        };
        let id = |n: u32| MessageId::new(&format!("{n}@example.com")).unwrap();
        prop_oneof![
            Just(opened()),
            Just(rma()),
            Just(CaseEvent::Asked { items: vec![Item::Photo], at }),
            Just(CaseEvent::HandedToStaff { at }),
            Just(CaseEvent::Closed { at }),
            Just(CaseEvent::Reopened { at }),
            Just(CaseEvent::Decided { letter: letter(), decision, at }),
            (1u32..40).prop_map(move |number| CaseEvent::ReplyQueued {
                number,
                kind: Kind::Ask,
                message_id: id(number),
                subject: String::new(),
                text: String::new(),
                at,
            }),
            (1u32..40).prop_map(move |n| CaseEvent::ReplySent { message_id: id(n), at }),
            (1u32..40).prop_map(move |n| CaseEvent::ReplyRefused { message_id: id(n), why: String::new(), at }),
        ]
    }

    proptest! {
        #[test]
        fn no_order_of_events_breaks_what_always_holds(events in proptest::collection::vec(events(), 0..60)) {
            let mut case = Case::apply(None, &opened()).unwrap();
            let mut legal = vec![opened()];
            for event in events {
                let Ok(next) = Case::apply(Some(case.clone()), &event) else { continue };
                prop_assert_eq!(next.version, case.version + 1);
                prop_assert!(next.rma.is_some() || case.rma.is_none(), "an RMA is never taken back");
                prop_assert!(case.rma.is_none() || next.rma == case.rma, "nor replaced");
                prop_assert!(next.with_staff || !case.with_staff, "with staff stays with staff");
                prop_assert!(next.replies >= case.replies && next.asks >= case.asks);
                prop_assert!(next.state != State::WithStaff || next.with_staff);
                prop_assert!(next.state != State::RmaIssued || next.rma.is_some());
                prop_assert!(next.thread.len() <= 20);
                legal.push(event);
                case = next;
            }
            prop_assert_eq!(Case::replay(&legal).unwrap(), Some(case), "a case is the fold of its events");
        }
    }

    #[test]
    fn only_opening_begins_a_case_and_only_once() {
        assert!(Case::apply(None, &CaseEvent::Closed { at: Timestamp::UNIX_EPOCH }).is_err());
        let case = Case::apply(None, &opened()).unwrap();
        assert!(Case::apply(Some(case), &opened()).is_err());
    }

    #[test]
    fn a_case_with_staff_or_closed_gets_no_rma() {
        for event in
            [CaseEvent::HandedToStaff { at: Timestamp::UNIX_EPOCH }, CaseEvent::Closed { at: Timestamp::UNIX_EPOCH }]
        {
            let case = Case::replay(&[opened(), event]).unwrap();
            assert!(Case::apply(case, &rma()).is_err());
        }
    }
}
