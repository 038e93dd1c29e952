//! Letters in: fetch → keep raw → read → look up → answer → commit → flush → tell the mailbox.
//!
//! Three stages overlap, joined by bounded channels: the mailbox fetches the next batch while reader threads read this
//! one and the one writer commits the last. A batch is flushed once; only then is the mailbox told and do its replies
//! leave. A letter that can't be handled goes to quarantine and never holds up the next.

use std::sync::Arc;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::lookup::{link, look_up};
use super::quarantine::quarantine;
use super::{Office, Stop, Trouble, blocking, budget, notice, pace, start};
use crate::domain::case::Case;
use crate::domain::decision::{Class, Outcome};
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, LetterId, masked};
use crate::fail_point;
use crate::pipeline::trace::Link;
use crate::pipeline::{self, Lookup, Reading};
use crate::ports::{Content, FaultKind, FirstStart, Incoming, Mailbox, Position};
use crate::store::{CaseStep, Commit, CommitError, LetterEntry, NoticeKind, RawPlace, Seen, StoreError};

/// What became of a letter.
#[derive(Debug)]
pub enum Taken {
    Answered {
        reading: Box<Reading>,
        outcome: Box<Outcome>,
        case: Option<Box<Case>>,
    },
    /// Taken in before: nothing is done twice.
    Again {
        reading: Box<Reading>,
        seen: Seen,
    },
    Quarantined {
        reading: Option<Box<Reading>>,
        why: String,
    },
}

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
        let trouble = match drain(mailbox, folder, office, &stop).await {
            Ok(progress) => {
                failures = 0;
                office.health.intake_runs();
                if progress.letters > 0 {
                    tracing::info!(letters = progress.letters, quarantined = progress.quarantined, "mailbox drained");
                }
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
    if !unmarked.is_empty() {
        tell(mailbox, office, unmarked).await?;
    }
    if after.is_none() {
        after = start::first(mailbox, office).await?;
    }
    let first = start::again(mailbox, folder, office, &mut after).await?;
    mailbox.leave_alone(first.clone());
    let (batches, mut told) = Stages::start(office);
    let mut progress = Progress::default();
    let mut in_hand = 0;
    let mut is_empty = false;
    let fetched = async {
        while !stop.is_wished() && !office.has_failed_disk() {
            let batch = mailbox.fetch(after.as_ref()).await?;
            office.health.mailbox(Ok(()));
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
            if let (Some(FirstStart { position, .. }), true) = (first, is_empty) {
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
    fail_point::reached("mailbox-to-be-told");
    mailbox.done(&positions).await?;
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
}

/// A letter whose raw mail is kept: where it lay, since when, its id, its place, its bytes and whether they are only its
/// beginning.
type Kept = (Position, Option<Timestamp>, Result<(LetterId, RawPlace, Vec<u8>, bool), String>);

struct Stages;

impl Stages {
    /// Starts the reading and the writing stage; they end when the sender is dropped.
    #[allow(clippy::type_complexity, reason = "two channel ends, named where they are received")]
    fn start(office: &Arc<Office>) -> (mpsc::Sender<Vec<Incoming>>, mpsc::Receiver<Result<Done, Trouble>>) {
        let (batches, mut arriving) = mpsc::channel::<Vec<Incoming>>(1);
        let (read, mut ready) = mpsc::channel::<Result<Vec<Read>, Trouble>>(1);
        // Small messages; a slow mailbox must not hold up the writer.
        let (done, told) = mpsc::channel(1024);
        let reader = Arc::clone(office);
        tokio::task::spawn_blocking(move || {
            while let Some(batch) = arriving.blocking_recv() {
                let result = read_batch(batch, &reader);
                let failed = result.is_err();
                if read.blocking_send(result).is_err() || failed {
                    break;
                }
            }
        });
        let writer = Arc::clone(office);
        tokio::task::spawn_blocking(move || {
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
    std::thread::scope(|scope| {
        let readers: Vec<_> = shares
            .into_iter()
            .map(|share| {
                scope.spawn(|| {
                    let read = |(position, stored, content): Kept| match content {
                        Ok((letter, raw, bytes, cut_short)) => {
                            let reading = read_one(office, bytes, cut_short);
                            let reading = reading.map(|mut reading| {
                                reading.stored = stored;
                                reading
                            });
                            Read { position, raw: Some(raw), reading, letter: Some(letter) }
                        }
                        Err(why) => Read { position, raw: None, reading: Err(why), letter: None },
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

/// Reads one letter; an error says why that can't be done.
pub fn read_one(office: &Office, raw: Vec<u8>, cut_short: bool) -> Result<Box<Reading>, String> {
    let terms = Arc::clone(&office.terms);
    budget::step("reading it", move || {
        fail_point::handling("read", &raw);
        Box::new(pipeline::read(&raw, cut_short, &terms, Timestamp::now()))
    })
}

/// Commits a batch, letter by letter, and makes it durable with one flush.
fn write_batch(batch: Vec<Read>, office: &Office) -> Result<Done, Trouble> {
    let mut done = Done { positions: Vec::with_capacity(batch.len()), quarantined: 0 };
    let held = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for read in batch {
        let position = read.position.clone();
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
        fail_point::reached("letter-committed");
    }
    fail_point::reached("batch-committed");
    office.store.flush()?;
    fail_point::reached("batch-durable");
    drop(held);
    office.health.letter_taken();
    office.replies_written.notify_one();
    Ok(done)
}

/// Looks a letter's case up, answers it and commits, all in one transaction. Not durable before the next flush.
pub fn settle(
    office: &Office,
    reading: Box<Reading>,
    raw: Option<RawPlace>,
    position: Option<Position>,
) -> Result<Taken, Trouble> {
    let letter = &reading.letter;
    let span = tracing::info_span!(
        "letter",
        id = letter.id.as_str().get(..12),
        message_id = letter.message_id.as_ref().map(|m| m.as_str())
    );
    let _entered = span.enter();
    let now = office.now(&reading);
    // Another commit may come in between (a reply was sent): then look again.
    for _ in 0..5 {
        if let Some(seen) = office.store.seen(&letter.id, &letter.content, letter.message_id.as_ref())? {
            return again(office, reading, seen, raw, position);
        }
        let found = link(office, &reading)?;
        // Each try reads it as part of the case as it stands then.
        let recalled = match recall(office, &reading, &found.link) {
            Ok(recalled) => recalled,
            Err(why) => return quarantine(office, Some(reading), None, raw, position, why),
        };
        let lookup = look_up(office, &recalled, found, now)?;
        let (reading, lookup, outcome) = match answer(office, recalled, lookup, now) {
            Ok(answered) => answered,
            Err(why) => return quarantine(office, Some(reading), None, raw, position, why),
        };
        let commit = Commit {
            letter: Some(entry(&reading, outcome.class, now)),
            raw: raw.clone(),
            case: step(&lookup, &outcome),
            reply: outcome.reply.clone(),
            position: position.clone(),
            quarantine: None,
            notices: notice::of_letter(office, &reading, &lookup, &outcome, now)?,
        };
        match office.store.commit(&commit) {
            Ok(case) => {
                log(&reading, &outcome, case.as_ref());
                notice::say(&commit.notices);
                return Ok(Taken::Answered { reading, outcome: Box::new(outcome), case: case.map(Box::new) });
            }
            Err(CommitError::Stale { .. } | CommitError::Taken { .. } | CommitError::Seen(_)) => {}
            Err(CommitError::Illegal(illegal)) => {
                return quarantine(office, Some(reading), None, raw, position, illegal.to_string());
            }
            Err(CommitError::Store(e)) => return Err(e.into()),
        }
    }
    quarantine(
        office,
        Some(reading),
        None,
        raw,
        position,
        "its case changed again and again while it was decided on".to_owned(),
    )
}

fn recall(office: &Office, reading: &Reading, link: &Link) -> Result<Box<Reading>, String> {
    let mut reading = Box::new(reading.clone());
    if !matches!(link, Link::Known(_)) {
        return Ok(reading);
    }
    let (link, terms) = (link.clone(), Arc::clone(&office.terms));
    budget::step("reading it as part of its case", move || {
        fail_point::handling("recall", reading.words.text.as_bytes());
        pipeline::recall(&mut reading, &link, &terms);
        reading
    })
}

/// A letter with what was looked up for it and what is to be done.
type Answered = (Box<Reading>, Lookup, Outcome);

fn answer(office: &Office, reading: Box<Reading>, lookup: Lookup, now: Timestamp) -> Result<Answered, String> {
    let terms = Arc::clone(&office.terms);
    budget::step("answering it", move || {
        fail_point::handling("answer", reading.words.text.as_bytes());
        let outcome = pipeline::answer(&reading, &lookup, &terms, now)?;
        Ok((reading, lookup, outcome))
    })?
}

fn entry(reading: &Reading, class: Class, now: Timestamp) -> LetterEntry {
    let letter = &reading.letter;
    LetterEntry {
        id: letter.id.clone(),
        content: letter.content.clone(),
        message_id: letter.message_id.clone(),
        class,
        at: now,
    }
}

fn step(lookup: &Lookup, outcome: &Outcome) -> Option<CaseStep> {
    if outcome.events.is_empty() {
        return None;
    }
    let (id, from) = match &lookup.link {
        Link::Known(case) | Link::Stranger(case) => (case.id.clone(), Some(case.version)),
        Link::New => (lookup.fresh_case.clone(), None),
    };
    Some(CaseStep { id, from, events: outcome.events.clone() })
}

/// A copy of a letter that was taken in before.
fn again(
    office: &Office,
    reading: Box<Reading>,
    seen: Seen,
    raw: Option<RawPlace>,
    position: Option<Position>,
) -> Result<Taken, Trouble> {
    tracing::info!(case = seen.case.as_ref().map(CaseId::as_str), "taken in before: nothing is done twice");
    office.store.commit(&Commit { raw, position, ..Commit::default() })?;
    if office.store.is_erased(&seen.letter)? {
        office.store.erase(&reading.letter.id)?;
    }
    Ok(Taken::Again { reading, seen })
}

/// One line a letter: what came, what was decided, never an address in full.
fn log(reading: &Reading, outcome: &Outcome, case: Option<&Case>) {
    let from = reading.letter.from.as_ref().map(|p| p.address.masked());
    let reasons: Vec<String> = outcome.decision.reasons.iter().map(|r| r.code()).collect();
    let handed = outcome.events.iter().any(|e| matches!(e.event, Event::HandedToStaff | Event::SafetyHeld));
    tracing::info!(
        case = case.map(|c| c.id.as_str()),
        from,
        class = outcome.class.code(),
        decision = outcome.decision.action.code(),
        reasons = reasons.join(","),
        reply = outcome.reply.as_ref().map(|r| r.kind.folder()),
        handed_to_staff = handed,
        "letter taken in"
    );
}

fn digest(raw: &[u8]) -> LetterId {
    LetterId::from_digest(&Sha256::digest(raw).into())
}
