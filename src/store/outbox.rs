//! Replies that wait to be sent, the tries so far, and how many went where lately.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::commit::CommitError;
use super::keys::{self, Table};
use super::record::Parcel;
use super::tables::{Change, Count, Row};
use super::{NoticeKind, Store, StoreError};
use crate::domain::case::Case;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::{Address, MessageId};
use crate::domain::reply::{Kind, Reply};

/// How long replies are remembered for the caps; they reach back a day at most.
const PACE_KEPT: SignedDuration = SignedDuration::from_hours(48);
/// How many outdated entries a finished reply clears away: more than one reply adds, so they can't pile up.
const PACE_CLEARED: usize = 8;
/// Among so many replies the oldest is looked for.
const OLDEST_OF: usize = 1000;

/// A reply in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub key: OutboxKey,
    pub reply: Reply,
    /// Tries so far.
    pub attempts: u32,
    pub first_try: Option<Timestamp>,
    /// Why the last try failed.
    pub why: Option<String>,
}

/// Names a waiting reply until its next try is over; afterwards it names nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxKey {
    next_try: Timestamp,
    message_id: MessageId,
}

impl OutboxKey {
    pub fn next_try(&self) -> Timestamp {
        self.next_try
    }

    pub fn message_id(&self) -> &MessageId {
        &self.message_id
    }
}

impl Store {
    /// The replies whose next try is due, the longest due first.
    pub fn outbox_due(&self, now: Timestamp, limit: usize) -> Result<Vec<Waiting>, StoreError> {
        let mut due = Vec::new();
        for row in self.inner.tables.scan(Table::Outbox, "").take(limit) {
            let row = row?;
            let key = read_key(&row)?;
            if key.next_try > now {
                break;
            }
            let Parcel { reply, attempts, first_try, why } = row.read()?;
            due.push(Waiting { key, reply, attempts, first_try, why });
        }
        Ok(due)
    }

    /// When the next reply is due; `None`: none waits.
    pub fn outbox_next(&self) -> Result<Option<Timestamp>, StoreError> {
        match self.inner.tables.scan(Table::Outbox, "").next() {
            Some(row) => Ok(Some(read_key(&row?)?.next_try)),
            None => Ok(None),
        }
    }

    /// When the oldest reply that waits was written; `None`: none waits. Of very many it looks at the first in turn.
    pub fn outbox_oldest(&self) -> Result<Option<Timestamp>, StoreError> {
        /// What is read of a [`Parcel`]: its texts and files stay where they are.
        #[derive(Deserialize)]
        struct Written {
            reply: At,
        }
        #[derive(Deserialize)]
        struct At {
            written: Timestamp,
        }
        let first = self.inner.tables.scan(Table::Outbox, "").take(OLDEST_OF);
        let written = first.map(|row| Ok(row?.read::<Written>()?.reply.written));
        Ok(written.collect::<Result<Vec<_>, StoreError>>()?.into_iter().min())
    }

    /// These were taken over by the next mail server. A key that names nothing any more is passed over.
    pub fn outbox_sent(&self, keys: &[OutboxKey], at: Timestamp) -> Result<(), StoreError> {
        let proposals: Vec<_> = keys.iter().map(|key| self.propose_sent(key, at)).collect::<Result<_, _>>()?;
        let changes: Vec<&Change> = proposals.iter().collect();
        let ran = self.inner.tables.run_all(&changes)?;
        // What another change came before, two replies of one case above all, is worked out anew.
        for (key, _) in keys.iter().zip(ran).filter(|(_, ran)| !ran) {
            while !self.inner.tables.run(&self.propose_sent(key, at)?)? {}
        }
        Ok(())
    }

    /// It will never be taken: the case goes to staff.
    pub fn outbox_refused(&self, key: &OutboxKey, why: &str, at: Timestamp) -> Result<(), StoreError> {
        let event = Event::ReplyRefused { message_id: key.message_id.clone() };
        let event = CaseEvent::daemon(event, at).because(Some(why.to_owned()));
        while !self.inner.tables.run(&self.finish(key, &event)?.map(|(change, _)| change).unwrap_or_default())? {}
        Ok(())
    }

    /// The try at `tried` failed; the next one is at `next_try`. Nothing happens if `key` names nothing any more.
    pub fn outbox_later(
        &self,
        key: &OutboxKey,
        tried: Timestamp,
        next_try: Timestamp,
        why: &str,
    ) -> Result<(), StoreError> {
        loop {
            let mut change = Change::default();
            let Some(mut parcel) = self.take_out(key, &mut change)? else { return Ok(()) };
            parcel.attempts = parcel.attempts.saturating_add(1);
            parcel.first_try = parcel.first_try.or(Some(tried));
            parcel.why = Some(why.to_owned());
            change.put(Table::Outbox, keys::due(next_try, &key.message_id), &parcel)?;
            if self.inner.tables.run(&change)? {
                return Ok(());
            }
        }
    }

    /// How many replies to `address`, with whatever tag, were queued at `since` or later, sent by now or not; reaches back 48 hours.
    pub fn replies_to(&self, address: &Address, since: Timestamp) -> Result<usize, StoreError> {
        self.count_pace(&keys::prefix(&["to", address.untagged().as_str()]), since)
    }

