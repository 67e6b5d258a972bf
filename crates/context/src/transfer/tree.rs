//! Exports of `ChatGPT` and Claude: conversations that are trees; every branch is kept.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use wire::Fault;
use wire::prompt::Role;

use super::read::{Ending, Out};
use super::{Format, Item, Parcel};
use crate::{Content, Map, New, NewEntry};

/// Limit: branches of one conversation that become forks; more are left out and counted.
const BRANCHES_MAX: usize = 500;

/// A message in its tree.
struct Node {
    id: String,
    parent: Option<String>,
    entry: Option<NewEntry>,
}

#[derive(Deserialize)]
struct Conversation {
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    create_time: Option<Value>,
    #[serde(default)]
    current_node: Option<String>,
    #[serde(default, alias = "conversation_id")]
    id: Option<String>,
    mapping: serde_json::Map<String, Value>,
}

/// Reads an export: one conversation, or the list of all. Memory holds one of them.
pub(super) fn read(from: impl Read, format: Format, out: &mut Out<'_>) -> Result<(), Fault> {
    let mut each = Each { out, format, count: 0 };
    let mut json = serde_json::Deserializer::from_reader(from);
    let read = Conversations(&mut each).deserialize(&mut json).and_then(|()| json.end());
    read.map_err(|error| out.why(error))
}

struct Each<'o, 't> {
    out: &'o mut Out<'t>,
    format: Format,
    count: u64,
}

impl Each<'_, '_> {
    /// Hands over one conversation: a context, and a fork for every other branch.
    fn one(&mut self, raw: &RawValue) -> Result<(), Fault> {
        self.out.budget.renew();
        self.count += 1;
        let mut parcel = Parcel::default();
        let planted = match self.format {
            Format::ChatGpt => chatgpt(raw, &mut parcel),
            _ => claude(raw, &mut parcel),
        };
        if let Err(error) = planted {
            return self.out.broken(format!("conversation {}", self.count), &error.to_string());
        }
        self.out.tally.left_out += parcel.left_out;
        let before = usize::try_from(self.out.tally.contexts).unwrap_or(usize::MAX);
        for mut item in parcel.items {
            let messages = std::mem::take(&mut item.new.messages);
            let fork = item.fork.map(|(of, at)| (before.saturating_add(of), at));
            self.out.begin(item.new, fork)?;
            for message in messages {
                self.out.say(message)?;
            }
            self.out.end(item.ending)?;
        }
        Ok(())
    }
}

struct Conversations<'e, 'o, 't>(&'e mut Each<'o, 't>);

impl<'de> DeserializeSeed<'de> for Conversations<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Conversations<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a conversation, or a list of conversations")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        use serde::de::value::MapAccessDeserializer;
        let one = serde_json::Map::deserialize(MapAccessDeserializer::new(map))?;
        let raw = serde_json::value::to_raw_value(&one).map_err(A::Error::custom)?;
        let done = self.0.one(&raw);
        self.0.out.stop(done)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(raw) = list.next_element::<Box<RawValue>>()? {
            let done = self.0.one(&raw);
            self.0.out.stop(done)?;
        }
        Ok(())
    }
}

fn chatgpt(raw: &RawValue, parcel: &mut Parcel) -> Result<(), serde_json::Error> {
    let found: Conversation = serde_json::from_str(raw.get())?;
    let mut nodes = Vec::with_capacity(found.mapping.len());
    for (id, node) in &found.mapping {
        let parent = node.get("parent").and_then(Value::as_str).map(str::to_owned);
        let message = node.get("message").filter(|message| !message.is_null());
        let entry = message.and_then(said_to_chatgpt);
        if entry.is_none() && message.is_some_and(has_text) {
            parcel.left_out += 1;
        }
        nodes.push(Node { id: id.clone(), parent, entry });
    }
    let mut metadata = Map::new();
    metadata.insert("imported_from".to_owned(), "chatgpt".into());
    metadata.extend(found.id.map(|id| ("imported_id".to_owned(), id.into())));
    metadata.extend(found.create_time.map(|time| ("imported_time".to_owned(), time)));
    let new = New { title: found.title, metadata, ..New::default() };
    plant(nodes, found.current_node.as_deref(), new, parcel);
    Ok(())
}

