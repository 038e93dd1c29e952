//! What stands behind a key: numbers, durations, sizes, addresses, each checked on reading.
//!
//! Every reader takes the value and gives what it means, or what was expected instead, in words.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use regex::{Regex, RegexBuilder};
use toml::de::DeValue;

use super::table::{advice, found};
use crate::domain::ids::Address;
use crate::domain::letter::Person;
use crate::ports::Secret;

/// A compiled pattern may take this many bytes; `KS\d{4,8}` takes some 20 KiB.
const PATTERN_SIZE: usize = 1 << 18;

/// Text of one line that is not blank.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, String> {
    let text = string(value, "a string")?;
    if text.trim().is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold line breaks or control characters".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) fn flag(value: &DeValue<'_>) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("expected true or false, found {}", found(value)))
}

/// A whole number from `least` to `most`.
pub(super) fn number(value: &DeValue<'_>, least: u32, most: u32) -> Result<u32, String> {
    let expected = format!("expected a whole number from {least} to {most}");
    let DeValue::Integer(number) = value else { return Err(format!("{expected}, found {}", found(value))) };
    match i64::from_str_radix(number.as_str(), number.radix()).map(u32::try_from) {
        Ok(Ok(number)) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{expected}, found {number}")),
    }
}

/// The days of the week as the configuration names them.
pub(super) const WEEKDAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// A time zone by its name in the IANA data base.
pub(super) fn zone(value: &DeValue<'_>) -> Result<TimeZone, String> {
    let name = text(value)?;
    TimeZone::get(&name).map_err(|_| format!("expected a time zone as \"Europe/Berlin\", found \"{name}\""))
}

/// A time of the day.
pub(super) fn time(value: &DeValue<'_>) -> Result<Time, String> {
    let text = text(value)?;
    Time::strptime("%H:%M", &text).map_err(|_| format!("expected a time as \"09:00\", found \"{text}\""))
}

/// A day of the calendar.
pub(super) fn day(value: &DeValue<'_>) -> Result<Date, String> {
    let text = text(value)?;
    text.parse().map_err(|_| format!("expected a day as \"2026-12-25\", found \"{text}\""))
}

pub(super) fn port(value: &DeValue<'_>) -> Result<u16, String> {
    number(value, 1, u32::from(u16::MAX)).and_then(|n| u16::try_from(n).map_err(|e| e.to_string()))
}

/// A duration with its unit: `"500ms"`, `"60s"`, `"5m"`, `"1h"`, `"2d"`.
pub(super) fn duration(value: &DeValue<'_>, least: Duration, most: Duration) -> Result<Duration, String> {
    const EXPECTED: &str = "a duration such as \"60s\", \"5m\" or \"1h\"";
    let text = string(value, EXPECTED)?;
    let (count, unit) = measure(text).ok_or_else(|| format!("expected {EXPECTED}, found \"{}\"", shown(text)))?;
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        _ => return Err(format!("expected {EXPECTED}, found \"{}\"", shown(text))),
    };
    match count.checked_mul(unit).map(Duration::from_millis) {
        Some(duration) if (least..=most).contains(&duration) => Ok(duration),
        _ => Err(format!("must be from {least:?} to {most:?}, found \"{}\"", shown(text))),
    }
}

/// A number of bytes with its unit: `"35MiB"`, `"10MB"`.
pub(super) fn size(value: &DeValue<'_>, least: u64, most: u64) -> Result<u64, String> {
    const EXPECTED: &str = "a size such as \"35MiB\" or \"10MB\"";
    let text = string(value, EXPECTED)?;
    let (count, unit) = measure(text).ok_or_else(|| format!("expected {EXPECTED}, found \"{}\"", shown(text)))?;
    let unit: u64 = match unit {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("expected {EXPECTED}, found \"{}\"", shown(text))),
    };
    match count.checked_mul(unit) {
        Some(size) if (least..=most).contains(&size) => Ok(size),
        _ => Err(format!("must be from {} KiB to {} MiB, found \"{}\"", least >> 10, most >> 20, shown(text))),
    }
}

/// A path, relative to the folder `base`.
pub(super) fn path(value: &DeValue<'_>, base: &Path) -> Result<PathBuf, String> {
    Ok(base.join(text(value)?))
}

