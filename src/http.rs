//! Floor 2: a client of HTTP/1.1, for what this program asks of others: one request a connection.
//!
//! No redirect is followed, an answer has a largest size, and nothing but loopback is spoken to in the clear. Time is
//! bounded by the caller.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;

use crate::ports::Security;
use crate::tls;

/// The longest head of an answer.
const HEAD: usize = 16 << 10;

/// Waits for an answer on a thread that has no runtime, or may block.
pub fn wait_for<T>(asking: impl Future<Output = T>) -> io::Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(asking);
    // A name that is still being resolved is not waited for.
    runtime.shutdown_background();
    Ok(answer)
}

/// Where a request goes.
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
        let uri: Uri = text.parse().map_err(|e| format!("\"{}\" is no address: {e}", bare(text)))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(format!("expected https://…, found \"{}\"", bare(text))),
        };
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(format!("expected a host, without a name or password before it, found \"{}\"", bare(text)));
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

    /// The whole address, which is not for others to see.
    pub fn whole(&self) -> String {
        self.uri.to_string()
    }

    /// The same with `more` in its query, encoded already.
    pub fn with_query(&self, more: &str) -> String {
        with_query(&self.whole(), more)
    }
}

fn with_query(address: &str, more: &str) -> String {
    let mark = if address.contains('?') { '&' } else { '?' };
    format!("{address}{mark}{more}")
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bare(&self.whole()))
    }
}

/// An address as others may see it: a name, a password, a key in the query are nobody's business.
fn bare(text: &str) -> String {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    match path.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => path.to_owned(),
    }
}

/// One address and how it is spoken with.
#[derive(Clone)]
pub struct Peer {
    url: Url,
    connector: Option<(TlsConnector, ServerName<'static>)>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header of one line of plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Peer {
    /// Reads the trust anchors.
    pub fn new(url: Url, ca_file: Option<&Path>) -> Result<Self, String> {
        let connector = match url.is_tls {
            false => None,
            true => {
                let name = ServerName::try_from(url.host.clone());
                let name = name.map_err(|_| format!("{} is not a host name", url.host))?;
                Some((TlsConnector::from(tls::client(ca_file)?), name))
            }
        };
        Ok(Self { url, connector })
    }

    /// Posts a body. Of the answer's no more than `largest` bytes are taken: a longer one is an error, and with 0 none is
    /// read.
    pub async fn post(&self, headers: &[(&str, &str)], body: String, largest: usize) -> Result<Answer, String> {
        let path = self.url.uri.path_and_query().map_or("/", |path| path.as_str());
        self.ask(Method::POST, path, headers, body, largest).await
    }

    /// Gets the address with `more` in its query, encoded already. Of the answer no more is taken than with [`post`].
    ///
    /// [`post`]: Self::post
    pub async fn get(&self, more: &str, headers: &[(&str, &str)], largest: usize) -> Result<Answer, String> {
        let path = self.url.uri.path_and_query().map_or("/", |path| path.as_str());
        self.ask(Method::GET, &with_query(path, more), headers, String::new(), largest).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
        largest: usize,
    ) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.url.uri.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, concat!("aftersalesd/", env!("CARGO_PKG_VERSION")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|e| e.to_string())?;
        let to = (self.url.host.as_str(), self.url.port);
        let stream = TcpStream::connect(to).await.map_err(|e| format!("can't connect: {e}"))?;
        match &self.connector {
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|e| format!("TLS: {e}"))?;
                exchange(stream, request, largest).await
            }
            None if !stream.peer_addr().is_ok_and(|peer| peer.ip().is_loopback()) => {
                Err(format!("{} leads away from this machine: take https://", self.url.host))
            }
            None => exchange(stream, request, largest).await,
        }
    }
}

async fn exchange<S>(stream: S, request: Request<String>, largest: usize) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let said = |e: hyper::Error| format!("no answer: {e}");
    let client = http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream));
    let (mut sender, connection) = client.await.map_err(said)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(said)?;
        let (head, body) = answer.into_parts();
        let body = if largest == 0 { Vec::new() } else { read(body, largest).await? };
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // The other side may close at once; what it said before counts.
        ended = connection => match ended {
            Ok(()) => answer.await,
            Err(e) => Err(said(e)),
        },
    }
}

async fn read(mut body: Incoming, largest: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|e| format!("the answer broke off: {e}"))?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > largest {
            return Err(format!("the answer is longer than {largest} bytes"));
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_query_is_kept_but_not_shown() {
        let url = |text: &str| Url::parse(text).unwrap();
        let keyed = url("https://erp.example.com/hook?key=x");
        assert_eq!(keyed.to_string(), "https://erp.example.com/hook");
        assert_eq!(keyed.whole(), "https://erp.example.com/hook?key=x");
        assert_eq!(keyed.with_query("a=1"), "https://erp.example.com/hook?key=x&a=1");
        assert_eq!(url("https://erp.example.com/hook").with_query("a=1"), "https://erp.example.com/hook?a=1");
    }
}
