//! Cases that come to need a person are handed over by mail: what is known on one page, the original enclosed.
//!
//! The mail is part of the commit that makes the case need somebody. At most so many leave in an hour; what comes beyond
//! them is told together, once there is room again, so that a flood does not bury staff.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Clock, Office};
use crate::domain::case::Case;
use crate::domain::event::{CaseEvent, Event, Timer};
use crate::domain::ids::{Address, CaseId, LetterId, MessageId};
use crate::domain::letter::{FileKind, Letter, Person};
use crate::domain::reply::{Enclosure, Kind, Reply};
use crate::pipeline::extract::photos::{Room, thumbnail};
use crate::pipeline::handover::{Occasion, digest, is_needed, latest_letter};
use crate::pipeline::instruct::Key;
use crate::pipeline::parse;
use crate::ports::BEGINNING;
use crate::store::{CaseStep, Commit, CommitError, HeldBack, NoticeKind, StoreError};

/// Hand-over mails in an hour.
const MAILS_PER_HOUR: usize = 20;
/// The largest mail that is enclosed.
const ENCLOSED: usize = 5 << 20;
/// Pictures that are enclosed small, and the pixels of their longer side.
const THUMBNAILS: (usize, u32) = (6, 480);
/// Cases that one summary names.
const NAMED: usize = 200;

/// To whom cases are handed over, and whose answers are followed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handover {
    /// `None`: nobody is mailed, and no answer is followed.
    pub to: Option<Address>,
    /// The people whose answers are followed.
    pub people: Vec<Address>,
    /// There is a server that can vouch for them.
    pub vouching: bool,
}

impl Handover {
    /// Whether answers by mail are followed at all.
    pub fn takes_answers(&self) -> bool {
        self.to.is_some() && self.vouching && !self.people.is_empty()
    }
}

/// What a commit tells staff of a case, and whether the rest is held back.
pub(super) type Handed = (Vec<(NoticeKind, Reply)>, HeldBack);

/// Hands a case over if `step` makes it need a person, or reminds of it.
pub(super) fn of_step(
    office: &Office,
    before: Option<&Case>,
    step: Option<&CaseStep>,
    now: Timestamp,
) -> Result<Handed, StoreError> {
    let nothing = (Vec::new(), HeldBack::AsBefore);
    let (Some(to), Some(step), Clock::System) = (&office.handover.to, step, office.clock) else { return Ok(nothing) };
    let mut case = before.cloned();
    for event in &step.events {
        // The commit will say what is wrong with it.
        let Ok(next) = Case::apply(case.take(), event) else { return Ok(nothing) };
        case = Some(next);
    }
    let is_reminder = step.events.iter().any(|e| matches!(e.event, Event::Reminded { of: Timer::RemindStaff }));
    let Some(case) = case.filter(|case| is_reminder || is_needed(before, case)) else { return Ok(nothing) };
    if mailed_lately(office, NoticeKind::Handover, now)? >= MAILS_PER_HOUR {
        tracing::warn!(case = %case.id, "so many cases need a person that this one is not mailed by itself");
        return Ok((Vec::new(), HeldBack::Since(now)));
    }
    let mut events = if before.is_some() { office.store.events(&case.id)? } else { Vec::new() };
    events.extend(step.events.iter().cloned());
    let mail = written(office, to, &case, &events, is_reminder, now)?;
    Ok((vec![(NoticeKind::Handover, mail)], HeldBack::AsBefore))
}

/// Hands over a case that needs a person by a change that is committed already.
pub(super) fn of_case(office: &Office, id: &CaseId, now: Timestamp) -> Result<(), StoreError> {
    let (Some(to), Some(case)) = (&office.handover.to, office.store.case(id)?) else { return Ok(()) };
    if case.attention != Some(now) {
        return Ok(());
    }
    let (to_staff, held_back) = match mailed_lately(office, NoticeKind::Handover, now)? >= MAILS_PER_HOUR {
        true => (Vec::new(), HeldBack::Since(now)),
        false => {
            let mail = written(office, to, &case, &office.store.events(id)?, false, now)?;
            (vec![(NoticeKind::Handover, mail)], HeldBack::AsBefore)
        }
    };
    commit(office, &Commit { to_staff, held_back, ..Commit::default() })
}

