//! Reads streamed replies and puts the message together again.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::{self, REASONING};
use super::read;
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

/// Limit: calls of one reply.
const CALLS_MAX: usize = 1024;

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// Puts a reply together.
///
/// The events open a new block whenever the kind changes; the message has, as the dialect wants
/// it, one text and then the calls.
#[derive(Debug, Default)]
pub(super) struct Machine {
    id: String,
    model: String,
    usage: Usage,
    is_started: bool,
    finish_reason: Option<String>,
    likely: Likely,
    /// The message without its calls.
    body: Growing,
    calls: Vec<Call>,
    /// Blocks begun so far.
    count: usize,
    open: Option<(usize, Kind)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    /// The place in the list of calls.
    Tool(usize),
}

#[derive(Debug)]
struct Call {
    /// The upstream's index.
    number: u64,
    id: String,
    name: String,
    arguments: String,
    /// Our index, once the call was opened.
    block: Option<usize>,
    /// Fields of the call that we do not know.
    rest: Growing,
    /// Fields of its function that we do not know.
    function: Growing,
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        match event.data.trim() {
            "" => return Ok(None),
            "[DONE]" if self.is_started => return self.reply(out).map(Some),
            "[DONE]" => return Err(invalid("the upstream ended its stream without a reply", &[])),
            _ => {}
        }
        let data = event.data.as_bytes();
        let Ok(chunk) = serde_json::from_str::<Chunk<'_>>(&event.data) else {
            return Err(invalid("the upstream sent an event that is not a chunk", data));
        };
        if chunk.error.is_some() || event.event.as_deref() == Some("error") {
            let raw: Option<&RawValue> = serde_json::from_str(&event.data).ok();
            let unreadable = "the upstream reported an error that cannot be read";
            let report = raw.and_then(Report::read);
            return Err(report.map_or_else(|| invalid(unreadable, data), |r| r.streamed()));
        }
        if chunk.usage.is_some() {
            self.usage = read::usage(chunk.usage);
        }
        self.begin(&chunk, out);
        let choices = chunk.choices.unwrap_or_default();
        for choice in choices.iter().filter(|choice| choice.index.unwrap_or(0) == 0) {
            self.likely.take(choice.logprobs);
            if let Some(delta) = choice.delta.and_then(Fields::read) {
                self.delta(&delta, out);
            }
            if let Some(reason) = &choice.finish_reason {
                self.finish_reason = Some(reason.clone());
                self.close(out);
            }
        }
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        if self.finish_reason.is_none() {
            return Ok(None);
        }
        self.reply(out).map(Some)
    }

    fn partial(&self) -> Option<Message> {
        // The last call may be cut even where its arguments happen to be JSON already.
        let is_open = |at: usize| matches!(self.open, Some((_, Kind::Tool(open))) if open == at);
        let calls =
            self.calls.iter().enumerate().filter(|(at, call)| !is_open(*at) && call.is_json());
        let object = self.object(calls.map(|(_, call)| call))?;
        let mut message = content::answer(object, true).ok()?;
        let has_more = message.blocks.iter().any(|b| !matches!(b, Block::Thinking { .. }));
        if let Some((_, Kind::Thinking)) = self.open {
            message.blocks.retain(|block| !matches!(block, Block::Thinking { .. }));
            message.raw = None;
        }
        has_more.then_some(message)
    }
}

impl Machine {
    fn begin(&mut self, chunk: &Chunk<'_>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        self.id = chunk.id.as_deref().unwrap_or_default().to_owned();
        self.model = chunk.model.as_deref().unwrap_or_default().to_owned();
        out.push(Event::Start {
            id: self.id.clone(),
            model: self.model.clone(),
            usage: self.usage,
        });
    }

    fn delta(&mut self, delta: &Fields<'_>, out: &mut Vec<Event>) {
        for (name, value) in delta.iter() {
            match name {
                "role" | "type" | "index" => {}
                "content" => self.content(value, out),
                "tool_calls" => {
                    for call in fields::items(value).unwrap_or_default() {
                        self.call(call, out);
                    }
                }
                _ => self.body.grow(name, value),
            }
        }
        let reasoning = REASONING.iter().find_map(|name| delta.string(name));
        if let Some(text) = reasoning.filter(|text| !text.is_empty()) {
            let index = self.turn_to(Kind::Thinking, Part::Thinking, out);
            out.push(Event::Thinking { index, text: text.into_owned() });
        }
        if let Some(text) = delta.string("refusal") {
            self.text(&text, out);
        }
    }

    /// A piece of text; a few servers send it as parts, of which the text is taken.
    fn content(&mut self, value: &RawValue, out: &mut Vec<Event>) {
        if let Some(text) = fields::string(value) {
            self.body.append("content", &text);
            return self.text(&text, out);
        }
        for part in fields::items(value).unwrap_or_default() {
            if let Some(text) = Fields::read(part).and_then(|part| part.string("text")) {
                self.body.append("content", &text);
                self.text(&text, out);
            }
        }
    }

    fn text(&mut self, text: &str, out: &mut Vec<Event>) {
        if !text.is_empty() {
            let index = self.turn_to(Kind::Text, Part::Text, out);
            out.push(Event::Text { index, text: text.to_owned() });
        }
    }

