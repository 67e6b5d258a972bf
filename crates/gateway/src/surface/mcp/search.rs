//! Two tools that stand for many: one finds tools by words, the other runs what was found. A model
//! that is shown hundreds of definitions reads them all before every answer.

use std::cmp::Reverse;

use mcp::rpc::Refusal;
use mcp::server::{Ask, Stop};
use serde_json::{Map, Value, json};

use super::joined::{run, sees, text as told, worded};
use super::schema::{count, input, object, text};
use super::{Who, no_tool};
use crate::joined::Merged;

const FIND: &str = "tool_search";
const RUN: &str = "tool_call";
/// Limit: tools of one answer.
const FOUND_MAX: u64 = 50;

/// Whether this is one of the two.
pub(super) fn is(name: &str) -> bool {
    name == FIND || name == RUN
}

/// The two, as `tools/list` shows them.
pub(super) fn definitions(count_of_tools: usize) -> Vec<Value> {
    let find = format!(
        "Finds tools among {count_of_tools} by words of their names and descriptions. Use it \
         before saying that something cannot be done; {RUN} runs what it finds."
    );
    let query = text("query", "What the tool should do, in a few words").needed();
    let limit = count("limit", 1, "At most so many, 8 if absent, 50 at most");
    let name = text("name", "The tool's name, as tool_search gives it").needed();
    let arguments = object("arguments", "Its arguments, as its inputSchema says");
    vec![
        json!({"name": FIND, "title": "Find tools", "description": find,
               "inputSchema": input(vec![query, limit]),
               "annotations": {"title": "Find tools", "readOnlyHint": true,
                               "openWorldHint": false}}),
        json!({"name": RUN, "title": "Run a tool",
               "description": "Runs a tool that tool_search found.",
               "inputSchema": input(vec![name, arguments]),
               "annotations": {"title": "Run a tool", "readOnlyHint": false,
                               "destructiveHint": true, "openWorldHint": true}}),
    ]
}

/// Runs one of the two.
pub(super) async fn call(
    ask: &Ask<Who>,
    merged: &Merged,
    name: &str,
    params: &Map<String, Value>,
) -> Option<Result<Value, Stop>> {
    let empty = Map::new();
    let given = params.get("arguments").and_then(Value::as_object).unwrap_or(&empty);
    let field = |name: &str| given.get(name).and_then(Value::as_str);
    if name == FIND {
        let Some(query) = field("query") else {
            return Some(Err(Refusal::params("`query` is required").into()));
        };
        let limit = given.get("limit").map_or(Some(8), Value::as_u64);
        let Some(limit) = limit.filter(|limit| (1..=FOUND_MAX).contains(limit)) else {
            let text = format!("`limit` must be a number from 1 to {FOUND_MAX}");
            return Some(Err(Refusal::params(text).into()));
        };
        let seen = merged.tools.iter().filter(|offer| sees(&ask.caller, offer));
        let seen = seen.map(|offer| worded(&ask.caller, Value::clone(&offer.definition)));
        let found = found(seen.collect(), query, usize::try_from(limit).unwrap_or(8));
        let value = json!({"tools": found});
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        return Some(Ok(told(&text, &value)));
    }
    let Some(wanted) = field("name") else {
        return Some(Err(Refusal::params("`name` is required").into()));
    };
    let Some(offer) = merged.tool(wanted).filter(|offer| sees(&ask.caller, offer)) else {
        return Some(Err(no_tool(wanted).into()));
    };
    let mut params = params.clone();
    let arguments = given.get("arguments").cloned().unwrap_or_else(|| json!({}));
    params.insert("arguments".to_owned(), arguments);
    Some(run(ask, offer, &params).await)
}

/// The tools that fit the words best: a word in the name counts more than one in the description.
fn found(tools: Vec<Value>, query: &str, limit: usize) -> Vec<Value> {
    let query = query.to_lowercase();
    let words: Vec<&str> =
        query.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 1).collect();
    let mut scored: Vec<(usize, Value)> = tools
        .into_iter()
        .filter_map(|tool| {
            let text = |field: &str| tool.get(field).and_then(Value::as_str);
            let name = text("name").unwrap_or_default().to_lowercase();
            let about = format!(
                "{} {}",
                text("title").unwrap_or_default(),
                text("description").unwrap_or_default()
            );
            let about = about.to_lowercase();
            let score = |word: &&str| {
                3 * usize::from(name.contains(*word)) + usize::from(about.contains(*word))
            };
            let score: usize = words.iter().map(score).sum();
            (score > 0 || words.is_empty()).then_some((score, tool))
        })
        .collect();
    // A stable order: the best first, else as they are listed.
    scored.sort_by_key(|(score, _)| Reverse(*score));
    scored.into_iter().take(limit).map(|(_, tool)| tool).collect()
}
