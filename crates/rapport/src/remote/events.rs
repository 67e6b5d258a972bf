//! A turn as it is streamed: read event by event, and picked up again where a connection was cut.

use std::collections::VecDeque;

use serde_json::{Map, Value};
use wire::frame::sse::{Decoder, SseEvent};

use super::answer::Answer;
use super::ask::Ask;
use super::failure::{Class, Failure};
use super::server::Server;

/// Limit: bytes of one event; the last one holds the whole reply and the state.
const EVENT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Limit: how often a cut stream is asked for again.
const CUTS_MAX: u32 = 3;

/// What a listener hears while a turn runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// A piece of the reply.
    Text(&'a str),
    /// A piece of what the model thought before.
    Thinking(&'a str),
    /// The model asks for a tool of this name.
    Tool(&'a str),
}

/// A stream of events under way.
#[derive(Debug)]
pub(crate) struct Events {
    answer: Answer,
    decoder: Decoder,
    ready: VecDeque<SseEvent>,
}

impl Events {
    pub(super) fn of(answer: Answer) -> Self {
        Self { answer, decoder: Decoder::new(EVENT_BYTES_MAX), ready: VecDeque::new() }
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// # Errors
    /// As [`Server::json`].
    pub(crate) async fn next(&mut self) -> Result<Option<SseEvent>, Failure> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let Some(bytes) = self.answer.part().await? else { return Ok(None) };
            let mut out = Vec::new();
            let pushed = self.decoder.push(&bytes, &mut out);
            self.ready.extend(out);
            pushed.map_err(|error| Failure::new(Class::Protocol, error.to_string()))?;
        }
    }
}

/// Runs a turn and tells `hear` of everything as it comes. The answer is the turn as JSON text.
///
/// A stream that is cut is asked for again when the request has an idempotency key; what was heard
/// before is not heard twice.
///
/// # Errors
/// As [`Server::json`], and whatever the turn itself fails with.
pub(crate) async fn turn(
    server: &Server,
    ask: &Ask,
    hear: &mut dyn FnMut(Heard<'_>),
) -> Result<String, Failure> {
    let mut said = Said::default();
    let mut cuts = 0;
    loop {
        let heard = once(server, ask, &mut said, hear).await;
        match heard {
            Err(failure) if failure.may_be_retried(ask.is_repeatable()) && cuts < CUTS_MAX => {
                cuts += 1;
                said.begin_again();
            }
            Err(failure) => return Err(server.advised(failure)),
            Ok(done) => return Ok(done),
        }
    }
}

async fn once(
    server: &Server,
    ask: &Ask,
    said: &mut Said,
    hear: &mut dyn FnMut(Heard<'_>),
) -> Result<String, Failure> {
    let mut events = server.stream(ask).await?;
    while let Some(event) = events.next().await? {
        let SseEvent { event: Some(name), data, .. } = event else { continue };
        match name.as_str() {
            "delta" => said.hear(Kind::Text, &member(&data, "text")?, hear),
            "thinking" => said.hear(Kind::Thinking, &member(&data, "text")?, hear),
            "tool" => hear(Heard::Tool(&member(&data, "name")?)),
            "done" => return Ok(data),
            "error" => return Err(Failure::answered(None, object(&data)?)),
            _ => {}
        }
    }
    Err(Failure::cut("the stream was cut before the reply was complete"))
}

fn object(data: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(data).map_err(|error| {
        Failure::new(Class::Protocol, format!("an event of the stream is not JSON: {error}"))
    })
}

fn member(data: &str, name: &str) -> Result<String, Failure> {
    match object(data)?.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Ok(String::new()),
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Thinking,
}

/// What was heard, so that a repeated stream goes on where the first one was cut.
#[derive(Default)]
struct Said {
    text: Stretch,
    thinking: Stretch,
}

#[derive(Default)]
struct Stretch {
    heard: usize,
    come: usize,
}

impl Said {
    fn begin_again(&mut self) {
        self.text.come = 0;
        self.thinking.come = 0;
    }

    fn hear(&mut self, kind: Kind, piece: &str, hear: &mut dyn FnMut(Heard<'_>)) {
        let stretch = match kind {
            Kind::Text => &mut self.text,
            Kind::Thinking => &mut self.thinking,
        };
        let fresh = stretch.fresh(piece);
        if !fresh.is_empty() {
            hear(match kind {
                Kind::Text => Heard::Text(fresh),
                Kind::Thinking => Heard::Thinking(fresh),
            });
        }
    }
}

impl Stretch {
    /// The part of a piece that was not heard before.
    fn fresh<'p>(&mut self, piece: &'p str) -> &'p str {
        let known = self.heard.saturating_sub(self.come).min(piece.len());
        self.come = self.come.saturating_add(piece.len());
        self.heard = self.heard.max(self.come);
        // A model that answers anew may say something else: then no character is cut in two.
        let start = (known..=piece.len()).find(|at| piece.is_char_boundary(*at));
        start.and_then(|start| piece.get(start..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_stream_goes_on_where_it_was_cut() {
        let mut said = Said::default();
        let mut out = String::new();
        let mut hear = |heard: Heard<'_>| {
            if let Heard::Text(text) = heard {
                out.push_str(text);
            }
        };
        for piece in ["Hel", "lo wö"] {
            said.hear(Kind::Text, piece, &mut hear);
        }
        said.begin_again();
        for piece in ["Hello", " wör", "ld"] {
            said.hear(Kind::Text, piece, &mut hear);
        }
        assert_eq!(out, "Hello wörld");
    }
}
