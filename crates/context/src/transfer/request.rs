//! Requests to models as documents: a conversation, too, however many messages it has.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use wire::dialect::{Dialect, named};
use wire::prompt::{Message, Role};
use wire::{Code, Fault};

use super::Format;
use super::read::{Ending, Out};
use crate::{Content, Map, New, NewEntry};

/// Bytes of messages that are read together.
const TOGETHER_BYTES: usize = 1024 * 1024;
/// Messages that are read together, unless one turn has more.
const TOGETHER: usize = 200;
/// Fields that have a place in a context, or none anywhere.
const TAKEN: [&str; 6] = ["model", "system", "instructions", "max_tokens", "stream", "store"];

/// Reads a request, or the list of its messages.
pub(super) fn read(from: impl Read, format: Format, out: &mut Out<'_>) -> Result<(), Fault> {
    let name = format.dialect().unwrap_or_default();
    let dialect =
        named(name).ok_or_else(|| Fault::internal(format!("the dialect `{name}` is not there")))?;
    let mut request = Request {
        out,
        dialect,
        format,
        rest: Vec::new(),
        together: Vec::new(),
        bytes: 0,
        count: 0,
        first: None,
        begun: false,
        has_list: false,
    };
    let mut json = serde_json::Deserializer::from_reader(from);
    let read = Body(&mut request).deserialize(&mut json).and_then(|()| json.end());
    if let Err(error) = read {
        return Err(request.out.why(error));
    }
    request.done()
}

/// A request that is being read.
struct Request<'o, 't> {
    out: &'o mut Out<'t>,
    dialect: &'static dyn Dialect,
    format: Format,
    /// The fields beside the messages.
    rest: Vec<(String, Box<RawValue>)>,
    /// Messages that are not handed over yet.
    together: Vec<Box<RawValue>>,
    bytes: usize,
    /// Messages that were handed over.
    count: u64,
    /// Instructions that came as the first message.
    first: Option<String>,
    begun: bool,
    has_list: bool,
}

