//! What the guide tells people to type is what this program takes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::error::ErrorKind;
use clap::{Command, CommandFactory as _, Parser as _};
use regex::Regex;

use super::Cli;

#[test]
fn every_command_and_option_of_the_guide_is_there() {
    let (mut longs, mut names) = (BTreeSet::new(), BTreeSet::new());
    collect(&Cli::command(), &mut longs, &mut names);
    let option = Regex::new("^--[a-z-]+").unwrap();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let mut tried = 0;
        for words in typed(&text) {
            let first = words[0].as_str();
            let line = match first {
                "aftersalesd" => words,
                // As people say it: `cases list`.
                name if names.contains(name) => [vec!["aftersalesd".to_owned()], words].concat(),
                long if long.starts_with("--") => {
                    let long = option.find(long).unwrap_or_else(|| panic!("{}: {long}", path.display())).as_str();
                    assert!(longs.contains(long), "{}: there is no option {long}", path.display());
                    continue;
                }
                _ => continue,
            };
            tried += 1;
            if let Err(e) = Cli::try_parse_from(&line) {
                let is_taken = match e.kind() {
                    // A text may name a command without all that it needs, and ask for help or version.
                    ErrorKind::MissingRequiredArgument
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::DisplayHelp
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    | ErrorKind::DisplayVersion => true,
                    // What a variable of the shell holds is known there only.
                    ErrorKind::ValueValidation => line.iter().any(|word| word.contains('$')),
                    _ => false,
                };
                assert!(is_taken, "{}: {line:?}: {e}", path.display());
            }
        }
        assert!(tried > 0, "{}: no command is named", path.display());
    }
}

#[test]
fn a_command_that_is_not_there_is_noticed() {
    let text = "See `cases lsit`.\n\n```sh\nrunuser -u aftersalesd -- aftersalesd stauts | head\n```\n\n    aftersalesd run -x\n";
    let lines = typed(text);
    assert_eq!(lines, [vec!["cases", "lsit"], vec!["aftersalesd", "stauts"], vec!["aftersalesd", "run", "-x"]]);
    let kind = |words: &[&str]| Cli::try_parse_from(words).unwrap_err().kind();
    assert_eq!(kind(&["aftersalesd", "cases", "lsit"]), ErrorKind::InvalidSubcommand);
    assert_eq!(kind(&["aftersalesd", "stauts"]), ErrorKind::InvalidSubcommand);
    assert_eq!(kind(&["aftersalesd", "run", "-x"]), ErrorKind::UnknownArgument);
}

/// All options and commands below one.
fn collect(command: &Command, longs: &mut BTreeSet<String>, names: &mut BTreeSet<String>) {
    longs.extend(["--help".to_owned(), "--version".to_owned()]);
    longs.extend(command.get_arguments().filter_map(|argument| Some(format!("--{}", argument.get_long()?))));
    for below in command.get_subcommands() {
        collect(below, longs, &mut BTreeSet::new());
        names.insert(below.get_name().to_owned());
    }
}

/// What a text has people type: code within lines, in fences of sh, and lines indented as code, split into words.
fn typed(text: &str) -> Vec<Vec<String>> {
    let span = Regex::new("`([^`]+)`").unwrap();
    let mut found = Vec::new();
    let mut fence = None;
    for line in text.replace("\\\n", " ").lines() {
        match (line.strip_prefix("```"), fence.is_some()) {
            (Some(kind), false) => fence = Some(kind.to_owned()),
            (Some(_), true) => fence = None,
            (None, true) if fence.as_deref() == Some("sh") => found.extend(commands(line)),
            (None, true) => {}
            (None, false) if line.starts_with("    ") && !line.contains('`') => found.extend(commands(line)),
            (None, false) => found.extend(span.captures_iter(line).map(|code| split(&code[1]).concat())),
        }
    }
    found.retain(|words| !words.is_empty());
    found
}

/// The calls of this program in a line of the shell, also behind another one's `--`.
fn commands(line: &str) -> Vec<Vec<String>> {
    let calls = split(line).into_iter().filter_map(|words| {
        let is_called = |at: &usize| words[*at] == "aftersalesd" && (*at == 0 || words[at - 1] == "--");
        (0..words.len()).find(is_called).map(|at| words[at..].to_vec())
    });
    calls.collect()
}

/// The words of each command in a line; quotes are taken off.
fn split(line: &str) -> Vec<Vec<String>> {
    let word = Regex::new(r#"'([^']*)'|"([^"]*)"|([^\s'"|;&<>()]+)|([|;&<>()]+)|(#.*)"#).unwrap();
    let mut commands = vec![Vec::new()];
    for found in word.captures_iter(line) {
        match (found.get(1).or(found.get(2)).or(found.get(3)), found.get(4)) {
            (Some(word), _) if !word.as_str().starts_with('#') => {
                commands.last_mut().unwrap().push(word.as_str().to_owned());
            }
            (None, Some(_)) => commands.push(Vec::new()),
            _ => return commands,
        }
    }
    commands
}
