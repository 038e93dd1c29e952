//! Whole letters through `read` and `answer`, with the look-ups handed in: every rule of the contract's section 4 and
//! the rulings of section 5, by name.

mod clauses;
mod policy;
mod turns;

use jiff::civil::{Date, date};

use super::*;
use crate::domain::catalogue::{OrderLine, Product};
use crate::domain::ids::{Address, ItemCode, LetterId, OrderNumber, Sku};
use crate::domain::reply::Kind;
use crate::domain::returns::Destination;
use crate::domain::warranty::{Item, Track};

fn product(sku: &str, name: &str, ean: &str, months: u32) -> Product {
    Product {
        sku: Sku::new(sku).unwrap(),
        name: name.to_owned(),
        aliases: Vec::new(),
        ean: ItemCode::new(ean).ok(),
        warranty_months: Some(months),
    }
}

pub(super) fn terms() -> Terms {
    terms_of(Policy::default(), Vec::new()).unwrap()
}

fn terms_of(policy: Policy, destinations: Vec<Destination>) -> Result<Terms, String> {
    let products = vec![
        product("RX-ROAM5-BK", "ROAM 5 black", "4006381333931", 12),
        product("RX-DUNE-GD", "DUNE gold", "4006381333962", 24),
    ];
    let from = Person { name: Some("Roam After-Sales".to_owned()), address: Address::new("desk@example.com").unwrap() };
    let desk = Desk {
        addresses: vec![from.address.clone()],
        trusted_authserv: vec!["mx.example.com".to_owned()],
        form_senders: vec![Address::new("form@example.com").unwrap()],
        staff: Vec::new(),
    };
    let frame = Frame {
        brand: "Roam".to_owned(),
        from,
        return_address: vec!["Roam Returns".to_owned(), "1 Sample Street".to_owned()],
        destinations,
        mail_megabytes: 35,
    };
    let letters = Letters::embedded().unwrap();
    let caps = Caps { per_sender: 6, per_case: 10 };
    Terms::new(policy, Catalogue { products }, desk, letters, frame, caps, &[r"KS\d{4,8}".to_owned()])
}

/// A mailbox of one: letters in, the case as it stands, no store.
pub(super) struct Desktop {
    pub(super) terms: Terms,
    pub(super) case: Option<Case>,
    order: OrderAnswer,
    meant: Option<OrderNumber>,
    rmas_elsewhere: Vec<Sku>,
    replies_today: usize,
    /// The `Date` of letters, on which they are told to be sent.
    date: &'static str,
    /// Only the beginning of a letter is taken in.
    cut_short: bool,
    /// When letters came to the mailbox.
    stored: Option<Timestamp>,
}

impl Desktop {
    pub(super) fn new() -> Self {
        Self {
            terms: terms(),
            case: None,
            order: OrderAnswer::NotAsked,
            meant: None,
            rmas_elsewhere: Vec::new(),
            replies_today: 0,
            date: "Fri, 20 Nov 2026 10:00:00 +0000",
            cut_short: false,
            stored: None,
        }
    }

    fn with_order(lines: &[(&str, &str, Option<Date>)]) -> Self {
        let lines = lines.iter().map(|(email, sku, delivered_on)| OrderLine {
            day_unknown: false,
            order_number: OrderNumber::new("KS20001").unwrap(),
            email: Address::new(email).unwrap(),
            sku: Sku::new(sku).unwrap(),
            delivered_on: *delivered_on,
            bought_on: None,
            country: None,
        });
        Self { order: OrderAnswer::Lines(lines.collect()), ..Self::new() }
    }

    /// A letter from Jo on 20 November 2026, with a video where `text` speaks of one.
    pub(super) fn take(&mut self, text: &str) -> Outcome {
        self.take_from("Jo <jo@example.net>", text)
    }

