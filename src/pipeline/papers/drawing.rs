//! SVG → shapes on a page.

use std::str::FromStr;

use roxmltree::{Document, Node, NodeType};
use svgtypes::{Color, SimplePathSegment, SimplifyingPathParser, Transform, ViewBox};

use super::Undrawable;
use super::typeface::{self, Weight};

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

/// What elements hand down to those inside them.
#[derive(Debug, Clone)]
struct Style {
    fill: Option<Colour>,
    even_odd: bool,
    stroke: Option<Colour>,
    stroke_width: f64,
    dashes: Vec<f64>,
    size: f64,
    weight: Weight,
    anchor: Anchor,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// Text from one absolute place on.
struct Chunk {
    at: (f64, f64),
    runs: Vec<(String, Style)>,
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
        let style = Style {
            fill: Some([0; 3]),
            even_odd: false,
            stroke: None,
            stroke_width: 1.0,
            dashes: Vec::new(),
            size: 16.0,
            weight: Weight::Regular,
            anchor: Anchor::Start,
        };
        let mut drawing = Self { width, height, shapes: Vec::new() };
        drawing.children(root, &style.of(root)?, place, 0)?;
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
        let at = (number(node, "x")?.unwrap_or(0.0), number(node, "y")?.unwrap_or(0.0));
        let mut chunks = vec![Chunk { at, runs: Vec::new() }];
        collect(node, style, &mut chunks, 0)?;
        for Chunk { at: (x, y), mut runs } in chunks {
            // As XML's default: blanks are one, and none at the ends.
            let mut before = ' ';
            for (text, _) in &mut runs {
                *text = squeezed(text, &mut before);
            }
            if let Some((text, _)) = runs.last_mut() {
                text.truncate(text.trim_end().len());
            }
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

impl Style {
    /// What is inside `node`: this with the node's own properties.
    fn of(&self, node: Node) -> Result<Self, Undrawable> {
        let mut style = self.clone();
        for attribute in node.attributes().filter(|a| a.namespace().is_none()) {
            style.set(node, attribute.name(), attribute.value())?;
        }
        let declarations = node.attribute("style").unwrap_or_default().split(';');
        for (name, value) in declarations.filter_map(|d| d.split_once(':')) {
            style.set(node, name.trim(), value)?;
        }
        Ok(style)
    }

    fn set(&mut self, node: Node, name: &str, value: &str) -> Result<(), Undrawable> {
        let value = value.trim();
        let refused = || wrong(node, &format!("{name}=\"{value}\" can't be drawn"));
        let plain = |value: &str| value.trim_end_matches("px").parse::<f64>().ok().filter(|n| n.is_finite());
        match name {
            "fill" => self.fill = colour(value).ok_or_else(refused)?,
            "stroke" => self.stroke = colour(value).ok_or_else(refused)?,
            "stroke-width" => self.stroke_width = plain(value).ok_or_else(refused)?,
            "stroke-dasharray" if value == "none" => self.dashes.clear(),
            "stroke-dasharray" => {
                let dashes = value.split([',', ' ']).filter(|d| !d.is_empty()).map(plain);
                self.dashes = dashes.collect::<Option<_>>().ok_or_else(refused)?;
            }
            "fill-rule" => self.even_odd = value == "evenodd",
            "font-size" => self.size = plain(value).ok_or_else(refused)?,
            "font-weight" => {
                let is_bold = value == "bold" || value.parse::<u32>().is_ok_and(|weight| weight >= 600);
                self.weight = if is_bold { Weight::Bold } else { Weight::Regular };
            }
            "text-anchor" => {
                self.anchor = match value {
                    "start" => Anchor::Start,
                    "middle" => Anchor::Middle,
                    "end" => Anchor::End,
                    _ => return Err(refused()),
                }
            }
            "opacity" | "fill-opacity" | "stroke-opacity" if plain(value) != Some(1.0) => return Err(refused()),
            "clip-path" | "mask" | "filter" if value != "none" => return Err(refused()),
            "display" | "visibility" if matches!(value, "none" | "hidden") => return Err(refused()),
            "class" => return Err(wrong(node, "has a class: style sheets are not read, use attributes")),
            _ => {}
        }
        Ok(())
    }
}

/// The text inside `node`, in chunks that begin where an `x` or `y` says so.
fn collect(node: Node, style: &Style, chunks: &mut Vec<Chunk>, depth: usize) -> Result<(), Undrawable> {
    if depth > DEEPEST {
        return Err(wrong(node, "stands too deep in others: draw it flatter"));
    }
    for child in node.children() {
        match child.node_type() {
            NodeType::Text => {
                if let Some(chunk) = chunks.last_mut() {
                    chunk.runs.push((child.text().unwrap_or_default().to_owned(), style.clone()));
                }
            }
            NodeType::Element if child.tag_name().name() == "tspan" => {
                let before = chunks.last().map_or((0.0, 0.0), |chunk| chunk.at);
                let (x, y, dy) = (number(child, "x")?, number(child, "y")?, number(child, "dy")?);
                if x.is_some() || y.is_some() || dy.is_some() {
                    let at = (x.unwrap_or(before.0), y.unwrap_or(before.1) + dy.unwrap_or(0.0));
                    chunks.push(Chunk { at, runs: Vec::new() });
                }
                collect(child, &style.of(child)?, chunks, depth + 1)?;
            }
            NodeType::Element => return Err(wrong(child, "can't stand in text: use tspan")),
            _ => {}
        }
    }
    Ok(())
}

fn squeezed(text: &str, before: &mut char) -> String {
    let mut out = String::new();
    for c in text.chars().map(|c| if c.is_whitespace() && c != '\u{a0}' { ' ' } else { c }) {
        if c != ' ' || *before != ' ' {
            out.push(c);
        }
        *before = c;
    }
    out
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

fn rectangle(node: Node) -> Result<Vec<SimplePathSegment>, Undrawable> {
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

fn circle(node: Node) -> Result<Vec<SimplePathSegment>, Undrawable> {
    let [x, y, r] = numbers(node, ["cx", "cy", "r"])?;
    let data = format!("M{} {y}a{r} {r} 0 0 1 {} 0a{r} {r} 0 0 1 -{} 0z", x - r, 2.0 * r, 2.0 * r);
    SimplifyingPathParser::from(data.as_str()).collect::<Result<_, _>>().map_err(|e| wrong(node, &e.to_string()))
}

fn stroke_from_to(node: Node) -> Result<Vec<SimplePathSegment>, Undrawable> {
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
fn number(node: Node, name: &str) -> Result<Option<f64>, Undrawable> {
    let Some(text) = node.attribute(name) else { return Ok(None) };
    let number = text.trim().trim_end_matches("px").parse::<f64>().ok().filter(|n| n.is_finite());
    number.map(Some).ok_or_else(|| wrong(node, &format!("{name}=\"{text}\" is no number")))
}

/// A length in points.
fn length(node: Node, name: &str) -> Result<Option<f64>, Undrawable> {
    let Some(text) = node.attribute(name) else { return Ok(None) };
    let (digits, points) = [("mm", 72.0 / 25.4), ("cm", 72.0 / 2.54), ("in", 72.0), ("pt", 1.0), ("px", 0.75)]
        .iter()
        .find_map(|(unit, points)| Some((text.trim().strip_suffix(unit)?, *points)))
        .unwrap_or((text.trim(), 0.75));
    let number = digits.trim().parse::<f64>().ok().map(|n| n * points);
    let number = number.filter(|n| (1.0..=14_400.0).contains(n));
    number.map(Some).ok_or_else(|| wrong(node, &format!("{name}=\"{text}\" is no length: say it in mm or pt")))
}

/// `Some(None)` for none, `None` for what is no colour.
fn colour(value: &str) -> Option<Option<Colour>> {
    if value == "none" {
        return Some(None);
    }
    let Color { red, green, blue, alpha } = Color::from_str(value).ok()?;
    (alpha == 255).then_some(Some([red, green, blue]))
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
