//! What is sold and what was bought: the product catalogue and the lines of an order.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::ids::{Address, Country, ItemCode, OrderNumber, Sku};

/// One row of the product file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub sku: Sku,
    /// The name as letters to customers print it.
    pub name: String,
    /// Other names customers use for it.
    pub aliases: Vec<String>,
    /// The European article number, which is also the item code on the outer packaging.
    pub ean: Option<ItemCode>,
    /// Months of repair warranty from receipt; policy clause `repair.window`.
    pub warranty_months: Option<u32>,
}

/// All products, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    pub products: Vec<Product>,
}

impl Catalogue {
    pub fn by_sku(&self, sku: &Sku) -> Option<&Product> {
        self.products.iter().find(|p| p.sku == *sku)
    }

    /// The product with that article number. The twelve digits of a UPC are an EAN that begins with 0.
    pub fn by_ean(&self, code: &ItemCode) -> Option<&Product> {
        let wanted = code.as_str().trim_start_matches('0');
        self.products.iter().find(|p| p.ean.as_ref().is_some_and(|e| e.as_str().trim_start_matches('0') == wanted))
    }
}

/// One line of an order, as the order feed tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    pub order_number: OrderNumber,
    /// The customer the order belongs to.
    pub email: Address,
    pub sku: Sku,
    /// The day of delivery; `None` while the parcel is under way.
    pub delivered_on: Option<Date>,
    /// It may have been delivered, but the feed can't tell when: the customer is asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub day_unknown: bool,
    /// The day of purchase, if the feed tells it.
    pub bought_on: Option<Date>,
    /// Where it was sent, if the feed tells it.
    pub country: Option<Country>,
}

/// What the order feed answers about an order number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OrderAnswer {
    /// No feed is configured, or the customer gave no number: nothing can be said.
    #[default]
    NotAsked,
    /// The feed does not know the number.
    Unknown,
    /// The lines of the order; never empty.
    Lines(Vec<OrderLine>),
    /// Whoever knows could not be asked, or gave no clear answer: it may be known or not.
    Unavailable,
}

impl OrderAnswer {
    /// The lines of the order, empty unless the feed knows it.
    pub fn lines(&self) -> &[OrderLine] {
        match self {
            Self::Lines(lines) => lines,
            Self::NotAsked | Self::Unknown | Self::Unavailable => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_upc_is_an_ean_that_begins_with_zero() {
        let product = Product {
            sku: Sku::new("RX-1").unwrap(),
            name: "ROAM".to_owned(),
            aliases: Vec::new(),
            ean: ItemCode::new("0036000291452").ok(),
            warranty_months: None,
        };
        let catalogue = Catalogue { products: vec![product] };
        for (code, known) in [("036000291452", true), ("0036000291452", true), ("136000291452", false)] {
            assert_eq!(catalogue.by_ean(&ItemCode::new(code).unwrap()).is_some(), known, "{code}");
        }
    }
}
