//! `guide`: what an operator reads at length, a text a topic, put into the program by build.rs: `src/guide/<topic>.md`.

use std::io::Write;

use super::Failure;
use crate::config::nearest;

/// The files of `src/guide/`: name and text.
const FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/guide.rs"));

/// Tells the topics, each with what it is about, or the text of one.
pub fn run(topic: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let Some(wanted) = topic else { return Ok(list(out)?) };
    match topics().find(|(name, _)| *name == wanted) {
        Some((_, text)) => Ok(out.write_all(text.as_bytes())?),
        None => Err(unknown(wanted)),
    }
}

/// Each topic by its name, with its text.
fn topics() -> impl Iterator<Item = (&'static str, &'static str)> {
    FILES.iter().filter_map(|(file, text)| Some((file.strip_suffix(".md")?, *text)))
}

/// A line a topic: what the first line of its text says, `# Title: what it is about`.
fn list(out: &mut dyn Write) -> std::io::Result<()> {
    let width = topics().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, text) in topics() {
        let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
        let about = title.split_once(": ").map_or(title, |(_, about)| about);
        writeln!(out, "{name:width$}  {about}")?;
    }
    writeln!(out, "\nRead one: aftersalesd guide TOPIC")
}

fn unknown(wanted: &str) -> Failure {
    let names: Vec<&str> = topics().map(|(name, _)| name).collect();
    let begun = || names.iter().copied().find(|name| wanted.len() > 2 && name.starts_with(&wanted.to_lowercase()));
    let advice = match nearest(wanted, &names).or_else(begun) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", names.join(", ")),
    };
    Failure::Usage(format!("the guide has no topic {wanted:?}; {advice}"))
}
