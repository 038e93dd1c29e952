//! The raw archive: every mail as it came, byte for byte, in appended segment files.
//!
//! A segment `raw/000001.seg` is a row of entries that can be read without this program: the line
//! `aftersalesd-raw 1 <SHA-256 of the mail> <bytes>`, the mail, a line end. A mail that was erased has
//! `aftersalesd-nil 1`, zeros for its digest and zeros for its bytes. One sync makes any number of appended mails
//! durable. Where each mail lies is told by an index; without it, it can be found anew from the segments alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::domain::ids::LetterId;
use crate::fail_point;

/// A segment is closed before it grows beyond this many bytes, unless a single mail is larger.
pub(super) const SEGMENT_SIZE: u64 = 64 << 20;

const KEPT: &str = "aftersalesd-raw 1 ";
const ERASED: &str = "aftersalesd-nil 1 ";
/// Both of the above, a digest, a blank, the digits of a `u64` and a line end.
const HEADER_MAX: usize = 18 + 64 + 1 + 20 + 1;

/// Where a mail lies in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawPlace {
    letter: LetterId,
    segment: u32,
    /// Of the header line, in bytes from the start of the segment.
    offset: u64,
    /// Of the mail, in bytes.
    len: u64,
}

impl RawPlace {
    pub fn letter(&self) -> &LetterId {
        &self.letter
    }

    /// The place of a mail that is no more.
    pub(super) fn erased(letter: LetterId) -> Self {
        // Segments count from 1.
        Self { letter, segment: 0, offset: 0, len: 0 }
    }

    pub fn is_erased(&self) -> bool {
        self.segment == 0
    }

    /// Segment and offset of the header line.
    pub(super) fn start(&self) -> (u32, u64) {
        (self.segment, self.offset)
    }

    /// Bytes of the mail.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

pub(super) struct Archive {
    folder: PathBuf,
    segment_size: u64,
    durable: bool,
    tail: Mutex<Tail>,
    syncing: Mutex<()>,
}

/// The segment that grows.
struct Tail {
    segment: u32,
    file: Arc<File>,
    len: u64,
    /// Whether something was appended since the last sync.
    dirty: bool,
    /// Appended, but not yet named by a commit.
    pending: BTreeMap<LetterId, RawPlace>,
    /// The lowest segment with pending mail, as last written to the index.
    recorded: u32,
}

impl Archive {
    /// Opens the archive in `folder`, cuts off what a crash left half-written at its end, and gives the whole mails of
    /// segment `from` and later that the index does not know.
    pub fn open(
        folder: PathBuf,
        segment_size: u64,
        durable: bool,
        from: u32,
        known: impl Fn(&RawPlace) -> Result<bool, StoreError>,
    ) -> Result<(Self, Vec<RawPlace>), StoreError> {
        let segments = segments(&folder).map_err(|e| StoreError::io(folder.display(), e))?;
        let last = segments.last().copied().unwrap_or(1);
        let mut unknown = Vec::new();
        let mut len = 0;
        for segment in segments.into_iter().filter(|segment| *segment >= from.min(last)) {
            let survey = survey(&path(&folder, segment), segment, &known)?;
            unknown.extend(survey.unknown);
            len = survey.end;
        }
        let file = open_segment(&folder, last)?;
        file.set_len(len).map_err(|e| StoreError::io(path(&folder, last).display(), e))?;
        let tail = Tail { segment: last, file, len, dirty: true, pending: BTreeMap::new(), recorded: from };
        let archive = Self { folder, segment_size, durable, tail: Mutex::new(tail), syncing: Mutex::new(()) };
        Ok((archive, unknown))
    }

