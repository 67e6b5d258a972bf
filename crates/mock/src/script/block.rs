//! A piece of JSON that a script gives and the server sends on as it is.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// JSON to send verbatim.
///
/// Written as a string, the text of the string is sent byte for byte; written as a table or an
/// object, it is sent compactly with its keys in the order of the script.
#[derive(Debug, Clone)]
pub struct Block(Arc<RawValue>);

impl Block {
    /// Takes JSON text as it is.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<Box<RawValue>>(text).map(|raw| Self(raw.into()))
    }

    /// The JSON text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The JSON as a tree; `null` never stands for a mistake, because the text was checked.
    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(self.as_str()).unwrap_or_default()
    }
}

impl Default for Block {
    /// The empty object.
    fn default() -> Self {
        let empty = serde_json::value::to_raw_value(&serde_json::Map::new());
        Self(empty.unwrap_or_default().into())
    }
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Self::parse(&text).map_err(|e| {
                D::Error::custom(format!("`{text}` is not JSON ({e}); give an object, or its text"))
            }),
            other => Self::parse(&other.to_string()).map_err(D::Error::custom),
        }
    }
}

impl Serialize for Block {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}
