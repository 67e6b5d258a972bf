//! The life of a turn on one screen: who answers, what it is told, and what is kept.
//!
//! The steps before (who calls, may they, how often) are `surface::door`; every door of ours ends
//! here, so a conversation behaves the same whatever protocol carried it.

mod beside;
mod desk;
mod envelope;
mod local;
mod marks;
mod mend;
mod preview;
mod race;
mod remote;
mod replay;
mod said;
mod summary;
mod told;
mod tools;
mod translate;
mod vectors;

use std::sync::Arc;

use context::{
    Begun, Content, Idem, Key, Map, NewEntry, NewTurn, Settings, StateEdit, Turn, WhenBusy,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use wire::event::Event;
use wire::{Code, Fault};

pub(crate) use beside::line as window_line;
pub use desk::{Desk, Place};
pub use envelope::Envelope;
pub use preview::{Preview, preview};
pub(crate) use replay::{End, Heard, Replay, Replays, shown};
pub(crate) use said::Said;
pub(crate) use told::listening;
pub(crate) use tools::JOINED;
pub use tools::ToolPlan;
pub use translate::Overrides;
pub(crate) use translate::{Counts, plain, provider_of};
pub(crate) use vectors::{ByModel, Vectorising, consider as vectorise};

use crate::debug;
use crate::gate::{Gateway, Snapshot};
use crate::model::{Door, Target};
use crate::route::{self, Open, Owner, Plan, Record, Wanted};

/// How many steps of a stream wait for a slow reader before the model is slowed down too.
pub const STEPS_MAX: usize = 64;

/// One turn, as every door asks for it.
#[derive(Debug)]
pub struct Ask {
    /// The conversation.
    pub key: Key,
    /// Make the conversation if it is missing.
    pub create: bool,
    /// What was said before it and is not kept yet.
    pub before: Vec<NewEntry>,
    /// What the caller says.
    pub content: Content,
    /// What the caller changes in the state, before the model answers.
    pub state: Option<StateEdit>,
    /// Keep the text as `last_message` in the state.
    pub remember_last: bool,
    /// Which doors' default model answers.
    pub door: Door,
    /// What the caller sets for this turn only.
    pub overrides: Overrides,
    /// Makes a repeated request return the first answer.
    pub idem: Option<Idem>,
    /// The revision the caller expects.
    pub expect: Option<u64>,
    /// What it came in.
    pub envelope: Envelope,
    /// Notes to keep beside what the caller says.
    pub meta: Map,
}

/// Who answers a turn, and where it is written down.
struct Way {
    plan: Plan,
    record: Record,
}

/// One step of a streamed turn.
#[derive(Debug)]
pub enum Step {
    /// The question is stored and the model is asked.
    Start {
        /// The conversation.
        context: Arc<str>,
        /// The number of the turn, from 1.
        turn: u64,
        /// The model that was asked.
        model: String,
        /// Who runs it.
        provider: String,
    },
    /// Something came from the model.
    Event(Event),
}

/// A turn that was answered.
#[derive(Debug)]
pub struct Answered {
    /// What is stored; provider, usage and stop reason are in its message's `meta`.
    pub turn: Turn,
    /// How long it took, from the door to the stored reply.
    pub elapsed: std::time::Duration,
}

/// Answers one turn: nine steps of DESIGN's path from `route` to `record`.
///
/// With `steps`, what the model says is also sent there as it comes. The turn does not depend on
/// the caller: when this future is dropped, an upstream turn is finished and stored all the same
/// (or cancelled, if the conversation's settings say so).
///
/// # Errors
/// Whatever keeps the turn from being answered; the question is then stored as failed.
pub async fn turn(
    gate: &Gateway,
    ask: Ask,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Answered, Fault> {
    let key = gate.now().settings.models.embed.is_some().then(|| ask.key.clone());
    let answered = match tools::wanted(gate, &ask).await? {
        None => Box::pin(once(gate, ask, steps)).await,
        Some(tools) => Box::pin(tools.run(gate, ask, steps)).await,
    };
    if let Some(key) = key {
        vectors::consider(gate, &key);
    }
    answered
}

/// Asks once: the model's calls of tools are for the caller.
async fn once(
    gate: &Gateway,
    ask: Ask,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Answered, Fault> {
    let stepped = gate.debugging().steps().then(|| Arc::clone(&ask.envelope.request));
    if stepped.is_some() {
        Box::pin(debug::turned(gate, &ask)).await?;
    }
    let started = Instant::now();
    let snapshot = gate.now();
    let (began, cases) = (envelope::began(&ask, steps.is_some()), gate.cases());
    let (plan, settings) = match route(gate, &snapshot, &ask).await {
        Ok(routed) => routed,
        Err(fault) => {
            Open::refused(cases, &began, &fault);
            return conclude(gate, Err(fault), started);
        }
    };
    let record: Record = Arc::new(Mutex::new(Open::new(cases, &plan, &began)));
    let known = Arc::clone(&record);
    let turn = if plan.is_offline() {
        Box::pin(local::answer(gate, (snapshot, known), ask, steps)).await
    } else {
        let way = Way { plan, record: known };
        Box::pin(remote::answer(gate, way, (ask, settings), steps)).await
    };
    if let (Ok(turn), Some(request)) = (&turn, &stepped) {
        Box::pin(debug::answered(gate, request, turn)).await?;
    }
    written(&record, &turn);
    conclude(gate, turn, started)
}

/// Answers the last failed turn of a conversation again.
///
/// # Errors
/// `conflict` when the last turn did not fail; else as [`turn`].
pub async fn retry(
    gate: &Gateway,
    key: Key,
    (overrides, envelope): (Overrides, Envelope),
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Answered, Fault> {
    let started = Instant::now();
    let snapshot = gate.now();
    let found = gate.contexts().get(&key).await?;
    let (settings, tokens) = (found.settings, found.size.tokens);
    let wanted = overrides.model.as_deref().or(settings.model.as_deref());
    let plan = plan(gate, &snapshot, (&key, &envelope), (wanted, Door::Context, tokens))?;
    let ask = Ask { overrides, envelope, ..Ask::nothing(key) };
    let began = envelope::began(&ask, steps.is_some());
    let record: Record = Arc::new(Mutex::new(Open::new(gate.cases(), &plan, &began)));
    let Ask { key, overrides, .. } = ask;
    let known = Arc::clone(&record);
    let turn = match plan.targets.first() {
        Some(Target::Offline(model)) => {
            Box::pin(local::again(gate, (*model, &known), &key, steps)).await
        }
        _ => {
            let way = Way { plan, record: known };
            Box::pin(remote::again(gate, way, (key, settings), overrides, steps)).await
        }
    };
    written(&record, &turn);
    conclude(gate, turn, started)
}

/// What the record of a turn must still know when it is over.
fn written(record: &Record, turn: &Result<Turn, Fault>) {
    let mut record = record.lock();
    match turn {
        // Nobody was asked: the answer was there.
        Ok(turn) if turn.replayed => record.forget(),
        Ok(_) => {}
        Err(fault) => record.failed(fault),
    }
}

/// Step 9: the figures of the turn, whatever became of it.
fn conclude(
    gate: &Gateway,
    turn: Result<Turn, Fault>,
    started: Instant,
) -> Result<Answered, Fault> {
    let elapsed = started.elapsed();
    gate.metrics().turn(turn.as_ref(), elapsed);
    if let Ok(turn) = &turn
        && turn.created
        && !turn.replayed
    {
        tracing::info!(context = %turn.context, "context created");
    }
    if let Ok(turn) = &turn {
        told::stored(&turn.message.meta);
    }
    turn.map(|turn| Answered { turn, elapsed })
}

/// Step 4: request, then conversation, then door decide who answers. The conversation's settings
/// come along where they had to be read for it.
async fn route(
    gate: &Gateway,
    snapshot: &Snapshot,
    ask: &Ask,
) -> Result<(Plan, Option<Settings>), Fault> {
    let named = ask.overrides.model.as_deref();
    let about = (&ask.key, &ask.envelope);
    // The conversation's own model counts before the default, so only a name decides at once; and
    // only a route has to know how long the conversation is.
    let choice = &snapshot.settings.models;
    let name = named.or(choice.default.as_deref().filter(|_| !choice.mock));
    let is_route = name.is_some_and(|name| snapshot.models.route(name).is_some());
    if named.is_some() && !is_route {
        return Ok((plan(gate, snapshot, about, (named, ask.door, 0))?, None));
    }
    if !is_route {
        let default = plan(gate, snapshot, about, (None, ask.door, 0))?;
        if default.is_offline() {
            // The conversation's own model is looked up by the offline path inside its
            // transaction: a read before would cost as much as the turn itself.
            return Ok((default, None));
        }
    }
    let asked = tokens(&ask.content);
    match gate.contexts().get(&ask.key).await {
        Ok(found) => {
            let named = named.or(found.settings.model.as_deref());
            let tokens = found.size.tokens + asked;
            let plan = plan(gate, snapshot, about, (named, ask.door, tokens))?;
            Ok((plan, Some(found.settings)))
        }
        Err(fault) if fault.code() == Code::ContextNotFound && ask.create => {
            let plan = plan(gate, snapshot, about, (named, ask.door, asked))?;
            Ok((plan, Some(Settings::default())))
        }
        Err(fault) => Err(fault),
    }
}

/// What a question will about add to the prompt.
fn tokens(content: &Content) -> u64 {
    u64::from(context::tokens(&plain(content)))
}

/// Who answers a turn of this conversation.
fn plan(
    gate: &Gateway,
    snapshot: &Snapshot,
    (key, envelope): (&Key, &Envelope),
    (model, door, tokens): (Option<&str>, Door, u64),
) -> Result<Plan, Fault> {
    let tenant = key.tenant.0;
    let wanted = Wanted {
        model,
        door,
        tenant,
        models: &envelope.models,
        headers: &envelope.headers,
        tokens,
        owner: Some(Owner::named(tenant, "context", &key.id)),
    };
    route::plan(snapshot, gate.affinity(), &wanted)
}

impl Ask {
    /// A turn that says nothing new: the last question is asked again.
    fn nothing(key: Key) -> Self {
        Self {
            key,
            create: false,
            before: Vec::new(),
            content: Content::Text(String::new()),
            state: None,
            remember_last: false,
            door: Door::Context,
            overrides: Overrides::default(),
            idem: None,
            expect: None,
            envelope: Envelope::default(),
            meta: Map::new(),
        }
    }

    fn into_new_turn(self) -> (NewTurn, Overrides) {
        let new = NewTurn {
            key: self.key,
            create: self.create,
            before: self.before,
            content: self.content,
            state: self.state,
            remember_last: self.remember_last,
            expect: self.expect,
            idem: self.idem,
            durability: None,
            meta: self.meta,
        };
        (new, self.overrides)
    }
}

/// Takes the conversation's place, as its settings say, within `limits.queue`.
async fn sit(gate: &Gateway, key: &Key, settings: &Settings) -> Result<Place, Fault> {
    let wait = gate.now().settings.limits.queue;
    gate.desk().sit(key, settings.when_busy.unwrap_or(WhenBusy::Queue), wait).await
}

/// Tells whether a fault only says that another turn of the conversation is under way.
fn is_busy(fault: &Fault) -> bool {
    fault.code() == Code::Conflict
        && fault.detail_values().and_then(|d| d.get("reason")).is_some_and(|r| r == "busy")
}

/// The turn that a begun turn replays, if the request was seen before.
fn replayed(begun: Begun) -> Result<Box<context::OpenTurn>, Box<Turn>> {
    match begun {
        Begun::Replay(turn) => Err(turn),
        Begun::Open(open) => Ok(open),
    }
}
