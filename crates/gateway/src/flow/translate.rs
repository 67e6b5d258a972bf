//! Step 6: from stored entries to the prompt, append-only, so that a model sees a stable prefix.

use context::{
    Budget, Content, Entry, Key, Knowledge, Line, Map, OpenTurn, Plan, Reason, Recalled, Settings,
    Step, Turn, Window,
};
use serde::Serialize;
use serde_json::{Value, json};
use wire::Fault;
use wire::prompt::{Block, Knobs, Message, Private, Prompt, Role, Tool};
use wire::reply::{Reply, Usage};

use super::beside::{facts, head, told_again, with_head};
use super::marks;
use super::mend::{self, Mender};
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
    /// Joined tools the model may use, which we run.
    pub joined: Option<super::ToolPlan>,
    /// The parameters.
    pub knobs: Knobs,
    /// How the window is chosen, instead of the conversation's plan.
    pub window: Option<Plan>,
    /// Fields in the words of the caller's dialect, for upstreams that speak it.
    pub private: Option<Private>,
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
    /// What the whole prompt was estimated at, in tokens.
    guess: u64,
    /// What the reply's thoughts are bound to.
    bound: Option<String>,
}

impl Asked {
    /// What is told of the window.
    pub(super) fn facts(&self) -> &Map {
        &self.facts
    }

    /// What the prompt was estimated at, and what the provider counted.
    pub(super) fn counted(&self, usage: &Usage) -> (u64, u64) {
        (self.guess, usage.prompt())
    }

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

/// The part of the tokens before a price cliff that messages may fill, in percent: instructions,
/// tools and errors of the estimate need the rest.
const CLIFF_SHARE: u64 = 92;

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

/// The prompt of an open turn for somebody whose answer does not count: nothing is noted.
pub(super) async fn copy(
    gate: &Gateway,
    upstream: &Upstream,
    key: &Key,
    overrides: &Overrides,
) -> Result<Prompt, Fault> {
    let context = gate.contexts().get(key).await?;
    let budget = budget(upstream, &context.settings, overrides);
    let plan = overrides.window.clone();
    let window = gate.contexts().preview_window_as(key, budget, plan).await?;
    Ok(build(upstream, window, overrides).0)
}

/// Tokens that messages may fill.
pub(super) fn budget(upstream: &Upstream, settings: &Settings, overrides: &Overrides) -> Budget {
    let window = u64::from(upstream.window_tokens());
    let reply = overrides.knobs.max_tokens.or(settings.max_tokens).unwrap_or(1024);
    let room = (window * WINDOW_SHARE / 100).saturating_sub(u64::from(reply));
    let room = settings.window_tokens.map_or(room, |cap| room.min(u64::from(cap)));
    // Beyond the cliff every token of a request costs more, those before it too.
    let cliff = upstream.known().and_then(ledger::Model::cliff);
    let room = cliff.map_or(room, |above| room.min(above * CLIFF_SHARE / 100));
    Budget { tokens: u32::try_from(room.max(256)).unwrap_or(u32::MAX) }
}

/// Builds the prompt of a window.
pub(super) fn build(upstream: &Upstream, window: Window, overrides: &Overrides) -> (Prompt, Asked) {
    let head = head(&window);
    let facts = facts(&window);
    let Window { context, knowledge, entries, tokens, footing, recalled, cleared, .. } = window;
    let system = overrides.system.clone().or(context.system);
    let parts = [system.clone(), head.clone()];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    let around = around(system.as_deref(), &overrides.tools);
    let system = with_head(system, head);
    let mut said = Said {
        asked: Asked { facts, ..Asked::default() },
        now: told_text(&context.state, &knowledge),
        last_told: None,
        recalled: &recalled,
        cleared,
        line: footing.begin(system.as_deref(), None, &overrides.tools),
        mender: Mender::default(),
        forgotten: 0,
        opened: 0,
        empty: 0,
        lost_in_loop: false,
        messages: Vec::with_capacity(entries.len()),
    };
    for (at, entry) in entries.iter().enumerate() {
        said.say(upstream, entry, entries.get(at + 1));
    }
    let missing = said.mender.end();
    missing.into_iter().for_each(|message| said.push(message));
    let Said { mut asked, line, mender, forgotten, opened, empty, lost_in_loop, messages, .. } =
        said;
    asked.bound = Some(line.bound());
    let mut prompt = Prompt {
        model: upstream.model().to_owned(),
        system,
        system_raw: None,
        private: overrides.private.clone(),
        messages,
        tools: overrides.tools.clone(),
        knobs: knobs(&context.settings, &overrides.knobs),
    };
    asked.guess = tokens.saturating_add(around);
    let name = format!("{}/{}", upstream.provider(), upstream.model());
    let step = line.step(&name, asked.guess);
    asked.facts.insert("epoch".to_owned(), step.epoch().into());
    asked.facts.insert("new_epoch".to_owned(), json!(step.reason.map(Reason::as_str)));
    let mended = [
        ("repaired", mender.count),
        ("thoughts_left_out", forgotten),
        ("opening_added", opened),
        ("empty_left_out", empty),
    ];
    for (what, count) in mended.into_iter().filter(|(_, count)| *count > 0) {
        asked.facts.insert(what.to_owned(), count.into());
    }
    asked.step = Some(step);
    if lost_in_loop {
        mend::without_thinking(&mut prompt);
    }
    marks::set(&mut prompt, upstream, parts);
    (prompt, asked)
}

/// Tokens of what stands around the messages.
fn around(system: Option<&str>, tools: &[Tool]) -> u64 {
    let tools = tools.iter().flat_map(|tool| {
        [Some(tool.name.as_str()), tool.description.as_deref(), Some(tool.schema.get())]
    });
    let texts = tools.flatten().chain(system);
    texts.map(|text| u64::from(context::tokens(text))).sum()
}

/// A conversation while it is said again to a model.
struct Said<'w> {
    asked: Asked,
    /// What the model is to know beside the conversation, and what it was told last.
    now: String,
    last_told: Option<String>,
    recalled: &'w [Recalled],
    /// Results of tools up to this entry are not told again.
    cleared: u32,
    line: Line<'w>,
    mender: Mender,
    /// Thoughts that were left out because they are bound to other words.
    forgotten: usize,
    /// Lines of the user's that were put before a conversation that begins with the model.
    opened: usize,
    /// Messages that say nothing: no API is sent them.
    empty: usize,
    /// Such thoughts stood in the reply whose calls are being answered.
    lost_in_loop: bool,
    messages: Vec<Message>,
}

