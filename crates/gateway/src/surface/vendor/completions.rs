//! OpenAI's first API for models, which tools for code still call: one prompt, one text.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{Call, Who};
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// OpenAI's legacy Completions API, answered by any model.
#[utoipa::path(post, path = "/v1/completions", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A completion, or its chunks", body = Object)))]
pub(super) async fn completions(
    gate: State<Gateway>,
    who: Who,
    r: Request,
) -> Result<Response, Failed> {
    Ok(Call::read(gate.0, (who.0.0, who.1.0), r, "openai_completions").await?.answer().await?)
}
