//! The same for programs: what pages show and forms do, as JSON, by token.
//!
//! A session's cookie opens nothing here, so that no browser can be led to act. Each handler says what it takes and
//! gives; the description at `openapi.json` is made of that.

mod acts;
mod caller;
mod cases;
mod letters;
mod overview;
mod pace;
mod problem;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use self::pace::Pace;

use self::problem::Problem;
use super::{Console, LARGEST_FORM, PATIENCE};
use crate::worker::Office;

/// Where it lies.
pub const ROOT: &str = "/api/v1";

/// The description as it is served.
static DESCRIPTION: OnceLock<String> = OnceLock::new();

#[derive(OpenApi)]
#[openapi(
    info(
        title = "aftersalesd",
        description = "Cases of after-sales mail: what is known of each, why it was decided as it was, and what staff do \
                       with it.\n\nEvery error is a problem detail (RFC 9457). An answer may get further fields."
    ),
    modifiers(&Tokens)
)]
struct Description;

/// `Authorization: Bearer asd_…`
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        openapi.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// All that programs can ask for, below [`ROOT`].
pub fn router() -> Router<Console> {
    let inner = OpenApiRouter::new()
        .routes(routes!(cases::list))
        .routes(routes!(cases::show))
        .routes(routes!(cases::explain))
        .routes(routes!(letters::list))
        .routes(routes!(letters::raw))
        .routes(routes!(letters::file))
        .routes(routes!(acts::act))
        .routes(routes!(acts::preview))
        .routes(routes!(overview::search))
        .routes(routes!(overview::stats))
        .routes(routes!(overview::health))
        .routes(routes!(description));
    let (router, described) = OpenApiRouter::with_openapi(Description::openapi()).nest(ROOT, inner).split_for_parts();
    DESCRIPTION.get_or_init(|| serde_json::to_string(&described).unwrap_or_default());
    router
        .route(ROOT, axum::routing::any(nowhere))
        .route("/api/{*rest}", axum::routing::any(nowhere))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE))
        .layer(RequestBodyLimitLayer::new(LARGEST_FORM))
        .layer(middleware::from_fn(problem::dress))
}

/// This description
#[utoipa::path(get, path = "/openapi.json", tag = "overview", security(()), responses((status = 200, body = Object)))]
async fn description() -> Response {
    ([(CONTENT_TYPE, "application/json")], DESCRIPTION.get().cloned().unwrap_or_default()).into_response()
}

async fn nowhere() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "There is nothing of this address; see /api/v1/openapi.json.")
}

impl Console {
    /// As [`Console::ask`], with problems of ours.
    async fn answer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Office>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.ask(move |office| Ok(work(office))).await?
    }
}

/// An answer as JSON.
struct Told<T>(T);

impl<T: Serialize> IntoResponse for Told<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(json) => ([(CONTENT_TYPE, "application/json")], json).into_response(),
            Err(e) => Problem::from(super::page::Problem::Broken(e.to_string())).into_response(),
        }
    }
}
