//! Between `ImapMailbox` and Dovecot.

use std::time::Duration;

use aftersalesd::imap::{ImapMailbox, Settings};
use aftersalesd::ports::{FaultKind, Mailbox, Security, Server};
use tokio::time::timeout;

use super::{Desk, SIZE, block_on, places};
use crate::support::dovecot::Dovecot;
use crate::support::letter;
use crate::support::proxy::Line as Said;
use crate::support::proxy::{Deed, Fault, Passed, Proxy, Way};

const LETTERS: usize = 3;

/// A Dovecot with a few letters, behind a proxy.
struct Line {
    dovecot: Dovecot,
    proxy: Proxy,
}

impl Line {
    fn start() -> Self {
        let dovecot = Dovecot::start();
        let mails: Vec<String> = (0..LETTERS).map(|number| letter(number, SIZE)).collect();
        dovecot.deliver_all(mails.iter().map(String::as_str));
        let proxy = Proxy::start(dovecot.imap);
        Self { dovecot, proxy }
    }

    fn settings(&self) -> Settings {
        let server = Server {
            port: self.proxy.port,
            timeout: Duration::from_millis(500),
            ..self.dovecot.server(Security::None)
        };
        Settings { poll_interval: Duration::from_millis(20), ..Settings::new(server, "INBOX") }
    }

    /// A whole session: all letters in, IDLE, once more. Gives the passes that failed.
    async fn session(&self, desk: &Desk) -> usize {
        let mut mailbox = ImapMailbox::new(self.settings());
        let failed = desk.drain(&mut mailbox, "INBOX").await;
        let waited = mailbox.wait().await;
        failed + usize::from(waited.is_err()) + desk.drain(&mut mailbox, "INBOX").await
    }

    /// What a session says if nothing happens to it.
    async fn transcript(&self, desk: &mut Desk) -> Passed {
        desk.renew();
        self.proxy.break_next(Fault { way: Way::ToServer, byte: usize::MAX, deed: Deed::Cut });
        assert_eq!(self.session(desk).await, 0);
        desk.assert_taken(LETTERS, "INBOX", "undisturbed");
        let passed = self.proxy.passed();
        assert_eq!(passed.len(), 1);
        passed[0].clone()
    }
}

/// Tries a fault at many places of both directions.
fn sweep(most: usize, deed: &Deed) {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        let whole = line.transcript(&mut desk).await;
        let (mut tried, mut noticed) = (0, 0);
        for (way, session) in [(Way::ToServer, &whole.to_server), (Way::ToClient, &whole.to_client)] {
            for byte in places(session, most) {
                let what = format!("{deed:?} {way:?} at byte {byte}");
                desk.renew();
                line.proxy.break_next(Fault { way, byte, deed: deed.clone() });
                noticed += usize::from(line.session(&desk).await > 0);
                tried += usize::from(line.proxy.passed()[0].broken);
                desk.assert_taken(LETTERS, "INBOX", &what);
            }
        }
        println!("{deed:?}: {tried} places tried, {noticed} noticed");
        assert!(tried >= most && noticed > 0, "{tried} tried, {noticed} noticed");
    });
}

#[test]
fn a_connection_cut_at_any_byte_loses_no_letter() {
    sweep(75, &Deed::Cut);
}

#[test]
fn a_connection_that_falls_silent_at_any_byte_loses_no_letter() {
    sweep(12, &Deed::Stall);
}

#[test]
fn garbage_at_any_byte_loses_no_letter() {
    sweep(30, &Deed::Insert(b"\0\xff)\r\n".to_vec()));
}

/// Tells the server's own lines from those of literals (RFC 3501 section 4.3).
#[derive(Default)]
struct Grammar {
    /// Bytes of a literal that are still to come.
    literal: usize,
}

impl Grammar {
    fn is_own(&mut self, line: &str) -> bool {
        if self.literal > 0 {
            // Its last line may go on behind it.
            let rest = self.literal.saturating_sub(line.len() + 2);
            let own = self.literal < line.len() + 2;
            self.literal = rest;
            return own;
        }
        let size = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')).map(|(_, size)| size.parse().unwrap());
        self.literal = size.unwrap_or(0);
        true
    }
}

