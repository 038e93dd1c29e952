//! The store's folder: whose it is, that nobody else can read it, and that one process at a time has it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::StoreError;

/// Refuses root a store of somebody else: the lock, a segment or a snapshot that root makes there its owner can't open,
/// and the daemon would not start again. A store that is not there yet belongs to whose folder it is to lie in.
pub(super) fn check_owner(path: &Path) -> Result<(), StoreError> {
    check_owner_as(rustix::process::geteuid().as_raw(), path)
}

fn check_owner_as(user: u32, path: &Path) -> Result<(), StoreError> {
    const ROOT: u32 = 0;
    let found = [Some(path), path.parent()].into_iter().flatten().find_map(|path| fs::metadata(path).ok());
    match found.map(|found| found.uid()) {
        Some(owner) if user == ROOT && owner != ROOT => Err(anothers(path, owner)),
        _ => Ok(()),
    }
}

fn anothers(path: &Path, owner: u32) -> StoreError {
    // Whom only a directory of the network knows goes by number.
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (owner, remedy) = match name(&users, owner) {
        Some(name) => (name.to_owned(), format!("run it as `runuser -u {name} -- aftersalesd …`")),
        None => (format!("user {owner}"), "run it as that user".to_owned()),
    };
    StoreError::Anothers { path: path.to_owned(), owner, remedy }
}

/// The name of a user, from lines like `name:x:number:…`.
fn name(users: &str, number: u32) -> Option<&str> {
    let number = number.to_string();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then_some(name)
    })
}

pub(super) fn create_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| StoreError::io(path.display(), e))
}

/// Takes a folder and what is in it from everybody but its owner: sled leaves that to the umask.
pub fn make_private(path: &Path) -> Result<(), StoreError> {
    let deny = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| StoreError::io(path.display(), e))
    };
    deny(path, 0o700)?;
    for entry in fs::read_dir(path).map_err(|e| StoreError::io(path.display(), e))? {
        let entry = entry.map_err(|e| StoreError::io(path.display(), e))?;
        match entry.file_type().map_err(|e| StoreError::io(path.display(), e))?.is_dir() {
            true => make_private(&entry.path())?,
            false => deny(&entry.path(), 0o600)?,
        }
    }
    Ok(())
}

/// sled has a lock too, but clearing up before it opens is only safe under one of our own.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let name = path.join("lock");
    let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let file = open.map_err(|e| StoreError::io(name.display(), e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(e)) => Err(StoreError::io(name.display(), e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user's own number stands for another's, and a number that is nobody's for root's.
    #[test]
    fn root_is_refused_what_is_anothers_and_nobody_else_is() {
        let folder = tempfile::tempdir().unwrap();
        // What root makes is its own until it is given away.
        if fs::metadata(folder.path()).unwrap().uid() == 0 {
            std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
        }
        let owner = fs::metadata(folder.path()).unwrap().uid();
        let (there, not_yet) = (folder.path(), folder.path().join("store"));
        for path in [there, &not_yet] {
            let refused = check_owner_as(0, path).unwrap_err().to_string();
            assert!(refused.contains(&path.parent().unwrap().display().to_string()), "{refused}");
            assert!(check_owner_as(owner, path).is_ok(), "{}", path.display());
            assert!(check_owner_as(65_533, path).is_ok(), "the system says so then");
        }
        // Nobody else's folder is for sure there; what root may not have is named with a way out.
        let refused = anothers(there, 65_533).to_string();
        assert!(refused.contains("user 65533") && refused.contains("run it as that user"), "{refused}");
    }

    #[test]
    fn users_are_known_by_their_number() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n\n+::::::\naftersalesd:x:998:998::/var/lib/aftersalesd:/bin/false\n";
        assert_eq!(name(users, 998), Some("aftersalesd"));
        assert_eq!(name(users, 0), Some("root"));
        assert_eq!(name(users, 99), None);
    }
}
