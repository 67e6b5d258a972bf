//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last item.

use super::{NAME, knobs};
use crate::dialect::body::{Body, own, own_tools, quoted, room, stand_in};
use crate::dialect::fields::{self, Fields};
use crate::dialect::losses::Losses;
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::show;
use crate::dialect::text::{Array, Object};
use crate::prompt::{Block, Media, Message, Prompt, Role, Source, Tool};

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::with_capacity(room(prompt));
    let mut body = Body::begin(&mut out, prompt, NAME);
    body.own().string("model", &prompt.model);
    let (system, messages) = split(prompt);
    if system.is_empty() {
        body.pass("instructions");
    } else {
        body.own().string("instructions", &system);
    }
    // The whole conversation comes with every request, so nothing has to be kept elsewhere.
    body.knob("store", Some("false".to_owned()));
    let list = Array::begin(body.own().key("input"));
    let mut items = Items { list, pairs: Pairs::default(), losses };
    for message in messages {
        items.message(message);
    }
    items.list.end();
    body.tools(write_tool);
    let tools = own_tools(prompt, NAME).next().is_some();
    knobs::write(&mut body, prompt, tools, losses);
    body.end(&["model", "input", "instructions"], stream);
    out
}

/// The instructions, with those that stand before the conversation in other dialects, and the rest.
fn split(prompt: &Prompt) -> (String, &[Message]) {
    let is_leading = |m: &&Message| m.role == Role::System && own(m.raw.as_ref(), NAME).is_none();
    let leading = prompt.messages.iter().take_while(is_leading).count();
    let (leading, rest) = prompt.messages.split_at_checked(leading).unwrap_or_default();
    let texts = prompt.system.iter().cloned().chain(leading.iter().map(Message::plain));
    let texts: Vec<String> = texts.filter(|text| !text.is_empty()).collect();
    (texts.join("\n\n"), rest)
}

fn write_tool(tool: &Tool, out: &mut String) {
    let mut object = Object::begin(out);
    object.string("type", "function");
    object.string("name", &tool.name);
    if let Some(description) = &tool.description {
        object.string("description", description);
    }
    object.raw("parameters", tool.schema.get());
    // The API's default is strict, which most schemas written for others do not pass.
    object.raw("strict", if tool.strict == Some(true) { "true" } else { "false" });
    object.end();
}

/// The `input` array that is being written.
struct Items<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    losses: &'a Losses,
}

impl<'a> Items<'a> {
    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.result(id, pairs::NO_RESULT);
        }
        if let Some(items) = own_items(message) {
            self.pairs.pass(message);
            for item in items.into_iter().filter(|item| !is_lost_thought(item)) {
                self.list.item().push_str(item.get());
            }
            return;
        }
        self.losses.message(message);
        match message.role {
            Role::System => self.says("system", &message.plain()),
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => self.answer(message),
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        let mut parts: Vec<String> = Vec::new();
        let mut texts: Vec<String> = Vec::new();
        let (mut has_results, mut has_media) = (false, false);
        for block in &message.blocks {
            let text = match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    has_results = true;
                    // The dialect has no mark for a tool that failed.
                    if *is_error && !content.to_lowercase().starts_with("error") {
                        self.result(id, &format!("error: {content}"));
                    } else {
                        self.result(id, content);
                    }
                    continue;
                }
                Block::ToolResult { id, content, .. } => pairs::orphan(id, content),
                Block::Text(text) if text.is_blank() => continue,
                Block::Text(text) => text.to_string(),
                Block::Image(media) | Block::Document(media) => {
                    match media_part(block, media) {
                        Some(part) => {
                            has_media = true;
                            parts.push(part);
                        }
                        None => self.losses.block(block),
                    }
                    continue;
                }
                Block::Audio(_)
                | Block::Thinking { .. }
                | Block::ToolUse { .. }
                | Block::Other { .. } => {
                    self.losses.block(block);
                    continue;
                }
            };
            parts.push(format!(r#"{{"type":"input_text","text":{}}}"#, quoted(&text)));
            texts.push(text);
        }
        if has_media {
            let mut object = Object::begin(self.list.item());
            object.string("role", "user");
            object.raw("content", &format!("[{}]", parts.join(",")));
            object.end();
        } else if !texts.is_empty() {
            self.says("user", &texts.join("\n\n"));
        } else if !has_results {
            self.says("user", &stand_in(message));
        }
    }

    /// A message of the model, written from its blocks: texts first, so that nothing stands
    /// between its calls and their results.
    fn assistant(&mut self, message: &'a Message) {
        for block in &message.blocks {
            match block {
                Block::Text(text) if text.is_empty() => {}
                Block::Text(text) => self.says("assistant", text),
                Block::ToolUse { .. } => {}
                Block::Thinking { .. }
                | Block::ToolResult { .. }
                | Block::Image(_)
                | Block::Document(_)
                | Block::Audio(_)
                | Block::Other { .. } => self.losses.block(block),
            }
        }
        for block in &message.blocks {
            if let Block::ToolUse { id, name, input } = block {
                let mut object = Object::begin(self.list.item());
                object.string("type", "function_call");
                object.string("call_id", id);
                object.string("name", name);
                object.string("arguments", input.get());
                object.end();
            }
        }
        self.pairs.opens(message);
    }

    fn result(&mut self, id: &str, output: &str) {
        let mut object = Object::begin(self.list.item());
        object.string("type", "function_call_output");
        object.string("call_id", id);
        object.string("output", output);
        object.end();
    }

    fn says(&mut self, role: &str, text: &str) {
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.string("content", text);
        object.end();
    }
}

/// The message's own items, if they are of this dialect.
fn own_items(message: &Message) -> Option<Vec<&serde_json::value::RawValue>> {
    own(message.raw.as_ref(), NAME)?;
    message.raw.as_ref().and_then(|raw| fields::items(&raw.json))
}

/// A thought without its encrypted form: nobody keeps it for us, so naming it is an error.
fn is_lost_thought(item: &serde_json::value::RawValue) -> bool {
    Fields::read(item).is_some_and(|item| {
        item.string("type").as_deref() == Some("reasoning")
            && item.string("encrypted_content").is_none()
    })
}

/// A picture or document as a part; `None` where the API has no form for it.
fn media_part(block: &Block, media: &Media) -> Option<String> {
    if matches!(block, Block::Image(_)) {
        let url = media.source.to_url()?;
        return Some(show::object(|part| {
            part.string("type", "input_image");
            part.string("image_url", &url);
        }));
    }
    match &media.source {
        Source::Text(text) => {
            let title = media.name.as_ref().map(|name| format!("[{name}]\n")).unwrap_or_default();
            let text = quoted(&format!("{title}{text}"));
            Some(format!(r#"{{"type":"input_text","text":{text}}}"#))
        }
        Source::Url(url) => Some(show::object(|part| {
            part.string("type", "input_file");
            part.string("file_url", url);
        })),
        Source::Data { .. } => {
            let url = media.source.to_url()?;
            Some(show::object(|part| {
                part.string("type", "input_file");
                part.string("filename", media.name.as_deref().unwrap_or("document.pdf"));
                part.string("file_data", &url);
            }))
        }
        Source::File(_) => None,
    }
}
