//! Forgetting people: what could tell who they are is taken out of records and archive; the books stay.
//!
//! A case is rewritten in one transaction, then its mails are overwritten. Every step finds what an earlier try left
//! undone, so an erasure that was broken off is finished by doing it again. That a mail was taken in stays known, by
//! digests only, so that it is not taken in a second time.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::keys::{self, Table};
use super::record::Parcel;
use super::tables::{Change, Count};
use super::{Notice, Quarantined, RawPlace, Seen, Store, StoreError, compact, queues};
use crate::domain::case::{Case, Draft};
use crate::domain::erasure::{Symptom, erased, pseudonym};
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::ids::{Address, CaseId, LetterId, Malformed, MessageId};
use crate::domain::queue::Place;
use crate::domain::reply::Kind;
use crate::fail_point;

/// How something is erased.
#[derive(Debug, Clone)]
pub struct Erasing {
    pub by: Actor,
    pub at: Timestamp,
    /// What is kept of the words for a symptom.
    pub symptom: Symptom,
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    pub cases: u64,
    /// Mails overwritten in the archive.
    pub mails: u64,
    /// Entries of letters, quarantine, notices and the outbox of which nothing personal is left.
    pub traces: u64,
}

impl std::ops::AddAssign for Erased {
    fn add_assign(&mut self, more: Self) {
        self.cases += more.cases;
        self.mails += more.mails;
        self.traces += more.traces;
    }
}

impl Store {
    /// What stands for an address once it is erased. `fresh` becomes the key if there is none yet: it has to be random.
    pub fn pseudonym(&self, address: &Address, fresh: &str) -> Result<Address, StoreError> {
        let known = || self.inner.tables.get::<String>(Table::Meta, keys::PSEUDONYMS);
        while known()?.is_none() {
            let mut change = Change::default();
            self.inner.tables.watch::<String>(&mut change, Table::Meta, keys::PSEUDONYMS)?;
            change.put(Table::Meta, keys::PSEUDONYMS.to_owned(), &fresh)?;
            self.inner.tables.run(&change)?;
            fail_point::reached("erase-key-drawn");
        }
        pseudonym(address, &known()?.unwrap_or_default()).map_err(malformed)
    }

    /// Takes out of a case what could tell who its customer is, and overwrites its mails; `who` stands for the
    /// customer. A case that is not over is closed. Durable after the next [`Store::flush`], the mails at once.
    pub fn erase_case(&self, id: &CaseId, who: &Address, how: &Erasing) -> Result<Erased, StoreError> {
        let forgotten = self.forget_in_search(id)?;
        let (done, letters) = loop {
            let mut change = Change::default();
            let Some(case) = self.inner.tables.watch::<Case>(&mut change, Table::Cases, id.as_str())? else {
                return Ok(Erased::default());
            };
            let mut done = Erased::default();
            let letters = self.named_letters(id)?;
            if case.erased.is_none() {
                done.cases = 1;
                self.rewrite(&case, who, how, &mut change, &mut done)?;
                compact::want(&mut change)?;
            }
            if self.inner.tables.run(&change)? {
                break (done, letters);
            }
        };
        drop(forgotten);
        fail_point::reached("erase-case-rewritten");
        let mut done = done;
        for letter in letters {
            done.mails += u64::from(self.erase(&letter)?);
        }
        Ok(done)
    }

