//! The forms on disk: JSON with the version of its form, `{"v":1,"record":…}`, so that a later program knows an
//! earlier record and an earlier program refuses a later one instead of misreading it.
//!
//! Whatever changes a form, a further field too, takes the next [`VERSION`]; with it goes the format of the store, which
//! an earlier program refuses as a whole. So no field is ever unknown and dropped in a rewrite; an import and `verify`
//! refuse one that is there nevertheless. `tests/store/` keeps a store of each version, and a test that reads it.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::keys::{self, Table};
use super::raw::RawPlace;
use super::webhooks::{Line, Message};
use super::{Counts, DoneOnce, Notice, Quarantined, Seen, StoreError};
use crate::domain::account::{Account, Session, Trace};
use crate::domain::case::Case;
use crate::domain::event::CaseEvent;
use crate::domain::ids::{CaseId, LetterId, RmaNumber};
use crate::domain::queue::Traits;
use crate::domain::reply::Reply;
use crate::domain::token::Token;
use crate::ports::Position;

/// The version of every form below. A changed form gets the next number and a reader for this one.
pub(super) const VERSION: u32 = 2;

/// Who holds an order line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    pub case: CaseId,
    pub rma: RmaNumber,
}

/// A reply in the outbox and the tries to send it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parcel {
    pub reply: Reply,
    pub attempts: u32,
    pub first_try: Option<Timestamp>,
    pub why: Option<String>,
}

impl Parcel {
    /// A reply that nobody has tried to send.
    pub fn new(reply: &Reply) -> Self {
        Self { reply: reply.clone(), attempts: 0, first_try: None, why: None }
    }
}

/// A letter the mailbox was not told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unmarked {
    pub position: Position,
    /// The letter kept in the archive by the same commit.
    pub letter: Option<LetterId>,
}

pub(super) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, StoreError> {
    #[derive(Serialize)]
    struct Form<'a, T> {
        v: u32,
        record: &'a T,
    }
    serde_json::to_vec(&Form { v: VERSION, record })
        .map_err(|e| StoreError::Corrupt { place: "record".to_owned(), what: e.to_string() })
}

/// Reads a record of `table`; a version above ours is [`StoreError::Newer`], whatever the rest looks like.
pub(super) fn decode<T: DeserializeOwned>(table: Table, key: &str, bytes: &[u8]) -> Result<T, StoreError> {
    match serde_json::from_slice::<Form<T>>(bytes) {
        Ok(form) if (1..=VERSION).contains(&form.v) => Ok(form.record),
        outcome => {
            let what = outcome.err().map_or_else(|| "unknown version".to_owned(), |e| e.to_string());
            Err(fault(table, key, bytes, what))
        }
    }
}

/// Reads a record of an export with the type that `table` and `key` call for, and gives the bytes to store.
pub(super) fn canonical(table: Table, key: &str, json: &[u8]) -> Result<Vec<u8>, StoreError> {
    let through = match (table, keys::words(key).as_slice()) {
        (Table::Meta, [keys::COUNTS]) => through::<Counts>,
        (Table::Meta, [keys::SECRET | keys::PSEUDONYMS]) => through::<String>,
        (Table::Meta, [keys::HELD_BACK]) => through::<Timestamp>,
        (Table::Meta, _) => through::<u32>,
        (Table::Cases, _) => through::<Case>,
        (Table::Events, _) => through::<Vec<CaseEvent>>,
        (Table::Seen, _) => through::<Seen>,
        (Table::Index, ["line", ..]) => through::<Claim>,
        (Table::Index, [keys::QUEUE, ..]) => through::<Traits>,
        (Table::Index, _) => through::<CaseId>,
        (Table::Raw, _) => through::<RawPlace>,
        (Table::Outbox, _) => through::<Parcel>,
        (Table::Pace, _) => through::<()>,
        (Table::Mailbox, ["cursor" | "start", ..]) => through::<Position>,
        (Table::Mailbox, _) => through::<Unmarked>,
        (Table::Quarantine, _) => through::<Quarantined>,
        (Table::Notices, _) => through::<Notice>,
        (Table::Due, _) => through::<()>,
        (Table::Drafts, _) => through::<Reply>,
        (Table::Accounts, _) => through::<Account>,
        (Table::Sessions, _) => through::<Session>,
        (Table::Trail, _) => through::<Trace>,
        (Table::Tokens, _) => through::<Token>,
        (Table::Once, ["by", ..]) => through::<DoneOnce>,
        (Table::Once, _) => through::<()>,
        (Table::Webhooks, [keys::HOOK_LINE, ..]) => through::<Line>,
        (Table::Webhooks, [keys::HOOK_DUE, ..]) => through::<()>,
        (Table::Webhooks, _) => through::<Message>,
    };
    through(table, key, json)
}

fn through<T: Serialize + DeserializeOwned>(table: Table, key: &str, json: &[u8]) -> Result<Vec<u8>, StoreError> {
    encode(&decode::<T>(table, key, json)?)
}

#[derive(Deserialize)]
struct Form<T> {
    v: u32,
    record: T,
}

fn fault(table: Table, key: &str, bytes: &[u8], what: String) -> StoreError {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    match serde_json::from_slice::<Version>(bytes) {
        Ok(Version { v }) if v > VERSION => StoreError::Newer { found: v, known: VERSION },
        _ => StoreError::Corrupt { place: format!("{} {}", table.name(), key.replace('\0', " ")), what },
    }
}
