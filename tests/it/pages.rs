//! Letters as `triage` shows them to people, held against golden pages: `tests/pages/*.eml` are taken in by the order of
//! their names as one mailbox, `*.txt` are their pages. `UPDATE_GOLDEN=1` rewrites these.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aftersalesd::app::demo::with_photos;
use regex::Regex;

use crate::support::program::{program, run};

#[test]
fn the_pages_of_letters_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
    let pages = pages(&folder);
    assert!(pages.len() >= 24, "{:?}", pages.keys());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differing = Vec::new();
    for (name, page) in &pages {
        let file = folder.join(name).with_extension("txt");
        if update {
            fs::write(&file, page).unwrap();
        } else if let Some(difference) = difference(&fs::read_to_string(&file).unwrap_or_default(), page) {
            differing.push(format!("{}: {difference}", file.display()));
        }
    }
    let left_over = files(&folder, "txt").into_iter().filter(|f| !pages.contains_key(&name(&f.with_extension("eml"))));
    differing.extend(left_over.map(|file| format!("{}: of no letter", file.display())));
    assert!(differing.is_empty(), "{}\nif they are right: UPDATE_GOLDEN=1 cargo test pages", differing.join("\n"));
}

#[test]
fn pages_fit_a_terminal_and_do_not_steer_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
    for (name, page) in pages(&folder) {
        for line in page.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202E}'), "{name}: {line:?}");
        }
    }
}

/// What `triage` prints, by the name of the letter. RMA numbers are random.
fn pages(folder: &Path) -> BTreeMap<String, String> {
    let mail = tempfile::tempdir().unwrap();
    let mut letters = files(folder, "eml");
    letters.sort();
    for file in &letters {
        fs::write(mail.path().join(name(file)), with_photos(&fs::read_to_string(file).unwrap())).unwrap();
    }
    let mut command = program();
    command.current_dir(mail.path()).args(["triage", "--config"]).arg(folder.join("config.toml"));
    command.args(letters.iter().map(|file| name(file)));
    let told = run(command);
    assert_eq!(told.code, Some(0), "{told:?}");
    let told = Regex::new(r"KR-(\d{4})-\w{6}").unwrap().replace_all(&told.out, "KR-$1-······").into_owned();
    let title = Regex::new(r"(?m)^━━ (\S+) ━*$").unwrap();
    let starts: Vec<(usize, String)> =
        title.captures_iter(&told).map(|c| (c.get(0).unwrap().start(), c[1].to_owned())).collect();
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([told.len()]);
    starts.iter().zip(ends).map(|((start, name), end)| (name.clone(), told[*start..end].to_owned())).collect()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == extension)).collect()
}

fn name(file: &Path) -> String {
    file.file_name().unwrap().to_str().unwrap().to_owned()
}

/// The first line in which two pages differ.
fn difference(golden: &str, page: &str) -> Option<String> {
    let mut golden = golden.lines();
    let mut lines = page.lines().enumerate();
    loop {
        match (golden.next(), lines.next()) {
            (None, None) => return None,
            (was, is) if was == is.map(|(_, line)| line) => {}
            (was, is) => {
                return Some(format!("was {was:?}, line {:?} is {:?}", is.map(|(n, _)| n + 1), is.map(|(_, l)| l)));
            }
        }
    }
}
