//! Where staff find a case: five queues, and in each the order in which it is worked.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::case::{Case, State};
use super::decision::Reason;
use super::facts::Request;
use super::ids::Sku;
use super::warranty::{Track, warranty_ends};

/// A heap of cases that wait for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Queue {
    /// A person has to decide.
    NeedsYou,
    /// The customer was asked, or a person has done what there was to do for now.
    AwaitingCustomer,
    /// A return is authorised and its parcel not here.
    RmaOut,
    /// The item lies with us.
    Arrived,
    /// Nothing more is to come.
    Closed,
}

/// A case as it stands in its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub queue: Queue,
    /// Texts that sort as the cases are worked.
    pub rank: String,
    pub traits: Traits,
}

/// What the cases of a queue are picked by; nothing that tells who the customer is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sku: Option<Sku>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<Track>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// How long cases wait, in words that sort.
pub const WAITS: [&str; 5] = ["0 under a day", "1 to 2 days", "3 to 7 days", "8 to 30 days", "9 over 30 days"];

/// A window that ends within so many days after a case came to wait goes before age.
const SOON: i64 = 30;
/// Sorts behind every day that a window can end on.
const NO_WINDOW: &str = "9999-99-99";

impl Queue {
    pub const ALL: [Self; 5] = [Self::NeedsYou, Self::AwaitingCustomer, Self::RmaOut, Self::Arrived, Self::Closed];

    /// The name in keys and addresses.
    pub fn code(self) -> &'static str {
        match self {
            Self::NeedsYou => "needs_you",
            Self::AwaitingCustomer => "awaiting_customer",
            Self::RmaOut => "rma_out",
            Self::Arrived => "arrived",
            Self::Closed => "closed",
        }
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.code() == code)
    }
}

impl Place {
    pub fn of(case: &Case) -> Self {
        let queue = queue(case);
        let rank = match queue {
            Queue::NeedsYou => {
                let since = case.attention.unwrap_or(case.since);
                let danger = if is_dangerous(case) { '0' } else { '1' };
                let window = window(case).filter(|ends| is_soon(*ends, since));
                let window = window.map_or_else(|| NO_WINDOW.to_owned(), |ends| ends.to_string());
                format!("{danger} {window} {}", rising(since))
            }
            Queue::AwaitingCustomer | Queue::Arrived => rising(case.since),
            Queue::RmaOut => {
                let until = case.rma.as_ref().map_or_else(|| NO_WINDOW.to_owned(), |rma| rma.valid_until.to_string());
                format!("{until} {}", rising(case.since))
            }
            Queue::Closed => falling(case.changed_at),
        };
        let decision = case.decision.as_ref();
        let track = case.rma.as_ref().map(|rma| rma.track);
        let traits = Traits {
            sku: case.facts.sku.as_ref().map(|fact| fact.value.clone()),
            language: case.language.clone(),
            track: track.or_else(|| decision.and_then(|decision| decision.checklist.track)),
            reasons: decision.map(|decision| decision.reasons.clone()).unwrap_or_default(),
        };
        Self { queue, rank, traits }
    }
}

/// Which of [`WAITS`] it is.
pub fn waits(since: Timestamp, now: Timestamp) -> &'static str {
    let [day, two, week, month, longer] = WAITS;
    match now.duration_since(since).as_hours() / 24 {
        ..1 => day,
        1..3 => two,
        3..8 => week,
        8..31 => month,
        _ => longer,
    }
}

/// The last day of the window that the customer's claim, or the RMA, still has.
pub fn window(case: &Case) -> Option<Date> {
    if let Some(rma) = case.rma.as_ref().filter(|_| case.arrival.is_none()) {
        return Some(rma.valid_until);
    }
    let held = case.decision.as_ref()?.held.as_ref()?;
    let received = case.facts.received_on.as_ref()?.value;
    let days = |days: u32| received.saturating_add(i64::from(days).days());
    let after = |ends: Date| (ends >= case.opened_on).then_some(ends);
    match case.request? {
        Request::Defect => after(days(held.doa_days)).or_else(|| after(warranty_ends(received, held.warranty_months))),
        Request::ReturnUnused => after(days(held.unopened_days)),
        _ => None,
    }
}

/// Whether a danger is reported that nobody has released yet.
pub fn is_dangerous(case: &Case) -> bool {
    case.state == State::SafetyHold
}

fn queue(case: &Case) -> Queue {
    let returned = case.state.is_in_house() || case.state == State::Rejected && case.arrival.is_some();
    match case.state {
        state if state.is_final() => Queue::Closed,
        _ if returned && (case.state != State::Rejected || case.attention.is_some()) => Queue::Arrived,
        _ if case.held().is_some() => Queue::NeedsYou,
        _ if case.attention.is_some() && case.snoozed_until.is_none() => Queue::NeedsYou,
        State::RmaIssued | State::InTransit => Queue::RmaOut,
        State::Refunded | State::Rejected | State::ShippedBack => Queue::Closed,
        _ => Queue::AwaitingCustomer,
    }
}

fn is_soon(ends: Date, since: Timestamp) -> bool {
    let from = jiff::tz::Offset::UTC.to_datetime(since).date();
    ends <= from.saturating_add(SOON.days())
}

fn rising(at: Timestamp) -> String {
    format!("{:021}", at.as_nanosecond().max(0))
}

/// The latest first.
fn falling(at: Timestamp) -> String {
    const LAST: i128 = 999_999_999_999_999_999_999;
    format!("{:021}", LAST - at.as_nanosecond().clamp(0, LAST))
}
