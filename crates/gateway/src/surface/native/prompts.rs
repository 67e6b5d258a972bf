//! Kept prompts: listed, and filled in.

use axum::extract::{Extension, Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::shape::{Object, Problem};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::prompts;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// The prompts of the configuration that the caller may use.
#[utoipa::path(get, path = "/api/v1/prompts", tag = "prompts",
    responses((status = 200, description = "`prompts`: name, title, description, arguments, model",
               body = Object)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> axum::Json<Value> {
    let snapshot = gate.now();
    let told = prompts::seen(&snapshot, &caller).map(|prompt| {
        let mut told = prompt.to_value();
        if let (Some(object), Some(model)) = (told.as_object_mut(), &prompt.model) {
            object.insert("model".to_owned(), model.as_str().into());
        }
        told
    });
    axum::Json(json!({"prompts": told.collect::<Vec<_>>()}))
}

/// The body of `POST /api/v1/prompts/{name}`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Fill {
    /// What the prompt is given, by name.
    arguments: Option<Object>,
}

/// A prompt with its arguments in their places: ready to be sent to a model, and sent to none.
#[utoipa::path(post, path = "/api/v1/prompts/{name}", tag = "prompts",
    params(("name" = String, Path)), request_body = Fill,
    responses((status = 200, description = "`messages`, and `system` and `model` if it has them",
               body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn fill(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json { value: asked, .. }: Json<Fill>,
) -> Result<axum::Json<Value>, Failed> {
    let snapshot = gate.now();
    let prompt = prompts::find(&snapshot, &caller, &name)?;
    let given = asked.arguments.map(|Object(given)| given).unwrap_or_default();
    let rendered = prompt.render(&given)?;
    Ok(axum::Json(json!({
        "name": prompt.name, "description": prompt.description, "system": rendered.system,
        "model": prompt.model, "messages": [{"role": "user", "content": rendered.text}],
    })))
}
