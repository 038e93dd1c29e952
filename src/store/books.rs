//! The store's books: every record read once, each thing counted and held against all others.
//!
//! What two records say of one thing has to be the same: events and snapshot, event and index, letter and case, reply
//! and outbox, rows and counts. Whatever is not becomes a [`Finding`] that says what it means and what to do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::finding::{Finding, FindingKind, Tally};
use super::keys::{self, Table};
use super::picture::Picture;
use super::record::{self, Claim, Parcel};
use super::tables::{Change, Row};
use super::{Counts, Notice, Quarantined, RawPlace, Seen, Store, StoreError};
use crate::domain::case::Case;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::{CaseId, LetterId, MessageId};
use crate::domain::queue::Place;
use crate::ports::{FirstStart, Position};

/// A letter, as far as anything is known of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    pub raw: Kept,
    pub seen: Option<Seen>,
    pub message_id: Option<MessageId>,
    pub quarantined: bool,
    pub dismissed: bool,
    cases: Vec<CaseId>,
}

/// What the archive has of a letter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kept {
    #[default]
    No,
    /// The mail, of so many bytes.
    Yes(u64),
    Erased,
}

/// All that the store holds, in brief.
#[derive(Debug, Default)]
pub struct Books {
    pub letters: BTreeMap<LetterId, Account>,
    /// Positions of mail that is in quarantine or dismissed, and whose bytes could not be had.
    pub unread: Vec<Position>,
    pub cursors: Vec<Position>,
    /// Up to where mail of a folder is left alone.
    pub starts: Vec<FirstStart>,
    pub tally: Tally,
    pub findings: Vec<Finding>,
    /// When the first letter was taken in.
    pub first: Option<Timestamp>,
    replies: BTreeMap<MessageId, ReplyAccount>,
    /// What the index has to say, by key.
    index: BTreeMap<String, Vec<u8>>,
    places: Vec<RawPlace>,
    /// When the clock has to look at which case, by key.
    due: BTreeSet<String>,
    /// Which drafts there have to be, by key.
    pub(super) drafts: BTreeSet<String>,
    /// What would put right the findings that can be put right.
    pub(super) mend: Change,
}

#[derive(Debug, Default)]
struct ReplyAccount {
    case: Option<CaseId>,
    queued: u32,
    sent: u32,
    refused: u32,
    waiting: u32,
}

impl Store {
    /// Reads every record and compares. Commits that run meanwhile are not in it.
    pub fn books(&self) -> Result<Books, StoreError> {
        Ok(self.books_and_places()?.0)
    }

    /// The books, and where each mail lies.
    pub(super) fn books_and_places(&self) -> Result<(Books, Vec<RawPlace>), StoreError> {
        let picture = self.inner.tables.picture();
        let mut books = Books::default();
        books.read_cases(&picture)?;
        books.read_index(&picture)?;
        books.read_letters(&picture)?;
        books.read_outbox(&picture)?;
        books.read_mailbox(&picture)?;
        books.read_due(&picture)?;
        books.read_drafts(&picture)?;
        books.read_quarantine(&picture)?;
        books.read_staff(&picture)?;
        books.read_webhooks(&picture)?;
        books.compare();
        books.compare_counts(&picture)?;
        let places = std::mem::take(&mut books.places);
        Ok((books, places))
    }
}

impl Books {
    /// Mails that are kept and belong to no entry. A copy of a letter that was taken in has none of its own either.
    pub fn unentered(&self) -> impl Iterator<Item = &LetterId> {
        let bare = |account: &Account| {
            matches!(account.raw, Kept::Yes(_)) && account.seen.is_none() && !account.quarantined && !account.dismissed
        };
        self.letters.iter().filter(move |(_, account)| bare(account)).map(|(letter, _)| letter)
    }

    pub(super) fn find(&mut self, kind: FindingKind, place: impl Into<String>, what: impl Into<String>) {
        // The NULs of keys would hide in a terminal.
        self.findings.push(Finding { kind, place: place.into().replace('\0', " "), what: what.into() });
    }

    /// The row's record, if it can be read and holds nothing but what is understood.
    pub(super) fn read<T: Serialize + serde::de::DeserializeOwned>(&mut self, table: Table, row: &Row) -> Option<T> {
        let place = format!("{} {}", table.name(), row.key);
        match row.read::<T>() {
            Ok(record) => {
                if record::encode(&record).is_ok_and(|bytes| bytes != row.json()) {
                    self.find(FindingKind::Record, place, "it holds something that this version does not know");
                }
                Some(record)
            }
            Err(StoreError::Corrupt { what, .. }) => {
                self.find(FindingKind::Record, place, what);
                None
            }
            Err(e) => {
                self.find(FindingKind::Record, place, e.to_string());
                None
            }
        }
    }

