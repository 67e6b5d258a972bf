//! Who waits for which answer, and where a server's own words go.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::failure::Failure;
use super::pulse::Pulse;
use super::web::Pending;
use crate::rpc::{self, Id, Message, Params, Refusal, code};
use crate::server::{Change, Level, TaskChange};
use crate::tasks;

/// Limit: changes that wait to be looked at; more of them say nothing new.
const CHANGES_MAX: usize = 256;

/// A request to a server.
#[derive(Debug, Default)]
pub struct Call {
    /// What is wanted.
    pub method: String,
    /// With what; `_meta` is completed here.
    pub params: Map<String, Value>,
    /// Where the server's words go while the call runs.
    pub told: Option<mpsc::Sender<Told>>,
    /// For whom it is: questions never reach anybody else.
    pub whose: u64,
    /// What the one it is for can be asked, as a `capabilities` object.
    pub capabilities: Map<String, Value>,
    /// From which level on log lines are wanted.
    pub level: Option<Level>,
}

/// What a server says while a call runs.
#[derive(Debug)]
pub enum Told {
    /// Progress, a log line, or what nobody knows.
    Notification {
        /// What.
        method: String,
        /// With what.
        params: Value,
    },
    /// It asks; without an answer the call does not go on.
    Question {
        /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
        method: String,
        /// With what.
        params: Value,
        /// Where the answer goes.
        answer: oneshot::Sender<Result<Value, Refusal>>,
    },
}

/// The way back to a server, for answers to its questions.
pub(super) trait Back: Send + Sync + Debug {
    fn say(&self, line: String) -> Pending<'_, ()>;
}

#[derive(Debug)]
struct Waiting {
    answer: oneshot::Sender<Result<Value, Failure>>,
    told: Option<mpsc::Sender<Told>>,
    whose: u64,
}

/// The desk of one connection.
#[derive(Debug)]
pub(super) struct Desk {
    waiting: Mutex<HashMap<u64, Waiting>>,
    next: AtomicU64,
    changes: mpsc::Sender<Change>,
    /// How many subscriptions the server has taken.
    pub(super) acknowledged: watch::Sender<u64>,
    /// Beats whenever the server says something.
    pub(super) pulse: Pulse,
    /// Ends with the connection.
    pub(super) gone: CancellationToken,
    why: Mutex<Option<Failure>>,
}

impl Desk {
    pub(super) fn new(pulse: Pulse) -> (Arc<Self>, mpsc::Receiver<Change>) {
        let (changes, changed) = mpsc::channel(CHANGES_MAX);
        let desk = Self {
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            changes,
            acknowledged: watch::Sender::new(0),
            pulse,
            gone: CancellationToken::new(),
            why: Mutex::default(),
        };
        (Arc::new(desk), changed)
    }

    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a place for an answer.
    pub(super) fn expect(
        self: &Arc<Self>,
        number: u64,
        told: Option<mpsc::Sender<Told>>,
        whose: u64,
    ) -> Seat {
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().insert(number, Waiting { answer, told, whose });
        if self.gone.is_cancelled() {
            // The connection went away in between: nobody else would say so.
            self.waiting.lock().remove(&number);
        }
        Seat { desk: Arc::clone(self), number, answered }
    }

    /// The connection is over; everybody who waits hears why.
    pub(super) fn lose(&self, why: Failure) {
        self.why.lock().get_or_insert(why);
        self.gone.cancel();
        self.waiting.lock().clear();
    }

    /// Why the connection is over.
    pub(super) fn why(&self) -> Failure {
        self.why.lock().clone().unwrap_or_else(|| Failure::lost("the connection was closed"))
    }

    pub(super) fn answer(&self, number: u64, outcome: Result<Value, Failure>) {
        self.pulse.beat();
        if let Some(waiting) = self.waiting.lock().remove(&number) {
            // Whoever waited may be gone.
            drop(waiting.answer.send(outcome));
        }
    }

    /// Takes what cannot be read: whoever waits for it would wait in vain. Tells whether it was an
    /// answer to somebody.
    pub(super) fn unreadable(&self, text: &[u8], refusal: &Refusal) -> bool {
        let number = rpc::answered(text).and_then(|id| id.as_json().parse().ok());
        if let Some(number) = number {
            let why = format!("its answer cannot be read: {}", refusal.message);
            self.answer(number, Err(Failure::lost(why)));
        }
        number.is_some()
    }

    /// Takes a message of the server. `of` is the request on whose stream it came, where there is
    /// such a thing.
    pub(super) fn take(self: &Arc<Self>, message: Message, of: Option<u64>, back: &Arc<dyn Back>) {
        match message {
            Message::Response { id, outcome } => {
                if let Ok(number) = id.as_json().parse() {
                    self.answer(number, outcome.map_err(|error| Failure::of_error(&error)));
                }
            }
            Message::Notification { method, params } => self.noted(&method, params, of),
            Message::Request { id, method, params } => self.asked(id, method, params, (of, back)),
        }
    }

