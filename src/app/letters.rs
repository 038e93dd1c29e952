//! Every letter that came, whatever became of it: so that mail that is answered never, or could not be handled, is seen
//! by somebody too.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::{Failure, report};
use crate::domain::decision::Class;
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::pipeline::parse;
use crate::store::{Quarantined, Seen, Store, StoreError};

/// How many letters are listed unless more are asked for.
pub const LETTERS: usize = 1000;

/// The class under which a letter is listed that could not be handled.
const QUARANTINE: &str = "quarantine";

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

/// `None`: the mail was erased, or not even its bytes could be had.
fn head(store: &Store, letter: &LetterId) -> Result<Option<Letter>, StoreError> {
    /// Enough for the header fields that are shown.
    const TOP: usize = 32 << 10;
    let raw = store.raw(letter)?;
    Ok(raw.map(|raw| parse::letter(raw.get(..TOP).unwrap_or(&raw), raw.len() > TOP)))
}
