//! The control socket: a Unix socket in the store's folder by which commands ask the running daemon, for the store is
//! open in one process only. The folder and the socket are their owner's alone.
//!
//! The client sends one JSON line, the daemon answers with JSON lines, the last of them `{"end": …}`.

use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::Failure;
use super::log;
use super::query::{self, Query};
use super::reload::Wishes;
use crate::worker::premises::Premises;
use crate::worker::{Stop, on_thread};

const NAME: &str = "control.sock";
/// A question fits into this many bytes.
const LONGEST: u64 = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);
const LONG_PATIENCE: Duration = Duration::from_secs(3600);
/// An answer travels in pieces of this many bytes.
const PIECE: usize = 64 << 10;
/// How the last line of an answer begins.
const END: &[u8] = br#"{"end":"#;

#[derive(Debug, Serialize, Deserialize)]
struct End {
    /// Why the answer is not whole.
    end: Option<String>,
    /// The exit code of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<u8>,
    /// The daemon does not work on this store now: whoever asks may open it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    vacant: bool,
}

impl End {
    fn of(outcome: Result<(), Failure>) -> Self {
        match outcome {
            Ok(()) => Self { end: None, code: None, vacant: false },
            Err(failure) => Self { end: Some(failure.to_string()), code: Some(failure.exit_code()), vacant: false },
        }
    }

    fn outcome(self) -> Result<bool, Failure> {
        let Some(why) = self.end else { return Ok(!self.vacant) };
        Err(match self.code {
            Some(78) => Failure::Config(why),
            Some(75) => Failure::Temporary(why),
            _ => Failure::Other(why),
        })
    }
}

/// What a command asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Asked {
    OfDaemon(OfDaemon),
    Query(Query),
}

/// What only a daemon can do, whether its store is open or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfDaemon {
    /// Tells how much it logs, and changes it.
    Log(Option<String>),
    /// Reads configuration, templates, catalogue and orders anew.
    Reload,
}

impl From<Query> for Asked {
    fn from(query: Query) -> Self {
        Self::Query(query)
    }
}

impl From<OfDaemon> for Asked {
    fn from(asked: OfDaemon) -> Self {
        Self::OfDaemon(asked)
    }
}

/// Answers from the office, as long as there is one.
fn answer(premises: &Premises, wishes: &Wishes, asked: &Asked, out: &mut dyn Write) -> Result<(), Failure> {
    let query = match asked {
        Asked::OfDaemon(OfDaemon::Reload) => return wishes.fulfilled(out),
        Asked::OfDaemon(OfDaemon::Log(wanted)) => return log::answer(wanted.as_deref(), out),
        Asked::Query(query) => query,
    };
    match (query, premises.office()) {
        (_, Some(office)) => query::answer(&office, query, out),
        (Query::Status, None) => Ok(query::tell_status(&premises.status(), out)?),
        (_, None) => {
            let why = premises.status().intake.why.unwrap_or_default();
            Err(Failure::Temporary(format!("the store is closed until it can be opened again: {why}")))
        }
    }
}

/// The daemon's side; ends when told.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Control {
    /// Stops answering and takes the socket away.
    pub async fn end(self) {
        self.task.abort();
        // Aborted on purpose.
        let _ = self.task.await;
        if let Err(e) = std::fs::remove_file(&self.path) {
            tracing::debug!(error = %e, "the control socket is gone already");
        }
    }
}

/// Serves the socket in `folder` until it is wished to stop. The store's lock says that no other daemon does.
pub fn serve(folder: &Path, premises: &Arc<Premises>, wishes: &Wishes, mut stop: Stop) -> Result<Control, Failure> {
    let path = folder.join(NAME);
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(place(&path, &e)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(|e| place(&path, &e))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(|e| place(&path, &e))?;
    let (premises, wishes) = (Arc::clone(premises), wishes.clone());
    let served = async move {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.wished() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (premises, wishes) = (Arc::clone(&premises), wishes.clone());
                    let responded = async move {
                        if let Err(e) = respond(stream, premises, wishes).await {
                            tracing::debug!(error = %e, "a command left before its answer was whole");
                        }
                    };
                    tokio::spawn(responded.in_current_span());
                }
                Err(e) => {
                    tracing::warn!(error = %e, "the control socket can't accept; will try again");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    };
    let task = tokio::spawn(served.in_current_span());
    Ok(Control { path, task })
}

fn place(path: &Path, e: &io::Error) -> Failure {
    Failure::Other(format!("control socket {}: {e}", path.display()))
}

async fn respond(stream: UnixStream, premises: Arc<Premises>, wishes: Wishes) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = tokio::io::BufReader::new(reader.take(LONGEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let (pieces, mut answered) = mpsc::channel::<Vec<u8>>(16);
    let answering = on_thread(move || {
        let unknown = |e| Failure::Other(format!("not a question this daemon knows: {e}"));
        let asked: Asked = serde_json::from_str(&line).map_err(unknown)?;
        if premises.is_vacant() && !matches!(asked, Asked::OfDaemon(_) | Asked::Query(Query::Status)) {
            return Ok(false);
        }
        let mut out = BufWriter::with_capacity(PIECE, Pieces(pieces));
        answer(&premises, &wishes, &asked, &mut out)?;
        out.flush()?;
        Ok(true)
    });
    while let Some(piece) = answered.recv().await {
        // Whoever asks and does not listen must not keep the answer in memory for ever.
        tokio::time::timeout(PATIENCE, writer.write_all(&piece)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    let end = match answering.await.unwrap_or_else(|e| Err(Failure::Other(e.to_string()))) {
        Ok(answered) => End { vacant: !answered, ..End::of(Ok(())) },
        Err(failure) => End::of(Err(failure)),
    };
    writer.write_all(format!("{}\n", serde_json::to_string(&end)?).as_bytes()).await
}

/// Whether somebody answers in this folder.
pub fn is_served(folder: &Path) -> bool {
    StdStream::connect(folder.join(NAME)).is_ok()
}

/// An answer on its way to the socket.
struct Pieces(mpsc::Sender<Vec<u8>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = bytes.get(..PIECE).unwrap_or(bytes);
        self.0.blocking_send(piece.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The command's side: asks the daemon of the store in `folder`, hands each line of the answer to `tell`. `false`:
/// there is no daemon that works on it.
pub fn ask(
    folder: &Path,
    asked: impl Into<Asked>,
    tell: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<bool, Failure> {
    let path = folder.join(NAME);
    let mut stream = match StdStream::connect(&path) {
        Ok(stream) => stream,
        // No socket, or one that a killed daemon left behind.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(false),
        Err(e) => return Err(place(&path, &e)),
    };
    let broke_off = |e: io::Error| Failure::Temporary(format!("the daemon broke off its answer: {e}"));
    // A daemon that ends closes the socket; one that reads all of its store may be silent for long.
    stream.set_read_timeout(Some(LONG_PATIENCE)).map_err(broke_off)?;
    let question = serde_json::to_string(&asked.into()).map_err(io::Error::from)?;
    writeln!(stream, "{question}").map_err(broke_off)?;
    let (mut answer, mut line) = (BufReader::new(stream), Vec::new());
    while answer.read_until(b'\n', &mut line).map_err(broke_off)? > 0 {
        if line.starts_with(END) {
            let end: End = serde_json::from_slice(&line).map_err(io::Error::from)?;
            return end.outcome();
        }
        tell(&line)?;
        line.clear();
    }
    Err(Failure::Temporary("the daemon ended before its answer was whole".to_owned()))
}
