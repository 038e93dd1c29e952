//! What a letter says as the answer to the questions of our last letter: "1) KS20001 2) last Tuesday", a day and
//! nothing else, a sentence in free words where just one thing was asked. In doubt it is no answer, and is asked again.

mod numbering;

use jiff::civil::Date;

pub use self::numbering::Numbering;
use crate::domain::catalogue::Catalogue;
use crate::domain::facts::{Evidence, Fact, Facts, Source};
use crate::domain::ids::{LetterId, OrderNumber, Sku};
use crate::domain::warranty::Item;
use crate::pipeline::extract::dates::{Dates, Days};
use crate::pipeline::extract::item_code::ItemCodes;
use crate::pipeline::extract::order_number::OrderNumbers;
use crate::pipeline::extract::problem;
use crate::pipeline::extract::sku::Skus;
use crate::pipeline::extract::zone::{Kind, Zone};
use crate::pipeline::fold::{Span, contains_words};
use crate::pipeline::lexicon::{AnswerWords, Lexicon};
use crate::pipeline::phrases::Group;

/// What a case left open with its last letter.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// In the order in which the letter numbered them.
    pub questions: &'a [Vec<Item>],
    /// The variants among which the product is.
    pub variants: &'a [Fact<Sku>],
    /// The order number that the letter proposed in place of one that the shop doesn't know.
    pub meant: Option<&'a OrderNumber>,
}

/// What answers are read with.
#[derive(Debug, Clone, Copy)]
pub struct Ear<'a> {
    pub letter: &'a LetterId,
    pub text: &'a str,
    pub lexicons: &'a [&'a Lexicon],
    pub dates: &'a [&'a Dates],
    pub today: Date,
    pub catalogue: &'a Catalogue,
    pub order_numbers: &'a OrderNumbers,
    pub item_codes: &'a ItemCodes,
    pub skus: &'a Skus,
}

