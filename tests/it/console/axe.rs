//! No page keeps anybody out: axe-core finds nothing on any of them, on a phone and on a desk, light and dark.

use std::collections::BTreeSet;
use std::fs;

use aftersalesd::app::demo::with_photos;
use aftersalesd::domain::act::{Act, WORDS};
use aftersalesd::domain::correction::FACTS;
use aftersalesd::domain::ids::CaseId;
use aftersalesd::domain::queue::Queue;
use aftersalesd::domain::reply::Kind;
use aftersalesd::worker::turn;

use super::*;
use crate::support::program::sample;

const AXE: &str = include_str!("../../axe/axe.min.js");

/// How a page is looked at, and the rules that can tell one look from another: colours depend on the scheme alone.
const LOOKS: [(u32, &str, &str); 4] = [
    (390, "light", "{}"),
    (1280, "light", "{}"),
    (390, "dark", "{ runOnly: ['color-contrast', 'link-in-text-block'] }"),
    (1280, "dark", "{ runOnly: ['color-contrast', 'link-in-text-block'] }"),
];

/// What is wrong with the page that is open, in all its looks.
pub fn faults(tab: &mut Tab) -> Vec<String> {
    let place = tab.path();
    let mut faults = Vec::new();
    for (width, scheme, options) in LOOKS {
        tab.look_as(width, 900, scheme);
        if tab.run("typeof axe") == "undefined" {
            tab.run(&format!("{AXE}; 1"));
        }
        // A customer's letter in its frame is not ours to mend.
        let found = tab.run(&format!(
            "axe.run({{ exclude: ['iframe'] }}, {{ ...{options}, iframes: false, resultTypes: ['violations'] }}).then((told) => \
             told.violations.flatMap((fault) => fault.nodes.map((node) => `${{fault.id}}: ${{node.target}} ${{node.html}} \
             ${{node.failureSummary}}`)))"
        ));
        faults.extend(found.as_array().unwrap().iter().map(|fault| format!("{place} {width} {scheme}: {fault}")));
        let wide = tab.run("document.documentElement.scrollWidth - innerWidth").as_i64().unwrap();
        if wide > 0 {
            faults.push(format!("{place} {width} {scheme}: {wide} pixels are beyond the edge"));
        }
    }
    faults
}

/// A house with a case in every state that has a look of its own, and drafts.
fn settled() -> (House, BTreeSet<CaseId>) {
    let house = House::sending(false, Sending { held: vec![Kind::Answer], ..Sending::default() });
    house.account("lena", Role::Admin);
    let mut cases = BTreeSet::new();
    for mail in [
        "01-english-complete-repair",
        "03-just-broken-from-a-phone",
        "08-conversation-second-letter",
        "11-swollen-battery",
        "15-photo-too-dark",
        "16-return-opened-html-only",
        "20-opened-the-case",
        "25-forged-sender",
        "30-parcel-has-not-come",
    ] {
        let text = fs::read_to_string(sample(&format!("mail/{mail}.eml"))).unwrap();
        let taken = triage::take(&house.office, &with_photos(&text), false).unwrap();
        if let Taken::Answered { case: Some(case), .. } = taken {
            cases.insert(case.id);
        }
    }
    let act = |case: &CaseId, line: &str| {
        let act = Act::parse(line).unwrap();
        turn::act(&house.office, case, "lena", &act, None, Timestamp::now()).unwrap_or_else(|e| panic!("{line}: {e}"));
    };
    // One case in each state on the way of a parcel.
    let way = [
        "approve repair order=KS41207 sku=KP-TKT4-BK",
        "posted 1Z999",
        "arrived",
        "inspected confirmed",
        "repaired",
        "shipped 1Z1",
    ];
    for steps in 1..=way.len() {
        let number = 41_300 + steps;
        let raw = CLAIM.replace("KS40612", &format!("KS{number}")).replace("<claim@", &format!("<claim{steps}@"));
        let (case, _) = house.letter(&raw.replace("greta@", &format!("greta{steps}@")));
        for line in &way[..steps] {
            act(&case.id, &line.replace("KS41207", &format!("KS{number}")));
        }
        cases.insert(case.id);
    }
    for (name, lines) in [
        ("ann", ["note: called", "answer: It goes to 50 m."].as_slice()),
        ("bob", &["assign lena", "snooze 2999-12-24"]),
        ("cleo", &["reject: The case was opened."]),
        ("dan", &["close"]),
        ("eve", &["correct safety yes"]),
    ] {
        let raw = CLAIM.replace("greta@", &format!("{name}@")).replace("<claim@", &format!("<{name}@"));
        let (case, _) = house.letter(&raw);
        lines.iter().for_each(|line| act(&case.id, line));
        cases.insert(case.id);
    }
    (house, cases)
}

