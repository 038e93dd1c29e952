//! What customers and their mail programs supply, made fit to print: one line, no controls, a readable length.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::pipeline::parse::is_invisible;

/// The longest subject, in characters; RFC 5322 section 2.1.1 bounds a line, readers' screens bound it sooner.
pub(super) const SUBJECT: usize = 150;

/// `text` on one line of at most `longest` characters, cut at a word.
///
/// Control characters and those that turn the writing direction are dropped. So are links: the desk must not be made
/// to carry a stranger's advertising to an address of the stranger's choice.
pub(super) fn line(text: &str, longest: usize) -> String {
    let visible: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(is_visible).collect();
    let mut words = Vec::new();
    for word in visible.split(' ').filter(|w| !w.is_empty()) {
        words.push(if is_link(word) { "…" } else { word });
    }
    cut(&words.join(" "), longest)
}

/// The display name, if it is one to greet a person by.
///
/// `Schmidt, Maria` is turned round. A name with digits or signs, in capitals only, or with one of `no_names` (company
/// and department words, lower case) in it is none: no name is better than a wrong one.
pub(super) fn human_name(display: &str, no_names: &BTreeSet<String>, brand: &str) -> Option<String> {
    let display = display.trim().trim_matches(['"', '\'']);
    let name = match display.split_once(',') {
        Some((last, first)) => format!("{} {}", first.trim(), last.trim()),
        None => display.trim().to_owned(),
    };
    let words: Vec<&str> = name.split_whitespace().collect();
    let is_human = (1..=4).contains(&words.len())
        && (2..=40).contains(&name.chars().count())
        && name.chars().any(|c| c.is_lowercase() || !(c.is_uppercase() || c.is_ascii()))
        && words.iter().all(|word| is_name_word(word))
        && [words.first(), words.last()].into_iter().flatten().all(|word| !begins_lower(word))
        && !words.iter().map(|w| w.trim_matches('.').to_lowercase()).any(|w| no_names.contains(&w))
        && !words.iter().any(|word| word.eq_ignore_ascii_case(brand));
    is_human.then(|| words.join(" "))
}

/// The subject without the reply prefixes and case numbers that mail programs and we pile up before and behind it.
pub(super) fn topic<'a>(subject: &str, prefixes: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut rest = line(subject, usize::MAX);
    while let Some(tag) = case_tag(&rest) {
        rest.replace_range(tag, " ");
    }
    let mut rest = rest.trim();
    while let Some(shorter) = prefixes.clone().find_map(|prefix| without_prefix(rest, prefix)) {
        rest = shorter;
    }
    line(rest, 100)
}

/// The text of a letter without blanks at line ends and with single empty lines between paragraphs.
pub(super) fn paragraphs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = 0;
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if empty > 0 && !out.is_empty() {
            out.push('\n');
        }
        empty = 0;
        out.push_str(line);
        out.push('\n');
    }
    out
}

fn case_tag(subject: &str) -> Option<Range<usize>> {
    let start = subject.find("[AS-")?;
    let length = subject.get(start..)?.find(']')?;
    Some(start..start + length + 1)
}

fn is_visible(c: &char) -> bool {
    !c.is_control() && !is_invisible(*c)
}

fn is_link(word: &str) -> bool {
    let word = word.to_lowercase();
    let with_path =
        word.split_once('/').is_some_and(|(host, _)| host.rsplit_once('.').is_some_and(|(_, top)| top.len() > 1));
    word.contains("://") || word.contains("www.") || word.contains("mailto:") || with_path
}

fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let head: String = text.chars().take(longest.saturating_sub(1)).collect();
    let at_word = head.rsplit_once(' ').map_or("", |(start, _)| start);
    // A single word longer than half the line is cut inside it.
    let kept = if at_word.chars().count() * 2 >= longest { at_word } else { &head };
    format!("{}…", kept.trim_end_matches([' ', ',', ';', '.', ':']))
}

fn is_name_word(word: &str) -> bool {
    let unabbreviated = word.strip_suffix('.').unwrap_or(word);
    let shape = unabbreviated.chars().all(|c| c.is_alphabetic() || is_mark(c) || matches!(c, '-' | '\'' | '’'));
    // `GmbH`, `iPhone`: a capital inside a word, unless after a hyphen, an apostrophe or one small syllable (`McCoy`).
    let mut before = ' ';
    let mut lower = 0;
    for c in word.chars() {
        if c.is_uppercase() && before.is_lowercase() && lower != 1 {
            return false;
        }
        lower = if c.is_lowercase() { lower + 1 } else { 0 };
        before = c;
    }
    shape && word.chars().any(char::is_alphabetic)
}

fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}')
}

/// `von`, but not the French `d'Arc`.
fn begins_lower(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_lowercase) && !word.chars().any(char::is_uppercase)
}

/// `Re: x`, `RE : x`, `Re[2]: x`, `AW：x` → `x`.
fn without_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let head = text.get(..prefix.len())?;
    if head.to_lowercase() != prefix.to_lowercase() {
        return None;
    }
    let tail = text.get(prefix.len()..)?.trim_start();
    let tail = match tail.strip_prefix(['[', '(']) {
        Some(counted) => {
            counted.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix([']', ')'])?.trim_start()
        }
        None => tail,
    };
    Some(tail.strip_prefix([':', '：'])?.trim())
}
