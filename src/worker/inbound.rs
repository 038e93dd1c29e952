//! Letters in: fetch → keep raw → read → look up → answer → commit → flush → tell the mailbox.
//!
//! Three stages overlap, joined by bounded channels: the mailbox fetches the next batch while reader threads read this
//! one and the one writer commits the last. A batch is flushed once; only then is the mailbox told and do its replies
//! leave. A letter that can't be handled goes to quarantine and never holds up the next.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tracing::Span;

use super::pulse::Loop;
use super::quarantine::quarantine;
use super::settle::{self, Taken, order_number, read_one, settle};
use super::{Office, Stop, Trouble, blocking, notice, on_thread, pace, start};
use crate::domain::ids::{LetterId, masked};
use crate::fail_point;
use crate::pipeline::Reading;
use crate::ports::{Content, FaultKind, FirstStart, Incoming, Mailbox, Position};
use crate::store::{Commit, NoticeKind, RawPlace, StoreError};

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub letters: usize,
    pub quarantined: usize,
}

impl Progress {
    /// Long work says how far it is.
    fn add(&mut self, done: &Done) {
        const EVERY: usize = 1000;
        let before = self.letters / EVERY;
        self.letters += done.positions.len();
        self.quarantined += done.quarantined;
        if self.letters / EVERY > before {
            tracing::info!(letters = self.letters, "taking in letters");
        }
    }
}

/// Failures in a row after which staff are told: about a minute.
const STOPPED: u32 = 5;

/// Takes in letters until it is wished to stop: drains the mailbox, waits for news, comes back after every fault but
/// one of the disk, after which the store has to be opened anew.
pub async fn run(
    mailbox: &mut impl Mailbox,
    folder: &str,
    office: &Arc<Office>,
    mut stop: Stop,
) -> Result<(), Trouble> {
    let mut failures = 0;
    while !stop.is_wished() {
        office.health.pulse.beats(Loop::Letters);
        let trouble = match drain(mailbox, folder, office, &stop).await {
            Ok(progress) => {
                failures = 0;
                office.health.intake_runs();
                if progress.letters > 0 {
                    tracing::info!(letters = progress.letters, quarantined = progress.quarantined, "mailbox drained");
                }
                office.health.pulse.rests(Loop::Letters);
                let waited = tokio::select! {
                    waited = mailbox.wait() => waited,
                    () = stop.wished() => return Ok(()),
                };
                match waited {
                    Ok(()) => continue,
                    Err(fault) => Trouble::from(fault),
                }
            }
            Err(trouble) if trouble.is_of_the_disk() => return Err(trouble),
            Err(trouble) => trouble,
        };
        failures += 1;
        office.health.intake_stopped(&trouble.to_string());
        if let Trouble::Mailbox(fault) = &trouble {
            office.health.mailbox(Err(&fault.what));
        }
        if failures >= STOPPED || matches!(&trouble, Trouble::Mailbox(f) if f.kind != FaultKind::Temporary) {
            let (of, folder) = (Arc::clone(office), folder.to_owned());
            let what = format!("no mail is taken in: {trouble}");
            let told = blocking(move || {
                notice::tell(&of, NoticeKind::IntakeStopped, folder, what).and_then(|()| of.store.flush())
            });
            office.noting(told.await)?;
        }
        let wait = match &trouble {
            Trouble::Mailbox(fault) => pace::reconnect(failures, fault.kind),
            _ => pace::reconnect(failures, FaultKind::Temporary),
        };
        let trouble = masked(&trouble.to_string());
        tracing::error!(trouble, failures, wait_seconds = wait.as_secs(), "taking in letters failed; will try again");
        office.health.pulse.rests(Loop::Letters);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.wished() => {}
        }
    }
    Ok(())
}

/// Takes in everything that waits in the mailbox.
pub async fn drain(
    mailbox: &mut impl Mailbox,
    folder: &str,
    office: &Arc<Office>,
    stop: &Stop,
) -> Result<Progress, Trouble> {
    office.noting(drain_through_stages(mailbox, folder, office, stop).await)
}

