//! Letters from a Maildir, as an MDA delivers them: read from `new/`, moved to `cur/` when they are handled.
//!
//! Promises: a letter is handed out once until the caller goes back behind it; none is deleted.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use crate::ports::{BEGINNING, Content, Fault, Incoming, Mailbox, Position};

/// How soon a waiting mailbox looks again, at first and at last.
const LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Which Maildir, and how much at a time.
#[derive(Debug, Clone)]
pub struct Settings {
    pub path: PathBuf,
    /// The longest [`Mailbox::wait`] goes without returning.
    pub poll_interval: Duration,
    /// The largest mail that is read whole, in bytes.
    pub mail_size: u64,
    /// The most letters of one [`Mailbox::fetch`].
    pub batch_letters: usize,
    /// The most bytes of one [`Mailbox::fetch`], but for a letter that is larger by itself.
    pub batch_bytes: u64,
}

impl Settings {
    /// The usual amounts: mails of 35 MiB, batches of 200 letters or 8 MiB.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            poll_interval: Duration::from_secs(60),
            mail_size: 35 << 20,
            batch_letters: 200,
            batch_bytes: 8 << 20,
        }
    }
}

/// A Maildir that somebody else fills.
#[derive(Debug)]
pub struct MaildirMailbox {
    settings: Settings,
    /// Listed, but not read yet, in order of arrival.
    waiting: VecDeque<Listed>,
    /// File names by the UID under which they were handed out and are not done yet.
    handed: BTreeMap<u32, String>,
    /// The highest UID given in this run or told by the caller.
    last: u32,
}

#[derive(Debug, Clone)]
struct Listed {
    file: String,
    size: u64,
    arrived: SystemTime,
}

impl MaildirMailbox {
    /// Looks at the Maildir on the first call of the port.
    pub fn new(settings: Settings) -> Self {
        Self { settings, waiting: VecDeque::new(), handed: BTreeMap::new(), last: 0 }
    }

    fn fault(&self, e: &io::Error) -> Fault {
        fault(&self.settings.path, e)
    }

    /// Forgets that letters above the mark were handed out: the caller asks for them again.
    fn go_back(&mut self, after: Option<&Position>) {
        let mark = after.map_or(0, |mark| mark.uid);
        if self.handed.split_off(&mark.saturating_add(1)).is_empty() {
            self.last = self.last.max(mark);
        } else {
            self.waiting.clear();
        }
    }

    fn list(&mut self) -> io::Result<()> {
        let handed: HashSet<&str> = self.handed.values().map(String::as_str).collect();
        let new = self.settings.path.join("new");
        let mut listed = Vec::new();
        for file in names(&new)? {
            if handed.contains(file.as_str()) {
                continue;
            }
            match fs::metadata(new.join(&file)) {
                Ok(about) if about.is_file() => {
                    let arrived = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    listed.push(Listed { file, size: about.len(), arrived });
                }
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                // Nobody knows what it is: reading it will tell.
                Err(_) => listed.push(Listed { file, size: 0, arrived: SystemTime::UNIX_EPOCH }),
            }
        }
        listed.sort_by(|a, b| (a.arrived, &a.file).cmp(&(b.arrived, &b.file)));
        self.waiting = listed.into();
        Ok(())
    }

    /// The front of what waits, within the bounds; at least one.
    fn batch(&mut self) -> Vec<Listed> {
        let Settings { batch_letters, batch_bytes, mail_size, .. } = self.settings;
        let mut batch: Vec<Listed> = Vec::new();
        let mut sum = 0;
        while let Some(next) = self.waiting.front() {
            sum += if next.size <= mail_size { next.size } else { BEGINNING };
            if !batch.is_empty() && (batch.len() >= batch_letters || sum > batch_bytes) {
                break;
            }
            batch.extend(self.waiting.pop_front());
        }
        batch
    }

    fn hand_out(&mut self, file: String, content: Content, stored: Option<Timestamp>) -> Incoming {
        self.last = self.last.saturating_add(1);
        let position = Position {
            folder: self.settings.path.display().to_string(),
            validity: 0,
            uid: self.last,
            name: unique(&file).to_owned(),
        };
        self.handed.insert(self.last, file);
        Incoming { position, content, stored }
    }

    fn has_unknown(&self) -> io::Result<bool> {
        let known: HashSet<&str> = self.handed.values().map(String::as_str).collect();
        Ok(names(&self.settings.path.join("new"))?.iter().any(|name| !known.contains(name.as_str())))
    }
}