impl Ear<'_> {
    /// Adds to `facts`, which the letter says by itself, what it answers.
    pub fn answers(&self, asked: Asked<'_>, numbering: &Numbering, facts: &mut Facts) {
        let questions = asked.questions;
        if facts.sku.is_none() && facts.sku_candidates.is_empty() && questions.iter().any(|q| q.contains(&Item::Sku)) {
            let zone = Zone::new(self.letter, Kind::Text, self.text, self.lexicons);
            facts.sku = self.skus.coloured(&zone, asked.variants);
        }
        let parts = numbering.parts(self.text, questions.len());
        if let Some(place) = questions.iter().position(|q| q == &[Item::OrderNumber]) {
            let whole = || parts.is_empty().then_some(Span { start: 0, end: self.text.len() });
            let part = parts.iter().find(|(of, _)| *of == place).map(|(_, part)| *part).or_else(whole);
            self.confirmed(asked.meant, part, facts);
        }
        for (place, part) in &parts {
            let Some(items) = questions.get(*place) else { continue };
            let of_problem =
                items.iter().any(|i| matches!(i, Item::ProblemWhat | Item::ProblemWhen | Item::ProblemHow));
            // The day in the answer to another question is no moment of the problem.
            if !of_problem && facts.problem_when.as_ref().is_some_and(|e| lies_in(e, *part)) {
                facts.problem_when = None;
            }
            if of_problem {
                self.account(*part, facts);
            }
            self.answer(items, *part, 1, facts);
        }
        if parts.is_empty() {
            self.unnumbered(questions, facts);
        }
    }

    /// "Yes, that's it" to the order number that we proposed.
    fn confirmed(&self, meant: Option<&OrderNumber>, part: Option<Span>, facts: &mut Facts) {
        const SHORT: usize = 6;
        let (Some(meant), Some(part)) = (meant, part) else { return };
        if is_fresh(facts.order_number.as_ref().map(|f| &f.evidence)) {
            return;
        }
        let zone =
            Zone::new(self.letter, Kind::Text, self.text.get(part.start..part.end).unwrap_or_default(), self.lexicons);
        // A greeting may stand before it.
        let confirms = |sentence: &&Span| {
            let text = zone.folded.slice(**sentence).trim_start_matches([' ', ',', '.', '!']);
            let yes = self.lexicons.iter().flat_map(|l| &l.answers.yes).any(|word| {
                let rest = text.strip_prefix(word.as_str());
                rest.is_some_and(|rest| rest.starts_with(' '))
            });
            let denied = [Group::Negation, Group::Symptom].iter().any(|g| zone.has(**sentence, *g));
            yes && words(&zone, **sentence) <= SHORT && !denied && !zone.folded.is_question(**sentence)
        };
        if let Some(sentence) = zone.folded.sentences.iter().take(2).find(confirms) {
            let fact = zone.fact(meant.clone(), *sentence, "order_number.confirmed");
            facts.order_number = Some(shifted(fact, part.start));
        }
    }

    fn unnumbered(&self, questions: &[Vec<Item>], facts: &mut Facts) {
        let asked = |item: Item| questions.iter().any(|q| q.contains(&item));
        let whole = Span { start: 0, end: self.text.len() };
        if asked(Item::ReceivedOn) && !asked(Item::ProblemWhen) {
            self.lone_day(facts);
        }
        if asked(Item::OrderNumber) != asked(Item::ItemCode) {
            let item = if asked(Item::OrderNumber) { Item::OrderNumber } else { Item::ItemCode };
            for line in lines(self.text) {
                self.answer(&[item], line, 1, facts);
            }
        }
        if let [items] = questions
            && says_nothing_else(facts)
        {
            self.answer(items, whole, 3, facts);
        }
    }

    /// What a numbered answer tells of the problem.
    fn account(&self, part: Span, facts: &mut Facts) {
        let zone =
            Zone::new(self.letter, Kind::Text, self.text.get(part.start..part.end).unwrap_or_default(), self.lexicons);
        let told = problem::account(&zone, None, &Days::of(&zone.folded, self.dates, self.today));
        let known = [&mut facts.problem_what, &mut facts.problem_when, &mut facts.problem_how];
        for (known, told) in known.into_iter().zip([told.what, told.when, told.how]) {
            if known.is_none() {
                *known = told.map(|evidence| moved(evidence, part.start));
            }
        }
    }

    /// A day that is a sentence by itself.
    fn lone_day(&self, facts: &mut Facts) {
        if facts.received_on.is_some() {
            return;
        }
        let zone = Zone::new(self.letter, Kind::Text, self.text, self.lexicons);
        for sentence in &zone.folded.sentences {
            let Some(day) = self.day(&zone, *sentence, 2) else { continue };
            if facts.problem_when.as_ref().is_some_and(|e| lies_in(e, zone.folded.original(*sentence))) {
                facts.problem_when = None;
            }
            facts.received_on = Some(day);
            return;
        }
    }

    /// Reads `part` as the answer to one question; `least` words make free words an answer.
    fn answer(&self, items: &[Item], part: Span, least: usize, facts: &mut Facts) {
        let Some(text) = self.text.get(part.start..part.end) else { return };
        let zone = Zone::new(self.letter, Kind::Text, text, self.lexicons);
        let few = words(&zone, Span { start: 0, end: zone.folded.text.len() }) <= 6;
        match items {
            [Item::OrderNumber] if few && !is_fresh(facts.order_number.as_ref().map(|f| &f.evidence)) => {
                let found = self.order_numbers.answered(&zone, self.catalogue);
                facts.order_number = found.map(|f| shifted(f, part.start)).or(facts.order_number.take());
            }
            [Item::ItemCode] if few && facts.item_code.is_none() => {
                // An order number that is said once more is no code.
                let known = facts.order_number.as_ref().map(|f| f.value.as_str());
                let found = self.item_codes.answered(&zone, self.catalogue).filter(|f| known != Some(f.value.as_str()));
                let ordered = self.order_numbers.find(&zone, self.catalogue).is_some();
                facts.item_code = found.filter(|_| !ordered).map(|f| shifted(f, part.start));
            }
            [Item::ReceivedOn] if facts.received_on.is_none() => {
                let found = zone.folded.sentences.iter().find_map(|s| self.day(&zone, *s, 8));
                facts.received_on = found.map(|f| shifted(f, part.start));
            }
            [item] => {
                let (known, rule) = match item {
                    Item::ProblemWhen => (&mut facts.problem_when, "problem.when.answered"),
                    Item::ProblemHow => (&mut facts.problem_how, "problem.how.answered"),
                    Item::StepsTaken => (&mut facts.steps_taken, "steps_taken.answered"),
                    _ => return,
                };
                // "No" and "nothing" answer what was tried.
                let denial = *item == Item::StepsTaken && zone.hits.iter().any(|h| h.group == Group::Negation);
                let least = if denial { 1 } else { least };
                if known.is_none() && self.is_free_answer(&zone, least) {
                    let all = zone.evidence_at(Span { start: 0, end: text.len() }, rule);
                    *known = Some(moved(all, part.start));
                }
            }
            _ => {}
        }
    }

    /// The one day of a sentence with at most `more` words beside it.
    fn day(&self, zone: &Zone<'_>, sentence: Span, more: usize) -> Option<Fact<Date>> {
        let begins = |word: &str| self.lexicons.iter().any(|l| l.answers.since.iter().any(|s| s == word));
        let mut days = self.dates.iter().flat_map(|d| d.find(&zone.folded, sentence, self.today));
        let first = days.next()?;
        let one = days.all(|d| d.date == first.date) && first.date <= self.today;
        let little = words(zone, sentence) <= words(zone, first.span) + more;
        let other = [Group::Bought, Group::Symptom, Group::Broken, Group::Negation, Group::Step];
        let plain = !zone.folded.is_question(sentence) && !other.iter().any(|g| zone.has(sentence, *g));
        let before = zone.folded.slice(Span { start: sentence.start, end: first.span.start });
        let since = before.split_whitespace().next_back().is_some_and(begins);
        (one && little && plain && !since && !self.is_put_off(zone, sentence))
            .then(|| zone.day(&first, "received_on.answered"))
    }

    fn is_free_answer(&self, zone: &Zone<'_>, least: usize) -> bool {
        /// Who writes more has more to say than the answer.
        const MOST: usize = 30;
        const NO_ANSWER: [Group; 5] =
            [Group::Thanks, Group::Attached, Group::StatusQuestion, Group::WhereToFind, Group::HowTo];
        let sentences = zone.folded.sentences.iter().copied();
        let telling = sentences.clone().filter(|s| !NO_ANSWER.iter().any(|g| zone.has(*s, *g)));
        let telling = telling.filter(|s| !self.is_put_off(zone, *s) && !self.says(zone, *s, |a| &a.beside));
        let count: usize = telling.map(|s| words(zone, s)).sum();
        let asks = sentences.clone().any(|s| zone.folded.is_question(s));
        (least..=MOST).contains(&count) && !asks
    }

    /// Whether the customer doesn't know, or will tell later.
    fn is_put_off(&self, zone: &Zone<'_>, sentence: Span) -> bool {
        self.says(zone, sentence, |a| &a.later) || self.says(zone, sentence, |a| &a.unknown)
    }

    fn says(&self, zone: &Zone<'_>, sentence: Span, list: impl Fn(&AnswerWords) -> &Vec<String>) -> bool {
        let text = zone.folded.slice(sentence);
        let mut phrases = self.lexicons.iter().flat_map(|l| list(&l.answers));
        phrases.any(|words| contains_words(text, words))
    }
}

