//! What staff get of a case that needs them: everything that is known of it on one page, and what they can answer.
//!
//! Each thing that can be answered was tried on the case: what stands there can be done.

use jiff::Timestamp;
use serde::Serialize;

use super::Terms;
use super::instruct::Key;
use super::parse::is_invisible;
use super::propose::proposal;
use super::reckon::{self, reckon, verdict};
use super::resume::{Cause, Known, resume};
use crate::domain::act::Act;
use crate::domain::case::{Case, State};
use crate::domain::decision::{Action, Class, Decision, Reason};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::ids::{LetterId, RmaNumber};
use crate::domain::returns::{Arrival, Finding};
use crate::domain::warranty::{Item, Status, Track};

/// Characters of the customer's words that are shown; the rest is in the mail enclosed.
const WORDS: usize = 6000;
/// What `answer` does.
const SENT_AS_THEY_ARE: &str = "they are sent as they are";
/// Files that are named one by one.
const FILES: usize = 30;

/// A case on one page. Every text of it is on one line and free of what can't be seen, except `words`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Digest {
    pub case: String,
    /// Why a person is needed, in plain words.
    pub why: String,
    pub state: &'static str,
    /// Since when it waits, if this is a reminder.
    pub waits_since: Option<String>,
    /// What is known, as name and value.
    pub known: Vec<(&'static str, String)>,
    pub missing: Vec<String>,
    pub doubtful: Vec<String>,
    pub reckoning: Vec<Reckoned>,
    /// What the program made of it.
    pub verdict: Option<String>,
    /// What can be answered; the step that is proposed goes first.
    pub steps: Vec<Step>,
    /// Whether answers by mail are followed.
    pub by_mail: bool,
    /// The customer's latest words, line by line.
    pub words: Vec<String>,
    pub letters: u32,
    pub files: Vec<String>,
    /// What became of the original mail.
    pub original: Option<String>,
    pub reference: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reckoned {
    pub sign: &'static str,
    pub clause: &'static str,
    pub text: String,
}

/// Words to answer and what they do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub words: String,
    pub means: String,
}

/// What the shell knows of a hand-over.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub key: &'a Key,
    /// It was handed over before, and waits.
    pub is_reminder: bool,
    pub by_mail: bool,
    /// Names of the latest letter's files.
    pub files: &'a [String],
    pub original: Option<&'a str>,
    pub now: Timestamp,
}

/// Whether a change of a case makes it need a person who did not know of it.
pub fn is_needed(before: Option<&Case>, after: &Case) -> bool {
    let needed_before = before.is_some_and(|case| case.attention.is_some());
    let held_before = before.is_some_and(|case| case.state == State::SafetyHold);
    after.attention.is_some() && (!needed_before || after.state == State::SafetyHold && !held_before)
}

/// The letter that a hand-over passes on: the customer's latest.
pub fn latest_letter(events: &[CaseEvent]) -> Option<&LetterId> {
    let moved = Event::moved(events);
    events.iter().rev().find_map(|event| match &event.event {
        Event::LetterTaken { letter, .. } if !moved.contains(letter) => Some(letter),
        _ => None,
    })
}

