//! Makes the weights from labelled sentences: a linear model a meaning, squared hinge loss, AdaGrad. Only additions,
//! multiplications, divisions and square roots in a fixed order, so that every machine makes the same bytes.

use crate::domain::ids::LetterId;
use crate::pipeline::extract::meaning::features::{self, BUCKETS, Feature};
use crate::pipeline::extract::meaning::letter::{self, FEATURES, LetterModel, WISHES, Wish};
use crate::pipeline::extract::meaning::{MEANINGS, Meaning, Model, Used};
use crate::pipeline::extract::zone::{Kind, Zone};
use crate::pipeline::lexicon::Lexicons;
use crate::pipeline::phrases::Hit;

/// A labelled sentence.
#[derive(Debug, Clone)]
pub struct Example {
    pub language: String,
    pub sentence: String,
    pub meanings: Vec<Meaning>,
}

/// A letter, labelled by what it asks for.
#[derive(Debug, Clone)]
pub struct LabelledLetter {
    pub language: String,
    pub wish: Wish,
    pub subject: String,
    pub text: String,
}

/// What a letter of a file begins with.
const LETTER: &str = "=== ";

/// What stands before its subject in the line that begins a letter.
const SUBJECT: &str = "| subject: ";

impl LabelledLetter {
    /// The letters of a file; an error names the line that begins the letter and what is wrong with it.
    pub fn parse(language: &str, file: &str) -> Result<Vec<Self>, String> {
        let mut letters: Vec<Self> = Vec::new();
        for (at, line) in file.lines().enumerate() {
            if let Some(head) = line.strip_prefix(LETTER) {
                let (label, subject) = head.split_once(SUBJECT).unwrap_or((head, ""));
                let label = label.trim();
                let (wish, _) = WISHES
                    .iter()
                    .find(|(_, name)| *name == label)
                    .ok_or_else(|| format!("line {}: there is no label {label:?}", at + 1))?;
                let (subject, text) = (subject.trim().to_owned(), String::new());
                letters.push(Self { language: language.to_owned(), wish: *wish, subject, text });
            } else if let Some(letter) = letters.last_mut() {
                letter.text.push_str(line);
                letter.text.push('\n');
            } else {
                return Err(format!("line {}: no letter has begun", at + 1));
            }
        }
        Ok(letters)
    }

    /// Whether the letter is kept from training when the model is measured for the `fold`-th time of [`FOLDS`].
    pub fn is_held_out(&self, fold: usize) -> bool {
        Feature::Word(&self.text).bucket() % FOLDS == fold
    }

    /// Its words and its subject, read with `model`.
    pub fn zones<'a>(&'a self, model: &Model, lexicons: &'a Lexicons, id: &'a LetterId) -> [Zone<'a>; 2] {
        let known = Vec::from_iter(lexicons.of(&self.language));
        let zone = |kind, text| Zone::new(id, kind, text, &known).scored(Some(model));
        [zone(Kind::Text, &self.text), zone(Kind::Subject, &self.subject)]
    }
}

/// One in so many sentences is kept from training when the model is measured.
pub const FOLDS: usize = 5;

impl Example {
    /// The sentences of a file; an error names its line and what is wrong with it.
    pub fn parse(language: &str, file: &str) -> Result<Vec<Self>, String> {
        let lines = file.lines().enumerate();
        lines.map(|(at, line)| Self::parse_line(language, line).map_err(|e| format!("line {}: {e}", at + 1))).collect()
    }

