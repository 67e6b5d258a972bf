//! Contexts of other servers: mounted, looked after, unmounted.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use context::{Mount, MountState, NewMount};
use http::StatusCode;
use http::header::{HeaderValue, LOCATION};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::contexts::{escape, touched};
use super::read;
use super::shape::{Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// What answers out of a mounted context say of it.
const HEADER: &str = "x-rapport-mount";

/// The body of `POST /api/v1/mounts`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MountContext {
    /// The other server, such as `https://host:61900`.
    url: String,
    /// The token of a share that it made.
    token: String,
    /// The id of the context here; the one it has over there when absent.
    id: Option<String>,
    /// The key of the other server, as the share told it; the first that answers when absent.
    key: Option<String>,
}

/// Mounts a context of another server for reading.
#[utoipa::path(post, path = "/api/v1/mounts", tag = "mounts", request_body = MountContext,
    responses((status = 201, description = "The mount", body = Object),
              (status = 409, description = "The id is taken", body = Problem),
              (status = 502, description = "What came cannot be believed", body = Problem),
              (status = 503, description = "The other server does not answer", body = Problem)))]
pub(crate) async fn mount(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: asked, .. }: Json<MountContext>,
) -> Result<Response, Failed> {
    let MountContext { url, token, id, key } = asked;
    let new = NewMount { id, url, token: token.trim().to_owned(), key };
    let made = gate.mount(caller.tenant, new).await?;
    let mut response = (StatusCode::CREATED, axum::Json(shown(&made))).into_response();
    let place = format!("/api/v1/mounts/{}", escape(&made.id));
    if let Ok(value) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, value);
    }
    Ok(response)
}

/// The mounts, those that were ended by their origins included.
#[utoipa::path(get, path = "/api/v1/mounts", tag = "mounts",
    responses((status = 200, description = "`mounts`, by their ids", body = Object)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Value>, Failed> {
    let found = gate.contexts().mounts(caller.tenant).await?;
    let list: Vec<Value> = found.iter().map(shown).collect();
    Ok(axum::Json(json!({"mounts": list})))
}

/// One mount, as it was at the last contact.
#[utoipa::path(get, path = "/api/v1/mounts/{id}", tag = "mounts", params(("id" = String, Path)),
    responses((status = 200, description = "The mount", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let found = gate.contexts().mounted(&read::key(&caller, &id)?).await?;
    Ok(axum::Json(shown(&found)))
}

/// Asks the other server now.
#[utoipa::path(post, path = "/api/v1/mounts/{id}/refresh", tag = "mounts",
    params(("id" = String, Path)),
    responses((status = 200, description = "The mount; `state` tells what came of it",
               body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn refresh(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let found = gate.refreshed(&read::key(&caller, &id)?).await?;
    Ok(axum::Json(shown(&found)))
}

/// Proves what is here once more, without the other server.
#[utoipa::path(post, path = "/api/v1/mounts/{id}/check", tag = "mounts",
    params(("id" = String, Path)),
    responses((status = 200, description = "`proven`: how many messages", body = Object),
              (status = 500, description = "Something does not hold", body = Problem)))]
pub(crate) async fn check(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let proven = gate.contexts().check_mount(&read::key(&caller, &id)?).await?;
    Ok(axum::Json(json!({"id": id, "proven": proven})))
}

/// Unmounts: what is here is removed. Forks of it stay.
#[utoipa::path(delete, path = "/api/v1/mounts/{id}", tag = "mounts",
    params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn unmount(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    gate.contexts().unmount(&key).await?;
    tracing::info!(context = %key.id, "context unmounted");
    let body = json!({"message": format!("`{id}` is unmounted")});
    Ok(touched(axum::Json(body).into_response(), &key))
}

fn shown(mount: &Mount) -> Value {
    json!({
        "id": mount.id, "url": mount.url, "remote_id": mount.remote, "key": mount.key,
        "state": mount.state.as_str(), "error": mount.error, "failures": mount.failures,
        "messages": mount.messages, "behind": behind(mount),
        "mounted_at": time(mount.mounted_at), "checked_at": time(mount.checked_at),
        "tried_at": time(mount.tried_at), "stale_seconds": stale(mount),
    })
}

fn behind(mount: &Mount) -> u32 {
    match mount.state {
        MountState::Ended => 0,
        _ => mount.head.saturating_sub(mount.messages),
    }
}

/// Seconds since the origin last proved what it said.
fn stale(mount: &Mount) -> i64 {
    Timestamp::now().duration_since(mount.checked_at).as_secs().max(0)
}

/// Says on an answer out of a mounted context how old it may be.
pub(crate) fn marked(mut response: Response, mount: Option<&Mount>) -> Response {
    let Some(mount) = mount else { return response };
    let text = format!(
        "state={}; checked={}; stale-seconds={}; messages={}; behind={}",
        mount.state.as_str(),
        time(mount.checked_at),
        stale(mount),
        mount.messages,
        behind(mount)
    );
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(HEADER, value);
    }
    response
}