/// Puts a case with all its `events` on one page.
pub fn digest(case: &Case, events: &[CaseEvent], occasion: &Occasion<'_>, terms: &Terms) -> Digest {
    let since = case.attention.filter(|_| occasion.is_reminder).map(|at| at.strftime("%F %H:%M UTC").to_string());
    let of_status = |wanted: Status| {
        let items = case.decision.iter().flat_map(|d| &d.checklist.items);
        items.filter(|(_, status)| *status == wanted).map(|(item, _)| item.code()).collect()
    };
    let reckoned = |line: reckon::Line| Reckoned {
        sign: match line.holds {
            Some(true) => "✓",
            Some(false) => "✗",
            None => "·",
        },
        clause: line.clause,
        text: on_one_line(&line.text, 300),
    };
    let moved = Event::moved(events);
    let words = events.iter().rev().find_map(|event| match &event.event {
        Event::LetterTaken { letter, words, .. } if !moved.contains(letter) => Some(words.as_str()),
        _ => None,
    });
    let unnamed = occasion.files.len().saturating_sub(FILES);
    let mut files: Vec<String> = occasion.files.iter().take(FILES).map(|name| on_one_line(name, 120)).collect();
    files.extend((unnamed > 0).then(|| format!("and {unnamed} more")));
    Digest {
        case: case.id.to_string(),
        why: why(case, events),
        state: state(case.state),
        waits_since: since,
        known: known(case, terms),
        missing: of_status(Status::Missing),
        doubtful: of_status(Status::Unclear),
        reckoning: reckon(case, events, terms).into_iter().map(reckoned).collect(),
        verdict: case.decision.as_ref().map(verdict),
        steps: steps(case, terms, occasion.now),
        by_mail: occasion.by_mail,
        words: words.map(shown).unwrap_or_default(),
        letters: case.letters,
        files,
        original: occasion.original.map(str::to_owned),
        reference: occasion.key.reference(),
    }
}

/// Why a person is needed, by what happened at the moment from which on one is.
fn why(case: &Case, events: &[CaseEvent]) -> String {
    let at_once: Vec<&Event> = events.iter().filter(|e| Some(e.at) == case.attention).map(|e| &e.event).collect();
    let has = |wanted: fn(&Event) -> bool| at_once.iter().any(|event| wanted(event));
    let decided = at_once.iter().rev().find_map(|event| match event {
        Event::Decided { decision, .. } if decision.action == Action::Staff => Some(decision),
        _ => None,
    });
    if case.state == State::SafetyHold {
        return "safety: ".to_owned() + reckon::reason(Reason::Safety);
    }
    if let Some(Decision { reasons, .. }) = decided
        && !reasons.is_empty()
    {
        return reasons.iter().map(|reason| reckon::reason(*reason)).collect::<Vec<_>>().join("; ");
    }
    let why = match case.state {
        _ if has(|e| matches!(e, Event::ReplyRefused { .. })) => "a letter to the customer can't be delivered",
        _ if has(|e| matches!(e, Event::LetterNoted { class: Class::Bounce, .. })) => {
            "a letter to the customer came back"
        }
        _ if has(|e| matches!(e, Event::Reopened)) => "the case was reopened",
        State::InTransit => "the parcel has not arrived in time",
        State::Received => match case.arrival {
            Some(Arrival::AsAuthorised) | None => "the parcel is here: look at the item",
            Some(_) => "a parcel is here that is not as authorised",
        },
        State::Inspected | State::NoFaultFound => "the item was inspected: what follows is to be done",
        State::Repaired | State::Replaced => "the item has to go to the customer",
        State::Rejected => "the refused item lies here and has to go back",
        _ => "a person has to look",
    };
    why.to_owned()
}

