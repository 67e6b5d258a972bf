//! Summaries and writing prompts: small services that work without any model.

use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Code, Fault};

use super::body::Json;
use super::fields;
use super::native::shape::{Object, Problem};
use super::problem::Failed;
use crate::gate::Gateway;
use crate::offline::{self, Length};

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(summarize)).routes(routes!(generate_prompt))
}

/// Shortens a text: `{text, length: "short"|"medium"|"long"}` to `{summary}`.
#[utoipa::path(post, path = "/api/v1/summarize", tag = "writing", request_body = Object,
    responses((status = 200, description = "`summary`", body = Object),
              (status = 400, body = Problem)))]
async fn summarize(
    Json { value: Object(asked), .. }: Json<Object>,
) -> Result<axum::Json<Value>, Failed> {
    Ok(axum::Json(summary(asked).await?))
}

/// Makes a writing prompt: `{theme, difficulty}` to `{prompt}`.
#[utoipa::path(post, path = "/api/v1/generate_prompt", tag = "writing", request_body = Object,
    responses((status = 200, description = "`prompt`", body = Object),
              (status = 400, body = Problem)))]
async fn generate_prompt(
    Json { value: Object(asked), .. }: Json<Object>,
) -> Result<axum::Json<Value>, Failed> {
    Ok(axum::Json(writing_prompt(&asked)?))
}

/// `summarize` of every transport.
///
/// # Errors
/// `missing_field` or `invalid_input`.
pub(crate) async fn summary(asked: Map<String, Value>) -> Result<Value, Fault> {
    let text = fields::text(&asked, "text")?.ok_or_else(|| fields::missing("text"))?.to_owned();
    if text.trim().is_empty() {
        return Err(Fault::new(Code::InvalidInput, "`text` is empty: there is nothing to shorten"));
    }
    let length = match fields::text(&asked, "length")?.unwrap_or("medium") {
        "short" => Length::Short,
        "medium" => Length::Medium,
        "long" => Length::Long,
        other => {
            let text = format!("`length` must be `short`, `medium` or `long`, got `{other}`");
            return Err(Fault::new(Code::InvalidInput, text));
        }
    };
    // A long text takes more than the half millisecond that a runtime thread may be held.
    let summary = tokio::task::spawn_blocking(move || offline::summarize(&text, length)).await;
    let summary = summary.map_err(|e| Fault::internal("the summary broke off").because(e))?;
    Ok(json!({"summary": summary, "model": "offline"}))
}

/// `generate_prompt` of every transport.
///
/// # Errors
/// `missing_field` or `invalid_input`.
pub(crate) fn writing_prompt(asked: &Map<String, Value>) -> Result<Value, Fault> {
    let theme = fields::text(asked, "theme")?.ok_or_else(|| fields::missing("theme"))?;
    let difficulty = fields::text(asked, "difficulty")?.unwrap_or("medium");
    Ok(json!({"prompt": offline::generate_prompt(theme, difficulty), "model": "offline"}))
}
