//! The tool loop: a model that asks for joined tools gets their results and is asked again, until
//! it answers. Every ask and every result is a turn and an entry of its own, so nothing is lost
//! whenever it ends; what fails is a result that the model reads.

mod plan;
mod relay;
mod result;
mod spent;
mod whose;

use std::pin::Pin;
use std::sync::Arc;

use context::{Content, Key, NewEntry, Slice, Turn};
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use wire::prompt::{Block, Role, Tool, ToolChoice};
use wire::reply::Usage;
use wire::{Code, Fault};

pub use plan::ToolPlan;
use relay::Relay;
use spent::{add, cost_of};
use whose::{Want, asks, hide};

use super::translate::usage_value;
use super::{Answered, Ask, Envelope, Overrides, Step};
use crate::about::Peer;
use crate::auth::{self, Caller};
use crate::gate::Gateway;
use crate::joined::{Down, Merged, Offer, Seer, Wish, fits_any};
use crate::model::Door;

/// Limit: calls of one round that run at once, and that run at all.
const AT_ONCE: usize = 16;
const CALLS_MAX: usize = 64;
/// Limit: characters of a tool's name that the model made up.
const NAME_SHOWN: usize = 100;
/// The header by which any door is told which joined tools a turn may use.
const HEADER: &str = "x-rapport-tools";
/// The note beside results of joined tools.
pub(crate) const JOINED: &str = "joined_results";

/// A turn with joined tools.
pub(super) struct Loop {
    plan: ToolPlan,
    caller: Caller,
    merged: Arc<Merged>,
    /// The tools that this turn may use, by name.
    names: Vec<String>,
    /// The tools that the caller runs, by name.
    theirs: Vec<String>,
}

/// A call under way.
type Calling<'a> = Pin<Box<dyn Future<Output = (Value, Called)> + Send + 'a>>;

/// What a call came to, as the answer of the turn shows it.
struct Called {
    id: String,
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
    let theirs: Vec<String> = ask.overrides.tools.iter().map(|tool| tool.name.clone()).collect();
    let may = |offer: &&Offer| {
        // A caller that brings a tool of the same name means its own.
        !theirs.contains(&offer.name)
            && seer.sees(&offer.joint)
            && gate.joined().may(&seer, &offer.name)
            && fits_any(&plan.names, &offer.name)
    };
    let names: Vec<String> = merged.tools.iter().filter(may).map(|o| o.name.clone()).collect();
    if names.is_empty() {
        return Ok(None);
    }
    Ok(Some(Loop { plan, caller, merged, names, theirs }))
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
            let relay = Relay { theirs: &self.theirs, first: round == 0, hides, offset: blocks };
            let (answered, count) = relay.turn(gate, ask, steps.as_ref()).await?;
            blocks += count;
            let turn = match &answered.turn {
                turn if turn.replayed => &self.last_of(gate, &key, turn).await?,
                turn => turn,
            };
            cost = cost.zip(cost_of(gate, turn)).map(|(sum, more)| sum + more);
            add(&mut usage, turn);
            let (callers, wants) = asks(turn, &self.theirs);
            let is_over = answered.turn.replayed || round >= self.plan.rounds;
            if wants.is_empty() || is_over {
                let turn = self.told(turn.clone(), &calls, (round, usage, hides));
                return Ok(Answered { turn, elapsed: started.elapsed() });
            }
            round += 1;
            // A limit that cannot be kept allows one round.
            let dear = |most: f64| cost.is_none_or(|cost| cost >= most);
            let poor = self.plan.cost_usd.is_some_and(dear);
            let (results, made) = self.call_all(gate, &key, (&wants, until)).await;
            let last = round >= self.plan.rounds || poor || Instant::now() >= until;
            calls.extend(made);
            if !callers.is_empty() {
                // The next word is the caller's; what was called here is in the log before it.
                self.keep(gate, &key, results).await;
                let turn = self.told(turn.clone(), &calls, (round, usage, hides));
                return Ok(Answered { turn, elapsed: started.elapsed() });
            }
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
        let called = Called { id: id.clone(), name: name.clone(), outcome, ms };
        (result::block(id, &value), called)
    }

    async fn call(&self, gate: &Gateway, key: &Key, (name, input): (&str, &Value)) -> Value {
        let known = self.merged.tool(name).filter(|_| self.names.iter().any(|own| own == name));
        let Some(offer) = known else {
            let name: String = name.chars().take(NAME_SHOWN).collect();
            return result::failed(&format!(
                "unknown_tool: there is no tool `{name}` here; use those that are offered"
            ));
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

    /// Keeps results without asking the model again.
    async fn keep(&self, gate: &Gateway, key: &Key, content: Content) {
        let entry = NewEntry { role: Role::User, content, model: None, meta: mark() };
        if let Err(fault) = gate.contexts().append(key, vec![entry], None, None).await {
            // The model is told that these calls have no result.
            tracing::warn!(context = %key.id, "results of tools were lost: {}", fault.chain());
        }
    }

    /// The answer with what was called for it, and what all asks together used.
    fn told(
        &self,
        mut turn: Turn,
        calls: &[Called],
        (rounds, usage, hides): (u32, Option<Usage>, bool),
    ) -> Turn {
        put_usage(&mut turn, usage);
        if !calls.is_empty() {
            let calls: Vec<Value> = calls
                .iter()
                .map(|call| {
                    json!({"id": call.id, "name": call.name, "outcome": call.outcome,
                           "ms": call.ms})
                })
                .collect();
            turn.message.meta.insert("tool_calls".to_owned(), calls.into());
            turn.message.meta.insert("tool_rounds".to_owned(), rounds.into());
        }
        if hides {
            hide(&mut turn.message, &self.theirs);
        }
        turn
    }

    /// The end of a turn that was answered before: the reply after the last results.
    async fn last_of(&self, gate: &Gateway, key: &Key, first: &Turn) -> Result<Turn, Fault> {
        let mut turn = first.clone();
        if asks(&turn, &self.theirs).1.is_empty() {
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
            let goes_on = reply.role == Role::Assistant;
            if !goes_on || !results.to_message().blocks.iter().all(is_result) {
                break;
            }
            add(&mut usage, &turn);
            turn.message = reply.clone();
            turn.number += 1;
        }
        add(&mut usage, &turn);
        put_usage(&mut turn, usage);
        Ok(turn)
    }
}

/// The turn that brings results.
fn next_ask(
    key: Key,
    (content, door): (Content, Door),
    (overrides, envelope): (Overrides, Envelope),
) -> Ask {
    Ask { content, door, overrides, envelope, meta: mark(), ..Ask::nothing(key) }
}

/// What was used, beside the answer.
fn put_usage(turn: &mut Turn, usage: Option<Usage>) {
    if let Some(usage) = usage {
        turn.message.meta.insert("usage".to_owned(), usage_value(&usage));
    }
}

/// What stands beside results of joined tools in the log: nobody but the model was told them.
fn mark() -> context::Map {
    context::Map::from_iter([(JOINED.to_owned(), true.into())])
}
