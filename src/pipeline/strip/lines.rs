//! A letter's text as lines, each with what the mail program's own marks say of it.

/// A line and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub text: String,
    pub place: Place,
    /// Quoted by a mark of its own: `>` or an HTML element. Not so the rest of a mail below "Original Message".
    pub marked: bool,
    /// The mail program set a quote off here (a rule, a container of known name).
    pub divider: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Own,
    Quoted,
    Signature,
    /// Part of the n-th forwarded mail.
    Forwarded(usize),
}

impl Line {
    pub fn new(text: String, place: Place) -> Self {
        Self { text, place, marked: place == Place::Quoted, divider: false }
    }

    pub fn blank() -> Self {
        Self::new(String::new(), Place::Own)
    }

    pub fn is_blank(&self) -> bool {
        self.text.chars().all(|c| c.is_whitespace() || matches!(c, '\u{FEFF}' | '\u{200B}' | '\u{A0}'))
    }
}

/// Plain text: `>` marks a quoted line (RFC 3676 section 4.5).
pub(super) fn plain(text: &str, lines: &mut Vec<Line>) {
    for line in text.lines() {
        let rest = line.trim_start();
        let content = rest.trim_start_matches(['>', ' ']);
        // A lone `>:` is the end of an attribution whose address was wrapped.
        let quoted = rest.starts_with('>') && line.len() - rest.len() < 4 && content.trim() != ":";
        let (text, place) = if quoted { (content, Place::Quoted) } else { (line, Place::Own) };
        lines.push(Line::new(text.trim_end().replace('\u{FEFF}', ""), place));
    }
}
