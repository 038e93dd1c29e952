//! The keys that `[mailbox]` and `[delivery]` share: how to reach a server, and the password.

use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::table::Table;
use super::{Connects, Surroundings, values};
use crate::oauth2::Grant;
use crate::ports::{Credential, Login, Secret, Security, Server, Tokens};

/// What the key `kind` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Maildir,
}

/// What sets the two protocols apart.
pub(super) struct Protocol {
    /// The ports for TLS from the first byte, for STARTTLS and for clear text.
    ports: [u16; 3],
    needs_login: bool,
    variable: &'static str,
}

pub(super) const IMAP: Protocol =
    Protocol { ports: [993, 143, 143], needs_login: true, variable: "AFTERSALESD_MAILBOX_PASSWORD" };
pub(super) const SMTP: Protocol =
    Protocol { ports: [465, 587, 25], needs_login: false, variable: "AFTERSALESD_DELIVERY_PASSWORD" };

const TIMEOUT: Duration = Duration::from_secs(60);

/// Reads the keys of a server. `None` if there is to be none, or if something is wrong (then noted).
pub(super) fn server(
    t: &mut Table<'_>,
    around: &Surroundings<'_>,
    kind: Option<Kind>,
    protocol: &Protocol,
    grant: &Granted,
) -> Option<Server> {
    let words = [("tls", Security::Tls), ("starttls", Security::Starttls), ("none", Security::None)];
    let host = t.optional("host", values::host);
    let security = t.or("security", Security::Tls, |v| values::one_of(v, &words));
    let [tls, starttls, clear] = protocol.ports;
    let usual = match security {
        Security::Tls => tls,
        Security::Starttls => starttls,
        Security::None => clear,
    };
    let port = t.or("port", usual, values::port);
    let user = t.optional("user", values::text);
    let by_token = t.or("auth", false, |v| values::one_of(v, &[("password", false), ("oauth2", true)]));
    let password_file = t.optional("password_file", |v| secret_file(v, around));
    let password = t.optional("password", values::secret);
    let ca_file = t.optional("ca_file", |v| values::path(v, around.base));
    let timeout = t.or("timeout", TIMEOUT, |v| values::duration(v, Duration::from_secs(1), 10 * TIMEOUT));
    if kind != Some(Kind::Server) {
        return None;
    }
    if t.has("path") {
        t.warn("path", "has no effect with a server");
    }
    if !t.has("host") {
        t.reject("host", "is missing");
    }
    if let (Security::None, Some(host)) = (security, &host)
        && !Security::is_loopback(host)
    {
        t.reject("security", format!("\"none\" is for loopback addresses only, and {host} is none"));
    } else if let (Security::None, Some(host)) = (security, &host)
        && let Some(elsewhere) = elsewhere(host, &resolved)
    {
        t.reject("security", format!("\"none\" is for loopback addresses only, and {host} leads to {elsewhere}"));
    }
    if let Some(Err(e)) = ca_file.as_ref().map(File::open) {
        t.reject("ca_file", format!("cannot be read: {e}"));
    }
    let login = match by_token {
        true => token_login(t, user, grant),
        false => login(t, around, protocol, user, password_file, password),
    };
    Some(Server { host: host?, port, security, login: login?, ca_file, timeout })
}

/// What `[oauth2]` gives: `Err` if it is not there, `Ok(None)` if something in it is wrong.
pub(super) type Granted = Result<Option<Grant>, ()>;

/// Who we are at a server that takes access tokens; `None` if something is wrong (then noted).
fn token_login(t: &mut Table<'_>, user: Option<String>, grant: &Granted) -> Option<Option<Login>> {
    for key in ["password", "password_file"] {
        if t.has(key) {
            t.reject(key, "has no effect with auth = \"oauth2\": remove it");
        }
    }
    if !t.has("user") {
        t.reject("user", "is missing");
    }
    match grant {
        Err(()) => {
            t.reject("auth", "\"oauth2\" needs the table [oauth2]");
            None
        }
        Ok(grant) => {
            let credential = Credential::Tokens(Tokens::new(std::sync::Arc::new(grant.clone()?)));
            Some(Some(Login { user: user?, credential }))
        }
    }
}

/// An address beyond this machine that a name of it leads to.
pub(super) fn elsewhere(host: &str, resolved: &dyn Fn(&str) -> Vec<IpAddr>) -> Option<IpAddr> {
    let name = host.parse::<IpAddr>().is_err();
    if name { resolved(host).into_iter().find(|address| !address.is_loopback()) } else { None }
}

