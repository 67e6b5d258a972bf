//! Context API, first shape: `/mcp/context` and `/api/context`, contexts made on request.

use std::sync::Arc;

use axum::extract::{Extension, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use context::{Context, Entry, Key, New, Slice};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Blame, Code, Fault, Kind};

use super::door::RequestId;
use super::native::contexts::{remove, touched};
use super::native::guarded::Guarded;
use super::native::shape::{self, Object, Problem, with_confidence};
use super::native::{read, turns};
use super::problem::Failed;
use super::stream::{self, Shape};
use super::{body, fields};
use crate::auth::Caller;
use crate::flow::{self, Answered, Ask, Envelope};
use crate::gate::Gateway;
use crate::model::Door;
use crate::settings::UpstreamFailure;

/// What a caller reads when the model cannot be reached. It is never stored and never sent back
/// to a model.
pub(crate) const APOLOGY: &str =
    "I'm sorry, I'm having trouble connecting to the AI at the moment.";

const SHAPE: Shape = Shape { done, failed: apology };

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(create_api))
        .routes(routes!(get, delete))
        .routes(routes!(get_api, delete_api))
        .routes(routes!(message))
        .routes(routes!(message_api))
}

/// Makes a context; the body is optional.
#[utoipa::path(post, path = "/mcp/context", tag = "context API", request_body = Option<Object>,
    responses((status = 201, description = "`context_id` and `message`", body = Object)))]
async fn create(gate: State<Gateway>, caller: Extension<Caller>, r: Request) -> Answer {
    make(gate.0, caller.0, r).await
}

/// The same as `POST /mcp/context`.
#[utoipa::path(post, path = "/api/context/create", tag = "context API",
    request_body = Option<Object>,
    responses((status = 201, description = "`context_id` and `message`", body = Object)))]
async fn create_api(gate: State<Gateway>, caller: Extension<Caller>, r: Request) -> Answer {
    make(gate.0, caller.0, r).await
}

/// The whole context with all messages.
#[utoipa::path(get, path = "/mcp/context/{id}", tag = "context API",
    params(("id" = String, Path)),
    responses((status = 200, description = "The context", body = Object),
              (status = 404, body = Problem)))]
async fn get(gate: State<Gateway>, caller: Extension<Caller>, id: Path<String>) -> Answer {
    show(gate.0, caller.0, id.0).await
}

/// The same as `GET /mcp/context/{id}`.
#[utoipa::path(get, path = "/api/context/{id}", tag = "context API",
    params(("id" = String, Path)),
    responses((status = 200, description = "The context", body = Object),
              (status = 404, body = Problem)))]
async fn get_api(gate: State<Gateway>, caller: Extension<Caller>, id: Path<String>) -> Answer {
    show(gate.0, caller.0, id.0).await
}

/// Deletes a context.
#[utoipa::path(delete, path = "/mcp/context/{id}", tag = "context API",
    params(("id" = String, Path)),
    responses((status = 200, description = "`message`", body = Object),
              (status = 404, body = Problem)))]
async fn delete(
    gate: State<Gateway>,
    caller: Extension<Caller>,
    id: Path<String>,
    contexts: Guarded,
) -> Answer {
    drop_it(gate.0, caller.0, id.0, contexts).await
}

/// The same as `DELETE /mcp/context/{id}`.
#[utoipa::path(delete, path = "/api/context/{id}", tag = "context API",
    params(("id" = String, Path)),
    responses((status = 200, description = "`message`", body = Object),
              (status = 404, body = Problem)))]
async fn delete_api(
    gate: State<Gateway>,
    caller: Extension<Caller>,
    id: Path<String>,
    contexts: Guarded,
) -> Answer {
    drop_it(gate.0, caller.0, id.0, contexts).await
}

/// Says something in a context: `{message}` to `{context_id, ai_response}`.
#[utoipa::path(post, path = "/mcp/context/{id}/message", tag = "context API",
    params(("id" = String, Path)), request_body = Object,
    responses((status = 200, description = "`context_id` and `ai_response`", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 503, description = "With `ai_response`", body = Problem)))]
