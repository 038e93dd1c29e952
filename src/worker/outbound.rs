//! Replies out: outbox → mailer → sent, later, or to staff.
//!
//! A reply is the same mail on every try. A crash between the server's "250" and our note repeats it with the same
//! Message-ID, never another one.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};
use tracing::{Instrument, Span};

use super::counters::Counted;
use super::pulse::Loop;
use super::{Office, Stop, Trouble, flush, handover, notice, on_thread, pace};
use crate::domain::ids::{MessageId, masked};
use crate::domain::reply::Reply;
use crate::fail_point;
use crate::ports::{Delivery, Mailer};
use crate::store::{NoticeKind, OutboxKey, StoreError, Waiting};

/// Replies offered at the same time.
const AT_ONCE: usize = 4;
/// Replies taken from the outbox in one go.
const BATCH: usize = 200;

/// What a pass over the outbox did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    pub sent: usize,
    pub later: usize,
    pub refused: usize,
    /// Held back by the cap of the hour.
    pub held: usize,
}

/// Sends replies until it is wished to stop, or the disk fails: then the store has to be opened anew.
pub async fn run(mailer: &impl Mailer, office: &Arc<Office>, mut stop: Stop) -> Result<(), Trouble> {
    while !stop.is_wished() {
        office.health.pulse.beats(Loop::Replies);
        let pause = match send_due(mailer, office, &stop, Timestamp::now()).await {
            Ok(Sent { sent, later, refused, .. }) if sent + later + refused > 0 => {
                tracing::info!(sent, later, refused, "outbox served");
                continue;
            }
            Ok(Sent { held, .. }) if held > 0 => std::time::Duration::from_secs(30),
            Ok(_) => until_next(office),
            Err(trouble) if trouble.is_of_the_disk() => return Err(trouble),
            Err(trouble) => {
                tracing::error!(%trouble, "the outbox can't be served; will try again");
                std::time::Duration::from_secs(30)
            }
        };
        office.health.pulse.rests(Loop::Replies);
        tokio::select! {
            () = office.replies_written.notified() => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.wished() => {}
        }
    }
    Ok(())
}

/// Offers every waiting reply once, also those whose next try would be later, while letters still come in; ends when
/// `letters_done` says that no more are written and each has had its try.
pub async fn empty(mailer: &impl Mailer, office: &Arc<Office>, letters_done: &mut Stop) -> Result<Sent, Trouble> {
    let mut total = Sent::default();
    let mut tried: HashSet<String> = HashSet::new();
    loop {
        let done = letters_done.is_wished();
        let waiting = due(office, Timestamp::MAX, tried.len() + BATCH).await?;
        let fresh: Vec<Waiting> =
            waiting.into_iter().filter(|w| !tried.contains(w.reply.message_id.as_str())).take(BATCH).collect();
        if fresh.is_empty() {
            if done {
                if total.held > 0 {
                    tracing::warn!(held = total.held, "the cap on replies in an hour is reached: the rest waits");
                }
                return Ok(total);
            }
            tokio::select! {
                () = office.replies_written.notified() => {}
                () = letters_done.wished() => {}
            }
            continue;
        }
        tried.extend(fresh.iter().map(|w| w.reply.message_id.as_str().to_owned()));
        let sent = offer(mailer, office, fresh, &Stop::never()).await?;
        total = Sent {
            sent: total.sent + sent.sent,
            later: total.later + sent.later,
            refused: total.refused + sent.refused,
            held: total.held + sent.held,
        };
    }
}

/// Offers the replies that are due, as many as the cap of the hour allows.
async fn send_due(mailer: &impl Mailer, office: &Arc<Office>, stop: &Stop, now: Timestamp) -> Result<Sent, Trouble> {
    let waiting = due(office, latest(office, now)?, BATCH).await?;
    offer(mailer, office, waiting, stop).await
}

/// Until when replies count as due: `now`, but if none is due within the longest wait, the clock was ahead when they were
/// put off, and each is due.
fn latest(office: &Office, now: Timestamp) -> Result<Timestamp, StoreError> {
    let horizon = now.checked_add(pace::LONGEST).unwrap_or(Timestamp::MAX);
    Ok(if office.store.outbox_next()?.is_some_and(|next| next > horizon) { Timestamp::MAX } else { now })
}

