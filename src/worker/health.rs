//! How the daemon is: the first thing a person or a monitor asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::counters::Counters;
use super::orders::Shop;
use super::pulse::Pulse;
use crate::oauth2::{self, State};
use crate::store::Counts;

/// How the daemon and its store are. Times are UTC; a count is of the store's whole life where it does not say
/// "since the start".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// When the daemon started; `None`: none runs.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    pub intake: Intake,
    /// Letters taken in, of every class.
    pub letters: u64,
    /// The latest commit of a letter since the start.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_letter_at: Option<Timestamp>,
    pub cases: u64,
    /// Letters that wait for a person because they could not be handled.
    pub quarantined: u64,
    /// Replies written, sent or not.
    pub replies: u64,
    /// Replies in the outbox.
    pub replies_waiting: u64,
    /// Letters that are held back.
    #[serde(default)]
    pub drafts: u64,
    /// Replies that the SMTP server accepted since the start.
    pub replies_sent: u64,
    pub mailbox: Contact,
    pub delivery: Contact,
    /// How it went when the configuration or the feeds were read anew last; `None`: never since the start.
    #[serde(default)]
    pub reload: Option<Reload>,
    /// The OAuth2 grant, where servers are logged in at by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// How it goes with the shop that orders are asked of; `None`: nobody was asked since the start.
    #[serde(default)]
    pub orders: Option<OrderLookUps>,
}

/// How it goes with the shop that orders are asked of, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderLookUps {
    pub known: u64,
    pub unknown: u64,
    /// Answers from which nothing could be told.
    pub unclear: u64,
    /// Without an answer.
    pub failed: u64,
    /// Nobody was asked, because of failures before.
    pub not_asked: u64,
    /// How long all of them took together.
    pub milliseconds: u64,
    /// After failures in a row, until an answer, it is left alone but for one look-up a pause.
    pub paused: bool,
    pub contact: Contact,
}

/// What became of looking an order up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookedUp {
    Known,
    Unknown,
    Unclear,
    Failed,
    NotAsked,
}

/// How it went when the configuration or the feeds were read anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reload {
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// Why what was before is still in force.
    pub refused: Option<String>,
}

/// How an OAuth2 grant is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Grant {
    /// Whether access tokens can be had.
    pub holds: bool,
    /// Why not.
    pub why: Option<String>,
    /// Whether a person has to log in: `aftersalesd auth login`.
    pub needs_login: bool,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub granted_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub renewed_at: Option<Timestamp>,
    /// The end of the access token, which is renewed before.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub token_until: Option<Timestamp>,
    /// When the grant or the client secret ends, where that is known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ends_at: Option<Timestamp>,
    pub days_left: Option<i64>,
}

impl From<State> for Grant {
    fn from(state: State) -> Self {
        let days_left = state.days_left(Timestamp::now());
        let State { why, needs_login, granted_at, renewed_at, token_until, ends_at } = state;
        Self { holds: why.is_none(), why, needs_login, granted_at, renewed_at, token_until, ends_at, days_left }
    }
}

/// Whether letters are taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Intake {
    pub runs: bool,
    /// Why it does not.
    pub why: Option<String>,
    /// Since when it runs, or does not.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<Timestamp>,
}

/// How it goes with a server, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Contact {
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_success_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last_fault_at: Option<Timestamp>,
    pub last_fault: Option<String>,
}

impl Contact {
    fn note(&mut self, outcome: Result<(), &str>) {
        let now = Some(Timestamp::now());
        match outcome {
            Ok(()) => self.last_success_at = now,
            Err(what) => {
                self.last_fault_at = now;
                self.last_fault = Some(what.to_owned());
            }
        }
    }
}

impl Status {
    /// Of a store that no daemon works on.
    pub fn without_daemon(counts: &Counts) -> Self {
        let intake = Intake { runs: false, why: Some("no daemon runs".to_owned()), since: None };
        let mut status = Self {
            started_at: None,
            intake,
            letters: 0,
            last_letter_at: None,
            cases: 0,
            quarantined: 0,
            replies: 0,
            replies_waiting: 0,
            drafts: 0,
            replies_sent: 0,
            mailbox: Contact::default(),
            delivery: Contact::default(),
            reload: None,
            grant: None,
            orders: None,
        };
        status.count(counts);
        status
    }

