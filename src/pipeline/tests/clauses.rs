//! The clauses of the policy page, by name: what a customer is told, what staff can do, what `explain` says of it.
//!
//! A clause without a test here has it in the file above or in another; `tests/it/clauses.rs` looks that none is missing.

use super::*;
use crate::domain::act::Act;
use crate::domain::event::{Actor, Event};
use crate::domain::returns::{Arrival, Remedy, Service};
use crate::pipeline::propose::proposal;
use crate::pipeline::reckon::{Line, reckon};
use crate::pipeline::resume::{Cause, Impossible, Known, Resumed, resume};

impl Desktop {
    /// What staff do, five days after the letters.
    pub(super) fn act(&mut self, words: &str) -> Resumed {
        self.try_act(words).unwrap_or_else(|e| panic!("{words}: {e}"))
    }

    fn try_act(&mut self, words: &str) -> Result<Resumed, Impossible> {
        let number = (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 25), [n, 5, 6, 7, 8])).unwrap();
        let act = Act::parse(words).unwrap();
        let cause = Cause::Staff { name: "kim", act: &act, why: None };
        let case = self.case.as_ref().unwrap();
        let resumed =
            resume(case, cause, &Known::nothing_but(number), &self.terms, "2026-11-25T10:00:00Z".parse().unwrap())?;
        self.case = resumed.events.iter().fold(self.case.take(), |case, e| Some(Case::apply(case, e).unwrap()));
        Ok(resumed)
    }

    /// The text of the letter that an act sends.
    fn told(&mut self, words: &str) -> String {
        self.act(words).reply.unwrap_or_else(|| panic!("{words} sends no letter")).text
    }

    pub(super) fn reckoned(&self, events: &[CaseEvent]) -> Vec<Line> {
        reckon(self.case.as_ref().unwrap(), events, &self.terms)
    }

    fn state(&self) -> State {
        self.case.as_ref().unwrap().state
    }
}

fn says(lines: &[Line], clause: &str, holds: Option<bool>, words: &str) -> bool {
    lines.iter().any(|line| line.clause == clause && line.holds == holds && line.text.contains(words))
}

fn doa() -> String {
    format!("{} The video shows the box.", COMPLETE.replace("1 October", "16 November"))
}

const UNUSED: &str = "I want to return the Roam 5, it is still sealed. Order KS20001, item code 4006381333931, received on 10 November 2026.";

/// A desk whose customer has the RMA, and what its letter says.
fn authorised(claim: &str) -> (Desktop, String) {
    let mut desk = Desktop::new();
    let outcome = desk.take(claim);
    assert_eq!(outcome.decision.action, Action::IssueRma, "{claim}");
    (desk, outcome.reply.unwrap().text)
}

/// The same with the parcel here.
fn arrived(claim: &str) -> Desktop {
    let (mut desk, _) = authorised(claim);
    assert!(desk.told("arrived").contains("has reached us"));
    desk
}

#[test]
fn warranty_start_is_the_delivery_by_the_order_feed_else_as_stated() {
    assert_eq!(Desktop::new().take(COMPLETE).decision.checklist.track, Some(Track::Repair));
    let mut desk = Desktop::with_order(&[("jo@example.net", "RX-ROAM5-BK", Some(date(2026, 11, 16)))]);
    assert_eq!(desk.take(COMPLETE).decision.checklist.track, Some(Track::Doa));
    assert!(says(&desk.reckoned(&[]), "warranty.start", None, "D = 2026-11-16, by the order feed; C = 2026-11-20"));
}

#[test]
fn doa_window_counts_to_the_first_letter_not_to_the_completing_one() {
    for (received, track) in [("13 November", Track::Doa), ("12 November", Track::Repair)] {
        let mut desk = Desktop::new();
        let claim = COMPLETE.replace("1 October", received).replace("item code 4006381333931, ", "");
        assert_eq!(desk.take(&claim).decision.action, Action::Ask);
        desk.date = "Mon, 30 Nov 2026 10:00:00 +0000";
        let outcome = desk.take("The item code is 4006381333931, the video shows the box.");
        assert_eq!((outcome.decision.action, outcome.decision.track), (Action::IssueRma, Some(track)), "{received}");
    }
}

