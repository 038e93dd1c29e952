//! How the daemon is: a page for people, and whether it lives and works, without signing in and without a word about
//! anybody.

use std::path::Path;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Console;
use super::door::Session;
use super::page::{Frame, Problem, shown};
use crate::store::{Delivered, Notice, Quarantined, SearchState};
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
                disk: space(&folder).map(|Space { free, total, .. }| Disk {
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
    let counted = console.ask(|office| Ok(office.store.counts()?)).await;
    let intake = console.0.premises.status().intake;
    match (counted, intake.runs) {
        (Ok(_), true) => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready; see `aftersalesd status`\n").into_response(),
    }
}

/// The room on a disk.
pub(super) struct Space {
    pub free: u64,
    pub total: u64,
    pub free_inodes: u64,
}

/// How much room there is where this folder is, in bytes.
pub(super) fn space(folder: &Path) -> Option<Space> {
    let told = rustix::fs::statvfs(folder).ok()?;
    Some(Space {
        free: told.f_bavail.saturating_mul(told.f_frsize),
        total: told.f_blocks.saturating_mul(told.f_frsize),
        free_inodes: told.f_favail,
    })
}
