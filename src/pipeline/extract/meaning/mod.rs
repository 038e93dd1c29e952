//! What a sentence says, where no list of words holds all the ways to say it: "the stopwatch runs fast, about three
//! seconds a minute" names no symptom that anybody could list.
//!
//! A linear model per [`Meaning`] over hashed words, word pairs, pieces of words and hits of the lexicon. Its weights are
//! data, made from the labelled sentences beside the lexicons (`lexicon/<language>.tsv`) by `cargo run --release
//! --example train`, the same bytes on every machine. A sentence costs some ten microseconds. What whole letters ask for
//! is read by [`letter`].

pub mod features;

pub mod letter;

pub mod tally;

pub mod train;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::pipeline::phrases::Hit;

use self::features::BUCKETS;
use self::letter::LetterModel;

/// What a sentence may say, each judged by itself. The names are the labels of the training sentences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// A symptom.
    What,
    /// That it is broken, with no symptom.
    Broken,
    /// A moment it began or happens.
    When,
    /// A circumstance or the manner.
    How,
    /// What the customer did to solve it.
    Tried,
    /// That nothing was tried.
    Untried,
    Safety,
    Misuse,
    /// The body was opened.
    Opened,
    Flashed,
    Modified,
    /// Used on after the fault.
    Continued,
    /// Unopened or unused.
    Sealed,
    /// Package opened, or item used.
    Used,
    /// Wants to return what is not faulty.
    Return,
    /// Wants shipping costs back.
    Shipping,
    /// Wants to buy a part or a repair.
    Parts,
    /// Wrong, missing or late delivery, cancellation, invoice.
    Order,
    /// How a running case stands.
    Status,
    /// How to use it, or before buying.
    Question,
    /// Solved, or thanks that close.
    Closing,
    /// Something asked for can't be given.
    Gone,
    /// Where a code is to be found.
    Where,
    /// A picture shows the packaging.
    Packaging,
    /// When the item arrived.
    Received,
    /// Lawyer, legal guarantee, consumer agency, chargeback, data protection.
    Legal,
}

/// The number of meanings.
pub const MEANINGS: usize = 26;

impl Meaning {
    /// All meanings, in the order of the weights.
    pub const ALL: [Self; MEANINGS] = [
        Self::What,
        Self::Broken,
        Self::When,
        Self::How,
        Self::Tried,
        Self::Untried,
        Self::Safety,
        Self::Misuse,
        Self::Opened,
        Self::Flashed,
        Self::Modified,
        Self::Continued,
        Self::Sealed,
        Self::Used,
        Self::Return,
        Self::Shipping,
        Self::Parts,
        Self::Order,
        Self::Status,
        Self::Question,
        Self::Closing,
        Self::Gone,
        Self::Where,
        Self::Packaging,
        Self::Received,
        Self::Legal,
    ];

    /// Whether it tells what happened to the item, rather than what is wanted.
    pub fn is_account(self) -> bool {
        matches!(
            self,
            Self::What
                | Self::Broken
                | Self::When
                | Self::How
                | Self::Safety
                | Self::Misuse
                | Self::Opened
                | Self::Flashed
                | Self::Modified
                | Self::Continued
        )
    }

    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::What => "what",
            Self::Broken => "broken",
            Self::When => "when",
            Self::How => "how",
            Self::Tried => "tried",
            Self::Untried => "untried",
            Self::Safety => "safety",
            Self::Misuse => "misuse",
            Self::Opened => "opened",
            Self::Flashed => "flashed",
            Self::Modified => "modified",
            Self::Continued => "continued",
            Self::Sealed => "sealed",
            Self::Used => "used",
            Self::Return => "return",
            Self::Shipping => "shipping",
            Self::Parts => "parts",
            Self::Order => "order",
            Self::Status => "status",
            Self::Question => "question",
            Self::Closing => "closing",
            Self::Gone => "gone",
            Self::Where => "where",
            Self::Packaging => "packaging",
            Self::Received => "received",
            Self::Legal => "legal",
        }
    }

    /// Whether a sentence says so: its score, and whether the lexicon says so too.
    pub fn is_said(self, score: f32, by_words: bool) -> bool {
        let (alone, with_words) = self.thresholds();
        score > if by_words { with_words } else { alone }
    }

    /// Whether what is said is said by more than a hair.
    pub fn is_clear(self, score: f32, by_words: bool) -> bool {
        const HAIR: f32 = 0.2;
        self.is_said(score - HAIR, by_words)
    }

    /// The scores that are enough for the model alone, and together with the words of the lexicon. Set by what a mistake
    /// costs: a sealed box misread is a wrong RMA, so it has to be said plainly; a danger overlooked hurts people, so it
    /// need not; a question too many only annoys. Scores between these and [`signals::doubt`] send a letter to a person
    /// rather than let it have an RMA.
    ///
    /// [`signals::doubt`]: crate::pipeline::extract::signals::doubt
    fn thresholds(self) -> (f32, f32) {
        match self {
            Self::What => (-0.2, -0.6),
            Self::When => (-0.2, -0.8),
            Self::How => (-0.3, -0.8),
            Self::Tried => (-0.1, -1.2),
            Self::Untried => (0.0, -1.0),
            Self::Broken => (0.0, -0.8),
            Self::Safety => (-0.1, -0.6),
            Self::Misuse | Self::Opened | Self::Modified => (0.0, -0.6),
            Self::Flashed | Self::Continued => (0.0, -0.9),
            Self::Sealed => (0.15, -0.6),
            Self::Used => (-0.15, -0.8),
            Self::Return => (-0.1, -0.7),
            Self::Shipping => (-0.2, -1.5),
            Self::Parts => (0.0, -0.7),
            Self::Order => (0.0, -0.6),
            Self::Status => (0.0, -0.7),
            Self::Question => (0.0, -0.6),
            Self::Closing => (0.2, -0.7),
            Self::Received => (-0.2, -0.8),
            Self::Gone | Self::Packaging | Self::Legal | Self::Where => (-0.1, -0.8),
        }
    }
}

