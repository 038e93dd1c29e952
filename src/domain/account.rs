//! Who may work at the console, and what they did there.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{CaseId, Malformed};

/// The name that one of the staff signs in with, as it stands in histories.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AccountName(String);

impl AccountName {
    /// Letters, digits and `. _ - @`, at most 64; in lower case.
    pub fn new(text: &str) -> Result<Self, Malformed> {
        let name = text.trim().to_lowercase();
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
        match (1..=64).contains(&name.len()) && name.chars().all(sound) {
            true => Ok(Self(name)),
            false => Err(Malformed("a name of 1 to 64 letters, digits and . _ - @")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for AccountName {
    type Error = Malformed;

    fn try_from(text: String) -> Result<Self, Malformed> {
        Self::new(&text)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one may see besides the cases, which all may work on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    #[default]
    Agent,
    /// Also who looked at which case and did what.
    Lead,
    /// Also who signed in, and who failed to.
    Admin,
}

impl Role {
    pub const ALL: [(&'static str, Self); 3] = [("agent", Self::Agent), ("lead", Self::Lead), ("admin", Self::Admin)];

    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(_, role)| *role == self).map_or("agent", |(code, _)| code)
    }

    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == code).map(|(_, role)| *role)
    }
}

/// One of the staff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub name: AccountName,
    pub role: Role,
    /// A digest in PHC form (`$argon2id$…`), never the password.
    pub password: String,
    pub disabled: bool,
    /// When the password was set or the account disabled last: sessions of before are over.
    pub changed_at: Timestamp,
}

/// Somebody who is signed in. The store knows it by a digest of the token that their browser holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub account: AccountName,
    pub begun_at: Timestamp,
    /// About when it was last used.
    pub used_at: Timestamp,
}

/// One entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    pub at: Timestamp,
    /// `None`: somebody who gave no name that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    pub what: Deed,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<CaseId>,
    /// Which act, which file; no words of or about a customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    SignedIn,
    SignedOut,
    SignInFailed,
    SawQueue,
    Searched,
    SawCase,
    SawLetter,
    SawFile,
    Acted,
    SawTrail,
    AccountAdded,
    AccountDisabled,
    PasswordSet,
    TokenAdded,
    TokenRevoked,
}

impl Deed {
    /// The code that outside tools know it by.
    pub fn code(self) -> &'static str {
        match self {
            Self::SignedIn => "signed_in",
            Self::SignedOut => "signed_out",
            Self::SignInFailed => "sign_in_failed",
            Self::SawQueue => "saw_queue",
            Self::Searched => "searched",
            Self::SawCase => "saw_case",
            Self::SawLetter => "saw_letter",
            Self::SawFile => "saw_file",
            Self::Acted => "acted",
            Self::SawTrail => "saw_trail",
            Self::AccountAdded => "account_added",
            Self::AccountDisabled => "account_disabled",
            Self::PasswordSet => "password_set",
            Self::TokenAdded => "token_added",
            Self::TokenRevoked => "token_revoked",
        }
    }

    /// Whether it says something of a case, and not of who came in.
    pub fn is_of_cases(self) -> bool {
        matches!(self, Self::SawQueue | Self::Searched | Self::SawCase | Self::SawLetter | Self::SawFile | Self::Acted)
    }
}
