//! What a person knows better than the program read: one fact of a case, put right.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::facts::{Evidence, Fact, Facts, Judgement, Request, Source, VoidSignal};
use super::ids::{ItemCode, Malformed, OrderNumber, Sku};

/// The rule that facts of staff are by.
const RULE: &str = "staff";

/// A fact as it is; `None` and `false`: the customer has not said it, or it is not so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fact", content = "value", rename_all = "snake_case")]
pub enum Correction {
    Request(Request),
    OrderNumber(Option<OrderNumber>),
    Sku(Option<Sku>),
    ItemCode(Option<ItemCode>),
    ReceivedOn(Option<Date>),
    ProblemWhat(bool),
    ProblemWhen(bool),
    ProblemHow(bool),
    StepsTaken(bool),
    /// What came shows the defect clearly, in pictures, a video or behind a link.
    Photo(bool),
    PackagingPhoto(bool),
    Unopened(Option<bool>),
    Void(Option<VoidSignal>),
    Safety(bool),
    Doubt(bool),
    Legal(bool),
}

/// The facts that can be put right, each with the values that it takes.
pub const FACTS: [(&str, &str); 16] = [
    (
        "request",
        "defect | return_unused | return_opened | shipping_reimbursement | spare_parts | order_issue | status | question | other",
    ),
    ("order_number", "NUMBER | none"),
    ("sku", "CODE | none"),
    ("item_code", "CODE | none"),
    ("received_on", "DAY, as 2026-12-24 | none"),
    ("problem_what", "yes | no"),
    ("problem_when", "yes | no"),
    ("problem_how", "yes | no"),
    ("steps_taken", "yes | no"),
    ("photo", "yes | no"),
    ("packaging_photo", "yes | no"),
    ("unopened", "yes | no | none"),
    ("void", "flashed | opened | modified | misuse | continued_use | none"),
    ("safety", "yes | no"),
    ("doubt", "yes | no"),
    ("legal", "yes | no"),
];

impl Correction {
    /// Reads `fact` and `value` as [`FACTS`] names them; an error says what was expected.
    pub fn parse(fact: &str, value: &str) -> Result<Self, String> {
        let fact = fact.to_ascii_lowercase().replace('-', "_");
        let Some((_, expected)) = FACTS.iter().find(|(name, _)| *name == fact) else {
            let known: Vec<&str> = FACTS.iter().map(|(name, _)| *name).collect();
            return Err(format!("{fact:?} is no fact that can be put right; there are: {}", known.join(" ")));
        };
        let value = value.trim();
        let wrong = |why: String| format!("expected for {fact}: {expected}; found {value:?}{why}");
        let malformed = |e: Malformed| wrong(format!(" ({e})"));
        let given = (!value.eq_ignore_ascii_case("none")).then_some(value);
        match fact.as_str() {
            "order_number" => return given.map(OrderNumber::new).transpose().map(Self::OrderNumber).map_err(malformed),
            "sku" => return given.map(Sku::new).transpose().map(Self::Sku).map_err(malformed),
            "item_code" => return given.map(ItemCode::new).transpose().map(Self::ItemCode).map_err(malformed),
            _ => {}
        }
        let read = match given.map(str::to_ascii_lowercase).as_deref() {
            Some("yes") => true.into(),
            Some("no") => false.into(),
            Some(coded) => coded.replace(' ', "_").into(),
            None => serde_json::Value::Null,
        };
        serde_json::from_value(serde_json::json!({ "fact": fact, "value": read })).map_err(|_| wrong(String::new()))
    }

