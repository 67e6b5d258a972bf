//! A model call that is a turn of a context: the caller sends the new message, we send the rest.

use axum::response::Response;
use context::{Content, Entry, Key, Turn};
use http::header::{HeaderName, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc;
use wire::dialect::Asked;
use wire::event::Event;
use wire::prompt::{Message, Role};
use wire::reply::{Reply, Stop, Usage};
use wire::{Code, Fault};

use super::Call;
use super::answer::{self, Ending};
use crate::flow::{self, Ask, Overrides, STEPS_MAX, Step};
use crate::model::Door;
use crate::surface::door::Touched;
use crate::surface::native::read;

/// Runs the call as a turn of the context with this id, which is made on first use.
pub(super) async fn turn(call: Call, id: &str) -> Result<Response, Fault> {
    turn_named(call, id, None).await
}

/// As [`turn`]; the answer gets this id.
pub(super) async fn turn_named(
    call: Call,
    id: &str,
    name: Option<String>,
) -> Result<Response, Fault> {
    let asked = call.dialect.request(&call.bytes)?;
    let (streamed, wants_usage) = (asked.stream || call.streams(), asked.wants_usage);
    let asked_echo = asked.echo.clone();
    let ask = ask(&call, id, asked)?;
    let key = ask.key.clone();
    let mut shown = answer::shown(&call, wants_usage);
    shown.echo = asked_echo;
    shown.id = name.unwrap_or_default();
    let gate = call.gate.clone();
    let mut response = if streamed {
        let (steps, mut came) = mpsc::channel(STEPS_MAX);
        let (events, out) = mpsc::channel(STEPS_MAX);
        let ending: Ending = Box::pin(async move {
            let forward = async move {
                while let Some(step) = came.recv().await {
                    let event = match step {
                        Step::Event(event) => event,
                        Step::Start { model, .. } => {
                            Event::Start { id: String::new(), model, usage: Usage::default() }
                        }
                    };
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            };
            let (answered, ()) = tokio::join!(flow::turn(&gate, ask, Some(steps)), forward);
            answered.map(|answered| reply_of(&answered.turn))
        });
        answer::stream((call.dialect, false), call.dialect.writer(&shown), (ending, out)).await?
    } else {
        let answered = flow::turn(&gate, ask, None).await?;
        answer::whole(call.dialect.reply(&reply_of(&answered.turn), &shown))
    };
    if let Ok(value) = HeaderValue::from_str(&key.id) {
        response.headers_mut().insert(HeaderName::from_static("x-rapport-context"), value);
    }
    response.extensions_mut().insert(Touched(key.id));
    Ok(response)
}

fn ask(call: &Call, id: &str, mut asked: Asked) -> Result<Ask, Fault> {
    let says = |message: &Message| matches!(message.role, Role::User | Role::Tool);
    let last = asked.prompt.messages.pop().filter(says);
    let Some(last) = last else {
        return Err(Fault::new(Code::InvalidInput, "the last message must not be the model's")
            .hint("with a context only the new message is sent; the rest is kept here")
            .details(serde_json::json!({"field": "messages"})));
    };
    let idem = read::idem(&call.headers, None, &format!("model/{id}"), &call.bytes)?;
    Ok(Ask {
        key: Key::new(call.caller.tenant, id)?,
        create: true,
        content: match last.raw {
            Some(raw) => Content::Raw(raw),
            None => Content::Text(last.plain()),
        },
        state: None,
        remember_last: false,
        door: Door::Context,
        overrides: Overrides {
            model: call.head.model.clone(),
            system: asked.prompt.system,
            tools: asked.prompt.tools,
            knobs: asked.prompt.knobs,
            window: None,
        },
        idem,
        expect: read::expected(&call.headers)?,
    })
}

/// The stored reply as a model's reply.
fn reply_of(turn: &Turn) -> Reply {
    reply_of_entry(&turn.message, format!("msg_{}_{}", turn.context, turn.number))
}

/// A stored message as a model's reply; `id` is for one whose provider gave it none.
pub(super) fn reply_of_entry(entry: &Entry, id: String) -> Reply {
    let meta = &entry.meta;
    let text = |name: &str| meta.get(name).and_then(Value::as_str).unwrap_or_default();
    let count = |name: &str| {
        meta.get("usage").and_then(|u| u.get(name)).and_then(Value::as_u64).unwrap_or(0)
    };
    let message = match &entry.content {
        Content::Text(text) => Message::text(Role::Assistant, text.clone()),
        Content::Raw(raw) => wire::dialect::named(&raw.dialect)
            .and_then(|dialect| dialect.message(Role::Assistant, raw.clone()).ok())
            .unwrap_or_else(|| Message::text(Role::Assistant, flow::plain(&entry.content))),
    };
    let id = match text("upstream_id") {
        "" => id,
        own => own.to_owned(),
    };
    Reply {
        id,
        model: entry.model.clone().unwrap_or_default(),
        message,
        stop: stop_of(text("stop_reason")),
        usage: Usage {
            input: count("input_tokens"),
            output: count("output_tokens"),
            cache_read: count("cache_read_tokens"),
            cache_write: count("cache_write_tokens"),
            thinking: count("thinking_tokens"),
        },
    }
}

fn stop_of(text: &str) -> Stop {
    match text {
        "end_turn" | "" => Stop::End,
        "max_tokens" => Stop::MaxTokens,
        "stop_sequence" => Stop::Sequence,
        "tool_use" => Stop::ToolUse,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::Pause,
        "model_context_window_exceeded" => Stop::Window,
        other => Stop::Other(other.to_owned()),
    }
}
