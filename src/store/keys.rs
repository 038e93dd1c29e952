//! The trees of the store and every key in them, in one place.
//!
//! Keys are text: words and ids with a NUL between them, numbers with leading zeros so that they sort. No id can hold
//! a NUL, so no key can be taken for another, and an export can be read by eye.
//!
//! | tree | key | record |
//! |---|---|---|
//! | `meta` | `version` | format of the store |
//! | | `migrating` | format that its records are being brought from, after a copy of them was kept |
//! | | `importing` | format of the export, until all of it is in |
//! | | `raw` | lowest archive segment that may hold letters without an index entry |
//! | | `compact` | something was erased: the database is written anew at the next opening |
//! | | `deadlines` | digest of the deadlines that `due` was worked out by |
//! | | `since` folder | the second of the first start with a folder whose old mail is left alone |
//! | | `renumbered` folder | its UIDVALIDITY, if that has changed since |
//! | | `counts` | how many there are |
//! | | `queues` | the version of the order that cases are queued by |
//! | | `pseudonyms` | the key under which erased addresses are told apart |
//! | `cases` | case | the case as it stands |
//! | `events` | case, number of the first | the events of one commit |
//! | `seen` | `id` Message-ID, content; or `mail` letter | what became of a letter |
//! | | `gone` digest of the Message-ID, content | the same of a letter that was erased |
//! | `index` | `reply` Message-ID; `rma` number | case |
//! | | `line` order number, SKU | case and RMA number that hold the order line |
//! | | `sender` address, time, case | case |
//! | | `queue` queue, rank, case | what the cases of a queue are picked by |
//! | `raw` | letter | its place in the archive |
//! | `outbox` | time of the next try, Message-ID | the reply and the tries so far |
//! | `pace` | `to` address, time, Message-ID | nothing: counts replies to one address |
//! | | `sent` time, Message-ID | nothing: counts replies sent |
//! | | `notice` kind, time, Message-ID | nothing: counts notices mailed |
//! | `mailbox` | `cursor` folder | highest position taken in |
//! | | `start` folder | position up to which mail is left alone |
//! | | `unmarked` folder, UIDVALIDITY, UID, name | position (and letter) the mailbox was not told of |
//! | `quarantine` | `letter` letter; or `position` …; or `time` time | what could not be handled |
//! | | `dismissed` and one of these | what a person has dealt with, and how |
//! | `notices` | kind, what it is about | what staff have to be told |
//! | `drafts` | case, Message-ID | a letter that is held back |
//! | `due` | time, case | nothing: the clock has to look at the case then |
//! | `accounts` | name | one of the staff, with a digest of the password |
//! | `sessions` | digest of a token | who is signed in by it |
//! | `trail` | time, number | who saw or did what at the console |
//! | `tokens` | digest of a token | a program, and what it may do |
//! | `once` | `by` digest of a key | what was done under the key, so that it is done once |
//! | | `at` time, digest of a key | nothing: when it can be forgotten |
//! | `webhooks` | `event` receiver, case, version | what the receiver is to be told |
//! | | `line` receiver, case | when the first of these is to be tried |
//! | | `due` receiver, time, case | nothing: finds lines by that time |
//! | | `failed` receiver, case, version | what was given up |

use jiff::Timestamp;

use super::{LetterEntry, NoticeKind, Quarantined};
use crate::domain::ids::{Address, CaseId, LetterId, MessageId, OrderNumber, RmaNumber, Sku};
use crate::domain::queue::Place;
use crate::ports::Position;

/// A tree of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Meta,
    Cases,
    Events,
    Seen,
    Index,
    Raw,
    Outbox,
    Pace,
    Mailbox,
    Quarantine,
    Notices,
    Due,
    Drafts,
    Accounts,
    Sessions,
    Trail,
    Tokens,
    Once,
    Webhooks,
}

