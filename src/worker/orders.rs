//! What was sold to whom: from the feed, or asked of the shop's own server, bounded in time and number.
//!
//! An answer is kept for a while, but never one that may hide a later delivery: only an order that is delivered in full,
//! with its days, is kept for long; what is under way, unknown or unclear for half a minute at most. After failures in a
//! row nobody is asked for a pause, then one look-up tries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;

use super::health::{Health, LookedUp};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::ids::{Address, OrderNumber};
use crate::feeds;
use crate::orders::Source;
use crate::ports::{Fault, FaultKind, Found, Order, OrderSource, Unanswered};

/// Look-ups at the same time, and failures in a row until nobody is asked: so the first that fail together are the last.
const AT_ONCE: usize = 3;
/// Tries of one look-up.
const TRIES: u32 = 3;
/// Answers that are kept.
const KEPT: usize = 2000;
/// How long an answer is kept that may be another soon.
const SHORT: Duration = Duration::from_secs(30);
/// How long what was asked ahead is kept at least: until the letters that were read together are answered.
const AHEAD: Duration = Duration::from_secs(120);
/// How long it is kept that there was no answer: for the letters that were read together.
const FAILED: Duration = Duration::from_secs(5);

/// Where the office looks orders up.
#[derive(Debug, Clone, Default)]
pub enum Orders {
    /// Nowhere: customers are believed.
    #[default]
    Nowhere,
    Feed(Arc<feeds::Orders>),
    Shop(Arc<Shop>),
}

impl Orders {
    /// What is known of an order. One of several addresses is that of `customer`, if it is among them. A shop is asked:
    /// that may take as long as a look-up may.
    pub fn answer(&self, number: &OrderNumber, customer: Option<&Address>, health: &Health) -> OrderAnswer {
        match self {
            Self::Nowhere => OrderAnswer::NotAsked,
            Self::Feed(orders) => orders.answer(number),
            Self::Shop(shop) => shop.answer(number, customer, health),
        }
    }

    /// What is known without asking anybody; of a shop nothing is, which is not to say that nobody could tell.
    pub fn at_hand(&self, number: &OrderNumber) -> OrderAnswer {
        match self {
            Self::Nowhere => OrderAnswer::NotAsked,
            Self::Shop(_) => OrderAnswer::Unavailable,
            Self::Feed(orders) => orders.answer(number),
        }
    }

    /// The orders of a customer, as far as that can be told without asking for one.
    pub fn of_customer(&self, customer: &Address) -> Vec<OrderNumber> {
        match self {
            Self::Nowhere | Self::Shop(_) => Vec::new(),
            Self::Feed(orders) => orders.of_customer(customer),
        }
    }

    /// Asks for several together, ahead of [`answer`](Self::answer); `each` is called after every one.
    pub fn ask_ahead(&self, mut numbers: Vec<OrderNumber>, health: &Health, each: &dyn Fn()) {
        let Self::Shop(shop) = self else { return };
        numbers.sort();
        numbers.dedup();
        // That there was no answer a moment ago says nothing of now.
        shop.desk().kept.retain(|number, kept| kept.found.is_some() || !numbers.contains(number));
        shop.look_up(&numbers, health, each);
        // Whoever comes to need them holds up others.
        let until = Instant::now() + AHEAD;
        let mut desk = shop.desk();
        for number in &numbers {
            let kept = desk.kept.entry(number.clone()).or_insert(Kept { found: None, until });
            kept.until = kept.until.max(until);
        }
    }

    /// Whether looking up takes time.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::Shop(_))
    }

    /// Identifies what a feed tells.
    pub fn mark(&self) -> Option<u64> {
        match self {
            Self::Nowhere | Self::Shop(_) => None,
            Self::Feed(orders) => Some(orders.mark()),
        }
    }

    /// What staff have to be told, once.
    pub fn alarm(&self) -> Option<String> {
        match self {
            Self::Nowhere | Self::Feed(_) => None,
            Self::Shop(shop) => shop.desk().alarm.take(),
        }
    }
}

/// A shop that is asked.
#[derive(Debug)]
pub struct Shop {
    source: Source,
    at_once: Semaphore,
    desk: Mutex<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    circuit: Circuit,
    kept: HashMap<OrderNumber, Kept>,
    alarm: Option<String>,
}

