//! The tables of the configuration file, one function each.
//!
//! Every function asks for all its keys before it looks at any of them, so that each one is known whatever the others
//! say.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use super::server::{Granted, IMAP, Kind, SMTP, server};
use super::table::{Document, Table};
use super::{
    Config, Console, Delivery, Doctor, Handled, Limits, Mailbox, Rma, Source, Staff, Start, Surroundings, Target, log,
    oauth2, orders, policy, values, webhooks,
};
use crate::domain::hours::{Deadlines, Hours};
use crate::domain::ids::{Address, Country};
use crate::domain::letter::Person;
use crate::domain::reply::{Kind as LetterKind, Sending};
use crate::domain::returns::Destination;
use crate::worker::erasure::Retention;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The keys that only make sense for a server, in `[mailbox]` and in `[delivery]`.
const SERVER_KEYS: &[&str] = &[
    "host",
    "port",
    "security",
    "user",
    "auth",
    "password_file",
    "password",
    "ca_file",
    "timeout",
    "folder",
    "idle",
    "handled",
    "start",
];

/// Reads all tables. `None` if something that has to be there is not; then it was noted.
pub(super) fn read(document: &mut Document<'_>, around: &Surroundings<'_>) -> Option<Config> {
    let store = document.read("store", |t| t.required("path", |v| values::path(v, around.base)));
    let has_oauth2 = document.has("oauth2");
    let grant = document.read("oauth2", |t| oauth2::oauth2(t, around, store.as_deref()));
    let granted = if has_oauth2 { Ok(grant) } else { Err(()) };
    let mailbox = document.read("mailbox", |t| mailbox(t, around, &granted));
    let delivery = document.read("delivery", |t| delivery(t, around, mailbox.as_ref(), &granted));
    let catalogue = document.read("catalogue", |t| t.required("file", |v| values::path(v, around.base)));
    let hours = document.read("hours", hours);
    let orders = document.read("orders", |t| orders::orders(t, around, &hours.zone));
    let policy = policy::policy(document);
    let deadlines = document.read("deadlines", |t| deadlines(t, hours));
    let rma = document.read("rma", rma);
    let brand = document.read("brand", |t| t.optional("name", values::text));
    let templates = document.read("templates", |t| templates(t, around));
    let limits = document.read("limits", limits);
    let staff = document.read("staff", |t| staff(t, mailbox.as_ref(), delivery.as_ref()));
    let retention = document.read("retention", retention);
    let console = document.read("console", console);
    let log = document.read("log", log::log);
    let doctor = document.read("doctor", doctor);
    let webhooks = webhooks::webhooks(document, around);
    let delivery = delivery?;
    Some(Config {
        brand: brand.unwrap_or_else(|| default_brand(&delivery.from)),
        mailbox: mailbox?,
        delivery,
        store: store?,
        oauth2: granted.unwrap_or_default(),
        catalogue: catalogue?,
        orders: orders?,
        policy,
        deadlines,
        rma,
        templates,
        limits,
        staff,
        retention,
        console,
        log,
        doctor,
        webhooks,
        warnings: Vec::new(),
    })
}

fn mailbox(t: &mut Table<'_>, around: &Surroundings<'_>, granted: &Granted) -> Option<Mailbox> {
    let kind = t.required("kind", |v| values::one_of(v, &[("imap", Kind::Server), ("maildir", Kind::Maildir)]));
    let path = t.optional("path", |v| values::path(v, around.base));
    let server = server(t, around, kind, &IMAP, granted);
    let folder = t.or("folder", "INBOX".to_owned(), values::text);
    let idle = t.or("idle", true, values::flag);
    let handled = t.or("handled", Handled::Seen, handled);
    if handled == Handled::Move(folder.clone()) {
        t.reject("handled", format!("\"{folder}\" is the folder that letters come from"));
    }
    let start = t.or("start", Start::All, |v| values::one_of(v, &[("all", Start::All), ("now", Start::Now)]));
    let trusted_authserv = t.or("trusted_authserv", Vec::new(), |v| values::list(v, values::text));
    let form_senders = t.or("form_senders", Vec::new(), |v| values::list(v, values::address));
    let poll_interval = t.or("poll_interval", MINUTE, |v| values::duration(v, SECOND, DAY));
    let source = match kind? {
        Kind::Server => Source::Imap { server: server?, folder, idle, handled, start },
        Kind::Maildir => Source::Maildir(maildir(t, path)?),
    };
    Some(Mailbox { source, trusted_authserv, form_senders, poll_interval })
}

