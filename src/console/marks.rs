//! Facts marked where they stand in a letter. A text is cut at the ends of all marks, so that marks may lie in each other
//! and across; each piece says which facts it is of.

use std::collections::BTreeSet;

use super::correct::is_fact;
use crate::domain::facts::{Evidence, Facts, Source};
use crate::domain::ids::LetterId;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// The names of the facts that stand there; empty: none.
    pub names: Vec<String>,
    /// Where a link to the fact leads, on the first piece of a mark.
    pub anchor: Option<String>,
    /// The entry of the checklist that the first fact is of.
    pub entry: String,
    /// The first fact's name, if it can be put right.
    pub fact: Option<&'static str>,
    pub rule: String,
}

/// Where a text stands in the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Text,
    Subject,
}

/// Where a fact is marked: the same for the link and for what it leads to.
pub fn anchor(letter: &LetterId, name: &str) -> String {
    format!("m-{}-{name}", short(letter))
}

/// Where the entry of a fact stands.
pub fn entry(name: &str) -> String {
    format!("i-{name}")
}

/// Enough of a letter's id to tell the letters of a case apart.
pub fn short(letter: &LetterId) -> String {
    letter.as_str().chars().take(12).collect()
}

/// A text of a letter in pieces.
pub fn pieces(text: &str, facts: &Facts, zone: Zone, letter: &LetterId) -> Vec<Piece> {
    let place = |evidence: &Evidence| match (evidence.source, zone) {
        (Source::Text { start, end }, Zone::Text) => Some((start, end)),
        (Source::Subject, Zone::Subject) => {
            text.find(&evidence.quote).map(|start| (start, start + evidence.quote.len()))
        }
        _ => None,
    };
    let mut marks: Vec<(usize, usize, &'static str, &Evidence)> = Vec::new();
    for (name, evidence) in named(facts) {
        // A mark outside the text, or in the middle of a character, is left out.
        if let Some((start, end)) = place(evidence).filter(|(start, end)| text.get(*start..*end).is_some())
            && start < end
        {
            marks.push((start, end, name, evidence));
        }
    }
    let mut cuts: BTreeSet<usize> = marks.iter().flat_map(|(start, end, ..)| [*start, *end]).collect();
    cuts.extend([0, text.len()]);
    let cuts: Vec<usize> = cuts.into_iter().collect();
    let mut pieces = Vec::new();
    for ends in cuts.windows(2) {
        let [from, to] = *ends else { continue };
        let here = marks.iter().filter(|(start, end, ..)| *start <= from && to <= *end);
        let begins = marks.iter().find(|(start, ..)| *start == from);
        let (mut names, mut rule, mut first) = (Vec::new(), String::new(), "");
        for (_, _, name, evidence) in here {
            if names.is_empty() {
                first = name;
                rule.clone_from(&evidence.rule);
            }
            names.push((*name).to_owned());
        }
        pieces.push(Piece {
            text: text.get(from..to).unwrap_or_default().to_owned(),
            names,
            anchor: begins.map(|(_, _, name, _)| anchor(letter, name)),
            entry: entry(first),
            fact: Some(first).filter(|first| is_fact(first)),
            rule,
        });
    }
    pieces
}

/// Everything that was read out of words, by the code of its item or of what it is a sign of.
pub fn named(facts: &Facts) -> Vec<(&'static str, &Evidence)> {
    let mut all: Vec<(&'static str, &Evidence)> = Vec::new();
    let mut add = |name, evidence| all.extend(Option::map(evidence, |e| (name, e)));
    add("safety", facts.safety.as_ref());
    add("problem_what", facts.problem_what.as_ref());
    add("problem_when", facts.problem_when.as_ref());
    add("problem_how", facts.problem_how.as_ref());
    add("steps_taken", facts.steps_taken.as_ref());
    add("order_number", facts.order_number.as_ref().map(|f| &f.evidence));
    let sku = facts.sku.as_ref().or(facts.sku_candidates.first());
    add("sku", sku.map(|f| &f.evidence));
    add("item_code", facts.item_code.as_ref().map(|f| &f.evidence));
    add("received_on", facts.received_on.as_ref().map(|f| &f.evidence));
    add("unopened", facts.unopened.as_ref().map(|f| &f.evidence));
    add("packaging_photo", facts.packaging_shown.as_ref());
    add("doubt", facts.doubt.as_ref());
    add("legal", facts.legal.as_ref());
    for signal in &facts.void_signals {
        add("void", Some(&signal.evidence));
    }
    for item in &facts.not_available {
        add("not_available", Some(&item.evidence));
    }
    add("request", facts.request.as_ref().map(|f| &f.evidence));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(marks: &[(usize, usize)]) -> Facts {
        let evidence = |(start, end): (usize, usize)| Evidence::new(None, Source::Text { start, end }, "", "test");
        let get = |n: usize| marks.get(n).copied().map(evidence);
        Facts { problem_what: get(0), problem_when: get(1), steps_taken: get(2), ..Facts::default() }
    }

    fn letter() -> LetterId {
        LetterId::from_digest(&[7; 32])
    }

    #[test]
    fn marks_lie_in_each_other_and_across() {
        let pieces = pieces("one two three four", &said(&[(0, 7), (4, 13)]), Zone::Text, &letter());
        let told: Vec<(&str, String)> = pieces.iter().map(|p| (p.text.as_str(), p.names.join("+"))).collect();
        assert_eq!(
            told,
            [
                ("one ", "problem_what".to_owned()),
                ("two", "problem_what+problem_when".to_owned()),
                (" three", "problem_when".to_owned()),
                (" four", String::new())
            ]
        );
        assert_eq!(pieces[1].anchor, Some(anchor(&letter(), "problem_when")));
    }

    proptest! {
        #[test]
        fn no_word_is_lost(text in "[a-d \u{e9}\n]{0,30}", marks in proptest::collection::vec((0usize..40, 0usize..40), 0..3)) {
            let pieces = pieces(&text, &said(&marks), Zone::Text, &letter());
            prop_assert_eq!(pieces.iter().map(|p| p.text.as_str()).collect::<String>(), text);
        }
    }
}
