//! How much room there is on the disk, and how much the files of a folder take of it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use super::{Store, StoreError};

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free: u64,
    pub total: u64,
    /// How many more files there may be; `None` of a file system that makes what they need as it goes.
    pub files: Option<u64>,
}

/// How much room there is where this folder is.
pub fn room(folder: &Path) -> io::Result<Room> {
    let told = rustix::fs::statvfs(folder)?;
    Ok(Room {
        free: told.f_bavail.saturating_mul(told.f_frsize),
        total: told.f_blocks.saturating_mul(told.f_frsize),
        files: (told.f_files > 0).then_some(told.f_favail),
    })
}

/// The bytes of all files below a folder; what goes meanwhile has none.
pub fn size(folder: &Path) -> io::Result<u64> {
    match files_below(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
        known => known,
    }
}

fn files_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(known) if known.is_dir() => size(&entry.path())?,
            Ok(known) => known.len(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => 0,
            Err(e) => return Err(e),
        };
    }
    Ok(bytes)
}

impl Store {
    /// Whether a few writes would find room in this folder; that it has none is the error.
    pub fn has_room(path: &Path) -> Result<(), StoreError> {
        const ENOUGH: usize = 4 << 20;
        let fill = || {
            let mut file = tempfile::tempfile_in(path)?;
            let some = [0x5a; 1 << 16];
            (0..ENOUGH / some.len()).try_for_each(|_| file.write_all(&some))?;
            file.sync_all()
        };
        fill().map_err(|e| StoreError::io(path.display(), e))
    }
}
