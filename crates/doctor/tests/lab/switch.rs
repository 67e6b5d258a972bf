//! A server that is broken until it is told to be well.

use std::io::Write;
use std::sync::{Arc, Mutex};

use super::servers::{Server, read_some, serve};

/// Answers every request with the bytes it holds at that moment.
pub(crate) struct Switch {
    server: Server,
    answer: Arc<Mutex<Vec<u8>>>,
}

impl Switch {
    pub(crate) fn new(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(Mutex::new(answer.into()));
        let held = Arc::clone(&answer);
        let server = serve("127.0.0.1:0", move |mut stream| {
            if !read_some(&mut stream).is_empty() {
                let bytes = held.lock().unwrap().clone();
                drop(stream.write_all(&bytes));
            }
        });
        Self { server, answer }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port
    }

    /// `http://localhost:PORT` and a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.port())
    }

    /// Does what the fix said.
    pub(crate) fn mend(&self, answer: impl Into<Vec<u8>>) {
        *self.answer.lock().unwrap() = answer.into();
    }
}

/// A whole HTTP answer.
pub(crate) fn http(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// A whole HTTP answer of JSON.
pub(crate) fn json(status: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    http(status, "Content-Type: application/json\r\n", body)
}
