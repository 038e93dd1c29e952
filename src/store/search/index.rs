//! The index on disk: the only file that names SQLite. Words in an FTS5 table, and beside it which version of a case
//! each row was made of.
//!
//! Rows are numbered by when the case was last told something, so that the newest are read first and a search ends as
//! soon as it has enough. What is removed is overwritten: in SQLite's pages, in FTS5's lists, in the write-ahead log.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

use super::words::{Asked, Entry};
use crate::store::folder::create_folder;

/// The form of the index: one of another form is made anew. Whatever `words.rs` changes is another form.
const FORM: i64 = 1;
/// The form while a word that is to be gone may still stand where FTS5 parts two pages of its lists.
const UNTIDY: i64 = -FORM;
const NAME: &str = "index.sqlite";
/// The write-ahead log is written back when it has so many pages.
const LOG_PAGES: u32 = 1000;

const TABLES: &str = "
CREATE TABLE cases(row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL) STRICT;
CREATE TABLE keys(key TEXT NOT NULL, row INTEGER NOT NULL, PRIMARY KEY(key, row)) STRICT, WITHOUT ROWID;
CREATE INDEX keys_of_row ON keys(row);
CREATE VIRTUAL TABLE texts USING fts5(codes, words, tokenize='ascii', columnsize=0, prefix='2 3');
INSERT INTO texts(texts, rank) VALUES('secure-delete', 1);
INSERT INTO texts(texts, rank) VALUES('hashsize', 8388608);
";

/// Why the index does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It has to be made anew.
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Failed(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(e: rusqlite::Error) -> Self {
        let is_damage = match &e {
            rusqlite::Error::SqliteFailure(failure, _) => {
                matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            }
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..) => true,
            _ => false,
        };
        if is_damage { Self::Damaged(e.to_string()) } else { Self::Failed(e.to_string()) }
    }
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Self {
        Self::Failed(e.to_string())
    }
}

/// A case as the index knows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Known {
    pub case: String,
    pub version: u64,
}

/// A change of one case: what is to be known of it; `None`: nothing.
pub type Change = (String, Option<(u64, Entry)>);

/// A connection to the index.
#[derive(Debug)]
pub struct Index(Connection);

