//! Who comes in: signing in and out, and the session that each request shows.
//!
//! The browser holds a random token, the store a digest of it; a second digest, in each form, says that the form was
//! made for this session.

use askama::Template;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::header::{COOKIE, HeaderName, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use super::page::{Problem, shown};
use super::server::Peer;
use super::statics::{ICON, SCRIPT, STYLE};
use super::{Console, passwords, trace};
use crate::domain::account::{self, Account, AccountName, Deed, Role, Trace};
use crate::store::Store;
use crate::worker::Office;

/// A session ends when nobody used it for so long, or however much it is used.
const IDLE: SignedDuration = SignedDuration::from_hours(12);
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The use of a session is noted once in so long.
const NOTED: SignedDuration = SignedDuration::from_mins(5);
/// Digests of passwords that are worked out at once; each takes 19 MiB.
static WORKING: Semaphore = Semaphore::const_new(2);

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Session {
    pub name: AccountName,
    pub role: Role,
    /// Stands in each form.
    pub form: String,
    digest: String,
}

impl Session {
    /// Whether a form was made for this session.
    pub fn has_made(&self, token: &str) -> Result<(), Problem> {
        if token == self.form { Ok(()) } else { Err(Problem::Forged) }
    }

    fn of(store: &Store, token: &str, now: Timestamp) -> Result<Option<Self>, Problem> {
        let digest = digest_of("session", token);
        let Some(kept) = store.session(&digest)? else { return Ok(None) };
        let since = |then: Timestamp| now.duration_since(then);
        let Some(account) = store.account(&kept.account)? else { return Ok(None) };
        let is_over = since(kept.used_at) > IDLE || since(kept.begun_at) > LONGEST;
        if is_over || account.disabled || account.changed_at > kept.begun_at {
            store.end_session(&digest)?;
            return Ok(None);
        }
        if since(kept.used_at) > NOTED {
            store.keep_session(&digest, &account::Session { used_at: now, ..kept }, now - IDLE)?;
        }
        Ok(Some(Self { name: account.name, role: account.role, form: digest_of("form", token), digest }))
    }
}

impl FromRequestParts<Console> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let token = token(&parts.headers, console);
        let found = match token {
            Some(token) => console.ask(move |office| Self::of(&office.store, &token, Timestamp::now())).await,
            None => Ok(None),
        };
        match found {
            Ok(Some(session)) => Ok(session),
            Ok(None) => {
                let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
                Err(Redirect::to(&format!("/login?next={}", encoded(wanted))).into_response())
            }
            Err(problem) => Err(problem.into_response()),
        }
    }
}

/// Where to go once one is in.
#[derive(Debug, Default, Deserialize)]
pub struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Template)]
#[template(path = "console/login.html")]
struct Login<'a> {
    style: &'a str,
    script: &'a str,
    icon: &'a str,
    next: &'a str,
    name: &'a str,
    why: Option<&'a str>,
}

/// The page to sign in.
pub async fn login(Query(Next { next }): Query<Next>) -> Response {
    login_page(&next, "", None)
}

fn login_page(next: &str, name: &str, why: Option<&str>) -> Response {
    shown(&Login { style: STYLE.path(), script: SCRIPT.path(), icon: ICON.path(), next, name, why })
}

#[derive(Deserialize)]
pub struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Lets somebody in, or says that name or password is wrong, never which.
pub async fn sign_in(
    State(console): State<Console>,
    Extension(Peer(peer)): Extension<Peer>,
    headers: HeaderMap,
    Form(Credentials { name, password, next }): Form<Credentials>,
) -> Result<Response, Problem> {
    let address = match console.0.settings.behind_tls_proxy {
        true => forwarded(&headers).unwrap_or_else(|| peer.ip().to_string()),
        false => peer.ip().to_string(),
    };
    if let Err(wait) = console.0.throttle.begin(&name, &address) {
        let why = format!("Too many tries. Try again in {} minutes.", wait.as_secs().div_ceil(60));
        let page = login_page(&next, &name, Some(&why));
        return Ok((StatusCode::TOO_MANY_REQUESTS, page).into_response());
    }
    let _working = WORKING.acquire().await.map_err(|e| Problem::Broken(e.to_string()))?;
    let given = name.clone();
    let token = console.ask(move |office| enter(office, &given, &password, Timestamp::now())).await?;
    let Some(token) = token else {
        tracing::warn!(%address, "somebody failed to sign in at the console");
        let page = login_page(&next, &name, Some("The name or the password is wrong."));
        return Ok((StatusCode::UNAUTHORIZED, page).into_response());
    };
    console.0.throttle.succeeded(&name, &address);
    Ok((AppendHeaders([(SET_COOKIE, cookie(&console, &token, LONGEST.as_secs()))]), Redirect::to(inside(&next)))
        .into_response())
}

