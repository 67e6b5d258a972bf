//! The part of reading a stream that all dialects share: where events end, what is no stream at
//! all, and when the stream is over.

use crate::event::Event;
use crate::fault::{Code, Fault};
use crate::frame::sse::{Decoder, SseEvent};
use crate::prompt::Message;
use crate::reply::Reply;

use super::StreamReader;
use super::excerpt::shape;
use super::frames::Frames;
use super::rows::Rows;

/// Limit: bytes of one event.
const EVENT_BYTES_MAX: usize = 16 << 20;

/// Limit: bytes of one streamed reply.
const STREAM_BYTES_MAX: usize = 128 << 20;

/// Limit: bytes that are kept to say what came instead of events.
const HEAD_BYTES_MAX: usize = 512;

/// What a dialect makes of the events of its stream.
pub(super) trait Machine: Send {
    /// Takes an event; gives the reply when the event says that it is complete.
    ///
    /// # Errors
    /// The upstream's error, or `upstream_invalid` for an event that cannot be read.
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault>;

    /// The stream is over: the reply if it is complete nevertheless.
    ///
    /// # Errors
    /// `upstream_invalid` when what came is no reply.
    fn end(&mut self, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault>;

    /// What is worth keeping of an unfinished reply.
    fn partial(&self) -> Option<Message>;
}

/// How a dialect tells its events apart.
enum Framing {
    /// Server-sent events.
    Events(Decoder),
    /// One JSON value on each line.
    Rows(Rows),
    /// Binary frames.
    Frames(Frames),
}

/// Why events could not be told apart, for the log.
type Broken = Box<dyn std::error::Error + Send + Sync>;

/// Reads one stream for a [`Machine`].
pub(super) struct Intake<M> {
    machine: M,
    framing: Framing,
    head: Vec<u8>,
    bytes: usize,
    has_events: bool,
    is_over: bool,
}

impl<M: Machine> Intake<M> {
    /// Reads server-sent events.
    pub(super) fn new(machine: M) -> Self {
        Self::framed(machine, Framing::Events(Decoder::new(EVENT_BYTES_MAX)))
    }

    /// Reads one JSON value on each line.
    pub(super) fn rows(machine: M) -> Self {
        Self::framed(machine, Framing::Rows(Rows::new(EVENT_BYTES_MAX)))
    }

    /// Reads binary frames.
    pub(super) fn frames(machine: M) -> Self {
        Self::framed(machine, Framing::Frames(Frames::new(EVENT_BYTES_MAX)))
    }

    fn framed(machine: M, framing: Framing) -> Self {
        Self { machine, framing, head: Vec::new(), bytes: 0, has_events: false, is_over: false }
    }

    fn read(&mut self, bytes: &[u8], out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > STREAM_BYTES_MAX {
            let text = format!("the upstream's reply is longer than `{STREAM_BYTES_MAX}` bytes");
            return Err(Fault::new(Code::UpstreamInvalid, text));
        }
        let room = HEAD_BYTES_MAX.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        if self.is_foreign() {
            return if self.head.len() < HEAD_BYTES_MAX { Ok(None) } else { Err(self.cut()) };
        }
        let mut events = Vec::new();
        let pushed = match &mut self.framing {
            Framing::Events(decoder) => decoder.push(bytes, &mut events).map_err(Broken::from),
            Framing::Rows(rows) => rows.push(bytes, &mut events).map_err(Broken::from),
            Framing::Frames(frames) => frames.push(bytes, &mut events).map_err(Broken::from),
        };
        for event in &events {
            self.has_events = true;
            if let Some(reply) = self.machine.event(event, out)? {
                return Ok(Some(reply));
            }
        }
        pushed.map_err(|error| {
            Fault::new(Code::UpstreamInvalid, "the upstream's event stream cannot be read")
                .because(error)
        })?;
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<Reply, Fault> {
        if self.is_foreign() {
            return Err(self.cut());
        }
        // Some upstreams forget the blank line after the last event; one that was cut in the
        // middle is no JSON and says nothing.
        let last = match &mut self.framing {
            Framing::Events(decoder) => decoder.finish(),
            Framing::Rows(rows) => rows.finish(),
            // Half a frame says nothing.
            Framing::Frames(_) => None,
        };
        let last = last.filter(|event| is_whole(&event.data));
        if let Some(event) = last {
            self.has_events = true;
            if let Some(reply) = self.machine.event(&event, out)? {
                return Ok(reply);
            }
        }
        self.machine.end(out)?.map_or_else(|| Err(self.cut()), Ok)
    }

    /// Whether the first byte says that this is a page or a JSON body, not an event stream.
    fn is_foreign(&self) -> bool {
        let first = self.head.iter().find(|byte| !byte.is_ascii_whitespace());
        let is_row = matches!(self.framing, Framing::Rows(_)) && first == Some(&b'{');
        !self.has_events && !is_row && matches!(first, Some(b'<' | b'{' | b'['))
    }

    fn cut(&self) -> Fault {
        let text = match (self.has_events, self.head.is_empty()) {
            (true, _) => "the upstream's stream ended before the reply was complete",
            (false, true) => "the upstream's stream ended before it began",
            (false, false) => "the upstream did not send an event stream",
        };
        let fault = Fault::new(Code::UpstreamInvalid, text);
        if self.has_events || self.head.is_empty() {
            return fault;
        }
        fault.because(shape(&self.head))
    }

    fn settle(&mut self, result: Result<Option<Reply>, Fault>, out: &mut Vec<Event>) {
        let event = match result {
            Ok(None) => return,
            Ok(Some(reply)) => Event::Done(Box::new(reply)),
            Err(fault) => Event::Fault(fault),
        };
        self.is_over = true;
        out.push(event);
    }
}

impl<M: Machine> StreamReader for Intake<M> {
    fn push(&mut self, bytes: &[u8], out: &mut Vec<Event>) {
        if !self.is_over {
            let result = self.read(bytes, out);
            self.settle(result, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        if !self.is_over {
            let result = self.end(out).map(Some);
            self.settle(result, out);
        }
    }

    fn partial(&self) -> Option<Message> {
        self.machine.partial()
    }
}

fn is_whole(data: &str) -> bool {
    data.trim() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

/// The fault of an event or body that is not what its dialect says.
pub(super) fn invalid(text: &str, bytes: &[u8]) -> Fault {
    let fault = Fault::new(Code::UpstreamInvalid, text);
    if bytes.is_empty() { fault } else { fault.because(shape(bytes)) }
}
