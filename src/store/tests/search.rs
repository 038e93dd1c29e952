//! What the search finds, and that its index follows the cases whatever becomes of it.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::domain::event::Actor;
use crate::domain::facts::{Evidence, Fact, Source};
use crate::domain::ids::ItemCode;
use crate::store::search::{Changed, FOLDER};

/// A case of somebody whose words and numbers are these.
fn case_of(number: u32, person: (&str, &str), subject: &str, said: &str, order: Option<&str>) -> Commit {
    let letter = letter_id(format!("{number} {said}").as_bytes());
    let case = CaseId::derive(&letter, 0);
    let customer = Person { name: Some(person.0.to_owned()), address: Address::new(person.1).unwrap() };
    let evidence = || Evidence::new(None, Source::Subject, "", "test");
    let facts = Facts {
        order_number: order.map(|order| Fact { value: OrderNumber::new(order).unwrap(), evidence: evidence() }),
        sku: Some(Fact { value: Sku::new("KP-TKT3U.BK").unwrap(), evidence: evidence() }),
        item_code: Some(Fact { value: ItemCode::new("2000-400001032").unwrap(), evidence: evidence() }),
        ..Facts::default()
    };
    let events = [
        Event::Opened { case: case.clone(), customer: customer.clone(), opened_on: date(2026, 11, 22) },
        Event::LetterTaken {
            letter,
            message_id: None,
            from: Some(customer),
            subject: subject.to_owned(),
            language: None,
            words: said.to_owned(),
            facts: Box::new(facts),
            defects: Vec::new(),
        },
    ];
    let events = events.into_iter().map(|event| CaseEvent::daemon(event, at(number.into()))).collect();
    Commit { case: Some(CaseStep { id: case, from: None, events }), ..Commit::default() }
}

fn id(commit: &Commit) -> CaseId {
    commit.case.as_ref().unwrap().id.clone()
}

fn found(store: &Store, query: &str) -> Vec<CaseId> {
    store.follow_all_with_search().unwrap();
    store.search(query, 50).unwrap().cases.into_iter().map(|case| case.id).collect()
}

fn how() -> Erasing {
    Erasing { by: Actor::Staff("kim".to_owned()), at: at(5000), symptom: |_, _| "power".to_owned() }
}

/// Everything that lies in the folder of the index.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder.join(FOLDER)).unwrap();
    entries.map(|entry| entry.unwrap().path()).map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

fn assert_gone(folder: &Path, words: &[&str]) {
    for (file, bytes) in files(folder) {
        for word in words {
            let tells = bytes.windows(word.len()).any(|some| some.eq_ignore_ascii_case(word.as_bytes()));
            assert!(!tells, "{} tells {word}", file.display());
        }
    }
}

#[test]
fn a_case_is_found_by_its_numbers_in_any_spelling() {
    let store = Store::temporary().unwrap();
    let commit = case_of(1, ("Jürgen Strauß", "j.strauss+shop@post-box.example"), "Defekt", "Nr. 55", Some("KS-10001"));
    let other = case_of(2, ("Ann", "ann@example.com"), "Watch", "dead", Some("KS-20002"));
    for commit in [&commit, &other] {
        store.commit(commit).unwrap();
    }
    let case = id(&commit);
    store.commit(&issue(&case, 2, rma("KR"), "KS-10001")).unwrap();
    let (number, spelled_id) = (rma("KR"), case.as_str().to_owned());
    for code in [spelled_id.as_str(), number.as_str(), "KS-10001"] {
        let (head, tail) = code.split_at(code.len() / 2);
        for spelling in [
            code.to_owned(),
            code.to_lowercase(),
            code.replace('-', ""),
            code.replace('-', " "),
            code.replace('-', "."),
            code.replace('-', "_").to_lowercase(),
            format!("{head} {tail}"),
            format!("{head}-{tail}"),
            format!("{head}.{tail}").to_lowercase(),
            format!("#{code}"),
            format!("{code} jurgen"),
            format!("jurgen {}", code.replace('-', " ")),
        ] {
            assert_eq!(found(&store, &spelling), std::slice::from_ref(&case), "{spelling}");
        }
    }
    assert_eq!(found(&store, "10001"), std::slice::from_ref(&case));
    for both in ["KP-TKT3U.BK", "kp tkt3u bk", "kptkt3ubk", "KP.TKT3U-BK", "2000 400001032", "2000400001032", "200040"]
    {
        assert_eq!(found(&store, both).len(), 2, "{both}");
    }
    let address =
        ["j.strauss+shop@post-box.example", "J.Strauss+Shop@Post-Box.Example", "strauss", "post-box", "shop@post"];
    let name = ["Jürgen Strauß", "jurgen strauss", "STRAUSS JÜRGEN", "ju\u{308}rgen", "jurg"];
    for query in address.into_iter().chain(name) {
        assert_eq!(found(&store, query), std::slice::from_ref(&case), "{query}");
    }
    assert_eq!(store.cases_of_order(&OrderNumber::new("ks-10001").unwrap()).unwrap()[0].id, case);
    assert_eq!(store.cases_of_order(&OrderNumber::new("KS10001").unwrap()).unwrap(), [], "another number");
}

