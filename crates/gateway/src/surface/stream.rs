//! A turn as Server-Sent Events: flushed one by one, with heartbeats, and always an end.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;
use tokio::sync::mpsc;
use wire::Fault;
use wire::frame::sse;

use super::door::Touched;
use super::problem::{self, Failed};
use crate::flow::{Answered, STEPS_MAX, Step, shown};

/// Limit: the longest silence on a stream; then a comment shows that we are alive.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A turn under way that sends its steps into the channel it was given.
pub(crate) type Turning = Pin<Box<dyn Future<Output = Result<Answered, Fault>> + Send>>;

/// How a door shapes the final event and the errors of its streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// The data of `done`.
    pub(crate) done: fn(&Answered) -> Value,
    /// Further members of an error object.
    pub(crate) failed: fn(&Fault) -> serde_json::Map<String, Value>,
}

/// Runs a turn and streams it. What fails before the first event is an ordinary error answer.
///
/// # Errors
/// The turn's fault, if it failed before the first event.
pub(crate) async fn respond(
    start: impl FnOnce(mpsc::Sender<Step>) -> Turning,
    request: std::sync::Arc<str>,
    shape: Shape,
) -> Result<Response, Failed> {
    let (steps, came) = mpsc::channel(STEPS_MAX);
    let mut stream = Stream {
        turn: Some(start(steps)),
        result: None,
        came,
        shape,
        request,
        number: 0,
        over: false,
    };
    let first = match stream.next().await {
        Turned::Failed(fault) => {
            let extra = Some(Box::new((shape.failed)(&fault)));
            return Err(Failed { fault, extra });
        }
        Turned::Event(bytes, context) => (bytes, context),
        Turned::Nothing => return Err(Fault::internal("the turn said nothing").into()),
    };
    let (bytes, context) = first;
    let rest = futures_util::stream::unfold((Some(bytes), stream), |(head, mut stream)| async {
        if let Some(bytes) = head {
            return Some((Ok::<Bytes, Infallible>(bytes), (None, stream)));
        }
        match stream.next().await {
            Turned::Event(bytes, _) => Some((Ok(bytes), (None, stream))),
            Turned::Failed(fault) => Some((Ok(stream.error(&fault)), (None, stream))),
            Turned::Nothing => None,
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        // Nginx would collect the events otherwise.
        (http::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let mut response = (headers, Body::from_stream(rest)).into_response();
    if let Some(context) = context {
        response.extensions_mut().insert(Touched(context));
    }
    Ok(response)
}

struct Stream {
    turn: Option<Turning>,
    result: Option<Result<Answered, Fault>>,
    came: mpsc::Receiver<Step>,
    shape: Shape,
    request: std::sync::Arc<str>,
    number: u64,
    over: bool,
}

enum Turned {
    Event(Bytes, Option<std::sync::Arc<str>>),
    Failed(Fault),
    Nothing,
}

impl Stream {
    /// The next event, whatever comes first: a step, the end of the turn, or a silence.
    async fn next(&mut self) -> Turned {
        loop {
            if self.over {
                return Turned::Nothing;
            }
            let step = tokio::select! {
                biased;
                step = self.came.recv() => step,
                result = poll(&mut self.turn), if self.turn.is_some() => {
                    self.turn = None;
                    self.result = Some(result);
                    continue;
                }
                () = tokio::time::sleep(HEARTBEAT) => {
                    return Turned::Event(sse::comment("ping"), None);
                }
            };
            let Some(step) = step else { return self.end().await };
            if let Some(turned) = self.step(&step) {
                return turned;
            }
        }
    }

    /// All steps have come: the turn's result is the last event.
    async fn end(&mut self) -> Turned {
        let result = match (self.result.take(), self.turn.as_mut()) {
            (Some(result), _) => result,
            (None, Some(turn)) => turn.await,
            (None, None) => return Turned::Nothing,
        };
        self.turn = None;
        self.over = true;
        match result {
            Ok(answered) => {
                let data = (self.shape.done)(&answered).to_string();
                let context = std::sync::Arc::clone(&answered.turn.context);
                Turned::Event(self.event("done", &data), Some(context))
            }
            Err(fault) => Turned::Failed(fault),
        }
    }

    fn step(&mut self, step: &Step) -> Option<Turned> {
        let (name, data) = shown(step)?;
        let context = match step {
            Step::Start { context, .. } => Some(std::sync::Arc::clone(context)),
            Step::Event(_) => None,
        };
        Some(Turned::Event(self.event(name, &data.to_string()), context))
    }

    fn event(&mut self, name: &str, data: &str) -> Bytes {
        self.number = self.number.saturating_add(1);
        sse::encode(Some(name), Some(self.number), data)
    }

    fn error(&mut self, fault: &Fault) -> Bytes {
        let mut object = problem::object(fault, &self.request);
        object.extend((self.shape.failed)(fault));
        self.event("error", &Value::Object(object).to_string())
    }
}

async fn poll(turn: &mut Option<Turning>) -> Result<Answered, Fault> {
    match turn.as_mut() {
        Some(turn) => turn.await,
        None => std::future::pending().await,
    }
}

/// Tells whether the caller asks for a stream by header.
pub(crate) fn wanted(headers: &http::HeaderMap) -> bool {
    headers
        .get(http::header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("text/event-stream"))
}
