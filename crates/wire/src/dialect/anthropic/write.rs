//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message's content.

use std::borrow::Cow;

use super::{NAME, content, knobs};
use crate::dialect::body::{Body, own_tools, room, stand_in};
use crate::dialect::losses::Losses;
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::show;
use crate::dialect::text::{Array, Object};
use crate::dialect::transcript;
use crate::prompt::{Block, Media, Message, Prompt, Role, Source, Text, Tool};

/// The API requires a limit; this is the one a caller gets who names none.
pub(super) const MAX_TOKENS_DEFAULT: u32 = 1024;

/// What a user's message says that has nothing to say: the API refuses empty ones.
const EMPTY: &str = "(empty message)";

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::with_capacity(room(prompt));
    let mut body = Body::begin(&mut out, prompt, NAME);
    body.own().string("model", &prompt.model);
    let max_tokens = prompt.knobs.max_tokens.unwrap_or(MAX_TOKENS_DEFAULT);
    body.knob("max_tokens", Some(max_tokens.to_string()));
    let (system, messages) = transcript::split(prompt);
    match own_system(prompt, &system) {
        Some(raw) => body.own().raw("system", raw),
        None if system.is_empty() => body.pass("system"),
        None => body.own().string("system", &system),
    }
    let mut turns = Turns::begin(body.own().key("messages"), losses);
    for message in messages {
        turns.message(message);
    }
    turns.end();
    body.tools(write_tool);
    let tools = own_tools(prompt, NAME).next().is_some();
    knobs::write(&mut body, prompt, tools, losses);
    body.end(&["model", "messages", "system"], stream);
    out
}

fn write_tool(tool: &Tool, out: &mut String) {
    let mut object = Object::begin(out);
    object.string("name", &tool.name);
    if let Some(description) = &tool.description {
        object.string("description", description);
    }
    object.raw("input_schema", tool.schema.get());
    if tool.strict == Some(true) {
        object.raw("strict", "true");
    }
    object.end();
}

/// The exact form of the instructions, if it still says what they are.
fn own_system<'a>(prompt: &'a Prompt, system: &str) -> Option<&'a str> {
    let raw = prompt.system_raw.as_ref().filter(|raw| &*raw.dialect == NAME)?;
    (content::system(&raw.json).as_deref() == Some(system)).then(|| raw.json.get())
}

/// The `messages` array that is being written.
struct Turns<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    /// The blocks of a user message that so far holds results only: the results of one turn's
    /// calls belong into one message.
    results: Vec<String>,
    losses: &'a Losses,
}

