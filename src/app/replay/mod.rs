//! `replay`: the backtest. Takes the kept mail through other terms and tells which decisions would change, and why.
//!
//! The mail is copied into a nameless file first: the daemon, or whoever needs the store next, waits for no decision.
//! Acts of staff are not replayed, for under other terms they might have done others; those of the clock are.

mod recorded;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Seek, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use self::recorded::{Account, History, Mail, Recorded, Verdict};
use super::query::{Query, consult};
use super::triage::page::clean;
use super::{Failure, Setup, daemon, load_offline};
use crate::domain::decision::Reason;
use crate::pipeline::Reading;
use crate::ports::BEGINNING;
use crate::store::Store;
use crate::worker::settle::{self, Taken};
use crate::worker::{Clock, Office, handover, turn};

pub use recorded::tell;

/// Nobody is there to be reminded: as long as a configuration may say.
const NO_STAFF_DAYS: u32 = 3650;

/// The command: prints each decision that would change, then how many of each kind; fails if there is one.
pub fn run(config: &Path, new: &Path, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let (config, new) = (load_offline(config)?, load_offline(new)?);
    let mut setup = Setup::new(&new)?;
    setup.terms.deadlines.staff = NO_STAFF_DAYS;
    let mut office = setup.office(&new, Store::temporary()?);
    office.clock = Clock::Arrival;
    office.notifier.to = None;
    office.handover = handover::Handover::default();
    let mut kept = spooled(&mut |spool| consult(&config, &Query::Replay, &mut |line| spool.write_all(line)))?;
    let mut replay = Replay { office, latest: Timestamp::MIN, totals: Totals::default() };
    let mut line = Vec::new();
    while kept.read_until(b'\n', &mut line)? > 0 {
        let recorded: Recorded = serde_json::from_slice(&line).map_err(io::Error::from)?;
        line.clear();
        if let Some(change) = replay.letter(recorded)? {
            match as_json {
                true => writeln!(out, "{}", serde_json::to_string(&change).map_err(io::Error::from)?)?,
                false => change.print(out)?,
            }
            out.flush()?;
        }
    }
    let totals = replay.totals;
    match as_json {
        true => writeln!(out, "{}", json!({"total": totals}))?,
        false => totals.print(out)?,
    }
    match totals.changed {
        0 => Ok(()),
        1 => Err(Failure::Other("1 letter would be decided differently".to_owned())),
        several => Err(Failure::Other(format!("{several} letters would be decided differently"))),
    }
}

/// What `write` writes, to be read from the beginning; gone with its reader.
fn spooled(write: &mut dyn FnMut(&mut dyn Write) -> Result<(), Failure>) -> Result<BufReader<File>, Failure> {
    let named = |e: io::Error| Failure::Other(format!("temporary folder {}: {e}", std::env::temp_dir().display()));
    let mut spool = BufWriter::new(tempfile::tempfile().map_err(named)?);
    write(&mut spool)?;
    let mut file = spool.into_inner().map_err(|e| named(e.into_error()))?;
    file.rewind().map_err(named)?;
    Ok(BufReader::new(file))
}

/// The letters so far, under the new terms.
struct Replay {
    office: Office,
    /// The latest arrival.
    latest: Timestamp,
    totals: Totals,
}

