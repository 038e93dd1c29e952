//! `ImapMailbox` against Debian's Dovecot, and against a scripted server for what Dovecot won't do.

mod faults;

use std::time::{Duration, Instant};

use aftersalesd::imap::{Handled, ImapMailbox, Settings, check, survey};
use aftersalesd::ports::{Content, Fault, FaultKind, Incoming, Login, Mailbox, Position, Security, Server};

use crate::support::dovecot::{Dovecot, USER};
use crate::support::{free_port, letter};

fn settings(server: Server) -> Settings {
    Settings { poll_interval: Duration::from_secs(20), ..Settings::new(server, "INBOX") }
}

fn plain(dovecot: &Dovecot) -> Settings {
    settings(dovecot.server(Security::None))
}

/// Fetches until nothing is left, as the worker does.
async fn fetch_all(mailbox: &mut ImapMailbox, mut after: Option<Position>) -> Result<Vec<Incoming>, Fault> {
    let mut all = Vec::new();
    loop {
        let letters = mailbox.fetch(after.as_ref()).await?;
        let Some(last) = letters.last() else { return Ok(all) };
        after = Some(last.position.clone());
        all.extend(letters);
    }
}

fn uids(letters: &[Incoming]) -> Vec<u32> {
    letters.iter().map(|l| l.position.uid).collect()
}

fn positions(letters: &[Incoming]) -> Vec<Position> {
    letters.iter().map(|l| l.position.clone()).collect()
}

fn whole(letter: &Incoming) -> &str {
    match &letter.content {
        Content::Whole(raw) => std::str::from_utf8(raw).unwrap(),
        other => panic!("{:?} is {other:?}", letter.position),
    }
}

// --- connecting ---------------------------------------------------------------------------------------------------

#[tokio::test]
async fn letters_come_byte_for_byte_over_tls_starttls_and_none() {
    let dovecot = Dovecot::start();
    let sent = letter(1, 6000);
    dovecot.deliver(&sent);
    for security in [Security::Tls, Security::Starttls, Security::None] {
        let mut mailbox = ImapMailbox::new(settings(dovecot.server(security)));
        let letters = mailbox.fetch(None).await.unwrap();
        assert_eq!(letters.len(), 1, "{security:?}");
        assert_eq!(whole(&letters[0]), sent, "{security:?}");
    }
}

#[tokio::test]
async fn a_server_that_no_anchor_vouches_for_gets_no_password() {
    let dovecot = Dovecot::start();
    for security in [Security::Tls, Security::Starttls] {
        let stranger = Server { ca_file: None, ..dovecot.server(security) };
        let fault = ImapMailbox::new(settings(stranger)).fetch(None).await.unwrap_err();
        assert!(fault.what.contains("certificate") || fault.what.contains("trust anchors"), "{fault}");
    }
}

#[tokio::test]
async fn a_trust_anchor_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for file in [empty, dir.path().join("absent.pem")] {
        let server = Server {
            host: "127.0.0.1".into(),
            port: free_port(),
            security: Security::Tls,
            login: None,
            ca_file: Some(file.clone()),
            timeout: Duration::from_secs(5),
        };
        let fault = ImapMailbox::new(settings(server)).fetch(None).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Configuration, "{fault}");
        assert!(fault.what.contains(&file.display().to_string()), "{fault}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_fault_of_the_login_that_hides_the_password() {
    let dovecot = Dovecot::start();
    for password in ["wrong-password", "falsches Paßwort"] {
        let login = Some(Login::by_password(USER, password));
        let server = Server { login, ..dovecot.server(Security::None) };
        let fault = ImapMailbox::new(settings(server)).fetch(None).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Login, "{fault}");
        assert!(fault.what.contains(USER) && !fault.what.contains(password), "{fault}");
    }
}