    fn noted(&self, method: &str, params: Params, of: Option<u64>) {
        let change = match method {
            "notifications/tools/list_changed" => Some(Change::Tools),
            "notifications/prompts/list_changed" => Some(Change::Prompts),
            "notifications/resources/list_changed" => Some(Change::Resources),
            "notifications/resources/updated" => {
                params.text("uri").map(|uri| Change::Resource(uri.to_owned()))
            }
            "notifications/tasks" | "notifications/tasks/status" => task(method, &params),
            _ => None,
        };
        if method == "notifications/subscriptions/acknowledged" {
            self.acknowledged.send_modify(|count| *count += 1);
        }
        if let Some(change) = change {
            // A full queue holds a change of every kind already.
            drop(self.changes.try_send(change));
            return;
        }
        let by_token = params.0.get("progressToken").and_then(Value::as_u64);
        let waiting = self.waiting.lock();
        let to = match method {
            "notifications/progress" => by_token.and_then(|token| waiting.get(&token)),
            "notifications/cancelled" | "notifications/subscriptions/acknowledged" => None,
            _ => of.and_then(|of| waiting.get(&of)).or_else(|| only(&waiting)),
        };
        if let Some(told) = to.and_then(|to| to.told.as_ref()) {
            let params = Value::Object(params.0);
            // A slow reader misses progress; the server does not wait for it.
            drop(told.try_send(Told::Notification { method: method.to_owned(), params }));
        }
    }

    fn asked(
        self: &Arc<Self>,
        id: Id,
        method: String,
        params: Params,
        (of, back): (Option<u64>, &Arc<dyn Back>),
    ) {
        let told = {
            let waiting = self.waiting.lock();
            let to = of.and_then(|of| waiting.get(&of)).or_else(|| only(&waiting));
            to.and_then(|to| to.told.clone())
        };
        let (back, desk) = (Arc::clone(back), Arc::clone(self));
        tasks::spawn(async move {
            let outcome = tokio::select! {
                outcome = answer(&method, params, told) => outcome,
                () = desk.gone.cancelled() => return,
            };
            let line = match outcome {
                Ok(value) => rpc::result(&id, &value),
                Err(refusal) => rpc::error(Some(&id), &refusal),
            };
            back.say(line).await;
        });
    }
}

/// How far a task is, in the words of the era that the server speaks.
fn task(method: &str, params: &Params) -> Option<Change> {
    let mut change = TaskChange { id: params.text("taskId")?.to_owned(), ..TaskChange::default() };
    let said = Some(Value::Object(params.0.clone()));
    if method == "notifications/tasks" {
        change.modern = said;
    } else {
        change.legacy = said;
    }
    Some(Change::Task(Box::new(change)))
}

/// The one call that the words of a server can belong to: of several callers it is nobody's.
fn only(waiting: &HashMap<u64, Waiting>) -> Option<&Waiting> {
    let newest = waiting
        .iter()
        .filter(|(_, one)| one.told.is_some())
        .max_by_key(|(number, _)| **number)
        .map(|(_, one)| one)?;
    let same = waiting.values().all(|one| one.told.is_none() || one.whose == newest.whose);
    same.then_some(newest)
}

async fn answer(
    method: &str,
    params: Params,
    told: Option<mpsc::Sender<Told>>,
) -> Result<Value, Refusal> {
    match method {
        "ping" => return Ok(json!({})),
        "elicitation/create" | "sampling/createMessage" | "roots/list" => {}
        _ => return Err(Refusal::method(method)),
    }
    let nobody = || {
        let text = format!("nobody is there whom `{method}` could ask");
        Refusal::new(code::REQUEST, text)
    };
    let told = told.ok_or_else(nobody)?;
    let (tell, answered) = oneshot::channel();
    let params = Value::Object(params.0);
    let question = Told::Question { method: method.to_owned(), params, answer: tell };
    told.send(question).await.map_err(|_gone| nobody())?;
    answered.await.map_err(|_gone| nobody())?
}

/// A place at the desk; leaving it forgets the call.
#[derive(Debug)]
pub(super) struct Seat {
    desk: Arc<Desk>,
    number: u64,
    answered: oneshot::Receiver<Result<Value, Failure>>,
}

impl Seat {
    /// The answer, or why there is none.
    pub(super) async fn answered(&mut self) -> Result<Value, Failure> {
        match (&mut self.answered).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.desk.why()),
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.waiting.lock().remove(&self.number);
    }
}
