//! What other programs hear of cases: signed, in order, again until it is taken, and not of whom was forgotten.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::support::http::Request;
use crate::support::letter;
use crate::support::program::{Installation, await_that, run};

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const PATIENCE: Duration = Duration::from_secs(60);

/// How a receiver answers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    Fails,
    Stalls,
    Redirects,
}

/// What came in one POST.
#[derive(Debug, Clone)]
struct Post {
    path: String,
    id: String,
    timestamp: String,
    signature: String,
    body: String,
}

impl Post {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn event(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// A receiver on loopback.
struct Receiver {
    port: u16,
    mood: Arc<Mutex<Mood>>,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Receiver {
    fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mood, posts) = (Arc::new(Mutex::new(mood)), Arc::new(Mutex::new(Vec::new())));
        let (of, kept) = (Arc::clone(&mood), Arc::clone(&posts));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (of, kept) = (Arc::clone(&of), Arc::clone(&kept));
                std::thread::spawn(move || answer(stream.unwrap(), &of, &kept));
            }
        });
        Self { port, mood, posts }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }

    fn table(&self, name: &str, events: &str) -> String {
        format!(
            "[[webhook]]\nname = \"{name}\"\nurl = \"http://127.0.0.1:{}/hook?of={name}\"\nevents = [{events}]\n\
             secret = \"{KEY}\"\ntimeout = \"1s\"\n",
            self.port
        )
    }
}

fn answer(mut stream: TcpStream, mood: &Mutex<Mood>, posts: &Mutex<Vec<Post>>) {
    let Some(request) = Request::read(&mut stream) else { return };
    posts.lock().unwrap().push(Post {
        path: request.target().to_owned(),
        id: request.header("webhook-id").to_owned(),
        timestamp: request.header("webhook-timestamp").to_owned(),
        signature: request.header("webhook-signature").to_owned(),
        body: request.body,
    });
    let mood = *mood.lock().unwrap();
    let told: &[u8] = match mood {
        Mood::Takes => b"HTTP/1.1 204 No Content\r\n\r\n",
        Mood::Fails => b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nsorry",
        Mood::Redirects => b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        Mood::Stalls => {
            // Until the other side has enough.
            while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
            return;
        }
    };
    // It may have gone.
    let _ = stream.write_all(told);
}

fn here(tables: &str) -> Installation {
    let here = Installation::of_maildirs();
    let folder = |name: &str| format!("kind = \"maildir\"\npath = \"{name}\"");
    here.configure(&folder("inbox"), &folder("replies"), tables);
    here
}

#[test]
fn news_are_signed_told_in_order_and_without_the_words_of_letters() {
    let receiver = Receiver::start(Mood::Takes);
    let here = here(&receiver.table("erp", "\"opened\", \"decided\", \"asked\", \"withdrawn\""));
    here.deliver("1.host", letter(1, 900).as_bytes());
    let mut daemon = here.start();
    await_that(PATIENCE, "the case is told of", || receiver.posts().len() == 3);
    let case = here.json(&["cases", "list", "--json"])[0]["case"].as_str().unwrap().to_owned();
    here.ok(&["cases", "act", &case, "withdraw"]);
    await_that(PATIENCE, "the act is told of", || receiver.posts().len() == 4);
    let posts = receiver.posts();
    let events: Vec<String> = posts.iter().map(Post::event).collect();
    assert_eq!(events, ["opened", "decided", "asked", "withdrawn"]);
    for post in &posts {
        assert_eq!(post.path, "/hook?of=erp");
        assert_eq!(post.signature, signed(post), "{post:?}");
        assert!(!post.body.contains("strap"), "the letter's words: {}", post.body);
        let told = post.json();
        assert_eq!(
            (&told["data"]["case"], &told["data"]["customer"]),
            (&case.as_str().into(), &"jo1@example.net".into())
        );
        assert!(told["timestamp"].is_string() && told["data"]["version"].is_u64(), "{told}");
    }
    let ids: BTreeSet<&str> = posts.iter().map(|post| post.id.as_str()).collect();
    assert_eq!(ids.len(), 4);
    // What is told is what the shell tells.
    let shown = &here.json(&["cases", "show", &case, "--json"])[0];
    let told = posts[3].json();
    for (key, value) in told["data"].as_object().unwrap() {
        let same =
            key == "drafts" || key == "version" || key == "changed_at" || key == "replies" || shown[key] == *value;
        assert!(same, "{key}: {value} {}", shown[key]);
    }
    assert_eq!(daemon.terminate(), Some(0));
    here.ok(&["verify"]);
}

