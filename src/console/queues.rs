//! The queues: lists of cases in the order in which they are worked, picked by product, language, track and reason.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::door::Session;
use super::page::{Frame, Problem, shown};
use super::{Console, trace};
use crate::domain::account::Deed;
use crate::domain::case::Case;
use crate::domain::decision::Reason;
use crate::domain::ids::CaseId;
use crate::domain::queue::{Queue, Traits, is_dangerous, window};
use crate::domain::warranty::days_between;
use crate::pipeline::reckon;
use crate::store::SearchState;
use crate::worker::Office;

/// Cases on a page.
const PAGE: usize = 50;
/// Cases whose traits are looked at for what there is to pick.
const SAMPLED: usize = 2000;
/// The most cases a search shows.
const FOUND: usize = 50;

/// What is picked; the same as in the address, so that links can be passed on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Picked {
    pub product: String,
    pub language: String,
    pub track: String,
    pub reason: String,
    /// Where the page begins: behind this rank and case.
    pub rank: String,
    pub behind: String,
}

impl Picked {
    /// Whether a case with these traits is picked.
    pub fn takes(&self, traits: &Traits) -> bool {
        let is = |wanted: &str, found: Option<&str>| wanted.is_empty() || found == Some(wanted);
        let track = traits.track.map(|track| track.code());
        is(&self.product, traits.sku.as_ref().map(|sku| sku.as_str()))
            && is(&self.language, traits.language.as_deref())
            && is(&self.track, track.as_deref())
            && (self.reason.is_empty() || traits.reasons.iter().any(|reason| reason.code() == self.reason))
    }

    fn picks(&self) -> bool {
        [&self.product, &self.language, &self.track, &self.reason].iter().any(|wanted| !wanted.is_empty())
    }
}

/// Something to pick by, with all that there is to pick.
struct Choice {
    name: &'static str,
    wanted: String,
    /// Value and what stands for it.
    there: Vec<(String, String)>,
}

/// A case in a list.
struct Row {
    case: Case,
    product: String,
    reasons: Vec<&'static str>,
    since: String,
    /// Since when, as people say it.
    age: String,
    /// The last day of the window and the days that are left.
    window: Option<(String, i64)>,
    danger: bool,
}

#[derive(Template)]
#[template(path = "console/queue.html")]
struct QueuePage {
    frame: Frame,
    /// `search` for what was found.
    queue: &'static str,
    rows: Vec<Row>,
    choices: Vec<Choice>,
    picks: bool,
    /// The address of the next page.
    more: Option<String>,
    is_first: bool,
    /// Of a search.
    search: Option<Searched>,
}

/// How a search went.
struct Searched {
    more: bool,
    state: SearchState,
}

/// The first page: what needs somebody.
pub async fn first(_session: Session) -> Redirect {
    Redirect::to("/queues/needs_you")
}

/// A queue.
pub async fn queue(
    State(console): State<Console>,
    session: Session,
    Path(code): Path<String>,
    Query(picked): Query<Picked>,
) -> Result<Response, Problem> {
    let queue = Queue::from_code(&code).ok_or_else(|| Problem::NotFound(format!("There is no queue {code}.")))?;
    let page = console.ask(move |office| page(office, &session, queue, &picked)).await?;
    Ok(shown(&page))
}

fn page(office: &Office, session: &Session, queue: Queue, picked: &Picked) -> Result<QueuePage, Problem> {
    trace(office, session, Deed::SawQueue, None, Some(queue.code().to_owned()))?;
    let behind = CaseId::new(&picked.behind).ok();
    let after = behind.as_ref().map(|case| (picked.rank.as_str(), case));
    let (mut rows, mut last, mut more) = (Vec::new(), None, None);
    for queued in office.store.queued(queue, after) {
        let queued = queued?;
        if !picked.takes(&queued.traits) {
            continue;
        }
        if rows.len() == PAGE {
            more = last;
            break;
        }
        rows.extend(office.store.case(&queued.case)?.map(|case| row(office, case)));
        last = Some(queued);
    }
    let more = more.map(|last| {
        let next = Picked { rank: last.rank, behind: last.case.to_string(), ..picked.clone() };
        let pairs = [
            ("product", &next.product),
            ("language", &next.language),
            ("track", &next.track),
            ("reason", &next.reason),
            ("rank", &next.rank),
            ("behind", &next.behind),
        ];
        let pairs = pairs.iter().filter(|(_, value)| !value.is_empty());
        let pairs: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", super::door::encoded(value))).collect();
        format!("/queues/{}?{}", queue.code(), pairs.join("&"))
    });
    let mut frame = Frame::new(office, session, queue.code())?;
    frame.queues.iter_mut().for_each(|(code, _, is_shown)| *is_shown = *code == queue.code());
    Ok(QueuePage {
        frame,
        queue: queue.code(),
        rows,
        choices: choices(office, queue, picked)?,
        picks: picked.picks(),
        more,
        is_first: behind.is_none(),
        search: None,
    })
}

