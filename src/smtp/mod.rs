//! Replies out, over SMTP (RFC 5321) or into a Maildir.
//!
//! Promises: a call ends within a bounded time; a connection whose state is in doubt is never used again; a reply is
//! [`Delivery::Refused`] only if the server refuses this letter or recipient, not if it refuses us.
//!
//! lettre's own pool parks a connection even when a send was cancelled half-way, so that the next reply would read
//! the answers meant for that one. Its connections are used here, its pool is not.

mod clear;
mod login;
pub mod maildir;
mod message;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lettre::Address;
use lettre::transport::smtp;
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

pub use self::maildir::MaildirMailer;
pub use self::message::{LOOP_HEADER, Mail, Unmailable, render};
use crate::domain::letter::Person;
use crate::domain::reply::Reply;
use crate::ports::{Delivery, Fault, FaultKind, Mailer, Security, Server};

/// A connection that was not used for this long is not trusted any more; servers allow five minutes and more.
const PARKED: Duration = Duration::from_secs(30);
/// After a refused login nobody knocks again for this long, lest the account be locked.
const LOCKOUT: Duration = Duration::from_secs(60);
/// The slowest line that counts as alive, in bytes a second: what the time-out of a mail allows for its size.
const SLOWEST: u64 = 32 * 1024;

/// Which server, and whom the replies come from.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: Server,
    pub from: Person,
    /// The most connections at a time.
    pub connections: u32,
}

/// A [`Mailer`] that hands replies to a submission server (RFC 6409) over a few connections kept open.
pub struct SmtpMailer {
    settings: Settings,
    from: Address,
    tls: Option<TlsParameters>,
    hello: ClientId,
    slots: Semaphore,
    parked: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
    /// The server takes mail from our address, but not from the null sender.
    needs_sender: AtomicBool,
    locked_out: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for SmtpMailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpMailer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why a transaction failed, by whom it was refused.
enum Failed {
    /// The line broke, or the server is busy: another try may do.
    Later(String),
    /// The connection was closed before anything was offered.
    Stale,
    /// The sender address was refused (MAIL).
    Sender(String),
    /// The recipient or the content was refused.
    Letter(String),
}

impl SmtpMailer {
    /// Reads the trust anchors; connects on the first use. A `ca_file` that can't be used is a fault naming it.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let from = message::mailbox(&settings.from).map_err(|e| Fault::configuration(e.to_string()))?.email;
        Ok(Self {
            from,
            tls: tls(&settings.server)?,
            hello: ClientId::default(),
            slots: Semaphore::new(settings.connections.max(1) as usize),
            parked: Mutex::new(Vec::new()),
            needs_sender: AtomicBool::new(false),
            locked_out: Mutex::new(None),
            settings,
        })
    }

    /// Offers the mail with the null sender (RFC 3834 section 3.3), then with our address if that is refused.
    async fn offer(&self, mail: &Mail) -> Result<(), Failed> {
        if self.needs_sender.load(Ordering::Relaxed) {
            return self.transact(Some(&self.from), mail).await;
        }
        // Servers refuse a null sender at any step: Postfix at RCPT, Exchange Online only after the data.
        let first = match self.transact(None, mail).await {
            Err(Failed::Sender(why)) | Err(Failed::Letter(why)) => why,
            answer => return answer,
        };
        match self.transact(Some(&self.from), mail).await {
            Ok(()) => {
                tracing::warn!("the SMTP server refuses the null sender ({first}): replies go out from our address");
                self.needs_sender.store(true, Ordering::Relaxed);
                Ok(())
            }
            failed => failed,
        }
    }

    /// One transaction on a parked or new connection, which is parked again if it is sound.
    async fn transact(&self, sender: Option<&Address>, mail: &Mail) -> Result<(), Failed> {
        while let Some(mut connection) = self.unpark().await {
            match self.converse(&mut connection, sender, mail, true).await {
                Err(Failed::Stale) => {}
                outcome => return self.conclude(connection, outcome).await,
            }
        }
        let mut connection = self.connect().await.map_err(|fault| Failed::Later(fault.what))?;
        let outcome = self.converse(&mut connection, sender, mail, false).await;
        self.conclude(connection, outcome).await
    }

