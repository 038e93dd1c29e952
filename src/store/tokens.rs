//! The tokens of programs, and what they asked for under a key so that it is done once.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::{self, Table};
use super::tables::Change;
use super::{CommitError, Store, StoreError};
use crate::domain::account::AccountName;
use crate::domain::ids::CaseId;
use crate::domain::token::Token;

/// How long it is remembered what was done under a key.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(48);
/// Forgotten keys that are cleared away by one commit.
const CLEARED: usize = 20;

/// A key under which something is done once, however often it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// A digest of who asks and of their key.
    pub key: String,
    /// A digest of what is asked.
    pub request: String,
    pub at: Timestamp,
}

/// What was done under a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoneOnce {
    pub request: String,
    pub case: CaseId,
    pub at: Timestamp,
}

impl Store {
    /// The token of this digest, expired or not.
    pub fn token(&self, digest: &str) -> Result<Option<Token>, StoreError> {
        self.inner.tables.get(Table::Tokens, digest)
    }

    /// All tokens by their digests.
    pub fn tokens(&self) -> Result<Vec<(String, Token)>, StoreError> {
        let read = |row: Result<super::tables::Row, StoreError>| {
            let row = row?;
            Ok((row.key.clone(), row.read()?))
        };
        self.inner.tables.scan(Table::Tokens, "").map(read).collect()
    }

    /// Adds a token, unless there is one of its name. Durable after the next [`Store::flush`].
    pub fn add_token(&self, digest: &str, token: &Token) -> Result<bool, StoreError> {
        if self.tokens()?.iter().any(|(_, known)| known.name == token.name) {
            return Ok(false);
        }
        let mut change = Change::default();
        change.put(Table::Tokens, digest.to_owned(), token)?;
        self.inner.tables.run(&change)
    }

    /// Notes the use of a token; one that was revoked meanwhile stays so.
    pub fn token_used(&self, digest: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::default();
        let Some(token) = self.inner.tables.watch::<Token>(&mut change, Table::Tokens, digest)? else { return Ok(()) };
        change.put(Table::Tokens, digest.to_owned(), &Token { used_at: Some(at), ..token })?;
        // Not run: somebody else noted it, or took it away.
        self.inner.tables.run(&change).map(|_| ())
    }

    /// Takes a token away; `None`: there is none of this name.
    pub fn revoke_token(&self, name: &AccountName) -> Result<Option<Token>, StoreError> {
        let Some((digest, token)) = self.tokens()?.into_iter().find(|(_, token)| token.name == *name) else {
            return Ok(None);
        };
        let mut change = Change::default();
        change.remove(Table::Tokens, digest);
        self.inner.tables.run(&change)?;
        Ok(Some(token))
    }

    /// What was done under a key.
    pub fn done_once(&self, key: &str) -> Result<Option<DoneOnce>, StoreError> {
        self.inner.tables.get(Table::Once, &keys::once(key))
    }

    /// Notes that something is done under a key, or says that it was.
    pub(super) fn once(&self, once: &Once, case: &CaseId, change: &mut Change) -> Result<(), CommitError> {
        let key = keys::once(&once.key);
        if let Some(done) = self.inner.tables.watch::<DoneOnce>(change, Table::Once, &key)? {
            return Err(CommitError::Done(Box::new(done)));
        }
        let done = DoneOnce { request: once.request.clone(), case: case.clone(), at: once.at };
        change.put(Table::Once, key, &done)?;
        change.put(Table::Once, keys::once_at(once.at, &once.key), &())?;
        let until = once.at.checked_sub(REMEMBERED).map(keys::time).unwrap_or_default();
        for row in self.inner.tables.scan(Table::Once, &keys::prefix(&["at"])).take(CLEARED) {
            let row = row?;
            let words = row.words();
            let [_, time, key] = words.as_slice() else { return Err(row.corrupt("the key is no time").into()) };
            if **time >= *until {
                break;
            }
            change.remove(Table::Once, keys::once(key));
            change.remove(Table::Once, row.key.clone());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::token::Scope;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_revoked_token_stays_revoked_and_names_are_of_one() {
        let store = Store::temporary().unwrap();
        let name = AccountName::new("erp").unwrap();
        let token = Token {
            name: name.clone(),
            scopes: BTreeSet::from([Scope::Read]),
            added_at: at(1),
            by: "kim".into(),
            expires_at: None,
            used_at: None,
        };
        assert!(store.add_token("a", &token).unwrap());
        assert!(!store.add_token("b", &token).unwrap());
        store.token_used("a", at(9)).unwrap();
        assert_eq!(store.token("a").unwrap().unwrap().used_at, Some(at(9)));
        assert!(store.verify().unwrap().findings.is_empty());
        assert_eq!(store.revoke_token(&name).unwrap().unwrap().name, name);
        store.token_used("a", at(10)).unwrap();
        assert_eq!((store.token("a").unwrap(), store.revoke_token(&name).unwrap()), (None, None));
    }

    #[test]
    fn what_was_done_under_a_key_is_remembered_for_a_while() {
        let store = Store::temporary().unwrap();
        let case = CaseId::new("AS-FTAJ5R4S").unwrap();
        let note = |key: &str, second: i64| {
            let mut change = Change::default();
            let once = Once { key: key.to_owned(), request: "r".to_owned(), at: at(second) };
            store.once(&once, &case, &mut change).map(|()| store.inner.tables.run(&change).unwrap())
        };
        assert!(note("a", 10).unwrap());
        assert!(matches!(note("a", 20), Err(CommitError::Done(done)) if done.at == at(10)));
        assert!(note("b", 10 + REMEMBERED.as_secs()).unwrap());
        assert!(store.done_once("a").unwrap().is_some());
        assert!(note("c", 11 + REMEMBERED.as_secs()).unwrap());
        assert_eq!(store.done_once("a").unwrap(), None);
        assert!(store.done_once("b").unwrap().is_some());
        assert!(store.verify().unwrap().findings.is_empty());
    }
}
