//! Floor 2: what the program remembers, on disk.
//!
//! A dozen coarse questions and one [`Store::commit`], free of the engine beneath (sled, named in `tables.rs` only).
//! The calls block; an async caller gives them a thread.
//!
//! Promises: a commit is there whole or not at all; once [`Store::flush`] has returned, everything before it outlives
//! a power cut; whatever state a crash left, [`Store::open`] opens it, and a mail it can't vouch for is one that the
//! mailbox was never told to be done with, and is asked for again.

mod accounts;
mod books;
mod commit;
mod compact;
mod drafts;
mod due;
mod erase;
mod export;
mod finding;
mod folder;
mod histories;
mod keys;
mod migrate;
mod notices;
mod outbox;
mod picture;
mod quarantine;
mod queues;
mod raw;
mod record;
mod room;
mod search;
mod start;
mod tables;
#[cfg(test)]
mod tests;
mod tokens;
mod verify;
mod webhooks;

pub use books::{Account, Books, Kept};
pub use commit::{CaseStep, Claimed, Commit, CommitError, HeldBack, LetterEntry};
pub use erase::{Erased, Erasing};
pub use export::Exported;
pub use finding::{Finding, FindingKind, Tally};
pub use folder::make_private;
pub use notices::{Notice, NoticeKind, Raised};
pub use outbox::{OutboxKey, Waiting};
pub use quarantine::Quarantined;
pub use queues::Queued;
pub use raw::RawPlace;
pub use room::{Room, room, size};
pub use search::{Found, SearchState};
pub use tokens::{DoneOnce, Once};
pub use webhooks::{Delivered, Message, Posted, Posting, Subscription};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::folder::{check_owner, create_folder, lock};
use self::keys::Table;
use self::raw::Archive;
use self::record::{Claim, Unmarked};
use self::search::Search;
use self::tables::{Change, Tables};
use crate::domain::case::Case;
use crate::domain::decision::Class;
use crate::domain::event::CaseEvent;
use crate::domain::ids::{Address, CaseId, LetterId, MessageId, OrderNumber, RmaNumber, Sku};
use crate::fail_point;
use crate::ports::Position;

/// The format of the store as a whole; a newer one is refused, an older one is this one once it was opened.
const FORMAT: u32 = record::VERSION;

/// The store. Clones are handles of the same one.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Fields are dropped in this order: the lock goes after what it guards, the folder last.
struct Inner {
    tables: Tables,
    archive: Archive,
    search: Search,
    flush_failed: AtomicBool,
    subscriptions: RwLock<Arc<Vec<Subscription>>>,
    _lock: File,
    _temporary: Option<tempfile::TempDir>,
    path: PathBuf,
}

/// Why the store can't do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{} is in use by another process", path.display())]
    Locked { path: PathBuf },
    /// What root makes in there its owner can't open.
    #[error("{} belongs to {owner}, who could not open what root writes there: {remedy}", path.display())]
    Anothers { path: PathBuf, owner: String, remedy: String },
    #[error(
        "written by a newer version of this program (format {found}; this one knows {known}): install that version again, \
         or go back to a store of before"
    )]
    Newer { found: u32, known: u32 },
    #[error("damaged record at {place}: {what}")]
    Corrupt { place: String, what: String },
    #[error("{place}: {source}")]
    Io { place: String, source: io::Error },
    /// What was written since is in doubt.
    #[error("{}: an earlier flush failed; the store has to be opened anew", path.display())]
    Spent { path: PathBuf },
    /// What was asked can't be done beside what is going on.
    #[error("{what}")]
    Busy { what: String },
    #[error("{} is not empty: an export is only read into an empty store", path.display())]
    NotEmpty { path: PathBuf },
    #[error("{} is not whole: an import into it was broken off; import the export again", path.display())]
    HalfImported { path: PathBuf },
    /// The index of the search; the store itself is as it was.
    #[error("search: {what}")]
    Search { what: String },
    #[error("line {line}: {what}")]
    Import { line: u64, what: String },
}

