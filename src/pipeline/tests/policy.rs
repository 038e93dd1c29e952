//! The policy as data: other requirements, payers, exceptions, channels and return addresses than the contract's.

use super::*;
use crate::domain::ids::Country;
use crate::domain::policy::{
    Channel, Exception, Numbers, OrderPattern, Payer, Period, Required, ReturnShipping, Route,
};
use crate::pipeline::propose::proposal;

fn desk_of(policy: Policy) -> Desktop {
    Desktop { terms: terms_of(policy, Vec::new()).unwrap(), ..Desktop::new() }
}

fn amazon(route: Route) -> Channel {
    Channel { name: "Amazon".to_owned(), order_pattern: OrderPattern::new(r"\d{3}-\d{7}-\d{7}").unwrap(), route }
}

fn on_amazon() -> String {
    COMPLETE.replace("KS20001", "402-1234567-7654321")
}

fn long_doa() -> Exception {
    Exception {
        name: "late parcels".to_owned(),
        channels: vec!["Amazon".to_owned()],
        sets: Numbers { doa_days: Some(60), rma_valid_days: Some(30), ..Numbers::default() },
        ..Exception::default()
    }
}

#[test]
fn a_channel_of_staff_or_a_seller_goes_to_staff_complete_or_not() {
    for (route, proposed) in [(Route::Staff, None), (Route::Seller, Some("route Amazon"))] {
        for claim in [on_amazon(), "My watch is broken. Order 402-1234567-7654321.".to_owned()] {
            let mut desk = desk_of(Policy { channels: vec![amazon(route)], ..Policy::default() });
            let outcome = desk.take(&claim);
            assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![Reason::Channel]));
            assert_eq!(outcome.reply.unwrap().kind, Kind::Acknowledgement);
            assert_eq!(proposal(desk.case.as_ref().unwrap()).as_deref(), proposed);
            let reply = desk.act("route").reply.unwrap();
            assert_eq!(reply.kind, Kind::Route);
            assert!(reply.text.contains("You bought this product from Amazon."), "{}", reply.text);
        }
    }
    let here = Policy { channels: vec![amazon(Route::Here)], ..Policy::default() };
    assert_eq!(desk_of(here).take(&on_amazon()).decision.action, Action::IssueRma);
    let seller = Policy { channels: vec![amazon(Route::Seller)], ..Policy::default() };
    assert_eq!(desk_of(seller).take(COMPLETE).decision.action, Action::IssueRma, "of our own shop");
}

#[test]
fn a_channels_own_form_of_order_numbers_is_recognised() {
    let dealer = Channel {
        name: "Dealer".to_owned(),
        order_pattern: OrderPattern::new(r"MM/\d{2}-[A-Z]\d{3}|MM-\d{4}-\d{6}").unwrap(),
        route: Route::Seller,
    };
    let mut desk = desk_of(Policy { channels: vec![dealer], ..Policy::default() });
    let outcome = desk.take("My watch MM-2026-004711 is broken.");
    assert_eq!(outcome.decision.reasons, [Reason::Channel]);
    let order = desk.case.unwrap().facts.order_number.unwrap();
    assert_eq!((order.value.as_str(), order.evidence.rule.as_str()), ("MM-2026-004711", "order_number.channel"));
}

#[test]
fn an_exception_holds_for_its_purchases_and_explain_names_it() {
    let policy = Policy { channels: vec![amazon(Route::Here)], exceptions: vec![long_doa()], ..Policy::default() };
    let mut desk = desk_of(policy.clone());
    let outcome = desk.take(&on_amazon());
    assert_eq!((outcome.decision.action, missing(&outcome)), (Action::Ask, vec![Item::PackagingPhoto]));
    let outcome = desk.take("The video shows the box.");
    assert_eq!(outcome.decision.track, Some(Track::Doa));
    assert_eq!(desk.case.as_ref().unwrap().rma.as_ref().unwrap().valid_until, date(2026, 12, 20));
    let held = outcome.decision.held.unwrap();
    assert_eq!((held.doa_days, held.exceptions), (60, vec!["late parcels".to_owned()]));
    // What the decision was made by is told under whatever terms come later.
    desk.terms = terms();
    let lines: Vec<String> = desk.reckoned(&[]).iter().map(|line| format!("{} {}", line.clause, line.text)).collect();
    for told in [
        "exception “late parcels” applies",
        "channel Amazon, by the order number",
        "doa.window C − D = 50 days, 60 allowed",
    ] {
        assert!(lines.iter().any(|line| line.starts_with(told)), "{told}: {lines:?}");
    }
    assert_eq!(desk_of(policy).take(COMPLETE).decision.track, Some(Track::Repair));
}

#[test]
fn nobody_is_late_before_it_is_known_which_product_it_is() {
    let long = Exception {
        name: "long".to_owned(),
        skus: vec![Sku::new("RX-ROAM5-BK").unwrap()],
        sets: Numbers { warranty_months: Some(48), ..Numbers::default() },
        ..Exception::default()
    };
    let policy = Policy { exceptions: vec![long], ..Policy::default() };
    let old = COMPLETE.replace("1 October 2026", "1 October 2023");
    let mut desk = desk_of(policy);
    let unknown = old.replace("Roam 5 black, item code 4006381333931", "my watch");
    assert_eq!(desk.take(&unknown).decision.action, Action::Ask);
    assert_eq!(desk.take("It is the Roam 5 black, item code 4006381333931.").decision.action, Action::IssueRma);
    assert_eq!(Desktop::new().take(&unknown).decision.reasons, [Reason::OutOfWarranty]);
}

