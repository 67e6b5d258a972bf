//! The tool loop: a model that asks for joined tools gets their results and is asked again, until
//! it answers. Every ask and every result is a turn and an entry of its own, so nothing is lost
//! whenever it ends; what fails is a result that the model reads.

mod plan;
mod result;

use std::pin::Pin;
use std::sync::Arc;

use context::{Content, Key, Slice, Turn};
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wire::event::{Event, Part};
use wire::prompt::{Block, Tool, ToolChoice};
use wire::reply::Usage;
use wire::{Code, Fault};

pub use plan::ToolPlan;

use super::translate::usage_value;
use super::{Answered, Ask, Envelope, Overrides, STEPS_MAX, Step};
use crate::about::Peer;
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::joined::{Down, Merged, Offer, Seer, Wish, fits_any};
use crate::model::{Door, Target};

/// Limit: calls of one round that run at once, and that run at all.
const AT_ONCE: usize = 16;
const CALLS_MAX: usize = 64;
/// The header by which any door is told which joined tools a turn may use.
const HEADER: &str = "x-rapport-tools";

/// A turn with joined tools.
pub(super) struct Loop {
    plan: ToolPlan,
    caller: Caller,
    merged: Arc<Merged>,
    /// The tools that this turn may use, by name.
    names: Vec<String>,
}

/// What a model asks for: id, name, arguments.
type Want = (String, String, Value);
/// A call under way.
type Calling<'a> = Pin<Box<dyn Future<Output = (Value, Called)> + Send + 'a>>;

/// What a call came to, as the answer of the turn shows it.
struct Called {
    name: String,
    outcome: &'static str,
    ms: u64,
}