impl Index {
    /// Opens or creates the index in `folder`, its owner's alone.
    pub fn open(folder: &Path) -> Result<Self, Fault> {
        create_folder(folder).map_err(|e| Fault::Failed(e.to_string()))?;
        let path = path(folder);
        // SQLite gives its other files the mode of this one.
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let connection = Connection::open(&path)?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=ON; PRAGMA temp_store=MEMORY; \
             PRAGMA cache_size=-8000; PRAGMA wal_autocheckpoint={LOG_PAGES}; PRAGMA journal_size_limit=0;"
        ))?;
        let mut index = Self(connection);
        match index.form()? {
            FORM | UNTIDY => {}
            0 if index.is_empty()? => index.create()?,
            other => return Err(Fault::Damaged(format!("it is of form {other}, this program's is {FORM}"))),
        }
        Ok(index)
    }

    /// Takes the index in `folder` away.
    pub fn remove(folder: &Path) -> io::Result<()> {
        for end in ["-journal", "-wal", "-shm", ""] {
            let mut path = path(folder).into_os_string();
            path.push(end);
            match fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether there is anything of an index in `folder`.
    pub fn is_there(folder: &Path) -> bool {
        path(folder).exists()
    }

    /// The cases whose ids are above `after` and not above `to`, in the order of their ids.
    pub fn known(&self, after: &str, to: Option<&str>) -> Result<Vec<Known>, Fault> {
        let question = "SELECT id, version FROM cases WHERE id > ?1 AND (?2 IS NULL OR id <= ?2) ORDER BY id";
        let mut statement = self.0.prepare_cached(question)?;
        let rows = statement.query_map(params![after, to], |row| {
            Ok(Known { case: row.get(0)?, version: row.get::<_, i64>(1)?.unsigned_abs() })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes these changes, all or none.
    pub fn change(&mut self, changes: &[Change]) -> Result<(), Fault> {
        let transaction = self.0.transaction()?;
        let mut added = Vec::new();
        for (case, wanted) in changes {
            match (row_of(&transaction, case)?, wanted) {
                (Some(row), Some((version, entry))) if is_same(&transaction, row, entry)? => {
                    let mut statement = transaction.prepare_cached("UPDATE cases SET version = ?2 WHERE row = ?1")?;
                    statement.execute(params![row, version.cast_signed()])?;
                }
                (known, wanted) => {
                    if let Some(row) = known {
                        remove(&transaction, row)?;
                    }
                    added.extend(wanted.as_ref().map(|(version, entry)| (case, version, entry)));
                }
            }
        }
        // FTS5 writes its lists out whenever a row is lower than the one before.
        added.sort_by_key(|(_, _, entry)| entry.told_at);
        for (case, version, entry) in added {
            add(&transaction, case, *version, entry)?;
        }
        Ok(transaction.commit()?)
    }

    /// Removes a case. Nothing of it is left in the files but a single word, if the index is not tidy then. Nobody may
    /// read meanwhile.
    pub fn forget(&mut self, case: &str) -> Result<(), Fault> {
        let Some(row) = row_of(&self.0, case)? else { return Ok(()) };
        let said = "SELECT codes || ' ' || words FROM texts WHERE rowid = ?";
        let said: Option<String> = self.0.query_row(said, [row], |row| row.get(0)).optional()?;
        self.change(&[(case.to_owned(), None)])?;
        if self.has_leftovers(&said.unwrap_or_default())? {
            self.0.pragma_update(None, "user_version", UNTIDY)?;
        }
        self.write_back()
    }

    pub fn is_tidy(&self) -> Result<bool, Fault> {
        Ok(self.form()? == FORM)
    }

    /// Writes the lists anew, which takes seconds where there are many cases; [`Index::write_back`] is due then.
    pub fn tidy(&mut self) -> Result<(), Fault> {
        let transaction = self.0.transaction()?;
        transaction.execute_batch("INSERT INTO texts(texts) VALUES('optimize')")?;
        transaction.pragma_update(None, "user_version", FORM)?;
        Ok(transaction.commit()?)
    }

    /// Empties the write-ahead log. Nobody may read meanwhile.
    pub fn write_back(&self) -> Result<(), Fault> {
        let busy: i64 = self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        match busy {
            0 => Ok(()),
            _ => Err(Fault::Failed("its log can't be written back".to_owned())),
        }
    }

    /// The ids of at most `limit` cases, those that `asked` names exactly first, then the newest.
    pub fn find(&self, asked: &Asked, limit: usize) -> Result<Vec<String>, Fault> {
        let mut found = self.with_key(&asked.key, limit)?;
        let exact: BTreeSet<String> = found.iter().cloned().collect();
        let question = "SELECT cases.id FROM texts JOIN cases ON cases.row = texts.rowid WHERE texts MATCH ?1 \
                        ORDER BY texts.rowid DESC LIMIT ?2";
        let mut statement = self.0.prepare_cached(question)?;
        let most = limit.saturating_add(exact.len());
        let rows = statement.query_map(params![asked.expression, most.cast_signed()], |row| row.get(0))?;
        for case in rows {
            let case: String = case?;
            if found.len() < limit && !exact.contains(&case) {
                found.push(case);
            }
        }
        Ok(found)
    }

    /// The ids of at most `limit` cases with this key, the newest first.
    pub fn with_key(&self, key: &str, limit: usize) -> Result<Vec<String>, Fault> {
        let question = "SELECT cases.id FROM keys JOIN cases USING(row) WHERE key = ?1 ORDER BY row DESC LIMIT ?2";
        let mut statement = self.0.prepare_cached(question)?;
        let rows = statement.query_map(params![key, limit.cast_signed()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn create(&mut self) -> Result<(), Fault> {
        let transaction = self.0.transaction()?;
        transaction.execute_batch(TABLES)?;
        transaction.pragma_update(None, "user_version", FORM)?;
        Ok(transaction.commit()?)
    }

    fn form(&self) -> Result<i64, Fault> {
        Ok(self.0.query_row("PRAGMA user_version", [], |row| row.get(0))?)
    }

    fn is_empty(&self) -> Result<bool, Fault> {
        Ok(self.0.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0)
    }

    /// Whether a word that no case has any more still stands where FTS5 parts two pages of its lists.
    fn has_leftovers(&self, said: &str) -> Result<bool, Fault> {
        let words: BTreeSet<&[u8]> = said.split(' ').map(str::as_bytes).collect();
        let mut statement = self.0.prepare_cached("SELECT DISTINCT term FROM texts_idx")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let term: Vec<u8> = row.get(0)?;
            // The first byte says in which list the word stands.
            let Some(word) = term.get(1..).filter(|word| words.contains(word)) else { continue };
            let question = "SELECT EXISTS(SELECT 1 FROM texts WHERE texts MATCH ?1)";
            let word = String::from_utf8_lossy(word);
            let is_used: bool = self.0.query_row(question, [format!("\"{word}\"")], |row| row.get(0))?;
            if !is_used {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

fn row_of(connection: &Connection, case: &str) -> Result<Option<i64>, Fault> {
    let mut statement = connection.prepare_cached("SELECT row FROM cases WHERE id = ?")?;
    Ok(statement.query_row([case], |row| row.get(0)).optional()?)
}

/// Whether the row says what the entry says. Its number may be higher where others had the entry's.
fn is_same(connection: &Connection, row: i64, entry: &Entry) -> Result<bool, Fault> {
    let mut statement = connection.prepare_cached("SELECT codes = ?2 AND words = ?3 FROM texts WHERE rowid = ?1")?;
    let same = statement.query_row(params![row, entry.codes, entry.words], |row| row.get(0)).optional()?;
    Ok(same.unwrap_or(false) && row >= entry.told_at)
}

fn remove(transaction: &Transaction<'_>, row: i64) -> Result<(), Fault> {
    for statement in
        ["DELETE FROM texts WHERE rowid = ?", "DELETE FROM keys WHERE row = ?", "DELETE FROM cases WHERE row = ?"]
    {
        transaction.prepare_cached(statement)?.execute([row])?;
    }
    Ok(())
}

fn add(transaction: &Transaction<'_>, case: &str, version: u64, entry: &Entry) -> Result<(), Fault> {
    let mut row = entry.told_at;
    while transaction.prepare_cached("SELECT 1 FROM cases WHERE row = ?")?.exists([row])? {
        row += 1;
    }
    let mut statement = transaction.prepare_cached("INSERT INTO cases(row, id, version) VALUES(?, ?, ?)")?;
    statement.execute(params![row, case, version.cast_signed()])?;
    let mut statement = transaction.prepare_cached("INSERT INTO texts(rowid, codes, words) VALUES(?, ?, ?)")?;
    statement.execute(params![row, entry.codes, entry.words])?;
    let mut statement = transaction.prepare_cached("INSERT INTO keys(key, row) VALUES(?, ?)")?;
    for key in &entry.keys {
        statement.execute(params![key, row])?;
    }
    Ok(())
}
