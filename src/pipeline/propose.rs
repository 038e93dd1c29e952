//! What staff are likely to do next with a case that waits for them: a line that [`Act::parse`] reads, for a person to
//! take or to leave.
//!
//! [`Act::parse`]: crate::domain::act::Act::parse

use crate::domain::case::{Case, State};
use crate::domain::decision::{Action, Reason};
use crate::domain::policy::Route;
use crate::domain::warranty::Item;

/// The line; `None` where nothing stands out.
pub fn proposal(case: &Case) -> Option<String> {
    let decision = case.decision.as_ref()?;
    if case.state != State::WithStaff || case.attention.is_none() {
        return None;
    }
    let is = |reason| decision.reasons.contains(&reason);
    let held = decision.held.as_ref();
    if is(Reason::Safety) {
        return None;
    }
    // The seller first: what the warranty says is then theirs to find out.
    if let Some(name) = held.filter(|held| held.route == Route::Seller).and_then(|held| held.channel.as_ref()) {
        return Some(format!("route {name}"));
    }
    if is(Reason::Void) || is(Reason::OutOfWarranty) {
        return Some("offer".to_owned());
    }
    match decision.action {
        // Decided anew after a correction, which sends nothing by itself.
        Action::Ask => {
            let codes: Vec<String> = decision.ask.iter().map(Item::code).collect();
            Some(format!("ask {}", codes.join(" ")))
        }
        Action::IssueRma => decision.track.map(|track| format!("approve {}", track.code())),
        _ => {
            let track = decision.checklist.track.filter(|_| is(Reason::Approval))?;
            Some(format!("approve {}", track.code()))
        }
    }
}
