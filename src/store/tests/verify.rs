//! What `verify` finds, what it can put right, and pictures of one moment.

use std::collections::BTreeSet;

use super::*;

fn kinds(store: &Store) -> BTreeSet<FindingKind> {
    store.verify().unwrap().findings.into_iter().map(|finding| finding.kind).collect()
}

/// Two cases with replies, one of them sent and with an RMA, a duplicate's mail, and quarantine.
fn filled(path: &Path) -> (Store, Told, Told) {
    let store = Store::open(path).unwrap();
    let (a, b) = (told(&store, 1), told(&store, 2));
    store.commit(&a.commit).unwrap();
    store.commit(&b.commit).unwrap();
    let due = store.outbox_due(at(9), 1).unwrap();
    store.outbox_sent(&[due[0].key.clone()], at(9)).unwrap();
    store.commit(&issue(&a.case, version(&store, &a.case), rma("KR"), "KS10001")).unwrap();
    let stuck = told(&store, 3);
    let entry = Quarantined {
        letter: Some(stuck.commit.raw.clone().unwrap().letter().clone()),
        position: Some(place(3)),
        why: "the parser broke".to_owned(),
        at: at(5),
        from: None,
        subject: None,
        message_id: None,
    };
    let raw = stuck.commit.raw.clone();
    store.commit(&Commit { raw, quarantine: Some(entry), ..Commit::default() }).unwrap();
    store.flush().unwrap();
    (store, a, b)
}

#[test]
fn a_sound_store_has_no_findings_and_its_tally_is_its_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = filled(folder.path());
    let books = store.verify().unwrap();
    assert_eq!(books.findings, []);
    let tally = &books.tally;
    assert_eq!((tally.cases, tally.replies, tally.sent, tally.waiting, tally.refused), (2, 2, 1, 1, 0));
    assert_eq!((tally.mails, tally.rmas, tally.quarantined, tally.unmarked), (3, 1, 1, 2));
    assert_eq!(tally.letters, store.counts().unwrap().letters);
    assert_eq!(books.unentered().count(), 0);
}

/// A row, what stands there instead, and what is found.
type Damage<'a> = (Table, &'a str, Option<&'a [u8]>, &'a [FindingKind]);

