//! A case: the fold of its events. [`Case::apply`] is the one table by which a case changes.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::decision::Decision;
use super::event::{Actor, CaseEvent, Event, Timer};
use super::facts::{Facts, Request};
use super::ids::{CaseId, Country, MessageId, OrderNumber, RmaNumber, Sku};
use super::letter::Person;
use super::policy::{Payer, Purchase, ReturnShipping};
use super::reply::Kind;
use super::returns::{Arrival, Finding, Outlay, Remedy};
pub use super::state::State;
use super::warranty::Track;

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
    /// Who pays for the way to us, as promised; of an RMA that does not say, see [`Rma::payer`].
    #[serde(default)]
    pub return_shipping: Option<Payer>,
}

impl Rma {
    /// Who pays for the way to us.
    pub fn payer(&self) -> Payer {
        self.return_shipping.unwrap_or_else(|| ReturnShipping::default().of(self.track))
    }
}

/// What the clock does next, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    pub at: Timestamp,
    pub timer: Timer,
}

/// A letter that is written and held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub message_id: MessageId,
    pub kind: Kind,
    pub since: Timestamp,
    /// When it goes out by itself; `None`: when a person says so.
    pub until: Option<Timestamp>,
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

/// A case as it stands after its events. What may be missing came after format 1 of the store, whose cases are made anew
/// from their events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    pub id: CaseId,
    pub state: State,
    /// Since when it stands there.
    #[serde(default)]
    pub since: Timestamp,
    /// Since when a person has to look at it; `None`: nobody has to.
    #[serde(default)]
    pub attention: Option<Timestamp>,
    /// Who opened the case. Letters of the case go to this address only.
    pub customer: Person,
    pub opened_at: Timestamp,
    pub opened_on: Date,
    pub changed_at: Timestamp,
    /// The language of the customer's latest letter that has one.
    pub language: Option<String>,
    pub facts: Facts,
    /// The day of purchase and the country it went to, as the order feed tells them.
    #[serde(default)]
    pub bought_on: Option<Date>,
    #[serde(default)]
    pub country: Option<Country>,
    /// What the case is about.
    pub request: Option<Request>,
    pub letters: u32,
    /// Replies written so far.
    pub replies: u32,
    /// Those of them that are drafts, and how many were dropped as such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drafts: Vec<Draft>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u32,
    /// Letters that asked.
    pub asks: u32,
    /// When the customer was last asked.
    #[serde(default)]
    pub asked_at: Option<Timestamp>,
    /// Reminders to the customer since then, and when the last one went.
    #[serde(default)]
    pub reminders: u32,
    #[serde(default)]
    pub reminded_at: Option<Timestamp>,
    /// The customer was reminded that the RMA runs out.
    #[serde(default)]
    pub rma_reminded: bool,
    /// When staff were last reminded of what waits on them, or did something.
    #[serde(default)]
    pub staff_reminded_at: Option<Timestamp>,
    /// Whether the customer was told that a person looks at it.
    pub acknowledged: bool,
    /// Whether the customer was told how to deal with the danger.
    #[serde(default)]
    pub warned: bool,
    /// Which of the staff looks after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_to: Option<String>,
    /// Until when staff need not look at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snoozed_until: Option<Timestamp>,
    /// Set once the case went to staff, and kept when it is closed: reopening brings it back there.
    pub with_staff: bool,
    pub rma: Option<Rma>,
    #[serde(default)]
    pub arrival: Option<Arrival>,
    #[serde(default)]
    pub finding: Option<Finding>,
    #[serde(default)]
    pub remedy: Option<Remedy>,
    /// Receipts of return shipping.
    #[serde(default)]
    pub outlays: Vec<Outlay>,
    #[serde(default)]
    pub reimbursed: bool,
    /// The latest order number that the feed did not know.
    pub order_not_found: Option<OrderNumber>,
    /// The order of the customer's own whose number has one slip less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_meant: Option<OrderNumber>,
    pub decision: Option<Decision>,
    /// Subject of the first letter.
    pub subject: String,
    /// Message-IDs of the letters and replies of the case, oldest first; the tail of a reply's References.
    pub thread: Vec<MessageId>,
    #[serde(default)]
    pub due: Option<Due>,
    #[serde(default)]
    pub merged_into: Option<CaseId>,
    /// When what could tell who the customer is was taken out; `customer` is a pseudonym since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased: Option<Timestamp>,
    /// The number of events applied.
    pub version: u64,
}

