//! `cases explain`: why a case was decided as it was, in the names of the policy's clauses.

use std::io::{self, Write};

use serde_json::Value;

/// An object of `cases explain --json`, for people.
pub fn print(object: &Value, out: &mut dyn Write) -> io::Result<()> {
    let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
    writeln!(out, "{}  {}  {}", text(&object["case"]), text(&object["state"]), text(&object["request"]))?;
    for line in object["reckoning"].as_array().into_iter().flatten() {
        let sign = match line["holds"].as_bool() {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "·",
        };
        writeln!(out, "  {sign} {:<20} {}", text(&line["clause"]), text(&line["text"]))?;
    }
    writeln!(out, "{}: {}", text(&object["decision"]), text(&object["verdict"]))?;
    for reason in object["reasons"].as_array().into_iter().flatten() {
        writeln!(out, "  {:<20} {}", text(&reason["code"]), text(&reason["text"]))?;
    }
    let (terms, now) = (text(&object["terms"]), text(&object["terms_now"]));
    let changed = if terms == now { "" } else { "; others are in force now" };
    writeln!(out, "decided under terms {terms}{changed}")?;
    let next = |key: &str| object["next"].get(key).and_then(Value::as_str);
    if let (Some(timer), Some(at)) = (next("timer"), next("at")) {
        writeln!(out, "next: {timer} at {at}")?;
    }
    if let Some(since) = object["waits_for_staff_since"].as_str() {
        writeln!(out, "waits for a person since {since}")?;
    }
    if let Some(act) = object["proposed"].as_str() {
        writeln!(out, "proposed: {act}")?;
    }
    writeln!(out)
}
