//! `export`, `import` and `backup`: the whole store as JSON lines, back, and as a second store. Export and backup ask
//! the daemon if one runs, which goes on working.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;

use jiff::Timestamp;

use super::query::{Query, Question, consult};
use super::{Failure, load_offline};
use crate::config::Config;
use crate::store::{Counts, Store, StoreError, make_private};

/// Writes the store to `out`.
pub fn export(config: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    consult(&load_offline(config)?, &Query::Ask(Question::Export), &mut |line| out.write_all(line))?;
    Ok(out.flush()?)
}

/// Reads an export into the store, which must be empty. `file` may be `-` for standard input.
pub fn import(config: &Path, file: &Path) -> Result<(), Failure> {
    let store = Store::open_to_import(&load_offline(config)?.store)?;
    let mut from: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let opened = File::open(file).map_err(|e| Failure::Other(format!("{}: {e}", file.display())))?;
        Box::new(BufReader::new(opened))
    };
    store.import(&mut from).map_err(|e| match e {
        StoreError::Import { .. } | StoreError::Newer { .. } => Failure::Other(format!("{}: {e}", file.display())),
        other => other.into(),
    })
}

/// Lines of an export on their way into the backup; one may be a mail of 35 MiB.
const IN_FLIGHT: usize = 4;

/// Makes a store in the folder `target`, new or empty, that holds what the configured store holds at this moment.
pub fn backup(config: &Path, target: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load_offline(config)?;
    let named = |path: &Path, e: &io::Error| Failure::Other(format!("{}: {e}", path.display()));
    match fs::read_dir(target).map(|mut entries| entries.next().is_some()) {
        Ok(true) => {
            return Err(Failure::Other(format!("{} is not empty: a backup needs a new folder", target.display())));
        }
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(named(target, &e)),
        _ => {}
    }
    // Half a backup must not be taken for one: it gets its name when it is whole.
    let mut partial = target.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    if partial.exists() {
        return Err(Failure::Other(format!("{} is left of a backup that broke off: remove it", partial.display())));
    }
    let counts = match copy(&config, &partial) {
        Ok(counts) => counts,
        Err(failure) => {
            fs::remove_dir_all(&partial).or_else(|e| match e.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(named(&partial, &e)),
            })?;
            return Err(failure);
        }
    };
    // The engine has made files since the store was opened, and a backup may be moved out of the folder that keeps others out.
    make_private(&partial)?;
    fs::rename(&partial, target).map_err(|e| named(target, &e))?;
    if let Err(e) = note_backup(&config.store) {
        tracing::warn!(error = %e, "the backup is made, but the store's folder can't note that");
    }
    let letters: u64 = counts.letters.values().sum();
    writeln!(out, "{}: {} cases, {letters} letters, {} replies", target.display(), counts.cases, counts.replies)?;
    Ok(())
}

/// The file in the store's folder that tells `doctor` when the last backup was made.
pub(super) const LAST_BACKUP: &str = "last-backup";

/// Notes in the store's folder that there is a backup of now.
fn note_backup(store: &Path) -> io::Result<()> {
    let file = store.join(LAST_BACKUP);
    // One that another user's command has left can be removed by the folder's owner, but not written to.
    match fs::remove_file(&file) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut opened = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
    writeln!(opened, "{:.0}", Timestamp::now())
}

fn copy(config: &Config, target: &Path) -> Result<Counts, Failure> {
    let store = Store::open(target)?;
    let (lines, arriving) = mpsc::sync_channel::<Vec<u8>>(IN_FLIGHT);
    thread::scope(|scope| {
        let mut arriving = BufReader::new(Arriving { lines: arriving, line: io::Cursor::default() });
        let writing = store.clone();
        let importing = scope.spawn(move || writing.import(&mut arriving));
        let read = consult(config, &Query::Ask(Question::Export), &mut |line| {
            lines.send(line.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe.into())
        });
        drop(lines);
        let imported = importing.join().map_err(|_| Failure::Other("the backup's writer broke".to_owned()))?;
        match (imported, read) {
            // What an import misses, its reader did not give; what a reader can't hand over, the import did not take.
            (Err(StoreError::Import { .. }) | Ok(()), Err(failure)) => Err(failure),
            (Err(e), _) => Err(e.into()),
            (Ok(()), Ok(())) => Ok(()),
        }
    })?;
    Ok(store.counts()?)
}

/// The export, as the importer reads it.
struct Arriving {
    lines: mpsc::Receiver<Vec<u8>>,
    line: io::Cursor<Vec<u8>>,
}

impl io::Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.line.read(buffer)?;
        if got > 0 {
            return Ok(got);
        }
        match self.lines.recv() {
            Ok(line) => {
                self.line = io::Cursor::new(line);
                self.line.read(buffer)
            }
            // The export has ended.
            Err(mpsc::RecvError) => Ok(0),
        }
    }
}
