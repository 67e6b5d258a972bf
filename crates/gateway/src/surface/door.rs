//! Steps 1 to 3 and 9 for HTTP: every request gets an id, a caller, a place and one record.

use std::pin::Pin;
use std::task::{Context as Poll_, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ALLOW,
    HeaderValue, ORIGIN, SERVER, VARY,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use wire::{Code, Fault};

use super::base;
use super::problem::{self, Failed, Form, Shared};
use crate::about::{Hostless, Peer};
use crate::auth::{self, Caller, Scope};
use crate::flow;
use crate::gate::Gateway;
use crate::limits::Left;
use crate::metrics::InFlight;

/// The version of the HTTP API; a caller may ask for it with the header of the same name.
pub const API_VERSION: &str = "1";
const API_VERSION_HEADER: HeaderName = HeaderName::from_static("x-rapport-api-version");
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-rapport-version");

/// The id of a request, as handlers and errors name it.
#[derive(Clone, Debug)]
pub struct RequestId(pub std::sync::Arc<str>);

/// Where Anthropic's clients look for the id of a request.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
/// The request headers that our own API reads.
const OWN_HEADERS: &str = "authorization, content-type, x-api-key, idempotency-key, if-match, \
     x-request-id, x-rapport-api-version, last-event-id";
/// What the turn of a request sent of its context.
const WINDOW_HEADER: HeaderName = HeaderName::from_static("x-rapport-window");

/// The context a request touched, for its record: put into the response's extensions.
#[derive(Clone, Debug)]
pub(crate) struct Touched(pub(crate) std::sync::Arc<str>);

/// Answers one HTTP request of the router.
pub(crate) async fn serve(State(gate): State<Gateway>, request: Request, next: Next) -> Response {
    answer(&gate, request, |request| next.run(request)).await
}

/// Answers one HTTP request: the whole life of it on one screen.
pub(crate) async fn answer<F>(
    gate: &Gateway,
    mut request: Request,
    handler: impl FnOnce(Request) -> F + Send,
) -> Response
where
    F: Future<Output = Response> + Send,
{
    let below = base::enter(gate, &mut request);
    let record = Record::begin(gate, &request);
    let origin = request.headers().get(ORIGIN).cloned();
    let form = Form::of(record.surface, request.headers());
    let mut window = None;
    // The order matters: a page's origin is judged before its preflight is answered, and both
    // before credentials, because browsers send preflights without any.
    let result = match (admit(gate, &request), below) {
        (Err(fault), _) => Err(fault.into()),
        (Ok(()), Some(elsewhere)) => elsewhere,
        (Ok(()), None) if is_preflight(&request) => {
            Ok(preflight(request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS)))
        }
        (Ok(()), None) => {
            let answer = inside(gate, request, handler, &record);
            let (answer, told) = Box::pin(flow::listening(answer)).await;
            window = told;
            answer
        }
    };
    let mut response = match result {
        Ok(response) => finish(response, &record, form),
        Err(failed) => write(&failed, &record, form),
    };
    let window = window.and_then(|line| HeaderValue::try_from(line).ok());
    if let Some(line) = window.filter(|_| !response.headers().contains_key(WINDOW_HEADER)) {
        response.headers_mut().insert(WINDOW_HEADER, line);
    }
    decorate(response.headers_mut(), gate, &record, origin.as_ref());
    record.attach(response)
}

/// Refuses a request of which only a part could be read.
pub(crate) fn refuse(gate: &Gateway, request: &Request, fault: Fault) -> Response {
    let record = Record::begin(gate, request);
    let form = Form::of(record.surface, request.headers());
    let mut response = write(&fault.into(), &record, form);
    decorate(response.headers_mut(), gate, &record, None);
    record.attach(response)
}

/// What is decided from the head alone, whoever calls.
fn admit(gate: &Gateway, request: &Request) -> Result<(), Fault> {
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    if request.extensions().get::<Hostless>().is_some() {
        return Err(auth::no_host());
    }
    auth::check_origin(gate, authority, request.headers())?;
    let Some(wanted) = request.headers().get(&API_VERSION_HEADER) else { return Ok(()) };
    let wanted = wanted.to_str().unwrap_or("?");
    if wanted.split('.').next() == Some(API_VERSION) {
        return Ok(());
    }
    let text = format!("API version `{}` is not spoken here", wanted.escape_default());
    Err(Fault::new(Code::VersionMismatch, text)
        .hint("this server speaks version 1; leave the header away or send `1`")
        .details(serde_json::json!({"requested": wanted, "supported": [API_VERSION]})))
}

