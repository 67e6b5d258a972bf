//! Which models there are, in the shape the caller knows: OpenAI's, Anthropic's or Gemini's.

use axum::extract::{Extension, Path, Query, State};
use http::{HeaderMap, Uri};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use wire::{Code, Fault};

use super::gemini::not_a_call;
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::model::{Door, ModelStatus};
use crate::surface::problem::Failed;

/// Limit: rows of one page.
const PAGE_MAX: usize = 1_000;

/// A model under the name by which it is asked.
pub(super) struct Row {
    /// Unique in the list.
    pub(super) id: String,
    pub(super) status: ModelStatus,
}

/// Every model that the caller can ask now, each under a name of its own.
pub(super) fn usable(gate: &Gateway, caller: &Caller) -> Vec<Row> {
    let snapshot = gate.now();
    let mut rows: Vec<Row> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for status in snapshot.models.list() {
        if !status.configured {
            continue;
        }
        // A name is the first provider's for everybody, also for those who may not use it.
        let is_first = seen.insert(status.name.clone());
        let Some(status) = auth::shown_as(&caller.models, &snapshot, status) else { continue };
        let id = if is_first {
            status.name.clone()
        } else {
            format!("{}/{}", status.provider, status.name)
        };
        rows.push(Row { id, status });
    }
    rows
}

/// When a model was made, as its name says: names of snapshots end in their date.
pub(super) fn made_at(id: &str) -> Timestamp {
    let digits: String = id.chars().filter(char::is_ascii_digit).collect();
    let tail = digits.len().checked_sub(8).and_then(|at| digits.get(at..)).unwrap_or_default();
    let part = |range: std::ops::Range<usize>| tail.get(range).unwrap_or_default();
    let text = format!("{}-{}-{}T00:00:00Z", part(0..4), part(4..6), part(6..8));
    let ends = id.ends_with(tail) || id.ends_with(&text.replace("T00:00:00Z", ""));
    text.parse().ok().filter(|_| ends && tail.starts_with("20")).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// How the caller wants to be told.
enum Shape {
    OpenAi,
    Anthropic,
    Gemini,
}

fn shape(headers: &HeaderMap, uri: &Uri) -> Shape {
    let has_key = uri.query().is_some_and(|q| q.split('&').any(|pair| pair.starts_with("key=")));
    if headers.contains_key("anthropic-version") {
        Shape::Anthropic
    } else if headers.contains_key("x-goog-api-key") || has_key {
        Shape::Gemini
    } else {
        Shape::OpenAi
    }
}

/// A page as any of the APIs asks for it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Page {
    limit: Option<usize>,
    after_id: Option<String>,
    before_id: Option<String>,
    #[serde(rename = "pageSize")]
    page_size: Option<usize>,
    #[serde(rename = "pageToken")]
    page_token: Option<String>,
}

/// The models this caller may use, in its own shape: Anthropic's for callers that send
/// `anthropic-version`, Gemini's for those with `x-goog-api-key`, else OpenAI's.
#[utoipa::path(get, path = "/v1/models", tag = "model APIs",
    responses((status = 200, description = "`data`, or `models`", body = Object)))]
pub(super) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Failed> {
    let rows = usable(&gate, &caller);
    let listed = match shape(&headers, &uri) {
        Shape::Anthropic => claude_list(&gate, &rows, &page)?,
        Shape::Gemini => gemini_list(&gate, &rows, &page)?,
        Shape::OpenAi => {
            let data: Vec<Value> = rows.iter().map(|row| openai(&gate, row)).collect();
            json!({"object": "list", "data": data})
        }
    };
    Ok(axum::Json(listed))
}

/// The models this caller may use, in Gemini's shape.
#[utoipa::path(get, path = "/v1beta/models", tag = "model APIs",
    responses((status = 200, description = "`models`", body = Object)))]
pub(super) async fn list_beta(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Result<axum::Json<Value>, Failed> {
    Ok(axum::Json(gemini_list(&gate, &usable(&gate, &caller), &page)?))
}

/// One model, in the caller's shape. It need not be listed: any name that can be asked is known.
#[utoipa::path(get, path = "/v1/models/{*call}", tag = "model APIs",
    params(("call" = String, Path, description = "The model's name")),
    responses((status = 200, description = "The model", body = Object)))]
pub(super) async fn one(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<axum::Json<Value>, Failed> {
    not_a_call(&name)?;
    let row = find(&gate, &caller, &name)?;
    Ok(axum::Json(match shape(&headers, &uri) {
        Shape::Anthropic => claude(&gate, &row),
        Shape::Gemini => gemini(&gate, &row),
        Shape::OpenAi => openai(&gate, &row),
    }))
}

/// One model, in Gemini's shape.
#[utoipa::path(get, path = "/v1beta/models/{*call}", tag = "model APIs",
    params(("call" = String, Path, description = "The model's name")),
    responses((status = 200, description = "The model", body = Object)))]
pub(super) async fn one_beta(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    not_a_call(&name)?;
    Ok(axum::Json(gemini(&gate, &find(&gate, &caller, &name)?)))
}

fn find(gate: &Gateway, caller: &Caller, name: &str) -> Result<Row, Fault> {
    if let Some(row) = usable(gate, caller).into_iter().find(|row| row.id == name) {
        return Ok(row);
    }
    let snapshot = gate.now();
    let target = snapshot.models.resolve(Some(name), Door::Context)?;
    auth::may_name(&caller.models, &snapshot, Some(name))?;
    let (provider, model) = (target.provider(), target.model());
    let listed = snapshot.models.list();
    let same = |status: &&ModelStatus| status.provider == provider && status.name == model;
    let like = listed.iter().find(same).or_else(|| listed.iter().find(|s| s.provider == provider));
    let status = like.cloned().ok_or_else(|| {
        Fault::new(Code::ModelNotFound, format!("there is no model `{name}`"))
            .hint("list the models: GET /v1/models")
    })?;
    let status = ModelStatus { name: model.to_owned(), ..status };
    Ok(Row { id: name.to_owned(), status })
}

