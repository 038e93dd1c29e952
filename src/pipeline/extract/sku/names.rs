//! The ways customers spell a product's name: joined, parted, with one slip of the pen.

use std::collections::{BTreeSet, HashMap};

use crate::pipeline::fold::{self, Span, is_slip};
use crate::pipeline::lexicon::Lexicons;

/// A name with its words joined or parted in every way: `tank m4`, `tankm4`, `tank m 4`.
pub fn spellings(words: &str) -> Vec<String> {
    /// Names of more parts are taken as they stand.
    const MOST: usize = 5;
    let parts = parts(words);
    let joints = parts.len().saturating_sub(1);
    // "m 3" is too little to be a name.
    if joints > MOST || words.len() <= 3 {
        return vec![words.to_owned()];
    }
    (0..1u32 << joints)
        .map(|joined| {
            let mut name = String::new();
            for (at, part) in parts.iter().enumerate() {
                let apart = at > 0 && joined & (1 << (at - 1)) == 0;
                if apart {
                    name.push(' ');
                }
                name.push_str(part);
            }
            name
        })
        .collect()
}

/// The words of a name, cut where letters meet digits.
fn parts(words: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for word in words.split(' ') {
        let mut rest = word;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
            let (part, behind) = rest.split_at(end);
            parts.push(part);
            rest = behind;
        }
    }
    parts
}

/// Finds names with one slip in one of their longer words.
#[derive(Debug)]
pub struct Slips {
    /// Words that a slip can be in, by their length: the word, its place in the name, the name.
    by_length: HashMap<usize, Vec<(String, usize, usize)>>,
    names: Vec<Vec<String>>,
    /// Words that are right as they stand: those of other names, and the commonest of every language.
    right: BTreeSet<String>,
    /// "The price 2 weeks ago" is no `Prime 2`.
    units: BTreeSet<String>,
}

/// A shorter word with a slip is too easily another word.
const LONG: usize = 5;

impl Slips {
    pub fn new<'a>(names: impl Iterator<Item = &'a str>, lexicons: &Lexicons) -> Self {
        let names: Vec<Vec<String>> = names.map(|n| n.split(' ').map(str::to_owned).collect()).collect();
        let mut right: BTreeSet<String> = names.iter().flatten().cloned().collect();
        let mut units = BTreeSet::new();
        for lexicon in &lexicons.all {
            right.extend(lexicons.common(&lexicon.language).into_iter().flatten().cloned());
            let dates = &lexicon.dates;
            let lists = [&dates.day, &dates.week, &dates.month, &dates.year];
            units.extend(lists.into_iter().flatten().map(|unit| fold::phrase(unit)));
        }
        let mut by_length: HashMap<usize, Vec<(String, usize, usize)>> = HashMap::new();
        // The number of the model confirms what is meant; "magnetic charger" may be anybody's.
        let is_model = |name: &[String]| name.iter().any(|w| w.bytes().any(|b| b.is_ascii_digit()));
        for (at, name) in names.iter().enumerate().filter(|(_, name)| is_model(name)) {
            for (place, word) in name.iter().enumerate() {
                if word.chars().count() >= LONG && word.chars().all(|c| c.is_ascii_lowercase()) {
                    by_length.entry(word.len()).or_default().push((word.clone(), place, at));
                }
            }
        }
        Self { by_length, names, right, units }
    }

    /// The names in `text` (folded, hyphens as blanks) that have just one slip; `known` says of a word that a phrase of
    /// the language holds it. A word that could be a slip of two different ones is none.
    pub fn find(&self, text: &str, known: impl Fn(Span) -> bool) -> Vec<(Span, usize)> {
        if self.by_length.is_empty() {
            return Vec::new();
        }
        let words: Vec<(usize, &str)> = words_from(text, 0).collect();
        let mut found = Vec::new();
        for (at, (start, word)) in words.iter().enumerate() {
            let span = Span { start: *start, end: start + word.len() };
            if word.len() + 1 < LONG || self.right.contains(*word) || !word.chars().all(|c| c.is_ascii_lowercase()) {
                continue;
            }
            let lengths = word.len() - 1..=word.len() + 1;
            let near = lengths.filter_map(|n| self.by_length.get(&n)).flatten();
            let meant: Vec<_> = near.filter(|(right, ..)| is_slip(word, right)).collect();
            let Some((only, ..)) = meant.first() else { continue };
            if meant.iter().any(|(other, ..)| other != only) || known(span) {
                continue;
            }
            found.extend(meant.iter().filter_map(|(_, place, name)| self.beside(&words, at, *place, *name)));
        }
        found
    }

    /// The span of the name whose word number `place` stands at `at`, if its other words stand beside it.
    fn beside(&self, words: &[(usize, &str)], at: usize, place: usize, name: usize) -> Option<(Span, usize)> {
        let right = self.names.get(name)?;
        let first = at.checked_sub(place)?;
        let here = words.get(first..first + right.len())?;
        let others = here.iter().zip(right).enumerate().all(|(n, ((_, word), right))| n == place || word == right);
        let counts = right.last()?.bytes().all(|b| b.is_ascii_digit());
        let next = words.get(first + right.len()).map_or("", |(_, word)| *word);
        let (start, (last, word)) = (here.first()?.0, here.last()?);
        (others && !(counts && self.units.contains(next))).then_some((Span { start, end: last + word.len() }, name))
    }
}

/// The words of `text` from `at` on, each with its place.
pub fn words_from(text: &str, at: usize) -> impl Iterator<Item = (usize, &str)> {
    let rest = text.get(at..).unwrap_or_default();
    rest.split(' ')
        .scan(at, |start, word| {
            let here = *start;
            *start += word.len() + 1;
            Some((here, word))
        })
        .filter(|(_, word)| !word.is_empty())
}

/// The words of `text` before `at`, the nearest first.
pub fn words_before(text: &str, at: usize) -> impl Iterator<Item = (usize, &str)> {
    let before = text.get(..at).unwrap_or_default();
    before
        .rsplit(' ')
        .scan(at, |end, word| {
            let start = *end - word.len().min(*end);
            *end = start.saturating_sub(1);
            Some((start, word))
        })
        .filter(|(_, word)| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_joined_and_parted() {
        let all = spellings("tank t3 ultra");
        for name in ["tank t3 ultra", "tankt3 ultra", "tank t 3 ultra", "tankt3ultra"] {
            assert!(all.iter().any(|n| n == name), "{name}");
        }
        assert_eq!(spellings("m3"), ["m3"]);
    }

    #[test]
    fn a_slip_is_found_beside_the_number_of_the_model_only() {
        let slips = Slips::new(["prime 2", "magic 4", "tank t3 ultra"].into_iter(), &Lexicons::embedded().unwrap());
        let found = |text: &str| slips.find(text, |_| false).into_iter().map(|(_, name)| name).collect::<Vec<_>>();
        assert_eq!(found(" my pirme 2 is dead "), [0]);
        assert_eq!(found(" the magik 4 and the tank t3 ulta "), [1, 2]);
        for text in [" my prime 2 ", " my pirme is dead ", " a pirme 3 ", " the grime 2 weeks later ", " magic 4 "] {
            assert!(found(text).is_empty(), "{text}");
        }
    }
}
