//! `SmtpMailer` against aiosmtpd and smtp-sink.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aftersalesd::domain::ids::{Address, CaseId, LetterId, MessageId};
use aftersalesd::domain::letter::Person;
use aftersalesd::domain::reply::{Kind, Reply};
use aftersalesd::ports::{Delivery, FaultKind, Mailer, Security, Server};
use aftersalesd::smtp::{Settings, SmtpMailer};
use serde_json::{Value, json};

use crate::support::free_port;
use crate::support::smtpd::{SmtpSink, Smtpd};

const LOGIN: (&str, &str) = ("claims", "secret");
const LOGIN_OPTION: [&str; 2] = ["--login", "claims:secret"];

fn person(name: &str, address: &str) -> Person {
    Person { name: Some(name.into()), address: Address::new(address).unwrap() }
}

fn reply(number: u32, to: &str) -> Reply {
    let case = CaseId::derive(&LetterId::from_digest(&[7; 32]), 0);
    Reply {
        message_id: MessageId::of_reply(&case, number, "example.com"),
        case,
        number,
        kind: Kind::Ask,
        to: person("Zoë O'Hara, \"Z\"", to),
        subject: "Re: L’écran reste noir".into(),
        language: "fr".into(),
        in_reply_to: Some(MessageId::new("question@example.net").unwrap()),
        references: vec![MessageId::new("first@example.net").unwrap()],
        written: "2026-11-22T10:00:00Z".parse().unwrap(),
        text: "Bonjour,\n\n.\nil manque une photo de l’étiquette.\n".into(),
        html: "<p>Bonjour,</p><p>il manque une photo de l’étiquette.</p>".into(),
        files: Vec::new(),
        passes_on: None,
    }
}

fn mailer(server: Server) -> SmtpMailer {
    SmtpMailer::new(Settings { server, from: person("KOSPET After-Sales", "claims@example.com"), connections: 4 })
        .unwrap()
}

#[tokio::test]
async fn a_reply_arrives_over_tls_starttls_and_none_from_the_null_sender() {
    for security in [Security::Tls, Security::Starttls, Security::None] {
        let smtpd = Smtpd::start(security, if security == Security::Starttls { &LOGIN_OPTION } else { &[] });
        let mailer = mailer(smtpd.server((security == Security::Starttls).then_some(LOGIN)));
        mailer.check().await.unwrap();
        assert_eq!(mailer.send(&reply(1, "zoe@example.net")).await, Delivery::Sent, "{security:?}");
        let kept = smtpd.kept();
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].envelope["to"], json!(["zoe@example.net"]));
        assert_eq!(kept[0].envelope["from"], "", "the null sender");
        assert_eq!(kept[0].envelope["tls"], json!(security != Security::None), "{security:?}");
        assert_eq!(kept[0].envelope["authenticated"], json!(security == Security::Starttls));
    }
}

#[tokio::test]
async fn pythons_email_package_reads_what_was_sent() {
    let smtpd = Smtpd::start(Security::None, &[]);
    let sent = reply(1, "zoe@example.net");
    assert_eq!(mailer(smtpd.server(None)).send(&sent).await, Delivery::Sent);
    let program = "import email, email.policy, json, sys\n\
        m = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)\n\
        parts = {p.get_content_type(): p.get_content() for p in m.iter_parts()}\n\
        print(json.dumps({**{k.lower(): str(v) for k, v in m.items()}, 'parts': parts, 'defects': len(m.defects),\n\
        'name': m['to'].addresses[0].display_name, 'address': m['to'].addresses[0].addr_spec, 'kind': m.get_content_type()}))";
    let out = Command::new("/usr/bin/python3").args(["-c", program]).arg(smtpd.file(1)).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let read: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(read["defects"], 0);
    assert_eq!(read["kind"], "multipart/alternative");
    assert_eq!(read["name"], "Zoë O'Hara, \"Z\"");
    assert_eq!(read["address"], "zoe@example.net");
    assert_eq!(read["subject"], sent.subject.as_str());
    assert_eq!(read["message-id"], format!("<{}>", sent.message_id));
    assert_eq!(read["in-reply-to"], "<question@example.net>");
    assert_eq!(read["references"], "<first@example.net> <question@example.net>");
    assert_eq!(read["auto-submitted"], "auto-replied");
    assert_eq!(read["x-auto-response-suppress"], "All");
    assert_eq!(read["x-aftersalesd-loop"], sent.case.as_str());
    assert_eq!(read["date"], "Sun, 22 Nov 2026 10:00:00 +0000");
    assert_eq!(read["parts"]["text/plain"].as_str().unwrap().trim_end(), sent.text.trim_end());
    assert_eq!(read["parts"]["text/html"].as_str().unwrap().trim_end(), sent.html);
}

#[tokio::test]
async fn a_repetition_is_the_same_mail_and_uses_the_same_connection() {
    let smtpd = Smtpd::start(Security::None, &[]);
    let mailer = mailer(smtpd.server(None));
    for _ in 0..2 {
        assert_eq!(mailer.send(&reply(1, "zoe@example.net")).await, Delivery::Sent);
    }
    let kept = smtpd.kept();
    assert_eq!(kept[0].raw, kept[1].raw);
    assert!(kept[0].raw.is_ascii());
    assert_eq!(kept[0].envelope["connection"], kept[1].envelope["connection"]);
}

