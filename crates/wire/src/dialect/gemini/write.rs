//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message's parts.

use std::collections::{HashMap, HashSet};

use super::{NAME, config, content};
use crate::dialect::body::{Body, own, own_tools, quoted, room, stand_in};
use crate::dialect::losses::Losses;
use crate::dialect::pairs::{self, Pairs};
use crate::dialect::show;
use crate::dialect::text::{Array, Object};
use crate::dialect::transcript;
use crate::prompt::{Block, Media, Message, Prompt, Role, Source};

/// What a user's message says that has nothing to say: the API refuses empty ones.
const EMPTY: &str = "(empty message)";

/// The signature of a call that another model made, by which the API does not check it.
const UNCHECKED: &str = "skip_thought_signature_validator";

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, losses: &Losses) -> String {
    let mut out = String::with_capacity(room(prompt));
    let mut body = Body::begin(&mut out, prompt, NAME);
    let (system, messages) = transcript::split(prompt);
    if system.is_empty() {
        body.pass("systemInstruction");
    } else {
        let text = quoted(&system);
        let instruction = format!(r#"{{"parts":[{{"text":{text}}}]}}"#);
        body.own().raw("systemInstruction", &instruction);
    }
    let mut contents = Contents {
        list: Array::begin(body.own().key("contents")),
        pairs: Pairs::default(),
        names: HashMap::new(),
        known: HashSet::new(),
        results: Vec::new(),
        is_checked: config::has_levels(&prompt.model),
        losses,
    };
    for message in messages {
        contents.message(message);
    }
    contents.end();
    let tools = tools(prompt);
    body.knob("tools", tools.clone());
    config::write(&mut body, prompt, tools.is_some(), losses);
    body.end(&["model", "contents", "systemInstruction"], false);
    out
}

/// The functions in one list, and the API's own tools each by itself.
fn tools(prompt: &Prompt) -> Option<String> {
    let (mut functions, mut hosted) = (Vec::new(), Vec::new());
    for tool in own_tools(prompt, NAME) {
        let raw = own(tool.raw.as_ref(), NAME).map(str::to_owned);
        if tool.hosted.is_some() {
            hosted.extend(raw);
            continue;
        }
        functions.push(raw.unwrap_or_else(|| {
            show::object(|function| {
                function.string("name", &tool.name);
                if let Some(description) = &tool.description {
                    function.string("description", description);
                }
                function.raw("parametersJsonSchema", tool.schema.get());
            })
        }));
    }
    if !functions.is_empty() {
        hosted.insert(0, format!(r#"{{"functionDeclarations":[{}]}}"#, functions.join(",")));
    }
    (!hosted.is_empty()).then(|| format!("[{}]", hosted.join(",")))
}

/// The `contents` array that is being written.
struct Contents<'a> {
    list: Array<'a>,
    pairs: Pairs<'a>,
    /// The tool of each call: a result names it.
    names: HashMap<&'a str, &'a str>,
    /// The calls that the API itself gave an id.
    known: HashSet<&'a str>,
    /// The parts of a message that so far holds results only: the results of one turn's calls
    /// belong into one message.
    results: Vec<String>,
    /// Whether the model checks signatures.
    is_checked: bool,
    losses: &'a Losses,
}

impl<'a> Contents<'a> {
    fn message(&mut self, message: &'a Message) {
        for id in self.pairs.missing(message) {
            self.result(id, pairs::NO_RESULT, true);
        }
        if let Some(parts) = own_parts(message) {
            self.pairs.pass(message);
            self.note(message, true);
            let role = if message.role == Role::Assistant { "model" } else { "user" };
            self.turn(role, parts);
            return;
        }
        self.losses.message(message);
        match message.role {
            Role::System => self.says(&format!("[System message]\n{}", message.plain())),
            Role::Assistant => self.assistant(message),
            Role::User | Role::Tool => self.answer(message),
        }
    }

    fn note(&mut self, message: &'a Message, is_own: bool) {
        for block in &message.blocks {
            if let Block::ToolUse { id, name, .. } = block {
                self.names.insert(id, name);
                if is_own && content::is_known(id) {
                    self.known.insert(id);
                }
            }
        }
    }

    /// A message of the user or of tools, written from its blocks: results first, then the rest.
    fn answer(&mut self, message: &'a Message) {
        let mut parts: Vec<String> = Vec::new();
        let before = self.results.len();
        let mut has_text = false;
        for block in &message.blocks {
            match block {
                Block::ToolResult { id, content, is_error } if self.pairs.answers(id) => {
                    self.result(id, content, *is_error);
                }
                Block::ToolResult { id, content, .. } => {
                    has_text = true;
                    parts.push(text_part(&pairs::orphan(id, content)));
                }
                Block::Text(text) if text.is_blank() => {}
                Block::Text(text) => {
                    has_text = true;
                    parts.push(show::said(text));
                }
                Block::Image(media) | Block::Document(media) | Block::Audio(media) => {
                    match media_part(media) {
                        Some(part) => parts.push(part),
                        None => self.losses.block(block),
                    }
                }
                Block::Thinking { .. } | Block::ToolUse { .. } | Block::Other { .. } => {
                    self.losses.block(block);
                }
            }
        }
        let has_results = self.results.len() > before;
        if parts.is_empty() && has_results {
            return;
        }
        if parts.is_empty() {
            return match stand_in(message).as_str() {
                "" => self.says(EMPTY),
                kinds => self.says(kinds),
            };
        }
        // Pictures of results stand with the results, in one message.
        if has_results && !has_text {
            self.results.extend(parts);
        } else {
            self.turn("user", &format!("[{}]", parts.join(",")));
        }
    }

    fn assistant(&mut self, message: &'a Message) {
        let mut parts: Vec<String> = Vec::new();
        let mut is_signed = !self.is_checked;
        for block in &message.blocks {
            match block {
                Block::Text(text) if text.is_blank() => {}
                Block::Text(text) => parts.push(show::said(text)),
                Block::ToolUse { name, input, .. } => {
                    // Of calls made at once the first is checked.
                    let signs = !std::mem::replace(&mut is_signed, true);
                    parts.push(call(name, input.get(), signs));
                }
                Block::Thinking { .. }
                | Block::ToolResult { .. }
                | Block::Image(_)
                | Block::Document(_)
                | Block::Audio(_)
                | Block::Other { .. } => self.losses.block(block),
            }
        }
        if parts.is_empty() {
            return;
        }
        self.turn("model", &format!("[{}]", parts.join(",")));
        self.pairs.opens(message);
        self.note(message, false);
    }

    fn result(&mut self, id: &str, content: &str, is_error: bool) {
        let name = if is_error { "error" } else { "result" };
        let response = show::object(|object| object.string(name, content));
        let result = show::object(|result| {
            if self.known.contains(id) {
                result.string("id", id);
            }
            result.string("name", self.names.get(id).copied().unwrap_or(id));
            result.raw("response", &response);
        });
        self.results.push(format!(r#"{{"functionResponse":{result}}}"#));
    }

    fn says(&mut self, text: &str) {
        self.turn("user", &format!("[{}]", text_part(text)));
    }

    fn turn(&mut self, role: &str, parts: &str) {
        self.flush();
        let mut object = Object::begin(self.list.item());
        object.string("role", role);
        object.raw("parts", parts);
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
fn own_parts(message: &Message) -> Option<&str> {
    own(message.raw.as_ref(), NAME)
        .filter(|json| json.starts_with('[') && !message.blocks.is_empty())
}

fn text_part(text: &str) -> String {
    format!(r#"{{"text":{}}}"#, quoted(text))
}

fn call(name: &str, input: &str, is_signed: bool) -> String {
    show::object(|part| {
        let call = show::object(|call| {
            call.string("name", name);
            if input.starts_with('{') {
                call.raw("args", input);
            } else {
                // The API takes objects only.
                call.raw("args", &format!(r#"{{"value":{input}}}"#));
            }
        });
        part.raw("functionCall", &call);
        if is_signed {
            part.string("thoughtSignature", UNCHECKED);
        }
    })
}

/// A picture, recording or document as a part; `None` for a file in another provider's store.
fn media_part(media: &Media) -> Option<String> {
    Some(match &media.source {
        Source::Data { media_type, data } => {
            let inner = show::object(|inner| {
                inner.string("mimeType", media_type);
                inner.string("data", data);
            });
            format!(r#"{{"inlineData":{inner}}}"#)
        }
        Source::Url(url) => {
            let inner = show::object(|inner| inner.string("fileUri", url));
            format!(r#"{{"fileData":{inner}}}"#)
        }
        Source::Text(text) => {
            let title = media.name.as_ref().map(|name| format!("[{name}]\n")).unwrap_or_default();
            text_part(&format!("{title}{text}"))
        }
        Source::File(_) => return None,
    })
}