impl Said<'_> {
    fn say(&mut self, upstream: &Upstream, entry: &Entry, reply: Option<&Entry>) {
        let mut message = entry.to_message();
        if self.messages.is_empty()
            && let Some(first) = mend::opening(Some(&message), upstream.dialect().name())
        {
            self.opened += 1;
            self.push(first);
        }
        if entry.role == Role::Assistant {
            message = self.remembered(upstream, entry, message);
        }
        if entry.seq <= self.cleared {
            mend::clear_results(&mut message);
        }
        let missing = self.mender.follow(&mut message);
        missing.into_iter().for_each(|message| self.push(message));
        if entry.role == Role::User {
            self.tell(&mut message, reply);
        }
        self.push(message);
    }

    fn push(&mut self, message: Message) {
        self.empty += usize::from(mend::is_empty(&message));
        self.line.add(&message);
        self.messages.push(message);
    }

    /// What the model said, without what nobody may read or nobody would accept any more.
    fn remembered(&mut self, upstream: &Upstream, entry: &Entry, message: Message) -> Message {
        self.lost_in_loop = false;
        if text_of(entry, "provider").is_some_and(|by| by != upstream.provider()) {
            // Thoughts and signatures are of use to nobody but the provider that wrote them.
            return message.without_private();
        }
        let is_kept = !mend::is_bound(&message)
            || text_of(entry, "bound").is_some_and(|bound| bound == self.line.bound());
        if is_kept {
            return message;
        }
        self.forgotten += 1;
        let asks = |block: &Block| matches!(block, Block::ToolUse { .. });
        self.lost_in_loop = message.blocks.iter().any(asks);
        mend::without_thoughts(message)
    }

    /// What a question told the model stands in the reply's meta, so that the question is rendered
    /// with the same bytes in every later turn.
    fn tell(&mut self, message: &mut Message, reply: Option<&Entry>) {
        // Where results of tools come, nothing is added to them.
        let takes = matches!(message.blocks.last(), Some(Block::Text(_)));
        let told = match reply {
            Some(reply) => text_of(reply, "told"),
            None if takes && self.last_told.as_deref().unwrap_or("{}") != self.now => {
                self.asked.told = Some(self.now.clone());
                Some(self.now.clone())
            }
            None => None,
        };
        if let Some(told) = told {
            tell(message, "context_state", &told);
            self.last_told = Some(told);
        }
        let again = match reply {
            Some(reply) => text_of(reply, "recalled"),
            None if takes => {
                self.asked.recalled = told_again(self.recalled);
                self.asked.recalled.clone()
            }
            None => None,
        };
        if let Some(again) = again {
            tell(message, "recalled_messages", &again);
        }
    }
}

