//! Whether anything can be made out on a picture: its size, its exposure, its sharpness.
//!
//! Thresholds were set on photos of watches over textures, dimmed, washed out, blurred and made noisy in steps; each
//! one says between which steps it lies.

use super::luma::Luma;
use crate::domain::facts::Judgement;

/// Under this short side, in pixels, a picture shows too little (policy clause `process.4`).
pub const SHORT_SIDE: u32 = 480;

/// The long side at which a picture is judged, in pixels: what a person sees of it on a screen. Sensor noise and
/// the unsharpness of single pixels average out.
const SIGHT: usize = 800;

/// Between a picture blurred by a Gaussian of 3 in 1600 pixels (0.53), which still shows a crack, and 8 (0.37).
const SHARP: f32 = 0.45;

/// Whether anything can be made out.
pub fn judge(full: &Luma) -> Judgement {
    if full.short_side() < SHORT_SIDE as usize {
        return Judgement::TooSmall;
    }
    let sight = full.fitted(SIGHT);
    let tones = Tones::of(&sight);
    if tones.is_dark() {
        Judgement::TooDark
    } else if tones.is_bright() {
        Judgement::TooBright
    } else if sharpness(&sight) < SHARP {
        Judgement::Blurred
    } else {
        Judgement::Usable
    }
}

/// How the picture's brightness is spread.
struct Tones {
    counts: [usize; 256],
    total: usize,
}

impl Tones {
    fn of(sight: &Luma) -> Self {
        let mut counts = [0; 256];
        for pixel in sight.pixels() {
            if let Some(count) = counts.get_mut(usize::from(*pixel)) {
                *count += 1;
            }
        }
        Self { counts, total: sight.pixels().len() }
    }

    /// The brightness that `share` of all pixels stay below.
    fn percentile(&self, share: f64) -> u8 {
        let wanted = (self.total as f64 * share) as usize;
        let mut seen = 0;
        let place = self.counts.iter().position(|count| {
            seen += count;
            seen > wanted
        });
        place.map_or(255, |p| p as u8)
    }

    /// Nothing is lit: neither a fiftieth of the picture nor, on a black screen, the writing.
    fn is_dark(&self) -> bool {
        self.percentile(0.98) < 37 && self.percentile(0.997) < 100
    }

    /// Nothing is darker than pale grey: neither a fiftieth of the picture nor, on a white screen, the writing.
    fn is_bright(&self) -> bool {
        self.percentile(0.02) > 165 && self.percentile(0.003) > 150
    }
}

/// How much of the contrast at edges falls between neighbouring pixels: 1 is a perfect edge, near 0 a smear.
///
/// Contrast cancels out, so dim and hazy pictures are judged like others. It is taken where the picture is sharpest, so
/// an unsharp background does not count against a sharp watch, and along the worse axis, so a shaken camera shows.
fn sharpness(sight: &Luma) -> f32 {
    let (rows, columns) = (Edges::along_rows(sight), Edges::along_rows(&sight.transposed()));
    match (rows.count, columns.count) {
        // Stripes have edges in one direction only; the other says nothing about them.
        (r, c) if r < c / 5 => columns.sharpest,
        (r, c) if c < r / 5 => rows.sharpest,
        _ => rows.sharpest.min(columns.sharpest),
    }
}

/// The edges along one axis: how many spans of pixels hold one, and how sharp the sharpest tenth of them is.
struct Edges {
    count: usize,
    sharpest: f32,
}

impl Edges {
    fn along_rows(sight: &Luma) -> Self {
        let rows: Vec<&[u8]> = sight.rows().collect();
        let mut spans = Vec::new();
        for [above, row, below] in rows.array_windows().step_by(2) {
            let smooth =
                above.iter().zip(*row).zip(*below).map(|((a, b), c)| u16::from(*a) + 2 * u16::from(*b) + u16::from(*c));
            let smooth: Vec<u16> = smooth.collect();
            spans.extend(smooth.chunks_exact(SPAN).map(Span::of));
        }
        let noise = Span::noise(&mut spans);
        let mut sharp: Vec<f32> = spans.iter().filter_map(|s| s.sharpness(noise)).collect();
        let tenth = sharp.len() * 9 / 10;
        let count = sharp.len();
        let sharpest = if count == 0 { 0.0 } else { *sharp.select_nth_unstable_by(tenth, f32::total_cmp).1 };
        Self { count, sharpest }
    }
}

/// The pixels in which one edge is looked at; more than the widest edge that still counts as sharp.
const SPAN: usize = 16;

struct Span {
    contrast: f32,
    steepest: f32,
}

impl Span {
    fn of(pixels: &[u16]) -> Self {
        let (low, high) = pixels.iter().fold((u16::MAX, 0), |(low, high), p| (low.min(*p), high.max(*p)));
        let steepest = pixels.array_windows().map(|[a, _, b]| a.abs_diff(*b)).max().unwrap_or(0);
        Self { contrast: f32::from(high.saturating_sub(low)) / 4.0, steepest: f32::from(steepest) / 4.0 }
    }

    /// What the sensor's noise alone makes of steepness: that of the calmest parts. More than this is texture.
    fn noise(spans: &mut [Self]) -> f32 {
        let calm = spans.len() / 10;
        if calm == 0 {
            return 0.0;
        }
        spans.select_nth_unstable_by(calm, |a, b| a.steepest.total_cmp(&b.steepest)).1.steepest.min(12.0)
    }

    /// `None` where there is no edge above the noise.
    fn sharpness(&self, noise: f32) -> Option<f32> {
        (self.contrast >= 20.0f32.max(3.0 * noise)).then(|| (self.steepest - noise) / (self.contrast - noise))
    }
}
