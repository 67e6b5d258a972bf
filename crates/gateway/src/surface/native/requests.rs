//! The last model calls, and why each went the way it did.

use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::contexts::bad_query;
use super::shape::Problem;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// How many to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// At most so many, 1 to 500; 50 if absent.
    limit: Option<usize>,
}

/// Lists the last model calls, the newest first. They are kept in memory, 2,000 of them, until the
/// server stops.
#[utoipa::path(get, path = "/api/v1/requests", tag = "requests", params(ListQuery),
    responses((status = 200, description = "`requests`", body = Object)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<ListQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Value>, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let limit = query.limit.unwrap_or(50).clamp(1, 500);
    let requests: Vec<Value> = gate
        .cases()
        .last(caller.tenant.0, limit)
        .iter()
        .map(|case| {
            json!({
                "id": case.id, "at": case.at, "dialect": case.dialect,
                "model_asked": case.model_asked, "provider": case.provider, "model": case.model,
                "stream": case.stream, "outcome": case.outcome, "culprit": case.culprit,
                "attempts": case.attempts.len(), "took_ms": case.took_ms,
                "first_ms": case.first_ms, "usage": case.usage, "cost_usd": case.cost_usd,
            })
        })
        .collect();
    Ok(axum::Json(json!({"requests": requests})))
}

/// Why a model call went the way it did: who was to be asked and why, every try with its key, its
/// times and its fault, who answered, what it cost.
#[utoipa::path(get, path = "/api/v1/requests/{id}/explain", tag = "requests",
    params(("id" = String, Path)),
    responses((status = 200, description = "The whole record", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn explain(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let Some(case) = gate.cases().find(caller.tenant.0, &id) else {
        let shown: String = id.chars().take(100).collect();
        let text = format!("no model call with the id `{shown}` is remembered");
        return Err(Fault::new(Code::NotFound, text)
            .hint("the id is the `x-request-id` of the answer; the last 2,000 calls are kept")
            .into());
    };
    let value = serde_json::to_value(&*case);
    Ok(axum::Json(value.map_err(|e| Fault::internal("the record is not JSON").because(e))?))
}
