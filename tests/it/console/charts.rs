//! The charts, over stores that were filled through their own commits.

use std::path::Path;
use std::time::{Duration, Instant};

use aftersalesd::domain::case::Rma;
use aftersalesd::domain::decision::{Action, Class, Decision};
use aftersalesd::domain::event::{Actor, CaseEvent, Event};
use aftersalesd::domain::facts::{Evidence, Fact, Facts, Source};
use aftersalesd::domain::ids::{Address, CaseId, OrderNumber, RmaNumber, Sku};
use aftersalesd::domain::letter::Person;
use aftersalesd::domain::warranty::{Checklist, Item, Track};
use aftersalesd::store::{CaseStep, Commit, Erasing, LetterEntry};
use jiff::ToSpan;
use jiff::civil::Date;
use sha2::{Digest, Sha256};

use super::*;

const DAY: i64 = 24 * 3600;

/// A claim that was written `ago` and went the way that its number says.
struct Claim<'a> {
    number: u64,
    ago: SignedDuration,
    sku: &'a Sku,
}

impl Claim<'_> {
    /// One of four is asked and gives what was missing after a while, one is asked only, one gets an RMA at once, and
    /// one goes to staff.
    fn commit(&self) -> Commit {
        let letter = LetterId::from_digest(&Sha256::digest(self.number.to_le_bytes()).into());
        let case = CaseId::derive(&letter, 0);
        let at = Timestamp::now() - self.ago;
        let later = at + SignedDuration::from_hours(2 + (self.number % 96) as i64);
        let day = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date();
        let customer = person(self.number);
        let (asked, staff) = (vec![Item::ItemCode, Item::Photo], self.number % 4 == 3);
        let decided = |action, ask: Vec<Item>| Event::Decided {
            letter: Some(letter.clone()),
            decision: Decision {
                action,
                track: (action == Action::IssueRma).then_some(Track::Repair),
                reasons: Vec::new(),
                checklist: Checklist::default(),
                ask,
                terms: "test".to_owned(),
                held: None,
            },
        };
        let mut events = vec![
            (at, Event::Opened { case: case.clone(), customer: customer.clone(), opened_on: day(at) }),
            (
                at,
                Event::LetterTaken {
                    letter: letter.clone(),
                    message_id: None,
                    from: Some(customer),
                    subject: format!("Watch {} is dead", self.number),
                    language: Some("en".to_owned()),
                    words: WORDS.to_owned(),
                    facts: Box::new(self.facts()),
                    defects: Vec::new(),
                },
            ),
        ];
        let issued = |at| (at, Event::RmaIssued { rma: self.rma(day(at)) });
        match self.number % 4 {
            2 => events.extend([(at, decided(Action::IssueRma, Vec::new())), issued(at)]),
            3 => events.extend([(at, decided(Action::Staff, Vec::new())), (at, Event::HandedToStaff)]),
            answers => {
                events.extend([(at, decided(Action::Ask, asked.clone())), (at, Event::Asked { items: asked })]);
                if answers == 0 && later < Timestamp::now() {
                    events.extend([(later, decided(Action::IssueRma, Vec::new())), issued(later)]);
                }
            }
        }
        assert_eq!(staff, events.iter().any(|(_, event)| *event == Event::HandedToStaff));
        let events = events.into_iter().map(|(at, event)| CaseEvent::daemon(event, at)).collect();
        let entry = LetterEntry { id: letter.clone(), content: letter, message_id: None, class: Class::Customer, at };
        Commit { letter: Some(entry), case: Some(CaseStep { id: case, from: None, events }), ..Commit::default() }
    }

    fn order(&self) -> OrderNumber {
        OrderNumber::new(&format!("KS{}", 100_000 + self.number)).unwrap()
    }

    fn facts(&self) -> Facts {
        let evidence = || Evidence::new(None, Source::Subject, "dead", "test");
        Facts {
            order_number: Some(Fact { value: self.order(), evidence: evidence() }),
            sku: Some(Fact { value: self.sku.clone(), evidence: evidence() }),
            problem_what: Some(evidence()),
            ..Facts::default()
        }
    }

    fn rma(&self, day: Date) -> Rma {
        let digit = |place: u32| (self.number / 23_u64.pow(place) % 23) as u8;
        let drawn = |last| [digit(0), digit(1), digit(2), digit(3), last];
        Rma {
            number: (0..32).find_map(|last| RmaNumber::make("K", day, drawn(last))).unwrap(),
            track: if self.number % 8 == 2 { Track::UnopenedRefund } else { Track::Repair },
            order_number: self.order(),
            sku: self.sku.clone(),
            issued_on: day,
            valid_until: day.saturating_add(14.days()),
            return_shipping: None,
        }
    }
}

