//! `users`: who may work at the console, and what they did there.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use jiff::Timestamp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::query::{Query, consult};
use super::{Failure, load_offline};
use crate::console::passwords;
use crate::domain::account::{Account, AccountName, Deed, Role, Trace};
use crate::domain::ids::CaseId;
use crate::store::Store;

/// What is asked about accounts. A password travels as its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Users {
    Add { name: AccountName, role: Role, password: String, by: String },
    List,
    Disable { name: AccountName, by: String },
    Password { name: AccountName, password: String, by: String },
    Trail { case: Option<CaseId>, user: Option<String>, last: usize },
}

/// Answers from the store with JSON objects.
pub fn answer(store: &Store, users: &Users, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    let now = Timestamp::now();
    let known = |name: &AccountName| {
        store.account(name)?.ok_or_else(|| Failure::Other(format!("there is no account {name}; see: users list")))
    };
    let (account, what, by) = match users {
        Users::Add { name, role, password, by } => {
            if store.account(name)?.is_some() {
                return Err(Failure::Other(format!("there is an account {name} already; see: users password")));
            }
            let (name, password) = (name.clone(), password.clone());
            (Account { name, role: *role, password, disabled: false, changed_at: now }, Deed::AccountAdded, by)
        }
        Users::Disable { name, by } => {
            (Account { disabled: true, changed_at: now, ..known(name)? }, Deed::AccountDisabled, by)
        }
        Users::Password { name, password, by } => {
            let password = password.clone();
            (Account { password, disabled: false, changed_at: now, ..known(name)? }, Deed::PasswordSet, by)
        }
        Users::List => return store.accounts()?.iter().try_for_each(|account| Ok(tell(listed(account))?)),
        Users::Trail { case, user, last } => {
            let is_meant = |trace: &Trace| {
                case.as_ref().is_none_or(|case| trace.case.as_ref() == Some(case))
                    && user.as_ref().is_none_or(|user| trace.who.as_deref() == Some(user))
            };
            let mut told = 0;
            for trace in store.trail() {
                let trace = trace?;
                if told < *last && is_meant(&trace) {
                    tell(serde_json::to_value(&trace).map_err(io::Error::from)?)?;
                    told += 1;
                }
            }
            return Ok(());
        }
    };
    let detail = Some(account.name.to_string());
    store.keep_account(&account)?;
    store.trace(&Trace { at: now, who: Some(by.clone()), what, case: None, detail })?;
    store.flush()?;
    Ok(tell(listed(&account))?)
}

fn listed(account: &Account) -> Value {
    let Account { name, role, disabled, changed_at, .. } = account;
    json!({"name": name, "role": role.code(), "disabled": disabled, "changed_at": changed_at.to_string()})
}

/// The command: asks, prints.
pub fn run(config: &Path, users: Users, as_json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let config = load_offline(config)?;
    consult(&config, &Query::Users(users), &mut |line| {
        if as_json {
            return out.write_all(line);
        }
        let told: Value = serde_json::from_slice(line)?;
        let text = |key: &str| told.get(key).and_then(Value::as_str).unwrap_or("–");
        match told.get("what") {
            Some(_) => writeln!(
                out,
                "{}  {:<16} {:<16} {:<12} {}",
                text("at"),
                text("who"),
                text("what"),
                text("case"),
                text("detail")
            ),
            None => {
                let disabled = if told.get("disabled") == Some(&Value::Bool(true)) { "  disabled" } else { "" };
                writeln!(out, "{:<24} {:<6} since {}{disabled}", text("name"), text("role"), text("changed_at"))
            }
        }
    })
}

/// The digest of a password that is typed at a terminal, unseen and twice, or is the first line of standard input.
pub fn asked() -> Result<String, Failure> {
    let input = io::stdin();
    let password = match input.is_terminal() {
        true => {
            let password = unseen("New password: ")?;
            if unseen("Once more: ")? != password {
                return Err(Failure::Other("the two are not the same".to_owned()));
            }
            password
        }
        false => line()?,
    };
    passwords::digest(&password).map_err(Failure::Usage)
}

/// Nothing typed is shown; the terminal is as it was before, whatever happens.
fn unseen(prompt: &str) -> Result<String, Failure> {
    let input = io::stdin();
    write!(io::stderr(), "{prompt}")?;
    let before = tcgetattr(&input).map_err(io::Error::from)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &silent).map_err(io::Error::from)?;
    let typed = line();
    tcsetattr(&input, OptionalActions::Flush, &before).map_err(io::Error::from)?;
    writeln!(io::stderr())?;
    typed
}

fn line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}
