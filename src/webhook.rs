//! Floor 2: news out, to other programs, as Standard Webhooks (<https://www.standardwebhooks.com>): one signed POST.
//!
//! Nothing of an answer but its status is read, no redirect is followed, and nothing but loopback is spoken to in the
//! clear.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use jiff::Timestamp;
use sha2::Sha256;

use crate::http::{Peer, Url};
use crate::ports::{Fault, Secret};

/// What stands before the base64 of a secret.
const PREFIX: &str = "whsec_";

/// What a receiver is told to trust us by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(Secret);

impl Key {
    /// `whsec_` and the base64 of 24 to 64 bytes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bytes = text.strip_prefix(PREFIX).and_then(|encoded| STANDARD.decode(encoded).ok());
        match bytes {
            Some(bytes) if (24..=64).contains(&bytes.len()) => Ok(Self(Secret::new(text))),
            _ => Err("expected whsec_ and the base64 of 24 to 64 bytes, as of: \
                      echo whsec_$(openssl rand -base64 32)"
                .to_owned()),
        }
    }

    /// The key of a configuration that was read for who speaks with nobody.
    pub fn unread() -> Self {
        Self(Secret::new(""))
    }

    /// The header `webhook-signature`.
    fn sign(&self, id: &str, seconds: i64, body: &str) -> Result<String, String> {
        let encoded = self.0.reveal().strip_prefix(PREFIX).ok_or("the key was not read")?;
        let key = STANDARD.decode(encoded).map_err(|e| e.to_string())?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|e| e.to_string())?;
        mac.update(format!("{id}.{seconds}.{body}").as_bytes());
        Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    }
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub url: Url,
    pub key: Key,
    pub ca_file: Option<PathBuf>,
    /// How long a POST may take in all.
    pub timeout: Duration,
}

/// A program that wants to hear of cases.
#[derive(Debug, Clone)]
pub struct Receiver {
    settings: Settings,
    peer: Peer,
}

impl Receiver {
    /// Reads the trust anchors.
    pub fn new(settings: Settings) -> Result<Self, Fault> {
        let named = |why: String| Fault::configuration(format!("[[webhook]] {}: {why}", settings.name));
        let peer = Peer::new(settings.url.clone(), settings.ca_file.as_deref()).map_err(named)?;
        Ok(Self { settings, peer })
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Posts a message; an error says why it was not taken.
    pub async fn post(&self, id: &str, now: Timestamp, body: &str) -> Result<(), String> {
        let posting = tokio::time::timeout(self.settings.timeout, self.try_post(id, now, body));
        posting.await.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.settings.timeout)))
    }

    async fn try_post(&self, id: &str, now: Timestamp, body: &str) -> Result<(), String> {
        let seconds = now.as_second();
        let signature = self.settings.key.sign(id, seconds, body)?;
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", id),
            ("webhook-timestamp", &seconds.to_string()),
            ("webhook-signature", &signature),
        ];
        match self.peer.post(&headers, body.to_owned(), 0).await?.status {
            status if status.is_success() => Ok(()),
            status if status.is_redirection() => Err(format!("{status}: redirects are not followed")),
            status => Err(format!("it answered {status}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's libraries.
    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        let key = Key::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = key.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}").unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_ä"] {
            assert!(Key::parse(wrong).unwrap_err().contains("openssl"), "{wrong}");
        }
        assert!(!format!("{key:?}").contains("MfKQ"));
    }
}
