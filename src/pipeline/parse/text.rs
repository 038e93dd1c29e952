//! Bytes as text: transfer encodings, charsets, line ends, flowed lines. Lenient: a damaged mail is still to be read.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;

/// Base64 with whatever does not belong left out, up to the padding: mail gets cut, and lists append text to it.
pub(super) fn unbase64(raw: &[u8]) -> Option<Vec<u8>> {
    let mut digits: Vec<u8> = raw
        .iter()
        .copied()
        .take_while(|b| *b != b'=')
        .filter(|b| b.is_ascii_alphanumeric() || b"+/".contains(b))
        .collect();
    match digits.len() % 4 {
        0 => {}
        1 => digits.truncate(digits.len() - 1),
        short => digits.extend(std::iter::repeat_n(b'=', 4 - short)),
    }
    base64_decode(&digits)
}

/// Quoted-printable (RFC 2045 section 6.7); what is no valid escape stays as it is.
pub(super) fn unquoted(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'=' {
            out.push(*first);
            continue;
        }
        let blanks = tail.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r')).count();
        match tail {
            _ if tail.get(blanks) == Some(&b'\n') => rest = tail.get(blanks + 1..).unwrap_or_default(),
            [high, low, after @ ..] => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = after;
                }
                _ => out.push(b'='),
            },
            _ => out.push(b'='),
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// Text in its declared charset, unless the bytes say otherwise: valid UTF-8 with letters beyond ASCII is UTF-8 whatever
/// single-byte charset is declared, since other text is never valid by chance.
pub(super) fn decoded(bytes: &[u8], charset: Option<&str>) -> String {
    let name = charset.unwrap_or_default().trim().to_ascii_lowercase();
    let wide = ["utf-16", "utf16", "utf-7", "utf7", "utf-32", "iso-2022", "hz-"].iter().any(|w| name.starts_with(w));
    if !wide && let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    match charset_decoder(name.as_bytes()) {
        Some(decode) if !name.starts_with("utf-8") && !name.starts_with("utf8") => decode(bytes),
        _ => guess(bytes).into_owned(),
    }
}

/// Text of an unknown charset: UTF-8 if it is valid, else windows-1252 (which nearly all undeclared 8-bit mail is). Text
/// cut in the middle of a letter, or with a few bad bytes, is still UTF-8.
pub(super) fn guess(bytes: &[u8]) -> Cow<'_, str> {
    let lossy = String::from_utf8_lossy(bytes);
    let bad = lossy.matches('\u{FFFD}').count();
    if bad == 0 {
        return lossy;
    }
    let good = lossy.chars().filter(|c| !c.is_ascii() && *c != '\u{FFFD}').count();
    match charset_decoder(b"windows-1252") {
        Some(decode) if good <= bad => Cow::Owned(decode(bytes)),
        _ => lossy,
    }
}

/// Line ends become LF; control characters except TAB go.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_cr = false;
    for c in text.chars() {
        match c {
            '\r' => out.push('\n'),
            '\n' if after_cr => {}
            '\n' | '\t' => out.push(c),
            // Mojibake from a wrong charset may hold NEL; form feeds part pages.
            '\u{85}' | '\u{0C}' => out.push('\n'),
            c if c.is_control() => {}
            c => out.push(c),
        }
        after_cr = c == '\r';
    }
    out
}

/// The beginning of a text, at most `bytes` long.
pub(super) fn within(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Joins flowed lines (RFC 3676 section 4.1): only lines of the same quote depth, never the signature line.
pub(super) fn unflowed(text: &str, delsp: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut open: Option<usize> = None;
    for line in text.split('\n') {
        let depth = line.bytes().take_while(|b| *b == b'>').count();
        let content = line.get(depth..).unwrap_or_default();
        let content = content.strip_prefix(' ').unwrap_or(content); // space-stuffing
        let signature = content == "-- ";
        if open != Some(depth) || signature {
            if open.is_some() || !out.is_empty() {
                out.push('\n');
            }
            if depth > 0 {
                out.extend(std::iter::repeat_n('>', depth));
                out.push(' ');
            }
        }
        let flowed = content.ends_with(' ') && !signature;
        out.push_str(if flowed && delsp { content.strip_suffix(' ').unwrap_or(content) } else { content });
        open = flowed.then_some(depth);
    }
    out
}
