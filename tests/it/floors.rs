//! The house's order, read from the sources themselves: a file uses its own module and lower floors only, each outside
//! crate stays where it belongs, and no file outgrows a reader.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// The top-level modules by floor. Neighbours on one floor don't know each other, except those of [`STAIRS`].
const FLOORS: &[(&str, u8)] = &[
    ("domain", 0),
    ("pipeline", 1),
    ("ports", 1),
    ("fail_point", 1),
    ("tls", 1),
    ("sasl", 1),
    ("imap", 2),
    ("maildir", 2),
    ("smtp", 2),
    ("http", 2),
    ("webhook", 2),
    ("oauth2", 2),
    ("probe", 2),
    ("dns", 2),
    ("orders", 2),
    ("store", 2),
    ("feeds", 2),
    ("worker", 3),
    ("console", 4),
    ("app", 4),
    ("config", 4),
    ("main", 4),
];

/// Who may use whom on the same floor.
const STAIRS: &[(&str, &str)] = &[
    ("main", "app"),
    ("main", "config"),
    ("app", "config"),
    ("app", "console"),
    ("sasl", "ports"),
    ("webhook", "http"),
    ("oauth2", "http"),
    ("orders", "http"),
];

/// Outside crates by the places that may name them: the beginnings of paths below `src/`.
const PLACES: &[(&str, &[&str])] = &[
    ("mail_parser", &["pipeline/parse"]),
    ("minijinja", &["pipeline/compose"]),
    ("image", &["pipeline/extract/photos", "pipeline/papers"]),
    ("heic_rs", &["pipeline/extract/photos"]),
    ("rxing", &["pipeline/extract/photos", "pipeline/papers"]),
    ("roxmltree", &["pipeline/papers"]),
    ("svgtypes", &["pipeline/papers"]),
    ("ttf_parser", &["pipeline/papers"]),
    ("subsetter", &["pipeline/papers"]),
    ("pdf_writer", &["pipeline/papers"]),
    ("miniz_oxide", &["pipeline/papers"]),
    ("zip", &["pipeline/parse/containers"]),
    ("sled", &["store/"]),
    ("rusqlite", &["store/search"]),
    ("async_imap", &["imap/"]),
    ("rustls_native_certs", &["tls", "smtp/"]),
    ("rustls", &["imap/", "smtp/", "tls", "http", "probe/"]),
    ("tokio_rustls", &["imap/", "smtp/", "http", "probe/"]),
    ("lettre", &["smtp/"]),
    ("csv", &["feeds"]),
    ("toml", &["config/", "pipeline/lexicon", "pipeline/phrases", "pipeline/symptoms"]),
    ("clap", &["main"]),
    ("clap_complete", &["main/generate"]),
    ("clap_mangen", &["main/generate"]),
    ("tracing_subscriber", &["app/log"]),
    ("sd_notify", &["app/"]),
    ("getrandom", &["worker/", "console/", "app/demo", "oauth2/"]),
    ("ammonia", &["console/"]),
    ("argon2", &["console/"]),
    ("askama", &["console/"]),
    ("axum", &["console/"]),
    ("hyper", &["console/", "http"]),
    ("hyper_util", &["console/", "http"]),
    ("hmac", &["webhook"]),
    ("form_urlencoded", &["oauth2/"]),
    ("tower_http", &["console/"]),
    ("utoipa", &["console/", "domain/report", "pipeline/explain", "pipeline/reckon", "worker/health", "worker/stats"]),
    ("utoipa_axum", &["console/"]),
    ("rustix", &["oauth2/", "console/", "app/", "store/"]),
    ("fastrand", &["worker/", "dns"]),
    ("simple_dns", &["dns"]),
];

/// Outside crates by the lowest floor that may name them.
const LOWEST: &[(&str, u8)] = &[
    ("tokio", 2),
    ("socket2", 2),
    ("futures_util", 2),
    ("thiserror", 2),
    ("tempfile", 2),
    ("tracing", 2),
    ("anyhow", 3),
];

/// Pure crates: anybody's.
const PURE: &[&str] =
    &["aho_corasick", "base64", "jiff", "regex", "serde", "serde_json", "sha2", "unicode_normalization", "whatlang"];

const LINES: usize = 500;
const LINES_OF_THE_MAP: usize = 120;

#[test]
fn every_file_keeps_to_its_floor() {
    let mut breaches = String::new();
    for source in sources() {
        source.breaches(&mut breaches);
    }
    assert!(breaches.is_empty(), "\n{breaches}");
}