    /// Appends a mail; it is durable after the next [`Archive::sync`].
    pub fn append(&self, letter: &LetterId, raw: &[u8]) -> Result<RawPlace, StoreError> {
        let mut tail = self.tail();
        if let Some(place) = tail.pending.get(letter) {
            return Ok(place.clone());
        }
        let header = format!("{KEPT}{letter} {}\n", raw.len());
        let size = (header.len() + raw.len() + 1) as u64;
        if tail.len > 0 && tail.len + size > self.segment_size {
            self.roll(&mut tail)?;
        }
        let place = RawPlace { letter: letter.clone(), segment: tail.segment, offset: tail.len, len: raw.len() as u64 };
        let body = tail.len + header.len() as u64;
        let end = body + place.len;
        // A failed write leaves `len` as it was: the next append, or the next opening, writes over it.
        let written = (tail.file.write_all_at(header.as_bytes(), tail.len))
            .and_then(|()| {
                fail_point::reached("mail-half-written");
                tail.file.write_all_at(raw, body)
            })
            .and_then(|()| tail.file.write_all_at(b"\n", end));
        written.map_err(|e| StoreError::io(path(&self.folder, tail.segment).display(), e))?;
        fail_point::reached("mail-kept");
        tail.len += size;
        tail.dirty = true;
        tail.pending.insert(letter.clone(), place.clone());
        Ok(place)
    }

    /// The place of a mail that was appended but not committed yet.
    pub fn pending(&self, letter: &LetterId) -> Option<RawPlace> {
        self.tail().pending.get(letter).cloned()
    }

    /// The lowest segment that will hold pending mail once `place` is committed, if the index has to be told.
    pub fn lowest_without(&self, place: &RawPlace) -> Option<u32> {
        let tail = self.tail();
        let others = tail.pending.values().filter(|other| other.letter != place.letter);
        let lowest = others.map(|other| other.segment).min().unwrap_or(tail.segment);
        (lowest > tail.recorded).then_some(lowest)
    }

    /// The index has `place` now, and `lowest` if [`Archive::lowest_without`] asked for it.
    pub fn committed(&self, place: &RawPlace, lowest: Option<u32>) {
        let mut tail = self.tail();
        tail.pending.remove(&place.letter);
        tail.recorded = lowest.unwrap_or(tail.recorded).max(tail.recorded);
    }

    /// The mail at `place`; `None` if it was erased.
    pub fn read(&self, place: &RawPlace) -> Result<Option<Vec<u8>>, StoreError> {
        if place.is_erased() {
            return Ok(None);
        }
        let file = path(&self.folder, place.segment);
        let corrupt = |what: &str| {
            let place = format!("{} at byte {} ({})", file.display(), place.offset, place.letter);
            StoreError::Corrupt { place, what: what.to_owned() }
        };
        let read = || -> io::Result<Option<(Entry, Vec<u8>)>> {
            let segment = File::open(&file)?;
            let Some(entry) = entry_at(&segment, place.offset, segment.metadata()?.len())? else { return Ok(None) };
            let bound = if entry.len == place.len { entry.len } else { 0 };
            let mut raw = vec![0; usize::try_from(bound).map_err(io::Error::other)?];
            segment.read_exact_at(&mut raw, entry.body)?;
            Ok(Some((entry, raw)))
        };
        match read() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(corrupt("the segment is missing")),
            Err(e) => Err(StoreError::io(file.display(), e)),
            Ok(None) => Err(corrupt("no mail begins here")),
            Ok(Some((Entry { letter: None, .. }, _))) => Ok(None),
            Ok(Some((_, raw))) if digest(&raw) == place.letter => Ok(Some(raw)),
            Ok(Some(_)) => Err(corrupt("the mail is not what was kept")),
        }
    }

