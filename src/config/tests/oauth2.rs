//! `[oauth2]`, and who logs in by it.

use super::*;
use crate::http::Url;
use crate::oauth2::{Flow, Settings};
use crate::ports::{Credential, Secret};

const MICROSOFT: &str = "[oauth2]\nprovider = \"microsoft365\"\ntenant = \"example.com\"\nclient_id = \"id\"\n";
const GOOGLE: &str = "[oauth2]\nprovider = \"google\"\nclient_id = \"id\"\nclient_secret = \"hush\"\n";

/// Two servers that are logged in at by tokens.
fn servers(oauth2: &str) -> String {
    let by_token = SERVERS.replace("password = \"first secret\"", "auth = \"oauth2\"");
    by_token.replace("from = ", "user = \"me\"\nauth = \"oauth2\"\nfrom = ") + oauth2
}

fn settings(oauth2: &str) -> Settings {
    load_text(&servers(oauth2)).unwrap().oauth2.unwrap().settings().clone()
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn a_provider_brings_endpoints_and_scopes() {
    const MICROSOFT_TOKEN: &str = "https://login.microsoftonline.com/example.com/oauth2/v2.0/token";
    let device = settings(MICROSOFT);
    let endpoint = url("https://login.microsoftonline.com/example.com/oauth2/v2.0/devicecode");
    assert_eq!((device.flow, device.token_endpoint), (Flow::Device { endpoint }, url(MICROSOFT_TOKEN)));
    let outlook = ["https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/SMTP.Send"];
    assert_eq!(device.scopes, [outlook[0], outlook[1], "offline_access"]);
    assert_eq!((device.client_id.as_str(), device.client_secret), ("id", None));
    assert!(device.folder.ends_with("oauth2"), "{}", device.folder.display());
    let program = settings(&format!("{MICROSOFT}flow = \"client_credentials\"\nclient_secret = \"hush\"\n"));
    assert_eq!((&program.flow, &program.token_endpoint), (&Flow::Client, &url(MICROSOFT_TOKEN)));
    assert_eq!(program.scopes, ["https://outlook.office365.com/.default"]);
    let google = settings(GOOGLE);
    let endpoint = url("https://accounts.google.com/o/oauth2/v2/auth");
    assert_eq!(google.flow, Flow::Code { endpoint, redirect: "http://127.0.0.1:8481".to_owned() });
    assert_eq!(google.token_endpoint, url("https://oauth2.googleapis.com/token"));
    assert_eq!(google.scopes, ["https://mail.google.com/"]);
    for settings in [program, google] {
        assert_eq!(settings.client_secret, Some(Secret::new("hush")));
        assert!(!format!("{settings:?}").contains("hush"), "a secret is told");
    }
    // What is given goes before what is known.
    let own = settings(&format!("{MICROSOFT}scopes = [\"mine\"]\ntoken_endpoint = \"https://id.example.com/token\"\n"));
    assert_eq!((own.scopes, own.token_endpoint), (vec!["mine".to_owned()], url("https://id.example.com/token")));
}

#[test]
fn both_servers_share_one_grant_and_need_no_password() {
    let config = load_text(&servers(MICROSOFT)).unwrap();
    let (Source::Imap { server: imap, .. }, Target::Smtp(smtp)) = (&config.mailbox.source, &config.delivery.target)
    else {
        panic!()
    };
    for server in [imap, smtp] {
        let login = server.login.as_ref().unwrap();
        assert!(matches!(login.credential, Credential::Tokens(_)) && login.user == "me");
    }
    assert!(load_text(SERVERS).unwrap().oauth2.is_none());
    assert!(load_text(&format!("{SERVERS}[oauth2]\n")).unwrap().oauth2.is_none(), "an empty table is none");
}

/// What the guide shows is enough.
#[test]
fn the_blocks_of_the_guide_load() {
    let guide = include_str!("../../guide/oauth2.md");
    let blocks: Vec<&str> = guide.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    let rest = "[store]\npath = \"store\"\n[catalogue]\nfile = \"products.csv\"\n";
    for block in blocks {
        let text = if block.starts_with("[oauth2]") { servers(block) } else { format!("{block}{rest}") };
        let config = load_beside(&[("secrets/oauth2", "hush")], &text).unwrap();
        assert!(config.oauth2.is_some() && config.warnings.is_empty(), "{block}");
    }
    assert!(guide.lines().all(|line| line.chars().count() <= 100) && guide.lines().count() <= 120);
}

#[test]
fn each_mistake_is_told() {
    let line = |oauth2: &str, what: &str| {
        let told = load_text(&servers(oauth2)).unwrap_err();
        assert!(told.iter().any(|line| line.contains(what)), "{what} is not in {told:#?}");
        assert!(told.iter().all(|line| !line.contains("hush")), "a secret is told: {told:#?}");
    };
    line("", "[mailbox] auth: \"oauth2\" needs the table [oauth2]");
    line("", "[delivery] auth: \"oauth2\" needs the table [oauth2]");
    line("[oauth2]\nprovider = \"google\"\n", "[oauth2] client_id: is missing");
    line("[oauth2]\nclient_id = \"x\"\n", "[oauth2] token_endpoint: is missing (or a provider, which has one)");
    line("[oauth2]\nclient_id = \"x\"\n", "[oauth2] device_endpoint: is missing");
    line("[oauth2]\nclient_id = \"x\"\n", "[oauth2] scopes: is missing");
    line(&MICROSOFT.replace("tenant = \"example.com\"\n", ""), "[oauth2] tenant: is missing");
    line(&MICROSOFT.replace("example.com", "a/b"), "[oauth2] tenant: expected a directory id");
    line(&format!("{GOOGLE}flow = \"device\"\n"), "Google gives no access to mail by device codes: take \"code\"");
    line(&format!("{GOOGLE}flow = \"client_credentials\"\n"), "Google has no client credentials");
    line(
        &format!("{MICROSOFT}flow = \"client_credentials\"\n"),
        "client_secret_file: is missing (or client_secret, or the variable AFTERSALESD_OAUTH2_CLIENT_SECRET)",
    );
    line(&format!("{MICROSOFT}token_endpoint = \"http://id.example.com/\"\n"), "for loopback addresses only");
    line(&format!("{GOOGLE}client_secret_file = \"x\"\n"), "client_secret: is given as well as client_secret_file");
    line(&format!("{MICROSOFT}client_secret_until = \"soon\"\n"), "[oauth2] client_secret_until: ");
    line(&format!("{MICROSOFT}[limits]\nclient_idd = 1\n"), "[limits] client_idd: unknown key");
    let both = servers(MICROSOFT).replacen("auth = \"oauth2\"", "auth = \"oauth2\"\npassword = \"hush\"", 1);
    let told = load_text(&both).unwrap_err();
    assert_eq!(told, ["config.toml: line 7: [mailbox] password: has no effect with auth = \"oauth2\": remove it"]);
}

#[test]
fn the_client_secret_comes_from_a_variable_a_file_or_the_configuration() {
    let text = servers(&format!("{MICROSOFT}flow = \"client_credentials\"\nclient_secret_file = \"secrets/oauth2\"\n"));
    let secret = |config: Config| config.oauth2.unwrap().settings().client_secret.clone().unwrap();
    let file = [("secrets/oauth2", "of the file\n")];
    assert_eq!(secret(load_beside(&file, &text).unwrap()), Secret::new("of the file"));
    assert!(load_text(&text).unwrap_err()[0].contains("client_secret_file: secrets/oauth2 cannot be read"));
    let variable = |name: &str| (name == "AFTERSALESD_OAUTH2_CLIENT_SECRET").then(|| OsString::from("of the variable"));
    assert_eq!(secret(load_given(&file, &text, &variable).unwrap()), Secret::new("of the variable"));
}
