//! Bytes as text: transfer encodings, line ends, flowed lines, characters that hide. Lenient: a damaged mail is still to be read.

use mail_parser::decoders::base64::base64_decode;
use unicode_normalization::UnicodeNormalization as _;

/// Base64 with whatever does not belong left out, up to the padding: mail gets cut, and lists append text to it. `None`
/// if so much does not belong that it was never encoded.
pub(super) fn unbase64(raw: &[u8]) -> Option<Vec<u8>> {
    let is_digit = |b: &u8| b.is_ascii_alphanumeric() || b"+/".contains(b);
    let encoded = || raw.iter().copied().take_while(|b| *b != b'=');
    let mut digits: Vec<u8> = encoded().filter(is_digit).collect();
    // Of text in words one in six is a blank.
    let foreign = encoded().filter(|b| !is_digit(b) && !matches!(b, b'\r' | b'\n')).count();
    if foreign > digits.len() / 10 {
        return None;
    }
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

/// Line ends become LF; control characters except TAB go, and what can't be seen. Letters and digits in full width are
/// plain ones: they look like it, and numbers are found by it.
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
            c if c.is_ascii() => out.push(c),
            c if is_invisible(c) => {}
            c => out.extend(as_it_looks(c)),
        }
        after_cr = c == '\r';
    }
    out
}

/// Characters without width, and those that turn the direction of reading: they part numbers, hide what a file is and
/// make a line say something else than it holds.
pub fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}'
    )
}

/// The plain letter or digit of one in full width or from an alphabet of mathematics; others stay as they are.
pub fn as_it_looks(c: char) -> impl Iterator<Item = char> {
    let is_wide = matches!(c, '\u{3000}' | '\u{FF01}'..='\u{FF5E}' | '\u{1D400}'..='\u{1D7FF}');
    let plain = is_wide.then(|| std::iter::once(c).nfkc());
    (!is_wide).then_some(c).into_iter().chain(plain.into_iter().flatten())
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
