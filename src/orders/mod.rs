//! Floor 2: what was sold to whom, asked of the shop over HTTP, one order at a time.

mod json;
mod shopify;

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::shopify::Ask;
use crate::domain::catalogue::OrderLine;
use crate::domain::ids::{Address, Country, OrderNumber, Sku, masked};
use crate::http::{Answer, Peer, Url};
use crate::ports::{Fault, Secret};

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

/// What is known of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Order(Order),
    /// There is no such order.
    Unknown,
    /// There was an answer, but it can't be told from it whether there is such an order, or what it is: why.
    Unclear(String),
}

/// An order; neither list is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Each address of its customer.
    pub emails: Vec<Address>,
    /// With the first of them.
    pub lines: Vec<OrderLine>,
}

/// There was no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    pub fault: Fault,
    /// When it is worth asking again.
    pub again: Option<Duration>,
}

/// A shop that is asked. Whoever asks bounds how often, and for how long in all.
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

    pub async fn find(&self, number: &OrderNumber) -> Result<Found, Unanswered> {
        let trying = async {
            match &self.settings.kind {
                Kind::Json(_) => json::find(&self.peer, self.token()?, number).await,
                Kind::Shopify { version, zone, .. } => {
                    shopify::find(&self.peer, Ask { token: self.token()?, version, zone }, number).await
                }
            }
        };
        self.in_time(trying).await
    }

    /// Asks for something harmless; gives what is odd about the answer but no hindrance.
    pub async fn check(&self) -> Result<Vec<String>, Fault> {
        let trying = async {
            match &self.settings.kind {
                Kind::Json(_) => json::check(&self.peer, self.token()?).await,
                Kind::Shopify { version, zone, .. } => {
                    shopify::check(&self.peer, Ask { token: self.token()?, version, zone }).await
                }
            }
        };
        self.in_time(trying).await.map_err(|unanswered| unanswered.fault)
    }

    async fn in_time<T>(&self, trying: impl Future<Output = Result<T, Unanswered>>) -> Result<T, Unanswered> {
        let within = self.settings.timeout;
        let tried = tokio::time::timeout(within, trying).await;
        tried.unwrap_or_else(|_| Err(soon(format!("no answer within {within:?}"))))
    }

    fn token(&self) -> Result<&str, Unanswered> {
        let unread = || never(Fault::configuration("its token was not read"));
        self.settings.token.as_ref().map(Secret::reveal).ok_or_else(unread)
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

/// An answer of another status than 200.
fn refused(answer: &Answer) -> Result<Found, Unanswered> {
    let status = answer.status;
    let what = format!("it answered {status}");
    Err(match status.as_u16() {
        // It is up, but will not take this number.
        400 | 422 => return Ok(Found::Unclear(what)),
        401 | 403 => never(Fault::login(format!("{what}: the token is not accepted"))),
        300..=399 => never(Fault::temporary(format!("{what}: redirects are not followed"))),
        429 | 503 => {
            let seconds = answer.header("retry-after").and_then(|seconds| seconds.parse::<f64>().ok());
            let again = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(SOON);
            Unanswered { fault: Fault::temporary(what), again: Some(again.max(SOON)) }
        }
        500..=599 => soon(what),
        _ => never(Fault::temporary(what)),
    })
}

/// What is wrong with an answer as a whole.
fn garbled(what: &str) -> Unanswered {
    never(Fault::temporary(format!("its answer can't be understood: {}", shown(what))))
}

/// On one line, without anybody's address.
fn shown(what: &str) -> String {
    masked(what).chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect()
}

/// The only one of some orders that has this number, under the key `key`; `Err`: there may be one, but it can't be told what
/// it is. What is odd about the others makes no difference.
fn only<T: DeserializeOwned>(orders: Vec<Value>, key: &str, number: &OrderNumber) -> Result<Option<T>, String> {
    let named = |order: &Value| OrderNumber::new(order.get(key)?.as_str()?).ok();
    let is_nameless = orders.iter().any(|order| order.get(key).is_none_or(|name| !name.is_string()));
    let mut fitting = orders.into_iter().filter(|order| named(order).is_some_and(|name| name == *number));
    match (fitting.next(), fitting.next()) {
        (Some(order), None) => serde_json::from_value(order).map(Some).map_err(|e| e.to_string()),
        (Some(_), Some(_)) => Err("several orders have this number".to_owned()),
        (None, _) if is_nameless => Err(format!("{key}: an order without one, which may be this")),
        (None, _) => Ok(None),
    }
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
