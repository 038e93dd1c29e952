//! Finds the phrases of a lexicon in a folded text, all groups in one pass.
//!
//! An entry is written as people write the words, plus four signs: `flicker*` any ending, `*problem` any beginning,
//! `geht .. nicht` up to four words in between (never across the end of a clause), `(my|the) watch` either word.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::{Deserialize, Serialize};

use super::fold::{self, Folded, Span};

/// What a phrase tells. The names are the keys of `[phrases]` in a lexicon; every lexicon has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Names what fails, by itself: "won't switch on", "black screen".
    Symptom,
    /// A part or function of the product: "display", "step counter".
    Part,
    /// Says that something fails, without saying what: "stopped", "no longer works".
    Fault,
    /// "broken", "defective": a claim, but no symptom.
    Broken,
    /// A moment it began or happens.
    When,
    /// A circumstance or the manner.
    How,
    /// Something the customer did to solve it.
    Step,
    /// Says that nothing was tried.
    NothingTried,
    Negation,
    /// "should I", "if it had": nothing that happened.
    Hypothetical,
    /// Another device or somebody else's.
    Elsewhere,
    /// Begins a clause with a subject of its own: "I", "the watch".
    Subject,
    /// The customer got the item.
    Received,
    /// The customer ordered or paid.
    Bought,
    Flashed,
    Opened,
    Modified,
    Misuse,
    ContinuedUse,
    Safety,
    /// Sounds like a safety report and is none: "burn-in".
    Harmless,
    WantsReturn,
    Sealed,
    Used,
    /// Nothing is wrong with the item.
    NothingWrong,
    ShippingReimbursement,
    SpareParts,
    OrderIssue,
    /// Asks how things stand.
    StatusQuestion,
    BeforeBuying,
    /// Asks how to use it.
    HowTo,
    /// Needs nothing any more.
    Solved,
    Thanks,
    PhotoWord,
    PackagingWord,
    /// Sends something along.
    Attached,
    /// Something is not there any more, or can't be made.
    Gone,
    /// Asks where something is found.
    WhereToFind,
    LabelOrderNumber,
    LabelSku,
    LabelItemCode,
    LabelReceivedOn,
    LabelProduct,
    /// Labels of numbers that are none of ours: tracking, phone, serial, invoice, customer number, price.
    LabelOther,
    /// The product in general: "watch".
    Device,
    /// Things that come with the product: "cable", "strap".
    Accessory,
    /// Begins a clause about something that is not the product: "my phone". What comes with the product is part
    /// of it.
    OtherThing,
}

impl Group {
    /// All groups, in order.
    pub fn all() -> Vec<Self> {
        // The derive is the one list of names; this asks it for them.
        NAMES.iter().filter_map(|name| serde_json::from_value(serde_json::Value::from(*name)).ok()).collect()
    }

    /// The name, as in the lexicons.
    pub fn name(self) -> &'static str {
        NAMES.get(self as usize).copied().unwrap_or_default()
    }
}

/// The number of groups.
pub const GROUPS: usize = 47;

const NAMES: [&str; GROUPS] = [
    "symptom",
    "part",
    "fault",
    "broken",
    "when",
    "how",
    "step",
    "nothing_tried",
    "negation",
    "hypothetical",
    "elsewhere",
    "subject",
    "received",
    "bought",
    "flashed",
    "opened",
    "modified",
    "misuse",
    "continued_use",
    "safety",
    "harmless",
    "wants_return",
    "sealed",
    "used",
    "nothing_wrong",
    "shipping_reimbursement",
    "spare_parts",
    "order_issue",
    "status_question",
    "before_buying",
    "how_to",
    "solved",
    "thanks",
    "photo_word",
    "packaging_word",
    "attached",
    "gone",
    "where_to_find",
    "label_order_number",
    "label_sku",
    "label_item_code",
    "label_received_on",
    "label_product",
    "label_other",
    "device",
    "accessory",
    "other_thing",
];

/// A phrase found in a folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    pub group: Group,
    /// The words, without the blanks around them.
    pub span: Span,
}

