//! Reads streamed replies and puts their items together again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{content, read};
use crate::dialect::fields::{self, Fields};
use crate::dialect::intake::{self, invalid};
use crate::dialect::show;
use crate::dialect::text::Array;
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse::SseEvent;
use crate::prompt::Message;
use crate::reply::{Reply, Usage};

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    output_index: Option<u64>,
    /// The part of a message's content or of a summary.
    content_index: Option<u64>,
    summary_index: Option<u64>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

/// Puts a reply together. The last event repeats it whole; what came before is for servers that
/// leave it out there.
#[derive(Debug, Default)]
pub(super) struct Machine {
    is_started: bool,
    /// The items that are complete, by the upstream's index.
    items: BTreeMap<u64, Box<RawValue>>,
    open: Vec<Open>,
    count: usize,
}

/// A block that is open.
#[derive(Debug)]
struct Open {
    /// Its item's index.
    item: u64,
    /// The part in its item, for texts.
    part: u64,
    index: usize,
    kind: Part,
    text: String,
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        if matches!(event.data.trim(), "" | "[DONE]") {
            return Ok(None);
        }
        let data = event.data.as_bytes();
        let Ok(frame) = serde_json::from_str::<Frame<'_>>(&event.data) else {
            return Err(invalid("the upstream sent an event that cannot be read", data));
        };
        let kind = frame.kind.as_deref().or(event.event.as_deref()).unwrap_or_default();
        match kind {
            "response.created" | "response.queued" | "response.in_progress" => {
                self.begin(frame.response, out);
            }
            "response.output_item.added" => self.added(&frame, out),
            "response.output_item.done" => self.done(&frame, out),
            "response.output_text.delta" | "response.refusal.delta" => {
                self.text(&frame, out);
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.thought(&frame, out);
            }
            "response.function_call_arguments.delta" => self.input(&frame, out),
            "response.completed" | "response.incomplete" => {
                return self.reply(frame.response, data, out).map(Some);
            }
            "response.failed" => return Err(read::failed(frame.response, data)),
            "error" => {
                let raw: Option<&RawValue> = serde_json::from_str(&event.data).ok();
                return Err(read::failed(raw, data));
            }
            // Parts that begin and end, and kinds that came after us.
            _ => {}
        }
        Ok(None)
    }

    fn end(&mut self, _out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        Ok(None)
    }

    fn partial(&self) -> Option<Message> {
        let mut whole: Vec<&RawValue> = self.items.values().map(|item| &**item).collect();
        let texts = self.open.iter().filter(|open| open.kind == Part::Text);
        let texts: Vec<&Open> = texts.filter(|open| !open.text.is_empty()).collect();
        // A thought without what follows it is refused when it is sent back.
        while texts.is_empty() && whole.last().is_some_and(|item| is_thought(item)) {
            whole.pop();
        }
        let mut kept: Vec<String> = whole.iter().map(|item| item.get().to_owned()).collect();
        for open in texts {
            let part = show::object(|part| {
                part.string("type", "output_text");
                part.string("text", &open.text);
            });
            kept.push(format!(r#"{{"type":"message","role":"assistant","content":[{part}]}}"#));
        }
        if kept.is_empty() {
            return None;
        }
        let items = fields::raw(format!("[{}]", kept.join(",")))?;
        content::answer(items, true).ok().filter(|message| !message.blocks.is_empty())
    }
}

impl Frame<'_> {
    fn item_index(&self) -> u64 {
        self.output_index.unwrap_or_default()
    }

    fn delta(&self) -> String {
        self.delta.and_then(fields::string).unwrap_or_default().into_owned()
    }
}

fn is_thought(item: &RawValue) -> bool {
    Fields::read(item).is_some_and(|item| content::kind(&item) == "reasoning")
}

