//! Shopify's Admin GraphQL API. One query asks for the orders of a name and for the scopes of the token: without
//! `read_all_orders` the shop hides orders of more than 60 days, so that one that is not found may be there.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Found, LARGEST, Order, SOON, Unanswered, address, country, garbled, never, only, refused, shown, sku, soon,
};
use crate::domain::catalogue::OrderLine;
use crate::domain::ids::{Address, OrderNumber};
use crate::http::{Answer, Peer};
use crate::ports::Fault;

/// With it orders of any age are found.
const ALL_ORDERS: &str = "read_all_orders";
/// As many as are asked for: there may be more.
const MOST_PARCELS: usize = 10;
/// Its cost is bounded by the numbers in it: below 1000, the most that a query may cost.
const QUERY: &str = "query($name: String!) {
  orders(first: 3, query: $name) {
    nodes {
      name email createdAt
      customer { defaultEmailAddress { emailAddress } }
      shippingAddress { countryCodeV2 }
      lineItems(first: 25) { nodes { id sku currentQuantity } pageInfo { hasNextPage } }
      fulfillments(first: 10) {
        deliveredAt displayStatus
        fulfillmentLineItems(first: 10) { nodes { lineItem { id } } pageInfo { hasNextPage } }
      }
    }
    pageInfo { hasNextPage }
  }
  currentAppInstallation { accessScopes { handle } }
}";

#[derive(Deserialize)]
struct Told {
    data: Option<Data>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
    extensions: Option<Extensions>,
}

#[derive(Deserialize)]
struct GraphqlError {
    message: String,
    extensions: Option<Code>,
}

#[derive(Deserialize)]
struct Code {
    code: Option<String>,
}

