//! What a page is printed on: lines folded to a width that terminals and printed sheets have, colours where there is a
//! terminal, and nothing in a letter's text that could move a cursor or turn a line around.

use std::io::{self, Write};

use crate::pipeline::parse::is_invisible;

/// Columns, counted in characters.
const WIDTH: usize = 100;

/// Where the text of an entry begins.
const MARGIN: usize = 17;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    Title,
    Mark,
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Ink {
    /// SGR parameters (ECMA-48).
    fn code(self) -> &'static str {
        match self {
            Self::Title => "1",
            Self::Mark => "36",
            Self::Good => "32",
            Self::Doubtful => "33",
            Self::Bad => "31",
            Self::Faint => "2",
        }
    }
}

pub struct Paper<'a> {
    out: &'a mut dyn Write,
    colour: bool,
}

impl<'a> Paper<'a> {
    pub fn new(out: &'a mut dyn Write, colour: bool) -> Self {
        Self { out, colour }
    }

    /// Text in colour; each word by itself, so that folding cuts no coloured run.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let words: Vec<String> = text.split(' ').map(|w| format!("\x1b[{}m{w}\x1b[0m", ink.code())).collect();
        words.join(" ")
    }

    pub fn title(&mut self, text: &str) -> io::Result<()> {
        let text = clean(text);
        let line = "━".repeat(WIDTH.saturating_sub(text.chars().count() + 4));
        let text = self.ink(Ink::Title, &text);
        writeln!(self.out, "━━ {text} {line}")
    }

    pub fn heading(&mut self, text: &str) -> io::Result<()> {
        let text = self.ink(Ink::Title, text);
        writeln!(self.out, "\n{text}")
    }

    /// A line of an entry; what does not fit goes on below its beginning.
    pub fn entry(&mut self, name: &str, text: &str) -> io::Result<()> {
        let name = format!("  {name}");
        let gap = " ".repeat(MARGIN.saturating_sub(visible(&name)).max(1));
        self.folded(&format!("{name}{gap}"), &" ".repeat(MARGIN), text)
    }

    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.folded("  ", "    ", text)
    }

    /// A text as it stands, line by line, behind a bar.
    pub fn quote(&mut self, text: &str) -> io::Result<()> {
        text.lines().try_for_each(|line| self.folded("  │ ", "  │ ", line))
    }

    pub fn blank(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    fn folded(&mut self, first: &str, next: &str, text: &str) -> io::Result<()> {
        let room = WIDTH.saturating_sub(visible(first).max(visible(next)));
        for (n, line) in fold(text, room).iter().enumerate() {
            let before = if n == 0 { first } else { next };
            writeln!(self.out, "{}", format!("{before}{line}").trim_end())?;
        }
        Ok(())
    }
}

/// A text from outside as it may be printed: no control characters (a letter must not steer the terminal it is read
/// on), no marks that reverse the order of what follows.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' => '\n',
            // Cells of a table's row.
            '\t' => ' ',
            c if is_invisible(c) => '\u{FFFD}',
            c if c.is_control() => char::from_u32(0x2400 + u32::from(c)).filter(|_| c < ' ').unwrap_or('\u{FFFD}'),
            c => c,
        })
        .collect()
}

/// Breaks a line between words; a word longer than a line is cut.
fn fold(line: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut used = 0;
    for word in line.split_inclusive(' ') {
        if used > 0 && used + visible(word.trim_end()) > width {
            lines.push(std::mem::take(&mut current));
            used = 0;
        }
        let mut in_escape = false;
        for c in word.chars() {
            in_escape |= c == '\x1b';
            if !in_escape {
                if used >= width && c != ' ' {
                    lines.push(std::mem::take(&mut current));
                    used = 0;
                }
                used += 1;
            }
            in_escape &= c != 'm';
            current.push(c);
        }
    }
    lines.push(current);
    lines
}

/// The columns a text takes: escape sequences take none.
fn visible(text: &str) -> usize {
    let mut in_escape = false;
    text.chars()
        .filter(|c| {
            let counts = !in_escape && *c != '\x1b';
            in_escape = (in_escape || *c == '\x1b') && *c != 'm';
            counts
        })
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_letter_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\u{202E}c\u{9B}d\te"), "a␛[2Jb\u{FFFD}c\u{FFFD}d e");
    }

    proptest! {
        #[test]
        fn folding_loses_no_character_and_keeps_the_width(line in "[a-z \u{e9}]{0,300}", width in 5usize..40) {
            let lines = fold(&line, width);
            prop_assert_eq!(lines.concat(), line);
            prop_assert!(lines.iter().all(|l| l.trim_end().chars().count() <= width));
        }
    }

    #[test]
    fn colours_take_no_room() {
        let mut out = Vec::new();
        let mut paper = Paper::new(&mut out, true);
        let words = paper.ink(Ink::Good, "word ".repeat(40).trim());
        paper.line(&words).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|line| visible(line) <= WIDTH), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.lines().all(|line| line.matches("\x1b[32m").count() == line.matches("\x1b[0m").count()), "{text}");
    }
}
