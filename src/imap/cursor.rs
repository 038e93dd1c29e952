//! UIDVALIDITY and UID arithmetic: where to go on, how much at a time, and how to say it in a command.
//!
//! Pure: knows neither the connection nor the clock.

use std::fmt::Write;

use jiff::Timestamp;

use crate::ports::Position;

/// A UID set stays below this length: servers bound the length of a command line (RFC 7162 section 4 advises 8,192
/// octets, older ones take 1,000).
const SET_LENGTH: usize = 1000;

/// A letter that the server says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub uid: u32,
    /// `RFC822.SIZE` in bytes; some servers only guess it.
    pub size: u64,
    /// `INTERNALDATE`: when it came to this mailbox.
    pub stored: Option<Timestamp>,
}

/// Where in the selected folder to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// Nothing was ever taken from this folder.
    Beginning,
    /// The folder's UIDs are not those of the mark (UIDVALIDITY changed, RFC 3501 section 2.3.1.1): take all of it again.
    Renewed { before: u32 },
    /// All up to this UID was taken.
    Above(u32),
}

impl Start {
    /// Compares the mark with the folder as it is selected now.
    pub fn of(after: Option<&Position>, folder: &str, validity: u32) -> Self {
        match after {
            Some(mark) if mark.folder == folder && mark.validity == validity => Self::Above(mark.uid),
            Some(mark) if mark.folder == folder => Self::Renewed { before: mark.validity },
            _ => Self::Beginning,
        }
    }

    /// The lowest UID that is still to be taken, or `None` if there can't be any above the mark.
    pub fn first(self) -> Option<u32> {
        match self {
            Self::Beginning | Self::Renewed { .. } => Some(1),
            Self::Above(uid) => uid.checked_add(1),
        }
    }
}

/// How many of the waiting letters go into one batch: at most `most`, together at most `bytes`, all of them no larger
/// than `whole`. A letter that is too large for company goes alone, so the answer is 0 only for no letters.
pub(super) fn batch_length(waiting: &[Listed], most: usize, bytes: u64, whole: u64) -> usize {
    let mut sum = 0u64;
    let fitting = waiting
        .iter()
        .take(most)
        .take_while(|letter| {
            sum = sum.saturating_add(letter.size);
            sum <= bytes && letter.size <= whole
        })
        .count();
    fitting.max(1).min(waiting.len())
}

/// UID sets that name just these ascending UIDs, consecutive ones as ranges, each set shorter than 1,000 characters.
pub(super) fn sets(uids: &[u32]) -> Vec<String> {
    let mut sets: Vec<String> = Vec::new();
    for (first, last) in runs(uids) {
        let mut range = first.to_string();
        if last > first {
            // Writing to a String can't fail.
            let _ = write!(range, ":{last}");
        }
        match sets.last_mut() {
            Some(set) if set.len() + 1 + range.len() < SET_LENGTH => {
                set.push(',');
                set.push_str(&range);
            }
            _ => sets.push(range),
        }
    }
    sets
}

fn runs(uids: &[u32]) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &uid in uids {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(uid) => *last = uid,
            Some((_, last)) if *last == uid => {}
            _ => runs.push((uid, uid)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mark(folder: &str, validity: u32, uid: u32) -> Position {
        Position { folder: folder.into(), validity, uid, name: String::new() }
    }

    fn letters(sizes: &[u64]) -> Vec<Listed> {
        sizes.iter().zip(1..).map(|(&size, uid)| Listed { uid, size, stored: None }).collect()
    }

    #[test]
    fn a_mark_holds_only_for_its_folder_and_validity() {
        assert_eq!(Start::of(Some(&mark("INBOX", 7, 12)), "INBOX", 7), Start::Above(12));
        assert_eq!(Start::of(Some(&mark("INBOX", 7, 12)), "INBOX", 8), Start::Renewed { before: 7 });
        assert_eq!(Start::of(Some(&mark("Other", 7, 12)), "INBOX", 7), Start::Beginning);
        assert_eq!(Start::of(None, "INBOX", 7), Start::Beginning);
        assert_eq!(Start::Above(12).first(), Some(13));
        assert_eq!(Start::Above(u32::MAX).first(), None);
    }

    #[test]
    fn a_batch_is_bounded_in_number_and_bytes_and_a_large_letter_goes_alone() {
        assert_eq!(batch_length(&letters(&[5, 5, 5, 5]), 3, 100, 50), 3);
        assert_eq!(batch_length(&letters(&[5, 5, 5, 5]), 9, 11, 50), 2);
        assert_eq!(batch_length(&letters(&[5, 60, 5]), 9, 100, 50), 1);
        assert_eq!(batch_length(&letters(&[60, 5, 5]), 9, 100, 50), 1);
        assert_eq!(batch_length(&letters(&[]), 9, 100, 50), 0);
    }

    #[test]
    fn sets_are_written_as_ranges() {
        assert_eq!(sets(&[1, 2, 3, 7, 9, 10]), ["1:3,7,9:10"]);
        assert_eq!(sets(&[u32::MAX - 1, u32::MAX]), ["4294967294:4294967295"]);
        assert!(sets(&[]).is_empty());
    }

    proptest! {
        #[test]
        fn sets_name_just_the_given_uids(uids in proptest::collection::btree_set(1u32..5000, 0..800)) {
            let uids: Vec<u32> = uids.into_iter().collect();
            let sets = sets(&uids);
            prop_assert!(sets.iter().all(|s| s.len() < SET_LENGTH));
            let named: Vec<u32> = sets.iter().flat_map(|s| s.split(',')).flat_map(|range| {
                let (first, last) = range.split_once(':').unwrap_or((range, range));
                first.parse::<u32>().unwrap()..=last.parse::<u32>().unwrap()
            }).collect();
            prop_assert_eq!(named, uids);
        }
    }
}
