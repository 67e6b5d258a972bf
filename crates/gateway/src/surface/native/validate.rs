//! A dry run: says what is wrong with a body, and stores nothing.

use axum::body::Bytes;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wire::Fault;

use super::contexts::{bad_query, one_of};
use super::read;
use super::shape::{NewContext, NewTurn, Problem};
use crate::gate::Gateway;
use crate::surface::problem::Failed;
use crate::surface::{body, fields, second};

/// What the body is for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ValidateQuery {
    /// `context`, `turn` or `interact`.
    r#for: String,
}

/// Checks a body without storing anything.
#[utoipa::path(post, path = "/api/v1/validate", tag = "status", params(ValidateQuery),
    request_body = Object,
    responses((status = 200, description = "`valid` and `problems`", body = Object),
              (status = 400, body = Problem)))]
pub(crate) async fn validate(
    State(gate): State<Gateway>,
    query: Result<Query<ValidateQuery>, axum::extract::rejection::QueryRejection>,
    bytes: Bytes,
) -> Result<axum::Json<Value>, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let depth = gate.now().settings.limits.json_depth;
    let checked = match query.r#for.as_str() {
        "context" => body::parse_object::<NewContext>(&bytes, depth)
            .and_then(|asked| read::settings(asked.settings).map(drop)),
        "turn" => body::parse_object::<NewTurn>(&bytes, depth)
            .and_then(|asked| read::content(&asked.message, "message").map(drop)),
        "interact" => interact(&bytes, depth),
        other => return Err(one_of("for", other, "`context`, `turn` or `interact`").into()),
    };
    let problems: Vec<Value> = checked.err().iter().map(problem).collect();
    Ok(axum::Json(json!({"valid": problems.is_empty(), "problems": problems})))
}

fn interact(bytes: &[u8], depth: usize) -> Result<(), Fault> {
    let map: Map<String, Value> = body::object_or_empty(bytes, depth)?;
    second::read(&map)?;
    fields::text(&map, "message")?.ok_or_else(|| fields::missing("message"))?;
    Ok(())
}

fn problem(fault: &Fault) -> Value {
    json!({"code": fault.code().as_str(), "error": fault.text(), "hint": fault.hint_text(),
           "details": fault.detail_values()})
}
