//! Reads streamed replies and puts their blocks together again.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::content;
use super::read::{self, Counts};
use crate::dialect::fields::{self, Fields, Growing};
use crate::dialect::intake::{self, invalid};
use crate::dialect::report::Report;
use crate::dialect::text::Array;
use crate::event::{Event, Part};
use crate::fault::{Code, Fault};
use crate::frame::sse::SseEvent;
use crate::prompt::Message;
use crate::reply::{Reply, Stop};

/// One event's data; every event of the dialect fits in.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[derive(Debug, Default)]
pub(super) struct Machine {
    id: String,
    model: String,
    counts: Counts,
    is_started: bool,
    blocks: Vec<Building>,
    stop_reason: Option<String>,
}

/// A block that is being put together.
#[derive(Debug)]
struct Building {
    /// The upstream's index; ours is the place in the list.
    number: u64,
    part: Part,
    body: Growing,
    /// The JSON text of a tool's input so far.
    input: String,
    is_closed: bool,
    /// The input ended before it was JSON.
    is_broken: bool,
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        // Some who follow this dialect keep a connection alive with empty events, or end a stream
        // as OpenAI does.
        match event.data.trim() {
            "" => return Ok(None),
            "[DONE]" => return self.end(out),
            _ => {}
        }
        let unreadable = "the upstream sent an event that is not JSON";
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(&event.data) else {
            return Err(invalid(unreadable, event.data.as_bytes()));
        };
        let kind = frame.kind.as_deref().or(event.event.as_deref()).unwrap_or_default();
        match kind {
            "message_start" => self.begin(&frame, out),
            "content_block_start" => self.open(&frame, out)?,
            "content_block_delta" => self.delta(&frame, out)?,
            "content_block_stop" => self.close(&frame, out),
            "message_delta" => {
                self.counts.merge(frame.usage);
                let delta = frame.delta.and_then(Fields::read);
                let reason = delta.and_then(|delta| delta.string("stop_reason"));
                self.stop_reason = reason.map(Cow::into_owned).or(self.stop_reason.take());
            }
            "message_stop" => return self.reply(out).map(Some),
            "ping" => out.push(Event::Ping),
            "error" => return Err(error(&event.data)),
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
        let worth = |block: &&Building| {
            let is_text = block.part == Part::Text;
            let is_whole = block.is_closed && !block.is_broken;
            (is_whole || is_text) && !(is_text && block.is_blank())
        };
        let mut kept: Vec<&Building> = self.blocks.iter().filter(worth).collect();
        // A message that ends with a thought is refused when it is sent back.
        while kept.last().is_some_and(|block| block.is_thought()) {
            kept.pop();
        }
        if kept.is_empty() {
            return None;
        }
        content::answer(&join(kept.into_iter())?).ok().filter(|m| !m.blocks.is_empty())
    }
}

impl Machine {
    fn begin(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        if let Some(message) = frame.message.and_then(Fields::read) {
            self.id = message.string("id").unwrap_or_default().into_owned();
            self.model = message.string("model").unwrap_or_default().into_owned();
            self.counts.merge(message.find("usage"));
        }
        out.push(Event::Start {
            id: self.id.clone(),
            model: self.model.clone(),
            usage: self.counts.usage(),
        });
    }

