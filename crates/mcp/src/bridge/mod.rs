//! A thin bridge from a pipe to a server's endpoint: every line goes over as it is, in both
//! directions, and the client never learns that the server was restarted.
//!
//! The bridge keeps nothing but the session and the `initialize` that began it.

mod carrier;
mod relay;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rpc::{self, Id, Incoming, Message, Params, Refusal};
use crate::server::is_modern;
use crate::tasks;

pub use carrier::{Carried, Carrier, Lost, Pieces};
pub(crate) use relay::{carried, is_stream, modern_headers, whole};

/// Limit: lines that wait for a slow client.
const LINES_MAX: usize = 64;
/// Limit: one line of the client.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Limit: how long answers are waited for that were under way when the input ended.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Fine,
    /// Something was asked, and the server was never reached.
    Unreached,
}

/// Carries one client's messages until its input ends.
///
/// # Errors
/// When the pipe breaks.
pub async fn run<C, R, W>(carrier: C, (mut input, mut output): (R, W)) -> std::io::Result<End>
where
    C: Carrier,
    R: AsyncBufRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let (lines, mut out) = mpsc::channel::<String>(LINES_MAX);
    let gone = CancellationToken::new();
    let _ends_with_us = gone.clone().drop_guard();
    let bridge = Arc::new(Bridge {
        carrier,
        lines,
        gone,
        session: Mutex::default(),
        running: Mutex::default(),
        asked: TaskTracker::new(),
        reached: AtomicBool::new(false),
        lost: AtomicBool::new(false),
    });
    let over = CancellationToken::new();
    let write = async {
        loop {
            let line = tokio::select! {
                biased;
                line = out.recv() => line,
                () = over.cancelled() => None,
            };
            let Some(line) = line else { return Ok(()) };
            output.write_all(line.as_bytes()).await?;
            output.write_all(b"\n").await?;
            output.flush().await?;
        }
    };
    let read = async {
        let mut line = Vec::new();
        loop {
            line.clear();
            let limited = &mut (&mut input).take(LINE_BYTES_MAX);
            if limited.read_until(b'\n', &mut line).await? == 0 {
                // Whoever asks and closes its end at once may still read.
                bridge.asked.close();
                if tokio::time::timeout(LAST_ANSWERS, bridge.asked.wait()).await.is_err() {
                    // What is not answered by now is told so, before all of it ends.
                    bridge.gone.cancel();
                    drop(tokio::time::timeout(LAST_ANSWERS, bridge.asked.wait()).await);
                }
                return Ok(());
            }
            if !line.ends_with(b"\n") && line.len() as u64 >= LINE_BYTES_MAX {
                let text = format!("a line is longer than {LINE_BYTES_MAX} bytes");
                bridge.say(rpc::error(None, &Refusal::request(text))).await;
                skip_line(&mut input).await?;
                continue;
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                bridge.take(Bytes::copy_from_slice(text)).await;
            }
        }
    };
    tokio::pin!(write);
    let ended = tokio::select! {
        ended = read => ended,
        broken = &mut write => return broken.map(|()| End::Fine),
    };
    over.cancel();
    // A client that does not read any more must not keep us.
    match tokio::time::timeout(LAST_ANSWERS, write).await {
        Ok(written) => written.and(ended)?,
        Err(_) => ended?,
    }
    let is_lost = bridge.lost.load(Ordering::Relaxed) && !bridge.reached.load(Ordering::Relaxed);
    Ok(if is_lost { End::Unreached } else { End::Fine })
}

