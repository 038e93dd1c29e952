//! What a program does with a case, and what it is refused.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use super::Desk;
use crate::support::program::{await_that, run_within};

#[test]
fn a_program_works_on_a_case_and_leaves_its_name() {
    let desk = Desk::open();
    let case = desk.claim("priya");
    let (reader, agent) = (desk.token("erp", "read"), desk.token("bot", "read,letters,act"));
    let listed = desk.get(&reader, "/cases?queue=needs_you&track=repair").json();
    assert_eq!((&listed["cases"][0]["case"], &listed["next"]), (&json!(case), &Value::Null), "{listed}");
    assert_eq!(desk.get(&reader, "/cases?queue=needs_you&track=doa").json()["cases"], json!([]));
    // The same as from the shell.
    let shown = desk.get(&reader, &format!("/cases/{case}"));
    assert_eq!(shown.json(), desk.here.json(&["cases", "show", &case, "--json"])[0]);
    let explained = desk.get(&reader, &format!("/cases/{case}/explanation")).json();
    assert_eq!(explained, desk.here.json(&["cases", "explain", &case, "--json"])[0]);
    assert_eq!(explained["proposed"], "approve repair");
    // The index follows.
    await_that(Duration::from_secs(30), "the case is found", || {
        desk.get(&reader, "/search?q=priya").json()["cases"][0]["case"] == json!(case)
    });
    assert_eq!(desk.get(&reader, "/stats").json(), desk.here.json(&["stats", "--json"])[0]);
    // The mail as it came, and its picture, are for who may see them.
    let letters = desk.get(&reader, &format!("/cases/{case}/letters")).json();
    let letter = &letters["letters"][0];
    assert_eq!((&letter["files"][0]["kind"], &letter["message_id"]), (&json!("picture"), &json!("priya@example.net")));
    let at = format!("/cases/{case}/letters/{}", letter["letter"].as_str().unwrap());
    assert_eq!(desk.get(&reader, &format!("{at}/raw")).status, 403);
    let raw = desk.get(&agent, &format!("{at}/raw"));
    assert!(raw.text().contains("Message-ID: <priya@example.net>"));
    assert!(raw.header("content-type") == "message/rfc822" && raw.header("content-disposition").contains("attachment"));
    assert!(desk.get(&agent, &format!("{at}/files/0")).body.starts_with(&[0xff, 0xd8]));
    assert_eq!(desk.get(&agent, &format!("{at}/files/7")).status, 404);
    // A preview does nothing.
    let approve = json!({"act": "approve", "words": ["repair"], "why": "by contract"});
    let preview = desk.post(&agent, &format!("/cases/{case}/preview"), &[], &approve).json();
    assert!(preview["letter"]["text"].as_str().unwrap().contains("your return is authorised"), "{preview}");
    assert_eq!(desk.get(&agent, &format!("/cases/{case}")).json()["rma"], Value::Null);
    // Done once, however often it is sent.
    let (acts, seen) = (format!("/cases/{case}/acts"), shown.header("etag").to_owned());
    let headers = [("Idempotency-Key", "order-1"), ("If-Match", seen.as_str())];
    let done = desk.post(&agent, &acts, &headers, &approve);
    assert_eq!(done.status, 200, "{}", done.text());
    let rma = done.json()["rma"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        let again = desk.post(&agent, &acts, &headers, &approve);
        assert_eq!((again.status, again.header("idempotency-replayed")), (200, "true"), "{}", again.text());
        assert_eq!(again.json()["rma"], json!(rma));
    }
    let other = desk.post(&agent, &acts, &[("Idempotency-Key", "order-1")], &json!({"act": "close"}));
    assert_eq!((other.status, &other.json()["type"]), (422, &json!("urn:aftersalesd:key_reused")));
    await_that(Duration::from_secs(30), "the letter is out", || {
        desk.here.replies().iter().any(|reply| String::from_utf8_lossy(reply).contains(&rma))
    });
    // Whoever looks at what the case was is told what happened meanwhile, and nothing is done.
    let late = desk.post(&agent, &acts, &[("If-Match", &seen)], &json!({"act": "note", "text": "late"}));
    let told = late.json();
    assert_eq!((late.status, late.header("content-type")), (412, "application/problem+json"), "{told}");
    let happened: BTreeSet<&str> =
        told["changed"].as_array().unwrap().iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert!(happened.contains("rma_issued") && told["version"].is_u64(), "{told}");
    // Whoever may act and not read is told what happened, not what was said.
    let hand = desk.token("hand", "act");
    let late = desk.post(&hand, &acts, &[("If-Match", "\"0\"")], &json!({"act": "note", "text": "late"}));
    assert_eq!(late.status, 412, "{}", late.text());
    let bare = late.json()["changed"].as_array().unwrap().clone();
    assert!(bare.iter().any(|event| event["event"] == "letter_taken"), "{bare:?}");
    assert!(
        bare.iter().all(|event| event
            .as_object()
            .unwrap()
            .keys()
            .all(|key| ["event", "at", "by"].contains(&key.as_str())))
    );
    let fresh = format!("\"{}\"", told["version"]);
    let noted = desk.post(&agent, &acts, &[("If-Match", &fresh)], &json!({"act": "note", "text": "in time"}));
    assert_eq!(noted.status, 200, "{}", noted.text());
    let case_now = desk.get(&agent, &format!("/cases/{case}")).json();
    let by = |event: &str| {
        let events = case_now["events"].as_array().unwrap();
        events.iter().filter(|e| e["event"] == event).map(|e| e["by"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (by("rma_issued"), by("noted")),
        (vec![json!({"staff": "token:bot"})], vec![json!({"staff": "token:bot"})])
    );
    // Each look at a person's data and each act is in the trail.
    let trail = desk.here.json(&["users", "trail", "--user", "token:bot", "--json"]);
    let deeds: BTreeSet<&str> = trail.iter().map(|trace| trace["what"].as_str().unwrap()).collect();
    assert_eq!(deeds, BTreeSet::from(["acted", "saw_case", "saw_file", "saw_letter"]));
    assert_eq!(trail.iter().filter(|trace| trace["what"] == "acted").count(), 2);
    let trail = desk.here.json(&["users", "trail", "--user", "token:erp", "--json"]);
    let deeds: BTreeSet<&str> = trail.iter().map(|trace| trace["what"].as_str().unwrap()).collect();
    assert_eq!(deeds, BTreeSet::from(["saw_case", "saw_queue", "searched"]));
}

#[test]
fn pages_of_cases_follow_one_another() {
    let desk = Desk::open();
    let cases: BTreeSet<String> = ["one", "two", "three"].map(|id| desk.claim(id)).into();
    let token = desk.token("erp", "read");
    let (mut seen, mut path) = (BTreeSet::new(), "/cases?limit=1".to_owned());
    for _ in 0..cases.len() {
        let page = desk.get(&token, &path).json();
        assert_eq!(page["cases"].as_array().unwrap().len(), 1, "{page}");
        seen.insert(page["cases"][0]["case"].as_str().unwrap().to_owned());
        path = format!("/cases?limit=1&cursor={}", page["next"].as_str().unwrap_or("end"));
    }
    assert_eq!(seen, cases);
    assert!(path.ends_with("cursor=end"), "{path}");
}

#[test]
fn what_is_wrong_is_told_as_a_problem() {
    let desk = Desk::open();
    let case = desk.claim("priya");
    let token = desk.token("bot", "read,letters,act");
    let acts = format!("/cases/{case}/acts");
    let json = [("Content-Type", "application/json")];
    let long = format!("{{\"act\": \"note\", \"text\": \"{}\"}}", "x".repeat(300 << 10));
    let long_key = "k".repeat(300);
    for (method, path, headers, body, status, told) in [
        ("GET", "/cases/AS-22222222", &json[..], "", 404, "no case"),
        ("GET", "/nothing", &json, "", 404, "openapi.json"),
        ("GET", "/cases?queue=none", &json, "", 400, "needs_you"),
        ("GET", "/cases?colour=red", &json, "", 400, "colour"),
        ("GET", "/cases?cursor=x", &json, "", 400, "cursor"),
        ("GET", "/cases?limit=0", &json, "", 400, "limit"),
        ("GET", "/search", &json, "", 400, "q"),
        ("GET", "/stats?since=yesterday", &json, "", 400, "since"),
        ("DELETE", "/cases", &json, "", 405, "Method Not Allowed"),
        ("POST", &acts, &[], "{}", 415, "application/json"),
        ("POST", &acts, &json, "{", 400, "EOF"),
        ("POST", &acts, &json, "{\"act\": \"note\", \"colour\": 1}", 400, "colour"),
        ("POST", &acts, &json, "{\"act\": \"fly\"}", 422, "expected one of approve, "),
        ("POST", &acts, &json, "{\"act\": \"answer: hello\"}", 422, "fields of its own"),
        ("POST", &acts, &json, "{\"act\": \"ask\", \"words\": [\"money\"]}", 422, "money"),
        ("POST", &acts, &json, "{\"act\": \"repaired\"}", 422, "repaired"),
        ("POST", &acts, &[json[0], ("If-Match", "soon")], "{\"act\": \"close\"}", 400, "If-Match"),
        ("POST", &acts, &[json[0], ("Idempotency-Key", &long_key)], "{\"act\": \"close\"}", 400, "Idempotency-Key"),
        ("POST", &acts, &json, &long, 413, ""),
    ] {
        let answer = desk.ask(&token, method, path, headers, body);
        let problem = answer.json();
        assert_eq!(
            (answer.status, &problem["status"]),
            (status, &status.into()),
            "{method} {path} {body:.80}: {problem}"
        );
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert!(problem["detail"].as_str().unwrap().contains(told), "{method} {path} {body:.80}: {problem}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:aftersalesd:"), "{problem}");
    }
    assert_eq!(
        desk.get(&token, &format!("/cases/{case}")).json()["events"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|e| e["by"] != "daemon" && e["by"] != "customer")
            .count(),
        0
    );
}

#[test]
fn tokens_are_shown_once_hold_as_long_as_they_should_and_ask_so_much() {
    let desk = Desk::open();
    let token = desk.token("erp", "read");
    assert!(token.starts_with("asd_") && token.len() == 68, "{token}");
    let unused = desk.here.json(&["tokens", "list", "--json"]);
    assert_eq!((&unused[0]["name"], &unused[0]["used_at"]), (&json!("erp"), &Value::Null));
    assert_eq!(desk.get(&token, "/health").status, 200);
    let used = desk.here.json(&["tokens", "list", "--json"]);
    assert!(used[0]["used_at"].is_string() && !used[0].to_string().contains(&token), "{used:?}");
    let again = desk.here.run(&["tokens", "add", "erp"]);
    assert!(again.code == Some(1) && again.err.contains("there is a token erp already"), "{again:?}");
    for (words, told) in [
        (["tokens", "add", "x", "--scope=write"], "no scope"),
        (["tokens", "add", "x y", "--scope=read"], "letters, digits"),
        (["tokens", "add", "x", "--days=0"], "no moment"),
    ] {
        let answer = desk.here.run(&words);
        assert!(answer.code == Some(2) && answer.err.contains(told), "{words:?}: {answer:?}");
    }
    // Nothing but a digest is kept, in an export too.
    assert!(!desk.here.ok(&["export"]).out.contains(&token[4..]));
    let wrong = format!("{}0", &token[..67]);
    let wrong = if wrong == token { format!("{}1", &token[..67]) } else { wrong };
    for nothing in ["", "x", wrong.as_str()] {
        let answer = desk.get(nothing, "/health");
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"));
    }
    let mut refused = None;
    for _ in 0..5000 {
        let answer = desk.get(&token, "/health");
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("nobody may ask as much as they like");
    assert!(refused.status == 429 && refused.header("retry-after").parse::<u64>().unwrap() >= 1, "{refused:?}");
    // Another token is not held up by it.
    assert_eq!(desk.get(&desk.token("other", "read"), "/health").status, 200);
    desk.here.ok(&["tokens", "revoke", "erp"]);
    assert_eq!(desk.get(&token, "/health").status, 401);
    assert_eq!(desk.here.run(&["tokens", "revoke", "erp"]).code, Some(1));
    let deeds: Vec<Value> =
        desk.here.json(&["users", "trail", "--json"]).into_iter().map(|trace| trace["what"].clone()).collect();
    assert_eq!(deeds, ["token_revoked", "token_added", "token_added"]);
}

/// What the README shows is what a shell does.
#[test]
fn the_examples_of_the_readme_do_what_they_say() {
    let desk = Desk::open();
    let case = desk.claim("priya");
    let token = desk.token("erp", "read,act");
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## The API\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let lines: Vec<&str> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let script = lines.join("\n").replace("http://127.0.0.1:8480", &format!("http://{}", desk.address));
    let count = Regex::new(r"(?m)^curl ").unwrap().find_iter(&script).count();
    assert!(count >= 2, "{script}");
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-euc", &script]).env("TOKEN", &token).env("CASE", &case);
    let told = run_within(shell, Duration::from_secs(60));
    assert_eq!(told.code, Some(0), "{told:?}\n{script}");
    assert!(told.out.contains(&case), "{told:?}");
    let shown = &desk.here.json(&["cases", "show", &case, "--json"])[0];
    assert!(shown["events"].to_string().contains("token:erp"), "{shown}");
}
