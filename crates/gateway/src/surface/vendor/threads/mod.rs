//! Anthropic's message threads in front of any model: the conversation stays here, and the caller
//! sends what is new.
//!
//! As with stored responses, what was answered is a context of its own, named by the message's id:
//! going on with it is a fork, which costs a row.

use std::time::Duration;

use axum::response::Response;
use context::{Context, Key, New};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use wire::dialect::Asked;
use wire::prompt::Tool;
use wire::{Code, Fault};

use super::Call;
use super::remember::{self, Extra, Seat, entry};

/// What a caller of threads says in `anthropic-beta`.
const BETA: &str = "message-threads-";
/// What the id of an answer in a thread begins with.
const BEGIN: &str = "msg_";
/// How long a thread is kept after its last use.
const IDLE: Duration = Duration::from_hours(1);

/// What a request says of its thread.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thread {
    /// Begins one with all that was said.
    Create {},
    /// Goes on with one.
    Continue {
        /// The answer that was given last.
        previous_message_id: String,
    },
}

/// Whether a call may be one of a thread: only then its body is looked at for that.
pub(super) fn may_be(call: &Call) -> bool {
    let betas = call.headers.get_all("anthropic-beta").iter();
    betas.filter_map(|value| value.to_str().ok()).any(|value| value.contains(BETA))
}

/// Answers a call that may be one of a thread.
pub(super) async fn answer(call: Call) -> Result<Response, Fault> {
    let mut asked = call.asked()?;
    remember::plain(&mut asked);
    let Some(thread) = thread(&mut asked)? else { return Box::pin(call.answer()).await };
    if call.context().is_some() {
        return Err(wrong("thread", "absent where the conversation is kept in a context")
            .hint("send the thread, or `X-Rapport-Context`"));
    }
    let (seat, messages) = match thread {
        Thread::Create {} => begin(&call, &asked).await?,
        Thread::Continue { previous_message_id } => {
            go_on(&call, &mut asked, &previous_message_id).await?
        }
    };
    let (gate, key) = (call.gate.clone(), seat.key.clone());
    match remember::turn_in(&call, seat, &asked).await {
        Ok(response) => Ok(response),
        Err(fault) => {
            remember::forget(&gate, &key, messages).await;
            Err(fault)
        }
    }
}

/// Reads the field, and takes it out of the prompt: it is ours to act on.
fn thread(asked: &mut Asked) -> Result<Option<Thread>, Fault> {
    let Some(private) = &mut asked.prompt.private else { return Ok(None) };
    let Some(at) = private.fields.iter().position(|field| field.name == "thread") else {
        return Ok(None);
    };
    let raw = private.fields.remove(at).json;
    if raw.get() == "null" {
        return Ok(None);
    }
    serde_json::from_str(raw.get()).map(Some).map_err(|cause| {
        let expected = "`{\"type\": \"create\"}`, or `{\"type\": \"continue\", \
                        \"previous_message_id\": …}`";
        wrong("thread", expected).because(cause)
    })
}

fn wrong(field: &str, expected: &str) -> Fault {
    Fault::new(Code::InvalidInput, format!("`{field}` must be {expected}"))
        .details(json!({"field": field}))
}

/// A fault as the API's own clients know it: they look at its code, and begin anew.
fn refused(kind: Code, code: &str, text: String) -> Fault {
    Fault::new(kind, text)
        .hint("send the whole conversation with `thread.type` `create`")
        .details(json!({"field": "thread.previous_message_id", "error_code": code}))
}

/// Makes the context of a new thread.
async fn begin(call: &Call, asked: &Asked) -> Result<(Seat, u64), Fault> {
    let mut new = new(asked);
    new.system.clone_from(&asked.prompt.system);
    new.metadata.insert("kind".to_owned(), "thread".into());
    new.metadata.insert("tools".to_owned(), tools_text(&asked.prompt.tools).into());
    let made = call.gate.contexts().create(call.caller.tenant, new).await?;
    seat(call, &made)
}

/// Makes the context that goes on with an answer.
async fn go_on(call: &Call, asked: &mut Asked, id: &str) -> Result<(Seat, u64), Fault> {
    let given =
        [("system", asked.prompt.system.is_some()), ("tools", !asked.prompt.tools.is_empty())];
    if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        return Err(wrong(field, "absent where a thread goes on")
            .hint("the thread keeps what it was created with"));
    }
    let shown: String = id.chars().take(100).collect();
    let unknown = || {
        let text = format!("there is no thread with message `{}`", shown.escape_default());
        refused(Code::NotFound, "thread_not_found", text)
    };
    if !id.starts_with(BEGIN) {
        return Err(unknown());
    }
    let contexts = call.gate.contexts();
    let key = Key::new(call.caller.tenant, id).map_err(|_no_key| unknown())?;
    let is_gone = |code| matches!(code, Code::ContextNotFound | Code::ContextExpired);
    let gone = |fault: Fault| if is_gone(fault.code()) { unknown() } else { fault };
    let found = contexts.get(&key).await.map_err(gone)?;
    if found.open_turn.is_some() {
        let text = format!("message `{shown}` is still being written");
        return Err(refused(Code::InvalidInput, "thread_continue_in_flight", text));
    }
    if found.metadata.get("kind").and_then(Value::as_str) != Some("thread") {
        return Err(unknown());
    }
    asked.prompt.tools = tools(&found.metadata, call)?;
    let made = contexts.fork(&key, None, new(asked)).await.map_err(gone)?;
    seat(call, &made)
}

/// A context with everything that was said before the last message.
fn new(asked: &Asked) -> New {
    let earlier = asked.prompt.messages.split_last().map_or(&[][..], |(_, earlier)| earlier);
    New {
        id: Some(format!("{BEGIN}{}", uuid::Uuid::now_v7().simple())),
        messages: earlier.iter().map(entry).collect(),
        idle_for: Some(IDLE),
        ..New::default()
    }
}

fn seat(call: &Call, made: &Context) -> Result<(Seat, u64), Fault> {
    let key = Key::new(call.caller.tenant, &made.id)?;
    let extra = Extra { name: made.id.to_string(), ..Extra::default() };
    Ok((Seat { key, extra }, made.size.messages))
}

/// Tools as they came, in one text: metadata of objects would be merged when it is inherited.
fn tools_text(tools: &[Tool]) -> String {
    let raws = tools.iter().filter_map(|tool| tool.raw.as_ref()).map(|raw| raw.json.get());
    format!("[{}]", raws.collect::<Vec<_>>().join(","))
}

/// The tools that a thread was created with.
fn tools(metadata: &Map<String, Value>, call: &Call) -> Result<Vec<Tool>, Fault> {
    let text = metadata.get("tools").and_then(Value::as_str).unwrap_or("[]");
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|cause| Fault::internal("the tools of a thread are unreadable").because(cause))?;
    let body = format!(
        r#"{{"model":"none","messages":[{{"role":"user","content":"none"}}],"tools":{raw}}}"#
    );
    Ok(call.dialect.request(&body.into())?.prompt.tools)
}
