//! The program is killed: at every point between two side effects and at random moments; while it starts, imports and
//! erases. Afterwards nothing is lost, and nothing was done twice but what could not be known.
//!
//! `AFTERSALESD_KILLS=1000 AFTERSALESD_SEED=7 cargo test --test it crash -- --nocapture` kills longer.

mod books;
mod town;
mod turns;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aftersalesd::domain::ids::LetterId;
use aftersalesd::fail_point::POINTS;
use aftersalesd::store::{Commit, Store, StoreError};

use self::town::{Town, digest};
use crate::support::letter;
use crate::support::program::{Installation, Told, await_that, run};

/// Passed on every start.
const AT_START: &[&str] = &[
    "open-locked",
    "open-snapshots-swept",
    "open-trees",
    "open-format-noted",
    "open-archive-cut",
    "open-mail-indexed",
    "open-lost-mail-asked-for",
    "open-cases-placed",
];
/// Passed when a snapshot of the tables is damaged.
const AT_REPAIR: &[&str] = &["open-snapshots-copied"];
/// Passed again and again while letters come in and replies go out.
const AT_WORK: &[&str] = &[
    "letters-fetched",
    "segment-full",
    "segment-rolled",
    "mail-half-written",
    "mail-kept",
    "letters-kept",
    "letter-committed",
    "batch-committed",
    "flush-begun",
    "flush-archive-synced",
    "flush-done",
    "batch-durable",
    "mailbox-to-be-told",
    "mailbox-told",
    "mailbox-noted",
    "outbox-taken",
    "reply-to-be-sent",
    "reply-accepted",
    "replies-noted",
    "replies-durable",
    "search-behind",
    "search-followed",
];
/// Passed when the SMTP server does not take a reply: the point, and whose mail it refuses.
const AT_REFUSAL: &[(&str, &str)] = &[("reply-put-off", "later"), ("reply-refused", "never")];
const AT_IMPORT: &[&str] = &["import-marked", "import-chunk", "import-flushed"];
const AT_UNDOING: &[&str] = &["import-undone"];
const AT_ERASURE: &[&str] = &["erase-half-done", "erase-overwritten", "erase-noted"];
/// `crash::turns` dies there.
const AT_TURN: &[&str] =
    &["case-gone-on", "act-durable", "migrate-copied", "migrate-kept", "migrate-begun", "migrate-table"];

/// Passed when another program is told of a case: `webhooks` dies there.
const AT_WEBHOOKS: &[&str] = &["webhook-to-be-posted", "webhook-answered"];

/// Passed when a customer is forgotten.
pub const AT_FORGETTING: &[&str] = &[
    "erase-key-drawn",
    "erase-search-forgot",
    "erase-case-rewritten",
    "forget-case-erased",
    "erase-letter-hidden",
    "erase-traces-removed",
];

/// Passed when a store is opened in which something was erased.
pub const AT_COMPACTION: &[&str] = &["compact-copied", "compact-moved-away", "compact-in-place"];

/// Kills at random moments, if nothing else is asked for: with those at points 200 in all.
const RANDOM_KILLS: usize = 120;

#[test]
fn every_point_is_where_it_is_said_to_be_and_some_test_dies_there() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(&src).unwrap().to_str().unwrap().to_owned();
                for call in fs::read_to_string(&path).unwrap().split("fail_point::reached(\"").skip(1) {
                    found.push((call.split('"').next().unwrap().to_owned(), name.clone()));
                }
            }
        }
    }
    let mut claimed: Vec<_> = POINTS.iter().map(|(name, file)| ((*name).to_owned(), (*file).to_owned())).collect();
    found.sort();
    claimed.sort();
    assert_eq!(found, claimed);
    let refusals = AT_REFUSAL.iter().map(|(point, _)| point);
    let tested = [
        AT_START,
        AT_REPAIR,
        AT_WORK,
        AT_IMPORT,
        AT_UNDOING,
        AT_ERASURE,
        AT_TURN,
        AT_FORGETTING,
        AT_COMPACTION,
        AT_WEBHOOKS,
    ]
    .into_iter()
    .flatten();
    let mut tested: Vec<&str> = tested.chain(refusals).copied().collect();
    tested.sort_unstable();
    assert_eq!(tested, claimed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
}

