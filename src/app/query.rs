//! What commands ask of the store: the daemon answers if one runs, else the command opens the store and answers itself.

use std::io::{self, Write};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tokens::{self, Tokens};
use super::users::{self, Users};
use super::webhooks::{self, Webhooks};
use super::{Failure, control, corrections, daemon, letters, open_office, open_store, people, photos, replay, report};
use crate::config::Config;
use crate::domain::act::Act;
use crate::domain::ids::{CaseId, LetterId, OrderNumber, RmaNumber};
use crate::domain::report::{Summary, Whole};
use crate::pipeline::explain::Explanation;
use crate::store::{Books, Kept, Quarantined, Store, StoreError};
use crate::worker::health::Status;
use crate::worker::settle::Taken;
use crate::worker::stats::{self, Wanted};
use crate::worker::turn::{self, Undone};
use crate::worker::{Office, retry};

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// Of the store alone.
    Ask(Question),
    /// Takes letters in again that are in quarantine: one by its id or the beginning of it, or `all`.
    Retry(String),
    /// Does something with a case.
    Act { case: String, act: Act, by: String, why: Option<String> },
    /// Sends all drafts that wait for a person.
    SendAll { by: String, why: Option<String> },
    /// Why a case was decided as it was.
    Explain(String),
    /// Every letter that was taken in, with its mail and what was decided on it.
    Replay,
    /// About the accounts of the console.
    Users(Users),
    /// About the tokens of programs.
    Tokens(Tokens),
    /// About the programs that hear of cases.
    Webhooks(Webhooks),
    /// How the daemon is; answered from a store alone, that none runs.
    Status,
}

impl Query {
    /// The act that a line of words means.
    pub fn act(case: String, words: &str, by: String, why: Option<String>) -> Result<Self, Failure> {
        let act = Act::parse(words).map_err(Failure::Usage)?;
        Ok(Self::Act { case, act, by, why })
    }
}

/// What the store alone can answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    List,
    /// A case by its id, RMA number or order number; else a letter by its id.
    Show(String),
    Search(String),
    Quarantine,
    /// The letters that are held back.
    Drafts,
    /// What staff were told.
    Notices,
    /// The letters that came last, of whatever class: cases, mail that gets no answer, quarantine.
    Letters {
        /// Only those of this class, by its code; `quarantine` for those that could not be handled.
        class: Option<String>,
        last: usize,
    },
    /// Notes that a person has dealt with a letter in quarantine.
    Dismiss {
        letter: String,
        how: String,
    },
    /// The books: what `audit` holds against the mailbox.
    Books,
    /// The books and every byte of the archive.
    Verify,
    /// The whole store as JSON lines.
    Export,
    /// What the books tell.
    Stats(Wanted),
    /// The pictures of a case.
    Photos(String),
    /// What staff put right.
    Corrections,
    /// All that is held of a customer, by their address.
    Held(String),
    /// Forgets a customer.
    Erase {
        customer: String,
        /// Cases that are not over too.
        force: bool,
        by: String,
    },
}

/// The most cases a search shows.
const FOUND: usize = 50;

