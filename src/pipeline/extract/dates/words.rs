//! The words of a language's days, folded and put together to patterns.

use std::collections::BTreeMap;

use super::Unit;
use crate::pipeline::fold;
use crate::pipeline::lexicon::Lexicon;

/// The folded forms of words: as they stand, and with the language's other spellings.
pub fn folded(lexicon: &Lexicon, words: &[String]) -> Vec<String> {
    words.iter().flat_map(|word| spellings(lexicon, word)).collect()
}

pub fn counts(lexicon: &Lexicon, words: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    words.iter().flat_map(|(word, n)| spellings(lexicon, word).into_iter().map(|w| (w, *n))).collect()
}

/// Days of the month written out: "il tre settembre", "am dritten"; a plain one is left out, for it is an article as well.
pub fn spelled_days(lexicon: &Lexicon, numbers: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let mut days: BTreeMap<String, i64> =
        numbers.iter().filter(|(_, n)| (2..=31).contains(*n)).map(|(word, n)| (word.clone(), *n)).collect();
    days.extend(counts(lexicon, &lexicon.dates.day_words));
    days
}

pub fn units(lexicon: &Lexicon) -> BTreeMap<String, Unit> {
    let words = &lexicon.dates;
    let lists =
        [(Unit::Day, &words.day), (Unit::Week, &words.week), (Unit::Month, &words.month), (Unit::Year, &words.year)];
    lists.into_iter().flat_map(|(unit, list)| folded(lexicon, list).into_iter().map(move |w| (w, unit))).collect()
}

/// The pattern of a span's own words: "a week ago", also with the day that it is counted from, "today a week ago".
pub fn span_words(lexicon: &Lexicon, spans: &BTreeMap<String, i64>) -> String {
    format!(r" (?:{} )?(?P<w>{})\b", counted_from(lexicon), alternatives(spans.keys()))
}

/// The patterns of spans before now, one for each ending the language puts behind a span ("ago", or nothing).
pub fn ago_forms(lexicon: &Lexicon, numbers: &BTreeMap<String, i64>, units: &BTreeMap<String, Unit>) -> Vec<String> {
    let words = &lexicon.dates;
    let halves = folded(lexicon, &words.half);
    let count = alternatives(numbers.keys().chain(&halves));
    let unit = alternatives(units.keys());
    let (and, half) = (one_of(&folded(lexicon, &words.and)), one_of(&folded(lexicon, &words.and_a_half)));
    let alone = one_of(&folded(lexicon, &words.alone));
    let span = format!(
        r"(?:(?P<n>\d{{1,3}}|{count}) (?P<u>{unit})(?: (?P<half>{half}))?(?: {and} (?P<n2>\d{{1,2}}|{count}) (?P<u2>{unit}))?|(?P<one>{alone}))"
    );
    let mut by_ending: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for form in &words.ago {
        let (before, behind) = form.split_once("{}").unwrap_or((form, ""));
        by_ending.entry(fold::phrase(behind)).or_default().push(fold::phrase(before));
    }
    let (today, about) = (counted_from(lexicon), one_of(&folded(lexicon, &words.about)));
    let ended = |(behind, before): (String, Vec<String>)| {
        let bare = if before.iter().any(String::is_empty) { "?" } else { "" };
        let before: Vec<String> = before.into_iter().filter(|b| !b.is_empty()).collect();
        let behind = if behind.is_empty() { behind } else { format!(" {}", regex::escape(&behind)) };
        format!(
            r" (?:{today} (?:{about} )?)?(?:{} (?:(?:{about}|{today}) ){{0,2}}){bare}{span}{behind}\b",
            one_of(&before)
        )
    };
    by_ending.into_iter().map(ended).collect()
}

/// The words for today: "vandaag vier weken geleden" is four weeks ago, not today.
fn counted_from(lexicon: &Lexicon) -> String {
    let today: Vec<String> = lexicon.dates.days_ago.iter().filter(|(_, n)| **n == 0).map(|(w, _)| w.clone()).collect();
    one_of(&folded(lexicon, &today))
}

/// An alternation as a group; of no words, one that fits nothing.
pub fn one_of(words: &[String]) -> String {
    if words.is_empty() { r"(?:[a&&b])".to_owned() } else { format!("(?:{})", alternatives(words.iter())) }
}

/// An alternation that tries longer words first.
pub fn alternatives<'a>(words: impl Iterator<Item = &'a String>) -> String {
    let mut words: Vec<String> = words.map(|w| regex::escape(w)).collect();
    words.sort_by_key(|w| (std::cmp::Reverse(w.len()), w.clone()));
    words.dedup();
    words.join("|")
}

fn spellings(lexicon: &Lexicon, word: &str) -> Vec<String> {
    let other =
        lexicon.writing.spellings.iter().fold(word.to_owned(), |w, (letter, other)| w.replace(letter.as_str(), other));
    let mut all = vec![fold::phrase(word), fold::phrase(&other)];
    all.dedup();
    all
}
