//! Other vendors' APIs, in: an application written for Anthropic or OpenAI points here unchanged.

mod answer;
mod bedrock;
mod beside;
mod cached;
mod cohere;
mod completions;
mod continued;
mod conversations;
mod count;
mod direct;
mod embed;
mod gemini;
mod held;
mod history;
mod lost;
mod meter;
mod models;
mod ollama;
mod relay;
mod remember;
mod rerank;
mod responses;
mod round;
mod rounds;
mod threads;
mod version;
mod walk;

pub(crate) use direct::{DIRECT, Direct};
pub(crate) use responses::Lives;

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::dialect::{Asked, Dialect, Head, Link, named, scan};
use wire::{Code, Fault};

use super::body;
use super::door::RequestId;
use super::problem::Failed;
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::model::{Door, Target, Upstream};

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new()
        .routes(routes!(messages))
        .routes(routes!(count_tokens))
        .routes(routes!(chat_completions))
        .routes(routes!(bedrock::converse))
        .routes(routes!(bedrock::converse_stream))
        .routes(routes!(cohere::chat))
        .routes(routes!(completions::completions))
        .merge(conversations::routes())
        .merge(responses::routes())
        .routes(routes!(models::list))
        .routes(routes!(models::one, gemini::stable))
        .routes(routes!(models::list_beta))
        .routes(routes!(models::one_beta, gemini::beta))
        .routes(routes!(ollama::chat))
        .routes(routes!(ollama::generate))
        .routes(routes!(ollama::tags))
        .routes(routes!(ollama::running))
        .routes(routes!(ollama::version))
        .routes(routes!(ollama::show))
        .routes(routes!(ollama::pull))
        .routes(routes!(ollama::push))
        .routes(routes!(ollama::create))
        .routes(routes!(ollama::copy))
        .routes(routes!(ollama::delete))
        .routes(routes!(embed::openai))
        .routes(routes!(embed::ollama))
        .routes(routes!(embed::ollama_one))
        .routes(routes!(embed::cohere))
        .routes(routes!(rerank::first))
        .routes(routes!(rerank::second))
        .merge(beside::routes())
}

/// Who calls, and the request's id.
type Who = (Extension<Caller>, Extension<RequestId>);

/// Tells whether a path below `/v1` is one of Gemini's API.
pub(super) fn is_gemini(path: &str) -> bool {
    path.starts_with("/v1beta/") || path.starts_with("/v1/models/") && gemini::is_call(path)
}

/// Tells whether a path is one of Ollama's API.
pub(super) fn is_ollama(path: &str) -> bool {
    ollama::is_path(path)
}

/// Limit: the bytes of an answer that is read whole.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// One model call, as it came.
struct Call {
    gate: Gateway,
    caller: Caller,
    request: Arc<str>,
    headers: HeaderMap,
    bytes: Bytes,
    head: Head,
    dialect: &'static dyn Dialect,
}

/// Anthropic's Messages API, answered by any model; with `X-Rapport-Context` the conversation is
/// kept here and only the new message is sent.
#[utoipa::path(post, path = "/v1/messages", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A message, or its events", body = Object)))]
async fn messages(
    gate: State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    r: Request,
) -> Result<Response, Failed> {
    let call = Call::read(gate.0, (who.0.0, who.1.0), r, "anthropic").await?;
    if threads::may_be(&call) {
        return Ok(Box::pin(threads::answer(call)).await?);
    }
    Ok(call.answer().await?)
}

/// OpenAI's Chat Completions API, answered by any model; with `X-Rapport-Context` the conversation
/// is kept here and only the new message is sent.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A completion, or its chunks", body = Object)))]
async fn chat_completions(
    gate: State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    r: Request,
) -> Result<Response, Failed> {
    Ok(Call::read(gate.0, (who.0.0, who.1.0), r, "openai_chat").await?.answer().await?)
}

/// Counts the tokens of a request: by its provider where that can, exactly for OpenAI's models, else
/// an estimate.
#[utoipa::path(post, path = "/v1/messages/count_tokens", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "`input_tokens`", body = Object)))]
async fn count_tokens(
    gate: State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    r: Request,
) -> Result<Response, Failed> {
    let call = Call::read(gate.0, (who.0.0, who.1.0), r, "anthropic").await?;
    let target = call.target()?;
    if let Some(upstream) = call.same(&target) {
        let path = "/v1/messages/count_tokens";
        let sent = (call.bytes.clone(), &call.head);
        return Ok(relay::pass(upstream, sent, &call.headers, path).await?);
    }
    let count = count::tokens(&target, call.asked()?.prompt).await;
    Ok(axum::Json(json!({"input_tokens": count})).into_response())
}

