//! The machine: disk, files, clock, the daemon that runs there.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};

use super::Chart;
use crate::app::query::{Query, Question};
use crate::app::transfer::LAST_BACKUP;
use crate::app::{Failure, control, read_folder};
use crate::config::Config;
use crate::pipeline::compose::Letters;
use crate::store::{Room, room};
use crate::worker::health::{Contact, Status};

/// Less than so much room is soon none.
const SCARCE: u64 = 1 << 30;
/// With less than so much the next mails may not find room.
const NONE_LEFT: u64 = 100 << 20;
const FEW_INODES: u64 = 1000;
/// Files of other users that are named.
const SHOWN: usize = 3;
/// The remedy where the system refuses a look.
const AS_DAEMON: &str =
    "run doctor as the user of the daemon, or as root; if it is so already, look at the disk and the log";
/// A backup that is older is of little help.
const OLD_BACKUP: SignedDuration = SignedDuration::from_hours(8 * 24);

/// The store's disk, its files, and the last backup of it.
pub(super) fn look(config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    let store = &config.store;
    let folder = match fs::metadata(store) {
        Ok(folder) => folder,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return chart.ok("store", format!("{} is not there yet: the first start makes it", store.display()));
        }
        Err(e) => return chart.fail("store", format!("{}: {e}", store.display()), AS_DAEMON),
    };
    disk(store, chart)?;
    ownership(store, &folder, chart)?;
    backup(store, chart)
}

fn disk(store: &Path, chart: &mut Chart<'_>) -> io::Result<()> {
    let looked = room(store).and_then(|room| Ok((room, rustix::fs::statfs(store)?.f_type)));
    let (Room { free, files, .. }, kind) = match looked {
        Ok(known) => known,
        Err(e) => return chart.fail("disk", format!("{}: {e}", store.display()), AS_DAEMON),
    };
    let what = format!("{:.1} GB free on the disk of {}", free as f64 / 1e9, store.display());
    let remedy = "make room: when it is full nothing is taken in; [retention] raw_days lets mails go";
    match free {
        0..NONE_LEFT => chart.failed("disk", Failure::Temporary(what), remedy)?,
        NONE_LEFT..SCARCE => chart.warn("disk", what, remedy)?,
        _ => chart.ok("disk", what)?,
    }
    if let Some(files) = files.filter(|files| *files < FEW_INODES) {
        let what = format!("the disk has room for {files} more files (inodes)");
        chart.warn("disk", what, "remove small files that something else makes there (df -i)")?;
    }
    // The lower half: on some machines the number is signed and half as long. linux/magic.h.
    match kind as u32 {
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b | 0x0102_1997 | 0x00c3_6400 | 0x0bd0_0bd0 | 0x5346_414f => chart
            .fail(
                "disk",
                "the store lies on a network file system, whose locks and flushes can't be relied on",
                "move the store to a local disk (stop the daemon, cp -a, set [store] path)",
            ),
        0x0102_1994 | 0x8584_58f6 => chart.warn(
            "disk",
            "the store lies in memory (tmpfs): it is gone with the next start of the machine",
            "set [store] path to a folder on a disk",
        ),
        0x794c_7630 => chart.warn(
            "disk",
            "the store lies in a container's own layer (overlayfs): it is gone with the container",
            "mount a volume there",
        ),
        0x6573_5546 => chart.warn(
            "disk",
            "the store lies on a file system in user space (FUSE), which may be a network's",
            "make sure that fsync and locks hold there, or move it to a local disk",
        ),
        _ => Ok(()),
    }
}

