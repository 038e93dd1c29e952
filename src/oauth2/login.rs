//! The log-in by a person, by a code on another device or an address that the browser was led to.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::authority::{self, Given, Refusal, seconds};
use super::kept::Kept;
use super::{Flow, Grant, Settings};
use crate::ports::{Fault, Secret, TokenSource};

/// Between two questions whether the person has confirmed, where the authority says nothing of it (RFC 8628 section 3.2).
const INTERVAL: Duration = Duration::from_secs(5);
/// By so much `slow_down` lengthens it (RFC 8628 section 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The longest that a code is waited for, whatever the authority says.
const LONGEST: SignedDuration = SignedDuration::from_mins(60);

/// What a person has to do.
#[derive(Debug)]
pub enum Step {
    /// Enter a code; then [`Grant::confirmed`].
    Enter(Device),
    /// Open an address, then tell the one that the browser was led to; [`Grant::visited`].
    Open(Visit),
    /// Nothing: the program has a login of its own, which was tried.
    Nothing,
}

/// A code for another device.
#[derive(Debug)]
pub struct Device {
    /// Where to enter it.
    pub address: String,
    pub code: String,
    /// How long it can be entered.
    pub holds: SignedDuration,
    device_code: Secret,
    interval: Duration,
}

/// An address that a browser is to open.
#[derive(Debug)]
pub struct Visit {
    pub address: String,
    /// Where the browser is led to afterwards; nothing answers there.
    pub redirect: String,
    state: String,
    verifier: Secret,
}

impl Grant {
    /// Begins a log-in.
    pub async fn begin(&self) -> Result<Step, Fault> {
        let settings = self.settings();
        match &settings.flow {
            Flow::Client => self.token(None).await.map(|_| Step::Nothing),
            Flow::Device { endpoint } => {
                #[derive(Deserialize)]
                struct Body {
                    device_code: Secret,
                    user_code: String,
                    /// Google's name came first.
                    #[serde(alias = "verification_url")]
                    verification_uri: String,
                    expires_in: Option<Value>,
                    interval: Option<Value>,
                }
                let scopes = settings.scopes.join(" ");
                let asked = authority::post(settings, endpoint, &[("scope", scopes.as_str())]).await;
                let body: Body = asked.map_err(|refusal| refusal.fault())?;
                let interval = body.interval.as_ref().and_then(seconds);
                Ok(Step::Enter(Device {
                    address: printable(&body.verification_uri),
                    code: printable(&body.user_code),
                    holds: body.expires_in.as_ref().and_then(seconds).unwrap_or(LONGEST).min(LONGEST),
                    device_code: body.device_code,
                    interval: interval.and_then(|i| Duration::try_from(i).ok()).unwrap_or(INTERVAL),
                }))
            }
            Flow::Code { endpoint, redirect } => {
                let (state, verifier) = (random()?, random()?);
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
                let mut query = form_urlencoded::Serializer::new(String::new());
                query
                    .append_pair("response_type", "code")
                    .append_pair("client_id", &settings.client_id)
                    .append_pair("redirect_uri", redirect)
                    .append_pair("scope", &settings.scopes.join(" "))
                    .append_pair("state", &state)
                    .append_pair("code_challenge", &challenge)
                    .append_pair("code_challenge_method", "S256")
                    // Google gives a refresh token for these only; others pass over them (RFC 6749 section 3.1).
                    .append_pair("access_type", "offline")
                    .append_pair("prompt", "consent");
                let address = endpoint.with_query(&query.finish());
                Ok(Step::Open(Visit { address, redirect: redirect.clone(), state, verifier: Secret::new(verifier) }))
            }
        }
    }