/// Tokens in and out, as far as they are known.
fn limits(gate: &Gateway, row: &Row) -> (u32, Option<u32>) {
    let prices = &gate.now().settings.prices;
    let known = prices.find(&row.status.provider, &row.status.name);
    let window = known.and_then(|model| model.window).unwrap_or(row.status.window_tokens);
    (window, known.and_then(|model| model.output))
}

/// Adds what is known to an object.
fn set(object: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Value::Object(fields), Some(value)) = (object, value) {
        fields.insert(name.to_owned(), value.into());
    }
}

fn openai(gate: &Gateway, row: &Row) -> Value {
    let (window, output) = limits(gate, row);
    let mut out = json!({
        "id": row.id, "object": "model", "created": made_at(&row.status.name).as_second(),
        "owned_by": row.status.provider, "context_length": window,
    });
    set(&mut out, "max_output_tokens", output);
    let can = &row.status.capabilities;
    set(&mut out, "capabilities", (!can.is_empty()).then(|| can.clone()));
    out
}

fn claude(gate: &Gateway, row: &Row) -> Value {
    let (window, output) = limits(gate, row);
    let mut out = json!({
        "type": "model", "id": row.id, "display_name": row.id,
        "created_at": made_at(&row.status.name).to_string(), "max_input_tokens": window,
    });
    set(&mut out, "max_tokens", output);
    out
}

fn gemini(gate: &Gateway, row: &Row) -> Value {
    let (window, output) = limits(gate, row);
    let mut out = json!({
        "name": format!("models/{}", row.id), "version": "001", "displayName": row.id,
        "description": format!("served by {}", row.status.provider), "inputTokenLimit": window,
        "supportedGenerationMethods": methods(&row.status.capabilities),
    });
    set(&mut out, "outputTokenLimit", output);
    out
}

/// What can be asked of a model by Gemini's API.
fn methods(can: &[&str]) -> Vec<&'static str> {
    const VECTORS: [&str; 2] = ["embedContent", "batchEmbedContents"];
    let speaks: &[&str] = match can {
        ["rerank" | "embedding"] => &[],
        _ => &["generateContent", "countTokens"],
    };
    let embeds: &[&str] = if can.contains(&"embedding") { &VECTORS } else { &[] };
    [speaks, embeds].concat()
}

fn claude_list(gate: &Gateway, rows: &[Row], page: &Page) -> Result<Value, Fault> {
    let limit = page.limit.unwrap_or(20);
    if !(1..=PAGE_MAX).contains(&limit) {
        let text = format!("`limit` must be a number from 1 to {PAGE_MAX}, got `{limit}`");
        return Err(Fault::new(Code::InvalidInput, text).details(json!({"field": "limit"})));
    }
    let (rows, has_more) = match (&page.after_id, &page.before_id) {
        (Some(after), _) => {
            let rest = rows.get(place(rows, after, "after_id")? + 1..).unwrap_or_default();
            (rest.get(..limit).unwrap_or(rest), rest.len() > limit)
        }
        (None, Some(before)) => {
            let rest = rows.get(..place(rows, before, "before_id")?).unwrap_or_default();
            let start = rest.len().saturating_sub(limit);
            (rest.get(start..).unwrap_or_default(), start > 0)
        }
        (None, None) => (rows.get(..limit).unwrap_or(rows), rows.len() > limit),
    };
    let data: Vec<Value> = rows.iter().map(|row| claude(gate, row)).collect();
    let (first, last) = (rows.first().map(|row| &row.id), rows.last().map(|row| &row.id));
    Ok(json!({"data": data, "has_more": has_more, "first_id": first, "last_id": last}))
}

fn gemini_list(gate: &Gateway, rows: &[Row], page: &Page) -> Result<Value, Fault> {
    let size = page.page_size.filter(|size| *size > 0).unwrap_or(50).min(PAGE_MAX);
    let token = page.page_token.as_deref().filter(|token| !token.is_empty());
    let start = match token {
        Some(token) => place(rows, token, "pageToken")? + 1,
        None => 0,
    };
    let rest = rows.get(start..).unwrap_or_default();
    let shown = rest.get(..size).unwrap_or(rest);
    let models: Vec<Value> = shown.iter().map(|row| gemini(gate, row)).collect();
    let mut out = json!({"models": models});
    let last = shown.last().filter(|_| rest.len() > size);
    set(&mut out, "nextPageToken", last.map(|row| row.id.as_str()));
    Ok(out)
}

fn place(rows: &[Row], id: &str, field: &str) -> Result<usize, Fault> {
    rows.iter().position(|row| row.id == id).ok_or_else(|| {
        let shown: String = id.chars().take(100).collect();
        Fault::new(Code::InvalidInput, format!("`{field}` names no listed model: `{shown}`"))
            .hint("give the `id` of a model of the page before")
            .details(json!({"field": field}))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshots_name_says_when_it_was_made() {
        for (id, expected) in [
            ("claude-3-opus-20240229", "2024-02-29T00:00:00Z"),
            ("gpt-4o-2024-08-06", "2024-08-06T00:00:00Z"),
            ("gpt-4.1", "1970-01-01T00:00:00Z"),
            ("claude-x-20241399", "1970-01-01T00:00:00Z"),
            ("llama-20240229-q4", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(made_at(id).to_string(), expected, "{id}");
        }
    }
}
