//! Finding messages by their words: over all contexts, and inside one.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::By;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::contexts::{bad_query, touched};
use super::mounts::marked;
use super::read;
use super::shape::{self, Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// What to look for.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SearchQuery {
    /// Words; a message must hold all of them, in any form and order.
    q: String,
    /// At most so many, 1 to 100; 20 unless given.
    limit: Option<u32>,
}

/// Finds messages in all contexts, the best first.
#[utoipa::path(get, path = "/api/v1/search", tag = "search", params(SearchQuery),
    responses((status = 200, description = "`hits`: context, number, excerpt", body = Object),
              (status = 400, body = Problem)))]
pub(crate) async fn search(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    query: Result<Query<SearchQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Value>, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let limit = read::limit(query.limit, 20, 100)?;
    let found = gate.contexts().search(caller.tenant, &query.q, limit).await?;
    let hits: Vec<Value> = found.iter().map(hit).collect();
    Ok(axum::Json(json!({"hits": hits})))
}

/// One message that was found.
pub(crate) fn hit(hit: &context::Hit) -> Value {
    json!({
        "context_id": &*hit.context, "title": hit.title, "seq": hit.seq,
        "role": hit.role.as_str(), "timestamp": time(hit.at),
        "excerpt": hit.excerpt, "score": hit.score,
    })
}

/// What to recall.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecallQuery {
    /// A question or a few words; a message need not hold all of them.
    q: String,
    /// At most so many, 1 to 50; 5 unless given.
    limit: Option<u32>,
    /// Only messages before this number.
    before: Option<u32>,
    /// `both` (default), `words` or `vectors`; without `models.embed` there are words only.
    by: Option<String>,
}

/// Finds the messages of a context that have to do with a question, with their neighbours.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/recall", tag = "search",
    params(("id" = String, Path), RecallQuery),
    responses((status = 200, description = "`recalled`, the best first; `vectors`: how many",
               body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn recall(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<RecallQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let limit = read::limit(query.limit, 5, 50)?;
    let by = by(query.by.as_deref())?;
    let mount = gate.through(&key).await;
    let found = gate.contexts().recall_by(&key, &query.q, (limit, query.before), by).await?;
    let vectors = gate.contexts().vectorised(&key).await?;
    crate::flow::vectorise(&gate, &key);
    let recalled: Vec<Value> = found
        .iter()
        .map(|found| {
            let messages: Vec<Value> = found.entries.iter().map(shape::message).collect();
            json!({"seq": found.seq, "score": found.score, "words": found.words,
                   "vectors": found.vectors, "messages": messages})
        })
        .collect();
    let vectors = vectors
        .map(|known| json!({"model": &*known.model, "done": known.done, "waiting": known.waiting}));
    let told = json!({"recalled": recalled, "vectors": vectors});
    Ok(marked(touched(axum::Json(told).into_response(), &key), mount.as_ref()))
}

/// How to look.
fn by(word: Option<&str>) -> Result<By, Fault> {
    let Some(word) = word else { return Ok(By::Both) };
    By::parse(word).ok_or_else(|| {
        let text = format!("`by` cannot be `{}`", word.escape_default());
        Fault::new(Code::InvalidInput, text)
            .hint("use `both`, `words` or `vectors`")
            .details(json!({"field": "by"}))
    })
}
