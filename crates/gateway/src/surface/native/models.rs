//! What the server is and which models it knows.

use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::shape::{Object, Problem};
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::model::{ProviderStatus, nearest};
use crate::provider::{Added, Wanted};
use crate::surface::body::Json;
use crate::surface::problem::Failed;

/// The models, with what is known of each.
#[utoipa::path(get, path = "/api/v1/models", tag = "models",
    responses((status = 200, description = "`models` and `default`", body = Object)))]
pub(crate) async fn models(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> axum::Json<Value> {
    let snapshot = gate.now();
    axum::Json(json!({
        "models": auth::shown_models(&caller.models, &snapshot),
        "default": snapshot.models.default_name(crate::model::Door::Context),
    }))
}

/// The upstreams, with what is known of each.
#[utoipa::path(get, path = "/api/v1/providers", tag = "models",
    responses((status = 200, description = "`providers`", body = Object)))]
pub(crate) async fn providers(State(gate): State<Gateway>) -> axum::Json<Value> {
    axum::Json(json!({"providers": gate.now().models.providers()}))
}

/// One upstream: its keys by name, its health check, the models that are left alone.
#[utoipa::path(get, path = "/api/v1/providers/{name}", tag = "models",
    params(("name" = String, Path)),
    responses((status = 200, description = "The provider", body = ProviderStatus),
              (status = 404, body = Problem)))]
pub(crate) async fn provider(
    State(gate): State<Gateway>,
    Path(name): Path<String>,
) -> Result<axum::Json<ProviderStatus>, Failed> {
    Ok(axum::Json(status_of(&gate, &name).ok_or_else(|| no_provider(&gate, &name))?))
}

