//! Secrets: each comes from a variable of the environment, else from a file of its own, else from the configuration itself.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::table::Table;
use super::{Connects, Surroundings, values};
use crate::ports::Secret;

/// The variables that hold secrets, but for those of webhooks, which have the name of theirs in it.
pub const SECRETS: [&str; 4] = [MAILBOX_PASSWORD, DELIVERY_PASSWORD, OAUTH2_CLIENT_SECRET, ORDERS_TOKEN];

pub(super) const MAILBOX_PASSWORD: &str = "AFTERSALESD_MAILBOX_PASSWORD";
pub(super) const DELIVERY_PASSWORD: &str = "AFTERSALESD_DELIVERY_PASSWORD";
pub(super) const OAUTH2_CLIENT_SECRET: &str = "AFTERSALESD_OAUTH2_CLIENT_SECRET";
pub(super) const ORDERS_TOKEN: &str = "AFTERSALESD_ORDERS_TOKEN";

/// A secret file may be this long: some tokens are passwords.
const LARGEST: u64 = 16 << 10;

/// What the configuration says of a secret: the key that holds it, and the one that names its file.
pub(super) struct Named {
    keys: [&'static str; 2],
    text: Option<Secret>,
    file: Option<PathBuf>,
}

impl Named {
    /// Asks for both keys.
    pub fn read(t: &mut Table<'_>, around: &Surroundings<'_>, keys: [&'static str; 2]) -> Self {
        let [key, file_key] = keys;
        let file = t.optional(file_key, |v| secret_file(v, around));
        Self { keys, text: t.optional(key, values::secret), file }
    }

    /// The secret, as `make` understands it. `Some(None)`: it is not to be read, or there is none and none is `needed`;
    /// `None`: something is wrong (then noted).
    pub fn find<T>(
        self,
        t: &mut Table<'_>,
        around: &Surroundings<'_>,
        variable: &str,
        needed: bool,
        make: impl FnOnce(Secret) -> Result<T, String>,
    ) -> Option<Option<T>> {
        let [key, file_key] = self.keys;
        if t.has(key) && t.has(file_key) {
            t.reject(key, format!("is given as well as {file_key}; keep one"));
        }
        if t.has(key) && around.is_open_to_all {
            t.warn(key, "stands in a file that every user of this machine can read; chmod 600");
        }
        if let Connects::No = around.connects {
            return Some(None);
        }
        let of_variable = (around.variable)(variable).filter(|value| !value.is_empty());
        let (whence, made) = match (of_variable, self.file, self.text) {
            (Some(value), ..) => {
                let text = value.into_string().map_err(|_| "is not UTF-8 text".to_owned());
                let made = text.and_then(|text| make(Secret::new(text)));
                (key, made.map_err(|why| format!("the variable {variable}: {why}")))
            }
            (None, Some(file), _) => (file_key, only_line(t, file_key, &file).and_then(make)),
            (None, None, Some(text)) => (key, make(text)),
            // Something was wrong with the key itself.
            (None, None, None) if t.has(key) || t.has(file_key) => return None,
            (None, None, None) if needed => {
                (file_key, Err(format!("is missing (or {key}, or the variable {variable})")))
            }
            (None, None, None) => return Some(None),
        };
        made.map_err(|why| t.reject(whence, why)).ok().map(Some)
    }
}

/// Where a secret lies: with what systemd gives the service if it is there, else in the file itself. Of `secrets/imap`,
/// `LoadCredential=secrets:FOLDER` makes `secrets_imap`.
fn secret_file(value: &DeValue<'_>, around: &Surroundings<'_>) -> Result<PathBuf, String> {
    let file = values::path(value, around.base)?;
    let id = file.strip_prefix(around.base).unwrap_or(&file).display().to_string().replace('/', "_");
    let given = (around.variable)("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    Ok(given.map(|folder| Path::new(&folder).join(id)).filter(|credential| credential.exists()).unwrap_or(file))
}

/// The one line of a file.
fn only_line(t: &mut Table<'_>, key: &'static str, path: &Path) -> Result<Secret, String> {
    let (mut text, shown, what) = (String::new(), path.display(), key.trim_end_matches("_file"));
    let read = File::open(path).and_then(|file| {
        let everybody = is_open_to_all(&file)?;
        file.take(LARGEST + 1).read_to_string(&mut text)?;
        Ok(everybody)
    });
    let everybody = read.map_err(|e| format!("{shown} cannot be read: {e}"))?;
    let line = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err(format!("{shown} is empty"));
    }
    if text.len() as u64 > LARGEST {
        return Err(format!("{shown} is too long for a {what}"));
    }
    if line.contains(['\n', '\r', '\0']) {
        return Err(format!("{shown} must hold one line, the {what}"));
    }
    if everybody {
        t.warn(key, format!("{shown} can be read by every user of this machine; chmod 600"));
    }
    Ok(Secret::new(line))
}

pub(super) fn is_open_to_all(file: &File) -> std::io::Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o006 != 0)
}
