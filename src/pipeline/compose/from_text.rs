//! The HTML of a letter that has no HTML template of its own: its text, laid out.

use minijinja::value::{Serde, Value};
use serde::Serialize;

use super::matter::Matter;

/// What `letter.html` may name.
#[derive(Debug, Serialize)]
struct Page<'a> {
    language: &'a str,
    brand: &'a str,
    case: &'a str,
    preview: String,
    pieces: Vec<Piece>,
    footer: String,
}

/// A paragraph, or rows that begin with a sign: `-`, `✓`, `1.`.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Piece {
    lines: Vec<String>,
    signs: Vec<Row>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    sign: String,
    lines: Vec<String>,
}

/// What `letter.html` needs: the text's paragraphs, the last of which is the footer.
pub(super) fn values(text: &str, matter: &Matter) -> Value {
    let mut pieces = pieces(text);
    let footer = pieces.pop_if(|last| last.signs.is_empty()).map(|last| last.lines.join(" ")).unwrap_or_default();
    // The greeting says nothing; what comes behind it shows in lists of mail.
    let preview = pieces.get(1).and_then(|piece| piece.lines.first()).cloned().unwrap_or_default();
    let Matter { language, brand, case, .. } = matter;
    Value::from(Serde(&Page { language, brand, case, preview, pieces, footer }))
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for paragraph in text.split("\n\n") {
        let mut piece = Piece::default();
        for line in paragraph.lines().filter(|line| !line.trim().is_empty()) {
            match (sign(line), piece.signs.last_mut()) {
                (Some((sign, rest)), _) if piece.lines.is_empty() => {
                    piece.signs.push(Row { sign: sign.to_owned(), lines: vec![rest.to_owned()] });
                }
                (None, Some(row)) => row.lines.push(line.trim().to_owned()),
                _ => piece.lines.push(line.trim().to_owned()),
            }
        }
        match pieces.last_mut() {
            // Numbered questions stand apart in the text and are one list nevertheless.
            Some(before) if !before.signs.is_empty() && !piece.signs.is_empty() => {
                before.signs.append(&mut piece.signs)
            }
            _ if piece == Piece::default() => {}
            _ => pieces.push(piece),
        }
    }
    pieces
}

/// The sign that a row begins with, and the rest of the line.
fn sign(line: &str) -> Option<(&str, &str)> {
    let (sign, rest) = line.split_once(' ')?;
    let numbered = sign.strip_suffix('.').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    (numbered || matches!(sign, "-" | "✓")).then_some((sign, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_become_rows_and_paragraphs_stay() {
        let text =
            "Hello,\n\nWe need:\n\n1. Order number\n   You will find it.\n\n2. Photo\n\nKind regards,\nExample\n";
        let row =
            |sign: &str, lines: &[&str]| Row { sign: sign.into(), lines: lines.iter().map(|l| (*l).into()).collect() };
        let paragraph =
            |lines: &[&str]| Piece { lines: lines.iter().map(|l| (*l).into()).collect(), signs: Vec::new() };
        let rows = vec![row("1.", &["Order number", "You will find it."]), row("2.", &["Photo"])];
        assert_eq!(
            pieces(text),
            [
                paragraph(&["Hello,"]),
                paragraph(&["We need:"]),
                Piece { lines: Vec::new(), signs: rows },
                paragraph(&["Kind regards,", "Example"])
            ]
        );
    }
}
