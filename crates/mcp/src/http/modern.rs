//! A request of the modern era: checked, run, answered as JSON or as a stream that ends with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Body, events, headers, json};
use crate::rpc::{self, Id, Params, Refusal};
use crate::server::{Next, Reader, Replay, Said, Serve, Server, Subscription, said};
use crate::tasks;

pub(super) async fn request<S: Serve>(
    server: &Server<S>,
    caller: S::Caller,
    headers: &HeaderMap,
    (id, method, params): (Id, String, Params),
) -> Response<Body> {
    let checked = headers::agree(headers, &method, &params).and_then(|()| said(&params));
    let said = match checked {
        Ok(said) => said,
        Err(refusal) => return refused(&id, &refusal),
    };
    if method == "subscriptions/listen" {
        return listen(server, &caller, (id, &params));
    }
    if method == "tools/call"
        && let Err(refusal) = mirrored(server, (&caller, &said), headers, &params).await
    {
        return refused(&id, &refusal);
    }
    let replay = Replay::new(0);
    let cancelled = CancellationToken::new();
    // A caller that closes the response wants no answer any more.
    let guard = cancelled.clone().drop_guard();
    let status = Arc::new(AtomicU16::new(200));
    let mut reader = replay.read_after(0);
    let (server, told) = (server.clone(), Arc::clone(&status));
    let mut run = Box::pin(async move {
        let ways = (Arc::clone(&replay), cancelled);
        let answer = server.run_modern((said, caller), (id, method, params), ways).await;
        let text = answer.map(|(text, code)| {
            told.store(code, Ordering::Release);
            text
        });
        replay.end(text);
    });
    // The one who asks drives it: nobody else has to be woken for an answer that is all there is.
    let early = tokio::select! {
        biased;
        () = &mut run => None,
        next = reader.next() => Some(next),
    };
    let next = match early {
        Some(next) => {
            // It had something to tell before, and goes on beside the stream that tells it.
            tasks::spawn(run);
            next
        }
        None => reader.next().await,
    };
    match next {
        Next::Message(number, text) if reader.replay().is_over_at(number) => {
            let status = StatusCode::from_u16(status.load(Ordering::Acquire));
            json(status.unwrap_or(StatusCode::OK), text.to_string())
        }
        Next::Message(_, text) => stream(Some(text), reader, guard),
        Next::Cut | Next::End => super::empty(StatusCode::ACCEPTED),
    }
}

/// Looks up which of the tool's arguments come in headers too, and whether they say the same.
async fn mirrored<S: Serve>(
    server: &Server<S>,
    (caller, said): (&S::Caller, &Said),
    headers: &HeaderMap,
    params: &Params,
) -> Result<(), Refusal> {
    let Some(name) = params.text("name") else { return Ok(()) };
    let Some(tool) = server.tool((caller.clone(), said.clone()), name).await? else {
        return Ok(());
    };
    let schema = tool.get("inputSchema").unwrap_or(&Value::Null);
    headers::mirrored(headers, schema, params.0.get("arguments"))
}

fn refused(id: &Id, refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    json(status, rpc::error(Some(id), refusal))
}

fn stream(first: Option<Arc<str>>, reader: Reader, guard: DropGuard) -> Response<Body> {
    events::response((first, reader, guard), |(first, mut reader, guard)| async move {
        if let Some(text) = first {
            return Some((events::message(None, &text), (None, reader, guard)));
        }
        match reader.next().await {
            Next::Message(_, text) => Some((events::message(None, &text), (None, reader, guard))),
            Next::Cut | Next::End => None,
        }
    })
}

fn listen<S: Serve>(
    server: &Server<S>,
    caller: &S::Caller,
    asked: (Id, &Params),
) -> Response<Body> {
    let (acknowledged, subscription) = server.listen(caller, asked);
    let state: (Option<String>, Subscription) = (Some(acknowledged), subscription);
    events::response(state, |(first, mut subscription)| async move {
        if let Some(text) = first {
            return Some((events::message(None, &text), (None, subscription)));
        }
        let text = subscription.next().await?;
        Some((events::message(None, &text), (None, subscription)))
    })
}
