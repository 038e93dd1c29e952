//! Replies that wait, and the caps.

use super::*;
use crate::domain::event::Event;

#[test]
fn a_reply_waits_is_tried_and_goes() {
    let store = Store::temporary().unwrap();
    let (a, b) = (told(&store, 1), told(&store, 2));
    assert_eq!(store.outbox_next().unwrap(), None);
    store.commit(&b.commit).unwrap();
    store.commit(&a.commit).unwrap();
    assert_eq!(store.outbox_next().unwrap(), Some(at(1)));
    assert_eq!(store.outbox_due(at(0), 9).unwrap(), []);
    assert_eq!(store.outbox_due(at(9), 1).unwrap().len(), 1);
    let due = store.outbox_due(at(9), 9).unwrap();
    assert_eq!(due.iter().map(|waiting| &waiting.reply.case).collect::<Vec<_>>(), [&a.case, &b.case]);
    assert_eq!(Some(&due[0].reply), a.commit.reply.as_ref());

    store.outbox_later(&due[0].key, at(9), at(60), "421 busy").unwrap();
    store.outbox_later(&due[0].key, at(9), at(70), "named nothing any more").unwrap();
    assert_eq!(store.outbox_due(at(59), 9).unwrap().len(), 1);
    let again = store.outbox_due(at(60), 9).unwrap().pop().unwrap();
    assert_eq!((again.attempts, again.first_try, again.why.as_deref()), (1, Some(at(9)), Some("421 busy")));
    assert_eq!((again.key.next_try(), &again.reply), (at(60), &due[0].reply));
    store.outbox_later(&again.key, at(60), at(90), "421 still busy").unwrap();
    let again = store.outbox_due(at(90), 9).unwrap().pop().unwrap();
    assert_eq!((again.attempts, again.first_try), (2, Some(at(9))));

    store.outbox_sent(&[again.key.clone(), again.key.clone()], at(91)).unwrap();
    store.outbox_refused(&due[1].key, "550 no such user", at(92)).unwrap();
    assert_eq!(store.outbox_next().unwrap(), None);
    let sent = CaseEvent::daemon(Event::ReplySent { message_id: again.reply.message_id }, at(91));
    assert_eq!(store.events(&a.case).unwrap().last(), Some(&sent));
    assert_eq!(version(&store, &a.case), 5);
    assert!(store.case(&b.case).unwrap().unwrap().with_staff);
    assert_eq!(store.counts().unwrap().waiting, 0);
    assert_eq!(store.counts().unwrap().replies, 2);
}

#[test]
fn replies_are_counted_for_the_caps_and_forgotten_after_two_days() {
    let store = Store::temporary().unwrap();
    let count =
        |since| (store.replies_to(&jo().address, at(since)).unwrap(), store.replies_sent_since(at(since)).unwrap());
    store.commit(&told(&store, 1).commit).unwrap();
    store.commit(&told(&store, 100).commit).unwrap();
    assert_eq!((count(0), count(1), count(2), count(101)), ((2, 0), (2, 0), (1, 0), (0, 0)));
    let due = store.outbox_due(at(100), 9).unwrap();
    store.outbox_sent(&[due[0].key.clone()], at(110)).unwrap();
    assert_eq!((count(0), count(110), count(111)), ((2, 1), (0, 1), (0, 0)));
    let later = 100 + 49 * 3600;
    store.commit(&told(&store, later).commit).unwrap();
    let due = store.outbox_due(at(later.into()), 9).unwrap();
    store.outbox_sent(&[due[1].key.clone()], at(later.into())).unwrap();
    assert_eq!(count(0), (1, 1));
    let other = Address::new("o@example.com").unwrap();
    assert_eq!(store.replies_to(&other, at(0)).unwrap(), 0);
}