/// The phrases of a lexicon, ready to search.
#[derive(Debug)]
pub struct Phrases {
    /// What each entry begins with.
    literals: AhoCorasick,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    group: Group,
    /// What must follow the literal.
    rest: Vec<Piece>,
    /// The literal begins, or ends, with a blank that is not part of the hit.
    lead: usize,
    trail: usize,
    /// The literal is the end of a word: the hit begins where the word begins.
    any_beginning: bool,
    /// The literal is the beginning of a word: the hit ends where the word ends.
    any_ending: bool,
}

#[derive(Debug, Clone)]
enum Piece {
    Word {
        text: Box<str>,
        any_beginning: bool,
        any_ending: bool,
    },
    Gap,
    /// Shared by all entries that an alternative at the beginning made of one phrase.
    OneOf(Arc<Choice>),
}

/// Of what mostly are dozens of plain words, and what else there is.
#[derive(Debug)]
struct Choice {
    words: HashSet<Box<str>>,
    others: Vec<Vec<Piece>>,
}

/// The most words a gap spans.
const GAP: usize = 4;

impl Phrases {
    /// Compiles the groups. `spellings` are other ways to write a letter (`ä` as `ae`).
    pub fn new(groups: &BTreeMap<Group, Vec<String>>, spellings: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut literals = Vec::new();
        let mut entries = Vec::new();
        for (group, phrases) in groups {
            for phrase in phrases.iter().flat_map(|p| spelled(p, spellings)) {
                let (pieces, rest) = parse(&phrase);
                if let Some(word) = unfoldable(&phrase) {
                    return Err(format!("{phrase:?}: {word:?} has no letter or digit, so it would fit anywhere"));
                }
                if !rest.is_empty() || pieces.is_empty() {
                    return Err(format!("{phrase:?}: a parenthesis too many, or nothing to look for"));
                }
                for pieces in beginnings(pieces) {
                    let (literal, entry) =
                        entry(*group, pieces).ok_or_else(|| format!("{phrase:?} must begin with a word"))?;
                    literals.push(literal);
                    entries.push(entry);
                }
            }
        }
        let literals =
            AhoCorasick::builder().match_kind(MatchKind::Standard).build(literals).map_err(|e| e.to_string())?;
        Ok(Self { literals, entries })
    }

    /// All hits, in the order in which they begin.
    pub fn find(&self, folded: &Folded) -> Vec<Hit> {
        let text = &Text::new(&folded.text);
        let mut hits: Vec<Hit> = self
            .literals
            .find_overlapping_iter(text.text)
            .filter_map(|found| {
                let entry = self.entries.get(found.pattern().as_usize())?;
                let start = found.start() + entry.lead;
                let start = if entry.any_beginning { text.word_start(start) } else { start };
                let end = found.end() - entry.trail;
                let end = if entry.any_ending { text.word_end(end) } else { end };
                let end = follow(&entry.rest, &[], end, 0, text)?;
                Some(Hit { group: entry.group, span: Span { start, end } })
            })
            .collect();
        hits.sort_by_key(|h| (h.span.start, h.span.end, h.group));
        hits.dedup();
        hits
    }
}

/// The furthest place where `pieces`, and `then` behind them, can end if they begin behind `at`, with up to `gap` words
/// before them.
fn follow(pieces: &[Piece], then: &[Piece], at: usize, gap: usize, text: &Text<'_>) -> Option<usize> {
    let Some((piece, rest)) = pieces.split_first() else {
        return if then.is_empty() { Some(at) } else { follow(then, &[], at, 0, text) };
    };
    match piece {
        Piece::Gap => follow(rest, then, at, GAP, text),
        Piece::Word { text: word, any_beginning, any_ending } => {
            let fits = |here: &str| match (any_beginning, any_ending) {
                (false, false) => here == &**word,
                (false, true) => here.starts_with(&**word),
                (true, false) => here.ends_with(&**word),
                (true, true) => here.contains(&**word),
            };
            follow(rest, then, next_word(text, at, gap, fits)?, 0, text)
        }
        Piece::OneOf(choice) => {
            let Choice { words, others } = choice.as_ref();
            // A choice within a choice is rare; what stands behind both is then one list.
            let behind: Cow<'_, [Piece]> =
                if then.is_empty() { Cow::Borrowed(rest) } else { Cow::Owned([rest, then].concat()) };
            let first = |n: &usize, word: &str| words_behind(text, at, gap).take(*n).all(|(before, _)| before != word);
            let fitting = words_behind(text, at, gap).enumerate();
            let fitting = fitting.filter(|(n, (word, _))| words.contains(*word) && first(n, word));
            let ends = fitting.filter_map(|(_, (_, end))| follow(&behind, &[], end, 0, text));
            ends.chain(others.iter().filter_map(|one| follow(one, &behind, at, gap, text))).max()
        }
    }
}