/// A place in the caller's rate, where there is a limit; waits for it as long as the settings say.
async fn place(gate: &Gateway, caller: &Caller) -> Result<Option<Left>, Fault> {
    let (limit, within) = {
        let limits = &gate.now().settings.limits;
        (limits.requests_per_minute, limits.requests_wait)
    };
    let Some(per_minute) = limit else { return Ok(None) };
    let left = gate.rates().admit_within(&caller.counted(), (per_minute, within)).await;
    left.map(Some).inspect_err(|_| gate.metrics().limited())
}

/// Finds the caller, takes a place in its rate, and runs the handler within its time.
async fn inside<F>(
    gate: &Gateway,
    mut request: Request,
    handler: impl FnOnce(Request) -> F + Send,
    record: &Record,
) -> Result<Response, Failed>
where
    F: Future<Output = Response> + Send,
{
    let mut who = None;
    let left = if auth::is_open(request.uri().path()) {
        None
    } else {
        let peer = record.peer;
        let needs = auth::required(gate);
        let shown = if needs { auth::shown(request.headers(), request.uri())? } else { None };
        let caller = auth::caller(gate, shown, peer)?;
        caller.must(scope_of(&request))?;
        let left = place(gate, &caller).await?;
        who = Some(caller.name());
        request.extensions_mut().insert(caller);
        left
    };
    request.extensions_mut().insert(RequestId(std::sync::Arc::clone(&record.id)));
    let within = gate.now().settings.limits.request;
    let mut response = tokio::time::timeout(within, context::acting(who, handler(request)))
        .await
        .map_err(|late| {
        let text = format!("the request took longer than {} s", within.as_secs());
        Fault::new(Code::Timeout, text)
            .hint("raise `limits.request`")
            .details(serde_json::json!({"stage": "total"}))
            .because(late)
    })?;
    if let Some(left) = left {
        rate_headers(response.headers_mut(), left);
    }
    Ok(response)
}

/// Reading needs `read`, changing `write`; keys, changes of providers and of mounts, what leaves
/// the house by webhooks and the audit need `admin`.
fn scope_of(request: &Request) -> Scope {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if request.uri().path().starts_with("/api/v1/providers") && !is_read {
        return Scope::Admin;
    }
    if request.uri().path().starts_with("/api/v1/mounts") && !is_read {
        return Scope::Admin;
    }
    let managed = [
        "/api/v1/keys",
        "/api/v1/webhooks",
        "/api/v1/audit",
        "/api/v1/encryption",
        "/api/v1/debug",
    ];
    if managed.iter().any(|folder| request.uri().path().starts_with(folder)) {
        return Scope::Admin;
    }
    let path = request.uri().path();
    let calls = super::mcp::is_tool(path);
    if path.starts_with("/api/v1/mcp/") && !calls && request.method() != Method::GET {
        return Scope::Admin;
    }
    if calls || path == "/mcp" || path.starts_with("/mcp/s/") {
        // Reading, too, is a POST there; each tool asks for what it needs.
        return Scope::Read;
    }
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => Scope::Read,
        _ => Scope::Write,
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key("access-control-request-method")
}

/// Answers a preflight of an origin that was let in: it may send the headers that it asks for,
/// because clients of vendors' APIs and of MCP have their own, which no list of ours would keep up
/// with. Without a question the answer names those of our own API.
fn preflight(asked: Option<&HeaderValue>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE, OPTIONS"),
    );
    let own = HeaderValue::from_static(OWN_HEADERS);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.cloned().unwrap_or(own));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Gives every empty error of the router a JSON body, and every failed handler its form.
