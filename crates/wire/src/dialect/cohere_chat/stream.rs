//! Reads streamed replies and puts the message together again.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{content, read};
use crate::dialect::fields::{self, Fields, Growing};
use crate::dialect::intake::{self, invalid};
use crate::dialect::likely::Likely;
use crate::dialect::report::Report;
use crate::dialect::text::{Array, Object};
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse::SseEvent;
use crate::prompt::{Block, Message};
use crate::reply::{Reply, Usage};

/// Limit: blocks of one reply.
const BLOCKS_MAX: usize = 1024;

/// One event's data; every event of the dialect fits in.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    index: Option<u64>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// Puts a reply together.
#[derive(Debug, Default)]
pub(super) struct Machine {
    id: String,
    usage: Usage,
    is_started: bool,
    finish_reason: Option<String>,
    likely: Likely,
    /// What the model says it is about to do with its tools.
    plan: String,
    contents: Vec<Content>,
    calls: Vec<Call>,
    citations: Vec<Box<RawValue>>,
    /// Blocks begun so far.
    count: usize,
    open: Option<(usize, Place)>,
}

/// What a block is in the message; the number is the place in its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Plan,
    Content(usize),
    Call(usize),
}

/// A part of the content that is being put together.
#[derive(Debug)]
struct Content {
    /// The upstream's index.
    number: u64,
    body: Growing,
}

#[derive(Debug)]
struct Call {
    number: u64,
    id: String,
    name: String,
    arguments: String,
    /// Fields of the call that we do not know.
    rest: Growing,
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        match event.data.trim() {
            "" => return Ok(None),
            "[DONE]" => return self.end(out),
            _ => {}
        }
        let data = event.data.as_bytes();
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(&event.data) else {
            return Err(invalid("the upstream sent an event that is not JSON", data));
        };
        let kind = frame.kind.as_deref().or(event.event.as_deref()).unwrap_or_default();
        let delta = frame.delta.and_then(Fields::read).unwrap_or_default();
        let message = delta.find("message").and_then(Fields::read).unwrap_or_default();
        self.likely.take(frame.logprobs);
        match kind {
            "message-start" => self.begin(frame.id.as_deref().unwrap_or_default(), out),
            "content-start" => self.start(frame.index, &message, out),
            "content-delta" => self.content(frame.index, &message, out),
            "content-end" | "tool-call-end" => self.close(out),
            "tool-plan-delta" => self.plan(&message, out),
            "tool-call-start" => self.call(frame.index, &message, out),
            "tool-call-delta" => self.arguments(frame.index, &message, out),
            "citation-start" => {
                if let Some(citation) = message.find("citations") {
                    self.citations.push(citation.to_owned());
                }
            }
            "message-end" => return self.stop(&delta, out).map(Some),
            _ => {
                let raw: Option<&RawValue> = serde_json::from_str(&event.data).ok();
                // An error has no type; new kinds of events have, and mean nothing to us yet.
                let is_error = kind == "error" || frame.kind.is_none();
                if let Some(report) = raw.filter(|_| is_error).and_then(Report::read) {
                    return Err(report.streamed());
                }
            }
        }
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        match self.finish_reason {
            Some(_) => self.reply(out).map(Some),
            None => Ok(None),
        }
    }

    fn partial(&self) -> Option<Message> {
        // The last call may be cut even where its arguments happen to be JSON already.
        let is_open = |at: usize| self.open.is_some_and(|(_, place)| place == Place::Call(at));
        let calls = self.calls.iter().enumerate();
        let whole = calls.filter(|(at, call)| !is_open(*at) && call.is_json());
        let object = self.object(whole.map(|(_, call)| call))?;
        let mut message = content::answer(object, true).ok()?;
        let thinks = match self.open {
            Some((_, Place::Content(at))) => {
                self.contents.get(at).is_some_and(|content| content.body.string("text").is_none())
            }
            _ => false,
        };
        if thinks {
            message.raw = None;
            if let Some(at) =
                message.blocks.iter().rposition(|b| matches!(b, Block::Thinking { .. }))
            {
                message.blocks.remove(at);
            }
        }
        let says = |block: &Block| !matches!(block, Block::Thinking { .. });
        message.blocks.iter().any(says).then_some(message)
    }
}

