//! Floor 3: the only place where the order of side effects is written.
//!
//! Letters in ([`inbound`]), replies out ([`outbound`]); both work on one [`Office`].

pub mod inbound;

mod lookup;

pub mod outbound;

pub mod pace;

use std::sync::Mutex;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::feeds::Orders;
use crate::pipeline::{Reading, Terms};
use crate::ports::Fault;
use crate::store::{CommitError, Store, StoreError};

/// What every loop works with.
#[derive(Debug)]
pub struct Office {
    pub store: Store,
    pub terms: Terms,
    pub orders: Option<Orders>,
    /// The beginning of RMA numbers.
    pub rma_prefix: String,
    /// Replies that may be sent in an hour, all together.
    pub replies_per_hour: usize,
    pub clock: Clock,
    /// Whether the first start leaves alone what is in the mailbox already.
    pub from_now: bool,
    /// Held from the first commit of a batch until it is durable: the outbox is only looked at in between, so that no
    /// reply leaves before its commit is on disk.
    pub durable: Mutex<()>,
    /// Rung when replies were written.
    pub replies_written: Notify,
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
        orders: Option<Orders>,
        rma_prefix: String,
        replies_per_hour: usize,
    ) -> Self {
        Self {
            store,
            terms,
            orders,
            rma_prefix,
            replies_per_hour,
            clock: Clock::System,
            from_now: false,
            durable: Mutex::new(()),
            replies_written: Notify::new(),
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

    /// Returns once it is wished, or nobody is left to wish it.
    pub async fn wished(&mut self) {
        // An error means that the switch is gone, and with it the program's wish to go on.
        let _ = self.0.wait_for(|wished| *wished).await;
    }
}
