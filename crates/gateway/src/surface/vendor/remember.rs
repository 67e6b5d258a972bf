//! A model call that is a turn of a context: the caller sends what is new, we send the rest.

use std::sync::{Arc, OnceLock};

use axum::response::Response;
use context::{Content, Entry, Key, New, NewEntry, Plan, Turn};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value};
use tokio::sync::mpsc;
use wire::dialect::{Asked, Shown};
use wire::event::Event;
use wire::prompt::{Message, Prompt, Role};
use wire::reply::{Reply, Stop, Usage};
use wire::{Code, Fault};

use super::answer::{self, Ending};
use super::{Call, history, lost};
use crate::flow::{self, Ask, Envelope, Overrides, STEPS_MAX, Step};
use crate::gate::Gateway;
use crate::model::Door;
use crate::route::Owner;
use crate::surface::door::Touched;
use crate::surface::native::read;

/// The name of no context: which one it is follows from the call itself.
const AUTO: &str = "auto";
/// Fields that Anthropic takes only with a beta in the headers of the caller, which a request that
/// is written anew does not carry.
const OF_BETAS: [&str; 6] =
    ["betas", "billing_policy", "compaction", "context_management", "fallbacks", "mcp_servers"];
/// Limit: how often a call is placed anew because somebody else went on with its context.
const TRIES_MAX: usize = 8;

/// Whose turn a call is.
pub(super) struct Seat {
    /// The context.
    pub(super) key: Key,
    /// What is wanted beside the turn.
    pub(super) extra: Extra,
}

/// What an API wants beside a turn.
#[derive(Clone, Default)]
pub(super) struct Extra {
    /// The id of the answer; the model's own where empty.
    pub(super) name: String,
    /// How much of the conversation is shown, where the call says so.
    pub(super) window: Option<Plan>,
    /// A fork is made at the answer, under its name and with this metadata.
    pub(super) copy: Option<Map<String, Value>>,
}

/// Runs the call as a turn of the context with this id, which is made on first use. A history
/// that comes with it is compared with what is kept.
pub(super) async fn turn(call: Call, id: &str) -> Result<Response, Fault> {
    let asked = call.asked()?;
    Box::pin(turn_with(call, id, asked, Extra::default())).await
}

/// As [`turn`], for a request that was read.
pub(super) async fn turn_with(
    call: Call,
    id: &str,
    mut asked: Asked,
    extra: Extra,
) -> Result<Response, Fault> {
    let key = key(&call, id, &asked.prompt)?;
    lead(&mut asked.prompt);
    plain(&mut asked);
    let expect = read::expected(&call.headers)?;
    let mut may_repeat = call.headers.contains_key("idempotency-key");
    for _ in 0..TRIES_MAX {
        let messages = &asked.prompt.messages;
        must_ask(messages)?;
        let place = history::place(&call.gate, &key, messages, may_repeat).await?;
        let new = messages.get(place.new.clone()).unwrap_or_default();
        let seat = Seat { key: place.key, extra: extra.clone() };
        let expected = place.revision.filter(|_| expect.is_none() || place.is_repeat).or(expect);
        let done = run(&call, seat, (&asked, new), (id, expected)).await;
        let moved = |fault: &Fault| fault.code() == Code::PreconditionFailed;
        match done {
            Err(fault) if moved(&fault) && place.is_repeat => may_repeat = false,
            Err(fault) if moved(&fault) && expect.is_none() && place.revision.is_some() => {}
            done => return done,
        }
    }
    Err(Fault::new(Code::Conflict, format!("context `{}` is gone on with by others", key.id))
        .hint("send the call again, or give each conversation a context of its own"))
}

/// Runs the call as the only turn of a context that holds all that was said before.
pub(super) async fn turn_in(call: &Call, seat: Seat, asked: &Asked) -> Result<Response, Fault> {
    must_ask(&asked.prompt.messages)?;
    let id = seat.key.id.to_string();
    let last = asked.prompt.messages.last().map(std::slice::from_ref).unwrap_or_default();
    let expect = read::expected(&call.headers)?;
    run(call, seat, (asked, last), (&id, expect)).await
}

