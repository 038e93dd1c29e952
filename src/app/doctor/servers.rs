//! The mail servers: can we log in, what can they do, how long do their certificates hold.

use std::io;

use jiff::{SignedDuration, Timestamp};

use super::Chart;
use crate::app::{AnyMailer, Failure, imap_settings};
use crate::config::{Config, Source, Start, Target};
use crate::imap::{self, Survey};
use crate::ports::{Fault, FaultKind, Mailer, Server};
use crate::probe::{self, ProbeError, Protocol, Shown};

/// A certificate that has less than this and less than a third of its life left should have been renewed.
const SHORT: SignedDuration = SignedDuration::from_hours(14 * 24);
/// A mailbox or a letter that takes more than this share of its bound soon takes all.
const NEARLY: f64 = 0.9;
/// The largest letter that we send, in bytes: a hand-over with an original of 5 MiB in base64, and small pictures.
const LARGEST_HANDOVER: u64 = 8 << 20;
/// The largest to a customer: a form for the parcel.
const LARGEST_REPLY: u64 = 1 << 20;

/// The remedy against a mistake in the configuration.
const CHANGE: &str = "change what the line names";

/// Where letters come from.
pub(super) async fn mailbox(config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    let (Source::Imap { server, start, .. }, Some(settings)) = (&config.mailbox.source, imap_settings(config)) else {
        return chart.ok("mailbox", "a Maildir");
    };
    if line(server, Protocol::Imap, "mailbox", chart).await?.is_none() {
        return Ok(());
    }
    let survey = match imap::survey(&settings).await {
        Ok(survey) => survey,
        Err(fault) => return failed("mailbox", fault, chart),
    };
    let (folder, letters) = (&survey.report.folder, survey.report.letters);
    chart.ok("mailbox", format!("logged in; {folder} holds {letters} letters"))?;
    if *start == Start::Now {
        let what = format!("start = \"now\": the first start leaves alone what is in {folder} then");
        chart.ok("mailbox", what)?;
    }
    abilities(&survey, chart)?;
    quota(&survey, chart)
}

/// What the server can do that makes a difference to us.
fn abilities(survey: &Survey, chart: &mut Chart<'_>) -> io::Result<()> {
    let can = |name: &str| survey.report.capabilities.iter().any(|known| known == name);
    for remark in &survey.report.remarks {
        chart.warn("imap", remark, "ask whoever runs the server; letters are answered all the same")?;
    }
    let known = ["IDLE", "UIDPLUS", "MOVE", "CONDSTORE", "QRESYNC", "QUOTA", "SPECIAL-USE", "ID"];
    let (has, lacks): (Vec<&str>, Vec<&str>) = known.iter().copied().partition(|name| can(name));
    let lacking = if lacks.is_empty() { String::new() } else { format!("; not {}", lacks.join(" ")) };
    chart.ok("imap", format!("the server has {}{lacking}", has.join(" ")))?;
    let lasting = match (survey.read_only, survey.takes_keywords) {
        (true, _) => "no flag lasts in the folder",
        (false, true) => "keywords of any name last in the folder",
        (false, false) => "only the flags that the server names last in the folder",
    };
    chart.ok("imap", lasting)?;
    let goes = |(what, name): &&(&str, String)| {
        Some(name) == survey.report.target.as_ref() && ["trash", "junk"].contains(what)
    };
    if let Some((what, target)) = survey.special.iter().find(goes) {
        let what = format!("handled letters are moved to {target}, which is the server's folder for {what}");
        chart.warn("imap", what, "many servers empty it by themselves: set [mailbox] handled to another folder")?;
    }
    let special: Vec<String> = survey.special.iter().map(|(what, name)| format!("{what} {name}")).collect();
    match special.is_empty() {
        true => Ok(()),
        false => chart.ok("imap", format!("special folders: {}", special.join(", "))),
    }
}

fn quota(survey: &Survey, chart: &mut Chart<'_>) -> io::Result<()> {
    for quota in &survey.quotas {
        let unit = if quota.resource == "STORAGE" { " KiB" } else { "" };
        let what = format!("{} {} of {}{unit} used", quota.resource, quota.used, quota.most);
        let remedy = "when it is full the server refuses mail of customers: remove old mail, or have it raised";
        match quota.used as f64 / (quota.most as f64).max(1.0) {
            1.0.. => chart.fail("quota", what, remedy)?,
            NEARLY..1.0 => chart.warn("quota", what, remedy)?,
            _ => chart.ok("quota", what)?,
        }
    }
    Ok(())
}

