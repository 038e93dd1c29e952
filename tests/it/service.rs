//! What a package is made of: units that systemd takes, man pages and completions that know every command, licences that
//! are allowed. `tests/package` installs it all on a Debian root with systemd.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use crate::support::program::{Installation, Told, program, run_within};

/// The exposure that systemd may see in a unit at most, of 10.
const EXPOSURE: f64 = 2.0;

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/packaging")
}

fn unit(name: &str) -> String {
    fs::read_to_string(packaging().join(name)).unwrap()
}

fn told(words: &[&str]) -> Told {
    let mut command = program();
    command.args(words);
    run_within(command, Duration::from_secs(60))
}

/// Every command that `--help` shows, with the commands below it: `["cases", "list"]`.
fn commands(above: &[&str], found: &mut Vec<Vec<String>>) {
    let told = told(&[above, &["--help"]].concat());
    assert_eq!(told.code, Some(0), "{told:?}");
    let listed = Regex::new(r"(?m)^  ([a-z]+) ").unwrap();
    let Some(section) = told.out.split("\nCommands:\n").nth(1) else { return };
    for name in listed.captures_iter(section.split("\n\n").next().unwrap()).map(|name| name[1].to_owned()) {
        if name != "help" {
            let words: Vec<&str> = above.iter().copied().chain([name.as_str()]).collect();
            found.push(words.iter().map(|word| (*word).to_owned()).collect());
            commands(&words, found);
        }
    }
}

