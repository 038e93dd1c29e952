//! A receipt of return shipping: clause `doa.return_cost`. What it cost is taken from the letter's words, if they name
//! one amount; what stands in a PDF or on a photo, people read.

use regex::Regex;

use crate::domain::facts::Request;
use crate::domain::letter::{FileKind, Letter};
use crate::domain::returns::{Money, Outlay};

/// Finds amounts of money.
#[derive(Debug)]
pub struct Amounts(Regex);

/// The signs that stand for one currency where our letters go.
const SIGNS: [(&str, &str); 8] = [
    ("€", "EUR"),
    ("£", "GBP"),
    ("zł", "PLN"),
    ("zl", "PLN"),
    ("r$", "BRL"),
    ("us$", "USD"),
    ("$", "USD"),
    ("euro", "EUR"),
];

impl Amounts {
    pub fn new() -> Result<Self, regex::Error> {
        let unit = r"€|£|zł|zl|R\$|US\$|\$|euros?|EUR|GBP|USD|PLN|BRL|CHF|SEK|DKK|NOK|CZK";
        let number = r"[0-9]{1,6}(?:[.,][0-9]{3})*(?:[.,][0-9]{2})?";
        let pattern = format!(r"(?i)(?:({unit})\s?({number})|\b({number})\s?({unit}))(?:\b|\s|$|[.,;:!?)])");
        Ok(Self(Regex::new(&pattern)?))
    }

    /// What a letter that wants return shipping paid back proves, and by which file.
    pub fn outlay(&self, letter: &Letter, words: &str, request: Option<Request>) -> Option<Outlay> {
        if request != Some(Request::ShippingReimbursement) {
            return None;
        }
        let is_proof = |kind| matches!(kind, FileKind::Pdf | FileKind::Picture | FileKind::HeicPicture);
        let files = letter.files();
        let file = files.iter().find(|file| is_proof(file.kind))?;
        Some(Outlay { amount: self.amount(words), file: file.name.clone() })
    }

    /// The one amount that a text names; of several nobody can say which it is.
    fn amount(&self, text: &str) -> Option<Money> {
        let mut amounts = self.0.captures_iter(text).filter_map(|found| {
            let (unit, number) = (found.get(1).or(found.get(4))?, found.get(2).or(found.get(3))?);
            let unit = unit.as_str().to_lowercase();
            let unit = unit.strip_suffix('s').filter(|u| *u == "euro").unwrap_or(&unit);
            let sign = SIGNS.iter().find(|(sign, _)| *sign == unit).map_or(unit, |(_, code)| code);
            Money::parse(&format!("{} {sign}", number.as_str()))
        });
        let first = amounts.next()?;
        amounts.all(|other| other == first).then_some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_amount_is_read_in_every_spelling() {
        let amounts = Amounts::new().unwrap();
        let read = |text: &str| amounts.amount(text).map(|m| m.to_string());
        for (text, expected) in [
            ("Das Porto betrug 12,50 €.", Some("12.50 EUR")),
            ("I paid £9.99 at the counter", Some("9.99 GBP")),
            ("J'ai payé 14,20 euros, oui 14,20 €", Some("14.20 EUR")),
            ("Zapłaciłem 35,00 zł za przesyłkę", Some("35.00 PLN")),
            ("paguei R$ 48,90 nos correios", Some("48.90 BRL")),
            ("It cost EUR 7", Some("7.00 EUR")),
            ("Het kostte € 6,95, verzekering 2,00 €", None),
            ("order 12 50 euphoria", None),
        ] {
            assert_eq!(read(text).as_deref(), expected, "{text}");
        }
    }
}
