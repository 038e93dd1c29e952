//! What a page is told while it is open: how many cases wait, who else looks at the same case, that it has changed.
//!
//! Server-sent events over a bounded channel; a browser that does not read is let go and comes back by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Extension, Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};

use super::Console;
use super::door::Session;
use super::page::Problem;
use crate::domain::ids::CaseId;
use crate::worker::{Office, Stop};

/// Events that a browser may be behind.
const BEHIND: usize = 8;
/// Counts are told at most once in so long.
const CALM: Duration = Duration::from_millis(400);
/// A session is looked at anew when the browser comes back.
const LONGEST: Duration = Duration::from_secs(30 * 60);

/// Who looks at which case, each as often as they have it open.
#[derive(Clone, Default)]
pub struct Presence(Arc<Crowd>);

#[derive(Default)]
struct Crowd {
    at: Mutex<BTreeMap<CaseId, Vec<String>>>,
    /// How often somebody came or left.
    times: watch::Sender<u64>,
}

impl Presence {
    /// Somebody looks at a case until the guard is dropped.
    fn enter(&self, case: CaseId, name: String) -> Present {
        self.change(|looking| looking.entry(case.clone()).or_default().push(name.clone()));
        Present { presence: self.clone(), case, name }
    }

    /// Who looks at it besides this person.
    fn others(&self, case: &CaseId, name: &str) -> String {
        let looking = self.0.at.lock().unwrap_or_else(PoisonError::into_inner);
        let mut others: Vec<&str> = looking.get(case).into_iter().flatten().map(String::as_str).collect();
        others.retain(|other| *other != name);
        others.sort_unstable();
        others.dedup();
        others.join(", ")
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<CaseId, Vec<String>>)) {
        change(&mut self.0.at.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.times.send_modify(|times| *times += 1);
    }
}

struct Present {
    presence: Presence,
    case: CaseId,
    name: String,
}

impl Drop for Present {
    fn drop(&mut self) {
        self.presence.change(|looking| {
            if let Some(names) = looking.get_mut(&self.case) {
                if let Some(at) = names.iter().position(|name| *name == self.name) {
                    names.remove(at);
                }
                if names.is_empty() {
                    looking.remove(&self.case);
                }
            }
        });
    }
}

/// What the page shows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Looking {
    case: String,
}

/// The stream of a page.
pub async fn live(
    State(console): State<Console>,
    session: Session,
    stop: Option<Extension<Stop>>,
    Query(Looking { case }): Query<Looking>,
) -> Result<Response, Problem> {
    let office = console.0.premises.office().ok_or(Problem::Closed)?;
    let (events, told) = mpsc::channel(BEHIND);
    let name = session.name.to_string();
    let present = CaseId::new(&case).ok().map(|case| console.0.presence.enter(case, name));
    let changes = office.store.follow();
    // The store must be free to close: the stream ends with it, and does not hold it.
    let office = Arc::downgrade(&office);
    tokio::spawn(async move {
        let telling = Telling { office, changes, present, presence: console.0.presence.clone(), events };
        let stopped = async {
            match stop {
                Some(Extension(mut stop)) => stop.wished().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Whoever is told for so long comes back, and shows the session anew.
            _ = tokio::time::timeout(LONGEST, telling.tell()) => {}
            // Nobody waits for an open page to be left.
            () = stopped => {}
        }
    });
    let told = stream::unfold(told, |mut told| async {
        told.recv().await.map(|event| (Ok::<_, std::convert::Infallible>(event), told))
    });
    Ok(Sse::new(told).keep_alive(KeepAlive::new().interval(Duration::from_secs(20))).into_response())
}

struct Telling {
    office: std::sync::Weak<Office>,
    changes: broadcast::Receiver<String>,
    present: Option<Present>,
    presence: Presence,
    events: mpsc::Sender<Event>,
}

impl Telling {
    /// Until the browser leaves or falls behind, or the store is closed.
    async fn tell(mut self) -> Option<()> {
        let mut seen = self.presence.0.times.subscribe();
        self.counts().await?;
        self.people()?;
        loop {
            tokio::select! {
                changed = self.changes.recv() => {
                    let mut is_this = self.is_this(&changed)?;
                    tokio::time::sleep(CALM).await;
                    while let Ok(further) = self.changes.try_recv() {
                        is_this |= self.is_this(&Ok(further))?;
                    }
                    self.counts().await?;
                    if is_this {
                        self.say("changed", "now")?;
                    }
                }
                looked = seen.changed() => {
                    looked.ok()?;
                    self.people()?;
                }
                () = self.events.closed() => return None,
            }
        }
    }

    /// Whether it is the case that is shown; one that was missed may be. `None`: the store is closed.
    fn is_this(&self, changed: &Result<String, RecvError>) -> Option<bool> {
        let shown = self.present.as_ref().map(|present| present.case.as_str());
        match changed {
            Ok(case) => Some(shown == Some(case)),
            Err(RecvError::Lagged(_)) => Some(shown.is_some()),
            Err(RecvError::Closed) => None,
        }
    }

    async fn counts(&self) -> Option<()> {
        let office = self.office.upgrade()?;
        let counts = tokio::task::spawn_blocking(move || office.store.queue_counts()).await.ok()?.ok()?;
        self.say("counts", &counts.map(|count| count.to_string()).join(" "))
    }

    fn people(&self) -> Option<()> {
        let Some(present) = &self.present else { return Some(()) };
        // Browsers pass over an event that says nothing, and that nobody else is here has to be said too.
        self.say("people", &format!("with {}", self.presence.others(&present.case, &present.name)))
    }

    /// `None`: nobody listens, or not fast enough.
    fn say(&self, what: &str, data: &str) -> Option<()> {
        self.events.try_send(Event::default().event(what).data(data)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::LetterId;

    #[test]
    fn people_see_each_other_as_long_as_they_look() {
        let presence = Presence::default();
        let case = CaseId::derive(&LetterId::from_digest(&[7; 32]), 0);
        let kim = presence.enter(case.clone(), "kim".into());
        let again = presence.enter(case.clone(), "kim".into());
        assert_eq!((presence.others(&case, "kim"), presence.others(&case, "lee")), (String::new(), "kim".to_owned()));
        drop(kim);
        assert_eq!(presence.others(&case, "lee"), "kim");
        drop(again);
        assert_eq!(presence.others(&case, "lee"), "");
    }
}
