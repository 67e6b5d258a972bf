//! The JSON Schema of the configuration file, for editors.

use serde_json::{Map, Value, json};

use super::super::keys::{self, ALIASES, Key, Kind};
use super::about;

/// The schema (draft 2020-12).
pub(crate) fn schema() -> Value {
    let mut properties = Map::new();
    for key in keys::all() {
        let segments: Vec<&str> = key.path.split('.').collect();
        place(&mut properties, "", &segments, key);
    }
    for (alias, path) in ALIASES.iter().filter(|(alias, _)| !alias.contains('.')) {
        let kind = json!({ "type": ["string", "integer"] });
        let mut entry = described(kind, &format!("Another name for {path}."));
        entry.insert("deprecated".to_owned(), json!(true));
        properties.insert((*alias).to_owned(), Value::Object(entry));
    }
    let settings = json!({
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    let mut root = properties_of(&settings);
    root.insert(
        "profiles".to_owned(),
        json!({
            "type": ["object", "null"],
            "description": "Differences for one purpose; --profile NAME selects one.",
            "additionalProperties": { "$ref": "#/$defs/settings" },
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rapport.yaml",
        "description": "Settings of Rapport.",
        "type": "object",
        "additionalProperties": false,
        "properties": root,
        "$defs": { "settings": settings },
    })
}

fn properties_of(settings: &Value) -> Map<String, Value> {
    settings.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

/// Puts `key` below the segments of its path, making the groups on the way.
fn place(properties: &mut Map<String, Value>, group: &str, segments: &[&str], key: &Key) {
    let Some((first, rest)) = segments.split_first() else { return };
    if rest.is_empty() {
        properties.insert((*first).to_owned(), Value::Object(leaf(key)));
        return;
    }
    let group = if group.is_empty() { about(first) } else { "" };
    let entry = properties
        .entry(*first)
        .or_insert_with(|| Value::Object(described(json!({ "type": ["object", "null"] }), group)));
    let Some(entry) = entry.as_object_mut() else { return };
    // A free name takes any property; a fixed one is listed.
    if let ["NAME", after @ ..] = rest {
        let inner = match after {
            [] => Value::Object(leaf(key)),
            _ => {
                let other = entry.remove("additionalProperties");
                let mut inner = other.as_ref().map(properties_of).unwrap_or_default();
                place(&mut inner, "inner", after, key);
                let inner =
                    json!({ "type": "object", "additionalProperties": false, "properties": inner });
                // Named things inside a group may also be written as a list.
                if group == "inner" {
                    entry.insert("type".to_owned(), json!(["object", "array", "null"]));
                    entry.insert("items".to_owned(), inner.clone());
                }
                inner
            }
        };
        entry.insert("additionalProperties".to_owned(), inner);
        return;
    }
    entry.insert("additionalProperties".to_owned(), json!(false));
    let inner = entry.entry("properties").or_insert_with(|| json!({}));
    if let Some(inner) = inner.as_object_mut() {
        place(inner, "inner", rest, key);
    }
}

fn leaf(key: &Key) -> Map<String, Value> {
    let kind = match key.kind {
        Kind::Port | Kind::Duration | Kind::Bytes(..) => {
            json!({ "type": ["integer", "number", "string", "null"] })
        }
        Kind::Text | Kind::Path | Kind::Secret | Kind::PortRange => {
            json!({ "type": ["string", "null"] })
        }
        Kind::Url => json!({ "type": ["string", "null"], "pattern": "^(https?://|\\$\\{)" }),
        Kind::Bool => json!({ "type": ["boolean", "null"] }),
        Kind::Count(low, high) => {
            json!({ "type": ["integer", "null"], "minimum": low, "maximum": high })
        }
        Kind::CountOrUnlimited(low, high) => json!({ "anyOf": [
            { "type": ["integer", "null"], "minimum": low, "maximum": high },
            { "const": "unlimited" },
        ] }),
        Kind::Choice(words) => {
            let mut words: Vec<Value> = words.iter().map(|word| json!(word)).collect();
            words.push(Value::Null);
            json!({ "enum": words })
        }
        Kind::Dialect => {
            let words = wire::dialect::DIALECTS.iter().map(|dialect| json!(dialect.name()));
            json!({ "enum": words.chain([Value::Null]).collect::<Vec<_>>() })
        }
        Kind::List => json!({ "anyOf": [
            { "type": "array", "items": { "type": "string" } },
            { "type": ["string", "null"] },
        ] }),
    };
    let mut entry = described(kind, key.doc);
    if !key.default.is_empty() {
        entry.insert("default".to_owned(), default(key));
    }
    entry
}

fn default(key: &Key) -> Value {
    match key.kind {
        Kind::Bool => json!(key.default == "true"),
        Kind::Count(..) | Kind::Port | Kind::CountOrUnlimited(..) => {
            key.default.parse::<u64>().map_or_else(|_| json!(key.default), |number| json!(number))
        }
        _ => json!(key.default),
    }
}

fn described(kind: Value, doc: &str) -> Map<String, Value> {
    let mut entry = match kind {
        Value::Object(entry) => entry,
        _ => Map::new(),
    };
    if !doc.is_empty() {
        entry.insert("description".to_owned(), json!(doc));
    }
    entry
}
