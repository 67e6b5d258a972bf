//! Prompts that are kept by name.

use gateway::prompts::{Argument, PromptSettings};

use super::values::Values;

/// Every kept prompt that can work.
pub(super) fn all(values: &mut Values<'_>) -> Vec<PromptSettings> {
    let names = values.stack.names("prompts");
    names.into_iter().filter_map(|name| one(values, name)).collect()
}

fn one(values: &mut Values<'_>, name: String) -> Option<PromptSettings> {
    let key = |last: &str| format!("prompts.{name}.{last}");
    let mut text = |last: &str| values.text(&key(last)).filter(|text| !text.is_empty());
    let (title, description, model) = (text("title"), text("description"), text("model"));
    let (said, system) = (text("text").unwrap_or_default(), text("system"));
    let (lines, place) = values.list(&key("arguments"));
    let mut arguments = Vec::new();
    for line in lines {
        match Argument::parse(&line) {
            Ok(argument) => arguments.push(argument),
            Err(why) => {
                values.findings.problem(&place, format!("`{}`: {why}", key("arguments")));
                return None;
            }
        }
    }
    let path = format!("prompts.{name}");
    let prompt = PromptSettings { name, title, description, text: said, system, model, arguments };
    match prompt.checked() {
        Ok(prompt) => Some(prompt),
        Err(why) => {
            values.findings.problem(&place, format!("`{path}` {why}"));
            None
        }
    }
}
