//! A shop's server on loopback that answers as the test says.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::http::Request;

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
    let Some(request) = Request::read(&mut stream) else { return };
    let say = script(&request);
    asked.lock().unwrap().push(request);
    match say {
        Say::Answer(status, headers, body) => {
            let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
            // It may have gone.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
        Say::Silence => while stream.read(&mut [0; 64]).is_ok_and(|count| count > 0) {},
    }
}
