//! The one transaction of a letter: events, case, reply, what was seen, where it came from; whole or not at all.
//!
//! Staff and timers commit by the same door, without a letter.

use jiff::Timestamp;

use super::keys::{self, Table};
use super::raw::RawPlace;
use super::record::{Claim, Unmarked};
use super::tables::{Change, Count};
use super::{DoneOnce, NoticeKind, Once, Quarantined, Raised, Seen, Store, StoreError, queues};
use crate::domain::case::{Case, IllegalEvent, Rma};
use crate::domain::decision::Class;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::{CaseId, LetterId, MessageId};
use crate::domain::queue::Place;
use crate::domain::reply::Reply;
use crate::ports::Position;

/// All that changes at once.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The letter that is now taken in. Releases it from quarantine, unless this commit puts it there.
    pub letter: Option<LetterEntry>,
    /// Where the letter lies in the archive; wanted with every letter, a duplicate too.
    pub raw: Option<RawPlace>,
    pub case: Option<CaseStep>,
    /// What happens to another case with it.
    pub other: Option<CaseStep>,
    /// Goes to the outbox, due at once, or to the drafts, as the events say.
    pub reply: Option<Reply>,
    /// Further replies of the same case, likewise.
    pub more_replies: Vec<Reply>,
    /// Where the letter came from: the cursor of the folder moves there, and the mailbox has still to be told.
    pub position: Option<Position>,
    pub quarantine: Option<Quarantined>,
    /// What staff have to be told.
    pub notices: Vec<Raised>,
    /// Mails to staff beside those of notices, each with what the cap of an hour counts it as.
    pub to_staff: Vec<(NoticeKind, Reply)>,
    pub held_back: HeldBack,
    /// Nothing of it is done if something was done under this key before.
    pub once: Option<Once>,
}

/// Whether staff are not told of something yet, because they were told of so much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeldBack {
    #[default]
    AsBefore,
    /// From now on, unless it was so before.
    Since(Timestamp),
    /// They are told by this commit.
    Over,
}

/// A letter that is taken in, as a later copy of it is recognised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterEntry {
    pub id: LetterId,
    /// Equal for two deliveries of one mail.
    pub content: LetterId,
    pub message_id: Option<MessageId>,
    pub class: Class,
    pub at: Timestamp,
}

/// What happens to a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseStep {
    pub id: CaseId,
    /// The version the events were decided on; `None`: there is no such case yet.
    pub from: Option<u64>,
    pub events: Vec<CaseEvent>,
}

/// Why a commit left nothing behind.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The case is not at the version the events were decided on: look at it again and decide anew.
    #[error("case {case} has changed since")]
    Stale { case: CaseId },
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// The RMA number or the order line belongs to another case.
    #[error("{what} is held by case {by}")]
    Taken { what: Claimed, by: CaseId },
    /// The letter was taken in before.
    #[error("the letter was taken in before, as {}", .0.letter)]
    Seen(Box<Seen>),
    /// It was done before, under the same key.
    #[error("it was done before, at {}", .0.at)]
    Done(Box<DoneOnce>),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What another case holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    RmaNumber,
    OrderLine,
}

impl std::fmt::Display for Claimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RmaNumber => "the RMA number",
            Self::OrderLine => "the order line",
        })
    }
}

impl Store {
    /// Commits all of it or nothing, and gives the case as it stands then. Durable after the next [`Store::flush`].
    pub fn commit(&self, commit: &Commit) -> Result<Option<Case>, CommitError> {
        loop {
            let proposal = self.propose(commit)?;
            // Not run: something moved under us. The next round says what, or goes through.
            if self.inner.tables.run(&proposal.change)? {
                return Ok(self.done(commit, proposal));
            }
        }
    }

    /// Commits each of these by itself, as [`Store::commit`] does, for a fraction of the cost. Two that touch the same
    /// case can't both go on the version they were decided on: the later one is [`CommitError::Stale`].
    pub fn commit_all(&self, commits: &[Commit]) -> Result<Vec<Result<Option<Case>, CommitError>>, StoreError> {
        let proposals: Vec<_> = commits.iter().map(|commit| self.propose(commit)).collect();
        let changes: Vec<&Change> = proposals.iter().flatten().map(|proposal| &proposal.change).collect();
        let mut ran = self.inner.tables.run_all(&changes)?.into_iter();
        let outcome = |(commit, proposal)| match proposal {
            Ok(proposal) if ran.next() == Some(true) => Ok(self.done(commit, proposal)),
            // Alone it goes through now, or says what is wrong.
            _ => self.commit(commit),
        };
        Ok(commits.iter().zip(proposals).map(outcome).collect())
    }