fn known(case: &Case, terms: &Terms) -> Vec<(&'static str, String)> {
    let facts = &case.facts;
    let name = case.customer.name.as_deref().map(|name| on_one_line(name, 80)).unwrap_or_default();
    let mut known = vec![("customer", format!("{name} <{}>", case.customer.address).trim_start().to_owned())];
    let mut add = |name, value: Option<String>| known.extend(value.map(|value| (name, value)));
    add("language", case.language.clone());
    add("wants", case.request.map(|request| request.code().replace('_', " ")));
    let product = |sku: &crate::domain::ids::Sku| {
        let product = terms.catalogue.products.iter().find(|product| product.sku == *sku);
        product.map_or_else(|| sku.to_string(), |product| format!("{} ({sku})", product.name))
    };
    add("product", facts.sku.as_ref().map(|sku| product(&sku.value)));
    if facts.sku.is_none() && !facts.sku_candidates.is_empty() {
        let candidates: Vec<&str> = facts.sku_candidates.iter().map(|sku| sku.value.as_str()).collect();
        add("one of", Some(candidates.join(", ")));
    }
    add("order", facts.order_number.as_ref().map(|order| order.value.to_string()));
    add("item code", facts.item_code.as_ref().map(|code| code.value.to_string()));
    add("received", facts.received_on.as_ref().map(|day| day.value.to_string()));
    add("first mail", Some(case.opened_on.to_string()));
    add("problem", facts.problem_what.as_ref().map(|evidence| format!("“{}”", on_one_line(&evidence.quote, 200))));
    add("danger", facts.safety.as_ref().map(|evidence| format!("“{}”", on_one_line(&evidence.quote, 200))));
    add("legal", facts.legal.as_ref().map(|evidence| format!("“{}”", on_one_line(&evidence.quote, 200))));
    add("unclear", facts.doubt.as_ref().map(|evidence| format!("“{}”", on_one_line(&evidence.quote, 200))));
    let photo = |photo: &crate::domain::facts::Photo| {
        format!("{} ({})", on_one_line(&photo.name, 80), photo.judgement.code().replace('_', " "))
    };
    let photos: Vec<String> = facts.photos.iter().take(FILES).map(photo).collect();
    add("photos", Some(photos.join(", ")).filter(|photos| !photos.is_empty()));
    let videos: Vec<String> = facts.videos.iter().take(FILES).map(|video| on_one_line(video, 80)).collect();
    add("videos", Some(videos.join(", ")).filter(|videos| !videos.is_empty()));
    let links: Vec<String> = facts.links.iter().take(5).map(|link| on_one_line(link, 200)).collect();
    add("links", Some(links.join(", ")).filter(|links| !links.is_empty()));
    add(
        "RMA",
        case.rma.as_ref().map(|rma| format!("{} ({}), valid until {}", rma.number, rma.track.code(), rma.valid_until)),
    );
    known
}

/// What can be done with the case now, the likeliest first: of what may be sensible all that the case allows.
fn steps(case: &Case, terms: &Terms, now: Timestamp) -> Vec<Step> {
    const SHOWN: usize = 8;
    let checklist = case.decision.as_ref().map(|decision| decision.checklist.clone()).unwrap_or_default();
    let missing = checklist.missing();
    let mut steps: Vec<(String, String)> =
        proposal(case).into_iter().map(|words| (words, "it looks like this".to_owned())).collect();
    for (words, means) in proposals(case, &missing, checklist.track) {
        match steps.iter_mut().find(|(known, _)| *known == words) {
            Some(known) => known.1 = means,
            None => steps.push((words, means)),
        }
    }
    for (words, means) in [
        ("answer: your words to the customer", SENT_AS_THEY_ARE),
        ("offer", "a repair at the customer's cost is offered; add “: your words” if you like"),
        ("reject: the reason", "the customer is told the reason, and of their legal rights"),
        ("handled", "nothing more is to be done for now"),
        ("note: words for staff", "kept with the case"),
        ("close", "the case is closed without a letter"),
    ] {
        if steps.iter().all(|(known, _)| known != words) {
            steps.push((words.to_owned(), means.to_owned()));
        }
    }
    let Some(known) = any_rma().map(Known::nothing_but) else { return Vec::new() };
    let can_be_done = |(words, means): (String, String)| {
        let act = Act::parse(&words).ok()?;
        resume(case, Cause::Staff { name: "", act: &act, why: None }, &known, terms, now).ok()?;
        Some(Step { words, means })
    };
    steps.into_iter().filter_map(can_be_done).take(SHOWN).collect()
}

