//! Sharing a context: a token that opens it for reading, without a key.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use context::{Key, NewShare, RANGE_ENTRIES_MAX, Share};
use http::header::{AUTHORIZATION, CACHE_CONTROL, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::branches::optional;
use super::contexts::{bad_query, shaped, touched};
use super::guarded::Guarded;
use super::messages::{MessagesQuery, slice};
use super::read;
use super::shape::{self, Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::Failed;

/// The body of `POST /api/v1/contexts/{id}/share`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ShareContext {
    /// Whom it is for.
    name: Option<String>,
    /// After so many seconds the token opens nothing any more.
    expires_in_seconds: Option<u64>,
    /// Show the messages up to this one only; later ones too when absent.
    upto: Option<u32>,
}

/// Makes a token that opens the context for reading; it is shown this once.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/share", tag = "branches",
    params(("id" = String, Path)), request_body = ShareContext,
    responses((status = 201, description = "`token` and what it opens", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn share(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let (asked, _) = optional::<ShareContext>(&gate, &headers, request).await?;
    let new = NewShare {
        name: asked.name,
        expires_in: read::seconds(asked.expires_in_seconds, "expires_in_seconds")?,
        upto: asked.upto,
    };
    let contexts = gate.contexts().expecting(read::expected(&headers)?);
    let (token, made) = contexts.share(&key, new).await?;
    tracing::info!(context = %key.id, share = made.number, "context shared");
    let mut body = shown(&made);
    // A store without a vault has no key, and its shares can be read but not mounted.
    let signed_by = gate.contexts().signing_key().await.ok();
    if let Value::Object(map) = &mut body {
        map.insert("token".to_owned(), token.into());
        map.insert("key".to_owned(), json!(signed_by));
        map.insert(
            "use".to_owned(),
            "GET /api/v1/shared/context with `Authorization: Bearer`".into(),
        );
    }
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(touched(response, &key))
}

fn shown(share: &Share) -> Value {
    json!({
        "share": share.number, "name": share.name, "created_at": time(share.at),
        "expires_at": share.expires_at.map(time), "upto": share.upto,
    })
}

/// Who can read the context by a token.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/share", tag = "branches",
    params(("id" = String, Path)),
    responses((status = 200, description = "`shares`, without their tokens", body = Object)))]
pub(crate) async fn shares(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let found = gate.contexts().shares(&key).await?;
    let list: Vec<Value> = found.iter().map(shown).collect();
    Ok(touched(axum::Json(json!({"shares": list})).into_response(), &key))
}

/// Ends a share.
#[utoipa::path(delete, path = "/api/v1/contexts/{id}/share/{number}", tag = "branches",
    params(("id" = String, Path), ("number" = u32, Path)),
    responses((status = 200, description = "Its token opens nothing any more", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn end(
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path((id, number)): Path<(String, String)>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let number = number.parse().map_err(|error: std::num::ParseIntError| {
        let text = format!("`{}` is no number of a share", number.escape_default());
        Fault::new(Code::InvalidInput, text).because(error)
    })?;
    contexts.end_share(&key, number).await?;
    let body = json!({"message": format!("share {number} ended")});
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// The token that came along.
fn token(headers: &HeaderMap) -> Result<&str, Fault> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Bearer ")).ok_or_else(|| {
        Fault::new(Code::Unauthorized, "a shared context needs the token of its share")
            .hint("send it as `Authorization: Bearer rap_share_…`")
    })?;
    Ok(token.trim())
}

/// What a token opens.
async fn opened(gate: &Gateway, headers: &HeaderMap) -> Result<(Key, Share), Fault> {
    gate.contexts().opened_by(token(headers)?).await
}

/// The shared context, without what its owner keeps beside it.
#[utoipa::path(get, path = "/api/v1/shared/context", tag = "branches",
    responses((status = 200, description = "The context", body = Object),
              (status = 401, description = "No token, or one that opens nothing", body = Problem)))]
pub(crate) async fn context(
    State(gate): State<Gateway>,
    headers: HeaderMap,
) -> Result<Response, Failed> {
    let (key, share) = opened(&gate, &headers).await?;
    let found = gate.contexts().get(&key).await?;
    let mut body = shaped(&gate, &found);
    if let Value::Object(map) = &mut body {
        // The conversation is shared; the application's own notes and knobs are not.
        for private in ["metadata", "settings", "user", "parent", "fork_seq", "system", "state"] {
            map.shift_remove(private);
        }
        map.insert("upto".to_owned(), json!(share.upto));
    }
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// The messages of the shared context.
#[utoipa::path(get, path = "/api/v1/shared/messages", tag = "branches", params(MessagesQuery),
    responses((status = 200, description = "`messages` and `next_cursor`", body = Object),
              (status = 401, description = "No token, or one that opens nothing", body = Problem)))]
pub(crate) async fn messages(
    State(gate): State<Gateway>,
    headers: HeaderMap,
    query: Result<Query<MessagesQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let (key, share) = opened(&gate, &headers).await?;
    let mut slice = slice(&query)?;
    if let Some(upto) = share.upto {
        let end = upto.saturating_add(1);
        slice.before = Some(slice.before.map_or(end, |before| before.min(end)));
    }
    let page = gate.contexts().messages(&key, slice).await?;
    let messages: Vec<Value> = page.items.iter().map(shape::message).collect();
    let body = json!({"messages": messages, "next_cursor": page.next});
    Ok(touched(axum::Json(body).into_response(), &key))
}

/// Which range.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RangeQuery {
    /// The entries behind this one; all when absent.
    after: Option<u32>,
    /// At most so many, 1 to 500; 500 unless given.
    limit: Option<u32>,
    /// 1 to 128 letters and digits of the asker's, which are signed with the answer.
    nonce: String,
}

/// Entries of the shared context with the signed proof of them, for servers that mount it.
#[utoipa::path(get, path = "/api/v1/shared/ranges", tag = "branches", params(RangeQuery),
    responses((status = 200, description = "`statement`, `signature`, `key` and `entries`",
               body = Object),
              (status = 401, description = "The token opens nothing; `details.refusal` is signed",
               body = Problem)))]
pub(crate) async fn ranges(
    State(gate): State<Gateway>,
    headers: HeaderMap,
    query: Result<Query<RangeQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Failed> {
    let token = token(&headers)?;
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let limit = read::limit(query.limit, RANGE_ENTRIES_MAX, RANGE_ENTRIES_MAX)?;
    let part = (query.after.unwrap_or(0), limit);
    let range = gate.contexts().signed_range(token, part, &query.nonce).await?;
    let mut response = axum::Json(range).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