    /// How many replies were sent at `since` or later; reaches back 48 hours.
    pub fn replies_sent_since(&self, since: Timestamp) -> Result<usize, StoreError> {
        self.count_pace(&keys::prefix(&["sent"]), since)
    }

    /// Puts a reply into the outbox, due at once.
    pub(super) fn queue(&self, reply: &Reply, change: &mut Change) -> Result<(), StoreError> {
        let (id, at) = (&reply.message_id, reply.written);
        change.put(Table::Outbox, keys::due(at, id), &Parcel::new(reply))?;
        change.count(Count::ReplyQueued);
        self.count_reply(reply, change)
    }

    /// Counts a reply for the cap of its address.
    pub(super) fn count_reply(&self, reply: &Reply, change: &mut Change) -> Result<(), StoreError> {
        change.put(Table::Pace, paced(reply), &())
    }

    pub(super) fn uncount_reply(&self, reply: &Reply, change: &mut Change) {
        change.remove(Table::Pace, paced(reply));
    }

    /// Puts the mail of a notice there, before all replies, which the cap of an hour may hold back.
    pub(super) fn queue_notice(&self, kind: NoticeKind, mail: &Reply, change: &mut Change) -> Result<(), StoreError> {
        let (id, at) = (&mail.message_id, mail.written);
        change.put(Table::Outbox, keys::due(Timestamp::UNIX_EPOCH, id), &Parcel::new(mail))?;
        change.put(Table::Pace, keys::mailed(kind, at, id), &())?;
        change.count(Count::NoticeQueued);
        self.forget_pace(&keys::prefix(&["notice", kind.code()]), at, change)
    }

    pub(super) fn count_pace(&self, prefix: &str, since: Timestamp) -> Result<usize, StoreError> {
        let rows = self.inner.tables.scan_from(Table::Pace, prefix, &keys::time(since));
        rows.map(|row| row.map(|_| 1)).sum()
    }

    fn propose_sent(&self, key: &OutboxKey, at: Timestamp) -> Result<Change, StoreError> {
        let event = CaseEvent::daemon(Event::ReplySent { message_id: key.message_id.clone() }, at);
        let Some((mut change, kind)) = self.finish(key, &event)? else { return Ok(Change::default()) };
        if kind.is_for_staff() {
            return Ok(change);
        }
        change.put(Table::Pace, keys::sent(at, &key.message_id), &())?;
        self.forget_pace(&keys::prefix(&["sent"]), at, &mut change)?;
        Ok(change)
    }

    /// Takes a reply out of the outbox and tells its case; `None` if the key names nothing any more.
    fn finish(&self, key: &OutboxKey, event: &CaseEvent) -> Result<Option<(Change, Kind)>, StoreError> {
        let mut change = Change::default();
        let Some(parcel) = self.take_out(key, &mut change)? else { return Ok(None) };
        change.count(Count::ReplyGone);
        if parcel.reply.kind.is_for_staff() {
            return Ok(Some((change, parcel.reply.kind)));
        }
        let to = keys::prefix(&["to", parcel.reply.to.address.untagged().as_str()]);
        self.forget_pace(&to, parcel.reply.written, &mut change)?;
        let id = &parcel.reply.case;
        let case = self.inner.tables.watch::<Case>(&mut change, Table::Cases, id.as_str())?;
        // Erased between the two looks: its replies went with it.
        let is_gone = || self.inner.tables.get::<Parcel>(Table::Outbox, &keys::due(key.next_try, &key.message_id));
        if case.as_ref().is_some_and(|case| case.erased.is_some()) && is_gone()?.is_none() {
            return Ok(None);
        }
        // A reply that no case queued has none to tell.
        if case.is_some() {
            match self.apply(case, id, std::slice::from_ref(event), &mut change) {
                Ok(_) => {}
                Err(CommitError::Store(e)) => return Err(e),
                Err(e) => return Err(StoreError::corrupt(id.to_string(), &e.to_string())),
            }
        }
        Ok(Some((change, parcel.reply.kind)))
    }

    fn take_out(&self, key: &OutboxKey, change: &mut Change) -> Result<Option<Parcel>, StoreError> {
        let row = keys::due(key.next_try, &key.message_id);
        let parcel = self.inner.tables.watch(change, Table::Outbox, &row)?;
        change.remove(Table::Outbox, row);
        Ok(parcel)
    }

    fn forget_pace(&self, prefix: &str, now: Timestamp, change: &mut Change) -> Result<(), StoreError> {
        let Ok(until) = now.checked_sub(PACE_KEPT) else { return Ok(()) };
        let until = format!("{prefix}{}", keys::time(until));
        for row in self.inner.tables.scan(Table::Pace, prefix).take(PACE_CLEARED) {
            let row = row?;
            if row.key >= until {
                break;
            }
            change.remove(Table::Pace, row.key);
        }
        Ok(())
    }
}

fn paced(reply: &Reply) -> String {
    keys::to(&reply.to.address.untagged(), reply.written, &reply.message_id)
}

fn read_key(row: &Row) -> Result<OutboxKey, StoreError> {
    let key = match row.words().as_slice() {
        [time, id] => keys::read_time(time).zip(MessageId::new(id).ok()),
        _ => None,
    };
    let (next_try, message_id) = key.ok_or_else(|| row.corrupt("the key is not a time and a Message-ID"))?;
    Ok(OutboxKey { next_try, message_id })
}
