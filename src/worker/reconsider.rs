//! Another order feed or catalogue than before may tell what customers were asked for: each case that waits for one is
//! looked at once, off the letters' path.

use std::sync::PoisonError;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::pulse::Loop;
use super::turn::{Undone, go_on, preview};
use super::{Office, Stop, Trouble, notice};
use crate::domain::case::State;
use crate::domain::ids::CaseId;
use crate::domain::queue::Queue;
use crate::fail_point;
use crate::pipeline::resume::{Cause, Resumed};
use crate::store::NoticeKind;

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
            changed += go_on_with(office, std::mem::take(&mut fresh), now)?;
        }
    }
    changed += go_on_with(office, fresh, now)?;
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

fn go_on_with(office: &Office, cases: Vec<CaseId>, now: Timestamp) -> Result<usize, Trouble> {
    if cases.is_empty() {
        return Ok(0);
    }
    let held = office.durable.lock().unwrap_or_else(PoisonError::into_inner);
    let mut done = 0;
    for id in cases {
        match go_on(office, &id, Cause::Feed, now) {
            Ok(_) => done += 1,
            Err(Undone::Trouble(trouble)) => return Err(trouble),
            Err(undone) => {
                let what = format!("case {id} can't be decided anew by what the feeds tell now: {undone}");
                notice::tell(office, NoticeKind::Waiting, id.to_string(), what)?;
            }
        }
        fail_point::reached("case-reconsidered");
    }
    office.store.flush()?;
    drop(held);
    office.ring();
    Ok(done)
}

/// Identifies what the feeds tell of cases.
fn mark(office: &Office) -> u32 {
    let orders = office.orders.mark();
    let digest = Sha256::digest(format!("{orders:?}{:?}{}", office.terms.catalogue, office.terms.hide_orders));
    digest.iter().take(4).fold(0, |mark, byte| mark << 8 | u32::from(*byte))
}
