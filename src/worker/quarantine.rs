//! Letters that can't be handled: kept with the reason, told once, never in the way of the next.

use jiff::Timestamp;
use tracing::Span;

use super::notice;
use super::settle::Taken;
use super::{Office, Trouble};
use crate::domain::ids::{LetterId, masked};
use crate::pipeline::Reading;
use crate::ports::Position;
use crate::store::{Commit, Quarantined, RawPlace};

/// Sets a letter aside for a person, who is told once: not again at another pass, copy or retry.
pub(super) fn quarantine(
    office: &Office,
    reading: Option<Box<Reading>>,
    letter: Option<LetterId>,
    raw: Option<RawPlace>,
    position: Option<Position>,
    why: String,
) -> Result<Taken, Trouble> {
    let of = reading.as_ref().map(|r| &r.letter);
    let quarantined = Quarantined {
        letter: letter.or_else(|| of.map(|l| l.id.clone())),
        position: position.clone(),
        why: why.clone(),
        at: Timestamp::now(),
        from: of.and_then(|l| l.from.as_ref()).map(|p| p.address.to_string()),
        subject: of.map(|l| l.subject.clone()),
        message_id: of.and_then(|l| l.message_id.clone()),
    };
    let known = office.store.quarantined_before(&quarantined)?;
    let message_id = quarantined.message_id.as_ref().map(|m| m.as_str());
    Span::current().record("message_id", message_id);
    let mut notices = Vec::new();
    let quarantined = match known {
        None => {
            notices.push(notice::of_quarantined(office, &quarantined)?);
            Some(quarantined)
        }
        Some((known, dismissed)) => {
            tracing::info!(why = masked(&why), dismissed, "letter quarantined before: nobody is told again");
            let (position, at) = (quarantined.position.or(known.position), known.at);
            (!dismissed).then_some(Quarantined { position, at, ..quarantined })
        }
    };
    let commit = Commit { raw, position, quarantine: quarantined, notices, ..Commit::default() };
    office.store.commit(&commit)?;
    notice::say(&commit.notices);
    Ok(Taken::Quarantined { reading, why })
}
