//! What happens to a case: who did it, when, why, and what it was.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::case::{Due, Rma};
use super::correction::Correction;
use super::decision::{Class, Decision};
use super::facts::{Fact, Facts, Request};
use super::ids::{CaseId, Country, LetterId, MessageId, OrderNumber, Sku};
use super::letter::{Defect, Person};
use super::reply::Kind;
use super::returns::{Arrival, Finding, Money, Outlay, Remedy, Service};
use super::warranty::Item;

/// One entry in a case's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseEvent {
    #[serde(flatten)]
    pub event: Event,
    /// Stores of format 1 kept no time of [`Event::Completed`].
    #[serde(default = "epoch")]
    pub at: Timestamp,
    /// In stores of format 1 everything is the program's.
    #[serde(default)]
    pub by: Actor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

fn epoch() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    #[default]
    Daemon,
    Customer,
    /// One of the staff, by name or address.
    Staff(String),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first event of every case. `opened_on` is C of the policy: the day of the first letter at its writer's offset.
    Opened {
        case: CaseId,
        customer: Person,
        opened_on: Date,
    },
    /// A customer's letter joined the case, with what it alone says.
    LetterTaken {
        letter: LetterId,
        message_id: Option<MessageId>,
        from: Option<Person>,
        subject: String,
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
        class: Class,
    },
    /// What the catalogue and the order feed make of product and day of receipt, and what else the feed knows.
    Completed {
        sku: Option<Fact<Sku>>,
        received_on: Option<Fact<Date>>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bought_on: Option<Date>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        country: Option<Country>,
    },
    /// `letter`: the one that it answers; `None`: it was decided anew after a correction, or by what the feeds tell since.
    Decided {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        letter: Option<LetterId>,
        decision: Decision,
    },
    /// An order number that the feed does not know was given.
    OrderNotFound {
        order_number: OrderNumber,
        /// The one order of the customer's own whose number has one slip less.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        meant: Option<OrderNumber>,
    },
    /// The customer was asked for these items.
    Asked {
        items: Vec<Item>,
    },
    /// A person has to look.
    HandedToStaff,
    /// Heat, smoke, fire, a swollen battery, a burn or an injury: nothing moves before a person has looked.
    SafetyHeld,
    RmaIssued {
        rma: Rma,
    },
    RmaExtended {
        valid_until: Date,
    },
    /// The parcel is under way to us.
    Posted {
        tracking: Option<String>,
    },
    /// The parcel is here. Clauses `rma.breach` and `inspection`.
    Arrived {
        arrival: Arrival,
    },
    /// Clause `inspection`.
    Inspected {
        finding: Finding,
    },
    /// Clause `doa.outcome`: the customer has chosen.
    Chosen {
        remedy: Remedy,
    },
    Repaired,
    Replaced,
    Refunded {
        amount: Option<Money>,
        /// Clause `customs`: what was charged to us and is kept back.
        deducted: Option<Money>,
    },
    /// A person has refused; the program never does.
    Rejected,
    /// A receipt of return shipping came; clause `doa.return_cost`.
    ReceiptTaken {
        letter: LetterId,
        outlay: Outlay,
    },
    /// Return shipping was paid back; clause `doa.return_cost`.
    Reimbursed {
        amount: Option<Money>,
    },
    /// Back on its way to the customer; clauses `repair.cost`, `repair.flat_rate`.
    ShippedBack {
        tracking: Option<String>,
        service: Service,
    },
    /// The customer no longer wants it.
    Withdrawn,
    /// The RMA was not used in time.
    Expired,
    Closed,
    Reopened,
    /// It is the same matter as another case, which goes on.
    Merged {
        into: CaseId,
    },
    /// Letters went to a case of their own, with whoever answers them or what answered them.
    Split {
        into: CaseId,
        letters: Vec<LetterId>,
        /// Their Message-IDs.
        messages: Vec<MessageId>,
        /// What answered them: an answer to that belongs to the other case too.
        replies: Vec<MessageId>,
        /// What the other letters and staff say.
        facts: Box<Facts>,
        request: Option<Request>,
    },
    /// The letters so far came from that case.
    SplitOff {
        case: CaseId,
    },
    /// A person has done what there was to do for now.
    Handled,
    /// A person has put a fact right that was read wrongly, or not at all.
    Corrected {
        correction: Correction,
    },
    /// Whose case it is among the staff; `None`: nobody's.
    Assigned {
        to: Option<String>,
    },
    /// Staff need not look at it before that moment, unless something happens.
    Snoozed {
        until: Timestamp,
    },
    /// Words of staff for staff.
    Noted {
        text: String,
    },
    /// A reminder went out: to the customer if a letter of the same moment says so, else to staff.
    Reminded {
        of: Timer,
    },
    /// What the clock does next, unless something happens before.
    Scheduled {
        due: Option<Due>,
    },
    /// A reply was written and waits in the outbox.
    ReplyQueued {
        number: u32,
        kind: Kind,
        message_id: MessageId,
        subject: String,
        text: String,
    },
    /// A reply was written and is held as a draft; none of what comes with sending it has happened yet.
    DraftWritten {
        number: u32,
        kind: Kind,
        message_id: MessageId,
        subject: String,
        text: String,
        /// When it goes out by itself; `None`: when a person says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The draft is a reply now and waits in the outbox.
    DraftReleased {
        message_id: MessageId,
    },
    /// The draft is never sent: a person does not want it to be, or it was overtaken.
    DraftDropped {
        message_id: MessageId,
    },
    /// The next mail server has taken the reply over.
    ReplySent {
        message_id: MessageId,
    },
    /// The reply can't be delivered, and why; a person has to look.
    ReplyRefused {
        message_id: MessageId,
    },
    /// What could tell who the customer is was taken out of the events before; nothing happens any more.
    Erased,
}

