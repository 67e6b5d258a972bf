//! Documents of any size on their way between a file and a server.

use std::io::{Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use serde_json::Value;
use tokio::sync::mpsc;

use super::super::reach::Client;
use super::path;
use crate::remote::{Ask, Class, Failure};

/// Bytes of a file that are read at once.
const PIECE: usize = 256 * 1024;
/// Limit: pieces that wait to be sent.
const PIECES_MAX: usize = 4;

/// What a format could not take.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// What of the messages it cannot say.
    pub(super) dropped: String,
    /// What of the context is not in the document.
    pub(super) left_out: String,
}

/// Writes a context with all its messages as it comes; `progress` gets the bytes so far.
///
/// # Errors
/// Of every class.
pub(super) async fn download(
    client: &Client<'_>,
    (id, format): (&str, Option<&str>),
    out: &mut (dyn Write + Send),
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<Lost, Failure> {
    let wrong = |error: std::io::Error| {
        Failure::new(Class::Unchecked, format!("the document cannot be written: {error}"))
            .hint("is there room on the disk?")
    };
    let ask = Ask::get(path(id).then("export").query("format", format));
    let (headers, mut answer) = client.server.open(&ask).await?;
    let header = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let mut written = 0_u64;
    while let Some(part) = answer.part().await? {
        out.write_all(&part).map_err(wrong)?;
        written = written.saturating_add(part.len() as u64);
        progress(written);
    }
    out.flush().map_err(wrong)?;
    Ok(Lost { dropped: header("x-rapport-dropped"), left_out: header("x-rapport-left-out") })
}

/// Writes a context in our own format.
///
/// # Errors
/// Of every class.
pub(in crate::command) async fn export(
    client: &Client<'_>,
    id: &str,
    out: &mut (dyn Write + Send),
) -> Result<(), Failure> {
    download(client, (id, None), out, &mut |_| {}).await.map(drop)
}

/// A file as the body of a request: read as fast as it is sent.
#[derive(Debug)]
pub(super) struct Upload(mpsc::Receiver<std::io::Result<Bytes>>);

impl Upload {
    /// Begins to read.
    pub(super) fn of(mut from: Box<dyn Read + Send>) -> Self {
        let (to, pieces) = mpsc::channel(PIECES_MAX);
        // It ends with the file, or when nobody takes it any more.
        drop(tokio::task::spawn_blocking(move || {
            loop {
                let mut piece = Vec::with_capacity(PIECE);
                let read = from.by_ref().take(PIECE as u64).read_to_end(&mut piece);
                let sent = match read {
                    Ok(0) => return,
                    Ok(_) => to.blocking_send(Ok(Bytes::from(piece))),
                    Err(error) => to.blocking_send(Err(error)),
                };
                if sent.is_err() {
                    return;
                }
            }
        }));
        Self(pieces)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// How far an import is, in one line.
pub(super) fn so_far(progress: &Value) -> String {
    let number = |name: &str| progress.get(name).and_then(Value::as_u64);
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let bytes = number("bytes").unwrap_or_default();
    let part = match number("of_bytes").filter(|all| *all > 0) {
        Some(all) => {
            let percent = bytes.saturating_mul(100) / all;
            format!("{percent:>3} %, {} of {} MiB", mib(bytes), mib(all))
        }
        None => format!("{} MiB", mib(bytes)),
    };
    let count = |name: &str| number(name).unwrap_or_default();
    format!("{part}, {} contexts, {} messages", count("contexts"), count("messages"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_a_share_where_the_whole_is_known() {
        let known = serde_json::json!({"bytes": 52_428_800, "of_bytes": 104_857_600,
                                       "contexts": 1, "messages": 12});
        assert_eq!(so_far(&known), " 50 %, 50 of 100 MiB, 1 contexts, 12 messages");
        let piped = serde_json::json!({"bytes": 1_048_576, "of_bytes": null});
        assert_eq!(so_far(&piped), "1 MiB, 0 contexts, 0 messages");
    }

    #[tokio::test]
    async fn a_file_is_sent_in_pieces_and_whole() {
        use http_body_util::BodyExt as _;
        let long = "x".repeat(PIECE * 2 + 5);
        let body = Upload::of(Box::new(std::io::Cursor::new(long.clone())));
        assert_eq!(body.collect().await.unwrap().to_bytes(), long);
    }
}
