//! Letters from an IMAP server (RFC 3501 and 9051). Knows IMAP, knows nothing of cases.
//!
//! Promises: no letter is skipped, none holds up the next, none is deleted. The connection is made when it is needed
//! and dropped after any fault; a call that is cancelled drops it too.

mod cursor;
mod fetch;
mod folder;
pub mod inspect;
mod login;
mod session;
mod survey;
mod tls;

pub use self::survey::{Survey, survey};

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::cursor::{Listed, Start};
use self::folder::Folder;
use self::session::{Failure, Idled, Session};
use self::tls::Tls;
use crate::ports::{Content, End, Fault, FirstStart, Incoming, Mailbox, Position, Security, Server};

/// A letter that the server refused, or garbled, this often when it was asked for alone is given up as unreadable.
const STRIKES: u32 = 3;
/// The same for one whose fetching broke the connection, as a bad line may do as well.
const BREAKS: u32 = 6;

/// Which folder of which server, and how much at a time.
#[derive(Debug, Clone)]
pub struct Settings {
    pub server: Server,
    pub folder: String,
    /// Use IDLE where the server offers it.
    pub idle: bool,
    /// The longest [`Mailbox::wait`] goes without looking.
    pub poll_interval: Duration,
    pub handled: Handled,
    /// The largest mail that is fetched whole, in bytes.
    pub mail_size: u64,
    /// The most letters of one [`Mailbox::fetch`].
    pub batch_letters: usize,
    /// The most bytes of one [`Mailbox::fetch`], but for a letter that is larger by itself.
    pub batch_bytes: u64,
}

impl Settings {
    /// The usual amounts for a folder: mails of 35 MiB, batches of 200 letters or 8 MiB.
    pub fn new(server: Server, folder: impl Into<String>) -> Self {
        Self {
            server,
            folder: folder.into(),
            idle: true,
            poll_interval: Duration::from_secs(60),
            handled: Handled::Seen,
            mail_size: 35 << 20,
            batch_letters: 200,
            batch_bytes: 8 << 20,
        }
    }
}

/// What is done to a letter on the server once it is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// Marked `\Seen`.
    Seen,
    /// Marked with this keyword; `\Seen` where the server takes no keywords.
    Keyword(String),
    /// Moved to this folder; marked `\Seen` where the server can't move without touching other mail.
    Move(String),
}

/// A folder on an IMAP server.
#[derive(Debug)]
pub struct ImapMailbox {
    settings: Settings,
    tls: Option<Tls>,
    session: Option<Session>,
    /// Which letters are left alone.
    start: Option<FirstStart>,
    /// The server's own name of the folder, once it was found under one other than the configured.
    found: Option<String>,
    /// Listed, but not fetched yet; of the selected folder.
    waiting: VecDeque<Listed>,
    /// The UID that was handed out last: the waiting letters follow it.
    handed: Option<u32>,
    /// The size of the next batch: halved by trouble, doubled by success.
    batch: usize,
    trouble: Option<Trouble>,
    /// The answer to CAPABILITY could not be parsed.
    mute: bool,
    idle_refused: bool,
    /// INTERNALDATE is not asked for: an answer with it could not be parsed.
    undated: bool,
    /// What was warned of last.
    warned: String,
}

/// A letter that broke the connection when it was asked for alone.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    uid: u32,
    strikes: u32,
}

/// What [`check`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The server's own name of the folder.
    pub folder: String,
    /// The number of letters in it.
    pub letters: u32,
    /// The server's own name of the folder that handled letters are moved to.
    pub target: Option<String>,
    pub idle: bool,
    pub capabilities: Vec<String>,
    /// What won't work as configured, one sentence each.
    pub remarks: Vec<String>,
}

/// Logs in and selects the folder; changes nothing.
pub async fn check(settings: &Settings) -> Result<Report, Fault> {
    let (report, session, _) = looked(settings).await?;
    session.close().await;
    Ok(report)
}

