//! The requests of one connection, and the answers that were recorded.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use super::spoken::Spoken;
use super::{Pace, Stage, shelf};
use crate::http::{Head, Meter, Side};
use crate::proxy::Target;

/// Limit: bytes of a request's body.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Room for a read.
const READ_BYTES: usize = 32 * 1024;
/// Limit: how long a request may take to come, and an answer of the script's to go on.
const PATIENCE: Duration = Duration::from_secs(300);
/// What is told of the playing itself.
const TOLD: &str = "/__mock/replay";

/// A request as it came.
struct Request {
    head: Head,
    /// The head's bytes and those behind it.
    raw: Vec<u8>,
}

/// Answers until one of the sides closes.
pub(super) async fn all(stage: &Stage, mut stream: TcpStream) {
    let mut ahead = BytesMut::with_capacity(READ_BYTES);
    loop {
        let request = match timeout(PATIENCE, read(&mut stream, &mut ahead)).await {
            Ok(Ok(Some(request))) => request,
            Ok(Err(why)) => {
                let answer = plain(400, &json!({"error": {"type": "bad_request", "message": why}}));
                let _gone = stream.write_all(&answer).await;
                return;
            }
            Ok(Ok(None)) | Err(_) => return,
        };
        let keeps = request.head.keeps_alive();
        let goes_on = answer(stage, &mut stream, &request).await;
        if !(keeps && goes_on) {
            let _gone = stream.shutdown().await;
            return;
        }
    }
}

/// Answers one request; whether the connection can go on.
async fn answer(stage: &Stage, stream: &mut TcpStream, request: &Request) -> bool {
    let came = Instant::now();
    let head = &request.head;
    if head.path() == TOLD && head.method() == "GET" {
        return stream.write_all(&plain(200, &stage.shelf.told())).await.is_ok();
    }
    if let (true, Some(target)) = (head.path().starts_with("/__mock/"), &stage.beyond) {
        pass(stream, request, target).await;
        return false;
    }
    let raw = request.raw.get(head.length..).unwrap_or_default();
    let body = shelf::payload(head, head.ask_framing(), raw);
    match (stage.shelf.pick(head, &body), &stage.beyond) {
        (Ok(spoken), _) => say(stream, &spoken, (stage.pace, came)).await,
        (Err(_), Some(target)) => {
            pass(stream, request, target).await;
            false
        }
        (Err(why), None) => {
            let text = format!("no answer to this request was recorded; {why}");
            let body = json!({"error": {"type": "not_recorded", "message": text}});
            stream.write_all(&plain(404, &body)).await.is_ok()
        }
    }
}

async fn say(stream: &mut TcpStream, spoken: &Spoken, (pace, came): (Pace, Instant)) -> bool {
    if pace == Pace::AtOnce {
        return stream.write_all(spoken.bytes()).await.is_ok() && spoken.keeps;
    }
    for (piece, due) in spoken.pieces() {
        sleep_until(came + due).await;
        if stream.write_all(piece).await.is_err() {
            return false;
        }
    }
    spoken.keeps
}

/// Has the request answered by the script's server; the connection ends with its answer.
async fn pass(stream: &mut TcpStream, request: &Request, target: &Target) {
    let mut head = request.head.clone();
    head.set("Connection", "close");
    let mut bytes = head.write();
    bytes.extend_from_slice(request.raw.get(request.head.length..).unwrap_or_default());
    let Ok(mut behind) = target.connect().await else { return };
    if behind.write_all(&bytes).await.is_err() {
        return;
    }
    let mut buffer = vec![0; READ_BYTES];
    while let Ok(Ok(length @ 1..)) = timeout(PATIENCE, behind.read(&mut buffer)).await {
        if stream.write_all(buffer.get(..length).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

/// Reads a request to the end of its body; nothing when the caller left.
async fn read(stream: &mut TcpStream, ahead: &mut BytesMut) -> Result<Option<Request>, String> {
    let head = loop {
        if !ahead.is_empty()
            && let Some(head) = Head::read(ahead, Side::Ask).map_err(|broken| broken.to_string())?
        {
            break head;
        }
        if !more(stream, ahead).await {
            return Ok(None);
        }
    };
    let mut raw = ahead.split_to(head.length.min(ahead.len())).to_vec();
    let mut meter = Meter::new(head.ask_framing());
    if head.says("expect", "100-continue") && !meter.is_over() {
        let told = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
        if told.is_err() {
            return Ok(None);
        }
    }
    loop {
        let length = meter.take(ahead, &mut |_, _| {});
        raw.extend_from_slice(&ahead.split_to(length.min(ahead.len())));
        if meter.is_over() {
            return Ok(Some(Request { head, raw }));
        }
        if meter.is_broken() {
            return Err("the body's chunks are broken".to_owned());
        }
        if raw.len() > BODY_BYTES_MAX {
            return Err(format!("the body is longer than {} MiB", BODY_BYTES_MAX >> 20));
        }
        if !more(stream, ahead).await {
            return Ok(None);
        }
    }
}

async fn more(stream: &mut TcpStream, ahead: &mut BytesMut) -> bool {
    ahead.reserve(READ_BYTES);
    matches!(stream.read_buf(ahead).await, Ok(1..))
}

/// An answer of the player's own.
fn plain(status: u16, body: &Value) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        _ => "Not Found",
    };
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
