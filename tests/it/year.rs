//! A year of the desk in a few seconds: customers who answer or don't, parcels that come or don't, staff who work
//! through what waits for them, a clock that stops and jumps. Every day each case has a next date, an owner, or is over.

use std::collections::{BTreeMap, BTreeSet};

use aftersalesd::domain::act::Act;
use aftersalesd::domain::case::{Case, State};
use aftersalesd::domain::catalogue::{Catalogue, Product};
use aftersalesd::domain::event::{CaseEvent, Event, Timer};
use aftersalesd::domain::ids::{Address, CaseId, ItemCode, LetterId, MessageId, OrderNumber, Sku};
use aftersalesd::domain::letter::Person;
use aftersalesd::domain::policy::Policy;
use aftersalesd::domain::reply::Kind;
use aftersalesd::pipeline::compose::{Frame, Letters};
use aftersalesd::pipeline::screen::Desk;
use aftersalesd::pipeline::{self, Caps, Reading, Terms};
use aftersalesd::store::{FindingKind, Store};
use aftersalesd::worker::turn::{self, Undone};
use aftersalesd::worker::{Clock, Office, settle};
use jiff::{SignedDuration, Timestamp, ToSpan};

/// Cases of a run in the test suite; `AFTERSALESD_YEAR_CASES=4000 cargo test --release --test it year` plays more.
const CASES: usize = 150;

#[test]
fn a_year_leaves_no_case_without_a_date_or_an_owner_and_no_letter_goes_twice() {
    let more = std::env::var("AFTERSALESD_YEAR_CASES").ok().and_then(|n| n.parse().ok());
    Year::new(20_261_123, more.unwrap_or(CASES)).play();
}

/// What customers write, by what comes of it.
const LETTERS: [(&str, &str); 7] = [
    (
        "complete",
        "Hello, my ROAM 5 black from order KS20001, SKU RX-ROAM5-BK, arrived on 2 January 2026. Since last Monday the \
         screen flickers green and goes dark while charging. I restarted it and reset it, no change. The item code is \
         4006381333931. The video shows it, and the box too.",
    ),
    ("incomplete", "Hello, the screen of my ROAM 5 black stays dark. Order KS20001."),
    ("vague", "my watch is broken what now"),
    ("order", "Hello, where is my order KS20001? The tracking has not moved for a week. Please tell me when it comes."),
    ("danger", "The battery of my watch is swollen and it burned my wrist. Order KS20001."),
    ("unused", "I would like to return the ROAM 5 black, order KS20001, it is unopened and unused, still sealed."),
    ("thanks", "Thank you, it works again, you can close my case."),
];

struct Year {
    office: Office,
    random: u64,
    now: Timestamp,
    left: usize,
    per_day: usize,
    readings: BTreeMap<&'static str, Reading>,
    /// What customers will write: when, who, which letter.
    coming: Vec<(Timestamp, usize, &'static str)>,
    customers: usize,
    letters: u64,
    struck: usize,
    acts: BTreeMap<String, usize>,
    seen: BTreeSet<String>,
}

impl Year {
    fn new(seed: u64, cases: usize) -> Self {
        let terms = terms();
        let readings = LETTERS.iter().map(|(name, text)| (*name, read(text, &terms))).collect();
        let mut office = Office::new(Store::temporary().unwrap(), terms, None, "KR".to_owned(), usize::MAX);
        office.clock = Clock::Arrival;
        Self {
            office,
            random: seed,
            now: "2026-01-05T08:00:00Z".parse().unwrap(),
            left: cases,
            per_day: cases.div_ceil(330),
            readings,
            coming: Vec::new(),
            customers: 0,
            letters: 0,
            struck: 0,
            acts: BTreeMap::new(),
            seen: BTreeSet::new(),
        }
    }

