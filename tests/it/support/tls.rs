//! A test authority and a certificate for the loopback interface, made by the `openssl` command.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::program;

/// PEM files; `ca` is the trust anchor.
#[derive(Clone)]
pub struct Certificates {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them in `dir`.
    pub fn make(dir: &Path) -> Self {
        let at = |name: &str| dir.join(name);
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        openssl(
            &["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=Test authority"],
            &[("-keyout", &at("ca.key")), ("-out", &at("ca.pem"))],
        );
        openssl(
            &["req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"],
            &[("-keyout", &at("server.key")), ("-out", &at("server.csr"))],
        );
        std::fs::write(at("names"), names).unwrap();
        openssl(
            &["x509", "-req", "-days", "30", "-CAcreateserial"],
            &[
                ("-in", &at("server.csr")),
                ("-CA", &at("ca.pem")),
                ("-CAkey", &at("ca.key")),
                ("-extfile", &at("names")),
                ("-out", &at("server.pem")),
            ],
        );
        Self { ca: at("ca.pem"), certificate: at("server.pem"), key: at("server.key") }
    }
}

fn openssl(words: &[&str], files: &[(&str, &Path)]) {
    let mut command = Command::new(program("openssl", "openssl"));
    command.args(words);
    for (flag, file) in files {
        command.arg(flag).arg(file);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}
