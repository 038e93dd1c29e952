//! What is held of a customer: given to them, forgotten on request and when its time is over, shown without where it
//! was taken.

use std::fs;
use std::path::Path;

use aftersalesd::app::{load, open_office};
use aftersalesd::domain::account::{Deed, Trace};
use aftersalesd::domain::decision::Class;
use aftersalesd::domain::event::{CaseEvent, Event};
use aftersalesd::domain::ids::{Address, CaseId, LetterId};
use aftersalesd::domain::letter::Person;
use aftersalesd::store::{CaseStep, Commit, LetterEntry, Store};
use aftersalesd::worker::erasure::{Retention, Sweep, retain};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::crash::{AT_COMPACTION, AT_FORGETTING};
use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, Told, run, sample};

const PRIYA: &str = "priya@example.net";
/// What must not be told anywhere once Priya is forgotten.
const OF_PRIYA: [&str; 6] = ["priya", "raman", "flat since", "flat-again", "minka", "ks50001\",\"evidence"];

/// A photo that says where it was taken.
fn placed_photo(here: &Installation) -> String {
    let photo = fs::read(sample("photos/watch-black-display.jpg")).unwrap();
    let exif = b"\xff\xe1\0\x4cExif\0\0MM\0*\0\0\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\x88\x25\0\x04\0\0\0\x01\0\0\0\x26\0\0\0\0\0\x01\0\x01\0\x02\0\0\0\x02N\0\0\0MINKA 48.20N 16.37E..";
    let exif = [&exif[..2], &u16::try_from(exif.len() - 2).unwrap().to_be_bytes()[..], &exif[4..]].concat();
    here.write("placed.jpg", [&photo[..2], &exif, &photo[2..]].concat());
    here.path("placed.jpg").to_str().unwrap().to_owned()
}

fn claim(here: &Installation) -> String {
    let photo = placed_photo(here);
    let draft = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "claim.of.priya@example.net",
        subject: "T3 Ultra of Priya runs flat",
        body: "Good morning,\n\nmy Tank T3 Ultra, order no. KS50001, runs flat since Sunday: the battery goes from full to \
               empty within three hours while the watch lies on my desk with the display off. I reset it once, no \
               change. The code printed on the box is 2000400001032. A photo is attached.\n\nPriya Raman\n",
        answers: None,
        photos: &[(&photo, "flat-again.jpg")],
    };
    draft.raw()
}

/// Priya has an RMA; she also writes into Sabine's case, is away, and has mail that bounces.
fn town() -> (Installation, String) {
    let here = Installation::of_maildirs();
    let raw = claim(&here);
    here.say(&raw);
    let sabine = Draft {
        from: "Sabine <sabine@example.org>",
        id: "1.sabine@example.org",
        subject: "Watch",
        body: "Hello, the screen of my watch is black since yesterday.\n\nSabine\n",
        answers: None,
        photos: &[],
    };
    let asked = here.say(&sabine.raw());
    let strange = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "strange.of.priya@example.net",
        subject: "Re: Watch, from Priya",
        body: "I am her neighbour Priya, what about it?\n",
        answers: Some(&Reply::read(&asked[0])),
        photos: &[],
    };
    here.say(&strange.raw());
    here.say(
        "From: Priya Raman <priya@example.net>\r\nTo: claims@example.com\r\nSubject: Out of office\r\n\
         Message-ID: <away.priya@example.net>\r\nAuto-Submitted: auto-replied\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n\
         I feed Minka.\r\n",
    );
    here.say(
        "From: MAILER-DAEMON@mx.example.net\r\nTo: claims@example.com\r\nSubject: Undelivered\r\n\
         Message-ID: <bounce.1@mx.example.net>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n\
         <Priya@Example.net>: mailbox full\r\n",
    );
    // This one can't be read.
    let odd =
        "From: Priya <priya@example.net>\r\nMessage-ID: <odd.priya@example.net>\r\nSubject: Odd\r\n\r\nBreaks it.\r\n";
    here.deliver("odd.host", odd.as_bytes());
    let mut once = here.command(&["once"]);
    once.env("AFTERSALESD_PANIC_ON", "Breaks it");
    assert_eq!(run(once).code, Some(0));
    assert_eq!(here.json(&["cases", "quarantine", "--json"]).len(), 1);
    let cases = here.json(&["cases", "list", "--json"]);
    assert_eq!(cases.len(), 2, "{cases:?}");
    let of_priya = cases.iter().find(|case| case["customer"] == PRIYA).unwrap();
    assert_eq!(of_priya["state"], "rma_issued");
    assert_eq!(here.json(&["cases", "search", "priya raman", "--json"]).len(), 2, "the search knows her");
    (here, of_priya["case"].as_str().unwrap().to_owned())
}

