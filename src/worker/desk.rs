//! Answers of staff to hand-over mails: who may say what is to be done, and the one commit that does it.
//!
//! The letter, all that its lines do, the customer's letters and the answer to its writer are one transaction, keyed by
//! the letter as every other: a crash leaves all of it or nothing, and a copy of the mail does nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::Timestamp;

use super::handover::{self, mailed_lately};
use super::lookup::known;
use super::{Clock, Office, Trouble, budget, notice, settle};
use crate::domain::act::Act;
use crate::domain::case::Case;
use crate::domain::decision::{Class, Outcome};
use crate::domain::ids::{Address, CaseId};
use crate::domain::reply::{Kind, Reply};
use crate::pipeline::Reading;
use crate::pipeline::instruct::{self, Followed, Instructions, Key, nothing};
use crate::ports::Position;
use crate::store::{CaseStep, Claimed, Commit, CommitError, NoticeKind, Raised, RawPlace, StoreError};

/// Answers to staff in an hour, so that two programs that answer each other end.
const ANSWERS_PER_HOUR: usize = 120;

/// What a letter is, as words to the program.
enum Standing<'a> {
    /// It is none.
    None,
    /// Its writer may say what is to be done with this case.
    Good(Box<Case>, &'a Address, &'a [String]),
    /// It is in the name of one of the staff, but not known to be theirs.
    Doubtful(&'static str),
}

/// What became of a letter that may be words to the program.
pub(super) enum Told {
    /// It is a letter as any other.
    Nothing,
    Committed {
        outcome: Box<Outcome>,
        case: Option<Box<Case>>,
        notices: Vec<Raised>,
    },
    /// It was taken in before.
    Seen,
    /// It can't be followed nor refused, and why.
    Stuck(String),
}

/// Follows what a letter says, or sets it aside as one that pretends. Not durable before the next flush.
pub(super) fn follow(
    office: &Office,
    reading: &Reading,
    raw: Option<&RawPlace>,
    position: Option<&Position>,
    now: Timestamp,
) -> Result<Told, Trouble> {
    let mut hindrance = None;
    // Another commit may come in between (a reply was sent): then look again.
    for _ in 0..5 {
        let step = AssertUnwindSafe(|| commit(office, reading, hindrance.as_deref(), now));
        let (commit, outcome) = match catch_unwind(step) {
            Ok(Ok(Some(proposed))) => proposed,
            Ok(Ok(None)) => return Ok(Told::Nothing),
            Ok(Err(Trouble::Commit(CommitError::Illegal(illegal)))) => return Ok(Told::Stuck(illegal.to_string())),
            Ok(Err(trouble)) => return Err(trouble),
            Err(panic) => {
                return Ok(Told::Stuck(format!("following it failed: {}", budget::panic_text(panic.as_ref()))));
            }
        };
        let commit = Commit { raw: raw.cloned(), position: position.cloned(), ..commit };
        match office.store.commit(&commit) {
            Ok(case) => {
                let (outcome, case) = (Box::new(outcome), case.map(Box::new));
                return Ok(Told::Committed { outcome, case, notices: commit.notices });
            }
            // Another number may be free, another case not.
            Err(taken @ CommitError::Taken { what: Claimed::OrderLine, .. }) => hindrance = Some(taken.to_string()),
            // No letter is done under a key.
            Err(CommitError::Stale { .. } | CommitError::Taken { .. } | CommitError::Done(_)) => {}
            Err(CommitError::Seen(_)) => return Ok(Told::Seen),
            Err(CommitError::Illegal(illegal)) => return Ok(Told::Stuck(illegal.to_string())),
            Err(CommitError::Store(e)) => return Err(e.into()),
        }
    }
    Ok(Told::Stuck("its case changed again and again while it was followed".to_owned()))
}

/// The commit of such a letter; `None`: it is a letter as any other. `hindrance`: why nothing can be done.
fn commit(
    office: &Office,
    reading: &Reading,
    hindrance: Option<&str>,
    now: Timestamp,
) -> Result<Option<(Commit, Outcome)>, Trouble> {
    let letter = |class| Some(settle::entry(reading, class, now));
    match standing(office, reading)? {
        Standing::None => Ok(None),
        Standing::Doubtful(why) => {
            // Nobody vouches for its writer: whatever it is, it is no letter of a customer.
            let outcome = nothing(Class::Spam, &office.terms);
            let notices = vec![pretended(office, reading, why, now)?];
            Ok(Some((Commit { letter: letter(Class::Spam), notices, ..Commit::default() }, outcome)))
        }
        Standing::Good(case, by, lines) => {
            let acts: Vec<Act> = lines.iter().filter_map(|line| Act::parse(line).ok()).collect();
            let known = known(office, &case, &acts.iter().collect::<Vec<_>>(), now)?;
            let followed = instruct::follow(&case, reading, (by, lines), hindrance, &known, &office.terms, now)
                .map_err(|illegal| Trouble::Commit(illegal.into()))?;
            let outcome = followed.outcome(&office.terms);
            let step = CaseStep { id: case.id.clone(), from: Some(case.version), events: followed.events.clone() };
            let (mut to_staff, held_back) = handover::of_step(office, Some(&case), Some(&step), now)?;
            to_staff.extend(report(office, reading, &followed, by, now)?.map(|mail| (NoticeKind::Report, mail)));
            let commit = Commit {
                letter: letter(Class::Customer),
                case: Some(step),
                more_replies: followed.replies,
                to_staff,
                held_back,
                ..Commit::default()
            };
            Ok(Some((commit, outcome)))
        }
    }
}

