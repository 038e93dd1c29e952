//! The ways by which bytes of strangers come into the program, each as a function of these bytes. It panics if a step
//! does, or if what comes out breaks a promise. Fuzz targets walk them with made-up bytes, `tests/it/hostile.rs` with the
//! samples and with every input that once broke something.

use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use aftersalesd::app::demo;
use aftersalesd::app::query::{self, Query};
use aftersalesd::app::triage::{self, page};
use aftersalesd::domain::case::{Case, State};
use aftersalesd::domain::decision::{Action, Class, Outcome};
use aftersalesd::domain::ids::{Address, CaseId, LetterId, OrderNumber, RmaNumber};
use aftersalesd::domain::letter::{Body, Letter, Person};
use aftersalesd::domain::reply::Reply;
use aftersalesd::feeds::{self, Orders};
use aftersalesd::orders::{self, Found};
use aftersalesd::pipeline::extract::photos::{self, Hints, Room};
use aftersalesd::pipeline::lexicon::Lexicons;
use aftersalesd::pipeline::strip::Stripper;
use aftersalesd::pipeline::trace::Link;
use aftersalesd::pipeline::{self, Lookup, Reading, Terms, parse};
use aftersalesd::smtp;
use aftersalesd::store::Store;
use aftersalesd::worker::Office;
use aftersalesd::worker::settle::Taken;
use jiff::Timestamp;

/// A path; takes whatever bytes there are.
pub type Walk = fn(&[u8]);

/// Every path, by its name.
pub const ALL: [(&str, Walk); 13] = [
    ("letter", letter),
    ("mime", mime),
    ("html", html),
    ("winmail", winmail),
    ("rtf", rtf),
    ("zip", zip),
    ("picture", picture),
    ("reply", reply),
    ("question", question),
    ("feed", feed),
    ("shop", shop),
    ("config", config),
    ("import", import),
];

struct Demo {
    terms: Terms,
    orders: Option<Orders>,
    stripper: Stripper,
    sender: Person,
}

static DEMO: LazyLock<Demo> = LazyLock::new(|| {
    let (setup, config) = demo::setup().unwrap();
    Demo {
        terms: setup.terms,
        orders: setup.orders,
        stripper: Stripper::new(&Lexicons::embedded().unwrap()),
        sender: config.delivery.from,
    }
});

fn noon() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

/// A mail, from its bytes to the reply's: as a new letter, and as the answer to what a case has asked.
fn letter(raw: &[u8]) {
    let reading = pipeline::read(raw, false, &DEMO.terms, noon());
    let Some(case) = answered(reading.clone(), Link::New) else { return };
    let asks = case.state == State::AwaitingInfo;
    let known = if asks && case.asks == 1 { case } else { waiting(&reading) };
    answered(reading, Link::Known(Box::new(known)));
}

/// A case of the same customer in which everything was asked for.
fn waiting(reading: &Reading) -> Case {
    static ASKED: LazyLock<Case> = LazyLock::new(|| {
        let raw = b"From: jo@example.net\r\nSubject: watch\r\nMessage-ID: <1@x.example>\r\n\r\nMy watch is broken.\r\n";
        answered(pipeline::read(raw, false, &DEMO.terms, noon()), Link::New).unwrap()
    });
    Case { customer: reading.customer.clone().unwrap_or_else(|| ASKED.customer.clone()), ..ASKED.clone() }
}

/// What becomes of a letter; the case, if it has one then.
fn answered(mut reading: Reading, link: Link) -> Option<Case> {
    let demo = &*DEMO;
    pipeline::recall(&mut reading, &link, &demo.terms);
    let number: Option<OrderNumber> = pipeline::order_number_of(&link, &reading.facts);
    let order = match (&demo.orders, number) {
        (Some(orders), Some(number)) => orders.answer(&number),
        _ => aftersalesd::domain::catalogue::OrderAnswer::NotAsked,
    };
    let fresh_rma =
        (0..=255).find_map(|n| RmaNumber::make("KR", noon().to_zoned(jiff::tz::TimeZone::UTC).date(), [n; 5]));
    let fresh_case = CaseId::derive(&reading.letter.id, 0);
    let before = match &link {
        Link::Known(case) => Some(case.as_ref().clone()),
        _ => None,
    };
    let lookup = Lookup {
        link,
        order,
        meant: None,
        rmas_elsewhere: Vec::new(),
        replies_today: 0,
        unknown_thread: false,
        fresh_case,
        fresh_rma: fresh_rma.unwrap(),
    };
    // No address to answer to: quarantine.
    let Ok(outcome) = pipeline::answer(&reading, &lookup, &demo.terms, noon()) else { return None };
    let case = outcome.events.iter().fold(before, |case, event| Some(Case::apply(case, event).unwrap()));
    check_outcome(&reading, &outcome);
    let taken =
        Taken::Answered { reading: Box::new(reading), outcome: Box::new(outcome), case: case.clone().map(Box::new) };
    check_page(&taken);
    case
}

