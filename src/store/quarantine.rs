//! Mail that could not be handled: what waits for a person, and what a person has dealt with.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keys::{self, Table};
use super::tables::Change;
use super::{Store, StoreError};
use crate::domain::ids::{LetterId, MessageId};
use crate::ports::Position;

/// Mail that could not be handled, kept for a person. One entry a letter: a later one replaces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// `None`: not even its bytes could be had.
    pub letter: Option<LetterId>,
    pub position: Option<Position>,
    pub why: String,
    pub at: Timestamp,
    pub from: Option<String>,
    pub subject: Option<String>,
    pub message_id: Option<MessageId>,
}

impl Store {
    /// What waits for a person, oldest first.
    pub fn quarantined(&self) -> Result<Vec<Quarantined>, StoreError> {
        let rows = self.inner.tables.scan(Table::Quarantine, "");
        let rows = rows.filter(|row| row.as_ref().map_or(true, |row| !keys::is_dismissed(&row.key)));
        let mut entries = rows.map(|row| row?.read()).collect::<Result<Vec<Quarantined>, _>>()?;
        entries.sort_by_key(|entry| entry.at);
        Ok(entries)
    }

    /// Takes an entry out of quarantine; `false`: it is not there. (Taking its letter in releases it as well.)
    pub fn release(&self, entry: &Quarantined) -> Result<bool, StoreError> {
        loop {
            let mut change = Change::default();
            let released = self.let_go(keys::quarantine(entry), &mut change)?;
            if self.inner.tables.run(&change)? {
                return Ok(released);
            }
        }
    }

    /// The earlier entry of the letter or position of `entry`, and whether a person has dealt with it.
    pub fn quarantined_before(&self, entry: &Quarantined) -> Result<Option<(Quarantined, bool)>, StoreError> {
        for (key, dismissed) in [(keys::quarantine(entry), false), (keys::dismissed(entry), true)] {
            if let Some(known) = self.inner.tables.get(Table::Quarantine, &key)? {
                return Ok(Some((known, dismissed)));
            }
        }
        Ok(None)
    }

    /// Notes that a person has dealt with an entry, and how: it waits no longer, and a copy of its letter will not
    /// either. `false`: it is not there. Durable after the next [`Store::flush`].
    pub fn dismiss(&self, entry: &Quarantined, how: &str, at: Timestamp) -> Result<bool, StoreError> {
        let note = Quarantined { why: format!("{how} (was: {})", entry.why), at, ..entry.clone() };
        loop {
            let mut change = Change::default();
            if !self.let_go(keys::quarantine(entry), &mut change)? {
                return Ok(false);
            }
            change.put(Table::Quarantine, keys::dismissed(entry), &note)?;
            if self.inner.tables.run(&change)? {
                return Ok(true);
            }
        }
    }
}
