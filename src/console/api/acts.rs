//! What staff do, by programs: the words of `cases act` in fields, by the same door as from the shell and the pages.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::Told;
use super::caller::Caller;
use super::cases::etag;
use super::problem::Problem;
use crate::console::Console;
use crate::console::acts::Filled;
use crate::console::cases::{id, known};
use crate::domain::account::Deed;
use crate::domain::act::{self, Act};
use crate::domain::event::CaseEvent;
use crate::domain::ids::CaseId;
use crate::domain::report::Summary;
use crate::domain::token::Scope;
use crate::pipeline::resume::Cause;
use crate::store::Once;
use crate::worker::Office;
use crate::worker::turn::{self, Guard, Undone};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Said of an answer to something that was done before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
const LONGEST_KEY: usize = 255;

/// What is to be done: the words that `cases act` takes, in fields.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The first word: `approve`, `ask`, `answer`, `reject`, `arrived` … (`cases act --help` lists all).
    #[schema(example = "ask")]
    act: String,
    /// The plain words behind it: items to ask for, a track, a finding, a tracking number, a fact and its value …
    #[serde(default)]
    #[schema(example = json!(["photo", "sku"]))]
    words: Vec<String>,
    /// Of `approve`: the order number, if the case does not have the right one.
    order: Option<String>,
    /// Of `approve`: the product.
    sku: Option<String>,
    /// Of `refunded`: what was kept back, as `3.10 EUR`.
    deducted: Option<String>,
    /// Words to the customer, or to staff.
    text: Option<String>,
    /// Why, for the history.
    why: Option<String>,
}

impl Wish {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Problem> {
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().map(str::trim) != Some("application/json") {
            let why = "Send it as Content-Type: application/json.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", why));
        }
        let wish: Self = serde_json::from_slice(body).map_err(|e| Problem::bad_request(format!("the body: {e}")))?;
        // The word goes into the trail, which no erasure reaches: nothing else may stand beside it.
        let known = act::WORDS.map(|(word, _)| word);
        if !known.contains(&wish.act.as_str()) {
            let why = format!("act: expected one of {}; what stands behind it has fields of its own", known.join(", "));
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "impossible", why));
        }
        Ok(wish)
    }

    fn act(&self) -> Result<Act, Problem> {
        let words = self.words.iter().map(|word| ("word", word));
        let fields = [("order", &self.order), ("sku", &self.sku), ("deducted", &self.deducted), ("text", &self.text)];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let filled = words.chain(fields).map(|(name, value)| (name.to_owned(), value.clone()));
        let line = Filled(filled.collect()).line(&self.act);
        let wrong = |why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "impossible", why);
        Act::parse(&line).map_err(wrong)
    }

    fn why(&self) -> Option<&str> {
        self.why.as_deref().map(str::trim).filter(|why| !why.is_empty())
    }
}

