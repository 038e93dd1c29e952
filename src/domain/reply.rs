//! A letter that goes out.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ids::{CaseId, LetterId, MessageId};
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
    /// Says how to deal with a danger.
    Safety,
    /// Reminds of what is missing.
    Reminder,
    /// Says that the case is closed for want of an answer.
    Unanswered,
    /// Reminds that the RMA runs out.
    RmaReminder,
    /// Says until when the RMA is valid now.
    RmaExtended,
    /// Says that the RMA was not used in time.
    RmaExpired,
    /// Says that the parcel is here.
    Received,
    /// Tells what the inspection found.
    Inspected,
    /// Says that the money is on its way.
    Refunded,
    /// Says that the item, or a new one, is on its way.
    ShippedBack,
    /// Confirms a receipt of return shipping.
    Receipt,
    /// Words of staff.
    Answer,
    /// A person's refusal, with its reason.
    Rejection,
    /// Offers a paid repair, parts or a replacement; clause `paid_repair`.
    Offer,
    /// Names the seller who can help quickest.
    Route,
    /// Tells staff of something; goes to no customer and has no templates.
    Notice,
    /// Hands a case over to staff.
    Handover,
    /// Tells one of the staff what became of their words to the program.
    Report,
}

impl Kind {
    /// The letters to customers: those that have templates.
    pub const ALL: [Self; 18] = [
        Self::Ask,
        Self::Rma,
        Self::Acknowledgement,
        Self::Safety,
        Self::Reminder,
        Self::Unanswered,
        Self::RmaReminder,
        Self::RmaExtended,
        Self::RmaExpired,
        Self::Received,
        Self::Inspected,
        Self::Refunded,
        Self::ShippedBack,
        Self::Receipt,
        Self::Answer,
        Self::Rejection,
        Self::Offer,
        Self::Route,
    ];

    /// The name of the letter's folder of templates.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Rma => "rma",
            Self::Acknowledgement => "acknowledgement",
            Self::Safety => "safety",
            Self::Reminder => "reminder",
            Self::Unanswered => "unanswered",
            Self::RmaReminder => "rma_reminder",
            Self::RmaExtended => "rma_extended",
            Self::RmaExpired => "rma_expired",
            Self::Received => "received",
            Self::Inspected => "inspected",
            Self::Refunded => "refunded",
            Self::ShippedBack => "shipped_back",
            Self::Receipt => "receipt",
            Self::Answer => "answer",
            Self::Rejection => "rejection",
            Self::Offer => "offer",
            Self::Route => "route",
            Self::Notice => "notice",
            Self::Handover => "handover",
            Self::Report => "report",
        }
    }

    /// Whether it goes to staff: no case has written it, and no cap on letters to customers counts it.
    pub fn is_for_staff(self) -> bool {
        matches!(self, Self::Notice | Self::Handover | Self::Report)
    }

    /// Whether it only says how things stand at the moment: the next letter, from either side, overtakes it.
    pub fn is_passing(self) -> bool {
        matches!(
            self,
            Self::Ask
                | Self::Acknowledgement
                | Self::Reminder
                | Self::Unanswered
                | Self::RmaReminder
                | Self::RmaExpired
        )
    }

    /// Whether a letter of this kind, once written, takes the place of an older one of its case that was not sent yet.
    pub fn supersedes(self, older: Self) -> bool {
        match older {
            Self::Rma | Self::RmaExtended => {
                matches!(self, Self::Rma | Self::RmaExtended | Self::RmaExpired | Self::Rejection)
            }
            Self::Safety => self == Self::Safety,
            _ => older.is_passing(),
        }
    }

    /// Whether a person writes it, word by word or by choosing to: it is no automatic mail (RFC 3834 section 1).
    pub fn is_personal(self) -> bool {
        matches!(self, Self::Answer | Self::Rejection | Self::Offer | Self::Route)
    }
}

/// Which letters to customers are not sent as soon as they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sending {
    /// They wait for a person.
    pub held: Vec<Kind>,
    /// The others wait for so long.
    pub delay: SignedDuration,
}

impl Sending {
    /// `Some`: a letter of this kind becomes a draft, until then; `Some(None)`: until a person says so.
    pub fn draft(&self, kind: Kind, now: Timestamp) -> Option<Option<Timestamp>> {
        if self.held.contains(&kind) {
            return Some(None);
        }
        (self.delay > SignedDuration::ZERO).then(|| Some(now.checked_add(self.delay).unwrap_or(now)))
    }
}

/// A finished reply. Everything that makes its bytes is fixed here, before the first try to send it, so that every
/// repetition is the same mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// For a [`Kind::Notice`] a number of its own, and no case; so for hand-overs of several cases at once.
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
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Enclosure>,
    /// A letter in the archive that goes with it, and its pictures made small: put in when it is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes_on: Option<LetterId>,
}

/// A file that goes out with a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enclosure {
    pub name: String,
    /// The media type: `application/pdf`.
    pub content_type: String,
    /// Base64 in JSON.
    #[serde(with = "base64_text")]
    pub data: Vec<u8>,
}

mod base64_text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(data))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}