impl Mailbox for MaildirMailbox {
    async fn fetch(&mut self, after: Option<&Position>) -> Result<Vec<Incoming>, Fault> {
        self.go_back(after);
        loop {
            if self.waiting.is_empty() {
                self.list().map_err(|e| self.fault(&e))?;
            }
            let batch = self.batch();
            if batch.is_empty() {
                return Ok(Vec::new());
            }
            let (new, limit) = (self.settings.path.join("new"), self.settings.mail_size);
            let reading = tokio::task::spawn_blocking(move || {
                let contents = batch.into_iter().filter_map(|l| Some((read(&new.join(&l.file), limit)?, l)));
                contents.collect::<Vec<_>>()
            });
            let read = reading.await.map_err(|e| Fault::temporary(e.to_string()))?;
            if !read.is_empty() {
                let stored =
                    |listed: &Listed| Timestamp::try_from(listed.arrived).ok().filter(|at| *at > Timestamp::UNIX_EPOCH);
                let hand_out = |(content, l): (Content, Listed)| self.hand_out(l.file.clone(), content, stored(&l));
                return Ok(read.into_iter().map(hand_out).collect());
            }
        }
    }

    async fn done(&mut self, letters: &[Position]) -> Result<(), Fault> {
        let folder = self.settings.path.display().to_string();
        // Letters of an earlier run are known by their unique part only.
        let mut files: HashMap<String, String> = HashMap::new();
        if letters.iter().any(|p| !self.handed.contains_key(&p.uid)) {
            let there = names(&self.settings.path.join("new")).map_err(|e| self.fault(&e))?;
            files.extend(there.into_iter().map(|file| (unique(&file).to_owned(), file)));
        }
        for letter in letters.iter().filter(|p| p.folder == folder) {
            let handed = self.handed.get(&letter.uid).filter(|file| unique(file) == letter.name);
            let Some(file) = handed.or_else(|| files.get(&letter.name)).cloned() else { continue };
            let from = self.settings.path.join("new").join(&file);
            let to = self.settings.path.join("cur").join(format!("{}:2,S", letter.name));
            match fs::rename(from, to) {
                Ok(()) => {}
                // Another program has read, moved or removed it: that is as good.
                Err(e) if e.kind() == ErrorKind::NotFound && self.settings.path.join("cur").is_dir() => {}
                Err(e) => return Err(self.fault(&e)),
            }
            self.handed.retain(|_, name| *name != file);
        }
        Ok(())
    }

    async fn wait(&mut self) -> Result<(), Fault> {
        let until = Instant::now() + self.settings.poll_interval;
        let mut pause = LOOK.0;
        while self.waiting.is_empty() && !self.has_unknown().map_err(|e| self.fault(&e))? {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOOK.1);
        }
        Ok(())
    }
}

/// The content of a file; `None` if it is gone.
fn read(file: &Path, limit: u64) -> Option<Content> {
    let whole = || -> io::Result<Content> {
        let mut open = File::open(file)?;
        let size = open.metadata()?.len();
        let mut raw = Vec::new();
        if size > limit {
            open.take(BEGINNING).read_to_end(&mut raw)?;
            return Ok(Content::Beginning { raw, size });
        }
        open.read_to_end(&mut raw)?;
        Ok(Content::Whole(raw))
    };
    match whole() {
        Ok(content) => Some(content),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => Some(Content::Unreadable { why: e.to_string() }),
    }
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        match entry?.file_name().into_string() {
            Ok(name) if !name.starts_with('.') => names.push(name),
            Ok(_) => {}
            Err(name) => tracing::warn!("{}: not a Maildir name: {name:?}", folder.display()),
        }
    }
    Ok(names)
}

/// The part of a file's name that stays: what stands before the flags.
fn unique(file: &str) -> &str {
    file.split_once(':').map_or(file, |(unique, _)| unique)
}

