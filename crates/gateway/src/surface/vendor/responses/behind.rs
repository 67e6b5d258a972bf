//! Responses that are made in the background: begun, listened to, stopped.
//!
//! The question is on the disk before the caller is told the id. From then on the response does not
//! depend on anybody: it is made to its end, or it is `failed` after a restart.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use context::{EntryStatus, Key, NewEntry, Slice, WhenBusy};
use futures_util::StreamExt as _;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use wire::dialect::Asked;
use wire::event::Event;
use wire::frame::sse;
use wire::prompt::Role;
use wire::{Code, Fault};

use super::Seat;
use super::live::{Heard, Live};
use super::stored::{self, Stored};
use crate::gate::Gateway;
use crate::surface::vendor::{Call, answer, remember};

/// How often it is looked whether a question has been stored.
const LOOK: Duration = Duration::from_millis(5);
/// A stream that is silent for so long gets a comment, so that nobody between closes it.
const QUIET: Duration = Duration::from_secs(15);
/// Limit: messages that one response adds to a conversation.
const ADDED_MAX: u32 = 500;
/// Limit: how long a cancelled response may take to end.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The conversation that a response is added to when it is there.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// The conversation.
    pub(super) key: Key,
    /// The last entry that the response has from it.
    pub(super) shared: u32,
}

/// Begins a response, and answers as soon as its question is stored.
pub(super) async fn start(
    call: Call,
    (seat, messages): (Seat, u64),
    (mut asked, home): (Asked, Option<Home>),
) -> Result<Response, Fault> {
    let (gate, key, streams) = (call.gate.clone(), seat.key.clone(), call.streams());
    let live = gate.lives().begin(&key);
    let (refuse, refusal) = oneshot::channel();
    asked.stream = true;
    let context = home.as_ref().map_or_else(|| key.id.clone(), |home| home.key.id.clone());
    let task = make((call, seat, asked), (messages, home), Arc::clone(&live), refuse);
    gate.tasks().spawn("background response", task);
    begun(&gate, &key, messages, refusal).await?;
    let mut response = if streams {
        heard(&gate, &key, live, 0)?
    } else {
        let mut found = stored::read(&gate, &key).await?;
        if found.is_open
            && let Some(object) = found.value.as_object_mut()
        {
            object.insert("status".to_owned(), "queued".into());
        }
        axum::Json(found.value).into_response()
    };
    if let Ok(value) = HeaderValue::from_str(&context) {
        response.headers_mut().insert(HeaderName::from_static("x-rapport-context"), value);
    }
    Ok(response)
}

/// Makes a response, whoever listens.
async fn make(
    (call, seat, asked): (Call, Seat, Asked),
    (messages, home): (u64, Option<Home>),
    live: Arc<Live>,
    refuse: oneshot::Sender<Fault>,
) {
    let (gate, key) = (call.gate.clone(), seat.key.clone());
    match remember::turn_in(&call, seat, &asked).await {
        Ok(response) => {
            let mut body = response.into_body().into_data_stream();
            // The end is told when the conversation has it too: who hears it may ask there at once.
            let mut last: Option<Bytes> = None;
            while let Some(Ok(bytes)) = body.next().await {
                if let Some(bytes) = last.replace(bytes) {
                    live.push(&bytes);
                }
            }
            if let Some(home) = &home
                && let Err(fault) = add(&gate, home, &key).await
            {
                let (response, conversation) = (&key.id, &home.key.id);
                tracing::warn!(%response, %conversation, "not added: {}", fault.chain());
            }
            if let Some(bytes) = last {
                live.push(&bytes);
            }
        }
        Err(fault) => {
            let found = gate.contexts().get(&key).await;
            if found.is_ok_and(|found| found.size.messages > messages) {
                let mut shown = answer::shown(&call, true);
                shown.id = key.id.to_string();
                let mut out = Vec::new();
                call.dialect.writer(&shown).write(&Event::Fault(fault), &mut out);
                live.push(&out);
            } else {
                remember::forget(&gate, &key, messages).await;
                // Who began it may have left by now.
                let _told = refuse.send(fault);
            }
        }
    }
    gate.lives().end(&key, &live);
}

/// Adds what was asked and answered to the conversation, if there is an answer.
async fn add(gate: &Gateway, home: &Home, key: &Key) -> Result<(), Fault> {
    let slice = Slice { after: Some(home.shared), limit: ADDED_MAX, ..Slice::default() };
    let entries = gate.contexts().messages(key, slice).await?.items;
    let is_whole = entries.last().is_some_and(|entry| {
        entry.role == Role::Assistant && entry.status == EntryStatus::Complete
    });
    if !is_whole {
        return Ok(());
    }
    let new = entries.into_iter().map(|entry| NewEntry {
        role: entry.role,
        content: entry.content,
        model: entry.model,
        meta: entry.meta,
    });
    let wait = gate.now().settings.limits.queue;
    let place = gate.desk().sit(&home.key, WhenBusy::Queue, wait).await?;
    gate.contexts().append(&home.key, new.collect(), None, None).await?;
    drop(place);
    Ok(())
}

