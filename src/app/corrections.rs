//! What staff put right, as evaluation cases: the letters as they came, and what should have been read from them.
//!
//! A folder of `cases/ID.json` and `mail/ID/NN.eml`, in the form that an evaluation reads: `expect` names the fields of
//! `triage --json`. A case counts whose mail is still kept; what was erased is left out.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::people::{bytes, new_folder, write_new};
use super::query::{Query, Question, consult};
use super::{Failure, load_offline};
use crate::domain::correction::Correction;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::{CaseId, LetterId};
use crate::store::Store;

/// Tells each corrected case: its mails, a line each, then what is expected of them.
pub fn told(store: &Store, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    for history in store.histories() {
        let Some(mut learned) = Learned::from(&history?) else { continue };
        let mut kept = true;
        for (at, mail) in learned.mails.iter().enumerate() {
            let Some(raw) = store.raw(&mail.letter)? else {
                kept = false;
                break;
            };
            let raw: String = raw.iter().map(|byte| char::from(*byte)).collect();
            tell(json!({"case": learned.case, "number": at + 1, "mail": raw}))?;
        }
        if kept {
            let mails: Vec<Value> = learned.mails.drain(..).map(|mail| json!({"expect": mail.expect})).collect();
            let probes = format!("corrected by staff: {}", learned.facts.join(", "));
            tell(json!({"case": learned.case, "expected": {
                "id": learned.case, "probes": probes, "orders": false, "mails": mails, "corrections": learned.corrections,
            }}))?;
        }
    }
    Ok(())
}

/// `corrections`: writes them into a new or empty folder.
pub fn export(config: &Path, folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load_offline(config)?;
    new_folder(folder)?;
    let (cases, mail) = (folder.join("cases"), folder.join("mail"));
    new_folder(&cases)?;
    new_folder(&mail)?;
    let mut count = 0;
    consult(&config, &Query::Ask(Question::Corrections), &mut |line| {
        let told: Value = serde_json::from_slice(line)?;
        let id = told.get("case").and_then(Value::as_str).and_then(|id| CaseId::new(id).ok());
        let id = id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "an answer without a case"))?;
        if let (Some(number), Some(raw)) = (told.get("number"), told.get("mail").and_then(Value::as_str)) {
            let letters = mail.join(id.as_str());
            DirBuilder::new().mode(0o700).recursive(true).create(&letters)?;
            let number = number.as_u64().unwrap_or_default();
            return write_new(&letters.join(format!("{number:02}.eml")), &bytes(raw)?);
        }
        count += 1;
        let expected = told.get("expected").unwrap_or(&Value::Null);
        write_new(&cases.join(format!("{id}.json")), serde_json::to_string_pretty(expected)?.as_bytes())
    })?;
    writeln!(out, "{}: {count} cases that staff corrected", folder.display())?;
    Ok(())
}

/// A case that staff corrected.
struct Learned {
    case: CaseId,
    mails: Vec<Mail>,
    /// The names of what was put right.
    facts: Vec<&'static str>,
    corrections: Vec<Value>,
}

struct Mail {
    letter: LetterId,
    expect: Map<String, Value>,
}

impl Learned {
    /// `None`: nothing was put right, or not of a letter.
    fn from(history: &[CaseEvent]) -> Option<Self> {
        let Some(Event::Opened { case, .. }) = history.first().map(|first| &first.event) else { return None };
        let mut learned = Self { case: case.clone(), mails: Vec::new(), facts: Vec::new(), corrections: Vec::new() };
        for event in history {
            match &event.event {
                Event::LetterTaken { letter, .. } => {
                    learned.mails.push(Mail { letter: letter.clone(), expect: Map::new() });
                }
                Event::Corrected { correction } => {
                    let mail = learned.mails.last_mut()?;
                    if let Some((field, value)) = expected(correction) {
                        mail.expect.insert(field.to_owned(), value);
                    }
                    learned.corrections.push(json!({
                        "letter": mail.letter, "fact": correction.fact(), "value": correction.value(), "at": event.at,
                    }));
                    learned.facts.push(correction.fact());
                }
                Event::Erased => return None,
                _ => {}
            }
        }
        (!learned.facts.is_empty()).then_some(learned)
    }
}

/// The field of `triage --json` that shows the fact, and what should have stood there.
fn expected(correction: &Correction) -> Option<(&'static str, Value)> {
    Some(match correction {
        Correction::Request(request) => ("request", json!(request)),
        Correction::OrderNumber(number) => ("facts.order_number", json!(number)),
        Correction::Sku(sku) => ("facts.sku", json!(sku)),
        Correction::ItemCode(code) => ("facts.item_code", json!(code)),
        Correction::ReceivedOn(day) => ("facts.received_on", json!(day)),
        Correction::ProblemWhat(so) => ("facts.problem.what", json!(so)),
        Correction::ProblemWhen(so) => ("facts.problem.when", json!(so)),
        Correction::ProblemHow(so) => ("facts.problem.how", json!(so)),
        Correction::StepsTaken(so) => ("facts.steps_taken", json!(so)),
        Correction::PackagingPhoto(so) => ("facts.packaging_shown", json!(so)),
        Correction::Unopened(so) => ("facts.unopened", json!(so)),
        Correction::Void(signal) => ("facts.void_signals", json!(signal.iter().collect::<Vec<_>>())),
        Correction::Safety(so) => ("facts.safety", json!(so)),
        // Whether a picture is good enough, a doubt, a legal word: `triage` tells them in no field of their own.
        Correction::Photo(_) | Correction::Doubt(_) | Correction::Legal(_) => return None,
    })
}
