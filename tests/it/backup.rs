//! `backup` and `export` of a store at work, `verify` of whatever is on disk, and the way back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::passes::{NO_CAP, Post};
use crate::support::letter;
use crate::support::program::{Installation, Told, await_that, program, run};

fn verify(folder: &Path) -> Told {
    let mut command = program();
    command.arg("verify").arg(folder);
    run(command)
}

/// The same installation with another store.
fn on(post: &Post, store: &str) -> Installation {
    let there =
        Installation::new("kind = \"maildir\"\npath = \"inbox\"", "kind = \"maildir\"\npath = \"replies\"", NO_CAP);
    there.replace("path = \"store\"", &format!("path = {:?}", post.here.path(store).display().to_string()));
    there
}

fn owners_alone(path: &Path) {
    let mode = fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| owners_alone(&entry.unwrap().path()));
    }
}

#[test]
fn backups_of_a_store_at_work_are_whole_and_can_be_worked_on() {
    let post = Post::start();
    let mails: Vec<String> = (0..400).map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
    let mut daemon = post.here.start();
    let mut cases = Vec::new();
    for number in 0..4 {
        await_that(Duration::from_secs(30), "progress", || post.smtpd.kept().len() > number * 60);
        let target = post.here.path(&format!("backups/{number}"));
        let told = post.here.ok(&["backup", target.to_str().unwrap()]);
        assert!(told.out.contains("cases"), "{told:?}");
        owners_alone(&target);
        let told = verify(&target);
        assert_eq!(told.code, Some(0), "{told:?}");
        cases.push(on(&post, &format!("backups/{number}")).json(&["cases", "list", "--json"]).len());
    }
    assert!(cases.is_sorted() && cases[0] > 0, "{cases:?}");
    await_that(Duration::from_secs(60), "all replies", || post.smtpd.kept().len() == 400);
    await_that(Duration::from_secs(20), "all is noted", || {
        let found = post.here.ok(&["audit", "--json"]).json().pop().unwrap();
        found["store"]["waiting"] == 0 && found["mailbox"]["unmarked"] == 0
    });
    // At rest: the same with and without the daemon.
    let export = post.here.ok(&["export"]).out;
    let last = post.here.path("backups/last");
    post.here.ok(&["backup", last.to_str().unwrap()]);
    let list = post.here.ok(&["cases", "list", "--json"]).out;
    let verified = post.here.ok(&["verify"]).out;
    assert_eq!(daemon.terminate(), Some(0));
    assert_eq!(post.here.ok(&["export"]).out, export);
    assert_eq!(post.here.ok(&["verify"]).out, verified);
    let there = on(&post, "backups/last");
    assert_eq!(there.ok(&["export"]).out, export);
    assert_eq!(there.ok(&["cases", "list", "--json"]).out, list);
    // Back in its place, as after a lost disk: nothing is done twice, new mail is answered.
    fs::remove_dir_all(post.here.path("store")).unwrap();
    fs::rename(&last, post.here.path("store")).unwrap();
    post.dovecot.deliver(&letter(400, 900));
    post.here.ok(&["once"]);
    assert_eq!(post.smtpd.kept().len(), 401);
    post.here.ok(&["audit"]);
    // From a backup of before: what came since comes again, known letters are known.
    fs::remove_dir_all(post.here.path("store")).unwrap();
    fs::rename(post.here.path("backups/0"), post.here.path("store")).unwrap();
    post.here.ok(&["once"]);
    assert_eq!(post.cases().len(), 401);
    post.here.ok(&["audit"]);
    assert_eq!(post.replies_by_address().len(), 401);
    assert!(post.replies_by_address().values().all(|ids| ids.len() == 1), "a repetition is the same mail");
}

#[test]
fn a_backup_needs_a_new_folder_and_leaves_nothing_if_it_fails() {
    let here = Installation::of_maildirs();
    here.deliver("1.host", letter(1, 900).as_bytes());
    here.ok(&["once"]);
    here.write("full/file", "x");
    let told = here.run(&["backup", here.path("full").to_str().unwrap()]);
    assert_eq!((told.code, told.complaints().len()), (Some(1), 1), "{told:?}");
    fs::create_dir(here.path("empty")).unwrap();
    here.ok(&["backup", here.path("empty").to_str().unwrap()]);
    assert_eq!(verify(&here.path("empty")).code, Some(0));
    fs::create_dir(here.path("new.partial")).unwrap();
    let told = here.run(&["backup", here.path("new").to_str().unwrap()]);
    assert!(told.code == Some(1) && told.complaints()[0].contains("new.partial"), "{told:?}");
    // The mail under an index entry is gone: the backup says so by being refused.
    let told = verify(&here.path("full"));
    assert!(told.code == Some(1) && told.complaints()[0].contains("no store"), "{told:?}");
    assert!(!here.path("full/cases").exists(), "looking makes none");
}

#[test]
fn a_damaged_database_is_told_in_one_line_wherever_it_is_hit() {
    let here = Installation::of_maildirs();
    for number in 0..30 {
        here.deliver(&format!("{number}.host"), letter(number, 900).as_bytes());
    }
    here.ok(&["once"]);
    let store = format!("path = {:?}", here.path("store").display().to_string());
    here.replace("path = \"store\"", &store);
    let sound = fs::read(here.path("store/cases/db")).unwrap();
    let used = sound.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for step in 0..24 {
        let mut damaged = sound.clone();
        let from = step * used / 24;
        damaged[from..from + 64].iter_mut().for_each(|byte| *byte ^= 0x5a);
        let copy = here.path(&format!("copies/{step}"));
        here.write(&format!("copies/{step}/cases/db"), &damaged);
        for file in ["cases/conf", "raw/000001.seg"] {
            fs::create_dir_all(copy.join(file).parent().unwrap()).unwrap();
            fs::copy(here.path("store").join(file), copy.join(file)).unwrap();
        }
        let snapshots = fs::read_dir(here.path("store/cases")).unwrap().map(|entry| entry.unwrap());
        for file in snapshots.filter(|entry| entry.file_name().to_string_lossy().starts_with("snap.")) {
            fs::copy(file.path(), copy.join("cases").join(file.file_name())).unwrap();
        }
        let told = verify(&copy);
        assert!(!told.err.contains("panicked"), "{told:?}");
        match told.code {
            Some(0) => {
                // Sound, but perhaps as of a moment before: the end of a log can't be told from a torn write. Then the
                // audit tells which letters are to be taken in once more.
                here.replace(&store, &format!("path = {:?}", copy.display().to_string()));
                let told = here.run(&["audit", "--json"]);
                let found = told.json().pop().unwrap();
                assert!(told.code == Some(1) || found["store"]["cases"] == 30, "damage at {from}: {told:?}");
                here.replace(&format!("path = {:?}", copy.display().to_string()), &store);
            }
            Some(1) => {
                assert_eq!(told.complaints().len(), 1, "{told:?}");
                refused += 1;
            }
            code => panic!("{code:?}: {told:?}"),
        }
    }
    assert!(refused >= 3, "{refused} of 24 were seen");
}
