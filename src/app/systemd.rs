//! What systemd is told: that the daemon is ready, that it lives, that it takes new terms, that it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::{Instrument, Span};

use crate::fail_point;
use crate::worker::on_thread;
use crate::worker::premises::Premises;

/// No step of a loop's work takes so long: a server has ten minutes at most for each command, a letter two for each step.
const STUCK_AFTER: Duration = Duration::from_hours(1);

pub fn tell(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell, which is no error here.
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}

/// Tells systemd's watchdog that all is well, as long as the loops of all premises get on with their work and the stores
/// answer, or wait to be opened.
pub async fn watchdog(all: Vec<(Span, Arc<Premises>)>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((period / 3).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let mut well = true;
        for (span, premises) in &all {
            well &= is_well(premises).instrument(span.clone()).await;
        }
        if well {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

async fn is_well(premises: &Premises) -> bool {
    if let Some(of) = premises.pulse().stuck(fail_point::patience(STUCK_AFTER)) {
        tracing::error!("the loop of {of:?} is stuck: the watchdog is told no more");
        return false;
    }
    let office = premises.office();
    let look = move || office.map_or(Ok(()), |office| office.store.counts().map(|_| ()));
    let answered =
        on_thread(look).await.map_err(|e| e.to_string()).and_then(|looked| looked.map_err(|e| e.to_string()));
    if let Err(error) = &answered {
        tracing::error!(error, "the store does not answer");
    }
    answered.is_ok()
}

/// New terms are being looked at. While there is one, systemd sees the service reload.
#[derive(Debug)]
pub struct Reloading(());

/// Those that there are in this process.
static RELOADING: AtomicUsize = AtomicUsize::new(0);

impl Reloading {
    pub fn begin() -> Self {
        if RELOADING.fetch_add(1, Ordering::SeqCst) == 0 {
            match NotifyState::monotonic_usec_now() {
                Ok(now) => tell(&[NotifyState::Reloading, now]),
                Err(e) => tracing::debug!(error = %e, "there is no clock to tell systemd of"),
            }
        }
        Self(())
    }
}

impl Drop for Reloading {
    fn drop(&mut self) {
        if RELOADING.fetch_sub(1, Ordering::SeqCst) == 1 {
            tell(&[NotifyState::Ready]);
        }
    }
}
