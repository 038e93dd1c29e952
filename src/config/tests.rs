mod example;
mod oauth2;
mod passwords;
mod policy;
mod problems;

use std::fs;

use super::*;
use crate::ports::{Login, Security};

/// A configuration that needs no other file.
const SMALL: &str = r#"
[mailbox]
kind = "maildir"
path = "inbox"

[delivery]
kind = "maildir"
path = "outbox"
from = "KOSPET After-Sales <after-sales@example.com>"

[store]
path = "store"

[catalogue]
file = "products.csv"
"#;

/// Two servers.
const SERVERS: &str = r#"
[mailbox]
kind = "imap"
host = "imap.example.com"
user = "me"
password = "first secret"

[delivery]
kind = "smtp"
host = "smtp.example.com"
from = "after-sales@example.com"

[store]
path = "store"

[catalogue]
file = "products.csv"
"#;

/// Loads `text` as `config.toml` of a folder of its own; problems come without the folder's name.
fn load_text(text: &str) -> Result<Config, Vec<String>> {
    load_beside(&[], text)
}

fn load_beside(files: &[(&str, &str)], text: &str) -> Result<Config, Vec<String>> {
    load_given(files, text, &|_| None)
}

fn load_given(
    files: &[(&str, &str)],
    text: &str,
    variable: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Config, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
    }
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    set_mode(&path, 0o600);
    let outside = format!("{}/", folder.path().display());
    let bare = |lines: &[String]| lines.iter().map(|l| l.replace(&outside, "")).collect::<Vec<_>>();
    match load_with(&path, variable, Connects::Yes) {
        Ok(mut config) => {
            config.warnings = bare(&config.warnings);
            Ok(config)
        }
        Err(error) => Err(bare(error.lines())),
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

/// The lines that `text` gets.
fn told(text: &str) -> Vec<String> {
    load_text(text).unwrap_err()
}

/// The lines that `SERVERS` gets with one line of it replaced.
fn changed(line: &str, by: &str) -> Vec<String> {
    assert!(SERVERS.contains(line), "{line}");
    told(&SERVERS.replacen(line, by, 1))
}

#[test]
fn a_small_file_gets_the_defaults() {
    let config = load_text(SMALL).unwrap();
    assert_eq!(config.mailbox.poll_interval, Duration::from_secs(60));
    assert!(config.mailbox.trusted_authserv.is_empty() && config.mailbox.form_senders.is_empty());
    assert_eq!(config.policy, Policy::default());
    let limits = Limits { replies_per_sender: 6, replies_per_case: 10, replies_per_hour: 600, mail_size: 36_700_160 };
    assert_eq!(config.limits, limits);
    assert_eq!(config.staff, Staff::default());
    assert!(!config.orders.hide_from_others);
    assert_eq!(config.rma, Rma { prefix: "KR".to_owned(), return_address: None, destinations: Vec::new() });
    assert_eq!(config.brand, "KOSPET After-Sales");
    assert!(config.orders.file.is_none() && config.templates.is_none() && config.console.is_none());
    assert_eq!(config.orders.number_patterns[0].as_str(), r"KS\d{4,8}");
    assert_eq!(config.delivery.from.address.as_str(), "after-sales@example.com");
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn servers_get_the_ports_of_their_security() {
    let config = load_text(SERVERS).unwrap();
    let Source::Imap { server, folder, idle, handled, start } = config.mailbox.source else { panic!() };
    assert_eq!((server.host.as_str(), server.port, server.security), ("imap.example.com", 993, Security::Tls));
    assert_eq!(server.login, Some(Login::by_password("me", "first secret")));
    assert_eq!(server.timeout, Duration::from_secs(60));
    assert_eq!((folder.as_str(), idle, handled, start), ("INBOX", true, Handled::Seen, Start::All));
    let Target::Smtp(server) = config.delivery.target else { panic!() };
    assert_eq!((server.port, server.login, server.ca_file), (465, None, None));

    let text = SERVERS.replace("imap.example.com\"", "imap.example.com\"\nsecurity = \"starttls\"");
    let text = text.replace("smtp.example.com\"", "127.0.0.1\"\nsecurity = \"none\"");
    let config = load_text(&text).unwrap();
    let (Source::Imap { server: imap, .. }, Target::Smtp(smtp)) = (config.mailbox.source, config.delivery.target)
    else {
        panic!()
    };
    assert_eq!((imap.port, imap.security), (143, Security::Starttls));
    assert_eq!((smtp.port, smtp.security), (25, Security::None));
}

#[test]
fn paths_are_relative_to_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, SMALL.replace("\"store\"", "\"/srv/store\"")).unwrap();
    let config = load(&path).unwrap();
    assert_eq!(config.mailbox.source, Source::Maildir(folder.path().join("inbox")));
    assert_eq!(config.delivery.target, Target::Maildir(folder.path().join("outbox")));
    assert_eq!(config.catalogue, folder.path().join("products.csv"));
    assert_eq!(config.store, Path::new("/srv/store"));
}