    fn parse_line(language: &str, line: &str) -> Result<Self, String> {
        let (labels, sentence) = line.split_once('\t').ok_or("no tab between labels and sentence")?;
        let labels = labels.split(',').filter(|l| *l != "-");
        let meanings = labels
            .map(|l| serde_json::from_value(l.into()).map_err(|_| format!("there is no label {l:?}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { language: language.to_owned(), sentence: sentence.to_owned(), meanings })
    }

    /// Whether the sentence is kept from training when the model is measured.
    pub fn is_held_out(&self) -> bool {
        Feature::Word(&self.sentence).bucket() % FOLDS == 0
    }

    /// The folded sentence and the lexicon's hits in it, as the model sees them.
    pub fn seen(&self, lexicons: &Lexicons) -> (String, Vec<Hit>) {
        let letter = LetterId::from_digest(&[0; 32]);
        let zone = Zone::new(&letter, Kind::Text, &self.sentence, &Vec::from_iter(lexicons.of(&self.language)));
        (zone.folded.text, zone.hits)
    }
}

/// The model that `examples` give.
pub fn train(examples: &[Example], lexicons: &Lexicons) -> Model {
    const ROUNDS: usize = 30;
    const RATE: f32 = 0.03;
    const SHRINK: f32 = 1e-3;
    let mut rows: Vec<Row> = examples.iter().map(|e| Row::new(e, lexicons)).collect();
    let used = keep_repeated(&mut rows);
    let mut weights = vec![0.0_f32; used.count() * MEANINGS];
    let mut squares = vec![1e-6_f32; used.count() * MEANINGS];
    let mut biases = [0.0_f32; MEANINGS];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut random = Random(1);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for row in order.iter().filter_map(|i| rows.get(*i)) {
            let mut slopes = biases;
            for (place, value) in &row.features {
                for (slope, weight) in slopes.iter_mut().zip(row_of(&weights, *place)) {
                    *slope += weight * value;
                }
            }
            // From here on the slope of the loss, no longer the score.
            for (slope, target) in slopes.iter_mut().zip(row.targets) {
                *slope = -2.0 * target * (1.0 - target * *slope).max(0.0);
            }
            for (bias, slope) in biases.iter_mut().zip(slopes) {
                *bias -= 0.005 * slope;
            }
            if slopes.iter().all(|s| *s == 0.0) {
                continue;
            }
            for (place, value) in &row.features {
                let place = place * MEANINGS..(place + 1) * MEANINGS;
                let (Some(weights), Some(squares)) = (weights.get_mut(place.clone()), squares.get_mut(place)) else {
                    continue;
                };
                for ((weight, square), slope) in weights.iter_mut().zip(squares).zip(slopes) {
                    if slope != 0.0 {
                        let slope = slope * value + SHRINK * *weight;
                        *square += slope * slope;
                        *weight -= RATE * slope / square.sqrt();
                    }
                }
            }
        }
    }
    Model::from_weights(&weights, &used, biases)
}

/// The model of whole letters that `letters` give, read with the sentence model `model`: a support vector machine a wish
/// (squared hinge loss), solved in its dual, one letter after the other.
pub fn train_letters(letters: &[LabelledLetter], model: &Model, lexicons: &Lexicons) -> LetterModel {
    let id = LetterId::from_digest(&[0; 32]);
    let rows: Vec<(Vec<f32>, Wish)> =
        letters.iter().map(|l| (letter::features(&l.zones(model, lexicons, &id)), l.wish)).collect();
    let weights = WISHES.iter().flat_map(|(wish, _)| separate(&rows, |other| other == *wish)).collect();
    LetterModel { weights }
}

/// The weights, and the bias behind them, that part the rows with a wish that `is` meant from all others.
fn separate(rows: &[(Vec<f32>, Wish)], is: impl Fn(Wish) -> bool) -> Vec<f32> {
    const ROUNDS: usize = 300;
    /// What a letter on the wrong side costs.
    const COST: f32 = 0.03;
    const SOFT: f32 = 0.5 / COST;
    let mut weights = vec![0.0_f32; FEATURES + 1];
    let mut shares = vec![0.0_f32; rows.len()];
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let mut random = Random(1);
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for at in &order {
            let (Some((features, wish)), Some(share)) = (rows.get(*at), shares.get_mut(*at)) else { continue };
            let target = if is(*wish) { 1.0 } else { -1.0 };
            let size = SOFT + 1.0 + features.iter().map(|f| f * f).sum::<f32>();
            let slope = target * letter::score(&weights, features) - 1.0 + SOFT * *share;
            let next = (*share - slope / size).max(0.0);
            let step = target * (next - std::mem::replace(share, next));
            for (weight, value) in weights.iter_mut().zip(features.iter().chain([&1.0])) {
                *weight += step * value;
            }
        }
    }
    weights
}

/// Leaves out of the rows what only one sentence has, and puts in place of each bucket its place among those that are
/// left: what was seen once says little of other sentences, and takes most of the room.
fn keep_repeated(rows: &mut [Row]) -> Used {
    let mut counts = vec![0_u8; BUCKETS];
    for row in rows.iter() {
        let mut buckets: Vec<usize> = row.features.iter().map(|(bucket, _)| *bucket).collect();
        buckets.sort_unstable();
        buckets.dedup();
        for bucket in buckets {
            if let Some(count) = counts.get_mut(bucket) {
                *count = count.saturating_add(1);
            }
        }
    }
    let used = Used::of(counts.iter().enumerate().filter(|(_, count)| **count > 1).map(|(bucket, _)| bucket));
    for row in rows {
        row.features = row.features.iter().filter_map(|(bucket, value)| Some((used.rank(*bucket)?, *value))).collect();
    }
    used
}

fn row_of(weights: &[f32], place: usize) -> &[f32] {
    weights.get(place * MEANINGS..(place + 1) * MEANINGS).unwrap_or_default()
}

/// A sentence as the trainer needs it.
struct Row {
    /// Bucket, later its place among those used, and value; as the model sums them up.
    features: Vec<(usize, f32)>,
    /// 1 for each meaning it has, -1 for the others.
    targets: [f32; MEANINGS],
}

impl Row {
    fn new(example: &Example, lexicons: &Lexicons) -> Self {
        let (text, hits) = example.seen(lexicons);
        let mut features = Vec::new();
        features::each(&text, &hits, &mut |feature| features.push((feature.bucket(), f32::from(feature.weight()))));
        let norm = 1.0 / features.iter().map(|(_, weight)| weight).sum::<f32>().max(1.0).sqrt();
        for (_, value) in &mut features {
            *value *= norm;
        }
        let mut targets = [-1.0; MEANINGS];
        for (target, meaning) in targets.iter_mut().zip(Meaning::ALL) {
            if example.meanings.contains(&meaning) {
                *target = 1.0;
            }
        }
        Self { features, targets }
    }
}

/// A small generator of its own, so that the order of training never changes with a library.
struct Random(u64);

impl Random {
    /// xorshift64*.
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn shuffle(&mut self, order: &mut [usize]) {
        for last in (1..order.len()).rev() {
            order.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::Path;

    use super::*;
    use crate::domain::facts::Request;

    #[test]
    fn every_language_has_labelled_sentences_each_once() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/extract/lexicon");
        for lexicon in Lexicons::embedded().unwrap().all {
            let file = std::fs::read_to_string(folder.join(format!("{}.tsv", lexicon.language))).unwrap();
            let examples = Example::parse(&lexicon.language, &file).unwrap();
            assert!(examples.len() > 1000, "{}", lexicon.language);
            let mut seen = HashSet::new();
            for example in &examples {
                assert!(seen.insert(example.sentence.as_str()), "{}: twice: {}", lexicon.language, example.sentence);
                let both = [Meaning::What, Meaning::Broken].iter().all(|m| example.meanings.contains(m));
                assert!(!both, "{}: a symptom is no mere claim: {}", lexicon.language, example.sentence);
            }
        }
    }

    #[test]
    fn every_language_has_labelled_letters_of_each_wish() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/pipeline/extract/lexicon");
        for lexicon in Lexicons::embedded().unwrap().all {
            let file = std::fs::read_to_string(folder.join(format!("{}.letters", lexicon.language))).unwrap();
            let letters = LabelledLetter::parse(&lexicon.language, &file).unwrap();
            for (wish, name) in WISHES {
                assert!(letters.iter().any(|l| l.wish == wish), "{}: {name}", lexicon.language);
            }
        }
    }

