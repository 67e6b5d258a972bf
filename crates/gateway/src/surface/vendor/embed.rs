//! Embeddings in every API, from any provider that has them or from the built-in model.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use wire::embed::{
    Asked, Cohere, Embedder, Gemini, GeminiOne, Input, Ollama, OllamaOne, OpenAi, Vectors,
};
use wire::{Code, Fault};

use super::round::{self, Kind, Whole};
use super::{Call, Who, answer, relay};
use crate::auth;
use crate::gate::Gateway;
use crate::model::vectors::{self, spoken};
use crate::model::{Upstream, exact};
use crate::offline;
use crate::surface::problem::Failed;

/// OpenAI's Embeddings API, answered by any provider that embeds, or by `hash-embed`.
#[utoipa::path(post, path = "/v1/embeddings", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "Vectors", body = Object)))]
pub(super) async fn openai(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, r, ("openai_chat", &OpenAi)).await?)
}

/// Ollama's embeddings of many texts.
#[utoipa::path(post, path = "/api/embed", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "Vectors", body = Object)))]
pub(super) async fn ollama(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, r, ("ollama_chat", &Ollama)).await?)
}

/// Ollama's embedding of one text, as its first versions had it.
#[utoipa::path(post, path = "/api/embeddings", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A vector", body = Object)))]
pub(super) async fn ollama_one(
    gate: State<Gateway>,
    who: Who,
    r: Request,
) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, r, ("ollama_chat", &OllamaOne)).await?)
}

/// Cohere's embeddings.
#[utoipa::path(post, path = "/v2/embed", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "Vectors", body = Object)))]
pub(super) async fn cohere(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, r, ("openai_chat", &Cohere)).await?)
}

async fn serve(
    gate: Gateway,
    (Extension(caller), Extension(id)): Who,
    r: Request,
    (dialect, embedder): (&str, &'static dyn Embedder),
) -> Result<Response, Fault> {
    let call = Call::read(gate, (caller, id), r, dialect).await?;
    embed(call, embedder).await
}

/// Gemini's embeddings, whose model stands in the path.
pub(super) async fn gemini(call: Call, method: &str) -> Result<Response, Fault> {
    let embedder: &dyn Embedder = if method == "embedContent" { &GeminiOne } else { &Gemini };
    embed(call, embedder).await
}

async fn embed(call: Call, embedder: &dyn Embedder) -> Result<Response, Fault> {
    let name = call.head.model.as_deref().unwrap_or_default();
    let bare = name.strip_prefix("offline/").unwrap_or(name);
    // Without a name, what is built in answers: no chat model can.
    if bare == offline::EMBED || name.is_empty() {
        auth::may_use(&call.caller.models, offline::PROVIDER, offline::EMBED)?;
        let asked = readable(embedder.request(&call.bytes)?).await?;
        return built_in(&asked, embedder);
    }
    let kind = Embedding(embedder);
    let plan = round::plan(&call, &kind);
    Box::pin(round::ask(&call, &kind, plan)).await
}

/// Embeddings, in the words of this API.
struct Embedding<'e>(&'e dyn Embedder);

impl Kind for Embedding<'_> {
    fn name(&self) -> &'static str {
        "embeddings"
    }

    fn built_in(&self) -> &'static str {
        offline::EMBED
    }

    fn fits(&self, upstream: &Upstream) -> Result<(), Fault> {
        spoken(upstream).map(|_| ())
    }

    fn tokens(&self, call: &Call) -> Result<u64, Fault> {
        let asked = self.0.request(&call.bytes)?;
        Ok(asked.inputs.iter().map(|input| u64::from(context::tokens(&words(input)))).sum())
    }

    async fn ask(&self, call: &Call, upstream: &Arc<Upstream>) -> Result<Whole, Fault> {
        let Self(ours) = self;
        let theirs = spoken(upstream)?;
        if theirs.name() == ours.name() || is_family(theirs, *ours) {
            let path = ours.path_for(upstream.model());
            return round::pass(call, upstream, (round::renamed(call, upstream), &path)).await;
        }
        let asked = readable(ours.request(&call.bytes)?).await?;
        translated(&call.headers, upstream, (&asked, *ours, theirs)).await
    }
}