async fn drain_through_stages(
    mailbox: &mut impl Mailbox,
    folder: &str,
    office: &Arc<Office>,
    stop: &Stop,
) -> Result<Progress, Trouble> {
    let store = office.store.clone();
    let of = folder.to_owned();
    let (mut after, unmarked) = blocking(move || Ok((store.cursor(&of)?, store.unmarked(&of)?))).await?;
    tell(mailbox, office, unmarked).await?;
    if after.is_none() {
        after = start::first(mailbox, office).await?;
    }
    let first = start::again(mailbox, folder, office, &mut after).await?;
    mailbox.leave_alone(first.clone());
    let (batches, mut told) = Stages::start(office, stop);
    let mut progress = Progress::default();
    let mut in_hand = 0;
    let mut is_empty = false;
    let fetched = async {
        while !stop.is_wished() && !office.has_failed_disk() {
            let batch = mailbox.fetch(after.as_ref()).await?;
            office.health.mailbox(Ok(()));
            office.health.pulse.beats(Loop::Letters);
            is_empty = batch.is_empty();
            let Some(last) = batch.last() else { break };
            after = Some(last.position.clone());
            fail_point::reached("letters-fetched");
            // A closed channel: a stage has failed, and says why below.
            if batches.send(batch).await.is_err() {
                break;
            }
            in_hand += 1;
            while let Ok(done) = told.try_recv() {
                let done = done?;
                in_hand -= 1;
                progress.add(&done);
                tell(mailbox, office, done.positions).await?;
            }
        }
        Ok::<(), Trouble>(())
    }
    .await;
    drop(batches);
    // A wish to stop leaves nothing untold. After a fault the connection is gone: the next pass begins with what is unmarked.
    while let Some(done) = told.recv().await {
        let done = done?;
        in_hand -= 1;
        progress.add(&done);
        if fetched.is_ok() {
            tell(mailbox, office, done.positions).await?;
        }
    }
    match fetched {
        Ok(()) if in_hand > 0 => Err(Trouble::Broken("taking in a batch of letters broke off".to_owned())),
        Ok(()) => {
            // After a wish to stop there may be letters that were given up.
            if let (Some(FirstStart { position, .. }), true) = (first, is_empty && !stop.is_wished()) {
                let store = office.store.clone();
                blocking(move || store.pass(&position)).await?;
            }
            Ok(progress)
        }
        Err(trouble) => Err(trouble),
    }
}

/// Tells the mailbox that letters are handled, then notes that it knows.
async fn tell(mailbox: &mut impl Mailbox, office: &Arc<Office>, positions: Vec<Position>) -> Result<(), Trouble> {
    if positions.is_empty() {
        return Ok(());
    }
    fail_point::reached("mailbox-to-be-told");
    mailbox.done(&positions).await?;
    office.health.pulse.beats(Loop::Letters);
    fail_point::reached("mailbox-told");
    let store = office.store.clone();
    blocking(move || store.marked(&positions)).await?;
    fail_point::reached("mailbox-noted");
    Ok(())
}

/// A batch that is durable.
#[derive(Debug)]
struct Done {
    positions: Vec<Position>,
    quarantined: usize,
}

/// A letter on its way from the readers to the writer.
struct Read {
    position: Position,
    raw: Option<RawPlace>,
    reading: Result<Box<Reading>, String>,
    letter: Option<LetterId>,
    span: Span,
}

/// A letter whose raw mail is kept: where it lay, since when, its id, its place, its bytes and whether they are only its
/// beginning.
type Kept = (Position, Option<Timestamp>, Result<(LetterId, RawPlace, Vec<u8>, bool), String>);

struct Stages;

impl Stages {
    /// Starts the reading and the writing stage; they end when the sender is dropped.
    #[allow(clippy::type_complexity, reason = "two channel ends, named where they are received")]
    fn start(
        office: &Arc<Office>,
        stop: &Stop,
    ) -> (mpsc::Sender<Vec<Incoming>>, mpsc::Receiver<Result<Done, Trouble>>) {
        let (batches, mut arriving) = mpsc::channel::<Vec<Incoming>>(1);
        let (read, mut ready) = mpsc::channel::<Result<Vec<Read>, Trouble>>(1);
        // Small messages; a slow mailbox must not hold up the writer.
        let (done, told) = mpsc::channel(1024);
        let (reader, stop) = (Arc::clone(office), stop.clone());
        on_thread(move || {
            while let Some(batch) = arriving.blocking_recv() {
                let result = read_batch(batch, &reader).and_then(|read| ask_ahead(read, &reader, &stop));
                let failed = result.is_err();
                if read.blocking_send(result).is_err() || failed {
                    break;
                }
            }
        });
        let writer = Arc::clone(office);
        on_thread(move || {
            while let Some(batch) = ready.blocking_recv() {
                let result = batch.and_then(|batch| write_batch(batch, &writer));
                let failed = result.is_err();
                if done.blocking_send(result).is_err() || failed {
                    break;
                }
            }
        });
        (batches, told)
    }
}