fn finish(mut response: Response, record: &Record, form: Form) -> Response {
    if let Some(Shared(failed)) = response.extensions_mut().remove::<Shared>() {
        record.failed(&failed.fault);
        let allow = failed.fault.detail_values().and_then(|details| details.get("allow"));
        let allow = allow.and_then(|allow| HeaderValue::from_str(allow.as_str()?).ok());
        let mut written = problem::write(&failed, &record.id, form);
        written.headers_mut().extend(allow.map(|value| (ALLOW, value)));
        return written;
    }
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => {
            let allow = response.headers().get(ALLOW).cloned();
            let names = allow.as_ref().and_then(|v| v.to_str().ok()).unwrap_or_default();
            if record.method == "OPTIONS" {
                let mut response = StatusCode::NO_CONTENT.into_response();
                response.headers_mut().extend(allow.map(|value| (ALLOW, value)));
                return response;
            }
            let names: Vec<&str> = names.split(',').map(str::trim).collect();
            let (text, hint) = problem::not_allowed(record.method, &names);
            let fault = Fault::new(Code::MethodNotAllowed, text).hint(hint);
            record.failed(&fault);
            let mut written = problem::write(&fault.into(), &record.id, form);
            written.headers_mut().extend(allow.map(|value| (ALLOW, value)));
            written
        }
        _ => response,
    }
}

fn write(failed: &Failed, record: &Record, form: Form) -> Response {
    if failed.fault.code() == Code::Unauthorized {
        let reason = failed.fault.detail_values().and_then(|d| d.get("reason"));
        let reason = reason.and_then(serde_json::Value::as_str).unwrap_or("unknown");
        tracing::warn!(
            request = %record.id, peer = %record.peer.addr, reason,
            "Authentication Failed: Unauthorized"
        );
    }
    record.failed(&failed.fault);
    problem::write(failed, &record.id, form)
}

fn decorate(
    headers: &mut HeaderMap,
    gate: &Gateway,
    record: &Record,
    origin: Option<&HeaderValue>,
) {
    if let Ok(id) = HeaderValue::from_str(&record.id) {
        // Anthropic's clients look for it under their own name; an upstream's own id stays.
        if record.surface == "anthropic" && !headers.contains_key(ANTHROPIC_REQUEST_ID) {
            headers.insert(ANTHROPIC_REQUEST_ID, id.clone());
        }
        headers.insert(problem::REQUEST_ID, id);
    }
    if let Ok(version) = HeaderValue::from_str(&gate.about().version) {
        headers.insert(VERSION_HEADER, version);
    }
    headers.insert(SERVER, HeaderValue::from_static("rapport"));
    headers.insert(API_VERSION_HEADER, HeaderValue::from_static(API_VERSION));
    let Some(origin) = origin else { return };
    let text = origin.to_str().unwrap_or("?");
    if auth::allows(&gate.now().settings.cors_origins, text) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("origin"));
        // Cookies are not used, so the star counts: also sessions of MCP and our own facts.
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    }
}

fn rate_headers(headers: &mut HeaderMap, left: Left) {
    headers.insert(RATE_LIMIT, HeaderValue::from(left.limit));
    headers.insert(RATE_REMAINING, HeaderValue::from(left.remaining));
    headers.insert(RATE_RESET, HeaderValue::from(left.reset_seconds));
}

/// What is known of a request; written exactly once, when it drops, however the request ends.
pub(crate) struct Record {
    pub(crate) id: std::sync::Arc<str>,
    pub(crate) peer: Peer,
    surface: &'static str,
    method: &'static str,
    path: String,
    context: Option<std::sync::Arc<str>>,
    status: u16,
    bytes: u64,
    fault: std::sync::Mutex<Option<&'static str>>,
    started: Instant,
    gate: Gateway,
    _in_flight: InFlight,
}

impl Record {
    fn begin(gate: &Gateway, request: &Request) -> Self {
        let peer = base::peer(gate, request);
        let path = request.uri().path();
        Self {
            id: id_of(request.headers()),
            peer,
            surface: surface_of(path),
            method: method_of(request.method()),
            path: path.to_owned(),
            context: None,
            status: 0,
            bytes: 0,
            fault: std::sync::Mutex::new(None),
            started: Instant::now(),
            gate: gate.clone(),
            _in_flight: gate.metrics().begin(),
        }
    }

