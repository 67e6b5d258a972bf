//! Conversations out of the server, in our own format and in those of others.

use std::io;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use context::{Export, Format};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use wire::Fault;

use super::contexts::{bad_query, one_of, touched};
use super::read;
use super::shape::Problem;
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// What the format of an export could not say of the messages.
const DROPPED_HEADER: HeaderName = HeaderName::from_static("x-rapport-dropped");
/// What of the context is not in the document at all, and how much of it.
const LEFT_OUT_HEADER: HeaderName = HeaderName::from_static("x-rapport-left-out");

/// Reads the name of a format.
pub(super) fn format_of(name: Option<&str>) -> Result<Option<Format>, Fault> {
    let Some(name) = name else { return Ok(None) };
    let names: Vec<String> = Format::ALL.iter().map(|(_, name)| format!("`{name}`")).collect();
    let known = || one_of("format", name, &format!("one of {}", names.join(", ")));
    Format::parse(name).map(Some).ok_or_else(known)
}

/// How to write a document.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// `rapport` (default), `jsonl`, `anthropic`, `openai_chat` or `openai_responses`.
    format: Option<String>,
    /// Only tell what the document would leave out, as JSON.
    dry_run: bool,
}

/// Writes a context with all its messages as one document, part by part. It tells the context as
/// it was when the export began.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/export", tag = "contexts",
    params(("id" = String, Path), ExportQuery),
    responses((status = 200, description = "The document. What its format cannot say of messages \
                is named in `x-rapport-dropped`, what of the context is not in it in \
                `x-rapport-left-out`, such as `notes=3, state=1`", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn export(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<ExportQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let format = format_of(query.format.as_deref())?.unwrap_or(Format::Rapport);
    let mount = gate.through(&key).await;
    let mut export = gate.contexts().exporting(&key, format).await?;
    let dropped = export.dropped().await?;
    if query.dry_run {
        let report = json!({
            "format": format.as_str(), "media_type": export.media_type(),
            "left_out": export.left_out(), "dropped": dropped,
        });
        return Ok(touched(axum::Json(report).into_response(), &key));
    }
    let media = HeaderValue::from_static(export.media_type());
    let left_out: Vec<String> =
        export.left_out().iter().map(|(name, count)| format!("{name}={count}")).collect();
    // What is read already can still be refused; later only the connection can be cut.
    let first = export.next().await?;
    let mut response = ([(CONTENT_TYPE, media)], document(first, export)).into_response();
    for (name, list) in [(DROPPED_HEADER, dropped), (LEFT_OUT_HEADER, left_out)] {
        if !list.is_empty()
            && let Ok(value) = HeaderValue::from_str(&list.join(", "))
        {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(super::mounts::marked(touched(response, &key), mount.as_ref()))
}

/// The body: read from the store as fast as the caller takes it.
fn document(first: Option<String>, export: Export) -> Body {
    Body::from_stream(futures_util::stream::unfold(
        (first, Some(export)),
        |(first, export)| async move {
            let mut export = export?;
            if let Some(part) = first {
                return Some((Ok(Bytes::from(part)), (None, Some(export))));
            }
            match export.next().await {
                Ok(Some(part)) => Some((Ok(Bytes::from(part)), (None, Some(export)))),
                Ok(None) => None,
                Err(fault) => {
                    tracing::warn!("an export was cut off: {}", fault.chain());
                    Some((Err(io::Error::other(fault.text().to_owned())), (None, None)))
                }
            }
        },
    ))
}
