//! Reads a TOML file table by table and collects everything that is wrong with it, each problem as one line that names
//! the file, the line, the table and the key.
//!
//! A key is known because it is asked for: there is no second list of keys that could fall behind.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// A file being read.
pub(super) struct Document<'i> {
    file: String,
    text: &'i str,
    unread: Vec<Entry<'i>>,
    gathered: Gathered<'i>,
}

/// What reading tables has brought to light.
#[derive(Default)]
struct Gathered<'i> {
    /// The tables read so far, each with the keys that were asked for.
    known: Vec<(&'static str, Vec<&'static str>)>,
    /// The keys that nobody asked for, by table.
    strangers: Vec<(&'static str, Entry<'i>)>,
    notes: Notes,
}

impl<'i> Document<'i> {
    /// `file` is the name that problems are told under.
    pub fn parse(file: String, text: &'i str) -> Result<Self, ConfigError> {
        let (root, faults) = DeTable::parse_recoverable(text);
        if faults.is_empty() {
            return Ok(Self { file, text, unread: entries(root.into_inner()), gathered: Gathered::default() });
        }
        let mut problems: Vec<(usize, String)> = faults
            .iter()
            .map(|fault| {
                (line_at(text, fault.span().map_or(0, |s| s.start)), fault.message().replace(['\r', '\n'], " "))
            })
            .collect();
        problems.sort();
        Err(ConfigError { lines: problems.iter().map(|(line, what)| format!("{file}: line {line}: {what}")).collect() })
    }

    /// Reads the table `name`, which may be absent, by asking for each of its keys.
    pub fn read<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Table<'i>) -> T) -> T {
        let entry = take(&mut self.unread, name);
        self.gathered.read(self.text, name, entry, read)
    }

    /// Whether there is something under `name`, and not only the name of a table.
    pub fn has(&self, name: &str) -> bool {
        let entry = self.unread.iter().find(|entry| entry.key == name);
        entry.is_some_and(|entry| !matches!(&entry.value, DeValue::Table(table) if table.is_empty()))
    }

    /// Reads the tables `[[name]]`, of which there may be none.
    pub fn list<T>(&mut self, name: &'static str, read: impl FnMut(&mut Table<'i>) -> T) -> Vec<T> {
        let entry = take(&mut self.unread, name);
        self.gathered.list(self.text, name, entry, read)
    }

    /// Notes what is wrong with a key of `[[table]]`s as a whole.
    pub fn reject(&mut self, table: &str, key: &str, what: impl AsRef<str>) {
        self.gathered.notes.problem(None, format!("[{table}] {key}: {}", what.as_ref()));
    }

    /// The keys asked for, by table.
    #[cfg(test)]
    pub fn known(&self) -> &[(&'static str, Vec<&'static str>)] {
        &self.gathered.known
    }

    /// The warnings, if nothing was wrong and nothing stayed unread.
    pub fn finish(mut self) -> Result<Vec<String>, ConfigError> {
        let Gathered { known, strangers, notes } = &mut self.gathered;
        let tables: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        for entry in &self.unread {
            let what = match &entry.value {
                DeValue::Table(_) => {
                    format!("[{}]: unknown table, {}", printable(&entry.key), advice(&entry.key, &tables))
                }
                _ => format!("{}: stands in no table; known are: {}", printable(&entry.key), tables.join(", ")),
            };
            notes.problem(Some(line_at(self.text, entry.start)), what);
        }
        for (table, entry) in strangers.iter() {
            let keys = known.iter().find(|(name, _)| name == table).map_or(&[][..], |(_, keys)| keys);
            let below = tables.iter().filter_map(|name| name.strip_prefix(table)?.strip_prefix('.'));
            let keys: Vec<&str> = keys.iter().copied().chain(below).collect();
            let elsewhere = known.iter().find(|(_, keys)| keys.contains(&entry.key.as_str()));
            let advice = match elsewhere {
                Some((owner, _)) if nearest(&entry.key, &keys).is_none() => format!("it belongs to [{owner}]"),
                _ => advice(&entry.key, &keys),
            };
            let what = format!("[{table}] {}: unknown key, {advice}", printable(&entry.key));
            notes.problem(Some(line_at(self.text, entry.start)), what);
        }
        let (lines, warnings) = (notes.told(&self.file, true), notes.told(&self.file, false));
        if lines.is_empty() { Ok(warnings) } else { Err(ConfigError { lines }) }
    }
}

