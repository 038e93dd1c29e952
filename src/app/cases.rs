//! `cases`: staff work from the shell. Asks the daemon if one runs, else opens the store itself.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Failure, control, load, report, status};
use crate::domain::ids::{CaseId, OrderNumber, RmaNumber};
use crate::store::{Store, StoreError};
use crate::worker::health::Status;

/// What can be asked about cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    List,
    /// A case by its id, RMA number or order number.
    Show(String),
    Search(String),
    Quarantine,
    /// How the daemon is; answered from a store alone, that none runs.
    Status,
}

/// The most cases a search shows.
const FOUND: usize = 200;

/// Answers a query with one JSON object after another.
///
/// `answer` returning an error means that nobody listens any more.
pub fn answer(store: &Store, query: &Query, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    match query {
        Query::List => {
            for case in store.cases() {
                tell(report::summary(&case?))?;
            }
        }
        Query::Search(words) => {
            for case in store.search(words, FOUND)? {
                tell(report::summary(&case))?;
            }
        }
        Query::Show(name) => {
            let ids = named(store, name)?;
            if ids.is_empty() {
                return Err(Failure::Other(format!(
                    "there is no case {name:?}: give a case id, an RMA number or an order number"
                )));
            }
            for id in ids {
                if let Some(case) = store.case(&id)? {
                    tell(report::whole(&case, &store.events(&id)?))?;
                }
            }
        }
        Query::Quarantine => {
            for entry in store.quarantined()? {
                tell(report::quarantined(&entry))?;
            }
        }
        Query::Status => {
            let status = Status::without_daemon(&store.counts()?);
            tell(serde_json::to_value(status).map_err(io::Error::from)?)?;
        }
    }
    Ok(())
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
    let of_order =
        |case: &crate::domain::case::Case| case.facts.order_number.as_ref().is_some_and(|o| o.value == number);
    let found = store.search(number.as_str(), FOUND)?;
    Ok(found.into_iter().filter(of_order).map(|case| case.id).collect())
}

/// The command: asks, prints.
pub fn run(config: &Path, query: &Query, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut count = 0;
    let mut print = |object: Value| {
        count += 1;
        match as_json {
            true => writeln!(out, "{object}"),
            false => print(query, &object, out),
        }
    };
    ask(config, query, &mut print)?;
    if count == 0 && !as_json {
        writeln!(out, "nothing found")?;
    }
    Ok(())
}

/// Asks the daemon if one runs, else opens the store itself.
pub fn ask(config: &Path, query: &Query, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    let config = load(config)?;
    if control::ask(&config.store, query, tell)? {
        return Ok(());
    }
    match Store::open(&config.store) {
        Ok(store) => answer(&store, query, tell),
        // A daemon may have come up in between.
        Err(e @ StoreError::Locked { .. }) => match control::ask(&config.store, query, tell)? {
            true => Ok(()),
            false => Err(e.into()),
        },
        Err(e) => Err(e.into()),
    }
}

fn print(query: &Query, object: &Value, out: &mut dyn Write) -> io::Result<()> {
    let text = |key: &str| match &object[key] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    match query {
        Query::List | Query::Search(_) => writeln!(
            out,
            "{:<12} {:<14} {:<32} {:<22} {:<16} {:<16} {} in, {} out",
            text("case"),
            text("state"),
            text("customer"),
            text("order_number"),
            text("sku"),
            text("rma"),
            text("letters"),
            text("replies")
        ),
        Query::Quarantine => writeln!(
            out,
            "{}  {}  {}  {}\n    {}",
            text("at"),
            text("from"),
            text("subject"),
            text("message_id"),
            text("why")
        ),
        Query::Show(_) => show(object, out),
        Query::Status => status::print(object, out),
    }
}

/// A case on one screen: what is known and where it came from, what is missing, what happened.
fn show(case: &Value, out: &mut dyn Write) -> io::Result<()> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    writeln!(out, "{}  {}  {}", text(&case["case"]), text(&case["state"]), text(&case["subject"]))?;
    writeln!(
        out,
        "customer   {} <{}>, writes {}",
        text(&case["customer_name"]),
        text(&case["customer"]),
        text(&case["language"])
    )?;
    writeln!(out, "request    {}", text(&case["request"]))?;
    writeln!(out, "decision   {} {}", text(&case["decision"]), list(&case["reasons"]))?;
    if !case["rma"].is_null() {
        writeln!(
            out,
            "rma        {} ({}), valid until {}",
            text(&case["rma"]),
            text(&case["track"]),
            text(&case["valid_until"])
        )?;
    }
    writeln!(
        out,
        "missing    {}",
        if list(&case["missing"]).is_empty() { "nothing".to_owned() } else { list(&case["missing"]) }
    )?;
    writeln!(out, "known")?;
    if let Value::Object(evidence) = &case["evidence"] {
        for (name, fact) in evidence {
            let facts: Vec<&Value> = match fact {
                Value::Array(all) => all.iter().collect(),
                Value::Null => continue,
                one => vec![one],
            };
            for fact in facts {
                let proof = if fact["evidence"].is_object() { &fact["evidence"] } else { fact };
                let value =
                    [&fact["value"], &fact["judgement"]].into_iter().find(|v| !v.is_null()).map_or(String::new(), text);
                let quote = [&proof["quote"], &fact["name"]]
                    .into_iter()
                    .find(|v| !v.is_null())
                    .map_or_else(|| text(fact), text);
                writeln!(out, "    {name:<18} {value:<22} “{quote}”  {}", proof["rule"].as_str().unwrap_or_default())?;
            }
        }
    }
    writeln!(out, "events")?;
    for event in case["events"].as_array().into_iter().flatten() {
        let what =
            ["subject", "kind", "items", "why", "order_number"].iter().map(|k| &event[*k]).find(|v| !v.is_null());
        writeln!(out, "    {}  {} {}", text(&event["at"]), text(&event["event"]), what.map_or(String::new(), text))?;
    }
    writeln!(out)
}

fn list(values: &Value) -> String {
    let codes: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    codes.join(" ")
}