#[test]
fn words_are_all_wanted_folded_and_the_last_one_may_go_on() {
    let store = Store::temporary().unwrap();
    let polish = case_of(1, ("Łukasz", "l@example.pl"), "Zegarek", "Wyświetlacz jest żółty; don't AND NEAR", None);
    let french = case_of(2, ("Zoé", "z@example.fr"), "Montre", "L'écran est noir depuis l'été. \"C'est tout.\"", None);
    let japanese = case_of(3, ("山田", "y@example.jp"), "時計", "電池がすぐ切れます", None);
    for commit in [&polish, &french, &japanese] {
        store.commit(commit).unwrap();
    }
    store.commit(&told(&store, 7).commit).unwrap();
    for query in [
        "lukasz",
        "ŻÓŁTY",
        "zolty wyswietlacz",
        "wyswiet",
        "zegarek zol",
        "NEAR",
        "don't",
        "don't AND",
        "\"jest zolty\"",
    ] {
        assert_eq!(found(&store, query), [id(&polish)], "{query}");
    }
    for query in ["ecran", "l'ecran", "noir ete", "« est noir »", "\"est noir depuis", "zoe mont"] {
        assert_eq!(found(&store, query), [id(&french)], "{query}");
    }
    for query in ["電池", "時計 山田", "山"] {
        assert_eq!(found(&store, query), [id(&japanese)], "{query}");
    }
    assert_eq!(found(&store, "send a photo").len(), 1, "our replies are searched too");
    for query in [
        "",
        " ",
        "--",
        "*",
        "\"",
        "lukasz ecran",
        "luka zolty",
        "\"zolty jest\"",
        "\"lukasz zegarek\"",
        "-lukasz z@",
        "(",
        "codes:x",
    ] {
        assert_eq!(found(&store, query), [], "{query:?}");
    }
    for odd in
        ["^lukasz", "lukasz*", "+lukasz", "(lukasz)", "words : lukasz", "{lukasz}", "lukasz\0", "'lukasz", "lukasz;--"]
    {
        store.search(odd, 50).unwrap();
        assert!(odd.contains("words") || found(&store, odd) == [id(&polish)], "{odd:?}");
    }
    store.search(&"a b-1 \"c ".repeat(5000), 50).unwrap();
}

#[test]
fn exact_numbers_come_first_then_what_was_told_last() {
    let store = Store::temporary().unwrap();
    let exact = case_of(1, ("Jo", "jo@example.com"), "Watch", "dead", Some("KS55"));
    store.commit(&exact).unwrap();
    let others: Vec<Commit> = (2..9)
        .map(|n| case_of(n, ("Al", "al@example.com"), "KS55", "jo@example.com told me", Some("KS7777")))
        .collect();
    for commit in &others {
        store.commit(commit).unwrap();
    }
    let newest_first: Vec<CaseId> = others.iter().rev().map(id).collect();
    for query in ["ks-55", "jo@example.com"] {
        let all = found(&store, query);
        assert_eq!((&all[0], &all[1..]), (&id(&exact), newest_first.as_slice()), "{query}");
    }
    let some = store.search("ks 55", 3).unwrap();
    assert_eq!((some.cases.len(), some.more, &some.cases[0].id), (3, true, &id(&exact)));
    assert!(!store.search("ks 55", 8).unwrap().more);
    // A note makes a case the newest.
    let noted = CaseEvent::daemon(Event::Noted { text: "called her".to_owned() }, at(3000));
    let step = CaseStep { id: id(&others[0]), from: Some(2), events: vec![noted] };
    store.commit(&Commit { case: Some(step), ..Commit::default() }).unwrap();
    assert_eq!(found(&store, "told me")[0], id(&others[0]));
    assert_eq!(found(&store, "called her"), [id(&others[0])]);
}

