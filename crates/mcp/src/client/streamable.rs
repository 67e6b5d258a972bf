//! A server behind Streamable HTTP: each request is an exchange, its answer one body or a stream.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wire::frame::sse::Decoder;

use super::desk::{Back, Desk, Seat};
use super::failure::{Failure, shown};
use super::web::{Out, Pending};
use crate::bridge::{Carried, carried, is_stream, modern_headers, whole};
use crate::http::{SESSION, VERSION};
use crate::revision::Revision;
use crate::rpc::{self, Id, Incoming, Message, Params};
use crate::tasks;

/// Limit: one event of a server.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Limit: how often a cut stream is taken up again without an answer.
const RESUMES_MAX: u32 = 10;
/// The pause before a stream is taken up again where the server names none.
const RETRY: Duration = Duration::from_millis(500);
/// Limit: the pause a server may ask for.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Limit: the pause between two tries to listen.
const LISTEN_PAUSE_MAX: Duration = Duration::from_secs(60);

/// A server's endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    out: Out,
    pub(super) url: Uri,
    pub(super) headers: HeaderMap,
    session: Mutex<Option<HeaderValue>>,
    revision: Mutex<Option<Revision>>,
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct ToServer(std::sync::Weak<Endpoint>);

impl Back for ToServer {
    fn say(&self, line: String) -> Pending<'_, ()> {
        Box::pin(async move {
            if let Some(endpoint) = self.0.upgrade()
                && let Err(failure) = endpoint.tell(line).await
            {
                tracing::debug!("an answer did not reach the server: {failure}");
            }
        })
    }
}

/// How far a stream was read.
#[derive(Debug, Default)]
struct Place {
    last: Option<String>,
    retry: Option<Duration>,
}

impl Endpoint {
    pub(super) fn new(out: Out, (url, headers): (Uri, HeaderMap), desk: &Arc<Desk>) -> Arc<Self> {
        let desk = Arc::clone(desk);
        let (session, revision) = (Mutex::default(), Mutex::default());
        Arc::new(Self { out, url, headers, session, revision, desk })
    }

    /// From now on requests say this revision.
    pub(super) fn agreed(&self, revision: Revision) {
        *self.revision.lock() = Some(revision);
    }

