//! A letter as people read it: its words with every fact marked where it stands, the checklist of the four steps, what
//! speaks against an automatic answer, the files, the days, the decision with its reasons, and what goes out.

mod checklist;

mod marks;

mod paper;

mod sentences;

use std::io::{self, Write};

use crate::domain::case::Case;
use crate::domain::decision::Outcome;
use crate::domain::facts::Facts;
use crate::pipeline::{Reading, Terms};
use crate::worker::settle::Taken;

use self::checklist::Proof;
use self::marks::Zone;
pub use self::paper::clean;
use self::paper::{Ink, Paper};

/// Writes the page of one letter; `colour` only where a terminal shows it.
pub fn write(name: &str, taken: &Taken, terms: &Terms, colour: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut paper = Paper::new(out, colour);
    paper.title(name)?;
    match taken {
        Taken::Answered { reading, outcome, case } => {
            head(&mut paper, reading)?;
            paper.entry("class", &format!("{} ({})", outcome.class.code(), clean(&reading.why)))?;
            if let Some(case) = case {
                let (id, state, letters) = (&case.id, case.state.code(), case.letters);
                paper.entry("case", &format!("{id} · {state} · letter {letters}"))?;
            }
            letter(&mut paper, reading)?;
            if let Some(case) = case {
                checklist::write(&mut paper, case, &outcome.decision, &reading.letter.id)?;
                signals(&mut paper, case, reading)?;
            }
            files(&mut paper, reading)?;
            if let Some(case) = case {
                paper.heading("Days")?;
                for line in sentences::days(case, &outcome.decision.checklist, terms) {
                    paper.line(&line)?;
                }
            }
            decision(&mut paper, outcome, case.as_deref())?;
            reply(&mut paper, outcome)?;
        }
        Taken::Again { reading, seen } => {
            head(&mut paper, reading)?;
            paper.line(&format!("taken in before, as {}: nothing is done twice", seen.letter))?;
        }
        Taken::Quarantined { reading, why } => {
            if let Some(reading) = reading {
                head(&mut paper, reading)?;
                letter(&mut paper, reading)?;
            }
            paper.heading("Quarantine")?;
            paper.line(&clean(why))?;
        }
    }
    paper.blank()
}

fn head(paper: &mut Paper<'_>, reading: &Reading) -> io::Result<()> {
    let letter = &reading.letter;
    let person = |p: &crate::domain::letter::Person| match &p.name {
        Some(name) => clean(&format!("{name} <{}>", p.address)),
        None => clean(p.address.as_str()),
    };
    paper.entry("from", &letter.from.as_ref().map_or("nobody".to_owned(), person))?;
    if let Some(customer) = reading.customer.as_ref().filter(|c| letter.from.as_ref() != Some(c)) {
        paper.entry("customer", &person(customer))?;
    }
    let subject = marks::of(&reading.facts, Zone::Subject, &letter.subject);
    let subject = marks::marked(&letter.subject, subject, paper);
    paper.entry("subject", &subject)?;
    let arrived = reading.arrived.offset.to_datetime(reading.arrived.at);
    paper.entry("arrived", &arrived.strftime("%Y-%m-%d %H:%M").to_string())?;
    if let Some(language) = &reading.language {
        paper.entry("language", language)?;
    }
    if !letter.defects.is_empty() {
        let defects: Vec<String> = letter.defects.iter().map(|d| format!("{d:?}")).collect();
        paper.entry("defects", &defects.join(", "))?;
    }
    Ok(())
}