    fn call(&mut self, raw: &RawValue, out: &mut Vec<Event>) {
        let Some(delta) = Fields::read(raw) else { return };
        let Some(at) = self.place(&delta) else { return };
        let Some(call) = self.calls.get_mut(at) else { return };
        for (name, value) in delta.iter() {
            if !matches!(name, "index" | "id" | "type" | "function") {
                call.rest.grow(name, value);
            }
        }
        let function = delta.find("function").and_then(Fields::read).unwrap_or_default();
        for (name, value) in function.iter() {
            if !matches!(name, "name" | "arguments") {
                call.function.grow(name, value);
            }
        }
        if call.name.is_empty() {
            call.name = function.string("name").unwrap_or_default().into_owned();
        }
        // Most send text; some send the object itself.
        let piece = function
            .find("arguments")
            .map(|raw| fields::string(raw).unwrap_or(Cow::Borrowed(raw.get())).into_owned());
        let piece = piece.unwrap_or_default();
        call.arguments.push_str(&piece);
        if let Some(index) = call.block {
            if !piece.is_empty() {
                out.push(Event::Input { index, json: piece });
            }
        } else if !call.name.is_empty() {
            if call.id.is_empty() {
                // Some servers give no ids; results need one, and it must differ between replies.
                call.id = format!("call_{}_{at}", self.id);
            }
            let (part, json) = (call.part(), call.arguments.clone());
            let index = self.turn_to(Kind::Tool(at), part, out);
            if let Some(call) = self.calls.get_mut(at) {
                call.block = Some(index);
            }
            if !json.is_empty() {
                out.push(Event::Input { index, json });
            }
        }
    }

    /// Finds the call a delta belongs to, or begins one. Servers differ: the index may be missing,
    /// or be the same for all, so another id means another call, and without ids another name.
    fn place(&mut self, delta: &Fields<'_>) -> Option<usize> {
        let number = delta.find("index").and_then(|raw| raw.get().parse::<u64>().ok());
        let id = delta.string("id").filter(|id| !id.is_empty());
        let function = delta.find("function").and_then(Fields::read);
        let name = function.and_then(|function| function.string("name"));
        let fits = |call: &Call| {
            number.is_none_or(|number| number == call.number)
                && id.as_deref().is_none_or(|id| call.id.is_empty() || id == call.id)
                && (id.is_some() || name.as_deref().is_none_or(|name| call.goes_on(name)))
        };
        let found = self.calls.iter().rposition(fits);
        if let Some(at) = found {
            let call = self.calls.get_mut(at)?;
            if let Some(id) = id.filter(|_| call.id.is_empty() && call.block.is_none()) {
                call.id = id.into_owned();
            }
            return Some(at);
        }
        let at = self.calls.len();
        if at >= CALLS_MAX {
            return None;
        }
        self.calls.push(Call {
            number: number.unwrap_or(at as u64),
            id: id.map(Cow::into_owned).unwrap_or_default(),
            name: String::new(),
            arguments: String::new(),
            block: None,
            rest: Growing::default(),
            function: Growing::default(),
        });
        Some(at)
    }

    /// Makes this kind of block the open one; gives its index.
    fn turn_to(&mut self, kind: Kind, part: Part, out: &mut Vec<Event>) -> usize {
        if let Some((index, open)) = self.open
            && open == kind
        {
            return index;
        }
        self.close(out);
        let index = self.count;
        self.count = index.saturating_add(1);
        self.open = Some((index, kind));
        out.push(Event::Open { index, part });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some((index, kind)) = self.open.take() else { return };
        if let Kind::Tool(at) = kind
            && self.calls.get(at).is_some_and(|call| call.arguments.trim().is_empty())
        {
            // The pieces of a call always join to JSON.
            out.push(Event::Input { index, json: "{}".to_owned() });
        }
        out.push(Event::Close { index });
    }

    fn reply(&mut self, out: &mut Vec<Event>) -> Result<Reply, Fault> {
        self.close(out);
        let unreadable = |text: &str| invalid(text, &[]);
        let object = self
            .object(self.calls.iter())
            .ok_or_else(|| unreadable("the upstream's chunks do not make a message"))?;
        let was_cut = self.finish_reason.as_deref() == Some("length");
        let refuses = read::refuses(&object);
        let message = content::answer(object, was_cut).map_err(|text| unreadable(&text))?;
        Ok(Reply {
            id: self.id.clone(),
            model: self.model.clone(),
            stop: read::stop(self.finish_reason.as_deref(), refuses, &message),
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
        if self.body.raw("content").is_none() && self.body.string("content").is_none() {
            object.raw("content", "null");
        }
        self.body.write_fields(&mut object);
        let mut calls = calls.filter(|call| !call.name.is_empty()).peekable();
        if calls.peek().is_some() {
            let mut array = Array::begin(object.key("tool_calls"));
            for call in calls {
                call.write(array.item());
            }
            array.end();
        }
        object.end();
        fields::raw(out)
    }
}

impl Call {
    /// The arguments; an empty text means no arguments.
    fn arguments(&self) -> &str {
        if self.arguments.trim().is_empty() { "{}" } else { &self.arguments }
    }

    /// Whether a piece without an id that names a tool can belong to this call: it cannot if this
    /// is a call of another tool, or complete.
    fn goes_on(&self, name: &str) -> bool {
        let is_same = name.is_empty() || self.name.is_empty() || name == self.name;
        let is_whole = || !name.is_empty() && self.arguments.ends_with('}') && self.is_json();
        is_same && !is_whole()
    }

    fn is_json(&self) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(self.arguments()).is_ok()
    }

    fn part(&self) -> Part {
        Part::Tool { id: self.id.clone(), name: self.name.clone() }
    }

    fn write(&self, out: &mut String) {
        let mut object = Object::begin(out);
        object.string("id", &self.id);
        object.string("type", "function");
        let mut function = Object::begin(object.key("function"));
        function.string("name", &self.name);
        function.string("arguments", self.arguments());
        self.function.write_fields(&mut function);
        function.end();
        self.rest.write_fields(&mut object);
        object.end();
    }
}
