//! Charts of the last weeks. They are counted in the background, at most every few minutes, and the page says when.

mod draw;
mod tally;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use self::draw::{Chart, Shape, charts};
use self::tally::Numbers;
use super::Console;
use super::door::Session;
use super::page::{Frame, Problem, shown};

/// Numbers that are older are counted anew by the next view.
const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// A view waits so long for the first numbers.
const PATIENCE: Duration = Duration::from_secs(3);

/// The numbers last counted, for whoever looks.
#[derive(Default)]
pub struct Counted {
    state: Mutex<Counting>,
    /// How often counting has ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct Counting {
    known: Option<Arc<Numbers>>,
    is_going_on: bool,
}

#[derive(Template)]
#[template(path = "console/charts.html")]
struct ChartsPage {
    frame: Frame,
    /// `None`: they are being counted for the first time.
    counted_at: Option<Timestamp>,
    charts: Vec<Chart>,
}

/// The page. Nothing on it tells who a customer is.
pub async fn page(State(console): State<Console>, session: Session) -> Result<Response, Problem> {
    let mut ended = console.0.counted.ended.subscribe();
    count(&console)?;
    if console.0.counted.state().known.is_none() {
        // Without numbers after that the page says that they are being counted.
        let _ = tokio::time::timeout(PATIENCE, ended.changed()).await;
    }
    let (known, is_going_on) = {
        let state = console.0.counted.state();
        (state.known.clone(), state.is_going_on)
    };
    if known.is_none() && !is_going_on {
        return Err(Problem::Broken("the charts could not be counted".to_owned()));
    }
    let page = console
        .ask(move |office| {
            let frame = Frame::new(office, &session, "charts")?;
            let drawn = known.as_ref().map(|numbers| charts(numbers, &frame, &office.terms.catalogue));
            let counted_at = known.map(|numbers| numbers.counted_at);
            Ok(ChartsPage { frame, counted_at, charts: drawn.unwrap_or_default() })
        })
        .await?;
    Ok(shown(&page))
}

/// Begins to count unless that goes on, or the numbers are fresh.
fn count(console: &Console) -> Result<(), Problem> {
    let office = console.0.premises.office().ok_or(Problem::Closed)?;
    let now = Timestamp::now();
    {
        let mut state = console.0.counted.state();
        let is_fresh = |numbers: &Arc<Numbers>| now.duration_since(numbers.counted_at).abs() < FRESH;
        if state.is_going_on || state.known.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        state.is_going_on = true;
    }
    let console = Arc::downgrade(&console.0);
    tokio::spawn(async move {
        let still = Weak::clone(&console);
        let counting = tokio::task::spawn_blocking(move || {
            // Neither a store that is to be closed nor a daemon that ends waits for charts.
            let open = || still.upgrade().and_then(|console| console.premises.office());
            let is_wanted = || open().is_some_and(|open| Arc::ptr_eq(&open, &office));
            tally::count(&office.store, &office.terms.deadlines.hours, now, &is_wanted)
        });
        let counted = match counting.await {
            Ok(counted) => counted.map_err(|e| e.to_string()),
            Err(e) => Err(e.to_string()),
        };
        if let Some(console) = console.upgrade() {
            console.counted.end(counted);
        }
    });
    Ok(())
}

impl Counted {
    /// What counting came to.
    fn end(&self, counted: Result<Option<Numbers>, String>) {
        let mut state = self.state();
        state.is_going_on = false;
        match counted {
            Ok(Some(numbers)) => state.known = Some(Arc::new(numbers)),
            Ok(None) => {}
            Err(why) => tracing::error!(%why, "the charts can't be counted"),
        }
        drop(state);
        self.ended.send_modify(|times| *times += 1);
    }

    fn state(&self) -> MutexGuard<'_, Counting> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
