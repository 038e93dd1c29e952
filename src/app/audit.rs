//! `audit`: is every mail of the mailbox where it belongs? Compares mailbox, archive, cases and outbox; changes nothing.
//!
//! The store is read first, then the mailbox by EXAMINE: what comes in between waits, as it is above the mark. A mail is
//! known by its Message-ID and size, else by the digest of its bytes, which are fetched for that.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::findings;
use super::query::{Query, Question, consult};
use super::{Failure, daemon, imap_settings, load};
use crate::config::{Config, Source};
use crate::domain::ids::LetterId;
use crate::imap::Handled;
use crate::imap::inspect::{Inspection, Listing, Mail};
use crate::ports::{BEGINNING, Content, FirstStart, Position};
use crate::store::{Finding, FindingKind, Tally};

/// Prints every difference, then how many there are of each thing.
pub fn run(config: &Path, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load(config)?;
    let (mut known, mut mailbox) = look(&config)?;
    let missed = known.missed();
    if !missed.is_empty() {
        // Between the look at the store and the look at the mailbox a letter may have been taken in and moved away.
        (known, mailbox) = look(&config)?;
        let passing = known.missed().difference(&missed).count() as u64;
        known.findings.retain(|finding| finding.kind != FindingKind::MailMissed || missed.contains(&finding.place));
        mailbox.missed -= passing;
        mailbox.waiting += passing;
    }
    known.findings.sort();
    for finding in &known.findings {
        match as_json {
            true => writeln!(out, "{}", json!({"finding": finding, "remedy": finding.kind.remedy()}))?,
            false => findings::write(finding, out)?,
        }
    }
    if as_json {
        writeln!(out, "{}", json!({"mailbox": mailbox, "store": known.tally}))?;
    } else {
        mailbox.write(out)?;
        findings::write_tally(&known.tally, out)?;
    }
    findings::verdict(known.findings.len(), "difference", "differences")
}

/// Looks at the store, then at the mailbox.
fn look(config: &Config) -> Result<(Known, Census), Failure> {
    let mut known = Known::read(config)?;
    let mailbox = match &config.mailbox.source {
        Source::Maildir(path) => known.hold_against_maildir(path, config.limits.mail_size)?,
        Source::Imap { .. } => daemon::runtime()?.block_on(known.hold_against_imap(config))?,
    };
    Ok((known, mailbox))
}

/// The mails of the mailbox, each counted once. `taken_in` + `quarantined` + `waiting` + `before` + `missed` = `mails`.
#[derive(Debug, Default, Serialize)]
struct Census {
    /// Mails in the folder, and in the one that handled mail is moved to.
    mails: u64,
    taken_in: u64,
    quarantined: u64,
    /// Not taken in yet: the next pass does it.
    waiting: u64,
    /// Came before the first letter was taken in, and was not to be.
    before: u64,
    missed: u64,
    /// Mails in the archive that the mailbox has no more: deleted or moved by people.
    gone: u64,
    /// Handled letters that the mailbox was not told of yet: the next pass does it.
    unmarked: u64,
}

impl Census {
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Self { mails, taken_in, quarantined, waiting, before, missed, gone, unmarked } = self;
        writeln!(
            out,
            "mailbox        {mails} mails: {taken_in} taken in, {quarantined} in quarantine, {waiting} waiting, \
             {before} older than the store, {missed} missed"
        )?;
        writeln!(
            out,
            "               {gone} in the archive only (deleted or moved by people), {unmarked} not marked yet"
        )
    }
}

/// What the store knows.
#[derive(Debug, Default)]
struct Known {
    letters: BTreeSet<LetterId>,
    /// Of those that are kept, by Message-ID and size.
    by_size: BTreeMap<(String, u64), LetterId>,
    /// In the archive, and found in the mailbox by now or not.
    kept: BTreeMap<LetterId, bool>,
    quarantined: BTreeSet<LetterId>,
    unentered: BTreeSet<LetterId>,
    unread: BTreeSet<Position>,
    cursors: Vec<Position>,
    starts: Vec<FirstStart>,
    first: Option<Timestamp>,
    tally: Tally,
    findings: Vec<Finding>,
}

