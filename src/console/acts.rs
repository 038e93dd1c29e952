//! What can be done with a case: a page for each act, with what would happen and the letter as it would go out, then the
//! same door as from the shell.
//!
//! A form is a line of words as `Act::parse` reads it, in fields: so an act that is new there can be done here at once.

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::cases::{id, known};
use super::correct::{self, Becomes, Fact, Field};
use super::door::Session;
use super::marks::short;
use super::page::{Frame, Problem, shown};
use super::{Console, trace};
use crate::domain::account::Deed;
use crate::domain::act::{Act, WORDS};
use crate::domain::case::{Case, State};
use crate::domain::event::{Actor, CaseEvent, Event};
use crate::domain::reply::Reply;
use crate::domain::returns::{Arrival, Finding, Remedy, Service};
use crate::domain::warranty::{Item, Track};
use crate::pipeline::propose::proposal;
use crate::pipeline::resume::{Cause, Resumed};
use crate::worker::Office;
use crate::worker::turn::{self, Undone};

/// The key of each act; one without a key has none.
const KEYS: [(&str, char); 29] = [
    ("approve", 'a'),
    ("ask", 'q'),
    ("answer", 'w'),
    ("reject", 'x'),
    ("offer", 'o'),
    ("route", 'u'),
    ("extend", 'e'),
    ("posted", 'p'),
    ("arrived", 'v'),
    ("inspected", 'i'),
    ("chosen", 'c'),
    ("repaired", 'd'),
    ("replaced", 'l'),
    ("refunded", 'f'),
    ("reimbursed", 'b'),
    ("shipped", 's'),
    ("release", 'r'),
    ("handled", 'h'),
    ("note", 'n'),
    ("withdraw", 'y'),
    ("close", 'z'),
    ("reopen", 't'),
    ("merge", 'm'),
    ("split", 'M'),
    ("send", 'S'),
    ("drop", 'D'),
    ("correct", 'C'),
    ("assign", 'A'),
    ("snooze", 'Z'),
];

/// Something that can be done now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    pub verb: &'static str,
    /// What it is called on the page of this case.
    pub name: &'static str,
    pub key: Option<char>,
    pub is_proposed: bool,
}

/// What the state of a case allows, the proposed step first.
pub fn offered(case: &Case, now: Timestamp) -> Vec<Offered> {
    let proposed = proposal(case);
    let proposed = proposed.as_deref().and_then(|line| line.split_whitespace().next());
    // Nothing else moves before.
    let proposed = match case.held() {
        _ if case.state == State::SafetyHold => Some("release"),
        Some(_) => Some("send"),
        None => proposed.or_else(|| on_the_way(case)),
    };
    let name = |verb| match verb {
        "send" if case.held().is_none() => "send_now",
        "drop" if case.held().is_none() => "undo",
        verb => verb,
    };
    let mut offered: Vec<Offered> = WORDS
        .iter()
        .filter(|(verb, _)| fits(case, verb, now))
        .map(|(verb, _)| Offered { verb, name: name(verb), key: key(verb), is_proposed: proposed == Some(*verb) })
        .collect();
    offered.sort_by_key(|offered| !offered.is_proposed);
    offered
}

/// What comes next on the way of a parcel.
fn on_the_way(case: &Case) -> Option<&'static str> {
    let track = case.rma.as_ref().map(|rma| rma.track);
    Some(match case.state {
        State::RmaIssued | State::InTransit => "arrived",
        State::Received => "inspected",
        State::Inspected if track == Some(Track::Repair) => "repaired",
        State::Inspected if track == Some(Track::UnopenedRefund) => "refunded",
        State::Inspected if case.remedy.is_none() => "chosen",
        State::Inspected if case.remedy == Some(Remedy::Refund) => "refunded",
        State::Inspected => "replaced",
        State::Repaired | State::Replaced => "shipped",
        State::Rejected if case.arrival.is_some() => "shipped",
        _ => return None,
    })
}

fn key(verb: &str) -> Option<char> {
    KEYS.iter().find(|(known, _)| *known == verb).map(|(_, key)| *key)
}

