//! What introduces an earlier mail: an attribution line, a header block, a title like "Original Message".

use std::collections::HashMap;

use super::lines::Line;
use super::words::{Phrases, plain};
use crate::pipeline::lexicon::Lexicons;

pub(super) const FROM: u8 = 1;
const SENT: u8 = 2;
const TO: u8 = 4;
pub(super) const SUBJECT: u8 = 8;

/// Lines that an attribution may be wrapped over.
const ATTRIBUTION_LINES: usize = 4;
/// Lines of a header block: four labels, `Cc`, and address lists that are wrapped.
const BLOCK_LINES: usize = 14;

/// What introduces an earlier mail.
pub(super) struct Head {
    /// Its last line.
    pub end: usize,
    pub forward: bool,
    /// The lines that name the sender, lower case.
    pub sender: String,
}

#[derive(Debug)]
pub(super) struct Heads {
    labels: HashMap<String, u8>,
    original: Phrases,
    forwarded: Phrases,
    wrote: Vec<String>,
}

impl Heads {
    pub fn new(lexicons: &Lexicons) -> Self {
        let mut labels: HashMap<String, u8> = HashMap::new();
        let mails = || lexicons.all.iter().map(|l| &l.mail);
        for words in mails() {
            let kinds = [(&words.from, FROM), (&words.sent, SENT), (&words.to, TO), (&words.subject, SUBJECT)];
            for (label, kind) in kinds.into_iter().flat_map(|(labels, kind)| labels.iter().map(move |l| (l, kind))) {
                *labels.entry(plain(label)).or_default() |= kind;
            }
        }
        let mut wrote: Vec<String> =
            mails().flat_map(|m| &m.wrote).map(|w| plain(w).trim_end_matches([':', ' ']).to_owned()).collect();
        wrote.sort();
        wrote.dedup();
        Self {
            labels,
            original: Phrases::new(mails().flat_map(|m| &m.original)),
            forwarded: Phrases::new(mails().flat_map(|m| &m.forwarded)),
            wrote,
        }
    }

    /// The head that begins at a line. Within an unmarked earlier mail (`in_tail`) only a plain one counts.
    pub fn at(&self, lines: &[Line], at: usize, in_tail: bool) -> Option<Head> {
        let line = lines.get(at)?;
        if line.marked || (line.is_blank() && !line.divider) {
            return None;
        }
        self.titled(lines, at)
            .or_else(|| self.block_head(lines, at))
            .or_else(|| self.attribution(lines, at, in_tail))
            .or_else(|| self.dated_block(lines, at))
    }

    /// A title (`-----Original Message-----`, `Begin forwarded message:`), with the header block below it if there is one.
    fn titled(&self, lines: &[Line], at: usize) -> Option<Head> {
        let line = lines.get(at)?;
        let bare = line.text.trim().trim_matches(|c: char| matches!(c, '-' | '_' | '=' | '*' | '>' | '—' | '–' | ' '));
        if bare.is_empty() || bare.len() > 200 || line.marked {
            return None;
        }
        let words = plain(bare);
        let (rest, forward) = match self.forwarded.rest(&words) {
            Some(rest) => (rest, true),
            None => (self.original.rest(&words)?, false),
        };
        let text = line.text.trim();
        let ruled = text.starts_with(['-', '_', '=', '*', '—']) && text.len() > bare.len() + 1;
        let closed = rest.trim().trim_matches(|c: char| !c.is_alphanumeric()).is_empty();
        let below = next_lines(lines, at + 1, 3).find_map(|i| self.block(lines, i));
        let sound = match below {
            Some(_) => true,
            None => ruled && (closed || forward) || forward && closed && text.ends_with(':'),
        };
        sound.then(|| match below {
            Some((end, sender)) => Head { end, forward, sender },
            None => Head { end: at, forward, sender: String::new() },
        })
    }

