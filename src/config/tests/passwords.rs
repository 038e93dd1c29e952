//! Where passwords come from.

use super::*;
use crate::ports::Credential;

const WITH_FILE: &str = "user = \"me\"\npassword_file = \"secrets/imap\"";

fn with_password_file() -> String {
    SERVERS.replace("user = \"me\"\npassword = \"first secret\"", WITH_FILE)
}

fn imap_password(config: Config) -> String {
    match config.mailbox.source {
        Source::Imap { server, .. } => password(server),
        Source::Maildir(_) => panic!(),
    }
}

fn password(server: crate::ports::Server) -> String {
    match server.login.unwrap().credential {
        Credential::Password(password) => password.reveal().to_owned(),
        Credential::Tokens(_) => panic!(),
    }
}

#[test]
fn a_password_may_lie_in_a_file_of_its_own() {
    for content in ["pa$$ word", "pa$$ word\n", "pa$$ word\r\n"] {
        let config = load_beside(&[("secrets/imap", content)], &with_password_file()).unwrap();
        assert_eq!(config.warnings, [""; 0]);
        assert_eq!(imap_password(config), "pa$$ word");
    }
    let refused = |content: &str| load_beside(&[("secrets/imap", content)], &with_password_file()).unwrap_err();
    assert_eq!(refused("\n"), ["config.toml: line 6: [mailbox] password_file: secrets/imap is empty"]);
    assert_eq!(
        refused("one\ntwo\n"),
        ["config.toml: line 6: [mailbox] password_file: secrets/imap must hold one line, the password"]
    );
    assert_eq!(
        refused(&"x".repeat(20_000)),
        ["config.toml: line 6: [mailbox] password_file: secrets/imap is too long for a password"]
    );
    assert_eq!(
        told(&with_password_file()),
        ["config.toml: line 6: [mailbox] password_file: \
          secrets/imap cannot be read: No such file or directory (os error 2)"]
    );
    assert_eq!(
        load_beside(
            &[("secrets/imap", "x")],
            &with_password_file().replace(WITH_FILE, &format!("{WITH_FILE}\npassword = \"y\""))
        )
        .unwrap_err(),
        ["config.toml: line 7: [mailbox] password: is given as well as password_file; keep one"]
    );
}

#[cfg(unix)]
#[test]
fn a_password_file_that_everybody_can_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let (path, secret) = (folder.path().join("config.toml"), folder.path().join("imap"));
    fs::write(&path, with_password_file().replace("secrets/imap", "imap")).unwrap();
    fs::write(&secret, "x").unwrap();
    set_mode(&secret, 0o644);
    let line = "line 6: [mailbox] password_file";
    let warning = format!(
        "{}: {line}: {} can be read by every user of this machine; chmod 600",
        path.display(),
        secret.display()
    );
    assert_eq!(load(&path).unwrap().warnings, [warning]);
    set_mode(&secret, 0o640);
    assert_eq!(load(&path).unwrap().warnings, [""; 0]);
}

#[cfg(unix)]
#[test]
fn a_password_in_a_file_that_everybody_can_read_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, SERVERS).unwrap();
    for (mode, warned) in [(0o644, 1), (0o602, 1), (0o640, 0), (0o600, 0)] {
        set_mode(&path, mode);
        let warnings = load(&path).unwrap().warnings;
        assert_eq!(warnings.len(), warned, "{mode:o}: {warnings:?}");
        assert!(
            warnings.iter().all(|w| w.contains("[mailbox] password: ") && !w.contains("first secret")),
            "{warnings:?}"
        );
    }
}

#[test]
fn clear_text_stays_on_this_machine() {
    let clear = |host: &str| {
        let text = SERVERS.replace("host = \"imap.example.com\"", &format!("host = {host:?}\nsecurity = \"none\""));
        load_text(&text).map(|_| ())
    };
    for host in ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"] {
        assert_eq!(clear(host), Ok(()), "{host}");
    }
    for host in [
        "192.0.2.7",
        "0.0.0.0",
        "::",
        "[::]",
        "fe80::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:192.0.2.7",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "localhost.",
        "localhost.example.com",
        "localhost.localdomain",
        "127.0.0.1.example.com",
        "ip6-localhost",
    ] {
        assert!(clear(host).is_err_and(|told| told[0].contains("loopback")), "{host}");
    }
}

