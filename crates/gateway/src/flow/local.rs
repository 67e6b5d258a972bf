//! Turns of the offline models: question and answer in one transaction, no network, no waiting.

use std::sync::{Arc, Mutex, PoisonError};

use catalog::ModelLimit;
use context::{Content, EntryStatus, Key, LocalReply, Map, NewTurn, Outcome, Turn, View};
use tokio::sync::mpsc;
use wire::event::{Event, Part};
use wire::reply::Usage;
use wire::{Code, Fault};

use super::{Ask, Step, Way, is_busy, remote, sit, translate};
use crate::auth;
use crate::gate::{Gateway, Snapshot};
use crate::model::{Door, Target};
use crate::offline::{Offline, Said};
use crate::route::Record;

/// Answers with the offline model that request, conversation and door choose.
pub(super) async fn answer(
    gate: &Gateway,
    (snapshot, record): (Arc<Snapshot>, Record),
    mut ask: Ask,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let (door, named) = (ask.door, ask.overrides.model.clone());
    let envelope = std::mem::take(&mut ask.envelope);
    let (new, mut overrides) = ask.into_new_turn();
    let elsewhere = Arc::default();
    let models = envelope.models.clone();
    let mut choice = Choice { snapshot: Arc::clone(&snapshot), door, named, models, elsewhere };
    let mut outcome = now_or_next(gate, &choice, &new).await;
    if let Some(model) = choice.taken() {
        // The conversation is there: its settings were read.
        let found = gate.contexts().get(&new.key).await?;
        let wanted = (Some(model.as_str()), door, found.size.tokens + super::tokens(&new.content));
        let plan = super::plan(gate, &snapshot, (&new.key, &envelope), wanted)?;
        record.lock().goes_by(&plan);
        match plan.targets.first() {
            Some(Target::Offline(model)) => {
                let name = model.name().to_owned();
                overrides.model = Some(name.clone());
                choice.named = Some(name);
                // Who may use the route may be answered by what is behind it.
                choice.models = ModelLimit::default();
                outcome = now_or_next(gate, &choice, &new).await;
            }
            _ => {
                let (way, known) = (Way { plan, record }, Some(found.settings));
                return remote::begin(gate, way, (new, overrides, known), steps).await;
            }
        }
    }
    let turn = outcome?;
    note(&record, &turn);
    if let Some(steps) = steps {
        tell(&turn, &steps).await;
    }
    Ok(turn)
}

/// Answers at once, or behind an upstream turn of the conversation that is under way.
async fn now_or_next(gate: &Gateway, choice: &Choice, new: &NewTurn) -> Result<Turn, Fault> {
    let outcome = gate.contexts().answer_now(copy(new), choice.model(new)).await;
    if !outcome.as_ref().is_err_and(is_busy) {
        return outcome;
    }
    let settings = gate.contexts().get(&new.key).await?.settings;
    let place = sit(gate, &new.key, &settings).await?;
    let outcome = gate.contexts().answer_now(copy(new), choice.model(new)).await;
    drop(place);
    outcome
}

/// Writes down who answered which turn.
fn note(record: &Record, turn: &Turn) {
    let mut record = record.lock();
    record.is_turn(turn.number);
    record.answered_inside(turn.message.model.as_deref().unwrap_or_default());
}

