//! What the server is and which models it knows.

use axum::extract::State;
use serde_json::{Value, json};

use crate::auth;
use crate::gate::Gateway;

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
