//! Tokens: what programs come in with, and what each may do.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::AccountName;

/// What every token begins with, so that scanners know one that leaked.
pub const PREFIX: &str = "asd_";

/// What a token may do. None is part of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Cases, with what is known of them, search, statistics, health.
    Read,
    /// Customers' mails as they came, and their files.
    Letters,
    /// Whatever staff do with a case.
    Act,
}

impl Scope {
    pub const ALL: [(&'static str, Self); 3] = [("read", Self::Read), ("letters", Self::Letters), ("act", Self::Act)];

    pub fn code(self) -> &'static str {
        Self::ALL.iter().find(|(_, scope)| *scope == self).map_or("read", |(code, _)| code)
    }

    /// Reads `read,letters`.
    pub fn list(text: &str) -> Result<BTreeSet<Self>, String> {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let scope = |word: &str| {
            let known = Self::ALL.iter().find(|(code, _)| *code == word).map(|(_, scope)| *scope);
            known.ok_or_else(|| format!("{word:?} is no scope; there are read, letters and act"))
        };
        let scopes = words.map(scope).collect::<Result<BTreeSet<_>, _>>()?;
        if scopes.is_empty() { Err("give at least one of read, letters and act".to_owned()) } else { Ok(scopes) }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A token as it is remembered: under a digest, so that nobody can take it from the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub name: AccountName,
    pub scopes: BTreeSet<Scope>,
    pub added_at: Timestamp,
    /// Who added it.
    pub by: String,
    /// `None`: it holds until it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// About when it was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_at: Option<Timestamp>,
}

impl Token {
    /// The name in histories and in the audit trail; none of the staff can have it.
    pub fn actor(&self) -> String {
        format!("token:{}", self.name)
    }

    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_from_a_list() {
        assert_eq!(Scope::list("read, act,read"), Ok(BTreeSet::from([Scope::Read, Scope::Act])));
        assert_eq!(Scope::list("letters"), Ok(BTreeSet::from([Scope::Letters])));
        assert!(Scope::list("read,write").unwrap_err().contains("\"write\" is no scope"));
        assert!(Scope::list(" , ").is_err());
    }
}
