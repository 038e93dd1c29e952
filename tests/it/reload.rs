//! A running daemon takes new terms between two letters, or keeps the old and says why; what a new order feed tells is
//! followed without a second question.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use aftersalesd::ports::Security;
use serde_json::Value;

use crate::passes::{NO_CAP, Post};
use crate::support::letter;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Installation, Told, await_that, keys, orders};
use crate::support::smtpd::Smtpd;

const PATIENCE: Duration = Duration::from_secs(60);
/// On a machine that has other things to do.
const LONG_PATIENCE: Duration = Duration::from_secs(180);

// --- terms --------------------------------------------------------------------------------------------------------

#[test]
fn good_terms_go_into_force_and_bad_ones_change_nothing() {
    let post = Post::start_with("poll_interval = \"10m\"\n");
    let socket = UnixDatagram::bind(post.here.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = post.here.command(&["run"]);
    command.env("NOTIFY_SOCKET", post.here.path("notify"));
    let mut daemon = post.here.start_with(&mut command);
    daemon.await_log("aftersalesd runs");
    let status = || post.here.json(&["status", "--json"]).remove(0);
    assert!(status()["reload"].is_null());
    let answered = |number: usize, smtpd: &Smtpd| {
        let known = smtpd.kept().len();
        post.dovecot.deliver(&letter(number, 900));
        await_that(PATIENCE, "the reply", || smtpd.kept().len() > known);
        Reply::read(&smtpd.kept()[known].raw).text
    };
    assert!(!answered(1, &post.smtpd).contains("Otters reign"));

    // Other words, and another server for them.
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/mail"), &post.here.path("letters"));
    let ask = fs::read_to_string(post.here.path("letters/ask/en.txt")).unwrap();
    post.here.write("letters/ask/en.txt", ask.clone() + "\nOtters reign.\n");
    let other = Smtpd::start(Security::None, &[]);
    let imap = keys("imap", &post.dovecot.server(Security::None)) + "poll_interval = \"10m\"\n";
    let templates = format!("{NO_CAP}[templates]\npath = \"letters\"\n");
    post.here.configure(&imap, &keys("smtp", &other.server(None)), &templates);
    let told = post.here.ok(&["reload"]);
    assert!(told.out.contains("in force") && told.out.contains("terms "), "{told:?}");
    assert!(answered(2, &other).contains("Otters reign"));
    assert!(status()["reload"]["at"].is_string() && status()["reload"]["refused"].is_null());
    let heard = hear(&socket);
    let reloading = heard.iter().position(|line| line.starts_with("RELOADING=1\nMONOTONIC_USEC=")).unwrap();
    assert!(heard[reloading..].contains(&"READY=1".to_owned()), "{heard:?}");

    // Each mistake is named, remembered, and changes nothing.
    let config = fs::read_to_string(post.here.path("config.toml")).unwrap();
    let refused = |name: &str, content: String, what: &str| {
        let before = fs::read_to_string(post.here.path(name)).unwrap();
        post.here.write(name, content);
        let told = post.here.run(&["reload"]);
        // A socket that nobody reads from would hold the daemon up.
        hear(&socket);
        assert_eq!(told.code, Some(78), "{name}: {told:?}");
        assert!(told.complaints().iter().any(|line| line.contains(what)), "{name}: {told:?}");
        post.here.write(name, before);
        let kept = status()["reload"]["refused"].as_str().unwrap().to_owned();
        assert!(kept.contains(what), "{kept}");
    };
    refused("config.toml", config.replace("poll_interval", "pol_interval"), "pol_interval");
    refused("letters/ask/en.txt", "{% if %}".to_owned(), "ask/en.txt");
    refused("orders.csv", orders() + "KS50009,not an address,KP-TKT3U-BK,\n", "line 4: column email");
    let silent = "[console]\nlisten = \"127.0.0.1:0\"\n[log]\nlevel = \"off\"\n";
    refused("config.toml", config.clone() + silent, "[console] listen");
    let logs = || post.here.ok(&["log"]).out;
    assert_eq!(logs(), "info (by default)\n");
    assert!(daemon.log().contains("what was before stays in force"), "{}", daemon.log());
    let shown = post.here.ok(&["status"]).out;
    assert!(shown.contains("reload     refused") && shown.contains("[console] listen"), "{shown}");
    assert!(answered(3, &other).contains("Otters reign"));
    // Of another store there is no daemon to ask; one that is asked by a signal says what it can't do.
    post.here.write("config.toml", config.replace("path = \"store\"", "path = \"elsewhere\""));
    let told = post.here.run(&["reload"]);
    assert!(told.code == Some(1) && told.complaints()[0].contains("no daemon runs"), "{told:?}");
    daemon.hang_up();
    daemon.await_log("[store] path: can't change while the daemon runs");
    post.here.write("config.toml", &config);
    // TOML that can't be read does not even say where the daemon is.
    post.here.write("config.toml", "[mailbox\n");
    assert_eq!(post.here.run(&["reload"]).code, Some(78));
    post.here.write("config.toml", config + "[log]\nlevel = \"debug\"\n");
    hear(&socket);
    post.here.ok(&["reload"]);
    assert_eq!(logs(), "debug (by [log] level)\n");
    assert!(status()["reload"]["refused"].is_null());
    assert!(answered(4, &other).contains("Otters reign"));
    assert_eq!((post.smtpd.kept().len(), other.kept().len()), (1, 3));
    assert_eq!(daemon.terminate(), Some(0));
}

#[test]
fn hanging_up_in_the_midst_of_many_letters_loses_and_doubles_none() {
    let post = Post::start_with("poll_interval = \"10m\"\n");
    let mut daemon = post.here.start();
    let reloads = || daemon.log().matches("reloaded: new terms are in force").count();
    let mut letters = 0;
    for times in 0..4 {
        let answered = post.smtpd.kept().len();
        daemon.hang_up();
        // Letters come all the time, as one round of the loops ends and the next begins, but no faster than they are
        // answered.
        await_that(LONG_PATIENCE, "a reload and replies among letters", || {
            if letters < post.smtpd.kept().len() + 30 {
                post.dovecot.deliver_all((letters..letters + 3).map(|number| letter(number, 900)));
                letters += 3;
            }
            reloads() > times && post.smtpd.kept().len() > answered
        });
    }
    await_that(LONG_PATIENCE, "all replies", || post.smtpd.kept().len() >= letters);
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    post.here.ok(&["once"]);
    assert_eq!((post.smtpd.kept().len(), post.replies_by_address().len()), (letters, letters));
    assert_eq!(post.cases().len(), letters);
    post.here.ok(&["audit"]);
}

/// What systemd was told.
fn hear(socket: &UnixDatagram) -> Vec<String> {
    let (mut heard, mut notice) = (Vec::new(), [0; 500]);
    while let Ok(length) = socket.recv(&mut notice) {
        heard.push(String::from_utf8_lossy(&notice[..length]).trim().to_owned());
    }
    heard
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => assert!(fs::copy(&path, &target).is_ok()),
        }
    }
}

