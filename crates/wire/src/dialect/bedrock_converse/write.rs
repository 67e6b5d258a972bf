//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last block.

use std::collections::BTreeSet;

use super::{NAME, config, content, media};
use crate::dialect::body::{Body, own, own_tools, private_in, quoted, room, stand_in};
use crate::dialect::losses::Losses;
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::show;
use crate::dialect::text::Array;
use crate::dialect::transcript;
use crate::prompt::{Block, Message, Prompt, Role, Tool, ToolChoice};

/// What a user's message says that has nothing to say: the API refuses empty ones.
const EMPTY: &str = "(empty message)";

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, losses: &Losses) -> String {
    let mut out = String::with_capacity(room(prompt));
    let mut body = Body::begin(&mut out, prompt, NAME);
    let (system, messages) = transcript::split(prompt);
    match own_system(prompt, &system) {
        Some(raw) => body.own().raw("system", raw),
        None if system.is_empty() => body.pass("system"),
        None => body.own().raw("system", &format!("[{}]", text_block(&system))),
    }
    let mut turns = Turns {
        list: Array::begin(body.own().key("messages")),
        pairs: Pairs::default(),
        open: None,
        tools: BTreeSet::new(),
        losses,
    };
    for message in messages {
        turns.message(message);
    }
    let used = turns.end();
    body.knob("toolConfig", tools(prompt, &used, losses));
    config::write(&mut body, prompt, losses);
    body.end(&["model", "messages", "system", "tools"], false);
    out
}

/// The exact form of the instructions, if it still says what they are.
fn own_system<'a>(prompt: &'a Prompt, system: &str) -> Option<&'a str> {
    let raw = prompt.system_raw.as_ref().filter(|raw| &*raw.dialect == NAME)?;
    (content::system(&raw.json).as_deref() == Some(system)).then(|| raw.json.get())
}

