//! Summaries in the background: no turn waits for one, and a failure leaves the cut in its place.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use context::{Budget, Entry, Key, OpenTurn, Plan, Strategy, Task};
use wire::Fault;
use wire::prompt::{Knobs, Message, Prompt, Role};

use super::translate;
use crate::gate::Gateway;
use crate::model::{Door, Target, Upstream};

/// Limit: how long a model may take for one part of a summary.
const PART_TIMEOUT: Duration = Duration::from_secs(120);
/// Limit: parts of one summary; older messages beyond them are summarised without a model.
const PARTS_MAX: usize = 16;
/// Limit: summaries that one turn may give rise to.
const NODES_MAX: usize = 40;
/// The part of the model's window that one part may fill.
const PART_DIVISOR: u32 = 2;
/// Bytes of a token, for the length a model is asked for.
const TOKEN_BYTES: usize = 4;
/// The writer of summaries that needs no model.
const OFFLINE: &str = "offline";

const INSTRUCTIONS: &str = "You write the memory of a conversation between a user and an \
    assistant. Write down what a successor must know to go on: what the user wants, what was \
    decided and why, what is open, and every name, number, path, address and date that matters, \
    exactly as written. Plain sentences, no headings, no comments of your own, nothing that is \
    not in the text.";

/// Looks whether the context wants a summary after a turn, and has it written if so.
pub(super) fn consider(gate: &Gateway, upstream: &Arc<Upstream>, open: &OpenTurn) {
    let settings = &open.context.settings;
    let summed = |plan: &&Plan| matches!(plan.strategy, Strategy::Summary | Strategy::Hierarchical);
    let Some(plan) = settings.window.as_ref().filter(summed) else {
        return;
    };
    let budget = translate::budget(upstream, settings, &super::Overrides::default());
    let (gate, key, model) = (gate.clone(), open.key.clone(), plan.summarizer.clone());
    gate.clone().tasks().spawn("summary", async move {
        // A leaf may complete a node above it; a window leaves at most a few leaves behind.
        for _ in 0..NODES_MAX {
            match summarise(&gate, &key, budget, model.as_deref()).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(fault) => {
                    tracing::warn!(context = %key.id, "no summary was written: {}", fault.chain());
                    break;
                }
            }
        }
    });
}

/// Writes the summary that is due; whether there was one and it was taken.
async fn summarise(
    gate: &Gateway,
    key: &Key,
    budget: Budget,
    model: Option<&str>,
) -> Result<bool, Fault> {
    let Some(task) = gate.contexts().summary_due(key, budget, None).await? else {
        return Ok(false);
    };
    let messages = task.entries.len();
    let written = match model {
        None => None,
        Some(name) => match by_model(gate, name, &task).await {
            Ok(text) if task.accepts(&text) => Some((text, name)),
            Ok(_) => {
                tracing::warn!(context = %key.id, model = name, "the summary was not usable");
                None
            }
            Err(fault) => {
                let reason = fault.chain();
                tracing::warn!(context = %key.id, model = name, "the summary failed: {reason}");
                None
            }
        },
    };
    let (text, by) = written.unwrap_or_else(|| (task.extract(), OFFLINE));
    let swapped = gate.contexts().swap_summary(task, &text, by).await?;
    tracing::info!(context = %key.id, messages, swapped, by, "older messages summarised");
    Ok(swapped)
}

/// Lets a model write the summary, part by part where the messages exceed its window.
async fn by_model(gate: &Gateway, name: &str, task: &Task) -> Result<String, Fault> {
    let Target::Upstream(upstream) = gate.now().models.resolve(Some(name), Door::Context)? else {
        // An offline model answers by rules; the sentences themselves say more.
        return Ok(task.extract());
    };
    let parts = parts(&task.entries, upstream.window_tokens() / PART_DIVISOR);
    let over = parts.len().saturating_sub(PARTS_MAX);
    let mut text = task.previous.clone().unwrap_or_default();
    for part in parts.into_iter().skip(over) {
        let prompt = prompt(&upstream, &text, part, task.bytes_max);
        let reply = tokio::time::timeout(PART_TIMEOUT, upstream.send(&prompt)).await;
        let reply = reply.map_err(|late| {
            Fault::new(wire::Code::Timeout, "the summary took too long").because(late)
        })??;
        text = reply.message.plain();
    }
    Ok(with_identifiers(text, task))
}

/// Runs of entries that fill at most `tokens`, each at least one entry long.
fn parts(entries: &[Entry], tokens: u32) -> Vec<&[Entry]> {
    let mut out = Vec::new();
    let mut rest = entries;
    while !rest.is_empty() {
        let mut sum = 0_u32;
        let fits = rest.iter().take_while(|entry| {
            sum = sum.saturating_add(entry.tokens);
            sum <= tokens
        });
        let (part, next) = rest.split_at(fits.count().clamp(1, rest.len()));
        out.push(part);
        rest = next;
    }
    out
}

fn prompt(upstream: &Upstream, before: &str, part: &[Entry], bytes_max: usize) -> Prompt {
    let mut text = String::new();
    if !before.is_empty() {
        let _written = write!(text, "What is known from before:\n{before}\n\n");
    }
    text.push_str("The conversation:\n");
    for entry in part {
        let _written = writeln!(text, "{}: {}", entry.role.as_str(), entry.content.plain());
    }
    let bytes = bytes_max * 3 / 4;
    let _written = write!(text, "\nWrite the memory in at most {} words.", bytes / 6);
    let max_tokens = u32::try_from(bytes / TOKEN_BYTES).ok();
    Prompt {
        model: upstream.model().to_owned(),
        system: Some(INSTRUCTIONS.to_owned()),
        system_raw: None,
        private: None,
        messages: vec![Message::text(Role::User, text)],
        tools: Vec::new(),
        knobs: Knobs { max_tokens, ..Knobs::default() },
    }
}

/// Adds the names and numbers that the text has lost.
fn with_identifiers(text: String, task: &Task) -> String {
    let room = task.bytes_max.saturating_sub(text.len());
    let mut lost = String::new();
    for word in task.identifiers().iter().filter(|word| !text.contains(word.as_str())) {
        if lost.len() + word.len() + 20 > room {
            break;
        }
        lost.push_str(if lost.is_empty() { "\nidentifiers: " } else { ", " });
        lost.push_str(word);
    }
    text + &lost
}
