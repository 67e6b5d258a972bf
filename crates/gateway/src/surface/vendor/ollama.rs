//! Ollama's API: what tools for local models call, answered by any model.

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};
use wire::Fault;

use super::{Call, Who};
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::model::{Door, ModelStatus, Target};
use crate::surface::problem::Failed;
use crate::surface::{body, fields};

/// The version of Ollama whose API is spoken here; tools ask for it before they go on.
const API: &str = "0.12.6";

/// What follows `/api/` on the paths of this API.
const NAMES: &[&str] = &[
    "chat",
    "generate",
    "embed",
    "embeddings",
    "tags",
    "ps",
    "show",
    "version",
    "pull",
    "push",
    "create",
    "copy",
    "delete",
];

/// Tells whether a path is one of this API.
pub(super) fn is_path(path: &str) -> bool {
    let rest = path.strip_prefix("/api/").unwrap_or_default();
    NAMES.contains(&rest) || rest.starts_with("blobs/")
}

/// Ollama's chat, answered by any model, as a stream of JSON lines unless `stream` is `false`.
#[utoipa::path(post, path = "/api/chat", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A message, or its pieces", body = Object)))]
pub(super) async fn chat(gate: State<Gateway>, who: Who, r: Request) -> Result<Response, Failed> {
    Ok(answer(gate.0, who, r, "ollama_chat").await?)
}

/// Ollama's completion of one prompt, answered by any model, as a stream of JSON lines unless
/// `stream` is `false`.
#[utoipa::path(post, path = "/api/generate", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "A text, or its pieces", body = Object)))]
pub(super) async fn generate(
    gate: State<Gateway>,
    who: Who,
    r: Request,
) -> Result<Response, Failed> {
    Ok(answer(gate.0, who, r, "ollama_generate").await?)
}

async fn answer(
    gate: Gateway,
    (Extension(caller), Extension(id)): Who,
    r: Request,
    dialect: &str,
) -> Result<Response, Fault> {
    let mut call = Call::read(gate, (caller, id), r, dialect).await?;
    call.head.stream = Some(call.head.stream.unwrap_or(true));
    untag(&mut call);
    if let Some(reason) = loads(&call.bytes) {
        let target = call.target()?;
        let now = jiff::Timestamp::now().to_string();
        let model = call.head.model.as_deref().unwrap_or_else(|| target.model());
        let empty = match dialect {
            "ollama_chat" => ("message", json!({"role": "assistant", "content": ""})),
            _ => ("response", json!("")),
        };
        let body = json!({"model": model, "created_at": now, (empty.0): empty.1, "done": true,
                          "done_reason": reason});
        return Ok(axum::Json(body).into_response());
    }
    call.answer().await
}

/// Tools write `NAME:latest` for what was listed as `NAME`.
fn untag(call: &mut Call) {
    let Some(bare) = call.head.model.as_deref().and_then(|name| name.strip_suffix(":latest"))
    else {
        return;
    };
    let bare = bare.to_owned();
    if call.target().is_err() {
        call.head.model = Some(bare);
    }
}

/// What a request without any question is for: `load` or `unload`.
fn loads(bytes: &[u8]) -> Option<&'static str> {
    #[derive(serde::Deserialize)]
    struct Empty {
        prompt: Option<String>,
        messages: Option<Vec<Value>>,
        images: Option<Value>,
        metadata: Option<Value>,
        keep_alive: Option<Value>,
    }
    // Limit: a request without a question is short.
    if bytes.len() > 1_000 {
        return None;
    }
    let body: Empty = serde_json::from_slice(bytes).ok()?;
    let is_empty = body.prompt.is_none_or(|text| text.is_empty())
        && body.messages.is_none_or(|list| list.is_empty())
        && body.images.is_none()
        && body.metadata.is_none();
    let ends = matches!(&body.keep_alive, Some(Value::Number(n)) if n.as_f64() == Some(0.0))
        || body.keep_alive.as_ref().and_then(Value::as_str).is_some_and(|t| t.starts_with('0'));
    is_empty.then_some(if ends { "unload" } else { "load" })
}

/// The models this caller may use, as Ollama lists what is on a machine.
#[utoipa::path(get, path = "/api/tags", tag = "model APIs",
    responses((status = 200, description = "`models`", body = Object)))]
pub(super) async fn tags(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
) -> axum::Json<Value> {
    let rows = super::models::usable(&gate, &caller);
    let models: Vec<Value> = rows.iter().map(|row| described(&row.id, &row.status)).collect();
    axum::Json(json!({"models": models}))
}

fn described(id: &str, status: &ModelStatus) -> Value {
    let digest = blake3::hash(format!("{}/{id}", status.provider).as_bytes()).to_hex();
    json!({
        "name": id, "model": id, "modified_at": super::models::made_at(id).to_string(), "size": 0,
        "digest": digest.as_str(), "details": details(status),
    })
}

fn details(status: &ModelStatus) -> Value {
    json!({"parent_model": "", "format": "remote", "family": status.provider,
           "families": [status.provider], "parameter_size": "", "quantization_level": ""})
}

/// The models in this machine's memory: those of the providers are in theirs.
#[utoipa::path(get, path = "/api/ps", tag = "model APIs",
    responses((status = 200, description = "`models`, always empty", body = Object)))]
