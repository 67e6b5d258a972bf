//! One client over a pipe: a line is a message, both eras on the same pipe.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::revision::Revision;
use crate::rpc::{self, Id, Incoming, Message, Params};
use crate::server::{Client, Next, Replay, Serve, Server, Session, is_modern, said};
use crate::tasks;

/// Limit: the longest line.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Limit: lines that wait for a slow reader; then the requests behind them wait too.
const LINES_MAX: usize = 64;

/// Serves one client until its input ends. Requests that still run are cancelled then.
///
/// # Errors
/// When the pipe breaks.
pub async fn serve<S, R, W>(
    server: &Server<S>,
    caller: S::Caller,
    (mut input, mut output): (R, W),
) -> std::io::Result<()>
where
    S: Serve,
    R: AsyncBufRead + Unpin + Send,
    W: AsyncWrite + Unpin + Send,
{
    let (lines, mut out) = mpsc::channel::<String>(LINES_MAX);
    let gone = CancellationToken::new();
    let _ends_with_us = gone.clone().drop_guard();
    let pipe = Pipe {
        server: server.clone(),
        caller,
        session: Mutex::new(Session::new(Revision::LEGACY, Client::default())),
        modern: Mutex::default(),
        lines,
        gone,
    };
    let pipe = Arc::new(pipe);
    let write = async {
        while let Some(line) = out.recv().await {
            output.write_all(line.as_bytes()).await?;
            output.write_all(b"\n").await?;
            // Whoever waits for this line must not wait for the next.
            output.flush().await?;
        }
        Ok(())
    };
    let read = async {
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
            if count == 0 {
                return Ok(());
            }
            if !line.trim_ascii().is_empty() {
                pipe.take(&line).await;
            }
        }
    };
    tokio::select! {
        ended = read => ended,
        broken = write => broken,
    }
}

struct Pipe<S: Serve> {
    server: Server<S>,
    caller: S::Caller,
    session: Mutex<Arc<Session>>,
    /// Requests of the modern era that run, with the way to end them.
    modern: Mutex<HashMap<Id, CancellationToken>>,
    lines: mpsc::Sender<String>,
    gone: CancellationToken,
}

impl<S: Serve> Pipe<S> {
    async fn take(self: &Arc<Self>, line: &[u8]) {
        match rpc::read(line) {
            Ok(Incoming::One(message)) => self.one(message).await,
            Ok(Incoming::Batch(messages)) => {
                for message in messages {
                    match message {
                        Ok(message) => self.one(message).await,
                        Err(refusal) => self.say(rpc::error(None, &refusal)).await,
                    }
                }
            }
            Err(refusal) => self.say(rpc::error(None, &refusal)).await,
        }
    }

    async fn one(self: &Arc<Self>, message: Message) {
        match message {
            Message::Request { id, method, params } if method == "initialize" => {
                self.initialize(&id, &params).await;
            }
            Message::Request { id, method, params } if is_modern(&method, &params) => {
                self.modern(id, method, params).await;
            }
            Message::Request { id, method, params } => self.legacy(id, method, params),
            Message::Notification { method, params } => {
                if method == "notifications/cancelled"
                    && let Some(id) = params.0.get("requestId").map(ToString::to_string)
                {
                    self.modern.lock().iter().for_each(|(running, token)| {
                        if running.as_json() == id {
                            token.cancel();
                        }
                    });
                }
                self.session().noted(&method, &params);
            }
            Message::Response { id, outcome } => self.session().told(&id, outcome),
        }
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.lock())
    }

    async fn say(&self, line: String) {
        // Without a reader the pipe is over; reading will find out.
        drop(self.lines.send(line).await);
    }

    async fn initialize(self: &Arc<Self>, id: &Id, params: &Params) {
        match self.server.initialize(&self.caller, params) {
            Ok((session, result)) => {
                *self.session.lock() = Arc::clone(&session);
                self.say(rpc::result(id, &result)).await;
                self.tell_changes(session);
            }
            Err(refusal) => self.say(rpc::error(Some(id), &refusal)).await,
        }
    }

    /// Tells a legacy client what changes, while it is the client of this pipe.
    fn tell_changes(self: &Arc<Self>, session: Arc<Session>) {
        let (pipe, mut changing) = (Arc::clone(self), self.server.changing());
        let mut listening = session.listening();
        let mut interest = self.server.heard_by(&session, &self.caller);
        tasks::spawn(async move {
            loop {
                let change = tokio::select! {
                    change = changing.next() => change,
                    // The session is held here: its sender lives.
                    Ok(()) = listening.changed() => {
                        interest.set(pipe.server.subjects(&session, &pipe.caller));
                        continue;
                    }
                    () = pipe.gone.cancelled() => None,
                };
                let Some(change) = change else { return };
                if !Arc::ptr_eq(&pipe.session(), &session) {
                    return;
                }
                if let Some(text) = pipe.server.told_of((&session, &pipe.caller), &change) {
                    pipe.say(text).await;
                }
            }
        });
    }

    fn legacy(self: &Arc<Self>, id: Id, method: String, params: Params) {
        let session = self.session();
        let replay = session.stream();
        self.forward(&replay, Arc::clone(&session));
        let pipe = Arc::clone(self);
        tasks::spawn(async move {
            let who = (session, pipe.caller.clone());
            let run = pipe.server.run_legacy(who, (id, method, params), Arc::clone(&replay));
            tokio::select! {
                () = run => {}
                () = pipe.gone.cancelled() => replay.end(None),
            }
        });
    }

    /// Writes what a request sends, as it comes.
    fn forward(self: &Arc<Self>, replay: &Arc<Replay>, session: Arc<Session>) {
        let (pipe, mut reader) = (Arc::clone(self), replay.read_after(0));
        tasks::spawn(async move {
            loop {
                match reader.next().await {
                    Next::Message(_, text) => pipe.say(text.to_string()).await,
                    // On a pipe there is nowhere to come back from.
                    Next::Cut => reader = reader.replay().read_after(reader.after()),
                    Next::End => break,
                }
            }
            session.was_read(reader.replay());
        });
    }

    async fn modern(self: &Arc<Self>, id: Id, method: String, params: Params) {
        let said = match said(&params) {
            Ok(said) => said,
            Err(refusal) => return self.say(rpc::error(Some(&id), &refusal)).await,
        };
        let token = self.gone.child_token();
        self.modern.lock().insert(id.clone(), token.clone());
        let pipe = Arc::clone(self);
        if method == "subscriptions/listen" {
            let (acknowledged, mut subscription) =
                self.server.listen(&self.caller, (id.clone(), &params));
            self.say(acknowledged).await;
            tasks::spawn(async move {
                while let Some(line) = tokio::select! {
                    line = subscription.next() => line,
                    () = token.cancelled() => None,
                } {
                    pipe.say(line).await;
                }
                pipe.modern.lock().remove(&id);
            });
            return;
        }
        let replay = Replay::new(0);
        self.forward(&replay, self.session());
        tasks::spawn(async move {
            let who = (said, pipe.caller.clone());
            let ways = (Arc::clone(&replay), token);
            let asked = (id.clone(), method, params);
            let answer = pipe.server.run_modern(who, asked, ways).await;
            replay.end(answer.map(|(text, _)| text));
            pipe.modern.lock().remove(&id);
        });
    }
}
