//! What a letter as a whole asks for. "Does it survive a swim? My last one drowned" tells a fault in one sentence and asks
//! a question in another; which of the two the letter is about shows only in all its sentences together.
//!
//! A linear model per [`Wish`] over what the sentence model and the lexicon read in each sentence. Its features know no
//! word of any language, so that what is learnt in one holds for all.

use crate::domain::facts::Request;
use crate::pipeline::extract::meaning::{MEANINGS, Meaning};
use crate::pipeline::extract::zone::{Kind, Zone};
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::GROUPS;

/// What a letter may ask for; `None` if it only brings facts.
pub type Wish = Option<Request>;

/// All wishes, in the order of the weights, with the labels of the training letters.
pub const WISHES: [(Wish, &str); 11] = [
    (Some(Request::Defect), "defect"),
    (Some(Request::ReturnUnused), "return_unused"),
    (Some(Request::ReturnOpened), "return_opened"),
    (Some(Request::ShippingReimbursement), "shipping_reimbursement"),
    (Some(Request::SpareParts), "spare_parts"),
    (Some(Request::OrderIssue), "order_issue"),
    (Some(Request::Status), "status"),
    (Some(Request::Question), "question"),
    (Some(Request::Closing), "closing"),
    (Some(Request::Other), "other"),
    (None, "facts"),
];

/// What the scores of a letter's sentences are summed up to, a number of [`MEANINGS`] each.
#[derive(Debug, Clone, Copy)]
enum Sum {
    Highest,
    SecondHighest,
    Mean,
    First,
    Last,
    Subject,
    OfQuestions,
}

/// The number of features: the sums, the lexicon's groups, and how the letter is built.
pub const FEATURES: usize = 7 * MEANINGS + GROUPS + BUILD;

/// The number of features of how the letter is built.
const BUILD: usize = 6;

/// How far the model lies on the side of each wish.
#[derive(Debug, Clone, PartialEq)]
pub struct Wishes(Vec<(Wish, f32)>);

impl Wishes {
    /// The likeliest wish, and by how much it leads the next one.
    pub fn best(&self) -> (Wish, f32) {
        let mut sorted = self.0.clone();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1));
        let score = |at: usize| sorted.get(at).map_or(0.0, |(_, score)| *score);
        (sorted.first().and_then(|(wish, _)| *wish), score(0) - score(1))
    }

    pub fn of(&self, wish: Wish) -> f32 {
        self.0.iter().find(|(w, _)| *w == wish).map_or(0.0, |(_, score)| *score)
    }
}

/// The trained weights of the letters' model.
#[derive(Debug, Clone, Default)]
pub struct LetterModel {
    /// By wish: a weight for each feature, then the bias.
    pub(super) weights: Vec<f32>,
}

impl LetterModel {
    pub(super) const LENGTH: usize = WISHES.len() * (FEATURES + 1);

    /// Reads a letter: its words, and its subject if that was written now.
    pub fn read(&self, zones: &[Zone<'_>]) -> Wishes {
        let features = features(zones);
        let scores = self.weights.chunks_exact(FEATURES + 1).map(|weights| score(weights, &features));
        Wishes(WISHES.iter().map(|(wish, _)| *wish).zip(scores).collect())
    }
}

/// `weights` are those of the features and the bias.
pub(super) fn score(weights: &[f32], features: &[f32]) -> f32 {
    let sum: f32 = weights.iter().zip(features).map(|(weight, feature)| weight * feature).sum();
    sum + weights.last().copied().unwrap_or_default()
}

/// What the model looks at: [`FEATURES`] numbers between 0 and about 2.
pub(super) fn features(zones: &[Zone<'_>]) -> Vec<f32> {
    let none = Vec::new();
    let text = zones.iter().find(|z| z.kind() == Kind::Text);
    let sentences = text.map_or(&none, |z| &z.folded.sentences);
    let subject = zones.iter().find(|z| z.kind() == Kind::Subject);
    let subject_line = subject.and_then(|z| z.folded.sentences.first());
    let is_question = |s: &Span| text.is_some_and(|z| z.folded.is_question(*s));
    let mut features = Vec::with_capacity(FEATURES);
    // A name or a greeting is not what the letter begins or ends with.
    let is_long = |s: &&Span| text.is_some_and(|z| z.folded.slice(**s).split_whitespace().count() > 4);
    let first = sentences.iter().find(is_long).or(sentences.first());
    let last = sentences.iter().rev().find(is_long).or(sentences.first());
    for meaning in Meaning::ALL {
        let score = |zone: Option<&Zone<'_>>, sentence: Option<&Span>| {
            let score = sentence.and_then(|s| zone?.score(*s, meaning));
            score.map_or(0.0, |score| score.clamp(-1.2, 1.2) + 1.0)
        };
        let mut sums = [0.0_f32; 7];
        let mut set = |sum: Sum, value: f32| {
            if let Some(place) = sums.get_mut(sum as usize) {
                *place = value;
            }
        };
        let mut scores: Vec<f32> = sentences.iter().map(|s| score(text, Some(s))).collect();
        set(Sum::Mean, scores.iter().sum::<f32>() / scores.len().max(1) as f32);
        scores.sort_by(|a, b| b.total_cmp(a));
        set(Sum::Highest, scores.first().copied().unwrap_or_default());
        set(Sum::SecondHighest, scores.get(1).copied().unwrap_or_default());
        set(Sum::First, score(text, first));
        set(Sum::Last, score(text, last));
        set(Sum::Subject, score(subject, subject_line));
        let asked = sentences.iter().filter(|s| is_question(s)).map(|s| score(text, Some(s)));
        set(Sum::OfQuestions, asked.max_by(f32::total_cmp).unwrap_or_default());
        features.extend(sums);
    }
    let mut hits = [0.0_f32; GROUPS];
    for hit in text.iter().flat_map(|z| &z.hits) {
        if let Some(count) = hits.get_mut(hit.group as usize) {
            *count = (*count + 0.5).min(1.0);
        }
    }
    features.extend(hits);
    let questions = sentences.iter().filter(|s| is_question(s)).count();
    let yes = |is: bool| if is { 1.0 } else { 0.0 };
    let share = |count: usize, of: usize| count.min(of) as f32 / of as f32;
    let build: [f32; BUILD] = [
        share(questions, 3),
        yes(sentences.last().is_some_and(is_question)),
        yes(sentences.iter().rev().take(3).any(is_question)),
        yes(sentences.is_empty()),
        share(sentences.len(), 10),
        share(text.map_or(0, |z| z.text.len()), 1500),
    ];
    features.extend(build);
    features
}
