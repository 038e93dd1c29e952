//! The example at the root of the project: it loads, and it shows every key there is.

use std::collections::BTreeSet;

use super::*;

const EXAMPLE: &str = include_str!("../../../config.example.toml");

#[test]
fn the_example_loads_and_shows_the_defaults() {
    let files = [("secrets/imap", "x"), ("secrets/smtp", "y")];
    let example = load_beside(&files, EXAMPLE).unwrap();
    assert_eq!(example.warnings, [""; 0]);
    let small = load_text(SMALL).unwrap();
    assert_eq!(example.policy, small.policy);
    assert_eq!(example.limits, small.limits);
    assert_eq!(example.rma, small.rma);
    assert_eq!(example.mailbox.poll_interval, small.mailbox.poll_interval);
    assert_eq!(example.orders.number_patterns[0].as_str(), small.orders.number_patterns[0].as_str());
    let servers = load_text(SERVERS).unwrap();
    let (Source::Imap { server: shown, folder, idle, handled, start }, Source::Imap { server, .. }) =
        (example.mailbox.source, servers.mailbox.source)
    else {
        panic!()
    };
    assert_eq!((shown.port, shown.security, shown.timeout), (server.port, server.security, server.timeout));
    assert_eq!((folder.as_str(), idle, handled, start), ("INBOX", true, Handled::Seen, Start::All));
}

#[test]
fn the_example_shows_every_key_that_is_known() {
    let mut document = table::Document::parse("config.toml".to_owned(), SMALL).unwrap();
    let (base, connects) = (Path::new(""), Connects::Yes);
    let surroundings = Surroundings { base, variable: &|_| None, is_open_to_all: false, connects };
    sections::read(&mut document, &surroundings).unwrap();
    let known: BTreeSet<(String, String)> = document
        .known()
        .iter()
        .flat_map(|(table, keys)| keys.iter().map(|key| (table.to_string(), key.to_string())))
        .collect();
    let (mut shown, mut table) = (BTreeSet::new(), "");
    for line in EXAMPLE.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = bare.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            table = name.trim_matches(['[', ']']);
        } else if let Some((key, _)) = bare.split_once(" = ")
            && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
        {
            shown.insert((table.to_owned(), key.to_owned()));
        }
    }
    assert_eq!(shown, known);
}

#[test]
fn every_key_of_the_example_can_be_in_force() {
    let mut text: String = EXAMPLE.lines().map(|l| format!("{}\n", uncommented(l))).collect();
    for line in [
        "password = \"…\"",
        "client_secret = \"…\"",
        "secret = \"…\"",
        "token = \"…\"",
        "path = \"Maildir\"",
        "path = \"replies\"",
    ] {
        text = text.replace(&format!("{line}\n"), "");
    }
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let files = [
        ("secrets/imap", "x"),
        ("secrets/smtp", "y"),
        ("secrets/webhook", key),
        ("secrets/oauth2", "z"),
        ("secrets/orders", "z"),
        ("ca.pem", "z"),
        ("templates/mail/x", ""),
    ];
    // Orders come from one place.
    let table = |name: &str| {
        let (_, table) = text.split_once(&format!("\n[{name}]\n")).unwrap();
        format!("[{name}]\n{}", table.split("\n[").next().unwrap())
    };
    let (http, shopify) = (table("orders.http"), table("orders.shopify"));
    let feed = "file = \"orders.csv\"\n";
    for others in [[http.as_str(), &shopify], [feed, &shopify], [feed, &http]] {
        let config =
            load_beside(&files, &others.iter().fold(text.clone(), |text, other| text.replace(other, ""))).unwrap();
        assert_eq!(config.warnings, [""; 0]);
        assert_eq!(config.rma.return_address.unwrap().len(), 3);
        assert!(config.templates.is_some() && config.oauth2.is_some());
        assert!(config.orders.file.is_some() != config.orders.shop.is_some());
        let policy = &config.policy;
        assert_eq!((policy.channels.len(), policy.exceptions.len(), config.rma.destinations.len()), (1, 1, 1));
        let approve = policy.exceptions[0].sets.approve.as_deref();
        assert_eq!(approve, Some(&[crate::domain::warranty::Track::Repair][..]));
    }
    assert!(load_beside(&files, &text).unwrap_err()[0].contains("file, [orders.http], [orders.shopify]"));
}

/// The line with its key in force, if it holds one.
fn uncommented(line: &str) -> &str {
    match line.strip_prefix("# ") {
        Some(bare) if bare.starts_with("[[") || bare.starts_with("[orders.") => bare,
        Some(bare) if bare.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', '"'])) => bare,
        _ => line,
    }
}