/// One of some words.
pub(super) fn one_of<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
    let text = string(value, &format!("one of {}", names.join(", ")))?;
    let known = words.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    known.ok_or_else(|| format!("unknown value \"{}\", {}", shown(text), advice(text, &names)))
}

/// A list, each entry as `read` understands it.
pub(super) fn list<T>(value: &DeValue<'_>, read: impl Fn(&DeValue<'_>) -> Result<T, String>) -> Result<Vec<T>, String> {
    let DeValue::Array(entries) = value else { return Err(format!("expected a list, found {}", found(value))) };
    let entry = |(n, entry): (usize, &toml::Spanned<DeValue<'_>>)| {
        read(entry.get_ref()).map_err(|what| format!("entry {}: {what}", n + 1))
    };
    entries.iter().enumerate().map(entry).collect()
}

/// The name or address of a host; IPv6 addresses lose their brackets.
pub(super) fn host(value: &DeValue<'_>) -> Result<String, String> {
    let text = text(value)?;
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(&text);
    let address = bare.parse::<std::net::IpAddr>().is_ok();
    let name = bare.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) || !bare.is_ascii();
    let apart = bare.chars().any(|c| c.is_whitespace() || matches!(c, '/' | '@' | ':'));
    if address || (name && !apart) {
        Ok(bare.to_owned())
    } else {
        Err(format!("expected the name or address of a host alone, found \"{}\"", shown(&text)))
    }
}

/// An address to listen on; port 0 is any free port.
pub(super) fn listen(value: &DeValue<'_>) -> Result<SocketAddr, String> {
    const EXPECTED: &str = "an address and a port such as \"127.0.0.1:8480\"";
    let text = string(value, EXPECTED)?;
    text.parse().map_err(|_| format!("expected {EXPECTED}, found \"{}\"", shown(text)))
}

pub(super) fn address(value: &DeValue<'_>) -> Result<Address, String> {
    let text = text(value)?;
    Address::new(&text).map_err(|_| format!("expected an e-mail address, found \"{}\"", shown(&text)))
}

/// `Name <address>`, `"Name, quoted" <address>` or the address alone (RFC 5322 section 3.4, without comments).
pub(super) fn person(value: &DeValue<'_>) -> Result<Person, String> {
    let text = text(value)?;
    let wrong = || format!("expected an address such as \"Shop <shop@example.com>\", found \"{}\"", shown(&text));
    let Some((name, rest)) = text.rsplit_once('<') else {
        return Ok(Person { name: None, address: Address::new(&text).map_err(|_| wrong())? });
    };
    let address = rest.trim_end().strip_suffix('>').and_then(|a| Address::new(a).ok()).ok_or_else(wrong)?;
    let name = unquoted(name.trim()).ok_or_else(wrong)?;
    Ok(Person { name: Some(name).filter(|n| !n.is_empty()), address })
}

/// The pattern of an own order number.
pub(super) fn pattern(value: &DeValue<'_>) -> Result<Regex, String> {
    let text = text(value)?;
    let refused = |what: String| format!("pattern \"{}\": {what}", shown(&text));
    let regex = RegexBuilder::new(&text).size_limit(PATTERN_SIZE).build().map_err(|e| match e {
        regex::Error::CompiledTooBig(_) => refused("is too large, repeat fewer characters".to_owned()),
        // The error draws the pattern with a caret below it; its last line says what is wrong.
        e => refused(e.to_string().lines().last().unwrap_or_default().trim().trim_start_matches("error: ").to_owned()),
    })?;
    if regex.is_match("") { Err(refused("matches the empty text".to_owned())) } else { Ok(regex) }
}

/// A password in the file itself.
pub(super) fn secret(value: &DeValue<'_>) -> Result<Secret, String> {
    match string(value, "a string")? {
        "" => Err("is empty".to_owned()),
        text => Ok(Secret::new(text)),
    }
}

fn string<'a>(value: &'a DeValue<'_>, expected: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("expected {expected}, found {}", found(value)))
}

/// The number and the unit behind it.
fn measure(text: &str) -> Option<(u64, &str)> {
    let (count, unit) = text.split_at_checked(text.bytes().take_while(u8::is_ascii_digit).count())?;
    Some((count.parse().ok()?, unit.trim_start()))
}

