//! What the templates of a letter see: plain values, cleaned, each only where the letter may print it.

use std::collections::BTreeSet;

use jiff::civil::Date;
use serde::Serialize;

use super::form::Form;
use super::known::{Known, said_by_customer};
use super::{Frame, Occasion, plain};
use crate::domain::case::{Case, Rma};
use crate::domain::catalogue::Catalogue;
use crate::domain::decision::Reason;
use crate::domain::facts::{Facts, Judgement, Photo, Request};
use crate::domain::ids::Sku;
use crate::domain::letter::Defect;
use crate::domain::policy::Payer;
use crate::domain::reply::Kind;
use crate::domain::returns::{Finding, Money, Remedy};
use crate::domain::warranty::{self, Item, Track};
use crate::pipeline::lexicon::Lexicons;

/// Everything the templates may name. A field that the kind of letter has no use for is empty.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Matter {
    #[serde(skip)]
    pub kind: Kind,
    pub language: String,
    pub brand: String,
    /// Who signs.
    pub desk: String,
    pub mail_megabytes: u64,
    pub case: String,
    /// The subject that is answered, without prefixes and tags; may be empty.
    pub topic: String,
    /// The customer's name, if it is one to greet a person by.
    pub name: Option<String>,
    pub request: Option<Request>,
    pub known: Known,
    /// Which letter that asks this is, from 1.
    pub round: u32,
    /// What is asked for, in order.
    pub ask: Vec<Asked>,
    /// What the customer asks us where to find.
    pub where_to_find: Vec<Item>,
    /// What the customer said can't be given.
    pub not_available: Vec<Item>,
    /// The asked item under which useless photos are explained; none if no picture is asked for.
    pub photo_item: Option<Item>,
    pub unusable: Vec<Unusable>,
    /// The order number that the shop doesn't know.
    pub order_not_found: Option<String>,
    /// The customer's own order whose number has one slip less.
    pub order_meant: Option<String>,
    /// The variants that what the customer named could mean.
    pub candidates: Vec<Product>,
    /// The letter that is answered was too large to be taken in whole.
    pub oversize: bool,
    pub rma: Option<Return>,
    /// What the form that goes with an RMA letter says besides.
    #[serde(skip)]
    pub form: Form,
    pub step: Told,
    /// Heat, smoke, fire, a swollen battery, a burn or an injury was reported.
    pub safety: bool,
    /// The customer writes a language that there are no letters in.
    pub other_language: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Product {
    /// Empty if the catalogue doesn't know it.
    pub name: String,
    pub sku: String,
}

/// A calendar day, for the templates to write in their language's way.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Day {
    pub day: i8,
    pub month: i8,
    pub year: i16,
}

/// An item to ask for. What, when and how of the problem are one item with `parts`, under the code `problem`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Asked {
    pub item: String,
    pub parts: Vec<&'static str>,
}

/// Photos that came but are of no use, and why.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Unusable {
    pub judgement: Judgement,
    pub names: Vec<String>,
    pub count: usize,
}

/// The return that an RMA letter authorises; the only place that holds the return address.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Return {
    pub number: String,
    pub track: Track,
    pub order_number: String,
    pub product: Product,
    pub valid_until: Day,
    pub return_shipping: Payer,
    pub address: Vec<String>,
}

/// What the letters of a running return tell.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Told {
    /// Until when there is time for an answer; only the last reminder says so.
    pub until: Option<Day>,
    pub finding: Option<Finding>,
    pub remedy: Option<Remedy>,
    pub repaired: bool,
    pub replaced: bool,
    pub amount: Option<Sum>,
    pub deducted: Option<Sum>,
    pub tracking: Option<String>,
    pub channel: Option<String>,
    /// Words of staff; may have several paragraphs.
    pub message: Option<String>,
}

/// An amount of money, for the templates to write in their language's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sum {
    pub units: i64,
    /// Two digits.
    pub cents: String,
    pub currency: String,
}

impl Sum {
    pub(super) fn of(money: &Money) -> Self {
        let Money { cents, currency } = money;
        Self { units: cents / 100, cents: format!("{:02}", cents % 100), currency: currency.clone() }
    }
}

/// Whether a letter of this kind is about a return, which the case has to have.
pub(super) fn tells_of_return(kind: Kind) -> bool {
    use Kind::*;
    matches!(kind, Rma | RmaReminder | RmaExtended | RmaExpired | Received | Inspected | Receipt)
}

