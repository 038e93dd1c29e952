//! What other programs are to hear of cases: queued by the transaction of the event itself, given out in order for each
//! case.
//!
//! For each receiver and case there is one line of messages. `line` says when its first one is to be tried, `due` finds
//! it by that time; whatever adds or takes messages rests on the line, so that none stays behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::books::Books;
use super::keys::{self, Table};
use super::picture::Picture;
use super::tables::{Change, Row};
use super::{Store, StoreError};
use crate::domain::case::Case;
use crate::domain::event::CaseEvent;
use crate::domain::ids::CaseId;
use crate::domain::report::News;

/// Who wants to hear of which events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub name: String,
    /// By their names as stored.
    pub events: BTreeSet<String>,
}

/// What a receiver is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub event: String,
    pub at: Timestamp,
    /// The JSON that is posted.
    pub body: String,
    /// Why it was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The messages of a case for one receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// When the first is to be tried.
    next: Timestamp,
    /// The event that the last one tells of.
    last: u64,
    /// Tries of the first that failed.
    attempts: u32,
    /// Since when nothing was taken.
    since: Option<Timestamp>,
    why: Option<String>,
}

/// A message whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posting {
    pub receiver: String,
    pub case: CaseId,
    version: u64,
    pub message: Message,
    pub attempts: u32,
    /// Since when nothing of the line was taken.
    pub since: Option<Timestamp>,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Posted {
    Taken,
    Later { next: Timestamp, why: String },
    GivenUp { why: String },
}

/// How it goes with a receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    pub waiting: u64,
    /// Messages that were given up, each with its case and id.
    pub failed: Vec<(CaseId, String, Message)>,
    /// Why the latest try that failed did.
    pub why: Option<String>,
}

impl Posting {
    /// The event of that version of a case.
    pub fn new(
        receiver: &str,
        case: &CaseId,
        version: u64,
        message: Message,
        attempts: u32,
        since: Option<Timestamp>,
    ) -> Self {
        Self { receiver: receiver.to_owned(), case: case.clone(), version, message, attempts, since }
    }

    /// The same on every try.
    pub fn id(&self) -> String {
        id(&self.case, self.version, &self.message)
    }
}

/// After a restored backup a case comes to the same version by other events: those are other messages.
fn id(case: &CaseId, version: u64, message: &Message) -> String {
    let digest = Sha256::digest(&message.body);
    let told: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{case}_{version}_{told}")
}

impl Store {
    /// Who is to hear of events from now on. What waits for others is forgotten; gives how much.
    pub fn subscribe(&self, subscriptions: Vec<Subscription>) -> Result<u64, StoreError> {
        let mut gone = 0;
        let mut change = Change::default();
        for row in self.inner.tables.scan(Table::Webhooks, "") {
            let row = row?;
            let known = row.words().get(1).is_some_and(|name| subscriptions.iter().any(|s| s.name == **name));
            if !known {
                gone += u64::from(matches!(row.words().first(), Some(&keys::HOOK_EVENT | &keys::HOOK_FAILED)));
                change.remove(Table::Webhooks, row.key);
            }
        }
        self.inner.tables.run(&change)?;
        let mut known = self.inner.subscriptions.write().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::new(subscriptions);
        Ok(gone)
    }

