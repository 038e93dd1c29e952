//! Looks at a picture without understanding it: is it a real photo, can anything be made out, which codes are on it.
//!
//! Pure, bounded in pixels, memory and time whatever the bytes are, and never panics: a decoder's panic counts as
//! unreadable. Orientation does not matter, so EXIF is not read.

mod codes;
mod judgement;
mod luma;
mod patches;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, GenericImageView as _, ImageDecoder, ImageReader, Limits};

use crate::domain::facts::Judgement;

pub use codes::is_article_number;
use luma::Luma;

/// What a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// A photo or a screenshot: how well it shows what it shows, and the codes on it.
    ///
    /// Codes are EAN-13, EAN-8 and UPC-A numbers whose check digit holds ([`is_article_number`] tells them from the
    /// rest), and the texts of Code 128 and QR codes. A picture of more pixels than are looked at is
    /// [`Judgement::NotChecked`].
    Real { judgement: Judgement, codes: Vec<String> },
    /// A logo, icon, signature image or tracking pixel.
    Decoration,
    /// Damaged, not a picture, or in a format that is not read here (HEIC).
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

/// Larger pictures are not decoded: 64 megapixels take 192 MB.
const MOST_PIXELS: u64 = 64 << 20;
const MOST_BYTES: u64 = MOST_PIXELS * 4;
/// A progressive JPEG makes the decoder walk over all pixels once a scan; honest ones have about ten scans.
const MOST_SCANNED_PIXELS: u64 = 12 * MOST_PIXELS;
/// No camera packs more pixels than this into a byte; a decompression bomb does.
const PIXELS_PER_BYTE: u64 = 60;

/// Looks at the bytes of a JPEG, PNG, WebP or GIF (its first frame).
pub fn look(data: &[u8], hints: Hints) -> Look {
    // The decoders and the barcode reader are other people's code on hostile bytes.
    catch_unwind(AssertUnwindSafe(|| examine(data, hints))).unwrap_or(Look::Unreadable)
}

fn examine(data: &[u8], hints: Hints) -> Look {
    match decode(data) {
        Decoded::Picture(picture) => {
            if is_decoration(&picture, hints) {
                return Look::Decoration;
            }
            let full = Luma::of(picture);
            Look::Real { judgement: judgement::judge(&full), codes: codes::read(&full) }
        }
        Decoded::TooLarge => Look::Real { judgement: Judgement::NotChecked, codes: Vec::new() },
        Decoded::Not => Look::Unreadable,
    }
}

enum Decoded {
    Picture(DynamicImage),
    TooLarge,
    Not,
}

fn decode(data: &[u8]) -> Decoded {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let Ok(mut reader) = ImageReader::new(Cursor::new(data)).with_guessed_format() else { return Decoded::Not };
    reader.limits(limits);
    let Ok(decoder) = reader.into_decoder() else { return Decoded::Not };
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MOST_PIXELS {
        let plausible = pixels / PIXELS_PER_BYTE <= data.len() as u64;
        return if plausible { Decoded::TooLarge } else { Decoded::Not };
    }
    if pixels.saturating_mul(scans(data)) > MOST_SCANNED_PIXELS {
        return Decoded::Not;
    }
    DynamicImage::from_decoder(decoder).map_or(Decoded::Not, Decoded::Picture)
}

