//! Which joined tools a model may use within a turn, and how far it may go.

use std::time::Duration;

use serde_json::{Value, json};
use wire::{Code, Fault};

/// Rounds of calls while nothing else is said, and the most that may be said.
const ROUNDS: u32 = 8;
const ROUNDS_MAX: u64 = 100;
/// The time of a whole turn while nothing else is said, and the most.
const SECONDS: u64 = 300;
const SECONDS_MAX: u64 = 3_600;

/// Which joined tools a model may use within a turn, and how far it may go.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolPlan {
    /// The tools, by the names they are offered under; `*` stands for anything. Empty: none.
    pub names: Vec<String>,
    /// Tools that somebody agreed to, of those that need it.
    pub approved: Vec<String>,
    /// Limit: how often the model may ask for tools before it has to answer.
    pub rounds: u32,
    /// Limit: how long all calls together may take.
    pub within: Duration,
    /// Limit: what all asks together may cost, in US dollars.
    pub cost_usd: Option<f64>,
}

impl ToolPlan {
    /// Whether a value is meant as a plan: a list of definitions is something else.
    #[must_use]
    pub fn is_one(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().all(Value::is_string),
            value => value.is_string() || value.is_object(),
        }
    }

    /// Reads `"joined"`, `"none"`, a list of names, or an object with `names`, `approved`,
    /// `rounds`, `seconds` and `cost_usd`.
    ///
    /// # Errors
    /// `invalid_input`, saying what would have been right.
    pub fn parse(value: &Value) -> Result<Self, Fault> {
        let all = |names: Vec<String>| Self {
            names,
            approved: Vec::new(),
            rounds: ROUNDS,
            within: Duration::from_secs(SECONDS),
            cost_usd: None,
        };
        match value {
            Value::String(word) if word == "joined" => Ok(all(vec!["*".to_owned()])),
            Value::String(word) if word == "none" => Ok(all(Vec::new())),
            Value::Array(_) => Ok(all(names(value, "tools")?)),
            Value::Object(map) => {
                let known = ["names", "approved", "rounds", "seconds", "cost_usd"];
                if let Some(name) = map.keys().find(|name| !known.contains(&name.as_str())) {
                    return Err(wrong(&format!("`tools.{name}` is not known")));
                }
                let mut plan = all(match map.get("names") {
                    None | Some(Value::Null) => vec!["*".to_owned()],
                    Some(value) => names(value, "tools.names")?,
                });
                if let Some(value) = map.get("approved") {
                    plan.approved = names(value, "tools.approved")?;
                }
                let count = |name: &str, most: u64| match map.get(name) {
                    None | Some(Value::Null) => Ok(None),
                    Some(value) => value
                        .as_u64()
                        .filter(|count| (1..=most).contains(count))
                        .map(Some)
                        .ok_or_else(|| wrong(&format!("`tools.{name}` must be 1 to {most}"))),
                };
                if let Some(rounds) = count("rounds", ROUNDS_MAX)? {
                    plan.rounds = u32::try_from(rounds).unwrap_or(ROUNDS);
                }
                if let Some(seconds) = count("seconds", SECONDS_MAX)? {
                    plan.within = Duration::from_secs(seconds);
                }
                plan.cost_usd = match map.get("cost_usd") {
                    None | Some(Value::Null) => None,
                    Some(value) => {
                        let cost = value.as_f64().filter(|cost| *cost > 0.0);
                        Some(cost.ok_or_else(|| wrong("`tools.cost_usd` must be above 0"))?)
                    }
                };
                Ok(plan)
            }
            _ => Err(wrong("`tools` names no joined tools")),
        }
    }
}

/// Names in a list, or in one text with commas.
fn names(value: &Value, field: &str) -> Result<Vec<String>, Fault> {
    match value {
        Value::String(text) => Ok(text.split(',').map(|name| name.trim().to_owned()).collect()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(ToOwned::to_owned))
            .collect::<Option<Vec<String>>>()
            .ok_or_else(|| wrong(&format!("`{field}` must be a list of names"))),
        _ => Err(wrong(&format!("`{field}` must be a list of names"))),
    }
}

fn wrong(text: &str) -> Fault {
    Fault::new(Code::InvalidInput, text)
        .hint(
            "write `\"joined\"`, a list such as `[\"github__*\"]`, or an object with `names`, \
             `approved`, `rounds`, `seconds` and `cost_usd`",
        )
        .details(json!({"field": "tools"}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_words_lists_or_objects() {
        let plan = |value: Value| ToolPlan::parse(&value).unwrap();
        assert_eq!(plan(json!("joined")).names, ["*"]);
        assert_eq!(plan(json!("none")).names, [""; 0]);
        assert_eq!(plan(json!(["a__*", "b"])).names, ["a__*", "b"]);
        let whole = json!({"names": ["a"], "approved": ["a"], "rounds": 2, "seconds": 9,
                           "cost_usd": 0.5});
        let whole = plan(whole);
        assert_eq!((whole.rounds, whole.within.as_secs()), (2, 9));
        assert_eq!((whole.approved, whole.cost_usd), (vec!["a".to_owned()], Some(0.5)));
        for (bad, word) in [
            (json!(7), "names no joined tools"),
            (json!("all"), "names no joined tools"),
            (json!([1]), "list of names"),
            (json!({"rounds": 0}), "1 to 100"),
            (json!({"turns": 1}), "`tools.turns`"),
            (json!({"cost_usd": 0}), "above 0"),
        ] {
            let text = ToolPlan::parse(&bad).unwrap_err().text().to_owned();
            assert!(text.contains(word), "{bad}: {text}");
        }
    }
}
