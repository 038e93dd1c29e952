//! The item code on the outer packaging: an EAN of the catalogue or with a valid check digit, or whatever stands
//! behind its label. A barcode read from a photo counts like a typed code.

use regex::Regex;

use crate::domain::catalogue::Catalogue;
use crate::domain::facts::{Evidence, Fact, Photo, Source};
use crate::domain::ids::{ItemCode, LetterId, Sku};
use crate::pipeline::extract::zone::Zone;
use crate::pipeline::fold::Span;
use crate::pipeline::phrases::Group;

/// The forms of item codes, compiled.
#[derive(Debug)]
pub struct ItemCodes {
    digits: Regex,
    labelled: Regex,
}

impl ItemCodes {
    pub fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            digits: Regex::new(r"(?:^|[^\w+.,-])([0-9](?:[ \u{a0}-]?[0-9]){11,13})(?:\b|$)")?,
            labelled: Regex::new(r"(?i)(?:^|[^\w+.,-])([A-Z]{0,5}[-]?[0-9][A-Z0-9]*(?:-[A-Z0-9]+){0,4})(?:\b|$)")?,
        })
    }

    /// The best candidate of a zone.
    pub fn find(&self, zone: &Zone<'_>, catalogue: &Catalogue) -> Option<Fact<ItemCode>> {
        let mut valid = None;
        for (text, span) in found(&self.digits, zone.text) {
            let Ok(code) = ItemCode::new(&text.replace('-', "")) else { continue };
            if catalogue.by_ean(&code).is_some() {
                return Some(Fact { value: code, evidence: zone.evidence_at(span, "item_code.catalogue") });
            }
            let label = zone.label_of(zone.folded_place(span));
            if valid.is_none()
                && is_ean(code.as_str())
                && !matches!(label, Some(Group::LabelOrderNumber | Group::LabelOther))
            {
                valid = Some(Fact { value: code, evidence: zone.evidence_at(span, "item_code.ean") });
            }
        }
        valid.or_else(|| self.labelled(zone, catalogue))
    }

    /// The code that answers our question for it: the one code of a zone that says little else.
    pub fn answered(&self, zone: &Zone<'_>, catalogue: &Catalogue) -> Option<Fact<ItemCode>> {
        let is_sku = |text: &str| Sku::new(text).is_ok_and(|sku| catalogue.by_sku(&sku).is_some());
        let mut bare = found(&self.labelled, zone.text).filter(|(text, _)| {
            text.len() >= 5 && text.bytes().filter(u8::is_ascii_digit).count() >= 3 && !is_sku(text) && !is_date(text)
        });
        self.find(zone, catalogue).or_else(|| {
            let (text, span) = bare.next()?;
            let label = zone.label_of(zone.folded_place(span));
            let other = matches!(label, Some(Group::LabelOther | Group::LabelOrderNumber | Group::LabelSku));
            let value = ItemCode::new(text).ok().filter(|_| !other && bare.next().is_none())?;
            Some(Fact { value, evidence: zone.evidence_at(span, "item_code.answered") })
        })
    }

    fn labelled(&self, zone: &Zone<'_>, catalogue: &Catalogue) -> Option<Fact<ItemCode>> {
        found(&self.labelled, zone.text).find_map(|(text, span)| {
            let place = zone.folded_place(span);
            let is_sku = Sku::new(text).is_ok_and(|sku| catalogue.by_sku(&sku).is_some());
            let long_enough = text.len() >= 6 && text.bytes().filter(u8::is_ascii_digit).count() >= 4;
            let labelled = zone.label_of(place) == Some(Group::LabelItemCode)
                && zone.hits.iter().any(|h| {
                    h.group == Group::LabelItemCode && h.span.end <= place.start && place.start - h.span.end <= 20
                });
            let value = ItemCode::new(text).ok().filter(|_| labelled && long_enough && !is_sku && !is_date(text))?;
            Some(Fact { value, evidence: zone.evidence_at(span, "item_code.labelled") })
        })
    }

    /// The item code that a barcode of the photos says: one of the catalogue, else any EAN.
    pub fn on_photos(&self, photos: &[Photo], letter: &LetterId, catalogue: &Catalogue) -> Option<Fact<ItemCode>> {
        let codes = photos.iter().filter(|p| p.judgement.is_usable()).flat_map(|p| p.codes.iter().map(move |c| (p, c)));
        let mut eans: Vec<Fact<ItemCode>> = codes
            .filter(|(_, code)| is_ean(code))
            .filter_map(|(photo, code)| {
                let evidence = Evidence::new(
                    Some(letter.clone()),
                    Source::Attachment { index: photo.index },
                    &photo.name,
                    "item_code.barcode",
                );
                Some(Fact { value: ItemCode::new(code).ok()?, evidence })
            })
            .collect();
        let known = eans.iter().position(|f| catalogue.by_ean(&f.value).is_some()).unwrap_or(0);
        (known < eans.len()).then(|| eans.swap_remove(known))
    }
}

fn found<'t>(regex: &Regex, text: &'t str) -> impl Iterator<Item = (&'t str, Span)> {
    regex.captures_iter(text).filter_map(|c| c.get(1)).map(|m| (m.as_str(), Span { start: m.start(), end: m.end() }))
}

/// Whether `text` is 8, 12 or 13 digits with a valid check digit (GS1 General Specifications, section 7.9).
pub fn is_ean(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    let whole = digits.len() == text.len() && matches!(digits.len(), 8 | 12 | 13);
    let sum: u32 = digits.iter().rev().enumerate().map(|(n, d)| if n % 2 == 0 { *d } else { d * 3 }).sum();
    whole && sum.is_multiple_of(10)
}

fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == 3 && parts.iter().all(|p| p.len() <= 4 && p.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ean_check_digits() {
        assert!(is_ean("6973014171018"));
        assert!(!is_ean("6973014171019"));
        assert!(!is_ean("697301417101"));
        assert!(!is_ean("69730141710a8"));
    }
}
