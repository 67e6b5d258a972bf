//! Turns of real models: the question is durable before the call, the reply before its last event.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use context::{Content, EntryStatus, Key, NewTurn, OnHangUp, OpenTurn, Outcome, Settings, Turn};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use wire::event::Event;
use wire::prompt::{Message, Role};
use wire::reply::{Reply, Stop};
use wire::{Code, Fault};

use super::race::Race;
use super::said::Said;
use super::{Ask, Overrides, Place, Replay, STEPS_MAX, Step, Way};
use super::{local, replayed, sit, summary, told, translate};
use crate::debug;
use crate::gate::Gateway;
use crate::model::{Target, Upstream, culprit};
use crate::offline::{self, Offline};
use crate::route::{Plan, Record, copy_to};

/// Stores the question, asks the model, stores the reply.
pub(super) async fn answer(
    gate: &Gateway,
    way: Way,
    (ask, known): (Ask, Option<Settings>),
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (new, overrides) = ask.into_new_turn();
    begin(gate, way, (new, overrides, known), steps).await
}

/// As [`answer`], from the store's own request.
pub(super) async fn begin(
    gate: &Gateway,
    way: Way,
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
        Ok(open) => run(gate, way, (open, place), overrides, steps).await,
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
    way: Way,
    (key, settings): (Key, Settings),
    overrides: Overrides,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let place = sit(gate, &key, &settings).await?;
    let open = Box::new(gate.contexts().reopen(&key).await?);
    run(gate, way, (open, place), overrides, steps).await
}

/// Runs the turn in a task of its own, so that a caller who hangs up does not end it.
async fn run(
    gate: &Gateway,
    way: Way,
    (open, place): (Box<OpenTurn>, Place),
    overrides: Overrides,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (done, result) = oneshot::channel();
    let Way { plan, record } = way;
    let Some(first) = plan.upstreams().next().cloned() else {
        return Err(Fault::internal("a turn without an upstream"));
    };
    record.lock().is_turn(open.number);
    let asked = Mutex::new(first);
    let told = told::here();
    let gate = gate.clone();
    // Only step mode has to know that the caller left.
    let left = gate.debugging().steps().then(CancellationToken::new);
    let _here = left.clone().map(CancellationToken::drop_guard);
    let task = Task { gate, told, plan, asked, record, open, place, overrides, left };
    let gate = task.gate.clone();
    let replay = gate.replays().begin(&task.open.key, task.open.number);
    // Who wants no stream gets none, and nothing of it is kept either.
    let (tap, came) = steps.is_some().then(Replay::channel).unzip();
    gate.tasks().spawn("turn", async move {
        let pass = async {
            if let Some(came) = came {
                replay.pass(came, steps).await;
            }
        };
        tokio::join!(task.run(tap, done), pass);
    });
    result.await.unwrap_or_else(|_| {
        Err(Fault::internal("the turn ended without a result").hint("see the log of the server"))
    })
}

struct Task {
    gate: Gateway,
    /// Where the request is told what its window was.
    told: Option<told::Slot>,
    plan: Plan,
    /// Who was asked last.
    asked: Mutex<Arc<Upstream>>,
    /// Written down when the turn is over.
    record: Record,
    open: Box<OpenTurn>,
    place: Place,
    overrides: Overrides,
    /// The caller left; there in step mode alone.
    left: Option<CancellationToken>,
}

/// Where the words of a target go.
#[derive(Clone, Copy)]
struct Out<'a> {
    steps: Option<&'a mpsc::Sender<Step>>,
    heard: &'a Mutex<String>,
    race: &'a Race,
    /// What another target would have to go on with.
    said: &'a Mutex<Said>,
    /// Another target may be asked at the same time.
    hedged: bool,
}

