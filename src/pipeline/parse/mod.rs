//! Step 1: raw bytes become a [`Letter`]. Never fails and never hangs: what is wrong with a mail becomes a
//! [`Defect`], and every bound below costs content only in mail that nobody writes by hand.
//!
//! Nested mails are kept from the MIME parser and read by [`letter`] itself, one by one: so their number and depth are
//! ours to bound.

mod bodies;
mod charset;
mod containers;
mod files;
mod headers;
mod text;

use std::borrow::Cow;
use std::sync::LazyLock;

use mail_parser::{HeaderName, Message, MessageParser};
use regex::bytes::Regex;
use sha2::{Digest, Sha256};

use crate::domain::ids::LetterId;
use crate::domain::letter::{Body, Defect, Letter};
use bodies::Parts;
use headers::Head;
pub use text::{as_it_looks, is_invisible};

/// Far above what mail programs make (a mail with 100 photos has 103 parts).
pub const MAX_PARTS: usize = 200;
/// Multiparts in multiparts; forwards of forwards reach about 10.
pub const MAX_NESTING: usize = 20;
/// Body text of a letter in all: 100,000 words. Long quotes stay far below it.
pub const MAX_TEXT: usize = 512 * 1024;
pub const MAX_ATTACHMENTS: usize = 100;
/// Mails in mails (`message/rfc822`) that are opened.
pub const MAX_FORWARD_DEPTH: usize = 5;
/// Mails attached to one letter, all depths together.
pub const MAX_FORWARDED: usize = 20;

/// Reads a mail. `cut_short` says that only its beginning was fetched.
pub fn letter(raw: &[u8], cut_short: bool) -> Letter {
    let mut room = Room { mails: MAX_FORWARDED, unpacked: containers::MAX_UNPACKED };
    let mut letter = nested(raw, 0, &mut room);
    if cut_short {
        letter.defects.push(Defect::Oversize);
    }
    letter
}

/// What a letter may still cost, the mails in it included.
struct Room {
    mails: usize,
    /// Bytes from zips and the like.
    unpacked: usize,
}

fn nested(raw: &[u8], depth: usize, room: &mut Room) -> Letter {
    let id = LetterId::from_digest(&Sha256::digest(raw).into());
    let readable = readable(raw);
    match PARSER.parse(readable.as_ref()).filter(looks_like_mail) {
        Some(message) => assemble(id, &message, depth, room),
        None => unreadable(id, raw),
    }
}

/// Only the headers that MIME needs are parsed there; all others are decoded in [`headers`].
static PARSER: LazyLock<MessageParser> =
    LazyLock::new(|| MessageParser::new().with_mime_headers().default_header_ignore());

/// Types that would make the MIME parser open a nested mail by itself, to a depth that we could not bound.
static OPENS_ITSELF: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i-u)message\s*/\s*(?:rfc822|global)|multipart\s*/\s*(digest)").ok());

/// The raw mail in a form that the MIME parser reads rightly: it begins with its header, line ends that are CR alone
/// become LF, and types of nested mails get another first letter ([`is_nested`] knows it).
fn readable(raw: &[u8]) -> Cow<'_, [u8]> {
    let raw = raw.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(raw).trim_ascii_start();
    let mut readable = Cow::Borrowed(raw);
    if !raw.contains(&b'\n') && raw.contains(&b'\r') {
        for byte in readable.to_mut().iter_mut().filter(|b| **b == b'\r') {
            *byte = b'\n';
        }
    }
    let spots: Vec<usize> = match OPENS_ITSELF.as_ref() {
        Some(types) => types.captures_iter(raw).filter_map(|c| Some(c.get(1).or(c.get(0))?.start())).collect(),
        None => Vec::new(),
    };
    for spot in spots {
        if let Some(byte) = readable.to_mut().get_mut(spot) {
            *byte = b'x';
        }
    }
    readable
}

/// Whether a declared media type is that of a nested mail, as [`readable`] left it.
fn is_nested(kind: &str) -> bool {
    matches!(kind, "xessage/rfc822" | "xessage/global")
}

/// Any bytes with a colon have "headers"; a mail has one of these.
fn looks_like_mail(message: &Message) -> bool {
    message.parts.first().is_some_and(|root| {
        root.headers.iter().any(|h| {
            matches!(
                h.name,
                HeaderName::From
                    | HeaderName::To
                    | HeaderName::Subject
                    | HeaderName::Date
                    | HeaderName::Received
                    | HeaderName::MessageId
                    | HeaderName::MimeVersion
                    | HeaderName::ReturnPath
                    | HeaderName::ContentType
            )
        })
    })
}

fn assemble(id: LetterId, message: &Message, depth: usize, room: &mut Room) -> Letter {
    let head = Head::read(message);
    let parts = Parts::read(message, &mut room.unpacked);
    let mut defects = head.defects();
    defects.extend(parts.defects);
    let mut forwarded = Vec::new();
    for mail in parts.mails {
        if depth >= MAX_FORWARD_DEPTH {
            defects.push(Defect::TooDeep);
            break;
        }
        if room.mails == 0 {
            defects.push(Defect::TooManyParts);
            break;
        }
        room.mails -= 1;
        forwarded.push(nested(&mail, depth + 1, room));
    }
    defects.sort();
    defects.dedup();
    Letter {
        content: content(message, &head),
        id,
        message_id: head.message_id,
        from: head.from,
        reply_to: head.reply_to,
        subject: head.subject,
        written: head.written,
        received: head.received,
        in_reply_to: head.in_reply_to,
        references: head.references,
        headers: head.headers,
        bodies: parts.bodies,
        attachments: parts.attachments,
        forwarded,
        defects,
    }
}

/// The digest behind [`Letter::content`].
fn content(message: &Message, head: &Head) -> LetterId {
    let mut digest = Sha256::new();
    for name in ["from", "subject", "date"] {
        digest.update(head.value(name).unwrap_or_default());
        digest.update([0]);
    }
    let start = message.parts.first().map_or(0, |root| root.offset_body as usize);
    let mut body = message.raw_message.get(start..).unwrap_or_default();
    while let [rest @ .., b'\r' | b'\n'] = body {
        body = rest;
    }
    for line in body.split(|b| *b == b'\n') {
        digest.update(line.strip_suffix(b"\r").unwrap_or(line));
        digest.update(b"\n");
    }
    LetterId::from_digest(&digest.finalize().into())
}

fn unreadable(id: LetterId, raw: &[u8]) -> Letter {
    let mut defects = vec![Defect::Unreadable, Defect::NoSender, Defect::NoMessageId, Defect::NoDate];
    let whole = text::clean(&charset::guess(raw));
    let kept = text::within(&whole, MAX_TEXT);
    if kept.len() < whole.len() {
        defects.push(Defect::TextCut);
    }
    Letter {
        content: id.clone(),
        id,
        message_id: None,
        from: None,
        reply_to: None,
        subject: String::new(),
        written: None,
        received: None,
        in_reply_to: Vec::new(),
        references: Vec::new(),
        headers: Vec::new(),
        bodies: vec![Body::Plain(kept.to_owned())],
        attachments: Vec::new(),
        forwarded: Vec::new(),
        defects,
    }
}

#[cfg(test)]
mod tests;
