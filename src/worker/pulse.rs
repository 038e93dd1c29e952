//! Whether the loops live, which is what systemd's watchdog is told.
//!
//! Whoever waits for something to do may wait for ever; whoever is at work has to get on with it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A loop of the daemon that letters are not answered without; those of the search and of webhooks are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loop {
    Letters,
    Replies,
    Clock,
}

/// The loops at work, each with the moment when it last got on.
#[derive(Debug, Default)]
pub struct Pulse(Mutex<BTreeMap<Loop, Instant>>);

impl Pulse {
    /// This loop is at work, and gets on with it.
    pub fn beats(&self, of: Loop) {
        self.at_work().insert(of, Instant::now());
    }

    /// What works for this loop gets on with it; nothing is said of a loop that is not at work, which may have ended before.
    pub fn gets_on(&self, of: Loop) {
        if let Some(last) = self.at_work().get_mut(&of) {
            *last = Instant::now();
        }
    }

    /// This loop waits for something to do.
    pub fn rests(&self, of: Loop) {
        self.at_work().remove(&of);
    }

    /// No loop runs.
    pub fn ends(&self) {
        self.at_work().clear();
    }

    /// A loop that is at work and has not got on for so long.
    pub fn stuck(&self, patience: Duration) -> Option<Loop> {
        self.at_work().iter().find(|(_, last)| last.elapsed() > patience).map(|(of, _)| *of)
    }

    fn at_work(&self) -> MutexGuard<'_, BTreeMap<Loop, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_rests_is_not_stuck_and_who_is_at_work_has_to_get_on() {
        let pulse = Pulse::default();
        assert_eq!(pulse.stuck(Duration::ZERO), None);
        pulse.beats(Loop::Letters);
        pulse.beats(Loop::Clock);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(pulse.stuck(Duration::from_secs(3600)), None);
        assert_eq!(pulse.stuck(Duration::from_millis(1)), Some(Loop::Letters));
        pulse.rests(Loop::Letters);
        assert_eq!(pulse.stuck(Duration::from_millis(1)), Some(Loop::Clock));
        pulse.ends();
        // A thread of the loop that has still to end.
        pulse.gets_on(Loop::Letters);
        assert_eq!(pulse.stuck(Duration::ZERO), None);
    }
}
