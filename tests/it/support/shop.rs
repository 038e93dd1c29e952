//! A shop's server on loopback that answers as the test says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET /orders?number=KS1`.
    pub line: String,
    pub head: String,
    pub body: String,
}

/// What is said to a request.
pub enum Say {
    /// Status, further header lines, body.
    Answer(u16, String, Vec<u8>),
    /// Nothing, until the other side has enough.
    Silence,
}

impl Say {
    pub fn json(body: impl ToString) -> Self {
        Self::Answer(200, "Content-Type: application/json\r\n".to_owned(), body.to_string().into_bytes())
    }

    pub fn status(status: u16) -> Self {
        Self::Answer(status, String::new(), b"no".to_vec())
    }
}

pub struct Shop {
    pub port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Shop {
    pub fn start(script: impl Fn(&Request) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, script) = (Arc::clone(&asked), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (kept, script) = (Arc::clone(&kept), Arc::clone(&script));
                std::thread::spawn(move || answer(stream.unwrap(), &*script, &kept));
            }
        });
        Self { port, asked }
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().unwrap().clone()
    }

    /// How many of them hold this text.
    pub fn count(&self, text: &str) -> usize {
        self.asked().iter().filter(|request| request.line.contains(text) || request.body.contains(text)).count()
    }
}

fn answer(mut stream: TcpStream, script: &dyn Fn(&Request) -> Say, asked: &Mutex<Vec<Request>>) {
    let mut raw = Vec::new();
    let mut buffer = [0; 4096];
    let request = loop {
        let count = stream.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            return;
        }
        raw.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&raw).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0").to_owned();
        if body.len() >= length.parse().unwrap() {
            let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            break Request { line, head: head.to_owned(), body: body.to_owned() };
        }
    };
    let say = script(&request);
    asked.lock().unwrap().push(request);
    match say {
        Say::Answer(status, headers, body) => {
            let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
            // It may have gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
        Say::Silence => while stream.read(&mut buffer).is_ok_and(|count| count > 0) {},
    }
}