    /// Overwrites the mail with zeros where it lies, durably.
    pub fn erase(&self, place: &RawPlace) -> Result<(), StoreError> {
        let file = path(&self.folder, place.segment);
        let overwrite = || {
            let segment = OpenOptions::new().read(true).write(true).open(&file)?;
            let size = segment.metadata()?.len();
            let Some(entry) = entry_at(&segment, place.offset, size)?.filter(|entry| entry.len == place.len) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no mail begins at the place to erase"));
            };
            let zeros = vec![0; 1 << 16];
            let mut at = entry.body;
            while at < entry.body + entry.len {
                let chunk = zeros.len().min(usize::try_from(entry.body + entry.len - at).unwrap_or(zeros.len()));
                segment.write_all_at(zeros.get(..chunk).unwrap_or_default(), at)?;
                at += chunk as u64;
            }
            fail_point::reached("erase-half-done");
            segment.write_all_at(format!("{ERASED}{:064}", 0).as_bytes(), place.offset)?;
            segment.sync_data()
        };
        overwrite().map_err(|e| StoreError::io(file.display(), e))?;
        self.tail().pending.remove(&place.letter);
        Ok(())
    }

    /// After it returns, everything appended before the call is on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        // One at a time: a second caller must not return before the first caller's sync is through.
        let _one = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, segment) = {
            let mut tail = self.tail();
            if !self.durable || !tail.dirty {
                return Ok(());
            }
            tail.dirty = false;
            (Arc::clone(&tail.file), tail.segment)
        };
        let synced = file.sync_data();
        if synced.is_err() {
            self.tail().dirty = true;
        }
        synced.map_err(|e| StoreError::io(path(&self.folder, segment).display(), e))
    }

    /// Removes every segment.
    pub fn clear(&self) -> Result<(), StoreError> {
        let mut tail = self.tail();
        let remove = || segments(&self.folder)?.into_iter().try_for_each(|n| fs::remove_file(path(&self.folder, n)));
        remove().map_err(|e| StoreError::io(self.folder.display(), e))?;
        let file = open_segment(&self.folder, 1)?;
        *tail = Tail { segment: 1, file, len: 0, dirty: true, pending: BTreeMap::new(), recorded: 1 };
        Ok(())
    }

    /// Where the archive ends now, and what is appended but not committed.
    pub fn end(&self) -> ((u32, u64), BTreeSet<LetterId>) {
        let tail = self.tail();
        ((tail.segment, tail.len), tail.pending.keys().cloned().collect())
    }

    /// The numbers of the segments, in order.
    pub fn segments(&self) -> Result<Vec<u32>, StoreError> {
        segments(&self.folder).map_err(|e| StoreError::io(self.folder.display(), e))
    }

    /// What stands in a segment, before `end`, each mail held against its digest.
    pub fn frames(&self, segment: u32, end: (u32, u64)) -> Result<Vec<Frame>, StoreError> {
        let path = path(&self.folder, segment);
        frames(&path, segment, end).map_err(|e| StoreError::io(path.display(), e))
    }

    fn roll(&self, tail: &mut Tail) -> Result<(), StoreError> {
        let file = path(&self.folder, tail.segment);
        // A failed write may have left bytes behind the last entry.
        tail.file.set_len(tail.len).map_err(|e| StoreError::io(file.display(), e))?;
        if self.durable {
            tail.file.sync_data().map_err(|e| StoreError::io(file.display(), e))?;
        }
        fail_point::reached("segment-full");
        tail.file = open_segment(&self.folder, tail.segment + 1)?;
        fail_point::reached("segment-rolled");
        tail.segment += 1;
        tail.len = 0;
        Ok(())
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:06}.seg"))
}

