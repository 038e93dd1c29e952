//! What a person has to know: one error line in the log, one entry in the store, one mail to staff if an address is
//! configured; about one thing once a day.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Clock, Office};
use crate::domain::decision::{Class, Outcome, Reason};
use crate::domain::ids::{Address, CaseId, LetterId, MessageId, masked};
use crate::domain::letter::Person;
use crate::domain::reply::{Kind, Reply};
use crate::pipeline::screen::DMARC_FAILED;
use crate::pipeline::trace::Link;
use crate::pipeline::{Lookup, Reading};
use crate::store::{Commit, CommitError, NoticeKind, Quarantined, Raised, StoreError};

/// Mails to staff of one kind in an hour, so that a flood of one does not hide another; what happens beyond them is in log and list only.
const MAILS_PER_HOUR: usize = 20;

/// Who tells staff by mail, and whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifier {
    /// `None`: nobody is mailed.
    pub to: Option<Address>,
    /// The domain of the Message-IDs.
    pub domain: String,
}

/// What staff have to be told of a letter, for its commit.
pub(super) fn of_letter(
    office: &Office,
    reading: &Reading,
    lookup: &Lookup,
    outcome: &Outcome,
    now: Timestamp,
) -> Result<Vec<Raised>, StoreError> {
    let case = match &lookup.link {
        Link::Known(case) | Link::Stranger(case) => &case.id,
        Link::New => &lookup.fresh_case,
    };
    let has = |reason| outcome.decision.reasons.contains(&reason);
    let from = reading.letter.from.as_ref().map_or("somebody unnamed", |p| p.address.as_str());
    let mut told = Vec::new();
    if has(Reason::ReplyLimit)
        && let Some(customer) = &reading.customer
    {
        let what = format!("{from} gets no more automatic letters for a day; the latest one's case is {case}");
        told.push((NoticeKind::SenderCap, customer.address.untagged().to_string(), what));
    }
    if has(Reason::CaseLimit) {
        told.push((NoticeKind::CaseCap, case.to_string(), format!("case {case} gets no more automatic letters")));
    }
    if has(Reason::Safety) {
        told.push((NoticeKind::Safety, case.to_string(), format!("danger is reported in case {case}")));
    }
    if outcome.class == Class::Customer && !matches!(lookup.link, Link::Stranger(_)) && reading.facts.legal.is_some() {
        let came = reading.arrived.at;
        told.push((NoticeKind::Legal, case.to_string(), format!("legal words in case {case}, which came at {came}")));
    }
    if matches!(lookup.link, Link::Stranger(_)) && outcome.class == Class::Customer && !reading.by_staff {
        let what = format!("{from}, who is not its customer, wrote into case {case}; nothing was answered or changed");
        told.push((NoticeKind::Stranger, case.to_string(), what));
    }
    if reading.why == DMARC_FAILED {
        let what = format!(
            "mail in the name of {from} failed DMARC and was not answered: {:?}",
            reading.letter.subject.chars().take(80).collect::<String>()
        );
        told.push((NoticeKind::Forged, from.to_owned(), what));
    }
    told.extend(outcome.reply.as_ref().and_then(without_form));
    told.into_iter().map(|(kind, about, what)| raised(office, kind, about, what, now)).collect()
}

/// What staff have to be told of a reply, for its commit.
pub(super) fn of_reply(office: &Office, reply: &Reply, now: Timestamp) -> Result<Option<Raised>, StoreError> {
    without_form(reply).map(|(kind, about, what)| raised(office, kind, about, what, now)).transpose()
}

/// A return was authorised, but there is no form to put into the parcel.
fn without_form(reply: &Reply) -> Option<(NoticeKind, String, String)> {
    let what = format!("the RMA letter of case {} goes out without its form, which could not be drawn", reply.case);
    (reply.kind == Kind::Rma && reply.files.is_empty()).then(|| (NoticeKind::NoForm, reply.case.to_string(), what))
}

/// What staff have to be told of a letter in quarantine, for its commit.
pub(super) fn of_quarantined(office: &Office, entry: &Quarantined) -> Result<Raised, StoreError> {
    let letter = entry.letter.as_ref().and_then(|letter| letter.as_str().get(..12)).map(str::to_owned);
    let place = || entry.position.as_ref().map(|p| format!("{} {}{}", p.folder, p.uid, p.name));
    let about = letter.or_else(place).unwrap_or_default();
    let what = format!("a letter could not be handled: {}; see `aftersalesd cases quarantine`", entry.why);
    raised(office, NoticeKind::Quarantine, about, what, entry.at)
}

/// A notice, with its mail if there is to be one.
pub(super) fn raised(
    office: &Office,
    kind: NoticeKind,
    about: String,
    what: String,
    at: Timestamp,
) -> Result<Raised, StoreError> {
    let mut mail = None;
    // A dry run has nobody to tell.
    let news = office.clock == Clock::System && office.store.is_news(kind, &about, at)?;
    if news {
        let hour_ago = at.checked_sub(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MIN);
        if let Some(to) = &office.notifier.to
            && office.store.notices_mailed_since(kind, hour_ago)? < MAILS_PER_HOUR
        {
            mail = Some(written(office, to, kind, &about, &what, at));
        }
    }
    Ok(Raised { kind, about, what, at, news, mail })
}

/// Says in the log what is news; once it is committed, for a commit may have to be tried again.
pub(super) fn say(notices: &[Raised]) {
    for Raised { kind, about, what, .. } in notices.iter().filter(|notice| notice.news) {
        tracing::error!(notice = kind.code(), about = masked(about), what = masked(what), "a person has to look");
    }
}

/// Tells staff of something that no letter's commit tells. Not durable before the next flush.
pub(super) fn tell(office: &Office, kind: NoticeKind, about: String, what: String) -> Result<(), StoreError> {
    let notice = raised(office, kind, about, what, Timestamp::now())?;
    let rings = notice.mail.is_some();
    let commit = Commit { notices: vec![notice], ..Commit::default() };
    match office.store.commit(&commit) {
        Ok(_) => say(&commit.notices),
        Err(CommitError::Store(e)) => return Err(e),
        // No case is touched, so there is nothing else to go wrong.
        Err(e) => tracing::error!(error = %e, "a notice could not be kept"),
    }
    if rings {
        office.replies_written.notify_one();
    }
    Ok(())
}

fn written(office: &Office, to: &Address, kind: NoticeKind, about: &str, what: &str, at: Timestamp) -> Reply {
    let digest: [u8; 32] = Sha256::digest(format!("{}\0{about}\0{at}", kind.code())).into();
    let letter = LetterId::from_digest(&digest);
    let domain = &office.notifier.domain;
    let id = format!("notice.{}@{domain}", letter.as_str().get(..24).unwrap_or_default());
    let case = CaseId::derive(&letter, 0);
    let message_id = MessageId::new(&id).unwrap_or_else(|_| MessageId::of_reply(&case, 0, domain));
    let text = format!(
        "{what}.\n\nNotice {} about {about}, {at}. Nobody is told again of this within a day; at most {MAILS_PER_HOUR} \
         such mails of a kind leave in an hour. All notices, with how often each happened:\n\n    aftersalesd cases notices --config \
         FILE\n",
        kind.code()
    );
    Reply {
        case,
        number: 0,
        kind: Kind::Notice,
        to: Person { name: None, address: to.clone() },
        subject: format!("[aftersalesd] {}: {about}", kind.code()),
        language: "en".to_owned(),
        message_id,
        in_reply_to: None,
        references: Vec::new(),
        written: at,
        text,
        html: String::new(),
        files: Vec::new(),
        passes_on: None,
    }
}
