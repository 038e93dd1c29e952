//! The MIME tree: which parts are the body, which are attached, which are mails of their own.
//!
//! The parts are judged here and not by the parser's own lists, which hold conversions as if they were parts, count
//! inline pictures as bodies, and list the text of a multipart without closing boundary as an attachment.
//!
//! Of a `multipart/alternative` one version counts: the HTML (the last, hence the most faithful one, RFC 2046 section
//! 5.1.4) if there is anything to read in it, else the plain text. What the customer typed and saw is the HTML; its
//! quotes and tables have a structure there, and its lines are not cut at 76 characters.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

use super::{MAX_ATTACHMENTS, MAX_NESTING, MAX_PARTS, MAX_TEXT, files, is_nested};
use crate::domain::letter::{Attachment, Body, Defect};

#[derive(Default)]
pub(super) struct Parts {
    pub bodies: Vec<Body>,
    pub attachments: Vec<Attachment>,
    /// The raw bytes of mails attached as such.
    pub mails: Vec<Vec<u8>>,
    pub defects: Vec<Defect>,
    seen: usize,
    text: usize,
}

impl Parts {
    pub fn read(message: &Message) -> Self {
        let mut parts = Self::default();
        let mut reached = vec![false; message.parts.len()];
        parts.walk(message, 0, 0, &mut reached);
        // A broken multipart can leave parts that no other part names.
        for (index, part) in message.parts.iter().enumerate() {
            if reached.get(index) == Some(&false) && !matches!(part.body, PartType::Multipart(_)) {
                parts.note(Defect::BrokenMultipart);
                parts.leaf(message, part);
            }
        }
        parts
    }

    fn note(&mut self, defect: Defect) {
        if !self.defects.contains(&defect) {
            self.defects.push(defect);
        }
    }

    fn walk(&mut self, message: &Message, index: u32, depth: usize, reached: &mut [bool]) {
        let (Some(part), Some(flag)) = (message.parts.get(index as usize), reached.get_mut(index as usize)) else {
            return;
        };
        if std::mem::replace(flag, true) {
            return;
        }
        let PartType::Multipart(children) = &part.body else {
            return self.leaf(message, part);
        };
        if depth >= MAX_NESTING {
            self.note(Defect::TooDeep);
            reached.fill(true);
            return;
        }
        if !part.is_content_type("multipart", "alternative") {
            for child in children {
                self.walk(message, *child, depth + 1, reached);
            }
            return;
        }
        // Read each version by itself, keep the bodies of the best and the files of all.
        let before = (std::mem::take(&mut self.bodies), self.text);
        let mut versions = Vec::new();
        for child in children {
            self.text = before.1;
            self.walk(message, *child, depth + 1, reached);
            versions.push(std::mem::take(&mut self.bodies));
        }
        let best = versions.iter().rposition(|v| v.iter().any(legible)).unwrap_or(0);
        let best = versions.into_iter().nth(best).unwrap_or_default();
        self.text = before.1 + best.iter().map(|b| text(b).len()).sum::<usize>();
        self.bodies = before.0;
        self.bodies.extend(best);
    }

    fn leaf(&mut self, message: &Message, part: &MessagePart) {
        self.seen += 1;
        if self.seen > MAX_PARTS {
            return self.note(Defect::TooManyParts);
        }
        if part.is_encoding_problem {
            self.note(Defect::BrokenMultipart);
        }
        let declared = declared(part);
        if is_nested(&declared) {
            self.mails.push(bytes(message, part).into_owned());
        } else if self.is_body(part, &declared) {
            self.body(message, part, &declared);
        } else if self.attachments.len() >= MAX_ATTACHMENTS {
            self.note(Defect::TooManyParts);
        } else {
            let data = bytes(message, part).into_owned();
            let name = files::name(part.attachment_name().unwrap_or_default());
            self.attachments.push(Attachment {
                index: self.attachments.len(),
                kind: files::kind(&data, &name, &declared),
                name,
                declared,
                content_id: part.content_id().map(clean).filter(|id| !id.is_empty()),
                inline: part.content_disposition().is_some_and(|d| d.is_inline()),
                data,
            });
        }
    }

