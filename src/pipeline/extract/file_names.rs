//! What file names say: `order_KX-19283.jpg`, `Invoice 4028817730.pdf`. Read like any other text, and last of all.
//!
//! Cameras and apps name files by dates and counters: those are taken out first, as they are no codes.

use regex::Regex;

use crate::domain::catalogue::Catalogue;
use crate::domain::facts::{Evidence, Fact, Facts};
use crate::domain::letter::{Attachment, Letter};
use crate::pipeline::extract::item_code::ItemCodes;
use crate::pipeline::extract::order_number::OrderNumbers;
use crate::pipeline::extract::sku::Skus;
use crate::pipeline::extract::zone::{Kind, Zone};
use crate::pipeline::lexicon::Lexicon;

/// The patterns of what machines put into file names, compiled.
#[derive(Debug)]
pub struct FileNames {
    machine_made: Vec<Regex>,
}

impl FileNames {
    pub fn new() -> Result<Self, regex::Error> {
        const MACHINE_MADE: [&str; 5] = [
            // A UUID or a digest.
            r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b",
            // A date and, with it, a time, a fraction and a count: 20261103_192211, 2026-11-03 at 19.22.11 (1).
            r"(?:\b|[A-Za-z_])(?:19|20)[0-9]{2}[-_. ]?(?:0[1-9]|1[0-2])[-_. ]?(?:0[1-9]|[12][0-9]|3[01])(?:[-_. T]*[0-9]{2}[-_.:h ]?[0-9]{2}(?:[-_.:m ]?[0-9]{2})?[0-9]*(?:[-_. ][0-9]{1,4})?|[-_. ]*\p{L}{1,4}[-_. ]+[0-9]{1,2}[-_.:h][0-9]{2}(?:[-_.:m][0-9]{2})?)?(?:\b|_)",
            // The day first: 03.11.2026, 3-11-26.
            r"(?:\b|_)[0-9]{1,2}([-_.])[0-9]{1,2}[-_.](?:20)?[0-9]{2}(?:\b|_)",
            // Names that cameras and apps count up.
            r"(?i)(?:\b|_)(?:IMG|IMAG|IMAGE|IM|DSC|DSCN|DSCF|DCIM|PXL|MVIMG|PANO|BURST|VID|VIDEO|MOV|MOVI|PICT|PIC|PHOTO|P|S|SAM|GOPR|GH|GX|DJI|CIMG|HPIM|KIMG|FB_IMG|FB_VID|RECEIVED|SIGNAL|SNAPCHAT|WA|IMG_E|CAM|CAMERA|SCAN|SCREENSHOT|FILE|DOC|CCF|LRM|INSHOT)[-_. ]?[0-9][0-9_]*(?:\b|_)",
            // Seconds or milliseconds since 1970, and the long ids of social networks.
            r"(?:\b|_)(?:1[5-9][0-9]{8}(?:[0-9]{3})?|[0-9]{15,}(?:_n)?)(?:\b|_)",
        ];
        Ok(Self { machine_made: MACHINE_MADE.iter().map(|p| Regex::new(p)).collect::<Result<_, _>>()? })
    }

    /// Fills the gaps in order number, item code and SKU from the names of a letter's files.
    pub fn fill(
        &self,
        facts: &mut Facts,
        letter: &Letter,
        files: &[&Attachment],
        lexicons: &[&Lexicon],
        catalogue: &Catalogue,
        (orders, items, skus): (&OrderNumbers, &ItemCodes, &Skus),
    ) {
        for (index, file) in files.iter().enumerate() {
            let words = self.words(&file.name);
            if !words.bytes().any(|b| b.is_ascii_digit()) {
                continue;
            }
            let zone = Zone::new(&letter.id, Kind::FileName { index }, &words, lexicons);
            if facts.order_number.is_none() {
                facts.order_number = orders.find(&zone, catalogue).map(|f| named(f, file));
            }
            // One number in ten has a valid check digit by chance: an article of somebody else's is none of ours.
            let item = items.find(&zone, catalogue).filter(|f| f.evidence.rule != "item_code.ean");
            if facts.item_code.is_none() {
                facts.item_code = item.map(|f| named(f, file));
            }
            if facts.sku.is_none() && facts.sku_candidates.is_empty() {
                facts.sku = skus.code(&zone).map(|f| named(f, file));
            }
        }
    }

