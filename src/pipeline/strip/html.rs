//! HTML as lines of text, in one pass over the tags.
//!
//! No tree is built: HTML's rules for repairing one let a mail of 500 KB grow to gigabytes (unclosed formatting elements
//! are reopened in every paragraph). Here each byte is looked at a bounded number of times. Links whose target is not
//! their text are written as `text <target>`.

mod entities;
mod marks;
mod tags;

use super::lines::{Line, Place};
use crate::pipeline::parse::{as_it_looks, is_invisible};
use marks::Meaning;
use tags::{attribute, skip, tag_end};

/// Elements that are remembered to find their end; mail that people write has about 30.
const MAX_DEPTH: usize = 200;

pub(super) fn lines(html: &str, out: &mut Vec<Line>) {
    let mut writer = Writer::new(out);
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        writer.text(before);
        rest = writer.tag(after);
    }
    writer.text(rest);
    writer.flush();
}

/// What stands between two pieces of text.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Gap {
    None,
    Cell,
    Line,
    Paragraph,
}

struct Open {
    name: String,
    /// The state outside of the element.
    place: Place,
    pre: bool,
    /// A link's target and where its text begins.
    link: Option<(String, usize)>,
}

struct Writer<'a> {
    out: &'a mut Vec<Line>,
    first: usize,
    line: String,
    gap: Gap,
    place: Place,
    pre: bool,
    divider: bool,
    open: Vec<Open>,
    /// Elements beyond [`MAX_DEPTH`] that are open.
    beyond: usize,
    /// There is text in the table row that is open.
    row: bool,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<Line>) -> Self {
        Self {
            first: out.len(),
            out,
            line: String::new(),
            gap: Gap::None,
            place: Place::Own,
            pre: false,
            divider: false,
            open: Vec::new(),
            beyond: 0,
            row: false,
        }
    }

    fn text(&mut self, raw: &str) {
        if raw.is_empty() {
            return;
        }
        let text = entities::decode(raw);
        for c in text.chars() {
            match c {
                '\n' if self.pre => self.line_break(),
                ' ' | '\n' | '\t' | '\r' | '\u{A0}' => {
                    // Blanks at the beginning of a line show nothing, except that a lone one makes a line of its own.
                    if self.line.is_empty() || self.gap != Gap::None {
                        if c == '\u{A0}' {
                            self.space();
                        }
                    } else if self.pre || !self.line.ends_with([' ', '\t']) {
                        self.line.push(' ');
                    }
                }
                c if c.is_ascii() => {
                    self.settle();
                    self.line.push(c);
                }
                c if is_invisible(c) => {}
                // As `clean` has it, for characters that came as references.
                c => {
                    self.settle();
                    self.line.extend(as_it_looks(c));
                }
            }
        }
    }

    /// A blank that shows: it keeps an otherwise empty line alive.
    fn space(&mut self) {
        self.settle();
        if !self.line.ends_with([' ', '\t']) {
            self.line.push(' ');
        }
    }

    /// Makes the gap real that was left before the text that comes now.
    fn settle(&mut self) {
        let gap = std::mem::replace(&mut self.gap, Gap::None);
        match gap {
            Gap::None => {}
            Gap::Cell if self.line.trim().is_empty() => {}
            Gap::Cell => {
                self.line.truncate(self.line.trim_end().len());
                self.line.push('\t');
            }
            Gap::Line | Gap::Paragraph => {
                self.flush();
                if gap == Gap::Paragraph
                    && self.out.len() > self.first
                    && self.out.last().is_some_and(|l| !l.is_blank())
                {
                    self.out.push(Line::new(String::new(), self.place));
                }
            }
        }
        self.row = true;
    }

    fn flush(&mut self) {
        if !self.line.is_empty() {
            self.push();
        }
    }

    fn line_break(&mut self) {
        if matches!(self.gap, Gap::Line | Gap::Paragraph) {
            self.settle();
        }
        self.gap = Gap::None;
        self.push();
    }

    fn push(&mut self) {
        let text = std::mem::take(&mut self.line);
        let mut line = Line::new(text.trim().to_owned(), self.place);
        line.divider = std::mem::take(&mut self.divider);
        self.out.push(line);
    }

    fn gap(&mut self, gap: Gap) {
        if self.gap < gap {
            self.gap = gap;
        }
    }

    /// Reads the tag behind a `<` and gives what follows it.
    fn tag<'h>(&mut self, after: &'h str) -> &'h str {
        let Some(first) = after.chars().next().filter(|c| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'))
        else {
            self.text("<");
            return after;
        };
        if let Some(comment) = after.strip_prefix("!--") {
            return comment.split_once("-->").map_or("", |(_, rest)| rest);
        }
        let Some(end) = tag_end(after) else { return "" };
        let (tag, rest) = (after.get(..end).unwrap_or_default(), after.get(end + 1..).unwrap_or_default());
        if matches!(first, '!' | '?') {
            return rest;
        }
        let (closing, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name_end = tag.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(tag.len());
        let (name, attributes) = tag.split_at_checked(name_end).unwrap_or((tag, ""));
        let name = name.to_ascii_lowercase();
        if closing {
            self.end(&name);
            return rest;
        }
        if matches!(name.as_str(), "style" | "script" | "title" | "xml") {
            return skip(rest, &name);
        }
        self.start(name, attributes);
        rest
    }

    fn start(&mut self, name: String, attributes: &str) {
        let place = self.place;
        let pre = self.pre;
        let mut link = None;
        match name.as_str() {
            "br" => return self.line_break(),
            "hr" => return self.gap(Gap::Line),
            "img" | "meta" | "link" | "input" | "col" | "area" | "base" | "wbr" | "source" | "o:p" => return,
            "td" | "th" => self.gap = if self.row { Gap::Cell } else { self.gap.max_line() },
            "tr" => {
                self.gap(Gap::Line);
                self.row = false;
            }
            "p" => self.gap(paragraph(attributes)),
            "pre" => {
                self.gap(Gap::Line);
                self.pre = true;
            }
            "ul" | "ol" | "dl" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.gap(Gap::Paragraph),
            "a" => {
                let target = attribute(attributes, "href").map(|h| entities::decode(h).trim().to_owned());
                link = target.filter(|t| t.starts_with("http")).map(|t| (t, self.line.len()));
            }
            name if is_block(name) => self.gap(Gap::Line),
            _ => {}
        }
        if name == "li" {
            self.settle();
            self.line.push_str("- ");
        }
        let meaning = Meaning::of(&name, attributes);
        let inside = match meaning {
            Meaning::Quote => Place::Quoted,
            Meaning::Signature if self.place == Place::Own => Place::Signature,
            _ => self.place,
        };
        if inside != self.place {
            self.settle();
            self.flush();
            self.place = inside;
        }
        if meaning == Meaning::Divider && self.place == Place::Own {
            self.settle();
            self.flush();
            self.divider = true;
        }
        if self.open.len() < MAX_DEPTH {
            self.open.push(Open { name, place, pre, link });
        } else {
            self.beyond += 1;
        }
    }

    fn end(&mut self, name: &str) {
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        match name {
            "p" => self.gap(Gap::Line),
            "ul" | "ol" | "dl" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => self.gap(Gap::Paragraph),
            "td" | "th" => {}
            "tr" => {
                self.gap = Gap::Line;
                self.row = false;
            }
            "table" => {
                self.gap = Gap::Line;
                self.row = self.open.iter().any(|o| o.name == "td");
            }
            name if is_block(name) => self.gap(Gap::Line),
            _ => {}
        }
        let Some(at) = self.open.iter().rposition(|o| o.name == name) else { return };
        let mut outside = None;
        for open in self.open.drain(at..).rev() {
            if let Some((target, start)) = &open.link {
                let shown = self.line.get(*start..).unwrap_or(&self.line);
                if self.place == Place::Own && !same_link(target, shown) && !shown.trim().is_empty() {
                    self.line.truncate(self.line.trim_end().len());
                    self.line.push_str(" <");
                    self.line.push_str(target);
                    self.line.push('>');
                }
            }
            outside = Some((open.place, open.pre));
        }
        let Some((place, pre)) = outside else { return };
        if place != self.place {
            let gap = std::mem::replace(&mut self.gap, Gap::None);
            self.flush();
            self.gap = gap;
            self.place = place;
        }
        self.pre = pre;
    }
}