pub(super) async fn running() -> axum::Json<Value> {
    axum::Json(json!({"models": []}))
}

/// The version of Ollama whose API is spoken here, and ours.
#[utoipa::path(get, path = "/api/version", tag = "model APIs",
    responses((status = 200, description = "`version`", body = Object)))]
pub(super) async fn version(State(gate): State<Gateway>) -> axum::Json<Value> {
    axum::Json(json!({"version": API, "rapport": gate.about().version}))
}

/// What is known of one model, as Ollama shows it.
#[utoipa::path(post, path = "/api/show", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "`details`, `model_info` and `capabilities`",
               body = Object)))]
pub(super) async fn show(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    json: body::Json<serde_json::Map<String, Value>>,
) -> Result<axum::Json<Value>, Failed> {
    let name = match fields::text(&json.value, "model")? {
        Some(name) => Some(name),
        None => fields::text(&json.value, "name")?,
    };
    let name = name.filter(|name| !name.is_empty()).ok_or_else(|| fields::missing("model"))?;
    let snapshot = gate.now();
    let target = snapshot.models.resolve(Some(name), Door::Context)?;
    auth::may_name(&caller.models, &snapshot, Some(name))?;
    let (window, capabilities) = match &target {
        Target::Upstream(upstream) => (upstream.window_tokens(), capabilities(upstream.known())),
        Target::Offline(_) => (crate::model::WINDOW_DEFAULT, vec!["completion"]),
    };
    let family = target.provider();
    let info = json!({
        "general.architecture": family,
        "general.basename": target.model(),
        (format!("{family}.context_length")): window,
    });
    Ok(axum::Json(json!({
        "license": "", "modelfile": format!("FROM {name}\n"), "parameters": "", "template": "",
        "modified_at": super::models::made_at(name).to_string(),
        "details": {"parent_model": "", "format": "remote", "family": family,
                    "families": [family], "parameter_size": "", "quantization_level": ""},
        "model_info": info, "capabilities": capabilities,
    })))
}

fn capabilities(known: Option<&ledger::Model>) -> Vec<&'static str> {
    use ledger::Capability;
    if known.is_some_and(|model| model.can(Capability::Embedding)) {
        return vec!["embedding"];
    }
    let mut out = vec!["completion"];
    let rows = [
        (Capability::Tools, "tools"),
        (Capability::Vision, "vision"),
        (Capability::Thinking, "thinking"),
    ];
    // Of a model nobody described, tools are the one thing worth a try.
    match known {
        None => out.push("tools"),
        Some(model) => {
            out.extend(rows.into_iter().filter(|(can, _)| model.can(*can)).map(|(_, name)| name));
        }
    }
    out
}

/// What only a machine with the models on its disk can do.
#[utoipa::path(post, path = "/api/pull", tag = "model APIs",
    responses((status = 501, description = "What to do instead", body = Object)))]
pub(super) async fn pull() -> Response {
    refused("pull")
}

/// What only a machine with the models on its disk can do.
#[utoipa::path(post, path = "/api/push", tag = "model APIs",
    responses((status = 501, description = "What to do instead", body = Object)))]
pub(super) async fn push() -> Response {
    refused("push")
}

/// What only a machine with the models on its disk can do.
#[utoipa::path(post, path = "/api/create", tag = "model APIs",
    responses((status = 501, description = "What to do instead", body = Object)))]
pub(super) async fn create() -> Response {
    refused("create")
}

/// What only a machine with the models on its disk can do.
#[utoipa::path(post, path = "/api/copy", tag = "model APIs",
    responses((status = 501, description = "What to do instead", body = Object)))]
pub(super) async fn copy() -> Response {
    refused("copy")
}

/// What only a machine with the models on its disk can do.
#[utoipa::path(delete, path = "/api/delete", tag = "model APIs",
    responses((status = 501, description = "What to do instead", body = Object)))]
pub(super) async fn delete() -> Response {
    refused("delete")
}

fn refused(what: &str) -> Response {
    let text = format!(
        "`{what}` is not done here: this server passes calls on to providers and keeps no models \
         (run `ollama {what}` on the machine that does, and add it as a provider; it appears by \
         itself when OLLAMA_HOST names it)"
    );
    (StatusCode::NOT_IMPLEMENTED, axum::Json(json!({"error": text}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_a_question_loads_or_unloads() {
        for (body, expected) in [
            (r#"{"model":"m"}"#, Some("load")),
            (r#"{"model":"m","messages":[]}"#, Some("load")),
            (r#"{"model":"m","keep_alive":0}"#, Some("unload")),
            (r#"{"model":"m","keep_alive":"0s"}"#, Some("unload")),
            (r#"{"model":"m","prompt":"hi"}"#, None),
            (r#"{"model":"m","messages":[{}]}"#, None),
            (r#"{"model":"m","prompt":"","images":["x"]}"#, None),
        ] {
            assert_eq!(loads(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn the_paths_are_those_of_ollama_alone() {
        for path in ["/api/chat", "/api/tags", "/api/blobs/sha256:1"] {
            assert!(is_path(path), "{path}");
        }
        for path in ["/api/v1/models", "/api/context/create", "/api/mcp/status", "/api/chat/x"] {
            assert!(!is_path(path), "{path}");
        }
    }
}
