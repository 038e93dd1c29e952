//! Why a case was decided as it was, in the names of the policy's clauses: the object of `cases explain --json`.

use serde::Serialize;
use utoipa::ToSchema;

use super::Terms;
use super::propose::proposal;
use super::reckon::{Line, reason, reckon, verdict};
use crate::domain::case::Case;
use crate::domain::decision::Reason;
use crate::domain::event::{CaseEvent, Timer};

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Explanation {
    pub case: String,
    pub state: String,
    pub request: Option<String>,
    pub decision: Option<String>,
    /// The decision in words.
    pub verdict: Option<String>,
    pub track: Option<String>,
    pub reasons: Option<Vec<Because>>,
    /// The version of the terms it was decided under.
    pub terms: Option<String>,
    /// The version that is in force now.
    pub terms_now: String,
    /// Clause by clause, in the order of a claim's life.
    pub reckoning: Vec<Line>,
    pub next: Option<Next>,
    /// The act that a person is likely to do next, as a line of words.
    pub proposed: Option<String>,
    #[schema(format = DateTime)]
    pub waits_for_staff_since: Option<String>,
}

/// A reason, as code and in words.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Because {
    pub code: String,
    pub text: &'static str,
}

/// What the clock does next, unless something happens before.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Next {
    #[schema(format = DateTime)]
    pub at: String,
    #[schema(value_type = String)]
    pub timer: Timer,
}

impl Explanation {
    pub fn of(case: &Case, events: &[CaseEvent], terms: &Terms) -> Self {
        let decision = case.decision.as_ref();
        let because = |code: &Reason| Because { code: code.code(), text: reason(*code) };
        Self {
            case: case.id.to_string(),
            state: case.state.code(),
            request: case.request.map(|request| request.code()),
            decision: decision.map(|decision| decision.action.code()),
            verdict: decision.map(verdict),
            track: decision.and_then(|decision| decision.checklist.track).map(|track| track.code()),
            reasons: decision.map(|decision| decision.reasons.iter().map(because).collect()),
            terms: decision.map(|decision| decision.terms.clone()),
            terms_now: terms.version.clone(),
            reckoning: reckon(case, events, terms),
            next: case.due.map(|due| Next { at: due.at.to_string(), timer: due.timer }),
            proposed: proposal(case),
            waits_for_staff_since: case.attention.map(|since| since.to_string()),
        }
    }
}