/// Reads over the rest of a line.
async fn skip_line(input: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<()> {
    loop {
        let piece = input.fill_buf().await?;
        let end = piece.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(piece.len(), |at| at + 1);
        let is_over = end.is_some() || piece.is_empty();
        input.consume(length);
        if is_over {
            return Ok(());
        }
    }
}

/// What a session is to a bridge.
#[derive(Clone, Debug)]
struct Session {
    /// What the server called it.
    id: Option<String>,
    /// The revision that was agreed.
    version: String,
    /// The line that began it, to begin it again.
    initialize: Bytes,
    /// Ends what belongs to it.
    over: CancellationToken,
}

/// What a message is to a bridge.
#[derive(Debug)]
enum Kind {
    /// It belongs to the session, and sent twice it changes nothing more.
    Harmless,
    /// It belongs to the session and may do something: it is never sent twice.
    Once,
    /// It says all by itself.
    Modern(String, Params),
}

impl Kind {
    fn is_repeatable(&self) -> bool {
        match self {
            Self::Harmless => true,
            Self::Once => false,
            Self::Modern(method, _) => method != "tools/call",
        }
    }
}

struct Bridge<C> {
    carrier: C,
    lines: mpsc::Sender<String>,
    gone: CancellationToken,
    session: Mutex<Option<Session>>,
    /// Modern requests under way; to end one is to close its connection.
    running: Mutex<HashMap<Id, CancellationToken>>,
    /// Requests that are not answered yet.
    asked: TaskTracker,
    /// The server answered something.
    reached: AtomicBool,
    /// The server did not answer something.
    lost: AtomicBool,
}

impl<C: Carrier> Bridge<C> {
    async fn take(self: &Arc<Self>, line: Bytes) {
        let message = match rpc::read(&line) {
            Ok(Incoming::One(message)) => message,
            // Batches are the server's to judge.
            Ok(Incoming::Batch(_)) => return self.carry(None, line, Kind::Once).await,
            Err(refusal) => return self.say(rpc::error(None, &refusal)).await,
        };
        match message {
            Message::Request { id, method, params } if method == "initialize" => {
                let bridge = Arc::clone(self);
                // What follows belongs to the session, so it waits for it.
                bridge.initialize(&id, &params, line).await;
            }
            // Before a session there is nobody else whom this could be asked.
            Message::Request { id, method, params }
                if method == "ping"
                    && !is_modern(&method, &params)
                    && self.session.lock().is_none() =>
            {
                self.say(rpc::result(&id, &serde_json::json!({}))).await;
            }
            Message::Request { id, method, params } => {
                let kind = if is_modern(&method, &params) {
                    Kind::Modern(method, params)
                } else if method == "tools/call" {
                    Kind::Once
                } else {
                    Kind::Harmless
                };
                self.request(id, line, kind);
            }
            Message::Notification { method, params } => {
                if method == "notifications/cancelled" && self.cancel(&params) {
                    return;
                }
                self.carry(None, line, Kind::Harmless).await;
            }
            Message::Response { .. } => self.carry(None, line, Kind::Harmless).await,
        }
    }

    /// Ends a modern request; whether there was one.
    fn cancel(&self, params: &Params) -> bool {
        let Some(id) = params.0.get("requestId").map(ToString::to_string) else { return false };
        let running = self.running.lock();
        let found = running.iter().find(|(running, _)| running.as_json() == id);
        found.map(|(_, token)| token.cancel()).is_some()
    }

    /// Sends a request on its own, so that none waits for another.
    fn request(self: &Arc<Self>, id: Id, line: Bytes, kind: Kind) {
        let token = self.gone.child_token();
        if matches!(kind, Kind::Modern(..)) {
            self.running.lock().insert(id.clone(), token.clone());
        }
        let bridge = Arc::clone(self);
        let under_way = self.asked.token();
        tasks::spawn(async move {
            let _answered = under_way;
            tokio::select! {
                () = bridge.carry(Some(&id), line, kind) => {}
                () = token.cancelled() => bridge.given_up(&id).await,
            }
            bridge.running.lock().remove(&id);
        });
    }

    /// A request that nobody answers any more. One that its client took back is not answered.
    async fn given_up(&self, id: &Id) {
        if self.gone.is_cancelled() {
            self.lost.store(true, Ordering::Relaxed);
            let text = "the input ended before the server answered";
            self.say(rpc::error(Some(id), &Refusal::new(rpc::code::INTERNAL, text))).await;
        }
    }

    async fn say(&self, line: String) {
        // Without a reader the pipe is over; reading will find out.
        drop(self.lines.send(line).await);
    }
}
