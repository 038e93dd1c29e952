//! TLS: broken, stripped, begun with somebody else's words, with a certificate that is not the server's.

use std::process::{Command, Stdio};
use std::time::Duration;

use aftersalesd::domain::ids::Address;
use aftersalesd::domain::letter::Person;
use aftersalesd::imap::{ImapMailbox, Settings};
use aftersalesd::ports::{Content, FaultKind, Mailbox, Mailer, Security, Server};
use aftersalesd::smtp::{self, SmtpMailer};

use super::{SIZE, block_on};
use crate::support::dovecot::Dovecot;
use crate::support::proxy::{Deed, Fault, Line, Proxy, Way};
use crate::support::smtpd::Smtpd;
use crate::support::tls::{Certificates, Flaw};
use crate::support::{Process, await_port, free_port, letter, program};

fn mailbox(server: Server) -> ImapMailbox {
    ImapMailbox::new(Settings::new(Server { timeout: Duration::from_millis(500), ..server }, "INBOX"))
}

fn mailer(server: Server) -> SmtpMailer {
    let from = Person { name: None, address: Address::new("claims@example.com").unwrap() };
    let server = Server { timeout: Duration::from_millis(500), ..server };
    SmtpMailer::new(smtp::Settings { server, from, connections: 1 }).unwrap()
}

/// What a client said in clear text, on all connections.
fn said(proxy: &Proxy) -> String {
    proxy.passed().iter().map(|passed| String::from_utf8_lossy(&passed.to_server).to_uppercase()).collect()
}

#[test]
fn a_handshake_broken_anywhere_is_a_passing_fault_and_the_next_one_goes_through() {
    let dovecot = Dovecot::start();
    dovecot.deliver(&letter(1, SIZE));
    let smtpd = Smtpd::start(Security::Tls, &[]);
    let (imap, smtp) = (Proxy::start(dovecot.imaps), Proxy::start(smtpd.server(None).port));
    block_on(async {
        for way in [Way::ToServer, Way::ToClient] {
            for byte in [0, 1, 5, 100, 200, 700] {
                for deed in [Deed::Cut, Deed::Stall, Deed::Insert(b"* OK hello\r\n".to_vec())] {
                    let fault = Fault { way, byte, deed };
                    let what = format!("{fault:?}");
                    imap.break_next(fault.clone());
                    let mut mailbox = mailbox(Server { port: imap.port, ..dovecot.server(Security::Tls) });
                    let failed = mailbox.fetch(None).await;
                    if imap.passed()[0].broken {
                        assert_eq!(failed.unwrap_err().kind, FaultKind::Temporary, "{what}");
                    }
                    assert_eq!(mailbox.fetch(None).await.unwrap().len(), 1, "{what}");
                    smtp.break_next(fault);
                    let mailer = mailer(Server { port: smtp.port, ..smtpd.server(None) });
                    let failed = mailer.check().await;
                    if smtp.passed()[0].broken {
                        assert_eq!(failed.unwrap_err().kind, FaultKind::Temporary, "{what}");
                    }
                    mailer.check().await.unwrap();
                }
            }
        }
    });
}

#[test]
fn a_certificate_of_another_name_or_time_or_issuer_gets_no_word_from_us() {
    for flaw in [Flaw::OtherName, Flaw::Expired, Flaw::SelfSigned] {
        let dir = tempfile::tempdir().unwrap();
        let certificates = Certificates::flawed(dir.path(), flaw);
        let port = free_port();
        let mut command = Command::new(program("openssl", "openssl"));
        command.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}"), "-cert"]);
        command.arg(&certificates.certificate).arg("-key").arg(&certificates.key);
        let _server = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()));
        await_port(port, "openssl s_server");
        let dovecot = Dovecot::start();
        let server = Server { port, ca_file: Some(certificates.ca.clone()), ..dovecot.server(Security::Tls) };
        block_on(async {
            let imap = mailbox(server.clone()).fetch(None).await.unwrap_err();
            assert!(imap.what.contains("certificate"), "{flaw:?}: {imap}");
            let smtp = mailer(server).check().await.unwrap_err();
            assert!(smtp.what.contains("certificate"), "{flaw:?}: {smtp}");
        });
    }
}

#[test]
fn a_stripped_starttls_gets_no_password_and_no_mail() {
    let dovecot = Dovecot::start();
    let smtpd = Smtpd::start(Security::Starttls, &["--login", "claims:secret"]);
    let (imap, smtp) = (Proxy::start(dovecot.imap), Proxy::start(smtpd.server(None).port));
    imap.watch(|way, line, _| match line.split_once(' ') {
        Some((tag, "STARTTLS")) if way == Way::ToServer => Line::Answer(format!("{tag} BAD unknown command\r\n")),
        _ => Line::Pass,
    });
    smtp.watch(|way, line, _| match way {
        Way::ToClient if line.contains("STARTTLS") => Line::Replace(format!("{}HELP\r\n", &line[..4])),
        _ => Line::Pass,
    });
    block_on(async {
        let server = Server { port: imap.port, ..dovecot.server(Security::Starttls) };
        let fault = mailbox(server).fetch(None).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Configuration, "{fault}");
        assert!(fault.what.contains("no STARTTLS"), "{fault}");
        let server = Server { port: smtp.port, ..smtpd.server(Some(("claims", "secret"))) };
        let fault = mailer(server).check().await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Configuration, "{fault}");
        assert!(fault.what.contains("no STARTTLS"), "{fault}");
    });
    assert!(!said(&imap).contains("LOGIN") && !said(&imap).contains("AUTHENTICATE"), "{}", said(&imap));
    assert!(!said(&smtp).contains("AUTH") && !said(&smtp).contains("MAIL"), "{}", said(&smtp));
}

#[test]
fn words_put_behind_the_answer_to_starttls_count_for_nothing() {
    let dovecot = Dovecot::start();
    dovecot.deliver(&letter(1, SIZE));
    let smtpd = Smtpd::start(Security::Starttls, &["--login", "claims:secret"]);
    let (imap, smtp) = (Proxy::start(dovecot.imap), Proxy::start(smtpd.server(None).port));
    let forged = "* 1 EXISTS\r\n* CAPABILITY IMAP4rev1 LOGINDISABLED\r\n* BYE go away\r\nA0002 NO forged\r\n";
    imap.watch(move |way, line, _| match way {
        Way::ToClient if line.contains("Begin TLS") => Line::Replace(format!("{line}\r\n{forged}")),
        _ => Line::Pass,
    });
    smtp.watch(|way, line, _| match way {
        Way::ToClient if line.starts_with("220") && line.contains("TLS") => {
            Line::Replace(format!("{line}\r\n250-forged\r\n250 AUTH PLAIN LOGIN\r\n"))
        }
        _ => Line::Pass,
    });
    block_on(async {
        // Either TLS fails on them, or they are dropped before it begins.
        let server = Server { port: imap.port, ..dovecot.server(Security::Starttls) };
        match mailbox(server).fetch(None).await {
            Ok(letters) => {
                assert!(matches!(&letters[0].content, Content::Whole(raw) if *raw == letter(1, SIZE).as_bytes()))
            }
            Err(fault) => assert!(fault.what.contains("TLS"), "{fault}"),
        }
        let server = Server { port: smtp.port, ..smtpd.server(Some(("claims", "secret"))) };
        let fault = mailer(server).check().await.unwrap_err();
        assert!(fault.kind == FaultKind::Temporary && fault.what.contains("STARTTLS"), "{fault}");
    });
    assert!(smtp.passed().iter().all(|passed| passed.to_client.starts_with(b"220")));
}