    /// Takes an address out of a case of somebody else: letters of theirs that were noted there, and their mails.
    pub fn erase_from_case(&self, id: &CaseId, address: &Address, how: &Erasing) -> Result<Erased, StoreError> {
        let noted = |event: &CaseEvent| match &event.event {
            Event::LetterNoted { letter, message_id, from: Some(from), .. } if from.address == *address => {
                Some((letter.clone(), message_id.clone()))
            }
            _ => None,
        };
        let forgotten = self.forget_in_search(id)?;
        let (done, letters) = loop {
            let (mut change, mut done, mut letters) = (Change::default(), Erased::default(), BTreeSet::new());
            self.inner.tables.watch::<Case>(&mut change, Table::Cases, id.as_str())?;
            for row in self.inner.tables.scan(Table::Events, &keys::prefix(&[id.as_str()])) {
                let row = row?;
                let mut events: Vec<CaseEvent> = row.read()?;
                let theirs: Vec<_> = events.iter().filter_map(noted).collect();
                if theirs.is_empty() {
                    continue;
                }
                for event in events.iter_mut().filter(|event| noted(event).is_some()) {
                    *event = erased(event, address, how.symptom).map_err(malformed)?;
                }
                change.put(Table::Events, row.key, &events)?;
                for (letter, message_id) in theirs {
                    self.hide_seen(&letter, message_id.as_ref(), &mut change)?;
                    letters.insert(letter);
                    done.traces += 1;
                }
            }
            if done.traces > 0 {
                compact::want(&mut change)?;
            }
            if self.inner.tables.run(&change)? {
                break (done, letters);
            }
        };
        drop(forgotten);
        let mut done = done;
        for letter in letters {
            done.mails += u64::from(self.erase(&letter)?);
        }
        Ok(done)
    }

    /// Erases a letter that is in no case: its entry keeps digests only, quarantine lets it go, its mail is overwritten.
    pub fn erase_letter(&self, letter: &LetterId, message_id: Option<&MessageId>) -> Result<Erased, StoreError> {
        let mut done = Erased::default();
        loop {
            let mut change = Change::default();
            done.traces = u64::from(self.hide_seen(letter, message_id, &mut change)?);
            let key = keys::quarantined_letter(letter);
            let dismissed = keys::dismissed_as(&key);
            done.traces += u64::from(self.let_go(key, &mut change)?);
            if self.inner.tables.watch::<Quarantined>(&mut change, Table::Quarantine, &dismissed)?.is_some() {
                change.remove(Table::Quarantine, dismissed);
                done.traces += 1;
            }
            if done.traces > 0 {
                compact::want(&mut change)?;
            }
            if self.inner.tables.run(&change)? {
                break;
            }
        }
        fail_point::reached("erase-letter-hidden");
        done.mails = u64::from(self.erase(letter)?);
        Ok(done)
    }

    /// Removes notices, their mails and what counts replies, as far as `address` is named there.
    pub fn erase_traces(&self, address: &Address) -> Result<Erased, StoreError> {
        let names = |text: &str| text.to_lowercase().contains(address.as_str());
        let mut done = Erased::default();
        loop {
            let mut change = Change::default();
            done.traces = 0;
            for row in self.inner.tables.scan(Table::Notices, "") {
                let row = row?;
                let notice: Notice = row.read()?;
                if names(&notice.about) || names(&notice.what) {
                    change.remove(Table::Notices, row.key);
                    done.traces += 1;
                }
            }
            for row in self.inner.tables.scan(Table::Outbox, "") {
                let row = row?;
                let Parcel { reply, .. } = row.read()?;
                if reply.kind == Kind::Notice && (names(&reply.text) || names(&reply.subject)) {
                    self.drop_parcel(row.key, &mut change)?;
                    done.traces += 1;
                }
            }
            for row in self.inner.tables.scan(Table::Pace, &keys::prefix(&["to", address.untagged().as_str()])) {
                change.remove(Table::Pace, row?.key);
            }
            for row in self.inner.tables.scan(Table::Quarantine, "") {
                let row = row?;
                let entry: Quarantined = row.read()?;
                // Those whose mail is kept are found by their mail.
                if entry.letter.is_none() && entry.from.as_deref().is_some_and(names) {
                    if !keys::is_dismissed(&row.key) {
                        change.count(Count::Released);
                    }
                    change.remove(Table::Quarantine, row.key);
                    done.traces += 1;
                }
            }
            if done.traces > 0 {
                compact::want(&mut change)?;
            }
            if self.inner.tables.run(&change)? {
                break;
            }
        }
        fail_point::reached("erase-traces-removed");
        Ok(done)
    }

    /// Removes notices of what was last told before this moment; gives how many.
    pub fn forget_notices(&self, before: Timestamp) -> Result<u64, StoreError> {
        loop {
            let (mut change, mut gone) = (Change::default(), 0);
            for row in self.inner.tables.scan(Table::Notices, "") {
                let row = row?;
                let known = self.inner.tables.watch::<Notice>(&mut change, Table::Notices, &row.key)?;
                if known.is_some_and(|notice| notice.last < before) {
                    change.remove(Table::Notices, row.key);
                    gone += 1;
                }
            }
            if self.inner.tables.run(&change)? {
                return Ok(gone);
            }
        }
    }