async fn offer(
    mailer: &impl Mailer,
    office: &Arc<Office>,
    waiting: Vec<Waiting>,
    stop: &Stop,
) -> Result<Sent, Trouble> {
    fail_point::reached("outbox-taken");
    office.noting(send_and_note(mailer, office, waiting, stop).await)
}

async fn send_and_note(
    mailer: &impl Mailer,
    office: &Arc<Office>,
    mut waiting: Vec<Waiting>,
    stop: &Stop,
) -> Result<Sent, Trouble> {
    let hour_ago = Timestamp::now().checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
    let room = office.replies_per_hour.saturating_sub(office.store.replies_sent_since(hour_ago)?);
    let offered = waiting.len();
    let mut replies = 0;
    waiting.retain(|waiting| {
        let is_reply = !waiting.reply.kind.is_for_staff();
        replies += usize::from(is_reply);
        !is_reply || replies <= room
    });
    let held = offered - waiting.len();
    if held > 0 {
        let cap = office.replies_per_hour;
        let what = format!("{cap} replies left within an hour: the cap on replies is reached, the others wait");
        notice::tell(office, NoticeKind::HourCap, "outbox".to_owned(), what)?;
    }
    let mut outcomes = stream::iter(waiting)
        .map(|waiting| async move {
            let span = span(&waiting.reply);
            // With a server that hangs, the whole batch would take too long to wait for.
            let delivery = match stop.is_wished() {
                true => None,
                false => send(mailer, office, &waiting).instrument(span.clone()).await,
            };
            (waiting, delivery, span)
        })
        .buffer_unordered(AT_ONCE);
    let total = Sent { held, ..Sent::default() };
    let mut notes = Notes { office, total, sent: Vec::new(), accepted: Vec::new() };
    let mut noted = Ok(());
    while let Some((waiting, delivery, span)) = outcomes.next().await {
        // What is under way when the disk fails is seen through, so that we know what was accepted.
        if let (Ok(()), Some(delivery)) = (&noted, delivery) {
            noted = office.noting(span.in_scope(|| notes.take(waiting, delivery)).map_err(Trouble::from));
        }
    }
    noted?;
    notes.write()?;
    if notes.total != Sent::default() {
        fail_point::reached("replies-noted");
        flush(office).await?;
        fail_point::reached("replies-durable");
    }
    for id in notes.accepted {
        office.accepted().remove(&id);
    }
    Ok(notes.total)
}

/// What every line of the log about a reply carries, whatever its level: its own Message-ID, that of the letter it
/// answers, and their case.
fn span(reply: &Reply) -> Span {
    let answered = reply.in_reply_to.as_ref().map(MessageId::as_str);
    tracing::error_span!("reply", message_id = reply.message_id.as_str(), in_reply_to = answered, case = %reply.case)
}

/// Offers one reply. `None`: the disk has failed, and what can't be noted is not sent.
async fn send(mailer: &impl Mailer, office: &Arc<Office>, waiting: &Waiting) -> Option<Delivery> {
    let id = &waiting.reply.message_id;
    if office.has_failed_disk() {
        return None;
    }
    if office.accepted().contains(id) {
        return Some(Delivery::Sent);
    }
    fail_point::reached("reply-to-be-sent");
    let delivery = match whole(office, &waiting.reply).await {
        Ok(reply) => mailer.send(&reply).await,
        Err(why) => Delivery::TryLater(why),
    };
    office.health.pulse.beats(Loop::Replies);
    match &delivery {
        Delivery::Sent => {
            fail_point::reached("reply-accepted");
            office.accepted().insert(id.clone());
            office.health.reply_sent();
            office.health.delivery(Ok(()));
        }
        // It has answered.
        Delivery::Refused(_) => office.health.delivery(Ok(())),
        Delivery::TryLater(why) => office.health.delivery(Err(why)),
    }
    Some(delivery)
}

