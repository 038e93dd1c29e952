//! What becomes of a returned item: how it arrived, what the inspection found, what the customer gets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::ids::Country;

/// How a parcel arrived; clause `rma.breach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arrival {
    /// The item that the RMA names.
    AsAuthorised,
    /// Nobody had authorised it.
    Unauthorised,
    WrongItem,
    Empty,
}

/// What the inspection found; clauses `inspection`, `doa.outcome`, `doa.not_confirmed`, `repair.confirm`,
/// `repair.alternative`, `unopened.condition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// As claimed: the fault is there; of a refund, the item is unopened and unused.
    Confirmed,
    NoFaultFound,
    /// There is a fault, but it was not there on arrival.
    NotDoa,
    NotRepairable,
    /// Opened, modified, misused: the warranty does not cover it.
    NotCovered,
    /// Sent back for a refund, but opened or used.
    Opened,
}

/// What the customer gets; clause `doa.outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    NewItem,
    Refund,
}

/// How an item goes back; clause `repair.flat_rate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    #[default]
    FlatRate,
    /// A faster way, at the customer's cost.
    Faster,
}

/// Where the parcels of some countries go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub countries: Vec<Country>,
    /// The lines of the address.
    pub lines: Vec<String>,
}

/// What the customer paid to send the item, as far as the receipt says so in its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outlay {
    pub amount: Option<Money>,
    /// The file that shows it.
    pub file: String,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// In hundredths of the currency's unit.
    pub cents: i64,
    /// ISO 4217, three letters.
    pub currency: String,
}

impl Money {
    /// Reads `12.50 EUR`, `EUR 12,50`, `12 eur`; nothing negative.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_word = |c: char| c.is_ascii_alphabetic();
        let currency: String = text.chars().filter(|c| is_word(*c)).collect::<String>().to_ascii_uppercase();
        let number: String = text.chars().filter(|c| !is_word(*c) && !c.is_whitespace()).collect();
        if currency.len() != 3 || number.is_empty() {
            return None;
        }
        let (units, hundredths) = match number.rfind(['.', ',']).and_then(|at| number.split_at_checked(at)) {
            Some((units, rest)) if rest.len() == 3 => (units, rest.get(1..)?),
            Some((_, rest)) if rest.len() != 4 => return None,
            _ => (number.as_str(), "00"),
        };
        let units: String = units.chars().filter(|c| !matches!(c, '.' | ',')).collect();
        let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !digits(&units) || !digits(hundredths) || units.len() > 12 {
            return None;
        }
        let cents = units.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths.parse().ok()?)?;
        Some(Self { cents, currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} {}", self.cents / 100, self.cents % 100, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_as_people_write_them() {
        let read = |text| Money::parse(text).map(|m| m.to_string());
        assert_eq!(read("12.50 EUR").as_deref(), Some("12.50 EUR"));
        assert_eq!(read("eur 1.234,5").as_deref(), None);
        assert_eq!(read("1.234,50 eur").as_deref(), Some("1234.50 EUR"));
        assert_eq!(read("USD 1,234").as_deref(), Some("1234.00 USD"));
        assert_eq!(read("7 PLN").as_deref(), Some("7.00 PLN"));
        for bad in ["", "12.50", "-3 EUR", "EUR", "12.5.0,1 EUR", "1e9 EUR"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
