//! What every page has around it, and what is shown instead of one that can't be.

use askama::Template;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::door::{Session, encoded};
use super::statics::{ICON, SCRIPT, STYLE};
use crate::domain::account::Role;
use crate::domain::correction::Correction;
use crate::domain::event::Actor;
use crate::domain::queue::Queue;
use crate::store::StoreError;
use crate::worker::Office;
use crate::worker::turn::Undone;

/// What stands on pages for codes.
const WORDS: &str = include_str!("../../templates/console/words.tsv");

/// The frame of a page.
#[derive(Debug, Clone)]
pub struct Frame {
    pub title: String,
    pub style: &'static str,
    pub script: &'static str,
    pub icon: &'static str,
    pub brand: String,
    pub user: String,
    pub sees_trail: bool,
    /// Stands in each form.
    pub token: String,
    /// Code, number of cases, whether it is shown.
    pub queues: Vec<(&'static str, u64, bool)>,
    /// What is looked for.
    pub query: String,
    zone: TimeZone,
}

impl Frame {
    pub fn new(office: &Office, session: &Session, title: impl Into<String>) -> Result<Self, Problem> {
        let counts = office.store.queue_counts()?;
        Ok(Self {
            title: title.into(),
            style: STYLE.path(),
            script: SCRIPT.path(),
            icon: ICON.path(),
            brand: office.terms.frame.brand.clone(),
            user: session.name.to_string(),
            sees_trail: session.role >= Role::Lead,
            token: session.form.clone(),
            queues: Queue::ALL.iter().zip(counts).map(|(queue, count)| (queue.code(), count, false)).collect(),
            query: String::new(),
            zone: office.terms.deadlines.hours.zone.clone(),
        })
    }

    /// What stands on a page for a code, by what it is a code of; without an entry, the code in plain letters.
    pub fn word(&self, of: impl AsRef<str>, code: impl AsRef<str>) -> String {
        let key = format!("{}.{}", of.as_ref(), code.as_ref());
        let found = WORDS.lines().filter_map(|line| line.split_once('\t')).find(|(known, _)| *known == key);
        found.map_or_else(|| code.as_ref().replace('_', " "), |(_, word)| word.to_owned())
    }

    /// The same for what has its code in records only.
    pub fn code(&self, of: impl AsRef<str>, value: &impl Serialize) -> String {
        let code = serde_json::to_value(value).ok();
        self.word(of, code.as_ref().and_then(|code| code.as_str()).unwrap_or_default())
    }

    /// A line of the reckoning with what is asked for by its name instead of its code.
    pub fn plain(&self, text: &str) -> String {
        let is_code = |c: char| c.is_ascii_lowercase() || c == '_';
        let word = |word: &str| match (word.contains('_') || word == "sku").then(|| self.word("item", word)) {
            Some(name) => format!("“{name}”"),
            None => word.to_owned(),
        };
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(is_code) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            let end = from.find(|c| !is_code(c)).unwrap_or(from.len());
            let (code, behind) = from.split_at_checked(end).unwrap_or((from, ""));
            plain.push_str(before);
            plain.push_str(&word(code));
            rest = behind;
        }
        plain + rest
    }

    /// What a person has put right.
    pub fn correction(&self, correction: &Correction) -> String {
        let value = serde_json::to_value(correction).unwrap_or_default();
        let fact = value.get("fact").and_then(|fact| fact.as_str()).unwrap_or_default();
        let set = match value.get("value") {
            None | Some(serde_json::Value::Null) => self.word("set", "null"),
            Some(serde_json::Value::Bool(is)) => self.word("set", if *is { "true" } else { "false" }),
            Some(set) => set.as_str().map_or_else(|| set.to_string(), |set| set.replace('_', " ")),
        };
        format!("{}: {set}", self.word("item", fact))
    }

    /// Who did something.
    pub fn actor(&self, by: &Actor) -> String {
        match by {
            Actor::Daemon => self.word("actor", "daemon"),
            Actor::Customer => self.word("actor", "customer"),
            Actor::Staff(name) => name.clone(),
        }
    }

    /// A text as it stands in an address.
    pub fn link(&self, text: &str) -> String {
        encoded(text)
    }

    /// A point in time where staff work.
    pub fn time(&self, at: &Timestamp) -> String {
        at.to_zoned(self.zone.clone()).strftime("%-d %b %Y, %H:%M").to_string()
    }
}

/// A page as an answer.
pub fn shown(page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(e) => Problem::Broken(e.to_string()).into_response(),
    }
}

/// Why there is no page.
#[derive(Debug)]
pub enum Problem {
    NotFound(String),
    /// Not for one of this role.
    Forbidden,
    /// A form that no page of this session has made.
    Forged,
    /// What was filled in makes no sense.
    Bad(String),
    /// The store is closed until the disk is well.
    Closed,
    Broken(String),
}

impl From<StoreError> for Problem {
    fn from(e: StoreError) -> Self {
        Self::Broken(e.to_string())
    }
}

impl From<Undone> for Problem {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::NoCase(case) => Self::NotFound(format!("There is no case {case}.")),
            Undone::Impossible(why) => Self::Bad(why),
            Undone::Changed { case, .. } => Self::Bad(format!("Case {case} has changed meanwhile.")),
            Undone::Before(done) => Self::Bad(format!("That was done before, at {}.", done.at)),
            Undone::Trouble(trouble) => Self::Broken(trouble.to_string()),
        }
    }
}

#[derive(Template)]
#[template(path = "console/problem.html")]
struct ProblemPage<'a> {
    style: &'a str,
    script: &'a str,
    icon: &'a str,
    title: &'a str,
    why: &'a str,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, title, why) = match self {
            Self::NotFound(why) => (StatusCode::NOT_FOUND, "Not found", why),
            Self::Forbidden => (StatusCode::FORBIDDEN, "Not for you", "Your role does not see this page.".to_owned()),
            Self::Forged => (
                StatusCode::FORBIDDEN,
                "Not from this page",
                "The form was not sent from a page of this session. Go back, load the page anew, try again.".to_owned(),
            ),
            Self::Bad(why) => (StatusCode::UNPROCESSABLE_ENTITY, "That can't be done", why),
            Self::Closed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The store is closed",
                "The disk is full or fails. Nothing is lost; the daemon goes on by itself once there is room."
                    .to_owned(),
            ),
            Self::Broken(why) => {
                tracing::error!(%why, "the console can't show a page");
                let why = "Something failed on our side; the log says what.".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, "Something failed", why)
            }
        };
        let page = ProblemPage { style: STYLE.path(), script: SCRIPT.path(), icon: ICON.path(), title, why: &why };
        let html = page.render().unwrap_or_else(|_| title.to_owned());
        (status, [(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    }
}

/// There is no such page.
pub async fn nowhere() -> Problem {
    Problem::NotFound("There is no such page.".to_owned())
}
