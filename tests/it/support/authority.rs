//! An authorization server (RFC 6749, 8628, 7662) that a test starts: it gives real tokens, renews and forgets them, and
//! tells mail servers which hold.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::http::Request;

pub const CLIENT: &str = "client-of-the-test";
pub const CLIENT_SECRET: &str = "client-secret-of-the-test";
pub const USER_CODE: &str = "WDJB-MJHT";

pub struct Authority {
    pub port: u16,
    desk: Arc<Mutex<Desk>>,
    dir: tempfile::TempDir,
}

/// A question, as it was put.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub fields: BTreeMap<String, String>,
    pub at: Instant,
}

struct Desk {
    user: String,
    heard: Vec<Asked>,
    /// What `/token` answers before it does its work.
    scripted: VecDeque<(u16, String)>,
    /// `expires_in` of the tokens it gives.
    life: u64,
    /// The tokens that hold, and until when.
    holding: BTreeMap<String, Instant>,
    refresh: Option<String>,
    given: Vec<String>,
    /// Of `/authorize`: the code, with the challenge and the redirect it belongs to.
    codes: BTreeMap<String, (String, String)>,
    /// Tokens are given that nobody takes.
    useless: bool,
}

impl Authority {
    /// Gives tokens for the mailbox of `user`.
    pub fn start(user: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let desk = Arc::new(Mutex::new(Desk {
            user: user.to_owned(),
            heard: Vec::new(),
            scripted: VecDeque::new(),
            life: 3600,
            holding: BTreeMap::new(),
            refresh: None,
            given: Vec::new(),
            codes: BTreeMap::new(),
            useless: false,
        }));
        let of = Arc::clone(&desk);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, desk) = (stream.unwrap(), Arc::clone(&of));
                std::thread::spawn(move || serve(stream, &desk));
            }
        });
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { port, desk, dir }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What Dovecot needs to take its tokens by these mechanisms.
    pub fn dovecot(&self, mechanisms: &str) -> String {
        let file = self.dir.path().join("dovecot-oauth2.conf.ext");
        let text = format!(
            "introspection_mode = post\nintrospection_url = {}\nusername_attribute = email\n\
             active_attribute = active\nactive_value = true\n",
            self.url("/introspect")
        );
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        format!(
            "auth_mechanisms = plain login {mechanisms}\nauth_failure_delay = 0\n\
             passdb {{\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = {}\n}}\n",
            file.display()
        )
    }

    /// The next questions for a token are answered like this instead, one after the other.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = (u16, Value)>) {
        let answers = answers.into_iter().map(|(status, body)| (status, body.to_string()));
        self.desk().scripted.extend(answers);
    }

    /// The same for an answer that is no JSON.
    pub fn answer_next_with(&self, status: u16, body: String) {
        self.desk().scripted.push_back((status, body));
    }

    /// The life of the tokens it gives from now on, in seconds.
    pub fn life(&self, seconds: u64) {
        self.desk().life = seconds;
    }

    /// Gives tokens that no mail server takes.
    pub fn useless(&self, useless: bool) {
        self.desk().useless = useless;
    }

    /// No access token that was given holds any more.
    pub fn forget_tokens(&self) {
        self.desk().holding.clear();
    }

    /// Whatever was granted is granted no more.
    pub fn revoke(&self) {
        let mut desk = self.desk();
        desk.holding.clear();
        desk.refresh = None;
    }

    /// All that was asked at a path.
    pub fn heard(&self, path: &str) -> Vec<Asked> {
        self.desk().heard.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// Every token that was ever given, and the other secrets.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = self.desk().given.clone();
        secrets.extend([CLIENT_SECRET.to_owned(), DEVICE_CODE.to_owned()]);
        secrets
    }

    fn desk(&self) -> std::sync::MutexGuard<'_, Desk> {
        self.desk.lock().unwrap()
    }
}

