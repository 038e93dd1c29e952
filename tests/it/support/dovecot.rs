//! A Dovecot of its own for a test: one user, a Maildir, IMAP with STARTTLS and IMAPS on loopback ports.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aftersalesd::ports::{Login, Security, Server};

use super::tls::Certificates;
use super::{Process, await_port, free_port, is_root, program, whoami};

pub const USER: &str = "claims@example.com";
pub const PASSWORD: &str = "secret \"with\\ quotes";

pub struct Dovecot {
    process: Process,
    dir: tempfile::TempDir,
    pub imap: u16,
    pub imaps: u16,
    pub certificates: Certificates,
    delivered: AtomicU32,
}

impl Dovecot {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// With further lines of configuration.
    pub fn start_with(further: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Dovecot's workers are ordinary users and must get through.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let certificates = Certificates::make(dir.path());
        let (imap, imaps) = (free_port(), free_port());
        for folder in ["", "cur", "new", "tmp"] {
            fs::create_dir_all(dir.path().join("mail").join(folder)).unwrap();
        }
        fs::write(dir.path().join("users"), format!("{USER}:{{PLAIN}}{PASSWORD}::::::\n")).unwrap();
        fs::write(dir.path().join("conf"), configuration(dir.path(), imap, imaps, &certificates, further)).unwrap();
        let process = run(dir.path(), imap);
        let dovecot = Self { process, dir, imap, imaps, certificates, delivered: AtomicU32::new(0) };
        dovecot.give_away();
        dovecot
    }

    /// Stops it and starts it again, on the same ports with the same mail.
    pub fn restart(&mut self) {
        self.process.stop();
        self.process = run(self.dir.path(), self.imap);
    }

    /// Loses what it knew of INBOX: its UIDs begin again under another UIDVALIDITY.
    pub fn renumber(&mut self) {
        self.process.stop();
        for entry in fs::read_dir(self.maildir()).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            // `dovecot-uidvalidity` stays: no number comes twice.
            if name == "dovecot-uidlist" || name.starts_with("dovecot.index") {
                fs::remove_file(path).unwrap();
            }
        }
        self.process = run(self.dir.path(), self.imap);
    }

    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// How to get there.
    pub fn server(&self, security: Security) -> Server {
        Server {
            host: "127.0.0.1".into(),
            port: if security == Security::Tls { self.imaps } else { self.imap },
            security,
            login: Some(Login::by_password(USER, PASSWORD)),
            ca_file: Some(self.certificates.ca.clone()),
            timeout: Duration::from_secs(10),
        }
    }

    /// Delivers a mail into INBOX as an MDA does.
    pub fn deliver(&self, raw: &(impl AsRef<[u8]> + ?Sized)) {
        self.place(raw);
        self.give_away();
    }

    /// Delivers mails in this order.
    pub fn deliver_all(&self, mails: impl IntoIterator<Item = impl AsRef<[u8]>>) {
        mails.into_iter().for_each(|raw| self.place(raw));
        self.give_away();
    }

    /// What `doveadm` answers.
    pub fn doveadm(&self, words: &[&str]) -> String {
        let mut command = Command::new(program("doveadm", "dovecot-core"));
        command.arg("-c").arg(self.dir.path().join("conf")).args(words);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn make_folder(&self, name: &str) {
        self.doveadm(&["mailbox", "create", "-u", USER, name]);
    }

    /// Removes it with all mail and makes it anew: its UIDs begin again under another UIDVALIDITY.
    pub fn remake_folder(&self, name: &str) {
        self.doveadm(&["mailbox", "delete", "-u", USER, name]);
        self.make_folder(name);
    }

    /// Copies all mail of INBOX into a folder.
    pub fn copy_to(&self, folder: &str) {
        self.doveadm(&["copy", "-u", USER, folder, "mailbox", "INBOX", "all"]);
    }

    pub fn expunge(&self, uid: u32) {
        self.doveadm(&["expunge", "-u", USER, "mailbox", "INBOX", "uid", &uid.to_string()]);
    }

    /// The flags of each mail of a folder, by UID.
    pub fn flags(&self, folder: &str) -> Vec<(u32, String)> {
        let told = self.doveadm(&["-f", "tab", "fetch", "-u", USER, "uid flags", "mailbox", folder, "all"]);
        let parse = |line: &str| {
            let (uid, flags) = line.split_once('\t').unwrap();
            (uid.parse().unwrap(), flags.replace("\\Recent", "").trim().to_owned())
        };
        told.lines().skip(1).map(parse).collect()
    }

    pub fn maildir(&self) -> PathBuf {
        self.dir.path().join("mail")
    }

    fn place(&self, raw: impl AsRef<[u8]>) {
        let number = self.delivered.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.M{number}.test", 1_700_000_000 + number);
        fs::write(self.maildir().join("tmp").join(&name), raw).unwrap();
        if is_root_cached() {
            std::os::unix::fs::chown(self.maildir().join("tmp").join(&name), Some(8), Some(8)).unwrap();
        }
        fs::rename(self.maildir().join("tmp").join(&name), self.maildir().join("new").join(&name)).unwrap();
    }

    /// As root: the folders belong to the user `mail`, whom Dovecot reads as.
    fn give_away(&self) {
        if is_root_cached() {
            for folder in ["", "cur", "new", "tmp"] {
                std::os::unix::fs::chown(self.maildir().join(folder), Some(8), Some(8)).unwrap();
            }
        }
    }
}

fn is_root_cached() -> bool {
    static ROOT: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ROOT.get_or_init(is_root)
}

fn run(dir: &Path, port: u16) -> Process {
    let mut command = Command::new(program("dovecot", "dovecot-imapd"));
    command.arg("-F").arg("-c").arg(dir.join("conf"));
    let process = Process::start(&mut command);
    await_port(port, "Dovecot");
    process
}

fn configuration(dir: &Path, imap: u16, imaps: u16, certificates: &Certificates, further: &str) -> String {
    let dir = dir.display();
    let (user, group) = whoami();
    // Root may hand its parts to Debian's own users; anybody else runs all of it.
    let (mail, users) = if is_root_cached() {
        ("uid=8 gid=8".to_owned(), String::new())
    } else {
        let own = format!(
            "default_internal_user = {user}\ndefault_internal_group = {group}\ndefault_login_user = {user}\n\
             service anvil {{\n  chroot =\n}}\nservice imap-login {{\n  chroot =\n}}\n"
        );
        (format!("uid={user} gid={group}"), own)
    };
    format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/log\nprotocols = imap\n\
         listen = 127.0.0.1\nfirst_valid_uid = 1\nmail_location = maildir:{dir}/mail\n\
         disable_plaintext_auth = no\nssl = yes\nssl_cert = <{certificate}\nssl_key = <{key}\n\
         auth_mechanisms = plain login\nmail_max_userip_connections = 50\n\
         passdb {{\n  driver = passwd-file\n  args = username_format=%u {dir}/users\n}}\n\
         userdb {{\n  driver = static\n  args = {mail} home={dir}/mail\n}}\n\
         namespace inbox {{\n  inbox = yes\n}}\n\
         service imap-login {{\n  inet_listener imap {{\n    port = {imap}\n  }}\n  \
         inet_listener imaps {{\n    port = {imaps}\n    ssl = yes\n  }}\n}}\n\
         service stats {{\n  unix_listener stats-writer {{\n    mode = 0666\n  }}\n}}\n{users}{further}",
        certificate = certificates.certificate.display(),
        key = certificates.key.display(),
    )
}