/// What is filled in to see what an act would do.
const FILLED: [(&str, &str); 8] = [
    ("answer", "text=It+goes+to+50+m."),
    ("reject", "text=It+was+opened."),
    ("note", "text=called"),
    ("ask", "word=photo&word=sku"),
    ("assign", "word=lena"),
    ("snooze", "word=2999-12-24"),
    ("correct", "word=order_number&word=KS40613"),
    ("refunded", "word=twelve"),
];

#[tokio::test(flavor = "multi_thread")]
async fn axe_finds_nothing_on_any_page() {
    let (house, cases) = settled();
    let (desk, _switch) = house.serve().await;
    // A case that can be acted on, and the first letter of each.
    let mut letters = Vec::new();
    for case in &cases {
        letters.extend(house.office.store.named_letters(case).unwrap().into_iter().take(1).map(|l| (case.clone(), l)));
    }
    let open = house.office.store.queued(Queue::NeedsYou, None).next().unwrap().unwrap().case;
    let faults = tokio::task::spawn_blocking(move || {
        let chromium = Chromium::start();
        let mut stranger = chromium.person();
        let mut found = Vec::new();
        stranger.go(&format!("{desk}/login"));
        found.extend(faults(&mut stranger));
        stranger.type_in("nobody");
        stranger.press("Tab");
        stranger.type_in("wrong");
        stranger.follow(|tab| tab.press("Enter"));
        found.extend(faults(&mut stranger));
        let mut kim = signed_in(&chromium, &desk, "kim");
        kim.go(&format!("{desk}/trail"));
        found.extend(faults(&mut kim));
        let mut tab = signed_in(&chromium, &desk, "lena");
        let mut look = |tab: &mut Tab, path: &str| {
            tab.go(&format!("{desk}{path}"));
            found.extend(faults(tab));
        };
        for queue in Queue::ALL {
            look(&mut tab, &format!("/queues/{}", queue.code()));
        }
        for path in [
            "/search?q=greta",
            "/search?q=nowhere+to+be+found",
            "/queues/needs_you?language=xx",
            "/charts",
            "/charts",
            "/health",
            "/trail",
            "/nonsense",
            "/cases/AS-22222222",
        ] {
            look(&mut tab, path);
        }
        for (case, letter) in &letters {
            look(&mut tab, &format!("/cases/{case}?done=note"));
            look(&mut tab, &format!("/cases/{case}/letters/{letter}"));
        }
        for (verb, _) in WORDS {
            look(&mut tab, &format!("/cases/{open}/act/{verb}"));
        }
        for (fact, _) in FACTS {
            look(&mut tab, &format!("/cases/{open}/act/correct?fact={fact}"));
        }
        for (verb, fields) in FILLED {
            tab.go(&format!("{desk}/cases/{open}/act/{verb}?fact=sku"));
            tab.follow(|tab| drop(tab.run(&format!("{{ const sent = new URLSearchParams('{fields}&step=preview'); \
                const form = document.createElement('form'); form.method = 'post'; form.action = location.pathname; \
                for (const name of ['token', 'version']) sent.set(name, document.querySelector(`[name=${{name}}]`).value); \
                for (const [name, value] of sent) {{ const field = document.createElement('input'); field.name = name; \
                field.value = value; form.append(field); }} document.body.append(form); form.submit(); }}"))));
            found.extend(faults(&mut tab));
        }
        // What is folded away.
        tab.look_as(1280, 900, "light");
        tab.go(&format!("{desk}/cases/{open}"));
        tab.press("?");
        tab.await_that("document.querySelector('dialog[open]') !== null");
        found.extend(faults(&mut tab));
        tab.press("Escape");
        tab.run("document.querySelectorAll('details').forEach((details) => details.open = true)");
        found.extend(faults(&mut tab));
        found
    });
    let faults = faults.await.unwrap();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}