#[test]
fn doa_large_files_the_customer_hears_of_another_way() {
    let mut desk = Desktop { cut_short: true, ..Desktop::new() };
    let text = desk.take("My Roam 5 does not charge. Order KS20001.").reply.unwrap().text;
    assert!(text.contains("larger than 35") && text.contains("send us the link"), "{text}");
}

#[test]
fn doa_outcome_is_the_customers_choice() {
    let (mut desk, letter) = authorised(&doa());
    assert!(letter.contains("a new item free of charge, or a full refund"), "{letter}");
    desk.act("arrived");
    let mut events = desk.act("chosen refund").events;
    assert_eq!(desk.case.as_ref().unwrap().remedy, Some(Remedy::Refund));
    let resumed = desk.act("inspected confirmed");
    assert!(resumed.reply.unwrap().text.contains("As you wished, you will receive a full refund"));
    events.extend(resumed.events);
    let lines = desk.reckoned(&events);
    assert!(says(&lines, "doa.outcome", None, "the customer wants a full refund"), "{lines:?}");
    assert!(says(&lines, "doa.outcome", Some(true), "the fault is confirmed"), "{lines:?}");
}

#[test]
fn doa_return_cost_is_paid_back_on_a_receipt_once_the_fault_is_confirmed() {
    let (mut desk, letter) = authorised(&doa());
    assert!(letter.contains("keep the receipt") && letter.contains("Once the fault is confirmed"), "{letter}");
    let before = desk.reckoned(&[]);
    assert!(says(&before, "doa.return_cost", None, "on a valid receipt once the fault is confirmed"), "{before:?}");
    desk.act("arrived");
    assert!(desk.told("inspected confirmed").contains("please send us the receipt for the postage"));
    let events = desk.act("reimbursed 12.50 EUR").events;
    assert!(desk.case.as_ref().unwrap().reimbursed);
    assert!(says(&desk.reckoned(&events), "doa.return_cost", Some(true), "was paid back"));
}

#[test]
fn doa_not_confirmed_means_no_reimbursement_and_staff_decide() {
    for (finding, told) in
        [("not_doa", "the postage can’t be reimbursed"), ("no_fault_found", "did not appear in our tests")]
    {
        let mut desk = arrived(&doa());
        let resumed = desk.act(&format!("inspected {finding}"));
        let text = resumed.reply.unwrap().text;
        assert!(text.contains(told) && !text.contains("send us the receipt"), "{text}");
        assert!(says(&desk.reckoned(&resumed.events), "doa.not_confirmed", Some(false), "no reimbursement"));
        assert!(desk.case.as_ref().unwrap().attention.is_some());
    }
}

#[test]
fn unopened_condition_is_asked_for_and_looked_at_again() {
    let outcome = Desktop::new().take(&UNUSED.replace(", it is still sealed", ""));
    assert_eq!((outcome.decision.action, missing(&outcome)), (Action::Ask, vec![Item::Unopened]));
    let mut desk = arrived(UNUSED);
    let resumed = desk.act("inspected opened");
    assert!(says(&desk.reckoned(&resumed.events), "unopened.condition", Some(false), "it was opened or used"));
}

#[test]
fn unopened_cost_is_the_customers() {
    let (desk, letter) = authorised(UNUSED);
    assert!(letter.contains("The postage to us is at your expense and can’t be refunded."), "{letter}");
    assert!(says(&desk.reckoned(&[]), "unopened.cost", None, "return shipping is the customer's"));
}

