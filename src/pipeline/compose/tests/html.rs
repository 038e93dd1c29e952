//! What mail programs can be relied on to show: the letters' HTML keeps to it.

use std::collections::BTreeSet;

use super::*;

/// The elements of the letters and their attributes.
///
/// Held against caniemail's data of 2026-05-13 for Outlook (Windows, web, iOS, Android), Gmail (web, mobile web, Android,
/// iOS), Apple Mail (macOS, iOS), GMX and WEB.DE (web, Android, iOS) and Samsung Email: each is shown by all of them, or
/// lost without a loss to the reader. `lang` and `role` are dropped by GMX and WEB.DE; `body` becomes a `div` in Gmail
/// and Outlook, so a table inside carries its colours again; `style` is dropped by GMX, WEB.DE and Gmail for accounts
/// elsewhere, so it holds nothing but what a small or a dark screen improves. `html`, `head`, `title`, `meta`, `br`,
/// `border`, `bgcolor` and `class` are not in the data.
const ELEMENTS: &[(&str, &[&str])] = &[
    ("html", &["lang", "xmlns:o"]),
    ("head", &[]),
    ("meta", &["charset", "name", "content"]),
    ("title", &[]),
    ("style", &[]),
    ("body", &["class", "style"]),
    ("div", &["style"]),
    ("table", &["role", "width", "cellpadding", "cellspacing", "border", "bgcolor", "class", "style"]),
    ("tr", &[]),
    ("td", &["width", "align", "valign", "bgcolor", "class", "style"]),
    ("p", &["class", "style"]),
    ("h2", &["class", "style"]),
    ("span", &["class", "style"]),
    ("strong", &["class", "style"]),
    ("br", &[]),
];

/// The properties in `style` attributes and the elements that may have them, by the same data.
///
/// Outlook on Windows knows `padding` and `border` on cells only, `max-width` on tables only, no `margin` on `span` and
/// no `max-height`, `overflow` or `white-space` (the last unknown to Samsung Email too: a date may break over two lines).
/// Gmail on the mobile web shows `display: none`; the preview's height hides it there. GMX and WEB.DE know colour names
/// only in `background-color`; `bgcolor` says it again. `word-break` is dropped by some: a long word is then cut by the
/// program itself. `color`, `font-family` and `-webkit-text-size-adjust` (iOS alone) are not in the data.
const PROPERTIES: &[(&str, &[&str])] = &[
    ("-webkit-text-size-adjust", &["body"]),
    ("background-color", &["body", "table", "td"]),
    ("border-left", &["td"]),
    ("border-top", &["td"]),
    ("color", &["td", "p", "h2", "span", "strong"]),
    ("display", &["div"]),
    ("font-family", &["td", "strong"]),
    ("font-size", &["td", "p", "h2", "span", "strong"]),
    ("font-weight", &["td", "h2"]),
    ("line-height", &["td", "p", "h2", "span", "strong"]),
    ("margin", &["body", "table", "p", "h2"]),
    ("max-height", &["div"]),
    ("max-width", &["table"]),
    ("overflow", &["div"]),
    ("padding", &["body", "td"]),
    ("text-align", &["td"]),
    ("white-space", &["span"]),
    ("word-break", &["td"]),
];

/// The words among the values; all else is a length in `px`, `100%` or a `#rrggbb`.
///
/// Not among them: `auto` margins and negative lengths (Outlook and Gmail drop them), weights as numbers, `rem`.
const WORDS: &[&str] = &[
    "none",
    "hidden",
    "solid",
    "bold",
    "left",
    "center",
    "nowrap",
    "break-word",
    "Arial,Helvetica,sans-serif",
    "Consolas,Menlo,monospace",
];

/// The at-rules of a `style` element, one in each: Gmail drops the whole element for a rule that it can't take
/// (hteumeuleu/email-bugs issue 21), and the other one with it.
const AT_RULES: &[&str] = &["@media (max-width: 620px)", "@media (prefers-color-scheme: dark)"];

/// The properties in `style` elements. They override an attribute, which takes ` !important` in lower case.
const SCREEN_PROPERTIES: &[&str] = &["padding", "background-color", "border-color", "color"];

#[test]
fn the_html_keeps_to_what_mail_programs_show() {
    for language in LETTERS.languages() {
        for matter in samples::all(language) {
            let found = faults(&LETTERS.render(&matter).unwrap().html);
            assert!(found.is_empty(), "{}/{language}: {found:?}", matter.kind.folder());
        }
    }
}

