//! Rankings of documents in the words of Cohere, Jina and Voyage, which are nearly the same.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::HeaderName;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::beside::{self, Wanted};
use super::round::{self, Kind, Whole};
use super::{Call, Who};
use crate::auth;
use crate::gate::Gateway;
use crate::model::{Door, Upstream};
use crate::offline;
use crate::route::Plan;
use crate::surface::body;
use crate::surface::problem::Failed;

/// Limit: documents of one request, as Cohere has it.
const DOCUMENTS_MAX: usize = 10_000;
/// What it is called in the table of providers.
const WHAT: &str = "rerank";

/// Ranks documents, as Cohere's second version, Jina and Voyage have it: passed on to a provider
/// that ranks, or answered by `lexical-rerank`.
#[utoipa::path(post, path = "/v1/rerank", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "`results`", body = Object)))]
pub(super) async fn first(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, r).await?)
}

/// Ranks documents, as Cohere's second version has it.
#[utoipa::path(post, path = "/v2/rerank", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "`results`", body = Object)))]
pub(super) async fn second(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(serve(gate.0, who, r).await?)
}

async fn serve(
    gate: Gateway,
    (Extension(caller), Extension(id)): Who,
    r: Request,
) -> Result<Response, Fault> {
    let path = r.uri().path().to_owned();
    let call = Call::read(gate, (caller, id), r, "openai_chat").await?;
    let name = call.head.model.as_deref().unwrap_or_default();
    let bare = name.strip_prefix("offline/").unwrap_or(name);
    if bare == offline::RERANK || name.is_empty() {
        auth::may_use(&call.caller.models, offline::PROVIDER, offline::RERANK)?;
        let depth = call.gate.now().settings.limits.json_depth;
        return built_in(&call.request, &body::parse_object(&call.bytes, depth)?);
    }
    let kind = Ranking { path };
    let plan = kind.plan(&call);
    Box::pin(round::ask(&call, &kind, plan)).await
}

/// Rankings, by the path they were asked on.
struct Ranking {
    path: String,
}

impl Ranking {
    /// The targets of a route; else the provider that ranks, by the model, the header, or because
    /// there is only one.
    fn plan(&self, call: &Call) -> Result<Plan, Fault> {
        let snapshot = call.gate.now();
        let name = call.head.model.as_deref().unwrap_or_default();
        if snapshot.models.route(name).is_some() {
            return round::plan(call, self);
        }
        let wanted = Wanted { what: WHAT, family: "", model: Some(name) };
        let (raw, own) = beside::choose(&snapshot.models, &call.headers, wanted)?;
        let target = format!("{}/{}", raw.name(), own.as_deref().unwrap_or(name));
        let target = snapshot.models.resolve(Some(&target), Door::Context)?;
        auth::may_ask(&call.caller.models, &target)?;
        Ok(Plan::only(target, "the model or the provider was named, or no other ranks"))
    }
}

impl Kind for Ranking {
    fn name(&self) -> &'static str {
        "rankings"
    }

    fn built_in(&self) -> &'static str {
        offline::RERANK
    }

    fn fits(&self, upstream: &Upstream) -> Result<(), Fault> {
        if upstream.offers(WHAT) {
            return Ok(());
        }
        let text = format!("provider `{}` has no `{WHAT}`", upstream.provider());
        Err(Fault::new(Code::InvalidInput, text)
            .hint(format!("name a provider that ranks, or `{}`", offline::RERANK)))
    }

    fn tokens(&self, call: &Call) -> Result<u64, Fault> {
        let depth = call.gate.now().settings.limits.json_depth;
        let asked: Asked = body::parse_object(&call.bytes, depth)?;
        let texts = asked.documents.iter().filter_map(text);
        Ok(texts.chain([asked.query.clone()]).map(|t| u64::from(context::tokens(&t))).sum())
    }

    async fn ask(&self, call: &Call, upstream: &Arc<Upstream>) -> Result<Whole, Fault> {
        round::pass(call, upstream, (round::renamed(call, upstream), &self.path)).await
    }
}

/// A request as any of them has it.
#[derive(Debug, Deserialize)]
struct Asked {
    query: String,
    documents: Vec<Value>,
    top_n: Option<usize>,
    /// Voyage's name for the same.
    top_k: Option<usize>,
    return_documents: Option<bool>,
}

fn built_in(request: &str, asked: &Asked) -> Result<Response, Fault> {
    if asked.documents.len() > DOCUMENTS_MAX {
        let text = format!(
            "`documents` has {} items, {DOCUMENTS_MAX} are the most",
            asked.documents.len()
        );
        return Err(Fault::new(Code::InvalidInput, text).details(json!({"field": "documents"})));
    }
    let texts: Vec<String> =
        asked.documents.iter().map(text).collect::<Option<_>>().ok_or_else(|| {
            Fault::new(Code::InvalidInput, "`documents` must be strings or objects with `text`")
                .details(json!({"field": "documents"}))
        })?;
    let scores = offline::rerank(&asked.query, &texts);
    let mut ranked: Vec<(usize, f64)> = scores.into_iter().enumerate().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    ranked.truncate(asked.top_n.or(asked.top_k).unwrap_or(usize::MAX));
    let results: Vec<Value> = ranked
        .into_iter()
        .map(|(index, score)| {
            let mut row = Map::new();
            row.insert("index".to_owned(), index.into());
            row.insert("relevance_score".to_owned(), score.into());
            if let (Some(true), Some(text)) = (asked.return_documents, texts.get(index)) {
                row.insert("document".to_owned(), json!({"text": text}));
            }
            Value::Object(row)
        })
        .collect();
    let tokens: u64 =
        texts.iter().chain([&asked.query]).map(|text| u64::from(context::tokens(text))).sum();
    let mut out = json!({
        "id": request, "object": "list", "model": offline::RERANK, "results": &results,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 0}},
    });
    // Voyage's clients look there.
    if let (Some(_), Value::Object(fields)) = (asked.top_k, &mut out) {
        fields.insert("data".to_owned(), results.into());
    }
    let head = [
        (HeaderName::from_static("x-rapport-provider"), offline::PROVIDER),
        (HeaderName::from_static("x-rapport-model"), offline::RERANK),
    ];
    Ok((head, axum::Json(out)).into_response())
}

fn text(document: &Value) -> Option<String> {
    let text = document.as_str().or_else(|| document.get("text").and_then(Value::as_str));
    text.map(str::to_owned)
}
