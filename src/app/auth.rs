//! `auth`: the OAuth2 access to the mail servers. Works whether or not the daemon is running.

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::{Failure, daemon, load, load_offline};
use crate::config::Config;
use crate::oauth2::{self, Step};
use crate::worker::health::Grant;

/// `auth login`: shows a person what to do, waits until it is done, keeps what is granted.
pub fn login(config: &Path, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load(config)?;
    let grant = of(&config)?;
    daemon::runtime()?.block_on(async {
        match grant.begin().await? {
            Step::Enter(device) => {
                let minutes = device.holds.as_mins();
                writeln!(out, "Open {} in any browser, as the owner of the mailbox, and enter", device.address)?;
                writeln!(out, "\n    {}\n\nwithin {minutes} minutes. Waiting …", device.code)?;
                out.flush()?;
                grant.confirmed(device).await?;
            }
            Step::Open(visit) => {
                writeln!(out, "Open this address in any browser, as the owner of the mailbox, and agree:")?;
                writeln!(out, "\n{}\n", visit.address)?;
                writeln!(out, "The browser is then led to {}, where nothing answers.", visit.redirect)?;
                writeln!(out, "Copy the whole address of that page from the browser and paste it here:")?;
                out.flush()?;
                let mut told = String::new();
                input.read_line(&mut told)?;
                grant.visited(visit, &told).await?;
            }
            Step::Nothing => {
                writeln!(out, "Nobody has to log in: a token was given for the client's own credentials.")?
            }
        }
        Ok::<_, Failure>(())
    })?;
    Ok(print(&grant.state().into(), out)?)
}

/// `auth status`: how the grant is; fails if no token can be had by it.
pub fn status(config: &Path, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let grant: Grant = of(&load_offline(config)?)?.state().into();
    match as_json {
        true => writeln!(out, "{}", serde_json::to_string(&grant).map_err(|e| Failure::Other(e.to_string()))?)?,
        false => print(&grant, out)?,
    }
    match grant.why {
        None => Ok(()),
        Some(why) => Err(Failure::Other(why)),
    }
}

/// A grant for a person.
pub(super) fn print(grant: &Grant, out: &mut dyn Write) -> io::Result<()> {
    let time = |at: Option<jiff::Timestamp>| at.map_or("never".to_owned(), |at| at.strftime("%F %TZ").to_string());
    match &grant.why {
        None => {
            writeln!(out, "grant      holds; given {}, renewed {}", time(grant.granted_at), time(grant.renewed_at))?
        }
        Some(why) => writeln!(out, "grant      gives no tokens: {why}")?,
    }
    if let Some(days) = grant.days_left {
        writeln!(out, "           ends {}, in {days} days", time(grant.ends_at))?;
    }
    Ok(())
}

fn of(config: &Config) -> Result<&oauth2::Grant, Failure> {
    config.oauth2.as_ref().ok_or_else(|| Failure::Config("[oauth2] is not configured".to_owned()))
}