    fn play(&mut self) {
        for day in 0..400 {
            for _ in 0..self.per_day.min(self.left) {
                self.left -= 1;
                self.customers += 1;
                let first = LETTERS[self.below(6)].0;
                let at = self.soon(20);
                self.coming.push((at, self.customers, first));
            }
            self.take_what_came();
            // The daemon stands still for eleven days in March, and for a day now and then.
            let stopped = (70..81).contains(&day) || self.below(25) == 0;
            if !stopped {
                self.struck += turn::strike(&self.office, self.now).unwrap();
                self.send();
            }
            self.staff_work();
            self.look();
            let hours = if self.below(40) == 0 { 3 } else { 24 };
            self.now = self.now.checked_add(SignedDuration::from_hours(hours)).unwrap();
        }
        // Nobody writes any more: the clock brings everything to its end, but for what waits for staff.
        for _ in 0..200 {
            self.now = self.now.checked_add(24.hours()).unwrap();
            self.struck += turn::strike(&self.office, self.now).unwrap();
            self.send();
        }
        self.look();
        for case in self.cases() {
            let waits = case.attention.is_some() || case.state.is_staffs_turn();
            assert!(case.state.is_final() || waits, "{} is still {:?} after all", case.id, case.state);
        }
        // The letters were never mails.
        let mut findings = self.office.store.verify().unwrap().findings;
        findings.retain(|finding| finding.kind != FindingKind::MailLost);
        assert_eq!(findings, []);
        let states: BTreeMap<String, usize> = self.cases().fold(BTreeMap::new(), |mut states, case| {
            *states.entry(case.state.code()).or_default() += 1;
            states
        });
        println!("{} letters, {} strikes of the clock, acts {:?}, {states:?}", self.letters, self.struck, self.acts);
        for state in State::ALL.into_iter().filter(|state| !matches!(state, State::New | State::Merged)) {
            assert!(self.seen.contains(&state.code()), "no case was ever {state:?}: {:?}", self.seen);
        }
        for act in
            ["approve", "arrived", "inspected", "shipped", "refunded", "reject", "ask", "answer", "extend", "reopen"]
        {
            assert!(self.acts.contains_key(act), "nobody ever did {act}: {:?}", self.acts);
        }
    }

    fn take_what_came(&mut self) {
        let now = self.now;
        let mut due: Vec<_> = self.coming.extract_if(.., |(at, ..)| *at <= now).collect();
        due.sort_unstable();
        for (_, customer, name) in due {
            self.letters += 1;
            let reading = self.letter(customer, name);
            let taken = settle::settle(&self.office, Box::new(reading), None, None).unwrap();
            assert!(matches!(taken, settle::Taken::Answered { .. }), "{taken:?}");
            // Some write again: they answer, they thank, they ask how it stands.
            if self.below(3) > 0 {
                let next = ["complete", "incomplete", "thanks", "order"][self.below(4)];
                let at = self.soon(24 * 25);
                self.coming.push((at, customer, next));
            }
        }
    }

    fn letter(&mut self, customer: usize, name: &'static str) -> Reading {
        let mut reading = self.readings[name].clone();
        let digest = format!("{:064x}", u128::from(self.letters) + 1);
        reading.letter.id = LetterId::new(&digest).unwrap();
        reading.letter.content = reading.letter.id.clone();
        reading.letter.message_id = Some(MessageId::new(&format!("{}@example.net", self.letters)).unwrap());
        let address = Address::new(&format!("jo{customer}@example.net")).unwrap();
        let person = Person { name: Some("Jo Doe".to_owned()), address };
        reading.letter.from = Some(person.clone());
        reading.customer = Some(person);
        reading.arrived.at = self.now;
        let order = OrderNumber::new(&format!("KS{}", 20_000 + customer)).unwrap();
        if let Some(fact) = &mut reading.facts.order_number {
            fact.value = order.clone();
            reading.keys.order_number = Some(order);
        }
        if let Some(received) = &mut reading.facts.received_on {
            received.value = reading.arrived.date().checked_sub(((customer % 500) as i64).days()).unwrap();
        }
        // A reply in the customer's latest thread.
        let own = self.office.store.latest_cases_of_sender(&reading.customer.as_ref().unwrap().address, 1).unwrap();
        let thread = own.first().and_then(|id| self.office.store.case(id).unwrap());
        reading.keys.references = thread.and_then(|case| case.thread.last().cloned()).into_iter().collect();
        reading
    }

