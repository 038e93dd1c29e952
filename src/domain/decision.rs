//! What is to be done about a letter, and why.

use serde::{Deserialize, Serialize};

use super::event::CaseEvent;
use super::policy::Held;
use super::reply::Reply;
use super::warranty::{Checklist, Item, Track};

/// Whose mail a letter is (contract section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    Customer,
    /// A delivery status notification (RFC 3464) or its like.
    Bounce,
    /// Out of office, vacation, another system's acknowledgement (RFC 3834).
    AutoReply,
    /// List mail, newsletters, notifications.
    Bulk,
    /// Our own mail came back.
    Own,
    /// A trusted upstream said so, or DMARC failed.
    Spam,
}

impl Class {
    pub const ALL: [Self; 6] = [Self::Customer, Self::Bounce, Self::AutoReply, Self::Bulk, Self::Own, Self::Spam];
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Ask,
    IssueRma,
    Staff,
    Close,
    Ignore,
}

/// Why an action was chosen: short codes that outside tools know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    Safety,
    Void,
    OutOfWarranty,
    ReturnWindowPassed,
    NotEligible,
    SenderMismatch,
    SkuNotInOrder,
    NotDelivered,
    OrderUnknown,
    EvidenceByLink,
    AskLimit,
    Language,
    Request,
    FollowUp,
    DuplicateRma,
    Conflict,
    UnsafeAttachment,
    NotAvailable,
    /// Something that may void the warranty, or a danger, may have been told in passing: a person looks first.
    Doubt,
    /// The same mail was taken in before; nothing is done twice.
    DuplicateLetter,
    /// The cap on automatic letters to one address is reached.
    ReplyLimit,
    /// It has lain in the mailbox for so long that an automatic answer would be absurd.
    Old,
    /// There is no address that an automatic letter may go to.
    NoReplyAddress,
    /// The cap on automatic letters in one case is reached.
    CaseLimit,
    /// It answers a letter of ours that its writer never had: nothing tells whether there is such a letter.
    UnknownThread,
    /// The order is of a channel whose claims a person goes on with.
    Channel,
    /// The order could not be looked up when the letter came.
    OrderUnverified,
    /// Everything is there, and the policy wants a person to approve the track.
    Approval,
}

/// The decision on one letter. Once made it is not altered; a correction is a new decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    pub action: Action,
    /// With [`Action::IssueRma`] only.
    pub track: Option<Track>,
    pub reasons: Vec<Reason>,
    /// The required items and where each stands after this letter, whatever the action.
    pub checklist: Checklist,
    /// What the reply asks for: the open items without those the customer can't give.
    pub ask: Vec<Item>,
    /// The version of the terms (policy, catalogue, return addresses, templates) it was made under.
    pub terms: String,
    /// The windows it was made by; decisions of earlier versions, and those on no case, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// What `answer` and `resume` propose: the shell commits it, whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub class: Class,
    pub decision: Decision,
    /// To apply to the case in this order; empty if no case is touched.
    pub events: Vec<CaseEvent>,
    pub reply: Option<Reply>,
}

macro_rules! code {
    ($($name:ty),*) => {$(
        impl $name {
            /// The code that outside tools know it by.
            pub fn code(&self) -> String {
                match serde_json::to_value(self) {
                    Ok(serde_json::Value::String(code)) => code,
                    _ => String::new(),
                }
            }
        }
    )*};
}
code!(
    Class,
    Action,
    Reason,
    Track,
    Item,
    super::facts::Request,
    super::facts::VoidSignal,
    super::facts::Judgement,
    super::case::State
);
