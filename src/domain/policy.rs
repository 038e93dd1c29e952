//! The policy as data: what a claim needs, how long each window is, who pays, and the exceptions to all that.
//!
//! [`Policy::held`] is the one place where exceptions are weighed: it gives the numbers that hold for one purchase, and
//! every decision records them.

use jiff::civil::Date;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::catalogue::Catalogue;
use super::facts::Request;
use super::ids::{OrderNumber, Sku};
use super::warranty::{Item, Track};

/// The policy; each number and requirement is configuration. The default is the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Days from receipt to the first letter for the track `doa`; clause `doa.window`.
    pub doa_days: u32,
    /// Days from receipt to the first letter for a refund; clause `unopened.window`.
    pub unopened_days: u32,
    /// Months of warranty where the catalogue states none; clause `repair.window`.
    pub warranty_months: u32,
    /// Days an RMA number is valid.
    pub rma_valid_days: u32,
    /// Letters that ask, before a person takes over; clause `incomplete`.
    pub asks: u32,
    /// Days that a letter may have lain in the mailbox to be answered automatically.
    pub answer_days: u32,
    /// The tracks that a person approves before the RMA; clause `repair.confirm`.
    pub approve: Vec<Track>,
    pub required: Required,
    pub return_shipping: ReturnShipping,
    /// In the order of the file; of two that set the same number the later holds.
    pub exceptions: Vec<Exception>,
    pub channels: Vec<Channel>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            doa_days: 7,
            unopened_days: 15,
            warranty_months: 12,
            rma_valid_days: 15,
            asks: 3,
            answer_days: 14,
            approve: Vec::new(),
            required: Required::default(),
            return_shipping: ReturnShipping::default(),
            exceptions: Vec::new(),
            channels: Vec::new(),
        }
    }
}

/// The items that a claim needs, each list in asking order. Order number, SKU and day of receipt are in all of them:
/// there is no RMA without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// For a fault; clauses `process.1` to `process.4`.
    pub defect: Vec<Item>,
    /// For a fault within `doa_days`; clause `doa.evidence`.
    pub doa: Vec<Item>,
    /// For giving an unused item back; clause `unopened.condition`.
    pub return_unused: Vec<Item>,
}

impl Default for Required {
    fn default() -> Self {
        use Item::*;
        let defect =
            vec![OrderNumber, Sku, ItemCode, ReceivedOn, ProblemWhat, ProblemWhen, ProblemHow, StepsTaken, Photo];
        let doa = defect.iter().copied().chain([PackagingPhoto]).collect();
        Self { defect, doa, return_unused: vec![OrderNumber, Sku, ItemCode, ReceivedOn, Unopened] }
    }
}

impl Required {
    /// What no return can be authorised without.
    pub const ALWAYS: [Item; 3] = [Item::OrderNumber, Item::Sku, Item::ReceivedOn];

    /// The items of a request on a track; none for requests that a person answers.
    pub fn of(&self, request: Request, track: Option<Track>) -> &[Item] {
        match request {
            Request::Defect if track == Some(Track::Doa) => &self.doa,
            Request::Defect => &self.defect,
            Request::ReturnUnused => &self.return_unused,
            _ => &[],
        }
    }
}

/// Who pays for the way to us; clauses `doa.return_cost`, `unopened.cost`, `repair.cost`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Payer {
    Customer,
    /// The customer, who gets it back on a valid receipt once the fault is confirmed.
    CustomerReimbursed,
    /// We do: the customer gets a label that is paid for.
    Brand,
}

/// Who pays for the way to us, by track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReturnShipping {
    pub doa: Payer,
    pub unopened_refund: Payer,
    pub repair: Payer,
}

impl Default for ReturnShipping {
    fn default() -> Self {
        Self { doa: Payer::CustomerReimbursed, unopened_refund: Payer::Customer, repair: Payer::Customer }
    }
}

impl ReturnShipping {
    pub fn of(&self, track: Track) -> Payer {
        match track {
            Track::Doa => self.doa,
            Track::UnopenedRefund => self.unopened_refund,
            Track::Repair => self.repair,
        }
    }
}

