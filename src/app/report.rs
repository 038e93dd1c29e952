//! The JSON that outside tools rely on (contract sections 1 and 3), but for that of cases: `domain/report.rs`.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::domain::case::Case;
use crate::domain::decision::{Action, Class, Decision};
use crate::domain::facts::{Facts, Request};
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::domain::reply::Reply;
use crate::domain::report::FactsTold;
use crate::pipeline::Reading;
use crate::store::{Notice, Quarantined, Seen};
use crate::worker::settle::Taken;

/// One line of `triage --json`. `file` is the path given.
pub fn triage(file: &str, taken: &Taken) -> Value {
    match taken {
        Taken::Answered { reading, outcome, case } => {
            let facts = case.as_deref().map(|c| c.facts.clone()).unwrap_or_default();
            let request = request(outcome.class, reading, case.as_deref());
            let decision = &outcome.decision;
            let case = case.as_deref().map(|c| c.id.as_str());
            line(file, reading, outcome.class, case, request, &facts, decision, outcome.reply.as_ref())
        }
        Taken::Again { reading, seen } => {
            let case = seen.case.as_ref().map(|c| c.as_str());
            bare(file, Some(reading), seen.class, case, "ignore", "duplicate_letter")
        }
        Taken::Quarantined { reading, .. } => {
            let class = reading.as_deref().map_or(Class::Customer, |r| r.class);
            bare(file, reading.as_deref(), class, None, "staff", "quarantine")
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the fields of one flat record")]
fn line(
    file: &str,
    reading: &Reading,
    class: Class,
    case: Option<&str>,
    request: Option<Request>,
    facts: &Facts,
    decision: &Decision,
    reply: Option<&Reply>,
) -> Value {
    let missing: Vec<String> = decision.checklist.missing().iter().map(|i| i.code()).collect();
    let reasons: Vec<String> = decision.reasons.iter().map(|r| r.code()).collect();
    json!({
        "file": file,
        "message_id": reading.letter.message_id.as_ref().map(|m| m.as_str()),
        "class": class.code(),
        "language": reading.language,
        "case": case,
        "request": request.map(|r| r.code()),
        "facts": FactsTold::of(facts, &reading.facts),
        "missing": missing,
        "decision": decision.action.code(),
        "track": decision.track.filter(|_| decision.action == Action::IssueRma).map(|t| t.code()),
        "reasons": reasons,
        "reply": reply.map(|r| json!({
            "to": r.to.address.as_str(), "subject": r.subject, "language": r.language, "text": r.text,
        })),
    })
}

/// The line of a letter that no case took: what it alone says.
fn bare(
    file: &str,
    reading: Option<&Reading>,
    class: Class,
    case: Option<&str>,
    decision: &str,
    reason: &str,
) -> Value {
    let own = reading.map(|r| r.facts.clone()).unwrap_or_default();
    let request = own.request.as_ref().map_or(Request::Other, |f| f.value);
    json!({
        "file": file,
        "message_id": reading.and_then(|r| r.letter.message_id.as_ref()).map(|m| m.as_str()),
        "class": class.code(),
        "language": reading.and_then(|r| r.language.clone()),
        "case": case,
        "request": (class == Class::Customer).then(|| request.code()),
        "facts": FactsTold::of(&own, &own),
        "missing": [],
        "decision": decision,
        "track": null,
        "reasons": [reason],
        "reply": null,
    })
}

/// What the case is about, unless this letter closes it; `other` if nobody knows.
fn request(class: Class, reading: &Reading, case: Option<&Case>) -> Option<Request> {
    if class != Class::Customer {
        return None;
    }
    let closing = reading.facts.request.as_ref().is_some_and(|f| f.value == Request::Closing);
    let of_case = case.and_then(|c| c.request).unwrap_or(Request::Other);
    Some(if closing { Request::Closing } else { of_case })
}

/// One object of `cases drafts --json`.
pub fn draft(reply: &Reply, case: Option<&Case>) -> Value {
    let held = case.and_then(|case| case.drafts.iter().find(|draft| draft.message_id == reply.message_id));
    json!({
        "case": reply.case.as_str(),
        "number": reply.number,
        "kind": reply.kind.folder(),
        "since": reply.written.to_string(),
        "until": held.and_then(|draft| draft.until).map(|until| until.to_string()),
        "to": reply.to.address.as_str(),
        "subject": reply.subject,
        "language": reply.language,
        "text": reply.text,
        "files": reply.files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
    })
}

/// One object of `cases notices --json`.
pub fn notice(notice: &Notice) -> Value {
    json!({
        "notice": notice.kind.code(),
        "about": notice.about,
        "what": notice.what,
        "first": notice.first.to_string(),
        "last": notice.last.to_string(),
        "told": notice.told.to_string(),
        "times": notice.times,
    })
}

/// One object of `cases letters --json`; `letter` is read from the top of the mail, unless it was erased.
pub fn letter(seen: &Seen, letter: Option<&Letter>) -> Value {
    let case = seen.case.as_ref().map(|case| case.as_str());
    listed(Some(&seen.letter), seen.class.code(), case, seen.at, letter)
}

/// The object of a letter that could not be handled, among those of `cases letters --json`.
pub fn unhandled(entry: &Quarantined, letter: Option<&Letter>) -> Value {
    listed(entry.letter.as_ref(), "quarantine".to_owned(), None, entry.at, letter)
}

fn listed(id: Option<&LetterId>, class: String, case: Option<&str>, at: Timestamp, letter: Option<&Letter>) -> Value {
    json!({
        "letter": id.map(|id| id.as_str()),
        "class": class,
        "case": case,
        "at": at.to_string(),
        "from": letter.and_then(|letter| letter.from.as_ref()).map(|person| person.address.as_str()),
        "subject": letter.map(|letter| letter.subject.as_str()),
        "message_id": letter.and_then(|letter| letter.message_id.as_ref()).map(|id| id.as_str()),
    })
}

/// One object of `cases quarantine --json`.
pub fn quarantined(entry: &Quarantined) -> Value {
    json!({
        "letter": entry.letter.as_ref().map(|l| l.as_str()),
        "folder": entry.position.as_ref().map(|p| p.folder.as_str()),
        "uid": entry.position.as_ref().filter(|p| p.name.is_empty()).map(|p| p.uid),
        "file": entry.position.as_ref().filter(|p| !p.name.is_empty()).map(|p| p.name.as_str()),
        "why": entry.why,
        "at": entry.at.to_string(),
        "from": entry.from,
        "subject": entry.subject,
        "message_id": entry.message_id.as_ref().map(|m| m.as_str()),
    })
}
