//! Writes replies, whole and streamed, for a caller.

use crate::dialect::body::quoted;
use crate::dialect::openai_chat::show::reason as chat_reason;
use crate::dialect::show::{
    self, CHAT_COUNTS, Shown, StreamWriter, openai_error, openai_usage, send,
};
use crate::event::Event;
use crate::frame::sse;
use crate::reply::{Reply, Stop};

/// Writes a whole reply.
pub(super) fn reply(reply: &Reply, shown: &Shown) -> String {
    let choice = choice(&reply.message.plain(), Some(&reply.stop));
    let usage = openai_usage(&reply.usage, &CHAT_COUNTS);
    let names = (shown.id(&reply.id), shown.model(&reply.model));
    object(names, shown, &choice, Some(&usage))
}

fn choice(text: &str, stop: Option<&Stop>) -> String {
    let reason = stop.map_or_else(|| "null".to_owned(), |stop| quoted(reason(stop)));
    let text = quoted(text);
    format!(r#"[{{"text":{text},"index":0,"logprobs":null,"finish_reason":{reason}}}]"#)
}

fn reason(stop: &Stop) -> &str {
    // There are no tools to ask for.
    if *stop == Stop::ToolUse { "stop" } else { chat_reason(stop) }
}

fn object(names: (&str, &str), shown: &Shown, choices: &str, usage: Option<&str>) -> String {
    show::object(|object| {
        object.string("id", names.0);
        object.string("object", "text_completion");
        object.raw("created", &shown.created.to_string());
        object.string("model", names.1);
        object.raw("choices", choices);
        if let Some(usage) = usage {
            object.raw("usage", usage);
        }
    })
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    id: String,
    model: String,
}

impl Writer {
    pub(super) fn new(shown: &Shown) -> Self {
        Self { shown: shown.clone(), id: shown.id.clone(), model: shown.model.clone() }
    }

    fn chunk(&self, choices: &str, usage: Option<&str>, out: &mut Vec<u8>) {
        let usage = self.shown.wants_usage.then(|| usage.unwrap_or("null"));
        send(out, None, &object((&self.id, &self.model), &self.shown, choices, usage));
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => {
                self.shown.id(id).clone_into(&mut self.id);
                self.shown.model(model).clone_into(&mut self.model);
            }
            Event::Text { text, .. } => self.chunk(&choice(text, None), None, out),
            Event::Open { .. }
            | Event::Thinking { .. }
            | Event::Input { .. }
            | Event::Close { .. } => {}
            Event::Ping => out.extend_from_slice(&sse::comment("ping")),
            Event::Done(reply) => {
                self.shown.id(&reply.id).clone_into(&mut self.id);
                self.shown.model(&reply.model).clone_into(&mut self.model);
                self.chunk(&choice("", Some(&reply.stop)), None, out);
                if self.shown.wants_usage {
                    let usage = openai_usage(&reply.usage, &CHAT_COUNTS);
                    self.chunk("[]", Some(&usage), out);
                }
                send(out, None, "[DONE]");
            }
            Event::Fault(fault) => send(out, None, &openai_error(show::status(fault), fault)),
        }
    }
}