    fn done(&self, commit: &Commit, proposal: Proposal) -> Option<Case> {
        if let Some(place) = &commit.raw {
            self.inner.archive.committed(place, proposal.lowest);
        }
        proposal.case
    }

    fn propose(&self, commit: &Commit) -> Result<Proposal, CommitError> {
        let mut change = Change::default();
        if let Some(entry) = &commit.letter {
            self.take_in(entry, commit.case.as_ref().map(|step| &step.id), &mut change)?;
        }
        let case = match &commit.case {
            Some(step) => Some(self.step(step, &mut change)?),
            None => None,
        };
        if let Some(step) = &commit.other {
            self.step(step, &mut change)?;
        }
        if let (Some(once), Some(step)) = (&commit.once, &commit.case) {
            self.once(once, &step.id, &mut change)?;
        }
        for reply in commit.reply.iter().chain(&commit.more_replies) {
            self.queue_or_hold(reply, commit.case.as_ref(), &mut change)?;
        }
        if let Some(place) = &commit.raw {
            change.put(Table::Raw, place.letter().to_string(), place)?;
        }
        if let Some(position) = &commit.position {
            arrive(position, commit.raw.as_ref(), &mut change)?;
        }
        self.quarantine(commit, &mut change)?;
        for raised in &commit.notices {
            self.notice(raised, &mut change)?;
        }
        for (kind, mail) in &commit.to_staff {
            self.queue_notice(*kind, mail, &mut change)?;
        }
        self.hold_back(commit.held_back, &mut change)?;
        let lowest = commit.raw.as_ref().and_then(|place| self.inner.archive.lowest_without(place));
        if let Some(lowest) = lowest {
            change.put(Table::Meta, keys::RAW_FROM.to_owned(), &lowest)?;
        }
        Ok(Proposal { change, lowest, case })
    }

    fn take_in(&self, entry: &LetterEntry, case: Option<&CaseId>, change: &mut Change) -> Result<(), CommitError> {
        let key = keys::seen(entry);
        if let Some(seen) = self.inner.tables.watch::<Seen>(change, Table::Seen, &key)? {
            return Err(CommitError::Seen(Box::new(seen)));
        }
        if let Some(id) = &entry.message_id
            && let Some(seen) = self.inner.tables.watch::<Seen>(change, Table::Seen, &keys::gone(id, &entry.content))?
        {
            return Err(CommitError::Seen(Box::new(seen)));
        }
        let seen = Seen { letter: entry.id.clone(), case: case.cloned(), class: entry.class, at: entry.at };
        change.put(Table::Seen, key, &seen)?;
        change.count(Count::Letter(entry.class));
        Ok(())
    }

    fn step(&self, step: &CaseStep, change: &mut Change) -> Result<Case, CommitError> {
        let known = self.inner.tables.watch::<Case>(change, Table::Cases, step.id.as_str())?;
        if known.as_ref().map(|case| case.version) != step.from {
            return Err(CommitError::Stale { case: step.id.clone() });
        }
        self.apply(known, &step.id, &step.events, change)
    }

    /// Adds events to a case: its snapshot, the events themselves, and all that finds or belongs to the case by them.
    pub(super) fn apply(
        &self,
        known: Option<Case>,
        id: &CaseId,
        events: &[CaseEvent],
        change: &mut Change,
    ) -> Result<Case, CommitError> {
        let first = known.as_ref().map_or(0, |case| case.version) + 1;
        let place = known.as_ref().map(Place::of);
        let mut known = known;
        for event in events {
            let due = known.as_ref().and_then(|case| case.due);
            let case = Case::apply(known.take(), event)?;
            if case.id != *id {
                return Err(IllegalEvent { state: None, event: event.event.name() }.into());
            }
            if case.due != due {
                if let Some(due) = due {
                    change.remove(Table::Due, keys::due_case(due.at, id));
                }
                if let Some(due) = case.due {
                    change.put(Table::Due, keys::due_case(due.at, id), &())?;
                }
            }
            self.find_by(&case, event, change)?;
            known = Some(case);
        }
        let case = known.ok_or(IllegalEvent { state: None, event: "none" })?;
        if !events.is_empty() {
            change.put(Table::Events, keys::events(id, first), &events)?;
            change.put(Table::Cases, id.to_string(), &case)?;
            queues::replace(place.as_ref(), &case, change)?;
            self.announce(&case, first, events, change)?;
        }
        Ok(case)
    }

