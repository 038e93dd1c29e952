//! Floor 2: what was sold to whom, asked of the shop over HTTP, one order at a time.

mod json;
mod shopify;

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use self::shopify::Ask;
use crate::domain::ids::{Address, Country, OrderNumber, Sku, masked};
use crate::http::{Answer, Peer, Url};
use crate::ports::{Fault, Found, OrderSource, Secret, Unanswered};

pub use self::json::parse;
pub use self::shopify::parse as parse_shopify;

/// An answer of so many bytes is more than any order.
const LARGEST: usize = 256 << 10;
/// After a fault that may pass by itself.
const SOON: Duration = Duration::from_millis(300);
/// Of what is wrong no more is told.
const SHOWN: usize = 200;

/// Whom to ask, and how patiently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub kind: Kind,
    /// What proves who we are; `None`: it was not read, and nobody is asked.
    pub token: Option<Secret>,
    pub ca_file: Option<PathBuf>,
    /// How long one try may take.
    pub timeout: Duration,
    /// How long a look-up may take in all.
    pub wait: Duration,
    /// How long nobody is asked after failures in a row.
    pub pause: Duration,
    /// How long a whole answer holds.
    pub cache: Duration,
}

/// The language that is spoken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The small contract of `src/guide/orders.md`.
    Json(Url),
    /// Shopify's Admin GraphQL API.
    Shopify {
        /// `https://NAME.myshopify.com/admin/api/VERSION/graphql.json`.
        url: Url,
        version: String,
        /// Where a day begins.
        zone: TimeZone,
    },
}

impl Kind {
    fn url(&self) -> &Url {
        match self {
            Self::Json(url) | Self::Shopify { url, .. } => url,
        }
    }
}

/// A shop that is asked.
#[derive(Debug)]
pub struct Source {
    settings: Settings,
    peer: Peer,
}

impl Source {
    /// Reads the trust anchors.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let table = match &settings.kind {
            Kind::Json(_) => "orders.http",
            Kind::Shopify { .. } => "orders.shopify",
        };
        let named = |why: String| Fault::configuration(format!("[{table}]: {why}"));
        let peer = Peer::new(settings.kind.url().clone(), settings.ca_file.as_deref()).map_err(named)?;
        Ok(Self { settings, peer })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whom it asks.
    pub fn address(&self) -> String {
        self.settings.kind.url().to_string()
    }

    fn token(&self) -> Result<&str, Unanswered> {
        let unread = || never(Fault::configuration("its token was not read"));
        self.settings.token.as_ref().map(Secret::reveal).ok_or_else(unread)
    }
}

impl OrderSource for Source {
    async fn find(&self, number: &OrderNumber) -> Result<Found, Unanswered> {
        let trying = async {
            match &self.settings.kind {
                Kind::Json(_) => json::find(&self.peer, self.token()?, number).await,
                Kind::Shopify { version, zone, .. } => {
                    shopify::find(&self.peer, Ask { token: self.token()?, version, zone }, number).await
                }
            }
        };
        let tried = tokio::time::timeout(self.settings.timeout, trying).await;
        tried.unwrap_or_else(|_| Err(soon(format!("no answer within {:?}", self.settings.timeout))))
    }

    async fn check(&self) -> Result<Vec<String>, Fault> {
        let trying = async {
            match &self.settings.kind {
                Kind::Json(_) => json::check(&self.peer, self.token()?).await,
                Kind::Shopify { version, zone, .. } => {
                    shopify::check(&self.peer, Ask { token: self.token()?, version, zone }).await
                }
            }
        };
        let tried = tokio::time::timeout(self.settings.timeout, trying).await;
        let silent = |_| Err(soon(format!("no answer within {:?}", self.settings.timeout)));
        tried.unwrap_or_else(silent).map_err(|unanswered| unanswered.fault)
    }
}

/// Worth another try at once.
fn soon(what: String) -> Unanswered {
    Unanswered { fault: Fault::temporary(what), again: Some(SOON) }
}

/// Not worth another try now.
fn never(fault: Fault) -> Unanswered {
    Unanswered { fault, again: None }
}

/// An answer that is none, by its status.
fn refused(answer: &Answer) -> Unanswered {
    let status = answer.status;
    let what = format!("it answered {status}");
    match status.as_u16() {
        401 | 403 => never(Fault::login(format!("{what}: the token is not accepted"))),
        300..=399 => never(Fault::temporary(format!("{what}: redirects are not followed"))),
        429 | 503 => {
            let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<f64>().ok());
            let again = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(SOON);
            Unanswered { fault: Fault::temporary(what), again: Some(again.max(SOON)) }
        }
        500..=599 => soon(what),
        _ => never(Fault::temporary(what)),
    }
}

/// What is wrong with an answer, on one line, without anybody's address.
fn garbled(what: &str) -> Unanswered {
    let what: String = masked(what).chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    never(Fault::temporary(format!("its answer can't be understood: {what}")))
}

/// The words of an answer as what they are. What they say is not repeated: it may be a customer's.
fn word<T, E: std::fmt::Display>(field: &str, made: Result<T, E>) -> Result<T, String> {
    made.map_err(|e| format!("{field}: {e}"))
}

fn address(text: &str) -> Result<Address, String> {
    word("email", Address::new(text))
}

fn sku(text: &str) -> Result<Sku, String> {
    word("sku", Sku::new(text))
}

fn country(text: &str) -> Result<Country, String> {
    word("country", Country::new(text))
}
