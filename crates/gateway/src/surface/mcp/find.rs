//! Tools that find what was said, and bring it elsewhere.

use context::{Format, Key};
use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::Who;
use super::schema::{count, text};
use super::tools::{ID, Tool};
use crate::auth::Scope;
use crate::surface::native::{read, search, shape};

pub(super) const TOOLS: &[Tool] = &[
    Tool {
        name: "context_search",
        title: "Search all conversations",
        about: "Finds messages in all conversations that hold all of these words, the best first, \
                with the context's id and the number of the message.",
        fields: || {
            let query = text("query", "Words, in any form and order").needed();
            vec![query, count("limit", 1, "At most so many, 20 if absent, 100 at most")]
        },
        scope: Scope::Read,
        destroys: false,
    },
    Tool {
        name: "context_recall",
        title: "Recall what was said about something",
        about: "Finds the messages of one conversation that have to do with a question, with what \
                was said before and after them.",
        fields: || {
            vec![
                text("id", ID).needed(),
                text("query", "A question, or a few words").needed(),
                count("limit", 1, "At most so many places, 5 if absent, 50 at most"),
            ]
        },
        scope: Scope::Read,
        destroys: false,
    },
    Tool {
        name: "context_export",
        title: "Export a conversation",
        about: "Writes a conversation with all its messages as one document: our own format, JSON \
                lines, or the body of a request to Anthropic or OpenAI.",
        fields: || {
            let mut format = text("format", "rapport if absent");
            if let Value::Object(schema) = &mut format.schema {
                let names = ["rapport", "jsonl", "anthropic", "openai_chat", "openai_responses"];
                schema.insert("enum".to_owned(), names.as_slice().into());
            }
            vec![text("id", ID).needed(), format]
        },
        scope: Scope::Read,
        destroys: false,
    },
];

/// Runs one of them; `None` for any other name.
pub(super) async fn run(
    who: &Who,
    (name, key): (&str, Result<Key, Fault>),
    given: &Map<String, Value>,
) -> Option<Result<Value, Fault>> {
    let query = given.get("query").and_then(Value::as_str).unwrap_or_default();
    let limit = |most: u32, usual: u32| match given.get("limit") {
        None | Some(Value::Null) => Ok(usual),
        // What is no such number at all is refused as 0 is.
        Some(asked) => {
            let asked = asked.as_u64().map_or(0, |n| u32::try_from(n).unwrap_or(u32::MAX));
            read::limit(Some(asked), usual, most)
        }
    };
    let contexts = who.gate.contexts();
    Some(match name {
        "context_search" => {
            let found = match limit(100, 20) {
                Ok(limit) => contexts.search(who.caller.tenant, query, limit).await,
                Err(fault) => Err(fault),
            };
            found.map(|hits| json!({"hits": hits.iter().map(search::hit).collect::<Vec<_>>()}))
        }
        "context_recall" => match key.and_then(|key| Ok((key, limit(50, 5)?))) {
            Ok((key, limit)) => {
                let found = contexts.recall(&key, query, limit, None).await;
                found.map(|all| json!({"recalled": all.iter().map(recalled).collect::<Vec<_>>()}))
            }
            Err(fault) => Err(fault),
        },
        "context_export" => match key {
            Ok(key) => export(who, &key, given).await,
            Err(fault) => Err(fault),
        },
        _ => return None,
    })
}

fn recalled(found: &context::Recalled) -> Value {
    let messages: Vec<Value> = found.entries.iter().map(shape::message).collect();
    json!({"seq": found.seq, "score": found.score, "messages": messages})
}

async fn export(who: &Who, key: &Key, given: &Map<String, Value>) -> Result<Value, Fault> {
    let name = given.get("format").and_then(Value::as_str).unwrap_or("rapport");
    let format = Format::parse(name).ok_or_else(|| {
        let names: Vec<&str> = Format::ALL.iter().map(|(_, name)| *name).collect();
        Fault::new(Code::InvalidInput, format!("`{name}` is no format"))
            .hint(format!("it is one of {}", names.join(", ")))
    })?;
    let document = who.gate.contexts().export(key, format).await?;
    Ok(json!({
        "format": name, "media_type": document.media_type,
        "dropped": document.dropped, "document": document.text,
    }))
}
