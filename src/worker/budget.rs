//! The time that reading one letter may take.
//!
//! Sizes are bounded everywhere, so no letter should come near it; one that does is set aside while the next go on. A
//! thread can't be ended from outside: the one that reads it is left to end by itself.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::{Office, inbound};
use crate::pipeline::Reading;

/// A hundred times what the largest letter takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Reads a letter, as [`inbound::read_one`] does, within the time that it may take.
pub(super) fn read_one(office: &Arc<Office>, raw: Vec<u8>, cut_short: bool) -> Result<Box<Reading>, String> {
    let office = Arc::clone(office);
    within(LIMIT, move || inbound::read_one(&raw, cut_short, &office.terms))?
}

fn within<T: Send + 'static>(limit: Duration, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let (done, result) = sync_channel(1);
    let reader = move || {
        // An error means that nobody waits any more.
        let _ = done.send(work());
    };
    thread::Builder::new()
        .name("letter".to_owned())
        .spawn(reader)
        .map_err(|e| format!("the system gives no thread to read it in: {e}"))?;
    result.recv_timeout(limit).map_err(|e| match e {
        RecvTimeoutError::Timeout => format!("reading it took more than {limit:?}"),
        RecvTimeoutError::Disconnected => "reading it failed".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_left_and_what_does_not_is_given() {
        assert_eq!(within(Duration::from_secs(60), || 7), Ok(7));
        let (go_on, wait) = sync_channel::<()>(0);
        let stuck = within(Duration::from_millis(20), move || wait.recv().is_ok());
        assert_eq!(stuck, Err("reading it took more than 20ms".to_owned()));
        // Still there, as nobody can end it.
        go_on.send(()).unwrap();
        let broken: Result<(), _> = within(Duration::from_secs(60), || panic!("on purpose"));
        assert_eq!(broken, Err("reading it failed".to_owned()));
    }
}
