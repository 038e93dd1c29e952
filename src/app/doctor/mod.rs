//! `doctor`: all that can be known of an installation from outside, each finding with what to do about it.
//!
//! It asks the servers, the disk, the running daemon and the domain name system, and changes nothing; only a token for the
//! mail servers that is due is renewed and kept, as by any login.

mod domain;
mod place;
mod servers;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::{Failure, Setup, check, daemon};
use crate::config::{self, Config, Doctor, Target};
use crate::dns::Resolver;

/// What the command line says beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Whom to ask instead of the machine's own resolver.
    pub resolver: Option<SocketAddr>,
    /// The selector of the mail server's DKIM key, before the configured one.
    pub dkim_selector: Option<String>,
}

/// The command: tells each finding as it comes, then fails if one is a failure: with 78 if the configuration has to be
/// changed, with 75 if another try may do, else with 1.
pub fn run(path: &Path, wishes: &Wishes, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(selector) = wishes.dkim_selector.as_deref().filter(|selector| !Doctor::is_selector(selector)) {
        return Err(Failure::Usage(format!("--dkim-selector {selector}: no selector, as mail2026 is one")));
    }
    let mut chart = Chart { out, as_json, findings: 0, failures: Vec::new() };
    let config = match config::load(path) {
        Ok(config) => config,
        Err(wrong) => {
            for line in wrong.lines() {
                let failure = Failure::Config(line.clone());
                chart.failed("configuration", failure, "change it; config.example.toml explains every key")?;
            }
            return chart.end();
        }
    };
    configuration(path, &config, &mut chart)?;
    place::look(&config, &mut chart)?;
    place::daemon(path, &config, &mut chart)?;
    grant(&config, &mut chart)?;
    daemon::runtime()?.block_on(async {
        servers::mailbox(&config, &mut chart).await?;
        let greeting = servers::delivery(&config, &mut chart).await?;
        place::clock(greeting.as_deref(), &mut chart)?;
        if matches!(config.delivery.target, Target::Smtp(_)) || wishes.resolver.is_some() {
            let selector = wishes.dkim_selector.as_deref().or(config.doctor.dkim_selector.as_deref());
            let resolver = wishes.resolver.map_or_else(Resolver::of_system, |address| Ok(Resolver::at(address)));
            domain::look(resolver, &config.delivery.from.address, selector, &mut chart).await?;
        }
        Ok::<_, Failure>(())
    })?;
    chart.end()
}

/// The file itself, and what it names.
fn configuration(path: &Path, config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    chart.ok("configuration", format!("{} is sound", path.display()))?;
    for warning in &config.warnings {
        chart.warn("configuration", warning, "change it, or know why it is so")?;
    }
    let setup = match check::has_maildir(config).and_then(|()| check::sound(config)) {
        Ok(setup) => setup,
        Err(failure) => return chart.failed("configuration", failure, "put right what the line names"),
    };
    for note in check::notes(config, &setup) {
        chart.warn("configuration", note, "add it, if you have it")?;
    }
    feeds(&setup, config.orders.shop.is_some(), chart)?;
    place::templates(config, chart)
}

/// The grant by which tokens are had instead of passwords, if there is one.
fn grant(config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    const SOON: i64 = 14;
    let Some(grant) = &config.oauth2 else { return Ok(()) };
    let (state, login) = (grant.state(), "give a new one by `aftersalesd auth login`");
    match (&state.why, state.days_left(Timestamp::now())) {
        (Some(why), _) if state.needs_login => chart.fail("grant", why.as_str(), login),
        (Some(why), _) => chart.warn("grant", why, "it is tried again; `aftersalesd auth status` tells more"),
        (None, Some(days)) if days < SOON => chart.warn("grant", format!("it ends in {days} days"), login),
        (None, _) => chart.ok("grant", "access tokens can be had"),
    }
}

fn feeds(setup: &Setup, asks_shop: bool, chart: &mut Chart<'_>) -> io::Result<()> {
    let products = setup.terms.catalogue.products.len();
    match products {
        0 => chart.warn("catalogue", "it has no product", "without products nobody gets an RMA: fill it")?,
        _ => chart.ok("catalogue", format!("{products} products"))?,
    }
    match setup.orders.as_ref().map(|orders| orders.len()) {
        None if asks_shop => chart.ok("orders", "the shop is asked; `aftersalesd check` tries it"),
        None => {
            chart.warn("orders", "there is no order feed", "set [orders] file: without it staff check each purchase")
        }
        Some(0) => chart.warn("orders", "the order feed has no line", "look at what writes it"),
        Some(lines) => chart.ok("orders", format!("{lines} lines")),
    }
}

/// How it is with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, but not as well as it could, or not for long.
    Warn,
    Fail,
}

#[derive(Debug, Serialize)]
struct Finding<'a> {
    check: &'a str,
    verdict: Verdict,
    what: &'a str,
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    remedy: Option<&'a str>,
}

/// What was found so far, told as it is found. That nobody listens is all that ends a doctor early: whatever else hinders
/// a check is a finding.
struct Chart<'a> {
    out: &'a mut dyn Write,
    as_json: bool,
    findings: usize,
    failures: Vec<Failure>,
}

impl Chart<'_> {
    fn ok(&mut self, check: &str, what: impl AsRef<str>) -> io::Result<()> {
        self.tell(&Finding { check, verdict: Verdict::Ok, what: what.as_ref(), remedy: None })
    }

    fn warn(&mut self, check: &str, what: impl AsRef<str>, remedy: &str) -> io::Result<()> {
        self.tell(&Finding { check, verdict: Verdict::Warn, what: what.as_ref(), remedy: Some(remedy) })
    }

    fn fail(&mut self, check: &str, what: impl Into<String>, remedy: &str) -> io::Result<()> {
        self.failed(check, Failure::Other(what.into()), remedy)
    }

    /// A failure with an exit code of its own.
    fn failed(&mut self, check: &str, failure: Failure, remedy: &str) -> io::Result<()> {
        let what = failure.to_string();
        self.failures.push(failure);
        self.tell(&Finding { check, verdict: Verdict::Fail, what: &what, remedy: Some(remedy) })
    }

    fn tell(&mut self, finding: &Finding<'_>) -> io::Result<()> {
        self.findings += 1;
        if self.as_json {
            serde_json::to_writer(&mut *self.out, finding)?;
            return writeln!(self.out);
        }
        let verdict = match finding.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        writeln!(self.out, "{verdict}  {:<14} {}", finding.check, finding.what.replace('\n', "; "))?;
        if let Some(remedy) = finding.remedy {
            writeln!(self.out, "                     → {remedy}")?;
        }
        // Servers may take their time: what is known is shown.
        self.out.flush()
    }

    fn end(self) -> Result<(), Failure> {
        let (all, failed) = (self.findings, self.failures.len());
        let told = format!("{failed} of {all} findings {} to be put right", if failed == 1 { "has" } else { "have" });
        let worst = |code: u8| self.failures.iter().any(|failure| failure.exit_code() == code);
        match failed {
            0 => Ok(()),
            _ if worst(78) => Err(Failure::Config(told)),
            _ if worst(1) || worst(2) => Err(Failure::Other(told)),
            _ => Err(Failure::Temporary(told)),
        }
    }
}