impl Gap {
    /// Before the first cell of a row: whatever gap there is, but a cell's.
    fn max_line(self) -> Self {
        if self == Gap::Cell { Gap::Line } else { self }
    }
}

fn is_block(name: &str) -> bool {
    const BLOCKS: [&str; 21] = [
        "div",
        "p",
        "li",
        "tr",
        "table",
        "tbody",
        "blockquote",
        "pre",
        "section",
        "article",
        "header",
        "footer",
        "center",
        "address",
        "dt",
        "dd",
        "form",
        "fieldset",
        "figure",
        "body",
        "caption",
    ];
    BLOCKS.contains(&name)
}

/// A paragraph stands apart, unless its style says that it is a mere line (as in Word's HTML).
fn paragraph(attributes: &str) -> Gap {
    let tight = |key: &str, parts: &[&str]| {
        attribute(attributes, key).is_some_and(|v| {
            let v: String = v.to_ascii_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
            parts.iter().any(|p| v.contains(p))
        })
    };
    if tight("class", &["mso"]) || tight("style", &["margin:0", "margin-top:0"]) { Gap::Line } else { Gap::Paragraph }
}

fn same_link(target: &str, shown: &str) -> bool {
    let bare = |link: &str| {
        let link = link.trim().trim_end_matches('/').to_lowercase();
        link.trim_start_matches("https://").trim_start_matches("http://").trim_start_matches("www.").to_owned()
    };
    let (target, shown) = (bare(target), bare(shown));
    target == shown || target.split(['?', '#']).next() == Some(shown.as_str())
}
