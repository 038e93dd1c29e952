//! People are forgotten: on request, and by the clock when their time is over.
//!
//! Whatever is broken off is finished by doing it again: each step leaves what the next try finds it by.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::{SignedDuration, Timestamp};

use super::{Office, Trouble};
use crate::domain::case::Case;
use crate::domain::event::{Actor, Event};
use crate::domain::ids::{Address, CaseId, LetterId, MessageId};
use crate::domain::letter::Letter;
use crate::fail_point;
use crate::pipeline::{parse, symptoms};
use crate::ports::BEGINNING;
use crate::store::{Erased, Erasing, Seen, Store, StoreError};

/// How long things are kept once all is over; `None`: for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Days for mails as they came.
    pub raw: Option<u32>,
    /// Days for whatever could tell who the customer is.
    pub personal: Option<u32>,
    /// Days for the audit trail, since each entry.
    pub trail: Option<u32>,
}

/// Why nobody was erased.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "{} still open: {}; close what is to be closed (cases act ID close), or erase all the same with --force",
        if .0.len() == 1 { "a case is" } else { "cases are" },
        .0.iter().map(CaseId::as_str).collect::<Vec<_>>().join(", ")
    )]
    Open(Vec<CaseId>),
    #[error(transparent)]
    Trouble(#[from] Trouble),
}

impl From<StoreError> for Refused {
    fn from(e: StoreError) -> Self {
        Self::Trouble(e.into())
    }
}

/// The cases that an address opened, those that are erased already too.
pub fn cases_of(store: &Store, address: &Address) -> Result<BTreeSet<CaseId>, Trouble> {
    let mut cases: BTreeSet<CaseId> = store.cases_of_sender(address)?.into_iter().collect();
    cases.extend(store.cases_of_sender(&stand_in(store, address)?)?);
    Ok(cases)
}

/// Erases whatever could tell who `address` is: their cases, their letters in cases of others and in none, notices,
/// replies that wait. Durable when it returns. Reads every mail that is in no case.
pub fn forget(store: &Store, address: &Address, force: bool, by: &str, now: Timestamp) -> Result<Erased, Refused> {
    let who = stand_in(store, address)?;
    let cases = cases_of(store, address)?;
    let mut open = Vec::new();
    for id in &cases {
        let is_open = store.case(id)?.is_some_and(|case| !case.state.is_final());
        open.extend(is_open.then(|| id.clone()));
    }
    if !open.is_empty() && !force {
        return Err(Refused::Open(open));
    }
    let how = Erasing { by: Actor::Staff(by.to_owned()), at: now, symptom: symptoms::class };
    let mut done = Erased::default();
    for id in &cases {
        done += store.erase_case(id, &who, &how)?;
        fail_point::reached("forget-case-erased");
    }
    for id in cases_that_note(store, address)? {
        done += store.erase_from_case(&id, address, &how)?;
    }
    in_no_case(store, address, &cases, &mut |letter, message_id| {
        done += store.erase_letter(letter, message_id)?;
        Ok(())
    })?;
    done += store.erase_traces(address)?;
    store.tidy_search()?;
    store.flush()?;
    Ok(done)
}

/// The letters of an address that its own cases do not name: in cases of others, and in none.
pub fn letters_elsewhere(store: &Store, address: &Address) -> Result<BTreeSet<LetterId>, Trouble> {
    let mut letters = BTreeSet::new();
    for id in cases_that_note(store, address)? {
        letters.extend(store.events(&id)?.into_iter().filter_map(|event| match event.event {
            Event::LetterNoted { letter, from: Some(from), .. } if from.address == *address => Some(letter),
            _ => None,
        }));
    }
    let cases = cases_of(store, address)?;
    let mut named = BTreeSet::new();
    for id in &cases {
        named.extend(store.named_letters(id)?);
    }
    in_no_case(store, address, &cases, &mut |letter, _| {
        letters.insert(letter.clone());
        Ok(())
    })?;
    Ok(letters.difference(&named).cloned().collect())
}

/// Takes a letter and the Message-ID that it was taken in under.
type Found<'a> = dyn FnMut(&LetterId, Option<&MessageId>) -> Result<(), StoreError> + 'a;