/// Answers a failed turn again with an offline model.
pub(super) async fn again(
    gate: &Gateway,
    (model, record): (&'static dyn Offline, &Record),
    key: &Key,
    steps: Option<mpsc::Sender<Step>>,
) -> Result<Turn, Fault> {
    let place = sit(gate, key, &context::Settings::default()).await?;
    let open = gate.contexts().reopen(key).await?;
    let budget = context::Budget { tokens: u32::MAX };
    let window = gate.contexts().window(key, budget).await?;
    let turn = gate.contexts().finish(&open, outcome(model, key, &window)).await?;
    drop(place);
    note(record, &turn);
    if let Some(steps) = steps {
        tell(&turn, &steps).await;
    }
    Ok(turn)
}

/// What an offline model answers to the last question of a window.
pub(super) fn outcome(model: &'static dyn Offline, key: &Key, window: &context::Window) -> Outcome {
    let (reply, usage) = reply_again(model, key, window);
    Outcome {
        content: Content::Text(reply),
        model: model.name().to_owned(),
        status: EntryStatus::Complete,
        meta: meta(usage),
        usage_tokens: None,
    }
}

fn reply_again(
    model: &'static dyn Offline,
    key: &Key,
    window: &context::Window,
) -> (String, Usage) {
    let text = window.entries.last().map(|e| translate::plain(&e.content)).unwrap_or_default();
    let before = window.entries.len().saturating_sub(1);
    let earlier = |needle: &str| {
        let mut said = window.entries.iter().take(before);
        said.any(|e| translate::plain(&e.content).to_lowercase().contains(needle))
    };
    let state = &window.context.state;
    let reply = model.answer(&Said { context: &key.id, text: &text, state, earlier: &earlier });
    let usage = usage_of(&text, &reply);
    (reply, usage)
}

/// Which offline model answers, decided inside the transaction where the settings are known.
struct Choice {
    snapshot: Arc<Snapshot>,
    door: Door,
    named: Option<String>,
    /// The models the caller may use.
    models: ModelLimit,
    /// The upstream model that the conversation's settings name, if they do.
    elsewhere: Arc<Mutex<Option<String>>>,
}

impl Choice {
    fn model(
        &self,
        new: &NewTurn,
    ) -> impl FnOnce(&mut View<'_>) -> Result<LocalReply, Fault> + Send + 'static {
        let (snapshot, door, named) = (Arc::clone(&self.snapshot), self.door, self.named.clone());
        let (elsewhere, models) = (Arc::clone(&self.elsewhere), self.models.clone());
        let text = translate::plain(&new.content);
        move |view| {
            let wanted = named.or_else(|| view.settings().model.clone());
            if wanted.as_ref().is_some_and(|name| snapshot.models.route(name).is_some()) {
                // A route is gone by with what is known of the call.
                *elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
                return Err(Fault::new(Code::Conflict, "this context is answered by a route"));
            }
            match snapshot.models.resolve(wanted.as_deref(), door)? {
                target @ Target::Offline(model) => {
                    auth::may_ask(&models, &target)?;
                    speak(model, &text, view)
                }
                Target::Upstream(_) => {
                    *elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
                    Err(Fault::new(Code::Conflict, "this context is answered by an upstream model"))
                }
            }
        }
    }

    fn taken(&self) -> Option<String> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn speak(
    model: &'static dyn Offline,
    text: &str,
    view: &mut View<'_>,
) -> Result<LocalReply, Fault> {
    let id = view.id().to_owned();
    let state = view.state().clone();
    let view = std::cell::RefCell::new(view);
    let failed = std::cell::RefCell::new(None);
    let earlier = |needle: &str| match view.borrow_mut().history_contains(needle) {
        Ok(found) => found,
        Err(fault) => {
            *failed.borrow_mut() = Some(fault);
            false
        }
    };
    let said = Said { context: &id, text, state: &state, earlier: &earlier };
    let reply = model.answer(&said);
    if let Some(fault) = failed.borrow_mut().take() {
        return Err(fault);
    }
    let usage = usage_of(text, &reply);
    Ok(LocalReply { text: reply, model: model.name().to_owned(), usage, meta: meta(usage) })
}

/// What offline models would have cost: about four letters a token, so that clients see figures.
fn usage_of(text: &str, reply: &str) -> Usage {
    let tokens = |text: &str| text.len().div_ceil(4) as u64;
    Usage { input: tokens(text), output: tokens(reply), ..Usage::default() }
}

fn meta(usage: Usage) -> Map {
    let mut meta = Map::new();
    meta.insert("provider".to_owned(), "offline".into());
    meta.insert("stop_reason".to_owned(), "end_turn".into());
    meta.insert("usage".to_owned(), translate::usage_value(&usage));
    meta
}

/// Plays a stored answer as a stream: the shape that callers of real models know.
pub(super) async fn tell(turn: &Turn, steps: &mpsc::Sender<Step>) {
    let text = translate::plain(&turn.message.content);
    let who = (turn.message.model.as_deref().unwrap_or_default(), translate::provider_of(turn));
    let about = (Arc::clone(&turn.context), turn.number);
    play(about, (who.0, &who.1), &text, steps).await;
}

/// Plays a text as a stream of this turn.
pub(super) async fn play(
    (context, turn): (Arc<str>, u64),
    (model, provider): (&str, &str),
    text: &str,
    steps: &mpsc::Sender<Step>,
) {
    let (model, provider) = (model.to_owned(), provider.to_owned());
    let start = Step::Start { context, turn, model, provider };
    let mut events = vec![start, Step::Event(Event::Open { index: 0, part: Part::Text })];
    let piece = |text: &str| Step::Event(Event::Text { index: 0, text: text.to_owned() });
    events.extend(text.split_inclusive(' ').map(piece));
    events.push(Step::Event(Event::Close { index: 0 }));
    for event in events {
        if steps.send(event).await.is_err() {
            return;
        }
    }
}

/// Copies the request for a second try; only a busy conversation needs it.
fn copy(new: &NewTurn) -> NewTurn {
    new.clone()
}
