//! Reads streamed replies and puts their blocks together again.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::{content, read};
use crate::dialect::fields::{self, Fields, Growing};
use crate::dialect::intake::{self, invalid};
use crate::dialect::report::Report;
use crate::dialect::text::{Array, Object};
use crate::event::{Event, Part};
use crate::fault::{Code, Fault};
use crate::frame::sse::SseEvent;
use crate::prompt::Message;
use crate::reply::{Reply, Stop, Usage};

/// Limit: blocks of one reply.
const BLOCKS_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Machine {
    usage: Usage,
    is_started: bool,
    stop_reason: Option<String>,
    blocks: Vec<Building>,
}

/// A block that is being put together; what it is shows at its beginning or its first piece.
#[derive(Debug)]
struct Building {
    /// The upstream's index; ours is the place in the list.
    number: u64,
    kind: Kind,
    is_closed: bool,
}

#[derive(Debug)]
enum Kind {
    Text {
        text: String,
        citations: Vec<Box<RawValue>>,
    },
    Thought {
        text: String,
        signature: String,
        redacted: Option<Box<RawValue>>,
    },
    Call {
        id: String,
        name: String,
        input: String,
        rest: Growing,
    },
    /// One that we do not know: its field, and what has come of it.
    Other {
        name: String,
        body: Growing,
    },
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        let name = event.event.as_deref().unwrap_or_default();
        let raw: Option<&RawValue> = serde_json::from_str(&event.data).ok();
        if name == "exception" || name.ends_with("Exception") || name.ends_with("Error") {
            return Err(failed(name, raw, event.data.as_bytes()));
        }
        let Some(data) = raw.and_then(Fields::read) else {
            let text = "the upstream sent an event that is not JSON";
            return Err(invalid(text, event.data.as_bytes()));
        };
        let number = data.find("contentBlockIndex").and_then(|raw| raw.get().parse().ok());
        match name {
            "messageStart" => self.begin(out),
            "contentBlockStart" => self.open(number, &data, out),
            "contentBlockDelta" => self.delta(number, &data, out),
            "contentBlockStop" => {
                if let Some((index, block)) = self.find(number) {
                    block.close(index, out);
                }
            }
            "messageStop" => {
                let reason = data.string("stopReason").map(Cow::into_owned);
                self.stop_reason = Some(reason.unwrap_or_else(|| "end_turn".to_owned()));
            }
            "metadata" => {
                self.usage = read::usage(data.find("usage"));
                if self.stop_reason.is_some() {
                    return self.reply(out).map(Some);
                }
            }
            // New kinds of events come without notice, and mean nothing to us yet.
            _ => {}
        }
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        if self.stop_reason.is_none() {
            return Ok(None);
        }
        self.reply(out).map(Some)
    }

    fn partial(&self) -> Option<Message> {
        let worth = |block: &&Building| match &block.kind {
            Kind::Text { text, .. } => !text.is_empty(),
            _ => block.is_closed && !block.is_broken(),
        };
        let mut kept: Vec<&Building> = self.blocks.iter().filter(worth).collect();
        // A message that ends with a thought is refused when it is sent back.
        while kept.last().is_some_and(|block| matches!(block.kind, Kind::Thought { .. })) {
            kept.pop();
        }
        if kept.is_empty() {
            return None;
        }
        content::answer(join(kept.into_iter())?).ok().filter(|m| !m.blocks.is_empty())
    }
}

