//! Tasks of joined servers, as their callers ask for them.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use mcp::rpc::Refusal;
use mcp::server::{Ask, Subject};
use serde_json::{Map, Value, json};

use super::Who;
use crate::joined::{Down, Joint, Noted, TaskAsk, no_task, ours, whose};

/// The methods of each era.
const MODERN: &[&str] = &["tasks/get", "tasks/update", "tasks/cancel"];
const LEGACY: &[&str] = &["tasks/get", "tasks/result", "tasks/list", "tasks/cancel"];
/// Tasks on one page of a list.
const PAGE: usize = 50;
/// Limit: servers that are asked at once.
const AT_ONCE: usize = 8;

/// Answers a request about tasks; `only` is the server that is meant, where it is one alone.
pub(super) async fn answer(
    ask: &Ask<Who>,
    only: Option<&Arc<Joint>>,
    (method, params): (&str, &Map<String, Value>),
) -> Result<Value, Refusal> {
    let is_modern = ask.revision.is_modern();
    let known = if is_modern { MODERN } else { LEGACY };
    if !known.contains(&method) {
        return Err(Refusal::method(method));
    }
    if method == "tasks/list" {
        return list(ask, only, params.get("cursor").and_then(Value::as_str)).await;
    }
    let id = params.get("taskId").and_then(Value::as_str);
    let id = id.ok_or_else(|| Refusal::params("`taskId` must be a string"))?;
    let who = &ask.caller;
    let book = who.gate.joined().book();
    let noted = book.find(id, whose(&who.caller)).ok_or_else(|| no_task(id))?;
    let joint = place(who, only, &noted).ok_or_else(|| no_task(id))?;
    let result = about(ask, &joint, &noted).answer(method, params).await?;
    Ok(if only.is_some() { result } else { renamed(result, method, joint.name()) })
}

/// Whether a caller may hear of a task.
pub(super) fn hears(who: &Who, only: Option<&Arc<Joint>>, subject: &Subject) -> bool {
    let Subject::Task(id) = subject else { return false };
    let noted = who.gate.joined().book().find(id, whose(&who.caller));
    noted.is_some_and(|noted| place(who, only, &noted).is_some())
}

/// The server of a task, as long as it is the same one and the caller may see it.
fn place(who: &Who, only: Option<&Arc<Joint>>, noted: &Noted) -> Option<Arc<Joint>> {
    let joint = who.gate.joined().find(&noted.server)?;
    let is_meant = only.is_none_or(|only| only.name() == joint.name());
    let is_same = noted.is_of(&joint.settings.mark());
    (is_meant && is_same && who.seer.sees(&joint)).then_some(joint)
}

fn about<'a>(ask: &'a Ask<Who>, joint: &'a Arc<Joint>, noted: &'a Noted) -> TaskAsk<'a> {
    let (gate, caller) = (&ask.caller.gate, &ask.caller.caller);
    let down = Down { back: Some(&ask.link), modern: ask.revision.is_modern() };
    TaskAsk { gate, joint, noted, caller, down }
}

/// Outcomes whose resources have the names they have here.
fn renamed(mut result: Value, method: &str, server: &str) -> Value {
    if method == "tasks/result" {
        return ours(result, server);
    }
    if let Some(outcome) = result.get_mut("result") {
        *outcome = ours(outcome.take(), server);
    }
    result
}

/// The caller's own tasks, the newest first; what a server does not know any more is left out.
async fn list(
    ask: &Ask<Who>,
    only: Option<&Arc<Joint>>,
    cursor: Option<&str>,
) -> Result<Value, Refusal> {
    let who = &ask.caller;
    let all = who.gate.joined().book().of(whose(&who.caller));
    let seen = all.into_iter().filter_map(|noted| Some((place(who, only, &noted)?, noted)));
    let seen: Vec<(Arc<Joint>, Arc<Noted>)> = seen.collect();
    let begin = match cursor {
        None => 0,
        Some(after) => match seen.iter().position(|(_, noted)| noted.id == after) {
            Some(at) => at + 1,
            None => return Err(Refusal::params("`cursor` is none of this list")),
        },
    };
    let page: Vec<_> = seen.iter().skip(begin).take(PAGE).collect();
    let asked = page.iter().map(|(joint, noted)| async move {
        let none = Map::new();
        about(ask, joint, noted).answer("tasks/get", &none).await.ok()
    });
    let asked: Vec<_> = asked.map(Box::pin).collect();
    let tasks: Vec<Option<Value>> = iter(asked).buffered(AT_ONCE).collect().await;
    let tasks: Vec<Value> = tasks.into_iter().flatten().collect();
    let more = seen.len() > begin + PAGE;
    let next = page.last().filter(|_| more).map(|(_, noted)| noted.id.clone());
    Ok(match next {
        Some(next) => json!({"tasks": tasks, "nextCursor": next}),
        None => json!({"tasks": tasks}),
    })
}
