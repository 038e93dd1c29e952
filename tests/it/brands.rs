//! Several brands in one daemon: each answers its own customers in its own way, and what befalls one holds up no other.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use aftersalesd::ports::{Security, Server};
use serde_json::Value;

use crate::passes::{NO_CAP, Post};
use crate::support::letter;
use crate::support::post::Reply;
use crate::support::program::{Daemon, Installation, Told, await_that, keys, program, run};

const PATIENCE: Duration = Duration::from_secs(90);

/// Gives a brand's configuration a name of its own; commands find it by the usual one too.
fn name(here: &Installation, name: &str) {
    fs::copy(here.path("config.toml"), here.path(&format!("{name}.toml"))).unwrap();
}

fn command(word: &[&str], brands: &[(&Installation, &str)]) -> Command {
    let mut command = program();
    command.args(word).current_dir("/");
    for (here, name) in brands {
        command.arg("--config").arg(here.path(&format!("{name}.toml")));
    }
    command
}

fn status(here: &Installation) -> (Told, Value) {
    let told = here.run(&["status", "--json"]);
    let status = told.json().remove(0);
    (told, status)
}

/// The reply to a letter that is delivered now.
fn answered(post: &Post, number: usize) -> Reply {
    let known = post.smtpd.kept().len();
    post.dovecot.deliver(&letter(number, 900));
    await_that(PATIENCE, "the reply", || post.smtpd.kept().len() > known);
    Reply::read(&post.smtpd.kept()[known].raw)
}