    /// MAIL, RCPT, DATA. `parked`: the connection was used before and may have been closed since.
    async fn converse(
        &self,
        connection: &mut AsyncSmtpConnection,
        sender: Option<&Address>,
        mail: &Mail,
        parked: bool,
    ) -> Result<(), Failed> {
        let step = self.settings.server.timeout;
        let command = MailFrom::new(sender.cloned(), Vec::new());
        match timeout(step, connection.command(command)).await {
            Ok(Err(e)) if parked && (e.status().is_none() || is_closing(&e)) => return Err(Failed::Stale),
            Err(_) if parked => return Err(Failed::Stale),
            answer => judged("MAIL", answer, Severity::PositiveCompletion, Failed::Sender)?,
        }
        let command = Rcpt::new(mail.to.clone(), Vec::new());
        let answer = timeout(step, connection.command(command)).await;
        judged("RCPT", answer, Severity::PositiveCompletion, Failed::Letter)?;
        let answer = timeout(step, connection.command(Data)).await;
        judged("DATA", answer, Severity::PositiveIntermediate, Failed::Letter)?;
        let patience = step + Duration::from_secs(mail.raw.len() as u64 / SLOWEST);
        let answer = timeout(patience, connection.command(Content(&mail.raw))).await;
        judged("the mail's end (it may have arrived)", answer, Severity::PositiveCompletion, Failed::Letter)
    }

    /// Parks the connection if both sides know where they are.
    async fn conclude(&self, mut connection: AsyncSmtpConnection, outcome: Result<(), Failed>) -> Result<(), Failed> {
        let sound = match &outcome {
            Ok(()) => true,
            Err(Failed::Later(_) | Failed::Stale) => false,
            Err(Failed::Sender(_) | Failed::Letter(_)) => {
                let reset = timeout(self.settings.server.timeout, connection.command(Rset)).await;
                matches!(reset, Ok(Ok(_)))
            }
        };
        if sound {
            self.parked.lock().await.push((connection, Instant::now()));
        }
        outcome
    }

    async fn unpark(&self) -> Option<AsyncSmtpConnection> {
        let mut parked = self.parked.lock().await;
        parked.retain(|(_, since)| since.elapsed() < PARKED);
        parked.pop().map(|(connection, _)| connection)
    }

    /// Connects, encrypts and logs in.
    async fn connect(&self) -> Result<AsyncSmtpConnection, Fault> {
        let mut locked_out = self.locked_out.lock().await;
        if locked_out.is_some_and(|since| since.elapsed() < LOCKOUT) {
            return Err(Fault::login(format!("{} refused the login a moment ago", self.settings.server.host)));
        }
        let fresh = self.fresh_connection().await;
        let refused = matches!(&fresh, Err(fault) if fault.kind == FaultKind::Login);
        *locked_out = refused.then(Instant::now);
        fresh
    }

    /// Connects, encrypts and logs in; a token that is refused is renewed once.
    async fn fresh_connection(&self) -> Result<AsyncSmtpConnection, Fault> {
        let server = &self.settings.server;
        let Some(login) = &server.login else { return self.encrypted_connection().await };
        let mut proofs = login.proofs();
        loop {
            let proof = proofs.next().await?;
            let mut connection = self.encrypted_connection().await?;
            match login::log_in(&mut connection, server, login, &proof, &self.hello).await {
                Ok(()) => return Ok(connection),
                Err(fault) if proofs.go_on(&proof, &fault) => {
                    tracing::debug!("the token is refused, it is renewed: {fault}");
                }
                Err(fault) => return Err(fault),
            }
        }
    }

    async fn encrypted_connection(&self) -> Result<AsyncSmtpConnection, Fault> {
        let Server { host, port, security, timeout: step, .. } = &self.settings.server;
        let bare = host.trim_matches(['[', ']']);
        let late = |what: &str| Fault::temporary(format!("{host}:{port}: no answer to {what} within {step:?}"));
        let cannot = |why: String| Fault::temporary(format!("{host}:{port}: can't connect: {why}"));
        let connecting = async {
            if *security == Security::Starttls {
                let stream = clear::LineWise::connect(bare, *port).await.map_err(|e| cannot(e.to_string()))?;
                return AsyncSmtpConnection::connect_with_transport(Box::new(stream), &self.hello)
                    .await
                    .map_err(|e| cannot(text(&e)));
            }
            let tls = self.tls.clone();
            let connection = AsyncSmtpConnection::connect_tokio1((bare, *port), Some(*step), &self.hello, tls, None);
            connection.await.map_err(|e| cannot(text(&e)))
        };
        // lettre bounds the connecting by itself, not the TLS handshake and the greeting.
        let mut connection = timeout(*step * 2, connecting).await.map_err(|_| late("the connection"))??;
        if let (Security::Starttls, Some(tls)) = (security, &self.tls) {
            if !connection.can_starttls() {
                return Err(Fault::configuration(format!("{host}:{port}: the server offers no STARTTLS")));
            }
            timeout(*step * 2, connection.starttls(tls.clone(), &self.hello))
                .await
                .map_err(|_| late("STARTTLS"))?
                .map_err(|e| Fault::temporary(format!("{host}:{port}: STARTTLS: {}", text(&e))))?;
        }
        Ok(connection)
    }
}

