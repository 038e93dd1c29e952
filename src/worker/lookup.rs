//! Between reading a letter and answering it: what the store and the order feed know about it.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::turn::Undone;
use super::{Office, Trouble, budget};
use crate::domain::act::Act;
use crate::domain::case::{Case, State};
use crate::domain::catalogue::OrderAnswer;
use crate::domain::correction::Correction;
use crate::domain::decision::Class;
use crate::domain::facts::Facts;
use crate::domain::ids::{Address, CaseId, LetterId, MessageId, OrderNumber, RmaNumber, Sku};
use crate::pipeline::fold::is_slip;
use crate::pipeline::parse;
use crate::pipeline::resume::Known;
use crate::pipeline::resume::split::{Parts, Split};
use crate::pipeline::trace::{self, Link};
use crate::pipeline::{self, Lookup, Reading};
use crate::ports::BEGINNING;
use crate::store::StoreError;

/// The case that a letter belongs to.
pub struct Found {
    pub link: Link,
    /// It answers a letter of ours, but none that there is.
    unknown_thread: bool,
}

/// Finds a letter's case.
pub fn link(office: &Office, reading: &Reading) -> Result<Found, Trouble> {
    let store = &office.store;
    let by_thread = by_thread(office, reading)?;
    let sender = reading.customer.as_ref().map(|p| p.address.clone());
    // Only after a look at all references: an answer to a letter that there is counts for that one.
    let like_ours = |id: &MessageId| id.is_like_a_reply(office.terms.frame.from.address.domain());
    let unknown_thread = by_thread.is_none() && reading.keys.references.iter().any(like_ours);
    let link = match (&sender, by_thread) {
        (Some(sender), by_thread) => {
            let by_order = match &reading.keys.order_number {
                Some(number) => {
                    let mut cases = Vec::new();
                    for id in store.latest_cases_of_sender(sender, LOOKED_AT)? {
                        let case = store.case(&id)?;
                        cases.extend(case.filter(|c| {
                            c.state != State::Closed
                                && c.state != State::Merged
                                && c.facts.order_number.as_ref().is_some_and(|o| o.value == *number)
                        }));
                    }
                    cases
                }
                None => Vec::new(),
            };
            trace::choose(sender, &reading.facts, by_thread, by_order)
        }
        (None, Some(case)) => Link::Stranger(Box::new(case)),
        (None, None) => Link::New,
    };
    Ok(Found { link, unknown_thread })
}

/// Everything the store and the order feed know about a letter that was read as part of its case.
pub fn look_up(office: &Office, reading: &Reading, found: Found, now: Timestamp) -> Result<Lookup, Trouble> {
    let Found { link, unknown_thread } = found;
    let store = &office.store;
    let sender = reading.customer.as_ref().map(|p| p.address.clone());
    let order_number = pipeline::order_number_of(&link, &reading.facts);
    // Nobody else is told anything that rests on it.
    let asks = reading.class == Class::Customer && !matches!(link, Link::Stranger(_));
    let mut order = match order_number.as_ref().filter(|_| asks) {
        Some(number) => office.orders.answer(number, sender.as_ref(), &office.health),
        None => OrderAnswer::NotAsked,
    };
    if sender.as_ref().is_some_and(|sender| is_hidden(office, &order, sender)) {
        order = OrderAnswer::Unknown;
    }
    let unknown = order_number.as_ref().filter(|_| order == OrderAnswer::Unknown);
    let meant = unknown.zip(sender.as_ref()).and_then(|(number, sender)| meant(office, number, sender));
    let mut rmas_elsewhere = Vec::new();
    if let Some(number) = order_number.as_ref().filter(|_| !office.terms.hide_orders || is_told(&order)) {
        for sku in possible_skus(office, &link, &reading.facts, &order) {
            let held = store.rma_of_line(number, &sku)?;
            let own = matches!(&link, Link::Known(case) if held.as_ref().is_some_and(|(by, _)| *by == case.id));
            if held.is_some() && !own {
                rmas_elsewhere.push(sku);
            }
        }
    }
    let replies_today = match &sender {
        Some(address) => replies_today(office, address, now)?,
        None => 0,
    };
    let (fresh_case, fresh_rma) = (fresh_case(office, &reading.letter.id)?, fresh_rma(office, reading.arrived.date())?);
    Ok(Lookup { link, order, meant, rmas_elsewhere, replies_today, unknown_thread, fresh_case, fresh_rma })
}