/// Whether joined tools belong to a turn: as it says itself, as a header says, as the
/// conversation's settings say. Without joined tools this costs nothing.
pub(super) async fn wanted(gate: &Gateway, ask: &Ask) -> Result<Option<Loop>, Fault> {
    let merged = gate.joined().now();
    if merged.tools.is_empty() {
        return match &ask.overrides.joined {
            Some(plan) if !plan.names.is_empty() => Err(nothing_joined()),
            _ => Ok(None),
        };
    }
    let header = ask.envelope.headers.get(HEADER).and_then(|value| value.to_str().ok());
    let plan = match (&ask.overrides.joined, header) {
        (Some(plan), _) => plan.clone(),
        (None, Some("joined")) => ToolPlan::parse(&json!("joined"))?,
        (None, Some(names)) => ToolPlan::parse(&json!({"names": names}))?,
        (None, None) => match gate.contexts().get(&ask.key).await {
            Ok(found) => match &found.settings.tools {
                Some(value) => ToolPlan::parse(value)?,
                None => return Ok(None),
            },
            // Whoever answers says what is wrong.
            Err(_) => return Ok(None),
        },
    };
    let Some(caller) = caller(gate, &ask.key) else { return Ok(None) };
    let seer = Seer::of(&caller, gate.keys(), &gate.joined().settings());
    let may = |offer: &&Offer| {
        seer.sees(&offer.joint)
            && gate.joined().may(&seer, &offer.name)
            && fits_any(&plan.names, &offer.name)
    };
    let names: Vec<String> = merged.tools.iter().filter(may).map(|o| o.name.clone()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    Ok(Some(Loop { plan, caller, merged, names }))
}

fn nothing_joined() -> Fault {
    Fault::new(Code::InvalidInput, "`tools` names joined tools, and no server is joined")
        .hint("`rapport mcp add NAME -- COMMAND` joins one")
        .details(json!({"field": "tools"}))
}

/// On whose behalf the present task works; nobody, where a key is needed and none is known.
fn caller(gate: &Gateway, key: &Key) -> Option<Caller> {
    let actor = context::actor();
    let id = actor.as_deref().and_then(|actor| actor.strip_prefix("key "));
    if id.is_none() && auth::required(gate) {
        return None;
    }
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    Some(Caller {
        tenant: key.tenant,
        key: id.map(ToOwned::to_owned),
        scopes: catalog::Scopes::ALL,
        models: catalog::ModelLimit::default(),
        peer: Peer { addr, tls: false },
    })
}

impl Loop {
    /// Runs the turn in a task of its own: a caller that hangs up does not end it, unless the
    /// conversation's settings say so.
    pub(super) async fn run(
        self,
        gate: &Gateway,
        ask: Ask,
        steps: Option<mpsc::Sender<Step>>,
    ) -> Result<Answered, Fault> {
        let cancels = match gate.contexts().get(&ask.key).await {
            Ok(found) => found.settings.on_hang_up == Some(context::OnHangUp::Cancel),
            Err(_) => false,
        };
        let (mut done, result) = oneshot::channel();
        let (own, who) = (gate.clone(), context::actor());
        gate.tasks().spawn(
            "tool loop",
            context::acting(who, async move {
                let outcome = tokio::select! {
                    outcome = self.rounds(&own, ask, steps) => outcome,
                    () = done.closed(), if cancels => return,
                };
                // The caller may be gone.
                drop(done.send(outcome));
            }),
        );
        result.await.unwrap_or_else(|_| Err(Fault::internal("the turn ended without a result")))
    }

    async fn rounds(
        &self,
        gate: &Gateway,
        mut ask: Ask,
        steps: Option<mpsc::Sender<Step>>,
    ) -> Result<Answered, Fault> {
        let started = Instant::now();
        let until = started + self.plan.within;
        ask.overrides.tools.extend(self.definitions());
        let (overrides, envelope) = (ask.overrides.clone(), ask.envelope.clone());
        let (key, door) = (ask.key.clone(), ask.door);
        let hides = !envelope.dialect.is_empty();
        let (mut calls, mut cost, mut blocks) = (Vec::new(), Some(0.0), 0);
        let mut usage = None;
        let mut round = 0;
        loop {
            let relay = Relay { names: &self.names, first: round == 0, hides, offset: blocks };
            let (answered, count) = relay.turn(gate, ask, steps.as_ref()).await?;
            blocks += count;
            let turn = match &answered.turn {
                turn if turn.replayed => &self.last_of(gate, &key, turn).await?,
                turn => turn,
            };
            cost = cost.zip(cost_of(gate, turn)).map(|(sum, more)| sum + more);
            add(&mut usage, turn);
            let wants = asks(turn);
            let own = |name: &String| self.names.contains(name);
            let is_ours = !wants.is_empty() && wants.iter().all(|(_, name, _)| own(name));
            let elapsed = started.elapsed();
            if !is_ours || answered.turn.replayed || round >= self.plan.rounds {
                let turn = told(turn.clone(), &calls, (round, usage));
                return Ok(Answered { turn, elapsed });
            }
            round += 1;
            // A limit that cannot be kept allows one round.
            let dear = |most: f64| cost.is_none_or(|cost| cost >= most);
            let poor = self.plan.cost_usd.is_some_and(dear);
            let (results, made) = self.call_all(gate, &key, (&wants, until)).await;
            let last = round >= self.plan.rounds || poor || Instant::now() >= until;
            calls.extend(made);
            let mut next = Overrides { joined: None, ..overrides.clone() };
            if last {
                // It was enough: now it has to answer.
                next.knobs.wishes.tool_choice = Some(ToolChoice::Never);
            }
            ask = next_ask(key.clone(), (results, door), (next, envelope.clone()));
        }
    }

    /// The tools as a prompt names them.
    fn definitions(&self) -> Vec<Tool> {
        let tools = self.names.iter().filter_map(|name| self.merged.tool(name));
        tools
            .filter_map(|offer| {
                let definition = &offer.definition;
                let schema = definition.get("inputSchema").cloned();
                let schema = schema.unwrap_or_else(|| json!({"type": "object"}));
                let schema = RawValue::from_string(schema.to_string()).ok()?;
                let mut tool = Tool::new(offer.name.clone(), schema);
                let about = definition.get("description").and_then(Value::as_str);
                tool.description = about.map(ToOwned::to_owned);
                Some(tool)
            })
            .collect()
    }

    /// Calls what a model asked for, some at once, and puts the results in their order.
    async fn call_all(
        &self,
        gate: &Gateway,
        key: &Key,
        (wants, until): (&[Want], Instant),
    ) -> (Content, Vec<Called>) {
        let each: Vec<Calling<'_>> = wants
            .iter()
            .enumerate()
            .map(|(at, want)| -> Calling<'_> {
                Box::pin(self.call_one(gate, key, (at, want, until)))
            })
            .collect();
        let done: Vec<(Value, Called)> = iter(each).buffered(AT_ONCE).collect().await;
        let (blocks, called): (Vec<Value>, Vec<Called>) = done.into_iter().unzip();
        (result::content(blocks), called)
    }

    async fn call_one(
        &self,
        gate: &Gateway,
        key: &Key,
        (at, (id, name, input), until): (usize, &Want, Instant),
    ) -> (Value, Called) {
        let started = Instant::now();
        let value = if at >= CALLS_MAX {
            result::failed(&format!("not called: more than {CALLS_MAX} calls at once"))
        } else {
            tokio::time::timeout_at(until, self.call(gate, key, (name, input)))
                .await
                .unwrap_or_else(|_| result::failed("not finished: the turn's time is over"))
        };
        let outcome = if result::is_error(&value) { "error" } else { "ok" };
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        (result::block(id, &value), Called { name: name.clone(), outcome, ms })
    }

    async fn call(&self, gate: &Gateway, key: &Key, (name, input): (&str, &Value)) -> Value {
        let Some(offer) = self.merged.tool(name) else {
            return result::failed("there is no such tool any more");
        };
        let settings = &offer.joint.settings;
        if fits_any(&settings.approve, &offer.theirs) && !fits_any(&self.plan.approved, name) {
            let text = format!(
                "approval_required: `{name}` was not run. Somebody has to agree first; say what it \
                 would do and ask for that."
            );
            return result::failed(&text);
        }
        let mut params = Map::new();
        params.insert("name".to_owned(), offer.theirs.clone().into());
        params.insert("arguments".to_owned(), input.clone());
        let context = Some(Arc::clone(&key.id));
        let method = "tools/call";
        let wish = Wish { joint: &offer.joint, caller: &self.caller, method, params, context };
        match Box::pin(wish.pass(gate, Down::default())).await {
            Ok(value) => value,
            Err(mcp::server::Stop::Refuse(refusal)) => result::failed(&refusal.message),
            Err(_) => result::failed("it has a question, and nobody is there to answer"),
        }
    }

    /// The end of a turn that was answered before: the reply after the last results.
    async fn last_of(&self, gate: &Gateway, key: &Key, first: &Turn) -> Result<Turn, Fault> {
        let mut turn = first.clone();
        if asks(&turn).is_empty() {
            return Ok(turn);
        }
        // Limit: entries of one turn; two for each round.
        let limit = 2 * (self.plan.rounds + 1);
        let slice = Slice { after: Some(turn.message.seq), limit, ..Slice::default() };
        let page = gate.contexts().messages(key, slice).await?;
        let mut usage = None;
        for pair in page.items.chunks(2) {
            let [results, reply] = pair else { break };
            let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
            if !results.to_message().blocks.iter().all(is_result) {
                break;
            }
            add(&mut usage, &turn);
            turn.message = reply.clone();
            turn.number += 1;
        }
        add(&mut usage, &turn);
        Ok(told(turn, &[], (0, usage)))
    }
}