/// The context of this id; the one that the call itself names for `auto`.
fn key(call: &Call, id: &str, prompt: &Prompt) -> Result<Key, Fault> {
    let tenant = call.caller.tenant;
    if id != AUTO {
        return Key::new(tenant, id);
    }
    Key::new(tenant, &format!("{AUTO}-{}", Owner::of(tenant.0, &call.headers, prompt).hex()))
}

/// Instructions that stand before the conversation are the call's own, like those of dialects
/// that have a field for them: they are not kept.
pub(super) fn lead(prompt: &mut Prompt) {
    let is_system = |message: &&Message| message.role == Role::System;
    let count = prompt.messages.iter().take_while(is_system).count();
    if count == 0 {
        return;
    }
    let texts = prompt.messages.drain(..count).map(|message| message.plain());
    let texts: Vec<String> = prompt.system.take().into_iter().chain(texts).collect();
    prompt.system = Some(texts.join("\n\n")).filter(|text| !text.is_empty());
    prompt.system_raw = None;
}

/// Leaves out what only the caller's own headers would make valid, and takes note of it.
pub(super) fn plain(asked: &mut Asked) {
    let Some(private) = &mut asked.prompt.private else { return };
    if &*private.dialect != "anthropic" {
        return;
    }
    let of_betas = |name: &str| OF_BETAS.contains(&name);
    let lost = private.fields.iter().filter(|field| of_betas(&field.name));
    asked.dropped.extend(lost.map(|field| field.name.clone()));
    private.fields.retain(|field| !of_betas(&field.name));
}

/// Whether there is a question.
pub(super) fn must_ask(messages: &[Message]) -> Result<(), Fault> {
    match messages.last().map(|message| message.role) {
        Some(Role::User | Role::Tool) => Ok(()),
        Some(role) => {
            let text =
                format!("the last message must be the user's, got one of `{}`", role.as_str());
            Err(Fault::new(Code::InvalidInput, text)
                .hint("with a context the new message is sent last; the rest is kept here")
                .details(serde_json::json!({"field": "messages"})))
        }
        None => Err(Fault::new(Code::InvalidInput, "there is no message to answer")
            .hint("send at least the new message")
            .details(serde_json::json!({"field": "messages"}))),
    }
}

/// Runs the turn: what is new, and the call's own settings.
async fn run(
    call: &Call,
    seat: Seat,
    (asked, new): (&Asked, &[Message]),
    (id, expect): (&str, Option<u64>),
) -> Result<Response, Fault> {
    let mut ask = ask(call, (&seat, id), asked, new)?;
    ask.expect = expect;
    let losses = lost::Probe::new(call, asked, new);
    losses.admit(&mut ask.overrides)?;
    let context = Arc::clone(&ask.key.id);
    let mut shown = answer::shown(call, asked.wants_usage);
    shown.echo.clone_from(&asked.echo);
    shown.id.clone_from(&seat.extra.name);
    let (mut response, who) = if asked.stream || call.streams() {
        streamed(call, (ask, seat), &shown).await?
    } else {
        let answered = flow::turn(&call.gate, ask, None).await?;
        copy(&call.gate, &seat, &answered.turn).await?;
        let body = call.dialect.reply(&reply_of(&answered.turn), &shown);
        (answer::whole(body), Some(who(&answered.turn.message)))
    };
    let headers = response.headers_mut();
    if let Some((provider, model)) = who {
        set(headers, "x-rapport-provider", &provider);
        set(headers, "x-rapport-model", &model);
        losses.name(headers, (&provider, &model));
    }
    set(headers, "x-rapport-context", &context);
    response.extensions_mut().insert(Touched(context));
    Ok(response)
}

