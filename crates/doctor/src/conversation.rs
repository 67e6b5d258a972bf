//! Judges one context of a server of ours by what its API says of it.

use std::time::Duration;

use serde_json::Value;

use crate::check::About;
use crate::report::{Confidence, Fix, HEALTHY, Report, Verdict};

/// A share of the window above which the next turns will be cut.
const NEARLY_FULL: f64 = 0.9;

/// What the server says.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The context's id.
    pub id: &'a str,
    /// The server's address, for the commands that are named.
    pub server: &'a str,
    /// The context, or nothing when the server has none with this id.
    pub context: Option<&'a Value>,
    /// Its last messages, the newest last.
    pub messages: &'a [Value],
    /// What the server says of itself.
    pub status: &'a Value,
}

/// What this module proves, for the list of checks.
#[must_use]
pub fn about() -> About {
    About {
        id: "context",
        title: "one context",
        proves: "the server has the context, and its next turn can begin",
        rung: 0,
        budget: Duration::from_secs(5),
        verdicts: &[
            "context.closed",
            "context.lost_in_memory",
            "context.missing",
            "context.turn_failed",
            "context.turn_open",
            "context.window_full",
        ],
    }
}

/// Judges it.
#[must_use]
pub fn judge(seen: &Seen<'_>) -> Report {
    let understood = format!("a context of the server {}", seen.server);
    let verdict = match seen.context {
        None => missing(seen),
        Some(context) => turned(seen, context).unwrap_or_else(|| healthy(seen, context)),
    };
    Report::of(seen.id, &understood, verdict)
}

fn missing(seen: &Seen<'_>) -> Verdict {
    let Seen { id, server, status, .. } = seen;
    let up = status.get("uptime_seconds").and_then(Value::as_u64).unwrap_or_default();
    let number = status.get("contexts").and_then(Value::as_u64).unwrap_or_default();
    let has = format!("the server at {server} has {number} contexts and runs for {up} s");
    if status.pointer("/store/kind").and_then(Value::as_str) == Some("memory") {
        let sentence =
            format!("the context {id} is gone: the server keeps contexts in memory only");
        return Verdict::likely("context.lost_in_memory", sentence).because(has).fix(Fix::run(
            "keep contexts on the disk: leave `data.store: memory` out of the configuration",
            "rapport config show --origin",
        ));
    }
    let folder = status.get("data_dir").and_then(Value::as_str).unwrap_or_default();
    Verdict::certain("context.missing", format!("there is no context {id} on this server"))
        .because(has)
        .because(format!("it works on the folder {folder}"))
        .fix(Fix::run("see which there are", "rapport context list"))
        .fix(Fix::say(
            "one that was deleted or has expired stays gone; another server or data folder may \
             have it (--port, --data)",
        ))
}

/// What keeps its next turn from beginning, or from being what is expected.
fn turned(seen: &Seen<'_>, context: &Value) -> Option<Verdict> {
    let id = seen.id;
    let text = |key: &str| context.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("status") != "open" {
        let sentence = format!("the context {id} is closed and takes no more messages");
        return Some(
            Verdict::certain("context.closed", sentence)
                .because(format!("its status is `{}`", text("status")))
                .fix(Fix::run("go on in a copy of it", format!("rapport context fork {id}"))),
        );
    }
    if let Some(turn) = context.get("open_turn").and_then(Value::as_u64) {
        let sentence = format!("turn {turn} of the context {id} is under way");
        return Some(
            Verdict::likely("context.turn_open", sentence)
                .because(format!("the last change was at {}", text("last_updated")))
                .fix(Fix::say(
                    "wait for its end, or cancel it (POST …/cancel); the next turn waits for it",
                )),
        );
    }
    let last = seen.messages.last();
    if let Some(message) = last.filter(|message| {
        message.get("status").and_then(Value::as_str).is_some_and(|status| status == "failed")
    }) {
        let said = message.pointer("/meta/error").or_else(|| message.get("error"));
        let said = said.map(|error| format!("its error: {error}"));
        let sentence = format!("the last turn of the context {id} failed");
        return Some(Verdict::certain("context.turn_failed", sentence).because_all(said).fix(
            Fix::say(
                "send the message again; the question is kept, and `rapport request list \
                 --status failed` says why it failed",
            ),
        ));
    }
    let share = context.pointer("/size/window_share").and_then(Value::as_f64)?;
    if share < NEARLY_FULL {
        return None;
    }
    let tokens = context.pointer("/size/tokens").and_then(Value::as_u64).unwrap_or_default();
    let sentence = format!(
        "the context {id} fills {:.0} % of its model's window: the oldest turns will be left out",
        share * 100.0
    );
    Some(
        Verdict::likely("context.window_full", sentence)
            .because(format!("it has about {tokens} tokens"))
            .fix(Fix::run("see what is sent", format!("rapport context show {id}")))
            .fix(Fix::say(
                "set a window strategy such as a running summary, or use a model with a larger \
                 window",
            )),
    )
}

fn healthy(seen: &Seen<'_>, context: &Value) -> Verdict {
    let number = |path: &str| context.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let share = context.pointer("/size/window_share").and_then(Value::as_f64).unwrap_or_default();
    let until = context.get("expires_at").and_then(Value::as_str);
    let until = until.map_or_else(String::new, |at| format!(", until {at}"));
    let sentence = format!(
        "the context {} is open: {} messages in {} turns, about {} tokens ({:.1} % of the \
         window){until}",
        seen.id,
        number("/size/messages"),
        number("/size/turns"),
        number("/size/tokens"),
        share * 100.0
    );
    Verdict { confidence: Confidence::Certain, ..Verdict::certain(HEALTHY, sentence) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Seen, judge};

    fn id_of(context: Option<&Value>, messages: &[Value], store: &str) -> &'static str {
        let status = json!({ "contexts": 3, "store": { "kind": store }, "uptime_seconds": 5 });
        let seen = Seen { id: "c", server: "here", context, messages, status: &status };
        judge(&seen).verdict.id
    }

    #[test]
    fn a_context_is_judged_by_what_keeps_its_next_turn() {
        let open = json!({ "status": "open", "size": { "window_share": 0.2 } });
        let with = |key: &str, value: Value| {
            let mut context = open.clone();
            context[key] = value;
            context
        };
        let full = with("size", json!({ "window_share": 0.95, "tokens": 9 }));
        let failed = [json!({ "status": "failed" })];
        assert_eq!(id_of(Some(&open), &[], "sqlite"), "ok");
        assert_eq!(id_of(None, &[], "sqlite"), "context.missing");
        assert_eq!(id_of(None, &[], "memory"), "context.lost_in_memory");
        assert_eq!(id_of(Some(&with("status", json!("closed"))), &[], ""), "context.closed");
        assert_eq!(id_of(Some(&with("open_turn", json!(2))), &[], ""), "context.turn_open");
        assert_eq!(id_of(Some(&open), &failed, ""), "context.turn_failed");
        assert_eq!(id_of(Some(&full), &[], ""), "context.window_full");
    }
}