/// Adds a provider, or replaces one that was added: it counts at once and survives a restart.
#[utoipa::path(post, path = "/api/v1/providers", tag = "models", request_body = Added,
    responses((status = 201, description = "The provider", body = ProviderStatus),
              (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn add_provider(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Json { value: added, .. }: Json<Added>,
) -> Result<Response, Failed> {
    added.check()?;
    let status = keep(&gate, &caller, Wanted::Put(added)).await?;
    Ok((StatusCode::CREATED, axum::Json(status)).into_response())
}

/// Replaces a provider that was added, or adds it. What is left away is gone, its key too.
#[utoipa::path(put, path = "/api/v1/providers/{name}", tag = "models",
    params(("name" = String, Path)), request_body = Added,
    responses((status = 200, description = "The provider", body = ProviderStatus),
              (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn put_provider(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json { value: Object(mut members), .. }: Json<Object>,
) -> Result<axum::Json<ProviderStatus>, Failed> {
    own_name(&name, &mut members)?;
    let added: Added = serde_json::from_value(members.into()).map_err(|e| unreadable(&e))?;
    added.check()?;
    Ok(axum::Json(keep(&gate, &caller, Wanted::Put(added)).await?))
}

/// Changes some members of a provider that was added; null takes one away. A key that is kept is
/// bound to its address: with a new `base_url` it has to be sent again.
#[utoipa::path(patch, path = "/api/v1/providers/{name}", tag = "models",
    params(("name" = String, Path)), request_body = Added,
    responses((status = 200, description = "The provider", body = ProviderStatus),
              (status = 400, body = Problem), (status = 404, body = Problem),
              (status = 409, body = Problem)))]
pub(crate) async fn change_provider(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Json { value: Object(mut members), .. }: Json<Object>,
) -> Result<axum::Json<ProviderStatus>, Failed> {
    own_name(&name, &mut members)?;
    members.remove("name");
    Ok(axum::Json(keep(&gate, &caller, Wanted::Change(name, members)).await?))
}

/// Takes a provider away that was added. One of the configuration is taken out there.
#[utoipa::path(delete, path = "/api/v1/providers/{name}", tag = "models",
    params(("name" = String, Path)),
    responses((status = 200, description = "`removed`", body = Object),
              (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn remove_provider(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<axum::Json<Value>, Failed> {
    granted(&gate, &caller, Wanted::Remove(name.clone())).await?;
    Ok(axum::Json(json!({"removed": name})))
}

/// The path names the provider; a body may only repeat it.
fn own_name(name: &str, members: &mut Map<String, Value>) -> Result<(), Fault> {
    let given = members.insert("name".to_owned(), name.into());
    match given {
        Some(other) if other != name => {
            let text = format!("the path names `{name}`, the body {other}: a name stays");
            Err(Fault::new(Code::InvalidInput, text)
                .hint("add a provider of the new name and delete this one")
                .details(json!({"field": "name"})))
        }
        _ => Ok(()),
    }
}

/// Why a body is no provider. What it says is not repeated but for the names of its members.
fn unreadable(error: &serde_json::Error) -> Fault {
    Fault::new(Code::InvalidInput, format!("this is no provider: {error}"))
        .hint("docs/providers.md names the members")
}

async fn granted(gate: &Gateway, caller: &Caller, wanted: Wanted) -> Result<(), Fault> {
    let Some(keeper) = gate.keeper() else {
        return Err(Fault::new(Code::ConfigurationError, "nothing keeps providers here"));
    };
    let name = wanted.name().to_owned();
    let what = match &wanted {
        Wanted::Put(_) => "provider added",
        Wanted::Change(..) => "provider changed",
        Wanted::Remove(_) => "provider removed",
    };
    keeper.keep(wanted).await?;
    let by = caller.key.as_deref().unwrap_or("local");
    tracing::info!(provider = name, by, "{what}");
    Ok(())
}

async fn keep(gate: &Gateway, caller: &Caller, wanted: Wanted) -> Result<ProviderStatus, Fault> {
    let name = wanted.name().to_owned();
    granted(gate, caller, wanted).await?;
    status_of(gate, &name).ok_or_else(|| {
        Fault::new(Code::InvalidInput, format!("provider `{name}` is kept but has no key"))
            .hint("send it again with `api_key`, or set the variable of its key and restart")
    })
}

fn status_of(gate: &Gateway, name: &str) -> Option<ProviderStatus> {
    gate.now().models.providers().into_iter().find(|provider| provider.name == name)
}

fn no_provider(gate: &Gateway, name: &str) -> Fault {
    let known: Vec<String> =
        gate.now().models.providers().into_iter().map(|provider| provider.name).collect();
    let shown: String = name.chars().take(100).collect();
    let hint = match nearest(&shown, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "no provider is configured".to_owned(),
        None => format!("configured providers: {}", known.join(", ")),
    };
    Fault::new(Code::NotFound, format!("there is no provider `{shown}`")).hint(hint)
}

/// What is listening where, who answers, and whether the store can write.
#[utoipa::path(get, path = "/api/v1/status", tag = "status",
    responses((status = 200, description = "The server's state", body = Object)))]
pub(crate) async fn status(State(gate): State<Gateway>) -> axum::Json<Value> {
    axum::Json(describe(&gate).await)
}

/// The state of the server as one object.
pub(crate) async fn describe(gate: &Gateway) -> Value {
    let snapshot = gate.now();
    let settings = &snapshot.settings;
    let about = gate.about();
    let counts = gate.contexts().counts().await;
    let health = gate.database().health();
    let default = snapshot.models.default_name(crate::model::Door::Context);
    let interact = snapshot.models.default_name(crate::model::Door::Interact);
    let keys = gate.keys().list().len();
    let listen: Vec<Value> = about
        .listen
        .iter()
        .map(|l| {
            json!({
                "address": l.address.to_string(), "url": l.url, "tls": l.tls,
                "protocols": ["http/1.1", "h2c", "websocket", "json-lines", "mcp/1.0"],
            })
        })
        .collect();
    json!({
        "status": "running",
        "version": about.version,
        "protocol_versions": ["1.0"],
        "uptime_seconds": gate.uptime().as_secs(),
        "pid": std::process::id(),
        "listen": listen,
        "reachable_from": about.reachable_from(),
        "sessions": counts.contexts,
        "contexts": counts.contexts,
        "messages": counts.messages,
        "bytes": counts.bytes,
        "store": {"kind": about.store_kind, "path": about.data_dir, "ok": health.ok,
                  "last_error": health.error, "durability": about.durability},
        "model": {"default": default, "interact": interact,
                  "offline": is_offline(&snapshot.models)},
        "auth": {"mode": settings.auth.as_str(), "required": auth::required(gate), "keys": keys},
        "limits": {"connections": settings.limits.connections,
                   "body_bytes": settings.limits.body_bytes,
                   "line_bytes": settings.limits.line_bytes,
                   "requests_per_minute": settings.limits.requests_per_minute},
        "local_only": settings.local_only,
        "connections": gate.connections().load(std::sync::atomic::Ordering::Relaxed),
        "data_dir": about.data_dir,
        "logs": about.log_dir,
    })
}

/// The model that answers by default runs inside the program.
pub(crate) fn is_offline(models: &crate::model::Models) -> bool {
    matches!(
        models.resolve(None, crate::model::Door::Context),
        Ok(crate::model::Target::Offline(_))
    )
}