#[test]
fn repair_confirm_a_person_approves_where_the_policy_says_so() {
    let policy = Policy { approve: vec![Track::Repair], ..Policy::default() };
    let mut desk = Desktop { terms: terms_of(policy, Vec::new()).unwrap(), ..Desktop::new() };
    let outcome = desk.take(COMPLETE);
    assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![Reason::Approval]));
    assert_eq!(outcome.decision.checklist.track, Some(Track::Repair));
    assert_eq!(outcome.reply.unwrap().kind, Kind::Acknowledgement);
    assert!(says(&desk.reckoned(&[]), "repair.confirm", None, "a person approves it before the RMA"));
    let proposed = proposal(desk.case.as_ref().unwrap()).unwrap();
    assert_eq!(proposed, "approve repair");
    let resumed = desk.act(&proposed);
    assert_eq!((resumed.reply.unwrap().kind, desk.state()), (Kind::Rma, State::RmaIssued));
    let by_kim = |e: &&CaseEvent| matches!(e.event, Event::RmaIssued { .. }) && e.by == Actor::Staff("kim".to_owned());
    assert_eq!(resumed.events.iter().filter(by_kim).count(), 1);
    // Other tracks go on by themselves.
    let policy = Policy { approve: vec![Track::Repair], ..Policy::default() };
    let mut desk = Desktop { terms: terms_of(policy, Vec::new()).unwrap(), ..Desktop::new() };
    assert_eq!(desk.take(&doa()).decision.action, Action::IssueRma);
}

#[test]
fn repair_confirm_the_fault_is_confirmed_before_the_repair() {
    let mut desk = arrived(COMPLETE);
    assert!(desk.try_act("repaired").is_err(), "not before the inspection");
    let resumed = desk.act("inspected confirmed");
    assert!(resumed.reply.unwrap().text.contains("We will repair the item free of charge"));
    assert!(says(&desk.reckoned(&resumed.events), "repair.confirm", Some(true), "repaired free of charge"));
    desk.act("repaired");
    assert_eq!(desk.state(), State::Repaired);
}

#[test]
fn repair_cost_the_way_there_is_the_customers_the_way_back_ours() {
    let (desk, letter) = authorised(COMPLETE);
    assert!(letter.contains("at your expense") && letter.contains("We pay for the return to you"), "{letter}");
    assert!(says(&desk.reckoned(&[]), "repair.cost", None, "the customer's; the way back is ours"));
}

#[test]
fn repair_flat_rate_or_a_faster_way_at_the_customers_cost() {
    for (words, service, told) in [
        ("shipped 1Z99", Service::FlatRate, "flat-rate"),
        ("shipped faster 1Z99", Service::Faster, "at the customer's cost"),
    ] {
        let mut desk = arrived(COMPLETE);
        desk.act("inspected confirmed");
        desk.act("repaired");
        let resumed = desk.act(words);
        assert!(resumed.reply.unwrap().text.contains("1Z99"));
        let recorded = Event::ShippedBack { tracking: Some("1Z99".to_owned()), service };
        assert!(resumed.events.iter().any(|e| e.event == recorded), "{words}");
        assert!(says(&desk.reckoned(&resumed.events), "repair.flat_rate", None, told), "{words}");
    }
}

#[test]
fn repair_alternative_is_offered_where_repair_is_impossible() {
    let mut desk = arrived(COMPLETE);
    let resumed = desk.act("inspected not_repairable: We can send you a DUNE instead.");
    let text = resumed.reply.unwrap().text;
    assert!(text.contains("another solution") && text.contains("We can send you a DUNE instead."), "{text}");
    assert!(says(&desk.reckoned(&resumed.events), "repair.alternative", Some(true), "another solution"));
    desk.act("replaced");
    assert_eq!(desk.state(), State::Replaced);
}

