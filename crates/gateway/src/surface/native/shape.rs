//! The JSON shapes of the native API, in and out.

use context::{Context, Entry, Map};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::flow::Answered;

/// Any JSON object; the order of its keys is kept.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub(crate) struct Object(pub(crate) Map);

/// The body of `POST /api/v1/contexts`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewContext {
    /// 1 to 256 characters; made by the server when absent.
    pub(crate) id: Option<String>,
    /// A name for people.
    pub(crate) title: Option<String>,
    /// Whose conversation it is.
    pub(crate) user: Option<String>,
    /// Instructions for the model.
    pub(crate) system: Option<String>,
    /// `model`, `max_tokens`, `temperature`, `top_p`, `stop`, `durability` (`sync`, `group`,
    /// `fast`), `when_busy` (`queue`, `reject`, `interrupt`), `on_hang_up` (`finish`, `cancel`),
    /// `window_tokens`; further fields go to the model as they are.
    pub(crate) settings: Option<Object>,
    /// The first state.
    pub(crate) state: Option<Object>,
    /// Whatever the application wants to keep beside it; never sent to a model.
    pub(crate) metadata: Option<Object>,
    /// Messages that were said before.
    pub(crate) messages: Option<Vec<NewMessage>>,
    /// After so many seconds the context is gone.
    pub(crate) expires_in_seconds: Option<u64>,
    /// After so many seconds without a change the context is gone; instead of
    /// `expires_in_seconds`.
    pub(crate) idle_seconds: Option<u64>,
    /// The same as the header `Idempotency-Key`.
    pub(crate) request_id: Option<String>,
}

/// A message to be stored without asking a model.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMessage {
    /// `user`, `assistant`, `system` or `tool`; `human`, `ai`, `bot` and `model` are understood.
    pub(crate) role: String,
    /// Text, or a list of Anthropic content blocks, kept byte for byte.
    #[schema(value_type = Value)]
    pub(crate) content: Box<serde_json::value::RawValue>,
    /// The dialect of content blocks, as an export names it; `anthropic` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dialect: Option<String>,
}

/// The body of `PATCH /api/v1/contexts/{id}`; absent fields stay, `null` clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EditContext {
    /// A name for people.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) title: Option<Option<String>>,
    /// Whose conversation it is.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) user: Option<Option<String>>,
    /// Instructions for the model.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) system: Option<Option<String>>,
    /// Merge patch over the settings.
    pub(crate) settings: Option<Object>,
    /// Merge patch over the metadata.
    pub(crate) metadata: Option<Object>,
    /// Merge patch over the state.
    pub(crate) state: Option<Object>,
    /// A new time to live; `null` keeps the context for ever.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u64>)]
    pub(crate) expires_in_seconds: Option<Option<u64>>,
    /// A new time to live after the last change; `null` keeps the context for ever.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<u64>)]
    pub(crate) idle_seconds: Option<Option<u64>>,
}

/// Tells `null` from an absent field.
fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

/// The body of `POST /api/v1/contexts/{id}/messages`: one message, or a list of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Append {
    /// As in a message.
    pub(crate) role: Option<String>,
    /// As in a message.
    #[schema(value_type = Option<Value>)]
    pub(crate) content: Option<Box<serde_json::value::RawValue>>,
    /// Several messages, oldest first; instead of `role` and `content`.
    pub(crate) messages: Option<Vec<NewMessage>>,
    /// The same as the header `Idempotency-Key`.
    pub(crate) request_id: Option<String>,
}

/// The body of `POST /api/v1/contexts/{id}/turns`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTurn {
    /// What the user says: text, or a list of Anthropic content blocks.
    #[schema(value_type = Value)]
    pub(crate) message: Box<serde_json::value::RawValue>,
    /// The model of this turn, as `model` or `provider/model`.
    pub(crate) model: Option<String>,
    /// Answer with Server-Sent Events.
    #[serde(default)]
    pub(crate) stream: bool,
    /// Answer `202` as soon as the question is stored; the reply is read from the context.
    #[serde(default)]
    pub(crate) background: bool,
    /// Merge patch over the state, before the model answers.
    pub(crate) state: Option<Object>,
    /// Instructions of this turn, instead of the context's.
    pub(crate) system: Option<String>,
    /// The longest reply, in tokens.
    pub(crate) max_tokens: Option<u32>,
    /// Joined tools that the model may use: `joined`, `none`, a list of names such as
    /// `github__*`, or an object with `names`, `approved`, `rounds`, `seconds` and `cost_usd`.
    #[schema(value_type = Option<Value>)]
    pub(crate) tools: Option<Value>,
    /// Randomness, 0 to 2.
    pub(crate) temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub(crate) top_p: Option<f64>,
    /// Texts that end the reply.
    pub(crate) stop: Option<Vec<String>>,
    /// Further fields of the model's own API.
    pub(crate) parameters: Option<Object>,
    /// How the window is chosen for this turn: `budget`, `full`, `last` or `summary`, or an
    /// object with `strategy`, `turns`, `tokens`, `recall`, `clear_tools` and `summarizer`.
    #[schema(value_type = Option<Value>)]
    pub(crate) window: Option<Value>,
    /// The same as the header `Idempotency-Key`.
    pub(crate) request_id: Option<String>,
}