/// The signature by the `openssl` command.
fn signed(post: &Post) -> String {
    use std::process::{Command, Stdio};
    let key = STANDARD.decode(KEY.strip_prefix("whsec_").unwrap()).unwrap();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-mac", "HMAC", "-macopt", &format!("hexkey:{key}"), "-binary"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let signed = format!("{}.{}.{}", post.id, post.timestamp, post.body);
    openssl.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
    format!("v1,{}", STANDARD.encode(openssl.wait_with_output().unwrap().stdout))
}

#[test]
fn one_that_fails_stalls_or_redirects_holds_up_nobody_and_gets_the_same_again() {
    let (sound, odd) = (Receiver::start(Mood::Takes), Receiver::start(Mood::Stalls));
    let tables = sound.table("sound", "\"opened\", \"asked\"") + &odd.table("odd", "\"opened\", \"asked\"");
    let here = here(&tables);
    here.deliver("1.host", letter(1, 900).as_bytes());
    let mut daemon = here.start();
    await_that(PATIENCE, "the sound one has all", || sound.posts().len() == 2);
    let of_odd =
        || here.json(&["webhooks", "list", "--json"]).into_iter().find(|told| told["webhook"] == "odd").unwrap();
    for (mood, told) in
        [(None, "no answer within"), (Some(Mood::Redirects), "redirects are not followed"), (Some(Mood::Fails), "500")]
    {
        if let Some(mood) = mood {
            odd.becomes(mood);
            // Not waited for: a person wants it now.
            restart_line(&here, &mut daemon);
        }
        await_that(PATIENCE, told, || of_odd()["why"].as_str().is_some_and(|why| why.contains(told)));
    }
    assert_eq!(of_odd()["waiting"], 2);
    odd.becomes(Mood::Takes);
    restart_line(&here, &mut daemon);
    await_that(PATIENCE, "nothing waits", || of_odd()["waiting"] == 0);
    let posts = odd.posts();
    assert!(posts.iter().all(|post| post.path.starts_with("/hook")), "{posts:?}");
    // The second is told once the first was taken.
    assert_eq!(posts.last().unwrap().event(), "asked");
    let first: BTreeSet<(&str, &str)> =
        posts[..posts.len() - 1].iter().map(|post| (post.id.as_str(), post.body.as_str())).collect();
    assert!(posts.len() >= 5 && first.len() == 1, "{posts:?}");
}

/// What waits for its next try is due now: by a line that is tried anew at once, as after a long sleep.
fn restart_line(here: &Installation, daemon: &mut crate::support::program::Daemon) {
    assert_eq!(daemon.terminate(), Some(0));
    {
        let store = aftersalesd::store::Store::open(&here.path("store")).unwrap();
        let far = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
        for posting in store.webhooks_due("odd", far, 10).unwrap() {
            let posted = aftersalesd::store::Posted::Later { next: jiff::Timestamp::now(), why: "-".into() };
            store.webhook_posted(&posting, &posted, jiff::Timestamp::now()).unwrap();
        }
        store.flush().unwrap();
    }
    *daemon = here.start();
}

#[test]
fn killed_between_queue_and_answer_it_tells_all_under_the_same_ids() {
    for point in ["webhook-to-be-posted", "webhook-answered"] {
        let receiver = Receiver::start(Mood::Takes);
        let here = here(&receiver.table("erp", "\"opened\", \"asked\""));
        here.deliver("1.host", letter(1, 900).as_bytes());
        for _ in 0..2 {
            let mut command = here.command(&["once"]);
            command.env("AFTERSALESD_DIE_AT", point);
            let told = run(command);
            assert!(told.code.is_none() && told.err.contains("died at"), "{point}: {told:?}");
        }
        here.ok(&["once"]);
        let posts = receiver.posts();
        let different: BTreeSet<(String, String)> = posts.iter().map(|post| (post.id.clone(), post.event())).collect();
        let events: BTreeSet<&str> = different.iter().map(|(_, event)| event.as_str()).collect();
        assert_eq!((different.len(), events), (2, BTreeSet::from(["opened", "asked"])), "{point}: {posts:?}");
        let told = here.json(&["webhooks", "list", "--json"]);
        assert_eq!((&told[0]["waiting"], &told[0]["failed"]), (&0.into(), &Value::Array(Vec::new())));
        here.ok(&["verify"]);
    }
}

