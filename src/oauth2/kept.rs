//! What is kept of a grant: one file, replaced as a whole, its owner's alone.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, lchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use super::authority::Given;
use super::{AHEAD, Settings, USUAL};
use crate::ports::Secret;

/// Between two looks whether another process is done.
const LOOK: Duration = Duration::from_millis(20);

/// A grant and its tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    client_id: String,
    token_endpoint: String,
    pub granted_at: Timestamp,
    pub renewed_at: Timestamp,
    pub access: Option<Access>,
    pub refresh: Option<Refresh>,
    pub trouble: Option<Trouble>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Access {
    #[serde(serialize_with = "revealed")]
    pub token: Secret,
    from: Timestamp,
    pub until: Timestamp,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Refresh {
    #[serde(serialize_with = "revealed")]
    pub token: Secret,
    /// `None`: the authority does not tell.
    pub until: Option<Timestamp>,
}

/// Why the last renewal failed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Trouble {
    pub at: Timestamp,
    pub what: String,
    pub needs_login: bool,
}

impl Kept {
    /// Without tokens.
    pub fn new(settings: &Settings, now: Timestamp) -> Self {
        Self {
            client_id: settings.client_id.clone(),
            token_endpoint: settings.token_endpoint.whole(),
            granted_at: now,
            renewed_at: now,
            access: None,
            refresh: None,
            trouble: None,
        }
    }

    /// Tokens are of no use to another client, and none of another authority's business.
    pub fn is_of(&self, settings: &Settings) -> bool {
        self.client_id == settings.client_id && self.token_endpoint == settings.token_endpoint.whole()
    }

    /// Takes new tokens over the old ones.
    pub fn take(&mut self, given: Given, now: Timestamp) -> Access {
        let after = |life: SignedDuration| now.checked_add(life).unwrap_or(Timestamp::MAX);
        let access = Access { token: given.access, from: now, until: after(given.life.unwrap_or(USUAL)) };
        if let Some(token) = given.refresh {
            self.refresh = Some(Refresh { token, until: given.refresh_life.map(after) });
        }
        self.renewed_at = now;
        self.access = Some(access.clone());
        access
    }
}

impl Access {
    /// Whether there is no need to renew it yet.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let ahead = AHEAD.min(self.until.duration_since(self.from) / 4);
        // A clock that was set back makes a token no younger.
        self.from <= now && now < self.until - ahead
    }
}

/// A file that nobody else reads, and no link to another: the folder's owner may be less than whoever opens it.
fn own(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
}

/// The folder of a grant.
pub(super) struct Place {
    folder: PathBuf,
}