/// A reply with all that goes with it.
async fn whole(office: &Arc<Office>, reply: &Reply) -> Result<Reply, String> {
    if reply.passes_on.is_none() {
        return Ok(reply.clone());
    }
    let (of, reply) = (Arc::clone(office), reply.clone());
    let enclosed = on_thread(move || handover::enclose(&of, &reply)).await;
    enclosed.map_err(|e| e.to_string())?.map_err(|e| e.to_string())
}

/// What became of the replies of one go.
struct Notes<'a> {
    office: &'a Office,
    total: Sent,
    /// Accepted, not yet noted.
    sent: Vec<OutboxKey>,
    accepted: Vec<MessageId>,
}

impl Notes<'_> {
    fn take(&mut self, waiting: Waiting, delivery: Delivery) -> Result<(), StoreError> {
        let now = Timestamp::now();
        match delivery {
            Delivery::Sent => {
                self.total.sent += 1;
                let written = waiting.reply.written;
                self.count(|counted| {
                    counted.sent += 1;
                    counted.delivering.note(written, now);
                });
                tracing::info!(attempts = waiting.attempts + 1, "reply sent");
                self.accepted.push(waiting.reply.message_id);
                self.sent.push(waiting.key);
            }
            Delivery::TryLater(why) => {
                self.total.later += 1;
                self.count(|counted| counted.put_off += 1);
                later(self.office, waiting, &why, now)?;
                fail_point::reached("reply-put-off");
            }
            Delivery::Refused(why) => {
                self.total.refused += 1;
                self.count(|counted| counted.refused += 1);
                refused(self.office, &waiting, &why, now)?;
                fail_point::reached("reply-refused");
            }
        }
        // In small lots: what a crash makes us repeat stays small.
        if self.sent.len() >= 32 { self.write() } else { Ok(()) }
    }

    fn count(&self, note: impl FnOnce(&mut Counted)) {
        self.office.health.counters.count(note);
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.office.store.outbox_sent(&std::mem::take(&mut self.sent), Timestamp::now())
    }
}

fn later(office: &Office, waiting: Waiting, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let first = waiting.first_try.unwrap_or(now);
    if now.duration_since(first) > pace::GIVE_UP {
        return refused(office, &waiting, &format!("for days: {why}"), now);
    }
    let next = now.checked_add(pace::resend(waiting.attempts + 1)).unwrap_or(Timestamp::MAX);
    tracing::warn!(attempts = waiting.attempts + 1, why = masked(why), "reply not delivered; will try again");
    office.store.outbox_later(&waiting.key, now, next, why)
}

/// A reply that is never taken: its case goes to staff. Of a notice only the log can tell.
fn refused(office: &Office, waiting: &Waiting, why: &str, now: Timestamp) -> Result<(), StoreError> {
    office.store.outbox_refused(&waiting.key, why, now)?;
    if waiting.reply.kind.is_for_staff() {
        tracing::error!(why = masked(why), "staff can't be told by mail");
        return Ok(());
    }
    let case = &waiting.reply.case;
    let what = format!("a reply of case {case} can't be delivered and the case goes to staff: {why}");
    notice::tell(office, NoticeKind::ReplyRefused, case.to_string(), what)?;
    handover::of_case(office, case, now)
}

/// The replies due at `now` that are durable.
async fn due(office: &Arc<Office>, now: Timestamp, limit: usize) -> Result<Vec<Waiting>, Trouble> {
    let office = Arc::clone(office);
    let look = move || {
        let _durable = office.durable.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        office.store.outbox_due(now, limit)
    };
    match on_thread(look).await {
        Ok(waiting) => Ok(waiting?),
        Err(e) => Err(Trouble::Broken(e.to_string())),
    }
}

/// How long nothing will be due, a minute at most.
fn until_next(office: &Office) -> std::time::Duration {
    let minute = std::time::Duration::from_secs(60);
    let next = office.store.outbox_next().ok().flatten();
    let until = next.map(|at| at.duration_since(Timestamp::now()));
    until.map_or(minute, |d| {
        std::time::Duration::try_from(d).unwrap_or_default().clamp(std::time::Duration::from_secs(1), minute)
    })
}