    /// The mail server takes everything.
    fn send(&mut self) {
        loop {
            let due = self.office.store.outbox_due(Timestamp::MAX, 200).unwrap();
            if due.is_empty() {
                return;
            }
            let keys: Vec<_> = due.into_iter().map(|waiting| waiting.key).collect();
            self.office.store.outbox_sent(&keys, self.now).unwrap();
        }
    }

    /// Staff take some of what waits for them, and note what comes and goes by post.
    fn staff_work(&mut self) {
        let cases: Vec<Case> = self.cases().collect();
        for case in cases {
            let often = match case.state {
                state if state.is_final() => 2000,
                State::RmaIssued | State::InTransit => 12,
                State::AwaitingInfo => 60,
                State::SafetyHold => 20,
                _ => 5,
            };
            if self.below(often) > 0 {
                continue;
            }
            let acts: &[&str] = match case.state {
                State::WithStaff if case.attention.is_some() => &[
                    "approve repair order=KS1 sku=RX-ROAM5-BK",
                    "ask photo sku",
                    "answer: We look at it.",
                    "reject: It was dropped.",
                    "close",
                    "handled",
                    "offer",
                    "note: a hard one",
                    "handled",
                    "withdraw",
                    "route Example Market",
                ],
                State::SafetyHold => &["note: called", "release", "handled", "note: waits for the carrier"],
                State::AwaitingInfo => &["note: patience", "note: patience", "withdraw"],
                State::RmaIssued => &[
                    "posted 1Z999",
                    "arrived",
                    "note: nothing yet",
                    "note: nothing yet",
                    "note: nothing yet",
                    "extend",
                ],
                State::InTransit => &["arrived", "arrived wrong_item", "note: nothing yet", "note: nothing yet"],
                State::Received => {
                    &["inspected confirmed", "inspected no_fault_found", "inspected not_repairable", "handled"]
                }
                State::Inspected | State::NoFaultFound => {
                    &["repaired", "replaced", "refunded 49.90 EUR", "reject: worn out", "shipped", "handled"]
                }
                State::Repaired | State::Replaced => &["shipped 1Z42", "shipped faster"],
                State::Rejected => &["shipped", "note: kept"],
                State::Closed | State::Expired | State::Withdrawn => &["reopen", "arrived empty", "extend"],
                _ => &["note: seen"],
            };
            let line = acts[self.below(acts.len())].replace("KS1", &format!("KS{}", 70_000 + self.below(20_000)));
            let act = Act::parse(&line).unwrap();
            match turn::act(&self.office, &case.id, "kim", &act, None, self.now) {
                Ok(_) => {
                    let verb = line.split([' ', ':']).next().unwrap();
                    *self.acts.entry(verb.to_owned()).or_default() += 1;
                }
                // A case may not allow what was picked for its state, and says why.
                Err(Undone::Impossible(why)) => assert!(!why.is_empty()),
                Err(e) => panic!("{line} in {}: {e}", case.id),
            }
        }
    }

    /// What always holds.
    fn look(&mut self) {
        for case in self.cases() {
            self.seen.insert(case.state.code());
            if case.state.is_final() {
                assert_eq!((case.due, case.attention), (None, None), "{case:?}");
                continue;
            }
            assert!(case.due.is_some(), "{} is {:?} without a date", case.id, case.state);
            let timer = case.due.unwrap().timer;
            assert!(case.attention.is_none() || timer == Timer::RemindStaff, "{case:?}");
            assert!(case.state != State::New, "{case:?}");
        }
        if self.below(60) == 0 {
            for case in self.cases() {
                no_letter_twice(&case.id, &self.office.store.events(&case.id).unwrap());
            }
        }
    }

