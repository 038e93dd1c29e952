//! Every clause of the policy page has a test of its name: `repair.window` has a `fn repair_window_…`.

use std::fs;
use std::path::Path;

use regex::Regex;

#[test]
fn every_clause_of_the_policy_has_a_test_of_its_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The page lies beside the project where it is developed.
    let Ok(page) = fs::read_to_string(root.join("../shared/policy.md")) else { return };
    let clauses = clauses(&page);
    assert!(clauses.len() > 30, "{clauses:?}");
    let mut tests = Vec::new();
    collect(&root.join("src"), &mut tests);
    collect(&root.join("tests/it"), &mut tests);
    let tested = |clause: &&String| {
        let name = clause.replace('.', "_");
        tests.iter().any(|test| test.strip_prefix(&name).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
    };
    let untested: Vec<&String> = clauses.iter().filter(|clause| !tested(clause)).collect();
    assert!(untested.is_empty(), "no test is named after {untested:?}");
}

/// The names in the first column of the page's table.
fn clauses(page: &str) -> Vec<String> {
    let name = Regex::new(r"`([a-z_.0-9]+)`").unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let columns = rows.filter_map(|row| row.split('|').nth(1));
    columns.flat_map(|column| name.captures_iter(column).map(|found| found[1].to_owned())).collect()
}

/// The names of the tests in all sources below a folder.
fn collect(folder: &Path, names: &mut Vec<String>) {
    let test = Regex::new(r"#\[(?:tokio::)?test\]\s+(?:async )?fn (\w+)").unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            names.extend(test.captures_iter(&source).map(|found| found[1].to_owned()));
        }
    }
}