/// Whether all of the store is one user's, and nobody else's.
fn ownership(store: &Path, folder: &Metadata, chart: &mut Chart<'_>) -> io::Result<()> {
    if folder.mode() & 0o077 != 0 {
        let what = format!("{} is open to others (mode {:o})", store.display(), folder.mode() & 0o777);
        chart.warn("store", what, "chmod 700: it holds customers' mail")?;
    }
    let mut strangers = Vec::new();
    let seen = strangers_below(store, folder.uid(), &mut strangers);
    if let Err(e) = &seen {
        chart.warn("store", format!("{}: {e}", store.display()), AS_DAEMON)?;
    }
    strangers.sort();
    match (strangers.as_slice(), seen) {
        ([], Err(_)) => Ok(()),
        ([], Ok(())) => chart.ok("store", format!("all of {} belongs to user {}", store.display(), folder.uid())),
        (all, _) => {
            let some: Vec<String> = all.iter().take(SHOWN).map(|path| path.display().to_string()).collect();
            let more = match all.len() - some.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let what = format!(
                "of another user than {}, so that the daemon may not be able to open them: {}{more}",
                store.display(),
                some.join(", ")
            );
            chart.fail("store", what, "chown -R them to the daemon's user; run commands as that user")
        }
    }
}

fn strangers_below(folder: &Path, owner: u32, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // What the daemon removes meanwhile is nobody's any more.
        let Ok(known) = path.symlink_metadata() else { continue };
        if known.uid() != owner {
            found.push(path);
        } else if known.is_dir() {
            strangers_below(&path, owner, found)?;
        }
    }
    Ok(())
}

fn backup(store: &Path, chart: &mut Chart<'_>) -> io::Result<()> {
    let told = fs::read_to_string(store.join(LAST_BACKUP)).ok();
    let remedy = "make one, each night, with `aftersalesd backup`, and try once to restore it";
    match told.and_then(|told| told.trim().parse::<Timestamp>().ok()) {
        None => chart.warn("backup", "of this store `aftersalesd backup` has made none", remedy),
        Some(at) => {
            let what = format!("the last backup was made at {at}");
            if Timestamp::now().duration_since(at) > OLD_BACKUP {
                chart.warn("backup", what, remedy)
            } else {
                chart.ok("backup", what)
            }
        }
    }
}

/// An operator's own letters beside the built-in ones.
pub(super) fn templates(config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    let Some(folder) = &config.templates else { return chart.ok("templates", "the built-in ones") };
    let own = match read_folder(folder) {
        Ok(own) => own,
        Err(failure) => return chart.failed("templates", failure, "put right what the line names"),
    };
    let has = |path: &str| own.iter().find(|(known, _)| known == path);
    let missing: Vec<&str> = Letters::built_in().map(|(path, _)| path).filter(|path| has(path).is_none()).collect();
    let changed = Letters::built_in().filter(|(path, text)| has(path).is_some_and(|(_, own)| own != text)).count();
    let what = format!("{}: {} files, {changed} unlike the built-in ones", folder.display(), own.len());
    match missing.first() {
        None => chart.ok("templates", what),
        Some(first) => chart.warn(
            "templates",
            format!("{what}; {} of the built-in ones are not there, as {first}", missing.len()),
            "a copy of an earlier version lacks what came since: copy what is missing from templates/mail",
        ),
    }
}

/// The daemon, and what went wrong lately.
pub(super) fn daemon(path: &Path, config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    let mut told = None;
    let asked = control::ask(&config.store, Query::Status, &mut |line| {
        told = Some(serde_json::from_slice::<Status>(line)?);
        Ok(())
    });
    match asked {
        Ok(true) => {}
        Ok(false) => return without_daemon(path, config, chart),
        Err(failure) => {
            return chart.failed("daemon", failure, AS_DAEMON);
        }
    }
    let Some(status) = told else { return chart.fail("daemon", "it gives no answer", "look into its log") };
    match &status.intake.why {
        None => chart.ok("daemon", "it runs and takes letters in")?,
        Some(why) => chart.fail("daemon", format!("no letters are taken in: {why}"), "see the findings below")?,
    }
    for (server, contact) in [("mailbox", &status.mailbox), ("delivery", &status.delivery)] {
        lately(server, contact, chart)?;
    }
    people(config, &status, chart)
}

/// Without one the store is not opened: as another user, that would leave files that the daemon can't open.
fn without_daemon(path: &Path, config: &Config, chart: &mut Chart<'_>) -> io::Result<()> {
    let remedy = "start it: systemctl enable --now aftersalesd (or run `once` by the clock, then all is well)";
    if config.store.join("cases").is_dir() {
        chart.warn("daemon", "none runs on this store", remedy)
    } else {
        chart.warn("daemon", format!("none has run yet on {}", path.display()), remedy)
    }
}

