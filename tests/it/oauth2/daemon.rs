//! The whole program logs in by tokens: through idle renewals, a full disk, reloads, and the end of its grant.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use aftersalesd::ports::Security;
use serde_json::json;

use super::{Granted, PATIENCE};
use crate::support::authority::{Authority, CLIENT, CLIENT_SECRET, USER_CODE};
use crate::support::dovecot::{Dovecot, USER};
use crate::support::program::{Daemon, Installation, Told, await_that, keys, program, run};
use crate::support::smtpd::Smtpd;
use crate::support::{free_port, http, letter};

/// An installation that logs in at both servers by tokens.
struct Shop {
    authority: Authority,
    dovecot: Dovecot,
    smtpd: Smtpd,
    here: Installation,
    told: Vec<String>,
}

impl Shop {
    fn start(console: u16) -> Self {
        let authority = Authority::start(USER);
        let dovecot = Dovecot::start_with(&authority.dovecot("xoauth2 oauthbearer"));
        let smtpd = Smtpd::start(Security::Starttls, &["--introspect", &authority.url("/introspect")]);
        let granted = Granted::by_client(&authority);
        let (mailbox, delivery) = (granted.on(dovecot.server(Security::Tls)), granted.on(smtpd.server(None)));
        let oauth2 = format!(
            "[oauth2]\nclient_id = {CLIENT:?}\nclient_secret = {CLIENT_SECRET:?}\nscopes = [\"mail\"]\n\
             token_endpoint = {:?}\ndevice_endpoint = {:?}\n[console]\nlisten = \"127.0.0.1:{console}\"\n",
            authority.url("/token"),
            authority.url("/device")
        );
        let mailbox = format!("{}poll_interval = \"1s\"\n", keys("imap", &mailbox));
        let here = Installation::new(&mailbox, &keys("smtp", &delivery), &oauth2);
        Self { authority, dovecot, smtpd, here, told: Vec::new() }
    }

    /// A command with all there is to log.
    fn run(&mut self, words: &[&str]) -> Told {
        let mut command = self.here.command(words);
        command.env("AFTERSALESD_LOG", "trace");
        let told = run(command);
        self.told.push(format!("{}\n{}", told.out, told.err));
        told
    }

    fn daemon(&self) -> Daemon {
        let daemon = self.here.start_with(self.here.command(&["run"]).env("AFTERSALESD_LOG", "trace"));
        daemon.await_log("aftersalesd runs");
        daemon
    }

    /// Delivers a letter and waits for its reply.
    fn answers(&self, number: usize) {
        self.dovecot.deliver(&letter(number, 900));
        let to = format!("jo{number}@example.net");
        await_that(PATIENCE, &format!("a reply to {to}"), || {
            self.smtpd.kept().iter().any(|kept| kept.envelope["to"][0] == to)
        });
    }

    /// No token and no secret is in any of it.
    fn assert_secret(&self, what: &str, text: &str) {
        for secret in self.authority.secrets() {
            assert!(!text.contains(&secret), "{what} tells {secret}");
        }
        // As the mechanisms encode it: a piece of the middle, at each of the three ways it can lie.
        use base64::Engine;
        for shift in 0..3 {
            let encoded = base64::engine::general_purpose::STANDARD.encode(&"of~the-test"[shift..]);
            assert!(!text.contains(&encoded[..8]), "{what} tells a token");
        }
    }
}