fn delivery(
    t: &mut Table<'_>,
    around: &Surroundings<'_>,
    mailbox: Option<&Mailbox>,
    granted: &Granted,
) -> Option<Delivery> {
    let kind = t.required("kind", |v| values::one_of(v, &[("smtp", Kind::Server), ("maildir", Kind::Maildir)]));
    let path = t.optional("path", |v| values::path(v, around.base));
    let server = server(t, around, kind, &SMTP, granted);
    let from = t.required("from", values::person);
    let sending = sending(t);
    if let (Some(Mailbox { source: Source::Maildir(inbox), .. }), Some(outbox)) = (mailbox, &path)
        && inbox == outbox
    {
        t.reject("path", "is the folder that letters come from");
    }
    let target = match kind? {
        Kind::Server => Target::Smtp(server?),
        Kind::Maildir => Target::Maildir(maildir(t, path)?),
    };
    Some(Delivery { target, from: from?, sending })
}

/// Which letters to customers a person sees before they leave, and how long the others can be taken back.
fn sending(t: &mut Table<'_>) -> Sending {
    let holds_all = t.or("mode", false, |v| values::one_of(v, &[("send", false), ("hold", true)]));
    let kinds = LetterKind::ALL.map(|kind| (kind.folder(), kind));
    let held = t.or("hold", Vec::new(), |v| values::list(v, |v| values::one_of(v, &kinds)));
    if holds_all && !held.is_empty() {
        t.warn("hold", "has no effect with mode = \"hold\", which holds every letter");
    }
    let delay = t.or("delay", Duration::ZERO, |v| values::duration(v, Duration::ZERO, DAY));
    let delay = SignedDuration::try_from(delay).unwrap_or_default();
    Sending { held: if holds_all { LetterKind::ALL.to_vec() } else { held }, delay }
}

fn maildir(t: &mut Table<'_>, path: Option<PathBuf>) -> Option<PathBuf> {
    for key in SERVER_KEYS {
        if t.has(key) {
            t.warn(key, "has no effect with kind = \"maildir\"");
        }
    }
    if !t.has("path") {
        t.reject("path", "is missing");
    }
    path
}

/// `"seen"`, `"keyword:NAME"` or `"move:FOLDER"`.
fn handled(value: &toml::de::DeValue<'_>) -> Result<Handled, String> {
    const EXPECTED: &str = "expected \"seen\", \"keyword:NAME\" or \"move:FOLDER\"";
    // A keyword is an atom (RFC 9051 section 9, flag-keyword).
    let is_atom = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_graphic() && !br#"(){%*"\]"#.contains(&b));
    let text = values::text(value)?;
    match text.split_once(':') {
        None if text == "seen" => Ok(Handled::Seen),
        Some(("keyword", name)) if is_atom(name) => Ok(Handled::Keyword(name.to_owned())),
        Some(("keyword", name)) => Err(format!("\"{name}\" cannot be a keyword: letters and digits only")),
        Some(("move", folder)) if !folder.trim().is_empty() => Ok(Handled::Move(folder.to_owned())),
        _ => Err(format!("{EXPECTED}, found \"{text}\"")),
    }
}

/// When letters that nobody waits for are sent, and staff are reminded.
fn hours(t: &mut Table<'_>) -> Hours {
    let usual = Hours::default();
    let hours = Hours {
        zone: t.or("zone", usual.zone, values::zone),
        days: t.or("days", usual.days, |v| values::list(v, |v| values::one_of(v, &values::WEEKDAYS))),
        from: t.or("from", usual.from, values::time),
        until: t.or("until", usual.until, values::time),
        holidays: t.or("holidays", usual.holidays, |v| values::list(v, values::day)),
    };
    if hours.days.is_empty() {
        t.reject("days", "is empty: nothing would ever be sent");
    }
    if hours.until <= hours.from {
        t.reject("until", "is not after from");
    }
    hours
}

fn deadlines(t: &mut Table<'_>, hours: Hours) -> Deadlines {
    let usual = Deadlines::default();
    let days = |v: &toml::de::DeValue<'_>| values::number(v, 1, 3650);
    let deadlines = Deadlines {
        hours,
        reminders: t.or("reminder_days", usual.reminders, |v| values::list(v, days)),
        unanswered: t.or("unanswered_days", usual.unanswered, days),
        rma_reminder: t.or("rma_reminder_days", usual.rma_reminder, days),
        rma_grace: t.or("rma_grace_days", usual.rma_grace, days),
        transit: t.or("transit_days", usual.transit, days),
        staff: t.or("staff_days", usual.staff, days),
        done: t.or("done_days", usual.done, days),
    };
    let rising = deadlines.reminders.is_sorted_by(|one, next| one < next);
    if !rising {
        t.reject("reminder_days", "each has to be later than the one before");
    }
    if deadlines.reminders.last().is_some_and(|last| *last >= deadlines.unanswered) {
        t.reject("unanswered_days", "has to be later than the last of reminder_days");
    }
    deadlines
}