/// What there is to pick in a queue.
fn choices(office: &Office, queue: Queue, picked: &Picked) -> Result<Vec<Choice>, Problem> {
    let mut there = [const { BTreeSet::new() }; 4];
    for queued in office.store.queued(queue, None).take(SAMPLED) {
        let Traits { sku, language, track, reasons } = queued?.traits;
        let [products, languages, tracks, codes] = &mut there;
        products.extend(sku.map(|sku| sku.to_string()));
        languages.extend(language);
        tracks.extend(track.map(|track| track.code()));
        codes.extend(reasons.iter().map(Reason::code));
    }
    let wanted = [
        ("product", &picked.product),
        ("language", &picked.language),
        ("track", &picked.track),
        ("reason", &picked.reason),
    ];
    let choice = |((name, wanted), mut there): ((&'static str, &String), BTreeSet<String>)| {
        if !wanted.is_empty() {
            there.insert(wanted.clone());
        }
        let there = there.into_iter().map(|value| (value.clone(), value.replace('_', " "))).collect();
        Choice { name, wanted: wanted.clone(), there }
    };
    Ok(wanted.into_iter().zip(there).map(choice).filter(|choice| !choice.there.is_empty()).collect())
}

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
pub struct Words {
    #[serde(default)]
    q: String,
}

/// Cases with all these words; a single one is shown at once.
pub async fn search(
    State(console): State<Console>,
    session: Session,
    Query(Words { q }): Query<Words>,
) -> Result<Response, Problem> {
    console
        .ask(move |office| {
            trace(office, &session, Deed::Searched, None, None)?;
            let found = office.store.search(&q, FOUND)?;
            let state = office.store.search_state()?;
            if let ([only], None) = (found.cases.as_slice(), state.preparing) {
                return Ok(Redirect::to(&format!("/cases/{}", only.id)).into_response());
            }
            let rows = found.cases.into_iter().map(|case| row(office, case)).collect();
            let mut frame = Frame::new(office, &session, "search")?;
            frame.query = q;
            let (choices, picks, more, is_first) = (Vec::new(), false, None, true);
            let search = Some(Searched { more: found.more, state });
            Ok(shown(&QueuePage { frame, queue: "search", rows, choices, picks, more, is_first, search }))
        })
        .await
}

fn row(office: &Office, case: Case) -> Row {
    let now = Timestamp::now();
    let since = case.attention.unwrap_or(case.since);
    let today = office.terms.deadlines.hours.day(now);
    let sku = case.facts.sku.as_ref().map(|fact| &fact.value);
    let product = sku.and_then(|sku| office.terms.catalogue.by_sku(sku)).map(|product| product.name.clone());
    let reasons = case.decision.iter().flat_map(|decision| &decision.reasons);
    let is_open = !case.state.is_final();
    Row {
        product: product.or_else(|| sku.map(ToString::to_string)).unwrap_or_default(),
        reasons: reasons.filter(|_| is_open).map(|reason| reckon::reason(*reason)).collect(),
        since: since.to_string(),
        age: age(now.duration_since(since).as_secs()),
        window: window(&case)
            .filter(|_| is_open)
            .map(|ends| (ends.to_string(), days_between(today, ends)))
            .filter(|(_, left)| (-60..=60).contains(left)),
        danger: is_dangerous(&case),
        case,
    }
}

/// Minutes, hours or days.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s if s < 3600 => format!("{} min", s / 60),
        s if s < 48 * 3600 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86400),
    }
}
