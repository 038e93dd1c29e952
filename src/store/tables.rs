//! The trees on disk: the only file that names sled (0.34).
//!
//! What sled does not promise is made good here: its `flush` does not reach the disk's medium, so the log file is
//! synced through a handle of our own; a crash while it opens can leave a snapshot that it then refuses; ranges can't
//! be read inside a transaction. So a [`Change`] is worked out beforehand, and its transaction only compares what the
//! change rests on and writes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional, TransactionalTree};
use tokio::sync::broadcast;

use super::keys::{self, Table};
use super::picture::{Before, Picture};
use super::queues::Watch;
use super::search::Changed;
use super::{Counts, StoreError, record};
use crate::domain::decision::Class;
use crate::fail_point;
use crate::ports::Position;

/// Bytes of trees that sled keeps in memory.
const CACHE: u64 = 64 << 20;

pub(super) struct Tables {
    trees: Vec<sled::Tree>,
    db: sled::Db,
    /// Our own handle of sled's log; `None` if nothing has to outlive the process.
    log: Option<File>,
    /// Pictures that are being read. Held while a transaction runs, so that none is taken in the midst of one.
    pictures: RwLock<Vec<Weak<Before>>>,
    watch: Watch,
    changed: Changed,
}

/// The bytes of a record.
pub(super) type Value = sled::IVec;

/// What one transaction writes, and what it was worked out from.
#[derive(Debug, Default)]
pub(super) struct Change {
    rests_on: Vec<(Table, String, Option<Value>)>,
    writes: Vec<(Table, String, Option<Vec<u8>>)>,
    cursors: Vec<Position>,
    counts: Vec<Count>,
}

/// What a change adds to the counts or takes from them.
#[derive(Debug)]
pub(super) enum Count {
    Case,
    Letter(Class),
    ReplyQueued,
    NoticeQueued,
    ReplyGone,
    DraftWritten,
    DraftGone,
    Quarantined,
    Released,
}

/// One record as it lies in a tree.
pub(super) struct Row {
    table: Table,
    pub key: String,
    value: Value,
}

impl Tables {
    /// Opens or creates the trees in `folder`.
    pub fn open(folder: &Path, durable: bool) -> Result<Self, StoreError> {
        remove_half_written_snapshots(folder)?;
        fail_point::reached("open-snapshots-swept");
        let db = match open_released(folder) {
            Err(StoreError::Corrupt { .. }) => {
                set_snapshots_aside(folder)?;
                open_released(folder)?
            }
            outcome => outcome?,
        };
        let trees: Result<Vec<_>, _> = Table::ALL.iter().map(|table| db.open_tree(table.name())).collect();
        let trees = trees.map_err(|e| fault(folder, e))?;
        fail_point::reached("open-trees");
        let log = match durable {
            true => Some(File::open(folder.join("db")).map_err(|e| StoreError::io(folder.join("db").display(), e))?),
            false => None,
        };
        Ok(Self { trees, db, log, pictures: RwLock::default(), watch: Watch::default(), changed: Changed::default() })
    }

