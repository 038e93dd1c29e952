//! The first start with a folder whose mail of before is left alone, also when the folder is numbered anew.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::books::Books;
use super::keys::{self, Table};
use super::picture::Picture;
use super::record::Unmarked;
use super::tables::Change;
use super::{Store, StoreError};
use crate::ports::{FirstStart, Position};

impl Store {
    /// Letters are taken in above this position only, as if all up to it were. Durable at once.
    pub fn begin_above(&self, position: &Position, now: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.advance(position);
        change.put(Table::Mailbox, keys::start(&position.folder), position)?;
        change.put(Table::Meta, keys::since(&position.folder), &u32::try_from(now.as_second()).unwrap_or(0))?;
        self.inner.tables.run(&change)?;
        self.flush()
    }

    /// The folder is numbered anew, up to `end`: of what is there now, only letters are taken in that came after the
    /// first start. `None`: nobody knows when that was, so all are. Durable at once.
    pub fn begin_again(&self, end: &Position) -> Result<Option<FirstStart>, StoreError> {
        let folder = &end.folder;
        if self.inner.tables.get::<u32>(Table::Meta, &keys::since(folder))?.is_none() {
            return Ok(None);
        }
        let mut change = Change::default();
        change.advance(&Position { uid: 0, ..end.clone() });
        change.put(Table::Mailbox, keys::start(folder), end)?;
        change.put(Table::Meta, keys::renumbered(folder), &end.validity)?;
        self.inner.tables.run(&change)?;
        self.flush()?;
        self.start(folder)
    }

    /// All letters up to this position are taken in or left alone.
    pub fn pass(&self, position: &Position) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.advance(position);
        self.inner.tables.run(&change).map(|_| ())
    }

    /// `None`: all letters of the folder are taken in.
    pub fn start(&self, folder: &str) -> Result<Option<FirstStart>, StoreError> {
        let tables = &self.inner.tables;
        let Some(position) = tables.get::<Position>(Table::Mailbox, &keys::start(folder))? else { return Ok(None) };
        let mut known = BTreeMap::new();
        for key in [keys::since(folder), keys::renumbered(folder)] {
            if let Some(number) = tables.get::<u32>(Table::Meta, &key)? {
                known.insert(key, number);
            }
        }
        Ok(Some(started(position, &known)))
    }
}

impl Books {
    /// The books of where each folder stands.
    pub(super) fn read_mailbox(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        let mut meta = BTreeMap::new();
        for row in picture.scan(Table::Meta) {
            let row = row?;
            if let Some(&(keys::SINCE | keys::RENUMBERED)) = row.words().first()
                && let Some(number) = self.read::<u32>(Table::Meta, &row)
            {
                meta.insert(row.key, number);
            }
        }
        for row in picture.scan(Table::Mailbox) {
            let row = row?;
            match row.words().first() {
                Some(&"cursor") => {
                    let cursor = self.read::<Position>(Table::Mailbox, &row);
                    self.cursors.extend(cursor);
                }
                Some(&"start") => {
                    let start = self.read::<Position>(Table::Mailbox, &row);
                    self.starts.extend(start.map(|position| started(position, &meta)));
                }
                _ if self.read::<Unmarked>(Table::Mailbox, &row).is_some() => self.tally.unmarked += 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A start as the rows of [`Table::Meta`] complete it.
pub(super) fn started(position: Position, meta: &BTreeMap<String, u32>) -> FirstStart {
    let is_anew = meta.get(&keys::renumbered(&position.folder)) == Some(&position.validity);
    let since = meta.get(&keys::since(&position.folder)).filter(|_| is_anew);
    let since = since.and_then(|second| Timestamp::from_second(i64::from(*second)).ok());
    FirstStart { position, since }
}