/// A name that leads nowhere now can't be connected to either.
pub(super) fn resolved(host: &str) -> Vec<IpAddr> {
    (host, 0).to_socket_addrs().map(|all| all.map(|address| address.ip()).collect()).unwrap_or_default()
}

/// Who we are at the server: `Some(None)` if nobody, `None` if something is wrong (then noted).
fn login(
    t: &mut Table<'_>,
    around: &Surroundings<'_>,
    protocol: &Protocol,
    user: Option<String>,
    password_file: Option<PathBuf>,
    password: Option<Secret>,
) -> Option<Option<Login>> {
    let given = t.has("password") || t.has("password_file");
    if t.has("password") && t.has("password_file") {
        t.reject("password", "is given as well as password_file; keep one");
    }
    if t.has("password") && around.is_open_to_all {
        t.warn("password", "stands in a file that every user of this machine can read; chmod 600");
    }
    if !t.has("user") {
        if protocol.needs_login || given {
            t.reject("user", "is missing");
        }
        return (!protocol.needs_login).then_some(None);
    }
    if let Connects::No = around.connects {
        return Some(Some(Login::by_password(user?, "")));
    }
    let variable = (around.variable)(protocol.variable).filter(|value| !value.is_empty());
    let password = match (variable, password_file, password) {
        (Some(value), ..) => match value.into_string() {
            Ok(text) => Some(Secret::new(text)),
            Err(_) => {
                t.reject("password", format!("the variable {} is not UTF-8 text", protocol.variable));
                None
            }
        },
        (None, Some(file), _) => read_secret(t, "password_file", &file),
        (None, None, password) => password,
    };
    if password.is_none() && !given {
        t.reject("password_file", format!("is missing (or password, or the variable {})", protocol.variable));
    }
    Some(Some(Login { user: user?, credential: Credential::Password(password?) }))
}

/// Where a secret lies: with what systemd gives the service if it is there, else in the file itself. Of `secrets/imap`,
/// `LoadCredential=secrets:FOLDER` makes `secrets_imap`.
pub(super) fn secret_file(value: &DeValue<'_>, around: &Surroundings<'_>) -> Result<PathBuf, String> {
    let file = values::path(value, around.base)?;
    let id = file.strip_prefix(around.base).unwrap_or(&file).display().to_string().replace('/', "_");
    let given = (around.variable)("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    Ok(given.map(|folder| Path::new(&folder).join(id)).filter(|credential| credential.exists()).unwrap_or(file))
}

/// A password file may be this long: some tokens are passwords.
const PASSWORD_BYTES: u64 = 16 << 10;

/// The one line of a file.
pub(super) fn read_secret(t: &mut Table<'_>, key: &'static str, path: &Path) -> Option<Secret> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| {
        let everybody = is_open_to_all(&file)?;
        file.take(PASSWORD_BYTES + 1).read_to_string(&mut text)?;
        Ok(everybody)
    });
    let shown = path.display();
    let password = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    let wrong = match &read {
        Err(e) => format!("{shown} cannot be read: {e}"),
        Ok(_) if password.is_empty() => format!("{shown} is empty"),
        Ok(_) if text.len() as u64 > PASSWORD_BYTES => {
            format!("{shown} is too long for a {}", key.trim_end_matches("_file"))
        }
        Ok(_) if password.contains(['\n', '\r', '\0']) => {
            format!("{shown} must hold one line, the {}", key.trim_end_matches("_file"))
        }
        Ok(everybody) => {
            if *everybody {
                t.warn(key, format!("{shown} can be read by every user of this machine; chmod 600"));
            }
            return Some(Secret::new(password));
        }
    };
    t.reject(key, wrong);
    None
}

#[cfg(unix)]
pub(super) fn is_open_to_all(file: &File) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o006 != 0)
}

#[cfg(not(unix))]
pub(super) fn is_open_to_all(_: &File) -> std::io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_this_machine_has_to_lead_to_it() {
        let to = |addresses: &'static [&str]| {
            move |_: &str| addresses.iter().map(|a| a.parse().unwrap()).collect::<Vec<IpAddr>>()
        };
        assert_eq!(elsewhere("localhost", &to(&["127.0.0.1", "::1", "127.8.0.1"])), None);
        assert_eq!(elsewhere("localhost", &to(&[])), None);
        assert_eq!(elsewhere("localhost", &to(&["127.0.0.1", "192.0.2.7"])), Some("192.0.2.7".parse().unwrap()));
        assert!(elsewhere("localhost", &to(&["::ffff:127.0.0.1"])).is_some());
        assert_eq!(elsewhere("::1", &to(&["192.0.2.7"])), None, "an address is not looked up");
        assert!(resolved("localhost").iter().all(IpAddr::is_loopback));
    }
}
