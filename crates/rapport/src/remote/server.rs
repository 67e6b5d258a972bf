//! A running Rapport: sends requests, tries again where that is harmless, and names what fails.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderMap, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::time::Instant;

use super::address::Address;
use super::answer::{Answer, Patience, Reply, broken};
use super::ask::Ask;
use super::failure::{Class, Failure};
use super::journal::Journal;
use super::show::{self, Sink, Trace};
use super::tls::Trust;
use super::{connect, events::Events};
use crate::tasks::Tasks;

/// The wait before the first repetition; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(150);
/// Limit: how often a request is repeated that the server is still answering.
const IN_PROGRESS_MAX: u32 = 120;
/// The wait between those.
const IN_PROGRESS_WAIT: Duration = Duration::from_millis(500);

/// How to talk to a server.
#[derive(Clone)]
pub(crate) struct Manner {
    /// The key to show.
    pub(crate) key: Option<String>,
    /// Whose certificates are trusted.
    pub(crate) trust: Trust,
    /// The longest wait for a connection.
    pub(crate) connect: Duration,
    /// The longest silence of an answer.
    pub(crate) read: Duration,
    /// The longest time for a request with all its repetitions.
    pub(crate) total: Option<Duration>,
    /// How often a request is repeated after a failed connection.
    pub(crate) retries: u32,
    /// Told what happens on the wire.
    pub(crate) trace: Trace,
    /// Takes `curl` commands, which are shown instead of sending anything.
    pub(crate) curl: Option<Sink>,
    /// Where failures are written down.
    pub(crate) journal: Journal,
}

impl std::fmt::Debug for Manner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manner").field("trust", &self.trust).finish_non_exhaustive()
    }
}

/// A server at an address; clones are the same one.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    address: Address,
    manner: Manner,
    tasks: Tasks,
}

