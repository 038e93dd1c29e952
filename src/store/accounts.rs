//! Who may work at the console, who is signed in, and the audit trail of what they did.

use jiff::Timestamp;

use super::books::Books;
use super::keys::{self, Table};
use super::picture::Picture;
use super::tables::Change;
use super::{DoneOnce, Store, StoreError};
use crate::domain::account::{Account, AccountName, Session, Trace};
use crate::domain::token::Token;

impl Store {
    pub fn account(&self, name: &AccountName) -> Result<Option<Account>, StoreError> {
        self.inner.tables.get(Table::Accounts, name.as_str())
    }

    /// All accounts in the order of their names.
    pub fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.inner.tables.scan(Table::Accounts, "").map(|row| row?.read()).collect()
    }

    /// Writes an account, new or changed. Durable after the next [`Store::flush`].
    pub fn keep_account(&self, account: &Account) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.put(Table::Accounts, account.name.to_string(), account)?;
        self.inner.tables.run(&change).map(|_| ())
    }

    /// The session that a digest of a token names.
    pub fn session(&self, digest: &str) -> Result<Option<Session>, StoreError> {
        self.inner.tables.get(Table::Sessions, digest)
    }

    /// Writes a session, and clears away those that nobody used since `stale`.
    pub fn keep_session(&self, digest: &str, session: &Session, stale: Timestamp) -> Result<(), StoreError> {
        let mut change = Change::default();
        for row in self.inner.tables.scan(Table::Sessions, "") {
            let row = row?;
            if row.read::<Session>()?.used_at < stale {
                change.remove(Table::Sessions, row.key);
            }
        }
        change.put(Table::Sessions, digest.to_owned(), session)?;
        self.inner.tables.run(&change).map(|_| ())
    }

    pub fn end_session(&self, digest: &str) -> Result<(), StoreError> {
        let mut change = Change::default();
        change.remove(Table::Sessions, digest.to_owned());
        self.inner.tables.run(&change).map(|_| ())
    }

    /// Adds to the audit trail. Durable after the next [`Store::flush`].
    pub fn trace(&self, trace: &Trace) -> Result<(), StoreError> {
        for number in 0..u32::MAX {
            let key = keys::trace(trace.at, number);
            let mut change = Change::default();
            if self.inner.tables.watch::<Trace>(&mut change, Table::Trail, &key)?.is_none() {
                change.put(Table::Trail, key, trace)?;
                if self.inner.tables.run(&change)? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Removes what was done before that moment from the audit trail; gives how much that was.
    pub fn forget_trail(&self, before: Timestamp) -> Result<u64, StoreError> {
        const AT_ONCE: usize = 500;
        let mut gone = 0;
        loop {
            let mut change = Change::default();
            let mut count = 0;
            let end = keys::time(before);
            for row in self.inner.tables.scan(Table::Trail, "").take(AT_ONCE) {
                let key = row?.key;
                if key >= end {
                    break;
                }
                change.remove(Table::Trail, key);
                count += 1;
            }
            if count == 0 {
                return Ok(gone);
            }
            if self.inner.tables.run(&change)? {
                gone += count;
            }
        }
    }

    /// The audit trail, the latest first.
    pub fn trail(&self) -> impl Iterator<Item = Result<Trace, StoreError>> + use<> {
        self.inner.tables.scan_back(Table::Trail, "").map(|row| row?.read())
    }
}

impl Books {
    /// Who may come in, and what they did: nothing else tells it.
    pub(super) fn read_staff(&mut self, picture: &Picture<'_>) -> Result<(), StoreError> {
        for row in picture.scan(Table::Accounts) {
            let _ = self.read::<Account>(Table::Accounts, &row?);
        }
        for row in picture.scan(Table::Trail) {
            let _ = self.read::<Trace>(Table::Trail, &row?);
        }
        for row in picture.scan(Table::Tokens) {
            let _ = self.read::<Token>(Table::Tokens, &row?);
        }
        for row in picture.scan(Table::Once) {
            let row = row?;
            match row.words().as_slice() {
                ["by", ..] => _ = self.read::<DoneOnce>(Table::Once, &row),
                _ => _ = self.read::<()>(Table::Once, &row),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::account::{Deed, Role};

    #[test]
    fn sessions_nobody_uses_are_cleared_away_and_the_trail_keeps_every_entry() {
        let store = Store::temporary().unwrap();
        let name = AccountName::new("Kim").unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let session = |second| Session { account: name.clone(), begun_at: at(second), used_at: at(second) };
        store.keep_session("a", &session(10), at(0)).unwrap();
        store.keep_session("b", &session(20), at(15)).unwrap();
        assert_eq!((store.session("a").unwrap(), store.session("b").unwrap()), (None, Some(session(20))));
        store.end_session("b").unwrap();
        assert_eq!(store.session("b").unwrap(), None);
        let trace = Trace { at: at(5), who: Some("kim".into()), what: Deed::SawCase, case: None, detail: None };
        store.trace(&trace).unwrap();
        store.trace(&trace).unwrap();
        assert_eq!(store.trail().count(), 2);
        for second in 6..1206 {
            store.trace(&Trace { at: at(second), ..trace.clone() }).unwrap();
        }
        assert_eq!(store.forget_trail(at(5)).unwrap(), 0);
        assert_eq!((store.forget_trail(at(1200)).unwrap(), store.trail().count()), (1196, 6));
        let account = Account {
            name: name.clone(),
            role: Role::Lead,
            password: "$argon2id$…".into(),
            disabled: false,
            changed_at: at(1),
        };
        store.keep_account(&account).unwrap();
        assert_eq!((store.account(&name).unwrap(), store.accounts().unwrap().len()), (Some(account), 1));
        assert!(store.verify().unwrap().findings.is_empty());
    }
}
