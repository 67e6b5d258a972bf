//! The points at which a call may be held, and what is to be seen there.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::response::Response;
use context::{Content, Key, OpenTurn, StateEdit, Turn};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use wire::prompt::Prompt;
use wire::{Code, Fault};

use super::{Point, Seen};
use crate::flow::Ask;
use crate::gate::Gateway;
use crate::model::Upstream;

/// Limit: bytes of a whole answer that is held.
const ANSWER_BYTES_MAX: usize = 16 << 20;

fn path_of(key: &Key) -> String {
    format!("/api/v1/contexts/{}", key.id)
}

/// Bytes as JSON where they are, else as text.
fn read(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_text| String::from_utf8_lossy(bytes).into_owned().into())
}

fn said(content: &Content) -> Value {
    match content {
        Content::Text(text) => Value::String(text.clone()),
        Content::Raw(raw) => read(raw.json.get().as_bytes()),
    }
}

/// A turn was asked for.
///
/// # Errors
/// As [`super::Debugging::pass`]; so for all of these.
pub(crate) async fn turned(gate: &Gateway, ask: &Ask) -> Result<(), Fault> {
    let mut message = Map::new();
    message.insert("content".to_owned(), said(&ask.content));
    message.insert("messages_before".to_owned(), ask.before.len().into());
    if let Some(edit) = &ask.state {
        let (how, state) = match edit {
            StateEdit::MergePatch(state) => ("merge_patch", state),
            StateEdit::Shallow(state) => ("shallow", state),
            StateEdit::Replace(state) => ("replace", state),
        };
        message.insert("state".to_owned(), json!({how: state}));
    }
    let seen = Seen {
        point: Point::Parsed,
        path: path_of(&ask.key),
        request: Arc::clone(&ask.envelope.request),
        turn: None,
        model: ask.overrides.model.clone(),
        message: message.into(),
    };
    gate.debugging().pass(seen).await
}

/// A stateless call was read.
pub(crate) async fn parsed(
    gate: &Gateway,
    (request, path): (&Arc<str>, &str),
    (model, body): (Option<&str>, &[u8]),
) -> Result<(), Fault> {
    let seen = Seen {
        point: Point::Parsed,
        path: path.to_owned(),
        request: Arc::clone(request),
        turn: None,
        model: model.map(ToOwned::to_owned),
        message: read(body),
    };
    gate.debugging().pass(seen).await
}

/// A turn is part of its context. One whose caller `left` is not held: it goes on as its context's
/// settings say, and nobody has to look at it.
pub(crate) async fn joined(
    gate: &Gateway,
    open: &OpenTurn,
    left: Option<&CancellationToken>,
) -> Result<(), Fault> {
    // There in step mode alone.
    let Some(left) = left else { return Ok(()) };
    let context = &open.context;
    let seen = Seen {
        point: Point::Joined,
        path: path_of(&open.key),
        request: Arc::default(),
        turn: Some(open.number),
        model: context.settings.model.clone(),
        message: json!({
            "context_id": &*context.id, "revision": context.revision, "state": context.state,
            "messages": context.size.messages, "tokens": context.size.tokens,
            "user_seq": open.user_seq, "created": open.created,
        }),
    };
    until(left, Box::pin(gate.debugging().pass(seen))).await
}

/// What was decided, or that it goes on since its caller `left`.
async fn until(
    left: &CancellationToken,
    held: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    tokio::select! {
        passed = held => passed,
        () = left.cancelled() => Ok(()),
    }
}

/// The request of a turn is written; held as in [`joined`].
pub(crate) async fn written(
    (gate, open): (&Gateway, &OpenTurn),
    (upstream, prompt, stream): (&Upstream, &Prompt, bool),
    left: Option<&CancellationToken>,
) -> Result<(), Fault> {
    // There in step mode alone.
    let Some(left) = left else { return Ok(()) };
    let about = (&Arc::default(), path_of(&open.key), Some(open.number));
    let sent = (upstream, Sent::Prompt(prompt), stream);
    until(left, Box::pin(prompted(gate, about, sent))).await
}

/// The request of a model is written: who is asked, and with what, to the byte.
pub(crate) async fn prompted(
    gate: &Gateway,
    (request, path, turn): (&Arc<str>, String, Option<u64>),
    (upstream, prompt, stream): (&Upstream, Sent<'_>, bool),
) -> Result<(), Fault> {
    let (url, headers, body) = match prompt {
        Sent::Prompt(prompt) => upstream.render(prompt, stream),
        Sent::Bytes(bytes) => (upstream.shown_url(stream), Vec::new(), bytes.to_vec()),
    };
    let headers: Map<String, Value> =
        headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    let seen = Seen {
        point: Point::Prompt,
        path,
        request: Arc::clone(request),
        turn,
        model: Some(format!("{}/{}", upstream.provider(), upstream.model())),
        message: json!({"url": url, "headers": headers, "body": read(&body)}),
    };
    gate.debugging().pass(seen).await
}

/// What is sent to a model.
#[derive(Clone, Copy)]
pub(crate) enum Sent<'a> {
    /// A prompt, in the dialect of the upstream.
    Prompt(&'a Prompt),
    /// The caller's own bytes.
    Bytes(&'a [u8]),
}

/// The answer to a turn is stored.
pub(crate) async fn answered(gate: &Gateway, request: &Arc<str>, turn: &Turn) -> Result<(), Fault> {
    let seen = Seen {
        point: Point::Answer,
        path: format!("/api/v1/contexts/{}", turn.context),
        request: Arc::clone(request),
        turn: Some(turn.number),
        model: turn.message.model.clone(),
        message: json!({
            "content": said(&turn.message.content), "meta": turn.message.meta,
            "state": turn.state, "revision": turn.revision,
        }),
    };
    gate.debugging().pass(seen).await
}

/// The answer to a stateless call is there: whole, or, where it is streamed, its head.
pub(crate) async fn parsed_answer(
    gate: &Gateway,
    (request, path, model): (&Arc<str>, &str, Option<&str>),
    (response, stream): (Response, bool),
) -> Result<Response, Fault> {
    let (head, body) = response.into_parts();
    let is_whole = !stream || body.size_hint().exact().is_some();
    let (body, shown) = if is_whole {
        let bytes = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await.map_err(|cause| {
            Fault::new(Code::UpstreamInvalid, "the answer broke off").because(cause)
        })?;
        let shown = read(&bytes);
        (Body::from(bytes), shown)
    } else {
        (body, Value::Null)
    };
    let headers: Map<String, Value> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or("").into()))
        .collect();
    let seen = Seen {
        point: Point::Answer,
        path: path.to_owned(),
        request: Arc::clone(request),
        turn: None,
        model: model.map(ToOwned::to_owned),
        message: json!({
            "status": head.status.as_u16(), "headers": headers, "body": shown,
            "streamed": !is_whole,
        }),
    };
    gate.debugging().pass(seen).await?;
    Ok(Response::from_parts(head, body))
}