impl Machine {
    fn begin(&mut self, out: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.is_started, true) {
            let (id, model) = (String::new(), String::new());
            out.push(Event::Start { id, model, usage: Usage::default() });
        }
    }

    fn open(&mut self, number: Option<u64>, data: &Fields<'_>, out: &mut Vec<Event>) {
        let start = data.find("start").and_then(Fields::read).unwrap_or_default();
        let Some((name, inner)) = start.iter().next() else { return };
        let fields = Fields::read(inner).unwrap_or_default();
        let text = |name: &str| fields.string(name).unwrap_or_default().into_owned();
        let kind = if name == "toolUse" {
            let mut rest = Growing::default();
            for (name, value) in fields.iter() {
                if !matches!(name, "toolUseId" | "name") {
                    rest.grow(name, value);
                }
            }
            let (id, name) = (text("toolUseId"), text("name"));
            Kind::Call { id, name, input: String::new(), rest }
        } else {
            Kind::Other { name: name.to_owned(), body: Growing::new(inner) }
        };
        self.add(number, kind, out);
    }

    /// Begins a block, as far as there is room for another.
    fn add(&mut self, number: Option<u64>, kind: Kind, out: &mut Vec<Event>) {
        self.begin(out);
        let index = self.blocks.len();
        if index >= BLOCKS_MAX {
            return;
        }
        out.push(Event::Open { index, part: kind.part() });
        let number = number.unwrap_or(index as u64);
        self.blocks.push(Building { number, kind, is_closed: false });
    }

    fn delta(&mut self, number: Option<u64>, data: &Fields<'_>, out: &mut Vec<Event>) {
        let delta = data.find("delta").and_then(Fields::read).unwrap_or_default();
        for (name, piece) in delta.iter() {
            let is_open = self.find(number).is_some_and(|(_, block)| !block.is_closed);
            if !is_open {
                self.add(number, Kind::of(name), out);
            }
            if let Some((index, block)) = self.find(number) {
                block.kind.grow(name, piece, (index, out));
            }
        }
    }

    fn reply(&mut self, out: &mut Vec<Event>) -> Result<Reply, Fault> {
        self.begin(out);
        for (index, block) in self.blocks.iter_mut().enumerate() {
            block.close(index, out);
        }
        let stop = read::stop(self.stop_reason.as_deref());
        // A reply cut by its limit may end within a call, and half a call is worth nothing; but a
        // call that the model wants made must be readable.
        if stop == Stop::ToolUse && self.blocks.iter().any(Building::is_broken) {
            let text = "the upstream asked for a tool with an input that is not JSON";
            return Err(Fault::new(Code::UpstreamInvalid, text));
        }
        let unreadable = |text: &str| invalid(text, &[]);
        let content = join(self.blocks.iter())
            .ok_or_else(|| unreadable("the upstream's blocks do not make a message"))?;
        Ok(Reply {
            id: String::new(),
            model: String::new(),
            message: content::answer(content).map_err(|text| unreadable(&text))?,
            stop,
            usage: self.usage,
            confidence: None,
        })
    }

    /// The latest block with this number; without a number, the latest block.
    fn find(&mut self, number: Option<u64>) -> Option<(usize, &mut Building)> {
        let matches = |block: &Building| number.is_none_or(|number| block.number == number);
        let index = self.blocks.iter().rposition(matches)?;
        Some((index, self.blocks.get_mut(index)?))
    }
}

impl Kind {
    /// What a block is whose first piece has this name.
    fn of(name: &str) -> Self {
        match name {
            "text" | "citation" => Self::Text { text: String::new(), citations: Vec::new() },
            "reasoningContent" => {
                Self::Thought { text: String::new(), signature: String::new(), redacted: None }
            }
            name => Self::Other { name: name.to_owned(), body: Growing::default() },
        }
    }

    fn part(&self) -> Part {
        match self {
            Self::Text { .. } => Part::Text,
            Self::Thought { .. } => Part::Thinking,
            // One that the provider runs is nobody else's to answer.
            Self::Call { rest, .. } if rest.string("type").is_some() => {
                Part::Other(rest.string("type").unwrap_or_default().into_owned())
            }
            Self::Call { id, name, .. } => Part::Tool { id: id.clone(), name: name.clone() },
            Self::Other { name, .. } => Part::Other(name.clone()),
        }
    }

