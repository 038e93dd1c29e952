//! `status`: how the daemon is, asked over the control socket; without a daemon what the store knows, and that none
//! runs.

use std::io::{self, Write};
use std::path::Path;

use super::query::{Query, consult};
use super::{Failure, auth, load_offline};
use crate::worker::health::{Contact, Intake, Reload, Status};

/// The command: prints, and fails if letters are not taken in.
pub fn run(config: &Path, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let mut told = None;
    consult(&load_offline(config)?, &Query::Status, &mut |line| {
        told = Some(serde_json::from_slice::<Status>(line)?);
        match as_json {
            true => out.write_all(line),
            false => Ok(()),
        }
    })?;
    let status = told.ok_or_else(|| Failure::Other("the daemon gave no answer".to_owned()))?;
    if !as_json {
        print(&status, out)?;
    }
    match status.intake {
        Intake { runs: true, .. } => Ok(()),
        Intake { why, .. } => {
            let why = why.unwrap_or_else(|| "no reason was given".to_owned());
            Err(Failure::Other(format!("no letters are taken in: {why}")))
        }
    }
}

/// The status for a person.
fn print(status: &Status, out: &mut dyn Write) -> io::Result<()> {
    let time = |at: Option<jiff::Timestamp>| at.map_or("never".to_owned(), |at| at.strftime("%F %TZ").to_string());
    let contact = |contact: &Contact| match &contact.last_fault {
        None => format!("last reached {}", time(contact.last_success_at)),
        Some(what) => {
            format!("last reached {}; failed {}: {what}", time(contact.last_success_at), time(contact.last_fault_at))
        }
    };
    match status.started_at {
        Some(at) => writeln!(out, "daemon     runs since {}", time(Some(at)))?,
        None => writeln!(out, "daemon     does not run")?,
    }
    match &status.intake.why {
        None => writeln!(out, "intake     runs since {}", time(status.intake.since))?,
        Some(why) => writeln!(out, "intake     stopped: {why}")?,
    }
    writeln!(
        out,
        "letters    {} taken in, {} quarantined, {} cases; the last since the start: {}",
        status.letters,
        status.quarantined,
        status.cases,
        time(status.last_letter_at)
    )?;
    writeln!(
        out,
        "replies    {} written, {} waiting, {} sent since the start; {} drafts",
        status.replies, status.replies_waiting, status.replies_sent, status.drafts
    )?;
    writeln!(out, "mailbox    {}", contact(&status.mailbox))?;
    writeln!(out, "delivery   {}", contact(&status.delivery))?;
    if let Some(orders) = &status.orders {
        let pause = if orders.paused { "not asked for a pause; " } else { "" };
        writeln!(out, "orders     {pause}{}", contact(&orders.contact))?;
    }
    match &status.reload {
        None => {}
        Some(Reload { at, refused: None }) => writeln!(out, "reloaded   {}", time(Some(*at)))?,
        Some(Reload { at, refused: Some(why) }) => {
            writeln!(out, "reload     refused {}, what was before is in force: {why}", time(Some(*at)))?
        }
    }
    match &status.grant {
        Some(grant) => auth::print(grant, out),
        None => Ok(()),
    }
}