impl Place {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Keeps everybody else, in other processes too, from renewing; waits so long until nobody does.
    pub fn hold(&self, patience: Duration) -> Result<File, String> {
        self.named(&self.folder, self.make_folder())?;
        let path = self.folder.join("lock");
        let held = || {
            let file = own(OpenOptions::new().write(true).create(true).truncate(false)).open(&path)?;
            self.give_away(&path)?;
            let begun = Instant::now();
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(file),
                    Err(TryLockError::Error(e)) => return Err(e),
                    Err(TryLockError::WouldBlock) if begun.elapsed() > patience => {
                        return Err(io::Error::other("another process renews the tokens, and does not come to an end"));
                    }
                    Err(TryLockError::WouldBlock) => sleep(LOOK),
                }
            }
        };
        self.named(&path, held())
    }

    /// What is there, if there is anything.
    pub fn read(&self) -> Result<Option<Kept>, String> {
        let path = self.path();
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            read => self.named(&path, read)?,
        };
        // The parser's own error may quote what it read.
        let kept = serde_json::from_slice(&bytes).map_err(|e| {
            let (line, column) = (e.line(), e.column());
            format!("{}: damaged in line {line}, column {column}: remove it and log in anew", path.display())
        })?;
        Ok(Some(kept))
    }

    /// Puts `kept` into the place of what is there. To be done by who holds the folder.
    pub fn write(&self, kept: &Kept) -> Result<(), String> {
        let (path, new) = (self.path(), self.folder.join("grant.json.new"));
        let written = || {
            let text = serde_json::to_vec_pretty(kept)?;
            let mut file = own(OpenOptions::new().write(true).create(true).truncate(true)).open(&new)?;
            file.write_all(&text)?;
            file.sync_all()?;
            self.give_away(&new)?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        self.named(&path, written())
    }

    fn make_folder(&self) -> io::Result<()> {
        let missing: Vec<&Path> = self.folder.ancestors().take_while(|folder| !folder.exists()).collect();
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // The outermost first: each belongs to whose folder it lies in.
        let made = missing.into_iter().rev().filter(|folder| !folder.as_os_str().is_empty());
        made.chain([self.folder.as_path()]).try_for_each(|folder| self.give_away(folder))
    }

    /// What root makes is given to the owner of the folder it lies in, who could not read it else.
    fn give_away(&self, path: &Path) -> io::Result<()> {
        let around = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let owner = fs::metadata(around)?;
        let mine = fs::symlink_metadata(path)?;
        if (mine.uid(), mine.gid()) == (owner.uid(), owner.gid()) || mine.uid() != 0 {
            return Ok(());
        }
        lchown(path, Some(owner.uid()), Some(owner.gid()))
    }

    fn path(&self) -> PathBuf {
        self.folder.join("grant.json")
    }

    fn named<T>(&self, path: &Path, done: io::Result<T>) -> Result<T, String> {
        done.map_err(|e| format!("{}: {e}", path.display()))
    }
}

fn revealed<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret.reveal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Url;
    use crate::oauth2::Flow;

    #[test]
    fn no_link_is_followed_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("oauth2"));
        place.make_folder().unwrap();
        let elsewhere = dir.path().join("elsewhere");
        fs::write(&elsewhere, "as it was").unwrap();
        for name in ["lock", "grant.json.new"] {
            std::os::unix::fs::symlink(&elsewhere, dir.path().join("oauth2").join(name)).unwrap();
        }
        assert!(place.hold(Duration::ZERO).is_err());
        let kept = r#"{"client_id": "", "token_endpoint": "", "granted_at": "2026-11-23T10:00:00Z",
            "renewed_at": "2026-11-23T10:00:00Z", "access": null, "refresh": null, "trouble": null}"#;
        assert!(place.write(&serde_json::from_str(kept).unwrap()).is_err());
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "as it was");
    }

    #[test]
    fn a_grant_is_of_its_client_and_of_the_whole_address_of_its_authority() {
        let of = |client: &str, endpoint: &str| Settings {
            flow: Flow::Client,
            client_id: client.to_owned(),
            client_secret: None,
            secret_until: None,
            scopes: Vec::new(),
            token_endpoint: Url::parse(endpoint).unwrap(),
            folder: PathBuf::new(),
            ca_file: None,
            timeout: Duration::ZERO,
        };
        let kept = Kept::new(&of("me", "https://id.example.com/token?policy=a"), Timestamp::UNIX_EPOCH);
        assert!(kept.is_of(&of("me", "https://id.example.com/token?policy=a")));
        assert!(!kept.is_of(&of("me", "https://id.example.com/token?policy=b")));
        assert!(!kept.is_of(&of("you", "https://id.example.com/token?policy=a")));
    }

    #[test]
    fn what_root_makes_on_the_way_belongs_to_whose_folder_it_lies_in() {
        const NOBODY: u32 = 65_534;
        let dir = tempfile::tempdir().unwrap();
        if fs::metadata(dir.path()).unwrap().uid() != 0 {
            println!("skipped: only root can give anything away, and so nothing is proven here");
            return;
        }
        lchown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let place = Place::new(dir.path().join("brand/oauth2"));
        place.make_folder().unwrap();
        for made in ["brand", "brand/oauth2"] {
            assert_eq!(fs::metadata(dir.path().join(made)).unwrap().uid(), NOBODY, "{made}");
        }
    }
}
