//! The JSON of cases that outside tools rely on (contract sections 1 and 3): the same from the shell, by the API and in
//! webhooks.

use serde::Serialize;
use utoipa::ToSchema;

use super::case::Case;
use super::event::{CaseEvent, Event};
use super::facts::Facts;

/// What a case is, in short.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CaseHead)]
pub struct Head {
    /// The id of the case.
    #[schema(example = "AS-FTAJ5R4S")]
    pub case: String,
    /// The number of things that happened to it so far.
    pub version: u64,
    /// Where it stands: `new`, `awaiting_info`, `with_staff`, `rma_issued` …
    pub state: String,
    /// Whether a person has to look at it.
    pub waits_for_staff: bool,
    /// The customer's address.
    pub customer: String,
    pub order_number: Option<String>,
    pub sku: Option<String>,
    pub rma: Option<String>,
    /// Letters of the customer.
    pub letters: u32,
    /// Replies that were written, without those that were held back or dropped.
    pub replies: u32,
    pub request: Option<String>,
    /// Two-letter code of what the customer writes.
    pub language: Option<String>,
    /// Subject of the first letter.
    pub subject: String,
    #[schema(format = DateTime)]
    pub opened_at: String,
    #[schema(format = DateTime)]
    pub changed_at: String,
    /// What was decided last: `ask`, `issue_rma`, `staff`, `close`.
    pub decision: Option<String>,
    /// Why, by codes.
    pub reasons: Option<Vec<String>>,
}

/// One object of `cases list --json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CaseSummary)]
pub struct Summary {
    #[serde(flatten)]
    pub head: Head,
    /// How many letters are held back.
    pub drafts: usize,
}

/// What is known of a case, and what is missing.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CaseKnown)]
pub struct Known {
    pub customer_name: Option<String>,
    pub facts: FactsTold,
    /// The items that still have to be asked for.
    pub missing: Vec<String>,
    /// Of the RMA: `doa`, `unopened_refund`, `repair`.
    pub track: Option<String>,
    /// The last day on which the parcel may be posted.
    #[schema(format = Date)]
    pub valid_until: Option<String>,
}

/// A case without the words of its letters: what a webhook says.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CaseNews)]
pub struct News {
    #[serde(flatten)]
    pub summary: Summary,
    #[serde(flatten)]
    pub known: Known,
}

/// The object of `cases show --json`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Case)]
pub struct Whole {
    #[serde(flatten)]
    pub head: Head,
    #[serde(flatten)]
    pub known: Known,
    /// The letters that are held back, as they were written.
    pub drafts: Vec<DraftTold>,
    /// Each fact with the words or the picture it was read from.
    #[schema(value_type = Object)]
    pub evidence: Facts,
    /// What happened, oldest first: `event` says what, `at` when, `by` who (`daemon`, `customer` or `{"staff": name}`).
    #[schema(value_type = Vec<Object>)]
    pub events: Vec<CaseEvent>,
}

/// A letter that is held back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Draft)]
pub struct DraftTold {
    pub number: u32,
    pub kind: String,
    #[schema(format = DateTime)]
    pub since: String,
    /// When it goes out by itself; null: when a person says so.
    #[schema(format = DateTime)]
    pub until: Option<String>,
    pub subject: String,
    pub text: String,
}

/// The facts of a case.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Facts)]
pub struct FactsTold {
    pub order_number: Option<String>,
    pub sku: Option<String>,
    /// The code on the outer packaging.
    pub item_code: Option<String>,
    /// The day on which the customer got the item.
    #[schema(format = Date)]
    pub received_on: Option<String>,
    pub problem: Problem,
    /// Whether it is said what was tried.
    pub steps_taken: bool,
    /// Usable photos.
    pub photos: usize,
    pub photos_unusable: usize,
    pub videos: usize,
    pub links: usize,
    pub packaging_shown: bool,
    pub unopened: Option<bool>,
    pub void_signals: Vec<String>,
    /// Whether a danger is reported.
    pub safety: bool,
}

