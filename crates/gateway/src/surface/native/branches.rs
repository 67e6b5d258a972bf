//! Branches of a context: fork, checkpoint, roll back, compare, merge.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{Checkpoint, Comparison, Difference, Key, OnConflict, To};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::contexts::{answer, bad_query, created, new_of, one_of, shaped, tag, touched};
use super::guarded::Guarded;
use super::read;
use super::shape::{self, NewContext, NewMessage, Object, Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::{self, Json};
use crate::surface::problem::Failed;

/// The body of `POST /api/v1/contexts/{id}/fork`. What it leaves out comes from the parent;
/// settings and metadata are merged over the parent's.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fork {
    /// The last message to share; the newest one when absent, 0 for none.
    pub(crate) at: Option<u64>,
    /// Fork at this checkpoint instead.
    pub(crate) checkpoint: Option<String>,
    /// 1 to 256 characters; made by the server when absent.
    pub(crate) id: Option<String>,
    /// A name for people.
    pub(crate) title: Option<String>,
    /// Whose conversation it is.
    pub(crate) user: Option<String>,
    /// Instructions for the model.
    pub(crate) system: Option<String>,
    /// As in a context.
    pub(crate) settings: Option<Object>,
    /// The state, instead of the parent's.
    pub(crate) state: Option<Object>,
    /// As in a context.
    pub(crate) metadata: Option<Object>,
    /// Messages that go on from there.
    pub(crate) messages: Option<Vec<NewMessage>>,
    /// After so many seconds the fork is gone; the parent's time does not count for it.
    pub(crate) expires_in_seconds: Option<u64>,
    /// After so many seconds without a change the fork is gone.
    pub(crate) idle_seconds: Option<u64>,
    /// The same as the header `Idempotency-Key`.
    pub(crate) request_id: Option<String>,
}

/// Makes a context that goes on from a message of this one. Nothing is copied.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/fork", tag = "branches",
    params(("id" = String, Path)), request_body = Fork,
    responses((status = 201, description = "The fork, with `parent` and `fork_seq`", body = Object),
              (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn fork(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    // A fork goes on from what the origin of a mount has now, as far as that can be had.
    let _mount = gate.through(&key).await;
    let (asked, bytes) = optional::<Fork>(&gate, &headers, request).await?;
    let place = format!("fork/{id}");
    let idem = read::idem(&headers, asked.request_id.as_deref(), &place, &bytes)?;
    let at = match (&asked.checkpoint, asked.at) {
        (Some(_), Some(_)) => {
            return Err(Fault::new(Code::InvalidInput, "both `at` and `checkpoint` are given")
                .hint("name one of the two")
                .into());
        }
        (Some(name), None) => Some(seq_of(&gate, &key, name).await?),
        (None, at) => at,
    };
    let new = new_of(NewContext {
        id: asked.id,
        title: asked.title,
        user: asked.user,
        system: asked.system,
        settings: asked.settings,
        state: asked.state,
        metadata: asked.metadata,
        messages: asked.messages,
        expires_in_seconds: asked.expires_in_seconds,
        idle_seconds: asked.idle_seconds,
        request_id: None,
    })?;
    let made = match idem {
        None => gate.contexts().fork(&key, at, new).await?,
        Some(idem) => gate.contexts().fork_once(&key, at, new, idem).await?,
    };
    tracing::info!(context = %made.id, parent = %key.id, "context forked");
    Ok(created(&gate, &made))
}

/// A body that may be absent.
pub(super) async fn optional<T: Default + serde::de::DeserializeOwned>(
    gate: &Gateway,
    headers: &HeaderMap,
    request: axum::extract::Request,
) -> Result<(T, bytes::Bytes), Fault> {
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request.into_body(), &limits).await?;
    if bytes.is_empty() {
        return Ok((T::default(), bytes));
    }
    body::media_type(headers)?;
    Ok((body::parse_object(&bytes, limits.json_depth)?, bytes))
}

/// The entry of a checkpoint on the branch that the context shows.
async fn seq_of(gate: &Gateway, key: &Key, name: &str) -> Result<u64, Fault> {
    let points = gate.contexts().checkpoints(key).await?;
    let point = points.into_iter().find(|point| point.name == name).ok_or_else(|| {
        let text = format!("there is no checkpoint `{}`", name.escape_debug());
        Fault::new(Code::NotFound, text).hint("`GET …/checkpoints` lists them")
    })?;
    if point.on_branch {
        return Ok(point.seq.into());
    }
    let text = format!("the checkpoint `{}` lies on a branch that was left", name.escape_debug());
    Err(Fault::new(Code::Conflict, text).hint("roll back to it first, then fork"))
}

/// The checkpoints of a context.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/checkpoints", tag = "branches",
    params(("id" = String, Path)),
    responses((status = 200, description = "`checkpoints`, oldest entry first", body = Object)))]
