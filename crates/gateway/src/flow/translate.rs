//! Step 6: from stored entries to the prompt, append-only, so that a model sees a stable prefix.

use std::fmt::Write as _;

use context::{
    Budget, Content, Entry, Key, Knowledge, Map, Note, NoteKind, OpenTurn, Plan, Reason, Settings,
    Step, Turn, Window,
};
use serde_json::{Value, json};
use wire::Fault;
use wire::prompt::{Block, Knobs, Message, Prompt, Role, Tool};
use wire::reply::{Reply, Usage};

use super::beside::{facts, head, told_again, with_head};
use crate::gate::Gateway;
use crate::model::Upstream;

/// What a caller sets for one turn; it wins over the conversation's settings.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The model.
    pub model: Option<String>,
    /// The instructions, instead of the conversation's.
    pub system: Option<String>,
    /// Tools the model may ask for; the caller runs them.
    pub tools: Vec<Tool>,
    /// The parameters.
    pub knobs: Knobs,
    /// How the window is chosen, instead of the conversation's plan.
    pub window: Option<Plan>,
}

/// What was asked, as far as the stored reply must remember it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The state that this turn's question told the model, if it was news.
    told: Option<String>,
    /// The older messages that this turn's question was told again.
    recalled: Option<String>,
    /// What `x-rapport-window` and the reply's `window` say.
    facts: Map,
    /// How the request continues the one before it.
    step: Option<Step>,
}

impl Asked {
    /// The request in the history of epochs, with what the provider counted.
    pub(super) fn step(&mut self, usage: &Usage) -> Option<Step> {
        let mut step = self.step.take()?;
        if usage.prompt() > 0 {
            step.prompt = usage.prompt();
            step.cached = usage.cache_read;
            step.written = usage.cache_write;
        }
        Some(step)
    }
}

/// The share of the window that messages may fill, in percent: replies and errors of the
/// estimate need the rest.
const WINDOW_SHARE: u64 = 80;

/// Builds the prompt of an open turn.
pub(super) async fn prompt(
    gate: &Gateway,
    upstream: &Upstream,
    open: &OpenTurn,
    overrides: &Overrides,
) -> Result<(Prompt, Asked), Fault> {
    let budget = budget(upstream, &open.context.settings, overrides);
    let window = gate.contexts().window_as(&open.key, budget, overrides.window.clone()).await?;
    if let Some(cut) = &window.cut {
        tracing::info!(
            context = %open.context.id, dropped = cut.dropped_messages,
            kept_tokens = cut.kept_tokens, "older messages no longer fit the model's window"
        );
    }
    let (prompt, asked) = build(upstream, window, overrides);
    if let Some(Step { reason: Some(reason), .. }) = &asked.step {
        gate.metrics().epoch(reason.as_str());
        if *reason == Reason::Drift {
            tracing::warn!(
                context = %open.context.id, turn = open.number,
                "what was sent before has changed without a declared reason"
            );
        }
    }
    Ok((prompt, asked))
}

/// The request that would go out for a conversation, without secrets, and what was cut.
///
/// # Errors
/// `context_not_found`.
pub async fn preview(
    gate: &Gateway,
    upstream: &Upstream,
    key: &Key,
    overrides: &Overrides,
) -> Result<Value, Fault> {
    let context = gate.contexts().get(key).await?;
    let budget = budget(upstream, &context.settings, overrides);
    let plan = overrides.window.clone();
    let window = gate.contexts().preview_window_as(key, budget, plan).await?;
    let (prompt, asked) = build(upstream, window, overrides);
    let (url, headers, body) = upstream.render(&prompt, false);
    let body: Value = serde_json::from_slice(&body)
        .map_err(|e| Fault::internal("the rendered request is not JSON").because(e))?;
    let headers: Map = headers.into_iter().map(|(k, v)| (k, Value::from(v))).collect();
    let fact = |name: &str| asked.facts.get(name).cloned().unwrap_or_default();
    Ok(json!({
        "model": upstream.model(), "provider": upstream.provider(), "url": url,
        "headers": headers, "body": body, "messages": fact("messages"),
        "tokens_estimated": fact("tokens"), "window_tokens": upstream.window_tokens(),
        "budget_tokens": budget.tokens, "cut": fact("cut"), "why": asked.facts,
    }))
}

