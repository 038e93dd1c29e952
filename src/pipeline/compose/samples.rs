//! A sample of everything each letter can have to say, to try templates before a customer needs them.

use jiff::civil::date;

use super::Rendered;
use super::form::Form;
use super::known::{Known, Quote};
use super::matter::{Asked, Day, Matter, Product, Return, Sum, Told, Unusable, asked, tells_of_return};
use crate::domain::facts::{Judgement, Request};
use crate::domain::policy::Payer;
use crate::domain::reply::Kind;
use crate::domain::returns::{Finding, Money, Remedy};
use crate::domain::warranty::{Item, Track};

const ITEMS: [Item; 11] = [
    Item::OrderNumber,
    Item::Sku,
    Item::ItemCode,
    Item::ReceivedOn,
    Item::ProblemWhat,
    Item::ProblemWhen,
    Item::ProblemHow,
    Item::StepsTaken,
    Item::Photo,
    Item::PackagingPhoto,
    Item::Unopened,
];

const PAYERS: [Payer; 3] = [Payer::Customer, Payer::CustomerReimbursed, Payer::Brand];

/// One matter for each branch a template of `language` can take.
pub(super) fn all(language: &str) -> Vec<Matter> {
    let mut all = Vec::new();
    asks(language, &mut all);
    returns(language, &mut all);
    acknowledgements(language, &mut all);
    lives(language, &mut all);
    all
}

/// What a letter of `matter` has to print and doesn't.
pub(super) fn omissions(matter: &Matter, rendered: &Rendered) -> Vec<String> {
    let mut needed = vec![("the case number (case)", matter.case.as_str())];
    if let Some(rma) = matter.rma.as_ref().filter(|_| tells_of_return(matter.kind)) {
        if !matches!(matter.kind, Kind::Receipt) {
            needed.push(("the RMA number (rma.number)", &rma.number));
        }
        if matter.kind == Kind::Rma {
            needed.push(("the order number (rma.order_number)", &rma.order_number));
        }
        needed.extend(rma.address.iter().map(|line| ("the return address (rma.address)", line.as_str())));
    }
    needed.extend(matter.order_meant.iter().map(|n| ("the order that may be meant (order_meant)", n.as_str())));
    needed.extend(matter.order_not_found.iter().map(|n| ("the unknown order number (order_not_found)", n.as_str())));
    needed.extend(matter.candidates.iter().map(|p| ("the products to choose from (candidates)", p.sku.as_str())));
    needed.extend(
        matter
            .step
            .message
            .iter()
            .map(|m| ("the words of staff (step.message)", m.lines().next().unwrap_or_default()))
            .filter(|_| says_words(matter.kind)),
    );
    needed.extend(
        matter
            .step
            .tracking
            .iter()
            .map(|t| ("the tracking number (step.tracking)", t.as_str()))
            .filter(|_| matter.kind == Kind::ShippedBack),
    );
    if matches!(matter.kind, Kind::Ask | Kind::Acknowledgement) {
        needed.extend(matter.known.order_number.iter().map(|n| ("what is known (known.order_number)", n.as_str())));
        needed.extend(matter.known.item_code.iter().map(|n| ("what is known (known.item_code)", n.as_str())));
    }
    let stem = format!("{}/{}", matter.kind.folder(), matter.language);
    let mut errors = Vec::new();
    for (what, value) in needed {
        for (format, content) in [("txt", &rendered.text), ("html", &rendered.html)] {
            // The case number may be left to the subject in the text.
            let is_there = content.contains(value) || format == "txt" && rendered.subject.contains(value);
            if !is_there {
                errors.push(format!("{stem}.{format}:1: {what} is not printed: print it"));
            }
        }
    }
    if !rendered.subject.contains(&matter.case) {
        errors.push(format!("{stem}.txt:1: the subject lacks the case number: write [{{{{ case }}}}] in it"));
    }
    if rendered.text.trim().is_empty() || rendered.html.trim().is_empty() {
        errors.push(format!("{stem}.txt:1: the letter is empty: write it"));
    }
    errors
}

