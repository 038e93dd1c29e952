//! Whether what the program remembers agrees with the mailbox's files and with what the SMTP server took.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::town::{End, Kind, Town, await_all_seen, digest, mailbox};
use crate::support::post::Reply;
use crate::support::program::run;

/// The program's memory, read from its export.
pub struct Books {
    pub export: String,
    /// The digest of each mail kept, and the mail.
    raw: BTreeMap<String, Vec<u8>>,
    /// What became of each letter: digest, record.
    seen: Vec<(String, Value)>,
    /// Case and event, in order.
    events: Vec<(String, Value)>,
    quarantined: Vec<String>,
    cases: BTreeSet<String>,
    waiting: usize,
    unmarked: usize,
}

impl Books {
    pub fn read(town: &Town) -> Self {
        let told = run(town.command(&["export"]));
        assert_eq!(told.code, Some(0), "{}", told.err);
        let mut books = Self {
            raw: BTreeMap::new(),
            seen: Vec::new(),
            events: Vec::new(),
            quarantined: Vec::new(),
            cases: BTreeSet::new(),
            waiting: 0,
            unmarked: 0,
            export: String::new(),
        };
        for line in told.out.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            books.enter(&line);
        }
        books.export = told.out;
        books
    }

    fn enter(&mut self, line: &Value) {
        let key: Vec<&str> = line["key"].as_str().unwrap_or_default().split('\0').collect();
        let record = &line["record"];
        match line["table"].as_str().unwrap_or_default() {
            "raw" => {
                let mail = line["mail"].as_str().unwrap_or_else(|| panic!("a mail is lost: {line}"));
                self.raw.insert(key[0].to_owned(), mail.chars().map(|c| u8::try_from(c).unwrap()).collect());
            }
            "seen" => self.seen.push((record["letter"].as_str().unwrap().to_owned(), record.clone())),
            "events" => {
                let events = record.as_array().unwrap().iter();
                self.events.extend(events.map(|event| (key[0].to_owned(), event.clone())));
            }
            "quarantine" => self.quarantined.push(record["letter"].as_str().unwrap().to_owned()),
            "cases" => assert!(self.cases.insert(key[0].to_owned())),
            "outbox" => self.waiting += 1,
            "mailbox" => self.unmarked += usize::from(key[0] == "unmarked"),
            _ => {}
        }
    }

    fn events(&self, name: &str) -> impl Iterator<Item = &(String, Value)> {
        let name = name.to_owned();
        self.events.iter().filter(move |(_, event)| event["event"] == name.as_str())
    }

    /// The letters of each case.
    fn letters(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut letters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (case, event) in self.events("letter_taken").chain(self.events("letter_noted")) {
            letters.entry(event["letter"].as_str().unwrap()).or_default().push(case);
        }
        letters
    }
}

/// In the midst of it: what the mailbox was told is done is kept, whole, and has its entry.
pub fn check_what_is_acknowledged(town: &Town) {
    let marked: Vec<Vec<u8>> = mailbox(town).into_iter().filter_map(|(raw, seen)| seen.then_some(raw)).collect();
    let books = Books::read(town);
    let letters: BTreeSet<&String> = books.seen.iter().map(|(letter, _)| letter).chain(&books.quarantined).collect();
    for raw in marked {
        assert_eq!(books.raw.get(&digest(&raw)), Some(&raw), "acknowledged, but not kept");
        let planned = town.mails.iter().find(|mail| mail.copies.iter().any(|copy| copy.as_bytes() == raw)).unwrap();
        let entered = planned.copies.iter().any(|copy| letters.contains(&digest(copy.as_bytes())));
        assert!(entered, "acknowledged without an entry:\n{}", String::from_utf8_lossy(&raw));
    }
}

/// At the end. Gives how many replies were repeated.
pub fn check(town: &Town) -> usize {
    await_all_seen(town);
    let books = Books::read(town);
    check_letters(town, &books);
    let repeats = check_replies(town, &books);
    let told = run(town.command(&["once"]));
    assert!(matches!(told.code, Some(0 | 75)), "{told:?}");
    if books.waiting == 0 {
        assert_eq!(Books::read(town).export, books.export, "another pass changes nothing");
    }
    assert_eq!(books.unmarked, 0);
    repeats
}

