//! An HTTP connection: requests go to the routes, answers come back, slow callers are cut off.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use gateway::lane::PROCESSING;
use gateway::{Hostless, Peer};
use http::header::{CONTENT_LENGTH, HOST};
use http::{Method, Request, Response, StatusCode, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tower::ServiceExt;

use super::door::Door;
use super::heard::Heard;
use super::pace::{Pace, Paced};
use super::words::Worded;

/// Limit: bytes of request headers, and of hyper's buffer.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// Limit: header lines of a request.
const HEADERS_MAX: usize = 128;

/// Limit: requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// How often a silent HTTP/2 connection is asked whether anybody is there.
const PING: Duration = Duration::from_secs(30);

/// Serves the requests of one connection until it ends or the server stops.
pub(super) async fn serve<S>(door: Arc<Door>, routes: Router, stream: S, peer: Peer)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let pace = Pace::new();
    let worded = Worded::new(Heard::new(stream, pace.clone()));
    let paced = Paced::new(worded, pace.clone(), door.limits().header_read);
    let service = service_fn(move |request: Request<Incoming>| {
        let (routes, pace) = (routes.clone(), pace.clone());
        async move { Ok::<_, Infallible>(one(&routes, request, peer, &pace).await) }
    });
    let builder = builder();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(paced), service);
    let mut connection = Box::pin(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = door.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = door.close.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        // Callers hang up in the middle all the time.
        tracing::debug!(peer = %peer.addr, error, "connection ended early");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // `Paced` measures this, without counting the silence between requests.
        .header_read_timeout(None)
        // Who only ends its own side waits for its answer, which hyper would lose otherwise; who is
        // gone is `Heard`.
        .half_close(true)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .keep_alive(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

async fn one(
    routes: &Router,
    mut request: Request<Incoming>,
    peer: Peer,
    pace: &Pace,
) -> Response<Timed> {
    pace.begin();
    // HTTP/2 has many requests at once, and pings of its own.
    let many = request.version() == Version::HTTP_2;
    request.extensions_mut().insert(peer);
    if request.version() == Version::HTTP_11 && !request.headers().contains_key(HOST) {
        request.extensions_mut().insert(Hostless);
    }
    // What reads alone costs nobody anything to its end.
    let is_heard = request.version() == Version::HTTP_11 && request.method() == Method::POST;
    pace.expect(is_heard.then_some(PROCESSING));
    let asked = |body| Body::new(Asked { body, pace: (!many).then(|| pace.clone()), whole: false });
    let Ok(response) = routes.clone().oneshot(request.map(asked)).await;
    pace.expect(sign(&response).filter(|_| is_heard));
    // After an upgrade the connection is a WebSocket, whose silence is not ours to judge.
    let timed = !many && response.status() != StatusCode::SWITCHING_PROTOCOLS;
    let end = timed.then(|| End(pace.clone()));
    response.map(|body| Timed { body, _end: end })
}

/// What says nothing between two pieces of this answer: a zero before the next length.
fn sign(response: &Response<Body>) -> Option<&'static [u8]> {
    let is_chunked = response.status() == StatusCode::OK
        && !response.headers().contains_key(CONTENT_LENGTH)
        && response.body().size_hint().exact().is_none();
    is_chunked.then_some(b"0".as_slice())
}

/// A request body that tells the pace when its reader lost interest before its end.
#[derive(Debug)]
struct Asked {
    body: Incoming,
    pace: Option<Pace>,
    whole: bool,
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.whole |= matches!(polled, Poll::Ready(None));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(pace) = &self.pace
            && !self.whole
            && !http_body::Body::is_end_stream(&self.body)
        {
            pace.leave_unread();
        }
    }
}

/// Tells the pace that a response is out.
#[derive(Debug)]
struct End(Pace);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A response body that says when it is over, however it ends.
#[derive(Debug)]
struct Timed {
    body: Body,
    _end: Option<End>,
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
