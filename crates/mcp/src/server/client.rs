//! What a client can do, as it said in `initialize` or says with every modern request.

use serde_json::{Map, Value, json};

use super::task;

/// A client's capabilities, as far as a server asks something of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent yes-or-no statements")]
pub struct Client {
    /// It asks its user for values.
    pub elicitation: bool,
    /// It sends its user to an address.
    pub elicitation_url: bool,
    /// It asks a model.
    pub sampling: bool,
    /// It lets that model use tools.
    pub sampling_tools: bool,
    /// It names the folders it works in.
    pub roots: bool,
    /// It takes a task for an answer, and looks how far it is.
    pub tasks: bool,
}

impl Client {
    /// Reads a `capabilities` object.
    #[must_use]
    pub fn read(capabilities: &Map<String, Value>) -> Self {
        let has = |name: &str| capabilities.get(name).is_some_and(Value::is_object);
        let within = |name: &str, part: &str| {
            capabilities.get(name).and_then(|c| c.get(part)).is_some_and(Value::is_object)
        };
        let url = within("elicitation", "url");
        Self {
            // An empty object means forms, as before there was anything else.
            elicitation: has("elicitation") && (!url || within("elicitation", "form")),
            elicitation_url: url,
            sampling: has("sampling"),
            sampling_tools: within("sampling", "tools"),
            roots: has("roots"),
            tasks: within("extensions", task::EXTENSION),
        }
    }

    /// As a `capabilities` object, to tell another server what can be asked.
    #[must_use]
    pub fn capabilities(self) -> Map<String, Value> {
        let mut all = Map::new();
        let mut elicitation = Map::new();
        if self.elicitation {
            elicitation.insert("form".to_owned(), json!({}));
        }
        if self.elicitation_url {
            elicitation.insert("url".to_owned(), json!({}));
        }
        if !elicitation.is_empty() {
            all.insert("elicitation".to_owned(), Value::Object(elicitation));
        }
        if self.sampling {
            let tools = if self.sampling_tools { json!({"tools": {}}) } else { json!({}) };
            all.insert("sampling".to_owned(), tools);
        }
        if self.roots {
            all.insert("roots".to_owned(), json!({}));
        }
        if self.tasks {
            all.insert("extensions".to_owned(), json!({task::EXTENSION: {}}));
        }
        all
    }

    /// As one number, for a session's id.
    pub(crate) fn bits(self) -> u8 {
        u8::from(self.elicitation)
            | u8::from(self.elicitation_url) << 1
            | u8::from(self.sampling) << 2
            | u8::from(self.sampling_tools) << 3
            | u8::from(self.roots) << 4
            | u8::from(self.tasks) << 5
    }

    pub(crate) fn of_bits(bits: u8) -> Self {
        let has = |place: u8| bits & (1 << place) != 0;
        Self {
            elicitation: has(0),
            elicitation_url: has(1),
            sampling: has(2),
            sampling_tools: has(3),
            roots: has(4),
            tasks: has(5),
        }
    }
}
