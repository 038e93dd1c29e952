//! Other makers' IMAP servers: Cyrus and Courier, each with one user whose INBOX is empty.
//!
//! Debian's packages of them can't be installed beside Dovecot's. `tests/all` unpacks them below `target/imap-servers`;
//! `AFTERSALESD_IMAP_SERVERS` names another folder, `/` the system's own. Where they are not, their tests say so.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aftersalesd::ports::{Login, Security, Server};

use super::tls::Certificates;
use super::{Process, await_port, free_port, is_root, whoami};

const USER: &str = "claims";
const PASSWORD: &str = "secret \"with\\ quotes";

/// A server with its mail; ends with the test.
pub trait ImapServer {
    fn name(&self) -> &'static str;

    fn port(&self) -> u16;

    /// Ends all sessions; after that it serves as before.
    fn restart(&mut self);

    /// The ways in with TLS, each with its port, and who signed the certificate.
    fn secured(&self) -> (Vec<(Security, u16)>, &Certificates);

    fn server(&self) -> Server {
        Server {
            host: "127.0.0.1".into(),
            port: self.port(),
            security: Security::None,
            login: Some(Login::by_password(USER, PASSWORD)),
            ca_file: None,
            timeout: Duration::from_secs(10),
        }
    }

    /// The server by each of its ways in with TLS.
    fn secured_servers(&self) -> Vec<Server> {
        let (ways, certificates) = self.secured();
        let server =
            |(security, port)| Server { port, security, ca_file: Some(certificates.ca.clone()), ..self.server() };
        ways.into_iter().map(server).collect()
    }

    fn client(&self) -> Client {
        Client::log_in(self.port(), USER)
    }
}

/// The servers that are there; says which are not.
pub fn all() -> Vec<Box<dyn ImapServer>> {
    let mut servers: Vec<Box<dyn ImapServer>> = Vec::new();
    match found("usr/lib/cyrus/bin/imapd") {
        Some(root) => servers.push(Box::new(Cyrus::start(&root))),
        None => println!("skipped: Cyrus is not there (Debian package cyrus-imapd)"),
    }
    match found("usr/lib/courier/imapd") {
        Some(root) => servers.push(Box::new(Courier::start(&root))),
        None => println!("skipped: Courier is not there (Debian package courier-imap)"),
    }
    servers
}

/// The folder that the packages were unpacked in.
fn found(file: &str) -> Option<PathBuf> {
    let named = std::env::var_os("AFTERSALESD_IMAP_SERVERS").map(PathBuf::from);
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/imap-servers");
    [named, Some(unpacked), Some(PathBuf::from("/"))].into_iter().flatten().find(|root| root.join(file).is_file())
}

fn command(root: &Path, program: &str) -> Command {
    let mut command = Command::new(root.join(program));
    if root != Path::new("/") {
        let libraries = ["usr/lib/x86_64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib"];
        let folders = libraries.iter().chain(&["usr/lib/courier-authlib"]).map(|folder| root.join(folder));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap());
    }
    command.stdin(Stdio::null());
    command
}

// --- Cyrus --------------------------------------------------------------------------------------------------------

struct Cyrus {
    root: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    imaps: u16,
    certificates: Certificates,
    process: Option<Process>,
}

impl Cyrus {
    fn start(root: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (port, imaps) = (free_port(), free_port());
        let certificates = Certificates::make(dir.path());
        let here = dir.path().display().to_string();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // The key of a test; the server's user is another one.
        fs::set_permissions(&certificates.key, fs::Permissions::from_mode(0o644)).unwrap();
        // It refuses to run as root.
        let user = if is_root() { "mail".to_owned() } else { whoami().0 };
        let configuration = format!(
            "configdirectory: {here}/state\npartition-default: {here}/mail\ndefaultpartition: default\nadmins: admin\n\
             cyrus_user: {user}\nallowplaintext: yes\nsasl_mech_list: PLAIN LOGIN\n\
             sasl_pwcheck_method: saslauthd\nsasl_saslauthd_path: {here}/passwords\nvirtdomains: off\n\
             unixhierarchysep: no\naltnamespace: no\ntls_server_cert: {certificate}\ntls_server_key: {key}\n",
            certificate = certificates.certificate.display(),
            key = certificates.key.display(),
        );
        fs::write(dir.path().join("imapd.conf"), configuration).unwrap();
        let bin = root.join("usr/lib/cyrus/bin");
        let services = format!(
            "START {{\n  recover cmd=\"{bin}/ctl_cyrusdb -C {here}/imapd.conf -r\"\n  \
             idle cmd=\"{bin}/idled -C {here}/imapd.conf\"\n}}\n\
             SERVICES {{\n  imap cmd=\"{bin}/imapd -C {here}/imapd.conf -U 30\" listen=\"127.0.0.1:{port}\"\n  \
             imaps cmd=\"{bin}/imapd -C {here}/imapd.conf -s\" listen=\"127.0.0.1:{imaps}\"\n}}\n\
             EVENTS {{\n}}\n",
            bin = bin.display()
        );
        fs::write(dir.path().join("cyrus.conf"), services).unwrap();
        for folder in ["state", "state/socket", "mail"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let listener = UnixListener::bind(dir.path().join("passwords")).unwrap();
        fs::set_permissions(dir.path().join("passwords"), fs::Permissions::from_mode(0o777)).unwrap();
        std::thread::spawn(move || check_passwords(&listener));
        if is_root() {
            let given = Command::new("chown").arg("-R").arg("mail").arg(dir.path()).status().unwrap();
            assert!(given.success());
        }
        let mut cyrus = Self { root: root.to_owned(), dir, port, imaps, certificates, process: None };
        cyrus.run();
        let mut admin = Client::log_in(port, "admin");
        admin.ok(&format!("CREATE user.{USER}"));
        cyrus
    }

    fn run(&mut self) {
        let mut master = command(&self.root, "usr/lib/cyrus/bin/master");
        let here = |name: &str| self.dir.path().join(name);
        master.arg("-C").arg(here("imapd.conf")).arg("-M").arg(here("cyrus.conf")).arg("-p").arg(here("pid")).arg("-D");
        // It ends its whole group with itself.
        master.process_group(0);
        self.process = Some(Process::start(master.stdout(Stdio::null()).stderr(Stdio::null())));
        await_port(self.port, "Cyrus");
    }
}

impl ImapServer for Cyrus {
    fn name(&self) -> &'static str {
        "Cyrus"
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn secured(&self) -> (Vec<(Security, u16)>, &Certificates) {
        (vec![(Security::Tls, self.imaps), (Security::Starttls, self.port)], &self.certificates)
    }

