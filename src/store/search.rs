//! Finds cases by words, in an index beside the store.
//!
//! The index is made of the cases and follows them, in a thread of its own: [`Store::follow_with_search`] is called
//! until nothing is left to do. Which cases have changed since the store was opened is noted as their changes run; what
//! the index missed before, it sees by comparing the versions of all cases once. So it may be taken away, be damaged or
//! be older than the store at any time. Only where somebody is erased it goes first.

mod index;
mod words;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use self::index::{Change, Fault, Index, Known};
use self::words::{Asked, Entry, squeezed};
use super::keys::{self, Table};
use super::{Store, StoreError};
use crate::domain::case::Case;
use crate::domain::ids::{CaseId, OrderNumber};
use crate::fail_point;

/// The folder of the index in that of the store.
pub(super) const FOLDER: &str = "search";
/// Cases that are compared, and cases that are changed, in one go.
const COMPARED: usize = 500;
const FOLLOWED: usize = 100;
/// Changes that are noted one by one; with more of them all cases are compared again.
const NOTED: usize = 20_000;
/// The most cases that one order can have.
const OF_ORDER: usize = 1000;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Those whose number, id or address it is first, then the ones that were last told something.
    pub cases: Vec<Case>,
    /// There are more.
    pub more: bool,
}

/// How the index is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchState {
    /// It is being made ready, and may miss cases until then: so many of so many have been looked at.
    pub preparing: Option<(u64, u64)>,
    /// Why it does not follow the cases.
    pub failure: Option<String>,
}

impl Store {
    /// The cases in which every word of `query` occurs, at most `limit`: in their numbers in any spelling, in names and
    /// addresses, in letters, replies and notes. Words in quotes stand beside each other; the last word may go on.
    ///
    /// Says what the index knows, which follows the cases.
    pub fn search(&self, query: &str, limit: usize) -> Result<Found, StoreError> {
        let Some(asked) = Asked::new(query) else { return Ok(Found::default()) };
        let mut found = self.ask_index(|index| index.find(&asked, limit.saturating_add(1)))?;
        let more = found.len() > limit;
        found.truncate(limit);
        Ok(Found { cases: self.cases_called(&found)?, more })
    }

    /// The cases of an order, the newest first; follows all changes until now.
    pub fn cases_of_order(&self, number: &OrderNumber) -> Result<Vec<Case>, StoreError> {
        self.follow_all_with_search()?;
        let key = squeezed(number.as_str());
        let found = self.ask_index(|index| index.with_key(&key, OF_ORDER))?;
        let mut cases = self.cases_called(&found)?;
        cases.retain(|case| case.facts.order_number.as_ref().is_some_and(|fact| fact.value == *number));
        Ok(cases)
    }

    /// How the index is.
    pub fn search_state(&self) -> Result<SearchState, StoreError> {
        let cases = self.counts()?.cases;
        let progress = self.inner.search.progress();
        let preparing = match &progress.compared {
            Compared::All => None,
            Compared::To { count, .. } => Some(((*count).min(cases), cases)),
        };
        Ok(SearchState { preparing, failure: progress.failure.clone() })
    }

    /// Brings the index nearer to the cases; `false`: it has caught up. An index that is damaged is taken away and made
    /// anew by the next calls.
    pub fn follow_with_search(&self) -> Result<bool, StoreError> {
        let search = &self.inner.search;
        let mut writer = search.writer();
        let stepped = search.opened(&mut writer).and_then(|index| self.follow_some(index));
        match stepped {
            Ok(goes_on) => {
                search.progress().failure = None;
                Ok(goes_on)
            }
            Err(trouble) => {
                let damage = match &trouble {
                    Trouble::Index(Fault::Damaged(_)) => search.remove(&mut writer),
                    _ => Ok(()),
                };
                let failed = damage.err().unwrap_or_else(|| trouble.into());
                let mut progress = search.progress();
                progress.failure = Some(failed.to_string());
                progress.compare_again();
                Err(failed)
            }
        }
    }

