//! Papers: a page drawn in SVG → a PDF that prints.
//!
//! Promises: the same SVG gives the same bytes; text stays text, to be selected, searched and read aloud; the fonts are
//! inside, cut down to what is printed; nothing is loaded from anywhere. Of SVG it knows what a form needs
//! (`templates/papers/README.md` lists it) and refuses the rest by name, rather than leaving it out.

// Barcodes as path data.
pub mod barcodes;

// SVG → shapes.
mod drawing;

// Shapes → PDF.
mod document;

// The one typeface: what it can print, how wide that is, where lines break.
pub mod typeface;

use std::fmt;

use drawing::Drawing;

/// What can't be drawn, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undrawable(String);

impl fmt::Display for Undrawable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Undrawable {}

/// Draws the page; `title` and `language` (a two-letter code) are what a reader program shows and speaks.
pub fn pdf(svg: &str, title: &str, language: &str) -> Result<Vec<u8>, Undrawable> {
    document::write(&Drawing::read(svg)?, title, language)
}

/// What a reader of the page would stumble over: text beyond its margins, text upon text.
pub fn faults(svg: &str) -> Result<Vec<String>, Undrawable> {
    Ok(Drawing::read(svg)?.faults())
}

#[cfg(test)]
pub(crate) mod tests;