fn close(here: &Installation, case: &str) {
    here.ok(&["cases", "act", case, "close"]);
    here.ok(&["once"]);
}

fn erase(here: &Installation) -> Value {
    here.json(&["cases", "erase", "--customer", "Priya@example.net", "--by", "kim", "--json"])[0]["erased"].clone()
}

#[track_caller]
fn assert_forgotten(here: &Installation, case: &str) {
    let export = here.ok(&["export"]).out;
    let told = export.to_lowercase();
    for word in OF_PRIYA {
        assert!(!told.contains(word), "{word} in {}", told.lines().find(|line| line.contains(word)).unwrap());
    }
    assert!(told.contains("sabine"), "nobody else is forgotten");
    assert!(here.json(&["cases", "quarantine", "--json"]).is_empty());
    here.ok(&["verify"]);
    here.ok(&["audit"]);
    here.ok(&["cases", "explain", case]);
    assert!(here.json(&["cases", "search", "priya", "--json"]).is_empty());
    let left = &here.json(&["cases", "show", case, "--json"])[0];
    assert_eq!((left["state"].as_str(), left["sku"].as_str()), (Some("closed"), Some("KP-TKT3U-BK")), "{left}");
    assert!(left["rma"].is_string() && left["customer"].as_str().unwrap().ends_with("@erased.invalid"), "{left}");
    for file in fs::read_dir(here.path("store/raw")).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.to_ascii_lowercase().windows(5).any(|word| word == b"priya"), "the archive tells");
    }
}

/// To be asked once the store was opened again.
#[track_caller]
fn assert_no_file_tells(here: &Installation) {
    let mut folders = vec![here.path("store")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap().to_ascii_lowercase();
            for word in ["priya", "raman", "flat since"] {
                let told = bytes.windows(word.len()).any(|window| window == word.as_bytes());
                assert!(!told, "{word} in {}", path.display());
            }
        }
    }
}

#[test]
fn no_byte_on_the_disk_tells_of_an_erased_customer_wherever_it_is_killed() {
    let (here, case) = town();
    close(&here, &case);
    erase(&here);
    for point in AT_COMPACTION {
        let mut command = here.command(&["cases", "list"]);
        command.env("AFTERSALESD_DIE_AT", point);
        let told = run(command);
        assert!(told.code.is_none() && told.err.contains(&format!("died at {point}")), "{told:?}");
        here.ok(&["verify"]);
        assert_no_file_tells(&here);
        // Something else is erased: once more.
        let later = Draft {
            from: "Priya Raman <priya@example.net>",
            id: &format!("{point}@example.net"),
            subject: "Watch of Priya",
            body: "The screen of my watch is black.\n",
            answers: None,
            photos: &[],
        };
        here.say(&later.raw());
        here.ok(&["cases", "erase", "--customer", PRIYA, "--force"]);
    }
    assert_forgotten(&here, &case);
    assert_no_file_tells(&here);
}

