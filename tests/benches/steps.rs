//! What each pure step costs, on one core: `cargo bench --bench steps`. A word behind `--` picks the lines that hold it.
//!
//! Each figure is the median of many batches, in microseconds a call. The last lines hold the whole against the bare
//! MIME parser, which does none of the work, and the model's share of a sentence.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a bench prints, and may panic")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use aftersalesd::app::demo;
use aftersalesd::domain::case::{Case, Rma};
use aftersalesd::domain::catalogue::OrderAnswer;
use aftersalesd::domain::decision::{Action, Decision};
use aftersalesd::domain::event::{CaseEvent, Event};
use aftersalesd::domain::ids::{Address, CaseId, LetterId, OrderNumber, RmaNumber};
use aftersalesd::domain::letter::Person;
use aftersalesd::domain::reply;
use aftersalesd::domain::warranty::{Checklist, Track};
use aftersalesd::pipeline::compose::Occasion;
use aftersalesd::pipeline::decide::{Situation, decide};
use aftersalesd::pipeline::extract::dates::Dates;
use aftersalesd::pipeline::extract::meaning::Model;
use aftersalesd::pipeline::extract::photos::{self, Hints, Room};
use aftersalesd::pipeline::extract::zone::{Kind, Zone};
use aftersalesd::pipeline::extract::{Extractor, language};
use aftersalesd::pipeline::fold::Folded;
use aftersalesd::pipeline::screen::{Desk, Screen};
use aftersalesd::pipeline::strip::Stripper;
use aftersalesd::pipeline::trace::{Link, Tracer};
use aftersalesd::pipeline::{self, Lookup, Terms, check, complete, parse};
use jiff::Timestamp;

const MAILS: [(&str, &[u8]); 2] =
    [("text, 6 KB", include_bytes!("text-6k.eml")), ("HTML, 30 KB", include_bytes!("html-30k.eml"))];
const PHOTO: &[u8] = include_bytes!("../../src/app/demo/photos/watch-striped-display.jpg");

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (setup, _) = demo::setup().unwrap();
    let columns = MAILS.map(|(_, raw)| steps(raw, &setup.terms, &wanted));
    println!("{:<38}{:>14}{:>14}", "microseconds a call", MAILS[0].0, MAILS[1].0);
    for (text, html) in columns[0].iter().zip(&columns[1]) {
        println!("{:<38}{:>14.1}{:>14.1}", text.0, text.1, html.1);
    }
    if is_wanted("form", &wanted) {
        println!("{:<38}{:>14.1}", "RMA letter with its form", rma(&setup.terms));
    }
    if is_wanted("photo", &wanted) {
        let photo = cost(|| photos::look(PHOTO, Hints::default(), &mut Room::default()));
        println!("{:<38}{photo:>14.1}", format!("photo, {} KB", PHOTO.len() >> 10));
    }
}

fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()))
}

/// The lines of one mail: what, and its cost.
fn steps(raw: &[u8], terms: &Terms, wanted: &[String]) -> Vec<(&'static str, f64)> {
    let lexicons = &terms.lexicons;
    let (screen, stripper) = (Screen::new(Desk::default(), lexicons), Stripper::new(lexicons));
    let tracer = Tracer::new().unwrap();
    let extractor = Extractor::new(&[], &terms.catalogue, lexicons).unwrap();
    let model = Model::embedded().unwrap();
    let english = lexicons.of("en").unwrap();
    let dates = Dates::new(english).unwrap();

    let now = Timestamp::UNIX_EPOCH;
    let reading = pipeline::read(raw, false, terms, now);
    let (letter, words, facts) = (&reading.letter, &reading.words, &reading.facts);
    let today = reading.arrived.date();
    let folded = Folded::new(&words.text, &[]);
    let zone = Zone::new(&letter.id, Kind::Text, &words.text, &[english]);
    let lookup = Lookup {
        link: Link::New,
        order: OrderAnswer::NotAsked,
        meant: None,
        rmas_elsewhere: Vec::new(),
        replies_today: 0,
        unknown_thread: false,
        fresh_case: CaseId::derive(&letter.id, 0),
        fresh_rma: (0..=u8::MAX).find_map(|n| RmaNumber::make("KR", today, [n, 1, 2, 3, 4])).unwrap(),
    };
    let outcome = pipeline::answer(&reading, &lookup, terms, now).unwrap();
    let reply = outcome.reply.as_ref().unwrap();
    let case = aftersalesd::domain::case::Case::replay(&outcome.events).unwrap().unwrap();
    let request = case.request.unwrap();
    let completed = complete::complete(facts, &terms.catalogue, &lookup.order);
    let held = terms.held(&case);
    let rules = (&terms.policy.required, &held);
    let situation = Situation {
        before: None,
        case: &case,
        letter: facts,
        completed: &completed,
        order: &lookup.order,
        language_supported: true,
        rma_elsewhere: false,
        policy: &terms.policy,
        held: &held,
        terms: &terms.version,
    };
    let occasion = Occasion {
        kind: reply.kind,
        case: &case,
        decision: &outcome.decision,
        letter: Some((letter, facts)),
        step: &Default::default(),
        at: now,
    };
    let sentences = zone.folded.sentences.len().max(1) as f64;

    let mut lines: Vec<(&'static str, f64)> = Vec::new();
    let mut line = |name: &'static str, cost: &mut dyn FnMut() -> f64| {
        if is_wanted(name, wanted) {
            lines.push((name, cost()));
        }
    };
    line("parse", &mut || cost(|| parse::letter(raw, false)));
    line("screen", &mut || cost(|| screen.classify(letter)));
    line("strip", &mut || cost(|| stripper.words(letter)));
    line("extract", &mut || cost(|| extractor.extract(letter, words, reading.arrived, &terms.catalogue, lexicons)));
    line("  extract: language", &mut || cost(|| language::detect(&words.text, lexicons)));
    line("  extract: fold", &mut || cost(|| Folded::new(&words.text, &english.writing.abbreviations)));
    line("  extract: phrases", &mut || cost(|| english.search().unwrap().find(&folded)));
    line("  extract: fold, phrases, model", &mut || {
        cost(|| Zone::new(&letter.id, Kind::Text, &words.text, &[english]).scored(Some(&model)))
    });
    line("  extract: dates", &mut || {
        cost(|| folded.sentences.iter().map(|s| dates.find(&folded, *s, today).len()).sum::<usize>())
    });
    line("trace", &mut || cost(|| tracer.keys(letter, words, facts)));
    line("complete", &mut || cost(|| complete::complete(facts, &terms.catalogue, &lookup.order)));
    line("check", &mut || cost(|| check::checklist(facts, request, case.opened_on, rules, false)));
    line("decide", &mut || cost(|| decide(&situation)));
    line("compose", &mut || cost(|| terms.letters.reply(&occasion, &terms.frame, &terms.catalogue, lexicons).unwrap()));
    line("read, all of it", &mut || cost(|| pipeline::read(raw, false, terms, now)));
    line("answer, all of it", &mut || cost(|| pipeline::answer(&reading, &lookup, terms, now)));
    line("read and answer", &mut || cost(|| read_and_answer(raw, terms, &lookup, now)));
    line("bare MIME parser", &mut || cost(|| bare(raw)));
    line("read and answer / bare MIME parser", &mut || {
        cost(|| read_and_answer(raw, terms, &lookup, now)) / cost(|| bare(raw))
    });
    line("model, a sentence", &mut || {
        let plain = cost(|| Zone::new(&letter.id, Kind::Text, &words.text, &[english]));
        let scored = cost(|| Zone::new(&letter.id, Kind::Text, &words.text, &[english]).scored(Some(&model)));
        (scored - plain) / sentences
    });
    lines
}