// --- feeds --------------------------------------------------------------------------------------------------------

pub const BEGINNING: &str = "Good morning,\n\nmy Tank T3 Ultra runs flat since Sunday: the battery goes from full to empty \
    within three hours while the watch lies on my desk with the display off.\n";
pub const REST: &str =
    "I reset it once, no change. The code printed on the box is 2000400001032. A photo is attached.\n";
pub const PHOTO: &[(&str, &str)] = &[("watch-black-display.jpg", "flat-again.jpg")];

/// A claim with an order number that no feed knows yet.
pub fn claim(name: &str, order: &str, body: &str, photos: &[(&str, &str)]) -> String {
    let body = format!("{body}My order is {order}.\n\n{name}\n");
    let (from, id) = (format!("{name} <{name}@example.net>"), format!("{order}@example.net"));
    Draft { from: &from, id: &id, subject: "It runs flat", body: &body, answers: None, photos }.raw()
}

/// Two cases that wait for nothing but an order that is known.
pub fn waiting_for_unknown_orders() -> Installation {
    let here = Installation::of_maildirs();
    for (name, order) in [("ann", "KS50011"), ("ben", "KS50012")] {
        let asked = here.say(&claim(name, order, &format!("{BEGINNING}{REST}"), PHOTO));
        assert_eq!(asked.len(), 1);
    }
    let cases = here.json(&["cases", "list", "--json"]);
    assert!(cases.iter().all(|case| case["state"] == "awaiting_info"), "{cases:#?}");
    here
}

/// The feed knows them now.
pub fn tell_orders(here: &Installation) {
    here.write("orders.csv.new", with_orders(&[("ann", "KS50011"), ("ben", "KS50012")]));
    fs::rename(here.path("orders.csv.new"), here.path("orders.csv")).unwrap();
}

