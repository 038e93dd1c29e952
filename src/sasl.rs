//! Floor 1: how an OAuth2 access token is shown to a mail server: OAUTHBEARER (RFC 7628) and its forerunner XOAUTH2, the
//! only one that Microsoft knows.

use crate::ports::{Secret, Server};

/// A way to log in by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer {
    OauthBearer,
    Xoauth2,
}

impl Bearer {
    /// The one to use of those that a server offers; the standard's first.
    pub fn offered<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<&str> = names.into_iter().collect();
        let offers = |of: &Self| names.iter().any(|name| name.eq_ignore_ascii_case(of.name()));
        [Self::OauthBearer, Self::Xoauth2].into_iter().find(offers)
    }

    /// As SASL calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
        }
    }

    /// What the client says first: who comes, and the token.
    pub fn opening(self, user: &str, server: &Server, token: &Secret) -> Secret {
        let token = token.reveal();
        Secret::new(match self {
            Self::OauthBearer => {
                // RFC 5801 section 4: these two would end the name.
                let user = user.replace('=', "=3D").replace(',', "=2C");
                let Server { host, port, .. } = server;
                format!("n,a={user},\u{1}host={host}\u{1}port={port}\u{1}auth=Bearer {token}\u{1}\u{1}")
            }
            Self::Xoauth2 => format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}"),
        })
    }

    /// What the client says to a server that has told why it refuses, so that it may say no.
    pub fn closing(self) -> &'static str {
        match self {
            Self::OauthBearer => "\u{1}",
            Self::Xoauth2 => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ports::Security;

    #[test]
    fn tokens_are_shown_as_the_two_specifications_say() {
        let server = Server {
            host: "server.example.com".into(),
            port: 143,
            security: Security::Tls,
            login: None,
            ca_file: None,
            timeout: Duration::ZERO,
        };
        let token = Secret::new("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        // RFC 7628 section 4.1.
        assert_eq!(
            Bearer::OauthBearer.opening("user@example.com", &server, &token).reveal(),
            "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}\
             auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}"
        );
        assert!(Bearer::OauthBearer.opening("a=b,c", &server, &token).reveal().starts_with("n,a=a=3Db=2Cc,\u{1}"));
        assert_eq!(
            Bearer::Xoauth2.opening("a=b,c@example.com", &server, &Secret::new("x")).reveal(),
            "user=a=b,c@example.com\u{1}auth=Bearer x\u{1}\u{1}"
        );
    }

    #[test]
    fn the_standard_goes_first() {
        assert_eq!(Bearer::offered(["PLAIN", "xoauth2", "OAuthBearer"]), Some(Bearer::OauthBearer));
        assert_eq!(Bearer::offered(["PLAIN", "XOAUTH2"]), Some(Bearer::Xoauth2));
        assert_eq!(Bearer::offered(["PLAIN", "LOGIN"]), None);
    }
}
