//! The small contract for shops of one's own: `GET URL?number=EX10001` with a bearer token, answered by 200 and the
//! order as JSON, or by 404. The guide (`src/guide/orders.md`) has its schema.

use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;

use super::{Found, LARGEST, Order, Unanswered, address, country, garbled, only, refused, shown, sku, soon};
use crate::domain::catalogue::OrderLine;
use crate::domain::ids::OrderNumber;
use crate::http::Peer;

/// Nobody's order.
const NOBODYS: &str = "CHECK-0";
/// More lines than any order has.
const MOST_LINES: usize = 500;

#[derive(Deserialize)]
struct Told {
    orders: Vec<Value>,
}

#[derive(Deserialize)]
struct ToldOrder {
    emails: Vec<String>,
    bought_on: Option<Date>,
    country: Option<String>,
    lines: Vec<ToldLine>,
}

#[derive(Deserialize)]
struct ToldLine {
    sku: String,
    quantity: Option<u32>,
    delivered_on: Option<Date>,
    #[serde(default)]
    day_unknown: bool,
}

pub(super) async fn find(peer: &Peer, token: &str, number: &OrderNumber) -> Result<Found, Unanswered> {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("accept", "application/json")];
    // Letters, digits and hyphens: they are the same encoded.
    let answer = peer.get(&format!("number={number}"), &headers, LARGEST).await.map_err(soon)?;
    match answer.status.as_u16() {
        200 => parse(&answer.body, number).map_err(|what| garbled(&what)),
        404 => Ok(Found::Unknown),
        _ => refused(&answer),
    }
}

pub(super) async fn check(peer: &Peer, token: &str) -> Result<Vec<String>, Unanswered> {
    let nobodys = OrderNumber::new(NOBODYS).map_err(|e| garbled(&e.to_string()))?;
    Ok(match find(peer, token, &nobodys).await? {
        Found::Unknown => Vec::new(),
        Found::Order(_) => vec![format!("it says that there is an order {NOBODYS}")],
        Found::Unclear(why) => vec![format!("whether there is an order {NOBODYS} is not clear: {why}")],
    })
}

/// What an answer of status 200 says of the order.
pub fn parse(body: &[u8], number: &OrderNumber) -> Result<Found, String> {
    let told: Told = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let order = only(told.orders, "number", number).and_then(|order: Option<ToldOrder>| match order {
        Some(order) => order.read(number).map(Found::Order),
        None => Ok(Found::Unknown),
    });
    // One odd order is no outage.
    Ok(order.unwrap_or_else(|why| Found::Unclear(shown(&why))))
}

impl ToldOrder {
    fn read(self, number: &OrderNumber) -> Result<Order, String> {
        let emails = self.emails.iter().map(|email| address(email)).collect::<Result<Vec<_>, _>>()?;
        let Some(email) = emails.first().cloned() else { return Err("emails: is empty".to_owned()) };
        let country = self.country.as_deref().map(country).transpose()?;
        if self.lines.len() > MOST_LINES {
            return Err(format!("lines: more than {MOST_LINES}"));
        }
        let mut lines = Vec::new();
        // What was cancelled is no longer there.
        for line in self.lines.iter().filter(|line| line.quantity != Some(0)) {
            lines.push(OrderLine {
                order_number: number.clone(),
                email: email.clone(),
                sku: sku(&line.sku)?,
                delivered_on: line.delivered_on,
                day_unknown: line.day_unknown && line.delivered_on.is_none(),
                bought_on: self.bought_on,
                country: country.clone(),
            });
        }
        match lines.is_empty() {
            true => Err("the order has no lines".to_owned()),
            false => Ok(Order { emails, lines }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> Result<Found, String> {
        parse(body.as_bytes(), &OrderNumber::new("KS41207").unwrap())
    }

    #[test]
    fn an_order_is_read_with_all_its_lines_and_addresses() {
        let body = r##"{"orders": [{"number": "#ks41207", "emails": ["Jo@Example.net", "jo@work.example"], "country": "de",
            "bought_on": "2026-03-01", "shop": "x", "lines": [
            {"sku": "RX-1", "quantity": 2, "delivered_on": "2026-03-04"}, {"sku": "RX-2", "delivered_on": null},
            {"sku": "RX-3", "day_unknown": true}, {"sku": "RX-4", "quantity": 0}]},
            {"number": "KS41207-2", "emails": [], "lines": []}]}"##;
        let Ok(Found::Order(Order { emails, lines })) = told(body) else { panic!("{:?}", told(body)) };
        let emails: Vec<&str> = emails.iter().map(|email| email.as_str()).collect();
        assert_eq!(emails, ["jo@example.net", "jo@work.example"]);
        let days: Vec<(&str, Option<String>, bool)> = lines
            .iter()
            .map(|line| (line.sku.as_str(), line.delivered_on.map(|day| day.to_string()), line.day_unknown))
            .collect();
        assert_eq!(days, [("RX-1", Some("2026-03-04".to_owned()), false), ("RX-2", None, false), ("RX-3", None, true)]);
        assert!(lines.iter().all(|line| line.email.as_str() == "jo@example.net"
            && line.country.as_ref().is_some_and(|country| country.as_str() == "DE")
            && line.bought_on.is_some()));
    }

    #[test]
    fn what_is_no_clear_answer_is_none() {
        for unknown in [r#"{"orders": []}"#, r#"{"orders": [{"number": "KS41208", "emails": [], "lines": []}]}"#] {
            assert_eq!(told(unknown), Ok(Found::Unknown), "{unknown}");
        }
        let one = r#"{"number": "KS41207", "emails": ["jo@example.net"], "lines": [{"sku": "RX-1"}]}"#;
        assert!(matches!(told(&format!("{{\"orders\": [{one}]}}")), Ok(Found::Order(_))));
        assert!(matches!(told(&format!("{{\"orders\": [{one}, {one}]}}")), Ok(Found::Unclear(_))));
        let empty = one.replace(r#"{"sku": "RX-1"}"#, "");
        assert!(matches!(told(&format!("{{\"orders\": [{empty}]}}")), Ok(Found::Unclear(_))));
        // One odd order is no outage, nor does it hide another.
        for (old, new) in [
            ("\"jo@example.net\"", ""),
            ("jo@example.net", "jo"),
            ("RX-1", "?"),
            ("\"sku\"", "\"sk\""),
            ("{\"sku\": \"RX-1\"}", "1"),
            ("[\"jo@example.net\"]", "\"jo@example.net\""),
        ] {
            let odd = one.replace(old, new);
            let Ok(Found::Unclear(why)) = told(&format!("{{\"orders\": [{odd}]}}")) else { panic!("{new}") };
            assert!(!why.contains("jo@example.net"), "{why}");
            let other = odd.replace("KS41207", "KS41208");
            assert_eq!(told(&format!("{{\"orders\": [{other}]}}")), Ok(Found::Unknown), "{new}");
            assert!(matches!(told(&format!("{{\"orders\": [{other}, {one}]}}")), Ok(Found::Order(_))), "{new}");
        }
        for nameless in ["1", "{}", "{\"number\": 41207}", "null"] {
            assert!(matches!(told(&format!("{{\"orders\": [{nameless}]}}")), Ok(Found::Unclear(_))), "{nameless}");
            assert!(matches!(told(&format!("{{\"orders\": [{one}, {nameless}]}}")), Ok(Found::Order(_))), "{nameless}");
        }
        for garbage in ["", "{}", "null", "<html>", "[]", r#"{"orders": null}"#] {
            assert!(told(garbage).is_err(), "{garbage}");
        }
    }
}