impl Machine {
    fn begin(&mut self, response: Option<&RawValue>, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.is_started, true) {
            return;
        }
        let response = response.and_then(Fields::read).unwrap_or_default();
        let text = |name: &str| response.string(name).unwrap_or_default().into_owned();
        out.push(Event::Start { id: text("id"), model: text("model"), usage: Usage::default() });
    }

    fn added(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        self.begin(None, out);
        let Some(item) = frame.item.and_then(Fields::read) else { return };
        let text = |name: &str| item.string(name).map(Cow::into_owned);
        let part = match content::kind(&item).as_ref() {
            // Its parts open as their text comes.
            "message" => return,
            "reasoning" => Part::Thinking,
            "function_call" => Part::Tool {
                id: text("call_id").or_else(|| text("id")).unwrap_or_default(),
                name: text("name").unwrap_or_default(),
            },
            other => Part::Other(other.to_owned()),
        };
        self.open(frame.item_index(), 0, part, out);
    }

    fn open(&mut self, item: u64, part: u64, kind: Part, out: &mut Vec<Event>) -> usize {
        let index = self.count;
        self.count = index.saturating_add(1);
        out.push(Event::Open { index, part: kind.clone() });
        self.open.push(Open { item, part, index, kind, text: String::new() });
        index
    }

    fn find(&mut self, item: u64, fits: impl Fn(&Open) -> bool) -> Option<&mut Open> {
        self.open.iter_mut().rev().find(|open| open.item == item && fits(open))
    }

    fn text(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        self.begin(None, out);
        let (item, part) = (frame.item_index(), frame.content_index.unwrap_or_default());
        let fits = |open: &Open| open.kind == Part::Text && open.part == part;
        let text = frame.delta();
        if self.find(item, fits).is_none() {
            self.open(item, part, Part::Text, out);
        }
        if let Some(open) = self.find(item, fits) {
            open.text.push_str(&text);
            out.push(Event::Text { index: open.index, text });
        }
    }

    fn thought(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        self.begin(None, out);
        let item = frame.item_index();
        let fits = |open: &Open| open.kind == Part::Thinking;
        if self.find(item, fits).is_none() {
            self.open(item, 0, Part::Thinking, out);
        }
        let part = frame.summary_index.or(frame.content_index).unwrap_or_default();
        let text = frame.delta();
        if let Some(open) = self.find(item, fits) {
            // Summaries have parts, between which a blank line stands.
            let gap = if part > open.part && !open.text.is_empty() { "\n\n" } else { "" };
            open.part = part;
            let text = format!("{gap}{text}");
            open.text.push_str(&text);
            out.push(Event::Thinking { index: open.index, text });
        }
    }

    fn input(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let fits = |open: &Open| matches!(open.kind, Part::Tool { .. });
        let json = frame.delta();
        if let Some(open) = self.find(frame.item_index(), fits).filter(|_| !json.is_empty()) {
            open.text.push_str(&json);
            out.push(Event::Input { index: open.index, json });
        }
    }

    /// An item is complete: what did not come in pieces comes now.
    fn done(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let Some(raw) = frame.item else { return };
        let Some(item) = Fields::read(raw) else { return };
        let mut blocks = Vec::new();
        let is_readable = content::item(&item, &mut blocks).is_ok();
        let is_new = !self.items.contains_key(&frame.item_index());
        if is_readable && is_new && !self.open.iter().any(|open| open.item == frame.item_index()) {
            self.added(frame, out);
            for (part, block) in blocks.into_iter().enumerate() {
                if let crate::prompt::Block::Text(text) = block {
                    let index = self.open(frame.item_index(), part as u64, Part::Text, out);
                    out.push(Event::Text { index, text: text.into() });
                }
            }
        }
        self.close(frame.item_index(), item.string("arguments").as_deref(), out);
        self.items.insert(frame.item_index(), raw.to_owned());
    }

    fn close(&mut self, item: u64, arguments: Option<&str>, out: &mut Vec<Event>) {
        for open in self.open.iter().filter(|open| open.item == item) {
            let is_call = matches!(open.kind, Part::Tool { .. });
            if is_call && open.text.trim().is_empty() {
                // The pieces of a call always join to JSON.
                let json = arguments.filter(|json| !json.trim().is_empty()).unwrap_or("{}");
                out.push(Event::Input { index: open.index, json: json.to_owned() });
            }
            out.push(Event::Close { index: open.index });
        }
        self.open.retain(|open| open.item != item);
    }

    fn reply(
        &mut self,
        response: Option<&RawValue>,
        data: &[u8],
        out: &mut Vec<Event>,
    ) -> Result<Reply, Fault> {
        self.begin(response, out);
        while let Some(item) = self.open.first().map(|open| open.item) {
            self.close(item, None, out);
        }
        let whole = response.and_then(|raw| serde_json::from_str::<read::Whole>(raw.get()).ok());
        let unreadable = || invalid("the upstream's last event holds no response", data);
        let mut whole = whole.ok_or_else(unreadable)?;
        let is_empty = fields::items(&whole.output).is_none_or(|items| items.is_empty());
        if is_empty && !self.items.is_empty() {
            let mut joined = String::new();
            let mut array = Array::begin(&mut joined);
            for item in self.items.values() {
                array.item().push_str(item.get());
            }
            array.end();
            whole.output = fields::raw(joined).ok_or_else(unreadable)?;
        }
        whole.reply(data)
    }
}
