//! What would go out for a conversation, to the byte, and why.

use std::fmt::Write as _;

use context::{Content, Key, Map};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use wire::Fault;

use super::Overrides;
use super::translate::{budget, build};
use crate::gate::Gateway;
use crate::model::{Upstream, exact};

/// A request that was not sent.
#[derive(Debug, Serialize)]
pub struct Preview {
    model: String,
    provider: String,
    url: String,
    /// Without secrets.
    headers: Map,
    /// The exact bytes.
    body: Box<RawValue>,
    /// The SHA-256 of the body, in hex.
    sha256: String,
    messages: Value,
    tokens_estimated: Value,
    /// What the provider would count, where its tokens are published.
    tokens_exact: Option<u64>,
    window_tokens: u32,
    budget_tokens: u32,
    cut: Value,
    why: Map,
}

/// The request that would go out for a conversation now, or, with a question, for a turn that says
/// it. Nothing changes.
///
/// # Errors
/// `context_not_found`, `context_expired`, `storage_error`; with a question those of a turn.
pub async fn preview(
    gate: &Gateway,
    upstream: &Upstream,
    key: &Key,
    (overrides, question): (&Overrides, Option<Content>),
) -> Result<Preview, Fault> {
    let context = gate.contexts().get(key).await?;
    let budget = budget(upstream, &context.settings, overrides);
    let plan = overrides.window.clone();
    let window = match question {
        None => gate.contexts().preview_window_as(key, budget, plan).await?,
        Some(question) => gate.contexts().rehearse(key, question, budget, plan).await?,
    };
    let (prompt, asked) = build(upstream, window, overrides);
    let (url, headers, body) = upstream.render(&prompt, false);
    let sha256 = hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body).as_ref());
    let body = String::from_utf8(body)
        .map_err(|e| Fault::internal("the rendered request is not UTF-8").because(e))?;
    let body = RawValue::from_string(body)
        .map_err(|e| Fault::internal("the rendered request is not JSON").because(e))?;
    let fact = |name: &str| asked.facts().get(name).cloned().unwrap_or_default();
    Ok(Preview {
        model: upstream.model().to_owned(),
        provider: upstream.provider().to_owned(),
        url,
        headers: headers.into_iter().map(|(name, value)| (name, Value::from(value))).collect(),
        body,
        sha256,
        messages: fact("messages"),
        tokens_estimated: fact("tokens"),
        tokens_exact: exact::count(upstream.model(), prompt).await,
        window_tokens: upstream.window_tokens(),
        budget_tokens: budget.tokens,
        cut: fact("cut"),
        why: asked.facts().clone(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _written = write!(out, "{byte:02x}");
        out
    })
}
