//! What the index holds of a case, and what a query asks of it: both as folded words, so that they meet.
//!
//! A word is a run of letters and digits, in lower case and without accents. A code stands in the index as its parts and
//! squeezed into one word, so that it is found in any spelling.

use std::collections::BTreeSet;

use unicode_normalization::char::is_combining_mark;

use crate::domain::case::Case;
use crate::domain::event::{CaseEvent, Event};
use crate::domain::letter::Person;
use crate::pipeline::fold::fold_char;

/// The most characters of a word that count.
const LONGEST: usize = 64;
/// The most bytes that are held of the words of one case, the latest first.
const MOST: usize = 1 << 20;
/// The most words of a query that count.
const ASKED: usize = 24;
/// The most words that are tried as the parts of one code.
const PARTS: usize = 3;
/// Fewer digits behind letters are no number of their own.
const NUMBER: usize = 3;
/// Shorter beginnings of words find too much to be worth their time.
const BEGINNING: usize = 2;
/// Stands between two texts, so that no phrase reaches from one into the other. It is no letter or digit of ours.
const BETWEEN: &str = "¶";

/// What the index holds of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When the case was last told anything of this, in microseconds: the order of what is found.
    pub told_at: i64,
    /// What finds the case before all others: numbers, its id and address, squeezed.
    pub keys: BTreeSet<String>,
    pub codes: String,
    pub words: String,
}

impl Entry {
    pub fn of(case: &Case, events: &[CaseEvent]) -> Self {
        let facts = &case.facts;
        let skus = facts.sku.iter().chain(&facts.sku_candidates).map(|fact| fact.value.as_str());
        let codes: Vec<&str> = [
            Some(case.id.as_str()),
            case.rma.as_ref().map(|rma| rma.number.as_str()),
            facts.order_number.as_ref().map(|fact| fact.value.as_str()),
            case.order_not_found.as_ref().map(|number| number.as_str()),
            facts.item_code.as_ref().map(|fact| fact.value.as_str()),
        ]
        .into_iter()
        .flatten()
        .chain(case.rma.iter().flat_map(|rma| [rma.order_number.as_str(), rma.sku.as_str()]))
        .chain(skus)
        .collect();
        let mut entry = Self {
            told_at: case.opened_at.as_microsecond(),
            keys: codes.iter().copied().chain([case.customer.address.as_str()]).map(squeezed).collect(),
            codes: codes.iter().map(|code| spelled(code)).collect::<Vec<_>>().join(" "),
            words: String::new(),
        };
        let mut texts = BTreeSet::new();
        entry.add_person(&case.customer, &mut texts);
        // What was split off is found in its own case.
        let moved = Event::moved(events);
        let here = |event: &&CaseEvent| match &event.event {
            Event::LetterTaken { letter, .. } | Event::LetterNoted { letter, .. } => !moved.contains(letter),
            _ => true,
        };
        for event in events.iter().rev().filter(here) {
            entry.add_event(event, &mut texts);
        }
        entry
    }

    fn add_event(&mut self, event: &CaseEvent, texts: &mut BTreeSet<String>) {
        match &event.event {
            Event::LetterTaken { from, subject, words, .. } => {
                from.iter().for_each(|from| self.add_person(from, texts));
                self.add(subject, texts);
                self.add(words, texts);
            }
            Event::LetterNoted { from, subject, .. } => {
                from.iter().for_each(|from| self.add_person(from, texts));
                self.add(subject, texts);
            }
            Event::ReplyQueued { subject, text, .. } | Event::DraftWritten { subject, text, .. } => {
                self.add(subject, texts);
                self.add(text, texts);
            }
            Event::Noted { text } => self.add(text, texts),
            _ => return,
        }
        self.told_at = self.told_at.max(event.at.as_microsecond());
    }

    fn add_person(&mut self, person: &Person, texts: &mut BTreeSet<String>) {
        self.add(person.name.as_deref().unwrap_or_default(), texts);
        self.add(person.address.as_str(), texts);
    }

    /// Adds a text, once.
    fn add(&mut self, text: &str, texts: &mut BTreeSet<String>) {
        let folded = words(text).join(" ");
        if folded.is_empty() || self.words.len() + folded.len() > MOST || texts.contains(&folded) {
            return;
        }
        for part in [folded.as_str(), " ", BETWEEN, " "] {
            self.words.push_str(part);
        }
        texts.insert(folded);
    }
}

/// What is asked of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// All of it as one code.
    pub key: String,
    /// In the language of FTS5.
    pub expression: String,
}

impl Asked {
    /// All words of `query` are wanted, what stands in quotes as it stands there, of the last word its beginning.
    /// `None`: there are no words in it.
    pub fn new(query: &str) -> Option<Self> {
        let mut room = ASKED;
        let mut asked = terms(query);
        for term in &mut asked {
            term.parts.truncate(room);
            room -= term.parts.len();
        }
        asked.retain(|term| !term.parts.is_empty());
        let last = asked.len().checked_sub(1)?;
        let all: Vec<String> = (0..asked.len()).map(|at| alternatives(&asked, at, last)).collect();
        Some(Self { key: squeezed(query), expression: all.join(" AND ") })
    }
}

/// A word of a query, or a phrase.
struct Term {
    parts: Vec<String>,
    /// It stands in quotes, and they are closed.
    is_phrase: bool,
}

