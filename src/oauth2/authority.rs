//! What is asked of an authorization server, and what it answers.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::Settings;
use crate::http::{self, Answer, Peer, Url};
use crate::ports::{Fault, Secret};

/// The longest answer; tokens of a few KB are common.
const LARGEST: usize = 256 << 10;
/// So much is told of what an authority says of an error.
const TOLD: usize = 300;

/// What an authority gave.
#[derive(Debug)]
pub(super) struct Given {
    pub access: Secret,
    pub life: Option<SignedDuration>,
    pub refresh: Option<Secret>,
    pub refresh_life: Option<SignedDuration>,
}

/// Why it gave nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It can't be reached, or not now.
    Passing(String),
    /// What it once granted holds no more.
    Ended(String),
    /// An error by its code in RFC 6749 section 5.2 or RFC 8628 section 3.5.
    Error { code: String, what: String },
}

impl Refusal {
    pub fn fault(&self) -> Fault {
        match self {
            Self::Passing(what) => Fault::temporary(what),
            Self::Ended(what) | Self::Error { what, .. } => Fault::login(what),
        }
    }
}

/// [`ask`], by a thread that waits for it.
pub(super) fn waited_for(settings: &Settings, form: &[(&str, &str)]) -> Result<Given, Refusal> {
    http::wait_for(ask(settings, form)).unwrap_or_else(|e| Err(Refusal::Passing(e.to_string())))
}

/// Asks for tokens.
pub(super) async fn ask(settings: &Settings, form: &[(&str, &str)]) -> Result<Given, Refusal> {
    #[derive(Deserialize)]
    struct Body {
        access_token: Secret,
        expires_in: Option<Value>,
        refresh_token: Option<Secret>,
        /// Google and others; Keycloak.
        #[serde(alias = "refresh_expires_in")]
        refresh_token_expires_in: Option<Value>,
    }
    let endpoint = &settings.token_endpoint;
    let body: Body = post(settings, endpoint, form).await?;
    let sound = |token: &Secret| !token.reveal().is_empty() && token.reveal().bytes().all(|b| b.is_ascii_graphic());
    if !sound(&body.access_token) {
        return Err(Refusal::Passing(format!("{endpoint}: what it gave is no access token")));
    }
    Ok(Given {
        access: body.access_token,
        life: body.expires_in.as_ref().and_then(seconds),
        refresh: body.refresh_token.filter(|token| !token.reveal().is_empty()),
        refresh_life: body.refresh_token_expires_in.as_ref().and_then(seconds),
    })
}

/// Posts a form to an endpoint, with who we are.
pub(super) async fn post<T: for<'a> Deserialize<'a>>(
    settings: &Settings,
    endpoint: &Url,
    form: &[(&str, &str)],
) -> Result<T, Refusal> {
    let mut fields = form_urlencoded::Serializer::new(String::new());
    fields.extend_pairs(form).append_pair("client_id", &settings.client_id);
    if let Some(secret) = &settings.client_secret {
        fields.append_pair("client_secret", secret.reveal());
    }
    let passing = |what: String| Refusal::Passing(format!("{endpoint}: {what}"));
    let peer = Peer::new(endpoint.clone(), settings.ca_file.as_deref()).map_err(passing)?;
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    let posting = timeout(settings.timeout, peer.post(&headers, fields.finish(), LARGEST));
    let within = settings.timeout;
    let answer = posting.await.unwrap_or_else(|_| Err(format!("no answer within {within:?}"))).map_err(passing)?;
    if answer.status.is_success() {
        // The parser's own error may quote a token.
        return serde_json::from_slice(&answer.body)
            .map_err(|_| passing("its answer is not what was asked for".into()));
    }
    Err(refusal(settings, endpoint, form, &answer))
}

fn refusal(settings: &Settings, endpoint: &Url, form: &[(&str, &str)], answer: &Answer) -> Refusal {
    #[derive(Deserialize)]
    struct Body {
        error: String,
        error_description: Option<String>,
    }
    let status = answer.status;
    let said: Option<Body> = serde_json::from_slice(&answer.body).ok();
    let Some(Body { error, error_description }) = said.filter(|_| status.is_client_error()) else {
        return Refusal::Passing(format!("{endpoint}: it answered {status}"));
    };
    let mut said = match error_description.as_deref().map(|text| text.lines().next().unwrap_or_default()) {
        None | Some("") => error.clone(),
        Some(description) => format!("{error}: {description}"),
    };
    // Nobody should say what was said in confidence, but who knows.
    let confided = form.iter().filter(|(key, _)| !["grant_type", "scope", "redirect_uri"].contains(key));
    let confided = confided.map(|(_, value)| *value).chain(settings.client_secret.as_ref().map(Secret::reveal));
    for secret in confided.filter(|secret| !secret.is_empty()) {
        said = said.replace(secret, "…");
    }
    let said: String = said.chars().filter(|c| !c.is_control()).take(TOLD).collect();
    let what = format!("{endpoint}: {said}");
    match error.as_str() {
        "temporarily_unavailable" | "server_error" => Refusal::Passing(what),
        // The latter are Microsoft's: consent or another factor is wanted of the person.
        "invalid_grant" | "interaction_required" | "consent_required" | "login_required" => Refusal::Ended(what),
        _ if status.as_u16() == 429 => Refusal::Passing(what),
        _ => Refusal::Error { code: error, what },
    }
}

/// A number, which some write as a text; not 0, by which Keycloak means that there is no end.
pub(super) fn seconds(value: &Value) -> Option<SignedDuration> {
    let number = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())?;
    (number > 0).then(|| SignedDuration::from_secs(number))
}