    fn find_by(&self, case: &Case, event: &CaseEvent, change: &mut Change) -> Result<(), CommitError> {
        match &event.event {
            Event::Opened { customer, .. } => {
                change.put(Table::Index, keys::sender(&customer.address, event.at, &case.id), &case.id)?;
                change.count(Count::Case);
            }
            Event::ReplyQueued { message_id, .. } => {
                change.put(Table::Index, keys::reply(message_id), &case.id)?;
            }
            Event::DraftReleased { message_id } => {
                change.put(Table::Index, keys::reply(message_id), &case.id)?;
                if let Some(reply) = self.take_draft(&case.id, message_id, change)? {
                    self.queue(&Reply { written: event.at, ..reply }, change)?;
                }
            }
            Event::DraftDropped { message_id } => {
                self.take_draft(&case.id, message_id, change)?;
            }
            Event::RmaIssued { rma, .. } => self.claim(case, rma, change)?,
            Event::Split { into, letters, messages, replies, .. } => {
                for reply in replies {
                    let key = keys::reply(reply);
                    if self.inner.tables.watch::<CaseId>(change, Table::Index, &key)?.is_some() {
                        change.put(Table::Index, key, into)?;
                    }
                }
                self.move_letters(letters, messages, into, change)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Whoever recognises the letters, or answers them, is led to the other case.
    fn move_letters(
        &self,
        letters: &[LetterId],
        messages: &[MessageId],
        into: &CaseId,
        change: &mut Change,
    ) -> Result<(), StoreError> {
        let with_ids = messages.iter().map(|id| keys::prefix(&["id", id.as_str()]));
        let without = letters.iter().map(|letter| keys::seen_as(letter, letter, None));
        for prefix in with_ids.chain(without) {
            for row in self.inner.tables.scan(Table::Seen, &prefix) {
                let key = row?.key;
                let seen = self.inner.tables.watch::<Seen>(change, Table::Seen, &key)?;
                if let Some(seen) = seen.filter(|seen| letters.contains(&seen.letter)) {
                    change.put(Table::Seen, key, &Seen { case: Some(into.clone()), ..seen })?;
                }
            }
        }
        Ok(())
    }

    fn claim(&self, case: &Case, rma: &Rma, change: &mut Change) -> Result<(), CommitError> {
        let (number, line) = (keys::rma(&rma.number), keys::line(&rma.order_number, &rma.sku));
        let holder = self.inner.tables.watch::<CaseId>(change, Table::Index, &number)?;
        if let Some(by) = holder.filter(|by| *by != case.id) {
            return Err(CommitError::Taken { what: Claimed::RmaNumber, by });
        }
        let holder = self.inner.tables.watch::<Claim>(change, Table::Index, &line)?;
        if let Some(Claim { case: by, .. }) = holder.filter(|held| held.case != case.id) {
            return Err(CommitError::Taken { what: Claimed::OrderLine, by });
        }
        change.put(Table::Index, number, &case.id)?;
        change.put(Table::Index, line, &Claim { case: case.id.clone(), rma: rma.number.clone() })?;
        Ok(())
    }

    fn quarantine(&self, commit: &Commit, change: &mut Change) -> Result<(), StoreError> {
        if let Some(entry) = &commit.quarantine {
            let key = keys::quarantine(entry);
            if self.inner.tables.watch::<Quarantined>(change, Table::Quarantine, &key)?.is_none() {
                change.count(Count::Quarantined);
            }
            return change.put(Table::Quarantine, key, entry);
        }
        if let Some(entry) = &commit.letter {
            self.let_go(keys::quarantined_letter(&entry.id), change)?;
        }
        match &commit.position {
            Some(position) => self.let_go(keys::quarantined_position(position), change).map(|_| ()),
            None => Ok(()),
        }
    }

    /// Takes an entry out of quarantine; `false` if it is not there.
    pub(super) fn let_go(&self, key: String, change: &mut Change) -> Result<bool, StoreError> {
        let there = self.inner.tables.watch::<Quarantined>(change, Table::Quarantine, &key)?.is_some();
        if there {
            change.remove(Table::Quarantine, key);
            change.count(Count::Released);
        }
        Ok(there)
    }
}

/// A commit worked out, on what it rests and what it will have done.
struct Proposal {
    change: Change,
    /// What the index is told about the archive.
    lowest: Option<u32>,
    case: Option<Case>,
}

fn arrive(position: &Position, raw: Option<&RawPlace>, change: &mut Change) -> Result<(), StoreError> {
    // A Maildir gives new numbers at every listing: there is no mark to move, only names to tell.
    let listed = position.validity == 0 && !position.name.is_empty();
    if !listed {
        change.advance(position);
    }
    let letter = raw.map(|place| place.letter().clone());
    change.put(Table::Mailbox, keys::unmarked(position), &Unmarked { position: position.clone(), letter })
}
