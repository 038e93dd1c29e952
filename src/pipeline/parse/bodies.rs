//! The MIME tree: which parts are the body, which are attached, which are mails of their own.
//!
//! The parts are judged here and not by the parser's own lists, which hold conversions as if they were parts, count
//! inline pictures as bodies, and list the text of a multipart without closing boundary as an attachment.
//!
//! Of a `multipart/alternative` one version counts: the HTML (the last, hence the most faithful one, RFC 2046 section
//! 5.1.4) if there is anything to read in it, else the plain text. What the customer typed and saw is the HTML; its
//! quotes and tables have a structure there, and its lines are not cut at 76 characters.

use std::borrow::Cow;

use mail_parser::{Message, MessagePart, MimeHeaders, PartType};

use super::charset::decoded;
use super::containers::{self, Held};
use super::text::{clean, unbase64, unflowed, unquoted, within};
use super::{MAX_ATTACHMENTS, MAX_NESTING, MAX_PARTS, MAX_TEXT, files, is_nested};
use crate::domain::letter::{Attachment, Body, Defect, FileKind};

#[derive(Default)]
pub(super) struct Parts {
    pub bodies: Vec<Body>,
    pub attachments: Vec<Attachment>,
    /// The raw bytes of mails attached as such.
    pub mails: Vec<Vec<u8>>,
    pub defects: Vec<Defect>,
    seen: usize,
    text: usize,
    /// The text in a `winmail.dat`, for a mail that has no other.
    spare: Option<Body>,
    /// Bytes that may still be unpacked.
    room: usize,
}

impl Parts {
    /// Reads the parts of a mail; files in files take from `room`, in bytes.
    pub fn read(message: &Message, room: &mut usize) -> Self {
        let mut parts = Self { room: *room, ..Self::default() };
        let mut reached = vec![false; message.parts.len()];
        parts.walk(message, 0, 0, &mut reached);
        // A broken multipart can leave parts that no other part names.
        for (index, part) in message.parts.iter().enumerate() {
            if reached.get(index) == Some(&false) && !matches!(part.body, PartType::Multipart(_)) {
                parts.note(Defect::BrokenMultipart);
                parts.leaf(message, part);
            }
        }
        if !parts.bodies.iter().any(legible)
            && let Some(spare) = parts.spare.take()
        {
            parts.bodies = vec![spare];
        }
        *room = parts.room;
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
        } else {
            let file = Held {
                name: part.attachment_name().unwrap_or_default().to_owned(),
                data: bytes(message, part).into_owned(),
                content_id: part.content_id().map(str::to_owned),
                inline: part.content_disposition().is_some_and(|d| d.is_inline()),
            };
            self.file(file, declared, &[FileKind::Archive, FileKind::Tnef]);
        }
    }

    /// Adds a file and, if it is a container of a kind to `open`, what is in it. Outlook puts a zip into its
    /// `winmail.dat`; a zip in a zip stays closed.
    fn file(&mut self, file: Held, declared: String, open: &[FileKind]) {
        if self.attachments.len() >= MAX_ATTACHMENTS {
            return self.note(Defect::TooManyParts);
        }
        let name = files::name(&file.name);
        let kind = files::kind(&file.data, &name, &declared);
        let opened = match open.contains(&kind) {
            true => containers::open(kind, &file.data, &mut self.room),
            false => containers::Opened::default(),
        };
        self.attachments.push(Attachment {
            index: self.attachments.len(),
            kind,
            name,
            declared,
            content_id: file.content_id.map(|id| clean(&id)).filter(|id| !id.is_empty()),
            inline: file.inline,
            data: file.data,
        });
        if opened.left_out {
            self.note(Defect::TooManyParts);
        }
        self.spare = self.spare.take().or(opened.text);
        let inner: &[FileKind] = if kind == FileKind::Tnef { &[FileKind::Archive] } else { &[] };
        for held in opened.files {
            self.file(held, String::new(), inner);
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
