//! What a request asks for, read without keeping more than the rules and the counts need.

use crate::dialect::Dialect;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The headers in which a session may stand, tried in this order before the body.
const SESSION_HEADERS: [&str; 3] = ["x-rapport-context", "x-session-id", "mcp-session-id"];

/// The parts of a request that scripts and shapes depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) model: String,
    pub(crate) stream: bool,
    /// `stream_options.include_usage` of the OpenAI shape.
    pub(crate) usage_chunk: bool,
    /// The text of the last user message; empty when it holds no text.
    pub(crate) message: String,
    pub(crate) session: String,
    /// Tokens of the prompt: one for every four bytes of its texts, at least one.
    pub(crate) tokens: u64,
    pub(crate) messages: usize,
    pub(crate) has_max_tokens: bool,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default, borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(default, borrow)]
    system: Option<&'a RawValue>,
    #[serde(default)]
    max_tokens: Option<u64>,
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default, alias = "sessionId")]
    session_id: Option<String>,
    /// Gemini's messages.
    #[serde(default, borrow)]
    contents: Option<Vec<Turn<'a>>>,
    /// What a Responses call says: a text, or items.
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    /// What Ollama's `generate` says.
    #[serde(default)]
    prompt: Option<String>,
}

/// A message of Gemini.
#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(default, borrow)]
    role: Cow<'a, str>,
    #[serde(default, borrow)]
    parts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    context_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default, borrow)]
    role: Cow<'a, str>,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(default, borrow)]
    text: Option<Cow<'a, str>>,
}

/// Reads a body.
///
/// # Errors
/// The text says what is not JSON, or which field has the wrong type.
pub(crate) fn read(
    body: &[u8],
    headers: &HeaderMap,
    (dialect, path): (Dialect, &str),
) -> Result<Ask, serde_json::Error> {
    let body: Body<'_> = serde_json::from_slice(body)?;
    let mut messages = body.messages.unwrap_or_default();
    messages.extend(body.contents.unwrap_or_default().into_iter().map(|turn| Message {
        role: if turn.role.is_empty() { "user".into() } else { turn.role },
        content: turn.parts,
    }));
    let whole;
    match body.input {
        Some(raw) if raw.get().starts_with('[') => {
            messages.extend(serde_json::from_str::<Vec<Message<'_>>>(raw.get())?);
        }
        Some(raw) => messages.push(Message { role: "user".into(), content: Some(raw) }),
        None => {}
    }
    if let Some(prompt) = &body.prompt {
        whole = serde_json::value::to_raw_value(prompt)?;
        messages.push(Message { role: "user".into(), content: Some(&whole) });
    }
    let by_path = path.rsplit('/').next().unwrap_or_default().split_once(':');
    let mut bytes = body.system.map_or(0, |raw| text_of(raw).len());
    let mut message = Cow::Borrowed("");
    for each in &messages {
        if let Some(raw) = each.content {
            let text = text_of(raw);
            bytes += text.len();
            if each.role == "user" {
                message = text;
            }
        }
    }
    Ok(Ask {
        model: match (body.model, by_path) {
            (Some(model), _) => model,
            (None, _) if dialect == Dialect::Converse => converse_model(path),
            (None, Some((model, _))) => model.to_owned(),
            (None, None) => String::new(),
        },
        stream: match dialect {
            Dialect::Gemini => by_path.is_some_and(|(_, call)| call.starts_with("stream")),
            Dialect::Ollama(_) => body.stream.unwrap_or(true),
            Dialect::Converse => path.ends_with("-stream"),
            _ => body.stream.unwrap_or(false),
        },
        usage_chunk: body.stream_options.and_then(|o| o.include_usage).unwrap_or(false),
        message: message.into_owned(),
        session: session_header(headers)
            .or(body.session_id)
            .or(body.metadata.and_then(|m| m.context_id.or(m.user_id)))
            .or(body.user)
            .unwrap_or_default(),
        tokens: tokens(bytes),
        messages: messages.len(),
        has_max_tokens: body.max_tokens.is_some(),
    })
}

/// The model of Bedrock's path, as it is written there.
fn converse_model(path: &str) -> String {
    let model = path.rsplit_once('/').and_then(|(before, _)| before.rsplit_once("/model/"));
    model.map_or_else(String::new, |(_, model)| model.replace("%3A", ":").replace("%2F", "/"))
}

/// One token for every four bytes begun, at least one.
pub(crate) fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX).max(1)
}

fn session_header(headers: &HeaderMap) -> Option<String> {
    SESSION_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok()).map(str::to_owned)
}

/// The text of a content that is a string or a list of blocks; other blocks count for nothing.
fn text_of(raw: &RawValue) -> Cow<'_, str> {
    if raw.get().starts_with('"') {
        return serde_json::from_str(raw.get()).unwrap_or_default();
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let texts: Vec<Cow<'_, str>> = parts.into_iter().filter_map(|part| part.text).collect();
    Cow::Owned(texts.join("\n"))
}
