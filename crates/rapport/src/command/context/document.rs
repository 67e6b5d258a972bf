//! A context with its messages as one document, `rapport.context/1`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::reach::Client;
use super::path;
use crate::remote::{Ask, Class, Failure};

/// What the document calls itself.
pub(super) const FORMAT: &str = "rapport.context/1";

/// Messages asked for at once.
const PAGE: &str = "500";

/// The document. Messages are kept byte for byte.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Document {
    /// Always `rapport.context/1`.
    pub(super) format: String,
    /// When it was written.
    #[serde(default)]
    pub(super) exported_at: String,
    /// The context as the API shows it.
    pub(super) context: Map<String, Value>,
    /// Its messages as the API shows them, oldest first.
    pub(super) messages: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Page {
    messages: Vec<Box<RawValue>>,
    next_cursor: Option<Value>,
}

/// Reads a context with all its messages.
///
/// # Errors
/// Of every class.
pub(in crate::command) async fn export(client: &Client<'_>, id: &str) -> Result<String, Failure> {
    let found = super::get(client, id).await?.value;
    let Value::Object(context) = found else {
        return Err(Failure::new(Class::Protocol, "the context is not a JSON object"));
    };
    let mut messages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let path = path(id).then("messages").query("limit", Some(PAGE));
        let ask = Ask::get(path.query("cursor", cursor.as_deref()));
        let reply = client.server.json(&ask).await?;
        let page: Page = serde_json::from_slice(&reply.raw).map_err(|error| {
            Failure::new(Class::Protocol, format!("the messages cannot be read: {error}"))
        })?;
        let empty = page.messages.is_empty();
        messages.extend(page.messages);
        cursor = page.next_cursor.and_then(|next| match next {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        });
        if cursor.is_none() || empty {
            break;
        }
    }
    let exported_at = crate::clock::now().to_string();
    let document = Document { format: FORMAT.to_owned(), exported_at, context, messages };
    serde_json::to_string_pretty(&document)
        .map_err(|error| Failure::new(Class::Unchecked, format!("no JSON: {error}")))
}
