//! One request: which door it came through, which rule answers, and the response that becomes.

use crate::ask::{self, Ask};
use crate::beside::{self, Refusal, Told, Wish};
use crate::content::Content;
use crate::control;
use crate::dialect::ollama::Api;
use crate::dialect::{Dialect, Frame, anthropic, converse};
use crate::play::{Cut, Playback, plan};
use crate::record::Recorded;
use crate::script::{ErrorText, Fault, Reply, Script};
use crate::server::State;
use crate::socket::Flushes;
use crate::strict::{self, Found, Spoken};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;

/// Limit: bytes of a request body; providers refuse more than 32 MB.
const REQUEST_BYTES_MAX: usize = 64 << 20;
/// The models listed when the script names none.
const MODELS: [&str; 2] = ["claude-sonnet-5-5", "gpt-5.5"];
/// What a captive portal or a wrong proxy sends.
const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>\
                    <body><h1>Please sign in to the network</h1></body></html>\n";
const JSON: &str = "application/json";

pub(crate) type ReplyBody = Either<Full<Bytes>, Playback>;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Conversation,
    Count,
    Models,
    /// Embeddings, rankings, files and the like; or nothing at all.
    Beside,
}

/// Everything that is known about one request when its reply is made.
struct Call<'a> {
    state: &'a Arc<State>,
    number: u64,
    door: Door,
    dialect: Dialect,
    ask: Result<Ask, serde_json::Error>,
    reply: &'a Reply,
    path: &'a str,
    parts: &'a Parts,
    script: &'a Script,
    body: Bytes,
}

/// A response before its headers.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: Written,
}

enum Written {
    Whole(Bytes),
    Stream(Vec<Frame>),
}

/// Answers one request.
///
/// # Errors
/// Closes the connection without an answer: the script wants it, or the request never ended.
pub(crate) async fn answer(
    state: Arc<State>,
    flushes: Arc<Flushes>,
    request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Cut> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, REQUEST_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => {
            tracing::debug!(%error, "request body");
            return Err(Cut);
        }
    };
    if let Some(path) = parts.uri.path().strip_prefix("/__mock/") {
        let response = control::answer(&state, &parts.method, path, &body);
        return Ok(response.map(|bytes| Either::Left(Full::new(bytes))));
    }
    let path = parts.uri.path();
    let (door, dialect) = door(&parts.method, path, &parts.headers);
    let ask = if body.is_empty() && parts.method == Method::GET {
        Ok(Ask::default())
    } else {
        ask::read(&body, &parts.headers, (dialect, path))
    };
    let active = state.active();
    let empty = Ask::default();
    let rule = active.rule(path, door == Door::Conversation, ask.as_ref().unwrap_or(&empty));
    let name = rule.map(|rule| rule.name.as_str()).filter(|name| !name.is_empty());
    let number = record(&state, &parts, body.clone(), name);
    let reply = rule.map_or(&active.script.default, |rule| &rule.reply);
    // The default reply is for conversations; elsewhere only a rule that names the path has a say.
    let plain = Reply::default();
    let reply = if rule.is_none() && door != Door::Conversation { &plain } else { reply };
    let script = &active.script;
    let parts = &parts;
    let call = Call { state: &state, number, door, dialect, ask, reply, path, parts, script, body };
    call.answer(flushes).await
}

fn record(state: &State, parts: &Parts, body: Bytes, rule: Option<&str>) -> u64 {
    let number = state.next_number();
    state.seen(Recorded {
        number,
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers.clone(),
        body,
        rule: rule.map(str::to_owned),
    });
    number
}

/// Paths are known by their end, so that base addresses with a prefix work.
fn door(method: &Method, path: &str, headers: &HeaderMap) -> (Door, Dialect) {
    let by_header = if headers.contains_key("anthropic-version") {
        Dialect::Anthropic
    } else {
        Dialect::OpenAi
    };
    let (post, get) = (Method::POST, Method::GET);
    let conversation = Door::Conversation;
    let is_call = |name: &str| path.ends_with(&format!(":{name}"));
    let (wanted, door, dialect) = match path {
        _ if path.ends_with("/messages") => (post, conversation, Dialect::Anthropic),
        _ if path.ends_with("/messages/count_tokens") => (post, Door::Count, Dialect::Anthropic),
        _ if path.ends_with("/chat/completions") => (post, conversation, Dialect::OpenAi),
        _ if path.ends_with("/responses") => (post, conversation, Dialect::Responses),
        _ if is_call("generateContent") || is_call("streamGenerateContent") => {
            (post, conversation, Dialect::Gemini)
        }
        _ if is_call("countTokens") => (post, Door::Count, Dialect::Gemini),
        _ if path.ends_with("/converse") || path.ends_with("/converse-stream") => {
            (post, conversation, Dialect::Converse)
        }
        _ if path.ends_with("/v2/chat") => (post, conversation, Dialect::Cohere),
        _ if path.ends_with("/api/chat") => (post, conversation, Dialect::Ollama(Api::Chat)),
        _ if path.ends_with("/api/generate") => {
            (post, conversation, Dialect::Ollama(Api::Generate))
        }
        _ if path.ends_with("/api/tags") => (get, Door::Models, Dialect::Ollama(Api::Chat)),
        _ if path.ends_with("/v1beta/models") => (get, Door::Models, Dialect::Gemini),
        _ if path.ends_with("/models") => (get, Door::Models, by_header),
        _ => return (Door::Beside, by_header),
    };
    (if *method == wanted { door } else { Door::Beside }, dialect)
}

