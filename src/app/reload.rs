//! Changing a brand while it runs: configuration, templates, catalogue and orders are read and checked whole beside the
//! running loops; what is good goes into force between two letters, what is not changes nothing and says why.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::brand::Outfit;
use super::control::OfDaemon;
use super::neighbours::Neighbours;
use super::systemd::Reloading;
use super::{Failure, brands, control, load_beside, load_offline};
use crate::config::{self, Config};
use crate::worker::health::Health;
use crate::worker::on_thread;

/// Wishes that may wait: a further one wishes nothing else.
const WAITING: usize = 8;
/// The files of the feeds are looked at so often, or as often as the mailbox.
const LOOKS: Duration = Duration::from_secs(60);

/// `reload`: has the running daemon read everything anew, and tells what became of it.
pub fn run(files: &[PathBuf], out: &mut dyn Write) -> Result<(), Failure> {
    brands::each(files, |file| reload(file, out))
}

fn reload(path: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    // A daemon finds the same mistakes, and remembers that there were some.
    let store = match load_offline(path) {
        Ok(config) => config.store,
        Err(wrong) => config::store_of(path).ok_or(wrong)?,
    };
    let told = control::ask(&store, OfDaemon::Reload, &mut |line| {
        let InForce { terms } = serde_json::from_slice(line)?;
        writeln!(out, "in force       {}: terms {terms}", path.display())
    })?;
    match told {
        true => Ok(()),
        false => Err(Failure::Other(format!(
            "no daemon runs on the store {}: there is nothing to reload ([store] path is one of what only a restart changes)",
            store.display()
        ))),
    }
}

/// What the daemon answers.
#[derive(Debug, Serialize, Deserialize)]
struct InForce {
    /// The version of the terms that decisions record.
    terms: String,
}

/// What is wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The configuration file and all that it names.
    Whole,
    /// What the configuration in force names.
    Feeds,
}

/// A wish, and who waits for what becomes of it.
#[derive(Debug)]
struct Wish {
    scope: Scope,
    answer: Option<oneshot::Sender<Result<String, Failure>>>,
}

/// Where new terms are wished for.
#[derive(Debug, Clone)]
pub struct Wishes(mpsc::Sender<Wish>);

impl Wishes {
    /// Waits for nothing: the log and the status tell what becomes of it.
    pub fn make(&self) {
        // With so many waiting already, one of them begins later than now. Without a receiver the daemon ends.
        let _ = self.0.try_send(Wish { scope: Scope::Whole, answer: None });
    }

    /// Wishes and waits, on a thread that may block; answers with a line of JSON.
    pub fn fulfilled(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let ended = || Failure::Temporary("the daemon ends: nothing was reloaded".to_owned());
        let (answer, told) = oneshot::channel();
        self.0.blocking_send(Wish { scope: Scope::Whole, answer: Some(answer) }).map_err(|_| ended())?;
        let terms = told.blocking_recv().map_err(|_| ended())??;
        serde_json::to_writer(&mut *out, &InForce { terms }).map_err(std::io::Error::from)?;
        Ok(writeln!(out)?)
    }
}

/// A brand's wishes as they are seen to, one after the other.
#[derive(Debug)]
pub struct Reloads {
    path: PathBuf,
    neighbours: Neighbours,
    health: Arc<Health>,
    wishes: mpsc::Receiver<Wish>,
    under_way: Option<UnderWay>,
    ready: Option<Fresh>,
}

#[derive(Debug)]
struct UnderWay {
    reading: JoinHandle<Result<Outfit, Failure>>,
    answer: Answer,
}

/// An outfit that was checked whole, to be put into force.
#[derive(Debug)]
pub struct Fresh {
    pub outfit: Outfit,
    pub answer: Answer,
}

impl Reloads {
    pub fn new(path: PathBuf, neighbours: Neighbours, health: Arc<Health>) -> (Wishes, Self) {
        let (sender, wishes) = mpsc::channel(WAITING);
        (Wishes(sender), Self { path, neighbours, health, wishes, under_way: None, ready: None })
    }

    /// Returns with who is to be told once somebody wishes a brand anew that does not run.
    pub async fn wished(&mut self) -> Answer {
        if let Some(Fresh { answer, .. }) = self.ready.take() {
            return answer;
        }
        if let Some(UnderWay { answer, .. }) = self.under_way.take() {
            return answer;
        }
        match self.wishes.recv().await {
            Some(wish) => self.answer(wish.answer),
            None => std::future::pending().await,
        }
    }

    fn answer(&self, to: Option<oneshot::Sender<Result<String, Failure>>>) -> Answer {
        Answer { health: Arc::clone(&self.health), to, reloading: Reloading::begin() }
    }