    /// Cases and their events, both in the order of case ids.
    fn read_cases(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        let mut snapshots = picture.scan(Table::Cases).peekable();
        let mut events = picture.scan(Table::Events).peekable();
        loop {
            let case_of = |row: &Result<Row, StoreError>| {
                row.as_ref().ok().map(|row| row.words().first().copied().unwrap_or_default().to_owned())
            };
            let next = match (snapshots.peek(), events.peek()) {
                (None, None) => return Ok(()),
                (Some(Err(_)), _) => return snapshots.next().map_or(Ok(()), |row| row.map(|_| ())),
                (_, Some(Err(_))) => return events.next().map_or(Ok(()), |row| row.map(|_| ())),
                (one, other) => [one.and_then(case_of), other.and_then(case_of)].into_iter().flatten().min(),
            };
            let Some(id) = next else { return Ok(()) };
            let snapshot = snapshots.next_if(|row| case_of(row).as_ref() == Some(&id)).transpose()?;
            let mut history = Vec::new();
            while let Some(row) = events.next_if(|row| case_of(row).as_ref() == Some(&id)).transpose()? {
                history.push(row);
            }
            self.read_case(&id, snapshot.as_ref(), &history);
        }
    }

    fn read_case(&mut self, id: &str, snapshot: Option<&Row>, history: &[Row]) {
        let mut folded: Option<Case> = None;
        for row in history {
            let first = folded.as_ref().map_or(0, |case| case.version) + 1;
            if row.words().get(1).and_then(|number| number.parse().ok()) != Some(first) {
                let what = format!("an event is missing: number {first} was to be next");
                self.find(FindingKind::Record, format!("events {}", row.key), what);
            }
            let Some(events) = self.read::<Vec<CaseEvent>>(Table::Events, row) else { return };
            for event in &events {
                match Case::apply(folded.take(), event) {
                    Ok(case) => folded = Some(case),
                    Err(illegal) => {
                        return self.find(FindingKind::Record, format!("events {}", row.key), illegal.to_string());
                    }
                }
                if let Some(case) = &folded {
                    self.note(case, event);
                }
            }
        }
        let stands = snapshot.and_then(|row| self.read::<Case>(Table::Cases, row));
        if let Some(case) = folded.as_ref().filter(|case| stands.as_ref() != Some(case)) {
            let what = if snapshot.is_some() { "it is not what its events make of it" } else { "it has events only" };
            self.find(FindingKind::Case, id, what);
            self.mend_with(Table::Cases, id.to_owned(), case);
        }
        match folded {
            Some(case) => {
                self.tally.cases += 1;
                let place = Place::of(&case);
                self.is_found(keys::queue(&place, &case.id), &place.traits, &case);
                self.due.extend(case.due.map(|due| keys::due_case(due.at, &case.id)));
                self.drafts.extend(case.drafts.iter().map(|draft| keys::draft(&case.id, &draft.message_id)));
                self.tally.rmas += u64::from(case.rma.is_some());
                if case.id.as_str() != id {
                    self.find(
                        FindingKind::Record,
                        format!("cases {id}"),
                        format!("its events are those of {}", case.id),
                    );
                }
            }
            None => self.find(FindingKind::Record, format!("cases {id}"), "it has no events"),
        }
    }

    /// What an event says of letters, replies and the index.
    fn note(&mut self, case: &Case, event: &CaseEvent) {
        match &event.event {
            Event::Opened { customer, .. } => {
                self.is_found(keys::sender(&customer.address, event.at, &case.id), &case.id, case);
            }
            Event::LetterTaken { letter, .. } | Event::LetterNoted { letter, .. } => {
                self.letters.entry(letter.clone()).or_default().cases.push(case.id.clone());
            }
            Event::Split { into, letters, replies, .. } => {
                for letter in letters {
                    self.letters.entry(letter.clone()).or_default().cases.retain(|one| *one != case.id);
                }
                for reply in replies {
                    let found = self.index.get_mut(&keys::reply(reply)).zip(record::encode(into).ok());
                    if let Some((bytes, other)) = found {
                        *bytes = other;
                    }
                }
            }
            Event::RmaIssued { rma, .. } => {
                self.is_found(keys::rma(&rma.number), &case.id, case);
                let claim = Claim { case: case.id.clone(), rma: rma.number.clone() };
                self.is_found(keys::line(&rma.order_number, &rma.sku), &claim, case);
            }
            Event::ReplyQueued { message_id, .. } | Event::DraftReleased { message_id } => {
                self.is_found(keys::reply(message_id), &case.id, case);
                let reply = self.replies.entry(message_id.clone()).or_default();
                reply.queued += 1;
                reply.case = Some(case.id.clone());
            }
            Event::ReplySent { message_id, .. } => {
                self.replies.entry(message_id.clone()).or_default().sent += 1;
            }
            Event::ReplyRefused { message_id, .. } => {
                self.replies.entry(message_id.clone()).or_default().refused += 1;
            }
            _ => {}
        }
    }

