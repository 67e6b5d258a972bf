//! Definitions that every client can read: strict ones throw a whole list away for one bad item.

use serde_json::{Map, Value, json};

use super::listing::Listing;

/// Members that are texts wherever they occur.
const TEXTS: &[&str] = &["title", "description", "mimeType"];
/// Members that are objects wherever they occur.
const OBJECTS: &[&str] = &["annotations", "_meta", "execution", "outputSchema"];

/// Makes everything in a listing legible; leaves out what cannot be made so. What is well formed
/// stays as it came. Says what was changed or left out, for the log.
pub(super) fn make(listing: &mut Listing) -> Vec<String> {
    let mut flaws = Vec::new();
    let mut each =
        |items: &mut Vec<Value>, kind: &str, fix: fn(&mut Map<String, Value>) -> bool| {
            items.retain_mut(|item| {
                let before = item.clone();
                let is_kept = item.as_object_mut().is_some_and(fix);
                if !is_kept || *item != before {
                    let name =
                        ["name", "uri", "uriTemplate"].iter().find_map(|f| before.get(f)?.as_str());
                    let name: String = name.unwrap_or("without a name").chars().take(60).collect();
                    let how = if is_kept { "mended" } else { "left out" };
                    flaws.push(format!("{kind} `{name}` {how}"));
                }
                is_kept
            });
        };
    each(&mut listing.tools, "tool", tool);
    each(&mut listing.prompts, "prompt", prompt);
    each(&mut listing.resources, "resource", |item| resource(item, "uri"));
    each(&mut listing.templates, "template", |item| resource(item, "uriTemplate"));
    flaws
}

fn tool(item: &mut Map<String, Value>) -> bool {
    if !has_name(item) {
        return false;
    }
    plain(item);
    if let Some(Value::Object(hints)) = item.get_mut("annotations") {
        hints.retain(|name, value| match name.as_str() {
            "title" => value.is_string(),
            _ => !name.ends_with("Hint") || value.is_boolean(),
        });
    }
    let schema = item.entry("inputSchema").or_insert_with(|| json!({}));
    if !schema.is_object() {
        *schema = json!({});
    }
    if let Value::Object(schema) = schema {
        of_arguments(schema);
    }
    if let Some(Value::Object(schema)) = item.get_mut("outputSchema") {
        members(schema);
    }
    true
}

/// Arguments are always an object, whatever else the schema says.
fn of_arguments(schema: &mut Map<String, Value>) {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        schema.insert("type".to_owned(), "object".into());
    }
    members(schema);
}

/// The parts of a schema that clients take apart: `true` and `false` mean the same as objects do.
fn members(schema: &mut Map<String, Value>) {
    if schema.get("properties").is_some_and(|all| !all.is_object()) {
        schema.shift_remove("properties");
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for value in properties.values_mut() {
            match value {
                Value::Object(_) => {}
                Value::Bool(false) => *value = json!({"not": {}}),
                _ => *value = json!({}),
            }
        }
    }
    let is_list = |all: &Value| all.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    if schema.get("required").is_some_and(|all| !is_list(all)) {
        schema.shift_remove("required");
    }
}

fn prompt(item: &mut Map<String, Value>) -> bool {
    if !has_name(item) {
        return false;
    }
    plain(item);
    if item.get("arguments").is_some_and(|all| !all.is_array()) {
        item.shift_remove("arguments");
    }
    if let Some(Value::Array(arguments)) = item.get_mut("arguments") {
        arguments.retain_mut(|argument| {
            let Some(argument) = argument.as_object_mut().filter(|of| has_name(of)) else {
                return false;
            };
            plain(argument);
            if argument.get("required").is_some_and(|value| !value.is_boolean()) {
                argument.shift_remove("required");
            }
            true
        });
    }
    true
}

fn resource(item: &mut Map<String, Value>, address: &str) -> bool {
    let Some(uri) = item.get(address).and_then(Value::as_str).map(ToOwned::to_owned) else {
        return false;
    };
    // A template may begin with what is filled in.
    if address == "uri" && !has_scheme(&uri) {
        return false;
    }
    if !has_name(item) {
        item.insert("name".to_owned(), uri.into());
    }
    plain(item);
    if item.get("size").is_some_and(|size| !size.is_number()) {
        item.shift_remove("size");
    }
    true
}

