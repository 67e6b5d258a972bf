//! Stored messages as items of the Responses and Conversations APIs, and lists of them.
//!
//! An item's id says where it stands: the number of its entry and its place in it. One that a
//! provider gave an id keeps that.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use context::{Entry, Key, Slice};
use serde::Deserialize;
use serde_json::{Value, json};
use wire::prompt::{Block, Message, Role};
use wire::{Code, Fault};

use crate::gate::Gateway;

/// Items of a page when nobody says how many.
const LIMIT_DEFAULT: u32 = 20;
/// Limit: items of a page.
const LIMIT_MAX: u32 = 100;
/// Entries that are read at once.
const PAGE: u32 = 100;

/// What page of a list is wanted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::surface::vendor) struct ListQuery {
    /// 1 to 100; 20 when absent.
    limit: Option<String>,
    /// `desc` (the newest first, when absent) or `asc`.
    order: Option<String>,
    /// The id of the item after which the page begins.
    after: Option<String>,
}

/// A page of a list, checked.
#[derive(Debug)]
pub(in crate::surface::vendor) struct Paging {
    limit: usize,
    newest_first: bool,
    after: Option<String>,
}

/// Reads what a query asks for.
pub(in crate::surface::vendor) fn paging(
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Paging, Fault> {
    let Query(query) = query.map_err(|cause| {
        Fault::new(Code::InvalidInput, "the query cannot be read").hint(cause.body_text())
    })?;
    let limit = match &query.limit {
        None => LIMIT_DEFAULT,
        Some(text) => text
            .parse::<u32>()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| wrong("limit", "a whole number from 1 to 100", text))?,
    };
    let newest_first = match query.order.as_deref() {
        None | Some("desc") => true,
        Some("asc") => false,
        Some(other) => return Err(wrong("order", "`asc` or `desc`", other)),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Paging { limit, newest_first, after: query.after.filter(|after| !after.is_empty()) })
}

fn wrong(field: &str, expected: &str, got: &str) -> Fault {
    let got: String = got.chars().take(100).collect();
    let text = format!("`{field}` must be {expected}, got `{}`", got.escape_default());
    Fault::new(Code::InvalidInput, text).details(json!({"field": field}))
}

/// The items of a context, up to entry `upto`, page by page.
pub(in crate::surface::vendor) async fn list(
    gate: &Gateway,
    key: &Key,
    paging: &Paging,
    upto: Option<u32>,
) -> Result<Value, Fault> {
    let start = match &paging.after {
        None => None,
        Some(after) => Some(find(gate, key, after).await?.ok_or_else(|| {
            let text = format!("`after` names no item here: `{}`", after.escape_default());
            Fault::new(Code::InvalidInput, text)
                .hint("use `last_id` of the page before")
                .details(json!({"field": "after"}))
        })?),
    };
    let mut out: Vec<Value> = Vec::new();
    let mut slice = Slice { limit: PAGE, newest_first: paging.newest_first, ..Slice::default() };
    slice.before = upto.map(|seq| seq.saturating_add(1));
    if let Some((entry, _)) = &start {
        if paging.newest_first {
            slice.before = Some(entry.seq.saturating_add(1));
        } else {
            slice.after = entry.seq.checked_sub(1);
        }
    }
    'pages: loop {
        let page = gate.contexts().messages(key, slice.clone()).await?;
        for entry in &page.items {
            let mut items = of(entry);
            if paging.newest_first {
                items.reverse();
            }
            let skipped = match &start {
                Some((first, at)) if first.seq == entry.seq => {
                    if paging.newest_first {
                        items.len().saturating_sub(*at)
                    } else {
                        at + 1
                    }
                }
                _ => 0,
            };
            out.extend(items.into_iter().skip(skipped));
            if out.len() > paging.limit {
                break 'pages;
            }
        }
        match (page.next, page.items.last()) {
            (Some(_), Some(last)) if paging.newest_first => slice.before = Some(last.seq),
            (Some(_), Some(last)) => slice.after = Some(last.seq),
            _ => break,
        }
    }
    let has_more = out.len() > paging.limit;
    out.truncate(paging.limit);
    Ok(shown(&out, has_more))
}

/// A list as the API shows it.
pub(in crate::surface::vendor) fn shown(data: &[Value], has_more: bool) -> Value {
    let end = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    json!({"object": "list", "first_id": end(data.first()), "last_id": end(data.last()),
           "has_more": has_more, "data": data})
}

