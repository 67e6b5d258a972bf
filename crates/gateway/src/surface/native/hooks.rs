//! Webhooks: made, listed, tried out, changed; and what they were not told.

use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use context::{Delivery, Hook, HookEdit, NewHook, What};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, LOCATION};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::{Code, Fault};

use super::contexts::{bad_query, one_of};
use super::shape::{Problem, time};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::hooks::site::{self, Leave};
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// The body of `POST /api/v1/webhooks`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskHook {
    /// `https://…`; other addresses only with `webhooks.private`.
    url: String,
    /// Such as `turn.completed`; everything when absent.
    events: Option<Vec<String>>,
    /// Only of this context; of all contexts when absent.
    context: Option<String>,
    /// For people.
    name: Option<String>,
    /// `whsec_` and 24 to 64 bytes as base64; made by the server when absent.
    secret: Option<String>,
}

/// The body of `PATCH /api/v1/webhooks/{number}`; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeHook {
    /// A new address.
    url: Option<String>,
    /// What is told from now on; an empty list is everything.
    events: Option<Vec<String>>,
    /// Whether anything is told.
    enabled: Option<bool>,
}

/// Makes a webhook; its secret is shown this once.
#[utoipa::path(post, path = "/api/v1/webhooks", tag = "webhooks", request_body = AskHook,
    responses((status = 201, description = "The webhook with its `secret`", body = Object),
              (status = 400, body = Problem)))]
