//! Contexts as objects: create, list, read, change, close, delete.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use context::{Context, Contexts, Edit, Filter, Key, Map, New, Sort, StateEdit, Status};
use http::header::{ETAG, HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::guarded::Guarded;
use super::mounts::marked;
use super::read;
use super::shape::{self, EditContext, NewContext, Object};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::model::{Door, Target};
use crate::surface::body::{self, Json};
use crate::surface::door::Touched;
use crate::surface::problem::Failed;

/// Makes a context.
#[utoipa::path(post, path = "/api/v1/contexts", tag = "contexts", request_body = NewContext,
    responses((status = 201, description = "The context", body = Object),
              (status = 400, body = shape::Problem), (status = 409, body = shape::Problem)))]
pub(crate) async fn create(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, Failed> {
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request.into_body(), &limits).await?;
    let asked: NewContext = if bytes.is_empty() {
        NewContext::default()
    } else {
        body::media_type(&headers)?;
        body::parse_object(&bytes, limits.json_depth)?
    };
    let named = asked.request_id.clone();
    let idem = read::idem(&headers, named.as_deref(), "contexts", &bytes)?;
    let new = new_of(asked)?;
    let made = match idem {
        None => gate.contexts().create(caller.tenant, new).await?,
        Some(idem) => gate.contexts().create_once(caller.tenant, new, idem).await?,
    };
    tracing::info!(context = %made.id, "context created");
    Ok(created(&gate, &made))
}

/// A context that was made: `201` with its place.
pub(crate) fn created(gate: &Gateway, made: &Context) -> Response {
    let mut response = answer(gate, made);
    *response.status_mut() = StatusCode::CREATED;
    let place = format!("/api/v1/contexts/{}", escape(&made.id));
    if let Ok(value) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, value);
    }
    response
}

pub(crate) fn new_of(asked: NewContext) -> Result<New, Fault> {
    let messages = asked.messages.unwrap_or_default();
    Ok(New {
        id: asked.id,
        title: asked.title,
        user: asked.user,
        system: asked.system,
        settings: read::settings(asked.settings)?,
        state: asked.state.unwrap_or_default().0,
        metadata: asked.metadata.unwrap_or_default().0,
        messages: messages.iter().map(read::entry).collect::<Result<_, _>>()?,
        expires_in: read::seconds(asked.expires_in_seconds, "expires_in_seconds")?,
        idle_for: read::seconds(asked.idle_seconds, "idle_seconds")?,
    })
}

/// The filters of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// At most so many, 1 to 500.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only this user's.
    user: Option<String>,
    /// `open`, `closed`, `mounted` or `importing`.
    status: Option<String>,
    /// Only those answered by this model.
    model: Option<String>,
    /// Only those whose id begins so.
    id_prefix: Option<String>,
    /// Only those whose title contains this.
    title: Option<String>,
    /// RFC 3339.
    updated_after: Option<String>,
    /// RFC 3339.
    updated_before: Option<String>,
    /// At least so many messages.
    min_messages: Option<u64>,
    /// At most so many messages.
    max_messages: Option<u64>,
    /// `updated` (default), `created` or `size`.
    sort: Option<String>,
    /// `desc` (default) or `asc`.
    order: Option<String>,
}

/// Lists contexts, the last used first.
#[utoipa::path(get, path = "/api/v1/contexts", tag = "contexts", params(ListQuery),
    responses((status = 200, description = "`contexts` and `next_cursor`", body = Object)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Value>, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let page = gate.contexts().list(caller.tenant, filter(query)?).await?;
    let contexts: Vec<Value> = page.items.iter().map(|c| shaped(&gate, c)).collect();
    Ok(axum::Json(json!({"contexts": contexts, "next_cursor": page.next})))
}

fn filter(query: ListQuery) -> Result<Filter, Fault> {
    let fresh = Filter::default();
    let status = query.status.map(|text| {
        Status::parse(&text)
            .ok_or_else(|| one_of("status", &text, "`open`, `closed`, `mounted` or `importing`"))
    });
    let sort = match query.sort.as_deref() {
        None | Some("updated") => Sort::Updated,
        Some("created") => Sort::Created,
        Some("size") => Sort::Size,
        Some(other) => return Err(one_of("sort", other, "`updated`, `created` or `size`")),
    };
    let ascending = match query.order.as_deref() {
        None | Some("desc") => false,
        Some("asc") => true,
        Some(other) => return Err(one_of("order", other, "`asc` or `desc`")),
    };
    Ok(Filter {
        user: query.user,
        status: status.transpose()?,
        model: query.model,
        updated_after: when("updated_after", query.updated_after.as_deref())?,
        updated_before: when("updated_before", query.updated_before.as_deref())?,
        min_messages: query.min_messages,
        max_messages: query.max_messages,
        id_prefix: query.id_prefix,
        title_contains: query.title,
        sort,
        ascending,
        limit: query.limit.unwrap_or(fresh.limit),
        cursor: query.cursor,
        ..fresh
    })
}