/// Other numbers for some purchases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exception {
    /// As `explain` names it.
    pub name: String,
    /// These products; empty: all.
    pub skus: Vec<Sku>,
    /// Orders of these channels, [`OWN`] being the shop itself; empty: all.
    pub channels: Vec<String>,
    pub bought: Period,
    pub received: Period,
    pub sets: Numbers,
}

/// The name of the shop itself among the channels.
pub const OWN: &str = "own";

/// The days from one to another, both included; open where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Period {
    pub from: Option<Date>,
    pub until: Option<Date>,
}

/// What an exception sets; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Numbers {
    pub doa_days: Option<u32>,
    pub unopened_days: Option<u32>,
    /// Goes before the product's own, too.
    pub warranty_months: Option<u32>,
    pub rma_valid_days: Option<u32>,
    pub approve: Option<Vec<Track>>,
}

/// A place where our products are bought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// As letters and `explain` name it.
    pub name: String,
    pub order_pattern: OrderPattern,
    pub route: Route,
}

/// Who goes on with the claims of a channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// Like those of our own shop.
    #[default]
    Here,
    /// A person.
    Staff,
    /// A person, who is to send the customer to the seller.
    Seller,
}

/// The form of a channel's order numbers: a regular expression for a whole number, upper and lower case alike.
#[derive(Debug, Clone)]
pub struct OrderPattern {
    source: String,
    whole: Regex,
}

impl OrderPattern {
    /// Compiles `source`; the error says what is wrong with it.
    pub fn new(source: &str) -> Result<Self, regex::Error> {
        let whole = RegexBuilder::new(&format!("^(?:{source})$")).case_insensitive(true).build()?;
        Ok(Self { source: source.to_owned(), whole })
    }

    pub fn as_str(&self) -> &str {
        &self.source
    }

    pub fn is_of(&self, number: &OrderNumber) -> bool {
        self.whole.is_match(number.as_str())
    }
}

impl PartialEq for OrderPattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for OrderPattern {}

/// What is known of a purchase.
#[derive(Debug, Clone, Copy, Default)]
pub struct Purchase<'a> {
    pub sku: Option<&'a Sku>,
    pub order_number: Option<&'a OrderNumber>,
    pub bought_on: Option<Date>,
    pub received_on: Option<Date>,
}

/// What holds for one purchase, and by which exceptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub doa_days: u32,
    pub unopened_days: u32,
    pub warranty_months: u32,
    pub rma_valid_days: u32,
    pub approve: Vec<Track>,
    /// The names of the exceptions that apply, in order.
    pub exceptions: Vec<String>,
    /// Where it was bought, unless it is our own shop or not known.
    pub channel: Option<String>,
    pub route: Route,
}

impl Policy {
    /// The channel that an order number is of; `None`: our own shop.
    pub fn channel_of(&self, number: &OrderNumber) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.order_pattern.is_of(number))
    }

    /// What holds for a purchase. While it is not yet known which product or which order it is, the windows are the
    /// longest that may hold: nobody is told to be late before that is sure.
    pub fn held(&self, purchase: &Purchase<'_>, catalogue: &Catalogue) -> Held {
        let channel = purchase.order_number.and_then(|number| self.channel_of(number));
        let mut held = Held {
            doa_days: self.doa_days,
            unopened_days: self.unopened_days,
            warranty_months: self.months_of(purchase.sku, catalogue),
            rma_valid_days: self.rma_valid_days,
            approve: self.approve.clone(),
            exceptions: Vec::new(),
            channel: channel.map(|channel| channel.name.clone()),
            route: channel.map(|channel| channel.route).unwrap_or_default(),
        };
        for exception in &self.exceptions {
            match exception.fits(purchase, channel) {
                Some(true) => held.take(exception),
                None => held.may_take(&exception.sets),
                Some(false) => {}
            }
        }
        held
    }

    /// What exceptions name that the catalogue does not know, one line each.
    pub fn strangers(&self, catalogue: &Catalogue) -> Vec<String> {
        let of = |exception: &Exception| {
            let unknown = exception.skus.iter().filter(|sku| catalogue.by_sku(sku).is_none());
            let told = |sku: &Sku| format!("[[exceptions]] \"{}\" sku: {sku} is not in the catalogue", exception.name);
            unknown.map(told).collect::<Vec<_>>()
        };
        self.exceptions.iter().flat_map(of).collect()
    }

    /// Months of warranty without exceptions: the product's, else the policy's; of the longest in the catalogue while
    /// the product is not known.
    fn months_of(&self, sku: Option<&Sku>, catalogue: &Catalogue) -> u32 {
        let months = |own: Option<u32>| own.unwrap_or(self.warranty_months);
        let longest = || catalogue.products.iter().map(|p| months(p.warranty_months)).max();
        let of_product = sku.map(|sku| months(catalogue.by_sku(sku).and_then(|p| p.warranty_months)));
        of_product.or_else(longest).unwrap_or(self.warranty_months)
    }
}

