//! Order numbers: the shop's own pattern, Amazon's 3-7-7, AliExpress' long digits beside an order word, and whatever
//! stands behind a label. Never a phone, tracking, customer or transaction number, a price, a date or an EAN.

use regex::{Regex, RegexBuilder};

use crate::domain::catalogue::Catalogue;
use crate::domain::facts::Fact;
use crate::domain::ids::{ItemCode, OrderNumber};
use crate::pipeline::extract::item_code::is_ean;
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::Group;

/// Shops whose name says that the long number is an order's. Names, not words of a language.
const LONG_NUMBER_SHOPS: &[&str] = &[" aliexpress ", " ali express ", " ali "];

/// The forms of order numbers, compiled.
#[derive(Debug)]
pub struct OrderNumbers {
    own: Vec<Regex>,
    /// The forms of other channels, as the configuration gives them.
    channels: Vec<Regex>,
    amazon: Regex,
    /// Amazon's digits with blanks, stops or nothing between them: only beside an order word.
    amazon_loose: Regex,
    long: Regex,
    /// AliExpress' sixteen digits in whatever groups: only where the shop or an order word is named.
    grouped: Regex,
    labelled: Regex,
}

impl OrderNumbers {
    /// `patterns` are the shop's own forms as regular expressions; a blank or hyphen may stand where letters meet digits.
    pub fn new(patterns: &[String]) -> Result<Self, regex::Error> {
        // "No.KS20001": a stop before letters is no decimal point.
        let own = |p: &String| {
            let lettered = p.starts_with(|c: char| c.is_ascii_alphabetic());
            let before = if lettered { r"[^\w-]" } else { r"[^\w.,-]" };
            bounded_by(before, &loosened(p))
        };
        let own = patterns.iter().map(own).collect::<Result<_, _>>()?;
        Ok(Self {
            own,
            channels: Vec::new(),
            amazon: bounded(r"[0-9]{3} ?[-–] ?[0-9]{7} ?[-–] ?[0-9]{7}")?,
            amazon_loose: bounded(r"[0-9]{3}[ .\u{a0}–—‐-]{0,3}[0-9]{7}[ .\u{a0}–—‐-]{0,3}[0-9]{7}")?,
            long: bounded(r"[0-9]{13,20}|[0-9]{4}(?:[ -][0-9]{4}){3}")?,
            grouped: bounded(r"[0-9]{2,10}(?:[ .\u{a0}/–-]{1,2}[0-9]{2,10}){1,7}")?,
            labelled: bounded(r"[A-Z]{0,6}[-_]?[0-9][A-Z0-9]*(?:[-_/][A-Z0-9]+){0,4}")?,
        })
    }

    /// Adds the forms of other channels, kept as they are printed.
    pub fn know_channels<'a>(&mut self, patterns: impl Iterator<Item = &'a str>) -> Result<(), regex::Error> {
        self.channels = patterns.map(|pattern| bounded(&format!("(?:{pattern})"))).collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The best candidate of a zone.
    pub fn find(&self, zone: &Zone<'_>, catalogue: &Catalogue) -> Option<Fact<OrderNumber>> {
        let own = self.own.iter().flat_map(|r| candidates(r, zone)).filter_map(|c| c.fact(zone, "order_number.own"));
        if let Some(found) = self.certain(zone, own) {
            return Some(found);
        }
        // Digits alone could be anything: they need an order word, as below.
        let is_formed = |c: &Candidate<'_>| c.text.bytes().any(|b| !b.is_ascii_digit()) && !is_of_another(zone, c.span);
        let channels = self.channels.iter().flat_map(|r| candidates(r, zone)).filter(is_formed);
        if let Some(found) = self.certain(zone, channels.filter_map(|c| c.fact(zone, "order_number.channel"))) {
            return Some(found);
        }
        let amazon = candidates(&self.amazon, zone).filter_map(|c| c.fact(zone, "order_number.amazon"));
        if let Some(found) = self.certain(zone, amazon) {
            return Some(found);
        }
        let loose = candidates(&self.amazon_loose, zone).find_map(|c| {
            c.fact(zone, "order_number.amazon").filter(|(label, ..)| *label == Some(Group::LabelOrderNumber))
        });
        if let Some((_, _, fact)) = loose {
            return Some(fact);
        }
        let is_ours = is_item_code(catalogue);
        let sixteen = |c: &Candidate<'_>| c.text.bytes().filter(u8::is_ascii_digit).count() == 16;
        let grouped = candidates(&self.grouped, zone).filter(sixteen);
        let names_shop = LONG_NUMBER_SHOPS.iter().any(|shop| zone.folded.text.contains(shop));
        let long = candidates(&self.long, zone).chain(grouped).filter(|c| !is_ours(c.text)).find_map(|c| {
            c.fact(zone, "order_number.long").filter(|(label, ..)| {
                *label == Some(Group::LabelOrderNumber) || names_shop && sixteen(&c) && !is_of_another(zone, c.span)
            })
        });
        if let Some((_, _, fact)) = long {
            return Some(fact);
        }
        candidates(&self.labelled, zone)
            .filter(|c| is_code(c.text) && !is_ours(c.text) && follows_label(zone, c.span))
            .find_map(|c| c.fact(zone, "order_number.labelled"))
            .map(|(_, _, fact)| fact)
    }

    /// The number that answers our question for it: the one code of a zone that says little else.
    pub fn answered(&self, zone: &Zone<'_>, catalogue: &Catalogue) -> Option<Fact<OrderNumber>> {
        let is_ours = is_item_code(catalogue);
        let loose = || candidates(&self.amazon_loose, zone).map(|c| (c, "order_number.amazon"));
        let other = candidates(&self.long, zone).map(|c| (c, "order_number.long"));
        let labelled = candidates(&self.labelled, zone).map(|c| (c, "order_number.answered"));
        let mut bare = loose()
            .chain(other)
            .chain(labelled)
            .filter(|(c, _)| is_code(c.text) && !is_ours(c.text) && !(c.text.len() > 8 && is_ean(c.text)));
        self.find(zone, catalogue).or_else(|| {
            let (found, rule) = bare.next()?;
            // Two codes: which of them is it?
            let alone = bare.all(|(c, _)| found.span.start <= c.span.start && c.span.end <= found.span.end);
            let (label, _, fact) = found.fact(zone, rule)?;
            (alone && !matches!(label, Some(Group::LabelOther | Group::LabelItemCode | Group::LabelSku)))
                .then_some(fact)
        })
    }

    /// Among numbers of a certain form the one that is not denied ("not KS1 but KS2"), rather one behind a label.
    fn certain(
        &self,
        zone: &Zone<'_>,
        found: impl Iterator<Item = (Option<Group>, usize, Fact<OrderNumber>)>,
    ) -> Option<Fact<OrderNumber>> {
        let denied = |at: usize| {
            let place = zone.folded_place(Span { start: at, end: at + 1 });
            let before = zone.folded.text.get(..place.start).unwrap_or_default().split_whitespace().next_back();
            before.is_some_and(|word| zone.lexicons.iter().any(|l| l.answers.not.iter().any(|not| not == word)))
                || zone.sentence_at(place.start).is_some_and(|s| zone.is_denied(zone.clause_of(s, place), place, 1))
        };
        found
            .min_by_key(|(label, place, _)| (denied(*place), *label != Some(Group::LabelOrderNumber), *place))
            .map(|(_, _, fact)| fact)
    }
}

