//! The tables of the policy: `[policy]` with what is below it, `[[channels]]`, `[[exceptions]]`.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::table::{Document, Table};
use super::values;
use crate::domain::ids::Sku;
use crate::domain::policy::{
    Channel, Exception, Numbers, OWN, OrderPattern, Payer, Period, Policy, Required, ReturnShipping, Route,
};
use crate::domain::warranty::{Item, Track};

const DAYS: u32 = 3650;
const MONTHS: u32 = 1200;

const TRACKS: [(&str, Track); 3] =
    [("doa", Track::Doa), ("unopened_refund", Track::UnopenedRefund), ("repair", Track::Repair)];

const ITEMS: [(&str, Item); 11] = [
    ("order_number", Item::OrderNumber),
    ("sku", Item::Sku),
    ("item_code", Item::ItemCode),
    ("received_on", Item::ReceivedOn),
    ("problem_what", Item::ProblemWhat),
    ("problem_when", Item::ProblemWhen),
    ("problem_how", Item::ProblemHow),
    ("steps_taken", Item::StepsTaken),
    ("photo", Item::Photo),
    ("packaging_photo", Item::PackagingPhoto),
    ("unopened", Item::Unopened),
];

/// Reads the policy whole.
pub(super) fn policy(document: &mut Document<'_>) -> Policy {
    let base = document.read("policy", base);
    let channels: Vec<Channel> = document.list("channels", channel).into_iter().flatten().collect();
    let mut known: Vec<String> = vec![OWN.to_owned()];
    known.extend(channels.iter().map(|channel| channel.name.clone()));
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let exceptions = document.list("exceptions", |t| exception(t, &names));
    let policy = Policy { channels, exceptions: exceptions.into_iter().flatten().collect(), ..base };
    only_once(document, "channels", policy.channels.iter().map(|channel| &channel.name));
    only_once(document, "exceptions", policy.exceptions.iter().map(|exception| &exception.name));
    policy
}

fn base(t: &mut Table<'_>) -> Policy {
    let usual = Policy::default();
    Policy {
        doa_days: t.or("doa_days", usual.doa_days, |v| values::number(v, 0, DAYS)),
        unopened_days: t.or("unopened_days", usual.unopened_days, |v| values::number(v, 0, DAYS)),
        warranty_months: t.or("warranty_months", usual.warranty_months, |v| values::number(v, 0, MONTHS)),
        rma_valid_days: t.or("rma_valid_days", usual.rma_valid_days, |v| values::number(v, 1, DAYS)),
        asks: t.or("asks", usual.asks, |v| values::number(v, 0, 100)),
        answer_days: t.or("answer_days", usual.answer_days, |v| values::number(v, 1, DAYS)),
        approve: t.or("approve", usual.approve, tracks),
        required: t.table("required", "policy.required", required),
        return_shipping: t.table("return_shipping", "policy.return_shipping", return_shipping),
        ..usual
    }
}

fn required(t: &mut Table<'_>) -> Required {
    let usual = Required::default();
    Required {
        defect: t.or("defect", usual.defect, items),
        doa: t.or("doa", usual.doa, items),
        return_unused: t.or("return_unused", usual.return_unused, items),
    }
}

/// Items in asking order, with those that no return can do without.
fn items(value: &DeValue<'_>) -> Result<Vec<Item>, String> {
    let mut items = values::list(value, |v| values::one_of(v, &ITEMS))?;
    let lacking = Required::ALWAYS.iter().find(|item| !items.contains(item));
    if let Some((name, _)) = lacking.and_then(|item| ITEMS.iter().find(|(_, known)| known == item)) {
        return Err(format!("has to hold {name}: no return can be authorised without"));
    }
    items.sort_unstable();
    items.dedup();
    Ok(items)
}

fn return_shipping(t: &mut Table<'_>) -> ReturnShipping {
    const SIMPLE: [(&str, Payer); 2] = [("customer", Payer::Customer), ("brand", Payer::Brand)];
    const ALL: [(&str, Payer); 3] =
        [("customer", Payer::Customer), ("customer_reimbursed", Payer::CustomerReimbursed), ("brand", Payer::Brand)];
    let usual = ReturnShipping::default();
    ReturnShipping {
        doa: t.or("doa", usual.doa, |v| values::one_of(v, &ALL)),
        // There is no fault that could be confirmed.
        unopened_refund: t.or("unopened_refund", usual.unopened_refund, |v| values::one_of(v, &SIMPLE)),
        repair: t.or("repair", usual.repair, |v| values::one_of(v, &ALL)),
    }
}