#[test]
fn every_command_has_a_man_page_and_no_other() {
    let here = Installation::of_maildirs();
    let folder = here.path("man");
    let made = told(&["generate", "man", folder.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let mut all = vec![Vec::new()];
    commands(&[], &mut all);
    assert!(all.len() > 30, "{all:?}");
    let expected: BTreeSet<String> = all
        .iter()
        .map(|words| ["aftersalesd"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("-"))
        .map(|name| format!("{name}.1"))
        .collect();
    let there: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, expected);
    let run = fs::read_to_string(folder.join("aftersalesd-run.1")).unwrap();
    assert!(run.contains("Take in letters and send replies") && run.contains("\\-\\-config"), "{run}");
}

#[test]
fn the_shell_completes_commands_and_options() {
    let here = Installation::of_maildirs();
    let folder = here.path("completions");
    let made = told(&["generate", "completions", folder.to_str().unwrap()]);
    assert_eq!(made.code, Some(0), "{made:?}");
    for name in ["aftersalesd.bash", "_aftersalesd", "aftersalesd.fish"] {
        assert!(fs::read_to_string(folder.join(name)).unwrap().contains("quarantine"), "{name}");
    }
    let completed = |line: &[&str]| {
        let script = format!(
            "source '{}'; COMP_WORDS=({}); COMP_CWORD={}; _aftersalesd aftersalesd '{}' '{}'; echo \"${{COMPREPLY[@]}}\"",
            folder.join("aftersalesd.bash").display(),
            line.join(" "),
            line.len() - 1,
            line[line.len() - 1],
            line[line.len() - 2],
        );
        let told = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert!(told.status.success(), "{told:?}");
        String::from_utf8(told.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed(&["aftersalesd", "cases", "qua"]), "quarantine");
    assert_eq!(completed(&["aftersalesd", "backup", "--conf"]), "--config");
}

#[test]
fn the_version_is_the_packages_and_may_name_a_commit() {
    let shown = told(&["--version"]).out;
    let form = Regex::new(r"^aftersalesd (\d+\.\d+\.\d+)( \([0-9a-f]{7,40}(-dirty)?\))?\n$").unwrap();
    let version = form.captures(&shown).unwrap_or_else(|| panic!("{shown:?}"));
    assert_eq!(&version[1], env!("CARGO_PKG_VERSION"));
    let below = told(&["cases", "list", "--version"]).out;
    assert_eq!(below, shown.replacen("aftersalesd", "aftersalesd-cases-list", 1));
}

#[test]
fn both_services_are_hardened_alike() {
    let hardening = |name| {
        let text = unit(name);
        let section = text.split("# Hardening\n").nth(1).unwrap();
        section.split("\n[").next().unwrap().trim_end().to_owned()
    };
    assert_eq!(hardening("aftersalesd.service"), hardening("aftersalesd-once.service"));
    assert!(hardening("aftersalesd.service").lines().count() > 25);
}

/// systemd's own word; where it is not installed, that is said.
#[test]
fn systemd_takes_the_units_and_finds_little_exposed() {
    let analyze = |words: &[&str]| Command::new("systemd-analyze").args(words).output();
    if analyze(&["--version"]).is_err() {
        println!("systemd-analyze is not installed: nothing is proven");
        return;
    }
    let here = Installation::of_maildirs();
    let names = ["aftersalesd.service", "aftersalesd-once.service", "aftersalesd-once.timer"];
    let documented = Regex::new("(?m)^Documentation=.*\n").unwrap();
    for name in names {
        // The program and its man pages need not be installed here.
        let text = unit(name).replace("=aftersalesd ", "=/bin/true ");
        here.write(name, documented.replace_all(&text, "").as_bytes());
    }
    for name in names {
        let told = analyze(&["verify", here.path(name).to_str().unwrap()]).unwrap();
        assert!(told.status.success() && told.stderr.is_empty(), "{told:?}");
    }
    let exposure = Regex::new(r"Overall exposure level for \S+: (\d+\.\d+)").unwrap();
    for name in &names[..2] {
        let path = packaging().join(name);
        let told = analyze(&["security", "--offline=true", "--no-pager", path.to_str().unwrap()]).unwrap();
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let level: f64 = exposure.captures(&text).unwrap_or_else(|| panic!("{told:?}"))[1].parse().unwrap();
        assert!(level <= EXPOSURE, "{name}: {level}\n{text}");
    }
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let policy: toml::Table = fs::read_to_string(root.join(".deny.toml")).unwrap().parse().unwrap();
    let texts = |value: &toml::Value| -> BTreeSet<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    };
    let allowed = texts(&policy["licenses"]["allow"]);
    let exceptions = policy["licenses"]["exceptions"].as_array().unwrap();
    let words = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform"];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap());
    let platform = "x86_64-unknown-linux-gnu";
    let told = cargo.args(words).arg(platform).arg("--manifest-path").arg(root.join("Cargo.toml")).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let metadata: Value = serde_json::from_slice(&told.stdout).unwrap();
    let crates = metadata["packages"].as_array().unwrap();
    assert!(crates.len() > 200);
    let mut refused = Vec::new();
    for package in crates {
        let (name, licence) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        let of_this = exceptions.iter().filter(|exception| exception["crate"].as_str() == Some(name));
        let known: BTreeSet<String> =
            of_this.flat_map(|exception| texts(&exception["allow"])).chain(allowed.iter().cloned()).collect();
        if !is_allowed(licence, &known) {
            refused.push(format!("{name}: {licence}"));
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

/// As the package and the container hold them.
#[test]
fn the_notices_of_all_that_is_built_in_can_be_gathered() {
    let folder = tempfile::tempdir().unwrap();
    let mut script = Command::new(packaging().join("third_party.py"));
    // Debian's own python3 is enough.
    script.arg(folder.path()).env("CARGO_NET_OFFLINE", "true");
    let told = run_within(script, Duration::from_secs(60));
    assert_eq!(told.code, Some(0), "{told:?}");
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let crates = text("crates.txt");
    let manifest: toml::Table =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap().parse().unwrap();
    for (name, _) in manifest["dependencies"].as_table().unwrap() {
        let listed = Regex::new(&format!(r"(?m)^  {name} \d\S*: ")).unwrap();
        let with_a_text = Regex::new(&format!(r"(?m)^={{80}}\n(?:.*, )?{name} \d")).unwrap();
        assert!(listed.is_match(&crates) && with_a_text.is_match(&crates), "{name}");
    }
    assert!(!crates.contains("  boon "), "it is of the tests alone");
    // MPL-2.0 wants it told where the source is.
    assert!(Regex::new(r"(?m)^  cssparser \S+: MPL-2.0; its source, .* https://\S+$").unwrap().is_match(&crates));
    assert!(text("fonts-Noto-Sans.txt").contains("SIL OPEN FONT LICENSE"));
    assert!(text("rust-standard-library.html").contains("backtrace"));
}

#[test]
fn both_changelogs_begin_with_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let first = |name: &str, form: &str| {
        let text = unit(name);
        Regex::new(form).unwrap().captures(&text).unwrap_or_else(|| panic!("{name}: {text}"))[1].to_owned()
    };
    assert_eq!(first("CHANGELOG.md", r"(?m)^## (\d+\.\d+\.\d+) - (?:unreleased|\d{4}-\d\d-\d\d)$"), version);
    assert_eq!(first("debian/changelog", r"^aftersalesd \((\d+\.\d+\.\d+)-\d+\)"), version);
}

/// Whether a licence expression (SPDX; `/` is an old "or") can be met: of all that "and" joins, one of what "or" joins.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let bare = expression.replace('/', " OR ").replace(['(', ')'], " ");
    let of_one = |text: &str| allowed.contains(text.trim().split(" WITH ").next().unwrap().trim());
    // "(A OR B) AND C" and "A OR B AND C" alike: each side of an "and" by itself.
    bare.split(" AND ").all(|part| part.split(" OR ").any(of_one))
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = BTreeSet::from(["MIT".to_owned(), "Unicode-3.0".to_owned()]);
    for met in ["MIT", "Apache-2.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Unicode-3.0"] {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for not in ["GPL-3.0", "MIT AND GPL-3.0", "none", "Apache-2.0 OR GPL-3.0"] {
        assert!(!is_allowed(not, &allowed), "{not}");
    }
}