/// Where replies go. Gives the server's greeting.
pub(super) async fn delivery(config: &Config, chart: &mut Chart<'_>) -> io::Result<Option<String>> {
    let Target::Smtp(server) = &config.delivery.target else {
        chart.ok("delivery", "a Maildir: nothing is sent")?;
        return Ok(None);
    };
    let Some(shown) = line(server, Protocol::Smtp, "delivery", chart).await? else { return Ok(None) };
    let checked = match AnyMailer::new(config) {
        Ok(mailer) => mailer.check().await,
        Err(failure) => {
            chart.failed("delivery", failure, "put right what the line names")?;
            return Ok(None);
        }
    };
    match (checked, &server.login) {
        (Err(fault), _) => failed("delivery", fault, chart)?,
        (Ok(()), Some(_)) => chart.ok("delivery", "logged in")?,
        (Ok(()), None) => chart.ok("delivery", "connected, without a login as configured")?,
    }
    offers(&shown, server, config, chart)?;
    Ok(Some(shown.greeting))
}

/// What the server says to EHLO.
fn offers(shown: &Shown, server: &Server, config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    let offer = |name: &str| {
        let words = shown.offers.iter().map(|line| line.split([' ', '=']).collect::<Vec<_>>());
        words.into_iter().find(|words| words.first() == Some(&name))
    };
    let largest = if config.staff.handover.is_some() { LARGEST_HANDOVER } else { LARGEST_REPLY };
    let size = offer("SIZE").and_then(|words| words.get(1)?.parse::<u64>().ok()).filter(|size| *size > 0);
    let most =
        size.map_or("mail of any size".to_owned(), |size| format!("mail up to {:.1} MiB", size as f64 / 1_048_576.0));
    let ability = |name: &str| format!("{name}{}", if offer(name).is_some() { "" } else { " not" });
    let what = format!("the server takes {most}; {}, {}", ability("8BITMIME"), ability("SMTPUTF8"));
    match size {
        Some(size) if size < largest => {
            let remedy = "have the limit raised: our largest letters are refused";
            chart.warn(
                "smtp",
                format!("{what}; our largest letter has {:.0} MiB", largest as f64 / 1_048_576.0),
                remedy,
            )?;
        }
        _ => chart.ok("smtp", what)?,
    }
    let mechanisms: Vec<&str> = offer("AUTH").map(|words| words.into_iter().skip(1).collect()).unwrap_or_default();
    match (mechanisms.is_empty(), &server.login) {
        (false, Some(_)) => chart.ok("smtp", format!("logins by {}", mechanisms.join(" "))),
        (false, None) => chart.warn(
            "smtp",
            format!("it takes logins ({}) and we have none", mechanisms.join(" ")),
            "set [delivery] user and password_file, unless it knows us by our address",
        ),
        // The login has been tried and told of.
        (true, _) => Ok(()),
    }
}

/// Reaches a server and tells of its TLS; `None`: it can't be reached, which is told.
async fn line(server: &Server, protocol: Protocol, check: &str, chart: &mut Chart<'_>) -> io::Result<Option<Shown>> {
    let place = format!("{}:{}", server.host, server.port);
    let shown = match probe::look(server, protocol).await {
        Ok(shown) => shown,
        Err(e) => {
            let what = format!("{place}: {e}");
            let (failure, remedy) = match e {
                ProbeError::Unreachable(_) | ProbeError::Refused(_) => (
                    Failure::Temporary(what),
                    "is host, port and security right? can this machine reach it (firewall)? is the server up?",
                ),
                ProbeError::Untrusted(_) => (
                    Failure::Temporary(what),
                    "its certificate is not trusted: renew it, take the name that it holds, or set ca_file",
                ),
                ProbeError::Configuration(_) => (Failure::Config(what), CHANGE),
            };
            chart.failed(check, failure, remedy)?;
            return Ok(None);
        }
    };
    match &shown.tls {
        None => chart.ok(check, format!("{place} answers, in the clear on this machine"))?,
        Some(tls) => match tls.holds {
            None => {
                chart.warn(check, format!("{place}: {}; its certificate tells no time", tls.version), "renew it")?
            }
            Some((from, until)) => {
                let left = until.duration_since(Timestamp::now());
                let what = format!(
                    "{place}: {}; its certificate holds for {} days, until {until}",
                    tls.version,
                    left.as_hours() / 24
                );
                let is_late = left < SHORT && left.as_secs() < until.duration_since(from).as_secs() / 3;
                match is_late {
                    true => chart.warn(check, what, "have it renewed: once it has run out nothing comes or goes")?,
                    false => chart.ok(check, what)?,
                }
            }
        },
    }
    Ok(Some(shown))
}

/// What a server that can be reached does not do.
fn failed(check: &str, fault: Fault, chart: &mut Chart<'_>) -> io::Result<()> {
    let remedy = match fault.kind {
        FaultKind::Temporary => "try again later; if it stays so, ask whoever runs the server",
        FaultKind::Login => {
            "set user and password; many providers want a password for this program alone (app password)"
        }
        FaultKind::Configuration => CHANGE,
    };
    chart.failed(check, fault.into(), remedy)
}
