//! OpenAI's Responses API in front of any model, with its state on contexts.
//!
//! A stored response is a context of its own, named by the response's id: the first one begins it,
//! every further one is a fork of the one it follows, which costs a row. So an id needs no table,
//! an old response can be gone on with as often as one likes, and nothing is ever renumbered.

use axum::extract::{Extension, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use context::{Content, Entry, Key, New, NewEntry, Slice};
use serde_json::{Map, Value, json};
use wire::dialect::{Asked, Link, Shown, named};
use wire::prompt::{Message, Role};
use wire::{Code, Fault};

use super::{Call, Who, remember};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// What the id of a stored response begins with.
const BEGIN: &str = "resp_";

/// OpenAI's Responses API, answered by any model. Stored unless `store` is false;
/// `previous_response_id` goes on with any stored response, `conversation` with a context.
#[utoipa::path(post, path = "/v1/responses", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A response, or its events", body = Object),
              (status = 404, description = "The previous response is not known")))]
pub(super) async fn create(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    let call = Call::read(gate.0, (who.0.0, who.1.0), r, "openai_responses").await?;
    if call.context().is_some() {
        return Ok(call.answer().await?);
    }
    let asked = call.dialect.request(&call.bytes)?;
    let link = asked.link.clone();
    match link {
        None if asked.store == Some(false) => Ok(call.answer().await?),
        Some(Link::Conversation(id)) => Ok(remember::turn(call, &id).await?),
        Some(Link::Response(id)) => {
            let own = begin(&call, Some(&id), &asked).await?;
            Ok(remember::turn_named(call, &own, Some(own.clone())).await?)
        }
        Some(Link::Context(_)) | None => {
            let own = begin(&call, None, &asked).await?;
            Ok(remember::turn_named(call, &own, Some(own.clone())).await?)
        }
    }
}

/// Makes the context of a new response, with everything that was said before its last message.
async fn begin(call: &Call, after: Option<&str>, asked: &Asked) -> Result<String, Fault> {
    let id = format!("{BEGIN}{}", uuid::Uuid::now_v7().simple());
    let earlier = asked.prompt.messages.split_last().map_or(&[][..], |(_, earlier)| earlier);
    let mut metadata = Map::new();
    metadata.insert("kind".to_owned(), "response".into());
    if let Some(after) = after {
        metadata.insert("previous_response_id".to_owned(), after.into());
    }
    let new = New {
        id: Some(id.clone()),
        metadata,
        messages: earlier.iter().map(entry).collect(),
        ..New::default()
    };
    let contexts = call.gate.contexts();
    match after {
        None => contexts.create(call.caller.tenant, new).await?,
        Some(after) => {
            let key = key(&call.caller, after).map_err(|_no_key| unknown(after))?;
            contexts.fork(&key, None, new).await.map_err(|fault| missing(fault, after))?
        }
    };
    Ok(id)
}

/// A message as it is kept.
pub(super) fn entry(message: &Message) -> NewEntry {
    let content = match &message.raw {
        Some(raw) => Content::Raw(raw.clone()),
        None => Content::Text(message.plain()),
    };
    NewEntry { role: message.role, content, model: None, meta: Map::new() }
}

/// The context of a stored response.
fn key(caller: &Caller, id: &str) -> Result<Key, Fault> {
    if !id.starts_with(BEGIN) {
        return Err(unknown(id));
    }
    Key::new(caller.tenant, id)
}

fn unknown(id: &str) -> Fault {
    let shown: String = id.chars().take(100).collect();
    Fault::new(Code::NotFound, format!("there is no response `{shown}`"))
        .hint("responses are kept unless `store` is false, until they are deleted")
        .details(json!({"field": "previous_response_id"}))
}

fn missing(fault: Fault, id: &str) -> Fault {
    match fault.code() {
        Code::ContextNotFound | Code::ContextExpired => unknown(id),
        _ => fault,
    }
}

/// A stored response.
#[utoipa::path(get, path = "/v1/responses/{id}", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "The response", body = Object), (status = 404)))]
pub(super) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    let found = gate.contexts().get(&key).await.map_err(|fault| missing(fault, &id))?;
    let slice = Slice { limit: 1, last: Some(1), ..Slice::default() };
    let page = gate.contexts().messages(&key, slice).await?;
    let last = page.items.into_iter().next().filter(|entry| entry.role == Role::Assistant);
    let dialect = named("openai_responses").ok_or_else(|| Fault::internal("a dialect is gone"))?;
    let created = u64::try_from(found.created_at.as_second()).unwrap_or(0);
    let model = last.as_ref().and_then(|entry| entry.model.clone()).unwrap_or_default();
    let shown = Shown { id: id.clone(), model, created, ..Shown::default() };
    let body = match &last {
        Some(entry) => dialect.reply(&remember::reply_of_entry(entry, id.clone()), &shown),
        // The answer is still to come, or did not come.
        None => {
            let status = if found.open_turn.is_some() { "in_progress" } else { "failed" };
            let object = json!({"id": id, "object": "response", "created_at": created,
                                "status": status, "output": [], "model": Value::Null});
            object.to_string().into_bytes()
        }
    };
    let mut value: Value = serde_json::from_slice(&body)
        .map_err(|cause| Fault::internal("a response is not JSON").because(cause))?;
    if let (Value::Object(map), Some(before)) =
        (&mut value, found.metadata.get("previous_response_id"))
    {
        map.insert("previous_response_id".to_owned(), before.clone());
    }
    Ok(axum::Json(value).into_response())
}

/// Deletes a stored response; those that follow it keep what they read.
#[utoipa::path(delete, path = "/v1/responses/{id}", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object), (status = 404)))]
pub(super) async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    gate.contexts().delete(&key).await.map_err(|fault| missing(fault, &id))?;
    let told = json!({"id": id, "object": "response.deleted", "deleted": true});
    Ok(axum::Json(told).into_response())
}

/// What a stored response was asked, the newest first.
#[utoipa::path(get, path = "/v1/responses/{id}/input_items", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "`data`", body = Object), (status = 404)))]
pub(super) async fn input_items(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = key(&caller, &id)?;
    let slice = Slice { limit: 100, last: Some(100), newest_first: true, ..Slice::default() };
    let page = gate.contexts().messages(&key, slice).await;
    let page = page.map_err(|fault| missing(fault, &id))?;
    let asked = page.items.iter().skip_while(|entry| entry.role == Role::Assistant);
    let data: Vec<Value> = asked.map(item).collect();
    let end = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    Ok(axum::Json(json!({"object": "list", "first_id": end(data.first()),
                         "last_id": end(data.last()), "has_more": page.next.is_some(),
                         "data": data}))
    .into_response())
}

/// A stored message as an item.
pub(super) fn item(entry: &Entry) -> Value {
    let kind = if entry.role == Role::Assistant { "output_text" } else { "input_text" };
    json!({"id": format!("msg_{}", entry.seq), "type": "message", "status": "completed",
           "role": entry.role.as_str(),
           "content": [{"type": kind, "text": entry.content.plain()}]})
}