    /// When a person dealt with this mail in quarantine; `None`: nobody did.
    pub fn dismissed_at(&self, letter: &LetterId) -> Result<Option<Timestamp>, StoreError> {
        let key = keys::dismissed_as(&keys::quarantined_letter(letter));
        let entry = self.inner.tables.get::<Quarantined>(Table::Quarantine, &key)?;
        Ok(entry.map(|entry| entry.at))
    }

    /// Overwrites a mail in the archive, at once and durably. What was read from it stays in its case, and that it was
    /// erased is remembered, so that a copy of it is not kept again. `false`: there is no such mail.
    pub fn erase(&self, letter: &LetterId) -> Result<bool, StoreError> {
        let Some(place) = self.raw_place(letter)?.filter(|place| !place.is_erased()) else { return Ok(false) };
        self.inner.archive.erase(&place)?;
        fail_point::reached("erase-overwritten");
        let mut change = Change::default();
        change.put(Table::Raw, letter.to_string(), &RawPlace::erased(letter.clone()))?;
        self.inner.tables.run(&change)?;
        fail_point::reached("erase-noted");
        self.inner.tables.flush()?;
        Ok(true)
    }

    /// Whether this mail was kept once and is no more.
    pub fn is_erased(&self, letter: &LetterId) -> Result<bool, StoreError> {
        Ok(self.raw_place(letter)?.is_some_and(|place| place.is_erased()))
    }

    /// The mails that are kept, in the order of their ids, behind `after`.
    pub fn mails_after(&self, after: Option<&LetterId>) -> impl Iterator<Item = Result<LetterId, StoreError>> + use<> {
        let start = after.map(|letter| format!("{letter}\0")).unwrap_or_default();
        self.inner.tables.scan_from(Table::Raw, "", &start).filter_map(|row| {
            let place = row.and_then(|row| row.read::<RawPlace>());
            place.map(|place| (!place.is_erased()).then(|| place.letter().clone())).transpose()
        })
    }

    /// The cases behind `after`, in the order of their ids.
    pub fn cases_after(&self, after: Option<&CaseId>) -> impl Iterator<Item = Result<Case, StoreError>> + use<> {
        let start = after.map(|case| format!("{case}\0")).unwrap_or_default();
        self.inner.tables.scan_from(Table::Cases, "", &start).map(|row| row?.read())
    }

    /// The letters that a case names, but for those in a case of their own.
    pub fn named_letters(&self, id: &CaseId) -> Result<BTreeSet<LetterId>, StoreError> {
        let named = |event: CaseEvent| match event.event {
            Event::LetterTaken { letter, .. } | Event::LetterNoted { letter, .. } => Some(letter),
            _ => None,
        };
        let events = self.events(id)?;
        let moved = Event::moved(&events);
        Ok(events.into_iter().filter_map(named).filter(|letter| !moved.contains(letter)).collect())
    }

    fn rewrite(
        &self,
        case: &Case,
        who: &Address,
        how: &Erasing,
        change: &mut Change,
        done: &mut Erased,
    ) -> Result<(), StoreError> {
        let mut history = Vec::new();
        let moved = Event::moved(&self.events(&case.id)?);
        for row in self.inner.tables.scan(Table::Events, &keys::prefix(&[case.id.as_str()])) {
            let row = row?;
            let events: Vec<CaseEvent> = row.read()?;
            for event in &events {
                if let Event::LetterTaken { letter, message_id, .. } | Event::LetterNoted { letter, message_id, .. } =
                    &event.event
                    && !moved.contains(letter)
                {
                    done.traces += u64::from(self.hide_seen(letter, message_id.as_ref(), change)?);
                }
                if let Event::Opened { customer, .. } = &event.event {
                    change.remove(Table::Index, keys::sender(&customer.address, event.at, &case.id));
                    change.put(Table::Index, keys::sender(who, event.at, &case.id), &case.id)?;
                }
            }
            let kept: Result<Vec<_>, _> = events.iter().map(|event| erased(event, who, how.symptom)).collect();
            let kept = kept.map_err(malformed)?;
            change.put(Table::Events, row.key, &kept)?;
            history.extend(kept);
        }
        let ending = self.ending(case, how, change, done)?;
        change.put(Table::Events, keys::events(&case.id, case.version + 1), &ending)?;
        history.extend(ending.iter().cloned());
        let folded = Case::replay(&history).map_err(|e| StoreError::corrupt(case.id.to_string(), &e.to_string()))?;
        change.put(Table::Cases, case.id.to_string(), &folded)?;
        self.keep_quiet(&case.id, change)?;
        if let Some(folded) = &folded {
            self.announce(folded, case.version + 1, &ending, change)?;
            queues::replace(Some(&Place::of(case)), folded, change)?;
        }
        if let Some(due) = case.due {
            change.remove(Table::Due, keys::due_case(due.at, &case.id));
        }
        for row in self.inner.tables.scan(Table::Notices, "") {
            let row = row?;
            if row.read::<Notice>()?.about == case.id.as_str() {
                change.remove(Table::Notices, row.key);
                done.traces += 1;
            }
        }
        Ok(())
    }

