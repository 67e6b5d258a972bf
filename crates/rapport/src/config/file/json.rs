//! JSON: checked as JSON, then read as YAML, of which it is a part, for the lines.

use serde_json::Value;

use super::{Broken, Node, What};

pub(super) fn read(text: &str) -> Result<Node, Broken> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let full = error.to_string();
        let problem = full.split(" at line ").next().unwrap_or(&full).to_owned();
        Broken {
            line: u64::try_from(error.line()).ok(),
            column: u64::try_from(error.column()).ok(),
            problem,
        }
    })?;
    // Where the two disagree (tabs, repeated names) the values count and the lines are lost.
    Ok(super::yaml::read(text).unwrap_or_else(|_no_lines| without_lines(value)))
}

fn without_lines(value: Value) -> Node {
    let what = match value {
        Value::Null => What::Nothing,
        Value::Bool(value) => What::Text(value.to_string()),
        Value::Number(value) => What::Text(value.to_string()),
        Value::String(value) => What::Text(value),
        Value::Array(items) => What::List(items.into_iter().map(without_lines).collect()),
        Value::Object(entries) => {
            What::Map(entries.into_iter().map(|(name, v)| (name, without_lines(v))).collect())
        }
    };
    Node { line: None, what }
}