/// Does something with a case
///
/// With `If-Match` it is done only if nothing has happened to the case since that version (412 says what has). With
/// `Idempotency-Key` it is done once, however often it is sent within two days.
#[utoipa::path(
    post, path = "/cases/{case}/acts", tag = "acts", request_body = Wish, security(("token" = ["act"])),
    params(
        ("case" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag of the case as it was seen"),
        ("Idempotency-Key" = Option<String>, Header, description = "any text of at most 255 characters"),
    ),
    responses(
        (status = 200, body = Summary, description = "the case as it is now"),
        (status = 412, body = Problem, content_type = "application/problem+json", description = "it has changed meanwhile"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn act(
    State(console): State<Console>,
    caller: Caller,
    Path(case): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.may(Scope::Act)?;
    let (id, wish) = (id(&case)?, Wish::read(&headers, &body)?);
    let now = Timestamp::now();
    let guard = Guard { seen: seen(&headers)?, once: once(&headers, &caller, &id, &body, now)? };
    let (case, is_replayed) = console.answer(move |office| done(office, &caller, &id, &wish, &guard, now)).await?;
    let mut response = ([(ETAG, etag(case.head.version))], Told(case)).into_response();
    if is_replayed {
        response.headers_mut().insert(REPLAYED, axum::http::HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// The case, and whether this was done before.
fn done(
    office: &Office,
    caller: &Caller,
    id: &CaseId,
    wish: &Wish,
    guard: &Guard,
    now: Timestamp,
) -> Result<(Summary, bool), Problem> {
    let (act, name) = (wish.act()?, caller.name());
    let cause = Cause::Staff { name: &name, act: &act, why: wish.why() };
    match turn::act_on(office, id, guard, cause, now) {
        Ok(case) => {
            caller.trace(office, Deed::Acted, Some(id), Some(wish.act.clone()))?;
            office.store.flush()?;
            Ok((Summary::of(&case), false))
        }
        Err(Undone::Before(done)) if guard.once.as_ref().is_some_and(|once| once.request == done.request) => {
            caller.trace(office, Deed::SawCase, Some(id), Some(wish.act.clone()))?;
            Ok((Summary::of(&known(office, id)?), true))
        }
        Err(Undone::Before(_)) => {
            let why = "Something else was asked for under this Idempotency-Key before.";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key_reused", why))
        }
        Err(Undone::Changed { case, since }) => {
            caller.trace(office, Deed::SawCase, Some(id), Some(wish.act.clone()))?;
            let version = office.store.case(id)?.map(|case| case.version);
            let changed = happened(&since, caller);
            Err(Problem::changed(format!("Case {case} has changed meanwhile; nothing was done."), version, changed))
        }
        Err(undone) => Err(undone.into()),
    }
}

/// Events as whoever asks may see them: without [`Scope::Read`] what happened, when and by whom, not what was said.
fn happened(events: &[CaseEvent], caller: &Caller) -> Value {
    if caller.may(Scope::Read).is_ok() {
        return serde_json::to_value(events).unwrap_or_default();
    }
    let bare = |event: &CaseEvent| json!({"event": event.event.name(), "at": event.at, "by": event.by});
    Value::Array(events.iter().map(bare).collect())
}

/// The version in `If-Match`.
fn seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(given) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = given.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).and_then(|text| text.parse().ok());
    version.map(Some).ok_or_else(|| Problem::bad_request("If-Match: expected the ETag of the case, as \"12\""))
}

/// The key under which it is done once.
fn once(
    headers: &HeaderMap,
    caller: &Caller,
    case: &CaseId,
    body: &[u8],
    at: Timestamp,
) -> Result<Option<Once>, Problem> {
    let Some(given) = headers.get(KEY) else { return Ok(None) };
    let key = given.to_str().unwrap_or_default();
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(Problem::bad_request(format!("Idempotency-Key: expected 1 to {LONGEST_KEY} plain characters")));
    }
    let key = digest(&[caller.name().as_bytes(), key.as_bytes()]);
    Ok(Some(Once { key, request: digest(&[case.as_str().as_bytes(), body]), at }))
}

fn digest(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an act would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct Preview {
    /// What would happen.
    #[schema(value_type = Vec<Object>)]
    events: Value,
    /// The letter that would go out. An RMA number in it is not the one that will be drawn.
    letter: Option<Outgoing>,
}

/// A letter to the customer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Outgoing {
    kind: String,
    to: String,
    subject: String,
    language: String,
    text: String,
    /// The names of the files that go with it.
    files: Vec<String>,
}

/// Shows what an act would do, and the letter as it would go out; nothing is done
#[utoipa::path(
    post, path = "/cases/{case}/preview", tag = "acts", request_body = Wish, security(("token" = ["act"])),
    params(("case" = String, Path)),
    responses(
        (status = 200, body = Preview, headers(("ETag" = String, description = "the version it was tried on"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn preview(
    State(console): State<Console>,
    caller: Caller,
    Path(case): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    caller.may(Scope::Act)?;
    let (id, wish) = (id(&case)?, Wish::read(&headers, &body)?);
    let (version, told) = console
        .answer(move |office| {
            caller.trace(office, Deed::SawCase, Some(&id), Some(wish.act.clone()))?;
            let (case, act, name) = (known(office, &id)?, wish.act()?, caller.name());
            let cause = Cause::Staff { name: &name, act: &act, why: wish.why() };
            let resumed = turn::preview(office, &case, cause, Timestamp::now())?;
            let letter = resumed.reply.map(|reply| Outgoing {
                kind: reply.kind.folder().to_owned(),
                to: reply.to.address.to_string(),
                subject: reply.subject,
                language: reply.language,
                text: reply.text,
                files: reply.files.into_iter().map(|file| file.name).collect(),
            });
            Ok((case.version, Preview { events: happened(&resumed.events, &caller), letter }))
        })
        .await?;
    Ok(([(ETAG, etag(version))], Told(told)).into_response())
}
