//! `check`: is everything there and right, before the daemon runs.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::neighbours::Neighbours;
use super::{AnyMailer, Failure, Setup, brands, daemon, imap_settings, load, receivers, shop};
use crate::config::{Config, Source, Start, Target};
use crate::domain::reply::{Kind, Sending};
use crate::imap;
use crate::ports::Mailer;

/// Validates configuration, templates, catalogue and order feed, then, unless `offline`, logs in to both servers; of each
/// brand by itself, and whether they can stand side by side.
pub fn check(files: &[PathBuf], offline: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let alone = brands::each(files, |file| check_one(file, offline, out));
    Neighbours::check(files).and(alone)
}

fn check_one(path: &Path, offline: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load(path)?;
    let setup = sound(&config)?;
    let terms = &setup.terms;
    let languages: Vec<&str> = terms.letters.languages().collect();
    writeln!(out, "configuration  {}", path.display())?;
    writeln!(out, "templates      {} (version {})", languages.join(" "), terms.letters.version())?;
    writeln!(out, "catalogue      {} products", terms.catalogue.products.len())?;
    let shop = shop(&config)?;
    match (&setup.orders, &shop) {
        (Some(orders), _) => writeln!(out, "order feed     {} lines", orders.len())?,
        (None, Some(shop)) => writeln!(out, "order feed     asked of {}", shop.address())?,
        (None, None) => writeln!(out, "order feed     none")?,
    }
    writeln!(out, "letters        {}", sending(&config.delivery.sending))?;
    if let Some(to) = &config.staff.handover {
        let answers = match (config.staff.addresses.is_empty(), config.mailbox.trusted_authserv.is_empty()) {
            (true, _) => "answers are not followed: [staff] addresses is empty",
            (_, true) => {
                "answers are not followed: without [mailbox] trusted_authserv nobody vouches for their writers"
            }
            (false, false) => "answers of [staff] addresses are followed",
        };
        writeln!(out, "hand-over      {to}; {answers}")?;
    }
    for (webhook, receiver) in config.webhooks.iter().zip(receivers(&config)?) {
        let events: Vec<&str> = webhook.subscription.events.iter().map(String::as_str).collect();
        writeln!(out, "webhook        {} hears of: {}", receiver.name(), events.join(" "))?;
    }
    for note in notes(&config, &setup) {
        writeln!(out, "note           {note}")?;
    }
    has_maildir(&config)?;
    if offline {
        return Ok(());
    }
    let mailer = AnyMailer::new(&config)?;
    daemon::runtime()?.block_on(async {
        if let Some(settings) = imap_settings(&config) {
            let report = imap::check(&settings).await?;
            let idle = if report.idle { "IDLE" } else { "polled" };
            writeln!(out, "mailbox        {} with {} letters, {idle}", report.folder, report.letters)?;
            if matches!(config.mailbox.source, Source::Imap { start: Start::Now, .. }) {
                writeln!(
                    out,
                    "note           start = \"now\": the first start leaves alone what is in the folder then"
                )?;
            }
            for remark in report.remarks {
                writeln!(out, "note           {remark}")?;
            }
        }
        mailer.check().await?;
        writeln!(out, "delivery       ready")?;
        if let Some(shop) = shop {
            let remarks = shop.check().await?;
            writeln!(out, "orders         answered")?;
            for remark in remarks {
                writeln!(out, "note           {remark}")?;
            }
        }
        Ok(())
    })
}

/// What the configuration names, read and checked whole, with the word lists that the program brings.
pub(super) fn sound(config: &Config) -> Result<Setup, Failure> {
    let setup = Setup::new(config)?;
    setup.terms.lexicons.verify().map_err(Failure::Other)?;
    Ok(setup)
}

/// What is allowed, but seldom meant.
pub(super) fn notes(config: &Config, setup: &Setup) -> Vec<&'static str> {
    let mut notes = Vec::new();
    let has_country = config.orders.shop.is_some() || setup.orders.as_ref().is_some_and(|orders| orders.has_country);
    if config.rma.return_address.is_none() && matches!(config.delivery.target, Target::Smtp(_)) {
        notes.push("[rma] return_address is not set: RMA letters say that it follows from staff");
    }
    if !config.rma.destinations.is_empty() && !has_country {
        notes.push("[[rma.addresses]]: without a column country in the order feed nobody gets them");
    }
    notes
}

/// Whether a mailbox that is a Maildir is one.
pub(super) fn has_maildir(config: &Config) -> Result<(), Failure> {
    match &config.mailbox.source {
        Source::Maildir(folder) if !folder.join("new").is_dir() => {
            let folder = folder.display();
            Err(Failure::Config(format!("[mailbox] path: {folder} is no Maildir (it has no folder new)")))
        }
        _ => Ok(()),
    }
}

/// When letters to customers leave.
fn sending(sending: &Sending) -> String {
    let Sending { held, delay } = sending;
    let at_once = match delay.is_zero() {
        true => "are sent at once".to_owned(),
        false => format!("are sent after {delay:#}, until then they can be dropped"),
    };
    match held.as_slice() {
        [] => at_once,
        all if Kind::ALL.iter().all(|kind| all.contains(kind)) => "are all held until a person sends them".to_owned(),
        some => {
            let kinds: Vec<&str> = some.iter().map(|kind| kind.folder()).collect();
            format!("{at_once}, but held until a person sends them: {}", kinds.join(" "))
        }
    }
}
