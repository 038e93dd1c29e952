//! Floor 2: news out, to other programs, as Standard Webhooks (<https://www.standardwebhooks.com>): one signed POST.
//!
//! Nothing of an answer but its status is read, no redirect is followed, and nothing but loopback is spoken to in the
//! clear.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::ports::{Fault, Secret, Security};
use crate::tls;

/// What stands before the base64 of a secret.
const PREFIX: &str = "whsec_";
/// The longest head of an answer.
const HEAD: usize = 16 << 10;

/// Where news go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    pub host: String,
    port: u16,
    is_tls: bool,
    uri: Uri,
}

impl Url {
    /// `https://…`, or `http://` with a loopback address.
    pub fn parse(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|e| format!("\"{text}\" is no address: {e}"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("expected https://…, found \"{text}\"")),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(format!("expected a host, without a name or password before it, found \"{text}\""));
        }
        if !is_tls && !Security::is_loopback(&host) {
            return Err(format!("http:// is for loopback addresses only, and {host} is none: take https://"));
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { host, port, is_tls, uri })
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }
}

/// What a receiver is told to trust us by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Secret);

impl Key {
    /// `whsec_` and the base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
        match bytes {
            Some(bytes) if (24..=64).contains(&bytes.len()) => Ok(Self(Secret::new(text))),
            _ => Err("expected whsec_ and the base64 of 24 to 64 bytes, as of: \
                      echo whsec_$(openssl rand -base64 32)"
                .to_owned()),
        }
    }

    /// The key of a configuration that was read for who speaks with nobody.
    pub fn unread() -> Self {
        Self(Secret::new(""))
    }

    /// The header `webhook-signature`.
    fn sign(&self, id: &str, seconds: i64, body: &str) -> Result<String, String> {
        let encoded = self.0.reveal().strip_prefix(PREFIX).ok_or("the key was not read")?;
        let key = STANDARD.decode(encoded).map_err(|e| e.to_string())?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|e| e.to_string())?;
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub url: Url,
    pub key: Key,
    pub ca_file: Option<PathBuf>,
    /// How long a POST may take in all.
    pub timeout: Duration,
}

/// A program that wants to hear of cases.
#[derive(Clone)]
pub struct Receiver {
    settings: Settings,
    connector: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Receiver {
    /// Reads the trust anchors.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let host = &settings.url.host;
        let named = |why: String| Fault::configuration(format!("[[webhook]] {}: {why}", settings.name));
        let connector = match settings.url.is_tls {
            false => None,
            true => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| named(format!("{host} is not a host name")))?;
                let config = tls::client(settings.ca_file.as_deref()).map_err(named)?;
                Some((TlsConnector::from(config), name))
            }
        };
        Ok(Self { settings, connector })
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Posts a message; an error says why it was not taken.
    pub async fn post(&self, id: &str, now: Timestamp, body: &str) -> Result<(), String> {
        let posting = tokio::time::timeout(self.settings.timeout, self.try_post(id, now, body));
        posting.await.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.settings.timeout)))
    }

    async fn try_post(&self, id: &str, now: Timestamp, body: &str) -> Result<(), String> {
        let Settings { url, key, .. } = &self.settings;
        let seconds = now.as_second();
        let request = Request::post(url.uri.path_and_query().map_or("/", |path| path.as_str()))
            .header(HOST, url.uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("aftersalesd/", env!("CARGO_PKG_VERSION")))
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", key.sign(id, seconds, body)?)
            .body(body.to_owned())
            .map_err(|e| e.to_string())?;
        let stream =
            TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|e| format!("can't connect: {e}"))?;
        let status = match &self.connector {
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|e| format!("TLS: {e}"))?;
                send(stream, request).await?
            }
            None if !stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) => {
                return Err(format!("{} leads away from this machine: take https://", url.host));
            }
            None => send(stream, request).await?,
        };
        match status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(format!("{status}: redirects are not followed")),
            status => Err(format!("it answered {status}")),
        }
    }
}

/// The status of the answer; the rest of it is left unread.
async fn send<S>(stream: S, request: Request<String>) -> Result<StatusCode, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let said = |e: hyper::Error| format!("no answer: {e}");
    let client = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = client.await.map_err(said)?;
    let answer = sender.send_request(request);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        // A receiver may close at once; what it said before counts.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(e) => Err(e),
        },
    };
    answer.map(|answer| answer.status()).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}").unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_ä"] {
            assert!(Key::parse(wrong).unwrap_err().contains("openssl"), "{wrong}");
        }
        assert!(!format!("{key:?}").contains("MfKQ"));
    }

    #[test]
    fn only_loopback_is_spoken_to_in_the_clear() {
        for sound in
            ["https://erp.example.com/hook?x=1", "http://127.0.0.1:9/a", "http://[::1]:9/", "http://localhost/"]
        {
            assert!(Url::parse(sound).is_ok(), "{sound}");
        }
        for wrong in
            ["http://erp.example.com/", "ftp://a/", "erp.example.com", "https://me:pw@a/", "https://", "", "/a"]
        {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }
}