fn proposals(case: &Case, missing: &[Item], track: Option<Track>) -> Vec<(String, String)> {
    let has = |reason| case.decision.as_ref().is_some_and(|decision| decision.reasons.contains(&reason));
    let step = |words: &str, means: &str| (words.to_owned(), means.to_owned());
    let ask = (!missing.is_empty()).then(|| {
        let codes: Vec<String> = missing.iter().map(Item::code).collect();
        (format!("ask {}", codes.join(" ")), "the customer is asked for it".to_owned())
    });
    let approve = track.filter(|_| missing.is_empty()).map(|track| {
        (format!("approve {}", track.code()), "the return is authorised and the RMA letter sent".to_owned())
    });
    // What only a person's own words can settle.
    let to_be_told = [
        Reason::OutOfWarranty,
        Reason::ReturnWindowPassed,
        Reason::NotEligible,
        Reason::Void,
        Reason::SenderMismatch,
        Reason::SkuNotInOrder,
        Reason::NotDelivered,
        Reason::DuplicateRma,
        Reason::Conflict,
        Reason::UnknownThread,
    ];
    let answer = to_be_told.into_iter().any(has).then(|| step("answer: your words to the customer", SENT_AS_THEY_ARE));
    let of_doa = case.rma.as_ref().is_some_and(|rma| rma.track == Track::Doa);
    let back = step("shipped", "it goes back by flat rate; add the tracking number");
    let refunded = step("refunded", "the customer is told; add the amount, as 49.90 EUR");
    match case.state {
        State::SafetyHold => {
            let release =
                step("release", "no danger any more: the case goes on with you; a second line may say what is next");
            [Some(release), ask].into_iter().flatten().collect()
        }
        State::InTransit => vec![step("arrived", "the parcel is here; the customer is told")],
        State::Received => vec![
            step("inspected confirmed", "the fault is confirmed; the customer is told"),
            step("inspected no_fault_found", "nothing is wrong with it; the customer is told"),
            step("inspected not_covered", "the warranty does not cover it; the customer is told"),
        ],
        State::Inspected if case.finding == Some(Finding::Confirmed) && of_doa => {
            vec![step("replaced", "a new item goes out"), refunded]
        }
        State::Inspected if case.finding == Some(Finding::Confirmed) => {
            vec![step("repaired", "it works again"), refunded, back]
        }
        State::Inspected | State::NoFaultFound | State::Repaired | State::Replaced | State::Rejected => vec![back],
        State::RmaIssued => vec![step("extend", "the RMA is valid as long again, and the customer told")],
        _ => [answer, ask, approve].into_iter().flatten().collect(),
    }
}

/// A number to try things with.
fn any_rma() -> Option<RmaNumber> {
    let day = jiff::civil::Date::default();
    (0..=u8::MAX).find_map(|n| RmaNumber::make("AA", day, [n, 1, 2, 3, 4]))
}

fn state(state: State) -> &'static str {
    match state {
        State::New => "new",
        State::AwaitingInfo => "the customer was asked",
        State::WithStaff => "with staff",
        State::SafetyHold => "held for safety",
        State::RmaIssued => "the return is authorised",
        State::InTransit => "the parcel is under way",
        State::Received => "the parcel is here",
        State::Inspected => "inspected",
        State::NoFaultFound => "no fault was found",
        State::Repaired => "repaired",
        State::Replaced => "replaced",
        State::Refunded => "refunded",
        State::Rejected => "refused",
        State::ShippedBack => "on its way to the customer",
        State::Expired => "the RMA has expired",
        State::Withdrawn => "withdrawn",
        State::Closed => "closed",
        State::Merged => "merged",
    }
}

/// A text of somebody else on one line.
fn on_one_line(text: &str, longest: usize) -> String {
    let visible: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_visible).collect();
    let line = visible.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(longest) {
        Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default().trim_end()),
        None => line,
    }
}

/// The customer's words, line by line.
fn shown(words: &str) -> Vec<String> {
    let cut = words.char_indices().nth(WORDS).map(|(cut, _)| cut);
    let text = cut.and_then(|cut| words.get(..cut)).unwrap_or(words);
    let mut lines: Vec<String> = text.trim().lines().map(|line| on_one_line(line, WORDS)).collect();
    lines.extend(cut.map(|_| "[…]".to_owned()));
    lines
}

fn is_visible(c: &char) -> bool {
    !c.is_control() && !is_invisible(*c)
}

#[cfg(test)]
mod tests;
