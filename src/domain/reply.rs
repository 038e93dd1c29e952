//! A letter that goes out.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{CaseId, MessageId};
use super::letter::Person;

/// Which letter: the folder of its templates under `templates/mail/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Asks for what is missing.
    Ask,
    /// Authorises the return.
    Rma,
    /// Says that a person looks at it; promises no outcome.
    Acknowledgement,
    /// Tells staff of something; goes to no customer and has no templates.
    Notice,
}

impl Kind {
    /// The letters to customers: those that have templates.
    pub const ALL: [Self; 3] = [Self::Ask, Self::Rma, Self::Acknowledgement];

    /// The name of the letter's folder of templates.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Rma => "rma",
            Self::Acknowledgement => "acknowledgement",
            Self::Notice => "notice",
        }
    }
}

/// A finished reply. Everything that makes its bytes is fixed here, before the first try to send it, so that every
/// repetition is the same mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// For a [`Kind::Notice`] a number of its own, and no case.
    pub case: CaseId,
    /// Counts the replies of a case, from 1.
    pub number: u32,
    pub kind: Kind,
    pub to: Person,
    pub subject: String,
    /// Two-letter code of the language it is written in.
    pub language: String,
    pub message_id: MessageId,
    pub in_reply_to: Option<MessageId>,
    pub references: Vec<MessageId>,
    /// The `Date` header.
    pub written: Timestamp,
    pub text: String,
    pub html: String,
}
