//! Floor 3: the only place where the order of side effects is written.
//!
//! Letters in ([`inbound`], each by [`settle`]), replies out ([`outbound`]), what the clock and staff do ([`turn`]); all on one [`Office`].

pub mod budget;
pub mod counters;
mod desk;
pub mod erasure;
pub mod handover;
pub mod health;
pub mod inbound;
mod lookup;
pub mod notice;
pub mod orders;
pub mod outbound;
pub mod pace;
pub mod premises;
pub mod pulse;
mod quarantine;
pub mod reconsider;
pub mod retry;
pub mod search;
pub mod settle;
mod start;
pub mod stats;
pub mod turn;
pub mod webhooks;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use self::erasure::Retention;
use self::handover::Handover;
use self::health::Health;
use self::notice::Notifier;
use self::orders::{Orders, Shop};
use crate::domain::ids::MessageId;
use crate::feeds;
use crate::pipeline::{Reading, Terms};
use crate::ports::Fault;
use crate::store::{CommitError, Store, StoreError};
use crate::webhook::Receiver;

/// What every loop works with.
#[derive(Debug)]
pub struct Office {
    pub store: Store,
    pub terms: Arc<Terms>,
    pub orders: Orders,
    /// The beginning of RMA numbers.
    pub rma_prefix: String,
    /// Replies that may be sent in an hour, all together.
    pub replies_per_hour: usize,
    pub notifier: Notifier,
    pub handover: Handover,
    pub clock: Clock,
    /// Whether the first start leaves alone what is in the mailbox already.
    pub from_now: bool,
    /// How long things are kept once all is over.
    pub retention: Retention,
    /// Held from the first commit of a batch until it is durable: the outbox is only looked at in between, so that no
    /// reply leaves before its commit is on disk.
    pub durable: Arc<Mutex<()>>,
    /// Rung when replies were written.
    pub replies_written: Arc<Notify>,
    /// Rung when the clock may have something to do soon.
    pub letters_delayed: Arc<Notify>,
    pub health: Arc<Health>,
    /// Who hears of cases.
    pub receivers: Vec<Receiver>,
    /// Replies that a server has accepted, but of which the store does not durably know: while this process lives,
    /// they are not sent again, whatever becomes of the disk.
    accepted: Arc<Mutex<HashSet<MessageId>>>,
    /// The disk has failed: nothing more is begun on this store.
    disk_failed: Arc<AtomicBool>,
}

/// What "now" is while a letter is decided on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    System,
    /// The letter's own arrival, for dry runs.
    Arrival,
}

impl Office {
    pub fn new(
        store: Store,
        terms: Terms,
        orders: Option<feeds::Orders>,
        rma_prefix: String,
        replies_per_hour: usize,
    ) -> Self {
        let notifier = Notifier { to: None, domain: terms.frame.from.address.domain().to_owned() };
        Self {
            store,
            notifier,
            handover: Handover::default(),
            terms: Arc::new(terms),
            orders: orders.map_or(Orders::Nowhere, |orders| Orders::Feed(Arc::new(orders))),
            rma_prefix,
            replies_per_hour,
            clock: Clock::System,
            from_now: false,
            retention: Retention::default(),
            durable: Arc::default(),
            replies_written: Arc::default(),
            letters_delayed: Arc::default(),
            health: Arc::new(Health::new()),
            receivers: Vec::new(),
            accepted: Arc::default(),
            disk_failed: Arc::default(),
        }
    }

    /// Makes the same office anew on its store once that is opened again; holds nothing of the store meanwhile.
    pub fn anew(&self) -> impl FnOnce(Store) -> Self + use<> {
        let (terms, orders) = (Arc::clone(&self.terms), self.orders.clone());
        let (rma_prefix, replies_per_hour, clock) = (self.rma_prefix.clone(), self.replies_per_hour, self.clock);
        let (from_now, notifier, retention) = (self.from_now, self.notifier.clone(), self.retention);
        let (handover, receivers) = (self.handover.clone(), self.receivers.clone());
        let (health, accepted) = (Arc::clone(&self.health), Arc::clone(&self.accepted));
        move |store| Self {
            store,
            notifier,
            handover,
            terms,
            orders,
            rma_prefix,
            replies_per_hour,
            clock,
            from_now,
            retention,
            durable: Arc::default(),
            replies_written: Arc::default(),
            letters_delayed: Arc::default(),
            health,
            receivers,
            accepted,
            disk_failed: Arc::default(),
        }
    }

