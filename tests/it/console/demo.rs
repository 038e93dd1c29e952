//! `demo` ends on the console, with a login that works.

use std::fs::{self, File};
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::support::http::ask;
use crate::support::program::{await_that, program};

/// Ended with the test at the latest.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended before.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_demo_opens_on_the_console_with_a_login_that_works() {
    let dir = tempfile::tempdir().unwrap();
    let told = dir.path().join("told");
    let mut command = program();
    command.args(["demo", "--port", "0", "--dir"]).arg(dir.path().join("demo"));
    command.stdout(File::create(&told).unwrap()).stderr(Stdio::null());
    let mut demo = Running(command.spawn().unwrap());
    let text = || fs::read_to_string(&told).unwrap();
    await_that(Duration::from_secs(120), "the demo tells its login", || text().contains("Ctrl-C ends it."));
    let text = text();
    let line = text.lines().find(|line| line.starts_with("console: ")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["console:", url, "name:", name, "password:", password] = words.as_slice() else { panic!("{line}") };
    let address = url.strip_prefix("http://").unwrap();
    let form = format!("name={name}&password={password}");
    let headers = [("Origin", *url), ("Content-Type", "application/x-www-form-urlencoded")];
    let answer = ask(address, "POST", "/login", &headers, form.as_bytes());
    assert!(answer.status == 303 && answer.header("set-cookie").contains("desk="), "{answer:?}");
    let ended = std::process::Command::new("kill").args(["-INT", &demo.0.id().to_string()]).status().unwrap();
    assert!(ended.success());
    await_that(Duration::from_secs(30), "Ctrl-C ends it", || demo.0.try_wait().unwrap().is_some());
    assert!(demo.0.wait().unwrap().success());
}