#[test]
fn killed_at_every_point_between_two_side_effects() {
    let mut town = Town::start(1);
    for times in [1, 3] {
        for point in AT_WORK {
            town.die_at(point, times, None);
            books::check_what_is_acknowledged(&town);
        }
    }
    for (point, address) in AT_REFUSAL {
        for times in [1, 2] {
            town.die_at(point, times, Some(address));
        }
    }
    town.pass();
    let repeats = books::check(&town);
    for case in town.post.here.json(&["cases", "list", "--json"]) {
        let found = town.post.here.json(&["cases", "search", case["case"].as_str().unwrap(), "--json"]);
        assert_eq!(found[0], case, "the search has caught up");
    }
    println!("{} kills, {} mails, {repeats} replies repeated", town.kills(), town.mails.len());
}

#[test]
fn killed_while_it_puts_right_what_a_kill_left() {
    let mut town = Town::start(2);
    for (number, point) in AT_START.iter().enumerate() {
        let before = ["batch-committed", "mail-half-written", "segment-rolled", "flush-archive-synced"][number % 4];
        town.die_at(before, 1, None);
        town.die_at(AT_START[AT_START.len() - 1 - number], 1, None);
        town.die_at(point, 1, None);
    }
    town.pass();
    for point in AT_REPAIR {
        let snapshots = fs::read_dir(town.post.here.path("store/cases")).unwrap().map(|entry| entry.unwrap().path());
        let snapshots: Vec<_> = snapshots.filter(|path| path.to_str().unwrap().contains("/snap.")).collect();
        assert!(!snapshots.is_empty());
        snapshots.iter().for_each(|path| fs::write(path, "damaged").unwrap());
        town.die_at(point, 1, None);
    }
    town.pass();
    let repeats = books::check(&town);
    println!("{} kills, {} mails, {repeats} replies repeated", town.kills(), town.mails.len());
}

#[test]
fn killed_at_random_moments() {
    killed_at_random(0);
}

#[test]
fn killed_at_other_random_moments() {
    killed_at_random(1);
}

/// Half of the kills, in a town of their own.
fn killed_at_random(half: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|told| told.parse::<u64>().unwrap());
    let seed = number("AFTERSALESD_SEED").unwrap_or_else(|| fastrand::u64(..)).wrapping_add(half);
    let kills = number("AFTERSALESD_KILLS").map_or(RANDOM_KILLS, |kills| kills as usize) / 2;
    println!("AFTERSALESD_SEED={}", seed.wrapping_sub(half));
    let mut town = Town::start(seed);
    while town.kills() < kills {
        town.die_at_some_moment();
        if town.runs.len().is_multiple_of(20) {
            books::check_what_is_acknowledged(&town);
        }
        // The mailbox stays small enough to compare.
        assert!(town.runs.len() < kills * 5, "it ends by itself too often");
    }
    town.pass();
    let repeats = books::check(&town);
    println!("{} kills, {} mails, {repeats} replies repeated", town.kills(), town.mails.len());
}

#[test]
fn a_thread_that_breaks_is_no_mailbox_drained() {
    for point in ["letters-kept", "letter-committed"] {
        let here = Installation::of_maildirs();
        (0..3).for_each(|number| here.deliver(&format!("{number}.host"), letter(number, 900).as_bytes()));
        let breaking = |words| {
            let mut command = here.command(words);
            command.env("AFTERSALESD_DIE_AT", format!("{point}:1:panic"));
            command
        };
        let told = run(breaking(&["once"]));
        assert_eq!(told.code, Some(1), "{told:?}");
        assert!(told.complaints().iter().any(|line| line.contains("broke off")), "{told:?}");
        let mut daemon = here.start_with(&mut breaking(&["run"]));
        await_that(Duration::from_secs(30), "the daemon goes on by itself", || here.replies().len() == 3);
        assert!(daemon.log().contains("told to panic") && daemon.is_running(), "{}", daemon.log());
        assert_eq!(daemon.terminate(), Some(0));
        here.ok(&["once"]);
        assert_eq!(here.replies().len(), 3);
    }
}

// --- import -------------------------------------------------------------------------------------------------------