    /// What happens to a case last: its replies are not sent any more, it is over, it is erased.
    fn ending(
        &self,
        case: &Case,
        how: &Erasing,
        change: &mut Change,
        done: &mut Erased,
    ) -> Result<Vec<CaseEvent>, StoreError> {
        let mut ending = Vec::new();
        for row in self.inner.tables.scan(Table::Outbox, "") {
            let row = row?;
            let Parcel { reply, .. } = row.read()?;
            if reply.kind == Kind::Notice {
                // It may quote the customer.
                if reply.text.contains(case.id.as_str()) {
                    self.drop_parcel(row.key, change)?;
                    done.traces += 1;
                }
            } else if reply.case == case.id {
                self.drop_parcel(row.key, change)?;
                done.traces += 1;
                ending.push((Event::ReplyRefused { message_id: reply.message_id }, Some("erased before it was sent")));
            }
        }
        for Draft { message_id, .. } in &case.drafts {
            done.traces += u64::from(self.take_draft(&case.id, message_id, change)?.is_some());
            ending.push((Event::DraftDropped { message_id: message_id.clone() }, Some("erased before it was sent")));
        }
        if !case.state.is_final() {
            ending.push((Event::Closed, None));
        }
        if case.due.is_some() {
            ending.push((Event::Scheduled { due: None }, None));
        }
        ending.push((Event::Erased, None));
        let event = |(event, why): (Event, Option<&str>)| {
            let by = if matches!(event, Event::Closed | Event::Erased) { how.by.clone() } else { Actor::Daemon };
            CaseEvent::new(event, by, how.at).because(why.map(str::to_owned))
        };
        Ok(ending.into_iter().map(event).collect())
    }

    fn drop_parcel(&self, key: String, change: &mut Change) -> Result<(), StoreError> {
        if self.inner.tables.watch::<Parcel>(change, Table::Outbox, &key)?.is_some() {
            change.remove(Table::Outbox, key);
            change.count(Count::ReplyGone);
        }
        Ok(())
    }

    /// Leaves digests only of the entry under which a letter is recognised. Without a Message-ID it has nothing else.
    fn hide_seen(
        &self,
        letter: &LetterId,
        message_id: Option<&MessageId>,
        change: &mut Change,
    ) -> Result<bool, StoreError> {
        let Some(id) = message_id else { return Ok(false) };
        let mut hidden = false;
        for row in self.inner.tables.scan(Table::Seen, &keys::prefix(&["id", id.as_str()])) {
            let row = row?;
            let seen: Seen = row.read()?;
            let content = row.words().get(2).and_then(|content| LetterId::new(content).ok());
            if let Some(content) = content.filter(|_| seen.letter == *letter) {
                self.inner.tables.watch::<Seen>(change, Table::Seen, &row.key)?;
                change.put(Table::Seen, keys::gone(id, &content), &seen)?;
                change.remove(Table::Seen, row.key);
                hidden = true;
            }
        }
        Ok(hidden)
    }
}

fn malformed(e: Malformed) -> StoreError {
    StoreError::corrupt("erasure".to_owned(), &e.to_string())
}
