//! A letter as people read it: what came, what was understood and from which words, what is missing, what goes out.

use std::io::{self, Write};

use crate::domain::decision::Outcome;
use crate::domain::facts::{Evidence, Facts};
use crate::domain::warranty::Status;
use crate::pipeline::Reading;
use crate::worker::inbound::Taken;

/// Writes the page of one letter.
pub fn write(name: &str, taken: &Taken, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "━━ {name}")?;
    match taken {
        Taken::Answered { reading, outcome, case } => {
            heading(reading, out)?;
            writeln!(out, "   class     {} ({})", outcome.class.code(), reading.why)?;
            if let Some(case) = case {
                writeln!(out, "   case      {} · {} · letter {}", case.id, case.state.code(), case.letters)?;
                facts(&case.facts, out)?;
            }
            decision(outcome, out)?;
            if let Some(reply) = &outcome.reply {
                writeln!(out, "   reply     to {} · {} · {}\n", reply.to.address, reply.language, reply.subject)?;
                for line in reply.text.lines() {
                    writeln!(out, "   │ {line}")?;
                }
            }
        }
        Taken::Again { reading, seen } => {
            heading(reading, out)?;
            writeln!(out, "   taken in before, as {}: nothing is done twice", seen.letter)?;
        }
        Taken::Quarantined { reading, why } => {
            if let Some(reading) = reading {
                heading(reading, out)?;
            }
            writeln!(out, "   quarantine: {why}")?;
        }
    }
    writeln!(out)
}

fn heading(reading: &Reading, out: &mut dyn Write) -> io::Result<()> {
    let from = reading.letter.from.as_ref().map_or("nobody", |p| p.address.as_str());
    writeln!(out, "   from      {from}")?;
    writeln!(out, "   subject   {}", reading.letter.subject)?;
    if let Some(language) = &reading.language {
        writeln!(out, "   language  {language}")?;
    }
    Ok(())
}

/// Each fact with the words it was read from and the rule that read it.
fn facts(facts: &Facts, out: &mut dyn Write) -> io::Result<()> {
    let mut line = |name: &str, value: &str, evidence: &Evidence| {
        writeln!(out, "   {name:<9} {value} “{}” ({})", evidence.quote, evidence.rule)
    };
    if let Some(f) = &facts.request {
        line("request", &f.value.code(), &f.evidence)?;
    }
    if let Some(f) = &facts.order_number {
        line("order", f.value.as_str(), &f.evidence)?;
    }
    if let Some(f) = &facts.sku {
        line("sku", f.value.as_str(), &f.evidence)?;
    }
    if let Some(f) = &facts.item_code {
        line("item code", f.value.as_str(), &f.evidence)?;
    }
    if let Some(f) = &facts.received_on {
        line("received", &f.value.to_string(), &f.evidence)?;
    }
    let told = [
        ("what", &facts.problem_what),
        ("when", &facts.problem_when),
        ("how", &facts.problem_how),
        ("tried", &facts.steps_taken),
        ("packaging", &facts.packaging_shown),
        ("safety", &facts.safety),
        ("unsafe", &facts.unsafe_attachment),
    ];
    for (name, evidence) in told {
        if let Some(evidence) = evidence {
            line(name, "", evidence)?;
        }
    }
    if let Some(f) = &facts.unopened {
        line("unopened", &f.value.to_string(), &f.evidence)?;
    }
    for f in &facts.void_signals {
        line("void", &f.value.code(), &f.evidence)?;
    }
    for photo in &facts.photos {
        writeln!(out, "   photo     {} {} {}", photo.name, photo.judgement.code(), photo.codes.join(" "))?;
    }
    for video in &facts.videos {
        writeln!(out, "   video     {video}")?;
    }
    for link in &facts.links {
        writeln!(out, "   link      {link}")?;
    }
    Ok(())
}

fn decision(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let decision = &outcome.decision;
    if !decision.checklist.items.is_empty() {
        let sign = |status: &Status| match status {
            Status::Given => '✓',
            Status::Unclear => '?',
            Status::Missing => '✗',
        };
        let items: Vec<String> =
            decision.checklist.items.iter().map(|(item, status)| format!("{} {}", sign(status), item.code())).collect();
        writeln!(out, "   checklist {}", items.join("  "))?;
    }
    let reasons: Vec<String> = decision.reasons.iter().map(|r| r.code()).collect();
    let track = decision.track.map(|t| t.code()).unwrap_or_default();
    writeln!(out, "   decision  {} {track} {}", decision.action.code(), reasons.join(" "))
}