impl Matter {
    /// Gathers what the letter of `occasion` may say.
    pub(super) fn of(
        occasion: &Occasion<'_>,
        frame: &Frame,
        catalogue: &Catalogue,
        lexicons: &Lexicons,
        no_names: &BTreeSet<String>,
        language: &str,
    ) -> Self {
        let Occasion { kind, case, decision, letter, .. } = *occasion;
        let subject = letter.map_or(case.subject.as_str(), |(letter, _)| letter.subject.as_str());
        let prefixes = lexicons.all.iter().flat_map(|l| l.mail.reply_prefixes.iter()).map(String::as_str);
        let is_asking = matches!(kind, Kind::Ask | Kind::Reminder);
        let asks = if is_asking { decision.ask.as_slice() } else { &[] };
        let is_stranger = decision.reasons.contains(&Reason::SenderMismatch);
        Self {
            kind,
            language: language.to_owned(),
            brand: frame.brand.clone(),
            desk: frame.from.name.clone().unwrap_or_else(|| frame.brand.clone()),
            mail_megabytes: frame.mail_megabytes,
            case: case.id.as_str().to_owned(),
            topic: plain::topic(subject, prefixes),
            name: case.customer.name.as_deref().and_then(|name| plain::human_name(name, no_names, &frame.brand)),
            request: case.request,
            known: match kind {
                Kind::Ask => Known::of(&case.facts, &decision.checklist.missing(), catalogue),
                Kind::Acknowledgement if !is_stranger => {
                    let known = Known::of(&said_by_customer(&case.facts), &[], catalogue);
                    // Everything that arrived, of use or not: nobody is to think a photo got lost.
                    let photos = case.facts.photos.len();
                    Known { photos, any: known.any || photos > 0, ..known }
                }
                _ => Known::default(),
            },
            round: case.asks + 1,
            ask: asked(asks),
            where_to_find: if kind == Kind::Ask { case.facts.where_to_find.clone() } else { Vec::new() },
            not_available: match kind {
                Kind::Ask => case.facts.not_available.iter().map(|fact| fact.value).collect(),
                _ => Vec::new(),
            },
            photo_item: asks.iter().copied().find(|item| matches!(item, Item::Photo | Item::PackagingPhoto)),
            unusable: unusable(asks, case, letter.map(|(_, said)| said)),
            order_not_found: case
                .order_not_found
                .as_ref()
                .filter(|_| asks.contains(&Item::OrderNumber))
                .map(|number| number.as_str().to_owned()),
            order_meant: case
                .order_meant
                .as_ref()
                .filter(|_| asks.contains(&Item::OrderNumber))
                .map(|number| number.as_str().to_owned()),
            candidates: match asks.contains(&Item::Sku) {
                true => case.facts.sku_candidates.iter().take(10).map(|f| Product::of(&f.value, catalogue)).collect(),
                false => Vec::new(),
            },
            oversize: letter.is_some_and(|(letter, _)| letter.defects.contains(&Defect::Oversize)),
            rma: case.rma.as_ref().map(|rma| {
                let address = match kind {
                    Kind::Rma => frame.return_address_for(case.country.as_ref()).to_vec(),
                    _ => Vec::new(),
                };
                Return::of(rma, address, catalogue)
            }),
            form: if kind == Kind::Rma { Form::of(case, frame) } else { Form::default() },
            step: Told::of(occasion),
            safety: decision.reasons.contains(&Reason::Safety) || case.facts.safety.is_some(),
            other_language: case.language.as_deref().is_some_and(|written| written != language),
        }
    }
}

impl Told {
    fn of(occasion: &Occasion<'_>) -> Self {
        let (case, step) = (occasion.case, occasion.step);
        Self {
            until: step.until.map(Day::of),
            finding: case.finding,
            remedy: case.remedy,
            repaired: step.repaired,
            replaced: step.replaced,
            amount: match occasion.kind {
                Kind::Receipt => case.outlays.last().and_then(|outlay| outlay.amount.as_ref()).map(Sum::of),
                _ => step.amount.as_ref().map(Sum::of),
            },
            deducted: step.deducted.as_ref().map(Sum::of),
            tracking: step.tracking.as_deref().map(|number| plain::line(number, 60)),
            channel: step.channel.as_deref().map(|name| plain::line(name, 60)),
            message: step.message.as_deref().map(plain::paragraphs),
        }
    }
}

impl Product {
    pub(super) fn of(sku: &Sku, catalogue: &Catalogue) -> Self {
        let name = catalogue.by_sku(sku).map(|product| product.name.clone()).unwrap_or_default();
        Self { name, sku: sku.as_str().to_owned() }
    }
}

impl Day {
    pub(super) fn of(date: Date) -> Self {
        Self { day: date.day(), month: date.month(), year: date.year() }
    }
}

impl Return {
    fn of(rma: &Rma, address: Vec<String>, catalogue: &Catalogue) -> Self {
        Self {
            number: rma.number.as_str().to_owned(),
            track: rma.track,
            order_number: rma.order_number.as_str().to_owned(),
            product: Product::of(&rma.sku, catalogue),
            valid_until: Day::of(rma.valid_until),
            return_shipping: rma.payer(),
            address,
        }
    }
}

/// The items by their codes, the parts of the problem joined into one at the place of the first.
pub(super) fn asked(items: &[Item]) -> Vec<Asked> {
    let part = |item: &Item| match item {
        Item::ProblemWhat => Some("what"),
        Item::ProblemWhen => Some("when"),
        Item::ProblemHow => Some("how"),
        _ => None,
    };
    let question = |items: &Vec<Item>| {
        let parts: Vec<&'static str> = items.iter().filter_map(part).collect();
        let item = if parts.is_empty() { items.first()?.code() } else { "problem".to_owned() };
        Some(Asked { item, parts })
    };
    warranty::questions(items).iter().filter_map(question).collect()
}

/// The useless photos of the letter that is answered, else of the whole case, by what is wrong with them.
fn unusable(asks: &[Item], case: &Case, said: Option<&Facts>) -> Vec<Unusable> {
    if !asks.iter().any(|item| matches!(item, Item::Photo | Item::PackagingPhoto)) {
        return Vec::new();
    }
    let useless = |facts: &Facts| -> Vec<Photo> {
        facts.photos.iter().filter(|photo| !photo.judgement.is_usable()).cloned().collect()
    };
    let mut photos = said.map(useless).unwrap_or_default();
    if photos.is_empty() {
        photos = useless(&case.facts);
    }
    let mut groups: Vec<Unusable> = Vec::new();
    for photo in &photos {
        if groups.iter().all(|group| group.judgement != photo.judgement) {
            let alike = || photos.iter().filter(|other| other.judgement == photo.judgement);
            let names = alike().map(|other| plain::line(&other.name, 40)).filter(|name| !name.is_empty()).take(3);
            groups.push(Unusable { judgement: photo.judgement, names: names.collect(), count: alike().count() });
        }
    }
    groups
}
