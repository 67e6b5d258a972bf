//! Conversations out of the server and into it, in our own format and in those of others.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::Format;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::contexts::{bad_query, one_of, touched};
use super::read;
use super::shape::Problem;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body;
use crate::surface::problem::Failed;

/// What the format of an export could not say.
const DROPPED_HEADER: HeaderName = HeaderName::from_static("x-rapport-dropped");

/// The format of a document.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormatQuery {
    /// `rapport`, `jsonl`, `anthropic`, `openai_chat` or `openai_responses`; imports also know
    /// `chatgpt` and `claude`, and find the format out when it is not given.
    format: Option<String>,
}

impl FormatQuery {
    fn read(&self) -> Result<Option<Format>, Fault> {
        let Some(name) = &self.format else { return Ok(None) };
        let names: Vec<String> = Format::ALL.iter().map(|(_, name)| format!("`{name}`")).collect();
        let known = || one_of("format", name, &format!("one of {}", names.join(", ")));
        Format::parse(name).map(Some).ok_or_else(known)
    }
}

/// Writes a context with all its messages as one document.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/export", tag = "contexts",
    params(("id" = String, Path), FormatQuery),
    responses((status = 200, description = "The document; what its format cannot say is named in \
                `x-rapport-dropped`", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn export(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<FormatQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let format = query.read()?.unwrap_or(Format::Rapport);
    let document = gate.contexts().export(&key, format).await?;
    let media = HeaderValue::from_static(document.media_type);
    let mut response = ([(CONTENT_TYPE, media)], document.text).into_response();
    if !document.dropped.is_empty()
        && let Ok(value) = HeaderValue::from_str(&document.dropped.join(", "))
    {
        response.headers_mut().insert(DROPPED_HEADER, value);
    }
    Ok(touched(response, &key))
}

/// Makes contexts of a document: of ours, of a request to a model, or of another product's export.
#[utoipa::path(post, path = "/api/v1/import", tag = "contexts", params(FormatQuery),
    request_body(content = String, description = "The document", content_type = "application/json"),
    responses((status = 201, description = "`contexts` that were made, and how many messages were \
                left out because they have no answer or no content", body = Object),
              (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn import(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<FormatQuery>, axum::extract::rejection::QueryRejection>,
    request: axum::extract::Request,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let format = query.read()?;
    let media = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // Lines have a media type of their own; pages of other origins cannot send either unasked.
    if !media.is_some_and(|media| media.starts_with("application/x-ndjson")) {
        body::media_type(request.headers())?;
    }
    let limits = gate.now().settings.limits.clone();
    let bytes = body::collect(request.into_body(), &limits).await?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Fault::new(Code::InvalidInput, "the document is not UTF-8")
            .hint("save it as UTF-8 and send it again")
            .because(error)
    })?;
    // A large export takes longer than other requests may wait for.
    let text = text.to_owned();
    let read = tokio::task::spawn_blocking(move || context::read_document(&text, format)).await;
    let parcel =
        read.map_err(|error| Fault::internal("the import was cut off").because(error))??;
    let left_out = parcel.left_out;
    let made = gate.contexts().import(caller.tenant, parcel).await?;
    tracing::info!(contexts = made.len(), left_out, "contexts imported");
    let contexts: Vec<Value> = made
        .iter()
        .map(|made| {
            json!({"id": &*made.id, "title": made.title, "messages": made.size.messages,
                   "parent": made.parent.as_deref(), "fork_seq": made.fork_seq})
        })
        .collect();
    let body = json!({"contexts": contexts, "left_out": left_out});
    Ok((StatusCode::CREATED, axum::Json(body)).into_response())
}
