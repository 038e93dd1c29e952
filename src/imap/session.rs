//! One IMAP connection (RFC 3501), from the greeting to IDLE.
//!
//! Promises: every command and every response has a time-out; the tagged answer of a command is always read and never
//! taken for OK unless it is; what the server tells in between is noticed. After a [`Failure`] other than
//! [`Failure::Refused`] the connection is of no use and has to be dropped.
//!
//! async-imap's own commands report a tagged NO and a lost connection as an early end of results, so only its wire
//! (framing and parsing) is used here.

use std::collections::BTreeSet;
use std::fmt;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use async_imap::Client;
use async_imap::imap_proto::{MailboxDatum, NameAttribute, Response, ResponseCode, Status};
use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::folder::{self, Folder};
use super::login::{self, Connected};
use super::tls::Tls;
use crate::ports::{Fault, Secret, Security, Server};

/// After this long without a word, TCP asks whether the other side is still there; NAT tables forget within minutes.
const KEEPALIVE: Duration = Duration::from_secs(120);
/// IDLE is renewed this often, so that a silently dead connection is noticed (RFC 2177 allows 29 minutes).
const IDLE_RENEWAL: Duration = Duration::from_secs(300);
/// The slowest line that counts as alive, in bytes a second: what a response's time-out allows for its size.
const SLOWEST: u64 = 32 * 1024;

/// A byte stream to the server, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync + fmt::Debug> Stream for T {}

/// Why a command did not succeed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Tagged NO or BAD: the session lives on.
    Refused(String),
    /// Time-out, BYE or lost connection.
    Broken(String),
    /// A response that can't be parsed; what it was meant to say is lost with the connection.
    Unparseable,
    /// Nothing that another try would change.
    Fatal(Fault),
}

impl Failure {
    /// The failure as the caller of the port sees it, `doing` what.
    pub fn fault(self, doing: &str) -> Fault {
        match self {
            Self::Refused(text) => Fault::temporary(format!("{doing}: the server refuses: {text}")),
            Self::Broken(text) => Fault::temporary(format!("{doing}: {text}")),
            Self::Unparseable => Fault::temporary(format!("{doing}: the server's answer can't be parsed")),
            Self::Fatal(fault) => fault,
        }
    }
}

/// The folder in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Selected {
    pub validity: u32,
    /// `None` if the server does not tell.
    pub uid_next: Option<u32>,
    pub exists: u32,
    /// `PERMANENTFLAGS`, or `None` if the server does not tell (then all flags are permanent).
    pub permanent_flags: Option<Vec<String>>,
    pub read_only: bool,
}

impl Selected {
    /// Whether a keyword lasts in this folder.
    pub fn takes(&self, keyword: &str) -> bool {
        self.permanent_flags
            .as_ref()
            .is_none_or(|flags| flags.iter().any(|f| f == "\\*" || f.eq_ignore_ascii_case(keyword)))
    }
}

/// How an IDLE ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idled {
    News,
    TimeUp,
    /// The server knows the command by name only.
    Refused,
}

#[derive(Debug)]
pub(super) struct Session {
    wire: async_imap::Session<Box<dyn Stream>>,
    timeout: Duration,
    capabilities: BTreeSet<String>,
    /// What we logged in by: a server may end the connection when a token ends.
    pub proof: Secret,
    pub selected: Selected,
    /// The server told of new letters since the last SELECT.
    news: bool,
    /// Folders are opened by EXAMINE.
    look_only: bool,
}

