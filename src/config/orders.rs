//! `[orders]`: what was sold to whom, from a file or asked of the shop.

use std::fs::File;
use std::time::Duration;

use jiff::tz::TimeZone;
use regex::Regex;
use toml::de::DeValue;

use super::secrets::{Named, ORDERS_TOKEN};
use super::server::{elsewhere, resolved};
use super::table::Table;
use super::{Orders, Surroundings, values};
use crate::http::Url;
use crate::orders::{Kind, Settings};
use crate::ports::Secret;

/// The form of order numbers where none is configured.
const NUMBER_PATTERN: &str = r"KS\d{4,8}";
/// Of Shopify; supported until October 2027.
const API_VERSION: &str = "2026-10";

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// `zone` says where a day begins.
pub(super) fn orders(t: &mut Table<'_>, around: &Surroundings<'_>, zone: &TimeZone) -> Option<Orders> {
    let file = t.optional("file", |v| values::path(v, around.base));
    let given = t.optional("number_patterns", |v| values::list(v, values::pattern));
    let others = [("staff", false), ("unknown", true)];
    let hide_from_others = t.or("of_others", false, |v| values::one_of(v, &others));
    let http = t.table("http", "orders.http", |t| http(t, around));
    let shopify = t.table("shopify", "orders.shopify", |t| shopify(t, around, zone));
    let sources = [
        t.has("file").then_some("file"),
        http.is_given.then_some("[orders.http]"),
        shopify.is_given.then_some("[orders.shopify]"),
    ];
    let given_sources: Vec<&str> = sources.into_iter().flatten().collect();
    if given_sources.len() > 1 {
        t.reject("file", format!("orders come from one place only; keep one of {}", given_sources.join(", ")));
    }
    let number_patterns = match given {
        Some(patterns) => patterns,
        None => vec![Regex::new(NUMBER_PATTERN).ok()?],
    };
    Some(Orders { file, shop: http.settings.or(shopify.settings), number_patterns, hide_from_others })
}

/// A table that may be absent.
struct Shop {
    is_given: bool,
    /// `None` if it is absent, or if something is wrong (then noted).
    settings: Option<Settings>,
}

/// A shop with the contract of `src/guide/orders.md`.
fn http(t: &mut Table<'_>, around: &Surroundings<'_>) -> Shop {
    let url = t.optional("url", |v| Url::parse(&values::text(v)?));
    if t.is_given() && !t.has("url") {
        t.reject("url", "is missing");
    }
    let kind = url.and_then(|url| on_loopback(t, "url", url)).map(Kind::Json);
    shop(t, around, kind)
}

fn shopify(t: &mut Table<'_>, around: &Surroundings<'_>, zone: &TimeZone) -> Shop {
    let name = t.optional("shop", shop_address);
    if t.is_given() && !t.has("shop") {
        t.reject("shop", "is missing");
    }
    let version = t.or("api_version", API_VERSION.to_owned(), api_version);
    let url = name.and_then(|name| match Url::parse(&format!("{name}/admin/api/{version}/graphql.json")) {
        Ok(url) => on_loopback(t, "shop", url),
        Err(why) => {
            t.reject("shop", why);
            None
        }
    });
    let kind = url.map(|url| Kind::Shopify { url, version, zone: zone.clone() });
    shop(t, around, kind)
}

/// `NAME.myshopify.com`, or the whole address of a proxy before it.
fn shop_address(value: &DeValue<'_>) -> Result<String, String> {
    let text = values::text(value)?;
    if text.contains("://") {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    let host = values::host(value)?;
    match host.ends_with(".myshopify.com") {
        true => Ok(format!("https://{host}")),
        false => Err(format!("expected the shop's own name, as \"example.myshopify.com\", found \"{host}\"")),
    }
}

fn api_version(value: &DeValue<'_>) -> Result<String, String> {
    let text = values::text(value)?;
    let is_quarter = text.split_once('-').is_some_and(|(year, month)| {
        year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit()) && ["01", "04", "07", "10"].contains(&month)
    });
    if is_quarter { Ok(text) } else { Err(format!("expected a version as \"{API_VERSION}\", found \"{text}\"")) }
}

/// In the clear nothing leaves this machine.
fn on_loopback(t: &mut Table<'_>, key: &'static str, url: Url) -> Option<Url> {
    if url.is_tls() {
        return Some(url);
    }
    match elsewhere(&url.host, &resolved) {
        Some(elsewhere) => {
            t.reject(key, format!("http:// is for loopback addresses only, and {} leads to {elsewhere}", url.host));
            None
        }
        None => Some(url),
    }
}

/// The keys of whatever shop.
fn shop(t: &mut Table<'_>, around: &Surroundings<'_>, kind: Option<Kind>) -> Shop {
    let token = Named::read(t, around, ["token", "token_file"]);
    let ca_file = t.optional("ca_file", |v| values::path(v, around.base));
    let timeout = t.or("timeout", 4 * SECOND, |v| values::duration(v, SECOND / 10, MINUTE));
    let wait = t.or("wait", 10 * SECOND, |v| values::duration(v, SECOND / 10, MINUTE));
    let pause = t.or("pause", 30 * SECOND, |v| values::duration(v, SECOND / 10, 60 * MINUTE));
    let cache = t.or("cache", 5 * MINUTE, |v| values::duration(v, Duration::ZERO, 24 * 60 * MINUTE));
    if !t.is_given() {
        return Shop { is_given: false, settings: None };
    }
    if timeout > wait {
        t.reject("timeout", "is longer than wait: no try would end before the look-up does");
    }
    if let Some(Err(e)) = ca_file.as_ref().map(File::open) {
        t.reject("ca_file", format!("cannot be read: {e}"));
    }
    let token = token.find(t, around, ORDERS_TOKEN, true, sound).flatten();
    let settings = kind.map(|kind| Settings { kind, token, ca_file, timeout, wait, pause, cache });
    Shop { is_given: true, settings }
}

/// Nothing that would break up a header.
fn sound(token: Secret) -> Result<Secret, String> {
    match token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(token),
        false => Err("holds what no token does: blanks or letters beyond ASCII".to_owned()),
    }
}