impl StoreError {
    /// Whether the same call may well succeed later without anybody repairing anything.
    pub fn is_temporary(&self) -> bool {
        use io::ErrorKind::{Interrupted, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock};
        match self {
            Self::Locked { .. } | Self::Spent { .. } | Self::Busy { .. } | Self::Search { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                Interrupted | QuotaExceeded | ResourceBusy | StorageFull | TimedOut | WouldBlock
            ),
            Self::Anothers { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::NotEmpty { .. }
            | Self::HalfImported { .. }
            | Self::Import { .. } => false,
        }
    }

    /// Whether the folder can't be used before somebody changes whose it is, where it is or what may be written.
    pub fn is_of_the_folder(&self) -> bool {
        use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), NotADirectory | PermissionDenied | ReadOnlyFilesystem)
            }
            _ => false,
        }
    }

    /// Whether the disk failed us: what is on it shows when the store is opened anew, and so whether it goes on.
    pub fn is_of_the_disk(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Spent { .. })
    }

    /// Whether there was no room on the disk.
    pub fn is_disk_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), QuotaExceeded | StorageFull))
    }

    fn io(place: impl fmt::Display, source: io::Error) -> Self {
        Self::Io { place: place.to_string(), source }
    }

    fn corrupt(place: String, what: &str) -> Self {
        Self::Corrupt { place, what: what.to_owned() }
    }
}

/// What became of a letter that was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub letter: LetterId,
    pub case: Option<CaseId>,
    pub class: Class,
    pub at: Timestamp,
}

/// How many there are, kept by the commits themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub cases: u64,
    /// Letters taken in, by the code of their class.
    pub letters: BTreeMap<String, u64>,
    /// Replies written, sent or not.
    pub replies: u64,
    /// Replies in the outbox.
    pub waiting: u64,
    /// Letters that are held back; none of the replies above.
    #[serde(default, skip_serializing_if = "is_none")]
    pub drafts: u64,
    pub quarantined: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

