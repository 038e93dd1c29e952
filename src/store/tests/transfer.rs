//! Export and import.

use proptest::prelude::*;

use super::*;

#[test]
fn an_import_says_on_which_line_it_fails_and_leaves_nothing() {
    let store = Store::temporary().unwrap();
    store.commit(&told(&store, 1).commit).unwrap();
    let good = exported(&store);
    let lines: Vec<&str> = good.lines().collect();
    let last = lines.len();
    assert!(matches!(store.import(&mut good.as_bytes()), Err(StoreError::NotEmpty { .. })));
    let without =
        |n: usize| lines.iter().enumerate().filter(|(i, _)| *i != n).map(|(_, l)| format!("{l}\n")).collect::<String>();
    let cases = [
        (String::new(), 1),
        ("{}\n".to_owned(), 1),
        (without(last - 1), last),
        (without(2), last - 1),
        (good.replace("My watch", "Mx watch"), lines.iter().position(|line| line.contains("My watch")).unwrap() + 1),
        (good.replace("\"tab", "\"tub"), 2),
        (good.replace("\"cases\"", "\"casks\""), lines.iter().position(|line| line.contains("\"cases\"")).unwrap() + 1),
        (
            good.replace("2026-11-22", "2026-13-22"),
            lines.iter().position(|line| line.contains("2026-11-22")).unwrap() + 1,
        ),
    ];
    let other = Store::temporary().unwrap();
    for (text, expected) in cases {
        match other.import(&mut text.as_bytes()) {
            Err(StoreError::Import { line, .. }) => assert_eq!(line, expected as u64, "{text}"),
            outcome => panic!("{outcome:?} for {text}"),
        }
        assert_eq!(exported(&other).lines().count(), 2);
    }
    let newer = good.replace("{\"aftersalesd_store\":2}", "{\"aftersalesd_store\":9}");
    assert!(matches!(other.import(&mut newer.as_bytes()), Err(StoreError::Newer { found: 9, .. })));
    other.import(&mut good.as_bytes()).unwrap();
    assert_eq!(exported(&other), good);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_imported_exports_to_the_same_bytes(
        mails in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..400), 0u8..8), 1..12),
        folder in "\\PC{0,12}",
    ) {
        let store = Store::temporary().unwrap();
        for (number, (bytes, kind)) in mails.iter().enumerate() {
            let told = told(&store, number as u32);
            let id = letter_id(bytes);
            let raw = Some(store.keep_raw(&id, bytes).unwrap());
            let position = Some(Position { folder: folder.clone(), ..place(number as u32) });
            let quarantine = Quarantined { letter: Some(id), position: position.clone(), why: folder.clone(), at: at(1), from: None, subject: None, message_id: None };
            store.commit(&Commit { raw, position, quarantine: Some(quarantine), ..Commit::default() }).unwrap();
            if *kind > 0 {
                store.commit(&told.commit).unwrap();
            }
            let due = store.outbox_due(at(1000), 1).unwrap();
            match (kind, due.first()) {
                (2, Some(due)) => store.outbox_sent(std::slice::from_ref(&due.key), at(1000)).unwrap(),
                (3, Some(due)) => store.outbox_later(&due.key, at(999), at(1001), &folder).unwrap(),
                (4, Some(due)) => store.outbox_refused(&due.key, &folder, at(1000)).unwrap(),
                (5, _) => assert!(store.dismiss(&store.quarantined().unwrap()[0], &folder, at(2)).unwrap()),
                (6, _) => assert!(store.erase(told.commit.raw.as_ref().unwrap().letter()).unwrap()),
                (7, _) => store.marked(&[place(number as u32), Position { folder: folder.clone(), ..place(number as u32) }]).unwrap(),
                _ => {}
            }
        }
        let first = exported(&store);
        let other = Store::temporary().unwrap();
        other.import(&mut first.as_bytes()).unwrap();
        prop_assert_eq!(&exported(&other), &first);
        prop_assert_eq!(other.verify().unwrap().findings, []);
        prop_assert_eq!(other.quarantined().unwrap(), store.quarantined().unwrap());
        prop_assert_eq!(other.counts().unwrap(), store.counts().unwrap());
        prop_assert_eq!(other.outbox_due(at(2000), 99).unwrap(), store.outbox_due(at(2000), 99).unwrap());
        for (bytes, _) in &mails {
            prop_assert_eq!(&other.raw(&letter_id(bytes)).unwrap().unwrap(), bytes);
        }
    }
}
