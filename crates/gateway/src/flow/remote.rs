//! Turns of real models: the question is durable before the call, the reply before its last event.

use std::sync::{Arc, Mutex, PoisonError};

use context::{Content, EntryStatus, Key, NewTurn, OnHangUp, OpenTurn, Outcome, Settings, Turn};
use tokio::sync::{mpsc, oneshot};
use wire::event::Event;
use wire::prompt::{Message, Role};
use wire::reply::{Reply, Stop};
use wire::{Code, Fault};

use super::{Ask, Overrides, Place, STEPS_MAX, Step, local, replayed, sit, summary, translate};
use crate::gate::Gateway;
use crate::model::Upstream;

/// Stores the question, asks the model, stores the reply.
pub(super) async fn answer(
    gate: &Gateway,
    upstream: Arc<Upstream>,
    (ask, known): (Ask, Option<Settings>),
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (new, overrides) = ask.into_new_turn();
    begin(gate, upstream, (new, overrides, known), steps).await
}

/// As [`answer`], from the store's own request.
pub(super) async fn begin(
    gate: &Gateway,
    upstream: Arc<Upstream>,
    (new, overrides, known): (NewTurn, Overrides, Option<Settings>),
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let settings = match known {
        Some(settings) => settings,
        None => match gate.contexts().get(&new.key).await {
            Ok(found) => found.settings,
            Err(fault) if fault.code() == Code::ContextNotFound && new.create => {
                Settings::default()
            }
            Err(fault) => return Err(fault),
        },
    };
    let place = sit(gate, &new.key, &settings).await?;
    match replayed(gate.contexts().begin(new).await?) {
        Ok(open) => run(gate, upstream, (open, place), overrides, steps).await,
        Err(turn) => {
            if let Some(steps) = steps {
                local::tell(&turn, &steps).await;
            }
            Ok(*turn)
        }
    }
}

/// Asks the model once more about the last failed question.
pub(super) async fn again(
    gate: &Gateway,
    upstream: Arc<Upstream>,
    (key, settings): (Key, Settings),
    overrides: Overrides,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let place = sit(gate, &key, &settings).await?;
    let open = Box::new(gate.contexts().reopen(&key).await?);
    run(gate, upstream, (open, place), overrides, steps).await
}

/// Runs the turn in a task of its own, so that a caller who hangs up does not end it.
async fn run(
    gate: &Gateway,
    upstream: Arc<Upstream>,
    (open, place): (Box<OpenTurn>, Place),
    overrides: Overrides,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (done, result) = oneshot::channel();
    let task = Task { gate: gate.clone(), upstream, open, place, overrides };
    gate.tasks().spawn("turn", async move {
        task.run(steps, done).await;
    });
    result.await.unwrap_or_else(|_| {
        Err(Fault::internal("the turn ended without a result").hint("see the log of the server"))
    })
}

struct Task {
    gate: Gateway,
    upstream: Arc<Upstream>,
    open: Box<OpenTurn>,
    place: Place,
    overrides: Overrides,
}

/// Why no whole reply came, and what came of it.
struct Broken {
    fault: Fault,
    partial: Option<Message>,
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self { fault, partial: None }
    }
}

impl Task {
    async fn run(
        self,
        steps: Option<mpsc::Sender<Step>>,
        mut done: oneshot::Sender<Result<Turn, Fault>>,
    ) {
        let hang_up = self.open.context.settings.on_hang_up.unwrap_or(OnHangUp::Finish);
        let heard = Mutex::new(String::new());
        let outcome = tokio::select! {
            outcome = self.ask(steps, &heard) => outcome,
            () = self.place.stopped().cancelled() => Err(cancelled(&heard)),
            () = done.closed(), if hang_up == OnHangUp::Cancel => Err(cancelled(&heard)),
        };
        let result = self.keep(outcome).await;
        drop(self.place);
        // Nobody waits any more when the caller hung up; the turn is stored all the same.
        drop(done.send(result));
    }