    /// Brings the index to where the cases are.
    pub fn follow_all_with_search(&self) -> Result<(), StoreError> {
        let mut is_anew = false;
        loop {
            match self.follow_with_search() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                // A damaged one is gone now.
                Err(StoreError::Search { .. }) if !is_anew => is_anew = true,
                Err(e) => return Err(e),
            }
        }
    }

    /// Returns once a case has changed since the index was last seen to have caught up.
    pub async fn search_is_behind(&self) {
        self.inner.tables.changed().rung.notified().await;
    }

    /// Takes a case out of the index, for it is to be erased: nothing is put in until the answer is dropped. Then it
    /// follows the case again.
    pub(super) fn forget_in_search(&self, id: &CaseId) -> Result<Forgotten<'_>, StoreError> {
        let search = &self.inner.search;
        let mut writer = search.writer();
        // A case that is missing is put in again, whatever becomes of this.
        self.inner.tables.changed().note(id.as_str());
        if writer.is_some() || Index::is_there(&search.folder) {
            let forgotten = search.opened(&mut writer).and_then(|index| {
                // Nobody reads meanwhile: the log can be written back.
                let _reader = search.reader();
                Ok(index.forget(id.as_str())?)
            });
            if let Err(trouble) = forgotten {
                tracing::warn!(error = %StoreError::from(trouble), "a case can't be taken out of the search index: it is made anew");
                search.remove(&mut writer)?;
            }
        }
        fail_point::reached("erase-search-forgot");
        Ok(Forgotten { _writer: writer })
    }

    /// Takes away the last that `forget_in_search` may have left. The index does so too when it follows.
    pub fn tidy_search(&self) -> Result<(), StoreError> {
        let search = &self.inner.search;
        let mut writer = search.writer();
        if writer.is_none() && !Index::is_there(&search.folder) {
            return Ok(());
        }
        let tidied = search.opened(&mut writer).and_then(|index| search.tidy(index));
        match tidied {
            Ok(()) => Ok(()),
            Err(trouble) => {
                tracing::warn!(error = %StoreError::from(trouble), "the search index can't be tidied: it is made anew");
                search.remove(&mut writer)
            }
        }
    }

    /// What was asked; of an index that is not open, nothing is found. One that is damaged is made anew.
    fn ask_index<T: Default>(&self, ask: impl FnOnce(&Index) -> Result<T, Fault>) -> Result<T, StoreError> {
        let search = &self.inner.search;
        let answered = match search.reader().as_ref() {
            Some(index) => ask(index),
            None => return Ok(T::default()),
        };
        answered.map_err(|fault| {
            if matches!(fault, Fault::Damaged(_)) {
                if let Err(e) = search.remove(&mut search.writer()) {
                    tracing::error!(error = %e, "the damaged search index can't be taken away");
                }
                self.inner.tables.changed().rung.notify_one();
            }
            fault.into()
        })
    }

    fn follow_some(&self, index: &mut Index) -> Result<bool, Trouble> {
        let changed = self.inner.tables.changed().take(FOLLOWED);
        match changed {
            Some(changed) if !changed.is_empty() => {
                let mut changes = Vec::new();
                for id in changed {
                    changes.push(self.change(id)?);
                }
                fail_point::reached("search-behind");
                index.change(&changes)?;
                fail_point::reached("search-followed");
                return Ok(true);
            }
            Some(_) => {}
            None => self.inner.search.progress().compare_again(),
        }
        let compared = match &self.inner.search.progress().compared {
            Compared::All => None,
            Compared::To { case, count } => Some((case.clone(), *count)),
        };
        let Some((after, count)) = compared else {
            self.inner.search.tidy(index)?;
            return Ok(false);
        };
        let cases = self.cases_after(after.as_ref()).take(COMPARED).collect::<Result<Vec<_>, _>>()?;
        let last = cases.last().map(|case| case.id.clone()).filter(|_| cases.len() == COMPARED);
        let known = index.known(after.as_ref().map_or("", CaseId::as_str), last.as_ref().map(CaseId::as_str))?;
        let mut changes = Vec::new();
        for id in differing(&cases, &known) {
            changes.push(self.change(id)?);
        }
        index.change(&changes)?;
        let count = count + cases.len() as u64;
        self.inner.search.progress().compared = match last {
            Some(case) => Compared::To { case: Some(case), count },
            None => Compared::All,
        };
        Ok(true)
    }

    fn change(&self, id: String) -> Result<Change, StoreError> {
        let case = match CaseId::new(&id) {
            Ok(id) => self.case(&id)?,
            Err(_) => None,
        };
        let Some(case) = case else { return Ok((id, None)) };
        let entry = Entry::of(&case, &self.events(&case.id)?);
        Ok((id, Some((case.version, entry))))
    }

    fn cases_called(&self, ids: &[String]) -> Result<Vec<Case>, StoreError> {
        let mut cases = Vec::new();
        for id in ids {
            // The index may be behind.
            if let Ok(id) = CaseId::new(id) {
                cases.extend(self.case(&id)?);
            }
        }
        Ok(cases)
    }
}

