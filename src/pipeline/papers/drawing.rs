//! SVG → shapes on a page.

// Elements → outlines.
mod outline;

// What elements hand down.
mod style;

// Text and where it stands.
mod text;

use std::str::FromStr;

use roxmltree::{Document, Node};
use svgtypes::{SimplePathSegment, SimplifyingPathParser, Transform, ViewBox};

use super::Undrawable;
use super::typeface::{self, Weight};
use outline::{circle, length, number, rectangle, stroke_from_to};
use style::{Anchor, Style};
use text::{Chunk, chunks};

/// Groups and such may stand this deep in each other.
const DEEPEST: usize = 40;

/// Red, green, blue.
pub(super) type Colour = [u8; 3];

/// A page with shapes in points (1/72 inch) from its upper left corner, in the order of painting.
#[derive(Debug)]
pub(super) struct Drawing {
    pub width: f64,
    pub height: f64,
    pub shapes: Vec<Shape>,
}

/// Something on the page, with the transform that puts it there.
#[derive(Debug)]
pub(super) enum Shape {
    Outline {
        segments: Vec<SimplePathSegment>,
        paint: Paint,
        place: Transform,
    },
    /// A run of text, with its beginning on the base line at 0, 0.
    Text {
        text: String,
        size: f64,
        weight: Weight,
        colour: Colour,
        place: Transform,
    },
    /// A picture over the unit square, as (its pixels, their opacity), of `size` pixels.
    Picture {
        size: (u32, u32),
        colours: Vec<u8>,
        opacity: Option<Vec<u8>>,
        place: Transform,
    },
}

/// How an outline is painted.
#[derive(Debug)]
pub(super) struct Paint {
    pub fill: Option<Colour>,
    pub even_odd: bool,
    pub stroke: Option<Colour>,
    pub stroke_width: f64,
    pub dashes: Vec<f64>,
}

impl Drawing {
    pub(super) fn read(svg: &str) -> Result<Self, Undrawable> {
        let document = Document::parse(svg).map_err(|e| Undrawable(format!("it is no XML: {e}")))?;
        let root = document.root_element();
        if root.tag_name().name() != "svg" {
            return Err(wrong(root, "is not <svg>: begin the page with it"));
        }
        let (width, height) = (length(root, "width")?, length(root, "height")?);
        let (Some(width), Some(height)) = (width, height) else {
            return Err(wrong(root, "has no width and height: say both in mm or pt"));
        };
        let seen = match root.attribute("viewBox") {
            Some(text) => ViewBox::from_str(text).map_err(|e| wrong(root, &format!("viewBox: {e}")))?,
            None => ViewBox::new(0.0, 0.0, width, height),
        };
        let (x, y) = (width / seen.w, height / seen.h);
        let place = Transform::new(x, 0.0, 0.0, y, -seen.x * x, -seen.y * y);
        let mut drawing = Self { width, height, shapes: Vec::new() };
        drawing.children(root, &Style::initial().of(root)?, place, 0)?;
        Ok(drawing)
    }

    /// Text that runs over the page's edge or over other text.
    pub(super) fn faults(&self) -> Vec<String> {
        let boxes: Vec<(&str, [f64; 4])> = self.shapes.iter().filter_map(extent).collect();
        let mut faults = Vec::new();
        for (n, (text, [left, top, right, bottom])) in boxes.iter().enumerate() {
            if *left < 0.0 || *top < 0.0 || *right > self.width || *bottom > self.height {
                faults.push(format!("{text:?} runs over the edge of the page: give it less width or fewer lines"));
            }
            let upon = boxes.iter().skip(n + 1).find(|(_, [l, t, r, b])| {
                let (across, down) = (right.min(*r) - left.max(*l), bottom.min(*b) - top.max(*t));
                across > 0.5 && down > 0.5
            });
            if let Some((other, _)) = upon {
                faults.push(format!("{text:?} and {other:?} are printed upon each other: move one"));
            }
        }
        faults
    }

    fn children(&mut self, parent: Node, style: &Style, place: Transform, depth: usize) -> Result<(), Undrawable> {
        if depth > DEEPEST {
            return Err(wrong(parent, "stands too deep in others: draw it flatter"));
        }
        for node in parent.children().filter(Node::is_element) {
            let style = style.of(node)?;
            let place = match node.attribute("transform") {
                Some(text) => {
                    let own = Transform::from_str(text).map_err(|e| wrong(node, &format!("transform: {e}")))?;
                    within(place, own)
                }
                None => place,
            };
            match node.tag_name().name() {
                "g" => self.children(node, &style, place, depth + 1)?,
                "path" => {
                    let data = node.attribute("d").unwrap_or_default();
                    let segments: Result<Vec<_>, _> = SimplifyingPathParser::from(data).collect();
                    let segments = segments.map_err(|e| wrong(node, &format!("d: {e}")))?;
                    self.outline(segments, &style, place);
                }
                "rect" => self.outline(rectangle(node)?, &style, place),
                "line" => self.outline(stroke_from_to(node)?, &style, place),
                "circle" => self.outline(circle(node)?, &style, place),
                "text" => self.text(node, &style, place)?,
                "image" => self.picture(node, place)?,
                "title" | "desc" | "metadata" => {}
                "defs" if !node.has_children() => {}
                // Editors' notes to themselves.
                _ if node.tag_name().namespace().is_some_and(|n| n != "http://www.w3.org/2000/svg") => {}
                _ => return Err(wrong(node, "is not drawn here: use g, path, rect, line, circle, text, image")),
            }
        }
        Ok(())
    }

