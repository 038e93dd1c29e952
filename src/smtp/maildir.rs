//! Replies into a Maildir instead of to a server: for a dry run and the demo.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::message::{self, Mail};
use crate::domain::letter::Person;
use crate::domain::reply::Reply;
use crate::ports::{Delivery, Fault, Mailer};

/// A [`Mailer`] that delivers as an MDA would: whole files only, and the same reply twice is one file.
#[derive(Debug, Clone)]
pub struct MaildirMailer {
    path: PathBuf,
    from: Person,
}

impl MaildirMailer {
    /// `path` is the Maildir; it is made when it is first needed.
    pub fn new(path: impl Into<PathBuf>, from: Person) -> Self {
        Self { path: path.into(), from }
    }
}

impl Mailer for MaildirMailer {
    async fn send(&self, reply: &Reply) -> Delivery {
        let mail = match message::render(reply, &self.from) {
            Ok(mail) => mail,
            Err(unmailable) => return Delivery::Refused(unmailable.to_string()),
        };
        let (path, name) = (self.path.clone(), file_name(reply));
        match tokio::task::spawn_blocking(move || deliver(&path, &name, &mail)).await {
            Ok(Ok(())) => Delivery::Sent,
            Ok(Err(e)) => Delivery::TryLater(format!("Maildir {}: {e}", self.path.display())),
            Err(e) => Delivery::TryLater(format!("Maildir {}: {e}", self.path.display())),
        }
    }

    async fn check(&self) -> Result<(), Fault> {
        make(&self.path).map_err(|e| Fault::configuration(format!("Maildir {}: {e}", self.path.display())))
    }
}

/// Begins with the time, as Maildir names do, and is the same for the same reply.
fn file_name(reply: &Reply) -> String {
    let id = reply.message_id.as_str();
    let plain = |c: char| if c.is_ascii_alphanumeric() || "@.-_+".contains(c) { c } else { '_' };
    format!("{}.{}", reply.written.as_second(), id.chars().map(plain).take(200).collect::<String>())
}

fn deliver(maildir: &Path, name: &str, mail: &Mail) -> io::Result<()> {
    make(maildir)?;
    if is_read(maildir, name)? {
        return Ok(());
    }
    let waiting = maildir.join("tmp").join(name);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&waiting)?;
    file.write_all(&mail.raw)?;
    file.sync_all()?;
    let new = maildir.join("new");
    fs::rename(&waiting, new.join(name))?;
    File::open(new)?.sync_all()
}

/// Whether somebody has read (and so moved) this very mail already.
fn is_read(maildir: &Path, name: &str) -> io::Result<bool> {
    for entry in fs::read_dir(maildir.join("cur"))? {
        let file = entry?.file_name();
        if file.to_string_lossy().split(':').next() == Some(name) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn make(maildir: &Path) -> io::Result<()> {
    ["tmp", "new", "cur"].iter().try_for_each(|part| fs::create_dir_all(maildir.join(part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{Address, CaseId, LetterId, MessageId};
    use crate::domain::reply::Kind;

    fn person(address: &str) -> Person {
        Person { name: None, address: Address::new(address).unwrap() }
    }

    fn reply() -> Reply {
        let case = CaseId::derive(&LetterId::from_digest(&[3; 32]), 0);
        Reply {
            message_id: MessageId::of_reply(&case, 1, "example.com"),
            case,
            number: 1,
            kind: Kind::Rma,
            to: person("jo@example.net"),
            subject: "Re: x".into(),
            language: "en".into(),
            in_reply_to: None,
            references: Vec::new(),
            written: "2026-11-22T10:00:00Z".parse().unwrap(),
            text: "Hello".into(),
            html: "<p>Hello</p>".into(),
            files: Vec::new(),
            passes_on: None,
        }
    }

    #[tokio::test]
    async fn a_repeated_reply_is_one_file_even_after_it_was_read() {
        let dir = tempfile::tempdir().unwrap();
        let mailer = MaildirMailer::new(dir.path().join("out"), person("us@example.com"));
        assert_eq!(mailer.send(&reply()).await, Delivery::Sent);
        assert_eq!(mailer.send(&reply()).await, Delivery::Sent);
        let new = dir.path().join("out/new");
        let names: Vec<_> = fs::read_dir(&new).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(fs::read_dir(dir.path().join("out/tmp")).unwrap().count(), 0);
        let read = dir.path().join("out/cur").join(format!("{}:2,S", names[0].to_str().unwrap()));
        fs::rename(new.join(&names[0]), read).unwrap();
        assert_eq!(mailer.send(&reply()).await, Delivery::Sent);
        assert_eq!(fs::read_dir(new).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_path_that_is_no_folder_is_for_later_and_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("out"), "a file").unwrap();
        let mailer = MaildirMailer::new(dir.path().join("out"), person("us@example.com"));
        let Delivery::TryLater(why) = mailer.send(&reply()).await else { panic!("sent") };
        assert!(why.contains("out"), "{why}");
        assert!(mailer.check().await.is_err());
    }
}
