//! What the server is and which models it knows.

use axum::extract::{Extension, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::shape::Problem;
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::model::ProviderStatus;
use crate::provider::Added;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// The models, with what is known of each.
#[utoipa::path(get, path = "/api/v1/models", tag = "models",
    responses((status = 200, description = "`models` and `default`", body = Object)))]
pub(crate) async fn models(State(gate): State<Gateway>) -> axum::Json<Value> {
    let snapshot = gate.now();
    axum::Json(json!({
        "models": snapshot.models.list(),
        "default": snapshot.models.default_name(crate::model::Door::Context),
    }))
}

/// The upstreams, with what is known of each.
#[utoipa::path(get, path = "/api/v1/providers", tag = "models",
    responses((status = 200, description = "`providers`", body = Object)))]
pub(crate) async fn providers(State(gate): State<Gateway>) -> axum::Json<Value> {
    axum::Json(json!({"providers": gate.now().models.providers()}))
}

/// Adds a provider, or changes one that was added: it counts at once and survives a restart.
#[utoipa::path(post, path = "/api/v1/providers", tag = "models", request_body = Added,
    responses((status = 201, description = "The provider", body = ProviderStatus),
              (status = 400, body = Problem)))]
pub(crate) async fn add_provider(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: added, .. }: Json<Added>,
) -> Result<Response, Failed> {
    added.check()?;
    let name = added.name.clone();
    let Some(keeper) = gate.keeper() else {
        return Err(Fault::new(Code::ConfigurationError, "nothing keeps providers here").into());
    };
    keeper.keep(added).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(provider = name, by, "provider added");
    let providers = gate.now().models.providers();
    let added = providers.into_iter().find(|provider| provider.name == name);
    let added = added.ok_or_else(|| {
        Fault::new(Code::InvalidInput, format!("provider `{name}` is kept but has no key"))
            .hint("add it again with `api_key`, or set the variable of its key and restart")
    })?;
    Ok((StatusCode::CREATED, axum::Json(added)).into_response())
}

/// What is listening where, who answers, and whether the store can write.
#[utoipa::path(get, path = "/api/v1/status", tag = "status",
    responses((status = 200, description = "The server's state", body = Object)))]
pub(crate) async fn status(State(gate): State<Gateway>) -> axum::Json<Value> {
    axum::Json(describe(&gate).await)
}

/// The state of the server as one object.
pub(crate) async fn describe(gate: &Gateway) -> Value {
    let snapshot = gate.now();
    let settings = &snapshot.settings;
    let about = gate.about();
    let counts = gate.contexts().counts().await;
    let health = gate.database().health();
    let default = snapshot.models.default_name(crate::model::Door::Context);
    let interact = snapshot.models.default_name(crate::model::Door::Interact);
    let keys = gate.keys().list().len();
    let listen: Vec<Value> = about
        .listen
        .iter()
        .map(|l| {
            json!({
                "address": l.address.to_string(), "url": l.url, "tls": l.tls,
                "protocols": ["http/1.1", "h2c", "websocket", "json-lines", "mcp/1.0"],
            })
        })
        .collect();
    json!({
        "status": "running",
        "version": about.version,
        "protocol_versions": ["1.0"],
        "uptime_seconds": gate.uptime().as_secs(),
        "pid": std::process::id(),
        "listen": listen,
        "reachable_from": about.reachable_from(),
        "sessions": counts.contexts,
        "contexts": counts.contexts,
        "messages": counts.messages,
        "bytes": counts.bytes,
        "store": {"kind": about.store_kind, "path": about.data_dir, "ok": health.ok,
                  "last_error": health.error, "durability": about.durability},
        "model": {"default": default, "interact": interact,
                  "offline": is_offline(&snapshot.models)},
        "auth": {"mode": settings.auth.as_str(), "required": auth::required(gate), "keys": keys},
        "limits": {"connections": settings.limits.connections,
                   "body_bytes": settings.limits.body_bytes,
                   "line_bytes": settings.limits.line_bytes,
                   "requests_per_minute": settings.limits.requests_per_minute},
        "local_only": settings.local_only,
        "connections": gate.connections().load(std::sync::atomic::Ordering::Relaxed),
        "data_dir": about.data_dir,
        "logs": about.log_dir,
    })
}

/// The model that answers by default runs inside the program.
pub(crate) fn is_offline(models: &crate::model::Models) -> bool {
    matches!(
        models.resolve(None, crate::model::Door::Context),
        Ok(crate::model::Target::Offline(_))
    )
}
