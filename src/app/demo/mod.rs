//! `demo`: the whole job on sample mail, with no server and no configuration of one's own.
//!
//! Writes a folder with a Maildir of sample mail, a product file, an order feed and a configuration; takes the mail in
//! with the real pipeline and a real store; leaves the replies in a second Maildir. Afterwards the folder is an
//! ordinary installation: `aftersalesd cases list --config DIR/config.toml` works on it.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::brand::Brand;
use super::{Failure, Setup, daemon, load};
use crate::config::{self, Config};
use crate::console::passwords;
use crate::domain::account::{Account, AccountName, Role};
use crate::domain::decision::{Action, Class, Decision};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::Facts;
use crate::domain::reply::Kind;
use crate::pipeline::parse;
use crate::store::Store;

static MAIL: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/demo_mail.rs"));
static PHOTOS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/demo_photos.rs"));
static PRODUCTS: &str = include_str!("products.csv");
static ORDERS: &str = include_str!("orders.csv");

static CONFIG: &str = r#"# The demo's configuration: two Maildirs instead of servers.
[mailbox]
kind = "maildir"
path = "inbox"
trusted_authserv = ["mx.demo.example"]
form_senders = ["webform@demo.example"]

[delivery]
kind = "maildir"
path = "replies"
from = "KOSPET After-Sales <after-sales@demo.example>"

[store]
path = "store"

[catalogue]
file = "products.csv"

[orders]
file = "orders.csv"

[rma]
return_address = ["KOSPET Service Center", "12 Example Street", "10115 Berlin", "Germany"]

[console]
listen = "127.0.0.1:8480"
"#;

/// Who signs in at the demo's console.
const NAME: &str = "demo";
/// The console's port, if it is free and no other is asked for.
const PORT: u16 = 8480;

/// Runs the demo in `dir`, or in a new folder below the system's temporary one; then serves the console on `port`, unless
/// it is to `exit`.
pub fn run(dir: Option<PathBuf>, port: Option<u16>, exit: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let dir = match dir {
        Some(dir) if dir.join("store").exists() => {
            return Err(Failure::Other(format!("{}: a demo ran here before; give another --dir", dir.display())));
        }
        Some(dir) => dir,
        None => tempfile::Builder::new().prefix("aftersalesd-demo-").tempdir()?.keep(),
    };
    let mails = prepare(&dir)?;
    writeln!(out, "{} sample mails wait in {}\n", mails.len(), dir.join("inbox").display())?;
    let brand = Brand::new(&dir.join("config.toml"));
    let mut open = brand.open()?;
    daemon::pass(&open.config, &open.office, &open.mailer)?;
    let store = &open.office.store;
    for (name, raw) in &mails {
        tell(name, raw, store, out)?;
    }
    summary(&dir, store, out)?;
    if exit {
        return Ok(());
    }
    let password = admit(store)?;
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let port = port.or_else(|| Some(PORT).filter(free)).unwrap_or(0);
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    open.config.console = Some(config::Console { listen, behind_tls_proxy: false });
    daemon::keep_running(brand, open, |console| {
        let console = console.unwrap_or(listen);
        writeln!(out, "\nconsole: http://{console}   name: {NAME}   password: {password}")?;
        writeln!(out, "Ctrl-C ends it.")?;
        Ok(out.flush()?)
    })
}

/// Makes an account that sees everything; gives its password.
fn admit(store: &Store) -> Result<String, Failure> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|e| Failure::Other(format!("no random numbers: {e}")))?;
    let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = AccountName::new(NAME).map_err(|e| Failure::Other(e.to_string()))?;
    let digest = passwords::digest(&password).map_err(Failure::Other)?;
    let changed_at = Timestamp::now();
    store.keep_account(&Account { name, role: Role::Admin, password: digest, disabled: false, changed_at })?;
    store.flush()?;
    Ok(password)
}

/// The demo's terms, for dry runs without a configuration.
pub fn setup() -> Result<(Setup, Config), Failure> {
    let dir = tempfile::tempdir()?;
    write_settings(dir.path())?;
    let config = load(&dir.path().join("config.toml"))?;
    Ok((Setup::new(&config)?, config))
}

