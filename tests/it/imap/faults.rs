//! Faults that a real server won't show on demand, from a scripted one.

use super::*;
use crate::support::scripted::{Answer, Scripted, fetch};

fn scripted(server: &Scripted) -> Settings {
    settings(Server {
        host: "127.0.0.1".into(),
        port: server.port,
        security: Security::None,
        login: Some(Login::by_password("jo", "x")),
        ca_file: None,
        timeout: Duration::from_secs(1),
    })
}

fn mails(number: u32) -> Vec<(u32, String)> {
    (1..=number).map(|uid| (uid, letter(uid as usize, 400))).collect()
}

/// Whether a command asks for the contents of this UID (of those up to 9).
fn asks_for(command: &str, uid: u32) -> bool {
    command.contains("BODY") && fetch(command, &[(uid, String::new())]).contains("FETCH")
}

#[tokio::test]
async fn a_batch_answered_with_no_is_asked_for_in_smaller_ones() {
    let all = mails(8);
    let known = all.clone();
    let server = Scripted::start(all, move |command, _| {
        let several = command.contains("BODY") && fetch(command, &known).matches("FETCH").count() > 2;
        several.then(|| Answer::Tagged(String::new(), "NO too much"))
    })
    .await;
    let mut mailbox = ImapMailbox::new(scripted(&server));
    let letters = fetch_all(&mut mailbox, None).await.unwrap();
    assert_eq!(uids(&letters), (1..=8).collect::<Vec<u32>>());
}

#[tokio::test]
async fn a_letter_the_server_never_gives_is_unreadable_and_does_not_block_the_next() {
    // Answered with OK, but without the one letter: a server that hides it must not make us skip it.
    let known = mails(4);
    let server = Scripted::start(mails(4), move |command, _| {
        asks_for(command, 2).then(|| {
            let others: Vec<_> = known.iter().filter(|(uid, _)| *uid != 2).cloned().collect();
            Answer::Tagged(fetch(command, &others), "OK done")
        })
    })
    .await;
    let letters = fetch_all(&mut ImapMailbox::new(scripted(&server)), None).await.unwrap();
    assert_eq!(uids(&letters), [1, 2, 3, 4]);
    assert!(matches!(&letters[1].content, Content::Unreadable { .. }), "{:?}", letters[1]);
}

#[tokio::test]
async fn an_answer_that_cannot_be_parsed_costs_only_its_own_letter() {
    let known = mails(8);
    let server = Scripted::start(mails(8), move |command, _| {
        asks_for(command, 5).then(|| {
            let before: Vec<_> = known.iter().filter(|(uid, _)| *uid < 5).cloned().collect();
            Answer::Tagged(format!("{}* 5 FETCH (UID 5 BODY[] gibberish)\r\n", fetch(command, &before)), "OK done")
        })
    })
    .await;
    let letters = fetch_all(&mut ImapMailbox::new(scripted(&server)), None).await.unwrap();
    assert_eq!(uids(&letters), (1..=8).collect::<Vec<u32>>());
    for letter in &letters {
        match &letter.content {
            Content::Unreadable { .. } => assert_eq!(letter.position.uid, 5),
            _ => assert!(whole(letter).contains(&format!("Letter {}", letter.position.uid))),
        }
    }
}

#[tokio::test]
async fn a_letter_that_always_breaks_the_connection_is_given_up_in_the_end() {
    let server = Scripted::start(mails(4), move |command, _| {
        asks_for(command, 3).then(|| Answer::Cut("* 3 FETCH (UID 3 BODY[] {400}\r\nFrom: half a".into()))
    })
    .await;
    let mut mailbox = ImapMailbox::new(scripted(&server));
    let mut letters: Vec<Incoming> = Vec::new();
    let mut faults = 0;
    while letters.len() < 4 {
        match mailbox.fetch(letters.last().map(|l| &l.position)).await {
            Ok(more) => letters.extend(more),
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::Temporary, "{fault}");
                assert!(!fault.what.contains("half a"), "a log is no place for mail: {fault}");
                faults += 1;
                assert!(faults < 12, "{fault}");
            }
        }
    }
    assert_eq!(uids(&letters), [1, 2, 3, 4]);
    assert!(matches!(&letters[2].content, Content::Unreadable { .. }), "{:?}", letters[2]);
}

#[tokio::test]
async fn a_connection_lost_between_answers_is_no_end_of_the_batch() {
    let known = mails(4);
    let server = Scripted::start(mails(4), move |command, connection| {
        let first = connection == 1 && command.contains("BODY");
        first.then(|| Answer::Cut(fetch(command, &known[..2])))
    })
    .await;
    let mut mailbox = ImapMailbox::new(scripted(&server));
    assert_eq!(mailbox.fetch(None).await.unwrap_err().kind, FaultKind::Temporary);
    assert_eq!(uids(&fetch_all(&mut mailbox, None).await.unwrap()), [1, 2, 3, 4]);
}

