//! `prompt` of the Responses API: a kept prompt of ours takes its place in the request.

use serde_json::{Map, Value, json};
use wire::dialect::scan;
use wire::{Code, Fault};

use crate::prompts;
use crate::surface::vendor::Call;

/// Puts a kept prompt in, where a request names one: its text before what is asked, its system text
/// as the instructions and its model as the model, unless the caller says its own.
///
/// # Errors
/// As [`prompts::find`] and the rendering; `invalid_input` for a `prompt` of another shape. One that
/// is not ours is left to the provider, whose prompts begin with `pmpt_`.
pub(super) fn apply(call: &mut Call) -> Result<(), Fault> {
    if !call.bytes.windows(8).any(|part| part == b"\"prompt\"") {
        return Ok(());
    }
    let Ok(mut body) = serde_json::from_slice::<Map<String, Value>>(&call.bytes) else {
        return Ok(());
    };
    let asked = match body.get("prompt") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(asked)) => asked.clone(),
        Some(_) => return Err(wrong("prompt", "an object with `id` and `variables`")),
    };
    let id = asked.get("id").or_else(|| asked.get("name")).and_then(Value::as_str);
    let id = id.ok_or_else(|| wrong("prompt.id", "the name of a kept prompt"))?;
    let snapshot = call.gate.now();
    let prompt = match prompts::find(&snapshot, &call.caller, id) {
        Err(_) if id.starts_with("pmpt_") => return Ok(()),
        found => found?,
    };
    let given = match asked.get("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(given)) => given.clone(),
        Some(_) => return Err(wrong("prompt.variables", "an object of texts")),
    };
    let rendered = prompt.render(&given)?;
    body.shift_remove("prompt");
    let is_absent = |body: &Map<String, Value>, name: &str| {
        body.get(name).is_none_or(|held| held.is_null() || *held == "")
    };
    if is_absent(&body, "instructions")
        && let Some(system) = rendered.system
    {
        body.insert("instructions".to_owned(), system.into());
    }
    if is_absent(&body, "model")
        && let Some(model) = &prompt.model
    {
        body.insert("model".to_owned(), model.as_str().into());
    }
    let mut items = vec![json!({"type": "message", "role": "user", "content": rendered.text})];
    match body.shift_remove("input") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => {
            items.push(json!({"type": "message", "role": "user", "content": text}));
        }
        Some(Value::Array(more)) => items.extend(more),
        Some(_) => return Err(wrong("input", "a string or an array of items")),
    }
    body.insert("input".to_owned(), items.into());
    call.bytes = Value::Object(body).to_string().into();
    call.head = scan(&call.bytes).ok_or_else(|| Fault::internal("a body is no object"))?;
    Ok(())
}

fn wrong(field: &str, expected: &str) -> Fault {
    let text = format!("`{field}` must be {expected}");
    Fault::new(Code::InvalidInput, text).details(json!({"field": field}))
}
