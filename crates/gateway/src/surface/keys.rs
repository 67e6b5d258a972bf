//! Keys by the admin API: made once, shown once, revoked for good.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use catalog::{Change, Key, ModelLimit, NewKey, Scopes};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::body::Json;
use super::native::read;
use super::native::shape::{self, Problem};
use super::problem::Failed;
use crate::auth::Caller;
use crate::gate::Gateway;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(change, revoke))
}

/// The body of `POST /api/v1/keys`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskKey {
    /// Who or what uses the key.
    name: String,
    /// `read`, `write`, `admin`; `write` includes `read`, `admin` includes both.
    #[serde(default)]
    scopes: Vec<String>,
    /// After so many seconds the key no longer works.
    expires_in_seconds: Option<u64>,
    /// Patterns of the models and routes it may use, such as `claude-*`, `openai/gpt-5.4` or
    /// `ollama/*`; all when empty.
    #[serde(default)]
    models: Vec<String>,
}

/// The body of `PATCH /api/v1/keys/{id}`; what is absent stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct AskChange {
    /// Who or what uses the key.
    name: Option<String>,
    /// `read`, `write`, `admin`.
    scopes: Option<Vec<String>>,
    /// Patterns of the models and routes it may use; `[]` ends the limit.
    models: Option<Vec<String>>,
}

/// All keys, without their secrets.
#[utoipa::path(get, path = "/api/v1/keys", tag = "keys",
    responses((status = 200, description = "`keys`", body = Object)))]
async fn list(State(gate): State<Gateway>) -> Result<axum::Json<Value>, Failed> {
    let keys = gate.keys().list();
    let keys: Vec<Value> = keys.iter().map(shaped).collect();
    Ok(axum::Json(json!({"keys": keys})))
}

/// Makes a key; its secret is in this answer and nowhere else.
#[utoipa::path(post, path = "/api/v1/keys", tag = "keys", request_body = AskKey,
    responses((status = 201, description = "`key` and `secret`", body = Object),
              (status = 400, body = Problem)))]
async fn create(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: asked, .. }: Json<AskKey>,
) -> Result<Response, Failed> {
    let scopes = if asked.scopes.is_empty() {
        Scopes::parse("read,write")?
    } else {
        Scopes::parse(&asked.scopes.join(","))?
    };
    let expires_in = read::seconds(asked.expires_in_seconds, "expires_in_seconds")?;
    let models = ModelLimit::parse(&asked.models)?;
    let made = gate.keys().create(NewKey { name: asked.name, scopes, expires_in, models }).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(key = %made.key.id, by, "key created");
    let body = json!({"key": shaped(&made.key), "secret": made.secret.expose()});
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}

/// Changes the name, the scopes or the models of a key; what is said next goes by it.
#[utoipa::path(patch, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    request_body = AskChange,
    responses((status = 200, description = "`key`", body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, description = "It was revoked", body = Problem)))]
async fn change(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Json { value: asked, .. }: Json<AskChange>,
) -> Result<axum::Json<Value>, Failed> {
    let change = Change {
        name: asked.name,
        scopes: asked.scopes.map(|scopes| Scopes::parse(&scopes.join(","))).transpose()?,
        models: asked.models.map(|models| ModelLimit::parse(&models)).transpose()?,
    };
    let key = gate.keys().update(&id, change).await?;
    tracing::info!(key = %key.id, by = caller.key.as_deref().unwrap_or("local"), "key changed");
    Ok(axum::Json(json!({"key": shaped(&key)})))
}

/// Revokes a key at once.
#[utoipa::path(delete, path = "/api/v1/keys/{id}", tag = "keys", params(("id" = String, Path)),
    responses((status = 200, description = "The key", body = Object),
              (status = 404, body = Problem)))]
async fn revoke(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let key = gate.keys().revoke(&id).await?;
    tracing::info!(key = %key.id, by = caller.key.as_deref().unwrap_or("local"), "key revoked");
    Ok(axum::Json(json!({"key": shaped(&key)})))
}

fn shaped(key: &Key) -> Value {
    json!({
        "id": key.id, "name": key.name, "prefix": key.prefix, "scopes": key.scopes.names(),
        "models": key.models.patterns(),
        "created_at": shape::time(key.created_at),
        "expires_at": key.expires_at.map(shape::time),
        "last_used_at": key.last_used_at.map(shape::time),
        "revoked_at": key.revoked_at.map(shape::time),
    })
}
