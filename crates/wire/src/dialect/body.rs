//! The parts of a request body that dialects share: knobs, tools, and the fields passed through.

use serde_json::Value;

use super::text::{Array, Object};
use crate::prompt::{Block, Knobs, Message, Tool};

/// A request body that is being written.
///
/// A knob that stands in the caller's extra fields too has the extra field's value: the caller
/// wrote it in the upstream's own words.
#[derive(Debug)]
pub(super) struct Body<'a> {
    object: Object<'a>,
    knobs: &'a Knobs,
    written: Vec<&'static str>,
}

impl<'a> Body<'a> {
    pub(super) fn begin(out: &'a mut String, knobs: &'a Knobs) -> Self {
        Self { object: Object::begin(out), knobs, written: Vec::new() }
    }

    /// The object itself, for fields that no extra field may replace.
    pub(super) fn own(&mut self) -> &mut Object<'a> {
        &mut self.object
    }

    /// Whether the caller gave this field in the upstream's own words.
    pub(super) fn has_extra(&self, name: &str) -> bool {
        self.knobs.extra.contains_key(name)
    }

    /// Writes an extra field here, if there is one.
    pub(super) fn pass(&mut self, name: &'static str) {
        self.knob(name, None);
    }

    /// Writes a parameter, if it has a value.
    pub(super) fn knob(&mut self, name: &'static str, json: Option<String>) {
        let extra = self.knobs.extra.get(name).map(Value::to_string);
        if let Some(json) = extra.or(json) {
            self.object.raw(name, &json);
            self.written.push(name);
        }
    }

    /// Writes temperature, `top_p` and the stop texts under the name the dialect has for them.
    pub(super) fn sampling(&mut self, stop: &'static str) {
        // A number that JSON cannot express is left to the upstream's default.
        let number = |value: Option<f64>| {
            let value = value.and_then(serde_json::Number::from_f64)?;
            Some(value.to_string())
        };
        self.knob("temperature", number(self.knobs.temperature));
        self.knob("top_p", number(self.knobs.top_p));
        let texts = &self.knobs.stop;
        let list = || Value::from(texts.as_slice()).to_string();
        self.knob(stop, (!texts.is_empty()).then(list));
    }

    /// Writes the tools: those of the prompt, then those among the extra fields, which may be of
    /// kinds that only this upstream has.
    pub(super) fn tools(&mut self, tools: &[Tool], write: impl Fn(&Tool, &mut String)) {
        let extra = self.knobs.extra.get("tools").and_then(Value::as_array);
        let extra = extra.map(Vec::as_slice).unwrap_or_default();
        self.written.push("tools");
        if tools.is_empty() && extra.is_empty() {
            return;
        }
        let mut array = Array::begin(self.object.key("tools"));
        for tool in tools {
            write(tool, array.item());
        }
        for tool in extra {
            array.item().push_str(&tool.to_string());
        }
        array.end();
    }

    /// Writes the extra fields that were not written before and are not `fixed`, then `stream`.
    pub(super) fn end(mut self, fixed: &[&str], stream: bool) {
        for (name, value) in &self.knobs.extra {
            let name = name.as_str();
            if name != "stream" && !fixed.contains(&name) && !self.written.contains(&name) {
                self.object.raw(name, &value.to_string());
            }
        }
        if stream {
            self.object.raw("stream", "true");
        }
        self.object.end();
    }
}

/// What is said of a message that has no words this dialect can carry: the kinds of its parts in
/// brackets, such as `[image]`, or nothing.
pub(super) fn stand_in(message: &Message) -> String {
    let kinds = message.blocks.iter().filter_map(|block| match block {
        Block::Other { kind } => Some(format!("[{kind}]")),
        Block::Text(_)
        | Block::Thinking { .. }
        | Block::ToolUse { .. }
        | Block::ToolResult { .. } => None,
    });
    kinds.collect::<Vec<_>>().join(" ")
}
