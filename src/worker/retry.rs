//! Quarantined letters once more, from the archive, by the path of every letter.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use jiff::Timestamp;

use super::quarantine::quarantine;
use super::settle::{self, Taken};
use super::{Office, Trouble};
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::pipeline::parse;
use crate::ports::BEGINNING;
use crate::store::{Quarantined, Store, StoreError};

/// Takes the letter of an entry in again, and makes it durable. If that goes, the entry is released; if not, it stays,
/// with the new reason.
pub fn again(office: &Arc<Office>, entry: &Quarantined) -> Result<Taken, Trouble> {
    let stays = |why: &str| Ok(Taken::Quarantined { reading: None, why: why.to_owned() });
    let Some(letter) = &entry.letter else {
        return stays("its bytes could not be had: look at it in the mailbox");
    };
    let Some(raw) = office.store.raw(letter)? else {
        return stays("its mail is not in the archive: look at it in the mailbox");
    };
    let _in_work = settle::span(Some(letter)).entered();
    let place = office.store.keep_raw(letter, &raw)?;
    // Whatever is exactly as long as a beginning is taken for one.
    let cut_short = raw.len() as u64 == BEGINNING;
    let reading = settle::read_one(office, raw, cut_short);
    let held = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let taken = match reading {
        Ok(reading) => settle::settle(office, reading, Some(place), None)?,
        Err(why) => quarantine(office, None, Some(letter.clone()), Some(place), None, why)?,
    };
    if matches!(taken, Taken::Again { .. }) {
        office.store.release(entry)?;
    }
    office.store.flush()?;
    drop(held);
    office.ring();
    Ok(taken)
}

/// The entry of a mail that a crash left in the archive, and that the mailbox has no more.
pub fn unentered(letter: LetterId) -> Quarantined {
    Quarantined {
        letter: Some(letter),
        position: None,
        why: "kept, but never taken in".to_owned(),
        at: Timestamp::now(),
        from: None,
        subject: None,
        message_id: None,
    }
}

/// Whether a mail in the archive is a copy of a letter that was taken in, or passes one on.
pub fn is_copy(store: &Store, letter: &LetterId) -> Result<bool, StoreError> {
    let Some(raw) = store.raw(letter)? else { return Ok(false) };
    let parsed = catch_unwind(AssertUnwindSafe(|| parse::letter(&raw, raw.len() as u64 == BEGINNING)));
    match parsed {
        Ok(parsed) => is_seen(store, &parsed),
        Err(_) => Ok(false),
    }
}

fn is_seen(store: &Store, letter: &Letter) -> Result<bool, StoreError> {
    if store.seen(&letter.id, &letter.content, letter.message_id.as_ref())?.is_some() {
        return Ok(true);
    }
    for original in &letter.forwarded {
        if is_seen(store, original)? {
            return Ok(true);
        }
    }
    Ok(false)
}