async fn message(
    gate: State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    id: Path<String>,
    r: Request,
) -> Answer {
    say(gate.0, (who.0.0, who.1.0), id.0, r).await
}

/// The same as `POST /mcp/context/{id}/message`.
#[utoipa::path(post, path = "/api/context/{id}/message", tag = "context API",
    params(("id" = String, Path)), request_body = Object,
    responses((status = 200, description = "`context_id` and `ai_response`", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem)))]
async fn message_api(
    gate: State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    id: Path<String>,
    r: Request,
) -> Answer {
    say(gate.0, (who.0.0, who.1.0), id.0, r).await
}

type Answer = Result<Response, Failed>;

async fn make(gate: Gateway, caller: Caller, request: Request) -> Answer {
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request.into_body(), &limits).await?;
    // A body that cannot be read does not keep a context from being made; it is reported.
    let (asked, mut warnings) = match body::object_or_empty(&bytes, limits.json_depth) {
        Ok(map) => (map, Vec::new()),
        Err(fault) => (Map::new(), vec![format!("the body was ignored: {fault}")]),
    };
    let new = first_facts(&asked, &mut warnings)?;
    let made = gate.contexts().create(caller.tenant, new).await?;
    tracing::info!(context = %made.id, "context created");
    let mut out = json!({"context_id": &*made.id, "message": "New context created"});
    if !warnings.is_empty()
        && let Some(map) = out.as_object_mut()
    {
        map.insert("warnings".to_owned(), warnings.into());
    }
    Ok((StatusCode::CREATED, axum::Json(out)).into_response())
}

/// What a new context may be told: state, system, overrides, user, metadata.
fn first_facts(asked: &Map<String, Value>, warnings: &mut Vec<String>) -> Result<New, Fault> {
    const KNOWN: &[&str] = &[
        "state",
        "context",
        "system",
        "overrides",
        "settings",
        "user",
        "user_id",
        "userId",
        "metadata",
    ];
    for key in asked.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        warnings.push(format!("`{key}` is not known here and was ignored"));
    }
    let object = |names: &[&str]| -> Result<Map<String, Value>, Fault> {
        for name in names {
            if let Some(map) = fields::object(asked, name)? {
                return Ok(map.clone());
            }
        }
        Ok(Map::new())
    };
    let text = |names: &[&str]| -> Result<Option<String>, Fault> {
        for name in names {
            if let Some(text) = fields::text(asked, name)? {
                return Ok(Some(text.to_owned()));
            }
        }
        Ok(None)
    };
    Ok(New {
        user: text(&["user", "user_id", "userId"])?,
        system: text(&["system"])?,
        settings: read::settings(Some(Object(object(&["overrides", "settings"])?)))?,
        state: object(&["state", "context"])?,
        metadata: object(&["metadata"])?,
        ..New::default()
    })
}

async fn show(gate: Gateway, caller: Caller, id: String) -> Answer {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().get(&key).await?;
    let messages = all(&gate, &key).await?;
    Ok(touched(axum::Json(whole(&found, &messages)).into_response(), &key))
}

/// Every message of a context, read in pages so that the store stays responsive.
async fn all(gate: &Gateway, key: &Key) -> Result<Vec<Entry>, Fault> {
    const PAGE: u32 = 500;
    let mut entries: Vec<Entry> = Vec::new();
    loop {
        let after = entries.last().map(|e| e.seq);
        let slice = Slice { limit: PAGE, after, ..Slice::default() };
        let page = gate.contexts().messages(key, slice).await?;
        let over = page.next.is_none() || page.items.is_empty();
        entries.extend(page.items);
        if over {
            return Ok(entries);
        }
    }
}

fn whole(found: &Context, messages: &[Entry]) -> Value {
    let messages: Vec<Value> = messages
        .iter()
        .map(|e| {
            json!({"role": e.role.as_str(), "content": shape::content(e),
                        "timestamp": shape::time(e.at), "status": e.status.as_str()})
        })
        .collect();
    json!({
        "id": &*found.id,
        "created_at": shape::time(found.created_at),
        "messages": messages,
        "state": found.state,
        "last_updated": shape::time(found.last_updated),
        "version": found.revision,
    })
}

