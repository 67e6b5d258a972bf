//! Prompts that bring a conversation into another one.

use mcp::rpc::Refusal;
use serde_json::{Map, Value, json};

use wire::Fault;

use super::{Who, resources};
use crate::prompts::{self, PromptSettings};

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

pub(super) fn list(who: &Who) -> Vec<Value> {
    let argument = json!({"name": "id", "description": "The context's id", "required": true});
    let own = PROMPTS.iter().map(|(name, title, about, _)| {
        json!({"name": name, "title": title, "description": about, "arguments": [argument]})
    });
    let snapshot = who.gate.now();
    let kept = prompts::seen(&snapshot, &who.caller).map(PromptSettings::to_value);
    own.chain(kept).collect()
}

pub(super) async fn get(who: &Who, params: &Map<String, Value>) -> Result<Value, Refusal> {
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
    let Some((_, _, about, task)) = PROMPTS.iter().find(|(known, ..)| *known == name) else {
        return kept(who, name, params).map_err(|fault| Refusal::from(&fault));
    };
    let id = params.get("arguments").and_then(|a| a.get("id")).and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::params("the argument `id` is required"))?;
    let text = resources::transcript(who, id).await.map_err(|fault| Refusal::from(&fault))?;
    let part = |text: String| json!({"role": "user", "content": {"type": "text", "text": text}});
    Ok(json!({"description": about, "messages": [part((*task).to_owned()), part(text)]}))
}

/// A prompt of the configuration. What it tells the model beside what is asked stands first, since
/// the protocol has no place for it.
fn kept(who: &Who, name: &str, params: &Map<String, Value>) -> Result<Value, Fault> {
    let snapshot = who.gate.now();
    let prompt = prompts::find(&snapshot, &who.caller, name)?;
    let empty = Map::new();
    let given = params.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
    let rendered = prompt.render(given)?;
    let part = |text: String| json!({"role": "user", "content": {"type": "text", "text": text}});
    let texts = rendered.system.into_iter().chain([rendered.text]);
    let mut out = json!({"messages": texts.map(part).collect::<Vec<_>>()});
    if let (Some(about), Some(object)) = (&prompt.description, out.as_object_mut()) {
        object.insert("description".to_owned(), about.as_str().into());
    }
    Ok(out)
}

/// What an argument of a kept prompt may be: its default, where it begins like this.
pub(super) fn complete(who: &Who, prompt: &str, (argument, begun): (&str, &str)) -> Vec<String> {
    let snapshot = who.gate.now();
    let found = prompts::seen(&snapshot, &who.caller).find(|kept| kept.name == prompt);
    let argument = found.and_then(|kept| kept.arguments.iter().find(|a| a.name == argument));
    let default = argument.and_then(|argument| argument.default.clone());
    default.into_iter().filter(|text| text.starts_with(begun)).collect()
}