    fn restart(&mut self) {
        self.process.take().unwrap().stop();
        self.run();
    }
}

/// What saslauthd does: four counted strings in, user and password first; `OK` or `NO` out.
fn check_passwords(listener: &UnixListener) {
    let answer = |stream: &mut UnixStream| -> std::io::Result<()> {
        let mut fields = Vec::new();
        for _ in 0..4 {
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut field = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut field)?;
            fields.push(String::from_utf8_lossy(&field).into_owned());
        }
        let right = [USER, "admin"].contains(&fields[0].as_str()) && fields[1] == PASSWORD;
        stream.write_all(if right { b"\0\x02OK" } else { b"\0\x02NO" })
    };
    for stream in listener.incoming() {
        // A server that is ended in the midst of a question asks no more.
        let _ = answer(&mut stream.unwrap());
    }
}

// --- Courier ------------------------------------------------------------------------------------------------------

/// The listener and the login are ours, as Courier's need a configuration in `/etc`; all after that is its own.
struct Courier {
    port: u16,
    imaps: u16,
    certificates: Certificates,
    sessions: Arc<Mutex<Vec<Child>>>,
    _dir: tempfile::TempDir,
}

impl Courier {
    fn start(root: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = command(root, "usr/bin/maildirmake.courier").arg(dir.path().join("Maildir")).status().unwrap();
        assert!(made.success());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let sessions = Arc::new(Mutex::new(Vec::new()));
        let (courier, home, all) = (root.to_owned(), dir.path().to_owned(), Arc::clone(&sessions));
        let root = courier.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (root, home, all) = (root.clone(), home.clone(), Arc::clone(&all));
                std::thread::spawn(move || {
                    let stream = stream.unwrap();
                    // Whoever breaks off before the login is gone.
                    if let Ok(Some(tag)) = log_in(&stream) {
                        all.lock().unwrap().push(session(&root, &home, &stream, &tag));
                    }
                });
            }
        });
        let certificates = Certificates::make(dir.path());
        let imaps = front(&courier, port, &certificates, Arc::clone(&sessions));
        Self { port, imaps, certificates, sessions, _dir: dir }
    }
}

const CAPABILITIES: &str = "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT SORT QUOTA IDLE";

/// Courier's own TLS (`couriertls`) on a port of its own, which hands on to the plain one; the port.
fn front(root: &Path, plain: u16, certificates: &Certificates, sessions: Arc<Mutex<Vec<Child>>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // It wants one file of certificate and key.
    let both = certificates.certificate.with_extension("both");
    let parts = [&certificates.certificate, &certificates.key].map(|part| fs::read_to_string(part).unwrap());
    fs::write(&both, parts.concat()).unwrap();
    let root = root.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let end = || OwnedFd::from(stream.try_clone().unwrap());
            let mut tls = command(&root, "usr/bin/couriertls");
            let onward = format!("exec 3<>/dev/tcp/127.0.0.1/{plain}; cat <&3 & exec cat >&3");
            tls.args(["-tcpd", "-server", "bash", "-c", &onward]).env("TLS_CERTFILE", &both);
            tls.stdin(end()).stdout(end()).stderr(Stdio::null());
            sessions.lock().unwrap().push(tls.spawn().unwrap());
        }
    });
    port
}

