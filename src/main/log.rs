//! The log: to standard error, at the level that `AFTERSALESD_LOG` names.

use std::io;
use std::panic::{self, PanicHookInfo};
use std::thread;

use aftersalesd::domain::ids::masked;
use tracing_subscriber::EnvFilter;

/// Begins the log, into which panics go too; `usual` is its level where nobody sets one.
pub fn start(usual: &str) {
    let filter = EnvFilter::try_from_env("AFTERSALESD_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false).init();
    panic::set_hook(Box::new(log_panic));
}

/// A panic's words may be a customer's: they go to the log as all of these do.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let thread = thread::current();
    let what = panic.payload_as_str().map(masked);
    tracing::error!(place, thread = thread.name(), what, "a step panicked: this is a mistake in the program");
}
