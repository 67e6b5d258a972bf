//! How a window is chosen: everything, the last turns, a budget, or a budget with a summary.

use serde_json::{Value, json};
use wire::{Code, Fault};

use crate::Map;

/// Limit: turns that a call may recall.
const RECALLED_MAX: u32 = 50;

/// What happens to messages that a window does not carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// They are left out in big steps.
    #[default]
    Budget,
    /// There are none: everything is sent, whatever it costs.
    Full,
    /// Only so many of the newest turns are carried.
    Last(u32),
    /// They are left out in big steps, and a summary stands for them.
    Summary,
    /// They are left out in big steps, and a tree of summaries stands for them: one for some turns,
    /// one above eight of these, and so on.
    Hierarchical,
}

/// How the window of a context, or of one call, is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What happens to older messages.
    pub strategy: Strategy,
    /// Tokens that messages may fill, below what the model can take.
    pub tokens: Option<u32>,
    /// So many older messages that fit the question are told again beside it.
    pub recall: u32,
    /// When a cut is due, results of tools older than so many turns are cleared first.
    pub clear_tools: Option<u32>,
    /// The model that writes summaries; without one they are made of sentences of the messages.
    pub summarizer: Option<String>,
}

impl Plan {
    /// Reads a plan from the value of `window` in settings: a word, or an object.
    ///
    /// # Errors
    /// `invalid_input` with `details.field`.
    pub fn parse(value: &Value) -> Result<Self, Fault> {
        match value {
            Value::String(word) => Ok(Self { strategy: strategy(word, None)?, ..Self::default() }),
            Value::Object(map) => Self::read(map),
            _ => Err(wrong("window", "a strategy or an object")),
        }
    }

    fn read(map: &Map) -> Result<Self, Fault> {
        let mut out = Self::default();
        let turns = map.get("turns").map(|v| whole(v, "turns", u32::MAX)).transpose()?;
        for (name, value) in map {
            match name.as_str() {
                "strategy" => {
                    let word = value.as_str().ok_or_else(|| wrong("strategy", STRATEGIES))?;
                    out.strategy = strategy(word, turns)?;
                }
                "turns" => {}
                "clear_tools" => out.clear_tools = Some(whole(value, "clear_tools", u32::MAX)?),
                "tokens" => out.tokens = Some(whole(value, "tokens", u32::MAX)?),
                "recall" if value.as_u64() == Some(0) => out.recall = 0,
                "recall" => out.recall = whole(value, "recall", RECALLED_MAX)?,
                "summarizer" => {
                    let name = value.as_str().filter(|name| !name.is_empty());
                    let name = name.ok_or_else(|| wrong("summarizer", "the name of a model"))?;
                    out.summarizer = (name != OFFLINE).then(|| name.to_owned());
                }
                other => {
                    let shown: String = other.chars().take(80).collect();
                    let text = format!("`window.{}` is not known", shown.escape_debug());
                    let meant = wire::nearest(other, NAMES.iter().copied());
                    let meant = meant.map(|near| format!("did you mean `{near}`? "));
                    return Err(Fault::new(Code::InvalidInput, text)
                        .hint(format!("{}{KNOWN}", meant.unwrap_or_default()))
                        .details(json!({ "field": format!("window.{other}") })));
                }
            }
        }
        if turns.is_some() && !matches!(out.strategy, Strategy::Last(_)) {
            return Err(wrong("turns", "left out, unless `window.strategy` is `last`"));
        }
        Ok(out)
    }

    /// The plan as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        let (word, turns) = match self.strategy {
            Strategy::Budget => ("budget", None),
            Strategy::Full => ("full", None),
            Strategy::Last(turns) => ("last", Some(turns)),
            Strategy::Summary => ("summary", None),
            Strategy::Hierarchical => ("hierarchical", None),
        };
        out.insert("strategy".to_owned(), word.into());
        let numbers = [
            ("turns", turns),
            ("tokens", self.tokens),
            ("clear_tools", self.clear_tools),
            ("recall", (self.recall > 0).then_some(self.recall)),
        ];
        for (name, value) in numbers {
            out.extend(value.map(|value| (name.to_owned(), value.into())));
        }
        if let Some(model) = &self.summarizer {
            out.insert("summarizer".to_owned(), model.clone().into());
        }
        Value::Object(out)
    }
}

/// The summariser that needs no model.
const OFFLINE: &str = "offline";
const NAMES: &[&str] = &["strategy", "turns", "tokens", "recall", "clear_tools", "summarizer"];
const KNOWN: &str = "use `strategy`, `turns`, `tokens`, `recall`, `clear_tools` and `summarizer`";
const STRATEGIES: &str = "one of `budget`, `full`, `last`, `summary`, `hierarchical`";
/// Turns that `last` carries when nobody says how many.
const LAST_TURNS: u32 = 10;

fn strategy(word: &str, turns: Option<u32>) -> Result<Strategy, Fault> {
    match word {
        "budget" => Ok(Strategy::Budget),
        "full" => Ok(Strategy::Full),
        "last" => Ok(Strategy::Last(turns.unwrap_or(LAST_TURNS))),
        "summary" => Ok(Strategy::Summary),
        "hierarchical" => Ok(Strategy::Hierarchical),
        _ => Err(wrong("strategy", STRATEGIES)),
    }
}

fn whole(value: &Value, field: &str, most: u32) -> Result<u32, Fault> {
    let number = value.as_u64().and_then(|n| u32::try_from(n).ok());
    number
        .filter(|n| (1..=most).contains(n))
        .ok_or_else(|| wrong(field, &format!("a whole number from 1 to {most}")))
}

fn wrong(field: &str, expected: &str) -> Fault {
    let field = if field == "window" { field.to_owned() } else { format!("window.{field}") };
    Fault::new(Code::InvalidInput, format!("`{field}` must be {expected}"))
        .details(json!({ "field": field, "expected": expected }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_what_it_writes() {
        for plan in [
            json!({"strategy": "budget"}),
            json!({"strategy": "full", "recall": 3}),
            json!({"strategy": "last", "turns": 4}),
            json!({"strategy": "hierarchical", "tokens": 9000, "clear_tools": 3}),
            json!({"strategy": "summary", "tokens": 9000, "summarizer": "claude-haiku-5-5"}),
        ] {
            assert_eq!(Plan::parse(&plan).unwrap().to_value(), plan);
        }
        let word = Plan::parse(&json!("last")).unwrap();
        assert_eq!(word.strategy, Strategy::Last(LAST_TURNS));
    }

    #[test]
    fn a_wrong_plan_names_its_field() {
        for (plan, field) in [
            (json!(5), "window"),
            (json!("newest"), "window.strategy"),
            (json!({"strategy": "full", "turns": 3}), "window.turns"),
            (json!({"recall": 1000}), "window.recall"),
            (json!({"tokens": 0}), "window.tokens"),
            (json!({"clear_tools": -1}), "window.clear_tools"),
            (json!({"colour": 1}), "window.colour"),
        ] {
            let fault = Plan::parse(&plan).unwrap_err();
            assert_eq!(fault.detail_values().unwrap()["field"], field, "{plan}");
        }
    }
}
