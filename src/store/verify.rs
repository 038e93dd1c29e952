//! Is the store sound: every record, every mail in the archive, and what can be made anew.

use std::collections::{BTreeMap, BTreeSet};

use super::books::Books;
use super::finding::FindingKind;
use super::keys::Table;
use super::raw::{Frame, RawPlace};
use super::{Store, StoreError};
use crate::domain::ids::LetterId;

impl Store {
    /// The books, with what is wrong in the archive: reads all of it, record by record and byte by byte, while the store
    /// goes on working.
    pub fn verify(&self) -> Result<Books, StoreError> {
        // In this order: what is appended and not yet committed is known before the books are read.
        let (end, pending) = self.inner.archive.end();
        let (mut books, places) = self.books_and_places()?;
        let mut named: BTreeMap<(u32, u64), RawPlace> =
            places.into_iter().map(|place| (place.start(), place)).collect();
        for segment in self.inner.archive.segments()? {
            for frame in self.inner.archive.frames(segment, end)? {
                books.hold_against(&frame, &mut named, &pending);
            }
        }
        for place in named.into_values() {
            let (segment, offset) = place.start();
            let what = format!("its mail is not at byte {offset} of raw/{segment:06}.seg");
            books.find(FindingKind::MailLost, format!("letter {}", place.letter()), what);
        }
        Ok(books)
    }

    /// Makes anew what can be made from the events and the archive: cases as they stand, what finds them, counts. The
    /// store must not be in use otherwise. `false`: something is damaged that can't be made anew; nothing was changed.
    pub fn repair(&self, books: &Books) -> Result<bool, StoreError> {
        if books.findings.iter().any(|finding| finding.kind == FindingKind::Record) {
            return Ok(false);
        }
        self.inner.tables.run(&books.mend)?;
        self.flush()?;
        Ok(true)
    }
}

impl Books {
    fn hold_against(
        &mut self,
        frame: &Frame,
        named: &mut BTreeMap<(u32, u64), RawPlace>,
        pending: &BTreeSet<LetterId>,
    ) {
        match frame {
            Frame::Mail(place) => {
                let known = named.get(&place.start()).is_some_and(|known| known == place);
                if known {
                    named.remove(&place.start());
                } else if !self.letters.contains_key(place.letter()) && !pending.contains(place.letter()) {
                    let (segment, offset) = place.start();
                    let what = format!("the mail at byte {offset} of raw/{segment:06}.seg is in no list");
                    self.find(FindingKind::Index, format!("letter {}", place.letter()), what);
                    self.mend_with(Table::Raw, place.letter().to_string(), place);
                }
            }
            // Erased, and the index not told before a crash.
            Frame::Erased(start) => {
                named.remove(start);
            }
            Frame::Changed(place) => {
                named.remove(&place.start());
                let (segment, offset) = place.start();
                let what = format!("the mail at byte {offset} of raw/{segment:06}.seg is not what was kept");
                self.find(FindingKind::Archive, format!("letter {}", place.letter()), what);
            }
            Frame::Gap { segment, from, until } => {
                let what = format!("the bytes from {from} to {until} are no mail");
                self.find(FindingKind::Gap, format!("raw/{segment:06}.seg"), what);
            }
        }
    }
}
