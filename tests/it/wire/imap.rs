//! Between `ImapMailbox` and Dovecot.

use std::time::Duration;

use aftersalesd::imap::{ImapMailbox, Settings};
use aftersalesd::ports::{Mailbox, Security, Server};

use super::{Desk, block_on, places};
use crate::support::dovecot::Dovecot;
use crate::support::letter;
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
        let mails: Vec<String> = (0..LETTERS).map(|number| letter(number, 400)).collect();
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
        assert!(tried >= most && noticed > tried / 2, "{tried} tried, {noticed} noticed");
    });
}

#[test]
fn a_connection_cut_at_any_byte_loses_no_letter() {
    sweep(75, &Deed::Cut);
}
