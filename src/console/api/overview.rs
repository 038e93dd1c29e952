//! What is not of one case: search, statistics, health.

use axum::extract::{Query, State};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use super::Told;
use super::caller::Caller;
use super::problem::Problem;
use crate::console::Console;
use crate::console::page;
use crate::domain::account::Deed;
use crate::domain::report::Summary;
use crate::domain::token::Scope;
use crate::store::SearchState;
use crate::worker::health::Status;
use crate::worker::stats::{self, Stats};

/// The most cases a search gives.
const FOUND: usize = 100;
/// Statistics read all events: one at a time.
static COUNTING: Semaphore = Semaphore::const_new(1);

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Words {
    /// Words that all have to be there.
    q: String,
}

/// What a search found.
#[derive(Debug, Serialize, ToSchema)]
pub struct Found {
    cases: Vec<Summary>,
    /// Whether there are more than are given.
    more: bool,
    /// Whether the index knows all cases; if not, some may be missing until it does.
    complete: bool,
}

/// Cases with all these words
#[utoipa::path(
    get, path = "/search", tag = "cases", params(Words), security(("token" = ["read"])),
    responses((status = 200, body = Found), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn search(
    State(console): State<Console>,
    caller: Caller,
    Query(Words { q }): Query<Words>,
) -> Result<Told<Found>, Problem> {
    caller.may(Scope::Read)?;
    let found = console.answer(move |office| {
        caller.trace(office, Deed::Searched, None, None)?;
        let complete = office.store.search_state()? == SearchState::default();
        let found = office.store.search(&q, FOUND)?;
        Ok(Found { cases: found.cases.iter().map(Summary::of).collect(), more: found.more, complete })
    });
    found.await.map(Told)
}

/// Which cases count.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Counted {
    /// Only cases opened on this day or later.
    #[param(value_type = Option<String>, format = Date)]
    since: Option<Date>,
    /// Only cases opened on this day or before.
    #[param(value_type = Option<String>, format = Date)]
    until: Option<Date>,
    /// How many leading characters of an item code are its batch; 6 if nothing is said.
    batch: Option<usize>,
}

/// What the books tell: returns by product, symptom, batch and week, how long they took, what people had to do
#[utoipa::path(
    get, path = "/stats", tag = "overview", params(Counted), security(("token" = ["read"])),
    responses((status = 200, body = Stats), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn stats(
    State(console): State<Console>,
    caller: Caller,
    Query(Counted { since, until, batch }): Query<Counted>,
) -> Result<Told<Stats>, Problem> {
    caller.may(Scope::Read)?;
    if since.zip(until).is_some_and(|(since, until)| since > until) {
        return Err(Problem::bad_request("since is after until"));
    }
    let wanted = stats::Wanted { since, until, batch: batch.unwrap_or(6) };
    let alone = COUNTING.acquire().await.map_err(|e| page::Problem::Broken(e.to_string()))?;
    let told = console.answer(move |office| {
        // Held by what counts: whoever asks may be gone before.
        let _alone = alone;
        Ok(stats::gather(&office.store, &wanted, Timestamp::now())?)
    });
    told.await.map(Told)
}

/// How the daemon is
#[utoipa::path(
    get, path = "/health", tag = "overview", security(("token" = ["read"])),
    responses((status = 200, body = Status), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn health(State(console): State<Console>, caller: Caller) -> Result<Told<Status>, Problem> {
    caller.may(Scope::Read)?;
    console.answer(|office| Ok(office.health.status(Some(&office.store.counts()?)))).await.map(Told)
}