    fn outline(&mut self, segments: Vec<SimplePathSegment>, style: &Style, place: Transform) {
        let Style { fill, even_odd, stroke, stroke_width, dashes, .. } = style.clone();
        if fill.is_some() || stroke.is_some() {
            let paint = Paint { fill, even_odd, stroke, stroke_width, dashes };
            self.shapes.push(Shape::Outline { segments, paint, place });
        }
    }

    fn text(&mut self, node: Node, style: &Style, place: Transform) -> Result<(), Undrawable> {
        for Chunk { at: (x, y), runs } in chunks(node, style)? {
            let wide = |(text, style): &(String, Style)| typeface::width(text, style.size, style.weight);
            let full: f64 = runs.iter().map(wide).sum();
            let mut x = match runs.first().map(|(_, style)| style.anchor) {
                Some(Anchor::Middle) => x - full / 2.0,
                Some(Anchor::End) => x - full,
                _ => x,
            };
            for (text, style) in runs {
                let place = within(place, Transform::new(1.0, 0.0, 0.0, 1.0, x, y));
                x += typeface::width(&text, style.size, style.weight);
                if let Some(colour) = style.fill.filter(|_| !text.trim().is_empty()) {
                    self.shapes.push(Shape::Text { text, size: style.size, weight: style.weight, colour, place });
                }
            }
        }
        Ok(())
    }

    fn picture(&mut self, node: Node, place: Transform) -> Result<(), Undrawable> {
        use base64::Engine;
        let link = node.attribute("href").or_else(|| node.attribute(("http://www.w3.org/1999/xlink", "href")));
        let data = link.and_then(|link| link.strip_prefix("data:image/")).and_then(|link| link.split_once(";base64,"));
        let Some((_, data)) = data else {
            return Err(wrong(node, "names a file: put the picture inside, as href=\"data:image/png;base64,…\""));
        };
        let data: String = data.split_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        let bytes = bytes.map_err(|e| wrong(node, &format!("href: {e}")))?;
        let picture = image::load_from_memory(&bytes).map_err(|e| wrong(node, &format!("href: {e}")))?;
        let opacity = picture.color().has_alpha().then(|| picture.to_rgba8().pixels().map(|p| p.0[3]).collect());
        let [x, y, w, h] = ["x", "y", "width", "height"].map(|name| number(node, name));
        let (Some(w), Some(h)) = (w?, h?) else {
            return Err(wrong(node, "has no width and height: say both"));
        };
        let corner = Transform::new(w, 0.0, 0.0, h, x?.unwrap_or(0.0), y?.unwrap_or(0.0));
        let size = (picture.width(), picture.height());
        let place = within(place, corner);
        self.shapes.push(Shape::Picture { size, colours: picture.to_rgb8().into_raw(), opacity, place });
        Ok(())
    }
}

/// Where the text stands, as left, top, right, bottom; from descenders to capitals.
fn extent(shape: &Shape) -> Option<(&str, [f64; 4])> {
    let Shape::Text { text, size, weight, place, .. } = shape else { return None };
    let wide = typeface::width(text, *size, *weight);
    let corners = [(0.0, -0.75 * size), (wide, -0.75 * size), (0.0, 0.2 * size), (wide, 0.2 * size)];
    let corners = corners.map(|(x, y)| apply(*place, x, y));
    let [left, right] = [f64::min, f64::max].map(|of| corners.iter().map(|corner| corner.0).reduce(of));
    let [top, bottom] = [f64::min, f64::max].map(|of| corners.iter().map(|corner| corner.1).reduce(of));
    Some((text, [left?, top?, right?, bottom?]))
}

/// `inner` as seen from outside of `outer`.
fn within(outer: Transform, inner: Transform) -> Transform {
    let (e, f) = apply(outer, inner.e, inner.f);
    Transform::new(
        outer.a * inner.a + outer.c * inner.b,
        outer.b * inner.a + outer.d * inner.b,
        outer.a * inner.c + outer.c * inner.d,
        outer.b * inner.c + outer.d * inner.d,
        e,
        f,
    )
}

fn apply(t: Transform, x: f64, y: f64) -> (f64, f64) {
    (t.a * x + t.c * y + t.e, t.b * x + t.d * y + t.f)
}

fn wrong(node: Node, what: &str) -> Undrawable {
    Undrawable(format!("<{}> {what}", node.tag_name().name()))
}