    fn take_from(&mut self, from: &str, text: &str) -> Outcome {
        let sent = self.date;
        let raw = if text.contains("video") {
            format!(
                "From: {from}\r\nSubject: Watch\r\nDate: {sent}\r\nMIME-Version: 1.0\r\n\
                 Message-ID: <{}@example.net>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n--b\r\nContent-Type: video/mp4\r\n\
                 Content-Disposition: attachment; filename=v.mp4\r\nContent-Transfer-Encoding: base64\r\n\r\n\
                 AAAAGGZ0eXBtcDQyAAAAAG1wNDJpc29t\r\n--b--\r\n",
                text.len()
            )
        } else {
            format!(
                "From: {from}\r\nSubject: Watch\r\nDate: {sent}\r\n\
                 Message-ID: <{}@example.net>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n",
                text.len()
            )
        };
        let now: Timestamp = "2026-11-20T10:00:01Z".parse().unwrap();
        let mut reading = read(raw.as_bytes(), self.cut_short, &self.terms, now);
        reading.stored = self.stored;
        let sender = reading.letter.from.clone().unwrap().address;
        let link = match self.case.clone() {
            None => Link::New,
            Some(case) if case.customer.address == sender => Link::Known(Box::new(case)),
            Some(case) => Link::Stranger(Box::new(case)),
        };
        recall(&mut reading, &link, &self.terms);
        let lookup = Lookup {
            link,
            order: self.order.clone(),
            meant: self.meant.clone(),
            rmas_elsewhere: self.rmas_elsewhere.clone(),
            replies_today: self.replies_today,
            unknown_thread: false,
            fresh_case: CaseId::derive(&LetterId::from_digest(&[7; 32]), 0),
            fresh_rma: (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 20), [n, 1, 2, 3, 4])).unwrap(),
        };
        let outcome = answer(&reading, &lookup, &self.terms, now).unwrap();
        self.case = outcome.events.iter().fold(self.case.take(), |case, e| Some(Case::apply(case, e).unwrap()));
        outcome
    }
}

const COMPLETE: &str = "Order KS20001, Roam 5 black, item code 4006381333931, received on 1 October 2026. Since Monday the \
                        display flickers as soon as I open the menu. I have restarted it. A video is attached.";

fn missing(outcome: &Outcome) -> Vec<Item> {
    outcome.decision.checklist.missing()
}

#[test]
fn repair_window_a_complete_claim_gets_its_rma() {
    let mut desk = Desktop::new();
    let outcome = desk.take(COMPLETE);
    assert_eq!((outcome.decision.action, outcome.decision.track), (Action::IssueRma, Some(Track::Repair)));
    let case = desk.case.unwrap();
    let rma = case.rma.unwrap();
    assert_eq!((case.state, rma.valid_until), (State::RmaIssued, date(2026, 12, 5)));
    let reply = outcome.reply.unwrap();
    assert!(reply.text.contains(rma.number.as_str()) && reply.text.contains("1 Sample Street"));
    assert!(reply.subject.contains(case.id.as_str()));
}

#[test]
fn process_what_is_missing_is_asked_and_only_that() {
    let mut desk = Desktop::new();
    let outcome = desk.take("My Roam 5 does not charge. Order KS20001.");
    assert_eq!(outcome.decision.action, Action::Ask);
    let expected =
        [Item::ItemCode, Item::ReceivedOn, Item::ProblemWhen, Item::ProblemHow, Item::StepsTaken, Item::Photo];
    assert_eq!(missing(&outcome), expected);
    let outcome = desk.take("Item code 4006381333931, received on 1 October 2026, a video is attached.");
    assert_eq!(missing(&outcome), [Item::ProblemWhen, Item::ProblemHow, Item::StepsTaken]);
    assert_eq!(desk.case.as_ref().unwrap().asks, 2);
    let outcome = desk.take("It began last Friday, whenever I put it on the charger. I tried another cable.");
    assert_eq!(outcome.decision.action, Action::IssueRma);
}

#[test]
fn doa_evidence_the_packaging_has_to_be_shown() {
    let mut desk = Desktop::new();
    let claim = COMPLETE.replace("1 October", "16 November");
    let outcome = desk.take(&claim);
    assert_eq!((outcome.decision.action, missing(&outcome)), (Action::Ask, vec![Item::PackagingPhoto]));
    let outcome = desk.take("The video shows the box.");
    assert_eq!((outcome.decision.action, outcome.decision.track), (Action::IssueRma, Some(Track::Doa)));
}

#[test]
fn unopened_window_and_condition() {
    let claim = "I want to return the Roam 5, it is still sealed. Order KS20001, item code 4006381333931, received on";
    let outcome = Desktop::new().take(&format!("{claim} 6 November 2026."));
    assert_eq!(outcome.decision.track, Some(Track::UnopenedRefund));
    let outcome = Desktop::new().take(&format!("{claim} 4 November 2026."));
    assert_eq!(outcome.decision.reasons, [Reason::ReturnWindowPassed]);
    let outcome = Desktop::new().take(&claim.replace("it is still sealed", "I tried it on twice"));
    assert_eq!(outcome.decision.reasons, [Reason::Request, Reason::NotEligible]);
}

