//! `[[webhook]]`: the programs that hear of cases.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

use super::secrets::Named;
use super::server::{elsewhere, resolved};
use super::table::{Document, Table};
use super::{Surroundings, values};
use crate::domain::event::Event;
use crate::http::Url;
use crate::store::Subscription;
use crate::webhook::{Key, Settings};

const TIMEOUT: Duration = Duration::from_secs(15);

/// One `[[webhook]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    pub subscription: Subscription,
    pub receiver: Settings,
}

/// Reads all of them.
pub(super) fn webhooks(document: &mut Document<'_>, around: &Surroundings<'_>) -> Vec<Webhook> {
    let webhooks: Vec<Webhook> = document.list("webhook", |t| webhook(t, around)).into_iter().flatten().collect();
    let mut seen = BTreeSet::new();
    for name in webhooks.iter().map(|webhook| &webhook.receiver.name) {
        if !seen.insert(name) {
            document.reject("webhook", "name", format!("\"{name}\" stands there twice"));
        }
    }
    webhooks
}

fn webhook(t: &mut Table<'_>, around: &Surroundings<'_>) -> Option<Webhook> {
    let name = t.required("name", |v| {
        let name = values::text(v)?;
        let sound = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        match (1..=32).contains(&name.len()) && name.chars().all(sound) {
            true => Ok(name),
            false => Err(format!("expected 1 to 32 small letters, digits and _, found \"{name}\"")),
        }
    });
    let url = t.required("url", |v| Url::parse(&values::text(v)?));
    if let Some(url) = url.as_ref().filter(|url| !url.is_tls())
        && let Some(elsewhere) = elsewhere(&url.host, &resolved)
    {
        t.reject("url", format!("http:// is for loopback addresses only, and {} leads to {elsewhere}", url.host));
    }
    let known = Event::NAMES.map(|name| (name, name));
    let events = t.required("events", |v| {
        let events = values::list(v, |v| values::one_of(v, &known))?;
        if events.is_empty() { Err("is empty: nothing would ever be told".to_owned()) } else { Ok(events) }
    });
    let secret = Named::read(t, around, ["secret", "secret_file"]);
    let ca_file = t.optional("ca_file", |v| values::path(v, around.base));
    if let Some(Err(e)) = ca_file.as_ref().map(File::open) {
        t.reject("ca_file", format!("cannot be read: {e}"));
    }
    let timeout = t.or("timeout", TIMEOUT, |v| values::duration(v, Duration::from_secs(1), 4 * TIMEOUT));
    let variable = format!("AFTERSALESD_WEBHOOK_SECRET_{}", name.as_deref().unwrap_or("name").to_uppercase());
    let key = secret.find(t, around, &variable, true, |secret| Key::parse(secret.reveal()));
    let (name, events) = (name?, events?.into_iter().map(str::to_owned).collect());
    Some(Webhook {
        subscription: Subscription { name: name.clone(), events },
        receiver: Settings { name, url: url?, key: key?.unwrap_or_else(Key::unread), ca_file, timeout },
    })
}
