//! What an operator sees of a daemon at work: its log, by the letter and at any level, and its numbers.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::http::ask;
use crate::support::program::{Daemon, Installation, await_that, run};
use crate::support::{free_port, letter};

const INBOX: &str = "kind = \"maildir\"\npath = \"inbox\"\npoll_interval = \"1s\"";
const REPLIES: &str = "kind = \"maildir\"\npath = \"replies\"";

fn lines(daemon: &Daemon) -> Vec<Value> {
    let log = daemon.log();
    // The last line may be on its way.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn line(lines: &[Value], message: &str, key: &str, value: &str) -> Option<Value> {
    lines.iter().find(|line| line["message"] == message && line[key] == value).cloned()
}

#[test]
fn a_letter_is_followed_through_the_log_at_the_level_that_is_asked_for_and_is_counted() {
    let here = Installation::of_maildirs();
    let port = free_port();
    let further = format!("[log]\nformat = \"json\"\nlevel = \"info\"\n[console]\nlisten = \"127.0.0.1:{port}\"\n");
    here.configure(INBOX, REPLIES, &further);
    let mut daemon = here.start();
    let deliver = |number: usize| {
        let before = here.replies().len();
        here.deliver(&format!("{number}.host"), letter(number, 900).as_bytes());
        await_that(Duration::from_secs(20), "a reply", || here.replies().len() > before);
    };
    let sent = |of: &str| line(&lines(&daemon), "reply sent", "in_reply_to", of);
    deliver(1);
    await_that(Duration::from_secs(20), "the note of the reply", || sent("1@example.net").is_some());
    let taken = line(&lines(&daemon), "letter taken in", "message_id", "1@example.net").unwrap();
    assert_eq!(
        (&taken["level"], &taken["span"], &taken["class"]),
        (&"info".into(), &"letter".into(), &"customer".into())
    );
    assert_eq!(taken["target"], "aftersalesd::worker::settle");
    let case = taken["case"].as_str().unwrap();
    assert!(case.starts_with("AS-"), "{taken}");
    let reply = sent("1@example.net").unwrap();
    assert_eq!((reply["case"].as_str(), &reply["span"], &reply["attempts"]), (Some(case), &"reply".into(), &1.into()));
    assert!(reply["message_id"].as_str().unwrap().ends_with("@example.com"), "{reply}");
    // Another level, as long as it is wished.
    let told = |words: &[&str]| here.ok(words).out;
    assert_eq!(told(&["log"]), "info (by [log] level)\n");
    assert_eq!(told(&["log", "error,aftersalesd::smtp=debug"]), "error,aftersalesd::smtp=debug (by the command log)\n");
    assert_eq!(here.json(&["log", "--json"])[0]["by"], "the command log");
    deliver(2);
    assert_eq!(told(&["log", "default"]), "info (by [log] level)\n");
    deliver(3);
    await_that(Duration::from_secs(20), "the third reply's note", || sent("3@example.net").is_some());
    assert_eq!(sent("2@example.net"), None);
    assert!(line(&lines(&daemon), "letter taken in", "message_id", "2@example.net").is_none());
    let changed = "the level of the log is changed by command";
    let changed = line(&lines(&daemon), changed, "now", "error,aftersalesd::smtp=debug").unwrap();
    assert_eq!((&changed["level"], &changed["before"]), (&"warn".into(), &"info".into()));
    for wrong in ["loud", "info,aftersalesd::smtp=loud"] {
        let refused = here.run(&["log", wrong]);
        let named = wrong.rsplit(',').next().unwrap();
        assert!(refused.code == Some(2) && refused.err.contains(&format!("\"{named}\": expected")), "{refused:?}");
    }
    assert_eq!(told(&["log"]), "info (by [log] level)\n");
    counted(&ask(&format!("127.0.0.1:{port}"), "GET", "/metrics", &[], b"").text());
    assert_eq!(daemon.terminate(), Some(0));
    let refused = here.run(&["log", "debug"]);
    assert!(refused.code == Some(1) && refused.err.contains("no daemon runs"), "{refused:?}");
}