#[tokio::test]
async fn a_port_nobody_listens_on_is_a_passing_fault() {
    let dovecot = Dovecot::start();
    let server = Server { port: free_port(), ..dovecot.server(Security::None) };
    let fault = ImapMailbox::new(settings(server)).fetch(None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Temporary, "{fault}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_with_those_that_are() {
    let dovecot = Dovecot::start();
    dovecot.make_folder("Rückgaben");
    let mut mailbox = ImapMailbox::new(Settings { folder: "Claims".into(), ..plain(&dovecot) });
    let fault = mailbox.fetch(None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Configuration, "{fault}");
    for name in ["Claims", "INBOX", "Rückgaben"] {
        assert!(fault.what.contains(name), "{name}: {fault}");
    }
}

#[tokio::test]
async fn a_bare_name_is_found_below_inbox_and_names_may_be_in_any_script() {
    let dovecot = Dovecot::start_with("namespace inbox {\n  prefix = INBOX.\n  separator = .\n}\n");
    dovecot.make_folder("INBOX.Rückgaben");
    dovecot.deliver(&letter(1, 500));
    dovecot.copy_to("INBOX.Rückgaben");
    let mut mailbox = ImapMailbox::new(Settings { folder: "Rückgaben".into(), ..plain(&dovecot) });
    let letters = mailbox.fetch(None).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].position.folder, "Rückgaben");
    mailbox.done(&positions(&letters)).await.unwrap();
    assert_eq!(dovecot.flags("INBOX.Rückgaben"), [(1, "\\Seen".to_owned())]);
}

#[tokio::test]
async fn the_check_reports_what_it_saw_and_changes_nothing() {
    let dovecot = Dovecot::start();
    dovecot.deliver_all([letter(1, 500), letter(2, 500)].iter().map(String::as_str));
    let report = check(&settings(dovecot.server(Security::Tls))).await.unwrap();
    assert_eq!((report.folder.as_str(), report.letters, report.idle), ("INBOX", 2, true));
    assert!(report.capabilities.iter().any(|c| c == "UIDPLUS"), "{:?}", report.capabilities);
    assert!(report.remarks.is_empty(), "{:?}", report.remarks);
    assert!(dovecot.flags("INBOX").iter().all(|(_, flags)| flags.is_empty()));
    let missing = Settings { handled: Handled::Move("Nowhere".into()), ..plain(&dovecot) };
    assert_eq!(check(&missing).await.unwrap_err().kind, FaultKind::Configuration);
}

// --- fetching -----------------------------------------------------------------------------------------------------

#[tokio::test]
async fn a_thousand_letters_come_in_batches_in_order_and_once() {
    let dovecot = Dovecot::start();
    let sent: Vec<String> = (1..=1000).map(|n| letter(n, 1500)).collect();
    dovecot.deliver_all(sent.iter().map(String::as_str));
    let mut mailbox = ImapMailbox::new(plain(&dovecot));
    let first = mailbox.fetch(None).await.unwrap();
    assert_eq!(first.len(), 200);
    let rest = fetch_all(&mut mailbox, Some(first[199].position.clone())).await.unwrap();
    let all: Vec<Incoming> = first.into_iter().chain(rest).collect();
    assert_eq!(uids(&all), (1..=1000).collect::<Vec<u32>>());
    assert!(all.iter().zip(&sent).all(|(got, sent)| whole(got) == sent));
    // `n:*` beyond the last letter names the last letter: it must not come again.
    assert!(mailbox.fetch(Some(&all[999].position)).await.unwrap().is_empty());
    dovecot.deliver(&letter(1001, 500));
    assert_eq!(uids(&mailbox.fetch(Some(&all[999].position)).await.unwrap()), [1001]);
    // Who goes back gets them again: what was not stored is not lost.
    assert_eq!(uids(&mailbox.fetch(Some(&all[997].position)).await.unwrap()), [999, 1000, 1001]);
}

#[tokio::test]
async fn batches_are_bounded_in_bytes_and_a_large_letter_goes_alone() {
    let dovecot = Dovecot::start();
    let sent = [letter(1, 4000), letter(2, 4000), letter(3, 30_000), letter(4, 4000)];
    dovecot.deliver_all(sent.iter().map(String::as_str));
    let mut mailbox = ImapMailbox::new(Settings { batch_bytes: 10_000, ..plain(&dovecot) });
    let mut after = None;
    let mut batches = Vec::new();
    loop {
        let letters = mailbox.fetch(after.as_ref()).await.unwrap();
        let Some(last) = letters.last() else { break };
        after = Some(last.position.clone());
        batches.push(uids(&letters));
    }
    assert_eq!(batches, [vec![1, 2], vec![3], vec![4]]);
}

