//! The API as programs use it: over HTTP against the running daemon, by tokens from the shell.

mod described;
mod story;

use serde_json::Value;

use crate::support::http::{Answer, ask};
use crate::support::post::Draft;
use crate::support::program::{Daemon, Installation};

/// A daemon on two Maildirs, with a console on a free port.
struct Desk {
    // Ended before its folder goes.
    _daemon: Daemon,
    here: Installation,
    address: String,
}

impl Desk {
    fn open() -> Self {
        Self::with("")
    }

    /// With further tables.
    fn with(further: &str) -> Self {
        let here = Installation::of_maildirs();
        let folder = |name: &str| format!("kind = \"maildir\"\npath = \"{name}\"");
        let console = format!("[policy]\napprove = [\"repair\"]\n[console]\nlisten = \"127.0.0.1:0\"\n{further}");
        here.configure(&folder("inbox"), &folder("replies"), &console);
        Self::over(here)
    }

    fn over(here: Installation) -> Self {
        let daemon = here.start();
        daemon.await_log("the console is at http://");
        let log = daemon.log();
        let address = log.split("the console is at http://").nth(1).unwrap().split_whitespace().next().unwrap();
        Self { address: address.to_owned(), _daemon: daemon, here }
    }

    /// A complete claim in which nothing but a person's approval is missing; gives its case.
    fn claim(&self, id: &str) -> String {
        let from = format!("Priya Raman <{id}@example.net>");
        let draft = Draft {
            from: &from,
            id: &format!("{id}@example.net"),
            subject: "Stripes on the display, KS50001",
            body: "Hello,\n\nsince Sunday the display of my Tank T3 Ultra (order KS50001) shows coloured stripes as soon \
                   as I open the app. The code on the box is 2000400001032. I restarted the watch and reset it, it did \
                   not help. A photo is attached.\n\nPriya\n",
            answers: None,
            photos: &[("watch-striped-display.jpg", "stripes.jpg")],
        };
        let name = format!("{id}.host");
        self.here.deliver(&name, draft.raw().as_bytes());
        let mut found = None;
        crate::support::program::await_that(std::time::Duration::from_secs(60), "the claim is taken in", || {
            let cases = self.here.json(&["cases", "list", "--json"]);
            let case = cases.iter().find(|case| case["customer"] == format!("{id}@example.net"));
            found = case.map(|case| case["case"].as_str().unwrap().to_owned());
            found.is_some()
        });
        found.unwrap()
    }

    /// A new token.
    fn token(&self, name: &str, scope: &str) -> String {
        let told = self.here.ok(&["tokens", "add", name, "--scope", scope]);
        told.out.trim().to_owned()
    }

    fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, "GET", path, &[], "")
    }

    fn post(&self, token: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend(headers);
        self.ask(token, "POST", path, &all, &body.to_string())
    }

    fn ask(&self, token: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let mut all = headers.to_vec();
        if !token.is_empty() {
            all.push(("Authorization", &bearer));
        }
        ask(&self.address, method, &format!("/api/v1{path}"), &all, body.as_bytes())
    }
}