/// Waits for what comes with the end of a response, for those who poll.
pub(super) async fn settled(gate: &Gateway, key: &Key, found: &Stored) {
    if found.background
        && !found.is_open
        && let Some(live) = gate.lives().find(key)
    {
        let ended = tokio::time::timeout(STOP_MAX, live.ended()).await;
        if ended.is_err() {
            tracing::warn!(response = %key.id, "a response has an answer and does not end");
        }
    }
}

/// Waits until the question is stored, or the call is refused.
async fn begun(
    gate: &Gateway,
    key: &Key,
    messages: u64,
    mut refusal: oneshot::Receiver<Fault>,
) -> Result<(), Fault> {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            refused = &mut refusal => return refused.map_or(Ok(()), Err),
            _ = looks.tick() => {
                let found = gate.contexts().get(key).await;
                if found.is_ok_and(|found| found.size.messages > messages) {
                    return Ok(());
                }
            }
        }
    }
}

/// The events of a response after one of them: as they come, or as they would have come.
pub(super) fn listen(
    gate: &Gateway,
    key: &Key,
    found: &Stored,
    after: Option<u64>,
) -> Result<Response, Fault> {
    if let Some(live) = gate.lives().find(key) {
        let first = after.map_or(0, |number| number.saturating_add(1));
        return heard(gate, key, live, first);
    }
    if found.is_open {
        return Err(Fault::new(Code::Conflict, format!("response `{}` is being made", key.id))
            .hint("ask for it without `stream`, or create it with `background`"));
    }
    Ok(answer::events(stored::dialect()?, Body::from(told(found, after))))
}

/// The events of a response that is stored: all of them, or the last one alone, which says it all,
/// where the pieces that a caller has are not known any more.
fn told(found: &Stored, after: Option<u64>) -> Vec<u8> {
    if let (Some(reply), None, Ok(dialect)) = (&found.reply, after, stored::dialect()) {
        return answer::played(dialect, reply, &found.shown);
    }
    let status = found.value.get("status").and_then(Value::as_str).unwrap_or_default();
    let kind = match status {
        "completed" => "response.completed",
        "incomplete" => "response.incomplete",
        _ => "response.failed",
    };
    let number = after.map_or(0, |number| number.saturating_add(1));
    let event = json!({"type": kind, "sequence_number": number, "response": found.value});
    sse::encode(Some(kind), None, &event.to_string()).to_vec()
}

/// A stream of the events from this number on.
fn heard(gate: &Gateway, key: &Key, live: Arc<Live>, first: u64) -> Result<Response, Fault> {
    let from = Some((gate.clone(), key.clone(), live, first));
    let body = futures_util::stream::unfold(from, |state| async move {
        let (gate, key, live, number) = state?;
        let bytes = match tokio::time::timeout(QUIET, live.hear(number)).await {
            Err(_) => sse::comment("ping"),
            Ok(Heard::Event(event)) => {
                let next = Some((gate, key, live, number.saturating_add(1)));
                return Some((Ok::<Bytes, Infallible>(event), next));
            }
            Ok(Heard::End) => return None,
            Ok(Heard::Lost) => {
                let found = stored::read(&gate, &key).await.ok()?;
                return Some((Ok(told(&found, number.checked_sub(1)).into()), None));
            }
        };
        Some((Ok(bytes), Some((gate, key, live, number))))
    });
    Ok(answer::events(stored::dialect()?, Body::from_stream(body)))
}

/// Stops a response; one that is over stays as it is.
pub(super) async fn cancel(gate: &Gateway, key: &Key) -> Result<Stored, Fault> {
    let found = stored::read(gate, key).await?;
    if !found.background {
        return Err(Fault::new(Code::InvalidInput, "only a background response can be cancelled")
            .hint(
                "a response that is streamed to you is yours to finish; `background: true` \
                   makes one that can be cancelled",
            ));
    }
    if !found.is_open {
        return Ok(found);
    }
    let _running = gate.desk().stop(key);
    if let Some(live) = gate.lives().find(key) {
        tokio::time::timeout(STOP_MAX, live.ended()).await.map_err(|late| {
            Fault::new(Code::Timeout, format!("response `{}` does not end", key.id)).because(late)
        })?;
    }
    stored::read(gate, key).await
}
