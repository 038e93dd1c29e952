//! Cases that go on without a letter: what is due by the clock, and what staff do.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::erasure::{Sweep, retain};
use super::lookup::{known, known_of_feed, known_of_split, numbers_of};
use super::pulse::Loop;
use super::{Office, Stop, Trouble, handover, notice, on_thread};
use crate::domain::act::Act;
use crate::domain::case::{Case, State};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::CaseId;
use crate::fail_point;
use crate::pipeline::due::due;
use crate::pipeline::resume::{Cause, Opened, Resumed, resume};
use crate::store::{CaseStep, Commit, CommitError, DoneOnce, HeldBack, NoticeKind, Once, StoreError};

/// Cases that are gone on with in one go, before a flush.
const BATCH: usize = 200;
/// The longest sleep: the wall clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(60);

/// Why a person's act was not done.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    /// The case does not allow it; the text says why and what to do.
    #[error("{0}")]
    Impossible(String),
    #[error("there is no case {0}")]
    NoCase(CaseId),
    /// It was done before, under the same key.
    #[error("case {} was acted on before, under the same key", .0.case)]
    Before(Box<DoneOnce>),
    /// It is no longer as the person saw it.
    #[error("case {case} has changed meanwhile")]
    Changed { case: CaseId, since: Vec<CaseEvent> },
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl From<StoreError> for Undone {
    fn from(e: StoreError) -> Self {
        Self::Trouble(e.into())
    }
}

/// Does what is due whenever it is, until it is wished to stop, or the disk fails.
pub async fn run(office: &Arc<Office>, mut stop: Stop) -> Result<(), Trouble> {
    let mut sweep = Sweep::default();
    while !stop.is_wished() {
        office.health.pulse.beats(Loop::Clock);
        let of = Arc::clone(office);
        let retained = on_thread(move || {
            let done = retain(&of, &mut sweep, Timestamp::now());
            (sweep, done.map(|_| ()))
        });
        let retained = retained.await;
        let (on, done) = retained.unwrap_or_else(|e| (Sweep::default(), Err(Trouble::Broken(e.to_string()))));
        sweep = on;
        match office.noting(done) {
            Ok(()) => {}
            Err(trouble) if trouble.is_of_the_disk() => return Err(trouble),
            Err(trouble) => tracing::error!(%trouble, "what was kept long enough can't be erased; will try again"),
        }
        office.health.pulse.beats(Loop::Clock);
        let (of, wish) = (Arc::clone(office), stop.clone());
        let struck = on_thread(move || strike_until(&of, &wish, Timestamp::now())).await;
        match office.noting(struck.unwrap_or_else(|e| Err(Trouble::Broken(e.to_string())))) {
            Ok(0) => {}
            Ok(cases) => tracing::info!(cases, "went on with cases by the clock"),
            Err(trouble) if trouble.is_of_the_disk() => return Err(trouble),
            Err(trouble) => tracing::error!(%trouble, "the clock can't go on with cases; will try again"),
        }
        let next = office.store.next_due().ok().flatten();
        let until = next.and_then(|at| Duration::try_from(at.duration_since(Timestamp::now())).ok());
        // What is due already and could not be done is not tried again and again.
        let pause = until.filter(|d| !d.is_zero()).map_or(LONGEST, |d| d.min(LONGEST));
        office.health.pulse.rests(Loop::Clock);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = office.letters_delayed.notified() => {}
            () = stop.wished() => {}
        }
    }
    Ok(())
}

/// Does everything that is due at `now`, and makes it durable; gives the number of cases.
pub fn strike(office: &Office, now: Timestamp) -> Result<usize, Trouble> {
    strike_until(office, &Stop::never(), now)
}

/// The same, but that a stop ends it between two batches: what is due then is due still.
fn strike_until(office: &Office, stop: &Stop, now: Timestamp) -> Result<usize, Trouble> {
    let mut stuck: HashSet<CaseId> = HashSet::new();
    let mut struck = 0;
    loop {
        if stop.is_wished() {
            return Ok(struck);
        }
        let due = office.store.due_cases(now, BATCH + stuck.len())?;
        let fresh: Vec<CaseId> = due.into_iter().filter(|id| !stuck.contains(id)).collect();
        if fresh.is_empty() {
            return told_of_the_rest(office, now).map(|()| struck);
        }
        let (done, undone) = go_on_with(office, &fresh, Cause::Timer, now)?;
        struck += done;
        stuck.extend(undone);
    }
}

