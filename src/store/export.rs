//! The whole store as JSON lines, and back: a backup that can be read by eye, and the way to another engine.
//!
//! A line for the format, one for each record in the order of trees and keys, one for the number of records, so that a
//! cut file is recognised. A mail stands in a string in which each character is one byte (U+0000 to U+00FF). Where
//! mails lie in the archive is not part of it. Exporting what was imported gives the same bytes.

use std::io::{self, BufRead, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::keys::{self, Table};
use super::tables::{Change, Row};
use super::{FORMAT, RawPlace, Store, StoreError, record};
use crate::domain::ids::LetterId;
use crate::fail_point;

/// Records that an import writes as one transaction.
const AT_ONCE: usize = 500;

/// What an export holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    pub records: u64,
    /// Mails that the archive could not give; the export has a line for each that says so.
    pub lost: Vec<LetterId>,
}

impl Store {
    /// Writes everything as it is at the moment of the call, while the store goes on working. Mail that is erased
    /// meanwhile is in it as erased.
    pub fn export(&self, out: &mut dyn Write) -> Result<Exported, StoreError> {
        let picture = self.inner.tables.picture();
        let mut exported = Exported::default();
        line(out, &Head { aftersalesd_store: FORMAT })?;
        for table in Table::ALL {
            for row in picture.scan(table) {
                let row = row?;
                if table == Table::Raw {
                    self.export_mail(&row, out, &mut exported)?;
                } else if !is_local(table, &row.key) {
                    export_record(table, &row, out)?;
                    exported.records += 1;
                }
            }
        }
        line(out, &End { records: exported.records })?;
        out.flush().map_err(|e| StoreError::io("export", e))?;
        Ok(exported)
    }

    /// As [`Store::open`]; a broken-off import is taken away first.
    pub fn open_to_import(path: &Path) -> Result<Self, StoreError> {
        let store = Self::open_with(path, fail_point::segment_size(super::raw::SEGMENT_SIZE), None)?;
        if store.is_half_imported()? {
            store.undo_import()?;
        }
        Ok(store)
    }

    /// Takes an export into this store, which must be empty, and flushes. After an error it is empty again; until all
    /// is in, it is marked as [`StoreError::HalfImported`].
    pub fn import(&self, from: &mut dyn BufRead) -> Result<(), StoreError> {
        let used = Table::ALL.into_iter().filter(|table| *table != Table::Meta);
        if used.flat_map(|table| self.inner.tables.scan(table, "")).next().is_some() || self.counts()?.cases > 0 {
            return Err(StoreError::NotEmpty { path: self.inner.path.clone() });
        }
        let mut mark = Change::default();
        mark.put(Table::Meta, keys::IMPORTING.to_owned(), &FORMAT)?;
        self.inner.tables.run(&mark)?;
        self.flush()?;
        fail_point::reached("import-marked");
        // An export of an earlier version knows no queues.
        let imported =
            self.import_lines(from).and_then(|()| self.place_all_again()).and_then(|()| self.flush()).and_then(|()| {
                fail_point::reached("import-flushed");
                let mut whole = Change::default();
                whole.remove(Table::Meta, keys::IMPORTING.to_owned());
                self.inner.tables.run(&whole)?;
                self.flush()
            });
        if imported.is_err()
            && let Err(e) = self.undo_import()
        {
            tracing::error!(error = %e, "what was imported so far could not be removed: the store stays marked as not whole");
        }
        imported
    }

    /// Whether an import was broken off.
    pub(super) fn is_half_imported(&self) -> Result<bool, StoreError> {
        Ok(self.inner.tables.get::<u32>(Table::Meta, keys::IMPORTING)?.is_some())
    }

    /// Makes the store empty. Its mark goes last: broken off, this is done again.
    pub(super) fn undo_import(&self) -> Result<(), StoreError> {
        self.inner.archive.clear()?;
        fail_point::reached("import-undone");
        self.inner.tables.clear()?;
        super::migrate::check_format(&self.inner.tables, &self.inner.path)
    }