#[test]
fn what_nobody_took_for_days_is_listed_and_tried_again_when_a_person_says_so() {
    let receiver = Receiver::start(Mood::Fails);
    let here = here(&receiver.table("erp", "\"opened\", \"asked\""));
    here.deliver("1.host", letter(1, 900).as_bytes());
    here.ok(&["once"]);
    {
        // As after three days; the clock of the worker says when.
        let store = aftersalesd::store::Store::open(&here.path("store")).unwrap();
        let now = jiff::Timestamp::now();
        let soon = now + jiff::SignedDuration::from_hours(1);
        let posting = store.webhooks_due("erp", soon, 10).unwrap().remove(0);
        let why = "it answered 500".to_owned();
        let posted = aftersalesd::store::Posted::GivenUp { why };
        store.webhook_posted(&posting, &posted, now).unwrap();
        store.flush().unwrap();
    }
    let listed = here.json(&["webhooks", "list", "--json"]);
    assert_eq!((&listed[0]["failed"][0]["event"], &listed[0]["waiting"]), (&"opened".into(), &1.into()), "{listed:?}");
    assert!(here.ok(&["webhooks", "list"]).out.contains("it answered 500"));
    receiver.becomes(Mood::Takes);
    assert!(here.ok(&["webhooks", "retry", "erp"]).out.contains("1 are tried again"));
    let unknown = here.run(&["webhooks", "retry", "nobody"]);
    assert!(unknown.code == Some(1) && unknown.err.contains("there is no webhook nobody"), "{unknown:?}");
    here.ok(&["once"]);
    let events: Vec<String> = receiver.posts().iter().rev().take(2).map(Post::event).collect();
    assert_eq!(events, ["asked", "opened"]);
    assert_eq!(here.json(&["webhooks", "list", "--json"])[0]["failed"], Value::Array(Vec::new()));
}

#[test]
fn nothing_is_told_any_more_of_whom_was_forgotten() {
    let receiver = Receiver::start(Mood::Fails);
    let here = here(&receiver.table("erp", "\"opened\", \"asked\", \"erased\""));
    here.deliver("1.host", letter(1, 900).as_bytes());
    here.ok(&["once"]);
    assert!(here.ok(&["export"]).out.contains("jo1@example.net"));
    here.ok(&["cases", "erase", "--customer", "jo1@example.net", "--force"]);
    assert!(!here.ok(&["export"]).out.contains("jo1@example.net"));
    let before = receiver.posts().len();
    receiver.becomes(Mood::Takes);
    // Its line waits for the next try.
    let daemon = here.start();
    await_that(PATIENCE, "that it is erased is told", || receiver.posts().len() > before);
    drop(daemon);
    let posts = receiver.posts();
    let events: Vec<String> = posts[before..].iter().map(Post::event).collect();
    assert_eq!(events, ["erased"]);
    assert!(!posts[before].body.contains("jo1@"), "{}", posts[before].body);
    // What waits for one that is no longer configured is forgotten.
    here.replace("name = \"erp\"", "name = \"crm\"");
    let told = here.json(&["webhooks", "list", "--json"]);
    assert_eq!((told.len(), &told[0]["webhook"]), (1, &"crm".into()));
}

#[test]
fn what_is_wrong_about_a_webhook_is_told_at_the_start() {
    let receiver = Receiver::start(Mood::Takes);
    let sound = receiver.table("erp", "\"opened\"");
    for (old, new, told) in [
        ("http://127.0.0.1", "http://192.0.2.7", "http:// is for loopback addresses only"),
        ("http://127.0.0.1", "ftp://127.0.0.1", "expected https://"),
        ("\"opened\"", "\"openend\"", "\"openend\""),
        ("[\"opened\"]", "[]", "nothing would ever be told"),
        ("name = \"erp\"", "name = \"E R P\"", "small letters"),
        (KEY, "whsec_c2hvcnQ=", "openssl rand"),
        ("secret = ", "sekret = ", "sekret: unknown key"),
    ] {
        let text = sound.replacen(old, new, 1);
        let told_at = here(&text).run(&["check", "--offline"]);
        assert!(
            told_at.code == Some(78) && told_at.err.contains("[webhook]") && told_at.err.contains(told),
            "{new}: {told_at:?}"
        );
        assert!(!told_at.err.contains("MfKQ"), "{}", told_at.err);
    }
    let twice = here(&(sound.clone() + &sound)).run(&["check", "--offline"]);
    assert!(twice.code == Some(78) && twice.err.contains("stands there twice"), "{twice:?}");
    let checked = here(&sound).ok(&["check", "--offline"]);
    assert!(checked.out.contains("erp hears of: opened"), "{}", checked.out);
    // A secret may lie in a variable.
    let text = sound.replace(&format!("secret = \"{KEY}\"\n"), "");
    let here = here(&text);
    assert!(here.run(&["check", "--offline"]).err.contains("AFTERSALESD_WEBHOOK_SECRET_ERP"));
    let mut command = here.command(&["check", "--offline"]);
    command.env("AFTERSALESD_WEBHOOK_SECRET_ERP", KEY);
    assert_eq!(run(command).code, Some(0));
}