impl Mailer for SmtpMailer {
    async fn send(&self, reply: &Reply) -> Delivery {
        let mail = match message::render(reply, &self.settings.from) {
            Ok(mail) => mail,
            Err(unmailable) => return Delivery::Refused(unmailable.to_string()),
        };
        let Ok(_slot) = self.slots.acquire().await else {
            return Delivery::TryLater("the mailer is closed".into());
        };
        match self.offer(&mail).await {
            Ok(()) => Delivery::Sent,
            Err(Failed::Letter(why)) => Delivery::Refused(why),
            Err(Failed::Sender(why)) => Delivery::TryLater(format!("our sender address is refused: {why}")),
            Err(Failed::Later(why)) => Delivery::TryLater(why),
            Err(Failed::Stale) => Delivery::TryLater("the server closed the connection".into()),
        }
    }

    async fn check(&self) -> Result<(), Fault> {
        let mut connection = self.fresh_connection().await?;
        if let Ok(Err(e)) = timeout(self.settings.server.timeout, connection.quit()).await {
            tracing::debug!("QUIT: {}", text(&e));
        }
        Ok(())
    }
}

/// The mail and its end in one write. lettre sends the final dot by itself, and where the stack waits for the
/// acknowledgement of the mail first (Nagle), that is 40 ms for each reply.
struct Content<'a>(&'a [u8]);

impl std::fmt::Display for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for line in String::from_utf8_lossy(self.0).split_inclusive("\r\n") {
            // RFC 5321 section 4.5.2: a line that begins with a dot gets another.
            f.write_str(if line.starts_with('.') { "." } else { "" })?;
            f.write_str(line)?;
        }
        f.write_str(if self.0.ends_with(b"\r\n") { ".\r\n" } else { "\r\n.\r\n" })
    }
}

/// Sorts the answer to one command, which is to be a `wanted` one; `refused` says whom a lasting refusal concerns. Any
/// other answer that is no refusal means that the two sides are out of step.
fn judged<E>(
    step: &str,
    answer: Result<Result<Response, smtp::Error>, E>,
    wanted: Severity,
    refused: fn(String) -> Failed,
) -> Result<(), Failed> {
    let e = match answer {
        Ok(Ok(response)) if response.code().severity == wanted => return Ok(()),
        Ok(Ok(response)) => return Err(Failed::Later(format!("{step}: an answer out of step: {}", response.code()))),
        Ok(Err(e)) => e,
        Err(_) => return Err(Failed::Later(format!("no answer to {step}"))),
    };
    let why = format!("{step}: {}", text(&e));
    if e.is_permanent() && !concerns_us(&e) { Err(refused(why)) } else { Err(Failed::Later(why)) }
}

/// Whether a 5xx is about our login or the protocol (RFC 4954 section 6, RFC 5321 section 4.2.2, RFC 3463 class X.5), not
/// about the letter.
fn concerns_us(e: &smtp::Error) -> bool {
    let code = e.status().map_or(0, u16::from);
    let text = text(e);
    let words = text.split(|c: char| !(c.is_ascii_digit() || c == '.'));
    matches!(code, 500 | 502 | 503 | 504 | 521 | 530 | 534 | 535 | 538)
        || words.into_iter().any(|word| word == "5.7.8" || word.starts_with("5.5."))
}

fn is_closing(e: &smtp::Error) -> bool {
    e.status().is_some_and(|code| u16::from(code) == 421)
}

/// The server's own words, else lettre's.
fn text(e: &smtp::Error) -> String {
    let said = std::error::Error::source(e).map(ToString::to_string);
    match (e.status(), said) {
        (Some(code), Some(said)) => format!("{code} {said}"),
        (Some(code), None) => code.to_string(),
        (None, _) => e.to_string(),
    }
}

fn tls(server: &Server) -> Result<Option<TlsParameters>, Fault> {
    if server.security == Security::None {
        return Ok(None);
    }
    let mut builder = TlsParameters::builder(server.host.trim_matches(['[', ']']).to_owned());
    if let Some(file) = &server.ca_file {
        let named = |why: String| Fault::configuration(format!("ca_file {}: {why}", file.display()));
        let pem = fs::read(file).map_err(|e| named(e.to_string()))?;
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(named("holds no certificate in PEM form".into()));
        }
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|e| named(e.to_string()))?);
    }
    let parameters = builder.build_rustls().map_err(|e| Fault::configuration(format!("TLS: {e}")))?;
    Ok(Some(parameters))
}