    /// Text that is not declared to be a file. A body may carry a name if it is the first part (some programs do that).
    fn is_body(&self, part: &MessagePart, declared: &str) -> bool {
        let text = matches!(declared, "text/plain" | "text/html" | "text/enriched" | "text/richtext" | "text/watch-html")
            // A multipart in which no boundary was found comes as text.
            || declared.starts_with("multipart/");
        let file = part.content_disposition().is_some_and(|d| d.is_attachment())
            || part.attachment_name().is_some() && !(self.bodies.is_empty() && self.attachments.is_empty());
        text && !file
    }

    fn body(&mut self, message: &Message, part: &MessagePart, declared: &str) {
        if declared.starts_with("multipart/") {
            self.note(Defect::BrokenMultipart);
        }
        let charset = part.content_type().and_then(|t| t.attribute("charset"));
        let mut text = clean(&decoded(&bytes(message, part), charset));
        if part.content_type().and_then(|t| t.attribute("format")).is_some_and(|f| f.eq_ignore_ascii_case("flowed")) {
            let delsp = part.content_type().and_then(|t| t.attribute("delsp"));
            text = unflowed(&text, delsp.is_some_and(|d| d.eq_ignore_ascii_case("yes")));
        }
        let kept = within(&text, MAX_TEXT.saturating_sub(self.text)).len();
        if kept < text.len() {
            self.note(Defect::TextCut);
            text.truncate(kept);
        }
        self.text += text.len();
        if !text.trim().is_empty() {
            self.bodies.push(if declared == "text/html" { Body::Html(text) } else { Body::Plain(text) });
        }
    }
}

/// The media type a part declares, lower case; the default of RFC 2045 section 5.2 if it declares none.
fn declared(part: &MessagePart) -> String {
    match part.content_type() {
        Some(kind) => clean(&format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("plain"))).to_lowercase(),
        None => "text/plain".to_owned(),
    }
}

/// The bytes of a part without its transfer encoding.
fn bytes<'a>(message: &'a Message, part: &'a MessagePart) -> Cow<'a, [u8]> {
    let binary = matches!(part.body, PartType::Binary(_) | PartType::InlineBinary(_));
    if binary && !part.is_encoding_problem {
        return Cow::Borrowed(part.contents());
    }
    // The parser has turned text into UTF-8 already, by a charset that may be missing or wrong: begin anew.
    let raw = message.raw_message.get(part.offset_body as usize..part.offset_end as usize).unwrap_or_default();
    match part.content_transfer_encoding().map(|e| e.trim().to_ascii_lowercase()).as_deref() {
        Some("base64") => match unbase64(raw) {
            Some(bytes) => Cow::Owned(bytes),
            None => Cow::Borrowed(raw),
        },
        Some("quoted-printable") => Cow::Owned(unquoted(raw)),
        _ => Cow::Borrowed(raw),
    }
}

/// Base64 with whatever does not belong left out, up to the padding: mail gets cut, and lists append text to it.
fn unbase64(raw: &[u8]) -> Option<Vec<u8>> {
    let mut digits: Vec<u8> = raw
        .iter()
        .copied()
        .take_while(|b| *b != b'=')
        .filter(|b| b.is_ascii_alphanumeric() || b"+/".contains(b))
        .collect();
    match digits.len() % 4 {
        0 => {}
        1 => digits.truncate(digits.len() - 1),
        short => digits.extend(std::iter::repeat_n(b'=', 4 - short)),
    }
    base64_decode(&digits)
}

