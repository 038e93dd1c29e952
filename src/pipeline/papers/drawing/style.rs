//! The properties of SVG elements that are drawn; others that would change the picture are refused.

use std::str::FromStr;

use roxmltree::Node;
use svgtypes::Color;

use super::{Colour, wrong};
use crate::pipeline::papers::Undrawable;
use crate::pipeline::papers::typeface::Weight;

/// What elements hand down to those inside them.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub fill: Option<Colour>,
    pub even_odd: bool,
    pub stroke: Option<Colour>,
    pub stroke_width: f64,
    pub dashes: Vec<f64>,
    pub size: f64,
    pub weight: Weight,
    pub anchor: Anchor,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Style {
    /// What SVG has where nothing is said.
    pub(super) fn initial() -> Self {
        Self {
            fill: Some([0; 3]),
            even_odd: false,
            stroke: None,
            stroke_width: 1.0,
            dashes: Vec::new(),
            size: 16.0,
            weight: Weight::Regular,
            anchor: Anchor::Start,
        }
    }

    /// What is inside `node`: this with the node's own properties.
    pub(super) fn of(&self, node: Node) -> Result<Self, Undrawable> {
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

/// `Some(None)` for none, `None` for what is no colour.
fn colour(value: &str) -> Option<Option<Colour>> {
    if value == "none" {
        return Some(None);
    }
    let Color { red, green, blue, alpha } = Color::from_str(value).ok()?;
    (alpha == 255).then_some(Some([red, green, blue]))
}
