//! Bedrock's Converse: the model stands in the path, and streams are binary frames.

use axum::extract::{Extension, Path, Request, State};
use axum::response::Response;
use wire::Fault;

use super::{Call, Who};
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// Bedrock's Converse, answered by any model. Its clients show a key as a Bedrock API key does:
/// `Authorization: Bearer`; signatures are not checked here.
#[utoipa::path(post, path = "/model/{model}/converse", tag = "model APIs",
    params(("model" = String, Path, description = "the model, escaped")), request_body = Object,
    responses((status = 200, description = "A reply", body = Object)))]
pub(super) async fn converse(
    gate: State<Gateway>,
    who: Who,
    Path(model): Path<String>,
    r: Request,
) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, (model, false), r).await?)
}

/// The same, streamed.
#[utoipa::path(post, path = "/model/{model}/converse-stream", tag = "model APIs",
    params(("model" = String, Path, description = "the model, escaped")), request_body = Object,
    responses((status = 200, description = "The pieces of a reply, as AWS's event stream",
               content_type = "application/vnd.amazon.eventstream", body = Vec<u8>)))]
pub(super) async fn converse_stream(
    gate: State<Gateway>,
    who: Who,
    Path(model): Path<String>,
    r: Request,
) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, (model, true), r).await?)
}

async fn serve(
    gate: Gateway,
    (Extension(caller), Extension(id)): Who,
    (model, stream): (String, bool),
    r: Request,
) -> Result<Response, Fault> {
    let mut call = Call::read(gate, (caller, id), r, "bedrock_converse").await?;
    call.head.model = Some(model);
    // A field of this name would be somebody else's: it is not touched.
    call.head.models.clear();
    call.head.stream = Some(stream);
    call.answer().await
}
