//! What a letter says is known already.

use serde::Serialize;

use super::matter::{Day, Product};
use super::plain;
use crate::domain::catalogue::Catalogue;
use crate::domain::facts::{Evidence, Facts};
use crate::domain::warranty::Item;

/// The longest quote of a customer's own words, in characters.
const QUOTE: usize = 120;

/// What we understood, so that the customer can correct it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Known {
    /// Whether there is anything at all.
    pub any: bool,
    pub order_number: Option<String>,
    pub product: Option<Product>,
    pub item_code: Option<String>,
    pub received_on: Option<Day>,
    pub received_unclear: bool,
    pub problem: Vec<Quote>,
    /// The words that say what was tried; may be empty.
    pub steps_taken: Option<String>,
    pub steps_unclear: bool,
    pub photos: usize,
    pub videos: usize,
    pub links: usize,
    pub packaging: bool,
    pub unopened: Option<bool>,
}

/// The customer's own words and which of `what`, `when`, `how` they say.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Quote {
    pub parts: Vec<&'static str>,
    pub words: String,
    /// None of it was read surely.
    pub unclear: bool,
}

impl Known {
    /// What of `facts` is there and not in `missing`.
    pub(super) fn of(facts: &Facts, missing: &[Item], catalogue: &Catalogue) -> Self {
        let given = |item: Item| !missing.contains(&item);
        let parts = [
            ("what", Item::ProblemWhat, &facts.problem_what),
            ("when", Item::ProblemWhen, &facts.problem_when),
            ("how", Item::ProblemHow, &facts.problem_how),
        ];
        let parts = parts.into_iter().filter(|(_, item, _)| given(*item));
        let mut known = Self {
            any: false,
            order_number: facts
                .order_number
                .as_ref()
                .filter(|_| given(Item::OrderNumber))
                .map(|f| f.value.as_str().to_owned()),
            product: facts.sku.as_ref().filter(|_| given(Item::Sku)).map(|f| Product::of(&f.value, catalogue)),
            item_code: facts.item_code.as_ref().filter(|_| given(Item::ItemCode)).map(|f| f.value.as_str().to_owned()),
            received_on: facts.received_on.as_ref().filter(|_| given(Item::ReceivedOn)).map(|f| Day::of(f.value)),
            received_unclear: facts.received_on.as_ref().is_some_and(|f| f.evidence.unclear),
            problem: quotes(parts.filter_map(|(part, _, evidence)| Some((part, evidence.as_ref()?))), QUOTE),
            steps_taken: facts
                .steps_taken
                .as_ref()
                .filter(|_| given(Item::StepsTaken))
                .map(|evidence| plain::line(&evidence.quote, QUOTE)),
            steps_unclear: facts.steps_taken.as_ref().is_some_and(|evidence| evidence.unclear),
            photos: facts.usable_photos(),
            videos: facts.videos.len(),
            links: facts.links.len(),
            packaging: facts.packaging_shown.is_some() && given(Item::PackagingPhoto),
            unopened: facts.unopened.as_ref().filter(|_| given(Item::Unopened)).map(|f| f.value),
        };
        known.any = known.order_number.is_some()
            || known.product.is_some()
            || known.item_code.is_some()
            || known.received_on.is_some()
            || !known.problem.is_empty()
            || known.steps_taken.is_some()
            || known.photos + known.videos + known.links > 0
            || known.packaging
            || known.unopened.is_some();
        known
    }
}

/// Without what the order feed and the catalogue filled in: an acknowledgement tells nobody more than they told us.
pub(super) fn said_by_customer(facts: &Facts) -> Facts {
    let mut said = facts.clone();
    let is_said = |evidence: &Evidence| evidence.letter.is_some();
    said.order_number = said.order_number.filter(|fact| is_said(&fact.evidence));
    said.sku = said.sku.filter(|fact| is_said(&fact.evidence));
    said.item_code = said.item_code.filter(|fact| is_said(&fact.evidence));
    said.received_on = said.received_on.filter(|fact| is_said(&fact.evidence));
    said
}

/// Quotes of at most `longest` characters; those that stand inside another are joined to it.
pub(super) fn quotes<'a>(evidence: impl Iterator<Item = (&'static str, &'a Evidence)>, longest: usize) -> Vec<Quote> {
    let mut list: Vec<Quote> = Vec::new();
    for (part, evidence) in evidence {
        let words = plain::line(&evidence.quote, longest);
        match list.iter_mut().find(|quote| quote.words.contains(&words) || words.contains(&quote.words)) {
            Some(quote) => {
                quote.parts.push(part);
                quote.unclear &= evidence.unclear;
                if words.len() > quote.words.len() {
                    quote.words = words;
                }
            }
            None => list.push(Quote { parts: vec![part], words, unclear: evidence.unclear }),
        }
    }
    list
}