    pub fn get<T: DeserializeOwned>(&self, table: Table, key: &str) -> Result<Option<T>, StoreError> {
        match self.value(table, key)? {
            Some(value) => record::decode(table, key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Tables::get`]; the change holds only as long as this answer does.
    pub fn watch<T: DeserializeOwned>(
        &self,
        change: &mut Change,
        table: Table,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let value = self.value(table, key)?;
        let record = value.as_ref().map(|value| record::decode(table, key, value)).transpose();
        change.rests_on.push((table, key.to_owned(), value));
        record
    }

    /// The rows whose keys begin with `prefix`, in order of their keys; not a picture of one moment.
    pub fn scan(&self, table: Table, prefix: &str) -> impl Iterator<Item = Result<Row, StoreError>> + use<> {
        self.scan_from(table, prefix, "")
    }

    /// As [`Tables::scan`], beginning at `prefix` + `start`.
    pub fn scan_from(
        &self,
        table: Table,
        prefix: &str,
        start: &str,
    ) -> impl Iterator<Item = Result<Row, StoreError>> + use<> {
        let prefix = prefix.to_owned();
        let start = format!("{prefix}{start}");
        let rows = self.tree(table).map(|tree| tree.range(start.as_bytes()..)).into_iter().flatten();
        rows.map(move |row| read_row(table, row))
            .take_while(move |row: &Result<Row, _>| row.as_ref().map_or(true, |row| row.key.starts_with(&prefix)))
    }

    /// As [`Tables::scan`], the last key first.
    pub fn scan_back(&self, table: Table, prefix: &str) -> impl Iterator<Item = Result<Row, StoreError>> + use<> {
        let rows = self.tree(table).map(|tree| tree.scan_prefix(prefix.as_bytes()).rev()).into_iter().flatten();
        rows.map(move |row| read_row(table, row))
    }

    /// Writes the change, whole or not at all. `false`: something it rests on has changed; work it out anew.
    pub fn run(&self, change: &Change) -> Result<bool, StoreError> {
        self.run_all(&[change]).map(|ran| ran.into_iter().all(|ran| ran))
    }

    /// Runs changes one behind the other as one transaction, and tells which ones ran. A change that rests on what an
    /// earlier one has altered does not.
    ///
    /// Every transaction makes sled write its log buffer out twice (`pin_log`), which costs far more than the rows.
    pub fn run_all(&self, changes: &[&Change]) -> Result<Vec<bool>, StoreError> {
        let mut tables: Vec<Table> = changes.iter().flat_map(|change| change.tables()).collect();
        tables.sort_unstable();
        tables.dedup();
        let trees: Vec<&sled::Tree> = tables.iter().filter_map(|table| self.tree(*table)).collect();
        if trees.is_empty() {
            return Ok(vec![true; changes.len()]);
        }
        let pictures = self.pictures.read().unwrap_or_else(PoisonError::into_inner);
        for picture in pictures.iter().filter_map(Weak::upgrade) {
            for (table, key) in changes.iter().flat_map(|change| change.keys()) {
                picture.remember(table, &key, || self.value(table, &key));
            }
        }
        let outcome = trees.as_slice().transaction(|views| {
            let view = |table: Table| views_of(&tables, views, table);
            changes.iter().map(|change| change.run_in(&view)).collect::<Result<Vec<bool>, _>>()
        });
        let ran = outcome.map_err(|e| match e {
            TransactionError::Abort(fault) => *fault,
            TransactionError::Storage(e) => fault(Path::new("transaction"), e),
        })?;
        for (change, _) in changes.iter().zip(&ran).filter(|(_, ran)| **ran) {
            self.watch.ran(change.writes.iter().map(|(table, key, value)| (*table, key.as_str(), value.is_some())));
            self.changed.ran(change.writes.iter().map(|(table, key, _)| (*table, key.as_str())));
        }
        Ok(ran)
    }

    /// Rows of the queues by the code of the queue.
    pub fn queue_counts(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        // Nothing runs while this is held, so that nothing is counted twice.
        let _still = self.pictures.write().unwrap_or_else(PoisonError::into_inner);
        self.watch.counts(|| {
            let mut counts = BTreeMap::new();
            for row in self.scan(Table::Index, &keys::prefix(&[keys::QUEUE])) {
                let row = row?;
                *counts.entry(row.words().get(1).copied().unwrap_or_default().to_owned()).or_default() += 1;
            }
            Ok(counts)
        })
    }

    /// Tells the id of each case that changes from now on.
    pub fn follow(&self) -> broadcast::Receiver<String> {
        self.watch.follow()
    }

    /// The cases that the search has still to see.
    pub fn changed(&self) -> &Changed {
        &self.changed
    }

    /// The rows as they are now, to be read at leisure.
    pub fn picture(&self) -> Picture<'_> {
        let mut pictures = self.pictures.write().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::new(Before::default());
        pictures.retain(|picture| picture.strong_count() > 0);
        pictures.push(Arc::downgrade(&before));
        Picture::new(self, before)
    }

    /// After it returns, every change that ran before the call is on the disk.
    pub fn flush(&self) -> Result<(), StoreError> {
        let Some(log) = &self.log else { return Ok(()) };
        self.db.flush().map_err(|e| fault(Path::new("flush"), e))?;
        log.sync_data().map_err(|e| StoreError::io("sync of the log", e))
    }

    /// Removes every row; those that say what the store is go last.
    pub fn clear(&self) -> Result<(), StoreError> {
        self.trees.iter().rev().try_for_each(|tree| tree.clear().map_err(|e| fault(Path::new("clear"), e)))
    }

    fn tree(&self, table: Table) -> Option<&sled::Tree> {
        self.trees.get(table as usize)
    }

    fn value(&self, table: Table, key: &str) -> Result<Option<Value>, StoreError> {
        let value = self.tree(table).map(|tree| tree.get(key)).transpose();
        value.map(Option::flatten).map_err(|e| fault(Path::new(table.name()), e))
    }
}

impl Change {
    pub fn put<T: Serialize>(&mut self, table: Table, key: String, record: &T) -> Result<(), StoreError> {
        self.writes.push((table, key, Some(record::encode(record)?)));
        Ok(())
    }

    /// Puts a record that is encoded already.
    pub fn put_encoded(&mut self, table: Table, key: String, bytes: Vec<u8>) {
        self.writes.push((table, key, Some(bytes)));
    }

    pub fn remove(&mut self, table: Table, key: String) {
        self.writes.push((table, key, None));
    }

    pub fn count(&mut self, count: Count) {
        self.counts.push(count);
    }

    /// Moves the cursor of a folder forward, or to another UIDVALIDITY.
    pub fn advance(&mut self, position: &Position) {
        self.cursors.push(position.clone());
    }

    fn run_in<'a>(&self, view: &impl Fn(Table) -> Result<&'a TransactionalTree, Stop>) -> Result<bool, Stop> {
        for (table, key, value) in &self.rests_on {
            if view(*table)?.get(key)? != *value {
                return Ok(false);
            }
        }
        for (table, key, value) in &self.writes {
            match value {
                Some(value) => view(*table)?.insert(key.as_bytes(), value.as_slice())?,
                None => view(*table)?.remove(key.as_bytes())?,
            };
        }
        for position in &self.cursors {
            let key = keys::cursor(&position.folder);
            let cursor: Option<Position> = read_in(view(Table::Mailbox)?, Table::Mailbox, &key)?;
            if cursor.is_none_or(|at| at.validity != position.validity || at.uid < position.uid) {
                view(Table::Mailbox)?.insert(key.as_bytes(), record::encode(position).map_err(stop)?)?;
            }
        }
        if !self.counts.is_empty() {
            let known = read_in(view(Table::Meta)?, Table::Meta, keys::COUNTS)?;
            let counts = self.counted(known.unwrap_or_default());
            view(Table::Meta)?.insert(keys::COUNTS.as_bytes(), record::encode(&counts).map_err(stop)?)?;
        }
        Ok(true)
    }

    fn counted(&self, known: Counts) -> Counts {
        let mut counts = known;
        for count in &self.counts {
            match count {
                Count::Case => counts.cases += 1,
                Count::Letter(class) => *counts.letters.entry(class.code()).or_default() += 1,
                Count::ReplyQueued => {
                    counts.replies += 1;
                    counts.waiting += 1;
                }
                Count::NoticeQueued => counts.waiting += 1,
                Count::ReplyGone => counts.waiting = counts.waiting.saturating_sub(1),
                Count::DraftWritten => counts.drafts += 1,
                Count::DraftGone => counts.drafts = counts.drafts.saturating_sub(1),
                Count::Quarantined => counts.quarantined += 1,
                Count::Released => counts.quarantined = counts.quarantined.saturating_sub(1),
            }
        }
        counts
    }

    /// What it may write.
    fn keys(&self) -> Vec<(Table, String)> {
        let writes = self.writes.iter().map(|(table, key, _)| (*table, key.clone()));
        let cursors = self.cursors.iter().map(|position| (Table::Mailbox, keys::cursor(&position.folder)));
        let counts = self.counts.first().map(|_| (Table::Meta, keys::COUNTS.to_owned()));
        writes.chain(cursors).chain(counts).collect()
    }

    fn tables(&self) -> Vec<Table> {
        let rests_on = self.rests_on.iter().map(|(table, ..)| *table);
        let mut tables: Vec<Table> = rests_on.chain(self.keys().into_iter().map(|(table, _)| table)).collect();
        tables.sort_unstable();
        tables.dedup();
        tables
    }
}

impl Row {
    pub fn new(table: Table, key: String, value: Value) -> Self {
        Self { table, key, value }
    }

    pub fn read<T: DeserializeOwned>(&self) -> Result<T, StoreError> {
        record::decode(self.table, &self.key, &self.value)
    }

    /// The record as JSON, without line ends.
    pub fn json(&self) -> &[u8] {
        &self.value
    }

    pub fn words(&self) -> Vec<&str> {
        keys::words(&self.key)
    }

    /// The record, or the key, is not what it should be.
    pub fn corrupt(&self, what: &str) -> StoreError {
        StoreError::Corrupt {
            place: format!("{} {}", self.table.name(), self.words().join(" ")),
            what: what.to_owned(),
        }
    }
}

fn read_row(table: Table, row: sled::Result<(sled::IVec, sled::IVec)>) -> Result<Row, StoreError> {
    let (key, value) = row.map_err(|e| fault(Path::new(table.name()), e))?;
    let key = String::from_utf8(key.to_vec())
        .map_err(|e| StoreError::Corrupt { place: table.name().to_owned(), what: e.to_string() })?;
    Ok(Row { table, key, value })
}

/// Why a transaction stops where it is.
type Stop = ConflictableTransactionError<Box<StoreError>>;

fn stop(error: StoreError) -> Stop {
    Stop::Abort(Box::new(error))
}

fn read_in<T: DeserializeOwned>(view: &TransactionalTree, table: Table, key: &str) -> Result<Option<T>, Stop> {
    view.get(key)?.map(|value| record::decode(table, key, &value)).transpose().map_err(stop)
}

fn views_of<'a>(tables: &[Table], views: &'a [TransactionalTree], table: Table) -> Result<&'a TransactionalTree, Stop> {
    tables.binary_search(&table).ok().and_then(|place| views.get(place)).ok_or_else(|| {
        let what = "no such tree in the transaction".to_owned();
        let fault = StoreError::Corrupt { place: table.name().to_owned(), what };
        Stop::Abort(Box::new(fault))
    })
}

/// A dropped sled lets go of its lock only when its threads have ended. The store's own lock is ours, so that is all a
/// lock held elsewhere can mean here, and it passes.
fn open_released(folder: &Path) -> Result<sled::Db, StoreError> {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        match open_trees(folder) {
            Err(StoreError::Locked { .. }) if Instant::now() < patience => thread::sleep(Duration::from_millis(5)),
            outcome => return outcome,
        }
    }
}

fn open_trees(folder: &Path) -> Result<sled::Db, StoreError> {
    // No background flusher: whoever needs durability flushes, and nothing else should cost a sync.
    let config = sled::Config::new().path(folder).cache_capacity(CACHE).flush_every_ms(None);
    config.open().map_err(|e| fault(folder, e))
}

/// A crash while sled opens leaves `snap.….generating`, which it takes for its newest snapshot and refuses. The log
/// holds all of it. Only safe while no other process has the store: the caller holds the lock.
fn remove_half_written_snapshots(folder: &Path) -> Result<(), StoreError> {
    for path in snapshots(folder)? {
        if path.extension().is_some_and(|end| end == "generating") {
            fs::remove_file(&path).map_err(|e| StoreError::io(path.display(), e))?;
        }
    }
    Ok(())
}

/// Copies the folder beside itself, then takes all snapshots away, so that sled rebuilds from its log.
fn set_snapshots_aside(folder: &Path) -> Result<(), StoreError> {
    let snapshots = snapshots(folder)?;
    let copy = folder.with_extension("before-recovery");
    if !snapshots.is_empty() && !copy.exists() {
        copy_files(folder, &copy).map_err(|e| StoreError::io(copy.display(), e))?;
    }
    fail_point::reached("open-snapshots-copied");
    for path in snapshots {
        fs::remove_file(&path).map_err(|e| StoreError::io(path.display(), e))?;
    }
    Ok(())
}

fn snapshots(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let listing = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        outcome => outcome.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let entries = listing.map_err(|e| StoreError::io(folder.display(), e))?;
    let paths = entries.into_iter().filter(|entry| entry.file_name().to_string_lossy().starts_with("snap."));
    Ok(paths.map(|entry| entry.path()).collect())
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_files(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn fault(place: &Path, error: sled::Error) -> StoreError {
    match error {
        // sled has no kind of its own for a lock held elsewhere.
        sled::Error::Io(e) if e.to_string().contains("could not acquire lock") => {
            StoreError::Locked { path: place.to_owned() }
        }
        sled::Error::Io(e) => StoreError::io(place.display(), e),
        other => StoreError::Corrupt { place: place.display().to_string(), what: other.to_string() },
    }
}