impl Exception {
    /// Whether it is for this purchase; `None` while that can't be told.
    fn fits(&self, purchase: &Purchase<'_>, channel: Option<&Channel>) -> Option<bool> {
        let sku = match purchase.sku {
            _ if self.skus.is_empty() => Some(true),
            sku => sku.map(|sku| self.skus.contains(sku)),
        };
        let ordered = purchase.order_number.is_some();
        let shop = channel.map_or(OWN, |channel| channel.name.as_str());
        let of_channel = match self.channels.as_slice() {
            [] => Some(true),
            channels => ordered.then(|| channels.iter().any(|name| name == shop)),
        };
        // What the order feed does not tell of a known order it will never tell.
        let bought = self.bought.holds(purchase.bought_on).or(ordered.then_some(false));
        let all = [sku, of_channel, bought, self.received.holds(purchase.received_on)];
        if all.contains(&Some(false)) {
            return Some(false);
        }
        (!all.contains(&None)).then_some(true)
    }
}

impl Period {
    /// Whether `day` lies in it; `None` if it has bounds and the day is not known.
    fn holds(&self, day: Option<Date>) -> Option<bool> {
        if *self == Self::default() {
            return Some(true);
        }
        let day = day?;
        Some(self.from.is_none_or(|from| from <= day) && self.until.is_none_or(|until| day <= until))
    }
}

impl Held {
    fn take(&mut self, exception: &Exception) {
        let sets = &exception.sets;
        self.doa_days = sets.doa_days.unwrap_or(self.doa_days);
        self.unopened_days = sets.unopened_days.unwrap_or(self.unopened_days);
        self.warranty_months = sets.warranty_months.unwrap_or(self.warranty_months);
        self.rma_valid_days = sets.rma_valid_days.unwrap_or(self.rma_valid_days);
        if let Some(approve) = &sets.approve {
            self.approve.clone_from(approve);
        }
        self.exceptions.push(exception.name.clone());
    }

