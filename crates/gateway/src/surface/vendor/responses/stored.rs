//! A stored response as its caller sees it: what was asked, what became of it, what was said.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use context::{Entry, EntryStatus, Key, Slice};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use wire::dialect::{Asked, Dialect, Shown, named};
use wire::prompt::{Message, Role};
use wire::reply::{Reply, Stop, Usage};
use wire::{Code, Fault};

use crate::gate::Gateway;
use crate::surface::vendor::remember;

/// Limit: bytes of what is noted of a request; its longest fields are left out beyond them.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// What a turn's failure is called when somebody stopped it.
const CANCELLED: &str = "cancelled";

/// How a stored response is wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct GetQuery {
    /// `true` for its events.
    stream: Option<String>,
    /// The number of the event after which they begin.
    starting_after: Option<String>,
}

/// The event after which a stream is wanted; `Some(None)` for all of it, `None` for no stream.
#[expect(clippy::option_option, reason = "no stream, a whole one, or the rest of one")]
pub(super) fn after(
    query: Result<Query<GetQuery>, QueryRejection>,
) -> Result<Option<Option<u64>>, Fault> {
    let Query(query) = query.map_err(|cause| {
        Fault::new(Code::InvalidInput, "the query cannot be read").hint(cause.body_text())
    })?;
    let wrong = |field: &str, expected: &str| {
        Fault::new(Code::InvalidInput, format!("`{field}` must be {expected}"))
            .details(json!({"field": field}))
    };
    match query.stream.as_deref() {
        None | Some("false" | "") => return Ok(None),
        Some("true") => {}
        Some(_) => return Err(wrong("stream", "true or false")),
    }
    let number = query.starting_after.as_deref().filter(|text| !text.is_empty());
    let number = number.map(str::parse::<u64>).transpose();
    number.map(Some).map_err(|cause| {
        wrong("starting_after", "the `sequence_number` of an event").because(cause)
    })
}

/// A stored response.
#[derive(Debug)]
pub(super) struct Stored {
    /// The response object.
    pub(super) value: Value,
    /// What the model said, whole; nothing while it is being made or when it failed.
    pub(super) reply: Option<Reply>,
    /// What the answer shows beside that.
    pub(super) shown: Shown,
    /// It was made in the background.
    pub(super) background: bool,
    /// It is not there yet.
    pub(super) is_open: bool,
}

/// Reads a stored response.
pub(super) async fn read(gate: &Gateway, key: &Key) -> Result<Stored, Fault> {
    let found = gate.contexts().get(key).await?;
    let last = newest(gate, key).await?;
    let dialect = dialect()?;
    let created = u64::try_from(found.created_at.as_second()).unwrap_or(0);
    let mut noted = noted(&found.metadata);
    let wanted = noted.shift_remove("model");
    let echo = noted.into_iter().filter_map(|(name, value)| Some((name, raw(&value)?)));
    let echo = echo.collect();
    let mut shown = Shown { id: key.id.to_string(), created, echo, ..Shown::default() };
    let mut newest = last.iter();
    let (one, two) = (newest.next(), newest.next());
    let is_open = found.open_turn.is_some();
    let whole = one.filter(|entry| {
        !is_open && entry.role == Role::Assistant && entry.status == EntryStatus::Complete
    });
    let partial = one.filter(|entry| entry.status == EntryStatus::Partial);
    let asked = if partial.is_some() { two } else { one };
    let model = one.and_then(|entry| entry.model.clone());
    let wanted = wanted.and_then(|name| Some(name.as_str()?.to_owned()));
    // By the name it was asked under, as an answer at once: that of a route, not of its target.
    shown.model = wanted.filter(|name| !name.is_empty()).or(model).unwrap_or_default();
    let reply = whole.map(|entry| remember::reply_of_entry(entry, key.id.to_string()));
    let object = match (&reply, partial) {
        (Some(reply), _) => dialect.reply(reply, &shown),
        (None, Some(entry)) => {
            dialect.reply(&remember::reply_of_entry(entry, key.id.to_string()), &shown)
        }
        (None, None) => dialect.reply(&nothing(), &shown),
    };
    let mut value: Value = serde_json::from_slice(&object)
        .map_err(|cause| Fault::internal("a response is not JSON").because(cause))?;
    if reply.is_none()
        && let Some(object) = value.as_object_mut()
    {
        unfinished(object, is_open, asked);
    }
    let background = found.metadata.get("background") == Some(&Value::Bool(true));
    Ok(Stored { value, reply, shown, background, is_open })
}

/// Says of a response without a whole answer what became of it.
fn unfinished(object: &mut Map<String, Value>, is_open: bool, asked: Option<&Entry>) {
    object.insert("usage".to_owned(), Value::Null);
    object.insert("incomplete_details".to_owned(), Value::Null);
    let failure = asked.and_then(|entry| entry.meta.get("failure")).and_then(Value::as_str);
    let status = match failure {
        _ if is_open => "in_progress",
        Some(CANCELLED) => "cancelled",
        Some(_) | None => "failed",
    };
    object.insert("status".to_owned(), status.into());
    if status == "failed" {
        let message = failure.unwrap_or("the server stopped before the model was asked");
        object.insert("error".to_owned(), json!({"code": "server_error", "message": message}));
    }
}

/// The last two messages, the newest first.
async fn newest(gate: &Gateway, key: &Key) -> Result<Vec<Entry>, Fault> {
    let slice = Slice { limit: 2, last: Some(2), newest_first: true, ..Slice::default() };
    Ok(gate.contexts().messages(key, slice).await?.items)
}

/// The number of the last message that a response was asked.
pub(super) async fn question(gate: &Gateway, key: &Key) -> Result<u32, Fault> {
    let last = newest(gate, key).await?;
    let asked = last.iter().find(|entry| entry.role != Role::Assistant);
    Ok(asked.or(last.first()).map_or(0, |entry| entry.seq))
}

pub(super) fn dialect() -> Result<&'static dyn Dialect, Fault> {
    named("openai_responses").ok_or_else(|| Fault::internal("a dialect is gone"))
}

fn nothing() -> Reply {
    Reply {
        id: String::new(),
        model: String::new(),
        message: Message { role: Role::Assistant, blocks: Vec::new(), raw: None },
        stop: Stop::End,
        usage: Usage::default(),
        confidence: None,
    }
}

/// What an answer repeats of its request, as one text; of what is too long the longest goes.
pub(super) fn request(asked: &Asked) -> String {
    let mut fields: Vec<(&str, &str)> =
        asked.echo.iter().map(|(name, raw)| (name.as_str(), raw.get())).collect();
    let size = |fields: &[(&str, &str)]| fields.iter().map(|(_, json)| json.len()).sum::<usize>();
    while size(&fields) > REQUEST_BYTES_MAX {
        let longest = fields.iter().enumerate().max_by_key(|(_, (_, json))| json.len());
        let Some((at, _)) = longest else { break };
        fields.remove(at);
    }
    let mut out: Map<String, Value> = fields
        .into_iter()
        .filter_map(|(name, json)| Some((name.to_owned(), serde_json::from_str(json).ok()?)))
        .collect();
    out.insert("model".to_owned(), asked.prompt.model.clone().into());
    Value::Object(out).to_string()
}

/// What was noted by [`request`].
fn noted(metadata: &Map<String, Value>) -> Map<String, Value> {
    let text = metadata.get("request").and_then(Value::as_str).unwrap_or("{}");
    serde_json::from_str(text).unwrap_or_default()
}

/// A value as its text.
pub(super) fn raw(value: &Value) -> Option<Box<RawValue>> {
    RawValue::from_string(value.to_string()).ok()
}
