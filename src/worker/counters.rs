//! What happened since the start, counted for whoever watches the daemon.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tracing::Level;

/// Counted by the loops as they go.
#[derive(Debug, Default)]
pub struct Counters(Mutex<Counted>);

/// How often each thing happened.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Decisions on letters, by their code.
    pub decisions: BTreeMap<String, u64>,
    /// Tries to send a letter, by what came of them.
    pub sent: u64,
    pub put_off: u64,
    pub refused: u64,
    /// Faults of the line or the server.
    pub mailbox_faults: u64,
    pub delivery_faults: u64,
    /// From when a letter came until its reply was written.
    pub answering: Spread,
    /// From when a reply was written until the mail server took it.
    pub delivering: Spread,
}

impl Counters {
    pub fn count(&self, note: impl FnOnce(&mut Counted)) {
        note(&mut self.counted());
    }

    pub fn now(&self) -> Counted {
        self.counted().clone()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long something took, as a histogram of Prometheus has it.
#[derive(Debug, Clone, Default)]
pub struct Spread {
    /// How many took at most as long as each of [`BOUNDS`].
    pub within: [u64; BOUNDS.len()],
    pub count: u64,
    pub seconds: f64,
}

/// The bounds of the classes, in seconds: from a second to a week.
pub const BOUNDS: [u32; 10] = [1, 2, 5, 10, 30, 60, 300, 3_600, 86_400, 604_800];

impl Spread {
    /// Notes what began at `from` and ended at `until`. Clocks of others may be ahead of ours: that took no time.
    pub fn note(&mut self, from: Timestamp, until: Timestamp) {
        let seconds = until.duration_since(from).as_secs_f64().max(0.0);
        for (within, bound) in self.within.iter_mut().zip(BOUNDS) {
            *within += u64::from(seconds <= f64::from(bound));
        }
        self.count += 1;
        self.seconds += seconds;
    }
}

static ERRORS: AtomicU64 = AtomicU64::new(0);
static WARNINGS: AtomicU64 = AtomicU64::new(0);

/// Counts a line of the log, of which a process has one.
pub fn logged(level: Level) {
    match level {
        Level::ERROR => ERRORS.fetch_add(1, Ordering::Relaxed),
        Level::WARN => WARNINGS.fetch_add(1, Ordering::Relaxed),
        _ => 0,
    };
}

/// Lines of the log by their level.
pub fn lines() -> [(&'static str, u64); 2] {
    [("error", ERRORS.load(Ordering::Relaxed)), ("warn", WARNINGS.load(Ordering::Relaxed))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_add_up_and_no_time_is_negative() {
        let mut spread = Spread::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        spread.note(at(100), at(97));
        spread.note(at(100), at(105));
        spread.note(at(100), at(10_000_000));
        assert_eq!(spread.within, [1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!((spread.count, spread.seconds), (3, 9_999_905.0));
    }
}
