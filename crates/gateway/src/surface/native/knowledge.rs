//! What is known beside a conversation: notes of a context, profiles of users.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use context::{NewNote, Note, NoteKind, Profile};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::contexts::{one_of, tag, touched};
use super::guarded::Guarded;
use super::read;
use super::shape::{self, Object, Problem};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// The body of `POST /api/v1/contexts/{id}/notes`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskNote {
    /// `fact` (default), `environment`, `persona`, `plan`, `step`, `data` or `entity`.
    kind: Option<String>,
    /// A note of the same kind and name is replaced; `environment` and `entity` need one, `persona`
    /// and `plan` have one if none is given.
    name: Option<String>,
    /// What it says: text or any JSON.
    value: Value,
    /// After so many seconds it no longer holds.
    expires_in_seconds: Option<u64>,
}

/// Facts and environment that hold now; the model is told them with the next turn.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/notes", tag = "knowledge",
    params(("id" = String, Path)),
    responses((status = 200, description = "`notes`", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn notes(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let notes = gate.contexts().notes(&key).await?;
    let notes: Vec<Value> = notes.iter().map(note_value).collect();
    Ok(touched(axum::Json(json!({"notes": notes})).into_response(), &key))
}

/// Notes a fact, which may expire, or the state of something in the environment.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/notes", tag = "knowledge",
    params(("id" = String, Path)), request_body = AskNote,
    responses((status = 201, description = "The note", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn note(
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path(id): Path<String>,
    Json { value: asked, .. }: Json<AskNote>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let kind = asked.kind.as_deref().unwrap_or("fact");
    let kind = NoteKind::parse(kind).ok_or_else(|| one_of("kind", kind, &known_kinds()))?;
    let expires_in = read::seconds(asked.expires_in_seconds, "expires_in_seconds")?;
    let new = NewNote { kind, name: asked.name, value: asked.value, expires_in };
    let made = contexts.note(&key, new).await?;
    let response = (StatusCode::CREATED, axum::Json(note_value(&made))).into_response();
    Ok(touched(response, &key))
}

/// Forgets a note.
#[utoipa::path(delete, path = "/api/v1/contexts/{id}/notes/{number}", tag = "knowledge",
    params(("id" = String, Path), ("number" = u32, Path)),
    responses((status = 200, description = "It is gone", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn forget(
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let number = number.parse().map_err(|error: std::num::ParseIntError| {
        one_of("number", &number, "the number of a note").because(error)
    })?;
    contexts.forget_note(&key, number).await?;
    let body = json!({"message": format!("note {number} deleted")});
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// What is known of a user in all their contexts.
#[utoipa::path(get, path = "/api/v1/profiles/{user}", tag = "knowledge",
    params(("user" = String, Path)),
    responses((status = 200, description = "The profile, its revision as `ETag`", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn profile(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
) -> Result<Response, Failed> {
    Ok(answer(&gate.contexts().profile(caller.tenant, &user).await?))
}

/// Changes a profile by a merge patch, or makes it. The model is told it in every context whose
/// `user`, or whose state's `user_id`, is this one.
#[utoipa::path(patch, path = "/api/v1/profiles/{user}", tag = "knowledge",
    params(("user" = String, Path)), request_body = Object,
    responses((status = 200, description = "The profile", body = Object),
              (status = 412, body = Problem)))]
pub(crate) async fn edit_profile(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
    headers: HeaderMap,
    Json { value: Object(patch), .. }: Json<Object>,
) -> Result<Response, Failed> {
    let expect = read::expected(&headers)?;
    Ok(answer(&gate.contexts().edit_profile(caller.tenant, &user, patch, expect).await?))
}

/// Forgets what is known of a user; their contexts stay.
#[utoipa::path(delete, path = "/api/v1/profiles/{user}", tag = "knowledge",
    params(("user" = String, Path)),
    responses((status = 200, description = "It is gone", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn delete_profile(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(user): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    gate.contexts().delete_profile(caller.tenant, &user).await?;
    Ok(axum::Json(json!({"message": format!("profile of '{user}' deleted")})))
}

fn answer(profile: &Profile) -> Response {
    let revision = profile.revision;
    let body = json!({
        "user": profile.user,
        "profile": profile.body,
        "revision": revision,
        "created_at": shape::time(profile.created_at),
        "last_updated": shape::time(profile.last_updated),
    });
    let mut response = axum::Json(body).into_response();
    tag(&mut response, revision);
    response
}

fn known_kinds() -> String {
    let names: Vec<String> = NoteKind::ALL.iter().map(|(_, name)| format!("`{name}`")).collect();
    format!("one of {}", names.join(", "))
}

fn note_value(note: &Note) -> Value {
    json!({
        "number": note.number,
        "kind": note.kind.as_str(),
        "name": note.name,
        "value": note.value,
        "timestamp": shape::time(note.at),
        "expires_at": note.expires_at.map(shape::time),
    })
}