/// The end of the first word behind `at` that `fits`, with at most `gap` words of the same clause before it.
fn next_word(text: &Text<'_>, at: usize, gap: usize, fits: impl Fn(&str) -> bool) -> Option<usize> {
    words_behind(text, at, gap).find(|(word, _)| fits(word)).map(|(_, end)| end)
}

/// The word behind `at`, and up to `gap` more of the same clause, each with its end.
fn words_behind<'t>(text: &Text<'t>, at: usize, gap: usize) -> impl Iterator<Item = (&'t str, usize)> {
    let word = |at: usize| {
        let end = text.word_end(at + 1);
        Some((text.text.get(at + 1..end)?, end))
    };
    let next = move |(before, end): &(&str, usize)| {
        if matches!(*before, "" | "." | "," | "!" | "?" | "\n") { None } else { word(*end) }
    };
    std::iter::successors(word(at), next).take(gap + 1)
}

/// A folded text whose words' ends are known: hundreds of phrases begin with the same common word, and each looks at the
/// words behind it.
struct Text<'t> {
    text: &'t str,
    /// For each byte, the place of the first blank at or behind it.
    ends: Vec<u32>,
}

impl<'t> Text<'t> {
    fn new(text: &'t str) -> Self {
        let mut end = text.len();
        let mut ends: Vec<u32> = Vec::with_capacity(text.len());
        for (at, byte) in text.bytes().enumerate().rev() {
            if byte == b' ' {
                end = at;
            }
            ends.push(u32::try_from(end).unwrap_or(u32::MAX));
        }
        ends.reverse();
        Self { text, ends }
    }

    fn word_end(&self, at: usize) -> usize {
        self.ends.get(at).map_or(self.text.len(), |end| *end as usize)
    }

    fn word_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind(' ')).map_or(0, |n| n + 1)
    }
}

/// The ways to write an entry: with each spelling, with and without its apostrophes.
fn spelled(phrase: &str, spellings: &BTreeMap<String, String>) -> Vec<String> {
    let other = spellings.iter().fold(phrase.to_owned(), |text, (letter, other)| text.replace(letter.as_str(), other));
    let mut all: Vec<String> =
        [phrase, &other].iter().flat_map(|text| [(*text).to_owned(), text.replace(['\'', '’'], "")]).collect();
    all.sort();
    all.dedup();
    all
}

/// Reads pieces up to a closing parenthesis, a `|` or the end; gives back what follows.
fn parse(mut text: &str) -> (Vec<Piece>, &str) {
    let mut pieces = Vec::new();
    loop {
        text = text.trim_start();
        let Some(first) = text.chars().next() else { return (pieces, text) };
        match first {
            ')' | '|' => return (pieces, text),
            '(' => {
                let mut choices = Vec::new();
                let mut rest = text;
                while let Some(inside) = rest.strip_prefix(['(', '|']) {
                    let (choice, behind) = parse(inside);
                    choices.push(choice);
                    rest = behind;
                }
                text = rest.strip_prefix(')').unwrap_or(rest);
                pieces.push(one_of(choices));
            }
            _ => {
                let end = text.find([' ', '(', ')', '|']).unwrap_or(text.len());
                let (word, rest) = text.split_at(end);
                pieces.extend(word_pieces(word));
                text = rest;
            }
        }
    }
}

fn one_of(choices: Vec<Vec<Piece>>) -> Piece {
    let (mut words, mut others) = (HashSet::new(), Vec::new());
    for choice in choices {
        match choice.as_slice() {
            [Piece::Word { text, any_beginning: false, any_ending: false }] => {
                words.insert(text.clone());
            }
            _ => others.push(choice),
        }
    }
    Piece::OneOf(Arc::new(Choice { words, others }))
}

/// The first word of an entry of which folding leaves nothing.
fn unfoldable(phrase: &str) -> Option<&str> {
    let words = phrase.split([' ', '(', ')', '|']).filter(|w| !w.is_empty() && *w != "..");
    words.into_iter().find(|w| fold::phrase(w.trim_matches('*')).is_empty())
}

