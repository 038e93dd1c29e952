//! The queues of the staff: an index of the cases in the order in which they are worked, kept by the same transactions
//! as the cases, and what follows it as it changes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

use super::keys::{self, Table};
use super::tables::{Change, Row, Tables};
use super::{Store, StoreError};
use crate::domain::case::Case;
use crate::domain::ids::CaseId;
use crate::domain::queue::{Place, Queue, Traits};

/// The version of the order: cases are placed anew when it is another one than before.
const ORDER: u32 = 1;
/// Rows that are written as one transaction.
const AT_ONCE: usize = 500;
/// Changes that a follower may be behind before it has to look at everything anew.
const BEHIND: usize = 256;

/// A case in a queue, and the place to go on reading behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    pub case: CaseId,
    pub rank: String,
    pub traits: Traits,
}

impl Store {
    /// The cases of a queue behind `after` (a case's rank and id) in the order in which they are worked.
    pub fn queued(
        &self,
        queue: Queue,
        after: Option<(&str, &CaseId)>,
    ) -> impl Iterator<Item = Result<Queued, StoreError>> + use<> {
        let start = after.map(|(rank, case)| format!("{rank}\0{case}\0")).unwrap_or_default();
        let rows = self.inner.tables.scan_from(Table::Index, &keys::prefix(&[keys::QUEUE, queue.code()]), &start);
        rows.map(|row| read(&row?))
    }

    /// How many cases each queue has, in the order of [`Queue::ALL`].
    pub fn queue_counts(&self) -> Result<[u64; 5], StoreError> {
        let counted = self.inner.tables.queue_counts()?;
        Ok(Queue::ALL.map(|queue| counted.get(queue.code()).copied().unwrap_or_default()))
    }

    /// Tells each case that changes from now on. It ends with the store.
    pub fn follow(&self) -> broadcast::Receiver<String> {
        self.inner.tables.follow()
    }

    /// Places all cases anew if that was never done, or by another order.
    pub(super) fn place_all(&self) -> Result<(), StoreError> {
        let tables = &self.inner.tables;
        if tables.get::<u32>(Table::Meta, keys::QUEUES)? == Some(ORDER) {
            return Ok(());
        }
        let mut changes = Vec::new();
        for row in tables.scan(Table::Index, &keys::prefix(&[keys::QUEUE])) {
            let mut change = Change::default();
            change.remove(Table::Index, row?.key);
            changes.push(change);
            run(tables, &mut changes, AT_ONCE)?;
        }
        for case in self.cases() {
            let mut change = Change::default();
            put(&case?, &mut change)?;
            changes.push(change);
            run(tables, &mut changes, AT_ONCE)?;
        }
        let mut mark = Change::default();
        mark.put(Table::Meta, keys::QUEUES.to_owned(), &ORDER)?;
        changes.push(mark);
        run(tables, &mut changes, 1)
    }

    /// As [`Store::place_all`], whatever was done before.
    pub(super) fn place_all_again(&self) -> Result<(), StoreError> {
        let mut unmark = Change::default();
        unmark.remove(Table::Meta, keys::QUEUES.to_owned());
        self.inner.tables.run(&unmark)?;
        self.place_all()
    }
}

/// Moves a case from where it stood to where it stands.
pub(super) fn replace(before: Option<&Place>, case: &Case, change: &mut Change) -> Result<(), StoreError> {
    let after = Place::of(case);
    if let Some(before) = before.filter(|before| **before != after) {
        change.remove(Table::Index, keys::queue(before, &case.id));
    }
    match before == Some(&after) {
        true => Ok(()),
        false => change.put(Table::Index, keys::queue(&after, &case.id), &after.traits),
    }
}

fn put(case: &Case, change: &mut Change) -> Result<(), StoreError> {
    replace(None, case, change)
}

fn run(tables: &Tables, changes: &mut Vec<Change>, enough: usize) -> Result<(), StoreError> {
    if changes.len() >= enough {
        tables.run_all(&changes.iter().collect::<Vec<_>>())?;
        changes.clear();
    }
    Ok(())
}

fn read(row: &Row) -> Result<Queued, StoreError> {
    let words = row.words();
    let [_, _, rank, case] = words.as_slice() else { return Err(row.corrupt("the key is no place in a queue")) };
    let case = CaseId::new(case).map_err(|e| row.corrupt(&e.to_string()))?;
    Ok(Queued { case, rank: (*rank).to_owned(), traits: row.read()? })
}

/// What is told of changes as they happen: how many cases each queue has, and which case it was.
pub(super) struct Watch {
    /// `None` until somebody asks.
    counted: Mutex<Option<BTreeMap<String, u64>>>,
    followers: broadcast::Sender<String>,
}

impl Default for Watch {
    fn default() -> Self {
        Self { counted: Mutex::default(), followers: broadcast::Sender::new(BEHIND) }
    }
}

impl Watch {
    pub fn follow(&self) -> broadcast::Receiver<String> {
        self.followers.subscribe()
    }

    /// The counts, counted by `count` the first time.
    pub fn counts(
        &self,
        count: impl FnOnce() -> Result<BTreeMap<String, u64>, StoreError>,
    ) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut counted = self.counted();
        let known = match counted.take() {
            Some(known) => known,
            None => count()?,
        };
        *counted = Some(known.clone());
        Ok(known)
    }

    /// A change ran that wrote (`true`) or removed these rows.
    pub fn ran<'a>(&self, rows: impl Iterator<Item = (Table, &'a str, bool)>) {
        for (table, key, written) in rows {
            match (table, keys::words(key).as_slice()) {
                (Table::Index, [keys::QUEUE, queue, ..]) => self.count(queue, written),
                (Table::Cases, [case]) if written => {
                    // An error means that nobody follows.
                    let _ = self.followers.send((*case).to_owned());
                }
                _ => {}
            }
        }
    }

    fn count(&self, queue: &str, written: bool) {
        if let Some(counted) = self.counted().as_mut() {
            let count = counted.entry(queue.to_owned()).or_default();
            *count = if written { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    fn counted(&self) -> MutexGuard<'_, Option<BTreeMap<String, u64>>> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
