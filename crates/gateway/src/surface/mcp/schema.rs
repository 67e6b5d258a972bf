//! The schemas of tools, written short.

use serde_json::{Map, Value, json};

/// A field of a tool's input.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) schema: Value,
    pub(super) required: bool,
}

/// A text.
pub(super) fn text(name: &'static str, about: &str) -> Field {
    Field { name, schema: json!({"type": "string", "description": about}), required: false }
}

/// A whole number from `least`.
pub(super) fn count(name: &'static str, least: u64, about: &str) -> Field {
    let schema = json!({"type": "integer", "minimum": least, "description": about});
    Field { name, schema, required: false }
}

/// Any JSON object.
pub(super) fn object(name: &'static str, about: &str) -> Field {
    Field { name, schema: json!({"type": "object", "description": about}), required: false }
}

impl Field {
    /// It must be there.
    pub(super) fn needed(mut self) -> Self {
        self.required = true;
        self
    }
}

/// The schema of an input.
pub(super) fn input(fields: Vec<Field>) -> Value {
    let required: Vec<&str> = fields.iter().filter(|f| f.required).map(|f| f.name).collect();
    let properties: Map<String, Value> =
        fields.into_iter().map(|field| (field.name.to_owned(), field.schema)).collect();
    let mut schema = json!({"type": "object", "properties": properties,
                            "additionalProperties": false});
    if let (Value::Object(map), false) = (&mut schema, required.is_empty()) {
        map.insert("required".to_owned(), required.into());
    }
    schema
}
