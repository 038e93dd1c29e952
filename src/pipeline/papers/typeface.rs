//! The typeface of the papers, Noto Sans: what it can print, how wide that is, where lines break.

use std::sync::LazyLock;

use ttf_parser::{Face, GlyphId};
use unicode_normalization::UnicodeNormalization;

/// The longest text that is laid out, in characters; no form has room for more.
const LONGEST: usize = 2000;

/// What stands for words that are cut off and for characters that there is no glyph for.
const CUT: char = '…';

/// A cut of the typeface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Regular,
    Bold,
}

static REGULAR: LazyLock<Option<Face<'static>>> = LazyLock::new(|| Face::parse(Weight::Regular.file(), 0).ok());
static BOLD: LazyLock<Option<Face<'static>>> = LazyLock::new(|| Face::parse(Weight::Bold.file(), 0).ok());

impl Weight {
    /// The TrueType file.
    pub(super) fn file(self) -> &'static [u8] {
        match self {
            Self::Regular => include_bytes!("fonts/NotoSans-Regular.ttf"),
            Self::Bold => include_bytes!("fonts/NotoSans-Bold.ttf"),
        }
    }

    /// `None` if the file is damaged, which a test rules out.
    pub(super) fn face(self) -> Option<&'static Face<'static>> {
        match self {
            Self::Regular => REGULAR.as_ref(),
            Self::Bold => BOLD.as_ref(),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Regular => "NotoSans-Regular",
            Self::Bold => "NotoSans-Bold",
        }
    }

    pub(super) fn glyph(self, c: char) -> Option<GlyphId> {
        // The first glyph is the one for what is missing.
        self.face()?.glyph_index(c).filter(|glyph| glyph.0 != 0)
    }

    /// The advance of a glyph, in units of the type size.
    pub(super) fn advance(self, glyph: GlyphId) -> f64 {
        let Some(face) = self.face() else { return 0.0 };
        f64::from(face.glyph_hor_advance(glyph).unwrap_or(0)) / f64::from(face.units_per_em())
    }
}

/// `text` in characters that the typeface has: composed, others as one `…` each run.
pub fn printable(text: &str) -> String {
    let mut out = String::new();
    for c in text.nfc().take(LONGEST) {
        let known = Weight::Regular.glyph(c).is_some() && Weight::Bold.glyph(c).is_some();
        match c {
            // French sets these before its marks: lines don't break there.
            '\u{a0}' | '\u{202f}' => out.push('\u{a0}'),
            c if c.is_whitespace() => out.push(' '),
            c if known => out.push(c),
            _ if out.ends_with(CUT) => {}
            _ => out.push(CUT),
        }
    }
    out
}

/// How wide a line of `size` is, in the unit of `size`.
pub fn width(text: &str, size: f64, weight: Weight) -> f64 {
    size * text.chars().filter_map(|c| Some(weight.advance(weight.glyph(c)?))).sum::<f64>()
}

/// `text` in at most `most` lines no wider than `width`; what does not fit is cut, with `…`. A word that is too long for
/// a line is broken.
pub fn lines(text: &str, width: f64, size: f64, weight: Weight, most: usize) -> Vec<String> {
    let text = printable(text);
    let measure = |line: &str| self::width(line, size, weight);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if measure(line) + measure(" ") + measure(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(pieces(word, |piece| measure(piece) <= width)),
        }
        if lines.len() > most {
            break;
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = cut(last, |line| measure(line) <= width);
        }
    }
    lines
}

/// The size, `size` at most, at which the line is no wider than `width`.
pub fn fitting(text: &str, width: f64, size: f64, weight: Weight) -> f64 {
    let full = self::width(text, size, weight);
    if full <= width { size } else { size * width / full }
}

/// A word in pieces that fit, one if it does.
fn pieces(word: &str, fits: impl Fn(&str) -> bool) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        let Some(piece) = pieces.last_mut() else { break };
        piece.push(c);
        if !fits(piece) && piece.chars().count() > 1 {
            piece.pop();
            pieces.push(c.to_string());
        }
    }
    pieces
}

/// The line shortened until it fits with `…` behind it.
fn cut(line: &str, fits: impl Fn(&str) -> bool) -> String {
    let mut kept = line.to_owned();
    loop {
        let shown = format!("{}{CUT}", kept.trim_end_matches([' ', ',', ';', '.', ':', CUT]));
        if fits(&shown) || kept.pop().is_none() {
            return shown;
        }
    }
}
