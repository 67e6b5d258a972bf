//! `rapport request`: the model calls of a server, and why each went the way it did.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::Frame;
use super::reach::{Client, Reach};
use super::table::{cell, moment, short, table};
use crate::print::Exit;
use crate::remote::{Ask, Failure, PathOf};

/// Flags of `request`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    reach: Reach,
}

#[derive(Clone, Debug, Subcommand)]
enum Verb {
    /// Show the last model calls, the newest first
    List(List),
    /// Say why a call went the way it did: who was asked, when, with which key, and what it cost
    Explain {
        /// The `x-request-id` of the answer, or CONTEXT.TURN
        id: String,
    },
}

#[derive(Clone, Debug, Args)]
struct List {
    /// Only calls for this model: as it was asked for, or as PROVIDER/MODEL
    #[arg(long)]
    model: Option<String>,
    /// Only calls that ended so: `ok`, `failed`, `hung_up`, or a code
    #[arg(long)]
    status: Option<String>,
    /// Only calls since a time (RFC 3339), or of the last 90s, 2h, 7d …
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<String>,
    /// At most so many, 1 to 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: Option<u32>,
    /// Where the page before ended
    #[arg(long, value_name = "PLACE")]
    before: Option<i64>,
}

/// A time as the server reads it, so that a slip is told before anything is sent.
fn time(text: &str) -> Result<String, String> {
    let ago = || {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        number.parse::<u64>().ok().filter(|_| matches!(unit, "s" | "m" | "h" | "d"))
    };
    let is_time = text.parse::<jiff::Timestamp>().is_ok() || ago().is_some();
    is_time.then(|| text.to_owned()).ok_or_else(|| {
        "write a time such as 2026-11-21T09:00:00Z, or how long ago, such as 2h".to_owned()
    })
}

/// Does what was asked.
///
/// # Errors
/// When there is no runtime to work in.
pub(super) fn run(frame: &mut Frame, options: &Options) -> anyhow::Result<Exit> {
    options.reach.run(frame, async |client| match &options.verb {
        Verb::List(list) => self::list(client, list).await,
        Verb::Explain { id } => explain(client, id).await,
    })
}

async fn list(client: &mut Client<'_>, list: &List) -> Result<(), Failure> {
    let path = PathOf::new("/api/v1/requests")
        .query("model", list.model.as_deref())
        .query("status", list.status.as_deref())
        .query("since", list.since.as_deref())
        .query("limit", list.limit.map(|limit| limit.to_string()).as_deref())
        .query("before", list.before.map(|before| before.to_string()).as_deref());
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    let mut rows = table(&["id", "when", "asked for", "answered by", "outcome", "ms", "usd"]);
    for call in reply.value.get("requests").and_then(Value::as_array).into_iter().flatten() {
        rows.add_row([
            cell(call, "/id"),
            moment(call, "/at"),
            short(&cell(call, "/model_asked"), 40),
            short(&target(call), 48),
            outcome(call),
            cell(call, "/took_ms"),
            cell(call, "/cost_usd"),
        ]);
    }
    if rows.row_count() == 0 {
        client.printer.note("There are none.");
        return Ok(());
    }
    client.printer.line(&rows.trim_fmt());
    let next = cell(&reply.value, "/next");
    if !next.is_empty() {
        client.printer.note(&format!("There are more: rapport request list --before {next}"));
    }
    client.printer.note("rapport request explain ID says why.");
    Ok(())
}

async fn explain(client: &mut Client<'_>, id: &str) -> Result<(), Failure> {
    let path = PathOf::new("/api/v1/requests").then(id).then("explain");
    let reply = client.server.json(&Ask::get(path)).await?;
    if client.is_json() {
        client.raw(&reply.raw);
        return Ok(());
    }
    client.printer.piece(&told(&reply.value));
    Ok(())
}