const WORDS: &str = "Hello, since Sunday the display of my watch shows coloured stripes as soon as I open the app. I \
                     restarted the watch and reset it, which did not help. Kind regards";

fn person(number: u64) -> Person {
    const FIRST: [&str; 7] = ["Priya", "Jürgen", "Zoë", "Ana María", "François", "Kim", "Søren"];
    const LAST: [&str; 5] = ["Raman", "Müller", "van den Berg", "Núñez", "Lefèvre"];
    let name = format!("{} {}", FIRST[number as usize % 7], LAST[number as usize / 7 % 5]);
    Person { name: Some(name), address: Address::new(&format!("c{number}@post.example")).unwrap() }
}

/// Fills a store with `cases` claims of the last `days` days.
fn fill(house: &House, cases: u64, days: i64) {
    let skus: Vec<&Sku> = house.office.terms.catalogue.products.iter().map(|product| &product.sku).collect();
    let claim = |number: u64| Claim {
        number,
        ago: SignedDuration::from_secs((number as i64 * 7919) % (days * DAY)),
        // Few products have most of the claims.
        sku: skus[(number * number) as usize % 97 % skus.len()],
    };
    for first in (0..cases).step_by(500) {
        let commits: Vec<Commit> = (first..cases.min(first + 500)).map(|number| claim(number).commit()).collect();
        for committed in house.office.store.commit_all(&commits).unwrap() {
            committed.unwrap();
        }
    }
}

