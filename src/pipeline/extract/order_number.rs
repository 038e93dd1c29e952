//! Order numbers: the shop's own pattern, Amazon's 3-7-7, AliExpress' long digits beside an order word, and whatever
//! stands behind a label. Never a phone, tracking, customer or transaction number, a price, a date or an EAN.

use regex::{Regex, RegexBuilder};

use crate::domain::catalogue::Catalogue;
use crate::domain::facts::Fact;
use crate::domain::ids::{ItemCode, OrderNumber};
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::Group;

/// The forms of order numbers, compiled.
#[derive(Debug)]
pub struct OrderNumbers {
    own: Vec<Regex>,
    amazon: Regex,
    long: Regex,
    labelled: Regex,
}

impl OrderNumbers {
    /// `patterns` are the shop's own forms as regular expressions; a blank or hyphen may stand where letters meet digits.
    pub fn new(patterns: &[String]) -> Result<Self, regex::Error> {
        let own = patterns.iter().map(|p| bounded(&loosened(p))).collect::<Result<_, _>>()?;
        Ok(Self {
            own,
            amazon: bounded(r"\d{3} ?[-–] ?\d{7} ?[-–] ?\d{7}")?,
            long: bounded(r"\d{13,20}|\d{4}(?: \d{4}){3}")?,
            labelled: bounded(r"[A-Z]{0,6}[-_]?\d[A-Z0-9]*(?:[-_/][A-Z0-9]+){0,4}")?,
        })
    }

    /// The best candidate of a zone.
    pub fn find(&self, zone: &Zone<'_>, catalogue: &Catalogue) -> Option<Fact<OrderNumber>> {
        let own = self.own.iter().flat_map(|r| candidates(r, zone));
        let best_own = own
            .filter_map(|c| c.fact(zone, "order_number.own"))
            .min_by_key(|(label, place, _)| (*label != Some(Group::LabelOrderNumber), *place));
        if let Some((_, _, fact)) = best_own {
            return Some(fact);
        }
        let amazon = candidates(&self.amazon, zone).find_map(|c| c.fact(zone, "order_number.amazon"));
        if let Some((_, _, fact)) = amazon {
            return Some(fact);
        }
        let is_ours = |text: &str| ItemCode::new(text).is_ok_and(|code| catalogue.by_ean(&code).is_some());
        let long = candidates(&self.long, zone).filter(|c| !is_ours(c.text)).find_map(|c| {
            c.fact(zone, "order_number.long").filter(|(label, ..)| *label == Some(Group::LabelOrderNumber))
        });
        if let Some((_, _, fact)) = long {
            return Some(fact);
        }
        candidates(&self.labelled, zone)
            .filter(|c| is_code(c.text) && !is_ours(c.text) && follows_label(zone, c.span))
            .find_map(|c| c.fact(zone, "order_number.labelled"))
            .map(|(_, _, fact)| fact)
    }

    /// Whether `text` has the shop's own form.
    pub fn is_own(&self, text: &str) -> bool {
        self.own.iter().any(|r| r.find(text).is_some_and(|m| m.len() == text.len()))
    }
}

struct Candidate<'a> {
    text: &'a str,
    span: Span,
}

impl Candidate<'_> {
    fn fact(&self, zone: &Zone<'_>, rule: &str) -> Option<(Option<Group>, usize, Fact<OrderNumber>)> {
        let spelled: String = self.text.chars().map(|c| if c == '–' { '-' } else { c }).collect();
        let spelled = if rule == "order_number.own" { spelled.replace(['-', '#'], "") } else { spelled };
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

/// The pattern in either case, with no letter or digit right before or behind it; group 1 is the number.
fn bounded(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!(r"(?:^|[^\w.,-])({pattern})(?:\b|$)")).case_insensitive(true).size_limit(1 << 20).build()
}
