//! What the asks of one turn used together, and what they cost.

use context::Turn;
use serde_json::Value;
use wire::reply::Usage;

use crate::gate::Gateway;
use crate::model::{Door, Target};

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
pub(super) fn add(sum: &mut Option<Usage>, turn: &Turn) {
    let Some(more) = usage_of(turn) else { return };
    let sum = sum.get_or_insert_default();
    sum.input = sum.input.saturating_add(more.input);
    sum.output = sum.output.saturating_add(more.output);
    sum.cache_read = sum.cache_read.saturating_add(more.cache_read);
    sum.cache_write = sum.cache_write.saturating_add(more.cache_write);
    sum.thinking = sum.thinking.saturating_add(more.thinking);
}

/// What an ask cost, where that is known.
pub(super) fn cost_of(gate: &Gateway, turn: &Turn) -> Option<f64> {
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
