//! Puts the lexicons, the default templates and the demo's mail into the binary, so that one file is all there is to
//! install and a new language needs no change of code.
#![allow(clippy::expect_used, reason = "a build script that cannot go on has nobody to tell but cargo")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for (folder, name, include) in [
        ("src/pipeline/extract/lexicon", "lexicons.rs", "include_str!"),
        ("templates/mail", "templates.rs", "include_str!"),
        ("src/app/demo/mail", "demo_mail.rs", "include_str!"),
        ("src/app/demo/photos", "demo_photos.rs", "include_bytes!"),
    ] {
        println!("cargo:rerun-if-changed={folder}");
        let root =
            Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR")).join(folder);
        let mut files = Vec::new();
        collect(&root, &mut files);
        // What stands beside the data for people and for training stays out.
        files.retain(|f| !f.extension().is_some_and(|e| e == "md" || e == "tsv" || e == "letters"));
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