fn write_settings(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir)?;
    fs::write(dir.join("products.csv"), PRODUCTS)?;
    fs::write(dir.join("orders.csv"), ORDERS)?;
    fs::write(dir.join("config.toml"), CONFIG)?;
    Ok(())
}

/// Fills the folder; gives the mails in the order of their arrival.
fn prepare(dir: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    write_settings(dir)?;
    for sub in ["new", "cur", "tmp"] {
        fs::create_dir_all(dir.join("inbox").join(sub))?;
    }
    let mut mails = Vec::new();
    for (name, text) in MAIL {
        let raw = with_photos(text);
        let stem = name.trim_end_matches(".eml");
        // Written aside, then moved: a Maildir reader never sees half a mail.
        let aside = dir.join("inbox/tmp").join(stem);
        fs::write(&aside, &raw)?;
        fs::rename(&aside, dir.join("inbox/new").join(stem))?;
        mails.push((stem.to_owned(), raw));
    }
    Ok(mails)
}

/// Puts the sample pictures where a sample mail names them: a line `@photo:NAME@` stands for base64.
pub fn with_photos(text: &str) -> Vec<u8> {
    let lines = text.lines().map(|line| {
        let name = line.strip_prefix("@photo:").and_then(|rest| rest.strip_suffix('@'));
        let photo = name.and_then(|name| PHOTOS.iter().find(|(n, _)| *n == name));
        photo.map_or_else(|| line.to_owned(), |(_, data)| base64(data))
    });
    let mut mail = lines.collect::<Vec<_>>().join("\n");
    mail.push('\n');
    mail.into_bytes()
}

/// RFC 2045 section 6.8.
fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(data.len() * 4 / 3 + data.len() / 40);
    for (n, three) in data.chunks(3).enumerate() {
        if n > 0 && n % 19 == 0 {
            text.push('\n');
        }
        let bits = three.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place) & 63) as usize;
            let char = ALPHABET.get(index).filter(|_| place <= three.len()).map_or('=', |b| char::from(*b));
            text.push(char);
        }
    }
    text
}

/// What came, what was understood, what was answered: from the store, as staff would see it.
fn tell(name: &str, raw: &[u8], store: &Store, out: &mut dyn Write) -> Result<(), Failure> {
    let letter = parse::letter(raw, false);
    let from = letter.from.as_ref().map_or("nobody", |p| p.address.as_str());
    writeln!(out, "{name}\n    {from} · {}", letter.subject)?;
    let Some(seen) = store.seen(&letter.id, &letter.content, letter.message_id.as_ref())? else {
        writeln!(out, "    → in quarantine\n")?;
        return Ok(());
    };
    let events = match &seen.case {
        Some(case) => store.events(case)?,
        None => Vec::new(),
    };
    let from = events.iter().position(|e| is_about(e, &letter.id));
    let mine: Vec<&CaseEvent> = match from {
        Some(at) => {
            events.iter().skip(at).enumerate().take_while(|(n, e)| *n == 0 || !is_arrival(e)).map(|(_, e)| e).collect()
        }
        None => Vec::new(),
    };
    let facts = mine.iter().find_map(|e| match &e.event {
        Event::LetterTaken { facts, .. } => Some(facts.as_ref()),
        _ => None,
    });
    let decision = mine.iter().find_map(|e| match &e.event {
        Event::Decided { decision, .. } => Some(decision),
        _ => None,
    });
    if let (Some(case), Some(facts)) = (&seen.case, facts) {
        writeln!(out, "    {case}: {}", understood(facts))?;
    }
    match decision {
        Some(decision) => writeln!(out, "    → {}\n", answered(decision, &mine))?,
        None => writeln!(out, "    → {}: no answer\n", of_class(seen.class))?,
    }
    Ok(())
}

fn is_about(event: &CaseEvent, id: &crate::domain::ids::LetterId) -> bool {
    matches!(&event.event, Event::LetterTaken { letter, .. } | Event::LetterNoted { letter, .. } if letter == id)
}

