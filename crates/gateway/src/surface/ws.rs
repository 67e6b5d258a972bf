//! WebSocket: the JSON messages of the raw-TCP door, with partial results and a way to stop.

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, Path, State};
use axum::response::Response;
use context::Key;
use http::HeaderMap;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wire::{Code, Fault};

use super::door::RequestId;
use super::native::read as native_read;
use super::native::resume::{self, Resume};
use super::native::shape::Problem;
use super::problem::{self, Failed};
use super::{body, fields, second};
use crate::auth::{self, Caller};
use crate::flow::{self, Answered, Ask, Envelope, Heard, STEPS_MAX, Step, shown};
use crate::gate::Gateway;

pub(super) fn routes() -> OpenApiRouter<Gateway> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(open_context))
}

/// A WebSocket for any session.
#[utoipa::path(get, path = "/ws", tag = "context API",
    responses((status = 101, description = "`{sessionId, message, context, stream?}` in, \
                `{sessionId, partial}` and `{sessionId, response, updatedContext}` out",
               body = Object)))]
async fn open(
    State(gate): State<Gateway>,
    Extension(caller): Extension<Caller>,
    Extension(request): Extension<RequestId>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let envelope = Envelope::new(&caller, &request.0, &headers);
    accept(Talk { gate, caller, envelope, session: None }, upgrade)
}

/// A WebSocket bound to one context.
#[utoipa::path(get, path = "/api/v1/contexts/{id}/ws", tag = "turns",
    params(("id" = String, Path)),
    responses((status = 101, description = "As `/ws`, without `sessionId`", body = Object),
              (status = 404, body = Problem)))]
