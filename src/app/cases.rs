//! `cases`: staff work from the shell. Asks the daemon if one runs, else opens the store itself.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::query::{Query, Question, consult};
use super::triage::page::clean;
use super::{Failure, explain, load_offline};

/// The command: asks, prints.
pub fn run(config: &Path, query: &Query, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut count = 0;
    let mut staying = 0;
    let mut more = false;
    consult(&load_offline(config)?, query, &mut |line| {
        let object: Value = serde_json::from_slice(line)?;
        if object.get("more").is_some() {
            more = true;
            return Ok(());
        }
        count += 1;
        staying += usize::from(object.get("outcome").is_some_and(|outcome| outcome == "stays"));
        match as_json {
            true => out.write_all(line),
            false => print(query, &object, out),
        }
    })?;
    if more && !as_json {
        writeln!(out, "there are more: further words find fewer")?;
    }
    if count == 0 && !as_json {
        writeln!(out, "nothing found")?;
    }
    match staying {
        0 => Ok(()),
        1 => Err(Failure::Other("the letter stays in quarantine".to_owned())),
        _ => Err(Failure::Other(format!("{staying} letters stay in quarantine"))),
    }
}

fn print(query: &Query, object: &Value, out: &mut dyn Write) -> io::Result<()> {
    let text = |key: &str| match &object[key] {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    };
    match query {
        Query::Explain(_) => explain::print(object, out),
        Query::Ask(Question::List | Question::Search(_)) | Query::Act { .. } | Query::SendAll { .. } => writeln!(
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
        Query::Ask(Question::Quarantine) => writeln!(
            out,
            "{}  {}  {}  {}  {}\n    {}",
            name(object),
            text("at"),
            text("from"),
            text("subject"),
            text("message_id"),
            text("why")
        ),
        Query::Ask(Question::Notices) => {
            let (last, times) = (text("last"), text("times"));
            writeln!(out, "{last}  {}  {}  {times} times\n    {}", text("notice"), text("about"), text("what"))
        }
        Query::Ask(Question::Drafts) => {
            let (case, kind, to, since) = (text("case"), text("kind"), text("to"), text("since"));
            writeln!(out, "{case:<12} {kind:<16} {to:<32} {since}  {}", waits(&object["until"]))?;
            show_draft(object, out)
        }
        Query::Ask(Question::Letters { .. }) => {
            let case = text("case");
            let case = if object["case"].is_null() { "" } else { case.as_str() };
            let (id, at, class) = (name(object), text("at"), text("class"));
            writeln!(out, "{id}  {at}  {class:<10} {case:<12} {:<32} {}", text("from"), text("subject"))
        }
        Query::Retry(_) | Query::Ask(Question::Dismiss { .. }) => {
            let further = ["case", "decision", "why"].map(|key| &object[key]).into_iter().filter_map(Value::as_str);
            let further: Vec<&str> = further.collect();
            writeln!(out, "{}  {}  {}", name(object), text("outcome"), further.join("  "))
        }
        Query::Ask(Question::Erase { customer, .. }) => {
            let erased = &object["erased"];
            let (cases, mails, traces) = (&erased["cases"], &erased["mails"], &erased["traces"]);
            writeln!(out, "{customer}: {cases} cases, {mails} mails, {traces} other records erased")
        }
        _ if object["text"].is_string() => show_letter(object, out),
        _ => show(object, out),
    }
}

/// A letter as it was written. It must not steer the terminal it is read on.
fn show_letter(letter: &Value, out: &mut dyn Write) -> io::Result<()> {
    for key in ["letter", "class", "why", "case", "at", "from", "subject", "message_id"] {
        if let Some(text) = letter[key].as_str() {
            writeln!(out, "{key:<10} {}", clean(text))?;
        }
    }
    for file in letter["files"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writeln!(out, "{:<10} {}", "file", clean(file))?;
    }
    writeln!(out, "\n{}", clean(letter["text"].as_str().unwrap_or_default()))
}

/// What a draft waits for.
fn waits(until: &Value) -> String {
    until.as_str().map_or_else(|| "held".to_owned(), |until| format!("goes out at {until}"))
}

/// The words of a draft; they quote the customer's.
fn show_draft(draft: &Value, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "    {}", clean(draft["subject"].as_str().unwrap_or_default()))?;
    for line in draft["text"].as_str().unwrap_or_default().lines() {
        writeln!(out, "    | {}", clean(line))?;
    }
    Ok(())
}

/// What a letter in quarantine is called on the command line.
fn name(entry: &Value) -> &str {
    let letter = entry["letter"].as_str().and_then(|letter| letter.get(..12));
    letter.or(entry["file"].as_str()).unwrap_or("–")
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
    for draft in case["drafts"].as_array().into_iter().flatten() {
        writeln!(out, "draft      {} {}, {}", text(&draft["kind"]), text(&draft["since"]), waits(&draft["until"]))?;
        show_draft(draft, out)?;
    }
    writeln!(out, "events")?;
    for event in case["events"].as_array().into_iter().flatten() {
        let what = ["subject", "kind", "items", "why", "order_number", "text"]
            .iter()
            .map(|k| &event[*k])
            .find(|v| !v.is_null());
        writeln!(out, "    {}  {} {}", text(&event["at"]), text(&event["event"]), what.map_or(String::new(), text))?;
    }
    writeln!(out)
}

fn list(values: &Value) -> String {
    let codes: Vec<&str> = values.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    codes.join(" ")
}