/// The calls that a reply asks for: id, name, arguments.
fn asks(turn: &Turn) -> Vec<Want> {
    if turn.message.meta.get("stop_reason").and_then(Value::as_str) != Some("tool_use") {
        return Vec::new();
    }
    let message = turn.message.to_message();
    let blocks = message.blocks.into_iter().filter_map(|block| match block {
        Block::ToolUse { id, name, input } => {
            let input = serde_json::from_str(input.get()).unwrap_or_else(|_| json!({}));
            Some((id, name, input))
        }
        _ => None,
    });
    blocks.collect()
}

/// The turn that brings results.
fn next_ask(
    key: Key,
    (content, door): (Content, Door),
    (overrides, envelope): (Overrides, Envelope),
) -> Ask {
    Ask { content, door, overrides, envelope, ..Ask::nothing(key) }
}

/// The answer with what was called for it, and what all asks together used.
fn told(mut turn: Turn, calls: &[Called], (rounds, usage): (u32, Option<Usage>)) -> Turn {
    if let Some(usage) = usage {
        turn.message.meta.insert("usage".to_owned(), usage_value(&usage));
    }
    if !calls.is_empty() {
        let calls: Vec<Value> = calls
            .iter()
            .map(|call| json!({"name": call.name, "outcome": call.outcome, "ms": call.ms}))
            .collect();
        turn.message.meta.insert("tool_calls".to_owned(), calls.into());
        turn.message.meta.insert("tool_rounds".to_owned(), rounds.into());
    }
    turn
}

