//! Writes requests.
//!
//! Invariant: the same prompt gives the same bytes, and a prompt with a message more gives a body
//! that agrees with the former up to the end of its last message.

use std::borrow::Cow;

use super::{NAME, knobs};
use crate::dialect::body::{Body, own_tools, room};
use crate::dialect::losses::Losses;
use crate::dialect::show;
use crate::dialect::text::Object;
use crate::dialect::turns::{self, Part, Words};
use crate::prompt::{Block, Media, Prompt, Source, Tool};

const WORDS: Words = Words { dialect: NAME, beside_calls: "content", media: media_part };

/// Writes the request body.
pub(super) fn request(prompt: &Prompt, stream: bool, losses: &Losses) -> String {
    let mut out = String::with_capacity(room(prompt));
    let mut body = Body::begin(&mut out, prompt, NAME);
    body.own().string("model", &prompt.model);
    // Newer models want the other name; who uses it gets it alone.
    if body.has_own("max_completion_tokens") {
        body.pass("max_completion_tokens");
        body.pass("max_tokens");
    } else {
        body.knob("max_tokens", prompt.knobs.max_tokens.map(|n| n.to_string()));
    }
    turns::write(body.own().key("messages"), prompt, &WORDS, losses);
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

/// A picture, document or recording as a part; `None` where the API has no form for it, such as a
/// file in another provider's store.
fn media_part(block: &Block, media: &Media) -> Option<Part<'static>> {
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
            return Some(Part::Text(Cow::Owned(format!("{title}{text}").into())));
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
