//! The program as a person or systemd starts it: a folder with a configuration and the feeds, its commands, what they
//! tell.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aftersalesd::config::SECRETS;
use aftersalesd::ports::{Credential, Security, Server};
use jiff::Zoned;
use serde_json::Value;

/// The longest that any command may take.
const PATIENCE: Duration = Duration::from_secs(60);

pub const PRODUCTS: &str = include_str!("../../../src/app/demo/products.csv");
pub const FROM: &str = "claims@example.com";

/// A folder with `config.toml`, `products.csv` and `orders.csv`; the store is below it.
pub struct Installation {
    dir: tempfile::TempDir,
}

impl Installation {
    /// With these keys in `[mailbox]` and `[delivery]` and these further tables. Orders: see [`orders`].
    pub fn new(mailbox: &str, delivery: &str, further: &str) -> Self {
        let here = Self { dir: tempfile::tempdir().unwrap() };
        here.write("products.csv", PRODUCTS);
        here.write("orders.csv", orders());
        here.configure(mailbox, delivery, further);
        here
    }

    /// Two Maildirs, `inbox` and `replies`.
    pub fn of_maildirs() -> Self {
        let here = Self::new("kind = \"maildir\"\npath = \"inbox\"", "kind = \"maildir\"\npath = \"replies\"", "");
        for folder in ["cur", "new", "tmp"] {
            fs::create_dir_all(here.path("inbox").join(folder)).unwrap();
        }
        here
    }

