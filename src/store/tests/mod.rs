//! What the store promises, one test each; here what a commit and the questions promise.

mod archive;
mod drafts;
mod erase;
mod outbox;
mod search;
mod transfer;
mod verify;

use std::fs;
use std::path::Path;

use jiff::civil::date;
use sha2::{Digest, Sha256};

use super::*;
use crate::domain::case::Rma;
use crate::domain::event::Event;
use crate::domain::facts::Facts;
use crate::domain::letter::Person;
use crate::domain::reply::{Kind, Reply};
use crate::domain::warranty::Track;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn letter_id(raw: &[u8]) -> LetterId {
    LetterId::from_digest(&Sha256::digest(raw).into())
}

fn message(text: &str) -> MessageId {
    MessageId::new(text).unwrap()
}

fn place(uid: u32) -> Position {
    Position { folder: "INBOX".to_owned(), validity: 7, uid, name: String::new() }
}

fn jo() -> Person {
    Person { name: Some("Jo Doe".to_owned()), address: Address::new("jo@example.com").unwrap() }
}

/// A letter that opens a case and is answered.
struct Told {
    raw: Vec<u8>,
    case: CaseId,
    commit: Commit,
}

fn told(store: &Store, number: u32) -> Told {
    let raw =
        format!("Message-ID: <m{number}@example.com>\r\n\r\nMy watch {number} is broken: \u{e4}\r\n").into_bytes();
    let id = letter_id(&raw);
    let case = CaseId::derive(&id, 0);
    let reply = Reply {
        case: case.clone(),
        number: 1,
        kind: Kind::Ask,
        to: jo(),
        subject: format!("Re: Watch {number}"),
        language: "en".to_owned(),
        message_id: MessageId::of_reply(&case, 1, "example.net"),
        in_reply_to: Some(message(&format!("m{number}@example.com"))),
        references: Vec::new(),
        written: at(i64::from(number)),
        text: "Please send a photo.".to_owned(),
        html: "<p>Please send a photo.</p>".to_owned(),
        files: Vec::new(),
        passes_on: None,
    };
    let events = vec![
        Event::Opened { case: case.clone(), customer: jo(), opened_on: date(2026, 11, 22) },
        Event::LetterTaken {
            letter: id.clone(),
            message_id: reply.in_reply_to.clone(),
            from: Some(jo()),
            subject: format!("Watch {number}"),
            language: Some("en".to_owned()),
            words: "is broken".to_owned(),
            facts: Box::default(),
            defects: Vec::new(),
        },
        Event::Asked { items: Vec::new() },
        Event::ReplyQueued {
            number: 1,
            kind: Kind::Ask,
            message_id: reply.message_id.clone(),
            subject: reply.subject.clone(),
            text: reply.text.clone(),
        },
    ];
    let events = events.into_iter().map(|event| CaseEvent::daemon(event, at(number.into()))).collect();
    let commit = Commit {
        letter: Some(LetterEntry {
            id: id.clone(),
            content: id.clone(),
            message_id: reply.in_reply_to.clone(),
            class: Class::Customer,
            at: at(number.into()),
        }),
        raw: Some(store.keep_raw(&id, &raw).unwrap()),
        case: Some(CaseStep { id: case.clone(), from: None, events }),
        reply: Some(reply),
        position: Some(place(number)),
        ..Commit::default()
    };
    Told { raw, case, commit }
}

fn rma(text: &str) -> RmaNumber {
    let random = |n| [n, text.len() as u8, 3, 4, 5];
    (0..=255).find_map(|n| RmaNumber::make(text, date(2026, 11, 22), random(n))).unwrap()
}

fn issue(case: &CaseId, from: u64, number: RmaNumber, order: &str) -> Commit {
    let rma = Rma {
        number,
        track: Track::Repair,
        order_number: OrderNumber::new(order).unwrap(),
        sku: Sku::new("T2-BLACK").unwrap(),
        issued_on: date(2026, 11, 22),
        valid_until: date(2026, 12, 7),
        return_shipping: None,
    };
    let events = vec![CaseEvent::daemon(Event::RmaIssued { rma }, at(900))];
    Commit { case: Some(CaseStep { id: case.clone(), from: Some(from), events }), ..Commit::default() }
}