/// The usual feed with orders of these people, received as long ago as Priya's.
fn with_orders(more: &[(&str, &str)]) -> String {
    let feed = orders();
    let priyas = feed.lines().nth(1).unwrap();
    let line =
        |(name, order): &(&str, &str)| priyas.replace("KS50001", order).replace("priya@", &format!("{name}@")) + "\n";
    feed.clone() + &more.iter().map(line).collect::<String>()
}

fn case_of(here: &Installation, order: &str) -> Value {
    here.json(&["cases", "show", order, "--json"]).remove(0)
}

fn reload(here: &Installation) -> Told {
    here.ok(&["reload"])
}

#[test]
fn what_a_new_feed_tells_is_followed_without_a_second_question() {
    let here = Installation::of_maildirs();
    here.replace("path = \"inbox\"", "path = \"inbox\"\npoll_interval = \"1s\"");
    let mut daemon = here.start();
    let whole = format!("{BEGINNING}{REST}");
    here.deliver("1.host", claim("ann", "KS50011", &whole, PHOTO).as_bytes());
    here.deliver("2.host", claim("ben", "KS50012", BEGINNING, &[]).as_bytes());
    // Somebody else's order, as it will turn out.
    here.deliver("3.host", claim("cora", "KS50013", &whole, PHOTO).as_bytes());
    here.deliver("4.host", claim("dan", "KS50014", &whole, PHOTO).as_bytes());
    await_that(PATIENCE, "four questions", || here.replies().len() == 4);
    let missing = |order: &str| -> Vec<String> {
        let items = case_of(&here, order)["missing"].as_array().unwrap().clone();
        items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
    };
    assert!(missing("KS50012").contains(&"order_number".to_owned()), "{:?}", missing("KS50012"));

    // Nobody says anything: the daemon sees the new file by itself. Half a line is refused first.
    here.write("orders.csv", with_orders(&[("ann", "KS50011")]) + "KS50012,ben@exam");
    daemon.await_log("not reloaded, what was before stays in force");
    assert_eq!(case_of(&here, "KS50011")["state"], "awaiting_info");
    let told = with_orders(&[("ann", "KS50011"), ("ben", "KS50012"), ("someone", "KS50013")]);
    here.write("orders.csv", &told);
    await_that(PATIENCE, "an RMA and an acknowledgement", || here.replies().len() == 6);
    let ann = case_of(&here, "KS50011");
    assert_eq!(
        (&ann["state"], &ann["letters"], &ann["replies"]),
        (&"rma_issued".into(), &1.into(), &2.into()),
        "{ann}"
    );
    let decided = ann["events"].as_array().unwrap().iter().rfind(|event| event["event"] == "decided").unwrap();
    assert!(decided["by"] == "daemon" && decided["why"].as_str().unwrap().contains("tells more"), "{decided}");
    let cora = case_of(&here, "KS50013");
    assert_eq!((&cora["state"], &cora["replies"]), (&"with_staff".into(), &2.into()), "{cora}");
    let ben = case_of(&here, "KS50012");
    assert_eq!((&ben["state"], &ben["replies"]), (&"awaiting_info".into(), &1.into()), "no second question: {ben}");
    assert_eq!(missing("KS50012"), ["item_code", "steps_taken", "photo"]);
    assert_eq!(case_of(&here, "KS50014")["state"], "awaiting_info");

    // The next letter is asked only for what is open; the same feed again tells nothing more.
    let asked = here.replies().iter().map(|raw| Reply::read(raw)).find(|reply| reply.to.starts_with("ben@")).unwrap();
    let answer = Draft {
        from: "ben <ben@example.net>",
        id: "again@example.net",
        subject: &asked.subject,
        body: "I reset it twice, that changes nothing.\n",
        answers: Some(&asked),
        photos: &[],
    };
    here.deliver("5.host", answer.raw().as_bytes());
    await_that(PATIENCE, "one more question", || here.replies().len() == 7);
    assert_eq!(missing("KS50012"), ["item_code", "photo"]);
    let events = |order: &str| case_of(&here, order)["events"].as_array().unwrap().len();
    let before = ["KS50011", "KS50012", "KS50013", "KS50014"].map(events);
    reload(&here);
    assert_eq!(daemon.terminate(), Some(0));
    here.ok(&["once"]);
    assert_eq!(["KS50011", "KS50012", "KS50013", "KS50014"].map(events), before);
    // What the feed no longer tells is not asked for.
    here.write("orders.csv", orders());
    here.ok(&["once"]);
    assert_eq!((["KS50012", "KS50014"].map(events), here.replies().len()), ([before[1], before[3]], 7));
    here.ok(&["audit"]);
}