#[test]
fn a_customer_is_forgotten_and_the_books_stay() {
    let (here, case) = town();
    let before = here.json(&["stats", "--json"])[0].clone();
    let rma = here.json(&["cases", "show", &case, "--json"])[0]["rma"].as_str().unwrap().to_owned();
    let refused: Told = here.run(&["cases", "erase", "--customer", PRIYA]);
    assert_eq!((refused.code, refused.complaints().len()), (Some(1), 1), "{refused:?}");
    assert!(refused.complaints()[0].contains(&case) && refused.complaints()[0].contains("--force"), "{refused:?}");
    close(&here, &case);
    assert_eq!(erase(&here)["cases"], 1);
    assert_forgotten(&here, &case);
    assert_eq!(erase(&here), json!({"cases": 0, "mails": 0, "traces": 0}), "there is nothing left to do");
    assert_eq!(here.json(&["cases", "show", &rma, "--json"])[0]["case"], case.as_str());
    let after = &here.json(&["stats", "--json"])[0];
    for same in ["cases", "customers", "letters", "returns", "hours_to_rma", "asks", "reasons"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    // An export is read elsewhere, and tells the same.
    let export = here.ok(&["export"]).out;
    let there = Installation::of_maildirs();
    there.write("export", &export);
    there.ok(&["import", there.path("export").to_str().unwrap()]);
    assert_eq!(there.ok(&["export"]).out, export);
}

#[test]
fn erased_mail_is_not_taken_in_again_and_its_writer_begins_anew() {
    let (here, case) = town();
    let raw = String::from_utf8(fs::read(first_mail(&here)).unwrap()).unwrap();
    let rma = Reply::read(here.replies().iter().find(|raw| Reply::read(raw).to.contains("priya")).unwrap());
    close(&here, &case);
    erase(&here);
    let letters = |here: &Installation| here.json(&["cases", "letters", "--json"]).len();
    let known = letters(&here);
    assert!(here.say(&raw).is_empty(), "the same bytes");
    assert!(here.say(&format!("Received: from elsewhere by mx; Sun, 22 Nov 2026 10:00:09 +0000\r\n{raw}")).is_empty());
    assert_eq!(letters(&here), known);
    assert_forgotten(&here, &case);
    // An answer to a letter of the erased case opens another case.
    let again = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "again@example.net",
        subject: "Re: my return",
        body: "The battery of my watch is dead again since Monday.\n",
        answers: Some(&rma),
        photos: &[],
    };
    here.say(&again.raw());
    let cases = here.json(&["cases", "list", "--json"]);
    let of_priya: Vec<&Value> = cases.iter().filter(|case| case["customer"] == PRIYA).collect();
    assert_eq!((cases.len(), of_priya.len()), (3, 1), "{cases:?}");
    let acted = here.run(&["cases", "act", &case, "reopen"]);
    assert_eq!(acted.code, Some(1), "nothing happens to an erased case: {acted:?}");
    here.ok(&["verify"]);
}

fn first_mail(here: &Installation) -> std::path::PathBuf {
    let mails = fs::read_dir(here.path("inbox/cur")).unwrap().map(|entry| entry.unwrap().path());
    mails.into_iter().find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("0.host")).unwrap()
}

#[test]
fn beside_a_running_daemon_an_open_case_is_forgotten_by_force() {
    let (here, case) = town();
    let mut daemon = here.start();
    assert_eq!(here.run(&["cases", "erase", "--customer", PRIYA]).code, Some(1));
    let told = here.ok(&["cases", "erase", "--customer", PRIYA, "--force"]).out;
    assert!(told.contains("1 cases"), "{told}");
    assert_forgotten(&here, &case);
    assert!(!daemon.log().contains("panicked") && daemon.is_running(), "{}", daemon.log());
    assert_eq!(daemon.terminate(), Some(0));
    assert_forgotten(&here, &case);
    assert_no_file_tells(&here);
}

#[test]
fn a_reply_that_waits_goes_with_its_customer() {
    let here = Installation::of_maildirs();
    let raw = claim(&here);
    // Nothing is sent: the folder for replies is a file.
    here.write("replies", "");
    here.deliver("1.host", raw.as_bytes());
    assert_eq!(here.run(&["once"]).code, Some(75));
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    here.ok(&["cases", "erase", "--customer", PRIYA, "--force"]);
    fs::remove_file(here.path("replies")).unwrap();
    here.ok(&["once"]);
    assert!(here.replies().is_empty());
    here.ok(&["verify"]);
    let told = here.ok(&["export"]).out.to_lowercase();
    assert!(OF_PRIYA.iter().all(|word| !told.contains(word)), "{told}");
    let events = here.json(&["cases", "show", &case, "--json"])[0]["events"].clone();
    let refused = |event: &Value| event["event"] == "reply_refused" && event["why"] == "erased before it was sent";
    assert!(events.as_array().unwrap().iter().any(refused), "{events}");
}

