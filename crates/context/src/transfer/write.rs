//! Writing documents: our own formats, and requests to the models of others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::dialect::named;
use wire::prompt::{Prompt, Role};
use wire::{Code, Fault};

use super::Format;
use super::read::FORMAT;
use crate::{Content, Context, Entry, Note};

/// A document with its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonDocument {
    /// The document, UTF-8.
    pub text: String,
    /// `application/json`, or `application/x-ndjson` for lines.
    pub media_type: &'static str,
    /// What the format could not say of the messages, such as `thinking`.
    pub dropped: Vec<String>,
    /// How much of the context is not in the document, by name.
    pub left_out: BTreeMap<&'static str, u64>,
}

/// Writes a context part by part. Our own formats keep every byte of every message; the others
/// keep what their API knows, and the bytes of messages that came from it.
#[derive(Debug)]
pub(crate) struct Writer {
    context: Context,
    notes: Vec<Note>,
    pins: Vec<u32>,
    format: Format,
    dropped: BTreeSet<String>,
    /// What follows the messages of a request; absent before the first part.
    tail: Option<String>,
    /// A message was written.
    any: bool,
}

impl Writer {
    /// # Errors
    /// `invalid_input` for a format that can only be read.
    pub(crate) fn new(
        context: Context,
        (notes, pins): (Vec<Note>, Vec<u32>),
        format: Format,
    ) -> Result<Self, Fault> {
        if matches!(format, Format::ChatGpt | Format::Claude) {
            let text = format!("the format `{}` can only be imported", format.as_str());
            return Err(Fault::new(Code::InvalidInput, text).hint(
                "export `rapport`, `jsonl`, `anthropic`, `openai_chat`, `openai_responses`",
            ));
        }
        let dropped = BTreeSet::new();
        Ok(Self { context, notes, pins, format, dropped, tail: None, any: false })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// What the format could not say of the messages so far.
    pub(crate) fn dropped(&self) -> Vec<String> {
        self.dropped.iter().cloned().collect()
    }

    /// Begins again.
    pub(crate) fn rewind(&mut self) {
        (self.tail, self.any) = (None, false);
    }

    /// From where on these messages belong to what follows them; `None` when all can be written.
    pub(crate) fn open_from(&self, entries: &[Entry]) -> Option<usize> {
        if self.format.is_ours() {
            return None;
        }
        // A question begins something new, unless calls of tools wait for their results.
        let begins = |at: &usize| {
            let before = at.checked_sub(1).and_then(|before| entries.get(before));
            let is_answered = before.is_none_or(|before| !before.content.tools().asks);
            let asks = entries
                .get(*at)
                .is_some_and(|entry| entry.role == Role::User && !entry.content.tools().answers);
            asks && is_answered
        };
        Some((0..entries.len()).rev().find(begins).unwrap_or(0))
    }

    /// Writes messages, with the beginning of the document before the first of them.
    pub(crate) fn messages(&mut self, entries: &[Entry]) -> Result<String, Fault> {
        if !self.format.is_ours() {
            return self.request(entries);
        }
        let mut text = String::new();
        if self.tail.is_none() {
            let head = head(&self.context, &self.notes, &self.pins);
            text = format!("{{\"format\":\"{FORMAT}\",\"context\":{head}");
            let lines = self.format == Format::JsonLines;
            text.push_str(if lines { "}\n" } else { ",\"messages\":[" });
            self.tail = Some((if lines { "" } else { "\n]}" }).to_owned());
        }
        for entry in entries {
            if self.format == Format::JsonLines {
                let _written = writeln!(text, "{}", one_line(&message(entry)));
            } else {
                text.push_str(if self.any { ",\n" } else { "\n" });
                text.push_str(&message(entry));
            }
            self.any = true;
        }
        Ok(text)
    }

    /// Writes the end of the document.
    pub(crate) fn end(&mut self) -> Result<String, Fault> {
        let mut text = if self.tail.is_none() { self.messages(&[])? } else { String::new() };
        text.push_str(self.tail.as_deref().unwrap_or_default());
        Ok(text)
    }

    /// Writes messages as a request to a model holds them.
    fn request(&mut self, entries: &[Entry]) -> Result<String, Fault> {
        let name = self.format.dialect().unwrap_or_default();
        let dialect = named(name)
            .ok_or_else(|| Fault::internal(format!("the dialect `{name}` is not there")))?;
        let shown = entries.iter().filter(|entry| entry.status.is_shown());
        let prompt = Prompt {
            model: self.context.settings.model.clone().unwrap_or_default(),
            // Some APIs carry the instructions as the first message.
            system: self.context.system.clone().filter(|_| self.tail.is_none()),
            messages: shown.map(Entry::to_message).collect(),
            ..Prompt::default()
        };
        let written = dialect.render(&prompt, false);
        self.dropped.extend(written.dropped);
        let body = String::from_utf8(written.body)
            .map_err(|error| Fault::internal("a request is not UTF-8").because(error))?;
        let list = if self.format == Format::OpenAiResponses { "input" } else { "messages" };
        let fields: Fields<'_> = serde_json::from_str(&body)
            .map_err(|error| Fault::internal("a request is not an object").because(error))?;
        let inner = fields.0.iter().find(|(name, _)| name == list).map(|(_, raw)| raw.get());
        let inner = inner.and_then(|list| list.strip_prefix('[')?.strip_suffix(']'));
        let inner = inner.unwrap_or_default();
        let mut text = String::new();
        if self.tail.is_none() {
            text.push('{');
            let mut tail = String::new();
            let mut behind = false;
            for (name, raw) in &fields.0 {
                // A model that nobody chose has no name.
                if name == "model" && raw.get() == "\"\"" {
                    continue;
                }
                if name == list {
                    behind = true;
                    continue;
                }
                let field = format!("{}:{}", Value::from(name.as_str()), raw.get());
                if behind {
                    let _written = write!(tail, ",{field}");
                } else {
                    let _written = write!(text, "{field},");
                }
            }
            let _written = write!(text, "{}:[", Value::from(list));
            self.tail = Some(format!("]{tail}}}"));
        }
        if !inner.trim().is_empty() {
            if self.any {
                text.push(',');
            }
            self.any = true;
            text.push_str(inner);
        }
        Ok(text)
    }
}

/// Line ends stand between the parts of a JSON text, never inside its strings.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn head(context: &Context, notes: &[Note], pins: &[u32]) -> Value {
    let mut head = json!({
        "id": &*context.id, "title": context.title, "user": context.user,
        "status": context.status.as_str(), "system": context.system,
        "settings": context.settings, "state": context.state, "metadata": context.metadata,
        "created_at": context.created_at.to_string(), "parent": context.parent.as_deref(),
        "fork_seq": context.fork_seq,
    });
    let notes: Vec<Value> = notes.iter().map(note).collect();
    if let Some(object) = head.as_object_mut() {
        if !notes.is_empty() {
            object.insert("notes".to_owned(), notes.into());
        }
        if !pins.is_empty() {
            object.insert("pins".to_owned(), json!(pins));
        }
    }
    head
}

fn note(note: &Note) -> Value {
    json!({
        "kind": note.kind.as_str(), "name": note.name, "value": note.value,
        "at": note.at.to_string(), "expires_at": note.expires_at.map(|end| end.to_string()),
    })
}

/// A message with the exact bytes of its content.
fn message(entry: &Entry) -> String {
    let (content, dialect) = match &entry.content {
        Content::Text(text) => (Value::from(text.as_str()).to_string(), None),
        Content::Raw(raw) => (raw.json.get().to_owned(), Some(&*raw.dialect)),
    };
    let about = json!({
        "seq": entry.seq, "role": entry.role.as_str(), "timestamp": entry.at.to_string(),
        "status": entry.status.as_str(), "model": entry.model, "dialect": dialect,
        "meta": entry.meta,
    });
    let about = about.to_string();
    format!("{},\"content\":{content}}}", about.strip_suffix('}').unwrap_or(&about))
}

/// The fields of an object in their order, as they stand there.
struct Fields<'b>(Vec<(String, &'b RawValue)>);

impl<'de: 'b, 'b> Deserialize<'de> for Fields<'b> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }

        from.deserialize_map(Read).map(Fields)
    }
}
