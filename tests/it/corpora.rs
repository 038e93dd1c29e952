//! Real mail of many programs and many years, where it lies beside the project: every file is read, none takes long.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aftersalesd::pipeline::parse;
use serde_json::Value;

use crate::support::post::Reply;
use crate::support::program::{Installation, program, run_within};

/// The longest that one mail may take, unoptimised and on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const FIELDS: [&str; 12] = [
    "case",
    "class",
    "decision",
    "facts",
    "file",
    "language",
    "message_id",
    "missing",
    "reasons",
    "reply",
    "request",
    "track",
];
const FACTS: [&str; 14] = [
    "item_code",
    "links",
    "order_number",
    "packaging_shown",
    "photos",
    "photos_unusable",
    "problem",
    "received_on",
    "safety",
    "sku",
    "steps_taken",
    "unopened",
    "videos",
    "void_signals",
];
const CLASSES: [&str; 6] = ["customer", "bounce", "auto_reply", "bulk", "own", "spam"];
const DECISIONS: [&str; 5] = ["ask", "issue_rma", "staff", "close", "ignore"];
const REQUESTS: [&str; 10] = [
    "defect",
    "return_unused",
    "return_opened",
    "shipping_reimbursement",
    "spare_parts",
    "order_issue",
    "status",
    "question",
    "closing",
    "other",
];

#[test]
fn every_file_of_the_corpora_gets_its_line() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let Ok(entries) = std::fs::read_dir(&corpora) else { return };
    let folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    assert!(folders.len() > 10, "{} is not the corpora", corpora.display());
    let waiting = Mutex::new(folders);
    let told = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(folder) = waiting.lock().unwrap().pop() else { return };
                    let found = complaints(&folder);
                    told.lock().unwrap().extend(found);
                }
            });
        }
    });
    let told = told.into_inner().unwrap();
    assert!(told.is_empty(), "{told:#?}");
}

/// Has all files of a folder read by one process; what is wrong with its answers.
fn complaints(folder: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(folder, &mut files);
    files.sort();
    let log = tempfile::NamedTempFile::new().unwrap();
    let mut command = program();
    command.args(["triage", "--json"]).args(&files).stdout(Stdio::piped()).stderr(log.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let mut complaints = Vec::new();
    let mut last = Instant::now();
    let mut lines: Vec<Value> = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if last.elapsed() > PATIENCE {
            complaints.push(format!("{}: took {:?}", line["file"], last.elapsed()));
        }
        complaints.extend(wrong(&line).map(|what| format!("{what}: {line}")));
        lines.push(line);
        last = Instant::now();
    }
    let status = child.wait().unwrap();
    let log = std::fs::read_to_string(log.path()).unwrap();
    if !status.success() {
        complaints.push(format!("{}: {status}", folder.display()));
    }
    // A letter without a sender is for a person; nothing else is beyond us.
    complaints.extend(log.lines().filter(|line| !line.contains("there is no address to answer to")).map(str::to_owned));
    complaints.extend(out_of_order(&files, &lines));
    complaints
}

/// Which field of a line breaks the contract.
fn wrong(line: &Value) -> Option<&'static str> {
    let keys = |value: &Value| value.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
    let one_of = |value: &Value, words: &[&str]| value.as_str().is_some_and(|word| words.contains(&word));
    let is_customer = line["class"] == "customer";
    let facts = &line["facts"];
    let counts = ["photos", "photos_unusable", "videos", "links"];
    let checks = [
        ("the fields", keys(line).is_some_and(|keys| FIELDS.iter().all(|field| keys.contains(&(*field).to_owned())))),
        ("facts", keys(facts).is_some_and(|keys| FACTS.iter().all(|field| keys.contains(&(*field).to_owned())))),
        ("counts", counts.iter().all(|count| facts[*count].is_u64())),
        ("problem", ["what", "when", "how"].iter().all(|part| facts["problem"][*part].is_boolean())),
        ("class", one_of(&line["class"], &CLASSES)),
        ("decision", one_of(&line["decision"], &DECISIONS)),
        ("request", if is_customer { one_of(&line["request"], &REQUESTS) } else { line["request"].is_null() }),
        ("language", line["language"].is_null() || line["language"].as_str().is_some_and(|code| code.len() == 2)),
        ("missing and reasons", line["missing"].is_array() && line["reasons"].is_array()),
        ("an answer to a machine", is_customer || line["decision"] == "ignore" && line["reply"].is_null()),
        ("an RMA without an order", line["decision"] != "issue_rma"),
        ("track", line["track"].is_null()),
        (
            "reply",
            line["reply"].is_null()
                || ["to", "subject", "language", "text"].iter().all(|part| line["reply"][*part].is_string()),
        ),
    ];
    checks.iter().find(|(_, holds)| !holds).map(|(what, _)| *what)
}

