//! Forgetting people, record by record.

use super::*;
use crate::domain::event::Actor;

fn how() -> Erasing {
    Erasing { by: Actor::Staff("kim".to_owned()), at: at(5000), symptom: |_, _| "power".to_owned() }
}

fn who(store: &Store) -> Address {
    store.pseudonym(&jo().address, "a key").unwrap()
}

#[test]
fn a_pseudonym_is_the_same_as_long_as_the_store_lives_and_another_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let first = who(&store);
    assert_eq!(store.pseudonym(&jo().address, "another key").unwrap(), first);
    assert_ne!(store.pseudonym(&Address::new("kim@example.com").unwrap(), "x").unwrap(), first);
    assert_ne!(Store::temporary().unwrap().pseudonym(&jo().address, "another key").unwrap(), first);
    store.flush().unwrap();
    drop(store);
    assert_eq!(who(&Store::open(folder.path()).unwrap()), first);
}

#[test]
fn an_erased_case_is_the_fold_of_its_events_and_its_letters_stay_known() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (a, b) = (told(&store, 1), told(&store, 2));
    store.commit(&a.commit).unwrap();
    store.commit(&b.commit).unwrap();
    store.commit(&issue(&a.case, 4, rma("KR"), "KS10001")).unwrap();
    let who = who(&store);
    let done = store.erase_case(&a.case, &who, &how()).unwrap();
    // The letter's entry and the reply that waited.
    assert_eq!(done, Erased { cases: 1, mails: 1, traces: 2 });
    assert_eq!(store.verify().unwrap().findings, []);
    let case = store.case(&a.case).unwrap().unwrap();
    assert_eq!((case.customer.address.clone(), case.erased, case.subject.as_str()), (who.clone(), Some(at(5000)), ""));
    assert_eq!(Case::replay(&store.events(&a.case).unwrap()).unwrap().unwrap(), case);
    assert_eq!(store.cases_of_sender(&jo().address).unwrap(), std::slice::from_ref(&b.case));
    assert_eq!(store.cases_of_sender(&who).unwrap(), std::slice::from_ref(&a.case));
    assert_eq!(store.case_of_rma(&rma("KR")).unwrap(), Some(a.case.clone()));
    let rows = exported(&store);
    let of_a: String = rows.lines().filter(|line| line.contains(a.case.as_str())).collect();
    for word in ["Jo Doe", "jo@", "Watch 1", "is broken", "send a photo", "m1@example.com"] {
        assert!(!of_a.contains(word), "{word}: {of_a}");
    }
    assert!(!rows.contains("m1@example.com"));
    let again = store.commit(&Commit { case: None, reply: None, position: None, ..a.commit.clone() });
    assert!(matches!(again, Err(CommitError::Seen(_))), "{again:?}");
    let entry = a.commit.letter.unwrap();
    assert_eq!(store.seen(&entry.id, &entry.content, entry.message_id.as_ref()).unwrap().unwrap().letter, entry.id);
    assert_eq!(store.case_of_message(&message("m1@example.com")).unwrap(), None);
    assert_eq!(store.erase_case(&a.case, &who, &how()).unwrap(), Erased::default());
    let step =
        CaseStep { id: a.case, from: Some(case.version), events: vec![CaseEvent::daemon(Event::Reopened, at(6000))] };
    let reopened = store.commit(&Commit { case: Some(step), ..Commit::default() });
    assert!(matches!(reopened, Err(CommitError::Illegal(_))), "{reopened:?}");
    let other = tempfile::tempdir().unwrap();
    let other = Store::open(other.path()).unwrap();
    other.import(&mut rows.as_bytes()).unwrap();
    assert_eq!((exported(&other), other.verify().unwrap().findings), (rows, Vec::new()));
    assert_eq!(other.pseudonym(&jo().address, "x").unwrap(), who, "the key goes along");
}

#[test]
fn erasing_beside_commits_loses_none_of_them() {
    let store = Store::temporary().unwrap();
    let cases: Vec<Told> = (1..30).map(|number| told(&store, number)).collect();
    cases.iter().for_each(|told| drop(store.commit(&told.commit).unwrap()));
    let who = who(&store);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for waiting in store.outbox_due(at(9000), 99).unwrap() {
                store.outbox_sent(&[waiting.key], at(4000)).unwrap();
            }
        });
        for told in &cases {
            store.erase_case(&told.case, &who, &how()).unwrap();
        }
        sending.join().unwrap();
    });
    assert_eq!(store.verify().unwrap().findings, []);
    assert_eq!(store.counts().unwrap().waiting, 0);
}
