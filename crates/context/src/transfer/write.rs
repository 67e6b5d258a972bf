//! Writing documents: our own formats, and requests to the models of others.

use std::fmt::Write as _;

use serde_json::{Value, json};
use wire::dialect::named;
use wire::prompt::Prompt;
use wire::{Code, Fault};

use super::Format;
use super::read::FORMAT;
use crate::{Content, Context, Entry};

/// A document with its media type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonDocument {
    /// The document, UTF-8.
    pub text: String,
    /// `application/json`, or `application/x-ndjson` for lines.
    pub media_type: &'static str,
    /// What the format could not say, such as `thinking`.
    pub dropped: Vec<String>,
}

/// Writes a context with its messages. Our own formats keep every byte of every message; the
/// others keep what their API knows, and the bytes of messages that came from it.
///
/// # Errors
/// `invalid_input` for a format that can only be read.
pub(crate) fn write(
    context: &Context,
    entries: &[Entry],
    format: Format,
) -> Result<JsonDocument, Fault> {
    match format {
        Format::Rapport => Ok(document(context, entries)),
        Format::JsonLines => Ok(lines(context, entries)),
        Format::Anthropic | Format::OpenAiChat | Format::OpenAiResponses => {
            request(context, entries, format)
        }
        Format::ChatGpt | Format::Claude => {
            let text = format!("the format `{}` can only be imported", format.as_str());
            Err(Fault::new(Code::InvalidInput, text)
                .hint("export `rapport`, `jsonl`, `anthropic`, `openai_chat`, `openai_responses`"))
        }
    }
}

fn document(context: &Context, entries: &[Entry]) -> JsonDocument {
    let mut text =
        format!("{{\"format\":\"{FORMAT}\",\"context\":{},\"messages\":[", head(context));
    for (at, entry) in entries.iter().enumerate() {
        text.push_str(if at == 0 { "\n" } else { ",\n" });
        text.push_str(&message(entry));
    }
    text.push_str("\n]}");
    JsonDocument { text, media_type: "application/json", dropped: Vec::new() }
}

fn lines(context: &Context, entries: &[Entry]) -> JsonDocument {
    let mut text = format!("{{\"format\":\"{FORMAT}\",\"context\":{}}}\n", head(context));
    for entry in entries {
        let _written = writeln!(text, "{}", one_line(&message(entry)));
    }
    JsonDocument { text, media_type: "application/x-ndjson", dropped: Vec::new() }
}

/// Line ends stand between the parts of a JSON text, never inside its strings.
fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

fn head(context: &Context) -> Value {
    json!({
        "id": &*context.id, "title": context.title, "user": context.user,
        "status": context.status.as_str(), "system": context.system,
        "settings": context.settings, "state": context.state, "metadata": context.metadata,
        "created_at": context.created_at.to_string(), "parent": context.parent.as_deref(),
        "fork_seq": context.fork_seq,
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

fn request(context: &Context, entries: &[Entry], format: Format) -> Result<JsonDocument, Fault> {
    let name = format.dialect().unwrap_or_default();
    let dialect =
        named(name).ok_or_else(|| Fault::internal(format!("the dialect `{name}` is not there")))?;
    let shown = entries.iter().filter(|entry| entry.status.is_shown());
    let prompt = Prompt {
        model: context.settings.model.clone().unwrap_or_default(),
        system: context.system.clone(),
        messages: shown.map(Entry::to_message).collect(),
        ..Prompt::default()
    };
    let written = dialect.render(&prompt, false);
    let text = String::from_utf8(written.body)
        .map_err(|error| Fault::internal("a request is not UTF-8").because(error))?;
    Ok(JsonDocument { text, media_type: "application/json", dropped: written.dropped })
}
