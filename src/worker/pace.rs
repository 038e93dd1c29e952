//! How long to wait before the next try.

use std::time::Duration;

use jiff::SignedDuration;

use crate::ports::FaultKind;

/// The wait before try number `failures` + 1 of a connection: doubling from two seconds to five minutes, from ten seconds
/// where a person has to act (a folder is gone), from one minute to half an hour after a refused login (providers lock
/// accounts), with up to a quarter added at random so that many daemons don't come back at once.
pub fn reconnect(failures: u32, kind: FaultKind) -> Duration {
    let (first, most) = match kind {
        FaultKind::Temporary => (2, 300),
        FaultKind::Configuration => (10, 300),
        FaultKind::Login => (60, 1800),
    };
    let seconds = u64::min(first << failures.saturating_sub(1).min(12), most);
    Duration::from_millis(seconds * 1000 + fastrand::u64(0..seconds * 250))
}

/// The wait before a store is opened again that could not be opened `failures` times: one second to half a minute.
pub fn reopen(failures: u32) -> Duration {
    Duration::from_secs(u64::min(1 << failures.min(5), 30))
}

/// The wait before a brand is started again that could not run `failures` times: five seconds to five minutes.
pub fn restart(failures: u32) -> Duration {
    Duration::from_secs(u64::min(5 << failures.saturating_sub(1).min(6), 300))
}

/// The wait before the next try of a reply that failed `attempts` times: one minute, then longer, four hours at most.
pub fn resend(attempts: u32) -> SignedDuration {
    const MINUTES: [i64; 5] = [1, 5, 15, 30, 60];
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    MINUTES.get(index).map_or(LONGEST, |minutes| SignedDuration::from_mins(*minutes))
}

/// The wait before the next try of a webhook that failed `attempts` times: five seconds, then longer, four hours at most.
pub fn post(attempts: u32) -> SignedDuration {
    const SECONDS: [i64; 6] = [5, 30, 120, 600, 1800, 3600];
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    SECONDS.get(index).map_or(LONGEST, |seconds| SignedDuration::from_secs(*seconds))
}

/// No reply waits longer for its next try.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(4);

/// A reply that found no server for so long goes to a person (RFC 5321 section 4.5.4.1: four to five days).
pub const GIVE_UP: SignedDuration = SignedDuration::from_hours(4 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        for kind in [FaultKind::Temporary, FaultKind::Login] {
            assert!(reconnect(1, kind) < reconnect(4, kind));
            assert!(reconnect(u32::MAX, kind) <= Duration::from_secs(1800 * 5 / 4));
        }
        assert!(reopen(0) < reopen(3));
        assert_eq!(reopen(u32::MAX), Duration::from_secs(30));
        assert!(restart(1) < restart(2));
        assert_eq!(restart(u32::MAX), Duration::from_secs(300));
        assert!(resend(1) < resend(2));
        assert_eq!(resend(u32::MAX), SignedDuration::from_hours(4));
    }
}