/// Both forms of one vendor are understood where one is.
fn is_family(theirs: &dyn Embedder, ours: &dyn Embedder) -> bool {
    ours.name().strip_suffix("_one") == Some(theirs.name())
}

async fn translated(
    headers: &HeaderMap,
    upstream: &Arc<Upstream>,
    (asked, ours, theirs): (&Asked, &dyn Embedder, &dyn Embedder),
) -> Result<Whole, Fault> {
    let mut vectors = vectors::ask(upstream, theirs, asked, headers).await?;
    vectors.model.clone_from(&asked.model);
    let mut response = answer::whole(ours.reply(&vectors, asked));
    relay::mark(response.headers_mut(), upstream);
    lost(&mut response, &asked.dropped);
    Ok(Whole { response, tokens: vectors.tokens, refused: None })
}

/// The answer of the built-in model.
fn built_in(asked: &Asked, embedder: &dyn Embedder) -> Result<Response, Fault> {
    let wanted = asked.dimensions.and_then(|count| usize::try_from(count).ok());
    let dimensions = wanted.unwrap_or(offline::DIMENSIONS);
    if dimensions > offline::DIMENSIONS_MAX {
        let (model, most) = (offline::EMBED, offline::DIMENSIONS_MAX);
        let text = format!("`{model}` makes no vectors of `{dimensions}` dimensions");
        return Err(Fault::new(Code::InvalidInput, text).hint(format!("ask for 1 to {most}")));
    }
    let texts: Vec<String> = asked.inputs.iter().map(words).collect();
    let vectors = Vectors {
        model: offline::EMBED.to_owned(),
        vectors: texts
            .iter()
            .map(|text| offline::embed(text, dimensions).into_iter().map(f64::from).collect())
            .collect(),
        tokens: Some(texts.iter().map(|text| u64::from(context::tokens(text))).sum()),
    };
    let head = [
        (CONTENT_TYPE, "application/json"),
        (HeaderName::from_static("x-rapport-provider"), offline::PROVIDER),
        (HeaderName::from_static("x-rapport-model"), offline::EMBED),
    ];
    let body = embedder.reply(&vectors, asked);
    let mut response = (StatusCode::OK, head, body).into_response();
    lost(&mut response, &asked.dropped);
    Ok(response)
}

/// Texts in the place of tokens: only those who made the tokens could read them otherwise.
async fn readable(mut asked: Asked) -> Result<Asked, Fault> {
    let is_tokens = |input: &Input| matches!(input, Input::Tokens(_));
    if !asked.inputs.iter().any(is_tokens) {
        return Ok(asked);
    }
    let lists = asked.inputs.iter().map(|input| match input {
        Input::Tokens(tokens) => tokens.clone(),
        Input::Text(_) => Vec::new(),
    });
    let texts = exact::texts_of(lists.collect()).await?;
    for (input, text) in asked.inputs.iter_mut().zip(texts) {
        if is_tokens(input) {
            *input = Input::Text(text);
        }
    }
    Ok(asked)
}

/// Tokens as words, for counting: the same tokens are the same words.
fn words(input: &Input) -> String {
    match input {
        Input::Text(text) => text.clone(),
        Input::Tokens(tokens) => {
            let words: Vec<String> = tokens.iter().map(|token| format!("t{token}")).collect();
            words.join(" ")
        }
    }
}

fn lost(response: &mut Response, dropped: &[String]) {
    if let Ok(value) = HeaderValue::from_str(&dropped.join(", "))
        && !dropped.is_empty()
    {
        response.headers_mut().insert(HeaderName::from_static("x-rapport-dropped"), value);
    }
}