/// Whether any segment in `folder` has something in it.
pub(super) fn holds_mail(folder: &Path) -> Result<bool, StoreError> {
    let fault = |e| StoreError::io(folder.display(), e);
    for number in segments(folder).map_err(fault)? {
        if fs::metadata(path(folder, number)).map_err(fault)?.len() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The numbers of the segments, in order.
fn segments(folder: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".seg")?.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn open_segment(folder: &Path, segment: u32) -> Result<Arc<File>, StoreError> {
    let path = path(folder, segment);
    let open = || {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        // The name of a new file is durable only once its folder is.
        File::open(folder)?.sync_all()?;
        Ok(Arc::new(file))
    };
    open().map_err(|e| StoreError::io(path.display(), e))
}

/// A stretch of a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Mail(RawPlace),
    /// A mail was here: segment and offset.
    Erased((u32, u64)),
    /// A mail that is not the one its header names.
    Changed(RawPlace),
    Gap {
        segment: u32,
        from: u64,
        until: u64,
    },
}

fn frames(path: &Path, segment: u32, end: (u32, u64)) -> io::Result<Vec<Frame>> {
    let file = File::open(path)?;
    let len = file.metadata()?.len();
    let size = if segment == end.0 { end.1.min(len) } else { len };
    let mut frames = Vec::new();
    let mut at = 0;
    while at < size && segment <= end.0 {
        let Some(entry) = entry_at(&file, at, size)? else {
            let until = next_header(&file, at)?.unwrap_or(size).min(size);
            frames.push(Frame::Gap { segment, from: at, until });
            at = until;
            continue;
        };
        frames.push(match entry.letter {
            None => Frame::Erased((segment, at)),
            Some(letter) => {
                let whole = digest_at(&file, entry.body, entry.len)? == letter;
                let place = RawPlace { letter, segment, offset: at, len: entry.len };
                if whole { Frame::Mail(place) } else { Frame::Changed(place) }
            }
        });
        at = entry.end;
    }
    Ok(frames)
}

/// What a segment holds.
struct Survey {
    unknown: Vec<RawPlace>,
    /// Where the last whole entry ends.
    end: u64,
}

/// Walks a segment from header to header. An entry counts if the index knows it, if it was erased, or if its digest
/// holds; where none begins, the next one is looked for, so that damage in one spot costs one mail.
fn survey(
    path: &Path,
    segment: u32,
    known: &impl Fn(&RawPlace) -> Result<bool, StoreError>,
) -> Result<Survey, StoreError> {
    let fault = |e| StoreError::io(path.display(), e);
    let file = File::open(path).map_err(fault)?;
    let size = file.metadata().map_err(fault)?.len();
    let mut survey = Survey { unknown: Vec::new(), end: 0 };
    let mut at = 0;
    while at < size {
        let entry = entry_at(&file, at, size).map_err(fault)?;
        let counts = match &entry {
            None => false,
            Some(Entry { letter: None, .. }) => true,
            Some(Entry { letter: Some(letter), body, len, .. }) => {
                let place = RawPlace { letter: letter.clone(), segment, offset: at, len: *len };
                let known = known(&place)?;
                let whole = known || digest_at(&file, *body, *len).map_err(fault)? == *letter;
                if whole && !known {
                    survey.unknown.push(place);
                }
                whole
            }
        };
        match entry.filter(|_| counts) {
            Some(entry) => {
                at = entry.end;
                survey.end = at;
            }
            None => match next_header(&file, at).map_err(fault)? {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    Ok(survey)
}

/// One framed mail.
struct Entry {
    /// `None`: erased.
    letter: Option<LetterId>,
    body: u64,
    len: u64,
    /// Behind the closing line end.
    end: u64,
}

/// The entry whose header begins at `at`, if there is one and it is not cut short.
fn entry_at(file: &File, at: u64, size: u64) -> io::Result<Option<Entry>> {
    let mut line = [0; HEADER_MAX];
    let got = read_up_to(file, &mut line, at)?;
    let header = line.get(..got).unwrap_or_default().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some((letter, len)) = std::str::from_utf8(header).ok().and_then(read_header) else { return Ok(None) };
    let body = at + header.len() as u64 + 1;
    let Some(end) = body.checked_add(len).and_then(|end| end.checked_add(1)).filter(|end| *end <= size) else {
        return Ok(None);
    };
    let mut close = [0];
    file.read_exact_at(&mut close, end - 1)?;
    Ok((close == *b"\n").then_some(Entry { letter, body, len, end }))
}

fn read_header(header: &str) -> Option<(Option<LetterId>, u64)> {
    let kept = header.strip_prefix(KEPT);
    let (letter, len) = kept.or_else(|| header.strip_prefix(ERASED))?.split_once(' ')?;
    let letter = LetterId::new(letter).ok()?;
    Some((kept.map(|_| letter), len.parse().ok()?))
}

/// Where the next line behind `at` begins that could be a header.
fn next_header(file: &File, at: u64) -> io::Result<Option<u64>> {
    const START: &[u8] = b"\naftersalesd-";
    let mut buffer = vec![0; 1 << 16];
    let mut at = at;
    loop {
        let got = read_up_to(file, &mut buffer, at)?;
        let chunk = buffer.get(..got).unwrap_or_default();
        if let Some(found) = chunk.windows(START.len()).position(|window| window == START) {
            return Ok(Some(at + found as u64 + 1));
        }
        if got < buffer.len() {
            return Ok(None);
        }
        at += (got - START.len() + 1) as u64;
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + got as u64) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

pub(super) fn digest(raw: &[u8]) -> LetterId {
    LetterId::from_digest(&Sha256::digest(raw).into())
}

fn digest_at(file: &File, body: u64, len: u64) -> io::Result<LetterId> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut at = body;
    while at < body + len {
        let chunk = buffer.len().min(usize::try_from(body + len - at).unwrap_or(buffer.len()));
        let chunk = buffer.get_mut(..chunk).unwrap_or_default();
        file.read_exact_at(chunk, at)?;
        hash.update(&*chunk);
        at += chunk.len() as u64;
    }
    Ok(LetterId::from_digest(&hash.finalize().into()))
}
