//! Finds the patches of a picture that may hold a bar code.
//!
//! Bars are many strong edges in one direction. So the picture is divided into cells, and neighbouring cells with edges
//! of one direction make a patch.

use std::collections::BTreeMap;

use super::luma::Luma;

/// The side of a cell, in pixels.
const CELL: usize = 8;
const LEAST_CELLS: usize = 6;
const MOST_PATCHES: usize = 8;

/// A part of the picture that is full of parallel edges.
#[derive(Debug, Clone, Copy)]
pub struct Patch {
    /// The centre.
    pub x: f32,
    pub y: f32,
    /// The direction across the bars, in radians.
    pub angle: f32,
    /// Half the extent across the bars and along them, in pixels.
    pub across: f32,
    pub along: f32,
    cells: usize,
}

impl Patch {
    /// The same patch in a picture `factor` times as large.
    pub fn scaled(self, factor: f32) -> Self {
        Self {
            x: self.x * factor,
            y: self.y * factor,
            across: self.across * factor,
            along: self.along * factor,
            ..self
        }
    }
}

/// The sums of squared gradients of a cell: its structure tensor.
#[derive(Debug, Clone, Copy, Default)]
struct Gradients {
    xx: f32,
    yy: f32,
    xy: f32,
}

impl Gradients {
    fn add(self, other: Self) -> Self {
        Self { xx: self.xx + other.xx, yy: self.yy + other.yy, xy: self.xy + other.xy }
    }

    /// Twice the angle, so that opposite directions are one, weighted by how much one direction prevails.
    fn direction(self) -> (f32, f32) {
        let sum = (self.xx + self.yy).max(1.0);
        ((self.xx - self.yy) / sum, 2.0 * self.xy / sum)
    }

    fn is_bars(self) -> bool {
        let (x, y) = self.direction();
        self.xx + self.yy > 150.0 * (CELL * CELL) as f32 && x.hypot(y) > 0.5
    }

    fn is_parallel(self, other: Self) -> bool {
        let ((ax, ay), (bx, by)) = (self.direction(), other.direction());
        ax * bx + ay * by > 0.7 * ax.hypot(ay) * bx.hypot(by)
    }
}

/// The largest patches of a picture.
pub fn patches(picture: &Luma) -> Vec<Patch> {
    let mut cells = cells(picture);
    let mut found = Vec::new();
    while let Some((&first, _)) = cells.first_key_value() {
        let mut patch = Vec::new();
        let mut open: Vec<((usize, usize), Gradients)> = cells.remove(&first).map(|e| (first, e)).into_iter().collect();
        while let Some(((row, column), edges)) = open.pop() {
            patch.push(((row, column), edges));
            for near in (row.saturating_sub(1)..=row + 1)
                .flat_map(|r| (column.saturating_sub(1)..=column + 1).map(move |c| (r, c)))
            {
                if cells.get(&near).is_some_and(|e| e.is_parallel(edges)) {
                    open.extend(cells.remove(&near).map(|e| (near, e)));
                }
            }
        }
        if patch.len() >= LEAST_CELLS {
            found.push(outline(&patch));
        }
    }
    found.sort_by_key(|p| std::cmp::Reverse(p.cells));
    found.truncate(MOST_PATCHES);
    found
}

/// The cells that are full of parallel edges, by row and column.
fn cells(picture: &Luma) -> BTreeMap<(usize, usize), Gradients> {
    let rows: Vec<&[u8]> = picture.rows().collect();
    let mut found = BTreeMap::new();
    for (band, lines) in rows.windows(CELL + 2).step_by(CELL).enumerate() {
        let mut cells = vec![Gradients::default(); picture.width() / CELL];
        for [above, line, below] in lines.array_windows() {
            let gradients =
                line.array_windows().zip(above.iter().zip(*below).skip(1)).map(|([left, _, right], (up, down))| {
                    (i32::from(*right) - i32::from(*left), i32::from(*down) - i32::from(*up))
                });
            let gradients: Vec<(i32, i32)> = gradients.collect();
            for (cell, group) in cells.iter_mut().zip(gradients.chunks_exact(CELL)) {
                let (xx, yy, xy) =
                    group.iter().fold((0, 0, 0), |(xx, yy, xy), (x, y)| (xx + x * x, yy + y * y, xy + x * y));
                *cell = cell.add(Gradients { xx: xx as f32, yy: yy as f32, xy: xy as f32 });
            }
        }
        found.extend(cells.into_iter().enumerate().filter(|(_, e)| e.is_bars()).map(|(column, e)| ((band, column), e)));
    }
    found
}

fn outline(cells: &[((usize, usize), Gradients)]) -> Patch {
    let edges = cells.iter().fold(Gradients::default(), |sum, (_, e)| sum.add(*e));
    let (x, y) = edges.direction();
    let angle = y.atan2(x) / 2.0;
    let (sin, cos) = angle.sin_cos();
    let place = |n: usize| (n as f32 + 0.5) * CELL as f32 + 1.0;
    let extent = |f: &dyn Fn(f32, f32) -> f32| {
        let (low, high) = cells
            .iter()
            .map(|((row, column), _)| f(place(*column), place(*row)))
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        ((low + high) / 2.0, (high - low + CELL as f32) / 2.0)
    };
    let (u, across) = extent(&|x, y| x * cos + y * sin);
    let (v, along) = extent(&|x, y| y * cos - x * sin);
    Patch { x: u * cos - v * sin, y: u * sin + v * cos, angle, across, along, cells: cells.len() }
}