/// Quoted-printable (RFC 2045 section 6.7); what is no valid escape stays as it is.
fn unquoted(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'=' {
            out.push(*first);
            continue;
        }
        let blanks = tail.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
        match tail {
            _ if tail.get(blanks) == Some(&b'\n') => rest = tail.get(blanks + 1..).unwrap_or_default(),
            [high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'='),
            },
            _ => out.push(b'='),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Text in its declared charset, unless the bytes say otherwise: valid UTF-8 with letters beyond ASCII is UTF-8 whatever
/// single-byte charset is declared, since other text is never valid by chance.
fn decoded(bytes: &[u8], charset: Option<&str>) -> String {
    let name = charset.unwrap_or_default().trim().to_ascii_lowercase();
    let wide = ["utf-16", "utf16", "utf-7", "utf7", "utf-32", "iso-2022", "hz-"].iter().any(|w| name.starts_with(w));
    if !wide && let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    match charset_decoder(name.as_bytes()) {
        Some(decode) if !name.starts_with("utf-8") && !name.starts_with("utf8") => decode(bytes),
        _ => guess(bytes).into_owned(),
    }
}

/// Text of an unknown charset: UTF-8 if it is valid, else windows-1252 (which nearly all undeclared 8-bit mail is). Text
/// cut in the middle of a letter, or with a few bad bytes, is still UTF-8.
pub(super) fn guess(bytes: &[u8]) -> Cow<'_, str> {
    let lossy = String::from_utf8_lossy(bytes);
    let bad = lossy.matches('\u{FFFD}').count();
    if bad == 0 {
        return lossy;
    }
    let good = lossy.chars().filter(|c| !c.is_ascii() && *c != '\u{FFFD}').count();
    match charset_decoder(b"windows-1252") {
        Some(decode) if good <= bad => Cow::Owned(decode(bytes)),
        _ => lossy,
    }
}

/// Line ends become LF; control characters except TAB go.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_cr = false;
    for c in text.chars() {
        match c {
            '\r' => out.push('\n'),
            '\n' if after_cr => {}
            '\n' | '\t' => out.push(c),
            // Mojibake from a wrong charset may hold NEL; form feeds part pages.
            '\u{85}' | '\u{0C}' => out.push('\n'),
            c if c.is_control() => {}
            c => out.push(c),
        }
        after_cr = c == '\r';
    }
    out
}

/// The beginning of a text, at most `bytes` long.
pub(super) fn within(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Joins flowed lines (RFC 3676 section 4.1): only lines of the same quote depth, never the signature line.
fn unflowed(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.split('\n') {
        let depth = line.bytes().take_while(|b| *b == b'>').count();
        let content = line.get(depth..).unwrap_or_default();
        let content = content.strip_prefix(' ').unwrap_or(content); // space-stuffing
        let signature = content == "-- ";
        if open != Some(depth) || signature {
            if open.is_some() || !out.is_empty() {
                out.push('\n');
            }
            if depth > 0 {
                out.extend(std::iter::repeat_n('>', depth));
                out.push(' ');
            }
        }
        let flowed = content.ends_with(' ') && !signature;
        out.push_str(if flowed && delsp { content.strip_suffix(' ').unwrap_or(content) } else { content });
        open = flowed.then_some(depth);
    }
    out
}

fn text(body: &Body) -> &str {
    match body {
        Body::Plain(text) | Body::Html(text) => text,
    }
}

/// Whether there is a letter or digit to read outside of tags, styles and comments.
fn legible(body: &Body) -> bool {
    let mut rest = match body {
        Body::Plain(text) => return text.chars().any(char::is_alphanumeric),
        Body::Html(html) => html.as_str(),
    };
    loop {
        let (seen, tag) = rest.split_once('<').unwrap_or((rest, ""));
        // `&nbsp;` is nothing to read.
        if seen.replace("&nbsp;", "").replace("&zwnj;", "").chars().any(char::is_alphanumeric) {
            return true;
        }
        let lower: String = tag.chars().take(7).collect::<String>().to_ascii_lowercase();
        let end = match lower.as_str() {
            t if t.starts_with("!--") => "-->",
            t if t.starts_with("style") => "</style",
            t if t.starts_with("script") => "</script",
            t if t.starts_with("title") => "</title",
            _ => ">",
        };
        match find_caseless(tag, end) {
            Some(at) => rest = tag.get(at + end.len()..).unwrap_or_default(),
            None => return false,
        }
    }
}

fn find_caseless(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|w| w.eq_ignore_ascii_case(what.as_bytes()))
}