async fn open_context(
    State(gate): State<Gateway>,
    who: (Extension<Caller>, Extension<RequestId>),
    Path(id): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Failed> {
    let (Extension(caller), Extension(request)) = who;
    gate.contexts().get(&native_read::key(&caller, &id)?).await?;
    let envelope = Envelope::new(&caller, &request.0, &headers);
    Ok(accept(Talk { gate, caller, envelope, session: Some(id) }, upgrade))
}

fn accept(talk: Talk, upgrade: WebSocketUpgrade) -> Response {
    let limit = talk.gate.now().settings.limits.line_bytes;
    upgrade.max_message_size(limit).max_frame_size(limit).on_upgrade(move |socket| {
        let who = Some(talk.caller.name());
        context::acting(who, talk.run(socket))
    })
}

/// Limit: heartbeats without any answer before a peer counts as gone.
const SILENT_MAX: u32 = 3;

struct Talk {
    gate: Gateway,
    caller: Caller,
    /// The upgrade: every turn on the socket came with its id and headers.
    envelope: Envelope,
    session: Option<String>,
}

impl Talk {
    async fn run(mut self, mut socket: WebSocket) {
        let mut silent = 0;
        loop {
            let heartbeat = self.gate.now().settings.limits.heartbeat;
            let Ok(came) = tokio::time::timeout(heartbeat, socket.recv()).await else {
                silent += 1;
                if !self.lives(&mut socket, silent).await {
                    break;
                }
                continue;
            };
            silent = 0;
            let Some(message) = came else { break };
            let text = match message {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) => break,
                Ok(Message::Ping(_) | Message::Pong(_)) => continue,
                Ok(Message::Binary(_)) => {
                    let reason = "send text messages with JSON";
                    close(&mut socket, close_code::UNSUPPORTED, reason).await;
                    break;
                }
                Err(error) => {
                    broken(&mut socket, error).await;
                    break;
                }
            };
            match auth::still(&self.gate, &self.caller) {
                Ok(models) => self.envelope.models = models,
                Err(fault) => {
                    self.part(&mut socket, &fault).await;
                    break;
                }
            }
            let sent = match self.ask(text.as_bytes()) {
                Ok(Wish::Cancel) => Ok(()),
                Ok(Wish::Turn(ask, streamed)) => self.answer(&mut socket, *ask, streamed).await,
                Ok(Wish::Resume(key, resume)) => self.resume(&mut socket, &key, resume).await,
                Err(fault) => self.send(&mut socket, self.error(&fault)).await,
            };
            if let Err(error) = sent {
                broken(&mut socket, error).await;
                break;
            }
        }
    }

    /// Between messages: a sign of life from us, and an end where the peer gives none or may not
    /// be here any more.
    async fn lives(&self, socket: &mut WebSocket, silent: u32) -> bool {
        if let Err(fault) = auth::still(&self.gate, &self.caller) {
            self.part(socket, &fault).await;
            return false;
        }
        if silent >= SILENT_MAX {
            close(socket, close_code::POLICY, "no sign of life came for a long time").await;
            return false;
        }
        socket.send(Message::Ping(axum::body::Bytes::new())).await.is_ok()
    }

    /// Says why the socket is closed on a caller who may not be here any more.
    async fn part(&self, socket: &mut WebSocket, fault: &Fault) {
        // Whoever is gone already needs no reason.
        drop(self.send(socket, self.error(fault)).await);
        close(socket, close_code::POLICY, "the API key does not count any more").await;
    }

    /// Reads one message.
    fn ask(&self, bytes: &[u8]) -> Result<Wish, Fault> {
        let depth = self.gate.now().settings.limits.json_depth;
        let map: Map<String, Value> = match body::parse(bytes, depth)? {
            Value::Object(map) => map,
            other => return Err(fields::wrong("message", "an object", &other)),
        };
        if fields::flag(&map, "cancel")? {
            return Ok(Wish::Cancel);
        }
        // The upgrade was one request; every turn on the socket is one more.
        if let Some(rate) = self.gate.now().settings.limits.requests_per_minute {
            let admitted = self.gate.rates().admit(&self.caller.counted(), rate);
            admitted.inspect_err(|_| self.gate.metrics().limited())?;
        }
        if let Some(resume) = Resume::read(&map)? {
            let session = fields::id(&map)?.or_else(|| self.session.clone());
            let id = session.ok_or_else(|| fields::missing("sessionId"))?;
            return Ok(Wish::Resume(native_read::key(&self.caller, &id)?, resume));
        }
        let said = second::read(&map)?;
        let streamed = said.stream;
        let mut ask = said.ask(&self.caller, self.session.as_deref())?;
        self.caller.must(auth::Scope::Write)?;
        ask.create = self.session.is_none();
        ask.idem = second::idem_of(&map, bytes)?;
        ask.envelope = self.envelope.clone();
        Ok(Wish::Turn(Box::new(ask), streamed))
    }

    /// Goes on with a turn of which the caller missed the end: its pieces, then its final object.
    async fn resume(
        &self,
        socket: &mut WebSocket,
        key: &Key,
        resume: Resume,
    ) -> Result<(), axum::Error> {
        let (past, replay) = match resume.find(&self.gate, key).await {
            Ok(found) => found,
            Err(fault) => return self.send(socket, self.error(&fault)).await,
        };
        let Some(replay) = replay else {
            let out = second::folded(&past).unwrap_or_else(|fault| self.error(&fault));
            return self.send(socket, out).await;
        };
        let heartbeat = self.gate.now().settings.limits.heartbeat;
        let mut after = resume.after;
        loop {
            let heard = tokio::select! {
                heard = replay.hear(after) => heard,
                () = tokio::time::sleep(heartbeat) => {
                    socket.send(Message::Ping(axum::body::Bytes::new())).await?;
                    continue;
                }
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) if is_cancel(&text) => {
                        let stopped = self.gate.desk().stop(key);
                        tracing::debug!(context = %key.id, stopped, "cancelled by the caller");
                        continue;
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
            };
            match heard {
                Heard::Piece(number, piece) => {
                    after = number;
                    if let Some(text) = piece.data.get("text").filter(|_| piece.name == "delta") {
                        let place = Place { turn: past.number, event: number };
                        self.send(socket, place.partial(&key.id, text)).await?;
                    }
                }
                Heard::End(_, end) => {
                    return self.send(socket, second::ended(end, &self.envelope.request)).await;
                }
                Heard::Lost => return self.send(socket, self.error(&resume::lost())).await,
            }
        }
    }

    /// Runs a turn; meanwhile a `{"cancel": true}` stops it, and a closed socket is noticed.
    async fn answer(
        &self,
        socket: &mut WebSocket,
        ask: Ask,
        streamed: bool,
    ) -> Result<(), axum::Error> {
        let key = ask.key.clone();
        let (steps, mut came) = mpsc::channel(STEPS_MAX);
        let steps = streamed.then_some(steps);
        let heartbeat = self.gate.now().settings.limits.heartbeat;
        let turn = flow::turn(&self.gate, ask, steps);
        tokio::pin!(turn);
        let mut result: Option<Result<Answered, Fault>> = None;
        let mut place = Place::default();
        loop {
            tokio::select! {
                biased;
                Some(step) = came.recv() => {
                    if let Some(out) = place.partial_of(&step, &key.id) {
                        self.send(socket, out).await?;
                    }
                }
                done = &mut turn, if result.is_none() => result = Some(done),
                // What stands between us and the peer must not take a long thought for an end.
                () = tokio::time::sleep(heartbeat), if result.is_none() => {
                    socket.send(Message::Ping(axum::body::Bytes::new())).await?;
                }
                message = socket.recv(), if result.is_none() => match message {
                    Some(Ok(Message::Text(text))) if is_cancel(&text) => {
                        let stopped = self.gate.desk().stop(&key);
                        tracing::debug!(context = %key.id, stopped, "cancelled by the caller");
                    }
                    Some(Ok(Message::Text(_))) => {
                        let fault = Fault::new(Code::Conflict, "a turn of this socket is under way")
                            .hint("wait for its final object, or send {\"cancel\": true}");
                        self.send(socket, self.error(&fault)).await?;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
                else => break,
            }
            if result.is_some() && came.is_empty() {
                break;
            }
        }
        let out = match result {
            Some(Ok(answered)) => second::reply(&answered),
            Some(Err(fault)) => self.error(&fault),
            None => return Ok(()),
        };
        self.send(socket, out).await
    }

    fn error(&self, fault: &Fault) -> Value {
        self.gate.metrics().fault(fault);
        Value::Object(problem::object(fault, &self.envelope.request))
    }

    async fn send(&self, socket: &mut WebSocket, out: Value) -> Result<(), axum::Error> {
        socket.send(Message::Text(out.to_string().into())).await
    }
}

/// Says why a socket is closed on which the peer broke a rule.
async fn broken(socket: &mut WebSocket, error: axum::Error) {
    let cause = error.into_inner();
    match cause.downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => {
            close(socket, close_code::SIZE, "the message exceeds `limits.line_bytes`").await;
        }
        Some(tungstenite::Error::Utf8(_)) => {
            close(socket, close_code::INVALID, "the message is not valid UTF-8").await;
        }
        Some(tungstenite::Error::Protocol(_)) => {
            close(socket, close_code::PROTOCOL, "this is not the WebSocket protocol").await;
        }
        // The connection is gone.
        _ => {}
    }
}

async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: reason.into() };
    // Whoever is gone already needs no reason.
    drop(socket.send(Message::Close(Some(frame))).await);
}

fn is_cancel(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|v| v.get("cancel") == Some(&Value::Bool(true)))
}

/// What a message wants.
enum Wish {
    /// The end of a turn when none runs.
    Cancel,
    /// A turn, perhaps with partial results.
    Turn(Box<Ask>, bool),
    /// The rest of a turn.
    Resume(Key, Resume),
}

/// Which event of which turn a piece is, so that a caller can go on behind it.
#[derive(Default)]
struct Place {
    turn: u64,
    event: u64,
}

impl Place {
    /// A piece of text as transports without SSE send it; `None` for other steps.
    fn partial_of(&mut self, step: &Step, session: &str) -> Option<Value> {
        if let Step::Start { turn, .. } = step {
            self.turn = *turn;
        }
        let (name, data) = shown(step)?;
        self.event = self.event.saturating_add(1);
        data.get("text").filter(|_| name == "delta").map(|text| self.partial(session, text))
    }

    fn partial(&self, session: &str, text: &Value) -> Value {
        json!({"sessionId": session, "partial": text, "turn": self.turn, "event": self.event})
    }
}