#[tokio::test]
async fn couriers_stand_in_for_a_removed_letter_is_no_letter() {
    // Courier answers OK with an invented mail; only another SELECT shows that the letter is gone.
    let stand_in = "From: System Administrator <root@localhost>\r\nSubject: message unavailable\r\n\r\nGone.\r\n";
    let (mut listed, known) = (0, mails(3));
    let server = Scripted::start(mails(3), move |command, _| {
        if command.contains("BODY") {
            let mut given = known.clone();
            given[1].1 = stand_in.to_owned();
            return Some(Answer::Tagged(fetch(command, &given), "OK done"));
        }
        listed += usize::from(command.contains("RFC822.SIZE"));
        let gone = command.contains("RFC822.SIZE") && listed > 1;
        gone.then(|| Answer::Tagged(fetch(command, &[known[0].clone(), known[2].clone()]), "OK done"))
    })
    .await;
    let letters = fetch_all(&mut ImapMailbox::new(scripted(&server)), None).await.unwrap();
    assert_eq!(uids(&letters), [1, 3]);
    assert!(letters.iter().all(|l| !whole(l).contains("unavailable")));
}

#[tokio::test]
async fn a_silent_server_is_a_fault_after_the_time_out() {
    for silent in ["LOGIN", "SELECT", "UID FETCH"] {
        let server =
            Scripted::start(mails(2), move |command, _| command.starts_with(silent).then_some(Answer::Silence)).await;
        let started = Instant::now();
        let fault = ImapMailbox::new(scripted(&server)).fetch(None).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Temporary, "{silent}: {fault}");
        assert!(started.elapsed() < Duration::from_secs(8), "{silent}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_refused_idle_falls_back_to_polling() {
    let server = Scripted::start(mails(1), |command, _| {
        (command == "IDLE").then(|| Answer::Tagged(String::new(), "NO not today"))
    })
    .await;
    let mut mailbox = ImapMailbox::new(Settings { poll_interval: Duration::from_millis(300), ..scripted(&server) });
    let letters = fetch_all(&mut mailbox, None).await.unwrap();
    for _ in 0..2 {
        let started = Instant::now();
        mailbox.wait().await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(300));
        assert!(mailbox.fetch(Some(&letters[0].position)).await.unwrap().is_empty());
    }
    assert_eq!(server.count("IDLE"), 1);
    assert_eq!(server.count("LOGIN"), 1, "the connection lives on");
}

#[tokio::test]
async fn a_capability_answer_that_cannot_be_parsed_is_done_without() {
    let server = Scripted::start(mails(2), |command, _| match command {
        c if c.starts_with("LOGIN") => Some(Answer::Tagged(String::new(), "OK in")),
        "CAPABILITY" => Some(Answer::Tagged("* CAPABILITY IMAP4rev1  X\r\n".into(), "OK done")),
        _ => None,
    })
    .await;
    let letters = fetch_all(&mut ImapMailbox::new(scripted(&server)), None).await.unwrap();
    assert_eq!(uids(&letters), [1, 2]);
}

#[tokio::test]
async fn a_server_that_turns_us_away_is_a_passing_fault_with_its_words() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"* BYE too many connections\r\n").await.unwrap();
    });
    let server = Scripted::start(Vec::new(), |_, _| None).await;
    let mut settings = scripted(&server);
    settings.server.port = port;
    let fault = ImapMailbox::new(settings).fetch(None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Temporary);
    assert!(fault.what.contains("too many connections"), "{fault}");
}

#[tokio::test]
async fn a_survey_lists_folders_once_and_tells_them_by_the_servers_own_names() {
    let server = Scripted::start(mails(1), |command, _| match command.split(' ').next() {
        Some("LOGIN") => Some(Answer::Tagged(String::new(), "OK [CAPABILITY IMAP4rev1 MOVE QUOTA] in")),
        Some("LIST") => {
            let folders = "* LIST (\\HasNoChildren) \".\" INBOX\r\n* LIST (\\Trash) \".\" INBOX.Bin\r\n";
            Some(Answer::Tagged(folders.to_owned(), "OK done"))
        }
        Some("GETQUOTAROOT") => {
            let quotas = "* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 1 9 annotation-storage 2 8)\r\n";
            Some(Answer::Tagged(quotas.to_owned(), "OK done"))
        }
        _ => None,
    })
    .await;
    let seen = survey(&Settings { handled: Handled::Move("Bin".into()), ..scripted(&server) }).await.unwrap();
    assert_eq!((seen.report.target.as_deref(), server.count("LIST")), (Some("INBOX.Bin"), 1));
    assert_eq!(seen.special, [("trash", "INBOX.Bin".to_owned())]);
    let quotas: Vec<&str> = seen.quotas.iter().map(|quota| quota.resource.as_str()).collect();
    assert_eq!(quotas, ["STORAGE", "ANNOTATION-STORAGE"]);
    survey(&scripted(&server)).await.unwrap();
    assert_eq!(server.count("LIST"), 2);
}
