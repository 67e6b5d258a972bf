//! Turns that were begun earlier: what became of one, and its stream picked up where it was cut.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use context::{EntryStatus, Key, Past};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wire::frame::sse;
use wire::{Code, Fault};

use super::contexts::{bad_query, one_of, tag, touched};
use super::read;
use super::shape::{self, Problem};
use crate::auth::Caller;
use crate::flow::{End, Heard, Replay, plain};
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// Limit: the longest silence; then a comment shows that we are alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// What became of a turn: running, complete or failed; `last` is the newest.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/turns/{number}", tag = "turns",
    params(("id" = String, Path), ("number" = String, Path, description = "From 1, or `last`")),
    responses((status = 200, description = "`status`, the question and the reply", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn turn(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let past = gate.contexts().turn(&key, self::number(&number)?).await?;
    let mut response = axum::Json(of(&past)).into_response();
    tag(&mut response, past.revision);
    Ok(touched(response, &key))
}

/// Where to go on.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct StreamQuery {
    /// Tell the events after this one. The header `Last-Event-ID`, which browsers send when they
    /// come back, wins.
    after: Option<String>,
}

/// Goes on with the stream of a turn, from the beginning or after an event that was heard.
///
/// While the turn runs, and for a moment after, nothing is missing. Later the stream is the one
/// event `done`, with the whole reply.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/turns/{number}/stream", tag = "turns",
    params(("id" = String, Path), ("number" = String, Path, description = "From 1, or `last`"),
           StreamQuery),
    responses((status = 200, description = "Server-Sent Events as those of the turn",
               content_type = "text/event-stream", body = String),
              (status = 204, description = "Everything was heard"),
              (status = 404, body = Problem),
              (status = 409, description = "What was missed is no longer kept", body = Problem)))]
pub(crate) async fn stream(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, number)): Path<(String, String)>,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after: u64 = match last.or(query.after.as_deref()) {
        None => 0,
        Some(text) => text.parse().map_err(|error: std::num::ParseIntError| {
            one_of("after", text, "the id of an event of this turn").because(error)
        })?,
    };
    let past = gate.contexts().turn(&key, self::number(&number)?).await?;
    let Some(replay) = gate.replays().find(&key, past.number) else {
        let bytes = told(after.saturating_add(1), &folded(&past));
        return Ok(touched(answer(Body::from(bytes)), &key));
    };
    if replay.last().is_some_and(|last| after >= last) {
        return Ok(touched(StatusCode::NO_CONTENT.into_response(), &key));
    }
    // What was missed too long ago is an ordinary error, before anything is sent.
    if let Ok(Heard::Lost) = tokio::time::timeout(Duration::ZERO, replay.hear(after)).await {
        return Err(lost().into());
    }
    Ok(touched(answer(Body::from_stream(events(replay, after))), &key))
}

fn answer(body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, body).into_response()
}

fn events(
    replay: Arc<Replay>,
    after: u64,
) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(Some((replay, after)), |place| async move {
        let (replay, after) = place?;
        let heard = tokio::time::timeout(HEARTBEAT, replay.hear(after)).await;
        let (bytes, next) = match heard {
            Err(_) => (sse::comment("ping"), Some(after)),
            Ok(Heard::Piece(number, piece)) => {
                (sse::encode(Some(piece.name), Some(number), &piece.data.to_string()), Some(number))
            }
            Ok(Heard::End(number, end)) => (told(number, &last_event(&end)), None),
            Ok(Heard::Lost) => {
                let object = crate::surface::problem::object(&lost(), "");
                (told(after.saturating_add(1), &("error", Value::Object(object))), None)
            }
        };
        Some((Ok(bytes), next.map(|after| (replay, after))))
    })
}

