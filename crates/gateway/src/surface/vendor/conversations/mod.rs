//! OpenAI's Conversations API: a conversation is a context, by its own id.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{Context, Edit, Entry, EntryStatus, Key, Map, New, NewEntry, Slice};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::dialect::named;
use wire::{Code, Fault};

use super::remember::entry;
use super::responses::{self, ListQuery, no_conversation};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// Limit: items of one request.
const ITEMS_MAX: usize = 20;
/// Entries that are read at once.
const PAGE: u32 = 500;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(create))
        .routes(routes!(get, edit, delete))
        .routes(routes!(items, add))
        .routes(routes!(item, remove))
}

/// What a new conversation, or a change of one, says.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(default)]
struct Said {
    /// Items as the Responses API has them.
    items: Option<Vec<Value>>,
    /// Whatever the application wants to keep beside it.
    metadata: Option<Value>,
}

/// Begins a conversation.
#[utoipa::path(post, path = "/v1/conversations", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "The conversation", body = Object)))]
async fn create(
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
async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    Ok(shown(&found(&gate, &caller, &id).await?.1))
}

/// Changes what is kept beside a conversation: the new metadata stands for the old.
#[utoipa::path(post, path = "/v1/conversations/{id}", tag = "model APIs", request_body = Object,
    params(("id" = String, Path)),
    responses((status = 200, description = "The conversation", body = Object), (status = 404)))]
async fn edit(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json { value: said, .. }: Json<Said>,
) -> Result<Response, Failed> {
    let (key, before) = found(&gate, &caller, &id).await?;
    // A patch that removes what it does not name.
    let mut metadata: Map =
        before.metadata.into_iter().map(|(name, _)| (name, Value::Null)).collect();
    metadata.extend(object(said.metadata)?);
    let edit = Edit { metadata: Some(metadata), ..Edit::default() };
    Ok(shown(&gate.contexts().edit(&key, edit, None).await?))
}

/// Deletes a conversation.
#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "model APIs",
    params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object), (status = 404)))]
async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = Key::new(caller.tenant, &id)?;
    gate.contexts().delete(&key).await.map_err(|fault| no_conversation(fault, &id))?;
    let told = json!({"id": id, "object": "conversation.deleted", "deleted": true});
    Ok(axum::Json(told).into_response())
}

/// The items of a conversation, page by page.
#[utoipa::path(get, path = "/v1/conversations/{id}/items", tag = "model APIs",
    params(("id" = String, Path), ListQuery),
    responses((status = 200, description = "`data`", body = Object), (status = 404)))]
async fn items(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Response, Failed> {
    let paging = responses::paging(query)?;
    let (key, _) = found(&gate, &caller, &id).await?;
    Ok(axum::Json(responses::list(&gate, &key, &paging, None).await?).into_response())
}

/// Adds items to a conversation, 20 at most.
#[utoipa::path(post, path = "/v1/conversations/{id}/items", tag = "model APIs",
    request_body = Object, params(("id" = String, Path)),
    responses((status = 200, description = "`data`", body = Object), (status = 404)))]
async fn add(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json { value: said, .. }: Json<Said>,
) -> Result<Response, Failed> {
    let (key, _) = found(&gate, &caller, &id).await?;
    let entries = entries(said.items)?;
    if entries.is_empty() {
        return Err(wrong(format!("`items` has 1 to {ITEMS_MAX} items, got 0")).into());
    }
    let (_, stored) = gate.contexts().append(&key, entries, None, None).await?;
    let data: Vec<Value> = stored.iter().flat_map(responses::of).collect();
    Ok(axum::Json(responses::shown(&data, false)).into_response())
}

/// One item of a conversation.
#[utoipa::path(get, path = "/v1/conversations/{id}/items/{item}", tag = "model APIs",
    params(("id" = String, Path), ("item" = String, Path)),
    responses((status = 200, description = "The item", body = Object), (status = 404)))]
async fn item(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, item)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let (key, _) = found(&gate, &caller, &id).await?;
    let (entry, at) = place(&gate, &key, &item).await?;
    let found = responses::of(&entry).into_iter().nth(at);
    Ok(axum::Json(found.unwrap_or_default()).into_response())
}

/// Takes an item out of a conversation: no model is shown it any more.
#[utoipa::path(delete, path = "/v1/conversations/{id}/items/{item}", tag = "model APIs",
    params(("id" = String, Path), ("item" = String, Path)),
    responses((status = 200, description = "The conversation", body = Object), (status = 404)))]
