//! Whether we live, whether we can serve, and the figures of both.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::problem::Failed;
use crate::gate::Gateway;
use crate::model::{Door, Target};

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(health)).routes(routes!(ready)).routes(routes!(metrics))
}

/// Whether the program works: 200, or 503 with the check that fails.
#[utoipa::path(get, path = "/health", tag = "status",
    responses((status = 200, description = "`status` is `ok` or `degraded`", body = Object),
              (status = 503, description = "It cannot store anything", body = Object)))]
async fn health(State(gate): State<Gateway>) -> Response {
    let store = gate.database().health();
    let provider = provider(&gate);
    let degraded = provider.get("ok") == Some(&Value::Bool(false));
    let status = match (store.ok, degraded) {
        (false, _) => "unhealthy",
        (true, true) => "degraded",
        (true, false) => "ok",
    };
    let body = json!({
        "status": status,
        "checks": {
            "store": {"ok": store.ok, "error": store.error},
            "provider": provider,
        },
        "version": gate.about().version,
    });
    let code = if store.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(body)).into_response()
}

/// The default model's last state: offline models always work.
fn provider(gate: &Gateway) -> Value {
    let snapshot = gate.now();
    match snapshot.models.resolve(None, Door::Context) {
        Ok(Target::Offline(model)) => json!({"ok": true, "model": model.name(), "offline": true}),
        Err(fault) => json!({"ok": false, "model": null, "error": fault.text()}),
        Ok(Target::Upstream(upstream)) => {
            let rows = snapshot.models.providers();
            let row = rows.into_iter().find(|row| row.name == upstream.provider());
            let error = row.as_ref().and_then(|row| row.last_error.clone());
            let ok = row.is_none_or(|row| row.reachable != Some(false));
            json!({"ok": ok, "model": upstream.model(), "offline": false, "error": error})
        }
    }
}

/// Whether requests can be served now; else what is missing.
#[utoipa::path(get, path = "/ready", tag = "status",
    responses((status = 200, description = "`ready`", body = Object),
              (status = 503, description = "`missing`", body = Object)))]
async fn ready(State(gate): State<Gateway>) -> Response {
    let mut missing = Vec::new();
    let store = gate.database().health();
    if !store.ok {
        missing.push(format!("store: {}", store.error.unwrap_or_default()));
    }
    if gate.about().listen.is_empty() {
        missing.push("listener: no socket is bound yet".to_owned());
    }
    let body = json!({"ready": missing.is_empty(), "missing": missing});
    let code = if missing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, axum::Json(body)).into_response()
}

/// Prometheus metrics.
#[utoipa::path(get, path = "/metrics", tag = "status",
    responses((status = 200, description = "OpenMetrics text", body = String)))]
async fn metrics(State(gate): State<Gateway>) -> Result<Response, Failed> {
    let page = gate.metrics().page(&gate).await?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, media)], page).into_response())
}