/// Keeps the raw mails, then reads them on all cores, in order.
fn read_batch(batch: Vec<Incoming>, office: &Arc<Office>) -> Result<Vec<Read>, Trouble> {
    let mut kept = batch
        .into_iter()
        .map(|incoming| {
            let (raw, cut_short) = match incoming.content {
                Content::Whole(raw) => (raw, false),
                Content::Beginning { raw, .. } => (raw, true),
                Content::Unreadable { why } => return Ok((incoming.position, incoming.stored, Err(why))),
            };
            let letter = digest(&raw);
            let place = office.store.keep_raw(&letter, &raw)?;
            Ok((incoming.position, incoming.stored, Ok((letter, place, raw, cut_short))))
        })
        .collect::<Result<Vec<Kept>, StoreError>>()?;
    fail_point::reached("letters-kept");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = kept.len().div_ceil(threads).max(1);
    let mut shares = Vec::new();
    while !kept.is_empty() {
        let rest = kept.split_off(share.min(kept.len()));
        shares.push(std::mem::replace(&mut kept, rest));
    }
    let span = tracing::Span::current();
    std::thread::scope(|scope| {
        let readers: Vec<_> = shares
            .into_iter()
            .map(|share| {
                scope.spawn(|| {
                    let _entered = span.enter();
                    let read = |(position, stored, content): Kept| match content {
                        Ok((letter, raw, bytes, cut_short)) => {
                            let span = settle::span(Some(&letter));
                            let reading = span.in_scope(|| read_one(office, bytes, cut_short));
                            office.health.pulse.gets_on(Loop::Letters);
                            let reading = reading.map(|mut reading| {
                                reading.stored = stored;
                                reading
                            });
                            Read { position, raw: Some(raw), reading, letter: Some(letter), span }
                        }
                        Err(why) => {
                            let span = settle::span(None);
                            Read { position, raw: None, reading: Err(why), letter: None, span }
                        }
                    };
                    share.into_iter().map(read).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = readers
            .into_iter()
            .map(|reader| reader.join().map_err(|_| Trouble::Broken("a reader thread broke".into())));
        Ok(joined.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    })
}

/// Looks the orders of a batch up together, while nothing is held up by it. A wish to stop does not wait for the shop: the
/// batch is given up, as all after it, and the next pass begins with it.
fn ask_ahead(batch: Vec<Read>, office: &Office, stop: &Stop) -> Result<Vec<Read>, Trouble> {
    if !office.orders.is_asked() {
        return Ok(batch);
    }
    let mut numbers = Vec::new();
    for reading in batch.iter().filter_map(|read| read.reading.as_ref().ok()) {
        numbers.extend(order_number(office, reading)?);
    }
    let gets_on = || office.health.pulse.gets_on(Loop::Letters);
    let asked = office.orders.ask_ahead(numbers, &office.health, &gets_on, stop);
    Ok(if asked { batch } else { Vec::new() })
}

/// Commits a batch, letter by letter, and makes it durable with one flush.
fn write_batch(batch: Vec<Read>, office: &Office) -> Result<Done, Trouble> {
    let mut done = Done { positions: Vec::with_capacity(batch.len()), quarantined: 0 };
    if batch.is_empty() {
        return Ok(done);
    }
    let held = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(what) = office.orders.alarm() {
        notice::tell(office, NoticeKind::OrderLookUp, "orders".to_owned(), what)?;
    }
    for read in batch {
        let position = read.position.clone();
        let _in_work = read.span.enter();
        if read.raw.as_ref().is_some_and(RawPlace::is_erased) {
            tracing::info!("taken in before and erased since: nothing is done");
            office.store.commit(&Commit { position: Some(read.position), ..Commit::default() })?;
            done.positions.push(position);
            continue;
        }
        let taken = match read.reading {
            Ok(reading) => settle(office, reading, read.raw, Some(read.position))?,
            Err(why) => quarantine(office, None, read.letter, read.raw, Some(read.position), why)?,
        };
        done.quarantined += usize::from(matches!(taken, Taken::Quarantined { .. }));
        done.positions.push(position);
        office.health.pulse.gets_on(Loop::Letters);
        fail_point::reached("letter-committed");
    }
    fail_point::reached("batch-committed");
    office.store.flush()?;
    fail_point::reached("batch-durable");
    drop(held);
    office.health.letter_taken();
    office.ring();
    Ok(done)
}

fn digest(raw: &[u8]) -> LetterId {
    LetterId::from_digest(&Sha256::digest(raw).into())
}
