//! A request of the Messages API as one line of blocks: tools, instructions, then messages.

use serde_json::Value;
use std::hash::{DefaultHasher, Hasher as _};

/// Bytes of a block that count as one token.
const TOKEN_BYTES: usize = 4;

/// Where a block stands; what breaks the cache for one place breaks it for those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Tools,
    System,
    Messages,
}

/// A mark for the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    FiveMinutes,
    OneHour,
}

/// One block.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) place: Place,
    pub(crate) is_user: bool,
    /// The message it stands in, and its place there.
    pub(crate) message: usize,
    pub(crate) index: usize,
    pub(crate) value: Value,
    pub(crate) mark: Option<Mark>,
    /// Tokens up to here.
    pub(crate) sum: u64,
    /// Stands for everything that was said before this block, by whichever model.
    pub(crate) before: u64,
    /// Stands for everything up to this block, as a cache sees it.
    pub(crate) upto: u64,
}

impl Piece {
    pub(crate) fn kind(&self) -> &str {
        self.text("type")
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.value.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// A request, read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spoken {
    pub(crate) model: String,
    pub(crate) pieces: Vec<Piece>,
    /// The roles of the messages, and how many blocks each has.
    pub(crate) messages: Vec<(String, usize)>,
    /// Whether `thinking` is `enabled`: the model then insists on its thoughts in a tool loop.
    pub(crate) is_thinking: bool,
    /// Stands for everything that was said.
    pub(crate) whole: u64,
}

/// The blocks on their way, with the running hashes: of what is said, and of what a cache sees.
struct Line {
    pieces: Vec<Piece>,
    said: DefaultHasher,
    cached: DefaultHasher,
}

impl Spoken {
    /// Reads a body; what has another shape counts as absent.
    pub(crate) fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let field = |name: &str| body.get(name).cloned().unwrap_or_default();
        let model = field("model").as_str().unwrap_or_default().to_owned();
        let mut line =
            Line { pieces: Vec::new(), said: DefaultHasher::new(), cached: DefaultHasher::new() };
        line.cached.write(model.as_bytes());
        for tool in blocks(field("tools")) {
            line.push(Place::Tools, (true, 0), tool);
        }
        for block in blocks(field("system")) {
            line.push(Place::System, (true, 0), block);
        }
        // These decide what is cached of the messages, and nothing before them.
        line.cached.write(field("tool_choice").to_string().as_bytes());
        line.cached.write(field("thinking").to_string().as_bytes());
        let mut messages = Vec::new();
        for (at, message) in blocks(field("messages")).into_iter().enumerate() {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default().to_owned();
            let content = blocks(message.get("content").cloned().unwrap_or_default());
            messages.push((role.clone(), content.len()));
            for block in content {
                line.push(Place::Messages, (role != "assistant", at), block);
            }
        }
        if let Some(mark) = body.get("cache_control").and_then(mark)
            && let Some(last) = line.pieces.last_mut()
        {
            last.mark = last.mark.or(Some(mark));
        }
        Self {
            model,
            whole: line.said.finish(),
            pieces: line.pieces,
            messages,
            is_thinking: field("thinking").get("type").is_some_and(|kind| kind == "enabled"),
        }
    }

    /// The blocks of one message.
    pub(crate) fn of(&self, message: usize) -> impl Iterator<Item = &Piece> {
        self.pieces
            .iter()
            .filter(move |piece| piece.place == Place::Messages && piece.message == message)
    }

    /// Tokens of the whole prompt.
    pub(crate) fn tokens(&self) -> u64 {
        self.pieces.last().map_or(0, |last| last.sum)
    }
}

impl Line {
    fn push(&mut self, place: Place, (is_user, message): (bool, usize), mut value: Value) {
        let mark = value.get("cache_control").and_then(mark);
        unmark(&mut value);
        let text = value.to_string();
        let before = self.said.finish();
        // Neighbours of one role are one message for the model, so the role stands at every block.
        for hash in [&mut self.said, &mut self.cached] {
            hash.write_u8(u8::from(is_user));
            hash.write(text.as_bytes());
        }
        let tokens = u64::try_from(text.len().div_ceil(TOKEN_BYTES)).unwrap_or(u64::MAX);
        let sum = self.pieces.last().map_or(0, |last| last.sum).saturating_add(tokens);
        let index = match self.pieces.last() {
            Some(last) if last.place == place && last.message == message => last.index + 1,
            _ => 0,
        };
        self.pieces.push(Piece {
            place,
            is_user,
            message,
            index,
            value,
            mark,
            sum,
            before,
            upto: self.cached.finish(),
        });
    }
}

/// A content as a list of blocks; a text is one block.
fn blocks(value: Value) -> Vec<Value> {
    match value {
        Value::String(text) => vec![serde_json::json!({"type": "text", "text": text})],
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

fn mark(value: &Value) -> Option<Mark> {
    let value = value.as_object().filter(|map| !map.is_empty())?;
    let is_hour = value.get("ttl").is_some_and(|ttl| ttl == "1h");
    Some(if is_hour { Mark::OneHour } else { Mark::FiveMinutes })
}

/// Removes the marks: they are no part of what is said.
fn unmark(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.shift_remove("cache_control");
            if let Some(content) = map.get_mut("content") {
                unmark(content);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unmark),
        _ => {}
    }
}