#[test]
fn repair_window_is_that_of_the_product() {
    let old = |text: &str| text.replace("1 October 2026", "1 October 2025");
    let outcome = Desktop::new().take(&old(COMPLETE));
    assert_eq!(outcome.decision.reasons, [Reason::OutOfWarranty]);
    assert_eq!(outcome.reply.unwrap().kind, Kind::Acknowledgement);
    let dune = old(COMPLETE).replace("Roam 5 black", "Dune").replace("4006381333931", "4006381333962");
    assert_eq!(Desktop::new().take(&dune).decision.action, Action::IssueRma);
}

#[test]
fn safety_and_void_go_to_a_person_however_complete() {
    for (words, reason) in [
        ("The battery is swollen.", Reason::Safety),
        ("I dropped it on the floor.", Reason::Void),
        ("I flashed a custom ROM.", Reason::Void),
    ] {
        let outcome = Desktop::new().take(&format!("{COMPLETE} {words}"));
        assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![reason]), "{words}");
        assert!(outcome.reply.is_some());
    }
}

#[test]
fn the_order_feed_fills_in_and_objects() {
    let delivered = Some(date(2026, 10, 1));
    let mut desk = Desktop::with_order(&[("jo@example.net", "RX-ROAM5-BK", delivered)]);
    let short = "Order KS20001, item code 4006381333931. Since Monday the display flickers as soon as I open the menu. \
                 I have restarted it. A video is attached.";
    assert_eq!(desk.take(short).decision.action, Action::IssueRma);
    for (lines, reason) in [
        (vec![("other@example.org", "RX-ROAM5-BK", delivered)], Reason::SenderMismatch),
        (vec![("jo@example.net", "RX-DUNE-GD", delivered)], Reason::SkuNotInOrder),
        (vec![("jo@example.net", "RX-ROAM5-BK", None)], Reason::NotDelivered),
        (vec![("jo@example.net", "RX-ROAM5-BK", Some(date(2025, 10, 1)))], Reason::OutOfWarranty),
    ] {
        let outcome = Desktop::with_order(&lines).take(COMPLETE);
        assert_eq!(outcome.decision.reasons, [reason]);
    }
}

#[test]
fn an_unknown_order_is_asked_once_then_goes_to_a_person() {
    let mut desk = Desktop { order: OrderAnswer::Unknown, ..Desktop::new() };
    let outcome = desk.take(COMPLETE);
    assert_eq!((outcome.decision.action, missing(&outcome)), (Action::Ask, vec![Item::OrderNumber]));
    let outcome = desk.take("It is KS20001, I looked again.");
    assert_eq!(outcome.decision.reasons, [Reason::OrderUnknown]);
}

#[test]
fn an_order_of_the_customers_own_that_is_one_slip_away_is_proposed_and_confirmed_by_a_yes() {
    let own = OrderNumber::new("KS20010").unwrap();
    for (yes, language) in [
        ("Yes, that is the one.", "en"),
        ("Hello,\n\nyes exactly, sorry!\n\nJo", "en"),
        ("Oh, I mistyped it: KS20010", "en"),
        ("Ja genau, die ist gemeint.", "de"),
        ("Oui, c'est bien celle-là.", "fr"),
        ("Sí, es ese.", "es"),
        ("Tak, zgadza się.", "pl"),
    ] {
        let mut desk = Desktop { order: OrderAnswer::Unknown, meant: Some(own.clone()), ..Desktop::new() };
        let outcome = desk.take(COMPLETE);
        let letter = outcome.reply.as_ref().map(|reply| reply.text.clone()).unwrap_or_default();
        assert!(letter.contains("KS20010") && letter.contains("KS20001"), "{letter}");
        if let Some(case) = &mut desk.case {
            case.language = Some(language.to_owned());
        }
        let outcome = desk.take(yes);
        let case = desk.case.as_ref().unwrap();
        assert_eq!(case.facts.order_number.as_ref().map(|f| &f.value), Some(&own), "{yes}");
        assert_eq!(outcome.decision.reasons, [], "{yes}");
    }
    for other in
        ["No, it is another one.", "Yes?", "The screen still flickers.", "Yes, it still does not charge at all."]
    {
        let mut desk = Desktop { order: OrderAnswer::Unknown, meant: Some(own.clone()), ..Desktop::new() };
        desk.take(COMPLETE);
        desk.take(other);
        let case = desk.case.as_ref().unwrap();
        assert_eq!(case.facts.order_number.as_ref().map(|f| f.value.as_str()), Some("KS20001"), "{other}");
    }
}

