//! Phrases of all languages, found at the beginning of a line in time that does not grow with their number.

use std::collections::HashMap;

/// Phrases by their first word. Case and runs of blanks make no difference.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    by_first: HashMap<String, Vec<String>>,
}

impl Phrases {
    pub fn new<'a>(phrases: impl Iterator<Item = &'a String>) -> Self {
        let mut by_first: HashMap<String, Vec<String>> = HashMap::new();
        for phrase in phrases {
            let phrase = plain(phrase);
            let first = first_word(&phrase).to_owned();
            let list = by_first.entry(first).or_default();
            if !list.contains(&phrase) {
                list.push(phrase);
            }
        }
        for list in by_first.values_mut() {
            list.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
        }
        Self { by_first }
    }

    /// What follows the longest phrase that `line` (made [`plain`]) begins with, as whole words.
    pub fn rest<'a>(&self, line: &'a str) -> Option<&'a str> {
        self.by_first.get(first_word(line))?.iter().find_map(|phrase| {
            let rest = line.strip_prefix(phrase.as_str())?;
            let whole = !phrase.ends_with(char::is_alphanumeric) || !rest.starts_with(char::is_alphanumeric);
            whole.then_some(rest)
        })
    }
}

/// Lower case, single blanks, straight apostrophes.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in
        text.split(|c: char| c.is_whitespace() || matches!(c, '\u{200B}' | '\u{FEFF}')).filter(|w| !w.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase).map(|c| if c == '’' { '\'' } else { c }));
    }
    out
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}