/// An upper bound on the scans of a JPEG: its start-of-scan markers, 1 for other formats.
fn scans(data: &[u8]) -> u64 {
    if !data.starts_with(&[0xff, 0xd8]) {
        return 1;
    }
    data.array_windows().filter(|pair| **pair == [0xff, 0xda]).count() as u64
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
mod tests {
    use std::fs;
    use std::path::Path;

    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::{self, FilterType};
    use image::{ImageFormat, Rgb, RgbImage};
    use proptest::prelude::*;

    use super::*;

    /// A table of soft colours with things on it, seen by a camera with some noise.
    fn scene(width: u32, height: u32) -> RgbImage {
        let mut noise = 0x2545_f491_u32;
        RgbImage::from_fn(width, height, |x, y| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = (noise >> 29) as i32 - 4;
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let watch = (u - 0.4).hypot((v - 0.5) * 0.75);
            let colour = if watch < 0.1 {
                [12, 13, 16]
            } else if watch < 0.16 {
                [90, 92, 96]
            } else if (v - 0.5).abs() < 0.3 && (u - 0.4).abs() < 0.08 {
                [38, 36, 35]
            } else if (u - 0.8).hypot(v - 0.2) < 0.12 {
                [225, 220, 205]
            } else {
                let plank = if ((v * 9.0) as u32).is_multiple_of(2) { 20.0 } else { 0.0 };
                [150.0 + 60.0 * u - plank, 110.0 + 50.0 * v - plank, 70.0 + 40.0 * u].map(|c| c as i32)
            };
            Rgb(colour.map(|c| (c + grain).clamp(0, 255) as u8))
        })
    }

    fn toned(picture: &RgbImage, tone: impl Fn(f32) -> f32) -> RgbImage {
        let mut picture = picture.clone();
        picture.pixels_mut().for_each(|p| p.0 = p.0.map(|c| tone(f32::from(c)).clamp(0.0, 255.0) as u8));
        picture
    }

    fn encoded(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut data = Cursor::new(Vec::new());
        picture.write_to(&mut data, format).unwrap();
        data.into_inner()
    }

    fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
        let mut data = Vec::new();
        JpegEncoder::new_with_quality(&mut data, quality).encode_image(picture).unwrap();
        data
    }

    fn judged(data: &[u8]) -> Judgement {
        match look(data, Hints::default()) {
            Look::Real { judgement, .. } => judgement,
            other => panic!("{other:?}"),
        }
    }

    fn codes(picture: &RgbImage) -> Vec<String> {
        match look(&jpeg(picture, 85), Hints::default()) {
            Look::Real { codes, .. } => codes,
            other => panic!("{other:?}"),
        }
    }

    /// The modules of an EAN-13 (GS1 General Specifications 5.2): true is a bar.
    fn ean13(code: &str) -> Vec<bool> {
        const LEFT: [&str; 10] = [
            "0001101", "0011001", "0010011", "0111101", "0100011", "0110001", "0101111", "0111011", "0110111",
            "0001011",
        ];
        const PARITY: [&str; 10] =
            ["LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG", "LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL"];
        let turned = |s: &str| s.chars().map(|c| if c == '0' { '1' } else { '0' }).collect::<String>();
        let digits: Vec<usize> = code.bytes().map(|b| usize::from(b - b'0')).collect();
        let mut bits = "101".to_owned();
        for (digit, parity) in digits[1..7].iter().zip(PARITY[digits[0]].chars()) {
            let right: String = turned(LEFT[*digit]);
            bits += &if parity == 'L' { LEFT[*digit].to_owned() } else { right.chars().rev().collect() };
        }
        bits += "01010";
        digits[7..].iter().for_each(|d| bits += &turned(LEFT[*d]));
        (bits + "101").chars().map(|c| c == '1').collect()
    }

    /// Puts a white label into the picture, turned by `degrees`; `ink` says where it is black, in modules.
    fn labelled(size: (f32, f32), module: f32, degrees: f32, ink: impl Fn(f32, f32) -> bool) -> RgbImage {
        let mut picture = scene(1600, 1200);
        let (sin, cos) = degrees.to_radians().sin_cos();
        for (x, y, pixel) in picture.enumerate_pixels_mut() {
            let mut shade = 0.0;
            let mut inside = false;
            for n in 0..9 {
                let (x, y) = (x as f32 + (n % 3) as f32 / 3.0 - 900.0, y as f32 + (n / 3) as f32 / 3.0 - 600.0);
                let (u, v) = ((x * cos + y * sin) / module + size.0 / 2.0, (y * cos - x * sin) / module + size.1 / 2.0);
                inside |= (-12.0..size.0 + 12.0).contains(&u) && (-12.0..size.1 + 12.0).contains(&v);
                let black = u >= 0.0 && v >= 0.0 && u < size.0 && v < size.1 && ink(u, v);
                shade += if black { 15.0 } else { 240.0 } / 9.0;
            }
            if inside {
                *pixel = Rgb([shade as u8; 3]);
            }
        }
        picture
    }

    fn screenshot(paper: u8, ink: u8) -> RgbImage {
        RgbImage::from_fn(720, 1600, |x, y| {
            let letter = y % 100 < 30 && y < 700 && (60..600).contains(&x) && (x / 6 + y / 8).is_multiple_of(3);
            Rgb([if letter { ink } else { paper }; 3])
        })
    }

    fn logo(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            let inside = f64::from(x).hypot(f64::from(y) - f64::from(height) / 2.0) < f64::from(height) / 2.5;
            Rgb(if inside { [0, 82, 155] } else { [255; 3] })
        })
    }

    #[test]
    fn a_picture_that_shows_something_is_usable_in_every_format() {
        let picture = scene(1000, 750);
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif] {
            assert_eq!(judged(&encoded(&picture, format)), Judgement::Usable, "{format:?}");
        }
        assert_eq!(judged(&jpeg(&picture, 30)), Judgement::Usable);
        assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.4), 80)), Judgement::Usable, "dim");
        assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.6 + 100.0), 80)), Judgement::Usable, "hazy");
        assert_eq!(
            judged(&jpeg(&toned(&picture, |c| c * 2.0), 80)),
            Judgement::Usable,
            "a glaring table, a dark watch"
        );
        assert_eq!(judged(&jpeg(&imageops::blur(&picture, 1.5), 80)), Judgement::Usable, "slightly soft");
    }

    #[test]
    fn a_picture_that_shows_nothing_is_not_usable() {
        let picture = scene(1000, 750);
        assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.12), 80)), Judgement::TooDark);
        assert_eq!(judged(&jpeg(&toned(&picture, |c| c * 0.2 + 204.0), 80)), Judgement::TooBright);
        assert_eq!(judged(&jpeg(&imageops::blur(&picture, 6.0), 80)), Judgement::Blurred);
        let small = imageops::resize(&picture, 360, 270, FilterType::Triangle);
        assert_eq!(judged(&jpeg(&small, 80)), Judgement::TooSmall);
    }

    #[test]
    fn a_screenshot_is_a_photo_whether_white_or_black() {
        for (paper, ink) in [(255, 20), (0, 235)] {
            assert_eq!(judged(&encoded(&screenshot(paper, ink), ImageFormat::Png)), Judgement::Usable);
        }
    }

    #[test]
    fn what_mail_programs_and_letterheads_add_is_decoration() {
        let inline = Hints { inline: true, in_signature: false };
        for (picture, hints) in [
            (RgbImage::new(1, 1), Hints::default()),
            (RgbImage::new(600, 2), Hints::default()),
            (logo(180, 60), Hints::default()),
            (logo(96, 96), Hints::default()),
            (logo(300, 300), inline),
            (logo(1400, 500), inline),
            (scene(600, 120), Hints::default()),
            (scene(120, 120), inline),
        ] {
            let size = picture.dimensions();
            assert_eq!(look(&encoded(&picture, ImageFormat::Png), hints), Look::Decoration, "{size:?}");
        }
        let pasted = look(&jpeg(&scene(800, 600), 80), inline);
        assert_eq!(pasted, Look::Real { judgement: Judgement::Usable, codes: Vec::new() });
    }

    #[test]
    fn a_bar_code_is_read_at_every_angle_and_size() {
        let bars = ean13("6973014171018");
        for (degrees, module) in [(0.0, 4.0), (33.0, 4.0), (90.0, 3.0), (134.0, 3.0), (181.0, 8.0), (255.0, 2.5)] {
            let picture = labelled((95.0, 40.0), module, degrees, |u, _| bars[u as usize]);
            assert_eq!(codes(&picture), ["6973014171018"], "{degrees} degrees, {module} pixels a module");
        }
    }

    #[test]
    fn a_bar_code_with_a_wrong_check_digit_is_not_read() {
        let bars = ean13("6973014171011");
        assert_eq!(codes(&labelled((95.0, 40.0), 4.0, 10.0, |u, _| bars[u as usize])), [""; 0]);
    }

    #[test]
    fn a_qr_code_is_read_at_every_angle() {
        // "https://example.com/kr", version 2, level M (ISO/IEC 18004).
        const ROWS: [&str; 25] = [
            "#######.###.#.#...#######",
            "#.....#...#.###.#.#.....#",
            "#.###.#.#.####..#.#.###.#",
            "#.###.#..##..##...#.###.#",
            "#.###.#..###..#...#.###.#",
            "#.....#.##.#..#...#.....#",
            "#######.#.#.#.#.#.#######",
            ".........####.###........",
            "#.#...##.#.##.#.#..#..#.#",
            "#.#.##.#.###.#.#.###.#.##",
            ".#..#####.#....#.#..###.#",
            "#.##.#..#.#...#.#..#.#...",
            ".#.##.#####.#..##.##....#",
            "..#....#..#.##.##.##...##",
            "#####.#.#.#.#.#####..##.#",
            "..#.#....####.#.##.###...",
            "##.######.#.....#####..#.",
            "........#.#...#.#...#...#",
            "#######.####..#.#.#.#...#",
            "#.....#........##...#...#",
            "#.###.#....##########...#",
            "#.###.#.....#....#..#.##.",
            "#.###.#.##..######.###.##",
            "#.....#..#.##..######....",
            "#######.###.###.#.#..#..#",
        ];
        for degrees in [0.0, 30.0, 200.0] {
            let ink = |u: f32, v: f32| ROWS[v as usize].as_bytes()[u as usize] == b'#';
            assert_eq!(codes(&labelled((25.0, 25.0), 7.0, degrees, ink)), ["https://example.com/kr"], "{degrees}");
        }
    }

    #[test]
    fn article_numbers_are_told_from_other_codes() {
        for code in ["6973014171018", "96385074", "036000291452"] {
            assert!(is_article_number(code), "{code}");
        }
        for code in ["6973014171019", "697301417101", "KP-TKT3-BK", "", "https://x"] {
            assert!(!is_article_number(code), "{code}");
        }
    }

    #[test]
    fn a_picture_too_large_to_decode_is_not_checked_and_a_bomb_is_unreadable() {
        let mut data = jpeg(&scene(64, 64), 80);
        let frame = data.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        data[frame + 5..frame + 9].copy_from_slice(&[0x23, 0x28, 0x2e, 0xe0]); // 9,000 rows of 12,000 pixels
        assert_eq!(look(&data, Hints::default()), Look::Unreadable);
        data.resize(2_000_000, 0);
        assert_eq!(judged(&data), Judgement::NotChecked);
    }

    #[test]
    fn a_jpeg_with_endless_scans_is_not_decoded() {
        let mut data = jpeg(&scene(1600, 1200), 80);
        let whole = data.clone();
        assert_eq!(judged(&whole), Judgement::Usable);
        data.extend([0xff, 0xda].repeat(1000));
        assert_eq!(look(&data, Hints::default()), Look::Unreadable);
    }

    #[test]
    fn the_pictures_of_the_evaluation_are_usable() {
        let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/eval/assets");
        let Ok(entries) = fs::read_dir(&assets) else { return };
        for path in entries.map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "jpg")) {
            let found = look(&fs::read(&path).unwrap(), Hints::default());
            assert_eq!(found, Look::Real { judgement: Judgement::Usable, codes: Vec::new() }, "{path:?}");
        }
    }

    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let formats = [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif];
        let whole = formats.map(|f| encoded(&scene(160, 120), f));
        (
            0..whole.len(),
            any::<prop::sample::Index>(),
            prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        )
            .prop_map(move |(format, end, changes)| {
                let mut data = whole[format].clone();
                for (place, byte) in changes {
                    let place = place.index(data.len());
                    data[place] = byte;
                }
                data.truncate(end.index(data.len()) + 1);
                data
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_bytes_make_it_panic(noise in prop::collection::vec(any::<u8>(), 0..400), data in damaged()) {
            // Not `look`, which would hide a panic of our own.
            let hints = Hints::default();
            prop_assert!(matches!(examine(&noise, hints), Look::Unreadable | Look::Decoration));
            let _ = examine(&data, hints);
        }
    }
}
