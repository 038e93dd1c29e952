//! The log: to standard error, one line an event, each with what is known of the letter that is in work.
//!
//! As much as, the first that says it: the command `log`, the variable `AFTERSALESD_LOG`, `[log] level`, else `info` of the
//! daemon and `warn` of other commands.

mod lines;

use std::io::{IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use serde_json::json;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Registry, reload};

use self::lines::Lines;
use super::control::{self, OfDaemon};
use super::{Failure, load_offline};
use crate::config;
use crate::config::log::Directives;
use crate::domain::ids::masked;

const VARIABLE: &str = "AFTERSALESD_LOG";

/// The log of this process, once it has begun.
static LOG: OnceLock<Log> = OnceLock::new();

struct Log {
    filter: reload::Handle<Targets, Registry>,
    levels: Mutex<Levels>,
    lines: Lines,
}

/// What was said of how much is told.
struct Levels {
    is_daemon: bool,
    /// Of several configurations, the one whose `[log]` counts.
    of: Option<PathBuf>,
    commanded: Option<Directives>,
    variable: Option<Directives>,
    configured: Option<Directives>,
}

/// Begins the log, into which panics go too. That of the daemon (`run` and `once`) follows `[log]`, once that is read.
pub fn start(is_daemon: bool) -> Result<(), Failure> {
    let variable = match std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        Some(value) => {
            let read = Directives::parse(&value.to_string_lossy());
            Some(read.map_err(|wrong| Failure::Config(format!("{VARIABLE}: {wrong}")))?)
        }
        None => None,
    };
    let levels = Levels { is_daemon, of: None, commanded: None, variable, configured: None };
    let (filter, handle) = reload::Layer::new(levels.targets());
    let lines = Lines::to_standard_error();
    let subscriber = Registry::default().with(filter).with(lines.clone());
    tracing::subscriber::set_global_default(subscriber).map_err(|e| Failure::Other(format!("log: {e}")))?;
    panic::set_hook(Box::new(log_panic));
    // There is one start of a process.
    let _ = LOG.set(Log { filter: handle, levels: Mutex::new(levels), lines });
    Ok(())
}

/// Says which configurations this daemon works by: as it has one log, the `[log]` of the first counts.
pub(super) fn is_of(files: &[PathBuf]) {
    if let Some(log) = LOG.get() {
        log.levels().of = files.first().cloned();
    }
}

/// Goes on as a configuration that was read says, if it is the one that counts. The form stays the first: who reads the
/// log would not know of another.
pub(super) fn follow(file: &Path, configured: &config::Log) {
    let Some(log) = LOG.get() else { return };
    let mut levels = log.levels();
    if levels.of.as_deref().is_some_and(|of| of != file) {
        if *configured != config::Log::default() {
            tracing::warn!(file = %file.display(), "[log] has no effect: a daemon has one log, which the first file tells of");
        }
    } else if levels.is_daemon {
        log.lines.set_format(configured.format);
        levels.configured.clone_from(&configured.level);
        if let Err(failure) = log.apply(&levels) {
            tracing::error!(%failure, "the level of the log stays as it was");
        }
    }
}

/// `log`: asks the daemon to tell as much as `wanted` says (`default`: as it was told at its start), or how much it tells.
pub fn run(config: &Path, wanted: Option<&str>, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != DEFAULT) {
        Directives::parse(wanted).map_err(Failure::Usage)?;
    }
    let asked = OfDaemon::Log(wanted.map(str::to_owned));
    let answered = control::ask(&load_offline(config)?.store, asked, &mut |line| {
        if as_json {
            return out.write_all(line);
        }
        let told: serde_json::Value = serde_json::from_slice(line)?;
        let word = |key: &str| told.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        writeln!(out, "{} (by {})", word("level"), word("by"))
    })?;
    match answered {
        true => Ok(()),
        false => Err(Failure::Other(
            "no daemon runs: at its start [log] level or AFTERSALESD_LOG say how much it logs".to_owned(),
        )),
    }
}

/// The word that takes the command back.
const DEFAULT: &str = "default";

/// The daemon's answer: how much is told from now on, and who says so.
pub(super) fn answer(wanted: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let log = LOG.get().ok_or_else(|| Failure::Other("this process keeps no log".to_owned()))?;
    let mut levels = log.levels();
    if let Some(wanted) = wanted {
        let before = levels.in_force().0;
        levels.commanded = match wanted {
            DEFAULT => None,
            wanted => Some(Directives::parse(wanted).map_err(Failure::Usage)?),
        };
        // Who reads the log has to know why it changes: told while the level of before holds, if that lets it through.
        let say = || tracing::warn!(now = levels.in_force().0, before, "the level of the log is changed by command");
        let is_heard = tracing::enabled!(Level::WARN);
        if is_heard {
            say();
        }
        log.apply(&levels)?;
        if !is_heard {
            say();
        }
    }
    let (level, by) = levels.in_force();
    writeln!(out, "{}", json!({"level": level, "by": by}))?;
    Ok(())
}

/// Whether a stream is a terminal whose user wants colours (<https://no-color.org>).
pub fn shows_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Log {
    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn apply(&self, levels: &Levels) -> Result<(), Failure> {
        self.filter.reload(levels.targets()).map_err(|e| Failure::Other(format!("log: {e}")))
    }
}

impl Levels {
    fn usual(&self) -> LevelFilter {
        if self.is_daemon { LevelFilter::INFO } else { LevelFilter::WARN }
    }

    fn first(&self) -> Option<(&Directives, &'static str)> {
        let commanded = self.commanded.as_ref().map(|said| (said, "the command log"));
        let variable = self.variable.as_ref().map(|said| (said, VARIABLE));
        commanded.or(variable).or(self.configured.as_ref().map(|said| (said, "[log] level")))
    }

    fn targets(&self) -> Targets {
        let said = self.first().map(|(said, _)| said);
        let all = said.and_then(|said| said.all).unwrap_or_else(|| self.usual());
        let modules = said.map(|said| said.modules.clone()).unwrap_or_default();
        Targets::new().with_default(all).with_targets(modules)
    }

    /// How much is told, and who says so.
    fn in_force(&self) -> (String, &'static str) {
        match self.first() {
            Some((said, by)) => {
                let all = said.all.or(Some(self.usual()));
                (Directives { all, ..said.clone() }.to_string(), by)
            }
            None => (self.usual().to_string(), "default"),
        }
    }
}

/// A panic's words may be a customer's: they go to the log as all of these do.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let thread = thread::current();
    let what = panic.payload_as_str().map(masked);
    tracing::error!(place, thread = thread.name(), what, "a step panicked: this is a mistake in the program");
}