#[test]
fn each_brand_answers_its_own_customers_in_its_own_way() {
    let (otter, heron) = (Post::start_with("poll_interval = \"10m\"\n"), Post::start_with("poll_interval = \"10m\"\n"));
    heron.here.replace("KOSPET After-Sales <claims@example.com>", "Heron Care <care@heron.example>");
    let config = fs::read_to_string(heron.here.path("config.toml")).unwrap();
    heron.here.write(
        "config.toml",
        config + "[policy.required]\ndefect = [\"order_number\", \"sku\", \"received_on\", \"problem_what\"]\n",
    );
    name(&otter.here, "otter");
    name(&heron.here, "heron");
    let both = [(&otter.here, "otter"), (&heron.here, "heron")];
    let told = run(command(&["check"], &both));
    assert_eq!((told.code, told.out.matches("delivery       ready").count()), (Some(0), 2), "{told:?}");
    let socket = UnixDatagram::bind(otter.here.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut run_both = command(&["run"], &both);
    run_both.env("NOTIFY_SOCKET", otter.here.path("notify"));
    let mut daemon = otter.here.start_with(&mut run_both);
    let mut notice = [0; 100];
    let length = socket.recv(&mut notice).unwrap();
    assert_eq!(String::from_utf8_lossy(&notice[..length]).trim(), "READY=1");
    let (of_otter, of_heron) = (answered(&otter, 1), answered(&heron, 2));
    assert_eq!((of_otter.from.as_str(), of_otter.to.as_str()), ("claims@example.com", "jo1@example.net"));
    assert_eq!((of_heron.from.as_str(), of_heron.to.as_str()), ("care@heron.example", "jo2@example.net"));
    let missing = |post: &Post| post.here.json(&["cases", "show", &id(post), "--json"])[0]["missing"].clone();
    assert!(missing(&otter).as_array().unwrap().len() > 3);
    assert_eq!(missing(&heron), serde_json::json!(["order_number", "sku", "received_on"]));
    assert_eq!((otter.cases().len(), heron.cases().len()), (1, 1));
    // Every line about a letter says whose it is.
    let log = daemon.log();
    let taken: Vec<&str> = log.lines().filter(|line| line.contains("letter taken in")).collect();
    assert!(taken.len() == 2 && taken.iter().all(|line| line.contains("brand{name=")), "{log}");
    assert!(taken[0].contains("otter") && taken[1].contains("heron"), "{log}");
    // One of them is read anew.
    heron.here.replace("Heron Care", "Heron Cares");
    name(&heron.here, "heron");
    let told = run(command(&["reload"], &both));
    assert_eq!((told.code, told.out.lines().count()), (Some(0), 2), "{told:?}");
    let raw = |post: &Post| String::from_utf8_lossy(&post.smtpd.kept().last().unwrap().raw).into_owned();
    answered(&heron, 3);
    answered(&otter, 4);
    assert!(raw(&heron).contains("Heron Cares") && raw(&otter).contains("KOSPET After-Sales"));
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    for post in [&otter, &heron] {
        assert!(!post.here.path("store/control.sock").exists());
        post.here.ok(&["audit"]);
    }
}

fn id(post: &Post) -> String {
    post.cases()[0]["case"].as_str().unwrap().to_owned()
}

#[test]
fn a_brand_that_cannot_run_holds_up_no_other_and_runs_once_it_is_mended() {
    let (well, locked_out) =
        (Post::start_with("poll_interval = \"10m\"\n"), Post::start_with("poll_interval = \"10m\"\n"));
    let broken = Installation::of_maildirs();
    // It ran before, and staff have a case.
    broken.say(&letter(1, 900));
    broken.replace("[orders]", "[odors]");
    name(&well.here, "well");
    let password = fs::read_to_string(locked_out.here.path("config.toml")).unwrap();
    let password = password.lines().find(|line| line.starts_with("password")).unwrap().to_owned();
    locked_out.here.replace(&password, "password = \"wrong\"");
    name(&locked_out.here, "locked_out");
    name(&broken, "broken");
    let all = [(&broken, "broken"), (&locked_out.here, "locked_out"), (&well.here, "well")];
    let mut daemon = well.here.start_with(&mut command(&["run"], &all));
    assert_eq!(answered(&well, 2).to, "jo2@example.net");
    daemon.await_log("this brand can't run");
    // Each tells of itself, and of the others nothing.
    let why = |here: &Installation| {
        let (told, status) = status(here);
        let why = status["intake"]["why"].as_str().unwrap_or_default().to_owned();
        assert_eq!(told.code, Some(i32::from(!why.is_empty())), "{told:?}");
        why
    };
    await_that(PATIENCE, "the socket of the broken one", || broken.path("store/control.sock").exists());
    // Its own configuration can't tell where its store is; another one on the same store can.
    broken.write("mended.toml", fs::read_to_string(broken.path("broken.toml")).unwrap().replace("[odors]", "[orders]"));
    let of_broken = |words: &[&str]| {
        let mut command = program();
        command.args(words).arg("--config").arg(broken.path("mended.toml"));
        run(command)
    };
    let told = of_broken(&["status"]);
    assert!(told.code == Some(1) && told.err.contains("[odors]"), "{told:?}");
    await_that(PATIENCE, "a refused login", || why(&locked_out.here).contains("AUTHENTICATIONFAILED"));
    assert_eq!(status(&well.here).0.code, Some(0));
    // What needs no daemon goes on without one.
    assert_eq!(of_broken(&["cases", "list", "--json"]).json().len(), 1);
    let told = run(command(&["reload"], &all));
    assert_eq!(told.code, Some(78), "{told:?}");
    assert!(told.err.contains("odors") && told.out.matches("in force").count() == 2, "{told:?}");
    locked_out.here.replace("password = \"wrong\"", &password);
    name(&locked_out.here, "locked_out");
    broken.replace("[odors]", "[orders]");
    name(&broken, "broken");
    daemon.hang_up();
    assert_eq!(answered(&locked_out, 3).to, "jo3@example.net");
    broken.deliver("4.host", letter(4, 900).as_bytes());
    await_that(PATIENCE, "the mended one's reply", || broken.replies().len() == 2);
    assert_eq!(answered(&well, 5).to, "jo5@example.net");
    await_that(PATIENCE, "all is well", || {
        [&well.here, &locked_out.here, &broken].iter().all(|here| status(here).0.code == Some(0))
    });
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
    broken.ok(&["audit"]);
}

#[test]
fn a_flood_at_one_brand_starves_no_other() {
    const FLOOD: usize = 400;
    let (flooded, other) =
        (Post::start_with("poll_interval = \"10m\"\n"), Post::start_with("poll_interval = \"10m\"\n"));
    // It takes connections and says nothing.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead_server = Server { port: dead.local_addr().unwrap().port(), ..flooded.smtpd.server(None) };
    let imap = keys("imap", &flooded.dovecot.server(Security::None)) + "poll_interval = \"10m\"\n";
    flooded.here.configure(&imap, &keys("smtp", &dead_server), NO_CAP);
    name(&flooded.here, "flooded");
    name(&other.here, "other");
    let mails: Vec<String> = (0..FLOOD).map(|number| letter(number, 900)).collect();
    flooded.dovecot.deliver_all(mails.iter().map(String::as_str));
    let both = [(&flooded.here, "flooded"), (&other.here, "other")];
    let mut daemon = other.here.start_with(&mut command(&["run"], &both));
    let taken = |daemon: &Daemon| {
        let log = daemon.log();
        log.lines().filter(|line| line.contains("flooded") && line.contains("letter taken in")).count()
    };
    await_that(PATIENCE, "the flood", || taken(&daemon) > 0);
    assert_eq!(answered(&other, 1).to, "jo1@example.net");
    assert!(taken(&daemon) < FLOOD, "the flood was over before");
    await_that(Duration::from_secs(120), "the whole flood", || taken(&daemon) == FLOOD);
    assert!(status(&flooded.here).1["replies_waiting"].as_u64().unwrap() > 0);
    assert_eq!(answered(&other, 2).to, "jo2@example.net");
    // Another server for what waits.
    flooded.here.configure(&imap, &keys("smtp", &flooded.smtpd.server(None)), NO_CAP);
    name(&flooded.here, "flooded");
    assert_eq!(run(command(&["reload"], &both[..1])).code, Some(0));
    await_that(PATIENCE, "a reply of the flooded one", || !flooded.smtpd.kept().is_empty());
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
}

#[test]
fn brands_that_want_the_same_are_refused_by_name() {
    let one = Installation::of_maildirs();
    let config = fs::read_to_string(one.path("config.toml")).unwrap();
    let with = |name: &str, store: &str, inbox: &str, console: &str| {
        let text = config.replace("path = \"store\"", &format!("path = {store:?}"));
        let text = text.replace("path = \"inbox\"", &format!("path = {inbox:?}"));
        one.write(&format!("brands/../{name}.toml"), format!("{text}[console]\nlisten = {console:?}\n"));
    };
    fs::create_dir_all(one.path("brands")).unwrap();
    fs::create_dir_all(one.path("other/new")).unwrap();
    with("a", "store", "inbox", "127.0.0.1:8491");
    for (store, inbox, console, what) in [
        ("./store", "other", "127.0.0.1:8492", "[store] path"),
        ("store-b", "./inbox/", "127.0.0.1:8492", "the [mailbox] folder"),
        ("store-b", "other", "127.0.0.1:8491", "[console] listen"),
    ] {
        with("b", store, inbox, console);
        for word in [&["check", "--offline"][..], &["run"], &["once"]] {
            let told = run(command(word, &[(&one, "a"), (&one, "b")]));
            assert_eq!(told.code, Some(78), "{what}: {told:?}");
            let complaint = told.complaints().join("\n");
            let named = ["a.toml", "b.toml", what].iter().all(|word| complaint.contains(word));
            assert!(named, "{word:?} {what}: {told:?}");
        }
    }
    assert!(!one.path("store").exists(), "nothing was begun");
    // A folder stands for what lies in it; a pass goes through all, whatever one of them says.
    with("b", "store-b", "other", "127.0.0.1:8492");
    for name in ["a", "b"] {
        let text = fs::read_to_string(one.path(&format!("{name}.toml"))).unwrap();
        let above = |text: String, key: &str| text.replace(&format!("{key} = \""), &format!("{key} = \"../"));
        one.write(&format!("brands/{name}.toml"), above(above(text, "path"), "file"));
    }
    one.write("brands/notes.txt", "no configuration");
    one.deliver("1.host", letter(1, 900).as_bytes());
    let folder = |word: &[&str]| {
        let mut command = program();
        command.args(word).arg("--config").arg(one.path("brands"));
        run(command)
    };
    assert_eq!(folder(&["check", "--offline"]).out.matches("configuration  ").count(), 2);
    assert_eq!((folder(&["once"]).code, one.replies().len()), (Some(0), 1));
    one.write("brands/b.toml", "[mailbox\n");
    one.deliver("2.host", letter(2, 900).as_bytes());
    let told = folder(&["once"]);
    assert!(told.code == Some(78) && told.err.contains("b.toml"), "{told:?}");
    assert_eq!(one.replies().len(), 2);
    // If none can run, there is nothing to wait for.
    one.write("brands/a.toml", "[mailbox\n");
    let told = folder(&["run"]);
    let both = told.code == Some(78) && ["a.toml", "b.toml"].iter().all(|name| told.err.contains(name));
    assert!(both, "{told:?}");
    fs::remove_dir_all(one.path("brands")).unwrap();
    fs::create_dir_all(one.path("brands")).unwrap();
    assert!(folder(&["run"]).err.contains("holds no configuration"));
}
