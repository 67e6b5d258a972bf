//! Calls of models: what was asked, what came, and what it used, in any dialect.

use bytes::Bytes;
use serde::Serialize;
use wire::dialect::{Dialect, named};
use wire::event::Event;
use wire::prompt::{Block, Message, Prompt};
use wire::reply::{Reply, Usage};

use super::{Cost, dollars};
use crate::capture::{Exchange, Kind};
use crate::http::Head;

/// Which dialect a path belongs to.
const PATHS: &[(&str, &str)] = &[
    ("/messages", "anthropic"),
    ("/chat/completions", "openai_chat"),
    ("/responses", "openai_responses"),
    (":generateContent", "gemini"),
    (":streamGenerateContent", "gemini"),
    ("/api/chat", "ollama_chat"),
    ("/api/generate", "ollama_generate"),
    ("/completions", "openai_completions"),
];

/// A call of a model.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelCall {
    /// The dialect.
    pub dialect: &'static str,
    /// The model that was asked for, or that answered.
    pub model: String,
    /// Messages of the prompt.
    pub messages: usize,
    /// Names of the tools that were offered.
    pub tools: Vec<String>,
    /// A stream was asked for.
    pub stream: bool,
    /// What it said, put together.
    pub said: String,
    /// What it thought, put together.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub thought: String,
    /// The tools it called, with their arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<String>,
    /// Why it stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
    /// Tokens of the prompt, cached ones included.
    pub tokens_in: u64,
    /// Of these, read from the provider's cache.
    pub tokens_cached: u64,
    /// Tokens of the reply.
    pub tokens_out: u64,
    /// What the tokens are was not said, but estimated.
    pub estimated: bool,
    /// What it cost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What the prompt has that providers refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<String>,
    /// Why the request is none of the dialect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bad_request: Option<String>,
    /// Why the answer is none of the dialect, or what error it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// A stream broke off before its end.
    pub unfinished: bool,
    /// What was used, for whoever knows prices.
    #[serde(skip)]
    pub usage: Option<Usage>,
}

impl ModelCall {
    /// The call in a few words.
    #[must_use]
    pub fn line(&self) -> String {
        let about = if self.estimated { "~" } else { "" };
        let mut text =
            format!("{} {about}{}→{about}{} tokens", self.model, self.tokens_in, self.tokens_out);
        if let Some(cost) = self.cost {
            let about = if self.estimated || cost.is_upper_bound { "~" } else { "" };
            text.push_str(&format!(", {about}{}", dollars(cost.micro_usd)));
        }
        if let Some(failed) = &self.failed {
            text.push_str(&format!(", {failed}"));
        } else if let Some(stop) = &self.stop {
            text.push_str(&format!(", {stop}"));
        }
        text
    }
}

/// Reads a call of a model; nothing when the exchange is none.
pub(super) fn read(exchange: &Exchange) -> Option<ModelCall> {
    if exchange.kind != Kind::Http {
        return None;
    }
    let head = exchange.ask.as_ref().filter(|head| head.method() == "POST")?;
    let dialect = dialect_of(head)?;
    let body = Bytes::from(exchange.ask_body());
    let mut call = ModelCall { dialect: dialect.name(), ..ModelCall::default() };
    match dialect.request(&body) {
        Ok(asked) => {
            call.stream = asked.stream || head.path().contains(":streamGenerateContent");
            about(&asked.prompt, &mut call);
            call.violations = super::schema::prompt(&asked.prompt);
        }
        Err(fault) => call.bad_request = Some(fault.text().to_owned()),
    }
    if call.model.is_empty() {
        call.model = model_in(head.path());
    }
    answered(exchange, dialect, &mut call);
    if call.usage.is_none() && call.failed.is_none() && !exchange.is_open() {
        // Four bytes a token: near enough to see which call was the dear one.
        call.estimated = true;
        call.tokens_in = (body.len() / 4) as u64;
        call.tokens_out = (call.said.len() / 4) as u64;
    }
    Some(call)
}

fn dialect_of(head: &Head) -> Option<&'static dyn Dialect> {
    let path = head.path().split('?').next().unwrap_or_default();
    let (_, name) = PATHS.iter().find(|(end, _)| path.ends_with(end))?;
    named(name)
}