/// The dialogue up to the login; its tag, unless the client leaves before.
fn log_in(mut stream: &TcpStream) -> std::io::Result<Option<String>> {
    stream.write_all(format!("* OK [CAPABILITY {CAPABILITIES}] Courier-IMAP ready.\r\n").as_bytes())?;
    loop {
        // By bytes: what follows the login is the server's to read.
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\n") {
            if stream.read(&mut byte)? == 0 {
                return Ok(None);
            }
            line.push(byte[0]);
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let (tag, command) = line.split_once(' ').unwrap_or((&line, ""));
        let expected = format!("LOGIN {} {}", quoted(USER), quoted(PASSWORD));
        if command == expected {
            return Ok(Some(tag.to_owned()));
        }
        let answer = match command {
            "CAPABILITY" => format!("* CAPABILITY {CAPABILITIES}\r\n{tag} OK CAPABILITY completed\r\n"),
            _ if command.starts_with("LOGIN") => format!("{tag} NO Login failed.\r\n"),
            _ => format!("{tag} BAD Error in IMAP command received by server.\r\n"),
        };
        stream.write_all(answer.as_bytes())?;
    }
}

fn session(root: &Path, home: &Path, stream: &TcpStream, tag: &str) -> Child {
    let end = || OwnedFd::from(stream.try_clone().unwrap());
    let mut imapd = command(root, "usr/bin/imapd");
    imapd.arg("Maildir").current_dir(home).stdin(end()).stdout(end()).stderr(Stdio::null());
    for (name, value) in [
        ("HOME", home.to_str().unwrap()),
        ("AUTHENTICATED", USER),
        ("AUTHADDR", USER),
        ("IMAPLOGINTAG", tag),
        ("TCPREMOTEIP", "127.0.0.1"),
        ("TCPREMOTEPORT", "9"),
        ("PROTOCOL", "IMAP"),
        ("IMAP_CAPABILITY", CAPABILITIES),
        ("IMAP_KEYWORDS", "1"),
        // Its locks wait for a service of the desktop that is not there.
        ("IMAP_USELOCKS", "0"),
        // In seconds; 60 unless configured.
        ("IMAP_IDLE_TIMEOUT", "1"),
    ] {
        imapd.env(name, value);
    }
    imapd.spawn().unwrap()
}

impl ImapServer for Courier {
    fn name(&self) -> &'static str {
        "Courier"
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn secured(&self) -> (Vec<(Security, u16)>, &Certificates) {
        (vec![(Security::Tls, self.imaps)], &self.certificates)
    }

    fn restart(&mut self) {
        for mut session in self.sessions.lock().unwrap().drain(..) {
            session.kill().unwrap();
            session.wait().unwrap();
        }
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.restart();
    }
}

// --- a client -----------------------------------------------------------------------------------------------------

/// Somebody else at the mailbox: delivers, looks, moves folders.
pub struct Client {
    stream: BufReader<TcpStream>,
    tag: usize,
}

impl Client {
    fn log_in(port: u16, user: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut client = Self { stream: BufReader::new(stream), tag: 0 };
        client.line();
        client.ok(&format!("LOGIN {} {}", quoted(user), quoted(PASSWORD)));
        client
    }

    /// A command that has to succeed; its untagged lines.
    pub fn ok(&mut self, command: &str) -> Vec<String> {
        let (lines, status) = self.run(command);
        assert!(status.starts_with("OK"), "{command}: {status}");
        lines
    }

    /// Untagged lines and status.
    pub fn run(&mut self, command: &str) -> (Vec<String>, String) {
        self.send(&format!("{command}\r\n"));
        self.answer()
    }

    /// Delivers a mail.
    pub fn append(&mut self, folder: &str, raw: &str) {
        self.send(&format!("APPEND {folder} {{{}}}\r\n", raw.len()));
        let go_on = self.line();
        assert!(go_on.starts_with('+'), "{go_on}");
        self.stream.get_mut().write_all(format!("{raw}\r\n").as_bytes()).unwrap();
        let (_, status) = self.answer();
        assert!(status.starts_with("OK"), "APPEND: {status}");
    }

    /// How many mails of a folder there are, and how many of them are seen.
    pub fn seen(&mut self, folder: &str) -> (usize, usize) {
        self.ok(&format!("EXAMINE {folder}"));
        let lines = self.ok("UID FETCH 1:* (FLAGS)");
        let fetched: Vec<&String> = lines.iter().filter(|line| line.contains("FETCH")).collect();
        (fetched.len(), fetched.iter().filter(|line| line.contains("\\Seen")).count())
    }

    fn send(&mut self, command: &str) {
        self.tag += 1;
        self.stream.get_mut().write_all(format!("t{} {command}", self.tag).as_bytes()).unwrap();
    }

    fn answer(&mut self) -> (Vec<String>, String) {
        let tag = format!("t{} ", self.tag);
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            match line.strip_prefix(&tag) {
                Some(status) => return (lines, status.to_owned()),
                None => lines.push(line),
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.stream.read_line(&mut line).unwrap() > 0, "the server broke off");
        line.trim_end().to_owned()
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
