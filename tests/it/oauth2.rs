//! Logging in by OAuth2: real token requests to an authorization server of the test, Dovecot with its own OAuth2 passdb,
//! aiosmtpd that asks about each token.

mod daemon;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
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

use crate::support::authority::{Authority, CLIENT, CLIENT_SECRET};
use crate::support::dovecot::{Dovecot, USER};
use crate::support::program::await_that;
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
        granted.grant.token(None).await.unwrap();
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
        endpoint: Url::parse(&authority.url("/authorize?brand=watches")).unwrap(),
        redirect: "http://127.0.0.1:8481".to_owned(),
    };
    let granted = Granted::of(&authority, flow);
    let early = granted.grant.token(None).await.unwrap_err();
    assert!(early.what.contains("aftersalesd auth login"), "{early}");
    assert!(granted.grant.state().needs_login);
    let Step::Open(visit) = granted.grant.begin().await.unwrap() else { panic!() };
    let path = visit.address.strip_prefix(&authority.url("")).unwrap().to_owned();
    let browser = http::ask(&format!("127.0.0.1:{}", authority.port), "GET", &path, &[], b"");
    assert_eq!(authority.heard("/authorize")[0].fields["brand"], "watches", "its own query is kept");
    let led_to = browser.header("location").to_owned();
    assert!(led_to.starts_with("http://127.0.0.1:8481/?"), "{led_to}");
    // An address of another login, and a code that was already exchanged, are of no use.
    let Step::Open(other) = granted.grant.begin().await.unwrap() else { panic!() };
    let refused = granted.grant.visited(other, &led_to).await.unwrap_err();
    assert!(refused.what.contains("another login"), "{refused}");
    granted.grant.visited(visit, &format!("{led_to}\n")).await.unwrap();
    granted.grant.token(None).await.unwrap();
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
    granted.grant.token(None).await.unwrap();
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
    granted.grant.token(None).await.unwrap();
    for path in ["oauth2", "oauth2/grant.json", "oauth2/lock"] {
        assert_eq!(fs::metadata(granted.dir.path().join(path)).unwrap().uid(), owner, "{path}");
    }
    let lock = fs::File::open(granted.dir.path().join("oauth2/lock")).unwrap();
    lock.lock().unwrap();
    let hasty = Settings { timeout: Duration::from_millis(50), ..settings(&authority, Flow::Client, &granted.dir) };
    let fault = Grant::new(hasty).token(None).await.unwrap_err();
    assert!(fault.kind == FaultKind::Temporary && fault.what.contains("another process"), "{fault}");
}
