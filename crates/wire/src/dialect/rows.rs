//! Newline-delimited JSON, the other form of streams: one value on each line.

use crate::frame::sse::{SseError, SseEvent};

/// Cuts lines, however the bytes are cut; each becomes an event without a name.
#[derive(Debug)]
pub(super) struct Rows {
    limit: usize,
    line: Vec<u8>,
}

impl Rows {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new() }
    }

    /// Takes the next bytes and appends the lines they complete; blank ones say nothing.
    ///
    /// # Errors
    /// A line longer than the limit.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<SseEvent>) -> Result<(), SseError> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len().saturating_add(part.len()) > self.limit {
                return Err(SseError::TooLong { limit: self.limit });
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                out.extend(self.finish());
            }
        }
        Ok(())
    }

    /// The line that has no end yet.
    pub(super) fn finish(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        let data = String::from_utf8_lossy(&line).trim().to_owned();
        (!data.is_empty()).then(|| SseEvent { data, ..SseEvent::default() })
    }
}
