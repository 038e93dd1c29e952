//! Where earlier mail begins: attribution lines, header blocks, titles like "Original Message".
//!
//! What introduces an earlier mail is a *head*. If lines marked as quoted follow it, the marks say what is quoted and
//! what is an answer in between. If not (Outlook, Yahoo), all that follows is quoted, to the end.

use std::collections::HashMap;

use super::lines::{Line, Place};
use super::words::{Phrases, plain};
use crate::domain::letter::Letter;
use crate::pipeline::lexicon::{Lexicons, MailWords};

const FROM: u8 = 1;
const SENT: u8 = 2;
const TO: u8 = 4;
const SUBJECT: u8 = 8;

/// Lines that an attribution may be wrapped over.
const ATTRIBUTION_LINES: usize = 4;
/// Lines of a header block: four labels, `Cc`, and address lists that are wrapped.
const BLOCK_LINES: usize = 14;

#[derive(Debug)]
pub(super) struct Quotes {
    labels: HashMap<String, u8>,
    original: Phrases,
    forwarded: Phrases,
    wrote: Vec<String>,
    forward_prefixes: Vec<String>,
}

/// What introduces an earlier mail.
struct Head {
    /// Its last line.
    end: usize,
    forward: bool,
    /// The lines that name the sender, lower case.
    sender: String,
}