impl<'i> Gathered<'i> {
    fn read<T>(
        &mut self,
        text: &'i str,
        name: &'static str,
        entry: Option<Entry<'i>>,
        read: impl FnOnce(&mut Table<'i>) -> T,
    ) -> T {
        let (mut unread, mut line, mut is_table) = (Vec::new(), None, true);
        if let Some(entry) = entry {
            line = Some(line_at(text, entry.start));
            match entry.value {
                DeValue::Table(table) => unread = entries(table),
                other => {
                    is_table = false;
                    self.notes.problem(line, format!("[{name}]: expected a table, found {}", found(&other)));
                }
            }
        }
        let mut table = Table { name, text, line, unread, read: Vec::new(), gathered: Self::default() };
        let value = read(&mut table);
        let Self { known, strangers, mut notes } = table.gathered;
        // What is no table lacks all its keys: saying so as well would only hide the cause.
        if is_table {
            self.notes.problems.append(&mut notes.problems);
            self.notes.warnings.append(&mut notes.warnings);
        }
        self.strangers.extend(table.unread.into_iter().map(|entry| (name, entry)));
        self.strangers.extend(strangers);
        if !self.known.iter().any(|(other, _)| *other == name) {
            self.known.push((name, table.read.iter().map(|(key, _)| *key).collect()));
        }
        for (name, keys) in known {
            if !self.known.iter().any(|(other, _)| *other == name) {
                self.known.push((name, keys));
            }
        }
        value
    }

    fn list<T>(
        &mut self,
        text: &'i str,
        name: &'static str,
        entry: Option<Entry<'i>>,
        mut read: impl FnMut(&mut Table<'i>) -> T,
    ) -> Vec<T> {
        let (start, tables) = match entry {
            None => (0, Vec::new()),
            Some(Entry { value: DeValue::Array(tables), start, .. }) => (start, tables.into_iter().collect()),
            Some(Entry { start, value, .. }) => {
                let line = Some(line_at(text, start));
                self.notes.problem(line, format!("[[{name}]]: expected a list of tables, found {}", found(&value)));
                (start, Vec::new())
            }
        };
        // Its keys are known, even if there is none.
        let mut blank = Self::default();
        blank.read(text, name, None, &mut read);
        self.known.extend(blank.known);
        let entry = |table: Spanned<DeValue<'i>>| {
            let start = table.span().start.max(start);
            Entry { key: name.to_owned(), start, value: table.into_inner() }
        };
        tables.into_iter().map(|table| self.read(text, name, Some(entry(table)), &mut read)).collect()
    }
}

/// Takes the entry of a key out.
fn take<'i>(unread: &mut Vec<Entry<'i>>, key: &str) -> Option<Entry<'i>> {
    let place = unread.iter().position(|entry| entry.key == key)?;
    Some(unread.swap_remove(place))
}

/// One table of the file; an absent one answers like an empty one.
pub(super) struct Table<'i> {
    name: &'static str,
    text: &'i str,
    line: Option<usize>,
    unread: Vec<Entry<'i>>,
    /// The keys asked for, with the line of those that were given.
    read: Vec<(&'static str, Option<usize>)>,
    /// What the tables below it have brought to light, and what is noted of it itself.
    gathered: Gathered<'i>,
}

impl<'i> Table<'i> {
    /// The value of `key` as `read` understands it; `None` if it is not given, or was given wrongly (then noted).
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, String>,
    ) -> Option<T> {
        let entry = take(&mut self.unread, key);
        self.read.push((key, entry.as_ref().map(|e| line_at(self.text, e.start))));
        match read(&entry?.value) {
            Ok(value) => Some(value),
            Err(what) => {
                self.reject(key, what);
                None
            }
        }
    }

    /// The same for a key that has to be there.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&DeValue<'i>) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.optional(key, read);
        if !self.has(key) {
            self.reject(key, "is missing");
        }
        value
    }

    /// The same for a key that has a default.
    pub fn or<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&DeValue<'i>) -> Result<T, String>) -> T {
        self.optional(key, read).unwrap_or(default)
    }

    /// Reads the table below this one under `key`, which may be absent; `name` is its full name.
    pub fn table<T>(&mut self, key: &'static str, name: &'static str, read: impl FnOnce(&mut Table<'i>) -> T) -> T {
        let entry = take(&mut self.unread, key);
        self.gathered.read(self.text, name, entry, read)
    }

    /// Reads the tables `[[name]]` below this one under `key`, of which there may be none.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        name: &'static str,
        read: impl FnMut(&mut Table<'i>) -> T,
    ) -> Vec<T> {
        let entry = take(&mut self.unread, key);
        self.gathered.list(self.text, name, entry, read)
    }

    /// Whether the table is there.
    pub fn is_given(&self) -> bool {
        self.line.is_some()
    }

    /// Whether a key that was asked for is given, rightly or wrongly.
    pub fn has(&self, key: &str) -> bool {
        self.read.iter().any(|(name, line)| *name == key && line.is_some())
    }

    /// Notes what is wrong with `key`, at its line or, if it is not given, at the table's.
    pub fn reject(&mut self, key: &str, what: impl AsRef<str>) {
        let (line, what) = self.note(key, what.as_ref());
        self.gathered.notes.problem(line, what);
    }

    /// Notes what is odd about `key` but no hindrance.
    pub fn warn(&mut self, key: &str, what: impl AsRef<str>) {
        let (line, what) = self.note(key, what.as_ref());
        self.gathered.notes.warnings.push((line, what));
    }

    fn note(&self, key: &str, what: &str) -> (Option<usize>, String) {
        let line = self.read.iter().find(|(name, _)| *name == key).and_then(|(_, line)| *line).or(self.line);
        (line, format!("[{}] {key}: {what}", self.name))
    }
}

