//! Looks at a picture without understanding it: is it a real photo, can anything be made out, which codes are on it.
//!
//! Pure, bounded in pixels, memory and time whatever the bytes are, and never panics: a decoder's panic counts as
//! damage. Orientation does not matter to that, so EXIF is read for pictures that are shown only.

mod codes;
mod decode;
mod heic;
mod judgement;
mod luma;
mod patches;

use std::collections::BTreeMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, GenericImageView as _};

use crate::domain::facts::Judgement;

pub use codes::is_article_number;
use decode::Decoded;
pub use decode::Room;
use luma::Luma;

/// What a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A photo or a screenshot: how well it shows what it shows, and the codes on it.
    ///
    /// Codes are EAN-13, EAN-8 and UPC-A numbers whose check digit holds ([`is_article_number`] tells them from the
    /// rest), and the texts of Code 128 and QR codes. What is too large to be looked at, or a HEIC that can't be
    /// decoded, is [`Judgement::NotChecked`].
    Real { judgement: Judgement, codes: Vec<String> },
    /// A logo, icon, signature image or tracking pixel.
    Decoration,
    /// Damaged beyond telling what it is, or not a picture.
    Unreadable,
}

/// What the letter around a picture says about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// It stands between the words rather than attached below them.
    pub inline: bool,
    /// It stands in what was recognised as the writer's signature.
    pub in_signature: bool,
}

/// Looks at the bytes of a JPEG, PNG, WebP, GIF (its first frame) or HEIC.
pub fn look(data: &[u8], hints: Hints, room: &mut Room) -> Look {
    // The decoders and the barcode reader are other people's code on hostile bytes.
    let look = catch_unwind(AssertUnwindSafe(|| examine(data, hints, room)));
    look.unwrap_or_else(|_| not_decoded(data))
}

/// A JPEG of at most `longest` pixels a side, without anything that a camera wrote beside the picture (where it was taken,
/// above all). `None`: a decoration, or nothing that can be decoded.
pub fn thumbnail(data: &[u8], longest: u32, room: &mut Room) -> Option<Vec<u8>> {
    painted(data, room, |picture| {
        (!is_decoration(&picture, Hints::default())).then(|| picture.thumbnail(longest, longest))
    })
}

/// The picture painted anew, with nothing in it but pixels; `None`: it can't be decoded, or only at too high a cost.
pub fn as_jpeg(data: &[u8]) -> Option<Vec<u8>> {
    painted(data, &mut Room::default(), Some)
}

/// As a JPEG, turned as it was held.
fn painted(data: &[u8], room: &mut Room, shown: impl FnOnce(DynamicImage) -> Option<DynamicImage>) -> Option<Vec<u8>> {
    let paint = || {
        let Decoded::Picture(picture) = decode::decode(data, room) else { return None };
        let mut picture = shown(picture)?;
        picture.apply_orientation(decode::orientation(data));
        let mut jpeg = Vec::new();
        let encoder = JpegEncoder::new_with_quality(&mut jpeg, 75);
        picture.into_rgb8().write_with_encoder(encoder).ok().map(|()| jpeg)
    };
    catch_unwind(AssertUnwindSafe(paint)).ok().flatten()
}

fn examine(data: &[u8], hints: Hints, room: &mut Room) -> Look {
    match decode::decode(data, room) {
        Decoded::Picture(picture) => {
            if is_decoration(&picture, hints) {
                return Look::Decoration;
            }
            let full = Luma::of(picture);
            Look::Real { judgement: judgement::judge(&full), codes: codes::read(&full) }
        }
        Decoded::NotChecked => not_checked(),
        Decoded::Not => not_decoded(data),
    }
}

/// A decoder gave up: a HEIC is a photo all the same, as nobody makes logos of it.
fn not_decoded(data: &[u8]) -> Look {
    if heic::is_heic(data) { not_checked() } else { Look::Unreadable }
}

fn not_checked() -> Look {
    Look::Real { judgement: Judgement::NotChecked, codes: Vec::new() }
}

/// Under this short side it is an icon, a spacer or a tracking pixel, whatever it shows.
const ICON_SIDE: u32 = 64;
/// The same for what stands between the words: emoji, badges, portraits.
const BADGE_SIDE: u32 = 128;
/// Letterheads and signature logos are rarely higher, real pictures rarely lower.
const PLATE_SIDE: u32 = 240;
/// Drawings take up to 10 colours to be covered, photos 16 and more, by [`colours`].
const FEW_COLOURS: usize = 12;

/// Tells pictures that mail programs and letterheads add from pictures that a person sends.
///
/// Cheap signs only: size, shape and how few colours cover nearly all of it. In doubt it is a person's picture.
fn is_decoration(picture: &DynamicImage, hints: Hints) -> bool {
    let (width, height) = (picture.width(), picture.height());
    let short = width.min(height);
    let banner = width >= height.saturating_mul(5) / 2;
    let embedded = hints.inline || hints.in_signature;
    if short < if embedded { BADGE_SIDE } else { ICON_SIDE } || short < PLATE_SIDE && (banner || hints.in_signature) {
        return true;
    }
    // A screenshot is as flat as a logo: here only its size, its upright shape and that it hides nothing tell.
    let upright = height >= width.saturating_mul(3) / 2;
    let suspect = if short < judgement::SHORT_SIDE {
        short < PLATE_SIDE || embedded || !upright
    } else {
        banner || is_cut_out(picture)
    };
    suspect && colours(picture) <= FEW_COLOURS
}

fn is_cut_out(picture: &DynamicImage) -> bool {
    picture.color().has_alpha() && samples(picture).any(|[.., alpha]| alpha < 128)
}

/// How many colours, 16 steps a channel over the range in use, it takes to cover nine tenths of the picture.
///
/// Relative to the range in use, because a photo taken in the dark has few colours too.
fn colours(picture: &DynamicImage) -> usize {
    let over_white = |[r, g, b, a]: [u8; 4]| [r, g, b].map(|c| 255 - u32::from(255 - c) * u32::from(a) / 255);
    let colours: Vec<[u32; 3]> = samples(picture).map(over_white).collect();
    let low = colours.iter().flatten().min().copied().unwrap_or(0);
    let high = colours.iter().flatten().max().copied().unwrap_or(0);
    let mut counts = BTreeMap::<[u32; 3], usize>::new();
    for colour in &colours {
        *counts.entry(colour.map(|c| (c - low) * 15 / (high - low).max(1))).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let covered = counts.iter().scan(0, |sum, count| Some(mem::replace(sum, *sum + count)));
    covered.take_while(|before| *before < colours.len() * 9 / 10).count()
}

/// Some ten thousand pixels, evenly spread.
fn samples(picture: &DynamicImage) -> impl Iterator<Item = [u8; 4]> {
    let places = |side: u32| (0..side).step_by((side / 100).max(1) as usize);
    let (width, height) = (picture.width(), picture.height());
    places(height).flat_map(move |y| places(width).map(move |x| picture.get_pixel(x, y).0))
}

#[cfg(test)]
mod tests;