/// A line of the books.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    letter: Option<LetterId>,
    size: Option<u64>,
    message_id: Option<String>,
    quarantined: bool,
    unentered: Option<LetterId>,
    unread: Option<Position>,
    cursor: Option<Position>,
    start: Option<FirstStart>,
    first: Option<Timestamp>,
    finding: Option<Finding>,
    tally: Option<Tally>,
}

/// What a mail in the mailbox is to the store.
enum Place {
    Known(LetterId),
    /// In quarantine, as its bytes could not be had.
    Unread,
    Waiting(Option<LetterId>),
    Before,
    Missed(String),
}

impl Known {
    fn read(config: &Config) -> Result<Self, Failure> {
        let mut known = Self::default();
        consult(config, &Query::Ask(Question::Books), &mut |line| {
            known.add(serde_json::from_slice(line)?);
            Ok(())
        })?;
        Ok(known)
    }

    fn add(&mut self, told: Told) {
        if let Some(letter) = told.letter {
            if let (Some(id), Some(size)) = (told.message_id, told.size) {
                self.by_size.insert((id, size), letter.clone());
            }
            if told.size.is_some() {
                self.kept.insert(letter.clone(), false);
            }
            if told.quarantined {
                self.quarantined.insert(letter.clone());
            }
            self.letters.insert(letter);
        }
        self.unentered.extend(told.unentered);
        self.unread.extend(told.unread);
        self.cursors.extend(told.cursor);
        self.starts.extend(told.start);
        self.findings.extend(told.finding);
        self.first = told.first.or(self.first);
        self.tally = told.tally.unwrap_or(std::mem::take(&mut self.tally));
    }

    async fn hold_against_imap(&mut self, config: &Config) -> Result<Census, Failure> {
        let mut census = Census { unmarked: self.tally.unmarked, ..Census::default() };
        let Some(settings) = imap_settings(config) else { return Ok(census) };
        let mut inspection = Inspection::open(&settings).await?;
        let mut folders = vec![(settings.folder.clone(), true)];
        if let Handled::Move(target) = &settings.handled {
            folders.push((target.clone(), false));
        }
        for (folder, is_source) in folders {
            let listing = inspection.list(&folder).await?;
            for mail in &listing.mails {
                let place = self.place(&mut inspection, &folder, &listing, mail, is_source).await?;
                if let Some(place) = place {
                    let name = format!("mail {} of {folder}", mail.uid);
                    self.count(&mut census, place, name, mail.message_id.as_deref());
                }
            }
        }
        inspection.close().await;
        self.end(&mut census);
        Ok(census)
    }

    /// `None`: it was removed in this moment.
    async fn place(
        &self,
        inspection: &mut Inspection,
        folder: &str,
        listing: &Listing,
        mail: &Mail,
        is_source: bool,
    ) -> Result<Option<Place>, Failure> {
        let key = mail.message_id.clone().map(|id| (id, mail.size));
        if let Some(letter) = key.and_then(|key| self.by_size.get(&key)) {
            return Ok(Some(Place::Known(letter.clone())));
        }
        let position =
            Position { folder: folder.to_owned(), validity: listing.validity, uid: mail.uid, name: String::new() };
        if is_source && self.unread.contains(&position) {
            return Ok(Some(Place::Unread));
        }
        if is_source && self.is_left_alone(&position, mail.arrived) {
            return Ok(Some(Place::Before));
        }
        let mark = self.cursors.iter().find(|cursor| cursor.folder == folder && cursor.validity == listing.validity);
        let above = is_source && mark.is_none_or(|mark| mark.uid < mail.uid);
        let letter = match inspection.content(mail).await? {
            None => return Ok(None),
            Some(Content::Whole(raw) | Content::Beginning { raw, .. }) => self.letter(&raw),
            Some(Content::Unreadable { .. }) => None,
        };
        Ok(Some(match letter {
            // A mail that a crash left in the archive is taken in when its turn comes.
            Some(letter) if above && self.unentered.contains(&letter) => Place::Waiting(Some(letter)),
            Some(letter) => Place::Known(letter),
            None if above => Place::Waiting(None),
            None if !is_source && self.is_older(mail.arrived) => Place::Before,
            None if is_source => Place::Missed("the mark is above it, but it was never taken in".to_owned()),
            None => Place::Missed("it was moved here before it was taken in".to_owned()),
        }))
    }

