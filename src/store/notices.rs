//! What staff have to be told: raised by whatever happens, told once a day about one thing.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::{self, Table};
use super::tables::Change;
use super::{HeldBack, Store, StoreError};
use crate::domain::reply::Reply;

/// What a notice is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// One address has as many automatic letters as it may have in a day.
    SenderCap,
    /// One case has as many automatic letters as it may have.
    CaseCap,
    /// As many replies left in an hour as may.
    HourCap,
    /// Mail could not be handled.
    Quarantine,
    /// A reply can't be delivered.
    ReplyRefused,
    /// A case waits for a person.
    Waiting,
    /// No mail comes in.
    IntakeStopped,
    /// Danger is reported.
    Safety,
    /// A lawyer, a legal right, a consumer agency or the like is named.
    Legal,
    /// Somebody else wrote into a customer's case.
    Stranger,
    /// The domain that mail claims to be from disowns it.
    Forged,
    /// A return was authorised without the form for its parcel.
    NoForm,
    /// A case is handed over to staff.
    Handover,
    /// Somebody whom we don't know to be staff wrote words to the program.
    Command,
    /// Staff are told what became of their words.
    Report,
    /// Orders can't be looked up.
    OrderLookUp,
}

impl NoticeKind {
    /// The word that log, list and mail know it by.
    pub fn code(self) -> &'static str {
        match self {
            Self::SenderCap => "sender_cap",
            Self::CaseCap => "case_cap",
            Self::HourCap => "hour_cap",
            Self::Quarantine => "quarantine",
            Self::ReplyRefused => "reply_refused",
            Self::Waiting => "waiting",
            Self::IntakeStopped => "intake_stopped",
            Self::Safety => "safety",
            Self::Legal => "legal",
            Self::Stranger => "stranger",
            Self::Forged => "forged",
            Self::NoForm => "no_form",
            Self::Handover => "handover",
            Self::Command => "command",
            Self::Report => "report",
            Self::OrderLookUp => "order_look_up",
        }
    }
}

/// A notice as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    pub kind: NoticeKind,
    /// The address, case, letter or folder that it is about.
    pub about: String,
    /// The latest of it, for people.
    pub what: String,
    pub first: Timestamp,
    /// When staff were last told.
    pub told: Timestamp,
    pub last: Timestamp,
    /// How often it happened.
    pub times: u64,
}

/// Something to be noticed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raised {
    pub kind: NoticeKind,
    pub about: String,
    pub what: String,
    pub at: Timestamp,
    /// Staff were not told of it within a day.
    pub news: bool,
    /// Goes to the outbox with it, unless staff were told within a day.
    pub mail: Option<Reply>,
}

/// For how long nobody is told again.
const QUIET: SignedDuration = SignedDuration::from_hours(24);

impl Store {
    /// Whether staff were not told of this within a day.
    pub fn is_news(&self, kind: NoticeKind, about: &str, at: Timestamp) -> Result<bool, StoreError> {
        let known: Option<Notice> = self.inner.tables.get(Table::Notices, &keys::notice(kind, about))?;
        Ok(known.is_none_or(|known| at.duration_since(known.told) >= QUIET))
    }

    /// All notices, the latest first.
    pub fn notices(&self) -> Result<Vec<Notice>, StoreError> {
        let rows = self.inner.tables.scan(Table::Notices, "");
        let mut notices = rows.map(|row| row?.read()).collect::<Result<Vec<Notice>, _>>()?;
        notices.sort_by_key(|notice| std::cmp::Reverse(notice.last));
        Ok(notices)
    }

    /// How many notices of a kind were mailed at `since` or later; reaches back 48 hours.
    pub fn notices_mailed_since(&self, kind: NoticeKind, since: Timestamp) -> Result<usize, StoreError> {
        self.count_pace(&keys::prefix(&["notice", kind.code()]), since)
    }

    /// Since when staff are not told of what comes to need them, because they were told of so much.
    pub fn held_back(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.tables.get(Table::Meta, keys::HELD_BACK)
    }

    /// What proves to this store, and to no other, that a text is its own. `fresh` is kept if there is none yet.
    pub fn secret(&self, fresh: &str) -> Result<String, StoreError> {
        let mut change = Change::default();
        if let Some(secret) = self.inner.tables.watch(&mut change, Table::Meta, keys::SECRET)? {
            return Ok(secret);
        }
        change.put(Table::Meta, keys::SECRET.to_owned(), &fresh)?;
        match self.inner.tables.run(&change)? {
            true => Ok(fresh.to_owned()),
            // Another thread came first.
            false => self.secret(fresh),
        }
    }

    pub(super) fn hold_back(&self, held: HeldBack, change: &mut Change) -> Result<(), StoreError> {
        match held {
            HeldBack::AsBefore => {}
            HeldBack::Since(at) => {
                if self.inner.tables.watch::<Timestamp>(change, Table::Meta, keys::HELD_BACK)?.is_none() {
                    change.put(Table::Meta, keys::HELD_BACK.to_owned(), &at)?;
                }
            }
            HeldBack::Over => change.remove(Table::Meta, keys::HELD_BACK.to_owned()),
        }
        Ok(())
    }

    pub(super) fn notice(&self, raised: &Raised, change: &mut Change) -> Result<(), StoreError> {
        let Raised { kind, about, what, at, mail, .. } = raised;
        let key = keys::notice(*kind, about);
        let known: Option<Notice> = self.inner.tables.watch(change, Table::Notices, &key)?;
        let quiet = known.as_ref().filter(|known| at.duration_since(known.told) < QUIET);
        if let (Some(mail), None) = (mail, quiet) {
            self.queue_notice(*kind, mail, change)?;
        }
        let notice = Notice {
            kind: *kind,
            about: about.clone(),
            what: what.clone(),
            first: known.as_ref().map_or(*at, |known| known.first),
            told: quiet.map_or(*at, |known| known.told),
            last: *at,
            times: known.as_ref().map_or(0, |known| known.times) + 1,
        };
        change.put(Table::Notices, key, &notice)
    }
}
