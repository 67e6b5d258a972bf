//! Context API, second shape: `/api/mcp/interact`, sessions that come into being on first use.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use context::{EntryStatus, Idem, Key, Past, StateEdit};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Code, Fault};

use super::door::RequestId;
use super::native::contexts::touched;
use super::native::resume::{self, Resume};
use super::native::shape::{Problem, with_confidence};
use super::native::{models, read as native_read, turns};
use super::problem::Failed;
use super::stream::{self, Shape};
use super::{body, fields};
use crate::auth::Caller;
use crate::flow::{self, Answered, Ask, End, Envelope, Heard};
use crate::gate::Gateway;
use crate::model::Door;

const SHAPE: Shape = Shape { done, failed: |_| Map::new() };

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(interact)).routes(routes!(status))
}

/// Says something in a session: `{sessionId, message, context}` to
/// `{sessionId, response, updatedContext}`.
#[utoipa::path(post, path = "/api/mcp/interact", tag = "context API", request_body = Object,
    responses((status = 200, description = "`sessionId`, `response`, `updatedContext`",
               body = Object),
              (status = 400, body = Problem)))]
async fn interact(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    request: Request,
) -> Result<Response, Failed> {
    let headers = request.headers().clone();
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request.into_body(), &limits).await?;
    body::media_type(&headers)?;
    let map = body::object_or_empty(&bytes, limits.json_depth)?;
    let said = read(&map)?;
    let streamed = said.stream || stream::wanted(&headers);
    let named = fields::text(&map, "request_id")?;
    let idem = native_read::idem(&headers, named, "interact", &bytes)?;
    let expect = native_read::expected(&headers)?;
    let envelope = Envelope::new(&caller, &request_id.0, &headers);
    let ask = Ask { idem, expect, envelope, ..said.ask(&caller, None)? };
    let key = ask.key.clone();
    if streamed {
        let gate = gate.clone();
        let start = move |steps| -> stream::Turning {
            Box::pin(async move { flow::turn(&gate, ask, Some(steps)).await })
        };
        return stream::respond(start, Arc::clone(&request_id.0), SHAPE).await;
    }
    let answered = flow::turn(&gate, ask, None).await?;
    Ok(touched(axum::Json(reply(&answered)).into_response(), &key))
}

/// The state of the server; the same object as `/api/v1/status`.
#[utoipa::path(get, path = "/api/mcp/status", tag = "context API",
    responses((status = 200, description = "The server's state", body = Object)))]
async fn status(State(gate): State<Gateway>) -> axum::Json<Value> {
    axum::Json(models::describe(&gate).await)
}

/// A message of this shape, whatever transport carried it.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) session: Option<String>,
    pub(crate) stream: bool,
    message: Option<String>,
    context: Option<Map<String, Value>>,
    overrides: flow::Overrides,
}

/// Reads a message of this shape.
///
/// # Errors
/// `invalid_input`, naming the field.
pub(crate) fn read(map: &Map<String, Value>) -> Result<Said, Fault> {
    Ok(Said {
        session: fields::id(map)?,
        stream: fields::flag(map, "stream")?,
        message: fields::text(map, "message")?.map(str::to_owned),
        context: fields::object(map, "context")?.cloned(),
        overrides: turns::loose_overrides(map)?,
    })
}

impl Said {
    /// The turn it asks for. Without a session of its own it goes to `default`, else to a new one
    /// that nobody shares.
    pub(crate) fn ask(self, caller: &Caller, default: Option<&str>) -> Result<Ask, Fault> {
        let tenant = caller.tenant;
        let text = self.message.ok_or_else(|| fields::missing("message"))?;
        let key = match self.session.as_deref().or(default) {
            Some(id) => Key::new(tenant, id)?,
            None => Key::fresh(tenant),
        };
        Ok(Ask {
            create: true,
            state: self.context.filter(|map| !map.is_empty()).map(StateEdit::Shallow),
            remember_last: true,
            overrides: self.overrides,
            envelope: Envelope::of(caller),
            ..turns::plain_ask(key, text, Door::Interact)
        })
    }
}

/// The idempotency key of transports without headers: the field `request_id`.
pub(crate) fn idem_of(map: &Map<String, Value>, bytes: &[u8]) -> Result<Option<Idem>, Fault> {
    let named = fields::text(map, "request_id")?;
    native_read::idem(&http::HeaderMap::new(), named, "interact", bytes)
}

/// The end of a stream: the reply, and what a reader of the pieces cannot know.
fn done(answered: &Answered) -> Value {
    let mut out = reply(answered);
    if let Some(map) = out.as_object_mut() {
        let message = &answered.turn.message;
        map.insert("model".to_owned(), message.model.clone().into());
        map.insert("usage".to_owned(), message.meta.get("usage").cloned().unwrap_or_default());
    }
    with_confidence(out, &answered.turn.message)
}

/// The reply of this shape.
pub(crate) fn reply(answered: &Answered) -> Value {
    let turn = &answered.turn;
    json!({
        "sessionId": &*turn.context,
        "response": flow::plain(&turn.message.content),
        "updatedContext": turn.state,
    })
}

/// The final object of a turn that was picked up again, whatever its transport.
pub(crate) fn ended(end: End, request: &str) -> Value {
    match end {
        End::Done(answered) => reply(&answered),
        End::Failed(object) => {
            let mut object = Map::clone(&object);
            object.insert("request_id".to_owned(), request.into());
            Value::Object(object)
        }
    }
}

/// The final object of a turn that only the log remembers.
///
/// # Errors
/// What became of a turn without a reply.
pub(crate) fn folded(past: &Past) -> Result<Value, Fault> {
    match (&past.reply, past.status) {
        (Some(message), EntryStatus::Complete) => Ok(json!({
            "sessionId": &*past.context,
            "response": flow::plain(&message.content),
            "updatedContext": past.state,
        })),
        (_, EntryStatus::Pending) => {
            Err(Fault::new(Code::Conflict, format!("turn {} is still running", past.number))
                .hint("ask again, or read it with GET /api/v1/contexts/{id}/turns/{number}"))
        }
        _ => Err(Fault::new(Code::Conflict, format!("turn {} failed", past.number))
            .hint("send the message again, or retry the turn")
            .details(json!({"reason": "failed"}))),
    }
}

/// Waits for the end of a turn that the caller asked for earlier.
///
/// # Errors
/// `not_found` when there is no such turn; whatever the turn failed with, in its object.
pub(crate) async fn resumed(
    gate: &Gateway,
    key: &Key,
    resume: Resume,
    request: &str,
) -> Result<Value, Fault> {
    let (past, replay) = resume.find(gate, key).await?;
    let Some(replay) = replay else { return folded(&past) };
    let mut after = resume.after;
    loop {
        match replay.hear(after).await {
            Heard::Piece(number, _) => after = number,
            Heard::End(_, end) => return Ok(ended(end, request)),
            Heard::Lost => return Err(resume::lost()),
        }
    }
}