/// Whether the letter brings nothing that other rules have read.
fn says_nothing_else(facts: &Facts) -> bool {
    let fresh = |evidence: Option<&Evidence>| is_fresh(evidence);
    !fresh(facts.order_number.as_ref().map(|f| &f.evidence))
        && !fresh(facts.sku.as_ref().map(|f| &f.evidence))
        && facts.item_code.is_none()
        && facts.request.as_ref().is_none_or(|r| r.value == crate::domain::facts::Request::Defect)
        && facts.void_signals.is_empty()
        && facts.safety.is_none()
        && facts.not_available.is_empty()
        && facts.where_to_find.is_empty()
}

fn is_fresh(evidence: Option<&Evidence>) -> bool {
    evidence.is_some_and(|e| e.source.is_fresh())
}

fn words(zone: &Zone<'_>, span: Span) -> usize {
    zone.folded.slice(span).split(' ').filter(|w| w.chars().any(char::is_alphanumeric)).count()
}

fn lines(text: &str) -> Vec<Span> {
    let mut start = 0;
    text.split('\n')
        .map(|line| {
            let span = Span { start, end: start + line.len() };
            start += line.len() + 1;
            span
        })
        .collect()
}

fn lies_in(evidence: &Evidence, part: Span) -> bool {
    matches!(evidence.source, Source::Text { start, end } if part.start <= start && end <= part.end)
}

fn shifted<T>(fact: Fact<T>, by: usize) -> Fact<T> {
    Fact { value: fact.value, evidence: moved(fact.evidence, by) }
}

/// The same evidence in a text that begins `by` bytes earlier.
fn moved(evidence: Evidence, by: usize) -> Evidence {
    let source = match evidence.source {
        Source::Text { start, end } => Source::Text { start: start + by, end: end + by },
        other => other,
    };
    Evidence { source, ..evidence }
}