/// One context without its messages.
#[utoipa::path(get, path = "/api/v1/contexts/{id}", tag = "contexts", params(("id" = String, Path)),
    responses((status = 200, description = "The context, its revision as `ETag`", body = Object),
              (status = 404, body = shape::Problem)))]
pub(crate) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let mount = gate.through(&key).await;
    let found = gate.contexts().get(&key).await?;
    Ok(marked(answer(&gate, &found), mount.as_ref()))
}

/// Changes title, user, system, settings, metadata, state or time to live.
#[utoipa::path(patch, path = "/api/v1/contexts/{id}", tag = "contexts",
    params(("id" = String, Path)), request_body = EditContext,
    responses((status = 200, description = "The context", body = Object),
              (status = 412, body = shape::Problem)))]
pub(crate) async fn edit(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: asked, .. }: Json<EditContext>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let lifetime = |given: Option<Option<u64>>, field| {
        given.map(|seconds| read::seconds(seconds, field)).transpose()
    };
    let edit = Edit {
        title: asked.title,
        user: asked.user,
        system: asked.system,
        settings: asked.settings.map(map),
        metadata: asked.metadata.map(map),
        state: asked.state.map(|Object(state)| StateEdit::MergePatch(state)),
        expires_in: lifetime(asked.expires_in_seconds, "expires_in_seconds")?,
        idle_for: lifetime(asked.idle_seconds, "idle_seconds")?,
    };
    let changed = gate.contexts().edit(&key, edit, read::expected(&headers)?).await?;
    Ok(answer(&gate, &changed))
}

/// Deletes a context and everything in it.
#[utoipa::path(delete, path = "/api/v1/contexts/{id}", tag = "contexts",
    params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object),
              (status = 404, body = shape::Problem)))]
pub(crate) async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    remove(&gate, &contexts, &key).await?;
    let body = json!({"message": format!("Context '{id}' deleted")});
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// Deletes a context, wherever the wish came from; a running turn of it is stopped.
pub(crate) async fn remove(gate: &Gateway, contexts: &Contexts, key: &Key) -> Result<(), Fault> {
    // Its turn goes on where the deletion is refused.
    contexts.delete(key).await?;
    let stopped = gate.desk().stop(key);
    tracing::info!(context = %key.id, stopped, "context deleted");
    Ok(())
}

/// Ends a context: it stays readable and takes no more messages.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/close", tag = "contexts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The context", body = Object)))]
pub(crate) async fn close(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let closed = contexts.close(&key).await?;
    tracing::info!(context = %closed.id, "context closed");
    Ok(answer(&gate, &closed))
}

/// A context with its revision as `ETag`.
pub(crate) fn answer(gate: &Gateway, found: &Context) -> Response {
    let body = serde_json::to_vec(&shaped(gate, found)).unwrap_or_default();
    let media = HeaderValue::from_static("application/json");
    let mut response = ([(http::header::CONTENT_TYPE, media)], Bytes::from(body)).into_response();
    tag(&mut response, found.revision);
    response.extensions_mut().insert(Touched(std::sync::Arc::clone(&found.id)));
    response
}

/// Puts the revision on an answer.
pub(crate) fn tag(response: &mut Response, revision: u64) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{revision}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
}

/// Notes the context an answer is about, for the record.
pub(crate) fn touched(mut response: Response, key: &Key) -> Response {
    response.extensions_mut().insert(Touched(std::sync::Arc::clone(&key.id)));
    response
}

pub(crate) fn shaped(gate: &Gateway, found: &Context) -> Value {
    let snapshot = gate.now();
    let window = match snapshot.models.resolve(found.settings.model.as_deref(), Door::Context) {
        Ok(Target::Upstream(upstream)) => upstream.window_tokens(),
        Ok(Target::Offline(_)) | Err(_) => 200_000,
    };
    shape::context(found, window)
}

fn map(Object(map): Object) -> Map {
    map
}

/// A point in time in a query.
pub(crate) fn when(field: &str, text: Option<&str>) -> Result<Option<jiff::Timestamp>, Fault> {
    // In a query string an unescaped `+00:00` arrives as ` 00:00`.
    let parse = |text: &str| {
        text.replace(' ', "+").parse().map_err(|e: jiff::Error| {
            one_of(field, text, "a time like `2026-11-21T00:00:00Z`").because(e)
        })
    };
    text.map(parse).transpose()
}

/// The fault of a value outside a closed set.
pub(crate) fn one_of(field: &str, got: &str, right: &str) -> Fault {
    let text = format!("`{field}` must be {right}, got `{}`", got.escape_default());
    Fault::new(Code::InvalidInput, text).details(json!({"field": field}))
}

/// The fault of a query string that cannot be read.
pub(crate) fn bad_query(error: &axum::extract::rejection::QueryRejection) -> Fault {
    Fault::new(Code::InvalidInput, error.body_text().to_lowercase())
        .hint("the parameters of every path are in /openapi.json")
}

/// An id as a path segment.
pub(crate) fn escape(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    id.bytes().fold(String::new(), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}
