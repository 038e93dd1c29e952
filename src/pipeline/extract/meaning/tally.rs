//! What the words of a sentence add up to, each by itself and with those before it, so that the pieces of a sentence are
//! read without hashing their words again.

use std::ops::Range;

use crate::pipeline::phrases::Hit;

use super::features::{self, Feature, Words};
use super::{MEANINGS, Model, Scores};

/// A sentence, ready to be read as a whole and in pieces.
#[derive(Debug)]
pub struct Tally {
    words: Words,
    /// Of each word by itself, with the one before it, and with the second one before it.
    sums: Vec<[Sum; 3]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    weights: [i32; MEANINGS],
    count: u32,
}

impl Model {
    /// Adds up a folded sentence.
    pub fn tally(&self, sentence: &str) -> Tally {
        let words = Words::of(sentence);
        let mut sums = vec![[Sum::default(); 3]; words.all().len()];
        for (at, [alone, with_one, with_two]) in sums.iter_mut().enumerate() {
            words.alone(at, &mut |feature| self.add(alone, feature));
            if at >= 1 {
                words.with_one_before(at, &mut |feature| self.add(with_one, feature));
            }
            if at >= 2 {
                words.with_two_before(at, &mut |feature| self.add(with_two, feature));
            }
        }
        Tally { words, sums }
    }

    /// Reads the part of a sentence between two of its bytes, with the lexicon's hits in that part.
    pub fn read(&self, tally: &Tally, part: Range<usize>, hits: &[Hit]) -> Scores {
        let words = tally.words.in_reach(tally.words.beginning_in(part));
        let mut sum = Sum::default();
        for (order, sums) in tally.sums.get(words.clone()).unwrap_or_default().iter().enumerate() {
            sums.iter().take(order + 1).for_each(|other| sum.add(other));
        }
        tally.words.ends(words, &mut |feature| self.add(&mut sum, feature));
        features::of_hits(hits, &mut |feature| self.add(&mut sum, feature));

        let norm = 1.0 / (sum.count.max(1) as f32).sqrt();
        let mut scores = self.biases;
        for ((score, weight), step) in scores.iter_mut().zip(sum.weights).zip(self.steps) {
            *score += weight as f32 * step * norm;
        }
        Scores(scores)
    }

    fn add(&self, sum: &mut Sum, feature: Feature<'_>) {
        sum.count += u32::from(feature.weight());
        for (weight, step) in sum.weights.iter_mut().zip(self.row(feature.bucket())) {
            *weight += i32::from(*step as i8) * i32::from(feature.weight());
        }
    }
}

impl Sum {
    fn add(&mut self, other: &Self) {
        self.count += other.count;
        for (weight, more) in self.weights.iter_mut().zip(other.weights) {
            *weight += more;
        }
    }
}