    /// This office in the place of `before`, on the same open store under other terms: what is of the store and of this
    /// process goes on.
    pub fn in_place_of(self, before: &Self) -> Self {
        Self {
            store: before.store.clone(),
            durable: Arc::clone(&before.durable),
            replies_written: Arc::clone(&before.replies_written),
            letters_delayed: Arc::clone(&before.letters_delayed),
            health: Arc::clone(&before.health),
            accepted: Arc::clone(&before.accepted),
            disk_failed: Arc::clone(&before.disk_failed),
            ..self
        }
    }

    /// Orders are asked of a shop, if there is one.
    pub fn asks(&mut self, shop: Option<Arc<Shop>>) {
        if let Some(shop) = shop {
            self.orders = Orders::Shop(shop);
        }
    }

    /// Whether the disk has failed, and with it this store.
    pub fn has_failed_disk(&self) -> bool {
        self.disk_failed.load(Ordering::SeqCst)
    }

    /// Passes an outcome on, having noted whether it means that the disk has failed.
    fn noting<T>(&self, outcome: Result<T, Trouble>) -> Result<T, Trouble> {
        if outcome.as_ref().is_err_and(Trouble::is_of_the_disk) {
            self.disk_failed.store(true, Ordering::SeqCst);
        }
        outcome
    }

    fn accepted(&self) -> MutexGuard<'_, HashSet<MessageId>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that letters may have been written.
    fn ring(&self) {
        self.replies_written.notify_one();
        if self.terms.sending.delay > SignedDuration::ZERO {
            self.letters_delayed.notify_one();
        }
    }

    fn now(&self, reading: &Reading) -> Timestamp {
        match self.clock {
            Clock::System => Timestamp::now(),
            Clock::Arrival => reading.arrived.at,
        }
    }
}

/// Why a pass ended early. Nothing is lost: what was not committed is still in the mailbox, what was is in the store.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("{0}")]
    Mailbox(#[from] Fault),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Commit(#[from] CommitError),
    /// A worker thread is gone.
    #[error("{0}")]
    Broken(String),
}

impl Trouble {
    /// Whether the store has to be opened anew: the disk failed it, or a thread that worked on it is gone.
    pub fn is_of_the_disk(&self) -> bool {
        match self {
            Self::Store(e) | Self::Commit(CommitError::Store(e)) => e.is_of_the_disk(),
            Self::Broken(_) => true,
            Self::Mailbox(_) | Self::Commit(_) => false,
        }
    }

    /// Whether there was no room on the disk.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Store(e) | Self::Commit(CommitError::Store(e)) if e.is_disk_full())
    }
}

/// Does what blocks on a thread for it, within the span of whoever wants it.
pub fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    let span = tracing::Span::current();
    tokio::task::spawn_blocking(move || span.in_scope(work))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Trouble> {
    match on_thread(work).await {
        Ok(result) => result.map_err(Trouble::from),
        Err(e) => Err(Trouble::Broken(e.to_string())),
    }
}

/// Makes what was committed durable.
pub async fn flush(office: &Arc<Office>) -> Result<(), Trouble> {
    let of = Arc::clone(office);
    let flushed = blocking(move || of.store.flush()).await;
    office.noting(flushed)
}

/// The wish that all loops end after what they have in hand.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// The wish and the switch that utters it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (switch, wish) = watch::channel(false);
        (switch, Self(wish))
    }

    pub fn is_wished(&self) -> bool {
        *self.0.borrow()
    }

    /// For whoever only looks whether it is wished: it never is.
    pub fn never() -> Self {
        Self(watch::channel(false).1)
    }

    /// Returns once it is wished, or nobody is left to wish it.
    pub async fn wished(&mut self) {
        // An error means that the switch is gone, and with it the program's wish to go on.
        let _ = self.0.wait_for(|wished| *wished).await;
    }
}