/// What is said of the problem.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[schema(as = ProblemFacts)]
pub struct Problem {
    pub what: bool,
    pub when: bool,
    pub how: bool,
}

impl Summary {
    pub fn of(case: &Case) -> Self {
        Self { head: Head::of(case), drafts: case.drafts.len() }
    }
}

impl News {
    pub fn of(case: &Case) -> Self {
        Self { summary: Summary::of(case), known: Known::of(case) }
    }
}

impl Whole {
    pub fn of(case: &Case, events: &[CaseEvent]) -> Self {
        Self {
            head: Head::of(case),
            known: Known::of(case),
            drafts: drafts(case, events),
            evidence: case.facts.clone(),
            events: events.to_vec(),
        }
    }
}

impl Head {
    fn of(case: &Case) -> Self {
        let decision = case.decision.as_ref();
        Self {
            case: case.id.to_string(),
            version: case.version,
            state: case.state.code(),
            waits_for_staff: case.attention.is_some(),
            customer: case.customer.address.to_string(),
            order_number: case.facts.order_number.as_ref().map(|fact| fact.value.to_string()),
            sku: case.facts.sku.as_ref().map(|fact| fact.value.to_string()),
            rma: case.rma.as_ref().map(|rma| rma.number.to_string()),
            letters: case.letters,
            replies: case.replies_out(),
            request: case.request.map(|request| request.code()),
            language: case.language.clone(),
            subject: case.subject.clone(),
            opened_at: case.opened_at.to_string(),
            changed_at: case.changed_at.to_string(),
            decision: decision.map(|decision| decision.action.code()),
            reasons: decision.map(|decision| decision.reasons.iter().map(|reason| reason.code()).collect()),
        }
    }
}

impl Known {
    fn of(case: &Case) -> Self {
        let missing = case.decision.iter().flat_map(|decision| decision.checklist.missing());
        Self {
            customer_name: case.customer.name.clone(),
            facts: FactsTold::of(&case.facts, &case.facts),
            missing: missing.map(|item| item.code()).collect(),
            track: case.rma.as_ref().map(|rma| rma.track.code()),
            valid_until: case.rma.as_ref().map(|rma| rma.valid_until.to_string()),
        }
    }
}

impl FactsTold {
    /// The facts of a case after a letter; pictures, videos and links are the letter's own.
    pub fn of(case: &Facts, own: &Facts) -> Self {
        let usable = own.usable_photos();
        Self {
            order_number: case.order_number.as_ref().map(|fact| fact.value.to_string()),
            sku: case.sku.as_ref().map(|fact| fact.value.to_string()),
            item_code: case.item_code.as_ref().map(|fact| fact.value.to_string()),
            received_on: case.received_on.as_ref().map(|fact| fact.value.to_string()),
            problem: Problem {
                what: case.problem_what.is_some(),
                when: case.problem_when.is_some(),
                how: case.problem_how.is_some(),
            },
            steps_taken: case.steps_taken.is_some(),
            photos: usable,
            photos_unusable: own.photos.len().saturating_sub(usable),
            videos: own.videos.len(),
            links: own.links.len(),
            packaging_shown: case.packaging_shown.is_some(),
            unopened: case.unopened.as_ref().map(|fact| fact.value),
            void_signals: case.void_signals.iter().map(|fact| fact.value.code()).collect(),
            safety: case.safety.is_some(),
        }
    }
}

/// The letters that the case holds back, as they were written.
fn drafts(case: &Case, events: &[CaseEvent]) -> Vec<DraftTold> {
    let held = |event: &CaseEvent| match &event.event {
        Event::DraftWritten { number, kind, message_id, subject, text, until } => {
            case.drafts.iter().any(|draft| draft.message_id == *message_id).then(|| DraftTold {
                number: *number,
                kind: kind.folder().to_owned(),
                since: event.at.to_string(),
                until: until.map(|until| until.to_string()),
                subject: subject.clone(),
                text: text.clone(),
            })
        }
        _ => None,
    };
    events.iter().filter_map(held).collect()
}
