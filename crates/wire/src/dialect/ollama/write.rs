//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and at the door of messages a prompt with a
//! message more gives a body that agrees with the former up to the end of its last message.

use std::collections::HashMap;

use super::{CHAT, GENERATE, options};
use crate::dialect::body::{Body, own, quoted, stand_in};
use crate::dialect::losses::Losses;
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::show;
use crate::dialect::text::{Array, Object};
use crate::dialect::transcript;
use crate::prompt::{Block, Media, Message, Prompt, Role, Source, Tool};

/// Writes the body for the door of messages.
pub(super) fn chat(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::new();
    let mut body = Body::begin(&mut out, prompt, CHAT);
    body.own().string("model", &prompt.model);
    // The API streams unless it is told not to.
    body.own().raw("stream", if stream { "true" } else { "false" });
    let mut turns = Turns {
        list: Array::begin(body.own().key("messages")),
        pairs: Pairs::default(),
        names: HashMap::new(),
        losses,
    };
    if let Some(system) = prompt.system.as_deref().filter(|text| !text.is_empty()) {
        turns.says("system", system, &[]);
    }
    for message in &prompt.messages {
        turns.message(message);
    }
    turns.list.end();
    body.tools(write_tool);
    options::write(&mut body, CHAT, prompt, losses);
    body.end(&["model", "messages"], false);
    out
}

/// Writes the body for the door of one prompt.
pub(super) fn generate(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::new();
    let mut body = Body::begin(&mut out, prompt, GENERATE);
    body.own().string("model", &prompt.model);
    body.own().raw("stream", if stream { "true" } else { "false" });
    let (system, messages) = transcript::split(prompt);
    if !system.is_empty() {
        body.own().string("system", &system);
    }
    // The pictures of the last question are those it asks about.
    let pictures: Vec<String> = match messages.last() {
        Some(last) => last.blocks.iter().filter_map(picture).collect(),
        None => Vec::new(),
    };
    let text = transcript::write(messages, |block| picture(block).is_some(), losses);
    body.own().string("prompt", &text);
    if !pictures.is_empty() {
        body.own().raw("images", &format!("[{}]", pictures.join(",")));
    }
    if !prompt.tools.is_empty() {
        losses.add("tools");
    }
    options::write(&mut body, GENERATE, prompt, losses);
    body.end(&["model", "prompt", "system", "images"], false);
    out
}

fn write_tool(tool: &Tool, out: &mut String) {
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
}

/// The `messages` array that is being written.
struct Turns<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    /// The tool of each call: a result names it.
    names: HashMap<&'a str, &'a str>,
    losses: &'a Losses,
}

impl<'a> Turns<'a> {
    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.result(id, pairs::NO_RESULT);
        }
        for block in &message.blocks {
            if let Block::ToolUse { id, name, .. } = block {
                self.names.insert(id, name);
            }
        }
        let raw = own(message.raw.as_ref(), CHAT).filter(|json| json.starts_with('{'));
        if let Some(object) = raw {
            self.pairs.pass(message);
            self.list.item().push_str(object);
            return;
        }
        self.losses.message(message);
        match message.role {
            Role::System => self.says("system", &message.plain(), &[]),
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => self.answer(message),
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        let (mut texts, mut pictures) = (Vec::new(), Vec::new());
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
                Block::Text(text) if text.is_blank() => {}
                Block::Text(text) => texts.push(text.to_string()),
                Block::Document(Media { source: Source::Text(text), name }) => {
                    let title = name.as_ref().map(|name| format!("[{name}]\n"));
                    texts.push(format!("{}{text}", title.unwrap_or_default()));
                }
                Block::Image(_) => match picture(block) {
                    Some(picture) => pictures.push(picture),
                    None => self.losses.block(block),
                },
                Block::Document(_)
                | Block::Audio(_)
                | Block::Thinking { .. }
                | Block::ToolUse { .. }
                | Block::Other { .. } => self.losses.block(block),
            }
        }
        if !texts.is_empty() || !pictures.is_empty() {
            self.says("user", &texts.join("\n\n"), &pictures);
        } else if !has_results {
            self.says("user", &stand_in(message), &[]);
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        let text = message.plain();
        let mut calls: Vec<String> = Vec::new();
        for block in &message.blocks {
            match block {
                Block::Text(_) => {}
                Block::ToolUse { id, name, input } => calls.push(call(id, name, input.get())),
                Block::Thinking { .. }
                | Block::ToolResult { .. }
                | Block::Image(_)
                | Block::Document(_)
                | Block::Audio(_)
                | Block::Other { .. } => self.losses.block(block),
            }
        }
        if text.is_empty() && calls.is_empty() {
            return;
        }
        let mut object = Object::begin(self.list.item());
        object.string("role", "assistant");
        object.string("content", &text);
        if !calls.is_empty() {
            object.raw("tool_calls", &format!("[{}]", calls.join(",")));
        }
        object.end();
        self.pairs.opens(message);
    }

    fn result(&mut self, id: &str, content: &str) {
        let name = self.names.get(id).copied().unwrap_or(id);
        let mut object = Object::begin(self.list.item());
        object.string("role", "tool");
        object.string("tool_name", name);
        object.string("tool_call_id", id);
        object.string("content", content);
        object.end();
    }

    fn says(&mut self, role: &str, text: &str, pictures: &[String]) {
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.string("content", text);
        if !pictures.is_empty() {
            object.raw("images", &format!("[{}]", pictures.join(",")));
        }
        object.end();
    }
}

/// A picture as the API takes it; `None` where it is not here.
fn picture(block: &Block) -> Option<String> {
    match block {
        Block::Image(Media { source: Source::Data { data, .. }, .. }) => Some(quoted(data)),
        _ => None,
    }
}

/// Writes a call; its arguments are an object here, never a text.
pub(super) fn call(id: &str, name: &str, input: &str) -> String {
    show::object(|call| {
        call.string("id", id);
        let function = show::object(|function| {
            function.string("name", name);
            if input.starts_with('{') {
                function.raw("arguments", input);
            } else {
                function.raw("arguments", &format!(r#"{{"value":{input}}}"#));
            }
        });
        call.raw("function", &function);
    })
}
