//! `GET /`: the console for browsers, a list of the doors for programs.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Answers with what the caller can read.
pub(super) async fn index(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    #[cfg(feature = "console")]
    if accept.is_some_and(|accept| accept.contains("text/html")) {
        return super::files::start(&headers);
    }
    let _only_with_console = accept;
    let mut response = Json(json!({
        "name": "rapport",
        "version": env!("CARGO_PKG_VERSION"),
        "documentation": "/docs",
        "openapi": "/openapi.json",
        "endpoints": {
            "contexts": "/api/v1/contexts",
            "models": "/api/v1/models",
            "status": "/api/v1/status",
            "mcp_context": "/mcp/context",
            "interact": "/api/mcp/interact",
            "predict": "/v1/predict",
            "websocket": "/ws",
            "health": "/health",
            "ready": "/ready",
            "metrics": "/metrics",
        },
        "protocols": ["http/1.1", "h2c", "websocket", "json-lines", "mcp/1.0"],
    }))
    .into_response();
    // The same address has two answers; caches must know.
    response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept"));
    response
}