impl<'a> Turns<'a> {
    fn begin(out: &'a mut String, losses: &'a Losses) -> Self {
        let pairs = Pairs::default();
        Self { list: Array::begin(out), pairs, results: Vec::new(), losses }
    }

    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.results.push(result(id, pairs::NO_RESULT, true));
        }
        match message.role {
            Role::System => match own_content(message) {
                // Who wrote it so asks for a model that takes it.
                Some(content) => self.turn("system", content),
                None => self.user(&format!("[System message]\n{}", message.plain()).into()),
            },
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
        self.losses.message(message);
        let mut parts: Vec<Part<'_>> = Vec::new();
        let before = self.results.len();
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    self.results.push(result(id, content, *is_error));
                }
                Block::ToolResult { id, content, .. } => {
                    parts.push(Part::Text(Cow::Owned(pairs::orphan(id, content).into())));
                }
                Block::Text(text) if !text.is_blank() => {
                    parts.push(Part::Text(Cow::Borrowed(text)));
                }
                Block::Image(media) | Block::Document(media) => {
                    match media_block(block.kind(), media) {
                        Some(json) => parts.push(Part::Media(json)),
                        None => self.losses.block(block),
                    }
                }
                Block::Text(_) => {}
                Block::Audio(_)
                | Block::Thinking { .. }
                | Block::ToolUse { .. }
                | Block::Other { .. } => self.losses.block(block),
            }
        }
        match parts.as_slice() {
            [] if self.results.len() > before => {}
            [] => match stand_in(message).as_str() {
                "" => self.user(&EMPTY.into()),
                kinds => self.user(&kinds.into()),
            },
            [Part::Text(one)] => self.user(one),
            several => {
                let blocks: Vec<String> = several.iter().map(Part::json).collect();
                // Pictures of results stand with the results, in one message.
                if self.results.len() > before && several.iter().all(Part::is_media) {
                    self.results.extend(blocks);
                } else {
                    self.turn("user", &format!("[{}]", blocks.join(",")));
                }
            }
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        if !says_something(message) {
            for block in message.blocks.iter().filter(|block| !matches!(block, Block::Text(_))) {
                self.losses.block(block);
            }
            return;
        }
        if let Some(content) = own_content(message) {
            self.turn("assistant", content);
        } else {
            self.losses.message(message);
            match message.blocks.as_slice() {
                [Block::Text(text)] => self.says("assistant", text),
                blocks => {
                    let losses = self.losses;
                    let blocks = blocks.iter().filter_map(|block| assistant_block(block, losses));
                    let blocks: Vec<String> = blocks.collect();
                    self.turn("assistant", &format!("[{}]", blocks.join(",")));
                }
            }
        }
        self.pairs.opens(message);
    }

    fn user(&mut self, text: &Text) {
        self.says("user", text);
    }

    fn says(&mut self, role: &str, text: &Text) {
        self.flush();
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.said("content", text);
        object.end();
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
        Block::Text(text) => !text.is_blank(),
        Block::ToolUse { .. } => true,
        Block::Other { kind } => is_own && kind != "redacted_thinking",
        Block::Thinking { .. }
        | Block::ToolResult { .. }
        | Block::Image(_)
        | Block::Document(_)
        | Block::Audio(_) => false,
    })
}

fn assistant_block(block: &Block, losses: &Losses) -> Option<String> {
    match block {
        Block::Text(text) if !text.is_blank() => Some(text_block(text)),
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
        Block::Text(_) => None,
        Block::Thinking { .. }
        | Block::ToolResult { .. }
        | Block::Image(_)
        | Block::Document(_)
        | Block::Audio(_)
        | Block::Other { .. } => {
            losses.block(block);
            None
        }
    }
}

/// A part of a user's message.
enum Part<'a> {
    Text(Cow<'a, Text>),
    /// The block as it is written.
    Media(String),
}

impl Part<'_> {
    fn json(&self) -> String {
        match self {
            Self::Text(text) => text_block(text),
            Self::Media(json) => json.clone(),
        }
    }

    fn is_media(&self) -> bool {
        matches!(self, Self::Media(_))
    }
}

/// A picture or document as a block; `None` where the API has no form for it, such as a file in
/// another provider's store.
fn media_block(kind: &str, media: &Media) -> Option<String> {
    let is_pdf = media.source.media_type() == Some("application/pdf");
    let source = show::object(|source| match &media.source {
        Source::Data { media_type, data } => {
            source.string("type", "base64");
            source.string("media_type", media_type);
            source.string("data", data);
        }
        Source::Text(text) => {
            source.string("type", "text");
            source.string("media_type", "text/plain");
            source.string("data", text);
        }
        Source::Url(url) => {
            source.string("type", "url");
            source.string("url", url);
        }
        Source::File(_) => {}
    });
    let fits = match &media.source {
        Source::Data { .. } => kind == "image" || is_pdf,
        Source::Text(_) => kind == "document",
        Source::Url(_) => true,
        Source::File(_) => false,
    };
    fits.then(|| {
        show::object(|block| {
            block.string("type", kind);
            block.raw("source", &source);
            if let Some(name) = media.name.as_deref().filter(|_| kind == "document") {
                block.string("title", name);
            }
        })
    })
}

fn text_block(text: &Text) -> String {
    let mut out = String::new();
    let mut object = Object::begin(&mut out);
    object.string("type", "text");
    object.said("text", text);
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
