//! Floor 4: the configuration file, read and checked as a whole at the start and whenever it is to be read anew.
//!
//! A key that nobody knows, a value that makes no sense, a secret that is not there: each is one line that names the
//! file, the line, the table and the key, and all of them are told at once. Nothing of a secret shows up in any of them.

pub mod log;
mod oauth2;
mod orders;
mod policy;
mod secrets;
mod sections;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod values;
mod webhooks;

use std::ffi::OsString;
use std::fmt;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

pub use self::log::Log;
pub use self::secrets::SECRETS;
pub use self::table::nearest;
pub use self::webhooks::Webhook;

use crate::domain::hours::Deadlines;
use crate::domain::ids::Address;
use crate::domain::letter::Person;
use crate::domain::policy::Policy;
use crate::domain::reply::Sending;
use crate::domain::returns::Destination;
use crate::oauth2::Grant;
use crate::ports::Server;
use crate::worker::erasure::Retention;

/// Reads and checks the configuration file at `path`. Relative paths in it are relative to its folder.
///
/// Secrets come from variables ([`SECRETS`]), else from files of their own, else from the configuration itself.
///
/// What systemd gives the service goes before a file: of `secrets/imap`, `secrets_imap` in `CREDENTIALS_DIRECTORY`.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    load_with(path, &|name| std::env::var_os(name), Connects::Yes)
}

/// As [`load`], for who speaks with no server: the passwords stay unread, and are empty. So staff need not be able to read
/// them.
pub fn load_offline(path: &Path) -> Result<Config, ConfigError> {
    load_with(path, &|name| std::env::var_os(name), Connects::No)
}

/// Where the store of a configuration is that may be wrong otherwise; `None` if it does not say so.
pub fn store_of(path: &Path) -> Option<PathBuf> {
    let file: toml::Table = std::fs::read_to_string(path).ok()?.parse().ok()?;
    let store = file.get("store")?.get("path")?.as_str()?;
    Some(path.parent().unwrap_or(Path::new("")).join(store))
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    pub mailbox: Mailbox,
    pub delivery: Delivery,
    /// The folder of cases and attachments.
    pub store: PathBuf,
    /// What servers with `auth = "oauth2"` are logged in at by.
    pub oauth2: Option<Grant>,
    /// The product file.
    pub catalogue: PathBuf,
    pub orders: Orders,
    pub policy: Policy,
    pub deadlines: Deadlines,
    pub rma: Rma,
    /// The brand as letters name it.
    pub brand: String,
    /// A folder of templates instead of the embedded ones.
    pub templates: Option<PathBuf>,
    pub limits: Limits,
    pub staff: Staff,
    /// How long things are kept once all is over.
    pub retention: Retention,
    pub console: Option<Console>,
    pub log: Log,
    pub doctor: Doctor,
    /// Who hears of cases.
    pub webhooks: Vec<Webhook>,
    /// What is odd about the file but no hindrance: one line each.
    pub warnings: Vec<String>,
}

/// `[console]`: where the staff console is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Console {
    /// Port 0 is any free port.
    pub listen: SocketAddr,
    /// A proxy with TLS stands before it: cookies are sent over TLS only, addresses are those the proxy tells.
    pub behind_tls_proxy: bool,
}

/// `[mailbox]`: where letters come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub source: Source,
    /// The hosts whose `Authentication-Results` (RFC 8601) and spam headers count.
    pub trusted_authserv: Vec<String>,
    /// The senders of web forms: the customer is in `Reply-To`.
    pub form_senders: Vec<Address>,
    /// The longest time between two looks for new mail.
    pub poll_interval: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Imap {
        /// Always with a login.
        server: Server,
        folder: String,
        /// Whether to use IDLE (RFC 2177) where the server has it.
        idle: bool,
        handled: Handled,
        start: Start,
    },
    Maildir(PathBuf),
}

/// What the first start makes of the letters that are in the folder already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// They are taken in.
    All,
    /// They are neither read nor answered.
    Now,
}

