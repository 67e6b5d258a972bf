//! A context with its messages as one document, `rapport.context/1`, piece by piece.

use std::fmt;
use std::io::{Read, Write};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::reach::Client;
use super::path;
use crate::remote::{Ask, Class, Failure};

/// What the document calls itself.
pub(super) const FORMAT: &str = "rapport.context/1";

/// Messages asked for at once.
const PAGE: &str = "500";

#[derive(Deserialize)]
struct Page {
    messages: Vec<Box<RawValue>>,
    next_cursor: Option<Value>,
}

/// Writes a context with all its messages, page by page; `progress` gets the messages so far, and
/// how many there are.
///
/// # Errors
/// Of every class.
pub(in crate::command) async fn export(
    client: &Client<'_>,
    id: &str,
    out: &mut (dyn Write + Send),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), Failure> {
    let found = super::get(client, id).await?.value;
    let all = found.pointer("/size/messages").and_then(Value::as_u64).unwrap_or_default();
    let wrong = |error: std::io::Error| {
        Failure::new(Class::Unchecked, format!("the document cannot be written: {error}"))
    };
    let head =
        serde_json::json!({"format": FORMAT, "exported_at": crate::clock::now().to_string()});
    let head = head.to_string();
    let head = head.trim_end_matches('}');
    write!(out, "{head},\"context\":{found},\"messages\":[").map_err(wrong)?;
    let (mut written, mut cursor) = (0_u64, None::<String>);
    loop {
        let path = path(id).then("messages").query("limit", Some(PAGE));
        let reply = client.server.json(&Ask::get(path.query("cursor", cursor.as_deref()))).await?;
        let page: Page = serde_json::from_slice(&reply.raw).map_err(|error| {
            Failure::new(Class::Protocol, format!("the messages cannot be read: {error}"))
        })?;
        for message in &page.messages {
            let comma = if written == 0 { "" } else { "," };
            write!(out, "{comma}\n{}", message.get()).map_err(wrong)?;
            written += 1;
        }
        progress(written, all);
        cursor = page.next_cursor.and_then(|next| match next {
            Value::Null => None,
            Value::String(text) => Some(text),
            other => Some(other.to_string()),
        });
        if cursor.is_none() || page.messages.is_empty() {
            break;
        }
    }
    write!(out, "\n]}}\n").and_then(|()| out.flush()).map_err(wrong)
}

/// A piece of a document.
#[derive(Debug)]
pub(super) enum Piece {
    /// What the document calls itself, and the context.
    Head(Map<String, Value>),
    /// A message, byte for byte.
    Message(Box<RawValue>),
}

/// Reads a document of ours, one piece after the other, whether it is one object or JSON lines:
/// memory holds one message, however long the document is.
///
/// # Errors
/// Why it is none; what `take` refuses.
pub(super) fn pieces(
    from: impl Read,
    take: &mut dyn FnMut(Piece) -> Result<(), String>,
) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_reader(from);
    Document(take).deserialize(&mut json).map_err(|error| error.to_string())?;
    // JSON lines: every further value is a message.
    while json.end().is_err() {
        let message = Box::<RawValue>::deserialize(&mut json).map_err(|error| error.to_string())?;
        take(Piece::Message(message))?;
    }
    Ok(())
}

struct Document<'t>(&'t mut dyn FnMut(Piece) -> Result<(), String>);

impl<'de> DeserializeSeed<'de> for Document<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an exported context")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        let mut format = None::<String>;
        let mut begun = false;
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "format" => format = Some(map.next_value()?),
                "context" => {
                    match format.as_deref() {
                        Some(FORMAT) => {}
                        Some(other) => {
                            let text = format!("its format is `{other}`, not `{FORMAT}`");
                            return Err(A::Error::custom(text));
                        }
                        None => return Err(A::Error::custom("`format` must come first")),
                    }
                    (self.0)(Piece::Head(map.next_value()?)).map_err(A::Error::custom)?;
                    begun = true;
                }
                "messages" if begun => map.next_value_seed(Messages(self.0))?,
                "messages" => {
                    return Err(A::Error::custom("`context` must come before `messages`"));
                }
                _ => drop(map.next_value::<Box<RawValue>>()?),
            }
        }
        if begun { Ok(()) } else { Err(A::Error::custom("it has no `format` and `context`")) }
    }
}

struct Messages<'t>(&'t mut dyn FnMut(Piece) -> Result<(), String>);

impl<'de> DeserializeSeed<'de> for Messages<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        while let Some(message) = list.next_element()? {
            (self.0)(Piece::Message(message)).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}
