//! Bytes in a character set that may be declared, undeclared or declared wrongly: the text is to be read anyway.

use std::borrow::Cow;

use mail_parser::decoders::charsets::map::charset_decoder;

/// Text in its declared charset, unless the bytes say otherwise: valid UTF-8 with letters beyond ASCII is UTF-8 whatever
/// single-byte charset is declared, since other text is never valid by chance.
pub(super) fn decoded(bytes: &[u8], charset: Option<&str>) -> String {
    let name = charset.unwrap_or_default().trim().to_ascii_lowercase();
    let wide = ["utf-16", "utf16", "utf-7", "utf7", "utf-32", "iso-2022", "hz-"].iter().any(|w| name.starts_with(w));
    if !wide
        && !bytes.contains(&0)
        && let Ok(text) = std::str::from_utf8(bytes)
    {
        return text.to_owned();
    }
    match charset_decoder(name.as_bytes()) {
        Some(decode) if !says_nothing(&name) => decode(bytes),
        _ => guess(bytes).into_owned(),
    }
}

/// Declarations that bytes which are not valid UTF-8 prove wrong, and one that leaves open what it means.
fn says_nothing(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4", "x-user-defined"].iter().any(|none| charset.starts_with(none))
}

/// Text of an unknown charset: UTF-16 by its mark or its zeros, UTF-8 if it is valid, else the single-byte charset in
/// which most of it is words. Text cut in the middle of a letter, or with a few bad bytes, is still UTF-8.
pub(super) fn guess(bytes: &[u8]) -> Cow<'_, str> {
    if let Some(decode) = utf16(bytes).and_then(|name| charset_decoder(name.as_bytes())) {
        return Cow::Owned(decode(bytes));
    }
    let lossy = String::from_utf8_lossy(bytes);
    let bad = lossy.matches('\u{FFFD}').count();
    if bad == 0 {
        return lossy;
    }
    let good = lossy.chars().filter(|c| !c.is_ascii() && *c != '\u{FFFD}').count();
    if good > bad {
        return lossy;
    }
    // The first of those that fit equally well: nearly all undeclared mail is in it.
    let mut best: Option<(i64, String)> = None;
    for decode in ["windows-1252", "windows-1250", "iso-8859-2"].iter().filter_map(|n| charset_decoder(n.as_bytes())) {
        let text = decode(bytes);
        let fit = fit(&text);
        if best.as_ref().is_none_or(|(most, _)| fit > *most) {
            best = Some((fit, text));
        }
    }
    best.map_or(lossy, |(_, text)| Cow::Owned(text))
}

/// The name of the byte order, if it is UTF-16: every other byte of text in Latin letters is zero.
fn utf16(bytes: &[u8]) -> Option<&'static str> {
    let zeros = |from: usize| bytes.iter().skip(from).step_by(2).take(200).filter(|b| **b == 0).count();
    let places = (bytes.len() / 2).min(200);
    match bytes {
        [0xFF, 0xFE, ..] => Some("utf-16le"),
        [0xFE, 0xFF, ..] => Some("utf-16be"),
        _ if places < 4 => None,
        _ if zeros(1) * 10 >= places * 9 && zeros(0) * 10 < places => Some("utf-16le"),
        _ if zeros(0) * 10 >= places * 9 && zeros(1) * 10 < places => Some("utf-16be"),
        _ => None,
    }
}

/// The letters beyond ASCII of the languages that mail in one of these charsets may be understood in; a charset that
/// makes other letters of the bytes is likely to be the wrong one.
const LETTERS: &str = "äöüßéèêëàâîïôûùçœæñáíóúãõìòªºåøąćęłńśźżÄÖÜÉÈÊËÀÂÎÏÔÛÙÇŒÆÑÁÍÓÚÃÕÌÒÅØĄĆĘŁŃŚŹŻ";

/// How well a text reads: letters in words speak for it, signs in words, strange letters and controls against it.
fn fit(text: &str) -> i64 {
    let mut fit = 0;
    let (mut before, mut run) = (' ', 0);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let (glued_before, glued_after) = (before.is_alphabetic(), chars.peek().is_some_and(|c| c.is_alphabetic()));
        fit += match c {
            c if c.is_ascii() => 0,
            // "¿Qué": in Eastern Europe that byte is a letter.
            '¿' | '¡' if !glued_before && glued_after => 1,
            // "m³", a footnote.
            '¹' | '²' | '³' if !glued_after && run <= 2 => 1,
            c if LETTERS.contains(c) && (glued_before || glued_after || matches!(c, 'à' | 'é' | 'º' | 'ª')) => 1,
            c if c.is_control() || c.is_alphabetic() => -1,
            '’' | '‘' | '´' | '·' => 0,
            _ if glued_after || glued_before && run > 2 => -1,
            _ => 0,
        };
        run = if c.is_alphabetic() { run + 1 } else { 0 };
        before = c;
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of a single-byte charset, by what the decoder makes of each.
    fn encoded(text: &str, charset: &str) -> Vec<u8> {
        let decode = charset_decoder(charset.as_bytes()).unwrap();
        let byte =
            |c: char| (0..=255u8).find(|b| decode(&[*b]).chars().eq([c])).unwrap_or_else(|| panic!("{c} {charset}"));
        text.chars().map(byte).collect()
    }

    #[test]
    fn undeclared_text_is_read_in_every_language() {
        let west = [
            "Mein Gerät lädt nicht mehr, schöne Grüße",
            "¿Qué puedo hacer? No carga, señor",
            "¡Hola! El año pasado compré un reloj por 50 €",
            "L’écran reste noir dès que j’ouvre l’appli, à bientôt",
            "O relógio não carrega, a situação é má, nº 5",
            "Il caricatore è rotto, così non va più",
            "De batterij is leeg, één dag later",
            "It cost £50, 3 m³ of air at 20 °C and ±5 %",
            "« Bonjour » dit-elle",
        ];
        for text in west {
            assert_eq!(guess(&encoded(text, "windows-1252")), text);
        }
        let east = ["Zegarek się zepsuł", "nie ładuje", "Ładowarka działa źle, proszę o pomoc", "są już żółte plamy"];
        for text in east {
            assert_eq!(guess(&encoded(text, "windows-1250")), text, "windows-1250");
            assert_eq!(guess(&encoded(text, "iso-8859-2")), text, "ISO-8859-2");
            assert_eq!(decoded(&encoded(text, "iso-8859-2"), Some("US-ASCII")), text);
            assert_eq!(decoded(&encoded(text, "windows-1250"), Some("utf-8")), text);
        }
    }

    #[test]
    fn utf_16_is_read_without_being_declared() {
        let text = "My watch is dead. Mein Gerät lädt nicht.";
        let wide = |order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
        assert_eq!(guess(&wide(u16::to_le_bytes)), text);
        assert_eq!(decoded(&wide(u16::to_be_bytes), Some("utf-8")), text);
        assert_eq!(decoded(b"a\0b\0\0c", None), "a\0b\0\0c");
    }
}
