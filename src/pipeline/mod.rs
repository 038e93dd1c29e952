//! Floor 1: the path of one e-mail as pure functions: no clock, no random source, no store, no waiting. Time and fresh
//! numbers are handed in.
//!
//! The three functions to read first are [`read`], [`answer`] and [`resume::resume`], by which staff and the clock go on
//! with a case. Between the first two the shell looks the case and the order up, the only input in the middle, and
//! [`recall`] reads the letter as part of that case. All they give are proposals: the shell commits them, whole or not at
//! all.

// Step 1: raw bytes become a letter; never fails.
pub mod parse;

// Step 2: a person's letter, or why it gets no answer.
pub mod screen;

// What staff pass on.
mod passed_on;

// Step 3: which case it belongs to.
pub mod trace;

// Step 4: the words written now.
pub mod strip;

// Step 5: words and attachments become facts with evidence.
pub mod extract;

// What catalogue and order feed add to the facts.
pub mod complete;

// Step 6: facts against the four steps of the warranty process.
pub mod check;

// Step 7: what is to be done, and why.
pub mod decide;

// Which letter goes out, if any.
mod gate;

// The events that a letter and its decision propose.
mod course;

// Step 8: the reply.
pub mod compose;

// What goes with a reply, to be printed.
pub mod papers;

// What staff or the clock do.
pub mod resume;

// What the clock does next.
pub mod due;

// Why a case stands where it stands.
pub mod reckon;

// The same as JSON.
pub mod explain;

// What staff are likely to do next.
pub mod propose;

// What staff get of a case that needs them.
pub mod handover;

// What staff answer to that.
pub mod instruct;

// What a symptom is about, for the books.
pub mod symptoms;

// What a picture tells besides what it shows.
pub mod bare;

// The words of each language, as data.
pub mod lexicon;

// Finds a lexicon's phrases in a text.
pub mod phrases;

// A text as the lexicons see it.
pub mod fold;

use jiff::Timestamp;

use crate::domain::case::{Case, State};
use crate::domain::catalogue::{Catalogue, OrderAnswer};
use crate::domain::decision::{Action, Class, Decision, Outcome, Reason};
use crate::domain::event::{CaseEvent, Event};
use crate::domain::facts::Facts;
use crate::domain::hours::Deadlines;
use crate::domain::ids::{Address, CaseId, RmaNumber};
use crate::domain::letter::{Letter, Moment, Person};
use crate::domain::policy::{Held, Policy};
use crate::domain::reply::Sending;
use crate::domain::warranty::{self, Checklist};

use self::compose::{Frame, Letters};
use self::course::Course;
use self::decide::Situation;
use self::extract::Extractor;
use self::extract::answers::Asked;
use self::instruct::{Instructions, Reader};
use self::lexicon::Lexicons;
use self::screen::{Desk, Screen, Screening};
use self::strip::{Stripper, Words};
use self::trace::{Keys, Link, Tracer};

/// Everything that decisions rest on besides letters and cases, compiled once and checked whole.
#[derive(Debug)]
pub struct Terms {
    pub policy: Policy,
    pub catalogue: Catalogue,
    pub lexicons: Lexicons,
    pub letters: Letters,
    pub frame: Frame,
    pub caps: Caps,
    /// How long a case waits.
    pub deadlines: Deadlines,
    /// Which letters wait before they are sent.
    pub sending: Sending,
    /// Whether an order is unknown to everybody but its customer.
    pub hide_orders: bool,
    /// Identifies policy, catalogue, return addresses and templates; each decision records it.
    pub version: String,
    extractor: Extractor,
    screen: Screen,
    stripper: Stripper,
    tracer: Tracer,
    reader: Reader,
}

/// The most automatic letters; beyond them staff are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// To one address in 24 hours.
    pub per_sender: usize,
    /// In one case.
    pub per_case: usize,
}