/// Tokens that messages may fill.
pub(super) fn budget(upstream: &Upstream, settings: &Settings, overrides: &Overrides) -> Budget {
    let window = u64::from(upstream.window_tokens());
    let reply = overrides.knobs.max_tokens.or(settings.max_tokens).unwrap_or(1024);
    let room = (window * WINDOW_SHARE / 100).saturating_sub(u64::from(reply));
    let room = settings.window_tokens.map_or(room, |cap| room.min(u64::from(cap)));
    Budget { tokens: u32::try_from(room.max(256)).unwrap_or(u32::MAX) }
}

fn build(upstream: &Upstream, window: Window, overrides: &Overrides) -> (Prompt, Asked) {
    let mut asked = Asked::default();
    let head = head(&window);
    let facts = facts(&window);
    let Window { context, knowledge, entries, tokens, footing, recalled, .. } = window;
    let now = told_text(&context.state, &knowledge);
    let mut last_told: Option<String> = None;
    let mut messages = Vec::with_capacity(entries.len());
    let mut rest = entries.iter().peekable();
    while let Some(entry) = rest.next() {
        let mut message = entry.to_message();
        let elsewhere = text_of(entry, "provider").is_some_and(|p| p != upstream.provider());
        if entry.role == Role::Assistant && elsewhere {
            // Thoughts and signatures are of use to nobody but the provider that wrote them.
            message = message.without_private();
        }
        if entry.role == Role::User {
            // What a question told the model stands in the reply's meta, so that the question is
            // rendered with the same bytes in every later turn.
            let told = match rest.peek() {
                Some(reply) => text_of(reply, "told"),
                None if last_told.as_deref().unwrap_or("{}") != now => {
                    asked.told = Some(now.clone());
                    Some(now.clone())
                }
                None => None,
            };
            if let Some(told) = told {
                tell(&mut message, "context_state", &told);
                last_told = Some(told);
            }
            let again = match rest.peek() {
                Some(reply) => text_of(reply, "recalled"),
                None => {
                    asked.recalled = told_again(&recalled);
                    asked.recalled.clone()
                }
            };
            if let Some(again) = again {
                tell(&mut message, "recalled_messages", &again);
            }
        }
        messages.push(message);
    }
    let prompt = Prompt {
        model: upstream.model().to_owned(),
        system: with_head(overrides.system.clone().or(context.system), head),
        system_raw: None,
        private: None,
        messages,
        tools: overrides.tools.clone(),
        knobs: knobs(&context.settings, &overrides.knobs),
    };
    let name = format!("{}/{}", upstream.provider(), upstream.model());
    let step = footing.step(&name, &prompt, tokens);
    asked.facts = facts;
    asked.facts.insert("epoch".to_owned(), step.epoch().into());
    asked.facts.insert("new_epoch".to_owned(), json!(step.reason.map(Reason::as_str)));
    asked.step = Some(step);
    (prompt, asked)
}

/// Request wins over conversation; what neither sets is the upstream's own default.
fn knobs(settings: &Settings, asked: &Knobs) -> Knobs {
    let mut extra = settings.extra.clone();
    extra.extend(asked.extra.clone());
    let stop = if asked.stop.is_empty() {
        settings.stop.clone().unwrap_or_default()
    } else {
        asked.stop.clone()
    };
    Knobs {
        wishes: asked.wishes.clone(),
        max_tokens: asked.max_tokens.or(settings.max_tokens),
        temperature: asked.temperature.or(settings.temperature),
        top_p: asked.top_p.or(settings.top_p),
        stop,
        extra,
    }
}

