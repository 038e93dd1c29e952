//! Several brands in one daemon, each by itself: what befalls one holds up no other.

use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::try_join_all;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tracing::{Instrument, Span};

use super::brand::Brand;
use super::neighbours::Neighbours;
use super::{Failure, daemon, systemd};
use crate::config;
use crate::worker::{Stop, pace};

/// The configuration files that are meant: of a folder, all its `*.toml` in the order of their names.
pub fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        let before = files.len();
        if path.is_dir() {
            let listed = |e: std::io::Error| Failure::Config(format!("{}: cannot be read: {e}", path.display()));
            for entry in fs::read_dir(path).map_err(listed)? {
                files.push(entry.map_err(listed)?.path());
            }
            files.retain(|file| file.extension().is_some_and(|end| end == "toml"));
            files.sort();
        } else {
            files.push(path.clone());
        }
        if files.len() == before {
            return Err(Failure::Config(format!("{}: holds no configuration (*.toml)", path.display())));
        }
    }
    let mut known = files.iter();
    while let Some(file) = known.next() {
        if known.clone().any(|other| other == file) {
            return Err(Failure::Usage(format!("{} is named twice", file.display())));
        }
    }
    Ok(files)
}

/// A secret of the environment would go to the servers of every brand.
fn has_own_secrets() -> Result<(), Failure> {
    let set = config::SECRETS.iter().find(|name| std::env::var_os(name).is_some());
    match set {
        Some(name) => Err(Failure::Config(format!(
            "{name} is set: it would go to the servers of every brand; put the secret into a file of its own brand"
        ))),
        None => Ok(()),
    }
}

/// Does it for each brand, whatever becomes of the others.
pub fn each(files: &[PathBuf], mut work: impl FnMut(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    if let [file] = files {
        return work(file);
    }
    has_own_secrets()?;
    let failed: Vec<(&PathBuf, Failure)> = files.iter().filter_map(|file| Some((file, work(file).err()?))).collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(together(failed.iter().map(|(file, failure)| (file.as_path(), failure))))
    }
}

/// What became of several brands: every line names its file.
fn together<'a>(failed: impl Iterator<Item = (&'a Path, &'a Failure)>) -> Failure {
    let (mut lines, mut codes) = (Vec::new(), Vec::new());
    for (file, failure) in failed {
        let file = file.display().to_string();
        let named = |line: &str| if line.starts_with(&file) { line.to_owned() } else { format!("{file}: {line}") };
        lines.extend(failure.to_string().lines().map(named));
        codes.push(failure.exit_code());
    }
    let text = lines.join("\n");
    // Another try helps if it helps one.
    match (codes.contains(&75), codes.iter().all(|code| *code == 78)) {
        (true, _) => Failure::Temporary(text),
        (_, true) => Failure::Config(text),
        _ => Failure::Other(text),
    }
}

/// How a brand is.
#[derive(Debug)]
enum State {
    Starts,
    Runs,
    /// It can't run, and is tried again.
    Down(Failure),
}

/// Runs all of them until SIGTERM or SIGINT, or until none can run.
pub fn run(files: &[PathBuf]) -> Result<(), Failure> {
    has_own_secrets()?;
    Neighbours::check(files)?;
    daemon::runtime()?.block_on(async {
        let (switch, stop) = Stop::new();
        let neighbours = Neighbours::default();
        let brands: Vec<(Span, Brand)> =
            files.iter().map(|file| (span(file), Brand::among(file, neighbours.clone()))).collect();
        let signals =
            daemon::signals(switch.clone(), brands.iter().map(|(_, brand)| brand.wishes().clone()).collect())?;
        let premises = brands.iter().map(|(span, brand)| (span.clone(), Arc::clone(brand.premises()))).collect();
        let watchdog = tokio::spawn(systemd::watchdog(premises));
        let (states, seen) = watch::channel(files.iter().map(|_| State::Starts).collect());
        let lives = brands.into_iter().enumerate().map(|(place, (span, brand))| {
            // A task of its own: a brand that keeps a thread busy leaves the others theirs.
            tokio::spawn(live(brand, place, states.clone(), stop.clone()).instrument(span))
        });
        let mut lives = pin!(try_join_all(lives.collect::<Vec<_>>()));
        let ended = tokio::select! {
            // A brand that broke is not seen to by anybody: systemd starts all of them anew.
            ended = lives.as_mut() => ended.map(|_| ()).map_err(|e| Failure::Other(format!("a brand broke: {e}"))),
            failure = none_runs(files, seen) => {
                // Nobody listens any more only when all have ended already.
                let _ = switch.send(true);
                // What broke beside it is told by its own line.
                let _ = lives.await;
                Err(failure)
            }
            () = signals => Ok(()),
        };
        watchdog.abort();
        ended
    })?;
    tracing::info!("aftersalesd ends");
    Ok(())
}

/// What its log lines are known by: the name of its file, which it has also while it can't be read.
fn span(file: &Path) -> Span {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    tracing::error_span!("brand", name)
}

/// Tells systemd once each brand had its try; returns when none can run.
async fn none_runs(files: &[PathBuf], mut states: watch::Receiver<Vec<State>>) -> Failure {
    let ready = |all: &Vec<State>| {
        all.iter().any(|state| matches!(state, State::Runs)) && !all.iter().any(|state| matches!(state, State::Starts))
    };
    let down = |all: &Vec<State>| all.iter().all(|state| matches!(state, State::Down(_)));
    // The sender lives as long as the brands.
    let _ = states.wait_for(|all| ready(all) || down(all)).await;
    if ready(&states.borrow()) {
        systemd::tell(&[NotifyState::Ready]);
    }
    match states.wait_for(down).await {
        Ok(all) => together(files.iter().zip(all.iter()).filter_map(|(file, state)| match state {
            State::Down(failure) => Some((file.as_path(), failure)),
            State::Starts | State::Runs => None,
        })),
        Err(_) => std::future::pending().await,
    }
}

/// One brand, again and again with growing pauses, and at each wish to read everything anew.
async fn live(mut brand: Brand, place: usize, states: watch::Sender<Vec<State>>, mut stop: Stop) {
    let became = |state: State| {
        states.send_modify(|all| {
            if let Some(known) = all.get_mut(place) {
                *known = state;
            }
        });
    };
    let (mut failures, mut wished) = (0, None);
    while !stop.is_wished() {
        let mut ran = false;
        let lived = match brand.open_beside().await {
            Ok(open) => {
                let begun = |_| {
                    ran = true;
                    became(State::Runs);
                    Ok(())
                };
                brand.live(open, &mut wished, stop.clone(), begun).await
            }
            Err(failure) => Err(failure),
        };
        let Err(failure) = lived else { return };
        failures = if ran { 1 } else { failures + 1 };
        let pause = pace::restart(failures);
        for line in failure.to_string().lines() {
            tracing::error!(pause_seconds = pause.as_secs(), "this brand can't run; will try again: {line}");
        }
        brand.down(&failure, wished.take());
        became(State::Down(failure));
        wished = brand.wait(pause, &mut stop).await;
    }
}
