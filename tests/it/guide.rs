//! The guide: every topic is listed and opens, fits a screen's width, and names only what there is. What it has people
//! type is held against the command line's definition in `src/main/tests.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

use crate::support::program::{Told, program, run_within};

const WIDEST: usize = 100;
const LONGEST: usize = 120;

#[test]
fn every_topic_is_listed_and_opens() {
    let listed = guide(&[]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let topics = topics();
    assert!(topics.len() >= 5, "{topics:?}");
    for (name, text) in topics {
        let title = text.lines().next().unwrap();
        let (_, about) = title.strip_prefix("# ").and_then(|title| title.split_once(": ")).expect(&name);
        let line = listed.out.lines().find(|line| line.starts_with(&format!("{name} "))).expect(&name);
        assert!(line.ends_with(&format!("  {about}")), "{line}");
        let opened = guide(&[&name]);
        assert_eq!((opened.code, opened.out.as_str(), opened.err.as_str()), (Some(0), text.as_str(), ""), "{name}");
    }
}

#[test]
fn an_unknown_topic_is_one_line_with_the_nearest() {
    for (wrong, near) in [("troubelshooting", "`troubleshooting`"), ("exit", "`exit-codes`"), ("weather", "tuning")] {
        let told = guide(&[wrong]);
        assert_eq!(told.code, Some(2), "{told:?}");
        assert_eq!((told.out.as_str(), told.complaints().len()), ("", 1), "{told:?}");
        assert!(told.err.contains(near) && told.err.contains(wrong), "{told:?}");
    }
}

#[test]
fn every_topic_fits_a_screen() {
    for (name, text) in topics() {
        assert!(text.ends_with('\n') && text.lines().count() <= LONGEST, "{name}: {} lines", text.lines().count());
        for (number, line) in text.lines().enumerate() {
            assert!(line.chars().count() <= WIDEST, "{name}: line {}: {line}", number + 1);
            assert!(
                line.starts_with("```") || line.matches('`').count() % 2 == 0,
                "{name}: line {}: {line}",
                number + 1
            );
        }
        assert_eq!(text.lines().filter(|line| line.starts_with("```")).count() % 2, 0, "{name}: a fence is not closed");
    }
}

#[test]
fn every_path_of_the_project_is_there() {
    let path = Regex::new(r"(?m)(?:^|[\s`(])((?:src|templates|tests)/[\w./-]*|config\.example\.toml)").unwrap();
    for (name, text) in topics() {
        for found in path.captures_iter(&text) {
            let file = found[1].trim_end_matches('.');
            assert!(root().join(file).exists(), "{name}: there is no {file}");
        }
    }
}

/// As `[limits] mail_size`, `[staff]` or in a block of TOML.
#[test]
fn every_key_of_the_configuration_is_there() {
    let example = fs::read_to_string(root().join("config.example.toml")).unwrap();
    let named = Regex::new(r"`\[{1,2}([a-z_.]+)\]{1,2}(?: ([a-z_]+))?").unwrap();
    let block = Regex::new(r"(?ms)^```toml\n(.*?)^```$").unwrap();
    let mut keys = 0;
    for (name, text) in topics() {
        for found in named.captures_iter(&text) {
            keys += usize::from(found.get(2).is_some());
            let key = found.get(2).map(|key| key.as_str());
            assert!(is_key(&example, &found[1], key), "{name}: there is no {}", &found[0]);
        }
        for found in block.captures_iter(&text) {
            found[1].parse::<toml::Table>().unwrap_or_else(|e| panic!("{name}: {e}"));
            let mut table = "";
            for line in found[1].lines().filter(|line| !line.starts_with('#')) {
                match (line.starts_with('['), line.split_once(" = ")) {
                    (true, _) => table = line.trim_matches(['[', ']']),
                    (false, Some((key, _))) => {
                        assert!(is_key(&example, table, Some(key)), "{name}: there is no [{table}] {key}");
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(keys > 10, "{keys}");
    assert!(is_key(&example, "mailbox", Some("ca_file")) && !is_key(&example, "mailbox", Some("asks")));
}

/// Whatever topic names a metric, it is one of the list in `metrics.md`, which `src/console/metrics.rs` holds against what
/// is told.
#[test]
fn every_metric_is_there() {
    let listed = fs::read_to_string(root().join("src/guide/metrics.md")).unwrap();
    let entry = Regex::new(r"(?m)^- `(\w+)(?:\{\w+\})?`, (\w+),").unwrap();
    let metrics: Vec<[&str; 2]> = entry.captures_iter(&listed).map(|found| found.extract().1).collect();
    let is_metric = |series: &str| {
        metrics.iter().any(|[name, kind]| match series.strip_prefix(name) {
            Some("") => true,
            Some("_bucket" | "_sum" | "_count") => *kind == "histogram",
            _ => false,
        })
    };
    assert!(is_metric("aftersalesd_outbox") && is_metric("aftersalesd_answer_seconds_sum"), "{metrics:?}");
    assert!(!is_metric("aftersalesd_outbox_sum") && !is_metric("aftersalesd_status"), "{metrics:?}");
    let named = Regex::new(r"\b(?:aftersalesd|process)_\w+").unwrap();
    for (name, text) in topics() {
        for found in named.find_iter(&text) {
            assert!(is_metric(found.as_str()), "{name}: there is no metric {}", found.as_str());
        }
    }
}

/// Whether the example has a table and a key in it, in force or not.
fn is_key(example: &str, table: &str, key: Option<&str>) -> bool {
    let heads = [format!("[{table}]"), format!("[[{table}]]")];
    let bare = |line: &str| line.trim_start_matches("# ").to_owned();
    let mut inside = false;
    let mut there = false;
    for line in example.lines().map(bare) {
        if line.starts_with('[') {
            inside = heads.contains(&line);
            there |= inside && key.is_none();
        }
        there |= inside && key.is_some_and(|key| line.starts_with(&format!("{key} = ")));
    }
    there
}

fn topics() -> Vec<(String, String)> {
    let mut topics = Vec::new();
    for file in fs::read_dir(root().join("src/guide")).unwrap() {
        let path: PathBuf = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            topics.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    topics
}

fn guide(words: &[&str]) -> Told {
    let mut command = program();
    command.arg("guide").args(words);
    run_within(command, Duration::from_secs(60))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
