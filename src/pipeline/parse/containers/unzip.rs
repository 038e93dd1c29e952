//! Zip archives: stored and deflated files. Encrypted ones, other methods and archives in the archive stay closed;
//! office documents, which are zips as well, are files of their own.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::{Held, Opened};
use crate::pipeline::parse::MAX_ATTACHMENTS;

/// Entries that are listed; a larger directory is not read at all, as it costs memory.
const MAX_LISTED: usize = 2_000;
/// Up to here a file may be packed as tightly as it likes.
const FREELY: u64 = 1 << 20;
/// Beyond it: text reaches 20, pictures stay near 1, bombs begin at some hundreds.
const MOST_RATIO: u64 = 50;

pub(super) fn open(data: &[u8], room: &mut usize) -> Opened {
    let listed = data.array_windows().filter(|w| *w == b"PK\x01\x02").count();
    if listed > MAX_LISTED {
        return Opened { left_out: true, ..Opened::default() };
    }
    let mut opened = Opened::default();
    let Ok(mut archive) = ZipArchive::new(Cursor::new(data)) else { return opened };
    if archive.file_names().flatten().any(|name| is_part_of_document(&name)) {
        return opened;
    }
    for index in 0..archive.len() {
        let Some((name, packed)) = entry(&mut archive, index) else { continue };
        if opened.files.len() >= MAX_ATTACHMENTS {
            opened.left_out = true;
            break;
        }
        let most = FREELY.max(packed.saturating_mul(MOST_RATIO)).min(*room as u64);
        // An error may come behind good bytes, as in a mail that was cut: what there is may do.
        let mut data = Vec::new();
        if let Ok(file) = archive.by_index(index) {
            let _cut = file.take(most + 1).read_to_end(&mut data);
        }
        *room = room.saturating_sub(data.len());
        if data.len() as u64 > most {
            opened.left_out = true;
            data = Vec::new();
        }
        opened.files.push(Held { name, data, ..Held::default() });
    }
    opened
}

/// Name and packed size of a file that a person put there.
fn entry(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize) -> Option<(String, u64)> {
    let file = archive.by_index_raw(index).ok()?;
    let name = match file.name() {
        Ok(name) => name.into_owned(),
        Err(_) => String::from_utf8_lossy(file.name_raw()).into_owned(),
    };
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let of_system =
        name.starts_with("__MACOSX/") || last.starts_with("._") || matches!(last, ".DS_Store" | "Thumbs.db");
    (!file.is_dir() && !of_system).then(|| (name.clone(), file.compressed_size()))
}

/// Word, LibreOffice and the like keep these in their zips.
fn is_part_of_document(name: &str) -> bool {
    matches!(name, "[Content_Types].xml" | "mimetype" | "META-INF/manifest.xml")
}