impl Machine {
    fn begin(&mut self, id: &str, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        id.clone_into(&mut self.id);
        let (id, model) = (self.id.clone(), String::new());
        out.push(Event::Start { id, model, usage: self.usage });
    }

    fn start(&mut self, number: Option<u64>, message: &Fields<'_>, out: &mut Vec<Event>) {
        let Some(raw) = message.find("content") else { return };
        let Some(fields) = Fields::read(raw) else { return };
        let at = self.contents.len();
        if at >= BLOCKS_MAX {
            return;
        }
        let is_thought = fields.find("thinking").is_some();
        let kind = fields.string("type");
        let kind = kind.as_deref().unwrap_or(if is_thought { "thinking" } else { "text" });
        let mut body = Growing::new(raw);
        if fields.find("type").is_none() {
            // A piece without its beginning is not yet a part of a message.
            body = Growing::default();
            body.append("type", kind);
            fields.iter().for_each(|(name, value)| body.grow(name, value));
        }
        let part = match kind {
            "thinking" => Part::Thinking,
            "text" => Part::Text,
            other => Part::Other(other.to_owned()),
        };
        self.contents.push(Content { number: number.unwrap_or(at as u64), body });
        let index = self.turn_to(Place::Content(at), part, out);
        pieces(index, &fields, out);
    }

    fn content(&mut self, number: Option<u64>, message: &Fields<'_>, out: &mut Vec<Event>) {
        let Some(delta) = message.find("content").and_then(Fields::read) else { return };
        let fits = |content: &Content| number.is_none_or(|number| content.number == number);
        let Some(at) = self.contents.iter().rposition(fits) else {
            // A few servers begin no block before they fill it.
            return self.start(number, message, out);
        };
        let Some(content) = self.contents.get_mut(at) else { return };
        for (name, value) in delta.iter().filter(|(name, _)| *name != "type") {
            content.body.grow(name, value);
        }
        let is_thought = delta.string("thinking").is_some();
        let part = if is_thought { Part::Thinking } else { Part::Text };
        let index = self.turn_to(Place::Content(at), part, out);
        pieces(index, &delta, out);
    }

    fn plan(&mut self, message: &Fields<'_>, out: &mut Vec<Event>) {
        let Some(text) = message.string("tool_plan").filter(|text| !text.is_empty()) else {
            return;
        };
        self.plan.push_str(&text);
        let index = self.turn_to(Place::Plan, Part::Text, out);
        out.push(Event::Text { index, text: text.into_owned() });
    }

    fn call(&mut self, number: Option<u64>, message: &Fields<'_>, out: &mut Vec<Event>) {
        let Some(call) = message.find("tool_calls").and_then(only) else { return };
        let at = self.calls.len();
        if at >= BLOCKS_MAX {
            return;
        }
        let mut rest = Growing::default();
        for (name, value) in call.iter() {
            if !matches!(name, "id" | "type" | "function") {
                rest.grow(name, value);
            }
        }
        let function = call.find("function").and_then(Fields::read).unwrap_or_default();
        let text = |name: &str| function.string(name).unwrap_or_default().into_owned();
        let id = call.string("id").filter(|id| !id.is_empty()).map(Cow::into_owned);
        let call = Call {
            number: number.unwrap_or(at as u64),
            // Results need an id, and it must differ between replies.
            id: id.unwrap_or_else(|| format!("call_{}_{at}", self.id)),
            name: text("name"),
            arguments: text("arguments"),
            rest,
        };
        let (id, name, json) = (call.id.clone(), call.name.clone(), call.arguments.clone());
        self.calls.push(call);
        let index = self.turn_to(Place::Call(at), Part::Tool { id, name }, out);
        if !json.is_empty() {
            out.push(Event::Input { index, json });
        }
    }

    fn arguments(&mut self, number: Option<u64>, message: &Fields<'_>, out: &mut Vec<Event>) {
        let Some(delta) = message.find("tool_calls").and_then(only) else { return };
        let Some(function) = delta.find("function").and_then(Fields::read) else { return };
        let Some(json) = function.string("arguments").filter(|json| !json.is_empty()) else {
            return;
        };
        let fits = |call: &Call| number.is_none_or(|number| call.number == number);
        let Some(at) = self.calls.iter().rposition(fits) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        call.arguments.push_str(&json);
        let part = Part::Tool { id: call.id.clone(), name: call.name.clone() };
        let index = self.turn_to(Place::Call(at), part, out);
        out.push(Event::Input { index, json: json.into_owned() });
    }

