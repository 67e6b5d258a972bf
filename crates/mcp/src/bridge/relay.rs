//! One message over, and everything that comes back for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::frame::sse::Decoder;

use super::{Bridge, Carried, Carrier, Kind, Lost, Session};
use crate::http::{CARRIES, SESSION, VERSION};
use crate::revision::Revision;
use crate::rpc::{self, Id, Params, Refusal, code};
use crate::tasks;

/// Limit: how long a message waits for a server that is being restarted.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pauses between two tries.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Limit: one event of the server's streams.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Limit: how often a cut stream is taken up again without anything new.
const RESUMES_MAX: u32 = 10;

impl<C: Carrier> Bridge<C> {
    /// Begins a session, and listens to what changes in it.
    pub(super) async fn initialize(self: &Arc<Self>, id: &Id, params: &Params, line: Bytes) {
        if let Some(before) = self.session.lock().take() {
            before.over.cancel();
        }
        match self.begin(&line).await {
            Ok(answer) => {
                let listening = self.session.lock().clone();
                self.say(answer).await;
                if let Some(session) = listening {
                    self.listen(session);
                }
            }
            Err(lost) => {
                let version = params.text("protocolVersion").unwrap_or_default();
                tracing::warn!(version, "initialize failed: {}", lost.why);
                self.lost.store(true, Ordering::Relaxed);
                self.say(rpc::error(Some(id), &gone(&lost))).await;
            }
        }
    }

    /// Sends `initialize` and notes the session; the answer's line.
    async fn begin(&self, line: &Bytes) -> Result<String, Lost> {
        let answer = self.patiently((Method::POST, true), HeaderMap::new(), line.clone()).await?;
        let session = answer.headers().get(SESSION).and_then(|v| v.to_str().ok());
        let session = session.map(ToOwned::to_owned);
        let body = whole(answer).await?;
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let version = value.get("result").and_then(|r| r.get("protocolVersion"));
        if let Some(version) = version.and_then(Value::as_str) {
            *self.session.lock() = Some(Session {
                id: session,
                version: version.to_owned(),
                initialize: line.clone(),
                over: self.gone.child_token(),
            });
        }
        Ok(one_line(&body))
    }

    /// Carries a message over and what comes back for it, until it is answered.
    pub(super) async fn carry(self: &Arc<Self>, id: Option<&Id>, line: Bytes, kind: Kind) {
        let headers = || match &kind {
            Kind::Modern(method, params) => modern_headers(method, params),
            Kind::Harmless | Kind::Once => self.session_headers(),
        };
        let again = kind.is_repeatable();
        let of_session = !matches!(kind, Kind::Modern(..));
        let mut answer = self.patiently((Method::POST, again), headers(), line.clone()).await;
        let status = answer.as_ref().map(Carried::status);
        let ended = of_session && status.is_ok_and(|s| s == StatusCode::NOT_FOUND);
        if ended && self.begin_again().await {
            answer = self.patiently((Method::POST, again), headers(), line).await;
        }
        let outcome = match answer {
            Ok(answer) => self.pass_on(id, answer, of_session).await,
            Err(lost) => Err(lost),
        };
        if let (Err(lost), Some(id)) = (outcome, id) {
            self.lost.store(true, Ordering::Relaxed);
            self.say(rpc::error(Some(id), &gone(&lost))).await;
        }
    }

    /// The server has forgotten the session: begins one like it, unseen by the client.
    async fn begin_again(self: &Arc<Self>) -> bool {
        let Some(before) = self.session.lock().clone() else { return false };
        if self.begin(&before.initialize).await.is_err() {
            return false;
        }
        before.over.cancel();
        let noted = Bytes::from(rpc::notification("notifications/initialized", &json!({})));
        let told = self.patiently((Method::POST, true), self.session_headers(), noted).await;
        if let Some(session) = self.session.lock().clone() {
            self.listen(session);
        }
        told.is_ok()
    }