    /// Sends a request and waits for its answer, reading what comes before it.
    pub(super) async fn call(
        self: &Arc<Self>,
        number: u64,
        (method, params): (&str, Value),
        (seat, mirrored): (&mut Seat, Vec<(String, String)>),
    ) -> Result<Value, Failure> {
        let id = Id::number(number);
        let body = Bytes::from(rpc::request(&id, method, &params));
        let mut headers = self.of_session();
        if self.is_modern(&params) {
            let Value::Object(params) = params else { return Err(Failure::lost("no object")) };
            headers.extend(modern_headers(method, &Params(params)));
            for (name, value) in mirrored {
                let name = HeaderName::try_from(format!("mcp-param-{name}"));
                if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&carried(&value))) {
                    headers.insert(name, value);
                }
            }
        }
        let answer = self.exchange(Method::POST, headers, body).await?;
        if let Some(session) = answer.headers().get(SESSION).filter(|_| method == "initialize") {
            *self.session.lock() = Some(session.clone());
        }
        let reading = self.read(number, answer);
        tokio::select! {
            biased;
            outcome = seat.answered() => outcome,
            failure = reading => match failure {
                // The answer and the end may have come together.
                Some(failure) => seat.answered().now_or_never().unwrap_or(Err(failure)),
                None => seat.answered().await,
            },
        }
    }

    fn is_modern(&self, params: &Value) -> bool {
        let by_request = params
            .get("_meta")
            .and_then(|meta| meta.get("io.modelcontextprotocol/protocolVersion"))
            .is_some();
        by_request || self.revision.lock().is_some_and(Revision::is_modern)
    }

    /// Sends what needs no answer.
    pub(super) async fn tell(&self, line: String) -> Result<(), Failure> {
        let answer = self.exchange(Method::POST, self.of_session(), Bytes::from(line)).await?;
        if answer.status().is_success() { Ok(()) } else { Err(refused(answer).await) }
    }

    /// One exchange. A server that lets nobody in without a log-in is lost until there is one.
    async fn exchange(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Carried, Failure> {
        let answer = self.out.exchange(&self.request(&method, headers, body)).await;
        if let (Err(failure @ Failure::Unauthorized(_)), Some(login)) = (&answer, &self.out.login)
            && login.headers().await.is_empty()
        {
            self.desk.lose(failure.clone());
        }
        answer
    }

    fn request(&self, method: &Method, headers: HeaderMap, body: Bytes) -> Request<Bytes> {
        let mut request = Request::new(body);
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.url.clone();
        let all = request.headers_mut();
        let accept = if *method == Method::GET {
            "text/event-stream"
        } else {
            "application/json, text/event-stream"
        };
        all.insert(ACCEPT, HeaderValue::from_static(accept));
        if *method == Method::POST {
            all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        all.extend(self.headers.clone());
        all.extend(headers);
        request
    }

    fn of_session(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(session) = self.session.lock().clone() {
            headers.insert(HeaderName::from_static(SESSION), session);
        }
        if let Some(revision) = *self.revision.lock() {
            let name = HeaderValue::from_static(revision.name());
            headers.insert(HeaderName::from_static(VERSION), name);
        }
        headers
    }

    /// Reads an answer onto the desk; why it holds none for this request.
    async fn read(self: &Arc<Self>, number: u64, answer: Carried) -> Option<Failure> {
        if !is_stream(&answer) {
            return self.one(number, answer).await;
        }
        let mut at = Place::default();
        let mut stream = Some(answer);
        for _ in 0..RESUMES_MAX {
            if let Some(answer) = stream.take() {
                self.events(answer, Some(number), &mut at).await;
            }
            // Only the legacy era has streams that can be taken up again.
            let Some(last) = at.last.clone().filter(|_| self.is_legacy()) else { break };
            tokio::time::sleep(at.retry.unwrap_or(RETRY).min(RETRY_MAX)).await;
            let mut headers = self.of_session();
            if let Ok(value) = HeaderValue::from_str(&last) {
                headers.insert(HeaderName::from_static("last-event-id"), value);
            }
            stream = self.exchange(Method::GET, headers, Bytes::new()).await.ok();
            stream = stream.filter(is_stream);
        }
        Some(cut())
    }

    async fn one(self: &Arc<Self>, number: u64, answer: Carried) -> Option<Failure> {
        let status = answer.status();
        if status == StatusCode::NOT_FOUND && self.session.lock().is_some() {
            let why = Failure::unsent("it has forgotten our session");
            self.desk.lose(why.clone());
            return Some(why);
        }
        let body = match whole(answer).await {
            Ok(body) => body,
            Err(lost) => return Some(lost.into()),
        };
        let back: Arc<dyn Back> = Arc::new(ToServer(Arc::downgrade(self)));
        match rpc::read(&body) {
            Ok(Incoming::One(Message::Response { outcome, .. })) => {
                // The id of an error may be lost; the exchange says what it answers.
                let outcome = outcome.map_err(|error| Failure::of_error(&error));
                self.desk.answer(number, outcome);
                None
            }
            Ok(Incoming::One(message)) => {
                self.desk.take(message, Some(number), &back);
                Some(cut())
            }
            Ok(Incoming::Batch(messages)) => {
                for message in messages.into_iter().flatten() {
                    self.desk.take(message, Some(number), &back);
                }
                None
            }
            Err(_) => Some(no_message(status, &body, number, self)),
        }
    }

    /// Reads a stream until it ends.
    async fn events(self: &Arc<Self>, answer: Carried, of: Option<u64>, at: &mut Place) {
        let back: Arc<dyn Back> = Arc::new(ToServer(Arc::downgrade(self)));
        let mut decoder = Decoder::new(EVENT_BYTES_MAX);
        let mut pieces = answer.into_body();
        let mut events = Vec::new();
        while let Some(Ok(piece)) = pieces.next().await {
            if decoder.push(&piece, &mut events).is_err() {
                return;
            }
            for event in events.drain(..) {
                at.last = event.id.or(at.last.take());
                match rpc::read(event.data.as_bytes()) {
                    Ok(Incoming::One(message)) => self.desk.take(message, of, &back),
                    Ok(Incoming::Batch(messages)) => {
                        for message in messages.into_iter().flatten() {
                            self.desk.take(message, of, &back);
                        }
                    }
                    // The event that only says where the stream begins has no data.
                    Err(refusal) => {
                        self.desk.unreadable(event.data.as_bytes(), &refusal);
                    }
                }
            }
            at.retry = decoder.retry().or(at.retry);
        }
    }

    /// Listens to what changes until the connection is over; `filter` is the modern era's request.
    pub(super) fn listen(self: &Arc<Self>, filter: Option<Value>) {
        self.listen_until(filter, &CancellationToken::new());
    }

    /// As [`Endpoint::listen`], at most until the token is cancelled.
    pub(super) fn listen_until(self: &Arc<Self>, filter: Option<Value>, end: &CancellationToken) {
        let (endpoint, end) = (Arc::clone(self), end.clone());
        tasks::spawn(async move {
            let gone = endpoint.desk.gone.clone();
            tokio::select! {
                () = endpoint.listening(filter) => {}
                () = gone.cancelled() => {}
                () = end.cancelled() => {}
            }
        });
    }

    async fn listening(self: &Arc<Self>, filter: Option<Value>) {
        let mut pause = RETRY;
        let mut at = Place::default();
        loop {
            let mut headers = self.of_session();
            let answer = if let Some(params) = &filter {
                let id = Id::number(self.desk.number());
                let named = params.as_object().cloned().unwrap_or_default();
                headers.extend(modern_headers("subscriptions/listen", &Params(named)));
                let body = rpc::request(&id, "subscriptions/listen", params);
                self.exchange(Method::POST, headers, Bytes::from(body)).await
            } else {
                if let Some(value) = at.last.as_deref().and_then(|l| HeaderValue::from_str(l).ok())
                {
                    headers.insert(HeaderName::from_static("last-event-id"), value);
                }
                self.exchange(Method::GET, headers, Bytes::new()).await
            };
            match answer {
                Ok(answer) if is_stream(&answer) => {
                    pause = RETRY;
                    self.events(answer, None, &mut at).await;
                }
                // It has no such stream.
                Ok(answer) if answer.status().is_client_error() => return,
                Ok(_) => {}
                Err(failure) if failure.is_unsent() => return self.desk.lose(failure),
                Err(_) => {}
            }
            tokio::time::sleep(at.retry.map_or(pause, |asked| asked.min(RETRY_MAX))).await;
            pause = (pause * 2).min(LISTEN_PAUSE_MAX);
        }
    }

    /// Whether an exchange that ends says nothing by itself.
    pub(super) fn is_legacy(&self) -> bool {
        self.revision.lock().is_none_or(|revision| !revision.is_modern())
    }

    /// Ends the session, if there is one: politely, and without waiting for it.
    pub(super) fn leave(self: &Arc<Self>) {
        if self.session.lock().is_none() {
            return;
        }
        let endpoint = Arc::clone(self);
        tasks::spawn(async move {
            let leaving = endpoint.exchange(Method::DELETE, endpoint.of_session(), Bytes::new());
            drop(tokio::time::timeout(Duration::from_secs(2), leaving).await);
        });
    }
}

fn cut() -> Failure {
    Failure::lost("its stream ended before its answer")
}

/// What an answer that is no message says.
fn no_message(status: StatusCode, body: &Bytes, number: u64, endpoint: &Endpoint) -> Failure {
    if let Ok(value) = serde_json::from_slice::<Value>(body)
        && let Some(error) = value.get("error").filter(|error| error.is_object())
    {
        return Failure::of_error(error);
    }
    if status == StatusCode::ACCEPTED {
        // Some servers answer on the stream of the session.
        tracing::debug!(number, "no answer in the exchange");
    }
    let said = shown(&String::from_utf8_lossy(body));
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let text = format!("`{}` answered {status} and no message{said}", endpoint.url);
    let data = json!({"status": status.as_u16()});
    let refusal = rpc::Refusal::new(rpc::code::INTERNAL, text).with(data);
    Failure::Refused(refusal)
}

async fn refused(answer: Carried) -> Failure {
    let status = answer.status();
    let body = whole(answer).await.unwrap_or_default();
    Failure::lost(format!("it answered {status}: {}", shown(&String::from_utf8_lossy(&body))))
}