    /// Asks the model; what it says is also noted in `heard`, for a turn that is cancelled.
    async fn ask(
        &self,
        steps: Option<mpsc::Sender<Step>>,
        heard: &Mutex<String>,
    ) -> Result<(Reply, Asked), Broken> {
        let (prompt, asked) =
            translate::prompt(&self.gate, &self.upstream, &self.open, &self.overrides).await?;
        let Some(steps) = steps else {
            let reply = self.upstream.send(&prompt).await?;
            return Ok((reply, asked));
        };
        let start = Step::Start {
            context: Arc::clone(&self.open.context.id),
            turn: self.open.number,
            model: self.upstream.model().to_owned(),
            provider: self.upstream.provider().to_owned(),
        };
        let mut open = steps.send(start).await.is_ok();
        let (events, mut came) = mpsc::channel(STEPS_MAX);
        let call = self.upstream.stream(&prompt, events);
        let relay = async {
            while let Some(event) = came.recv().await {
                if let Event::Text { text, .. } = &event {
                    lock(heard).push_str(text);
                }
                // `Done` waits until the reply is durable; the door sends it.
                if open && !matches!(event, Event::Done(_) | Event::Fault(_)) {
                    open = steps.send(Step::Event(event)).await.is_ok();
                }
            }
        };
        let (outcome, ()) = tokio::join!(call, relay);
        match outcome {
            Ok(reply) => Ok((reply, asked)),
            Err(failed) => Err(Broken { fault: failed.fault, partial: failed.partial }),
        }
    }

    /// Steps 8 and 9: the reply, or what came of it, becomes durable.
    async fn keep(&self, outcome: Result<(Reply, Asked), Broken>) -> Result<Turn, Fault> {
        let contexts = self.gate.contexts();
        match outcome {
            Ok((reply, mut asked)) => {
                let step = asked.step(&reply.usage);
                let outcome = self.outcome(reply, &asked);
                let turn = match step {
                    Some(step) => contexts.finish_step(&self.open, outcome, step).await,
                    None => contexts.finish(&self.open, outcome).await,
                }?;
                summary::consider(&self.gate, &self.upstream, &self.open);
                Ok(turn)
            }
            Err(Broken { fault, partial }) => {
                tracing::warn!(
                    context = %self.open.context.id, turn = self.open.number,
                    provider = self.upstream.provider(), code = fault.code().as_str(),
                    blame = fault.blame().label(), "turn failed: {}", fault.chain()
                );
                self.gate.metrics().turn_failed(self.upstream.provider(), &fault);
                let partial = partial.map(|message| Outcome {
                    content: translate::content(message),
                    model: self.upstream.model().to_owned(),
                    status: EntryStatus::Partial,
                    meta: translate::failed_meta(&self.upstream, &fault),
                    usage_tokens: None,
                });
                contexts.fail(&self.open, fault.code().as_str(), partial).await?;
                Err(fault)
            }
        }
    }

    fn outcome(&self, reply: Reply, asked: &Asked) -> Outcome {
        let meta = translate::meta(&self.upstream, &reply, asked);
        if reply.stop == Stop::Refusal {
            tracing::info!(context = %self.open.context.id, "the model refused to answer");
        }
        let usage =
            (reply.usage.prompt() > 0).then_some((reply.usage.prompt(), reply.usage.output));
        Outcome {
            content: match translate::content(reply.message) {
                Content::Text(text) if text.is_empty() => Content::Text(String::new()),
                content => content,
            },
            model: reply.model,
            status: EntryStatus::Complete,
            meta,
            usage_tokens: usage,
        }
    }
}

/// What was asked, as far as the reply must remember it.
pub(super) type Asked = translate::Asked;

/// A turn that was stopped, with what the model had said until then.
fn cancelled(heard: &Mutex<String>) -> Broken {
    let text = std::mem::take(&mut *lock(heard));
    let fault = Fault::new(Code::Cancelled, "the turn was cancelled")
        .hint("send the message again, or retry the turn");
    let partial = (!text.is_empty()).then(|| Message::text(Role::Assistant, text));
    Broken { fault, partial }
}

fn lock(heard: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
