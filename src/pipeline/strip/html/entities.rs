//! Character references (HTML section 13.5): all numeric ones, and the named ones that mail programs write.

use std::borrow::Cow;

/// The text with its references replaced; unknown ones stay as they are.
pub(super) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        match reference(after) {
            Some((c, tail)) => {
                out.push(c);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character behind a `&` and what follows its reference.
fn reference(text: &str) -> Option<(char, &str)> {
    let (name, tail) =
        text.split_at_checked(text.find(|c: char| !c.is_ascii_alphanumeric() && c != '#').unwrap_or(text.len()))?;
    let c = match name.strip_prefix('#') {
        Some(number) => numbered(number)?,
        None => named(name)?,
    };
    Some((c, tail.strip_prefix(';').unwrap_or(tail)))
}

fn numbered(number: &str) -> Option<char> {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    // 128 to 159 are read as windows-1252, as browsers do.
    let code = match code.checked_sub(0x80).and_then(|at| WINDOWS_1252.get(at as usize)) {
        Some(c) => u32::from(*c),
        None => code,
    };
    char::from_u32(code).filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
}

fn named(name: &str) -> Option<char> {
    let at = NAMED.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    NAMED.get(at).map(|(_, c)| *c)
}

const WINDOWS_1252: [char; 32] = [
    '€', ' ', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', ' ', 'Ž', ' ', ' ', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', ' ', 'ž', 'Ÿ',
];

/// Sorted by name.
#[rustfmt::skip]
static NAMED: &[(&str, char)] = &[
    ("AElig", '\u{C6}'), ("Aacute", '\u{C1}'), ("Abreve", '\u{102}'), ("Acirc", '\u{C2}'), ("Agrave", '\u{C0}'),
    ("Aogon", '\u{104}'), ("Aring", '\u{C5}'), ("Atilde", '\u{C3}'), ("Auml", '\u{C4}'), ("Cacute", '\u{106}'),
    ("Ccaron", '\u{10C}'), ("Ccedil", '\u{C7}'), ("Dagger", '\u{2021}'), ("Dcaron", '\u{10E}'), ("ETH", '\u{D0}'),
    ("Eacute", '\u{C9}'), ("Ecaron", '\u{11A}'), ("Ecirc", '\u{CA}'), ("Egrave", '\u{C8}'), ("Eogon", '\u{118}'),
    ("Euml", '\u{CB}'), ("Gbreve", '\u{11E}'), ("Iacute", '\u{CD}'), ("Icirc", '\u{CE}'), ("Idot", '\u{130}'),
    ("Igrave", '\u{CC}'), ("Iuml", '\u{CF}'), ("Lstrok", '\u{141}'), ("Nacute", '\u{143}'), ("Ncaron", '\u{147}'),
    ("NewLine", '\u{A}'), ("Ntilde", '\u{D1}'), ("OElig", '\u{152}'), ("Oacute", '\u{D3}'), ("Ocirc", '\u{D4}'),
    ("Odblac", '\u{150}'), ("Ograve", '\u{D2}'), ("Oslash", '\u{D8}'), ("Otilde", '\u{D5}'), ("Ouml", '\u{D6}'),
    ("Prime", '\u{2033}'), ("Rcaron", '\u{158}'), ("Sacute", '\u{15A}'), ("Scaron", '\u{160}'), ("Scedil", '\u{15E}'),
    ("THORN", '\u{DE}'), ("Tab", '\u{9}'), ("Tcaron", '\u{164}'), ("Tcedil", '\u{162}'), ("Uacute", '\u{DA}'),
    ("Ucirc", '\u{DB}'), ("Udblac", '\u{170}'), ("Ugrave", '\u{D9}'), ("Uring", '\u{16E}'), ("Uuml", '\u{DC}'),
    ("Yacute", '\u{DD}'), ("Yuml", '\u{178}'), ("Zacute", '\u{179}'), ("Zcaron", '\u{17D}'), ("Zdot", '\u{17B}'),
    ("aacute", '\u{E1}'), ("abreve", '\u{103}'), ("acirc", '\u{E2}'), ("acute", '\u{B4}'), ("aelig", '\u{E6}'),
    ("agrave", '\u{E0}'), ("amp", '\u{26}'), ("aogon", '\u{105}'), ("apos", '\u{27}'), ("aring", '\u{E5}'),
    ("ast", '\u{2A}'), ("asymp", '\u{2248}'), ("atilde", '\u{E3}'), ("auml", '\u{E4}'), ("bdquo", '\u{201E}'),
    ("brvbar", '\u{A6}'), ("bull", '\u{2022}'), ("cacute", '\u{107}'), ("ccaron", '\u{10D}'), ("ccedil", '\u{E7}'),
    ("cedil", '\u{B8}'), ("cent", '\u{A2}'), ("check", '\u{2713}'), ("circ", '\u{2C6}'), ("colon", '\u{3A}'),
    ("comma", '\u{2C}'), ("commat", '\u{40}'), ("copy", '\u{A9}'), ("cross", '\u{2717}'), ("curren", '\u{A4}'),
    ("dagger", '\u{2020}'), ("darr", '\u{2193}'), ("dcaron", '\u{10F}'), ("deg", '\u{B0}'), ("divide", '\u{F7}'),
    ("dollar", '\u{24}'), ("eacute", '\u{E9}'), ("ecaron", '\u{11B}'), ("ecirc", '\u{EA}'), ("egrave", '\u{E8}'),
    ("emsp", '\u{2003}'), ("ensp", '\u{2002}'), ("eogon", '\u{119}'), ("equals", '\u{3D}'), ("eth", '\u{F0}'),
    ("euml", '\u{EB}'), ("euro", '\u{20AC}'), ("excl", '\u{21}'), ("fnof", '\u{192}'), ("frac12", '\u{BD}'),
    ("frac14", '\u{BC}'), ("frac34", '\u{BE}'), ("gbreve", '\u{11F}'), ("ge", '\u{2265}'), ("gt", '\u{3E}'),
    ("harr", '\u{2194}'), ("hearts", '\u{2665}'), ("hellip", '\u{2026}'), ("hyphen", '\u{2010}'),
    ("iacute", '\u{ED}'), ("icirc", '\u{EE}'), ("iexcl", '\u{A1}'), ("igrave", '\u{EC}'), ("infin", '\u{221E}'),
    ("inodot", '\u{131}'), ("iquest", '\u{BF}'), ("iuml", '\u{EF}'), ("laquo", '\u{AB}'), ("larr", '\u{2190}'),
    ("lcub", '\u{7B}'), ("ldquo", '\u{201C}'), ("le", '\u{2264}'), ("lowbar", '\u{5F}'), ("lpar", '\u{28}'),
    ("lrm", '\u{200E}'), ("lsaquo", '\u{2039}'), ("lsqb", '\u{5B}'), ("lsquo", '\u{2018}'), ("lstrok", '\u{142}'),
    ("lt", '\u{3C}'), ("macr", '\u{AF}'), ("mdash", '\u{2014}'), ("micro", '\u{B5}'), ("middot", '\u{B7}'),
    ("minus", '\u{2212}'), ("nacute", '\u{144}'), ("nbsp", '\u{A0}'), ("ncaron", '\u{148}'), ("ndash", '\u{2013}'),
    ("ne", '\u{2260}'), ("not", '\u{AC}'), ("ntilde", '\u{F1}'), ("num", '\u{23}'), ("oacute", '\u{F3}'),
    ("ocirc", '\u{F4}'), ("odblac", '\u{151}'), ("oelig", '\u{153}'), ("ograve", '\u{F2}'), ("ordf", '\u{AA}'),
    ("ordm", '\u{BA}'), ("oslash", '\u{F8}'), ("otilde", '\u{F5}'), ("ouml", '\u{F6}'), ("para", '\u{B6}'),
    ("percnt", '\u{25}'), ("period", '\u{2E}'), ("permil", '\u{2030}'), ("phone", '\u{260E}'), ("plus", '\u{2B}'),
    ("plusmn", '\u{B1}'), ("pound", '\u{A3}'), ("prime", '\u{2032}'), ("quest", '\u{3F}'), ("quot", '\u{22}'),
    ("raquo", '\u{BB}'), ("rarr", '\u{2192}'), ("rcaron", '\u{159}'), ("rcub", '\u{7D}'), ("rdquo", '\u{201D}'),
    ("reg", '\u{AE}'), ("rlm", '\u{200F}'), ("rpar", '\u{29}'), ("rsaquo", '\u{203A}'), ("rsqb", '\u{5D}'),
    ("rsquo", '\u{2019}'), ("sacute", '\u{15B}'), ("sbquo", '\u{201A}'), ("scaron", '\u{161}'), ("scedil", '\u{15F}'),
    ("sect", '\u{A7}'), ("semi", '\u{3B}'), ("shy", '\u{AD}'), ("sol", '\u{2F}'), ("star", '\u{2606}'),
    ("sup1", '\u{B9}'), ("sup2", '\u{B2}'), ("sup3", '\u{B3}'), ("szlig", '\u{DF}'), ("tcaron", '\u{165}'),
    ("tcedil", '\u{163}'), ("thinsp", '\u{2009}'), ("thorn", '\u{FE}'), ("tilde", '\u{2DC}'), ("times", '\u{D7}'),
    ("trade", '\u{2122}'), ("uacute", '\u{FA}'), ("uarr", '\u{2191}'), ("ucirc", '\u{FB}'), ("udblac", '\u{171}'),
    ("ugrave", '\u{F9}'), ("uml", '\u{A8}'), ("uring", '\u{16F}'), ("uuml", '\u{FC}'), ("vert", '\u{7C}'),
    ("yacute", '\u{FD}'), ("yen", '\u{A5}'), ("yuml", '\u{FF}'), ("zacute", '\u{17A}'), ("zcaron", '\u{17E}'),
    ("zdot", '\u{17C}'), ("zwj", '\u{200D}'), ("zwnj", '\u{200C}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read() {
        assert_eq!(
            decode("Gr&uuml;&szlig;e &amp; 5&nbsp;&euro; &#8211; &#x1F600; &#150; &lt;b&gt; &foo; AT&T &"),
            "Grüße & 5\u{A0}€ – 😀 – <b> &foo; AT&T &"
        );
        assert!(NAMED.is_sorted_by_key(|(name, _)| *name));
    }
}