fn terms(query: &str) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut pieces = query.split(['"', '“', '”', '„', '«', '»']).enumerate().peekable();
    while let Some((number, piece)) = pieces.next() {
        let is_phrase = number % 2 == 1 && pieces.peek().is_some();
        let texts: Vec<&str> = if is_phrase { vec![piece] } else { piece.split_whitespace().collect() };
        let found = texts.into_iter().map(|text| Term { parts: words(text), is_phrase });
        terms.extend(found.filter(|term| !term.parts.is_empty()));
    }
    terms
}

/// What satisfies the term at `at`: its parts as a phrase; squeezed into one word; or with its neighbours as the parts
/// of a code.
fn alternatives(terms: &[Term], at: usize, last: usize) -> String {
    let mut ways: Vec<(String, bool)> = Vec::new();
    let Some(term) = terms.get(at) else { return String::new() };
    ways.push((term.parts.join(" "), at == last && !term.is_phrase));
    for first in at.saturating_sub(PARTS - 1)..=at {
        for end in at + 1..=first + PARTS {
            let Some(some) = terms.get(first..end) else { continue };
            let parts: Vec<&str> = some.iter().flat_map(|term| &term.parts).map(String::as_str).collect();
            let whole: String = parts.concat();
            let is_code = parts.len() > 1 && whole.bytes().any(|byte| byte.is_ascii_digit()) || some.len() == 1;
            if parts.len() > 1 && is_code && some.iter().all(|term| !term.is_phrase) {
                ways.push((whole, end == last + 1));
            }
        }
    }
    let spelled = |(words, begins): &(String, bool)| {
        let is_long = words.rsplit(' ').next().is_some_and(|word| word.chars().count() >= BEGINNING);
        format!("\"{words}\"{}", if *begins && is_long { "*" } else { "" })
    };
    format!("({})", ways.iter().map(spelled).collect::<Vec<_>>().join(" OR "))
}

/// A code as one word.
pub fn squeezed(text: &str) -> String {
    words(text).concat()
}

/// A code in the index: its parts as they are written, letters and digits apart, and squeezed.
fn spelled(code: &str) -> String {
    let parts = words(code);
    let whole = parts.concat();
    let mut spelled = parts.clone();
    for part in &parts {
        let digits = part.find(|c: char| c.is_ascii_digit()).unwrap_or(0);
        if let Some((letters, number)) = part.split_at_checked(digits)
            && !letters.is_empty()
            && number.len() >= NUMBER
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            spelled.extend([letters.to_owned(), number.to_owned()]);
        }
    }
    spelled.extend((parts.len() > 1).then_some(whole));
    spelled.push(BETWEEN.to_owned());
    spelled.join(" ")
}

/// The words of a text. A character of a script without blanks between words is a word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut length = 0;
    for char in text.chars() {
        let alone = is_ideograph(char);
        if alone || !char.is_alphanumeric() && !is_combining_mark(char) {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            length = 0;
        }
        if char.is_alphanumeric() && length < LONGEST {
            word.extend(fold_char(char).filter(|folded| folded.is_alphanumeric()));
            length += 1;
        }
        if alone {
            words.extend((!word.is_empty()).then(|| std::mem::take(&mut word)));
            length = 0;
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

/// Chinese and Japanese.
fn is_ideograph(char: char) -> bool {
    matches!(char, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_folded() {
        assert_eq!(
            words("Größe: l'écran ŁÓDŹ, e\u{301}te\u{301} nr.5"),
            ["grosse", "l", "ecran", "lodz", "ete", "nr", "5"]
        );
        assert_eq!(words("電池 ok"), ["電", "池", "ok"]);
        assert_eq!(words(&"x".repeat(100)), ["x".repeat(LONGEST)]);
        assert_eq!(words(" -- \u{301} ¶ "), Vec::<String>::new());
    }

    #[test]
    fn queries_become_expressions_that_nothing_in_them_can_break() {
        let expression = |query: &str| Asked::new(query).map(|asked| asked.expression);
        assert_eq!(expression("Müller"), Some("(\"muller\"*)".to_owned()));
        assert_eq!(expression("a b"), Some("(\"a\") AND (\"b\")".to_owned()), "one letter is no beginning");
        assert_eq!(
            expression("KS-10001 dead"),
            Some("(\"ks 10001\" OR \"ks10001\" OR \"ks10001dead\"*) AND (\"dead\"* OR \"ks10001dead\"*)".to_owned())
        );
        assert_eq!(expression("\"is dead\" NOT"), Some("(\"is dead\") AND (\"not\"*)".to_owned()));
        assert_eq!(expression("„is dead“"), Some("(\"is dead\")".to_owned()));
        assert_eq!(expression("\"is dea"), Some("(\"is\") AND (\"dea\"*)".to_owned()), "still being typed");
        for nothing in ["", " ", "\"", "--", "*", "\"\"", "() ^ : +"] {
            assert_eq!(expression(nothing), None, "{nothing:?}");
        }
        assert_eq!(Asked::new("ks 1-00.01").unwrap().key, "ks10001");
        for endless in ["a.".repeat(30_000), format!("\"{}\"", "a ".repeat(30_000))] {
            assert!(expression(&endless).unwrap().len() < 10 * ASKED, "a word of many parts is as dear as many words");
        }
    }
}
