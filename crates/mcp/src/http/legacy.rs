//! The era of sessions over HTTP: answers, the stream of a session, coming back for the rest.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HeaderValue;
use http::{HeaderMap, Response, StatusCode};
use tokio::sync::watch;
use wire::frame::sse;

use super::{Body, CARRIES, SESSION, VERSION, empty, events, headers, json, not_allowed, refused};
use crate::revision::Revision;
use crate::rpc::{self, Id, Incoming, Message, Params, Refusal};
use crate::server::{Changing, Ear, Interest, Next, Reader, Serve, Server, Session};
use crate::tasks;

/// How long a client waits before it comes back for the rest of a stream, in milliseconds.
const RETRY_MS: u32 = 500;

pub(super) async fn post<S: Serve>(
    server: &Server<S>,
    caller: S::Caller,
    headers: &HeaderMap,
    incoming: Incoming,
) -> Response<Body> {
    if let Incoming::One(Message::Request { id, method, params }) = &incoming
        && method == "initialize"
    {
        return initialize(server, &caller, (id, params));
    }
    let session = match session(server, headers) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    match incoming {
        Incoming::One(Message::Request { id, method, params }) => {
            request(server, (session, caller), (id, method, params)).await
        }
        Incoming::One(message) => {
            take(&session, message);
            empty(StatusCode::ACCEPTED)
        }
        Incoming::Batch(_) if session.revision > Revision::V2025_03_26 => {
            let text = format!("the revision {} has no batches", session.revision.name());
            refused(StatusCode::BAD_REQUEST, &Refusal::request(text))
        }
        Incoming::Batch(messages) => batch(server, (session, caller), messages).await,
    }
}

fn initialize<S: Serve>(
    server: &Server<S>,
    caller: &S::Caller,
    (id, params): (&Id, &Params),
) -> Response<Body> {
    match server.initialize(caller, params) {
        Ok((session, result)) => {
            server.inner().sessions.add(&session);
            let mut response = json(StatusCode::OK, rpc::result(id, &result));
            if let Ok(value) = HeaderValue::from_str(&session.id) {
                response.headers_mut().insert(SESSION, value);
            }
            response
        }
        Err(refusal) => json(StatusCode::BAD_REQUEST, rpc::error(Some(id), &refusal)),
    }
}

/// The session of a request.
fn session<S: Serve>(
    server: &Server<S>,
    headers: &HeaderMap,
) -> Result<Arc<Session>, Box<Response<Body>>> {
    let refuse = |status, text: String| Box::new(refused(status, &Refusal::request(text)));
    if let Some(version) = headers::text(headers, VERSION)
        && Revision::parse(version).is_none()
    {
        let shown: String = version.chars().take(40).collect();
        let text = format!(
            "the revision `{shown}` is not spoken here; these are: {}",
            Revision::names().join(", ")
        );
        return Err(refuse(StatusCode::BAD_REQUEST, text));
    }
    let Some(id) = headers::text(headers, SESSION) else {
        let text = "begin with `initialize` and send its `Mcp-Session-Id`, or speak 2026-07-28";
        return Err(refuse(StatusCode::BAD_REQUEST, text.to_owned()));
    };
    server.inner().sessions.find(id).ok_or_else(|| {
        refuse(StatusCode::NOT_FOUND, "this session was ended: `initialize` again".to_owned())
    })
}

/// Takes what needs no answer.
fn take(session: &Session, message: Message) {
    match message {
        Message::Notification { method, params } => session.noted(&method, &params),
        Message::Response { id, outcome } => session.told(&id, outcome),
        Message::Request { .. } => {}
    }
}

async fn request<S: Serve>(
    server: &Server<S>,
    (session, caller): (Arc<Session>, S::Caller),
    asked: (Id, String, Params),
) -> Response<Body> {
    let replay = session.stream();
    let reader = replay.read_after(0);
    let (server, owner) = (server.clone(), Arc::clone(&session));
    // The request goes on when its caller loses the connection: it may come back for the answer.
    tasks::spawn(async move {
        server.run_legacy((owner, caller), asked, replay).await;
    });
    let mut reader = Resumed { reader, session, primed: true };
    match reader.reader.next().await {
        Next::Message(number, text) if reader.reader.replay().is_over_at(number) => {
            reader.session.was_read(reader.reader.replay());
            json(StatusCode::OK, text.to_string())
        }
        Next::Message(number, text) => {
            reader.primed = false;
            stream(reader, Some((number, text)))
        }
        Next::Cut => {
            reader.primed = false;
            stream(reader, None)
        }
        // It was cancelled.
        Next::End => empty(StatusCode::ACCEPTED),
    }
}

async fn batch<S: Serve>(
    server: &Server<S>,
    (session, caller): (Arc<Session>, S::Caller),
    messages: Vec<Result<Message, Refusal>>,
) -> Response<Body> {
    let mut answers = Vec::new();
    for message in messages {
        match message {
            Ok(Message::Request { id, method, params }) => {
                let replay = session.stream();
                let who = (Arc::clone(&session), caller.clone());
                Box::pin(server.run_legacy(who, (id, method, params), Arc::clone(&replay))).await;
                let mut reader = replay.read_after(0);
                while let Next::Message(_, text) = reader.next().await {
                    answers.push(text.to_string());
                }
                session.was_read(&replay);
            }
            Ok(message) => take(&session, message),
            Err(refusal) => answers.push(rpc::error(None, &refusal)),
        }
    }
    if answers.is_empty() {
        return empty(StatusCode::ACCEPTED);
    }
    json(StatusCode::OK, format!("[{}]", answers.join(",")))
}

