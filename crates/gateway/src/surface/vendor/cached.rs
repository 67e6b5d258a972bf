//! Answers from memory, before anything is routed: hits, waiting for the same question, keeping.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::StatusCode;
use http::header::{AGE, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::time::Instant;
use wire::dialect::Dialect;
use wire::event::Event;
use wire::prompt::{Block, Message, Role};
use wire::{Code, Fault};

use super::Call;
use crate::cache::{self, CacheMode, Kept, Lead, Name, Question, Seat};
use crate::gate::Snapshot;

/// Says whether the answer came from memory: `hit`, `similar`, `miss` or `bypass`; in a request
/// `on`, `off` or `refresh`.
const HEADER: HeaderName = HeaderName::from_static("x-rapport-cache");
/// How alike the question was that was answered before, 0 to 1.
const ALIKE: HeaderName = HeaderName::from_static("x-rapport-cache-similarity");
/// Headers that are kept with an answer.
const KEPT: &[&str] = &[
    "content-type",
    "x-rapport-provider",
    "x-rapport-model",
    "x-rapport-route",
    "x-rapport-dropped",
];

/// What the caller wants of the cache.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// Nothing was said.
    Default,
    On,
    Off,
    /// Ask anew, and keep the new answer.
    Refresh,
}

/// A question that may be answered from memory, and how its answer is kept.
struct Keeper {
    snapshot: Arc<Snapshot>,
    name: Name,
    question: Option<Question>,
    dialect: &'static dyn Dialect,
    streamed: bool,
    lead: Option<Lead>,
}

/// Answers a stateless call: from memory where that is wanted and possible.
pub(super) async fn answer(call: Call) -> Result<Response, Fault> {
    let wish = wish(&call)?;
    let snapshot = call.gate.now();
    let Some(mut keeper) = keeper(&call, wish, snapshot) else {
        let asked_for = wish == Wish::On || wish == Wish::Refresh;
        let mut response = call.ask().await?;
        if asked_for {
            response.headers_mut().insert(HEADER, HeaderValue::from_static("bypass"));
        }
        return Ok(response);
    };
    if wish != Wish::Refresh {
        if let Some(response) = keeper.find(&call) {
            return Ok(response);
        }
        match keeper.snapshot.cache.sit(keeper.name) {
            Seat::Lead(lead) => keeper.lead = Some(lead),
            Seat::Wait(mut done) => {
                // The end of the wait is that its sender is gone.
                while done.changed().await.is_ok() {}
                if let Some(response) = keeper.find(&call) {
                    return Ok(response);
                }
            }
        }
    }
    call.gate.metrics().cache("miss");
    let mut response = call.ask().await?;
    response.headers_mut().insert(HEADER, HeaderValue::from_static("miss"));
    Ok(keeper.keep(response))
}

/// What the request says about the cache.
fn wish(call: &Call) -> Result<Wish, Fault> {
    if let Some(value) = call.headers.get(&HEADER) {
        let value = value.to_str().unwrap_or("?");
        return match value.trim() {
            "on" => Ok(Wish::On),
            "off" => Ok(Wish::Off),
            "refresh" => Ok(Wish::Refresh),
            other => Err(Fault::new(
                Code::InvalidInput,
                format!("`x-rapport-cache` cannot be `{}`", other.escape_default()),
            )
            .hint("write `on`, `off` or `refresh`")
            .details(serde_json::json!({"field": "x-rapport-cache"}))),
        };
    }
    let control = call.headers.get(CACHE_CONTROL).and_then(|v| v.to_str().ok()).unwrap_or("");
    Ok(match control {
        text if text.contains("no-store") => Wish::Off,
        text if text.contains("no-cache") => Wish::Refresh,
        _ => Wish::Default,
    })
}

fn keeper(call: &Call, wish: Wish, snapshot: Arc<Snapshot>) -> Option<Keeper> {
    let settings = &snapshot.settings.cache;
    let wanted = match (settings.exact, wish) {
        (CacheMode::Off, _) | (_, Wish::Off) | (CacheMode::Ask, Wish::Default) => false,
        (_, Wish::On | Wish::Refresh) | (CacheMode::All, Wish::Default) => true,
        (CacheMode::Deterministic, Wish::Default) => cache::is_deterministic(&call.bytes),
    };
    if !wanted {
        return None;
    }
    let streamed = call.streams();
    // An answer by a model that a key may not use must not come from memory either.
    let tenant = format!("{} {}", call.caller.tenant.0, call.caller.models.told());
    let header = |name: &str| call.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
    let about = [
        tenant.as_str(),
        call.dialect.name(),
        call.head.model.as_deref().unwrap_or(""),
        header("anthropic-version"),
        header("anthropic-beta"),
        header("openai-beta"),
        header("x-rapport-provider"),
        // An API may have streams of several forms.
        if streamed { call.dialect.stream_type() } else { "whole" },
    ];
    let name = cache::name(&about, &call.bytes)?;
    let question = settings.similar.then(|| question(call, &about)).flatten();
    Some(Keeper { name, question, dialect: call.dialect, streamed, lead: None, snapshot })
}

