//! The mail that hands a case over to staff: one text and one HTML template, in the language of the desk.

use minijinja::Environment;
use minijinja::value::{Serde, Value};

use super::{Letters, Uncomposed, explain, plain};
use crate::pipeline::handover::Digest;

/// Not the operator's to change: what it says of answering has to be so.
const TEMPLATES: [(&str, &str); 2] = [
    ("staff/handover.txt", include_str!("../../../templates/staff/handover.txt")),
    ("staff/handover.html", include_str!("../../../templates/staff/handover.html")),
];

/// Adds them to the letters' templates; gives what is wrong with them.
pub(super) fn add(environment: &mut Environment<'_>) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, text) in TEMPLATES {
        if let Err(error) = environment.add_template(name, text) {
            errors.push(explain(name, &error));
        }
    }
    errors
}

/// A mail to staff without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Letters {
    /// Writes the mail that hands a case over.
    pub fn handover(&self, digest: &Digest) -> Result<Page, Uncomposed> {
        let values = Value::from(Serde(digest));
        let [text, html] = TEMPLATES.map(|(name, _)| self.fill(name, &values));
        let waits = if digest.waits_since.is_some() { "still needs you" } else { "needs you" };
        Ok(Page {
            subject: plain::line(&format!("[{}] {waits}: {}", digest.case, digest.why), plain::SUBJECT),
            text: plain::paragraphs(&text?),
            html: html?,
        })
    }
}