/// Whether an act makes sense now, as far as can be told without its words; the preview tells the rest.
fn fits(case: &Case, verb: &str, now: Timestamp) -> bool {
    let has_rma = case.rma.is_some();
    let event = match verb {
        _ if case.erased.is_some() => return false,
        "approve" => return !has_rma && matches!(case.state, State::New | State::AwaitingInfo | State::WithStaff),
        "split" => return case.letters > 1 && case.state != State::Merged,
        "merge" => return !matches!(case.state, State::Closed | State::Merged),
        "release" => return case.state == State::SafetyHold,
        "handled" | "snooze" => return case.attention.is_some(),
        "send" | "drop" => return !case.drafts.is_empty(),
        "correct" => return !case.state.is_final(),
        "chosen" => return has_rma && case.finding.is_some() && !case.state.is_final(),
        "reimbursed" => return !case.outlays.is_empty() && !case.reimbursed,
        "offer" | "route" => return !case.state.is_final(),
        "ask" => Event::Asked { items: Vec::new() },
        "reject" => Event::Rejected,
        "extend" => Event::RmaExtended { valid_until: case.rma.as_ref().map_or(case.opened_on, |rma| rma.valid_until) },
        "posted" => Event::Posted { tracking: None },
        "arrived" => Event::Arrived { arrival: Arrival::Unauthorised },
        "inspected" => Event::Inspected { finding: Finding::Confirmed },
        "repaired" => Event::Repaired,
        "replaced" => Event::Replaced,
        "refunded" => Event::Refunded { amount: None, deducted: None },
        "shipped" => Event::ShippedBack { tracking: None, service: Service::FlatRate },
        "withdraw" => Event::Withdrawn,
        "close" => Event::Closed,
        "reopen" => Event::Reopened,
        _ => return case.state != State::Merged,
    };
    let event = CaseEvent::new(event, Actor::Staff(String::new()), now);
    Case::apply(Some(case.clone()), &event).is_ok()
}

/// What is filled in: fields as they come, several of one name for several words.
#[derive(Debug, Clone, Default)]
pub struct Filled(pub Vec<(String, String)>);

impl Filled {
    /// The first value of a field.
    pub fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }

    /// The second value of a field.
    pub fn second(&self, name: &str) -> &str {
        self.0.iter().filter(|(known, _)| known == name).nth(1).map_or("", |(_, value)| value.as_str())
    }

    /// Whether a field has this value among its values.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(known, found)| known == name && found == value)
    }

    /// The line of words that it stands for.
    pub fn line(&self, verb: &str) -> String {
        let mut line = verb.to_owned();
        for (name, value) in &self.0 {
            let value = value.trim();
            match name.as_str() {
                _ if value.is_empty() => {}
                "word" => line = format!("{line} {value}"),
                // Whatever stands in the field beside it.
                "none" => line = format!("{verb} {} none", self.value("word")),
                // A value is one word.
                "order" | "sku" | "deducted" => {
                    line = format!("{line} {name}={}", value.split_whitespace().collect::<String>());
                }
                _ => {}
            }
        }
        match self.value("text").trim() {
            "" => line,
            text => format!("{line}: {}", text.replace("\r\n", "\n")),
        }
    }
}

/// What would happen.
struct Preview {
    events: Vec<CaseEvent>,
    reply: Option<Reply>,
    becomes: Option<Becomes>,
    /// What is decided on a case that it opens.
    opened: Option<Becomes>,
    /// Says what was looked at: what is done has to be the same.
    mark: String,
}

#[derive(Template)]
#[template(path = "console/act.html")]
struct ActPage {
    frame: Frame,
    case: Case,
    verb: String,
    /// What stands behind the verb, as for the shell.
    grammar: &'static str,
    filled: Filled,
    items: Vec<Item>,
    /// What can be put right, as long as nothing is chosen of it.
    facts: Vec<Fact>,
    fact: Option<Fact>,
    /// The subjects and texts of the letters that wait, where it is about them.
    drafts: Vec<(String, String)>,
    /// The letters that can be split off.
    letters: Vec<Splittable>,
    preview: Option<Preview>,
    /// Why it can't be done, or not yet.
    why: Option<String>,
    /// What happened since the page was looked at.
    changed: Vec<CaseEvent>,
}

/// What a link says of an act.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    /// The fact to put right.
    fact: String,
}

/// The page of an act, filled in with what the case suggests.
pub async fn form(
    Shared(console): Shared<Console>,
    session: Session,
    Path((case, verb)): Path<(String, String)>,
    Query(said): Query<Said>,
) -> Result<Response, Problem> {
    let id = id(&case)?;
    console
        .ask(move |office| {
            trace(office, &session, Deed::SawCase, Some(&id), Some(verb.clone()))?;
            let case = known(office, &id)?;
            let filled = suggested(&case, &verb, &said);
            Ok(shown(&page(office, &session, case, &verb, filled, Vec::new(), false)?))
        })
        .await
}