fn is_arrival(event: &CaseEvent) -> bool {
    matches!(event.event, Event::LetterTaken { .. } | Event::LetterNoted { .. })
}

fn understood(facts: &Facts) -> String {
    let mut known: Vec<String> = Vec::new();
    known.extend(facts.request.as_ref().map(|f| f.value.code()));
    known.extend(facts.order_number.as_ref().map(|f| format!("order {}", f.value)));
    known.extend(facts.sku.as_ref().map(|f| f.value.to_string()));
    known.extend(facts.item_code.as_ref().map(|f| format!("item code {}", f.value)));
    known.extend(facts.received_on.as_ref().map(|f| format!("received {}", f.value)));
    let told = [
        ("what", &facts.problem_what),
        ("when", &facts.problem_when),
        ("how", &facts.problem_how),
        ("steps", &facts.steps_taken),
    ];
    let told: Vec<&str> = told.iter().filter(|(_, e)| e.is_some()).map(|(name, _)| *name).collect();
    if !told.is_empty() {
        known.push(format!("told {}", told.join("/")));
    }
    if !facts.photos.is_empty() {
        known.push(format!("{} of {} photos usable", facts.usable_photos(), facts.photos.len()));
    }
    known.extend(facts.void_signals.iter().map(|f| f.value.code()));
    known.extend(facts.safety.as_ref().map(|_| "safety".to_owned()));
    if known.is_empty() { "nothing to go by".to_owned() } else { known.join(", ") }
}

fn answered(decision: &Decision, mine: &[&CaseEvent]) -> String {
    let reasons: Vec<String> = decision.reasons.iter().map(|r| r.code()).collect();
    let written = mine.iter().find_map(|e| match &e.event {
        Event::ReplyQueued { kind, .. } => Some(*kind),
        _ => None,
    });
    let rma = mine.iter().find_map(|e| match &e.event {
        Event::RmaIssued { rma, .. } => Some(rma),
        _ => None,
    });
    let done = match (decision.action, rma) {
        (Action::Ask, _) => {
            let items: Vec<String> = decision.ask.iter().map(|i| i.code()).collect();
            format!("asks for {}", items.join(", "))
        }
        (_, Some(rma)) => format!("RMA {} ({}), valid until {}", rma.number, rma.track.code(), rma.valid_until),
        (Action::Close, _) => "closed".to_owned(),
        (_, None) => format!("to staff: {}", reasons.join(", ")),
    };
    match written {
        Some(Kind::Acknowledgement) => format!("{done}; the customer is told that a person looks at it"),
        Some(Kind::Safety) => format!("{done}; the customer is told to stop using it"),
        Some(_) => done,
        None => format!("{done}; no answer"),
    }
}

fn of_class(class: Class) -> &'static str {
    match class {
        Class::Customer => "a customer's letter",
        Class::Bounce => "a delivery report",
        Class::AutoReply => "an automatic reply",
        Class::Bulk => "a newsletter or notification",
        Class::Own => "our own mail",
        Class::Spam => "spam, or a forged sender",
    }
}

fn summary(dir: &Path, store: &Store, out: &mut dyn Write) -> Result<(), Failure> {
    let counts = store.counts()?;
    let letters: u64 = counts.letters.values().sum();
    writeln!(
        out,
        "{letters} letters, {} cases, {} replies, {} in quarantine",
        counts.cases, counts.replies, counts.quarantined
    )?;
    writeln!(out, "replies: {}", dir.join("replies/new").display())?;
    writeln!(out, "cases:   aftersalesd cases list --config {}", dir.join("config.toml").display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_mail_parsers_read() {
        assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
        assert_eq!(base64(b"any carnal pleasu"), "YW55IGNhcm5hbCBwbGVhc3U=");
        assert_eq!(base64(b"any carnal pleasur"), "YW55IGNhcm5hbCBwbGVhc3Vy");
        assert_eq!(base64(&[0; 60]).lines().count(), 2);
    }
}
