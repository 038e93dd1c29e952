//! What the templates of papers can call: texts by their width on paper, barcodes.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, context};

use crate::pipeline::papers::barcodes::{self, Barcode};
use crate::pipeline::papers::typeface::{self, Weight};

/// Gives the templates `wrap`, `cut`, `fit`, `code128` and `qr`.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_function("wrap", wrap);
    environment.add_function("cut", |text: Value, width: f64, size: f64, named: Kwargs| {
        wrap(text, width, size, named).map(|lines| lines.join(" "))
    });
    environment.add_function("fit", fit);
    environment.add_function("code128", |text: String| barcode(barcodes::code128(&text), &text));
    environment.add_function("qr", |text: String| barcode(barcodes::qr(&text), &text));
}

/// `wrap(text, width, size, lines=1, bold=false)`: the lines of a text, the last one cut with `…` if need be; `cut`, which
/// takes the same, gives them as one text again.
fn wrap(text: Value, width: f64, size: f64, named: Kwargs) -> Result<Vec<String>, Error> {
    let lines = named.get::<Option<usize>>("lines")?.unwrap_or(1);
    let weight = weight(&named)?;
    Ok(typeface::lines(&unescaped(&text), width, size, weight, lines))
}

/// `fit(text, width, size, bold=false)`: the size, `size` at most, at which the text is one line of that width.
fn fit(text: Value, width: f64, size: f64, named: Kwargs) -> Result<f64, Error> {
    Ok(typeface::fitting(&unescaped(&text), width, size, weight(&named)?))
}

/// The text itself: what a macro gives back is escaped already, and would be a second time.
fn unescaped(text: &Value) -> String {
    let words = text.to_string();
    if !text.is_safe() {
        return words;
    }
    let signs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&amp;", "&")];
    signs.iter().fold(words, |text, (entity, sign)| text.replace(entity, sign))
}

/// The last of the named values; others are mistakes.
fn weight(named: &Kwargs) -> Result<Weight, Error> {
    let is_bold = named.get::<Option<bool>>("bold")?.unwrap_or(false);
    named.assert_all_used()?;
    Ok(if is_bold { Weight::Bold } else { Weight::Regular })
}

/// `path`, `width` and `height`, a module being one unit.
fn barcode(bars: Option<Barcode>, text: &str) -> Result<Value, Error> {
    let none = || Error::new(ErrorKind::InvalidOperation, format!("there is no such barcode of {text:?}"));
    let Barcode { path, width, height } = bars.ok_or_else(none)?;
    Ok(context! { path, width, height })
}
