//! A brand: a configuration file and all that it names, from the opening of its store to the end of its loops.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::control::Control;
use super::neighbours::Neighbours;
use super::reload::{Answer, Fresh, Reloads, Stamps, Watch, Wishes};
use super::{
    AnyMailbox, AnyMailer, Failure, Setup, VERSION, control, load, log, open_store, receivers, shop, subscribe,
};
use crate::config::{self, Config};
use crate::console::{self, Console};
use crate::store::{Store, StoreError};
use crate::webhook::Receiver;
use crate::worker::health::Health;
use crate::worker::orders::Shop;
use crate::worker::premises::Premises;
use crate::worker::reconsider::reconsider;
use crate::worker::{Office, Stop, Trouble, flush, inbound, on_thread, outbound, pace, search, turn, webhooks};

/// Tries after which a store that is still held by a thread of ours is given up.
const RELEASED_AFTER: u32 = 5;

/// All that a configuration names, read and checked whole; no store is touched.
#[derive(Debug)]
pub struct Outfit {
    pub config: Config,
    setup: Setup,
    receivers: Vec<Receiver>,
    shop: Option<Arc<Shop>>,
    mailer: AnyMailer,
    stamps: Stamps,
}

impl Outfit {
    pub fn of(config: Config) -> Result<Self, Failure> {
        // Before the files are read, so that no change falls in between.
        let stamps = Stamps::of(&config);
        let setup = Setup::new(&config)?;
        let (receivers, shop, mailer) = (receivers(&config)?, shop(&config)?, AnyMailer::new(&config)?);
        Ok(Self { config, setup, receivers, shop, mailer, stamps })
    }

    fn on(self, store: Store, health: &Arc<Health>) -> (Config, Office, AnyMailer, Stamps) {
        let mut office = self.setup.office(&self.config, store);
        office.receivers = self.receivers;
        office.asks(self.shop.clone());
        office.health = Arc::clone(health);
        let before = office.health.asks(self.config.oauth2.clone(), self.shop);
        if let (Some(grant), Some(before)) = (&self.config.oauth2, before) {
            grant.take_over(&before);
        }
        (self.config, office, self.mailer, self.stamps)
    }
}

/// A brand whose store is open.
#[derive(Debug)]
pub struct Open {
    pub config: Config,
    pub office: Arc<Office>,
    pub mailer: AnyMailer,
    stamps: Stamps,
}

/// A brand of the daemon, whether it runs or not.
#[derive(Debug)]
pub struct Brand {
    path: PathBuf,
    neighbours: Neighbours,
    premises: Arc<Premises>,
    wishes: Wishes,
    reloads: Reloads,
}

impl Brand {
    /// The only one.
    pub fn new(path: &Path) -> Self {
        Self::among(path, Neighbours::default())
    }

    pub fn among(path: &Path, neighbours: Neighbours) -> Self {
        let health = Arc::new(Health::new());
        let (wishes, reloads) = Reloads::new(path.to_owned(), neighbours.clone(), Arc::clone(&health));
        Self { path: path.to_owned(), neighbours, premises: Arc::new(Premises::vacant(health)), wishes, reloads }
    }

    pub fn premises(&self) -> &Arc<Premises> {
        &self.premises
    }

    /// Where it is told to read everything anew.
    pub fn wishes(&self) -> &Wishes {
        &self.wishes
    }

    /// Reads and checks everything, then opens the store.
    pub fn open(&self) -> Result<Open, Failure> {
        open(&self.path, &self.neighbours, self.premises.health())
    }

    /// The same on a thread of its own.
    pub async fn open_beside(&self) -> Result<Open, Failure> {
        let (path, neighbours, health) =
            (self.path.clone(), self.neighbours.clone(), Arc::clone(self.premises.health()));
        let opened = on_thread(move || open(&path, &neighbours, &health)).await;
        opened.unwrap_or_else(|e| Err(Failure::Other(format!("opening it broke off: {e}"))))
    }

