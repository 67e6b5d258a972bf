//! Contexts out of a server and into one, as documents.

use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::super::given;
use super::super::reach::Client;
use super::document::{self, Document, FORMAT};
use super::{find, path};
use crate::remote::{Ask, Class, Failure};

/// Limit: bytes of messages in one request; one that is larger goes alone.
const PART_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Limit: messages in one request.
const PART_MESSAGES_MAX: usize = 500;

/// Flags of `context export`.
#[derive(Clone, Debug, Args)]
pub(super) struct Export {
    /// The context; `-` or nothing is the current one
    id: Option<String>,
    /// Write into this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<String>,
}

/// Writes the document.
pub(super) async fn export(client: &mut Client<'_>, export: &Export) -> Result<(), Failure> {
    let id = find(client, export.id.as_deref()).await?;
    let text = document::export(client, &id).await?;
    match export.output.as_deref().filter(|file| *file != "-") {
        Some(file) => write(file, &text),
        None => {
            client.printer.line(&text);
            Ok(())
        }
    }
}

/// Writes a document into a file that does not exist yet.
///
/// # Errors
/// [`Class::Unchecked`] when it exists or cannot be written.
pub(in crate::command) fn write(file: &str, text: &str) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| {
        Failure::new(Class::Unchecked, format!("cannot write `{file}`: {error}"))
    };
    let mut options = std::fs::OpenOptions::new();
    let mut opened = options.write(true).create_new(true).open(file).map_err(wrong)?;
    std::io::Write::write_all(&mut opened, text.as_bytes()).map_err(wrong)
}

/// Flags of `context import`.
#[derive(Clone, Debug, Args)]
pub(super) struct Import {
    /// The document; `-` reads it from standard input
    file: String,
    /// Give it this id instead of its own
    #[arg(long, conflicts_with = "new_id")]
    id: Option<String>,
    /// Give it a new id
    #[arg(long)]
    new_id: bool,
}

#[derive(Deserialize)]
struct Said<'d> {
    role: String,
    #[serde(borrow)]
    content: &'d RawValue,
    #[serde(default)]
    status: String,
}

/// Makes a context from a document; a failure leaves none behind.
pub(super) async fn import(client: &mut Client<'_>, import: &Import) -> Result<(), Failure> {
    let text = given::file(&import.file)?;
    let document = read(&text, &import.file)?;
    let parts = parts(&document, &import.file)?;
    let body = body(&document.context, import);
    let made = client.server.json(&Ask::post("/api/v1/contexts", &body).once()).await?;
    let id = made.text("id").to_owned();
    if let Err(failure) = fill(client, &id, parts.bodies, &document).await {
        if let Err(left) = client.server.json(&Ask::delete(path(&id))).await {
            client.printer.warn(&format!("the unfinished context `{id}` is left: {left}"));
        }
        return Err(failure);
    }
    client.remember(&id);
    if parts.unanswered > 0 {
        let text = format!("{} messages without an answer were left out", parts.unanswered);
        client.printer.warn(&text);
    }
    let reply = super::get(client, &id).await?;
    if client.is_json() {
        client.raw(&reply.raw);
    } else {
        client.printer.line(&id);
    }
    Ok(())
}

async fn fill(
    client: &Client<'_>,
    id: &str,
    bodies: Vec<String>,
    document: &Document,
) -> Result<(), Failure> {
    for body in bodies {
        let ask = Ask::bare_post(path(id).then("messages")).with(body).once();
        client.server.json(&ask).await?;
    }
    if document.context.get("status").and_then(Value::as_str) == Some("closed") {
        client.server.json(&Ask::bare_post(path(id).then("close"))).await?;
    }
    Ok(())
}

fn read(text: &str, file: &str) -> Result<Document, Failure> {
    let wrong = |why: String| {
        Failure::new(Class::Usage, format!("`{file}` is no exported context: {why}"))
            .hint("`rapport context export` writes such documents")
    };
    let document: Document =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    if document.format != FORMAT {
        return Err(wrong(format!("its format is `{}`, not `{FORMAT}`", document.format)));
    }
    Ok(document)
}

