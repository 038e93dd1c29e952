//! The properties of MAPI in an attribute (MS-OXTNEF 2.1.3.4): what is kept of a mail or an attachment, by number.

use crate::pipeline::parse::charset::decoded;

/// A property and its value; of several values the first.
pub(super) struct Property<'a> {
    pub id: u16,
    pub value: &'a [u8],
    is_wide: bool,
    pub is_object: bool,
}

impl Property<'_> {
    pub fn text(&self, codepage: &str) -> String {
        if self.is_wide {
            let units: Vec<u16> = self.value.as_chunks().0.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            let text = String::from_utf16_lossy(&units);
            return text.trim_end_matches('\0').to_owned();
        }
        decoded(zero_terminated(self.value), Some(codepage))
    }
}

/// Far more than Outlook writes (about 100).
const MOST_PROPERTIES: usize = 1_000;

pub(super) fn properties(value: &[u8]) -> impl Iterator<Item = Property<'_>> {
    let mut rest = value.get(4..).unwrap_or_default();
    std::iter::from_fn(move || property(&mut rest)).take(MOST_PROPERTIES)
}

/// Takes the next property; of several values the first counts.
fn property<'a>(rest: &mut &'a [u8]) -> Option<Property<'a>> {
    let kind = u16_at(rest, 0)?;
    let id = u16_at(rest, 2)?;
    skip(rest, 4)?;
    if id >= 0x8000 {
        // A named property: a GUID, then a number or a name.
        let (by_name, length) = (u32_at(rest, 16)?, u32_at(rest, 20)? as usize);
        skip(rest, if by_name == 1 { padded(length).checked_add(24)? } else { 24 })?;
    }
    let (is_several, kind) = (kind & 0x1000 != 0, kind & !0x1000);
    let fixed = match kind {
        0x02 | 0x03 | 0x04 | 0x0A | 0x0B => Some(4),
        0x05 | 0x06 | 0x07 | 0x14 | 0x40 => Some(8),
        0x48 => Some(16),
        0x0D | 0x1E | 0x1F | 0x102 => None,
        _ => return None,
    };
    let count = if is_several || fixed.is_none() {
        let count = u32_at(rest, 0)? as usize;
        skip(rest, 4)?;
        count
    } else {
        1
    };
    let mut first = None;
    for _ in 0..count {
        let length = match fixed {
            Some(length) => length,
            None => {
                let length = u32_at(rest, 0)? as usize;
                skip(rest, 4)?;
                length
            }
        };
        // The last value of a stream that was cut.
        let value = rest.get(..length).unwrap_or(rest);
        first.get_or_insert(value);
        *rest = rest.get(padded(length)..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
    }
    Some(Property { id, value: first.unwrap_or_default(), is_wide: kind == 0x1F, is_object: kind == 0x0D })
}

fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn skip(rest: &mut &[u8], bytes: usize) -> Option<()> {
    *rest = rest.get(bytes..)?;
    Some(())
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

pub(super) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

pub(super) fn zero_terminated(data: &[u8]) -> &[u8] {
    data.split(|b| *b == 0).next().unwrap_or_default()
}