pub(crate) async fn checkpoints(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().checkpoints(&key).await?;
    let list: Vec<Value> = found.iter().map(point).collect();
    Ok(touched(axum::Json(json!({"checkpoints": list})).into_response(), &key))
}

fn point(point: &Checkpoint) -> Value {
    json!({
        "name": point.name, "seq": point.seq, "revision": point.revision, "at": time(point.at),
        "note": point.note, "state": point.state, "on_branch": point.on_branch,
    })
}

/// The body of `POST /api/v1/contexts/{id}/checkpoints`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCheckpoint {
    /// 1 to 256 characters, unique in the context.
    name: String,
    /// What it is for.
    note: Option<String>,
}

/// Names the newest message, and keeps the state as it is now.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/checkpoints", tag = "branches",
    params(("id" = String, Path)), request_body = NewCheckpoint,
    responses((status = 201, description = "The checkpoint", body = Object),
              (status = 409, description = "The name is taken", body = Problem)))]
pub(crate) async fn checkpoint(
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path(id): Path<String>,
    Json { value: asked, .. }: Json<NewCheckpoint>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let made = contexts.checkpoint(&key, &asked.name, asked.note).await?;
    let response = (StatusCode::CREATED, axum::Json(point(&made))).into_response();
    Ok(touched(response, &key))
}

/// Forgets a checkpoint; the messages stay.
#[utoipa::path(delete, path = "/api/v1/contexts/{id}/checkpoints/{name}", tag = "branches",
    params(("id" = String, Path), ("name" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn forget_checkpoint(
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    contexts.forget_checkpoint(&key, &name).await?;
    let body = json!({"message": format!("checkpoint `{name}` deleted")});
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// The body of `POST /api/v1/contexts/{id}/rollback`: exactly one of the four.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rollback {
    /// Keep the messages up to this one; 0 keeps none. The state stays, unless `state` is set.
    to: Option<u64>,
    /// With `to`: bring back the state that the message saw last.
    state: bool,
    /// Back to this checkpoint, with its state.
    checkpoint: Option<String>,
    /// Back to this branch, with the state it had.
    branch: Option<u32>,
    /// Take the last rollback back.
    undo: bool,
}

impl Rollback {
    fn goal(self) -> Result<To, Fault> {
        if self.state && self.to.is_none() {
            let text = "`state` goes with `to` only";
            return Err(Fault::new(Code::InvalidInput, text)
                .hint("checkpoints and branches bring their state back by themselves")
                .details(json!({"field": "state"})));
        }
        let goals = [
            self.to.map(|to| if self.state { To::Moment(to) } else { To::Seq(to) }),
            self.checkpoint.map(To::Checkpoint),
            self.branch.map(To::Branch),
            self.undo.then_some(To::Undo),
        ];
        let mut goals = goals.into_iter().flatten();
        match (goals.next(), goals.next()) {
            (Some(goal), None) => Ok(goal),
            _ => Err(Fault::new(Code::InvalidInput, "a rollback needs exactly one goal")
                .hint("send one of `to`, `checkpoint`, `branch` and `undo`")),
        }
    }
}

/// Takes the context back to an earlier place; what it leaves is kept as a branch.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/rollback", tag = "branches",
    params(("id" = String, Path)), request_body = Rollback,
    responses((status = 200, description = "The context", body = Object),
              (status = 409, description = "A turn is running, or nothing to undo", body = Problem),
              (status = 412, body = Problem)))]
