//! What was sold to whom: from the feed, or asked of the shop's own server, bounded in time and number.
//!
//! An answer is kept for a while, but never one that may hide a later delivery: only an order that is delivered in full,
//! with its days, is kept for long; what is under way or unknown for half a minute at most, what is unclear not at all. The
//! letter that an answer was asked for finds it nonetheless. After failures in a row nobody is asked for a pause, then one
//! look-up tries.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;

use super::Stop;
use super::health::{Health, LookedUp};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::ids::{Address, OrderNumber};
use crate::feeds;
use crate::http;
use crate::orders::{Found, Order, Source, Unanswered};
use crate::ports::{Fault, FaultKind};

/// Look-ups at the same time, and failures in a row until nobody is asked: so the first that fail together are the last.
const AT_ONCE: usize = 3;
/// Tries of one look-up.
const TRIES: u32 = 3;
/// Answers that are kept.
const KEPT: usize = 2000;
/// How long an answer is fresh that may be another soon.
const SHORT: Duration = Duration::from_secs(30);
/// How long what was asked ahead is held: until the letters that were read together are answered.
const AHEAD: Duration = Duration::from_secs(120);
/// How long whatever was answered is held for whoever did not ask ahead, even that there was no clear answer.
const HELD: Duration = Duration::from_secs(5);

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

    /// Asks for several together, ahead of [`answer`](Self::answer); `each` is called after every one. `false`: it was
    /// broken off by the wish to stop.
    pub fn ask_ahead(&self, mut numbers: Vec<OrderNumber>, health: &Health, each: &dyn Fn(), stop: &Stop) -> bool {
        let Self::Shop(shop) = self else { return true };
        numbers.sort();
        numbers.dedup();
        let asked = shop.look_up(&numbers, health, each, stop).is_some();
        if asked {
            shop.desk().hold(numbers, Instant::now());
        }
        asked
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
    /// Until then nobody asks anew.
    fresh_until: Instant,
    /// Until then it serves what it was asked for: whoever asked while a letter is settled would hold up others.
    held_until: Instant,
}

impl Kept {
    fn until(&self) -> Instant {
        self.fresh_until.max(self.held_until)
    }
}

impl Shop {
    pub fn new(source: Source) -> Self {
        Self { source, at_once: Semaphore::new(AT_ONCE), desk: Mutex::default() }
    }

    /// Whom it asks.
    pub fn address(&self) -> String {
        self.source.address()
    }

    /// Whether it is left alone after failures in a row, but for one look-up a pause, until one is answered.
    pub fn is_paused(&self) -> bool {
        self.desk().circuit.open_until.is_some()
    }

    /// Asks for something harmless; gives what is odd about the answer.
    pub async fn check(&self) -> Result<Vec<String>, Fault> {
        self.source.check().await
    }

    fn answer(&self, number: &OrderNumber, customer: Option<&Address>, health: &Health) -> OrderAnswer {
        let at_hand = self.desk().at_hand(number, Instant::now());
        let look_up = || {
            let answers = self.look_up(std::slice::from_ref(number), health, &|| {}, &Stop::never());
            answers?.pop()?
        };
        told(at_hand.unwrap_or_else(look_up), customer)
    }

    /// Blocks the thread until all are answered, or can't be; `None`: it was wished to stop before.
    fn look_up(
        &self,
        numbers: &[OrderNumber],
        health: &Health,
        each: &dyn Fn(),
        stop: &Stop,
    ) -> Option<Vec<Option<Found>>> {
        let mut stop = stop.clone();
        let asked = stream::iter(numbers).map(|number| async move {
            let found = self.find(number, health).await;
            each();
            found
        });
        let answers = async {
            tokio::select! {
                // First: what came after something that was broken off has to be, too.
                biased;
                // `false`: nobody is left who could wish it.
                true = async { stop.wished().await; stop.is_wished() } => None,
                answers = asked.buffer_unordered(AT_ONCE).collect() => Some(answers),
            }
        };
        http::wait_for(answers).unwrap_or_else(|e| {
            tracing::error!(error = %e, "no order can be looked up");
            Some(Vec::new())
        })
    }

