//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message's content.

use std::borrow::Cow;

use super::NAME;
use crate::dialect::body::{Body, stand_in};
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::text::{Array, Object};
use crate::prompt::{Block, Message, Prompt, Role};

/// The API requires a limit; this is the one a caller gets who names none.
const MAX_TOKENS_DEFAULT: u32 = 1024;

/// What a user's message says that has nothing to say: the API refuses empty ones.
const EMPTY: &str = "(empty message)";

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool) -> String {
    let mut out = String::new();
    let mut body = Body::begin(&mut out, &prompt.knobs);
    body.own().string("model", &prompt.model);
    let max_tokens = prompt.knobs.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT);
    body.knob("max_tokens", Some(max_tokens.to_string()));
    let (system, messages) = split(prompt);
    if system.is_empty() {
        body.pass("system");
    } else {
        body.own().string("system", &system);
    }
    let mut turns = Turns::begin(body.own().key("messages"));
    for message in messages {
        turns.message(message);
    }
    turns.end();
    body.tools(&prompt.tools, |tool, out| {
        let mut object = Object::begin(out);
        object.string("name", &tool.name);
        if let Some(description) = &tool.description {
            object.string("description", description);
        }
        object.raw("input_schema", tool.schema.get());
        object.end();
    });
    body.sampling("stop_sequences");
    body.end(&["model", "messages", "system"], stream);
    out
}

/// The instructions, with those that stand before the conversation, and the rest.
fn split(prompt: &Prompt) -> (String, &[Message]) {
    let leading = prompt.messages.iter().take_while(|m| m.role == Role::System).count();
    let (leading, rest) = prompt.messages.split_at_checked(leading).unwrap_or_default();
    let texts = prompt.system.iter().cloned().chain(leading.iter().map(Message::plain));
    let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    (texts.join("\n\n"), rest)
}

/// The `messages` array that is being written.
struct Turns<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    /// The blocks of a user message that so far holds results only: the results of one turn's
    /// calls belong into one message.
    results: Vec<String>,
}

impl<'a> Turns<'a> {
    fn begin(out: &'a mut String) -> Self {
        Self { list: Array::begin(out), pairs: Pairs::default(), results: Vec::new() }
    }

    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.results.push(result(id, pairs::NO_RESULT, true));
        }
        match message.role {
            Role::System => self.user(&format!("[System message]\n{}", message.plain())),
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => match own_content(message) {
                Some(content) => {
                    self.pairs.pass(message);
                    self.turn("user", content);
                }
                None => self.answer(message),
            },
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        let mut texts: Vec<Cow<'_, str>> = Vec::new();
        let before = self.results.len();
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    self.results.push(result(id, content, *is_error));
                }
                Block::ToolResult { id, content, .. } => {
                    texts.push(pairs::orphan(id, content).into());
                }
                Block::Text(text) if !text.trim().is_empty() => texts.push(text.into()),
                Block::Text(_)
                | Block::Thinking { .. }
                | Block::ToolUse { .. }
                | Block::Other { .. } => {}
            }
        }
        match texts.as_slice() {
            [] if self.results.len() > before => {}
            [] => match stand_in(message).as_str() {
                "" => self.user(EMPTY),
                kinds => self.user(kinds),
            },
            [one] => self.user(one),
            several => {
                let blocks: Vec<String> = several.iter().map(|text| text_block(text)).collect();
                self.turn("user", &format!("[{}]", blocks.join(",")));
            }
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        if !says_something(message) {
            return;
        }
        if let Some(content) = own_content(message) {
            self.turn("assistant", content);
        } else {
            match message.blocks.as_slice() {
                [Block::Text(text)] => self.turn("assistant", &json_string(text)),
                blocks => {
                    let blocks: Vec<String> = blocks.iter().filter_map(assistant_block).collect();
                    self.turn("assistant", &format!("[{}]", blocks.join(",")));
                }
            }
        }
        self.pairs.opens(message);
    }

    fn user(&mut self, text: &str) {
        self.turn("user", &json_string(text));
    }

    fn turn(&mut self, role: &str, content: &str) {
        self.flush();
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.raw("content", content);
        object.end();
    }

    fn flush(&mut self) {
        if !self.results.is_empty() {
            let results = std::mem::take(&mut self.results);
            self.turn("user", &format!("[{}]", results.join(",")));
        }
    }

    fn end(mut self) {
        self.flush();
        self.list.end();
    }
}

/// The message's own bytes, if they are of this dialect.
fn own_content(message: &Message) -> Option<&str> {
    let raw = message.raw.as_ref().filter(|raw| &*raw.dialect == NAME)?;
    // A string or an array with something in it; the API refuses anything else.
    let json = raw.json.get();
    let is_content = json.starts_with('"') || (json.starts_with('[') && !message.blocks.is_empty());
    is_content.then_some(json)
}

/// Whether the model's message can be sent back: the API refuses an empty one, and one that holds
/// nothing but thoughts.
fn says_something(message: &Message) -> bool {
    let is_own = own_content(message).is_some();
    message.blocks.iter().any(|block| match block {
        Block::Text(text) => !text.trim().is_empty(),
        Block::ToolUse { .. } => true,
        Block::Other { kind } => is_own && kind != "redacted_thinking",
        Block::Thinking { .. } | Block::ToolResult { .. } => false,
    })
}

fn assistant_block(block: &Block) -> Option<String> {
    match block {
        Block::Text(text) if !text.trim().is_empty() => Some(text_block(text)),
        Block::ToolUse { id, name, input } => {
            let mut out = String::new();
            let mut object = Object::begin(&mut out);
            object.string("type", "tool_use");
            object.string("id", &tool_id(id));
            object.string("name", name);
            if input.get().starts_with('{') {
                object.raw("input", input.get());
            } else {
                // The API takes objects only.
                let mut wrapped = Object::begin(object.key("input"));
                wrapped.raw("value", input.get());
                wrapped.end();
            }
            object.end();
            Some(out)
        }
        Block::Text(_)
        | Block::Thinking { .. }
        | Block::ToolResult { .. }
        | Block::Other { .. } => None,
    }
}

fn text_block(text: &str) -> String {
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    object.string("type", "text");
    object.string("text", text);
    object.end();
    out
}

fn result(id: &str, content: &str, is_error: bool) -> String {
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    object.string("type", "tool_result");
    object.string("tool_use_id", &tool_id(id));
    object.string("content", content);
    if is_error {
        object.raw("is_error", "true");
    }
    object.end();
    out
}

/// The API takes letters, digits, `_` and `-` in ids; those of others may have more.
fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    Cow::Owned(id.chars().map(|c| if fits(c) { c } else { '_' }).collect())
}

fn json_string(text: &str) -> String {
    let mut out = String::new();
    crate::dialect::text::string(&mut out, text);
    out
}
