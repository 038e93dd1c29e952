//! Whether there is room on the disk.

use std::io::Write;
use std::path::Path;

use super::{Store, StoreError};

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
