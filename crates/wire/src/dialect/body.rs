//! The parts of a request body that dialects share: knobs, tools, and the fields passed through.

use serde_json::Value;

use super::losses::Losses;
use super::text::{Array, Object};
use crate::prompt::{Block, Message, Prompt, Raw, Source, Tool, Wishes};

/// A request body that is being written.
///
/// A knob that stands in the caller's extra fields too has the extra field's value: the caller
/// wrote it in the upstream's own words. So has one that the caller gave in this very dialect.
#[derive(Debug)]
pub(super) struct Body<'a> {
    object: Object<'a>,
    prompt: &'a Prompt,
    dialect: &'static str,
    written: Vec<&'static str>,
}

impl<'a> Body<'a> {
    pub(super) fn begin(out: &'a mut String, prompt: &'a Prompt, dialect: &'static str) -> Self {
        Self { object: Object::begin(out), prompt, dialect, written: Vec::new() }
    }

    /// The object itself, for fields that no extra field may replace.
    pub(super) fn own(&mut self) -> &mut Object<'a> {
        &mut self.object
    }

    /// Whether the caller gave this field in the upstream's own words.
    pub(super) fn has_own(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    fn given(&self, name: &str) -> Option<String> {
        let extra = self.prompt.knobs.extra.get(name).map(Value::to_string);
        extra.or_else(|| private(self.prompt, self.dialect, name).map(str::to_owned))
    }

    /// Writes a field that was given in the upstream's own words here, if there is one.
    pub(super) fn pass(&mut self, name: &'static str) {
        self.knob(name, None);
    }

    /// Writes a parameter, if it has a value.
    pub(super) fn knob(&mut self, name: &'static str, json: Option<String>) {
        if self.written.contains(&name) {
            return;
        }
        if let Some(json) = self.given(name).or(json) {
            self.object.raw(name, &json);
        }
        self.written.push(name);
    }

    /// Leaves a parameter out from now on.
    pub(super) fn skip(&mut self, name: &'static str) {
        self.written.push(name);
    }

    /// Writes temperature, `top_p` and the stop texts under the name the dialect has for them.
    pub(super) fn sampling(&mut self, stop: &'static str) {
        let knobs = &self.prompt.knobs;
        self.knob("temperature", number(knobs.temperature));
        self.knob("top_p", number(knobs.top_p));
        let texts = &knobs.stop;
        let list = || Value::from(texts.as_slice()).to_string();
        self.knob(stop, (!texts.is_empty()).then(list));
    }

    /// Writes the tools: those of the prompt, then those among the extra fields, which may be of
    /// kinds that only this upstream has.
    pub(super) fn tools(&mut self, write: impl Fn(&Tool, &mut String)) {
        let extra = self.prompt.knobs.extra.get("tools").and_then(Value::as_array);
        let extra = extra.map(Vec::as_slice).unwrap_or_default();
        self.written.push("tools");
        let dialect = self.dialect;
        let mut tools = own_tools(self.prompt, dialect).peekable();
        if tools.peek().is_none() && extra.is_empty() {
            return;
        }
        let mut array = Array::begin(self.object.key("tools"));
        for tool in tools {
            match own(tool.raw.as_ref(), dialect) {
                Some(json) => array.item().push_str(json),
                None => write(tool, array.item()),
            }
        }
        for tool in extra {
            array.item().push_str(&tool.to_string());
        }
        array.end();
    }

    /// Writes the extra fields that were not written before and are not `fixed`, then those only
    /// this dialect knows, then `stream`.
    pub(super) fn end(mut self, fixed: &[&str], stream: bool) {
        let is_free = |name: &str| {
            name != "stream"
                && !name.contains('.')
                && !fixed.contains(&name)
                && !self.written.contains(&name)
        };
        let extra = &self.prompt.knobs.extra;
        for (name, value) in extra.iter().filter(|(name, _)| is_free(name)) {
            self.object.raw(name, &value.to_string());
        }
        let private = self.prompt.private.iter().filter(|held| &*held.dialect == self.dialect);
        for field in private.flat_map(|private| &private.fields) {
            if is_free(&field.name) && !extra.contains_key(&field.name) {
                self.object.raw(&field.name, field.json.get());
            }
        }
        if stream {
            self.object.raw("stream", "true");
        }
        self.object.end();
    }
}