/// Shows what an act would do, or does it if that was looked at.
pub async fn act(
    Shared(console): Shared<Console>,
    session: Session,
    Path((case, verb)): Path<(String, String)>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let id = id(&case)?;
    let filled = Filled(fields);
    session.has_made(filled.value("token"))?;
    console
        .ask(move |office| {
            let case = known(office, &id)?;
            let line = filled.line(&verb);
            let why = Some(filled.value("why").trim()).filter(|why| !why.is_empty());
            let is_confirmed = filled.value("step") == "do" && filled.value("mark") == mark(&line);
            let (true, Ok(act), Ok(seen)) = (is_confirmed, Act::parse(&line), filled.value("version").parse::<u64>())
            else {
                trace(office, &session, Deed::SawCase, Some(&id), Some(verb.clone()))?;
                return Ok(shown(&page(office, &session, case, &verb, filled, Vec::new(), true)?));
            };
            let cause = Cause::Staff { name: session.name.as_str(), act: &act, why };
            match turn::act_as_seen(office, &id, seen, cause, Timestamp::now()) {
                Ok(_) => {
                    trace(office, &session, Deed::Acted, Some(&id), Some(verb.clone()))?;
                    office.store.flush()?;
                    Ok(Redirect::to(&format!("/cases/{id}?done={verb}")).into_response())
                }
                Err(Undone::Changed { since, .. }) => {
                    let case = known(office, &id)?;
                    let page = page(office, &session, case, &verb, filled, since, true)?;
                    Ok((StatusCode::CONFLICT, shown(&page)).into_response())
                }
                Err(Undone::Impossible(_)) => {
                    let page = page(office, &session, case, &verb, filled, Vec::new(), true)?;
                    Ok((StatusCode::UNPROCESSABLE_ENTITY, shown(&page)).into_response())
                }
                Err(undone) => Err(undone.into()),
            }
        })
        .await
}

/// The page, with a preview if all that is needed is there; `is_filled`: a person has filled it in.
fn page(
    office: &Office,
    session: &Session,
    case: Case,
    verb: &str,
    filled: Filled,
    changed: Vec<CaseEvent>,
    is_filled: bool,
) -> Result<ActPage, Problem> {
    let grammar = WORDS.iter().find(|(known, _)| *known == verb).map(|(_, grammar)| *grammar);
    let grammar = grammar.ok_or_else(|| Problem::NotFound(format!("Nothing is called {verb}.")))?;
    let line = filled.line(verb);
    let (preview, why) = match Act::parse(&line) {
        Ok(act) => {
            let cause = Cause::Staff { name: session.name.as_str(), act: &act, why: None };
            match turn::preview(office, &case, cause, Timestamp::now()) {
                Ok(Resumed { events, reply, opened, .. }) => {
                    let becomes = correct::becomes(Some(&case), &events);
                    let opened = opened.and_then(|opened| correct::becomes(None, &opened.events));
                    (Some(Preview { events, reply, becomes, opened, mark: mark(&line) }), None)
                }
                Err(Undone::Impossible(why)) => (None, Some(why)),
                Err(Undone::NoCase(case)) => (None, Some(format!("there is no case {case}"))),
                Err(undone) => return Err(undone.into()),
            }
        }
        // Nobody has filled in anything yet.
        Err(_) if !is_filled => (None, None),
        Err(why) => (None, Some(why)),
    };
    let items = ITEMS.to_vec();
    let frame = Frame::new(office, session, format!("{} {verb}", case.id))?;
    let catalogue = &office.terms.catalogue;
    let (mut facts, mut fact) = (Vec::new(), None);
    if verb == "correct" {
        let name = filled.value("word");
        fact = correct::fact(name, filled.second("word"), &case, catalogue, &frame);
        match (&fact, name) {
            (None, "") => facts = correct::facts(&case, catalogue, &frame),
            (None, name) => return Err(Problem::NotFound(format!("There is no fact {name} to put right."))),
            (Some(_), _) => {}
        }
    }
    let drafts = if matches!(verb, "send" | "drop") { drafts(office, &case)? } else { Vec::new() };
    let letters = if verb == "split" { splittable(office, &case, &frame)? } else { Vec::new() };
    let verb = verb.to_owned();
    Ok(ActPage { frame, case, verb, grammar, filled, items, facts, fact, drafts, letters, preview, why, changed })
}

