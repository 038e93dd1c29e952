//! An IMAP server that says what it is told to: only for faults that a real one won't show.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::net::tcp::OwnedWriteHalf;

/// What to do about a command line (tag and line ends stripped); `None` leaves it to the ordinary answer.
pub type Script = dyn FnMut(&str, usize) -> Option<Answer> + Send;

pub enum Answer {
    /// Untagged lines (with their CR LF), then the tagged status.
    Tagged(String, &'static str),
    /// These bytes, then the connection is closed.
    Cut(String),
    /// Nothing, for ever.
    Silence,
}

/// Mails by UID; the rest of IMAP is ordinary.
pub struct Scripted {
    pub port: u16,
    /// Every command, without its tag.
    pub heard: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// `script` gets each command and the number of the connection (from 1) it came on.
    pub async fn start(
        mails: Vec<(u32, String)>,
        script: impl FnMut(&str, usize) -> Option<Answer> + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(script)));
        let log = heard.clone();
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((stream, _)) = listener.accept().await {
                number += 1;
                let (mails, script, log) = (mails.clone(), script.clone(), log.clone());
                tokio::spawn(async move {
                    let (read, mut write) = stream.into_split();
                    let mut lines = BufReader::new(read);
                    say(&mut write, "* OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS] ready\r\n").await;
                    let mut line = String::new();
                    while lines.read_line(&mut line).await.is_ok_and(|n| n > 0) {
                        let (tag, command) = line.trim_end().split_once(' ').unwrap_or((line.trim_end(), ""));
                        log.lock().unwrap().push(command.to_owned());
                        let scripted = script.lock().unwrap()(command, number);
                        match scripted.unwrap_or_else(|| ordinary(command, &mails)) {
                            Answer::Tagged(untagged, status) => {
                                say(&mut write, &format!("{untagged}{tag} {status}\r\n")).await
                            }
                            Answer::Cut(bytes) => {
                                say(&mut write, &bytes).await;
                                return;
                            }
                            Answer::Silence => {
                                let mut rest = Vec::new();
                                let _ = lines.read_to_end(&mut rest).await;
                                return;
                            }
                        }
                        line.clear();
                    }
                });
            }
        });
        Self { port, heard }
    }

    /// How often a command beginning with this was heard.
    pub fn count(&self, beginning: &str) -> usize {
        self.heard.lock().unwrap().iter().filter(|c| c.starts_with(beginning)).count()
    }
}

async fn say(write: &mut OwnedWriteHalf, text: &str) {
    // The client may have gone: that is part of the tests.
    let _ = write.write_all(text.as_bytes()).await;
}

fn ordinary(command: &str, mails: &[(u32, String)]) -> Answer {
    let ok = |untagged: String| Answer::Tagged(untagged, "OK done");
    match command.split(' ').next().unwrap_or("") {
        "LOGIN" => Answer::Tagged(String::new(), "OK [CAPABILITY IMAP4rev1 IDLE UIDPLUS] in"),
        "SELECT" => ok(format!("* {} EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n", mails.len())),
        "UID" if command.starts_with("UID FETCH") => ok(fetch(command, mails)),
        _ => ok(String::new()),
    }
}

/// The untagged answers to a UID FETCH.
pub fn fetch(command: &str, mails: &[(u32, String)]) -> String {
    let set = command.split(' ').nth(2).unwrap();
    let number = |n: &str| if n == "*" { u32::MAX } else { n.parse().unwrap() };
    let named = |uid: u32| {
        set.split(',').any(|range| {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            (number(first)..=number(last)).contains(&uid)
        })
    };
    let mut answer = String::new();
    for (sequence, (uid, raw)) in (1..).zip(mails).filter(|(_, (uid, _))| named(*uid)) {
        let size = raw.len();
        answer += &if command.contains("BODY") {
            format!("* {sequence} FETCH (UID {uid} BODY[] {{{size}}}\r\n{raw})\r\n")
        } else {
            format!("* {sequence} FETCH (UID {uid} RFC822.SIZE {size})\r\n")
        };
    }
    answer
}
