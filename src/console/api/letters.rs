//! The letters of a case: who wrote when and what came with it, the mail as it came, its files.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::Told;
use super::caller::Caller;
use super::problem::Problem;
use crate::console::Console;
use crate::console::cases::{id, known};
use crate::console::files::{self, Listed, SANDBOX};
use crate::domain::account::Deed;
use crate::domain::decision::Class;
use crate::domain::event::Event;
use crate::domain::token::Scope;

/// The letters of a case, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct Letters {
    letters: Vec<Letter>,
}

/// A letter, by what is known without its words.
#[derive(Debug, Serialize, ToSchema)]
pub struct Letter {
    letter: String,
    #[schema(format = DateTime)]
    at: String,
    /// `customer`, or why it changed nothing: `bounce`, `auto_reply` …
    class: String,
    from: Option<String>,
    name: Option<String>,
    subject: String,
    message_id: Option<String>,
    /// Whether the mail as it came is gone.
    erased: bool,
    files: Vec<File>,
}

/// A file that came with a letter.
#[derive(Debug, Serialize, ToSchema)]
pub struct File {
    /// Its place, as in the address of the file.
    index: usize,
    /// As the customer called it: nothing to write to a disk.
    name: String,
    /// `picture`, `video` or `other`.
    kind: String,
    bytes: usize,
}

/// The letters of a case, without their words
#[utoipa::path(
    get, path = "/cases/{case}/letters", tag = "letters", params(("case" = String, Path)),
    security(("token" = ["read"])),
    responses((status = 200, body = Letters), (status = "4XX", body = Problem, content_type = "application/problem+json"))
)]
pub async fn list(
    State(console): State<Console>,
    caller: Caller,
    Path(case): Path<String>,
) -> Result<Told<Letters>, Problem> {
    caller.may(Scope::Read)?;
    let case = id(&case)?;
    let inner = Arc::clone(&console.0);
    let told = console.answer(move |office| {
        caller.trace(office, Deed::SawCase, Some(&case), Some("letters".to_owned()))?;
        known(office, &case)?;
        let events = office.store.events(&case)?;
        // Those that were split off are listed with the case that they are in now.
        let moved = Event::moved(&events);
        let mut letters = Vec::new();
        for event in events {
            let (letter, message_id, from, subject, class) = match event.event {
                Event::LetterTaken { letter, message_id, from, subject, .. } => {
                    (letter, message_id, from, subject, Class::Customer)
                }
                Event::LetterNoted { letter, message_id, from, subject, class } => {
                    (letter, message_id, from, subject, class)
                }
                _ => continue,
            };
            if moved.contains(&letter) {
                continue;
            }
            let erased = office.store.is_erased(&letter)?;
            let files = if erased { Vec::new() } else { files::listed(&office.store, &inner.pictures, &letter)? };
            letters.push(Letter {
                letter: letter.to_string(),
                at: event.at.to_string(),
                class: class.code(),
                from: from.as_ref().map(|from| from.address.to_string()),
                name: from.and_then(|from| from.name),
                subject,
                message_id: message_id.map(|id| id.as_str().to_owned()),
                erased,
                files: files.into_iter().map(File::of).collect(),
            });
        }
        Ok(Letters { letters })
    });
    told.await.map(Told)
}

impl File {
    fn of(Listed { index, name, kind, bytes, .. }: Listed) -> Self {
        Self { index, name, kind: kind.to_owned(), bytes }
    }
}

/// A mail as it came
#[utoipa::path(
    get, path = "/cases/{case}/letters/{letter}/raw", tag = "letters",
    params(("case" = String, Path), ("letter" = String, Path)), security(("token" = ["letters"])),
    responses(
        (status = 200, body = String, content_type = "message/rfc822"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn raw(
    State(console): State<Console>,
    caller: Caller,
    Path((case, letter)): Path<(String, String)>,
) -> Result<Response, Problem> {
    caller.may(Scope::Letters)?;
    let (case, letter) = files::ids(&case, &letter)?;
    let name = format!("attachment; filename=\"{letter}.eml\"");
    let raw = console.answer(move |office| {
        files::of_case(office, &case, &letter)?;
        caller.trace(office, Deed::SawLetter, Some(&case), Some(letter.to_string()))?;
        office.store.raw(&letter)?.ok_or_else(|| Problem::not_found("The mail was erased."))
    });
    let headers = [(CONTENT_TYPE, "message/rfc822".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, [(CONTENT_SECURITY_POLICY, SANDBOX)], raw.await?).into_response())
}

/// A file that came with a letter: a picture without what it tells besides what it shows, all else as it came
#[utoipa::path(
    get, path = "/cases/{case}/letters/{letter}/files/{index}", tag = "letters",
    params(("case" = String, Path), ("letter" = String, Path), ("index" = usize, Path)),
    security(("token" = ["letters"])),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn file(
    State(console): State<Console>,
    caller: Caller,
    Path((case, letter, index)): Path<(String, String, usize)>,
) -> Result<Response, Problem> {
    caller.may(Scope::Letters)?;
    let (case, letter) = files::ids(&case, &letter)?;
    let (_, data) = console
        .answer(move |office| {
            files::of_case(office, &case, &letter)?;
            caller.trace(office, Deed::SawFile, Some(&case), Some(format!("{letter} {index}")))?;
            Ok(files::shown(&office.store, &letter, index)?)
        })
        .await?;
    let name = format!("attachment; filename=\"file-{}.bin\"", index.saturating_add(1));
    let headers = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, [(CONTENT_SECURITY_POLICY, SANDBOX)], data).into_response())
}
