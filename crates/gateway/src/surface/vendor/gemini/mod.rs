//! Gemini's API: the model and what is wanted of it stand in the path.

mod piped;

use axum::extract::{Extension, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use wire::dialect::Dialect;
use wire::{Code, Fault};

use super::{Call, Who, count, embed, relay};
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// What can be asked of a model, as the path ends.
const METHODS: &[&str] = &[
    "generateContent",
    "streamGenerateContent",
    "countTokens",
    "embedContent",
    "batchEmbedContents",
];

/// Tells whether a path is one of this API, not the description of a model of another.
pub(super) fn is_call(path: &str) -> bool {
    path.rsplit_once(':').is_some_and(|(_, method)| METHODS.contains(&method))
}

/// Refuses to describe what is a call: its method is POST.
///
/// # Errors
/// `method_not_allowed`.
pub(super) fn not_a_call(path: &str) -> Result<(), Fault> {
    if !is_call(path) {
        return Ok(());
    }
    let shown: String = path.chars().take(100).collect();
    let text = format!("`GET` is not a method of `{shown}`");
    let fault = Fault::new(Code::MethodNotAllowed, text);
    Err(fault.hint("use POST, with the request as JSON").details(json!({"allow": "POST"})))
}

/// Gemini's API, answered by any model: `generateContent`, `streamGenerateContent` (with `alt=sse`
/// as events, without as one JSON list), `countTokens`, `embedContent` and `batchEmbedContents`.
#[utoipa::path(post, path = "/v1beta/models/{*call}", tag = "model APIs",
    params(("call" = String, Path, description = "`MODEL:METHOD`")), request_body = Object,
    responses((status = 200, description = "A reply, or its pieces", body = Object)))]
pub(super) async fn beta(
    gate: State<Gateway>,
    who: Who,
    Path(rest): Path<String>,
    r: Request,
) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, &rest, r).await?)
}

/// The same under the name of the API's first stable version.
#[utoipa::path(post, path = "/v1/models/{*call}", tag = "model APIs",
    params(("call" = String, Path, description = "`MODEL:METHOD`")), request_body = Object,
    responses((status = 200, description = "A reply, or its pieces", body = Object)))]
pub(super) async fn stable(
    gate: State<Gateway>,
    who: Who,
    Path(rest): Path<String>,
    r: Request,
) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, &rest, r).await?)
}

/// The same for whoever has not taken the path apart: what is called stands behind `models/`.
pub(super) async fn named(gate: Gateway, who: Who, r: Request) -> Result<Response, Failed> {
    let rest = r.uri().path().split_once("/models/").map_or("", |(_, rest)| rest).to_owned();
    Ok(serve(gate, who, &rest, r).await?)
}

async fn serve(
    gate: Gateway,
    (Extension(caller), Extension(id)): Who,
    rest: &str,
    r: Request,
) -> Result<Response, Fault> {
    let Some((model, method)) = rest.rsplit_once(':').filter(|(_, m)| METHODS.contains(m)) else {
        let shown: String = rest.chars().take(100).collect();
        let text = format!("`{shown}` does not end in a method of this API");
        let hint = format!("write `MODEL:METHOD`; methods: {}", METHODS.join(", "));
        return Err(Fault::new(Code::NotFound, text).hint(hint));
    };
    let has_events = r.uri().query().is_some_and(|q| q.split('&').any(|pair| pair == "alt=sse"));
    let mut call = Call::read(gate, (caller, id), r, "gemini").await?;
    call.head.model = Some(model.to_owned());
    // A field of this name would be somebody else's: it is not touched.
    call.head.models.clear();
    call.head.stream = Some(method == "streamGenerateContent");
    match method {
        "streamGenerateContent" => {
            call.dialect = if has_events { &piped::EVENTS } else { &piped::LIST };
            call.answer().await
        }
        "generateContent" => call.answer().await,
        "countTokens" => count_tokens(call).await,
        _ => embed::gemini(call, method).await,
    }
}

async fn count_tokens(mut call: Call) -> Result<Response, Fault> {
    if let Some(upstream) = call.same(&call.target()?) {
        let path = method_path(call.dialect, upstream.model(), "countTokens");
        let sent = (call.bytes.clone(), &call.head);
        return relay::pass(upstream, sent, &call.headers, &path).await;
    }
    // The whole request may stand in a field of its own.
    let inner: Option<Inner<'_>> = serde_json::from_slice(&call.bytes).ok();
    if let Some(raw) = inner.and_then(|inner| inner.request) {
        call.bytes = call.bytes.slice_ref(raw.get().as_bytes());
    }
    let total = count::estimate(&call.asked()?.prompt);
    Ok(axum::Json(json!({"totalTokens": total})).into_response())
}

#[derive(serde::Deserialize)]
struct Inner<'a> {
    #[serde(borrow, rename = "generateContentRequest")]
    request: Option<&'a serde_json::value::RawValue>,
}

/// The path of another method of the model.
pub(super) fn method_path(dialect: &dyn Dialect, model: &str, method: &str) -> String {
    let path = dialect.path_for(model, false);
    let model = path.rsplit_once(':').map_or(path.as_str(), |(model, _)| model);
    format!("{model}:{method}")
}
