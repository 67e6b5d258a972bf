//! Writes streams for a caller: one item for each block.

use super::show::{self, State};
use crate::dialect::body::quoted;
use crate::dialect::show::{Shown, StreamWriter, message, object, send};
use crate::dialect::text::Object;
use crate::event::{Event, Part};
use crate::fault::{Code, Fault};
use crate::frame::sse;
use crate::reply::Reply;

/// Writes a stream.
#[derive(Debug)]
pub(super) struct Writer {
    shown: Shown,
    id: String,
    model: String,
    is_begun: bool,
    number: u64,
    open: Vec<Item>,
    /// The items that are complete, by their place; an empty text while they are not.
    done: Vec<String>,
}

/// An item that is being written.
#[derive(Debug)]
struct Item {
    /// The block's index.
    index: usize,
    /// The item's place in the output.
    place: usize,
    id: String,
    kind: Kind,
    text: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Text,
    Thinking,
    Tool { id: String, name: String },
}

impl Writer {
    pub(super) fn new(shown: &Shown) -> Self {
        Self {
            shown: shown.clone(),
            id: shown.id.clone(),
            model: shown.model.clone(),
            is_begun: false,
            number: 0,
            open: Vec::new(),
            done: Vec::new(),
        }
    }

    fn send(&mut self, kind: &str, fields: impl FnOnce(&mut Object<'_>), out: &mut Vec<u8>) {
        let number = self.number;
        self.number = number.saturating_add(1);
        let data = object(|event| {
            event.string("type", kind);
            event.raw("sequence_number", &number.to_string());
            fields(event);
        });
        send(out, Some(kind), &data);
    }

    fn begin(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        self.id = self.shown.id(id).to_owned();
        self.model = self.shown.model(model).to_owned();
        let response = self.response(&State::Begun);
        for kind in ["response.created", "response.in_progress"] {
            self.send(kind, |event| event.raw("response", &response), out);
        }
    }

    fn response(&self, state: &State<'_>) -> String {
        let items = self.done.iter().filter(|item| !item.is_empty()).map(String::as_str);
        let output = format!("[{}]", items.collect::<Vec<_>>().join(","));
        show::response((&self.id, &self.model), &self.shown, &output, state)
    }

    fn open(&mut self, index: usize, part: &Part, out: &mut Vec<u8>) {
        self.begin("", "", out);
        let place = self.done.len();
        let (prefix, kind) = match part {
            Part::Text => ("msg", Kind::Text),
            Part::Thinking => ("rs", Kind::Thinking),
            Part::Tool { id, name } => ("fc", Kind::Tool { id: id.clone(), name: name.clone() }),
            // What we do not know cannot be put into another's words.
            Part::Other(_) => return,
        };
        self.done.push(String::new());
        let id = show::item_id(prefix, &self.id, place);
        let item = match &kind {
            Kind::Text => show::said(&id, "in_progress", None),
            Kind::Thinking => show::thought(&id, None),
            Kind::Tool { id: call, name } => show::called(&id, "in_progress", (call, name), ""),
        };
        let added = |event: &mut Object<'_>| {
            event.raw("output_index", &place.to_string());
            event.raw("item", &item);
        };
        self.send("response.output_item.added", added, out);
        let (event, field, part) = match &kind {
            Kind::Text => ("response.content_part.added", "content_index", show::text_part("")),
            Kind::Thinking => {
                ("response.reasoning_summary_part.added", "summary_index", show::summary_part(""))
            }
            Kind::Tool { .. } => ("", "", String::new()),
        };
        let item = Item { index, place, id, kind, text: String::new() };
        if !event.is_empty() {
            self.send(
                event,
                |event| {
                    item.fields(event);
                    event.raw(field, "0");
                    event.raw("part", &part);
                },
                out,
            );
        }
        self.open.push(item);
    }