#[test]
fn what_is_no_toml_is_one_line_each() {
    assert_eq!(
        told("[mailbox]\nkind = \n"),
        ["config.toml: line 2: string values must be quoted, expected literal string"]
    );
    assert_eq!(told("[store]\npath = \"a\"\npath = \"b\"\n"), ["config.toml: line 3: duplicate key"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = load(Path::new("/nowhere/config.toml")).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/config.toml: cannot be read: No such file or directory (os error 2)");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, b"[store]\npath = \"\xff\"\n").unwrap();
    assert_eq!(load(&path).unwrap_err().to_string(), format!("{}: is not UTF-8 text", path.display()));
}

#[test]
fn no_secret_shows_up_in_debug_output_or_errors() {
    let config = load_text(SERVERS).unwrap();
    assert!(!format!("{config:?}").contains("first secret"));
    for (line, by) in [("kind = \"imap\"", "kind = 3"), ("user = \"me\"", "user = 3"), ("[store]", "[store")] {
        assert!(!changed(line, by).join("\n").contains("first secret"));
    }
}

#[test]
fn keys_without_effect_are_warnings() {
    let text = SMALL.replace("path = \"inbox\"", "path = \"inbox\"\nhost = \"imap.example.com\"");
    let config = load_text(&text).unwrap();
    assert_eq!(config.warnings, ["config.toml: line 5: [mailbox] host: has no effect with kind = \"maildir\""]);
}

#[test]
fn a_console_that_others_reach_needs_a_proxy_with_tls() {
    let open = format!("{SMALL}[console]\nlisten = \"0.0.0.0:8480\"\n");
    let told = told(&open).join("\n");
    assert!(told.contains("line 17: [console] listen: 0.0.0.0:8480 can be reached from other machines"), "{told}");
    let console = load_text(&format!("{open}behind_tls_proxy = true\n")).unwrap().console.unwrap();
    assert!(console.behind_tls_proxy && console.listen.port() == 8480);
}

/// The configuration of a dry run over a Maildir, as evaluation tools write it.
#[test]
fn a_dry_run_needs_no_more_than_folders_and_a_catalogue() {
    let text = r#"[mailbox]
kind = "maildir"
path = "/tmp/dry/inbox"
trusted_authserv = ["mx.example.com"]
form_senders = ["webform@example.com"]

[delivery]
kind = "maildir"
path = "/tmp/dry/outbox"
from = "KOSPET After-Sales <after-sales@example.com>"

[store]
path = "/tmp/dry/store"

[catalogue]
file = "/tmp/dry/products.csv"

[orders]
file = "/tmp/dry/orders.csv"
"#;
    let config = load_text(text).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    assert_eq!(config.mailbox.trusted_authserv, ["mx.example.com"]);
    assert_eq!(config.mailbox.form_senders[0].as_str(), "webform@example.com");
    assert_eq!(config.orders.file.as_deref(), Some(Path::new("/tmp/dry/orders.csv")));
}

/// The configuration of the benchmarks, where it lies beside the project.
#[test]
fn the_configuration_of_the_benchmarks_loads() {
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/bench/aftersalesd.toml.in");
    let Ok(template) = fs::read_to_string(template) else { return };
    let mut text = template;
    for (name, value) in [("PORT", "10143"), ("HOST", "127.0.0.1"), ("TLS", "none"), ("FROM", "support@shop.example")] {
        for server in ["IMAP", "SMTP", "MAIL"] {
            text = text.replace(&format!("@{server}_{name}@"), value);
        }
    }
    text = text.replace("@IMAP_CA@", "cert.pem").replace("@STORE_DIR@", "store").replace("@PRODUCTS@", "products.csv");
    let config = load_beside(&[("cert.pem", "")], &text).unwrap();
    assert_eq!(config.limits.replies_per_hour, 10_000_000);
    assert_eq!(config.warnings, [""; 0]);
}
