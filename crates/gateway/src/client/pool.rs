//! The pool and one exchange over it: request out, response head in, then its bytes.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper_util::client::legacy;
use hyper_util::rt::TokioTimer;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;
use wire::{Blame, Code, Fault};

use super::answer::{Answer, Coming};
use super::base::Base;
use super::connect::{Connector, Unconnected};
use super::line::Kept;
use super::tls::Tls;
use crate::settings::Deadlines;
use crate::tasks;

/// Limit: idle connections kept per upstream.
const IDLE_MAX: usize = 64;

/// Limit: how long an idle connection is kept.
const IDLE_FOR: Duration = Duration::from_secs(90);

/// The connections to one upstream.
pub struct Client {
    pool: legacy::Client<Connector, Outgoing>,
    provider: String,
    base: Base,
    deadlines: Deadlines,
    /// Only loopback may be connected.
    local_only: bool,
    /// What makes connections of our own.
    connector: Connector,
    /// Those that wait.
    kept: Kept,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("base", &self.base).finish_non_exhaustive()
    }
}

/// One request to an upstream: always a POST.
#[derive(Clone)]
pub struct Request {
    /// The whole address.
    pub uri: Uri,
    /// The headers, secrets among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// When the whole call has to be over.
    pub until: Instant,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A query may carry a key.
        f.debug_struct("Request").field("path", &self.uri.path()).finish_non_exhaustive()
    }
}

/// Why an exchange ended early.
#[derive(Debug)]
pub struct Ended {
    /// What to tell.
    pub fault: Fault,
    /// The same request may succeed when it is sent again.
    pub again: bool,
    /// There was no connection: the upstream cannot have seen the request.
    pub unsent: bool,
}

impl Client {
    /// An empty pool; nothing is connected or looked up before the first call.
    #[must_use]
    pub fn new(
        provider: &str,
        base: Base,
        deadlines: Deadlines,
        (tls, local_only): (Tls, bool),
    ) -> Self {
        let connector = Connector::new(tls, deadlines.connect);
        let pool = legacy::Client::builder(Driver)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_FOR)
            .pool_max_idle_per_host(IDLE_MAX)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .http2_adaptive_window(true)
            .build(connector.clone());
        let (provider, kept) = (provider.to_owned(), Kept::default());
        Self { pool, provider, base, deadlines, local_only, connector, kept }
    }

    /// Where the upstream is.
    #[must_use]
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// Whether `local_only` forbids this upstream.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.local_only && !self.base.is_loopback()
    }

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// `upstream_unavailable`, `upstream_invalid`, `timeout` with its stage, `configuration_error`
    /// when `local_only` forbids the address.
    pub async fn call(&self, request: Request) -> Result<Answer, Ended> {
        if self.is_forbidden() {
            return Err(Ended { fault: self.forbidden(), again: false, unsent: true });
        }
        if request.uri.scheme_str() == Some("http") {
            return self.call_directly(request).await;
        }
        let sent = Arc::new(Notify::new());
        let piece = Piece::Whole(Some(request.body));
        let mut outgoing = http::Request::new(Outgoing { piece, sent: Arc::clone(&sent) });
        *outgoing.method_mut() = Method::POST;
        *outgoing.uri_mut() = request.uri;
        *outgoing.headers_mut() = request.headers;
        self.exchange(outgoing, sent, request.until).await
    }

    /// As [`Client::call`], for a response of any length: whoever reads it whole has to bound it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_endless(&self, request: Request) -> Result<Answer, Ended> {
        let mut answer = self.call(request).await?;
        answer.is_endless();
        Ok(answer)
    }

    /// Sends a request whose body is still coming, piece by piece as it comes, and waits for the
    /// head of its response. The response may be of any length; whoever reads it whole has to
    /// bound it.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn relay(
        &self,
        request: http::Request<axum::body::Body>,
        until: Instant,
    ) -> Result<Answer, Ended> {
        if self.is_forbidden() {
            return Err(Ended { fault: self.forbidden(), again: false, unsent: true });
        }
        let sent = Arc::new(Notify::new());
        let (head, body) = request.into_parts();
        let piece = Piece::Coming(body);
        let outgoing = http::Request::from_parts(head, Outgoing { piece, sent: Arc::clone(&sent) });
        let mut answer = self.exchange(outgoing, sent, until).await?;
        answer.is_endless();
        Ok(answer)
    }

    async fn exchange(
        &self,
        outgoing: http::Request<Outgoing>,
        sent: Arc<Notify>,
        until: Instant,
    ) -> Result<Answer, Ended> {
        let silence = async {
            sent.notified().await;
            tokio::time::sleep(self.deadlines.first_byte).await;
        };
        let response = tokio::select! {
            biased;
            response = self.pool.request(outgoing) => response,
            () = silence => return Err(self.late("first_byte", self.deadlines.first_byte)),
            () = tokio::time::sleep_until(until) => {
                return Err(self.late("total", self.deadlines.total));
            }
        };
        let (head, body) = response.map_err(|cause| self.unanswered(cause))?.into_parts();
        Ok(self.answer((head.status, head.headers), Coming::Pool(body), until))
    }

    /// An answer whose head is here.
    pub(super) fn answer(
        &self,
        (status, headers): (StatusCode, HeaderMap),
        body: Coming,
        until: Instant,
    ) -> Answer {
        let (provider, deadlines) = (self.provider.clone(), self.deadlines);
        Answer::new((status, headers), body, (until, provider, deadlines))
    }

    /// What makes connections.
    pub(super) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// The connections of our own that wait.
    pub(super) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// How long each stage may take.
    pub(super) fn deadlines(&self) -> &Deadlines {
        &self.deadlines
    }

    /// The fault that `local_only` gives for this upstream.
    #[must_use]
    pub fn forbidden(&self) -> Fault {
        Fault::new(
            Code::ConfigurationError,
            format!(
                "provider `{}` at `{}` is not on this machine, and `local_only` is on",
                self.provider,
                self.base.target()
            ),
        )
        .hint("use an offline model or a provider at 127.0.0.1, or turn `local_only` off")
    }

    pub(super) fn late(&self, stage: &str, after: Duration) -> Ended {
        Ended { fault: late(&self.provider, stage, after), again: false, unsent: false }
    }

    fn unanswered(&self, cause: legacy::Error) -> Ended {
        let ended = match find::<Unconnected>(&cause) {
            Some(why) => self.unconnected(why),
            None if find::<hyper::Error>(&cause).is_some_and(hyper::Error::is_parse) => {
                self.not_http()
            }
            None => self.closed(),
        };
        ended.because(cause)
    }

    /// There is no connection.
    pub(super) fn unconnected(&self, why: &Unconnected) -> Ended {
        let provider = &self.provider;
        let (fault, again) = match why {
            Unconnected::Late(after) => (late(provider, "connect", *after), true),
            why => {
                let text = format!("provider `{provider}` cannot be reached: {why}");
                // An untrusted certificate or a wrong name stays that way.
                let again = !matches!(why, Unconnected::Tls(_));
                (Fault::new(Code::UpstreamUnavailable, text), again)
            }
        };
        Ended { fault: fault.hint(self.hint()), again, unsent: true }
    }

    /// What came was no HTTP.
    pub(super) fn not_http(&self) -> Ended {
        let text = format!("provider `{}` does not answer in HTTP", self.provider);
        let fault = Fault::new(Code::UpstreamInvalid, text).hint(self.hint());
        Ended { fault, again: false, unsent: false }
    }

    /// The connection ended before the answer.
    pub(super) fn closed(&self) -> Ended {
        let provider = &self.provider;
        let text = format!("provider `{provider}` closed the connection without an answer");
        let fault = Fault::new(Code::UpstreamUnavailable, text).hint(self.hint());
        Ended { fault, again: true, unsent: false }
    }

    fn hint(&self) -> String {
        let (provider, base) = (&self.provider, &self.base);
        format!(
            "check base_url `{base}` of provider `{provider}`, or run `rapport doctor {}`",
            base.target()
        )
    }
}

