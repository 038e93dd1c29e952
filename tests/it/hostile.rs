//! Letters made to cost much: each costs a bounded time.

use std::time::Duration;

use crate::support::program::{program, run_within};

/// Unoptimised, on a busy machine. Without bounds each of these takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

fn takes_little(name: &str, head: &str, body: &str) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(format!("{name}.eml"));
    let mail = format!(
        "From: Jo <jo@example.net>\r\nTo: us@example.com\r\nSubject: {name}\r\nMessage-ID: <{name}@example.net>\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\n{head}\r\n{body}\r\n"
    );
    std::fs::write(&file, mail).unwrap();
    let mut command = program();
    command.args(["triage", "--json"]).arg(&file);
    let told = run_within(command, PATIENCE);
    assert_eq!(told.code, Some(0), "{name}: {}", told.err);
    assert_eq!(told.json().len(), 1, "{name}");
}

#[test]
fn words_without_end() {
    for (name, text) in [
        ("codes", "order number 12345678 "),
        ("clauses", "the battery is dead since Monday while charging , "),
        ("products", "Tank T4 black , item code 2000400001018 "),
        ("dates", "I bought it on 3 November . "),
        ("days", "received on 3 November and bought on 4 November "),
        ("links", "https://drive.example/x.jpg "),
        ("marks", "! ? "),
        ("letters", "a"),
        ("commas", ","),
    ] {
        takes_little(name, "", &text.repeat(150_000 / text.len()));
    }
}

#[test]
fn lines_without_end() {
    for (name, line) in [
        ("dashes", "-- \r\n"),
        ("quotes", "> > > > > > > >\r\n"),
        ("heads", "On Mon, 9 Nov 2026 Jo <jo@example.net> wrote:\r\n"),
        ("blocks", "From: Jo\r\nSent: Monday\r\nTo: Kim\r\nSubject: x\r\n"),
        ("greetings", "Kind regards\r\n"),
        ("blanks", "\r\n"),
    ] {
        takes_little(name, "", &line.repeat(150_000 / line.len()));
    }
}

#[test]
fn markup_without_end() {
    let html = "MIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n";
    for (name, text) in [
        ("nesting", "<div>"),
        ("quoting", "<blockquote>x"),
        ("angles", "<"),
        ("comments", "<!--"),
        ("attributes", "<a href='"),
        ("entities", "&amp"),
        ("tables", "<table><tr><td>x"),
    ] {
        takes_little(name, html, &text.repeat(150_000 / text.len()));
    }
}

#[test]
fn parts_without_end() {
    let mixed = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n";
    takes_little("parts", mixed, &"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(5_000));
    takes_little("mails", mixed, &"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n".repeat(3_000));
    let nested: String = (0..2_000)
        .map(|n| format!("--b{n}\r\nContent-Type: multipart/mixed; boundary=\"b{}\"\r\n\r\n", n + 1))
        .collect();
    takes_little("nested", &mixed.replace("\"b\"", "\"b0\""), &nested);
    takes_little("headers", &"X-Header: x\r\n".repeat(20_000), "x");
    let references: String = (0..20_000).map(|n| format!(" <{n}@example.net>\r\n")).collect();
    takes_little("references", &format!("References:\r\n{references}"), "x");
    takes_little("words", &format!("X-Long: {}\r\n", "=?utf-8?q?x?= ".repeat(10_000)), "x");
}
