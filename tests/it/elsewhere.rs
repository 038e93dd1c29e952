//! The daemon at Cyrus and Courier: intake, marks, IDLE, folders that are numbered anew or renamed, restarts, kills.

use std::collections::BTreeSet;
use std::time::Duration;

use aftersalesd::ports::{Security, Server};

use crate::passes::NO_CAP;
use crate::support::elsewhere::{self, Client, ImapServer};
use crate::support::letter;
use crate::support::post::Reply;
use crate::support::program::{Installation, await_that, keys};
use crate::support::smtpd::Smtpd;

const PATIENCE: Duration = Duration::from_secs(60);
/// Both servers keep folders below INBOX; the configuration names the bare one.
const FOLDER: &str = "INBOX.Claims";

/// A mail server and the program, at one of these mailboxes.
struct Shop {
    smtpd: Smtpd,
    here: Installation,
    client: Client,
}

impl Shop {
    fn at(server: &dyn ImapServer, further: &str) -> Self {
        let smtpd = Smtpd::start(Security::None, &[]);
        // No news but by IDLE.
        let imap = keys("imap", &server.server()) + "folder = \"Claims\"\npoll_interval = \"10m\"\n" + further;
        let here = Installation::new(&imap, &keys("smtp", &smtpd.server(None)), NO_CAP);
        let mut client = server.client();
        client.ok(&format!("CREATE {FOLDER}"));
        Self { smtpd, here, client }
    }

    fn deliver(&mut self, numbers: impl Iterator<Item = usize>) {
        numbers.for_each(|number| self.client.append(FOLDER, &letter(number, 900)));
    }

    /// Who was answered, and by how many different replies in all.
    fn answered(&self) -> (BTreeSet<String>, usize) {
        let replies: Vec<Reply> = self.smtpd.kept().iter().map(|kept| Reply::read(&kept.raw)).collect();
        let ids: BTreeSet<&String> = replies.iter().map(|reply| &reply.message_id).collect();
        (replies.iter().map(|reply| reply.to.clone()).collect(), ids.len())
    }

    fn await_answered(&self, letters: usize, what: &str) {
        await_that(PATIENCE, what, || self.answered().0.len() == letters);
    }

    /// Each of the letters is answered by one reply and has one case, the mailbox knows, and `audit` agrees.
    fn expect_all(&mut self, letters: usize, what: &str) {
        self.here.ok(&["once"]);
        let everybody: BTreeSet<String> = (0..letters).map(|number| format!("jo{number}@example.net")).collect();
        assert_eq!(self.answered(), (everybody, letters), "{what}");
        let cases = self.here.json(&["cases", "list", "--json"]);
        assert_eq!(cases.len(), letters, "{what}");
        assert!(cases.iter().all(|case| case["letters"] == 1 && case["replies"] == 1), "{what}: {cases:#?}");
        assert_eq!(self.client.seen(FOLDER), (letters, letters), "{what}");
        let audit = self.here.ok(&["audit", "--json"]).json().pop().unwrap();
        assert_eq!((&audit["mailbox"]["mails"], &audit["mailbox"]["taken_in"]), (&letters.into(), &letters.into()));
        self.here.ok(&["verify"]);
    }
}

#[test]
fn other_servers_mail_is_taken_in_marked_and_waited_for() {
    for mut server in elsewhere::all() {
        let name = server.name();
        let mut shop = Shop::at(server.as_ref(), "");
        assert!(shop.here.ok(&["check"]).out.contains(FOLDER), "{name}");
        shop.deliver(0..30);
        let mut daemon = shop.here.start();
        shop.await_answered(30, name);
        // Its IDLE tells of this one.
        shop.deliver(30..31);
        shop.await_answered(31, name);
        server.restart();
        shop.client = server.client();
        shop.deliver(31..35);
        shop.await_answered(35, &format!("{name} after a restart"));
        assert!(daemon.is_running());
        assert_eq!(daemon.terminate(), Some(0));
        shop.expect_all(35, name);
        println!("{name}: 35 letters taken in, a restart");
    }
}

