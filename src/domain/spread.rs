//! How numbers are spread, in bounded memory: counted in buckets less than one per cent wide.

use std::collections::BTreeMap;

/// Buckets an octave: 1/64 of a number at most lies between its bucket's edges, half of that from its middle.
const PARTS: u64 = 64;

#[derive(Debug, Default)]
pub struct Spread {
    /// At most [`PARTS`] for each of the 63 octaves.
    buckets: BTreeMap<u64, u64>,
    count: u64,
}

impl Spread {
    /// Counts a number; nothing is below 0.
    pub fn add(&mut self, number: i64) {
        *self.buckets.entry(bucket(u64::try_from(number).unwrap_or(0))).or_default() += 1;
        self.count += 1;
    }

    /// The number that this share (0 to 1) of all numbers does not exceed, within one per cent.
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut passed = 0;
        self.buckets.iter().find_map(|(bucket, count)| {
            passed += count;
            (passed >= wanted).then(|| middle(*bucket))
        })
    }
}

fn bucket(number: u64) -> u64 {
    if number < PARTS {
        return number;
    }
    let octave = u64::from(number.ilog2() - PARTS.ilog2());
    octave * PARTS + (number >> octave)
}

fn middle(bucket: u64) -> u64 {
    if bucket < 2 * PARTS {
        return bucket;
    }
    let octave = bucket / PARTS - 1;
    let low = (bucket - octave * PARTS) << octave;
    low + (1 << octave) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn quantiles_are_right_within_one_per_cent(numbers in proptest::collection::vec(0i64..100_000_000, 1..300), share in 0.01f64..1.0) {
            let mut spread = Spread::default();
            numbers.iter().for_each(|number| spread.add(*number));
            let mut sorted = numbers;
            sorted.sort_unstable();
            let exact = sorted[((sorted.len() as f64 * share).ceil() as usize).max(1) - 1] as f64;
            let told = spread.quantile(share).unwrap() as f64;
            prop_assert!((told - exact).abs() <= exact * 0.01 + 0.5, "{told} for {exact}");
        }
    }
}
