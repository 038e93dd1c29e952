//! The README is true: an administrator who follows it from the top, block by block, gets what it says, with a real
//! Dovecot and a real SMTP server behind the names that it gives as examples.
//!
//! Its absolute paths lie below a temporary root; of the commands that change the system (`useradd`, `chown`,
//! `systemctl` …) stand-ins say whether they were asked for something sensible; `systemctl` really starts the daemon,
//! from the unit that the README installs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use aftersalesd::ports::Security;
use aftersalesd::{config, feeds};
use regex::{Captures, Regex};
use serde_json::Value;

use crate::support::dovecot::{self, Dovecot};
use crate::support::program::{program, run_within};
use crate::support::smtpd::Smtpd;

const README: &str = include_str!("../../README.md");
const CUSTOMER: &str = "Kim Park <kim@example.net>";

#[test]
fn every_block_does_what_the_readme_says() {
    let mut machine = Machine::new();
    let blocks = blocks(README);
    assert!(blocks.len() > 10, "{blocks:#?}");
    for block in &blocks {
        match block.kind {
            "sh" => machine.run(block),
            "toml" => machine.configure(block),
            "csv" => machine.feed(block),
            "json" => machine.printed_json(block),
            "text" if block.text.contains("src/") => all_paths_exist(block.text),
            "text" => machine.printed(block),
            other => panic!("line {}: nobody knows how to try a block of kind {other:?}", block.line),
        }
    }
    machine.has_answered();
    machine.has_told_systemd();
}

#[test]
fn every_path_and_link_is_there() {
    let links = Regex::new(r"\]\(([^)#:]+)\)").unwrap();
    for file in ["README.md", "tests/README.md"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        all_paths_exist(&text);
        let folder = root().join(file).parent().unwrap().to_owned();
        for link in links.captures_iter(&text) {
            assert!(folder.join(&link[1]).exists(), "{file} links to {}", &link[1]);
        }
    }
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let section = README.split("\n## What is promised, and how it is tested\n").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let name = Regex::new(r"`((?:\w+::)+\w+)`").unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 11, "{rows:#?}");
    for row in rows {
        let names: Vec<&str> = name.captures_iter(row).map(|found| found.get(1).unwrap().as_str()).collect();
        assert!(!names.is_empty(), "no test is named: {row}");
        for name in names {
            assert!(is_test(name), "there is no test {name}");
        }
    }
}

/// Whether a test of that path is in `tests/it/`, or below `src/`.
fn is_test(name: &str) -> bool {
    let (module, test) = name.rsplit_once("::").unwrap();
    let file = module.replace("::", "/");
    // Tests of a file may stand in it.
    let inline = module.strip_suffix("::tests").unwrap_or(module).replace("::", "/");
    let places = [
        format!("tests/it/{file}.rs"),
        format!("src/{file}.rs"),
        format!("src/{file}/mod.rs"),
        format!("src/{inline}.rs"),
    ];
    let head = Regex::new(&format!(r"#\[(?:tokio::)?test\](?:\s*#\[[^\n]*\])*\s*(?:async )?fn {test}\(")).unwrap();
    // Those of proptest have arguments.
    let text = places.iter().filter_map(|place| fs::read_to_string(root().join(place)).ok());
    text.into_iter().any(|text| head.is_match(&text))
}

#[test]
fn every_dependency_has_its_line() {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let mut named = BTreeSet::new();
    let table = README.split("| crate | earns its place by |\n|---|---|\n").nth(1).unwrap();
    for row in table.lines().take_while(|line| line.starts_with('|')) {
        let names = row.split('|').nth(1).unwrap().replace("(tests)", "");
        named.extend(names.split(',').map(|name| name.trim().to_owned()));
    }
    let tables = ["dependencies", "dev-dependencies"].map(|name| manifest[name].as_table().unwrap());
    let there: BTreeSet<String> = tables.iter().flat_map(|table| table.keys().cloned()).collect();
    assert_eq!(named, there);
}