impl Table {
    /// In the order of the discriminants, which is the order of an export.
    pub const ALL: [Self; 19] = [
        Self::Meta,
        Self::Cases,
        Self::Events,
        Self::Seen,
        Self::Index,
        Self::Raw,
        Self::Outbox,
        Self::Pace,
        Self::Mailbox,
        Self::Quarantine,
        Self::Notices,
        Self::Due,
        Self::Drafts,
        Self::Accounts,
        Self::Sessions,
        Self::Trail,
        Self::Tokens,
        Self::Once,
        Self::Webhooks,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Cases => "cases",
            Self::Events => "events",
            Self::Seen => "seen",
            Self::Index => "index",
            Self::Raw => "raw",
            Self::Outbox => "outbox",
            Self::Pace => "pace",
            Self::Mailbox => "mailbox",
            Self::Quarantine => "quarantine",
            Self::Notices => "notices",
            Self::Due => "due",
            Self::Drafts => "drafts",
            Self::Accounts => "accounts",
            Self::Sessions => "sessions",
            Self::Trail => "trail",
            Self::Tokens => "tokens",
            Self::Once => "once",
            Self::Webhooks => "webhooks",
        }
    }
}

pub(super) const VERSION: &str = "version";
pub(super) const MIGRATING: &str = "migrating";
pub(super) const IMPORTING: &str = "importing";
pub(super) const RAW_FROM: &str = "raw";
pub(super) const COMPACT: &str = "compact";
pub(super) const DEADLINES: &str = "deadlines";
pub(super) const FEEDS: &str = "feeds";
pub(super) const SECRET: &str = "secret";
pub(super) const HELD_BACK: &str = "held back";

pub(super) const SINCE: &str = "since";
pub(super) const RENUMBERED: &str = "renumbered";
pub(super) const COUNTS: &str = "counts";
pub(super) const PSEUDONYMS: &str = "pseudonyms";
pub(super) const QUEUES: &str = "queues";
pub(super) const QUEUE: &str = "queue";

pub(super) fn events(case: &CaseId, first: u64) -> String {
    join(&[case.as_str(), &format!("{first:010}")])
}

pub(super) fn seen(entry: &LetterEntry) -> String {
    seen_as(&entry.id, &entry.content, entry.message_id.as_ref())
}

/// A letter is the same by Message-ID and content; without a Message-ID, by the whole mail.
pub(super) fn seen_as(letter: &LetterId, content: &LetterId, message_id: Option<&MessageId>) -> String {
    match message_id {
        Some(id) => join(&["id", id.as_str(), content.as_str()]),
        None => join(&["mail", letter.as_str()]),
    }
}

/// What is left of such a key once the letter is erased.
pub(super) fn gone(message_id: &MessageId, content: &LetterId) -> String {
    join(&["gone", super::raw::digest(message_id.as_str().as_bytes()).as_str(), content.as_str()])
}

pub(super) fn reply(id: &MessageId) -> String {
    join(&["reply", id.as_str()])
}

pub(super) fn rma(number: &RmaNumber) -> String {
    join(&["rma", number.as_str()])
}

pub(super) fn line(order: &OrderNumber, sku: &Sku) -> String {
    join(&["line", order.as_str(), sku.as_str()])
}

pub(super) fn sender(address: &Address, opened: Timestamp, case: &CaseId) -> String {
    join(&["sender", address.as_str(), &time(opened), case.as_str()])
}

pub(super) fn due(at: Timestamp, id: &MessageId) -> String {
    join(&[&time(at), id.as_str()])
}

pub(super) fn draft(case: &CaseId, id: &MessageId) -> String {
    join(&[case.as_str(), id.as_str()])
}

pub(super) fn due_case(at: Timestamp, case: &CaseId) -> String {
    join(&[&time(at), case.as_str()])
}

pub(super) fn to(address: &Address, at: Timestamp, id: &MessageId) -> String {
    join(&["to", address.as_str(), &time(at), id.as_str()])
}

pub(super) fn sent(at: Timestamp, id: &MessageId) -> String {
    join(&["sent", &time(at), id.as_str()])
}

pub(super) fn mailed(kind: NoticeKind, at: Timestamp, id: &MessageId) -> String {
    join(&["notice", kind.code(), &time(at), id.as_str()])
}

