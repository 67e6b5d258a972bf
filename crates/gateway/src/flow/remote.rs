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
use crate::model::{Upstream, culprit};
use crate::route::{Began, Open, Plan};

/// Stores the question, asks the model, stores the reply.
pub(super) async fn answer(
    gate: &Gateway,
    plan: Plan,
    (ask, known): (Ask, Option<Settings>),
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (new, overrides) = ask.into_new_turn();
    begin(gate, plan, (new, overrides, known), steps).await
}

/// As [`answer`], from the store's own request.
pub(super) async fn begin(
    gate: &Gateway,
    plan: Plan,
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
        Ok(open) => run(gate, plan, (open, place), overrides, steps).await,
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
    plan: Plan,
    (key, settings): (Key, Settings),
    overrides: Overrides,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let place = sit(gate, &key, &settings).await?;
    let open = Box::new(gate.contexts().reopen(&key).await?);
    run(gate, plan, (open, place), overrides, steps).await
}

/// Runs the turn in a task of its own, so that a caller who hangs up does not end it.
async fn run(
    gate: &Gateway,
    plan: Plan,
    (open, place): (Box<OpenTurn>, Place),
    overrides: Overrides,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (done, result) = oneshot::channel();
    let targets: Vec<Arc<Upstream>> = plan.upstreams().cloned().collect();
    let Some(first) = targets.first().cloned() else {
        return Err(Fault::internal("a turn without an upstream"));
    };
    let id: Arc<str> = format!("{}.{}", open.context.id, open.number).into();
    let began = Began {
        id: &id,
        tenant: open.key.tenant.0,
        dialect: "context",
        model: overrides.model.as_deref().or(open.context.settings.model.as_deref()),
        stream: steps.is_some(),
    };
    let record = parking_lot::Mutex::new(Open::new(gate.cases(), &plan, &began));
    let asked = Mutex::new(first);
    let task = Task { gate: gate.clone(), targets, plan, asked, record, open, place, overrides };
    gate.tasks().spawn("turn", async move {
        task.run(steps, done).await;
    });
    result.await.unwrap_or_else(|_| {
        Err(Fault::internal("the turn ended without a result").hint("see the log of the server"))
    })
}

struct Task {
    gate: Gateway,
    plan: Plan,
    targets: Vec<Arc<Upstream>>,
    /// Who was asked last.
    asked: Mutex<Arc<Upstream>>,
    /// Written down when the turn is over.
    record: parking_lot::Mutex<Open>,
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

    /// Asks one target after the other until one answers; what is said is also noted in `heard`,
    /// for a turn that is cancelled.
    async fn ask(
        &self,
        mut steps: Option<mpsc::Sender<Step>>,
        heard: &Mutex<String>,
    ) -> Result<(Reply, Asked), Broken> {
        let mut last = Broken::from(Fault::internal("a turn without an upstream"));
        for (place, upstream) in self.targets.iter().enumerate() {
            *lock(&self.asked) = Arc::clone(upstream);
            let others = place + 1 < self.targets.len();
            match Box::pin(self.ask_one(upstream, &mut steps, heard, others)).await {
                Ok(answered) => {
                    if let Some(owner) = self.plan.owner {
                        let affinity = self.gate.affinity();
                        affinity.keep(owner, upstream.provider(), upstream.model());
                    }
                    return Ok(answered);
                }
                Err(broken) => {
                    let said = !lock(heard).is_empty();
                    if said || !others || !culprit(&broken.fault).is_elsewhere() {
                        return Err(broken);
                    }
                    tracing::info!(
                        provider = upstream.provider(),
                        "asking the next target: {}",
                        broken.fault
                    );
                    last = broken;
                }
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        upstream: &Arc<Upstream>,
        steps: &mut Option<mpsc::Sender<Step>>,
        heard: &Mutex<String>,
        others: bool,
    ) -> Result<(Reply, Asked), Broken> {
        let (prompt, asked) =
            translate::prompt(&self.gate, upstream, &self.open, &self.overrides).await?;
        let Some(steps) = steps else {
            let reply = upstream.send(&prompt).await?;
            self.record.lock().answers(Some(upstream));
            return Ok((reply, asked));
        };
        let start = Step::Start {
            context: Arc::clone(&self.open.context.id),
            turn: self.open.number,
            model: upstream.model().to_owned(),
            provider: upstream.provider().to_owned(),
        };
        // While others can be asked nothing goes out before there is content.
        let mut held = vec![start];
        let mut open = true;
        if !others {
            open = flush(steps, &mut held).await;
        }
        let (events, mut came) = mpsc::channel(STEPS_MAX);
        let call = upstream.stream(&prompt, events);
        let relay = async {
            while let Some(event) = came.recv().await {
                if let Event::Text { text, .. } = &event {
                    lock(heard).push_str(text);
                }
                // `Done` waits until the reply is durable; the door sends it.
                if matches!(event, Event::Done(_) | Event::Fault(_)) {
                    continue;
                }
                let begins =
                    matches!(event, Event::Start { .. } | Event::Ping | Event::Open { .. });
                if !begins {
                    self.record.lock().answers(Some(upstream));
                }
                held.push(Step::Event(event));
                if open && (!others || !begins) {
                    open = flush(steps, &mut held).await;
                }
            }
        };
        let (outcome, ()) = tokio::join!(call, relay);
        match outcome {
            Ok(reply) => {
                // A reply without a word still begins.
                flush(steps, &mut held).await;
                Ok((reply, asked))
            }
            Err(failed) => Err(Broken { fault: failed.fault, partial: failed.partial }),
        }
    }

    /// Steps 8 and 9: the reply, or what came of it, becomes durable.
    async fn keep(&self, outcome: Result<(Reply, Asked), Broken>) -> Result<Turn, Fault> {
        let contexts = self.gate.contexts();
        let upstream = Arc::clone(&lock(&self.asked));
        match &outcome {
            Ok((reply, _)) => self.record.lock().done(Some(reply.usage)),
            Err(broken) => self.record.lock().failed(&broken.fault),
        }
        match outcome {
            Ok((reply, mut asked)) => {
                let step = asked.step(&reply.usage);
                let outcome = self.outcome(&upstream, reply, &asked);
                let turn = match step {
                    Some(step) => contexts.finish_step(&self.open, outcome, step).await,
                    None => contexts.finish(&self.open, outcome).await,
                }?;
                summary::consider(&self.gate, &upstream, &self.open);
                Ok(turn)
            }
            Err(Broken { fault, partial }) => {
                tracing::warn!(
                    context = %self.open.context.id, turn = self.open.number,
                    provider = upstream.provider(), code = fault.code().as_str(),
                    blame = fault.blame().label(), "turn failed: {}", fault.chain()
                );
                self.gate.metrics().turn_failed(upstream.provider(), &fault);
                let partial = partial.map(|message| Outcome {
                    content: translate::content(message),
                    model: upstream.model().to_owned(),
                    status: EntryStatus::Partial,
                    meta: translate::failed_meta(&upstream, &fault),
                    usage_tokens: None,
                });
                contexts.fail(&self.open, fault.code().as_str(), partial).await?;
                Err(fault)
            }
        }
    }

    fn outcome(&self, upstream: &Upstream, reply: Reply, asked: &Asked) -> Outcome {
        let meta = translate::meta(upstream, &reply, asked);
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

/// Sends what was held back; whether somebody still listens.
async fn flush(steps: &mpsc::Sender<Step>, held: &mut Vec<Step>) -> bool {
    for step in held.drain(..) {
        if steps.send(step).await.is_err() {
            return false;
        }
    }
    true
}

fn lock<T>(held: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