    fn hold_against_maildir(&mut self, path: &Path, mail_size: u64) -> Result<Census, Failure> {
        let mut census = Census { unmarked: self.tally.unmarked, ..Census::default() };
        for part in ["new", "cur"] {
            let folder = path.join(part);
            let named = |e: std::io::Error| Failure::Config(format!("Maildir {}: {e}", folder.display()));
            for entry in fs::read_dir(&folder).map_err(named)? {
                let entry = entry.map_err(named)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with('.') || entry.path().is_dir() {
                    continue;
                }
                let unique = name.split_once(':').map_or(name.as_str(), |(unique, _)| unique);
                let folder = path.display().to_string();
                let unread = self.unread.iter().any(|at| at.folder == folder && at.name == unique);
                let letter = match fs::read(entry.path()) {
                    Ok(mut raw) => {
                        if raw.len() as u64 > mail_size {
                            raw.truncate(BEGINNING as usize);
                        }
                        self.letter(&raw)
                    }
                    // Taken in or removed in this moment.
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(_) => None,
                };
                let arrived = entry.metadata().and_then(|about| about.modified()).ok();
                let arrived = arrived.and_then(|time| Timestamp::try_from(time).ok());
                let place = match letter {
                    Some(letter) if part == "new" && self.unentered.contains(&letter) => Place::Waiting(Some(letter)),
                    Some(letter) => Place::Known(letter),
                    None if unread => Place::Unread,
                    None if part == "new" => Place::Waiting(None),
                    None if self.is_older(arrived) => Place::Before,
                    None => Place::Missed("another program moved it from new to cur before it was taken in".to_owned()),
                };
                self.count(&mut census, place, format!("mail {part}/{name}"), None);
            }
        }
        self.end(&mut census);
        Ok(census)
    }

    /// The known letter of these bytes. The limit on size may have been another one when it was taken in.
    fn letter(&self, raw: &[u8]) -> Option<LetterId> {
        let beginning = raw.get(..BEGINNING as usize).unwrap_or(raw);
        let known = |raw: &[u8]| Some(LetterId::from_digest(&Sha256::digest(raw).into()));
        let known = |raw| known(raw).filter(|letter| self.letters.contains(letter));
        known(raw).or_else(|| known(beginning))
    }

    fn is_older(&self, arrived: Option<Timestamp>) -> bool {
        arrived.zip(self.first).is_some_and(|(arrived, first)| arrived < first)
    }

    /// Was there at the first start, and was not to be taken in.
    fn is_left_alone(&self, position: &Position, arrived: Option<Timestamp>) -> bool {
        self.starts.iter().any(|start| start.leaves(position, arrived))
    }

    fn count(&mut self, census: &mut Census, place: Place, name: String, message_id: Option<&str>) {
        census.mails += 1;
        match place {
            Place::Known(letter) => {
                match (self.quarantined.contains(&letter), self.unentered.contains(&letter)) {
                    (true, _) => census.quarantined += 1,
                    (_, true) => census.missed += 1,
                    _ => census.taken_in += 1,
                }
                self.kept.entry(letter).and_modify(|found| *found = true);
            }
            Place::Unread => census.quarantined += 1,
            Place::Waiting(letter) => {
                census.waiting += 1;
                if let Some(letter) = letter {
                    self.unentered.remove(&letter);
                    self.kept.entry(letter).and_modify(|found| *found = true);
                }
            }
            Place::Before => census.before += 1,
            Place::Missed(what) => {
                census.missed += 1;
                let place = message_id.map_or(name.clone(), |id| format!("{name} (Message-ID {id})"));
                self.findings.push(Finding { kind: FindingKind::MailMissed, place, what });
            }
        }
    }

    fn missed(&self) -> BTreeSet<String> {
        let missed = self.findings.iter().filter(|finding| finding.kind == FindingKind::MailMissed);
        missed.map(|finding| finding.place.clone()).collect()
    }

    fn end(&mut self, census: &mut Census) {
        for letter in std::mem::take(&mut self.unentered) {
            let what = "its mail is kept, but it was never taken in".to_owned();
            self.findings.push(Finding { kind: FindingKind::MailUnentered, place: format!("letter {letter}"), what });
        }
        census.gone = self.kept.values().filter(|found| !**found).count() as u64;
    }
}