impl Terms {
    /// Compiles the terms. `order_patterns` are the shop's own forms of order numbers. An error names what is wrong.
    pub fn new(
        policy: Policy,
        catalogue: Catalogue,
        desk: Desk,
        letters: Letters,
        frame: Frame,
        caps: Caps,
        order_patterns: &[String],
    ) -> Result<Self, String> {
        let lexicons = Lexicons::embedded()?;
        let wrong = policy.strangers(&catalogue);
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        let mut extractor = Extractor::new(order_patterns, &catalogue, &lexicons)?;
        extractor.know_channels(policy.channels.iter().map(|channel| channel.order_pattern.as_str()))?;
        let version = version(&policy, &catalogue, &letters, &frame);
        Ok(Self {
            extractor,
            screen: Screen::new(desk, &lexicons),
            stripper: Stripper::new(&lexicons),
            tracer: Tracer::new().map_err(|e| e.to_string())?,
            reader: Reader::new().map_err(|e| e.to_string())?,
            policy,
            catalogue,
            lexicons,
            letters,
            frame,
            caps,
            deadlines: Deadlines::default(),
            sending: Sending::default(),
            hide_orders: false,
            version,
        })
    }

    /// Identifies the deadlines.
    pub fn deadlines_mark(&self) -> u32 {
        use sha2::{Digest, Sha256};
        let digest = Sha256::digest(format!("{:?}", self.deadlines));
        digest.iter().take(4).fold(0, |mark, byte| mark << 8 | u32::from(*byte))
    }

    /// What of the policy holds for the purchase that a case is about.
    pub fn held(&self, case: &Case) -> Held {
        self.policy.held(&case.purchase(), &self.catalogue)
    }

    /// Whether an address is our own or of one of the staff.
    fn is_of_the_desk(&self, address: &Address) -> bool {
        self.screen.is_of_the_desk(address)
    }

    /// Whether claims in this language can be understood and answered.
    pub fn supports(&self, language: &str) -> bool {
        self.lexicons.of(language).is_some() && self.letters.languages().any(|l| l == language)
    }
}

/// A short digest of the policy, the catalogue, the return addresses and the templates.
fn version(policy: &Policy, catalogue: &Catalogue, letters: &Letters, frame: &Frame) -> String {
    use sha2::{Digest, Sha256};
    let addresses = (&frame.return_address, &frame.destinations);
    let digest = Sha256::digest(format!("{policy:?}{catalogue:?}{addresses:?}{}", letters.version()));
    digest.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// A letter, read: all that can be known without looking anything up. Attachments' bytes are let go.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub letter: Letter,
    pub class: Class,
    /// The header or rule that decided the class.
    pub why: String,
    pub customer: Option<Person>,
    /// One of the staff sent it, and it passes on no other letter.
    pub by_staff: bool,
    /// Whom a bounce names.
    pub bounced: Vec<Address>,
    pub arrived: Moment,
    /// When it came to the mailbox, where the mailbox tells: what the headers say may be anybody's.
    pub stored: Option<Timestamp>,
    pub words: Words,
    pub language: Option<String>,
    pub facts: Facts,
    pub keys: Keys,
    /// It answers a hand-over mail, or seems to; whether its writer may say what is to be done, the shell finds out.
    pub instructions: Option<Instructions>,
}

/// Steps 1 to 5. `cut_short`: only the beginning of a mail that is too large. `fetched_at` stands in for a letter
/// without any date.
pub fn read(raw: &[u8], cut_short: bool, terms: &Terms, fetched_at: Timestamp) -> Reading {
    let outermost = parse::letter(raw, cut_short);
    let instructions = terms.reader.read(&outermost, &terms.stripper, &terms.screen);
    let (mut letter, screening, words) = opened(outermost, instructions.is_some(), terms);
    let arrived = letter.arrived(fetched_at);
    let (language, facts) = match screening.class {
        Class::Customer => {
            let extract = terms.extractor.extract(&letter, &words, arrived, &terms.catalogue, &terms.lexicons);
            (extract.language, extract.facts)
        }
        // Nothing is asked or answered, so nothing need be understood.
        _ => (None, Facts::default()),
    };
    let keys = terms.tracer.keys(&letter, &words, &facts);
    let bounced = match screening.class {
        Class::Bounce => screen::bounced::named(&letter, &words),
        _ => Vec::new(),
    };
    letter.drop_contents();
    Reading {
        letter,
        class: screening.class,
        why: screening.why,
        customer: screening.customer,
        by_staff: screening.by_staff,
        bounced,
        arrived,
        stored: None,
        words,
        language,
        facts,
        keys,
        instructions,
    }
}

