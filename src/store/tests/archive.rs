//! What a crash, damage and erasing do to the archive and the files of the trees.

use std::fs;
use std::io::Write as _;

use super::*;

#[test]
fn a_torn_tail_is_cut_and_whole_mail_behind_the_index_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let kept = told(&store, 1);
    store.commit(&kept.commit).unwrap();
    let whole = told(&store, 2); // appended, never committed
    store.flush().unwrap();
    drop(store);
    let sound = fs::read(segment(folder.path())).unwrap();
    let torn: [&[u8]; 6] = [
        b"aftersalesd-raw 1 ",
        b"aftersalesd-raw 1 0000000000000000000000000000000000000000000000000000000000000001 100\nhalf",
        b"aftersalesd-raw 1 0000000000000000000000000000000000000000000000000000000000000001 4\nlies\n",
        b"aftersalesd-raw 1 0000000000000000000000000000000000000000000000000000000000000001 18446744073709551615\n",
        &[0; 5000],
        b"\naftersalesd-raw 1 x\n\naftersalesd-",
    ];
    for tail in torn {
        fs::OpenOptions::new().append(true).open(segment(folder.path())).unwrap().write_all(tail).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.raw(kept.commit.raw.as_ref().unwrap().letter()).unwrap().unwrap(), kept.raw);
        assert_eq!(store.raw(whole.commit.raw.as_ref().unwrap().letter()).unwrap().unwrap(), whole.raw);
        assert_eq!(store.cursor("INBOX").unwrap(), Some(place(1)));
        drop(store);
        assert_eq!(fs::read(segment(folder.path())).unwrap(), sound);
    }
    // Kept before, so not kept twice.
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(
        &store.keep_raw(whole.commit.raw.as_ref().unwrap().letter(), &whole.raw).unwrap(),
        whole.commit.raw.as_ref().unwrap()
    );
}

#[test]
fn damage_in_the_middle_of_the_archive_costs_one_mail() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mails: Vec<Told> = (1..=3).map(|n| told(&store, n)).collect();
    for mail in &mails {
        store.commit(&mail.commit).unwrap();
    }
    store.marked(&[place(1), place(2), place(3)]).unwrap();
    store.flush().unwrap();
    drop(store);
    let mut bytes = fs::read(segment(folder.path())).unwrap();
    let second = mails[0].raw.len() + format!("aftersalesd-raw 1 {:64} {}\n\n", "", mails[0].raw.len()).len();
    bytes[second] = b'X';
    fs::write(segment(folder.path()), &bytes).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let raw = |n: usize| store.raw(mails[n].commit.raw.as_ref().unwrap().letter());
    assert_eq!(raw(0).unwrap().unwrap(), mails[0].raw);
    assert!(matches!(raw(1), Err(StoreError::Corrupt { .. })));
    assert_eq!(raw(2).unwrap().unwrap(), mails[2].raw);
    let mut out = Vec::new();
    assert_eq!(&store.export(&mut out).unwrap().lost, &[mails[1].commit.raw.as_ref().unwrap().letter().clone()]);
    Store::temporary().unwrap().import(&mut out.as_slice()).unwrap();
}

#[test]
fn the_index_of_the_archive_can_be_rebuilt_from_the_segments() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), 300, None).unwrap();
    let mails: Vec<Told> = (1..=20).map(|n| told(&store, n)).collect();
    for mail in &mails {
        store.commit(&mail.commit).unwrap();
    }
    assert!(store.inner.tables.get::<u32>(Table::Meta, keys::RAW_FROM).unwrap().unwrap() > 5);
    store.erase(mails[3].commit.raw.as_ref().unwrap().letter()).unwrap();
    let before = exported(&store);
    let mut change = Change::default();
    // What was erased is told by the index alone.
    for mail in mails.iter().filter(|mail| mail.raw != mails[3].raw) {
        change.remove(Table::Raw, mail.commit.raw.as_ref().unwrap().letter().to_string());
    }
    change.remove(Table::Meta, keys::RAW_FROM.to_owned());
    assert!(store.inner.tables.run(&change).unwrap());
    store.flush().unwrap();
    drop(store);
    assert_eq!(exported(&Store::open(folder.path()).unwrap()), before);
}

#[test]
fn a_mail_that_was_never_committed_is_found_again_whichever_segment_it_lies_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), 300, None).unwrap();
    let orphan = told(&store, 100);
    for number in 1..=10 {
        store.commit(&told(&store, number).commit).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    let store = Store::open_with(folder.path(), 300, None).unwrap();
    assert!(store.erase(orphan.commit.raw.as_ref().unwrap().letter()).unwrap());
    let segments = fs::read_dir(folder.path().join("raw")).unwrap();
    for segment in segments {
        let bytes = fs::read(segment.unwrap().path()).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"My watch 100"));
    }
}