/// How far a sentence lies on the side of each meaning: above 0 it rather says so, beyond 1 in either direction the
/// model is as sure as it gets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores([f32; MEANINGS]);

impl Scores {
    pub fn of(&self, meaning: Meaning) -> f32 {
        self.0.get(meaning as usize).copied().unwrap_or_default()
    }

    /// The higher score of each meaning that a piece of a sentence tells as well as the whole: no denial lies outside it.
    pub fn or_piece(mut self, piece: Self) -> Self {
        const TOLD: [Meaning; 11] = [
            Meaning::What,
            Meaning::When,
            Meaning::How,
            Meaning::Tried,
            Meaning::Untried,
            Meaning::Used,
            Meaning::Parts,
            Meaning::Order,
            Meaning::Return,
            Meaning::Shipping,
            Meaning::Received,
        ];
        for meaning in TOLD {
            if let Some(score) = self.0.get_mut(meaning as usize) {
                *score = score.max(piece.of(meaning));
            }
        }
        self
    }
}

/// The trained weights.
#[derive(Debug, Clone)]
pub struct Model {
    /// What one step of each meaning's weights is worth.
    steps: [f32; MEANINGS],
    biases: [f32; MEANINGS],
    /// Which buckets have weights: most features were never seen in training.
    used: Used,
    /// By used bucket, then by meaning: signed steps.
    weights: Cow<'static, [u8]>,
    /// Of whole letters; without weights it is silent.
    pub letters: LetterModel,
}

/// The first bytes of a file of weights; the digit counts changes of the layout or the features.
const MAGIC: &[u8; 8] = b"asweigh2";

/// The most buckets with weights: the program grows by as many times [`MEANINGS`] bytes.
const ROWS: usize = 225_000;

static WEIGHTS: &[u8] = include_bytes!("weights.bin");

impl Model {
    /// The weights built into the program.
    pub fn embedded() -> Result<Self, String> {
        const HEAD: usize = MAGIC.len() + 4 * (2 * MEANINGS + LetterModel::LENGTH);
        let (head, weights) = WEIGHTS.split_at_checked(HEAD).ok_or("weights.bin is cut short")?;
        let (magic, numbers) = head.split_at_checked(MAGIC.len()).unwrap_or_default();
        let (used, weights) = weights.split_at_checked(BUCKETS / 8).ok_or("weights.bin is cut short")?;
        let used = Used::from_bytes(used);
        if magic != MAGIC || weights.len() != used.count() * MEANINGS {
            return Err(
                "weights.bin was made for another version: run `cargo run --release --example train`".to_owned()
            );
        }
        let mut numbers = numbers.chunks_exact(4).filter_map(|b| Some(f32::from_le_bytes(b.try_into().ok()?)));
        let mut take = || std::array::from_fn(|_| numbers.next().unwrap_or_default());
        let (steps, biases) = (take(), take());
        let letters = LetterModel { weights: numbers.collect() };
        Ok(Self { steps, biases, used, weights: Cow::Borrowed(weights), letters })
    }

    /// The same with another model of whole letters.
    pub fn with_letters(self, letters: LetterModel) -> Self {
        Self { letters, ..self }
    }