/// Who wrote a stored reply: its provider and model.
fn who(entry: &Entry) -> (String, String) {
    let text = |name: &str| entry.meta.get(name).and_then(Value::as_str).map(str::to_owned);
    let model = text("model_asked").or_else(|| entry.model.clone());
    (text("provider").unwrap_or_else(|| "offline".to_owned()), model.unwrap_or_default())
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// Streams a turn; who answers is known when it begins.
async fn streamed(
    call: &Call,
    (ask, seat): (Ask, Seat),
    shown: &Shown,
) -> Result<(Response, Option<(String, String)>), Fault> {
    let (steps, mut came) = mpsc::channel(STEPS_MAX);
    let (events, out) = mpsc::channel(STEPS_MAX);
    let begun = Arc::new(OnceLock::new());
    let (gate, noted) = (call.gate.clone(), Arc::clone(&begun));
    let ours = gate.clone();
    let ending: Ending = Box::pin(async move {
        let forward = async move {
            while let Some(step) = came.recv().await {
                let event = match step {
                    Step::Event(event) => event,
                    Step::Start { model, provider, .. } => {
                        // A second start would be another's, after nothing was said.
                        let _first = noted.set((provider, model.clone()));
                        Event::Start { id: String::new(), model, usage: Usage::default() }
                    }
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        };
        let (answered, ()) = tokio::join!(flow::turn(&gate, ask, Some(steps)), forward);
        let turn = answered?.turn;
        copy(&ours, &seat, &turn).await?;
        Ok(reply_of(&turn))
    });
    let writer = call.dialect.writer(shown);
    let response = answer::stream((call.dialect, false), writer, (ending, out)).await?;
    Ok((response, begun.get().cloned()))
}

/// Keeps an answer under its own name too, before anybody is told that it is there.
async fn copy(gate: &Gateway, seat: &Seat, turn: &Turn) -> Result<(), Fault> {
    let Some(metadata) = &seat.extra.copy else { return Ok(()) };
    let new =
        New { id: Some(seat.extra.name.clone()), metadata: metadata.clone(), ..New::default() };
    gate.contexts().fork(&seat.key, Some(turn.message.seq.into()), new).await?;
    Ok(())
}

/// The turn as the flow wants it: the last of the new messages asks, the others come before it.
pub(super) fn ask(
    call: &Call,
    (seat, id): (&Seat, &str),
    asked: &Asked,
    new: &[Message],
) -> Result<Ask, Fault> {
    let Some((last, before)) = new.split_last() else {
        return Err(Fault::internal("a turn without a message"));
    };
    let prompt = &asked.prompt;
    Ok(Ask {
        key: seat.key.clone(),
        create: true,
        before: before.iter().map(entry).collect(),
        content: entry(last).content,
        state: None,
        remember_last: false,
        door: Door::Context,
        overrides: Overrides {
            model: call.head.model.clone(),
            system: prompt.system.clone(),
            tools: prompt.tools.clone(),
            joined: None,
            knobs: prompt.knobs.clone(),
            window: seat.extra.window.clone(),
            private: prompt.private.clone(),
        },
        idem: read::idem(&call.headers, None, &format!("model/{id}"), &call.bytes)?,
        expect: None,
        envelope: Envelope {
            dialect: call.dialect.name(),
            ..Envelope::new(&call.caller, &call.request, &call.headers)
        },
        meta: context::Map::new(),
    })
}

/// Removes a context that was made for a turn whose question was never stored: nobody was told its
/// name.
pub(super) async fn forget(gate: &Gateway, key: &Key, messages: u64) {
    let found = gate.contexts().get(key).await;
    if found.is_ok_and(|found| found.size.messages == messages)
        && let Err(fault) = gate.contexts().delete(key).await
    {
        tracing::warn!(context = %key.id, "an empty context was left: {}", fault.chain());
    }
}

/// A message as it is kept.
pub(super) fn entry(message: &Message) -> NewEntry {
    let content = match &message.raw {
        Some(raw) => Content::Raw(raw.clone()),
        None => Content::Text(message.plain()),
    };
    NewEntry { role: message.role, content, model: None, meta: Map::new() }
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
        confidence: meta.get("confidence").and_then(Value::as_f64),
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
