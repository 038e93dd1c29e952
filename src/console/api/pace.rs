//! How much a token may ask for: so many requests at once, then so many a second.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::account::AccountName;

/// Requests at once, and how many of them come back in a second.
const BURST: f64 = 120.0;
const A_SECOND: f64 = 20.0;

/// What each token has left.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<AccountName, Left>>);

#[derive(Debug, Clone, Copy)]
struct Left {
    requests: f64,
    at: Instant,
}

impl Pace {
    /// Takes one request, or says how long to wait for it.
    pub fn take(&self, token: &AccountName) -> Result<(), Duration> {
        self.take_at(token, Instant::now())
    }

    fn take_at(&self, token: &AccountName, now: Instant) -> Result<(), Duration> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = known.entry(token.clone()).or_insert(Left { requests: BURST, at: now });
        let come_back = now.saturating_duration_since(left.at).as_secs_f64() * A_SECOND;
        *left = Left { requests: (left.requests + come_back).min(BURST), at: now };
        if left.requests < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - left.requests) / A_SECOND));
        }
        left.requests -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_asks_too_much_waits_and_others_do_not() {
        let (pace, now) = (Pace::default(), Instant::now());
        let [busy, other] = ["busy", "other"].map(|name| AccountName::new(name).unwrap());
        for _ in 0..BURST as usize {
            assert_eq!(pace.take_at(&busy, now), Ok(()));
        }
        let wait = pace.take_at(&busy, now).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(pace.take_at(&other, now), Ok(()));
        assert_eq!(pace.take_at(&busy, now + wait + Duration::from_millis(1)), Ok(()));
        assert!(pace.take_at(&busy, now + wait + Duration::from_millis(1)).is_err());
    }
}
