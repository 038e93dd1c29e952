//! A case on one page: what was written with each fact where it stands, what is known and missing, the reckoning, and
//! the next step with its letter as it would go out.

use askama::Template;
use axum::extract::{Path, Query, State as Shared};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::acts::{self, Offered};
use super::checklist::{self, Step};
use super::conversation::{self, Entry};
use super::door::Session;
use super::files::{self, Listed, of_case};
use super::page::{Frame, Problem, shown};
use super::queues::age;
use super::{Console, trace};
use crate::domain::account::Deed;
use crate::domain::act::Act;
use crate::domain::case::{Case, State};
use crate::domain::decision::{Action, Decision, Reason};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::CaseId;
use crate::domain::letter::Body;
use crate::domain::queue::{Queue, is_dangerous, window};
use crate::domain::reply::Reply;
use crate::domain::warranty::days_between;
use crate::pipeline::propose::proposal;
use crate::pipeline::reckon::{self, Line, reckon};
use crate::pipeline::resume::Cause;
use crate::pipeline::strip;
use crate::worker::{Office, turn};

/// What is said above the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Above {
    /// The act that was just done.
    done: String,
}

/// The step that stands out, and its letter.
struct Proposed {
    verb: String,
    line: String,
    reply: Option<Reply>,
}

#[derive(Template)]
#[template(path = "console/case.html")]
struct CasePage<'a> {
    frame: Frame,
    case: &'a Case,
    state: String,
    product: String,
    waits: Option<String>,
    danger: bool,
    window: Option<(String, i64)>,
    verdict: Option<String>,
    reasons: Vec<&'static str>,
    proposed: Option<Proposed>,
    offered: Vec<Offered>,
    can_correct: bool,
    steps: Vec<Step>,
    signs: Vec<checklist::Entry>,
    reckoning: Vec<Line>,
    entries: Vec<Entry<'a>>,
    done: &'a str,
    /// The next case that needs somebody.
    next: Option<CaseId>,
}

/// The page of a case.
pub async fn case(
    Shared(console): Shared<Console>,
    session: Session,
    Path(case): Path<String>,
    Query(above): Query<Above>,
) -> Result<Response, Problem> {
    let id = id(&case)?;
    let inner = console.0.clone();
    console
        .ask(move |office| {
            trace(office, &session, Deed::SawCase, Some(&id), None)?;
            let case = known(office, &id)?;
            let events = office.store.events(&id)?;
            let entries = conversation::of(&office.store, &inner.pictures, &events)?;
            let page = page(office, &session, &case, &events, entries, &above.done)?;
            Ok(shown(&page))
        })
        .await
}

fn page<'a>(
    office: &Office,
    session: &Session,
    case: &'a Case,
    events: &'a [CaseEvent],
    entries: Vec<Entry<'a>>,
    done: &'a str,
) -> Result<CasePage<'a>, Problem> {
    let now = Timestamp::now();
    let decision = case.decision.as_ref();
    let today = office.terms.deadlines.hours.day(now);
    let sku = case.facts.sku.as_ref().map(|fact| &fact.value);
    let product = sku.and_then(|sku| office.terms.catalogue.by_sku(sku));
    let next = office.store.queued(Queue::NeedsYou, None).take(2).filter_map(Result::ok).find(|q| q.case != case.id);
    let photo = first_photo(&entries);
    // Later something else was decided, by whoever led it on.
    let is_undecided = matches!(case.state, State::New | State::AwaitingInfo | State::WithStaff | State::SafetyHold);
    let offered = acts::offered(case, now);
    Ok(CasePage {
        frame: Frame::new(office, session, format!("{} {}", case.id, case.customer.address))?,
        state: case.state.code(),
        product: product.map(|product| product.name.clone()).unwrap_or_default(),
        waits: case.attention.map(|since| age(now.duration_since(since).as_secs())),
        danger: is_dangerous(case),
        window: window(case)
            .filter(|_| !case.state.is_final())
            .map(|ends| (ends.to_string(), days_between(today, ends))),
        verdict: decision.filter(|_| is_undecided).map(|decision| match case.state {
            // By whoever asked.
            State::AwaitingInfo => reckon::verdict(&Decision { action: Action::Ask, ..decision.clone() }),
            _ => reckon::verdict(decision),
        }),
        reasons: decision
            .filter(|_| is_undecided && case.state != State::AwaitingInfo)
            .iter()
            .flat_map(|d| &d.reasons)
            .map(|reason: &Reason| reckon::reason(*reason))
            .collect(),
        proposed: proposed(office, session, case, now)?,
        can_correct: offered.iter().any(|act| act.verb == "correct"),
        offered,
        steps: checklist::steps(case, photo.as_deref()),
        signs: checklist::signs(case),
        reckoning: reckon(case, events, &office.terms),
        entries,
        done,
        next: next.map(|queued| queued.case),
        case,
    })
}

