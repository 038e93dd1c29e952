//! What a store tells of the letters it took in: each mail with the decision that was made on it, in the order they came.

use std::io::Write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::Failure;
use crate::app::letters::{Listed, list};
use crate::domain::case::{Case, IllegalEvent};
use crate::domain::decision::{Action, Class, Decision, Reason};
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::ids::{CaseId, LetterId, MessageId};
use crate::pipeline::Terms;
use crate::pipeline::reckon::reckon;
use crate::store::{Seen, Store, StoreError};
use crate::worker::Office;

/// A letter that was taken in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    pub letter: LetterId,
    /// When it was taken in.
    pub at: Timestamp,
    pub case: Option<CaseId>,
    /// The first letter of that case.
    pub root: Option<MessageId>,
    /// Staff had done something with the case before.
    pub after_staff: bool,
    pub account: Account,
    pub mail: Mail,
}

/// What was decided on a letter, and how that was reckoned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub verdict: Verdict,
    pub reckoning: Vec<Clause>,
}

/// A decision as outside tools know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub class: String,
    /// `quarantine` for a letter that could not be handled.
    pub decision: String,
    pub track: Option<String>,
    pub reasons: Vec<String>,
    pub missing: Vec<String>,
}

/// A line of the reckoning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    pub clause: String,
    pub text: String,
}

/// What the archive has of a letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mail {
    /// Each character is one byte.
    Kept(String),
    Erased,
    Lost,
}

/// Writes a line for each letter. Of letters that come meanwhile there is none.
pub fn tell(office: &Office, out: &mut dyn Write) -> Result<(), Failure> {
    for listed in list(&office.store, None, usize::MAX)? {
        if let Some(recorded) = recorded(office, &listed)? {
            serde_json::to_writer(&mut *out, &recorded).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

/// `None`: not even the bytes of the mail could be had when it came.
fn recorded(office: &Office, listed: &Listed) -> Result<Option<Recorded>, Failure> {
    let store = &office.store;
    Ok(match listed {
        Listed::Seen(seen) => Some(taken_in(store, seen, &office.terms)?),
        Listed::Quarantined(entry) => match &entry.letter {
            Some(letter) => Some(Recorded {
                letter: letter.clone(),
                at: entry.at,
                case: None,
                root: None,
                after_staff: false,
                account: Account { verdict: Verdict::quarantine(), reckoning: Vec::new() },
                mail: mail(store, letter)?,
            }),
            None => None,
        },
    })
}

fn taken_in(store: &Store, seen: &Seen, terms: &Terms) -> Result<Recorded, Failure> {
    let (case, events) = decided_in(store, seen)?;
    let illegal = |e: IllegalEvent| Failure::Other(format!("letter {}: {e}; run verify --repair", seen.letter));
    let history = History::up_to(&events, &seen.letter).map_err(illegal)?;
    Ok(Recorded {
        letter: seen.letter.clone(),
        at: seen.at,
        case,
        root: history.case.as_ref().and_then(|case| case.thread.first().cloned()),
        after_staff: history.events.iter().any(|event| matches!(event.by, Actor::Staff(_))),
        account: history.account(seen.class, &seen.letter, terms),
        mail: mail(store, &seen.letter)?,
    })
}

/// The case that the letter was decided on in, and its events: staff may have split the letter off since.
fn decided_in(store: &Store, seen: &Seen) -> Result<(Option<CaseId>, Vec<CaseEvent>), StoreError> {
    let mut case = seen.case.clone();
    loop {
        let events = case.as_ref().map(|case| store.events(case)).transpose()?.unwrap_or_default();
        let earlier = events.iter().find_map(|event| match &event.event {
            Event::SplitOff { case } => Some(case.clone()),
            _ => None,
        });
        let joined_before = History::knows(&events, &seen.letter);
        match earlier {
            Some(earlier) if !joined_before => case = Some(earlier),
            _ => return Ok((case, events)),
        }
    }
}

fn mail(store: &Store, letter: &LetterId) -> Result<Mail, StoreError> {
    match store.raw(letter) {
        Ok(Some(raw)) => Ok(Mail::Kept(raw.iter().map(|byte| char::from(*byte)).collect())),
        Ok(None) => Ok(Mail::Erased),
        Err(StoreError::Corrupt { .. }) => Ok(Mail::Lost),
        Err(e) => Err(e),
    }
}

/// A case as it stood when a letter was decided on.
pub struct History<'a> {
    case: Option<Case>,
    events: &'a [CaseEvent],
}

impl<'a> History<'a> {
    /// The events up to what was done about the letter.
    pub fn up_to(events: &'a [CaseEvent], letter: &LetterId) -> Result<Self, IllegalEvent> {
        let is_about = |event: &CaseEvent| match &event.event {
            Event::Decided { letter: of, .. } => of.as_ref() == Some(letter),
            Event::LetterNoted { letter: of, .. } => of == letter,
            _ => false,
        };
        let count = events.iter().position(is_about).map_or(0, |at| at + 1);
        let events = events.get(..count).unwrap_or_default();
        Ok(Self { case: Case::replay(events)?, events })
    }

    /// Whether the letter was decided on among these events.
    fn knows(events: &[CaseEvent], letter: &LetterId) -> bool {
        events.iter().any(|event| match &event.event {
            Event::Decided { letter: Some(of), .. } | Event::LetterNoted { letter: of, .. } => of == letter,
            _ => false,
        })
    }

    /// What was decided on the letter.
    pub fn account(&self, class: Class, letter: &LetterId, terms: &Terms) -> Account {
        let decided = self.events.last().and_then(|event| match &event.event {
            Event::Decided { letter: of, decision } if of.as_ref() == Some(letter) => Some(decision),
            _ => None,
        });
        match (decided, &self.case) {
            (Some(decision), Some(case)) => {
                let lines = reckon(case, self.events, terms).into_iter();
                let clause =
                    |line: crate::pipeline::reckon::Line| Clause { clause: line.clause.to_owned(), text: line.text };
                Account { verdict: Verdict::of(class, decision), reckoning: lines.map(clause).collect() }
            }
            // Somebody else wrote into the case: nothing is decided on it.
            (None, Some(case)) if class == Class::Customer => {
                let missing = case.decision.as_ref().map(|d| d.checklist.missing()).unwrap_or_default();
                let verdict = Verdict {
                    reasons: vec![Reason::SenderMismatch.code()],
                    missing: sorted(missing.iter().map(|item| item.code())),
                    ..Verdict::bare(class, Action::Staff.code())
                };
                Account { verdict, reckoning: Vec::new() }
            }
            _ => Account { verdict: Verdict::bare(class, Action::Ignore.code()), reckoning: Vec::new() },
        }
    }
}

impl Verdict {
    pub fn of(class: Class, decision: &Decision) -> Self {
        Self {
            class: class.code(),
            decision: decision.action.code(),
            track: decision.track.filter(|_| decision.action == Action::IssueRma).map(|track| track.code()),
            reasons: sorted(decision.reasons.iter().map(|reason| reason.code())),
            missing: sorted(decision.checklist.missing().iter().map(|item| item.code())),
        }
    }

    pub fn quarantine() -> Self {
        Self::bare(Class::Customer, "quarantine".to_owned())
    }

    fn bare(class: Class, decision: String) -> Self {
        Self { class: class.code(), decision, track: None, reasons: Vec::new(), missing: Vec::new() }
    }
}

fn sorted(codes: impl Iterator<Item = String>) -> Vec<String> {
    let mut codes: Vec<String> = codes.collect();
    codes.sort();
    codes
}