#[tokio::test]
async fn of_a_mail_beyond_the_limit_only_the_beginning_comes() {
    let dovecot = Dovecot::start();
    let large = letter(2, 1 << 20);
    dovecot.deliver_all([letter(1, 500).as_str(), &large, &letter(3, 500)]);
    let mut mailbox = ImapMailbox::new(Settings { mail_size: 500_000, ..plain(&dovecot) });
    let all = fetch_all(&mut mailbox, None).await.unwrap();
    assert_eq!(uids(&all), [1, 2, 3]);
    let Content::Beginning { raw, size } = &all[1].content else { panic!("{:?}", all[1].position) };
    assert_eq!(*size, large.len() as u64);
    assert_eq!(raw.as_slice(), &large.as_bytes()[..256 * 1024]);
}

#[tokio::test]
async fn a_letter_removed_between_listing_and_fetching_is_no_letter() {
    let dovecot = Dovecot::start();
    let sent: Vec<String> = (1..=6).map(|n| letter(n, 500)).collect();
    dovecot.deliver_all(sent.iter().map(String::as_str));
    let mut mailbox = ImapMailbox::new(Settings { batch_letters: 2, ..plain(&dovecot) });
    let first = mailbox.fetch(None).await.unwrap();
    assert_eq!(uids(&first), [1, 2]);
    dovecot.expunge(3);
    dovecot.expunge(5);
    dovecot.expunge(6);
    let rest = fetch_all(&mut mailbox, Some(first[1].position.clone())).await.unwrap();
    assert_eq!(uids(&rest), [4]);
    assert_eq!(whole(&rest[0]), sent[3]);
}

#[tokio::test]
async fn a_folder_made_anew_is_taken_in_from_its_beginning() {
    let dovecot = Dovecot::start();
    dovecot.make_folder("Claims");
    let sent: Vec<String> = (1..=5).map(|n| letter(n, 500)).collect();
    dovecot.deliver_all(sent.iter().map(String::as_str));
    dovecot.copy_to("Claims");
    let mut mailbox = ImapMailbox::new(Settings { folder: "Claims".into(), batch_letters: 2, ..plain(&dovecot) });
    let before = mailbox.fetch(None).await.unwrap();
    assert_eq!(uids(&before), [1, 2]);
    dovecot.remake_folder("Claims");
    dovecot.copy_to("Claims");
    let mark = before[1].position.clone();
    let mut after = Vec::new();
    for _ in 0..5 {
        // The first call may find the old folder gone under the open session: a passing fault.
        match mailbox.fetch(after.last().map_or(Some(&mark), |l: &Incoming| Some(&l.position))).await {
            Ok(letters) => after.extend(letters),
            Err(fault) => assert_eq!(fault.kind, FaultKind::Temporary, "{fault}"),
        }
    }
    assert_eq!(uids(&after), [1, 2, 3, 4, 5]);
    assert!(after.iter().all(|l| l.position.validity != mark.validity));
    // Marks of the folder that is gone touch nothing in the new one.
    mailbox.done(&[mark]).await.unwrap();
    assert!(dovecot.flags("Claims").iter().all(|(_, flags)| flags.is_empty()));
}

#[tokio::test]
async fn a_restart_of_the_server_costs_one_call_at_most_and_no_letter() {
    let mut dovecot = Dovecot::start();
    let sent: Vec<String> = (1..=6).map(|n| letter(n, 500)).collect();
    dovecot.deliver_all(sent.iter().map(String::as_str));
    let mut mailbox = ImapMailbox::new(Settings { batch_letters: 2, ..plain(&dovecot) });
    let mut all = mailbox.fetch(None).await.unwrap();
    dovecot.restart();
    let mut faults = 0;
    while all.len() < 6 {
        match mailbox.fetch(all.last().map(|l| &l.position)).await {
            Ok(letters) => all.extend(letters),
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::Temporary, "{fault}");
                faults += 1;
                assert!(faults < 3, "{fault}");
            }
        }
    }
    assert_eq!(uids(&all), [1, 2, 3, 4, 5, 6]);
    mailbox.done(&positions(&all)).await.unwrap();
    assert!(dovecot.flags("INBOX").iter().all(|(_, flags)| flags == "\\Seen"));
}