    /// Sends what the server has not seen until it has; with `again` also what it may have seen.
    async fn patiently(
        &self,
        (method, again): (Method, bool),
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<Carried, Lost> {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let both = HeaderValue::from_static("application/json, text/event-stream");
        headers.entry(ACCEPT).or_insert(both);
        let until = Instant::now() + PATIENCE;
        let mut pause = PAUSE_FIRST;
        loop {
            let outcome = self.carrier.carry(method.clone(), headers.clone(), body.clone()).await;
            if outcome.is_err()
                && let Some(why) = self.carrier.hopeless()
            {
                return Err(Lost { why, unsent: true });
            }
            match outcome {
                Err(lost) if (lost.unsent || again) && Instant::now() + pause < until => {
                    tracing::debug!("the server is not there: {}", lost.why);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                outcome => {
                    self.reached.fetch_or(outcome.is_ok(), Ordering::Relaxed);
                    return outcome;
                }
            }
        }
    }

    /// Passes an answer on, line by line.
    async fn pass_on(
        self: &Arc<Self>,
        id: Option<&Id>,
        answer: Carried,
        resumes: bool,
    ) -> Result<(), Lost> {
        if !is_stream(&answer) {
            let status = answer.status();
            let body = whole(answer).await?;
            if body.trim_ascii().is_empty() {
                return match id {
                    Some(_) if !status.is_success() => Err(Lost {
                        why: format!("the server answered {status} without a word"),
                        unsent: false,
                    }),
                    _ => Ok(()),
                };
            }
            if serde_json::from_slice::<Value>(&body).is_ok_and(|v| v.get("jsonrpc").is_none()) {
                // A problem of ours, from before the protocol.
                return Err(Lost { why: one_line(&body), unsent: false });
            }
            self.say(named(&body, id).unwrap_or_else(|| one_line(&body))).await;
            return Ok(());
        }
        let mut at = Place::default();
        let mut stream = Some(answer);
        for _ in 0..RESUMES_MAX {
            if let Some(answer) = stream.take() {
                self.events(answer, id, &mut at).await;
            }
            if at.answered || id.is_none() {
                return Ok(());
            }
            if at.last.is_none() || !resumes {
                break;
            }
            tokio::time::sleep(at.retry).await;
            let mut headers = self.session_headers();
            headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
            at.put_into(&mut headers);
            stream = self.patiently((Method::GET, true), headers, Bytes::new()).await.ok();
            stream = stream.filter(is_stream);
        }
        Err(Lost { why: "the server's stream ended before its answer".to_owned(), unsent: false })
    }

    async fn events(&self, answer: Carried, id: Option<&Id>, at: &mut Place) {
        let mut decoder = Decoder::new(EVENT_BYTES_MAX);
        let mut pieces = answer.into_body();
        let mut events = Vec::new();
        while let Some(Ok(piece)) = pieces.next().await {
            if decoder.push(&piece, &mut events).is_err() {
                return;
            }
            for event in events.drain(..) {
                at.last = event.id.or(at.last.take());
                if event.data.trim().is_empty() {
                    continue;
                }
                at.answered |= id.is_some_and(|id| answers(&event.data, id));
                self.say(one_line(event.data.as_bytes())).await;
            }
            at.retry = decoder.retry().unwrap_or(at.retry);
        }
    }

    /// Listens to what changes, for as long as the session lasts.
    fn listen(self: &Arc<Self>, session: Session) {
        let bridge = Arc::clone(self);
        let over: CancellationToken = session.over.clone();
        tasks::spawn(async move {
            let listening = async {
                let mut pause = PAUSE_FIRST;
                let mut at = Place::default();
                loop {
                    let mut headers = headers_of(&session);
                    headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
                    headers.insert(HeaderName::from_static(CARRIES), HeaderValue::from_static("1"));
                    // What the client listens to is in this id: the server may have forgotten it.
                    at.put_into(&mut headers);
                    let begun = Instant::now();
                    let answer = bridge.carrier.carry(Method::GET, headers, Bytes::new()).await;
                    if let Ok(answer) = answer {
                        let streams = is_stream(&answer);
                        if answer.status().is_client_error() {
                            // The server has no such stream.
                            return;
                        }
                        if streams {
                            bridge.events(answer, None, &mut at).await;
                        }
                    }
                    if begun.elapsed() > PAUSE_MAX {
                        pause = PAUSE_FIRST;
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            };
            tokio::select! {
                () = listening => {}
                () = over.cancelled() => {}
            }
        });
    }

    fn session_headers(&self) -> HeaderMap {
        self.session.lock().as_ref().map(headers_of).unwrap_or_default()
    }
}

/// How far a stream was read.
struct Place {
    last: Option<String>,
    retry: Duration,
    answered: bool,
}

impl Place {
    /// Says from where to read on.
    fn put_into(&self, headers: &mut HeaderMap) {
        if let Some(value) = self.last.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
            headers.insert(HeaderName::from_static("last-event-id"), value);
        }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self { last: None, retry: Duration::from_millis(500), answered: false }
    }
}

fn headers_of(session: &Session) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(value) = session.id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
        headers.insert(HeaderName::from_static(SESSION), value);
    }
    if Revision::parse(&session.version) >= Some(Revision::V2025_06_18)
        && let Ok(value) = HeaderValue::from_str(&session.version)
    {
        headers.insert(HeaderName::from_static(VERSION), value);
    }
    headers
}

/// The headers that mirror a modern request.
pub(crate) fn modern_headers(method: &str, params: &Params) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, text: Option<&str>| {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&carried(text)).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let version = params.meta("io.modelcontextprotocol/protocolVersion").and_then(Value::as_str);
    put(VERSION, version.or(Some(Revision::NEWEST.name())));
    put("mcp-method", Some(method));
    match method {
        "tools/call" | "prompts/get" => put("mcp-name", params.text("name")),
        "resources/read" => put("mcp-name", params.text("uri")),
        "tasks/get" | "tasks/update" | "tasks/cancel" => put("mcp-name", params.text("taskId")),
        _ => {}
    }
    headers
}