    fn open(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Fault> {
        self.begin(frame, out);
        let index = self.blocks.len();
        let number = frame.index.unwrap_or(index as u64);
        let Some((raw, block)) =
            frame.content_block.and_then(|raw| Some((raw, Fields::read(raw)?)))
        else {
            return Err(invalid("the upstream began a block that is no object", &[]));
        };
        let text = |name: &str| block.string(name).unwrap_or_default().into_owned();
        let part = match text("type").as_str() {
            "text" => Part::Text,
            "thinking" => Part::Thinking,
            "tool_use" => Part::Tool { id: text("id"), name: text("name") },
            other => Part::Other(other.to_owned()),
        };
        out.push(Event::Open { index, part: part.clone() });
        let piece = |name: &str| Some(text(name)).filter(|text| !text.is_empty());
        match &part {
            Part::Text => out.extend(piece("text").map(|text| Event::Text { index, text })),
            Part::Thinking => {
                out.extend(piece("thinking").map(|text| Event::Thinking { index, text }));
            }
            Part::Tool { .. } | Part::Other(_) => {}
        }
        self.blocks.push(Building {
            number,
            part,
            body: Growing::new(raw),
            input: String::new(),
            is_closed: false,
            is_broken: false,
        });
        Ok(())
    }

    fn delta(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) -> Result<(), Fault> {
        let found = self.find(frame.index);
        let Some((index, block)) = found else {
            return Err(invalid("the upstream continued a block that it had not begun", &[]));
        };
        let Some(delta) = frame.delta.and_then(Fields::read) else { return Ok(()) };
        let kind = delta.string("type").unwrap_or_default();
        match kind.as_ref() {
            "text_delta" => {
                let text = delta.string("text").unwrap_or_default().into_owned();
                block.body.append("text", &text);
                out.push(Event::Text { index, text });
            }
            "thinking_delta" => {
                let text = delta.string("thinking").unwrap_or_default().into_owned();
                block.body.append("thinking", &text);
                out.push(Event::Thinking { index, text });
            }
            "signature_delta" => {
                if let Some(signature) = delta.find("signature") {
                    block.body.set("signature", signature.to_owned());
                }
            }
            "input_json_delta" => {
                let json = delta.string("partial_json").unwrap_or_default().into_owned();
                block.input.push_str(&json);
                if matches!(block.part, Part::Tool { .. }) && !json.is_empty() {
                    out.push(Event::Input { index, json });
                }
            }
            "citations_delta" => {
                if let Some(citation) = delta.find("citation") {
                    block.body.push("citations", citation);
                }
            }
            // A kind of delta that came after us: its fields grow the block's.
            _ => {
                for (name, value) in delta.iter().filter(|(name, _)| *name != "type") {
                    block.body.grow(name, value);
                }
            }
        }
        Ok(())
    }

    fn close(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        if let Some((index, block)) = self.find(frame.index) {
            block.close(index, out);
        }
    }

    fn reply(&mut self, out: &mut Vec<Event>) -> Result<Reply, Fault> {
        for (index, block) in self.blocks.iter_mut().enumerate() {
            block.close(index, out);
        }
        let stop = read::stop(self.stop_reason.as_deref());
        // A reply cut by its limit may end within a call, and half a call is worth nothing; but a
        // call that the model wants made must be readable.
        if stop == Stop::ToolUse && self.blocks.iter().any(|block| block.is_broken) {
            let text = "the upstream asked for a tool with an input that is not JSON";
            return Err(Fault::new(Code::UpstreamInvalid, text));
        }
        let unreadable = |text: &str| invalid(text, &[]);
        let content = join(self.blocks.iter())
            .ok_or_else(|| unreadable("the upstream's blocks do not make a message"))?;
        Ok(Reply {
            id: self.id.clone(),
            model: self.model.clone(),
            message: content::answer(&content).map_err(|text| unreadable(&text))?,
            stop,
            usage: self.counts.usage(),
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

impl Building {
    fn close(&mut self, index: usize, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        let is_tool = matches!(self.part, Part::Tool { .. });
        if self.input.is_empty() {
            // An input that came whole, or not at all because it is empty: the pieces of a call
            // always join to JSON.
            if is_tool {
                let json = self.body.raw("input").map_or("{}", RawValue::get).to_owned();
                out.push(Event::Input { index, json });
            }
        } else {
            match fields::raw(std::mem::take(&mut self.input)) {
                Some(input) => self.body.set("input", input),
                None => self.is_broken = true,
            }
        }
        out.push(Event::Close { index });
    }

    fn is_thought(&self) -> bool {
        match &self.part {
            Part::Thinking => true,
            Part::Other(kind) => kind == "redacted_thinking",
            Part::Text | Part::Tool { .. } => false,
        }
    }

    fn is_blank(&self) -> bool {
        self.body.string("text").is_none_or(|text| text.is_empty())
    }
}

/// Writes the blocks as the content array they would have been in a whole reply.
fn join<'a>(blocks: impl Iterator<Item = &'a Building>) -> Option<Box<RawValue>> {
    let mut out = String::new();
    let mut array = Array::begin(&mut out);
    for block in blocks.filter(|block| !block.is_broken) {
        block.body.write(array.item());
    }
    array.end();
    fields::raw(out)
}

fn error(data: &str) -> Fault {
    let raw: Option<&RawValue> = serde_json::from_str(data).ok();
    match raw.and_then(Report::read) {
        Some(report) => report.streamed(),
        None => invalid("the upstream reported an error that cannot be read", data.as_bytes()),
    }
}
