//! Reads streamed replies and puts the message together again.

use serde_json::value::RawValue;

use super::read::{self, Row};
use super::{Door, content};
use crate::dialect::fields::{self, Fields, Growing};
use crate::dialect::intake::{self, invalid};
use crate::dialect::likely::Likely;
use crate::dialect::text::{Array, Object};
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse::SseEvent;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Usage};

/// Puts a reply together: thoughts, one text, then the calls, which come whole.
#[derive(Debug)]
pub(super) struct Machine {
    door: Door,
    model: String,
    is_started: bool,
    likely: Likely,
    /// The message without its calls.
    body: Growing,
    calls: Vec<Box<RawValue>>,
    /// Blocks begun so far.
    count: usize,
    open: Option<(usize, Part)>,
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        let data = event.data.as_bytes();
        let row = Row::read(self.door, data)?;
        if !std::mem::replace(&mut self.is_started, true) {
            self.model = row.model.clone().unwrap_or_default();
            let (id, model) = (String::new(), self.model.clone());
            out.push(Event::Start { id, model, usage: Usage::default() });
        }
        let unreadable = |text: &str| invalid(text, data);
        if let Some(object) = row.object() {
            self.delta(&object, out).map_err(|text| unreadable(&text))?;
        }
        self.likely.take(row.logprobs.as_deref());
        if !row.done {
            return Ok(None);
        }
        self.close(out);
        let object = self.object(self.calls.len());
        let object =
            object.ok_or_else(|| unreadable("the upstream's rows do not make a message"))?;
        let message = read::message(self.door, object).map_err(|text| unreadable(&text))?;
        Ok(Some(Reply {
            id: String::new(),
            model: self.model.clone(),
            stop: read::stop(row.done_reason.as_deref(), &message),
            usage: row.usage(),
            confidence: self.likely.confidence(),
            message,
        }))
    }

    fn end(&mut self, _out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        Ok(None)
    }

    fn partial(&self) -> Option<Message> {
        let mut message = read::message(self.door, self.object(self.calls.len())?).ok()?;
        let is_more = |block: &Block| !matches!(block, Block::Thinking { .. });
        if !message.blocks.iter().any(is_more) {
            return None;
        }
        if matches!(self.open, Some((_, Part::Thinking))) {
            message.blocks.retain(is_more);
            message.raw = None;
        }
        Some(message)
    }
}

impl Machine {
    pub(super) fn new(door: Door) -> Self {
        let mut body = Growing::default();
        // The content stands first, and is there even when it is empty.
        body.append("content", "");
        Self {
            door,
            model: String::new(),
            is_started: false,
            likely: Likely::default(),
            body,
            calls: Vec::new(),
            count: 0,
            open: None,
        }
    }

    fn delta(&mut self, object: &RawValue, out: &mut Vec<Event>) -> Result<(), String> {
        let delta = Fields::read(object).ok_or("a message must be an object")?;
        for (name, value) in delta.iter().filter(|(_, value)| value.get() != "\"\"") {
            match name {
                "role" | "tool_calls" => {}
                _ => self.body.grow(name, value),
            }
        }
        if let Some(text) = delta.string("thinking").filter(|text| !text.is_empty()) {
            let index = self.turn_to(Part::Thinking, out);
            out.push(Event::Thinking { index, text: text.into_owned() });
        }
        if let Some(text) = delta.string("content").filter(|text| !text.is_empty()) {
            let index = self.turn_to(Part::Text, out);
            out.push(Event::Text { index, text: text.into_owned() });
        }
        for raw in delta.find("tool_calls").and_then(fields::items).unwrap_or_default() {
            if let Block::ToolUse { id, name, input } = content::call(self.calls.len(), raw)? {
                let index = self.turn_to(Part::Tool { id, name }, out);
                out.push(Event::Input { index, json: input.get().to_owned() });
                self.close(out);
            }
            self.calls.push(raw.to_owned());
        }
        Ok(())
    }

    /// Makes this kind of block the open one; gives its index.
    fn turn_to(&mut self, part: Part, out: &mut Vec<Event>) -> usize {
        if let Some((index, open)) = &self.open
            && *open == part
        {
            return *index;
        }
        self.close(out);
        let index = self.count;
        self.count = index.saturating_add(1);
        self.open = Some((index, part.clone()));
        out.push(Event::Open { index, part });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        if let Some((index, _)) = self.open.take() {
            out.push(Event::Close { index });
        }
    }

    /// Writes the message object as it would have been in a whole reply.
    fn object(&self, calls: usize) -> Option<Box<RawValue>> {
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.string("role", "assistant");
        self.body.write_fields(&mut object);
        if calls > 0 {
            let mut array = Array::begin(object.key("tool_calls"));
            for call in &self.calls {
                array.item().push_str(call.get());
            }
            array.end();
        }
        object.end();
        fields::raw(out)
    }
}