fn check_outcome(reading: &Reading, outcome: &Outcome) {
    let is_machine = reading.class != Class::Customer;
    assert!(
        !is_machine || outcome.reply.is_none() && outcome.decision.action == Action::Ignore,
        "a machine is answered"
    );
    if let Some(reply) = &outcome.reply {
        check_reply(reply);
    }
}

/// What shows nothing and turns lines round has no place in what people read.
fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\n' && c != '\t'
        || matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

fn check_page(taken: &Taken) {
    let mut printed = Vec::new();
    page::write("letter.eml", taken, &DEMO.terms, false, &mut printed).unwrap();
    let printed = String::from_utf8(printed).unwrap();
    assert!(!printed.contains(is_hidden), "the page holds hidden characters: {printed:?}");
}

/// Header fields that we write.
const OWN: [&str; 13] = [
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "Auto-Submitted",
    "X-Auto-Response-Suppress",
    "MIME-Version",
    "Content-Type",
    "Content-Language",
    smtp::LOOP_HEADER,
];

fn check_reply(reply: &Reply) {
    for text in [&reply.text, &reply.html, &reply.subject] {
        assert!(!text.contains(is_hidden), "the reply holds hidden characters: {text:?}");
    }
    if let Ok(mail) = smtp::render(reply, &DEMO.sender) {
        check_mail(&mail.raw, reply.to.address.as_str());
    }
}