/// A letter, screened and stripped; of one that staff pass on, the letter of its original writer, unless it tells the
/// program something.
fn opened(letter: Letter, is_told: bool, terms: &Terms) -> (Letter, Screening, Words) {
    let mut letter = letter;
    // Staff may pass on to each other first.
    for _ in 0..parse::MAX_FORWARD_DEPTH {
        let screening = terms.screen.classify(&letter);
        let words = terms.stripper.words(&letter);
        if !screening.by_staff || screening.class != Class::Customer || is_told {
            return (letter, screening, words);
        }
        match passed_on::original(&letter, &words, &terms.stripper) {
            Some(original) => letter = original,
            None => return (letter, screening, words),
        }
    }
    let screening = terms.screen.classify(&letter);
    let words = terms.stripper.words(&letter);
    (letter, screening, words)
}

/// A letter read again as part of the case that it belongs to: few words are in the case's language, and what is asked
/// there may be answered in words that say nothing by themselves.
pub fn recall(reading: &mut Reading, link: &Link, terms: &Terms) {
    let Link::Known(case) = link else { return };
    if reading.class != Class::Customer {
        return;
    }
    if let Some(before) = &case.language {
        let changed = |now: &String| extract::language::has_changed(&reading.words.text, before, now, &terms.lexicons);
        if !reading.language.as_ref().is_some_and(changed) {
            reading.language.clone_from(&case.language);
        }
    }
    let asked = match &case.decision {
        Some(decision) if case.state == State::AwaitingInfo => decision.ask.as_slice(),
        _ => return,
    };
    let lexicon = reading.language.as_deref().and_then(|l| terms.lexicons.of(l));
    let lexicons = match lexicon {
        Some(lexicon) => vec![lexicon],
        None => extract::language::nearest(&reading.words.text, &terms.lexicons),
    };
    terms.extractor.answers(
        Asked {
            questions: &warranty::questions(asked),
            variants: &case.facts.sku_candidates,
            meant: case.order_meant.as_ref(),
        },
        &reading.words,
        &reading.letter.id,
        reading.arrived.date(),
        (&terms.catalogue, &lexicons),
        &mut reading.facts,
    );
}

/// What the shell looked up for a letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    pub link: Link,
    /// The feed's answer about the order number that the case has with this letter.
    pub order: OrderAnswer,
    /// The customer's own order that an unknown number may be a slip of.
    pub meant: Option<crate::domain::ids::OrderNumber>,
    /// The RMAs that other cases hold for lines of that order.
    pub rmas_elsewhere: Vec<crate::domain::ids::Sku>,
    /// Automatic letters to this customer in the last 24 hours.
    pub replies_today: usize,
    /// It answers a letter of ours, but none that there is.
    pub unknown_thread: bool,
    /// Numbers that nobody has yet.
    pub fresh_case: CaseId,
    pub fresh_rma: RmaNumber,
}

/// The order number that a case has once a letter has joined it: what to ask the order feed for.
pub fn order_number_of(link: &Link, facts: &Facts) -> Option<crate::domain::ids::OrderNumber> {
    let mut merged = match link {
        Link::Known(case) => case.facts.clone(),
        Link::New | Link::Stranger(_) => Facts::default(),
    };
    merged.merge(facts);
    merged.order_number.map(|f| f.value)
}