/// Tells together of the cases that were held back, once there is room again. Not durable before the next flush.
pub(super) fn catch_up(office: &Office, now: Timestamp) -> Result<bool, StoreError> {
    let Some(to) = &office.handover.to else { return Ok(false) };
    let Some(since) = office.store.held_back()? else { return Ok(false) };
    if mailed_lately(office, NoticeKind::Handover, now)? >= MAILS_PER_HOUR {
        return Ok(false);
    }
    let mut waiting = Vec::new();
    for case in office.store.cases() {
        let case = case?;
        let touched = case.attention.max(case.staff_reminded_at).is_some_and(|at| at >= since);
        if case.attention.is_some() && touched {
            let state = case.state.code();
            let reasons: Vec<String> = case.decision.iter().flat_map(|d| &d.reasons).map(|r| r.code()).collect();
            waiting.push(format!("{}  {state:<14} {}", case.id, reasons.join(" ")));
        }
    }
    let (number, unnamed) = (waiting.len(), waiting.len().saturating_sub(NAMED));
    waiting.truncate(NAMED);
    waiting.extend((unnamed > 0).then(|| format!("and {unnamed} more")));
    let text = format!(
        "More than {MAILS_PER_HOUR} cases came to need a person within an hour. Those since {} were not mailed one by one; \
         {number} of them still wait:\n\n{}\n\nEach with all that is known of it:\n\n    aftersalesd cases explain CASE \
         --config FILE\n",
        since.strftime("%F %H:%M UTC"),
        waiting.join("\n")
    );
    let letter = digest_of(&format!("held back {now}"));
    let case = CaseId::derive(&letter, 0);
    let message_id = MessageId::new(&format!("handover.{}@{}", short(&letter), office.notifier.domain))
        .unwrap_or_else(|_| MessageId::of_reply(&case, 0, &office.notifier.domain));
    let subject = format!("[aftersalesd] {number} cases need you");
    let mail = to_staff(Kind::Handover, case, to, subject, text, message_id, now);
    let to_staff = vec![(NoticeKind::Handover, mail)];
    commit(office, &Commit { to_staff, held_back: HeldBack::Over, ..Commit::default() })?;
    Ok(true)
}

/// What proves that somebody was told of a case: nobody can work it out without the store's secret.
pub(super) fn key(office: &Office, case: &CaseId) -> Result<Key, StoreError> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| StoreError::Busy { what: format!("no random numbers: {e}") })?;
    let secret = office.store.secret(&hex(&random))?;
    let token = hex(&hmac(secret.as_bytes(), format!("handover {case}").as_bytes()));
    Ok(Key { case: case.clone(), token: token.chars().take(32).collect() })
}

/// How many mails of a kind went to staff in the last hour.
pub(super) fn mailed_lately(office: &Office, kind: NoticeKind, now: Timestamp) -> Result<usize, StoreError> {
    let hour_ago = now.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
    office.store.notices_mailed_since(kind, hour_ago)
}

/// A mail to staff without HTML and files.
pub(super) fn to_staff(
    kind: Kind,
    case: CaseId,
    to: &Address,
    subject: String,
    text: String,
    message_id: MessageId,
    written: Timestamp,
) -> Reply {
    Reply {
        case,
        number: 0,
        kind,
        to: Person { name: None, address: to.clone() },
        subject,
        language: "en".to_owned(),
        message_id,
        in_reply_to: None,
        references: Vec::new(),
        written,
        text,
        html: String::new(),
        files: Vec::new(),
        passes_on: None,
    }
}

/// The first digits of what `text` comes to: enough to tell mails of one case apart.
pub(super) fn number(text: &str) -> String {
    digest_of(text).as_str().chars().take(12).collect()
}

