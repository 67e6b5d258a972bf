//! Prompts that bring a conversation into another one.

use mcp::rpc::Refusal;
use serde_json::{Map, Value, json};

use super::{Who, resources};

/// Name, title, what it is for, what it tells the model.
const PROMPTS: &[(&str, &str, &str, &str)] = &[
    (
        "continue_context",
        "Continue a conversation",
        "Brings in what was said in a conversation, to go on with it here",
        "This is a conversation that was kept. Go on with it: take what was agreed as given.",
    ),
    (
        "summarize_context",
        "Summarize a conversation",
        "Asks for a summary of a conversation: decisions, facts, open questions",
        "Summarize this conversation: what was decided, which facts came up, what is still open.",
    ),
];

pub(super) fn list() -> Vec<Value> {
    let argument = json!({"name": "id", "description": "The context's id", "required": true});
    PROMPTS
        .iter()
        .map(|(name, title, about, _)| {
            json!({"name": name, "title": title, "description": about, "arguments": [argument]})
        })
        .collect()
}

pub(super) async fn get(who: &Who, params: &Map<String, Value>) -> Result<Value, Refusal> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some((_, _, about, task)) = PROMPTS.iter().find(|(known, ..)| *known == name) else {
        let shown: String = name.chars().take(100).collect();
        return Err(Refusal::params(format!("there is no prompt `{shown}`")));
    };
    let id = params.get("arguments").and_then(|a| a.get("id")).and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::params("the argument `id` is required"))?;
    let text = resources::transcript(who, id).await.map_err(|fault| Refusal::from(&fault))?;
    let part = |text: String| json!({"role": "user", "content": {"type": "text", "text": text}});
    Ok(json!({"description": about, "messages": [part((*task).to_owned()), part(text)]}))
}
