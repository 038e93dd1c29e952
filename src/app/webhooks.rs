//! `webhooks`: how it goes with the programs that hear of cases, and what they did not take.

use std::io::{self, Write};
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::query::{Query, consult};
use super::{Failure, load_offline};
use crate::store::Store;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Webhooks {
    List,
    /// Tries again what was given up: of one receiver, or of all.
    Retry(Option<String>),
}

/// Answers from the store with JSON objects.
pub fn answer(store: &Store, asked: &Webhooks, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    let all = store.webhooks()?;
    if let Webhooks::Retry(name) = asked {
        if let Some(name) = name.as_ref().filter(|name| !all.contains_key(*name)) {
            return Err(Failure::Other(format!("there is no webhook {name}; see: webhooks list")));
        }
        let again = store.webhooks_again(name.as_deref(), Timestamp::now())?;
        store.flush()?;
        return Ok(tell(json!({"again": again}))?);
    }
    for (name, delivered) in all {
        let failed = delivered.failed.iter().map(|(case, id, message)| {
            json!({"id": id, "case": case, "event": message.event, "at": message.at, "why": message.why})
        });
        let failed: Vec<Value> = failed.collect();
        tell(json!({"webhook": name, "waiting": delivered.waiting, "why": delivered.why, "failed": failed}))?;
    }
    Ok(())
}

/// The command: asks, prints.
pub fn run(config: &Path, asked: Webhooks, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load_offline(config)?;
    consult(&config, &Query::Webhooks(asked), &mut |line| {
        if as_json {
            return out.write_all(line);
        }
        let told: Value = serde_json::from_slice(line)?;
        if let Some(again) = told.get("again") {
            return writeln!(out, "{again} are tried again");
        }
        let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let failed: Vec<&Value> = told.get("failed").and_then(Value::as_array).into_iter().flatten().collect();
        let waiting = told.get("waiting").and_then(Value::as_u64).unwrap_or_default();
        writeln!(
            out,
            "{:<24} {waiting} wait, {} failed  {}",
            text(&told, "webhook"),
            failed.len(),
            text(&told, "why")
        )?;
        for message in failed {
            let [id, event, at, why] = ["id", "event", "at", "why"].map(|key| text(message, key));
            writeln!(out, "    {id:<28} {event:<20} {at}  {why}")?;
        }
        Ok(())
    })
}
