//! Watches a passed answer on its way to the caller: what it used, how it ended.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use wire::dialect::{Dialect, StreamReader};
use wire::event::Event;
use wire::prompt::{Message, Prompt};
use wire::reply::Usage;
use wire::{Fault, fault};

use super::held::Held;
use super::walk::is_content;
use super::{Call, count};
use crate::client::Answer;
use crate::gate::Gateway;
use crate::model::{Flight, Upstream, culprit};
use crate::route::Record;

/// Limit: bytes of a whole answer that are read for its token counts.
const METER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Limit: bytes of a question that are kept while it is answered.
const QUESTION_BYTES_MAX: usize = 256 * 1024;

/// What goes by, read for its token counts and its end.
enum Reading {
    Stream(Box<dyn StreamReader>),
    Whole(Held),
    /// Nothing to be learned from it.
    Blind,
}

impl Reading {
    fn of(call: &Call, answer: &Answer) -> Self {
        let kind = answer.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        if !answer.status.is_success() {
            Self::Blind
        } else if kind.starts_with(call.dialect.stream_type()) {
            Self::Stream(call.dialect.stream())
        } else {
            Self::Whole(Held::default())
        }
    }
}

/// Watches an answer on its way to the caller, and writes down what became of it.
pub(super) struct Meter {
    gate: Gateway,
    record: Record,
    upstream: Arc<Upstream>,
    flight: Flight,
    reading: Reading,
    /// Bytes that are still to come, where the answer says how many there are.
    left: Option<u64>,
    begun: bool,
    asked: Question,
}

/// What was asked, for estimating its tokens where the provider does not say them.
enum Question {
    Kept(&'static dyn Dialect, Bytes),
    /// Too long to be kept while the answer goes by: so many bytes.
    Long(usize),
}

impl Question {
    fn of(call: &Call) -> Self {
        let bytes = call.bytes.clone();
        let is_short = bytes.len() <= QUESTION_BYTES_MAX;
        if is_short { Self::Kept(call.dialect, bytes) } else { Self::Long(bytes.len()) }
    }

    fn tokens(&self) -> u64 {
        match self {
            Self::Kept(dialect, bytes) => match dialect.request(bytes) {
                Ok(asked) => count::estimate(&asked.prompt),
                Err(_) => guess(bytes.len()),
            },
            Self::Long(length) => guess(*length),
        }
    }
}

/// The tokens of so many bytes, roughly.
fn guess(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// How long an answer says it is.
fn length(answer: &Answer) -> Option<u64> {
    answer.headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

impl Meter {
    /// Watches an answer for a call's record.
    pub(super) fn new(
        call: &Call,
        (upstream, flight): (Arc<Upstream>, Flight),
        (answer, record): (&Answer, Record),
    ) -> Self {
        Self {
            gate: call.gate.clone(),
            record,
            upstream,
            flight,
            reading: Reading::of(call, answer),
            left: length(answer),
            begun: false,
            asked: Question::of(call),
        }
    }

    fn saw(&mut self, bytes: &Bytes) {
        self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
        if !self.begun {
            self.begun = true;
            if !matches!(self.reading, Reading::Blind) {
                self.flight.worked();
            }
        }
        match &mut self.reading {
            Reading::Stream(reader) => {
                let mut events = Vec::new();
                reader.push(bytes, &mut events);
                for event in events {
                    if is_content(&event) {
                        self.record.lock().speaks();
                    }
                    match event {
                        Event::Done(reply) if reply.usage == Usage::default() => {
                            self.done(None);
                            self.guess(Some(reply.message));
                        }
                        Event::Done(reply) => self.done(Some(reply.usage)),
                        Event::Fault(fault) => self.failed(&fault),
                        _ => {}
                    }
                }
            }
            Reading::Whole(held) if held.len() + bytes.len() <= METER_BYTES_MAX => {
                held.add(bytes);
            }
            Reading::Whole(_) => self.done(None),
            Reading::Blind => {}
        }
    }

    fn ended(&mut self) {
        match std::mem::replace(&mut self.reading, Reading::Blind) {
            Reading::Whole(held) => {
                let usage = self.upstream.dialect().usage(held.bytes());
                self.done(usage);
            }
            Reading::Stream(reader) => {
                // Some dialects say their end only by ending.
                self.record.lock().done(None);
                self.guess(reader.partial());
            }
            Reading::Blind => {}
        }
    }

    fn done(&mut self, usage: Option<Usage>) {
        self.reading = Reading::Blind;
        if let Some(usage) = &usage {
            self.gate.metrics().spent(self.upstream.model(), usage);
        }
        self.record.lock().done(usage);
    }

    /// Writes down an estimate of what was used, where the provider does not say it: what was
    /// asked, and as much of the answer as came.
    fn guess(&self, said: Option<Message>) {
        let Some(said) = said else { return };
        let said = Prompt { messages: vec![said], ..Prompt::default() };
        let output = count::estimate(&said);
        let usage = Usage { input: self.asked.tokens(), output, ..Usage::default() };
        self.gate.metrics().spent(self.upstream.model(), &usage);
        self.record.lock().guessed(usage);
    }

    fn failed(&mut self, fault: &Fault) {
        if let Reading::Stream(reader) = std::mem::replace(&mut self.reading, Reading::Blind) {
            self.guess(reader.partial());
        }
        self.flight.failed(culprit(fault));
        self.gate.metrics().fault(fault);
        if fault.kind() == fault::Kind::Upstream {
            tracing::warn!(
                provider = self.upstream.provider(),
                "the upstream's answer broke off: {}",
                fault.chain()
            );
        }
        self.record.lock().failed(fault);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Who writes a body of known length asks for no more after its last byte: the end is not
        // seen, but it was reached.
        if self.left == Some(0) {
            self.ended();
        }
        // The caller has left in the middle: what came is paid for all the same.
        if let Reading::Stream(reader) = std::mem::replace(&mut self.reading, Reading::Blind) {
            self.guess(reader.partial());
        }
    }
}

/// The upstream's answer as the body of ours; the call ends when the caller lets go of it.
pub(super) fn metered(answer: Answer, meter: Meter) -> Body {
    let stream = futures_util::stream::unfold(Some((answer, meter)), |state| async move {
        let (mut answer, mut meter) = state?;
        match answer.chunk().await {
            Ok(Some(bytes)) => {
                meter.saw(&bytes);
                Some((Ok::<Bytes, io::Error>(bytes), Some((answer, meter))))
            }
            Ok(None) => {
                meter.ended();
                None
            }
            Err(ended) => {
                // The head has gone out: a body that breaks off is all that can still be said, and
                // it must not look like one that is complete.
                meter.failed(&ended.fault);
                Some((Err(io::Error::other(ended.fault.text().to_owned())), None))
            }
        }
    });
    Body::from_stream(stream)
}
