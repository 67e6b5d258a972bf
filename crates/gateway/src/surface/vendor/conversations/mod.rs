//! OpenAI's Conversations API: a conversation is a context, by its own id.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use context::{Context, Edit, Entry, Key, Map, New, NewEntry, Slice};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::dialect::named;
use wire::{Code, Fault};

use super::responses::{entry, item};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// What a new conversation, or a change of one, says.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub(super) struct Said {
    /// Items as the Responses API has them.
    items: Option<Vec<Value>>,
    /// Whatever the application wants to keep beside it.
    metadata: Option<Value>,
}

/// Begins a conversation.
#[utoipa::path(post, path = "/v1/conversations", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "The conversation", body = Object)))]
pub(super) async fn create(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: said, .. }: Json<Said>,
) -> Result<Response, Failed> {
    let new = New {
        id: Some(format!("conv_{}", uuid::Uuid::now_v7().simple())),
        metadata: object(said.metadata)?,
        messages: entries(said.items)?,
        ..New::default()
    };
    let made = gate.contexts().create(caller.tenant, new).await?;
    Ok(shown(&made))
}

/// A conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "The conversation", body = Object), (status = 404)))]
pub(super) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    Ok(shown(&gate.contexts().get(&Key::new(caller.tenant, &id)?).await?))
}

/// Changes what is kept beside a conversation.
#[utoipa::path(post, path = "/v1/conversations/{id}", tag = "model APIs", request_body = Object,
    params(("id" = String, Path)),
    responses((status = 200, description = "The conversation", body = Object), (status = 404)))]
pub(super) async fn edit(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json { value: said, .. }: Json<Said>,
) -> Result<Response, Failed> {
    let edit = Edit { metadata: Some(object(said.metadata)?), ..Edit::default() };
    let key = Key::new(caller.tenant, &id)?;
    Ok(shown(&gate.contexts().edit(&key, edit, None).await?))
}

/// Deletes a conversation.
#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object), (status = 404)))]
pub(super) async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    gate.contexts().delete(&Key::new(caller.tenant, &id)?).await?;
    let told = json!({"id": id, "object": "conversation.deleted", "deleted": true});
    Ok(axum::Json(told).into_response())
}

/// The items of a conversation, the newest first: the last hundred.
#[utoipa::path(get, path = "/v1/conversations/{id}/items", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "`data`", body = Object), (status = 404)))]
pub(super) async fn items(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let slice = Slice { limit: 100, last: Some(100), newest_first: true, ..Slice::default() };
    let page = gate.contexts().messages(&Key::new(caller.tenant, &id)?, slice).await?;
    Ok(list(&page.items, page.next.is_some()))
}

/// Adds items to a conversation, 20 at most.
#[utoipa::path(post, path = "/v1/conversations/{id}/items", tag = "model APIs",
    request_body = Object, params(("id" = String, Path)),
    responses((status = 200, description = "`data`", body = Object), (status = 404)))]
pub(super) async fn add(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json { value: said, .. }: Json<Said>,
) -> Result<Response, Failed> {
    let entries = entries(said.items)?;
    if entries.is_empty() || entries.len() > 20 {
        let text = format!("`items` has 1 to 20 items, got {}", entries.len());
        let details = json!({"field": "items"});
        return Err(Fault::new(Code::InvalidInput, text).details(details).into());
    }
    let key = Key::new(caller.tenant, &id)?;
    let (_, stored) = gate.contexts().append(&key, entries, None, None).await?;
    Ok(list(&stored, false))
}

fn shown(found: &Context) -> Response {
    axum::Json(json!({"id": &*found.id, "object": "conversation",
                      "created_at": found.created_at.as_second(), "metadata": found.metadata}))
    .into_response()
}

fn list(entries: &[Entry], has_more: bool) -> Response {
    let data: Vec<Value> = entries.iter().map(item).collect();
    let end = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    axum::Json(json!({"object": "list", "first_id": end(data.first()), "last_id": end(data.last()),
                      "has_more": has_more, "data": data}))
    .into_response()
}

fn object(value: Option<Value>) -> Result<Map, Fault> {
    match value {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(map)) => Ok(map),
        Some(_) => {
            let fault = Fault::new(Code::InvalidInput, "`metadata` must be an object");
            Err(fault.details(json!({"field": "metadata"})))
        }
    }
}

/// Items of the Responses API as entries.
fn entries(items: Option<Vec<Value>>) -> Result<Vec<NewEntry>, Fault> {
    let Some(items) = items.filter(|items| !items.is_empty()) else { return Ok(Vec::new()) };
    let dialect = named("openai_responses").ok_or_else(|| Fault::internal("a dialect is gone"))?;
    let body = json!({"model": "none", "input": items}).to_string();
    let prompt = dialect.request(body.as_bytes())?.prompt;
    Ok(prompt.messages.iter().map(entry).collect())
}