#[test]
fn paid_repair_is_prepared_for_staff_and_never_an_automatic_refusal() {
    for claim in [COMPLETE.replace("2026", "2024"), format!("{COMPLETE} I dropped it on the floor.")] {
        let mut desk = Desktop::new();
        let outcome = desk.take(&claim);
        assert_eq!(outcome.decision.action, Action::Staff, "{claim}");
        assert_eq!(outcome.reply.unwrap().kind, Kind::Acknowledgement);
        assert_eq!(proposal(desk.case.as_ref().unwrap()).as_deref(), Some("offer"));
        let reply = desk.act("offer").reply.unwrap();
        assert_eq!(reply.kind, Kind::Offer);
        assert!(reply.text.contains("repair it for a fee") && reply.text.contains("spare parts"), "{}", reply.text);
    }
}

#[test]
fn wear_and_breakage_in_use_go_to_a_person() {
    for words in ["It is normal wear and tear, I know.", "It broke in use when I knocked it against a door."] {
        let outcome = Desktop::new().take(&format!("{COMPLETE} {words}"));
        assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![Reason::Void]), "{words}");
    }
    for letter in [
        "Meine Uhr ist kaputt, das Armband ist gerissen. Das ist normaler Verschleiß.",
        "Ma montre est cassée, le bracelet s'est déchiré. C'est de l'usure normale.",
        "Mi reloj está roto, la correa se ha partido. Es un desgaste normal por el uso.",
        "Il mio orologio è rotto, il cinturino si è strappato. È usura normale.",
        "Mijn horloge is kapot, het bandje is gescheurd. Dat is gewone slijtage.",
        "O meu relógio está avariado, a bracelete rasgou-se. É desgaste normal.",
        "Mój zegarek jest zepsuty, pasek się rozerwał. To normalne zużycie.",
    ] {
        assert_eq!(Desktop::new().take(letter).decision.reasons, [Reason::Void], "{letter}");
    }
}

/// The claim with `words`: to a person, with the sentence marked under its clause.
fn voids(clause: &str, words: &str) {
    let mut desk = Desktop::new();
    let outcome = desk.take(&format!("{COMPLETE} {words}"));
    assert_eq!((outcome.decision.action, outcome.decision.reasons), (Action::Staff, vec![Reason::Void]), "{words}");
    let lines = desk.reckoned(&[]);
    assert!(says(&lines, clause, Some(false), words.trim_end_matches('.')), "{lines:?}");
}

#[test]
fn void_flash_goes_to_a_person() {
    voids("void.flash", "I flashed a custom ROM.");
}

#[test]
fn void_open_goes_to_a_person() {
    voids("void.open", "I unscrewed the back cover and looked inside.");
}

#[test]
fn void_modify_goes_to_a_person() {
    voids("void.modify", "I replaced the battery myself with another one.");
}

#[test]
fn void_unintended_goes_to_a_person() {
    voids("void.unintended", "It went through the washing machine.");
}

#[test]
fn void_continued_goes_to_a_person() {
    voids("void.continued", "I kept using it despite the crack and it got worse.");
}

#[test]
fn rma_first_no_letter_names_the_address_before() {
    let mut desk = Desktop::new();
    let ask = desk.take("My Roam 5 does not charge. Order KS20001.").reply.unwrap();
    assert!(!ask.text.contains("1 Sample Street") && !ask.html.contains("1 Sample Street"));
    let acknowledged = Desktop::new().take("Where can I buy a new strap?").reply.unwrap();
    assert!(!acknowledged.text.contains("1 Sample Street"));
    let (desk, letter) = authorised(COMPLETE);
    assert!(letter.contains("1 Sample Street") && letter.contains(desk.case.unwrap().rma.unwrap().number.as_str()));
}