/// The sender's only order whose number is `number` but for one slip of the pen. Only their own: a hint at anybody else's
/// would tell which numbers there are.
fn meant(office: &Office, number: &OrderNumber, sender: &Address) -> Option<OrderNumber> {
    let own = office.orders.of_customer(sender);
    let mut near = own.into_iter().filter(|own| is_slip(number.as_str(), own.as_str()));
    let one = near.next()?;
    near.next().is_none().then_some(one)
}

fn is_told(order: &OrderAnswer) -> bool {
    !matches!(order, OrderAnswer::Unknown | OrderAnswer::Unavailable)
}

/// Whether an order is of other people, and such orders are nobody's business.
fn is_hidden(office: &Office, order: &OrderAnswer, sender: &Address) -> bool {
    let lines = order.lines();
    office.terms.hide_orders && !lines.is_empty() && lines.iter().all(|line| line.email != *sender)
}

fn replies_today(office: &Office, address: &Address, now: Timestamp) -> Result<usize, StoreError> {
    let day_ago = now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MIN);
    office.store.replies_to(address, day_ago)
}

/// The sender's cases among which one with the letter's order is sought: a machine may have thousands.
const LOOKED_AT: usize = 100;

/// The case that the letter refers to, by reference first, then by a number of ours. By a number, only a case of the
/// letter's own writer; machines' reports name none but are answered never.
fn by_thread(office: &Office, reading: &Reading) -> Result<Option<Case>, Trouble> {
    let store = &office.store;
    for reference in &reading.keys.references {
        if let Some(id) = store.case_of_message(reference)?
            && let Some(case) = goes_on(office, &id)?
        {
            return Ok(Some(case));
        }
    }
    let mut numbered = reading.keys.cases.clone();
    for number in &reading.keys.rmas {
        numbered.extend(store.case_of_rma(number)?);
    }
    let customer = reading.customer.as_ref().map(|p| &p.address);
    for id in &numbered {
        let own = |case: &Case| reading.class != Class::Customer || Some(&case.customer.address) == customer;
        if let Some(case) = goes_on(office, id)?.filter(own) {
            return Ok(Some(case));
        }
    }
    Ok(None)
}

/// The case, or the one that it was merged into.
fn goes_on(office: &Office, id: &CaseId) -> Result<Option<Case>, Trouble> {
    const MOST: usize = 10;
    let mut case = office.store.case(id)?;
    for _ in 0..MOST {
        let Some(into) = case.as_ref().and_then(|case| case.merged_into.clone()) else { break };
        case = office.store.case(&into)?;
    }
    // Whoever writes to an erased case is nobody it knows.
    Ok(case.filter(|case| case.state != State::Merged && case.erased.is_none()))
}

/// The products that the case may turn out to be about.
fn possible_skus(office: &Office, link: &Link, facts: &Facts, order: &OrderAnswer) -> Vec<Sku> {
    let catalogue = &office.terms.catalogue;
    let of_case = match link {
        Link::Known(case) => Some(&case.facts),
        _ => None,
    };
    let mut skus: Vec<Sku> = order.lines().iter().map(|l| l.sku.clone()).collect();
    for facts in of_case.into_iter().chain([facts]) {
        skus.extend(facts.sku.iter().chain(&facts.sku_candidates).map(|f| f.value.clone()));
        skus.extend(facts.item_code.iter().filter_map(|c| catalogue.by_ean(&c.value)).map(|p| p.sku.clone()));
    }
    skus.sort();
    skus.dedup();
    skus
}

/// What goes on with a case without a letter rests on, for the acts in question.
pub fn known(office: &Office, case: &Case, acts: &[&Act], now: Timestamp) -> Result<Known, Trouble> {
    let mut known = Known::nothing_but(fresh_rma(office, office.terms.deadlines.hours.day(now))?);
    let corrections: Vec<&Correction> = acts
        .iter()
        .filter_map(|act| match act {
            Act::Correct { correction } => Some(correction),
            _ => None,
        })
        .collect();
    // Nothing else looks at the order.
    if corrections.is_empty() {
        return Ok(known);
    }
    let (mut numbers, mut said) = (Vec::new(), Vec::new());
    for correction in corrections {
        match correction {
            Correction::OrderNumber(number) => numbers.extend(number.clone()),
            Correction::Sku(sku) => said.extend(sku.clone()),
            _ => {}
        }
    }
    numbers.extend(case.facts.order_number.as_ref().map(|fact| fact.value.clone()));
    let elsewhere = |holder: &CaseId| *holder != case.id;
    for number in numbers {
        let order = office.orders.answer(&number, Some(&case.customer.address), &office.health);
        look_at_order(office, number, order, (&case.facts, &said), &elsewhere, &mut known)?;
    }
    Ok(known)
}

