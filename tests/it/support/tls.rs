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

/// Why a certificate is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    OtherName,
    Expired,
    SelfSigned,
}

impl Certificates {
    /// Makes them in `dir`.
    pub fn make(dir: &Path) -> Self {
        Self::made(dir, "subjectAltName=DNS:localhost,IP:127.0.0.1", &["-days", "30"])
    }

    /// Makes some that no client should take for 127.0.0.1.
    pub fn flawed(dir: &Path, flaw: Flaw) -> Self {
        let names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        match flaw {
            Flaw::OtherName => Self::made(dir, "subjectAltName=DNS:mail.example.net", &["-days", "30"]),
            Flaw::Expired => Self::made(dir, names, &["-days", "-1"]),
            Flaw::SelfSigned => {
                let trusted = Self::make(dir);
                let (certificate, key) = (dir.join("own.pem"), dir.join("own.key"));
                let subject =
                    ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=localhost"];
                openssl(&[&subject[..], &["-addext", names]].concat(), &[("-keyout", &key), ("-out", &certificate)]);
                Self { certificate, key, ..trusted }
            }
        }
    }

    fn made(dir: &Path, names: &str, validity: &[&str]) -> Self {
        let at = |name: &str| dir.join(name);
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
            &[&["x509", "-req", "-CAcreateserial"], validity].concat(),
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
