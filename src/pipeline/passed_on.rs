//! A mail that staff pass on: the letter of its original writer, attached or as text.

use super::strip::{Stripper, Words};
use crate::domain::letter::{Body, Header, Letter};

/// The original letter; `None`: it can't be made out who wrote it. It keeps the id of the mail that came, under which
/// it lies in the archive.
pub fn original(letter: &Letter, words: &Words, stripper: &Stripper) -> Option<Letter> {
    match (letter.forwarded.as_slice(), words.forwarded.as_slice()) {
        ([attached], _) => attached.from.is_some().then(|| Letter { id: letter.id.clone(), ..attached.clone() }),
        ([], [text]) => {
            let origin = stripper.origin(text)?;
            let from = Header { name: "from".to_owned(), value: origin.writer.address.to_string() };
            Some(Letter {
                from: Some(origin.writer),
                reply_to: None,
                subject: origin.subject,
                headers: vec![from],
                bodies: vec![Body::Plain(origin.text)],
                ..letter.clone()
            })
        }
        _ => None,
    }
}