impl Server {
    /// The server at `address`. Nothing is sent yet.
    pub(crate) fn new(address: Address, manner: Manner) -> Self {
        Self { address, manner, tasks: Tasks::default() }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Requests are shown and not sent.
    pub(crate) fn only_shows(&self) -> bool {
        self.manner.curl.is_some()
    }

    /// Whether it shows a key.
    pub(crate) fn shows_key(&self) -> bool {
        self.manner.key.is_some()
    }

    /// Sends a request and reads its JSON answer.
    ///
    /// # Errors
    /// A [`Failure`] of any class; [`Class::Shown`] when requests are only shown.
    pub(crate) async fn json(&self, ask: &Ask) -> Result<Reply, Failure> {
        let until = self.until();
        self.repeat(ask, || async move {
            let raw = self.send(ask, until).await?.whole().await?;
            let value = serde_json::from_slice(&raw).map_err(|error| {
                Failure::new(Class::Protocol, format!("the answer is not JSON: {error}"))
            })?;
            Ok(Reply { raw, value })
        })
        .await
    }

    /// Sends a request whose answer is a stream of events, up to the head of the answer.
    ///
    /// # Errors
    /// As [`Server::json`].
    pub(crate) async fn stream(&self, ask: &Ask) -> Result<Events, Failure> {
        let until = self.until();
        self.repeat(ask, || async move { Ok(Events::of(self.send(ask, until).await?)) }).await
    }

    /// Sends a request once and gives the answer whatever its status, its body as it comes.
    ///
    /// # Errors
    /// A [`Failure`] of the connection.
    pub(crate) async fn raw(
        &self,
        (method, path): (http::Method, &str),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<hyper::body::Incoming>, Failure> {
        let Manner { trust, connect, trace, .. } = &self.manner;
        let stream = connect::open(&self.address, trust, *connect, trace).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
        self.tasks.spawn("connection", async move {
            // Whoever reads the answer hears of it too.
            if let Err(error) = connection.await {
                tracing::debug!("the connection ended: {error}");
            }
        });
        let mut request = self.request(&Ask::bare(method, path.to_owned(), body))?;
        for (name, value) in &headers {
            request.headers_mut().insert(name, value.clone());
        }
        trace.request(&request, b"");
        sender.send_request(request).await.map_err(|error| broken(&error))
    }

    /// Sends a request whose answer is read as it comes; up to the head of the answer.
    ///
    /// # Errors
    /// As [`Server::json`].
    pub(crate) async fn open(&self, ask: &Ask) -> Result<(HeaderMap, Answer), Failure> {
        let until = self.until();
        self.repeat(ask, || self.send_whole(ask, until)).await
    }

    /// Sends a request once, with a body of any length, whose answer is a stream of events that
    /// begins while the body is still under way.
    ///
    /// # Errors
    /// As [`Server::json`].
    pub(crate) async fn upload<B>(
        &self,
        ask: &Ask,
        (body, bytes): (B, Option<u64>),
    ) -> Result<Events, Failure>
    where
        B: http_body::Body<Data = Bytes, Error = std::io::Error> + Send + 'static,
    {
        if let Some(sink) = &self.manner.curl {
            let key = self.manner.key.is_some();
            sink(&show::curl(&self.address, &self.manner.trust, key, ask));
            return Err(Failure::shown());
        }
        let (mut head, _) = self.request(ask)?.into_parts();
        head.headers.remove(CONTENT_LENGTH);
        if let Some(bytes) = bytes {
            head.headers.insert(CONTENT_LENGTH, bytes.into());
        }
        let request = Request::from_parts(head, Box::pin(body));
        let sent = self.exchange(request, (self.until(), b"")).await;
        let (_, answer) = sent.map_err(|failure| self.advised(failure))?;
        Ok(Events::of(answer))
    }

    fn until(&self) -> Option<Instant> {
        self.manner.total.map(|total| Instant::now() + total)
    }

    /// Sends until it works, or until another try would be harmful or useless.
    async fn repeat<T, F>(&self, ask: &Ask, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        if let Some(sink) = &self.manner.curl {
            let key = self.manner.key.is_some();
            sink(&show::curl(&self.address, &self.manner.trust, key, ask));
            return Err(Failure::shown());
        }
        let (mut failed, mut waited) = (0_u32, 0_u32);
        loop {
            let failure = match send().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let pause = if failure.is_in_progress() && failed > 0 && waited < IN_PROGRESS_MAX {
                // The first try arrived after all, and is still being answered.
                waited += 1;
                IN_PROGRESS_WAIT
            } else if failed < self.manner.retries && failure.may_be_retried(ask.is_repeatable()) {
                failed += 1;
                jittered(FIRST_WAIT.saturating_mul(1 << (failed - 1).min(10)))
            } else {
                return Err(self.advised(failure));
            };
            self.manner.trace.note(&format!("{failure}; trying again in {pause:?}"));
            tokio::time::sleep(pause).await;
        }
    }

    /// Writes the failure down, and names the doctor as the next step.
    pub(crate) fn advised(&self, failure: Failure) -> Failure {
        let scheme = if self.address.tls { "https://" } else { "" };
        let doctor = format!("rapport doctor {scheme}{}", self.address.authority());
        let told = failure.hint_text().is_some_and(|hint| hint.contains(&doctor));
        if told || !failure.class().is_of_the_connection() {
            return failure;
        }
        self.manner.journal.write(&failure.to_string());
        match failure.hint_text() {
            Some(hint) => {
                let hint = format!("{hint}; or find out more: {doctor}");
                failure.hint(hint)
            }
            None if failure.class() == Class::Refused => {
                let hint = format!("start it with `rapport serve`, or find out more: {doctor}");
                failure.hint(hint)
            }
            None => failure.hint(format!("find out more: {doctor}")),
        }
    }

    async fn send(&self, ask: &Ask, until: Option<Instant>) -> Result<Answer, Failure> {
        self.send_whole(ask, until).await.map(|(_, answer)| answer)
    }

    async fn send_whole(
        &self,
        ask: &Ask,
        until: Option<Instant>,
    ) -> Result<(HeaderMap, Answer), Failure> {
        let shown = ask.body().cloned().unwrap_or_default();
        self.exchange(self.request(ask)?, (until, &shown)).await
    }

    /// Sends a request once, on a connection of its own; `shown` is what a trace sees of its body.
    async fn exchange<B>(
        &self,
        request: Request<B>,
        (until, shown): (Option<Instant>, &[u8]),
    ) -> Result<(HeaderMap, Answer), Failure>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Manner { trust, connect, read, trace, .. } = &self.manner;
        let patience = Patience { read: *read, until };
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let within = left.map_or(*connect, |left| left.min(*connect));
        let stream = connect::open(&self.address, trust, within, trace).await?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| broken(&error))?;
        self.tasks.spawn("connection", async move {
            // Whoever reads the answer hears of it too.
            if let Err(error) = connection.await {
                tracing::debug!("the connection ended: {error}");
            }
        });
        trace.request(&request, shown);
        let answer = patience.wait(sender.send_request(request)).await?;
        let (head, body) = answer.map_err(|error| broken(&error))?.into_parts();
        trace.head(head.version, head.status, &head.headers);
        let answer = Answer { body, patience, trace: trace.clone() };
        if head.status.is_success() {
            return Ok((head.headers, answer));
        }
        let raw = answer.whole().await?;
        Err(refused(head.status, &head.headers, &raw))
    }