/// No `about` can hold a NUL.
pub(super) fn notice(kind: NoticeKind, about: &str) -> String {
    join(&[kind.code(), &about.replace('\0', " ")])
}

/// In the order in which the cases of a queue are worked.
pub(super) fn queue(place: &Place, case: &CaseId) -> String {
    join(&[QUEUE, place.queue.code(), &place.rank, case.as_str()])
}

/// Entries of one moment have numbers.
pub(super) fn trace(at: Timestamp, number: u32) -> String {
    join(&[&time(at), &format!("{number:010}")])
}

pub(super) fn once(key: &str) -> String {
    join(&["by", key])
}

pub(super) fn once_at(at: Timestamp, key: &str) -> String {
    join(&["at", &time(at), key])
}

pub(super) const HOOK_EVENT: &str = "event";
pub(super) const HOOK_LINE: &str = "line";
pub(super) const HOOK_DUE: &str = "due";
pub(super) const HOOK_FAILED: &str = "failed";

pub(super) fn hook_event(receiver: &str, case: &CaseId, version: u64) -> String {
    join(&[HOOK_EVENT, receiver, case.as_str(), &format!("{version:010}")])
}

pub(super) fn hook_line(receiver: &str, case: &CaseId) -> String {
    join(&[HOOK_LINE, receiver, case.as_str()])
}

pub(super) fn hook_due(receiver: &str, at: Timestamp, case: &CaseId) -> String {
    join(&[HOOK_DUE, receiver, &time(at), case.as_str()])
}

pub(super) fn hook_failed(receiver: &str, case: &CaseId, version: u64) -> String {
    join(&[HOOK_FAILED, receiver, case.as_str(), &format!("{version:010}")])
}

pub(super) fn cursor(folder: &str) -> String {
    join(&["cursor", folder])
}

pub(super) fn since(folder: &str) -> String {
    join(&[SINCE, folder])
}

pub(super) fn renumbered(folder: &str) -> String {
    join(&[RENUMBERED, folder])
}

pub(super) fn start(folder: &str) -> String {
    join(&["start", folder])
}

pub(super) fn unmarked(position: &Position) -> String {
    place("unmarked", position)
}

pub(super) fn quarantine(entry: &Quarantined) -> String {
    match (&entry.letter, &entry.position) {
        (Some(letter), _) => quarantined_letter(letter),
        (None, Some(position)) => quarantined_position(position),
        (None, None) => join(&["time", &time(entry.at)]),
    }
}

/// The key of an entry that a person has dealt with.
pub(super) fn dismissed(entry: &Quarantined) -> String {
    dismissed_as(&quarantine(entry))
}

pub(super) fn dismissed_as(key: &str) -> String {
    join(&[DISMISSED, key])
}

pub(super) fn is_dismissed(key: &str) -> bool {
    words(key).first() == Some(&DISMISSED)
}

const DISMISSED: &str = "dismissed";

pub(super) fn quarantined_letter(letter: &LetterId) -> String {
    join(&["letter", letter.as_str()])
}

pub(super) fn quarantined_position(position: &Position) -> String {
    place("position", position)
}

fn place(word: &str, position: &Position) -> String {
    let (validity, uid) = (format!("{:010}", position.validity), format!("{:010}", position.uid));
    join(&[word, &position.folder, &validity, &uid, &position.name])
}

/// The beginning of all keys that start with these words.
pub(super) fn prefix(words: &[&str]) -> String {
    let mut prefix = join(words);
    prefix.push('\0');
    prefix
}

/// Nanoseconds since 1970 in a fixed width; earlier times sort as 1970.
pub(super) fn time(at: Timestamp) -> String {
    format!("{:021}", at.as_nanosecond().max(0))
}

/// The words of a key.
pub(super) fn words(key: &str) -> Vec<&str> {
    key.split('\0').collect()
}

pub(super) fn read_time(word: &str) -> Option<Timestamp> {
    Timestamp::from_nanosecond(word.parse().ok()?).ok()
}

fn join(words: &[&str]) -> String {
    words.join("\0")
}