impl Replay {
    /// What changes for the next letter.
    fn letter(&mut self, recorded: Recorded) -> Result<Option<Change>, Failure> {
        self.totals.letters += 1;
        let skipped = &mut self.totals.skipped;
        let raw: Vec<u8> = match &recorded.mail {
            Mail::Kept(mail) => mail.chars().map(|byte| u8::try_from(byte).unwrap_or(b'?')).collect(),
            Mail::Erased => return Ok(skipped.note("erased")),
            Mail::Lost => return Ok(skipped.note("lost")),
        };
        // Whatever is exactly as long as a beginning is taken for one.
        let cut_short = raw.len() as u64 == BEGINNING;
        let (account, head) = match settle::read_one(&self.office, raw, cut_short) {
            Ok(reading) if reading.by_staff => return Ok(skipped.note("of_staff")),
            Ok(mut reading) => {
                self.prepare(&mut reading, &recorded)?;
                let head =
                    (reading.letter.from.as_ref().map(|p| p.address.to_string()), reading.letter.subject.clone());
                match settle::settle(&self.office, reading, None, None).map_err(daemon::failure)? {
                    Taken::Answered { reading, outcome, case } => {
                        (self.account(&reading, &outcome, case.as_deref())?, head)
                    }
                    Taken::Again { .. } => return Ok(self.totals.skipped.note("copies")),
                    Taken::Quarantined { .. } => (quarantined(), head),
                }
            }
            Err(_) => (quarantined(), (None, String::new())),
        };
        Ok(self.totals.compare(recorded, account, head))
    }

    /// What came with the letter besides its bytes, and what the clock had done before it came.
    fn prepare(&mut self, reading: &mut Reading, recorded: &Recorded) -> Result<(), Failure> {
        let arrived = reading.arrived.at;
        if recorded.account.verdict.reasons.contains(&Reason::Old.code()) {
            // It had lain in the mailbox as long as it took to come here.
            reading.stored = arrived.checked_sub(recorded.at.duration_since(arrived)).ok();
        }
        // It may answer a letter, or name an RMA, that is not written under these terms: it is of its case nevertheless.
        let domain = self.office.terms.frame.from.address.domain();
        let answers_ours = reading.keys.references.iter().any(|id| id.is_like_a_reply(domain));
        if answers_ours || !reading.keys.rmas.is_empty() {
            reading.keys.references.extend(recorded.root.clone());
        }
        self.latest = self.latest.max(arrived);
        turn::strike(&self.office, self.latest).map_err(daemon::failure)?;
        Ok(())
    }

    fn account(
        &self,
        reading: &Reading,
        outcome: &crate::domain::decision::Outcome,
        case: Option<&crate::domain::case::Case>,
    ) -> Result<Account, Failure> {
        let events = case.map(|case| self.office.store.events(&case.id)).transpose()?.unwrap_or_default();
        let letter = &reading.letter.id;
        let history = History::up_to(&events, letter).map_err(|e| Failure::Other(e.to_string()))?;
        let account = history.account(outcome.class, letter, &self.office.terms);
        Ok(Account { verdict: Verdict::of(outcome.class, &outcome.decision), ..account })
    }
}

fn quarantined() -> Account {
    Account { verdict: Verdict::quarantine(), reckoning: Vec::new() }
}

/// A letter that would be decided differently.
#[derive(Debug, Serialize)]
struct Change {
    letter: String,
    at: Timestamp,
    case: Option<String>,
    from: Option<String>,
    subject: String,
    /// As the totals count it.
    change: String,
    /// Staff had done something with the case before, which was not replayed: that may be why.
    after_staff: bool,
    old: Verdict,
    new: Verdict,
    reckoning: Vec<Difference>,
}

/// A line of the reckoning that differs; `null`: there is none.
#[derive(Debug, Serialize)]
struct Difference {
    clause: String,
    old: Option<String>,
    new: Option<String>,
}

impl Change {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let name = self.case.as_deref().or(self.letter.get(..12)).unwrap_or_default();
        let from = self.from.as_deref().unwrap_or("–");
        writeln!(out, "{name}  {}  {}  {}", self.at.strftime("%F %TZ"), clean(from), clean(&self.subject))?;
        writeln!(out, "    {} → {}", action(&self.old), action(&self.new))?;
        let lists = [
            ("class", [&self.old.class, &self.new.class].map(|class| vec![class.clone()])),
            ("reasons", [self.old.reasons.clone(), self.new.reasons.clone()]),
            ("missing", [self.old.missing.clone(), self.new.missing.clone()]),
        ];
        for (what, [old, new]) in lists {
            let list = |codes: &[String]| if codes.is_empty() { "none".to_owned() } else { codes.join(" ") };
            if old != new {
                writeln!(out, "    {what}: {} → {}", list(&old), list(&new))?;
            }
        }
        for line in &self.reckoning {
            for (sign, text) in [("-", &line.old), ("+", &line.new)] {
                if let Some(text) = text {
                    writeln!(out, "    {sign} {:<20} {}", line.clause, clean(text))?;
                }
            }
        }
        if self.after_staff {
            writeln!(out, "    staff had gone on with the case before, which is not replayed: that may be why")?;
        }
        writeln!(out)
    }
}