/// The entry that holds an item, and the item's place in it.
pub(in crate::surface::vendor) async fn find(
    gate: &Gateway,
    key: &Key,
    id: &str,
) -> Result<Option<(Entry, usize)>, Fault> {
    let place_in = |entry: &Entry| {
        let items = of(entry);
        items.iter().position(|item| item.get("id").and_then(Value::as_str) == Some(id))
    };
    let mut parts = id.rsplitn(3, '_').skip(1);
    if let Some(seq) = parts.next().and_then(|seq| seq.parse::<u64>().ok()) {
        match gate.contexts().entry(key, seq).await {
            Ok(entry) => {
                if let Some(at) = place_in(&entry) {
                    return Ok(Some((entry, at)));
                }
            }
            Err(fault) if fault.code() == Code::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    // An id that a provider gave: it stands somewhere in the log.
    let mut slice = Slice { limit: PAGE, newest_first: true, ..Slice::default() };
    loop {
        let page = gate.contexts().messages(key, slice.clone()).await?;
        for entry in &page.items {
            if let Some(at) = place_in(entry) {
                return Ok(Some((entry.clone(), at)));
            }
        }
        match (page.next, page.items.last()) {
            (Some(_), Some(last)) => slice.before = Some(last.seq),
            _ => return Ok(None),
        }
    }
}

/// A stored message as items.
pub(in crate::surface::vendor) fn of(entry: &Entry) -> Vec<Value> {
    let message = entry.to_message();
    let own = message.raw.as_ref().filter(|raw| &*raw.dialect == "openai_responses");
    let items = own.and_then(|raw| serde_json::from_str::<Vec<Value>>(raw.json.get()).ok());
    let mut items = items.unwrap_or_else(|| from_blocks(&message));
    for (at, item) in items.iter_mut().enumerate() {
        complete(item, &message, (entry.seq, at));
    }
    items
}

/// Gives an item what the API always shows.
fn complete(item: &mut Value, message: &Message, (seq, at): (u32, usize)) {
    let Some(map) = item.as_object_mut() else { return };
    let kind = map.entry("type").or_insert_with(|| "message".into()).clone();
    let kind = kind.as_str().unwrap_or_default();
    let begin = match kind {
        "message" => "msg",
        "reasoning" => "rs",
        "function_call" => "fc",
        "function_call_output" => "fco",
        "compaction" => "cmp",
        _ => "item",
    };
    let has_id = map.get("id").and_then(Value::as_str).is_some_and(|id| !id.is_empty());
    if !has_id {
        map.insert("id".to_owned(), format!("{begin}_{seq}_{at}").into());
    }
    if kind != "message" {
        return;
    }
    map.entry("status").or_insert_with(|| "completed".into());
    map.entry("role").or_insert_with(|| message.role.as_str().into());
    if let Some(Value::String(text)) = map.get("content").cloned() {
        map.insert("content".to_owned(), json!([text_part(message.role, &text)]));
    }
}

fn text_part(role: Role, text: &str) -> Value {
    if role == Role::Assistant {
        json!({"type": "output_text", "text": text, "annotations": []})
    } else {
        json!({"type": "input_text", "text": text})
    }
}

/// The items of a message of another dialect.
pub(super) fn from_blocks(message: &Message) -> Vec<Value> {
    let mut items = Vec::new();
    let mut content = Vec::new();
    for block in &message.blocks {
        match block {
            Block::Text(text) if text.is_empty() && message.blocks.len() > 1 => {}
            Block::Text(text) => content.push(text_part(message.role, text)),
            Block::Thinking { text, .. } => items.push(json!({"type": "reasoning",
                "summary": [{"type": "summary_text", "text": text}]})),
            Block::ToolUse { id, name, input } => items.push(json!({"type": "function_call",
                "status": "completed", "call_id": id, "name": name, "arguments": input.get()})),
            Block::ToolResult { id, content, .. } => items.push(json!({
                "type": "function_call_output", "status": "completed", "call_id": id,
                "output": content})),
            Block::Image(media) => content.push(json!({"type": "input_image", "detail": "auto",
                "image_url": media.source.to_url()})),
            Block::Document(media) => content.push(json!({"type": "input_file",
                "filename": media.name, "file_data": media.source.to_url()})),
            Block::Audio(_) | Block::Other { .. } => {}
        }
    }
    if !content.is_empty() || items.is_empty() {
        let role = if message.role == Role::Tool { "user" } else { message.role.as_str() };
        let said = json!({"type": "message", "role": role, "content": content});
        // Thoughts come before what is said, calls after it; results before.
        let is_before = |item: &Value| {
            matches!(
                item.get("type").and_then(Value::as_str),
                Some("reasoning" | "function_call_output")
            )
        };
        let at = items.iter().take_while(|item| is_before(item)).count();
        items.insert(at, said);
    }
    items
}