#[test]
fn the_map_names_every_module_and_no_other() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = Regex::new(r"(?m)^(?:pub )?mod (\w+);").unwrap();
    let named: BTreeSet<String> = declared.captures_iter(&map).map(|found| found[1].to_owned()).collect();
    let there: BTreeSet<String> = sources().iter().map(|source| source.module[0].clone()).collect();
    let doors = BTreeSet::from(["main".to_owned(), "lib".to_owned()]);
    assert_eq!(named, there.difference(&doors).cloned().collect(), "src/lib.rs and the files below src/");
    let floored: BTreeSet<String> = FLOORS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert!(named.is_subset(&floored), "no floor is set for {:?}", named.difference(&floored));
    assert!(map.lines().count() <= LINES_OF_THE_MAP, "src/lib.rs has {} lines", map.lines().count());
}

#[test]
fn every_dependency_has_its_place() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let placed: BTreeSet<&str> = PLACES
        .iter()
        .map(|(name, _)| *name)
        .chain(LOWEST.iter().map(|(name, _)| *name))
        .chain(PURE.iter().copied())
        .collect();
    let homeless: Vec<String> = manifest["dependencies"]
        .as_table()
        .unwrap()
        .keys()
        .map(|name| name.replace('-', "_"))
        .filter(|name| !placed.contains(name.as_str()))
        .collect();
    assert!(homeless.is_empty(), "say in this file where {homeless:?} may be used");
}

/// The reader itself: each line of this sample breaks one rule, but for those in comments and texts.
#[test]
fn breaches_are_seen() {
    let sample = r##"
use crate::store::Store;
use crate::{domain::ids, worker};
use super::super::ports;
fn f<'a>() { let c = '"'; println!("crate::web {}", sled::open()); }
// use crate::app;
const T: &str = r#"use crate::imap; lettre::x "#;
use tokio::sync;
use anyhow::{
    Context,
};
mod tests {
    use super::super::super::imap;
    use super::super::fold;
    fn g() { aftersalesd::config::load(std::smtp::x) }
}
"##;
    let source =
        Source { name: "pipeline/fold.rs".into(), module: vec!["pipeline".into(), "fold".into()], text: sample.into() };
    let mut told = String::new();
    source.breaches(&mut told);
    let lines: Vec<&str> = told.lines().map(|line| line.strip_prefix("src/pipeline/fold.rs:").unwrap()).collect();
    assert_eq!(
        lines,
        [
            "2: pipeline (floor 1) uses store (floor 2)",
            "3: pipeline (floor 1) uses worker (floor 3)",
            "4: pipeline (floor 1) uses ports (floor 1)",
            "5: sled is not used here",
            "5: println! is not for a library",
            "8: tokio is not used below floor 2",
            "9: anyhow is not used below floor 3",
            "13: pipeline (floor 1) uses imap (floor 2)",
            "15: pipeline (floor 1) uses config (floor 4)",
        ]
    );
}

struct Source {
    /// The path below `src/`.
    name: String,
    /// `["pipeline", "extract", "dates"]`.
    module: Vec<String>,
    text: String,
}

impl Source {
    /// Tests may look at what the program makes with whatever tool they like.
    fn is_test(&self) -> bool {
        self.module.iter().any(|name| name == "tests")
    }

    /// Adds a line for each breach.
    fn breaches(&self, told: &mut String) {
        let mut found: Vec<(usize, String)> = Vec::new();
        let code = without_comments_and_texts(&self.text);
        let own = self.module[0].as_str();
        // The map mentions all.
        if own != "lib" {
            for (line, used) in modules_used(&code, &self.module) {
                if !may_use(own, &used) {
                    let floors = (floor(own), floor(&used));
                    found.push((line, format!("{own} (floor {}) uses {used} (floor {})", floors.0, floors.1)));
                }
            }
        }
        let shipped = if self.is_test() { "" } else { code.split("#[cfg(test)]\nmod tests {").next().unwrap() };
        for (line, used) in crates_used(shipped) {
            let places = PLACES.iter().find(|(name, _)| *name == used).map(|(_, places)| *places);
            if places.is_some_and(|places| !places.iter().any(|place| self.name.starts_with(place))) {
                found.push((line, format!("{used} is not used here")));
            }
            let lowest = LOWEST.iter().find(|(name, _)| *name == used).map_or(0, |(_, lowest)| *lowest);
            if floor(own) < lowest {
                found.push((line, format!("{used} is not used below floor {lowest}")));
            }
        }
        for printed in Regex::new(r"\b(e?println|e?print|dbg)!").unwrap().captures_iter(shipped) {
            let line = line_of(shipped, printed.get(0).unwrap().start());
            found.push((line, format!("{}! is not for a library", &printed[1])));
        }
        let lines = self.text.lines().count();
        if lines > LINES {
            found.push((lines, format!("{lines} lines, more than {LINES}")));
        }
        found.sort_by_key(|(line, _)| *line);
        found.dedup();
        for (line, what) in found {
            writeln!(told, "src/{}:{line}: {what}", self.name).unwrap();
        }
    }
}

fn floor(module: &str) -> u8 {
    FLOORS.iter().find(|(name, _)| *name == module).map_or(u8::MAX, |(_, floor)| *floor)
}

