//! `[log]`: in which form the daemon tells what it does, and how much of it.

use std::fmt;

use toml::de::DeValue;
use tracing::level_filters::LevelFilter;

use super::table::Table;
use super::values;

/// How the daemon logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// `None`: as standard error asks for.
    pub format: Option<Format>,
    pub level: Option<Directives>,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people: time, level, letter, message, fields.
    Text,
    /// One JSON object a line.
    Json,
    /// The same text without a time, behind `<N>`, a priority of syslog, as systemd's journal reads it (sd-daemon(3)).
    Journald,
}

/// How much is told: a level for all, others for single modules, as `info,aftersalesd::imap=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `None`: as much as without them.
    pub all: Option<LevelFilter>,
    /// Modules, with what lies below them.
    pub modules: Vec<(String, LevelFilter)>,
}

impl Directives {
    /// Reads them; an error names the one that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self { all: None, modules: Vec::new() };
        for directive in text.split(',').map(str::trim) {
            match directive.split_once('=') {
                None => read.all = Some(level(directive, directive)?),
                Some((module, _)) if !is_path(module) => {
                    return Err(format!("\"{directive}\": \"{module}\" is no module, as aftersalesd::imap is one"));
                }
                Some((module, wanted)) => read.modules.push((module.to_owned(), level(wanted, directive)?)),
            }
        }
        Ok(read)
    }
}

impl fmt::Display for Directives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all.map(|level| level.to_string());
        let modules = self.modules.iter().map(|(module, level)| format!("{module}={level}"));
        f.write_str(&all.into_iter().chain(modules).collect::<Vec<_>>().join(","))
    }
}

fn level(word: &str, directive: &str) -> Result<LevelFilter, String> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let known = levels.iter().find(|level| level.eq_ignore_ascii_case(word)).and_then(|level| level.parse().ok());
    known.ok_or_else(|| format!("\"{directive}\": expected {} or MODULE=LEVEL", levels.join(", ")))
}

fn is_path(module: &str) -> bool {
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    module.split("::").all(is_name)
}

/// Reads the table.
pub(super) fn log(t: &mut Table<'_>) -> Log {
    let formats = [("text", Format::Text), ("json", Format::Json), ("journald", Format::Journald)];
    let format = t.optional("format", |v| values::one_of(v, &formats));
    let level = t.optional("level", |v: &DeValue<'_>| Directives::parse(&values::text(v)?));
    Log { format, level }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_and_a_wrong_one_is_named() {
        let read = Directives::parse("info, aftersalesd::imap=DEBUG,sled=off").unwrap();
        assert_eq!(read.to_string(), "info,aftersalesd::imap=debug,sled=off");
        assert_eq!(Directives::parse("aftersalesd::smtp=trace").unwrap().all, None);
        for (wrong, named) in [
            ("loud", "\"loud\": expected off"),
            ("info,aftersalesd::imap=loud", "\"aftersalesd::imap=loud\""),
            ("", "\"\": expected off"),
            ("info,", "\"\": expected off"),
            ("a b=info", "\"a b\" is no module"),
            ("[letter]=info", "\"[letter]\" is no module"),
            ("=info", "\"\" is no module"),
        ] {
            let told = Directives::parse(wrong).unwrap_err();
            assert!(told.contains(named), "{wrong}: {told}");
        }
    }
}