/// A full, plain matter of that kind to change in one respect.
pub(super) fn plain(kind: Kind, language: &str) -> Matter {
    let product = Product { name: "TANK T3 black".to_owned(), sku: "KP-TKT3-BK".to_owned() };
    let is_asking = matches!(kind, Kind::Ask | Kind::Reminder);
    let ask = if is_asking { asked(&[Item::ItemCode, Item::Photo]) } else { Vec::new() };
    Matter {
        kind,
        language: language.to_owned(),
        brand: "Example".to_owned(),
        desk: "Example After-Sales".to_owned(),
        mail_megabytes: 35,
        case: "AS-2J4KX7QD".to_owned(),
        topic: "Watch does not charge".to_owned(),
        name: Some("Maria Schmidt".to_owned()),
        request: Some(Request::Defect),
        known: if matches!(kind, Kind::Ask | Kind::Acknowledgement) {
            known(product.clone())
        } else {
            Known::default()
        },
        round: 1,
        photo_item: is_asking.then_some(Item::Photo),
        ask,
        where_to_find: Vec::new(),
        not_available: Vec::new(),
        unusable: Vec::new(),
        order_not_found: None,
        order_meant: None,
        candidates: Vec::new(),
        oversize: false,
        step: Told::default(),
        rma: tells_of_return(kind).then(|| Return {
            number: "KR-2611-4Q9TXC".to_owned(),
            track: Track::Doa,
            order_number: "KS10442".to_owned(),
            product,
            valid_until: Day::of(date(2026, 12, 7)),
            return_shipping: Payer::CustomerReimbursed,
            address: match kind {
                Kind::Rma => {
                    ["Example Returns", "1 Sample Street", "10115 Berlin", "Germany"].map(str::to_owned).to_vec()
                }
                _ => Vec::new(),
            },
        }),
        form: if kind == Kind::Rma { form() } else { Form::default() },
        safety: false,
        other_language: false,
    }
}

fn form() -> Form {
    Form {
        customer: Some("Maria Schmidt".to_owned()),
        email: "maria.schmidt@example.net".to_owned(),
        item_code: Some("6973014171018".to_owned()),
        received_on: Some(Day::of(date(2026, 11, 3))),
        problem: "the screen stays black while charging – since Monday".to_owned(),
        tried: "I restarted it twice".to_owned(),
        label: true,
    }
}

fn known(product: Product) -> Known {
    Known {
        any: true,
        order_number: Some("KS10442".to_owned()),
        product: Some(product),
        item_code: Some("6973014171018".to_owned()),
        received_on: Some(Day::of(date(2026, 11, 3))),
        received_unclear: false,
        problem: vec![
            Quote {
                parts: vec!["what", "how"],
                words: "the screen stays black while charging".to_owned(),
                unclear: false,
            },
            Quote { parts: vec!["when"], words: "since Monday".to_owned(), unclear: false },
        ],
        steps_taken: Some("I restarted it twice".to_owned()),
        steps_unclear: false,
        photos: 2,
        videos: 1,
        links: 1,
        packaging: true,
        unopened: Some(true),
    }
}