/// The first file without its line, or with one too many: a mail has one, a message of an mbox one each.
fn out_of_order(files: &[PathBuf], lines: &[Value]) -> Option<String> {
    let mut names = lines.iter().map(|line| line["file"].as_str().unwrap()).peekable();
    for file in files {
        let file = file.to_str().unwrap();
        let mut count = 0;
        let mut next = 1;
        while let Some(name) = names.next_if(|name| *name == file || *name == format!("{file}#{next}")) {
            count += 1;
            if name == file {
                break;
            }
            next += 1;
        }
        if count == 0 {
            return Some(format!("{file} has no line; the next one is {:?}", names.peek()));
        }
    }
    names.next().map(|name| format!("{name} is one line too many"))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.file_name().is_some_and(|name| name != "SOURCE.txt") {
            files.push(path);
        }
    }
}

/// One mailbox of all the mail: each is listed with its class, and none that must not be answered is.
#[test]
fn every_mail_of_the_corpora_is_listed_and_no_machine_is_answered() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let Ok(labels) = fs::read_to_string(corpora.join("labels.tsv")) else { return };
    let gates: BTreeMap<&str, &str> = labels
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            Some((fields.next()?, fields.nth(1)?))
        })
        .collect();
    let mails = mails(&corpora, &gates);
    assert!(mails.len() > 1_000, "{} mails only", mails.len());
    let here = Installation::of_maildirs();
    here.replace("[store]", "[limits]\nreplies_per_sender = 1000\nreplies_per_hour = 100000\n[store]");
    for (n, (_, raw)) in mails.iter().enumerate() {
        here.deliver(&format!("{n:05}"), raw);
    }
    let mut command = here.command(&["once"]);
    command.env("AFTERSALESD_LOG", "warn");
    let told = run_within(command, Duration::from_secs(600));
    assert_eq!(told.code, Some(0), "{}", told.err);

    let listed = here.json(&["cases", "letters", "--json", "--last", "1000000"]);
    let ids: BTreeSet<&str> = listed.iter().map(|letter| letter["letter"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), listed.len(), "a letter is listed twice");
    let known: BTreeSet<&str> = listed.iter().filter_map(|letter| letter["message_id"].as_str()).collect();
    let mut copies = 0;
    for (name, raw) in &mails {
        let letter = parse::letter(raw, false);
        if !ids.contains(letter.id.as_str()) {
            // The same Message-ID and content came before: nothing is done twice.
            let id = letter.message_id.as_ref().map(|id| id.as_str());
            assert!(id.is_some_and(|id| known.contains(id)), "{name} is nowhere");
            copies += 1;
        }
    }
    // A case is its customer's; only mail that names nobody to answer has none.
    for entry in here.json(&["cases", "quarantine", "--json"]) {
        assert_eq!(entry["why"], "there is no address to answer to", "{entry}");
    }
    let answered: BTreeSet<String> = here.replies().iter().filter_map(|raw| Reply::read(raw).in_reply_to).collect();
    // Several mails bear one Message-ID: what was answered is one that counts as a customer's.
    let of_customer = |letter: &&Value| letter["class"] == "customer";
    let customers: BTreeSet<&str> = listed.iter().filter(of_customer).filter_map(|l| l["letter"].as_str()).collect();
    let is_wrong = |(name, raw): &&(String, Vec<u8>)| {
        let letter = parse::letter(raw, false);
        gates.get(name.as_str()) == Some(&"suppress")
            && customers.contains(letter.id.as_str())
            && letter.message_id.is_some_and(|id| answered.contains(id.as_str()))
    };
    let wrongly: Vec<&str> = mails.iter().filter(is_wrong).map(|(name, _)| name.as_str()).collect();
    let class = |class: &str| listed.iter().filter(|letter| letter["class"] == class).count();
    let classes: Vec<String> = CLASSES.iter().chain(&["quarantine"]).map(|c| format!("{c} {}", class(c))).collect();
    println!("{} mails: {copies} copies, {}, {} replies", mails.len(), classes.join(", "), here.replies().len());
    assert!(wrongly.is_empty(), "answered: {wrongly:#?}");
}

/// The mails by their names below the corpora: all with a label, each of an mbox by itself, and all that end in `.eml`.
fn mails(corpora: &Path, gates: &BTreeMap<&str, &str>) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(corpora).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, &mut files);
        }
    }
    files.sort();
    let mut mails = Vec::new();
    for file in files {
        let name = file.strip_prefix(corpora).unwrap().to_str().unwrap().to_owned();
        let raw = fs::read(&file).unwrap();
        if gates.contains_key(format!("{name}#1").as_str()) {
            mails.extend(messages(&raw).into_iter().enumerate().map(|(n, raw)| (format!("{name}#{}", n + 1), raw)));
        } else if gates.contains_key(name.as_str()) || file.extension().is_some_and(|e| e == "eml") {
            mails.push((name, raw));
        }
    }
    mails
}

/// The messages of an mbox, without the lines that part them.
fn messages(mbox: &[u8]) -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Vec::new();
    let mut after_blank = true;
    for line in mbox.split_inclusive(|b| *b == b'\n') {
        if after_blank && line.starts_with(b"From ") {
            messages.push(Vec::new());
        } else if let Some(message) = messages.last_mut() {
            message.extend_from_slice(line);
        }
        after_blank = line.trim_ascii().is_empty();
    }
    messages
}