/// Mails from or about an address that are in no case, and copies of those in `cases`.
fn in_no_case(
    store: &Store,
    address: &Address,
    cases: &BTreeSet<CaseId>,
    found: &mut Found<'_>,
) -> Result<(), StoreError> {
    for letter in store.mails_after(None) {
        let letter = letter?;
        let Some(raw) = store.raw(&letter)? else { continue };
        let known = recognised(store, &raw)?;
        let theirs = match known.seen.as_ref().and_then(|seen| seen.case.as_ref()) {
            Some(case) => cases.contains(case),
            None => known.is_of(address) || names(&raw, address),
        };
        if theirs {
            found(&letter, known.message_id.as_ref())?;
        }
    }
    Ok(())
}

/// Where the clock is with looking for what has been kept long enough.
#[derive(Debug, Default)]
pub struct Sweep {
    case: Option<CaseId>,
    mail: Option<LetterId>,
    /// All was looked at; begins anew then.
    rests_until: Option<Timestamp>,
}

impl Sweep {
    /// Whether all was looked at, and nothing is to be done for a while.
    pub fn rests(&self, now: Timestamp) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }
}

/// Cases and mails looked at in one pass.
const CASES: usize = 200;
const MAILS: usize = 100;
/// Between two sweeps; what is kept is counted in days.
const REST: SignedDuration = SignedDuration::from_hours(1);

/// Erases some of what has been kept long enough, and makes that durable. Only what is over for good counts.
pub fn retain(office: &Office, sweep: &mut Sweep, now: Timestamp) -> Result<Erased, Trouble> {
    let Retention { raw, personal, trail } = office.retention;
    let mut done = Erased::default();
    if sweep.rests(now) || office.retention == Retention::default() {
        return Ok(done);
    }
    let store = &office.store;
    // The trail alone is no reason to read every mail.
    let (most_cases, most_mails) = if raw.is_some() || personal.is_some() { (CASES, MAILS) } else { (0, 0) };
    let cases = store.cases_after(sweep.case.as_ref()).take(most_cases).collect::<Result<Vec<_>, _>>()?;
    for case in &cases {
        done += retain_case(store, case, office.retention, now)?;
        sweep.case = Some(case.id.clone());
    }
    let mails = store.mails_after(sweep.mail.as_ref()).take(most_mails).collect::<Result<Vec<_>, _>>()?;
    for letter in &mails {
        done += retain_mail(store, letter, office.retention, now)?;
        sweep.mail = Some(letter.clone());
    }
    if cases.len() < CASES && mails.len() < MAILS {
        if let Some(before) = personal.and_then(|days| now.checked_sub(in_days(days)).ok()) {
            done.traces += store.forget_notices(before)?;
        }
        if let Some(before) = trail.and_then(|days| now.checked_sub(in_days(days)).ok()) {
            done.traces += store.forget_trail(before)?;
        }
        *sweep = Sweep { rests_until: now.checked_add(REST).ok(), ..Sweep::default() };
    }
    if done != Erased::default() {
        store.flush()?;
        tracing::info!(
            cases = done.cases,
            mails = done.mails,
            traces = done.traces,
            "kept for as long as [retention] says, and erased"
        );
    }
    Ok(done)
}

fn retain_case(store: &Store, case: &Case, kept: Retention, now: Timestamp) -> Result<Erased, Trouble> {
    let mut done = Erased::default();
    if !case.state.is_final() {
        return Ok(done);
    }
    if case.erased.is_some() || is_over(case.since, kept.personal, now) {
        let address = &case.customer.address;
        let who = stand_in(store, address)?;
        let how = Erasing { by: Actor::Daemon, at: now, symptom: symptoms::class };
        done += store.erase_case(&case.id, &who, &how)?;
        // Another case of theirs may go on.
        if done.cases > 0 && store.latest_cases_of_sender(address, 1)?.is_empty() {
            done += store.erase_traces(address)?;
        }
    } else if is_over(case.since, kept.raw, now) {
        for letter in store.named_letters(&case.id)? {
            done.mails += u64::from(store.erase(&letter)?);
        }
    }
    Ok(done)
}