fn asks(language: &str, all: &mut Vec<Matter>) {
    let base = plain(Kind::Ask, language);
    all.push(base.clone());
    for round in 1..=3 {
        for request in [None, Some(Request::Defect), Some(Request::ReturnUnused)] {
            all.push(Matter { round, request, ..base.clone() });
        }
    }
    all.push(Matter { name: None, topic: String::new(), known: Known::default(), ..base.clone() });
    for item in ITEMS {
        let photo_item = Some(item).filter(|i| matches!(i, Item::Photo | Item::PackagingPhoto));
        all.push(Matter { ask: asked(&[item]), photo_item, ..base.clone() });
        all.push(Matter { ask: asked(&ITEMS), where_to_find: vec![item], not_available: vec![item], ..base.clone() });
    }
    for judgement in [Judgement::TooDark, Judgement::TooBright, Judgement::Blurred, Judgement::TooSmall] {
        for (names, count) in [(0, 1), (1, 1), (3, 3), (3, 5)] {
            let names = ["a.jpg", "b.jpg", "c.jpg"].into_iter().take(names).map(str::to_owned).collect();
            all.push(Matter { unusable: vec![Unusable { judgement, names, count }], ..base.clone() });
        }
    }
    let ask: Vec<Asked> = asked(&[Item::OrderNumber, Item::Sku]);
    let named = |name: &str, sku: &str| Product { name: name.to_owned(), sku: sku.to_owned() };
    let unsure = known(named("TANK T3 black", "KP-TKT3-BK"));
    let problem = unsure.problem.iter().map(|quote| Quote { unclear: true, ..quote.clone() }).collect();
    all.push(Matter {
        ask: ask.clone(),
        known: Known { problem, received_unclear: true, steps_unclear: true, ..unsure },
        order_not_found: Some("KS99999".to_owned()),
        order_meant: Some("KS99989".to_owned()),
        ..base.clone()
    });
    all.push(Matter {
        ask,
        order_not_found: Some("KS99999".to_owned()),
        candidates: vec![named("TANK T3 black", "KP-TKT3-BK"), named("", "KP-TKT3-SV")],
        oversize: true,
        ..base.clone()
    });
    all.extend(partly_known(&base));
}

const TRACKS: [Track; 3] = [Track::Doa, Track::UnopenedRefund, Track::Repair];

fn returns(language: &str, all: &mut Vec<Matter>) {
    let base = plain(Kind::Rma, language);
    for track in TRACKS {
        for return_shipping in PAYERS {
            let rma = base.rma.clone().map(|rma| Return { track, return_shipping, ..rma });
            all.push(Matter { rma, ..base.clone() });
        }
    }
    // The most that there can be to print, and the least.
    let long = "the screen stays black while charging, since Monday and whatever I do ".repeat(20);
    for track in [Track::Doa, Track::UnopenedRefund, Track::Repair] {
        let product = Product { name: long.clone(), ..base.rma.clone().map(|rma| rma.product).unwrap_or_default() };
        let rma = base.rma.clone().map(|rma| Return { track, product, ..rma });
        let form = Form { customer: Some(long.clone()), problem: long.clone(), tried: long.clone(), ..form() };
        all.push(Matter { rma, form, ..base.clone() });
    }
    // The most that there can be to print, and the least.
    let long = "the screen stays black while charging, since Monday and whatever I do ".repeat(7);
    for track in [Track::Doa, Track::UnopenedRefund, Track::Repair] {
        let product = Product { name: long.clone(), ..base.rma.clone().map(|rma| rma.product).unwrap_or_default() };
        let rma = base.rma.clone().map(|rma| Return { track, product, ..rma });
        let form = Form { customer: Some(long.clone()), problem: long.clone(), tried: long.clone(), ..form() };
        all.push(Matter { rma, form, ..base.clone() });
    }
    let elsewhere = |rma: Return| Return { address: Vec::new(), ..rma };
    all.push(Matter { rma: base.rma.clone().map(elsewhere), form: Form::default(), ..base.clone() });
    let unnamed = |rma: Return| Return { product: Product { name: String::new(), ..rma.product }, ..rma };
    all.push(Matter { name: None, topic: String::new(), rma: base.rma.clone().map(unnamed), ..base });
}

fn acknowledgements(language: &str, all: &mut Vec<Matter>) {
    let base = plain(Kind::Acknowledgement, language);
    all.push(base.clone());
    all.push(Matter { name: None, topic: String::new(), request: None, known: Known::default(), ..base.clone() });
    all.push(Matter { safety: true, ..base.clone() });
    all.push(Matter { other_language: true, oversize: true, ..base.clone() });
    all.extend(partly_known(&base));
}