#[test]
fn what_a_mail_program_would_not_show_is_found() {
    for (html, fault) in [
        ("<ul>", "ul"),
        ("<p id=\"x\">", "p id"),
        ("<p style=\"padding:3px\">", "p padding"),
        ("<td style=\"padding:3px\"><td style=\"border-left:9px solid #ffffff\">", "border-left: 9px"),
        ("<p style=\"margin:0 auto\">", "margin: auto"),
        ("<p style=\"margin:-2px\">", "margin: -2px"),
        ("<p style=\"color:rgb(1,2,3)\">", "color: rgb(1,2,3)"),
        ("<div style=\"display:flex\">", "display: flex"),
        ("<td bgcolor=\"#000000\" style=\"background-color:#ffffff\">", "td bgcolor"),
        ("<!-- a note -->", "comment"),
        ("<style>p { color: #ffffff !important; }</style>", "p"),
        ("<style>.p { color: #ffffff; }</style>", "color: #ffffff"),
        ("<style>@import url(x);.p { color: #ffffff !important; }</style>", "@import url(x);.p"),
        ("<style>.p { float: left !important; }</style>", "float"),
    ] {
        assert_eq!(faults(html), BTreeSet::from([fault.to_owned()]), "{html}");
    }
    let both = "<style>@media (max-width: 620px) {} @media (prefers-color-scheme: dark) {}</style>";
    assert_eq!(faults(both), BTreeSet::from(["two at-rules".to_owned()]));
}

/// What of `html` is in none of the lists.
fn faults(html: &str) -> BTreeSet<String> {
    let mut faults = BTreeSet::new();
    let mut rest = html;
    while let Some((_, tag)) = rest.split_once('<') {
        if let Some(comment) = tag.strip_prefix("!--") {
            // What stands in such a comment is read by Outlook on Windows alone.
            if !comment.starts_with("[if mso]>") {
                faults.insert("comment".to_owned());
            }
            rest = comment.split_once("-->").unwrap().1;
            continue;
        }
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        if tag == "!DOCTYPE html" {
            continue;
        }
        tag_faults(tag, &mut faults);
        if tag == "style" {
            let (sheet, after) = rest.split_once("</style>").unwrap();
            sheet_faults(sheet, &mut faults);
            rest = after;
        }
    }
    faults
}

fn tag_faults(tag: &str, faults: &mut BTreeSet<String>) {
    let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
    let name = name.trim_start_matches('/');
    let Some((_, known)) = ELEMENTS.iter().find(|(element, _)| *element == name) else {
        faults.insert(name.to_owned());
        return;
    };
    let mut quoted = attributes.split('"');
    let mut background = [None, None];
    while let (Some(attribute), Some(value)) = (quoted.next(), quoted.next()) {
        let attribute = attribute.trim().trim_end_matches('=');
        if !known.contains(&attribute) {
            faults.insert(format!("{name} {attribute}"));
        }
        if attribute == "bgcolor" {
            background[0] = Some(value);
        }
        if attribute == "style" {
            for (property, value) in declarations(value) {
                if !PROPERTIES.iter().any(|(known, on)| *known == property && on.contains(&name)) {
                    faults.insert(format!("{name} {property}"));
                }
                value_faults(property, value, faults);
                if property == "background-color" {
                    background[1] = Some(value);
                }
            }
        }
    }
    if name != "body" && background[0] != background[1] {
        faults.insert(format!("{name} bgcolor"));
    }
}

fn sheet_faults(sheet: &str, faults: &mut BTreeSet<String>) {
    let mut at_rules = 0;
    let mut rest = sheet;
    while let Some(end) = rest.find(['{', '}']) {
        let (part, after) = rest.split_at(end);
        let part = part.trim();
        if after.starts_with('}') {
            for (property, value) in declarations(part).filter(|pair| *pair != ("color-scheme", "light dark")) {
                match value.strip_suffix(" !important") {
                    _ if !SCREEN_PROPERTIES.contains(&property) => _ = faults.insert(property.to_owned()),
                    None => _ = faults.insert(format!("{property}: {value}")),
                    Some(value) => value_faults(property, value, faults),
                }
            }
        } else if AT_RULES.contains(&part) {
            at_rules += 1;
        } else if part != ":root" && !part.strip_prefix('.').is_some_and(|n| n.chars().all(char::is_alphabetic)) {
            faults.insert(part.to_owned());
        }
        rest = after.get(1..).unwrap_or_default();
    }
    if at_rules > 1 {
        faults.insert("two at-rules".to_owned());
    }
}

fn declarations(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split(';').filter(|declaration| !declaration.trim().is_empty());
    pairs
        .map(|declaration| declaration.split_once(':').unwrap())
        .map(|(property, value)| (property.trim(), value.trim()))
}

fn value_faults(property: &str, value: &str, faults: &mut BTreeSet<String>) {
    // Outlook on Windows cuts a border at 8 px.
    let longest = if property.starts_with("border") { 8 } else { 600 };
    for word in value.split(' ') {
        let is_length = word.strip_suffix("px").is_some_and(|n| n.parse::<u16>().is_ok_and(|n| n <= longest));
        let is_colour =
            word.strip_prefix('#').is_some_and(|n| n.len() == 6 && n.chars().all(|c| c.is_ascii_hexdigit()));
        if !(is_length || is_colour || ["0", "100%"].contains(&word) || WORDS.contains(&word)) {
            faults.insert(format!("{property}: {word}"));
        }
    }
}