impl Ended {
    /// The same with its cause.
    pub(super) fn because(self, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { fault: self.fault.because(cause), ..self }
    }
}

pub(super) fn late(provider: &str, stage: &str, after: Duration) -> Fault {
    let what = match stage {
        "connect" => "was not connected",
        "first_byte" => "did not begin to answer",
        "idle" => "fell silent in its answer",
        _ => "did not finish",
    };
    Fault::new(Code::Timeout, format!("provider `{provider}` {what} within {after:?}"))
        .blamed(Blame::Upstream)
        .hint(format!("deadlines.{stage} of provider `{provider}` sets this limit"))
        .details(json!({"stage": stage, "provider": provider}))
}

/// Looks for an error of this type among the causes.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// A body on its way out that tells when its last byte was taken.
struct Outgoing {
    piece: Piece,
    sent: Arc<Notify>,
}

enum Piece {
    /// All of it is here.
    Whole(Option<Bytes>),
    /// It is still coming from the caller.
    Coming(axum::body::Body),
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = match &mut self.piece {
            Piece::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Piece::Coming(body) => Pin::new(body).poll_frame(cx),
        };
        if matches!(self.piece, Piece::Whole(_)) || matches!(polled, Poll::Ready(None)) {
            self.sent.notify_one();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let is_over = match &self.piece {
            Piece::Whole(data) => data.is_none(),
            Piece::Coming(body) => body.is_end_stream(),
        };
        // Nobody polls a body again that says so.
        if is_over {
            self.sent.notify_one();
        }
        is_over
    }

    fn size_hint(&self) -> SizeHint {
        match &self.piece {
            Piece::Whole(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Piece::Coming(body) => body.size_hint(),
        }
    }
}

/// Runs the connections of the pool. Nobody waits for them: they end with the pool.
#[derive(Clone, Copy, Debug)]
struct Driver;

impl<F> hyper::rt::Executor<F> for Driver
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        drop(tasks::detach("upstream connection", future));
    }
}