/// The token of a new session; `None`: name or password is wrong.
fn enter(office: &Office, name: &str, password: &str, now: Timestamp) -> Result<Option<String>, Problem> {
    let store = &office.store;
    let known = AccountName::new(name).ok().map(|name| store.account(&name)).transpose()?.flatten();
    let kept = known.as_ref().map(|account| account.password.as_str());
    let is_right = passwords::is_right(password, kept);
    // A name that there is not may be a password typed into the wrong field.
    let who = known.as_ref().map(|account| account.name.to_string());
    let note = |what| store.trace(&Trace { at: now, who: who.clone(), what, case: None, detail: None });
    let Some(account) = known.filter(|account: &Account| is_right && !account.disabled) else {
        note(Deed::SignInFailed)?;
        store.flush()?;
        return Ok(None);
    };
    let token = fresh_token()?;
    let session = account::Session { account: account.name, begun_at: now, used_at: now };
    note(Deed::SignedIn)?;
    store.keep_session(&digest_of("session", &token), &session, now - IDLE)?;
    store.flush()?;
    Ok(Some(token))
}

/// A form that says nothing but that it is ours.
#[derive(Debug, Deserialize)]
pub struct Signed {
    pub token: String,
}

pub async fn sign_out(
    State(console): State<Console>,
    session: Session,
    Form(Signed { token }): Form<Signed>,
) -> Result<Response, Problem> {
    session.has_made(&token)?;
    let out = cookie(&console, "", 0);
    console
        .ask(move |office| {
            trace(office, &session, Deed::SignedOut, None, None)?;
            office.store.end_session(&session.digest)?;
            Ok(office.store.flush()?)
        })
        .await?;
    Ok((AppendHeaders([(SET_COOKIE, out)]), Redirect::to("/login")).into_response())
}

/// Where a proxy says that a request comes from: it adds to what it was told.
fn forwarded(headers: &HeaderMap) -> Option<String> {
    let told = headers.get_all(HeaderName::from_static("x-forwarded-for")).iter().next_back()?.to_str().ok()?;
    let last = told.rsplit(',').next()?.trim();
    last.parse::<std::net::IpAddr>().ok().map(|address| address.to_string())
}

/// `__Host-` makes the browser refuse it from anywhere but this very host over TLS.
fn cookie_name(console: &Console) -> &'static str {
    if console.0.settings.behind_tls_proxy { "__Host-desk" } else { "desk" }
}

fn cookie(console: &Console, token: &str, seconds: i64) -> String {
    let secure = if console.0.settings.behind_tls_proxy { "; Secure" } else { "" };
    let name = cookie_name(console);
    format!("{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn token(headers: &HeaderMap, console: &Console) -> Option<String> {
    let name = cookie_name(console);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, token)| token.to_owned())
}

fn fresh_token() -> Result<String, Problem> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| Problem::Broken(format!("no random numbers: {e}")))?;
    Ok(hex(&random))
}

fn digest_of(what: &str, token: &str) -> String {
    hex(&Sha256::digest(format!("{what} {token}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A path of ours; anything else is the beginning.
fn inside(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if is_path && next != "/login" { next } else { "/" }
}

/// As it stands in an address.
pub fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_led_nowhere_else_after_signing_in() {
        assert_eq!(inside("/cases/AS-1?x=2"), "/cases/AS-1?x=2");
        for elsewhere in ["", "//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nb", "/login"] {
            assert_eq!(inside(elsewhere), "/");
        }
    }
}
