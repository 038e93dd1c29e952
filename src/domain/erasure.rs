//! What stays of a case for the books once nobody is to be told who its customer was: RMA number, products, item code,
//! dates, decisions, what happened when. Names, addresses, words, subjects, file names, links, tracking numbers and
//! what staff wrote go.
//!
//! Each event stays the event it was, so that a case is still the fold of its events and stands where it stood.

use sha2::{Digest, Sha256};

use super::correction::Correction;
use super::event::{CaseEvent, Event};
use super::facts::{Evidence, Fact, Facts};
use super::ids::{Address, LetterId, Malformed, OrderNumber};
use super::letter::Person;

/// Stands for a number that was given and is no more.
const NO_ORDER: &str = "ERASED-0";

/// What the words of a symptom, in this language, may be called: all that is kept of them.
pub type Symptom = fn(Option<&str>, &str) -> String;

/// Stands for an address: the same for the same address and key, and telling nothing without the key.
pub fn pseudonym(address: &Address, key: &str) -> Result<Address, Malformed> {
    let digest = Sha256::digest(format!("{key}\0{address}"));
    let hex = LetterId::from_digest(&digest.into());
    Address::new(&format!("{}@erased.invalid", hex.as_str().get(..32).unwrap_or_default()))
}

/// The event without what could tell who the customer is; `who` stands for them.
pub fn erased(event: &CaseEvent, who: &Address, symptom: Symptom) -> Result<CaseEvent, Malformed> {
    let mut kept = event.clone();
    kept.why = None;
    match &mut kept.event {
        Event::Opened { customer, .. } => *customer = Person { name: None, address: who.clone() },
        Event::LetterTaken { message_id, from, subject, language, words, facts, .. } => {
            (*message_id, *from) = (None, None);
            (*subject, *words) = (String::new(), String::new());
            erase_facts(facts, &|said| symptom(language.as_deref(), said));
        }
        Event::LetterNoted { message_id, from, subject, .. } => {
            (*message_id, *from) = (None, None);
            subject.clear();
        }
        Event::Completed { sku, received_on, bought_on: _, country: _ } => {
            sku.iter_mut().for_each(erase_fact);
            received_on.iter_mut().for_each(erase_fact);
        }
        Event::OrderNotFound { order_number, meant } => {
            (*order_number, *meant) = (OrderNumber::new(NO_ORDER)?, None);
        }
        Event::Posted { tracking } | Event::ShippedBack { tracking, .. } => *tracking = None,
        Event::ReceiptTaken { outlay, .. } => outlay.file.clear(),
        Event::Noted { text } => text.clear(),
        Event::Corrected { correction: Correction::OrderNumber(number) } => *number = None,
        Event::ReplyQueued { subject, text, .. } | Event::DraftWritten { subject, text, .. } => {
            subject.clear();
            text.clear();
        }
        Event::Split { messages, facts, .. } => {
            messages.clear();
            erase_facts(facts, &|said| symptom(None, said));
        }
        Event::Decided { .. }
        | Event::Asked { .. }
        | Event::HandedToStaff
        | Event::SafetyHeld
        | Event::RmaIssued { .. }
        | Event::RmaExtended { .. }
        | Event::Arrived { .. }
        | Event::Inspected { .. }
        | Event::Chosen { .. }
        | Event::Repaired
        | Event::Replaced
        | Event::Refunded { .. }
        | Event::Rejected
        | Event::Reimbursed { .. }
        | Event::Withdrawn
        | Event::Expired
        | Event::Closed
        | Event::Reopened
        | Event::Merged { .. }
        | Event::SplitOff { .. }
        | Event::Handled
        | Event::Corrected { .. }
        | Event::Assigned { .. }
        | Event::Snoozed { .. }
        | Event::Reminded { .. }
        | Event::Scheduled { .. }
        | Event::DraftReleased { .. }
        | Event::DraftDropped { .. }
        | Event::ReplySent { .. }
        | Event::ReplyRefused { .. }
        | Event::Erased => {}
    }
    Ok(kept)
}

fn erase_facts(facts: &mut Facts, symptom: &dyn Fn(&str) -> String) {
    // Every field by name: one that comes later has to be thought of here.
    let Facts {
        request,
        order_number,
        sku,
        sku_candidates,
        item_code,
        received_on,
        problem_what,
        problem_when,
        problem_how,
        steps_taken,
        unopened,
        packaging_shown,
        photos,
        videos,
        links,
        evidence_seen: _,
        void_signals,
        safety,
        doubt,
        unsafe_attachment,
        legal,
        outlay,
        not_available,
        where_to_find: _,
    } = facts;
    if let Some(what) = problem_what {
        what.quote = symptom(&what.quote);
    }
    request.iter_mut().for_each(erase_fact);
    *order_number = None;
    sku.iter_mut().chain(sku_candidates).for_each(erase_fact);
    item_code.iter_mut().for_each(erase_fact);
    received_on.iter_mut().for_each(erase_fact);
    unopened.iter_mut().for_each(erase_fact);
    void_signals.iter_mut().for_each(erase_fact);
    not_available.iter_mut().for_each(erase_fact);
    let told = [problem_when, problem_how, steps_taken, packaging_shown, safety, doubt, unsafe_attachment, legal];
    told.into_iter().flatten().for_each(erase_evidence);
    for photo in photos {
        photo.name.clear();
        photo.codes.clear();
    }
    videos.iter_mut().chain(links).for_each(String::clear);
    outlay.iter_mut().for_each(|outlay| outlay.file.clear());
}

fn erase_fact<T>(fact: &mut Fact<T>) {
    erase_evidence(&mut fact.evidence);
}

fn erase_evidence(evidence: &mut Evidence) {
    evidence.quote.clear();
}
