//! Who asks: the token that each request shows, what it may do, and how much of it.

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jiff::{SignedDuration, Timestamp};

use super::problem::Problem;
use crate::console::{Console, tokens};
use crate::domain::account::{Deed, Trace};
use crate::domain::ids::CaseId;
use crate::domain::token::{Scope, Token};
use crate::worker::Office;

/// The use of a token is noted once in so long.
const NOTED: SignedDuration = SignedDuration::from_mins(15);

/// A program that showed a token which holds.
#[derive(Debug, Clone)]
pub struct Caller(Token);

impl Caller {
    /// The name in histories and in the audit trail.
    pub fn name(&self) -> String {
        self.0.actor()
    }

    /// That the token may do this.
    pub fn may(&self, scope: Scope) -> Result<(), Problem> {
        if self.0.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("The token {} does not have the scope {scope}.", self.0.name);
        Err(Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", detail))
    }

    /// Adds to the audit trail; an entry that can't be written is a problem.
    pub fn trace(
        &self,
        office: &Office,
        what: Deed,
        case: Option<&CaseId>,
        detail: Option<String>,
    ) -> Result<(), Problem> {
        let who = Some(self.name());
        Ok(office.store.trace(&Trace { at: Timestamp::now(), who, what, case: case.cloned(), detail })?)
    }
}

impl FromRequestParts<Console> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Problem> {
        let shown = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown =
            shown.and_then(|value| value.split_once(' ')).filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"));
        let Some((_, token)) = shown else {
            return Err(Problem::unauthorized("Show a token: Authorization: Bearer asd_…"));
        };
        let digest = tokens::digest(token.trim());
        let token = console.answer(move |office| known(office, &digest, Timestamp::now())).await?;
        console.0.pace.take(&token.name).map_err(|wait| Problem::too_many(wait.as_secs().saturating_add(1)))?;
        Ok(Self(token))
    }
}

fn known(office: &Office, digest: &str, now: Timestamp) -> Result<Token, Problem> {
    let token = office.store.token(digest)?.filter(|token| !token.has_expired(now));
    let token = token.ok_or_else(|| Problem::unauthorized("The token is none of ours, was revoked or has expired."))?;
    if token.used_at.is_none_or(|at| now.duration_since(at) > NOTED) {
        office.store.token_used(digest, now)?;
    }
    Ok(token)
}
