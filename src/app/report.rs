//! The JSON that outside tools rely on (contract sections 1 and 3).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::domain::case::Case;
use crate::domain::decision::{Action, Class, Decision};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::{Facts, Request};
use crate::domain::ids::LetterId;
use crate::domain::letter::Letter;
use crate::domain::reply::Reply;
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
        "facts": facts_json(facts, &reading.facts),
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
        "facts": facts_json(&own, &own),
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

/// The facts of a case after a letter; pictures, videos and links are the letter's own.
fn facts_json(case: &Facts, own: &Facts) -> Value {
    let usable = own.usable_photos();
    json!({
        "order_number": case.order_number.as_ref().map(|f| f.value.as_str()),
        "sku": case.sku.as_ref().map(|f| f.value.as_str()),
        "item_code": case.item_code.as_ref().map(|f| f.value.as_str()),
        "received_on": case.received_on.as_ref().map(|f| f.value.to_string()),
        "problem": {
            "what": case.problem_what.is_some(), "when": case.problem_when.is_some(), "how": case.problem_how.is_some(),
        },
        "steps_taken": case.steps_taken.is_some(),
        "photos": usable,
        "photos_unusable": own.photos.len() - usable,
        "videos": own.videos.len(),
        "links": own.links.len(),
        "packaging_shown": case.packaging_shown.is_some(),
        "unopened": case.unopened.as_ref().map(|f| f.value),
        "void_signals": case.void_signals.iter().map(|f| f.value.code()).collect::<Vec<_>>(),
        "safety": case.safety.is_some(),
    })
}

/// One object of `cases list --json`.
pub fn summary(case: &Case) -> Value {
    json!({
        "case": case.id.as_str(),
        "state": case.state.code(),
        "waits_for_staff": case.attention.is_some(),
        "customer": case.customer.address.as_str(),
        "order_number": case.facts.order_number.as_ref().map(|f| f.value.as_str()),
        "sku": case.facts.sku.as_ref().map(|f| f.value.as_str()),
        "rma": case.rma.as_ref().map(|r| r.number.as_str()),
        "letters": case.letters,
        "replies": case.replies_out(),
        "drafts": case.drafts.len(),
        "request": case.request.map(|r| r.code()),
        "language": case.language,
        "subject": case.subject,
        "opened_at": case.opened_at.to_string(),
        "changed_at": case.changed_at.to_string(),
        "decision": case.decision.as_ref().map(|d| d.action.code()),
        "reasons": case.decision.as_ref().map(|d| d.reasons.iter().map(|r| r.code()).collect::<Vec<_>>()),
    })
}

/// The object of `cases show --json`: the summary with facts, evidence, what is missing and the events.
pub fn whole(case: &Case, events: &[CaseEvent]) -> Value {
    let mut object = match summary(case) {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    let missing: Vec<String> = case.decision.iter().flat_map(|d| d.checklist.missing()).map(|i| i.code()).collect();
    object.insert("customer_name".to_owned(), json!(case.customer.name));
    object.insert("facts".to_owned(), facts_json(&case.facts, &case.facts));
    object.insert("evidence".to_owned(), json!(case.facts));
    object.insert("missing".to_owned(), json!(missing));
    object.insert("track".to_owned(), json!(case.rma.as_ref().map(|r| r.track.code())));
    object.insert("valid_until".to_owned(), json!(case.rma.as_ref().map(|r| r.valid_until.to_string())));
    object.insert("drafts".to_owned(), json!(drafts(case, events)));
    object.insert("events".to_owned(), json!(events));
    Value::Object(object)
}

/// The letters that the case holds back, as they were written.
fn drafts(case: &Case, events: &[CaseEvent]) -> Vec<Value> {
    let held = |event: &CaseEvent| match &event.event {
        Event::DraftWritten { number, kind, message_id, subject, text, until } => {
            case.drafts.iter().any(|draft| draft.message_id == *message_id).then(|| {
                json!({
                    "number": number, "kind": kind.folder(), "since": event.at.to_string(),
                    "until": until.map(|until| until.to_string()), "subject": subject, "text": text,
                })
            })
        }
        _ => None,
    };
    events.iter().filter_map(held).collect()
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
