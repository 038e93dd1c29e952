//! What was written and what happened, in the order in which it did.

use std::collections::BTreeMap;

use super::files::{self, Listed, Pictures};
use super::marks::{self, Piece, Zone};
use super::page::Problem;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::Facts;
use crate::domain::ids::{LetterId, MessageId};
use crate::domain::letter::Person;
use crate::store::Store;

/// One entry.
#[derive(Debug)]
pub enum Entry<'a> {
    Letter(Letter<'a>),
    Reply(Reply<'a>),
    Happened(&'a CaseEvent),
}

/// A letter of the customer, or one that was only noted.
#[derive(Debug)]
pub struct Letter<'a> {
    pub event: &'a CaseEvent,
    pub id: &'a LetterId,
    pub short: String,
    pub from: Option<&'a Person>,
    pub subject: Vec<Piece>,
    /// `None`: it belongs to the case but was not read for it.
    pub words: Option<Vec<Piece>>,
    pub files: Vec<Shown>,
}

/// A file of a letter and what was made of it.
#[derive(Debug)]
pub struct Shown {
    pub file: Listed,
    /// The code of the judgement of a photo.
    pub judgement: Option<String>,
    pub codes: Vec<String>,
}

/// A letter of ours.
#[derive(Debug)]
pub struct Reply<'a> {
    pub event: &'a CaseEvent,
    pub kind: &'static str,
    pub subject: &'a str,
    pub text: &'a str,
    /// `waiting`, `sent`, `refused`.
    pub fate: &'static str,
    pub is_last: bool,
}

/// All of a case.
pub fn of<'a>(store: &Store, pictures: &Pictures, events: &'a [CaseEvent]) -> Result<Vec<Entry<'a>>, Problem> {
    let fates = fates(events);
    let last =
        events.iter().rposition(|event| matches!(event.event, Event::ReplyQueued { .. } | Event::DraftWritten { .. }));
    let moved = Event::moved(events);
    let mut entries = Vec::new();
    for (n, event) in events.iter().enumerate() {
        entries.push(match &event.event {
            // Shown in the case that it is in now.
            Event::LetterTaken { letter, .. } if moved.contains(letter) => continue,
            Event::LetterTaken { letter, from, subject, words, facts, .. } => Entry::Letter(Letter {
                event,
                id: letter,
                short: marks::short(letter),
                from: from.as_ref(),
                subject: marks::pieces(subject, facts, Zone::Subject, letter),
                words: Some(marks::pieces(words, facts, Zone::Text, letter)),
                files: shown(files::listed(store, pictures, letter)?, facts),
            }),
            Event::LetterNoted { letter, from, subject, .. } => Entry::Letter(Letter {
                event,
                id: letter,
                short: marks::short(letter),
                from: from.as_ref(),
                subject: marks::pieces(subject, &Facts::default(), Zone::Subject, letter),
                words: None,
                files: Vec::new(),
            }),
            Event::ReplyQueued { kind, message_id, subject, text, .. } => Entry::Reply(Reply {
                event,
                kind: kind.folder(),
                subject,
                text,
                fate: fates.get(message_id).copied().unwrap_or("waiting"),
                is_last: Some(n) == last,
            }),
            Event::DraftWritten { kind, message_id, subject, text, .. } => Entry::Reply(Reply {
                event,
                kind: kind.folder(),
                subject,
                text,
                fate: fates.get(message_id).copied().unwrap_or("draft"),
                is_last: Some(n) == last,
            }),
            // What the program notes of itself.
            Event::Completed { .. }
            | Event::Decided { .. }
            | Event::Scheduled { .. }
            | Event::ReplySent { .. }
            | Event::Opened { .. } => continue,
            _ => Entry::Happened(event),
        });
    }
    Ok(entries)
}

fn shown(files: Vec<Listed>, facts: &Facts) -> Vec<Shown> {
    let judged = |file: Listed| {
        let photo = facts.photos.iter().find(|photo| photo.index == file.index);
        let judgement = photo.map(|photo| photo.judgement.code());
        Shown { codes: photo.map(|photo| photo.codes.clone()).unwrap_or_default(), judgement, file }
    };
    files.into_iter().map(judged).collect()
}

/// What became of each letter of ours, as far as anything did.
fn fates(events: &[CaseEvent]) -> BTreeMap<MessageId, &'static str> {
    let fate = |event: &'_ CaseEvent| match &event.event {
        Event::DraftReleased { message_id } => Some((message_id.clone(), "waiting")),
        Event::DraftDropped { message_id } => Some((message_id.clone(), "dropped")),
        Event::ReplySent { message_id } => Some((message_id.clone(), "sent")),
        Event::ReplyRefused { message_id } => Some((message_id.clone(), "refused")),
        _ => None,
    };
    events.iter().filter_map(fate).collect()
}