    fn may_take(&mut self, sets: &Numbers) {
        self.unopened_days = self.unopened_days.max(sets.unopened_days.unwrap_or_default());
        self.warranty_months = self.warranty_months.max(sets.warranty_months.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::Product;
    use jiff::civil::date;

    fn sku(text: &str) -> Sku {
        Sku::new(text).unwrap()
    }

    fn number(text: &str) -> OrderNumber {
        OrderNumber::new(text).unwrap()
    }

    fn catalogue() -> Catalogue {
        let product = |code: &str, warranty_months| Product {
            sku: sku(code),
            name: code.to_owned(),
            aliases: Vec::new(),
            ean: None,
            warranty_months,
        };
        Catalogue { products: vec![product("RX-1", None), product("RX-2", Some(24))] }
    }

    fn amazon(route: Route) -> Channel {
        let order_pattern = OrderPattern::new(r"\d{3}-\d{7}-\d{7}|EBAY\d+").unwrap();
        Channel { name: "Amazon".to_owned(), order_pattern, route }
    }

    fn exception(name: &str, sets: Numbers) -> Exception {
        Exception { name: name.to_owned(), sets, ..Exception::default() }
    }

    fn months(months: u32) -> Numbers {
        Numbers { warranty_months: Some(months), ..Numbers::default() }
    }

    #[test]
    fn without_exceptions_a_product_has_its_own_months_and_an_unknown_one_the_longest() {
        let months = |code: Option<&str>| {
            let known = code.map(sku);
            let purchase = Purchase { sku: known.as_ref(), ..Purchase::default() };
            Policy::default().held(&purchase, &catalogue()).warranty_months
        };
        assert_eq!([Some("RX-1"), Some("RX-2"), Some("RX-9"), None].map(months), [12, 24, 12, 24]);
    }

    #[test]
    fn every_criterion_of_an_exception_has_to_hold_and_the_later_one_wins() {
        let christmas = Exception {
            skus: vec![sku("RX-1")],
            channels: vec![OWN.to_owned()],
            bought: Period { from: Some(date(2026, 11, 20)), until: Some(date(2026, 12, 24)) },
            ..exception("Christmas", Numbers { doa_days: Some(30), ..months(18) })
        };
        let late = Exception {
            received: Period { from: Some(date(2026, 12, 20)), until: None },
            ..exception("late parcels", Numbers { doa_days: Some(40), ..Numbers::default() })
        };
        let policy =
            Policy { exceptions: vec![christmas, late], channels: vec![amazon(Route::Here)], ..Policy::default() };
        let (one, two, own, other) = (sku("RX-1"), sku("RX-2"), number("KS1"), number("402-1234567-7654321"));
        let purchase = Purchase {
            sku: Some(&one),
            order_number: Some(&own),
            bought_on: Some(date(2026, 11, 20)),
            received_on: Some(date(2026, 12, 1)),
        };
        let held = |purchase: &Purchase<'_>| policy.held(purchase, &catalogue());
        let first = held(&purchase);
        assert_eq!((first.doa_days, first.warranty_months), (30, 18));
        assert_eq!(first.exceptions, ["Christmas"]);
        let both = held(&Purchase { received_on: Some(date(2026, 12, 20)), ..purchase });
        assert_eq!((both.doa_days, both.warranty_months), (40, 18));
        assert_eq!(both.exceptions, ["Christmas", "late parcels"]);
        for other in [
            Purchase { sku: Some(&two), ..purchase },
            Purchase { order_number: Some(&other), ..purchase },
            Purchase { bought_on: Some(date(2026, 11, 19)), ..purchase },
            Purchase { bought_on: Some(date(2026, 12, 25)), ..purchase },
            Purchase { bought_on: None, ..purchase },
        ] {
            assert_eq!(held(&other).exceptions, [""; 0], "{other:?}");
        }
    }

    #[test]
    fn while_product_or_order_is_unknown_the_longest_window_that_may_hold_holds() {
        let long = Exception { skus: vec![sku("RX-1")], ..exception("long", months(36)) };
        let policy = Policy { exceptions: vec![long], ..Policy::default() };
        let held = policy.held(&Purchase::default(), &catalogue());
        assert_eq!((held.warranty_months, held.exceptions), (36, Vec::new()));
        let generous = Numbers { unopened_days: Some(60), doa_days: Some(60), ..Numbers::default() };
        let bought = Period { from: Some(date(2026, 11, 1)), until: None };
        let policy =
            Policy { exceptions: vec![Exception { bought, ..exception("winter", generous) }], ..Policy::default() };
        let held = policy.held(&Purchase::default(), &catalogue());
        assert_eq!((held.unopened_days, held.doa_days), (60, 7));
        let (one, own) = (sku("RX-1"), number("KS1"));
        let known = Purchase { sku: Some(&one), order_number: Some(&own), ..Purchase::default() };
        assert_eq!(policy.held(&known, &catalogue()).unopened_days, 15);
    }

    #[test]
    fn a_channel_is_known_by_the_whole_order_number() {
        let policy = Policy { channels: vec![amazon(Route::Seller)], ..Policy::default() };
        let name = |text: &str| policy.channel_of(&number(text)).map(|channel| channel.name.as_str());
        assert_eq!(name("402-1234567-7654321"), Some("Amazon"));
        assert_eq!(name("ebay77"), Some("Amazon"));
        assert_eq!(name("1402-1234567-7654321"), None);
        assert_eq!(name("KS20001"), None);
    }
}