/// The tools that this dialect can write.
pub(super) fn own_tools<'a>(
    prompt: &'a Prompt,
    dialect: &'a str,
) -> impl Iterator<Item = &'a Tool> + 'a {
    let fits =
        move |tool: &&Tool| tool.hosted.is_none() || own(tool.raw.as_ref(), dialect).is_some();
    prompt.tools.iter().filter(fits)
}

/// The bytes of a raw form, if it is of this dialect.
pub(super) fn own<'a>(raw: Option<&'a Raw>, dialect: &str) -> Option<&'a str> {
    raw.filter(|raw| &*raw.dialect == dialect).map(|raw| raw.json.get())
}

/// The exact form of a field that was given in this dialect.
pub(super) fn private<'a>(prompt: &'a Prompt, dialect: &str, name: &str) -> Option<&'a str> {
    let private = prompt.private.as_ref().filter(|private| &*private.dialect == dialect)?;
    let field = private.fields.iter().find(|field| field.name == name)?;
    Some(field.json.get())
}

/// The fields that were given inside of an object, such as `options`, in this dialect.
pub(super) fn private_in<'a>(
    prompt: &'a Prompt,
    dialect: &'a str,
    object: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let private = prompt.private.iter().filter(move |private| &*private.dialect == dialect);
    private.flat_map(|private| &private.fields).filter_map(move |field| {
        let name = field.name.strip_prefix(object)?.strip_prefix('.')?;
        Some((name, field.json.get()))
    })
}

/// How many bytes a body of this prompt will about have, so that it need not grow while it is
/// written.
pub(super) fn room(prompt: &Prompt) -> usize {
    /// What stands around a part.
    const AROUND: usize = 96;
    let part = |block: &Block| match block {
        Block::Text(text) => text.room(),
        Block::Thinking { text, .. } => text.len(),
        Block::ToolUse { input, .. } => input.get().len(),
        Block::ToolResult { content, .. } => content.len(),
        Block::Image(media) | Block::Document(media) | Block::Audio(media) => match &media.source {
            Source::Data { data: text, .. } | Source::Text(text) => text.len(),
            Source::Url(_) | Source::File(_) => 0,
        },
        Block::Other { .. } => 0,
    };
    let parts = prompt.messages.iter().flat_map(|message| &message.blocks).map(part);
    let tools = prompt.tools.iter().map(|tool| tool.schema.get().len());
    let sum = |all: usize, one: usize| all.saturating_add(one).saturating_add(AROUND);
    let text = parts.chain(tools).fold(prompt.system.as_ref().map_or(0, String::len), sum);
    // Lines and quotes take a byte more each.
    text.saturating_add(text / 16).saturating_add(1024)
}

/// A number as JSON; one that JSON cannot express is left to the upstream's default.
pub(super) fn number(value: Option<f64>) -> Option<String> {
    let value = value.and_then(serde_json::Number::from_f64)?;
    Some(value.to_string())
}

/// A string as JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    super::text::string(&mut out, text);
    out
}

/// Reports what of the prompt around its messages the dialect cannot say.
pub(super) fn report(prompt: &Prompt, dialect: &str, wishes: &[&str], losses: &Losses) {
    losses.tools(prompt, dialect);
    losses.private(prompt, dialect);
    losses.wishes(&prompt.knobs.wishes, wishes);
    if own(prompt.system_raw.as_ref(), dialect).is_none() {
        losses.marks(prompt.system_raw.as_ref());
    }
}

/// Writes the three sampling wishes that most dialects have.
pub(super) fn penalties(body: &mut Body<'_>, wishes: &Wishes) {
    body.knob("frequency_penalty", number(wishes.frequency_penalty));
    body.knob("presence_penalty", number(wishes.presence_penalty));
    body.knob("seed", wishes.seed.map(|seed| seed.to_string()));
}

/// What is said of a message that has no words this dialect can carry: the kinds of its parts in
/// brackets, such as `[image]`, or nothing.
pub(super) fn stand_in(message: &Message) -> String {
    let kinds = message.blocks.iter().filter_map(|block| match block {
        Block::Image(_) | Block::Document(_) | Block::Audio(_) | Block::Other { .. } => {
            Some(format!("[{}]", block.kind()))
        }
        Block::Text(_)
        | Block::Thinking { .. }
        | Block::ToolUse { .. }
        | Block::ToolResult { .. } => None,
    });
    kinds.collect::<Vec<_>>().join(" ")
}
