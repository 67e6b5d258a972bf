//! Reads streamed replies and puts their parts together again.

use serde_json::value::RawValue;

use super::content;
use super::read::{self, Chunk};
use crate::dialect::body::quoted;
use crate::dialect::fields::{self, Fields};
use crate::dialect::intake::{self, invalid};
use crate::dialect::likely::Likely;
use crate::dialect::text::Array;
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse::SseEvent;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Usage};

/// Puts a reply together.
#[derive(Debug, Default)]
pub(super) struct Machine {
    id: String,
    model: String,
    usage: Usage,
    is_started: bool,
    reason: Option<String>,
    likely: Likely,
    pieces: Vec<Piece>,
    /// Blocks begun so far.
    count: usize,
    open: Option<(usize, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
}

/// A part of the reply.
#[derive(Debug)]
enum Piece {
    /// Texts that came in pieces and have nothing but their text.
    Plain(Kind, String),
    /// A part that is kept as it came.
    Raw(Box<RawValue>),
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        if matches!(event.data.trim(), "" | "[DONE]") {
            return Ok(None);
        }
        let data = event.data.as_bytes();
        let chunk = Chunk::read(serde_json::from_str(&event.data).ok(), data)?;
        if let Some(usage) = chunk.usage {
            self.usage = usage;
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.id = chunk.id.unwrap_or_default();
            self.model = chunk.model.unwrap_or_default();
            let (id, model) = (self.id.clone(), self.model.clone());
            out.push(Event::Start { id, model, usage: self.usage });
        }
        self.likely.join(chunk.likely);
        let unreadable = |text: &str| invalid(text, data);
        for part in chunk.parts.and_then(fields::items).unwrap_or_default() {
            self.part(part, out).map_err(|text| unreadable(&text))?;
        }
        self.reason = chunk.reason.or(self.reason.take());
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        if self.reason.is_none() {
            return Ok(None);
        }
        self.close(out);
        let unreadable = |text: &str| invalid(text, &[]);
        let parts = join(self.pieces.iter())
            .ok_or_else(|| unreadable("the upstream's parts do not make a message"))?;
        let message = content::answer(parts).map_err(|text| unreadable(&text))?;
        Ok(Some(Reply {
            id: self.id.clone(),
            model: self.model.clone(),
            stop: read::stop(self.reason.as_deref(), &message),
            message,
            usage: self.usage,
            confidence: self.likely.confidence(),
        }))
    }

    fn partial(&self) -> Option<Message> {
        let is_thought = |piece: &&Piece| matches!(piece, Piece::Plain(Kind::Thinking, _));
        let has_more = self.pieces.iter().any(|piece| !is_thought(&piece));
        let is_last = |(at, _): &(usize, &Piece)| at.saturating_add(1) == self.pieces.len();
        // A thought that was cut is worth nothing.
        let kept = self.pieces.iter().enumerate();
        let kept = kept.filter(|pair| !(is_last(pair) && is_thought(&pair.1)));
        let parts = join(kept.map(|(_, piece)| piece)).filter(|_| has_more)?;
        content::answer(parts).ok().filter(|message| !message.blocks.is_empty())
    }
}

impl Machine {
    fn part(&mut self, raw: &RawValue, out: &mut Vec<Event>) -> Result<(), String> {
        let mut blocks = Vec::new();
        content::part(self.pieces.len(), raw, &mut blocks)?;
        let block = blocks.pop();
        let part = Fields::read(raw).unwrap_or_default();
        let is_plain = part.iter().all(|(name, _)| matches!(name, "text" | "thought"));
        let (kind, text) = match &block {
            Some(Block::Text(text)) => (Kind::Text, text.as_str()),
            Some(Block::Thinking { text, .. }) => (Kind::Thinking, text.as_str()),
            Some(block) => {
                self.close(out);
                self.whole(block, out);
                self.pieces.push(Piece::Raw(raw.to_owned()));
                return Ok(());
            }
            None => {
                // An empty text may still carry a signature.
                if !is_plain {
                    self.pieces.push(Piece::Raw(raw.to_owned()));
                }
                return Ok(());
            }
        };
        let index = self.turn_to(kind, out);
        out.push(match kind {
            Kind::Text => Event::Text { index, text: text.to_owned() },
            Kind::Thinking => Event::Thinking { index, text: text.to_owned() },
        });
        match self.pieces.last_mut() {
            Some(Piece::Plain(last, held)) if is_plain && *last == kind => held.push_str(text),
            _ if is_plain => self.pieces.push(Piece::Plain(kind, text.to_owned())),
            _ => self.pieces.push(Piece::Raw(raw.to_owned())),
        }
        Ok(())
    }

    /// A part that comes whole.
    fn whole(&mut self, block: &Block, out: &mut Vec<Event>) {
        let index = self.count;
        self.count = index.saturating_add(1);
        if let Block::ToolUse { id, name, input } = block {
            let part = Part::Tool { id: id.clone(), name: name.clone() };
            out.push(Event::Open { index, part });
            out.push(Event::Input { index, json: input.get().to_owned() });
        } else {
            out.push(Event::Open { index, part: Part::Other(block.kind().to_owned()) });
        }
        out.push(Event::Close { index });
    }

    fn turn_to(&mut self, kind: Kind, out: &mut Vec<Event>) -> usize {
        if let Some((index, open)) = self.open
            && open == kind
        {
            return index;
        }
        self.close(out);
        let index = self.count;
        self.count = index.saturating_add(1);
        self.open = Some((index, kind));
        let part = if kind == Kind::Text { Part::Text } else { Part::Thinking };
        out.push(Event::Open { index, part });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::Close { index });
        }
    }
}

/// Writes the parts as they would have been in a whole reply.
fn join<'a>(pieces: impl Iterator<Item = &'a Piece>) -> Option<Box<RawValue>> {
    let mut out = String::new();
    let mut array = Array::begin(&mut out);
    for piece in pieces {
        match piece {
            Piece::Raw(raw) => array.item().push_str(raw.get()),
            Piece::Plain(Kind::Text, text) => {
                array.item().push_str(&format!(r#"{{"text":{}}}"#, quoted(text)));
            }
            Piece::Plain(Kind::Thinking, text) => {
                array.item().push_str(&format!(r#"{{"text":{},"thought":true}}"#, quoted(text)));
            }
        }
    }
    array.end();
    fields::raw(out)
}
