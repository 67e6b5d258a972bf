//! Contexts as resources: `rapport://context/{id}`, as a transcript that people and models read.

use std::fmt::Write as _;

use context::{Filter, Slice};
use mcp::rpc::Refusal;
use mcp::server::Page;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::Who;
use crate::flow;
use crate::surface::native::read;

/// Contexts on one page of the list.
const PAGE: u32 = 100;
/// Limit: the newest messages that a transcript shows.
const MESSAGES_MAX: u32 = 500;

/// The address of a context.
pub(super) fn uri(id: &str) -> String {
    format!("rapport://context/{}", crate::surface::native::contexts::escape(id))
}

pub(super) fn templates() -> Vec<Value> {
    vec![json!({
        "uriTemplate": "rapport://context/{id}", "name": "context", "title": "Conversation",
        "description": "A conversation with its state and its newest messages",
        "mimeType": "text/markdown",
    })]
}

pub(super) async fn list(who: &Who, cursor: Option<&str>) -> Result<Page, Refusal> {
    let filter = Filter { limit: PAGE, cursor: cursor.map(ToOwned::to_owned), ..Filter::default() };
    let page = who.gate.contexts().list(who.caller.tenant, filter).await;
    let page = page.map_err(|fault| Refusal::from(&fault))?;
    let items = page.items.iter().map(|found| {
        json!({
            "uri": uri(&found.id),
            "name": &*found.id,
            "title": found.title.clone().unwrap_or_else(|| found.id.to_string()),
            "description": format!("{} messages", found.size.messages),
            "mimeType": "text/markdown",
            "annotations": {"lastModified": found.last_updated.to_string()},
        })
    });
    Ok(Page { items: items.collect(), next: page.next })
}

/// The ids that begin like this, for completion.
pub(super) async fn ids(who: &Who, begun: &str) -> Result<Vec<String>, Refusal> {
    let filter = Filter { limit: 500, ..Filter::default() };
    let page = who.gate.contexts().list(who.caller.tenant, filter).await;
    let page = page.map_err(|fault| Refusal::from(&fault))?;
    let ids = page.items.iter().map(|found| found.id.to_string());
    // The protocol's own limit of one answer.
    Ok(ids.filter(|id| id.starts_with(begun)).take(100).collect())
}

/// Reads one; `None` when there is none of this address.
pub(super) async fn read(who: &Who, uri: &str) -> Result<Option<Value>, Refusal> {
    let Some(id) = uri.strip_prefix("rapport://context/").and_then(unescape) else {
        return Ok(None);
    };
    match transcript(who, &id).await {
        Ok(text) => Ok(Some(json!({"contents": [
            {"uri": uri, "mimeType": "text/markdown", "text": text}]}))),
        Err(fault) if matches!(fault.code(), Code::ContextNotFound | Code::ContextExpired) => {
            Ok(None)
        }
        Err(fault) => Err(Refusal::from(&fault)),
    }
}

/// A conversation as text.
pub(super) async fn transcript(who: &Who, id: &str) -> Result<String, Fault> {
    let key = read::key(&who.caller, id)?;
    let contexts = who.gate.contexts();
    let found = contexts.get(&key).await?;
    let slice = Slice { limit: MESSAGES_MAX, last: Some(MESSAGES_MAX), ..Slice::default() };
    let page = contexts.messages(&key, slice).await?;
    let mut out = format!("# {}\n", found.title.as_deref().unwrap_or(&found.id));
    if !found.state.is_empty() {
        let state = Value::Object(found.state.clone());
        let _written = write!(out, "\n```json\n{state}\n```\n");
    }
    let left_out = found.size.messages.saturating_sub(page.items.len() as u64);
    if left_out > 0 {
        let _written = write!(out, "\n({left_out} older messages are not shown)\n");
    }
    for entry in &page.items {
        let text = flow::plain(&entry.content);
        let _written = write!(out, "\n**{}**: {text}\n", entry.role.as_str());
    }
    Ok(out)
}

/// Undoes percent-encoding; `None` where it is broken.
fn unescape(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            out.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok().filter(|id| !id.is_empty())
}