#[test]
fn the_day_of_purchase_comes_from_the_feed() {
    let winter = Exception {
        name: "winter".to_owned(),
        bought: Period { from: Some(date(2025, 9, 1)), until: None },
        sets: Numbers { warranty_months: Some(24), ..Numbers::default() },
        ..Exception::default()
    };
    for (bought_on, action) in [(date(2025, 9, 1), Action::IssueRma), (date(2025, 8, 31), Action::Staff)] {
        let mut desk = Desktop::with_order(&[("jo@example.net", "RX-ROAM5-BK", Some(date(2025, 10, 1)))]);
        if let OrderAnswer::Lines(lines) = &mut desk.order {
            lines[0].bought_on = Some(bought_on);
        }
        let policy = Policy { exceptions: vec![winter.clone()], ..Policy::default() };
        desk.terms = terms_of(policy, Vec::new()).unwrap();
        assert_eq!(desk.take(COMPLETE).decision.action, action, "{bought_on}");
    }
}

#[test]
fn what_a_claim_needs_is_data() {
    let defect = vec![Item::OrderNumber, Item::Sku, Item::ReceivedOn, Item::ProblemWhat];
    let required = Required { defect, ..Required::default() };
    let few = "Order KS20001, Roam 5 black, received on 1 October 2026. The display flickers.";
    let outcome = desk_of(Policy { required, ..Policy::default() }).take(few);
    assert_eq!(outcome.decision.action, Action::IssueRma, "no photo is asked for, so no link has to be opened");
    assert_eq!(Desktop::new().take(few).decision.action, Action::Ask);
}

#[test]
fn who_pays_is_said_and_remembered() {
    let return_shipping = ReturnShipping { repair: Payer::Brand, ..ReturnShipping::default() };
    let mut desk = desk_of(Policy { return_shipping, ..Policy::default() });
    let text = desk.take(COMPLETE).reply.unwrap().text;
    assert!(text.contains("We pay the postage to us") && text.contains("We pay for the return to you"), "{text}");
    assert!(!text.contains("at your expense and can’t be refunded"), "{text}");
    desk.terms = terms();
    let lines = desk.reckoned(&[]);
    assert!(lines.iter().any(|l| l.clause == "repair.cost" && l.text.contains("return shipping is ours")), "{lines:?}");
}

#[test]
fn returns_of_a_country_go_to_its_address() {
    let destinations = vec![Destination {
        countries: vec![Country::new("gb").unwrap()],
        lines: vec!["Roam UK".to_owned(), "2 Other Road".to_owned()],
    }];
    for (country, line) in [(Some("GB"), "2 Other Road"), (Some("DE"), "1 Sample Street"), (None, "1 Sample Street")] {
        let mut desk = Desktop::with_order(&[("jo@example.net", "RX-ROAM5-BK", Some(date(2026, 10, 1)))]);
        if let OrderAnswer::Lines(lines) = &mut desk.order {
            lines[0].country = country.map(|code| Country::new(code).unwrap());
        }
        desk.terms = terms_of(Policy::default(), destinations.clone()).unwrap();
        let text = desk.take(COMPLETE).reply.unwrap().text;
        assert!(text.contains(line), "{country:?}: {text}");
        // A person's RMA goes there, too.
        desk.case = None;
        desk.terms.policy.approve = vec![Track::Repair];
        desk.take(COMPLETE);
        assert!(desk.act("approve").reply.unwrap().text.contains(line), "{country:?}");
    }
}

#[test]
fn an_exception_for_a_product_that_is_not_sold_is_a_mistake() {
    let skus = ["RX-ROAM5-BK", "RX-NONE"].map(|sku| Sku::new(sku).unwrap()).to_vec();
    let policy = Policy { exceptions: vec![Exception { skus, ..long_doa() }], ..Policy::default() };
    let told = terms_of(policy, Vec::new()).err();
    assert_eq!(told.as_deref(), Some("[[exceptions]] \"late parcels\" sku: RX-NONE is not in the catalogue"));
}

#[test]
fn the_version_of_the_terms_tells_every_difference_in_the_policy() {
    let usual = Policy::default();
    let other_required = Required { doa: usual.required.defect.clone(), ..Required::default() };
    let policies = [
        usual.clone(),
        Policy { doa_days: 8, ..usual.clone() },
        Policy { approve: vec![Track::Doa], ..usual.clone() },
        Policy { required: other_required, ..usual.clone() },
        Policy { return_shipping: ReturnShipping { doa: Payer::Brand, ..ReturnShipping::default() }, ..usual.clone() },
        Policy { exceptions: vec![long_doa()], ..usual.clone() },
        Policy { channels: vec![amazon(Route::Staff)], ..usual.clone() },
        Policy { channels: vec![amazon(Route::Seller)], ..usual },
    ];
    let mut versions: Vec<String> =
        policies.into_iter().map(|policy| terms_of(policy, Vec::new()).unwrap().version).collect();
    let destination = Destination { countries: vec![Country::new("GB").unwrap()], lines: vec!["x".to_owned()] };
    versions.push(terms_of(Policy::default(), vec![destination]).unwrap().version);
    assert_eq!(versions.first(), Some(&terms().version));
    let count = versions.len();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), count);
}