/// The question as one of many wordings; `None` where another wording's answer would not be safe:
/// with tools, with anything but text, or when the last message is not the user's.
fn question(call: &Call, about: &[&str]) -> Option<Question> {
    let mut prompt = call.asked().ok()?.prompt;
    let last = prompt.messages.last_mut()?;
    let is_text = last.blocks.iter().all(|block| matches!(block, Block::Text(_)));
    if last.role != Role::User || !is_text || !prompt.tools.is_empty() {
        return None;
    }
    let text = last.plain();
    *last = Message::text(Role::User, "");
    let frame = cache::name(about, &call.dialect.write(&prompt, false))?;
    Question::new(frame, &text)
}

impl Keeper {
    fn find(&self, call: &Call) -> Option<Response> {
        if let Some(kept) = self.snapshot.cache.find(&self.name) {
            call.gate.metrics().cache("hit");
            return Some(replay(&kept, HeaderValue::from_static("hit")));
        }
        let (kept, alike) = self.snapshot.cache.find_near(self.question.as_ref()?)?;
        call.gate.metrics().cache("similar");
        let mut response = replay(&kept, HeaderValue::from_static("similar"));
        if let Ok(value) = HeaderValue::from_str(&format!("{alike:.3}")) {
            response.headers_mut().insert(ALIKE, value);
        }
        Some(response)
    }

    /// Lets the answer through and keeps what went by, if it was whole and good.
    fn keep(self, response: Response) -> Response {
        if response.status() != StatusCode::OK {
            return response;
        }
        let (head, body) = response.into_parts();
        let headers = KEPT
            .iter()
            .filter_map(|name| {
                let name = HeaderName::from_static(name);
                head.headers.get(&name).map(|value| (name, value.clone()))
            })
            .collect();
        let length = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|length| length.trim().parse().ok());
        let tee = Tee { keeper: Some(self), headers, seen: Some(Vec::new()), length };
        let body = futures_util::stream::unfold(
            (body.into_data_stream(), tee),
            |(mut body, mut tee)| async move {
                match body.next().await {
                    Some(Ok(bytes)) => {
                        tee.take(&bytes);
                        Some((Ok::<Bytes, axum::Error>(bytes), (body, tee)))
                    }
                    Some(Err(broken)) => {
                        tee.seen = None;
                        Some((Err(broken), (body, tee)))
                    }
                    None => {
                        tee.end();
                        None
                    }
                }
            },
        );
        Response::from_parts(head, Body::from_stream(body))
    }

    /// Whether these bytes are a finished answer.
    fn is_whole(&self, body: &[u8]) -> bool {
        if !self.streamed {
            return self.dialect.read(body).is_ok();
        }
        let mut reader = self.dialect.stream();
        let mut events = Vec::new();
        reader.push(body, &mut events);
        matches!(events.last(), Some(Event::Done(_)))
    }
}

/// What goes by on its way to the caller.
struct Tee {
    /// Nobody after the end.
    keeper: Option<Keeper>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// `None` once it is clear that nothing will be kept.
    seen: Option<Vec<u8>>,
    /// How long the answer says it is.
    length: Option<usize>,
}

impl Drop for Tee {
    fn drop(&mut self) {
        // Who writes a body of known length asks for no more after its last byte.
        let seen = self.seen.as_ref().map(Vec::len);
        if seen.is_some() && seen == self.length {
            self.end();
        }
    }
}

impl Tee {
    fn take(&mut self, bytes: &[u8]) {
        let Some(keeper) = &self.keeper else { return };
        let limit = keeper.snapshot.settings.cache.entry_bytes;
        if let Some(seen) = &mut self.seen {
            if seen.len() + bytes.len() <= limit {
                seen.extend_from_slice(bytes);
            } else {
                self.seen = None;
            }
        }
    }

    /// The answer is over: it is kept before the last waiting caller looks for it.
    fn end(&mut self) {
        let (Some(seen), Some(keeper)) = (self.seen.take(), self.keeper.take()) else { return };
        if !keeper.is_whole(&seen) {
            return;
        }
        let headers = std::mem::take(&mut self.headers);
        let kept = Kept { headers: headers.into(), body: seen.into(), at: Instant::now() };
        keeper.snapshot.cache.keep(keeper.name, kept, keeper.question.as_ref());
        drop(keeper.lead);
    }
}

fn replay(kept: &Kept, outcome: HeaderValue) -> Response {
    let mut response = Response::new(Body::from(kept.body.clone()));
    let headers = response.headers_mut();
    for (name, value) in kept.headers.iter() {
        headers.insert(name.clone(), value.clone());
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.insert(AGE, HeaderValue::from(kept.at.elapsed().as_secs()));
    headers.insert(HEADER, outcome);
    response
}