fn tracks(value: &DeValue<'_>) -> Result<Vec<Track>, String> {
    values::list(value, |v| values::one_of(v, &TRACKS))
}

fn channel(t: &mut Table<'_>) -> Option<Channel> {
    let name = t.required("name", channel_name);
    let order_pattern = t.required("order_pattern", |v| {
        let pattern = values::pattern(v)?;
        OrderPattern::new(pattern.as_str()).map_err(|e| e.to_string())
    });
    let routes = [("here", Route::Here), ("staff", Route::Staff), ("seller", Route::Seller)];
    let route = t.required("route", |v| values::one_of(v, &routes));
    Some(Channel { name: name?, order_pattern: order_pattern?, route: route? })
}

/// A name that staff can write behind `route`.
fn channel_name(value: &DeValue<'_>) -> Result<String, String> {
    let name = values::text(value)?;
    match name.as_str() {
        OWN => Err(format!("\"{OWN}\" is our own shop, which needs no entry")),
        name if name.contains([':', '=']) => Err("must not hold a colon or an equals sign".to_owned()),
        name if name.chars().count() > 60 => Err("is longer than 60 characters".to_owned()),
        _ => Ok(name),
    }
}

fn exception(t: &mut Table<'_>, channels: &[&str]) -> Option<Exception> {
    let name = t.required("name", values::text);
    let skus = t.or("sku", Vec::new(), |v| filled(v, sku));
    let of_channels = t.or("channel", Vec::new(), |v| {
        filled(v, |v| {
            let name = values::text(v)?;
            let known = channels.contains(&name.as_str());
            let unknown = || format!("there is no channel \"{name}\"; known are: {}", channels.join(", "));
            known.then_some(name.clone()).ok_or_else(unknown)
        })
    });
    let bought = period(t, "bought_from", "bought_until");
    let received = period(t, "received_from", "received_until");
    let number = |t: &mut Table<'_>, key, least, most| t.optional(key, |v| values::number(v, least, most));
    let sets = Numbers {
        doa_days: number(t, "doa_days", 0, DAYS),
        unopened_days: number(t, "unopened_days", 0, DAYS),
        warranty_months: number(t, "warranty_months", 0, MONTHS),
        rma_valid_days: number(t, "rma_valid_days", 1, DAYS),
        approve: t.optional("approve", tracks),
    };
    // What was given wrongly is told already.
    let told = |keys: &[&str]| keys.iter().any(|key| t.has(key));
    let matched = told(&["sku", "channel", "bought_from", "bought_until", "received_from", "received_until"]);
    let changed = told(&["doa_days", "unopened_days", "warranty_months", "rma_valid_days", "approve"]);
    if !matched {
        t.reject("name", "matches every purchase: give sku, channel, or a day bought or received, from or until");
    }
    if !changed {
        t.reject("name", "changes nothing: give doa_days, unopened_days, warranty_months, rma_valid_days or approve");
    }
    Some(Exception { name: name?, skus, channels: of_channels, bought, received, sets })
}

fn sku(value: &DeValue<'_>) -> Result<Sku, String> {
    let text = values::text(value)?;
    Sku::new(&text).map_err(|wrong| format!("\"{text}\" is {wrong}"))
}

fn period(t: &mut Table<'_>, from: &'static str, until: &'static str) -> Period {
    let period = Period { from: t.optional(from, values::day), until: t.optional(until, values::day) };
    if period.from.zip(period.until).is_some_and(|(from, until)| from > until) {
        t.reject(until, format!("is before {from}"));
    }
    period
}

/// A list that is not empty.
fn filled<T>(value: &DeValue<'_>, read: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Result<Vec<T>, String> {
    let list = values::list(value, read)?;
    if list.is_empty() { Err("is empty: nothing would match; leave it out for all".to_owned()) } else { Ok(list) }
}

fn only_once<'a>(document: &mut Document<'_>, table: &'static str, names: impl Iterator<Item = &'a String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            document.reject(table, "name", format!("\"{name}\" stands there twice"));
        }
    }
}
