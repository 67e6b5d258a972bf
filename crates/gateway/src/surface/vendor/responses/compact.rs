//! How long a request is, and a conversation made short: its summary as one item.

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use context::{EntryStatus, Key, Slice};
use serde_json::{Value, json};
use wire::dialect::{Asked, Link, scan};
use wire::prompt::{Block, Knobs, Message, Prompt, Role};
use wire::reply::Usage;
use wire::{Code, Fault};

use super::{items, key as key_of, missing, no_conversation, unknown};
use crate::model::Target;
use crate::offline::{self, Length};
use crate::surface::problem::Failed;
use crate::surface::vendor::{Call, Who, count, relay};

/// What the content of an item of ours begins with. It is not encrypted: it is the caller's own.
const MARK: &str = "rapport-compaction-1:";
/// Entries that are read at once.
const PAGE: u32 = 500;
/// Limit: tokens of a summary.
const SUMMARY_TOKENS_MAX: u32 = 2048;

const INSTRUCTIONS: &str = "You write the memory of a conversation between a user and an \
    assistant, for a successor who will see nothing else of what the assistant said. Write down \
    what was found, decided and done, what is open, and every name, number, path, address and date \
    that matters, exactly as written. Plain sentences, no headings, nothing that is not in the \
    text.";

/// Counts the tokens of a request: by its provider where that can, else an estimate.
#[utoipa::path(post, path = "/v1/responses/input_tokens", tag = "model APIs",
    request_body = Object,
    responses((status = 200, description = "`input_tokens`", body = Object), (status = 404)))]
pub(super) async fn input_tokens(
    gate: State<crate::gate::Gateway>,
    who: Who,
    r: Request,
) -> Result<Response, Failed> {
    let mut call = Call::read(gate.0, (who.0.0, who.1.0), r, "openai_responses").await?;
    let is_ours = open(&mut call)?;
    let asked = call.asked()?;
    let target = call.target()?;
    if !is_ours
        && asked.link.is_none()
        && let Some(upstream) = call.same(&target)
    {
        let path = "/v1/responses/input_tokens";
        let sent = (call.bytes.clone(), &call.head);
        let response = relay::pass(upstream, sent, &call.headers, path).await?;
        // Providers that speak the API do not all have all of it.
        if !matches!(response.status().as_u16(), 404 | 405 | 501) {
            return Ok(response);
        }
    }
    let before = match linked(&call, &asked).await? {
        Some(key) => call.gate.contexts().get(&key).await?.size.tokens,
        None => 0,
    };
    let tokens = count::tokens(&target, asked.prompt).await.saturating_add(before);
    let told = json!({"object": "response.input_tokens", "input_tokens": tokens});
    Ok(axum::Json(told).into_response())
}

/// Makes a conversation short: what the user said stays, a summary stands for the rest.
#[utoipa::path(post, path = "/v1/responses/compact", tag = "model APIs", request_body = Object,
    responses((status = 200, description = "`output`: the items to go on with", body = Object),
              (status = 404)))]
pub(super) async fn compact(
    gate: State<crate::gate::Gateway>,
    who: Who,
    r: Request,
) -> Result<Response, Failed> {
    let mut call = Call::read(gate.0, (who.0.0, who.1.0), r, "openai_responses").await?;
    let is_ours = open(&mut call)?;
    let asked = call.asked()?;
    let target = call.target()?;
    if !is_ours
        && asked.link.is_none()
        && let Some(upstream) = call.same(&target)
    {
        let path = "/v1/responses/compact";
        let sent = (call.bytes.clone(), &call.head);
        let response = relay::pass(upstream, sent, &call.headers, path).await?;
        if !matches!(response.status().as_u16(), 404 | 405 | 501) {
            return Ok(response);
        }
    }
    let mut messages = match linked(&call, &asked).await? {
        Some(key) => log(&call, &key).await?,
        None => Vec::new(),
    };
    messages.extend(asked.prompt.messages);
    let (summary, usage) = summary(&target, &messages).await?;
    let mut output: Vec<Value> = messages.iter().filter_map(said).collect();
    let id = uuid::Uuid::now_v7().simple();
    output.push(json!({"id": format!("cmp_{id}"), "type": "compaction",
                       "encrypted_content": format!("{MARK}{summary}")}));
    let created = jiff::Timestamp::now().as_second();
    let told = json!({"id": format!("resp_{id}"), "object": "response.compaction",
                      "created_at": created, "output": output, "usage": shown(&usage)});
    Ok(axum::Json(told).into_response())
}