#[test]
fn a_daemon_lives_by_tokens_through_idle_renewals_and_the_end_of_its_grant() {
    let console = free_port();
    let mut shop = Shop::start(console);
    // Before anybody has logged in.
    let early = shop.run(&["check"]);
    assert_eq!(early.code, Some(78), "{early:?}");
    assert!(early.err.contains("aftersalesd auth login"), "{early:?}");
    assert_eq!(shop.run(&["auth", "status"]).code, Some(1));
    // A person who takes their time, at an authority that is asked too often.
    let pending = |error: &str| (400, json!({"error": error, "error_description": "not yet"}));
    shop.authority.answer_next([pending("authorization_pending"), pending("slow_down")]);
    let login = shop.run(&["auth", "login"]);
    assert_eq!(login.code, Some(0), "{login:?}");
    assert!(login.out.contains("https://authority.example/device") && login.out.contains(USER_CODE), "{login:?}");
    assert!(login.out.contains("grant      holds") && login.out.contains("in 9 days"), "{login:?}");
    let asked = shop.authority.heard("/token");
    assert_eq!(asked.len(), 3);
    assert!(asked[2].at - asked[1].at >= Duration::from_secs(6), "slow_down adds five seconds to the one");
    assert_eq!(shop.run(&["check"]).code, Some(0));
    // The daemon. Its connection to the mailbox waits in IDLE while its token ends.
    let mut daemon = shop.daemon();
    shop.answers(1);
    shop.authority.forget_tokens();
    let before = shop.authority.heard("/token").len();
    shop.dovecot.doveadm(&["kick", USER]);
    shop.answers(2);
    assert_eq!(shop.authority.heard("/token").len(), before + 1, "one renewal serves mailbox and delivery");
    let status = shop.here.json(&["auth", "status", "--json"]).remove(0);
    assert_eq!((&status["holds"], &status["days_left"]), (&json!(true), &json!(9)));
    let metrics = || http::ask(&format!("127.0.0.1:{console}"), "GET", "/metrics", &[], b"").text();
    assert!(metrics().contains("aftersalesd_oauth2_grant_holds 1\n"));
    assert!(metrics().contains("aftersalesd_oauth2_grant_left_days 9\n"));
    // Somebody takes the grant away. It is told, and once: who is refused asks no more.
    shop.authority.revoke();
    shop.dovecot.doveadm(&["kick", USER]);
    daemon.await_log("the OAuth2 grant has ended");
    await_that(PATIENCE, "a status that tells", || metrics().contains("aftersalesd_oauth2_grant_holds 0\n"));
    let refused = shop.authority.heard("/token").len();
    let status = shop.run(&["auth", "status"]);
    assert_eq!(status.code, Some(1));
    assert!(status.out.contains("invalid_grant: AADSTS700082: the token … has expired."), "{status:?}");
    assert_eq!(shop.run(&["once"]).code, Some(75), "the store is the daemon's");
    assert!(shop.run(&["status"]).out.contains("gives no tokens"));
    await_that(PATIENCE, "a second try", || daemon.log().matches("grant has ended").count() > 1);
    assert_eq!(shop.authority.heard("/token").len(), refused, "nobody asks before somebody has logged in");
    assert_eq!(daemon.log().matches("ERROR the OAuth2 grant has ended").count(), 1, "one alarm: {}", daemon.log());
    // Somebody logs in again: the daemon goes on by itself.
    assert_eq!(shop.run(&["auth", "login"]).code, Some(0));
    shop.answers(3);
    // Nothing that is written anywhere else tells a token.
    let backup = shop.here.path("backup").display().to_string();
    assert_eq!(shop.run(&["backup", &backup]).code, Some(0));
    assert_eq!(daemon.terminate(), Some(0));
    shop.run(&["export"]);
    shop.assert_secret("the log of the daemon", &daemon.log());
    for told in &shop.told {
        shop.assert_secret("a command", told);
    }
    for folder in ["backup", "store/cases", "store/raw"] {
        files(&shop.here.path(folder), &mut |path, bytes| {
            shop.assert_secret(&path.display().to_string(), &String::from_utf8_lossy(&bytes));
        });
    }
    assert!(!shop.here.path("backup/oauth2").exists());
    files(&shop.here.path("store/oauth2"), &mut |path, _| {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    });
}

#[test]
fn what_could_not_be_written_outlives_a_reload() {
    let mut shop = Shop::start(free_port());
    assert_eq!(shop.run(&["auth", "login"]).code, Some(0));
    let mut daemon = shop.daemon();
    // Whoever connects anew has to renew: each refresh token serves once.
    let reloaded = |number: usize| {
        shop.authority.forget_tokens();
        shop.here.ok(&["reload"]);
        shop.answers(number);
    };
    // No new file can take the place of the old one.
    let in_the_way = shop.here.path("store/oauth2/grant.json.new");
    fs::create_dir(&in_the_way).unwrap();
    reloaded(1);
    daemon.await_log("new tokens are held in memory only");
    reloaded(2);
    assert_eq!(shop.here.json(&["status", "--json"])[0]["grant"]["holds"], true);
    fs::remove_dir(&in_the_way).unwrap();
    reloaded(3);
    assert_eq!(daemon.terminate(), Some(0));
    // The disk has it again.
    shop.authority.forget_tokens();
    assert_eq!(shop.run(&["check"]).code, Some(0));
}

fn files(folder: &std::path::Path, look: &mut dyn FnMut(&std::path::Path, Vec<u8>)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, look),
            false => look(&path, fs::read(&path).unwrap()),
        }
    }
}

#[test]
fn the_address_of_a_browser_is_pasted_into_the_terminal() {
    let authority = Authority::start(USER);
    let here = Installation::of_maildirs();
    let text = format!(
        "{}[oauth2]\nflow = \"code\"\nclient_id = {CLIENT:?}\nscopes = [\"mail\"]\ntoken_endpoint = {:?}\nauthorization_endpoint = {:?}\n",
        fs::read_to_string(here.path("config.toml")).unwrap(),
        authority.url("/token"),
        authority.url("/authorize")
    );
    here.write("config.toml", text);
    let mut command = program();
    command.args(["auth", "login", "--config"]).arg(here.path("config.toml"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut address = String::new();
    while !address.starts_with("http://") {
        address.clear();
        assert!(out.read_line(&mut address).unwrap() > 0, "the address is shown");
    }
    let path = address.trim().strip_prefix(&authority.url("")).unwrap().to_owned();
    let browser = http::ask(&format!("127.0.0.1:{}", authority.port), "GET", &path, &[], b"");
    writeln!(child.stdin.take().unwrap(), "{}", browser.header("location")).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("grant      holds"), "{rest}");
    here.ok(&["auth", "status"]);
}