/// The messages of the prompt of a call, each with who says it.
pub(super) fn prompt(exchange: &Exchange) -> Vec<(String, String)> {
    let head = exchange.ask.as_ref().filter(|head| head.method() == "POST");
    let Some(dialect) = head.and_then(dialect_of) else { return Vec::new() };
    let Ok(asked) = dialect.request(&exchange.ask_body().into()) else { return Vec::new() };
    let system = asked.prompt.system.iter().map(|text| ("system".to_owned(), text.clone()));
    let tools = asked.prompt.tools.iter().map(|tool| {
        let about = tool.description.clone().unwrap_or_default();
        (format!("tool {}", tool.name), about)
    });
    let said = asked.prompt.messages.iter().flat_map(|message| {
        let role = message.role.as_str().to_owned();
        message.blocks.iter().map(move |block| (role.clone(), shown(block)))
    });
    system.chain(tools).chain(said).collect()
}

fn shown(block: &Block) -> String {
    match block {
        Block::Text(text) => text.to_string(),
        Block::Thinking { text, .. } => text.clone(),
        Block::ToolUse { name, input, .. } => format!("calls {name} {input}"),
        Block::ToolResult { content, is_error: true, .. } => format!("the tool failed: {content}"),
        Block::ToolResult { content, .. } => content.clone(),
        Block::Image(_) | Block::Document(_) | Block::Audio(_) | Block::Other { .. } => {
            format!("({})", block.kind())
        }
    }
}

/// Some dialects have the model in the path.
fn model_in(path: &str) -> String {
    let after = path.split_once("/models/").map_or("", |(_, after)| after);
    after.split([':', '?', '/']).next().unwrap_or_default().to_owned()
}

fn about(prompt: &Prompt, call: &mut ModelCall) {
    call.model.clone_from(&prompt.model);
    call.messages = prompt.messages.len();
    call.tools = prompt.tools.iter().map(|tool| tool.name.clone()).collect();
}

fn answered(exchange: &Exchange, dialect: &dyn Dialect, call: &mut ModelCall) {
    let Some(head) = &exchange.answer else { return };
    let body = exchange.answer_body();
    if head.status() >= 400 {
        let header = |name: &str| head.header(name).map(ToOwned::to_owned);
        let fault = dialect.fault(head.status(), &header, &body);
        call.failed = Some(fault.text().to_owned());
        return;
    }
    if head.media_type() == dialect.stream_type() && call.stream
        || head.media_type() == "text/event-stream"
    {
        return streamed(exchange, dialect, &body, call);
    }
    if exchange.is_open() {
        return;
    }
    match dialect.read(&body) {
        Ok(reply) => whole(&reply, call),
        Err(fault) => call.failed = Some(fault.text().to_owned()),
    }
}

fn streamed(exchange: &Exchange, dialect: &dyn Dialect, body: &[u8], call: &mut ModelCall) {
    let (mut reader, mut events) = (dialect.stream(), Vec::new());
    reader.push(body, &mut events);
    let over = events.iter().any(|event| matches!(event, Event::Done(_)));
    if !exchange.is_open() && !over {
        reader.finish(&mut events);
    }
    for event in events {
        match event {
            Event::Start { model, .. } if call.model.is_empty() => call.model = model,
            Event::Text { text, .. } => call.said.push_str(&text),
            Event::Thinking { text, .. } => call.thought.push_str(&text),
            Event::Done(reply) => {
                call.said.clear();
                call.thought.clear();
                whole(&reply, call);
            }
            Event::Fault(fault) => {
                call.unfinished = true;
                call.failed = Some(fault.text().to_owned());
            }
            _ => {}
        }
    }
}

fn whole(reply: &Reply, call: &mut ModelCall) {
    if !reply.model.is_empty() {
        call.model.clone_from(&reply.model);
    }
    say(&reply.message, call);
    call.stop = Some(reply.stop.as_str().to_owned());
    let usage = reply.usage;
    if usage != Usage::default() {
        call.tokens_in = usage.prompt();
        call.tokens_cached = usage.cache_read;
        call.tokens_out = usage.output;
        call.usage = Some(usage);
    }
}

fn say(message: &Message, call: &mut ModelCall) {
    for block in &message.blocks {
        match block {
            Block::Text(text) => call.said.push_str(text),
            Block::Thinking { text, .. } => call.thought.push_str(text),
            Block::ToolUse { name, input, .. } => call.calls.push(format!("{name} {input}")),
            _ => {}
        }
    }
}