    fn piece(&mut self, index: usize, text: &str, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|item| item.index == index) else { return };
        let mut item = self.open.swap_remove(at);
        item.text.push_str(text);
        let (kind, place) = match &item.kind {
            Kind::Text => ("response.output_text.delta", Some("content_index")),
            Kind::Thinking => ("response.reasoning_summary_text.delta", Some("summary_index")),
            Kind::Tool { .. } => ("response.function_call_arguments.delta", None),
        };
        self.send(
            kind,
            |event| {
                item.fields(event);
                if let Some(place) = place {
                    event.raw(place, "0");
                }
                event.string("delta", text);
                if matches!(item.kind, Kind::Text) {
                    event.raw("logprobs", "[]");
                }
            },
            out,
        );
        self.open.push(item);
    }

    fn close(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|item| item.index == index) else { return };
        let item = self.open.swap_remove(at);
        match &item.kind {
            Kind::Text => {
                let part = show::text_part(&item.text);
                self.part_done("response.output_text.done", "content_index", &item, out);
                self.send(
                    "response.content_part.done",
                    |event| {
                        item.fields(event);
                        event.raw("content_index", "0");
                        event.raw("part", &part);
                    },
                    out,
                );
            }
            Kind::Thinking => {
                let part = show::summary_part(&item.text);
                let kind = "response.reasoning_summary_text.done";
                self.part_done(kind, "summary_index", &item, out);
                self.send(
                    "response.reasoning_summary_part.done",
                    |event| {
                        item.fields(event);
                        event.raw("summary_index", "0");
                        event.raw("part", &part);
                    },
                    out,
                );
            }
            Kind::Tool { name, .. } => {
                self.send(
                    "response.function_call_arguments.done",
                    |event| {
                        item.fields(event);
                        event.string("name", name);
                        event.string("arguments", &item.text);
                    },
                    out,
                );
            }
        }
        let whole = item.whole();
        self.send(
            "response.output_item.done",
            |event| {
                event.raw("output_index", &item.place.to_string());
                event.raw("item", &whole);
            },
            out,
        );
        if let Some(done) = self.done.get_mut(item.place) {
            *done = whole;
        }
    }

    fn part_done(&mut self, kind: &str, place: &str, item: &Item, out: &mut Vec<u8>) {
        self.send(
            kind,
            |event| {
                item.fields(event);
                event.raw(place, "0");
                event.string("text", &item.text);
                if matches!(item.kind, Kind::Text) {
                    event.raw("logprobs", "[]");
                }
            },
            out,
        );
    }

    fn end(&mut self, reply: &Reply, out: &mut Vec<u8>) {
        self.begin(&reply.id, &reply.model, out);
        while let Some(index) = self.open.first().map(|item| item.index) {
            self.close(index, out);
        }
        let response = self.response(&State::Ended(&reply.stop, &reply.usage));
        let kind = match show::incomplete(&reply.stop) {
            Some(_) => "response.incomplete",
            None => "response.completed",
        };
        self.send(kind, |event| event.raw("response", &response), out);
    }

    fn fail(&mut self, fault: &Fault, out: &mut Vec<u8>) {
        self.begin("", "", out);
        let code = match fault.code() {
            Code::RateLimited | Code::QuotaExceeded | Code::Overloaded => "rate_limit_exceeded",
            _ => "server_error",
        };
        let text = quoted(&message(fault));
        let error = format!(r#"{{"code":"{code}","message":{text}}}"#);
        let response = self.response(&State::Failed(&error));
        self.send("response.failed", |event| event.raw("response", &response), out);
    }
}

impl Item {
    fn fields(&self, event: &mut Object<'_>) {
        event.string("item_id", &self.id);
        event.raw("output_index", &self.place.to_string());
    }

    fn whole(&self) -> String {
        match &self.kind {
            Kind::Text => show::said(&self.id, "completed", Some(&self.text)),
            Kind::Thinking => show::thought(&self.id, Some(&self.text)),
            Kind::Tool { id, name } => {
                let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&self.text).is_ok();
                let status = if is_json { "completed" } else { "incomplete" };
                show::called(&self.id, status, (id, name), &self.text)
            }
        }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, .. } => self.begin(id, model, out),
            Event::Open { index, part } => self.open(*index, part, out),
            Event::Text { index, text } | Event::Thinking { index, text } => {
                self.piece(*index, text, out);
            }
            Event::Input { index, json } => self.piece(*index, json, out),
            Event::Close { index } => self.close(*index, out),
            Event::Ping => out.extend_from_slice(&sse::comment("ping")),
            Event::Done(reply) => self.end(reply, out),
            Event::Fault(fault) => self.fail(fault, out),
        }
    }
}
