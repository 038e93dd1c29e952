//! The database written anew. sled's log keeps what a record was before until it happens to write over it: after
//! something was erased, the rows are copied into a new database at the next opening, and the old one is removed.
//!
//! At every moment there is one whole database, under its own name or, between two renames, under that of the copy.
//! A copy of another kind is kept: that of the database as an earlier version left it, to go back to.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;
use super::folder::make_private;
use super::keys::{self, Table};
use super::room::{room, size};
use super::tables::{Change, Tables};
use crate::fail_point;

const LIVE: &str = "cases";
const COPY: &str = "cases.copy";
const OLD: &str = "cases.old";
/// How the name of what an earlier version left begins; its format follows.
const KEPT: &str = "cases.format-";
/// Rows that are copied as one transaction.
const AT_ONCE: usize = 500;

/// Whether something was erased since the database was last written anew.
pub(super) fn is_wanted(tables: &Tables) -> Result<bool, StoreError> {
    Ok(tables.get::<u32>(Table::Meta, keys::COMPACT)?.is_some())
}

/// Notes that something was erased.
pub(super) fn want(change: &mut Change) -> Result<(), StoreError> {
    change.put(Table::Meta, keys::COMPACT.to_owned(), &1u32)
}

/// Puts the database in `store` under its own name and removes what a broken-off copy left. The caller holds the lock.
pub(super) fn finish(store: &Path) -> Result<(), StoreError> {
    let [live, copy, old] = [LIVE, COPY, OLD].map(|name| store.join(name));
    // The old one is only moved away once the copy is whole.
    if !live.exists() && old.exists() {
        rename(store, COPY, LIVE)?;
    }
    remove(&copy)?;
    remove(&old)
}

/// A folder that is not there is removed.
fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(folder.display(), e)),
        _ => Ok(()),
    }
}

/// Keeps a copy of the database, which is of this format and as its version left it, as `cases.format-N`. One that is
/// there is of an earlier time, before somebody went back: it has to go. After an error nothing is left of the copy.
pub(super) fn keep(store: &Path, tables: &Tables, format: u32) -> Result<(), StoreError> {
    check_room(store)?;
    let kept = store.join(format!("{KEPT}{format}"));
    let keeping = || {
        copy(store, tables)?;
        await_release(&store.join(COPY).join("db"))?;
        make_private(&store.join(COPY))?;
        remove(&kept)?;
        fail_point::reached("migrate-copied");
        rename(store, COPY, &format!("{KEPT}{format}"))
    };
    keeping().or_else(|e| {
        // Its bytes may be those that the disk lacks.
        remove(&store.join(COPY))?;
        Err(e)
    })?;
    fail_point::reached("migrate-kept");
    Ok(())
}

/// Whether there is room for a copy of the database: to find out by filling the disk would hinder others.
fn check_room(store: &Path) -> Result<(), StoreError> {
    let measured = || Ok((size(&store.join(LIVE))?, room(store)?.free));
    let (needed, free) = measured().map_err(|e| StoreError::io(store.display(), e))?;
    if needed <= free {
        return Ok(());
    }
    let why = format!("a copy of the database before it is changed needs {} MiB, {} are free", mib(needed), mib(free));
    Err(StoreError::io(store.display(), io::Error::new(io::ErrorKind::StorageFull, why)))
}

fn mib(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// Writes the database in `store` anew. After an error it is there as it was.
pub(super) fn compact(store: &Path, tables: Tables) -> Result<(), StoreError> {
    // What was erased stands in there too.
    remove_kept(store)?;
    copy(store, &tables)?;
    drop(tables);
    // Its threads may still write snapshots, by name.
    for name in [COPY, LIVE] {
        await_release(&store.join(name).join("db"))?;
    }
    fail_point::reached("compact-copied");
    rename(store, LIVE, OLD)?;
    fail_point::reached("compact-moved-away");
    rename(store, COPY, LIVE)?;
    fail_point::reached("compact-in-place");
    finish(store)
}

fn remove_kept(store: &Path) -> Result<(), StoreError> {
    let removed = || {
        for entry in fs::read_dir(store)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(KEPT) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    };
    removed().map_err(|e| StoreError::io(store.display(), e))
}

/// Copies all rows into a database of their own.
fn copy(store: &Path, tables: &Tables) -> Result<(), StoreError> {
    let copy = Tables::open(&store.join(COPY), true)?;
    for table in Table::ALL {
        let mut changes = Vec::new();
        for row in tables.scan(table, "") {
            let row = row?;
            if table == Table::Meta && row.key == keys::COMPACT {
                continue;
            }
            let (mut change, bytes) = (Change::default(), row.json().to_vec());
            change.put_encoded(table, row.key, bytes);
            changes.push(change);
            if changes.len() >= AT_ONCE {
                copy.run_all(&changes.iter().collect::<Vec<_>>())?;
                changes.clear();
            }
        }
        copy.run_all(&changes.iter().collect::<Vec<_>>())?;
    }
    copy.flush()
}

fn rename(store: &Path, from: &str, to: &str) -> Result<(), StoreError> {
    let renamed = || {
        fs::rename(store.join(from), store.join(to))?;
        // A new name is durable only once its folder is.
        File::open(store)?.sync_all()
    };
    renamed().map_err(|e| StoreError::io(store.join(from).display(), e))
}

/// Waits until the engine has let go of its log, which it does when its last thread has ended.
fn await_release(log: &Path) -> Result<(), StoreError> {
    let file = File::open(log).map_err(|e| StoreError::io(log.display(), e))?;
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < patience => thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Busy { what: format!("{} is still in use", log.display()) });
            }
            Err(TryLockError::Error(e)) => return Err(StoreError::io(log.display(), e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// sled keeps large values as files of their own, in a folder below the database's.
    #[test]
    fn a_copy_needs_room_for_all_that_lies_below_the_database() {
        let store = tempfile::tempdir().unwrap();
        fs::create_dir_all(store.path().join(LIVE).join("blobs")).unwrap();
        check_room(store.path()).unwrap();
        // It says that it is larger than the disk, and takes nothing of it.
        let large = File::create(store.path().join(LIVE).join("blobs/7")).unwrap();
        large.set_len(room(store.path()).unwrap().total + 1).unwrap();
        let refused = check_room(store.path()).unwrap_err();
        assert!(refused.is_disk_full(), "{refused}");
    }
}
