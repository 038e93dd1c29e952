//! What `audit` and `verify` found, for people: a line each, then how many there are of each thing.

use std::io::{self, Write};

use serde::Deserialize;

use super::Failure;
use crate::store::{Finding, Tally};

/// A line of an answer, as far as both commands understand it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Told {
    pub finding: Option<Finding>,
    pub tally: Option<Tally>,
}

/// What it is about, what is wrong, what to do.
pub fn write(finding: &Finding, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}; {}", finding.place, finding.what, finding.kind.remedy())
}

/// How many there are of each thing.
pub fn write_tally(tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    let classes: Vec<String> = tally.letters.iter().map(|(class, number)| format!("{number} {class}")).collect();
    let letters: u64 = tally.letters.values().sum();
    let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    writeln!(out, "archive        {} mails, {} erased", tally.mails, tally.erased)?;
    writeln!(out, "letters        {letters}{classes}")?;
    writeln!(out, "quarantine     {} waiting, {} dealt with", tally.quarantined, tally.dismissed)?;
    writeln!(out, "cases          {}, {} with an RMA", tally.cases, tally.rmas)?;
    writeln!(
        out,
        "replies        {}: {} sent, {} waiting, {} refused; {} drafts",
        tally.replies, tally.sent, tally.waiting, tally.refused, tally.drafts
    )
}

/// How the command ends that found so many.
pub fn verdict(found: usize, one: &str, several: &str) -> Result<(), Failure> {
    match found {
        0 => Ok(()),
        1 => Err(Failure::Other(format!("1 {one}"))),
        _ => Err(Failure::Other(format!("{found} {several}"))),
    }
}