/// Asks the daemon of the configured store if one runs, else answers by itself; hands each line of the answer to `tell`.
pub fn consult(config: &Config, query: &Query, tell: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure> {
    if control::ask(&config.store, query.clone(), tell)? {
        return Ok(());
    }
    match answer_here(config, query, tell) {
        // A daemon may have come up in between.
        Err(Failure::Temporary(why)) => match control::ask(&config.store, query.clone(), tell)? {
            true => Ok(()),
            false => Err(Failure::Temporary(why)),
        },
        done => done,
    }
}

fn answer_here(config: &Config, query: &Query, tell: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<(), Failure> {
    let mut lines = Lines { tell, line: Vec::new() };
    match query {
        Query::Ask(question) => answer_from(&open_store(config)?, question, &mut lines),
        Query::Retry(_) | Query::Act { .. } | Query::SendAll { .. } | Query::Explain(_) | Query::Replay => {
            answer(&open_office(config)?, query, &mut lines)
        }
        Query::Users(asked) => users::answer(&Store::open(&config.store)?, asked, &mut |told| line(&mut lines, &told)),
        Query::Tokens(asked) => {
            tokens::answer(&Store::open(&config.store)?, asked, &mut |told| line(&mut lines, &told))
        }
        Query::Webhooks(asked) => webhooks::answer(&open_store(config)?, asked, &mut |told| line(&mut lines, &told)),
        Query::Status => {
            let counts = Store::open(&config.store)?.counts()?;
            let grant = config.oauth2.as_ref().map(|grant| grant.state().into());
            Ok(tell_status(&Status { grant, ..Status::without_daemon(&counts) }, &mut lines)?)
        }
    }
}

/// Answers with JSON lines.
///
/// `out` returning an error means that nobody listens any more.
pub fn answer(office: &Arc<Office>, query: &Query, out: &mut dyn Write) -> Result<(), Failure> {
    match query {
        Query::Ask(question) => answer_from(&office.store, question, out),
        Query::Replay => replay::tell(office, out),
        Query::Users(asked) => users::answer(&office.store, asked, &mut |told| line(out, &told)),
        Query::Tokens(asked) => tokens::answer(&office.store, asked, &mut |told| line(out, &told)),
        Query::Webhooks(asked) => webhooks::answer(&office.store, asked, &mut |told| line(out, &told)),
        Query::Status => Ok(tell_status(&office.health.status(Some(&office.store.counts()?)), out)?),
        Query::Act { case, act, by, why } => {
            let id = the_one(&office.store, case)?;
            let case = turn::act(office, &id, by, act, why.as_deref(), Timestamp::now()).map_err(undone)?;
            Ok(line(out, &Summary::of(&case))?)
        }
        Query::SendAll { by, why } => {
            for case in office.store.cases() {
                let case = case?;
                if case.held().is_some() {
                    let now = Timestamp::now();
                    let case = turn::act(office, &case.id, by, &Act::Send, why.as_deref(), now).map_err(undone)?;
                    line(out, &Summary::of(&case))?;
                }
            }
            Ok(())
        }
        Query::Explain(name) => {
            for id in known(&office.store, name)? {
                if let Some(case) = office.store.case(&id)? {
                    line(out, &Explanation::of(&case, &office.store.events(&id)?, &office.terms))?;
                }
            }
            Ok(())
        }
        Query::Retry(name) => {
            for entry in in_quarantine(&office.store, name)? {
                let told = match retry::again(office, &entry).map_err(daemon::failure)? {
                    Taken::Quarantined { why, .. } => json!({"outcome": "stays", "why": why}),
                    Taken::Again { seen, .. } => {
                        json!({"outcome": "known", "case": seen.case.as_ref().map(CaseId::as_str)})
                    }
                    Taken::Answered { outcome, case, .. } => json!({
                        "outcome": "taken_in", "class": outcome.class.code(),
                        "case": case.as_ref().map(|case| case.id.as_str()), "decision": outcome.decision.action.code(),
                    }),
                };
                line(out, &with_letter(told, &entry))?;
            }
            Ok(())
        }
    }
}

fn answer_from(store: &Store, question: &Question, out: &mut dyn Write) -> Result<(), Failure> {
    match question {
        Question::List => {
            for case in store.cases() {
                line(out, &Summary::of(&case?))?;
            }
        }
        Question::Search(words) => {
            store.follow_all_with_search()?;
            let found = store.search(words, FOUND)?;
            for case in &found.cases {
                line(out, &Summary::of(case))?;
            }
            if found.more {
                line(out, &json!({"more": true}))?;
            }
        }
        Question::Show(name) => {
            let ids = named(store, name)?;
            let letters = if ids.is_empty() { letters::named(store, name)? } else { Vec::new() };
            if ids.is_empty() && letters.is_empty() {
                return Err(Failure::Other(format!(
                    "there is no case {name:?}: give a case id, an RMA number, an order number or a letter's id"
                )));
            }
            for letter in letters {
                line(out, &letters::whole(store, &letter)?)?;
            }
            for id in ids {
                if let Some(case) = store.case(&id)? {
                    line(out, &Whole::of(&case, &store.events(&id)?))?;
                }
            }
        }
        Question::Quarantine => {
            for entry in store.quarantined()? {
                line(out, &report::quarantined(&entry))?;
            }
        }
        Question::Drafts => {
            for reply in store.drafts() {
                let reply = reply?;
                let case = store.case(&reply.case)?;
                line(out, &report::draft(&reply, case.as_ref()))?;
            }
        }
        Question::Notices => {
            for notice in store.notices()? {
                line(out, &report::notice(&notice))?;
            }
        }
        Question::Letters { class, last } => {
            for listed in letters::list(store, class.as_deref(), *last)? {
                line(out, &letters::shown(store, &listed)?)?;
            }
        }
        Question::Dismiss { letter, how } => {
            for entry in in_quarantine(store, letter)? {
                store.dismiss(&entry, how, Timestamp::now())?;
                store.flush()?;
                line(out, &with_letter(json!({"outcome": "dismissed", "why": how}), &entry))?;
            }
        }
        Question::Books => tell_books(store, &store.books()?, out)?,
        Question::Verify => tell_findings(&store.verify()?, out)?,
        Question::Export => {
            store.export(out)?;
        }
        Question::Stats(wanted) => {
            let stats = stats::gather(store, wanted, Timestamp::now())?;
            line(out, &stats)?;
        }
        Question::Photos(name) => {
            for id in known(store, name)? {
                photos::tell(store, &id, &mut |told| line(out, &told))?;
            }
        }
        Question::Corrections => corrections::told(store, &mut |told| line(out, &told))?,
        Question::Held(customer) => people::held(store, customer, &mut |told| line(out, &told))?,
        Question::Erase { customer, force, by } => line(out, &people::forget(store, customer, *force, by)?)?,
    }
    Ok(())
}

/// The books as `audit` needs them: each letter that is known, then what [`tell_findings`] tells.
fn tell_books(store: &Store, books: &Books, out: &mut dyn Write) -> Result<(), Failure> {
    for (letter, account) in &books.letters {
        let size = match account.raw {
            Kept::Yes(size) => Some(size),
            Kept::No | Kept::Erased => None,
        };
        let message_id = account.message_id.as_ref().map(|id| id.as_str());
        let quarantined = account.quarantined || account.dismissed && account.seen.is_none();
        let told = json!({"letter": letter, "size": size, "message_id": message_id, "quarantined": quarantined});
        line(out, &told)?;
    }
    for letter in books.unentered() {
        // A copy of a letter that was taken in has no entry of its own.
        if !retry::is_copy(store, letter)? {
            line(out, &json!({"unentered": letter}))?;
        }
    }
    for position in &books.unread {
        line(out, &json!({"unread": position}))?;
    }
    for cursor in &books.cursors {
        line(out, &json!({"cursor": cursor}))?;
    }
    for start in &books.starts {
        line(out, &json!({"start": start}))?;
    }
    line(out, &json!({"first": books.first}))?;
    Ok(tell_findings(books, out)?)
}

pub fn tell_status(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    line(out, status)
}

/// Each finding, then how many there are of each thing.
pub fn tell_findings(books: &Books, out: &mut dyn Write) -> io::Result<()> {
    for finding in &books.findings {
        line(out, &json!({"finding": finding}))?;
    }
    line(out, &json!({"tally": books.tally}))
}

/// The cases that a name means, at least one.
fn known(store: &Store, name: &str) -> Result<Vec<CaseId>, Failure> {
    let ids = named(store, name)?;
    if ids.is_empty() {
        let why = format!("there is no case {name:?}: give a case id, an RMA number or an order number");
        return Err(Failure::Other(why));
    }
    Ok(ids)
}

/// The one case that a name means.
fn the_one(store: &Store, name: &str) -> Result<CaseId, Failure> {
    match known(store, name)?.as_slice() {
        [id] => Ok(id.clone()),
        several => {
            let ids: Vec<&str> = several.iter().map(CaseId::as_str).collect();
            Err(Failure::Other(format!("{name:?} means several cases, {}: give one of these ids", ids.join(", "))))
        }
    }
}

fn undone(undone: Undone) -> Failure {
    match undone {
        Undone::Trouble(trouble) => daemon::failure(trouble),
        other => Failure::Other(other.to_string()),
    }
}

/// The cases that a name means.
fn named(store: &Store, name: &str) -> Result<Vec<CaseId>, StoreError> {
    if let Ok(id) = CaseId::new(name)
        && store.case(&id)?.is_some()
    {
        return Ok(vec![id]);
    }
    if let Ok(number) = RmaNumber::new(name)
        && let Some(id) = store.case_of_rma(&number)?
    {
        return Ok(vec![id]);
    }
    let Ok(number) = OrderNumber::new(name) else { return Ok(Vec::new()) };
    Ok(store.cases_of_order(&number)?.into_iter().map(|case| case.id).collect())
}

/// The entries of quarantine that a name means: `all`, a letter's id or the beginning of one, a Message-ID, a file of
/// a Maildir, or the UID of a mail that could not be fetched. A letter that is kept, but was never taken in, counts.
fn in_quarantine(store: &Store, name: &str) -> Result<Vec<Quarantined>, Failure> {
    let mut entries = store.quarantined()?;
    if name == "all" {
        return Ok(entries);
    }
    let is_meant = |entry: &Quarantined| {
        let letter = entry.letter.as_ref().map_or("", LetterId::as_str);
        let place = entry.position.as_ref();
        name.len() >= letters::NAME_MIN && letter.starts_with(&name.to_ascii_lowercase())
            || entry.message_id.as_ref().is_some_and(|id| id.as_str() == name.trim_matches(['<', '>']))
            || place.is_some_and(|place| !place.name.is_empty() && place.name == name)
            || letter.is_empty() && place.is_some_and(|place| place.name.is_empty() && place.uid.to_string() == name)
    };
    entries.retain(is_meant);
    if entries.is_empty()
        && let Ok(letter) = LetterId::new(name)
        && store.books()?.unentered().any(|known| *known == letter)
    {
        return Ok(vec![retry::unentered(letter)]);
    }
    match entries.len() {
        0 => Err(Failure::Other(format!("no letter {name:?} is in quarantine; see: cases quarantine"))),
        1 => Ok(entries),
        several => {
            Err(Failure::Other(format!("{several} letters in quarantine are called {name:?}: give more of the id")))
        }
    }
}

fn with_letter(mut told: Value, entry: &Quarantined) -> Value {
    if let (Value::Object(told), Value::Object(known)) = (&mut told, report::quarantined(entry)) {
        for (key, value) in known {
            told.entry(key).or_insert(value);
        }
    }
    told
}

fn line(out: &mut dyn Write, object: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    writeln!(out)
}

/// Cuts what is written into lines.
struct Lines<'a> {
    tell: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    line: Vec<u8>,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                (self.tell)(&std::mem::take(&mut self.line))?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