/// The proposed step, tried on the case; one that can't be done is none.
fn proposed(office: &Office, session: &Session, case: &Case, now: Timestamp) -> Result<Option<Proposed>, Problem> {
    let Some(line) = proposal(case) else { return Ok(None) };
    let Ok(act) = Act::parse(&line) else { return Ok(None) };
    let cause = Cause::Staff { name: session.name.as_str(), act: &act, why: None };
    match turn::preview(office, case, cause, now) {
        Ok(resumed) => {
            let verb = line.split_whitespace().next().unwrap_or_default().to_owned();
            Ok(Some(Proposed { verb, line, reply: resumed.reply }))
        }
        Err(turn::Undone::Impossible(_)) => Ok(None),
        Err(undone) => Err(undone.into()),
    }
}

/// Where the first usable photo of the case is shown.
fn first_photo(entries: &[Entry<'_>]) -> Option<String> {
    entries.iter().find_map(|entry| match entry {
        Entry::Letter(letter) => {
            let usable = |shown: &&conversation::Shown| {
                shown.judgement.as_deref().is_some_and(|judgement| matches!(judgement, "usable" | "not_checked"))
            };
            letter.files.iter().find(usable).map(|shown| format!("#f-{}-{}", letter.short, shown.file.index))
        }
        _ => None,
    })
}

#[derive(Template)]
#[template(path = "console/letter.html")]
struct LetterPage {
    frame: Frame,
    case: CaseId,
    letter: String,
    subject: String,
    from: String,
    date: String,
    text: String,
    has_html: bool,
    files: Vec<Listed>,
}

/// One letter as it was written, whole.
pub async fn letter(
    Shared(console): Shared<Console>,
    session: Session,
    Path((case, letter)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (case, id) = files::ids(&case, &letter)?;
    let inner = console.0.clone();
    console
        .ask(move |office| {
            of_case(office, &case, &id)?;
            trace(office, &session, Deed::SawLetter, Some(&case), Some(id.to_string()))?;
            let letter = files::read(&office.store, &id)?;
            let letter = letter.ok_or_else(|| Problem::NotFound("The mail was erased.".to_owned()))?;
            let frame = Frame::new(office, &session, letter.subject.clone())?;
            Ok(shown(&LetterPage {
                case,
                letter: id.to_string(),
                from: letter.from.as_ref().map(|from| from.address.to_string()).unwrap_or_default(),
                date: letter.written.map(|written| frame.time(&written.at)).unwrap_or_default(),
                text: strip::text(&letter),
                has_html: letter.bodies.iter().any(|body| matches!(body, Body::Html(_))),
                files: files::listed(&office.store, &inner.pictures, &id)?,
                subject: letter.subject,
                frame,
            }))
        })
        .await
}

/// The id of a case as it stands in an address.
pub fn id(case: &str) -> Result<CaseId, Problem> {
    CaseId::new(case).map_err(|_| Problem::NotFound(format!("There is no case {case}.")))
}

pub fn known(office: &Office, id: &CaseId) -> Result<Case, Problem> {
    office.store.case(id)?.ok_or_else(|| Problem::NotFound(format!("There is no case {id}.")))
}