    fn is_found<T: Serialize>(&mut self, key: String, record: &T, case: &Case) {
        // A record that can't be encoded could not have been written either.
        let Ok(bytes) = record::encode(record) else { return };
        if let Some(other) = self.index.insert(key.clone(), bytes) {
            let other = String::from_utf8_lossy(&other).into_owned();
            self.find(FindingKind::Rma, key, format!("it belongs to case {} and to {other}", case.id));
        }
    }

    fn read_index(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        let mut expected = std::mem::take(&mut self.index);
        for row in picture.scan(Table::Index) {
            let row = row?;
            let place = format!("index {}", row.key);
            match expected.remove(&row.key) {
                None => {
                    self.find(FindingKind::Index, place, "no event speaks of it");
                    self.mend.remove(Table::Index, row.key);
                }
                Some(bytes) if bytes != row.json() => {
                    self.find(FindingKind::Index, place, "it leads to another case than the events");
                    self.mend.put_encoded(Table::Index, row.key, bytes);
                }
                Some(_) => {}
            }
        }
        for (key, bytes) in expected {
            self.find(FindingKind::Index, format!("index {key}"), "the entry is missing");
            self.mend.put_encoded(Table::Index, key, bytes);
        }
        Ok(())
    }

    fn read_letters(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        for row in picture.scan(Table::Seen) {
            let row = row?;
            let Some(seen) = self.read::<Seen>(Table::Seen, &row) else { continue };
            *self.tally.letters.entry(seen.class.code()).or_default() += 1;
            self.first = Some(self.first.map_or(seen.at, |first| first.min(seen.at)));
            let message_id = match row.words().as_slice() {
                ["id", id, _] => MessageId::new(id).ok(),
                _ => None,
            };
            let account = self.letters.entry(seen.letter.clone()).or_default();
            let twice = account.seen.is_some();
            account.message_id = message_id;
            let letter = seen.letter.clone();
            account.seen = Some(seen);
            if twice {
                self.find(FindingKind::LetterCase, format!("letter {letter}"), "it was taken in twice");
            }
        }
        for row in picture.scan(Table::Raw) {
            let row = row?;
            let Some(place) = self.read::<RawPlace>(Table::Raw, &row) else { continue };
            if place.letter().as_str() != row.key {
                self.find(FindingKind::Index, format!("raw {}", row.key), "it names another mail");
            }
            let account = self.letters.entry(place.letter().clone()).or_default();
            if place.is_erased() {
                account.raw = Kept::Erased;
                self.tally.erased += 1;
            } else {
                account.raw = Kept::Yes(place.len());
                self.tally.mails += 1;
                self.places.push(place);
            }
        }
        Ok(())
    }

    fn read_outbox(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        for row in picture.scan(Table::Outbox) {
            let row = row?;
            let place = format!("outbox {}", row.key);
            self.tally.waiting += 1;
            let Some(Parcel { reply, .. }) = self.read::<Parcel>(Table::Outbox, &row) else { continue };
            let words = row.words();
            if words.get(1) != Some(&reply.message_id.as_str())
                || words.first().and_then(|w| keys::read_time(w)).is_none()
            {
                self.find(FindingKind::Record, place, "its key names another reply");
            }
            // A notice belongs to no case.
            if !reply.kind.is_for_staff() {
                self.replies.entry(reply.message_id).or_default().waiting += 1;
            }
        }
        for row in picture.scan(Table::Pace) {
            let row = row?;
            let _ = self.read::<()>(Table::Pace, &row);
        }
        for row in picture.scan(Table::Notices) {
            let row = row?;
            let _ = self.read::<Notice>(Table::Notices, &row);
        }
        Ok(())
    }

    /// What the clock has to do stands where the cases say.
    fn read_due(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        let mut expected = std::mem::take(&mut self.due);
        for row in picture.scan(Table::Due) {
            let row = row?;
            if !expected.remove(&row.key) {
                self.find(FindingKind::Index, format!("due {}", row.key), "no case waits for it");
                self.mend.remove(Table::Due, row.key);
            }
        }
        for key in expected {
            self.find(FindingKind::Index, format!("due {key}"), "the entry is missing");
            self.mend_with(Table::Due, key, &());
        }
        Ok(())
    }