#[test]
fn incomplete_three_asks_then_a_person() {
    let mut desk = Desktop::new();
    for words in ["My watch is broken.", "Please help me with it.", "Do something about my watch now."] {
        assert_eq!(desk.take(words).decision.action, Action::Ask, "{words}");
    }
    assert_eq!(desk.take("Well, my watch is broken.").decision.reasons, [Reason::AskLimit]);
}

#[test]
fn what_cannot_be_given_is_not_asked_again() {
    let mut desk = Desktop::new();
    desk.take(&COMPLETE.replace("item code 4006381333931, ", ""));
    let outcome = desk.take("I threw the box away.");
    assert_eq!(
        (outcome.decision.reasons.clone(), missing(&outcome)),
        (vec![Reason::NotAvailable], vec![Item::ItemCode])
    );
}

/// The claim without `part`, and what is missing once `answer` has come.
fn answered(part: &str, answer: &str) -> Vec<Item> {
    let mut desk = Desktop::new();
    assert_eq!(desk.take(&COMPLETE.replace(part, "")).decision.action, Action::Ask);
    missing(&desk.take(answer))
}

#[test]
fn a_day_alone_answers_the_question_for_it() {
    for day in ["1 October", "Yesterday.", "3/10", "It was on 1 October 2026."] {
        assert!(!answered(", received on 1 October 2026", day).contains(&Item::ReceivedOn), "{day}");
    }
    for words in ["The problem started yesterday.", "I bought it on 28 September.", "I will look it up tomorrow."] {
        assert!(answered(", received on 1 October 2026", words).contains(&Item::ReceivedOn), "{words}");
    }
}

#[test]
fn a_code_alone_answers_the_question_for_it() {
    assert_eq!(answered("Order KS20001, ", "40233910"), []);
    assert_eq!(answered(", item code 4006381333931", "KX-2207"), []);
    assert_eq!(answered(", item code 4006381333931", "My phone is 0171 4471882."), [Item::ItemCode]);
    assert_eq!(answered("Order KS20001, ", "My customer number is 40028811."), [Item::OrderNumber]);
}

#[test]
fn free_words_answer_the_one_question_asked() {
    assert_eq!(answered("I have restarted it. ", "Held the button for a minute and hoped for the best."), []);
    assert_eq!(answered("Since Monday ", "Right out of the box."), []);
    assert_eq!(answered(" as soon as I open the menu", "It just starts without me doing anything."), []);
    for words in ["I will send it tomorrow.", "Best regards from Berlin", "I do not know.", "Please hurry, I need it."]
    {
        assert_eq!(answered("I have restarted it. ", words), [Item::StepsTaken], "{words}");
    }
    // Of two open parts it can't be told which one is meant.
    let mut desk = Desktop::new();
    desk.take(&COMPLETE.replace("Since Monday ", "").replace(" as soon as I open the menu", ""));
    assert_eq!(missing(&desk.take("A pity, I liked it so much.")), [Item::ProblemWhen, Item::ProblemHow]);
}

#[test]
fn numbered_answers_are_read_against_the_questions() {
    let mut desk = Desktop::new();
    desk.take("My watch is broken.");
    let outcome = desk.take("1) 402-1234567-7654321 2) Dune 3) KX-2207 4) last Tuesday 6) nothing");
    assert_eq!(
        missing(&outcome),
        [Item::ProblemWhat, Item::ProblemWhen, Item::ProblemHow, Item::Photo, Item::PackagingPhoto]
    );
    let facts = desk.case.unwrap().facts;
    assert_eq!(facts.received_on.unwrap().value, date(2026, 11, 17));
    let steps = facts.steps_taken.unwrap();
    assert_eq!((steps.quote.as_str(), steps.rule.as_str()), ("nothing", "steps_taken.answered"));
    // Questions of the customer's own, and numbers that we never asked.
    let mut desk = Desktop::new();
    desk.take("My watch is broken.");
    let before = desk.case.clone().unwrap().facts;
    desk.take("1) How long does it take? 2) Who pays? 9) last Tuesday");
    assert_eq!(desk.case.unwrap().facts.received_on, before.received_on);
}

#[test]
fn few_words_keep_the_language_of_the_case() {
    let mut desk = Desktop::new();
    desk.take("Meine Uhr lädt nicht mehr. Die Bestellung ist KS20001.");
    for words in ["Thanks, yesterday.", "4006381333931", "ok"] {
        desk.take(words);
        assert_eq!(desk.case.as_ref().unwrap().language.as_deref(), Some("de"), "{words}");
    }
}

