//! The check character of the numbers that people type: RMA numbers and case ids.
//!
//! ISBN-10's method over the prime 37: every character of `0-9A-Z` has a value below 37, every place a weight that is
//! no multiple of 37 and differs from its neighbour's. So any single wrong character and any swap of two neighbours
//! changes the sum and is caught, prefix and date included.

/// The characters that numbers of ours are drawn from: no `0`/`O`, no `1`/`I`/`L`, which people mix up.
pub const ALPHABET: &[u8; 31] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";

const PRIME: u32 = 37;

/// The check character for `body` (ASCII letters and digits; anything else counts as absent).
///
/// `None` if the character that would fit is not in [`ALPHABET`]: the caller draws another body.
pub fn character(body: &str) -> Option<char> {
    ALPHABET.iter().map(|c| char::from(*c)).find(|c| holds(&format!("{body}{c}")))
}

/// Whether the last character of `number` is the check character of what stands before it.
pub fn holds(number: &str) -> bool {
    // Weights are the powers of 2, a primitive root of 37, counted from the right: distinct for up to 36 characters.
    let mut weight = 1;
    let mut sum = 0;
    for value in number.chars().rev().filter_map(|c| c.to_digit(36)) {
        sum = (sum + weight * value) % PRIME;
        weight = weight * 2 % PRIME;
    }
    sum == 0
}

/// A letter or digit of [`ALPHABET`] chosen by `byte`.
///
/// 256 is no multiple of 31, so the first eight characters come up slightly more often; that costs no uniqueness.
pub fn letter(byte: u8) -> char {
    let index = usize::from(byte) % ALPHABET.len();
    ALPHABET.get(index).map_or('2', |c| char::from(*c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers() -> impl Strategy<Value = String> {
        "[A-Z]{1,4}[0-9]{4}[2-9A-HJKMNP-Z]{5}"
            .prop_filter_map("no check character", |body| character(&body).map(|c| format!("{body}{c}")))
    }

    proptest! {
        #[test]
        fn every_single_wrong_character_is_caught(number in numbers(), place in 0usize..14, other in "[0-9A-Z]") {
            let mut chars: Vec<char> = number.chars().collect();
            let place = place % chars.len();
            let wrong = other.chars().next().unwrap();
            prop_assume!(chars[place] != wrong);
            chars[place] = wrong;
            prop_assert!(!holds(&chars.iter().collect::<String>()));
        }

        #[test]
        fn every_swap_of_neighbours_is_caught(number in numbers(), place in 0usize..13) {
            let mut chars: Vec<char> = number.chars().collect();
            let place = place % (chars.len() - 1);
            prop_assume!(chars[place] != chars[place + 1]);
            chars.swap(place, place + 1);
            prop_assert!(!holds(&chars.iter().collect::<String>()));
        }
    }
}