/// A mail of ours as it is handed over: our own header fields, each once, to one recipient.
pub fn check_mail(raw: &[u8], to: &str) {
    let raw = str::from_utf8(raw).unwrap();
    let (head, _) = raw.split_once("\r\n\r\n").unwrap();
    let fields = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
    let names: Vec<&str> = fields.map(|line| line.split(':').next().unwrap()).collect();
    assert!(names.iter().all(|name| OWN.contains(name)), "a header that is not ours: {head}");
    assert!(OWN.iter().all(|own| names.iter().filter(|name| *name == own).count() <= 1), "a header twice: {head}");
    assert!(raw.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\0'])), "a bad line: {raw}");
    let parsed = mail_parser::MessageParser::new().parse(raw.as_bytes()).unwrap();
    let recipients = parsed.to().unwrap();
    assert_eq!(recipients.iter().count(), 1, "several recipients: {head}");
    assert_eq!(recipients.first().unwrap().address(), Some(to), "another recipient: {head}");
}

/// MIME alone, whole and cut short.
fn mime(raw: &[u8]) {
    for cut_short in [false, true] {
        let letter = parse::letter(raw, cut_short);
        let text: usize = letter.bodies.iter().map(|(Body::Plain(text) | Body::Html(text))| text.len()).sum();
        assert!(text <= parse::MAX_TEXT && letter.files().len() <= parse::MAX_ATTACHMENTS * (1 + parse::MAX_FORWARDED));
        check_names(&letter);
    }
}

/// No name leads anywhere but into the folder it is put in.
fn check_names(letter: &Letter) {
    for file in letter.files() {
        assert!(!file.name.contains(['/', '\\']) && !file.name.starts_with('.'), "{:?}", file.name);
        assert!(!file.name.contains(is_hidden) && file.name.chars().count() <= 120, "{:?}", file.name);
    }
}

fn html(text: &[u8]) {
    let mail = [b"From: jo@example.net\r\nContent-Type: text/html; charset=utf-8\r\n\r\n", text].concat();
    DEMO.stripper.words(&parse::letter(&mail, false));
}

fn attached(name: &str, data: &[u8]) -> Letter {
    let mut mail =
        b"From: jo@example.net\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream; name=\"".to_vec();
    mail.extend([name.as_bytes(), b"\"\r\nContent-Disposition: attachment\r\n\r\n", data].concat());
    parse::letter(&mail, false)
}

fn winmail(data: &[u8]) {
    check_names(&attached("winmail.dat", &[b"\x78\x9F\x3E\x22\x01\x00", data].concat()));
}

/// RTF in a `winmail.dat`; the first byte says whether it is compressed.
fn rtf(data: &[u8]) {
    let Some((first, text)) = data.split_first() else { return };
    let kind = if first & 1 == 0 { b"LZFu" } else { b"MELA" };
    let length = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
    let packed = [&length(text)[..], &length(text), kind, &[0; 4], text].concat();
    let property = [&[1, 0, 0, 0, 0x02, 0x01, 0x09, 0x10, 1, 0, 0, 0][..], &length(&packed), &packed, &[0; 3]].concat();
    let attribute = [&[1, 0x03, 0x90, 0x06, 0][..], &length(&property), &property, &[0; 2]].concat();
    let letter = attached("winmail.dat", &[&b"\x78\x9F\x3E\x22\x01\x00"[..], &attribute].concat());
    DEMO.stripper.words(&letter);
}

fn zip(data: &[u8]) {
    check_names(&attached("photos.zip", &[b"PK\x03\x04", data].concat()));
}

fn picture(data: &[u8]) {
    photos::look(data, Hints::default(), &mut Room::default());
    photos::look(data, Hints { inline: true, in_signature: true }, &mut Room::default());
}

/// What customers supply, in every place that letters print it in: no template, no tag, no header comes of it.
///
/// The lines of the input are, in turn: display name, subject, Message-ID, file name, order number; the rest is the body.
fn reply(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(6, '\n');
    let mut next = || lines.next().unwrap_or_default().to_owned();
    let (name, subject, id, file, order, body) = (next(), next(), next(), next(), next(), next());
    let hex = |text: &str| text.bytes().map(|b| format!("={b:02X}")).collect::<String>();
    let words = |text: &str| {
        text.as_bytes()
            .chunks(12)
            .map(|c| format!("=?utf-8?q?{}?=", c.iter().map(|b| format!("={b:02X}")).collect::<String>()))
            .collect::<Vec<_>>()
            .join("\r\n ")
    };
    let bait = "<x-evil> {{ 7177*7 }} {% include 'x' %}";
    let photo = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==";
    let mail = format!(
        "From: {} <jo@example.net>\r\nSubject: {}\r\nMessage-ID: <{}@example.net>\r\nReferences: <{}>\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"=_b\"\r\n\r\n--=_b\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
         My watch, order {}, has {} since Monday. {}\r\n--=_b\r\nContent-Type: image/png; name=\"{}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{photo}\r\n--=_b--\r\n",
        words(&format!("{name} {bait}")),
        words(&format!("{subject} {bait}")),
        id.trim(),
        id.trim(),
        hex(&order),
        hex(bait),
        hex(&body),
        words(&format!("{bait}{file}.png")),
    );
    let reading = pipeline::read(mail.as_bytes(), false, &DEMO.terms, noon());
    check_rendered(&reading);
    letter(mail.as_bytes());
}

fn check_rendered(reading: &Reading) {
    let Some(case) = answered(reading.clone(), Link::New) else { return };
    let frame = &DEMO.terms.frame;
    let Some(decision) = &case.decision else { return };
    let kind = if decision.ask.is_empty() {
        aftersalesd::domain::reply::Kind::Acknowledgement
    } else {
        aftersalesd::domain::reply::Kind::Ask
    };
    for language in DEMO.terms.letters.languages() {
        let case = Case { language: Some(language.to_owned()), replies: 0, ..case.clone() };
        let letter = Some((&reading.letter, &reading.facts));
        let occasion =
            pipeline::compose::Occasion { kind, case: &case, decision, letter, step: &Default::default(), at: noon() };
        let reply = DEMO.terms.letters.reply(&occasion, frame, &DEMO.terms.catalogue, &DEMO.terms.lexicons).unwrap();
        for text in [&reply.text, &reply.html, &reply.subject] {
            assert!(!text.contains("50239"), "a template of the customer's was filled in: {text}");
        }
        assert!(!reply.html.contains("<x-evil"), "a tag of the customer's stands in: {}", reply.html);
        check_reply(&reply);
    }
}

/// A line at the control socket, asked of a store with a few cases.
fn question(line: &[u8]) {
    static OFFICE: LazyLock<Arc<Office>> = LazyLock::new(|| {
        let (setup, config) = demo::setup().unwrap();
        let office = setup.office(&config, Store::temporary().unwrap());
        let mail = |name: &str, body: &str| format!("From: {name}@example.net\r\nSubject: {name}\r\n\r\n{body}\r\n");
        for (name, body) in [("jo", "My watch, order KS41207, is dead."), ("kim", "Where is my parcel?"), ("lee", "")] {
            triage::take(&office, mail(name, body).as_bytes(), false).unwrap();
        }
        triage::take(&office, b"Subject: from nobody\r\n\r\nx", false).unwrap();
        Arc::new(office)
    });
    let Ok(asked) = serde_json::from_slice::<Query>(line) else { return };
    let mut told = Vec::new();
    // A case that does not exist is a clear answer too.
    let _answer = query::answer(&OFFICE, &asked, &mut told);
    for line in told.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
    }
}

