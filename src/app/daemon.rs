//! `run` and `once`: the whole job, for ever or for one pass.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::Span;

use super::brand::{Brand, Open};
use super::neighbours::Neighbours;
use super::reload::Wishes;
use super::{AnyMailbox, AnyMailer, Failure, brands, load, log, open_office, systemd};
use crate::config::Config;
use crate::store::CommitError;
use crate::worker::erasure::{Retention, Sweep, retain};
use crate::worker::inbound::{self, Progress};
use crate::worker::outbound::{self, Sent};
use crate::worker::reconsider::reconsider;
use crate::worker::{Office, Stop, Trouble, turn, webhooks};

/// `run`: takes in letters and sends replies until SIGTERM or SIGINT; then finishes what is in flight.
pub fn run(files: &[PathBuf]) -> Result<(), Failure> {
    log::is_of(files);
    let [file] = files else { return brands::run(files) };
    let brand = Brand::new(file);
    let open = brand.open()?;
    keep_running(brand, open, |_| Ok(()))
}

/// Runs until SIGTERM or SIGINT; `begun` is told where the console is, if there is one.
pub(super) fn keep_running(
    mut brand: Brand,
    open: Open,
    begun: impl FnOnce(Option<SocketAddr>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    runtime()?.block_on(async {
        let (switch, stop) = Stop::new();
        let wishes = signals(switch, vec![brand.wishes().clone()])?;
        let watchdog = tokio::spawn(systemd::watchdog(vec![(Span::none(), Arc::clone(brand.premises()))]));
        let begun = |console| {
            begun(console)?;
            systemd::tell(&[NotifyState::Ready]);
            Ok(())
        };
        let mut nobody = None;
        let ended = tokio::select! {
            ended = brand.live(open, &mut nobody, stop, begun) => ended,
            () = wishes => Ok(()),
        };
        watchdog.abort();
        ended
    })?;
    tracing::info!("aftersalesd ends");
    Ok(())
}

/// Hands on what signals wish, for ever: SIGTERM and SIGINT to end, SIGHUP to read everything anew.
pub(super) fn signals(switch: watch::Sender<bool>, brands: Vec<Wishes>) -> Result<impl Future<Output = ()>, Failure> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                _ = term.recv() => tracing::info!("SIGTERM: finishing what is in flight"),
                _ = interrupt.recv() => tracing::info!("SIGINT: finishing what is in flight"),
                _ = hang_up.recv() => {
                    tracing::info!("SIGHUP: reading everything anew");
                    brands.iter().for_each(Wishes::make);
                    continue;
                }
            }
            // Nobody listens any more only when all loops have ended already.
            let _ = switch.send(true);
            systemd::tell(&[NotifyState::Stopping]);
        }
    })
}

/// `once`: takes in all mail that waits and empties the outbox, of one brand after the other.
pub fn once(files: &[PathBuf]) -> Result<(), Failure> {
    log::is_of(files);
    Neighbours::check(files)?;
    brands::each(files, once_through)
}

fn once_through(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let office = open_office(&config)?;
    let mailer = AnyMailer::new(&config)?;
    let (mut sweep, now) = (Sweep::default(), Timestamp::now());
    turn::realign(&office).map_err(failure)?;
    reconsider(&office, &Stop::never(), now).map_err(failure)?;
    turn::strike(&office, now).map_err(failure)?;
    while office.retention != Retention::default() && !sweep.rests(now) {
        retain(&office, &mut sweep, now).map_err(failure)?;
    }
    let (progress, sent) = pass(&config, &office, &mailer)?;
    tracing::info!(letters = progress.letters, quarantined = progress.quarantined, "mailbox drained");
    tracing::info!(sent = sent.sent, later = sent.later, refused = sent.refused, "outbox served");
    runtime()?.block_on(webhooks::pass(&office)).map_err(failure)?;
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
    let flushed = office.store.flush();
    let done = done?;
    flushed?;
    Ok(done)
}

pub(super) fn failure(trouble: Trouble) -> Failure {
    match trouble {
        Trouble::Mailbox(fault) => fault.into(),
        Trouble::Store(e) | Trouble::Commit(CommitError::Store(e)) => e.into(),
        Trouble::Commit(_) | Trouble::Broken(_) => Failure::Other(trouble.to_string()),
    }
}

/// A runtime with as many threads as there are cores.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::from)
}
