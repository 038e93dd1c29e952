//! A fact put right: each in a field of its own kind, and what the case becomes by it.

use super::page::Frame;
use crate::domain::case::Case;
use crate::domain::catalogue::Catalogue;
use crate::domain::correction::{Correction, FACTS};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::warranty::Status;
use crate::pipeline::propose::proposal;
use crate::pipeline::reckon;

/// A fact that can be put right.
#[derive(Debug, Clone)]
pub struct Fact {
    pub name: &'static str,
    /// The value as it stands, as people read it.
    pub stands: String,
    pub field: Field,
}

/// Where the value is filled in.
#[derive(Debug, Clone)]
pub enum Field {
    /// One of these.
    Choice(Vec<Choice>),
    Text(String),
    Day(String),
}

/// One of several values.
#[derive(Debug, Clone)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub is_chosen: bool,
}

/// What the decision on a case becomes.
#[derive(Debug, Clone)]
pub struct Becomes {
    pub before: Option<String>,
    pub verdict: String,
    pub reasons: Vec<&'static str>,
    /// The items that stand otherwise: which, how before, how then.
    pub items: Vec<(String, &'static str, &'static str)>,
    /// What would be proposed to do then.
    pub step: Option<String>,
}

/// All facts that can be put right, as they stand.
pub fn facts(case: &Case, catalogue: &Catalogue, frame: &Frame) -> Vec<Fact> {
    FACTS.iter().filter_map(|(name, _)| fact(name, "", case, catalogue, frame)).collect()
}

/// One of them, with `filled` in its field; `None`: there is no such fact.
pub fn fact(name: &str, filled: &str, case: &Case, catalogue: &Catalogue, frame: &Frame) -> Option<Fact> {
    let (name, _) = FACTS.iter().find(|(known, _)| *known == name)?;
    let standing = standing(name, case);
    let value = if filled.is_empty() { standing.as_str() } else { filled };
    let given = || if value == "none" { String::new() } else { value.to_owned() };
    let field = match *name {
        "order_number" | "item_code" => Field::Text(given()),
        "received_on" => Field::Day(given()),
        "sku" => Field::Choice(products(case, catalogue, value, frame)),
        _ => Field::Choice(coded(name, value, frame)),
    };
    let stands = match &field {
        Field::Choice(choices) => choices.iter().find(|choice| choice.value == standing).map(|c| c.label.clone()),
        Field::Text(_) | Field::Day(_) => (standing != "none").then(|| standing.clone()),
    };
    let stands = stands.unwrap_or_else(|| frame.word("set", "null"));
    Some(Fact { name, stands, field })
}

/// Whether something that was read is a fact that can be put right.
pub fn is_fact(name: &str) -> bool {
    FACTS.iter().any(|(known, _)| *known == name)
}

/// The other value of a fact that has two: whoever says that it is wrong says that.
pub fn opposite(name: &str, case: &Case) -> Option<&'static str> {
    let (_, values) = FACTS.iter().find(|(known, _)| *known == name)?;
    (*values == "yes | no").then(|| if standing(name, case) == "yes" { "no" } else { "yes" })
}

/// What events make of the decision, of a case that there is or of one that they open; `None`: nothing is decided by them.
pub fn becomes(case: Option<&Case>, events: &[CaseEvent]) -> Option<Becomes> {
    let is_decided = |event: &CaseEvent| matches!(event.event, Event::Decided { .. });
    events.iter().find(|event| is_decided(event))?;
    let after = events.iter().try_fold(case.cloned(), |case, event| Case::apply(case, event).map(Some)).ok()??;
    let decision = after.decision.as_ref()?;
    let before = case.and_then(|case| case.decision.as_ref());
    let was = |item| before.and_then(|d| d.checklist.items.iter().find(|(known, _)| *known == item)).map(|(_, s)| *s);
    let items = decision.checklist.items.iter();
    Some(Becomes {
        before: before.map(reckon::verdict),
        verdict: reckon::verdict(decision),
        reasons: decision.reasons.iter().map(|reason| reckon::reason(*reason)).collect(),
        items: items
            .filter(|(item, status)| was(*item) != Some(*status))
            .map(|(item, status)| (item.code(), was(*item).map_or("known", code), code(*status)))
            .collect(),
        step: proposal(&after).and_then(|line| line.split_whitespace().next().map(str::to_owned)),
    })
}

fn code(status: Status) -> &'static str {
    match status {
        Status::Given => "given",
        Status::Unclear => "unclear",
        Status::Missing => "missing",
    }
}

fn standing(name: &str, case: &Case) -> String {
    match (name, case.request) {
        // That of an earlier letter still counts.
        ("request", Some(request)) => Correction::Request(request).value(),
        _ => Correction::standing(name, &case.facts).unwrap_or_default(),
    }
}

/// The values of a fact that has few.
fn coded(name: &str, value: &str, frame: &Frame) -> Vec<Choice> {
    let values = FACTS.iter().find(|(known, _)| *known == name).map_or("", |(_, values)| *values);
    let choice = |code: &str| Choice {
        value: code.to_owned(),
        label: match code {
            "yes" => frame.word("set", "true"),
            "no" => frame.word("set", "false"),
            "none" => frame.word("set", "null"),
            code => frame.word(name, code),
        },
        is_chosen: code == value,
    };
    values.split(" | ").map(choice).collect()
}

/// The catalogue, what the customer may mean first.
fn products(case: &Case, catalogue: &Catalogue, value: &str, frame: &Frame) -> Vec<Choice> {
    let likely: Vec<&str> = case.facts.sku_candidates.iter().map(|fact| fact.value.as_str()).collect();
    let mut products: Vec<Choice> = catalogue
        .products
        .iter()
        .map(|product| Choice {
            value: product.sku.to_string(),
            label: format!("{} ({})", product.name, product.sku),
            is_chosen: product.sku.as_str() == value,
        })
        .collect();
    products.sort_by_key(|choice| !likely.contains(&choice.value.as_str()));
    let chosen = products.iter().any(|choice| choice.is_chosen);
    if !chosen && !value.is_empty() && value != "none" {
        // No longer sold.
        products.insert(0, Choice { value: value.to_owned(), label: value.to_owned(), is_chosen: true });
    }
    let none = Choice { value: "none".to_owned(), label: frame.word("set", "null"), is_chosen: value == "none" };
    products.insert(0, none);
    products
}