/// Steps 6 to 8: what is to be done about a letter.
///
/// An error means that the proposal breaks the table of [`Case::apply`] or a template: the letter goes to quarantine.
pub fn answer(reading: &Reading, lookup: &Lookup, terms: &Terms, now: Timestamp) -> Result<Outcome, String> {
    if reading.class != Class::Customer {
        return Ok(ignored(reading, lookup, terms, now));
    }
    let customer = match (&lookup.link, &reading.customer) {
        (Link::Stranger(case), _) => return Ok(strangers(reading, case, terms, now)),
        // Staff may write to where the writer wants answers; the gate answers no such letter.
        (_, None) => {
            let written = reading.letter.from.as_ref().or(reading.letter.reply_to.as_ref());
            written.ok_or("there is no address to answer to")?
        }
        (_, Some(customer)) => customer,
    };
    let mut course = Course::begin(reading, lookup, customer, now).map_err(|e| e.to_string())?;
    let completed = complete::complete(&course.case.facts, &terms.catalogue, &lookup.order);
    course.complete(&completed, &lookup.order, lookup.meant.as_ref(), now).map_err(|e| e.to_string())?;
    let before = match &lookup.link {
        Link::Known(case) => Some(case.as_ref()),
        _ => None,
    };
    let sku = completed.facts.sku.as_ref().map(|f| &f.value);
    let held = terms.held(&course.case);
    let mut decision = decide::decide(&Situation {
        before,
        case: &course.case,
        letter: &reading.facts,
        completed: &completed,
        order: &lookup.order,
        language_supported: course.case.language.as_deref().is_none_or(|l| terms.supports(l)),
        rma_elsewhere: sku.is_some_and(|s| lookup.rmas_elsewhere.contains(s)),
        policy: &terms.policy,
        held: &held,
        terms: &terms.version,
    });
    let kind = gate::of_letter(&mut decision, &course.case, reading, lookup, terms, now);
    course.follow(&decision, reading, lookup, terms, now).map_err(|e| e.to_string())?;
    let reply = match kind {
        Some(kind) => Some(course.reply(kind, &decision, reading, terms, now)?),
        None => None,
    };
    course.schedule(terms, now).map_err(|e| e.to_string())?;
    Ok(Outcome { class: Class::Customer, decision, events: course.events, reply })
}

/// A letter that is no customer's: noted on the case it belongs to, answered never.
fn ignored(reading: &Reading, lookup: &Lookup, terms: &Terms, now: Timestamp) -> Outcome {
    let mut events = Vec::new();
    if let Link::Known(case) | Link::Stranger(case) = &lookup.link {
        events.push(noted(reading, now));
        // Our reply did not arrive: somebody has to find another way.
        let ours = reading.class == Class::Bounce && reading.bounced.contains(&case.customer.address);
        if ours && matches!(case.state, State::AwaitingInfo | State::RmaIssued) {
            events.push(CaseEvent::daemon(Event::HandedToStaff, now));
        }
    }
    Outcome { class: reading.class, decision: bare(Action::Ignore, Vec::new(), terms), events, reply: None }
}

/// Somebody else wrote into a case: its writer is told nothing, and the case goes on for its customer as if nothing had
/// come. The shell tells staff.
fn strangers(reading: &Reading, case: &Case, terms: &Terms, now: Timestamp) -> Outcome {
    let mut decision = bare(Action::Staff, vec![Reason::SenderMismatch], terms);
    decision.checklist = case.decision.as_ref().map(|d| d.checklist.clone()).unwrap_or_default();
    Outcome { class: Class::Customer, decision, events: vec![noted(reading, now)], reply: None }
}

fn noted(reading: &Reading, now: Timestamp) -> CaseEvent {
    let event = Event::LetterNoted {
        letter: reading.letter.id.clone(),
        message_id: reading.letter.message_id.clone(),
        from: reading.letter.from.clone(),
        subject: reading.letter.subject.clone(),
        class: reading.class,
    };
    CaseEvent::daemon(event, now)
}

fn bare(action: Action, reasons: Vec<Reason>, terms: &Terms) -> Decision {
    let checklist = Checklist::default();
    Decision { action, track: None, reasons, checklist, ask: Vec::new(), terms: terms.version.clone(), held: None }
}

#[cfg(test)]
mod tests;
