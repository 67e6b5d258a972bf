//! The lines of standard input, read beside everything else.

use std::io::{BufRead, Read};

use tokio::sync::mpsc;

use crate::remote::{Class, Failure};

/// Limit: bytes of one line; the server takes no more in one request.
const LINE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// Standard input, line by line.
#[derive(Debug)]
pub(super) struct Lines {
    came: mpsc::Receiver<Result<String, Failure>>,
}

impl Lines {
    /// Begins to read.
    ///
    /// # Errors
    /// [`Class::Unchecked`] when there is no thread to read with.
    pub(super) fn start() -> Result<Self, Failure> {
        let (lines, came) = mpsc::channel(1);
        // A thread, not a task of the runtime: nobody waits for its last read when we quit.
        let reader = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            let mut input = std::io::stdin().lock();
            while let Some(line) = read(&mut input) {
                if lines.blocking_send(line).is_err() {
                    break;
                }
            }
        });
        reader.map_err(|error| unreadable(&error))?;
        Ok(Self { came })
    }

    /// The next line without its end; `None` when the input has ended.
    pub(super) async fn next(&mut self) -> Option<Result<String, Failure>> {
        self.came.recv().await
    }
}

fn read(input: &mut impl BufRead) -> Option<Result<String, Failure>> {
    let mut line = Vec::new();
    match input.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
        Ok(0) => None,
        Ok(_) => {
            let text = String::from_utf8_lossy(&line);
            Some(Ok(text.trim_end_matches(['\n', '\r']).to_owned()))
        }
        Err(error) => Some(Err(unreadable(&error))),
    }
}

fn unreadable(error: &std::io::Error) -> Failure {
    Failure::new(Class::Unchecked, format!("standard input cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_every_known_way() {
        let mut input: &[u8] = b"one\r\ntwo\n\nlast";
        let mut lines = Vec::new();
        while let Some(line) = read(&mut input) {
            lines.push(line.unwrap());
        }
        assert_eq!(lines, ["one", "two", "", "last"]);
    }
}
