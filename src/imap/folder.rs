//! Names of folders: how they are written on the wire and which of the folders that are there is meant.
//!
//! Pure. RFC 3501 section 5.1.3 (modified UTF-7); servers with an `INBOX.` namespace refuse the bare name.

use crate::ports::Fault;

/// A folder as `LIST` shows it, the name decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub name: String,
    pub delimiter: Option<String>,
    /// False for `\Noselect`: a mere level of the hierarchy.
    pub selectable: bool,
    /// What the server itself uses it for (RFC 6154).
    pub special: Option<&'static str>,
}

/// The name of the folder that `wanted` means; one that is not there is a fault naming those that are.
pub(super) fn meant(wanted: &str, folders: &[Folder]) -> Result<String, Fault> {
    if let Some(name) = find(wanted, folders) {
        return Ok(name.to_owned());
    }
    let there: Vec<&str> = folders.iter().filter(|f| f.selectable).map(|f| f.name.as_str()).take(20).collect();
    Err(Fault::configuration(format!("there is no folder {wanted}; the server has {}", there.join(", "))))
}

/// The folder that `wanted` means: that name, else that name below INBOX, with `/` standing for the server's own
/// delimiter. Letter case counts, but for INBOX.
fn find<'a>(wanted: &str, folders: &'a [Folder]) -> Option<&'a str> {
    let names = |folder: &Folder| {
        let own = folder.delimiter.as_deref().unwrap_or("/");
        [wanted.to_owned(), wanted.replace('/', own), format!("INBOX{own}{}", wanted.replace('/', own))]
    };
    let means = |folder: &Folder, rank: usize| {
        names(folder).get(rank).is_some_and(|name| {
            *name == folder.name || (name.eq_ignore_ascii_case("INBOX") && folder.name.eq_ignore_ascii_case("INBOX"))
        })
    };
    (0..3).find_map(|rank| folders.iter().find(|f| f.selectable && means(f, rank))).map(|f| f.name.as_str())
}

/// The name as a quoted string in modified UTF-7, fit for a command.
pub(super) fn quoted(name: &str) -> String {
    let mut wire = String::from("\"");
    let mut foreign: Vec<u16> = Vec::new();
    for c in name.chars() {
        if (' '..='~').contains(&c) {
            flush(&mut foreign, &mut wire);
            match c {
                '&' => wire.push_str("&-"),
                '"' | '\\' => wire.extend(['\\', c]),
                _ => wire.push(c),
            }
        } else {
            foreign.extend(c.encode_utf16(&mut [0; 2]).iter());
        }
    }
    flush(&mut foreign, &mut wire);
    wire.push('"');
    wire
}

/// The name behind its modified UTF-7 form; a malformed one (or one in UTF-8) stays as it is.
pub(super) fn decoded(wire: &str) -> String {
    decode(wire).unwrap_or_else(|| wire.to_owned())
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

fn flush(foreign: &mut Vec<u16>, wire: &mut String) {
    if foreign.is_empty() {
        return;
    }
    wire.push('&');
    let (mut bits, mut held) = (0u32, 0u32);
    for unit in foreign.drain(..) {
        bits = (bits << 16) | u32::from(unit);
        held += 16;
        while held >= 6 {
            held -= 6;
            wire.push(digit(bits >> held));
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        wire.push(digit(bits << (6 - held)));
    }
    wire.push('-');
}

fn digit(bits: u32) -> char {
    BASE64.get((bits & 63) as usize).map_or('A', |b| char::from(*b))
}

fn decode(wire: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = wire;
    while let Some((plain, coded)) = rest.split_once('&') {
        name.push_str(plain);
        let (coded, behind) = coded.split_once('-')?;
        if coded.is_empty() {
            name.push('&');
        } else {
            name.push_str(&String::from_utf16(&units(coded)?).ok()?);
        }
        rest = behind;
    }
    name.push_str(rest);
    Some(name)
}

fn units(coded: &str) -> Option<Vec<u16>> {
    let (mut bits, mut held) = (0u32, 0u32);
    let mut units = Vec::new();
    for byte in coded.bytes() {
        let value = BASE64.iter().position(|b| *b == byte)?;
        bits = (bits << 6) | value as u32;
        held += 6;
        if held >= 16 {
            held -= 16;
            units.push((bits >> held) as u16);
            bits &= (1 << held) - 1;
        }
    }
    Some(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn folder(name: &str, delimiter: &str) -> Folder {
        Folder { name: name.into(), delimiter: Some(delimiter.into()), selectable: true, special: None }
    }

    #[test]
    fn a_bare_name_is_found_below_inbox() {
        let cyrus = [folder("INBOX", "."), folder("INBOX.Claims", "."), folder("INBOX.Claims.Done", ".")];
        assert_eq!(find("Claims", &cyrus), Some("INBOX.Claims"));
        assert_eq!(find("Claims/Done", &cyrus), Some("INBOX.Claims.Done"));
        assert_eq!(find("inbox", &cyrus), Some("INBOX"));
        assert_eq!(find("Claim", &cyrus), None);
        let both = [folder("INBOX.Claims", "."), folder("Claims", ".")];
        assert_eq!(find("Claims", &both), Some("Claims"));
    }

    #[test]
    fn a_level_that_holds_no_mail_is_not_found() {
        let level = Folder { selectable: false, ..folder("Claims", "/") };
        assert_eq!(find("Claims", &[level]), None);
    }

    #[test]
    fn names_are_written_in_modified_utf7() {
        assert_eq!(quoted("Rückgaben"), "\"R&APw-ckgaben\"");
        assert_eq!(quoted("~peter/mail/台北/日本語"), "\"~peter/mail/&U,BTFw-/&ZeVnLIqe-\"");
        assert_eq!(quoted("R&D \"x\"\\"), "\"R&-D \\\"x\\\"\\\\\"");
        assert_eq!(quoted("a\r\nb"), "\"a&AA0ACg-b\"");
        assert_eq!(decoded("R&APw-ckgaben"), "Rückgaben");
        assert_eq!(decoded("broken &APw"), "broken &APw");
    }

    proptest! {
        #[test]
        fn names_read_back(name in "\\PC{0,40}") {
            let wire = quoted(&name);
            prop_assert!(wire.bytes().all(|b| (b' '..=b'~').contains(&b)));
            let mut escaped = wire.strip_prefix('"').and_then(|w| w.strip_suffix('"')).unwrap().chars();
            let mut bare = String::new();
            while let Some(c) = escaped.next() {
                bare.extend(if c == '\\' { escaped.next() } else { Some(c) });
            }
            prop_assert_eq!(decoded(&bare), name);
        }
    }
}
