//! When what is redacted: as settings write it.

use serde_json::{Value, json};
use wire::Fault;

use super::{DEFAULT, Redactor, wrong};
use crate::Map;

/// When something is redacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RedactMode {
    /// Never.
    #[default]
    Off,
    /// Before it is stored: it is nowhere afterwards.
    Write,
    /// Before a model is told: the log keeps it.
    Render,
}

impl RedactMode {
    /// The modes as they are written in settings.
    pub const WORDS: [(&'static str, Self); 3] =
        [("off", Self::Off), ("write", Self::Write), ("render", Self::Render)];

    fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, mode)| *mode == self).map_or("off", |(word, _)| word)
    }
}

/// What is redacted, and when.
#[derive(Clone, Debug)]
pub struct RedactPlan {
    /// When.
    pub mode: RedactMode,
    patterns: Vec<String>,
    own: Map,
    redactor: Redactor,
}

impl PartialEq for RedactPlan {
    fn eq(&self, other: &Self) -> bool {
        (self.mode, &self.patterns, &self.own) == (other.mode, &other.patterns, &other.own)
    }
}

impl RedactPlan {
    /// A plan of known patterns and patterns of one's own, by name.
    ///
    /// # Errors
    /// `invalid_input`, naming the pattern that is none.
    pub fn new(mode: RedactMode, patterns: Vec<String>, own: Map) -> Result<Self, Fault> {
        let redactor = Redactor::new(&patterns, &own)?;
        Ok(Self { mode, patterns, own, redactor })
    }

    /// Reads `"write"`, or `{"mode", "patterns"?, "own"?}`.
    ///
    /// # Errors
    /// `invalid_input`, naming the member that is wrong.
    pub fn parse(value: &Value) -> Result<Self, Fault> {
        let usual = || DEFAULT.iter().map(|name| (*name).to_owned()).collect();
        let map = match value {
            Value::String(word) => return Self::new(mode(word)?, usual(), Map::new()),
            Value::Object(map) => map,
            _ => return Err(wrong("mode", "must be `off`, `write` or `render`")),
        };
        if let Some(name) =
            map.keys().find(|name| !["mode", "patterns", "own"].contains(&name.as_str()))
        {
            return Err(wrong(name, "is unknown; `mode`, `patterns` and `own` are known"));
        }
        let word = map.get("mode").and_then(Value::as_str).unwrap_or_default();
        let patterns = match map.get("patterns") {
            None | Some(Value::Null) => usual(),
            Some(Value::Array(names)) => {
                let name = |name: &Value| {
                    let text = name.as_str().map(str::to_owned);
                    text.ok_or_else(|| wrong("patterns", "must be a list of names"))
                };
                names.iter().map(name).collect::<Result<_, _>>()?
            }
            Some(_) => return Err(wrong("patterns", "must be a list of names")),
        };
        let own = match map.get("own") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(own)) => own.clone(),
            Some(_) => return Err(wrong("own", "must be an object of regular expressions")),
        };
        Self::new(mode(word)?, patterns, own)
    }

    /// The plan as settings show it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        json!({"mode": self.mode.as_str(), "patterns": self.patterns, "own": self.own})
    }

    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }
}

fn mode(word: &str) -> Result<RedactMode, Fault> {
    let found = RedactMode::WORDS.iter().find(|(known, _)| *known == word);
    found.map(|(_, mode)| *mode).ok_or_else(|| {
        wrong("mode", &format!("must be `off`, `write` or `render`, got `{}`", word.escape_debug()))
    })
}