#[tokio::test]
async fn answers_of_the_server_are_told_apart() {
    let smtpd = Smtpd::start(Security::None, &[]);
    let mailer = mailer(smtpd.server(None));
    let send = async |to: &str| mailer.send(&reply(1, to)).await;
    assert!(matches!(send("later@example.net").await, Delivery::TryLater(why) if why.contains("451")));
    assert!(matches!(send("never@example.net").await, Delivery::Refused(why) if why.contains("no such user")));
    assert!(matches!(send("late-never@example.net").await, Delivery::Refused(why) if why.contains("content refused")));
    assert!(matches!(send("protocol@example.net").await, Delivery::TryLater(why) if why.contains("5.5.0")));
    assert_eq!(send("zoe@example.net").await, Delivery::Sent);
    assert_eq!(smtpd.kept()[0].envelope["from"], "", "a refused letter says nothing of our sender");
}

#[tokio::test]
async fn a_server_without_love_for_the_null_sender_gets_our_address() {
    for step in ["mail", "rcpt", "data"] {
        let smtpd = Smtpd::start(Security::None, &["--refuse-null", step]);
        let mailer = mailer(smtpd.server(None));
        for number in 1..=2 {
            assert_eq!(mailer.send(&reply(number, "zoe@example.net")).await, Delivery::Sent, "{step}");
        }
        let senders: Vec<Value> = smtpd.kept().iter().map(|k| k.envelope["from"].clone()).collect();
        assert_eq!(senders, ["claims@example.com", "claims@example.com"], "{step}");
    }
}

#[tokio::test]
async fn a_server_that_refuses_us_does_not_refuse_the_letter() {
    let smtpd = Smtpd::start(Security::None, &["--refuse-all", "553 5.7.1 not your address"]);
    let delivery = mailer(smtpd.server(None)).send(&reply(1, "zoe@example.net")).await;
    assert!(matches!(&delivery, Delivery::TryLater(why) if why.contains("not your address")), "{delivery:?}");
    let smtpd = Smtpd::start(Security::Starttls, &LOGIN_OPTION);
    let delivery = mailer(smtpd.server(None)).send(&reply(1, "zoe@example.net")).await;
    assert!(matches!(&delivery, Delivery::TryLater(why) if why.contains("530")), "{delivery:?}");
}

#[tokio::test]
async fn a_wrong_password_is_a_fault_of_the_login_and_not_repeated_at_once() {
    let smtpd = Smtpd::start(Security::Starttls, &LOGIN_OPTION);
    let mailer = mailer(smtpd.server(Some(("claims", "wrong-password"))));
    let fault = mailer.check().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Login, "{fault}");
    assert!(fault.what.contains("claims") && !fault.what.contains("wrong-password"), "{fault}");
    let first = mailer.send(&reply(1, "zoe@example.net")).await;
    assert!(matches!(&first, Delivery::TryLater(why) if why.contains("535")), "{first:?}");
    let second = mailer.send(&reply(2, "zoe@example.net")).await;
    assert!(matches!(&second, Delivery::TryLater(why) if why.contains("a moment ago")), "{second:?}");
}

#[tokio::test]
async fn a_server_without_starttls_or_without_an_anchor_is_told_clearly() {
    let plain = Smtpd::start(Security::None, &[]);
    let fault = mailer(Server { security: Security::Starttls, ..plain.server(None) }).check().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Configuration);
    assert!(fault.what.contains("offers no STARTTLS"), "{fault}");
    let tls = Smtpd::start(Security::Tls, &[]);
    let fault = mailer(Server { ca_file: None, ..tls.server(None) }).check().await.unwrap_err();
    assert!(fault.what.contains("certificate"), "{fault}");
    let absent = Server { ca_file: Some("/absent/ca.pem".into()), ..tls.server(None) };
    let settings = Settings { server: absent, from: person("x", "x@example.com"), connections: 1 };
    let fault = SmtpMailer::new(settings).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Configuration);
    assert!(fault.what.contains("/absent/ca.pem"), "{fault}");
}

#[tokio::test]
async fn no_answer_is_for_later_and_the_next_reply_is_not_confused_by_it() {
    let smtpd = Smtpd::start(Security::None, &[]);
    let server = Server { timeout: Duration::from_secs(1), ..smtpd.server(None) };
    let mailer = mailer(server.clone());
    let started = Instant::now();
    let delivery = mailer.send(&reply(1, "stall@example.net")).await;
    assert!(matches!(&delivery, Delivery::TryLater(why) if why.contains("may have arrived")), "{delivery:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(mailer.send(&reply(2, "zoe@example.net")).await, Delivery::Sent);
    assert_eq!(smtpd.kept().len(), 1);
    let nobody = self::mailer(Server { port: free_port(), ..server });
    assert!(matches!(nobody.send(&reply(1, "zoe@example.net")).await, Delivery::TryLater(_)));
    assert_eq!(nobody.check().await.unwrap_err().kind, FaultKind::Temporary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_replies_share_a_few_connections() {
    let sink = SmtpSink::start();
    let mailer = Arc::new(mailer(sink.server()));
    let sending: Vec<_> = (0..400)
        .map(|number| {
            let mailer = mailer.clone();
            tokio::spawn(async move { mailer.send(&reply(number, "zoe@example.net")).await })
        })
        .collect();
    for sent in sending {
        assert_eq!(sent.await.unwrap(), Delivery::Sent);
    }
}
