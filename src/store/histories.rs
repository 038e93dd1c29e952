//! All cases, one at a time, for whoever reads the whole store.

use super::keys::{self, Table};
use super::tables::Row;
use super::{Store, StoreError};
use crate::domain::case::Case;
use crate::domain::event::CaseEvent;

impl Store {
    /// How many have opened a case that `counts`, each counted once.
    pub fn customers(&self, counts: &dyn Fn(&Case) -> bool) -> Result<u64, StoreError> {
        let (mut customers, mut last) = (0, None);
        // In the order of addresses.
        for row in self.inner.tables.scan(Table::Index, &keys::prefix(&["sender"])) {
            let row = row?;
            let address = row.words().get(1).map(|address| (*address).to_owned());
            if address != last && self.case(&row.read()?)?.is_some_and(|case| counts(&case)) {
                customers += 1;
                last = address;
            }
        }
        Ok(customers)
    }

    /// The events of all cases, case by case in the order of their ids.
    pub fn histories(&self) -> impl Iterator<Item = Result<Vec<CaseEvent>, StoreError>> + use<> {
        let case_of = |row: &Row| row.words().first().copied().unwrap_or_default().to_owned();
        let mut rows = self.inner.tables.scan(Table::Events, "").peekable();
        std::iter::from_fn(move || {
            let first = rows.next()?;
            let history = || {
                let row = first?;
                let mut history: Vec<CaseEvent> = row.read()?;
                let id = case_of(&row);
                let further = |next: &Result<Row, StoreError>| next.as_ref().is_ok_and(|next| case_of(next) == id);
                while let Some(row) = rows.next_if(further) {
                    history.extend(row?.read::<Vec<CaseEvent>>()?);
                }
                Ok(history)
            };
            Some(history())
        })
    }
}