fn exported(store: &Store) -> String {
    let mut out = Vec::new();
    assert_eq!(store.export(&mut out).unwrap().lost, []);
    String::from_utf8(out).unwrap()
}

fn version(store: &Store, case: &CaseId) -> u64 {
    store.case(case).unwrap().unwrap().version
}

fn segment(path: &Path) -> std::path::PathBuf {
    path.join("raw/000001.seg")
}

#[test]
fn a_commit_answers_every_question_and_outlives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/store");
    let store = Store::open(&path).unwrap();
    let a = told(&store, 1);
    let b = told(&store, 2);
    store.commit(&a.commit).unwrap();
    store.commit(&b.commit).unwrap();
    store.commit(&issue(&a.case, 4, rma("KR"), "KS10001")).unwrap();
    store.flush().unwrap();
    let before = exported(&store);
    drop(store);

    let store = Store::open(&path).unwrap();
    assert_eq!(exported(&store), before);
    let entry = a.commit.letter.clone().unwrap();
    let seen = store.seen(&entry.id, &entry.content, entry.message_id.as_ref()).unwrap().unwrap();
    assert_eq!(seen, Seen { letter: entry.id.clone(), case: Some(a.case.clone()), class: Class::Customer, at: at(1) });
    assert_eq!(store.raw(&entry.id).unwrap().unwrap(), a.raw);
    let events = store.events(&a.case).unwrap();
    assert_eq!(events.len(), 5);
    assert_eq!(Case::replay(&events).unwrap(), store.case(&a.case).unwrap());
    assert_eq!(store.case_of_message(&message("m1@example.com")).unwrap().as_ref(), Some(&a.case));
    let reply = a.commit.reply.clone().unwrap();
    assert_eq!(store.case_of_message(&reply.message_id).unwrap().as_ref(), Some(&a.case));
    assert_eq!(store.case_of_message(&message("x@example.com")).unwrap(), None);
    assert_eq!(store.case_of_rma(&rma("KR")).unwrap().as_ref(), Some(&a.case));
    let line = store.rma_of_line(&OrderNumber::new("KS10001").unwrap(), &Sku::new("T2-BLACK").unwrap()).unwrap();
    assert_eq!(line, Some((a.case.clone(), rma("KR"))));
    assert_eq!(store.cases_of_sender(&jo().address).unwrap(), [a.case.clone(), b.case.clone()]);
    assert_eq!(store.cases_of_sender(&Address::new("j@example.com").unwrap()).unwrap(), []);
    assert_eq!(store.cases().count(), 2);
    assert_eq!(store.cursor("INBOX").unwrap(), Some(place(2)));
    assert_eq!(store.unmarked("INBOX").unwrap(), [place(1), place(2)]);
    assert_eq!(store.unmarked("INBO").unwrap(), []);
    let counts = store.counts().unwrap();
    assert_eq!((counts.cases, counts.replies, counts.waiting, counts.quarantined), (2, 2, 2, 0));
    assert_eq!(counts.letters, BTreeMap::from([("customer".to_owned(), 2)]));
    assert_eq!(store.outbox_due(at(9), 9).unwrap()[0].reply, reply);
}

#[test]
fn folders_and_segments_are_for_the_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let _store = Store::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("raw")), mode(&segment(&path))), (0o700, 0o700, 0o600));
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { path } if path == folder.path()));
    assert!(error.is_temporary());
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_newer_format_and_a_newer_record_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let told = told(&store, 1);
    store.commit(&told.commit).unwrap();
    let mut change = Change::default();
    change.put_encoded(Table::Cases, told.case.to_string(), br#"{"v":3,"record":"unheard of"}"#.to_vec());
    change.put(Table::Meta, keys::VERSION.to_owned(), &(FORMAT + 1)).unwrap();
    assert!(store.inner.tables.run(&change).unwrap());
    assert!(matches!(store.case(&told.case), Err(StoreError::Newer { found: 3, known: 2 })));
    store.flush().unwrap();
    drop(store);
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { found: 3, known: 2 })));
}

