//! Bytes become pixels, if what they claim is within bounds. The bounds are checked on headers, before any pixel is made.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageReader, Limits};

use super::heic;
use super::judgement::SHORT_SIDE;

/// Larger pictures are not decoded: 64 megapixels take 192 MB.
const MOST_PIXELS: u64 = 64 << 20;
const MOST_BYTES: u64 = MOST_PIXELS * 4;
/// A progressive JPEG makes the decoder walk over all pixels once a scan; honest ones have about ten scans.
const MOST_SCANNED_PIXELS: u64 = 12 * MOST_PIXELS;
/// No camera packs more pixels than this into a byte; a decompression bomb does.
const PIXELS_PER_BYTE: u64 = 60;

/// What may still be spent on looking at the pictures of a letter, in pixels: 40 photos of 12 megapixels.
#[derive(Debug)]
pub struct Room(u64);

impl Default for Room {
    fn default() -> Self {
        Self(480_000_000)
    }
}

impl Room {
    /// Takes `pixels` if there is room for them.
    pub(super) fn take(&mut self, pixels: u64) -> bool {
        let left = self.0.checked_sub(pixels);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

pub(super) enum Decoded {
    Picture(DynamicImage),
    /// A picture that is too large, that the decoder can't read, or for which there is no room left.
    NotChecked,
    Not,
}

pub(super) fn decode(data: &[u8], room: &mut Room) -> Decoded {
    if heic::is_heic(data) {
        return heic::decode(data, room);
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let Ok(mut reader) = ImageReader::new(Cursor::new(data)).with_guessed_format() else { return Decoded::Not };
    reader.limits(limits);
    let Ok(decoder) = reader.into_decoder() else { return Decoded::Not };
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    let not_looked_into = || match pixels / PIXELS_PER_BYTE <= data.len() as u64 && width.min(height) >= SHORT_SIDE {
        true => Decoded::NotChecked,
        false => Decoded::Not,
    };
    if pixels > MOST_PIXELS {
        return not_looked_into();
    }
    if pixels.saturating_mul(scans(data)) > MOST_SCANNED_PIXELS {
        return Decoded::Not;
    }
    if !room.take(pixels) {
        return Decoded::NotChecked;
    }
    match DynamicImage::from_decoder(decoder) {
        Ok(picture) if is_cut(data) => Decoded::Picture(without_missing_rows(picture)),
        Ok(picture) => Decoded::Picture(picture),
        Err(_) => not_looked_into(),
    }
}

/// How the picture has to be turned to stand upright, as the camera says.
pub(super) fn orientation(data: &[u8]) -> Orientation {
    let turned = || {
        let mut decoder = ImageReader::new(Cursor::new(data)).with_guessed_format().ok()?.into_decoder().ok()?;
        decoder.orientation().ok()
    };
    turned().unwrap_or(Orientation::NoTransforms)
}

/// Whether a JPEG lacks its end: phones on a bad line send the beginning of a photo. The end has to stand behind the
/// last scan, as the thumbnail in front has an end of its own.
fn is_cut(data: &[u8]) -> bool {
    let last = data.array_windows().rfind(|pair| matches!(pair, [0xff, 0xd9 | 0xda]));
    data.starts_with(&[0xff, 0xd8]) && last != Some(&[0xff, 0xd9])
}

/// What came of a cut photo: below it the decoder leaves rows of one colour, which nobody is to take for a picture.
fn without_missing_rows(picture: DynamicImage) -> DynamicImage {
    let rgb = picture.into_rgb8();
    let row_bytes = rgb.width() as usize * 3;
    let is_missing = |row: &[u8]| row.as_chunks::<3>().0.array_windows().all(|[a, b]| a == b);
    let missing = rgb.as_raw().rchunks_exact(row_bytes.max(1)).take_while(|row| is_missing(row)).count() as u32;
    let height = rgb.height().saturating_sub(missing).max(1);
    DynamicImage::ImageRgb8(rgb).crop_imm(0, 0, u32::MAX, height)
}

/// An upper bound on the scans of a JPEG: its start-of-scan markers, 1 for other formats.
fn scans(data: &[u8]) -> u64 {
    if !data.starts_with(&[0xff, 0xd8]) {
        return 1;
    }
    data.array_windows().filter(|pair| **pair == [0xff, 0xda]).count() as u64
}
