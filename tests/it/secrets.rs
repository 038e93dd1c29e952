//! Passwords stand in no log, error, export, page or file name, at whatever level and after whatever failure; addresses
//! are masked in the log; what is kept is its owner's alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use aftersalesd::ports::{Login, Security, Server};

use crate::support::dovecot::{Dovecot, PASSWORD};
use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, Told, await_that, keys, run};
use crate::support::smtpd::Smtpd;
use crate::support::{free_port, letter};

const SMTP: (&str, &str) = ("claims", "hunter2-of-smtp");
const WRONG: &str = "another-wrong-one";

/// The passwords, and what the protocols make of them.
fn secrets() -> Vec<String> {
    let quoted = PASSWORD.replace('\\', "\\\\").replace('"', "\\\"");
    let mut secrets: Vec<String> = [PASSWORD, quoted.as_str(), SMTP.1, WRONG].map(str::to_owned).to_vec();
    // Also as a JSON or debug form shows it.
    secrets.extend([
        format!("{PASSWORD:?}"),
        format!("{quoted:?}"),
        "with\\ quotes".to_owned(),
        "with\\\\ quotes".to_owned(),
    ]);
    for plain in
        [SMTP.1.to_owned(), WRONG.to_owned(), format!("\0{}\0{}", SMTP.0, SMTP.1), format!("\0{}\0{WRONG}", SMTP.0)]
    {
        let mail = format!("Content-Transfer-Encoding: base64\r\n\r\n{}", base64(plain.as_bytes()));
        secrets.push(mail.rsplit_once("\r\n").unwrap().1.trim_end_matches('=').to_owned());
    }
    secrets
}

fn base64(bytes: &[u8]) -> String {
    use lettre::message::{Body, header::ContentTransferEncoding};
    let body = Body::new_with_encoding(bytes.to_vec(), ContentTransferEncoding::Base64).unwrap();
    String::from_utf8(body.into_vec()).unwrap().trim().to_owned()
}

struct Shop {
    dovecot: Dovecot,
    smtpd: Smtpd,
    here: Installation,
    told: Vec<(String, String)>,
}

impl Shop {
    fn start() -> Self {
        let dovecot = Dovecot::start();
        let smtpd = Smtpd::start(Security::Tls, &["--login", &format!("{}:{}", SMTP.0, SMTP.1)]);
        let here = Installation::new("", "", "");
        let shop = Self { dovecot, smtpd, here, told: Vec::new() };
        shop.configure(|_, _| {});
        shop
    }

    fn configure(&self, change: impl FnOnce(&mut Server, &mut Server)) {
        let (mut imap, mut smtp) = (self.dovecot.server(Security::Tls), self.smtpd.server(Some(SMTP)));
        change(&mut imap, &mut smtp);
        self.here.configure(&keys("imap", &imap), &keys("smtp", &smtp), "");
    }

    /// Runs a command with all there is to log.
    fn run(&mut self, words: &[&str]) -> Told {
        let mut command = self.here.command(words);
        command.env("AFTERSALESD_LOG", "trace");
        let told = run(command);
        self.told.push((format!("{words:?}"), format!("{}\n{}", told.out, told.err)));
        told
    }

    fn fails(&mut self, how: &str, change: impl FnOnce(&mut Server, &mut Server)) {
        self.configure(change);
        for command in ["once", "check"] {
            let told = self.run(&[command]);
            assert_ne!(told.code, Some(0), "{how}: {command}: {told:?}");
            assert!(!told.complaints().is_empty(), "{how}");
        }
    }
}