#[derive(Debug)]
struct Kept {
    /// `None`: there was no clear answer.
    found: Option<Found>,
    until: Instant,
}

impl Shop {
    pub fn new(source: Source) -> Self {
        Self { source, at_once: Semaphore::new(AT_ONCE), desk: Mutex::default() }
    }

    /// Whom it asks.
    pub fn address(&self) -> String {
        self.source.address()
    }

    /// Asks for something harmless; gives what is odd about the answer.
    pub async fn check(&self) -> Result<Vec<String>, Fault> {
        self.source.check().await
    }

    fn answer(&self, number: &OrderNumber, customer: Option<&Address>, health: &Health) -> OrderAnswer {
        if let Some(found) = self.kept(number) {
            return told(found, customer);
        }
        let found = self.look_up(std::slice::from_ref(number), health, &|| {}).pop().flatten();
        told(found, customer)
    }

    /// Blocks the thread until all are answered, or can't be.
    fn look_up(&self, numbers: &[OrderNumber], health: &Health, each: &dyn Fn()) -> Vec<Option<Found>> {
        // A runtime of its own: whoever asks may be on a thread without one.
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(e) => {
                tracing::error!(error = %e, "no order can be looked up");
                return Vec::new();
            }
        };
        let answers = runtime.block_on(async {
            let asked = stream::iter(numbers).map(|number| async move {
                let found = self.find(number, health).await;
                each();
                found
            });
            asked.buffer_unordered(AT_ONCE).collect().await
        });
        // A name that is still being resolved is not waited for.
        runtime.shutdown_background();
        answers
    }

    /// `None`: there is no clear answer.
    async fn find(&self, number: &OrderNumber, health: &Health) -> Option<Found> {
        if let Some(found) = self.kept(number) {
            return found;
        }
        let begun = Instant::now();
        let wait = self.source.settings().wait;
        let tried = match tokio::time::timeout(wait, self.try_to_find(number, begun)).await {
            Ok(None) => {
                self.desk().keep(number, None, FAILED);
                health.order_looked_up(LookedUp::NotAsked, Duration::ZERO);
                return None;
            }
            Ok(Some(tried)) => tried,
            Err(_) => Err(Unanswered { fault: Fault::temporary(format!("no answer within {wait:?}")), again: None }),
        };
        let (found, how) = match tried {
            Ok(Found::Unclear(why)) => {
                tracing::warn!(%number, why, "an order could not be looked up: the answer is not clear");
                (None, LookedUp::Unclear)
            }
            Ok(Found::Unknown) => (Some(Found::Unknown), LookedUp::Unknown),
            Ok(order) => (Some(order), LookedUp::Known),
            Err(unanswered) => {
                self.failed(&unanswered, health);
                self.desk().keep(number, None, FAILED);
                health.order_looked_up(LookedUp::Failed, begun.elapsed());
                return None;
            }
        };
        self.desk().circuit.answered();
        health.orders_answer();
        health.order_looked_up(how, begun.elapsed());
        let lasts = if found.as_ref().is_some_and(is_settled) { Duration::MAX } else { SHORT };
        self.desk().keep(number, found.clone(), lasts.min(self.source.settings().cache));
        found
    }

    /// `None`: nobody is asked at present.
    async fn try_to_find(&self, number: &OrderNumber, begun: Instant) -> Option<Result<Found, Unanswered>> {
        // It is never closed.
        let _permit = self.at_once.acquire().await.ok()?;
        if !self.desk().circuit.admits(Instant::now(), self.source.settings().pause) {
            return None;
        }
        for tries in 1.. {
            let unanswered = match self.source.find(number).await {
                Err(unanswered) => unanswered,
                found => return Some(found),
            };
            let pause = unanswered.again.filter(|pause| begun.elapsed() + *pause < self.source.settings().wait);
            match pause {
                Some(pause) if tries < TRIES => tokio::time::sleep(pause).await,
                _ => return Some(Err(unanswered)),
            }
        }
        None
    }

    fn failed(&self, unanswered: &Unanswered, health: &Health) {
        let what = &unanswered.fault.what;
        tracing::warn!(what, "an order could not be looked up");
        // What a person has to put right is not tried again and again.
        let at_once = unanswered.fault.kind != FaultKind::Temporary;
        let opened = self.desk().circuit.failed(at_once, Instant::now() + self.source.settings().pause);
        health.orders_fault(what);
        if opened {
            let what = format!("orders can't be looked up: {what}; claims that name one go to staff meanwhile");
            tracing::error!(pause = ?self.source.settings().pause, "{what}");
            self.desk().alarm = Some(what);
            health.orders_paused();
        }
    }

    fn kept(&self, number: &OrderNumber) -> Option<Option<Found>> {
        let now = Instant::now();
        self.desk().kept.get(number).filter(|kept| now < kept.until).map(|kept| kept.found.clone())
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether nothing about an order changes any more.
fn is_settled(found: &Found) -> bool {
    matches!(found, Found::Order(order) if order.lines.iter().all(|line| line.delivered_on.is_some()))
}

fn told(found: Option<Found>, customer: Option<&Address>) -> OrderAnswer {
    match found {
        None | Some(Found::Unclear(_)) => OrderAnswer::Unavailable,
        Some(Found::Unknown) => OrderAnswer::Unknown,
        Some(Found::Order(Order { emails, mut lines })) => {
            if let Some(own) = customer.filter(|customer| emails.contains(customer)) {
                lines.iter_mut().for_each(|line| line.email = own.clone());
            }
            OrderAnswer::Lines(lines)
        }
    }
}

impl Desk {
    fn keep(&mut self, number: &OrderNumber, found: Option<Found>, lasts: Duration) {
        let now = Instant::now();
        if self.kept.len() >= KEPT {
            self.kept.retain(|_, kept| now < kept.until);
        }
        if self.kept.len() >= KEPT {
            self.kept.clear();
        }
        self.kept.insert(number.clone(), Kept { found, until: now + lasts });
    }
}

/// Whether the shop is asked.
#[derive(Debug, Default)]
struct Circuit {
    /// In a row.
    failures: usize,
    /// Nobody asks before; then one does.
    open_until: Option<Instant>,
}

impl Circuit {
    fn admits(&mut self, now: Instant, pause: Duration) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // The others wait for what becomes of this one.
                self.open_until = Some(now + pause);
                true
            }
        }
    }

    fn answered(&mut self) {
        *self = Self::default();
    }

    /// Gives whether nobody is asked from now on who was before.
    fn failed(&mut self, at_once: bool, until: Instant) -> bool {
        self.failures += 1;
        let was_open = self.open_until.is_some();
        if at_once || was_open || self.failures >= AT_ONCE {
            self.open_until = Some(until);
        }
        !was_open && self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_failures_in_a_row_nobody_is_asked_for_a_pause_then_one_tries() {
        let pause = Duration::from_secs(30);
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut circuit = Circuit::default();
        assert!(circuit.admits(at(0), pause));
        assert!(!circuit.failed(false, at(30)) && !circuit.failed(false, at(30)));
        circuit.answered();
        for n in 1..=AT_ONCE {
            assert!(circuit.admits(at(1), pause));
            assert_eq!(circuit.failed(false, at(31)), n == AT_ONCE);
        }
        assert!(!circuit.admits(at(2), pause) && !circuit.admits(at(30), pause));
        assert!(circuit.admits(at(31), pause));
        // While one tries, the others do not.
        assert!(!circuit.admits(at(32), pause));
        assert!(!circuit.failed(false, at(70)), "it was told before");
        assert!(!circuit.admits(at(69), pause) && circuit.admits(at(70), pause));
        circuit.answered();
        assert!(circuit.admits(at(71), pause) && circuit.admits(at(71), pause));
        // A refused token is not shown again and again.
        assert!(circuit.failed(true, at(99)) && !circuit.admits(at(72), pause));
    }

    #[test]
    fn so_many_answers_are_kept_and_no_more() {
        let mut desk = Desk::default();
        for n in 0..3 * KEPT {
            let number = OrderNumber::new(&format!("KS{n}")).unwrap_or_else(|_| OrderNumber::new("KS100").unwrap());
            desk.keep(&number, Some(Found::Unknown), SHORT);
            assert!(desk.kept.len() <= KEPT);
        }
    }
}
