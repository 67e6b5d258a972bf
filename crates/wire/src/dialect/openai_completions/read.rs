//! Reads replies, whole and streamed.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dialect::counts::{self, Place};
use crate::dialect::intake::{self, invalid};
use crate::dialect::likely::Likely;
use crate::dialect::openai_chat::read::{stop, usage};
use crate::dialect::report::Report;
use crate::event::{Event, Part};
use crate::fault::Fault;
use crate::frame::sse::SseEvent;
use crate::prompt::{Message, Role};
use crate::reply::{Reply, Usage};

/// A reply, or a piece of one: they have the same form.
#[derive(Deserialize)]
struct Chunk {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<Choice>,
    usage: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Choice {
    text: Option<String>,
    index: Option<u64>,
    finish_reason: Option<String>,
    logprobs: Option<Box<RawValue>>,
}

impl Chunk {
    fn read(body: &[u8]) -> Result<Self, Fault> {
        if let Ok(chunk) = serde_json::from_slice(body) {
            return Ok(chunk);
        }
        let json: Option<&RawValue> = serde_json::from_slice(body).ok();
        Err(match json.and_then(Report::read) {
            Some(report) => report.streamed(),
            None => invalid("the upstream's answer is not a completion", body),
        })
    }
}

/// Where the counts of a reply are.
const COUNTS: Place = Place { counts: "usage", answer: "choices", end: None };

/// The token counts of a whole reply; nothing where it has to be read.
pub(super) fn spent(body: &[u8]) -> Option<Usage> {
    Some(usage(Some(counts::find(body, COUNTS)?)))
}

/// Reads a whole reply; of several choices the first.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Fault> {
    let chunk = Chunk::read(body)?;
    let first = chunk.choices.into_iter().next();
    let choice = first.ok_or_else(|| invalid("the upstream's answer has no choice", body))?;
    let message = Message::text(Role::Assistant, choice.text.unwrap_or_default());
    Ok(Reply {
        id: chunk.id.unwrap_or_default(),
        model: chunk.model.unwrap_or_default(),
        stop: stop(choice.finish_reason.as_deref(), false, &message),
        message,
        usage: usage(chunk.usage.as_deref()),
        confidence: Likely::of(choice.logprobs.as_deref()).confidence(),
    })
}

/// Puts a reply together.
#[derive(Debug, Default)]
pub(super) struct Machine {
    id: String,
    model: String,
    usage: Usage,
    is_started: bool,
    is_open: bool,
    text: String,
    reason: Option<String>,
    likely: Likely,
}

impl intake::Machine for Machine {
    fn event(&mut self, event: &SseEvent, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        match event.data.trim() {
            "" => return Ok(None),
            "[DONE]" if self.is_started => return Ok(Some(self.reply(out))),
            "[DONE]" => return Err(invalid("the upstream ended its stream without a reply", &[])),
            _ => {}
        }
        let chunk = Chunk::read(event.data.as_bytes())?;
        if chunk.usage.is_some() {
            self.usage = usage(chunk.usage.as_deref());
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.id = chunk.id.unwrap_or_default();
            self.model = chunk.model.unwrap_or_default();
            let (id, model) = (self.id.clone(), self.model.clone());
            out.push(Event::Start { id, model, usage: self.usage });
        }
        for choice in chunk.choices.into_iter().filter(|c| c.index.unwrap_or(0) == 0) {
            if let Some(text) = choice.text.filter(|text| !text.is_empty()) {
                if !std::mem::replace(&mut self.is_open, true) {
                    out.push(Event::Open { index: 0, part: Part::Text });
                }
                self.text.push_str(&text);
                out.push(Event::Text { index: 0, text });
            }
            self.likely.take(choice.logprobs.as_deref());
            self.reason = choice.finish_reason.or(self.reason.take());
        }
        Ok(None)
    }

    fn end(&mut self, out: &mut Vec<Event>) -> Result<Option<Reply>, Fault> {
        Ok(self.reason.is_some().then(|| self.reply(out)))
    }

    fn partial(&self) -> Option<Message> {
        let text = Some(self.text.as_str()).filter(|text| !text.is_empty());
        text.map(|text| Message::text(Role::Assistant, text))
    }
}

impl Machine {
    fn reply(&mut self, out: &mut Vec<Event>) -> Reply {
        if std::mem::take(&mut self.is_open) {
            out.push(Event::Close { index: 0 });
        }
        let message = Message::text(Role::Assistant, self.text.as_str());
        Reply {
            id: self.id.clone(),
            model: self.model.clone(),
            stop: stop(self.reason.as_deref(), false, &message),
            message,
            usage: self.usage,
            confidence: self.likely.confidence(),
        }
    }
}