/// The order numbers that acts look up, to be asked for before anything is held up by it.
pub fn numbers_of(case: &Case, act: &Act) -> Vec<OrderNumber> {
    let corrected = match act {
        Act::Correct { correction: Correction::OrderNumber(number) } => number.clone(),
        Act::Correct { .. } | Act::Split { .. } => None,
        _ => return Vec::new(),
    };
    corrected.into_iter().chain(case.facts.order_number.as_ref().map(|fact| fact.value.clone())).collect()
}

/// What deciding on a case anew rests on when the feed may tell more.
pub fn known_of_feed(office: &Office, case: &Case, now: Timestamp) -> Result<Known, Trouble> {
    let mut known = Known::nothing_but(fresh_rma(office, office.terms.deadlines.hours.day(now))?);
    let customer = &case.customer.address;
    known.replies_today = replies_today(office, customer, now)?;
    if let Some(number) = &case.facts.order_number {
        let elsewhere = |holder: &CaseId| *holder != case.id;
        let order = office.orders.at_hand(&number.value);
        look_at_order(office, number.value.clone(), order, (&case.facts, &[]), &elsewhere, &mut known)?;
        for order in known.orders.values_mut().filter(|order| is_hidden(office, order, customer)) {
            *order = OrderAnswer::Unknown;
        }
    }
    Ok(known)
}

/// What letters becoming a case of their own rests on: both cases are decided anew.
pub fn known_of_split(office: &Office, case: &Case, named: &[String], now: Timestamp) -> Result<Known, Undone> {
    let events = office.store.events(&case.id)?;
    let parts = Parts::of(&events, named).map_err(|e| Undone::Impossible(e.to_string()))?;
    let Some((letter, at)) = parts.first() else {
        return Err(Undone::Impossible("no letter is named".to_owned()));
    };
    let written = office.store.raw(letter)?.map(|raw| {
        let parse = move || parse::letter(&raw, raw.len() as u64 == BEGINNING).arrived(at).date();
        budget::step("looking for its day", parse).map_err(Undone::Impossible)
    });
    let opened_on = match written {
        Some(day) => day?,
        // Erased since.
        None => office.terms.deadlines.hours.day(at),
    };
    let fresh_case = fresh_case(office, letter)?;
    let mut known = Known::nothing_but(fresh_rma(office, office.terms.deadlines.hours.day(now))?);
    // For what is split off, the case that it comes from is another one; with an RMA, that is not decided anew.
    let elsewhere = |holder: &CaseId| *holder != case.id || case.rma.is_some();
    for facts in [&parts.own, &parts.rest] {
        if let Some(number) = &facts.order_number {
            let order = office.orders.answer(&number.value, Some(&case.customer.address), &office.health);
            look_at_order(office, number.value.clone(), order, (facts, &[]), &elsewhere, &mut known)?;
        }
    }
    known.split = Some(Split { parts, fresh_case, opened_on });
    Ok(known)
}

/// What is known about an order, and which of its lines have an RMA `elsewhere`.
fn look_at_order(
    office: &Office,
    number: OrderNumber,
    order: OrderAnswer,
    (facts, said): (&Facts, &[Sku]),
    elsewhere: &dyn Fn(&CaseId) -> bool,
    known: &mut Known,
) -> Result<(), Trouble> {
    for sku in possible_skus(office, &Link::New, facts, &order).iter().chain(said) {
        let held = office.store.rma_of_line(&number, sku)?;
        if held.is_some_and(|(by, _)| elsewhere(&by)) {
            known.rmas_elsewhere.insert((number.clone(), sku.clone()));
        }
    }
    known.orders.insert(number, order);
    Ok(())
}

fn fresh_case(office: &Office, letter: &LetterId) -> Result<CaseId, Trouble> {
    for attempt in 0..=u8::MAX {
        let id = CaseId::derive(letter, attempt);
        if office.store.case(&id)?.is_none() {
            return Ok(id);
        }
    }
    Err(Trouble::Broken("no free case id was found".to_owned()))
}

/// An RMA number that nobody has yet.
pub fn fresh_rma(office: &Office, issued: Date) -> Result<RmaNumber, Trouble> {
    for _ in 0..1000 {
        let mut random = [0; 5];
        getrandom::fill(&mut random)
            .map_err(|e| Trouble::Broken(format!("the system gives no random numbers: {e}")))?;
        if let Some(number) = RmaNumber::make(&office.rma_prefix, issued, random)
            && office.store.case_of_rma(&number)?.is_none()
        {
            return Ok(number);
        }
    }
    Err(Trouble::Broken("no free RMA number was found".to_owned()))
}
