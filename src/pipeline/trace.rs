//! Step 3: which case a letter belongs to.
//!
//! The letter yields look-up keys; the shell asks the store for the cases behind them; [`choose`] decides. A reference
//! or a number alone opens no case: the sender has to be the case's customer. A number that is somebody else's counts
//! as if there were no such number, so that nobody can find out which there are.

use regex::Regex;

use crate::domain::case::{Case, State};
use crate::domain::decision::Reason;
use crate::domain::facts::Facts;
use crate::domain::ids::{Address, CaseId, MessageId, OrderNumber, RmaNumber, Sku};
use crate::domain::letter::Letter;
use crate::pipeline::extract::problem::NAMED;
use crate::pipeline::strip::Words;

/// What a letter says about where it belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// `In-Reply-To` and `References` (RFC 5322 section 3.6.4), nearest first.
    pub references: Vec<MessageId>,
    /// Case numbers in the subject and the body, quotes included.
    pub cases: Vec<CaseId>,
    /// RMA numbers in the subject and the words written now.
    pub rmas: Vec<RmaNumber>,
    /// The order number, if the letter has one.
    pub order_number: Option<OrderNumber>,
}

/// The numbers of ours that a text can hold.
#[derive(Debug)]
pub struct Tracer {
    case: Regex,
    rma: Regex,
}

impl Tracer {
    pub fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            case: Regex::new(r"(?i)\bAS ?-? ?[2-9A-HJKMNP-Z]{8}\b")?,
            rma: Regex::new(r"(?i)\b[A-Z]{1,4}[ -]?\d{4}[ -]?[2-9A-HJKMNP-Z]{6}\b")?,
        })
    }

    /// The keys of a letter. Numbers are taken only if their check character holds.
    pub fn keys(&self, letter: &Letter, words: &Words, facts: &Facts) -> Keys {
        let mut references: Vec<MessageId> = letter.in_reply_to.clone();
        references.extend(letter.references.iter().rev().cloned());
        references.dedup();
        let mut cases = Vec::new();
        for text in [&letter.subject, &words.text, &words.quoted] {
            cases.extend(self.case.find_iter(text).filter_map(|m| CaseId::new(m.as_str()).ok()));
        }
        cases.dedup();
        let mut rmas = Vec::new();
        for text in [&letter.subject, &words.text] {
            rmas.extend(self.rma.find_iter(text).filter_map(|m| RmaNumber::new(m.as_str()).ok()));
        }
        let order_number = facts.order_number.as_ref().map(|f| f.value.clone());
        Keys { references, cases, rmas, order_number }
    }
}

/// Which case a letter belongs to.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    New,
    Known(Box<Case>),
    /// It answers a letter of a case, but somebody else wrote it: for staff, nothing is told to its writer.
    Stranger(Box<Case>),
}

impl Link {
    /// The case that there is.
    pub fn case(&self) -> Option<&Case> {
        match self {
            Self::New => None,
            Self::Known(case) | Self::Stranger(case) => Some(case),
        }
    }
}

/// Decides among the cases that the keys led to: `by_thread` by reference, or by a number of the sender's own case;
/// `by_order` the sender's own cases with the letter's order number.
pub fn choose(sender: &Address, facts: &Facts, by_thread: Option<Case>, by_order: Vec<Case>) -> Link {
    let named = facts.problem_what.as_ref().is_some_and(|e| e.rule == NAMED);
    let open = |case: &Case| case.state != State::Closed && !is_apart(case);
    if let Some(case) = by_thread {
        if case.customer.address != *sender {
            return Link::Stranger(Box::new(case));
        }
        if !is_another_claim(&case, facts, named) {
            return Link::Known(Box::new(case));
        }
    }
    let mut fitting =
        by_order.into_iter().filter(|c| open(c) && c.customer.address == *sender && !is_another_claim(c, facts, true));
    fitting.next().map_or(Link::New, |case| Link::Known(Box::new(case)))
}

/// Whether a case was opened by an answer to a letter of ours that there is not. Its writer is told nothing, as if there
/// were that letter, and somebody else had it.
pub fn is_apart(case: &Case) -> bool {
    let decided = case.decision.as_ref().is_some_and(|d| d.reasons.contains(&Reason::UnknownThread));
    decided && !case.acknowledged
}

/// Whether a letter tells of a second order, or of a second item of the order, rather than correcting the first: it
/// names another one and tells a problem of its own. In a thread, where a correction is likelier, the problem has to be
/// `plain`.
fn is_another_claim(case: &Case, facts: &Facts, plain: bool) -> bool {
    // The subject of an answer still tells the first problem.
    let told = plain && facts.problem_what.as_ref().is_some_and(|e| e.source.is_fresh());
    if !told && facts.unopened.is_none() {
        return false;
    }
    let fresh = |sku: &crate::domain::facts::Fact<Sku>| sku.evidence.source.is_fresh();
    let order = match (&case.facts.order_number, &facts.order_number) {
        (Some(known), Some(said)) => {
            said.evidence.source.is_fresh()
                && known.value != said.value
                && case.order_not_found.as_ref() != Some(&known.value)
        }
        _ => false,
    };
    let item = match (&case.facts.sku, &facts.sku) {
        (Some(known), Some(said)) => fresh(said) && known.value != said.value,
        _ => false,
    };
    order || item
}
