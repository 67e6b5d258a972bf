//! What is in memory, and what was said last: for looking into a server that runs.

use context::{Context, Filter, Key, Slice, Tenant};
use serde_json::{Value, json};
use wire::Fault;

use super::super::shape;
use crate::debug::Debugger;
use crate::gate::Gateway;

/// Limit: bytes of a text that is shown.
const TEXT_BYTES_MAX: usize = 2_000;

/// How much is wanted.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Contexts, the last used first.
    pub(super) contexts: u32,
    /// Messages of each, the newest.
    pub(super) messages: u32,
    /// Model calls, the newest.
    pub(super) exchanges: u32,
    /// Only this context.
    pub(super) context: Option<String>,
}

/// All that is known, without secrets.
///
/// # Errors
/// `context_not_found` for the one that is wanted, `storage_error`.
pub(super) async fn dump(
    gate: &Gateway,
    by: &dyn Debugger,
    (tenant, wanted): (Tenant, Wanted),
) -> Result<Value, Fault> {
    let found = match &wanted.context {
        Some(id) => vec![gate.contexts().get(&Key::new(tenant, id)?).await?],
        None if wanted.contexts == 0 => Vec::new(),
        None => {
            let filter = Filter { limit: wanted.contexts, ..Filter::default() };
            gate.contexts().list(tenant, filter).await?.items
        }
    };
    let mut contexts = Vec::new();
    for context in &found {
        contexts.push(one(gate, (tenant, context), wanted.messages).await?);
    }
    let mut exchanges = Vec::new();
    if wanted.exchanges > 0 {
        let filter = ledger::Filter {
            tenant: tenant.0,
            model: None,
            outcome: None,
            since: None,
            before: None,
            limit: wanted.exchanges,
        };
        let records = gate.cases().list(filter).await?;
        exchanges.extend(
            records
                .iter()
                .map(|found| serde_json::from_str(&found.record))
                .filter_map(|record: Result<Value, _>| record.ok()),
        );
    }
    let dump = json!({
        "at": shape::time(jiff::Timestamp::now()),
        "version": gate.about().version,
        "memory": memory(gate, by, tenant),
        "contexts": contexts,
        "exchanges": exchanges,
    });
    Ok(clean(by, dump))
}

/// What is under way at this moment.
fn memory(gate: &Gateway, by: &dyn Debugger, tenant: Tenant) -> Value {
    let under_way = gate.desk().under_way(tenant);
    let joined = gate.joined().now();
    json!({
        "uptime_seconds": gate.uptime().as_secs(),
        "connections": gate.connections().load(std::sync::atomic::Ordering::Relaxed),
        "requests_in_flight": gate.metrics().in_flight(),
        "turns_under_way": under_way,
        "streams_kept": gate.replays().len(),
        "joined_tools": joined.tools.len(),
        "steps": {"rules": by.rules(), "waiting": by.waiting().len()},
    })
}

/// A context with its last messages.
async fn one(
    gate: &Gateway,
    (tenant, context): (Tenant, &Context),
    messages: u32,
) -> Result<Value, Fault> {
    let mut value = shape::context(context, 0);
    let last = if messages == 0 {
        Vec::new()
    } else {
        let key = Key::new(tenant, &context.id)?;
        let slice = Slice { limit: messages, last: Some(messages), ..Slice::default() };
        gate.contexts().messages(&key, slice).await?.items
    };
    let last: Vec<Value> = last.iter().map(shape::message).collect();
    if let Some(fields) = value.as_object_mut() {
        // Of which window is not asked here.
        if let Some(size) = fields.get_mut("size").and_then(Value::as_object_mut) {
            size.shift_remove("window_share");
        }
        fields.insert("last_messages".to_owned(), last.into());
    }
    Ok(value)
}

fn cut(text: String) -> String {
    if text.len() <= TEXT_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    let rest = text.len() - end;
    format!("{}… {rest} bytes more", text.get(..end).unwrap_or_default())
}

/// Without secrets, and every long text cut.
fn clean(by: &dyn Debugger, value: Value) -> Value {
    match value {
        // Half a secret would not be known as one: they are taken out of the whole text.
        Value::String(text) => Value::String(cut(by.without_secrets(&text))),
        Value::Array(all) => all.into_iter().map(|one| clean(by, one)).collect(),
        Value::Object(fields) => {
            let hidden = |name: String, value: Value| match value {
                // The name says that it is one, whatever it looks like.
                Value::String(text) => {
                    let pair = json!({&name: text}).to_string();
                    let shown: Option<Value> =
                        serde_json::from_str(&by.without_secrets(&pair)).ok();
                    let shown = shown.as_ref().and_then(|pair| pair.get(&name)).cloned();
                    let shown = shown.unwrap_or_else(|| "[hidden]".into());
                    (name, clean(by, shown))
                }
                value => (name, clean(by, value)),
            };
            fields.into_iter().map(|(name, value)| hidden(name, value)).collect()
        }
        other => other,
    }
}
