//! The state of a context as a document of its own: read, merge, replace, and its past.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{Context, Edit, Map, Moment, StateChange, StateEdit};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::contexts::{bad_query, tag, touched};
use super::read;
use super::shape::{Object, Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// A point in the past of a state; at most one of the two.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Past {
    /// While the message of this number was the newest; 0 is before the first.
    at: Option<u64>,
    /// After the change of this number, as the history lists it.
    change: Option<u64>,
}

impl Past {
    fn moment(&self) -> Result<Option<Moment>, Fault> {
        match (self.at, self.change) {
            (None, None) => Ok(None),
            (Some(seq), None) => Ok(Some(Moment::Seq(seq))),
            (None, Some(number)) => Ok(Some(Moment::Change(number))),
            (Some(_), Some(_)) => Err(one_of_two()),
        }
    }
}

fn one_of_two() -> Fault {
    Fault::new(Code::InvalidInput, "a moment of the state is either a message or a change")
        .hint("send one of `at` and `change`")
        .details(json!({"field": "at"}))
}

/// The state, as it is or as it was.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/state", tag = "state",
    params(("id" = String, Path), Past),
    responses((status = 200, description = "The state", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<Past>, QueryRejection>,
) -> Result<Response, Failed> {
    let Query(past) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    if let Some(moment) = past.moment()? {
        let state = gate.contexts().state_at(&key, moment).await?;
        return Ok(touched(axum::Json(Object(state)).into_response(), &key));
    }
    let found = gate.contexts().get(&key).await?;
    Ok(touched(answer(found), &key))
}

/// Which changes to list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// Only changes before this number; the answer's `next` gives the next page.
    before: Option<u32>,
    /// At most so many, 1 to 500; 50 unless given.
    limit: Option<u32>,
}

/// What changed the state, the newest change first.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/state/history", tag = "state",
    params(("id" = String, Path), HistoryQuery),
    responses((status = 200, description = "`changes` with `set` and `removed`, and `next`",
               body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn history(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<HistoryQuery>, QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let limit = read::limit(query.limit, 50, 500)?;
    let page = gate.contexts().state_changes(&key, query.before, limit).await?;
    let changes: Vec<Value> = page.items.iter().map(change).collect();
    let body = json!({"changes": changes, "next": page.next});
    Ok(touched(axum::Json(body).into_response(), &key))
}

fn change(change: &StateChange) -> Value {
    let set: Map = change.set.iter().cloned().collect();
    json!({
        "change": change.number, "seq": change.seq, "revision": change.revision,
        "at": time(change.at), "who": change.who, "cause": change.cause,
        "set": set, "removed": change.removed,
    })
}

/// Makes the state what it was; the history grows by this change.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/state/restore", tag = "state",
    params(("id" = String, Path)), request_body = Past,
    responses((status = 200, description = "The new state", body = Object),
              (status = 404, body = Problem), (status = 412, body = Problem)))]
pub(crate) async fn restore(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: past, .. }: Json<Past>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let moment = past.moment()?.ok_or_else(one_of_two)?;
    let expect = read::expected(&headers)?;
    let changed = gate.contexts().restore_state(&key, moment, expect).await?;
    Ok(touched(answer(changed), &key))
}

/// Changes the state by a merge patch (RFC 7396): `null` removes a key.
#[utoipa::path(patch, path = "/api/v1/contexts/{id}/state", tag = "state",
    params(("id" = String, Path)), request_body = Object,
    responses((status = 200, description = "The new state", body = Object),
              (status = 412, body = Problem)))]
pub(crate) async fn patch(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: Object(change), .. }: Json<Object>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let edit = Edit { state: Some(StateEdit::MergePatch(change)), ..Edit::default() };
    let changed = gate.contexts().edit(&key, edit, read::expected(&headers)?).await?;
    Ok(touched(answer(changed), &key))
}

/// Replaces the state.
#[utoipa::path(put, path = "/api/v1/contexts/{id}/state", tag = "state",
    params(("id" = String, Path)), request_body = Object,
    responses((status = 200, description = "The new state", body = Object),
              (status = 412, body = Problem)))]
pub(crate) async fn put(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: Object(state), .. }: Json<Object>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let edit = Edit { state: Some(StateEdit::Replace(state)), ..Edit::default() };
    let changed = gate.contexts().edit(&key, edit, read::expected(&headers)?).await?;
    Ok(touched(answer(changed), &key))
}

fn answer(found: Context) -> Response {
    let mut response = axum::Json(Object(found.state)).into_response();
    tag(&mut response, found.revision);
    response
}