async fn remove(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path((id, item)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let (key, before) = found(&gate, &caller, &id).await?;
    let (gone, at) = place(&gate, &key, &item).await?;
    let mut rest: Vec<NewEntry> = without(&gone, at)?.into_iter().collect();
    rest.extend(later(&gate, &key, gone.seq).await?);
    let keep = u64::from(gone.seq.saturating_sub(1));
    let how = (format!("item {item} was deleted"), Some(before.revision));
    let amended = gate.contexts().amend(&key, keep, rest, (&how.0, how.1)).await;
    let after = amended.map_err(|fault| match fault.code() {
        Code::PreconditionFailed => {
            Fault::new(Code::Conflict, format!("conversation `{id}` changed at the same moment"))
                .hint("send the request again")
        }
        _ => fault,
    })?;
    Ok(shown(&after))
}

/// The conversation of a caller with this id.
async fn found(gate: &Gateway, caller: &Caller, id: &str) -> Result<(Key, Context), Fault> {
    let key = Key::new(caller.tenant, id)?;
    let found = gate.contexts().get(&key).await.map_err(|fault| no_conversation(fault, id))?;
    Ok((key, found))
}

async fn place(gate: &Gateway, key: &Key, item: &str) -> Result<(Entry, usize), Fault> {
    responses::find(gate, key, item).await?.ok_or_else(|| {
        let shown: String = item.chars().take(100).collect();
        let text = format!("conversation `{}` has no item `{}`", key.id, shown.escape_default());
        Fault::new(Code::NotFound, text)
            .hint("`GET …/items` lists them")
            .details(json!({"field": "item_id"}))
    })
}

/// A message without one of its items; nothing when that was all.
fn without(entry: &Entry, at: usize) -> Result<Option<NewEntry>, Fault> {
    let mut items = responses::of(entry);
    if at < items.len() {
        items.remove(at);
    }
    if items.is_empty() {
        return Ok(None);
    }
    let rest = read(&items)?.into_iter().next();
    Ok(rest.map(|rest| NewEntry { role: entry.role, ..rest }))
}

/// What stands after an entry, to be said again; questions that failed are not.
async fn later(gate: &Gateway, key: &Key, seq: u32) -> Result<Vec<NewEntry>, Fault> {
    let mut out = Vec::new();
    let mut slice = Slice { limit: PAGE, after: Some(seq), ..Slice::default() };
    loop {
        let page = gate.contexts().messages(key, slice.clone()).await?;
        slice.after = page.items.last().map(|entry| entry.seq);
        let whole = page.items.into_iter().filter(|entry| entry.status == EntryStatus::Complete);
        out.extend(whole.map(|entry| NewEntry {
            role: entry.role,
            content: entry.content,
            model: entry.model,
            meta: entry.meta,
        }));
        if page.next.is_none() {
            return Ok(out);
        }
    }
}

fn shown(found: &Context) -> Response {
    axum::Json(json!({"id": &*found.id, "object": "conversation",
                      "created_at": found.created_at.as_second(), "metadata": found.metadata}))
    .into_response()
}

fn wrong(text: String) -> Fault {
    Fault::new(Code::InvalidInput, text).details(json!({"field": "items"}))
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
    if items.len() > ITEMS_MAX {
        return Err(wrong(format!("`items` has 1 to {ITEMS_MAX} items, got {}", items.len())));
    }
    read(&items)
}

fn read(items: &[Value]) -> Result<Vec<NewEntry>, Fault> {
    let dialect = named("openai_responses").ok_or_else(|| Fault::internal("a dialect is gone"))?;
    let body = json!({"model": "none", "input": items}).to_string();
    let prompt = dialect.request(&body.into()).map_err(renamed)?.prompt;
    Ok(prompt.messages.iter().map(entry).collect())
}

/// The fault of an item under the name that the field has here.
fn renamed(fault: Fault) -> Fault {
    let field = fault.detail_values().and_then(|details| details.get("field")?.as_str());
    let Some(place) = field.and_then(|field| field.strip_prefix("input")) else { return fault };
    let place = format!("items{place}");
    let text = fault.text().replace(field.unwrap_or_default(), &place);
    Fault::new(fault.code(), text).details(json!({"field": place}))
}