/// Mails that no case names: what gets no answer, what a person has dealt with, copies.
fn retain_mail(store: &Store, letter: &LetterId, kept: Retention, now: Timestamp) -> Result<Erased, Trouble> {
    let Some(raw) = store.raw(letter)? else { return Ok(Erased::default()) };
    let first = [kept.raw, kept.personal].into_iter().flatten().min();
    let known = recognised(store, &raw)?;
    let over = match &known.seen {
        Some(Seen { case: Some(case), .. }) => {
            let case = store.case(case)?;
            case.is_some_and(|case| case.state.is_final() && is_over(case.since, first, now))
        }
        Some(seen) => is_over(seen.at, first, now),
        None => store.dismissed_at(letter)?.is_some_and(|at| is_over(at, first, now)),
    };
    match over {
        true => Ok(store.erase_letter(letter, known.message_id.as_ref().filter(|_| !known.is_in_a_case()))?),
        false => Ok(Erased::default()),
    }
}

fn is_over(since: Timestamp, days: Option<u32>, now: Timestamp) -> bool {
    days.is_some_and(|days| now.duration_since(since) >= in_days(days))
}

fn in_days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(i64::from(days) * 24)
}

/// What is known of a mail in the archive.
#[derive(Default)]
struct Known {
    letter: Option<Letter>,
    seen: Option<Seen>,
    /// Of the letter that was taken in, which may be one that this mail passes on.
    message_id: Option<MessageId>,
}

impl Known {
    fn is_of(&self, address: &Address) -> bool {
        self.letter.as_ref().is_some_and(|letter| is_of(letter, address))
    }

    fn is_in_a_case(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.case.is_some())
    }
}

fn is_of(letter: &Letter, address: &Address) -> bool {
    let wrote = [&letter.from, &letter.reply_to].into_iter().flatten().any(|person| person.address == *address);
    wrote || letter.forwarded.iter().any(|passed_on| is_of(passed_on, address))
}

fn recognised(store: &Store, raw: &[u8]) -> Result<Known, StoreError> {
    // What can't be read was not taken in either.
    let parsed = catch_unwind(AssertUnwindSafe(|| parse::letter(raw, raw.len() as u64 == BEGINNING)));
    let Ok(letter) = parsed else { return Ok(Known::default()) };
    let taken_in = taken_in(store, &letter)?;
    let message_id = taken_in.as_ref().map_or_else(|| letter.message_id.clone(), |(_, id)| id.clone());
    Ok(Known { letter: Some(letter), seen: taken_in.map(|(seen, _)| seen), message_id })
}

fn taken_in(store: &Store, letter: &Letter) -> Result<Option<(Seen, Option<MessageId>)>, StoreError> {
    if let Some(seen) = store.seen(&letter.id, &letter.content, letter.message_id.as_ref())? {
        return Ok(Some((seen, letter.message_id.clone())));
    }
    for passed_on in &letter.forwarded {
        if let Some(found) = taken_in(store, passed_on)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Whether the address stands anywhere in the mail as it came: a bounce names whom it is about.
fn names(raw: &[u8], address: &Address) -> bool {
    let address = address.as_str().as_bytes();
    raw.windows(address.len()).any(|window| window.eq_ignore_ascii_case(address))
}

/// The cases of others in which a letter of this address was noted.
fn cases_that_note(store: &Store, address: &Address) -> Result<Vec<CaseId>, StoreError> {
    let mut found = Vec::new();
    for history in store.histories() {
        let mut of = None;
        for event in history? {
            match event.event {
                Event::Opened { case, .. } => of = Some(case),
                Event::LetterNoted { from: Some(from), .. } if from.address == *address => {
                    found.extend(of.take());
                }
                _ => {}
            }
        }
    }
    Ok(found)
}

fn stand_in(store: &Store, address: &Address) -> Result<Address, Trouble> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Trouble::Broken(format!("the system gives no random numbers: {e}")))?;
    Ok(store.pseudonym(address, LetterId::from_digest(&random).as_str())?)
}