fn has_text(message: &Value) -> bool {
    let parts = message.pointer("/content/parts").and_then(Value::as_array);
    parts.is_some_and(|parts| parts.iter().any(|p| p.as_str().is_some_and(|t| !t.is_empty())))
}

fn said_to_chatgpt(message: &Value) -> Option<NewEntry> {
    let role = match message.pointer("/author/role")?.as_str()? {
        // What a tool said to the model is no answer to a call that we know of.
        "tool" => Role::Assistant,
        other => Role::parse(other)?,
    };
    let content = message.get("content")?;
    let mut text = String::new();
    let parts = content.get("parts").and_then(Value::as_array);
    for part in parts.into_iter().flatten() {
        let part = match part {
            Value::String(part) => part.clone(),
            Value::Object(part) => match part.get("text").and_then(Value::as_str) {
                Some(text) => text.to_owned(),
                None => format!(
                    "[{}]",
                    part.get("content_type").and_then(Value::as_str).unwrap_or("attachment")
                ),
            },
            _ => continue,
        };
        if !text.is_empty() && !part.is_empty() {
            text.push('\n');
        }
        text.push_str(&part);
    }
    if let Some(said) = content.get("text").and_then(Value::as_str) {
        text.push_str(said);
    }
    if text.trim().is_empty() {
        return None;
    }
    let model = message.pointer("/metadata/model_slug").and_then(Value::as_str);
    Some(entry(role, text, model, ("chatgpt", message)))
}

/// A message with the original beside it.
fn entry(role: Role, text: String, model: Option<&str>, (from, kept): (&str, &Value)) -> NewEntry {
    let meta = Map::from_iter([(from.to_owned(), kept.clone())]);
    NewEntry { role, content: Content::Text(text), model: model.map(str::to_owned), meta }
}

#[derive(Deserialize)]
struct Chat {
    #[serde(default)]
    uuid: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    current_leaf_message_uuid: Option<String>,
    chat_messages: Vec<Value>,
}

fn claude(raw: &RawValue, parcel: &mut Parcel) -> Result<(), serde_json::Error> {
    let found: Chat = serde_json::from_str(raw.get())?;
    let known: HashSet<String> = found.chat_messages.iter().filter_map(uuid).collect();
    let mut nodes: Vec<Node> = Vec::with_capacity(found.chat_messages.len());
    for (at, message) in found.chat_messages.iter().enumerate() {
        let id = uuid(message).unwrap_or_else(|| format!("#{at}"));
        let named = message.get("parent_message_uuid").and_then(Value::as_str);
        // Older exports are plain lists: each message follows the one before.
        let parent = match named {
            Some(parent) => known.contains(parent).then(|| parent.to_owned()),
            None => nodes.last().map(|node| node.id.clone()),
        };
        let entry = said_to_claude(message);
        if entry.is_none() {
            parcel.left_out += 1;
        }
        nodes.push(Node { id, parent, entry });
    }
    let last = nodes.last().map(|node| node.id.clone());
    let current = found.current_leaf_message_uuid.or(last);
    let mut metadata = Map::new();
    metadata.insert("imported_from".to_owned(), "claude".into());
    metadata.extend(found.uuid.map(|id| ("imported_id".to_owned(), id.into())));
    metadata.extend(found.created_at.map(|time| ("imported_time".to_owned(), time.into())));
    let title = found.name.filter(|name| !name.is_empty());
    let new = New { title, metadata, ..New::default() };
    plant(nodes, current.as_deref(), new, parcel);
    Ok(())
}

fn uuid(message: &Value) -> Option<String> {
    message.get("uuid").and_then(Value::as_str).map(str::to_owned)
}

