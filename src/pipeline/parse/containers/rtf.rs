//! Compressed RTF (MS-OXRTFCP), the only text in many a `winmail.dat`: unpacked, and its words without their form.

use crate::pipeline::parse::MAX_TEXT;
use crate::pipeline::parse::charset::decoded;

/// RTF takes several bytes a letter of text, and Outlook's holds the HTML as well.
const MAX_RTF: usize = 8 * MAX_TEXT;
const HEAD: usize = 16;
/// The window that is filled in advance with what RTF begins with (MS-OXRTFCP 2.1.2.1).
const BEGINNING: &[u8] = b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \
\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
const WINDOW: usize = 4096;

/// The words of compressed RTF, or `None` if it is something else.
pub(super) fn text(packed: &[u8]) -> Option<String> {
    Some(words(&unpacked(packed)?))
}

fn unpacked(packed: &[u8]) -> Option<Vec<u8>> {
    let content = packed.get(HEAD..)?;
    match packed.get(8..12)? {
        b"MELA" => return Some(content.get(..MAX_RTF).unwrap_or(content).to_vec()),
        b"LZFu" => {}
        _ => return None,
    }
    // All that was written so far; the window is its last 4096 bytes.
    let mut out = BEGINNING.to_vec();
    let mut bytes = content.iter().copied();
    'runs: while let Some(control) = bytes.next() {
        for bit in 0..8 {
            if out.len() >= MAX_RTF {
                break 'runs;
            }
            if control >> bit & 1 == 0 {
                let Some(byte) = bytes.next() else { break 'runs };
                out.push(byte);
                continue;
            }
            let (Some(high), Some(low)) = (bytes.next(), bytes.next()) else { break 'runs };
            let token = usize::from(u16::from_be_bytes([high, low]));
            let (place, length) = (token >> 4, (token & 0xF) + 2);
            // Where the window would be written next marks the end.
            let distance = (out.len() % WINDOW + WINDOW - place) % WINDOW;
            if distance == 0 {
                break 'runs;
            }
            for _ in 0..length {
                // What was never written reads as zero there, and is no text.
                let byte = out.len().checked_sub(distance).and_then(|at| out.get(at)).copied().unwrap_or(b' ');
                out.push(byte);
            }
        }
    }
    Some(out.split_off(BEGINNING.len()))
}

/// Groups that hold no words of the writer.
const SILENT: &[&str] =
    &["fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header", "footer", "themedata"];
/// Groups in groups that are followed.
const MAX_GROUPS: usize = 100;

/// Where the reading stands in a group.
#[derive(Clone, Copy)]
struct Group {
    is_silent: bool,
    /// How many letters stand behind a `\u` for programs that don't know it.
    stand_ins: usize,
}

fn words(rtf: &[u8]) -> String {
    let mut out = String::new();
    // Bytes of the document's code page, until they are a run.
    let mut run: Vec<u8> = Vec::new();
    let mut charset = "windows-1252".to_owned();
    let mut group = Group { is_silent: false, stand_ins: 1 };
    let mut outer: Vec<Group> = Vec::new();
    let mut to_skip = 0;
    let mut rest = rtf;
    while let Some(token) = token(&mut rest) {
        if !matches!(token, Token::Byte(_)) {
            out.push_str(&decoded(&std::mem::take(&mut run), Some(&charset)));
        }
        match token {
            Token::Open if outer.len() < MAX_GROUPS => outer.push(group),
            Token::Open => break,
            Token::Close => group = outer.pop().unwrap_or(group),
            Token::Byte(_) if group.is_silent => {}
            Token::Byte(_) if to_skip > 0 => to_skip -= 1,
            Token::Byte(byte) => run.push(byte),
            Token::Word(word, number) => match (word, number) {
                ("*", _) => group.is_silent = true,
                (word, _) if SILENT.contains(&word) => group.is_silent = true,
                ("ansicpg", Some(page)) => charset = format!("windows-{page}"),
                ("uc", Some(count)) => group.stand_ins = usize::try_from(count).unwrap_or(0).min(8),
                _ if group.is_silent => {}
                ("par" | "line" | "row" | "sect" | "page", _) => out.push('\n'),
                ("tab" | "cell", _) => out.push('\t'),
                ("u", Some(code)) => {
                    // Negative beyond 32767.
                    let code = if code < 0 { code.saturating_add(65_536) } else { code };
                    out.extend(u32::try_from(code).ok().and_then(char::from_u32));
                    to_skip = group.stand_ins;
                }
                ("lquote" | "rquote", _) => out.push('’'),
                ("ldblquote" | "rdblquote", _) => out.push('"'),
                ("emdash" | "endash", _) => out.push('–'),
                ("bullet", _) => out.push('•'),
                ("~", _) => out.push(' '),
                _ => {}
            },
        }
    }
    out.push_str(&decoded(&run, Some(&charset)));
    out
}

enum Token<'a> {
    Open,
    Close,
    Byte(u8),
    /// A control word or symbol and its number.
    Word(&'a str, Option<i32>),
}

fn token<'a>(rest: &mut &'a [u8]) -> Option<Token<'a>> {
    loop {
        let (first, tail) = rest.split_first()?;
        *rest = tail;
        return Some(match first {
            b'{' => Token::Open,
            b'}' => Token::Close,
            b'\r' | b'\n' => continue,
            b'\\' => control(rest)?,
            byte => Token::Byte(*byte),
        });
    }
}

fn control<'a>(rest: &mut &'a [u8]) -> Option<Token<'a>> {
    let letters = rest.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    if letters == 0 {
        let (symbol, tail) = rest.split_at_checked(1)?;
        *rest = tail;
        return Some(match symbol {
            b"'" => {
                let (digits, tail) = rest.split_at_checked(2)?;
                *rest = tail;
                let byte = std::str::from_utf8(digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok());
                Token::Byte(byte.unwrap_or(b'?'))
            }
            b"\\" | b"{" | b"}" => Token::Byte(*symbol.first()?),
            b"\r" | b"\n" => Token::Word("par", None),
            other => Token::Word(std::str::from_utf8(other).unwrap_or(""), None),
        });
    }
    let (word, tail) = rest.split_at_checked(letters)?;
    let digits = tail.iter().enumerate().take_while(|(n, b)| b.is_ascii_digit() || *n == 0 && **b == b'-').count();
    let (number, tail) = tail.split_at_checked(digits)?;
    *rest = tail.strip_prefix(b" ").unwrap_or(tail);
    let number = std::str::from_utf8(number).ok().and_then(|n| n.parse().ok());
    Some(Token::Word(std::str::from_utf8(word).unwrap_or(""), number))
}