    /// Makes this block the open one; gives its index.
    fn turn_to(&mut self, place: Place, part: Part, out: &mut Vec<Event>) -> usize {
        self.begin("", out);
        if let Some((index, open)) = self.open
            && open == place
        {
            return index;
        }
        self.close(out);
        let index = self.count;
        self.count = index.saturating_add(1);
        self.open = Some((index, place));
        out.push(Event::Open { index, part });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some((index, place)) = self.open.take() else { return };
        if let Place::Call(at) = place
            && self.calls.get(at).is_some_and(|call| call.arguments.trim().is_empty())
        {
            // The pieces of a call always join to JSON.
            out.push(Event::Input { index, json: "{}".to_owned() });
        }
        out.push(Event::Close { index });
    }

    fn stop(&mut self, delta: &Fields<'_>, out: &mut Vec<Event>) -> Result<Reply, Fault> {
        let reason = delta.string("finish_reason");
        if let Some(fault) = read::failed(reason.as_deref(), delta.string("error").as_deref()) {
            return Err(fault);
        }
        self.finish_reason = reason.map(Cow::into_owned);
        self.usage = read::usage(delta.find("usage"));
        self.reply(out)
    }

    fn reply(&mut self, out: &mut Vec<Event>) -> Result<Reply, Fault> {
        self.begin("", out);
        self.close(out);
        let unreadable = |text: &str| invalid(text, &[]);
        let object = self
            .object(self.calls.iter())
            .ok_or_else(|| unreadable("the upstream's events do not make a message"))?;
        let reason = self.finish_reason.as_deref();
        let was_cut = reason == Some("MAX_TOKENS");
        let message = content::answer(object, was_cut).map_err(|text| unreadable(&text))?;
        Ok(Reply {
            id: self.id.clone(),
            model: String::new(),
            stop: read::stop(reason, &message),
            message,
            usage: self.usage,
            confidence: self.likely.confidence(),
        })
    }

    /// Writes the message object as it would have been in a whole reply.
    fn object<'a>(&self, calls: impl Iterator<Item = &'a Call>) -> Option<Box<RawValue>> {
        let mut out = String::new();
        let mut object = Object::begin(&mut out);
        object.string("role", "assistant");
        if !self.plan.is_empty() {
            object.string("tool_plan", &self.plan);
        }
        let mut calls = calls.peekable();
        if calls.peek().is_some() {
            let mut array = Array::begin(object.key("tool_calls"));
            for call in calls {
                call.write(array.item());
            }
            array.end();
        }
        if !self.contents.is_empty() {
            let mut array = Array::begin(object.key("content"));
            for content in &self.contents {
                content.body.write(array.item());
            }
            array.end();
        }
        if !self.citations.is_empty() {
            let mut array = Array::begin(object.key("citations"));
            for citation in &self.citations {
                array.item().push_str(citation.get());
            }
            array.end();
        }
        object.end();
        fields::raw(out)
    }
}

/// A call as the events have it: alone, or as the only one of a list.
fn only(raw: &RawValue) -> Option<Fields<'_>> {
    match fields::items(raw) {
        Some(items) => items.into_iter().next().and_then(Fields::read),
        None => Fields::read(raw),
    }
}

fn pieces(index: usize, fields: &Fields<'_>, out: &mut Vec<Event>) {
    let piece = |name: &str| fields.string(name).filter(|text| !text.is_empty());
    if let Some(text) = piece("thinking") {
        out.push(Event::Thinking { index, text: text.into_owned() });
    }
    if let Some(text) = piece("text") {
        out.push(Event::Text { index, text: text.into_owned() });
    }
}

impl Call {
    /// The arguments; an empty text means no arguments.
    fn arguments(&self) -> &str {
        if self.arguments.trim().is_empty() { "{}" } else { &self.arguments }
    }

    fn is_json(&self) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(self.arguments()).is_ok()
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::begin(out);
        object.string("id", &self.id);
        object.string("type", "function");
        let mut function = Object::begin(object.key("function"));
        function.string("name", &self.name);
        function.string("arguments", self.arguments());
        function.end();
        self.rest.write_fields(&mut object);
        object.end();
    }
}
