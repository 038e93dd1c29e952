//! What lies in the selected folder: sizes first, then whole mails in batches.
//!
//! Promises: a UID is either answered with its own mail, or known to be gone, or said to be unreadable. An answer that
//! is missing, or that may be the server's stand-in for a mail removed meanwhile, is looked up again; a letter is there
//! if either SEARCH or FETCH names it.

use std::collections::BTreeMap;

use async_imap::imap_proto::{AttributeValue, MailboxDatum, Response};
use jiff::Timestamp;

use super::cursor::{self, Listed};
use super::session::{Failure, Session, is_passing};
use crate::ports::{BEGINNING, Content};

/// All letters with UIDs from `first` on, ascending. `dated`: ask when they came. `limit`: as for [`contents`].
pub(super) async fn list(session: &mut Session, first: u32, dated: bool, limit: u64) -> Result<Vec<Listed>, Failure> {
    let none_above = session.selected.uid_next.is_some_and(|next| next <= first);
    if session.selected.exists == 0 || none_above {
        return Ok(Vec::new());
    }
    let mut listed = there(session, &format!("{first}:*"), dated, limit).await?;
    // `n:*` means the last letter too when n is above it (RFC 3501 section 6.4.8).
    Ok(listed.split_off(&first).into_values().collect())
}

/// The highest UID of the selected folder; 0 if it is empty.
pub(super) async fn last(session: &mut Session) -> Result<u32, Failure> {
    if let Some(next) = session.selected.uid_next {
        return Ok(next.saturating_sub(1));
    }
    if session.selected.exists == 0 {
        return Ok(0);
    }
    let last = there(session, "*", false, 0).await?.into_keys().next_back();
    last.ok_or_else(|| Failure::Broken("the server does not tell its last UID".into()))
}

/// The contents of a batch in its order; letters that are gone are left out.
///
/// `limit` is the size in bytes of the largest mail that is fetched whole. Fails with [`Failure::Refused`] if the
/// server gave none of the batch.
pub(super) async fn contents(
    session: &mut Session,
    folder: &str,
    batch: &[Listed],
    limit: u64,
) -> Result<Vec<(u32, Content)>, Failure> {
    let mut answer = bodies(session, batch, limit).await?;
    if let (true, Some(text)) = (answer.mails.is_empty(), answer.refusal.take()) {
        return Err(Failure::Refused(text));
    }
    let doubtful: Vec<u32> = batch.iter().filter(|l| answer.is_doubtful(l, limit)).map(|l| l.uid).collect();
    let there =
        if doubtful.is_empty() { BTreeMap::new() } else { look_again(session, folder, &doubtful, limit).await? };
    let mut contents = Vec::with_capacity(batch.len());
    for letter in batch {
        if doubtful.contains(&letter.uid) && !there.contains_key(&letter.uid) {
            tracing::info!(uid = letter.uid, "a letter was removed from the folder before it could be fetched");
            continue;
        }
        let content = match answer.mails.remove(&letter.uid) {
            Some(raw) => shaped(raw, letter.size, limit),
            None => alone(session, letter, limit).await?,
        };
        contents.push((letter.uid, content));
    }
    Ok(contents)
}

/// The letter that has no answer although it is there, asked for once more by itself.
async fn alone(session: &mut Session, letter: &Listed, limit: u64) -> Result<Content, Failure> {
    let mut answer = bodies(session, &[*letter], limit).await?;
    match (answer.mails.remove(&letter.uid), answer.refusal) {
        (Some(raw), _) => Ok(shaped(raw, letter.size, limit)),
        (None, Some(text)) => Err(Failure::Refused(text)),
        (None, None) if letter.size == 0 => Ok(Content::Whole(Vec::new())),
        (None, None) => Ok(Content::Unreadable { why: "the server lists it, but gives no content".into() }),
    }
}

fn shaped(mut raw: Vec<u8>, size: u64, limit: u64) -> Content {
    if size <= limit {
        return Content::Whole(raw);
    }
    raw.truncate(BEGINNING as usize);
    Content::Beginning { raw, size }
}

struct Answer {
    mails: BTreeMap<u32, Vec<u8>>,
    /// The text of a tagged NO or BAD.
    refusal: Option<String>,
}

impl Answer {
    /// Whether the mail may be gone: Dovecot then gives nothing, Courier invents a mail.
    fn is_doubtful(&self, letter: &Listed, limit: u64) -> bool {
        let Some(raw) = self.mails.get(&letter.uid) else { return true };
        let length = if letter.size <= limit { letter.size } else { BEGINNING.min(letter.size) };
        raw.len() as u64 != length || is_stand_in(raw)
    }
}

/// Courier's invented mail for one that is gone. A real mail of that subject merely costs another look.
fn is_stand_in(raw: &[u8]) -> bool {
    let beginning = raw.get(..raw.len().min(1024)).unwrap_or_default();
    String::from_utf8_lossy(beginning).to_ascii_lowercase().contains("\nsubject: message unavailable")
}