/// Each mail of the mailbox is kept, and has exactly one entry, in exactly the case it belongs to.
fn check_letters(town: &Town, books: &Books) {
    let files: Vec<Vec<u8>> = mailbox(town).into_iter().map(|(raw, _)| raw).collect();
    assert_eq!(files.len(), town.mails.iter().map(|mail| mail.copies.len()).sum::<usize>());
    let in_files: BTreeMap<String, &Vec<u8>> = files.iter().map(|raw| (digest(raw), raw)).collect();
    assert_eq!(books.raw.keys().collect::<Vec<_>>(), in_files.keys().collect::<Vec<_>>(), "every mail is kept");
    assert!(in_files.iter().all(|(digest, raw)| books.raw[digest] == **raw), "byte for byte");
    let letters = books.letters();
    assert!(letters.values().all(|cases| cases.len() == 1), "{letters:?}");
    let mut case_of: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for mail in &town.mails {
        let copies: BTreeSet<String> = mail.copies.iter().map(|raw| digest(raw.as_bytes())).collect();
        let seen: Vec<&(String, Value)> = books.seen.iter().filter(|(letter, _)| copies.contains(letter)).collect();
        let quarantined = books.quarantined.iter().filter(|letter| copies.contains(*letter)).count();
        let in_cases: Vec<&str> = copies.iter().filter_map(|copy| letters.get(copy.as_str())).map(|c| c[0]).collect();
        if mail.kind == Kind::Broken {
            assert_eq!((seen.len(), quarantined, in_cases.len()), (0, 1, 0), "{}", mail.copies[0]);
            continue;
        }
        assert_eq!((seen.len(), quarantined), (1, 0), "one entry:\n{}", mail.copies[0]);
        let told: Vec<&str> = seen[0].1["case"].as_str().into_iter().collect();
        assert_eq!(in_cases, told, "in its case and in no other:\n{}", mail.copies[0]);
        match &mail.kind {
            Kind::Claim { address } => case_of.entry(address).or_default().push(told[0]),
            Kind::Answer { address } => assert!(case_of[address.as_str()].contains(&told[0]), "{}", mail.copies[0]),
            Kind::Machine => assert!(told.is_empty() && seen[0].1["class"] != "customer", "{:?}", seen[0].1),
            Kind::Broken => {}
        }
    }
    let broken = town.mails.iter().filter(|mail| mail.kind == Kind::Broken).count();
    assert_eq!((books.seen.len(), books.quarantined.len()), (town.mails.len() - broken, broken), "and nothing else");
    let cases: Vec<&str> = case_of.into_values().flatten().collect();
    assert_eq!(cases.len(), books.cases.len(), "one case for each claim, and no other");
    assert_eq!(cases.into_iter().collect::<BTreeSet<_>>(), books.cases.iter().map(String::as_str).collect());
}

/// Each reply that was written was accepted; none that was not; none differs from another to the same letter.
fn check_replies(town: &Town, books: &Books) -> usize {
    let kept = town.post.smtpd.kept();
    let mut taken: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut answers: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (number, mail) in kept.iter().enumerate() {
        let reply = Reply::read(&mail.raw);
        if let Some(letter) = reply.in_reply_to {
            answers.entry(letter).or_default().insert(reply.message_id.clone());
        }
        taken.entry(reply.message_id).or_default().push(number);
    }
    assert!(answers.values().all(|ids| ids.len() == 1), "different replies to one letter: {answers:#?}");
    let ids = |name: &str| -> BTreeSet<String> {
        books.events(name).map(|(_, event)| event["message_id"].as_str().unwrap().to_owned()).collect()
    };
    let (queued, sent, refused) = (ids("reply_queued"), ids("reply_sent"), ids("reply_refused"));
    assert_eq!(books.events("reply_sent").count(), sent.len(), "noted once");
    assert_eq!(taken.keys().cloned().collect::<BTreeSet<_>>(), sent, "accepted by the server, and noted as sent");
    assert!(sent.is_disjoint(&refused) && queued.is_superset(&sent) && queued.is_superset(&refused));
    assert_eq!(queued.len(), sent.len() + refused.len() + books.waiting);
    for mail in &town.mails {
        if let Kind::Claim { address } = &mail.kind
            && address.starts_with("jo")
        {
            let to = kept.iter().filter(|kept| kept.envelope["to"][0] == address.as_str()).count();
            assert!(to > 0, "{address} has no reply");
        }
    }
    let mut repeats = 0;
    for (id, numbers) in taken.iter().filter(|(_, numbers)| numbers.len() > 1) {
        assert!(numbers.iter().all(|number| kept[*number].raw == kept[numbers[0]].raw), "{id} was changed");
        for number in &numbers[..numbers.len() - 1] {
            let run = town.runs.iter().rposition(|(before, _)| before <= number).unwrap();
            assert_ne!(town.runs[run].1, End::Itself, "{id} was repeated although nobody killed run {run}");
            repeats += 1;
        }
    }
    repeats
}