#[tokio::test]
async fn charts_show_what_the_events_tell_and_are_not_counted_at_each_view() {
    let house = House::new();
    let cookie = house.enter("kim").await;
    let empty = house.get("/charts", &cookie).await;
    assert_eq!(empty.text.matches("Nothing in this time").count(), 5, "{}", empty.text);
    let house = House::new();
    let cookie = house.enter("kim").await;
    let sku = &house.office.terms.catalogue.products[0].sku;
    for number in 0..12 {
        let claim = Claim { number, ago: SignedDuration::from_secs(10 * DAY), sku };
        house.office.store.commit(&claim.commit()).unwrap();
    }
    let page = house.get("/charts", &cookie).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.text.contains("style=") && !page.text.contains("<style"), "the policy forbids styles in a page");
    let cells = |text: &str, first: &str| -> Vec<String> {
        let row = text.split(&format!("<th scope=\"row\">{first}</th>")).nth(1).unwrap_or_else(|| panic!("{text}"));
        let row = row.split("</tr>").next().unwrap();
        row.split("<td>").skip(1).map(|cell| cell.split("</td>").next().unwrap().to_owned()).collect()
    };
    let zone = house.office.terms.deadlines.hours.zone.clone();
    let day = (Timestamp::now() - SignedDuration::from_secs(10 * DAY)).to_zoned(zone).strftime("%-d %b").to_string();
    // Of 12 letters three had their RMA at once, three more of the six that were asked within four days.
    assert_eq!(cells(&page.text, &day)[1..], ["6", "3", "0"], "asked, to staff, nothing to do");
    assert_eq!(cells(&page.text, "Photos"), ["6"]);
    assert_eq!(cells(&page.text, "Needs you"), ["0", "0", "0", "3", "0"]);
    assert_eq!(cells(&page.text, "Awaiting customer"), ["0", "0", "0", "3", "0"]);
    let rma_out: u64 = cells(&page.text, "RMA out").iter().map(|cell| cell.parse::<u64>().unwrap()).sum();
    assert_eq!(rma_out, 6);
    // Two were sent back unopened: numbers 2 and 10.
    let name = house.office.terms.catalogue.products[0].name.replace('"', "&#34;");
    let defects: u64 = cells(&page.text, &name).iter().map(|cell| cell.parse::<u64>().unwrap()).sum();
    assert_eq!(defects, 4);
    assert!(!page.text.contains("post.example") && !page.text.contains("Raman"), "nobody is told of");
    // A letter that comes now is not counted until the numbers are old.
    house.letter(&CLAIM.replace("<claim@", "<later@"));
    let again = house.get("/charts", &cookie).await;
    let charts = |page: &Answer| page.text.split("<main").nth(1).unwrap().to_owned();
    assert_eq!(charts(&page), charts(&again));
    house.premises.close("the disk is full");
    assert_eq!(house.get("/charts", &cookie).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// `CHARTS_PICTURES` names a folder for what the browser shows.
#[tokio::test(flavor = "multi_thread")]
async fn charts_are_legible_on_a_phone_and_on_a_desk_in_light_and_dark() {
    let house = House::new();
    fill(&house, 1500, 80);
    let (desk, _switch) = house.serve().await;
    tokio::task::spawn_blocking(move || look(&desk)).await.unwrap();
}

fn look(desk: &str) {
    let chromium = Chromium::start();
    let mut tab = signed_in(&chromium, desk, "kim");
    tab.go(&format!("{desk}/charts"));
    for (width, scheme) in [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")] {
        tab.look_as(width, 900, scheme);
        assert_eq!(tab.run("document.querySelectorAll('main section svg[role=img]').length"), 5);
        tab.await_that("document.documentElement.scrollWidth <= innerWidth");
        // As large as it is drawn, or larger.
        tab.await_that("[...document.querySelectorAll('svg[role=img]')].every((svg) => svg.clientWidth >= 300)");
        let outside = "[...document.querySelectorAll('svg[role=img]')].flatMap((svg) => { \
                       const at = svg.getBoundingClientRect(); \
                       return [...svg.querySelectorAll('text, rect, circle')].filter((shape) => { \
                       const is = shape.getBoundingClientRect(); return is.left < at.left - 1 || is.right > at.right + 1 \
                       || is.top < at.top - 1 || is.bottom > at.bottom + 1; }).map((shape) => shape.outerHTML); })";
        assert_eq!(tab.run(outside), serde_json::json!([]), "{width} {scheme}");
        if let Some(folder) = std::env::var_os("CHARTS_PICTURES") {
            let file = Path::new(&folder).join(format!("charts-{width}-{scheme}.png"));
            std::fs::write(file, tab.picture(true)).unwrap();
        }
    }
    let complaints = tab.noticed();
    let complains = |told: &&serde_json::Value| told.to_string().contains("Content Security Policy");
    assert_eq!(complaints.iter().find(complains), None);
}

/// Measures; run it by name.
#[tokio::test]
#[ignore = "minutes"]
async fn charts_and_search_over_100_000_cases() {
    let house = House::new();
    let begun = Instant::now();
    fill(&house, 100_000, 700);
    eprintln!("filled in {:?}", begun.elapsed());
    let cookie = house.enter("kim").await;
    let begun = Instant::now();
    while house.get("/charts", &cookie).await.text.contains("are being counted") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    eprintln!("charts counted in {:?}", begun.elapsed());
    let begun = Instant::now();
    house.get("/charts", &cookie).await;
    eprintln!("charts shown in {:?}", begun.elapsed());
    let store = &house.office.store;
    let begun = Instant::now();
    store.follow_all_with_search().unwrap();
    eprintln!("search index made in {:?}", begun.elapsed());
    for query in [
        "KS199999",
        "ks-1 99999",
        "müller stripes",
        "muller strip",
        "\"coloured stripes as soon\"",
        "c77777@post.example",
        "c777",
        "post.example",
        "watch",
        "wa",
        "ks 1",
        "kp",
        "the app",
        "nobody",
    ] {
        let begun = Instant::now();
        let found = store.search(query, 50).unwrap();
        let more = if found.more { " and more" } else { "" };
        eprintln!("{query}: {}{more} in {:?}", found.cases.len(), begun.elapsed());
    }
    let begun = Instant::now();
    let claim =
        Claim { number: 100_000, ago: SignedDuration::ZERO, sku: &house.office.terms.catalogue.products[0].sku };
    let id = store.commit(&claim.commit()).unwrap().unwrap().id;
    store.follow_all_with_search().unwrap();
    eprintln!("one more case committed and indexed in {:?}", begun.elapsed());
    let how = Erasing { by: Actor::Daemon, at: Timestamp::now(), symptom: |_, _| String::new() };
    let begun = Instant::now();
    store.erase_case(&id, &Address::new("nobody@erased.invalid").unwrap(), &how).unwrap();
    eprintln!("a case erased in {:?}", begun.elapsed());
    let begun = Instant::now();
    store.tidy_search().unwrap();
    eprintln!("the index tidied in {:?}", begun.elapsed());
    assert!(store.search("c100000@post.example", 50).unwrap().cases.is_empty());
}
