//! Many questions at once, and how long each took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

use super::{Spread, judge, session};
use crate::http::{Head, Meter, Side};
use crate::proxy::{Duplex, Target};
use crate::tasks;

/// Limit: how long one question may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Limit: bytes of one answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Limit: times that are kept for the percentiles.
const TIMES_MAX: usize = 2_000_000;

/// Limit: causes of failures that are told apart; servers may name something new in each.
const FAILURES_MAX: usize = 100;

/// What is said.
#[derive(Clone, Debug)]
pub enum Speech {
    /// A request of HTTP/1.1, head and body.
    Http(Vec<u8>),
    /// A line; one comes back.
    Lines(Vec<u8>),
    /// A message to a WebSocket at this path; one comes back. Without a message a `Ping` of the
    /// protocol, which every server answers and none keeps.
    WebSocket(String, Option<String>),
    /// A request of MCP over HTTP at this path, its method and parameters as JSON: each connection
    /// opens a session first, which is not measured as a question.
    Mcp(String, String),
}

/// How much is said.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Connections at the same time.
    pub connections: usize,
    /// Questions in all.
    pub count: u64,
    /// The longest it may take.
    pub within: Duration,
}

/// How it went.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Questions that were answered well.
    pub good: u64,
    /// Why others were not, and how many.
    pub failures: BTreeMap<String, u64>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Good answers in a second.
    pub per_second: f64,
    /// The times of good answers.
    pub times: Spread,
}

#[derive(Default)]
struct Shared {
    asked: AtomicU64,
    times: Mutex<Vec<Duration>>,
    failures: Mutex<BTreeMap<String, u64>>,
}

/// Asks as often as the load says, and measures.
pub async fn load(target: &Target, speech: &Speech, load: Load) -> Outcome {
    let shared = Arc::new(Shared::default());
    let began = Instant::now();
    let until = began + load.within;
    let mut workers = Vec::new();
    for _ in 0..load.connections.max(1) {
        let (target, speech, shared) = (target.clone(), speech.clone(), Arc::clone(&shared));
        workers.push(tasks::spawn(async move {
            work(&target, &speech, (&shared, load.count, until)).await;
        }));
    }
    for worker in workers {
        // One that panicked has measured nothing more.
        let _ended = worker.await;
    }
    let seconds = began.elapsed().as_secs_f64();
    let mut times = std::mem::take(&mut *shared.times.lock());
    let failures = std::mem::take(&mut *shared.failures.lock());
    let good = times.len() as u64;
    let per_second = if seconds > 0.0 { times.len() as f64 / seconds } else { 0.0 };
    Outcome { good, failures, seconds, per_second, times: Spread::of(&mut times) }
}

async fn work(target: &Target, speech: &Speech, (shared, count, until): (&Shared, u64, Instant)) {
    let mut line = None;
    while Instant::now() < until && shared.asked.fetch_add(1, Ordering::Relaxed) < count {
        let began = Instant::now();
        let asked =
            tokio::time::timeout_at(until.min(began + PATIENCE), ask(target, speech, &mut line));
        let failure = match asked.await {
            Ok(Ok(())) => {
                let mut times = shared.times.lock();
                if times.len() < TIMES_MAX {
                    times.push(began.elapsed());
                }
                continue;
            }
            Ok(Err(why)) => why,
            // The end of the whole is nobody's failure.
            Err(_) if Instant::now() >= until => return,
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        line = None;
        let mut failures = shared.failures.lock();
        let is_known = failures.len() < FAILURES_MAX || failures.contains_key(&failure);
        let failure = if is_known { failure } else { "other causes".to_owned() };
        *failures.entry(failure).or_default() += 1;
    }
}

pub(super) enum Line {
    Bytes(Box<dyn Duplex>, Vec<u8>),
    Socket(Box<WebSocketStream<Box<dyn Duplex>>>),
    /// With the bytes of the question, which names the session.
    Session(Box<dyn Duplex>, Vec<u8>, Vec<u8>),
}

async fn ask(target: &Target, speech: &Speech, line: &mut Option<Line>) -> Result<(), String> {
    let open = match line.take() {
        Some(open) => open,
        None => connect(target, speech).await?,
    };
    let next = match (open, speech) {
        (Line::Bytes(mut stream, mut held), Speech::Http(bytes)) => {
            let keep = http(&mut stream, &mut held, (bytes, &mut |_| {})).await?.1;
            keep.then_some(Line::Bytes(stream, held))
        }
        (Line::Session(mut stream, mut held, bytes), _) => {
            let mut body = Vec::new();
            let mut take = |piece: &[u8]| session::take(&mut body, piece);
            let keep = http(&mut stream, &mut held, (&bytes, &mut take)).await?.1;
            session::answered(&body)?;
            keep.then_some(Line::Session(stream, held, bytes))
        }
        (Line::Bytes(mut stream, mut held), Speech::Lines(bytes)) => {
            write(&mut stream, bytes).await?;
            while !held.contains(&b'\n') {
                if held.len() > ANSWER_BYTES_MAX {
                    return Err(format!("a line of more than {ANSWER_BYTES_MAX} bytes"));
                }
                more(&mut stream, &mut held).await?;
            }
            let end = held.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            let line: Vec<u8> = held.drain(..end).collect();
            judge::message(&line)?;
            Some(Line::Bytes(stream, held))
        }
        (Line::Socket(mut socket), Speech::WebSocket(_, text)) => {
            said(&mut socket, text.as_deref()).await?;
            Some(Line::Socket(socket))
        }
        _ => None,
    };
    *line = next;
    Ok(())
}

/// One message and the one that comes back; without one, a ping and its pong.
async fn said(
    socket: &mut WebSocketStream<Box<dyn Duplex>>,
    text: Option<&str>,
) -> Result<(), String> {
    let failed = |cause: &dyn std::fmt::Display| format!("the WebSocket failed: {cause}");
    let message = text.map_or_else(|| Message::Ping("bench".into()), Message::text);
    socket.send(message).await.map_err(|cause| failed(&cause))?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(said))) if text.is_some() => {
                return judge::message(said.as_bytes());
            }
            Some(Ok(Message::Binary(said))) if text.is_some() => return judge::message(&said),
            Some(Ok(Message::Pong(_))) if text.is_none() => return Ok(()),
            Some(Ok(Message::Close(_))) | None => {
                return Err("the WebSocket was closed".to_owned());
            }
            // Pings are answered by the library, and nobody's answer.
            Some(Ok(_)) => {}
            Some(Err(cause)) => return Err(failed(&cause)),
        }
    }
}

