//! `winmail.dat` (MS-OXTNEF): the attachments and the text of a mail as Outlook keeps them.
//!
//! Checksums are not compared: a file cut or changed on its way is still to be read. What is nested in it, mails that
//! were attached, is opened for its attachments.

mod properties;

use self::properties::{Property, properties, u32_at, zero_terminated};
use super::{Held, Opened, rtf};
use crate::domain::letter::Body;
use crate::pipeline::parse::charset::decoded;
use crate::pipeline::parse::text::{clean, within};
use crate::pipeline::parse::{MAX_ATTACHMENTS, MAX_FORWARD_DEPTH, MAX_TEXT};

/// The signature and a key that nobody uses.
const HEAD: usize = 6;

// Attributes (MS-OXTNEF 2.1.3.3), as they stand in the stream.
const OEM_CODEPAGE: u32 = 0x0006_9007;
const BODY: u32 = 0x0002_800C;
const MESSAGE_PROPERTIES: u32 = 0x0006_9003;
const ATTACH_REND_DATA: u32 = 0x0006_9002;
const ATTACH_TITLE: u32 = 0x0001_8010;
const ATTACH_DATA: u32 = 0x0006_800F;
const ATTACH_PROPERTIES: u32 = 0x0006_9005;

/// What precedes a mail in an attached object: IID_IMessage (MS-OXTNEF 2.1.3.3.15).
pub(super) const IS_MAIL: [u8; 16] = [0x07, 0x03, 0x02, 0, 0, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0x46];

pub(super) fn open(data: &[u8], room: &mut usize) -> Opened {
    let mut opened = Opened::default();
    let mut texts = Texts::default();
    read(data, 0, room, &mut opened, &mut texts);
    opened.text = texts.best();
    opened
}

fn read(data: &[u8], depth: usize, room: &mut usize, opened: &mut Opened, texts: &mut Texts) {
    let mut codepage = String::new();
    let mut open: Option<Held> = None;
    for (id, value) in Attributes(data.get(HEAD..).unwrap_or_default()) {
        match id {
            OEM_CODEPAGE => codepage = charset(u32_at(value, 0).unwrap_or_default()),
            BODY if depth == 0 => texts.plain(&decoded(zero_terminated(value), Some(&codepage))),
            MESSAGE_PROPERTIES if depth == 0 => texts.take(value, &codepage),
            ATTACH_REND_DATA => {
                opened.files.extend(open.take().filter(|f| !f.data.is_empty()));
                if opened.files.len() >= MAX_ATTACHMENTS {
                    opened.left_out = true;
                    return;
                }
                open = Some(Held::default());
            }
            ATTACH_TITLE => {
                let file = open.get_or_insert_default();
                if file.name.is_empty() {
                    file.name = decoded(zero_terminated(value), Some(&codepage));
                }
            }
            ATTACH_DATA => copy(value, room, opened, &mut open.get_or_insert_default().data),
            ATTACH_PROPERTIES => attachment(value, &codepage, depth, room, opened, open.get_or_insert_default()),
            _ => {}
        }
    }
    opened.files.extend(open.filter(|f| !f.data.is_empty()));
}

/// What an attachment's properties add: its whole name, its place in the text, its bytes if they are nowhere else.
fn attachment(value: &[u8], codepage: &str, depth: usize, room: &mut usize, opened: &mut Opened, file: &mut Held) {
    for property in properties(value) {
        let text = || property.text(codepage);
        match property.id {
            0x3707 => file.name = text(),                                  // PidTagAttachLongFilename
            0x3704 | 0x3001 if file.name.is_empty() => file.name = text(), // …Filename, PidTagDisplayName
            0x3712 => {
                file.content_id = Some(text().trim_matches(['<', '>', ' ']).to_owned()).filter(|id| !id.is_empty())
            }
            // PidTagAttachFlags: rendered in the body; PidTagAttachmentHidden
            0x3714 => file.inline |= u32_at(property.value, 0).is_some_and(|flags| flags & 4 != 0),
            0x7FFE => file.inline |= property.value.first() == Some(&1),
            // PidTagAttachDataBinary, PidTagAttachDataObject
            0x3701 => match property.value.strip_prefix(&IS_MAIL) {
                Some(mail) if property.is_object && depth < MAX_FORWARD_DEPTH => {
                    read(mail, depth + 1, room, opened, &mut Texts::default());
                }
                _ if file.data.is_empty() => copy(property.value, room, opened, &mut file.data),
                _ => {}
            },
            _ => {}
        }
    }
}

fn copy(value: &[u8], room: &mut usize, opened: &mut Opened, into: &mut Vec<u8>) {
    if value.len() > *room {
        opened.left_out = true;
        return;
    }
    *room -= value.len();
    *into = value.to_vec();
}

/// The versions of the text that were found.
#[derive(Default)]
struct Texts {
    plain: Option<String>,
    html: Option<String>,
    rich: Option<String>,
}

impl Texts {
    fn plain(&mut self, text: &str) {
        self.plain = legible(text).or(self.plain.take());
    }

    fn take(&mut self, value: &[u8], codepage: &str) {
        // The HTML has the charset that its own property names, or none.
        let properties: Vec<Property> = properties(value).collect();
        let own = properties.iter().find(|p| p.id == 0x3FDE).and_then(|p| u32_at(p.value, 0)).map(charset);
        for property in properties {
            match property.id {
                0x1000 => self.plain(&property.text(codepage)), // PidTagBody
                0x1013 => self.html = legible(&property.text(own.as_deref().unwrap_or(codepage))), // PidTagHtml
                0x1009 => self.rich = rtf::text(property.value).and_then(|text| legible(&text)), // PidTagRtfCompressed
                _ => {}
            }
        }
    }

    fn best(self) -> Option<Body> {
        self.html.map(Body::Html).or(self.plain.or(self.rich).map(Body::Plain))
    }
}

fn legible(text: &str) -> Option<String> {
    let text = clean(within(text, MAX_TEXT));
    text.chars().any(char::is_alphanumeric).then_some(text)
}

/// The attributes of a stream, up to where it is broken; of one that was cut, what there is.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        // Level, id, length; behind the value a checksum of two bytes.
        let id = u32_at(self.0, 1)?;
        let length = u32_at(self.0, 5)? as usize;
        if !matches!(self.0.first(), Some(1 | 2)) {
            return None;
        }
        let rest = self.0.get(9..)?;
        let value = rest.get(..length).unwrap_or(rest);
        self.0 = rest.get(length.saturating_add(2)..).unwrap_or_default();
        Some((id, value))
    }
}

/// The name of a Windows code page that mail is written in.
fn charset(codepage: u32) -> String {
    match codepage {
        65001 => "utf-8".to_owned(),
        20127 => "us-ascii".to_owned(),
        28591..=28606 => format!("iso-8859-{}", codepage - 28590),
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        page => format!("windows-{page}"),
    }
}