/// The last fault of a server, if nothing has gone well since.
fn lately(server: &str, contact: &Contact, chart: &mut Chart<'_>) -> io::Result<()> {
    match (&contact.last_fault, contact.last_fault_at) {
        (Some(fault), Some(at)) if contact.last_success_at.is_none_or(|success| success < at) => chart.warn(
            "daemon",
            format!("the last word of the {server} is a fault, at {at:.0}: {fault}"),
            "see whether the findings on that server say why",
        ),
        _ => Ok(()),
    }
}

/// What waits for a person.
fn people(config: &Config, status: &Status, chart: &mut Chart<'_>) -> io::Result<()> {
    if status.quarantined > 0 {
        let what = format!("{} letters could not be handled", status.quarantined);
        chart.warn("quarantine", what, "aftersalesd cases quarantine; then cases retry ID or cases dismiss ID")?;
    }
    let day_ago = Timestamp::now() - SignedDuration::from_hours(24);
    let mut lately: Vec<String> = Vec::new();
    let asked = control::ask(&config.store, Query::Ask(Question::Notices), &mut |line| {
        let notice: serde_json::Value = serde_json::from_slice(line)?;
        let word = |key: &str| notice.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
        if word("last").parse::<Timestamp>().is_ok_and(|at| at >= day_ago) {
            lately.push(word("notice").to_owned());
        }
        Ok(())
    });
    let ended = || Failure::Temporary("the daemon ended before it told what staff were told of".to_owned());
    if let Err(failure) = asked.and_then(|answered| answered.then_some(()).ok_or_else(ended)) {
        return chart.failed("notices", failure, "`aftersalesd status` tells how the daemon is");
    }
    lately.sort();
    lately.dedup();
    match lately.is_empty() {
        true => chart.ok("notices", "staff were told of nothing within a day"),
        false => {
            let what = format!("within a day staff were told of: {}", lately.join(", "));
            chart.warn("notices", what, "aftersalesd cases notices tells what about")
        }
    }
}

/// A clock that is further off than this makes trouble with certificates, signatures and deadlines.
const OFF: SignedDuration = SignedDuration::from_secs(60);

/// Whether the clock is kept right, as far as that can be known: from systemd, and from a mail server that greets with
/// the time.
pub(super) fn clock(greeting: Option<&str>, chart: &mut Chart<'_>) -> io::Result<()> {
    let now = Timestamp::now();
    let remedy = "set the clock: timedatectl set-ntp true";
    if let Some(told) = greeting.and_then(time_in) {
        let off = now.duration_since(told);
        return match off.abs() > OFF {
            true => chart.warn("clock", format!("it is {} seconds off the mail server's", off.as_secs()), remedy),
            false => chart.ok("clock", "it agrees with the mail server's"),
        };
    }
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let told = asked.ok().filter(|told| told.status.success()).map(|told| told.stdout);
    match told.as_deref().map(<[u8]>::trim_ascii) {
        Some(b"yes") => chart.ok("clock", "it is synchronised"),
        Some(b"no") => chart.warn("clock", "it is not synchronised", remedy),
        _ => chart.ok("clock", "nothing here tells whether it is right"),
    }
}

/// The time that a greeting ends in, as those of Exim and Microsoft do.
fn time_in(greeting: &str) -> Option<Timestamp> {
    let comma = greeting.find(", ")?;
    let day = greeting.get(comma.checked_sub(3)?..)?;
    rfc2822::DateTimeParser::new().parse_timestamp(day.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_greeting_is_found_where_there_is_one() {
        let told = |greeting| time_in(greeting).map(|at| at.to_string());
        let expected = Some("2026-11-23T15:04:05Z".to_owned());
        assert_eq!(told("mx.example.com ESMTP Exim 4.98 Mon, 23 Nov 2026 16:04:05 +0100"), expected);
        assert_eq!(
            told("X.outlook.com Microsoft ESMTP MAIL Service ready at Mon, 23 Nov 2026 15:04:05 +0000"),
            expected
        );
        for none in ["mx.example.com ESMTP Postfix", "", ", ", "hello, you there", "ä, b"] {
            assert_eq!(told(none), None, "{none}");
        }
    }
}
