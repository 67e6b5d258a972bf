//! Cohere's chat, answered by any model.

use axum::extract::{Request, State};
use axum::response::Response;

use super::{Call, Who};
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// Cohere's Chat API of the second version, answered by any model; with `X-Rapport-Context` the
/// conversation is kept here and only the new message is sent.
#[utoipa::path(post, path = "/v2/chat", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A message, or its events", body = Object)))]
pub(super) async fn chat(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(Call::read(gate.0, (who.0.0, who.1.0), r, "cohere_chat").await?.answer().await?)
}