fn has_name(item: &Map<String, Value>) -> bool {
    item.get("name").and_then(Value::as_str).is_some_and(|name| !name.is_empty())
}

fn has_scheme(uri: &str) -> bool {
    let Some((scheme, _)) = uri.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Drops members that are of another type than everybody expects.
fn plain(item: &mut Map<String, Value>) {
    let is_icon = |icon: &Value| icon.get("src").is_some_and(Value::is_string);
    item.retain(|name, value| match name.as_str() {
        name if TEXTS.contains(&name) => value.is_string(),
        name if OBJECTS.contains(&name) => value.is_object(),
        "icons" => value.as_array().is_some_and(|icons| icons.iter().all(is_icon)),
        _ => true,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(tools: Value, prompts: Value, resources: Value) -> Listing {
        let list = |value| serde_json::from_value::<Vec<Value>>(value).unwrap();
        let (tools, prompts, resources) = (list(tools), list(prompts), list(resources));
        Listing { tools, prompts, resources, ..Listing::default() }
    }

    #[test]
    fn what_is_well_formed_stays_as_it_came() {
        let tools = json!([{"name": "a", "odd": 1, "execution": {"taskSupport": "odd"},
            "inputSchema": {"$anchor": "x", "type": "object", "properties": {"n": {"$ref": "#"}},
                            "allOf": [true], "required": ["n"]},
            "outputSchema": {"type": "array"},
            "annotations": {"vendor": 1, "readOnlyHint": true}}]);
        let prompts = json!([{"name": "p", "arguments": [{"name": "x", "required": true}]}]);
        let resources = json!([{"uri": "file:///a", "name": "a", "size": 3}]);
        let mut found = listing(tools, prompts, resources);
        let before = found.clone();
        assert!(make(&mut found).is_empty());
        assert_eq!(found, before);
    }

    #[test]
    fn what_strict_clients_refuse_is_mended_or_left_out() {
        let tools = json!([7, null, {"name": 5}, {"name": ""}, {"description": "no name"},
            {"name": "none"},
            {"name": "text", "inputSchema": "x", "description": 5, "icons": [{}], "_meta": []},
            {"name": "loop", "inputSchema": {"$ref": "#"}},
            {"name": "list", "inputSchema": {"type": "array"}, "outputSchema": true,
             "annotations": {"readOnlyHint": "yes", "title": 1, "vendor": 1}},
            {"name": "any", "inputSchema": {"type": "object", "required": "a",
                "properties": {"a": true, "b": false, "c": 5}}}]);
        let prompts = json!([{"title": "no name"}, {"name": "p", "arguments": "x"},
            {"name": "q", "arguments": [{"name": "a", "required": "yes"}, {"title": "t"}, 1]}]);
        let resources = json!([{"uri": "readme"}, {"uri": "a:b"}, {"name": "x"}]);
        let mut found = listing(tools, prompts, resources);
        let flaws = make(&mut found);
        let object = json!({"type": "object"});
        assert_eq!(
            json!(found.tools),
            json!([{"name": "none", "inputSchema": object},
                {"name": "text", "inputSchema": object},
                {"name": "loop", "inputSchema": {"$ref": "#", "type": "object"}},
                {"name": "list", "inputSchema": object, "annotations": {"vendor": 1}},
                {"name": "any", "inputSchema": {"type": "object",
                    "properties": {"a": {}, "b": {"not": {}}, "c": {}}}}])
        );
        assert_eq!(
            json!(found.prompts),
            json!([{"name": "p"}, {"name": "q", "arguments": [{"name": "a"}]}])
        );
        assert_eq!(json!(found.resources), json!([{"uri": "a:b", "name": "a:b"}]));
        assert!(flaws.contains(&"tool `loop` mended".to_owned()), "{flaws:?}");
        assert!(flaws.contains(&"resource `readme` left out".to_owned()), "{flaws:?}");
        assert_eq!(flaws.len(), 5 + 5 + 3 + 3);
    }
}