#[test]
fn a_killed_import_is_no_store() {
    const LETTERS: usize = 150;
    let from = Installation::of_maildirs();
    (0..LETTERS).for_each(|number| from.deliver(&format!("{number}.host"), letter(number, 900).as_bytes()));
    from.ok(&["once"]);
    let export = from.ok(&["export"]).out;
    assert!(export.lines().count() > 1200, "at least three transactions");
    let cut = export.lines().take(1200).map(|line| format!("{line}\n")).collect::<String>();
    for (point, export) in AT_IMPORT.iter().map(|point| (point, &export)).chain(AT_UNDOING.iter().map(|p| (p, &cut))) {
        let times: &[usize] = if *point == "import-chunk" { &[1, 3] } else { &[1] };
        for times in times {
            let there = Installation::of_maildirs();
            there.write("export", export);
            let told = import(&there, Some(&format!("{point}:{times}")));
            assert!(told.code.is_none() && told.err.contains(&format!("died at {point}")), "{told:?}");
            assert_refused(&there);
        }
    }
    let there = Installation::of_maildirs();
    there.write("export", &export);
    for moment in 0..8 {
        let mut command = there.command(&["import", there.path("export").to_str().unwrap()]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(150 * moment));
        child.kill().unwrap();
        child.wait().unwrap();
        let told = there.run(&["export"]);
        let empty = told.code == Some(0) && !told.out.contains("\"table\":\"cases\"");
        let refused = told.code == Some(1) && told.complaints()[0].contains("is not whole");
        let whole = told.out == export;
        assert!(empty || refused || whole, "{told:?}");
        if whole {
            fs::remove_dir_all(there.path("store")).unwrap();
        }
    }
    there.write("export", &export);
    assert_eq!(import(&there, None).code, Some(0));
    assert_eq!(there.ok(&["export"]).out, export);

    fn import(there: &Installation, die_at: Option<&str>) -> Told {
        let mut command = there.command(&["import", there.path("export").to_str().unwrap()]);
        die_at.map(|point| command.env("AFTERSALESD_DIE_AT", point));
        run(command)
    }

    /// Half a store is taken for none, until the import is done again.
    #[track_caller]
    fn assert_refused(there: &Installation) {
        there.deliver("new.host", letter(1, 900).as_bytes());
        for command in [&["once"][..], &["run"], &["export"], &["cases", "list"]] {
            let told = there.run(command);
            assert_eq!(told.code, Some(1), "{command:?}: {told:?}");
            assert!(told.complaints()[0].contains("import into it was broken off"), "{told:?}");
        }
        assert!(there.replies().is_empty());
    }
}

// --- erasure ------------------------------------------------------------------------------------------------------

const TO_ERASE: &[u8] = b"From: jo@example.net\r\n\r\nMy secret is a cat called Minka.\r\n";

#[test]
fn a_killed_erasure_leaves_no_word_and_can_be_done_again() {
    for point in AT_ERASURE {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "crash::erases_in_a_process_of_its_own", "--ignored", "--nocapture"]);
        child.env("ERASE_IN", folder.path()).env("AFTERSALESD_DIE_AT", point);
        let told = run(child);
        assert!(told.code.is_none() && told.err.contains(&format!("died at {point}")), "{told:?}");
        for file in ["raw/000001.seg", "cases/db"] {
            let bytes = fs::read(folder.path().join(file)).unwrap();
            assert!(!bytes.windows(5).any(|word| word == b"Minka"), "{point}: {file} still tells");
        }
        let store = Store::open(folder.path()).unwrap();
        let (victim, other) = (id(TO_ERASE), id(letter(1, 900).as_bytes()));
        let left = store.raw(&victim);
        assert!(matches!(left, Ok(None) | Err(StoreError::Corrupt { .. })), "{point}: {left:?}");
        store.erase(&victim).unwrap();
        assert_eq!(store.raw(&victim).unwrap(), None);
        assert_eq!(store.raw(&other).unwrap().unwrap(), letter(1, 900).as_bytes());
    }
}

#[test]
#[ignore = "dies: a_killed_erasure_leaves_no_word_and_can_be_done_again runs it"]
fn erases_in_a_process_of_its_own() {
    let store = Store::open(Path::new(&std::env::var("ERASE_IN").unwrap())).unwrap();
    for raw in [TO_ERASE, letter(1, 900).as_bytes()] {
        let place = store.keep_raw(&id(raw), raw).unwrap();
        store.commit(&Commit { raw: Some(place), ..Commit::default() }).unwrap();
    }
    store.flush().unwrap();
    store.erase(&id(TO_ERASE)).unwrap();
}

fn id(raw: &[u8]) -> LetterId {
    LetterId::new(&digest(raw)).unwrap()
}