#[test]
fn records_of_this_version_stay_readable() {
    let written = br#"{"v":2,"record":[{"event":"opened","case":"AS-2222222Y","customer":{"name":null,"address":"jo@example.com"},"opened_on":"2026-11-22","at":"2026-11-22T12:00:00Z","by":"customer"},{"event":"closed","at":"2026-11-22T12:00:01Z","by":{"staff":"kim"},"why":"done"}]}"#;
    let events: Vec<CaseEvent> = record::decode(Table::Events, "AS-2222222Y\u{0}0000000001", written).unwrap();
    assert_eq!(record::encode(&events).unwrap(), written);
    let torn = record::decode::<Vec<CaseEvent>>(Table::Events, "AS-2222222Y\u{0}0000000001", &written[..40]);
    assert_eq!(
        torn.unwrap_err().to_string(),
        "damaged record at events AS-2222222Y 0000000001: EOF while parsing a string at line 1 column 40"
    );
}

#[test]
fn a_store_of_this_version_is_kept_for_later_programs() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/store/v{}.jsonl", record::VERSION));
    let written =
        fs::read_to_string(&sample).unwrap_or_else(|e| panic!("{}: {e}; see tests/it/stores.rs", sample.display()));
    let store = Store::temporary().unwrap();
    store.import(&mut written.as_bytes()).unwrap();
    assert_eq!(exported(&store), written, "a changed form needs the next version");
    assert_eq!(store.verify().unwrap().findings, []);
}

#[test]
fn a_store_of_an_earlier_format_becomes_one_of_this() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    store.commit(&told(&store, 1).commit).unwrap();
    let mut change = Change::default();
    change.put(Table::Meta, keys::VERSION.to_owned(), &(FORMAT - 1)).unwrap();
    assert!(store.inner.tables.run(&change).unwrap());
    store.flush().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.inner.tables.get::<u32>(Table::Meta, keys::VERSION).unwrap(), Some(FORMAT));
    assert_eq!(store.cases().count(), 1);
}

#[test]
fn a_refused_commit_leaves_nothing() {
    let store = Store::temporary().unwrap();
    let first = told(&store, 1);
    store.commit(&first.commit).unwrap();
    store.commit(&issue(&first.case, 4, rma("KR"), "KS10001")).unwrap();
    let other = told(&store, 2);
    store.commit(&other.commit).unwrap();
    let before = exported(&store);
    let refused = |commit: &Commit| {
        let error = store.commit(commit).unwrap_err();
        assert_eq!(exported(&store), before);
        error
    };
    // Everything else that could be written rides along, to see that it is not.
    let third = told(&store, 3).commit;
    let with = |step: Option<CaseStep>| Commit { case: step, ..third.clone() };

    assert!(matches!(refused(&first.commit), CommitError::Seen(seen) if seen.case.as_ref() == Some(&first.case)));
    let stale = with(Some(CaseStep { from: None, ..first.commit.case.clone().unwrap() }));
    assert!(matches!(refused(&stale), CommitError::Stale { case } if case == first.case));
    let stale = with(issue(&other.case, 3, rma("KX"), "KS10002").case);
    assert!(matches!(refused(&stale), CommitError::Stale { .. }));
    let unknown = with(issue(&CaseId::derive(&letter_id(b"?"), 0), 1, rma("KX"), "KS10002").case);
    assert!(matches!(refused(&unknown), CommitError::Stale { .. }));
    let twice = with(issue(&first.case, 5, rma("KX"), "KS10002").case);
    assert!(matches!(refused(&twice), CommitError::Illegal(_)));
    let foreign = with(Some(CaseStep { id: other.case.clone(), ..third.case.clone().unwrap() }));
    assert!(matches!(refused(&foreign), CommitError::Stale { .. }));
    let foreign = with(Some(CaseStep { id: CaseId::derive(&letter_id(b"?"), 0), ..third.case.clone().unwrap() }));
    assert!(matches!(refused(&foreign), CommitError::Illegal(_)));
    let line = with(issue(&other.case, 4, rma("KX"), "KS10001").case);
    assert!(matches!(refused(&line), CommitError::Taken { what: Claimed::OrderLine, by } if by == first.case));
    let number = with(issue(&other.case, 4, rma("KR"), "KS10002").case);
    assert!(matches!(refused(&number), CommitError::Taken { what: Claimed::RmaNumber, by } if by == first.case));
    store.commit(&third).unwrap();
}