fn action(verdict: &Verdict) -> String {
    match &verdict.track {
        Some(track) => format!("{} ({track})", verdict.decision),
        None => verdict.decision.clone(),
    }
}

/// What became of all letters.
#[derive(Debug, Default, Serialize)]
struct Totals {
    letters: usize,
    same: usize,
    changed: usize,
    /// Of those, in cases that staff had gone on with.
    after_staff: usize,
    changes: BTreeMap<String, usize>,
    skipped: Skipped,
}

/// Letters that can't be compared, by why.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
struct Skipped(BTreeMap<&'static str, usize>);

impl Skipped {
    fn note(&mut self, why: &'static str) -> Option<Change> {
        *self.0.entry(why).or_default() += 1;
        None
    }
}

impl Totals {
    fn compare(
        &mut self,
        recorded: Recorded,
        new: Account,
        (from, subject): (Option<String>, String),
    ) -> Option<Change> {
        let old = recorded.account;
        let Some(change) = kind(&old.verdict, &new.verdict) else {
            self.same += 1;
            return None;
        };
        self.changed += 1;
        self.after_staff += usize::from(recorded.after_staff);
        *self.changes.entry(change.clone()).or_default() += 1;
        Some(Change {
            letter: recorded.letter.to_string(),
            at: recorded.at,
            case: recorded.case.map(|case| case.to_string()),
            from,
            subject,
            change,
            after_staff: recorded.after_staff,
            reckoning: differences(&old, &new),
            old: old.verdict,
            new: new.verdict,
        })
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} letters: {} decided as before, {} differently", self.letters, self.same, self.changed)?;
        for (change, count) in &self.changes {
            writeln!(out, "    {count:>6}  {change}")?;
        }
        if self.after_staff > 0 {
            writeln!(out, "    {:>6}  of these after acts of staff, which are not replayed", self.after_staff)?;
        }
        for (why, count) in &self.skipped.0 {
            writeln!(out, "    {count:>6}  not compared: {why}")?;
        }
        Ok(())
    }
}

/// What kind of change it is; `None`: it is none.
fn kind(old: &Verdict, new: &Verdict) -> Option<String> {
    if old.decision != new.decision || old.track != new.track {
        return Some(format!("{} → {}", action(old), action(new)));
    }
    let differ = [
        ("class", old.class != new.class),
        ("reasons", old.reasons != new.reasons),
        ("missing", old.missing != new.missing),
    ];
    let what: Vec<&str> = differ.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what).collect();
    (!what.is_empty()).then(|| format!("{}, other {}", old.decision, what.join(" and ")))
}

/// The lines that only one of the two has, by clause.
fn differences(old: &Account, new: &Account) -> Vec<Difference> {
    let only = |one: &Account, other: &Account| {
        one.reckoning.iter().filter(|line| !other.reckoning.contains(line)).cloned().collect::<Vec<_>>()
    };
    let mut fresh = only(new, old);
    let mut differences = Vec::new();
    for line in only(old, new) {
        let pair = fresh.iter().position(|other| other.clause == line.clause).map(|at| fresh.remove(at).text);
        differences.push(Difference { clause: line.clause, old: Some(line.text), new: pair });
    }
    differences.extend(fresh.into_iter().map(|line| Difference {
        clause: line.clause,
        old: None,
        new: Some(line.text),
    }));
    differences
}