/// Asks a model once, without a conversation, as a call of the Messages API would: by routes and
/// limits, written down like any other. The reply is one of that API.
pub(crate) async fn ask_once(
    gate: &Gateway,
    caller: &Caller,
    body: &Value,
) -> Result<Value, Fault> {
    let bytes = Bytes::from(body.to_string());
    let head = scan(&bytes).ok_or_else(|| Fault::internal("the call is no object"))?;
    let dialect = named("anthropic").ok_or_else(|| Fault::internal("the dialect is gone"))?;
    let request: Arc<str> = format!("ask_{}", uuid::Uuid::new_v4().simple()).into();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", http::HeaderValue::from_static("application/json"));
    headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    let (gate, caller) = (gate.clone(), caller.clone());
    let call = Call { gate, caller, request, headers, bytes, head, dialect };
    let answer = call.answer().await?;
    let status = answer.status();
    let whole = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await;
    let whole = whole.map_err(|cause| {
        Fault::new(Code::UpstreamInvalid, "the model's answer broke off").because(cause)
    })?;
    let reply: Value = serde_json::from_slice(&whole).unwrap_or_default();
    if status.is_success() && reply.is_object() {
        return Ok(reply);
    }
    let said = reply.pointer("/error/message").and_then(Value::as_str).unwrap_or("no reason given");
    let said: String = said.chars().take(500).collect();
    Err(Fault::new(Code::UpstreamError, format!("the provider answered {status}: {said}")))
}

impl Call {
    async fn read(
        gate: Gateway,
        (caller, request): (Caller, RequestId),
        r: Request,
        dialect: &str,
    ) -> Result<Self, Fault> {
        let limits = gate.now().settings.limits.clone();
        let headers = r.headers().clone();
        let bytes = body::collect(r.into_body(), &limits).await?;
        body::media_type(&headers)?;
        let Some(head) = scan(&bytes) else {
            let depth = limits.json_depth;
            let broken = body::parse_object::<serde_json::Map<_, Value>>(&bytes, depth).err();
            return Err(broken.unwrap_or_else(|| {
                Fault::new(Code::InvalidInput, "the body must be a JSON object")
            }));
        };
        let dialect = named(dialect).ok_or_else(|| Fault::internal("the dialect is gone"))?;
        if dialect.name() == "anthropic" {
            version::check(&headers, &bytes)?;
        }
        Ok(Self { gate, caller, request: request.0, headers, bytes, head, dialect })
    }

    /// What is asked, read.
    fn asked(&self) -> Result<Asked, Fault> {
        let depth = self.gate.now().settings.limits.json_depth;
        if self.head.depth > depth {
            return Err(body::too_deep(depth));
        }
        self.dialect.request(&self.bytes)
    }

    fn target(&self) -> Result<Target, Fault> {
        let target = self.gate.now().models.resolve(self.head.model.as_deref(), Door::Context)?;
        auth::may_name(&self.caller.models, &self.gate.now(), self.head.model.as_deref())?;
        Ok(target)
    }

    /// The upstream that reads the caller's bytes as they are.
    fn same(&self, target: &Target) -> Option<Arc<Upstream>> {
        match target {
            Target::Upstream(upstream) if upstream.dialect().name() == self.dialect.name() => {
                Some(Arc::clone(upstream))
            }
            Target::Upstream(_) | Target::Offline(_) => None,
        }
    }

    /// The conversation the call goes on with: `X-Rapport-Context`, else `metadata.context_id`.
    fn context(&self) -> Option<String> {
        let header = self.headers.get("x-rapport-context").and_then(|v| v.to_str().ok());
        match (&self.head.link, header) {
            (_, Some(id)) => Some(id.to_owned()),
            (Some(Link::Context(id)), None) => Some(id.clone()),
            (Some(Link::Conversation(_) | Link::Response(_)) | None, None) => None,
        }
    }

    async fn answer(self) -> Result<Response, Fault> {
        if let Some(id) = self.context() {
            return remember::turn(self, &id).await;
        }
        let model = self.head.model.as_deref();
        auth::may_name(&self.caller.models, &self.gate.now(), model)?;
        cached::answer(self).await
    }

    /// Whether the answer is to be streamed.
    fn streams(&self) -> bool {
        self.head.stream.unwrap_or(false)
    }

    /// Asks whoever is to answer.
    async fn ask(self) -> Result<Response, Fault> {
        Box::pin(walk::ask(self)).await
    }
}