#[test]
fn lines_nobody_asked_for_do_no_harm_wherever_they_come() {
    const STRANGERS: [&str; 9] = [
        "* 5 EXISTS",
        "* 2 EXPUNGE",
        "* 9 RECENT",
        "* NO something is odd",
        "* BYE see you",
        "* 2 FETCH (FLAGS (\\Seen))",
        "* 9 FETCH (UID 99 BODY[] {4}\r\nabcd)",
        "* SEARCH 77 78",
        "* OK [UNSEEN 3] hello",
    ];
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        let whole = line.transcript(&mut desk).await;
        let mut grammar = Grammar::default();
        let lines = String::from_utf8(whole.to_client).unwrap();
        let number = lines.lines().filter(|line| grammar.is_own(line)).count();
        let mut tried = 0;
        for (index, stranger) in STRANGERS.iter().enumerate() {
            // Each stranger at every fifth place, together at all of them.
            for place in (index % 5..number).step_by(5) {
                desk.renew();
                let (mut grammar, mut seen) = (Grammar::default(), 0);
                line.proxy.watch(move |way, line, connection| {
                    if way == Way::ToServer || connection > 1 || !grammar.is_own(line) {
                        return Said::Pass;
                    }
                    seen += 1;
                    // Not behind a literal's announcement: that would be inside of it.
                    if seen != place + 1 || line.starts_with(")") {
                        return Said::Pass;
                    }
                    Said::Replace(format!("{stranger}\r\n{line}\r\n"))
                });
                line.session(&desk).await;
                desk.assert_taken(LETTERS, "INBOX", &format!("{stranger} before line {place}"));
                tried += 1;
            }
        }
        println!("unsolicited lines: {tried} places tried");
    });
}

/// Answers a command that begins like this (without its tag), `times` times.
fn refuse(line: &Line, command: &'static str, answer: &'static str, mut times: usize) {
    line.proxy.watch(move |way, line, _| {
        let (tag, said) = line.split_once(' ').unwrap_or((line, ""));
        if way == Way::ToClient || times == 0 || !said.starts_with(command) {
            return Said::Pass;
        }
        times -= 1;
        Said::Answer(format!("{tag} {answer}\r\n"))
    });
}

const COMMANDS: [&str; 8] = [
    "LOGIN",
    "CAPABILITY",
    "SELECT",
    "UID SEARCH",
    "UID FETCH 1:* (UID RFC",
    "UID FETCH 1:3 (UID BODY",
    "UID STORE",
    "IDLE",
];

#[test]
fn any_command_may_be_refused_and_no_letter_is_lost() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        for command in COMMANDS {
            for answer in
                ["NO not now", "BAD what", "NO [UNAVAILABLE] later", "NO [SERVERBUG] oops", "OK but nothing else"]
            {
                let silent = answer.starts_with("OK");
                // A login that is answered without one, and a mark that is said to be set, deceive anybody.
                if silent && ["LOGIN", "UID STORE", "IDLE"].contains(&command) {
                    continue;
                }
                desk.renew();
                refuse(&line, command, answer, 1);
                line.session(&desk).await;
                desk.assert_taken(LETTERS, "INBOX", &format!("{command}: {answer}"));
            }
        }
    });
}

#[test]
fn a_server_that_never_marks_never_searches_or_never_tells_sizes_gives_all_letters_once() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        for command in ["CAPABILITY", "UID STORE", "UID SEARCH", "UID FETCH 1:* (UID RFC", "IDLE"] {
            for answer in ["NO never", "BAD never"] {
                desk.renew();
                refuse(&line, command, answer, usize::MAX);
                assert_eq!(line.session(&desk).await, 0, "{command}: {answer}");
                desk.assert_taken(LETTERS, "INBOX", &format!("{command}: {answer}"));
            }
        }
    });
}

#[test]
fn a_letter_left_out_of_the_listing_is_found_by_search() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        desk.renew();
        line.proxy.watch(|way, line, _| {
            let hidden = way == Way::ToClient && line.starts_with("* 2 FETCH") && line.contains("RFC822.SIZE");
            if hidden { Said::Replace(String::new()) } else { Said::Pass }
        });
        assert_eq!(line.session(&desk).await, 0);
        desk.assert_taken(LETTERS, "INBOX", "hidden by FETCH");
    });
}

