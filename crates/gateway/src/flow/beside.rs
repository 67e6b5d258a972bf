//! What a model is shown beside the entries (summary, pinned and recalled messages), and the facts.

use std::fmt::Write as _;

use context::{Cut, Entry, Map, Recalled, Strategy, Window};
use serde_json::{Value, json};

/// What stands at the head of the prompt for messages that are no longer carried. It changes only
/// when a new epoch begins.
pub(super) fn head(window: &Window) -> Option<String> {
    let mut out = String::new();
    if let Some(summary) = &window.summary {
        let upto = summary.upto;
        let _written = write!(
            out,
            "<summary_of_earlier_messages upto=\"{upto}\">\n{}\n</summary_of_earlier_messages>",
            summary.text
        );
    }
    if !window.pinned.is_empty() {
        if !out.is_empty() {
            out.push_str("\n\n");
        }
        let _written =
            write!(out, "<pinned_messages>\n{}</pinned_messages>", lines(window.pinned.iter()));
    }
    (!out.is_empty()).then_some(out)
}

/// The instructions, and after them what stands at the head.
pub(super) fn with_head(system: Option<String>, head: Option<String>) -> Option<String> {
    match (system, head) {
        (Some(system), Some(head)) if !system.is_empty() => Some(format!("{system}\n\n{head}")),
        (_, Some(head)) => Some(head),
        (system, None) => system,
    }
}

/// Older messages that are told again, in their order, each once.
pub(super) fn told_again(recalled: &[Recalled]) -> Option<String> {
    let mut entries: Vec<&Entry> = recalled.iter().flat_map(|found| &found.entries).collect();
    entries.sort_by_key(|entry| entry.seq);
    entries.dedup_by_key(|entry| entry.seq);
    (!entries.is_empty()).then(|| lines(entries.into_iter()).trim_end().to_owned())
}

fn lines<'e>(entries: impl Iterator<Item = &'e Entry>) -> String {
    let mut out = String::new();
    for entry in entries {
        let (seq, role) = (entry.seq, entry.role.as_str());
        let _written = writeln!(out, "[{seq}] {role}: {}", entry.content.plain());
    }
    out
}

/// The facts of a window, as a reply and `x-rapport-window` tell them.
pub(super) fn facts(window: &Window) -> Map {
    let strategy = match window.plan.strategy {
        Strategy::Budget => "budget",
        Strategy::Full => "full",
        Strategy::Last(_) => "last",
        Strategy::Summary => "summary",
        Strategy::Hierarchical => "hierarchical",
    };
    let mut out = Map::new();
    out.insert("messages".to_owned(), window.entries.len().into());
    out.insert("tokens".to_owned(), window.tokens.into());
    out.insert("cut".to_owned(), window.cut.as_ref().map_or(Value::Null, cut));
    out.insert("strategy".to_owned(), strategy.into());
    if let Some(first) = window.entries.first() {
        out.insert("first_seq".to_owned(), first.seq.into());
    }
    if let Some(summary) = &window.summary {
        out.insert("summary_upto".to_owned(), summary.upto.into());
    }
    if window.cleared > 0 {
        out.insert("results_cleared_upto".to_owned(), window.cleared.into());
    }
    let counts = [("pinned", window.pinned.len()), ("recalled", window.recalled.len())];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        out.insert(name.to_owned(), count.into());
    }
    out
}

fn cut(cut: &Cut) -> Value {
    json!({
        "dropped_messages": cut.dropped_messages,
        "dropped_tokens": cut.dropped_tokens,
        "kept_tokens": cut.kept_tokens,
        "first_seq": cut.first_seq,
        "results_cleared_upto": cut.cleared_upto,
    })
}

/// The facts of a stored reply in one line, for the header.
pub(crate) fn line(meta: &Map) -> Option<String> {
    let facts = meta.get("window")?.as_object()?;
    let read = meta.get("usage").and_then(|usage| usage.get("cache_read_tokens"));
    line_of(facts, read)
}

/// Facts in one line, with the tokens that came from the provider's cache where they are known.
pub(super) fn line_of(facts: &Map, read: Option<&Value>) -> Option<String> {
    let mut out = String::new();
    for (name, value) in facts {
        let told = match value {
            Value::Null if name == "cut" => "no".to_owned(),
            Value::Null => continue,
            Value::Object(cut) => cut.get("dropped_messages").map(Value::to_string)?,
            Value::String(word) => word.clone(),
            other => other.to_string(),
        };
        let _written = write!(
            out,
            "{}{}={told}",
            if out.is_empty() { "" } else { "; " },
            name.replace('_', "-")
        );
    }
    if let Some(read) = read {
        let _written = write!(out, "; cached={read}");
    }
    Some(out)
}