/// What an ask used, where that is known.
fn usage_of(turn: &Turn) -> Option<Usage> {
    let usage = turn.message.meta.get("usage").filter(|usage| usage.is_object())?;
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    Some(Usage {
        input: count("input_tokens"),
        output: count("output_tokens"),
        cache_read: count("cache_read_tokens"),
        cache_write: count("cache_write_tokens"),
        thinking: count("thinking_tokens"),
    })
}

/// Adds what an ask used.
fn add(sum: &mut Option<Usage>, turn: &Turn) {
    let Some(more) = usage_of(turn) else { return };
    let sum = sum.get_or_insert_default();
    sum.input = sum.input.saturating_add(more.input);
    sum.output = sum.output.saturating_add(more.output);
    sum.cache_read = sum.cache_read.saturating_add(more.cache_read);
    sum.cache_write = sum.cache_write.saturating_add(more.cache_write);
    sum.thinking = sum.thinking.saturating_add(more.thinking);
}

/// What an ask cost, where that is known.
fn cost_of(gate: &Gateway, turn: &Turn) -> Option<f64> {
    let provider = turn.message.meta.get("provider").and_then(Value::as_str)?;
    let name = format!("{provider}/{}", turn.message.model.as_deref()?);
    match gate.now().models.resolve(Some(&name), Door::Context).ok()? {
        Target::Upstream(upstream) => {
            let micro = upstream.price_of(&usage_of(turn)?)?;
            let micro = u32::try_from(micro).unwrap_or(u32::MAX);
            Some(f64::from(micro) / 1e6)
        }
        Target::Offline(_) => Some(0.0),
    }
}

/// Passes the steps of one round on as parts of one reply.
struct Relay<'a> {
    names: &'a [String],
    /// Only the first round begins the reply.
    first: bool,
    /// The caller's dialect knows nothing of these tools.
    hides: bool,
    /// Blocks of the rounds before.
    offset: usize,
}

impl Relay<'_> {
    /// Runs one round; how many blocks it sent comes with its answer.
    async fn turn(
        &self,
        gate: &Gateway,
        ask: Ask,
        steps: Option<&mpsc::Sender<Step>>,
    ) -> Result<(Answered, usize), Fault> {
        let Some(steps) = steps else {
            return Ok((Box::pin(super::once(gate, ask, None)).await?, 0));
        };
        let (send, mut came) = mpsc::channel(STEPS_MAX);
        let relay = async {
            // The place of each block of this round in the whole reply.
            let mut places: Vec<(usize, Option<usize>)> = Vec::new();
            let mut count = 0;
            while let Some(step) = came.recv().await {
                if let Some(step) = self.step(step, (&mut places, &mut count)) {
                    // A caller that left does not end the turn.
                    drop(steps.send(step).await);
                }
            }
            count
        };
        let turn = Box::pin(super::once(gate, ask, Some(send)));
        let (answered, count) = tokio::join!(turn, relay);
        Ok((answered?, count))
    }

    fn step(
        &self,
        step: Step,
        (places, count): (&mut Vec<(usize, Option<usize>)>, &mut usize),
    ) -> Option<Step> {
        let event = match step {
            Step::Event(event) => event,
            start @ Step::Start { .. } => return self.first.then_some(start),
        };
        let place = |places: &[(usize, Option<usize>)], index: usize| {
            places.iter().rev().find(|(known, _)| *known == index).and_then(|(_, place)| *place)
        };
        Some(Step::Event(match event {
            Event::Start { .. } if !self.first => return None,
            Event::Open { index, part } => {
                let hidden = self.hides
                    && matches!(&part, Part::Tool { name, .. } if self.names.contains(name));
                let own = (!hidden).then(|| self.offset + *count);
                places.push((index, own));
                *count += usize::from(!hidden);
                Event::Open { index: own?, part }
            }
            Event::Text { index, text } => Event::Text { index: place(places, index)?, text },
            Event::Thinking { index, text } => {
                Event::Thinking { index: place(places, index)?, text }
            }
            Event::Input { index, json } => Event::Input { index: place(places, index)?, json },
            Event::Close { index } => Event::Close { index: place(places, index)? },
            other => other,
        }))
    }
}
