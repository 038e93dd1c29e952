//! The store as it is at one moment, read while it goes on changing.
//!
//! A picture stops nobody: whoever changes a row first puts what was there into the picture. Reading it gives the rows
//! of that moment, in order, at the price of remembering what has changed since.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StoreError;
use super::keys::Table;
use super::tables::{Row, Tables, Value};

/// Changed rows that a picture remembers; beyond it the reader was too slow. At 30 rows a letter, those of 30,000.
const REMEMBERED: usize = 1_000_000;

/// What was where changes have been since the picture was taken.
#[derive(Debug, Default)]
pub(super) struct Before {
    rows: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// `None`: there was nothing.
    rows: BTreeMap<(Table, String), Option<Value>>,
    too_many: bool,
}

impl Before {
    /// Keeps what `was` at `key`, unless an earlier change did. To be called before the change.
    pub fn remember(&self, table: Table, key: &str, was: impl FnOnce() -> Result<Option<Value>, StoreError>) {
        let mut known = self.known();
        let key = (table, key.to_owned());
        if known.too_many || known.rows.contains_key(&key) {
            return;
        }
        // A row that can't be read can't be remembered: the picture is spoilt, the change goes on.
        match was() {
            Ok(was) if known.rows.len() < REMEMBERED => {
                known.rows.insert(key, was);
            }
            _ => {
                known.too_many = true;
                known.rows.clear();
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, Remembered> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All rows as they were when [`Tables::picture`] was called.
pub(super) struct Picture<'a> {
    tables: &'a Tables,
    before: Arc<Before>,
}

impl<'a> Picture<'a> {
    pub fn new(tables: &'a Tables, before: Arc<Before>) -> Self {
        Self { tables, before }
    }

    /// The rows of a tree, in order of their keys.
    pub fn scan(&self, table: Table) -> impl Iterator<Item = Result<Row, StoreError>> + use<'a> {
        let before = Arc::clone(&self.before);
        let mut rows = self.tables.scan(table, "").fuse();
        let mut ready: VecDeque<Row> = VecDeque::new();
        let mut behind: Option<String> = None;
        let mut ended = false;
        std::iter::from_fn(move || {
            loop {
                if let Some(row) = ready.pop_front() {
                    return Some(Ok(row));
                }
                if ended {
                    return None;
                }
                let row = match rows.next() {
                    Some(Ok(row)) => Some(row),
                    None => None,
                    Some(Err(e)) => {
                        ended = true;
                        return Some(Err(e));
                    }
                };
                // Looked at after the row was read: a change that the row shows was remembered before it was made.
                let known = before.known();
                if known.too_many {
                    ended = true;
                    let what = "too much changed while it was read; try again when less is going on".to_owned();
                    return Some(Err(StoreError::Busy { what }));
                }
                let gone = known.rows.range((after(table, behind.as_deref()), Bound::Unbounded));
                let until = row.as_ref().map(|row| row.key.as_str());
                let gone =
                    gone.take_while(|((of, key), _)| *of == table && until.is_none_or(|until| key.as_str() < until));
                ready.extend(
                    gone.filter_map(|((_, key), was)| Some(Row::new(table, key.clone(), was.as_ref()?.clone()))),
                );
                match row {
                    None => ended = true,
                    Some(row) => {
                        behind = Some(row.key.clone());
                        match known.rows.get(&(table, row.key.clone())) {
                            None => ready.push_back(row),
                            Some(Some(was)) => ready.push_back(Row::new(table, row.key, was.clone())),
                            Some(None) => {}
                        }
                    }
                }
            }
        })
    }
}

fn after(table: Table, key: Option<&str>) -> Bound<(Table, String)> {
    match key {
        Some(key) => Bound::Excluded((table, key.to_owned())),
        None => Bound::Included((table, String::new())),
    }
}
