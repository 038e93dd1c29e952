//! What no two brands may share: a store, a console address, a mailbox folder.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Failure;
use crate::config::{self, Config, Source};

/// The brands of a daemon by their files, each with what it claims. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Neighbours(Arc<Mutex<BTreeMap<PathBuf, Claims>>>);

#[derive(Debug, Clone)]
struct Claims {
    store: PathBuf,
    console: Option<SocketAddr>,
    mailbox: Folder,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Folder {
    Imap { host: String, port: u16, user: String, folder: String },
    Maildir(PathBuf),
}

impl Neighbours {
    /// Whether these configurations can stand side by side. One that can't be read says so elsewhere.
    pub fn check(files: &[PathBuf]) -> Result<(), Failure> {
        if files.len() < 2 {
            return Ok(());
        }
        let all = Self::default();
        let known = files.iter().filter_map(|file| Some((file, config::load_offline(file).ok()?)));
        let clashes: Vec<String> =
            known.filter_map(|(file, config)| all.admit(file, &config).err()).map(|clash| clash.to_string()).collect();
        if clashes.is_empty() { Ok(()) } else { Err(Failure::Config(clashes.join("\n"))) }
    }

    /// From now on the brand of this file has what its configuration claims, and no more what it had before; unless
    /// another brand has it.
    pub fn admit(&self, file: &Path, config: &Config) -> Result<(), Failure> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let claims = Claims::of(config);
        for (other, taken) in all.iter().filter(|(other, _)| *other != file) {
            if let Some(what) = claims.clash(taken) {
                let (file, other) = (file.display(), other.display());
                return Err(Failure::Config(format!("{file}: {what} is that of {other}: each brand needs its own")));
            }
        }
        all.insert(file.to_owned(), claims);
        Ok(())
    }
}

impl Claims {
    fn of(config: &Config) -> Self {
        let mailbox = match &config.mailbox.source {
            Source::Imap { server, folder, .. } => Folder::Imap {
                host: server.host.to_ascii_lowercase(),
                port: server.port,
                user: server.login.as_ref().map(|login| login.user.clone()).unwrap_or_default(),
                // The one name without a case (RFC 9051 section 5.1).
                folder: if folder.eq_ignore_ascii_case("INBOX") { "INBOX".to_owned() } else { folder.clone() },
            },
            Source::Maildir(path) => Folder::Maildir(real(path)),
        };
        Self { store: real(&config.store), console: config.console.map(|console| console.listen), mailbox }
    }

    fn clash(&self, other: &Self) -> Option<&'static str> {
        let both = |(one, other): (SocketAddr, SocketAddr)| {
            let same = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0 && one.port() == other.port() && same
        };
        if self.store == other.store {
            Some("[store] path")
        } else if self.console.zip(other.console).is_some_and(both) {
            Some("[console] listen")
        } else if self.mailbox == other.mailbox {
            Some("the [mailbox] folder")
        } else {
            None
        }
    }
}

/// A path by which it can be told from others; what is not there yet is named by the folder that it is to be in.
fn real(path: &Path) -> PathBuf {
    let found = fs::canonicalize(path).ok();
    let above = || Some(fs::canonicalize(path.parent()?).ok()?.join(path.file_name()?));
    found.or_else(above).unwrap_or_else(|| path.to_owned())
}
