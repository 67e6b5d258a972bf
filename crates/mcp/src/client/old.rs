//! A server of the first revision: answers come on one stream of events, requests go to the
//! address that its first event names.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Request, Uri};
use tokio::sync::{mpsc, oneshot};
use wire::frame::sse::Decoder;

use super::desk::{Back, Desk};
use super::failure::{Failure, shown};
use super::web::{Out, Pending};
use crate::bridge::{Carried, is_stream, whole};
use crate::rpc::{self, Incoming};
use crate::tasks;

/// Limit: one event of a server.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Limit: messages that wait to be sent.
const LINES_MAX: usize = 256;
/// Limit: how long a server may take to name the address for requests.
const ENDPOINT_WITHIN: Duration = Duration::from_secs(10);

/// The way to such a server.
#[derive(Debug)]
pub(super) struct Old {
    lines: mpsc::Sender<String>,
}

#[derive(Debug)]
struct ToServer(mpsc::Sender<String>);

impl Back for ToServer {
    fn say(&self, line: String) -> Pending<'_, ()> {
        Box::pin(async move {
            drop(self.0.send(line).await);
        })
    }
}

impl Old {
    /// Opens the stream and waits for the address of requests.
    ///
    /// # Errors
    /// When this is no such server.
    pub(super) async fn open(
        out: Out,
        (url, headers): (&Uri, &HeaderMap),
        desk: &Arc<Desk>,
    ) -> Result<Self, Failure> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = url.clone();
        let own = request.headers_mut();
        own.extend(headers.clone());
        own.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let answer = out.exchange(&request).await?;
        if !is_stream(&answer) {
            let text = format!("`{url}` answered {} and no stream of events", answer.status());
            return Err(Failure::lost(text));
        }
        let (lines, sent) = mpsc::channel(LINES_MAX);
        let (found, finding) = oneshot::channel();
        let back: Arc<dyn Back> = Arc::new(ToServer(lines.clone()));
        let reading = read(answer, Arc::clone(desk), back, found);
        let reader = Arc::clone(desk);
        tasks::spawn(async move {
            tokio::select! {
                () = reading => reader.lose(Failure::lost("its stream of events ended")),
                () = reader.gone.cancelled() => {}
            }
        });
        let named = match tokio::time::timeout(ENDPOINT_WITHIN, finding).await {
            Ok(Ok(named)) => named,
            Ok(Err(_)) => return Err(desk.why()),
            Err(_) => return Err(Failure::Late(ENDPOINT_WITHIN)),
        };
        let address = joined(url, &named).ok_or_else(|| {
            let text = format!("it sends requests to another place: `{}`", shown(&named));
            Failure::lost(text)
        })?;
        tasks::spawn(write(out, (address, headers.clone()), sent, Arc::clone(desk)));
        Ok(Self { lines })
    }

    /// Sends a message.
    pub(super) async fn send(&self, line: String) -> Result<(), Failure> {
        self.lines.send(line).await.map_err(|_closed| Failure::unsent("the connection is closed"))
    }

    /// Sends a message if there is room: for what may be lost.
    pub(super) fn hint(&self, line: String) {
        drop(self.lines.try_send(line));
    }
}

/// The address that a server names, below its own origin: nobody else gets our requests.
fn joined(url: &Uri, named: &str) -> Option<Uri> {
    let named = named.trim();
    let (scheme, authority) = (url.scheme_str()?, url.authority()?);
    if named.contains("://") {
        let uri: Uri = named.parse().ok()?;
        let same = uri.scheme_str() == Some(scheme) && uri.authority() == Some(authority);
        return same.then_some(uri);
    }
    if named.starts_with("//") {
        return None;
    }
    let path = if named.starts_with('/') {
        named.to_owned()
    } else {
        let folder = url.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{named}")
    };
    format!("{scheme}://{authority}{path}").parse().ok()
}

async fn read(
    answer: Carried,
    desk: Arc<Desk>,
    back: Arc<dyn Back>,
    found: oneshot::Sender<String>,
) {
    let mut found = Some(found);
    let mut decoder = Decoder::new(EVENT_BYTES_MAX);
    let mut pieces = answer.into_body();
    let mut events = Vec::new();
    while let Some(Ok(piece)) = pieces.next().await {
        if decoder.push(&piece, &mut events).is_err() {
            return;
        }
        for event in events.drain(..) {
            if event.event.as_deref() == Some("endpoint") {
                if let Some(found) = found.take() {
                    drop(found.send(event.data));
                }
                continue;
            }
            match rpc::read(event.data.as_bytes()) {
                Ok(Incoming::One(message)) => desk.take(message, None, &back),
                Ok(Incoming::Batch(_)) => {}
                Err(refusal) => {
                    desk.unreadable(event.data.as_bytes(), &refusal);
                }
            }
        }
    }
}

async fn write(
    out: Out,
    (address, headers): (Uri, HeaderMap),
    mut sent: mpsc::Receiver<String>,
    desk: Arc<Desk>,
) {
    loop {
        let line = tokio::select! {
            line = sent.recv() => line,
            () = desk.gone.cancelled() => None,
        };
        let Some(line) = line else { return };
        let mut request = Request::new(Bytes::from(line));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address.clone();
        let own = request.headers_mut();
        own.extend(headers.clone());
        own.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match out.exchange(&request).await {
            Ok(answer) if answer.status().is_success() => drop(whole(answer).await),
            Ok(answer) => {
                let text = format!("it answered {} to a message", answer.status());
                return desk.lose(Failure::lost(text));
            }
            Err(failure) => return desk.lose(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_with_the_origin_of_the_stream() {
        let url: Uri = "http://127.0.0.1:9/a/sse".parse().unwrap();
        let found = |named: &str| joined(&url, named).map(|uri| uri.to_string());
        assert_eq!(found("/messages?s=1").as_deref(), Some("http://127.0.0.1:9/messages?s=1"));
        assert_eq!(found("messages").as_deref(), Some("http://127.0.0.1:9/a/messages"));
        assert_eq!(found("http://127.0.0.1:9/m").as_deref(), Some("http://127.0.0.1:9/m"));
        for elsewhere in ["http://evil.example/m", "//evil.example/m", "https://127.0.0.1:9/m"] {
            assert_eq!(found(elsewhere), None, "{elsewhere}");
        }
    }
}