/// Writes the tools. The API wants them declared wherever the conversation has calls, so those
/// that are not offered any more are declared with their names alone.
fn tools(prompt: &Prompt, used: &BTreeSet<&str>, losses: &Losses) -> Option<String> {
    let choice = prompt.knobs.wishes.tool_choice.as_ref();
    let is_never = choice == Some(&ToolChoice::Never);
    let mut list: Vec<String> = own_tools(prompt, NAME).map(tool).collect();
    let has_tools = !list.is_empty();
    if is_never && used.is_empty() {
        // The API has no word for it, but who is offered none calls none.
        return None;
    }
    if is_never && has_tools {
        losses.add("tool_choice");
    }
    if list.is_empty() {
        let bare = |name: &&str| {
            let schema = r#"{"json":{"type":"object","properties":{}}}"#;
            format!(r#"{{"toolSpec":{{"name":{},"inputSchema":{schema}}}}}"#, quoted(name))
        };
        list = used.iter().map(bare).collect();
    }
    if list.is_empty() {
        return None;
    }
    Some(show::object(|object| {
        object.raw("tools", &format!("[{}]", list.join(",")));
        if let Some(choice) = choice.and_then(config::choice).filter(|_| has_tools) {
            object.raw("toolChoice", &choice);
        }
        for (name, json) in private_in(prompt, NAME, "toolConfig") {
            object.raw(name, json);
        }
    }))
}

fn tool(tool: &Tool) -> String {
    if let Some(json) = own(tool.raw.as_ref(), NAME) {
        return json.to_owned();
    }
    let spec = show::object(|spec| {
        spec.string("name", &tool.name);
        if let Some(description) = tool.description.as_deref().filter(|text| !text.is_empty()) {
            spec.string("description", description);
        }
        spec.raw("inputSchema", &format!(r#"{{"json":{}}}"#, tool.schema.get()));
        if let Some(strict) = tool.strict {
            spec.raw("strict", if strict { "true" } else { "false" });
        }
    });
    format!(r#"{{"toolSpec":{spec}}}"#)
}

/// The `messages` array that is being written. Roles must alternate, so what one role says in
/// several messages becomes one.
struct Turns<'o, 'a> {
    list: Array<'o>,
    pairs: Pairs<'a>,
    /// The role of the message that is being written, and its blocks so far.
    open: Option<(&'static str, Vec<String>)>,
    /// The tools that were called.
    tools: BTreeSet<&'a str>,
    losses: &'a Losses,
}

impl<'a> Turns<'_, 'a> {
    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.say("user", result(id, pairs::NO_RESULT, true));
        }
        let role = if message.role == Role::Assistant { "assistant" } else { "user" };
        let names = message.blocks.iter().filter_map(|block| match block {
            Block::ToolUse { name, .. } => Some(name.as_str()),
            _ => None,
        });
        self.tools.extend(names);
        if let Some(blocks) = own_blocks(message) {
            self.pairs.pass(message);
            return self.say(role, blocks.to_owned());
        }
        self.losses.message(message);
        match message.role {
            Role::System => {
                self.say("user", text_block(&format!("[System message]\n{}", message.plain())));
            }
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => self.answer(message),
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        let (mut results, mut rest) = (Vec::new(), Vec::new());
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    results.push(result(id, content, *is_error));
                }
                Block::ToolResult { id, content, .. } => {
                    rest.push(text_block(&pairs::orphan(id, content)));
                }
                Block::Text(text) if text.is_blank() => {}
                Block::Text(text) => rest.push(show::said(text)),
                Block::Image(_) | Block::Document(_) | Block::Audio(_) => {
                    match media::write(block) {
                        Some(json) => rest.push(json),
                        None => self.losses.block(block),
                    }
                }
                Block::Thinking { .. } | Block::ToolUse { .. } | Block::Other { .. } => {
                    self.losses.block(block);
                }
            }
        }
        if results.is_empty() && rest.is_empty() {
            let text = stand_in(message);
            rest.push(text_block(if text.is_empty() { EMPTY } else { &text }));
        }
        for block in results.into_iter().chain(rest) {
            self.say("user", block);
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        for block in &message.blocks {
            match block {
                Block::Text(text) if text.is_blank() => {}
                Block::Text(text) => self.say("assistant", show::said(text)),
                Block::ToolUse { id, name, input } => {
                    self.say("assistant", call(id, name, input.get()));
                }
                Block::Thinking { .. }
                | Block::ToolResult { .. }
                | Block::Image(_)
                | Block::Document(_)
                | Block::Audio(_)
                | Block::Other { .. } => self.losses.block(block),
            }
        }
        self.pairs.opens(message);
    }

    /// Adds blocks to what this role says.
    fn say(&mut self, role: &'static str, blocks: String) {
        match &mut self.open {
            Some((open, held)) if *open == role => held.push(blocks),
            _ => {
                self.flush();
                self.open = Some((role, vec![blocks]));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((role, blocks)) = self.open.take() {
            let content = format!("[{}]", blocks.join(","));
            let turn = show::object(|turn| {
                turn.string("role", role);
                turn.raw("content", &content);
            });
            self.list.item().push_str(&turn);
        }
    }

    fn end(mut self) -> BTreeSet<&'a str> {
        self.flush();
        self.list.end();
        self.tools
    }
}

/// The message's own bytes without the brackets around them, if they are of this dialect and say
/// something; an answer that holds nothing but thoughts is refused when it is sent back.
fn own_blocks(message: &Message) -> Option<&str> {
    let is_thought = |block: &Block| match block {
        Block::Thinking { .. } => true,
        Block::Other { kind } => kind == "redactedContent",
        _ => false,
    };
    if message.role == Role::Assistant && message.blocks.iter().all(is_thought) {
        return None;
    }
    let json = own(message.raw.as_ref(), NAME)?.strip_prefix('[')?.strip_suffix(']')?.trim();
    Some(json).filter(|json| !json.is_empty())
}

fn text_block(text: &str) -> String {
    format!(r#"{{"text":{}}}"#, quoted(text))
}

fn call(id: &str, name: &str, input: &str) -> String {
    let inner = show::object(|call| {
        call.string("toolUseId", &tool_id(id));
        call.string("name", name);
        if input.starts_with('{') {
            call.raw("input", input);
        } else {
            // The API takes objects only.
            call.raw("input", &format!(r#"{{"value":{input}}}"#));
        }
    });
    format!(r#"{{"toolUse":{inner}}}"#)
}

fn result(id: &str, content: &str, is_error: bool) -> String {
    let inner = show::object(|result| {
        result.string("toolUseId", &tool_id(id));
        result.raw("content", &format!("[{}]", text_block(content)));
        if is_error {
            result.string("status", "error");
        }
    });
    format!(r#"{{"toolResult":{inner}}}"#)
}

/// The API takes letters, digits, `_`, `.`, `:` and `-` in ids; those of others may have more.
fn tool_id(id: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    id.chars().map(|c| if fits(c) { c } else { '_' }).collect()
}
