//! Arguments of tools that come in headers, too: `x-mcp-header` of the modern era.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// The property of a schema that names the header.
const MARK: &str = "x-mcp-header";

/// The properties of tools that come in headers, too.
pub(super) fn mirrors(tools: &[Value]) -> HashMap<String, Vec<(String, String)>> {
    let mut all = HashMap::new();
    for tool in tools {
        let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
        let mirrored: Vec<(String, String)> = marked(tool)
            .filter_map(|(property, _, header)| {
                Some((property.clone(), header.as_str()?.to_owned()))
            })
            .collect();
        if !mirrored.is_empty() {
            all.insert(name.to_owned(), mirrored);
        }
    }
    all
}

/// What is wrong with the headers that a tool wants; such a tool must not be used.
pub(super) fn flaw(tool: &Value) -> Option<String> {
    let mut seen = HashSet::new();
    for (property, schema, header) in marked(tool) {
        let Some(header) = header.as_str().filter(|header| is_token(header)) else {
            return Some(format!("`{property}` names `{header}`, which can be no header"));
        };
        if !seen.insert(header.to_ascii_lowercase()) {
            return Some(format!("two properties name the header `{header}`"));
        }
        let plain = matches!(
            schema.get("type").and_then(Value::as_str),
            Some("string" | "integer" | "boolean")
        );
        if !plain {
            return Some(format!("`{property}` is no text, whole number or boolean"));
        }
    }
    None
}

fn marked(tool: &Value) -> impl Iterator<Item = (&String, &Value, &Value)> {
    let properties = tool.get("inputSchema").and_then(|schema| schema.get("properties"));
    let all = properties.and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(property, schema)| Some((property, schema, schema.get(MARK)?)))
}

/// Whether a text can be the name of a header.
fn is_token(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(properties: &Value) -> Value {
        json!({"name": "t", "inputSchema": {"type": "object", "properties": properties}})
    }

    #[test]
    fn a_tool_with_a_header_that_can_be_none_is_not_used() {
        let good = tool(&json!({"a": {"type": "string", MARK: "Region"}, "b": {"type": "number"}}));
        assert_eq!(flaw(&good), None);
        let mirrored = mirrors(std::slice::from_ref(&good));
        assert_eq!(mirrored["t"], [("a".to_owned(), "Region".to_owned())]);
        for bad in [
            json!({"a": {"type": "string", MARK: ""}}),
            json!({"a": {"type": "string", MARK: "A B"}}),
            json!({"a": {"type": "string", MARK: "A:B"}}),
            json!({"a": {"type": "string", MARK: "Ré"}}),
            json!({"a": {"type": "string", MARK: 7}}),
            json!({"a": {"type": "number", MARK: "A"}}),
            json!({"a": {"type": "object", MARK: "A"}}),
            json!({"a": {"type": "string", MARK: "Aa"}, "b": {"type": "string", MARK: "aA"}}),
        ] {
            assert!(flaw(&tool(&bad)).is_some(), "{bad}");
        }
    }
}