    /// The contents of the file of weights.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers = self.steps.iter().chain(&self.biases).chain(&self.letters.weights).flat_map(|n| n.to_le_bytes());
        MAGIC.iter().copied().chain(numbers).chain(self.used.to_bytes()).chain(self.weights.iter().copied()).collect()
    }

    /// Rounds each meaning's weights to 127 steps on either side, and leaves out the faintest rows where there are more
    /// than [`ROWS`]. `weights` has a row for each of the `used` buckets.
    fn from_weights(weights: &[f32], used: &Used, biases: [f32; MEANINGS]) -> Self {
        let mut largest = [0.0_f32; MEANINGS];
        for row in weights.chunks_exact(MEANINGS) {
            for (largest, weight) in largest.iter_mut().zip(row) {
                *largest = largest.max(weight.abs());
            }
        }
        let steps = largest.map(|l| l.max(f32::MIN_POSITIVE) / 127.0);
        let loudness = |row: &[f32]| row.iter().zip(steps).map(|(w, step)| (w / step).abs()).fold(0.0, f32::max);
        let mut rows: Vec<(usize, &[f32])> = used.buckets().zip(weights.chunks_exact(MEANINGS)).collect();
        rows.sort_by(|(_, a), (_, b)| loudness(b).total_cmp(&loudness(a)));
        rows.truncate(ROWS);
        rows.sort_by_key(|(bucket, _)| *bucket);
        let round = |row: &[f32]| row.iter().zip(steps).map(|(w, step)| (w / step).round() as i8 as u8).collect();
        let rounded: Vec<Vec<u8>> = rows.iter().map(|(_, row)| round(row)).collect();
        Self {
            steps,
            biases,
            used: Used::of(rows.iter().map(|(bucket, _)| *bucket)),
            weights: Cow::Owned(rounded.concat()),
            letters: LetterModel::default(),
        }
    }

    /// The words that spoke most for a meaning, strongest first, for people to read.
    pub fn reasons(&self, sentence: &str, hits: &[Hit], meaning: Meaning) -> Vec<String> {
        const SHOWN: usize = 3;
        let mut reasons: Vec<(i8, String)> = Vec::new();
        features::each(sentence, hits, &mut |feature| {
            let weight = self.row(feature.bucket()).get(meaning as usize).copied().unwrap_or_default() as i8;
            if let Some(name) = (weight > 0).then(|| feature.name()).flatten() {
                reasons.push((weight, name));
            }
        });
        reasons.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let mut shown: Vec<String> = Vec::new();
        for (_, name) in reasons {
            if shown.len() < SHOWN && shown.iter().all(|s| !s.contains(&name) && !name.contains(s.as_str())) {
                shown.push(name);
            }
        }
        shown
    }

    /// The weights of a bucket; none if it has none.
    fn row(&self, bucket: usize) -> &[u8] {
        let row = self.used.rank(bucket).map(|rank| rank * MEANINGS..(rank + 1) * MEANINGS);
        row.and_then(|row| self.weights.get(row)).unwrap_or_default()
    }
}

/// A set of buckets, each with its place among them.
#[derive(Debug, Clone)]
struct Used {
    /// A bit for each bucket.
    words: Vec<u64>,
    /// How many buckets are used before those of each word.
    before: Vec<u32>,
}

impl Used {
    fn new(words: Vec<u64>) -> Self {
        let counted = words.iter().scan(0, |count, word| {
            let before = *count;
            *count += word.count_ones();
            Some(before)
        });
        let before = counted.collect();
        Self { words, before }
    }

    fn of(buckets: impl Iterator<Item = usize>) -> Self {
        let mut words = vec![0_u64; BUCKETS / 64];
        for bucket in buckets {
            if let Some(word) = words.get_mut(bucket / 64) {
                *word |= 1 << (bucket % 64);
            }
        }
        Self::new(words)
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        Self::new(bytes.chunks_exact(8).filter_map(|b| Some(u64::from_le_bytes(b.try_into().ok()?))).collect())
    }

    fn to_bytes(&self) -> impl Iterator<Item = u8> {
        self.words.iter().flat_map(|word| word.to_le_bytes())
    }

    fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn buckets(&self) -> impl Iterator<Item = usize> {
        (0..BUCKETS).filter(|bucket| self.rank(*bucket).is_some())
    }