#[derive(Deserialize)]
struct Extensions {
    cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cost {
    requested_query_cost: f64,
    throttle_status: Throttle,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Throttle {
    currently_available: f64,
    restore_rate: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    orders: List<Value>,
    current_app_installation: Installation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Installation {
    access_scopes: Vec<Scope>,
}

#[derive(Deserialize)]
struct Scope {
    handle: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<T> {
    nodes: Vec<T>,
    page_info: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    has_next_page: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldOrder {
    email: Option<String>,
    created_at: Timestamp,
    customer: Option<Customer>,
    shipping_address: Option<Destination>,
    line_items: List<ToldLine>,
    fulfillments: Vec<Parcel>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Customer {
    default_email_address: Option<CustomerEmail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CustomerEmail {
    email_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Destination {
    country_code_v2: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToldLine {
    id: String,
    sku: Option<String>,
    current_quantity: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parcel {
    delivered_at: Option<Timestamp>,
    display_status: Option<String>,
    fulfillment_line_items: List<Packed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Packed {
    line_item: LineId,
}

#[derive(Deserialize)]
struct LineId {
    id: String,
}

/// How the shop is asked besides its address.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask<'a> {
    pub token: &'a str,
    pub version: &'a str,
    /// Where a day begins.
    pub zone: &'a TimeZone,
}

pub(super) async fn find(peer: &Peer, ask: Ask<'_>, number: &OrderNumber) -> Result<Found, Unanswered> {
    let (found, other_version) = post(peer, ask, number).await?;
    if let Some(remark) = other_version {
        tracing::warn!("{remark}");
    }
    Ok(found)
}

/// Asks for nobody's order.
pub(super) async fn check(peer: &Peer, ask: Ask<'_>) -> Result<Vec<String>, Unanswered> {
    let nobodys = OrderNumber::new("CHECK-0").map_err(|e| garbled(&e.to_string()))?;
    let (found, other_version) = post(peer, ask, &nobodys).await?;
    let hidden = match found {
        Found::Unclear(why) => Some(why),
        Found::Order(_) | Found::Unknown => None,
    };
    Ok(other_version.into_iter().chain(hidden).collect())
}

/// What is said of the order, and what is odd about the version that says it.
async fn post(peer: &Peer, ask: Ask<'_>, number: &OrderNumber) -> Result<(Found, Option<String>), Unanswered> {
    let headers =
        [("content-type", "application/json"), ("accept", "application/json"), ("x-shopify-access-token", ask.token)];
    // Letters, digits and hyphens; quoted, so that a hyphen means nothing else.
    let body = json!({"query": QUERY, "variables": {"name": format!("name:\"{number}\"")}});
    let answer = peer.post(&headers, body.to_string(), LARGEST).await.map_err(soon)?;
    let found = match answer.status.as_u16() {
        200 => parse(&answer.body, number, ask.zone),
        _ => refused(&answer),
    };
    Ok((found?, other_version(&answer, ask)))
}

/// A version whose support is over is answered as the oldest that is supported.
fn other_version(answer: &Answer, ask: Ask<'_>) -> Option<String> {
    let told = answer.header("x-shopify-api-version").filter(|told| *told != ask.version)?;
    let told: String = told.chars().take(20).collect();
    Some(format!(
        "[orders.shopify] api_version: {} was asked for, {told} answered: its support may be over",
        ask.version
    ))
}

/// What an answer of status 200 says of the order.
pub fn parse(body: &[u8], number: &OrderNumber, zone: &TimeZone) -> Result<Found, Unanswered> {
    let told: Told = serde_json::from_slice(body).map_err(|e| garbled(&e.to_string()))?;
    if let Some(error) = told.errors.first() {
        return Err(error.unanswered(told.extensions));
    }
    let data = told.data.ok_or_else(|| garbled("it holds no data"))?;
    let (page, scopes) = (data.orders.page_info, data.current_app_installation.access_scopes);
    let order = only(data.orders.nodes, "name", number).and_then(|order: Option<ToldOrder>| match order {
        Some(order) => order.read(number, zone).map(Found::Order),
        None if page.has_next_page => Err("too many orders have a name like this one's".to_owned()),
        None if !scopes.iter().any(|scope| scope.handle == ALL_ORDERS) => {
            let lacking = "the token lacks read_all_orders";
            Err(format!("{lacking}: an order of more than 60 days is not found though it is there"))
        }
        None => Ok(Found::Unknown),
    });
    // One odd order is no outage.
    Ok(order.unwrap_or_else(|why| Found::Unclear(shown(&why))))
}

impl GraphqlError {
    fn unanswered(&self, extensions: Option<Extensions>) -> Unanswered {
        let code = self.extensions.as_ref().and_then(|extensions| extensions.code.as_deref()).unwrap_or_default();
        match code {
            "ACCESS_DENIED" => {
                let what = "the token may not read orders: it needs read_orders, read_all_orders and read_customers";
                never(Fault::login(what))
            }
            _ if code == "THROTTLED" || self.message == "Throttled" => {
                let again = extensions.and_then(|extensions| extensions.cost).and_then(|cost| cost.restored());
                Unanswered {
                    fault: Fault::temporary("the shop is asked too often (THROTTLED)"),
                    again: again.or(Some(SOON)),
                }
            }
            _ => garbled(&format!("{code} {}", self.message)),
        }
    }
}

impl Cost {
    /// When there is room for the query again.
    fn restored(&self) -> Option<Duration> {
        let lacking = self.requested_query_cost - self.throttle_status.currently_available;
        let seconds = lacking / self.throttle_status.restore_rate;
        Duration::try_from_secs_f64(seconds).ok().map(|pause| pause.max(SOON))
    }
}

impl ToldOrder {
    fn read(&self, number: &OrderNumber, zone: &TimeZone) -> Result<Order, String> {
        let of_customer =
            self.customer.as_ref().and_then(|c| c.default_email_address.as_ref()?.email_address.as_deref());
        let told = self.email.as_deref().into_iter().chain(of_customer).filter(|email| !email.is_empty());
        let mut emails = told.map(address).collect::<Result<Vec<Address>, _>>()?;
        emails.dedup();
        let Some(email) = emails.first().cloned() else {
            return Err("the shop tells no e-mail address of the order's customer".to_owned());
        };
        let more = self.line_items.page_info.has_next_page
            || self.fulfillments.len() >= MOST_PARCELS
            || self.fulfillments.iter().any(|parcel| parcel.fulfillment_line_items.page_info.has_next_page);
        if more {
            return Err("the order has more lines or parcels than are looked at".to_owned());
        }
        let told = self.shipping_address.as_ref().and_then(|to| to.country_code_v2.as_deref());
        let country = told.map(country).transpose()?;
        let mut lines = Vec::new();
        // What has no SKU is no product: a tip, a fee. What was taken out of the order is no longer there.
        for line in self.line_items.nodes.iter().filter(|line| line.current_quantity > 0) {
            let Some(code) = line.sku.as_deref().filter(|code| !code.trim().is_empty()) else { continue };
            let (delivered_on, day_unknown) = self.delivery(&line.id, zone);
            lines.push(OrderLine {
                order_number: number.clone(),
                email: email.clone(),
                sku: sku(code)?,
                delivered_on,
                day_unknown,
                bought_on: Some(self.created_at.to_zoned(zone.clone()).date()),
                country: country.clone(),
            });
        }
        match lines.is_empty() {
            true => Err("the order has no lines with a SKU".to_owned()),
            false => Ok(Order { emails, lines }),
        }
    }

    /// The day of a line's last parcel, and whether it may have come on a day that nobody noted.
    fn delivery(&self, line: &str, zone: &TimeZone) -> (Option<Date>, bool) {
        let packs =
            |parcel: &&Parcel| parcel.fulfillment_line_items.nodes.iter().any(|packed| packed.line_item.id == line);
        let parcels: Vec<&Parcel> = self.fulfillments.iter().filter(packs).collect();
        let days = parcels.iter().filter_map(|parcel| parcel.delivered_at);
        let last = days.max().map(|at| at.to_zoned(zone.clone()).date());
        (last, last.is_none() && parcels.iter().any(|parcel| parcel.may_have_come()))
    }
}

impl Parcel {
    /// Sent without tracking, or arrived without a day.
    fn may_have_come(&self) -> bool {
        let status = self.display_status.as_deref().unwrap_or("FULFILLED");
        ["FULFILLED", "MARKED_AS_FULFILLED", "SUBMITTED", "DELIVERED", "PICKED_UP"].contains(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::FaultKind;

    fn told(body: &Value) -> Result<Found, Unanswered> {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        parse(body.to_string().as_bytes(), &OrderNumber::new("1001").unwrap(), &zone)
    }

    /// As the shop answers: three lines, one of which is a tip, in two parcels.
    fn answer() -> Value {
        json!({
            "data": {
                "orders": {
                    "nodes": [{
                        "name": "#1001", "email": "jo@example.net", "createdAt": "2026-03-01T23:30:00Z",
                        "customer": {"defaultEmailAddress": {"emailAddress": "jo@work.example"}},
                        "shippingAddress": {"countryCodeV2": "DE"},
                        "lineItems": {"nodes": [
                            {"id": "gid://shopify/LineItem/1", "sku": "RX-1", "currentQuantity": 1},
                            {"id": "gid://shopify/LineItem/2", "sku": "rx-2", "currentQuantity": 2},
                            {"id": "gid://shopify/LineItem/3", "sku": null, "currentQuantity": 1},
                            {"id": "gid://shopify/LineItem/4", "sku": "RX-4", "currentQuantity": 0},
                            {"id": "gid://shopify/LineItem/5", "sku": "RX-5", "currentQuantity": 1},
                        ], "pageInfo": {"hasNextPage": false}},
                        "fulfillments": [
                            {"deliveredAt": "2026-03-04T23:10:00Z", "displayStatus": "DELIVERED", "fulfillmentLineItems":
                                {"nodes": [{"lineItem": {"id": "gid://shopify/LineItem/1"}}],
                                 "pageInfo": {"hasNextPage": false}}},
                            {"deliveredAt": null, "displayStatus": "MARKED_AS_FULFILLED", "fulfillmentLineItems":
                                {"nodes": [{"lineItem": {"id": "gid://shopify/LineItem/2"}}],
                                 "pageInfo": {"hasNextPage": false}}},
                        ],
                    }],
                    "pageInfo": {"hasNextPage": false},
                },
                "currentAppInstallation": {"accessScopes": [{"handle": "read_orders"}, {"handle": "read_all_orders"}]},
            },
            "extensions": {"cost": {"requestedQueryCost": 42, "actualQueryCost": 12, "throttleStatus":
                {"maximumAvailable": 2000.0, "currentlyAvailable": 1988, "restoreRate": 100.0}}},
        })
    }

    #[test]
    fn an_order_is_read_with_the_day_of_each_line() {
        let Ok(Found::Order(Order { emails, lines })) = told(&answer()) else { panic!("{:?}", told(&answer())) };
        let emails: Vec<&str> = emails.iter().map(|email| email.as_str()).collect();
        assert_eq!(emails, ["jo@example.net", "jo@work.example"]);
        let days: Vec<(&str, Option<String>, bool)> = lines
            .iter()
            .map(|line| (line.sku.as_str(), line.delivered_on.map(|day| day.to_string()), line.day_unknown))
            .collect();
        // The days are those of the desk's zone; the last line has no parcel yet.
        assert_eq!(days, [("RX-1", Some("2026-03-05".to_owned()), false), ("RX-2", None, true), ("RX-5", None, false)]);
        assert_eq!(lines[0].bought_on.map(|day| day.to_string()).as_deref(), Some("2026-03-02"));
        assert_eq!(lines[0].country.as_ref().map(|country| country.as_str()), Some("DE"));
    }

    #[test]
    fn the_name_has_to_be_the_same_and_without_all_orders_none_is_unknown() {
        let mut other = answer();
        other["data"]["orders"]["nodes"][0]["name"] = json!("#1001-A");
        assert_eq!(told(&other), Ok(Found::Unknown));
        let mut short = other.clone();
        short["data"]["currentAppInstallation"]["accessScopes"] = json!([{"handle": "read_orders"}]);
        assert!(matches!(told(&short), Ok(Found::Unclear(why)) if why.contains("read_all_orders")));
        // What is found is found.
        let mut found = answer();
        found["data"]["currentAppInstallation"]["accessScopes"] = json!([]);
        assert!(matches!(told(&found), Ok(Found::Order(_))));
        let mut many = other;
        many["data"]["orders"]["pageInfo"]["hasNextPage"] = json!(true);
        assert!(matches!(told(&many), Ok(Found::Unclear(_))));
        for (pointer, value) in [
            ("/data/orders/nodes/0/lineItems/pageInfo/hasNextPage", json!(true)),
            ("/data/orders/nodes/0/lineItems/nodes", json!([])),
            ("/data/orders/nodes/0/fulfillments/0/fulfillmentLineItems/pageInfo/hasNextPage", json!(true)),
        ] {
            let mut odd = answer();
            *odd.pointer_mut(pointer).unwrap() = value;
            assert!(matches!(told(&odd), Ok(Found::Unclear(_))), "{pointer}");
        }
        // What serde can't read is no clear answer for this order, and none for another.
        let mut formless = answer();
        formless["data"]["orders"]["nodes"][0]["createdAt"] = json!("of old");
        assert!(matches!(told(&formless), Ok(Found::Unclear(_))));
        formless["data"]["orders"]["nodes"][0]["name"] = json!("#1001-A");
        assert_eq!(told(&formless), Ok(Found::Unknown));
        let mut nobody = answer();
        nobody["data"]["orders"]["nodes"][0]["email"] = json!(null);
        nobody["data"]["orders"]["nodes"][0]["customer"] = json!(null);
        assert!(matches!(told(&nobody), Ok(Found::Unclear(why)) if why.contains("e-mail")));
    }

    #[test]
    fn who_is_throttled_asks_again_once_there_is_room() {
        let throttled = json!({
            "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED",
                "documentation": "https://shopify.dev/api/usage/rate-limits"}}],
            "extensions": {"cost": {"requestedQueryCost": 202, "actualQueryCost": null, "throttleStatus":
                {"maximumAvailable": 1000.0, "currentlyAvailable": 102, "restoreRate": 50.0}}},
        });
        assert_eq!(told(&throttled).unwrap_err().again, Some(Duration::from_secs(2)));
        let denied = json!({"data": null, "errors": [{"message": "Access denied for orders field.",
            "extensions": {"code": "ACCESS_DENIED"}}]});
        let denied = told(&denied).unwrap_err();
        assert!(denied.fault.kind == FaultKind::Login && denied.again.is_none(), "{denied:?}");
        for odd in [json!({}), json!({"data": {}}), json!({"errors": [{"message": "x"}]}), json!(1)] {
            let unanswered = told(&odd).unwrap_err();
            assert!(unanswered.fault.kind == FaultKind::Temporary && unanswered.again.is_none(), "{odd}");
        }
    }
}