#[test]
fn who_is_erased_is_gone_from_the_index_and_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    // Many, so that words of theirs stand where the index parts its pages.
    let name = |n: u32| format!("Zzyx{:05}qw", n * 7919 % 99_991);
    let commits: Vec<Commit> = (0..1500)
        .map(|n| {
            let (name, address) = (name(n), format!("{}@mail.example", name(n)));
            case_of(n, (&name, &address), "Watch", &format!("It is dead. {name}s Uhr"), Some(&format!("KS9{n:05}")))
        })
        .collect();
    for commits in commits.chunks(500) {
        store.commit_all(commits).unwrap().into_iter().for_each(|done| drop(done.unwrap()));
    }
    assert_eq!(found(&store, &name(7)), [id(&commits[7])]);
    let who = store.pseudonym(&jo().address, "a key").unwrap();
    for victim in (7..1500).step_by(61) {
        store.erase_case(&id(&commits[victim as usize]), &who, &how()).unwrap();
        store.tidy_search().unwrap();
        let name = name(victim);
        assert_gone(folder.path(), &[&name]);
        assert_eq!(store.search(&name, 50).unwrap(), Found::default(), "at once");
    }
    assert_eq!(found(&store, &name(7)), []);
    assert_eq!(found(&store, commits[7].case.as_ref().unwrap().id.as_str()).len(), 1, "the case itself stays");
    assert_eq!(found(&store, &name(8)), [id(&commits[8])]);
    let names: Vec<String> = (7..1500).step_by(61).map(name).collect();
    assert_gone(folder.path(), &names.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_erasure_takes_away_an_index_that_it_can_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (a, b) = (told(&store, 1), told(&store, 2));
    for told in [&a, &b] {
        store.commit(&told.commit).unwrap();
    }
    assert_eq!(found(&store, "doe").len(), 2);
    store.flush().unwrap();
    drop(store);
    let file = folder.path().join("search/index.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    bytes[..100].fill(b'x');
    fs::write(&file, bytes).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let who = store.pseudonym(&jo().address, "a key").unwrap();
    store.erase_case(&a.case, &who, &how()).unwrap();
    assert!(!file.exists());
    assert_eq!(found(&store, "doe"), [b.case]);
}

#[test]
fn the_index_catches_up_with_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (a, b) = (told(&store, 1), told(&store, 2));
    store.commit(&a.commit).unwrap();
    assert_eq!(store.search_state().unwrap().preparing, Some((0, 1)));
    assert_eq!(found(&store, "doe"), std::slice::from_ref(&a.case));
    assert_eq!(store.search_state().unwrap(), SearchState::default());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join(FOLDER)), 0o700);
    files(folder.path()).iter().for_each(|(file, _)| assert_eq!(mode(file), 0o600, "{}", file.display()));
    // These it does not see: the process ends.
    store.commit(&b.commit).unwrap();
    store.commit(&issue(&a.case, 4, rma("KR"), "KS10001")).unwrap();
    store.flush().unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.search("doe", 9).unwrap(), Found::default(), "nothing is open yet");
    assert_eq!(found(&store, "doe"), [b.case.clone(), a.case.clone()]);
    assert_eq!(found(&store, "KS10001"), std::slice::from_ref(&a.case));
    // It is of another store: what is not here is not found.
    let other = tempfile::tempdir().unwrap();
    drop(store);
    let elsewhere = Store::open(other.path()).unwrap();
    elsewhere.commit(&told(&elsewhere, 3).commit).unwrap();
    fs::create_dir(other.path().join(FOLDER)).unwrap();
    fs::copy(folder.path().join("search/index.sqlite"), other.path().join("search/index.sqlite")).unwrap();
    assert_eq!(found(&elsewhere, "doe"), [told(&elsewhere, 3).case]);
    assert_eq!(found(&elsewhere, "KS10001"), []);
}

