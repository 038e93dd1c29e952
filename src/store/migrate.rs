//! What an earlier version wrote, rewritten in the forms of this one.
//!
//! Every step may be broken off and done again: records of both forms are read, and the store's own format is raised
//! last. A case is a fold of its events, so that only the events have to be understood.

use std::path::Path;

use super::keys::{self, Table};
use super::record;
use super::tables::{Change, Tables};
use super::{FORMAT, StoreError, compact, raw};
use crate::domain::case::Case;
use crate::domain::event::CaseEvent;
use crate::fail_point;

/// Records that are rewritten as one transaction.
const AT_ONCE: usize = 500;

/// Reads the format, or notes it in a new store. It is on the disk before any mail is: mail without a format is what
/// is left of a store whose log was lost, and to begin anew there would answer everybody a second time.
pub(super) fn check_format(tables: &Tables, path: &Path) -> Result<(), StoreError> {
    match tables.get::<u32>(Table::Meta, keys::VERSION)? {
        Some(found) if found > FORMAT => Err(StoreError::Newer { found, known: FORMAT }),
        Some(FORMAT) => Ok(()),
        None if raw::holds_mail(&path.join("raw"))? => Err(StoreError::corrupt(
            path.join("cases").display().to_string(),
            "the cases are gone, but mail is kept beside them; move the store away and import an export",
        )),
        found => {
            if let Some(format) = found {
                tracing::info!(
                    folder = %path.display(),
                    format,
                    "the store is of an earlier version: bringing it to this one; a copy of what it was is kept beside it"
                );
                // Begun and broken off, it is no longer what the earlier version left: that is kept already.
                if tables.get::<u32>(Table::Meta, keys::MIGRATING)?.is_none() {
                    compact::keep(path, tables, format)?;
                    begin(tables, format)?;
                }
                migrate(tables)?;
            }
            let mut change = Change::default();
            change.remove(Table::Meta, keys::MIGRATING.to_owned());
            change.put(Table::Meta, keys::VERSION.to_owned(), &FORMAT)?;
            tables.run(&change)?;
            tables.flush()
        }
    }
}

/// Notes, on the disk, that records are being rewritten.
fn begin(tables: &Tables, format: u32) -> Result<(), StoreError> {
    let mut change = Change::default();
    change.put(Table::Meta, keys::MIGRATING.to_owned(), &format)?;
    tables.run(&change)?;
    tables.flush()?;
    fail_point::reached("migrate-begun");
    Ok(())
}

/// Brings all records to the forms of this version.
fn migrate(tables: &Tables) -> Result<(), StoreError> {
    for table in Table::ALL {
        let mut changes = Vec::new();
        for row in tables.scan(table, "") {
            let row = row?;
            if table == Table::Meta && [keys::VERSION, keys::MIGRATING].contains(&row.key.as_str()) {
                continue;
            }
            let bytes = record::canonical(table, &row.key, row.json())?;
            if bytes != row.json() {
                let mut change = Change::default();
                change.put_encoded(table, row.key, bytes);
                changes.push(change);
            }
            if changes.len() >= AT_ONCE {
                run(tables, &mut changes)?;
            }
        }
        run(tables, &mut changes)?;
        fail_point::reached("migrate-table");
    }
    refold(tables)
}

/// Makes every case anew from its events.
pub(super) fn refold(tables: &Tables) -> Result<(), StoreError> {
    let mut changes = Vec::new();
    let mut events = tables.scan(Table::Events, "").peekable();
    while let Some(row) = events.next() {
        let row = row?;
        let id = row.words().first().copied().unwrap_or_default().to_owned();
        let mut history: Vec<CaseEvent> = row.read()?;
        while let Some(further) =
            events.next_if(|next| next.as_ref().is_ok_and(|next| next.words().first() == Some(&id.as_str())))
        {
            history.extend(further?.read::<Vec<CaseEvent>>()?);
        }
        let folded = Case::replay(&history).map_err(|e| row.corrupt(&e.to_string()))?;
        if let Some(case) = folded {
            let mut change = Change::default();
            change.put(Table::Cases, id, &case)?;
            changes.push(change);
        }
        if changes.len() >= AT_ONCE {
            run(tables, &mut changes)?;
        }
    }
    run(tables, &mut changes)
}

fn run(tables: &Tables, changes: &mut Vec<Change>) -> Result<(), StoreError> {
    tables.run_all(&changes.iter().collect::<Vec<_>>())?;
    changes.clear();
    Ok(())
}
