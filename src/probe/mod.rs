//! Floor 2: what a mail server shows to whoever knocks: its TLS, until when its certificates hold, what it offers.
//!
//! Nobody logs in here. The adapters that do keep these things to themselves, as they need none of them.

mod certificate;

use std::io;

use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ports::{Security, Server};
use crate::tls;

/// What is spoken there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Imap,
    Smtp,
}

/// What a server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `None`: clear text.
    pub tls: Option<Tls>,
    /// The words of its greeting.
    pub greeting: String,
    /// What it offers, one keyword with its parameters each, in capitals (SMTP: the answer to EHLO).
    pub offers: Vec<String>,
}

/// How the line is encrypted, with a certificate that was found to be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// As `TLSv1_3`.
    pub version: String,
    /// The time in which all certificates of the chain hold; `None`: they tell of none that can be read.
    pub holds: Option<(Timestamp, Timestamp)>,
}

/// Why a server shows nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It can't be reached, or breaks off.
    #[error("{0}")]
    Unreachable(String),
    /// It answers, but nothing good: its line.
    #[error("the server answers {0:?}")]
    Refused(String),
    /// Its certificate is not trusted, not its own or over.
    #[error("TLS: {0}")]
    Untrusted(String),
    /// The configuration names what is not there.
    #[error("{0}")]
    Configuration(String),
}

/// The longest line of a server (RFC 5321 section 4.5.3.1.5 has 512 bytes).
const LINE: u64 = 8 << 10;
/// The most lines of an answer.
const LINES: usize = 100;

/// Connects, encrypts as configured, and looks.
pub async fn look(server: &Server, protocol: Protocol) -> Result<Shown, ProbeError> {
    let patience = server.timeout * 3;
    let late = |_| Err(ProbeError::Unreachable(format!("no answer within {patience:?}")));
    timeout(patience, looked(server, protocol)).await.unwrap_or_else(late)
}

async fn looked(server: &Server, protocol: Protocol) -> Result<Shown, ProbeError> {
    let host = server.host.trim_matches(['[', ']']);
    let tcp = TcpStream::connect((host, server.port)).await.map_err(|e| broken("can't connect", &e))?;
    match server.security {
        Security::None => {
            let mut line = Line::new(tcp, protocol);
            let greeting = line.answer().await?.join(" ");
            Ok(Shown { tls: None, greeting, offers: line.offers().await? })
        }
        Security::Tls => {
            let stream = encrypted(tcp, host, server).await?;
            let tls = Some(shown(&stream));
            let mut line = Line::new(stream, protocol);
            let greeting = line.answer().await?.join(" ");
            Ok(Shown { tls, greeting, offers: line.offers().await? })
        }
        Security::Starttls => {
            let mut line = Line::new(tcp, protocol);
            let greeting = line.answer().await?.join(" ");
            let none = || ProbeError::Configuration("the server offers no STARTTLS".to_owned());
            let offers = line.offers().await?;
            if protocol == Protocol::Smtp && !offers.iter().any(|offer| offer == "STARTTLS") {
                return Err(none());
            }
            line.say("STARTTLS").await.map_err(|e| match e {
                ProbeError::Refused(_) if protocol == Protocol::Imap => none(),
                e => e,
            })?;
            let stream = encrypted(line.stream.into_inner(), host, server).await?;
            let tls = Some(shown(&stream));
            Ok(Shown { tls, greeting, offers: Line::new(stream, protocol).offers().await? })
        }
    }
}

async fn encrypted(tcp: TcpStream, host: &str, server: &Server) -> Result<TlsStream<TcpStream>, ProbeError> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| ProbeError::Configuration(format!("{host} is no host name")))?;
    let config = tls::client(server.ca_file.as_deref()).map_err(ProbeError::Configuration)?;
    TlsConnector::from(config).connect(name, tcp).await.map_err(|e| {
        match e.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(why)) => ProbeError::Untrusted(why.to_string()),
            _ => broken("TLS", &e),
        }
    })
}

fn broken(what: &str, e: &io::Error) -> ProbeError {
    ProbeError::Unreachable(format!("{what}: {e}"))
}

fn shown(stream: &TlsStream<TcpStream>) -> Tls {
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().map_or_else(String::new, |version| format!("{version:?}"));
    let chain = connection.peer_certificates().unwrap_or_default();
    let times: Vec<(Timestamp, Timestamp)> = chain.iter().filter_map(|it| certificate::validity(it)).collect();
    let (from, until) = (times.iter().map(|it| it.0).max(), times.iter().map(|it| it.1).min());
    Tls { version, holds: from.zip(until) }
}

/// A line to a server, on which answers are read as its protocol has them.
struct Line<S> {
    stream: BufReader<S>,
    protocol: Protocol,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    fn new(stream: S, protocol: Protocol) -> Self {
        Self { stream: BufReader::new(stream), protocol }
    }

    /// What it offers; of IMAP nothing, for that is told after the login.
    async fn offers(&mut self) -> Result<Vec<String>, ProbeError> {
        if self.protocol == Protocol::Imap {
            return Ok(Vec::new());
        }
        let told = self.say("EHLO [127.0.0.1]").await?;
        // The first line greets.
        Ok(told.into_iter().skip(1).map(|line| line.to_ascii_uppercase()).collect())
    }

    /// Says a command and reads its answer, which has to be a good one.
    async fn say(&mut self, command: &str) -> Result<Vec<String>, ProbeError> {
        let line = match self.protocol {
            Protocol::Imap => format!("a {command}\r\n"),
            Protocol::Smtp => format!("{command}\r\n"),
        };
        self.stream.write_all(line.as_bytes()).await.map_err(|e| broken(command, &e))?;
        self.answer().await
    }

    /// The words of an answer, a line each: of the greeting, or of what was said.
    async fn answer(&mut self) -> Result<Vec<String>, ProbeError> {
        let mut told = Vec::new();
        while told.len() < LINES {
            let line = self.line().await?;
            let (is_last, is_good, words) = match self.protocol {
                Protocol::Smtp => {
                    let (code, words) = line.split_at_checked(3).unwrap_or((&line, ""));
                    (!words.starts_with('-'), code.starts_with('2'), words.get(1..).unwrap_or_default())
                }
                Protocol::Imap => {
                    let words = line.strip_prefix("* OK").or(line.strip_prefix("a OK"));
                    (true, words.is_some(), words.unwrap_or_default().trim_start())
                }
            };
            if !is_good {
                return Err(ProbeError::Refused(line));
            }
            told.push(words.to_owned());
            if is_last {
                return Ok(told);
            }
        }
        Err(ProbeError::Refused("an answer without an end".to_owned()))
    }

    async fn line(&mut self) -> Result<String, ProbeError> {
        let mut line = Vec::new();
        let read = (&mut self.stream).take(LINE).read_until(b'\n', &mut line).await;
        match read.map_err(|e| broken("connection lost", &e))? {
            0 => Err(ProbeError::Unreachable("the server closed the connection".to_owned())),
            _ => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
        }
    }
}
