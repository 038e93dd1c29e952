//! Where a signature begins: the `-- ` line, a sign-off near the end, a mail program's footer, a disclaimer, the writer's
//! name and address.
//!
//! Facts may stand below a sign-off and stay in the signature; prose below it (a postscript) stays text.

use std::collections::BTreeSet;

use super::contact;
use super::lines::{Line, Place};
use super::words::{Phrases, plain};
use crate::domain::letter::Letter;
use crate::pipeline::lexicon::Lexicons;

/// Non-blank lines below a sign-off: name, role, company, street, town, telephone, web site, a slogan.
const MAX_LINES: usize = 8;
/// Non-blank lines from the end of a text in which a sign-off is sought; disclaimers are off by then.
const REACH: usize = 14;
/// A line of a signature is short; a longer one, or one of that many words, is prose.
const PROSE_CHARS: usize = 72;
const PROSE_WORDS: usize = 10;

#[derive(Debug)]
pub(super) struct Signatures {
    signoffs: Phrases,
    footers: Phrases,
    disclaimers: Phrases,
}

impl Signatures {
    pub fn new(lexicons: &Lexicons) -> Self {
        let mails = || lexicons.all.iter().map(|l| &l.mail);
        Self {
            signoffs: Phrases::new(mails().flat_map(|m| &m.signoffs)),
            footers: Phrases::new(mails().flat_map(|m| &m.footers)),
            disclaimers: Phrases::new(mails().flat_map(|m| &m.disclaimers)),
        }
    }

    /// Sets the place of the signature lines in each run of the customer's own lines.
    pub fn mark(&self, lines: &mut [Line], letter: &Letter) {
        let names = contact::names(letter);
        let mut start = 0;
        while start < lines.len() {
            let own = |l: &Line| l.place == Place::Own;
            let Some(from) = lines.iter().skip(start).position(own).map(|i| i + start) else { break };
            let end = lines.iter().skip(from).position(|l| !own(l)).map_or(lines.len(), |i| i + from);
            if let Some(run) = lines.get_mut(from..end) {
                self.mark_run(run, from == 0, &names);
            }
            start = end;
        }
        // A text that is all sign-off ("Thanks!") is what the customer wrote, in whatever container it came.
        if !lines.iter().any(|l| matches!(l.place, Place::Own | Place::Forwarded(_)) && !l.is_blank()) {
            let to_give_back = |l: &&mut Line| l.place == Place::Signature && !self.is_footer(&l.text);
            let mut before_dashes = true;
            for line in lines.iter_mut().filter(to_give_back) {
                before_dashes = before_dashes && !is_dashes(&line.text);
                if before_dashes {
                    line.place = Place::Own;
                }
            }
        }
    }

    fn mark_run(&self, run: &mut [Line], first: bool, names: &BTreeSet<String>) {
        let full = |run: &[Line]| -> Vec<usize> {
            (0..run.len()).filter(|i| run.get(*i).is_some_and(|l| !l.is_blank() && l.place == Place::Own)).collect()
        };
        if let Some(at) = run.iter().position(|l| is_dashes(&l.text)) {
            let said_before = !first || run.iter().take(at).any(|l| !l.is_blank());
            if said_before {
                set(run, at, run.len());
            }
        }
        // Footers stand at the end, or at the top when the customer writes below one.
        for at in full(run) {
            if run.get(at).is_some_and(|l| self.is_footer(&l.text)) {
                let link = run.get(at + 1).is_some_and(|l| {
                    l.text.trim_start().starts_with(['<', '[']) || l.text.trim_start().starts_with("http")
                });
                set(run, at, at + 1 + usize::from(link));
            }
        }
        if let Some(at) = full(run).into_iter().find(|i| {
            run.get(*i)
                .is_some_and(|l| self.disclaimers.rest(&plain(l.text.trim_start_matches(['*', '_', ' ']))).is_some())
        }) && run.iter().take(at).any(|l| !l.is_blank())
        {
            set(run, at, run.len());
        }
        let lines = full(run);
        let near = lines.len().saturating_sub(REACH);
        let signoff = lines.iter().enumerate().skip(near).find(|(order, at)| {
            (!first || *order > 0)
                && run.get(**at).is_some_and(|l| self.is_signoff(&l.text))
                && lines.iter().skip(order + 1).filter(|i| run.get(**i).is_some_and(|l| !is_prose(&l.text))).count()
                    <= MAX_LINES
        });
        if let Some((_, at)) = signoff {
            self.take_signature(run, *at);
        }
        let end = run.iter().position(|l| !l.is_blank() && l.place != Place::Own).unwrap_or(run.len());
        if let Some(at) = run.get(..end).and_then(|own| contact::begins(own, names)) {
            set(run, at, end);
        }
        // A rule that led to what is now off.
        for at in full(run).into_iter().rev() {
            let rule = run
                .get(at)
                .is_some_and(|l| l.text.trim().chars().all(|c| matches!(c, '_' | '-' | '=' | '*' | '—' | '–')));
            if !rule {
                break;
            }
            set(run, at, at + 1);
        }
    }

