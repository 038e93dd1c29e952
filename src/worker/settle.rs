//! One letter: read, looked up, answered and committed, in one transaction.

use std::sync::Arc;

use jiff::Timestamp;
use tracing::Span;
use tracing::field::Empty;

use super::lookup::{link, look_up};
use super::quarantine::quarantine;
use super::{Office, Trouble, budget, desk, handover, notice};
use crate::domain::case::Case;
use crate::domain::decision::{Class, Outcome};
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, LetterId, OrderNumber};
use crate::fail_point;
use crate::pipeline::trace::Link;
use crate::pipeline::{self, Lookup, Reading};
use crate::ports::Position;
use crate::store::{CaseStep, Commit, CommitError, LetterEntry, Raised, RawPlace, Seen};

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

/// What every line of the log about a letter carries, whatever its level: which letter, and, as soon as they are known,
/// its Message-ID and case. To be entered around all that is done about it.
pub fn span(letter: Option<&LetterId>) -> Span {
    tracing::error_span!("letter", id = letter.and_then(|id| id.as_str().get(..12)), message_id = Empty, case = Empty)
}

/// Reads one letter; an error says why that can't be done.
pub fn read_one(office: &Office, raw: Vec<u8>, cut_short: bool) -> Result<Box<Reading>, String> {
    let terms = Arc::clone(&office.terms);
    budget::step("reading it", move || {
        fail_point::handling("read", &raw);
        Box::new(pipeline::read(&raw, cut_short, &terms, Timestamp::now()))
    })
}

/// Looks a letter's case up, answers it and commits, all in one transaction. Not durable before the next flush.
pub fn settle(
    office: &Office,
    reading: Box<Reading>,
    raw: Option<RawPlace>,
    position: Option<Position>,
) -> Result<Taken, Trouble> {
    let letter = &reading.letter;
    Span::current().record("message_id", letter.message_id.as_ref().map(|m| m.as_str()));
    let now = office.now(&reading);
    // Another commit may come in between (a reply was sent): then look again.
    for _ in 0..5 {
        if let Some(seen) = office.store.seen(&letter.id, &letter.content, letter.message_id.as_ref())? {
            return again(office, reading, seen, raw, position);
        }
        match desk::follow(office, &reading, raw.as_ref(), position.as_ref(), now)? {
            desk::Told::Nothing => {}
            desk::Told::Committed { outcome, case, notices } => {
                return Ok(taken(office, reading, *outcome, case, &notices, now));
            }
            desk::Told::Seen => continue,
            desk::Told::Stuck(why) => return quarantine(office, Some(reading), None, raw, position, why),
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
        let step = step(&lookup, &outcome);
        Span::current().record("case", step.as_ref().map(|step| step.id.as_str()));
        let (to_staff, held_back) = handover::of_step(office, lookup.link.case(), step.as_ref(), now)?;
        let mut notices = notice::of_letter(office, &reading, &lookup, &outcome, now)?;
        notices.extend(desk::of_stranger(office, &reading, now)?);
        let commit = Commit {
            letter: Some(entry(&reading, outcome.class, now)),
            raw: raw.clone(),
            case: step,
            reply: outcome.reply.clone(),
            position: position.clone(),
            notices,
            to_staff,
            held_back,
            ..Commit::default()
        };
        match office.store.commit(&commit) {
            Ok(case) => return Ok(taken(office, reading, outcome, case.map(Box::new), &commit.notices, now)),
            // No letter is done under a key.
            Err(
                CommitError::Stale { .. } | CommitError::Taken { .. } | CommitError::Seen(_) | CommitError::Done(_),
            ) => {}
            Err(CommitError::Illegal(illegal)) => {
                return quarantine(office, Some(reading), None, raw, position, illegal.to_string());
            }
            Err(CommitError::Store(e)) => return Err(e.into()),
        }
    }
    let why = "its case changed again and again while it was decided on".to_owned();
    quarantine(office, Some(reading), None, raw, position, why)
}

/// The order that a letter will have to be looked up for, as far as can be told before it is settled.
pub(super) fn order_number(office: &Office, reading: &Reading) -> Result<Option<OrderNumber>, Trouble> {
    if reading.class != Class::Customer {
        return Ok(None);
    }
    let found = link(office, reading)?;
    // What can't be read as part of its case is told when it is settled.
    let recalled = recall(office, reading, &found.link).ok();
    let numbered = recalled.filter(|_| !matches!(found.link, Link::Stranger(_)));
    Ok(numbered.and_then(|reading| pipeline::order_number_of(&found.link, &reading.facts)))
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

/// What is committed is counted, and told in the log.
fn taken(
    office: &Office,
    reading: Box<Reading>,
    outcome: Outcome,
    case: Option<Box<Case>>,
    notices: &[Raised],
    now: Timestamp,
) -> Taken {
    office.health.counters.count(|counted| {
        *counted.decisions.entry(outcome.decision.action.code()).or_default() += 1;
        if outcome.reply.is_some() {
            // By the mailbox's own clock where it tells: the letter's is its sender's.
            counted.answering.note(reading.stored.unwrap_or(reading.arrived.at), now);
        }
    });
    Span::current().record("case", case.as_ref().map(|c| c.id.as_str()));
    log(&reading, &outcome);
    notice::say(notices);
    Taken::Answered { reading, outcome: Box::new(outcome), case }
}

pub(super) fn entry(reading: &Reading, class: Class, now: Timestamp) -> LetterEntry {
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
    let (id, from) = match lookup.link.case() {
        Some(case) => (case.id.clone(), Some(case.version)),
        None => (lookup.fresh_case.clone(), None),
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
    Span::current().record("case", seen.case.as_ref().map(CaseId::as_str));
    tracing::info!("taken in before: nothing is done twice");
    office.store.commit(&Commit { raw, position, ..Commit::default() })?;
    if office.store.is_erased(&seen.letter)? {
        office.store.erase(&reading.letter.id)?;
    }
    Ok(Taken::Again { reading, seen })
}

/// One line a letter: what came, what was decided, never an address in full.
fn log(reading: &Reading, outcome: &Outcome) {
    let from = reading.letter.from.as_ref().map(|p| p.address.masked());
    let reasons: Vec<String> = outcome.decision.reasons.iter().map(|r| r.code()).collect();
    let handed = outcome.events.iter().any(|e| matches!(e.event, Event::HandedToStaff | Event::SafetyHeld));
    tracing::info!(
        from,
        class = outcome.class.code(),
        decision = outcome.decision.action.code(),
        reasons = reasons.join(","),
        reply = outcome.reply.as_ref().map(|r| r.kind.folder()),
        handed_to_staff = handed,
        "letter taken in"
    );
}
