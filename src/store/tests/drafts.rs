//! Letters that are held back.

use super::*;
use crate::domain::event::Event;

/// The commit of [`told`], with its letter held back and these events behind that.
fn held(store: &Store, number: u32, further: &[fn(MessageId) -> Event]) -> Told {
    let mut told = told(store, number);
    let step = told.commit.case.as_mut().unwrap();
    let Some(Event::ReplyQueued { number, kind, message_id, subject, text }) =
        step.events.pop().map(|queued| queued.event)
    else {
        panic!("the letter is queued last")
    };
    let written = Event::DraftWritten { number, kind, message_id: message_id.clone(), subject, text, until: None };
    let further = further.iter().map(|event| event(message_id.clone()));
    step.events.extend([written].into_iter().chain(further).map(|event| CaseEvent::daemon(event, at(50))));
    told
}

fn released(message_id: MessageId) -> Event {
    Event::DraftReleased { message_id }
}

fn dropped(message_id: MessageId) -> Event {
    Event::DraftDropped { message_id }
}

fn waiting(store: &Store) -> (usize, usize) {
    (store.drafts().count(), store.outbox_due(at(99), 9).unwrap().len())
}

fn findings(store: &Store) -> Vec<String> {
    store.books().unwrap().findings.iter().map(|finding| format!("{} {}", finding.place, finding.what)).collect()
}

#[test]
fn a_draft_is_no_reply_before_it_is_released() {
    let store = Store::temporary().unwrap();
    let told = held(&store, 1, &[]);
    let reply = told.commit.reply.clone().unwrap();
    let case = store.commit(&told.commit).unwrap().unwrap();
    assert_eq!(waiting(&store), (1, 0));
    let counts = store.counts().unwrap();
    assert_eq!((counts.replies, counts.waiting, counts.drafts), (0, 0, 1));
    assert_eq!(store.replies_to(&reply.to.address, at(0)).unwrap(), 0);
    assert_eq!(store.case_of_message(&reply.message_id).unwrap(), None);
    assert_eq!(findings(&store), [""; 0]);

    let event = CaseEvent::daemon(released(reply.message_id.clone()), at(70));
    let step = CaseStep { id: told.case.clone(), from: Some(case.version), events: vec![event] };
    store.commit(&Commit { case: Some(step), ..Commit::default() }).unwrap();
    let due = store.outbox_due(at(99), 9).unwrap();
    assert_eq!(due[0].reply, Reply { written: at(70), ..reply.clone() });
    let counts = store.counts().unwrap();
    assert_eq!((counts.replies, counts.waiting, counts.drafts), (1, 1, 0));
    assert_eq!(store.replies_to(&reply.to.address, at(70)).unwrap(), 1);
    assert_eq!(store.case_of_message(&reply.message_id).unwrap(), Some(told.case));
    assert_eq!(findings(&store), [""; 0]);
}

#[test]
fn what_one_step_writes_and_releases_or_drops_never_was_a_draft() {
    let store = Store::temporary().unwrap();
    let (sent, never) = (held(&store, 1, &[released]), held(&store, 2, &[dropped]));
    for told in [&sent, &never] {
        store.commit(&told.commit).unwrap();
    }
    assert_eq!(waiting(&store), (0, 1));
    let counts = store.counts().unwrap();
    assert_eq!((counts.replies, counts.waiting, counts.drafts), (1, 1, 0));
    assert_eq!(findings(&store), [""; 0]);
}

#[test]
fn a_draft_that_is_lost_or_nobodys_is_found() {
    let store = Store::temporary().unwrap();
    store.commit(&held(&store, 1, &[]).commit).unwrap();
    let row = store.inner.tables.scan(Table::Drafts, "").next().unwrap().unwrap();
    let mut change = Change::default();
    change.remove(Table::Drafts, row.key.clone());
    change.put(Table::Drafts, format!("{}x", row.key), &row.read::<Reply>().unwrap()).unwrap();
    store.inner.tables.run(&change).unwrap();
    let told = findings(&store);
    assert!(told.iter().any(|line| line.contains("no case holds this letter back")), "{told:?}");
    assert!(told.iter().any(|line| line.contains("but it is not there")), "{told:?}");
}