#[test]
fn a_literal_of_the_wrong_length_once_is_asked_for_again_and_always_costs_its_own_letter_only() {
    let (line, mut desk) = (Line::start(), Desk::new());
    let lengths: [fn(usize) -> usize; 4] = [|n| n + 7, |n| n - 7, |n| n * 1000, |_| 0];
    for (index, changed) in lengths.into_iter().enumerate() {
        for times in [1, usize::MAX] {
            desk.renew();
            let mut left = times;
            line.proxy.watch(move |way, line, _| {
                let Some((head, size)) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) else {
                    return Said::Pass;
                };
                if way == Way::ToServer || !head.starts_with("* 2 FETCH (UID 2 BODY") || left == 0 {
                    return Said::Pass;
                }
                left -= 1;
                Said::Replace(format!("{head}{{{}}}\r\n", changed(size.parse().unwrap())))
            });
            block_on(line.session(&desk));
            let what = format!("length {index}, {times} times");
            if times == 1 {
                desk.assert_taken(LETTERS, "INBOX", &what);
                continue;
            }
            let store = &desk.office().store;
            assert_eq!((store.cases().count(), store.counts().unwrap().quarantined), (LETTERS - 1, 1), "{what}");
            assert_eq!(store.quarantined().unwrap()[0].position.as_ref().unwrap().uid, 2, "{what}");
        }
    }
}

#[test]
fn an_idle_that_is_never_answered_and_one_that_is_cut_are_noticed() {
    let line = Line::start();
    block_on(async {
        for fault in [Said::Stall, Said::Cut, Said::PassThenCut] {
            let mut mailbox = ImapMailbox::new(line.settings());
            let what = format!("{fault:?}");
            line.proxy.watch(
                move |way, line, _| {
                    if way == Way::ToServer && line.ends_with(" IDLE") { fault.clone() } else { Said::Pass }
                },
            );
            let letters = mailbox.fetch(None).await.unwrap();
            let waited = timeout(Duration::from_secs(20), mailbox.wait()).await.expect("a bounded wait");
            assert_eq!(waited.unwrap_err().kind, FaultKind::Temporary, "{what}");
            let last = letters.last().map(|letter| &letter.position);
            assert!(mailbox.fetch(last).await.unwrap().is_empty(), "{what}");
        }
    });
}

#[test]
fn a_folder_that_is_renamed_is_a_fault_of_the_configuration_until_it_is_back() {
    let (line, mut desk) = (Line::start(), Desk::new());
    line.dovecot.make_folder("Claims");
    line.dovecot.copy_to("Claims");
    block_on(async {
        desk.renew();
        let mut mailbox = ImapMailbox::new(Settings { folder: "Claims".into(), ..line.settings() });
        assert_eq!(desk.drain(&mut mailbox, "Claims").await, 0);
        line.dovecot.doveadm(&["mailbox", "rename", "-u", crate::support::dovecot::USER, "Claims", "Old"]);
        let after = desk.office().store.cursor("Claims").unwrap();
        // An open session may show the folder for one more call.
        let mut faults = Vec::new();
        for _ in 0..3 {
            faults.extend(mailbox.fetch(after.as_ref()).await.err());
        }
        let last = faults.last().unwrap();
        assert_eq!(last.kind, FaultKind::Configuration, "{last}");
        assert!(last.what.contains("no folder Claims") && last.what.contains("Old"), "{last}");
        line.dovecot.doveadm(&["mailbox", "rename", "-u", crate::support::dovecot::USER, "Old", "Claims"]);
        desk.drain(&mut mailbox, "Claims").await;
        // Renaming may have given a new UIDVALIDITY: known letters are recognised.
        desk.assert_taken(LETTERS, "Claims", "back");
    });
}

#[test]
fn a_missing_folder_for_handled_letters_holds_up_none() {
    let (line, mut desk) = (Line::start(), Desk::new());
    block_on(async {
        desk.renew();
        let handled = aftersalesd::imap::Handled::Move("Nowhere".into());
        let mut mailbox = ImapMailbox::new(Settings { handled, ..line.settings() });
        assert_eq!(desk.drain(&mut mailbox, "INBOX").await, 0);
        desk.assert_taken(LETTERS, "INBOX", "no folder to move to");
    });
    assert!(line.dovecot.flags("INBOX").iter().all(|(_, flags)| flags == "\\Seen"));
}