/// A reply with the letter that it passes on and small pictures of what is attached to that, for sending.
pub(super) fn enclose(office: &Office, reply: &Reply) -> Result<Reply, StoreError> {
    let mut reply = reply.clone();
    let raw = match &reply.passes_on {
        Some(letter) => office.store.raw(letter)?,
        None => None,
    };
    // Erased meanwhile: what was read from it stays on the page.
    let Some(raw) = raw else { return Ok(reply) };
    let letter = read(&raw);
    let mut room = Room::default();
    let pictures = letter.iter().flat_map(Letter::files);
    let pictures = pictures.filter(|file| matches!(file.kind, FileKind::Picture | FileKind::HeicPicture));
    let small = pictures.filter_map(|file| thumbnail(&file.data, THUMBNAILS.1, &mut room)).take(THUMBNAILS.0);
    for (number, data) in small.enumerate() {
        let name = format!("small-{}.jpg", number + 1);
        reply.files.push(Enclosure { name, content_type: "image/jpeg".to_owned(), data });
    }
    if raw.len() <= ENCLOSED {
        let (name, content_type) = ("original.eml".to_owned(), "message/rfc822".to_owned());
        reply.files.push(Enclosure { name, content_type, data: raw });
    }
    Ok(reply)
}

fn written(
    office: &Office,
    to: &Address,
    case: &Case,
    events: &[CaseEvent],
    is_reminder: bool,
    now: Timestamp,
) -> Result<Reply, StoreError> {
    let key = key(office, &case.id)?;
    let letter = latest_letter(events);
    let raw = match letter {
        Some(letter) => office.store.raw(letter)?,
        None => None,
    };
    let parsed = raw.as_deref().and_then(read);
    let files: Vec<String> = parsed
        .iter()
        .flat_map(Letter::files)
        .map(|file| format!("{} ({})", file.name, size(file.data.len())))
        .collect();
    let original = match (letter, &raw) {
        (_, Some(raw)) if raw.len() <= ENCLOSED => Some("The original mail is enclosed.".to_owned()),
        (Some(letter), Some(raw)) => {
            let name = short(letter);
            Some(format!(
                "The original mail is too large to enclose ({}); in the archive it is {name}.",
                size(raw.len())
            ))
        }
        _ => None,
    };
    let occasion = Occasion {
        key: &key,
        is_reminder,
        by_mail: office.handover.takes_answers(),
        files: &files,
        original: original.as_deref(),
        now,
    };
    let page = catch_unwind(AssertUnwindSafe(|| {
        let digest = digest(case, events, &occasion, &office.terms);
        office.terms.letters.handover(&digest).map_err(|e| e.to_string())
    }));
    let domain = &office.notifier.domain;
    let message_id = key
        .message_id(&number(&format!("{} {now}", case.version)), domain)
        .unwrap_or_else(|| MessageId::of_reply(&case.id, 0, domain));
    let plain = |subject, text| to_staff(Kind::Handover, case.id.clone(), to, subject, text, message_id, now);
    // A page that can't be made must not keep the case from being handed over, nor the letter from being taken in.
    Ok(match page.unwrap_or_else(|_| Err("a step panicked".to_owned())) {
        Ok(page) => Reply { html: page.html, passes_on: letter.cloned(), ..plain(page.subject, page.text) },
        Err(why) => {
            tracing::error!(case = %case.id, why, "the page of a case can't be made");
            let text =
                format!("Its page could not be made ({why}). See:\n\n    aftersalesd cases explain {}\n", case.id);
            plain(format!("[{}] needs you", case.id), text)
        }
    })
}

fn commit(office: &Office, commit: &Commit) -> Result<(), StoreError> {
    match office.store.commit(commit) {
        Ok(_) => Ok(()),
        Err(CommitError::Store(e)) => Err(e),
        // No case is touched, so there is nothing else to go wrong.
        Err(e) => {
            tracing::error!(error = %e, "a hand-over could not be kept");
            Ok(())
        }
    }
}

/// The letter, unless reading it panics: it was read before, so that this is not expected.
fn read(raw: &[u8]) -> Option<Letter> {
    catch_unwind(AssertUnwindSafe(|| parse::letter(raw, raw.len() as u64 == BEGINNING))).ok()
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn digest_of(text: &str) -> LetterId {
    LetterId::from_digest(&Sha256::digest(text).into())
}

fn short(letter: &LetterId) -> &str {
    letter.as_str().get(..12).unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA-256 (RFC 2104) with a key of at most 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|n| key.get(n).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(&[0x0b; 20], b"Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
    }
}