    /// `None`: there is no clear answer.
    async fn find(&self, number: &OrderNumber, health: &Health) -> Option<Found> {
        let fresh = self.desk().fresh(number, Instant::now());
        if fresh.is_some() {
            return fresh;
        }
        let begun = Instant::now();
        let wait = self.source.settings().wait;
        let tried = match tokio::time::timeout(wait, self.try_to_find(number, begun)).await {
            Ok(None) => {
                self.desk().keep(number, None, Duration::ZERO, Instant::now());
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
                self.desk().keep(number, None, Duration::ZERO, Instant::now());
                health.order_looked_up(LookedUp::Failed, begun.elapsed());
                return None;
            }
        };
        self.desk().circuit.answered();
        health.orders_answer();
        health.order_looked_up(how, begun.elapsed());
        let cache = self.source.settings().cache;
        let fresh = match &found {
            None => Duration::ZERO,
            Some(found) if is_settled(found) => cache,
            Some(_) => cache.min(SHORT),
        };
        self.desk().keep(number, found.clone(), fresh, Instant::now());
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
        }
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
    /// What need not be asked anew.
    fn fresh(&self, number: &OrderNumber, now: Instant) -> Option<Found> {
        self.kept.get(number).filter(|kept| now < kept.fresh_until)?.found.clone()
    }

    /// What was answered, if anything still serves.
    fn at_hand(&self, number: &OrderNumber, now: Instant) -> Option<Option<Found>> {
        self.kept.get(number).filter(|kept| now < kept.until()).map(|kept| kept.found.clone())
    }

    /// Keeps an answer that is fresh for so long. Who waits for the one before it is served by this one.
    fn keep(&mut self, number: &OrderNumber, found: Option<Found>, fresh: Duration, now: Instant) {
        let held_until = self.kept.remove(number).map_or(now, |before| before.held_until).max(now + HELD);
        if self.kept.len() >= KEPT {
            let soonest = self.kept.iter().min_by_key(|(_, kept)| kept.until()).map(|(number, _)| number.clone());
            soonest.and_then(|number| self.kept.remove(&number));
        }
        self.kept.insert(number.clone(), Kept { found, fresh_until: now + fresh, held_until });
    }

    /// Holds the answers for what they were asked for; what has none by now gets none.
    fn hold(&mut self, numbers: Vec<OrderNumber>, now: Instant) {
        for number in numbers {
            let none = Kept { found: None, fresh_until: now, held_until: now };
            self.kept.entry(number).or_insert(none).held_until = now + AHEAD;
        }
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
    fn to_be_held_for_a_letter_makes_no_answer_fresher() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let [number, other] = ["KS100", "KS101"].map(|text| OrderNumber::new(text).unwrap());
        let mut desk = Desk::default();
        desk.keep(&number, Some(Found::Unknown), SHORT, at(0));
        for letter in [1, 10, 29] {
            desk.hold(vec![number.clone()], at(letter));
            assert_eq!(desk.fresh(&number, at(29)), Some(Found::Unknown));
            assert_eq!(desk.fresh(&number, at(30)), None, "the next letter asks anew");
            assert_eq!(desk.at_hand(&number, at(letter + 119)), Some(Some(Found::Unknown)));
            assert_eq!(desk.at_hand(&number, at(letter + 120)), None);
        }
        // That there was no answer says nothing of the next letter; the one before is served by it.
        desk.keep(&number, None, Duration::ZERO, at(40));
        assert_eq!((desk.fresh(&number, at(40)), desk.at_hand(&number, at(148))), (None, Some(None)));
        desk.keep(&other, None, Duration::ZERO, at(40));
        assert_eq!((desk.at_hand(&other, at(44)), desk.at_hand(&other, at(45))), (Some(None), None));
    }

    #[test]
    fn so_many_answers_are_kept_and_no_more() {
        let begin = Instant::now();
        let number = |n: usize| OrderNumber::new(&format!("KS{n}")).unwrap();
        let mut desk = Desk::default();
        for n in 0..KEPT + 10 {
            let now = begin + Duration::from_millis(n as u64);
            desk.keep(&number(1000 + n), Some(Found::Unknown), SHORT, now);
            assert!(desk.kept.len() <= KEPT);
        }
        // Those that would end first had to go.
        let end = begin + SHORT - Duration::from_millis(1);
        assert_eq!((desk.fresh(&number(1009), end), desk.fresh(&number(1010), end)), (None, Some(Found::Unknown)));
    }
}