    #[test]
    fn letters_are_parted_by_their_heads() {
        let letters =
            LabelledLetter::parse("en", "=== question | subject: Pool\nCan it swim?\n\n=== facts\nKX1\n").unwrap();
        let read: Vec<_> = letters.iter().map(|l| (l.wish, l.subject.as_str(), l.text.trim())).collect();
        assert_eq!(read, [(Some(Request::Question), "Pool", "Can it swim?"), (None, "", "KX1")]);
        assert_eq!(LabelledLetter::parse("en", "hello").unwrap_err(), "line 1: no letter has begun");
        assert_eq!(LabelledLetter::parse("en", "=== wish\n").unwrap_err(), "line 1: there is no label \"wish\"");
    }

    #[test]
    fn bad_lines_are_named() {
        assert_eq!(
            Example::parse("en", "-\thello\nwhat screen").unwrap_err(),
            "line 2: no tab between labels and sentence"
        );
        assert_eq!(Example::parse("en", "what,wen\tscreen").unwrap_err(), "line 1: there is no label \"wen\"");
    }

    #[test]
    fn training_gives_the_same_bytes_each_time_and_learns() {
        let lexicons = Lexicons::embedded().unwrap();
        let file = "what\tthe dial is dim\n-\thello dear team\nwhat\tthe dial is dark\n-\tkind regards";
        let examples = Example::parse("en", file).unwrap();
        let model = train(&examples, &lexicons);
        assert_eq!(model.to_bytes(), train(&examples, &lexicons).to_bytes());
        let score = |text: &str| model.read(&model.tally(text), 0..text.len(), &[]).of(Meaning::What);
        assert!(score(" the dial is dark ") > 0.0 && score(" kind regards ") < 0.0);
    }
}