async fn connect(target: &Target, speech: &Speech) -> Result<Line, String> {
    match speech {
        Speech::WebSocket(path, _) => Ok(Line::Socket(Box::new(socket(target, path).await?))),
        Speech::Mcp(path, question) => session::open(target, path, question).await,
        Speech::Http(_) | Speech::Lines(_) => Ok(Line::Bytes(target.connect().await?, Vec::new())),
    }
}

/// A WebSocket at a path.
///
/// # Errors
/// Why there is none, after the target's name.
pub(super) async fn socket(
    target: &Target,
    path: &str,
) -> Result<WebSocketStream<Box<dyn Duplex>>, String> {
    let stream = target.connect().await?;
    let scheme = if target.has_tls() { "wss" } else { "ws" };
    let url = format!("{scheme}://{}{path}", target.authority());
    let request = url.into_client_request().map_err(|cause| cause.to_string())?;
    let opened = tokio_tungstenite::client_async(request, stream).await;
    let (socket, _) = opened.map_err(|cause| format!("no WebSocket at {path}: {cause}"))?;
    Ok(socket)
}

/// A question, and who takes the body of its answer.
type Question<'a> = (&'a [u8], &'a mut (dyn FnMut(&[u8]) + Send));

/// One request and its whole answer, whose body goes to a taker; its head, and whether the
/// connection can be used again.
pub(super) async fn http(
    stream: &mut Box<dyn Duplex>,
    held: &mut Vec<u8>,
    (bytes, take): Question<'_>,
) -> Result<(Head, bool), String> {
    write(stream, bytes).await?;
    let head = loop {
        let read = Head::read(held, Side::Answer);
        match read.map_err(|cause| format!("no HTTP came back: {cause}"))? {
            Some(head) => break head,
            None => more(stream, held).await?,
        }
    };
    held.drain(..head.length.min(held.len()));
    let framing = head.answer_framing(
        bytes
            .split(|b| *b == b' ')
            .next()
            .map_or("", |method| std::str::from_utf8(method).unwrap_or_default()),
    );
    let mut meter = Meter::new(framing);
    let mut total = 0;
    loop {
        let taken = meter.take(held, &mut |piece, _| take(piece));
        held.drain(..taken.min(held.len()));
        total += taken;
        if meter.is_over() {
            break;
        }
        if total > ANSWER_BYTES_MAX {
            return Err(format!("an answer of more than {ANSWER_BYTES_MAX} bytes"));
        }
        let ended = more(stream, held).await;
        if ended.is_err() && meter.is_endless() {
            break;
        }
        ended?;
    }
    if head.status() >= 400 {
        return Err(format!("status {}", head.status()));
    }
    let keep = head.keeps_alive() && !meter.is_endless();
    Ok((head, keep))
}

async fn write(stream: &mut Box<dyn Duplex>, bytes: &[u8]) -> Result<(), String> {
    stream.write_all(bytes).await.map_err(|cause| format!("the connection broke: {cause}"))
}

async fn more(stream: &mut Box<dyn Duplex>, held: &mut Vec<u8>) -> Result<(), String> {
    held.reserve(16 * 1024);
    match stream.read_buf(held).await {
        Ok(0) => Err("the connection was closed".to_owned()),
        Ok(_) => Ok(()),
        Err(cause) => Err(format!("the connection broke: {cause}")),
    }
}