    /// Takes the paragraphs from a sign-off on, but not the prose among them.
    fn take_signature(&self, run: &mut [Line], from: usize) {
        let mut at = from;
        while at < run.len() {
            let end = run.iter().skip(at).position(Line::is_blank).map_or(run.len(), |i| i + at);
            let prose = at > from
                && run.get(at..end).is_some_and(|p| {
                    p.iter().any(|l| is_prose(&l.text)) || p.first().is_some_and(|l| is_postscript(&l.text))
                });
            if !prose {
                set(run, at, end);
            }
            at = end + 1;
        }
    }

    /// A line the mail program added: a known beginning, and not a sentence.
    fn is_footer(&self, text: &str) -> bool {
        let bare = text.trim().trim_start_matches(['-', '–', '—', '*', '[', '(', ' ']);
        bare.len() <= 200
            && self
                .footers
                .rest(&plain(&bare.replace(['[', ']'], "")))
                .is_some_and(|rest| rest.split(['<', '(']).next().unwrap_or_default().split_whitespace().count() <= 9)
    }

    /// A closing phrase with nothing after it but punctuation and a name.
    fn is_signoff(&self, text: &str) -> bool {
        let text = text.trim();
        if text.len() > 90 || text.ends_with('?') {
            return false;
        }
        let bare = plain(text.trim_start_matches(['-', '–', '*', '_', ' ']));
        let Some(rest) = self.signoffs.rest(&bare) else { return false };
        let rest = rest.trim_matches(|c: char| !c.is_alphanumeric());
        if rest.is_empty() {
            return true;
        }
        // Names are written with capitals, in German as any noun: a name is also short.
        let said = text.chars().count().saturating_sub(rest.chars().count());
        let names: Vec<&str> = text.split_whitespace().collect();
        let count = rest.split_whitespace().count();
        let capitals = names
            .iter()
            .rev()
            .take(count)
            .all(|w| w.chars().find(|c| c.is_alphabetic()).is_none_or(char::is_uppercase));
        count <= 3
            && said > 0
            && (capitals
                || self.signoffs.rest(rest).is_some_and(|r| r.trim_matches(|c: char| !c.is_alphanumeric()).is_empty()))
    }
}

fn set(run: &mut [Line], from: usize, to: usize) {
    for line in run.iter_mut().take(to).skip(from) {
        line.place = Place::Signature;
    }
}

/// The separator of RFC 3676 section 4.3, also without its blank, which many programs drop.
fn is_dashes(text: &str) -> bool {
    matches!(text.trim_end(), "--" | "—")
}

fn is_prose(text: &str) -> bool {
    let text = text.trim();
    // Company blocks and links are long too, but no sentences.
    let words = text.split_whitespace().filter(|w| w.chars().any(char::is_alphabetic)).count();
    let block = text.contains(['|', '•', '·', '@']) || text.contains("://") || text.contains("www.");
    !block && (words >= PROSE_WORDS || text.chars().count() > PROSE_CHARS && words >= PROSE_WORDS / 2)
}

/// `P.S.` in the spellings of the languages that use the Latin words.
fn is_postscript(text: &str) -> bool {
    let head: String =
        text.trim_start().chars().take(6).filter(|c| c.is_alphabetic()).take(3).collect::<String>().to_lowercase();
    let separated = text.trim_start().chars().take(6).any(|c| matches!(c, '.' | ':' | ' '));
    separated
        && (head.starts_with("ps") || head.starts_with("pps"))
        && !text.trim_start().to_lowercase().starts_with("psy")
}
