//! HTTP/2 where rules act: both connections end here, and each stream goes on by itself.
//!
//! Without rules the bytes of a connection pass as they are (see [`super::tunnel`]). Headers are
//! packed by what went before them on the same connection, so that a stream cannot be changed,
//! held or answered without a pair of connections of our own.

mod flow;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use self::flow::{Flow, Recorded};
use super::Shared;
use super::connection::Caller;
use crate::capture::{Ending, Kind};
use crate::tasks;

/// Limit: bytes of the headers of one message.
const HEADERS_BYTES_MAX: u32 = 1 << 20;
/// Bytes that may be on their way on one stream, and on all of a connection.
const WINDOWS: (u32, u32) = (1 << 20, 4 << 20);

/// What the streams of a connection share.
struct Line {
    shared: Arc<Shared>,
    peer: String,
    /// The connection to the target, or why there is none.
    target: Result<SendRequest<Flow>, String>,
}

/// Serves a connection of HTTP/2, stream by stream, to its end.
pub(super) async fn all(shared: &Arc<Shared>, caller: Caller) {
    let Caller { stream, peer, ahead, target } = caller;
    let peer = peer.to_string();
    let entry = shared.book.open(Kind::Http2, peer.clone(), shared.target.to_string());
    entry.change(|_| {});
    let entry = Arc::new(entry);
    let open = match super::tunnel::reached(shared, Kind::Http2, target).await {
        Ok(open) => {
            let connected = entry.elapsed();
            entry.change(|page| page.times.connected = Some(connected));
            open_target(open).await
        }
        Err(why) => Err(why),
    };
    let (target, connection) = match open {
        Ok((sender, connection)) => (Ok(sender), Some(connection)),
        Err(why) => (Err(why), None),
    };
    let unreached = target.as_ref().err().cloned();
    let line = Arc::new(Line { shared: Arc::clone(shared), peer, target });
    let service = service_fn(move |request: Request<Incoming>| {
        let line = Arc::clone(&line);
        async move { Box::pin(stream::one(&line, request)).await }
    });
    let recorded = Recorded::new(stream, ahead, Arc::clone(&entry));
    let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .serve_connection(TokioIo::new(recorded), service)
        .await;
    if let Some(connection) = connection {
        connection.abort();
    }
    entry.end(match (served, unreached) {
        (_, Some(why)) => Ending::Unreached(why),
        (Ok(()), None) => Ending::Whole,
        (Err(_), None) => Ending::CutByCaller,
    });
}

async fn open_target(
    open: Box<dyn super::Duplex>,
) -> Result<(SendRequest<Flow>, tokio::task::JoinHandle<()>), String> {
    let shaken = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .handshake(TokioIo::new(open))
        .await;
    let (sender, connection) = shaken.map_err(|error| format!("speaks no HTTP/2: {error}"))?;
    let connection = tasks::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the target broke");
        }
    });
    Ok((sender, connection))
}

/// An answer that is complete as it stands, written as HTTP/1 would be.
fn whole(bytes: &[u8]) -> Response<Flow> {
    use crate::http::{Head, Side};
    let head = Head::read(bytes, Side::Answer).ok().flatten();
    let length = head.as_ref().map_or(0, |head| head.length);
    let body = bytes.get(length..).unwrap_or_default().to_vec();
    let mut response = Response::new(Flow::whole(body));
    let Some(head) = head else { return response };
    if let Ok(status) = http::StatusCode::from_u16(head.status()) {
        *response.status_mut() = status;
    }
    for (name, value) in &head.headers {
        set(response.headers_mut(), name, value);
    }
    response
}

/// Gives a header this one value; an empty value takes it away. What is none changes nothing.
fn set(headers: &mut http::HeaderMap, name: &str, value: &str) {
    let Ok(name) = http::HeaderName::try_from(name) else { return };
    if value.is_empty() {
        headers.remove(name);
    } else if let Ok(value) = http::HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Why a stream is reset instead of answered.
#[derive(Debug)]
struct Refused(&'static str);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refused {}

impl From<Infallible> for Refused {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
