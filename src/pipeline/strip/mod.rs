//! Step 4: the words the customer wrote now, apart from what a mail program put around them.
//!
//! Nothing is thrown away: each line of the bodies lands in exactly one field of [`Words`]. Where a quote may be ours,
//! in doubt it is a quote: our own sample values must never be read as the customer's facts.

mod contact;
mod heads;
mod html;
mod lines;
mod origin;
mod quotes;
mod signature;
mod words;

use crate::domain::letter::{Body, Letter};
use crate::pipeline::lexicon::Lexicons;
use lines::{Line, Place};
pub use origin::Origin;
use quotes::Quotes;
use signature::Signatures;

/// A letter's text, sorted by who wrote it and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// Written now, answers between quoted lines included. Cells of a table row are parted by TAB.
    pub text: String,
    /// Earlier mail of this conversation, ours above all, with the lines that introduce it.
    pub quoted: String,
    /// Sign-off, name, company block, the mail program's own lines.
    pub signature: String,
    /// Mails of others that the customer passes on: header block and text of each.
    pub forwarded: Vec<String>,
}

/// The word lists of all languages, made ready for use.
#[derive(Debug)]
pub struct Stripper {
    quotes: Quotes,
    signatures: Signatures,
}

impl Stripper {
    pub fn new(lexicons: &Lexicons) -> Self {
        Self { quotes: Quotes::new(lexicons), signatures: Signatures::new(lexicons) }
    }

    /// Sorts the lines of a letter's bodies. Its forwarded mails (`message/rfc822`) are letters of their own.
    pub fn words(&self, letter: &Letter) -> Words {
        let mut lines = Vec::new();
        for body in &letter.bodies {
            match body {
                Body::Plain(text) => lines::plain(text, &mut lines),
                Body::Html(text) => html::lines(text, &mut lines),
            }
            lines.push(Line::blank());
        }
        if !self.quotes.mark(&mut lines, letter) {
            all_marked_is_text(&mut lines, letter);
        }
        self.signatures.mark(&mut lines, letter);
        assemble(&lines)
    }
}

/// All that a letter says, as its writer saw it: for people, not for steps.
pub fn text(letter: &Letter) -> String {
    let mut lines = Vec::new();
    for body in &letter.bodies {
        match body {
            Body::Plain(text) => lines::plain(text, &mut lines),
            Body::Html(text) => html::lines(text, &mut lines),
        }
    }
    lines.iter().map(|line| line.text.trim_end()).collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// A new letter that is quoted as a whole, with nothing to say whose words they are, is what the customer sends.
fn all_marked_is_text(lines: &mut [Line], letter: &Letter) {
    let new = letter.in_reply_to.is_empty() && letter.references.is_empty();
    if new && lines.iter().all(|l| l.place != Place::Own || l.is_blank()) {
        lines.iter_mut().filter(|l| l.place == Place::Quoted).for_each(|l| l.place = Place::Own);
    }
}

fn assemble(lines: &[Line]) -> Words {
    let mut words = Words::default();
    for line in lines {
        let text = line.text.trim_end();
        match line.place {
            Place::Own => add(&mut words.text, text),
            Place::Quoted => add(&mut words.quoted, text),
            Place::Signature => add(&mut words.signature, text),
            Place::Forwarded(number) => {
                while words.forwarded.len() <= number {
                    words.forwarded.push(String::new());
                }
                if let Some(mail) = words.forwarded.get_mut(number) {
                    add(mail, text);
                }
            }
        }
    }
    words.forwarded.retain(|mail| !mail.trim().is_empty());
    for text in [&mut words.text, &mut words.quoted, &mut words.signature].into_iter().chain(&mut words.forwarded) {
        text.truncate(text.trim_end().len());
    }
    words
}

/// Adds a line; never more than one blank line in a row, none at the top.
fn add(text: &mut String, line: &str) {
    if line.is_empty() && (text.is_empty() || text.ends_with("\n\n")) {
        return;
    }
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests;
