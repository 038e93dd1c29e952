//! The console: who comes in, what each page may do, what acts do and refuse, and all of it in a real browser.

mod axe;
mod browser;
mod charts;
mod demo;
mod door;
mod drafts;
mod facts;
mod pages;
mod serving;
mod users;

use std::sync::Arc;

use aftersalesd::app::triage;
use aftersalesd::console::{self, Console, Peer, Settings, passwords};
use aftersalesd::domain::account::{Account, AccountName, Role, Trace};
use aftersalesd::domain::case::Case;
use aftersalesd::domain::ids::LetterId;
use aftersalesd::domain::reply::Sending;
use aftersalesd::store::Store;
use aftersalesd::worker::premises::Premises;
use aftersalesd::worker::settle::Taken;
use aftersalesd::worker::{Office, Stop};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::support::chromium::{Chromium, Tab};

const PASSWORD: &str = "correct horse battery";

/// An office with the demo's terms, and its console.
struct House {
    office: Arc<Office>,
    router: Router,
    premises: Arc<Premises>,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What stands behind `before` and before the next quote.
    fn quoted(&self, before: &str) -> String {
        let at = self.text.find(before).unwrap_or_else(|| panic!("{before} in\n{}", self.text));
        self.text[at + before.len()..].split('"').next().unwrap().to_owned()
    }
}

impl House {
    fn new() -> Self {
        Self::with(false)
    }

    fn with(behind_tls_proxy: bool) -> Self {
        Self::sending(behind_tls_proxy, Sending::default())
    }

    /// Whose letters may wait.
    fn sending(behind_tls_proxy: bool, sending: Sending) -> Self {
        let (mut setup, config) = aftersalesd::app::demo::setup().unwrap();
        setup.terms.sending = sending;
        let office = Arc::new(setup.office(&config, Store::temporary().unwrap()));
        let premises = Arc::new(Premises::new(Arc::clone(&office)));
        let settings = Settings { behind_tls_proxy, store: std::env::temp_dir() };
        let router = Console::new(Arc::clone(&premises), settings).router();
        let house = Self { office, router, premises };
        house.account("kim", Role::Agent);
        house
    }

    fn account(&self, name: &str, role: Role) {
        let name = AccountName::new(name).unwrap();
        let password = passwords::digest(PASSWORD).unwrap();
        // A session begins later.
        let changed_at = Timestamp::now() - SignedDuration::from_secs(1);
        self.office.store.keep_account(&Account { name, role, password, disabled: false, changed_at }).unwrap();
    }

    /// Takes a letter in; gives its case.
    fn letter(&self, raw: &str) -> (Case, LetterId) {
        match triage::take(&self.office, raw.as_bytes(), false).unwrap() {
            Taken::Answered { case: Some(case), reading, .. } => (*case, reading.letter.id),
            _ => panic!("no case"),
        }
    }

    /// A claim that a person has to look at, as it names its end of warranty.
    fn claim(&self) -> (Case, LetterId) {
        self.letter(CLAIM)
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        request.extensions_mut().insert(Peer("127.0.0.1:40000".parse().unwrap()));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        self.send(Request::get(path).header(COOKIE, cookie).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        self.send(post(path, cookie, form).body(Body::from(form.to_owned())).unwrap()).await
    }

    /// Signs in; gives the cookie.
    async fn enter(&self, name: &str) -> String {
        let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
        let answer = self.post("/login", "", &form).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        answer.header(SET_COOKIE.as_str()).split(';').next().unwrap().to_owned()
    }

    /// Serves it to browsers as long as the switch is kept; gives the address.
    async fn serve(&self) -> (String, watch::Sender<bool>) {
        let listener = console::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let desk = format!("http://{}", listener.local_addr().unwrap());
        let (switch, stop) = Stop::new();
        tokio::spawn(console::serve(listener, self.router.clone(), stop));
        (desk, switch)
    }

    fn trail(&self) -> Vec<Trace> {
        self.office.store.trail().map(Result::unwrap).collect()
    }
}

/// Somebody who has signed in.
fn signed_in(chromium: &Chromium, desk: &str, name: &str) -> Tab {
    let mut tab = chromium.person();
    tab.go(&format!("{desk}/"));
    assert_eq!(tab.path(), "/login");
    tab.await_that("document.activeElement.name === 'name'");
    tab.type_in(name);
    tab.press("Tab");
    tab.type_in(PASSWORD);
    tab.follow(|tab| tab.press("Enter"));
    assert_eq!(tab.path(), "/queues/needs_you", "{}", tab.text());
    tab
}

/// As a browser sends a form of ours.
fn post(path: &str, cookie: &str, _form: &str) -> axum::http::request::Builder {
    Request::post(path)
        .header(HOST, "desk.example")
        .header(ORIGIN, "http://desk.example")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(COOKIE, cookie)
}

const CLAIM: &str = "From: Greta Falk <greta@post.example>\r\nTo: after-sales@demo.example\r\n\
    Subject: Which model <b>is</b> for diving?\r\nMessage-ID: <claim@post.example>\r\n\
    Date: Mon, 23 Nov 2026 08:00:00 +0000\r\n\r\nHello,\r\n\r\nmy watch of order KS40612 works well. \
    Which model can I take for diving? <script>alert('in')</script>\r\n\r\nGreta\r\n";