    pub fn configure(&self, mailbox: &str, delivery: &str, further: &str) {
        let text = format!(
            "[mailbox]\n{mailbox}\n[delivery]\n{delivery}\nfrom = \"KOSPET After-Sales <{FROM}>\"\n\
             [store]\npath = \"store\"\n[catalogue]\nfile = \"products.csv\"\n[orders]\nfile = \"orders.csv\"\n{further}"
        );
        self.write("config.toml", &text);
        // It may hold a password.
        fs::set_permissions(self.path("config.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let file = self.path(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Changes the configuration in place.
    pub fn replace(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("config.toml")).unwrap();
        assert!(text.contains(old), "{old:?} is not in\n{text}");
        self.write("config.toml", text.replace(old, new));
    }

    /// Delivers a mail into the Maildir `inbox`.
    pub fn deliver(&self, name: &str, raw: &[u8]) {
        self.write(&format!("inbox/tmp/{name}"), raw);
        fs::rename(self.path("inbox/tmp").join(name), self.path("inbox/new").join(name)).unwrap();
    }

    /// The mails in the Maildir `replies`.
    pub fn replies(&self) -> Vec<Vec<u8>> {
        let Ok(entries) = fs::read_dir(self.path("replies/new")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// Delivers a mail into the Maildir `inbox`, runs `once`, and gives what was answered.
    pub fn say(&self, raw: &str) -> Vec<Vec<u8>> {
        let name = format!("{}.host", fs::read_dir(self.path("inbox/cur")).unwrap().count());
        let before = self.replies();
        self.deliver(&name, raw.as_bytes());
        self.ok(&["once"]);
        self.replies().into_iter().filter(|reply| !before.contains(reply)).collect()
    }

    /// Runs a command with `--config`, to its end.
    pub fn run(&self, words: &[&str]) -> Told {
        run(self.command(words))
    }

    /// Runs a command that has to succeed.
    pub fn ok(&self, words: &[&str]) -> Told {
        let told = self.run(words);
        assert_eq!(told.code, Some(0), "{words:?}: {told:?}");
        told
    }

    /// A command that has to succeed and tells one JSON object a line.
    pub fn json(&self, words: &[&str]) -> Vec<Value> {
        self.ok(words).json()
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = program();
        command.args(words).arg("--config").arg(self.path("config.toml")).current_dir("/");
        command
    }

    /// Starts `run` and waits until it does.
    pub fn start(&self) -> Daemon {
        let daemon = self.start_with(&mut self.command(&["run"]));
        daemon.await_log("aftersalesd runs");
        daemon
    }

    pub fn start_with(&self, command: &mut Command) -> Daemon {
        let log = self.path("daemon.log");
        let file = File::create(&log).unwrap();
        Daemon { child: command.stdout(Stdio::null()).stderr(file).spawn().unwrap(), log }
    }
}

/// `aftersalesd run`; killed at the end of the test at the latest.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// The most memory that it ever held, in MiB (Linux).
    pub fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// SIGTERM; its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        signal(&self.child, "TERM");
        await_end(&mut self.child, PATIENCE).unwrap_or_else(|| panic!("SIGTERM ends it: {}", self.log()))
    }

    /// SIGHUP: everything is to be read anew.
    pub fn hang_up(&self) {
        signal(&self.child, "HUP");
    }

    /// SIGKILL, as a power cut does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    pub fn await_log(&self, text: &str) {
        await_that(PATIENCE, &format!("{text:?} in the log"), || self.log().contains(text));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a command told.
#[derive(Debug)]
pub struct Told {
    /// `None`: killed by a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Told {
    /// The lines on standard error that are not the log's.
    pub fn complaints(&self) -> Vec<&str> {
        let is_log = |line: &&str| {
            let mut words = line.split_ascii_whitespace();
            words.next().is_some_and(|stamp| stamp.ends_with('Z') && stamp.contains('T'))
                && words.next().is_some_and(|level| ["ERROR", "WARN", "INFO"].contains(&level))
        };
        self.err.lines().filter(|line| !is_log(line)).collect()
    }

    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.out.lines().map(parse).collect()
    }
}

/// The program, without the variables that would change what it does.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftersalesd"));
    for variable in SECRETS.into_iter().chain(["AFTERSALESD_LOG", "NOTIFY_SOCKET"]) {
        command.env_remove(variable);
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs a command to its end, within [`PATIENCE`].
pub fn run(command: Command) -> Told {
    run_within(command, PATIENCE)
}

pub fn run_within(mut command: Command, patience: Duration) -> Told {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(dir.path().join(name)).unwrap();
    let mut child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
    let ended = await_end(&mut child, patience);
    let read = |name: &str| String::from_utf8_lossy(&fs::read(dir.path().join(name)).unwrap()).into_owned();
    let (out, err) = (read("out"), read("err"));
    let Some(code) = ended else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("{command:?} takes longer than {patience:?}\n{err}");
    };
    Told { code, out, err }
}

/// Waits until something is so.
pub fn await_that(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < until, "waited {patience:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn await_end(child: &mut Child, patience: Duration) -> Option<Option<i32>> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status.code());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// The keys of `[mailbox]` or `[delivery]` that lead to a server.
pub fn keys(kind: &str, server: &Server) -> String {
    let mut keys = format!(
        "kind = {kind:?}\nhost = {:?}\nport = {}\nsecurity = {:?}\ntimeout = \"5s\"\n",
        server.host,
        server.port,
        match server.security {
            Security::Tls => "tls",
            Security::Starttls => "starttls",
            Security::None => "none",
        }
    );
    if let Some(login) = &server.login {
        keys += &format!("user = {:?}\n", login.user);
        keys += &match &login.credential {
            Credential::Password(password) => format!("password = {:?}\n", password.reveal()),
            Credential::Tokens(_) => "auth = \"oauth2\"\n".to_owned(),
        };
    }
    if let (Some(ca), false) = (&server.ca_file, server.security == Security::None) {
        keys += &format!("ca_file = {:?}\n", ca.display().to_string());
    }
    keys
}

/// An order feed; the days of receipt go with the clock.
///
/// KS50001 of priya@example.net, a TANK T3 Ultra, received 100 days ago; KS50002 of sabine@example.net, a MAGIC 5,
/// received 3 days ago.
pub fn orders() -> String {
    let ago = |days: i64| Zoned::now().date().checked_sub(jiff::Span::new().days(days)).unwrap();
    format!(
        "order_number,email,sku,delivered_on\nKS50001,priya@example.net,KP-TKT3U-BK,{}\n\
         KS50002,sabine@example.net,KP-MG5-SV,{}\n",
        ago(100),
        ago(3)
    )
}

/// A file of the sample mail that the demo brings.
pub fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/app/demo").join(name)
}
