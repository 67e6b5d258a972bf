//! The answer to a request: its head is here, its body comes as it comes.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;
use tokio::time::Instant;

use super::failure::{Class, Failure};
use super::show::Trace;

/// Limit: bytes of an answer that is read whole.
const WHOLE_BYTES_MAX: usize = 1 << 30;

/// How long an answer may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The longest silence.
    pub(super) read: Duration,
    /// When everything must be over.
    pub(super) until: Option<Instant>,
}

impl Patience {
    /// Waits for `future` no longer than a silence or the whole may last.
    pub(super) async fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Failure> {
        let silence = Instant::now() + self.read;
        let (end, why) = match self.until {
            Some(until) if until < silence => (until, "the answer took longer than `--timeout`"),
            _ => (silence, "the server was silent for too long"),
        };
        let waited = tokio::time::timeout_at(end, future).await;
        waited.map_err(|_late| {
            Failure::new(Class::Timeout, format!("Connection timeout: {why}"))
                .hint("allow more with `--timeout` or `--read-timeout`")
        })
    }
}

/// An answer whose head said that all is well.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(super) body: Incoming,
    pub(super) patience: Patience,
    pub(super) trace: Trace,
}

impl Answer {
    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`Class::Timeout`], or a cut of the connection.
    pub(crate) async fn part(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(frame) = self.patience.wait(self.body.frame()).await? else { return Ok(None) };
            let frame = frame.map_err(|error| broken(&error))?;
            if let Ok(data) = frame.into_data() {
                self.trace.part(&data);
                return Ok(Some(data));
            }
        }
    }

    /// All bytes.
    ///
    /// # Errors
    /// As [`Answer::part`], and for more than a gigabyte.
    pub(super) async fn whole(mut self) -> Result<Bytes, Failure> {
        let mut all = BytesMut::new();
        while let Some(part) = self.part().await? {
            if all.len().saturating_add(part.len()) > WHOLE_BYTES_MAX {
                let text = format!("the answer is larger than {WHOLE_BYTES_MAX} bytes");
                return Err(Failure::new(Class::Protocol, text));
            }
            all.extend_from_slice(&part);
        }
        Ok(all.freeze())
    }
}

/// What went wrong between two programs that had a connection.
pub(super) fn broken(error: &hyper::Error) -> Failure {
    if error.is_parse() {
        return Failure::new(Class::Protocol, format!("what answers there is not HTTP: {error}"));
    }
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    Failure::cut(format!("the connection ended before the answer did: {cause}"))
}

/// A whole JSON answer, as it came and as it reads.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The bytes the server sent.
    pub(crate) raw: Bytes,
    /// The same as a value.
    pub(crate) value: Value,
}

impl Reply {
    /// The text of a member, empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.value.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}