impl Session {
    /// Connects, encrypts and logs in. `ask` is false for a server whose answer to CAPABILITY can't be parsed: it is
    /// then taken to have none.
    pub async fn open(server: &Server, tls: Option<&Tls>, ask: bool) -> Result<Self, Failure> {
        let Connected { wire, told, proof } = login::connect(server, tls).await?;
        let mut session = Self {
            wire,
            proof,
            timeout: server.timeout,
            capabilities: told.unwrap_or_default(),
            selected: Selected::default(),
            news: false,
            look_only: false,
        };
        if session.capabilities.is_empty() && ask {
            session.ask_capabilities().await?;
        }
        if session.can("ID") {
            // Some providers refuse SELECT to a client without a name. Refusing ID itself is no harm.
            match session.command("ID (\"name\" \"aftersalesd\")", 0, |_| {}).await {
                Ok(()) | Err(Failure::Refused(_)) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(session)
    }

    /// Whether the server has announced this capability.
    pub fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(&capability.to_ascii_uppercase())
    }

    pub fn capabilities(&self) -> impl Iterator<Item = &str> {
        self.capabilities.iter().map(String::as_str)
    }

    /// Whether new letters came since the last SELECT.
    pub fn has_news(&self) -> bool {
        self.news
    }

    /// Runs one command and hands each untagged response to `each`. `largest` is the size in bytes of the largest
    /// response to be expected, which may take its time.
    pub async fn command(
        &mut self,
        line: &str,
        largest: u64,
        mut each: impl FnMut(&Response<'_>) + Send,
    ) -> Result<(), Failure> {
        let patience = self.timeout + Duration::from_secs(largest / SLOWEST);
        let tag = timeout(self.timeout, self.wire.run_command(line))
            .await
            .map_err(|_| Failure::Broken("time-out while sending a command".into()))?
            .map_err(|e| Failure::Broken(e.to_string()))?;
        loop {
            let answered = self.response(|response| match response {
                Response::Done { tag: answered, status, outcome } if *answered == tag => {
                    let text = outcome.information.as_deref().unwrap_or_default();
                    Some(if *status == Status::Ok { Ok(()) } else { Err(Failure::Refused(text.to_owned())) })
                }
                other => {
                    each(other);
                    None
                }
            });
            let answered = timeout(patience, answered).await;
            if let Some(result) = answered.map_err(|_| Failure::Broken(format!("no answer within {patience:?}")))?? {
                return result;
            }
        }
    }

    /// From now on nothing in a folder can be changed.
    pub fn look_only(&mut self) {
        self.look_only = true;
    }

    /// Selects a folder by its name; the answer is in [`Session::selected`].
    pub async fn select(&mut self, name: &str) -> Result<(), Failure> {
        let mut selected = Selected::default();
        self.selected = Selected::default();
        let verb = if self.look_only { "EXAMINE" } else { "SELECT" };
        self.command(&format!("{verb} {}", folder::quoted(name)), 0, |response| match response {
            Response::MailboxData(MailboxDatum::Exists(number)) => selected.exists = *number,
            Response::Data { outcome, .. } => match &outcome.code {
                Some(ResponseCode::UidValidity(validity)) => selected.validity = *validity,
                Some(ResponseCode::UidNext(uid)) => selected.uid_next = Some(*uid),
                Some(ResponseCode::PermanentFlags(flags)) => {
                    selected.permanent_flags = Some(flags.iter().map(|f| f.to_string()).collect());
                }
                _ => {}
            },
            _ => {}
        })
        .await?;
        if selected.validity == 0 {
            let what = format!("folder {name}: the server keeps no lasting UIDs (no UIDVALIDITY)");
            return Err(Failure::Fatal(Fault::configuration(what)));
        }
        // A read-only folder has no permanent flags (RFC 3501 section 6.3.2), whatever code the tagged OK carries.
        selected.read_only = selected.permanent_flags.as_ref().is_some_and(Vec::is_empty);
        self.selected = selected;
        self.news = false;
        Ok(())
    }

    /// All folders that are there.
    pub async fn folders(&mut self) -> Result<Vec<Folder>, Failure> {
        let mut folders = Vec::new();
        self.command("LIST \"\" \"*\"", 0, |response| {
            if let Response::MailboxData(MailboxDatum::List(entry)) = response {
                folders.push(Folder {
                    name: folder::decoded(&entry.name),
                    delimiter: entry.delimiter.as_ref().map(ToString::to_string),
                    selectable: !entry.name_attributes.contains(&NameAttribute::NoSelect),
                    special: entry.name_attributes.iter().find_map(special),
                });
            }
        })
        .await?;
        Ok(folders)
    }

    /// The server's own name of a folder; one that is not there is a fault naming those that are.
    pub(super) async fn folder_meant(&mut self, wanted: &str) -> Result<String, Failure> {
        folder::meant(wanted, &self.folders().await?).map_err(Failure::Fatal)
    }

    /// Waits for news in the selected folder, until `until` at the latest (IDLE, RFC 2177).
    pub async fn idle(&mut self, until: Instant) -> Result<Idled, Failure> {
        while !self.news {
            let renewal = until.min(Instant::now() + IDLE_RENEWAL);
            if !self.idle_once(renewal).await? {
                return Ok(Idled::Refused);
            }
            if renewal == until && !self.news {
                return Ok(Idled::TimeUp);
            }
        }
        Ok(Idled::News)
    }

    /// One IDLE; false if the server refuses it.
    async fn idle_once(&mut self, until: Instant) -> Result<bool, Failure> {
        let tag = timeout(self.timeout, self.wire.run_command("IDLE"))
            .await
            .map_err(|_| Failure::Broken("time-out while sending IDLE".into()))?
            .map_err(|e| Failure::Broken(e.to_string()))?;
        let ends = |response: &Response<'_>| matches!(response, Response::Done { tag: ended, .. } if *ended == tag);
        let begins = |response: &Response<'_>| matches!(response, Response::Continue(_)).then_some(true);
        let deadline = Instant::now() + self.timeout;
        loop {
            let answer = self.response(|response| begins(response).or(ends(response).then_some(false)));
            match timeout_at(deadline, answer).await.map_err(|_| Failure::Broken("no answer to IDLE".into()))?? {
                Some(true) => break,
                Some(false) => return Ok(false),
                None => {}
            }
        }
        while !self.news {
            match timeout_at(until, self.response(ends)).await {
                Err(_) => break,
                // The server ends the IDLE by itself, without DONE: to begin again would go round and round.
                Ok(ended) => {
                    if ended? {
                        return Ok(false);
                    }
                }
            }
        }
        timeout(self.timeout, self.wire.run_command_untagged("DONE"))
            .await
            .map_err(|_| Failure::Broken("time-out while ending IDLE".into()))?
            .map_err(|e| Failure::Broken(e.to_string()))?;
        let deadline = Instant::now() + self.timeout;
        loop {
            let ended = timeout_at(deadline, self.response(ends)).await;
            if ended.map_err(|_| Failure::Broken("no answer to the end of IDLE".into()))?? {
                return Ok(true);
            }
        }
    }

    /// LOGOUT, so that the server need not log a lost connection.
    pub async fn close(mut self) {
        if let Err(failure) = self.command("LOGOUT", 0, |_| {}).await {
            tracing::debug!("logout: {}", failure.fault("LOGOUT"));
        }
    }

    async fn ask_capabilities(&mut self) -> Result<(), Failure> {
        let mut told = BTreeSet::new();
        match self.command("CAPABILITY", 0, |response| told.extend(announced(response).unwrap_or_default())).await {
            Ok(()) | Err(Failure::Refused(_)) => {}
            Err(failure) => return Err(failure),
        }
        self.capabilities = told;
        Ok(())
    }

    /// Hands the next response to `look`; what it says of the folder is noted, BYE and the end of the stream are
    /// failures.
    async fn response<R>(&mut self, look: impl FnOnce(&Response<'_>) -> R) -> Result<R, Failure> {
        let data = received(self.wire.read_response()).await?;
        match data.parsed() {
            Response::MailboxData(MailboxDatum::Exists(number)) => {
                self.news |= *number > self.selected.exists;
                self.selected.exists = *number;
            }
            Response::Expunge(_) => self.selected.exists = self.selected.exists.saturating_sub(1),
            Response::Data { status: Status::Bye, outcome } => {
                let text = outcome.information.as_deref().unwrap_or_default();
                return Err(Failure::Broken(format!("the server says BYE: {text}")));
            }
            _ => {}
        }
        Ok(look(data.parsed()))
    }
}

pub(super) type Wire = async_imap::Session<Box<dyn Stream>>;
pub(super) type Capabilities = BTreeSet<String>;

/// Connects and takes the greeting; encrypted if so configured.
pub(super) async fn greet(
    server: &Server,
    tls: Option<&Tls>,
) -> Result<(Client<Box<dyn Stream>>, Capabilities), Failure> {
    let host = server.host.trim_matches(['[', ']']);
    let lost = |what: &str, e: std::io::Error| Failure::Broken(format!("{}:{}: {what}: {e}", server.host, server.port));
    let tcp = TcpStream::connect((host, server.port)).await.map_err(|e| lost("can't connect", e))?;
    tcp.set_nodelay(true).map_err(|e| lost("can't connect", e))?;
    SockRef::from(&tcp)
        .set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4))
        .map_err(|e| lost("can't connect", e))?;
    let mut stream: Box<dyn Stream> = Box::new(tcp);
    if let (Security::Tls, Some(tls)) = (server.security, tls) {
        stream = tls.begin(stream).await.map_err(|e| lost("TLS", e))?;
    }
    let mut client = Client::new(stream);
    let greeting = received(client.read_response()).await?;
    let mut told = match greeting.parsed() {
        Response::Data { status: Status::Ok, .. } => announced(greeting.parsed()).unwrap_or_default(),
        Response::Data { status: Status::PreAuth, .. } => {
            let what = format!("{}: the server greets with PREAUTH, so that no login is possible", server.host);
            return Err(Failure::Fatal(Fault::configuration(what)));
        }
        Response::Data { outcome, .. } => {
            let text = outcome.information.as_deref().unwrap_or_default();
            return Err(Failure::Broken(format!("{}: the server turns us away: {text}", server.host)));
        }
        _ => {
            let what = format!("{}:{} does not speak IMAP", server.host, server.port);
            return Err(Failure::Broken(what));
        }
    };
    if let (Security::Starttls, Some(tls)) = (server.security, tls) {
        if let Err(e) = client.run_command_and_check_ok("STARTTLS", None).await {
            return Err(match e {
                async_imap::error::Error::No(_) | async_imap::error::Error::Bad(_) => {
                    Failure::Fatal(Fault::configuration(format!("{}: the server offers no STARTTLS", server.host)))
                }
                e => Failure::Broken(format!("STARTTLS: {}", plain(&e))),
            });
        }
        let stream = tls.begin(client.into_inner()).await.map_err(|e| lost("TLS", e))?;
        client = Client::new(stream);
        // What was said in clear text may have been anybody's (RFC 3501 section 6.2.1).
        told.clear();
    }
    Ok((client, told))
}

/// What a server uses a folder for (RFC 6154).
fn special(attribute: &NameAttribute<'_>) -> Option<&'static str> {
    Some(match attribute {
        NameAttribute::Archive => "archive",
        NameAttribute::Drafts => "drafts",
        NameAttribute::Junk => "junk",
        NameAttribute::Sent => "sent",
        NameAttribute::Trash => "trash",
        _ => return None,
    })
}

/// Whether the text of a NO says that it will pass by itself (RFC 5530).
pub(super) fn is_passing(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    ["[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[THROTTLED]"].iter().any(|code| text.contains(code))
}

pub(super) async fn received<D>(reading: impl Future<Output = std::io::Result<Option<D>>>) -> Result<D, Failure> {
    // The parser slices some texts without looking; what it panics on is one more answer that can't be parsed.
    match AssertUnwindSafe(reading).catch_unwind().await {
        Ok(Ok(Some(data))) => Ok(data),
        Ok(Ok(None)) => Err(Failure::Broken("the server closed the connection".into())),
        // The parser's errors quote the whole input, a customer's mail: that belongs in no log.
        Ok(Err(e)) if e.kind() == ErrorKind::Other => Err(Failure::Unparseable),
        Ok(Err(e)) => Err(Failure::Broken(format!("connection lost: {e}"))),
        Err(_) => Err(Failure::Unparseable),
    }
}

/// The error without the input that the parser quotes.
pub(super) fn plain(e: &async_imap::error::Error) -> String {
    match e {
        async_imap::error::Error::Io(e) if e.kind() == ErrorKind::Other => "an answer that can't be parsed".into(),
        e => e.to_string(),
    }
}

pub(super) fn announced(response: &Response<'_>) -> Option<Capabilities> {
    let list = match response {
        Response::Capabilities(list) => list,
        Response::Data { outcome, .. } => match &outcome.code {
            Some(ResponseCode::Capabilities(list)) => list,
            _ => return None,
        },
        _ => return None,
    };
    Some(list.iter().map(|c| spelled(&async_imap::types::Capability::from(c))).collect())
}

pub(super) fn spelled(capability: &async_imap::types::Capability) -> String {
    match capability {
        async_imap::types::Capability::Imap4rev1 => "IMAP4REV1".into(),
        async_imap::types::Capability::Auth(mechanism) => format!("AUTH={}", mechanism.to_ascii_uppercase()),
        async_imap::types::Capability::Atom(name) => name.to_ascii_uppercase(),
    }
}