#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn the_number_of_crates_is_right() {
    let cargo = std::env::var_os("CARGO").unwrap();
    let words = ["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--manifest-path"];
    let told = Command::new(cargo).args(words).arg(root().join("Cargo.toml")).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let text = String::from_utf8(told.stdout).unwrap();
    let crates: BTreeSet<&str> = text.lines().map(|line| line.split(" (").next().unwrap()).collect();
    assert!(README.contains(&format!(" {} crates", crates.len())), "{} crates", crates.len());
}

/// A part of the README between fences.
#[derive(Debug)]
struct Block {
    kind: &'static str,
    text: &'static str,
    line: usize,
}

fn blocks(text: &'static str) -> Vec<Block> {
    let fence = Regex::new(r"(?ms)^```([^\n]*)\n(.*?)^```$").unwrap();
    assert_eq!(text.matches("```").count(), 2 * fence.find_iter(text).count(), "a fence is not closed");
    fence
        .captures_iter(text)
        .map(|found| {
            let line = 1 + text[..found.get(0).unwrap().start()].matches('\n').count();
            Block { kind: found.get(1).unwrap().as_str(), text: found.get(2).unwrap().as_str(), line }
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Whatever looks like a path of this project is one.
fn all_paths_exist(text: &str) {
    let path = Regex::new(r"(?m)(?:^|[\s`(])((?:src|templates|tests)/[\w./-]*|config\.example\.toml)").unwrap();
    let paths: Vec<&str> = path.captures_iter(text).map(|found| found.get(1).unwrap().as_str()).collect();
    assert!(!paths.is_empty());
    for path in paths {
        assert!(root().join(path.trim_end_matches('.')).exists(), "there is no {path}");
    }
}

/// A computer whose root folder is a temporary one.
struct Machine {
    dir: tempfile::TempDir,
    dovecot: Dovecot,
    smtpd: Smtpd,
    /// What the daemon tells systemd.
    notices: Receiver<String>,
    /// What the last commands printed.
    printed: String,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["stand-ins", "usr/local/bin", "etc/systemd/system", "var/lib", "var/backups", "tmp"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        // A clone of the project, without what was built in it.
        fs::create_dir_all(at("clone/tests")).unwrap();
        for name in ["Cargo.toml", "config.example.toml", "src", "templates"] {
            symlink(root().join(name), at("clone").join(name)).unwrap();
        }
        for (name, script) in STAND_INS {
            let file = if *name == "tests/all" { at("clone").join(name) } else { at("stand-ins").join(name) };
            fs::write(&file, format!("#!/bin/sh\nset -eu\n{script}")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let notices = receive(UnixDatagram::bind(at("notify")).unwrap());
        let dovecot = Dovecot::start();
        dovecot.deliver(&letter());
        let smtpd = Smtpd::start(Security::Tls, &["--login", "after-sales@example.com:smtp secret"]);
        Self { dir, dovecot, smtpd, notices, printed: String::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The text with this machine's root before its absolute paths.
    fn rooted(&self, text: &str) -> String {
        let absolute = Regex::new(r#"(?m)(^|[\s"=])/(usr|etc|var)/"#).unwrap();
        let below = |found: &Captures<'_>| format!("{}{}/{}/", &found[1], self.dir.path().display(), &found[2]);
        absolute.replace_all(text, below).into_owned()
    }

    fn run(&mut self, block: &Block) {
        // Neither variables of the tests' surroundings nor a colour get into it.
        let mut shell = Command::new("/bin/sh");
        shell.arg("-euxc").arg(self.rooted(block.text)).current_dir(self.path("clone"));
        let inherited = std::env::var("PATH").unwrap();
        let own = [self.path("stand-ins"), self.path("usr/local/bin")].map(|p| p.display().to_string());
        shell
            .env("PATH", format!("{}:{}:{inherited}", own[0], own[1]))
            .env("ROOT", self.dir.path())
            .env("PROGRAM", program().get_program())
            .env("TMPDIR", self.path("tmp"))
            .env("NOTIFY_SOCKET", self.path("notify"))
            .env("WATCHDOG_USEC", "300000")
            .env_remove("WATCHDOG_PID")
            .env_remove("AFTERSALESD_LOG");
        let told = run_within(shell, Duration::from_secs(120));
        assert_eq!(told.code, Some(0), "line {}: {}\n{}", block.line, told.out, told.err);
        self.printed = told.out;
    }

    /// It loads as it stands; then the names of its servers lead to ours.
    fn configure(&mut self, block: &Block) {
        let secrets = [("imap", dovecot::PASSWORD), ("smtp", "smtp secret")];
        for (name, password) in secrets {
            let file = self.path("etc/aftersalesd/secrets").join(name);
            fs::write(&file, password).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let file = self.path("etc/aftersalesd/config.toml");
        let mut text = self.rooted(block.text);
        fs::write(&file, &text).unwrap();
        let loaded = config::load(&file).unwrap_or_else(|e| panic!("line {}: {e}", block.line));
        assert_eq!(loaded.warnings, [""; 0]);
        let (imap, smtp) = (self.dovecot.server(Security::Tls), self.smtpd.server(None));
        for (host, server) in [("imap.example.com", imap), ("smtp.example.com", smtp)] {
            let ours = format!("{:?}\nport = {}\nca_file = {:?}", server.host, server.port, server.ca_file.unwrap());
            assert!(text.contains(&format!("{host:?}")), "{host} is not in {text}");
            text = text.replace(&format!("{host:?}"), &ours);
        }
        text = text.replacen("user = \"after-sales@example.com\"", &format!("user = {:?}", dovecot::USER), 1);
        fs::write(&file, text).unwrap();
    }

    fn feed(&mut self, block: &Block) {
        let is_catalogue = block.text.starts_with("sku,");
        let file = self.path("etc/aftersalesd").join(if is_catalogue { "products.csv" } else { "orders.csv" });
        fs::write(&file, block.text).unwrap();
        if is_catalogue {
            assert_eq!(feeds::catalogue(&file).unwrap().products.len(), block.text.lines().count() - 1);
        } else {
            assert_eq!(feeds::orders(&file).unwrap().len(), block.text.lines().count() - 1);
        }
    }

    /// Every line of the block was printed, in this order; an ellipsis stands for any lines. RMA numbers are random.
    fn printed(&self, block: &Block) {
        let rma = Regex::new(r"KR-(\d{4})-\w{6}").unwrap();
        let (told, block_text) = (rma.replace_all(&self.printed, "KR-$1-…"), rma.replace_all(block.text, "KR-$1-…"));
        let mut lines = told.lines();
        for line in block_text.lines().filter(|line| line.trim() != "…" && !line.is_empty()) {
            assert!(lines.any(|told| told == line), "line {}: {line:?} is not printed\n{told}", block.line);
        }
    }

    /// The last command printed just this, but for the text of the letter.
    fn printed_json(&self, block: &Block) {
        let parse = |text: &str| -> Value { serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")) };
        let (mut told, mut shown) = (parse(&self.printed), parse(block.text));
        for object in [&mut told, &mut shown] {
            assert!(object["reply"]["text"].is_string(), "{object}");
            object["reply"]["text"] = Value::Null;
        }
        assert_eq!(told, shown, "line {}", block.line);
    }

    /// The customer got one reply, and the case is there: also after it was restored.
    fn has_answered(&self) {
        let kept = self.smtpd.kept();
        assert_eq!(kept.len(), 1, "one letter, one reply");
        assert_eq!(kept[0].envelope["to"][0], "kim@example.net", "{}", kept[0].envelope);
        let mut list = program();
        list.args(["cases", "list", "--json", "--config"]).arg(self.path("etc/aftersalesd/config.toml"));
        let told = run_within(list, Duration::from_secs(30));
        assert_eq!(told.code, Some(0), "{told:?}");
        let cases = told.json();
        assert_eq!(cases.len(), 1, "{told:?}");
        assert_eq!(cases[0]["order_number"], "EX10001");
        assert_eq!(cases[0]["sku"], "EX-RUN-BK");
        assert_eq!(self.dovecot.flags("INBOX")[0].1, "\\Seen");
    }

    fn has_told_systemd(&self) {
        let told: BTreeSet<String> = self.notices.try_iter().collect();
        for notice in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
            assert!(told.contains(notice), "{notice} is not in {told:?}");
        }
    }
}

/// Reads on as systemd does: few unread notices fit into a socket, and then their sender waits.
fn receive(socket: UnixDatagram) -> Receiver<String> {
    let (sender, notices) = mpsc::channel();
    std::thread::spawn(move || {
        let mut notice = [0; 1024];
        while let Ok(length) = socket.recv(&mut notice) {
            let text = String::from_utf8_lossy(&notice[..length]).trim().to_owned();
            // The test has ended.
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    notices
}

impl Drop for Machine {
    /// Ends the daemon that `systemctl` started, if a failed test left one.
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.path("daemon.pid")) {
            // It may have ended before.
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
    }
}

/// A claim from the order feed's customer that lacks a few things.
fn letter() -> String {
    format!(
        "From: {CUSTOMER}\r\nTo: after-sales@example.com\r\nSubject: Runner does not charge, EX10001\r\n\
         Message-ID: <1@example.net>\r\nDate: {}\r\n\r\nHello,\r\n\r\nmy Runner (order EX10001) does not charge any more \
         since Monday.\r\n\r\nKim\r\n",
        jiff::Zoned::now().strftime("%a, %d %b %Y %H:%M:%S %z")
    )
}

/// Shell scripts by the command that they stand in for.
const STAND_INS: &[(&str, &str)] = &[
    // What the tests run is built; only where it is put and how it is called is the README's.
    (
        "cargo",
        r#"case "$*" in
        "build --release --locked") mkdir -p target/release; cp "$PROGRAM" target/release/aftersalesd ;;
        # It would serve its console until somebody ends it.
        "run --release -- demo") exec "$PROGRAM" demo --exit ;;
        "run --release -- "*) shift 3; exec "$PROGRAM" "$@" ;;
        *) echo "cargo $*: nobody knows how to try this" >&2; exit 1 ;;
        esac
        "#,
    ),
    // It runs this very test.
    ("tests/all", "test $# -eq 0\n"),
    ("useradd", r#"for last; do :; done; test "$last" = aftersalesd; echo "$last" >"$ROOT/users""#),
    (
        "chown",
        r#"grep -q aftersalesd "$ROOT/users"
        for last; do :; done; test -e "$last"
        case "$*" in *"aftersalesd "*|*"aftersalesd: "*) ;; *) exit 1 ;; esac
        "#,
    ),
    (
        "runuser",
        r#"grep -q "^$2$" "$ROOT/users"
        test "$1" = -u; test "$3" = --; shift 3; exec "$@"
        "#,
    ),
    (
        "systemctl",
        r#"for unit; do :; done
        unit="$ROOT/etc/systemd/system/$unit.service"
        test -s "$unit"
        case "$1" in
        start|enable)
            test "$1" = start || test "$2" = --now
            command=$(sed -n 's/^ExecStart=//p' "$unit" | sed "s| /| $ROOT/|g")
            # It is over when the command is.
            grep -q ^Type=oneshot "$unit" && exec $command
            : >"$ROOT/daemon.log"
            $command >/dev/null 2>>"$ROOT/daemon.log" &
            echo $! >"$ROOT/daemon.pid"
            for try in $(seq 200); do grep -q "aftersalesd runs" "$ROOT/daemon.log" && exit; sleep 0.1; done ;;
        stop)
            pid=$(cat "$ROOT/daemon.pid")
            kill "$pid"
            rm "$ROOT/daemon.pid"
            for try in $(seq 200); do
                grep -qs "^State:.[^Z]" "/proc/$pid/status" || break
                sleep 0.1
            done
            grep -q "aftersalesd ends" "$ROOT/daemon.log" && exit ;;
        esac
        cat "$ROOT/daemon.log" >&2
        exit 1
        "#,
    ),
];