#[test]
fn other_servers_are_spoken_to_over_tls_and_only_if_their_certificate_is_trusted() {
    for server in elsewhere::all() {
        let mut client = server.client();
        for (number, secured) in server.secured_servers().into_iter().enumerate() {
            let what = format!("{}, {:?}", server.name(), secured.security);
            client.append("INBOX", &letter(number, 900));
            let smtpd = Smtpd::start(Security::None, &[]);
            let here = Installation::new(&keys("imap", &secured), &keys("smtp", &smtpd.server(None)), NO_CAP);
            here.ok(&["once"]);
            assert_eq!(smtpd.kept().len(), number + 1, "{what}: a new store takes in old letters, too");
            assert_eq!(client.seen("INBOX"), (number + 1, number + 1), "{what}");

            let stranger = Server { ca_file: None, ..secured };
            let there = Installation::new(&keys("imap", &stranger), &keys("smtp", &smtpd.server(None)), NO_CAP);
            let refused = there.run(&["once"]);
            assert_eq!(refused.code, Some(75), "{what}: {}", refused.err);
            assert!(refused.err.contains("certificate"), "{what}: {}", refused.err);
        }
    }
}

#[test]
fn other_servers_folders_may_be_numbered_anew_and_renamed() {
    for server in elsewhere::all() {
        let name = server.name();
        let mut shop = Shop::at(server.as_ref(), "");
        shop.deliver(0..10);
        let mut daemon = shop.here.start();
        shop.await_answered(10, name);
        // Away, and back.
        shop.client.ok(&format!("RENAME {FOLDER} INBOX.Elsewhere"));
        shop.client.append("INBOX.Elsewhere", &letter(10, 900));
        assert_eq!(daemon.terminate(), Some(0));
        let mut daemon = shop.here.start();
        daemon.await_log("there is no folder Claims");
        assert!(daemon.is_running(), "{name}");
        shop.client.ok(&format!("RENAME INBOX.Elsewhere {FOLDER}"));
        assert_eq!(daemon.terminate(), Some(0));
        shop.expect_all(11, name);
        // All of it anew, and one more first: each has another UID under another UIDVALIDITY.
        shop.client.ok("CLOSE");
        shop.client.ok(&format!("DELETE {FOLDER}"));
        shop.client.ok(&format!("CREATE {FOLDER}"));
        shop.deliver((0..12).rev());
        let told = shop.here.ok(&["once"]);
        assert!(told.err.contains("UIDVALIDITY changed"), "{name}: {told:?}");
        shop.expect_all(12, name);
        println!("{name}: folder renamed, numbered anew");
    }
}

#[test]
fn old_mail_of_other_servers_is_left_alone_also_when_it_is_numbered_anew() {
    for server in elsewhere::all() {
        let name = server.name();
        let mut shop = Shop::at(server.as_ref(), "start = \"now\"\n");
        let old = |client: &mut Client, number: usize| {
            client.append(&format!("{FOLDER} \"01-Nov-2025 10:00:00 +0000\""), &letter(number, 900));
        };
        (100..110).for_each(|number| old(&mut shop.client, number));
        shop.here.ok(&["once"]);
        shop.deliver(0..3);
        shop.here.ok(&["once"]);
        shop.client.ok(&format!("DELETE {FOLDER}"));
        shop.client.ok(&format!("CREATE {FOLDER}"));
        (100..110).for_each(|number| old(&mut shop.client, number));
        shop.deliver(0..5);
        for _ in 0..2 {
            shop.here.ok(&["once"]);
        }
        assert_eq!(shop.answered().1, 5, "{name}");
        assert_eq!(shop.here.json(&["cases", "list", "--json"]).len(), 5, "{name}");
        assert_eq!(shop.client.seen(FOLDER), (15, 5), "{name}");
        let audit = shop.here.ok(&["audit", "--json"]).json().pop().unwrap();
        assert_eq!(audit["mailbox"]["before"], 10, "{name}");
    }
}

#[test]
fn a_daemon_killed_at_other_servers_goes_on_where_it_was() {
    const KILLS: usize = 20;
    for server in elsewhere::all() {
        let name = server.name();
        let mut shop = Shop::at(server.as_ref(), "");
        let random = &mut fastrand::Rng::with_seed(4);
        for kill in 0..KILLS {
            shop.client = server.client();
            shop.deliver(kill * 5..kill * 5 + 5);
            let mut daemon = shop.here.start();
            std::thread::sleep(Duration::from_millis(random.u64(0..600)));
            daemon.kill();
        }
        shop.client = server.client();
        shop.expect_all(KILLS * 5, name);
        println!("{name}: {KILLS} kills survived");
    }
}