#[test]
fn each_kind_of_damage_is_found_and_what_the_events_tell_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (store, a, b) = filled(folder.path());
    let before = exported(&store);
    let put = |table: Table, key: &str, value: Option<&[u8]>| {
        let mut change = Change::default();
        match value {
            Some(bytes) => change.put_encoded(table, key.to_owned(), bytes.to_vec()),
            None => change.remove(table, key.to_owned()),
        }
        assert!(store.inner.tables.run(&change).unwrap());
    };
    let value = |table: Table, key: &str| {
        let row = store.inner.tables.scan(table, key).next().unwrap().unwrap();
        assert_eq!(row.key, key);
        row.json().to_vec()
    };
    let other = value(Table::Cases, b.case.as_str());
    let reply = a.commit.reply.clone().unwrap().message_id;
    let rma_key = keys::rma(&rma("KR"));
    let line = keys::line(&OrderNumber::new("KS10001").unwrap(), &Sku::new("T2-BLACK").unwrap());
    // What the events tell.
    let derived: [(Table, String, Option<&[u8]>, FindingKind); 7] = [
        (Table::Cases, a.case.to_string(), Some(&other), FindingKind::Case),
        (Table::Cases, a.case.to_string(), None, FindingKind::Case),
        (Table::Index, keys::reply(&reply), None, FindingKind::Index),
        (Table::Index, rma_key, Some(br#"{"v":1,"record":"AS-2222222Y"}"#), FindingKind::Index),
        (Table::Index, line, None, FindingKind::Index),
        (Table::Index, keys::rma(&rma("KX")), Some(br#"{"v":1,"record":"AS-2222222Y"}"#), FindingKind::Index),
        (Table::Meta, keys::COUNTS.to_owned(), None, FindingKind::Counts),
    ];
    for (table, key, bytes, kind) in derived {
        put(table, &key, bytes);
        let books = store.verify().unwrap();
        assert_eq!(books.findings.iter().map(|f| f.kind).collect::<Vec<_>>(), [kind], "{:?}", books.findings);
        assert!(store.repair(&books).unwrap());
        assert_eq!(exported(&store), before, "{key}");
    }
    // What nothing else tells.
    let entry = a.commit.letter.clone().unwrap();
    let letter = entry.id.to_string();
    let event = keys::events(&a.case, 1);
    let unknown =
        String::from_utf8(value(Table::Seen, &keys::seen(&entry))).unwrap().replace("\"at\"", "\"x\":1,\"at\"");
    let parcel = store.inner.tables.scan(Table::Outbox, "").next().unwrap().unwrap().key;
    let only: [Damage<'_>; 7] = [
        (Table::Cases, a.case.as_str(), Some(b"{}"), &[FindingKind::Record, FindingKind::Case]),
        (Table::Events, &event, Some(br#"{"v":9,"record":[]}"#), &[FindingKind::Record]),
        (Table::Seen, &keys::seen(&entry), None, &[FindingKind::Counts, FindingKind::LetterCase]),
        (Table::Seen, &keys::seen(&entry), Some(unknown.as_bytes()), &[FindingKind::Record]),
        (Table::Raw, &letter, None, &[FindingKind::MailLost]),
        (Table::Raw, &letter, Some(br#"{"v":1,"record":7}"#), &[FindingKind::Record, FindingKind::MailLost]),
        (Table::Outbox, &parcel, None, &[FindingKind::Counts, FindingKind::Reply]),
    ];
    for (table, key, bytes, expected) in only {
        let was = value(table, key);
        put(table, key, bytes);
        let found = kinds(&store);
        assert!(expected.iter().all(|kind| found.contains(kind)), "{table:?} {key}: {found:?}");
        let books = store.verify().unwrap();
        let damaged = books.findings.iter().any(|f| f.kind == FindingKind::Record);
        assert_eq!(store.repair(&books).unwrap(), !damaged);
        put(table, key, Some(&was));
        let books = store.verify().unwrap();
        assert!(store.repair(&books).unwrap());
        assert_eq!(exported(&store), before, "{key}");
    }
}

#[test]
fn damage_in_the_archive_is_found_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (store, a, _) = filled(folder.path());
    let sound = fs::read(segment(folder.path())).unwrap();
    for at in (0..sound.len()).step_by(7) {
        let mut damaged = sound.clone();
        damaged[at] ^= 1;
        fs::write(segment(folder.path()), &damaged).unwrap();
        let findings = store.verify().unwrap().findings;
        assert!(!findings.is_empty(), "byte {at} of {}", sound.len());
        assert!(findings.iter().any(|f| f.place.starts_with("letter ")), "{findings:?}");
    }
    fs::write(segment(folder.path()), &sound[..sound.len() - 5]).unwrap();
    assert_eq!(kinds(&store), BTreeSet::from([FindingKind::Gap, FindingKind::MailLost]));
    fs::write(segment(folder.path()), &sound).unwrap();
    assert_eq!(kinds(&store), BTreeSet::new());
    assert!(store.erase(a.commit.raw.as_ref().unwrap().letter()).unwrap());
    let books = store.verify().unwrap();
    assert_eq!((books.findings.as_slice(), books.tally.erased, books.tally.mails), (&[][..], 1, 2));
}

#[test]
fn an_erased_mail_is_not_kept_again_and_stays_erased_in_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let (store, a, _) = filled(folder.path());
    let letter = a.commit.raw.as_ref().unwrap().letter().clone();
    assert!(store.erase(&letter).unwrap());
    let again = store.keep_raw(&letter, &a.raw).unwrap();
    store.commit(&Commit { raw: Some(again), ..Commit::default() }).unwrap();
    assert_eq!(store.raw(&letter).unwrap(), None);
    let first = exported(&store);
    let other = Store::temporary().unwrap();
    other.import(&mut first.as_bytes()).unwrap();
    assert_eq!(exported(&other), first);
    assert_eq!(other.raw(&letter).unwrap(), None);
    assert_eq!(other.verify().unwrap().tally.erased, 1);
}

#[test]
fn what_a_person_has_dealt_with_waits_no_longer_and_is_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let (store, ..) = filled(folder.path());
    let entry = store.quarantined().unwrap().remove(0);
    assert_eq!(store.quarantined_before(&entry).unwrap(), Some((entry.clone(), false)));
    assert!(store.dismiss(&entry, "answered by phone", at(8)).unwrap());
    assert!(!store.dismiss(&entry, "again", at(9)).unwrap());
    assert_eq!(store.quarantined().unwrap(), []);
    assert_eq!(store.counts().unwrap().quarantined, 0);
    let (note, dismissed) = store.quarantined_before(&entry).unwrap().unwrap();
    assert!(dismissed);
    assert_eq!((note.why.as_str(), note.at), ("answered by phone (was: the parser broke)", at(8)));
    let books = store.verify().unwrap();
    assert_eq!((books.findings.as_slice(), books.tally.dismissed, books.unentered().count()), (&[][..], 1, 0));
    let first = exported(&store);
    let other = Store::temporary().unwrap();
    other.import(&mut first.as_bytes()).unwrap();
    assert_eq!(exported(&other), first);
}

#[test]
fn a_picture_is_of_one_moment_whatever_changes_while_it_is_read() {
    let store = Store::temporary().unwrap();
    let letters: Vec<Told> = (0..40).map(|number| told(&store, number)).collect();
    for told in &letters[..20] {
        store.commit(&told.commit).unwrap();
    }
    let before = exported(&store);
    // A writer that changes the store between any two lines.
    struct Meddler<'a> {
        store: &'a Store,
        left: std::slice::Iter<'a, Told>,
        written: Vec<u8>,
    }
    impl std::io::Write for Meddler<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.written.extend_from_slice(bytes);
            if bytes.ends_with(b"\n") {
                if let Some(told) = self.left.next() {
                    self.store.commit(&told.commit).unwrap();
                }
                if let Some(due) = self.store.outbox_due(at(99), 1).unwrap().first() {
                    self.store.outbox_sent(std::slice::from_ref(&due.key), at(99)).unwrap();
                }
                self.store.marked(&[place(0), place(5), place(19)]).unwrap();
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut meddler = Meddler { store: &store, left: letters[20..].iter(), written: Vec::new() };
    store.export(&mut meddler).unwrap();
    assert_eq!(String::from_utf8(meddler.written).unwrap(), before);
    assert_eq!(store.counts().unwrap().cases, 40);
    assert!(store.outbox_due(at(999), 99).unwrap().is_empty());
    assert_eq!(store.verify().unwrap().findings, []);
}

#[test]
fn books_that_are_read_while_letters_come_in_are_never_out_of_step() {
    let store = Store::temporary().unwrap();
    let letters: Vec<Told> = (0..300).map(|number| told(&store, number)).collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for told in &letters {
                store.commit(&told.commit).unwrap();
                let due = store.outbox_due(at(999), 1).unwrap();
                store.outbox_sent(&[due[0].key.clone()], at(999)).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        let mut read = 0;
        while !done.load(Ordering::SeqCst) || read == 0 {
            assert_eq!(store.verify().unwrap().findings, []);
            read += 1;
        }
    });
    assert_eq!(store.verify().unwrap().tally.sent, 300);
}
