//! What templates can call to lay texts out: by their width on paper, as barcodes, and with numbers that no line breaks.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, HtmlEscape, context};

use crate::pipeline::papers::barcodes::{self, Barcode};
use crate::pipeline::papers::typeface::{self, Weight};

/// Gives the templates `wrap`, `cut`, `fit`, `code128` and `qr`, and the filter `unbroken`.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_function("wrap", wrap);
    environment.add_function("cut", |text: Value, width: f64, size: f64, named: Kwargs| {
        wrap(text, width, size, named).map(|lines| lines.join(" "))
    });
    environment.add_function("fit", fit);
    environment.add_filter("unbroken", unbroken);
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

/// `text | unbroken`: as HTML in which no line ends within a number or code that has hyphens (`KR-2611-2D8863`).
fn unbroken(text: &Value) -> Value {
    // What is longer would not fit on a phone in one line.
    const LONGEST: usize = 24;
    let is_code = |word: &str| {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let is_spelled = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
        bare.contains('-') && bare.len() <= LONGEST && bare.chars().all(is_spelled)
    };
    let mut html = String::new();
    for (at, word) in unescaped(text).split(' ').enumerate() {
        if at > 0 {
            html.push(' ');
        }
        let word_html = HtmlEscape(word);
        if is_code(word) {
            html.push_str(&format!("<span style=\"white-space:nowrap;\">{word_html}</span>"));
        } else {
            html.push_str(&word_html.to_string());
        }
    }
    Value::from_safe_string(html)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_not_broken_and_text_stays_text() {
        let html = |text: &str| unbroken(&Value::from(text)).to_string();
        assert_eq!(html("Return KR-2611-2D8863."), "Return <span style=\"white-space:nowrap;\">KR-2611-2D8863.</span>");
        assert_eq!(html("T3 (KP-TKT3-BK)"), "T3 <span style=\"white-space:nowrap;\">(KP-TKT3-BK)</span>");
        assert_eq!(
            html("e-mail <b> & A-A-A-A-A-A-A-A-A-A-A-A-A-A"),
            "e-mail &lt;b&gt; &amp; A-A-A-A-A-A-A-A-A-A-A-A-A-A"
        );
        assert_eq!(unbroken(&Value::from_safe_string("a &lt; b".to_owned())).to_string(), "a &lt; b");
    }
}