async fn bodies(session: &mut Session, batch: &[Listed], limit: u64) -> Result<Answer, Failure> {
    let largest = batch.iter().map(|l| l.size).max().unwrap_or(0);
    let part = if largest <= limit { "BODY.PEEK[]".to_owned() } else { format!("BODY.PEEK[]<0.{BEGINNING}>") };
    let uids: Vec<u32> = batch.iter().map(|l| l.uid).collect();
    let mut answer = Answer { mails: BTreeMap::new(), refusal: None };
    for set in cursor::sets(&uids) {
        let mails = &mut answer.mails;
        let line = format!("UID FETCH {set} (UID {part})");
        let fetched = session.command(&line, largest.min(limit), |response| {
            if let Some((uid, raw)) = body(response).filter(|(uid, _)| uids.binary_search(uid).is_ok()) {
                mails.insert(uid, raw);
            }
        });
        match fetched.await {
            Ok(()) => {}
            Err(Failure::Refused(text)) => answer.refusal = Some(text),
            Err(failure) => return Err(failure),
        }
    }
    Ok(answer)
}

fn body(response: &Response<'_>) -> Option<(u32, Vec<u8>)> {
    let Response::Fetch(_, values) = response else { return None };
    let raw = values.iter().find_map(|value| match value {
        AttributeValue::BodySection { section: None, data: Some(data), .. } if !data.is_empty() => Some(data),
        _ => None,
    })?;
    Some((uid(values)?, raw.to_vec()))
}

fn uid(values: &[AttributeValue<'_>]) -> Option<u32> {
    values.iter().find_map(|value| match value {
        AttributeValue::Uid(uid) => Some(*uid),
        _ => None,
    })
}

/// Which of these are still there. Selects the folder anew: an open session may go on showing what is gone, and a
/// folder recreated under it shows nothing at all.
async fn look_again(
    session: &mut Session,
    folder: &str,
    uids: &[u32],
    limit: u64,
) -> Result<BTreeMap<u32, Listed>, Failure> {
    let validity = session.selected.validity;
    session.select(folder).await?;
    if session.selected.validity != validity {
        return Err(Failure::Broken("the folder was replaced by another of its name meanwhile".into()));
    }
    let mut found = BTreeMap::new();
    if session.selected.exists > 0 {
        for set in cursor::sets(uids) {
            found.extend(there(session, &set, false, limit).await?);
        }
    }
    Ok(found)
}

/// The letters of a UID set. Some servers leave out of FETCH, or refuse with all others, a letter that they can't read
/// themselves, but find it by SEARCH: such a one counts as `limit` large, so that it is fetched whole and alone.
async fn there(session: &mut Session, set: &str, dated: bool, limit: u64) -> Result<BTreeMap<u32, Listed>, Failure> {
    let mut found = Vec::new();
    let searched = session
        .command(&format!("UID SEARCH UID {set}"), 0, |response| {
            if let Response::MailboxData(MailboxDatum::Search(uids)) = response {
                found.extend_from_slice(uids);
            }
        })
        .await;
    let mut listed = match (searched, listed(session, set, dated).await) {
        (Ok(()), Err(Failure::Refused(text))) if !is_passing(&text) && !found.is_empty() => {
            tracing::warn!(text, "the server refuses to tell the sizes of letters: each is fetched by itself");
            BTreeMap::new()
        }
        (Ok(()) | Err(Failure::Refused(_)), listed) => listed?,
        (Err(failure), _) => return Err(failure),
    };
    for uid in found {
        listed.entry(uid).or_insert(Listed { uid, size: limit, stored: None });
    }
    Ok(listed)
}

/// What FETCH tells of a UID set.
async fn listed(session: &mut Session, set: &str, dated: bool) -> Result<BTreeMap<u32, Listed>, Failure> {
    let mut all = BTreeMap::new();
    let items = if dated { "UID RFC822.SIZE INTERNALDATE" } else { "UID RFC822.SIZE" };
    session
        .command(&format!("UID FETCH {set} ({items})"), 0, |response| {
            let Response::Fetch(_, values) = response else { return };
            let size = values.iter().find_map(|value| match value {
                AttributeValue::Rfc822Size(size) => Some(u64::from(*size)),
                _ => None,
            });
            let stored = values.iter().find_map(|value| match value {
                AttributeValue::InternalDate(date) => time(date),
                _ => None,
            });
            if let (Some(uid), Some(size)) = (uid(values), size) {
                all.insert(uid, Listed { uid, size, stored });
            }
        })
        .await?;
    Ok(all)
}

/// The time that a date-time means (RFC 3501 section 9): `" 2-Nov-2026 10:00:00 +0100"`.
pub(super) fn time(date: &str) -> Option<Timestamp> {
    Timestamp::strptime("%d-%b-%Y %H:%M:%S %z", date.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn the_day_of_an_internal_date_may_have_one_digit() {
        for (date, meant) in [
            (" 2-Nov-2026 10:00:00 +0100", "2026-11-02T09:00:00Z"),
            ("22-Nov-2026 23:59:59 -0800", "2026-11-23T07:59:59Z"),
        ] {
            assert_eq!(time(date), Some(meant.parse().unwrap()), "{date}");
        }
        assert_eq!(time("yesterday"), None);
    }
}