#[test]
fn of_two_commits_on_one_version_one_wins_whichever_thread_is_first() {
    let store = Store::temporary().unwrap();
    let told = told(&store, 1);
    store.commit(&told.commit).unwrap();
    for round in 0..50 {
        let from = version(&store, &told.case);
        let event = CaseEvent::daemon(if round % 2 == 0 { Event::Closed } else { Event::Reopened }, at(5));
        let step = CaseStep { id: told.case.clone(), from: Some(from), events: vec![event] };
        let commit = Commit { case: Some(step), ..Commit::default() };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| store.commit(&commit).map(|_| ()))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(version(&store, &told.case), from + 1);
    }
}

#[test]
fn many_commits_at_once_each_succeed_or_fail_by_themselves() {
    let store = Store::temporary().unwrap();
    let known = told(&store, 1);
    store.commit(&known.commit).unwrap();
    let new: Vec<Told> = (2..5).map(|n| told(&store, n)).collect();
    let close = |from| {
        let step = CaseStep {
            id: known.case.clone(),
            from: Some(from),
            events: vec![CaseEvent::daemon(Event::Closed, at(9))],
        };
        Commit { case: Some(step), position: Some(place(9)), ..Commit::default() }
    };
    let commits = [
        new[0].commit.clone(),
        close(3),
        new[1].commit.clone(),
        new[1].commit.clone(),
        known.commit.clone(),
        close(4),
        close(4),
        new[2].commit.clone(),
    ];
    let outcomes = store.commit_all(&commits).unwrap();
    let said = |outcome: &Result<Option<Case>, CommitError>| match outcome {
        Ok(case) => format!("{}", case.as_ref().unwrap().version),
        Err(CommitError::Stale { .. }) => "stale".to_owned(),
        Err(CommitError::Seen(_)) => "seen".to_owned(),
        Err(e) => e.to_string(),
    };
    let said: Vec<String> = outcomes.iter().map(said).collect();
    assert_eq!(said, ["4", "stale", "4", "seen", "seen", "5", "stale", "4"]);
    assert_eq!(store.cursor("INBOX").unwrap(), Some(place(9)));
    let counts = store.counts().unwrap();
    assert_eq!((counts.cases, counts.replies, counts.waiting, counts.letters["customer"]), (4, 4, 4, 4));
    assert!(store.commit_all(&[]).unwrap().is_empty());
}

#[test]
fn the_same_letter_is_recognised_and_the_same_id_with_other_content_is_not() {
    let store = Store::temporary().unwrap();
    let (a, b, content) = (letter_id(b"a"), letter_id(b"b"), letter_id(b"content"));
    let id = message("m@example.com");
    let entry = |letter: &LetterId, message_id: Option<&MessageId>| LetterEntry {
        id: letter.clone(),
        content: content.clone(),
        message_id: message_id.cloned(),
        class: Class::Bulk,
        at: at(0),
    };
    let take = |entry| store.commit(&Commit { letter: Some(entry), ..Commit::default() }).unwrap();
    take(entry(&a, Some(&id)));
    assert!(store.seen(&b, &content, Some(&id)).unwrap().is_some());
    assert!(store.seen(&a, &letter_id(b"other"), Some(&id)).unwrap().is_none());
    assert!(store.seen(&a, &content, None).unwrap().is_none());
    take(entry(&a, None));
    assert!(store.seen(&a, &letter_id(b"other"), None).unwrap().is_some());
    assert!(store.seen(&b, &content, None).unwrap().is_none());
}

