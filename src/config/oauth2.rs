//! `[oauth2]`: who gives the access tokens that `[mailbox]` and `[delivery]` log in by.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::secrets::{Named, OAUTH2_CLIENT_SECRET};
use super::server::{elsewhere, resolved};
use super::table::Table;
use super::{Surroundings, values};
use crate::http::Url;
use crate::oauth2::{Flow, Grant, Settings};

const TIMEOUT: Duration = Duration::from_secs(30);
/// Where browsers are led to; nothing listens there.
const REDIRECT: &str = "http://127.0.0.1:8481";
/// Below the store's folder.
const FOLDER: &str = "oauth2";

const KEYS: [&str; 14] = [
    "provider",
    "tenant",
    "flow",
    "client_id",
    "client_secret_file",
    "client_secret",
    "client_secret_until",
    "scopes",
    "token_endpoint",
    "device_endpoint",
    "authorization_endpoint",
    "redirect_uri",
    "ca_file",
    "timeout",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Provider {
    Microsoft365,
    Google,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Device,
    Code,
    Client,
}

/// What is known of a provider: its endpoints and scopes.
#[derive(Default)]
struct Preset {
    token: Option<String>,
    device: Option<String>,
    authorization: Option<String>,
    scopes: Vec<String>,
}

/// Reads the table; `None` if it is empty or wrong (then noted).
pub(super) fn oauth2(t: &mut Table<'_>, around: &Surroundings<'_>, store: Option<&Path>) -> Option<Grant> {
    let providers = [("microsoft365", Provider::Microsoft365), ("google", Provider::Google)];
    let provider = t.optional("provider", |v| values::one_of(v, &providers));
    let tenant = t.optional("tenant", |v| {
        let tenant = values::text(v)?;
        let sound = !tenant.is_empty() && tenant.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        if sound { Ok(tenant) } else { Err(format!("expected a directory id or a domain, found \"{tenant}\"")) }
    });
    let ways = [("device", Way::Device), ("code", Way::Code), ("client_credentials", Way::Client)];
    let usual = if provider == Some(Provider::Google) { Way::Code } else { Way::Device };
    let way = t.or("flow", usual, |v| values::one_of(v, &ways));
    let client_id = t.optional("client_id", values::text);
    let secret = Named::read(t, around, ["client_secret", "client_secret_file"]);
    let secret_until = t.optional("client_secret_until", values::day);
    let scopes = t.optional("scopes", |v| values::list(v, values::text));
    let [token, device, authorization] = ["token_endpoint", "device_endpoint", "authorization_endpoint"]
        .map(|key| t.optional(key, |v| endpoint(&values::text(v)?)));
    let redirect = t.or("redirect_uri", REDIRECT.to_owned(), |v| {
        Url::parse(&values::text(v)?).map(|_| ())?;
        values::text(v)
    });
    let ca_file = t.optional("ca_file", |v| values::path(v, around.base));
    let timeout = t.or("timeout", TIMEOUT, |v| values::duration(v, Duration::from_secs(1), 4 * TIMEOUT));
    if !KEYS.iter().any(|key| t.has(key)) {
        return None;
    }
    if !t.has("client_id") {
        t.reject("client_id", "is missing");
    }
    if let Some(Err(e)) = ca_file.as_ref().map(File::open) {
        t.reject("ca_file", format!("cannot be read: {e}"));
    }
    // Without one, it is a public client.
    let secret = secret.find(t, around, OAUTH2_CLIENT_SECRET, way == Way::Client, Ok);
    let preset = preset(t, provider, way, tenant.as_deref());
    let mut endpoint = |key: &'static str, given: Option<Url>, known: Option<String>| {
        let url = given.or_else(|| Url::parse(&known?).ok());
        if url.is_none() && !t.has(key) {
            t.reject(key, "is missing (or a provider, which has one)");
        }
        url
    };
    let flow = match way {
        Way::Device => endpoint("device_endpoint", device, preset.device).map(|endpoint| Flow::Device { endpoint }),
        Way::Code => endpoint("authorization_endpoint", authorization, preset.authorization)
            .map(|endpoint| Flow::Code { endpoint, redirect }),
        Way::Client => Some(Flow::Client),
    };
    let token_endpoint = endpoint("token_endpoint", token, preset.token);
    let scopes = scopes.unwrap_or(preset.scopes);
    if scopes.is_empty() && !t.has("scopes") {
        t.reject("scopes", "is missing (or a provider, which has some)");
    }
    Some(Grant::new(Settings {
        flow: flow?,
        client_id: client_id?,
        client_secret: secret?,
        secret_until,
        scopes,
        token_endpoint: token_endpoint?,
        folder: store?.join(FOLDER),
        ca_file,
        timeout,
    }))
}

/// An address that secrets are sent to.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)?;
    if url.is_tls() {
        return Ok(url);
    }
    match elsewhere(&url.host, &resolved) {
        Some(elsewhere) => {
            Err(format!("http:// is for loopback addresses only, and {} leads to {elsewhere}", url.host))
        }
        None => Ok(url),
    }
}

fn preset(t: &mut Table<'_>, provider: Option<Provider>, way: Way, tenant: Option<&str>) -> Preset {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    if t.has("tenant") && provider != Some(Provider::Microsoft365) {
        t.warn("tenant", "has no effect but with provider = \"microsoft365\"");
    }
    match provider {
        None => Preset::default(),
        Some(Provider::Microsoft365) => {
            if !t.has("tenant") {
                t.reject("tenant", "is missing: the directory (tenant) id, or a domain of it");
            }
            let at = |end: &str| {
                Some(format!("https://login.microsoftonline.com/{}/oauth2/v2.0/{end}", tenant.unwrap_or_default()))
            };
            Preset {
                token: at("token"),
                device: at("devicecode"),
                authorization: at("authorize"),
                scopes: match way {
                    Way::Client => owned(&["https://outlook.office365.com/.default"]),
                    Way::Device | Way::Code => owned(&[
                        "https://outlook.office.com/IMAP.AccessAsUser.All",
                        "https://outlook.office.com/SMTP.Send",
                        "offline_access",
                    ]),
                },
            }
        }
        Some(Provider::Google) => {
            match way {
                Way::Code => {}
                Way::Device => t.reject("flow", "Google gives no access to mail by device codes: take \"code\""),
                Way::Client => t.reject("flow", "Google has no client credentials: take \"code\""),
            }
            Preset {
                token: Some("https://oauth2.googleapis.com/token".to_owned()),
                device: None,
                authorization: Some("https://accounts.google.com/o/oauth2/v2/auth".to_owned()),
                scopes: owned(&["https://mail.google.com/"]),
            }
        }
    }
}