    /// A header block, with the rule above it.
    fn block_head(&self, lines: &[Line], at: usize) -> Option<Head> {
        let line = lines.get(at)?;
        let rule = is_rule(&line.text);
        let start = if rule || line.is_blank() { next_lines(lines, at + 1, 3).next()? } else { at };
        if let Some((end, sender)) = self.block(lines, start) {
            return Some(Head { end, forward: false, sender });
        }
        // In a language whose labels are not known, a rule and lines of "Label: value" with an address in them will do.
        if !(rule && line.text.trim().starts_with("____") || line.divider) {
            return None;
        }
        let labelled = |l: &&Line| {
            l.text.split_once(':').is_some_and(|(label, value)| {
                label.chars().count() <= 25 && label.split_whitespace().count() <= 3 && !value.trim().is_empty()
            })
        };
        let block: Vec<&Line> = lines.iter().skip(start).take(6).take_while(|l| labelled(l)).collect();
        let sender = block.iter().find(|l| l.text.contains('@')).map(|l| l.text.to_lowercase())?;
        (block.len() >= 3).then(|| Head { end: start + block.len() - 1, forward: false, sender })
    }

    /// The last line and the sender of a header block that begins at a line: three of the four labels, the lines close
    /// together.
    pub fn block(&self, lines: &[Line], start: usize) -> Option<(usize, String)> {
        let mut kinds = 0_u8;
        let mut end = start;
        let mut sender = String::new();
        let mut from_open = false;
        let first = lines.get(start)?;
        if first.marked || self.label(&first.text) == 0 {
            return None;
        }
        let mut foreign = 0;
        for at in start..lines.len().min(start + BLOCK_LINES) {
            let line = lines.get(at)?;
            if line.is_blank() && kinds.count_ones() >= 3 {
                break;
            }
            let label = self.label(&line.text);
            if label != 0 {
                // A label may stand for several kinds in different languages: it counts for one that is still open.
                kinds |= lowest(label & !kinds);
                from_open = label & FROM != 0 && sender.is_empty();
                end = at;
                foreign = 0;
            } else if line.text.split_once(':').is_some_and(|(l, _)| l.len() < 20 && !l.contains(' '))
                && kinds.count_ones() >= 2
            {
                end = at; // `Cc:`, `Importance:`
                from_open = false;
            } else {
                foreign += 1;
            }
            if from_open {
                sender.push_str(&line.text.to_lowercase());
            }
            // Blank lines or wrapped values between the labels.
            if foreign > 2 {
                break;
            }
        }
        (kinds & FROM != 0 && kinds.count_ones() >= 3).then_some((end, sender))
    }

    /// The kinds of header that a line's label may stand for.
    pub fn label(&self, line: &str) -> u8 {
        let Some((label, _)) = line.split_once([':', '：']) else { return 0 };
        if label.len() > 40 {
            return 0;
        }
        let label = plain(label.trim_matches(|c: char| matches!(c, '*' | '_' | '>' | '|' | ' ' | '\u{A0}')));
        self.labels.get(&label).copied().unwrap_or(0)
    }

    fn label_at(&self, lines: &[Line], at: usize) -> u8 {
        lines.get(at).map_or(0, |l| self.label(&l.text))
    }

    /// The sender that a header block or attribution in marked lines names.
    pub fn sender(&self, lines: &[Line], from: usize) -> String {
        let near = || lines.iter().skip(from).take(8);
        near().find(|l| self.label(&l.text) & FROM != 0).map(|l| l.text.to_lowercase()).unwrap_or_default()
    }

    /// "On Monday, Jo wrote:", possibly wrapped. It names a date or an address, and ends with a colon.
    fn attribution(&self, lines: &[Line], at: usize, in_tail: bool) -> Option<Head> {
        let mut joined = String::new();
        for (count, line) in lines.iter().skip(at).take(ATTRIBUTION_LINES).enumerate() {
            let too_long = joined.len() + line.text.len() > 400;
            if line.is_blank() || line.marked || too_long || count > 0 && line.divider {
                return None;
            }
            joined.push(' ');
            joined.push_str(line.text.trim());
            if !joined.ends_with([':', '：']) {
                continue;
            }
            let end = at + count;
            let next = next_lines(lines, end + 1, 3).next().and_then(|i| lines.get(i));
            let quoted = next.is_some_and(|l| l.marked);
            let words = plain(&joined);
            let wrote = self.wrote.iter().any(|w| contains_word(&words, w));
            let (dated, addressed) = (is_dated(&words), words.contains('@'));
            let strong = wrote && dated || addressed && dated && words.contains('<');
            let weak = count == 0 && quoted && (wrote || dated && (addressed || has_clock(&words)) || line.divider);
            let unmarked = strong && (addressed || line.divider || has_clock(&words));
            let head = if quoted { strong || weak } else { unmarked };
            // A sentence above the attribution is the customer's, and a line that the attribution can do without.
            let first = lines.get(at).map_or("", |l| l.text.trim());
            let bare = !first.contains(|c: char| c.is_ascii_digit() || c == '@');
            let above =
                count > 0 && bare && (ends_sentence(first) || self.attribution(lines, at + 1, in_tail).is_some());
            return (head && !above && (!in_tail || unmarked)).then_some(Head { end, forward: false, sender: words });
        }
        None
    }