    fn read_quarantine(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        for row in picture.scan(Table::Quarantine) {
            let row = row?;
            let Some(entry) = self.read::<Quarantined>(Table::Quarantine, &row) else { continue };
            let dismissed = keys::is_dismissed(&row.key);
            match dismissed {
                true => self.tally.dismissed += 1,
                false => self.tally.quarantined += 1,
            }
            match (entry.letter, entry.position) {
                (Some(letter), _) => {
                    let account = self.letters.entry(letter).or_default();
                    account.dismissed |= dismissed;
                    account.quarantined |= !dismissed;
                }
                (None, position) => self.unread.extend(position),
            }
        }
        Ok(())
    }

    /// What letters and replies say of each other.
    fn compare(&mut self) {
        let mut findings = Vec::new();
        for (letter, account) in &self.letters {
            let mut find =
                |kind, what: String| findings.push(Finding { kind, place: format!("letter {letter}"), what });
            let entered = account.seen.is_some() || account.quarantined || account.dismissed;
            if entered && account.raw == Kept::No {
                find(FindingKind::MailLost, "its mail is not in the archive".to_owned());
            }
            let said = account.seen.as_ref().and_then(|seen| seen.case.as_ref());
            match (account.cases.as_slice(), said, account.seen.is_some()) {
                ([], None, _) => {}
                ([one], Some(said), _) if one == said => {}
                ([one], _, false) => {
                    find(FindingKind::LetterCase, format!("case {one} names it, but nobody took it in"));
                }
                ([], Some(said), _) => find(FindingKind::LetterCase, format!("case {said} does not know it")),
                ([one], said, true) => {
                    let said = said.map_or("none", CaseId::as_str);
                    find(FindingKind::LetterCase, format!("it is in case {one}, its entry says {said}"));
                }
                (several, ..) => {
                    let cases: Vec<&str> = several.iter().map(CaseId::as_str).collect();
                    find(FindingKind::LetterCase, format!("it is in several cases: {}", cases.join(", ")));
                }
            }
        }
        for (id, reply) in &self.replies {
            self.tally.replies += u64::from(reply.queued > 0);
            self.tally.sent += u64::from(reply.sent > 0);
            self.tally.refused += u64::from(reply.refused > 0);
            let what = match (reply.queued, reply.sent + reply.refused, reply.waiting) {
                (1, 1, 0) | (1, 0, 1) => continue,
                (0, _, 0) => "the case says what became of it, but not that it was written",
                (0, ..) => "it waits in the outbox, but no case has written it",
                (1, 0, 0) => "it was written, but neither sent nor refused, and it does not wait",
                (1, 1, _) => "it waits in the outbox although it has left it",
                (1, 0, _) => "it waits in the outbox more than once",
                (1, ..) => "it was sent or refused more than once",
                _ => "two replies were written under this Message-ID",
            };
            let place = match &reply.case {
                Some(case) => format!("reply {id} of case {case}"),
                None => format!("reply {id}"),
            };
            findings.push(Finding { kind: FindingKind::Reply, place, what: what.to_owned() });
        }
        self.findings.append(&mut findings);
    }

    fn compare_counts(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        let mut told = Counts::default();
        for row in picture.scan(Table::Meta) {
            let row = row?;
            match row.key.as_str() {
                keys::COUNTS => told = self.read::<Counts>(Table::Meta, &row).unwrap_or_default(),
                keys::SECRET | keys::PSEUDONYMS => _ = self.read::<String>(Table::Meta, &row),
                keys::HELD_BACK => _ = self.read::<Timestamp>(Table::Meta, &row),
                _ => _ = self.read::<u32>(Table::Meta, &row),
            }
        }
        let counted = self.counts();
        if told != counted {
            self.find(FindingKind::Counts, "meta counts", format!("they say {told:?}, there are {counted:?}"));
            self.mend_with(Table::Meta, keys::COUNTS.to_owned(), &counted);
        }
        Ok(())
    }

    pub(super) fn mend_with<T: Serialize>(&mut self, table: Table, key: String, record: &T) {
        // A record that can't be encoded could not have been written either.
        if let Ok(bytes) = record::encode(record) {
            self.mend.put_encoded(table, key, bytes);
        }
    }

    /// The counts as the store keeps them.
    fn counts(&self) -> Counts {
        let Tally { letters, cases, replies, waiting, drafts, quarantined, .. } = self.tally.clone();
        Counts { cases, letters, replies, waiting, drafts, quarantined }
    }
}
