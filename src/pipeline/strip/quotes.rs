//! Which lines are earlier mail, and whose.
//!
//! If lines marked as quoted follow a [`Head`](super::heads::Head), the marks say what is quoted and what is an answer in between. If
//! not (Outlook, Yahoo), all that follows is quoted, to the end.

use super::heads::Heads;
use super::lines::{Line, Place};
use super::words::plain;
use crate::domain::letter::Letter;
use crate::pipeline::lexicon::Lexicons;

#[derive(Debug)]
pub(super) struct Quotes {
    heads: Heads,
    forward_prefixes: Vec<String>,
}

impl Quotes {
    pub fn new(lexicons: &Lexicons) -> Self {
        let prefixes = lexicons.all.iter().flat_map(|l| &l.mail.forward_prefixes);
        Self { heads: Heads::new(lexicons), forward_prefixes: prefixes.map(|p| plain(p)).collect() }
    }

    pub fn heads(&self) -> &Heads {
        &self.heads
    }

    /// Sets the place of each line that belongs to earlier mail; gives whether anything introduced one.
    pub fn mark(&self, lines: &mut [Line], letter: &Letter) -> bool {
        let ours = recipients(letter);
        let from_us = |sender: &str| ours.iter().any(|a| sender.contains(a.as_str()));
        let mut forward_subject = self.is_forward(&letter.subject);
        let mut forwards = 0;
        let mut at = 0;
        // The place of an unmarked earlier mail that runs to the end.
        let mut tail = None;
        let mut found = false;
        while at < lines.len() {
            if tail.is_none()
                && let Some(sender) = self.heads.marked_forward(lines, at)
            {
                found = true;
                let end = end_of_marked(lines, at);
                if !from_us(&sender) {
                    lines.iter_mut().take(end).skip(at).for_each(|l| l.place = Place::Forwarded(forwards));
                    forwards += 1;
                    forward_subject = false;
                }
                at = end;
                continue;
            }
            let Some(head) = self.heads.at(lines, at, tail.is_some()) else {
                if let (Some(place), Some(line)) = (tail, lines.get_mut(at)) {
                    line.place = if line.marked { Place::Quoted } else { place };
                }
                at += 1;
                continue;
            };
            found = true;
            let next = (head.end + 1..lines.len()).find(|i| lines.get(*i).is_some_and(|l| !l.is_blank()));
            let marked = next.and_then(|i| lines.get(i)).is_some_and(|l| l.marked);
            let sender = if head.sender.is_empty() { self.heads.sender(lines, head.end + 1) } else { head.sender };
            let passed_on = (head.forward || forward_subject) && !from_us(&sender);
            // The prefix speaks of the first mail below; what stands under it is the conversation that one had.
            forward_subject = false;
            let place = match (passed_on, tail) {
                (true, _) => {
                    forwards += 1;
                    Place::Forwarded(forwards - 1)
                }
                // A mail quoted within one that is passed on is passed on with it, except our own.
                (false, Some(Place::Forwarded(n))) if !from_us(&sender) => Place::Forwarded(n),
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
        found
    }

    /// Whether the subject's outermost prefix is that of a forward.
    fn is_forward(&self, subject: &str) -> bool {
        let Some((prefix, _)) = subject.split_once([':', '：']) else { return false };
        let prefix = plain(prefix);
        let prefix = prefix.split(['[', '(']).next().unwrap_or_default().trim();
        self.forward_prefixes.iter().any(|p| p == prefix)
    }
}

/// The addresses and names the letter was sent to: ours are among them.
fn recipients(letter: &Letter) -> Vec<String> {
    let named =
        |names: &'static [&'static str]| letter.headers.iter().filter(move |h| names.contains(&h.name.as_str()));
    let addresses = named(&["to", "cc", "delivered-to", "x-original-to", "envelope-to"])
        .flat_map(|h| h.value.split([',', ' ', '<', '>', ';', '"', '(', ')']))
        .filter(|a| a.contains('@') && a.len() > 3);
    // Outlook's header blocks may give the name alone.
    let names = named(&["to"])
        .flat_map(|h| h.value.split(','))
        .filter_map(|entry| entry.split_once('<'))
        .map(|(name, _)| name.trim_matches(|c: char| c.is_whitespace() || c == '"'))
        .filter(|name| name.chars().count() > 4);
    addresses.chain(names).map(str::to_lowercase).collect()
}

/// Where a run of marked lines ends; blank lines do not end it.
fn end_of_marked(lines: &[Line], first: usize) -> usize {
    let after = lines.iter().enumerate().skip(first).find(|(_, l)| !l.marked && !l.is_blank()).map(|(i, _)| i);
    after.unwrap_or(lines.len())
}
