//! What an incoming mail means to us, before anything is understood of it.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use super::ids::{Address, LetterId, MessageId};

/// One incoming mail, decoded. Made by `pipeline::parse`, which never fails: what was wrong with the mail stands in
/// [`Letter::defects`].
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub id: LetterId,
    /// Equal for two deliveries of one mail: a digest of From, Subject, Date and the body with LF line ends, so that
    /// trace headers and line ends make no difference.
    pub content: LetterId,
    pub message_id: Option<MessageId>,
    /// The author (`From`).
    pub from: Option<Person>,
    pub reply_to: Option<Person>,
    pub subject: String,
    /// The author's own date and offset (`Date`).
    pub written: Option<Moment>,
    /// The date of the topmost `Received` header.
    pub received: Option<Timestamp>,
    pub in_reply_to: Vec<MessageId>,
    pub references: Vec<MessageId>,
    /// All header fields in order, names in lower case, values unfolded and decoded.
    pub headers: Vec<Header>,
    /// The text parts that are the body, in order.
    pub bodies: Vec<Body>,
    pub attachments: Vec<Attachment>,
    /// Mails attached as `message/rfc822`, outermost first, within the bounds of depth and number.
    pub forwarded: Vec<Letter>,
    pub defects: Vec<Defect>,
}

impl Letter {
    /// Whether it answers no other mail (RFC 5322, section 3.6.4).
    pub fn begins_thread(&self) -> bool {
        self.in_reply_to.is_empty() && self.references.is_empty()
    }

    /// Its attachments and, behind them, those of the mails it passes on, at whatever depth: the order in which evidence
    /// counts files.
    pub fn files(&self) -> Vec<&Attachment> {
        self.attachments.iter().chain(self.forwarded.iter().flat_map(Self::files)).collect()
    }

    /// Lets go of what the files hold.
    pub fn drop_contents(&mut self) {
        self.attachments.iter_mut().for_each(|file| file.data = Vec::new());
        self.forwarded.iter_mut().for_each(Self::drop_contents);
    }

    /// The first header field of that name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.name == name).map(|h| h.value.as_str())
    }

    /// Every header field of that name (lower case), topmost first.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |h| h.name == name).map(|h| h.value.as_str())
    }

    /// When the letter arrived: the topmost `Received`, else `Date`, else `fallback` (when we fetched it).
    pub fn arrived(&self, fallback: Timestamp) -> Moment {
        let offset = self.written.map_or(Offset::UTC, |w| w.offset);
        let at = self.received.or(self.written.map(|w| w.at)).unwrap_or(fallback);
        Moment { at, offset }
    }
}

/// A name, as its owner wrote it, and an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub name: Option<String>,
    pub address: Address,
}

/// A point in time and the offset in which its writer counts days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub at: Timestamp,
    pub offset: Offset,
}

impl Moment {
    /// The calendar day at the writer's offset.
    pub fn date(&self) -> Date {
        self.offset.to_datetime(self.at).date()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: String,
}

/// A text part of the body, in the form the customer's program wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// `text/plain`; flowed lines (RFC 3676) are already joined.
    Plain(String),
    Html(String),
}

/// A part that is not body text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// The place among the letter's attachments, from 0.
    pub index: usize,
    /// The file name without folders and control characters; empty if none was given.
    pub name: String,
    /// What the bytes say it is, never what the sender's headers claim.
    pub kind: FileKind,
    /// The declared media type, lower case, for display only.
    pub declared: String,
    /// `Content-ID` without brackets, if the HTML body can show it.
    pub content_id: Option<String>,
    /// `Content-Disposition: inline`.
    pub inline: bool,
    /// The decoded bytes.
    pub data: Vec<u8>,
}

/// What an attachment is, by its first bytes and, where these say nothing, its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// JPEG, PNG, WebP or GIF: can be looked at.
    Picture,
    /// HEIC/HEIF, as iPhones take them: a real picture whether or not it can be decoded.
    HeicPicture,
    Video,
    Pdf,
    Archive,
    /// `winmail.dat` (MS-OXTNEF).
    Tnef,
    /// A program, a script or a document with macros.
    Program,
    Calendar,
    Text,
    Other,
}

/// What was wrong with a mail, or what was left out to stay within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Defect {
    /// The bytes could not be read as a mail at all; the whole of it is taken as text.
    Unreadable,
    NoSender,
    /// `From` names several addresses (RFC 5322 section 3.6.2): nobody can say whose words these are.
    SeveralSenders,
    NoMessageId,
    NoDate,
    /// A multipart without its closing boundary; what looked like body text was taken as body text.
    BrokenMultipart,
    /// More parts than the bound; the rest is only in the raw mail.
    TooManyParts,
    /// More nesting than the bound.
    TooDeep,
    /// Body text beyond the bound was cut.
    TextCut,
    /// The mail is larger than `limits.mail_size`; only its beginning was fetched.
    Oversize,
}