struct Candidate<'a> {
    text: &'a str,
    span: Span,
}

impl Candidate<'_> {
    fn fact(&self, zone: &Zone<'_>, rule: &str) -> Option<(Option<Group>, usize, Fact<OrderNumber>)> {
        let digits = || self.text.chars().filter(char::is_ascii_digit).collect::<String>();
        let spelled = match rule {
            "order_number.own" => self.text.replace(['-', '–', '#'], ""),
            "order_number.amazon" => amazon(&digits())?,
            "order_number.long" => digits(),
            _ => self.text.replace('–', "-"),
        };
        let value = OrderNumber::new(&spelled).ok()?;
        let place = zone.folded_place(self.span);
        let label = if rule == "order_number.own" { zone.label_before(place) } else { zone.label_of(place) };
        Some((label, self.span.start, Fact { value, evidence: zone.evidence_at(self.span, rule) }))
    }
}

fn candidates<'a>(regex: &'a Regex, zone: &'a Zone<'_>) -> impl Iterator<Item = Candidate<'a>> {
    regex.captures_iter(zone.text).filter_map(|c| {
        let found = c.get(1)?;
        Some(Candidate { text: found.as_str(), span: Span { start: found.start(), end: found.end() } })
    })
}

/// Amazon's way to print its 17 digits.
fn amazon(digits: &str) -> Option<String> {
    Some(format!("{}-{}-{}", digits.get(..3)?, digits.get(3..10)?, digits.get(10..)?))
}

fn is_item_code(catalogue: &Catalogue) -> impl Fn(&str) -> bool {
    |text| ItemCode::new(text).is_ok_and(|code| catalogue.by_ean(&code).is_some())
}

/// Four characters or more with a digit, that are neither a date, a price, a clock time nor a bare small number.
fn is_code(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let date = text.split(['-', '/']).count() == 3
        && text.split(['-', '/']).all(|p| p.len() <= 4 && p.bytes().all(|b| b.is_ascii_digit()));
    text.len() >= 5 && text.len() <= 32 && digits >= 3 && !date
}

/// Whether the label of an order number stands right before `span`, with at most a few small words in between.
fn follows_label(zone: &Zone<'_>, span: Span) -> bool {
    let place = zone.folded_place(span);
    zone.hits.iter().any(|h| {
        let between = Span { start: h.span.end, end: place.start };
        h.group == Group::LabelOrderNumber
            && h.span.end <= place.start
            && zone.sentence_at(h.span.start) == zone.sentence_at(place.start)
            && zone.folded.slice(between).split(' ').filter(|w| w.len() > 1).count() <= 2
            && zone.label_of(place) == Some(Group::LabelOrderNumber)
    })
}

/// Lets a blank, a hyphen or a `#` stand between the letters and the digits of the shop's own pattern.
fn loosened(pattern: &str) -> String {
    match pattern.find(r"\d").or_else(|| pattern.find("[0-9]")) {
        Some(at) if at > 0 => {
            let (letters, digits) = pattern.split_at(at);
            format!("{letters}[ \u{a0}#-]?{digits}")
        }
        _ => pattern.to_owned(),
    }
}

/// Whether a label says that the number is no order's.
fn is_of_another(zone: &Zone<'_>, number: Span) -> bool {
    let label = zone.label_before(zone.folded_place(number));
    matches!(label, Some(Group::LabelOther | Group::LabelItemCode | Group::LabelSku))
}

/// The pattern in either case, with no letter or digit right before or behind it; group 1 is the number.
fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    bounded_by(r"[^\w.,-]", pattern)
}

fn bounded_by(before: &str, pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!(r"(?:^|{before})({pattern})(?:\b|$)")).case_insensitive(true).size_limit(1 << 20).build()
}
