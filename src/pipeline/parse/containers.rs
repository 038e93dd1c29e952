//! Files that hold files: a zip, and the `winmail.dat` that Outlook makes of a mail. What is in them counts like
//! attached (contract section 5), within bounds; a file that can't be taken out keeps its name.

mod rtf;
mod tnef;
mod unzip;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::domain::letter::{Body, FileKind};

/// Bytes taken out of the containers of one mail, all together. Pictures don't shrink when packed, so an honest zip
/// holds no more than a mail can carry.
pub(super) const MAX_UNPACKED: usize = 64 << 20;

/// What a container held.
#[derive(Debug, Default)]
pub(super) struct Opened {
    pub files: Vec<Held>,
    /// The text of the mail, if the container is the mail itself.
    pub text: Option<Body>,
    /// There is more in it than the bounds allow.
    pub left_out: bool,
}

/// A file in a container.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    /// As it stands there, folders included.
    pub name: String,
    /// Empty if it is encrypted, damaged or too large.
    pub data: Vec<u8>,
    pub content_id: Option<String>,
    pub inline: bool,
}

/// Opens a zip or a `winmail.dat`; any other kind, and what can't be read, holds nothing. Takes what it unpacks from
/// `room`, in bytes.
pub(super) fn open(kind: FileKind, data: &[u8], room: &mut usize) -> Opened {
    match kind {
        // The zip reader is other people's code on hostile bytes.
        FileKind::Archive => catch_unwind(AssertUnwindSafe(|| unzip::open(data, room)))
            .unwrap_or_else(|_| Opened { left_out: true, ..Opened::default() }),
        FileKind::Tnef => tnef::open(data, room),
        _ => Opened::default(),
    }
}

#[cfg(test)]
mod tests;