/// A text as a header can carry it.
pub(crate) fn carried(text: &str) -> String {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b)) && text.trim() == text;
    if plain && !text.starts_with("=?base64?") {
        return text.to_owned();
    }
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::from("=?base64?");
    for three in text.as_bytes().chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for place in 0..4 {
            let index = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or(0);
            let letter = ALPHABET.get(index).copied().unwrap_or(b'=');
            out.push(if place > three.len() { '=' } else { char::from(letter) });
        }
    }
    out + "?="
}

pub(crate) fn is_stream(answer: &Carried) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    answer.status().is_success()
        && kind.is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

pub(crate) async fn whole(answer: Carried) -> Result<Bytes, Lost> {
    let mut pieces = answer.into_body();
    let mut all = BytesMut::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|why| Lost { why, unsent: false })?;
        if all.len() + piece.len() > EVENT_BYTES_MAX {
            let why = format!("the server's answer is larger than {EVENT_BYTES_MAX} bytes");
            return Err(Lost { why, unsent: false });
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

/// Whether this message is the answer to that request.
fn answers(data: &str, id: &Id) -> bool {
    let Ok(rpc::Incoming::One(rpc::Message::Response { id: answered, .. })) =
        rpc::read(data.as_bytes())
    else {
        return false;
    };
    answered == *id
}

/// A refusal with the id of its request, where the server left that out: the exchange says which
/// it answers.
fn named(body: &[u8], id: Option<&Id>) -> Option<String> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    let object = value.as_object_mut()?;
    let nameless = object.get("id").is_none_or(Value::is_null) && object.contains_key("error");
    let id = id.filter(|_| nameless)?;
    object.insert("id".to_owned(), serde_json::from_str(id.as_json()).ok()?);
    Some(value.to_string())
}

/// JSON on one line, as the pipe needs it.
fn one_line(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if !text.contains(['\n', '\r']) {
        return text.to_owned();
    }
    // A line end inside JSON is never part of a text: those are escaped.
    text.replace(['\n', '\r'], " ")
}

fn gone(lost: &Lost) -> Refusal {
    let text = if lost.unsent {
        format!("rapport could not be asked: {}", lost.why)
    } else {
        format!("rapport went away before it answered, try again: {}", lost.why)
    };
    Refusal::new(code::INTERNAL, text)
}