/// Request wins over conversation; what neither sets is the upstream's own default.
fn knobs(settings: &Settings, asked: &Knobs) -> Knobs {
    let mut extra = context::for_model(&settings.extra);
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
/// user and with the notes. `last_message` only repeats the question.
fn told_text(state: &Map, knowledge: &Knowledge) -> String {
    let mut told = state.clone();
    told.shift_remove("last_message");
    if knowledge.is_empty() {
        return Value::Object(told).to_string();
    }
    let mut parts = Map::new();
    if !told.is_empty() {
        parts.insert("state".to_owned(), Value::Object(told));
    }
    parts.extend(knowledge.told());
    Value::Object(parts).to_string()
}

fn text_of(reply: &Entry, name: &str) -> Option<String> {
    reply.meta.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Adds a text to a message: a block to its exact form where that has blocks, else to its last
/// text, after which the exact form no longer says all of it.
fn tell(message: &mut Message, tag: &str, told: &str) {
    let added = format!("<{tag}>\n{told}\n</{tag}>");
    if let Some(raw) = message.raw.as_ref().and_then(|raw| mend::with_text(raw, &added)) {
        message.raw = Some(raw);
        message.blocks.push(Block::Text(added.into()));
    } else if let Some(Block::Text(text)) = message.blocks.last_mut() {
        text.push_str("\n\n");
        text.push_str(&added);
        message.raw = None;
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
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Counts {
    input_tokens: u64,
    output_tokens: u64,
    cache_read_tokens: u64,
    cache_write_tokens: u64,
    thinking_tokens: u64,
    /// The provider did not say it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    estimated: bool,
}

impl Counts {
    /// What was used, as the provider says or by an estimate of ours.
    pub(crate) fn new(usage: &Usage, estimated: bool) -> Self {
        Self {
            input_tokens: usage.input,
            output_tokens: usage.output,
            cache_read_tokens: usage.cache_read,
            cache_write_tokens: usage.cache_write,
            thinking_tokens: usage.thinking,
            estimated,
        }
    }
}

/// Token counts as the provider says them, for what is kept beside a reply.
pub(super) fn usage_value(usage: &Usage) -> Value {
    json!(Counts::new(usage, false))
}

/// What is kept beside a reply.
pub(super) fn meta(upstream: &Upstream, reply: &Reply, asked: &Asked) -> Map {
    let mut meta = Map::new();
    meta.insert("provider".to_owned(), upstream.provider().into());
    meta.insert("stop_reason".to_owned(), reply.stop.as_str().into());
    meta.insert("usage".to_owned(), usage_value(&reply.usage));
    if let Some(confidence) = reply.confidence {
        // Six digits say more than it means.
        let rounded = (confidence * 1e6).round() / 1e6;
        meta.insert("confidence".to_owned(), rounded.into());
    }
    if !reply.id.is_empty() {
        meta.insert("upstream_id".to_owned(), reply.id.clone().into());
    }
    if reply.model != upstream.model() {
        meta.insert("model_asked".to_owned(), upstream.model().into());
    }
    meta.insert("window".to_owned(), Value::Object(asked.facts.clone()));
    if let Some(recalled) = &asked.recalled {
        meta.insert("recalled".to_owned(), recalled.clone().into());
    }
    if let Some(bound) = asked.bound.as_ref().filter(|_| mend::is_bound(&reply.message)) {
        meta.insert("bound".to_owned(), bound.clone().into());
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
