//! The messages of a context: pages of them, and appending without asking a model.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{NewEntry, Slice};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::Fault;

use super::contexts::{bad_query, one_of, tag, touched, when};
use super::mounts::marked;
use super::read;
use super::shape::{self, Append, NewMessage, Problem};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::fields;
use crate::surface::problem::Failed;

/// Which messages.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct MessagesQuery {
    /// At most so many, 1 to 500.
    limit: Option<u32>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only messages after this `seq`.
    after: Option<u32>,
    /// Only messages before this `seq`.
    before: Option<u32>,
    /// The last so many.
    last: Option<u32>,
    /// The last so many turns.
    last_turns: Option<u32>,
    /// `user`, `assistant`, `system` or `tool`.
    role: Option<String>,
    /// RFC 3339.
    since: Option<String>,
    /// `asc` (default) or `desc`.
    order: Option<String>,
}

/// Pages through the messages, oldest first unless `order=desc`.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/messages", tag = "messages",
    params(("id" = String, Path), MessagesQuery),
    responses((status = 200, description = "`messages` and `next_cursor`", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<MessagesQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let slice = slice(&query)?;
    let mount = gate.through(&key).await;
    let page = gate.contexts().messages(&key, slice).await?;
    let messages: Vec<Value> = page.items.iter().map(shape::message).collect();
    let body = json!({"messages": messages, "next_cursor": page.next});
    Ok(marked(touched(axum::Json(body).into_response(), &key), mount.as_ref()))
}

pub(super) fn slice(query: &MessagesQuery) -> Result<Slice, Fault> {
    let fresh = Slice::default();
    let newest_first = match query.order.as_deref() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(other) => return Err(one_of("order", other, "`asc` or `desc`")),
    };
    let cursor: Option<u32> = match query.cursor.as_deref() {
        None => None,
        Some(text) => Some(text.parse().map_err(|e: std::num::ParseIntError| {
            one_of("cursor", text, "a `next_cursor` of ours").because(e)
        })?),
    };
    let (after, before) = match cursor {
        Some(seq) if newest_first => (query.after, Some(seq)),
        Some(seq) => (Some(seq), query.before),
        None => (query.after, query.before),
    };
    Ok(Slice {
        limit: query.limit.unwrap_or(fresh.limit),
        after,
        before,
        last: query.last,
        last_turns: query.last_turns,
        role: query.role.as_deref().map(read::role).transpose()?,
        since: when("since", query.since.as_deref())?,
        newest_first,
    })
}

/// Stores messages without asking a model.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/messages", tag = "messages",
    params(("id" = String, Path)), request_body = Append,
    responses((status = 201, description = "`messages` and `revision`", body = Object),
              (status = 400, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn append(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: asked, bytes }: Json<Append>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let place = format!("messages/{id}");
    let idem = read::idem(&headers, asked.request_id.as_deref(), &place, &bytes)?;
    let entries = entries(asked)?;
    let expect = read::expected(&headers)?;
    let (changed, entries) = gate.contexts().append(&key, entries, expect, idem).await?;
    crate::flow::vectorise(&gate, &key);
    let messages: Vec<Value> = entries.iter().map(shape::message).collect();
    let body = json!({"messages": messages, "revision": changed.revision});
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    tag(&mut response, changed.revision);
    Ok(touched(response, &key))
}

fn entries(asked: Append) -> Result<Vec<NewEntry>, Fault> {
    if let Some(messages) = asked.messages {
        return messages.iter().map(read::entry).collect();
    }
    let role = asked.role.ok_or_else(|| fields::missing("role"))?;
    let content = asked.content.ok_or_else(|| fields::missing("content"))?;
    Ok(vec![read::entry(&NewMessage { role, content, dialect: None })?])
}
