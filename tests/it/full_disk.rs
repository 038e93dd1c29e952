//! A full disk: intake and sending stop, nothing is acknowledged, one line says so, and all goes on when there is room.
//!
//! The store lies on a small file system in memory, which only root (or sudo without a password) can mount: without,
//! these tests say so and prove nothing.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::passes::{NO_CAP, Post};
use crate::stores::{kept, tar};
use crate::support::program::{Daemon, Installation, Told, await_that};
use crate::support::{is_root, letter};

const PATIENT: &str = "poll_interval = \"10m\"\n";
const SIZE: usize = 16 << 20;

/// A file system of [`SIZE`] bytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`: this user can't mount one.
    fn mount(folder: PathBuf) -> Option<Self> {
        fs::create_dir_all(&folder).unwrap();
        let id = |flag: &str| String::from_utf8(Command::new("id").arg(flag).output().unwrap().stdout).unwrap();
        let options = format!("size={SIZE},mode=700,uid={},gid={}", id("-u").trim(), id("-g").trim());
        let mut mount = as_root("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&folder);
        match mount.output() {
            Ok(done) if done.status.success() => Some(Self(folder)),
            failed => {
                println!("skipped: no file system can be mounted here, and so none filled: {failed:?}");
                None
            }
        }
    }

    /// Takes all room but for this many bytes.
    fn fill(&self, but: usize) {
        let filler = self.0.join("filler");
        let mut size = SIZE;
        let full = loop {
            // As much as there is: what others write meanwhile is taken into account.
            match fs::write(&filler, vec![1; size]) {
                Ok(()) => break size,
                Err(_) => size = fs::metadata(&filler).map_or(size, |file| file.len() as usize).saturating_sub(1),
            }
        };
        fs::File::options().write(true).open(&filler).unwrap().set_len(full.saturating_sub(but) as u64).unwrap();
    }

    fn make_room(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a daemon may still be at its end.
        let _ = as_root("umount").arg("-l").arg(&self.0).status();
    }
}

fn as_root(program: &str) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

#[test]
fn intake_stops_at_a_full_disk_and_goes_on_by_itself() {
    for left in [0, 5_000, 60_000, 300_000, 700_000] {
        let post = Post::start_with(PATIENT);
        let Some(disk) = SmallDisk::mount(post.here.path("store")) else { return };
        let mut daemon = post.here.start();
        post.dovecot.deliver(&letter(0, 900));
        await_that(Duration::from_secs(20), "the first reply", || post.smtpd.kept().len() == 1);
        assert_eq!(status(&post).0, Some(0));
        disk.fill(left);
        deliver_with_files(&post, 1..60);
        await_failure(&mut daemon);
        assert_stopped(&post, &mut daemon, &disk.0);
        disk.make_room();
        await_all(&post, &mut daemon, 60);
        assert_eq!(status(&post).0, Some(0));
        assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
        assert_eq!(post.cases().len(), 60);
        post.here.ok(&["once"]);
        assert_eq!(post.smtpd.kept().len(), 60, "each letter has its one reply");
    }
}

#[test]
fn replies_that_cannot_be_noted_are_not_sent_again_and_again() {
    for left in [5_000, 200_000] {
        let post = Post::start_with(PATIENT);
        let Some(disk) = SmallDisk::mount(post.here.path("store")) else { return };
        post.here.replace("replies_per_hour = 100000", "replies_per_hour = 1");
        deliver(&post, 0..100);
        assert_eq!(post.here.run(&["once"]).code, Some(75));
        post.here.replace("[limits]\nreplies_per_hour = 1\n", NO_CAP);
        let mut daemon = post.here.start_with(&mut post.here.command(&["run"]));
        daemon.await_log("aftersalesd runs");
        disk.fill(left);
        await_failure_or_replies(&post, &mut daemon, 100);
        deliver_with_files(&post, 100..160);
        await_failure(&mut daemon);
        assert_stopped(&post, &mut daemon, &disk.0);
        disk.make_room();
        await_all(&post, &mut daemon, 160);
        assert_eq!(daemon.terminate(), Some(0), "{}", daemon.log());
        post.here.ok(&["once"]);
        assert_eq!(post.smtpd.kept().len(), 160, "no reply was sent twice");
    }
}

#[test]
fn a_single_pass_on_a_full_disk_says_so_and_the_next_one_does_the_rest() {
    let post = Post::start();
    let Some(disk) = SmallDisk::mount(post.here.path("store")) else { return };
    post.dovecot.deliver(&letter(0, 900));
    post.here.ok(&["once"]);
    disk.fill(20_000);
    deliver_with_files(&post, 1..60);
    let told = post.here.run(&["once"]);
    assert_eq!(told.code, Some(75), "{told:?}");
    assert!(told.complaints()[0].contains("space left"), "{:?}", told.complaints());
    assert!(unseen(&post) > 0);
    disk.make_room();
    post.here.ok(&["once"]);
    assert_eq!((post.replies_by_address().len(), post.cases().len(), unseen(&post)), (60, 60, 0));
}