/// A whole reply.
enum Whole {
    /// By a model behind a connection.
    Said(Reply, Box<Asked>),
    /// By one of ours.
    Inside(Outcome),
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
            (outcome, ()) = async { tokio::join!(self.ask(steps, &heard), self.shadow()) } => {
                outcome
            }
            () = self.place.stopped().cancelled() => Err(cancelled(&heard)),
            () = done.closed(), if hang_up == OnHangUp::Cancel => Err(cancelled(&heard)),
        };
        let result = self.keep(outcome).await;
        self.gate.replays().end(&self.open.key, self.open.number, &result);
        drop(self.place);
        // Nobody waits any more when the caller hung up; the turn is stored all the same.
        drop(done.send(result));
    }

    /// Asks one target after the other until one answers; what is said is also noted in `heard`,
    /// for a turn that is cancelled.
    async fn ask(
        &self,
        steps: Option<mpsc::Sender<Step>>,
        heard: &Mutex<String>,
    ) -> Result<Whole, Broken> {
        debug::joined(&self.gate, &self.open, self.left.as_ref()).await?;
        let (race, said) = (Race::default(), Mutex::default());
        let out = Out { steps: steps.as_ref(), heard, race: &race, said: &said, hedged: false };
        let hedge = self.plan.route.as_ref().and_then(|route| route.hedge);
        let two = self.plan.targets.iter().take(2);
        let two = two.filter(|target| matches!(target, Target::Upstream(_))).count() == 2;
        let hedge = hedge.filter(|hedge| two && self.gate.hedges().called(hedge.percent));
        let mut place = 0;
        if let Some(hedge) = hedge {
            match self.hedged(hedge.after, Out { hedged: true, ..out }).await {
                Ok(answered) => return Ok(answered),
                Err((broken, tried)) if !self.goes_on(&broken, tried.saturating_sub(1), out) => {
                    return Err(broken);
                }
                Err((_, tried)) => {
                    place = tried;
                    race.ends();
                }
            }
        }
        while let Some(target) = self.plan.targets.get(place) {
            let answered = match target {
                Target::Upstream(upstream) => Box::pin(self.ask_one((place, upstream), out)).await,
                Target::Offline(model) => self.inside(*model, out).await,
            };
            match answered {
                Ok(answered) => return Ok(answered),
                Err(broken) if !self.goes_on(&broken, place, out) => return Err(broken),
                Err(_) => {
                    place += 1;
                    // What one target has won by speaking, the next one must win again.
                    race.ends();
                }
            }
        }
        Err(Fault::internal("a turn without an upstream").into())
    }

    /// Whether the target after this one may be asked.
    fn goes_on(&self, broken: &Broken, place: usize, out: Out<'_>) -> bool {
        let next = self.plan.targets.get(place + 1);
        let can = if lock(out.heard).is_empty() {
            next.is_some()
        } else {
            // Half an answer is gone on with where the route wants that, by a model that reads it.
            let continues = self.plan.route.as_ref().is_some_and(|route| route.continues);
            continues && matches!(next, Some(Target::Upstream(_))) && lock(out.said).is_words()
        };
        let goes_on = can && culprit(&broken.fault).is_elsewhere();
        if goes_on {
            let context = &self.open.context.id;
            tracing::info!(%context, "asking the next target: {}", broken.fault);
        }
        goes_on
    }

    /// Asks the first, and after a while the second too; whoever has something to say first
    /// answers. The number of targets that were asked comes with the failure.
    async fn hedged(&self, after: Duration, out: Out<'_>) -> Result<Whole, (Broken, usize)> {
        let mut upstreams = self.plan.upstreams();
        let (Some(one), Some(two)) = (upstreams.next(), upstreams.next()) else {
            return Err((Fault::internal("a hedge needs two targets").into(), 0));
        };
        let mut first = Box::pin(self.ask_one((0, one), out));
        let early = tokio::time::timeout(after, &mut first).await;
        match early {
            Ok(done) => return done.map_err(|broken| (broken, 1)),
            Err(_) if out.race.speaker().is_some() => {
                return first.await.map_err(|broken| (broken, 1));
            }
            Err(_) => self.gate.hedges().sent(),
        }
        let mut second = Box::pin(self.ask_one((1, two), out));
        // Whoever loses is dropped, which closes its connection.
        let outcome = tokio::select! {
            done = &mut first => match done {
                Ok(answered) => Ok(answered),
                Err(_) => second.await,
            },
            done = &mut second => match done {
                Ok(answered) => Ok(answered),
                Err(_) => first.await,
            },
            speaker = out.race.decided() => if speaker == 0 {
                drop(second);
                first.await
            } else {
                drop(first);
                second.await
            },
        };
        outcome.map_err(|broken| (broken, 2))
    }

    /// Asks one target. Where another is asked at the same time, only one of them gets beyond its
    /// first word.
    async fn ask_one(
        &self,
        (place, upstream): (usize, &Arc<Upstream>),
        out: Out<'_>,
    ) -> Result<Whole, Broken> {
        *lock(&self.asked) = Arc::clone(upstream);
        let (mut prompt, asked) =
            translate::prompt(&self.gate, upstream, &self.open, &self.overrides).await?;
        if let Some(told) = &self.told {
            told.note(asked.facts());
        }
        let sent = (&**upstream, &prompt, out.steps.is_some());
        debug::written((&self.gate, &self.open), sent, self.left.as_ref()).await?;
        let Some(steps) = out.steps else {
            let reply = upstream.send(&prompt).await?;
            self.speaks((place, upstream), out.race).await;
            return Ok(Whole::Said(reply, Box::new(asked)));
        };
        let goes_on = !lock(out.said).is_empty();
        if goes_on {
            lock(out.said).lead(&mut prompt, upstream);
        }
        let start = Step::Start {
            context: Arc::clone(&self.open.context.id),
            turn: self.open.number,
            model: upstream.model().to_owned(),
            provider: upstream.provider().to_owned(),
        };
        // While others can be asked nothing goes out before there is content.
        let others = !goes_on && (out.hedged || place + 1 < self.plan.targets.len());
        let mut held = if goes_on { Vec::new() } else { vec![start] };
        let mut open = true;
        if !others {
            open = flush(steps, &mut held).await;
        }
        let (events, mut came) = mpsc::channel(STEPS_MAX);
        let call = upstream.stream(&prompt, events);
        let relay = async {
            let mut speaks = false;
            while let Some(event) = came.recv().await {
                // `Done` waits until the reply is durable; the door sends it.
                if matches!(event, Event::Done(_) | Event::Fault(_)) {
                    continue;
                }
                let begins =
                    matches!(event, Event::Start { .. } | Event::Ping | Event::Open { .. });
                if !begins && !speaks {
                    self.speaks((place, upstream), out.race).await;
                    speaks = true;
                }
                if let Event::Text { text, .. } = &event {
                    lock(out.heard).push_str(text);
                }
                let Some(event) = lock(out.said).take(event, goes_on) else { continue };
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
                self.speaks((place, upstream), out.race).await;
                flush(steps, &mut held).await;
                let reply = std::mem::take(&mut *lock(out.said)).whole(reply, goes_on);
                Ok(Whole::Said(reply, Box::new(asked)))
            }
            // Of an answer that two began to give, what was heard is all there is.
            Err(failed) if goes_on => {
                let partial = Message::text(Role::Assistant, lock(out.heard).clone());
                Err(Broken { fault: failed.fault, partial: Some(partial) })
            }
            Err(failed) => Err(Broken { fault: failed.fault, partial: failed.partial }),
        }
    }

    /// A model of ours answers, behind others that could not.
    async fn inside(&self, model: &'static dyn Offline, out: Out<'_>) -> Result<Whole, Broken> {
        let budget = context::Budget { tokens: u32::MAX };
        let window = self.gate.contexts().window(&self.open.key, budget).await?;
        let outcome = local::outcome(model, &self.open.key, &window);
        if let (Some(steps), Content::Text(text)) = (out.steps, &outcome.content) {
            let about = (Arc::clone(&self.open.context.id), self.open.number);
            local::play(about, (model.name(), offline::PROVIDER), text, steps).await;
        }
        Ok(Whole::Inside(outcome))
    }

    /// This target has something to say. Returns if it may; one that lost its race waits here
    /// until it is dropped.
    async fn speaks(&self, (place, upstream): (usize, &Arc<Upstream>), race: &Race) {
        if !race.takes(place) {
            return std::future::pending().await;
        }
        *lock(&self.asked) = Arc::clone(upstream);
        {
            let mut record = self.record.lock();
            record.answers(Some(upstream));
            record.speaks();
        }
        if let Some(owner) = self.plan.owner {
            self.gate.affinity().keep(owner, upstream.provider(), upstream.model());
        }
    }

    /// Sends copies of the turn whose answers nobody reads.
    async fn shadow(&self) {
        for upstream in &self.plan.shadow {
            let key = &self.open.key;
            match translate::copy(&self.gate, upstream, key, &self.overrides).await {
                Ok(prompt) => copy_to(&self.gate, upstream, prompt),
                Err(fault) => tracing::info!(context = %key.id, "no shadow copy: {fault}"),
            }
        }
    }

    /// Steps 8 and 9: the reply, or what came of it, becomes durable.
    async fn keep(&self, outcome: Result<Whole, Broken>) -> Result<Turn, Fault> {
        let contexts = self.gate.contexts();
        let upstream = Arc::clone(&lock(&self.asked));
        match &outcome {
            Ok(Whole::Said(reply, _)) => self.record.lock().done(Some(reply.usage)),
            Ok(Whole::Inside(outcome)) => self.record.lock().answered_inside(&outcome.model),
            Err(broken) => self.record.lock().failed(&broken.fault),
        }
        match outcome {
            Ok(Whole::Inside(outcome)) => contexts.finish(&self.open, outcome).await,
            Ok(Whole::Said(reply, mut asked)) => {
                self.gate.metrics().estimated(upstream.provider(), asked.counted(&reply.usage));
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
