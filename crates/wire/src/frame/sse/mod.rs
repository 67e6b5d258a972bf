//! Server-sent events: read from bytes cut anywhere, and written.

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// One event as it was dispatched by a blank line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// The name of the event; `None` means `message`.
    pub event: Option<String>,
    /// The data lines, joined by line feeds.
    pub data: String,
    /// The id this event carried, if it carried one.
    pub id: Option<String>,
}

/// The stream broke a limit; nothing more is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseError {
    /// One event is larger than the limit.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl fmt::Display for SseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { limit } => write!(f, "an event is larger than `{limit}` bytes"),
        }
    }
}

impl std::error::Error for SseError {}

/// Reads server-sent events, however the bytes are cut.
///
/// Follows the HTML standard: CRLF, LF and CR end a line, a leading byte order mark is skipped,
/// comments and unknown fields are ignored, an event without data is not dispatched. Bytes that
/// are not UTF-8 become U+FFFD.
///
/// ```
/// let mut decoder = wire::frame::sse::Decoder::new(1024);
/// let mut out = Vec::new();
/// decoder.push(b"event: greeting\ndata: he", &mut out).unwrap();
/// decoder.push(b"llo\n\n", &mut out).unwrap();
/// assert_eq!(out[0].event.as_deref(), Some("greeting"));
/// assert_eq!(out[0].data, "hello");
/// ```
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    at_start: bool,
    after_cr: bool,
    failed: Option<SseError>,
    retry: Option<Duration>,
}

impl Decoder {
    /// Makes a decoder that holds at most `event_bytes_max` bytes of one event.
    #[must_use]
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            limit: event_bytes_max,
            line: Vec::new(),
            event: SseEvent::default(),
            has_data: false,
            at_start: true,
            after_cr: false,
            failed: None,
            retry: None,
        }
    }

    /// Takes the next bytes and appends the events they complete to `out`.
    ///
    /// # Errors
    /// [`SseError::TooLong`] when an event exceeds the limit; events before it are in `out`, and
    /// every later call gives the same error.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<SseEvent>) -> Result<(), SseError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.after_cr {
                self.after_cr = false;
                if let Some(after) = rest.strip_prefix(b"\n") {
                    rest = after;
                    continue;
                }
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.hold(part)?;
            let Some((terminator, after)) = after.split_first() else { break };
            self.after_cr = *terminator == b'\r';
            rest = after;
            self.end_line(out);
        }
        Ok(())
    }

    /// Ends the input: the event that no blank line has dispatched yet, if there is one.
    ///
    /// The standard drops it, and its last line may be cut; some upstreams forget the blank line
    /// after a perfectly good last event, so the caller decides.
    pub fn finish(&mut self) -> Option<SseEvent> {
        let mut out = Vec::new();
        if !self.line.is_empty() {
            self.end_line(&mut out);
        }
        self.dispatch(&mut out);
        out.pop()
    }

    /// How long the server asks to wait before a reconnection, from its last `retry` field.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    fn hold(&mut self, part: &[u8]) -> Result<(), SseError> {
        let held = self.line.len().saturating_add(self.event.data.len());
        if held.saturating_add(part.len()) > self.limit {
            let error = SseError::TooLong { limit: self.limit };
            self.failed = Some(error);
            self.line = Vec::new();
            self.event = SseEvent::default();
            self.has_data = false;
            return Err(error);
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, out: &mut Vec<SseEvent>) {
        let mut line = std::mem::take(&mut self.line);
        let mut text = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        }
        if text.is_empty() {
            self.dispatch(out);
        } else {
            self.field(&String::from_utf8_lossy(text));
        }
        // The buffer is kept, so that a stream of small events allocates once.
        line.clear();
        self.line = line;
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => self.event.event = Some(value.to_owned()).filter(|name| !name.is_empty()),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
    }

    fn dispatch(&mut self, out: &mut Vec<SseEvent>) {
        let event = std::mem::take(&mut self.event);
        if std::mem::take(&mut self.has_data) {
            out.push(event);
        }
    }
}

/// Writes one event; line breaks in `data` become several `data` lines, those in `event` spaces.
///
/// A reader gets every line break of `data` back as a line feed.
///
/// ```
/// let bytes = wire::frame::sse::encode(Some("note"), Some(7), "a\nb");
/// assert_eq!(&bytes[..], b"event: note\nid: 7\ndata: a\ndata: b\n\n");
/// ```
#[must_use]
pub fn encode(event: Option<&str>, id: Option<u64>, data: &str) -> Bytes {
    // Room for the field names around what is given.
    let mut out = String::with_capacity(data.len().saturating_add(64));
    if let Some(name) = event {
        out.push_str("event: ");
        push_line(&mut out, name);
    }
    if let Some(id) = id {
        out.push_str("id: ");
        push_line(&mut out, &id.to_string());
    }
    for line in data.replace("\r\n", "\n").split(['\n', '\r']) {
        out.push_str("data: ");
        push_line(&mut out, line);
    }
    out.push('\n');
    Bytes::from(out)
}

/// Writes a comment, which readers ignore: it keeps a silent connection open.
#[must_use]
pub fn comment(text: &str) -> Bytes {
    let mut out = String::from(": ");
    push_line(&mut out, text);
    out.push('\n');
    Bytes::from(out)
}

fn push_line(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
    out.push('\n');
}
