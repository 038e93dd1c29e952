//! `run` and `once`: the whole job, for ever or for one pass.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::control;
use super::{AnyMailbox, AnyMailer, Failure, VERSION, load, open_office, open_store};
use crate::config::{self, Config};
use crate::console::{self, Console};
use crate::fail_point;
use crate::store::{CommitError, Store, StoreError};
use crate::worker::erasure::{Retention, Sweep, retain};
use crate::worker::inbound::{self, Progress};
use crate::worker::outbound::{self, Sent};
use crate::worker::premises::Premises;
use crate::worker::{Office, Stop, Trouble, flush, pace, search, turn, webhooks};

/// Tries after which a store that is still held by a thread of ours is given up.
const RELEASED_AFTER: u32 = 5;
/// No step of a loop's work takes so long: a server has ten minutes at most for each command, a letter two for each step.
const STUCK_AFTER: Duration = Duration::from_hours(1);

/// `run`: takes in letters and sends replies until SIGTERM or SIGINT; then finishes what is in flight.
pub fn run(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let office = open_office(&config)?;
    let mailer = AnyMailer::new(&config)?;
    keep_running(&config, office, &mailer, |_| Ok(()))
}

/// Runs until SIGTERM or SIGINT; `begun` is told where the console is, if there is one.
pub(super) fn keep_running(
    config: &Config,
    office: Arc<Office>,
    mailer: &AnyMailer,
    begun: impl FnOnce(Option<SocketAddr>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let terms = office.terms.version.clone();
    runtime()?.block_on(async {
        let (switch, stop) = Stop::new();
        let mut term = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let premises = Arc::new(Premises::new(office));
        let console = open_console(config, &premises).await?;
        let control = control::serve(&config.store, &premises, stop.clone())?;
        let store = config.store.display();
        tracing::info!(version = VERSION, %store, terms, "aftersalesd runs");
        begun(console.as_ref().map(|console| console.address))?;
        tell_systemd(&[sd_notify::NotifyState::Ready]);
        let watchdog = tokio::spawn(watchdog(Arc::clone(&premises)));
        let wishes = async {
            tokio::select! {
                _ = term.recv() => tracing::info!("SIGTERM: finishing what is in flight"),
                _ = interrupt.recv() => tracing::info!("SIGINT: finishing what is in flight"),
            }
            // Nobody listens any more only when all loops have ended already.
            let _ = switch.send(true);
            tell_systemd(&[sd_notify::NotifyState::Stopping]);
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! {
            ended = work(config, &premises, mailer, stop) => ended,
            () = wishes => Ok(()),
        };
        watchdog.abort();
        control.end().await;
        if let Some(console) = console {
            console.end().await;
        }
        ended
    })?;
    tracing::info!("aftersalesd ends");
    Ok(())
}

/// The console that browsers are served by.
struct Served {
    address: SocketAddr,
    task: JoinHandle<()>,
    switch: watch::Sender<bool>,
}

impl Served {
    /// Takes nobody in any more and lets answers finish.
    async fn end(self) {
        // Nobody listens any more only when it has ended already.
        let _ = self.switch.send(true);
        if let Err(e) = self.task.await {
            tracing::error!(error = %e, "the console broke");
        }
    }
}

/// Serves the console, if the configuration wants one.
async fn open_console(config: &Config, premises: &Arc<Premises>) -> Result<Option<Served>, Failure> {
    let Some(config::Console { listen, behind_tls_proxy }) = config.console else { return Ok(None) };
    let settings = console::Settings { behind_tls_proxy, store: config.store.clone() };
    let router = Console::new(Arc::clone(premises), settings).router();
    let listener = console::bind(listen).await.map_err(Failure::Other)?;
    let address = listener.local_addr()?;
    let (switch, stop) = Stop::new();
    tracing::info!("the console is at http://{address}");
    Ok(Some(Served { address, task: tokio::spawn(console::serve(listener, router, stop)), switch }))
}

/// Works until it is wished to stop. After the disk has failed nothing is taken in or sent, until there is room and the
/// store can be opened anew.
async fn work(config: &Config, premises: &Premises, mailer: &AnyMailer, stop: Stop) -> Result<(), Failure> {
    while let Some(office) = premises.office() {
        let (mut mailbox, folder) = AnyMailbox::new(config);
        let trouble = match serve(&mut mailbox, &folder, &office, mailer, stop.clone()).await {
            Ok(()) => match flush(&office).await {
                Ok(()) => return Ok(()),
                Err(trouble) => trouble,
            },
            Err(trouble) => trouble,
        };
        let folder = config.store.display();
        let (what, needed) = match &trouble {
            trouble if trouble.is_disk_full() => ("the disk is full", "free some space there, then "),
            Trouble::Broken(_) => ("a worker broke", ""),
            _ => ("the disk fails", "look at the disk there; "),
        };
        tracing::error!(
            %folder,
            %trouble,
            "{what}: nothing is taken in, acknowledged or sent; {needed}the daemon opens its store anew and goes on"
        );
        premises.close(&format!("{what}, {folder}: {trouble}"));
        let anew = office.anew();
        drop(office);
        match reopen(config, stop.clone()).await? {
            Some(store) => premises.open(Arc::new(anew(store))),
            None => return Ok(()),
        }
    }
    Ok(())
}

/// Takes in letters and sends replies until it is wished to stop, or the store has to be opened anew.
async fn serve(
    mailbox: &mut AnyMailbox,
    folder: &str,
    office: &Arc<Office>,
    mailer: &AnyMailer,
    mut stop: Stop,
) -> Result<(), Trouble> {
    let (switch, end) = Stop::new();
    // What ends one loop ends the other.
    let ending = |ended| {
        let _ = switch.send(true);
        ended
    };
    let letters = async { ending(inbound::run(mailbox, folder, office, end.clone()).await) };
    let replies = async { ending(outbound::run(mailer, office, end.clone()).await) };
    let clock = async {
        ending(match realigned(office).await {
            Ok(()) => turn::run(office, end.clone()).await,
            failed => failed,
        })
    };
    let news = async { ending(webhooks::run(office, end.clone()).await) };
    let wish = async {
        let mut ended = end.clone();
        tokio::select! {
            () = stop.wished() => ending(Ok(())),
            () = ended.wished() => Ok(()),
        }
    };
    let search = search::run(office, end.clone());
    let (letters, replies, clock, news, wish, ()) = tokio::join!(letters, replies, clock, news, wish, search);
    office.health.pulse.ends();
    let replies = replies.and(clock).and(news);
    match (letters, replies) {
        // The other loop only knows that something was wrong before.
        (Err(_), Err(replies)) if replies.is_disk_full() => Err(replies),
        (letters, replies) => letters.and(replies).and(wish),
    }
}

/// Works deadlines out anew if they are others than before.
async fn realigned(office: &Arc<Office>) -> Result<(), Trouble> {
    let of = Arc::clone(office);
    match tokio::task::spawn_blocking(move || turn::realign(&of)).await {
        Ok(realigned) => realigned,
        Err(e) => Err(Trouble::Broken(e.to_string())),
    }
}

/// Opens the store again as soon as there is room; `None`: it is wished to stop.
async fn reopen(config: &Config, mut stop: Stop) -> Result<Option<Store>, Failure> {
    let mut still_held = 0;
    for failures in 0.. {
        tokio::select! {
            () = tokio::time::sleep(pace::reopen(failures)) => {}
            () = stop.wished() => return Ok(None),
        }
        let of = config.clone();
        let opened = tokio::task::spawn_blocking(move || Store::has_room(&of.store).and_then(|()| open_store(&of)));
        match opened.await.map_err(|e| Failure::Other(e.to_string()))? {
            Ok(store) => {
                tracing::info!(folder = %config.store.display(), "the store is open again: going on");
                return Ok(Some(store));
            }
            // A thread that was at work when the disk failed, or a command that reads.
            Err(e @ StoreError::Locked { .. }) => {
                still_held += 1;
                if still_held > RELEASED_AFTER {
                    return Err(e.into());
                }
            }
            Err(e) if e.is_of_the_disk() => tracing::debug!(error = %e, "the store can't be opened yet"),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(None)
}

/// `once`: takes in all mail that waits and empties the outbox.
pub fn once(path: &Path) -> Result<(), Failure> {
    let config = load(path)?;
    let office = open_office(&config)?;
    let mailer = AnyMailer::new(&config)?;
    turn::realign(&office).and_then(|()| turn::strike(&office, Timestamp::now())).map_err(failure)?;
    let (mut sweep, now) = (Sweep::default(), Timestamp::now());
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

/// Tells systemd's watchdog that all is well, as long as the loops get on with their work and the store answers, or waits
/// to be opened.
async fn watchdog(premises: Arc<Premises>) {
    let Some(period) = sd_notify::watchdog_enabled() else { return };
    let mut ticks = tokio::time::interval((period / 3).max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        if let Some(of) = premises.pulse().stuck(fail_point::patience(STUCK_AFTER)) {
            tracing::error!("the loop of {of:?} is stuck: the watchdog is told no more");
            continue;
        }
        let office = premises.office();
        let look = move || office.map_or(Ok(()), |office| office.store.counts().map(|_| ()));
        let answers = tokio::task::spawn_blocking(look).await;
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
