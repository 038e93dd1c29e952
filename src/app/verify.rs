//! `verify`: is the store sound? Asks the daemon if one runs.

use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::Path;

use super::findings::{self, Told};
use super::query::{Query, Question, tell_findings};
use super::{Failure, control, load_offline};
use crate::store::{Books, FindingKind, Store, StoreError};
use crate::worker::budget::panic_text;

/// Verifies the store of a configuration, or the store or backup in `folder`; `repair` makes anew what can be.
pub fn run(config: Option<&Path>, folder: Option<&Path>, repair: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let folder = match config {
        Some(config) => load_offline(config)?.store,
        None => folder.unwrap_or(Path::new("")).to_owned(),
    };
    // The second name is that of a database that is just being written anew.
    if !["cases", "cases.old"].iter().any(|name| folder.join(name).is_dir()) {
        return Err(Failure::Other(format!("{}: there is no store", folder.display())));
    }
    let mut found = 0;
    let mut tell = |line: &[u8]| {
        let told: Told = serde_json::from_slice(line)?;
        found += usize::from(told.finding.is_some());
        told.finding.map_or(Ok(()), |finding| findings::write(&finding, out))?;
        told.tally.map_or(Ok(()), |tally| findings::write_tally(&tally, out))
    };
    if repair {
        tell_here(&guarded(&folder, || mended(&folder))?, &mut tell)?;
    } else if !control::ask(&folder, Query::Ask(Question::Verify), &mut tell)? {
        tell_here(&guarded(&folder, || Store::open(&folder)?.verify())?, &mut tell)?;
    }
    findings::verdict(found, "fault in the store", "faults in the store")
}

fn mended(folder: &Path) -> Result<Books, StoreError> {
    let store = Store::open(folder)?;
    let books = store.verify()?;
    if store.repair(&books)? { store.verify() } else { Ok(books) }
}

fn tell_here(books: &Books, tell: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut answer = Vec::new();
    tell_findings(books, &mut answer)?;
    answer.split_inclusive(|byte| *byte == b'\n').try_for_each(tell)
}

/// Reads a store whose files may be damaged in any way: the engine beneath does not always report that as an error.
fn guarded<T>(folder: &Path, read: impl FnOnce() -> Result<T, StoreError>) -> Result<T, Failure> {
    let usual = take_hook();
    // What it panics about is told below, in one line.
    set_hook(Box::new(|_| {}));
    let done = catch_unwind(AssertUnwindSafe(read));
    set_hook(usual);
    let damaged = |what: &str| {
        let (place, remedy) = (folder.join("cases"), FindingKind::Database.remedy());
        Failure::Other(format!("{}: the database is damaged: {what}; {remedy}", place.display()))
    };
    match done {
        Ok(Err(StoreError::Corrupt { what, .. })) => Err(damaged(&what)),
        Ok(done) => Ok(done?),
        Err(panic) => Err(damaged(panic_text(panic.as_ref()).lines().next().unwrap_or_default())),
    }
}
