//! Tags as text: where one ends, what its attributes say.

/// Where the tag closes: a `>` outside of quotes, or if a quote never ends, the first one at all.
pub(super) fn tag_end(tag: &str) -> Option<usize> {
    /// A tag with an inlined picture may be long; it is not looked at twice.
    const FAR: usize = 64 * 1024;
    let mut quote = None;
    for (at, b) in tag.bytes().enumerate().take(FAR) {
        match (b, quote) {
            (b'>', None) => return Some(at),
            (b'"' | b'\'', None) => quote = Some(b),
            (b, Some(q)) if b == q => quote = None,
            _ => {}
        }
    }
    tag.find('>')
}

/// The value of an attribute; `key` in lower case.
pub(super) fn attribute<'a>(attributes: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || c == '=')?;
        let (name, after) = rest.split_at_checked(end)?;
        let Some(value) = after.trim_start().strip_prefix('=') else {
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let (value, after) = match value.chars().next() {
            Some(q @ ('"' | '\'')) => value.get(1..)?.split_once(q)?,
            _ => value.split_at_checked(value.find(char::is_whitespace).unwrap_or(value.len()))?,
        };
        if name.eq_ignore_ascii_case(key) {
            return Some(value);
        }
        rest = after;
    }
}

/// What follows the end tag of an element whose content is not text.
pub(super) fn skip<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|n| n.eq_ignore_ascii_case(name)) {
            return after.split_once('>').map_or("", |(_, rest)| rest);
        }
        rest = after;
    }
    ""
}