async fn drop_it(gate: Gateway, caller: Caller, id: String, contexts: Guarded) -> Answer {
    let key = read::key(&caller, &id)?;
    remove(&gate, &contexts, &key).await?;
    let body = json!({"message": format!("Context '{id}' deleted")});
    Ok(touched(axum::Json(body).into_response(), &key))
}

async fn say(
    gate: Gateway,
    (caller, request_id): (Caller, RequestId),
    id: String,
    request: Request,
) -> Answer {
    let headers = request.headers().clone();
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request.into_body(), &limits).await?;
    let (mut ask, streamed) = ask(&caller, &id, &headers, (&bytes, limits.json_depth))?;
    ask.envelope = Envelope::new(&caller, &request_id.0, &headers);
    let key = ask.key.clone();
    if streamed || stream::wanted(&headers) {
        let gate = gate.clone();
        let start = move |steps| -> stream::Turning {
            Box::pin(async move { flow::turn(&gate, ask, Some(steps)).await })
        };
        return stream::respond(start, Arc::clone(&request_id.0), SHAPE).await;
    }
    match flow::turn(&gate, ask, None).await {
        Ok(answered) => Ok(touched(axum::Json(done(&answered)).into_response(), &key)),
        Err(fault) if is_upstream(&fault) => upstream_failed(&gate, fault, &id),
        Err(fault) => Err(fault.into()),
    }
}

/// Reads the body before the id is looked at: what is wrong with a request is said first.
fn ask(
    caller: &Caller,
    id: &str,
    headers: &HeaderMap,
    (bytes, depth): (&[u8], usize),
) -> Result<(Ask, bool), Fault> {
    if bytes.is_empty() {
        return Err(nothing_said());
    }
    body::media_type(headers)?;
    let map = body::object_or_empty(bytes, depth)?;
    let text = fields::text(&map, "message")?.ok_or_else(nothing_said)?.to_owned();
    let key = read::key(caller, id)?;
    let named = fields::text(&map, "request_id")?;
    let idem = read::idem(headers, named, &format!("message/{id}"), bytes)?;
    let expect = read::expected(headers)?;
    let overrides = turns::loose_overrides(&map)?;
    let ask = Ask { idem, expect, overrides, ..turns::plain_ask(key, text, Door::Context) };
    Ok((ask, fields::flag(&map, "stream")?))
}

fn nothing_said() -> Fault {
    Fault::new(Code::MissingField, "Message content is required")
        .hint("send {\"message\": \"…\"} as application/json")
        .details(json!({"field": "message"}))
}

fn done(answered: &Answered) -> Value {
    let turn = &answered.turn;
    let ms = u64::try_from(answered.elapsed.as_millis()).unwrap_or(u64::MAX);
    let out = json!({
        "context_id": &*turn.context,
        "ai_response": flow::plain(&turn.message.content),
        "model": turn.message.model,
        "usage": turn.message.meta.get("usage"),
        "stop_reason": turn.message.meta.get("stop_reason"),
        "window": turn.message.meta.get("window"),
        "processing_time_ms": ms,
        "updatedContext": turn.state,
        "replayed": turn.replayed,
    });
    with_confidence(out, &turn.message)
}

fn is_upstream(fault: &Fault) -> bool {
    fault.blame() == Blame::Upstream || matches!(fault.kind(), Kind::Upstream | Kind::Timeout)
}

fn apology(fault: &Fault) -> Map<String, Value> {
    let mut extra = Map::new();
    if is_upstream(fault) {
        extra.insert("ai_response".to_owned(), APOLOGY.into());
    }
    extra
}

/// The model failed: 503 with the apology, or the apology alone where that is configured.
fn upstream_failed(gate: &Gateway, fault: Fault, id: &str) -> Answer {
    if gate.now().settings.upstream_failure == UpstreamFailure::Apology {
        gate.metrics().fault(&fault);
        let body = json!({"context_id": id, "ai_response": APOLOGY});
        return Ok(axum::Json(body).into_response());
    }
    let mut extra = apology(&fault);
    extra.insert("context_id".to_owned(), id.into());
    Err(Failed { fault, extra: Some(Box::new(extra)) })
}