impl Call<'_> {
    async fn answer(&self, flushes: Arc<Flushes>) -> Result<Response<ReplyBody>, Cut> {
        let reply = self.reply;
        if reply.delay_ms > 0 {
            tokio::time::sleep(Duration::from_millis(reply.delay_ms)).await;
        }
        match reply.fault {
            Some(Fault::Drop) => return Err(Cut),
            Some(Fault::Hang) => return Err(self.state.hang().await),
            Some(Fault::MalformedJson | Fault::Html) | None => {}
        }
        let answer = self.compose();
        let mut headers = HeaderMap::new();
        self.fill(&mut headers, &answer);
        let body = self.body(answer.body, flushes);
        let mut response = Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// What to say, in this order: the verbatim body, the page, the error, the real thing.
    fn compose(&self) -> Answer {
        let reply = self.reply;
        let is_stream = self.ask.as_ref().is_ok_and(|ask| ask.stream);
        let status = reply.status.unwrap_or(200);
        if let Some(body) = &reply.body {
            let is_events = is_stream && status < 400;
            let content_type = if is_events { self.dialect.stream_type() } else { JSON };
            return Answer { status, content_type, body: whole(body.clone()) };
        }
        if reply.fault == Some(Fault::Html) {
            let content_type = "text/html; charset=utf-8";
            return Answer { status, content_type, body: whole(HTML.to_owned()) };
        }
        if status >= 400 {
            return self.error(status, &reply.error);
        }
        match self.door {
            Door::Beside => self.beside(status),
            Door::Models => json(status, self.models()),
            Door::Count | Door::Conversation => match self.checked() {
                Err(message) => self.error(400, &said(message)),
                Ok(ask) if self.door == Door::Count => {
                    let tokens = reply.usage.input_tokens.unwrap_or(ask.tokens);
                    let body = match self.dialect {
                        Dialect::Gemini => format!("{{\"totalTokens\":{tokens}}}"),
                        _ => anthropic::count(tokens),
                    };
                    json(status, body)
                }
                Ok(ask) => self.conversation(status, ask),
            },
        }
    }

    /// What a provider has beside conversations.
    fn beside(&self, status: u16) -> Answer {
        let wish = Wish {
            method: &self.parts.method,
            path: self.path,
            headers: &self.parts.headers,
            body: &self.body,
            dialect: self.dialect,
        };
        match beside::answer(&wish, self.state) {
            Ok(Told { content_type, body }) => {
                Answer { status, content_type, body: Written::Whole(body) }
            }
            Err(Refusal::NoRoute) => self.error(404, &said(format!("no route `{}`", self.path))),
            Err(Refusal::NotFound(message)) => self.error(404, &said(message)),
            Err(Refusal::Wrong(message)) => self.error(400, &said(message)),
        }
    }

    /// The request, when it has what a real provider insists on.
    fn checked(&self) -> Result<&Ask, String> {
        let ask = self.ask.as_ref().map_err(|e| format!("the body is not valid: {e}"))?;
        if ask.model.is_empty() {
            return Err("model: field required".to_owned());
        }
        if ask.messages == 0 {
            return Err("messages: at least one message is required".to_owned());
        }
        let needs_max = self.dialect == Dialect::Anthropic && self.door == Door::Conversation;
        if needs_max && !ask.has_max_tokens {
            return Err("max_tokens: field required".to_owned());
        }
        Ok(ask)
    }

    fn conversation(&self, status: u16, ask: &Ask) -> Answer {
        let mut content = Content::new(self.reply, ask, self.number);
        if let Err(message) = self.strictly(&mut content) {
            return self.error(400, &said(message));
        }
        let is_broken = self.reply.fault == Some(Fault::MalformedJson);
        if !ask.stream {
            let mut body = self.dialect.whole(&content);
            if is_broken {
                // The second half never comes, though the head says that all is there.
                body = body.chars().take(body.chars().count() / 2).collect();
            }
            return json(status, body);
        }
        let mut frames = self.dialect.stream(&content, ask.usage_chunk);
        if is_broken {
            let first = frames.iter().position(|frame| frame.is_delta);
            frames.insert(first.unwrap_or(frames.len()), self.dialect.broken_event());
        }
        if let Some(error) = &self.reply.stream_error {
            frames.truncate(place_after(&frames, error.after));
            frames.push(self.dialect.error_event(error, self.number));
        }
        let content_type = self.dialect.stream_type();
        Answer { status, content_type, body: Written::Stream(frames) }
    }

    /// What Anthropic alone insists on, and counts.
    fn strictly(&self, content: &mut Content) -> Result<(), String> {
        let is_strict = self.script.check_thinking || self.script.prompt_cache.is_some();
        if self.dialect != Dialect::Anthropic || !is_strict {
            return Ok(());
        }
        let spoken = Spoken::read(&self.body);
        if self.script.check_thinking {
            strict::check(&spoken)?;
            content.sign(|text| strict::signature(&spoken, text));
        }
        if let Some(rules) = &self.script.prompt_cache {
            let mut cache = self.state.cache();
            let found = cache.ask(rules, &spoken);
            cache.count(&rules.prices, found, content.usage.output);
            let Found { input, read, written_5m, written_1h } = found;
            content.usage.input = input;
            content.usage.cache_read = read;
            content.usage.cache_creation = written_5m + written_1h;
            content.usage.one_hour = Some(written_1h);
        }
        Ok(())
    }

    fn error(&self, status: u16, text: &ErrorText) -> Answer {
        json(status, self.dialect.error(status, text, self.number))
    }

    fn models(&self) -> String {
        let active = self.state.active();
        let scripted = &active.script.models;
        let ids =
            if scripted.is_empty() { MODELS.map(str::to_owned).to_vec() } else { scripted.clone() };
        self.dialect.models(&ids)
    }

    fn fill(&self, headers: &mut HeaderMap, answer: &Answer) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
        if matches!(answer.body, Written::Stream(_)) {
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        let id = match self.dialect {
            Dialect::Anthropic => HeaderName::from_static("request-id"),
            Dialect::Converse => HeaderName::from_static("x-amzn-requestid"),
            _ => HeaderName::from_static("x-request-id"),
        };
        set(headers, id, &anthropic::request_id(self.number));
        if self.dialect == Dialect::Converse && answer.status >= 400 {
            let kind = self.reply.error.kind.as_deref();
            let kind = kind.unwrap_or_else(|| converse::kind(answer.status));
            set(headers, HeaderName::from_static("x-amzn-errortype"), kind);
        }
        if let Some(after) = &self.reply.retry_after {
            set(headers, header::RETRY_AFTER, after);
        }
        for (name, value) in &self.reply.headers {
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                set(headers, name, value);
            }
        }
    }

    fn body(&self, written: Written, flushes: Arc<Flushes>) -> ReplyBody {
        let reply = self.reply;
        let (pieces, announced) = match written {
            Written::Whole(bytes) => {
                let is_plain = reply.cut_at.is_none()
                    && reply.stall_at.is_none()
                    && reply.chunk_bytes.is_none();
                if is_plain {
                    return Either::Left(Full::new(bytes));
                }
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                (vec![(Duration::ZERO, bytes)], Some(length))
            }
            Written::Stream(frames) => (paced(frames, reply.pause_ms), None),
        };
        let steps = plan(pieces, reply);
        Either::Right(Playback::new(steps, announced, flushes, Arc::clone(self.state)))
    }
}