#[test]
fn works_again_closes_unless_something_else_is_told() {
    for (words, action) in [
        ("It works again.", Action::Close),
        ("It works again since yesterday but now it does not charge.", Action::Ask),
    ] {
        let mut desk = Desktop::new();
        desk.take("The display of my Roam 5 flickers. Order KS20001.");
        assert_eq!(desk.take(words).decision.action, action, "{words}");
    }
}

#[test]
fn links_alone_go_to_a_person() {
    let link = COMPLETE.replace("A video is attached.", "See https://drive.google.com/file/d/1xQ9/view");
    assert_eq!(Desktop::new().take(&link).decision.reasons, [Reason::EvidenceByLink]);
}

#[test]
fn after_the_rma_everything_but_thanks_goes_to_a_person() {
    let mut desk = Desktop::new();
    desk.take(COMPLETE);
    let outcome = desk.take("Has my parcel arrived yet?");
    assert_eq!(outcome.decision.action, Action::Staff);
    assert!(outcome.decision.reasons.contains(&Reason::FollowUp));
    assert!(outcome.reply.is_some());
    assert_eq!(desk.take("And how long will it take?").reply, None, "acknowledged once a case");
    assert_eq!(desk.take("It works again, thank you!").decision.action, Action::Close);
    assert_eq!(desk.case.as_ref().unwrap().state, State::Closed);
    let outcome = desk.take("Now it is broken again.");
    assert_eq!(outcome.decision.reasons, [Reason::FollowUp], "a closed case reopens and stays with staff");
}

#[test]
fn one_order_line_never_gets_a_second_rma() {
    let mut desk = Desktop { rmas_elsewhere: vec![Sku::new("RX-ROAM5-BK").unwrap()], ..Desktop::new() };
    assert_eq!(desk.take(COMPLETE).decision.reasons, [Reason::DuplicateRma]);
}

#[test]
fn a_code_of_another_product_is_a_conflict() {
    let outcome = Desktop::new().take(&COMPLETE.replace("4006381333931", "4006381333962"));
    assert_eq!(outcome.decision.reasons, [Reason::Conflict]);
}

#[test]
fn somebody_elses_reply_changes_no_fact_and_gets_no_answer() {
    let mut desk = Desktop::new();
    desk.take("My Roam 5 does not charge. Order KS20001.");
    let before = desk.case.clone().unwrap();
    let outcome = desk.take_from("Eve <eve@example.org>", "The item code is 4006381333931.");
    assert_eq!(outcome.decision.reasons, [Reason::SenderMismatch]);
    assert_eq!(outcome.reply, None);
    let after = desk.case.unwrap();
    let of = |case: &Case| (case.facts.clone(), case.state, case.decision.clone(), case.replies, case.thread.clone());
    assert_eq!(of(&after), of(&before), "staff hear of it, the customer does not");
}

#[test]
fn the_cap_on_letters_to_one_address_holds() {
    let mut desk = Desktop { replies_today: 6, ..Desktop::new() };
    let outcome = desk.take(COMPLETE);
    assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![Reason::ReplyLimit]));
    assert_eq!(outcome.reply, None);
    assert!(desk.case.unwrap().rma.is_none(), "an RMA nobody is told of is none");
}

#[test]
fn what_has_lain_in_the_mailbox_for_long_goes_to_a_person_unanswered() {
    for (stored, old) in
        [("2026-11-06T10:00:00Z", true), ("2026-11-06T10:00:02Z", false), ("2026-12-01T00:00:00Z", false)]
    {
        let mut desk = Desktop { stored: Some(stored.parse().unwrap()), ..Desktop::new() };
        let outcome = desk.take(COMPLETE);
        let expected = if old { Action::Staff } else { Action::IssueRma };
        assert_eq!((outcome.decision.action, outcome.reply.is_none()), (expected, old), "{stored}");
        assert_eq!(outcome.decision.reasons, if old { vec![Reason::Old] } else { vec![] }, "{stored}");
        assert_eq!(desk.case.unwrap().rma.is_none(), old, "{stored}");
    }
}

#[test]
fn the_cap_on_letters_of_one_case_holds() {
    let mut desk = Desktop::new();
    desk.terms.caps.per_case = 1;
    desk.take("My Roam 5 does not charge.");
    let outcome = desk.take(COMPLETE);
    assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![Reason::CaseLimit]));
    assert_eq!((outcome.reply, desk.case.unwrap().rma), (None, None));
}

#[test]
fn same_letters_same_terms_same_times_same_decisions() {
    let decide = || {
        let mut desk = Desktop::new();
        vec![desk.take("My Roam 5 does not charge."), desk.take(COMPLETE)]
    };
    assert_eq!(decide(), decide());
}