#[test]
fn rma_breach_is_noted_at_arrival_and_staff_decide() {
    for (words, arrival) in [("wrong_item", Arrival::WrongItem), ("empty", Arrival::Empty)] {
        let (mut desk, _) = authorised(COMPLETE);
        let resumed = desk.act(&format!("arrived {words}"));
        assert_eq!(resumed.reply, None, "nobody is told by a template");
        let case = desk.case.as_ref().unwrap();
        assert_eq!((case.state, case.arrival), (State::Received, Some(arrival)));
        assert!(case.attention.is_some());
        assert!(says(&desk.reckoned(&resumed.events), "rma.breach", Some(false), "a person decides"));
    }
    let mut desk = Desktop::new();
    desk.take("My Roam 5 does not charge. Order KS20001.");
    assert!(desk.try_act("arrived").is_err(), "without an RMA it can't be as authorised");
    desk.act("arrived unauthorised");
    assert_eq!(desk.state(), State::Received);
}

#[test]
fn inspection_comes_before_every_remedy() {
    let mut desk = arrived(COMPLETE);
    for words in ["repaired", "replaced", "refunded", "shipped 1Z99"] {
        assert!(desk.try_act(words).is_err(), "{words}");
    }
    desk.act("inspected confirmed");
    assert_eq!(desk.state(), State::Inspected);
}

#[test]
fn customs_are_the_customers_and_kept_back_of_a_refund() {
    let (mut desk, letter) = authorised(&doa());
    assert!(letter.contains("customs charges, duties and tariffs on the way to us are at your expense"), "{letter}");
    desk.act("arrived");
    desk.act("inspected confirmed");
    let resumed = desk.act("refunded 49.90EUR deducted=3.10EUR");
    let text = resumed.reply.unwrap().text;
    assert!(text.contains("49.90\u{a0}EUR") && text.contains("3.10\u{a0}EUR for customs charges"), "{text}");
    assert!(says(&desk.reckoned(&resumed.events), "customs", None, "3.10 EUR kept back"));
}

#[test]
fn misuse_cost_is_in_the_offer() {
    let mut desk = arrived(COMPLETE);
    let resumed = desk.act("inspected not_covered");
    assert!(says(&desk.reckoned(&resumed.events), "misuse.cost", Some(false), "at the customer's cost"));
    let text = desk.told("offer: The repair costs 39 EUR, shipping both ways 12 EUR.");
    assert!(text.contains("at your own cost") && text.contains("shipping both ways 12 EUR"), "{text}");
}

/// What is missing of the claim without `part`.
fn without(part: &str) -> Vec<Item> {
    assert!(COMPLETE.contains(part), "{part}");
    missing(&Desktop::new().take(&COMPLETE.replace(part, "")))
}

#[test]
fn process_1_what_when_how_order_number_and_product() {
    assert_eq!(without("Order KS20001, "), [Item::OrderNumber]);
    assert_eq!(without("Since Monday "), [Item::ProblemWhen]);
    assert_eq!(without(" as soon as I open the menu"), [Item::ProblemHow]);
    let open = missing(&Desktop::new().take("My watch is broken."));
    assert!(open.starts_with(&[Item::OrderNumber, Item::Sku]) && open.contains(&Item::ProblemWhat), "{open:?}");
}

#[test]
fn process_2_the_steps_already_taken() {
    assert_eq!(without(" I have restarted it."), [Item::StepsTaken]);
}

#[test]
fn process_3_the_item_code_on_the_packaging() {
    assert_eq!(without("item code 4006381333931, "), [Item::ItemCode]);
}

#[test]
fn process_4_a_photo_or_video_of_the_fault() {
    assert_eq!(without(" A video is attached."), [Item::Photo]);
}

#[test]
fn contact_a_web_form_counts_as_the_customers_own_mail() {
    let mut desk = Desktop::new();
    let outcome = desk.take_from("Web form <form@example.com>\r\nReply-To: Jo <jo@example.net>", COMPLETE);
    assert_eq!(outcome.decision.action, Action::IssueRma);
    assert_eq!(outcome.reply.unwrap().to.address.as_str(), "jo@example.net");
}