#[test]
fn nobody_leads_a_thread_away_by_bearing_its_message_id() {
    let store = Store::temporary().unwrap();
    let first = told(&store, 1);
    store.commit(&first.commit).unwrap();
    let forged = told(&store, 2);
    let reply_id = first.commit.reply.clone().unwrap().message_id;
    for id in [reply_id, message("m1@example.com")] {
        let mut commit = forged.commit.clone();
        let mut entry = commit.letter.take().unwrap();
        entry.message_id = Some(id.clone());
        commit.letter = Some(entry);
        if store.case(&forged.case).unwrap().is_some() {
            commit.case = Some(CaseStep { id: forged.case.clone(), from: Some(4), events: Vec::new() });
            commit.reply = None;
        }
        store.commit(&commit).unwrap();
        assert_eq!(store.case_of_message(&id).unwrap().as_ref(), Some(&first.case));
    }
}

#[test]
fn the_cursor_never_goes_back_but_follows_a_new_validity_and_leaves_maildirs_alone() {
    let store = Store::temporary().unwrap();
    let arrive = |position: &Position| {
        store.commit(&Commit { position: Some(position.clone()), ..Commit::default() }).unwrap();
    };
    arrive(&place(5));
    arrive(&place(3));
    assert_eq!(store.cursor("INBOX").unwrap(), Some(place(5)));
    assert_eq!(store.unmarked("INBOX").unwrap(), [place(3), place(5)]);
    store.marked(&[place(3), place(4)]).unwrap();
    assert_eq!(store.unmarked("INBOX").unwrap(), [place(5)]);
    let renewed = Position { validity: 8, ..place(1) };
    arrive(&renewed);
    assert_eq!(store.cursor("INBOX").unwrap(), Some(renewed));
    let listed = Position { folder: "/mail".to_owned(), validity: 0, uid: 9, name: "1.M1.host".to_owned() };
    arrive(&listed);
    assert_eq!(store.cursor("/mail").unwrap(), None);
    assert_eq!(store.unmarked("/mail").unwrap(), [listed]);
}

#[test]
fn quarantine_keeps_one_entry_a_letter_until_it_is_released_or_taken_in() {
    let store = Store::temporary().unwrap();
    let told = told(&store, 1);
    let letter = told.commit.raw.clone().unwrap().letter().clone();
    let entry = |letter: Option<LetterId>, uid, second, why: &str| Quarantined {
        letter,
        position: Some(place(uid)),
        why: why.to_owned(),
        at: at(second),
        from: Some("jo@example.com".to_owned()),
        subject: None,
        message_id: None,
    };
    let put = |entry: &Quarantined, raw: Option<RawPlace>| {
        let position = entry.position.clone();
        store.commit(&Commit { raw, position, quarantine: Some(entry.clone()), ..Commit::default() }).unwrap();
    };
    let unread = entry(None, 9, 5, "the server won't give it");
    let first = entry(Some(letter.clone()), 1, 7, "the parser broke");
    let second = Quarantined { why: "again".to_owned(), ..first.clone() };
    put(&first, told.commit.raw.clone());
    put(&second, told.commit.raw.clone());
    put(&unread, None);
    assert_eq!(store.quarantined().unwrap(), [unread.clone(), second]);
    assert_eq!(store.counts().unwrap().quarantined, 2);
    assert_eq!(store.raw(&letter).unwrap().unwrap(), told.raw);
    assert!(store.release(&unread).unwrap());
    assert!(!store.release(&unread).unwrap());
    store.commit(&told.commit).unwrap();
    assert_eq!(store.quarantined().unwrap(), []);
    assert_eq!(store.counts().unwrap().quarantined, 0);
}