/// What the clock does to a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timer {
    /// Reminds the customer of what is asked.
    RemindItems,
    /// Closes a case whose customer does not answer.
    CloseUnanswered,
    /// Reminds the customer that the RMA runs out.
    RemindRma,
    /// Ends an RMA that was not used.
    ExpireRma,
    /// Tells staff that a parcel did not come.
    ParcelOverdue,
    /// Reminds staff that a case waits on them.
    RemindStaff,
    /// Closes a case in which all is done.
    CloseDone,
    /// Brings a snoozed case back to staff.
    Wake,
    /// Sends a letter that was to wait for a while.
    ReleaseDraft,
}

impl CaseEvent {
    pub fn new(event: Event, by: Actor, at: Timestamp) -> Self {
        Self { event, at, by, why: None }
    }

    /// What the program did.
    pub fn daemon(event: Event, at: Timestamp) -> Self {
        Self::new(event, Actor::Daemon, at)
    }

    /// What the customer did.
    pub fn customer(event: Event, at: Timestamp) -> Self {
        Self::new(event, Actor::Customer, at)
    }

    pub fn because(self, why: Option<String>) -> Self {
        Self { why, ..self }
    }
}

impl Event {
    /// The letters of a case that are in a case of their own since.
    pub fn moved(events: &[CaseEvent]) -> BTreeSet<LetterId> {
        let letters = events.iter().filter_map(|event| match &event.event {
            Self::Split { letters, .. } => Some(letters),
            _ => None,
        });
        letters.flatten().cloned().collect()
    }

    /// The names of all events, as stored.
    pub const NAMES: [&str; 43] = [
        "opened",
        "letter_taken",
        "letter_noted",
        "completed",
        "decided",
        "order_not_found",
        "asked",
        "handed_to_staff",
        "safety_held",
        "rma_issued",
        "rma_extended",
        "posted",
        "arrived",
        "inspected",
        "chosen",
        "repaired",
        "replaced",
        "refunded",
        "rejected",
        "receipt_taken",
        "reimbursed",
        "shipped_back",
        "withdrawn",
        "expired",
        "closed",
        "reopened",
        "merged",
        "split",
        "split_off",
        "handled",
        "corrected",
        "assigned",
        "snoozed",
        "noted",
        "reminded",
        "scheduled",
        "reply_queued",
        "draft_written",
        "draft_released",
        "draft_dropped",
        "reply_sent",
        "reply_refused",
        "erased",
    ];

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
            Self::HandedToStaff => "handed_to_staff",
            Self::SafetyHeld => "safety_held",
            Self::RmaIssued { .. } => "rma_issued",
            Self::RmaExtended { .. } => "rma_extended",
            Self::Posted { .. } => "posted",
            Self::Arrived { .. } => "arrived",
            Self::Inspected { .. } => "inspected",
            Self::Chosen { .. } => "chosen",
            Self::Repaired => "repaired",
            Self::Replaced => "replaced",
            Self::Refunded { .. } => "refunded",
            Self::Rejected => "rejected",
            Self::ReceiptTaken { .. } => "receipt_taken",
            Self::Reimbursed { .. } => "reimbursed",
            Self::ShippedBack { .. } => "shipped_back",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Closed => "closed",
            Self::Reopened => "reopened",
            Self::Merged { .. } => "merged",
            Self::Split { .. } => "split",
            Self::SplitOff { .. } => "split_off",
            Self::Handled => "handled",
            Self::Corrected { .. } => "corrected",
            Self::Assigned { .. } => "assigned",
            Self::Snoozed { .. } => "snoozed",
            Self::Noted { .. } => "noted",
            Self::Reminded { .. } => "reminded",
            Self::Scheduled { .. } => "scheduled",
            Self::ReplyQueued { .. } => "reply_queued",
            Self::DraftWritten { .. } => "draft_written",
            Self::DraftReleased { .. } => "draft_released",
            Self::DraftDropped { .. } => "draft_dropped",
            Self::ReplySent { .. } => "reply_sent",
            Self::ReplyRefused { .. } => "reply_refused",
            Self::Erased => "erased",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_among_the_names() {
        let source =
            include_str!("event.rs").split("pub fn name(").nth(1).unwrap().split("#[cfg(test)]").next().unwrap();
        let named: Vec<&str> = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(named, Event::NAMES);
    }
}
