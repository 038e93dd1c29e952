//! Every letter that came, whatever became of it: so that mail that is answered never, or could not be handled, is seen
//! by somebody too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Failure, report};
use crate::domain::decision::Class;
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::fail_point;
use crate::pipeline::{parse, strip};
use crate::ports::BEGINNING;
use crate::store::{Quarantined, Seen, Store, StoreError};
use crate::worker::budget;

/// How many letters are listed unless more are asked for.
pub const LETTERS: usize = 1000;

/// The class under which a letter is listed that could not be handled.
const QUARANTINE: &str = "quarantine";

/// The fewest characters of a letter's id that name it.
pub const NAME_MIN: usize = 6;

/// A letter in the list.
#[derive(Debug)]
pub enum Listed {
    Seen(Seen),
    Quarantined(Quarantined),
}

/// The `last` letters, of all classes or one, the oldest first; no more of them are held at once.
pub fn list(store: &Store, class: Option<&str>, last: usize) -> Result<Vec<Listed>, Failure> {
    let is_known = |class: &str| class == QUARANTINE || Class::ALL.iter().any(|known| known.code() == class);
    if let Some(class) = class.filter(|class| !is_known(class)) {
        let known: Vec<String> = Class::ALL.iter().map(Class::code).collect();
        return Err(Failure::Other(format!("there is no class {class:?}: {}, {QUARANTINE}", known.join(", "))));
    }
    let mut listed: BTreeMap<(Timestamp, usize), Listed> = BTreeMap::new();
    let mut number = 0;
    let mut add = |at: Timestamp, entry: Listed| {
        number += 1;
        listed.insert((at, number), entry);
        if listed.len() > last {
            listed.pop_first();
        }
    };
    for seen in store.letters() {
        let seen = seen?;
        if class.is_none_or(|class| seen.class.code() == class) {
            add(seen.at, Listed::Seen(seen));
        }
    }
    if class.is_none_or(|class| class == QUARANTINE) {
        for entry in store.quarantined()? {
            add(entry.at, Listed::Quarantined(entry));
        }
    }
    Ok(listed.into_values().collect())
}

/// The object of a letter, with what stands at the top of its mail.
pub fn shown(store: &Store, listed: &Listed) -> Result<Value, StoreError> {
    match listed {
        Listed::Seen(seen) => Ok(report::letter(seen, head(store, &seen.letter)?.as_ref())),
        Listed::Quarantined(entry) => {
            let letter = entry.letter.as_ref().map(|letter| head(store, letter)).transpose()?.flatten();
            Ok(report::unhandled(entry, letter.as_ref()))
        }
    }
}

/// The letters that a name means: a letter's id, or the beginning of one; of those in quarantine also a Message-ID.
pub fn named(store: &Store, name: &str) -> Result<Vec<Listed>, Failure> {
    let (id, message_id) = (name.to_ascii_lowercase(), name.trim_matches(['<', '>']));
    let mut all = list(store, None, usize::MAX)?;
    all.retain(|listed| {
        let (letter, own) = match listed {
            Listed::Seen(seen) => (Some(&seen.letter), None),
            Listed::Quarantined(entry) => (entry.letter.as_ref(), entry.message_id.as_ref()),
        };
        let by_id = name.len() >= NAME_MIN && letter.is_some_and(|letter| letter.as_str().starts_with(&id));
        by_id || own.is_some_and(|own| own.as_str() == message_id)
    });
    Ok(all)
}

/// The object of a letter with all that it says, why it is in quarantine if it is, and the names of its files.
pub fn whole(store: &Store, listed: &Listed) -> Result<Value, StoreError> {
    let mut object = shown(store, listed)?;
    let (letter, why) = match listed {
        Listed::Seen(seen) => (Some(&seen.letter), None),
        Listed::Quarantined(entry) => (entry.letter.as_ref(), Some(entry.why.as_str())),
    };
    let raw = letter.map(|letter| store.raw(letter)).transpose()?.flatten();
    let (text, files) = raw.map(said).unwrap_or_default();
    if let Value::Object(object) = &mut object {
        object.extend([
            ("why".to_owned(), why.into()),
            ("text".to_owned(), text.into()),
            ("files".to_owned(), files.into()),
        ]);
    }
    Ok(object)
}

/// What a mail says, and the names of its files.
fn said(raw: Vec<u8>) -> (String, Vec<String>) {
    let bytes = raw.clone();
    let read = budget::step("reading it", move || {
        fail_point::handling("read", &bytes);
        let letter = parse::letter(&bytes, bytes.len() as u64 == BEGINNING);
        let files = letter.files().iter().map(|file| file.name.clone()).collect();
        (strip::text(&letter), files)
    });
    // It may lie there just because it can't be read.
    read.unwrap_or_else(|why| {
        (format!("({why}; this is the mail as it came)\n\n{}", String::from_utf8_lossy(&raw)), Vec::new())
    })
}

/// `None`: the mail was erased, or not even its bytes could be had.
fn head(store: &Store, letter: &LetterId) -> Result<Option<Letter>, StoreError> {
    /// Enough for the header fields that are shown.
    const TOP: usize = 32 << 10;
    let raw = store.raw(letter)?;
    Ok(raw.map(|raw| parse::letter(raw.get(..TOP).unwrap_or(&raw), raw.len() > TOP)))
}
