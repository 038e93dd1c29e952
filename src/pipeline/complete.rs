//! Between extract and check: what the catalogue and the order feed add to what the customer said.
//!
//! What the customer names goes before what the feed would fill in, except for the day of delivery, which the feed
//! knows better. A person knows it better still.

use jiff::civil::Date;

use crate::domain::catalogue::{Catalogue, OrderAnswer, OrderLine};
use crate::domain::facts::{Evidence, Fact, Facts, Source};
use crate::domain::ids::{Country, Sku};

/// The facts of a case with what catalogue and feed add, and what they contradict.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completed {
    pub facts: Facts,
    /// The item code belongs to another product than the one named.
    pub code_contradicts_product: bool,
    /// The product named is in no line of the order.
    pub not_in_order: bool,
    /// The feed says that the item is still under way.
    pub not_delivered: bool,
    /// What else the feed knows of the purchase.
    pub bought_on: Option<Date>,
    pub country: Option<Country>,
}

/// Completes `facts`; pure, so that the same facts and the same feed give the same result.
pub fn complete(facts: &Facts, catalogue: &Catalogue, order: &OrderAnswer) -> Completed {
    let mut done = Completed { facts: facts.clone(), ..Completed::default() };
    let lines = order.lines();
    let coded = facts.item_code.as_ref().and_then(|code| catalogue.by_ean(&code.value)).map(|p| p.sku.clone());
    product(&mut done, lines, coded);
    if *order == OrderAnswer::Unavailable && !is_of_another_order(facts) {
        // Nothing is known anew: what was known of this order stays.
        done.facts.sku = done.facts.sku.take().or_else(|| facts.sku.clone());
        return done;
    }
    if let Some(sku) = &done.facts.sku {
        done.not_in_order = !lines.is_empty() && lines.iter().all(|l| l.sku != sku.value);
    }
    delivery(&mut done, lines);
    done
}

/// Whether the day of receipt is that of an order which the case is no longer about.
fn is_of_another_order(facts: &Facts) -> bool {
    let number = facts.order_number.as_ref().map(|fact| fact.value.as_str());
    facts
        .received_on
        .as_ref()
        .is_some_and(|day| day.evidence.source == Source::OrderFeed && number != Some(day.evidence.quote.as_str()))
}

fn product(done: &mut Completed, lines: &[OrderLine], coded: Option<Sku>) {
    let facts = &mut done.facts;
    let said =
        facts.sku.as_ref().filter(|f| f.evidence.source != Source::OrderFeed && f.evidence.source != Source::Catalogue);
    match (said.map(|f| f.value.clone()), &coded) {
        (Some(said), Some(coded)) => done.code_contradicts_product = said != *coded,
        (Some(_), None) => {}
        (None, coded) => {
            let named: Vec<&Sku> = facts.sku_candidates.iter().map(|f| &f.value).collect();
            let in_order: Vec<&Sku> = named.iter().copied().filter(|s| lines.iter().any(|l| l.sku == **s)).collect();
            let found = match (coded, in_order.as_slice(), lines) {
                (Some(coded), ..) => {
                    done.code_contradicts_product = !named.is_empty() && !named.contains(&coded);
                    Some((coded.clone(), Source::Catalogue, "sku.ean"))
                }
                (None, [one], _) => Some(((*one).clone(), Source::OrderFeed, "sku.order_line")),
                (None, [], [line]) if named.is_empty() => Some((line.sku.clone(), Source::OrderFeed, "sku.order_line")),
                (None, [], [_, ..]) if !named.is_empty() => {
                    done.not_in_order = true;
                    None
                }
                _ => None,
            };
            facts.sku =
                found.map(|(sku, source, rule)| Fact { evidence: derived(source, sku.as_str(), rule), value: sku });
        }
    }
}

/// The days of purchase and delivery and the country: those of the product's line, or of all lines if they agree.
fn delivery(done: &mut Completed, lines: &[OrderLine]) {
    let sku = done.facts.sku.as_ref().map(|f| &f.value);
    let own: Vec<&OrderLine> = lines.iter().filter(|l| Some(&l.sku) == sku).collect();
    let lines: Vec<&OrderLine> = if own.is_empty() { lines.iter().collect() } else { own };
    let Some(first) = lines.first() else {
        // The feed no longer knows the order (another number was given): its day goes with it.
        let from_feed = |f: &Fact<Date>| f.evidence.source == Source::OrderFeed;
        done.facts.received_on = done.facts.received_on.take().filter(|f| !from_feed(f));
        return;
    };
    // Of several lines, only what they agree in.
    let agree = |differs: &dyn Fn(&OrderLine) -> bool| !lines.iter().any(|l| differs(l));
    done.bought_on = first.bought_on.filter(|_| agree(&|l| l.bought_on != first.bought_on));
    done.country = first.country.clone().filter(|_| agree(&|l| l.country != first.country));
    if lines.iter().any(|l| (l.delivered_on, l.day_unknown) != (first.delivered_on, first.day_unknown)) {
        return;
    }
    if done.facts.received_on.as_ref().is_some_and(|f| f.evidence.source == Source::Staff) {
        return;
    }
    if first.day_unknown {
        done.facts.received_on = done.facts.received_on.take().filter(|f| f.evidence.source != Source::OrderFeed);
        return;
    }
    done.not_delivered = first.delivered_on.is_none();
    // A day that the feed doesn't confirm is no day of receipt.
    done.facts.received_on = first.delivered_on.map(|day: Date| Fact {
        value: day,
        evidence: derived(Source::OrderFeed, first.order_number.as_str(), "received_on.order_feed"),
    });
}

fn derived(source: Source, quote: &str, rule: &str) -> Evidence {
    Evidence::new(None, source, quote, rule)
}
