//! Floor 2: access tokens for the mail servers (OAuth2, RFC 6749), instead of passwords.
//!
//! Promises: one renewal at a time, in all processes together; a renewal is never broken off between the answer and the
//! disk; a token is renewed ahead of its end, and the old one serves as long as it holds; who is told that the grant has
//! ended asks no more until somebody has logged in again. No token or secret is in any error, log or debug form.

mod authority;
mod kept;
mod login;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use self::authority::Refusal;
use self::kept::{Access, Kept, Place, Trouble};
pub use self::login::{Device, Step, Visit};
use crate::http::Url;
use crate::ports::{Fault, Secret, TokenSource};

/// A token is renewed so long before its end, but no sooner than after three quarters of its life.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);
/// A token with less life than this is not shown to anybody.
const LAST: SignedDuration = SignedDuration::from_secs(10);
/// The life of a token whose giver tells none.
const USUAL: SignedDuration = SignedDuration::from_hours(1);
/// After a failed renewal the authority is not asked again for so long.
const REST: Duration = Duration::from_secs(5);
/// So long before its end, a grant is warned of once a day.
const WARNED: i64 = 14;

/// Who gives tokens, to whom and for what.
#[derive(Debug, Clone)]
pub struct Settings {
    pub flow: Flow,
    pub client_id: String,
    /// `None`: a public client.
    pub client_secret: Option<Secret>,
    /// The last day of the client secret, if it is known.
    pub secret_until: Option<Date>,
    pub scopes: Vec<String>,
    pub token_endpoint: Url,
    /// Where tokens are kept; its owner's alone.
    pub folder: PathBuf,
    /// PEM file with an extra trust anchor.
    pub ca_file: Option<PathBuf>,
    /// How long one request may take in all.
    pub timeout: Duration,
}

/// How the grant comes about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flow {
    /// A person enters a code in a browser anywhere (RFC 8628).
    Device { endpoint: Url },
    /// A person is led to an address that holds a code, and tells it (RFC 6749 section 4.1, with PKCE, RFC 7636).
    Code { endpoint: Url, redirect: String },
    /// The program itself is let in by an administrator (RFC 6749 section 4.4).
    Client,
}

/// What an authority has granted; the tokens of it are got, kept and renewed. All handles share them.
#[derive(Clone)]
pub struct Grant(Arc<Inner>);

struct Inner {
    settings: Settings,
    place: Place,
    renewing: Mutex<()>,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    access: Option<Access>,
    unsaved: Unsaved,
    failed: Option<(Instant, Fault)>,
    /// The day of the last warning of the grant's end.
    warned: Option<Date>,
}

/// What could not be written: it goes before what is on disk. A grant shares it with the one that it takes the place of.
type Unsaved = Arc<Mutex<Option<Kept>>>;

/// How a grant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Why no token can be had at present; `None`: all is well.
    pub why: Option<String>,
    /// Only a person can put it right, by logging in.
    pub needs_login: bool,
    /// When somebody logged in, or the program was first given a token.
    pub granted_at: Option<Timestamp>,
    pub renewed_at: Option<Timestamp>,
    /// The end of the access token, which is renewed before.
    pub token_until: Option<Timestamp>,
    /// When the grant or the client secret ends, where that is known.
    pub ends_at: Option<Timestamp>,
}

impl State {
    /// Whole days until the grant ends, where that is known.
    pub fn days_left(&self, now: Timestamp) -> Option<i64> {
        Some(days_until(self.ends_at?, now))
    }
}

