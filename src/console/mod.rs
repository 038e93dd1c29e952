//! Floor 4: the desk, where staff see in a browser what is known of a case, why, and what to do next.
//!
//! Pages are made on the server and need no script; the one there is adds keys and live counts. `door` says who may
//! come in, `guard` what holds for every answer, `server` how browsers are served. Everything done to a case goes
//! through `worker::turn`, as from the shell.

mod acts;
mod api;
mod cases;
mod charts;
mod checklist;
mod conversation;
mod correct;
mod door;
mod files;
mod guard;
mod health;
mod live;
mod marks;
mod metrics;
mod page;
pub mod passwords;
mod queues;
mod server;
mod statics;
mod throttle;
pub mod tokens;
mod trail;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{get, post};
use jiff::Timestamp;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

pub use self::server::{Peer, bind, serve};

use self::api::Pace;
use self::charts::Counted;
use self::door::Session;
use self::files::Pictures;
use self::live::Presence;
use self::page::Problem;
use self::throttle::Throttle;
use crate::domain::account::{Deed, Trace};
use crate::domain::ids::CaseId;
use crate::worker::premises::Premises;
use crate::worker::{Office, on_thread};

/// The largest form: words to a customer.
const LARGEST_FORM: usize = 256 << 10;
/// An answer that takes longer is given up.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What the console is told about where it stands.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A proxy with TLS stands before it.
    pub behind_tls_proxy: bool,
    /// The store's folder, of whose disk the health page tells.
    pub store: PathBuf,
}

/// The console. Clones are handles of the same one.
#[derive(Clone)]
pub struct Console(Arc<Inner>);

struct Inner {
    premises: Arc<Premises>,
    settings: Settings,
    throttle: Throttle,
    presence: Presence,
    pictures: Pictures,
    counted: Counted,
    pace: Pace,
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Console {
    pub fn new(premises: Arc<Premises>, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            premises,
            settings,
            throttle: Throttle::default(),
            presence: Presence::default(),
            pictures: Pictures::default(),
            counted: Counted::default(),
            pace: Pace::default(),
        }))
    }

    /// All pages. What comes in has to have a [`Peer`] among its extensions, and what is served to be ended a `Stop`.
    pub fn router(&self) -> Router {
        let slow = Router::new().route("/live", get(live::live));
        let pages = Router::new()
            .route("/", get(queues::first))
            .route("/login", get(door::login).post(door::sign_in))
            .route("/logout", post(door::sign_out))
            .route("/queues/{queue}", get(queues::queue))
            .route("/search", get(queues::search))
            .route("/cases/{case}", get(cases::case))
            .route("/cases/{case}/act/{verb}", get(acts::form).post(acts::act))
            .route("/cases/{case}/letters/{letter}", get(cases::letter))
            .route("/cases/{case}/letters/{letter}/html", get(files::html))
            .route("/cases/{case}/letters/{letter}/files/{n}", get(files::file))
            .route("/cases/{case}/letters/{letter}/files/{n}/small", get(files::small))
            .route("/charts", get(charts::page))
            .route("/trail", get(trail::trail))
            .route("/health", get(health::page))
            .route("/healthz", get(health::alive))
            .route("/readyz", get(health::ready))
            .route("/metrics", get(metrics::metrics))
            .route("/static/{name}", get(statics::file))
            .fallback(page::nowhere)
            .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, PATIENCE));
        pages
            .merge(slow)
            .layer(RequestBodyLimitLayer::new(LARGEST_FORM))
            .merge(api::router())
            .layer(middleware::from_fn_with_state(self.clone(), guard::guard))
            .with_state(self.clone())
    }

    /// Does what blocks on a thread for it.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Arc<Office>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let Some(office) = self.0.premises.office() else { return Err(Problem::Closed) };
        let done = on_thread(move || work(&office)).await;
        done.unwrap_or_else(|e| Err(Problem::Broken(e.to_string())))
    }
}

/// Adds to the audit trail. It is kept for whoever asks later, so that an entry that can't be written is a problem.
fn trace(
    office: &Office,
    session: &Session,
    what: Deed,
    case: Option<&CaseId>,
    detail: Option<String>,
) -> Result<(), Problem> {
    let who = Some(session.name.to_string());
    Ok(office.store.trace(&Trace { at: Timestamp::now(), who, what, case: case.cloned(), detail })?)
}