/// A display name without its quotes and backslashes; `None` if a quote is left open or a bracket stands bare.
fn unquoted(name: &str) -> Option<String> {
    let Some(inside) = name.strip_prefix('"') else {
        return (!name.contains(['"', '<', '>', ',', ';'])).then(|| name.to_owned());
    };
    let mut plain = String::new();
    let mut rest = inside.strip_suffix('"')?.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => plain.push(rest.next()?),
            '"' => return None,
            c => plain.push(c),
        }
    }
    Some(plain)
}

/// Text as an error shows it: on one line and not too long.
fn shown(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value(toml: &str) -> DeValue<'_> {
        DeValue::parse(toml).unwrap().into_inner()
    }

    fn seconds(toml: &str) -> Result<u64, String> {
        duration(&value(toml), Duration::ZERO, Duration::MAX).map(|d| d.as_secs())
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(seconds("'60s'"), Ok(60));
        assert_eq!(seconds("'5m'"), Ok(300));
        assert_eq!(seconds("'1h'"), Ok(3600));
        assert_eq!(seconds("'1500 ms'"), Ok(1));
        for wrong in ["'60'", "'s'", "''", "'1.5h'", "'-1s'", "'1 week'", "60", "'99999999999999999999s'"] {
            assert!(seconds(wrong).unwrap_err().starts_with("expected a duration"), "{wrong}");
        }
        assert!(seconds("'18446744073709551615d'").is_err());
    }

    #[test]
    fn sizes_have_a_unit() {
        let bytes = |toml| size(&value(toml), 1, u64::MAX);
        assert_eq!(bytes("'35MiB'"), Ok(36_700_160));
        assert_eq!(bytes("'10MB'"), Ok(10_000_000));
        assert_eq!(bytes("'2 KiB'"), Ok(2048));
        for wrong in ["'35'", "'35Mb'", "'MiB'", "35", "'18446744073709551615GiB'", "'0MB'"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn senders_may_have_a_name_in_quotes() {
        let read = |toml| person(&value(toml)).map(|p| (p.name.unwrap_or_default(), p.address.to_string()));
        let both = |name: &str, address: &str| Ok((name.to_owned(), address.to_owned()));
        assert_eq!(read("'KOSPET After-Sales <a@b.example>'"), both("KOSPET After-Sales", "a@b.example"));
        assert_eq!(read(r#"'"Bolt, \"Nut\" & Co." <a@b.example>'"#), both("Bolt, \"Nut\" & Co.", "a@b.example"));
        assert_eq!(read("'<a@b.example>'"), both("", "a@b.example"));
        assert_eq!(read("'a@b.example'"), both("", "a@b.example"));
        for wrong in
            ["'Shop'", "'Shop <a@b.example'", "'Shop <a>'", "'A <x@y.z> <a@b.c>'", "'\"A <a@b.c>'", "'A, B <a@b.c>'"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_stand_alone() {
        let read = |toml| host(&value(toml));
        assert_eq!(read("'imap.example.com'").as_deref(), Ok("imap.example.com"));
        assert_eq!(read("'[::1]'").as_deref(), Ok("::1"));
        for wrong in ["'imaps://imap.example.com'", "'imap.example.com:993'", "'me@host'", "'a b'", "' '", "''"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_are_bounded_and_never_match_nothing() {
        let read = |toml| pattern(&value(toml)).map(|r| r.as_str().to_owned());
        assert_eq!(read(r"'KS\d{4,8}'").as_deref(), Ok(r"KS\d{4,8}"));
        assert_eq!(
            read(r"'(\w{900}){900}'").unwrap_err(),
            r#"pattern "(\w{900}){900}": is too large, repeat fewer characters"#
        );
        assert_eq!(read(r"'KS\d*|'").unwrap_err(), r#"pattern "KS\d*|": matches the empty text"#);
        assert_eq!(read("'KS('").unwrap_err(), r#"pattern "KS(": unclosed group"#);
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in "\\PC{0,40}") {
            let value = DeValue::String(text.into());
            let _ = (duration(&value, Duration::ZERO, Duration::MAX), size(&value, 0, u64::MAX), host(&value));
            let _ = (person(&value), pattern(&value), listen(&value), address(&value), one_of(&value, &[("a", ())]));
        }
    }
}