impl Store {
    /// Opens the store in folder `path`, or creates it there, readable by its owner alone. Puts right what a crash
    /// left behind. What is left of a broken-off import is refused as [`StoreError::HalfImported`], to root what is
    /// another's as [`StoreError::Anothers`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Self::open_with(path, fail_point::segment_size(raw::SEGMENT_SIZE), None)?;
        match store.is_half_imported()? {
            true => Err(StoreError::HalfImported { path: path.to_owned() }),
            false => Ok(store),
        }
    }

    /// An empty store that goes with its last handle. Nothing in it is ever made durable.
    pub fn temporary() -> Result<Self, StoreError> {
        let folder = tempfile::tempdir().map_err(|e| StoreError::io("temporary folder", e))?;
        let path = folder.path().to_owned();
        Self::open_with(&path, raw::SEGMENT_SIZE, Some(folder))
    }

    fn open_with(path: &Path, segment_size: u64, temporary: Option<tempfile::TempDir>) -> Result<Self, StoreError> {
        let durable = temporary.is_none();
        if durable {
            check_owner(path)?;
        }
        create_folder(path)?;
        let lock = lock(path)?;
        fail_point::reached("open-locked");
        compact::finish(path)?;
        create_folder(&path.join("raw"))?;
        create_folder(&path.join("cases"))?;
        let mut tables = Tables::open(&path.join("cases"), durable)?;
        if durable && compact::is_wanted(&tables)? {
            // There may be no room for a copy; what was erased is gone from all records either way.
            if let Err(e) = compact::compact(path, tables) {
                tracing::warn!(folder = %path.display(), error = %e, "the database can't be written anew: bytes of what was erased stay in its log until the next opening");
                compact::finish(path)?;
            }
            tables = Tables::open(&path.join("cases"), durable)?;
        }
        migrate::check_format(&tables, path)?;
        fail_point::reached("open-format-noted");
        let from = tables.get::<u32>(Table::Meta, keys::RAW_FROM)?.unwrap_or(1);
        let (archive, unknown) = Archive::open(path.join("raw"), segment_size, durable, from, |place| {
            Ok(tables.get::<RawPlace>(Table::Raw, place.letter().as_str())?.as_ref() == Some(place))
        })?;
        fail_point::reached("open-archive-cut");
        let inner = Inner {
            tables,
            archive,
            search: Search::new(path.join(search::FOLDER)),
            flush_failed: AtomicBool::new(false),
            subscriptions: RwLock::default(),
            _lock: lock,
            _temporary: temporary,
            path: path.to_owned(),
        };
        for name in ["raw", "cases"] {
            make_private(&path.join(name))?;
        }
        let store = Self { inner: Arc::new(inner) };
        store.index_found(&unknown)?;
        fail_point::reached("open-mail-indexed");
        store.ask_again_for_lost_mail()?;
        fail_point::reached("open-lost-mail-asked-for");
        store.place_all()?;
        fail_point::reached("open-cases-placed");
        Ok(store)
    }

    /// Makes everything before the call durable: the archive first, since what is committed names what lies there.
    ///
    /// After a failure every further flush fails: the system may have dropped what it could not write and would then
    /// report the next attempt as a success. Opening anew shows what is there.
    pub fn flush(&self) -> Result<(), StoreError> {
        if self.inner.flush_failed.load(Ordering::SeqCst) {
            return Err(StoreError::Spent { path: self.inner.path.clone() });
        }
        fail_point::reached("flush-begun");
        let flushed = self.inner.archive.sync().and_then(|()| {
            fail_point::reached("flush-archive-synced");
            self.inner.tables.flush()
        });
        if flushed.is_err() {
            self.inner.flush_failed.store(true, Ordering::SeqCst);
        }
        fail_point::reached("flush-done");
        flushed
    }

    /// Keeps a mail in the archive; `letter` is its digest. A [`Commit`] has to name the place, [`Store::flush`] to
    /// make it durable. The same mail is kept once.
    pub fn keep_raw(&self, letter: &LetterId, raw: &[u8]) -> Result<RawPlace, StoreError> {
        if let Some(place) = self.raw_place(letter)? {
            return Ok(place);
        }
        self.inner.archive.append(letter, raw)
    }

    /// A mail as it came; `None`: never kept, or erased.
    pub fn raw(&self, letter: &LetterId) -> Result<Option<Vec<u8>>, StoreError> {
        match self.raw_place(letter)? {
            Some(place) => self.inner.archive.read(&place),
            None => Ok(None),
        }
    }

    /// What became of this letter, if it was taken in before: same Message-ID and content; without a Message-ID, the
    /// same mail byte for byte.
    pub fn seen(
        &self,
        letter: &LetterId,
        content: &LetterId,
        message_id: Option<&MessageId>,
    ) -> Result<Option<Seen>, StoreError> {
        let seen = self.inner.tables.get(Table::Seen, &keys::seen_as(letter, content, message_id))?;
        match message_id {
            Some(id) if seen.is_none() => self.inner.tables.get(Table::Seen, &keys::gone(id, content)),
            _ => Ok(seen),
        }
    }

    /// Every letter that was taken in, one at a time, in no order that means anything.
    pub fn letters(&self) -> impl Iterator<Item = Result<Seen, StoreError>> + use<> {
        self.inner.tables.scan(Table::Seen, "").map(|row| row?.read())
    }

    pub fn case(&self, id: &CaseId) -> Result<Option<Case>, StoreError> {
        self.inner.tables.get(Table::Cases, id.as_str())
    }

    /// The events of a case, oldest first.
    pub fn events(&self, case: &CaseId) -> Result<Vec<CaseEvent>, StoreError> {
        let mut events = Vec::new();
        for row in self.inner.tables.scan(Table::Events, &keys::prefix(&[case.as_str()])) {
            events.extend(row?.read::<Vec<CaseEvent>>()?);
        }
        Ok(events)
    }

    /// All cases in the order of their ids, one at a time.
    pub fn cases(&self) -> impl Iterator<Item = Result<Case, StoreError>> + use<> {
        self.inner.tables.scan(Table::Cases, "").map(|row| row?.read())
    }

    /// The case that a reply or a letter with this Message-ID belongs to.
    ///
    /// A letter names its id itself: where several bear the same one, our own reply goes before, then the letter that
    /// came first, so that nobody can lead a thread away.
    pub fn case_of_message(&self, id: &MessageId) -> Result<Option<CaseId>, StoreError> {
        if let Some(case) = self.inner.tables.get(Table::Index, &keys::reply(id))? {
            return Ok(Some(case));
        }
        let mut first: Option<Seen> = None;
        for row in self.inner.tables.scan(Table::Seen, &keys::prefix(&["id", id.as_str()])) {
            let seen: Seen = row?.read()?;
            if seen.case.is_some() && first.as_ref().is_none_or(|first| seen.at < first.at) {
                first = Some(seen);
            }
        }
        Ok(first.and_then(|seen| seen.case))
    }

    pub fn case_of_rma(&self, number: &RmaNumber) -> Result<Option<CaseId>, StoreError> {
        self.inner.tables.get(Table::Index, &keys::rma(number))
    }

    /// The cases that this address opened, oldest first.
    pub fn cases_of_sender(&self, address: &Address) -> Result<Vec<CaseId>, StoreError> {
        let prefix = keys::prefix(&["sender", address.as_str()]);
        self.inner.tables.scan(Table::Index, &prefix).map(|row| row?.read()).collect()
    }

    /// The cases that this address opened last, at most `limit`, the latest first.
    pub fn latest_cases_of_sender(&self, address: &Address, limit: usize) -> Result<Vec<CaseId>, StoreError> {
        let prefix = keys::prefix(&["sender", address.as_str()]);
        self.inner.tables.scan_back(Table::Index, &prefix).take(limit).map(|row| row?.read()).collect()
    }

    /// The case and RMA that hold an order line. A line once held stays held, also when its case is closed.
    pub fn rma_of_line(&self, order: &OrderNumber, sku: &Sku) -> Result<Option<(CaseId, RmaNumber)>, StoreError> {
        let claim: Option<Claim> = self.inner.tables.get(Table::Index, &keys::line(order, sku))?;
        Ok(claim.map(|claim| (claim.case, claim.rma)))
    }

    /// The highest position of a folder that was taken in. Its UIDVALIDITY may no longer be the server's.
    pub fn cursor(&self, folder: &str) -> Result<Option<Position>, StoreError> {
        self.inner.tables.get(Table::Mailbox, &keys::cursor(folder))
    }

    /// The letters of a folder that are committed, but which the mailbox was not told to be done with.
    pub fn unmarked(&self, folder: &str) -> Result<Vec<Position>, StoreError> {
        let rows = self.inner.tables.scan(Table::Mailbox, &keys::prefix(&["unmarked", folder]));
        rows.map(|row| row?.read::<Unmarked>().map(|unmarked| unmarked.position)).collect()
    }

    /// The mailbox was told of these.
    pub fn marked(&self, positions: &[Position]) -> Result<(), StoreError> {
        let mut change = Change::default();
        for position in positions {
            change.remove(Table::Mailbox, keys::unmarked(position));
        }
        self.inner.tables.run(&change).map(|_| ())
    }

    pub fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.inner.tables.get(Table::Meta, keys::COUNTS)?.unwrap_or_default())
    }

    fn raw_place(&self, letter: &LetterId) -> Result<Option<RawPlace>, StoreError> {
        match self.inner.archive.pending(letter) {
            Some(place) => Ok(Some(place)),
            None => self.inner.tables.get(Table::Raw, letter.as_str()),
        }
    }

    /// Whole mails that no commit named, or whose index entries were lost.
    fn index_found(&self, places: &[RawPlace]) -> Result<(), StoreError> {
        for some in places.chunks(1000) {
            let mut change = Change::default();
            for place in some {
                change.put(Table::Raw, place.letter().to_string(), place)?;
            }
            self.inner.tables.run(&change)?;
        }
        Ok(())
    }

    /// After a power cut a commit may be on the disk and its mail not. The mailbox was not told of such a letter, so
    /// the cursor goes back to before it; it comes again, is recognised, and its mail is kept this time.
    fn ask_again_for_lost_mail(&self) -> Result<(), StoreError> {
        let mut change = Change::default();
        let mut rewound = BTreeSet::new();
        for row in self.inner.tables.scan(Table::Mailbox, &keys::prefix(&["unmarked"])) {
            let row = row?;
            let Unmarked { position, letter: Some(letter) } = row.read()? else { continue };
            match self.raw(&letter) {
                Err(StoreError::Corrupt { .. }) => {}
                Err(e) => return Err(e),
                Ok(_) => continue,
            }
            change.remove(Table::Raw, letter.to_string());
            change.remove(Table::Mailbox, row.key.clone());
            let cursor = self.cursor(&position.folder)?;
            // In the order of their UIDs: the first of a folder is the lowest.
            if cursor.is_some_and(|at| at.validity == position.validity) && rewound.insert(position.folder.clone()) {
                let before = Position { uid: position.uid.saturating_sub(1), ..position };
                change.put(Table::Mailbox, keys::cursor(&before.folder), &before)?;
            }
        }
        self.inner.tables.run(&change).map(|_| ())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