/// A notice of a letter that has a key but is taken for one as any other.
pub(super) fn of_stranger(office: &Office, reading: &Reading, now: Timestamp) -> Result<Option<Raised>, StoreError> {
    let concerned = office.handover.to.is_some() && office.clock == Clock::System && reading.instructions.is_some();
    concerned.then(|| pretended(office, reading, "its writer is none of the staff", now)).transpose()
}

fn standing<'a>(office: &Office, reading: &'a Reading) -> Result<Standing<'a>, StoreError> {
    let Some(Instructions { keys, by: Some(by), vouched, lines }) = &reading.instructions else {
        return Ok(Standing::None);
    };
    if office.handover.to.is_none() || office.clock != Clock::System || !office.handover.people.contains(by) {
        return Ok(Standing::None);
    }
    if !office.handover.vouching {
        return Ok(Standing::Doubtful("no server is trusted to vouch for anybody ([mailbox] trusted_authserv)"));
    }
    if !vouched {
        return Ok(Standing::Doubtful("no trusted server says that DMARC passed"));
    }
    for key in keys {
        if is_genuine(office, key)?
            && let Some(case) = office.store.case(&key.case)?
        {
            return Ok(Standing::Good(Box::new(case), by, lines));
        }
    }
    Ok(Standing::Doubtful("its token is wrong"))
}

/// Compares in the same time whatever is wrong.
fn is_genuine(office: &Office, key: &Key) -> Result<bool, StoreError> {
    let right = handover::key(office, &key.case)?;
    let difference = right.token.bytes().zip(key.token.bytes()).fold(0, |all, (one, other)| all | (one ^ other));
    Ok(difference == 0 && right.token.len() == key.token.len())
}

fn pretended(office: &Office, reading: &Reading, why: &str, now: Timestamp) -> Result<Raised, StoreError> {
    let author = reading.instructions.as_ref().and_then(|said| said.by.as_ref());
    let from = author.map_or("somebody unnamed", Address::as_str).to_owned();
    let cases = reading.instructions.iter().flat_map(|said| &said.keys).map(|key| &key.case).collect::<Vec<_>>();
    let case = cases.first().map_or("–", |case| CaseId::as_str(case));
    let what = format!("words to the program on case {case} in the name of {from} were not followed: {why}");
    notice::raised(office, NoticeKind::Command, from, what, now)
}

/// Tells the writer what became of each line.
fn report(
    office: &Office,
    reading: &Reading,
    followed: &Followed,
    by: &Address,
    now: Timestamp,
) -> Result<Option<Reply>, StoreError> {
    let case = &followed.case;
    if mailed_lately(office, NoticeKind::Report, now)? >= ANSWERS_PER_HOUR {
        tracing::warn!(case = %case.id, "staff get no more answers within this hour");
        return Ok(None);
    }
    let key = handover::key(office, &case.id)?;
    let letters = match followed.replies.as_slice() {
        [] => String::new(),
        sent => {
            let held = |reply: &Reply| case.drafts.iter().any(|draft| draft.message_id == reply.message_id);
            let subject = |reply: &Reply| {
                let waits = if held(reply) { " (a draft: not sent yet)" } else { "" };
                format!("    {}{waits}\n", reply.subject)
            };
            format!("\nThe customer gets:\n\n{}", sent.iter().map(subject).collect::<String>())
        }
    };
    let text = format!(
        "{}\n{letters}\nCase {} is {} now{}.\n\nReference: {}\n",
        followed.told.join("\n"),
        case.id,
        case.state.code(),
        if case.attention.is_some() { " and waits for a person" } else { "" },
        key.reference()
    );
    let letter = &reading.letter;
    let subject = match letter.subject.get(..3) {
        Some(re) if re.eq_ignore_ascii_case("re:") => letter.subject.clone(),
        _ => format!("Re: {}", letter.subject),
    };
    let Some(id) = key.message_id(&handover::number(letter.id.as_str()), &office.notifier.domain) else {
        return Ok(None);
    };
    let mail = handover::to_staff(Kind::Report, case.id.clone(), by, subject, text, id, now);
    let references = letter.references.iter().chain(&letter.in_reply_to).cloned().collect();
    Ok(Some(Reply { in_reply_to: letter.message_id.clone(), references, ..mail }))
}