    /// Answers letters, commands and browsers until it is wished to stop; `begun` is told where the console is, if there
    /// is one, and `wished` that it runs.
    pub async fn live(
        &mut self,
        open: Open,
        wished: &mut Option<Answer>,
        stop: Stop,
        begun: impl FnOnce(Option<SocketAddr>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let lived = self.live_in(open, wished, stop, begun).await;
        self.premises.vacate();
        lived
    }

    async fn live_in(
        &mut self,
        open: Open,
        wished: &mut Option<Answer>,
        stop: Stop,
        begun: impl FnOnce(Option<SocketAddr>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.premises.open(Arc::clone(&open.office));
        let console = open_console(&open.config, &self.premises).await?;
        let control = control::serve(&open.config.store, &self.premises, &self.wishes, stop.clone())?;
        let (store, terms) = (open.config.store.display(), &open.office.terms.version);
        tracing::info!(version = VERSION, %store, terms, "aftersalesd runs");
        self.premises.health().intake_runs();
        begun(console.as_ref().map(|console| console.address))?;
        if let Some(answer) = wished.take() {
            answer.done(terms.clone());
        }
        let ended = self.work(open, stop).await;
        control.end().await;
        if let Some(console) = console {
            console.end().await;
        }
        ended
    }

    /// Notes that it can't run, and tells whoever `wished` that it would.
    pub fn down(&self, failure: &Failure, wished: Option<Answer>) {
        self.premises.health().intake_stopped(&format!("this brand can't run: {failure}"));
        if let Some(answer) = wished {
            answer.refused(failure.clone());
        }
    }

    /// Waits for another try; commands are told meanwhile how it is. Gives who wishes it before the pause is over.
    pub async fn wait(&mut self, pause: Duration, stop: &mut Stop) -> Option<Answer> {
        let control = self.closed_control(stop.clone());
        let wished = tokio::select! {
            () = tokio::time::sleep(pause) => None,
            answer = self.reloads.wished() => Some(answer),
            () = stop.wished() => None,
        };
        if let Some(control) = control {
            control.end().await;
        }
        wished
    }

    /// The control socket of a brand that does not run, where its store is known and nobody else's.
    fn closed_control(&self, stop: Stop) -> Option<Control> {
        let known = config::load_offline(&self.path).ok().map(|config| config.store);
        let folder = known.or_else(|| config::store_of(&self.path)).filter(|folder| folder.is_dir())?;
        if control::is_served(&folder) {
            return None;
        }
        let served = control::serve(&folder, &self.premises, &self.wishes, stop);
        served.inspect_err(|failure| tracing::warn!(%failure, "commands are not told why it does not run")).ok()
    }

    /// Works until it is wished to stop. New terms go into force between two rounds of the loops. After the disk has failed
    /// nothing is taken in or sent, until there is room and the store can be opened anew.
    async fn work(&mut self, open: Open, stop: Stop) -> Result<(), Failure> {
        let Open { mut config, office, mut mailer, stamps } = open;
        let mut watch = Watch::new(&config, &stamps);
        drop(office);
        while let Some(office) = self.premises.office() {
            let (ended, fresh) = self.round(&config, &office, &mailer, &mut watch, stop.clone()).await;
            match (ended, fresh) {
                (Ok(()), None) => return Ok(()),
                (Ok(()), Some(fresh)) => {
                    if let Some((new_config, new_mailer, stamps)) = self.put_into_force(fresh, &config, office).await {
                        watch = Watch::new(&new_config, &stamps);
                        (config, mailer) = (new_config, new_mailer);
                    }
                }
                (Err(trouble), fresh) => {
                    if let Some(fresh) = fresh {
                        self.reloads.keep(fresh);
                    }
                    let anew = self.closed(&config, office, &trouble);
                    match reopen(&config, stop.clone()).await? {
                        Some(store) => self.premises.open(Arc::new(anew(store))),
                        None => return Ok(()),
                    }
                }
            }
        }
        Ok(())
    }

    /// The loops under one set of terms, until it is wished to stop or there are new ones.
    async fn round(
        &mut self,
        config: &Config,
        office: &Arc<Office>,
        mailer: &AnyMailer,
        watch: &mut Watch,
        mut stop: Stop,
    ) -> (Result<(), Trouble>, Option<Fresh>) {
        let (mut mailbox, folder) = AnyMailbox::new(config);
        let (switch, end) = Stop::new();
        let mut serving = pin!(serve(&mut mailbox, &folder, office, mailer, end));
        let (ended, fresh) = tokio::select! {
            ended = serving.as_mut() => (Some(ended), None),
            () = stop.wished() => (None, None),
            fresh = self.reloads.next(config, watch) => (None, Some(fresh)),
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                // Nobody listens any more only when all loops have ended already.
                let _ = switch.send(true);
                serving.await
            }
        };
        match ended {
            Ok(()) => (flush(office).await, fresh),
            failed => (failed, fresh),
        }
    }

    /// The office gives way to one under new terms, on the same open store.
    async fn put_into_force(
        &self,
        fresh: Fresh,
        before: &Config,
        office: Arc<Office>,
    ) -> Option<(Config, AnyMailer, Stamps)> {
        let Fresh { outfit, answer } = fresh;
        let store = office.store.clone();
        let subscribed = on_thread(move || subscribe(&outfit.config, &store).map(|()| outfit)).await;
        let outfit = match subscribed {
            Ok(Ok(outfit)) => outfit,
            Ok(Err(e)) => {
                answer.refused(e.into());
                return None;
            }
            Err(e) => {
                answer.refused(Failure::Other(e.to_string()));
                return None;
            }
        };
        let (config, new, mailer, stamps) = outfit.on(office.store.clone(), self.premises.health());
        let terms = new.terms.version.clone();
        self.premises.open(Arc::new(new.in_place_of(&office)));
        if config.log != before.log {
            log::follow(&self.path, &config.log);
        }
        answer.done(terms);
        Some((config, mailer, stamps))
    }

    /// The disk has failed: says so and lets go of the store; gives what makes the same office on it anew.
    fn closed(&self, config: &Config, office: Arc<Office>, trouble: &Trouble) -> impl FnOnce(Store) -> Office + use<> {
        let folder = config.store.display();
        let (what, needed) = match trouble {
            trouble if trouble.is_disk_full() => ("the disk is full", "free some space there, then "),
            Trouble::Broken(_) => ("a worker broke", ""),
            _ => ("the disk fails", "look at the disk there; "),
        };
        tracing::error!(
            %folder,
            %trouble,
            "{what}: nothing is taken in, acknowledged or sent; {needed}the daemon opens its store anew and goes on"
        );
        self.premises.close(&format!("{what}, {folder}: {trouble}"));
        office.anew()
    }
}

fn open(path: &Path, neighbours: &Neighbours, health: &Arc<Health>) -> Result<Open, Failure> {
    let outfit = Outfit::of(load(path)?)?;
    neighbours.admit(path, &outfit.config)?;
    let store = open_store(&outfit.config)?;
    let (config, office, mailer, stamps) = outfit.on(store, health);
    Ok(Open { config, office: Arc::new(office), mailer, stamps })
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
    Ok(Some(Served { address, task: tokio::spawn(console::serve(listener, router, stop).in_current_span()), switch }))
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
        ending(match aligned(office, end.clone()).await {
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

/// Works deadlines out anew if they are others than before, then decides anew what waits if the feeds tell more.
async fn aligned(office: &Arc<Office>, stop: Stop) -> Result<(), Trouble> {
    let of = Arc::clone(office);
    let aligned = on_thread(move || {
        turn::realign(&of)?;
        match reconsider(&of, &stop, Timestamp::now()) {
            Err(trouble) if !trouble.is_of_the_disk() => {
                tracing::error!(%trouble, "waiting cases can't be decided anew; will try again after the next start or reload");
                Ok(())
            }
            done => done.map(|_| ()),
        }
    });
    aligned.await.unwrap_or_else(|e| Err(Trouble::Broken(e.to_string())))
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
        let opened = on_thread(move || Store::has_room(&of.store).and_then(|()| open_store(&of)));
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
