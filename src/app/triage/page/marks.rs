//! Facts marked where they stand in a text: `order [order_number: KS10234]`.
//!
//! Marks may lie in each other; of two that cross, the later one is cut in two where the earlier ends, and its second
//! part begins with `…`. Marks of the same words share their brackets: `[when+how: while charging]`.

use std::collections::BTreeSet;

use super::paper::{self, Ink, Paper};
use crate::domain::facts::{Evidence, Facts, Source};

/// Bytes `start..end` of a text, and what was read there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub start: usize,
    pub end: usize,
    pub name: String,
}

/// Where a text stands in the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    Text,
    Subject,
    Signature,
    Forwarded,
}

/// The marks of a letter's facts in its `zone`. Only the words written now are known to the byte; elsewhere a fact is
/// marked where its words stand first.
pub fn of(facts: &Facts, zone: Zone, text: &str) -> Vec<Mark> {
    let place = |evidence: &Evidence| match (evidence.source, zone) {
        (Source::Text { start, end }, Zone::Text) => Some((start, end)),
        (Source::Subject, Zone::Subject)
        | (Source::Signature, Zone::Signature)
        | (Source::Forwarded, Zone::Forwarded) => {
            text.find(&evidence.quote).map(|start| (start, start + evidence.quote.len()))
        }
        _ => None,
    };
    let named = named(facts);
    named.into_iter().filter_map(|(name, e)| place(e).map(|(start, end)| Mark { start, end, name })).collect()
}

/// Everything that was read out of words, by the name of its mark.
fn named<'f>(facts: &'f Facts) -> Vec<(String, &'f Evidence)> {
    let mut all = Vec::new();
    let mut add = |name: String, evidence: Option<&'f Evidence>| all.extend(evidence.map(|e| (name, e)));
    add("what".to_owned(), facts.problem_what.as_ref());
    add("when".to_owned(), facts.problem_when.as_ref());
    add("how".to_owned(), facts.problem_how.as_ref());
    add("steps_taken".to_owned(), facts.steps_taken.as_ref());
    add("order_number".to_owned(), facts.order_number.as_ref().map(|f| &f.evidence));
    add("sku".to_owned(), facts.sku.as_ref().map(|f| &f.evidence));
    // Several variants fit the same words.
    add("sku?".to_owned(), facts.sku_candidates.first().map(|f| &f.evidence));
    add("item_code".to_owned(), facts.item_code.as_ref().map(|f| &f.evidence));
    add("received_on".to_owned(), facts.received_on.as_ref().map(|f| &f.evidence));
    add("unopened".to_owned(), facts.unopened.as_ref().map(|f| &f.evidence));
    add("packaging_shown".to_owned(), facts.packaging_shown.as_ref());
    add("safety".to_owned(), facts.safety.as_ref());
    add("doubt".to_owned(), facts.doubt.as_ref());
    for signal in &facts.void_signals {
        add(format!("void/{}", signal.value.code()), Some(&signal.evidence));
    }
    for item in &facts.not_available {
        add(format!("not_available/{}", item.value.code()), Some(&item.evidence));
    }
    if let Some(request) = &facts.request {
        add(format!("request/{}", request.value.code()), Some(&request.evidence));
    }
    all
}

/// The text with its marks. A mark outside the text, or in the middle of a character, is left out.
pub fn marked(text: &str, marks: Vec<Mark>, paper: &Paper<'_>) -> String {
    let order = |m: Mark| (m.start, std::cmp::Reverse(m.end), m.name);
    let mut waiting: BTreeSet<_> =
        marks.into_iter().filter(|m| text.get(m.start..m.end).is_some_and(|t| !t.is_empty())).map(order).collect();
    let mut out = String::new();
    let mut at = 0;
    let mut ends: Vec<usize> = Vec::new();
    while let Some((start, std::cmp::Reverse(end), mut name)) = waiting.pop_first() {
        close(text, &mut out, &mut at, &mut ends, start, paper);
        // It crosses the end of the one around it.
        if let Some(inner) = ends.last().copied().filter(|outer| *outer < end) {
            let rest = text.get(inner..end).unwrap_or_default();
            let blank = rest.len() - rest.trim_start().len();
            if blank < rest.len() {
                waiting.insert((inner + blank, std::cmp::Reverse(end), format!("…{}", name.trim_start_matches('…'))));
            }
            waiting.insert((start, std::cmp::Reverse(inner), name));
            continue;
        }
        while let Some((_, _, same)) = waiting.first().filter(|(s, e, _)| (*s, e.0) == (start, end)) {
            name = format!("{name}+{same}");
            waiting.pop_first();
        }
        out.push_str(&own(text.get(at..start).unwrap_or_default()));
        out.push_str(&paper.ink(Ink::Mark, &format!("[{name}:")));
        out.push(' ');
        at = start;
        ends.push(end);
    }
    close(text, &mut out, &mut at, &mut ends, text.len(), paper);
    out.push_str(&own(text.get(at..).unwrap_or_default()));
    out
}

/// The letter's own text.
fn own(text: &str) -> String {
    paper::clean(text).replace('[', "[[").replace(']', "]]")
}

/// Closes the marks that end up to `until`.
fn close(text: &str, out: &mut String, at: &mut usize, ends: &mut Vec<usize>, until: usize, paper: &Paper<'_>) {
    while let Some(end) = ends.pop_if(|end| *end <= until) {
        out.push_str(&own(text.get(*at..end).unwrap_or_default()));
        out.push_str(&paper.ink(Ink::Mark, "]"));
        *at = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn show(text: &str, marks: &[(usize, usize, &str)]) -> String {
        let marks = marks.iter().map(|(start, end, name)| Mark { start: *start, end: *end, name: (*name).to_owned() });
        marked(text, marks.collect(), &Paper::new(&mut Vec::new(), false))
    }

    #[test]
    fn marks_lie_in_each_other_side_by_side_and_across() {
        let text = "one two three four";
        assert_eq!(show(text, &[(4, 7, "b"), (0, 13, "a")]), "[a: one [b: two] three] four");
        assert_eq!(show(text, &[(0, 3, "a"), (4, 7, "b")]), "[a: one] [b: two] three four");
        assert_eq!(show(text, &[(0, 7, "a"), (4, 13, "b")]), "[a: one [b: two]] […b: three] four");
        assert_eq!(show(text, &[(4, 7, "b"), (4, 7, "a")]), "one [a+b: two] three four");
        assert_eq!(show(text, &[(14, 18, "d")]), "one two three [d: four]");
    }

    #[test]
    fn nobody_can_write_a_mark_into_a_letter() {
        assert_eq!(show("[sku: X]", &[(6, 7, "sku")]), "[[sku: [sku: X]]]");
    }

    #[test]
    fn a_mark_that_fits_no_character_is_left_out() {
        assert_eq!(show("é", &[(0, 1, "a"), (1, 2, "b"), (0, 9, "c"), (0, 0, "d")]), "é");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_and_all_brackets_close(
            text in "[a-d \u{e9}\n]{0,30}",
            marks in proptest::collection::vec((0usize..40, 0usize..40), 0..8),
        ) {
            let marks: Vec<_> = marks.iter().map(|(start, end)| (*start, *end, "X")).collect();
            let shown = show(&text, &marks);
            prop_assert_eq!(shown.matches('[').count(), shown.matches(']').count());
            let bare = regex::Regex::new(r"\[…?X(\+…?X)*: |\]").unwrap().replace_all(&shown, "").into_owned();
            prop_assert_eq!(bare, text);
        }
    }
}