/// What is wrong and what is odd, each with its line if it has one.
#[derive(Default)]
struct Notes {
    problems: Vec<(Option<usize>, String)>,
    warnings: Vec<(Option<usize>, String)>,
}

impl Notes {
    fn problem(&mut self, line: Option<usize>, what: String) {
        self.problems.push((line, what));
    }

    /// The problems or the warnings in the order of the file; those without a line come last.
    fn told(&mut self, file: &str, problems: bool) -> Vec<String> {
        let notes = if problems { &mut self.problems } else { &mut self.warnings };
        notes.sort_by_key(|(line, _)| line.unwrap_or(usize::MAX));
        notes
            .iter()
            .map(|(line, what)| match line {
                Some(line) => format!("{file}: line {line}: {what}"),
                None => format!("{file}: {what}"),
            })
            .collect()
    }
}

/// What the value is, in words: never the value itself, which may be a password at the wrong key.
pub(super) fn found(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// ``did you mean `port`?`` or, if no candidate is near, the list of all.
pub(super) fn advice(name: &str, candidates: &[&str]) -> String {
    match nearest(name, candidates) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are: {}", candidates.join(", ")),
    }
}

struct Entry<'i> {
    key: String,
    /// The byte at which the key begins.
    start: usize,
    value: DeValue<'i>,
}

fn entries(table: DeTable<'_>) -> Vec<Entry<'_>> {
    let entry = |(key, value): (Spanned<_>, Spanned<_>)| {
        let start = key.span().start;
        Entry { key: std::borrow::Cow::into_owned(key.into_inner()), start, value: value.into_inner() }
    };
    table.into_iter().map(entry).collect()
}

fn line_at(text: &str, byte: usize) -> usize {
    1 + text.bytes().take(byte).filter(|b| *b == b'\n').count()
}

/// A key as one short line shows it.
fn printable(key: &str) -> String {
    key.chars().take(60).flat_map(char::escape_debug).collect()
}

/// The candidate that `name` is a likely slip of, if there is one: a third of its letters may be wrong.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let slips = (name.chars().count() / 3).clamp(1, 3);
    (0..=slips).find_map(|n| candidates.iter().copied().find(|c| within(name.as_bytes(), c.as_bytes(), n)))
}

/// Whether `n` insertions, deletions, replacements and swaps of neighbours turn `a` into `b`.
fn within(a: &[u8], b: &[u8], n: usize) -> bool {
    match (a, b, n.checked_sub(1)) {
        ([x, a @ ..], [y, b @ ..], _) if x == y => within(a, b, n),
        ([], rest, _) | (rest, [], _) => rest.len() <= n,
        (_, _, None) => false,
        ([x, after_x @ ..], [y, after_y @ ..], Some(left)) => {
            let swapped = match (after_x, after_y) {
                ([x2, a @ ..], [y2, b @ ..]) => x == y2 && y == x2 && within(a, b, left),
                _ => false,
            };
            swapped || within(after_x, after_y, left) || within(after_x, b, left) || within(a, after_y, left)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_key_is_a_likely_slip_and_nothing_else() {
        let keys = ["kind", "host", "port", "password", "password_file", "user", "idle"];
        assert_eq!(nearest("prot", &keys), Some("port"));
        assert_eq!(nearest("Port", &keys), Some("port"));
        assert_eq!(nearest("passwrd", &keys), Some("password"));
        assert_eq!(nearest("passwordfile", &keys), Some("password_file"));
        assert_eq!(nearest("users", &keys), Some("user"));
        assert_eq!(nearest("colour", &keys), None);
    }

    proptest! {
        #[test]
        fn one_slip_is_within_one(word in "[a-z]{2,12}", place in 0usize..12, letter in "[a-z]") {
            let place = place % (word.len() - 1);
            let (mut swapped, mut replaced) = (word.clone().into_bytes(), word.clone());
            swapped.swap(place, place + 1);
            replaced.replace_range(place..=place, &letter);
            prop_assert!(within(word.as_bytes(), &swapped, 1));
            prop_assert!(within(word.as_bytes(), replaced.as_bytes(), 1));
            prop_assert!(within(word.as_bytes(), &word.as_bytes()[1..], 1));
            prop_assert!(!within(word.as_bytes(), [word.as_bytes(), b"xx"].concat().as_slice(), 1));
        }
    }
}
