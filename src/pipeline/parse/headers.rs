//! The header block: every field decoded and unfolded, and the fields that have a meaning of their own.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::tz::Offset;
use mail_parser::parsers::MessageStream;
use mail_parser::{DateTime, Message};

use super::charset::guess;
use super::text::{as_it_looks, is_invisible};
use crate::domain::ids::{Address, MessageId};
use crate::domain::letter::{Defect, Header, Moment, Person};

/// Header fields kept; mail that passed many relays has about 100.
const MAX_HEADERS: usize = 1_000;
/// Bytes of one field's value; a `References` of 100 ids has 8 KiB.
const MAX_VALUE: usize = 64 * 1024;
/// Message-IDs kept of `References` and `In-Reply-To`: the latest of a thread are enough to find it.
const MAX_REFERENCES: usize = 100;

pub(super) struct Head {
    pub headers: Vec<Header>,
    pub message_id: Option<MessageId>,
    pub from: Option<Person>,
    /// `From` names more than one address.
    pub several_senders: bool,
    pub reply_to: Option<Person>,
    pub subject: String,
    pub written: Option<Moment>,
    pub received: Option<Timestamp>,
    pub in_reply_to: Vec<MessageId>,
    pub references: Vec<MessageId>,
}

impl Head {
    pub fn read(message: &Message) -> Self {
        let mut head = Self {
            headers: Vec::new(),
            message_id: None,
            from: None,
            several_senders: false,
            reply_to: None,
            subject: String::new(),
            written: None,
            received: None,
            in_reply_to: Vec::new(),
            references: Vec::new(),
        };
        let fields = message.parts.first().map_or(&[][..], |root| root.headers.as_slice());
        for field in fields.iter().take(MAX_HEADERS) {
            let raw = message.raw_message.get(field.offset_start as usize..field.offset_end as usize);
            let raw = raw.unwrap_or_default();
            let raw = guess(raw.get(..MAX_VALUE).unwrap_or(raw));
            let name: String = field.name.as_str().to_lowercase().chars().filter(|c| !c.is_control()).collect();
            match name.as_str() {
                "from" => head.sent_by(people(&raw)),
                "reply-to" if head.reply_to.is_none() => head.reply_to = people(&raw).into_iter().next(),
                _ => {}
            }
            head.headers.push(Header { value: decoded(&raw), name });
        }
        head.message_id = head.value("message-id").and_then(|v| ids(v).into_iter().next());
        head.subject = head.value("subject").unwrap_or_default().to_owned();
        head.written = head.value("date").and_then(moment);
        head.received =
            head.value("received").and_then(|v| v.rsplit_once(';')).and_then(|(_, date)| moment(date)).map(|m| m.at);
        head.in_reply_to = head.value("in-reply-to").map(ids).unwrap_or_default();
        head.references = head.value("references").map(ids).unwrap_or_default();
        head
    }

    /// The first field of that name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|h| h.name == name).map(|h| h.value.as_str())
    }

    fn sent_by(&mut self, people: Vec<Person>) {
        for person in people {
            self.several_senders |= self.from.as_ref().is_some_and(|first| first.address != person.address);
            self.from.get_or_insert(person);
        }
    }

    pub fn defects(&self) -> Vec<Defect> {
        let lacks = [
            (self.from.is_none(), Defect::NoSender),
            (self.several_senders, Defect::SeveralSenders),
            (self.message_id.is_none(), Defect::NoMessageId),
            (self.written.is_none(), Defect::NoDate),
        ];
        lacks.into_iter().filter_map(|(lacks, defect)| lacks.then_some(defect)).collect()
    }
}

/// A field's value on one line, encoded words (RFC 2047) decoded.
pub(super) fn decoded(raw: &str) -> String {
    let text = if raw.contains("=?") {
        // The parser wants the line end that closes the field.
        let closed = format!("{}\n", raw.trim_end());
        MessageStream::new(closed.as_bytes()).parse_unstructured().into_text().map(Cow::into_owned).unwrap_or_default()
    } else {
        raw.to_owned()
    };
    one_line(&text)
}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' | ' ' => {
                if !line.is_empty() && !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c if c.is_control() || is_invisible(c) => {}
            c => line.extend(as_it_looks(c)),
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// The usable addresses of an address field, members of groups (RFC 5322 section 3.4) included.
fn people(raw: &str) -> Vec<Person> {
    let closed = format!("{}\n", raw.trim_end());
    let value = MessageStream::new(closed.as_bytes()).parse_address();
    let person = |entry: &mail_parser::Addr<'_>| {
        let address = entry.address.as_deref().filter(|address| !address.contains(is_invisible))?;
        let address = Address::new(address).ok()?;
        let name = entry.name.as_deref().map(one_line).filter(|name| !name.is_empty());
        Some(Person { name, address })
    };
    value.as_address().map(|list| list.iter().filter_map(person).collect()).unwrap_or_default()
}

fn moment(value: &str) -> Option<Moment> {
    let date = DateTime::parse_rfc822(value.trim()).filter(DateTime::is_valid)?;
    let seconds = i32::from(date.tz_hour) * 3600 + i32::from(date.tz_minute) * 60;
    let offset = Offset::from_seconds(if date.tz_before_gmt { -seconds } else { seconds }).unwrap_or(Offset::UTC);
    Some(Moment { at: Timestamp::from_second(date.to_timestamp()).ok()?, offset })
}

/// The Message-IDs of a field, the last [`MAX_REFERENCES`] of them. Blanks inside brackets come from folding.
fn ids(value: &str) -> Vec<MessageId> {
    let bracketed: Vec<String> = value
        .split('<')
        .skip(1)
        .filter_map(|rest| rest.split_once('>'))
        .map(|(id, _)| id.chars().filter(|c| !c.is_whitespace()).collect())
        .collect();
    let texts = if bracketed.is_empty() {
        value.split_whitespace().filter(|t| t.contains('@')).map(str::to_owned).collect()
    } else {
        bracketed
    };
    let skip = texts.len().saturating_sub(MAX_REFERENCES);
    let sound = texts.iter().skip(skip).filter(|t| !t.contains(is_invisible));
    sound.filter_map(|t| MessageId::new(t).ok()).collect()
}
