//! What the clock has to do next.

use jiff::Timestamp;

use super::keys::{self, Table};
use super::tables::Change;
use super::{Store, StoreError};
use crate::domain::ids::CaseId;

impl Store {
    /// The cases that the clock has to look at, the longest due first.
    pub fn due_cases(&self, now: Timestamp, limit: usize) -> Result<Vec<CaseId>, StoreError> {
        let until = keys::time(now);
        let mut due = Vec::new();
        for row in self.inner.tables.scan(Table::Due, "").take(limit) {
            let row = row?;
            match row.words().as_slice() {
                [at, _] if *at > until.as_str() => break,
                [_, case] => due.push(CaseId::new(case).map_err(|e| row.corrupt(&e.to_string()))?),
                _ => return Err(row.corrupt("the key is not a time and a case")),
            }
        }
        Ok(due)
    }

    /// When the clock has to look at a case next; `None`: at none.
    pub fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let first = self.inner.tables.scan(Table::Due, "").next().transpose()?;
        Ok(first.and_then(|row| keys::read_time(row.words().first()?)))
    }

    /// The digest of the deadlines that the cases were last looked at with.
    pub fn deadlines_mark(&self) -> Result<Option<u32>, StoreError> {
        self.inner.tables.get(Table::Meta, keys::DEADLINES)
    }

    pub fn mark_deadlines(&self, mark: u32) -> Result<(), StoreError> {
        self.mark(keys::DEADLINES, mark)
    }

    /// The digest of the feeds that the waiting cases were last looked at with.
    pub fn feeds_mark(&self) -> Result<Option<u32>, StoreError> {
        self.inner.tables.get(Table::Meta, keys::FEEDS)
    }

    pub fn mark_feeds(&self, mark: u32) -> Result<(), StoreError> {
        self.mark(keys::FEEDS, mark)
    }

    fn mark(&self, key: &str, mark: u32) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.put(Table::Meta, key.to_owned(), &mark)?;
        self.inner.tables.run(&change)?;
        Ok(())
    }
}
