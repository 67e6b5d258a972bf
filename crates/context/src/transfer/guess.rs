//! Which format a document has, from its beginning.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use wire::{Code, Fault};

use super::Format;
use super::read::{FORMAT, broken};

/// Fields that tell something by being there.
const TELLING: [&str; 5] = ["input", "mapping", "chat_messages", "system", "type"];

/// The fields that tell formats apart.
#[derive(Debug, Default)]
struct Marks {
    format: Option<Value>,
    /// Names of fields that tell something by being there.
    there: Vec<String>,
    /// The document is a list, and this is what its first item is like.
    first: Option<Mark>,
    /// Messages, as far as they were seen.
    messages: Vec<Mark>,
}

/// What is seen of a message.
#[derive(Debug, Default)]
struct Mark {
    role: Option<String>,
    has_calls: bool,
    kinds: Vec<String>,
}

impl Mark {
    fn of(value: &Value) -> Self {
        let role = value.get("role").and_then(Value::as_str).map(str::to_owned);
        let has_calls = value.get("tool_calls").is_some();
        let mut mark = Self { role, has_calls, kinds: Vec::new() };
        mark.parts(value.get("content"));
        mark
    }

    fn parts(&mut self, content: Option<&Value>) {
        let parts = content.and_then(Value::as_array).into_iter().flatten();
        let kinds = parts.filter_map(|part| part.get("type").and_then(Value::as_str));
        self.kinds = kinds.map(str::to_owned).collect();
    }
}

/// Finds the format out. `whole` says that the beginning is all there is.
pub(super) fn guess(head: &[u8], whole: bool) -> Result<Format, Fault> {
    let mut marks = Marks::default();
    let mut json = serde_json::Deserializer::from_slice(head);
    let read = Look(&mut marks).deserialize(&mut json);
    let more = match read {
        Ok(()) => json.end().is_err(),
        // Broken, unless the rest was only not looked at.
        Err(error) if whole || !error.is_eof() => return Err(broken(&error)),
        Err(_) => false,
    };
    marks.judge(more)
}

fn unknown(why: &str) -> Fault {
    let names: Vec<&str> = Format::ALL.iter().map(|(_, name)| *name).collect();
    Fault::new(Code::InvalidInput, format!("the document is of no format known here: {why}"))
        .hint(format!("name its format: one of {}", names.join(", ")))
}

impl Marks {
    fn judge(mut self, more: bool) -> Result<Format, Fault> {
        let is_list = self.first.is_some();
        let there = std::mem::take(&mut self.there);
        let has = |name: &str| there.iter().any(|there| there == name);
        match &self.format {
            Some(Value::String(name)) if name == FORMAT => {
                // What has its messages inside is whole; more of the same kind may follow it.
                let is_head = more && !has("messages");
                return Ok(if is_head { Format::JsonLines } else { Format::Rapport });
            }
            Some(Value::String(name)) => {
                return Err(unknown(&format!("it calls itself `{}`", name.escape_debug())));
            }
            _ => {}
        }
        if has("mapping") {
            Ok(Format::ChatGpt)
        } else if has("chat_messages") {
            Ok(Format::Claude)
        } else if has("input") || (is_list && has("type")) {
            Ok(Format::OpenAiResponses)
        } else if let Some(first) = self.first.take().filter(|first| first.role.is_some()) {
            self.messages.insert(0, first);
            Ok(chat(&self.messages, false))
        } else if has("messages") {
            Ok(chat(&self.messages, has("system")))
        } else {
            Err(unknown("none of `messages`, `input`, `mapping` and `chat_messages` is there"))
        }
    }
}

/// Tells the two chat formats apart; for plain text they are the same.
fn chat(messages: &[Mark], has_system: bool) -> Format {
    let block = |kind: &str| messages.iter().any(|mark| mark.kinds.iter().any(|k| k == kind));
    let theirs = messages.iter().any(|mark| {
        mark.has_calls || matches!(mark.role.as_deref(), Some("tool" | "developer" | "function"))
    });
    let first_is_system = messages.first().is_some_and(|m| m.role.as_deref() == Some("system"));
    if theirs || block("image_url") || block("input_audio") || (first_is_system && !has_system) {
        Format::OpenAiChat
    } else {
        Format::Anthropic
    }
}

/// Looks at a document and keeps only marks of it.
struct Look<'m>(&'m mut Marks);

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let marks = self.0;
        let mut mark = Mark::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "format" => marks.format = Some(map.next_value()?),
                "messages" => {
                    marks.there.push(name);
                    map.next_value_seed(Said(&mut marks.messages))?;
                }
                "role" => {
                    mark.role = map.next_value::<Value>()?.as_str().map(str::to_owned);
                    if let Some(first) = &mut marks.first {
                        first.role.clone_from(&mark.role);
                    }
                }
                "content" => {
                    let content: Value = map.next_value()?;
                    if let Some(first) = &mut marks.first {
                        first.parts(Some(&content));
                    }
                }
                _ => {
                    let first = marks.first.as_mut().filter(|_| name == "tool_calls");
                    if let Some(first) = first {
                        first.has_calls = true;
                    }
                    if TELLING.contains(&name.as_str()) {
                        marks.there.push(name);
                    }
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.first = Some(Mark::default());
        if list.next_element_seed(Look(&mut *self.0))?.is_none() {
            return Err(serde::de::Error::custom("it is an empty list"));
        }
        let is_chat = self.0.first.as_ref().is_some_and(|first| first.role.is_some());
        if !is_chat {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(());
        }
        while let Some(next) = list.next_element::<Value>()? {
            self.0.messages.push(Mark::of(&next));
        }
        Ok(())
    }
}

/// Looks at a list of messages.
struct Said<'m>(&'m mut Vec<Mark>);

impl<'de> DeserializeSeed<'de> for Said<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Said<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(next) = list.next_element::<Value>()? {
            self.0.push(Mark::of(&next));
        }
        Ok(())
    }
}