impl Quotes {
    pub fn new(lexicons: &Lexicons) -> Self {
        let mut labels: HashMap<String, u8> = HashMap::new();
        let mails = || lexicons.all.iter().map(|l| &l.mail);
        let kinds: [(fn(&MailWords) -> &Vec<String>, u8); 4] =
            [(|m| &m.from, FROM), (|m| &m.sent, SENT), (|m| &m.to, TO), (|m| &m.subject, SUBJECT)];
        for (pick, kind) in kinds {
            for label in mails().flat_map(pick) {
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
            forward_prefixes: mails().flat_map(|m| &m.forward_prefixes).map(|p| plain(p)).collect(),
        }
    }

    /// Sets the place of each line that belongs to earlier mail.
    pub fn mark(&self, lines: &mut [Line], letter: &Letter) {
        let ours = recipients(letter);
        let mut forward_subject = self.is_forward(&letter.subject);
        let mut forwards = 0;
        let mut at = 0;
        // The place of an unmarked earlier mail that runs to the end.
        let mut tail = None;
        while at < lines.len() {
            let Some(head) = self.head(lines, at, tail.is_some()) else {
                if let (Some(place), Some(line)) = (tail, lines.get_mut(at)) {
                    line.place = if line.marked { Place::Quoted } else { place };
                }
                at += 1;
                continue;
            };
            let next = (head.end + 1..lines.len()).find(|i| lines.get(*i).is_some_and(|l| !l.is_blank()));
            let marked = next.and_then(|i| lines.get(i)).is_some_and(|l| l.marked);
            let sender = if head.sender.is_empty() { self.sender(lines, head.end + 1) } else { head.sender };
            let passed_on = (head.forward || forward_subject) && !ours.iter().any(|a| sender.contains(a.as_str()));
            forward_subject = forward_subject && tail.is_none() && false_if_used(passed_on);
            let place = match (passed_on, tail) {
                (true, _) => {
                    forwards += 1;
                    Place::Forwarded(forwards - 1)
                }
                // A mail quoted within one that is passed on is passed on with it, except our own.
                (false, Some(Place::Forwarded(n))) if !ours.iter().any(|a| sender.contains(a.as_str())) => {
                    Place::Forwarded(n)
                }
                (false, _) => Place::Quoted,
            };
            let end = match next {
                Some(first) if marked && tail.is_none() && place != Place::Quoted => end_of_marked(lines, first),
                _ => head.end + 1,
            };
            for line in lines.iter_mut().take(end).skip(at) {
                line.place = place;
            }
            if !marked || tail.is_some() {
                tail = Some(place);
            }
            at = end.max(at + 1);
        }
    }

    /// Whether the subject's outermost prefix is that of a forward.
    fn is_forward(&self, subject: &str) -> bool {
        let Some((prefix, _)) = subject.split_once([':', '：']) else { return false };
        let prefix = plain(prefix);
        let prefix = prefix.split(['[', '(']).next().unwrap_or_default().trim();
        self.forward_prefixes.iter().any(|p| p == prefix)
    }

    fn head(&self, lines: &[Line], at: usize, in_tail: bool) -> Option<Head> {
        let line = lines.get(at)?;
        if line.marked || (line.is_blank() && !line.divider) {
            return None;
        }
        self.titled(lines, at).or_else(|| self.block_head(lines, at)).or_else(|| self.attribution(lines, at, in_tail))
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
    fn block(&self, lines: &[Line], start: usize) -> Option<(usize, String)> {
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
    fn label(&self, line: &str) -> u8 {
        let Some((label, _)) = line.split_once([':', '：']) else { return 0 };
        if label.len() > 40 {
            return 0;
        }
        let label = plain(label.trim_matches(|c: char| matches!(c, '*' | '_' | '>' | '|' | ' ' | '\u{A0}')));
        self.labels.get(&label).copied().unwrap_or(0)
    }

    /// The sender that a header block or attribution in marked lines names.
    fn sender(&self, lines: &[Line], from: usize) -> String {
        let near = || lines.iter().skip(from).take(8);
        near().find(|l| self.label(&l.text) & FROM != 0).map(|l| l.text.to_lowercase()).unwrap_or_default()
    }

    /// "On Monday, Jo wrote:", possibly wrapped. It names a date or an address, and ends with a colon.
    fn attribution(&self, lines: &[Line], at: usize, in_tail: bool) -> Option<Head> {
        let mut joined = String::new();
        for (count, line) in lines.iter().skip(at).take(ATTRIBUTION_LINES).enumerate() {
            if line.is_blank() || line.marked || joined.len() + line.text.len() > 400 {
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
            // What begins a line earlier than it should takes the customer's words with it.
            let begins_here = count == 0 || lines.get(at).is_some_and(|l| !ends_sentence(&l.text));
            let strong = wrote && dated || addressed && dated && words.contains('<');
            let weak = count == 0 && quoted && (wrote || dated && addressed || next.is_some() && line.divider);
            let unmarked = strong && (addressed || line.divider || has_clock(&words));
            let head = if quoted { strong || weak } else { unmarked };
            return (head && begins_here && (!in_tail || unmarked)).then(|| Head {
                end,
                forward: false,
                sender: words,
            });
        }
        None
    }
}

/// The first forward takes the subject's prefix with it: what stands below it is the conversation it had.
fn false_if_used(passed_on: bool) -> bool {
    !passed_on
}

fn lowest(kinds: u8) -> u8 {
    kinds & kinds.wrapping_neg()
}

/// The addresses the letter was sent to: ours is among them.
fn recipients(letter: &Letter) -> Vec<String> {
    let fields = letter
        .headers
        .iter()
        .filter(|h| matches!(h.name.as_str(), "to" | "delivered-to" | "x-original-to" | "envelope-to" | "cc"));
    fields
        .flat_map(|h| h.value.split([',', ' ', '<', '>', ';', '"', '(', ')']))
        .filter(|a| a.contains('@') && a.len() > 3)
        .map(str::to_lowercase)
        .collect()
}

/// The indices of the non-blank lines among the next `count`.
fn next_lines(lines: &[Line], from: usize, count: usize) -> impl Iterator<Item = usize> {
    (from..lines.len().min(from + count)).filter(|i| lines.get(*i).is_some_and(|l| !l.is_blank()))
}

/// Where a run of marked lines ends; blank lines do not end it.
fn end_of_marked(lines: &[Line], first: usize) -> usize {
    let after = lines.iter().enumerate().skip(first).find(|(_, l)| !l.marked && !l.is_blank()).map(|(i, _)| i);
    after.unwrap_or(lines.len())
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
