//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message.

use super::{NAME, content, knobs};
use crate::dialect::body::{Body, own_tools, quoted, stand_in};
use crate::dialect::losses::Losses;
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::show;
use crate::dialect::text::{Array, Object};
use crate::prompt::{Block, Media, Message, Prompt, Role, Source, Tool};

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::new();
    let mut body = Body::begin(&mut out, prompt, NAME);
    body.own().string("model", &prompt.model);
    // Newer models want the other name; who uses it gets it alone.
    if body.has_own("max_completion_tokens") {
        body.pass("max_completion_tokens");
        body.pass("max_tokens");
    } else {
        body.knob("max_tokens", prompt.knobs.max_tokens.map(|n| n.to_string()));
    }
    let list = Array::begin(body.own().key("messages"));
    let mut turns = Turns { list, pairs: Pairs::default(), losses };
    if let Some(system) = prompt.system.as_deref().filter(|text| !text.is_empty()) {
        turns.says("system", system);
    }
    for message in &prompt.messages {
        turns.message(message);
    }
    turns.list.end();
    body.tools(write_tool);
    let tools = own_tools(prompt, NAME).next().is_some();
    knobs::write(&mut body, prompt, tools, losses);
    if stream {
        body.knob("stream_options", Some(r#"{"include_usage":true}"#.to_owned()));
    }
    // Upstreams refuse the options of a stream without one.
    body.end(&["model", "messages", "stream_options"], stream);
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
    if let Some(strict) = tool.strict {
        function.raw("strict", if strict { "true" } else { "false" });
    }
    function.end();
    object.end();
}

/// The `messages` array that is being written.
struct Turns<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    losses: &'a Losses,
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
        self.losses.message(message);
        let mut parts: Vec<Part> = Vec::new();
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
                Block::ToolResult { id, content, .. } => {
                    parts.push(Part::Text(pairs::orphan(id, content)));
                }
                Block::Text(text) if !text.trim().is_empty() => {
                    parts.push(Part::Text(text.clone()));
                }
                Block::Image(media) | Block::Document(media) | Block::Audio(media) => {
                    match media_part(block, media) {
                        Some(part) => parts.push(part),
                        None => self.losses.block(block),
                    }
                }
                Block::Text(_) => {}
                Block::Thinking { .. } | Block::ToolUse { .. } | Block::Other { .. } => {
                    self.losses.block(block);
                }
            }
        }
        let texts: Option<Vec<&str>> = parts.iter().map(Part::text).collect();
        match texts.as_deref() {
            Some([]) if has_results => {}
            Some([]) => self.says("user", &stand_in(message)),
            Some(texts) => self.says("user", &texts.join("\n\n")),
            None => {
                let parts: Vec<String> = parts.iter().map(Part::json).collect();
                let mut object = Object::begin(self.list.item());
                object.string("role", "user");
                object.raw("content", &format!("[{}]", parts.join(",")));
                object.end();
            }
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        self.losses.message(message);
        for block in &message.blocks {
            if !matches!(block, Block::Text(_) | Block::ToolUse { .. }) {
                self.losses.block(block);
            }
        }
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
            content::write_call(call, array.item());
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

/// A part of a user's message.
enum Part {
    Text(String),
    /// The part as it is written.
    Media(String),
}

impl Part {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Media(_) => None,
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Text(text) => format!(r#"{{"type":"text","text":{}}}"#, quoted(text)),
            Self::Media(json) => json.clone(),
        }
    }
}

/// A picture, document or recording as a part; `None` where the API has no form for it, such as a
/// file in another provider's store.
fn media_part(block: &Block, media: &Media) -> Option<Part> {
    let (kind, inner) = match (block, &media.source) {
        (Block::Image(_), source) => {
            let url = source.to_url()?;
            ("image_url", show::object(|object| object.string("url", &url)))
        }
        (Block::Audio(_), Source::Data { media_type, data }) => {
            let format = match media_type.strip_prefix("audio/")? {
                "mpeg" | "mp3" => "mp3",
                "wav" | "x-wav" | "wave" => "wav",
                _ => return None,
            };
            (
                "input_audio",
                show::object(|object| {
                    object.string("data", data);
                    object.string("format", format);
                }),
            )
        }
        (Block::Document(_), Source::Text(text)) => {
            let title = media.name.as_ref().map(|name| format!("[{name}]\n")).unwrap_or_default();
            return Some(Part::Text(format!("{title}{text}")));
        }
        (Block::Document(_), Source::Data { .. }) => {
            let url = media.source.to_url()?;
            (
                "file",
                show::object(|object| {
                    object.string("filename", media.name.as_deref().unwrap_or("document.pdf"));
                    object.string("file_data", &url);
                }),
            )
        }
        _ => return None,
    };
    Some(Part::Media(format!(r#"{{"type":"{kind}","{kind}":{inner}}}"#)))
}

/// The message's own bytes, if they are of this dialect.
fn own_object(message: &Message) -> Option<&str> {
    let raw = message.raw.as_ref().filter(|raw| &*raw.dialect == NAME)?;
    Some(raw.json.get()).filter(|json| json.starts_with('{'))
}
