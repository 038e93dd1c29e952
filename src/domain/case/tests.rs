use super::*;
use crate::domain::decision::Action;
use crate::domain::ids::{Address, LetterId};
use crate::domain::warranty::{Checklist, Item};
use jiff::civil::date;
use proptest::prelude::*;

fn letter() -> LetterId {
    LetterId::from_digest(&[1; 32])
}

fn opened() -> CaseEvent {
    by_daemon(Event::Opened {
        case: CaseId::derive(&letter(), 0),
        customer: Person { name: None, address: Address::new("jo@example.net").unwrap() },
        opened_on: date(2026, 11, 20),
    })
}

fn by_daemon(event: Event) -> CaseEvent {
    CaseEvent::daemon(event, Timestamp::UNIX_EPOCH)
}

fn by_staff(event: Event) -> CaseEvent {
    CaseEvent::new(event, Actor::Staff("kim".to_owned()), Timestamp::UNIX_EPOCH)
}

fn rma() -> Event {
    let number = (0..=255).find_map(|n| RmaNumber::make("KR", date(2026, 11, 20), [n, 1, 2, 3, 4])).unwrap();
    let rma = Rma {
        number,
        track: Track::Repair,
        order_number: OrderNumber::new("KS20001").unwrap(),
        sku: Sku::new("RX-1").unwrap(),
        issued_on: date(2026, 11, 20),
        valid_until: date(2026, 12, 5),
        return_shipping: None,
    };
    Event::RmaIssued { rma }
}

fn happenings() -> impl Strategy<Value = Event> {
    let decision = Decision {
        action: Action::Ask,
        track: None,
        reasons: Vec::new(),
        checklist: Checklist::default(),
        ask: Vec::new(),
        terms: String::new(),
        held: None,
    };
    let id = |n: u32| MessageId::new(&format!("{n}@example.com")).unwrap();
    let fixed = vec![
        opened().event,
        rma(),
        Event::RmaExtended { valid_until: date(2027, 1, 5) },
        Event::Asked { items: vec![Item::Photo] },
        Event::HandedToStaff,
        Event::SafetyHeld,
        Event::Posted { tracking: None },
        Event::Arrived { arrival: Arrival::AsAuthorised },
        Event::Arrived { arrival: Arrival::Empty },
        Event::Inspected { finding: Finding::Confirmed },
        Event::Inspected { finding: Finding::NoFaultFound },
        Event::Chosen { remedy: Remedy::Refund },
        Event::Repaired,
        Event::Replaced,
        Event::Refunded { amount: None, deducted: None },
        Event::Rejected,
        Event::ShippedBack { tracking: None, service: Default::default() },
        Event::Withdrawn,
        Event::Expired,
        Event::Closed,
        Event::Reopened,
        Event::Merged { into: CaseId::derive(&letter(), 1) },
        Event::Handled,
        Event::Erased,
        Event::Reminded { of: Timer::RemindItems },
        Event::Reminded { of: Timer::RemindStaff },
        Event::Scheduled { due: None },
        Event::Decided { letter: Some(letter()), decision },
    ];
    prop_oneof![
        5 => proptest::sample::select(fixed),
        1 => (1u32..40).prop_map(move |number| Event::ReplyQueued {
            number,
            kind: Kind::Ask,
            message_id: id(number),
            subject: String::new(),
            text: String::new(),
        }),
        3 => (1u32..8, any::<bool>()).prop_map(move |(number, asks)| Event::DraftWritten {
            number,
            kind: if asks { Kind::Ask } else { Kind::Acknowledgement },
            message_id: id(number),
            subject: String::new(),
            text: String::new(),
            until: None,
        }),
        2 => (1u32..8).prop_map(move |n| Event::DraftReleased { message_id: id(n) }),
        2 => (1u32..8).prop_map(move |n| Event::DraftDropped { message_id: id(n) }),
        1 => (1u32..40).prop_map(move |n| Event::ReplyRefused { message_id: id(n) }),
    ]
}

fn events() -> impl Strategy<Value = CaseEvent> {
    (happenings(), any::<bool>()).prop_map(|(event, staff)| if staff { by_staff(event) } else { by_daemon(event) })
}