/// The folders are those that had to be listed for it.
async fn looked(settings: &Settings) -> Result<(Report, Session, Option<Vec<Folder>>), Fault> {
    let mut mailbox = ImapMailbox::new(settings.clone());
    let mut session = mailbox.connected().await?;
    mailbox.enter(&mut session).await.map_err(|failure| failure.fault("SELECT"))?;
    let (mut remarks, mut target, mut folders) = (Vec::new(), None, None);
    match &settings.handled {
        Handled::Keyword(keyword) if !session.selected.takes(keyword) => {
            remarks.push(format!("the folder takes no keyword {keyword}: handled letters are marked \\Seen"));
        }
        Handled::Move(wanted) => {
            let listed = folders.insert(session.folders().await.map_err(|failure| failure.fault("LIST"))?);
            target = Some(folder::meant(wanted, listed)?);
            if !session.can("MOVE") && !session.can("UIDPLUS") {
                remarks.push("the server can't move single letters: handled letters are marked \\Seen".to_owned());
            }
        }
        _ => {}
    }
    if session.selected.read_only {
        remarks.push("the folder is read-only: handled letters can't be marked".to_owned());
    }
    if settings.idle && !session.can("IDLE") {
        remarks.push(format!("the server has no IDLE: new letters are looked for every {:?}", settings.poll_interval));
    }
    let report = Report {
        folder: mailbox.name().to_owned(),
        letters: session.selected.exists,
        target,
        idle: session.can("IDLE"),
        capabilities: session.capabilities().map(str::to_owned).collect(),
        remarks,
    };
    Ok((report, session, folders))
}

impl ImapMailbox {
    /// Connects on the first call of the port.
    pub fn new(settings: Settings) -> Self {
        Self {
            batch: settings.batch_letters.max(1),
            settings,
            tls: None,
            session: None,
            start: None,
            found: None,
            waiting: VecDeque::new(),
            handed: None,
            trouble: None,
            mute: false,
            idle_refused: false,
            undated: false,
            warned: String::new(),
        }
    }

