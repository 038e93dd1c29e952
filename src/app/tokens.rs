//! `tokens`: which programs may come in by the API, and to do what.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::query::{Query, consult};
use super::{Failure, load_offline};
use crate::console::tokens;
use crate::domain::account::{AccountName, Deed, Trace};
use crate::domain::token::{Scope, Token};
use crate::store::Store;

/// What is asked about tokens. A token travels as its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tokens {
    Add { token: Token, digest: String },
    List,
    Revoke { name: AccountName, by: String },
}

impl Tokens {
    /// A new token, to be shown once, and the question that adds it.
    pub fn add(
        name: AccountName,
        scopes: BTreeSet<Scope>,
        days: Option<u32>,
        by: String,
    ) -> Result<(String, Self), Failure> {
        let (shown, digest) = tokens::fresh().map_err(Failure::Other)?;
        let added_at = Timestamp::now();
        let after = |days: u32| added_at.checked_add(SignedDuration::from_hours(24 * i64::from(days)));
        let expires_at = days.map(after).transpose().map_err(|e| Failure::Usage(format!("--days: {e}")))?;
        let token = Token { name, scopes, added_at, by, expires_at, used_at: None };
        Ok((shown, Self::Add { token, digest }))
    }
}

/// Answers from the store with JSON objects.
pub fn answer(store: &Store, asked: &Tokens, tell: &mut dyn FnMut(Value) -> io::Result<()>) -> Result<(), Failure> {
    let now = Timestamp::now();
    let (token, what, by) = match asked {
        Tokens::List => return store.tokens()?.iter().try_for_each(|(_, token)| Ok(tell(listed(token, now))?)),
        Tokens::Add { token, digest } => {
            if !store.add_token(digest, token)? {
                let why = format!("there is a token {} already; see: tokens list", token.name);
                return Err(Failure::Other(why));
            }
            (token.clone(), Deed::TokenAdded, token.by.clone())
        }
        Tokens::Revoke { name, by } => {
            let gone = store.revoke_token(name)?;
            let why = || Failure::Other(format!("there is no token {name}; see: tokens list"));
            (gone.ok_or_else(why)?, Deed::TokenRevoked, by.clone())
        }
    };
    store.trace(&Trace { at: now, who: Some(by), what, case: None, detail: Some(token.name.to_string()) })?;
    store.flush()?;
    Ok(tell(listed(&token, now))?)
}

fn listed(token: &Token, now: Timestamp) -> Value {
    let Token { name, scopes, added_at, by, expires_at, used_at } = token;
    json!({
        "name": name, "scopes": scopes, "added_at": added_at, "by": by, "expires_at": expires_at,
        "expired": token.has_expired(now), "used_at": used_at,
    })
}

/// The command: asks, prints; `shown` is a new token.
pub fn run(
    config: &Path,
    asked: Tokens,
    shown: Option<String>,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let config = load_offline(config)?;
    let is_new = shown.is_some();
    consult(&config, &Query::Tokens(asked), &mut |line| {
        let mut told: Value = serde_json::from_slice(line)?;
        if let (Some(token), Value::Object(object)) = (&shown, &mut told) {
            object.insert("token".to_owned(), json!(token));
        }
        if as_json {
            return writeln!(out, "{told}");
        }
        let text = |key: &str| told.get(key).and_then(Value::as_str);
        if is_new {
            return writeln!(out, "{}", text("token").unwrap_or_default());
        }
        let scopes = told.get("scopes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let ends = match (text("expires_at"), told.get("expired") == Some(&Value::Bool(true))) {
            (Some(at), true) => format!("expired {at}"),
            (Some(at), false) => format!("until {at}"),
            (None, _) => "until revoked".to_owned(),
        };
        let (name, scopes) = (text("name").unwrap_or("–"), scopes.collect::<Vec<_>>().join(","));
        writeln!(out, "{name:<24} {scopes:<18} used {}  {ends}", text("used_at").unwrap_or("never"))
    })?;
    if is_new {
        let line = "aftersalesd: this is the only time that it is shown";
        // Nothing better can be done if standard error is closed.
        let _ = writeln!(io::stderr(), "{line}");
    }
    Ok(())
}
