//! `doctor`: what it finds with real servers, a real store and a scripted server of names.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use aftersalesd::ports::{Login, Security, Server};
use serde_json::Value;

use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::nameserver::{Nameserver, Zone};
use crate::support::program::{Installation, Told, keys};
use crate::support::smtpd::Smtpd;
use crate::support::tls::{Certificates, Flaw};
use crate::support::{free_port, is_root};

const SMTP: (&str, &str) = ("claims", "hunter2-of-smtp");
/// A quota and special folders, as installations have them.
const DOVECOT: &str = "mail_plugins = quota\nprotocol imap {\n  mail_plugins = quota imap_quota\n}\n\
    plugin {\n  quota = maildir:User quota\n  quota_rule = *:storage=100K\n}\n\
    namespace inbox {\n  mailbox Trash {\n    auto = create\n    special_use = \\Trash\n  }\n\
    \x20 mailbox Bin.Spam {\n    auto = create\n    special_use = \\Junk\n  }\n}\n";

struct Place {
    dovecot: Dovecot,
    smtpd: Smtpd,
    names: Nameserver,
    here: Installation,
}

fn sound() -> Zone {
    vec![
        ("example.com", "MX", "mx.example.com".to_owned()),
        ("example.com", "TXT", "v=spf1 include:_spf.example.net -all".to_owned()),
        // As crowded as domains are: more than a datagram holds.
        ("example.com", "TXT", format!("some-verification={}", "x".repeat(400))),
        ("_dmarc.example.com", "TXT", "v=DMARC1; p=reject; rua=mailto:dmarc@example.com".to_owned()),
        ("mail2026._domainkey.example.com", "TXT", format!("v=DKIM1; k=rsa; p={}", "A".repeat(392))),
    ]
}

impl Place {
    fn start() -> Self {
        let dovecot = Dovecot::start_with(DOVECOT);
        let smtpd = Smtpd::start(Security::Starttls, &["--login", &format!("{}:{}", SMTP.0, SMTP.1)]);
        let place = Self { dovecot, smtpd, names: Nameserver::start(sound()), here: Installation::new("", "", "") };
        place.configure("", |_, _| {});
        place
    }

    fn configure(&self, further: &str, change: impl FnOnce(&mut Server, &mut Server)) {
        let (mut imap, mut smtp) = (self.dovecot.server(Security::Tls), self.smtpd.server(Some(SMTP)));
        change(&mut imap, &mut smtp);
        let further = format!("[rma]\nreturn_address = [\"Returns\", \"1 Street\"]\n{further}");
        self.here.configure(&keys("imap", &imap), &keys("smtp", &smtp), &further);
    }

    fn doctor(&self, words: &[&str]) -> Told {
        let resolver = self.names.address.to_string();
        self.here.run(&[&["doctor", "--json", "--resolver", &resolver, "--dkim-selector", "mail2026"], words].concat())
    }

    /// The exit code and the findings that are not `ok`: what was looked at, how it is, the words.
    fn complaints(&self) -> (Option<i32>, Vec<String>) {
        let told = self.doctor(&[]);
        let all = told.json();
        for finding in all.iter().filter(|finding| finding["verdict"] != "ok") {
            assert!(finding["do"].as_str().is_some_and(|text| text.len() > 3), "{finding}");
        }
        let is_bad = |finding: &&Value| finding["verdict"] != "ok" && finding["check"] != "clock";
        let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
        let line = |f: &Value| format!("{} {}: {}", word(f, "verdict"), word(f, "check"), word(f, "what"));
        // How much room there is on this machine's disk is no matter of the tests.
        let own = |f: &&Value| f["check"] != "disk";
        (told.code, all.iter().filter(is_bad).filter(own).map(line).collect())
    }
}

#[track_caller]
fn complains(told: &(Option<i32>, Vec<String>), code: i32, lines: &[&str]) {
    assert_eq!(told.0, Some(code), "{told:#?}");
    assert_eq!(told.1.len(), lines.len(), "{told:#?}");
    for (told, expected) in told.1.iter().zip(lines) {
        let (begins, holds) = expected.split_once(" … ").unwrap_or((expected, ""));
        assert!(told.starts_with(begins) && told.contains(holds), "{told}\nis not\n{expected}");
    }
}