    fn request(&self, ask: &Ask) -> Result<Request<Full<Bytes>>, Failure> {
        let path = format!("{}{}", self.address.path, ask.path());
        let mut builder = Request::builder().method(ask.method()).uri(path);
        let agent = concat!("rapport/", env!("CARGO_PKG_VERSION"));
        builder = builder.header(HOST, self.address.authority()).header(USER_AGENT, agent);
        if let Some(key) = &self.manner.key {
            let value = HeaderValue::from_str(&format!("Bearer {key}"));
            let mut value = value.map_err(|_unprintable| {
                Failure::new(Class::Auth, "the key has characters that no key has")
                    .hint("show a key with `--key` or RAPPORT_API_KEY, on one line")
            })?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        for (name, value) in ask.headers() {
            builder = builder.header(name, value);
        }
        if !ask.streams() {
            builder = builder.header(ACCEPT, "application/json");
        }
        let body = ask.body().cloned().unwrap_or_default();
        if ask.method() != http::Method::GET {
            builder = builder.header(CONTENT_LENGTH, body.len());
        }
        builder.body(Full::new(body)).map_err(|error| {
            Failure::new(Class::Usage, format!("the request cannot be written: {error}"))
        })
    }
}

/// Every answer of ours carries it.
const VERSION_HEADER: &str = "x-rapport-version";

/// The failure in an answer that says no.
fn refused(status: StatusCode, headers: &HeaderMap, raw: &[u8]) -> Failure {
    let code = status.as_u16();
    if let Ok(Value::Object(object)) = serde_json::from_slice(raw)
        && (headers.contains_key(VERSION_HEADER) || object.contains_key("code"))
    {
        let failure = Failure::answered(Some(code), object);
        return match failure.code() {
            Some("unauthorized") => failure.hint(
                "show a key with `--key KEY` or RAPPORT_API_KEY; `rapport key create NAME` makes \
                 one, with an `admin` key or while the server is stopped",
            ),
            _ => failure,
        };
    }
    let class = match code {
        401 | 403 => Class::Auth,
        500.. => Class::Server,
        _ => Class::Protocol,
    };
    let text = format!("something else than rapport answers there, with `{status}`");
    Failure::new(class, text)
}

/// Between half of a wait and all of it, so that many clients do not come back at once.
fn jittered(wait: Duration) -> Duration {
    let [byte, ..] = uuid::Uuid::new_v4().into_bytes();
    wait.saturating_mul(256 + u32::from(byte)) / 512
}
