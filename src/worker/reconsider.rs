//! Another order feed or catalogue than before may tell what customers were asked for: each case that waits for one is
//! looked at once, off the letters' path.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::pulse::Loop;
use super::turn::{Undone, go_on_with, preview};
use super::{Office, Stop, Trouble};
use crate::domain::case::State;
use crate::domain::ids::CaseId;
use crate::domain::queue::Queue;
use crate::pipeline::resume::{Cause, Resumed};

/// Cases that are gone on with in one go, before a flush: letters wait for so many at most.
const BATCH: usize = 20;

/// Goes on with the waiting cases of which the feeds tell more; gives their number. Broken off by a stop or a crash, it is
/// done again from the beginning: whatever was done already is not done twice.
pub fn reconsider(office: &Office, stop: &Stop, now: Timestamp) -> Result<usize, Trouble> {
    let mark = mark(office);
    if office.store.feeds_mark()? == Some(mark) {
        return Ok(0);
    }
    let (mut changed, mut fresh) = (0, Vec::new());
    for queued in office.store.queued(Queue::AwaitingCustomer, None) {
        if stop.is_wished() {
            return Ok(changed);
        }
        office.health.pulse.beats(Loop::Clock);
        let id = queued?.case;
        if is_news(office, &id, now)? {
            fresh.push(id);
        }
        if fresh.len() == BATCH {
            changed += go_on_with(office, &std::mem::take(&mut fresh), Cause::Feed, now)?.0;
        }
    }
    changed += go_on_with(office, &fresh, Cause::Feed, now)?.0;
    office.store.mark_feeds(mark)?;
    office.store.flush()?;
    if changed > 0 {
        tracing::info!(cases = changed, "the feeds tell more: waiting cases were decided anew");
    }
    Ok(changed)
}

/// Whether something would happen to the case. What can't be said is found by trying.
fn is_news(office: &Office, id: &CaseId, now: Timestamp) -> Result<bool, Trouble> {
    let Some(case) = office.store.case(id)?.filter(|case| case.state == State::AwaitingInfo) else { return Ok(false) };
    match preview(office, &case, Cause::Feed, now) {
        Ok(resumed) => Ok(resumed != Resumed::default()),
        Err(Undone::Trouble(trouble)) => Err(trouble),
        Err(_) => Ok(true),
    }
}

/// Identifies what the feeds tell of cases.
fn mark(office: &Office) -> u32 {
    let orders = office.orders.mark();
    let digest = Sha256::digest(format!("{orders:?}{:?}{}", office.terms.catalogue, office.terms.hide_orders));
    digest.iter().take(4).fold(0, |mark, byte| mark << 8 | u32::from(*byte))
}
