//! Signatures without a word of farewell: the writer's own name, or a block of name, company and telephone, as the last
//! paragraphs of a text.
//!
//! Lists of facts look much the same. So a block begins with a name, has nothing but names and addresses below it, and no
//! line of it is a label, a code or a sentence.

use std::collections::BTreeSet;

use super::lines::Line;
use super::words::plain;
use crate::domain::letter::Letter;

/// Lines of a block: name, role, company, street, town, telephones, web site.
const LINES: usize = 8;
/// Words of a line with a name: titles, given names, family names.
const NAME_WORDS: usize = 4;

/// The words of the writer's name, as the header has it.
pub(super) fn names(letter: &Letter) -> BTreeSet<String> {
    let Some(person) = &letter.from else { return BTreeSet::new() };
    let text = person.name.as_deref().unwrap_or_else(|| person.address.local_part());
    let words = plain(text);
    words.split(|c: char| !c.is_alphabetic()).filter(|w| w.chars().count() >= 2).map(str::to_owned).collect()
}

/// Where a block begins that runs to the end of `lines`; blank lines may stand in it. Never at the first line.
pub(super) fn begins(lines: &[Line], names: &BTreeSet<String>) -> Option<usize> {
    let last = lines.iter().rposition(|l| !l.is_blank())?;
    let mut count = 0;
    let mut contacts = 0;
    let mut begins = None;
    for (at, line) in lines.iter().enumerate().take(last + 1).skip(1).rev() {
        if line.is_blank() {
            continue;
        }
        count += 1;
        if count > LINES {
            break;
        }
        let text = line.text.trim();
        let above = lines.get(at - 1);
        let apart = above.is_some_and(Line::is_blank);
        let own = is_name(text) && plain(text).split(|c: char| !c.is_alphabetic()).any(|w| names.contains(w));
        let in_full = names.len() >= 2 && names.iter().all(|name| plain(text).contains(name.as_str()));
        let after_sentence = above.is_some_and(|l| l.text.trim_end().ends_with(['.', '!', '?']));
        // "Fermín Cuesta" as the header has it needs no telephone below it: "Panadería Cuesta e Hijos" will do.
        let alone = count == 1 || contacts > 0 || in_full && apart;
        if own && alone && (apart || after_sentence) || apart && is_name(text) && contacts > 0 && count > 1 {
            begins = Some(at);
        }
        if is_contact(text) {
            contacts += 1;
        } else if !is_plate(text) {
            break;
        }
    }
    begins
}

/// A few capitalised words and initials.
fn is_name(text: &str) -> bool {
    let words: Vec<&str> =
        text.trim_matches(|c: char| matches!(c, ',' | '.' | '*' | '-' | ' ')).split_whitespace().collect();
    let capital =
        |w: &&str| w.starts_with(char::is_uppercase) && w.chars().all(|c| c.is_alphabetic() || ".-'’".contains(c));
    (1..=NAME_WORDS).contains(&words.len()) && words.iter().all(capital)
}

/// A telephone number, an address of mail or web; words beside it name it.
fn is_contact(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let groups = text.split(|c: char| !c.is_ascii_digit()).filter(|g| g.len() >= 2).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    let telephone = digits >= 7 && digits > letters && (groups >= 2 || text.starts_with('+'));
    let few_words = text.split_whitespace().count() <= 5;
    telephone || few_words && (text.contains('@') || text.contains("www.") || text.contains("://"))
}

/// A line as on a door plate: short, no sentence, no label, no code.
fn is_plate(text: &str) -> bool {
    let is_code = |w: &str| {
        w.chars().filter(char::is_ascii_digit).count() >= 3 && w.chars().any(|c| c.is_ascii_uppercase()) && w.len() >= 5
    };
    text.chars().count() <= 50
        && !text.ends_with(['.', '!', '?', ':', ','])
        && !text.contains(':')
        && text.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit())
        && !text.split_whitespace().any(is_code)
}