/// Goes on with cases in one go, and makes it durable, also what was done before trouble. Gives how many went on, and
/// those that can't: staff are told of them.
pub(super) fn go_on_with(
    office: &Office,
    cases: &[CaseId],
    cause: Cause<'_>,
    now: Timestamp,
) -> Result<(usize, Vec<CaseId>), Trouble> {
    if cases.is_empty() {
        return Ok((0, Vec::new()));
    }
    let held = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut undone = Vec::new();
    let gone = cases.iter().try_for_each(|id| {
        match go_on(office, id, cause, now) {
            Ok(_) => {}
            Err(Undone::Trouble(trouble)) => return Err(trouble),
            Err(why) => {
                let what = format!("the program can't go on with case {id} {}: {why}", by(cause));
                notice::tell(office, NoticeKind::Waiting, id.to_string(), what)?;
                undone.push(id.clone());
            }
        }
        office.health.pulse.beats(Loop::Clock);
        fail_point::reached("case-gone-on");
        Ok(())
    });
    office.store.flush()?;
    drop(held);
    office.ring();
    gone.map(|()| (cases.len() - undone.len(), undone))
}

fn by(cause: Cause<'_>) -> &'static str {
    match cause {
        Cause::Timer => "by the clock",
        Cause::Feed => "by what the feeds tell now",
        Cause::Staff { .. } => "for a person",
    }
}

fn told_of_the_rest(office: &Office, now: Timestamp) -> Result<(), Trouble> {
    let held = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if handover::catch_up(office, now)? {
        office.store.flush()?;
        drop(held);
        office.ring();
    }
    Ok(())
}

/// Does what a person wants done with a case, and makes it durable.
pub fn act(
    office: &Office,
    id: &CaseId,
    name: &str,
    act: &Act,
    why: Option<&str>,
    now: Timestamp,
) -> Result<Case, Undone> {
    act_on(office, id, &Guard::default(), Cause::Staff { name, act, why }, now)
}

/// As [`act`], unless something has happened to the case since `seen`, the version that the person looks at.
pub fn act_as_seen(office: &Office, id: &CaseId, seen: u64, cause: Cause<'_>, now: Timestamp) -> Result<Case, Undone> {
    act_on(office, id, &Guard { seen: Some(seen), once: None }, cause, now)
}

/// What has to be so for an act to be done.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Nothing has happened to the case since this version.
    pub seen: Option<u64>,
    /// Nothing was done under this key.
    pub once: Option<Once>,
}

/// As [`act`], if all is as `guard` wants it.
pub fn act_on(office: &Office, id: &CaseId, guard: &Guard, cause: Cause<'_>, now: Timestamp) -> Result<Case, Undone> {
    if let (Cause::Staff { act, .. }, Some(case)) = (&cause, office.store.case(id)?) {
        office.orders.ask_ahead(numbers_of(&case, act), &office.health, &|| {}, &Stop::never());
    }
    let held = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let case = try_on(office, id, guard, cause, now)?;
    office.store.flush()?;
    fail_point::reached("act-durable");
    drop(held);
    office.ring();
    Ok(case)
}

/// What an act would do; nothing is done. An RMA number in it is not the one that will be drawn.
pub fn preview(office: &Office, case: &Case, cause: Cause<'_>, now: Timestamp) -> Result<Resumed, Undone> {
    if let Cause::Staff { act: Act::Merge { into }, .. } = cause {
        can_go_on_with(office, into, case)?;
    }
    let known = match cause {
        Cause::Staff { act: Act::Split { letters }, .. } => known_of_split(office, case, letters, now)?,
        Cause::Staff { act, .. } => known(office, case, &[act], now)?,
        Cause::Feed => known_of_feed(office, case, now)?,
        Cause::Timer => known(office, case, &[], now)?,
    };
    resume(case, cause, &known, &office.terms, now).map_err(|e| Undone::Impossible(e.to_string()))
}

/// What happened to a case since a version of it, but for what the program only notes of itself.
pub fn happened_since(office: &Office, id: &CaseId, seen: u64) -> Result<Vec<CaseEvent>, StoreError> {
    let is_news = |event: &CaseEvent| !matches!(event.event, Event::ReplySent { .. } | Event::Scheduled { .. });
    let seen = usize::try_from(seen).unwrap_or(usize::MAX);
    Ok(office.store.events(id)?.into_iter().skip(seen).filter(is_news).collect())
}