fn told(number: u64, (name, data): &(&'static str, Value)) -> Bytes {
    sse::encode(Some(name), Some(number), &data.to_string())
}

/// The last event of a turn.
fn last_event(end: &End) -> (&'static str, Value) {
    match end {
        End::Done(answered) => ("done", shape::turn(answered)),
        End::Failed(object) => ("error", Value::Object(Map::clone(object))),
    }
}

/// The last event of a turn that only the log remembers.
fn folded(past: &Past) -> (&'static str, Value) {
    let name = if past.status == EntryStatus::Failed { "error" } else { "done" };
    (name, of(past))
}

/// A turn as the log has it; a reply has the members that a turn's answer has.
pub(crate) fn of(past: &Past) -> Value {
    let status = match past.status {
        EntryStatus::Pending => "running",
        EntryStatus::Failed => "failed",
        EntryStatus::Complete | EntryStatus::Partial => "complete",
    };
    let mut out = Map::new();
    out.insert("context_id".to_owned(), (&*past.context).into());
    out.insert("turn".to_owned(), past.number.into());
    out.insert("status".to_owned(), status.into());
    out.insert("revision".to_owned(), past.revision.into());
    out.insert("question".to_owned(), shape::message(&past.user));
    if let Some(reply) = &past.reply {
        out.insert("model".to_owned(), reply.model.clone().into());
        out.insert("text".to_owned(), plain(&reply.content).into());
        out.insert("message".to_owned(), shape::message(reply));
        for name in ["stop_reason", "usage", "window"] {
            out.insert(name.to_owned(), reply.meta.get(name).cloned().unwrap_or_default());
        }
        if let Some(warning) = shape::warning(reply) {
            out.insert("warning".to_owned(), warning.into());
        }
    }
    if past.status == EntryStatus::Failed {
        let why = past.user.meta.get("failure").cloned().unwrap_or_default();
        out.insert("error".to_owned(), "the turn failed; its question can be retried".into());
        out.insert("code".to_owned(), why);
        let place = super::contexts::escape(&past.context);
        let hint = format!("POST /api/v1/contexts/{place}/turns/retry answers it again");
        out.insert("hint".to_owned(), hint.into());
    }
    out.insert("state".to_owned(), past.state.clone().into());
    Value::Object(out)
}

/// The turn that a caller names; `None` is the newest.
pub(crate) fn number(text: &str) -> Result<Option<u64>, Fault> {
    if text == "last" {
        return Ok(None);
    }
    let wrong = |error| one_of("turn", text, "a number from 1, or `last`").because(error);
    text.parse().map(Some).map_err(|error: std::num::ParseIntError| wrong(error))
}

/// The missed events are gone.
pub(crate) fn lost() -> Fault {
    Fault::new(Code::Conflict, "the events that were missed are no longer kept")
        .hint("wait for the reply: GET …/turns/{number} has it when the turn is over")
        .details(json!({"reason": "events_lost"}))
}

/// A wish to go on with a turn, as the transports without paths write it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resume {
    /// Which turn; the newest unless given.
    pub(crate) turn: Option<u64>,
    /// The last event that was heard.
    pub(crate) after: u64,
}

impl Resume {
    /// Reads `resume`: `true`, or `{turn?, after?}`; `None` when the message has no such member.
    pub(crate) fn read(map: &Map<String, Value>) -> Result<Option<Self>, Fault> {
        let wish = match map.get("resume") {
            None | Some(Value::Null | Value::Bool(false)) => return Ok(None),
            Some(Value::Bool(true)) => return Ok(Some(Self::default())),
            Some(Value::Object(wish)) => wish,
            Some(other) => {
                return Err(crate::surface::fields::wrong("resume", "`true` or an object", other));
            }
        };
        let whole = |name: &str| match wish.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| {
                crate::surface::fields::wrong(&format!("resume.{name}"), "a whole number", value)
            }),
        };
        Ok(Some(Self { turn: whole("turn")?, after: whole("after")?.unwrap_or(0) }))
    }

    /// The turn it means, and what it has told, while that is kept.
    pub(crate) async fn find(
        self,
        gate: &Gateway,
        key: &Key,
    ) -> Result<(Past, Option<Arc<Replay>>), Fault> {
        let past = gate.contexts().turn(key, self.turn).await?;
        let replay = gate.replays().find(key, past.number);
        Ok((past, replay))
    }
}