    /// The fact's name, as [`FACTS`] has it.
    pub fn fact(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::OrderNumber(_) => "order_number",
            Self::Sku(_) => "sku",
            Self::ItemCode(_) => "item_code",
            Self::ReceivedOn(_) => "received_on",
            Self::ProblemWhat(_) => "problem_what",
            Self::ProblemWhen(_) => "problem_when",
            Self::ProblemHow(_) => "problem_how",
            Self::StepsTaken(_) => "steps_taken",
            Self::Photo(_) => "photo",
            Self::PackagingPhoto(_) => "packaging_photo",
            Self::Unopened(_) => "unopened",
            Self::Void(_) => "void",
            Self::Safety(_) => "safety",
            Self::Doubt(_) => "doubt",
            Self::Legal(_) => "legal",
        }
    }

    /// The value, as [`Self::parse`] takes it.
    pub fn value(&self) -> String {
        let value = serde_json::to_value(self).ok().and_then(|mut v| v.get_mut("value").map(serde_json::Value::take));
        match value {
            Some(serde_json::Value::Bool(so)) => if so { "yes" } else { "no" }.to_owned(),
            Some(serde_json::Value::String(text)) => text,
            _ => "none".to_owned(),
        }
    }

    /// The value of a fact as it stands, as [`Self::parse`] takes it; `None`: there is no such fact.
    pub fn standing(fact: &str, facts: &Facts) -> Option<String> {
        fn text<T: ToString>(fact: &Option<Fact<T>>) -> String {
            fact.as_ref().map_or_else(|| "none".to_owned(), |fact| fact.value.to_string())
        }
        let told = |evidence: &Option<Evidence>| if evidence.is_some() { "yes" } else { "no" }.to_owned();
        Some(match fact {
            "request" => facts.request.as_ref().map_or_else(String::new, |fact| Self::Request(fact.value).value()),
            "order_number" => text(&facts.order_number),
            "sku" => text(&facts.sku),
            "item_code" => text(&facts.item_code),
            "received_on" => text(&facts.received_on),
            "problem_what" => told(&facts.problem_what),
            "problem_when" => told(&facts.problem_when),
            "problem_how" => told(&facts.problem_how),
            "steps_taken" => told(&facts.steps_taken),
            "photo" => {
                let is_shown = facts.evidence_seen.is_some()
                    || facts.usable_photos() > 0
                    || !facts.videos.is_empty()
                    || !facts.links.is_empty();
                Self::Photo(is_shown).value()
            }
            "packaging_photo" => told(&facts.packaging_shown),
            "unopened" => Self::Unopened(facts.unopened.as_ref().map(|fact| fact.value)).value(),
            "void" => Self::Void(facts.void_signals.first().map(|signal| signal.value)).value(),
            "safety" => told(&facts.safety),
            "doubt" => told(&facts.doubt),
            "legal" => told(&facts.legal),
            _ => return None,
        })
    }

    /// Puts the fact right. A later letter's own words go before it, as they go before those of an earlier letter.
    pub fn apply(&self, facts: &mut Facts, by: &str) {
        let evidence = Evidence::new(None, Source::Staff, by, RULE);
        let told = |so: bool| so.then(|| evidence.clone());
        fn fact<T: Clone>(value: &Option<T>, evidence: &Evidence) -> Option<Fact<T>> {
            value.clone().map(|value| Fact { value, evidence: evidence.clone() })
        }
        match self {
            Self::Request(request) => facts.request = fact(&Some(*request), &evidence),
            Self::OrderNumber(number) => facts.order_number = fact(number, &evidence),
            Self::Sku(sku) => {
                facts.sku = fact(sku, &evidence);
                facts.sku_candidates.clear();
            }
            Self::ItemCode(code) => facts.item_code = fact(code, &evidence),
            Self::ReceivedOn(day) => facts.received_on = fact(day, &evidence),
            Self::ProblemWhat(so) => facts.problem_what = told(*so),
            Self::ProblemWhen(so) => facts.problem_when = told(*so),
            Self::ProblemHow(so) => facts.problem_how = told(*so),
            Self::StepsTaken(so) => facts.steps_taken = told(*so),
            Self::Photo(so) => {
                facts.evidence_seen = told(*so);
                if !so {
                    facts.photos.iter_mut().for_each(|photo| photo.judgement = Judgement::NotShown);
                    facts.videos.clear();
                    facts.links.clear();
                }
            }
            Self::PackagingPhoto(so) => facts.packaging_shown = told(*so),
            Self::Unopened(so) => facts.unopened = fact(so, &evidence),
            Self::Void(signal) => facts.void_signals = fact(signal, &evidence).into_iter().collect(),
            Self::Safety(so) => facts.safety = told(*so),
            Self::Doubt(so) => facts.doubt = told(*so),
            Self::Legal(so) => facts.legal = told(*so),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_is_read_as_it_is_written() {
        for (fact, values) in FACTS {
            for value in values.split(" | ") {
                let value = match value {
                    "NUMBER" => "KS10001",
                    "CODE" if fact == "item_code" => "4006381333931",
                    "CODE" => "RX-ROAM5-BK",
                    "DAY, as 2026-12-24" => "2026-12-24",
                    value => value,
                };
                let correction = Correction::parse(fact, value).unwrap_or_else(|e| panic!("{e}"));
                assert_eq!((correction.fact(), correction.value().as_str()), (fact, value));
                let mut facts = Facts::default();
                correction.apply(&mut facts, "kim");
                assert_eq!(Correction::standing(fact, &facts).as_deref(), Some(value), "{fact}");
                assert_eq!(
                    facts == Facts::default(),
                    matches!(value, "no" | "none") && fact != "unopened" || value == "none",
                    "{fact} {value}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_told() {
        for (fact, value, told) in [
            ("colour", "red", "there are: request order_number"),
            ("received_on", "yesterday", "2026-12-24"),
            ("photo", "none", "yes | no"),
            ("void", "dropped", "misuse"),
            ("order_number", "", "NUMBER | none"),
        ] {
            let error = Correction::parse(fact, value).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
