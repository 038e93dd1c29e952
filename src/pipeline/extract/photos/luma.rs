//! A picture's brightness, one byte a pixel.

use image::DynamicImage;

#[derive(Debug, Clone)]
pub struct Luma {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Luma {
    /// The brightness of a picture; what is transparent counts as it is stored.
    pub fn of(picture: DynamicImage) -> Self {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let pixels = match picture {
            DynamicImage::ImageLuma8(grey) => grey.into_raw(),
            DynamicImage::ImageRgb8(rgb) => {
                rgb.as_raw().as_chunks::<3>().0.iter().map(|[r, g, b]| weigh(*r, *g, *b)).collect()
            }
            DynamicImage::ImageRgba8(rgba) => {
                rgba.as_raw().as_chunks::<4>().0.iter().map(|[r, g, b, _]| weigh(*r, *g, *b)).collect()
            }
            other => other.into_luma8().into_raw(),
        };
        Self { width, height, pixels }
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn short_side(&self) -> usize {
        self.width.min(self.height)
    }

    pub fn long_side(&self) -> usize {
        self.width.max(self.height)
    }

    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        self.pixels.chunks_exact(self.width.max(1))
    }

    /// The picture with rows and columns swapped.
    pub fn transposed(&self) -> Self {
        let column = |x| self.pixels.iter().skip(x).step_by(self.width.max(1)).copied();
        Self { width: self.height, height: self.width, pixels: (0..self.width).flat_map(column).collect() }
    }

    /// The picture at one `factor`-th of its size, each pixel the mean of `factor` times `factor`.
    pub fn reduced(&self, factor: usize) -> Self {
        let factor = factor.max(1);
        if factor == 1 {
            return self.clone();
        }
        let (width, height) = (self.width / factor, self.height / factor);
        let mut pixels = Vec::with_capacity(width * height);
        let mut sums = vec![0u32; width];
        for rows in self.pixels.chunks_exact((self.width * factor).max(1)) {
            sums.fill(0);
            for row in rows.chunks_exact(self.width) {
                for (sum, group) in sums.iter_mut().zip(row.chunks_exact(factor)) {
                    *sum += group.iter().map(|p| u32::from(*p)).sum::<u32>();
                }
            }
            let area = (factor * factor) as u32;
            pixels.extend(sums.iter().map(|sum| (sum / area) as u8));
        }
        Self { width, height, pixels }
    }

    /// The picture scaled to a long side of `side` pixels.
    pub fn fitted(&self, side: usize) -> Self {
        let near = self.reduced(self.long_side() / side.max(1));
        let scale = near.long_side() as f32 / side.max(1) as f32;
        let length = |from: usize| ((from as f32 / scale) as usize).clamp(1, side.max(1));
        let (width, height) = (length(near.width), length(near.height));
        let place = |n: usize| (n as f32 + 0.5) * scale - 0.5;
        let row = |y: usize| (0..width).map(move |x| (place(x), place(y)));
        let pixels = (0..height).flat_map(row).map(|(x, y)| near.at(x, y).round() as u8).collect();
        Self { width, height, pixels }
    }

    /// The brightness at a place between pixels; the picture's edge goes on for ever.
    pub fn at(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, self.width.saturating_sub(1) as f32);
        let y = y.clamp(0.0, self.height.saturating_sub(1) as f32);
        let (left, top) = (x as usize, y as usize);
        let (right, bottom) =
            ((left + 1).min(self.width.saturating_sub(1)), (top + 1).min(self.height.saturating_sub(1)));
        let pixel = |x, y| self.pixels.get(y * self.width + x).copied().map_or(0.0, f32::from);
        let (dx, dy) = (x - left as f32, y - top as f32);
        let upper = pixel(left, top) * (1.0 - dx) + pixel(right, top) * dx;
        let lower = pixel(left, bottom) * (1.0 - dx) + pixel(right, bottom) * dx;
        upper * (1.0 - dy) + lower * dy
    }
}

/// ITU-R BT.601 in 256ths.
fn weigh(r: u8, g: u8, b: u8) -> u8 {
    ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)) >> 8) as u8
}
