//! Floor 4: the commands, wired: configuration → terms, store, mailbox, mailer → loops.

pub mod audit;

pub mod auth;

pub mod brand;

pub mod brands;

pub mod cases;

pub mod check;

pub mod control;

pub mod daemon;

pub mod demo;

pub mod doctor;

pub mod explain;

pub mod findings;

pub mod guide;

pub mod letters;

pub mod log;

pub mod neighbours;

pub mod query;

pub mod corrections;
pub mod people;

pub mod photos;

pub mod replay;

pub mod reload;

pub mod report;

pub mod stats;

pub mod status;

pub mod systemd;

pub mod tokens;

pub mod transfer;

pub mod triage;

pub mod users;

pub mod verify;

pub mod webhooks;

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::config::{self, Config, ConfigError, Source, Staff, Start, Target};
use crate::domain::policy::Period;
use crate::domain::reply::Reply;
use crate::feeds::{self, Orders};
use crate::imap::{self, ImapMailbox};
use crate::maildir::{self, MaildirMailbox};
use crate::orders::Source as OrderSource;
use crate::pipeline::compose::{Frame, Letters};
use crate::pipeline::screen::Desk;
use crate::pipeline::{Caps, Terms};
use crate::ports::{Delivery, End, Fault, FaultKind, FirstStart, Incoming, Mailbox, Mailer, Position};
use crate::smtp::{self, MaildirMailer, SmtpMailer};
use crate::store::{Store, StoreError};
use crate::webhook::Receiver;
use crate::worker::Office;
use crate::worker::handover::Handover;
use crate::worker::orders::Shop;

/// What `--version` tells: the version, in a release with its commit.
pub const VERSION: &str = env!("AFTERSALESD_VERSION");

/// Why a command failed: what to print and which exit code to end with.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The configuration, a template, the catalogue, the order feed or the installed version is wrong: 78, EX_CONFIG.
    Config(String),
    /// A server can't be reached or the store is in use: 75, EX_TEMPFAIL. Worth another try.
    Temporary(String),
    /// What was asked for makes no sense: 2.
    Usage(String),
    /// Anything else: 1.
    Other(String),
}

impl Failure {
    /// The exit code (`sysexits.h`).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) => 78,
            Self::Temporary(_) => 75,
            Self::Usage(_) => 2,
            Self::Other(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Config(text) | Self::Temporary(text) | Self::Usage(text) | Self::Other(text)) = self;
        f.write_str(text)
    }
}