    fn subscriptions(&self) -> Arc<Vec<Subscription>> {
        Arc::clone(&self.inner.subscriptions.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The first message of each line of a receiver that is due, the longest due first.
    pub fn webhooks_due(&self, receiver: &str, now: Timestamp, limit: usize) -> Result<Vec<Posting>, StoreError> {
        let mut postings = Vec::new();
        for row in self.inner.tables.scan(Table::Webhooks, &keys::prefix(&[keys::HOOK_DUE, receiver])) {
            let row = row?;
            let (at, case) = read_due(&row)?;
            if at > now || postings.len() == limit {
                break;
            }
            let line = self.inner.tables.get::<Line>(Table::Webhooks, &keys::hook_line(receiver, &case))?;
            let first = self.first_message(receiver, &case)?;
            match (line.filter(|line| line.next == at), first) {
                (Some(Line { attempts, since, .. }), Some((version, message))) => {
                    postings.push(Posting::new(receiver, &case, version, message, attempts, since));
                }
                // Nothing is left in it, or it is due at another time.
                _ => self.tidy(receiver, &case, &row.key)?,
            }
        }
        Ok(postings)
    }

    /// When the next message for a receiver is due; `None`: none waits.
    pub fn webhooks_next(&self, receiver: &str) -> Result<Option<Timestamp>, StoreError> {
        let first = self.inner.tables.scan(Table::Webhooks, &keys::prefix(&[keys::HOOK_DUE, receiver])).next();
        first.map(|row| read_due(&row?).map(|(at, _)| at)).transpose()
    }

    /// Whether it still is to be posted.
    pub fn webhook_waits(&self, posting: &Posting) -> Result<bool, StoreError> {
        let key = keys::hook_event(&posting.receiver, &posting.case, posting.version);
        let waits = self.inner.tables.get::<Message>(Table::Webhooks, &key)?;
        Ok(waits.is_some_and(|message| message == posting.message))
    }

    /// Notes what became of a message. One that was erased meanwhile stays so.
    pub fn webhook_posted(&self, posting: &Posting, posted: &Posted, now: Timestamp) -> Result<(), StoreError> {
        let Posting { receiver, case, version, .. } = posting;
        let (line_key, key) = (keys::hook_line(receiver, case), keys::hook_event(receiver, case, *version));
        loop {
            let mut change = Change::default();
            let Some(line) = self.inner.tables.watch::<Line>(&mut change, Table::Webhooks, &line_key)? else {
                return Ok(());
            };
            let message = self.inner.tables.watch::<Message>(&mut change, Table::Webhooks, &key)?;
            change.remove(Table::Webhooks, keys::hook_due(receiver, line.next, case));
            let line = match (posted, message) {
                (Posted::Later { next, why }, Some(_)) => Some(Line {
                    next: *next,
                    attempts: line.attempts.saturating_add(1),
                    since: line.since.or(Some(now)),
                    why: Some(why.clone()),
                    ..line
                }),
                (posted, message) => {
                    change.remove(Table::Webhooks, key.clone());
                    let mut line = Line { attempts: 0, since: None, why: None, ..line.clone() };
                    if let (Posted::GivenUp { why }, Some(message)) = (posted, message) {
                        let failed = Message { why: Some(why.clone()), ..message };
                        change.put(Table::Webhooks, keys::hook_failed(receiver, case, *version), &failed)?;
                        // The others have waited as well.
                        line = Line { since: posting.since, why: Some(why.clone()), ..line };
                    }
                    self.messages(receiver, case).nth_other(&key)?.then_some(line)
                }
            };
            match &line {
                Some(line) => {
                    change.put(Table::Webhooks, keys::hook_due(receiver, line.next, case), &())?;
                    change.put(Table::Webhooks, line_key.clone(), line)?;
                }
                None => change.remove(Table::Webhooks, line_key.clone()),
            }
            if self.inner.tables.run(&change)? {
                return Ok(());
            }
        }
    }

    /// Puts messages that were given up into their lines again, due at once: of one receiver, or of all; gives how many.
    pub fn webhooks_again(&self, receiver: Option<&str>, now: Timestamp) -> Result<u64, StoreError> {
        let mut again = 0;
        for row in self.inner.tables.scan(Table::Webhooks, &keys::prefix(&[keys::HOOK_FAILED])) {
            let row = row?;
            let (name, case, version) = read_message(&row)?;
            if receiver.is_some_and(|receiver| receiver != name) {
                continue;
            }
            loop {
                let mut change = Change::default();
                let failed = self.inner.tables.watch::<Message>(&mut change, Table::Webhooks, &row.key)?;
                let Some(message) = failed else { break };
                change.remove(Table::Webhooks, row.key.clone());
                let message = Message { why: None, ..message };
                change.put(Table::Webhooks, keys::hook_event(&name, &case, version), &message)?;
                let line_key = keys::hook_line(&name, &case);
                let line = self.inner.tables.watch::<Line>(&mut change, Table::Webhooks, &line_key)?;
                if let Some(line) = &line {
                    change.remove(Table::Webhooks, keys::hook_due(&name, line.next, &case));
                }
                let last = line.map_or(version, |line| line.last.max(version));
                let line = Line { next: now, last, attempts: 0, since: None, why: None };
                change.put(Table::Webhooks, keys::hook_due(&name, now, &case), &())?;
                change.put(Table::Webhooks, line_key, &line)?;
                if self.inner.tables.run(&change)? {
                    again += 1;
                    break;
                }
            }
        }
        Ok(again)
    }

    /// How it goes with each receiver.
    pub fn webhooks(&self) -> Result<BTreeMap<String, Delivered>, StoreError> {
        let mut all: BTreeMap<String, Delivered> = BTreeMap::new();
        for subscription in self.subscriptions().iter() {
            all.insert(subscription.name.clone(), Delivered::default());
        }
        for row in self.inner.tables.scan(Table::Webhooks, "") {
            let row = row?;
            let words = row.words();
            let [kind, name, ..] = words.as_slice() else { return Err(row.corrupt("the key names no receiver")) };
            let delivered = all.entry((*name).to_owned()).or_default();
            match *kind {
                keys::HOOK_EVENT => delivered.waiting += 1,
                keys::HOOK_LINE => delivered.why = row.read::<Line>()?.why.or_else(|| delivered.why.take()),
                keys::HOOK_FAILED => {
                    let (_, case, version) = read_message(&row)?;
                    let message: Message = row.read()?;
                    let id = id(&case, version, &message);
                    delivered.failed.push((case, id, message));
                }
                _ => {}
            }
        }
        Ok(all)
    }

    /// Queues what happened for whoever wants to hear of it; `first` is the version of the first event.
    pub(super) fn announce(
        &self,
        case: &Case,
        first: u64,
        events: &[CaseEvent],
        change: &mut Change,
    ) -> Result<(), StoreError> {
        for Subscription { name, events: wanted } in self.subscriptions().iter() {
            let wanted = (first..).zip(events).filter(|(_, event)| wanted.contains(event.event.name()));
            let mut latest = None;
            for (version, event) in wanted {
                let message = message(case, event);
                change.put(Table::Webhooks, keys::hook_event(name, &case.id, version), &message)?;
                latest = Some((version, event.at));
            }
            let Some((last, at)) = latest else { continue };
            let key = keys::hook_line(name, &case.id);
            let line = match self.inner.tables.watch::<Line>(change, Table::Webhooks, &key)? {
                Some(line) => Line { last, ..line },
                None => {
                    change.put(Table::Webhooks, keys::hook_due(name, at, &case.id), &())?;
                    Line { next: at, last, attempts: 0, since: None, why: None }
                }
            };
            change.put(Table::Webhooks, key, &line)?;
        }
        Ok(())
    }

    /// Takes out what was to be told of a case; its lines end by themselves.
    pub(super) fn keep_quiet(&self, case: &CaseId, change: &mut Change) -> Result<(), StoreError> {
        for kind in [keys::HOOK_EVENT, keys::HOOK_FAILED] {
            for row in self.inner.tables.scan(Table::Webhooks, &keys::prefix(&[kind])) {
                let row = row?;
                if row.words().get(2) == Some(&case.as_str()) {
                    self.inner.tables.watch::<Message>(change, Table::Webhooks, &row.key)?;
                    change.remove(Table::Webhooks, row.key);
                }
            }
        }
        Ok(())
    }

    /// Ends a line in which nothing is left, or only the entry by which it was found.
    fn tidy(&self, receiver: &str, case: &CaseId, due: &str) -> Result<(), StoreError> {
        let key = keys::hook_line(receiver, case);
        let mut change = Change::default();
        let line = self.inner.tables.watch::<Line>(&mut change, Table::Webhooks, &key)?;
        change.remove(Table::Webhooks, due.to_owned());
        if line.is_some_and(|line| keys::hook_due(receiver, line.next, case) == due) {
            if self.first_message(receiver, case)?.is_some() {
                return Ok(());
            }
            change.remove(Table::Webhooks, key);
        }
        // Not run: something came in between, and is looked at the next time.
        self.inner.tables.run(&change).map(|_| ())
    }

    fn first_message(&self, receiver: &str, case: &CaseId) -> Result<Option<(u64, Message)>, StoreError> {
        let Some(row) = self.messages(receiver, case).0.next() else { return Ok(None) };
        let row = row?;
        let (_, _, version) = read_message(&row)?;
        Ok(Some((version, row.read()?)))
    }

    fn messages(
        &self,
        receiver: &str,
        case: &CaseId,
    ) -> Messages<impl Iterator<Item = Result<Row, StoreError>> + use<>> {
        Messages(self.inner.tables.scan(Table::Webhooks, &keys::prefix(&[keys::HOOK_EVENT, receiver, case.as_str()])))
    }
}

/// The messages of a line.
struct Messages<I>(I);

impl<I: Iterator<Item = Result<Row, StoreError>>> Messages<I> {
    /// Whether there is one beside this.
    fn nth_other(mut self, key: &str) -> Result<bool, StoreError> {
        Ok(self.0.find(|row| row.as_ref().map_or(true, |row| row.key != key)).transpose()?.is_some())
    }
}

fn message(case: &Case, event: &CaseEvent) -> Message {
    let name = event.event.name();
    let body = json!({"type": name, "timestamp": event.at.to_string(), "data": News::of(case)});
    Message { event: name.to_owned(), at: event.at, body: body.to_string(), why: None }
}

fn read_due(row: &Row) -> Result<(Timestamp, CaseId), StoreError> {
    let read = match row.words().as_slice() {
        [_, _, time, case] => keys::read_time(time).zip(CaseId::new(case).ok()),
        _ => None,
    };
    read.ok_or_else(|| row.corrupt("the key is not a receiver, a time and a case"))
}

fn read_message(row: &Row) -> Result<(String, CaseId, u64), StoreError> {
    let read = match row.words().as_slice() {
        [_, name, case, version] => {
            CaseId::new(case).ok().zip(version.parse().ok()).map(|(case, version)| ((*name).to_owned(), case, version))
        }
        _ => None,
    };
    read.ok_or_else(|| row.corrupt("the key is not a receiver, a case and a version"))
}

impl Books {
    /// What other programs are to be told: nothing else tells it.
    pub(super) fn read_webhooks(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        for row in picture.scan(Table::Webhooks) {
            let row = row?;
            match row.words().first() {
                Some(&keys::HOOK_LINE) => _ = self.read::<Line>(Table::Webhooks, &row),
                Some(&keys::HOOK_DUE) => _ = self.read::<()>(Table::Webhooks, &row),
                _ => _ = self.read::<Message>(Table::Webhooks, &row),
            }
        }
        Ok(())
    }
}