    /// The place of a bucket among the used ones.
    fn rank(&self, bucket: usize) -> Option<usize> {
        let word = self.words.get(bucket / 64)?;
        let bit = 1_u64 << (bucket % 64);
        let before = self.before.get(bucket / 64)?;
        (word & bit != 0).then(|| (before + (word & (bit - 1)).count_ones()) as usize)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::ids::LetterId;
    use crate::pipeline::extract::zone::{Kind, Zone};
    use crate::pipeline::lexicon::Lexicons;

    /// What a sentence says by the model alone.
    fn said(language: &str, sentence: &str) -> Vec<Meaning> {
        let (lexicons, model) = (Lexicons::embedded().unwrap(), Model::embedded().unwrap());
        let letter = LetterId::from_digest(&[0; 32]);
        let zone = Zone::new(&letter, Kind::Text, sentence, &[lexicons.of(language).unwrap()]).scored(Some(&model));
        let sentences = &zone.folded.sentences;
        Meaning::ALL.into_iter().filter(|m| sentences.iter().any(|s| zone.says(*s, *m, false))).collect()
    }

    #[test]
    fn symptoms_are_understood_in_words_that_no_list_holds() {
        for (language, sentence) in [
            ("en", "The stopwatch runs fast, about three seconds a minute."),
            ("de", "Der Schrittzähler springt beim Autofahren auf neuntausend."),
            ("fr", "La boussole indique le sud quand je marche vers le nord."),
            ("es", "El cronómetro se adelanta tres segundos por minuto."),
            ("it", "La bussola segna sempre la stessa direzione."),
            ("pt", "O cronómetro adianta três segundos por minuto."),
            ("nl", "Het kompas wijst steeds dezelfde kant op."),
            ("pl", "Kompas pokazuje cały czas ten sam kierunek."),
        ] {
            assert!(said(language, sentence).contains(&Meaning::What), "{sentence}");
        }
    }

    #[test]
    fn what_is_denied_or_told_of_others_is_not_said() {
        for (language, sentence) in [
            ("en", "I have never dropped it and nobody has opened it."),
            ("de", "Sie ist nie heruntergefallen und war nie im Wasser."),
            ("fr", "Elle n'est jamais tombée et personne ne l'a ouverte."),
            ("es", "Nunca se me ha caído ni lo he abierto."),
            ("it", "Non è mai caduto e nessuno lo ha aperto."),
            ("pt", "Nunca caiu ao chão e ninguém o abriu."),
            ("nl", "Hij is nooit gevallen en niemand heeft hem opengemaakt."),
            ("pl", "Nigdy nie upadł i nikt go nie otwierał."),
        ] {
            let said = said(language, sentence);
            assert!(!said.contains(&Meaning::Misuse) && !said.contains(&Meaning::Opened), "{sentence}: {said:?}");
        }
    }

    #[test]
    fn the_reasons_are_words_of_the_sentence() {
        let model = Model::embedded().unwrap();
        let reasons = model.reasons(" the battery swelled and burned my wrist . ", &[], Meaning::Safety);
        assert!(
            !reasons.is_empty()
                && reasons.iter().all(|r| r
                    .split(' ')
                    .all(|w| w == "…" || w == "." || "the battery swelled and burned my wrist".contains(w))),
            "{reasons:?}"
        );
    }

    #[test]
    fn each_meaning_stands_at_its_place_and_has_the_name_of_its_label() {
        for (at, meaning) in Meaning::ALL.into_iter().enumerate() {
            assert_eq!(meaning as usize, at);
            let label = serde_json::to_value(meaning).unwrap();
            assert_eq!(meaning.name(), label.as_str().unwrap());
        }
    }

    #[test]
    fn weights_survive_the_way_to_the_file() {
        let model = Model::embedded().unwrap();
        assert_eq!(model.to_bytes(), WEIGHTS);
    }

    proptest! {
        #[test]
        fn a_part_reads_as_it_would_by_itself(words in prop::collection::vec("[a-z0-9]{1,9}", 1..200), cut in 0..200usize) {
            let model = Model::embedded().unwrap();
            let (before, part) = words.split_at(cut.min(words.len()));
            let (before, part) = (format!(" {} ", before.join(" ")), format!(" {} ", part.join(" ")));
            let whole = format!("{}{}", before.trim_end(), part);
            let there = before.trim_end().len()..whole.len();
            let (in_whole, alone) = (model.tally(&whole), model.tally(&part));
            prop_assert_eq!(model.read(&in_whole, there, &[]), model.read(&alone, 0..part.len(), &[]));
        }

        #[test]
        fn any_text_is_read(text in "\\PC{0,300}") {
            let model = Model::embedded().unwrap();
            let scores = model.read(&model.tally(&text), 0..text.len(), &[]);
            prop_assert!(Meaning::ALL.iter().all(|m| scores.of(*m).is_finite()));
        }
    }
}
