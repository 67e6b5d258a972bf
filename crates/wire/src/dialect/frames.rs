//! Binary frames as events: the name from their headers, the data from their payload.

use crate::frame::eventstream::{Decoder, Frame, FrameError};
use crate::frame::sse::SseEvent;

use super::show::object;

/// Reads frames, however the bytes are cut; each becomes an event with the name of its type.
#[derive(Debug)]
pub(super) struct Frames(Decoder);

impl Frames {
    pub(super) fn new(limit: usize) -> Self {
        Self(Decoder::new(limit))
    }

    /// Takes the next bytes and appends the events they complete.
    ///
    /// # Errors
    /// Bytes that are no frames.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<SseEvent>) -> Result<(), FrameError> {
        let mut frames = Vec::new();
        let pushed = self.0.push(bytes, &mut frames);
        out.extend(frames.iter().map(event));
        pushed
    }
}

fn event(frame: &Frame) -> SseEvent {
    let payload = || String::from_utf8_lossy(&frame.payload).into_owned();
    let (name, data) = match frame.header(":message-type") {
        Some("exception") => (frame.header(":exception-type").unwrap_or("exception"), payload()),
        // An error that the service did not foresee stands in the headers.
        Some("error") => {
            let code = frame.header(":error-code").unwrap_or("error");
            let message = frame.header(":error-message").unwrap_or_default();
            let data = object(|object| {
                object.string("code", code);
                object.string("message", message);
            });
            ("exception", data)
        }
        _ => (frame.header(":event-type").unwrap_or_default(), payload()),
    };
    SseEvent { event: Some(name.to_owned()), data, id: None }
}