impl Case {
    /// Folds `events` into a case; the first must be [`Event::Opened`].
    pub fn replay<'a>(events: impl IntoIterator<Item = &'a CaseEvent>) -> Result<Option<Self>, IllegalEvent> {
        let mut case = None;
        for event in events {
            case = Some(Self::apply(case, event)?);
        }
        Ok(case)
    }

    /// What an event does to a case, if it is legal in its state.
    pub fn apply(case: Option<Self>, event: &CaseEvent) -> Result<Self, IllegalEvent> {
        let CaseEvent { event, at, by, .. } = event;
        let illegal = |state| IllegalEvent { state, event: event.name() };
        let Some(mut case) = case else {
            return match event {
                Event::Opened { case, customer, opened_on } => Ok(Self::open(case, customer, *at, *opened_on)),
                _ => Err(illegal(None)),
            };
        };
        let by_staff = matches!(by, Actor::Staff(_));
        let next = match event {
            Event::Reopened => case.reopened(),
            _ => case.state.after(event, by_staff),
        };
        let next = next.filter(|_| case.has_room_for(event)).ok_or_else(|| illegal(Some(case.state)))?;
        case.take(event, by, *at);
        case.settle(event, by_staff, next, *at);
        case.version += 1;
        Ok(case)
    }

    /// Replies that are sent, or go out by themselves: those that caps count.
    pub fn replies_out(&self) -> u32 {
        let held = self.drafts.iter().filter(|draft| draft.until.is_none()).count();
        self.replies.saturating_sub(self.dropped).saturating_sub(held.try_into().unwrap_or(u32::MAX))
    }

    /// The draft that waits longest for a person.
    pub fn held(&self) -> Option<&Draft> {
        self.drafts.iter().find(|draft| draft.until.is_none())
    }

    /// What exceptions of the policy look at.
    pub fn purchase(&self) -> Purchase<'_> {
        Purchase {
            sku: self.facts.sku.as_ref().map(|f| &f.value),
            order_number: self.facts.order_number.as_ref().map(|f| &f.value),
            bought_on: self.bought_on,
            received_on: self.facts.received_on.as_ref().map(|f| f.value),
        }
    }

    /// Where a case that was over goes on.
    fn reopened(&self) -> Option<State> {
        if !matches!(self.state, State::Closed | State::Withdrawn | State::Expired) {
            return None;
        }
        Some(match (&self.rma, self.with_staff) {
            // Its parcel may still come.
            (Some(_), _) if self.arrival.is_none() => State::RmaIssued,
            (Some(_), _) | (None, true) => State::WithStaff,
            (None, false) if self.asks > 0 => State::AwaitingInfo,
            (None, false) => State::New,
        })
    }

    /// Whether what the case knows allows the event, its state apart.
    fn has_room_for(&self, event: &Event) -> bool {
        match event {
            // There is nobody left to whom anything could happen.
            _ if self.erased.is_some() => false,
            Event::RmaIssued { .. } => self.rma.is_none(),
            Event::RmaExtended { .. } | Event::Posted { .. } => self.rma.is_some(),
            Event::Merged { into } => *into != self.id,
            // One has to be left.
            Event::Split { into, letters, .. } => *into != self.id && letters.len() < self.letters as usize,
            Event::ReplyQueued { number, .. } | Event::DraftWritten { number, .. } => *number == self.replies + 1,
            Event::DraftReleased { message_id } | Event::DraftDropped { message_id } => {
                self.drafts.iter().any(|draft| draft.message_id == *message_id)
            }
            _ => true,
        }
    }

    /// What the case learns from an event.
    fn take(&mut self, event: &Event, by: &Actor, at: Timestamp) {
        match event {
            Event::LetterTaken { message_id, subject, language, facts, .. } => {
                self.letters += 1;
                if self.letters == 1 {
                    self.subject.clone_from(subject);
                }
                self.language = language.clone().or(self.language.take());
                self.facts.merge(facts);
                if let Some(request) = &facts.request
                    && request.value != Request::Closing
                {
                    self.request = Some(request.value);
                }
                self.remember(message_id.as_ref());
            }
            Event::LetterNoted { .. } => self.letters += 1,
            Event::Completed { sku, received_on, bought_on, country } => {
                self.bought_on = *bought_on;
                self.country.clone_from(country);
                self.facts.sku.clone_from(sku);
                self.facts.received_on.clone_from(received_on);
            }
            Event::Decided { decision, .. } => self.decision = Some(decision.clone()),
            Event::OrderNotFound { order_number, meant } => {
                self.order_not_found = Some(order_number.clone());
                self.order_meant.clone_from(meant);
            }
            Event::Asked { items } => {
                self.asks += 1;
                if let Some(decision) = &mut self.decision {
                    decision.ask.clone_from(items);
                }
                self.asked_at = Some(at);
                self.reminders = 0;
                self.reminded_at = None;
            }
            Event::RmaIssued { rma } => self.rma = Some(rma.clone()),
            Event::RmaExtended { valid_until } => {
                self.rma_reminded = false;
                if let Some(rma) = &mut self.rma {
                    rma.valid_until = *valid_until;
                }
            }
            Event::Arrived { arrival } => self.arrival = Some(*arrival),
            Event::Inspected { finding } => self.finding = Some(*finding),
            Event::Chosen { remedy } => self.remedy = Some(*remedy),
            Event::ReceiptTaken { outlay, .. } if self.outlays.len() < MAX_OUTLAYS => {
                self.outlays.push(outlay.clone());
            }
            Event::Reimbursed { .. } => self.reimbursed = true,
            Event::Corrected { correction } => {
                let name = if let Actor::Staff(name) = by { name.as_str() } else { "" };
                correction.apply(&mut self.facts, name);
                self.request = self.facts.request.as_ref().map(|f| f.value).or(self.request);
            }
            Event::Assigned { to } => self.assigned_to.clone_from(to),
            Event::Snoozed { until } => self.snoozed_until = Some(*until),
            Event::Reminded { of: Timer::Wake } => self.snoozed_until = None,
            Event::Merged { into } => self.merged_into = Some(into.clone()),
            Event::Split { letters, messages, replies, facts, request, .. } => {
                self.letters = self.letters.saturating_sub(letters.len().try_into().unwrap_or(u32::MAX));
                self.facts = facts.as_ref().clone();
                self.request = *request;
                self.thread.retain(|id| !messages.contains(id) && !replies.contains(id));
            }
            Event::Erased => self.erased = Some(at),
            Event::Reminded { of: Timer::RemindItems } => {
                self.reminders += 1;
                self.reminded_at = Some(at);
            }
            Event::Reminded { of: Timer::RemindRma } => self.rma_reminded = true,
            Event::Reminded { .. } => self.staff_reminded_at = Some(at),
            Event::Scheduled { due } => self.due = *due,
            Event::ReplyQueued { number, kind, message_id, .. } => {
                self.replies = *number;
                self.tell_customer(*kind, message_id);
            }
            Event::DraftWritten { number, kind, message_id, until, .. } => {
                self.replies = *number;
                let draft = Draft { message_id: message_id.clone(), kind: *kind, since: at, until: *until };
                self.drafts.push(draft);
            }
            Event::DraftReleased { message_id } => {
                let Some(draft) = self.take_draft(message_id) else { return };
                self.tell_customer(draft.kind, message_id);
                // What the customer is given so many days for begins now.
                match draft.kind {
                    Kind::Ask => self.asked_at = Some(at),
                    Kind::Reminder => self.reminded_at = Some(at),
                    _ => {}
                }
            }
            Event::DraftDropped { message_id } => {
                let Some(draft) = self.take_draft(message_id) else { return };
                self.dropped += 1;
                if draft.kind == Kind::Ask {
                    self.asks = self.asks.saturating_sub(1);
                }
            }
            _ => {}
        }
        // What the program notes of itself is no change that anybody looks for.
        if !matches!(
            event,
            Event::Completed { .. }
                | Event::Decided { .. }
                | Event::OrderNotFound { .. }
                | Event::Scheduled { .. }
                | Event::ReplySent { .. }
                | Event::Erased
        ) {
            self.changed_at = at;
        }
    }

    /// The customer gets a letter.
    fn tell_customer(&mut self, kind: Kind, message_id: &MessageId) {
        self.acknowledged |= matches!(kind, Kind::Acknowledgement | Kind::Safety | Kind::Receipt);
        self.warned |= kind == Kind::Safety;
        self.remember(Some(message_id));
    }

    fn take_draft(&mut self, message_id: &MessageId) -> Option<Draft> {
        let at = self.drafts.iter().position(|draft| draft.message_id == *message_id)?;
        Some(self.drafts.remove(at))
    }

    /// Moves to the next state and says whose turn it is then.
    fn settle(&mut self, event: &Event, by_staff: bool, next: State, at: Timestamp) {
        let moved = next != self.state;
        if moved {
            self.state = next;
            self.since = at;
        }
        if moved || matches!(event, Event::LetterTaken { .. } | Event::HandedToStaff | Event::SafetyHeld) {
            self.snoozed_until = None;
        }
        match event {
            Event::HandedToStaff | Event::SafetyHeld | Event::ReplyRefused { .. } => {
                self.with_staff = true;
                self.attention = self.attention.or((!next.is_final()).then_some(at));
            }
            // Somebody wants something else to be done, and knows what.
            Event::DraftDropped { .. } if by_staff && !next.is_final() => {
                self.with_staff |= next == State::WithStaff;
                self.attention = self.attention.or(Some(at));
            }
            Event::Handled => {
                self.attention = None;
                self.staff_reminded_at = Some(at);
            }
            _ if moved => {
                self.attention = next.is_staffs_turn().then_some(at);
                // A refused item that lies with us has to go back.
                if next == State::Rejected && self.arrival.is_some() {
                    self.attention = Some(at);
                }
                self.staff_reminded_at = None;
            }
            _ => {}
        }
    }

    fn open(id: &CaseId, customer: &Person, at: Timestamp, opened_on: Date) -> Self {
        Self {
            id: id.clone(),
            state: State::New,
            since: at,
            attention: None,
            customer: customer.clone(),
            opened_at: at,
            opened_on,
            changed_at: at,
            language: None,
            facts: Facts::default(),
            bought_on: None,
            country: None,
            request: None,
            letters: 0,
            replies: 0,
            drafts: Vec::new(),
            dropped: 0,
            asks: 0,
            asked_at: None,
            reminders: 0,
            reminded_at: None,
            rma_reminded: false,
            staff_reminded_at: None,
            acknowledged: false,
            assigned_to: None,
            snoozed_until: None,
            warned: false,
            with_staff: false,
            rma: None,
            arrival: None,
            finding: None,
            remedy: None,
            outlays: Vec::new(),
            reimbursed: false,
            order_not_found: None,
            order_meant: None,
            decision: None,
            subject: String::new(),
            thread: Vec::new(),
            due: None,
            merged_into: None,
            erased: None,
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// More receipts than anybody has.
const MAX_OUTLAYS: usize = 20;

#[cfg(test)]
mod tests;
