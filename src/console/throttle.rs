//! How often somebody may try to sign in: by the name they give and by the address they come from. In memory only: to
//! start anew costs a guesser more than it gives.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in [`WINDOW`] that lock a name, and an address.
const OF_NAME: u32 = 10;
const OF_ADDRESS: u32 = 40;
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Names and addresses that are remembered; beyond that the oldest goes.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub struct Throttle(Mutex<HashMap<String, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
}

impl Throttle {
    /// How long this name, or this address, has to wait; counts the try as failed until [`Throttle::succeeded`].
    pub fn begin(&self, name: &str, address: &str) -> Result<(), Duration> {
        self.begin_at(name, address, Instant::now())
    }

    /// The name's failures are forgotten, and this one of the address.
    pub fn succeeded(&self, name: &str, address: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.remove(&of_name(name));
        if let Some(failures) = known.get_mut(&of_address(address)) {
            failures.count = failures.count.saturating_sub(1);
        }
    }

    fn begin_at(&self, name: &str, address: &str, now: Instant) -> Result<(), Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = [(of_name(name), OF_NAME), (of_address(address), OF_ADDRESS)];
        known.retain(|_, failures| now.duration_since(failures.since) < WINDOW);
        for (key, most) in &keys {
            if let Some(failures) = known.get(key).filter(|failures| failures.count >= *most) {
                return Err(WINDOW.saturating_sub(now.duration_since(failures.since)));
            }
        }
        for (key, _) in keys {
            if known.len() >= REMEMBERED && !known.contains_key(&key) {
                let oldest = known.iter().min_by_key(|(_, failures)| failures.since).map(|(key, _)| key.clone());
                oldest.map(|oldest| known.remove(&oldest));
            }
            known.entry(key).or_insert(Failures { since: now, count: 0 }).count += 1;
        }
        Ok(())
    }
}

fn of_name(name: &str) -> String {
    format!("name {}", name.trim().to_lowercase().chars().take(64).collect::<String>())
}

fn of_address(address: &str) -> String {
    format!("address {address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_locked_after_ten_failures_and_opens_again() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..OF_NAME {
            assert_eq!(throttle.begin_at("kim", &format!("10.0.0.{n}"), now), Ok(()));
        }
        assert_eq!(throttle.begin_at("Kim ", "10.0.1.1", now), Err(WINDOW));
        assert_eq!(throttle.begin_at("lee", "10.0.1.1", now), Ok(()));
        assert_eq!(throttle.begin_at("kim", "10.0.1.1", now + WINDOW), Ok(()));
    }

    #[test]
    fn an_address_is_locked_whatever_names_it_tries_and_success_is_no_failure() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..OF_ADDRESS {
            throttle.begin_at(&format!("name{n}"), "10.0.0.1", now).unwrap();
            throttle.begin_at("lee", "10.0.0.2", now).unwrap();
            throttle.succeeded("lee", "10.0.0.2");
        }
        assert!(throttle.begin_at("another", "10.0.0.1", now).is_err());
        assert!(throttle.begin_at("another", "10.0.0.2", now).is_ok());
    }
}
