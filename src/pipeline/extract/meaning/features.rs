//! The features of a sentence, hashed into buckets: the same for training and for reading.

use std::ops::Range;

use crate::pipeline::phrases::{Group, Hit};

/// The number of buckets, a power of two.
pub const BUCKETS: usize = 1 << 20;

/// The most words of a sentence that are looked at.
const REACH: usize = 120;

/// The longest word, in letters, that is cut into pieces.
const LONGEST: usize = 24;

/// One feature.
#[derive(Debug, Clone, Copy)]
pub enum Feature<'a> {
    Word(&'a str),
    Pair(&'a str, &'a str),
    /// Two words with one between them.
    Around(&'a str, &'a str),
    First(&'a str),
    Last(&'a str),
    /// The beginning of a word, which its forms share.
    Stem(&'a str),
    /// Two words' beginnings.
    Stems(&'a str, &'a str),
    /// A piece of a word, with a blank at the word's ends.
    Piece(&'a str),
    /// A hit of the lexicon.
    Hit(Group),
    /// Two hits, one after the other.
    Hits(Group, Group),
}

impl Feature<'_> {
    /// The bucket that the feature falls into.
    pub fn bucket(self) -> usize {
        let hash = match self {
            Self::Word(word) => Hash::of(1).text(word),
            Self::Pair(one, two) => Hash::of(2).text(one).text(two),
            Self::Around(one, two) => Hash::of(3).text(one).text(two),
            Self::First(word) => Hash::of(5).text(word),
            Self::Last(word) => Hash::of(6).text(word),
            Self::Piece(piece) => Hash::of(7).text(piece),
            Self::Stem(stem) => Hash::of(10).text(stem),
            Self::Stems(one, two) => Hash::of(11).text(one).text(two),
            Self::Hit(group) => Hash::of(8).byte(group as u8),
            Self::Hits(one, two) => Hash::of(9).byte(one as u8).byte(two as u8),
        };
        hash.bucket()
    }

    /// How often the feature counts: there is one hit of the lexicon where there are dozens of pieces of words.
    pub fn weight(self) -> u16 {
        match self {
            Self::Hit(_) => 6,
            _ => 1,
        }
    }

    /// The words of the feature, for people; `None` for parts of words.
    pub fn name(self) -> Option<String> {
        match self {
            Self::Word(word) | Self::First(word) | Self::Last(word) => {
                word.chars().any(char::is_alphanumeric).then(|| word.to_owned())
            }
            Self::Pair(one, two) => Some(format!("{one} {two}")),
            Self::Around(one, two) => Some(format!("{one} … {two}")),
            Self::Stem(_) | Self::Stems(..) | Self::Piece(_) | Self::Hit(_) | Self::Hits(..) => None,
        }
    }
}

/// Calls `take` with each feature of a folded sentence and of the lexicon's hits in it.
pub fn each(sentence: &str, hits: &[Hit], take: &mut impl FnMut(Feature<'_>)) {
    let words = Words::of(sentence);
    let all = words.in_reach(words.all());
    for at in all.clone() {
        words.alone(at, take);
    }
    for at in all.clone().skip(1) {
        words.with_one_before(at, take);
    }
    for at in all.clone().skip(2) {
        words.with_two_before(at, take);
    }
    words.ends(all, take);
    of_hits(hits, take);
}

/// The features of the lexicon's hits.
pub fn of_hits(hits: &[Hit], take: &mut impl FnMut(Feature<'_>)) {
    let mut before = None;
    for group in hits.iter().map(|h| h.group) {
        take(Feature::Hit(group));
        if let Some(before) = before.replace(group) {
            take(Feature::Hits(before, group));
        }
    }
}

/// The words of a folded sentence, numbers by their shape.
#[derive(Debug)]
pub struct Words {
    plain: String,
    /// Where each word begins in the sentence, and where it ends in `plain`.
    places: Vec<(usize, usize)>,
}

impl Words {
    pub fn of(sentence: &str) -> Self {
        let mut plain = String::with_capacity(sentence.len());
        let mut places = Vec::new();
        let mut start = 0;
        for word in sentence.split(' ') {
            if !word.is_empty() {
                push_plain(&mut plain, word);
                places.push((start, plain.len()));
            }
            start += word.len() + 1;
        }
        Self { plain, places }
    }

    pub fn all(&self) -> Range<usize> {
        0..self.places.len()
    }

    /// The words that begin in this part of the sentence.
    pub fn beginning_in(&self, part: Range<usize>) -> Range<usize> {
        let first = |at: usize| self.places.partition_point(|(start, _)| *start < at);
        first(part.start)..first(part.end)
    }

    /// As many of these words as are looked at.
    pub fn in_reach(&self, range: Range<usize>) -> Range<usize> {
        range.start..range.end.min(range.start + REACH)
    }

    /// The features of a word by itself.
    pub fn alone(&self, at: usize, take: &mut impl FnMut(Feature<'_>)) {
        let word = self.word(at);
        take(Feature::Word(word));
        pieces(word, take);
        take(Feature::Stem(stem(word)));
    }

    /// The features of a word and the one before it.
    pub fn with_one_before(&self, at: usize, take: &mut impl FnMut(Feature<'_>)) {
        let (one, two) = (self.word(at.wrapping_sub(1)), self.word(at));
        take(Feature::Pair(one, two));
        take(Feature::Stems(stem(one), stem(two)));
    }

    /// The feature of a word and the second one before it.
    pub fn with_two_before(&self, at: usize, take: &mut impl FnMut(Feature<'_>)) {
        take(Feature::Around(self.word(at.wrapping_sub(2)), self.word(at)));
    }

    /// The features of the first and the last of these words.
    pub fn ends(&self, range: Range<usize>, take: &mut impl FnMut(Feature<'_>)) {
        if !range.is_empty() {
            take(Feature::First(self.word(range.start)));
            take(Feature::Last(self.word(range.end - 1)));
        }
    }

    fn word(&self, at: usize) -> &str {
        let end = |at: usize| self.places.get(at).map(|(_, end)| *end);
        let start = at.checked_sub(1).and_then(end).unwrap_or_default();
        end(at).and_then(|end| self.plain.get(start..end)).unwrap_or_default()
    }
}

/// Numbers and codes are told apart by their shape only: `ks13377` becomes `ks0`, `22.07.2026` becomes `0.0.0`.
fn push_plain(text: &mut String, word: &str) {
    let mut in_number = false;
    for char in word.chars() {
        if char.is_ascii_digit() {
            if !in_number {
                text.push('0');
            }
            in_number = true;
        } else {
            text.push(char);
            in_number = false;
        }
    }
}

/// The first five letters.
fn stem(word: &str) -> &str {
    const LENGTH: usize = 5;
    word.char_indices().nth(LENGTH).and_then(|(end, _)| word.get(..end)).unwrap_or(word)
}

/// The pieces of three and four letters of a word.
fn pieces(word: &str, take: &mut impl FnMut(Feature<'_>)) {
    if !word.chars().all(char::is_alphabetic) {
        return;
    }
    let padded: String = std::iter::once(' ').chain(word.chars().take(LONGEST)).chain(std::iter::once(' ')).collect();
    let places: Vec<usize> = padded.char_indices().map(|(at, _)| at).chain(std::iter::once(padded.len())).collect();
    for length in 3..=4 {
        for window in places.windows(length + 1) {
            if let (Some(start), Some(end)) = (window.first(), window.last()) {
                take(Feature::Piece(padded.get(*start..*end).unwrap_or_default()));
            }
        }
    }
}

/// FNV-1a over the parts of a feature.
#[derive(Clone, Copy)]
struct Hash(u64);

impl Hash {
    fn of(kind: u8) -> Self {
        Self(0xcbf2_9ce4_8422_2325).byte(kind)
    }

    fn byte(self, byte: u8) -> Self {
        Self((self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    fn text(self, text: &str) -> Self {
        text.bytes().fold(self, Self::byte).byte(0)
    }

    /// The upper bits of a multiplied hash are the well mixed ones.
    fn bucket(self) -> usize {
        (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.trailing_zeros())) as usize
    }
}