#[test]
fn no_password_is_told_anywhere_and_no_address_in_the_log() {
    let mut shop = Shop::start();
    let ask = Draft {
        from: "Priya Raman <priya@example.net>",
        id: "first@mail.example",
        subject: "T3 Ultra runs flat",
        body: "Order KS50001, my Tank T3 Ultra is empty within three hours since Sunday.\n",
        answers: None,
        photos: &[],
    };
    shop.dovecot.deliver(&ask.raw());
    assert_eq!(shop.run(&["once"]).code, Some(0));
    let reply = Reply::read(&shop.smtpd.kept()[0].raw);
    let second = Draft {
        id: "second@mail.example",
        subject: "Re: T3",
        body: "The code is 2000400001032.\n",
        answers: Some(&reply),
        ..ask
    };
    shop.dovecot.deliver_all([
        second.raw().as_str(),
        &letter(1, 900).replace("jo1@", "never@"),
        &letter(2, 900).replace("jo2@", "later@"),
        "garbage \u{fffd}",
    ]);
    assert_eq!(shop.run(&["check"]).code, Some(0));
    shop.run(&["once"]);
    let wrong = |login: &mut Option<Login>| {
        let user = login.as_ref().unwrap().user.clone();
        *login = Some(Login::by_password(user, WRONG));
    };
    shop.fails("a wrong password for IMAP", |imap, _| wrong(&mut imap.login));
    shop.fails("a wrong password for SMTP", |_, smtp| wrong(&mut smtp.login));
    shop.fails("an unknown certificate", |imap, _| imap.ca_file = None);
    shop.fails("an unknown certificate of SMTP", |_, smtp| smtp.ca_file = None);
    shop.fails("TLS where there is none", |imap, smtp| (imap.port, smtp.security) = (free_port(), Security::Starttls));
    shop.configure(|_, _| {});
    let mut broken = fs::read_to_string(shop.here.path("config.toml")).unwrap();
    broken += "[mailbox]\n";
    shop.here.write("config.toml", &broken);
    assert_eq!(shop.run(&["check"]).code, Some(78));
    shop.configure(|_, _| {});
    shop.here.replace("password = \"hunter2", "pasword = \"hunter2");
    assert_eq!(shop.run(&["check"]).code, Some(78));
    shop.configure(|_, _| {});
    // The daemon, to which commands talk.
    let mut command = shop.here.command(&["run"]);
    let mut daemon = shop.here.start_with(command.env("AFTERSALESD_LOG", "trace"));
    daemon.await_log("aftersalesd runs");
    shop.dovecot.deliver(&letter(3, 900));
    await_that(std::time::Duration::from_secs(20), "a reply", || {
        shop.smtpd.kept().iter().any(|k| k.envelope["to"][0] == "jo3@example.net")
    });
    let case = shop.here.json(&["cases", "search", "priya", "--json"])[0]["case"].as_str().unwrap().to_owned();
    for words in [
        vec!["cases", "list", "--json"],
        vec!["cases", "show", &case, "--json"],
        vec!["cases", "quarantine"],
        vec!["cases", "notices", "--json"],
    ] {
        assert_eq!(shop.run(&words).code, Some(0), "{words:?}");
    }
    assert_eq!(daemon.terminate(), Some(0));
    shop.told.push(("the log of the daemon".to_owned(), daemon.log()));
    shop.run(&["export"]);
    let mut files = Vec::new();
    walk(&shop.here.path("store"), &mut |path, _| files.push(path.display().to_string()));
    shop.told.push(("the names of the files".to_owned(), files.join("\n")));
    for (what, text) in &shop.told {
        for secret in secrets() {
            assert!(!text.contains(&secret), "{what} tells {secret:?}");
        }
        assert!(!text.is_empty());
    }
    let addresses = ["priya@example.net", "never@example.net", "later@example.net", "jo3@example.net"];
    for (what, text) in shop.told.iter().filter(|(what, _)| what.contains("once") || what.contains("log")) {
        for line in text.lines() {
            assert!(!addresses.iter().any(|address| line.contains(address)), "{what}: {line}");
        }
    }
    assert!(shop.told.iter().any(|(_, text)| text.contains("n…@example.net")), "the refused address is there, masked");
}

#[test]
fn what_is_kept_is_its_owners_alone() {
    let here = Installation::of_maildirs();
    // As wide as a careless administrator may have made it.
    for folder in ["store", "store/raw", "store/cases"] {
        fs::create_dir_all(here.path(folder)).unwrap();
        fs::set_permissions(here.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    here.deliver("1.host", letter(1, 900).as_bytes());
    here.ok(&["once"]);
    let mut daemon = here.start();
    here.deliver("2.host", letter(2, 900).as_bytes());
    await_that(std::time::Duration::from_secs(20), "a reply", || here.replies().len() == 2);
    let mut seen = 0;
    walk(&here.path("store"), &mut |path, mode| {
        seen += 1;
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
    });
    assert!(seen >= 7, "{seen} files and folders");
    walk(&here.path("replies"), &mut |path, mode| {
        assert!(path.is_dir() || mode & 0o077 == 0, "{} {mode:o}", path.display())
    });
    assert_eq!(daemon.terminate(), Some(0));
}

/// Each file and folder below one, with its mode.
fn walk(folder: &Path, look: &mut dyn FnMut(&Path, u32)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        look(&path, path.symlink_metadata().unwrap().permissions().mode());
        if path.is_dir() {
            walk(&path, look);
        }
    }
}