impl From<StoreError> for Failure {
    fn from(e: StoreError) -> Self {
        match &e {
            // Trying again is of no use before another version is installed, or another user runs this.
            StoreError::Newer { .. } | StoreError::Anothers { .. } => Self::Config(e.to_string()),
            e if e.is_of_the_folder() => Self::Config(format!(
                "{e}: the user that runs this has to own the folder, and the unit's ReadWritePaths= to name it if systemd \
                 runs it and it lies outside /var/lib/aftersalesd"
            )),
            e if e.is_temporary() => Self::Temporary(e.to_string()),
            e => Self::Other(e.to_string()),
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault.kind {
            FaultKind::Temporary => Self::Temporary(fault.what),
            FaultKind::Login | FaultKind::Configuration => Self::Config(fault.what),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(e: std::io::Error) -> Self {
        Self::Other(e.to_string())
    }
}

/// Reads the configuration file that a process begins by: its log says from here on what is odd, in the form that the
/// file names.
pub fn load(path: &Path) -> Result<Config, Failure> {
    let loaded = config::load(path);
    if let Ok(config) = &loaded {
        log::follow(path, &config.log);
    }
    warned_of(loaded)
}

/// As [`load`], of a daemon that goes on by another until all that this one names is found to be good.
pub fn load_beside(path: &Path) -> Result<Config, Failure> {
    warned_of(config::load(path))
}

/// As [`load`], for a command that speaks with no server: passwords are not read.
pub fn load_offline(path: &Path) -> Result<Config, Failure> {
    warned_of(config::load_offline(path))
}

fn warned_of(loaded: Result<Config, ConfigError>) -> Result<Config, Failure> {
    let config = loaded.map_err(|e| Failure::Config(e.to_string()))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

/// What a configuration names, read and checked whole.
#[derive(Debug)]
pub struct Setup {
    pub terms: Terms,
    pub orders: Option<Orders>,
}

impl Setup {
    /// Reads catalogue, order feed and templates.
    pub fn new(config: &Config) -> Result<Self, Failure> {
        let wrong = |e: feeds::FeedError| Failure::Config(e.to_string());
        let catalogue = feeds::catalogue(&config.catalogue).map_err(wrong)?;
        let orders = config.orders.file.as_deref().map(feeds::orders).transpose().map_err(wrong)?;
        no_column(config, orders.as_ref())?;
        let letters = match &config.templates {
            Some(folder) => {
                let named = |line: &String| format!("templates {}: {line}", folder.display());
                let letters = Letters::from_folder(&read_folder(folder)?);
                letters.map_err(|lines| lines.iter().map(named).collect::<Vec<_>>())
            }
            None => Letters::embedded(),
        };
        let letters = letters.map_err(|lines| Failure::Config(lines.join("\n")))?;
        let mut addresses = vec![config.delivery.from.address.clone()];
        if let Source::Imap { server, .. } = &config.mailbox.source {
            addresses.extend(server.login.as_ref().and_then(|l| crate::domain::ids::Address::new(&l.user).ok()));
        }
        let desk = Desk {
            addresses,
            trusted_authserv: config.mailbox.trusted_authserv.clone(),
            form_senders: config.mailbox.form_senders.clone(),
            staff: {
                let Staff { notify, handover, addresses } = &config.staff;
                addresses.iter().chain(notify).chain(handover).cloned().collect()
            },
        };
        let frame = Frame {
            brand: config.brand.clone(),
            from: config.delivery.from.clone(),
            return_address: config.rma.return_address.clone().unwrap_or_default(),
            destinations: config.rma.destinations.clone(),
            mail_megabytes: (config.limits.mail_size >> 20).max(1),
        };
        let patterns: Vec<String> = config.orders.number_patterns.iter().map(|r| r.as_str().to_owned()).collect();
        let caps = Caps {
            per_sender: config.limits.replies_per_sender as usize,
            per_case: config.limits.replies_per_case as usize,
        };
        let mut terms = Terms::new(config.policy.clone(), catalogue, desk, letters, frame, caps, &patterns)
            .map_err(Failure::Config)?;
        terms.hide_orders = config.orders.hide_from_others;
        terms.deadlines = config.deadlines.clone();
        terms.sending = config.delivery.sending.clone();
        Ok(Self { terms, orders })
    }

    /// The office that works on `store` under these terms.
    pub fn office(self, config: &Config, store: Store) -> Office {
        let per_hour = config.limits.replies_per_hour as usize;
        let mut office = Office::new(store, self.terms, self.orders, config.rma.prefix.clone(), per_hour);
        office.from_now = matches!(config.mailbox.source, Source::Imap { start: Start::Now, .. });
        office.retention = config.retention;
        office.notifier.to.clone_from(&config.staff.notify);
        office.handover = Handover {
            to: config.staff.handover.clone(),
            people: config.staff.addresses.clone(),
            vouching: !config.mailbox.trusted_authserv.is_empty(),
        };
        office
    }
}

/// Exceptions by the day of purchase would never hold without one: that is a mistake.
fn no_column(config: &Config, orders: Option<&Orders>) -> Result<(), Failure> {
    let by_purchase = config.policy.exceptions.iter().find(|exception| exception.bought != Period::default());
    match by_purchase {
        // A shop may tell it of each order.
        Some(_) if config.orders.shop.is_some() => Ok(()),
        Some(exception) if !orders.is_some_and(|orders| orders.has_bought_on) => Err(Failure::Config(format!(
            "[[exceptions]] \"{}\" bought_from, bought_until: the order feed has no column bought_on",
            exception.name
        ))),
        _ => Ok(()),
    }
}

/// All templates below a folder: path inside it and text.
fn read_folder(root: &Path) -> Result<Vec<(String, String)>, Failure> {
    fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) -> std::io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                collect(root, &path, files)?;
            } else if path.extension().is_some_and(|e| e == "txt" || e == "html" || e == "svg") {
                let inside = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.push((inside, fs::read_to_string(&path).map_err(|e| named(&path, &e))?));
            }
        }
        Ok(())
    }
    fn named(path: &Path, e: &std::io::Error) -> std::io::Error {
        std::io::Error::new(e.kind(), format!("{}: {e}", path.display()))
    }
    let mut files = Vec::new();
    collect(root, root, &mut files).map_err(|e| Failure::Config(format!("templates {}: {e}", root.display())))?;
    Ok(files)
}

/// The mailbox of a configuration.
#[derive(Debug)]
pub enum AnyMailbox {
    Imap(Box<ImapMailbox>),
    Maildir(MaildirMailbox),
}

impl AnyMailbox {
    /// The mailbox, and the name under which the store keeps its cursor.
    pub fn new(config: &Config) -> (Self, String) {
        match &config.mailbox.source {
            Source::Imap { .. } => {
                let settings = imap_settings(config);
                let folder = settings.as_ref().map(|s| s.folder.clone()).unwrap_or_default();
                match settings {
                    Some(settings) => (Self::Imap(Box::new(ImapMailbox::new(settings))), folder),
                    None => (Self::Maildir(MaildirMailbox::new(maildir::Settings::new(""))), folder),
                }
            }
            Source::Maildir(path) => {
                let settings = maildir::Settings {
                    poll_interval: config.mailbox.poll_interval,
                    mail_size: config.limits.mail_size,
                    ..maildir::Settings::new(path)
                };
                (Self::Maildir(MaildirMailbox::new(settings)), path.display().to_string())
            }
        }
    }
}

