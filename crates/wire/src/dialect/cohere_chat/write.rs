//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message.

use std::borrow::Cow;

use super::{NAME, knobs};
use crate::dialect::body::{Body, room};
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::dialect::text::Object;
use crate::dialect::turns::{self, Part, Words};
use crate::prompt::{Block, Media, Prompt, Source, Tool};

const WORDS: Words = Words { dialect: NAME, beside_calls: "tool_plan", media: media_part };

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::with_capacity(room(prompt));
    let mut body = Body::begin(&mut out, prompt, NAME);
    body.own().string("model", &prompt.model);
    turns::write(body.own().key("messages"), prompt, &WORDS, losses);
    body.tools(write_tool);
    knobs::write(&mut body, prompt, losses);
    body.end(&["model", "messages"], stream);
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

/// A picture as a part, or a document's text; the API takes neither recordings nor files.
fn media_part(block: &Block, media: &Media) -> Option<Part<'static>> {
    match (block, &media.source) {
        (Block::Image(_), source) => {
            let url = source.to_url()?;
            let inner = show::object(|object| object.string("url", &url));
            Some(Part::Media(format!(r#"{{"type":"image_url","image_url":{inner}}}"#)))
        }
        (Block::Document(_), Source::Text(text)) => {
            let title = media.name.as_ref().map(|name| format!("[{name}]\n")).unwrap_or_default();
            Some(Part::Text(Cow::Owned(format!("{title}{text}").into())))
        }
        _ => None,
    }
}
