//! `triage`: a dry run. Takes mail from files into a throw-away store and shows what the daemon would extract, decide
//! and reply; writes and sends nothing.

pub mod page;

mod sources;

use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Failure, Setup, demo, load_offline, report};
use crate::domain::ids::LetterId;
use crate::domain::reply::Sending;
use crate::ports::BEGINNING;
use crate::store::Store;
use crate::worker::settle::{self, Taken};
use crate::worker::{Clock, Office};

/// How a letter is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object a line.
    Json,
    /// A page for people.
    Page { colour: bool },
}

/// Takes `paths` in, in order, as one mailbox; prints each letter.
pub fn run(config: Option<&Path>, form: Form, paths: &[PathBuf], out: &mut dyn Write) -> Result<(), Failure> {
    let (mut setup, config) = match config {
        Some(path) => {
            let config = load_offline(path)?;
            (Setup::new(&config)?, config)
        }
        None => demo::setup()?,
    };
    // What would be said counts, not when.
    setup.terms.sending = Sending::default();
    let mut office = setup.office(&config, Store::temporary()?);
    office.clock = Clock::Arrival;
    for path in paths {
        for letter in sources::letters(path)? {
            let (name, raw) = letter?;
            let (raw, cut_short) = beginning(raw, config.limits.mail_size);
            let taken = take(&office, &raw, cut_short)?;
            match form {
                Form::Json => writeln!(out, "{}", report::triage(&name, &taken))?,
                Form::Page { colour } => page::write(&name, &taken, &office.terms, colour, out)?,
            }
            out.flush()?;
        }
    }
    Ok(())
}

/// A letter as the mailbox would hand it over: of one above the size limit only the beginning.
fn beginning(mut raw: Vec<u8>, limit: u64) -> (Vec<u8>, bool) {
    let cut_short = raw.len() as u64 > limit;
    if cut_short {
        raw.truncate(BEGINNING as usize);
    }
    (raw, cut_short)
}

/// Takes one letter in, without any durability.
pub fn take(office: &Office, raw: &[u8], cut_short: bool) -> Result<Taken, Failure> {
    let reading = match settle::read_one(office, raw.to_vec(), cut_short) {
        Ok(reading) => reading,
        Err(why) => return Ok(Taken::Quarantined { reading: None, why }),
    };
    let place = office.store.keep_raw(&LetterId::from_digest(&Sha256::digest(raw).into()), raw)?;
    settle::settle(office, reading, Some(place), None).map_err(|trouble| Failure::Other(trouble.to_string()))
}
