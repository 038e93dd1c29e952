//! Floor 1: the sockets to the world as small traits, and the values they share.
//!
//! The traits of the mailbox and the mailer have a fake in tests, for faults that a real server won't produce.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::reply::Reply;

/// How much is handed out of a mail that is larger than the limit, in bytes: header and text come first in almost
/// every mail.
pub const BEGINNING: u64 = 256 * 1024;

/// Where letters come from.
///
/// An implementation connects by itself when it has to and drops its connection after any fault: calling again is
/// always right. Every command has a time-out of its own.
pub trait Mailbox: Send {
    /// The next letters above `after`, in order, bounded in number and bytes; empty if there is none now.
    ///
    /// `after` is the highest position ever handed to the store, or `None` to begin at the start. A letter that the
    /// server has but does not yield is never skipped: it comes as [`Content::Unreadable`] or the call fails.
    fn fetch(&mut self, after: Option<&Position>) -> impl Future<Output = Result<Vec<Incoming>, Fault>> + Send;

    /// Tells the server that these letters are handled (flag, keyword or move; never deletes).
    fn done(&mut self, letters: &[Position]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// From now on, letters that `start` leaves alone are not handed out; while the mailbox is numbered otherwise,
    /// fetching is a temporary fault.
    fn leave_alone(&mut self, start: Option<FirstStart>) {
        let _ = start;
    }

    /// Where the mailbox ends now; `None` if its positions don't last.
    fn end(&mut self) -> impl Future<Output = Result<Option<End>, Fault>> + Send {
        async { Ok(None) }
    }

    /// Returns when there may be news: at once after a change, else after the poll interval.
    fn wait(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Where replies go.
pub trait Mailer: Send + Sync {
    /// Offers a reply to the next mail server. Returns within a bounded time.
    fn send(&self, reply: &Reply) -> impl Future<Output = Delivery> + Send;

    /// Connects and logs in, sends nothing.
    fn check(&self) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// The place of a letter in a mailbox; positions of one folder and `validity` are ordered by `uid`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The folder's name, or the path of a Maildir.
    pub folder: String,
    /// UIDVALIDITY (RFC 9051 section 2.3.1.1); 0 for a Maildir.
    pub validity: u32,
    /// The UID; for a Maildir the place in this run's listing.
    pub uid: u32,
    /// The unique part of a Maildir file's name; empty for IMAP.
    pub name: String,
}

/// The end of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// All that comes from now on lies above it.
    pub position: Position,
    /// The number of letters up to there.
    pub letters: u32,
}

/// The first start with a folder whose mail of before is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirstStart {
    /// All above it is taken in.
    pub position: Position,
    /// The folder was numbered anew after the first start, which was then: what has come since is taken in as well.
    pub since: Option<Timestamp>,
}

impl FirstStart {
    /// Whether a letter that came to the mailbox then is left alone; not if nobody knows.
    pub fn leaves(&self, position: &Position, stored: Option<Timestamp>) -> bool {
        let Position { folder, validity, uid, .. } = &self.position;
        let below = position.folder == *folder && position.validity == *validity && position.uid <= *uid;
        below && self.since.is_none_or(|since| stored.is_some_and(|stored| stored < since))
    }
}

/// A letter as it lies in the mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming {
    pub position: Position,
    pub content: Content,
    /// When it came to this mailbox, as the mailbox tells; no header, so nobody else can set it.
    pub stored: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The whole mail, byte for byte.
    Whole(Vec<u8>),
    /// The beginning of a mail that is larger than the limit; `size` is the whole mail's, in bytes.
    Beginning { raw: Vec<u8>, size: u64 },
    /// The server has it but can't or won't give it.
    Unreadable { why: String },
}

/// What became of an offered reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    Sent,
    /// Not now: no connection, a 4xx answer, or a time-out after the data, when it may have arrived.
    TryLater(String),
    /// Never: a 5xx answer to this letter or recipient.
    Refused(String),
}

/// Why a port can't serve at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub what: String,
    pub kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The server can't be reached, or broke off: worth another try.
    Temporary,
    /// The server refuses the login: another try may lock the account, so wait longer.
    Login,
    /// The configuration names something that is not there (a folder): a person has to act.
    Configuration,
}

impl Fault {
    pub fn temporary(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: FaultKind::Temporary }
    }

    pub fn login(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: FaultKind::Login }
    }

    pub fn configuration(what: impl Into<String>) -> Self {
        Self { what: what.into(), kind: FaultKind::Configuration }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

/// How to reach a mail server and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub security: Security,
    /// `None`: no authentication (SMTP only).
    pub login: Option<Login>,
    /// PEM file with an extra trust anchor.
    pub ca_file: Option<PathBuf>,
    /// The bound on connecting, on the greeting and on each command.
    pub timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// TLS from the first byte (RFC 8314).
    Tls,
    Starttls,
    /// Clear text; the configuration allows it for loopback addresses only.
    None,
}

impl Security {
    /// Whether `host` may be spoken to in clear text: an address of the loopback range, or `localhost`.
    pub fn is_loopback(host: &str) -> bool {
        host.eq_ignore_ascii_case("localhost")
            || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
    }
}

/// Who we are at a server, and by what we prove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub credential: Credential,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    Password(Secret),
    Tokens(Tokens),
}

impl Login {
    pub fn by_password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), credential: Credential::Password(Secret::new(password)) }
    }

    /// What a login is tried by, one after the other.
    pub fn proofs(&self) -> Proofs<'_> {
        Proofs { login: self, refused: None }
    }

    /// The password, or a token that holds for a while yet and is another than the `refused` one.
    pub async fn proof(&self, refused: Option<&Secret>) -> Result<Secret, Fault> {
        match &self.credential {
            Credential::Password(password) => Ok(password.clone()),
            Credential::Tokens(Tokens(source)) => source.token(refused.cloned()).await,
        }
    }

    /// Whether there may be another proof after one was refused.
    pub fn is_by_token(&self) -> bool {
        matches!(self.credential, Credential::Tokens(_))
    }
}

/// The password or a token, and one more token if the first is refused.
#[derive(Debug)]
pub struct Proofs<'a> {
    login: &'a Login,
    refused: Option<Secret>,
}

impl Proofs<'_> {
    pub async fn next(&self) -> Result<Secret, Fault> {
        self.login.proof(self.refused.as_ref()).await
    }

    /// Whether the next one is worth a try after the login by `proof` met with `fault`.
    pub fn go_on(&mut self, proof: &Secret, fault: &Fault) -> bool {
        let is_renewed = fault.kind == FaultKind::Login && self.login.is_by_token() && self.refused.is_none();
        if is_renewed {
            self.refused = Some(proof.clone());
        }
        is_renewed
    }
}

/// Access tokens (RFC 6749), which somebody renews.
#[derive(Clone)]
pub struct Tokens(Arc<dyn TokenSource>);

impl Tokens {
    pub fn new(source: Arc<dyn TokenSource>) -> Self {
        Self(source)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(…)")
    }
}

impl PartialEq for Tokens {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Tokens {}

/// Who has access tokens to give.
pub trait TokenSource: Send + Sync {
    /// A token that holds for a while yet, and is another than the `refused` one. Returns within a bounded time.
    fn token(&self, refused: Option<Secret>) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + '_>>;
}

/// A text that never shows up in a log or an error.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
