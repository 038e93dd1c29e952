//! Finds and reads bar codes and QR codes anywhere in a picture, at any angle.
//!
//! Scan lines are laid only across patches of parallel edges, at right angles to them. So a photo without codes costs
//! next to nothing, and a turned or tilted box is as good as an upright one.

use std::collections::BTreeMap;

use rxing::common::{BitArray, BitMatrix, HybridBinarizer};
use rxing::oned::{Code128Reader, MultiFormatUPCEANReader, OneDReader};
use rxing::qrcode::QRCodeReader;
use rxing::qrcode::detector::FinderPatternFinder;
use rxing::{BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source, Reader};

use super::luma::Luma;
use super::patches::{Patch, patches};

/// Whether `code` is an EAN-13, UPC-A or EAN-8 number: its check digit holds (GS1 General Specifications 7.9).
pub fn is_article_number(code: &str) -> bool {
    let sum: u32 = code
        .bytes()
        .rev()
        .zip([1, 3].into_iter().cycle())
        .map(|(digit, weight)| u32::from(digit.wrapping_sub(b'0')) * weight)
        .sum();
    matches!(code.len(), 8 | 12 | 13) && code.bytes().all(|b| b.is_ascii_digit()) && sum.is_multiple_of(10)
}

/// The codes on the picture, each once.
pub fn read(full: &Luma) -> Vec<String> {
    let mut codes = bars(full);
    codes.extend(square(full));
    codes
}

/// The long side, in pixels, at which patches of bars are sought first.
const PATCH_SIDE: usize = 800;

fn bars(full: &Luma) -> Vec<String> {
    let mut codes = Vec::new();
    let mut factor = full.long_side().div_ceil(PATCH_SIDE).max(1);
    // Large bars look like separate edges at the first size; they make patches at a smaller one.
    for _ in 0..3 {
        let picture = full.reduced(factor);
        for patch in patches(&picture) {
            for code in scan(full, &patch.scaled(factor as f32)) {
                if !codes.contains(&code) {
                    codes.push(code);
                }
            }
        }
        if !codes.is_empty() {
            break;
        }
        factor *= 2;
    }
    codes
}

/// Lays scan lines across a patch; a code counts when two lines agree on it, three for the short EAN-8.
fn scan(full: &Luma, patch: &Patch) -> Vec<String> {
    let formats = [BarcodeFormat::EAN_13, BarcodeFormat::UPC_A, BarcodeFormat::EAN_8];
    let hints = DecodeHints { PossibleFormats: Some(formats.into()), ..DecodeHints::default() };
    let mut articles = MultiFormatUPCEANReader::new(&hints);
    let mut votes = BTreeMap::<String, usize>::new();
    for (place, margin) in LINES {
        let mut bits = binarised(&profile(full, patch, place, margin));
        for _ in 0..2 {
            let read = [articles.decode_row(0, &bits, &hints), Code128Reader.decode_row(0, &bits, &hints)];
            for result in read.into_iter().flatten() {
                *votes.entry(result.getText().to_owned()).or_default() += 1;
            }
            bits.reverse();
        }
    }
    votes.retain(|code, votes| *votes >= if code.len() > 8 { 2 } else { 3 } && is_plausible(code));
    votes.into_keys().collect()
}

/// Where lines cross a patch (from -1 to 1 along the bars), and how far they reach beyond it (of its half extent).
const LINES: [(f32, f32); 10] = [
    (0.0, 0.2),
    (0.1, 0.4),
    (-0.1, 0.15),
    (0.25, 0.2),
    (-0.25, 0.3),
    (0.4, 0.2),
    (-0.4, 0.2),
    (0.55, 0.3),
    (-0.55, 0.15),
    (0.0, 1.0),
];

/// Textures now and then make a short Code 128 of control characters.
fn is_plausible(code: &str) -> bool {
    code.len() >= 4 && code.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

/// The brightness along a line across the bars, two samples a pixel, each the mean of three lines side by side.
fn profile(full: &Luma, patch: &Patch, place: f32, margin: f32) -> Vec<f32> {
    let (sin, cos) = patch.angle.sin_cos();
    let half = patch.across * (1.0 + margin) + 8.0;
    let steps = (half * 4.0).clamp(64.0, 4000.0) as usize;
    let v = patch.along * place;
    let mean = |u: f32| {
        let at = |v: f32| full.at(patch.x + u * cos - v * sin, patch.y + u * sin + v * cos);
        (at(v - 1.0) + at(v) + at(v + 1.0)) / 3.0
    };
    (0..steps).map(|n| mean((n as f32 / steps as f32 * 2.0 - 1.0) * half)).collect()
}

/// Black is what is darker than its surroundings, so shadows and reflections across a label do no harm.
fn binarised(line: &[f32]) -> BitArray {
    let mut sums = vec![(0.0f64, 0.0f64)];
    let mut sum = (0.0, 0.0);
    for value in line {
        let value = f64::from(*value);
        sum = (sum.0 + value, sum.1 + value * value);
        sums.push(sum);
    }
    let reach = (line.len() / 14).max(8);
    let mut bits = BitArray::with_size(line.len());
    for (n, value) in line.iter().enumerate() {
        let (from, to) = (n.saturating_sub(reach), (n + reach + 1).min(line.len()));
        let (Some(a), Some(b)) = (sums.get(from), sums.get(to)) else { continue };
        let size = (to - from).max(1) as f64;
        let (mean, square) = ((b.0 - a.0) / size, (b.1 - a.1) / size);
        if f64::from(*value) < mean && square - mean * mean > 36.0 {
            bits.set(n);
        }
    }
    bits
}

/// The long side, in pixels, at which QR codes are sought.
const QR_SIDE: usize = 1600;
/// More places that look like a QR code's corner are a texture; telling which three belong together takes their cube.
const MOST_CORNERS: usize = 40;

fn square(full: &Luma) -> Option<String> {
    let picture = full.reduced(full.long_side().div_ceil(QR_SIDE));
    let source = Luma8Source::new_with_slice(picture.pixels(), picture.width() as u32, picture.height() as u32).ok()?;
    let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(source));
    if !(3..=MOST_CORNERS).contains(&corners(bitmap.get_black_matrix())) {
        return None;
    }
    let hints = DecodeHints { TryHarder: Some(true), ..DecodeHints::default() };
    let code = QRCodeReader::new().decode_with_hints(&mut bitmap, &hints).ok()?;
    Some(code.getText().chars().filter(|c| !c.is_control()).collect()).filter(|text: &String| !text.is_empty())
}

/// How many places look like a QR code's corner; counting ends above [`MOST_CORNERS`].
fn corners(matrix: &BitMatrix) -> usize {
    let mut finder = FinderPatternFinder::new(matrix);
    for y in (0..matrix.getHeight()).step_by(3) {
        // The lengths of the last five runs of one colour, the current one last.
        let (mut runs, mut black) = ([0u32; 5], false);
        for x in 0..=matrix.getWidth() {
            let now = matrix.try_get(x, y).unwrap_or(false);
            if now != black {
                if black && FinderPatternFinder::foundPatternCross(&runs, 0.0) {
                    finder.handlePossibleCenter(&runs, y, x);
                    if finder.getPossibleCenters().len() > MOST_CORNERS {
                        return finder.getPossibleCenters().len();
                    }
                }
                runs.rotate_left(1);
                runs[4] = 0;
                black = now;
            }
            runs[4] += 1;
        }
    }
    finder.getPossibleCenters().len()
}