#[test]
fn a_sound_installation_has_nothing_to_be_put_right() {
    let place = Place::start();
    complains(&place.complaints(), 0, &["warn daemon: none has run yet"]);
    let mut daemon = place.here.start();
    complains(&place.complaints(), 0, &["warn backup: of this store"]);
    let copy = place.here.path("copy");
    place.here.ok(&["backup", copy.to_str().unwrap()]);
    let told = place.doctor(&[]);
    let all = told.json();
    let found = |check: &str, part: &str| {
        let of = |finding: &&Value| finding["check"] == check && finding["what"].as_str().unwrap().contains(part);
        let finding = all.iter().find(of).unwrap_or_else(|| panic!("{check} {part} in {}", told.out));
        assert_eq!(finding["verdict"], "ok", "{finding}");
    };
    for (check, part) in [
        ("configuration", "is sound"),
        ("templates", "built-in"),
        ("orders", "2 lines"),
        ("disk", "GB free"),
        ("store", "belongs to user"),
        ("backup", "the last backup was made at 20"),
        ("daemon", "takes letters in"),
        ("notices", "of nothing"),
        ("mailbox", "TLSv1_3; its certificate holds for 29 days"),
        ("mailbox", "INBOX holds 0 letters"),
        ("imap", "IDLE UIDPLUS MOVE CONDSTORE QRESYNC QUOTA"),
        ("imap", "keywords of any name last"),
        ("imap", "trash Trash"),
        ("quota", "STORAGE 0 of 100 KiB"),
        ("delivery", "TLSv1_3"),
        ("delivery", "logged in"),
        ("smtp", "8BITMIME, SMTPUTF8"),
        ("smtp", "logins by"),
        ("mx", "mx.example.com"),
        ("spf", "with _spf.example.net"),
        ("dmarc", "p=reject at _dmarc.example.com"),
        ("dkim", "mail2026._domainkey.example.com"),
    ] {
        found(check, part);
    }
    let asked = place.names.heard.lock().unwrap().clone();
    assert!(asked.contains(&("tcp", "example.com".to_owned())), "a cut answer is asked for again: {asked:?}");
    // For people.
    let resolver = place.names.address.to_string();
    let shown = place.here.ok(&["doctor", "--resolver", &resolver]).out;
    assert!(shown.contains("\nok    imap           the server has IDLE"), "{shown}");
    let advice = "\nwarn  dkim           under which name the mail server's key stands is not known, so that it was not \
                  looked at\n                     → send a mail to yourself";
    assert!(shown.contains(advice), "{shown}");
    assert!(![PASSWORD, SMTP.1].iter().any(|secret| shown.contains(secret) || told.out.contains(secret)));
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn what_is_wrong_is_found_with_the_exit_code_that_fits() {
    let mut place = Place::start();
    let none = "warn daemon: none has run yet";
    // What another try may put right: 75. What the configuration has to: 78.
    place.configure("", |_, smtp| smtp.port = free_port());
    complains(&place.complaints(), 75, &[none, "fail delivery: 127.0.0.1: … can't connect"]);
    place.configure("", |imap, smtp| {
        imap.login = imap.login.take().map(|login| Login::by_password(login.user, "wrong"));
        smtp.port = free_port();
    });
    let refused = ["fail mailbox: … refuses the login", "fail delivery: "];
    complains(&place.complaints(), 78, &[&[none], &refused[..]].concat());
    // Answers that get lost, names that nobody can vouch for: 1.
    place.configure("", |_, _| {});
    *place.names.zone.lock().unwrap() = vec![
        ("example.com", "MX", String::new()),
        ("example.com", "TXT", "v=spf1 +all".to_owned()),
        ("mail2026._domainkey.example.com", "TXT", "v=DKIM1; p=".to_owned()),
    ];
    let of_names =
        ["fail mx: … null MX", "fail spf: … lets everybody", "warn dmarc: … no DMARC record", "fail dkim: … revoked"];
    complains(&place.complaints(), 1, &[&[none], &of_names[..]].concat());
    // Nobody answers: mail may go all the same.
    place.names.address.set_port(free_port());
    complains(&place.complaints(), 0, &[none, "warn dns: of example.com nothing is known"]);
    let unfit = place.here.run(&["doctor", "--dkim-selector", "a b"]);
    assert!(unfit.code == Some(2) && unfit.err.contains("no selector"), "{unfit:?}");
}

#[test]
fn files_and_what_is_in_them_are_looked_at() {
    let place = Place::start();
    let nameless = "warn daemon: none runs";
    fs::create_dir_all(place.here.path("store/cases")).unwrap();
    fs::set_permissions(place.here.path("store"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(place.here.path("config.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let open = ["warn configuration: … password", "warn configuration: … password"];
    let store = ["warn store: … open to others", "warn backup: "];
    complains(&place.complaints(), 0, &[&open[..], &store[..], &[nameless]].concat());
    fs::set_permissions(place.here.path("store"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(place.here.path("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    if is_root() {
        let files = ["blob", "conf", "db", "snap", "x"].map(|name| format!("store/cases/{name}"));
        for file in &files {
            place.here.write(file, "");
            std::os::unix::fs::chown(place.here.path(file), Some(8), Some(8)).unwrap();
        }
        let strangers = "fail store: … cases/db and 2 more";
        complains(&place.complaints(), 1, &[strangers, "warn backup: ", nameless]);
        files.iter().for_each(|file| fs::remove_file(place.here.path(file)).unwrap());
    }
    // A mailbox that will take no more.
    for number in 0..2 {
        place.dovecot.deliver(&crate::support::letter(number, 60_000));
    }
    // Dovecot's own sum, which knows nothing of mail that was put there past it.
    fs::remove_file(place.dovecot.maildir().join("maildirsize")).unwrap();
    complains(&place.complaints(), 1, &["warn backup: ", nameless, "fail quota: STORAGE"]);
    // Handled letters that the server throws away, under its own name of that folder too; a feed that is not there.
    for (target, told) in
        [("Trash", "to Trash, which is the server's folder for trash"), ("Bin/Spam", "to Bin.Spam, which")]
    {
        place.configure("", |_, _| {});
        place.here.replace("[mailbox]\n", &format!("[mailbox]\nhandled = \"move:{target}\"\n"));
        let lines = place.complaints().1;
        assert!(lines.iter().any(|line| line.contains(told)), "{lines:#?}");
    }
    place.configure("", |_, _| {});
    fs::remove_file(place.here.path("orders.csv")).unwrap();
    let told = place.complaints();
    assert_eq!(told.0, Some(78));
    assert!(told.1[0].starts_with("fail configuration: ") && told.1[0].contains("orders.csv"), "{told:#?}");
    // A file that is wrong in itself is all there is to tell.
    place.here.replace("[store]\n", "[store]\npaht = \"x\"\n");
    complains(&place.complaints(), 78, &["fail configuration: … paht"]);
}

#[test]
fn each_fault_of_a_line_is_told_once_with_its_own_remedy() {
    let place = Place::start();
    let clear = Smtpd::start(Security::None, &[]);
    let folder = tempfile::tempdir().unwrap();
    let expired = Certificates::flawed(folder.path(), Flaw::Expired);
    let no_certificate = folder.path().join("no-certificate");
    fs::write(&no_certificate, "hello").unwrap();
    let fault = |change: &dyn Fn(&mut Server, &mut Server)| {
        place.configure("", |imap, smtp| change(imap, smtp));
        let told = place.doctor(&[]);
        let failed: Vec<Value> = told.json().into_iter().filter(|finding| finding["verdict"] == "fail").collect();
        assert_eq!(failed.len(), 1, "{failed:#?}");
        (told.code, format!("{} {}", failed[0]["what"], failed[0]["do"]))
    };
    for (code, what, remedy, told) in [
        (75, "TLS: ", "is not trusted", fault(&|imap, _| imap.ca_file = Some(expired.ca.clone()))),
        // Whatever the words are: what speaks no TLS has no certificate.
        (
            75,
            "TLS: ",
            "is host, port and security right",
            fault(&|imap, _| imap.port = place.dovecot.server(Security::None).port),
        ),
        (
            78,
            "no certificate in PEM form",
            "change what",
            fault(&|imap, _| imap.ca_file = Some(no_certificate.clone())),
        ),
        (78, "offers no STARTTLS", "change what", fault(&|_, smtp| smtp.port = clear.server(None).port)),
        (75, "can't connect", "is host, port and security right", fault(&|imap, _| imap.port = free_port())),
    ] {
        assert_eq!(told.0, Some(code), "{told:?}");
        assert!(told.1.contains(what) && told.1.contains(remedy), "{told:?}");
    }
}

#[test]
fn a_daemon_whose_store_is_closed_is_one_finding_among_others() {
    let place = Place::start();
    let mut daemon = place.here.start();
    let status = place.here.ok(&["status", "--json"]).out;
    assert_eq!(daemon.terminate(), Some(0));
    let socket = UnixListener::bind(place.here.path("store/control.sock")).unwrap();
    std::thread::spawn(move || {
        for stream in socket.incoming() {
            let (mut stream, mut asked) = (stream.unwrap(), String::new());
            BufReader::new(&stream).read_line(&mut asked).unwrap();
            let told = match asked.contains("status") {
                true => format!("{status}{{\"end\":null}}\n"),
                false => "{\"end\":\"the store is closed: the disk is full\",\"code\":75}\n".to_owned(),
            };
            stream.write_all(told.as_bytes()).unwrap();
        }
    });
    complains(&place.complaints(), 75, &["warn backup: ", "fail notices: the store is closed"]);
    assert!(place.doctor(&[]).json().iter().any(|finding| finding["check"] == "dkim"), "the end is reached");
}