fn fault(path: &Path, e: &io::Error) -> Fault {
    let what = format!("Maildir {}: {e}", path.display());
    match e.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Fault::configuration(format!("{} is no Maildir (it needs the folders cur, new and tmp)", path.display()))
        }
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Fault::configuration(format!(
            "{what}: the user that runs this has to be allowed to write there, and the unit's ReadWritePaths= to name it if \
             systemd runs it and it lies outside /var/lib/aftersalesd"
        )),
        _ => Fault::temporary(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Inbox {
        dir: tempfile::TempDir,
        mailbox: MaildirMailbox,
    }

    impl Inbox {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            ["cur", "new", "tmp"].iter().for_each(|part| fs::create_dir(dir.path().join(part)).unwrap());
            let mailbox = Self::open(dir.path());
            Self { dir, mailbox }
        }

        fn open(path: &Path) -> MaildirMailbox {
            let poll_interval = Duration::from_secs(5);
            MaildirMailbox::new(Settings { poll_interval, mail_size: 1 << 20, batch_letters: 3, ..Settings::new(path) })
        }

        fn deliver(&self, name: &str, text: &str) {
            fs::write(self.dir.path().join("tmp").join(name), text).unwrap();
            fs::rename(self.dir.path().join("tmp").join(name), self.dir.path().join("new").join(name)).unwrap();
        }
    }

    fn positions(letters: &[Incoming]) -> Vec<Position> {
        letters.iter().map(|l| l.position.clone()).collect()
    }

    fn names(letters: &[Incoming]) -> Vec<&str> {
        letters.iter().map(|l| l.position.name.as_str()).collect()
    }

    #[tokio::test]
    async fn letters_come_in_order_in_batches_and_once() {
        let mut b = Inbox::new();
        (0..7).for_each(|n| b.deliver(&format!("{n}.host"), "x"));
        let first = b.mailbox.fetch(None).await.unwrap();
        assert_eq!(names(&first), ["0.host", "1.host", "2.host"]);
        let second = b.mailbox.fetch(Some(&first[2].position)).await.unwrap();
        assert_eq!(names(&second), ["3.host", "4.host", "5.host"]);
        b.mailbox.done(&positions(&first)).await.unwrap();
        let third = b.mailbox.fetch(Some(&second[2].position)).await.unwrap();
        assert_eq!(names(&third), ["6.host"]);
        assert!(b.mailbox.fetch(Some(&third[0].position)).await.unwrap().is_empty());
        assert!(b.dir.path().join("cur/0.host:2,S").exists());
        assert_eq!(fs::read_dir(b.dir.path().join("new")).unwrap().count(), 4);
    }

    #[tokio::test]
    async fn a_caller_that_goes_back_gets_the_letters_again() {
        let mut b = Inbox::new();
        (0..4).for_each(|n| b.deliver(&format!("{n}.host"), "x"));
        let first = b.mailbox.fetch(None).await.unwrap();
        let again = b.mailbox.fetch(None).await.unwrap();
        assert_eq!(names(&first), names(&again));
        let rest = b.mailbox.fetch(Some(&again[2].position)).await.unwrap();
        assert_eq!(names(&rest), ["3.host"]);
    }

    #[tokio::test]
    async fn after_a_restart_what_is_not_done_comes_again_above_the_old_mark() {
        let mut b = Inbox::new();
        (0..2).for_each(|n| b.deliver(&format!("{n}.host"), "x"));
        let before = b.mailbox.fetch(None).await.unwrap();
        let mut restarted = Inbox::open(b.dir.path());
        restarted.done(&[before[0].position.clone()]).await.unwrap();
        assert!(b.dir.path().join("cur/0.host:2,S").exists());
        let after = restarted.fetch(Some(&before[1].position)).await.unwrap();
        assert_eq!(names(&after), ["1.host"]);
        assert!(after[0].position.uid > before[1].position.uid);
    }

    #[tokio::test]
    async fn a_letter_beyond_the_limit_gives_its_beginning_and_a_vanished_one_nothing() {
        let mut b = Inbox::new();
        b.deliver("0.large", &"x".repeat(2 << 20));
        b.deliver("1.gone", "x");
        b.deliver("2.here", "x");
        b.mailbox.list().unwrap();
        fs::remove_file(b.dir.path().join("new/1.gone")).unwrap();
        let letters = b.mailbox.fetch(None).await.unwrap();
        assert_eq!(letters.len(), 2);
        let Content::Beginning { raw, size } = &letters[0].content else { panic!("{:?}", letters[0].position) };
        assert_eq!((raw.len() as u64, *size), (BEGINNING, 2 << 20));
        assert_eq!(letters[1].position.name, "2.here");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_said_to_be_unreadable() {
        let mut b = Inbox::new();
        // A link to itself: not even root can open it.
        std::os::unix::fs::symlink("0.loop", b.dir.path().join("new/0.loop")).unwrap();
        b.deliver("1.fine", "x");
        let letters = b.mailbox.fetch(None).await.unwrap();
        assert!(matches!(&letters[0].content, Content::Unreadable { .. }), "{letters:?}");
        assert_eq!(letters[1].content, Content::Whole(b"x".to_vec()));
    }

    #[tokio::test]
    async fn waiting_ends_soon_after_a_delivery() {
        let mut b = Inbox::new();
        b.deliver("0.host", "x");
        let first = b.mailbox.fetch(None).await.unwrap();
        let started = Instant::now();
        let path = b.dir.path().to_owned();
        let later = tokio::spawn(async move {
            sleep(Duration::from_millis(300)).await;
            fs::write(path.join("new/1.host"), "y").unwrap();
        });
        b.mailbox.wait().await.unwrap();
        later.await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(300), "the letter in hand is no news");
        assert!(started.elapsed() < Duration::from_secs(3));
        assert_eq!(names(&b.mailbox.fetch(Some(&first[0].position)).await.unwrap()), ["1.host"]);
    }

    #[tokio::test]
    async fn a_folder_that_is_no_maildir_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let fault = MaildirMailbox::new(Settings::new(dir.path())).fetch(None).await.unwrap_err();
        assert_eq!(fault.kind, crate::ports::FaultKind::Configuration);
        assert!(fault.what.contains(&dir.path().display().to_string()), "{fault}");
    }
}
