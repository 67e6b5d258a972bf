//! Models as a tool: asked once, without a conversation, where the settings allow it.

use serde_json::{Map, Value, json};
use wire::{Code, Fault};

use super::Who;
use super::schema::{count, text};
use super::tools::Tool;
use crate::auth::Scope;
use crate::joined::fits_any;
use crate::model::{Door, Target};
use crate::surface::vendor;

/// The tool's name.
pub(super) const ASK: &str = "ask_model";
/// What a model may answer where nothing else is said, in tokens.
const TOKENS: u64 = 4096;

pub(super) const TOOLS: &[Tool] = &[Tool {
    name: ASK,
    title: "Ask a model once",
    about: "Asks a model and returns its answer. Nothing is kept: the model sees the prompt alone. \
            model_list names the models.",
    fields: || {
        vec![
            text("model", "Which model, as in model_list").needed(),
            text("prompt", "What to ask").needed(),
            text("system", "Instructions for the model"),
            count("max_tokens", 1, "At most so many tokens of answer, 4096 if absent"),
        ]
    },
    scope: Scope::Write,
    destroys: false,
}];

/// Whether models may be asked by tools at all.
pub(super) fn is_allowed(who: &Who) -> bool {
    !who.gate.joined().settings().models.is_empty()
}

/// Asks a model.
pub(super) async fn ask(who: &Who, given: &Map<String, Value>) -> Result<Value, Fault> {
    let field = |name: &str| given.get(name).and_then(Value::as_str);
    let model = field("model").unwrap_or_default();
    allow(who, model)?;
    let mut body = json!({
        "model": model,
        "max_tokens": given.get("max_tokens").and_then(Value::as_u64).unwrap_or(TOKENS),
        "messages": [{"role": "user", "content": field("prompt").unwrap_or_default()}],
    });
    if let (Value::Object(body), Some(system)) = (&mut body, field("system")) {
        body.insert("system".to_owned(), system.into());
    }
    let reply = vendor::ask_once(&who.gate, &who.caller, &body).await?;
    let parts = reply.get("content").and_then(Value::as_array).into_iter().flatten();
    let text: String = parts.filter_map(|part| part.get("text").and_then(Value::as_str)).collect();
    Ok(json!({"model": reply.get("model"), "text": text, "usage": reply.get("usage"),
              "stop_reason": reply.get("stop_reason")}))
}

/// Refuses a model that the settings do not name.
fn allow(who: &Who, name: &str) -> Result<(), Fault> {
    let patterns = who.gate.joined().settings().models.clone();
    let whole = match who.gate.now().models.resolve(Some(name), Door::Context) {
        Ok(Target::Upstream(upstream)) => {
            Some(format!("{}/{}", upstream.provider(), upstream.model()))
        }
        // Whoever answers says what is wrong with a name.
        Ok(Target::Offline(_)) | Err(_) => None,
    };
    if fits_any(&patterns, name) || whole.is_some_and(|whole| fits_any(&patterns, &whole)) {
        return Ok(());
    }
    let shown: String = name.chars().take(100).collect();
    Err(Fault::new(Code::Forbidden, format!("the model `{shown}` may not be asked by tools"))
        .hint(format!("`mcp.models` allows `{}`", patterns.join("`, `"))))
}
