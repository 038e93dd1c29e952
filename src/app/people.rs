//! What is held of one customer: given to them, or erased.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::query::{Query, Question, consult};
use super::{Failure, daemon, load_offline, report};
use crate::domain::ids::{Address, LetterId};
use crate::domain::report::Whole;
use crate::store::Store;
use crate::worker::erasure::{self, Refused};

/// Erases a customer; one line tells how much.
pub fn forget(store: &Store, customer: &str, force: bool, by: &str) -> Result<Value, Failure> {
    let address = address(customer)?;
    let done = erasure::forget(store, &address, force, by, Timestamp::now()).map_err(|refused| match refused {
        Refused::Open(_) => Failure::Other(refused.to_string()),
        Refused::Trouble(trouble) => daemon::failure(trouble),
    })?;
    Ok(json!({"erased": {"cases": done.cases, "mails": done.mails, "traces": done.traces}}))
}

/// Everything held of a customer, a line for each thing; a mail stands in a string in which each character is one byte.
pub fn held(store: &Store, customer: &str, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    let address = address(customer)?;
    let mut known: BTreeSet<LetterId> = BTreeSet::new();
    for id in erasure::cases_of(store, &address).map_err(daemon::failure)? {
        // Of an erased case nothing is theirs any more.
        if let Some(case) = store.case(&id)?.filter(|case| case.erased.is_none()) {
            tell(json!({"case": Whole::of(&case, &store.events(&id)?)}))?;
            known.extend(store.named_letters(&id)?);
        }
    }
    let elsewhere = erasure::letters_elsewhere(store, &address).map_err(daemon::failure)?;
    for letter in known.into_iter().chain(elsewhere) {
        let raw = store.raw(&letter)?;
        let mail = raw.map(|raw| raw.iter().map(|byte| char::from(*byte)).collect::<String>());
        tell(json!({"letter": letter, "mail": mail}))?;
    }
    for waiting in store.outbox_due(Timestamp::MAX, usize::MAX)? {
        if waiting.reply.to.address == address {
            tell(json!({"waiting": waiting.reply}))?;
        }
    }
    for draft in store.drafts() {
        let draft = draft?;
        if draft.to.address == address {
            tell(json!({"draft": draft}))?;
        }
    }
    for notice in store.notices()? {
        if [&notice.about, &notice.what].into_iter().any(|text| text.to_lowercase().contains(address.as_str())) {
            tell(json!({"notice": report::notice(&notice)}))?;
        }
    }
    Ok(())
}

/// `cases export`: writes what is held of a customer into a new or empty folder: `customer.json`, and each mail as it
/// came in `letters/`.
pub fn export(config: &Path, customer: &str, folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    address(customer)?;
    let config = load_offline(config)?;
    let letters = folder.join("letters");
    new_folder(folder)?;
    new_folder(&letters)?;
    let (mut cases, mut mails, mut others) = (Vec::new(), Vec::new(), Vec::new());
    consult(&config, &Query::Ask(Question::Held(customer.to_owned())), &mut |line| {
        let mut told: Value = serde_json::from_slice(line)?;
        if let Some(letter) = told.get("letter").and_then(Value::as_str).and_then(|letter| LetterId::new(letter).ok()) {
            let mail = told.get("mail").and_then(Value::as_str);
            if let Some(mail) = mail {
                write_new(&letters.join(format!("{letter}.eml")), &bytes(mail)?)?;
            }
            mails.push(json!({"letter": letter, "kept": mail.is_some()}));
        } else if let Some(case) = told.get_mut("case") {
            cases.push(case.take());
        } else {
            others.push(told);
        }
        Ok(())
    })?;
    if cases.is_empty() && mails.is_empty() && others.is_empty() {
        writeln!(out, "nothing is held of {customer}")?;
    } else {
        writeln!(out, "{}: {} cases, {} letters", folder.display(), cases.len(), mails.len())?;
    }
    let all = json!({"customer": customer, "cases": cases, "letters": mails, "others": others});
    let text = serde_json::to_string_pretty(&all).map_err(io::Error::from)?;
    Ok(write_new(&folder.join("customer.json"), text.as_bytes())?)
}

/// The bytes that a string of characters up to U+00FF stands for.
pub fn bytes(text: &str) -> io::Result<Vec<u8>> {
    let bytes: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    bytes.map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "a character above U+00FF stands in the bytes of a file")
    })
}

/// A folder for its owner alone; one that has something in it is refused.
pub fn new_folder(folder: &Path) -> Result<(), Failure> {
    let named = |e: io::Error| Failure::Other(format!("{}: {e}", folder.display()));
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => Err(Failure::Other(format!("{} is not empty: give a new folder", folder.display()))),
        Ok(false) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => DirBuilder::new().mode(0o700).create(folder).map_err(named),
        Err(e) => Err(named(e)),
    }
}

/// Writes a file that is not there yet, for its owner alone.
pub fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(named)?;
    file.write_all(content).map_err(named)
}

fn address(customer: &str) -> Result<Address, Failure> {
    Address::new(customer).map_err(|e| Failure::Usage(format!("--customer {customer:?}: {e}")))
}
