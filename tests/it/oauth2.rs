//! Logging in by OAuth2: real token requests to an authorization server of the test, Dovecot with its own OAuth2 passdb,
//! aiosmtpd that asks about each token.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use aftersalesd::domain::ids::Address;
use aftersalesd::domain::letter::Person;
use aftersalesd::http::Url;
use aftersalesd::imap::{self, ImapMailbox};
use aftersalesd::oauth2::{Flow, Grant, Settings, Step};
use aftersalesd::ports::{
    Credential, FaultKind, Login, Mailbox, Mailer, Secret, Security, Server, TokenSource, Tokens,
};
use aftersalesd::smtp::{self, SmtpMailer};
use serde_json::json;

use crate::support::authority::{Authority, CLIENT, CLIENT_SECRET, USER_CODE};
use crate::support::dovecot::{Dovecot, USER};
use crate::support::program::{Daemon, Installation, Told, await_that, keys, program, run};
use crate::support::smtpd::Smtpd;
use crate::support::{http, is_root, letter};

const PATIENCE: Duration = Duration::from_secs(60);

/// A grant in a folder of its own.
struct Granted {
    grant: Grant,
    dir: tempfile::TempDir,
}

fn settings(authority: &Authority, flow: Flow, dir: &tempfile::TempDir) -> Settings {
    Settings {
        flow,
        client_id: CLIENT.into(),
        client_secret: Some(Secret::new(CLIENT_SECRET)),
        secret_until: None,
        scopes: vec!["mail".into(), "offline_access".into()],
        token_endpoint: Url::parse(&authority.url("/token")).unwrap(),
        folder: dir.path().join("oauth2"),
        ca_file: None,
        timeout: Duration::from_secs(10),
    }
}

impl Granted {
    fn of(authority: &Authority, flow: Flow) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { grant: Grant::new(settings(authority, flow, &dir)), dir }
    }

    fn by_client(authority: &Authority) -> Self {
        Self::of(authority, Flow::Client)
    }

    fn on(&self, server: Server) -> Server {
        let credential = Credential::Tokens(Tokens::new(Arc::new(self.grant.clone())));
        Server { login: Some(Login { user: USER.into(), credential }), ..server }
    }
}

// --- the mail servers -----------------------------------------------------------------------------------------------

#[tokio::test]
async fn dovecot_takes_tokens_by_the_mechanism_that_it_offers() {
    let authority = Authority::start(USER);
    let granted = Granted::by_client(&authority);
    for mechanisms in ["xoauth2", "oauthbearer", "xoauth2 oauthbearer"] {
        let dovecot = Dovecot::start_with(&authority.dovecot(mechanisms));
        dovecot.deliver(&letter(1, 900));
        // With STARTTLS nothing that was said before counts: it has to be asked for again.
        for security in [Security::Tls, Security::Starttls, Security::None] {
            let server = granted.on(dovecot.server(security));
            let report = imap::check(&imap::Settings::new(server, "INBOX")).await.unwrap();
            assert_eq!(report.letters, 1, "{mechanisms} {security:?}");
        }
    }
    assert_eq!(authority.heard("/token").len(), 1, "one token for all of them");
    let neither = Dovecot::start();
    let refused =
        imap::check(&imap::Settings::new(granted.on(neither.server(Security::Tls)), "INBOX")).await.unwrap_err();
    assert_eq!(refused.kind, FaultKind::Configuration);
    assert!(refused.what.contains("neither OAUTHBEARER nor XOAUTH2"), "{refused}");
}

#[tokio::test]
async fn a_token_that_imap_refuses_is_renewed_once() {
    let authority = Authority::start(USER);
    for mechanisms in ["xoauth2", "oauthbearer"] {
        let granted = Granted::by_client(&authority);
        let dovecot = Dovecot::start_with(&authority.dovecot(mechanisms));
        dovecot.deliver(&letter(1, 900));
        let settings = imap::Settings::new(granted.on(dovecot.server(Security::Tls)), "INBOX");
        granted.grant.try_out().await.unwrap();
        authority.forget_tokens();
        let before = authority.heard("/token").len();
        let mut mailbox = ImapMailbox::new(settings.clone());
        assert_eq!(mailbox.fetch(None).await.unwrap().len(), 1, "{mechanisms}");
        assert_eq!(authority.heard("/token").len(), before + 1, "{mechanisms}");
        authority.forget_tokens();
        authority.useless(true);
        let refused = imap::check(&settings).await.unwrap_err();
        authority.useless(false);
        assert_eq!(refused.kind, FaultKind::Login, "{mechanisms}: {refused}");
        assert_eq!(authority.heard("/token").len(), before + 2, "{mechanisms}: once, not for ever");
    }
}

