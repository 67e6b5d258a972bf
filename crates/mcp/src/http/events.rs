//! Server-sent events: the messages of a stream as they come, with comments while nothing does.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{Stream, unfold};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use wire::frame::sse;

use super::Body;

/// Limit: the longest silence; then a comment shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// An answer that is a stream of events; what `next` makes goes out as it is.
pub(super) fn response<T, F, N>(state: T, next: F) -> Response<Body>
where
    T: Send + 'static,
    F: Fn(T) -> N + Send + 'static,
    N: Future<Output = Option<(Bytes, T)>> + Send + 'static,
{
    let mut response = Response::new(StreamBody::new(frames(state, next)).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    headers.insert(unbuffered, HeaderValue::from_static("no"));
    response
}

fn frames<T, F, N>(state: T, next: F) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>>
where
    T: Send + 'static,
    F: Fn(T) -> N + Send + 'static,
    N: Future<Output = Option<(Bytes, T)>> + Send + 'static,
{
    // The future of the next message lives on through heartbeats: nothing it read is lost.
    let pending = Some(Box::pin(next(state)));
    unfold((pending, next), |(pending, next)| async move {
        let mut waiting = pending?;
        match tokio::time::timeout(HEARTBEAT, &mut waiting).await {
            Ok(Some((bytes, state))) => {
                let pending = Some(Box::pin(next(state)));
                Some((Ok(Frame::data(bytes)), (pending, next)))
            }
            Ok(None) => None,
            Err(_) => Some((Ok(Frame::data(sse::comment("alive"))), (Some(waiting), next))),
        }
    })
}

/// A message as an event.
pub(super) fn message(id: Option<&str>, text: &str) -> Bytes {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // A message is JSON on one line.
    Bytes::from(format!("event: message\n{id}data: {text}\n\n"))
}