#[test]
fn a_mail_lost_in_a_power_cut_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mails: Vec<Told> = (1..=4).map(|n| told(&store, n)).collect();
    let mut len = 0;
    for mail in &mails {
        if mail.commit.position == Some(place(3)) {
            store.marked(&[place(1), place(2)]).unwrap();
            len = mails[..2]
                .iter()
                .map(|m| m.raw.len() + format!("aftersalesd-raw 1 {:64} {}\n\n", "", m.raw.len()).len())
                .sum();
        }
        store.commit(&mail.commit).unwrap();
    }
    store.flush().unwrap();
    drop(store);
    fs::OpenOptions::new().write(true).open(segment(folder.path())).unwrap().set_len(len as u64 + 10).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.cursor("INBOX").unwrap(), Some(place(2)));
    assert_eq!(store.unmarked("INBOX").unwrap(), []);
    for mail in &mails[2..] {
        let entry = mail.commit.letter.clone().unwrap();
        assert!(store.seen(&entry.id, &entry.content, entry.message_id.as_ref()).unwrap().is_some());
        let raw = Some(store.keep_raw(&entry.id, &mail.raw).unwrap());
        store.commit(&Commit { raw, position: mail.commit.position.clone(), ..Commit::default() }).unwrap();
        assert_eq!(store.raw(&entry.id).unwrap().unwrap(), mail.raw);
    }
    assert_eq!(store.cursor("INBOX").unwrap(), Some(place(4)));
    assert_eq!(store.counts().unwrap().cases, 4);
}

#[test]
fn an_erased_mail_is_gone_from_the_disk_and_stays_gone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (gone, kept) = (told(&store, 1), told(&store, 2));
    let id = gone.commit.raw.clone().unwrap().letter().clone();
    store.commit(&gone.commit).unwrap();
    store.commit(&kept.commit).unwrap();
    assert!(store.erase(&id).unwrap());
    assert!(!store.erase(&id).unwrap());
    assert_eq!(store.raw(&id).unwrap(), None);
    drop(store);
    let bytes = fs::read(segment(folder.path())).unwrap();
    assert!(!bytes.windows(10).any(|window| window == b"My watch 1"));
    assert!(!String::from_utf8_lossy(&bytes).contains(id.as_str()));
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.raw(&id).unwrap(), None);
    assert_eq!(store.raw(kept.commit.raw.as_ref().unwrap().letter()).unwrap().unwrap(), kept.raw);
    assert!(store.case(&gone.case).unwrap().is_some());
}

#[test]
fn large_and_awkward_mail_comes_back_byte_for_byte() {
    let store = Store::temporary().unwrap();
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n * 7 % 256) as u8).collect();
    for raw in [&b""[..], b"\n", b"aftersalesd-raw 1 ", &large] {
        let id = letter_id(raw);
        let place = store.keep_raw(&id, raw).unwrap();
        assert_eq!(store.raw(&id).unwrap().unwrap(), raw);
        store.commit(&Commit { raw: Some(place), ..Commit::default() }).unwrap();
        assert_eq!(store.raw(&id).unwrap().unwrap(), raw);
    }
}

#[test]
fn a_snapshot_left_half_written_by_a_crash_does_not_keep_the_store_shut() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.commit(&told(&store, 1).commit).unwrap();
    store.flush().unwrap();
    let before = exported(&store);
    drop(store);
    drop(Store::open(folder.path()).unwrap()); // writes a snapshot
    let cases = folder.path().join("cases");
    fs::write(cases.join("snap.FFFFFFFFFFFFFFFF.generating"), b"half").unwrap();
    assert_eq!(exported(&Store::open(folder.path()).unwrap()), before);
    assert!(!cases.join("snap.FFFFFFFFFFFFFFFF.generating").exists());
    for bytes in [&b""[..], b"not a snapshot at all"] {
        let snapshots = fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path());
        let snapshots: Vec<_> = snapshots.filter(|path| path.to_string_lossy().contains("/snap.")).collect();
        assert!(!snapshots.is_empty());
        for snapshot in snapshots {
            fs::write(snapshot, bytes).unwrap();
        }
        assert_eq!(exported(&Store::open(folder.path()).unwrap()), before);
    }
    assert!(folder.path().join("cases.before-recovery/db").exists());
}