/// A stream that its client may read in several goes.
struct Resumed {
    reader: Reader,
    session: Arc<Session>,
    /// The client was told where the stream begins.
    primed: bool,
}

type Held = Option<(u64, Arc<str>)>;

fn stream(reader: Resumed, first: Held) -> Response<Body> {
    events::response((reader, first), |(mut reader, first)| async move {
        let stream = reader.reader.replay().number();
        if !reader.primed {
            reader.primed = true;
            if reader.session.revision >= Revision::V2025_11_25 {
                let prime = format!("id: {stream}-0\nretry: {RETRY_MS}\ndata: \n\n");
                return Some((Bytes::from(prime), (reader, first)));
            }
        }
        let (number, text) = match first {
            Some(held) => held,
            None => match reader.reader.next().await {
                Next::Message(number, text) => (number, text),
                Next::Cut => return None,
                Next::End => {
                    reader.session.was_read(reader.reader.replay());
                    return None;
                }
            },
        };
        let id = format!("{stream}-{number}");
        Some((events::message(Some(&id), &text), (reader, None)))
    })
}

/// The stream of a session: what changes, or the rest of a stream that was lost.
pub(super) fn get<S: Serve>(
    server: &Server<S>,
    caller: S::Caller,
    headers: &HeaderMap,
) -> Response<Body> {
    if headers::text(headers, SESSION).is_none() {
        return not_allowed();
    }
    let session = match session(server, headers) {
        Ok(session) => session,
        Err(response) => return *response,
    };
    if !super::takes_events(headers) {
        let refusal = Refusal::request("send `Accept: text/event-stream`");
        return refused(StatusCode::NOT_ACCEPTABLE, &refusal);
    }
    if let Some(last) = headers::text(headers, "last-event-id")
        && let Some((stream_number, after)) = place(last)
        && let Some(replay) = session.find_stream(stream_number)
    {
        let reader = replay.read_after(after);
        return stream(Resumed { reader, session, primed: true }, None);
    }
    if let Some(last) = headers::text(headers, "last-event-id") {
        session.remember(last);
    }
    // Older clients take an event without data for a broken message.
    let carries = session.revision >= Revision::V2025_11_25 || headers.contains_key(CARRIES);
    let memory = session.listening();
    let changing = server.changing();
    let interest = server.heard_by(&session, &caller);
    let server = server.clone();
    let ear = session.ear();
    let ways = (memory, interest, ear);
    let held = Listening { server, caller, changing, session, ways, carries, fresh: true };
    events::response(held, |mut held| async move {
        let bytes = held.next().await?;
        Some((bytes, held))
    })
}

/// A session's own stream.
struct Listening<S: Serve> {
    server: Server<S>,
    caller: S::Caller,
    session: Arc<Session>,
    changing: Changing,
    /// What there is to remember, what is listened to, and whether this stream tells of it.
    ways: (watch::Receiver<u64>, Interest, Ear),
    carries: bool,
    fresh: bool,
}

impl<S: Serve> Listening<S> {
    async fn next(&mut self) -> Option<Bytes> {
        if self.fresh {
            self.fresh = false;
            // Bytes at once, so that nobody in between waits for the first change.
            let mut bytes = sse::comment("listening").to_vec();
            bytes.extend(carried(&self.session, self.carries).unwrap_or_default());
            return Some(bytes.into());
        }
        let (memory, interest, ear) = &mut self.ways;
        loop {
            tokio::select! {
                change = self.changing.next() => {
                    let who = (&*self.session, &self.caller);
                    let text = self.server.told_of(who, &change?);
                    if let Some(text) = text.filter(|_| ear.tells()) {
                        return Some(events::message(None, &text));
                    }
                }
                changed = memory.changed() => {
                    changed.ok()?;
                    interest.set(self.server.subjects(&self.session, &self.caller));
                    if let Some(event) = carried(&self.session, self.carries) {
                        return Some(event.into());
                    }
                }
            }
        }
    }
}

/// An event whose id the client brings along when it comes back.
fn carried(session: &Session, carries: bool) -> Option<Vec<u8>> {
    let id = session.memory().filter(|_| carries)?;
    Some(format!("id: {id}\nretry: {RETRY_MS}\ndata: \n\n").into_bytes())
}

fn place(last: &str) -> Option<(u64, u64)> {
    let (stream, number) = last.split_once('-')?;
    Some((stream.parse().ok()?, number.parse().ok()?))
}

pub(super) fn delete<S: Serve>(server: &Server<S>, headers: &HeaderMap) -> Response<Body> {
    match headers::text(headers, SESSION) {
        None => not_allowed(),
        Some(id) if server.inner().sessions.end(id) => empty(StatusCode::NO_CONTENT),
        Some(_) => refused(StatusCode::NOT_FOUND, &Refusal::request("there is no such session")),
    }
}
