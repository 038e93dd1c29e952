//! `cases photos`: the pictures of a case for people to look at, without where they were taken; the originals stay in
//! the archive.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::people::{bytes, new_folder, write_new};
use super::query::{Query, Question, consult};
use super::triage::page::clean;
use super::{Failure, load_offline};
use crate::domain::event::Event;
use crate::domain::ids::{CaseId, LetterId};
use crate::domain::letter::FileKind;
use crate::fail_point;
use crate::pipeline::bare::bare;
use crate::pipeline::extract::photos::as_jpeg;
use crate::pipeline::parse;
use crate::ports::BEGINNING;
use crate::store::Store;
use crate::worker::budget;

/// Each picture of a case, one line; its bytes stand in a string in which each character is one byte.
pub fn tell(store: &Store, case: &CaseId, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    let events = store.events(case)?;
    let moved = Event::moved(&events);
    let letters = events.into_iter().filter_map(|event| match event.event {
        Event::LetterTaken { letter, .. } if !moved.contains(&letter) => Some(letter),
        _ => None,
    });
    for letter in letters.collect::<BTreeSet<_>>() {
        let Some(raw) = store.raw(&letter)? else {
            tell(json!({"letter": letter, "why": "its mail was erased"}))?;
            continue;
        };
        let shown = budget::step("looking for its pictures", move || {
            fail_point::handling("photos", &raw);
            let parsed = parse::letter(&raw, raw.len() as u64 == BEGINNING);
            let files = parsed.files().into_iter().enumerate();
            let pictures = files.filter(|(_, file)| matches!(file.kind, FileKind::Picture | FileKind::HeicPicture));
            pictures.map(|(n, file)| (n, file.name.clone(), shown(&file.data))).collect::<Vec<_>>()
        });
        match shown {
            Ok(pictures) => {
                for (n, name, picture) in pictures {
                    tell(line(&letter, n, &name, picture))?;
                }
            }
            Err(why) => tell(json!({"letter": letter, "why": why}))?,
        }
    }
    Ok(())
}

/// Taken apart where that is certain, else painted anew.
fn shown(data: &[u8]) -> Option<Vec<u8>> {
    bare(data).or_else(|| as_jpeg(data))
}

fn line(letter: &LetterId, n: usize, name: &str, picture: Option<Vec<u8>>) -> Value {
    match picture {
        Some(bytes) => {
            let kind = ending(&bytes);
            let picture: String = bytes.into_iter().map(char::from).collect();
            json!({"letter": letter, "number": n, "name": name, "kind": kind, "picture": picture})
        }
        None => json!({"letter": letter, "number": n, "name": name,
            "why": "it can't be shown without what else it may tell; it is in the archive as it came"}),
    }
}

fn ending(picture: &[u8]) -> &'static str {
    match picture {
        [0x89, b'P', ..] => "png",
        [b'R', b'I', ..] => "webp",
        [b'G', b'I', ..] => "gif",
        _ => "jpg",
    }
}

/// The command: writes the pictures of a case into a new or empty folder, under names of ours.
pub fn run(config: &Path, case: &str, folder: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load_offline(config)?;
    new_folder(folder)?;
    let mut written = 0;
    consult(&config, &Query::Ask(Question::Photos(case.to_owned())), &mut |line| {
        let told: Value = serde_json::from_slice(line)?;
        let text = |key: &str| told.get(key).and_then(Value::as_str);
        let letter = text("letter").and_then(|letter| letter.get(..12)).unwrap_or_default();
        let name = clean(text("name").unwrap_or_default());
        let (Some(picture), Some(kind)) = (text("picture"), text("kind")) else {
            let why = text("why").unwrap_or_default();
            return writeln!(out, "letter {letter} {name}: {why}");
        };
        let number = told.get("number").and_then(Value::as_u64).unwrap_or_default();
        let file = folder.join(format!("{letter}-{number}.{kind}"));
        write_new(&file, &bytes(picture)?)?;
        written += 1;
        writeln!(out, "{}  {name}", file.display())
    })?;
    if written == 0 {
        writeln!(out, "no pictures")?;
    }
    Ok(())
}
