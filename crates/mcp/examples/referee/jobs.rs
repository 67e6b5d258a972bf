//! Tools that may go on after their answer.

use std::time::Duration;

use mcp::rpc::{Refusal, code};
use mcp::server::{Link, Question, Stop};
use serde_json::{Map, Value, json};

use crate::tools::{form, name_form, text};

pub(crate) const NAMES: &[&str] = &[
    "greet",
    "slow_compute",
    "failing_job",
    "protocol_error_job",
    "confirm_delete",
    "multi_input",
    "test_tool_with_task",
];

pub(crate) async fn call(
    link: &Link,
    name: &str,
    params: &Map<String, Value>,
) -> Result<Value, Stop> {
    let argument = |field: &str| {
        params.get("arguments").and_then(|a| a.get(field)).cloned().unwrap_or(Value::Null)
    };
    Ok(match name {
        "greet" => text(format!("Hello, {}!", argument("name").as_str().unwrap_or("nobody"))),
        "slow_compute" => {
            link.later()?;
            let seconds = argument("seconds").as_f64().unwrap_or(1.0);
            // Who has to wait for the answer does not wait for a minute.
            let seconds = if link.client().tasks { seconds } else { seconds.min(0.5) };
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            text(format!("computed for {seconds} s"))
        }
        "failing_job" => {
            link.only_later()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut result = text("the job failed");
            result["isError"] = true.into();
            result
        }
        "protocol_error_job" => {
            link.later()?;
            return Err(Refusal::new(code::INTERNAL, "the job broke").into());
        }
        "confirm_delete" => {
            link.later()?;
            let answer = link.ask(confirmation("confirm")).await?;
            text(format!("deleted: {}", answer["content"]["confirm"]))
        }
        "multi_input" => {
            link.later()?;
            let (one, two) =
                tokio::join!(link.ask(confirmation("first")), link.ask(confirmation("second")));
            text(format!("{} and {}", one?["content"], two?["content"]))
        }
        _ => {
            let answer = link.ask(name_form("user_name", "What is your name?")).await?;
            link.only_later()?;
            text(format!("Hello, {}!", answer["content"]["name"].as_str().unwrap_or("nobody")))
        }
    })
}

fn confirmation(key: &str) -> Question {
    let schema = json!({"type": "object", "properties": {"confirm": {"type": "boolean"}},
                        "required": ["confirm"]});
    form(key, "Are you sure?", &schema)
}
