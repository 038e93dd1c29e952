//! What can be found wrong, what it means and what to do; and how many there are of each thing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// The record, case, letter, file or folder that it is about.
    pub place: String,
    pub what: String,
}

/// What is wrong, and so what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The database can't be read.
    Database,
    /// A record that can't be read.
    Record,
    /// A case is not what its events make of it.
    Case,
    /// What finds cases names what is not there, or does not name what is.
    Index,
    /// A mail in the archive is not what was kept.
    Archive,
    /// Bytes in the archive that belong to no mail.
    Gap,
    /// A letter was taken in, and its mail is not kept.
    MailLost,
    /// A mail is kept, and no letter was taken in.
    MailUnentered,
    /// A letter is in several cases, or in another than its entry says.
    LetterCase,
    /// A reply that is neither waiting nor sent nor refused, or waits although nobody wrote it.
    Reply,
    /// An RMA number or an order line of two cases.
    Rma,
    Counts,
    /// A mail in the mailbox that was passed over.
    MailMissed,
}

impl FindingKind {
    /// What a person can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Database | Self::Record | Self::Archive => {
                "stop the daemon, move the store away and restore the latest backup; the mailbox gives what came since"
            }
            Self::Case | Self::Index | Self::Counts => {
                "stop the daemon and run verify --repair: it makes them anew from the events"
            }
            Self::Gap => "a power cut may leave that; if nothing else is found, no mail is missing",
            Self::MailLost => {
                "what was read from it stands in its case; the mail itself is in the mailbox or in a backup"
            }
            Self::MailUnentered => "take it in with: cases retry LETTER",
            Self::LetterCase => "look at both cases with: cases show CASE",
            Self::Reply => "look at the case and write to the customer by hand",
            Self::Rma => "look at both cases; only one parcel can come",
            Self::MailMissed => "answer it by hand, or copy it into the folder again: a copy gets a new number",
        }
    }
}

/// How many of each there are, counted record by record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Letters taken in, by the code of their class.
    pub letters: BTreeMap<String, u64>,
    /// Mails in the archive.
    pub mails: u64,
    pub erased: u64,
    pub cases: u64,
    pub rmas: u64,
    /// Replies written; each is sent, refused or waiting.
    pub replies: u64,
    pub sent: u64,
    pub refused: u64,
    pub waiting: u64,
    /// Letters that are held back.
    #[serde(default)]
    pub drafts: u64,
    pub quarantined: u64,
    /// Mail that was in quarantine until a person had dealt with it.
    pub dismissed: u64,
    /// Letters that the mailbox was not told of yet; the next pass does it.
    pub unmarked: u64,
}