/// The words, by who wrote them and when.
fn letter(paper: &mut Paper<'_>, reading: &Reading) -> io::Result<()> {
    let (words, facts) = (&reading.words, &reading.facts);
    paper.heading("Words written now")?;
    part(paper, facts, Zone::Text, &words.text)?;
    if !words.signature.is_empty() {
        paper.heading("Signature")?;
        part(paper, facts, Zone::Signature, &words.signature)?;
    }
    for mail in &words.forwarded {
        paper.heading("Forwarded")?;
        part(paper, facts, Zone::Forwarded, mail)?;
    }
    let quoted = words.quoted.lines().filter(|line| !line.trim().is_empty()).count();
    if quoted > 0 {
        paper.heading("Quoted")?;
        paper.line(&format!("{quoted} lines of earlier mail, set aside: no fact is read from them"))?;
    }
    Ok(())
}

fn part(paper: &mut Paper<'_>, facts: &Facts, zone: Zone, text: &str) -> io::Result<()> {
    match text.is_empty() {
        true => paper.line("none"),
        false => {
            let text = marks::marked(text, marks::of(facts, zone, text), paper);
            paper.quote(&text)
        }
    }
}

/// What sends a case to a person however complete it is.
fn signals(paper: &mut Paper<'_>, case: &Case, reading: &Reading) -> io::Result<()> {
    let facts = &case.facts;
    let mut found = Vec::new();
    found.extend(facts.safety.as_ref().map(|e| ("safety".to_owned(), e)));
    found.extend(facts.void_signals.iter().map(|s| (format!("void: {}", s.value.code()), &s.evidence)));
    found.extend(facts.doubt.as_ref().map(|e| ("doubt".to_owned(), e)));
    found.extend(facts.unsafe_attachment.as_ref().map(|e| ("unsafe file".to_owned(), e)));
    if found.is_empty() {
        return Ok(());
    }
    paper.heading("Signals")?;
    for (name, evidence) in found {
        let name = paper.ink(Ink::Bad, &format!("! {name}"));
        paper.entry(&name, &Proof::new(evidence, &reading.letter.id).to_string())?;
    }
    Ok(())
}

/// The letter's own files, by the numbers that evidence names, and what looking at them found; links.
fn files(paper: &mut Paper<'_>, reading: &Reading) -> io::Result<()> {
    let facts = &reading.facts;
    let attachments = reading.letter.files();
    if attachments.is_empty() && facts.links.is_empty() {
        return Ok(());
    }
    paper.heading("Files")?;
    for (index, file) in attachments.into_iter().enumerate() {
        let found = match facts.photos.iter().find(|p| p.index == index) {
            Some(photo) => {
                let ink = if photo.judgement.is_usable() { Ink::Good } else { Ink::Bad };
                let codes: Vec<String> = photo.codes.iter().map(|c| format!(", barcode {}", clean(c))).collect();
                format!("photo, {}{}", paper.ink(ink, sentences::judgement(photo.judgement)), codes.concat())
            }
            None => sentences::kind(file.kind).to_owned(),
        };
        let name = if file.name.is_empty() { "(no name)".to_owned() } else { clean(&file.name) };
        paper.entry(&format!("file {}", index + 1), &format!("{name}: {found}"))?;
    }
    facts.links.iter().try_for_each(|link| paper.entry("link", &clean(link)))
}

fn decision(paper: &mut Paper<'_>, outcome: &Outcome, case: Option<&Case>) -> io::Result<()> {
    paper.heading("Decision")?;
    let decision = &outcome.decision;
    let code = paper.ink(Ink::Title, &decision.action.code());
    paper.entry(&code, &sentences::action(outcome, case))?;
    for reason in &decision.reasons {
        paper.entry("because", &format!("{} ({})", sentences::reason(*reason), reason.code()))?;
    }
    Ok(())
}

fn reply(paper: &mut Paper<'_>, outcome: &Outcome) -> io::Result<()> {
    let Some(reply) = &outcome.reply else { return Ok(()) };
    paper.heading("Reply")?;
    paper.entry("to", &clean(reply.to.address.as_str()))?;
    paper.entry("subject", &clean(&reply.subject))?;
    paper.entry("language", &reply.language)?;
    paper.quote(&clean(&reply.text))
}
