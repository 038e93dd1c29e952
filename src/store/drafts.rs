//! Letters that are held back: written and committed as every reply, and out of the sight of whoever sends.
//!
//! What becomes of one stands in the events of its case; the records here follow them, in the same transaction.

use super::books::Books;
use super::commit::CaseStep;
use super::finding::FindingKind;
use super::keys::{self, Table};
use super::picture::Picture;
use super::tables::{Change, Count};
use super::{Store, StoreError};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::{CaseId, MessageId};
use crate::domain::reply::Reply;

impl Store {
    /// All drafts in the order of their cases, one at a time.
    pub fn drafts(&self) -> impl Iterator<Item = Result<Reply, StoreError>> + use<> {
        self.inner.tables.scan(Table::Drafts, "").map(|row| row?.read())
    }

    /// Puts a reply where the events of its step say: to the outbox, or to the drafts.
    pub(super) fn queue_or_hold(
        &self,
        reply: &Reply,
        step: Option<&CaseStep>,
        change: &mut Change,
    ) -> Result<(), StoreError> {
        match fate(&reply.message_id, step) {
            Fate::Queued => self.queue(reply, change),
            Fate::Held { counts } => {
                if counts {
                    self.count_reply(reply, change)?;
                }
                change.put(Table::Drafts, keys::draft(&reply.case, &reply.message_id), reply)?;
                change.count(Count::DraftWritten);
                Ok(())
            }
            Fate::Dropped => Ok(()),
        }
    }

    /// Takes a draft out; `None`: it is written by the same step.
    pub(super) fn take_draft(
        &self,
        case: &CaseId,
        id: &MessageId,
        change: &mut Change,
    ) -> Result<Option<Reply>, StoreError> {
        let key = keys::draft(case, id);
        let draft = self.inner.tables.watch::<Reply>(change, Table::Drafts, &key)?;
        if let Some(draft) = &draft {
            change.remove(Table::Drafts, key);
            // It counts from when it is sent, or not at all.
            self.uncount_reply(draft, change);
            change.count(Count::DraftGone);
        }
        Ok(draft)
    }
}

/// What one step makes of a reply that it writes.
enum Fate {
    Queued,
    /// `counts`: it goes out by itself, so that a storm of letters meets the cap of its sender meanwhile.
    Held {
        counts: bool,
    },
    Dropped,
}

fn fate(id: &MessageId, step: Option<&CaseStep>) -> Fate {
    let events = step.map(|step| step.events.as_slice()).unwrap_or_default();
    let last = events.iter().rev().find_map(|CaseEvent { event, .. }| match event {
        Event::DraftWritten { message_id, until, .. } if message_id == id => {
            Some(Fate::Held { counts: until.is_some() })
        }
        Event::DraftDropped { message_id } if message_id == id => Some(Fate::Dropped),
        Event::DraftReleased { message_id } if message_id == id => Some(Fate::Queued),
        _ => None,
    });
    last.unwrap_or(Fate::Queued)
}

impl Books {
    /// The drafts are those that the cases tell of.
    pub(super) fn read_drafts(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        let mut expected = std::mem::take(&mut self.drafts);
        for row in picture.scan(Table::Drafts) {
            let row = row?;
            self.tally.drafts += 1;
            self.read::<Reply>(Table::Drafts, &row);
            if !expected.remove(&row.key) {
                self.find(FindingKind::Reply, format!("drafts {}", row.key), "no case holds this letter back");
            }
        }
        for key in expected {
            self.find(
                FindingKind::Reply,
                format!("drafts {key}"),
                "its case holds this letter back, but it is not there",
            );
        }
        Ok(())
    }
}
