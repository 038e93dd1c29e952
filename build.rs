//! Puts the lexicons, the default templates, the guide and the demo's mail into the binary, so that one file is all there is
//! to install and a new language needs no change of code; and says what `--version` tells.
#![allow(clippy::expect_used, reason = "a build script that cannot go on has nobody to tell but cargo")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo:rustc-env=AFTERSALESD_VERSION={}", version());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (folder, name, include) in [
        ("src/pipeline/extract/lexicon", "lexicons.rs", "include_str!"),
        ("templates/mail", "templates.rs", "include_str!"),
        ("src/guide", "guide.rs", "include_str!"),
        ("src/app/demo/mail", "demo_mail.rs", "include_str!"),
        ("src/app/demo/photos", "demo_photos.rs", "include_bytes!"),
    ] {
        println!("cargo:rerun-if-changed={folder}");
        let root =
            Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        collect(&root, &mut files);
        let is = |file: &Path, kinds: &[&str]| kinds.iter().any(|kind| file.extension().is_some_and(|e| e == *kind));
        // What stands beside the data for people and for training stays out.
        files.retain(|file| match folder {
            "src/guide" => is(file, &["md"]),
            _ => !is(file, &["md", "tsv", "letters"]),
        });
        files.sort();
        let mut code = String::from("&[\n");
        for file in files {
            let inside =
                file.strip_prefix(&root).expect("below the root").to_str().expect("a name in UTF-8").replace('\\', "/");
            writeln!(code, "    ({inside:?}, {include}({file:?})),").expect("a string takes all");
        }
        code.push(']');
        fs::write(out.join(name), code).expect("OUT_DIR can be written");
    }
}

/// The package's version, in a release with the commit: that of `AFTERSALESD_COMMIT`, else what git tells of this folder,
/// else none. What is built while one works belongs to no commit, and would be built anew at each.
fn version() -> String {
    println!("cargo:rerun-if-env-changed=AFTERSALESD_COMMIT");
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let version = variable("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    let is_release = variable("PROFILE").is_some_and(|profile| profile == "release");
    let commit = variable("AFTERSALESD_COMMIT").or_else(|| if is_release { commit() } else { None });
    commit.map_or_else(|| version.clone(), |commit| format!("{version} ({commit})"))
}

/// The commit of this folder, with `-dirty` if something in it is of none.
fn commit() -> Option<String> {
    // An unpacked package within another project's repository is not of its commit.
    if !Path::new(".git").exists() {
        return None;
    }
    let git = |words: &[&str]| {
        let told = Command::new("git").args(words).output().ok().filter(|told| told.status.success())?;
        Some(String::from_utf8(told.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    for changing in [log.as_str(), "Cargo.toml", "Cargo.lock", "src", "templates"] {
        println!("cargo:rerun-if-changed={changing}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