/// Writes the bytes to a file that only this thread uses.
fn with_file(data: &[u8], read: impl FnOnce(&Path)) {
    thread_local! {
        static FILE: tempfile::NamedTempFile = tempfile::NamedTempFile::new().unwrap();
    }
    FILE.with(|file| {
        fs::write(file.path(), data).unwrap();
        read(file.path());
    });
}

/// Product file and order feed. What is wrong is told in lines of bounded length, not one of them with control
/// characters.
fn feed(data: &[u8]) {
    with_file(data, |path| {
        let told = [feeds::catalogue(path).map(drop), feeds::orders(path).map(drop)];
        for fault in told.into_iter().filter_map(Result::err) {
            let text = fault.to_string();
            assert!(!text.is_empty() && !text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
        if let Ok(orders) = feeds::orders(path) {
            orders.answer(&OrderNumber::new("KS41207").unwrap());
            orders.of_customer(&Address::new("jo@example.net").unwrap());
        }
    });
}

/// What a shop says of an order, by its own contract and as Shopify.
fn shop(data: &[u8]) {
    let number = OrderNumber::new("KS41207").unwrap();
    let zone = jiff::tz::TimeZone::UTC;
    let own = orders::parse(data, &number).map_err(|what| assert!(!what.is_empty()));
    let shopify = orders::parse_shopify(data, &number, &zone);
    let shopify = shopify.map_err(|unanswered| {
        let what = unanswered.fault.what;
        assert!(!what.is_empty() && what.chars().count() < 300 && !what.contains(char::is_control), "{what:?}");
    });
    for found in own.into_iter().chain(shopify) {
        if let Found::Order(order) = found {
            assert!(!order.emails.is_empty() && !order.lines.is_empty());
            assert!(order.lines.iter().all(|line| line.order_number == number && line.email == order.emails[0]));
        }
    }
}

fn config(data: &[u8]) {
    with_file(data, |path| {
        if let Err(fault) = aftersalesd::config::load(path) {
            assert!(!fault.to_string().is_empty());
        }
    });
}

/// An export, taken into an empty store: whole, or not at all.
fn import(data: &[u8]) {
    static STORE: Mutex<Option<Store>> = Mutex::new(None);
    let mut held = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    let store = held.get_or_insert_with(|| Store::temporary().unwrap());
    match store.import(&mut &data[..]) {
        Ok(()) => {
            let mut first = Vec::new();
            store.export(&mut first).unwrap();
            let other = Store::temporary().unwrap();
            other.import(&mut first.as_slice()).unwrap();
            let mut second = Vec::new();
            other.export(&mut second).unwrap();
            assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
            *held = None;
        }
        Err(_) => {
            let nobody = LetterId::from_digest(&[0; 32]);
            assert!(store.cases().next().is_none() && store.raw(&nobody).unwrap().is_none());
            assert!(store.quarantined().unwrap().is_empty());
        }
    }
}