pub(crate) async fn create(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: asked, .. }: Json<AskHook>,
) -> Result<Response, Failed> {
    admit(&gate, &asked.url)?;
    let new = NewHook {
        events: events(asked.events.as_deref().unwrap_or_default())?,
        secret: asked.secret.as_deref().map(secret).transpose()?,
        url: asked.url,
        context: asked.context,
        name: asked.name,
    };
    let (hook, secret) = gate.contexts().add_hook(caller.tenant, new).await?;
    tracing::info!(hook = hook.number, "webhook made");
    let mut body = shown(&hook);
    if let Value::Object(map) = &mut body {
        let text = format!("{PREFIX}{}", STANDARD.encode(secret.expose()));
        map.insert("secret".to_owned(), text.into());
    }
    let mut response = (StatusCode::CREATED, axum::Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(place) = HeaderValue::from_str(&format!("/api/v1/webhooks/{}", hook.number)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// The webhooks, the oldest first, without their secrets.
#[utoipa::path(get, path = "/api/v1/webhooks", tag = "webhooks",
    responses((status = 200, description = "`webhooks`", body = Object)))]
pub(crate) async fn list(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> Result<axum::Json<Value>, Failed> {
    let found = gate.contexts().hooks(caller.tenant).await?;
    let list: Vec<Value> = found.iter().map(shown).collect();
    Ok(axum::Json(json!({"webhooks": list})))
}

/// One webhook.
#[utoipa::path(get, path = "/api/v1/webhooks/{number}", tag = "webhooks",
    params(("number" = u64, Path)),
    responses((status = 200, description = "The webhook", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let hook = gate.contexts().hook(caller.tenant, self::number(&number)?).await?;
    Ok(axum::Json(shown(&hook)))
}

/// Changes address or events, switches it off or on again.
#[utoipa::path(patch, path = "/api/v1/webhooks/{number}", tag = "webhooks",
    params(("number" = u64, Path)), request_body = ChangeHook,
    responses((status = 200, description = "The webhook", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn edit(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    Json { value: asked, .. }: Json<ChangeHook>,
) -> Result<axum::Json<Value>, Failed> {
    if let Some(url) = &asked.url {
        admit(&gate, url)?;
    }
    let events = asked.events.as_deref().map(events).transpose()?;
    let edit = HookEdit { url: asked.url, events, enabled: asked.enabled };
    let hook = gate.contexts().edit_hook(caller.tenant, self::number(&number)?, edit).await?;
    Ok(axum::Json(shown(&hook)))
}

/// Removes a webhook, and what waits for it.
#[utoipa::path(delete, path = "/api/v1/webhooks/{number}", tag = "webhooks",
    params(("number" = u64, Path)),
    responses((status = 200, description = "It is gone", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn delete(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    let number = self::number(&number)?;
    gate.contexts().delete_hook(caller.tenant, number).await?;
    tracing::info!(hook = number, "webhook deleted");
    Ok(axum::Json(json!({"message": format!("webhook {number} deleted")})))
}

/// Tells a webhook an event `webhook.test`.
#[utoipa::path(post, path = "/api/v1/webhooks/{number}/test", tag = "webhooks",
    params(("number" = u64, Path)),
    responses((status = 202, description = "It is on its way", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn test(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
) -> Result<Response, Failed> {
    let number = self::number(&number)?;
    gate.contexts().test_hook(caller.tenant, number).await?;
    let place = format!("/api/v1/webhooks/{number}/deliveries");
    let body = json!({"message": "the event is on its way", "deliveries": place});
    Ok((StatusCode::ACCEPTED, axum::Json(body)).into_response())
}

/// Which deliveries.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeliveriesQuery {
    /// `waiting` (default) or `dead`, which were given up.
    status: Option<String>,
}

/// What a webhook was not told yet, or never; what it took is forgotten.
#[utoipa::path(get, path = "/api/v1/webhooks/{number}/deliveries", tag = "webhooks",
    params(("number" = u64, Path), DeliveriesQuery),
    responses((status = 200, description = "`deliveries`, the newest first", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn deliveries(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    query: Result<Query<DeliveriesQuery>, axum::extract::rejection::QueryRejection>,
) -> Result<axum::Json<Value>, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let dead = match query.status.as_deref() {
        None | Some("waiting") => false,
        Some("dead") => true,
        Some(other) => return Err(one_of("status", other, "`waiting` or `dead`").into()),
    };
    let number = self::number(&number)?;
    let found = gate.contexts().deliveries(caller.tenant, number, dead).await?;
    let list: Vec<Value> = found.iter().map(delivery).collect();
    Ok(axum::Json(json!({"deliveries": list})))
}

/// The body of `POST /api/v1/webhooks/{number}/retry`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryDelivery {
    /// Only this one; all of the webhook when absent.
    delivery: Option<u64>,
}

/// Tries deliveries again at once, also those that were given up.
#[utoipa::path(post, path = "/api/v1/webhooks/{number}/retry", tag = "webhooks",
    params(("number" = u64, Path)), request_body = RetryDelivery,
    responses((status = 200, description = "`retried`: how many", body = Object),
              (status = 404, body = Problem)))]
pub(crate) async fn retry(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(number): Path<String>,
    Json { value: asked, .. }: Json<RetryDelivery>,
) -> Result<axum::Json<Value>, Failed> {
    let number = self::number(&number)?;
    let count = gate.contexts().deliver_again(caller.tenant, number, asked.delivery).await?;
    Ok(axum::Json(json!({"retried": count})))
}

fn admit(gate: &Gateway, url: &str) -> Result<(), Fault> {
    let private = gate.now().settings.hooks.private;
    site::admit(url, Leave { private, key: "webhooks.private" })
}

fn number(text: &str) -> Result<u64, Fault> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        one_of("webhook", text, "the number of a webhook").because(error)
    })
}

fn events(names: &[String]) -> Result<Vec<What>, Fault> {
    let known: Vec<&str> = What::ALL.iter().map(|(_, name)| *name).collect();
    let read = |name: &String| {
        What::parse(name)
            .ok_or_else(|| one_of("events", name, &format!("some of {}", known.join(", "))))
    };
    names.iter().map(read).collect()
}

fn secret(text: &str) -> Result<Vec<u8>, Fault> {
    let bare = text.strip_prefix(PREFIX).unwrap_or(text);
    STANDARD.decode(bare).map_err(|_secret| {
        Fault::new(Code::InvalidInput, "`secret` is not base64")
            .hint("leave it out to get one, or send `whsec_` and 24 to 64 bytes as base64")
            .details(json!({"field": "secret"}))
    })
}

fn shown(hook: &Hook) -> Value {
    let events: Vec<&str> = hook.events.iter().map(|what| what.as_str()).collect();
    json!({
        "webhook": hook.number, "url": hook.url, "events": events, "context": hook.context,
        "name": hook.name, "enabled": hook.enabled, "created_at": time(hook.at),
        "waiting": hook.waiting, "dead": hook.dead, "dropped": hook.dropped,
    })
}

fn delivery(delivery: &Delivery) -> Value {
    let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
    json!({
        "delivery": delivery.number, "id": delivery.id, "event": delivery.kind, "body": body,
        "happened_at": time(delivery.at),
        "next_try_at": (!delivery.dead).then(|| time(delivery.due)),
        "tries": delivery.tries, "error": delivery.error,
    })
}
