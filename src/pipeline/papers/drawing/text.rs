//! `<text>` → runs of one style, with blanks as XML has them by default.

use roxmltree::{Node, NodeType};

use super::outline::number;
use super::style::Style;
use super::{DEEPEST, wrong};
use crate::pipeline::papers::Undrawable;

/// Text from one absolute place on.
pub(super) struct Chunk {
    pub at: (f64, f64),
    pub runs: Vec<(String, Style)>,
}

/// The text of `node`, a chunk for each place that it begins at anew.
pub(super) fn chunks(node: Node, style: &Style) -> Result<Vec<Chunk>, Undrawable> {
    let at = (number(node, "x")?.unwrap_or(0.0), number(node, "y")?.unwrap_or(0.0));
    let mut chunks = vec![Chunk { at, runs: Vec::new() }];
    collect(node, style, &mut chunks, 0)?;
    for Chunk { runs, .. } in &mut chunks {
        // Blanks are one, and none at the ends.
        let mut before = ' ';
        for (text, _) in runs.iter_mut() {
            *text = squeezed(text, &mut before);
        }
        if let Some((text, _)) = runs.last_mut() {
            text.truncate(text.trim_end().len());
        }
    }
    Ok(chunks)
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
