//! How the daemon is: a page for people, and whether it lives and works, without signing in and without a word about
//! anybody.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Console;
use super::door::Session;
use super::page::{Frame, Problem, shown};
use crate::store::{Delivered, Notice, Quarantined, Room, SearchState, room};
use crate::worker::health::Status;

/// Notices and quarantined letters that are shown.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "console/health.html")]
struct HealthPage {
    frame: Frame,
    status: Status,
    next_try: Option<Timestamp>,
    quarantined: Vec<Quarantined>,
    notices: Vec<Notice>,
    webhooks: Vec<(String, Delivered)>,
    disk: Option<Disk>,
    search: SearchState,
}

/// The disk that the store lies on.
struct Disk {
    free: String,
    percent: u64,
}

pub async fn page(State(console): State<Console>, session: Session) -> Result<Response, Problem> {
    let folder = console.0.settings.store.clone();
    let page = console
        .ask(move |office| {
            let store = &office.store;
            Ok(HealthPage {
                frame: Frame::new(office, &session, "health")?,
                status: office.health.status(Some(&store.counts()?)),
                next_try: store.outbox_next()?,
                search: store.search_state()?,
                quarantined: store.quarantined()?.into_iter().take(SHOWN).collect(),
                notices: store.notices()?.into_iter().take(SHOWN).collect(),
                webhooks: store.webhooks()?.into_iter().collect(),
                disk: room(&folder).ok().map(|Room { free, total, .. }| Disk {
                    free: format!("{:.1} GB", free as f64 / 1e9),
                    percent: free.saturating_mul(100).checked_div(total).unwrap_or(0),
                }),
            })
        })
        .await?;
    Ok(shown(&page))
}

/// The process lives.
pub async fn alive() -> &'static str {
    "ok\n"
}

/// Letters are taken in and the store answers.
pub async fn ready(State(console): State<Console>) -> Response {
    let runs = console.ask(|office| Ok(office.health.status(Some(&office.store.counts()?)).intake.runs)).await;
    match runs {
        Ok(true) => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready; see `aftersalesd status`\n").into_response(),
    }
}