impl Grant {
    /// Asks nobody yet.
    pub fn new(settings: Settings) -> Self {
        let place = Place::new(settings.folder.clone());
        Self(Arc::new(Inner { settings, place, renewing: Mutex::default(), memory: Mutex::default() }))
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Takes the place of another one on the same folder: what that one could not write, or can't yet, is not lost.
    pub fn take_over(&self, before: &Self) {
        let unsaved = Arc::clone(&before.0.memory().unsaved);
        self.0.memory().unsaved = unsaved;
    }

    /// How the grant is, by what is kept of it; asks nobody.
    pub fn state(&self) -> State {
        let settings = self.settings();
        let (kept, unreadable) = match self.0.kept() {
            Ok(kept) => (kept, None),
            Err(fault) => (None, Some(fault.what)),
        };
        let kept = kept.as_ref();
        let missing = settings.flow != Flow::Client && kept.is_none_or(|kept| kept.refresh.is_none());
        let trouble = kept.and_then(|kept| kept.trouble.as_ref());
        let not_yet = || missing.then(|| NOT_YET.to_owned());
        State {
            why: unreadable.or_else(|| trouble.map(|trouble| trouble.what.clone())).or_else(not_yet),
            needs_login: missing || trouble.is_some_and(|trouble| trouble.needs_login),
            granted_at: kept.map(|kept| kept.granted_at),
            renewed_at: kept.map(|kept| kept.renewed_at),
            token_until: kept.and_then(|kept| kept.access.as_ref()).map(|access| access.until),
            ends_at: settings.ends_at(kept),
        }
    }
}

impl Settings {
    fn ends_at(&self, kept: Option<&Kept>) -> Option<Timestamp> {
        let of_refresh = kept.and_then(|kept| kept.refresh.as_ref()?.until);
        // The secret holds for all of its last day.
        let of_secret = self.secret_until.and_then(|day| day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok());
        of_refresh.into_iter().chain(of_secret.map(|end| end.timestamp())).min()
    }
}

fn days_until(end: Timestamp, now: Timestamp) -> i64 {
    end.duration_since(now).as_hours().max(0) / 24
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl TokenSource for Grant {
    fn token(&self, refused: Option<Secret>) -> Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + '_>> {
        Box::pin(async move {
            if let Some(token) = self.0.at_hand(refused.as_ref()) {
                return Ok(token);
            }
            let (inner, span) = (Arc::clone(&self.0), tracing::Span::current());
            // Whoever waits may give up; the renewal may not: it would lose what the authority gave in exchange.
            let renewed = tokio::task::spawn_blocking(move || span.in_scope(|| inner.renew(refused.as_ref()))).await;
            renewed.unwrap_or_else(|e| Err(Fault::temporary(format!("OAuth2: {e}"))))
        })
    }
}

impl Inner {
    fn at_hand(&self, refused: Option<&Secret>) -> Option<Secret> {
        let memory = self.memory();
        let access = memory.access.as_ref()?;
        (access.is_fresh(Timestamp::now()) && Some(&access.token) != refused).then(|| access.token.clone())
    }

    /// A token of the disk or of the authority. One at a time: the next finds what the first has brought.
    fn renew(&self, refused: Option<&Secret>) -> Result<Secret, Fault> {
        let _alone = locked(&self.renewing);
        let _held = self.place.hold(2 * self.settings.timeout).map_err(Fault::temporary)?;
        let (kept, now) = (self.kept()?, Timestamp::now());
        let held = kept.as_ref().and_then(|kept| kept.access.clone()).filter(|held| Some(&held.token) != refused);
        if let Some(access) = held.as_ref().filter(|held| held.is_fresh(now)) {
            self.memory().access = Some(access.clone());
            return Ok(access.token.clone());
        }
        match self.renewed(kept, now) {
            Ok(access) => Ok(access.token),
            // What is left of the old one will do meanwhile.
            Err(fault) => held.filter(|held| held.until > now + LAST).map(|held| held.token).ok_or(fault),
        }
    }