    /// Takes a piece.
    fn grow(&mut self, name: &str, piece: &RawValue, (index, out): (usize, &mut Vec<Event>)) {
        let fields = Fields::read(piece).unwrap_or_default();
        match (self, name) {
            (Self::Text { text, .. }, "text") => {
                if let Some(piece) = fields::string(piece) {
                    text.push_str(&piece);
                    out.push(Event::Text { index, text: piece.into_owned() });
                }
            }
            (Self::Text { citations, .. }, "citation") => citations.push(piece.to_owned()),
            (Self::Call { input, rest, .. }, "toolUse") => {
                let json = fields.string("input").unwrap_or_default().into_owned();
                input.push_str(&json);
                if !json.is_empty() && rest.string("type").is_none() {
                    out.push(Event::Input { index, json });
                }
            }
            (Self::Thought { text, signature, redacted }, "reasoningContent") => {
                if let Some(piece) = fields.string("text") {
                    text.push_str(&piece);
                    out.push(Event::Thinking { index, text: piece.into_owned() });
                }
                signature.push_str(&fields.string("signature").unwrap_or_default());
                if let Some(piece) = fields.find("redactedContent") {
                    *redacted = Some(piece.to_owned());
                }
            }
            (Self::Other { name: held, body }, name) if held == name => {
                fields.iter().for_each(|(name, value)| body.grow(name, value));
            }
            // A piece of another kind than its block is nobody's.
            _ => {}
        }
    }

    fn write(&self, out: &mut String) {
        let mut block = Object::begin(out);
        match self {
            Self::Text { text, citations } if citations.is_empty() => block.string("text", text),
            Self::Text { text, citations } => {
                let mut inner = Object::begin(block.key("citationsContent"));
                let mut texts = Array::begin(inner.key("content"));
                let mut only = Object::begin(texts.item());
                only.string("text", text);
                only.end();
                texts.end();
                let mut list = Array::begin(inner.key("citations"));
                for citation in citations {
                    list.item().push_str(citation.get());
                }
                list.end();
                inner.end();
            }
            Self::Thought { redacted: Some(redacted), .. } => {
                let mut inner = Object::begin(block.key("reasoningContent"));
                inner.raw("redactedContent", redacted.get());
                inner.end();
            }
            Self::Thought { text, signature, .. } => {
                let mut inner = Object::begin(block.key("reasoningContent"));
                let mut thought = Object::begin(inner.key("reasoningText"));
                thought.string("text", text);
                if !signature.is_empty() {
                    thought.string("signature", signature);
                }
                thought.end();
                inner.end();
            }
            Self::Call { id, name, input, rest } => {
                let mut call = Object::begin(block.key("toolUse"));
                call.string("toolUseId", id);
                call.string("name", name);
                call.raw("input", whole(input));
                rest.write_fields(&mut call);
                call.end();
            }
            Self::Other { name, body } => body.write(block.key(name)),
        }
        block.end();
    }
}

/// The input of a call; an empty text means an empty object.
fn whole(input: &str) -> &str {
    if input.trim().is_empty() { "{}" } else { input }
}

impl Building {
    fn close(&mut self, index: usize, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        if let Kind::Call { input, .. } = &self.kind
            && matches!(self.kind.part(), Part::Tool { .. })
            && input.trim().is_empty()
        {
            // The pieces of a call always join to JSON.
            out.push(Event::Input { index, json: "{}".to_owned() });
        }
        out.push(Event::Close { index });
    }

    /// Whether this is a call whose input is no JSON.
    fn is_broken(&self) -> bool {
        match &self.kind {
            Kind::Call { input, .. } => {
                serde_json::from_str::<serde::de::IgnoredAny>(whole(input)).is_err()
            }
            _ => false,
        }
    }
}

/// Writes the blocks as the content array they would have been in a whole reply.
fn join<'a>(blocks: impl Iterator<Item = &'a Building>) -> Option<Box<RawValue>> {
    let mut out = String::new();
    let mut array = Array::begin(&mut out);
    for block in blocks.filter(|block| !block.is_broken()) {
        block.kind.write(array.item());
    }
    array.end();
    fields::raw(out)
}

/// The upstream's own error, by the name of its type.
fn failed(name: &str, raw: Option<&RawValue>, data: &[u8]) -> Fault {
    match raw.and_then(Report::read) {
        Some(report) if name == "exception" => report.streamed(),
        Some(report) => report.named(name).streamed(),
        None => invalid("the upstream reported an error that cannot be read", data),
    }
}