/// Whether what staff write is printed in letters of this kind.
fn says_words(kind: Kind) -> bool {
    use Kind::*;
    matches!(kind, Inspected | Refunded | ShippedBack | Answer | Rejection | Offer | Route)
}

/// The letters of a running return, and those that staff send.
fn lives(language: &str, all: &mut Vec<Matter>) {
    let own = [Kind::Ask, Kind::Rma, Kind::Acknowledgement];
    for kind in Kind::ALL.into_iter().filter(|kind| !own.contains(kind)) {
        let base = plain(kind, language);
        let words =
            Told { message: Some("It can be done by Friday.\n\nIs that all right?".to_owned()), ..Told::default() };
        let until = Some(Day::of(date(2026, 12, 7)));
        let step = match kind {
            Kind::Answer | Kind::Rejection => words.clone(),
            _ => Told::default(),
        };
        let base = Matter { step, ..base };
        let full = Told {
            amount: Money::parse("12.50 EUR").as_ref().map(Sum::of),
            deducted: Money::parse("3.05 EUR").as_ref().map(Sum::of),
            tracking: Some("1Z999AA10123456784".to_owned()),
            channel: Some("Example Market".to_owned()),
            repaired: true,
            until,
            ..words
        };
        all.push(Matter { name: None, topic: String::new(), ..base.clone() });
        all.push(Matter { step: Told { replaced: true, repaired: false, ..full.clone() }, ..base.clone() });
        let findings = [
            Finding::Confirmed,
            Finding::NoFaultFound,
            Finding::NotDoa,
            Finding::NotRepairable,
            Finding::NotCovered,
            Finding::Opened,
        ];
        let tells = |track, finding, remedy| {
            let rma = base.rma.clone().map(|rma| Return { track, ..rma });
            let step = Told { finding, remedy, ..full.clone() };
            Matter { rma, step, ..base.clone() }
        };
        if tells_of_return(kind) {
            all.extend(TRACKS.map(|track| tells(track, None, None)));
        }
        if matches!(kind, Kind::Inspected | Kind::Receipt) {
            all.extend(findings.map(|finding| tells(Track::Repair, Some(finding), None)));
            let confirmed = Some(Finding::Confirmed);
            all.push(tells(Track::UnopenedRefund, confirmed, None));
            let remedies = [None, Some(Remedy::NewItem), Some(Remedy::Refund)];
            all.extend(remedies.map(|remedy| tells(Track::Doa, confirmed, remedy)));
            for return_shipping in PAYERS {
                let rma = base.rma.clone().map(|rma| Return { return_shipping, ..rma });
                all.extend([Finding::Confirmed, Finding::NotDoa].map(|finding| {
                    let step = Told { finding: Some(finding), ..full.clone() };
                    Matter { rma: rma.clone(), step, ..base.clone() }
                }));
            }
        }
        all.push(base);
    }
}

/// `base` with each single thing known.
fn partly_known(base: &Matter) -> Vec<Matter> {
    let full = &base.known;
    let mut partly = vec![
        Known { order_number: full.order_number.clone(), ..Known::default() },
        Known { product: full.product.clone(), ..Known::default() },
        Known { item_code: full.item_code.clone(), ..Known::default() },
        Known { steps_taken: Some(String::new()), ..Known::default() },
        Known {
            problem: vec![Quote { parts: vec!["what"], words: String::new(), unclear: false }],
            ..Known::default()
        },
        Known { photos: 1, ..Known::default() },
        Known { photos: 1, links: 2, ..Known::default() },
        Known { videos: 2, ..Known::default() },
        Known { links: 1, ..Known::default() },
        Known { packaging: true, ..Known::default() },
        Known { unopened: Some(false), ..Known::default() },
    ];
    partly.extend((1..=12).map(|month| {
        let received_on = Some(Day { day: 28, month, year: 2026 });
        Known { received_on, ..Known::default() }
    }));
    partly.into_iter().map(|known| Matter { known: Known { any: true, ..known }, ..base.clone() }).collect()
}
