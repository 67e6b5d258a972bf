//! Redaction on command: what was said is taken away for good.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use context::{RedactOrder, RedactPlan};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::contexts::{shaped, tag, touched};
use super::guarded::Guarded;
use super::read;
use super::shape::{Object, Problem};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// The body of `POST /api/v1/contexts/{id}/redact`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Redact {
    /// The first message; the oldest when absent.
    first: Option<u32>,
    /// The last message; the newest when absent.
    last: Option<u32>,
    /// Names of patterns, such as `email` and `card`; the usual ones when absent.
    patterns: Option<Vec<String>>,
    /// Patterns of one's own, by name.
    own: Option<Object>,
    /// Take everything away that is said in these messages, whatever it is.
    all: bool,
}

/// Replaces what the patterns find, or everything, in messages that are stored; for good.
#[utoipa::path(post, path = "/api/v1/contexts/{id}/redact", tag = "messages",
    params(("id" = String, Path)), request_body = Redact,
    responses((status = 200, description = "`looked_at`, `changed`, `replaced` and the `context`",
               body = Object),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, description = "A turn is running", body = Problem)))]
pub(crate) async fn redact(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    contexts: Guarded,
    Path(id): Path<String>,
    Json { value: asked, .. }: Json<Redact>,
) -> Result<Response, Failed> {
    let key = read::key(&caller, &id)?;
    let order = order(asked)?;
    let done = contexts.redact(&key, order).await?;
    tracing::info!(context = %key.id, changed = done.changed, "messages redacted");
    let replaced: Map<String, Value> =
        done.marks.into_iter().map(|(name, count)| (name, count.into())).collect();
    let body = json!({
        "looked_at": done.looked_at, "changed": done.changed, "replaced": replaced,
        "context": shaped(&gate, &done.context),
    });
    let mut response = axum::Json(body).into_response();
    tag(&mut response, done.context.revision);
    Ok(touched(response, &key))
}

fn order(asked: Redact) -> Result<RedactOrder, Fault> {
    let first = asked.first.unwrap_or(1);
    if asked.all {
        if asked.patterns.is_some() || asked.own.is_some() {
            return Err(Fault::new(Code::InvalidInput, "`all` needs no patterns")
                .hint("send `all`, or what is to be looked for"));
        }
        return Ok(RedactOrder { first, last: asked.last, plan: None });
    }
    let mut plan = Map::from_iter([("mode".to_owned(), "write".into())]);
    plan.extend(asked.patterns.map(|names| ("patterns".to_owned(), names.into())));
    plan.extend(asked.own.map(|Object(own)| ("own".to_owned(), own.into())));
    let plan = RedactPlan::parse(&Value::Object(plan))?;
    Ok(RedactOrder { first, last: asked.last, plan: Some(plan) })
}