    fn failed(&self, fault: &Fault) {
        self.gate.metrics().fault(fault);
        if fault.code().kind() == wire::Kind::Internal {
            tracing::error!(request = %self.id, path = %self.path, "{}", fault.chain());
        }
        let mut kept = self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *kept = Some(fault.code().as_str());
    }

    /// Ties the record to the response: it is written when the last byte has gone, or the caller.
    fn attach(mut self, response: Response) -> Response {
        self.status = response.status().as_u16();
        self.context = response.extensions().get::<Touched>().map(|t| t.0.clone());
        let (head, body) = response.into_parts();
        let recorded = Recorded { body, record: self };
        if let Some(size) = http_body::Body::size_hint(&recorded.body).exact() {
            // A whole body: what is sent is known now.
            let Recorded { body, mut record } = recorded;
            record.bytes = size;
            drop(record);
            return Response::from_parts(head, body);
        }
        Response::from_parts(head, Body::new(recorded))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.gate.metrics().answered((self.surface, self.method), self.status, took);
        let ms = round(took);
        let code = self.fault.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        tracing::info!(
            target: "rapport::request",
            request = %self.id, method = self.method, path = %self.path, status = self.status,
            ms, bytes = self.bytes, peer = %self.peer.addr,
            context = self.context.as_deref().unwrap_or("-"), code = code.unwrap_or("-"),
            "request"
        );
    }
}

/// Milliseconds with microsecond precision.
fn round(took: Duration) -> f64 {
    (took.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// A streamed body that counts its bytes for the record.
struct Recorded {
    body: Body,
    record: Record,
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Poll_<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let size = frame.data_ref().map_or(0, Bytes::len);
            self.record.bytes = self.record.bytes.saturating_add(size as u64);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The caller's own request id if it is a sane one, else a new one.
fn id_of(headers: &HeaderMap) -> std::sync::Arc<str> {
    let theirs = headers.get(problem::REQUEST_ID).and_then(|value| value.to_str().ok());
    let sane = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
    };
    match theirs.filter(sane) {
        Some(id) => id.into(),
        None => uuid::Uuid::now_v7().simple().to_string().into(),
    }
}

/// The door a path belongs to: a small closed set, because metrics hang on it.
fn surface_of(path: &str) -> &'static str {
    const SURFACES: &[(&str, &str)] = &[
        ("/api/v1/", "native"),
        ("/mcp/context", "context_first"),
        ("/mcp", "mcp"),
        ("/api/context", "context_first"),
        ("/api/mcp/", "context_second"),
        ("/v1/messages", "anthropic"),
        ("/v1/chat/", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/conversations", "openai"),
        ("/v1/completions", "openai"),
        ("/v1/embeddings", "openai"),
        ("/v1/moderations", "openai"),
        ("/v1/images/", "openai"),
        ("/v1/audio/", "openai"),
        ("/v1/files", "openai"),
        ("/v1/uploads", "openai"),
        ("/v1/batches", "openai"),
        ("/v1/vector_stores", "openai"),
        ("/v1/models", "models"),
        ("/v1beta/", "gemini"),
        ("/v1/rerank", "cohere"),
        ("/v1/chat", "cohere"),
        ("/v2/", "cohere"),
        ("/model/", "bedrock"),
        ("/v1/predict", "context_third"),
        ("/v1/context/", "context_third"),
        ("/v1/model/", "context_third"),
        // What else begins so is asked for by clients of OpenAI's API.
        ("/v1/", "openai"),
        ("/provider/", "provider"),
        ("/console/", "console"),
        ("/ws", "websocket"),
        ("/health", "health"),
        ("/ready", "health"),
        ("/metrics", "health"),
    ];
    if super::vendor::is_gemini(path) {
        return "gemini";
    }
    if super::vendor::is_ollama(path) {
        return "ollama";
    }
    SURFACES.iter().find(|(prefix, _)| path.starts_with(prefix)).map_or("other", |(_, name)| name)
}

fn method_of(method: &Method) -> &'static str {
    const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    METHODS.iter().find(|name| **name == method.as_str()).copied().unwrap_or("OTHER")
}