fn drafts(office: &Office, case: &Case) -> Result<Vec<(String, String)>, Problem> {
    let waits = |id: &crate::domain::ids::MessageId| case.drafts.iter().any(|draft| draft.message_id == *id);
    let written = office.store.events(&case.id)?.into_iter().filter_map(|event| match event.event {
        Event::DraftWritten { message_id, subject, text, .. } if waits(&message_id) => Some((subject, text)),
        _ => None,
    });
    Ok(written.collect())
}

/// A letter that can become a case of its own.
struct Splittable {
    id: String,
    came: String,
    subject: String,
    begins: String,
}

/// All but the first, by which the case was opened.
fn splittable(office: &Office, case: &Case, frame: &Frame) -> Result<Vec<Splittable>, Problem> {
    let events = office.store.events(&case.id)?;
    let moved = Event::moved(&events);
    let letters = events.iter().filter_map(|event| match &event.event {
        Event::LetterTaken { letter, subject, words, .. } if !moved.contains(letter) => Some(Splittable {
            id: short(letter),
            came: frame.time(&event.at),
            subject: subject.clone(),
            begins: words.chars().take(200).collect(),
        }),
        _ => None,
    });
    Ok(letters.skip(1).collect())
}

const ITEMS: [Item; 11] = [
    Item::OrderNumber,
    Item::Sku,
    Item::ItemCode,
    Item::ReceivedOn,
    Item::ProblemWhat,
    Item::ProblemWhen,
    Item::ProblemHow,
    Item::StepsTaken,
    Item::Photo,
    Item::PackagingPhoto,
    Item::Unopened,
];

/// What the case suggests for an act: the proposed words, or what is known and missing.
fn suggested(case: &Case, verb: &str, said: &Said) -> Filled {
    let word = |word: String| ("word".to_owned(), word);
    if verb == "correct" && !said.fact.is_empty() {
        let other = correct::opposite(&said.fact, case).map(str::to_owned);
        return Filled([Some(said.fact.clone()), other].into_iter().flatten().map(word).collect());
    }
    if let Some(line) = proposal(case)
        && let Some(words) = line.strip_prefix(verb)
    {
        return Filled(words.split_whitespace().map(|w| word(w.to_owned())).collect());
    }
    let decision = case.decision.as_ref();
    Filled(match verb {
        "approve" => decision.and_then(|d| d.checklist.track).map(|track| word(track.code())).into_iter().collect(),
        "ask" => decision.iter().flat_map(|d| d.checklist.missing()).map(|item| word(item.code())).collect(),
        "arrived" => vec![word("as_authorised".to_owned())],
        _ => Vec::new(),
    })
}

/// A digest of the line that was looked at.
fn mark(line: &str) -> String {
    Sha256::digest(line).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(fields: &[(&str, &str)]) -> Filled {
        Filled(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_form_is_a_line_of_words() {
        let line = filled(&[("word", "repair"), ("order", " KS 10001 "), ("sku", "")]).line("approve");
        assert_eq!(line, "approve repair order=KS10001");
        let line = filled(&[("text", "Dear Kim,\r\n\r\nyes: it does.\r\n")]).line("answer");
        assert_eq!(Act::parse(&line), Ok(Act::Answer { text: "Dear Kim,\n\nyes: it does.".to_owned() }));
        let line = filled(&[("word", "photo"), ("word", "sku"), ("step", "do")]).line("ask");
        assert_eq!(Act::parse(&line), Ok(Act::Ask { items: vec![Item::Photo, Item::Sku] }));
        let line = filled(&[("word", "order_number"), ("word", "KS1"), ("none", "none")]).line("correct");
        assert_eq!(line, "correct order_number none");
        let line = filled(&[("word", "12.50 EUR"), ("deducted", "3.10 EUR"), ("text", "Sorry.")]).line("refunded");
        assert!(Act::parse(&line).is_ok(), "{line}");
    }

    #[test]
    fn every_act_has_a_key_of_its_own() {
        let keys: std::collections::BTreeSet<char> = KEYS.iter().map(|(_, key)| *key).collect();
        assert_eq!(keys.len(), KEYS.len());
        // Those are for moving about.
        assert!(keys.iter().all(|key| !"jkg?/".contains(*key)));
        assert!(WORDS.iter().all(|(verb, _)| key(verb).is_some()));
    }
}
