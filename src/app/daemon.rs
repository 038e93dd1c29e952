//! `run` and `once`: the whole job, for ever or for one pass.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{AnyMailbox, AnyMailer, Failure, control, load, open_office};
use crate::config::Config;
use crate::worker::inbound::{self, Progress};
use crate::worker::outbound::{self, Sent};
use crate::worker::{Office, Stop, Trouble};

/// `run`: takes in letters and sends replies until SIGTERM or SIGINT; then finishes what is in flight.
pub fn run(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let office = open_office(&config)?;
    let mailer = AnyMailer::new(&config)?;
    let (mut mailbox, folder) = AnyMailbox::new(&config);
    runtime()?.block_on(async {
        let (switch, stop) = Stop::new();
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let control = control::serve(&config.store, &office, stop.clone())?;
        if config.console.is_some() {
            tracing::warn!("[console] is set, but this version has no staff console; use `aftersalesd cases`");
        }
        tracing::info!(folder, store = %config.store.display(), terms = office.terms.version, "aftersalesd runs");
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        let watchdog = tokio::spawn(watchdog(Arc::clone(&office)));
        let wishes = async {
            tokio::select! {
                _ = term.recv() => tracing::info!("SIGTERM: finishing what is in flight"),
                _ = interrupt.recv() => tracing::info!("SIGINT: finishing what is in flight"),
            }
            // Nobody listens any more only when all loops have ended already.
            let _ = switch.send(true);
            tell_systemd(&[sd_notify::NotifyState::Stopping]);
        };
        let letters = inbound::run(&mut mailbox, &folder, &office, stop.clone());
        let replies = outbound::run(&mailer, &office, stop);
        tokio::join!(wishes, letters, replies);
        watchdog.abort();
        control.end().await;
        Ok::<(), Failure>(())
    })?;
    office.store.flush()?;
    tracing::info!("aftersalesd ends");
    Ok(())
}

/// `once`: takes in all mail that waits and empties the outbox.
pub fn once(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let office = open_office(&config)?;
    let mailer = AnyMailer::new(&config)?;
    let (progress, sent) = pass(&config, &office, &mailer)?;
    tracing::info!(letters = progress.letters, quarantined = progress.quarantined, "mailbox drained");
    tracing::info!(sent = sent.sent, later = sent.later, refused = sent.refused, "outbox served");
    match office.store.counts()?.waiting {
        0 => Ok(()),
        1 => Err(Failure::Temporary("1 reply waits in the outbox; the log says why".to_owned())),
        waiting => Err(Failure::Temporary(format!("{waiting} replies wait in the outbox; the log says why"))),
    }
}

/// One pass: all mail that waits is taken in while replies go out, until each reply had its try.
pub fn pass(config: &Config, office: &Arc<Office>, mailer: &AnyMailer) -> Result<(Progress, Sent), Failure> {
    let (mut mailbox, folder) = AnyMailbox::new(config);
    let done = runtime()?.block_on(async {
        let (_go_on, stop) = Stop::new();
        let (all_in, mut letters_done) = Stop::new();
        let letters = async {
            let drained = inbound::drain(&mut mailbox, &folder, office, &stop).await;
            // The receiver lives as long as this block.
            let _ = all_in.send(true);
            drained
        };
        let (drained, sent) = tokio::join!(letters, outbound::empty(mailer, office, &mut letters_done));
        Ok::<_, Failure>((drained.map_err(failure)?, sent.map_err(failure)?))
    });
    office.store.flush()?;
    done
}

pub(super) fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Mailbox(fault) => fault.into(),
        Trouble::Store(e) => e.into(),
        Trouble::Commit(_) | Trouble::Broken(_) => Failure::Other(trouble.to_string()),
    }
}

/// A runtime with as many threads as there are cores.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::from)
}

/// Tells systemd's watchdog that all is well, as long as the store answers.
async fn watchdog(office: Arc<Office>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((period / 3).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let office = Arc::clone(&office);
        let answers = tokio::task::spawn_blocking(move || office.store.counts().map(|_| ())).await;
        match answers {
            Ok(Ok(())) => tell_systemd(&[sd_notify::NotifyState::Watchdog]),
            Ok(Err(e)) => tracing::error!(error = %e, "the store does not answer"),
            Err(e) => tracing::error!(error = %e, "the store does not answer"),
        }
    }
}

fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    // Without systemd there is nobody to tell, which is no error here.
    if let Err(e) = sd_notify::notify(state) {
        tracing::debug!(error = %e, "systemd was not told");
    }
}
