//! News out: each receiver by itself, in order for each case, again and again for three days.
//!
//! A message is the same, under the same id, on every try. A crash between the receiver's answer and our note repeats it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::{Office, Stop, Trouble, blocking, flush, pace};
use crate::fail_point;
use crate::store::{Posted, Posting};
use crate::webhook::Receiver;

/// Messages that are offered to a receiver at the same time, each of another case.
const AT_ONCE: usize = 4;
/// Messages taken from its queue in one go.
const BATCH: usize = 50;
/// A message that nobody took for so long is given up, until a person wants it tried again.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(3 * 24);
/// The longest sleep: the wall clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(60);

/// Delivers until it is wished to stop, or the disk fails.
pub async fn run(office: &Arc<Office>, mut stop: Stop) -> Result<(), Trouble> {
    let loops = office.receivers.iter().map(|receiver| serve(office, receiver, stop.clone()));
    let ended = try_join_all(loops).await.map(|_| ());
    if ended.is_ok() {
        stop.wished().await;
    }
    ended
}

/// Offers each receiver once what waits for it, the next try of which may be later.
pub async fn pass(office: &Arc<Office>) -> Result<(), Trouble> {
    let all = office.receivers.iter().map(|receiver| async move {
        // Each round takes the first of each line; the next try of one that fails is later than that.
        let begun = Timestamp::now();
        while offer(office, receiver, begun).await? > 0 {}
        Ok(())
    });
    try_join_all(all).await.map(|_| ())
}

/// One receiver: a slow one holds up nobody else.
async fn serve(office: &Arc<Office>, receiver: &Receiver, mut stop: Stop) -> Result<(), Trouble> {
    // From before the first look, so that nothing that comes in between is missed.
    let mut changes = office.store.follow();
    while !stop.is_wished() {
        let offered = tokio::select! {
            offered = offer(office, receiver, Timestamp::now()) => offered,
            // What is under way is offered again, under the same id.
            () = stop.wished() => return Ok(()),
        };
        match offered {
            Ok(0) => {}
            Ok(_) => continue,
            Err(trouble) if trouble.is_of_the_disk() => return Err(trouble),
            Err(trouble) => {
                tracing::error!(%trouble, receiver = receiver.name(), "webhooks can't be served; will try again")
            }
        }
        let next = office.store.webhooks_next(receiver.name()).ok().flatten();
        let until = next.and_then(|at| Duration::try_from(at.duration_since(Timestamp::now())).ok());
        let pause = until.map_or(LONGEST, |until| until.clamp(Duration::from_millis(100), LONGEST));
        tokio::select! {
            _ = changes.recv() => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.wished() => {}
        }
    }
    Ok(())
}

/// Offers what is due; gives how much it was.
async fn offer(office: &Arc<Office>, receiver: &Receiver, now: Timestamp) -> Result<usize, Trouble> {
    let (of, name) = (Arc::clone(office), receiver.name().to_owned());
    let due = office.noting(blocking(move || of.store.webhooks_due(&name, now, BATCH)).await)?;
    if due.is_empty() {
        return Ok(0);
    }
    // Nobody hears of what a power cut could undo.
    flush(office).await?;
    fail_point::reached("webhook-to-be-posted");
    let count = due.len();
    let mut outcomes = stream::iter(due)
        .map(|posting| async move {
            // Its customer may have been erased while others were slow.
            let (of, posting) = (Arc::clone(office), Arc::new(posting));
            let asked = Arc::clone(&posting);
            if !blocking(move || of.store.webhook_waits(&asked)).await? {
                return Ok(None);
            }
            let answer = receiver.post(&posting.id(), Timestamp::now(), &posting.message.body).await;
            Ok(Some((posting, answer)))
        })
        .buffer_unordered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        let Some((posting, answer)) = office.noting(outcome)? else { continue };
        fail_point::reached("webhook-answered");
        let (of, posted) = (Arc::clone(office), became(&posting, answer, Timestamp::now()));
        match &posted {
            Posted::Taken => {}
            Posted::Later { why, .. } => {
                let (id, attempts) = (posting.id(), posting.attempts.saturating_add(1));
                tracing::warn!(receiver = receiver.name(), id, attempts, why, "webhook not taken; will try again");
            }
            Posted::GivenUp { why } => {
                tracing::error!(
                    receiver = receiver.name(),
                    id = posting.id(),
                    why,
                    "webhook given up; see: webhooks list"
                );
            }
        }
        office.noting(blocking(move || of.store.webhook_posted(&posting, &posted, Timestamp::now())).await)?;
    }
    flush(office).await?;
    Ok(count)
}

fn became(posting: &Posting, answer: Result<(), String>, now: Timestamp) -> Posted {
    let Err(why) = answer else { return Posted::Taken };
    let since = posting.since.unwrap_or(now).max(posting.message.at);
    if now.duration_since(since) > GIVE_UP {
        return Posted::GivenUp { why };
    }
    let next = now.checked_add(pace::post(posting.attempts.saturating_add(1))).unwrap_or(Timestamp::MAX);
    Posted::Later { next, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::CaseId;
    use crate::store::Message;

    #[test]
    fn what_nobody_takes_is_tried_for_three_days() {
        let at = |hours: i64| Timestamp::from_second(hours * 3600).unwrap();
        let message = Message { event: "opened".into(), at: at(10), body: "{}".into(), why: None };
        let case = CaseId::new("AS-FTAJ5R4S").unwrap();
        let posting = |since, attempts| Posting::new("erp", &case, 1, message.clone(), attempts, since);
        assert_eq!(became(&posting(None, 0), Ok(()), at(500)), Posted::Taken);
        let failed = || Err("500".to_owned());
        // Its first try, however late that is.
        assert!(matches!(became(&posting(None, 0), failed(), at(500)), Posted::Later { next, .. } if next > at(500)));
        assert!(matches!(became(&posting(Some(at(10)), 9), failed(), at(82)), Posted::Later { .. }));
        assert!(matches!(became(&posting(Some(at(10)), 9), failed(), at(83)), Posted::GivenUp { .. }));
        // The receiver was away before this message was there.
        assert!(matches!(became(&posting(Some(at(0)), 9), failed(), at(80)), Posted::Later { .. }));
    }
}