    fn export_mail(&self, row: &Row, out: &mut dyn Write, exported: &mut Exported) -> Result<(), StoreError> {
        let place: RawPlace = row.read()?;
        match self.inner.archive.read(&place) {
            Ok(None) => line(out, &Mail { erased: true, ..Mail::of(&row.key) })?,
            Ok(Some(raw)) => {
                let mail: String = raw.iter().map(|byte| char::from(*byte)).collect();
                line(out, &Mail { mail: Some(&mail), ..Mail::of(&row.key) })?;
            }
            Err(StoreError::Corrupt { what, .. }) => {
                line(out, &Mail { lost: Some(&what), ..Mail::of(&row.key) })?;
                exported.lost.push(place.letter().clone());
            }
            Err(e) => return Err(e),
        }
        exported.records += 1;
        Ok(())
    }

    fn import_lines(&self, from: &mut dyn BufRead) -> Result<(), StoreError> {
        let (mut text, mut number, mut records, mut changes) = (Vec::new(), 0, 0, Vec::new());
        let mut earlier = false;
        loop {
            text.clear();
            number += 1;
            let fault = |what: String| StoreError::Import { line: number, what };
            if from.read_until(b'\n', &mut text).map_err(|e| StoreError::io("import", e))? == 0 {
                return Err(fault("the export ends before its last line".to_owned()));
            }
            if number == 1 {
                let head: Head = serde_json::from_slice(&text).map_err(|_| fault("not an export".to_owned()))?;
                if head.aftersalesd_store > FORMAT {
                    return Err(StoreError::Newer { found: head.aftersalesd_store, known: FORMAT });
                }
                earlier = head.aftersalesd_store < FORMAT;
            } else if let Ok(End { records: told }) = serde_json::from_slice(&text) {
                return match told == records {
                    true => self.write(&mut changes).and_then(|()| match earlier {
                        true => super::migrate::refold(&self.inner.tables),
                        false => Ok(()),
                    }),
                    false => Err(fault(format!("the export had {told} records, {records} came before this line"))),
                };
            } else {
                let change = self.import_line(&text).map_err(|e| match e {
                    StoreError::Corrupt { what, .. } => fault(what),
                    other => other,
                })?;
                changes.push(change);
                records += 1;
                if changes.len() >= AT_ONCE {
                    self.write(&mut changes)?;
                }
            }
        }
    }

    fn write(&self, changes: &mut Vec<Change>) -> Result<(), StoreError> {
        self.inner.tables.run_all(&changes.iter().collect::<Vec<_>>())?;
        fail_point::reached("import-chunk");
        changes.clear();
        Ok(())
    }

    fn import_line(&self, text: &[u8]) -> Result<Change, StoreError> {
        let corrupt = |what: &str| StoreError::corrupt("line".to_owned(), what);
        let line: Line = serde_json::from_slice(text).map_err(|e| corrupt(&e.to_string()))?;
        let table = Table::ALL.into_iter().find(|table| table.name() == line.table);
        let table = table.ok_or_else(|| corrupt(&format!("no tree is called {}", line.table)))?;
        let mut change = Change::default();
        if table == Table::Raw {
            let letter = LetterId::new(&line.key).map_err(|e| corrupt(&e.to_string()))?;
            let Some(mail) = line.mail else {
                if line.erased {
                    change.put(Table::Raw, line.key, &RawPlace::erased(letter))?;
                    return Ok(change);
                }
                return line.lost.map(|_| change).ok_or_else(|| corrupt("neither a mail nor why it was lost"));
            };
            let raw: Result<Vec<u8>, _> = mail.chars().map(u8::try_from).collect();
            let raw = raw.map_err(|_| corrupt("a mail has a character above U+00FF"))?;
            if super::raw::digest(&raw) != letter {
                return Err(corrupt("the mail is not the one its key names"));
            }
            let place = self.keep_raw(&letter, &raw)?;
            change.put(Table::Raw, line.key, &place)?;
            self.inner.archive.committed(&place, None);
        } else {
            let bytes = record::canonical(table, &line.key, text)?;
            if !says_the_same(text, &bytes) {
                return Err(corrupt("the record holds something that this version of the program does not know"));
            }
            change.put_encoded(table, line.key, bytes);
        }
        Ok(change)
    }
}