/// The record of a call for people: what came of it, the order and its reasons, every try.
fn told(call: &Value) -> String {
    let at = |path: &str| cell(call, path);
    let mut out = String::new();
    let answered = target(call);
    let by = if answered.is_empty() { String::new() } else { format!(" by {answered}") };
    let _written = writeln!(out, "{}{by} in {} ms", outcome(call), at("/took_ms"));
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            let _written = writeln!(out, "  {name:<12}{value}");
        }
    };
    fact("id", at("/id"));
    fact("when", moment(call, "/at"));
    fact("asked for", at("/model_asked"));
    fact("API", at("/dialect"));
    fact("context", join(&at("/context"), ", turn ", &at("/turn")));
    fact("route", join(&at("/route/name"), ", ", &at("/route/strategy")));
    fact("first word", join(&at("/first_ms"), " ", "ms"));
    let (input, output) = (at("/usage/input_tokens"), at("/usage/output_tokens"));
    fact("tokens", join(&input, " in, ", &join(&output, " ", "out")));
    fact("cost", join(&at("/cost_usd"), " USD, ", &at("/cost_note")));
    section(&mut out, "Who was to be asked", call.get("plan"), |one| {
        let place = cell(one, "/place");
        let place = if place.is_empty() { "-".to_owned() } else { format!("{place}.") };
        format!("{place:<3}{}: {}", target(one), cell(one, "/reason"))
    });
    section(&mut out, "Who was asked", call.get("attempts"), attempt);
    out
}

fn attempt(one: &Value) -> String {
    let at = |path: &str| cell(one, path);
    let key = at("/key");
    let key = if key.is_empty() { key } else { format!(" with the key {key}") };
    let mut line = format!(
        "at {} ms {}{key}: {} after {} ms",
        at("/at_ms"),
        target(one),
        at("/outcome"),
        at("/took_ms")
    );
    if at("/paused_ms") != "0.0" && !at("/paused_ms").is_empty() {
        let _written = write!(line, ", paused {} ms before", at("/paused_ms"));
    }
    for (name, path) in [("status", "/status"), ("to blame", "/culprit"), ("said", "/error")] {
        let value = at(path);
        if !value.is_empty() {
            let _written = write!(line, "; {name}: {}", short(&value, 160));
        }
    }
    line
}

fn section(out: &mut String, title: &str, list: Option<&Value>, line: impl Fn(&Value) -> String) {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        return;
    }
    let _written = writeln!(out, "{title}");
    for one in list {
        let _written = writeln!(out, "  {}", line(one));
    }
}

/// `ok`, or what happened and who is to blame.
fn outcome(call: &Value) -> String {
    let culprit = cell(call, "/culprit");
    let outcome = cell(call, "/outcome");
    if culprit.is_empty() { outcome } else { format!("{outcome} ({culprit})") }
}

/// `provider/model`, as far as both are known.
fn target(call: &Value) -> String {
    join(&cell(call, "/provider"), "/", &cell(call, "/model"))
}

/// Both with something between; the first alone without the second, nothing without the first.
fn join(first: &str, between: &str, second: &str) -> String {
    match (first, second) {
        ("", _) => String::new(),
        (first, "") => first.to_owned(),
        (first, second) => format!("{first}{between}{second}").trim_end().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_reads_like_a_story() {
        let text = told(&json!({
            "id": "r-1", "at": "2026-11-21T09:00:00.5Z", "dialect": "anthropic",
            "context": "c", "turn": 3, "model_asked": "fast", "stream": true,
            "route": {"name": "fast", "strategy": "ordered"},
            "outcome": "ok", "culprit": null, "provider": "two", "model": "m",
            "took_ms": 12.5, "first_ms": 9.0, "cost_usd": 0.002, "cost_note": "by a price",
            "usage": {"input_tokens": 10, "output_tokens": 2},
            "plan": [{"provider": "one", "model": "a", "place": 1, "reason": "by its place"},
                     {"provider": "two", "model": "b", "place": null, "reason": "only for a tag"}],
            "attempts": [{"provider": "one", "model": "a", "key": "main", "at_ms": 0.1,
                          "took_ms": 3.0, "paused_ms": 0.0, "outcome": "upstream_error",
                          "culprit": "provider", "status": 500, "error": "oops"}],
        }));
        for part in [
            "ok by two/m in 12.5 ms\n",
            "context     c, turn 3\n",
            "tokens      10 in, 2 out\n",
            "cost        0.002 USD, by a price\n",
            "1. one/a: by its place\n",
            "-  two/b: only for a tag\n",
            "at 0.1 ms one/a with the key main: upstream_error after 3.0 ms; status: 500; \
             to blame: provider; said: oops\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let short = told(&json!({"id": "r", "outcome": "model_not_found", "culprit": "model",
                                 "took_ms": 0.1, "plan": [], "attempts": []}));
        assert!(short.starts_with("model_not_found (model) in 0.1 ms\n"), "{short}");
        assert!(!short.contains("Who was"), "{short}");
    }
}