    fn count(&mut self, counts: &Counts) {
        self.letters = counts.letters.values().sum();
        self.cases = counts.cases;
        self.quarantined = counts.quarantined;
        self.replies = counts.replies;
        self.replies_waiting = counts.waiting;
        self.drafts = counts.drafts;
    }
}

/// What the loops note down as they go.
#[derive(Debug)]
pub struct Health {
    status: Mutex<Status>,
    asked: Mutex<Asked>,
    pub pulse: Pulse,
    pub counters: Counters,
}

/// Who is asked under the terms in force, and tells by itself how it is.
#[derive(Debug, Clone, Default)]
struct Asked {
    grant: Option<oauth2::Grant>,
    shop: Option<Arc<Shop>>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Of a daemon that starts now.
    pub fn new() -> Self {
        let now = Some(Timestamp::now());
        let intake = Intake { runs: true, why: None, since: now };
        let status = Status { started_at: now, intake, ..Status::without_daemon(&Counts::default()) };
        Self {
            status: Mutex::new(status),
            asked: Mutex::default(),
            pulse: Pulse::default(),
            counters: Counters::default(),
        }
    }

    /// The counts are the store's; without them those last seen.
    pub fn status(&self, counts: Option<&Counts>) -> Status {
        let status = {
            let mut status = self.status_now();
            if let Some(counts) = counts {
                status.count(counts);
            }
            status.clone()
        };
        // A grant reads a file, for which nobody else has to wait.
        let Asked { grant, shop } = self.asked().clone();
        let paused = shop.is_some_and(|shop| shop.is_paused());
        let orders = status.orders.map(|orders| OrderLookUps { paused, ..orders });
        Status { grant: grant.map(|grant| grant.state().into()), orders, ..status }
    }

    /// From now on servers are logged in at by this grant, and orders asked of this shop. Gives the grant before.
    pub fn asks(&self, grant: Option<oauth2::Grant>, shop: Option<Arc<Shop>>) -> Option<oauth2::Grant> {
        std::mem::replace(&mut *self.asked(), Asked { grant, shop }).grant
    }

    pub fn intake_runs(&self) {
        let intake = &mut self.status_now().intake;
        if !intake.runs {
            *intake = Intake { runs: true, why: None, since: Some(Timestamp::now()) };
        }
    }

    pub fn intake_stopped(&self, why: &str) {
        let intake = &mut self.status_now().intake;
        if intake.runs {
            intake.since = Some(Timestamp::now());
        }
        intake.runs = false;
        intake.why = Some(why.to_owned());
    }

    pub fn letter_taken(&self) {
        self.intake_runs();
        self.status_now().last_letter_at = Some(Timestamp::now());
    }

    pub fn reply_sent(&self) {
        self.status_now().replies_sent += 1;
    }

    /// New terms are in force, or why not.
    pub fn reloaded(&self, outcome: Result<(), &str>) {
        let refused = outcome.err().map(str::to_owned);
        self.status_now().reload = Some(Reload { at: Timestamp::now(), refused });
    }

    /// An order was looked up, which took so long.
    pub fn order_looked_up(&self, how: LookedUp, took: Duration) {
        let mut status = self.status_now();
        let orders = status.orders.get_or_insert_default();
        let count = match how {
            LookedUp::Known => &mut orders.known,
            LookedUp::Unknown => &mut orders.unknown,
            LookedUp::Unclear => &mut orders.unclear,
            LookedUp::Failed => &mut orders.failed,
            LookedUp::NotAsked => &mut orders.not_asked,
        };
        *count += 1;
        orders.milliseconds += u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    }

    /// The shop that orders are asked of answers.
    pub fn orders_answer(&self) {
        self.status_now().orders.get_or_insert_default().contact.note(Ok(()));
    }

    /// It does not.
    pub fn orders_fault(&self, what: &str) {
        self.status_now().orders.get_or_insert_default().contact.note(Err(what));
    }

    pub fn mailbox(&self, outcome: Result<(), &str>) {
        self.counters.count(|counted| counted.mailbox_faults += u64::from(outcome.is_err()));
        self.status_now().mailbox.note(outcome);
    }

    pub fn delivery(&self, outcome: Result<(), &str>) {
        self.counters.count(|counted| counted.delivery_faults += u64::from(outcome.is_err()));
        self.status_now().delivery.note(outcome);
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status_now(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