const DEVICE_CODE: &str = "device-code-of-the-test";

fn serve(mut stream: TcpStream, desk: &Mutex<Desk>) {
    let Some(request) = Request::read(&mut stream) else { return };
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let form = [query, "&", &request.body].concat();
    let fields: BTreeMap<String, String> =
        form_urlencoded::parse(form.as_bytes()).map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    let (status, text) = {
        let mut desk = desk.lock().unwrap();
        desk.heard.push(Asked { path: path.to_owned(), fields: fields.clone(), at: Instant::now() });
        desk.answer(path, &fields)
    };
    let location = if status == 302 { format!("Location: {text}\r\n") } else { String::new() };
    let head = format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{location}Connection: close\r\n\r\n",
        text.len()
    );
    // The client may have gone: that is part of the tests.
    let _ = stream.write_all(format!("{head}{text}").as_bytes());
}

impl Desk {
    fn answer(&mut self, path: &str, fields: &BTreeMap<String, String>) -> (u16, String) {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let (status, told) = match path {
            "/introspect" => match self.holding.get(&field("token")) {
                Some(until) if Instant::now() < *until => (200, json!({"active": true, "email": self.user})),
                _ => (200, json!({"active": false})),
            },
            "/device" => (
                200,
                json!({"device_code": DEVICE_CODE, "user_code": USER_CODE, "expires_in": 900, "interval": 1,
                       "verification_uri": "https://authority.example/device"}),
            ),
            "/authorize" => {
                assert_eq!((field("client_id").as_str(), field("code_challenge_method").as_str()), (CLIENT, "S256"));
                let code = format!("4/code+{}", self.codes.len());
                self.codes.insert(code.clone(), (field("code_challenge"), field("redirect_uri")));
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("state", &field("state"))
                    .append_pair("code", &code)
                    .finish();
                return (302, format!("{}/?{query}", field("redirect_uri")));
            }
            "/token" => {
                if let Some(scripted) = self.scripted.pop_front() {
                    return scripted;
                }
                self.token(fields)
            }
            other => panic!("nobody asks for {other}"),
        };
        (status, told.to_string())
    }

    fn token(&mut self, fields: &BTreeMap<String, String>) -> (u16, Value) {
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        assert_eq!(field("client_id"), CLIENT);
        let granted = match field("grant_type").as_str() {
            "client_credentials" if field("client_secret") != CLIENT_SECRET => {
                let what = format!("wrong secret {}", field("client_secret"));
                return (401, json!({"error": "invalid_client", "error_description": what}));
            }
            "client_credentials" => true,
            "urn:ietf:params:oauth:grant-type:device_code" => field("device_code") == DEVICE_CODE,
            "refresh_token" => self.refresh.is_some() && self.refresh == fields.get("refresh_token").cloned(),
            "authorization_code" => {
                let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
                self.codes.remove(&field("code")) == Some((digest, field("redirect_uri")))
            }
            other => panic!("nobody grants {other}"),
        };
        if !granted {
            let what = format!("AADSTS700082: the token {} has expired.\r\nTrace ID: 1", field("refresh_token"));
            return (400, json!({"error": "invalid_grant", "error_description": what}));
        }
        let number = self.given.len();
        let access = format!("access-{number}.of~the-test");
        self.given.push(access.clone());
        if !self.useless {
            self.holding.insert(access.clone(), Instant::now() + Duration::from_secs(self.life));
        }
        let mut told = json!({"access_token": access, "token_type": "Bearer", "expires_in": self.life.to_string()});
        if field("grant_type") != "client_credentials" {
            // Each refresh token serves once.
            let refresh = format!("refresh-{number}/of+the-test");
            self.given.push(refresh.clone());
            told["refresh_token"] = json!(refresh);
            told["refresh_token_expires_in"] = json!(9 * 24 * 3600 + 60);
            self.refresh = Some(refresh);
        }
        (200, told)
    }
}