    /// Waits until the person has entered the code, then keeps what is given.
    pub async fn confirmed(&self, device: Device) -> Result<(), Fault> {
        let Device { device_code, mut interval, holds, .. } = device;
        let form =
            [("grant_type", "urn:ietf:params:oauth:grant-type:device_code"), ("device_code", device_code.reveal())];
        let end = Instant::now() + Duration::try_from(holds).unwrap_or_default();
        loop {
            if Instant::now() + interval > end {
                return Err(Fault::temporary("nobody has entered the code in time: begin anew"));
            }
            sleep(interval).await;
            match authority::ask(self.settings(), &form).await {
                Ok(given) => return self.keep(given),
                Err(Refusal::Error { code, what }) => match code.as_str() {
                    "authorization_pending" => {}
                    "slow_down" => interval += SLOWER,
                    "expired_token" => return Err(Fault::temporary(format!("{what}: begin anew"))),
                    _ => return Err(Fault::login(what)),
                },
                // RFC 8628 section 3.5: after a time-out, more seldom.
                Err(Refusal::Passing(what)) => {
                    tracing::warn!("OAuth2: {what}; asking again");
                    interval *= 2;
                }
                Err(refusal) => return Err(refusal.fault()),
            }
        }
    }

    /// Takes the code out of the address that the browser was led to, and keeps what is given for it.
    pub async fn visited(&self, visit: Visit, told: &str) -> Result<(), Fault> {
        let code = code(&visit, told.trim()).map_err(Fault::login)?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", visit.redirect.as_str()),
            ("code_verifier", visit.verifier.reveal()),
        ];
        let given = authority::ask(self.settings(), &form).await.map_err(|refusal| refusal.fault())?;
        self.keep(given)
    }

    fn keep(&self, given: Given) -> Result<(), Fault> {
        let Settings { scopes, timeout, .. } = self.settings();
        if given.refresh.is_none() {
            let what = "the authority gave no refresh token: the login would end with the first access token; is the \
                        right to one among the scopes";
            return Err(Fault::configuration(format!("{what} ({})?", scopes.join(" "))));
        }
        let now = Timestamp::now();
        let mut kept = Kept::new(self.settings(), now);
        kept.take(given, now);
        let _held = self.0.place.hold(2 * *timeout).map_err(Fault::configuration)?;
        self.0.place.write(&kept).map_err(Fault::configuration)
    }
}

/// The code in an address like `http://127.0.0.1:8481/?state=…&code=…`.
fn code(visit: &Visit, told: &str) -> Result<String, String> {
    let query = told.split_once('?').map_or("", |(_, query)| query);
    let query = query.split_once('#').map_or(query, |(query, _)| query);
    let field = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == wanted).map(|(_, value)| value.into_owned())
    };
    if let Some(error) = field("error") {
        let description = field("error_description").unwrap_or_default();
        return Err(printable(format!("the authority refuses: {error} {description}").trim()));
    }
    match (field("code"), field("state")) {
        (Some(_), state) if state.as_ref() != Some(&visit.state) => {
            Err("this address belongs to another login: open the one shown here, and tell where it leads".to_owned())
        }
        (Some(code), _) => Ok(code),
        (None, _) => Err(format!("expected the whole address, {}/?…code=…, as the browser shows it", visit.redirect)),
    }
}

/// 256 bits that nobody can guess, in letters, digits, `-` and `_`.
fn random() -> Result<String, Fault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| Fault::temporary(format!("the system gives no random numbers: {e}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// What somebody else said, without what a terminal would act on.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_taken_from_its_own_address_only() {
        let visit = Visit {
            address: String::new(),
            redirect: "http://127.0.0.1:8481".into(),
            state: "s1".into(),
            verifier: Secret::new("v"),
        };
        let told = |text: &str| code(&visit, text);
        assert_eq!(told("http://127.0.0.1:8481/?state=s1&code=4%2F0Ab_c&scope=x#").unwrap(), "4/0Ab_c");
        assert!(told("http://127.0.0.1:8481/?state=s2&code=4").unwrap_err().contains("another login"));
        assert!(told("http://127.0.0.1:8481/?code=4").unwrap_err().contains("another login"));
        assert!(
            told("?error=access_denied&error_description=no%1B%5B2J&state=s1")
                .unwrap_err()
                .ends_with("access_denied no[2J")
        );
        for wrong in ["", "4/0Ab_c", "http://127.0.0.1:8481/", "?=&&%"] {
            assert!(told(wrong).unwrap_err().contains("whole address"), "{wrong}");
        }
    }
}
