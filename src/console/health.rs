//! How the daemon is: a page for people, and what monitors ask, without signing in and without a word about anybody.

use std::fmt::Write;
use std::path::Path;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;

use super::Console;
use super::door::Session;
use super::page::{Frame, Problem, shown};
use super::server::Peer;
use crate::domain::queue::Queue;
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
                disk: space(&folder).map(|(free, total)| Disk {
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

/// Numbers for Prometheus (text format 0.0.4), on this machine only: not through a proxy either.
pub async fn metrics(
    State(console): State<Console>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !peer.ip().is_loopback() || headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded") {
        return Err(Problem::NotFound("There is no such page.".to_owned()));
    }
    let folder = console.0.settings.store.clone();
    let status = console.0.premises.status();
    let known = console.ask(|office| Ok((office.store.counts()?, office.store.queue_counts()?))).await;
    let mut text = String::new();
    let mut add = |name: &str, kind: &str, what: &str, values: &[(String, f64)]| {
        // A string takes all.
        let _ = writeln!(text, "# HELP aftersalesd_{name} {what}\n# TYPE aftersalesd_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "aftersalesd_{name}{labels} {value}");
        }
    };
    let one = |value: f64| [(String::new(), value)];
    let flag = |is: bool| if is { 1.0 } else { 0.0 };
    add("store_open", "gauge", "Whether the store is open.", &one(flag(known.is_ok())));
    add("intake_runs", "gauge", "Whether letters are taken in.", &one(flag(status.intake.runs)));
    let refused = status.reload.as_ref().is_some_and(|reload| reload.refused.is_some());
    let what = "Whether the configuration and the feeds were refused when they were read anew last.";
    add("reload_refused", "gauge", what, &one(flag(refused)));
    if let Ok((counts, queues)) = known {
        let letters: Vec<(String, f64)> =
            counts.letters.iter().map(|(class, n)| (format!("{{class=\"{class}\"}}"), *n as f64)).collect();
        add("letters_total", "counter", "Letters taken in.", &letters);
        add("cases_total", "counter", "Cases opened.", &one(counts.cases as f64));
        add("replies_total", "counter", "Replies written.", &one(counts.replies as f64));
        add("outbox", "gauge", "Replies that wait to be sent.", &one(counts.waiting as f64));
        add("quarantine", "gauge", "Letters that could not be handled.", &one(counts.quarantined as f64));
        let named = Queue::ALL.iter().zip(queues);
        let queues: Vec<(String, f64)> =
            named.map(|(queue, n)| (format!("{{queue=\"{}\"}}", queue.code()), n as f64)).collect();
        add("queue", "gauge", "Cases in a queue.", &queues);
    }
    let second = |at: Option<Timestamp>| at.map(|at| at.as_second() as f64).into_iter();
    for (name, what, at) in [
        ("last_letter_seconds", "When the last letter was taken in.", status.last_letter_at),
        ("mailbox_success_seconds", "When the mailbox answered last.", status.mailbox.last_success_at),
        ("delivery_success_seconds", "When the mail server took a reply last.", status.delivery.last_success_at),
    ] {
        for value in second(at) {
            add(name, "gauge", what, &one(value));
        }
    }
    if let Some(grant) = &status.grant {
        add("oauth2_grant_holds", "gauge", "Whether access tokens can be had.", &one(flag(grant.holds)));
        if let Some(days) = grant.days_left {
            add(
                "oauth2_grant_days_left",
                "gauge",
                "Days until the grant or its client secret ends.",
                &one(days as f64),
            );
        }
    }
    if let Some((free, _)) = space(&folder) {
        add("disk_free_bytes", "gauge", "Room on the disk of the store.", &one(free as f64));
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Bytes that are free, and all that there are.
fn space(folder: &Path) -> Option<(u64, u64)> {
    let told = rustix::fs::statvfs(folder).ok()?;
    Some((told.f_bavail.saturating_mul(told.f_frsize), told.f_blocks.saturating_mul(told.f_frsize)))
}