#[test]
fn an_index_that_is_damaged_or_of_another_form_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("search/index.sqlite");
    let store = Store::open(folder.path()).unwrap();
    let cases: Vec<CaseId> =
        (1..200).map(|n| told(&store, n)).map(|told| store.commit(&told.commit).unwrap().unwrap().id).collect();
    assert_eq!(found(&store, "watch 7"), [cases[6].clone()]);
    store.flush().unwrap();
    drop(store);
    let whole = fs::read(&file).unwrap();
    let garbled = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(b'~');
        bytes
    };
    let mut of_another_form = whole.clone();
    of_another_form[63] = 99; // user_version: bytes 60 to 63
    for (what, bytes) in [
        ("header", garbled(0, 100)),
        ("all", garbled(0, whole.len())),
        ("schema", garbled(100, 4096)),
        ("pages", garbled(4096, whole.len())),
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("other form", of_another_form),
    ] {
        fs::write(&file, bytes).unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(found(&store, "watch 7"), [cases[6].clone()], "{what}");
        assert_eq!(store.search_state().unwrap(), SearchState::default(), "{what}");
    }
    fs::remove_dir_all(folder.path().join(FOLDER)).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(found(&store, "watch 7"), [cases[6].clone()], "missing");
    // Damaged behind the back of the store: who asks next is told, and it is made anew.
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    store.follow_all_with_search().unwrap();
    let bytes = fs::read(&file).unwrap();
    fs::write(&file, vec![b'~'; bytes.len()]).unwrap();
    let told = store.search("watch 7", 9);
    assert!(matches!(&told, Err(e @ StoreError::Search { .. }) if e.is_temporary()), "{told:?}");
    assert_eq!(store.search_state().unwrap().preparing, Some((0, 199)));
    assert_eq!(found(&store, "watch 7"), [cases[6].clone()]);
}

#[test]
fn a_store_whose_index_can_not_be_made_works_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join(FOLDER);
    fs::write(&in_the_way, "not a folder").unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (a, b) = (told(&store, 1), told(&store, 2));
    store.commit(&a.commit).unwrap();
    let failed = store.follow_with_search().unwrap_err();
    assert!(matches!(failed, StoreError::Search { .. }) && !failed.is_of_the_disk(), "{failed}");
    assert!(store.search_state().unwrap().failure.unwrap().contains("search"));
    assert_eq!(store.search("doe", 9).unwrap(), Found::default());
    store.commit(&b.commit).unwrap();
    let who = store.pseudonym(&jo().address, "a key").unwrap();
    assert_eq!(store.erase_case(&a.case, &who, &how()).unwrap().cases, 1);
    store.tidy_search().unwrap();
    store.flush().unwrap();
    fs::remove_file(in_the_way).unwrap();
    assert_eq!(found(&store, "doe"), [b.case]);
    assert_eq!(store.search_state().unwrap(), SearchState::default());
}

#[test]
fn more_changes_than_are_noted_are_seen_all_the_same() {
    let changed = Changed::default();
    assert_eq!(changed.take(1), None, "of what was before, nothing is known");
    let keys: Vec<String> = (0..20_002).map(|n| format!("AS-{n}")).collect();
    changed.ran(keys[..250].iter().map(|key| (Table::Cases, key.as_str())));
    changed.ran([(Table::Events, "AS-1\u{0}0000000001"), (Table::Meta, "counts")].into_iter());
    assert_eq!([100, 100, 100, 100].map(|most| changed.take(most).unwrap().len()), [100, 100, 50, 0]);
    changed.ran(keys.iter().map(|key| (Table::Cases, key.as_str())));
    assert_eq!(changed.take(100), None, "all are compared");
    assert_eq!(changed.take(100).unwrap().len(), 0);
}