    /// The session, taken out: whoever ends well puts it back with [`Self::keep`].
    async fn connected(&mut self) -> Result<Session, Fault> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        self.waiting.clear();
        let server = &self.settings.server;
        if server.security != Security::None && self.tls.is_none() {
            self.tls = Some(Tls::new(server)?);
        }
        let mut opened = Session::open(server, self.tls.as_ref(), !self.mute).await;
        if matches!(opened, Err(Failure::Unparseable)) && !self.mute {
            opened = Session::open(server, self.tls.as_ref(), false).await;
            self.mute = opened.is_ok();
        }
        opened.map_err(|failure| failure.fault(&format!("connecting to {}", server.host)))
    }

    /// Whether there is another token than the one that this connection was opened by; one that is about to end is renewed.
    /// Gmail ends a connection with its token: so it is ended by us before, and nothing is broken off.
    async fn token_is_renewed(&self, session: &Session) -> bool {
        let Some(login) = self.settings.server.login.as_ref().filter(|login| login.is_by_token()) else { return false };
        match login.proof(None).await {
            Ok(token) => token != session.proof,
            // Who renews tells why; this connection serves as long as it lasts.
            Err(fault) => {
                tracing::debug!("no token for the next connection: {fault}");
                false
            }
        }
    }

    /// Puts the session back if it outlived the command.
    fn keep<T>(&mut self, session: Session, done: Result<T, Failure>) -> Result<T, Failure> {
        if matches!(done, Ok(_) | Err(Failure::Refused(_))) {
            self.session = Some(session);
        }
        done
    }

    fn name(&self) -> &str {
        self.found.as_deref().unwrap_or(&self.settings.folder)
    }

    /// Selects the folder; one that is not there is a fault naming those that are.
    async fn enter(&mut self, session: &mut Session) -> Result<(), Failure> {
        let tried = self.name().to_owned();
        let refusal = match session.select(&tried).await {
            Err(Failure::Refused(text)) => text,
            answer => return answer,
        };
        let name = session.folder_meant(&self.settings.folder).await?;
        if name == tried {
            return Err(Failure::Refused(refusal));
        }
        session.select(&name).await?;
        tracing::info!(folder = self.settings.folder, server = name, "the server knows the folder by another name");
        self.found = Some(name);
        Ok(())
    }

    /// Looks what is above the mark. Selects the folder anew, so that a new UIDVALIDITY shows.
    async fn list(&mut self, after: Option<&Position>) -> Result<(), Fault> {
        let mut session = self.connected().await?;
        let listed = async {
            self.enter(&mut session).await?;
            if self.start.as_ref().is_some_and(|start| start.position.validity != session.selected.validity) {
                return Err(Failure::Refused("the folder is numbered anew".to_owned()));
            }
            let start = Start::of(after, &self.settings.folder, session.selected.validity);
            if let Start::Renewed { before } = start {
                tracing::warn!(
                    folder = self.settings.folder,
                    before,
                    now = session.selected.validity,
                    "the folder's UIDVALIDITY changed: all of its letters are taken in again, known ones are recognised"
                );
            }
            match start.first() {
                Some(first) => fetch::list(&mut session, first, !self.undated, self.settings.mail_size).await,
                None => Ok(Vec::new()),
            }
        }
        .await;
        self.undated |= matches!(listed, Err(Failure::Unparseable));
        let validity = session.selected.validity;
        let listed = self.keep(session, listed).map_err(|failure| failure.fault("listing the folder"))?;
        let left = |letter: &Listed| {
            let position = self.position(validity, letter.uid);
            self.start.as_ref().is_some_and(|start| start.leaves(&position, letter.stored))
        };
        self.waiting = listed.into_iter().filter(|letter| !left(letter)).collect();
        self.handed = after.map(|mark| mark.uid);
        Ok(())
    }

    /// Whether the waiting letters are just those that follow the mark.
    fn follows(&self, after: Option<&Position>) -> bool {
        let Some(session) = &self.session else { return false };
        let same =
            after.is_none_or(|mark| mark.folder == self.settings.folder && mark.validity == session.selected.validity);
        !self.waiting.is_empty() && same && after.map(|mark| mark.uid) == self.handed
    }

    /// One try for the next batch. `Ok(None)`: try again, with less.
    async fn next_batch(&mut self) -> Result<Option<Vec<Incoming>>, Fault> {
        let Settings { mail_size, batch_bytes, .. } = self.settings;
        let length = cursor::batch_length(self.waiting.make_contiguous(), self.batch, batch_bytes, mail_size);
        let batch: Vec<Listed> = self.waiting.iter().take(length).copied().collect();
        let mut session = self.connected().await?;
        let validity = session.selected.validity;
        let contents = fetch::contents(&mut session, self.name(), &batch, mail_size).await;
        let failure = match self.keep(session, contents) {
            Ok(contents) => {
                self.waiting.drain(..length);
                self.batch = self.batch.saturating_mul(2).min(self.settings.batch_letters.max(1));
                self.trouble = None;
                return Ok(Some(self.incoming(validity, contents, &batch)));
            }
            Err(failure) => failure,
        };
        let lost = matches!(failure, Failure::Broken(_) | Failure::Fatal(_));
        let passing = matches!(&failure, Failure::Refused(text) if session::is_passing(text));
        if let [letter] = batch.as_slice() {
            let strikes = self.trouble.filter(|t| t.uid == letter.uid).map_or(1, |t| t.strikes + 1);
            self.trouble = Some(Trouble { uid: letter.uid, strikes });
            if strikes >= if lost { BREAKS } else { STRIKES } && !passing {
                self.waiting.pop_front();
                let why = failure.fault("fetching it alone").what;
                return Ok(Some(self.incoming(validity, vec![(letter.uid, Content::Unreadable { why })], &batch)));
            }
            if matches!(failure, Failure::Unparseable) {
                return Ok(None);
            }
        } else {
            self.batch = (length / 2).max(1);
            if !lost && !passing {
                return Ok(None);
            }
        }
        Err(failure.fault("fetching letters"))
    }

    fn incoming(&mut self, validity: u32, contents: Vec<(u32, Content)>, batch: &[Listed]) -> Vec<Incoming> {
        if let Some((uid, _)) = contents.last() {
            self.handed = Some(*uid);
        }
        contents
            .into_iter()
            .map(|(uid, content)| {
                let position = self.position(validity, uid);
                let stored = batch.iter().find(|listed| listed.uid == uid).and_then(|listed| listed.stored);
                Incoming { position, content, stored }
            })
            .collect()
    }

    fn position(&self, validity: u32, uid: u32) -> Position {
        Position { folder: self.settings.folder.clone(), validity, uid, name: String::new() }
    }

    /// Tells the server that the letters of one UID set are handled.
    async fn mark(&mut self, session: &mut Session, set: &str) -> Result<(), Failure> {
        let seen = format!("UID STORE {set} +FLAGS.SILENT (\\Seen)");
        match self.settings.handled.clone() {
            Handled::Seen => session.command(&seen, 0, |_| {}).await,
            Handled::Keyword(keyword) if session.selected.takes(&keyword) => {
                session.command(&format!("UID STORE {set} +FLAGS.SILENT ({keyword})"), 0, |_| {}).await
            }
            Handled::Keyword(keyword) => {
                self.warn(&format!("the folder takes no keyword {keyword}: handled letters are marked \\Seen"));
                session.command(&seen, 0, |_| {}).await
            }
            Handled::Move(target) if session.can("MOVE") || session.can("UIDPLUS") => {
                let why = match self.move_to(session, set, &target).await {
                    Err(Failure::Refused(text)) if !session::is_passing(&text) => text,
                    Err(Failure::Fatal(fault)) => fault.what,
                    answer => return answer,
                };
                self.warn(&format!("handled letters can't be moved to {target}, they are marked \\Seen: {why}"));
                session.command(&seen, 0, |_| {}).await
            }
            Handled::Move(_) => {
                self.warn("the server can't move single letters: handled letters are marked \\Seen");
                session.command(&seen, 0, |_| {}).await
            }
        }
    }

    async fn move_to(&self, session: &mut Session, set: &str, target: &str) -> Result<(), Failure> {
        let target = folder::quoted(&session.folder_meant(target).await?);
        if session.can("MOVE") {
            return session.command(&format!("UID MOVE {set} {target}"), 0, |_| {}).await;
        }
        session.command(&format!("UID COPY {set} {target}"), 0, |_| {}).await?;
        session.command(&format!("UID STORE {set} +FLAGS.SILENT (\\Deleted)"), 0, |_| {}).await?;
        // Never a plain EXPUNGE: it would remove what others have marked.
        session.command(&format!("UID EXPUNGE {set}"), 0, |_| {}).await
    }

    /// Warns of a thing once, not with every letter.
    fn warn(&mut self, what: &str) {
        if self.warned != what {
            tracing::warn!(folder = self.settings.folder, "{what}");
            what.clone_into(&mut self.warned);
        }
    }
}