#[tokio::test]
async fn a_connection_is_made_anew_before_its_token_ends() {
    let authority = Authority::start(USER);
    authority.life(4);
    let granted = Granted::by_client(&authority);
    let dovecot = Dovecot::start_with(&authority.dovecot("xoauth2"));
    let server = granted.on(dovecot.server(Security::Tls));
    let settings = imap::Settings { poll_interval: Duration::from_millis(300), ..imap::Settings::new(server, "INBOX") };
    let mut mailbox = ImapMailbox::new(settings);
    let (mut fetched, mut after) = (0, None);
    let waiting = async {
        while authority.heard("/token").len() < 3 {
            dovecot.deliver(&letter(fetched, 900));
            // Nothing of it is a fault.
            let letters = mailbox.fetch(after.as_ref()).await.unwrap();
            fetched += letters.len();
            after = letters.last().map(|letter| letter.position.clone()).or(after);
            mailbox.wait().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    assert!(fetched > 2);
    let shown: std::collections::BTreeSet<String> =
        authority.heard("/introspect").iter().map(|asked| asked.fields["token"].clone()).collect();
    assert!(shown.len() >= 2, "{shown:?}");
}

#[tokio::test]
async fn smtp_takes_tokens_by_the_mechanism_that_it_offers_and_one_that_it_refuses_is_renewed_once() {
    let authority = Authority::start(USER);
    for mechanisms in ["XOAUTH2", "OAUTHBEARER", "XOAUTH2,OAUTHBEARER"] {
        let granted = Granted::by_client(&authority);
        let introspect = authority.url("/introspect");
        let smtpd = Smtpd::start(Security::Tls, &["--introspect", &introspect, "--mechanisms", mechanisms]);
        let from = Person { name: None, address: Address::new("claims@example.com").unwrap() };
        let server = granted.on(smtpd.server(None));
        let mailer = SmtpMailer::new(smtp::Settings { server, from, connections: 2 }).unwrap();
        mailer.check().await.unwrap();
        authority.forget_tokens();
        let before = authority.heard("/token").len();
        mailer.check().await.unwrap();
        assert_eq!(authority.heard("/token").len(), before + 1, "{mechanisms}");
        authority.forget_tokens();
        authority.useless(true);
        let refused = mailer.check().await.unwrap_err();
        authority.useless(false);
        assert_eq!(refused.kind, FaultKind::Login, "{mechanisms}: {refused}");
        assert!(refused.what.contains("535"), "{refused}");
        assert_eq!(authority.heard("/token").len(), before + 2, "{mechanisms}: once, not for ever");
    }
}

// --- the grant ------------------------------------------------------------------------------------------------------

#[tokio::test]
async fn however_many_ask_in_however_many_processes_a_token_is_renewed_once() {
    let authority = Authority::start(USER);
    let first = Granted::by_client(&authority);
    // As another process has it: nothing in common but the folder.
    let second = Grant::new(settings(&authority, Flow::Client, &first.dir));
    let asking: Vec<_> = (0..12)
        .map(|number| {
            let grant = if number % 2 == 0 { first.grant.clone() } else { second.clone() };
            tokio::spawn(async move { grant.token(None).await.unwrap().reveal().to_owned() })
        })
        .collect();
    let mut tokens = Vec::new();
    for asked in asking {
        tokens.push(asked.await.unwrap());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(authority.heard("/token").len(), 1);
    let asked = &authority.heard("/token")[0].fields;
    assert_eq!((asked["grant_type"].as_str(), asked["scope"].as_str()), ("client_credentials", "mail offline_access"));
}

#[tokio::test]
async fn whoever_gives_up_waiting_loses_no_token() {
    let authority = Authority::start(USER);
    let granted = Granted::by_client(&authority);
    // The question is on its way when nobody wants the answer any more.
    let given_up = tokio::time::timeout(Duration::ZERO, granted.grant.token(None)).await;
    assert!(given_up.is_err());
    await_that(PATIENCE, "the token on disk", || granted.grant.state().token_until.is_some());
    granted.grant.token(None).await.unwrap();
    assert_eq!(authority.heard("/token").len(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_end_and_serves_as_long_as_it_holds() {
    let authority = Authority::start(USER);
    let granted = Granted::by_client(&authority);
    // Of 280 seconds a quarter is left: that is soon enough to renew it, and life enough to go on.
    authority.life(280);
    let first = granted.grant.token(None).await.unwrap();
    assert_eq!(granted.grant.token(None).await.unwrap(), first, "no need to renew it yet");
    age(&granted.dir, 220);
    let later = Grant::new(settings(&authority, Flow::Client, &granted.dir));
    for (status, body) in
        [(503, "busy".to_owned()), (200, "{}".to_owned()), (200, "x".repeat(300 << 10)), (302, String::new())]
    {
        authority.answer_next_with(status, body);
        let again = Grant::new(settings(&authority, Flow::Client, &granted.dir));
        assert_eq!(again.token(None).await.unwrap(), first, "the old one serves on");
        let why = again.state().why.unwrap();
        assert!(why.starts_with(&authority.url("/token")), "{why}");
    }
    assert_ne!(later.token(None).await.unwrap(), first, "renewed before its end");
    assert_eq!(later.state().why, None);
    age(&granted.dir, 1000);
    let ended = Grant::new(settings(&authority, Flow::Client, &granted.dir));
    authority.answer_next([(503, json!({}))]);
    let fault = ended.token(None).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Temporary, "{fault}");
    let heard = authority.heard("/token").len();
    assert_eq!(ended.token(None).await.unwrap_err(), fault, "not asked again at once");
    assert_eq!(authority.heard("/token").len(), heard);
}

/// Makes the kept access token so many seconds older.
fn age(dir: &tempfile::TempDir, seconds: i64) {
    let file = dir.path().join("oauth2/grant.json");
    let mut kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for key in ["from", "until"] {
        let at: jiff::Timestamp = kept["access"][key].as_str().unwrap().parse().unwrap();
        kept["access"][key] = json!(at - jiff::SignedDuration::from_secs(seconds));
    }
    fs::write(&file, kept.to_string()).unwrap();
}

#[tokio::test]
async fn the_code_of_a_browser_is_exchanged_by_who_asked_for_it() {
    let authority = Authority::start(USER);
    let flow = Flow::Code {
        endpoint: Url::parse(&authority.url("/authorize")).unwrap(),
        redirect: "http://127.0.0.1:8481".to_owned(),
    };
    let granted = Granted::of(&authority, flow);
    let early = granted.grant.token(None).await.unwrap_err();
    assert!(early.what.contains("aftersalesd auth login"), "{early}");
    assert!(granted.grant.state().needs_login);
    let Step::Open(visit) = granted.grant.begin().await.unwrap() else { panic!() };
    let path = visit.address.strip_prefix(&authority.url("")).unwrap().to_owned();
    let browser = http::ask(&format!("127.0.0.1:{}", authority.port), "GET", &path, &[], b"");
    let led_to = browser.header("location").to_owned();
    assert!(led_to.starts_with("http://127.0.0.1:8481/?"), "{led_to}");
    // An address of another login, and a code that was already exchanged, are of no use.
    let Step::Open(other) = granted.grant.begin().await.unwrap() else { panic!() };
    let refused = granted.grant.visited(other, &led_to).await.unwrap_err();
    assert!(refused.what.contains("another login"), "{refused}");
    granted.grant.visited(visit, &format!("{led_to}\n")).await.unwrap();
    granted.grant.try_out().await.unwrap();
    let state = granted.grant.state();
    assert_eq!((state.why, state.needs_login), (None, false));
    let folder = granted.dir.path().join("oauth2");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(folder.join("grant.json")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_told_and_what_a_secret_says_is_not() {
    let authority = Authority::start(USER);
    let granted = Granted::by_client(&authority);
    granted.grant.try_out().await.unwrap();
    let other = Settings {
        client_secret: Some(Secret::new("wrong-one-of-the-test")),
        ..settings(&authority, Flow::Client, &granted.dir)
    };
    age(&granted.dir, 4000);
    let refused = Grant::new(other).token(None).await.unwrap_err();
    assert_eq!(refused.kind, FaultKind::Login);
    assert!(refused.what.contains("invalid_client: wrong secret …"), "{refused}");
    let by_other = Settings {
        client_id: "somebody-else".into(),
        flow: Flow::Device { endpoint: Url::parse(&authority.url("/device")).unwrap() },
        ..settings(&authority, Flow::Client, &granted.dir)
    };
    assert!(Grant::new(by_other).state().needs_login, "another client's tokens are of no use");
    let file = granted.dir.path().join("oauth2/grant.json");
    fs::write(&file, "{\"client_id\": \"secret of a file\"").unwrap();
    let damaged = Grant::new(settings(&authority, Flow::Client, &granted.dir));
    let told = damaged.token(None).await.unwrap_err();
    assert_eq!(told.kind, FaultKind::Configuration);
    assert!(told.what.contains("grant.json: damaged in line 1") && !told.what.contains("secret of a file"), "{told}");
    assert_eq!(damaged.state().why, Some(told.what));
}

#[tokio::test]
async fn what_root_is_given_the_owner_of_the_store_can_read_and_a_lock_is_not_waited_for_for_ever() {
    let authority = Authority::start(USER);
    let granted = Granted::by_client(&authority);
    if is_root() {
        std::os::unix::fs::chown(granted.dir.path(), Some(8), Some(8)).unwrap();
    }
    let owner = fs::metadata(granted.dir.path()).unwrap().uid();
    granted.grant.try_out().await.unwrap();
    for path in ["oauth2", "oauth2/grant.json", "oauth2/lock"] {
        assert_eq!(fs::metadata(granted.dir.path().join(path)).unwrap().uid(), owner, "{path}");
    }
    let lock = fs::File::open(granted.dir.path().join("oauth2/lock")).unwrap();
    lock.lock().unwrap();
    let hasty = Settings { timeout: Duration::from_millis(50), ..settings(&authority, Flow::Client, &granted.dir) };
    let fault = Grant::new(hasty).token(None).await.unwrap_err();
    assert!(fault.kind == FaultKind::Temporary && fault.what.contains("another process"), "{fault}");
}

// --- the whole program ----------------------------------------------------------------------------------------------

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
    let console = crate::support::free_port();
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
