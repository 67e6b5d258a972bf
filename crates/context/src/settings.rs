//! How the turns of a context are answered: model, knobs, policies.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use storage::Durability;
use wire::{Code, Fault};

use crate::{Map, Plan, RedactPlan};

/// What a new turn does while another one runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenBusy {
    /// It waits.
    Queue,
    /// It is refused with `conflict`.
    Reject,
    /// It ends the running one.
    Interrupt,
}

/// What becomes of a turn whose caller hangs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnHangUp {
    /// It goes on, and the reply is kept.
    Finish,
    /// It ends, and what had come is kept.
    Cancel,
}

/// Settings of one context; an absent one leaves the server's default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The model that answers.
    pub model: Option<String>,
    /// The longest reply, in tokens.
    pub max_tokens: Option<u32>,
    /// Randomness.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Texts that end the reply.
    pub stop: Option<Vec<String>>,
    /// `sync`, `group` or `fast`.
    pub durability: Option<Durability>,
    /// `queue`, `reject` or `interrupt`.
    pub when_busy: Option<WhenBusy>,
    /// `finish` or `cancel`.
    pub on_hang_up: Option<OnHangUp>,
    /// Tokens of the window that messages may fill.
    pub window_tokens: Option<u32>,
    /// How the window is chosen.
    pub window: Option<Plan>,
    /// What is redacted, and when.
    pub redact: Option<RedactPlan>,
    /// Which joined tools its models may use, in the words of the one who runs them.
    pub tools: Option<Value>,
    /// Everything else, kept as it came.
    pub extra: Map,
}

const DURABILITIES: &[(&str, Durability)] =
    &[("sync", Durability::Sync), ("group", Durability::Group), ("fast", Durability::Fast)];
const WHEN_BUSY: &[(&str, WhenBusy)] =
    &[("queue", WhenBusy::Queue), ("reject", WhenBusy::Reject), ("interrupt", WhenBusy::Interrupt)];
const ON_HANG_UP: &[(&str, OnHangUp)] =
    &[("finish", OnHangUp::Finish), ("cancel", OnHangUp::Cancel)];

impl Settings {
    /// Reads settings from JSON; `null` counts as absent.
    ///
    /// # Errors
    /// `invalid_input` with `details.field` when a value has the wrong type.
    pub fn parse(mut map: Map) -> Result<Self, Fault> {
        let from = &mut map;
        let out = Self {
            model: text(from, "model")?,
            max_tokens: count(from, "max_tokens")?,
            temperature: number(from, "temperature")?,
            top_p: number(from, "top_p")?,
            stop: texts(from, "stop")?,
            durability: word(from, "durability", DURABILITIES)?,
            when_busy: word(from, "when_busy", WHEN_BUSY)?,
            on_hang_up: word(from, "on_hang_up", ON_HANG_UP)?,
            window_tokens: count(from, "window_tokens")?,
            window: take(from, "window").map(|value| Plan::parse(&value)).transpose()?,
            redact: take(from, "redact").map(|value| RedactPlan::parse(&value)).transpose()?,
            tools: joined(from),
            extra: Map::new(),
        };
        Ok(Self { extra: map, ..out })
    }

    /// As [`Settings::parse`], for what somebody has just written: a name that nobody knows is
    /// refused.
    ///
    /// # Errors
    /// `invalid_input` with `details.field`, and with the nearest known name in its hint.
    pub fn given(map: Map) -> Result<Self, Fault> {
        crate::parameters::check(&map)?;
        Self::parse(map)
    }

    /// The settings as JSON, absent ones left out.
    #[must_use]
    pub fn to_map(&self) -> Map {
        let named = |name: Option<&'static str>| name.map(|name| json!(name));
        let fields = [
            ("model", self.model.as_ref().map(|v| json!(v))),
            ("max_tokens", self.max_tokens.map(|v| json!(v))),
            ("temperature", self.temperature.map(|v| json!(v))),
            ("top_p", self.top_p.map(|v| json!(v))),
            ("stop", self.stop.as_ref().map(|v| json!(v))),
            ("durability", named(self.durability.and_then(|v| name(DURABILITIES, v)))),
            ("when_busy", named(self.when_busy.and_then(|v| name(WHEN_BUSY, v)))),
            ("on_hang_up", named(self.on_hang_up.and_then(|v| name(ON_HANG_UP, v)))),
            ("window_tokens", self.window_tokens.map(|v| json!(v))),
            ("window", self.window.as_ref().map(Plan::to_value)),
            ("redact", self.redact.as_ref().map(RedactPlan::to_value)),
            ("tools", self.tools.clone()),
        ];
        let mut out = Map::new();
        for (key, value) in fields {
            if let Some(value) = value {
                out.insert(key.to_owned(), value);
            }
        }
        out.extend(self.extra.clone());
        out
    }
}

impl Serialize for Settings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_map().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Map::deserialize(deserializer)?;
        Self::parse(map).map_err(|fault| D::Error::custom(fault.text()))
    }
}

fn name<T: PartialEq + Copy>(words: &[(&'static str, T)], value: T) -> Option<&'static str> {
    words.iter().find(|(_, known)| *known == value).map(|(word, _)| *word)
}

fn take(map: &mut Map, field: &str) -> Option<Value> {
    map.shift_remove(field).filter(|value| !value.is_null())
}

/// What names joined tools. A list of definitions is a parameter of the model's own API.
fn joined(map: &mut Map) -> Option<Value> {
    let names = match map.get("tools")? {
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_string),
        value => value.is_string() || value.is_object(),
    };
    names.then(|| take(map, "tools")).flatten()
}

fn wrong(field: &str, expected: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("`settings.{field}` must be {expected}"))
        .details(json!({ "field": format!("settings.{field}"), "expected": expected }))
}

fn text(map: &mut Map, field: &str) -> Result<Option<String>, Fault> {
    match take(map, field) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
        Some(_) => Err(wrong(field, "a text that is not empty")),
    }
}

fn count(map: &mut Map, field: &str) -> Result<Option<u32>, Fault> {
    let Some(value) = take(map, field) else { return Ok(None) };
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    number.map(Some).ok_or_else(|| wrong(field, "a whole number from 1 to 4294967295"))
}

fn number(map: &mut Map, field: &str) -> Result<Option<f64>, Fault> {
    let Some(value) = take(map, field) else { return Ok(None) };
    let number = value.as_f64().filter(|n| n.is_finite() && *n >= 0.0);
    number.map(Some).ok_or_else(|| wrong(field, "a number that is not negative"))
}

fn texts(map: &mut Map, field: &str) -> Result<Option<Vec<String>>, Fault> {
    let expected = "a text or a list of texts";
    match take(map, field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(vec![text])),
        Some(Value::Array(items)) => {
            let texts = items.into_iter().map(|item| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong(field, expected)),
            });
            texts.collect::<Result<_, _>>().map(Some)
        }
        Some(_) => Err(wrong(field, expected)),
    }
}

fn word<T: Copy>(
    map: &mut Map,
    field: &str,
    words: &[(&'static str, T)],
) -> Result<Option<T>, Fault> {
    let Some(value) = take(map, field) else { return Ok(None) };
    let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    found.map(|(_, value)| Some(*value)).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        wrong(field, &format!("one of {}", known.join(", ")))
    })
}