pub(crate) async fn rollback(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: asked, .. }: Json<Rollback>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let expect = read::expected(&headers)?;
    let found = gate.contexts().rollback(&key, asked.goal()?, expect).await?;
    tracing::info!(context = %key.id, messages = found.size.messages, "context rolled back");
    Ok(answer(&gate, &found))
}

/// The branches a context left, and the contexts forked from it.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/branches", tag = "branches",
    params(("id" = String, Path)),
    responses((status = 200, description = "`current`, `left` and `forks`", body = Object)))]
pub(crate) async fn branches(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().branches(&key).await?;
    let left: Vec<Value> = found
        .left
        .iter()
        .map(|left| {
            json!({"branch": left.number, "cause": left.cause, "at": time(left.at),
                   "messages": left.head, "shared": left.shared})
        })
        .collect();
    let forks: Vec<Value> = found
        .forks
        .iter()
        .map(|fork| {
            json!({"id": &*fork.id, "title": fork.title, "fork_seq": fork.fork_seq,
                   "messages": fork.head, "last_updated": time(fork.last_updated)})
        })
        .collect();
    let current = json!({
        "id": &*found.context.id, "messages": found.context.size.messages,
        "parent": found.context.parent.as_deref(), "fork_seq": found.context.fork_seq,
    });
    let body = json!({"current": current, "left": left, "forks": forks});
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// With which context to compare.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CompareQuery {
    /// The other context.
    with: String,
}

/// How far two contexts share their messages, and where their states differ.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/compare", tag = "branches",
    params(("id" = String, Path), CompareQuery),
    responses((status = 200, description = "`shared`, the sides and `state`", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn compare(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<CompareQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let (key, with) = (read::key(&caller, &id)?, read::key(&caller, &query.with)?);
    let found: Comparison = gate.contexts().compare(&key, &with).await?;
    let side = |key: &Key, head: u32| {
        let own = head.saturating_sub(found.shared);
        json!({"id": &*key.id, "messages": head, "own": own})
    };
    let state: Vec<Value> = found.state.iter().map(|d| difference(d, ["left", "right"])).collect();
    let body = json!({
        "shared": found.shared,
        "left": side(&key, found.left_head),
        "right": side(&with, found.right_head),
        "state": state,
    });
    Ok(touched(axum::Json(body).into_response(), &key))
}

fn difference(found: &Difference, [left, right]: [&str; 2]) -> Value {
    let mut out = serde_json::Map::new();
    out.insert("path".to_owned(), found.path.clone().into());
    for (name, value) in [(left, &found.left), (right, &found.right)] {
        if let Some(value) = value {
            out.insert(name.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

/// The body of `POST /api/v1/contexts/{id}/merge`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Merge {
    /// The context to bring in; it stays as it is.
    from: String,
    /// For values of the state that both sides changed: `ours` (default), `theirs` or `refuse`.
    on_conflict: Option<String>,
}

/// Brings another context in: its state three ways, its messages by reference.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/merge", tag = "branches",
    params(("id" = String, Path)), request_body = Merge,
    responses((status = 200, description = "`context`, `conflicts` and `message`", body = Object),
              (status = 409, description = "Conflicts, refused as asked", body = Problem),
              (status = 412, body = Problem)))]
pub(crate) async fn merge(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json { value: asked, .. }: Json<Merge>,
) -> Result<Response, Failed> {
    let (key, from) = (read::key(&caller, &id)?, read::key(&caller, &asked.from)?);
    let on = match asked.on_conflict.as_deref() {
        None => OnConflict::default(),
        Some(text) => OnConflict::parse(text)
            .ok_or_else(|| one_of("on_conflict", text, "`ours`, `theirs` or `refuse`"))?,
    };
    let merged = gate.contexts().merge(&key, &from, on, read::expected(&headers)?).await?;
    let conflicts: Vec<Value> =
        merged.conflicts.iter().map(|d| difference(d, ["ours", "theirs"])).collect();
    let body = json!({
        "context": shaped(&gate, &merged.context),
        "conflicts": conflicts,
        "message": merged.entry.as_ref().map(shape::message),
    });
    let mut response = axum::Json(body).into_response();
    tag(&mut response, merged.context.revision);
    Ok(touched(response, &key))
}