    /// The name without its ending and what machines put there, its words parted by blanks.
    fn words(&self, name: &str) -> String {
        let stem = match name.rsplit_once('.') {
            Some((stem, ending)) if ending.len() <= 5 && ending.bytes().all(|b| b.is_ascii_alphanumeric()) => stem,
            _ => name,
        };
        let mut stem = stem.to_owned();
        for pattern in &self.machine_made {
            stem = pattern.replace_all(&stem, " / ").into_owned();
        }
        // Numbers that a file name parts are not one number with a blank in it.
        let characters: Vec<char> = stem.chars().collect();
        let mut words = String::new();
        for (n, c) in characters.iter().enumerate() {
            let digit = |at: Option<usize>| at.and_then(|at| characters.get(at)).is_some_and(char::is_ascii_digit);
            match c {
                '_' | ' ' | '+' if digit(n.checked_sub(1)) && digit(Some(n + 1)) => words.push_str(" / "),
                '_' | '+' | '(' | ')' | '[' | ']' | ',' | '.' => words.push(' '),
                c => words.push(*c),
            }
        }
        words
    }
}

/// The fact with the whole name as its quote.
fn named<T>(fact: Fact<T>, file: &Attachment) -> Fact<T> {
    let Evidence { letter, source, rule, unclear, .. } = fact.evidence;
    let rule = format!("{rule}.file_name");
    Fact { value: fact.value, evidence: Evidence { letter, source, quote: file.name.clone(), rule, unclear } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_counters_are_no_words() {
        let names = FileNames::new().unwrap();
        for name in [
            "IMG_20260314_192211.jpg",
            "IMG_20260314_192211_1.jpg",
            "IMG-20260314-WA0012.jpg",
            "PXL_20260314_192211123.jpg",
            "PXL_20260314_192211123.MP.jpg",
            "DSC01234.JPG",
            "DSC_0123.JPG",
            "DSCN4567.jpg",
            "P1020304.JPG",
            "IMG_1234.HEIC",
            "IMG_E1234.JPG",
            "IMG 4028817.jpg",
            "WhatsApp Image 2026-03-14 at 19.22.11.jpeg",
            "WhatsApp Image 2026-03-14 at 19.22.11 (1).jpeg",
            "Screenshot_20260314-192211.png",
            "Screenshot_2026-03-14-19-22-11-123_com.android.chrome.jpg",
            "Screenshot_20260314_192211_Chrome.jpg",
            "Bildschirmfoto 2026-03-14 um 19.22.11.png",
            "20261103_192211.jpg",
            "20261103_192211(0).jpg",
            "signal-2026-03-14-192211.jpg",
            "signal-2026-03-14-19-22-11-123.jpg",
            "FB_IMG_1710412345678.jpg",
            "received_1234567890123456.jpeg",
            "448339475_1023456789012345_9876543210987654321_n.jpg",
            "1710412345678.jpg",
            "photo_2026-03-14_19-22-11.jpg",
            "3F2504E0-4F89-11D3-9A0C-0305E82C3301.jpg",
            "d41d8cd98f00b204e9800998ecf8427e.jpg",
            "image001.png",
            "image0.jpeg",
            "03.11.2026.jpg",
            "Snapchat-1234567890.jpg",
            "VID_20260314_192211.mp4",
            "MVIMG_20260314_192211.jpg",
        ] {
            let words = names.words(name);
            let digits = words.bytes().filter(u8::is_ascii_digit).count();
            assert!(digits <= 3 || name.starts_with("448339475"), "{name}: {words:?}");
        }
    }

    #[test]
    fn what_people_write_stays() {
        let names = FileNames::new().unwrap();
        for (name, words) in [
            ("order_KX-19283.jpg", "order KX-19283"),
            ("4028817730-IMG_1234.jpg", "4028817730- / "),
            ("KX19283_20260314.pdf", "KX19283 / "),
            ("20260314_KX19283.pdf", " / KX19283"),
            ("2026-03-14 KX 19283.pdf", " /  KX 19283"),
            ("Rechnung 4028817730.pdf", "Rechnung 4028817730"),
            ("KX 19283", "KX 19283"),
            ("12345_67890123.jpg", "12345 / 67890123"),
        ] {
            assert_eq!(names.words(name), words, "{name}");
        }
    }
}
