//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message.

use super::NAME;
use crate::dialect::body::{Body, stand_in};
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::text::{Array, Object};
use crate::prompt::{Block, Message, Prompt, Role};

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool) -> String {
    let mut out = String::new();
    let mut body = Body::begin(&mut out, &prompt.knobs);
    body.own().string("model", &prompt.model);
    // Newer models want the other name; who uses it gets it alone.
    if body.has_extra("max_completion_tokens") {
        body.pass("max_completion_tokens");
        body.pass("max_tokens");
    } else {
        body.knob("max_tokens", prompt.knobs.max_tokens.map(|n| n.to_string()));
    }
    let mut turns =
        Turns { list: Array::begin(body.own().key("messages")), pairs: Pairs::default() };
    if let Some(system) = prompt.system.as_deref().filter(|text| !text.is_empty()) {
        turns.says("system", system);
    }
    for message in &prompt.messages {
        turns.message(message);
    }
    turns.list.end();
    body.tools(&prompt.tools, |tool, out| {
        let mut object = Object::begin(out);
        object.string("type", "function");
        let mut function = Object::begin(object.key("function"));
        function.string("name", &tool.name);
        if let Some(description) = &tool.description {
            function.string("description", description);
        }
        function.raw("parameters", tool.schema.get());
        function.end();
        object.end();
    });
    body.sampling("stop");
    if stream {
        body.knob("stream_options", Some(r#"{"include_usage":true}"#.to_owned()));
    }
    // Upstreams refuse the options of a stream without one.
    body.end(&["model", "messages", "stream_options"], stream);
    out
}

/// The `messages` array that is being written.
struct Turns<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
}

impl<'a> Turns<'a> {
    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.result(id, pairs::NO_RESULT);
        }
        if let Some(object) = own_object(message) {
            self.pairs.pass(message);
            self.list.item().push_str(object);
            return;
        }
        match message.role {
            Role::System => self.says("system", &message.plain()),
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => self.answer(message),
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        let mut texts: Vec<String> = Vec::new();
        let mut has_results = false;
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    has_results = true;
                    // The dialect has no mark for a tool that failed.
                    if *is_error && !content.to_lowercase().starts_with("error") {
                        self.result(id, &format!("error: {content}"));
                    } else {
                        self.result(id, content);
                    }
                }
                Block::ToolResult { id, content, .. } => texts.push(pairs::orphan(id, content)),
                Block::Text(text) if !text.trim().is_empty() => texts.push(text.clone()),
                Block::Text(_)
                | Block::Thinking { .. }
                | Block::ToolUse { .. }
                | Block::Other { .. } => {}
            }
        }
        match texts.as_slice() {
            [] if has_results => {}
            [] => self.says("user", &stand_in(message)),
            texts => self.says("user", &texts.join("\n\n")),
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        let text = message.plain();
        let calls: Vec<&Block> =
            message.blocks.iter().filter(|b| matches!(b, Block::ToolUse { .. })).collect();
        if calls.is_empty() {
            // A message without text, such as one that holds thoughts only, says nothing here.
            if !text.is_empty() {
                self.says("assistant", &text);
            }
            return;
        }
        let mut object = Object::begin(self.list.item());
        object.string("role", "assistant");
        if text.is_empty() {
            object.raw("content", "null");
        } else {
            object.string("content", &text);
        }
        let mut array = Array::begin(object.key("tool_calls"));
        for call in calls {
            write_call(call, array.item());
        }
        array.end();
        object.end();
        self.pairs.opens(message);
    }

    fn result(&mut self, id: &str, content: &str) {
        let mut object = Object::begin(self.list.item());
        object.string("role", "tool");
        object.string("tool_call_id", id);
        object.string("content", content);
        object.end();
    }

    fn says(&mut self, role: &str, text: &str) {
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.string("content", text);
        object.end();
    }
}

/// The message's own bytes, if they are of this dialect.
fn own_object(message: &Message) -> Option<&str> {
    let raw = message.raw.as_ref().filter(|raw| &*raw.dialect == NAME)?;
    Some(raw.json.get()).filter(|json| json.starts_with('{'))
}

fn write_call(call: &Block, out: &mut String) {
    if let Block::ToolUse { id, name, input } = call {
        let mut object = Object::begin(out);
        object.string("id", id);
        object.string("type", "function");
        let mut function = Object::begin(object.key("function"));
        function.string("name", name);
        function.string("arguments", input.get());
        function.end();
        object.end();
    }
}
