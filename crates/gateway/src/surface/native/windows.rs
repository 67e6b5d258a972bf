//! What goes to models of a context: the history of epochs, summaries, pinned messages.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::contexts::{answer, touched};
use super::guarded::Guarded;
use super::read;
use super::shape::{Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// Why requests did not begin with the bytes of the one before, and what that cost.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/epochs", tag = "windows",
    params(("id" = String, Path)),
    responses((status = 200, description = "`epochs`, the newest first", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn epochs(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().epochs(&key).await?;
    let list: Vec<Value> = found
        .iter()
        .map(|epoch| {
            json!({
                "epoch": epoch.number, "reason": epoch.reason.as_str(), "at": time(epoch.at),
                "model": epoch.model, "first_seq": epoch.start_seq, "turns": epoch.turns,
                "rewritten_tokens": epoch.rewritten_tokens,
                "prompt_tokens": epoch.prompt_tokens,
                "cached_tokens": epoch.cached_tokens,
                "written_tokens": epoch.written_tokens,
            })
        })
        .collect();
    Ok(touched(axum::Json(json!({"epochs": list})).into_response(), &key))
}

/// The summaries that stood or stand for older messages.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/summaries", tag = "windows",
    params(("id" = String, Path)),
    responses((status = 200, description = "`summaries`, the newest first", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn summaries(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().summaries(&key).await?;
    let list: Vec<Value> = found
        .iter()
        .map(|summary| {
            json!({
                "summary": summary.number, "first_seq": summary.first_seq,
                "upto": summary.upto, "text": summary.text, "by": summary.model,
                "at": time(summary.at),
            })
        })
        .collect();
    Ok(touched(axum::Json(json!({"summaries": list})).into_response(), &key))
}

/// The messages that every window carries.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/pins", tag = "windows",
    params(("id" = String, Path)),
    responses((status = 200, description = "`pins`: their numbers", body = Object)))]
pub(crate) async fn pins(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let pins = gate.contexts().pins(&key).await?;
    Ok(touched(axum::Json(json!({"pins": pins})).into_response(), &key))
}

/// Lets every window carry a message.
#[utoipa::path(put, path = "/api/v1/contexts/{id}/pins/{seq}", tag = "windows",
    params(("id" = String, Path), ("seq" = u64, Path)),
    responses((status = 200, description = "The context", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn pin(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path((id, seq)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let found = contexts.pin(&read::key(&caller, &id)?, number(&seq)?, true).await?;
    Ok(answer(&gate, &found))
}

/// Lets windows leave a message behind again.
#[utoipa::path(delete, path = "/api/v1/contexts/{id}/pins/{seq}", tag = "windows",
    params(("id" = String, Path), ("seq" = u64, Path)),
    responses((status = 200, description = "The context", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn release(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path((id, seq)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let found = contexts.pin(&read::key(&caller, &id)?, number(&seq)?, false).await?;
    Ok(answer(&gate, &found))
}

/// The number of a message in a path.
fn number(text: &str) -> Result<u64, Fault> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let text = format!("`{}` is no number of a message", text.escape_default());
        Fault::new(Code::InvalidInput, text)
            .hint("messages are numbered from 1; their `seq` says which")
            .because(error)
    })
}
