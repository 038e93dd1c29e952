//! What a step may cost a letter: neither a panic nor a step without end costs more than this letter its answer.
//!
//! Sizes are bounded everywhere, so no letter should come near its time; one that does is set aside while the next go
//! on. A thread can't be ended from outside: the one that works on it is left to end by itself.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use crate::fail_point;

/// A hundred times what the largest letter takes on a slow machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Does one step of a letter within the time that it may take. An error says why there is no result, in words that
/// begin with `doing`.
pub fn step<T: Send + 'static>(doing: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    within(fail_point::patience(LIMIT), doing, work)
}

fn within<T: Send + 'static>(
    limit: Duration,
    doing: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (done, result) = sync_channel(1);
    let span = tracing::Span::current();
    let worker = move || {
        let _entered = span.enter();
        // An error means that nobody waits any more.
        let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
    };
    thread::Builder::new()
        .name("letter".to_owned())
        .spawn(worker)
        .map_err(|e| format!("{doing} failed: the system gives no thread for it: {e}"))?;
    match result.recv_timeout(limit) {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(panic)) => Err(format!("{doing} failed: {}", panic_text(panic.as_ref()))),
        Err(RecvTimeoutError::Timeout) => Err(format!("{doing} took more than {limit:?}")),
        Err(RecvTimeoutError::Disconnected) => Err(format!("{doing} failed")),
    }
}

/// What a panic says.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a step panicked".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_left_and_what_does_not_is_given() {
        assert_eq!(within(Duration::from_secs(60), "reading it", || 7), Ok(7));
        let (go_on, wait) = sync_channel::<()>(0);
        let stuck = within(Duration::from_millis(20), "reading it", move || wait.recv().is_ok());
        assert_eq!(stuck, Err("reading it took more than 20ms".to_owned()));
        // Still there, as nobody can end it.
        go_on.send(()).unwrap();
        let broken: Result<(), _> = within(Duration::from_secs(60), "reading it", || panic!("on purpose"));
        assert_eq!(broken, Err("reading it failed: on purpose".to_owned()));
    }
}
