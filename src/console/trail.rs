//! The audit trail for leads and admins: who saw or did what.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::door::Session;
use super::page::{Frame, Problem, shown};
use super::{Console, trace};
use crate::domain::account::{Deed, Role, Trace};

/// Entries on a page.
const SHOWN: usize = 300;

/// Whose, and of which case.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Wanted {
    case: String,
    user: String,
}

#[derive(Template)]
#[template(path = "console/trail.html")]
struct TrailPage {
    frame: Frame,
    wanted: Wanted,
    traces: Vec<Trace>,
}

/// The latest entries. Who signed in, and who failed to, is for admins.
pub async fn trail(
    State(console): State<Console>,
    session: Session,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Problem> {
    if session.role < Role::Lead {
        return Err(Problem::Forbidden);
    }
    let page = console
        .ask(move |office| {
            trace(office, &session, Deed::SawTrail, None, None)?;
            let is = |wanted: &str, found: Option<&str>| {
                wanted.trim().is_empty() || found.is_some_and(|found| found.eq_ignore_ascii_case(wanted.trim()))
            };
            let is_shown = |trace: &Trace| {
                (session.role == Role::Admin || trace.what.is_of_cases())
                    && is(&wanted.case, trace.case.as_ref().map(|case| case.as_str()))
                    && is(&wanted.user, trace.who.as_deref())
            };
            let mut traces = Vec::new();
            for entry in office.store.trail() {
                let entry = entry?;
                if is_shown(&entry) {
                    traces.push(entry);
                }
                if traces.len() == SHOWN {
                    break;
                }
            }
            Ok(TrailPage { frame: Frame::new(office, &session, "trail")?, wanted, traces })
        })
        .await?;
    Ok(shown(&page))
}