    /// Returns once there is something to put into force. What is refused is told, and `watch` goes on. May be dropped and
    /// called again at any time: nothing gets lost.
    pub async fn next(&mut self, config: &Config, watch: &mut Watch) -> Fresh {
        loop {
            if let Some(fresh) = self.ready.take() {
                return fresh;
            }
            if self.under_way.is_none() {
                let wish = tokio::select! {
                    Some(wish) = self.wishes.recv() => wish,
                    () = watch.changed() => Wish { scope: Scope::Feeds, answer: None },
                };
                self.under_way = Some(self.begin(config, wish));
            }
            let Some(under_way) = &mut self.under_way else { continue };
            let read = (&mut under_way.reading).await;
            let Some(UnderWay { answer, .. }) = self.under_way.take() else { continue };
            match read.unwrap_or_else(|e| Err(Failure::Other(format!("reading it broke off: {e}")))) {
                Ok(outfit) => self.ready = Some(Fresh { outfit, answer }),
                Err(failure) => answer.refused(failure),
            }
        }
    }

    /// Reads and checks on a thread of its own; the loops go on meanwhile.
    fn begin(&self, config: &Config, wish: Wish) -> UnderWay {
        let (path, neighbours, before) = (self.path.clone(), self.neighbours.clone(), config.clone());
        let reading = on_thread(move || match wish.scope {
            Scope::Whole => {
                let outfit = Outfit::of(load_beside(&path)?)?;
                fixed(&path, &before, &outfit.config)?;
                neighbours.admit(&path, &outfit.config)?;
                Ok(outfit)
            }
            Scope::Feeds => {
                tracing::info!("the catalogue or the order feed has changed: reading them anew");
                Outfit::of(before)
            }
        });
        UnderWay { reading, answer: self.answer(wish.answer) }
    }

    /// Keeps for later what could not be put into force now.
    pub fn keep(&mut self, fresh: Fresh) {
        self.ready = Some(fresh);
    }
}

/// What can't change under a running daemon.
fn fixed(path: &Path, before: &Config, after: &Config) -> Result<(), Failure> {
    let changed = [
        ("[store] path", before.store != after.store),
        ("[console] listen, behind_tls_proxy", before.console != after.console),
    ];
    let lines: Vec<String> = changed
        .iter()
        .filter(|(_, changed)| *changed)
        .map(|(key, _)| format!("{}: {key}: can't change while the daemon runs: restart it", path.display()))
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(Failure::Config(lines.join("\n"))) }
}

/// What becomes of a wish is told to whoever made it, to the log and to the status.
#[derive(Debug)]
pub struct Answer {
    health: Arc<Health>,
    to: Option<oneshot::Sender<Result<String, Failure>>>,
    reloading: Reloading,
}

impl Answer {
    /// It is in force.
    pub fn done(self, terms: String) {
        tracing::info!(terms, "reloaded: new terms are in force");
        self.health.reloaded(Ok(()));
        self.tell(Ok(terms));
    }

    /// What was before stays in force.
    pub fn refused(self, failure: Failure) {
        let why = failure.to_string();
        for line in why.lines() {
            tracing::error!("not reloaded, what was before stays in force: {line}");
        }
        self.health.reloaded(Err(&why));
        self.tell(Err(failure));
    }

    fn tell(self, outcome: Result<String, Failure>) {
        let Self { to, reloading, .. } = self;
        // systemd hears of it first: whoever waits may be what it waits for.
        drop(reloading);
        if let Some(to) = to {
            // Whoever does not wait any more has the log.
            let _ = to.send(outcome);
        }
    }
}

/// Sees when the files of the feeds change: only what is the same at two looks is taken for whole.
#[derive(Debug)]
pub struct Watch {
    files: Vec<PathBuf>,
    ticks: Interval,
    taken: Vec<Option<Stamp>>,
    seen: Vec<Option<Stamp>>,
}

/// What a file is known by without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    changed: Option<SystemTime>,
    size: u64,
}

/// The stamps of a configuration's files, to be taken before these are read.
#[derive(Debug)]
pub struct Stamps(Vec<Option<Stamp>>);

impl Stamps {
    pub fn of(config: &Config) -> Self {
        Self(stamps(&files(config)))
    }
}

impl Watch {
    pub fn new(config: &Config, Stamps(taken): &Stamps) -> Self {
        let every = config.mailbox.poll_interval.min(LOOKS);
        let mut ticks = interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { files: files(config), ticks, taken: taken.clone(), seen: taken.clone() }
    }

    /// Returns once for every change.
    async fn changed(&mut self) {
        loop {
            self.ticks.tick().await;
            let files = self.files.clone();
            let Ok(now) = on_thread(move || stamps(&files)).await else { continue };
            let is_whole = now == self.seen;
            self.seen = now;
            if is_whole && self.seen != self.taken {
                self.taken.clone_from(&self.seen);
                return;
            }
        }
    }
}

fn files(config: &Config) -> Vec<PathBuf> {
    [Some(config.catalogue.clone()), config.orders.file.clone()].into_iter().flatten().collect()
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let found = fs::metadata(file).ok()?;
        Some(Stamp { changed: found.modified().ok(), size: found.len() })
    };
    files.iter().map(stamp).collect()
}