fn may_use(user: &str, used: &str) -> bool {
    user == used || floor(used) < floor(user) || STAIRS.contains(&(user, used))
}

/// The top-level modules that paths from `crate::`, from our own name and out of `super::` lead to.
fn modules_used(code: &str, module: &[String]) -> Vec<(usize, String)> {
    let mut used = Vec::new();
    for root in Regex::new(r"\b(?:crate|aftersalesd)::").unwrap().find_iter(code) {
        let line = line_of(code, root.start());
        used.extend(first_names(&code[root.end()..]).into_iter().map(|name| (line, name)));
    }
    for up in Regex::new(r"\b(?:super::)+").unwrap().find_iter(code) {
        let depth = module.len() + inline_modules(&code[..up.start()]);
        if up.as_str().matches("super").count() == depth {
            let line = line_of(code, up.start());
            used.extend(first_names(&code[up.end()..]).into_iter().map(|name| (line, name)));
        }
    }
    // Names that start with a capital are items of the crate's root, of which there are none to breach.
    used.retain(|(_, name)| name.chars().all(|c| c.is_lowercase() || c == '_' || c.is_numeric()));
    used
}

/// The first name of a path, or those of each branch of a group.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = Vec::new();
    let mut depth = 1;
    let mut fresh = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => fresh = true,
            c if fresh && depth == 1 && !c.is_whitespace() => {
                names.push(name(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// How many `mod x {` are open at the end of this code.
fn inline_modules(code: &str) -> usize {
    let opened = Regex::new(r"(?m)^( *)(?:pub(?:\([a-z]+\))? )?mod \w+ \{$").unwrap();
    let open = |found: &regex::Captures<'_>| {
        let after = &code[found.get(0).unwrap().end()..];
        !after.contains(&format!("\n{}}}", &found[1]))
    };
    opened.captures_iter(code).filter(open).count()
}

/// The outside crates that a path begins with.
fn crates_used(code: &str) -> Vec<(usize, String)> {
    let known = PLACES.iter().map(|(name, _)| *name).chain(LOWEST.iter().map(|(name, _)| *name));
    let names: Vec<&str> = known.collect();
    let pattern = format!(r"(^|[^\w:]|[^:]:|[^\w]::)({})(::|;| as )", names.join("|"));
    let path = Regex::new(&pattern).unwrap();
    let mut used = Vec::new();
    let mut from = 0;
    while let Some(found) = path.captures_at(code, from) {
        let name = found.get(2).unwrap();
        let bare = &found[3] == ";" && !code[..name.start()].ends_with("use ");
        if !bare {
            used.push((line_of(code, name.start()), name.as_str().to_owned()));
        }
        from = name.end();
    }
    used
}

fn line_of(code: &str, at: usize) -> usize {
    1 + code[..at].matches('\n').count()
}

/// The same lines, without what is no code.
fn without_comments_and_texts(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut code = String::with_capacity(text.len());
    let mut at = 0;
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    while at < chars.len() {
        let before = code.chars().next_back().unwrap_or(' ');
        let raw = (get(at) == 'r' && !before.is_alphanumeric() && before != '_' || get(at) == 'r' && before == 'b')
            .then(|| (at + 1..).take_while(|i| get(*i) == '#').count())
            .filter(|hashes| get(at + 1 + hashes) == '"');
        let end = match (get(at), get(at + 1)) {
            ('/', '/') => (at..chars.len()).find(|i| get(*i) == '\n').unwrap_or(chars.len()),
            ('/', '*') => {
                (at + 3..chars.len()).find(|i| get(*i) == '/' && get(*i - 1) == '*').map_or(chars.len(), |i| i + 1)
            }
            ('"', _) => end_of_text(&chars, at + 1),
            ('\'', '\\') => (at + 3..chars.len()).find(|i| get(*i) == '\'').map_or(chars.len(), |i| i + 1),
            ('\'', _) if get(at + 2) == '\'' => at + 3,
            _ => match raw {
                Some(hashes) => {
                    let closes = |i: &usize| get(*i) == '"' && (1..=hashes).all(|n| get(i + n) == '#');
                    (at + 2 + hashes..chars.len()).find(closes).map_or(chars.len(), |i| i + 1 + hashes)
                }
                None => at,
            },
        };
        if end == at {
            code.push(get(at));
            at += 1;
        } else {
            code.extend(chars[at..end.min(chars.len())].iter().filter(|c| **c == '\n'));
            at = end;
        }
    }
    code
}

fn end_of_text(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All sources of the program, by name.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    files.sort();
    assert!(files.len() > 50, "these are not all sources: {files:?}");
    let read = |file: PathBuf| {
        let name = file.strip_prefix(&src).unwrap().display().to_string();
        let mut module: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
        if module.len() > 1 && module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        Source { text: fs::read_to_string(&file).unwrap(), name, module }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}