#[test]
fn the_variable_goes_before_the_file() {
    let variable = |name: &str| (name == "AFTERSALESD_MAILBOX_PASSWORD").then(|| OsString::from("from outside"));
    let bare = SERVERS.replace("password = \"first secret\"\n", "");
    for text in [SERVERS, &bare, &with_password_file()] {
        assert_eq!(imap_password(load_given(&[], text, &variable).unwrap()), "from outside");
    }
    let empty = |_: &str| Some(OsString::new());
    assert_eq!(imap_password(load_given(&[], SERVERS, &empty).unwrap()), "first secret");
    let both = |name: &str| (name == "AFTERSALESD_DELIVERY_PASSWORD").then(|| OsString::from("for delivery"));
    let text = SERVERS.replace("from = ", "user = \"me\"\nfrom = ");
    let Target::Smtp(server) = load_given(&[], &text, &both).unwrap().delivery.target else { panic!() };
    assert_eq!(password(server), "for delivery");
}

#[test]
fn what_systemd_gives_the_service_goes_before_the_file() {
    let given = tempfile::tempdir().unwrap();
    let folder = given.path().as_os_str().to_owned();
    let variable = |name: &str| (name == "CREDENTIALS_DIRECTORY").then(|| folder.clone());
    let password = |files: &[(&str, &str)]| imap_password(load_given(files, &with_password_file(), &variable).unwrap());
    assert_eq!(password(&[("secrets/imap", "of the file")]), "of the file", "systemd gives nothing of that name");
    fs::write(given.path().join("secrets_imap"), "of systemd\n").unwrap();
    assert_eq!(password(&[("secrets/imap", "of the file")]), "of systemd");
    assert_eq!(password(&[]), "of systemd", "the file need not be there for the service");
}

#[test]
fn who_speaks_with_no_server_needs_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.toml");
    let webhook = "[[webhook]]\nname = \"shop\"\nurl = \"https://192.0.2.7/\"\nevents = [\"opened\"]\nsecret_file = \"secrets/shop\"\n";
    fs::write(&file, with_password_file() + webhook).unwrap();
    let complaints = load(&file).unwrap_err().to_string();
    assert!(["secrets/imap", "secrets/shop"].iter().all(|name| complaints.contains(&format!("{name} cannot be read"))));
    let config = load_offline(&file).unwrap();
    // What staff do is told to other programs too, by who has the secret.
    assert_eq!(config.webhooks[0].subscription.name, "shop");
    assert_eq!(imap_password(config), "");
}

#[test]
fn what_is_wrong_with_a_variable_names_it_and_nothing_of_the_secret() {
    let told = |text: &str, variable: &str, value: OsString| {
        let given = |name: &str| (name == variable).then(|| value.clone());
        load_given(&[], text, &given).unwrap_err()
    };
    use std::os::unix::ffi::OsStringExt as _;
    let password = told(SERVERS, "AFTERSALESD_MAILBOX_PASSWORD", OsString::from_vec(b"s\xff".to_vec()));
    let line = "config.toml: line 6: [mailbox] password: the variable AFTERSALESD_MAILBOX_PASSWORD: is not UTF-8 text";
    assert_eq!(password, [line]);
    let orders = format!("{SMALL}[orders.http]\nurl = \"https://192.0.2.7/\"\n");
    let token = told(&orders, "AFTERSALESD_ORDERS_TOKEN", "open sesame".into());
    let what = "token: the variable AFTERSALESD_ORDERS_TOKEN: holds what no token does";
    assert!(token.len() == 1 && token[0].contains(what) && !token[0].contains("sesame"), "{token:?}");
    let webhook = "[[webhook]]\nname = \"shop\"\nurl = \"https://192.0.2.7/\"\nevents = [\"opened\"]\n";
    let key = told(&format!("{SMALL}{webhook}"), "AFTERSALESD_WEBHOOK_SECRET_SHOP", "sesame".into());
    let what = "secret: the variable AFTERSALESD_WEBHOOK_SECRET_SHOP: expected whsec_";
    assert!(key.len() == 1 && key[0].contains(what) && !key[0].contains("sesame"), "{key:?}");
}
