//! Real servers for the tests: Debian's Dovecot, aiosmtpd and smtp-sink, and a scripted one for faults they won't show.
//!
//! A server that is not installed fails the test and says which package it is in: a skipped test proves nothing.

#![allow(dead_code, reason = "each test module uses its own part")]

pub mod authority;
pub mod chromium;
pub mod dovecot;
pub mod elsewhere;
pub mod http;
pub mod nameserver;
pub mod post;
pub mod program;
pub mod proxy;
pub mod scripted;
pub mod shop;
pub mod smtpd;
pub mod tls;

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The program's path, also where an ordinary user's PATH does not lead.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/usr/local/sbin", "/sbin"]);
    folders
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed: apt-get install {package}"))
}

/// A port of the loopback interface that nobody listens on, each time another: below those that the system gives to
/// whoever connects, lest one of them is taken before its server listens.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 10_000;
    const COUNT: u32 = 22_000;
    let begin = std::process::id().wrapping_mul(97);
    let ports = std::iter::repeat_with(|| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT);
    let ports = ports.map(|port| u16::try_from(port).unwrap()).take(COUNT as usize);
    let mut ports = ports;
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("no free port")
}

/// Waits until somebody listens.
pub fn await_port(port: u16, who: &str) {
    let until = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "{who} does not listen on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that ends with the test.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }

    /// Asks it to end (SIGTERM), then ends it.
    pub fn stop(&mut self) {
        let asked = Command::new("kill").arg(self.0.id().to_string()).status();
        let until = Instant::now() + Duration::from_secs(3);
        while asked.is_ok() && Instant::now() < until {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// Whether the tests run as root: servers then need an ordinary user to run as.
pub fn is_root() -> bool {
    let out = Command::new("id").arg("-u").output().unwrap();
    out.stdout.trim_ascii() == b"0"
}

/// The name of the user and group that the tests run as.
pub fn whoami() -> (String, String) {
    let ask = |flag: &str| {
        String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap().trim().to_owned()
    };
    (ask("-un"), ask("-gn"))
}

/// A small mail; `number` makes it unlike the others.
pub fn letter(number: usize, size: usize) -> String {
    let head = format!(
        "From: Jo <jo{number}@example.net>\r\nTo: us@example.com\r\nSubject: Letter {number}\r\n\
         Message-ID: <{number}@example.net>\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\r\n"
    );
    let line = "The strap of my watch came off while I was charging it last night.\r\n";
    let body = line.repeat(size.saturating_sub(head.len()) / line.len());
    format!("{head}{body}-- \r\nJo {number}\r\n")
}