/// Letters to a merged case go to the other one: it has to be there, and its customer the same.
fn can_go_on_with(office: &Office, other: &CaseId, case: &Case) -> Result<(), Undone> {
    let Some(other) = office.store.case(other)? else { return Err(Undone::NoCase(other.clone())) };
    let hindrance = if other.state == State::Merged {
        "is merged into another one itself"
    } else if other.customer.address != case.customer.address {
        "is of another customer"
    } else {
        return Ok(());
    };
    Err(Undone::Impossible(format!("case {} {hindrance}", other.id)))
}

/// Looks at every case once if the deadlines are others than before, and notes what is due now.
pub fn realign(office: &Office) -> Result<(), Trouble> {
    let deadlines = &office.terms.deadlines;
    let mark = office.terms.deadlines_mark();
    if office.store.deadlines_mark()? == Some(mark) {
        return Ok(());
    }
    let mut moved = 0;
    for case in office.store.cases() {
        let case = case?;
        let due = due(&case, deadlines);
        if due == case.due {
            continue;
        }
        let events = vec![CaseEvent::daemon(Event::Scheduled { due }, Timestamp::now())];
        let step = CaseStep { id: case.id, from: Some(case.version), events };
        match office.store.commit(&Commit { case: Some(step), ..Commit::default() }) {
            // Changed meanwhile, and so scheduled anew.
            Ok(_) | Err(CommitError::Stale { .. }) => moved += 1,
            Err(e) => return Err(e.into()),
        }
    }
    if moved > 0 {
        tracing::info!(cases = moved, "deadlines were worked out anew");
    }
    office.store.mark_deadlines(mark)?;
    Ok(office.store.flush()?)
}

/// Proposes and commits. Not durable before the next flush.
pub(super) fn go_on(office: &Office, id: &CaseId, cause: Cause<'_>, now: Timestamp) -> Result<Case, Undone> {
    try_on(office, id, &Guard::default(), cause, now)
}

fn try_on(office: &Office, id: &CaseId, guard: &Guard, cause: Cause<'_>, now: Timestamp) -> Result<Case, Undone> {
    // Another commit may come in between (a reply was sent): then look again.
    for _ in 0..5 {
        let done = guard.once.as_ref().map(|once| office.store.done_once(&once.key)).transpose()?.flatten();
        if let Some(done) = done {
            return Err(Undone::Before(Box::new(done)));
        }
        let Some(case) = office.store.case(id)? else { return Err(Undone::NoCase(id.clone())) };
        if let Some(seen) = guard.seen.filter(|seen| *seen != case.version) {
            let since = happened_since(office, id, seen)?;
            if !since.is_empty() || seen > case.version {
                return Err(Undone::Changed { case: id.clone(), since });
            }
        }
        let resumed = preview(office, &case, cause, now)?;
        // Another commit may have left nothing to do.
        if resumed == Resumed::default() && guard.once.is_none() {
            return Ok(case);
        }
        let mut notices = Vec::new();
        if let Some(what) = resumed.tell_staff {
            notices.push(notice::raised(office, NoticeKind::Waiting, id.to_string(), what, now)?);
        }
        if let Some(reply) = &resumed.reply {
            notices.extend(notice::of_reply(office, reply, now)?);
        }
        let step = CaseStep { id: id.clone(), from: Some(case.version), events: resumed.events };
        let (mut to_staff, mut held_back) = handover::of_step(office, Some(&case), Some(&step), now)?;
        let other = resumed.opened.map(|Opened { case, events }| CaseStep { id: case, from: None, events });
        if other.is_some() {
            let (also, held) = handover::of_step(office, None, other.as_ref(), now)?;
            to_staff.extend(also);
            held_back = if held == HeldBack::AsBefore { held_back } else { held };
        }
        let (reply, once) = (resumed.reply, guard.once.clone());
        let commit = Commit { case: Some(step), other, reply, notices, to_staff, held_back, once, ..Commit::default() };
        match office.store.commit(&commit) {
            Ok(changed) => {
                notice::say(&commit.notices);
                return Ok(changed.unwrap_or(case));
            }
            Err(CommitError::Stale { .. }) => {}
            Err(CommitError::Done(done)) => return Err(Undone::Before(done)),
            Err(taken @ CommitError::Taken { .. }) => {
                // Only a number drawn twice gets better by another try.
                if !matches!(&taken, CommitError::Taken { what: crate::store::Claimed::RmaNumber, .. }) {
                    return Err(Undone::Impossible(taken.to_string()));
                }
            }
            Err(e) => return Err(Undone::Trouble(e.into())),
        }
    }
    Err(Undone::Impossible(format!("case {id} changed again and again meanwhile: try again")))
}