#[derive(Serialize, Deserialize)]
struct Head {
    aftersalesd_store: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    records: u64,
}

#[derive(Serialize)]
struct Mail<'a> {
    table: &'a str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    erased: bool,
}

impl<'a> Mail<'a> {
    fn of(key: &'a str) -> Self {
        Self { table: Table::Raw.name(), key, mail: None, lost: None, erased: false }
    }
}

/// A record's line is its form with the tree and the key added, so it is read as the form it is.
#[derive(Deserialize)]
struct Line {
    table: String,
    key: String,
    mail: Option<String>,
    lost: Option<String>,
    #[serde(default)]
    erased: bool,
}

/// Whether nothing of a record's line was lost in reading it: what is not understood is refused, never dropped.
fn says_the_same(line: &[u8], record: &[u8]) -> bool {
    let object = |json: &[u8]| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json).ok();
    let told = object(line).map(|mut told| {
        told.remove("table");
        told.remove("key");
        told
    });
    let (Some(mut told), Some(mut read)) = (told, object(record)) else { return false };
    if told.get("v") == read.get("v") {
        return told == read;
    }
    // An earlier form lacks what came since.
    told.remove("v").zip(read.remove("v")).is_some()
        && told.iter().all(|(name, value)| read.get(name).is_some_and(|read| holds(read, value)))
}

/// Whether `read` has everything that `told` says.
fn holds(read: &serde_json::Value, told: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (read, told) {
        (Object(read), Object(told)) => {
            told.iter().all(|(name, value)| read.get(name).is_some_and(|read| holds(read, value)))
        }
        (Array(read), Array(told)) => {
            read.len() == told.len() && read.iter().zip(told).all(|(read, told)| holds(read, told))
        }
        (read, told) => read == told,
    }
}

/// Whether a row belongs to this copy of the store and not to what it remembers.
fn is_local(table: Table, key: &str) -> bool {
    const KEYS: [&str; 8] = [
        keys::VERSION,
        keys::MIGRATING,
        keys::RAW_FROM,
        keys::IMPORTING,
        keys::DEADLINES,
        keys::FEEDS,
        keys::COMPACT,
        keys::QUEUES,
    ];
    // The queues follow from the cases, and a copy is no place to be signed in at.
    let queued = table == Table::Index && keys::words(key).first() == Some(&keys::QUEUE);
    queued || table == Table::Sessions || table == Table::Meta && KEYS.contains(&key)
}

fn export_record(table: Table, row: &Row, out: &mut dyn Write) -> Result<(), StoreError> {
    let key = serde_json::to_string(&row.key).map_err(|e| row.corrupt(&e.to_string()))?;
    let form = row.json().strip_prefix(b"{").ok_or_else(|| row.corrupt("not a JSON object"))?;
    let write = || {
        write!(out, r#"{{"table":"{}","key":{key},"#, table.name())?;
        out.write_all(form)?;
        out.write_all(b"\n")
    };
    write_fault(write)
}

fn line<T: Serialize>(out: &mut dyn Write, line: &T) -> Result<(), StoreError> {
    let write = || {
        serde_json::to_writer(&mut *out, line)?;
        out.write_all(b"\n")
    };
    write_fault(write)
}

fn write_fault(mut write: impl FnMut() -> io::Result<()>) -> Result<(), StoreError> {
    write().map_err(|e| StoreError::io("export", e))
}
