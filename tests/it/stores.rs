//! Stores of every record version that was ever written, in `tests/store/`: they open, are sound, and are worked on.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::audit::with_a_trap;
use crate::support::post::Draft;
use crate::support::program::{Installation, Told, run, sample};
use crate::support::{is_root, letter};

/// All versions so far. A new one is added here, and its sample is written once with
/// `cargo test --test it writes_the_sample -- --ignored`.
const VERSIONS: [u32; 2] = [1, 2];

pub fn kept(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/store").join(name)
}

pub fn tar(arguments: &[&str], folder: &Path) {
    let done = Command::new("tar").args(arguments).current_dir(folder).status().unwrap();
    assert!(done.success());
}

/// Cases of all kinds, with replies sent, waiting and tried before, a letter in quarantine and one dealt with.
fn fill(here: &Installation) {
    let samples =
        ["01-english-complete-repair", "03-just-broken-from-a-phone", "05-out-of-office", "11-swollen-battery"];
    for (number, name) in samples.iter().enumerate() {
        here.deliver(&format!("{number}.host"), &fs::read(sample(&format!("mail/{name}.eml"))).unwrap());
    }
    let unused = Draft {
        from: "Sabine <sabine@example.net>",
        id: "unused@example.net",
        subject: "Return of order KS50002",
        body: "I would like to return the Magic 5 from order KS50002. It is unopened, unused and still sealed.\n\
               The item code is 2000400001070.\n",
        answers: None,
        photos: &[],
    };
    here.deliver("4.host", unused.raw().as_bytes());
    with_a_trap(here);
    for number in 5..7 {
        here.deliver(&format!("{number}.host"), letter(number, 700).replace("From: Jo ", "From: Zed ").as_bytes());
    }
    here.ok(&["once"]);
    here.ok(&["cases", "dismiss", "6@example.net", "answered by phone"]);
    // No room in the outbox's folder: the reply waits.
    fs::remove_dir_all(here.path("replies")).unwrap();
    here.write("replies", "not a folder");
    here.deliver("8.host", letter(8, 700).as_bytes());
    assert_eq!(here.run(&["once"]).code, Some(75));
    fs::remove_file(here.path("replies")).unwrap();
}

#[test]
#[ignore = "writes the sample of the current version into tests/store; run once when the version of records changes"]
fn writes_the_sample() {
    let here = Installation::of_maildirs();
    fill(&here);
    let version = VERSIONS[VERSIONS.len() - 1];
    fs::create_dir_all(kept("")).unwrap();
    fs::write(kept(&format!("v{version}.jsonl")), here.ok(&["export"]).out).unwrap();
    tar(&["-czf", kept(&format!("v{version}.tar.gz")).to_str().unwrap(), "--exclude=lock", "store"], &here.path(""));
}

#[test]
fn a_store_of_every_version_opens_and_is_worked_on() {
    for version in VERSIONS {
        let here = Installation::of_maildirs();
        tar(&["-xzf", kept(&format!("v{version}.tar.gz")).to_str().unwrap()], &here.path(""));
        let export = fs::read_to_string(kept(&format!("v{version}.jsonl"))).unwrap();
        here.ok(&["verify"]);
        let kept = format!("store/cases.format-{version}");
        assert_eq!(here.path(&kept).exists(), version < VERSIONS[VERSIONS.len() - 1], "{kept}");
        if version == VERSIONS[VERSIONS.len() - 1] {
            assert_eq!(here.ok(&["export"]).out, export, "version {version}");
        }
        let there = Installation::of_maildirs();
        there.write("export", &export);
        there.ok(&["import", there.path("export").to_str().unwrap()]);
        assert_eq!(there.ok(&["export"]).out, here.ok(&["export"]).out);
        for store in [&here, &there] {
            store.ok(&["verify"]);
            assert_eq!(store.json(&["cases", "quarantine", "--json"]).len(), 1);
            let cases = store.json(&["cases", "list", "--json"]);
            assert_eq!(cases.len(), 5, "{cases:#?}");
            assert_eq!(cases.iter().filter(|case| case["rma"].is_string()).count(), 1);
            // The waiting reply goes, a known letter is known, a new one is answered, the cause of the quarantine is gone.
            store.deliver("1.there", &fs::read(sample("mail/03-just-broken-from-a-phone.eml")).unwrap());
            store.deliver("2.there", letter(9, 700).as_bytes());
            store.ok(&["once"]);
            assert_eq!(store.replies().len(), 2);
            store.ok(&["cases", "retry", "all"]);
            assert_eq!(store.json(&["cases", "list", "--json"]).len(), 7);
            store.ok(&["verify"]);
        }
    }
}

#[test]
fn what_an_earlier_version_left_is_kept_to_go_back_to_until_somebody_is_erased() {
    let here = Installation::of_maildirs();
    tar(&["-xzf", kept("v1.tar.gz").to_str().unwrap()], &here.path(""));
    let brings_forward = |words: &[&str]| {
        let mut command = here.command(words);
        command.env("AFTERSALESD_LOG", "info");
        let told = run(command);
        assert_eq!(told.code, Some(0), "{told:?}");
        (told.err.contains("of an earlier version"), told.out)
    };
    let (first, export) = brings_forward(&["export"]);
    assert!(first);
    assert!(!brings_forward(&["export"]).0, "it is of this version now");
    // What came since is in none of the old records.
    here.deliver("1.there", letter(9, 700).as_bytes());
    here.ok(&["once"]);
    assert_ne!(here.ok(&["export"]).out, export);
    fs::remove_dir_all(here.path("store/cases")).unwrap();
    fs::rename(here.path("store/cases.format-1"), here.path("store/cases")).unwrap();
    let (again, _) = brings_forward(&["verify"]);
    assert!(again, "the copy is of the earlier version");
    let told = brings_forward(&["cases", "list", "--json"]).1;
    assert_eq!(told.lines().count(), 5, "{told}");
    assert!(here.path("store/cases.format-1/db").exists());
    here.ok(&["cases", "erase", "--force", "--customer", "sabine@example.net"]);
    here.ok(&["verify"]);
    assert!(!here.path("store/cases.format-1").exists(), "who is erased stands in it too");
}