    fn renewed(&self, kept: Option<Kept>, now: Timestamp) -> Result<Access, Fault> {
        let scopes = self.settings.scopes.join(" ");
        let form = self.question(kept.as_ref(), &scopes)?;
        if let Some((at, fault)) = &self.memory().failed
            && at.elapsed() < REST
        {
            return Err(fault.clone());
        }
        let given = authority::waited_for(&self.settings, &form);
        let mut kept = kept.unwrap_or_else(|| Kept::new(&self.settings, now));
        let outcome = match given {
            Ok(given) => {
                let access = kept.take(given, now);
                kept.trouble = None;
                self.warn_of_end(&kept, now);
                Ok(access)
            }
            Err(refusal) => {
                let fault = refusal.fault();
                let needs_login = matches!(refusal, Refusal::Ended(_)) && self.settings.flow != Flow::Client;
                let what = fault.what.clone();
                self.tell(&kept, &what, needs_login);
                kept.trouble = Some(Trouble { at: now, what: what.clone(), needs_login });
                Err(if needs_login { ended(&what) } else { fault })
            }
        };
        self.save(kept);
        let mut memory = self.memory();
        memory.failed = outcome.as_ref().err().map(|fault| (Instant::now(), fault.clone()));
        if let Ok(access) = &outcome {
            memory.access = Some(access.clone());
        }
        outcome
    }

    /// What the authority is asked.
    fn question<'a>(&self, kept: Option<&'a Kept>, scopes: &'a str) -> Result<Vec<(&'a str, &'a str)>, Fault> {
        match (&self.settings.flow, kept) {
            (Flow::Client, _) => Ok(vec![("grant_type", "client_credentials"), ("scope", scopes)]),
            (_, Some(Kept { trouble: Some(trouble), .. })) if trouble.needs_login => Err(ended(&trouble.what)),
            (_, Some(Kept { refresh: Some(refresh), .. })) => {
                Ok(vec![("grant_type", "refresh_token"), ("refresh_token", refresh.token.reveal())])
            }
            _ => Err(Fault::configuration(NOT_YET)),
        }
    }

    /// Alarms once of the same trouble.
    fn tell(&self, before: &Kept, what: &str, needs_login: bool) {
        let known = before.trouble.as_ref().is_some_and(|trouble| trouble.what == what);
        match (known, needs_login) {
            (true, _) => tracing::debug!("OAuth2: {what}"),
            (false, true) => tracing::error!("{}", ended(what)),
            (false, false) => tracing::warn!("OAuth2: no token was given: {what}"),
        }
    }

    fn warn_of_end(&self, kept: &Kept, now: Timestamp) {
        let today = now.to_zoned(TimeZone::UTC).date();
        let days = self.settings.ends_at(Some(kept)).map(|end| days_until(end, now));
        let Some(days) = days.filter(|days| *days < WARNED) else { return };
        if self.memory().warned.replace(today) != Some(today) {
            tracing::warn!(
                days,
                "the OAuth2 grant or its client secret ends in {days} days; see: aftersalesd auth status"
            );
        }
    }

    /// Writes what was given. What can't be written is still used by this process.
    fn save(&self, kept: Kept) {
        let unsaved = match self.place.write(&kept) {
            Ok(()) => None,
            Err(why) => {
                tracing::error!("OAuth2: {why}: new tokens are held in memory only and written with the next renewal");
                Some(kept)
            }
        };
        *locked(&self.memory().unsaved) = unsaved;
    }

    /// What is kept of this client's grant.
    fn kept(&self) -> Result<Option<Kept>, Fault> {
        // Another process may have renewed it since.
        let unsaved = locked(&self.memory().unsaved).clone();
        let on_disk = self.place.read().map_err(Fault::configuration)?;
        let own = on_disk.into_iter().chain(unsaved).filter(|kept| kept.is_of(&self.settings));
        Ok(own.max_by_key(|kept| kept.renewed_at))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        locked(&self.memory)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const NOT_YET: &str = "nobody has logged in yet: run aftersalesd auth login";

/// Asking again is of no use, but harms nobody either: it is looked whether somebody has logged in.
fn ended(why: &str) -> Fault {
    Fault::configuration(format!("the OAuth2 grant has ended ({why}): run aftersalesd auth login"))
}
