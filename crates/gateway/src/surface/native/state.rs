//! The state of a context as a document of its own: read, merge, replace.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use context::{Context, Edit, StateEdit};
use http::HeaderMap;

use super::contexts::{tag, touched};
use super::read;
use super::shape::{Object, Problem};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// The state.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/state", tag = "state",
    params(("id" = String, Path)),
    responses((status = 200, description = "The state", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().get(&key).await?;
    Ok(touched(answer(found), &key))
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
