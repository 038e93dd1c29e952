//! A TCP proxy that breaks the line between the program and a real server, at a byte or at a line of our choice.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    ToServer,
    ToClient,
}

/// What happens to the next connection once `byte` bytes have passed in a direction.
#[derive(Debug, Clone)]
pub struct Fault {
    pub way: Way,
    pub byte: usize,
    pub deed: Deed,
}

#[derive(Debug, Clone)]
pub enum Deed {
    /// Both sides lose the connection.
    Cut,
    /// Nothing gets through any more, in either direction; neither side is told, not even that the other one leaves.
    Stall,
    /// These bytes come in between.
    Insert(Vec<u8>),
}

/// What becomes of a line.
#[derive(Debug, Clone)]
pub enum Line {
    Pass,
    /// This comes instead of it.
    Replace(String),
    /// The server does not get it; its writer is answered with this.
    Answer(String),
    /// It gets through, and then nothing more.
    PassThenCut,
    Cut,
    Stall,
}

/// Sees each line (line end stripped) of clear text, with its direction and the number of its connection, from 1.
type Lines = dyn FnMut(Way, &str, usize) -> Line + Send;

/// What passed on one connection.
#[derive(Debug, Clone, Default)]
pub struct Passed {
    pub to_server: Vec<u8>,
    pub to_client: Vec<u8>,
    /// The fault came to pass.
    pub broken: bool,
}

/// Stands before one port of the loopback interface.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    server: u16,
    fault: Mutex<Option<Fault>>,
    lines: Mutex<Option<Box<Lines>>>,
    passed: Mutex<Vec<Arc<Mutex<Passed>>>>,
    ended: AtomicBool,
}

impl Proxy {
    /// Lets everything pass.
    pub fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            server,
            fault: Mutex::new(None),
            lines: Mutex::new(None),
            passed: Mutex::new(Vec::new()),
            ended: AtomicBool::new(false),
        });
        let accepting = shared.clone();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if accepting.ended.load(Ordering::SeqCst) {
                    return;
                }
                accepting.join(client);
            }
        });
        Self { port, shared }
    }

    /// Breaks the next connection, and only that one; forgets what passed before.
    pub fn break_next(&self, fault: Fault) {
        self.shared.passed.lock().unwrap().clear();
        *self.shared.fault.lock().unwrap() = Some(fault);
    }

    /// Looks at each line from the next connection on.
    pub fn watch(&self, lines: impl FnMut(Way, &str, usize) -> Line + Send + 'static) {
        self.shared.passed.lock().unwrap().clear();
        *self.shared.lines.lock().unwrap() = Some(Box::new(lines));
    }

    /// What passed since the last fault was set, connection by connection.
    pub fn passed(&self) -> Vec<Passed> {
        self.shared.passed.lock().unwrap().iter().map(|passed| passed.lock().unwrap().clone()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn join(self: &Arc<Self>, client: TcpStream) {
        // A server that is away closes the door at once.
        let Ok(server) = TcpStream::connect(("127.0.0.1", self.server)) else { return };
        let fault = self.fault.lock().unwrap().take();
        let passed = Arc::new(Mutex::new(Passed::default()));
        let number = {
            let mut all = self.passed.lock().unwrap();
            all.push(passed.clone());
            all.len()
        };
        let stalled = Arc::new(AtomicBool::new(false));
        for way in [Way::ToServer, Way::ToClient] {
            let (from, to) = if way == Way::ToServer { (&client, &server) } else { (&server, &client) };
            let pipe = Pipe {
                shared: self.clone(),
                from: from.try_clone().unwrap(),
                to: to.try_clone().unwrap(),
                way,
                number,
                passed: passed.clone(),
                fault: fault.clone().filter(|fault| fault.way == way),
                stalled: stalled.clone(),
            };
            thread::spawn(move || pipe.run());
        }
    }
}

/// One direction of one connection.
struct Pipe {
    shared: Arc<Shared>,
    from: TcpStream,
    to: TcpStream,
    way: Way,
    number: usize,
    passed: Arc<Mutex<Passed>>,
    fault: Option<Fault>,
    stalled: Arc<AtomicBool>,
}

/// The connection is over.
struct Over;

impl Pipe {
    fn run(mut self) {
        let mut buffer = vec![0; 64 << 10];
        let mut passed = 0;
        let mut pending = Vec::new();
        loop {
            let over = match self.from.read(&mut buffer) {
                Ok(length) if length > 0 => self.take(&buffer[..length], &mut passed, &mut pending).is_err(),
                _ => true,
            };
            if over {
                break;
            }
        }
        if self.stalled.load(Ordering::SeqCst) && self.way == Way::ToClient {
            // The server left; the client is told nothing as long as it waits.
            return;
        }
        let _ = self.from.shutdown(Shutdown::Both);
        let _ = self.to.shutdown(Shutdown::Both);
    }

    fn take(&mut self, bytes: &[u8], passed: &mut usize, pending: &mut Vec<u8>) -> Result<(), Over> {
        if self.stalled.load(Ordering::SeqCst) {
            return Ok(());
        }
        if self.shared.lines.lock().unwrap().is_some() {
            return self.lines(bytes, pending);
        }
        let due = self.fault.as_ref().filter(|fault| fault.byte <= *passed + bytes.len());
        let Some(fault) = due.cloned() else {
            *passed += bytes.len();
            return self.pass(bytes);
        };
        self.fault = None;
        let (before, after) = bytes.split_at(fault.byte - *passed);
        *passed += bytes.len();
        self.pass(before)?;
        self.note(|passed| passed.broken = true);
        match fault.deed {
            Deed::Cut => Err(Over),
            Deed::Stall => {
                self.stalled.store(true, Ordering::SeqCst);
                Ok(())
            }
            Deed::Insert(between) => {
                self.pass(&between)?;
                self.pass(after)
            }
        }
    }

    fn lines(&mut self, bytes: &[u8], pending: &mut Vec<u8>) -> Result<(), Over> {
        // A TLS record (RFC 8446 section 5.1): no lines from here on.
        if pending.is_empty() && bytes.first().is_some_and(|first| (20..=23).contains(first)) {
            return self.pass(bytes);
        }
        pending.extend_from_slice(bytes);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let judged = self.shared.lines.lock().unwrap().as_mut().map(|see| see(self.way, &text, self.number));
            match judged.unwrap_or(Line::Pass) {
                Line::Pass => self.pass(&line)?,
                Line::Replace(other) => self.pass(other.as_bytes())?,
                Line::Answer(answer) => self.from.write_all(answer.as_bytes()).map_err(|_| Over)?,
                Line::PassThenCut => {
                    self.pass(&line)?;
                    return Err(Over);
                }
                Line::Cut => return Err(Over),
                Line::Stall => {
                    self.stalled.store(true, Ordering::SeqCst);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8]) -> Result<(), Over> {
        let way = self.way;
        // Noted first: who has got the bytes may ask at once what passed.
        self.note(|passed| match way {
            Way::ToServer => passed.to_server.extend_from_slice(bytes),
            Way::ToClient => passed.to_client.extend_from_slice(bytes),
        });
        self.to.write_all(bytes).map_err(|_| Over)
    }

    fn note(&self, what: impl FnOnce(&mut Passed)) {
        what(&mut self.passed.lock().unwrap());
    }
}