/// How a handled letter is marked in its mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// With the flag `\Seen`.
    Seen,
    /// With a keyword of ours (RFC 9051 section 2.3.2).
    Keyword(String),
    /// By moving it to another folder.
    Move(String),
}

/// `[delivery]`: where replies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub target: Target,
    /// The author of all replies; their Message-IDs end in its domain.
    pub from: Person,
    /// Which replies wait before they are sent.
    pub sending: Sending,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Smtp(Server),
    Maildir(PathBuf),
}

/// `[orders]`: what was sold to whom.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The order feed, if there is one.
    pub file: Option<PathBuf>,
    /// Where else they are looked up; never with a file.
    pub shop: Option<crate::orders::Settings>,
    /// What the shop's own order numbers look like; none of them matches the empty text.
    pub number_patterns: Vec<Regex>,
    /// Whether an order is unknown to everybody but its customer.
    pub hide_from_others: bool,
}

/// `[rma]`: what return authorisations show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rma {
    /// The beginning of every RMA number: one to four letters A to Z.
    pub prefix: String,
    /// The lines of the address that returns go to, never an empty list; `None`: staff send it in a letter of theirs.
    pub return_address: Option<Vec<String>>,
    /// Where those of some countries go instead; no country twice.
    pub destinations: Vec<Destination>,
}

/// `[limits]`: the caps on automatic mail and on what is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Automatic letters to one address in 24 hours.
    pub replies_per_sender: u32,
    /// Automatic letters in one case.
    pub replies_per_case: u32,
    /// Automatic letters in all in one hour.
    pub replies_per_hour: u32,
    /// Bytes of a mail that is still fetched whole.
    pub mail_size: u64,
}

/// `[staff]`: the people behind the desk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Staff {
    /// Where what they have to know is mailed to.
    pub notify: Option<Address>,
    /// Where cases that need a person are mailed to, each by itself.
    pub handover: Option<Address>,
    /// What they forward counts for its original writer, and their answers to hand-overs are followed.
    pub addresses: Vec<Address>,
}

/// `[doctor]`: what the command of that name can't know by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Doctor {
    /// Under which name the mail server's DKIM key stands in the DNS (RFC 6376 section 3.1).
    pub dkim_selector: Option<String>,
}

impl Doctor {
    /// Whether this can be a selector: names of the DNS, joined by dots.
    pub fn is_selector(text: &str) -> bool {
        let is_name = |name: &str| {
            (1..=63).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        text.split('.').all(is_name)
    }
}

/// Everything that is wrong with a configuration file; its text is one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    lines: Vec<String>,
}

impl ConfigError {
    /// The lines, in the order of the file.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// What the values of a file may refer to.
struct Surroundings<'a> {
    /// The folder that relative paths start from.
    base: &'a Path,
    variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Every user of this machine can read the file, or write to it.
    is_open_to_all: bool,
    connects: Connects,
}

/// Whether the servers are spoken with, for which passwords are needed.
#[derive(Clone, Copy)]
enum Connects {
    Yes,
    No,
}

fn load_with(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<OsString>,
    connects: Connects,
) -> Result<Config, ConfigError> {
    let file = path.display().to_string();
    let told = |line: String| ConfigError { lines: vec![line] };
    let read = || {
        let mut bytes = Vec::new();
        let mut opened = std::fs::File::open(path)?;
        opened.read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>((bytes, secrets::is_open_to_all(&opened)?))
    };
    let (bytes, is_open_to_all) = read().map_err(|e| told(format!("{file}: cannot be read: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|_| told(format!("{file}: is not UTF-8 text")))?;
    let mut document = table::Document::parse(file.clone(), &text)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let config = sections::read(&mut document, &Surroundings { base, variable, is_open_to_all, connects });
    let warnings = document.finish()?;
    // What is missing was noted, so that `finish` has failed already; this line keeps the types honest.
    let nothing = || ConfigError { lines: vec![format!("{file}: is not complete")] };
    Ok(Config { warnings, ..config.ok_or_else(nothing)? })
}