fn rma(t: &mut Table<'_>) -> Rma {
    let prefix = t.or("prefix", "KR".to_owned(), |v| {
        let text = values::text(v)?;
        let sound = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase());
        if sound { Ok(text) } else { Err(format!("expected one to four letters A to Z, found \"{text}\"")) }
    });
    let return_address = t.optional("return_address", address);
    let destinations: Vec<Destination> =
        t.tables("addresses", "rma.addresses", destination).into_iter().flatten().collect();
    let mut seen = BTreeSet::new();
    for country in destinations.iter().flat_map(|d| &d.countries) {
        if !seen.insert(country) {
            t.reject("addresses", format!("{country} stands there twice"));
        }
    }
    Rma { prefix, return_address, destinations }
}

fn destination(t: &mut Table<'_>) -> Option<Destination> {
    let countries = t.required("countries", |v| {
        let countries = values::list(v, |v| {
            let text = values::text(v)?;
            Country::new(&text).map_err(|wrong| format!("\"{text}\" is {wrong}"))
        })?;
        if countries.is_empty() { Err("is empty: nobody's parcel would go there".to_owned()) } else { Ok(countries) }
    });
    let lines = t.required("lines", address);
    Some(Destination { countries: countries?, lines: lines? })
}

fn address(value: &toml::de::DeValue<'_>) -> Result<Vec<String>, String> {
    let lines = values::list(value, values::text)?;
    if lines.is_empty() { Err("is empty; leave it out if there is none".to_owned()) } else { Ok(lines) }
}

/// The sender's own name; without one the address's domain says best who writes.
fn default_brand(from: &Person) -> String {
    from.name.clone().unwrap_or_else(|| from.address.domain().to_owned())
}

fn templates(t: &mut Table<'_>, around: &Surroundings<'_>) -> Option<PathBuf> {
    let path = t.optional("path", |v| values::path(v, around.base))?;
    if !path.is_dir() {
        t.reject("path", format!("{} is not a folder", path.display()));
    }
    Some(path)
}

fn limits(t: &mut Table<'_>) -> Limits {
    Limits {
        replies_per_sender: t.or("replies_per_sender", 6, |v| values::number(v, 1, u32::MAX)),
        replies_per_case: t.or("replies_per_case", 10, |v| values::number(v, 1, u32::MAX)),
        replies_per_hour: t.or("replies_per_hour", 600, |v| values::number(v, 1, u32::MAX)),
        mail_size: t.or("mail_size", 35 << 20, |v| values::size(v, 64 << 10, 1 << 30)),
    }
}

fn staff(t: &mut Table<'_>, mailbox: Option<&Mailbox>, delivery: Option<&Delivery>) -> Staff {
    let notify = t.optional("notify", values::address);
    let handover = t.optional("handover", values::address);
    let addresses = t.or("addresses", Vec::new(), |v| values::list(v, values::address));
    let ours = |address: &Address| delivery.is_some_and(|d| d.from.address == *address);
    if notify.as_ref().is_some_and(ours) {
        t.reject("notify", "is the sender of the replies: nobody would read it");
    }
    if handover.as_ref().is_some_and(ours) {
        t.reject("handover", "is the sender of the replies: nobody would read it");
    }
    if addresses.iter().any(ours) {
        t.reject("addresses", "holds the sender of the replies");
    }
    if !addresses.is_empty() && mailbox.is_some_and(|m| m.trusted_authserv.is_empty()) {
        t.warn("addresses", "without [mailbox] trusted_authserv anybody can write in these people's names");
    }
    Staff { notify, handover, addresses }
}

fn retention(t: &mut Table<'_>) -> Retention {
    let kept = Retention {
        raw: t.optional("raw_days", |v| values::number(v, 1, 36500)),
        personal: t.optional("personal_days", |v| values::number(v, 1, 36500)),
        trail: t.optional("trail_days", |v| values::number(v, 1, 36500)),
    };
    if kept.raw.zip(kept.personal).is_some_and(|(raw, personal)| raw > personal) {
        t.warn("raw_days", "has no effect: mails go with personal_days at the latest");
    }
    kept
}

fn doctor(t: &mut Table<'_>) -> Doctor {
    let selector = t.optional("dkim_selector", |v| {
        let text = values::text(v)?;
        if Doctor::is_selector(&text) {
            Ok(text)
        } else {
            Err(format!("\"{text}\" is no selector, as mail2026 is one"))
        }
    });
    Doctor { dkim_selector: selector }
}

fn console(t: &mut Table<'_>) -> Option<Console> {
    let listen = t.optional("listen", values::listen);
    let behind_tls_proxy = t.or("behind_tls_proxy", false, values::flag);
    let listen = listen?;
    if !listen.ip().is_loopback() && !behind_tls_proxy {
        t.reject(
            "listen",
            format!(
                "{listen} can be reached from other machines, where passwords must not travel in the clear: put a proxy \
                 with TLS before it and say behind_tls_proxy = true, or take a loopback address"
            ),
        );
    }
    Some(Console { listen, behind_tls_proxy })
}