impl Mailbox for ImapMailbox {
    async fn fetch(&mut self, after: Option<&Position>) -> Result<Vec<Incoming>, Fault> {
        loop {
            if !self.follows(after) {
                self.list(after).await?;
            }
            // All that was listed may be gone meanwhile: that is not the end as long as more waits.
            while self.session.is_some() && !self.waiting.is_empty() {
                match self.next_batch().await? {
                    Some(letters) if !letters.is_empty() => return Ok(letters),
                    _ => {}
                }
            }
            if self.session.is_some() {
                return Ok(Vec::new());
            }
        }
    }

    async fn done(&mut self, letters: &[Position]) -> Result<(), Fault> {
        if letters.is_empty() {
            return Ok(());
        }
        let mut session = self.connected().await?;
        let marked = async {
            if session.selected.validity == 0 {
                self.enter(&mut session).await?;
            }
            let validity = session.selected.validity;
            let ours = |p: &&Position| p.folder == self.settings.folder && p.validity == validity;
            let mut uids: Vec<u32> = letters.iter().filter(ours).map(|p| p.uid).collect();
            uids.sort_unstable();
            if uids.len() < letters.len() {
                let number = letters.len() - uids.len();
                tracing::warn!(number, "handled letters of a folder that is no longer there are not marked");
            }
            if session.selected.read_only {
                self.warn("the folder is read-only: handled letters can't be marked");
                return Ok(());
            }
            for set in cursor::sets(&uids) {
                match self.mark(&mut session, &set).await {
                    // What was handled is known without any mark: a folder that takes none must not hold up letters.
                    Err(Failure::Refused(text)) if !session::is_passing(&text) => {
                        self.warn(&format!("the server refuses to mark handled letters: {text}"));
                    }
                    answer => answer?,
                }
            }
            Ok(())
        }
        .await;
        self.keep(session, marked).map_err(|failure| failure.fault("marking letters as handled"))
    }

    fn leave_alone(&mut self, start: Option<FirstStart>) {
        self.start = start;
    }

    async fn end(&mut self) -> Result<Option<End>, Fault> {
        let mut session = self.connected().await?;
        let found = async {
            self.enter(&mut session).await?;
            let uid = fetch::last(&mut session).await?;
            let (validity, letters) = (session.selected.validity, session.selected.exists);
            Ok(Some(End { position: self.position(validity, uid), letters }))
        }
        .await;
        self.keep(session, found).map_err(|failure| failure.fault("looking at the folder"))
    }

    async fn wait(&mut self) -> Result<(), Fault> {
        let until = Instant::now() + self.settings.poll_interval;
        // Without a session nobody can say that there is no news.
        let Some(mut session) = self.session.take() else { return Ok(()) };
        if self.token_is_renewed(&session).await {
            session.close().await;
            return Ok(());
        }
        if !session.has_news() && self.settings.idle && !self.idle_refused && session.can("IDLE") {
            match session.idle(until).await.map_err(|failure| failure.fault("waiting for letters"))? {
                Idled::News | Idled::TimeUp => {}
                Idled::Refused => {
                    self.idle_refused = true;
                    let interval = self.settings.poll_interval;
                    tracing::warn!("the server refuses IDLE: new letters are looked for every {interval:?}");
                    sleep(until.saturating_duration_since(Instant::now())).await;
                }
            }
        } else if !session.has_news() {
            sleep(self.settings.poll_interval).await;
        }
        self.session = Some(session);
        Ok(())
    }
}