// --- marking ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn handled_letters_are_flagged_or_get_the_keyword_and_others_are_left_alone() {
    for (handled, mark) in
        [(Handled::Seen, "\\Seen"), (Handled::Keyword("aftersalesd-done".into()), "aftersalesd-done")]
    {
        let dovecot = Dovecot::start();
        let sent: Vec<String> = (1..=4).map(|n| letter(n, 500)).collect();
        dovecot.deliver_all(sent.iter().map(String::as_str));
        let mut mailbox = ImapMailbox::new(Settings { handled, ..plain(&dovecot) });
        let letters = mailbox.fetch(None).await.unwrap();
        let mut handled = positions(&letters);
        handled.remove(1);
        mailbox.done(&handled).await.unwrap();
        let flags = dovecot.flags("INBOX");
        let expected: Vec<(u32, String)> =
            [(1, mark), (2, ""), (3, mark), (4, mark)].map(|(u, f)| (u, f.into())).into();
        assert_eq!(flags, expected);
    }
}

#[tokio::test]
async fn handled_letters_are_moved_with_and_without_the_move_command() {
    for further in ["", "imap_capability = IMAP4rev1 UIDPLUS IDLE\n"] {
        let dovecot = Dovecot::start_with(further);
        dovecot.make_folder("Done");
        let sent: Vec<String> = (1..=3).map(|n| letter(n, 500)).collect();
        dovecot.deliver_all(sent.iter().map(String::as_str));
        // What somebody else marked for removal is not ours to remove.
        dovecot.doveadm(&["flags", "add", "-u", USER, "\\Deleted", "mailbox", "INBOX", "uid", "3"]);
        let mut mailbox = ImapMailbox::new(Settings { handled: Handled::Move("Done".into()), ..plain(&dovecot) });
        let letters = mailbox.fetch(None).await.unwrap();
        mailbox.done(&positions(&letters)[..2]).await.unwrap();
        assert_eq!(dovecot.flags("Done").len(), 2, "{further}");
        assert_eq!(dovecot.flags("INBOX"), [(3, "\\Deleted".to_owned())], "{further}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_move_single_letters_marks_them_seen() {
    let dovecot = Dovecot::start_with("imap_capability = IMAP4rev1\n");
    dovecot.make_folder("Done");
    dovecot.deliver(&letter(1, 500));
    let settings = Settings { handled: Handled::Move("Done".into()), ..plain(&dovecot) };
    assert_eq!(check(&settings).await.unwrap().remarks.len(), 2, "no moving, no IDLE");
    let mut mailbox = ImapMailbox::new(settings);
    let letters = mailbox.fetch(None).await.unwrap();
    mailbox.done(&positions(&letters)).await.unwrap();
    assert_eq!(dovecot.flags("INBOX"), [(1, "\\Seen".to_owned())]);
}

// --- waiting ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn idle_wakes_soon_after_a_delivery() {
    let dovecot = Dovecot::start();
    let mut mailbox = ImapMailbox::new(settings(dovecot.server(Security::Tls)));
    assert!(mailbox.fetch(None).await.unwrap().is_empty());
    let started = Instant::now();
    let (waited, _) = tokio::join!(mailbox.wait(), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        dovecot.deliver(&letter(1, 500));
    });
    waited.unwrap();
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(500) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(uids(&mailbox.fetch(None).await.unwrap()), [1]);
}

#[tokio::test]
async fn waiting_ends_after_the_poll_interval_with_and_without_idle() {
    let dovecot = Dovecot::start();
    for idle in [true, false] {
        let poll_interval = Duration::from_millis(700);
        let mut mailbox = ImapMailbox::new(Settings { idle, poll_interval, ..plain(&dovecot) });
        assert!(mailbox.fetch(None).await.unwrap().is_empty());
        let started = Instant::now();
        mailbox.wait().await.unwrap();
        assert!(started.elapsed() >= poll_interval && started.elapsed() < Duration::from_secs(5));
        assert!(mailbox.fetch(None).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_stops_during_idle_is_a_passing_fault() {
    let mut dovecot = Dovecot::start();
    let mut mailbox = ImapMailbox::new(plain(&dovecot));
    assert!(mailbox.fetch(None).await.unwrap().is_empty());
    let waiting = tokio::spawn(async move { mailbox.wait().await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    tokio::task::spawn_blocking(move || dovecot.stop()).await.unwrap();
    let fault = waiting.await.unwrap().unwrap_err();
    assert_eq!(fault.kind, FaultKind::Temporary, "{fault}");
}