/// Who went back by a copy of what was kept, and left that where it was, has worked on with the earlier version since.
#[test]
fn what_was_kept_when_it_was_brought_forward_before_is_not_taken_for_what_it_is_now() {
    let here = Installation::of_maildirs();
    tar(&["-xzf", kept("v1.tar.gz").to_str().unwrap()], &here.path(""));
    here.write("store/cases.format-1/of-before", "stale");
    here.ok(&["verify"]);
    assert!(here.path("store/cases.format-1/db").exists() && !here.path("store/cases.format-1/of-before").exists());
    fs::remove_dir_all(here.path("store/cases")).unwrap();
    fs::rename(here.path("store/cases.format-1"), here.path("store/cases")).unwrap();
    assert_eq!(here.json(&["cases", "list", "--json"]).len(), 5);
}

/// What root made there the daemon could not open: neither is anything written, nor does the daemon come across it.
#[test]
fn root_leaves_the_store_of_somebody_else_alone() {
    const NOBODY: u32 = 65_534;
    if !is_root() {
        println!("skipped: only root can give a store away, and so nothing is proven here");
        return;
    }
    let here = Installation::of_maildirs();
    here.deliver("1.host", letter(1, 700).as_bytes());
    here.ok(&["once"]);
    let folder = here.path("store");
    let owned = |owner: u32| {
        let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.iter().chain([&folder]).for_each(|path| chown(path, Some(owner), None).unwrap());
    };
    owned(NOBODY);
    fs::remove_file(here.path("store/lock")).unwrap();
    for words in [&["cases", "list"][..], &["once"], &["run"], &["status"], &["verify"], &["import", "-"]] {
        let told: Told = here.run(words);
        assert_eq!((told.code, told.complaints().len()), (Some(78), 1), "{words:?}: {told:?}");
        assert!(told.complaints()[0].contains("runuser -u nobody -- aftersalesd"), "{told:?}");
    }
    assert!(!here.path("store/lock").exists(), "nothing is written there");
    // One that is not there yet would be root's too.
    here.replace("path = \"store\"", "path = \"store/of-a-brand\"");
    assert_eq!(here.run(&["cases", "list"]).code, Some(78));
    assert!(!here.path("store/of-a-brand").exists());
    here.replace("path = \"store/of-a-brand\"", "path = \"store\"");
    owned(fs::metadata("/").unwrap().uid());
    assert_eq!(here.ok(&["cases", "list", "--json"]).json().len(), 1);
}

/// systemd does not try again what ends with 78.
#[test]
fn a_store_of_a_newer_version_is_left_alone_until_that_version_is_back() {
    let here = Installation::of_maildirs();
    here.deliver("1.host", letter(1, 700).as_bytes());
    here.ok(&["once"]);
    let export = here.ok(&["export"]).out;
    let raise = |format: u32| {
        let db = sled::open(here.path("store/cases")).unwrap();
        let meta = db.open_tree("meta").unwrap();
        let before = meta.insert("version", format!("{{\"v\":2,\"record\":{format}}}").as_bytes()).unwrap();
        db.flush().unwrap();
        before.unwrap()
    };
    assert_eq!(&*raise(3), br#"{"v":2,"record":2}"#);
    for words in [&["run"][..], &["once"], &["cases", "list"], &["backup", "elsewhere"]] {
        let told: Told = here.run(words);
        assert_eq!((told.code, told.complaints().len()), (Some(78), 1), "{words:?}: {told:?}");
        assert!(told.complaints()[0].contains("format 3") && told.complaints()[0].contains("install"), "{told:?}");
    }
    raise(2);
    assert_eq!(here.ok(&["export"]).out, export);
}

#[test]
fn what_a_newer_program_has_written_is_refused_in_one_line_and_never_dropped() {
    let export = fs::read_to_string(kept("v2.jsonl")).unwrap();
    let complains = |text: String, words: &[&str]| {
        let here = Installation::of_maildirs();
        here.write("export", &text);
        let told: Told = here.run(&["import", here.path("export").to_str().unwrap()]);
        assert_eq!((told.code, told.complaints().len()), (Some(1), 1), "{told:?}");
        assert!(words.iter().all(|word| told.complaints()[0].contains(word)), "{told:?}");
        here.ok(&["verify"]);
        assert_eq!(here.ok(&["cases", "list"]).out, "nothing found\n");
    };
    complains(
        export.replacen("{\"aftersalesd_store\":2}", "{\"aftersalesd_store\":3}", 1),
        &["newer version", "format 3"],
    );
    complains(export.replacen("\"v\":2", "\"v\":3", 1), &["newer version"]);
    complains(
        export.replacen("\"acknowledged\":", "\"mood\":\"calm\",\"acknowledged\":", 1),
        &["line 3", "does not know"],
    );
}