fn word_pieces(word: &str) -> Vec<Piece> {
    if word == ".." {
        return vec![Piece::Gap];
    }
    let folded = fold::phrase(word.trim_matches('*'));
    let words: Vec<&str> = folded.split(' ').filter(|w| !w.is_empty()).collect();
    let last = words.len().saturating_sub(1);
    let piece = |(n, text): (usize, &&str)| Piece::Word {
        text: Box::from(*text),
        any_beginning: n == 0 && word.starts_with('*'),
        any_ending: n == last && word.ends_with('*'),
    };
    words.iter().enumerate().map(piece).collect()
}

/// Resolves a choice at the beginning, so that each result begins with a word.
fn beginnings(mut pieces: Vec<Piece>) -> Vec<Vec<Piece>> {
    if !matches!(pieces.first(), Some(Piece::OneOf(_))) {
        return vec![pieces];
    }
    let rest = pieces.split_off(1);
    let Some(Piece::OneOf(choice)) = pieces.pop() else { return Vec::new() };
    let word = |text: &str| vec![Piece::Word { text: text.into(), any_beginning: false, any_ending: false }];
    let first = choice.words.iter().map(|text| word(text)).chain(choice.others.iter().cloned());
    first.flat_map(|first| beginnings([first, rest.clone()].concat())).collect()
}

/// The literal that the automaton looks for (the whole words up to the first sign), and the entry behind it.
fn entry(group: Group, pieces: Vec<Piece>) -> Option<(String, Entry)> {
    let mut pieces = pieces.into_iter().peekable();
    let (mut literal, any_beginning, mut open_end) = match pieces.next()? {
        Piece::Word { text, any_beginning, any_ending } => (text.into_string(), any_beginning, any_ending),
        Piece::Gap | Piece::OneOf(_) => return None,
    };
    while !open_end && let Some(Piece::Word { text, any_beginning: false, any_ending }) = pieces.peek() {
        literal = format!("{literal} {text}");
        open_end = *any_ending;
        pieces.next();
    }
    let lead = usize::from(!any_beginning);
    let trail = usize::from(!open_end);
    let literal = format!("{}{literal}{}", " ".repeat(lead), " ".repeat(trail));
    Some((literal, Entry { group, rest: pieces.collect(), lead, trail, any_beginning, any_ending: open_end }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(entries: &[&str], text: &str) -> Vec<String> {
        let groups = [(Group::Symptom, entries.iter().map(|e| (*e).to_owned()).collect())].into();
        let phrases = Phrases::new(&groups, &[("ä".to_owned(), "ae".to_owned())].into()).unwrap();
        let folded = Folded::new(text, &[]);
        phrases.find(&folded).iter().map(|h| folded.slice(h.span).to_owned()).collect()
    }

    #[test]
    fn every_sign_does_what_it_says() {
        assert_eq!(hits(&["flicker*"], "It flickers; no unflickering."), ["flickers"]);
        assert_eq!(
            hits(&["*problem*"], "Ein Bildschirmproblem, zwei Akkuprobleme."),
            ["bildschirmproblem", "akkuprobleme"]
        );
        assert_eq!(
            hits(&["geht .. nicht"], "Die geht leider gar nicht. Das geht, aber nicht gut."),
            ["geht leider gar nicht"]
        );
        assert_eq!(hits(&["(my|the) watch is dead"], "The watch is dead. my watch is deadly"), ["the watch is dead"]);
        assert_eq!(hits(&["won't charge*"], "It won’t charge, it wont charge"), ["won t charge", "wont charge"]);
        assert_eq!(
            hits(&["(lost|lose|(must|can) find) .. (cable|big (box|sack))"], "I can find no big sack"),
            ["can find no big sack"]
        );
        assert_eq!(hits(&["lädt nicht"], "Sie laedt nicht und lädt nicht."), ["laedt nicht", "ladt nicht"]);
    }

    #[test]
    fn neighbouring_hits_share_the_blank_between_them() {
        assert_eq!(hits(&["a", "b"], "a b a"), ["a", "b", "a"]);
    }

    #[test]
    fn every_group_has_its_name() {
        assert_eq!(Group::all().len(), NAMES.len());
        assert_eq!(Group::all().last(), Some(&Group::OtherThing));
    }
}
