//! The raw-TCP door: JSON lines, text verbs, and the `MCP/1.0` handshake with framed calls.

mod framed;
mod greeting;

use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};
use wire::frame::lines::{Item, Splitter};
use wire::{Code, Fault};

use super::native::resume::Resume;
use super::{fields, problem, second};
use crate::about::Peer;
use crate::auth::{self, Caller, Scope};
use crate::flow;
use crate::gate::Gateway;

/// Limit: bytes read at once from a connection.
const READ_BYTES: usize = 16 * 1024;

/// Limit: how long a peer that was told to go may still send.
const LINGER: Duration = Duration::from_secs(2);

/// What is said to bytes that are not JSON. The text is part of the protocol.
const NOT_JSON: &str = "ERROR: Invalid JSON format\n";

/// Serves a raw-TCP connection until the peer ends it; `first` was read already.
pub(super) async fn serve<S>(gate: &Gateway, stream: S, peer: Peer, first: BytesMut)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    tracing::info!(peer = %peer.addr, "Connected by {}", peer.addr);
    let limit = gate.now().settings.limits.line_bytes;
    let line = Line {
        gate: gate.clone(),
        peer,
        stream,
        session: None,
        secret: None,
        mode: Mode::Plain,
        limit,
        ahead: BytesMut::new(),
        is_half_closed: false,
    };
    // A peer that goes away is no fault of ours.
    if let Err(error) = line.run(first, Splitter::new(limit)).await {
        tracing::debug!(peer = %peer.addr, %error, "the connection broke");
    }
    tracing::info!(peer = %peer.addr, "Client {} disconnected", peer.addr);
}

/// What the connection speaks.
enum Mode {
    /// JSON lines and text verbs.
    Plain,
    /// In the headers of the handshake.
    Greeting(greeting::Greeting),
    /// After the handshake: calls with ids.
    Framed,
}

/// What a message wants.
enum Wish {
    /// A turn.
    Turn(Box<flow::Ask>, std::sync::Arc<str>),
    /// The end of a turn that was asked for earlier.
    Resume(context::Key, Resume),
}

/// Whether the connection goes on.
#[derive(PartialEq, Eq)]
enum Next {
    Stay,
    Close,
}