fn body(context: &Map<String, Value>, import: &Import) -> Value {
    let kept = ["id", "title", "user", "system", "settings", "state", "metadata"];
    let mut body = Map::new();
    for name in kept {
        if let Some(value) = context.get(name).filter(|value| !value.is_null()) {
            body.insert(name.to_owned(), value.clone());
        }
    }
    if import.new_id {
        body.shift_remove("id");
    }
    if let Some(id) = &import.id {
        body.insert("id".to_owned(), json!(id));
    }
    Value::Object(body)
}

#[derive(Debug, Default)]
struct Parts {
    /// Bodies for `POST …/messages`.
    bodies: Vec<String>,
    /// Questions whose turns failed or never ended.
    unanswered: usize,
}

/// The messages in bodies of a bearable size, each message byte for byte.
fn parts(document: &Document, file: &str) -> Result<Parts, Failure> {
    let mut parts = Parts::default();
    let mut open: Vec<String> = Vec::new();
    let mut bytes = 0;
    let close =
        |open: &mut Vec<String>| format!("{{\"messages\":[{}]}}", std::mem::take(open).join(","));
    for (at, raw) in document.messages.iter().enumerate() {
        let said: Said<'_> = serde_json::from_str(raw.get()).map_err(|error| {
            let text = format!("`{file}`: message {} cannot be read: {error}", at + 1);
            Failure::new(Class::Usage, text)
        })?;
        if matches!(said.status.as_str(), "failed" | "pending") {
            parts.unanswered += 1;
            continue;
        }
        let message =
            format!("{{\"role\":{},\"content\":{}}}", json!(said.role), said.content.get());
        let full = bytes + message.len() > PART_BYTES_MAX || open.len() >= PART_MESSAGES_MAX;
        if full && !open.is_empty() {
            parts.bodies.push(close(&mut open));
            bytes = 0;
        }
        bytes += message.len();
        open.push(message);
    }
    if !open.is_empty() {
        parts.bodies.push(close(&mut open));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(messages: &[Value]) -> Document {
        let text =
            json!({"format": FORMAT, "context": {"id": "a", "title": null}, "messages": messages});
        read(&text.to_string(), "f").unwrap()
    }

    #[test]
    fn messages_go_in_parts_and_questions_without_answer_stay_behind() {
        let mut messages = vec![json!({"role": "user", "content": "x"}); PART_MESSAGES_MAX + 1];
        messages.push(json!({"role": "user", "content": "lost", "status": "failed"}));
        let parts = parts(&document(&messages), "f").unwrap();
        assert_eq!(parts.bodies.len(), 2);
        assert_eq!(parts.bodies[1], "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}");
        assert_eq!(parts.unanswered, 1);
        let large = json!({"role": "user", "content": "y".repeat(PART_BYTES_MAX)});
        let parts = super::parts(&document(&[large.clone(), large]), "f").unwrap();
        assert_eq!(parts.bodies.len(), 2);
    }

    #[test]
    fn content_keeps_its_bytes() {
        let text = format!(
            "{{\"format\":\"{FORMAT}\",\"context\":{{}},\"messages\":[{{\"role\":\"user\",\
             \"content\":[{{\"type\":\"text\", \"text\":\"\\u00e4\",\"n\":1.50}}]}}]}}"
        );
        let document = read(&text, "f").unwrap();
        let body = parts(&document, "f").unwrap().bodies.remove(0);
        assert!(body.contains("[{\"type\":\"text\", \"text\":\"\\u00e4\",\"n\":1.50}]"), "{body}");
    }

    #[test]
    fn what_is_no_exported_context_is_refused() {
        assert!(read("{}", "f").is_err() && read("[", "f").is_err());
        let other = json!({"format": "rapport.context/2", "context": {}, "messages": []});
        let failure = read(&other.to_string(), "f").unwrap_err();
        assert!(failure.to_string().contains("`rapport.context/2`"), "{failure}");
    }
}