/// What the model is told beside the conversation: the state alone, or with what is known of the
/// user, the facts and the environment. `last_message` only repeats the question.
fn told_text(state: &Map, knowledge: &Knowledge) -> String {
    let mut told = state.clone();
    told.shift_remove("last_message");
    if knowledge.is_empty() {
        return Value::Object(told).to_string();
    }
    let facts: Vec<&Value> = of_kind(knowledge, NoteKind::Fact).map(|note| &note.value).collect();
    let environment: Map = of_kind(knowledge, NoteKind::Environment)
        .filter_map(|note| Some((note.name.clone()?, note.value.clone())))
        .collect();
    let parts = [
        ("state", Value::Object(told)),
        ("profile", Value::Object(knowledge.profile.clone())),
        ("facts", json!(facts)),
        ("environment", Value::Object(environment)),
    ];
    let empty = |value: &Value| {
        value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
    };
    let parts = parts.into_iter().filter(|(_, value)| !empty(value));
    Value::Object(parts.map(|(name, value)| (name.to_owned(), value)).collect()).to_string()
}

fn of_kind(knowledge: &Knowledge, kind: NoteKind) -> impl Iterator<Item = &Note> {
    knowledge.notes.iter().filter(move |note| note.kind == kind)
}

fn text_of(reply: &Entry, name: &str) -> Option<String> {
    reply.meta.get(name).and_then(Value::as_str).map(str::to_owned)
}

fn tell(message: &mut Message, tag: &str, told: &str) {
    if let Some(Block::Text(text)) = message.blocks.last_mut() {
        let _written = write!(text, "\n\n<{tag}>\n{told}\n</{tag}>");
    }
}

/// The readable text of stored content.
pub(crate) fn plain(content: &Content) -> String {
    match content {
        Content::Text(text) => text.clone(),
        Content::Raw(raw) => wire::dialect::named(&raw.dialect)
            .and_then(|dialect| dialect.message(Role::User, raw.clone()).ok())
            .map(|message| message.plain())
            .unwrap_or_default(),
    }
}

/// How a reply is stored: as text where that is all there is, else with its exact bytes.
pub(super) fn content(message: Message) -> Content {
    match message.raw {
        Some(raw) => Content::Raw(raw),
        None => Content::Text(message.plain()),
    }
}

/// Token counts as every surface of ours prints them.
pub(crate) fn usage_value(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "output_tokens": usage.output,
        "cache_read_tokens": usage.cache_read,
        "cache_write_tokens": usage.cache_write,
        "thinking_tokens": usage.thinking,
    })
}

/// What is kept beside a reply.
pub(super) fn meta(upstream: &Upstream, reply: &Reply, asked: &Asked) -> Map {
    let mut meta = Map::new();
    meta.insert("provider".to_owned(), upstream.provider().into());
    meta.insert("stop_reason".to_owned(), reply.stop.as_str().into());
    meta.insert("usage".to_owned(), usage_value(&reply.usage));
    if !reply.id.is_empty() {
        meta.insert("upstream_id".to_owned(), reply.id.clone().into());
    }
    meta.insert("window".to_owned(), Value::Object(asked.facts.clone()));
    if let Some(recalled) = &asked.recalled {
        meta.insert("recalled".to_owned(), recalled.clone().into());
    }
    if let Some(told) = &asked.told {
        meta.insert("told".to_owned(), told.clone().into());
    }
    meta
}

/// What is kept beside a reply that broke off.
pub(super) fn failed_meta(upstream: &Upstream, fault: &Fault) -> Map {
    let mut meta = Map::new();
    meta.insert("provider".to_owned(), upstream.provider().into());
    meta.insert("stop_reason".to_owned(), "interrupted".into());
    meta.insert("error".to_owned(), fault.code().as_str().into());
    meta
}

/// Who answered a stored turn.
pub(crate) fn provider_of(turn: &Turn) -> String {
    let provider = turn.message.meta.get("provider").and_then(Value::as_str);
    provider.unwrap_or("offline").to_owned()
}