/// An RMA letter: its text, its HTML and the form that goes with it.
fn rma(terms: &Terms) -> f64 {
    let letter = LetterId::from_digest(&[7; 32]);
    let (case, day) = (CaseId::derive(&letter, 0), jiff::civil::date(2026, 11, 22));
    let customer = Person { name: Some("Maria Schmidt".into()), address: Address::new("maria@example.net").unwrap() };
    let rma = Rma {
        number: (0..=u8::MAX).find_map(|n| RmaNumber::make("KR", day, [n, 1, 2, 3, 4])).unwrap(),
        track: Track::Doa,
        order_number: OrderNumber::new("KS10442").unwrap(),
        sku: terms.catalogue.products[0].sku.clone(),
        issued_on: day,
        valid_until: day,
        return_shipping: None,
    };
    let events = [Event::Opened { case, customer, opened_on: day }, Event::RmaIssued { rma }];
    let events = events.map(|event| CaseEvent::daemon(event, Timestamp::UNIX_EPOCH));
    let case = Case::replay(&events).unwrap().unwrap();
    let decision = Decision {
        action: Action::IssueRma,
        track: Some(Track::Doa),
        reasons: Vec::new(),
        checklist: Checklist::default(),
        ask: Vec::new(),
        terms: String::new(),
        held: None,
    };
    let occasion = Occasion {
        kind: reply::Kind::Rma,
        case: &case,
        decision: &decision,
        letter: None,
        step: &Default::default(),
        at: Timestamp::UNIX_EPOCH,
    };
    let write = || terms.letters.reply(&occasion, &terms.frame, &terms.catalogue, &terms.lexicons).unwrap();
    assert_eq!(write().files.len(), 1);
    cost(write)
}

fn read_and_answer(raw: &[u8], terms: &Terms, lookup: &Lookup, now: Timestamp) -> pipeline::Reading {
    let reading = pipeline::read(raw, false, terms, now);
    black_box(pipeline::answer(&reading, lookup, terms, now).unwrap());
    reading
}

/// mail-parser by itself, with all bodies and headers decoded.
fn bare(raw: &[u8]) -> Option<mail_parser::Message<'_>> {
    mail_parser::MessageParser::default().parse(raw)
}

/// Microseconds a call: the median of 31 batches of about 4 ms, after a warm-up.
fn cost<T>(mut work: impl FnMut() -> T) -> f64 {
    const BATCHES: usize = 31;
    const BATCH: Duration = Duration::from_millis(4);
    let begin = Instant::now();
    let mut calls = 0_u32;
    while begin.elapsed() < 4 * BATCH {
        black_box(work());
        calls += 1;
    }
    let calls = (calls / 4).max(1);
    let mut batches: Vec<f64> = (0..BATCHES)
        .map(|_| {
            let begin = Instant::now();
            for _ in 0..calls {
                black_box(work());
            }
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[BATCHES / 2]
}