    fn cases(&self) -> impl Iterator<Item = Case> + use<> {
        self.office.store.cases().map(|case| case.unwrap())
    }

    fn soon(&mut self, hours: usize) -> Timestamp {
        let later = i64::try_from(self.below(hours)).unwrap();
        self.now.checked_add(SignedDuration::from_hours(later)).unwrap()
    }

    /// SplitMix64.
    fn below(&mut self, n: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % n as u64) as usize
    }
}

/// Reminders: at most two after each time of asking, days apart; one of each letter that ends something.
fn no_letter_twice(case: &CaseId, events: &[CaseEvent]) {
    let mut reminders: Vec<Timestamp> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut ended: Option<Kind> = None;
    for CaseEvent { event, at, .. } in events {
        match event {
            Event::Asked { .. } => reminders.clear(),
            Event::Reminded { of: Timer::RemindItems } => {
                let apart =
                    reminders.last().is_none_or(|last| at.duration_since(*last) >= SignedDuration::from_hours(6 * 24));
                assert!(apart && reminders.len() < 2, "{case}: reminded at {reminders:?} and {at}");
                reminders.push(*at);
            }
            Event::Reopened | Event::RmaExtended { .. } | Event::Arrived { .. } => ended = None,
            Event::ReplyQueued { message_id, kind, .. } => {
                assert!(ids.insert(message_id.clone()), "{case}: {message_id} twice");
                if matches!(kind, Kind::Unanswered | Kind::RmaExpired) {
                    assert!(ended.replace(*kind).is_none(), "{case} was ended twice");
                }
            }
            _ => {}
        }
    }
}

fn read(text: &str, terms: &Terms) -> Reading {
    let video = text.contains("video");
    let body = format!("Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n");
    let head = "From: Jo <jo@example.net>\r\nSubject: Watch\r\nDate: Mon, 05 Jan 2026 10:00:00 +0000\r\n\
                Message-ID: <a@example.net>\r\nMIME-Version: 1.0\r\n";
    let raw = match video {
        true => format!(
            "{head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n{body}\r\n--b\r\nContent-Type: video/mp4\r\n\
             Content-Disposition: attachment; filename=v.mp4\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t\r\n--b--\r\n"
        ),
        false => format!("{head}{body}"),
    };
    pipeline::read(raw.as_bytes(), false, terms, "2026-01-05T10:00:00Z".parse().unwrap())
}

fn terms() -> Terms {
    let from = Person { name: Some("Roam After-Sales".to_owned()), address: Address::new("desk@example.com").unwrap() };
    let product = Product {
        sku: Sku::new("RX-ROAM5-BK").unwrap(),
        name: "ROAM 5 black".to_owned(),
        aliases: Vec::new(),
        ean: ItemCode::new("4006381333931").ok(),
        warranty_months: Some(12),
    };
    let desk = Desk {
        addresses: vec![from.address.clone()],
        trusted_authserv: Vec::new(),
        form_senders: Vec::new(),
        staff: Vec::new(),
    };
    let frame = Frame {
        brand: "Roam".to_owned(),
        from,
        return_address: vec!["Roam Returns".to_owned(), "1 Sample Street".to_owned()],
        destinations: Vec::new(),
        mail_megabytes: 35,
    };
    let letters = Letters::embedded().unwrap();
    let patterns = [r"KS\d{4,8}".to_owned()];
    let catalogue = Catalogue { products: vec![product] };
    let caps = Caps { per_sender: 100, per_case: 10 };
    Terms::new(Policy::default(), catalogue, desk, letters, frame, caps, &patterns).unwrap()
}
