//! Cases: the queues, one case, and why it was decided as it was.

use axum::extract::{Path, Query, State};
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::Told;
use super::caller::Caller;
use super::problem::Problem;
use crate::console::Console;
use crate::console::cases::{id, known};
use crate::console::queues::Picked;
use crate::domain::account::Deed;
use crate::domain::ids::CaseId;
use crate::domain::queue::Queue;
use crate::domain::report::{Summary, Whole};
use crate::domain::token::Scope;
use crate::pipeline::explain::Explanation;
use crate::worker::Office;

/// Cases on a page: as long as nothing else is said, and at most.
const PAGE: usize = 50;
const LONGEST_PAGE: usize = 200;

/// Which cases are wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Only of this queue: `needs_you`, `awaiting_customer`, `rma_out`, `arrived`, `closed`.
    queue: Option<String>,
    /// Only of this SKU.
    product: Option<String>,
    /// Only of customers who write this language, as a two-letter code.
    language: Option<String>,
    /// Only of this track: `doa`, `unopened_refund`, `repair`.
    track: Option<String>,
    /// Only with this reason.
    reason: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// Cases on a page, at most 200; 50 if nothing is said.
    limit: Option<usize>,
}

/// Some cases, and where the next ones begin.
#[derive(Debug, Serialize, ToSchema)]
pub struct CasePage {
    cases: Vec<Summary>,
    /// The cursor of the next page; null: there is none.
    next: Option<String>,
}

/// Cases in the order in which they are worked, queue by queue
#[utoipa::path(
    get, path = "/cases", tag = "cases", params(Wanted), security(("token" = ["read"])),
    responses((status = 200, body = CasePage), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
    Query(wanted): Query<Wanted>,
) -> Result<Told<CasePage>, Problem> {
    caller.may(Scope::Read)?;
    console.answer(move |office| page(office, &caller, wanted)).await.map(Told)
}

fn page(office: &Office, caller: &Caller, wanted: Wanted) -> Result<CasePage, Problem> {
    let limit = wanted.limit.unwrap_or(PAGE);
    if !(1..=LONGEST_PAGE).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: expected 1 to {LONGEST_PAGE}, found {limit}")));
    }
    let queue = wanted.queue.as_deref().map(of_code).transpose()?;
    let behind = wanted.cursor.as_deref().map(Behind::read).transpose()?;
    let picked = Picked {
        product: wanted.product.unwrap_or_default(),
        language: wanted.language.unwrap_or_default(),
        track: wanted.track.unwrap_or_default(),
        reason: wanted.reason.unwrap_or_default(),
        ..Picked::default()
    };
    caller.trace(office, Deed::SawQueue, None, Some(queue.map_or("all", Queue::code).to_owned()))?;
    let from = behind.as_ref().map_or(Queue::NeedsYou, |behind| behind.queue);
    let mut page = CasePage { cases: Vec::new(), next: None };
    let mut last: Option<Behind> = None;
    for of in Queue::ALL.into_iter().filter(|of| *of >= from && queue.is_none_or(|queue| queue == *of)) {
        let after =
            behind.as_ref().filter(|behind| behind.queue == of).map(|behind| (behind.rank.as_str(), &behind.case));
        for queued in office.store.queued(of, after) {
            let queued = queued?;
            if !picked.takes(&queued.traits) {
                continue;
            }
            if page.cases.len() == limit {
                page.next = last.map(|last| last.cursor());
                return Ok(page);
            }
            page.cases.extend(office.store.case(&queued.case)?.map(|case| Summary::of(&case)));
            last = Some(Behind { queue: of, rank: queued.rank, case: queued.case });
        }
    }
    Ok(page)
}

fn of_code(code: &str) -> Result<Queue, Problem> {
    let codes = || Queue::ALL.map(Queue::code).join(", ");
    Queue::from_code(code).ok_or_else(|| Problem::bad_request(format!("queue: there is no {code}, but {}", codes())))
}

/// The case that a page ended with.
struct Behind {
    queue: Queue,
    rank: String,
    case: CaseId,
}

impl Behind {
    fn cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}\0{}\0{}", self.queue.code(), self.rank, self.case))
    }

    fn read(cursor: &str) -> Result<Self, Problem> {
        let text = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let words: Vec<&str> = text.as_deref().unwrap_or_default().split('\0').collect();
        let read = || match words.as_slice() {
            [queue, rank, case] => {
                Some(Self { queue: Queue::from_code(queue)?, rank: (*rank).to_owned(), case: CaseId::new(case).ok()? })
            }
            _ => None,
        };
        read().ok_or_else(|| Problem::bad_request("cursor: it is none that a page gave as next"))
    }
}

/// A case: what is known, with its evidence, what is missing, what happened
#[utoipa::path(
    get, path = "/cases/{case}", tag = "cases", params(("case" = String, Path)), security(("token" = ["read"])),
    responses(
        (status = 200, body = Whole, headers(("ETag" = String, description = "the version, for If-Match"))),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn show(
    State(console): State<Console>,
    caller: Caller,
    Path(case): Path<String>,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let id = id(&case)?;
    let told = console.answer(move |office| {
        caller.trace(office, Deed::SawCase, Some(&id), None)?;
        let case = known(office, &id)?;
        Ok(Whole::of(&case, &office.store.events(&id)?))
    });
    let told = told.await?;
    Ok(([(ETAG, etag(told.head.version))], Told(told)).into_response())
}

/// A version as it stands in `ETag` and `If-Match`.
pub fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Why a case was decided as it was, by the clauses of the policy
#[utoipa::path(
    get, path = "/cases/{case}/explanation", tag = "cases", params(("case" = String, Path)),
    security(("token" = ["read"])),
    responses((status = 200, body = Explanation), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn explain(
    State(console): State<Console>,
    caller: Caller,
    Path(case): Path<String>,
) -> Result<Told<Explanation>, Problem> {
    caller.may(Scope::Read)?;
    let id = id(&case)?;
    let told = console.answer(move |office| {
        caller.trace(office, Deed::SawCase, Some(&id), Some("explanation".to_owned()))?;
        let case = known(office, &id)?;
        Ok(Explanation::of(&case, &office.store.events(&id)?, &office.terms))
    });
    told.await.map(Told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written_and_nothing_else_is_one() {
        let case = CaseId::new("AS-FTAJ5R4S").unwrap();
        let behind = Behind { queue: Queue::RmaOut, rank: "2026-01-01 000".to_owned(), case };
        let read = Behind::read(&behind.cursor()).ok().unwrap();
        assert_eq!((read.queue, read.rank, read.case), (behind.queue, behind.rank, behind.case));
        for wrong in ["", "x", "%%%", &URL_SAFE_NO_PAD.encode("closed\0"), &URL_SAFE_NO_PAD.encode("a\0b\0AS-FTAJ5R4S")]
        {
            assert!(Behind::read(wrong).is_err(), "{wrong}");
        }
    }
}
