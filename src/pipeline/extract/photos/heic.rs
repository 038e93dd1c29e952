//! HEIC, as iPhones make it: a grid of small pictures, each an HEVC still (ISO/IEC 23008-12).
//!
//! The decoder bounds the size that the container claims, and believes the streams in it: a stream may claim a picture
//! of another size, a grid may name one tile many times, a tile may be painted over and over. So the work is counted
//! here first, from the streams' own headers.

use heic_rs::context::Context;
use heic_rs::{DecodeOptions, PixelLayout};
use image::{DynamicImage, RgbImage};

use super::decode::{Decoded, Room};

/// The largest that phones make has 48.8 megapixels; decoding takes up to 9 bytes a pixel.
const MOST_PIXELS: u64 = 50_000_000;
/// An iPhone's photo of 48 megapixels has 192 tiles.
const MOST_TILES: usize = 1_024;
/// A pixel costs this many times what one of a JPEG costs.
const COST: u64 = 8;

/// Whether the bytes are of this family; AVIF is, and is not decoded.
pub(super) fn is_heic(data: &[u8]) -> bool {
    data.get(4..8) == Some(b"ftyp")
}

pub(super) fn decode(data: &[u8], room: &mut Room) -> Decoded {
    let Some(pixels) = work(data).filter(|pixels| *pixels <= MOST_PIXELS) else { return Decoded::NotChecked };
    if !room.take(pixels * COST) {
        return Decoded::NotChecked;
    }
    let options =
        DecodeOptions { layout: PixelLayout::Rgb8, max_pixels: Some(MOST_PIXELS), ..DecodeOptions::default() };
    let Ok(image) = heic_rs::decode(data, &options) else { return Decoded::NotChecked };
    RgbImage::from_raw(image.width, image.height, image.data)
        .map_or(Decoded::NotChecked, |rgb| Decoded::Picture(DynamicImage::ImageRgb8(rgb)))
}

/// The pixels that are going to be painted: those of every slice of every tile, as often as it is named.
pub(super) fn work(data: &[u8]) -> Option<u64> {
    let context = Context::open(data).ok()?;
    let primary = context.meta.primary;
    let tiles = match context.grid(primary).ok()? {
        Some((_, tiles)) => tiles,
        None => vec![primary],
    };
    if tiles.len() > MOST_TILES {
        return None;
    }
    let mut pixels = 0u64;
    for tile in tiles {
        let streams = context.props(tile).ok()?.hvcc?;
        let bytes = context.item_data(tile).ok()?;
        let units = streams.split_nals(&bytes).ok()?;
        // Types under 32 are slices (H.265 table 7-1).
        let slices = units.iter().filter(|unit| unit.first().is_some_and(|head| head >> 1 & 0x3F < 32)).count() as u64;
        let sets = streams.parameter_sets();
        let sizes: Option<Vec<u64>> = sets.iter().filter(|set| is_sequence(set)).map(|set| coded_size(set)).collect();
        pixels = pixels.checked_add(sizes?.into_iter().max()?.checked_mul(slices)?)?;
    }
    Some(pixels)
}

fn is_sequence(set: &[u8]) -> bool {
    set.first().is_some_and(|head| head >> 1 & 0x3F == 33)
}

/// The pixels of a coded picture by its sequence parameter set (H.265 section 7.3.2.2), before anything is cropped.
/// `None` for sets with sub-layers: a still has none.
fn coded_size(set: &[u8]) -> Option<u64> {
    let mut bits = Bits { bytes: unescaped(set.get(2..)?), place: 0 };
    bits.read(4)?; // the video parameter set
    let sub_layers = bits.read(3)?;
    bits.read(1)?;
    if sub_layers != 0 {
        return None;
    }
    for _ in 0..6 {
        bits.read(16)?; // profile, tier and level
    }
    bits.golomb()?; // its own id
    if bits.golomb()? == 3 {
        bits.read(1)?;
    }
    bits.golomb()?.checked_mul(bits.golomb()?)
}

/// The payload without the bytes that keep it from looking like a start code (H.265 section 7.3.1.1). Only the
/// beginning, where the size stands.
fn unescaped(payload: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::new();
    for byte in payload.iter().take(64) {
        if !(*byte == 3 && out.ends_with(&[0, 0])) {
            out.push(*byte);
        }
    }
    out
}

struct Bits {
    bytes: Vec<u8>,
    place: usize,
}

impl Bits {
    fn read(&mut self, count: usize) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.place / 8)?;
            value = value << 1 | u64::from(byte >> (7 - self.place % 8) & 1);
            self.place += 1;
        }
        Some(value)
    }

    /// An Exp-Golomb number (H.265 section 9.2).
    fn golomb(&mut self) -> Option<u64> {
        let mut zeros = 0;
        while self.read(1)? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coded_size_is_read_before_it_is_cropped() {
        // From libheif's and x265's 640 by 480; escaped, as the two zeros in it need.
        let set = b"\x42\x01\x01\x03\x70\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x5a\xa0\x05\x02\x01\xe1\x65";
        assert_eq!(coded_size(set), Some(640 * 480));
        // 0 as id, 1 as chroma format, then 65535 twice.
        let size = b"\xA0\x00\x08\x00\x00\x03\x00\x04\x00\x00";
        assert_eq!(coded_size(&[&set[..18], size].concat()), Some(65_535 * 65_535));
        assert_eq!(coded_size(&set[..20]), None);
        assert_eq!(coded_size(b"\x42\x01\x03"), None);
    }
}