fn said_to_claude(message: &Value) -> Option<NewEntry> {
    let role = Role::parse(message.get("sender")?.as_str()?)?;
    let blocks = message.get("content").and_then(Value::as_array);
    let texts = blocks.into_iter().flatten().filter_map(|block| {
        let kind = block.get("type").and_then(Value::as_str)?;
        if kind == "text" { block.get("text").and_then(Value::as_str) } else { None }
    });
    let mut text = texts.collect::<Vec<_>>().join("\n");
    if text.is_empty() {
        text = message.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    }
    let attached = message.get("attachments").and_then(Value::as_array);
    for file in attached.into_iter().flatten() {
        if let Some(said) = file.get("extracted_content").and_then(Value::as_str) {
            let name = file.get("file_name").and_then(Value::as_str).unwrap_or("file");
            text.push_str(&format!("\n\n[{name}]\n{said}"));
        }
    }
    (!text.trim().is_empty()).then(|| entry(role, text, None, ("claude", message)))
}

/// Turns a tree into a context and forks of it. The branch that was shown last is the context.
fn plant(nodes: Vec<Node>, current: Option<&str>, new: New, parcel: &mut Parcel) {
    let at: HashMap<String, usize> =
        nodes.iter().enumerate().map(|(index, node)| (node.id.clone(), index)).collect();
    let parents: Vec<Option<usize>> =
        nodes.iter().map(|n| n.parent.as_ref().and_then(|p| at.get(p)).copied()).collect();
    let has_child: HashSet<usize> = parents.iter().flatten().copied().collect();
    let leaves = (0..nodes.len()).filter(|index| !has_child.contains(index));
    let mut ends: Vec<usize> = current.and_then(|id| at.get(id)).copied().into_iter().collect();
    ends.extend(leaves.filter(|leaf| !ends.contains(leaf)).collect::<Vec<_>>());
    let mut entries: Vec<Option<NewEntry>> = nodes.into_iter().map(|node| node.entry).collect();
    // Where a message is kept: the item, and how many messages it has up to there.
    let mut placed: HashMap<usize, (usize, u64)> = HashMap::new();
    let title = new.title.clone();
    let mut first = Some(new);
    for (branch, end) in ends.into_iter().enumerate() {
        let (start, path) = path(end, &parents, &placed);
        let item = parcel.items.len();
        let mut count = start.map_or(0, |(_, count)| count);
        let mut said = Vec::new();
        for index in path {
            // Messages without a content share the place of the one before.
            if let Some(entry) = entries.get_mut(index).and_then(Option::take) {
                count += 1;
                said.push(entry);
            }
            placed.insert(index, (item, count));
        }
        if branch > BRANCHES_MAX {
            parcel.left_out += u64::try_from(said.len()).unwrap_or(0);
        }
        if branch > 0 && (said.is_empty() || branch > BRANCHES_MAX) {
            // Nothing goes on from here: a later branch finds the same place by the parent.
            placed.retain(|_, place| place.0 != item);
            continue;
        }
        let base = match first.take() {
            Some(new) => new,
            None => New {
                title: title.as_ref().map(|title| format!("{title} (branch {})", branch + 1)),
                metadata: Map::from_iter([("branch".to_owned(), json!(branch + 1))]),
                ..New::default()
            },
        };
        let new = New { messages: said, ..base };
        parcel.items.push(Item { new, fork: start, ending: Ending::default() });
    }
}

/// The messages from the last one that is placed already down to `end`, oldest first.
fn path(
    end: usize,
    parents: &[Option<usize>],
    placed: &HashMap<usize, (usize, u64)>,
) -> (Option<(usize, u64)>, Vec<usize>) {
    let mut out = Vec::new();
    let mut at = Some(end);
    while let Some(index) = at {
        if let Some(place) = placed.get(&index) {
            out.reverse();
            return (Some(*place), out);
        }
        // A ring of parents ends here.
        if out.len() > parents.len() {
            break;
        }
        out.push(index);
        at = parents.get(index).copied().flatten();
    }
    out.reverse();
    (None, out)
}