/// Of a daemon that has answered three letters.
fn counted(page: &str) {
    for line in [
        "aftersalesd_letters_total{class=\"customer\"} 3",
        "aftersalesd_decisions_total{decision=\"ask\"} 3",
        "aftersalesd_delivery_tries_total{outcome=\"sent\"} 3",
        "aftersalesd_delivery_seconds_count 3",
        "aftersalesd_delivery_seconds_bucket{le=\"+Inf\"} 3",
        "aftersalesd_answer_seconds_count 3",
        "aftersalesd_outbox 0",
        "aftersalesd_outbox_oldest_seconds 0",
        "aftersalesd_store_open 1",
        "aftersalesd_search_runs 1",
        "aftersalesd_faults_total{server=\"mailbox\"} 0",
    ] {
        assert!(page.lines().any(|told| told == line), "{line}\n{page}");
    }
    let number = |name: &str| {
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name}\n{page}")).parse::<f64>().unwrap()
    };
    assert!(number("process_resident_memory_bytes") > 1e6 && number("process_cpu_seconds_total") > 0.0);
    assert!(number("process_open_fds") > 3.0 && number("process_max_fds") >= number("process_open_fds"));
    assert!(number("aftersalesd_store_size_bytes{part=\"raw\"}") > 3.0 * 900.0);
    assert!(number("aftersalesd_disk_free_bytes") > 0.0);
    // All that the guide names, but for what this daemon has none of.
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/metrics.md")).unwrap();
    let named = guide.lines().filter_map(|line| line.strip_prefix("- `")?.split(['{', '`']).next());
    let named: BTreeSet<&str> = named.filter(|name| !name.contains("oauth2") && !name.contains("look_up")).collect();
    let told: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    assert_eq!(told, named);
    assert!(page.lines().filter(|line| !line.starts_with('#')).all(|line| !line.contains('@')), "{page}");
}

#[test]
fn the_journal_gets_priorities_and_a_wrong_level_is_refused_by_name() {
    let here = Installation::of_maildirs();
    here.deliver("1.host", letter(1, 900).as_bytes());
    let once = |stream: &dyn Fn(&File) -> String| {
        let file = File::create(here.path("err")).unwrap();
        let mut command = here.command(&["once"]);
        command.env("JOURNAL_STREAM", stream(&file));
        assert!(command.stderr(file).status().unwrap().success());
        fs::read_to_string(here.path("err")).unwrap()
    };
    let of_file = |file: &File| {
        let known = file.metadata().unwrap();
        format!("{}:{}", known.dev(), known.ino())
    };
    let told = once(&of_file);
    assert!(told.lines().count() > 2 && told.lines().all(|line| line.starts_with("<6>")), "{told}");
    assert!(told.contains("\n<6>letter{id=\"") || told.starts_with("<6>letter{id=\""), "{told}");
    // The journal of somebody else.
    let told = once(&|_| "1:2".to_owned());
    assert!(told.lines().count() > 1 && told.lines().all(|line| line.starts_with("20")), "{told}");
    // A format that is configured goes before.
    here.configure(INBOX, REPLIES, "[log]\nformat = \"text\"\nlevel = \"warn\"\n");
    assert_eq!(once(&of_file), "");
    let mut command = here.command(&["once"]);
    command.env("AFTERSALESD_LOG", "info,aftersalesd::imap=loud");
    let refused = run(command);
    assert!(
        refused.code == Some(78) && refused.err.contains("AFTERSALESD_LOG: \"aftersalesd::imap=loud\""),
        "{refused:?}"
    );
    here.configure(INBOX, REPLIES, "[log]\nformat = \"xml\"\nlevel = \"info,[letter]=debug\"\n");
    let refused = here.run(&["check", "--offline"]);
    assert_eq!(refused.code, Some(78));
    assert!(refused.err.contains("[log] format") && refused.err.contains("\"[letter]\" is no module"), "{refused:?}");
}

/// Prometheus' own tool where there is one, else a reader of YAML; without both, the table's own test remains.
#[test]
fn the_alert_rules_are_sound() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/alerts.yml");
    if let Ok(checked) = Command::new("promtool").args(["check", "rules", rules]).output() {
        assert!(checked.status.success(), "{checked:?}");
        return;
    }
    let script = "import sys\ntry:\n import yaml\nexcept ImportError:\n sys.exit(0)\n\
                  rules = yaml.safe_load(open(sys.argv[1]))['groups'][0]['rules']\n\
                  assert len(rules) > 15\n\
                  for r in rules:\n\
                  \x20assert set(r) == {'alert', 'expr', 'for', 'labels', 'annotations'}, r\n\
                  \x20assert r['labels']['severity'] in ('info', 'warning', 'critical'), r\n\
                  \x20assert len(r['annotations']['description']) > 20, r\n";
    let checked = Command::new("python3").args(["-c", script, rules]).output().expect("apt-get install python3");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