#[test]
fn an_erasure_that_was_killed_is_finished_by_doing_it_again() {
    for point in AT_FORGETTING {
        let (here, case) = town();
        close(&here, &case);
        let mut command = here.command(&["cases", "erase", "--customer", PRIYA]);
        command.env("AFTERSALESD_DIE_AT", point);
        let told = run(command);
        assert!(told.code.is_none() && told.err.contains(&format!("died at {point}")), "{told:?}");
        // Half way, nothing is damaged but the mail in hand, and work goes on.
        here.ok(&["once"]);
        erase(&here);
        assert_forgotten(&here, &case);
        assert_no_file_tells(&here);
    }
}

#[test]
fn all_that_is_held_is_given_out() {
    let (here, case) = town();
    let folder = here.path("given");
    here.ok(&["cases", "export", "--customer", PRIYA, folder.to_str().unwrap()]);
    let all: Value = serde_json::from_slice(&fs::read(folder.join("customer.json")).unwrap()).unwrap();
    assert_eq!(all["cases"][0]["case"], case.as_str());
    assert_eq!(all["cases"][0]["customer_name"], "Priya Raman");
    let mut mails: Vec<String> = fs::read_dir(folder.join("letters"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    mails.sort();
    assert_eq!((mails.len(), all["letters"].as_array().unwrap().len()), (5, 5), "{}", all["letters"]);
    assert!(mails.contains(&fs::read_to_string(first_mail(&here)).unwrap()), "as it came");
    assert!(mails.iter().all(|mail| mail.to_lowercase().contains(PRIYA)));
    let again = here.run(&["cases", "export", "--customer", PRIYA, folder.to_str().unwrap()]);
    assert_eq!(again.code, Some(1), "{again:?}");
    let bad = here.run(&["cases", "export", "--customer", "nobody", here.path("x").to_str().unwrap()]);
    assert_eq!((bad.code, here.path("x").exists()), (Some(2), false), "{bad:?}");
    close(&here, &case);
    erase(&here);
    let none = here.ok(&["cases", "export", "--customer", PRIYA, here.path("none").to_str().unwrap()]).out;
    assert!(none.contains("nothing is held"), "{none}");
}

#[test]
fn photos_are_shown_without_where_they_were_taken() {
    let (here, case) = town();
    let folder = here.path("photos");
    let told = here.ok(&["cases", "photos", &case, folder.to_str().unwrap()]).out;
    assert!(told.contains("flat-again.jpg"), "{told}");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1);
    let shown = fs::read(&files[0]).unwrap();
    let has = |bytes: &[u8], word: &[u8]| bytes.windows(word.len()).any(|window| window == word);
    assert!(has(&fs::read(here.path("placed.jpg")).unwrap(), b"MINKA") && !has(&shown, b"MINKA"));
    assert!(has(&shown, b"Exif\0\0MM"), "how it is turned stays");
    assert_eq!(files[0].extension().unwrap(), "jpg");
}

// --- retention ----------------------------------------------------------------------------------------------------

#[test]
fn what_is_over_is_kept_as_long_as_configured_and_what_goes_on_for_ever() {
    let (here, case) = town();
    close(&here, &case);
    let office = || {
        let config = load(&here.path("config.toml")).unwrap();
        std::sync::Arc::into_inner(open_office(&config).unwrap()).unwrap()
    };
    let in_days = |days: i64| Timestamp::now() + SignedDuration::from_hours(24 * days + 1);
    let sweep_all = |retention, now| {
        let mut office = office();
        office.retention = retention;
        let mut sweep = Sweep::default();
        let mut mails = 0;
        while !sweep.rests(now) {
            mails += retain(&office, &mut sweep, now).unwrap().mails;
        }
        assert_eq!(retain(&office, &mut sweep, now).unwrap(), Default::default(), "it rests");
        mails
    };
    let export = here.ok(&["export"]).out;
    let kept = Retention { raw: Some(30), personal: Some(90), trail: None };
    assert_eq!(sweep_all(kept, in_days(20)), 0);
    let mut never = Sweep::default();
    assert_eq!(retain(&office(), &mut never, in_days(9999)).unwrap(), Default::default());
    assert_eq!(here.ok(&["export"]).out, export, "nothing is erased before its time, or without being told to");
    // The claim, out of office and the bounce; what stands in Sabine's case, which goes on, stays.
    assert_eq!(sweep_all(kept, in_days(31)), 3);
    assert_eq!(sweep_all(kept, in_days(31)), 0);
    let shown = &here.json(&["cases", "show", &case, "--json"])[0];
    assert_eq!(shown["customer"], PRIYA);
    here.ok(&["verify"]);
    here.ok(&["audit"]);
    assert_eq!(sweep_all(kept, in_days(91)), 0);
    let shown = here.json(&["cases", "show", &case, "--json"])[0].clone();
    assert!(shown["customer"].as_str().unwrap().ends_with("@erased.invalid"), "{shown}");
    assert!(!shown.to_string().to_lowercase().contains("priya"), "{shown}");
    let sabine = here.json(&["cases", "list", "--json"]);
    assert!(sabine.iter().any(|case| case["customer"] == "sabine@example.org"), "her case goes on");
    // Who saw what is kept for so long by itself.
    let seen = Trace { at: Timestamp::now(), who: Some("kim".into()), what: Deed::SawQueue, case: None, detail: None };
    office().store.trace(&seen).unwrap();
    let entries = || office().store.trail().count();
    let trail = Retention { trail: Some(30), ..Retention::default() };
    for (retention, days, left) in [(kept, 9999, 1), (trail, 29, 1), (trail, 31, 0)] {
        sweep_all(retention, in_days(days));
        assert_eq!(entries(), left, "{retention:?} after {days} days");
    }
    here.ok(&["verify"]);
    here.ok(&["audit"]);
}

/// A case that was closed two years ago.
fn closed_long_ago(folder: &Path) -> CaseId {
    let store = Store::open(folder).unwrap();
    let raw = b"From: Old <old@example.net>\r\n\r\nLong ago my watch broke.\r\n";
    let letter = LetterId::from_digest(&Sha256::digest(raw).into());
    let case = CaseId::derive(&letter, 0);
    let at: Timestamp = "2024-11-22T10:00:00Z".parse().unwrap();
    let customer = Person { name: Some("Old".to_owned()), address: Address::new("old@example.net").unwrap() };
    let events = [
        Event::Opened { case: case.clone(), customer: customer.clone(), opened_on: jiff::civil::date(2024, 11, 22) },
        Event::LetterTaken {
            letter: letter.clone(),
            message_id: None,
            from: Some(customer),
            subject: "Watch".to_owned(),
            language: None,
            words: "Long ago my watch broke.".to_owned(),
            facts: Box::default(),
            defects: Vec::new(),
        },
        Event::Closed,
    ];
    let entry =
        LetterEntry { id: letter.clone(), content: letter.clone(), message_id: None, class: Class::Customer, at };
    let commit = Commit {
        letter: Some(entry),
        raw: Some(store.keep_raw(&letter, raw).unwrap()),
        case: Some(CaseStep {
            id: case.clone(),
            from: None,
            events: events.map(|event| CaseEvent::daemon(event, at)).to_vec(),
        }),
        ..Commit::default()
    };
    store.commit(&commit).unwrap();
    store.flush().unwrap();
    case
}

#[test]
fn the_daemon_and_once_forget_by_the_clock() {
    for by_daemon in [true, false] {
        let here = Installation::of_maildirs();
        let case = closed_long_ago(&here.path("store"));
        here.ok(&["once"]);
        assert_eq!(
            here.json(&["cases", "list", "--json"])[0]["customer"],
            "old@example.net",
            "kept for ever by default"
        );
        let config = fs::read_to_string(here.path("config.toml")).unwrap();
        here.write("config.toml", config + "[retention]\nraw_days = 30\npersonal_days = 365\n");
        if by_daemon {
            let mut daemon = here.start();
            daemon.await_log("kept for as long as [retention] says");
            assert_eq!(daemon.terminate(), Some(0));
        } else {
            here.ok(&["once"]);
        }
        let told = here.ok(&["export"]).out;
        assert!(told.contains(case.as_str()) && !told.contains("old@") && !told.contains("Long ago"), "{told}");
        here.ok(&["verify"]);
    }
}
