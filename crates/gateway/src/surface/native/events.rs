//! Following a context: its messages as they are settled, from any number, as Server-Sent Events or
//! on a WebSocket.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use context::{Key, News, Seen, Status};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::frame::sse;
use wire::{Code, Fault};

use super::contexts::{bad_query, touched};
use super::read;
use super::shape::{self, Problem};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::problem::{self, Failed};

/// Limit: the longest silence; then a comment shows that we are alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Limit: how often a follower looks while others write.
const PAUSE: Duration = Duration::from_millis(50);

/// Limit: bytes of a message from a follower.
const FOLLOWER_BYTES_MAX: usize = 4096;
/// How often a follower asks whether the server stops.
const LOOK: Duration = Duration::from_secs(1);

/// Where to begin.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// Tell the messages after this number; `now` tells only new ones. The header
    /// `Last-Event-ID`, which browsers send when they come back, wins.
    after: Option<String>,
}

/// Follows a context: `message` for every settled message, `rollback` when it went back,
/// `context` when anything of it changed, `end` when it is closed or gone.
///
/// A request for a WebSocket gets the same events as messages `{event, id?, data}`.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/events", tag = "messages",
    params(("id" = String, Path), EventsQuery),
    responses((status = 200, description = "Server-Sent Events; the id of a `message` is its \
                number", content_type = "text/event-stream", body = String),
              (status = 404, body = Problem)))]
pub(crate) async fn events(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    query: Result<Query<EventsQuery>, axum::extract::rejection::QueryRejection>,
    (headers, upgrade): (HeaderMap, Result<WebSocketUpgrade, WebSocketUpgradeRejection>),
) -> Result<Response, Failed> {
    let Query(query) = query.map_err(|e| bad_query(&e))?;
    let key = read::key(&caller, &id)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let found = gate.contexts().get(&key).await?;
    let head = u32::try_from(found.size.messages).unwrap_or(u32::MAX);
    let after = match last.or(query.after.as_deref()) {
        None => 0,
        Some("now") => head,
        Some(text) => text.parse().map_err(|error: std::num::ParseIntError| {
            let text =
                format!("`after` must be a number or `now`, got `{}`", text.escape_default());
            Fault::new(Code::InvalidInput, text).details(json!({"field": "after"})).because(error)
        })?,
    };
    let writes = gate.contexts().writes();
    let follower = Follower {
        seen: Seen::upto(after),
        revision: None,
        over: false,
        key: key.clone(),
        writes,
        gate,
    };
    if let Ok(upgrade) = upgrade {
        // Nothing that a follower sends is longer than a pong.
        let upgrade = upgrade.max_message_size(FOLLOWER_BYTES_MAX);
        return Ok(touched(upgrade.on_upgrade(move |socket| follower.speak(socket)), &key));
    }
    let stream = futures_util::stream::unfold(follower, |mut follower| async {
        let mut out = BytesMut::new();
        for told in follower.next().await? {
            out.extend_from_slice(&told.encode());
        }
        Some((Ok::<Bytes, Infallible>(out.freeze()), follower))
    });
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-transform"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok(touched((headers, Body::from_stream(stream)).into_response(), &key))
}

/// Why a follower stopped waiting.
enum Waited {
    Written,
    Long,
    Over,
}

/// One event.
enum Told {
    /// A sign of life.
    Alive,
    Event {
        name: &'static str,
        id: Option<u64>,
        data: Value,
    },
}

impl Told {
    fn of(name: &'static str, id: Option<u64>, data: Value) -> Self {
        Self::Event { name, id, data }
    }

    fn encode(&self) -> Bytes {
        match self {
            Self::Alive => sse::comment("ping"),
            Self::Event { name, id, data } => sse::encode(Some(name), *id, &data.to_string()),
        }
    }

    fn message(self) -> Message {
        match self {
            Self::Alive => Message::Ping(Bytes::new()),
            Self::Event { name, id, data } => {
                let mut out = json!({"event": name, "data": data});
                if let (Some(id), Some(map)) = (id, out.as_object_mut()) {
                    map.insert("id".to_owned(), id.into());
                }
                Message::Text(out.to_string().into())
            }
        }
    }
}

struct Follower {
    gate: Gateway,
    key: Key,
    writes: watch::Receiver<u64>,
    seen: Seen,
    revision: Option<u64>,
    over: bool,
}

impl Follower {
    /// Tells the events on a WebSocket until one side ends it.
    async fn speak(mut self, mut socket: WebSocket) {
        loop {
            let told = tokio::select! {
                told = self.next() => told,
                came = socket.recv() => match came {
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    // Followers have nothing to say.
                    Some(Ok(_)) => continue,
                },
            };
            let Some(told) = told else { break };
            for told in told {
                if socket.send(told.message()).await.is_err() {
                    return;
                }
            }
        }
        let frame = CloseFrame { code: close_code::NORMAL, reason: "it is over".into() };
        // Whoever is gone already needs no reason.
        drop(socket.send(Message::Close(Some(frame))).await);
    }

    /// The next events, or a sign of life; `None` at the end.
    async fn next(&mut self) -> Option<Vec<Told>> {
        if self.over {
            return None;
        }
        loop {
            // Marked first: what is written while we look wakes us again.
            self.writes.borrow_and_update();
            let told = match self.gate.contexts().news(&self.key, self.seen).await {
                Ok(news) => self.tell(&news),
                Err(fault) => {
                    self.over = true;
                    return Some(vec![gone(&fault)]);
                }
            };
            if !told.is_empty() {
                return Some(told);
            }
            match self.wait().await {
                Waited::Written => tokio::time::sleep(PAUSE).await,
                Waited::Long => return Some(vec![Told::Alive]),
                Waited::Over => return None,
            }
        }
    }

    /// Waits for a write, a sign of life, or the end of the server.
    async fn wait(&mut self) -> Waited {
        let began = tokio::time::Instant::now();
        while began.elapsed() < HEARTBEAT {
            match tokio::time::timeout(LOOK, self.writes.changed()).await {
                Ok(Ok(())) => return Waited::Written,
                Ok(Err(_)) => return Waited::Over,
                Err(_) if self.gate.tasks().is_draining() => return Waited::Over,
                Err(_) => {}
            }
        }
        Waited::Long
    }

    fn tell(&mut self, news: &News) -> Vec<Told> {
        let mut out = Vec::new();
        if let Some(to) = news.back_to {
            out.push(Told::of("rollback", Some(to.into()), json!({"to": to})));
        }
        let message = |entry: &context::Entry| {
            Told::of("message", Some(entry.seq.into()), shape::message(entry))
        };
        out.extend(news.entries.iter().map(message));
        self.seen = news.seen;
        if !news.more && self.revision != Some(news.revision) {
            self.revision = Some(news.revision);
            let data = json!({
                "revision": news.revision, "status": news.status.as_str(),
                "open_turn": news.open_turn,
            });
            out.push(Told::of("context", None, data));
            if news.status == Status::Closed && news.open_turn.is_none() {
                out.push(Told::of("end", None, json!({"reason": "closed"})));
                self.over = true;
            }
        }
        out
    }
}

/// The last event of a context that cannot be read any more.
fn gone(fault: &Fault) -> Told {
    let mut object = problem::object(fault, "");
    object.insert("reason".to_owned(), fault.code().as_str().into());
    Told::of("end", None, Value::Object(object))
}