/// Puts the summaries of ours that a request carries into words that every model reads; says
/// whether there were any.
pub(super) fn open(call: &mut Call) -> Result<bool, Fault> {
    let mark = MARK.as_bytes();
    if !call.bytes.windows(mark.len()).any(|part| part == mark) {
        return Ok(false);
    }
    let Ok(mut body) = serde_json::from_slice::<Value>(&call.bytes) else { return Ok(false) };
    let mut is_ours = false;
    let items = body.get_mut("input").and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        let is_compaction = item.get("type").and_then(Value::as_str) == Some("compaction");
        let content = item.get("encrypted_content").and_then(Value::as_str);
        let summary = content.filter(|_| is_compaction).and_then(|text| text.strip_prefix(MARK));
        if let Some(summary) = summary {
            let text =
                format!("<summary_of_earlier_messages>\n{summary}\n</summary_of_earlier_messages>");
            *item = json!({"type": "message", "role": "developer", "content": text});
            is_ours = true;
        }
    }
    if is_ours {
        call.bytes = body.to_string().into();
        call.head = scan(&call.bytes).ok_or_else(|| Fault::internal("a body is no object"))?;
    }
    Ok(is_ours)
}

/// The context that a request goes on with.
async fn linked(call: &Call, asked: &Asked) -> Result<Option<Key>, Fault> {
    if let Some(id) = call.context() {
        return Key::new(call.caller.tenant, &id).map(Some);
    }
    let contexts = call.gate.contexts();
    match &asked.link {
        None => Ok(None),
        Some(Link::Context(id)) => Key::new(call.caller.tenant, id).map(Some),
        Some(Link::Conversation(id)) => {
            let key = Key::new(call.caller.tenant, id)?;
            contexts.get(&key).await.map_err(|fault| no_conversation(fault, id))?;
            Ok(Some(key))
        }
        Some(Link::Response(id)) => {
            let key = key_of(&call.caller, id).map_err(|_no_key| unknown(id))?;
            contexts.get(&key).await.map_err(|fault| missing(fault, id))?;
            Ok(Some(key))
        }
    }
}

/// Everything that was said in a context.
async fn log(call: &Call, key: &Key) -> Result<Vec<Message>, Fault> {
    let mut out = Vec::new();
    let mut slice = Slice { limit: PAGE, ..Slice::default() };
    loop {
        let page = call.gate.contexts().messages(key, slice.clone()).await?;
        let whole = page.items.iter().filter(|entry| entry.status == EntryStatus::Complete);
        out.extend(whole.map(context::Entry::to_message));
        match (page.next, page.items.last()) {
            (Some(_), Some(last)) => slice.after = Some(last.seq),
            _ => return Ok(out),
        }
    }
}

/// What the user said, as an item; nothing for anybody else's message.
fn said(message: &Message) -> Option<Value> {
    let is_result = |block: &Block| matches!(block, Block::ToolResult { .. });
    if message.role != Role::User || message.blocks.iter().any(is_result) {
        return None;
    }
    let mut item = items::from_blocks(message).into_iter().next()?;
    item.as_object_mut()?.insert("status".to_owned(), "completed".into());
    Some(item)
}

/// The summary by the model that was named; by rules where that is a built-in one.
async fn summary(target: &Target, messages: &[Message]) -> Result<(String, Usage), Fault> {
    let text = transcript(messages);
    if text.is_empty() {
        return Err(Fault::new(Code::InvalidInput, "there is nothing to make short")
            .hint("send `input`, or `previous_response_id`")
            .details(json!({"field": "input"})));
    }
    let Target::Upstream(upstream) = target else {
        return Ok((offline::summarize(&text, Length::Long), Usage::default()));
    };
    let prompt = Prompt {
        model: upstream.model().to_owned(),
        system: Some(INSTRUCTIONS.to_owned()),
        messages: vec![Message::text(Role::User, format!("The conversation:\n{text}"))],
        knobs: Knobs { max_tokens: Some(SUMMARY_TOKENS_MAX), ..Knobs::default() },
        ..Prompt::default()
    };
    let reply = upstream.send(&prompt).await?;
    let summary = reply.message.plain();
    if summary.trim().is_empty() {
        let text = format!("model `{}` wrote no summary", upstream.model());
        return Err(Fault::new(Code::UpstreamInvalid, text).hint("name another model"));
    }
    Ok((summary, reply.usage))
}

/// A conversation as a text.
fn transcript(messages: &[Message]) -> String {
    let mut out = String::new();
    for message in messages {
        for block in &message.blocks {
            let line = match block {
                Block::Text(text) => format!("{}: {text}\n", message.role.as_str()),
                Block::ToolUse { name, input, .. } => format!("call: {name} {}\n", input.get()),
                Block::ToolResult { content, .. } => format!("result: {content}\n"),
                _ => continue,
            };
            out.push_str(&line);
        }
    }
    out
}

fn shown(usage: &Usage) -> Value {
    let (input, output) = (usage.prompt(), usage.output);
    json!({"input_tokens": input, "output_tokens": output,
           "total_tokens": input.saturating_add(output),
           "input_tokens_details": {"cached_tokens": usage.cache_read},
           "output_tokens_details": {"reasoning_tokens": usage.thinking}})
}