impl Request<'_, '_> {
    /// The field that holds the messages.
    fn list(&self) -> &'static str {
        if self.format == Format::OpenAiResponses { "input" } else { "messages" }
    }

    /// Takes a message as it stands there.
    fn element(&mut self, raw: Box<RawValue>) -> Result<(), Fault> {
        self.out.budget.renew();
        let full = self.bytes >= TOGETHER_BYTES || self.together.len() >= TOGETHER;
        // What belongs together, such as calls and their results, is read together.
        if full && begins_turn(&raw) {
            self.flush()?;
        }
        self.bytes = self.bytes.saturating_add(raw.get().len());
        self.together.push(raw);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let raws = std::mem::take(&mut self.together);
        self.bytes = 0;
        let list: Vec<&str> = raws.iter().map(|raw| raw.get()).collect();
        let messages = match self.ask(&list) {
            Ok(messages) => messages,
            Err(fault) => self.one_by_one(&list, &fault)?,
        };
        self.count = self.count.saturating_add(list.len() as u64);
        let mut messages = messages.into_iter().peekable();
        self.begin(&mut messages)?;
        for message in messages {
            self.out.say(entry(message))?;
        }
        Ok(())
    }

    /// The messages among these that can be read; gives up at the first other one, unless such are
    /// left out.
    fn one_by_one(&mut self, list: &[&str], fault: &Fault) -> Result<Vec<Message>, Fault> {
        let mut messages = Vec::new();
        let mut all_good = true;
        for (at, raw) in list.iter().enumerate() {
            match self.ask(&[raw]) {
                Ok(read) => messages.extend(read),
                Err(wrong) => {
                    all_good = false;
                    let number = self.count.saturating_add(at as u64 + 1);
                    let why = wrong.text().replace(&format!("{}[0]", self.list()), "it");
                    self.out.broken(format!("message {number}"), &why)?;
                }
            }
        }
        if all_good {
            // They are wrong only beside each other.
            let place = format!("message {}", self.count.saturating_add(1));
            self.out.broken(format!("what follows {place}"), fault.text())?;
        }
        Ok(messages)
    }

    /// Reads messages by themselves.
    fn ask(&self, list: &[&str]) -> Result<Vec<Message>, Fault> {
        let body = format!(
            "{{\"model\":\"imported\",\"max_tokens\":1024,\"{}\":[{}]}}",
            self.list(),
            list.join(",")
        );
        Ok(self.dialect.request(&body.into())?.prompt.messages)
    }

    fn begin(
        &mut self,
        messages: &mut std::iter::Peekable<impl Iterator<Item = Message>>,
    ) -> Result<(), Fault> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let named = self.rest.iter().any(|(name, _)| name == "system" || name == "instructions");
        // Some APIs carry the instructions as the first message.
        let first = messages.next_if(|message| !named && message.role == Role::System);
        self.first = first.map(|message| message.plain());
        let mut metadata = Map::new();
        metadata.insert("imported_from".to_owned(), self.format.as_str().into());
        self.out.begin(New { metadata, ..New::default() }, None)
    }

    /// Hands over what is left, and what the other fields say.
    fn done(&mut self) -> Result<(), Fault> {
        if !self.has_list {
            let text = format!("the document has no `{}`", self.list());
            return Err(Fault::new(Code::MissingField, text)
                .hint(format!("a document `{}` needs them", self.format.as_str())));
        }
        self.flush()?;
        let mut body = "{\"model\":\"imported\",\"max_tokens\":1024".to_owned();
        for (name, raw) in &self.rest {
            // What an export leaves out, a request needs; of equal fields the last one counts.
            let empty = name == "model" && matches!(raw.get(), "\"\"" | "null");
            if TAKEN.contains(&name.as_str()) && !empty {
                let name = serde_json::Value::from(name.as_str());
                body.push_str(&format!(",{name}:{}", raw.get()));
            } else if !empty {
                self.out.tally.dropped.insert(name.clone());
            }
        }
        body.push_str(&format!(",\"{}\":[{{\"role\":\"user\",\"content\":\"-\"}}]}}", self.list()));
        let prompt = self.dialect.request(&body.into())?.prompt;
        let parts = [prompt.system, self.first.take()];
        let system: Vec<String> = parts.into_iter().flatten().collect();
        let system = (!system.is_empty()).then(|| system.join("\n\n"));
        let mut ending = Ending { system, ..Ending::default() };
        if prompt.model != "imported" {
            ending.metadata.insert("imported_model".to_owned(), prompt.model.into());
        }
        self.out.end(ending)
    }
}

/// What tells a question of the user.
#[derive(Deserialize)]
struct Asks<'r> {
    #[serde(default)]
    role: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'r RawValue>,
}

fn begins_turn(raw: &RawValue) -> bool {
    let Ok(asks) = serde_json::from_str::<Asks<'_>>(raw.get()) else { return false };
    asks.role.as_deref() == Some("user")
        && asks.content.is_some_and(|content| !content.get().contains("\"tool_result\""))
}

fn entry(message: Message) -> NewEntry {
    let role = message.role;
    let content = match message.raw {
        Some(raw) => Content::Raw(raw),
        None => Content::Text(message.plain()),
    };
    NewEntry { role, content, model: None, meta: Map::new() }
}

struct Body<'r, 'o, 't>(&'r mut Request<'o, 't>);

impl<'de> DeserializeSeed<'de> for Body<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Body<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request, or a list of messages")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let request = self.0;
        while let Some(name) = map.next_key::<String>()? {
            if name == request.list() {
                map.next_value_seed(List(&mut *request))?;
            } else {
                let raw = map.next_value()?;
                request.rest.push((name, raw));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        List(self.0).visit_seq(list)
    }
}

struct List<'r, 'o, 't>(&'r mut Request<'o, 't>);

impl<'de> DeserializeSeed<'de> for List<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        self.0.has_list = true;
        let message = serde_json::json!({"role": "user", "content": text}).to_string();
        let raw = RawValue::from_string(message).map_err(E::custom)?;
        let taken = self.0.element(raw);
        self.0.out.stop(taken)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        self.0.has_list = true;
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            let taken = self.0.element(raw);
            self.0.out.stop(taken)?;
        }
        Ok(())
    }
}
