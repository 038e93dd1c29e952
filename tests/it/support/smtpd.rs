//! SMTP servers: aiosmtpd, which keeps what it takes, and Postfix's smtp-sink, which only counts.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use aftersalesd::ports::{Login, Security, Server};
use serde_json::Value;

use super::tls::Certificates;
use super::{Process, await_port, free_port, is_root, program};

pub struct Smtpd {
    _process: Process,
    dir: tempfile::TempDir,
    port: u16,
    security: Security,
    pub certificates: Certificates,
}

/// A mail as it arrived.
pub struct Kept {
    pub raw: Vec<u8>,
    /// `from` (empty for the null sender), `to`, `tls`, `authenticated`, `connection`.
    pub envelope: Value,
}

impl Smtpd {
    /// `options` are those of `smtpd.py`.
    pub fn start(security: Security, options: &[&str]) -> Self {
        let python = "/usr/bin/python3";
        let installed = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        assert!(
            installed.is_ok_and(|status| status.success()),
            "aiosmtpd is not installed: apt-get install python3-aiosmtpd"
        );
        let dir = tempfile::tempdir().unwrap();
        let certificates = Certificates::make(dir.path());
        let port = free_port();
        let mut command = Command::new(python);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/smtpd.py"))
            .args(["--port", &port.to_string()])
            .args(["--security", &format!("{security:?}").to_lowercase()])
            .arg("--dir")
            .arg(dir.path())
            .arg("--certificate")
            .arg(&certificates.certificate)
            .arg("--key")
            .arg(&certificates.key)
            .args(options)
            .stderr(Stdio::null());
        let process = Process::start(&mut command);
        await_port(port, "aiosmtpd");
        Self { _process: process, dir, port, security, certificates }
    }

    /// How to get there, with this login.
    pub fn server(&self, login: Option<(&str, &str)>) -> Server {
        Server {
            host: "127.0.0.1".into(),
            port: self.port,
            security: self.security,
            login: login.map(|(user, password)| Login::by_password(user, password)),
            ca_file: Some(self.certificates.ca.clone()),
            timeout: Duration::from_secs(5),
        }
    }

    /// What was taken, in order.
    pub fn kept(&self) -> Vec<Kept> {
        self.kept_after(0)
    }

    /// The same without the first `known` ones.
    pub fn kept_after(&self, known: usize) -> Vec<Kept> {
        let read = |number: usize| {
            let raw = fs::read(self.dir.path().join(format!("{number}.eml"))).ok()?;
            let envelope = fs::read(self.dir.path().join(format!("{number}.json"))).unwrap();
            Some(Kept { raw, envelope: serde_json::from_slice(&envelope).unwrap() })
        };
        (known + 1..).map_while(read).collect()
    }

    /// Where a mail lies, for other programs.
    pub fn file(&self, number: usize) -> std::path::PathBuf {
        self.dir.path().join(format!("{number}.eml"))
    }
}

/// Takes all mail and keeps none.
pub struct SmtpSink {
    _process: Process,
    pub port: u16,
}

impl SmtpSink {
    pub fn start() -> Self {
        let port = free_port();
        let mut command = Command::new(program("smtp-sink", "postfix"));
        if is_root() {
            command.args(["-u", "nobody"]);
        }
        command.arg(format!("127.0.0.1:{port}")).arg("100").stdout(Stdio::null());
        let process = Process::start(&mut command);
        await_port(port, "smtp-sink");
        Self { _process: process, port }
    }

    pub fn server(&self) -> Server {
        Server {
            host: "127.0.0.1".into(),
            port: self.port,
            security: Security::None,
            login: None,
            ca_file: None,
            timeout: Duration::from_secs(5),
        }
    }
}