fn deliver(post: &Post, numbers: Range<usize>) {
    let mails: Vec<String> = numbers.map(|number| letter(number, 900)).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
}

/// 20 KB each.
fn deliver_with_files(post: &Post, numbers: Range<usize>) {
    let file = "QUFB".repeat(18).repeat(270);
    let mail = |number| {
        let (head, words) =
            letter(number, 900).split_once("\r\n\r\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        format!(
            "{head}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\n{words}\r\n--b\r\n\
             Content-Type: application/octet-stream; name=\"log.bin\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
             {file}\r\n--b--\r\n"
        )
    };
    let mails: Vec<String> = numbers.map(mail).collect();
    post.dovecot.deliver_all(mails.iter().map(String::as_str));
}

fn await_failure(daemon: &mut Daemon) {
    await_that(Duration::from_secs(30), "the disk is found full", || {
        assert!(daemon.is_running(), "{}", daemon.log());
        daemon.log().contains("the disk is full")
    });
}

fn await_failure_or_replies(post: &Post, daemon: &mut Daemon, replies: usize) {
    await_that(Duration::from_secs(30), "the replies, or the disk found full", || {
        daemon.log().contains("the disk is full") || post.smtpd.kept().len() == replies
    });
}

/// Nothing is changed before there is a copy to go back to, and half of one takes no room from others.
#[test]
fn without_room_for_a_copy_an_earlier_versions_store_is_left_as_it_is() {
    let here = Installation::of_maildirs();
    let Some(disk) = SmallDisk::mount(here.path("store")) else { return };
    tar(&["-xzf", kept("v1.tar.gz").to_str().unwrap(), "--no-same-owner"], &here.path(""));
    let folders = || -> BTreeSet<String> {
        fs::read_dir(&disk.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    disk.fill(200_000);
    for _ in 0..2 {
        let told: Told = here.run(&["cases", "list"]);
        assert_eq!((told.code, told.complaints().len()), (Some(75), 1), "{told:?}");
        assert!(told.complaints()[0].contains("MiB"), "{told:?}");
        assert!(folders().iter().all(|name| !name.starts_with("cases.")), "{:?}", folders());
    }
    disk.make_room();
    assert_eq!(here.json(&["cases", "list", "--json"]).len(), 5);
    assert!(folders().contains("cases.format-1"), "till now it was of the earlier version");
}

/// Told once, by log and by command; nothing is acknowledged that is not kept; nothing is sent; nothing spins.
fn assert_stopped(post: &Post, daemon: &mut Daemon, folder: &Path) {
    let folder = folder.to_str().unwrap();
    await_that(Duration::from_secs(10), "the store is closed", || status(post).0 == Some(1));
    let (sent, unseen) = (post.smtpd.kept().len(), unseen(post));
    assert!(unseen > 0);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((post.smtpd.kept().len(), self::unseen(post)), (sent, unseen));
    assert!(daemon.is_running(), "{}", daemon.log());
    let log = daemon.log();
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    for word in [folder, "free some space", "acknowledged"] {
        assert!(errors[0].contains(word), "{word:?} is not in {}", errors[0]);
    }
    let (code, told) = status(post);
    assert_eq!((code, &told["intake"]["runs"]), (Some(1), &Value::Bool(false)));
    assert!(told["intake"]["why"].as_str().unwrap().contains(folder), "{told}");
    let told: Told = post.here.run(&["cases", "list"]);
    assert_eq!(told.code, Some(75), "{told:?}");
    assert!(told.complaints()[0].contains("closed until it can be opened again"), "{told:?}");
}

fn await_all(post: &Post, daemon: &mut Daemon, letters: usize) {
    await_that(Duration::from_secs(60), "all letters are answered and marked", || {
        assert!(daemon.is_running(), "{}", daemon.log());
        post.replies_by_address().len() == letters && unseen(post) == 0
    });
    await_that(Duration::from_secs(10), "all replies are noted", || status(post).1["replies_waiting"] == 0);
    let log = daemon.log();
    assert!(log.contains("the store is open again"), "{log}");
}

fn status(post: &Post) -> (Option<i32>, Value) {
    let told = post.here.run(&["status", "--json"]);
    (told.code, told.json().pop().unwrap_or_default())
}

fn unseen(post: &Post) -> usize {
    post.dovecot.flags("INBOX").iter().filter(|(_, flags)| !flags.contains("Seen")).count()
}
