//! A real browser: headless Chromium, led over the DevTools protocol. The dozen messages that the tests need are plain
//! JSON over a WebSocket; crates that know all of the protocol are generated from it and take longer to compile than
//! everything else here.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// The longest that a page may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The browser; ended with the test at the latest.
pub struct Chromium {
    child: Child,
    address: String,
    path: String,
    _profile: tempfile::TempDir,
}

impl Chromium {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromium");
        command
            .args(["--headless=new", "--no-sandbox", "--remote-debugging-port=0", "--disable-gpu", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("HOME", profile.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => panic!("chromium can't be started ({e}): apt-get install chromium"),
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (address, path) = loop {
            let line = lines.next().expect("chromium says where it listens").unwrap();
            if let Some(whole) = line.strip_prefix("DevTools listening on ws://") {
                let (address, path) = whole.split_once('/').unwrap();
                break (address.to_owned(), format!("/{path}"));
            }
        };
        // It stops when nobody reads what it has to say.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, path, _profile: profile }
    }

    /// A new tab with cookies of its own: another person.
    pub fn person(&self) -> Tab {
        let mut browser = Wire::open(&self.address, &self.path);
        let context = browser.ask("Target.createBrowserContext", json!({}))["browserContextId"].clone();
        let wanted = json!({"url": "about:blank", "browserContextId": context});
        let target = browser.ask("Target.createTarget", wanted)["targetId"].as_str().unwrap().to_owned();
        let mut wire = Wire::open(&self.address, &format!("/devtools/page/{target}"));
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            wire.ask(domain, json!({}));
        }
        // Each has the keyboard to itself, whoever else is there.
        wire.ask("Emulation.setFocusEmulationEnabled", json!({"enabled": true}));
        Tab { wire, _browser: browser }
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One page of one person.
pub struct Tab {
    wire: Wire,
    _browser: Wire,
}

impl Tab {
    /// Goes to an address and waits until the page is there.
    pub fn go(&mut self, url: &str) {
        self.run("document.documentElement.dataset.left = '1'");
        self.wire.ask("Page.navigate", json!({"url": url}));
        self.arrive();
    }

    /// Does something that leads to another page, and waits for that.
    pub fn follow(&mut self, step: impl FnOnce(&mut Self)) {
        self.run("document.documentElement.dataset.left = '1'");
        step(self);
        self.arrive();
    }

    fn arrive(&mut self) {
        self.await_that("document.readyState === 'complete' && !document.documentElement.dataset.left");
    }

    /// Waits until an expression is true.
    pub fn await_that(&mut self, expression: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.try_run(expression).is_some_and(|value| value == true) {
            assert!(Instant::now() < until, "{expression}\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of an expression.
    pub fn run(&mut self, expression: &str) -> Value {
        self.try_run(expression).unwrap_or_else(|| panic!("{expression}"))
    }

    /// `None`: it fails, or the page is just leaving.
    fn try_run(&mut self, expression: &str) -> Option<Value> {
        let wanted = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.wire.try_ask("Runtime.evaluate", wanted)?;
        answer.get("exceptionDetails").is_none().then(|| answer["result"]["value"].clone())
    }

    /// What a person reads.
    pub fn text(&mut self) -> String {
        self.try_run("document.body.innerText").and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The path of the page.
    pub fn path(&mut self) -> String {
        self.run("location.pathname").as_str().unwrap().to_owned()
    }

    /// Presses a key: a letter, `Enter`, `Escape`, `Tab`.
    pub fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => Some("\r"),
            key if key.chars().count() == 1 => Some(key),
            _ => None,
        };
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            key => key.to_ascii_uppercase().bytes().next().unwrap().into(),
        };
        let mut down = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        if let Some(text) = text {
            down["text"] = text.into();
        }
        self.wire.ask("Input.dispatchKeyEvent", down);
        self.wire.ask("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code}));
    }

    /// Clicks with the mouse on the first element that a selector finds.
    pub fn click(&mut self, selector: &str) {
        let place = self.run(&format!(
            "{{ const found = document.querySelector({selector:?}); found.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const at = found.getClientRects()[0]; [at.x + at.width / 2, at.y + at.height / 2]; }}"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.wire.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into what has the focus.
    pub fn type_in(&mut self, text: &str) {
        self.wire.ask("Input.insertText", json!({"text": text}));
    }

    /// As on a screen of this size and scheme.
    pub fn look_as(&mut self, width: u32, height: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.wire.ask("Emulation.setDeviceMetricsOverride", metrics);
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.wire.ask("Emulation.setEmulatedMedia", features);
    }

    /// A PNG of the page, as far as it is scrolled.
    pub fn picture(&mut self, whole: bool) -> Vec<u8> {
        let shot = self.wire.ask("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": whole}));
        STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }

    /// What the browser complained of, and every request that it made, since the last call.
    pub fn noticed(&mut self) -> Vec<Value> {
        // Whatever was said before this answer is in by now.
        self.run("1");
        std::mem::take(&mut self.wire.heard)
    }
}

struct Wire {
    socket: WebSocket<TcpStream>,
    last: u64,
    heard: Vec<Value>,
}

impl Wire {
    fn open(address: &str, path: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(format!("ws://{address}{path}"), stream).unwrap();
        Self { socket, last: 0, heard: Vec::new() }
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.try_ask(method, params.clone()).unwrap_or_else(|| panic!("chromium can't {method} {params}"))
    }

    fn try_ask(&mut self, method: &str, params: Value) -> Option<Value> {
        self.last += 1;
        let question = json!({"id": self.last, "method": method, "params": params});
        self.socket.send(Message::text(question.to_string())).unwrap();
        loop {
            let message = self.socket.read().unwrap_or_else(|e| panic!("chromium does not answer {method}: {e}"));
            let Message::Text(text) = message else { continue };
            let told: Value = serde_json::from_str(&text).unwrap();
            if told["id"] == self.last {
                return told.get("result").cloned();
            }
            if [
                "Log.entryAdded",
                "Runtime.exceptionThrown",
                "Network.requestWillBeSent",
                "Page.javascriptDialogOpening",
            ]
            .contains(&told["method"].as_str().unwrap_or_default())
            {
                self.heard.push(told);
            }
        }
    }
}