struct Line<S> {
    gate: Gateway,
    peer: Peer,
    stream: S,
    /// The session that `MCP_INIT` bound to the connection.
    session: Option<String>,
    /// The credential of the handshake.
    secret: Option<String>,
    mode: Mode,
    limit: usize,
    /// What came while an answer was under way.
    ahead: BytesMut,
    /// The peer sends no more. It may still read: many send, close their half, and wait.
    is_half_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Line<S> {
    async fn run(mut self, first: BytesMut, mut splitter: Splitter) -> std::io::Result<()> {
        let mut items = Vec::new();
        splitter.push(&first, &mut items);
        drop(first);
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        // When the message began that is not complete yet.
        let mut began = None;
        loop {
            if !items.is_empty() {
                began = None;
            }
            for item in items.drain(..) {
                if self.answer(item).await? == Next::Close {
                    return self.hang_up().await;
                }
            }
            began = splitter.is_midway().then(|| began.unwrap_or_else(Instant::now));
            let patience = self.patience(began);
            buffer.clear();
            let count = match timeout(patience, self.read(&mut buffer)).await {
                Ok(count) => count?,
                Err(_) => {
                    if let Some(began) = began {
                        let text = format!(
                            "ERROR: no complete message within {} s; end it with a newline\n",
                            began.elapsed().as_secs()
                        );
                        self.write(&text).await?;
                    }
                    return self.stream.shutdown().await;
                }
            };
            if count == 0 {
                if let Some(item) = splitter.finish() {
                    self.answer(item).await?;
                }
                return self.stream.shutdown().await;
            }
            splitter.push(&buffer, &mut items);
        }
    }

    /// The next bytes; none when the peer sends no more.
    async fn read(&mut self, buffer: &mut BytesMut) -> std::io::Result<usize> {
        if !self.ahead.is_empty() {
            std::mem::swap(buffer, &mut self.ahead);
            return Ok(buffer.len());
        }
        if self.is_half_closed {
            return Ok(0);
        }
        buffer.reserve(READ_BYTES);
        self.stream.read_buf(buffer).await
    }

    /// Whether it is worth reading while an answer is under way: what comes early is read up to a
    /// buffer; the rest waits with its sender.
    fn listens(&self) -> bool {
        !self.is_half_closed && self.ahead.len() < READ_BYTES
    }

    /// Waits for an answer, and meanwhile notices a connection that breaks: then nobody waits any
    /// more, and dropping the answer is how its turn learns that.
    async fn attend<T>(&mut self, answer: impl Future<Output = T>) -> std::io::Result<T> {
        tokio::pin!(answer);
        loop {
            let listens = self.listens();
            tokio::select! {
                biased;
                done = &mut answer => return Ok(done),
                came = self.stream.read_buf(&mut self.ahead), if listens => {
                    self.is_half_closed = came? == 0;
                }
            }
        }
    }

    /// How long the next bytes may take: silence has a limit, and so has a message that drips in.
    fn patience(&self, began: Option<Instant>) -> Duration {
        let snapshot = self.gate.now();
        let limits = &snapshot.settings.limits;
        let left = began.map(|began| limits.request.saturating_sub(began.elapsed()));
        left.map_or(limits.line_idle, |left| left.min(limits.line_idle))
    }

    /// Closes so that the peer can still read what was said: bytes of it that were not read would
    /// turn the close into a reset, which throws the answer away.
    async fn hang_up(mut self) -> std::io::Result<()> {
        self.stream.shutdown().await?;
        let mut waste = BytesMut::with_capacity(READ_BYTES);
        let drain = async {
            while self.stream.read_buf(&mut waste).await? > 0 {
                waste.clear();
            }
            Ok(())
        };
        timeout(LINGER, drain).await.unwrap_or(Ok(()))
    }

    async fn answer(&mut self, item: Item) -> std::io::Result<Next> {
        match item {
            Item::TooLong => {
                let text = format!(
                    "ERROR: the message is longer than {} bytes; raise `limits.line_bytes`\n",
                    self.limit
                );
                self.write(&text).await?;
                Ok(Next::Close)
            }
            Item::BadUtf8 => {
                self.write("ERROR: Invalid encoding: the bytes are not valid UTF-8\n").await?;
                Ok(Next::Stay)
            }
            Item::Json(bytes) => self.json(&bytes).await,
            Item::Line(bytes) => self.line(&String::from_utf8_lossy(&bytes)).await,
        }
    }

    /// A line that is no JSON value: a verb, the handshake, or free text.
    async fn line(&mut self, text: &str) -> std::io::Result<Next> {
        if let Mode::Greeting(greeting) = &mut self.mode {
            if !text.is_empty() {
                greeting.header(text);
                return Ok(Next::Stay);
            }
            return self.greeted().await;
        }
        if let Mode::Plain = self.mode {
            if let Some(greeting) = greeting::begin(text) {
                self.mode = Mode::Greeting(greeting);
                return Ok(Next::Stay);
            }
            if let Some(verb) = greeting::verb(text) {
                if verb.binds && verb.is_spoken {
                    self.session = Some(verb.session.clone());
                }
                self.write(&verb.reply()).await?;
                return Ok(Next::Stay);
            }
        }
        tracing::debug!(peer = %self.peer.addr, bytes = text.len(), "received non-JSON data");
        match serde_json::from_str::<Value>(text) {
            Err(_) => self.write(NOT_JSON).await?,
            Ok(value) => self.fault(&fields::wrong("message", "an object", &value)).await?,
        }
        Ok(Next::Stay)
    }

    /// The handshake's head is complete: it is accepted, or refused with what would be right.
    async fn greeted(&mut self) -> std::io::Result<Next> {
        let Mode::Greeting(greeting) = std::mem::replace(&mut self.mode, Mode::Framed) else {
            return Ok(Next::Stay);
        };
        if !greeting.is_spoken() {
            self.write(greeting::REFUSED_VERSION).await?;
            return Ok(Next::Close);
        }
        self.secret = greeting.secret;
        if let Err(fault) = self.caller(None) {
            tracing::warn!(peer = %self.peer.addr, "Authentication Failed: Unauthorized");
            self.gate.metrics().fault(&fault);
            self.write(greeting::REFUSED_CALLER).await?;
            return Ok(Next::Close);
        }
        self.write(greeting::ACCEPTED).await?;
        Ok(Next::Stay)
    }

    async fn json(&mut self, bytes: &[u8]) -> std::io::Result<Next> {
        let depth = self.gate.now().settings.limits.json_depth;
        let deep = !wire::frame::json_depth_ok(bytes, depth);
        let value = if deep { None } else { serde_json::from_slice::<Value>(bytes).ok() };
        let Some(value) = value else {
            tracing::debug!(peer = %self.peer.addr, bytes = bytes.len(), "received non-JSON data");
            self.write(NOT_JSON).await?;
            return Ok(Next::Stay);
        };
        let Value::Object(map) = value else {
            self.fault(&fields::wrong("message", "an object", &value)).await?;
            return Ok(Next::Stay);
        };
        if let Mode::Framed = self.mode {
            self.call(map).await?;
            return Ok(Next::Stay);
        }
        match self.interact(&map, bytes).await? {
            Ok(text) => self.write(&text).await?,
            Err(fault) => self.fault(&fault).await?,
        }
        Ok(Next::Stay)
    }

    async fn interact(
        &mut self,
        map: &Map<String, Value>,
        bytes: &[u8],
    ) -> std::io::Result<Result<String, Fault>> {
        let gate = self.gate.clone();
        let outcome = match self.wish(map, bytes) {
            Ok(Wish::Turn(ask, who)) => {
                let turn = flow::turn(&gate, *ask, None);
                let turn = Box::pin(context::acting(Some(who), turn));
                let turn = self.attend(turn).await?;
                turn.map(|answered| second::reply(&answered))
            }
            Ok(Wish::Resume(key, resume)) => {
                let request = request_id();
                self.attend(second::resumed(&gate, &key, resume, &request)).await?
            }
            Err(fault) => Err(fault),
        };
        Ok(outcome.map(|out| format!("{out}\n")))
    }

    /// What a message wants.
    fn wish(&self, map: &Map<String, Value>, bytes: &[u8]) -> Result<Wish, Fault> {
        let caller = self.caller(fields::text(map, "auth")?)?;
        caller.must(Scope::Write)?;
        if let Some(resume) = Resume::read(map)? {
            let session = fields::id(map)?.or_else(|| self.session.clone());
            let id = session.ok_or_else(|| fields::missing("sessionId"))?;
            return Ok(Wish::Resume(context::Key::new(caller.tenant, &id)?, resume));
        }
        let said = second::read(map)?;
        let mut ask = said.ask(&caller, self.session.as_deref())?;
        ask.idem = second::idem_of(map, bytes)?;
        tracing::debug!(context = %ask.key.id, bytes = bytes.len(), "received message");
        Ok(Wish::Turn(Box::new(ask), caller.name()))
    }

    /// Who is at the other end: the credential of this message, else of the handshake.
    fn caller(&self, shown: Option<&str>) -> Result<Caller, Fault> {
        let caller = auth::caller(&self.gate, shown.or(self.secret.as_deref()), self.peer)?;
        if let Some(rate) = self.gate.now().settings.limits.requests_per_minute {
            let admitted = self.gate.rates().admit(&caller.counted(), rate);
            admitted.inspect_err(|_| self.gate.metrics().limited())?;
        }
        Ok(caller)
    }

    async fn fault(&mut self, fault: &Fault) -> std::io::Result<()> {
        self.gate.metrics().fault(fault);
        if fault.code() == Code::Unauthorized {
            tracing::warn!(peer = %self.peer.addr, "Authentication Failed: Unauthorized");
        }
        let mut text = problem::line(fault, &request_id());
        text.push('\n');
        self.write(&text).await
    }

    /// One reply, one write: the peers of this protocol read once.
    async fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await
    }
}

fn request_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}
