//! The keys that `[mailbox]` and `[delivery]` share: how to reach a server, and the password.

use std::fs::File;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::time::Duration;

use super::secrets::{DELIVERY_PASSWORD, MAILBOX_PASSWORD, Named};
use super::table::Table;
use super::{Surroundings, values};
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

pub(super) const IMAP: Protocol = Protocol { ports: [993, 143, 143], needs_login: true, variable: MAILBOX_PASSWORD };
pub(super) const SMTP: Protocol = Protocol { ports: [465, 587, 25], needs_login: false, variable: DELIVERY_PASSWORD };

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
    let password = Named::read(t, around, ["password", "password_file"]);
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
        false => login(t, around, protocol, user, password),
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
    password: Named,
) -> Option<Option<Login>> {
    let password = password.find(t, around, protocol.variable, t.has("user"), Ok);
    if !t.has("user") {
        if protocol.needs_login || t.has("password") || t.has("password_file") {
            t.reject("user", "is missing");
        }
        return (!protocol.needs_login).then_some(None);
    }
    let password = password?.unwrap_or_else(|| Secret::new(""));
    Some(Some(Login { user: user?, credential: Credential::Password(password) }))
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
