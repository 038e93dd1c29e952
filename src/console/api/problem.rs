//! Why there is no answer, as problem details (RFC 9457).

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::page;
use crate::store::StoreError;
use crate::worker::turn::Undone;

const JSON: &str = "application/problem+json";
/// The longest that others say of what went wrong.
const SAID: usize = 2 << 10;

/// A problem detail (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is: `urn:aftersalesd:changed` …
    #[serde(rename = "type", serialize_with = "urn")]
    #[schema(value_type = String)]
    kind: &'static str,
    title: &'static str,
    status: u16,
    /// What is wrong here, for people.
    detail: String,
    /// The version of the case as it is now, where it has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    /// What happened to the case meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    changed: Option<Box<Value>>,
    #[serde(skip)]
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind,
            title: status.canonical_reason().unwrap_or("Problem"),
            status: status.as_u16(),
            detail: detail.into(),
            version: None,
            changed: None,
            header: None,
        }
    }

    /// Something in the request makes no sense.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// No token, or one that opens nothing.
    pub fn unauthorized(detail: &str) -> Self {
        let header = (WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        Self { header: Some(Box::new(header)), ..Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail) }
    }

    /// So many seconds have to pass.
    pub fn too_many(seconds: u64) -> Self {
        let detail = format!("This token asks too much at once: try again in {seconds} s.");
        let header = (RETRY_AFTER, HeaderValue::from(seconds));
        Self { header: Some(Box::new(header)), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail) }
    }

    /// The case is no longer as it was seen.
    pub fn changed(detail: String, version: Option<u64>, changed: Value) -> Self {
        let problem = Self::new(StatusCode::PRECONDITION_FAILED, "changed", detail);
        Self { version, changed: Some(Box::new(changed)), ..problem }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn urn<S: Serializer>(kind: &&'static str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:aftersalesd:{kind}"))
}

impl From<page::Problem> for Problem {
    fn from(problem: page::Problem) -> Self {
        match problem {
            page::Problem::NotFound(why) => Self::not_found(why),
            page::Problem::Forbidden | page::Problem::Forged => {
                Self::new(StatusCode::FORBIDDEN, "forbidden", "That is not for this token.")
            }
            page::Problem::Bad(why) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "impossible", why),
            page::Problem::Closed => {
                let why = "The store is closed until its disk is well; nothing is lost.";
                let header = (RETRY_AFTER, HeaderValue::from_static("30"));
                Self { header: Some(Box::new(header)), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "closed", why) }
            }
            page::Problem::Broken(why) => {
                tracing::error!(%why, "the API can't answer");
                let why = "Something failed on our side; the log says what.";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", why)
            }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        page::Problem::from(e).into()
    }
}

impl From<Undone> for Problem {
    fn from(undone: Undone) -> Self {
        page::Problem::from(undone).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let text = serde_json::to_string(&self).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, JSON)], text).into_response();
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The middleware: what the layers below say of a request becomes a problem as well.
pub async fn dress(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    let is_ours = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == JSON);
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = to_bytes(body, SAID).await.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    let kind = match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::METHOD_NOT_ALLOWED => "method_not_allowed",
        StatusCode::PAYLOAD_TOO_LARGE => "too_large",
        StatusCode::GATEWAY_TIMEOUT => "timeout",
        _ => "bad_request",
    };
    let detail = said.ok().filter(|said| !said.is_empty());
    let detail = detail.unwrap_or_else(|| status.canonical_reason().unwrap_or_default().to_owned());
    let problem = Problem::new(status, kind, detail);
    let text = serde_json::to_string(&problem).unwrap_or_default();
    // `Allow` and the like stay.
    parts.headers.remove(axum::http::header::CONTENT_LENGTH);
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    Response::from_parts(parts, Body::from(text))
}
