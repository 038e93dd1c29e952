//! Elements that are outlines, and the numbers in attributes.

use roxmltree::Node;
use svgtypes::{SimplePathSegment, SimplifyingPathParser};

use super::wrong;
use crate::pipeline::papers::Undrawable;

pub(super) fn rectangle(node: Node) -> Result<Vec<SimplePathSegment>, Undrawable> {
    let [x, y, w, h] = numbers(node, ["x", "y", "width", "height"])?;
    let r = number(node, "rx")?.unwrap_or(0.0).min(w / 2.0).min(h / 2.0);
    let (iw, ih) = (w - 2.0 * r, h - 2.0 * r);
    let data = match r > 0.0 {
        true => format!(
            "M{} {y}h{iw}a{r} {r} 0 0 1 {r} {r}v{ih}a{r} {r} 0 0 1 -{r} {r}h-{iw}a{r} {r} 0 0 1 -{r} -{r}v-{ih}a{r} {r} 0 0 1 {r} -{r}z",
            x + r
        ),
        false => format!("M{x} {y}h{w}v{h}h-{w}z"),
    };
    SimplifyingPathParser::from(data.as_str()).collect::<Result<_, _>>().map_err(|e| wrong(node, &e.to_string()))
}

pub(super) fn circle(node: Node) -> Result<Vec<SimplePathSegment>, Undrawable> {
    let [x, y, r] = numbers(node, ["cx", "cy", "r"])?;
    let data = format!("M{} {y}a{r} {r} 0 0 1 {} 0a{r} {r} 0 0 1 -{} 0z", x - r, 2.0 * r, 2.0 * r);
    SimplifyingPathParser::from(data.as_str()).collect::<Result<_, _>>().map_err(|e| wrong(node, &e.to_string()))
}

pub(super) fn stroke_from_to(node: Node) -> Result<Vec<SimplePathSegment>, Undrawable> {
    let [x1, y1, x2, y2] = numbers(node, ["x1", "y1", "x2", "y2"])?;
    Ok(vec![SimplePathSegment::MoveTo { x: x1, y: y1 }, SimplePathSegment::LineTo { x: x2, y: y2 }])
}

fn numbers<const N: usize>(node: Node, names: [&str; N]) -> Result<[f64; N], Undrawable> {
    let mut values = [0.0; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = number(node, name)?.unwrap_or(0.0);
    }
    Ok(values)
}

/// A number in the drawing's own units.
pub(super) fn number(node: Node, name: &str) -> Result<Option<f64>, Undrawable> {
    let Some(text) = node.attribute(name) else { return Ok(None) };
    let number = text.trim().trim_end_matches("px").parse::<f64>().ok().filter(|n| n.is_finite());
    number.map(Some).ok_or_else(|| wrong(node, &format!("{name}=\"{text}\" is no number")))
}

/// A length in points.
pub(super) fn length(node: Node, name: &str) -> Result<Option<f64>, Undrawable> {
    let Some(text) = node.attribute(name) else { return Ok(None) };
    let (digits, points) = [("mm", 72.0 / 25.4), ("cm", 72.0 / 2.54), ("in", 72.0), ("pt", 1.0), ("px", 0.75)]
        .iter()
        .find_map(|(unit, points)| Some((text.trim().strip_suffix(unit)?, *points)))
        .unwrap_or((text.trim(), 0.75));
    let number = digits.trim().parse::<f64>().ok().map(|n| n * points);
    let number = number.filter(|n| (1.0..=14_400.0).contains(n));
    number.map(Some).ok_or_else(|| wrong(node, &format!("{name}=\"{text}\" is no length: say it in mm or pt")))
}