/// The index behind so many deltas, or behind the last one when there are fewer.
fn place_after(frames: &[Frame], deltas: usize) -> usize {
    let mut places = frames.iter().enumerate().filter(|(_, frame)| frame.is_delta);
    if deltas == 0 {
        return places.next().map_or(frames.len(), |(index, _)| index);
    }
    places.take(deltas).last().map_or(frames.len(), |(index, _)| index + 1)
}

/// The pause stands between two deltas; everything else follows at once.
fn paced(frames: Vec<Frame>, pause_ms: u64) -> Vec<(Duration, Bytes)> {
    let first = place_after(&frames, 0);
    let pause = Duration::from_millis(pause_ms);
    let paced = frames.into_iter().enumerate().map(|(index, frame)| {
        let waits = frame.is_delta && index > first;
        (if waits { pause } else { Duration::ZERO }, frame.bytes)
    });
    paced.collect()
}

fn json(status: u16, body: String) -> Answer {
    Answer { status, content_type: JSON, body: whole(body) }
}

fn whole(body: String) -> Written {
    Written::Whole(body.into())
}

fn said(message: String) -> ErrorText {
    ErrorText { kind: None, message: Some(message) }
}

/// A script built in code may hold values that are no headers; those are left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(error) => tracing::warn!(%name, %error, "scripted header left out"),
    }
}