proptest! {
    #[test]
    fn no_order_of_events_breaks_what_always_holds(events in proptest::collection::vec(events(), 0..80)) {
        let mut case = Case::apply(None, &opened()).unwrap();
        let mut legal = vec![opened()];
        for event in events {
            let Ok(next) = Case::apply(Some(case.clone()), &event) else { continue };
            prop_assert_eq!(next.version, case.version + 1);
            prop_assert!(next.rma.is_some() || case.rma.is_none(), "an RMA is never taken back");
            let number = |case: &Case| case.rma.as_ref().map(|rma| rma.number.clone());
            prop_assert!(case.rma.is_none() || number(&next) == number(&case), "nor replaced");
            prop_assert!(next.with_staff || !case.with_staff, "with staff stays with staff");
            let dropped = matches!(event.event, Event::DraftDropped { .. });
            prop_assert!(next.replies >= case.replies && (next.asks >= case.asks || dropped));
            prop_assert_eq!(next.replies, next.replies_out() + next.dropped + next.drafts.len() as u32);
            prop_assert!(next.drafts.len() <= case.drafts.len() || !next.acknowledged || case.acknowledged,
                "of a draft nobody has been told");
            prop_assert!(next.state != State::WithStaff || next.with_staff || next.rma.is_some());
            prop_assert!(!matches!(next.state, State::RmaIssued | State::InTransit) || next.rma.is_some());
            prop_assert!(next.thread.len() <= 20);
            prop_assert!(!next.state.is_final() || next.attention.is_none() || next.state == case.state,
                "what is over waits on nobody");
            let by_daemon = event.by == Actor::Daemon;
            let refuses = next.state == State::Rejected && case.state != State::Rejected;
            prop_assert!(!(by_daemon && refuses), "the program never refuses");
            let of_a_person = next.state.is_in_house() && next.state != case.state;
            prop_assert!(!(by_daemon && of_a_person), "what is done with a parcel, people do");
            let held = case.state == State::SafetyHold && by_daemon && next.state != State::SafetyHold;
            prop_assert!(!held || next.state.is_final(), "a danger is let go by a person");
            prop_assert!(case.state != State::Merged || next.state == State::Merged);
            prop_assert!(next.since >= case.since);
            legal.push(event);
            case = next;
        }
        prop_assert_eq!(Case::replay(&legal).unwrap(), Some(case), "a case is the fold of its events");
    }

    #[test]
    fn events_survive_the_way_to_the_disk(event in events()) {
        let json = serde_json::to_string(&event).unwrap();
        prop_assert_eq!(serde_json::from_str::<CaseEvent>(&json).unwrap(), event);
    }
}

#[test]
fn only_opening_begins_a_case_and_only_once() {
    assert!(Case::apply(None, &by_daemon(Event::Closed)).is_err());
    let case = Case::apply(None, &opened()).unwrap();
    assert!(Case::apply(Some(case), &opened()).is_err());
}

#[test]
fn a_case_with_staff_or_closed_gets_no_rma_from_the_program() {
    for event in [Event::HandedToStaff, Event::Closed, Event::SafetyHeld] {
        let case = Case::replay(&[opened(), by_daemon(event)]).unwrap();
        assert!(Case::apply(case, &by_daemon(rma())).is_err());
    }
    let case = Case::replay(&[opened(), by_daemon(Event::HandedToStaff)]).unwrap();
    assert_eq!(Case::apply(case, &by_staff(rma())).unwrap().state, State::RmaIssued);
}

#[test]
fn every_state_can_be_left_or_is_the_end() {
    let events: Vec<Event> =
        vec![Event::Closed, Event::Arrived { arrival: Arrival::AsAuthorised }, Event::HandedToStaff];
    for state in State::ALL.into_iter().filter(|s| *s != State::Merged && *s != State::Closed) {
        assert!(events.iter().any(|e| state.after(e, true).is_some_and(|to| to != state)), "{state:?}");
    }
}

#[test]
fn a_reply_of_a_merged_case_may_still_be_refused() {
    let merged = by_staff(Event::Merged { into: CaseId::derive(&letter(), 1) });
    let refused = by_daemon(Event::ReplyRefused { message_id: MessageId::new("1@example.com").unwrap() });
    let case = Case::replay(&[opened(), by_daemon(Event::HandedToStaff), merged, refused]).unwrap().unwrap();
    assert_eq!((case.state, case.attention), (State::Merged, None));
}

/// The life of a repair, as the policy tells it: `rma.first`, `inspection`, `repair.cost`.
#[test]
fn a_repair_goes_from_rma_to_closed() {
    let life = [
        opened(),
        by_daemon(rma()),
        by_staff(Event::Posted { tracking: Some("1Z999".to_owned()) }),
        by_staff(Event::Arrived { arrival: Arrival::AsAuthorised }),
        by_staff(Event::Inspected { finding: Finding::Confirmed }),
        by_staff(Event::Repaired),
        by_staff(Event::ShippedBack { tracking: None, service: Default::default() }),
        by_daemon(Event::Closed),
    ];
    let states: Vec<State> = (1..=life.len()).map(|n| Case::replay(&life[..n]).unwrap().unwrap().state).collect();
    use State::*;
    assert_eq!(states, [New, RmaIssued, InTransit, Received, Inspected, Repaired, ShippedBack, Closed]);
}