    /// The sender of a forward that stands whole, title and all, in marked lines beginning here (as Apple Mail writes it).
    pub fn marked_forward(&self, lines: &[Line], at: usize) -> Option<String> {
        let line = lines.get(at).filter(|l| l.marked && !l.is_blank())?;
        let first = !at.checked_sub(1).and_then(|before| lines.get(before)).is_some_and(|l| l.marked);
        let title = line.text.trim_matches(|c: char| matches!(c, '-' | ' '));
        (first && title.len() < 100 && self.forwarded.rest(&plain(title)).is_some()).then(|| self.sender(lines, at + 1))
    }

    /// A header block of Lotus Notes: a name, a date with a time, then `To:` and `Subject:`.
    fn dated_block(&self, lines: &[Line], at: usize) -> Option<Head> {
        let line = |i: usize| lines.get(i).filter(|l| !l.is_blank() && !l.marked && l.text.len() < 100);
        let is_time = |i: usize| line(i).is_some_and(|l| is_dated(&plain(&l.text)) && has_clock(&l.text));
        let only_time = |i: usize| is_time(i) && line(i).is_some_and(|l| l.text.split_whitespace().count() <= 4);
        let time = if is_time(at) { at } else { Some(at + 1).filter(|i| line(at).is_some() && only_time(*i))? };
        let first = next_lines(lines, time + 1, 3).next().filter(|i| self.label_at(lines, *i) & TO != 0)?;
        let end = next_lines(lines, first + 1, BLOCK_LINES).find(|i| self.label_at(lines, *i) & SUBJECT != 0)?;
        let sender = lines.get(at..=time)?.iter().map(|l| l.text.to_lowercase()).collect();
        Some(Head { end, forward: false, sender })
    }
}

fn lowest(kinds: u8) -> u8 {
    kinds & kinds.wrapping_neg()
}

/// The indices of the non-blank lines among the next `count`.
fn next_lines(lines: &[Line], from: usize, count: usize) -> impl Iterator<Item = usize> {
    (from..lines.len().min(from + count)).filter(|i| lines.get(*i).is_some_and(|l| !l.is_blank()))
}

fn is_rule(text: &str) -> bool {
    let text = text.trim();
    text.len() >= 5 && text.chars().all(|c| matches!(c, '_' | '-' | '=' | '*' | '—' | '–'))
}

/// A number with separators, or a year: a date or a time of day. What stands in brackets is an address.
fn is_dated(words: &str) -> bool {
    let mut depth = 0_usize;
    let outside: String = words
        .chars()
        .filter(|c| {
            match c {
                '<' => depth += 1,
                '>' => depth = depth.saturating_sub(1),
                _ => {}
            }
            depth == 0
        })
        .collect();
    outside.split_whitespace().any(|t| {
        let digits = t.chars().filter(char::is_ascii_digit).count();
        let others = t
            .chars()
            .filter(|c| !c.is_ascii_digit())
            .all(|c| matches!(c, '.' | ':' | '/' | '-' | ',' | ')' | '(' | 'h'));
        others && (digits >= 4 || digits >= 3 && t.contains([':', '.', '/', '-']))
    })
}

/// A time of day: `19:22`, `7.22`, `19h22`.
fn has_clock(words: &str) -> bool {
    words.split_whitespace().any(|t| {
        let t = t.trim_matches(|c: char| !c.is_ascii_digit());
        t.split_once([':', '.', 'h']).is_some_and(|(h, m)| {
            let number = |s: &str, max: u8| s.len() <= 2 && s.parse::<u8>().is_ok_and(|n| n < max);
            number(h, 24) && m.len() >= 2 && m.get(..2).is_some_and(|m| number(m, 60))
        })
    })
}

fn ends_sentence(line: &str) -> bool {
    line.trim_end().ends_with(['.', '!', '?', '…', ':', ';'])
}

fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}
