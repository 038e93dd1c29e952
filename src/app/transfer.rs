//! `export` and `import`: the whole store as JSON lines, and back.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use super::{Failure, load};
use crate::store::{Store, StoreError};

/// Writes the store to `out`.
pub fn export(config: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let store = Store::open(&load(config)?.store)?;
    let mut out = BufWriter::new(out);
    store.export(&mut out)?;
    out.flush()?;
    Ok(())
}

/// Reads an export into the store, which must be empty. `file` may be `-` for standard input.
pub fn import(config: &Path, file: &Path) -> Result<(), Failure> {
    let store = Store::open_to_import(&load(config)?.store)?;
    let mut from: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let opened = File::open(file).map_err(|e| Failure::Other(format!("{}: {e}", file.display())))?;
        Box::new(BufReader::new(opened))
    };
    store.import(&mut from).map_err(|e| match e {
        StoreError::Import { .. } => Failure::Other(format!("{}: {e}", file.display())),
        other => other.into(),
    })
}