/// The ids of the cases that the index knows otherwise than they are; of both all in the order of their ids.
fn differing(cases: &[Case], known: &[Known]) -> BTreeSet<String> {
    let are: BTreeSet<(&str, u64)> = cases.iter().map(|case| (case.id.as_str(), case.version)).collect();
    let known: BTreeSet<(&str, u64)> = known.iter().map(|known| (known.case.as_str(), known.version)).collect();
    are.symmetric_difference(&known).map(|(id, _)| (*id).to_owned()).collect()
}

/// While it lives, nothing is put into the index.
pub(super) struct Forgotten<'a> {
    _writer: MutexGuard<'a, Option<Index>>,
}

/// The index of a store. Locks are taken in the order of the fields.
pub(super) struct Search {
    folder: PathBuf,
    /// Opened when it is first wanted.
    writer: Mutex<Option<Index>>,
    /// There as long as the writer is.
    reader: Mutex<Option<Index>>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    compared: Compared,
    failure: Option<String>,
}

impl Progress {
    fn compare_again(&mut self) {
        self.compared = Compared::default();
    }
}

/// Which cases have been compared with the index since the store was opened.
enum Compared {
    /// Those up to here, and how many they are.
    To {
        case: Option<CaseId>,
        count: u64,
    },
    All,
}

impl Default for Compared {
    fn default() -> Self {
        Self::To { case: None, count: 0 }
    }
}

impl Search {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, writer: Mutex::default(), reader: Mutex::default(), progress: Mutex::default() }
    }

    fn opened<'a>(&self, writer: &'a mut Option<Index>) -> Result<&'a mut Index, Trouble> {
        if writer.is_none() {
            let index = Index::open(&self.folder)?;
            *self.reader() = Some(Index::open(&self.folder)?);
            return Ok(writer.insert(index));
        }
        writer.as_mut().ok_or_else(|| Fault::Failed("it is not open".to_owned()).into())
    }

    fn tidy(&self, index: &mut Index) -> Result<(), Trouble> {
        if !index.is_tidy()? {
            index.tidy()?;
            let _reader = self.reader();
            index.write_back()?;
        }
        Ok(())
    }

    /// Takes the index away; it is made anew by the next steps.
    fn remove(&self, writer: &mut Option<Index>) -> Result<(), StoreError> {
        *writer = None;
        *self.reader() = None;
        self.progress().compare_again();
        tracing::warn!(folder = %self.folder.display(), "the search index is of no use: it is made anew");
        Index::remove(&self.folder).map_err(|e| StoreError::io(self.folder.display(), e))
    }

    fn writer(&self) -> MutexGuard<'_, Option<Index>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Option<Index>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The cases that have changed and that the index has still to see.
#[derive(Default)]
pub(super) struct Changed {
    /// `None`: nobody knows which, for there were too many, or nobody has asked yet.
    cases: Mutex<Option<BTreeSet<String>>>,
    rung: Notify,
}

impl Changed {
    /// A change ran that wrote or removed these rows.
    pub fn ran<'a>(&self, rows: impl Iterator<Item = (Table, &'a str)>) {
        for (table, key) in rows {
            if let (Table::Cases | Table::Events, [case, ..]) = (table, keys::words(key).as_slice()) {
                self.note(case);
            }
        }
    }

    fn note(&self, case: &str) {
        let mut cases = self.cases();
        if let Some(known) = cases.as_mut() {
            known.insert(case.to_owned());
        }
        if cases.as_ref().is_some_and(|known| known.len() > NOTED) {
            *cases = None;
        }
        self.rung.notify_one();
    }

    /// Some of them; `None`: too many to tell, all cases have to be compared.
    pub fn take(&self, most: usize) -> Option<BTreeSet<String>> {
        let mut cases = self.cases();
        let Some(known) = cases.as_mut() else {
            *cases = Some(BTreeSet::new());
            return None;
        };
        let rest = known.iter().nth(most).cloned().map(|first| known.split_off(&first)).unwrap_or_default();
        Some(std::mem::replace(known, rest))
    }

    fn cases(&self) -> MutexGuard<'_, Option<BTreeSet<String>>> {
        self.cases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a step was not done.
enum Trouble {
    Index(Fault),
    Store(StoreError),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Index(fault)
    }
}

impl From<StoreError> for Trouble {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Index(fault) => fault.into(),
            Trouble::Store(e) => e,
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::Search { what: fault.to_string() }
    }
}
