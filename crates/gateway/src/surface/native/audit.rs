//! The audit of changes: read, checked, exported.

use axum::extract::{Extension, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{Change, Changes};
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};

use super::contexts::{bad_query, one_of};
use super::read;
use super::shape::time;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// Which lines.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// Only changes of this context.
    context: Option<String>,
    /// Lines after this number.
    after: Option<u64>,
    /// At most so many, 1 to 500; 100 unless given.
    limit: Option<u32>,
    /// `json` (default), or `jsonl` for one line each.
    format: Option<String>,
}

/// Who changed what, and when: lines that are chained by their hashes, the oldest first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, description = "`changes` and `next_after`", body = Object)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<AuditQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let limit = read::limit(query.limit, 100, 500)?;
    let lines = match query.format.as_deref() {
        None | Some("json") => false,
        Some("jsonl") => true,
        Some(other) => return Err(one_of("format", other, "`json` or `jsonl`").into()),
    };
    let after = query.after.unwrap_or(0);
    let wanted = Changes { context: query.context, after, limit };
    let page = gate.contexts().changes(caller.tenant, wanted).await?;
    let changes = page.items.iter().map(shown);
    if lines {
        let text = changes.fold(String::new(), |text, change| format!("{text}{change}\n"));
        let media = HeaderValue::from_static("application/x-ndjson");
        return Ok(([(CONTENT_TYPE, media)], text).into_response());
    }
    let changes: Vec<Value> = changes.collect();
    let next: Option<u64> = page.next.and_then(|next| next.parse().ok());
    Ok(axum::Json(json!({"changes": changes, "next_after": next})).into_response())
}

/// Checks the whole chain.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit",
    responses((status = 200, description = "`sound`, the lines, the newest hash, and the first \
                line that is not as it was written", body = Object)))]
pub(crate) async fn verify(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Value>, Failed> {
    let check = gate.contexts().check_changes(caller.tenant).await?;
    let broken = check.broken.map(|(line, why)| json!({"line": line, "why": why}));
    Ok(axum::Json(json!({
        "sound": broken.is_none(), "lines": check.lines, "newest": check.newest, "broken": broken,
    })))
}

/// Destroys the keys that seal the caller's encrypted contexts: what they hold is gone for good.
#[utoipa::path(delete, path = "/api/v1/encryption/key", tag = "audit",
    responses((status = 200, description = "`contexts` that cannot be read any more",
               body = Object)))]
pub(crate) async fn erase(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Value>, Failed> {
    let contexts = gate.contexts().erase_keys(caller.tenant).await?;
    Ok(axum::Json(json!({"contexts": contexts, "message": "the keys are destroyed"})))
}

fn shown(change: &Change) -> Value {
    json!({
        "line": change.number, "at": time(change.at), "who": change.who, "what": change.what,
        "context_id": &*change.context, "detail": change.detail,
        "before": change.before, "after": change.after, "hash": change.hash,
    })
}