/// The body of `POST /api/v1/contexts/{id}/turns/retry`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// Another model than before.
    pub(crate) model: Option<String>,
    /// Answer with Server-Sent Events.
    pub(crate) stream: bool,
}

/// An error, as `application/problem+json` (RFC 9457) with members of ours.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// A URL that names the code.
    r#type: String,
    /// The status in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What went wrong.
    detail: String,
    /// The same as `detail`.
    error: String,
    /// The stable code.
    code: String,
    /// `caller`, `upstream` or `server`.
    blame: String,
    /// What to do next.
    hint: Option<String>,
    /// The request, as the log names it.
    request_id: String,
    /// Machine-readable facts.
    details: Option<Value>,
}

/// A point in time as every surface prints it: UTC, microseconds, explicit `+00:00`.
pub(crate) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// A context without its messages. `window_tokens` is what its model can take.
pub(crate) fn context(found: &Context, window_tokens: u32) -> Value {
    let share = f64::from(u32::try_from(found.size.tokens).unwrap_or(u32::MAX))
        / f64::from(window_tokens.max(1));
    json!({
        "id": &*found.id,
        "title": found.title,
        "user": found.user,
        "status": found.status.as_str(),
        "created_at": time(found.created_at),
        "last_updated": time(found.last_updated),
        "revision": found.revision,
        "system": found.system,
        "settings": found.settings,
        "state": found.state,
        "metadata": found.metadata,
        "size": {
            "messages": found.size.messages,
            "turns": found.size.turns,
            "bytes": found.size.bytes,
            "tokens": found.size.tokens,
            "window_share": (share * 10_000.0).round() / 10_000.0,
        },
        "open_turn": found.open_turn,
        "expires_at": found.expires_at.map(time),
        "parent": found.parent.as_deref(),
        "fork_seq": found.fork_seq,
    })
}

/// A message with everything that is known of it.
pub(crate) fn message(entry: &Entry) -> Value {
    json!({
        "seq": entry.seq,
        "role": entry.role.as_str(),
        "content": content(entry),
        "timestamp": time(entry.at),
        "status": entry.status.as_str(),
        "model": entry.model,
        "tokens": entry.tokens,
        "meta": meta(entry),
        "dialect": entry.content.dialect(),
    })
}

/// What a caller may see of a message's meta: not the rendering's own notes.
fn meta(entry: &Entry) -> Value {
    let mut meta = entry.meta.clone();
    meta.shift_remove("told");
    meta.shift_remove("recalled");
    Value::Object(meta)
}

/// The content as JSON: text as a string, blocks as they came.
pub(crate) fn content(entry: &Entry) -> Value {
    match &entry.content {
        context::Content::Text(text) => Value::String(text.clone()),
        context::Content::Raw(raw) => serde_json::from_str(raw.json.get()).unwrap_or(Value::Null),
    }
}

/// A turn, whole.
pub(crate) fn turn(answered: &Answered) -> Value {
    let turn = &answered.turn;
    let entry = &turn.message;
    let provider = crate::flow::provider_of(turn);
    let ms = u64::try_from(answered.elapsed.as_millis()).unwrap_or(u64::MAX);
    let mut out = json!({
        "context_id": &*turn.context,
        "turn": turn.number,
        "revision": turn.revision,
        "model": entry.model,
        "provider": provider,
        "offline": provider == "offline",
        "text": crate::flow::plain(&entry.content),
        "message": {"seq": entry.seq, "role": entry.role.as_str(), "content": content(entry),
                    "timestamp": time(entry.at), "status": entry.status.as_str()},
        "stop_reason": entry.meta.get("stop_reason"),
        "usage": entry.meta.get("usage"),
        "tool_calls": entry.meta.get("tool_calls"),
        "processing_time_ms": ms,
        "window": entry.meta.get("window"),
        "state": turn.state,
        "replayed": turn.replayed,
    });
    if let (Value::Object(out), Some(warning)) = (&mut out, warning(entry)) {
        out.insert("warning".to_owned(), warning.into());
    }
    with_confidence(out, entry)
}

/// Adds how likely the model held its words, where it said so.
pub(crate) fn with_confidence(mut out: Value, entry: &Entry) -> Value {
    if let (Value::Object(out), Some(found)) = (&mut out, entry.meta.get("confidence")) {
        out.insert("confidence".to_owned(), found.clone());
    }
    out
}

/// What a caller would not expect of a reply that is no error, in a sentence.
pub(crate) fn warning(entry: &Entry) -> Option<&'static str> {
    match entry.meta.get("stop_reason").and_then(Value::as_str) {
        Some("refusal") => Some("the model refused to answer"),
        Some("max_tokens") => Some("the answer was cut off: it reached `max_tokens`"),
        Some("model_context_window_exceeded") => {
            Some("the answer was cut off: the model's window is full")
        }
        Some("end_turn") if says_nothing(entry) => {
            Some("the model answered without saying anything; ask again, or another model")
        }
        _ => None,
    }
}

fn says_nothing(entry: &Entry) -> bool {
    let is_text = entry.content.dialect().is_none();
    is_text && crate::flow::plain(&entry.content).trim().is_empty()
}