/// The IMAP settings of a configuration; `None` if its mailbox is a Maildir.
pub fn imap_settings(config: &Config) -> Option<imap::Settings> {
    let Source::Imap { server, folder, idle, handled, .. } = &config.mailbox.source else { return None };
    let handled = match handled {
        config::Handled::Seen => imap::Handled::Seen,
        config::Handled::Keyword(word) => imap::Handled::Keyword(word.clone()),
        config::Handled::Move(folder) => imap::Handled::Move(folder.clone()),
    };
    Some(imap::Settings {
        idle: *idle,
        poll_interval: config.mailbox.poll_interval,
        handled,
        mail_size: config.limits.mail_size,
        ..imap::Settings::new(server.clone(), folder.clone())
    })
}

impl Mailbox for AnyMailbox {
    async fn fetch(&mut self, after: Option<&Position>) -> Result<Vec<Incoming>, Fault> {
        match self {
            Self::Imap(mailbox) => mailbox.fetch(after).await,
            Self::Maildir(mailbox) => mailbox.fetch(after).await,
        }
    }

    async fn done(&mut self, letters: &[Position]) -> Result<(), Fault> {
        match self {
            Self::Imap(mailbox) => mailbox.done(letters).await,
            Self::Maildir(mailbox) => mailbox.done(letters).await,
        }
    }

    fn leave_alone(&mut self, start: Option<FirstStart>) {
        match self {
            Self::Imap(mailbox) => mailbox.leave_alone(start),
            Self::Maildir(mailbox) => mailbox.leave_alone(start),
        }
    }

    async fn end(&mut self) -> Result<Option<End>, Fault> {
        match self {
            Self::Imap(mailbox) => mailbox.end().await,
            Self::Maildir(mailbox) => mailbox.end().await,
        }
    }

    async fn wait(&mut self) -> Result<(), Fault> {
        match self {
            Self::Imap(mailbox) => mailbox.wait().await,
            Self::Maildir(mailbox) => mailbox.wait().await,
        }
    }
}

/// The mailer of a configuration.
#[derive(Debug)]
pub enum AnyMailer {
    Smtp(Box<SmtpMailer>),
    Maildir(MaildirMailer),
}

impl AnyMailer {
    pub fn new(config: &Config) -> Result<Self, Failure> {
        let from = config.delivery.from.clone();
        Ok(match &config.delivery.target {
            Target::Smtp(server) => {
                Self::Smtp(Box::new(SmtpMailer::new(smtp::Settings { server: server.clone(), from, connections: 4 })?))
            }
            Target::Maildir(path) => Self::Maildir(MaildirMailer::new(path, from)),
        })
    }
}

impl Mailer for AnyMailer {
    async fn send(&self, reply: &Reply) -> Delivery {
        match self {
            Self::Smtp(mailer) => mailer.send(reply).await,
            Self::Maildir(mailer) => mailer.send(reply).await,
        }
    }

    async fn check(&self) -> Result<(), Fault> {
        match self {
            Self::Smtp(mailer) => mailer.check().await,
            Self::Maildir(mailer) => mailer.check().await,
        }
    }
}

/// The shop that orders are asked of.
pub fn shop(config: &Config) -> Result<Option<Arc<Shop>>, Failure> {
    let source = config.orders.shop.clone().map(OrderSource::new).transpose()?;
    Ok(source.map(|source| Arc::new(Shop::new(source))))
}

/// Opens the store and reads what the configuration names.
pub fn open_office(config: &Config) -> Result<Arc<Office>, Failure> {
    let setup = Setup::new(config)?;
    let (receivers, shop) = (receivers(config)?, shop(config)?);
    let mut office = setup.office(config, open_store(config)?);
    office.receivers = receivers;
    office.asks(shop);
    Ok(Arc::new(office))
}

/// Opens the store, and says to it who hears of what happens to cases.
pub fn open_store(config: &Config) -> Result<Store, StoreError> {
    let store = Store::open(&config.store)?;
    subscribe(config, &store)?;
    Ok(store)
}

/// Says to the store who hears of what happens to cases.
fn subscribe(config: &Config, store: &Store) -> Result<(), StoreError> {
    let gone = store.subscribe(config.webhooks.iter().map(|webhook| webhook.subscription.clone()).collect())?;
    if gone > 0 {
        tracing::warn!(messages = gone, "forgot what waited for webhooks that the configuration no longer has");
    }
    Ok(())
}

/// Those who hear of cases.
pub fn receivers(config: &Config) -> Result<Vec<Receiver>, Failure> {
    let receiver = |webhook: &config::Webhook| Receiver::new(webhook.receiver.clone()).map_err(Failure::from);
    config.webhooks.iter().map(receiver).collect()
}
