//! A response on its way out: its head, then its body as it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use http_body::Body as _;

use super::outbox::Outbox;

/// A response under way.
pub(super) struct Answer {
    /// Nothing when all of it is in the outbox.
    body: Option<Body>,
    length: Length,
    broken: Option<io::Error>,
}

/// How the body says where it ends.
enum Length {
    /// So many bytes are still to come.
    Known(u64),
    Chunked,
}

impl Answer {
    /// Puts the head into the outbox.
    pub(super) fn new(response: Response, (closes, date): (bool, &[u8]), out: &mut Outbox) -> Self {
        let (parts, body) = response.into_parts();
        let has_body = !matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let told = length(&parts.headers);
        let known = told.or_else(|| body.size_hint().exact());
        status(parts.status, out);
        for (name, value) in &parts.headers {
            // How the body is framed, and what becomes of the connection, is said here alone.
            if ![CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION].contains(name) {
                line(name.as_str(), value.as_bytes(), out);
            }
        }
        match known {
            _ if !has_body => {}
            Some(length) => number("content-length", length, out),
            None => line("transfer-encoding", b"chunked", out),
        }
        if closes {
            line("connection", b"close", out);
        }
        if !parts.headers.contains_key(DATE) {
            line("date", date, out);
        }
        out.put(b"\r\n");
        let length = known.map_or(Length::Chunked, Length::Known);
        let is_empty = !has_body || matches!(length, Length::Known(0));
        Self { body: (!is_empty).then_some(body), length, broken: None }
    }

    /// Whether all of it is in the outbox.
    pub(super) fn is_over(&self) -> bool {
        self.body.is_none()
    }

    /// Why the body broke off: what was written must not look like a whole answer.
    pub(super) fn broken(&mut self) -> Option<io::Error> {
        self.broken.take()
    }

    /// Bytes that say nothing between two pieces of the body: a zero before the next length.
    pub(super) fn sign(&self) -> &'static [u8] {
        match self.length {
            Length::Chunked => b"0",
            Length::Known(_) => b"",
        }
    }

    /// Moves what is there of the body into the outbox.
    pub(super) fn poll_into(&mut self, out: &mut Outbox, cx: &mut Context<'_>) {
        while let Some(body) = &mut self.body
            && !out.is_full()
        {
            let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { return };
            match frame {
                Some(Ok(frame)) => self.take(frame.into_data().unwrap_or_default(), out),
                Some(Err(error)) => {
                    self.body = None;
                    self.broken = Some(io::Error::other(error));
                }
                None => {
                    self.body = None;
                    match self.length {
                        Length::Known(_) => self.broken = Some(io::ErrorKind::UnexpectedEof.into()),
                        Length::Chunked => out.put(b"0\r\n\r\n"),
                    }
                }
            }
        }
    }

    fn take(&mut self, bytes: Bytes, out: &mut Outbox) {
        match &mut self.length {
            _ if bytes.is_empty() => {}
            Length::Chunked => out.send_chunk(bytes),
            Length::Known(left) => {
                let size = usize::try_from(*left).unwrap_or(usize::MAX);
                let bytes = bytes.slice(..bytes.len().min(size));
                *left = left.saturating_sub(bytes.len() as u64);
                // Nothing comes after the last byte: who meters the body learns it from this.
                if *left == 0 {
                    self.body = None;
                }
                out.send(bytes);
            }
        }
    }
}

/// The length that the response has a line for: an upstream's, that is passed on.
fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

fn status(status: StatusCode, out: &mut Outbox) {
    if status == StatusCode::OK {
        return out.put(b"HTTP/1.1 200 OK\r\n");
    }
    out.put(b"HTTP/1.1 ");
    out.put(status.as_str().as_bytes());
    out.put(b" ");
    out.put(status.canonical_reason().unwrap_or("<none>").as_bytes());
    out.put(b"\r\n");
}

fn line(name: &str, value: &[u8], out: &mut Outbox) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.put(part);
    }
}

fn number(name: &str, value: u64, out: &mut Outbox) {
    line(name, value.to_string().as_bytes(), out);
}
